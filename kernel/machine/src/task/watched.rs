//! What debug builds note of a task: the sleeping locks it holds, and since when it waits for something that should
//! come soon.

use super::Task;
use crate::sync::held::List;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;

/// The notes.
pub(super) struct Watched {
    held: List,
    /// Time in ns at which a wait for something that should come soon began; 0 outside of one.
    waiting_since: AtomicU64,
    /// What for.
    waiting_for: AtomicPtr<u8>,
    waiting_for_len: AtomicUsize,
    /// This wait has been reported.
    reported: AtomicBool,
}

/// Where the list of held locks is, for debuggers.
pub(super) const HELD_OFFSET: usize = core::mem::offset_of!(Watched, held);

impl Watched {
    pub(super) const fn new() -> Self {
        Watched {
            held: List::new(),
            waiting_since: AtomicU64::new(0),
            waiting_for: AtomicPtr::new(core::ptr::null_mut()),
            waiting_for_len: AtomicUsize::new(0),
            reported: AtomicBool::new(false),
        }
    }
}

/// The wait lasts as long as this.
pub(crate) struct BoundedWait<'a>(&'a Task);

impl Task {
    /// Notes that the task, which is the current one, waits for something that should come soon.
    pub(crate) fn note_bounded_wait(&self, name: &'static str) -> BoundedWait<'_> {
        let watched = &self.watched;
        watched.waiting_for_len.store(name.len(), Ordering::Relaxed);
        watched.waiting_for.store(name.as_ptr().cast_mut(), Ordering::Relaxed);
        watched.reported.store(false, Ordering::Relaxed);
        watched.waiting_since.store(crate::time::since_boot_ns(), Ordering::Release);
        BoundedWait(self)
    }

    /// The sleeping locks it holds.
    pub(crate) fn held_locks(&self) -> &List {
        &self.watched.held
    }

    /// What it has waited for, and how long, if that is longer than `limit` and was not asked before.
    pub(crate) fn take_overdue(&self, limit: Duration) -> Option<(&'static str, Duration)> {
        let watched = &self.watched;
        let since = watched.waiting_since.load(Ordering::Acquire);
        let waited = Duration::from_nanos(crate::time::since_boot_ns().saturating_sub(since));
        if since == 0 || waited < limit || watched.reported.swap(true, Ordering::Relaxed) {
            return None;
        }
        let (name, len) =
            (watched.waiting_for.load(Ordering::Relaxed), watched.waiting_for_len.load(Ordering::Relaxed));
        // The two words belong together if the same wait still goes on, as it has for long.
        if watched.waiting_since.load(Ordering::Acquire) != since {
            return None;
        }
        // SAFETY: (1) pointer and length came from one `&'static str`: no other was stored meanwhile, since that would
        // have changed the time.
        let name = unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(name, len)) };
        Some((name, waited))
    }
}

impl Drop for BoundedWait<'_> {
    fn drop(&mut self) {
        self.0.watched.waiting_since.store(0, Ordering::Release);
    }
}
