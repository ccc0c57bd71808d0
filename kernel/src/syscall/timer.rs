//! Timers that send signals: alarm(2), setitimer(2), timer_create(2).

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::clock;
use crate::process::Process;
use crate::process::alarm::{Action, Timer, TimerClock};
use crate::process::cpu_time::{Counts, CpuClock};
use abi::signal::{SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, Sigevent};
use abi::time::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_TAI, ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, Itimerspec,
    Itimerval, TIMER_ABSTIME, Timespec, Timeval,
};
use abi::{Errno, Signal};
use alloc::sync::Arc;
use core::time::Duration;
use machine::time::{self, Instant};

/// Most timers of a process.
const MAX_TIMERS: usize = 1024;

/// The process's timer of setitimer(2)'s number `which`, made when it is first needed; EINVAL if there is no such number.
fn interval_timer(process: &Arc<Process>, which: u32) -> Result<&Arc<Timer>, Errno> {
    let timer = process.interval_timers.get(which as usize).ok_or(Errno::EINVAL)?;
    let (signal, clock) = match which {
        ITIMER_VIRTUAL => (Signal::SIGVTALRM, TimerClock::Cpu(CpuClock::of(process, Counts::User))),
        ITIMER_PROF => (Signal::SIGPROF, TimerClock::Cpu(CpuClock::of(process, Counts::All))),
        _ => (Signal::SIGALRM, TimerClock::Boot),
    };
    let action = Action::Signal { signal, value: 0, timer_id: None, tid: 0 };
    Ok(timer.call_once(|| Timer::new(process, action, clock)))
}

/// Time left, which is not zero for a timer that is armed.
fn left(span: Option<Duration>) -> Duration {
    span.map_or(Duration::ZERO, |span| span.max(Duration::from_micros(1)))
}

pub fn alarm(caller: &mut Caller<'_>, seconds: u32) -> SyscallResult {
    let deadline = (seconds != 0).then(|| time::now() + Duration::from_secs(seconds.into()));
    let (before, _) = interval_timer(caller.thread.process(), ITIMER_REAL)?.set(deadline, Duration::ZERO);
    // Rounded, but never to zero for one that was armed.
    Ok(before.map_or(0, |span| rounded_seconds(span).max(1)))
}

fn rounded_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_millis() >= 500)
}

pub fn getitimer(caller: &mut Caller<'_>, which: u32, out: UserOut<Itimerval>) -> SyscallResult {
    out.write(&itimerval(interval_timer(caller.thread.process(), which)?.get()))?;
    Ok(0)
}

pub fn setitimer(
    caller: &mut Caller<'_>,
    which: u32,
    new: UserIn<Itimerval>,
    old: UserOut<Itimerval>,
) -> SyscallResult {
    let new = new.read_if_given()?.unwrap_or_default();
    let (value, interval) = (new.it_value.to_duration()?, new.it_interval.to_duration()?);
    let timer = interval_timer(caller.thread.process(), which)?;
    let deadline = (!value.is_zero()).then(|| timer.now() + value);
    let before = timer.set(deadline, interval);
    old.write_if_given(&itimerval(before))?;
    Ok(0)
}

fn itimerval((value, interval): (Option<Duration>, Duration)) -> Itimerval {
    Itimerval { it_interval: Timeval::from(interval), it_value: Timeval::from(left(value)) }
}

pub fn timer_create(caller: &mut Caller<'_>, clock: u32, event: UserIn<Sigevent>, out: UserOut<i32>) -> SyscallResult {
    let clock = match clock {
        CLOCK_REALTIME | CLOCK_TAI => TimerClock::WallClock,
        CLOCK_MONOTONIC | CLOCK_BOOTTIME => TimerClock::Boot,
        _ => TimerClock::Cpu(CpuClock::named(caller.thread, clock)?.ok_or(Errno::EINVAL)?),
    };
    let event = event.read_if_given()?;
    let process = caller.thread.process();
    let mut timers = process.timers.lock();
    let id = (0..MAX_TIMERS as i32).find(|id| timers.get(id).is_none()).ok_or(Errno::EAGAIN)?;
    let action = match event {
        None => Action::Signal { signal: Signal::SIGALRM, value: id as u64, timer_id: Some(id), tid: 0 },
        Some(event) => action(process, &event, id)?,
    };
    timers.insert(id, Timer::new(process, action, clock));
    drop(timers);
    if let Err(error) = out.write(&id) {
        process.timers.lock().remove(&id);
        return Err(error);
    }
    Ok(0)
}

fn action(process: &Process, event: &Sigevent, id: i32) -> Result<Action, Errno> {
    let tid = match event.sigev_notify {
        SIGEV_NONE => return Ok(Action::Nothing),
        SIGEV_SIGNAL => 0,
        notify if notify == SIGEV_SIGNAL | SIGEV_THREAD_ID => {
            let tid = event.sigev_tid as u32;
            process.thread(tid).ok_or(Errno::EINVAL)?;
            tid
        }
        _ => return Err(Errno::EINVAL),
    };
    let signal = Signal::new(event.sigev_signo).ok_or(Errno::EINVAL)?;
    Ok(Action::Signal { signal, value: event.sigev_value, timer_id: Some(id), tid })
}

fn named(caller: &Caller<'_>, id: i32) -> Result<Arc<Timer>, Errno> {
    caller.thread.process().timers.lock().get(&id).cloned().ok_or(Errno::EINVAL)
}

pub fn timer_settime(
    caller: &mut Caller<'_>,
    id: i32,
    flags: u32,
    new: UserIn<Itimerspec>,
    old: UserOut<Itimerspec>,
) -> SyscallResult {
    let new = new.read()?;
    let (value, interval) = (new.it_value.to_duration()?, new.it_interval.to_duration()?);
    let timer = named(caller, id)?;
    let deadline = match (value.is_zero(), flags & TIMER_ABSTIME != 0) {
        (true, _) => None,
        (false, false) => Some(timer.now() + value),
        (false, true) if matches!(timer.clock(), TimerClock::WallClock) => {
            Some(time::now() + value.saturating_sub(Duration::from_nanos(clock::realtime_ns())))
        }
        (false, true) => Some(Instant::default() + value),
    };
    let before = timer.set(deadline, interval);
    old.write_if_given(&itimerspec(before))?;
    Ok(0)
}

pub fn timer_gettime(caller: &mut Caller<'_>, id: i32, out: UserOut<Itimerspec>) -> SyscallResult {
    out.write(&itimerspec(named(caller, id)?.get()))?;
    Ok(0)
}

fn itimerspec((value, interval): (Option<Duration>, Duration)) -> Itimerspec {
    Itimerspec { it_interval: Timespec::from(interval), it_value: Timespec::from(left(value)) }
}

pub fn timer_getoverrun(caller: &mut Caller<'_>, id: i32) -> SyscallResult {
    Ok(named(caller, id)?.reported_overruns().min(i32::MAX as u64))
}

pub fn timer_delete(caller: &mut Caller<'_>, id: i32) -> SyscallResult {
    let timer = caller.thread.process().timers.lock().remove(&id).ok_or(Errno::EINVAL)?;
    timer.set(None, Duration::ZERO);
    Ok(0)
}
