//! Bytes on their way to the screen.

/// Bytes the ring holds.
const LEN: usize = 64 * 1024;

/// A ring of bytes. `put` and `taken` count all bytes ever.
pub(super) struct Ring {
    bytes: [u8; LEN],
    put: usize,
    taken: usize,
    /// Bytes that found no room.
    lost: usize,
}

impl Ring {
    pub const fn new() -> Self {
        Ring { bytes: [0; LEN], put: 0, taken: 0, lost: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.put == self.taken
    }

    /// Bytes that are sure to fit, each line feed counted twice.
    pub fn room(&self) -> usize {
        (LEN - (self.put - self.taken)) / 2
    }

    pub fn lost(&self) -> usize {
        self.lost
    }

    /// Adds `bytes`, with a carriage return before each line feed if `new_lines`. What does not fit is lost.
    pub fn put(&mut self, bytes: &[u8], new_lines: bool) {
        for &byte in bytes {
            if byte == b'\n' && new_lines {
                self.put_byte(b'\r');
            }
            self.put_byte(byte);
        }
    }

    fn put_byte(&mut self, byte: u8) {
        if self.put - self.taken == LEN {
            self.lost += 1;
            return;
        }
        self.bytes[self.put % LEN] = byte;
        self.put += 1;
    }

    /// Takes as many as there are and fit; how many.
    pub fn take(&mut self, out: &mut [u8]) -> usize {
        let len = (self.put - self.taken).min(out.len());
        let at = self.taken % LEN;
        let first = len.min(LEN - at);
        out[..first].copy_from_slice(&self.bytes[at..at + first]);
        out[first..len].copy_from_slice(&self.bytes[..len - first]);
        self.taken += len;
        len
    }
}
