//! Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).

use super::argument::{Fd, UserIn};
use super::event::insert;
use super::signal::{check_sender, optional, read_info};
use super::{Caller, SyscallResult};
use crate::process::{Process, find, pidfd, pidfd::PidFile, send, table};
use crate::vfs::File;
use crate::vfs::flags::{O_CLOEXEC, O_NONBLOCK};
use abi::Errno;
use abi::sigframe::{SI_TKILL, SI_USER, Siginfo};
use alloc::sync::Arc;

/// The process that `file` stands for: EBADF if it stands for none, None if that process is no more.
pub(super) fn process_of(file: &File) -> Result<Option<Arc<Process>>, Errno> {
    Ok(file.device::<PidFile>().ok_or(Errno::EBADF)?.process())
}

pub fn pidfd_open(caller: &mut Caller<'_>, pid: i32, flags: u32) -> SyscallResult {
    if flags & !O_NONBLOCK != 0 || pid <= 0 {
        return Err(Errno::EINVAL);
    }
    let Some(process) = find(pid as u32) else {
        // A thread that is not its process's first has no descriptor.
        return Err(if table::find_thread(pid as u32).is_some() { Errno::EINVAL } else { Errno::ESRCH });
    };
    insert(caller, pidfd::new(&process, flags), O_CLOEXEC)
}

pub fn pidfd_send_signal(
    caller: &mut Caller<'_>,
    pidfd: Fd,
    signal: i32,
    info: UserIn<Siginfo>,
    flags: u32,
) -> SyscallResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let target = process_of(&*pidfd.file(caller.thread)?)?;
    let info = if info.0 == 0 { None } else { Some(read_info(info)?) };
    if info.is_some_and(|info| info.si_signo != signal) {
        return Err(Errno::EINVAL);
    }
    // What only the kernel says of a signal, a process may say to its first thread alone.
    let to_itself = target.as_ref().is_some_and(|target| target.pid() == caller.thread.tid());
    if !to_itself && info.is_some_and(|info| info.si_code >= 0 || info.si_code == SI_TKILL) {
        return Err(Errno::EPERM);
    }
    let target = target.ok_or(Errno::ESRCH)?;
    let signal = optional(signal)?;
    let own = caller.thread.process();
    check_sender(own, &target, signal, None)?;
    if let Some(signal) = signal {
        let info = info.unwrap_or_else(|| send::sent_by(own, signal, SI_USER));
        return if target.send(signal, info) { Ok(0) } else { Err(Errno::EAGAIN) };
    }
    Ok(0)
}

pub fn pidfd_getfd(caller: &mut Caller<'_>, pidfd: Fd, fd: Fd, flags: u32) -> SyscallResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let target = process_of(&*pidfd.file(caller.thread)?)?.ok_or(Errno::ESRCH)?;
    let own = caller.thread.process();
    if !Arc::ptr_eq(own, &target) && !own.credentials().may_trace(&target.credentials(), target.is_dumpable()) {
        return Err(Errno::EPERM);
    }
    let file = target.files.with(|files| files.get(fd.0))?;
    insert(caller, file, O_CLOEXEC)
}
