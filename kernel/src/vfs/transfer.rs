//! Where read bytes go and written bytes come from: user memory or a kernel buffer.
//!
//! Both sides count what they have moved by [`Sink::remaining`] and [`Source::remaining`]; after an error those tell how
//! far it came, which is how a short read or write is told from one that failed at once ([`outcome`]).

use super::Result;
use abi::Errno;
use alloc::vec::Vec;
use machine::PAGE_SIZE;
use machine::mm::Frame;

/// Where read data goes.
pub trait Sink {
    /// Takes all of `bytes`; at most [`Sink::remaining`].
    fn put(&mut self, bytes: &[u8]) -> Result<()>;
    /// Takes `len` bytes of a page from `offset` on.
    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<()>;
    /// Takes `len` zeros.
    fn zeros(&mut self, len: usize) -> Result<()>;
    /// How many bytes it can still take.
    fn remaining(&self) -> usize;
}

/// Where written data comes from.
pub trait Source {
    /// Fills the start of `out` with the next bytes; how many, which is less than all only at the end, or before a place
    /// that cannot be read: then the next call fails.
    fn take(&mut self, out: &mut [u8]) -> Result<usize>;
    /// How many bytes are left.
    fn remaining(&self) -> usize;
    /// Moves the next `len` bytes, or what is left, into a page; how many.
    fn take_into_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize> {
        let mut buffer = [0; 512];
        let mut done = 0;
        while done < len {
            let part = (len - done).min(buffer.len());
            let taken = self.take(&mut buffer[..part])?;
            frame.write(offset + done, &buffer[..taken]);
            done += taken;
            if taken < part {
                break;
            }
        }
        Ok(done)
    }
}

/// What a transfer comes to: an error only if nothing moved, as `read(2)` and `write(2)` have it.
pub fn outcome(before: usize, after: usize, result: Result<()>) -> Result<usize> {
    match result {
        Err(error) if before == after => Err(error),
        _ => Ok(before - after),
    }
}

/// A sink that keeps at most `limit` bytes in a vector.
pub struct VecSink {
    bytes: Vec<u8>,
    limit: usize,
}

impl VecSink {
    /// An empty one.
    pub fn new(limit: usize) -> Self {
        VecSink { bytes: Vec::new(), limit }
    }

    /// What it took.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends `len` zeros and gives them to be filled.
    fn grow(&mut self, len: usize) -> Result<&mut [u8]> {
        debug_assert!(len <= self.remaining());
        let start = self.bytes.len();
        self.bytes.try_reserve(len).map_err(|_| Errno::ENOMEM)?;
        self.bytes.resize(start + len, 0);
        Ok(&mut self.bytes[start..])
    }
}

impl Sink for VecSink {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.grow(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<()> {
        frame.read(offset, self.grow(len)?);
        Ok(())
    }

    fn zeros(&mut self, len: usize) -> Result<()> {
        self.grow(len).map(|_| ())
    }

    fn remaining(&self) -> usize {
        self.limit - self.bytes.len()
    }
}

/// A sink that fills a slice.
pub struct SliceSink<'a> {
    rest: &'a mut [u8],
}

impl<'a> SliceSink<'a> {
    /// Fills `bytes` from its start.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        SliceSink { rest: bytes }
    }

    fn advance(&mut self, len: usize) -> &'a mut [u8] {
        let (now, rest) = core::mem::take(&mut self.rest).split_at_mut(len);
        self.rest = rest;
        now
    }
}

impl Sink for SliceSink<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.advance(bytes.len()).copy_from_slice(bytes);
        Ok(())
    }

    fn put_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<()> {
        frame.read(offset, self.advance(len));
        Ok(())
    }

    fn zeros(&mut self, len: usize) -> Result<()> {
        self.advance(len).fill(0);
        Ok(())
    }

    fn remaining(&self) -> usize {
        self.rest.len()
    }
}

/// A source that gives a slice.
pub struct SliceSource<'a> {
    rest: &'a [u8],
}

impl<'a> SliceSource<'a> {
    /// Gives `bytes` from its start.
    pub fn new(bytes: &'a [u8]) -> Self {
        SliceSource { rest: bytes }
    }
}

impl Source for SliceSource<'_> {
    fn take(&mut self, out: &mut [u8]) -> Result<usize> {
        let len = out.len().min(self.rest.len());
        let (now, rest) = self.rest.split_at(len);
        out[..len].copy_from_slice(now);
        self.rest = rest;
        Ok(len)
    }

    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn take_into_frame(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<usize> {
        let len = len.min(self.rest.len()).min(PAGE_SIZE - offset);
        let (now, rest) = self.rest.split_at(len);
        frame.write(offset, now);
        self.rest = rest;
        Ok(len)
    }
}
