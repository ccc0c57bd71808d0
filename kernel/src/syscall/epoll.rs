//! epoll_create(2), epoll_ctl(2), epoll_wait(2) and their kin.

use super::argument::{Fd, UserIn, UserOut};
use super::event::insert;
use super::poll::{TimeLimit, read_mask, with_mask};
use super::{Caller, SyscallResult};
use crate::ipc::epoll;
use crate::vfs::flags::O_CLOEXEC;
use abi::Errno;
use abi::pod::Pod;
use abi::poll::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollEvent};
use abi::signal::SigSet;
use abi::time::Timespec;
use alloc::sync::Arc;
use core::time::Duration;
use machine::addr::USER_END;

/// The size is a hint of old, which must be there.
pub fn epoll_create(caller: &mut Caller<'_>, size: i32) -> SyscallResult {
    if size <= 0 { Err(Errno::EINVAL) } else { epoll_create1(caller, 0) }
}

pub fn epoll_create1(caller: &mut Caller<'_>, flags: u32) -> SyscallResult {
    if flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    insert(caller, epoll::new(), flags)
}

pub fn epoll_ctl(
    caller: &mut Caller<'_>,
    instance: Fd,
    operation: u32,
    fd: Fd,
    event: UserIn<EpollEvent>,
) -> SyscallResult {
    let event = if operation == EPOLL_CTL_DEL { EpollEvent { events: 0, data: 0 } } else { event.read()? };
    let instance_file = instance.file(caller.thread)?;
    let file = fd.file(caller.thread)?;
    epoll::check_watchable(&file)?;
    if Arc::ptr_eq(&instance_file, &file) {
        return Err(Errno::EINVAL);
    }
    let epoll = epoll::instance(&instance_file)?;
    match operation {
        EPOLL_CTL_ADD => epoll.add(&file, fd.0, event)?,
        EPOLL_CTL_MOD => epoll.modify(&file, fd.0, event)?,
        EPOLL_CTL_DEL => epoll.remove(&file, fd.0)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

pub fn epoll_wait(caller: &mut Caller<'_>, instance: Fd, events: u64, most: i32, timeout_ms: i32) -> SyscallResult {
    wait(caller, instance, events, most, milliseconds(timeout_ms))
}

pub fn epoll_pwait(
    caller: &mut Caller<'_>,
    instance: Fd,
    events: u64,
    most: i32,
    timeout_ms: i32,
    mask: UserIn<SigSet>,
    size: usize,
) -> SyscallResult {
    let mask = read_mask(mask, size)?;
    with_mask(caller.thread, mask, || wait(caller, instance, events, most, milliseconds(timeout_ms)))
}

pub fn epoll_pwait2(
    caller: &mut Caller<'_>,
    instance: Fd,
    events: u64,
    most: i32,
    timeout: UserIn<Timespec>,
    mask: UserIn<SigSet>,
    size: usize,
) -> SyscallResult {
    let limit = TimeLimit::new(timeout.read_if_given()?.map(Timespec::to_duration).transpose()?);
    let mask = read_mask(mask, size)?;
    with_mask(caller.thread, mask, || wait(caller, instance, events, most, limit))
}

fn wait(caller: &Caller<'_>, instance: Fd, events: u64, most: i32, limit: TimeLimit) -> SyscallResult {
    let most = usize::try_from(most).ok().filter(|most| (1..=i32::MAX as usize / EpollEvent::SIZE).contains(most));
    let most = most.ok_or(Errno::EINVAL)?;
    // Checked as a whole before anything is waited for, as Linux does.
    let end = events.checked_add((most * EpollEvent::SIZE) as u64).filter(|&end| end <= USER_END);
    end.ok_or(Errno::EFAULT)?;
    let file = instance.file(caller.thread)?;
    let given = epoll::instance(&file)?.wait(most, !limit.is_zero(), limit.deadline(), |number, event| {
        UserOut::<EpollEvent>::at(events + (number * EpollEvent::SIZE) as u64).write(&event)
    })?;
    Ok(given as u64)
}

/// A negative timeout is none.
fn milliseconds(timeout_ms: i32) -> TimeLimit {
    TimeLimit::new(u64::try_from(timeout_ms).ok().map(Duration::from_millis))
}
