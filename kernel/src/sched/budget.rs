//! How much of each CPU's time real-time tasks get.
//!
//! Those of all priorities together get at most [`REAL_TIME_NS`] of each [`PERIOD_NS`] while others wait, so that one that
//! never sleeps does not take the machine away (as Linux's sched_rt_runtime_us has it). The variables are the CPU's own,
//! used with interrupts off.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use machine::percpu;
use machine::sync::guard::IrqGuard;
use machine::time::Instant;

/// Time of real-time tasks, and of what.
const REAL_TIME_NS: u64 = 950_000_000;
const PERIOD_NS: u64 = 1_000_000_000;

percpu! {
    /// When the period began, and what real-time tasks have had of it, in ns.
    static PERIOD_START: AtomicU64 = AtomicU64::new(0);
    static REAL_TIME_USED: AtomicU64 = AtomicU64::new(0);
}

/// Real-time tasks have had `ns` on this CPU.
pub(super) fn use_up(ns: u64, pin: &IrqGuard) {
    REAL_TIME_USED.get(pin).fetch_add(ns, Ordering::Relaxed);
}

/// What real-time tasks still may have of a CPU's period.
pub(super) struct Budget {
    left_ns: u64,
    /// When it is used up if they go on; where it is, when the next period begins.
    pub end: Instant,
}

impl Budget {
    /// As it is on this CPU.
    pub fn at(now: Instant, pin: &IrqGuard) -> Budget {
        let (start, used) = (PERIOD_START.get(pin), REAL_TIME_USED.get(pin));
        let since = now.as_ns().saturating_sub(start.load(Ordering::Relaxed));
        let (periods, since) = (since / PERIOD_NS, since % PERIOD_NS);
        if periods > 0 {
            start.store(now.as_ns() - since, Ordering::Relaxed);
            // What was had beyond the budget, as when the timer came late, is missing in the next period; and one that ran
            // until now has had all of this one so far.
            let (had, given) = (used.load(Ordering::Relaxed), REAL_TIME_NS.saturating_mul(periods));
            used.store(had.saturating_sub(given).max(had.min(since)), Ordering::Relaxed);
        }
        match REAL_TIME_NS.saturating_sub(used.load(Ordering::Relaxed)) {
            0 => Budget { left_ns: 0, end: now + Duration::from_nanos(PERIOD_NS - since) },
            left_ns => Budget { left_ns, end: now + Duration::from_nanos(left_ns) },
        }
    }

    /// Whether others come first.
    pub fn is_used_up(&self) -> bool {
        self.left_ns == 0
    }
}
