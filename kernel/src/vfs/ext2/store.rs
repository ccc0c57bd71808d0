//! A block device as the format crate reads metadata from it: bytes at offsets, through the device's page cache.

use super::super::Result;
use super::super::page_cache::{Backing, PageCache};
use crate::block::{self, Completion};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::block::{BlockDevice, Operation, SECTOR_LEN, Segment};
use fs::BlockStore;
use machine::PAGE_SIZE;
use machine::mm::Frame;

const SECTORS_PER_PAGE: u64 = (PAGE_SIZE / SECTOR_LEN) as u64;

/// A block device's bytes, cached.
pub(super) struct DeviceStore {
    cache: Arc<PageCache>,
    len_bytes: u64,
}

impl DeviceStore {
    /// The bytes of `device`.
    pub fn new(device: Arc<dyn BlockDevice>) -> Self {
        let len_bytes = device.sectors().saturating_mul(SECTOR_LEN as u64);
        DeviceStore { cache: PageCache::new(Box::new(DevicePages { device })), len_bytes }
    }
}

impl BlockStore for DeviceStore {
    type Error = Errno;

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<()> {
        let end = offset_bytes.checked_add(out.len() as u64).ok_or(Errno::EIO)?;
        if end > self.len_bytes {
            return Err(Errno::EIO);
        }
        let mut at = offset_bytes;
        let mut rest = out;
        while !rest.is_empty() {
            let within = (at % PAGE_SIZE as u64) as usize;
            let len = (PAGE_SIZE - within).min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            self.cache.page(at / PAGE_SIZE as u64)?.read(within, now);
            at += len as u64;
            rest = later;
        }
        Ok(())
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
        let mut segments = Vec::new();
        segments.try_reserve(frames.len()).map_err(|_| Errno::ENOMEM)?;
        let start = first.checked_mul(SECTORS_PER_PAGE).ok_or(Errno::EIO)?;
        let mut sector = start;
        for frame in frames {
            // The device's last page may be a part of one.
            let left = self.device.sectors().saturating_sub(sector).min(SECTORS_PER_PAGE);
            let len = left as usize * SECTOR_LEN;
            if len > 0 {
                segments.push(Segment { frame: frame.clone(), offset: 0, len });
            }
            sector += SECTORS_PER_PAGE;
        }
        block::start(&*self.device, Operation::Read, start, segments, completion);
        Ok(())
    }
}
