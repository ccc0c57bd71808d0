//! What can go wrong with locks, noticed when it could happen rather than when it does.
//!
//! In debug builds the locks that each CPU and each task holds are noted, and it is a panic
//! - to take a spinlock while holding one of the same or a higher rank,
//! - to take any lock against an order seen before (`order`), which covers the sleeping locks, too,
//! - to take a spinlock in an interrupt that is elsewhere taken with interrupts on,
//! - to take a lock again that one holds.
//!
//! A spinlock held for long is reported. `try_lock` cannot deadlock, so it is noted but not checked. In release builds
//! all this is empty; what remains there, too, is that a lock that nobody gives back for [`STUCK_AFTER`] is a panic.

#[cfg(debug_assertions)]
use super::guard;
#[cfg(debug_assertions)]
use super::held::{self, Held};
#[cfg(debug_assertions)]
use super::order::{self, ClassOf};
use super::rank::Rank;
use crate::cpu::CpuId;
use crate::time;
use core::panic::Location;
use core::time::Duration;

/// A spinlock that has had the same holder for so long, while others wait, will not come back.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// A spinlock held for longer is reported.
#[cfg(debug_assertions)]
const LONG_HOLD: Duration = Duration::from_secs(2);

/// Who a lock is.
pub(super) struct Identity {
    pub(super) name: &'static str,
    #[cfg(debug_assertions)]
    rank: Rank,
    #[cfg(debug_assertions)]
    class: ClassOf,
}

impl Identity {
    pub(super) const fn new(name: &'static str, rank: Rank) -> Self {
        let _ = rank;
        Identity {
            name,
            #[cfg(debug_assertions)]
            rank,
            #[cfg(debug_assertions)]
            class: ClassOf::new(),
        }
    }

    #[cfg(debug_assertions)]
    fn address(&self) -> usize {
        &raw const *self as usize
    }

    #[cfg(debug_assertions)]
    fn held(&self, place: &'static Location<'static>) -> Held {
        let (lock, class) = (self.address(), self.class.get(self.name));
        Held { lock, class, name: self.name, rank: self.rank, place, since: time::tsc() }
    }
}

/// What is to be noted once a spinlock is taken.
#[cfg(debug_assertions)]
pub(super) type Taking = Held;
/// Nothing.
#[cfg(not(debug_assertions))]
pub(super) type Taking = ();

/// Checks that a spinlock may be taken here.
#[inline]
#[track_caller]
pub(super) fn acquire(lock: &Identity) -> Taking {
    #[cfg(debug_assertions)]
    return check(lock.held(Location::caller()), false);
    #[cfg(not(debug_assertions))]
    let _ = lock;
}

/// Checks that a spinlock may be taken here while others of its rank are held, in an order that the caller knows of.
#[inline]
#[track_caller]
pub(super) fn acquire_nested(lock: &Identity) -> Taking {
    #[cfg(debug_assertions)]
    return check(lock.held(Location::caller()), true);
    #[cfg(not(debug_assertions))]
    let _ = lock;
}

#[cfg(debug_assertions)]
fn check(taken: Held, nested: bool) -> Taking {
    if !crate::panic::panicking() {
        check_rank(&taken, nested);
        check_order(&taken);
        check_interrupts(&taken, guard::in_interrupt());
    }
    taken
}

/// Notes that the spinlock is taken.
#[inline]
pub(super) fn acquired(taking: Taking) {
    #[cfg(debug_assertions)]
    held::with_own(|list| list.push(Held { since: time::tsc(), ..taking }));
    #[cfg(not(debug_assertions))]
    let () = taking;
}

/// Notes a spinlock taken by `try_lock`.
#[inline]
#[track_caller]
pub(super) fn acquire_unordered(lock: &Identity) {
    #[cfg(debug_assertions)]
    {
        let taken = lock.held(Location::caller());
        if !crate::panic::panicking() && !guard::in_interrupt() {
            check_interrupts(&taken, false);
        }
        held::with_own(|list| list.push(taken));
    }
    #[cfg(not(debug_assertions))]
    let _ = lock;
}

/// Notes that a spinlock is released; afterwards, [`released`] is told what this gives.
#[inline]
pub(super) fn release(lock: &Identity) -> u64 {
    #[cfg(debug_assertions)]
    return held::with_own(|list| list.remove(lock.address())).unwrap_or(u64::MAX);
    #[cfg(not(debug_assertions))]
    {
        let _ = lock;
        0
    }
}

