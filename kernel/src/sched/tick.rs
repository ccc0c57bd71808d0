//! Ticks: what a task's time goes to, the program or the kernel.
//!
//! How long a task runs is measured at every switch; how much of that was in user mode is known from samples, so that a
//! system call need not read a clock. A CPU that is not idle ticks: each tick counts for the task that runs, in user mode or
//! in the kernel, and the time measured is divided in that proportion (as Linux does by default).

use super::{Owner, TaskData, data, run_time_ns};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::cpu::CpuId;
use machine::percpu;
use machine::sync::IrqGuard;
use machine::task::{self, Task};

percpu! {
    /// Ticks in user mode, in that of tasks with a positive nice value, and in the kernel.
    static COUNTS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
}

/// What is known of the time of a task, or of several in sum.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sample {
    /// Time on CPUs, in ns.
    pub run_ns: u64,
    /// Ticks in user mode.
    pub user_ticks: u64,
    /// Ticks in the kernel.
    pub system_ticks: u64,
}

impl Sample {
    /// What is known of `task`.
    pub fn of(task: &Task) -> Self {
        let [user_ticks, system_ticks] = data(task).ticks.each_ref().map(|ticks| ticks.load(Ordering::Relaxed));
        Sample { run_ns: run_time_ns(task), user_ticks, system_ticks }
    }

    /// Adds another one.
    pub fn add(&mut self, other: Sample) {
        self.run_ns += other.run_ns;
        self.user_ticks += other.user_ticks;
        self.system_ticks += other.system_ticks;
    }
}

/// A tick came. In interrupt context.
pub(super) fn count(from_user: bool) {
    let pin = IrqGuard::new();
    let Some(current) = task::try_current() else { return };
    let data = data(&current);
    let Some(owner) = &data.owner else {
        return add_one(&COUNTS.get(&pin)[2]);
    };
    add_one(&data.ticks[usize::from(!from_user)]);
    add_one(&COUNTS.get(&pin)[if !from_user { 2 } else { usize::from(data.nice() > 0) }]);
    data.tell_of_tick(owner);
}

/// No other CPU writes it at this time.
fn add_one(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Ticks of `cpu` in user mode, in that of tasks with a positive nice value, and in the kernel.
pub fn counts(cpu: CpuId) -> [u64; 3] {
    COUNTS.on(cpu).map_or([0; 3], |counts| counts.each_ref().map(|count| count.load(Ordering::Relaxed)))
}

impl TaskData {
    /// Sets whether its owner is told of ticks. The owner must be kept alive by the task itself while it is, so that its
    /// end does not come in an interrupt.
    pub fn tell_of_ticks(&self, wanted: bool) {
        self.tells_of_ticks.store(wanted, Ordering::Relaxed);
    }

    fn tell_of_tick(&self, owner: &Owner) {
        if self.tells_of_ticks.load(Ordering::Relaxed)
            && let Some(thread) = self.thread()
        {
            (owner.ticked)(thread);
        }
    }
}

/// How long a task has run since it last slept, in ns.
pub fn awake_ns(task: &Task) -> u64 {
    run_time_ns(task).saturating_sub(data(task).slept_at_ns.load(Ordering::Relaxed))
}
