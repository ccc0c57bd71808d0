//! A block device as the format crate sees it: bytes at offsets, through the device's page cache, and beside it what the
//! running transaction has changed.
//!
//! Content of files does not go through this cache. Where the two share a page, as they can with blocks smaller than a
//! page, only the sectors written here are dirty, so that none of the others' are written back.
//!
//! Lock: `changes` (rank File), for copying alone.

use super::super::Result;
use super::super::page_cache::{Backing, DirtyPage, PageCache};
use super::requests::Requests;
use crate::block::{self, Completion};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::Arc;
use drivers::block::{BlockDevice, Operation, SECTOR_LEN};
use fs::{BlockStore, Changes, WriteStore};
use machine::PAGE_SIZE;
use machine::mm::{Frame, FrameKind};
use machine::sync::{Rank, SpinLock};

const PAGE: u64 = PAGE_SIZE as u64;

/// A block device's bytes, cached.
pub(super) struct DeviceStore {
    cache: Arc<PageCache>,
    device: Arc<dyn BlockDevice>,
    changes: SpinLock<Changes>,
    len_bytes: u64,
}

impl DeviceStore {
    /// The bytes of `device`.
    pub fn new(device: Arc<dyn BlockDevice>) -> Self {
        let len_bytes = device.sectors().saturating_mul(SECTOR_LEN as u64);
        let pages = DevicePages { device: device.clone() };
        DeviceStore {
            cache: PageCache::new(Box::new(pages)),
            device,
            changes: SpinLock::new("ext2 changes", Rank::File, Changes::new()),
            len_bytes,
        }
    }

    /// Calls `each` with page number, offset in it, and the range of the bytes at `offset .. offset + len` that lies there.
    fn pages_of(
        &self,
        offset: u64,
        len: usize,
        mut each: impl FnMut(u64, usize, core::ops::Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let end = offset.checked_add(len as u64).ok_or(Errno::EIO)?;
        if end > self.len_bytes {
            return Err(Errno::EIO);
        }
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let within = (at % PAGE) as usize;
            let part = (PAGE_SIZE - within).min(len - done);
            each(at / PAGE, within, done..done + part)?;
            done += part;
        }
        Ok(())
    }
}

impl BlockStore for DeviceStore {
    type Error = Errno;

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<()> {
        self.pages_of(offset_bytes, out.len(), |index, within, part| {
            self.cache.page(index)?.read(within, &mut out[part]);
            Ok(())
        })
    }

    fn with_changes(&self, work: &mut dyn FnMut(&mut Changes)) {
        work(&mut self.changes.lock());
    }
}

impl WriteStore for DeviceStore {
    fn write(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        self.pages_of(offset_bytes, bytes.len(), |index, within, part| {
            self.cache.page(index)?.write(within, &bytes[part]);
            Ok(())
        })?;
        self.cache.mark_dirty(offset_bytes, offset_bytes + bytes.len() as u64);
        Ok(())
    }

    fn write_through(&self, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
        let completion = Completion::new();
        let mut requests = Requests::new(&*self.device, Operation::Write, &completion);
        let added = self.pages_of(offset_bytes, bytes.len(), |index, within, part| {
            let len = part.len();
            if let Some(cached) = self.cache.present(index) {
                cached.write(within, &bytes[part.clone()]);
            }
            let frame = Frame::allocate(FrameKind::PageCache).map_err(|_| Errno::ENOMEM)?;
            frame.write(within, &bytes[part]);
            requests.add(&frame, within, len, index * PAGE + within as u64)
        });
        requests.submit();
        completion.all_started(added.is_ok());
        let written = completion.wait().map_err(|_| Errno::EIO);
        added.and(written)
    }

    fn barrier(&self) -> Result<()> {
        block::flush(&*self.device).map_err(|_| Errno::EIO)
    }

    fn flush(&self) -> Result<()> {
        self.cache.write_back()?;
        self.barrier()
    }
}

/// The pages of a whole device.
struct DevicePages {
    device: Arc<dyn BlockDevice>,
}

impl Backing for DevicePages {
    fn len_bytes(&self) -> u64 {
        self.device.sectors().saturating_mul(SECTOR_LEN as u64)
    }

    fn start_read(&self, first: u64, frames: &[Frame], completion: &Arc<Completion>) -> Result<()> {
        let mut requests = Requests::new(&*self.device, Operation::Read, completion);
        for (index, frame) in (first..).zip(frames) {
            let at = index.checked_mul(PAGE).ok_or(Errno::EIO)?;
            // The device's last page may be a part of one.
            let len = self.len_bytes().saturating_sub(at).min(PAGE) as usize;
            if len > 0 {
                requests.add(frame, 0, len, at)?;
            }
            frame.fill_zero_from(len);
        }
        requests.submit();
        Ok(())
    }

    fn start_write(&self, pages: &[DirtyPage], completion: &Arc<Completion>) -> Result<()> {
        let mut requests = Requests::new(&*self.device, Operation::Write, completion);
        for page in pages {
            for part in page.parts() {
                requests.add(&page.frame, part.start, part.len(), page.index * PAGE + part.start as u64)?;
            }
        }
        requests.submit();
        Ok(())
    }
}
