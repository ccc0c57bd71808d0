//! Files to wait on: eventfd(2), signalfd(2), timerfd_create(2) and its kin.

use super::argument::{Fd, UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::ipc::eventfd;
use crate::ipc::signalfd::{self, SignalFile};
use crate::ipc::timerfd::{self, Setting, TimerFile};
use crate::vfs::File;
use crate::vfs::flags::{O_CLOEXEC, O_NONBLOCK};
use abi::Errno;
use abi::pod::Pod;
use abi::poll::{EFD_SEMAPHORE, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET};
use abi::signal::SigSet;
use abi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, Itimerspec, Timespec,
};
use alloc::sync::Arc;

pub fn eventfd(caller: &mut Caller<'_>, count: u32) -> SyscallResult {
    eventfd2(caller, count, 0)
}

pub fn eventfd2(caller: &mut Caller<'_>, count: u32, flags: u32) -> SyscallResult {
    if flags & !(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    insert(caller, eventfd::new(count, flags & EFD_SEMAPHORE != 0, flags), flags)
}

pub fn signalfd(caller: &mut Caller<'_>, fd: Fd, mask: UserIn<SigSet>, size: usize) -> SyscallResult {
    signalfd4(caller, fd, mask, size, 0)
}

/// With descriptor -1 a new file, else other signals for the one there is.
pub fn signalfd4(caller: &mut Caller<'_>, fd: Fd, mask: UserIn<SigSet>, size: usize, flags: u32) -> SyscallResult {
    if size != SigSet::SIZE {
        return Err(Errno::EINVAL);
    }
    let mask = mask.read()?;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    if fd.0 == -1 {
        return insert(caller, signalfd::new(mask, flags), flags);
    }
    fd.file(caller.thread)?.device::<SignalFile>().ok_or(Errno::EINVAL)?.set_mask(mask);
    Ok(fd.0 as u64)
}

pub fn timerfd_create(caller: &mut Caller<'_>, clock: u32, flags: u32) -> SyscallResult {
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let realtime = match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_ALARM => true,
        CLOCK_MONOTONIC | CLOCK_BOOTTIME | CLOCK_BOOTTIME_ALARM => false,
        _ => return Err(Errno::EINVAL),
    };
    insert(caller, timerfd::new(realtime, flags), flags)
}

pub fn timerfd_settime(
    caller: &mut Caller<'_>,
    fd: Fd,
    flags: u32,
    new: UserIn<Itimerspec>,
    old: UserOut<Itimerspec>,
) -> SyscallResult {
    let new = new.read()?;
    // The wall clock is never set here, so that there is nothing to cancel on.
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let (value, interval) = (new.it_value.to_duration()?, new.it_interval.to_duration()?);
    let file = fd.file(caller.thread)?;
    let timer = file.device::<TimerFile>().ok_or(Errno::EINVAL)?;
    let before = timer.set(flags & TFD_TIMER_ABSTIME != 0, value, interval);
    old.write_if_given(&to_itimerspec(before))?;
    Ok(0)
}

pub fn timerfd_gettime(caller: &mut Caller<'_>, fd: Fd, out: UserOut<Itimerspec>) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    let timer = file.device::<TimerFile>().ok_or(Errno::EINVAL)?;
    out.write(&to_itimerspec(timer.get()))?;
    Ok(0)
}

/// Gives a file the lowest free descriptor.
#[inline(never)] // it is used in many calls, none of them often
pub(super) fn insert(caller: &Caller<'_>, file: Arc<File>, flags: u32) -> SyscallResult {
    let process = caller.thread.process();
    let fd = process.add_file(file, flags & O_CLOEXEC != 0)?;
    Ok(fd as u64)
}

fn to_itimerspec((value, interval): Setting) -> Itimerspec {
    Itimerspec { it_interval: Timespec::from(interval), it_value: Timespec::from(value) }
}
