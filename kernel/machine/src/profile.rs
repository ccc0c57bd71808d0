//! The sampling profiler: at each turn of a timer of its own, each CPU notes what it was doing.
//!
//! The timer (`time`) leaves a mark on its CPU; on the way out of that interrupt, whoever knows the interrupted registers
//! takes the mark and the sample: `trap` with the kernel's stack, `user::run`'s caller, told by `Exit::Sampled`, with that
//! of the program. Code that keeps interrupts off shows up where it lets them in again.
//!
//! Locks: each CPU's [`SAMPLES`], rank `Profile`, taken by that CPU for each sample, without allocating; [`SWITCH`], a sleeping
//! lock around starting and stopping.

use crate::cpu::{self, CpuId};
use crate::irq::IrqLine;
use crate::percpu;
use crate::sync::{IrqGuard, IrqLock, Mutex, Once, Rank};
use crate::task;
use crate::time;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use klib::profile::Samples;
use klib::trace::Label;

percpu! {
    static SAMPLES: IrqLock<Option<Samples>> = IrqLock::new("samples", Rank::Profile, None);
}

static SWITCH: Mutex<()> = Mutex::new("profiler", ());
/// Lets another CPU set its timer.
static LINE: Once<Option<IrqLine>> = Once::new();

/// Why the profiler does not do what it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It is on.
    IsOn,
    /// It is off.
    IsOff,
    /// There is no memory for samples, or no interrupt vector.
    OutOfMemory,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::IsOn => "profiling is on; `profile off` ends it",
            Refused::IsOff => "profiling is off",
            Refused::OutOfMemory => "no memory for samples",
        })
    }
}

/// Begins to take a sample on each CPU every `period`, with `bytes` of memory on each for the stacks. May sleep.
pub fn start(period: Duration, bytes: usize) -> Result<(), Refused> {
    let _switch = SWITCH.lock();
    if time::sampling() {
        return Err(Refused::IsOn);
    }
    let line = LINE.call_once(|| IrqLine::allocate("profiler", time::program_here).ok());
    let line = line.as_ref().ok_or(Refused::OutOfMemory)?;
    let mut new = Vec::new();
    for cpu in cpu::online() {
        new.push((cpu, Samples::try_new(bytes).ok_or(Refused::OutOfMemory)?));
    }
    for (cpu, samples) in new {
        if let Some(slot) = SAMPLES.on(cpu) {
            // What a sample late after the last stop may have left.
            let old = slot.lock().replace(samples);
            drop(old);
        }
    }
    time::start_sampling(period);
    cpu::online().for_each(|cpu| line.raise(cpu));
    Ok(())
}

/// Ends it: the samples of each CPU. May sleep.
pub fn stop() -> Result<Vec<(CpuId, Samples)>, Refused> {
    let _switch = SWITCH.lock();
    if !time::sampling() {
        return Err(Refused::IsOff);
    }
    time::stop_sampling();
    let mut all = Vec::new();
    for cpu in cpu::online() {
        let samples = SAMPLES.on(cpu).and_then(|slot| slot.lock().take());
        all.extend(samples.map(|samples| (cpu, samples)));
    }
    Ok(all)
}

/// Adds a sample of the current task: its stack, innermost address first. In any context but an NMI.
pub fn add(stack: &[u64]) {
    let label = task::try_current().map_or(Label::new("boot"), |task| task.label());
    let guard = IrqGuard::new();
    if let Some(samples) = SAMPLES.get(&guard).lock().as_mut() {
        samples.add(label, stack);
    }
}
