//! Time: nanoseconds since boot from the TSC, calibrated against HPET or PIT, and one timer a CPU.

mod calibrate;

use crate::cpu::{self, CpuId, features};
use crate::irq::lapic;
use crate::percpu;
use crate::sync::{IrqGuard, Once};
use core::arch::asm;
use core::ops::{Add, Sub};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

/// A point in time: nanoseconds since the kernel was entered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// `ns` nanoseconds after boot.
    pub const fn from_ns(ns: u64) -> Self {
        Instant(ns)
    }

    /// Nanoseconds since boot.
    pub const fn as_ns(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    /// The end of time if it is later than that.
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;
    /// Zero if `other` is later.
    fn sub(self, other: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(other.0))
    }
}

/// TSC at entry.
static BOOT_TSC: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds per TSC tick, as a 32.32 fraction. One to one until calibrated.
static NS_PER_TICK: AtomicU64 = AtomicU64::new(1 << 32);
static RATES: Once<Rates> = Once::new();

/// What the calibration found.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// TSC ticks per millisecond.
    pub tsc_khz: u64,
    /// Ticks of the local APIC timer's divided clock per millisecond.
    pub apic_timer_khz: u64,
    /// What it was measured against.
    pub reference: &'static str,
}

/// Notes the TSC at entry.
pub(crate) fn set_boot_tsc(tsc: u64) {
    BOOT_TSC.store(tsc, Ordering::Relaxed);
}

/// Calibrates; `hpet` is its address if ACPI lists one. Needs the local APIC.
pub(crate) fn init(hpet: Option<crate::addr::PhysAddr>) {
    let rates = calibrate::measure(hpet);
    NS_PER_TICK.store((1_000_000u128 << 32).div_ceil(u128::from(rates.tsc_khz)) as u64, Ordering::Relaxed);
    RATES.call_once(|| rates);
    if !features::get().invariant_tsc {
        log::debug!("time: CPUID does not promise an invariant TSC; using it nevertheless");
    }
}

/// What the calibration found; None before.
pub fn rates() -> Option<Rates> {
    RATES.get().copied()
}

/// The time-stamp counter.
#[inline]
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: (1) reading the counter has no effect.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Now.
#[inline]
pub fn now() -> Instant {
    Instant(since_boot_ns())
}

/// Nanoseconds since boot.
#[inline]
pub fn since_boot_ns() -> u64 {
    ticks_to_ns(ticks_since_boot())
}

/// TSC ticks since boot.
#[inline]
pub(crate) fn ticks_since_boot() -> u64 {
    tsc().saturating_sub(BOOT_TSC.load(Ordering::Relaxed))
}

/// TSC at boot, and nanoseconds of a tick as a 32.32 fraction: what [`since_boot_ns`] reckons with. They do not change once
/// there are CPUs other than the first.
pub fn clock_rates() -> (u64, u64) {
    (BOOT_TSC.load(Ordering::Relaxed), NS_PER_TICK.load(Ordering::Relaxed))
}

/// Nanoseconds of `ticks` of the TSC.
pub fn ticks_to_ns(ticks: u64) -> u64 {
    ((u128::from(ticks) * u128::from(NS_PER_TICK.load(Ordering::Relaxed))) >> 32) as u64
}

percpu! {
    /// Deadline that the scheduler has set, in ns; the end of time for none.
    static WANTED: AtomicU64 = AtomicU64::new(u64::MAX);
    /// When this CPU last ticked, or began to, in ns; 0 before.
    static LAST_TICK: AtomicU64 = AtomicU64::new(0);
}

/// Time between two samples of the profiler, in ns; 0 while it is off.
static SAMPLE_PERIOD: AtomicU64 = AtomicU64::new(0);

percpu! {
    /// When the profiler's next sample is due on this CPU, in ns; the end of time for never.
    static NEXT_SAMPLE: AtomicU64 = AtomicU64::new(u64::MAX);
    /// It was due in the interrupt that is being served.
    static SAMPLE_DUE: AtomicBool = AtomicBool::new(false);
}

/// What ticks, and how often.
static TICK: Once<(Duration, fn(Instant))> = Once::new();

/// Lets `tick` run on each CPU every `period`, in interrupt context, from the time on when that CPU calls
/// [`start_ticks`]. Only the first call counts.
#[cfg_attr(not(debug_assertions), allow(dead_code, reason = "the watchdog of debug builds ticks"))]
pub(crate) fn every(period: Duration, tick: fn(Instant)) {
    TICK.call_once(|| (period, tick));
}

/// When `cpu` last ticked, or began to, in ns; 0 before.
#[cfg_attr(not(debug_assertions), allow(dead_code, reason = "the watchdog of debug builds asks"))]
pub(crate) fn last_tick(cpu: CpuId) -> Option<&'static AtomicU64> {
    LAST_TICK.on(cpu)
}

