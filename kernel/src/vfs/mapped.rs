//! What memory mappings want of an open file: its pages.

use super::Result;
use super::file::File;
use abi::Errno;
use machine::PAGE_SIZE;
use machine::mm::Frame;

impl File {
    /// The page `index` of a regular file, shared with its cache; if it has to be read, its neighbours among the `around`
    /// aligned pages are read with it. EFAULT beyond the last page, ENODEV if the file has no pages.
    pub fn page_around(&self, index: u64, around: u64) -> Result<Frame> {
        let (inode, pages) = self.paged().ok_or(Errno::ENODEV)?;
        let end = inode.size().div_ceil(PAGE_SIZE as u64);
        if index >= end {
            return Err(Errno::EFAULT);
        }
        let first = index - index % around;
        pages.read_ahead(first, around.min(end - first) as usize);
        pages.page(index)
    }

    /// Those pages of a regular file from number `first` on that are in memory, each into its place of `frames`. Waits for
    /// nothing.
    pub fn cached_pages(&self, first: u64, frames: &mut [Option<Frame>]) {
        let Some((inode, pages)) = self.paged() else { return };
        let end = inode.size().div_ceil(PAGE_SIZE as u64);
        let count = end.saturating_sub(first).min(frames.len() as u64) as usize;
        pages.cached(first, &mut frames[..count]);
    }

    /// Starts to read `count` pages of a regular file from number `first` on, as far as there are any.
    pub fn read_ahead(&self, first: u64, count: u64) {
        let Some((inode, pages)) = self.paged() else { return };
        let end = inode.size().div_ceil(PAGE_SIZE as u64);
        pages.read_ahead(first, end.saturating_sub(first).min(count) as usize);
    }
}
