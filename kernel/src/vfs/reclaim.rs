//! Giving page-cache pages back when memory runs short.
//!
//! Every cache that can read its pages again is on one list. Each pass takes the cache at the front, lets it give up
//! pages that were not used since the last pass (second chance), mapped ones too, and puts it at the back. What is dirty, or
//! whose file or mappings somebody works on just then, is passed over: it may go a little later, which who has found
//! nothing else waits for.
//!
//! Locks: `RECLAIMING` (sleeping), held by the one who does it; under it no lock is waited for that others hold while they
//! wait. `CACHES` (rank Table), never held while a cache is worked on.

use alloc::collections::VecDeque;
use alloc::sync::Weak;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use machine::mm::FrameKind;
use machine::mm::frame;
use machine::sync::{Mutex, Rank, SpinLock};

/// A cache whose pages can be read again.
pub(super) trait Reclaimable: Send + Sync {
    /// Pages it holds.
    fn page_count(&self) -> usize;

    /// Gives up pages that were not used lately and that nobody needs to stay, about `wanted`; how many. Looks at no more
    /// than `looks` pages.
    fn evict(&self, wanted: usize, looks: usize) -> usize;
}

/// Pages that one look at a cache may cover.
const LOOKS: usize = 256;
/// Rounds after which what could go has gone, when each covers all pages.
const THOROUGH_ROUNDS: usize = 4;

/// How many times it is tried to find a page that can go, and what is waited in between.
const PATIENCE: usize = 32;
const PAUSE: Duration = Duration::from_millis(10);
/// As many pages may be left that have to stay, such as locked ones, before they are waited for.
const FEW: usize = 64;

static CACHES: SpinLock<VecDeque<Weak<dyn Reclaimable>>> = SpinLock::new("page caches", Rank::Table, VecDeque::new());

static RECLAIMING: Mutex<()> = Mutex::new("reclaim", ());

/// Pages given back so far.
static FREED: AtomicUsize = AtomicUsize::new(0);

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
    if is_short(pages) {
        // If another does it already, that will do.
        if let Some(_one) = RECLAIMING.try_lock() {
            go_around(pages.max(32), 2, LOOKS);
        }
    }
}

/// Whether there is no room for `pages` frames beside those that are kept free.
pub(super) fn is_short(pages: usize) -> bool {
    frame::count(FrameKind::Free) < frame::total() / 16 + pages
}

/// For when there is nothing left: gives back at least `wanted` page-cache pages if that many need not stay; how many. Only
/// clean pages go; if none can, but there are more than a few, it is tried again for some time. Called with any sleeping
/// locks held.
pub fn reclaim(wanted: usize) -> usize {
    for _ in 0..PATIENCE {
        let freed = reclaim_at_once(wanted);
        if freed > 0 || !has_busy() {
            return freed;
        }
        crate::sched::sleep(PAUSE);
    }
    0
}

/// How often frames were wanted back for one purpose. It may be needed more than once: others take them at the same time.
#[derive(Default)]
pub struct Tries(u32);

impl Tries {
    /// When there was no frame: gives some back; whether it may be tried again. Called as [`reclaim`] is.
    pub fn again(&mut self) -> bool {
        const MOST: u32 = 16;
        const WANTED: usize = 64;
        self.0 += 1;
        self.0 <= MOST && reclaim(WANTED) > 0
    }
}

/// Whether more than a few pages could go but for what is done with them just now.
fn has_busy() -> bool {
    let nth = |at: usize| CACHES.lock().get(at).cloned();
    let pages = (0..).map_while(nth).map(|cache| cache.upgrade().map_or(0, |cache| cache.page_count()));
    pages.sum::<usize>() > FEW
}

fn reclaim_at_once(wanted: usize) -> usize {
    let before = FREED.load(Ordering::Relaxed);
    let _one = RECLAIMING.lock();
    // What another has given back meanwhile is there for all.
    let by_others = FREED.load(Ordering::Relaxed).wrapping_sub(before);
    if by_others > 0 {
        return by_others;
    }
    match go_around(wanted, 2, LOOKS) {
        // A mapped page loses its second chance in the cache first, and then in the page tables.
        0 => go_around(wanted, THOROUGH_ROUNDS, usize::MAX),
        freed => freed,
    }
}

/// Lets each cache have its turn up to `rounds` times, and look at `looks` pages, or at a quarter of what it has.
fn go_around(wanted: usize, rounds: usize, looks: usize) -> usize {
    let mut freed = 0;
    let mut turns = CACHES.lock().len().saturating_mul(rounds);
    while freed < wanted && turns > 0 {
        turns -= 1;
        let Some(front) = CACHES.lock().pop_front() else { break };
        let Some(cache) = front.upgrade() else { continue };
        let looks = looks.max(cache.page_count() / 4);
        freed += cache.evict(wanted - freed, looks);
        CACHES.lock().push_back(front);
    }
    FREED.fetch_add(freed, Ordering::Relaxed);
    freed
}
