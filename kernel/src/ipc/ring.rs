//! A ring of bytes in page frames, which are there only while they hold something.
//!
//! The first frame is kept when the ring is empty, and an empty ring begins at its start again, so that small messages
//! there and back need no memory. The ring itself is not synchronised.

use crate::vfs::{Result, Sink, Source};
use abi::Errno;
use alloc::vec::Vec;
use machine::PAGE_SIZE;
use machine::mm::{Frame, FrameKind};

/// The ring. Its capacity is a power of two of whole pages.
pub struct Ring {
    frames: Vec<Option<Frame>>,
    /// Where the first byte is.
    head: usize,
    len: usize,
}

impl Ring {
    /// An empty one for `pages` pages, a power of two.
    pub fn new(pages: usize) -> Result<Ring> {
        debug_assert!(pages.is_power_of_two());
        let mut frames = Vec::new();
        frames.try_reserve_exact(pages).map_err(|_| Errno::ENOMEM)?;
        frames.resize_with(pages, || None);
        Ok(Ring { frames, head: 0, len: 0 })
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes it can hold.
    pub fn capacity(&self) -> usize {
        self.frames.len() * PAGE_SIZE
    }

    /// Bytes that fit in.
    pub fn room(&self) -> usize {
        self.capacity() - self.len
    }

    /// Moves bytes in until the ring is full or the source, which has `left`, has no more: how many, and what ended it.
    #[inline(always)] // into the writes of pipes and of sockets, which are made often
    pub fn fill(&mut self, source: &mut dyn Source, mut left: usize) -> (usize, Result<()>) {
        let (before, mut result) = (self.len, Ok(()));
        while left > 0 && self.len < self.capacity() && result.is_ok() {
            let at = (self.head + self.len) & (self.capacity() - 1);
            let (page, offset) = (at / PAGE_SIZE, at % PAGE_SIZE);
            let wanted = left.min(PAGE_SIZE - offset).min(self.room());
            let taken = self.frame(page).and_then(|frame| source.take_into_frame(frame, offset, wanted));
            let moved = match taken {
                // It gives less than it has only at its end, which `left` knows.
                Ok(moved) => moved,
                Err(error) => {
                    result = Err(error);
                    left - source.remaining()
                }
            };
            left -= moved;
            self.len += moved;
        }
        (self.len - before, result)
    }

    /// Moves bytes out until the ring is empty or the sink, which takes `left`, is full: how many, and what ended it.
    pub fn drain(&mut self, sink: &mut dyn Sink, mut left: usize) -> (usize, Result<()>) {
        let (before, mut result) = (self.len, Ok(()));
        while left > 0 && self.len > 0 && result.is_ok() {
            let (page, offset) = (self.head / PAGE_SIZE, self.head % PAGE_SIZE);
            let wanted = left.min(PAGE_SIZE - offset).min(self.len);
            let Some(frame) = &self.frames[page] else { panic!("a page of a ring is missing") };
            result = sink.put_frame(frame, offset, wanted);
            let moved = if result.is_ok() { wanted } else { left - sink.remaining() };
            left -= moved;
            self.consume(moved);
        }
        (before - self.len, result)
    }

    /// Moves at most `wanted` bytes to a sink that takes `left`, and keeps them.
    pub fn copy_out(&self, sink: &mut dyn Sink, wanted: usize, left: usize) -> (usize, Result<()>) {
        let (mut done, mut result) = (0, Ok(()));
        let wanted = wanted.min(self.len);
        while done < wanted && result.is_ok() {
            let at = (self.head + done) & (self.capacity() - 1);
            let part = (wanted - done).min(PAGE_SIZE - at % PAGE_SIZE);
            let Some(frame) = &self.frames[at / PAGE_SIZE] else { panic!("a page of a ring is missing") };
            result = sink.put_frame(frame, at % PAGE_SIZE, part);
            done = if result.is_ok() { done + part } else { left - sink.remaining() };
        }
        (done, result)
    }

    /// Takes the first `count` bytes out, of those that are there.
    #[inline]
    pub fn discard(&mut self, mut count: usize) {
        while count > 0 {
            let part = count.min(PAGE_SIZE - self.head % PAGE_SIZE);
            self.consume(part);
            count -= part;
        }
    }

    /// Takes the last `count` bytes out, of those that are there.
    pub fn cut(&mut self, mut count: usize) {
        while count > 0 {
            let last = (self.head + self.len - 1) & (self.capacity() - 1);
            let part = count.min(last % PAGE_SIZE + 1);
            self.len -= part;
            count -= part;
            // The page of the first byte is not its own: the ring may begin behind these bytes.
            if part == last % PAGE_SIZE + 1 && last / PAGE_SIZE != self.head / PAGE_SIZE {
                self.frames[last / PAGE_SIZE] = None;
            }
        }
    }

    /// The frame of a page, made if there is none.
    fn frame(&mut self, page: usize) -> Result<&Frame> {
        Ok(match &mut self.frames[page] {
            Some(frame) => frame,
            empty => empty.insert(Frame::allocate(FrameKind::Pipe).map_err(|_| Errno::ENOMEM)?),
        })
    }

    /// The same bytes in a ring of `pages` pages, a power of two; EBUSY if they do not fit.
    pub fn resize(&mut self, pages: usize) -> Result<()> {
        if pages * PAGE_SIZE < self.len {
            return Err(Errno::EBUSY);
        }
        let mut new = Ring::new(pages)?;
        let mut buffer = [0; 512];
        let mut at = self.head;
        while new.len < self.len {
            let offset = at % PAGE_SIZE;
            let part = buffer.len().min(self.len - new.len).min(PAGE_SIZE - offset);
            let Some(frame) = &self.frames[at / PAGE_SIZE] else { panic!("a page of a ring is missing") };
            frame.read(offset, &mut buffer[..part]);
            new.fill(&mut crate::vfs::SliceSource::new(&buffer[..part]), part).1?;
            at = (at + part) & (self.capacity() - 1);
        }
        *self = new;
        Ok(())
    }

    /// Takes the first `count` bytes out; they lie in one page.
    #[inline]
    fn consume(&mut self, count: usize) {
        let page = self.head / PAGE_SIZE;
        self.head = (self.head + count) & (self.capacity() - 1);
        self.len -= count;
        if self.len == 0 {
            self.head = 0;
            if page != 0 {
                self.frames.swap(0, page);
                self.frames[page] = None;
            }
        } else if self.head / PAGE_SIZE != page && self.room() >= PAGE_SIZE {
            // Unless the last bytes lie at its beginning, nothing is left in that page.
            self.frames[page] = None;
        }
    }
}
