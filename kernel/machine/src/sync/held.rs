//! Lists of held locks, for [`super::lockdep`]; debug builds only. Each CPU has one of its spinlocks, each task one of
//! its sleeping locks.
//!
//! A list is changed by its owner alone (a CPU's with interrupts off). Others may copy it: a version that is odd while
//! the list changes tells whether the copy is whole (a sequence lock), so every word is atomic, and the words are made
//! references again only once the copy is known to be whole.

use super::guard::IrqGuard;
use super::rank::Rank;
use crate::cpu::CpuId;
use crate::percpu;
use core::panic::Location;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};

/// Locks that are noted; deeper ones are only counted.
const DEPTH: usize = 16;
/// Tries for a copy of another CPU's list between two changes.
const COPY_TRIES: u32 = 1000;

/// A held lock.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Address of the lock.
    pub lock: usize,
    /// Its class in the order graph.
    pub class: usize,
    /// Its name.
    pub name: &'static str,
    /// Its rank.
    pub rank: Rank,
    /// Where it was taken.
    pub place: &'static Location<'static>,
    /// TSC when it was taken.
    pub since: u64,
}

/// The locks of a list, outermost first.
pub type HeldLocks = [Option<Held>; DEPTH];

/// One [`Held`] in words.
#[repr(C)]
pub(crate) struct Slot {
    lock: AtomicUsize,
    class: AtomicUsize,
    name: AtomicPtr<u8>,
    name_len: AtomicUsize,
    rank: AtomicUsize,
    place: AtomicPtr<Location<'static>>,
    since: AtomicUsize,
}

