//! Input that came damaged over a serial line, and breaks (termios(3): IGNBRK, BRKINT, IGNPAR, PARMRK, INPCK).

use super::{BUFFER_LEN, LineDiscipline, Signal};
use abi::termios::{InputFlags, LocalFlags};
use alloc::vec::Vec;

/// What begins a mark among the bytes (PARMRK).
const MARK: u8 = 0xff;

impl LineDiscipline {
    /// A break on the line.
    pub fn input_break(&mut self) -> Option<Signal> {
        let modes = self.settings.input();
        if modes.contains(InputFlags::IGNBRK) {
            return None;
        }
        if modes.contains(InputFlags::BRKINT) {
            if !self.has(LocalFlags::NOFLSH) {
                self.flush_input();
            }
            return Some(Signal::SIGINT);
        }
        self.put(if modes.contains(InputFlags::PARMRK) { &[MARK, 0, 0] } else { &[0] });
        None
    }

    /// A byte with the wrong parity, or without its stop bit. What is to be shown is added to `echo`.
    pub fn input_damaged(&mut self, byte: u8, echo: &mut Vec<u8>) -> Option<Signal> {
        let modes = self.settings.input();
        if modes.contains(InputFlags::IGNPAR) {
            return None;
        }
        if !modes.contains(InputFlags::INPCK) {
            return self.input(byte, echo);
        }
        let marked = [MARK, 0, byte];
        self.put(if modes.contains(InputFlags::PARMRK) { &marked } else { &[0] });
        None
    }

    /// A good byte that looks like the beginning of a mark is there twice.
    pub(super) fn mark_good(&mut self, byte: u8, modes: InputFlags) {
        if byte == MARK && modes.contains(InputFlags::PARMRK) && !modes.contains(InputFlags::ISTRIP) {
            self.put(&[MARK]);
        }
    }

    /// Adds bytes that mean nothing to the terminal and are not shown.
    fn put(&mut self, bytes: &[u8]) {
        if self.pending.len() + self.lines_len + bytes.len() < BUFFER_LEN {
            self.pending.extend(bytes);
        }
    }
}
