//! The pages of a file: copies of what the pages of the disk hold.

use super::super::Result;
use super::super::page_cache::{Backing, DirtyPage};
use super::FatVolume;
use crate::block::Completion;
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use fs::fat::NodeId;
use machine::PAGE_SIZE;
use machine::mm::Frame;

const PAGE: u64 = PAGE_SIZE as u64;

/// What a file's pages are read from and written to.
pub(super) struct Content {
    pub volume: Arc<FatVolume>,
    pub node: NodeId,
    /// The node's size.
    pub size: Arc<AtomicU64>,
}

impl Backing for Content {
    fn len_bytes(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn start_read(&self, first: u64, frames: &[Frame], _: &Arc<Completion>) -> Result<()> {
        let start = first.checked_mul(PAGE).ok_or(Errno::EFBIG)?;
        let wanted = self.len_bytes().saturating_sub(start).min((frames.len() * PAGE_SIZE) as u64) as usize;
        let mut bytes = buffer(wanted)?;
        let read = self.volume.with(|fat| fat.read(self.node, start, &mut bytes))?;
        for (index, frame) in frames.iter().enumerate() {
            let start = (index * PAGE_SIZE).min(read);
            let part = &bytes[start..(start + PAGE_SIZE).min(read)];
            frame.write(0, part);
            frame.fill_zero_from(part.len());
        }
        Ok(())
    }

    /// Only what mappings have stored comes this way: all else is written at once.
    fn start_write(&self, pages: &[DirtyPage], _: &Arc<Completion>) -> Result<()> {
        let mut bytes = buffer(PAGE_SIZE)?;
        let mut result = Ok(());
        for page in pages {
            for part in page.parts() {
                let start = page.index * PAGE + part.start as u64;
                let bytes = &mut bytes[..part.len()];
                page.frame.read(part.start, bytes);
                let written = self.volume.with(|fat| {
                    // Looked at under the lock: what has been cut off is not to come back.
                    let len = self.len_bytes().saturating_sub(start).min(bytes.len() as u64) as usize;
                    fat.write(self.node, start, &bytes[..len])
                });
                result = result.and(written);
            }
        }
        result
    }
}

/// `len` bytes of memory.
pub(super) fn buffer(len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    bytes.resize(len, 0);
    Ok(bytes)
}
