//! Spinlocks: short waits by spinning, with what they switch off in their type.
//!
//! [`SpinLock`] switches preemption off: for data that no interrupt handler touches. [`IrqLock`] switches interrupts
//! off as well. Each lock has a name and a [`Rank`]; in debug builds, taking a lock while one of the same or a higher
//! rank is held is reported with both names ([`super::lockdep`]).
//!
//! The lock goes to whichever waiter sees first that it is free, not to who came first. Under a hypervisor or an
//! emulator the one whose turn it is may not be running, and all others would wait for a time slice of the host at each
//! turn: with ticket locks, four busy CPUs on one host core took up to 40 times as long. Linux does the same under a
//! hypervisor (`virt_spin_lock`).

use super::guard::{Guard, IrqGuard, PreemptGuard};
use super::lockdep::{self, Identity, Taking, Wait};
use super::rank::Rank;
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

/// A waiter looks at the clock that seldom.
const SPINS_BETWEEN_LOOKS: u32 = 1 << 16;

/// A spinlock that switches preemption off.
pub type SpinLock<T> = Spin<T, PreemptGuard>;
/// A spinlock that switches interrupts off.
pub type IrqLock<T> = Spin<T, IrqGuard>;

/// A spinlock around a `T`, under a guard of type `G`.
pub struct Spin<T: ?Sized, G> {
    identity: Identity,
    /// How often it was taken and released: odd while it is held.
    turns: AtomicU32,
    _guard: core::marker::PhantomData<fn() -> G>,
    value: UnsafeCell<T>,
}

// SAFETY: (1) the lock hands out one reference at a time, so the value moves between CPUs but is never shared.
unsafe impl<T: ?Sized + Send, G> Send for Spin<T, G> {}
// SAFETY: (1) as above.
unsafe impl<T: ?Sized + Send, G> Sync for Spin<T, G> {}

/// The held lock. The value comes first, so that it is released before preemption or interrupts come back.
pub struct SpinGuard<'a, T: ?Sized, G: Guard> {
    lock: &'a Spin<T, G>,
    guard: G,
}

impl<T, G: Guard> Spin<T, G> {
    /// A lock called `name`, of `rank`, around `value`.
    pub const fn new(name: &'static str, rank: Rank, value: T) -> Self {
        Spin {
            identity: Identity::new(name, rank),
            turns: AtomicU32::new(0),
            _guard: core::marker::PhantomData,
            value: UnsafeCell::new(value),
        }
    }
}

impl<T: ?Sized, G: Guard> Spin<T, G> {
    /// Where the value is, for a debugger.
    pub(crate) const fn value_address(&self) -> *const T {
        self.value.get()
    }

    /// Takes the lock, spinning until it is free.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> SpinGuard<'_, T, G> {
        let guard = G::enter();
        let taking = lockdep::acquire(&self.identity);
        self.wait_until_free(guard, taking)
    }

    /// Takes the lock while locks of its own rank may be held: the caller knows of an order among these.
    #[inline]
    #[track_caller]
    pub fn lock_nested(&self) -> SpinGuard<'_, T, G> {
        let guard = G::enter();
        let taking = lockdep::acquire_nested(&self.identity);
        self.wait_until_free(guard, taking)
    }

    #[inline]
    #[track_caller]
    fn wait_until_free(&self, guard: G, taking: Taking) -> SpinGuard<'_, T, G> {
        if !try_take(&self.turns) {
            spin(&self.identity, &self.turns);
        }
        lockdep::acquired(taking);
        SpinGuard { lock: self, guard }
    }

    /// Takes the lock if it is free right now.
    #[track_caller]
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T, G>> {
        let guard = G::enter();
        if try_take(&self.turns) {
            lockdep::acquire_unordered(&self.identity);
            return Some(SpinGuard { lock: self, guard });
        }
        None
    }

    /// The lock's name.
    pub fn name(&self) -> &'static str {
        self.identity.name
    }

    /// The value, when no one else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// Takes the lock if it is free. It stays as it was if not, being odd.
#[inline]
fn try_take(turns: &AtomicU32) -> bool {
    turns.fetch_or(1, Ordering::Acquire) & 1 == 0
}

/// Waits until it has taken the lock.
#[cold]
#[inline(never)]
#[track_caller]
fn spin(identity: &Identity, turns: &AtomicU32) {
    let mut wait = Wait::new();
    let mut spins = 0u32;
    loop {
        core::hint::spin_loop();
        // Only looks while it is held, so that its holder keeps the cache line.
        let now = turns.load(Ordering::Relaxed);
        if now & 1 == 0 && try_take(turns) {
            return;
        }
        spins = spins.wrapping_add(1);
        if spins.is_multiple_of(SPINS_BETWEEN_LOOKS) {
            wait.goes_on(identity, now);
        }
    }
}

impl<T: ?Sized, G: Guard> SpinGuard<'_, T, G> {
    /// The guard that pins the code to this CPU, for per-CPU variables.
    pub fn pin(&self) -> &G {
        &self.guard
    }
}

impl<T: ?Sized, G: Guard> Deref for SpinGuard<'_, T, G> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: (1) the guard exists, so this CPU holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized, G: Guard> DerefMut for SpinGuard<'_, T, G> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: (1) as in `deref`, and `&mut self` makes the reference unique.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized, G: Guard> Drop for SpinGuard<'_, T, G> {
    #[inline]
    fn drop(&mut self) {
        let since = lockdep::release(&self.lock.identity);
        // No read-modify-write: while it is odd, nobody else changes it.
        let held = self.lock.turns.load(Ordering::Relaxed);
        self.lock.turns.store(held.wrapping_add(1), Ordering::Release);
        lockdep::released(&self.lock.identity, since);
    }
}

impl<T: ?Sized, G: Guard> fmt::Debug for Spin<T, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lock {:?}", self.identity.name)
    }
}