/// What a [`Slot`] holds, in its order.
type Words = (usize, usize, *mut u8, usize, usize, *mut Location<'static>, usize);

/// A list of held locks.
#[repr(C)]
pub(crate) struct List {
    /// Odd while the list changes.
    version: AtomicU32,
    count: AtomicUsize,
    slots: [Slot; DEPTH],
}

percpu! {
    pub(crate) static HELD: List = List::new();
}

/// Calls `f` with this CPU's own list, which stays its own meanwhile.
pub(super) fn with_own<R>(f: impl FnOnce(&List) -> R) -> R {
    let guard = IrqGuard::quiet();
    f(HELD.get(&guard))
}

/// The spinlocks `cpu` holds at this moment; None if the list changes too fast to be copied, or the CPU is not up.
pub(super) fn of(cpu: CpuId) -> Option<HeldLocks> {
    HELD.on(cpu)?.copy()
}

impl List {
    /// An empty list.
    pub(crate) const fn new() -> List {
        List {
            version: AtomicU32::new(0),
            count: AtomicUsize::new(0),
            slots: [const {
                Slot {
                    lock: AtomicUsize::new(0),
                    class: AtomicUsize::new(0),
                    name: AtomicPtr::new(core::ptr::null_mut()),
                    name_len: AtomicUsize::new(0),
                    rank: AtomicUsize::new(0),
                    place: AtomicPtr::new(core::ptr::null_mut()),
                    since: AtomicUsize::new(0),
                }
            }; DEPTH],
        }
    }

    /// The locks at this moment, for whoever does not own the list; None if it changes too fast.
    pub(super) fn copy(&self) -> Option<HeldLocks> {
        (0..COPY_TRIES).find_map(|_| {
            let version = self.version.load(Ordering::Acquire);
            let (words, count) = self.words();
            fence(Ordering::Acquire);
            let whole = version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
            // SAFETY: (1) the version was even and the same before and after, so nothing was stored in between.
            whole.then(|| unsafe { references(&words[..count]) })
        })
    }

    /// The first thing that `f` finds in one of the locks, outermost first; for the owner. What an interrupt adds
    /// meanwhile it takes away again.
    pub(super) fn find_own<R>(&self, mut f: impl FnMut(&Held) -> Option<R>) -> Option<R> {
        let count = self.count.load(Ordering::Relaxed).min(DEPTH);
        self.slots[..count].iter().find_map(|slot| {
            // SAFETY: (1) only the owner changes the entry, and that is the caller.
            f(&unsafe { reference(slot.load()) })
        })
    }

    /// The owner notes `held`.
    pub(super) fn push(&self, held: Held) {
        self.change(|count| {
            if let Some(slot) = self.slots.get(count) {
                let (name, place) = (held.name.as_ptr().cast_mut(), (&raw const *held.place).cast_mut());
                let rank = held.rank as usize;
                slot.store((held.lock, held.class, name, held.name.len(), rank, place, held.since as usize));
            }
            count + 1
        });
    }

    /// The owner has released the lock at this address; when it had been taken, by TSC.
    pub(super) fn remove(&self, lock: usize) -> Option<u64> {
        let mut since = None;
        self.change(|count| {
            let noted = count.min(DEPTH);
            let is_it = |slot: &Slot| slot.lock.load(Ordering::Relaxed) == lock;
            if let Some(at) = self.slots[..noted].iter().rposition(is_it) {
                since = Some(self.slots[at].since.load(Ordering::Relaxed) as u64);
                for index in at + 1..noted {
                    self.slots[index - 1].store(self.slots[index].load());
                }
            }
            count.saturating_sub(1)
        });
        since
    }

    /// Lets `change` store to the slots, given how many are in use; it gives the new number.
    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.count.store(change(self.count.load(Ordering::Relaxed)), Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    fn words(&self) -> ([Words; DEPTH], usize) {
        let count = self.count.load(Ordering::Relaxed).min(DEPTH);
        let mut words = [(0, 0, core::ptr::null_mut(), 0, 0, core::ptr::null_mut(), 0); DEPTH];
        for (words, slot) in words.iter_mut().zip(&self.slots[..count]) {
            *words = slot.load();
        }
        (words, count)
    }
}

impl Slot {
    fn store(&self, (lock, class, name, name_len, rank, place, since): Words) {
        self.lock.store(lock, Ordering::Relaxed);
        self.class.store(class, Ordering::Relaxed);
        self.name.store(name, Ordering::Relaxed);
        self.name_len.store(name_len, Ordering::Relaxed);
        self.rank.store(rank, Ordering::Relaxed);
        self.place.store(place, Ordering::Relaxed);
        self.since.store(since, Ordering::Relaxed);
    }

    fn load(&self) -> Words {
        let (lock, class) = (self.lock.load(Ordering::Relaxed), self.class.load(Ordering::Relaxed));
        let (name, name_len) = (self.name.load(Ordering::Relaxed), self.name_len.load(Ordering::Relaxed));
        let (rank, place) = (self.rank.load(Ordering::Relaxed), self.place.load(Ordering::Relaxed));
        (lock, class, name, name_len, rank, place, self.since.load(Ordering::Relaxed))
    }
}

/// # Safety
/// 1. The words were stored by [`List::push`], each entry as a whole.
unsafe fn references(words: &[Words]) -> HeldLocks {
    let mut locks = [None; DEPTH];
    for (entry, &words) in locks.iter_mut().zip(words) {
        // SAFETY: (1) as the caller promises.
        *entry = Some(unsafe { reference(words) });
    }
    locks
}

/// # Safety
/// 1. The words were stored by [`List::push`], as a whole.
unsafe fn reference((lock, class, name, name_len, rank, place, since): Words) -> Held {
    // SAFETY: (1) pointer and length came from one `&'static str`.
    let name = unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(name, name_len)) };
    // SAFETY: (1) the number came from a `Rank`, which is a `u8`; the pointer from a `&'static Location`.
    let (rank, place) = unsafe { (core::mem::transmute::<u8, Rank>(rank as u8), &*place.cast_const()) };
    Held { lock, class, name, rank, place, since: since as u64 }
}
