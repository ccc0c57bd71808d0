//! Who a process is and what it may use: numbers, groups, sessions, credentials(7), resource limits and use.

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::process::cpu_time::Division;
use crate::process::credentials::{Credentials, Identity, MAX_GROUPS};
use crate::process::{Process, find, table};
use abi::Errno;
use abi::capability::{CAP_SETGID, CAP_SETUID, CAP_SYS_RESOURCE};
use abi::system::{Rlimit64, Rusage};
use abi::time::Timeval;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub fn getpid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().pid().into())
}

pub fn gettid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.tid().into())
}

pub fn getppid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().parent().into())
}

pub fn getpgrp(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().group().into())
}

pub fn getpgid(caller: &mut Caller<'_>, pid: u32) -> SyscallResult {
    named(caller, pid).map(|process| process.group().into())
}

pub fn setpgid(caller: &mut Caller<'_>, pid: u32, group: u32) -> SyscallResult {
    let group = if group == 0 { pid } else { group };
    if (group as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    table::set_group(caller.thread.process(), pid, group)?;
    Ok(0)
}

pub fn getsid(caller: &mut Caller<'_>, pid: u32) -> SyscallResult {
    named(caller, pid).map(|process| process.session().into())
}

pub fn setsid(caller: &mut Caller<'_>) -> SyscallResult {
    table::new_session(caller.thread.process()).map(u64::from)
}

/// The process with number `pid`, the caller's own for 0.
fn named(caller: &Caller<'_>, pid: u32) -> Result<Arc<Process>, Errno> {
    if pid == 0 { Ok(caller.thread.process().clone()) } else { find(pid).ok_or(Errno::ESRCH) }
}

pub fn getuid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().credentials().user.real.into())
}

pub fn getgid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().credentials().group.real.into())
}

pub fn geteuid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().credentials().user.effective.into())
}

pub fn getegid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().credentials().group.effective.into())
}

/// Changes the caller's credentials; `change` learns whether it has `capability`.
fn change(
    caller: &Caller<'_>,
    capability: u32,
    change: impl FnOnce(&mut Credentials, bool) -> Result<(), Errno>,
) -> SyscallResult {
    caller.thread.process().change_credentials(|credentials| {
        let before = credentials.clone();
        change(credentials, before.has(capability))?;
        let numbers = |of: Identity| [of.real, of.effective, of.saved];
        credentials.capabilities.follow_user(numbers(before.user), numbers(credentials.user));
        Ok::<(), Errno>(())
    })?;
    Ok(0)
}

pub fn setuid(caller: &mut Caller<'_>, id: u32) -> SyscallResult {
    change(caller, CAP_SETUID, |own, privileged| own.user.set(id, privileged))
}

pub fn setgid(caller: &mut Caller<'_>, id: u32) -> SyscallResult {
    change(caller, CAP_SETGID, |own, privileged| own.group.set(id, privileged))
}

pub fn setreuid(caller: &mut Caller<'_>, real: u32, effective: u32) -> SyscallResult {
    change(caller, CAP_SETUID, |own, privileged| own.user.set_real_effective(real, effective, privileged))
}

pub fn setregid(caller: &mut Caller<'_>, real: u32, effective: u32) -> SyscallResult {
    change(caller, CAP_SETGID, |own, privileged| own.group.set_real_effective(real, effective, privileged))
}

pub fn setresuid(caller: &mut Caller<'_>, real: u32, effective: u32, saved: u32) -> SyscallResult {
    change(caller, CAP_SETUID, |own, privileged| own.user.set_all(real, effective, saved, privileged))
}

pub fn setresgid(caller: &mut Caller<'_>, real: u32, effective: u32, saved: u32) -> SyscallResult {
    change(caller, CAP_SETGID, |own, privileged| own.group.set_all(real, effective, saved, privileged))
}

pub fn setfsuid(caller: &mut Caller<'_>, id: u32) -> SyscallResult {
    let mut old = 0;
    change(caller, CAP_SETUID, |own, privileged| {
        old = own.user.set_file(id, privileged);
        own.capabilities.follow_file_user(old, own.user.file);
        Ok(())
    })?;
    Ok(old.into())
}

pub fn setfsgid(caller: &mut Caller<'_>, id: u32) -> SyscallResult {
    let mut old = 0;
    change(caller, CAP_SETGID, |own, privileged| {
        old = own.group.set_file(id, privileged);
        Ok(())
    })?;
    Ok(old.into())
}

pub fn getresuid(
    caller: &mut Caller<'_>,
    real: UserOut<u32>,
    effective: UserOut<u32>,
    saved: UserOut<u32>,
) -> SyscallResult {
    let user = caller.thread.process().credentials().user;
    real.write(&user.real)?;
    effective.write(&user.effective)?;
    saved.write(&user.saved)?;
    Ok(0)
}