/// A spinlock that was taken at `since` is free again: reports if it was held for long. The console's locks wait for
/// whoever reads the serial port, which may take its time.
#[inline]
pub(super) fn released(lock: &Identity, since: u64) {
    #[cfg(debug_assertions)]
    {
        let held = Duration::from_nanos(time::ticks_to_ns(time::tsc().saturating_sub(since)));
        if held > LONG_HOLD && lock.rank != Rank::Console && !crate::panic::panicking() {
            crate::report::long_hold(lock.name, held);
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = (lock, since);
}

/// Notes that the current task is about to wait for a sleeping lock, and checks that it may.
#[inline]
#[track_caller]
pub(super) fn acquire_sleeping(lock: &Identity) {
    #[cfg(debug_assertions)]
    if !crate::panic::panicking() {
        let taken = lock.held(Location::caller());
        let again = |held: &Held| (held.lock == taken.lock).then_some(held.place);
        if let Some(own) = with_task_list(|list| list.find_own(again)) {
            panic!("deadlock: taking {:?} at {}, which this task holds since {own}", taken.name, taken.place);
        }
        check_order(&taken);
    }
    #[cfg(not(debug_assertions))]
    let _ = lock;
}

/// Notes that the current task has a sleeping lock.
#[inline]
#[track_caller]
pub(super) fn acquired_sleeping(lock: &Identity) {
    #[cfg(debug_assertions)]
    {
        let taken = lock.held(Location::caller());
        with_task_list(|list| {
            list.push(taken);
            None::<()>
        });
    }
    #[cfg(not(debug_assertions))]
    let _ = lock;
}

/// Notes that the current task has released a sleeping lock.
#[inline]
pub(super) fn release_sleeping(lock: &Identity) {
    #[cfg(debug_assertions)]
    with_task_list(|list| list.remove(lock.address()));
    #[cfg(not(debug_assertions))]
    let _ = lock;
}

/// How long a spinlock has been waited for without anyone giving it back.
pub(super) struct Wait {
    turns: u32,
    since: Option<time::Instant>,
}

impl Wait {
    pub(super) const fn new() -> Self {
        Wait { turns: 0, since: None }
    }

    /// Still waiting, with `turns` of the lock taken and given back. Panics if that has not changed for [`STUCK_AFTER`].
    #[cold]
    #[track_caller]
    pub(super) fn goes_on(&mut self, lock: &Identity, turns: u32) {
        let now = time::now();
        match self.since {
            Some(since) if self.turns == turns => {
                if now - since > STUCK_AFTER && !crate::panic::panicking() {
                    stuck(lock);
                }
            }
            _ => *self = Wait { turns, since: Some(now) },
        }
    }
}

#[track_caller]
fn stuck(lock: &Identity) -> ! {
    let place = Location::caller();
    let (name, seconds) = (lock.name, STUCK_AFTER.as_secs());
    #[cfg(debug_assertions)]
    for cpu in crate::cpu::online() {
        let holds = |held: &Held| held.lock == lock.address() && cpu != crate::percpu::this_cpu();
        if let Some(held) = held::of(cpu).and_then(|locks| locks.into_iter().flatten().find(holds)) {
            panic!("deadlock: {name:?} awaited for {seconds} s at {place}; CPU {cpu} holds it since {}", held.place);
        }
    }
    panic!(
        "deadlock: {name:?} awaited for {seconds} s at {place}; its holder is among the traces below, or has lost it"
    )
}

#[cfg(debug_assertions)]
fn check_rank(taken: &Held, nested: bool) {
    let too_high = |held: &Held| held.rank > taken.rank || (held.rank == taken.rank && !nested);
    let conflict = |held: &Held| (held.lock == taken.lock || too_high(held)).then_some(*held);
    let Some(other) = held::with_own(|list| list.find_own(conflict)) else { return };
    if other.lock == taken.lock {
        panic!("deadlock: taking {:?} at {}, which this CPU holds since {}", taken.name, taken.place, other.place);
    }
    panic!(
        "lock order: taking {:?} ({:?}) at {} while holding {:?} ({:?}) taken at {}",
        taken.name, taken.rank, taken.place, other.name, other.rank, other.place
    );
}

#[cfg(debug_assertions)]
fn check_order(taken: &Held) {
    let against = |held: &Held| order::add(held, taken);
    let of_cpu = held::with_own(|list| list.find_own(against));
    // An interrupt does not hold what the task it interrupted holds.
    let of_task = || if guard::in_interrupt() { None } else { with_task_list(|list| list.find_own(against)) };
    if let Some(cycle) = of_cpu.or_else(of_task) {
        panic!("{cycle}");
    }
}

#[cfg(debug_assertions)]
fn check_interrupts(taken: &Held, in_interrupt: bool) {
    let (name, here) = (taken.name, taken.place);
    if in_interrupt {
        if let Some(other) = order::note_in_interrupt(taken.class, here) {
            panic!("lock {name:?} is taken in an interrupt at {here}, and with interrupts on at {other}");
        }
    } else if guard::interrupts_on()
        && let Some(other) = order::note_interrupts_on(taken.class, here)
    {
        panic!("lock {name:?} is taken with interrupts on at {here}, and in an interrupt at {other}");
    } else if taken.rank > Rank::Device && guard::interrupts_on() {
        // An interrupt would take locks of lower ranks while this one is held.
        panic!(
            "lock {name:?} ({:?}) is taken with interrupts on at {here}: its rank is among the interrupts'",
            taken.rank
        );
    }
}

/// Calls `f` with the current task's list; None before there are tasks.
#[cfg(debug_assertions)]
fn with_task_list<R>(f: impl FnOnce(&held::List) -> Option<R>) -> Option<R> {
    crate::task::try_current().and_then(|task| f(task.held_locks()))
}

/// Calls `f` with name and rank of every spinlock that `cpu` holds at this moment, and where it was taken. False if its
/// locks change too fast to be told, or in a release build.
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

/// Calls `f` with name and place of every sleeping lock that `task` holds at this moment; nothing in a release build.
pub fn for_each_held_by_task(task: &crate::task::Task, mut f: impl FnMut(&'static str, &'static Location<'static>)) {
    #[cfg(debug_assertions)]
    task.held_locks().copy().into_iter().flatten().flatten().for_each(|lock| f(lock.name, lock.place));
    #[cfg(not(debug_assertions))]
    let _ = (task, &mut f);
}
