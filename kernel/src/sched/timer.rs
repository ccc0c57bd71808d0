//! Timers: who is woken or told at a time, the end of a slice, and the ticks of a CPU that is not idle; one hardware timer a
//! CPU serves all.

use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::cpu::CpuId;
use machine::percpu;
use machine::percpu::this_cpu;
use machine::sync::{IrqGuard, IrqLock, Rank, Watch};
use machine::time::{self, Instant};

struct Timers {
    by_deadline: BTreeMap<(Instant, u64), Watch>,
    slice_end: Option<Instant>,
    /// The next tick.
    tick: Option<Instant>,
    /// What the hardware timer is set to.
    programmed: Option<Instant>,
}

percpu! {
    static TIMERS: IrqLock<Timers> = IrqLock::new("timers", Rank::Timer, Timers {
        by_deadline: BTreeMap::new(), slice_end: None, tick: None, programmed: None,
    });
    static TICKING: AtomicBool = AtomicBool::new(false);
}

/// Time between ticks of a CPU that is not idle, in ns.
pub const TICK_NS: u64 = 4_000_000;

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

/// Lets the CPU tick, if it does not: a task that is not the idle one comes onto it. Ticks come at whole periods since boot,
/// so that what sleeps and wakes by the same rhythm as the CPU's idle times is seen as often as what does not.
#[inline]
pub(super) fn keep_ticking(now: Instant, pin: &IrqGuard) {
    if !TICKING.get(pin).load(Ordering::Relaxed) {
        start_ticks(now, pin);
    }
}

#[cold]
fn start_ticks(now: Instant, pin: &IrqGuard) {
    TICKING.get(pin).store(true, Ordering::Relaxed);
    let mut timers = TIMERS.get(pin).lock();
    timers.tick = Some(next_tick(now));
    timers.program();
}

fn next_tick(now: Instant) -> Instant {
    Instant::from_ns((now.as_ns() / TICK_NS + 1) * TICK_NS)
}

/// What it was that the hardware timer fired for.
pub(super) struct Fired {
    /// To look whether the slice is over.
    pub slice_over: bool,
    /// To tick.
    pub ticked: bool,
}

/// The hardware timer fired: tells those whose time has come. `goes_on`: if it was a tick, there is another.
pub(super) fn fire(goes_on: bool) -> Fired {
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
    let now = time::now();
    let slice_over = timers.slice_end.take_if(|end| *end <= now).is_some();
    let ticked = timers.tick.take_if(|tick| *tick <= now).is_some();
    if ticked && goes_on {
        timers.tick = Some(next_tick(now));
    } else if ticked {
        TICKING.get(&guard).store(false, Ordering::Relaxed);
    }
    timers.program();
    Fired { slice_over, ticked }
}

impl Timers {
    /// Sets the hardware timer to whatever comes first.
    fn program(&mut self) {
        let first = self.by_deadline.first_key_value().map(|(&(deadline, _), _)| deadline);
        let next = [first, self.slice_end, self.tick].into_iter().flatten().min();
        if let Some(next) = next.filter(|&next| self.programmed.is_none_or(|programmed| next < programmed)) {
            self.programmed = Some(next);
            time::set_timer(next);
        }
    }
}
