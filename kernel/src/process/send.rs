//! Sending signals: to a thread, a process, a group, everybody; stopping and continuing.
//!
//! Locks: the pending set's and the actions' one after the other, never together. Senders are tasks, not interrupts.

use super::alarm::tell_overruns;
use super::signal::STOPS;
use super::table;
use super::wait::{Report, tell_parent};
use super::{ExitStatus, Process, Thread};
use abi::sigframe::{KernelSiginfo, SI_TIMER, SI_USER};
use abi::signal::SigSet;
use abi::system::RLIMIT_SIGPENDING;
use abi::{Errno, Signal};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use machine::sync::WaitQueue;

/// Woken whenever a signal is sent: for files through which any process may read its own (signalfd(2)).
pub static ANY_SIGNAL: WaitQueue = WaitQueue::new("a signal to read");

/// kill(2) by `sender`: to a process, the own group (0), everybody (-1), or group `-target`. None looks only whether it
/// could.
pub fn kill(sender: &Process, target: i32, signal: Option<Signal>) -> Result<(), Errno> {
    let own_group = sender.group();
    if target == 0 || target < -1 && target != i32::MIN {
        let group = if target == 0 { own_group } else { target.unsigned_abs() };
        return to_all(signal, || table::group(group), |process| send_if_permitted(sender, process, signal));
    }
    if target != -1 {
        let process = u32::try_from(target).ok().and_then(table::find_process_of).ok_or(Errno::ESRCH)?;
        return send_if_permitted(sender, &process, signal);
    }
    let all = || table::all_but(&[1, sender.pid()]);
    to_all(signal, all, |process| send_if_permitted(sender, process, signal))
}

fn send_if_permitted(sender: &Process, target: &Arc<Process>, signal: Option<Signal>) -> Result<(), Errno> {
    if !permitted(sender, target, signal) {
        return Err(Errno::EPERM);
    }
    if let Some(signal) = signal {
        target.send(signal, sent_by(sender, signal, SI_USER));
    }
    Ok(())
}

/// One success is a success; else not being permitted is worse than there being nobody.
fn merge(result: Result<(), Errno>, next: Result<(), Errno>) -> Result<(), Errno> {
    if result.is_err() { next } else { result }
}

