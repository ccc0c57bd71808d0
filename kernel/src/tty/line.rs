//! What is behind a terminal that is neither on the screen nor a pseudo-terminal: the second serial port (`serial_line`), or a
//! port of a virtio console (`on_port`). Bytes go through queues of the line's, and its task brings what comes in.
//!
//! All of this but opening and closing is called with the terminal's state locked.

use crate::vfs::Result;
use abi::termios::Termios;
use drivers::serial::Counts;

/// A line.
pub trait Line: Send + Sync {
    /// One more file. EIO if nothing is at the line, or not any more.
    fn open(&self, settings: &Termios, speed: u32) -> Result<()>;

    /// One file less.
    fn close(&self);

    /// Bytes of output that there is room for.
    fn room(&self) -> usize;

    /// Sends bytes, for which there is room.
    fn send(&self, bytes: &[u8]);

    /// Sends a byte before all others, where that is possible.
    fn send_urgent(&self, byte: u8) {
        self.send(&[byte]);
    }

    /// Bytes that wait to be sent, and whether the last bit of all has been.
    fn unsent(&self) -> (usize, bool);

    /// Drops what waits to be sent.
    fn discard(&self);

    /// Drops what came in and did not reach the terminal, where that counts as having come in.
    fn discard_incoming(&self) {}

    /// Holds output, or lets it go on.
    fn hold(&self, held: bool);

    /// The terminal has room for much of what comes in.
    fn note_room(&self) {}

    /// The speed that it takes for what was asked, with `before` as it was.
    fn possible_speed(&self, asked: u32, _before: u32) -> u32 {
        asked
    }

    /// Has the line do what `settings` say, at this speed; 0 hangs up.
    fn set(&self, _settings: &Termios, _speed: u32, _speed_before: u32) {}

    /// Asks the other side to stop sending, or to go on: by RTS, if `by_rts`, and by `character`.
    fn throttle(&self, _on: bool, _by_rts: bool, character: Option<u8>) {
        if let Some(byte) = character {
            self.send_urgent(byte);
        }
    }

    /// The serial port, if it is one.
    fn serial(&self) -> Option<&dyn SerialPort> {
        None
    }
}

/// What only serial ports have.
pub trait SerialPort {
    /// Begins a break, or ends it.
    fn set_break(&self, on: bool);

    /// The modem lines as TIOCMGET tells them.
    fn modem(&self) -> u32;

    /// Changes the computer's modem lines: clears some, then sets some.
    fn change_modem(&self, cleared: u32, set: u32);

    /// Sleeps until one of these modem lines of the other side has changed; false if `interrupted` ends it before.
    fn wait_for_change(&self, bits: u32, interrupted: &dyn Fn() -> bool) -> bool;

    /// Has whoever waits look again.
    fn rouse(&self);

    /// Counts bytes that the terminal had no room for.
    fn note_lost(&self, count: u32);

    /// How many those are.
    fn lost(&self) -> u32;

    /// What has come and gone.
    fn counts(&self) -> Counts;
}
