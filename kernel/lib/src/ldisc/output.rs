//! Output processing: what a written byte becomes, and in which column the cursor is then.

use abi::termios::OutputFlags;
use alloc::vec::Vec;

/// Columns between tab stops.
const TAB: usize = 8;

/// The cursor's column, as far as plain characters tell.
pub(super) struct Column(usize);

impl Column {
    pub(super) const fn new() -> Self {
        Column(0)
    }

    pub(super) fn get(&self) -> usize {
        self.0
    }

    pub(super) fn back(&mut self, columns: usize) {
        self.0 = self.0.saturating_sub(columns);
    }

    /// Adds what `byte` becomes to `out`.
    pub(super) fn put(&mut self, byte: u8, modes: OutputFlags, out: &mut Vec<u8>) {
        if !modes.contains(OutputFlags::OPOST) {
            self.advance(byte, modes);
            out.push(byte);
            return;
        }
        match byte {
            b'\n' if modes.contains(OutputFlags::ONLCR) => {
                self.0 = 0;
                out.extend_from_slice(b"\r\n");
            }
            b'\r' if modes.contains(OutputFlags::ONOCR) && self.0 == 0 => {}
            b'\r' if modes.contains(OutputFlags::OCRNL) => {
                self.advance(b'\n', modes);
                out.push(b'\n');
            }
            b'\t' if modes.contains(OutputFlags::XTABS) => {
                let spaces = TAB - self.0 % TAB;
                self.0 += spaces;
                out.extend(core::iter::repeat_n(b' ', spaces));
            }
            _ => {
                let byte = if modes.contains(OutputFlags::OLCUC) { byte.to_ascii_uppercase() } else { byte };
                self.advance(byte, modes);
                out.push(byte);
            }
        }
    }

    fn advance(&mut self, byte: u8, modes: OutputFlags) {
        match byte {
            b'\r' => self.0 = 0,
            b'\n' if modes.contains(OutputFlags::ONLRET) => self.0 = 0,
            b'\t' => self.0 += TAB - self.0 % TAB,
            8 => self.back(1),
            // Continuation bytes of UTF-8 take no column.
            0x80..=0xbf => {}
            0x20..=0x7e | 0xc0..=0xff => self.0 += 1,
            _ => {}
        }
    }
}
