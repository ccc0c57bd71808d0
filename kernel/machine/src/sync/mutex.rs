//! The sleeping lock: for data held across I/O or other sleeps. Not for interrupt handlers.
//!
//! A waiter spins for no time at all but sleeps; the releaser wakes the one that waited longest, and whoever takes the
//! lock first has it (no hand-over, so a running task does not have to wait for a sleeping one to come up).

use super::guard::might_sleep;
use super::lockdep::{self, Identity};
use super::rank::Rank;
use super::wait::WaitQueue;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// A sleeping lock around a `T`.
pub struct Mutex<T: ?Sized> {
    identity: Identity,
    locked: AtomicBool,
    waiters: WaitQueue,
    value: UnsafeCell<T>,
}

// SAFETY: (1) the lock hands out one reference at a time, so the value moves between tasks but is never shared.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: (1) as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// The held lock.
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    _not_send: core::marker::PhantomData<*mut ()>,
}

impl<T> Mutex<T> {
    /// A lock around `value`; `name` is what the task list shows for a task that waits for it.
    pub const fn new(name: &'static str, value: T) -> Self {
        Mutex {
            identity: Identity::new(name, Rank::Mutex),
            locked: AtomicBool::new(false),
            waiters: WaitQueue::bounded(name),
            value: UnsafeCell::new(value),
        }
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, sleeping until it is free.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        might_sleep();
        lockdep::acquire_sleeping(&self.identity);
        let guard = self.take().unwrap_or_else(|| {
            wait(&self.locked, &self.waiters);
            MutexGuard { mutex: self, _not_send: core::marker::PhantomData }
        });
        lockdep::acquired_sleeping(&self.identity);
        guard
    }

    /// Takes the lock if it is free.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = self.take()?;
        lockdep::acquired_sleeping(&self.identity);
        Some(guard)
    }

    #[inline]
    fn take(&self) -> Option<MutexGuard<'_, T>> {
        take(&self.locked).map(|()| MutexGuard { mutex: self, _not_send: core::marker::PhantomData })
    }
}

#[inline]
fn take(locked: &AtomicBool) -> Option<()> {
    locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok().then_some(())
}

/// Sleeps until the lock is taken. One for all types of what is locked.
#[cold]
#[inline(never)]
fn wait(locked: &AtomicBool, waiters: &WaitQueue) {
    waiters.wait(|| take(locked));
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: (1) the guard exists, so this task holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: (1) as in `deref`, and `&mut self` makes the reference unique.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        lockdep::release_sleeping(&self.mutex.identity);
        self.mutex.locked.store(false, Ordering::Release);
        // Nobody watches a lock.
        self.mutex.waiters.wake_next();
    }
}
