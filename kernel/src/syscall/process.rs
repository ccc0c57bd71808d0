//! Processes and threads: exit(2), identity, limits, prctl(2), futex(2), scheduling.

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::process::{self, ExitStatus, files};
use crate::sched;
use abi::Errno;
use abi::system::{RLIM_INFINITY, Rlimit64, Rusage};
use abi::time::{Timespec, Timeval};
use core::sync::atomic::Ordering;
use machine::addr::USER_END;
use machine::percpu::this_cpu;
use machine::sync::WaitQueue;
use machine::user::copy;
use machine::{cpu, task, time};

pub fn exit(caller: &mut Caller<'_>, status: u32) -> SyscallResult {
    exit_group(caller, status)
}

pub fn exit_group(caller: &mut Caller<'_>, status: u32) -> SyscallResult {
    caller.thread.process().exit(ExitStatus::Exited(status as u8));
    Ok(0)
}

/// There are no children yet.
pub fn wait4(_: &mut Caller<'_>, _pid: i32, _status: UserOut<u32>, options: u32, _usage: u64) -> SyscallResult {
    const KNOWN: u32 = 0xe000_000b;
    Err(if options & !KNOWN != 0 { Errno::EINVAL } else { Errno::ECHILD })
}

pub fn sched_yield(_: &mut Caller<'_>) -> SyscallResult {
    sched::yield_now();
    Ok(0)
}

pub fn getpid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().pid().into())
}

pub fn gettid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.tid().into())
}

pub fn getppid(caller: &mut Caller<'_>) -> SyscallResult {
    Ok(caller.thread.process().parent().into())
}

/// Every program that the kernel starts leads a group and a session of its own.
pub fn getpgrp(caller: &mut Caller<'_>) -> SyscallResult {
    getpid(caller)
}

pub fn getpgid(caller: &mut Caller<'_>, pid: u32) -> SyscallResult {
    if pid == 0 {
        return getpid(caller);
    }
    process::find(pid).map(|process| process.pid().into()).ok_or(Errno::ESRCH)
}

pub fn getsid(caller: &mut Caller<'_>, pid: u32) -> SyscallResult {
    getpgid(caller, pid)
}

/// Every process is root's.
pub fn getuid(_: &mut Caller<'_>) -> SyscallResult {
    Ok(0)
}

pub fn getgid(_: &mut Caller<'_>) -> SyscallResult {
    Ok(0)
}

pub fn geteuid(_: &mut Caller<'_>) -> SyscallResult {
    Ok(0)
}

pub fn getegid(_: &mut Caller<'_>) -> SyscallResult {
    Ok(0)
}

pub fn umask(caller: &mut Caller<'_>, mask: u32) -> SyscallResult {
    Ok(caller.thread.process().set_umask(mask).into())
}

pub fn getrlimit(_: &mut Caller<'_>, resource: u32, out: UserOut<Rlimit64>) -> SyscallResult {
    out.write(&limit(resource)?)?;
    Ok(0)
}

/// The limits are fixed: one that is set to what it is is fine, anything else is not permitted.
pub fn prlimit64(
    caller: &mut Caller<'_>,
    pid: u32,
    resource: u32,
    new: UserIn<Rlimit64>,
    old: UserOut<Rlimit64>,
) -> SyscallResult {
    if pid != 0 && pid != caller.thread.process().pid() {
        process::find(pid).ok_or(Errno::ESRCH)?;
    }
    let limit = limit(resource)?;
    if let Some(new) = new.read_if_given()? {
        if new.rlim_cur > new.rlim_max {
            return Err(Errno::EINVAL);
        }
        if new != limit {
            return Err(Errno::EPERM);
        }
    }
    old.write_if_given(&limit)?;
    Ok(0)
}

fn limit(resource: u32) -> Result<Rlimit64, Errno> {
    const STACK: u32 = 3;
    const CORE: u32 = 4;
    const FILES: u32 = 7;
    let (current, maximum) = match resource {
        STACK => (crate::vm::STACK_LIMIT, crate::vm::STACK_LIMIT),
        CORE => (0, 0),
        FILES => (files::MAX_FILES as u64, files::MAX_FILES as u64),
        0..=15 => (RLIM_INFINITY, RLIM_INFINITY),
        _ => return Err(Errno::EINVAL),
    };
    Ok(Rlimit64 { rlim_cur: current, rlim_max: maximum })
}

pub fn getrusage(caller: &mut Caller<'_>, who: i32, out: UserOut<Rusage>) -> SyscallResult {
    const SELF: i32 = 0;
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    let process = caller.thread.process();
    let run_time_ns = match who {
        SELF | THREAD => process.run_time_ns(),
        CHILDREN => 0,
        _ => return Err(Errno::EINVAL),
    };
    let ru_utime =
        Timeval { tv_sec: (run_time_ns / 1_000_000_000) as i64, tv_usec: (run_time_ns / 1000 % 1_000_000) as i64 };
    let ru_maxrss = (process.space().resident_pages() * 4) as i64;
    out.write(&Rusage { ru_utime, ru_maxrss, ..Rusage::default() })?;
    Ok(0)
}

