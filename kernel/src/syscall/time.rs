//! Time: clock_gettime(2), nanosleep(2) and their kin.

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::process::alarm::{Action, Timer, TimerClock};
use crate::process::cpu_time::CpuClock;
use crate::sched::timer::TICK_NS;
use crate::{clock, process, sched};
use abi::Errno;
use abi::capability::CAP_SYS_TIME;
use abi::system::Tms;
use abi::time::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE, CLOCK_TAI, CLOCK_THREAD_CPUTIME_ID, TIMER_ABSTIME, Timespec, Timeval,
};
use core::time::Duration;
use machine::task;
use machine::time::{self, Instant};
use machine::user::{copy, value};

const NS_PER_SECOND: u64 = 1_000_000_000;
/// Ticks a second of times(2).
const CLOCK_TICKS: u64 = 100;

pub fn clock_gettime(caller: &mut Caller<'_>, clock: u32, out: UserOut<Timespec>) -> SyscallResult {
    out.write(&timespec(read_clock(caller, clock)?))?;
    Ok(0)
}

pub fn clock_getres(caller: &mut Caller<'_>, clock: u32, out: UserOut<Timespec>) -> SyscallResult {
    read_clock(caller, clock)?;
    // Of those that tell user and system time apart it is the tick.
    let is_exact = CpuClock::named(caller.thread, clock)?.is_none_or(|clock| clock.is_exact());
    out.write_if_given(&timespec(if is_exact { 1 } else { TICK_NS }))?;
    Ok(0)
}

pub fn gettimeofday(_: &mut Caller<'_>, out: UserOut<Timeval>, zone: u64) -> SyscallResult {
    let now = clock::realtime_ns();
    out.write_if_given(&Timeval { tv_sec: (now / NS_PER_SECOND) as i64, tv_usec: (now / 1000 % 1_000_000) as i64 })?;
    if zone != 0 {
        value::put(zone, &0u64)?;
    }
    Ok(0)
}

pub fn clock_settime(caller: &mut Caller<'_>, clock: u32, new: UserIn<Timespec>) -> SyscallResult {
    if clock != CLOCK_REALTIME {
        // Nobody sets how much time was used. As on Linux, that is told only by the numbers that name somebody.
        let named = (clock as i32) < 0 && CpuClock::named(caller.thread, clock)?.is_some();
        return Err(if named { Errno::EPERM } else { Errno::EINVAL });
    }
    set_time_of_day(caller, new.read()?.to_duration()?)
}

/// The time zone is a program's matter; that a call only sets it is fine (settimeofday(2)).
pub fn settimeofday(caller: &mut Caller<'_>, new: UserIn<Timeval>, zone: u64) -> SyscallResult {
    let new = new.read_if_given()?;
    if zone != 0 {
        // There is none here, but it has to be one.
        copy::read(zone, &mut [0; 8]).map_err(|_| Errno::EFAULT)?;
    }
    match new {
        Some(new) => set_time_of_day(caller, new.to_duration()?),
        None => Ok(0),
    }
}

fn set_time_of_day(caller: &Caller<'_>, since_1970: Duration) -> SyscallResult {
    caller.needs(CAP_SYS_TIME)?;
    let ns = u64::try_from(since_1970.as_nanos()).map_err(|_| Errno::EINVAL)?;
    process::vdso::set_time_of_day(ns);
    Ok(0)
}

pub fn time(_: &mut Caller<'_>, out: UserOut<i64>) -> SyscallResult {
    let seconds = clock::realtime_ns() / NS_PER_SECOND;
    out.write_if_given(&(seconds as i64))?;
    Ok(seconds)
}

pub fn times(caller: &mut Caller<'_>, out: UserOut<Tms>) -> SyscallResult {
    let process = caller.thread.process();
    let (own, children) = (process.cpu_time(), process.cpu.children());
    let ticks = |ns: u64| (ns / (NS_PER_SECOND / CLOCK_TICKS)) as i64;
    out.write_if_given(&Tms {
        tms_utime: ticks(own.user_ns),
        tms_stime: ticks(own.system_ns),
        tms_cutime: ticks(children.user_ns),
        tms_cstime: ticks(children.system_ns),
    })?;
    Ok(time::since_boot_ns() / (NS_PER_SECOND / CLOCK_TICKS))
}

pub fn nanosleep(_: &mut Caller<'_>, wanted: UserIn<Timespec>, left: UserOut<Timespec>) -> SyscallResult {
    sleep_until(time::now() + wanted.read()?.to_duration()?, left)
}

pub fn clock_nanosleep(
    caller: &mut Caller<'_>,
    clock: u32,
    flags: u32,
    wanted: UserIn<Timespec>,
    left: UserOut<Timespec>,
) -> SyscallResult {
    // As on Linux, where one cannot sleep by the own thread's: by its general number, and by its name.
    if clock == CLOCK_THREAD_CPUTIME_ID {
        return Err(Errno::EOPNOTSUPP);
    }
    let cpu_clock = CpuClock::named(caller.thread, clock)?;
    if cpu_clock.as_ref().is_some_and(|clock| clock.is_of_thread(caller.thread)) {
        return Err(Errno::EINVAL);
    }
    let now = read_clock(caller, clock)?;
    let wanted = wanted.read()?.to_duration()?;
    if let Some(clock) = cpu_clock {
        return sleep_by_cpu_time(caller, clock, wanted, flags & TIMER_ABSTIME != 0, left);
    }
    if flags & TIMER_ABSTIME == 0 {
        return sleep_until(time::now() + wanted, left);
    }
    let ahead = wanted.saturating_sub(Duration::from_nanos(now));
    sleep_until(time::now() + ahead, UserOut::at(0))
}

/// Sleeps; a signal ends it early, and what is left is told.
fn sleep_until(end: Instant, left: UserOut<Timespec>) -> SyscallResult {
    loop {
        let now = time::now();
        if now >= end {
            return Ok(0);
        }
        if process::interrupted() {
            left.write_if_given(&timespec((end - now).as_nanos() as u64))?;
            return Err(Errno::EINTR);
        }
        sched::park("sleep", Some(end));
    }
}

/// Sleeps until a clock of CPU time shows what is `wanted`, or more by that; as `sleep_until`.
fn sleep_by_cpu_time(
    caller: &Caller<'_>,
    clock: CpuClock,
    wanted: Duration,
    absolute: bool,
    left: UserOut<Timespec>,
) -> SyscallResult {
    let action = Action::Wake(task::current().arc());
    let timer = Timer::new(caller.thread.process(), action, TimerClock::Cpu(clock));
    let deadline = if absolute { Instant::default() } else { timer.now() } + wanted;
    timer.set(Some(deadline), Duration::ZERO);
    while let (Some(more), _) = timer.get() {
        if process::interrupted() {
            timer.set(None, Duration::ZERO);
            if !absolute {
                left.write_if_given(&timespec(more.as_nanos() as u64))?;
            }
            return Err(Errno::EINTR);
        }
        sched::park("CPU time", None);
    }
    Ok(0)
}

/// A clock's time in ns. Clock numbers: clock_gettime(2).
fn read_clock(caller: &Caller<'_>, clock: u32) -> Result<u64, Errno> {
    match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_TAI => Ok(clock::realtime_ns()),
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME => Ok(time::since_boot_ns()),
        _ => CpuClock::named(caller.thread, clock)?.and_then(|clock| clock.now_ns()).ok_or(Errno::EINVAL),
    }
}

fn timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / NS_PER_SECOND) as i64, tv_nsec: (ns % NS_PER_SECOND) as i64 }
}
