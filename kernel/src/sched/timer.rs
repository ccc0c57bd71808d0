//! Timers: who is woken or told at a time, and the end of a slice; one hardware timer a CPU serves both.

use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::cpu::CpuId;
use machine::percpu;
use machine::percpu::this_cpu;
use machine::sync::{IrqGuard, IrqLock, Rank, Watch};
use machine::time::{self, Instant};

struct Timers {
    by_deadline: BTreeMap<(Instant, u64), Watch>,
    slice_end: Option<Instant>,
    /// What the hardware timer is set to.
    programmed: Option<Instant>,
}

percpu! {
    static TIMERS: IrqLock<Timers> = IrqLock::new("timers", Rank::Timer, Timers {
        by_deadline: BTreeMap::new(), slice_end: None, programmed: None,
    });
}

static NEXT_KEY: AtomicU64 = AtomicU64::new(0);

/// A timer that was armed.
pub struct Armed {
    cpu: CpuId,
    key: (Instant, u64),
}

/// Tells `whom` at `deadline`, in an interrupt of this CPU. Not for interrupt handlers, as it needs memory.
pub fn arm(deadline: Instant, whom: Watch) -> Armed {
    let key = (deadline, NEXT_KEY.fetch_add(1, Ordering::Relaxed));
    let guard = IrqGuard::new();
    let mut timers = TIMERS.get(&guard).lock();
    timers.by_deadline.insert(key, whom);
    timers.program();
    Armed { cpu: this_cpu(), key }
}

/// Takes the timer back, if it has not fired.
pub fn disarm(armed: Armed) {
    if let Some(timers) = TIMERS.on(armed.cpu) {
        let whom = timers.lock().by_deadline.remove(&armed.key);
        drop(whom);
    }
}

/// When to look whether the running task's slice is over.
pub(super) fn set_slice_end(end: Instant) {
    let guard = IrqGuard::new();
    let mut timers = TIMERS.get(&guard).lock();
    timers.slice_end = Some(end);
    timers.program();
}

/// The hardware timer fired: tells those whose time has come; whether the slice is over.
pub(super) fn fire() -> bool {
    let guard = IrqGuard::new();
    let timers = TIMERS.get(&guard);
    timers.lock().programmed = None;
    loop {
        let now = time::now();
        let whom = {
            let mut timers = timers.lock();
            match timers.by_deadline.first_key_value() {
                Some((&(deadline, _), _)) if deadline <= now => timers.by_deadline.pop_first(),
                _ => None,
            }
        };
        let Some((_, whom)) = whom else { break };
        whom.tell();
    }
    let mut timers = timers.lock();
    let slice_over = timers.slice_end.take_if(|end| *end <= time::now()).is_some();
    timers.program();
    slice_over
}

impl Timers {
    /// Sets the hardware timer to whatever comes first.
    fn program(&mut self) {
        let first = self.by_deadline.first_key_value().map(|(&(deadline, _), _)| deadline);
        let next = match (first, self.slice_end) {
            (Some(first), Some(end)) => Some(first.min(end)),
            (first, end) => first.or(end),
        };
        if let Some(next) = next.filter(|&next| self.programmed.is_none_or(|programmed| next < programmed)) {
            self.programmed = Some(next);
            time::set_timer(next);
        }
    }
}