pub fn prctl(caller: &mut Caller<'_>, option: u32, argument: u64) -> SyscallResult {
    const PR_GET_DUMPABLE: u32 = 3;
    const PR_SET_NAME: u32 = 15;
    const PR_GET_NAME: u32 = 16;
    match option {
        PR_GET_DUMPABLE => Ok(1),
        PR_SET_NAME => {
            let mut name = [0; 15];
            // Up to fifteen bytes; what lies behind the zero need not be readable.
            for (index, byte) in name.iter_mut().enumerate() {
                let mut one = [0];
                let at = argument.checked_add(index as u64).ok_or(Errno::EFAULT)?;
                copy::read(at, &mut one).map_err(|_| Errno::EFAULT)?;
                *byte = one[0];
                if one[0] == 0 {
                    break;
                }
            }
            caller.thread.set_name(name);
            Ok(0)
        }
        PR_GET_NAME => {
            let mut name = [0; 16];
            name[..15].copy_from_slice(&caller.thread.name());
            copy::write(argument, &name).map_err(|_| Errno::EFAULT)?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

pub fn arch_prctl(_: &mut Caller<'_>, code: u32, address: u64) -> SyscallResult {
    const ARCH_SET_GS: u32 = 0x1001;
    const ARCH_SET_FS: u32 = 0x1002;
    const ARCH_GET_FS: u32 = 0x1003;
    const ARCH_GET_GS: u32 = 0x1004;
    let current = task::current();
    let (fs, gs) = current.segment_bases();
    match code {
        ARCH_SET_FS | ARCH_SET_GS if address >= USER_END => return Err(Errno::EPERM),
        ARCH_SET_FS => current.set_segment_bases(address, gs),
        ARCH_SET_GS => current.set_segment_bases(fs, address),
        ARCH_GET_FS => super::io::write_u64(address, fs)?,
        ARCH_GET_GS => super::io::write_u64(address, gs)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

pub fn set_tid_address(caller: &mut Caller<'_>, address: u64) -> SyscallResult {
    caller.thread.clear_on_exit.store(address, Ordering::Relaxed);
    Ok(caller.thread.tid().into())
}

/// The list matters to other threads of futexes that a thread holds when it ends; a process has one thread.
pub fn set_robust_list(_: &mut Caller<'_>, _head: u64, len: usize) -> SyscallResult {
    const LIST_HEAD_LEN: usize = 24;
    if len != LIST_HEAD_LEN { Err(Errno::EINVAL) } else { Ok(0) }
}

pub fn sched_getaffinity(_: &mut Caller<'_>, pid: u32, len: usize, out: UserOut<u8>) -> SyscallResult {
    if pid != 0 {
        process::find(pid).ok_or(Errno::ESRCH)?;
    }
    if len < 8 || !len.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    super::io::write_u64(out.0, cpu::online_mask())?;
    Ok(8)
}

pub fn getcpu(_: &mut Caller<'_>, cpu: UserOut<u32>, node: UserOut<u32>) -> SyscallResult {
    cpu.write_if_given(&this_cpu().number())?;
    node.write_if_given(&0)?;
    Ok(0)
}

/// All futex waiters, since there is one thread a process and no shared memory yet: a wake-up makes each look again.
static FUTEX_WAITERS: WaitQueue = WaitQueue::new("futex");

pub fn futex(_: &mut Caller<'_>, word: u64, operation: u32, value: u32, timeout: UserIn<Timespec>) -> SyscallResult {
    const FUTEX_WAIT: u32 = 0;
    const FUTEX_WAKE: u32 = 1;
    const FLAGS: u32 = 0x80 | 0x100;
    if !word.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    match operation & !FLAGS {
        FUTEX_WAIT => {
            let deadline = match timeout.read_if_given()? {
                Some(timeout) => Some(time::now() + timeout.to_duration()?),
                None => None,
            };
            if copy::load_u32(word).map_err(|_| Errno::EFAULT)? != value {
                return Err(Errno::EAGAIN);
            }
            let changed = || match copy::load_u32(word) {
                Ok(now) if now == value => None,
                Ok(_) => Some(Ok(0)),
                Err(_) => Some(Err(Errno::EFAULT)),
            };
            match FUTEX_WAITERS.wait_until(deadline, process::interrupted, changed) {
                Ok(result) => result,
                Err(machine::sync::WaitEnd::TimedOut) => Err(Errno::ETIMEDOUT),
                Err(machine::sync::WaitEnd::Interrupted) => Err(Errno::EINTR),
            }
        }
        FUTEX_WAKE => {
            FUTEX_WAITERS.wake_all();
            Ok(0)
        }
        _ => Err(Errno::ENOSYS),
    }
}
