//! Signals: rt_sigaction(2), rt_sigprocmask(2), kill(2), sigaltstack(2).

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::process;
use crate::process::signal::{LAST, number};
use abi::Errno;
use abi::signal::{MINSIGSTKSZ, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SS_DISABLE, Sigaction, SigaltStack};

/// Bytes of a signal set.
const SET_LEN: usize = 8;

pub fn rt_sigaction(
    caller: &mut Caller<'_>,
    signal: u64,
    new: UserIn<Sigaction>,
    old: UserOut<Sigaction>,
    size: usize,
) -> SyscallResult {
    if size != SET_LEN || !(1..=LAST).contains(&signal) {
        return Err(Errno::EINVAL);
    }
    let signal = signal as u8;
    let action = new.read_if_given()?;
    if action.is_some() && matches!(signal, number::SIGKILL | number::SIGSTOP) {
        return Err(Errno::EINVAL);
    }
    let before = caller.thread.process().signals.action(signal, action);
    old.write_if_given(&before)?;
    Ok(0)
}

pub fn rt_sigprocmask(
    caller: &mut Caller<'_>,
    how: u32,
    new: UserIn<u64>,
    old: UserOut<u64>,
    size: usize,
) -> SyscallResult {
    if size != SET_LEN {
        return Err(Errno::EINVAL);
    }
    let blocked = &caller.thread.blocked;
    let before = blocked.bits();
    if let Some(set) = new.read_if_given()? {
        blocked.set_mask(match how {
            SIG_BLOCK => before | set,
            SIG_UNBLOCK => before & !set,
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        });
    }
    old.write_if_given(&before)?;
    Ok(0)
}

/// A process group is its leader alone.
pub fn kill(caller: &mut Caller<'_>, pid: i32, signal: u64) -> SyscallResult {
    let target = match pid {
        0 => caller.thread.process().pid(),
        -1 => return Err(Errno::ESRCH),
        pid => pid.unsigned_abs(),
    };
    send(target, signal)
}

pub fn tkill(_: &mut Caller<'_>, tid: i32, signal: u64) -> SyscallResult {
    let tid = u32::try_from(tid).ok().filter(|&tid| tid != 0).ok_or(Errno::EINVAL)?;
    send(tid, signal)
}

pub fn tgkill(caller: &mut Caller<'_>, pid: i32, tid: i32, signal: u64) -> SyscallResult {
    if pid <= 0 {
        return Err(Errno::EINVAL);
    }
    if pid != tid {
        return Err(Errno::ESRCH);
    }
    tkill(caller, tid, signal)
}

fn send(pid: u32, signal: u64) -> SyscallResult {
    let signal = u8::try_from(signal).map_err(|_| Errno::EINVAL)?;
    process::kill(pid, signal)?;
    Ok(0)
}

/// The alternate stack is remembered and given back, as programs set it at their start.
pub fn sigaltstack(caller: &mut Caller<'_>, new: UserIn<SigaltStack>, old: UserOut<SigaltStack>) -> SyscallResult {
    let new = new.read_if_given()?;
    if let Some(new) = &new {
        if new.ss_flags & !SS_DISABLE != 0 {
            return Err(Errno::EINVAL);
        }
        if new.ss_flags & SS_DISABLE == 0 && new.ss_size < MINSIGSTKSZ {
            return Err(Errno::ENOMEM);
        }
    }
    let before = caller.thread.alternate_stack(new);
    old.write_if_given(&before)?;
    Ok(0)
}