/// Calls `send` for all that `list` gives, and for those that they make meanwhile. Whoever gets the signal while it makes a
/// child sees so when the child is entered into the table, and begins anew; so a child that is not in the last list was made
/// after the signal came. One that ignores the signal need not, as its child does, too.
fn to_all(
    signal: Option<Signal>,
    list: impl Fn() -> Vec<Arc<Process>>,
    mut send: impl FnMut(&Arc<Process>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut result = Err(Errno::ESRCH);
    let mut done = BTreeSet::new();
    loop {
        let mut targets = list();
        targets.retain(|target| done.insert(target.pid()));
        if targets.is_empty() {
            return result;
        }
        for target in &targets {
            result = merge(result, send(target));
            if signal.is_some_and(|signal| !target.actions.is_ignored(signal)) {
                target.signals_to_many.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

/// Sends `signal` to every process of `group`, from the kernel: the terminal's keys, a session's end.
pub fn kill_group(group: u32, signal: Signal) {
    let send = |process: &Arc<Process>| {
        process.send(signal, KernelSiginfo::kernel(signal));
        Ok(())
    };
    let _ = to_all(Some(signal), || table::group(group), send);
}

/// Sends `signal` to process `pid` from the kernel; ESRCH if there is none.
pub fn kill_from_kernel(pid: u32, signal: Signal) -> Result<(), Errno> {
    table::find(pid).ok_or(Errno::ESRCH)?.send(signal, KernelSiginfo::kernel(signal));
    Ok(())
}

/// Whether `sender` may send `signal` to `target`: SIGCONT may go to all of the own session.
pub fn permitted(sender: &Process, target: &Process, signal: Option<Signal>) -> bool {
    core::ptr::eq(sender, target)
        || sender.credentials().may_signal(&target.credentials())
        || signal == Some(Signal::SIGCONT) && sender.session() == target.session()
}

/// What is known of a signal that `sender` sends; `code` as in `KernelSiginfo::sent`.
pub fn sent_by(sender: &Process, signal: Signal, code: i32) -> KernelSiginfo {
    KernelSiginfo::sent(signal, code, sender.pid() as i32, sender.credentials.lock().user.real, 0)
}

impl Process {
    /// Sends a signal to the process: some thread takes it. False if there was no room for it.
    pub fn send(self: &Arc<Self>, signal: Signal, info: KernelSiginfo) -> bool {
        self.prepare(signal);
        if self.actions.is_ignored(signal) && self.taker(signal).is_some_and(|thread| !thread.is_traced()) {
            return true;
        }
        if !self.pending.add(signal, info, self.room_for_signals()) {
            return false;
        }
        // Not before: who keeps the signal back from now on has passed it on.
        if let Some(thread) = self.taker(signal) {
            thread.notify();
        }
        self.signal_sent.wake_all();
        ANY_SIGNAL.wake_all();
        true
    }

    /// A thread that does not keep `signal` back.
    fn taker(&self, signal: Signal) -> Option<Arc<Thread>> {
        self.threads.lock().iter().find(|thread| !thread.blocks(signal)).cloned()
    }

    /// How many more signals may wait (RLIMIT_SIGPENDING, counted for each process).
    fn room_for_signals(&self) -> u64 {
        let in_threads: usize = self.threads.lock().iter().map(|thread| thread.pending.count()).sum();
        self.limits.lock().current(RLIMIT_SIGPENDING).saturating_sub((self.pending.count() + in_threads) as u64)
    }

    /// What a signal does at once, whether it is blocked or not.
    fn prepare(self: &Arc<Self>, signal: Signal) {
        if signal == Signal::SIGKILL {
            self.exit(ExitStatus::Killed(signal));
            self.threads().iter().for_each(|thread| thread.end_trace_stops());
        } else if signal == Signal::SIGCONT {
            self.resume();
        } else if STOPS.contains(signal) {
            self.discard_everywhere(SigSet::EMPTY.with(Signal::SIGCONT));
        }
    }

    fn discard_everywhere(&self, set: SigSet) {
        self.pending.discard(set);
        self.threads().iter().for_each(|thread| thread.pending.discard(set));
    }

    /// Stops the process: every thread waits on its way to user mode. Not if it was sent SIGCONT since `signal` was taken,
    /// when `continuations` was counted.
    pub fn stop(self: &Arc<Self>, signal: Signal, continuations: u32) {
        let parent = {
            let table = table::lock();
            {
                let count = self.continuations.lock();
                if *count != continuations {
                    return;
                }
                self.report.store(Report::Stopped(signal).encode(), Ordering::SeqCst);
                self.stopped.store(signal.number(), Ordering::SeqCst);
            }
            tell_parent(&table, self, Report::Stopped(signal))
        };
        for thread in self.threads() {
            thread.trace_stopped_anew();
            thread.notify();
        }
        if let Some(parent) = parent {
            parent.child_changed.wake_all();
        }
    }

    /// SIGCONT: stop signals that were sent before have no effect any more, and a stopped process goes on.
    fn resume(self: &Arc<Self>) {
        let parent = {
            let table = table::lock();
            let was_stopped = {
                let mut count = self.continuations.lock();
                *count = count.wrapping_add(1);
                self.discard_everywhere(STOPS);
                let was_stopped = self.stopped.swap(0, Ordering::SeqCst) != 0;
                if was_stopped {
                    self.report.store(Report::Continued.encode(), Ordering::SeqCst);
                }
                was_stopped
            };
            if was_stopped { tell_parent(&table, self, Report::Continued) } else { None }
        };
        self.resumed.wake_all();
        self.threads().iter().for_each(|thread| thread.trace_continued());
        if let Some(parent) = parent {
            parent.child_changed.wake_all();
        }
    }

    /// Signals sent to the process that the thread to take them keeps back from now on go to another that does not.
    pub(super) fn pass_on(&self, signals: SigSet) {
        for thread in self.threads() {
            if !signals.difference(thread.blocked()).is_empty() {
                thread.notify();
            }
        }
    }

    /// Sleeps while the process is stopped, unless the thread is to end.
    pub fn wait_while_stopped(&self, thread: &Thread) {
        self.resumed.wait(|| (!self.is_stopped() || thread.is_ending() || thread.is_traced()).then_some(()));
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
    pub fn send(&self, signal: Signal, info: KernelSiginfo) -> bool {
        self.process().prepare(signal);
        if self.process().actions.is_ignored(signal) && !self.blocks(signal) && !self.is_traced() {
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

    /// Whether a handler runs if the thread causes this signal.
    pub fn catches(&self, signal: Signal) -> bool {
        !self.blocks(signal) && self.process().actions.has_handler(signal)
    }

    /// Sends a signal that the thread itself has caused and cannot put off: blocked or ignored, it ends the process.
    pub fn force(&self, signal: Signal, info: KernelSiginfo) {
        let actions = &self.process().actions;
        if self.blocks(signal) || actions.is_ignored(signal) {
            actions.action(signal, Some(abi::signal::Sigaction::default()));
            self.set_blocked(self.blocked().without(signal));
        }
        self.pending.add(signal, info, u64::MAX);
        self.notify();
    }

    /// Takes the next signal that is not kept back, its own before the process's. `continuations` is for `Process::stop`.
    pub fn take_signal(&self, continuations: &mut u32) -> Option<(Signal, KernelSiginfo)> {
        let deliverable = self.deliverable();
        if deliverable.is_empty() {
            return None;
        }
        let wanted = SigSet::ALL.difference(self.blocked());
        if deliverable.intersection(STOPS).is_empty() {
            return self.take_signal_of(wanted.difference(STOPS));
        }
        let count = self.process().continuations.lock();
        *continuations = *count;
        self.take_signal_of(wanted)
    }

    /// Whether a signal of `wanted` waits for it or its process.
    pub fn has_pending(&self, wanted: SigSet) -> bool {
        let waiting = self.pending.set().union(self.process().pending.set());
        waiting.difference(wanted) != waiting
    }

    /// Takes the next signal of `wanted`, its own before the process's.
    pub fn take_signal_of(&self, wanted: SigSet) -> Option<(Signal, KernelSiginfo)> {
        let mut taken = self.pending.take(wanted).or_else(|| self.process().pending.take(wanted));
        if let Some((_, info)) = taken.as_mut().filter(|(_, info)| info.si_code == SI_TIMER) {
            tell_overruns(self.process(), info);
        }
        taken
    }
}
