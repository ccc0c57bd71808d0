//! What memory mappings want of an open file: its pages.

use super::Result;
use super::file::File;
use super::page_cache::{CachedPages, Mapper, PageCache};
use abi::Errno;
use alloc::sync::Arc;
use machine::PAGE_SIZE;
use machine::mm::Frame;

impl File {
    /// The page `index` of a regular file, shared with its cache: for mappings and program loading. EFAULT beyond the
    /// last page, ENODEV if the file has no pages.
    pub fn page(&self, index: u64) -> Result<Frame> {
        let (inode, pages) = self.paged().ok_or(Errno::ENODEV)?;
        let end = inode.size().div_ceil(PAGE_SIZE as u64);
        if index >= end {
            return Err(Errno::EFAULT);
        }
        self.start_reading(pages, index, 1, end);
        pages.page(index)
    }

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

    /// Shows `look` those of `count` pages of a regular file from number `first` on that are in memory, each with its
    /// distance from `first`. Waits for nothing; the cache's spinlock is held meanwhile. None if the file has no pages.
    pub fn with_cached_pages<R>(&self, first: u64, count: usize, look: impl FnOnce(CachedPages<'_>) -> R) -> Option<R> {
        let (inode, pages) = self.paged()?;
        let end = inode.size().div_ceil(PAGE_SIZE as u64);
        Some(pages.with_cached(first, end.saturating_sub(first).min(count as u64), look))
    }

    /// Page number `index` of a regular file if it is in memory. Waits for nothing.
    pub fn cached_page(&self, index: u64) -> Option<Frame> {
        self.with_cached_pages(index, 1, |mut pages| pages.next().map(|(_, frame)| frame.clone()))?
    }

    /// Starts to read `count` pages of a regular file from number `first` on, as far as there are any.
    pub fn read_ahead(&self, first: u64, count: u64) {
        let Some((inode, pages)) = self.paged() else { return };
        let end = inode.size().div_ceil(PAGE_SIZE as u64);
        pages.read_ahead(first, end.saturating_sub(first).min(count) as usize);
    }

    /// `mapper` is about to map pages; called with the lock under which it does.
    pub fn register_mapper(&self, mapper: &Arc<dyn Mapper>) -> Result<()> {
        self.paged().map_or(Ok(()), |(_, pages)| pages.register_mapper(mapper))
    }

    /// Whether its pages are those of `cache`.
    pub fn is_paged_by(&self, cache: &PageCache) -> bool {
        self.paged().is_some_and(|(_, pages)| core::ptr::eq(&**pages, cache))
    }

    /// How many times pages have been taken away from mappings because the file has changed.
    pub fn revocations(&self) -> u64 {
        self.paged().map_or(0, |(_, pages)| pages.revocations())
    }

    /// A shared mapping may store to the page `index` from now on, which [`File::page_dirtied`] was told of after
    /// `revocations` had been looked up; false if that does not hold any more. Called with the lock under which it is
    /// mapped, and does not wait.
    pub fn expect_stores(&self, index: u64, revocations: u64) -> bool {
        let Some((inode, pages)) = self.paged() else { return false };
        let holds = pages.revocations() == revocations;
        if holds {
            inode.page_writable(index);
        }
        holds
    }

    /// A shared mapping is about to write to the page `index` of a regular file: it is to have room. ENOSPC if there is
    /// none, EFAULT beyond the last page.
    pub fn page_dirtied(&self, index: u64) -> Result<()> {
        let (inode, _) = self.paged().ok_or(Errno::ENODEV)?;
        if index >= inode.size().div_ceil(PAGE_SIZE as u64) {
            return Err(Errno::EFAULT);
        }
        inode.page_dirtied(index)
    }
}
