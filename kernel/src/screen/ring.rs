//! Bytes on their way to the screen.
//!
//! The bytes lie beside the ring, as they begin as zeros and the lock around the ring does not: so they take no room in
//! the kernel's image. Only who holds the ring's lock touches them, hence `Relaxed`.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Bytes the ring holds.
const LEN: usize = 64 * 1024;

static BYTES: [AtomicU8; LEN] = [const { AtomicU8::new(0) }; LEN];

/// A ring of bytes, of which there is one. `put` and `taken` count all bytes ever.
pub(super) struct Ring {
    put: usize,
    taken: usize,
    /// Bytes that found no room.
    lost: usize,
    /// Nobody will take any.
    closed: bool,
}

impl Ring {
    pub const fn new() -> Self {
        Ring { put: 0, taken: 0, lost: 0, closed: false }
    }

    pub fn is_empty(&self) -> bool {
        self.put == self.taken
    }

    /// Forgets what is in it, and whatever comes.
    pub fn close(&mut self) {
        *self = Ring { closed: true, ..Ring::new() };
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
        if self.closed {
            return;
        }
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
        BYTES[self.put % LEN].store(byte, Relaxed);
        self.put += 1;
    }

    /// Takes as many as there are and fit; how many.
    pub fn take(&mut self, out: &mut [u8]) -> usize {
        let len = (self.put - self.taken).min(out.len());
        for (index, byte) in out[..len].iter_mut().enumerate() {
            *byte = BYTES[(self.taken + index) % LEN].load(Relaxed);
        }
        self.taken += len;
        len
    }
}
