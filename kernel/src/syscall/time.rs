//! Time: clock_gettime(2), nanosleep(2) and their kin.

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::{clock, process, sched};
use abi::Errno;
use abi::system::Tms;
use abi::time::{Timespec, Timeval};
use core::time::Duration;
use machine::time::{self, Instant};

const NS_PER_SECOND: u64 = 1_000_000_000;
/// Ticks a second of times(2).
const CLOCK_TICKS: u64 = 100;

pub fn clock_gettime(caller: &mut Caller<'_>, clock: u32, out: UserOut<Timespec>) -> SyscallResult {
    out.write(&timespec(read_clock(caller, clock)?))?;
    Ok(0)
}

pub fn clock_getres(caller: &mut Caller<'_>, clock: u32, out: UserOut<Timespec>) -> SyscallResult {
    read_clock(caller, clock)?;
    out.write_if_given(&Timespec { tv_sec: 0, tv_nsec: 1 })?;
    Ok(0)
}

pub fn gettimeofday(_: &mut Caller<'_>, out: UserOut<Timeval>, zone: u64) -> SyscallResult {
    let now = clock::realtime_ns();
    out.write_if_given(&Timeval { tv_sec: (now / NS_PER_SECOND) as i64, tv_usec: (now / 1000 % 1_000_000) as i64 })?;
    if zone != 0 {
        super::io::write_u64(zone, 0)?;
    }
    Ok(0)
}

pub fn clock_settime(caller: &mut Caller<'_>, clock: u32, new: UserIn<Timespec>) -> SyscallResult {
    const REALTIME: u32 = 0;
    if clock != REALTIME {
        return Err(Errno::EINVAL);
    }
    set_time_of_day(caller, new.read()?.to_duration()?)
}

/// The time zone is a program's matter; that a call only sets it is fine (settimeofday(2)).
pub fn settimeofday(caller: &mut Caller<'_>, new: UserIn<Timeval>, _zone: u64) -> SyscallResult {
    match new.read_if_given()? {
        Some(new) => set_time_of_day(caller, new.to_duration()?),
        None => Ok(0),
    }
}

fn set_time_of_day(caller: &Caller<'_>, since_1970: Duration) -> SyscallResult {
    if !caller.thread.process().credentials().is_privileged() {
        return Err(Errno::EPERM);
    }
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
    let user = (caller.thread.process().run_time_ns() / (NS_PER_SECOND / CLOCK_TICKS)) as i64;
    out.write_if_given(&Tms { tms_utime: user, ..Tms::default() })?;
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
    const TIMER_ABSTIME: u32 = 1;
    let now = read_clock(caller, clock)?;
    let wanted = wanted.read()?.to_duration()?;
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

/// A clock's time in ns. Clock numbers: clock_gettime(2).
fn read_clock(caller: &Caller<'_>, clock: u32) -> Result<u64, Errno> {
    match clock {
        0 | 5 => Ok(clock::realtime_ns()),
        1 | 4 | 6 | 7 => Ok(time::since_boot_ns()),
        2 | 3 => Ok(caller.thread.process().run_time_ns()),
        _ => Err(Errno::EINVAL),
    }
}

fn timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / NS_PER_SECOND) as i64, tv_nsec: (ns % NS_PER_SECOND) as i64 }
}
