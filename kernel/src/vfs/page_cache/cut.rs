//! What of a file is not there any more, or not yet: cutting, making holes, and growing.
//!
//! Each takes pages from their mappings, in this order: revocations are counted, so that a fault under way finds out; pages
//! leave the cache; then they leave the mappings. A page that is mapped afterwards is one of the file as it is now.

use super::{Origin, PageCache, Revoke};
use core::ops::Range;
use drivers::block::SECTOR_LEN;
use machine::PAGE_SIZE;

const PAGE: u64 = PAGE_SIZE as u64;

impl PageCache {
    /// Gives up all bytes from `size` on, which is the file's size now; the last page's rest included. No mapping has
    /// them any more, and what is being written back has been, when this returns.
    pub fn cut(&self, size: u64) {
        let _held = self.writing_back.lock();
        let (last, within) = (size / PAGE, (size % PAGE) as usize);
        let end = size.div_ceil(PAGE);
        self.mappers.count_revocation();
        let removed = {
            let mut state = self.state.lock();
            let removed = state.pages.split_off(&end);
            self.count_dirty(-(removed.values().filter(|page| page.is_pending()).count() as isize));
            removed
        };
        self.revoke(end..u64::MAX, Revoke::PagesAndCopies);
        if within != 0 {
            self.revoke(last..end, Revoke::Stores);
            self.clear(last, within..PAGE_SIZE);
        }
        if let Origin::Memory(quota) = &self.origin {
            quota.give(removed.len());
        }
    }

    /// Makes a hole of the bytes `start .. end` by `free`, while nothing is written back: no page and no mapping has what
    /// was there afterwards.
    pub fn punch<R, E>(
        &self,
        start: u64,
        end: u64,
        free: impl FnOnce() -> core::result::Result<R, E>,
    ) -> core::result::Result<R, E> {
        let _held = self.writing_back.lock();
        let freed = free()?;
        self.mappers.count_revocation();
        let (first, last) = (start.div_ceil(PAGE), end / PAGE);
        let mut removed = 0;
        if first < last {
            let mut next = self.next_present(first);
            while let Some(index) = next.filter(|&index| index < last) {
                let gone = self.state.lock().pages.remove(&index);
                if let Some(page) = gone {
                    self.count_dirty(-isize::from(page.is_pending()));
                    removed += 1;
                }
                next = self.next_present(index + 1);
            }
            self.revoke(first..last, Revoke::Pages);
        }
        let clear_part = |index: u64, from: u64, to: u64| {
            if from < to {
                self.revoke(index..index + 1, Revoke::Stores);
                self.clear(index, (from - index * PAGE) as usize..(to - index * PAGE) as usize);
            }
        };
        if start / PAGE == end / PAGE {
            clear_part(start / PAGE, start, end);
        } else {
            clear_part(start / PAGE, start, start.next_multiple_of(PAGE));
            clear_part(last, last * PAGE, end);
        }
        if let Origin::Memory(quota) = &self.origin {
            quota.give(removed);
        }
        Ok(freed)
    }

    /// The file, `size` bytes long until now, gets longer: what mappings have stored behind its end is not to be seen, and
    /// what they store there from now on is to be noticed. Called with the writer lock.
    pub fn extend(&self, size: u64) {
        let (last, within) = (size / PAGE, (size % PAGE) as usize);
        if within != 0 && self.mappers.any() {
            self.mappers.count_revocation();
            self.revoke(last..last + 1, Revoke::Stores);
            if let Some(frame) = self.present(last) {
                frame.fill_zero_from(within);
            }
        }
    }

    /// Makes a part of page `index` zeros, if the page is there; sectors in it are not dirty any more.
    fn clear(&self, index: u64, part: Range<usize>) {
        let Some(frame) = self.present(index) else { return };
        frame.fill_zero_in(part.clone());
        let mut state = self.state.lock();
        if let Some(page) = state.pages.get_mut(&index).filter(|page| page.is_pending()) {
            let sectors = (0xff_u16 << part.start.div_ceil(SECTOR_LEN) & !(0xffff << (part.end / SECTOR_LEN))) as u8;
            page.dirty &= !sectors;
            page.mapped &= !sectors;
            self.count_dirty(-isize::from(!page.is_pending()));
        }
    }
}
