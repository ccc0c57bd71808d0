//! Dirty sectors of a cache, and writing them back.
//!
//! Stores through shared mappings are noticed by the first one's fault: the page is dirty from then on. When it is written
//! back it is write-protected first, in all mappings, and after that is clean until the next store faults.

use super::super::Result;
use super::{BATCH_PAGES, Origin, PageCache, Revoke};
use crate::block::Completion;
use abi::Errno;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use drivers::block::SECTOR_LEN;
use machine::PAGE_SIZE;
use machine::mm::Frame;

/// Dirty pages of all caches.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// Pages that are on their way at once when a cache is written back.
const PAGES_UNDER_WAY: usize = 8 * BATCH_PAGES;

/// A page to be written back.
pub struct DirtyPage {
    /// Its number.
    pub index: u64,
    /// What it holds.
    pub frame: Frame,
    /// Its dirty sectors, one bit each.
    pub sectors: u8,
    /// Mappings may have stored behind the end of the file too.
    pub mapped: bool,
}

impl DirtyPage {
    /// The dirty bytes of the page, sectors that follow each other together.
    pub fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let sectors = u16::from(self.sectors);
        let mut next = 0;
        core::iter::from_fn(move || {
            let rest = sectors >> next;
            if rest == 0 {
                return None;
            }
            let first = next + rest.trailing_zeros();
            next = first + (sectors >> first).trailing_ones();
            Some(first as usize * SECTOR_LEN..next as usize * SECTOR_LEN)
        })
    }
}

/// Dirty pages of all caches.
pub fn dirty_total() -> usize {
    TOTAL.load(Ordering::Relaxed)
}

impl PageCache {
    /// The bytes `start .. end` have been written to pages that are here: their sectors are dirty. A page that is not
    /// here any more has been cut off.
    pub fn mark_dirty(&self, start: u64, end: u64) {
        self.mark(start, end, false);
    }

    /// A shared mapping may write to the bytes `start .. end` from now on. To be called with the lock of the areas that
    /// says so: who takes the right away again comes by there.
    pub fn mark_mapped(&self, start: u64, end: u64) {
        self.mark(start, end, true);
    }

    fn mark(&self, start: u64, end: u64, mapped: bool) {
        let page_len = PAGE_SIZE as u64;
        let mut state = self.state.lock();
        let mut newly = 0;
        for (&index, page) in state.pages.range_mut(start / page_len..end.div_ceil(page_len)) {
            let first = start.saturating_sub(index * page_len).min(page_len) as usize / SECTOR_LEN;
            let last = ((end - index * page_len).min(page_len) as usize).div_ceil(SECTOR_LEN);
            let sectors = (0xff_u16 << first & !(0xffff << last)) as u8;
            newly += isize::from(!page.is_pending() && sectors != 0);
            page.dirty |= sectors;
            page.mapped |= if mapped { sectors } else { 0 };
            page.referenced = true;
        }
        self.count_dirty(newly);
    }

    /// Pages with dirty sectors.
    pub fn dirty_pages(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    /// Writes all dirty sectors back, and sleeps until that is done. Pages dirtied meanwhile may stay so. A failure is
    /// also kept for [`take_failure`](Self::take_failure); what could not be written is not tried again.
    pub fn write_back(&self) -> Result<()> {
        let Origin::Stored(backing) = &self.origin else { return Ok(()) };
        if self.dirty_pages() == 0 {
            return Ok(());
        }
        let _held = self.writing_back.lock();
        let mut next = 0;
        let mut result = Ok(());
        loop {
            let completion = Completion::new();
            let mut under_way = 0;
            let mut started = Ok(());
            while under_way < PAGES_UNDER_WAY {
                let pages = self.take_dirty(next)?;
                let Some(last) = pages.last() else { break };
                next = last.index + 1;
                under_way += pages.len();
                self.protect(&pages);
                started = started.and(backing.start_write(&pages, &completion));
            }
            completion.all_started(true);
            let written = started.and(completion.wait().map_err(|_| Errno::EIO));
            if written.is_err() {
                self.failed.store(true, Ordering::Relaxed);
                result = written;
            }
            if under_way == 0 {
                return result;
            }
        }
    }

    /// Whether writing back has failed since this was last asked.
    pub fn take_failure(&self) -> bool {
        self.failed.swap(false, Ordering::Relaxed)
    }

    /// Keeps mappings from storing to those of `pages` that they may store to, so that the next store is noticed.
    fn protect(&self, pages: &[DirtyPage]) {
        let mut mapped = pages.iter().filter(|page| page.mapped).map(|page| page.index);
        if let Some(first) = mapped.next() {
            let last = mapped.next_back().unwrap_or(first);
            self.revoke(first..last + 1, Revoke::Stores);
        }
    }

    /// The next dirty pages from `first` on, which are clean from now on.
    fn take_dirty(&self, first: u64) -> Result<Vec<DirtyPage>> {
        let mut pages = Vec::new();
        pages.try_reserve_exact(BATCH_PAGES).map_err(|_| Errno::ENOMEM)?;
        let mut state = self.state.lock();
        let mut clean = 0;
        for (&index, page) in state.pages.range_mut(first..).filter(|(_, page)| page.is_pending()).take(BATCH_PAGES) {
            let mapped = core::mem::take(&mut page.mapped);
            let sectors = core::mem::take(&mut page.dirty) | mapped;
            clean += 1;
            pages.push(DirtyPage { index, frame: page.frame.clone(), sectors, mapped: mapped != 0 });
        }
        self.count_dirty(-clean);
        Ok(pages)
    }

    /// Gives up clean pages of the bytes `start .. end`: what they hold is not what is stored.
    pub fn discard_clean(&self, start: u64, end: u64) {
        let page_len = PAGE_SIZE as u64;
        let mut state = self.state.lock();
        let range = start / page_len..end.div_ceil(page_len);
        let clean = state.pages.range(range).filter(|(_, page)| !page.is_pending() && page.idle());
        let numbers: Vec<u64> = clean.map(|(&index, _)| index).collect();
        let removed: Vec<_> = numbers.iter().filter_map(|index| state.pages.remove(index)).collect();
        drop(state);
        if !removed.is_empty() {
            self.mappers.count_revocation();
            self.revoke(start / page_len..end.div_ceil(page_len), Revoke::Pages);
        }
    }

    pub(super) fn count_dirty(&self, by: isize) {
        self.dirty.fetch_add(by as usize, Ordering::Relaxed);
        TOTAL.fetch_add(by as usize, Ordering::Relaxed);
    }
}
