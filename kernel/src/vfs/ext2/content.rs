//! The pages of a file: block map to requests.

use super::super::Result;
use super::super::page_cache::Backing;
use super::Ext2Volume;
use crate::block::{self, Completion};
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::block::{Operation, SECTOR_LEN, Segment};
use fs::ext2;
use machine::PAGE_SIZE;
use machine::mm::Frame;

/// What a file's pages are read by.
pub(super) struct Content {
    pub volume: Arc<Ext2Volume>,
    pub inode: ext2::Inode,
}

impl Backing for Content {
    fn len_bytes(&self) -> u64 {
        self.inode.size
    }

    fn start_read(&self, first: u64, frames: &[Frame], completion: &Arc<Completion>) -> Result<()> {
        let format = &self.volume.format;
        let block_len = format.geometry().block_size() as u64;
        let start = first.checked_mul(PAGE_SIZE as u64).ok_or(Errno::EFBIG)?;
        let wanted = self.inode.size.saturating_sub(start).min((frames.len() * PAGE_SIZE) as u64);
        // Whole blocks, the last one too: the device moves no less than a sector.
        let wanted = wanted.next_multiple_of(block_len).min((frames.len() * PAGE_SIZE) as u64);
        let mut requests = Requests { content: self, completion, sector: 0, segments: Vec::new() };
        let mut done = 0;
        while done < wanted {
            let (block, skipped) = ((start + done) / block_len, (start + done) % block_len);
            let blocks = (skipped + wanted - done).div_ceil(block_len);
            let run = format.map_run(&self.inode, block, blocks).map_err(|error| self.volume.errno(error))?;
            let len = (run.count * block_len - skipped).min(wanted - done);
            match run.start {
                Some(stored) => requests.add(frames, done, len, stored * block_len + skipped)?,
                None => for_each_piece(frames, done, len, |frame, offset, len| {
                    zero(frame, offset, len);
                    Ok(())
                })?,
            }
            done += len;
        }
        requests.submit();
        Ok(())
    }
}

/// Gathers what lies together on the device into one request.
struct Requests<'a> {
    content: &'a Content,
    completion: &'a Arc<Completion>,
    sector: u64,
    segments: Vec<Segment>,
}

impl Requests<'_> {
    /// `len` bytes of `frames` from `at` on are at byte `stored` of the device; all multiples of a sector.
    fn add(&mut self, frames: &[Frame], at: u64, len: u64, stored: u64) -> Result<()> {
        let sector = stored / SECTOR_LEN as u64;
        let gathered: usize = self.segments.iter().map(|segment| segment.len).sum();
        if self.sector + (gathered / SECTOR_LEN) as u64 != sector {
            self.submit();
            self.sector = sector;
        }
        for_each_piece(frames, at, len, |frame, offset, len| self.add_piece(frame, offset, len))
    }

    fn add_piece(&mut self, frame: &Frame, offset: usize, len: usize) -> Result<()> {
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

    fn submit(&mut self) {
        let segments = core::mem::take(&mut self.segments);
        let device = &*self.content.volume.device;
        block::start(device, Operation::Read, self.sector, segments, self.completion);
    }
}

/// Splits the bytes `at .. at + len` of `frames` into pieces of one frame each.
fn for_each_piece(
    frames: &[Frame],
    at: u64,
    len: u64,
    mut each: impl FnMut(&Frame, usize, usize) -> Result<()>,
) -> Result<()> {
    let mut at = at as usize;
    let end = at + len as usize;
    while at < end {
        let offset = at % PAGE_SIZE;
        let len = (PAGE_SIZE - offset).min(end - at);
        each(&frames[at / PAGE_SIZE], offset, len)?;
        at += len;
    }
    Ok(())
}

fn zero(frame: &Frame, offset: usize, len: usize) {
    const ZEROS: [u8; 1024] = [0; 1024];
    let end = offset + len;
    for start in (offset..end).step_by(ZEROS.len()) {
        frame.write(start, &ZEROS[..ZEROS.len().min(end - start)]);
    }
}
