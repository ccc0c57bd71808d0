//! Giving clean pages up when memory is short, by second chance: a hand goes around, and a page goes that was not used since
//! it last came by. A page that is mapped has its use noted by the CPUs in the page tables as well; it is taken from all
//! its mappings first, and goes if nobody maps it anew before the look that removes it.
//!
//! Whoever seeks memory may hold any sleeping lock, so none is waited for here.

use super::{Origin, PageCache, Revoke};
use crate::vfs::reclaim::{self, Reclaimable};
use alloc::vec::Vec;

/// Mapped pages that one look may try to take from their mappings.
const MAPPED_AT_ONCE: usize = 256;

/// Pages that a writer has for itself when memory is short.
const WRITER_PAGES: usize = 64;

/// What a look has found that could go.
#[derive(Default)]
struct Candidates {
    /// In use by nobody.
    free: Vec<u64>,
    /// In use by mappings, or by somebody else.
    in_use: Vec<u64>,
}

impl Reclaimable for PageCache {
    fn page_count(&self) -> usize {
        self.len()
    }

    fn evict(&self, wanted: usize, looks: usize) -> usize {
        if let Origin::Memory(_) = self.origin {
            return 0;
        }
        // What is being written is in the pages before it is dirty.
        self.writer.try_lock().map_or(0, |_writer| self.evict_as_writer(wanted, looks))
    }
}

impl PageCache {
    /// Gives up own pages if memory is short, which nobody else can while the caller holds the writer lock. No page may be
    /// filled that is not dirty yet.
    pub fn make_room_as_writer(&self) {
        if let Origin::Stored(_) = self.origin
            && reclaim::is_short(WRITER_PAGES)
        {
            self.evict_as_writer(WRITER_PAGES, self.len() / 4);
        }
    }

    /// As [`Reclaimable::evict`], with the writer lock held.
    fn evict_as_writer(&self, wanted: usize, looks: usize) -> usize {
        let (mut freed, mut left) = (0, looks.min(self.len()));
        let mut found = Candidates::default();
        if found.free.try_reserve(wanted.min(left)).is_err() {
            return 0;
        }
        if self.mappers.any() && found.in_use.try_reserve(MAPPED_AT_ONCE).is_err() {
            return 0;
        }
        while freed < wanted && left > 0 {
            let looked = self.look(wanted - freed, left, &mut found);
            freed += found.free.len() + self.evict_mapped(&found.in_use);
            left = if looked == 0 { 0 } else { left - looked };
            found.free.clear();
            found.in_use.clear();
        }
        freed
    }

    /// Moves the hand over `looks` pages at most, up to the last one. Takes out what nobody uses, and gathers what mappings
    /// may, within the room that there is. How many pages it has looked at.
    fn look(&self, wanted: usize, looks: usize, found: &mut Candidates) -> usize {
        let most_in_use = found.in_use.capacity();
        let mut state = self.state.lock();
        let state = &mut *state;
        let (mut hand, mut looked) = (state.hand, 0);
        for (&index, page) in state.pages.range_mut(hand..).take(looks) {
            if found.free.len() == wanted || most_in_use > 0 && found.in_use.len() == most_in_use {
                break;
            }
            hand = index + 1;
            looked += 1;
            let used = core::mem::replace(&mut page.referenced, false);
            if used || page.is_pending() || !page.idle() {
                continue;
            }
            match page.frame.references() {
                1 => found.free.push(index),
                _ if most_in_use > 0 => found.in_use.push(index),
                _ => {}
            }
        }
        state.hand = if state.pages.range(hand..).next().is_none() { 0 } else { hand };
        for index in &found.free {
            state.pages.remove(index);
        }
        looked
    }

    /// Takes `pages`, which rise, from the mappings that do not use them, and out of the cache if that was all; how many.
    fn evict_mapped(&self, pages: &[u64]) -> usize {
        let mut rest = pages;
        while let Some(&first) = rest.first() {
            let len = rest.iter().zip(first..).take_while(|(index, next)| **index == *next).count();
            self.revoke(first..first + len as u64, Revoke::Unused);
            rest = &rest[len..];
        }
        if pages.is_empty() {
            return 0;
        }
        let mut state = self.state.lock();
        let before = state.pages.len();
        for index in pages {
            let unused = state.pages.get(index).is_some_and(|page| {
                !page.referenced && !page.is_pending() && page.idle() && page.frame.references() == 1
            });
            if unused {
                state.pages.remove(index);
            }
        }
        before - state.pages.len()
    }
}