pub fn getresgid(
    caller: &mut Caller<'_>,
    real: UserOut<u32>,
    effective: UserOut<u32>,
    saved: UserOut<u32>,
) -> SyscallResult {
    let group = caller.thread.process().credentials().group;
    real.write(&group.real)?;
    effective.write(&group.effective)?;
    saved.write(&group.saved)?;
    Ok(0)
}

pub fn getgroups(caller: &mut Caller<'_>, count: i32, out: u64) -> SyscallResult {
    let groups = caller.thread.process().credentials().groups.clone();
    let room = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if room != 0 {
        if room < groups.len() {
            return Err(Errno::EINVAL);
        }
        for (at, group) in groups.iter().enumerate() {
            UserOut::at(out.wrapping_add(at as u64 * 4)).write(group)?;
        }
    }
    Ok(groups.len() as u64)
}

pub fn setgroups(caller: &mut Caller<'_>, count: i32, groups: u64) -> SyscallResult {
    caller.needs(CAP_SETGID)?;
    let count = usize::try_from(count).ok().filter(|&count| count <= MAX_GROUPS).ok_or(Errno::EINVAL)?;
    let mut new = Vec::new();
    new.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    for at in 0..count as u64 {
        new.push(UserIn::<u32>::at(groups.wrapping_add(at * 4)).read()?);
    }
    change(caller, CAP_SETGID, |own, _| {
        own.groups = new.into();
        Ok(())
    })
}

pub fn umask(caller: &mut Caller<'_>, mask: u32) -> SyscallResult {
    Ok(caller.thread.process().set_umask(mask).into())
}

pub fn getrlimit(caller: &mut Caller<'_>, resource: u32, out: UserOut<Rlimit64>) -> SyscallResult {
    out.write(&caller.thread.process().limits().get(resource)?)?;
    Ok(0)
}

pub fn setrlimit(caller: &mut Caller<'_>, resource: u32, new: UserIn<Rlimit64>) -> SyscallResult {
    let new = new.read()?;
    let process = caller.thread.process();
    let privileged = caller.has(CAP_SYS_RESOURCE);
    process.with_limits(|limits| limits.set(resource, new, privileged))?;
    apply_limits(process);
    Ok(0)
}

pub fn prlimit64(
    caller: &mut Caller<'_>,
    pid: u32,
    resource: u32,
    new: UserIn<Rlimit64>,
    old: UserOut<Rlimit64>,
) -> SyscallResult {
    let target = named(caller, pid)?;
    let new = new.read_if_given()?;
    let own = caller.thread.process().credentials();
    let other = target.credentials();
    let is_all = |[real, effective, saved]: [u32; 3], own: u32| [real, effective, saved] == [own; 3];
    let same = is_all([other.user.real, other.user.effective, other.user.saved], own.user.real)
        && is_all([other.group.real, other.group.effective, other.group.saved], own.group.real);
    if !Arc::ptr_eq(&target, caller.thread.process()) && !same && !own.has(CAP_SYS_RESOURCE) {
        return Err(Errno::EPERM);
    }
    let before = target.with_limits(|limits| {
        let before = limits.get(resource)?;
        match new {
            Some(new) => limits.set(resource, new, own.has(CAP_SYS_RESOURCE)).map(|()| before),
            None => Ok(before),
        }
    })?;
    apply_limits(&target);
    old.write_if_given(&before)?;
    Ok(0)
}

/// Tells the address space of the limits that concern it, and has CPU time looked at if it is limited.
fn apply_limits(process: &Process) {
    if process.limits().watch_cpu_time() {
        process.cpu.watch();
    }
    if let Some(space) = process.try_space() {
        space.set_limits(process.limits().of_memory(&process.credentials()));
    }
}

pub fn getrusage(caller: &mut Caller<'_>, who: i32, out: UserOut<Rusage>) -> SyscallResult {
    const SELF: i32 = 0;
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    let process = caller.thread.process();
    let time = match who {
        SELF => process.cpu_time(),
        THREAD => caller.thread.cpu_time(),
        CHILDREN => process.cpu.children(),
        _ => return Err(Errno::EINVAL),
    };
    let pages = if who == CHILDREN { 0 } else { process.space().resident_pages() };
    out.write(&usage(time, pages))?;
    Ok(0)
}

pub(super) fn usage(time: Division, resident_pages: usize) -> Rusage {
    Rusage {
        ru_utime: Timeval::from(Duration::from_nanos(time.user_ns)),
        ru_stime: Timeval::from(Duration::from_nanos(time.system_ns)),
        ru_maxrss: (resident_pages * 4) as i64,
        ..Rusage::default()
    }
}
