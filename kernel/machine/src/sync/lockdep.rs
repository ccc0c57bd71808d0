//! The order of spinlocks: each has a rank, and a CPU takes them by rising rank only.
//!
//! Checked in debug builds: the locks a CPU holds are noted in a per-CPU list, and taking one whose rank is not above
//! all held ones panics with both names. In release builds every function here is empty. `try_lock` cannot deadlock,
//! so it is noted but not checked.
//!
//! [`Rank`] is the one ordered list of all ranks of the kernel: outermost first.

/// Place of a lock in the order; a lock may be taken while only locks of lower rank are held.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Rank {
    /// Kernel-wide tables looked up by the shell and system calls.
    Table,
    /// A process and what it owns.
    Process,
    /// Address-space areas.
    AddressSpace,
    /// File systems and open files.
    File,
    /// A terminal's line discipline.
    Terminal,
    /// The state inside a sleeping lock.
    Mutex,
    /// Page cache of one inode.
    PageCache,
    /// A device's configuration space or registers.
    Device,
    /// A driver's request queue.
    Queue,
    /// User page tables.
    PageTable,
    /// Tables of interrupt handlers.
    Interrupt,
    /// The random generator.
    Random,
    /// List of a wait queue's sleepers.
    WaitQueue,
    /// A task's own state.
    Task,
    /// Timers of a CPU.
    Timer,
    /// Run queue of a CPU.
    RunQueue,
    /// Kernel page tables and stack slots.
    KernelSpace,
    /// Kernel heap.
    Heap,
    /// Frame allocator.
    Frames,
    /// TLB shootdown requests.
    Shootdown,
    /// Console and log: taken under anything.
    Console,
}

/// Spins after which waiting for a lock is reported, some seconds in all cases.
pub(crate) const SPINS_TOO_LONG: u64 = 1 << 32;

#[cfg(debug_assertions)]
mod held {
    use super::Rank;
    use crate::percpu;
    use crate::sync::guard::IrqGuard;
    use core::cell::UnsafeCell;
    use core::panic::Location;

    const DEPTH: usize = 16;

    #[derive(Clone, Copy)]
    pub(super) struct Held {
        pub name: &'static str,
        pub rank: Rank,
        pub place: &'static Location<'static>,
    }

    pub(super) struct List(UnsafeCell<([Option<Held>; DEPTH], usize)>);
    // SAFETY: (1) `with` is the only access, from the owning CPU with interrupts off.
    unsafe impl Sync for List {}

    percpu! { static HELD: List = List(UnsafeCell::new(([None; DEPTH], 0))); }

    /// Runs `f` on this CPU's list.
    pub(super) fn with<R>(f: impl FnOnce(&mut [Option<Held>; DEPTH], &mut usize) -> R) -> R {
        let guard = IrqGuard::quiet();
        let list = HELD.get(&guard);
        // SAFETY: (1) the list is this CPU's, interrupts are off and `f` takes no lock: nobody else looks at it.
        let (held, count) = unsafe { &mut *list.0.get() };
        f(held, count)
    }
}

/// Notes that `name` is about to be taken, and checks its rank.
#[inline]
#[track_caller]
pub(crate) fn acquire(name: &'static str, rank: Rank) {
    #[cfg(debug_assertions)]
    {
        let place = core::panic::Location::caller();
        let wrong = held::with(|held, count| {
            held[..(*count).min(held.len())].iter().flatten().find(|other| other.rank >= rank).copied()
        });
        if let Some(other) = wrong {
            if !crate::panic::panicking() {
                panic!(
                    "lock order: taking {name:?} ({rank:?}) at {place} while holding {:?} ({:?}) taken at {}",
                    other.name, other.rank, other.place
                );
            }
        }
        push(name, rank, place);
    }
    #[cfg(not(debug_assertions))]
    let _ = (name, rank);
}

/// Notes a lock taken by `try_lock`.
#[inline]
#[track_caller]
pub(crate) fn acquire_unordered(name: &'static str, rank: Rank) {
    #[cfg(debug_assertions)]
    push(name, rank, core::panic::Location::caller());
    #[cfg(not(debug_assertions))]
    let _ = (name, rank);
}

#[cfg(debug_assertions)]
fn push(name: &'static str, rank: Rank, place: &'static core::panic::Location<'static>) {
    held::with(|held, count| {
        if let Some(slot) = held.get_mut(*count) {
            *slot = Some(held::Held { name, rank, place });
        }
        *count += 1;
    });
}

/// Notes that the lock `name` is released.
#[inline]
pub(crate) fn release(name: &'static str) {
    #[cfg(debug_assertions)]
    held::with(|held, count| {
        let len = (*count).min(held.len());
        if let Some(at) = held[..len].iter().rposition(|entry| entry.is_some_and(|entry| entry.name == name)) {
            held.copy_within(at + 1..len, at);
        }
        *count = count.saturating_sub(1);
    });
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Calls `f` with name and rank of every spinlock this CPU holds, and where it was taken. Empty in release builds.
pub fn for_each_held(mut f: impl FnMut(&'static str, Rank, &'static core::panic::Location<'static>)) {
    #[cfg(debug_assertions)]
    {
        let (list, count) = held::with(|held, count| (*held, (*count).min(held.len())));
        list[..count].iter().flatten().for_each(|entry| f(entry.name, entry.rank, entry.place));
    }
    #[cfg(not(debug_assertions))]
    let _ = &mut f;
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
