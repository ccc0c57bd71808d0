//! The console terminal: what programs see as /dev/console, /dev/tty and /dev/ttyS0, and where the kernel's shell reads
//! its keys.
//!
//! From the bottom up: `input` brings bytes from the serial port; [`Terminal`] edits, echoes and keeps them, for the
//! process that owns the terminal or else for the shell; `device` is the file that programs read and write.

mod checks;
mod device;
mod input;
mod terminal;

use crate::vfs::{File, device_number, flags, register_device};
use alloc::sync::Arc;
use device::{ControllingTerminal, TerminalFile};
pub use input::lost as lost_input;
pub use terminal::Terminal;

/// Character device, readable and writable by all.
const MODE: u32 = 0o020666;

static CONSOLE: Terminal = Terminal::new();

/// The console terminal.
pub fn console() -> &'static Terminal {
    &CONSOLE
}

/// Makes the terminal's device nodes and lets input in. Needs the device tree and the scheduler.
pub fn init() {
    let file = Arc::new(TerminalFile::new(console()));
    // Numbers as in Linux's Documentation/admin-guide/devices.txt.
    register_device("tty", MODE, device_number(5, 0), Arc::new(ControllingTerminal));
    register_device("console", MODE, device_number(5, 1), file.clone());
    register_device("ttyS0", MODE, device_number(4, 64), file);
    if let Err(error) = input::start(console()) {
        log::warn!("console: no input: {error}");
    }
}

/// A new open file of the console terminal, for a program's descriptors 0, 1 and 2.
pub fn console_file() -> Arc<File> {
    File::new_device(Arc::new(TerminalFile::new(console())), flags::O_RDWR)
}

/// Gives the console terminal to the session that process `leader` leads, with usual settings; None gives it to the shell.
pub fn set_owner(leader: Option<u32>) {
    CONSOLE.set_owner(leader);
}

/// The leader of a session has ended: its terminal, if it has one, is the shell's again.
pub fn session_ended(session: u32) {
    CONSOLE.end_session(session);
}
