//! Gathering pieces of pages that lie together on the disk into few requests.

use super::{Completion, Disk, start};
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::block::{Operation, SECTOR_LEN, Segment};
use machine::mm::Frame;

/// Requests of one kind, being made.
pub struct Requests<'a> {
    disk: &'a Arc<Disk>,
    operation: Operation,
    completion: &'a Arc<Completion>,
    /// Where the gathered segments begin on the disk, and how many bytes they are.
    sector: u64,
    len: usize,
    segments: Vec<Segment>,
}

impl<'a> Requests<'a> {
    /// None yet; each that is started is added to `completion`.
    pub fn new(disk: &'a Arc<Disk>, operation: Operation, completion: &'a Arc<Completion>) -> Self {
        Requests { disk, operation, completion, sector: 0, len: 0, segments: Vec::new() }
    }

    /// `len` bytes of `frame` from `offset` on belong to byte `stored` of the disk; all are multiples of a sector.
    pub fn add(&mut self, frame: &Frame, offset: usize, len: usize, stored: u64) -> Result<(), Errno> {
        let sector = stored / SECTOR_LEN as u64;
        if self.sector + (self.len / SECTOR_LEN) as u64 != sector {
            self.submit();
            self.sector = sector;
        }
        self.len += len;
        if let Some(last) = self.segments.last_mut()
            && last.frame.address() == frame.address()
            && last.offset + last.len == offset
        {
            last.len += len;
            return Ok(());
        }
        self.segments.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.segments.push(Segment { frame: frame.clone(), offset, len });
        Ok(())
    }

    /// Starts what has been gathered.
    pub fn submit(&mut self) {
        let segments = core::mem::take(&mut self.segments);
        self.len = 0;
        if !segments.is_empty() {
            start(self.disk, self.operation, self.sector, segments, self.completion);
        }
    }
}
