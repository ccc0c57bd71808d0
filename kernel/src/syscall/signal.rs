//! Signals: rt_sigaction(2), rt_sigprocmask(2), waiting for them, kill(2), sigaltstack(2), sigreturn(2).

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::process::deliver::SS_AUTODISARM;
use crate::process::signal::ignores;
use crate::process::{self, Process, Thread, deliver, find, send, table};
use abi::sigframe::{KernelSiginfo, SI_TKILL, Siginfo};
use abi::signal::{
    MINSIGSTKSZ, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SS_DISABLE, SS_ONSTACK, SigSet, Sigaction, SigaltStack,
};
use abi::time::Timespec;
use abi::{Errno, Pod, Signal};
use alloc::sync::Arc;
use machine::sync::WaitEnd;
use machine::time;
use machine::user::{copy, value};

/// Bytes of a signal set.
const SET_LEN: usize = 8;

fn check_size(size: usize) -> Result<(), Errno> {
    if size == SET_LEN { Ok(()) } else { Err(Errno::EINVAL) }
}

/// A signal by number; None for 0, with which a sender only looks.
pub(super) fn optional(number: i32) -> Result<Option<Signal>, Errno> {
    if number == 0 { Ok(None) } else { Signal::new(number).map(Some).ok_or(Errno::EINVAL) }
}

pub fn rt_sigaction(
    caller: &mut Caller<'_>,
    signal: i32,
    new: UserIn<Sigaction>,
    old: UserOut<Sigaction>,
    size: usize,
) -> SyscallResult {
    check_size(size)?;
    let signal = Signal::new(signal).ok_or(Errno::EINVAL)?;
    let mut action = new.read_if_given()?;
    if action.is_some() && signal.is_unstoppable() {
        return Err(Errno::EINVAL);
    }
    if let Some(action) = &mut action {
        action.sa_mask = action.sa_mask.difference(SigSet::UNBLOCKABLE);
    }
    let process = caller.thread.process();
    let before = process.actions.action(signal, action);
    if action.is_some_and(|action| ignores(&action, signal)) {
        // What is pending of it is forgotten (POSIX 2.4.3).
        let set = SigSet::EMPTY.with(signal);
        process.pending.discard(set);
        process.threads().iter().for_each(|thread| thread.pending.discard(set));
    }
    old.write_if_given(&before)?;
    Ok(0)
}

pub fn rt_sigprocmask(
    caller: &mut Caller<'_>,
    how: u32,
    new: UserIn<SigSet>,
    old: UserOut<SigSet>,
    size: usize,
) -> SyscallResult {
    check_size(size)?;
    let before = caller.thread.blocked();
    if let Some(set) = new.read_if_given()? {
        caller.thread.set_blocked(match how {
            SIG_BLOCK => before.union(set),
            SIG_UNBLOCK => before.difference(set),
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        });
    }
    old.write_if_given(&before)?;
    Ok(0)
}

pub fn rt_sigpending(caller: &mut Caller<'_>, out: UserOut<SigSet>, size: usize) -> SyscallResult {
    if size > SET_LEN {
        return Err(Errno::EINVAL);
    }
    let thread = caller.thread;
    let pending = thread.pending.set().union(thread.process().pending.set()).intersection(thread.blocked());
    copy::write(out.0, &pending.0.to_le_bytes()[..size]).map_err(|_| Errno::EFAULT)?;
    Ok(0)
}

pub fn rt_sigsuspend(caller: &mut Caller<'_>, set: UserIn<SigSet>, size: usize) -> SyscallResult {
    check_size(size)?;
    caller.thread.set_blocked_for_call(set.read()?);
    pause(caller)
}

/// Sleeps until a signal.
pub fn pause(caller: &mut Caller<'_>) -> SyscallResult {
    let _ = caller.thread.process().signal_sent.wait_until(None, process::interrupted, || None::<()>);
    Err(Errno::EINTR)
}

pub fn rt_sigtimedwait(
    caller: &mut Caller<'_>,
    set: UserIn<SigSet>,
    info: UserOut<Siginfo>,
    timeout: UserIn<Timespec>,
    size: usize,
) -> SyscallResult {
    check_size(size)?;
    let wanted = set.read()?.difference(SigSet::UNBLOCKABLE);
    let timeout = timeout.read_if_given()?.map(Timespec::to_duration).transpose()?;
    let deadline = timeout.map(|timeout| time::now() + timeout);
    let thread = caller.thread;
    let taken = || thread.take_signal_of(wanted);
    match thread.process().signal_sent.wait_until(deadline, process::interrupted, taken) {
        Ok((signal, found)) => {
            info.write_if_given(&found.into())?;
            Ok(signal.number().into())
        }
        Err(WaitEnd::TimedOut) => Err(Errno::EAGAIN),
        Err(WaitEnd::Interrupted) => Err(Errno::EINTR),
    }
}

pub fn kill(caller: &mut Caller<'_>, pid: i32, signal: i32) -> SyscallResult {
    send::kill(caller.thread.process(), pid, optional(signal)?)?;
    Ok(0)
}

pub fn tkill(caller: &mut Caller<'_>, tid: i32, signal: i32) -> SyscallResult {
    let tid = positive(tid)?;
    to_thread(caller, &*thread(tid)?, signal, None)
}

