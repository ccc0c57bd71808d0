//! Giving page-cache pages back when memory runs short.
//!
//! Every cache that can read its pages again is on one list. Each pass takes the cache at the front, lets it give up
//! pages that were not used since the last pass (second chance), and puts it at the back.
//!
//! Lock: `CACHES` (rank Table), never held while a cache is worked on.

use alloc::collections::VecDeque;
use alloc::sync::Weak;
use machine::mm::FrameKind;
use machine::mm::frame;
use machine::sync::{Rank, SpinLock};

/// A cache whose pages can be read again.
pub(super) trait Reclaimable: Send + Sync {
    /// Pages it holds.
    fn page_count(&self) -> usize;

    /// Gives up at most `wanted` pages that nobody else uses and that were not used lately; how many. Looks at no more
    /// than `looks` pages.
    fn evict(&self, wanted: usize, looks: usize) -> usize;
}

/// Pages that one look at a cache may cover.
const LOOKS: usize = 256;

static CACHES: SpinLock<VecDeque<Weak<dyn Reclaimable>>> = SpinLock::new("page caches", Rank::Table, VecDeque::new());

/// Puts a cache on the list.
pub(super) fn register(cache: Weak<dyn Reclaimable>) {
    let mut caches = CACHES.lock();
    // The dead ones go when their turn comes; this bounds them where no memory is ever short.
    if caches.len() == caches.capacity() {
        caches.retain(|cache| cache.strong_count() > 0);
    }
    caches.push_back(cache);
}

/// Called before `pages` frames are taken for a cache: keeps a sixteenth of the memory free for everything else.
pub(super) fn make_room(pages: usize) {
    let low = frame::total() / 16;
    if frame::count(FrameKind::Free) < low + pages {
        reclaim(pages.max(32));
    }
}

/// Gives back at least `wanted` page-cache pages if that many are not in use; how many. Sleeps for no I/O: only clean
/// pages go.
pub fn reclaim(wanted: usize) -> usize {
    let mut freed = 0;
    // Twice around: the first time a page may only lose its second chance.
    let mut turns = CACHES.lock().len().saturating_mul(2);
    while freed < wanted && turns > 0 {
        turns -= 1;
        let Some(front) = CACHES.lock().pop_front() else { break };
        let Some(cache) = front.upgrade() else { continue };
        let looks = LOOKS.max(cache.page_count() / 4);
        freed += cache.evict(wanted - freed, looks);
        CACHES.lock().push_back(front);
    }
    freed
}
