//! The watchdog of debug builds: notices CPUs and tasks that do not get on, and shows where they are.
//!
//! Each CPU has a tick every second (`time::every`). It asks for a reschedule; if none comes for [`STUCK_AFTER`], code on
//! this CPU keeps preemption off: a soft lockup. It also looks whether the next CPU still ticks; if not, that CPU keeps
//! interrupts off: a hard lockup, shown by an NMI. The boot CPU's tick looks for tasks that wait too long for what should
//! come soon (`WaitQueue::bounded`). Everything here runs in interrupts.

use crate::cpu;
use crate::irq::lapic;
use crate::percpu;
use crate::report::{self, Report};
use crate::sync::guard;
use crate::sync::lockdep;
use crate::task::{self, Task};
use crate::time::{self, Instant};
use crate::trap::backtrace;
use core::fmt::Write;
use core::sync::atomic::Ordering;
use core::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);
/// A CPU that has not rescheduled, or taken an interrupt, for so long is reported. Emulated CPUs on a busy machine may
/// stand still for a while.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// A task that has waited for a lock or a disk for so long is reported.
const HUNG_AFTER: Duration = Duration::from_secs(30);

/// Begins to watch, on every CPU that lets interrupts in.
pub(crate) fn start() {
    time::every(PERIOD, tick);
}

fn tick(now: Instant) {
    if crate::panic::panicking() {
        return;
    }
    look_for_soft_lockup(now);
    look_for_hard_lockup(now);
    if percpu::this_cpu().number() == 0 {
        look_for_hung_task();
    }
}

fn look_for_soft_lockup(now: Instant) {
    let asked = guard::reschedule_asked_at();
    match asked.load(Ordering::Relaxed) {
        0 => asked.store(now.as_ns(), Ordering::Relaxed),
        since if now - Instant::from_ns(since) >= STUCK_AFTER => {
            asked.store(now.as_ns(), Ordering::Relaxed);
            let mut out = Report::begin();
            let _ = write!(out, "\nsoft lockup: no reschedule for {} s", STUCK_AFTER.as_secs());
            let _ = report::write_own_place(&mut out);
            let _ = writeln!(out, ":");
            let _ = backtrace::write_current(&mut out);
            let _ = report::write_held_locks(&mut out, percpu::this_cpu());
        }
        _ => {}
    }
    guard::set_need_reschedule();
}

fn look_for_hard_lockup(now: Instant) {
    let here = percpu::this_cpu();
    let next = cpu::online().find(|&cpu| cpu > here).or(cpu::online().next()).filter(|&cpu| cpu != here);
    let Some((cpu, last)) = next.and_then(|cpu| Some((cpu, time::last_tick(cpu)?))) else { return };
    let seen = last.load(Ordering::Relaxed);
    if seen == 0 || now - Instant::from_ns(seen) < STUCK_AFTER {
        return;
    }
    // Once in a while, not at every tick.
    last.store(now.as_ns(), Ordering::Relaxed);
    let mut out = Report::begin();
    let seconds = STUCK_AFTER.as_secs();
    let _ = writeln!(out, "\nhard lockup: CPU {cpu} has taken no interrupt for {seconds} s; it shows itself by NMI");
    drop(out);
    lapic::send_nmi(cpu);
}

/// One at a tick.
fn look_for_hung_task() {
    let mut awaited = None;
    task::for_each(|task| {
        if awaited.is_none()
            && let Some((what, waited)) = task.take_overdue(HUNG_AFTER)
        {
            report_hung(task, what, waited);
            awaited = Some(what);
        }
    });
    let Some(awaited) = awaited else { return };
    task::for_each(|task| report_if_holder(task, awaited));
}

fn report_hung(task: &Task, what: &str, waited: Duration) {
    let mut out = Report::begin();
    let seconds = waited.as_secs();
    let _ = writeln!(out, "\nhung task: {} ({:?}) has waited {seconds} s for {what:?}:", task.id(), task.name());
    task.write_backtrace(&mut out);
    lockdep::for_each_held_by_task(task, |name, place| {
        let _ = writeln!(out, "  holding {name:?}, taken at {place}");
    });
}

/// Shows the task if it holds a sleeping lock called `awaited`.
fn report_if_holder(task: &Task, awaited: &str) {
    let mut place = None;
    lockdep::for_each_held_by_task(task, |name, at| {
        if name == awaited {
            place = Some(at);
        }
    });
    let Some(place) = place else { return };
    let mut out = Report::begin();
    let _ = writeln!(out, "{awaited:?} is held by task {} ({:?}), taken at {place}:", task.id(), task.name());
    if !task.write_backtrace(&mut out) {
        let _ = writeln!(out, "  (running)");
    }
}