pub fn tgkill(caller: &mut Caller<'_>, pid: i32, tid: i32, signal: i32) -> SyscallResult {
    let (pid, tid) = (positive(pid)?, positive(tid)?);
    to_thread(caller, &*thread_of(pid, tid)?, signal, None)
}

pub fn rt_sigqueueinfo(caller: &mut Caller<'_>, pid: i32, signal: i32, info: UserIn<Siginfo>) -> SyscallResult {
    let info = read_info(info)?;
    let process = find(positive(pid).map_err(|_| Errno::ESRCH)?).ok_or(Errno::ESRCH)?;
    let signal = optional(signal)?;
    check_sender(caller.thread.process(), &process, signal, Some(&info))?;
    if let Some(signal) = signal {
        let info = KernelSiginfo { si_signo: signal.number().into(), ..info };
        return if process.send(signal, info) { Ok(0) } else { Err(Errno::EAGAIN) };
    }
    Ok(0)
}

pub fn rt_tgsigqueueinfo(
    caller: &mut Caller<'_>,
    pid: i32,
    tid: i32,
    signal: i32,
    info: UserIn<Siginfo>,
) -> SyscallResult {
    let info = read_info(info)?;
    let (pid, tid) = (positive(pid)?, positive(tid)?);
    to_thread(caller, &*thread_of(pid, tid)?, signal, Some(info))
}

/// What a program says of a signal. Where it may be more than is kept, the rest must be zero: E2BIG.
pub(super) fn read_info(from: UserIn<Siginfo>) -> Result<KernelSiginfo, Errno> {
    let info: KernelSiginfo = value::get(from.0)?;
    if !info.has_known_fields() {
        let rest: [u64; 10] = value::get(from.0.wrapping_add(KernelSiginfo::SIZE as u64))?;
        if rest != [0; 10] {
            return Err(Errno::E2BIG);
        }
    }
    Ok(info)
}

fn positive(number: i32) -> Result<u32, Errno> {
    u32::try_from(number).ok().filter(|&number| number != 0).ok_or(Errno::EINVAL)
}

fn thread(tid: u32) -> Result<Arc<Thread>, Errno> {
    table::find_thread(tid).ok_or(Errno::ESRCH)
}

fn thread_of(pid: u32, tid: u32) -> Result<Arc<Thread>, Errno> {
    thread(tid).and_then(|thread| if thread.process().pid() == pid { Ok(thread) } else { Err(Errno::ESRCH) })
}

fn to_thread(caller: &Caller<'_>, target: &Thread, signal: i32, info: Option<KernelSiginfo>) -> SyscallResult {
    let signal = optional(signal)?;
    let own = caller.thread.process();
    check_sender(own, target.process(), signal, info.as_ref())?;
    if let Some(signal) = signal {
        let info = info.unwrap_or_else(|| send::sent_by(own, signal, SI_TKILL));
        let info = KernelSiginfo { si_signo: signal.number().into(), ..info };
        return if target.send(signal, info) { Ok(0) } else { Err(Errno::EAGAIN) };
    }
    Ok(0)
}

/// A program may not pass its signals to others off as the kernel's or as those of kill(2).
pub(super) fn check_sender(
    own: &Process,
    target: &Process,
    signal: Option<Signal>,
    info: Option<&KernelSiginfo>,
) -> Result<(), Errno> {
    let pretends = info.is_some_and(|info| info.si_code >= 0 || info.si_code == SI_TKILL);
    if pretends && own.pid() != target.pid() || !send::permitted(own, target, signal) {
        return Err(Errno::EPERM);
    }
    Ok(())
}

pub fn sigaltstack(caller: &mut Caller<'_>, new: UserIn<SigaltStack>, old: UserOut<SigaltStack>) -> SyscallResult {
    let new = new.read_if_given()?;
    let current = caller.thread.alternate_stack.get();
    let on_stack = deliver::is_on(&current, caller.context.registers().rsp);
    if let Some(new) = new {
        if on_stack {
            return Err(Errno::EPERM);
        }
        match new.ss_flags & !SS_AUTODISARM {
            SS_DISABLE => caller.thread.alternate_stack.set(SigaltStack::NONE),
            0 | SS_ONSTACK if new.ss_size < MINSIGSTKSZ => return Err(Errno::ENOMEM),
            0 | SS_ONSTACK => {
                caller.thread.alternate_stack.set(SigaltStack { ss_flags: new.ss_flags & SS_AUTODISARM, ..new })
            }
            _ => return Err(Errno::EINVAL),
        };
    }
    let flags = if on_stack { SS_ONSTACK } else { current.ss_flags };
    old.write_if_given(&SigaltStack { ss_flags: flags, ..current })?;
    Ok(0)
}

/// A frame that is not one ends the program, as on Linux.
pub fn rt_sigreturn(caller: &mut Caller<'_>) -> SyscallResult {
    let result = deliver::sigreturn(caller.thread, caller.context);
    if result.is_err() {
        caller.thread.force(Signal::SIGSEGV, KernelSiginfo::kernel(Signal::SIGSEGV));
        return Ok(0);
    }
    result
}
