//! Hand-overs: a task that wakes another and sleeps at once, as tasks do that answer each other through pipes.
//!
//! Such a task's CPU is as good as idle when it wakes, and the other one is there sooner than on an idle CPU that has to be
//! told. Whether a task does that is learnt from what it did before. A new one is believed to; one that goes on in place
//! of that loses more than it earns, but is forgiven once in a while, as an interrupt or the host of an emulated machine
//! may have taken the time. One that ends has work left. Whoever was wrongly kept here waits no longer than a slice.
//! No lock: a task's habit is written by the task itself, or on its CPU in a switch.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;
use machine::time::Instant;

/// A task that sleeps so soon after it has woken another has handed over: less than it takes to get an idle CPU to run.
const SOON: Duration = Duration::from_micros(20);
/// What is added to its credit, what is taken off when it goes on; the most there is of it, and how much is enough.
const EARNED: u8 = 1;
const SPENT: u8 = 4;
const MOST: u8 = 8;
const ENOUGH: u8 = 4;

/// What a task did after it had woken another.
pub struct Habit {
    /// When it woke another first since it slept, in ns; 0 if it has not.
    woke_ns: AtomicU64,
    credit: AtomicU8,
}

impl Habit {
    /// Of a new task.
    pub const fn new() -> Self {
        Habit { woke_ns: AtomicU64::new(0), credit: AtomicU8::new(ENOUGH) }
    }

    /// It wakes another now. Whether it is believed to sleep at once.
    pub fn wakes(&self, now: Instant) -> bool {
        if self.woke_ns.load(Ordering::Relaxed) == 0 {
            self.woke_ns.store(now.as_ns(), Ordering::Relaxed);
        }
        self.credit.load(Ordering::Relaxed) >= ENOUGH
    }

    /// It sleeps now, or ends.
    pub fn sleeps(&self, now: Instant) {
        let woke_ns = self.woke_ns.load(Ordering::Relaxed);
        if woke_ns != 0 {
            self.learn(now.as_ns().saturating_sub(woke_ns) <= SOON.as_nanos() as u64);
        }
    }

    /// It has to leave its CPU to others though it wants to go on.
    pub fn goes_on(&self) {
        if self.woke_ns.load(Ordering::Relaxed) != 0 {
            self.learn(false);
        }
    }

    /// It begins to end: whom it wakes from now on, as its parent, waits for nothing of it.
    pub fn ends(&self) {
        self.credit.store(0, Ordering::Relaxed);
    }

    fn learn(&self, handed_over: bool) {
        self.woke_ns.store(0, Ordering::Relaxed);
        let credit = self.credit.load(Ordering::Relaxed);
        let credit = if handed_over { (credit + EARNED).min(MOST) } else { credit.saturating_sub(SPENT) };
        self.credit.store(credit, Ordering::Relaxed);
    }
}
