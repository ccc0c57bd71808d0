//! Parents and their children's changes: wait4(2), waitid(2), and what tells a parent.
//!
//! A child that has ended stays among its parent's `children` until one of the parent's threads takes it out there, which
//! is what makes it the one that has its status.

use super::table::{self, Table};
use super::{ExitStatus, Process};
use abi::process::{WaitFlags, WaitStatus};
use abi::sigframe::{CLD_CONTINUED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, CLD_TRAPPED, KernelSiginfo};
use abi::signal::SaFlags;
use abi::{Errno, Signal};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// Ticks a second in `siginfo_t`.
const NS_PER_TICK: u64 = 10_000_000;

/// A change that does not end a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Report {
    Stopped(Signal),
    Continued,
}

impl Report {
    /// As a number for an atomic; 0 is none.
    pub(super) fn encode(self) -> u32 {
        match self {
            Report::Continued => 1,
            Report::Stopped(signal) => 0x100 | u32::from(signal.number()),
        }
    }

    fn decode(number: u32) -> Option<Self> {
        match number {
            0 => None,
            1 => Some(Report::Continued),
            number => Signal::new((number & 0xff) as i32).map(Report::Stopped),
        }
    }

    fn status(self) -> WaitStatus {
        match self {
            Report::Stopped(signal) => WaitStatus::Stopped(signal),
            Report::Continued => WaitStatus::Continued,
        }
    }
}

/// Which children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Every one.
    Any,
    /// The one with this number.
    Pid(u32),
    /// Those of this group.
    Group(u32),
}

/// What a wait found.
#[derive(Clone)]
pub struct Waited {
    /// The child, or the process of a thread that is traced; None if there is nothing yet and the caller does not wait.
    pub child: Option<Arc<Process>>,
    /// Its number, or that of the thread.
    pub number: u32,
    /// It is a child, and not just traced: its end is for its parent to take.
    pub is_child: bool,
    /// What happened to it.
    pub status: WaitStatus,
}

/// Waits for a change of one of the children that `flags` ask for (EXITED too). ECHILD if there is none to wait for.
pub fn wait(parent: &Arc<Process>, target: Target, flags: WaitFlags) -> Result<Waited, Errno> {
    let look = || match find_any_change(parent, target, flags) {
        Ok(None) if flags.contains(WaitFlags::NOHANG) => {
            Some(Ok(Waited { child: None, number: 0, is_child: false, status: WaitStatus::Exited(0) }))
        }
        Ok(None) => None,
        Ok(Some(found)) => Some(Ok(found)),
        Err(error) => Some(Err(error)),
    };
    let waited = parent.child_changed.wait_until(None, super::interrupted, look).map_err(|_| Errno::EINTR)??;
    if let (Some(child), WaitStatus::Exited(_) | WaitStatus::Signaled { .. }) = (&waited.child, waited.status)
        && !flags.contains(WaitFlags::NOWAIT)
    {
        if waited.is_child {
            account(parent, child);
            forget(child);
        } else if waited.number == child.pid() {
            child.pass_end_on();
        }
    }
    // Whoever made the change that was found still has the table locked, until the signal that tells of it is sent.
    drop(table::lock());
    Ok(waited)
}

/// A change of a child, or of a thread that `parent` traces, that is there now.
fn find_any_change(parent: &Process, target: Target, flags: WaitFlags) -> Result<Option<Waited>, Errno> {
    match find_change(parent, target, flags) {
        Ok(Some(found)) => Ok(Some(found)),
        of_children => match parent.tracees.find_change(target, flags) {
            Err(Errno::ECHILD) => of_children,
            of_tracees => of_tracees,
        },
    }
}

/// A change that is there now. A child that has ended is taken out of the parent's children, unless it is to stay.
fn find_change(parent: &Process, target: Target, flags: WaitFlags) -> Result<Option<Waited>, Errno> {
    let keep = flags.contains(WaitFlags::NOWAIT);
    let mut children = parent.children.lock();
    let mut any = false;
    for at in 0..children.len() {
        let child = &children[at];
        if !matches(child, target, flags) {
            continue;
        }
        any = true;
        if child.held_for_tracer.load(Ordering::SeqCst) {
            continue;
        }
        if child.is_gone() {
            if flags.contains(WaitFlags::EXITED) {
                let status = child.status().unwrap_or(ExitStatus::Exited(0)).wait_status();
                let child = if keep { child.clone() } else { children.swap_remove(at) };
                return Ok(Some(Waited { number: child.pid(), is_child: true, child: Some(child), status }));
            }
        } else if let Some(report) = take_report(parent, child, flags, keep) {
            let (number, status) = (child.pid(), report.status());
            return Ok(Some(Waited { number, is_child: true, child: Some(child.clone()), status }));
        }
    }
    if any { Ok(None) } else { Err(Errno::ECHILD) }
}

