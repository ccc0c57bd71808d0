//! Watching a wait queue: being told of every wake-up without sleeping there, for whoever waits for several things at
//! once (poll(2), epoll(7)).
//!
//! A watcher stays in the list until it is taken out, unlike a sleeper, so a wake-up that comes while it looks at one
//! queue's condition is not lost for another's. The order is the sleepers': enter, look, park.
//!
//! Watchers are told with the list locked and interrupts off, since a wake-up may come from an interrupt handler. What
//! they do in turn may be a wake-up of a queue of their own, whose list is locked inside this one: what watches what has
//! no cycles, which is up to those who watch (epoll refuses them).

use super::rank::Rank;
use super::spin::IrqLock;
use crate::hooks;
use crate::task::Task;
use alloc::collections::TryReserveError;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Something that wants to know of wake-ups and is no task.
pub trait Watcher: Send + Sync {
    /// A queue that it watches was woken. Interrupts are off: it notes that and wakes others, and neither allocates nor
    /// sleeps.
    fn woken(&self);
}

/// Who is told of wake-ups.
#[derive(Clone)]
pub enum Watch {
    /// The task is unparked.
    Task(Arc<Task>),
    /// It is called.
    Other(Arc<dyn Watcher>),
}

impl Watch {
    /// Tells it.
    pub fn tell(&self) {
        match self {
            Watch::Task(task) => hooks::unpark(task),
            Watch::Other(watcher) => watcher.woken(),
        }
    }

    fn is(&self, other: &Watch) -> bool {
        match (self, other) {
            (Watch::Task(one), Watch::Task(other)) => Arc::ptr_eq(one, other),
            (Watch::Other(one), Watch::Other(other)) => core::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other)),
            _ => false,
        }
    }
}

/// The watchers of one queue.
pub(super) struct Watchers {
    /// Length of the list, so that a wake-up that nobody watches takes no lock.
    count: AtomicUsize,
    list: IrqLock<Vec<Watch>>,
}

impl Watchers {
    pub const fn new() -> Self {
        Watchers { count: AtomicUsize::new(0), list: IrqLock::new("watchers", Rank::Watchers, Vec::new()) }
    }

    /// Adds one. One that is added twice has to be removed twice.
    pub fn add(&self, watch: Watch) -> Result<(), TryReserveError> {
        {
            let mut list = self.list.lock();
            list.try_reserve(1)?;
            list.push(watch);
            self.count.store(list.len(), Ordering::SeqCst);
        }
        // As for sleepers: the entry comes before the look at the condition.
        core::sync::atomic::fence(Ordering::SeqCst);
        Ok(())
    }

    /// Takes one out, if it is there.
    pub fn remove(&self, watch: &Watch) {
        let removed = {
            let mut list = self.list.lock();
            let at = list.iter().position(|entry| entry.is(watch));
            let removed = at.map(|at| list.swap_remove(at));
            self.count.store(list.len(), Ordering::SeqCst);
            removed
        };
        drop(removed);
    }

    /// Tells all. The caller has put a fence between its change and this.
    #[inline]
    pub fn tell(&self) {
        if self.count.load(Ordering::SeqCst) != 0 {
            self.tell_all();
        }
    }

    #[cold]
    fn tell_all(&self) {
        self.list.lock_nested().iter().for_each(Watch::tell);
    }
}
