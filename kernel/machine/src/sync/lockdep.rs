//! The order of spinlocks: each has a rank, and a CPU takes them by rising rank only.
//!
//! Checked in debug builds: the locks a CPU holds are noted in a per-CPU list, and taking one whose rank is not above
//! all held ones panics with both names. In release builds every function here is empty. `try_lock` cannot deadlock,
//! so it is noted but not checked.

#[cfg(debug_assertions)]
use super::held::{self, Held};
use super::rank::Rank;
use crate::cpu::CpuId;
use core::panic::Location;

/// Spins after which waiting for a lock is reported, some seconds in all cases.
pub(crate) const SPINS_TOO_LONG: u64 = 1 << 32;

/// Notes that `name` is about to be taken, and checks its rank.
#[inline]
#[track_caller]
pub(crate) fn acquire(name: &'static str, rank: Rank) {
    #[cfg(debug_assertions)]
    {
        let place = Location::caller();
        if let Some(other) = held::own_from(rank).filter(|_| !crate::panic::panicking()) {
            panic!(
                "lock order: taking {name:?} ({rank:?}) at {place} while holding {:?} ({:?}) taken at {}",
                other.name, other.rank, other.place
            );
        }
        held::push(Held { name, rank, place });
    }
    #[cfg(not(debug_assertions))]
    let _ = (name, rank);
}

/// Notes a lock taken by `try_lock`.
#[inline]
#[track_caller]
pub(crate) fn acquire_unordered(name: &'static str, rank: Rank) {
    #[cfg(debug_assertions)]
    held::push(Held { name, rank, place: Location::caller() });
    #[cfg(not(debug_assertions))]
    let _ = (name, rank);
}

/// Notes that the lock `name` is released.
#[inline]
pub(crate) fn release(name: &'static str) {
    #[cfg(debug_assertions)]
    held::remove(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Calls `f` with name and rank of every spinlock this CPU holds, and where it was taken. Empty in release builds.
pub fn for_each_held(mut f: impl FnMut(&'static str, Rank, &'static Location<'static>)) {
    #[cfg(debug_assertions)]
    held::own().into_iter().flatten().for_each(|lock| f(lock.name, lock.rank, lock.place));
    #[cfg(not(debug_assertions))]
    let _ = &mut f;
}

/// Like [`for_each_held`], for another CPU at this moment. False if its locks change too fast to be told, or in a
/// release build.
pub fn for_each_held_by(cpu: CpuId, mut f: impl FnMut(&'static str, Rank, &'static Location<'static>)) -> bool {
    #[cfg(debug_assertions)]
    {
        let locks = held::of(cpu);
        locks.into_iter().flatten().flatten().for_each(|lock| f(lock.name, lock.rank, lock.place));
        locks.is_some()
    }
    #[cfg(not(debug_assertions))]
    {
        let _ = (cpu, &mut f);
        false
    }
}

/// Whether this CPU holds any spinlock, as far as the build knows.
pub fn holds_any() -> bool {
    let mut any = false;
    for_each_held(|_, _, _| any = true);
    any
}

#[cold]
pub(crate) fn report_long_wait(name: &'static str) {
    crate::console::emergency(format_args!("lock {name:?}: awaited for a very long time; is its holder stuck?\n"));
}
