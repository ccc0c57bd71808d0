//! A disk as the format crate sees it: bytes at offsets, through the pages of its block node, and beside them what the
//! running transaction has changed.
//!
//! Content of files does not go through this cache. Where the two share a page, as they can with blocks smaller than a
//! page, only the sectors written here are dirty, so that none of the others' are written back.
//!
//! Lock: `changes` (rank File), for copying alone.

use super::super::Result;
use super::super::block_node::Opened;
use super::super::page_cache::PageCache;
use super::super::reclaim::Tries;
use crate::block::{self, Completion, Disk, Requests};
use abi::Errno;
use alloc::sync::Arc;
use drivers::block::Operation;
use fs::{BlockStore, Changes, WriteStore};
use machine::PAGE_SIZE;
use machine::mm::{Frame, FrameKind};
use machine::sync::{Rank, SpinLock};

const PAGE: u64 = PAGE_SIZE as u64;

/// A disk's bytes, cached.
pub(super) struct DeviceStore {
    opened: Opened,
    changes: SpinLock<Changes>,
    len_bytes: u64,
}

impl DeviceStore {
    /// The bytes of what is open.
    pub fn new(opened: Opened) -> Self {
        let len_bytes = opened.node().len_bytes();
        DeviceStore { opened, changes: SpinLock::new("ext2 changes", Rank::File, Changes::new()), len_bytes }
    }

    fn cache(&self) -> &PageCache {
        self.opened.node().cache()
    }

    fn disk(&self) -> &Arc<Disk> {
        self.opened.node().disk()
    }
}

impl BlockStore for DeviceStore {
    type Error = Errno;

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<()> {
        self.opened.node().read_bytes(offset_bytes, out)
    }

    fn with_changes(&self, work: &mut dyn FnMut(&mut Changes)) {
        work(&mut self.changes.lock());
    }
}

/// A frame for a write that memory is waiting for: from the reserve, if nothing else is left and nothing can go.
fn frame_for_device() -> Result<Frame> {
    let mut tries = Tries::default();
    loop {
        match Frame::allocate(FrameKind::Dma) {
            Ok(frame) => return Ok(frame),
            Err(_) if tries.again() => {}
            Err(_) => return Err(Errno::ENOMEM),
        }
    }
}

impl WriteStore for DeviceStore {
    fn write(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        self.opened.node().for_each_page(offset_bytes, bytes.len(), |index, within, part| {
            // The page is kept until it is dirty: a clean one may go at any time.
            let page = self.cache().page(index)?;
            let (start, end) = (offset_bytes + part.start as u64, offset_bytes + part.end as u64);
            page.write(within, &bytes[part]);
            self.cache().mark_dirty(start, end);
            Ok(())
        })
    }

    fn write_through(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        let completion = Completion::new();
        let mut requests = Requests::new(self.disk(), Operation::Write, &completion);
        let added = self.opened.node().for_each_page(offset_bytes, bytes.len(), |index, within, part| {
            let len = part.len();
            if let Some(cached) = self.cache().present(index) {
                cached.write(within, &bytes[part.clone()]);
            }
            let frame = frame_for_device()?;
            frame.write(within, &bytes[part]);
            requests.add(&frame, within, len, index * PAGE + within as u64)
        });
        requests.submit();
        completion.all_started(added.is_ok());
        let written = completion.wait().map_err(|_| Errno::EIO);
        added.and(written)
    }

    fn barrier(&self) -> Result<()> {
        block::flush(self.disk()).map_err(|_| Errno::EIO)
    }

    fn flush(&self) -> Result<()> {
        self.cache().write_back()?;
        self.barrier()
    }
}
