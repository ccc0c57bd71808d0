//! The spinlocks each CPU holds, for [`super::lockdep`]; debug builds only.
//!
//! A CPU's list is changed by that CPU alone, with interrupts off. Others may copy it: a version that is odd while
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
    /// Its name.
    pub name: &'static str,
    /// Its rank.
    pub rank: Rank,
    /// Where it was taken.
    pub place: &'static Location<'static>,
}

/// The locks one CPU holds, outermost first.
pub type HeldLocks = [Option<Held>; DEPTH];

/// One [`Held`] in words.
struct Slot {
    name: AtomicPtr<u8>,
    name_len: AtomicUsize,
    rank: AtomicUsize,
    place: AtomicPtr<Location<'static>>,
}

/// What a [`Slot`] holds: name, its length, rank, place.
type Words = (*mut u8, usize, usize, *mut Location<'static>);

struct List {
    /// Odd while the list changes.
    version: AtomicU32,
    count: AtomicUsize,
    slots: [Slot; DEPTH],
}

percpu! {
    static HELD: List = List {
        version: AtomicU32::new(0),
        count: AtomicUsize::new(0),
        slots: [const { Slot {
            name: AtomicPtr::new(core::ptr::null_mut()),
            name_len: AtomicUsize::new(0),
            rank: AtomicUsize::new(0),
            place: AtomicPtr::new(core::ptr::null_mut()),
        } }; DEPTH],
    };
}

/// The locks this CPU holds.
pub(super) fn own() -> HeldLocks {
    let guard = IrqGuard::quiet();
    let (words, count) = HELD.get(&guard).words();
    // SAFETY: (1) this CPU alone changes the list, and it is here, with interrupts off.
    unsafe { references(&words[..count]) }
}

/// The outermost lock this CPU holds that is of `rank` or above.
pub(super) fn own_from(rank: Rank) -> Option<Held> {
    let guard = IrqGuard::quiet();
    let list = HELD.get(&guard);
    let count = list.count.load(Ordering::Relaxed).min(DEPTH);
    let found = list.slots[..count].iter().find(|slot| slot.rank.load(Ordering::Relaxed) >= rank as usize)?;
    // SAFETY: (1) as in `own`.
    let found = unsafe { references(&[found.load()]) };
    found[0]
}

/// The locks `cpu` holds at this moment; None if the list changes too fast to be copied, or the CPU is not up.
pub(super) fn of(cpu: CpuId) -> Option<HeldLocks> {
    let list = HELD.on(cpu)?;
    (0..COPY_TRIES).find_map(|_| {
        let version = list.version.load(Ordering::Acquire);
        let (words, count) = list.words();
        fence(Ordering::Acquire);
        let whole = version.is_multiple_of(2) && list.version.load(Ordering::Relaxed) == version;
        // SAFETY: (1) the version was even and the same before and after, so nothing was stored in between.
        whole.then(|| unsafe { references(&words[..count]) })
    })
}

/// Notes that this CPU holds `held`.
pub(super) fn push(held: Held) {
    let guard = IrqGuard::quiet();
    let list = HELD.get(&guard);
    list.change(|count| {
        if let Some(slot) = list.slots.get(count) {
            let (name, place) = (held.name.as_ptr().cast_mut(), (&raw const *held.place).cast_mut());
            slot.store((name, held.name.len(), held.rank as usize, place));
        }
        count + 1
    });
}

/// Notes that this CPU has released the lock called `name`: the innermost of that name.
pub(super) fn remove(name: &'static str) {
    let guard = IrqGuard::quiet();
    let list = HELD.get(&guard);
    list.change(|count| {
        let noted = count.min(DEPTH);
        let is_it = |slot: &Slot| slot.load().0 == name.as_ptr().cast_mut() && slot.load().1 == name.len();
        if let Some(at) = list.slots[..noted].iter().rposition(is_it) {
            for index in at + 1..noted {
                list.slots[index - 1].store(list.slots[index].load());
            }
        }
        count.saturating_sub(1)
    });
}

impl List {
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
        (core::array::from_fn(|index| self.slots[index].load()), count)
    }
}

impl Slot {
    fn store(&self, (name, name_len, rank, place): Words) {
        self.name.store(name, Ordering::Relaxed);
        self.name_len.store(name_len, Ordering::Relaxed);
        self.rank.store(rank, Ordering::Relaxed);
        self.place.store(place, Ordering::Relaxed);
    }

    fn load(&self) -> Words {
        let (name, name_len) = (self.name.load(Ordering::Relaxed), self.name_len.load(Ordering::Relaxed));
        (name, name_len, self.rank.load(Ordering::Relaxed), self.place.load(Ordering::Relaxed))
    }
}

/// # Safety
/// 1. The words were stored by [`push`], each entry as a whole.
unsafe fn references(words: &[Words]) -> HeldLocks {
    let mut locks = [None; DEPTH];
    for (lock, &(name, name_len, rank, place)) in locks.iter_mut().zip(words) {
        // SAFETY: (1) pointer and length came from one `&'static str`.
        let name = unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(name, name_len)) };
        // SAFETY: (1) the number came from a `Rank`, which is a `u8`; the pointer from a `&'static Location`.
        let (rank, place) = unsafe { (core::mem::transmute::<u8, Rank>(rank as u8), &*place.cast_const()) };
        *lock = Some(Held { name, rank, place });
    }
    locks
}
