//! The end of a batch of requests.

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use machine::hooks;
use machine::sync::WaitQueue;

/// A device could not do what it was asked. The driver's log has the details.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceFailed;

impl fmt::Display for DeviceFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input/output error")
    }
}

/// Counts the requests of a batch that are still under way.
///
/// Whoever makes it holds one part of the count until all requests are started, and gives it back by
/// [`Completion::all_started`]; so it is never done before its time.
pub struct Completion {
    pending: AtomicU32,
    failed: AtomicBool,
    waiters: WaitQueue,
}

impl Completion {
    /// A batch with no request started yet.
    pub fn new() -> Arc<Completion> {
        Arc::new(Completion {
            pending: AtomicU32::new(1),
            failed: AtomicBool::new(false),
            waiters: WaitQueue::bounded("disk"),
        })
    }

    /// One more request is being started.
    pub fn add(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has ended. May be called in interrupts.
    pub fn end(&self, succeeded: bool) {
        if !succeeded {
            self.failed.store(true, Ordering::Relaxed);
        }
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiters.wake_all();
        }
    }

    /// No more requests will be added; `succeeded` is false if some could not be started.
    pub fn all_started(&self, succeeded: bool) {
        self.end(succeeded);
    }

    /// How the batch went; None while requests are under way.
    pub fn result(&self) -> Option<Result<(), DeviceFailed>> {
        (self.pending.load(Ordering::Acquire) == 0).then(|| match self.failed.load(Ordering::Relaxed) {
            true => Err(DeviceFailed),
            false => Ok(()),
        })
    }

    /// Sleeps until the batch is done.
    pub fn wait(&self) -> Result<(), DeviceFailed> {
        if hooks::single_tasking() {
            // Before there is a scheduler nobody can wake anybody.
            loop {
                if let Some(result) = self.result() {
                    return result;
                }
                core::hint::spin_loop();
            }
        }
        self.waiters.wait(|| self.result())
    }
}