fn matches(child: &Process, target: Target, flags: WaitFlags) -> bool {
    let named = match target {
        Target::Any => true,
        Target::Pid(pid) => child.pid() == pid,
        Target::Group(group) => child.group() == group,
    };
    // A "clone" child is one whose end sends no SIGCHLD (wait(2)).
    let is_clone = child.exit_signal.load(Ordering::Relaxed) != Signal::SIGCHLD.number();
    named && (flags.contains(WaitFlags::ALL) || flags.contains(WaitFlags::CLONE) == is_clone)
}

fn take_report(parent: &Process, child: &Process, flags: WaitFlags, keep: bool) -> Option<Report> {
    let number = child.report.load(Ordering::SeqCst);
    let report = Report::decode(number).filter(|report| match report {
        // Who traces it sees its threads stop.
        Report::Stopped(_) if child.tracer.load(Ordering::Relaxed) == parent.pid() => false,
        Report::Stopped(_) => flags.contains(WaitFlags::STOPPED) && child.is_stopped(),
        Report::Continued => flags.contains(WaitFlags::CONTINUED),
    })?;
    let taken = keep || child.report.compare_exchange(number, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    taken.then_some(report)
}

/// The parent gets the CPU time of a child that it has waited for, and of its children.
fn account(parent: &Process, child: &Process) {
    parent.cpu.add_children(child.cpu_time().plus(child.cpu.children()));
}

/// Takes a child that has ended out of the table: its number is free.
pub(super) fn forget(child: &Arc<Process>) {
    let entry = table::lock().processes.remove(&child.pid());
    drop(entry);
}

/// Whether the parent wants no status of children that end (signal(7), SIGCHLD).
pub(super) fn wants_no_zombies(parent: &Process) -> bool {
    let action = parent.actions.action(Signal::SIGCHLD, None);
    action.sa_handler == abi::signal::SIG_IGN || super::signal::flags(&action).contains(SaFlags::NOCLDWAIT)
}

/// Tells the parent that a child stopped or goes on; the parent, whose waits are to be woken when the table is unlocked.
pub(super) fn tell_parent(table: &Table, child: &Arc<Process>, report: Report) -> Option<Arc<Process>> {
    let parent = table.processes.get(&child.parent())?.clone();
    let action = parent.actions.action(Signal::SIGCHLD, None);
    if !super::signal::flags(&action).contains(SaFlags::NOCLDSTOP) {
        let (code, status) = match report {
            Report::Stopped(signal) => (CLD_STOPPED, signal),
            Report::Continued => (CLD_CONTINUED, Signal::SIGCONT),
        };
        parent.send(Signal::SIGCHLD, child_info(child, code, status.number().into()));
    }
    Some(parent)
}

/// Sends SIGCHLD, if that is what `parent` gets when the child has ended; the table is locked. Other signals, which may
/// stop or continue the parent, need it unlocked: then false.
pub(super) fn tell_of_end(parent: &Arc<Process>, child: &Process, status: ExitStatus) -> bool {
    let signal = child.exit_signal.load(Ordering::Relaxed);
    if signal == Signal::SIGCHLD.number() {
        send_end(parent, child, status);
    }
    signal == Signal::SIGCHLD.number() || signal == 0
}

/// Tells `parent` that a child has ended.
pub(super) fn notify_of_end(parent: &Arc<Process>, child: &Process, status: ExitStatus) {
    send_end(parent, child, status);
    parent.child_changed.wake_all();
}

fn send_end(parent: &Arc<Process>, child: &Process, status: ExitStatus) {
    if let Some(signal) = Signal::new(child.exit_signal.load(Ordering::Relaxed).into()) {
        let (code, number) = code_of(status);
        let mut info = child_info(child, code, number);
        info.si_signo = signal.number().into();
        parent.send(signal, info);
    }
}

/// What SIGCHLD says of a child's change; also what waitid(2) fills in.
pub fn child_info(child: &Process, code: i32, status: i32) -> KernelSiginfo {
    let time = child.cpu_time();
    let [user, system] = [time.user_ns, time.system_ns].map(|ns| (ns / NS_PER_TICK) as i64);
    KernelSiginfo::child(code, child.pid() as i32, child.credentials().user.real, status, user, system)
}

/// `si_code` and `si_status` of a wait status.
pub fn code_of_wait(status: WaitStatus) -> (i32, i32) {
    match status {
        WaitStatus::Exited(status) => (CLD_EXITED, status.into()),
        WaitStatus::Signaled { signal, .. } => (CLD_KILLED, signal.number().into()),
        WaitStatus::Stopped(signal) => (CLD_STOPPED, signal.number().into()),
        WaitStatus::Trapped(code) => (CLD_TRAPPED, code as i32),
        WaitStatus::Continued => (CLD_CONTINUED, Signal::SIGCONT.number().into()),
    }
}

fn code_of(status: ExitStatus) -> (i32, i32) {
    code_of_wait(status.wait_status())
}
