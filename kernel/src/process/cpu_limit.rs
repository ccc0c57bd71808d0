//! What happens when CPU time has reached something: timers by clocks of CPU time expire, RLIMIT_CPU and RLIMIT_RTTIME
//! end the process or warn it.
//!
//! Each tick (`sched::tick`) has the thread that runs look on its way to user mode, if its process has anything to look
//! for: so timers are as exact as ticks are frequent, as on Linux.

use super::{Process, Thread};
use crate::sched::{self, tick};
use abi::Signal;
use abi::sigframe::KernelSiginfo;
use abi::system::{RLIM_INFINITY, RLIMIT_CPU, RLIMIT_RTTIME};
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::Ordering;

use machine::task;

const NS_PER_SECOND: u64 = 1_000_000_000;
const US_PER_SECOND: u64 = 1_000_000;

/// The thread's task runs at a tick. In interrupt context.
pub(super) fn ticked(thread: Arc<dyn Any + Send + Sync>) {
    if let Ok(thread) = thread.downcast::<Thread>()
        && thread.process().cpu.watched.load(Ordering::Relaxed)
    {
        thread.cpu_time_due.store(true, Ordering::Relaxed);
        thread.attention.store(true, Ordering::SeqCst);
    }
}

/// Looks at all that may have been reached. In the thread's context, on its way to user mode.
#[cold]
pub(super) fn check(thread: &Arc<Thread>) {
    thread.cpu_time_due.store(false, Ordering::Relaxed);
    let process = thread.process();
    // What is armed or limited from here on sets it again.
    process.cpu.watched.store(false, Ordering::SeqCst);
    let timers = process.cpu_timers.lock().clone();
    let limits = process.limits();
    if !timers.is_empty() || limits.watch_cpu_time() {
        process.cpu.watch();
    }
    for timer in &timers {
        if let Some(now) = timer.cpu_time() {
            timer.expire(now);
        }
    }
    if limits.current(RLIMIT_CPU) != RLIM_INFINITY {
        let seconds = process.cpu_time().total_ns() / NS_PER_SECOND;
        enforce(process, RLIMIT_CPU, seconds, 1);
    }
    let task = task::current();
    if limits.current(RLIMIT_RTTIME) != RLIM_INFINITY && sched::data(&task).policy().class.priority().is_some() {
        enforce(process, RLIMIT_RTTIME, tick::awake_ns(&task) / 1000, US_PER_SECOND);
    }
}

/// Of a limit of time, `used` is used up: SIGXCPU at the one that counts, which is then raised by `step`, SIGKILL at the
/// upper one (setrlimit(2)).
fn enforce(process: &Arc<Process>, resource: u32, used: u64, step: u64) {
    let Ok(limit) = process.limits().get(resource) else { return };
    if used >= limit.rlim_max {
        log::info!("process {}: no CPU time left, killed", process.pid());
        process.send(Signal::SIGKILL, KernelSiginfo::kernel(Signal::SIGKILL));
    } else if used >= limit.rlim_cur {
        process.with_limits(|limits| limits.raise(resource, limit.rlim_cur.saturating_add(step)));
        process.send(Signal::SIGXCPU, KernelSiginfo::kernel(Signal::SIGXCPU));
    }
}
