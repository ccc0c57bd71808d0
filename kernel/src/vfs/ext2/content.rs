//! The pages of a file: block map to requests.

use super::super::Result;
use super::super::page_cache::{Backing, DirtyPage};
use super::Ext2Volume;
use crate::block::{Completion, Requests};
use abi::Errno;
use alloc::sync::Arc;
use drivers::block::Operation;
use fs::ext2;
use machine::PAGE_SIZE;
use machine::mm::{Frame, FrameKind};
use machine::sync::SpinLock;

const PAGE: u64 = PAGE_SIZE as u64;

/// What a file's pages are read from and written to.
pub(super) struct Content {
    pub volume: Arc<Ext2Volume>,
    /// The node's inode.
    pub inode: Arc<SpinLock<ext2::Inode>>,
}

impl Content {
    /// Calls `each` for the pieces of the bytes `start .. start + len` that lie together: offset from `start`, length, and
    /// the byte of the device, `None` for a hole.
    fn each_run(
        &self,
        inode: &ext2::Inode,
        start: u64,
        len: u64,
        mut each: impl FnMut(u64, u64, Option<u64>) -> Result<()>,
    ) -> Result<()> {
        let format = &self.volume.format;
        let block_len = format.geometry().block_size() as u64;
        let mut done = 0;
        while done < len {
            let (block, skipped) = ((start + done) / block_len, (start + done) % block_len);
            let blocks = (skipped + len - done).div_ceil(block_len);
            let run = format.map_run(inode, block, blocks).map_err(|error| self.volume.errno(error))?;
            let part = (run.count * block_len - skipped).min(len - done);
            each(done, part, run.start.map(|stored| stored * block_len + skipped))?;
            done += part;
        }
        Ok(())
    }
}

impl Backing for Content {
    fn len_bytes(&self) -> u64 {
        self.inode.lock().size
    }

    fn start_read(&self, first: u64, frames: &[Frame], completion: &Arc<Completion>) -> Result<()> {
        let inode = self.inode.lock().clone();
        let block_len = self.volume.format.geometry().block_size() as u64;
        let start = first.checked_mul(PAGE).ok_or(Errno::EFBIG)?;
        let all = (frames.len() * PAGE_SIZE) as u64;
        // Whole blocks, the last one too: the device moves no less than a sector.
        let wanted = inode.size.saturating_sub(start).min(all).next_multiple_of(block_len).min(all);
        let mut requests = Requests::new(&self.volume.disk, Operation::Read, completion);
        self.each_run(&inode, start, wanted, |at, len, stored| {
            for_each_piece(frames, at, len, |frame, offset, len, done| match stored {
                Some(stored) => requests.add(frame, offset, len, stored + done),
                None => {
                    frame.fill_zero_in(offset..offset + len);
                    Ok(())
                }
            })
        })?;
        requests.submit();
        // What is not stored of a page that has just come in is zeros, whatever the size was when it was asked for.
        for_each_piece(frames, wanted, all - wanted, |frame, offset, len, _| {
            frame.fill_zero_in(offset..offset + len);
            Ok(())
        })
    }

    fn start_write(&self, pages: &[DirtyPage], completion: &Arc<Completion>) -> Result<()> {
        let inode = self.inode.lock().clone();
        let mut requests = Requests::new(&self.volume.disk, Operation::Write, completion);
        let mut result = Ok(());
        for page in pages {
            let copy = without_rest(page, inode.size);
            let frame = copy.as_ref().unwrap_or(&page.frame);
            for part in page.parts() {
                let start = page.index * PAGE + part.start as u64;
                let added = self.each_run(&inode, start, part.len() as u64, |at, len, stored| match stored {
                    Some(stored) => requests.add(frame, part.start + at as usize, len as usize, stored),
                    None => {
                        log::error!("{}: inode {}: no block for a dirty page", self.volume.name, inode.number);
                        Err(Errno::EIO)
                    }
                });
                result = result.and(added);
            }
        }
        requests.submit();
        result
    }
}

/// Splits the bytes `at .. at + len` of `frames` into pieces of one frame each: frame, offset in it, length, and how many
/// bytes came before.
fn for_each_piece(
    frames: &[Frame],
    at: u64,
    len: u64,
    mut each: impl FnMut(&Frame, usize, usize, u64) -> Result<()>,
) -> Result<()> {
    let start = at as usize;
    let end = start + len as usize;
    let mut at = start;
    while at < end {
        let offset = at % PAGE_SIZE;
        let len = (PAGE_SIZE - offset).min(end - at);
        each(&frames[at / PAGE_SIZE], offset, len, (at - start) as u64)?;
        at += len;
    }
    Ok(())
}

/// A copy of a page that mappings have stored to, with zeros behind the end of the file, `size`; None if the page itself
/// will do, or if there is no memory for one: a page that is being appended to must not lose what comes behind the end.
fn without_rest(page: &DirtyPage, size: u64) -> Option<Frame> {
    let within = (size % PAGE) as usize;
    if !page.mapped || page.index != size / PAGE || within == 0 {
        return None;
    }
    let copy = Frame::allocate(FrameKind::PageCache).ok()?;
    copy.copy_from(&page.frame);
    copy.fill_zero_from(within);
    Some(copy)
}