/// Begins ticking on this CPU, if anything is to tick.
pub(crate) fn start_ticks() {
    let guard = IrqGuard::new();
    LAST_TICK.get(&guard).store(since_boot_ns(), Ordering::Relaxed);
    program(&guard);
}

/// Lets `Hooks::timer` run on this CPU at `deadline`, or soon if that has passed; replaces the deadline before.
pub fn set_timer(deadline: Instant) {
    let guard = IrqGuard::new();
    WANTED.get(&guard).store(deadline.0, Ordering::Relaxed);
    program(&guard);
}

/// Sets the hardware to whatever comes first.
fn program(guard: &IrqGuard) {
    let Some(rates) = RATES.get() else { return };
    let wanted = WANTED.get(guard).load(Ordering::Relaxed);
    let tick = TICK.get().map_or(u64::MAX, |&(period, _)| next_tick(period, guard).0);
    let next = wanted.min(tick).min(NEXT_SAMPLE.get(guard).load(Ordering::Relaxed));
    if next == u64::MAX {
        return;
    }
    let left_ns = next.saturating_sub(since_boot_ns());
    if features::get().tsc_deadline {
        let ticks = u128::from(left_ns) * u128::from(rates.tsc_khz) / 1_000_000;
        let deadline = u128::from(tsc()) + ticks.max(1);
        lapic::set_timer_deadline(u64::try_from(deadline).unwrap_or(u64::MAX));
    } else {
        let ticks = u128::from(left_ns) * u128::from(rates.apic_timer_khz) / 1_000_000;
        // A longer time than the counter holds makes it fire early, which is harmless.
        lapic::set_timer_ticks(u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
    }
}

fn next_tick(period: Duration, guard: &IrqGuard) -> Instant {
    Instant(LAST_TICK.get(guard).load(Ordering::Relaxed)) + period
}

/// Waits without sleeping: for the few device delays of boot code.
pub fn spin_for(duration: Duration) {
    let end = now() + duration;
    while now() < end {
        core::hint::spin_loop();
    }
}

/// The timer fired, in user mode or in the kernel.
pub(crate) fn timer_fired(from_user: bool) {
    let guard = IrqGuard::new();
    WANTED.get(&guard).store(u64::MAX, Ordering::Relaxed);
    let ticks = TICK.get();
    let sampled = NEXT_SAMPLE.get(&guard).load(Ordering::Relaxed) != u64::MAX;
    if ticks.is_none() && !sampled {
        return crate::hooks::timer(from_user);
    }
    let now = now();
    if sampled {
        look_for_sample(now, &guard);
    }
    if let Some(&(period, tick)) = ticks
        && now >= next_tick(period, &guard)
    {
        LAST_TICK.get(&guard).store(now.0, Ordering::Relaxed);
        tick(now);
    }
    crate::hooks::timer(from_user);
    program(&guard);
}

fn look_for_sample(now: Instant, guard: &IrqGuard) {
    let next = NEXT_SAMPLE.get(guard);
    if now.0 < next.load(Ordering::Relaxed) {
        return;
    }
    match SAMPLE_PERIOD.load(Ordering::Relaxed) {
        0 => next.store(u64::MAX, Ordering::Relaxed),
        period => {
            next.store(now.0 + period, Ordering::Relaxed);
            SAMPLE_DUE.get(guard).store(true, Ordering::Relaxed);
        }
    }
}

/// Whether samples are being taken.
#[inline]
pub(crate) fn sampling() -> bool {
    SAMPLE_PERIOD.load(Ordering::Relaxed) != 0
}

/// Lets a sample be due on each CPU every `period`, at other times on each; a CPU begins when it has called
/// [`program_here`].
pub(crate) fn start_sampling(period: Duration) {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    let count = u64::from(cpu::online_count());
    for (number, next) in (0..).zip(cpu::online().filter_map(|cpu| NEXT_SAMPLE.on(cpu))) {
        next.store(since_boot_ns() + period + period / count * number, Ordering::Relaxed);
    }
    SAMPLE_PERIOD.store(period, Ordering::Relaxed);
}

/// No sample is due any more.
pub(crate) fn stop_sampling() {
    SAMPLE_PERIOD.store(0, Ordering::Relaxed);
}

/// Whether a sample was due in the interrupt just served: true once. With interrupts off.
pub(crate) fn take_due_sample() -> bool {
    if !sampling() {
        return false;
    }
    let guard = IrqGuard::new();
    let due = SAMPLE_DUE.get(&guard);
    due.load(Ordering::Relaxed) && due.swap(false, Ordering::Relaxed)
}

/// Sets this CPU's timer anew.
pub(crate) fn program_here() {
    program(&IrqGuard::new());
}
