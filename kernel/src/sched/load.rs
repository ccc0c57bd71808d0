//! How much the machine has to do: times and switches by CPU, and the load averages of proc(5).
//!
//! The averages decay exponentially over one, five and fifteen minutes, as Linux's: a task takes a sample every five
//! seconds.

use super::queue;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use machine::cpu::{self, CpuId};
use machine::mm::OutOfMemory;
use machine::percpu;
use machine::sync::IrqGuard;

/// Fraction bits of an average, as sysinfo(2) has them.
pub const FRACTION_BITS: u32 = 16;

/// Time from sample to sample.
const PERIOD: Duration = Duration::from_secs(5);
/// What is left of an average after a period: e to the power of minus 5 s through 60, 300 and 900 s.
pub(super) const DECAY: [u64; 3] = [60296, 64453, 65173];

percpu! {
    static SWITCHES: AtomicU64 = AtomicU64::new(0);
}

static AVERAGES: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Starts the task that takes the samples.
pub fn start() -> Result<(), OutOfMemory> {
    super::spawn("load", || {
        loop {
            super::sleep(PERIOD);
            // Without this task itself.
            sample(u64::from(runnable()).saturating_sub(1));
        }
    })
    .map(drop)
}

fn sample(runnable: u64) {
    for (average, decay) in AVERAGES.iter().zip(DECAY) {
        let old = average.load(Ordering::Relaxed);
        average.store(step(old, decay, runnable), Ordering::Relaxed);
    }
}

/// An average after a period with `runnable` tasks. Rounded up while it grows, so that it reaches what it tends to.
pub(super) fn step(average: u64, decay: u64, runnable: u64) -> u64 {
    let target = runnable << FRACTION_BITS;
    let sum = average * decay + target * ((1 << FRACTION_BITS) - decay);
    let round = if target >= average { (1 << FRACTION_BITS) - 1 } else { 0 };
    (sum + round) >> FRACTION_BITS
}

/// Runnable tasks on average over 1, 5 and 15 minutes.
pub fn averages() -> [u64; 3] {
    AVERAGES.each_ref().map(|average| average.load(Ordering::Relaxed))
}

/// How many tasks run or could.
pub fn runnable() -> u32 {
    cpu::online().map(queue::load).sum()
}

/// This CPU is about to switch to another task. Interrupts are off.
pub(super) fn note_switch() {
    let guard = IrqGuard::new();
    let switches = SWITCHES.get(&guard);
    // No other CPU writes it.
    switches.store(switches.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// How often tasks were switched since boot.
pub fn switches() -> u64 {
    cpu::online().filter_map(|cpu| SWITCHES.on(cpu)).map(|switches| switches.load(Ordering::Relaxed)).sum()
}

/// Time for which `cpu` has had nothing to do since boot, in ns.
pub fn idle_time_ns(cpu: CpuId) -> u64 {
    queue::idle_time_ns(cpu)
}
