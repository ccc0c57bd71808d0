//! A text that is being made, for a file that is made when it is looked at.

use crate::vfs::Result;
use abi::Errno;
use alloc::vec::Vec;
use core::fmt;

/// A text that is being made. When there is no room for it, it is given up as a whole.
#[derive(Default)]
pub struct Text {
    bytes: Vec<u8>,
    failed: bool,
}

impl Text {
    /// Appends `bytes`.
    #[inline(never)]
    pub fn put(&mut self, bytes: &[u8]) {
        /// Room at first, so that few texts have to be moved while they grow.
        const FIRST: usize = 1024;
        let room = if self.bytes.capacity() == 0 { FIRST.max(bytes.len()) } else { bytes.len() };
        self.failed |= self.bytes.try_reserve(room).is_err();
        if !self.failed {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Appends what `fill` puts into `len` bytes; it tells how many.
    pub fn fill(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> usize) {
        self.failed |= self.bytes.try_reserve(len).is_err();
        if !self.failed {
            let start = self.bytes.len();
            self.bytes.resize(start + len, 0);
            let filled = fill(&mut self.bytes[start..]);
            self.bytes.truncate(start + filled);
        }
    }

    /// Appends `bytes`, those of `special` as a backslash and three octal digits.
    pub fn escaped(&mut self, bytes: &[u8], special: &[u8]) {
        for byte in bytes {
            match special.contains(byte) {
                true => write!(self, "\\{byte:03o}"),
                false => self.put(core::slice::from_ref(byte)),
            }
        }
    }

    /// Appends the numbers of the bits of `mask`, as `0-2,5`.
    pub fn ranges(&mut self, mask: u64) {
        let (mut at, mut separator) = (0, "");
        while at < 64 && mask >> at != 0 {
            let first = at + (mask >> at).trailing_zeros();
            let last = first + (mask >> first).trailing_ones() - 1;
            write!(self, "{separator}{first}");
            if last > first {
                write!(self, "-{last}");
            }
            (at, separator) = (last + 1, ",");
        }
    }

    /// Appends a line; all that a file has that is a single value.
    pub fn line(&mut self, value: &dyn fmt::Display) -> Result<()> {
        writeln!(self, "{value}");
        Ok(())
    }

    /// For `write!`.
    #[inline(never)]
    pub fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) {
        // Its failures are noted where they happen.
        let _ = fmt::Write::write_fmt(&mut Writer(self), arguments);
    }

    /// What has been made so far.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What has been made; ENOMEM if there was no room for it.
    pub fn finish(self) -> Result<Vec<u8>> {
        if self.failed { Err(Errno::ENOMEM) } else { Ok(self.bytes) }
    }
}

struct Writer<'a>(&'a mut Text);

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes());
        Ok(())
    }
}
