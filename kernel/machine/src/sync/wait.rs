//! Sleeping until a condition holds: `wait queue + condition loop`.
//!
//! A task enters itself in the queue, looks at the condition, and parks. A wake-up takes the sleepers out and unparks
//! them; since an unpark before the park makes the park return at once, nothing is lost between look and park, and a
//! spurious return only makes the loop look again. Any code may wake, interrupt handlers included. Whoever waits for
//! several queues at once watches them instead of sleeping in one ([`super::watch`]).

use super::guard::might_sleep;
use super::rank::Rank;
use super::spin::IrqLock;
use super::watch::{Watch, Watchers};
use crate::hooks;
use crate::task::{self, Task};
use crate::time::{self, Instant};
use alloc::collections::{TryReserveError, VecDeque};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Tasks that wait for one thing.
pub struct WaitQueue {
    name: &'static str,
    /// What is waited for must come soon: a lock, a disk.
    #[cfg(debug_assertions)]
    bounded: bool,
    /// Length of the list, so that a wake-up of nobody takes no lock.
    waiting: AtomicUsize,
    sleepers: IrqLock<VecDeque<Arc<Task>>>,
    watchers: Watchers,
}

/// Why a wait with a deadline or an interruption ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitEnd {
    /// The time came first.
    TimedOut,
    /// The interruption came first (a signal).
    Interrupted,
}

impl WaitQueue {
    /// An empty queue; `name` is what the task list shows for its sleepers.
    pub const fn new(name: &'static str) -> Self {
        WaitQueue::with(name, false)
    }

    /// Like [`WaitQueue::new`], for what comes soon unless something is wrong, such as a lock or a disk: the watchdog
    /// reports who waits there for long.
    pub const fn bounded(name: &'static str) -> Self {
        WaitQueue::with(name, true)
    }

    const fn with(name: &'static str, bounded: bool) -> Self {
        let _ = bounded;
        WaitQueue {
            name,
            #[cfg(debug_assertions)]
            bounded,
            waiting: AtomicUsize::new(0),
            sleepers: IrqLock::new("wait queue", Rank::WaitQueue, VecDeque::new()),
            watchers: Watchers::new(),
        }
    }

    /// Has `watch` told of every wake-up, until [`WaitQueue::unwatch`]. What it waits for is looked at after this.
    pub fn watch(&self, watch: Watch) -> Result<(), TryReserveError> {
        self.watchers.add(watch)
    }

    /// Ends what [`WaitQueue::watch`] began; once for each time.
    pub fn unwatch(&self, watch: &Watch) {
        self.watchers.remove(watch);
    }

    /// Sleeps until `condition` gives a value.
    pub fn wait<R>(&self, condition: impl FnMut() -> Option<R>) -> R {
        match self.wait_until(None, || false, condition) {
            Ok(value) => value,
            Err(_) => unreachable!("no deadline and no interruption were given"),
        }
    }

    /// Sleeps until `condition` gives a value, `deadline` comes, or `interrupted` says so; `interrupted` is looked at
    /// after `condition`, so that what is there is not given up.
    #[inline]
    pub fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        mut interrupted: impl FnMut() -> bool,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitEnd> {
        let mut found = condition();
        if found.is_none() {
            self.sleep_until(deadline, &mut interrupted, &mut || {
                found = condition();
                found.is_some()
            })?;
        }
        match found {
            Some(value) => Ok(value),
            None => unreachable!("a wait ends without what was waited for"),
        }
    }

    /// As [`WaitQueue::wait_until`], built into the caller: for the waits that programs make most.
    #[inline(always)]
    pub fn wait_here(
        &self,
        deadline: Option<Instant>,
        interrupted: impl FnMut() -> bool,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), WaitEnd> {
        if condition() { Ok(()) } else { self.sleep(deadline, interrupted, condition) }
    }

    /// For conditions of all kinds, so that there is one copy of it.
    #[inline(never)]
    fn sleep_until(
        &self,
        deadline: Option<Instant>,
        interrupted: &mut dyn FnMut() -> bool,
        condition: &mut dyn FnMut() -> bool,
    ) -> Result<(), WaitEnd> {
        self.sleep(deadline, interrupted, condition)
    }

    /// A wait after its first look.
    #[inline(always)]
    fn sleep(
        &self,
        deadline: Option<Instant>,
        mut interrupted: impl FnMut() -> bool,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), WaitEnd> {
        might_sleep();
        let current = task::current().arc();
        #[cfg(debug_assertions)]
        let _noted = (self.bounded && deadline.is_none()).then(|| current.note_bounded_wait(self.name));
        let end = loop {
            self.enter(&current);
            if condition() {
                break Ok(());
            }
            if interrupted() {
                break Err(WaitEnd::Interrupted);
            }
            if deadline.is_some_and(|deadline| time::now() >= deadline) {
                break Err(WaitEnd::TimedOut);
            }
            hooks::park(self.name, deadline);
            // Mostly it was woken for good, and need not enter again to see that.
            if condition() {
                break Ok(());
            }
        };
        let still_there = self.leave(&current);
        if !still_there && end.is_err() {
            // A `wake_one` chose this task, which does not take what it was woken for: the next may.
            self.wake_next();
        }
        end
    }

    /// Wakes every sleeper and tells the watchers.
    #[inline]
    pub fn wake_all(&self) {
        // Ordering: the waker's change to the condition comes before this load, the sleeper's entry before its look
        // at the condition; with both sequentially consistent one of the two sees the other.
        core::sync::atomic::fence(Ordering::SeqCst);
        // No more than there are now: one whose condition does not hold yet enters itself again.
        let count = self.waiting.load(Ordering::SeqCst);
        for _ in 0..count {
            if !self.wake_first() {
                break;
            }
        }
        self.watchers.tell();
    }

    /// Wakes the sleeper that has waited longest and tells all watchers; false if nobody sleeps.
    #[inline]
    pub fn wake_one(&self) -> bool {
        core::sync::atomic::fence(Ordering::SeqCst);
        let woken = self.waiting.load(Ordering::SeqCst) != 0 && self.wake_first();
        self.watchers.tell();
        woken
    }

    /// Wakes the sleeper that has waited longest and tells no watcher: for one that hands on what it was woken for.
    #[inline]
    pub fn wake_next(&self) -> bool {
        core::sync::atomic::fence(Ordering::SeqCst);
        self.waiting.load(Ordering::SeqCst) != 0 && self.wake_first()
    }

    fn wake_first(&self) -> bool {
        let first = {
            let mut sleepers = self.sleepers.lock();
            let first = sleepers.pop_front();
            self.waiting.store(sleepers.len(), Ordering::SeqCst);
            first
        };
        match first {
            Some(task) => {
                hooks::unpark(&task);
                true
            }
            None => false,
        }
    }

    fn enter(&self, task: &Arc<Task>) {
        let mut sleepers = self.sleepers.lock();
        if !sleepers.iter().any(|sleeper| Arc::ptr_eq(sleeper, task)) {
            sleepers.push_back(task.clone());
            self.waiting.store(sleepers.len(), Ordering::SeqCst);
        }
        drop(sleepers);
        core::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Takes `task` out; false if a wake-up did so before.
    fn leave(&self, task: &Arc<Task>) -> bool {
        // Only the task itself enters it: when nobody is there it is not either.
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let mut sleepers = self.sleepers.lock();
        let at = sleepers.iter().position(|sleeper| Arc::ptr_eq(sleeper, task));
        if let Some(at) = at {
            let _ = sleepers.remove(at);
            self.waiting.store(sleepers.len(), Ordering::SeqCst);
        }
        at.is_some()
    }
}
