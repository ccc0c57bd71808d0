//! Signals: rt_sigaction(2), rt_sigprocmask(2), kill(2), sigaltstack(2).

use super::argument::{UserIn, UserOut};
use super::io::{read_u64, write_u64};
use super::{Caller, SyscallResult};
use crate::process;
use crate::process::signal::{Action, LAST, number};
use abi::Errno;

/// Bytes of a signal set.
const SET_LEN: usize = 8;

pub fn rt_sigaction(
    caller: &mut Caller<'_>,
    signal: u64,
    new: UserIn<u64>,
    old: UserOut<u64>,
    size: usize,
) -> SyscallResult {
    if size != SET_LEN || !(1..=LAST).contains(&signal) {
        return Err(Errno::EINVAL);
    }
    let signal = signal as u8;
    let action = if new.0 == 0 {
        None
    } else {
        let word = |index: u64| read_u64(new.0.checked_add(8 * index).ok_or(Errno::EFAULT)?);
        Some(Action { handler: word(0)?, flags: word(1)?, restorer: word(2)?, mask: word(3)? })
    };
    if action.is_some() && matches!(signal, number::SIGKILL | number::SIGSTOP) {
        return Err(Errno::EINVAL);
    }
    let before = caller.thread.process().signals.action(signal, action);
    if old.0 != 0 {
        for (index, word) in [before.handler, before.flags, before.restorer, before.mask].into_iter().enumerate() {
            write_u64(old.0.checked_add(8 * index as u64).ok_or(Errno::EFAULT)?, word)?;
        }
    }
    Ok(0)
}

pub fn rt_sigprocmask(
    caller: &mut Caller<'_>,
    how: u32,
    new: UserIn<u64>,
    old: UserOut<u64>,
    size: usize,
) -> SyscallResult {
    const BLOCK: u32 = 0;
    const UNBLOCK: u32 = 1;
    const SET: u32 = 2;
    if size != SET_LEN {
        return Err(Errno::EINVAL);
    }
    let blocked = &caller.thread.blocked;
    let before = blocked.bits();
    if let Some(set) = new.read_if_given()? {
        blocked.set_mask(match how {
            BLOCK => before | set,
            UNBLOCK => before & !set,
            SET => set,
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
pub fn sigaltstack(caller: &mut Caller<'_>, new: u64, old: u64) -> SyscallResult {
    const SS_DISABLE: u64 = 2;
    const MINSIGSTKSZ: u64 = 2048;
    let at = |base: u64, offset: u64| base.checked_add(offset).ok_or(Errno::EFAULT);
    let replacement = if new == 0 {
        None
    } else {
        let (base, flags, size) = (read_u64(new)?, read_u64(at(new, 8)?)? & 0xffff_ffff, read_u64(at(new, 16)?)?);
        if flags & SS_DISABLE == 0 && size < MINSIGSTKSZ {
            return Err(Errno::ENOMEM);
        }
        Some([base, flags, size])
    };
    let before = caller.thread.alternate_stack(replacement);
    if old != 0 {
        for (index, word) in before.into_iter().enumerate() {
            write_u64(at(old, 8 * index as u64)?, word)?;
        }
    }
    Ok(0)
}
