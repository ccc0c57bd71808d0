//! Reading the pages of a file, several at a time where they are in memory.
//!
//! No lock is held while bytes go to the reader; the frames that are being read from are kept by their references.

use super::Result;
use super::file::File;
use super::inode::Inode;
use super::page_cache::PageCache;
use super::transfer::Sink;
use machine::PAGE_SIZE;

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages that are looked up at once.
const RUN_PAGES: usize = 16;

impl File {
    pub(super) fn read_pages(
        &self,
        inode: &dyn Inode,
        pages: &PageCache,
        mut at: u64,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        while sink.remaining() > 0 {
            // Looked at for each run: another may cut the file meanwhile.
            let size = inode.size();
            if at >= size {
                break;
            }
            let within = (at % PAGE) as usize;
            let left = usize::try_from(size - at).unwrap_or(usize::MAX).min(sink.remaining());
            let len = (PAGE_SIZE - within).min(left);
            let wanted = 1 + (left - len).div_ceil(PAGE_SIZE) as u64;
            self.start_reading(pages, at / PAGE, wanted, size.div_ceil(PAGE));
            if wanted > 1 {
                let moved = self.read_run(pages, at, left, sink)?;
                at += moved as u64;
                if moved > 0 {
                    continue;
                }
            }
            match pages.read(at / PAGE)? {
                Some(frame) => sink.put_frame(&frame, within, len)?,
                None => sink.zeros(len)?,
            }
            at += len as u64;
        }
        Ok(())
    }

    /// Reads at most `left` bytes from `at` on out of pages that are in memory one after the other, which one look finds.
    fn read_run(&self, pages: &PageCache, at: u64, left: usize, sink: &mut dyn Sink) -> Result<usize> {
        let mut run = [const { None }; RUN_PAGES];
        let within = (at % PAGE) as usize;
        let wanted = (within + left).div_ceil(PAGE_SIZE).min(RUN_PAGES);
        let count = pages.run(at / PAGE, &mut run[..wanted]);
        let mut moved = 0;
        for frame in run[..count].iter().flatten() {
            let offset = (within + moved) % PAGE_SIZE;
            let len = (PAGE_SIZE - offset).min(left - moved);
            sink.put_frame(frame, offset, len)?;
            moved += len;
        }
        if count > 1 {
            self.read_ahead.lock().went_on(at / PAGE + count as u64);
        }
        Ok(moved)
    }

    pub(super) fn start_reading(&self, pages: &PageCache, index: u64, wanted: u64, end: u64) {
        let ahead = self.read_ahead.lock().next(index, wanted, end);
        if let Some((first, count)) = ahead {
            pages.read_ahead(first, count);
        }
    }
}
