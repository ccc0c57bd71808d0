//! Sending signals: to a thread, a process, a group, everybody; stopping and continuing.
//!
//! Locks: the pending set's and the actions' one after the other, never together. Senders are tasks, not interrupts.

use super::signal::STOPS;
use super::table;
use super::wait::{Report, notify_parent};
use super::{ExitStatus, Process, Thread};
use abi::sigframe::{SI_USER, Siginfo};
use abi::signal::SigSet;
use abi::system::RLIMIT_SIGPENDING;
use abi::{Errno, Signal};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::sync::WaitQueue;

/// Woken whenever a signal is sent: for files through which any process may read its own (signalfd(2)).
pub static ANY_SIGNAL: WaitQueue = WaitQueue::new("a signal to read");

/// kill(2) by `sender`: to a process, the own group (0), everybody (-1), or group `-target`. None looks only whether it
/// could.
pub fn kill(sender: &Process, target: i32, signal: Option<Signal>) -> Result<(), Errno> {
    let own_group = sender.group();
    let targets = match target {
        0 => table::group(own_group),
        -1 => table::all_but(&[1, sender.pid()]),
        i32::MIN => return Err(Errno::ESRCH),
        group if group < 0 => table::group(group.unsigned_abs()),
        pid => table::find_process_of(pid.unsigned_abs()).into_iter().collect(),
    };
    let mut result = Err(Errno::ESRCH);
    for process in targets {
        let allowed = permitted(sender, &process, signal);
        if allowed && let Some(signal) = signal {
            process.send(signal, sent_by(sender, signal, SI_USER));
        }
        match (allowed, result) {
            (true, _) => result = Ok(()),
            (false, Err(Errno::ESRCH)) => result = Err(Errno::EPERM),
            _ => {}
        }
    }
    result
}

/// Sends `signal` to every process of `group`, from the kernel: the terminal's keys, a session's end.
pub fn kill_group(group: u32, signal: Signal) {
    for process in table::group(group) {
        process.send(signal, Siginfo::kernel(signal));
    }
}

/// Sends `signal` to process `pid` from the kernel; ESRCH if there is none.
pub fn kill_from_kernel(pid: u32, signal: Signal) -> Result<(), Errno> {
    table::find(pid).ok_or(Errno::ESRCH)?.send(signal, Siginfo::kernel(signal));
    Ok(())
}

/// Whether `sender` may send `signal` to `target`: SIGCONT may go to all of the own session.
pub fn permitted(sender: &Process, target: &Process, signal: Option<Signal>) -> bool {
    sender.credentials().may_signal(&target.credentials())
        || signal == Some(Signal::SIGCONT) && sender.session() == target.session()
}

/// What is known of a signal that `sender` sends; `code` as in `Siginfo::sent`.
pub fn sent_by(sender: &Process, signal: Signal, code: i32) -> Siginfo {
    Siginfo::sent(signal, code, sender.pid() as i32, sender.credentials().user.real, 0)
}

impl Process {
    /// Sends a signal to the process: some thread takes it. False if there was no room for it.
    pub fn send(self: &Arc<Self>, signal: Signal, info: Siginfo) -> bool {
        self.prepare(signal);
        let threads = self.threads();
        let blocked_by_all = threads.iter().all(|thread| thread.blocks(signal));
        if self.actions.is_ignored(signal) && !blocked_by_all {
            return true;
        }
        if !self.pending.add(signal, info, self.room_for_signals()) {
            return false;
        }
        if let Some(thread) = threads.iter().find(|thread| !thread.blocks(signal)) {
            thread.notify();
        }
        self.signal_sent.wake_all();
        ANY_SIGNAL.wake_all();
        true
    }

    /// How many more signals may wait (RLIMIT_SIGPENDING, counted for each process).
    fn room_for_signals(&self) -> u64 {
        let in_threads: usize = self.threads().iter().map(|thread| thread.pending.count()).sum();
        self.limits().current(RLIMIT_SIGPENDING).saturating_sub((self.pending.count() + in_threads) as u64)
    }

    /// What a signal does at once, whether it is blocked or not.
    fn prepare(self: &Arc<Self>, signal: Signal) {
        if signal == Signal::SIGKILL {
            self.exit(ExitStatus::Killed(signal));
        } else if signal == Signal::SIGCONT {
            self.discard_everywhere(STOPS);
            self.resume();
        } else if STOPS.contains(signal) {
            self.discard_everywhere(SigSet::EMPTY.with(Signal::SIGCONT));
        }
    }

    fn discard_everywhere(&self, set: SigSet) {
        self.pending.discard(set);
        self.threads().iter().for_each(|thread| thread.pending.discard(set));
    }

    /// Stops the process: every thread waits on its way to user mode.
    pub fn stop(self: &Arc<Self>, signal: Signal) {
        self.report.store(Report::Stopped(signal).encode(), Ordering::SeqCst);
        self.stopped.store(signal.number(), Ordering::SeqCst);
        self.threads().iter().for_each(|thread| thread.notify());
        notify_parent(self, Report::Stopped(signal));
    }

    /// Lets a stopped process go on.
    fn resume(self: &Arc<Self>) {
        if self.stopped.swap(0, Ordering::SeqCst) != 0 {
            self.report.store(Report::Continued.encode(), Ordering::SeqCst);
            self.resumed.wake_all();
            notify_parent(self, Report::Continued);
        }
    }

    /// Sleeps while the process is stopped, unless the thread is to end.
    pub fn wait_while_stopped(&self, thread: &Thread) {
        self.resumed.wait(|| (!self.is_stopped() || thread.is_ending()).then_some(()));
    }

    /// Makes the process end with `status`: the first call counts, and every thread sees it on its way to user mode.
    pub fn exit(&self, status: ExitStatus) {
        self.status.call_once(|| status);
        self.resumed.wake_all();
        self.threads().iter().for_each(|thread| thread.notify());
    }
}

impl Thread {
    /// Sends a signal to this very thread. False if there was no room for it.
    pub fn send(&self, signal: Signal, info: Siginfo) -> bool {
        self.process().prepare(signal);
        if self.process().actions.is_ignored(signal) && !self.blocks(signal) {
            return true;
        }
        if !self.pending.add(signal, info, self.process().room_for_signals()) {
            return false;
        }
        self.notify();
        self.process().signal_sent.wake_all();
        ANY_SIGNAL.wake_all();
        true
    }

    /// Sends a signal that the thread itself has caused and cannot put off: blocked or ignored, it ends the process.
    pub fn force(&self, signal: Signal, info: Siginfo) {
        let actions = &self.process().actions;
        if self.blocks(signal) || actions.is_ignored(signal) {
            actions.action(signal, Some(abi::signal::Sigaction::default()));
            self.set_blocked(self.blocked().without(signal));
        }
        self.pending.add(signal, info, u64::MAX);
        self.notify();
    }

    /// Takes the next signal that is not kept back, its own before the process's.
    pub fn take_signal(&self) -> Option<(Signal, Siginfo)> {
        self.take_signal_of(SigSet::ALL.difference(self.blocked()))
    }

    /// Whether a signal of `wanted` waits for it or its process.
    pub fn has_pending(&self, wanted: SigSet) -> bool {
        let waiting = self.pending.set().union(self.process().pending.set());
        waiting.difference(wanted) != waiting
    }

    /// Takes the next signal of `wanted`, its own before the process's.
    pub fn take_signal_of(&self, wanted: SigSet) -> Option<(Signal, Siginfo)> {
        self.pending.take(wanted).or_else(|| self.process().pending.take(wanted))
    }
}
