//! Who traces whom: the beginning and the end of it, from either side.

use crate::process::tracee::{GoOn, KILLED, SEIZED, State, TRACED, TRAP, TRAP_FLAG, Tracee};
use crate::process::tracees::{Ended, Tracees};
use crate::process::wait::{self, Target, Waited};
use crate::process::{Process, Thread, table};
use abi::capability::CAP_SYS_PTRACE;
use abi::process::{WaitFlags, WaitStatus};
use abi::ptrace::Options;
use abi::sigframe::KernelSiginfo;
use abi::{Errno, Signal};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};
use machine::trace::Watching;

/// Most ends of threads that a tracer has not waited for.
const MAX_ENDED: usize = 32768;

impl Tracees {
    /// Tracee `tid`; ESRCH if that is none.
    pub fn find(&self, tid: u32) -> Result<Arc<Thread>, Errno> {
        let list = self.list.lock();
        list.traced.iter().find(|(thread, _)| thread.tid() == tid).map(|(thread, _)| thread.clone()).ok_or(Errno::ESRCH)
    }

    /// Adds a tracee. ESRCH if the tracer has ended.
    fn add(&self, thread: &Arc<Thread>) -> Result<(), Errno> {
        let watching = Watching::begin();
        let mut list = self.list.lock();
        if list.closed {
            drop(list);
            return Err(Errno::ESRCH);
        }
        list.traced.push((thread.clone(), watching));
        self.used.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Takes one out; the number of others that are of the same process.
    fn remove(&self, thread: &Arc<Thread>) -> usize {
        let mut list = self.list.lock();
        let at = list.traced.iter().position(|(other, _)| Arc::ptr_eq(other, thread));
        let removed = at.map(|at| list.traced.swap_remove(at));
        let others = list.traced.iter().filter(|(other, _)| Arc::ptr_eq(other.process(), thread.process())).count();
        drop(list);
        drop(removed);
        others
    }

    /// What a wait finds: a stop that was not told, or an end. ECHILD if there is nobody to wait for.
    pub(in crate::process) fn find_change(&self, target: Target, flags: WaitFlags) -> Result<Option<Waited>, Errno> {
        if !self.used.load(Ordering::SeqCst) {
            return Err(Errno::ECHILD);
        }
        let matches = |tid: u32, process: &Process| match target {
            Target::Any => true,
            Target::Pid(wanted) => tid == wanted,
            Target::Group(group) => process.group() == group,
        };
        let keep = flags.contains(WaitFlags::NOWAIT);
        let mut list = self.list.lock();
        let mut ends = false;
        for at in 0..list.ended.len() {
            let Ended { tid, process, status } = &list.ended[at];
            let (number, status) = (*tid, *status);
            if !matches(number, process) {
                continue;
            }
            ends = true;
            if let Some(status) = status.filter(|_| flags.contains(WaitFlags::EXITED)) {
                let process = process.clone();
                let taken = if keep { None } else { Some(list.ended.swap_remove(at)) };
                drop(list);
                drop(taken);
                return Ok(Some(Waited { child: Some(process), number, is_child: false, status }));
            }
        }
        let mut threads = Vec::new();
        threads.try_reserve_exact(list.traced.len()).map_err(|_| Errno::ENOMEM)?;
        threads.extend(list.traced.iter().map(|(thread, _)| thread.clone()));
        drop(list);
        threads.retain(|thread| matches(thread.tid(), thread.process()));
        for thread in &threads {
            if let Some(code) = thread.tracee().and_then(|tracee| tracee.take_stop(keep)) {
                let child = Some(thread.process().clone());
                let (number, status) = (thread.tid(), WaitStatus::Trapped(code));
                return Ok(Some(Waited { child, number, is_child: false, status }));
            }
        }
        if threads.is_empty() && !ends { Err(Errno::ECHILD) } else { Ok(None) }
    }

    /// The tracer ends: its tracees go on by themselves, or are killed with it if it wanted that.
    pub(in crate::process) fn close(&self) {
        let (traced, ended) = {
            let mut list = self.list.lock();
            list.closed = true;
            (core::mem::take(&mut list.traced), core::mem::take(&mut list.ended))
        };
        for Ended { process, .. } in &ended {
            process.pass_end_on();
        }
        for (thread, watching) in traced {
            if let Some(tracee) = thread.tracee() {
                let (kills, told) = {
                    let state = tracee.state.lock();
                    let kills = state.options.is_some_and(|options| options.contains(Options::EXITKILL));
                    (kills, state.stop.as_ref().is_some_and(|stop| stop.told))
                };
                // A signal that it has stopped for is taken if nobody knows of it yet.
                tracee.leave(told.then(GoOn::default));
                thread.process().tracer.store(0, Ordering::Relaxed);
                thread.look_again();
                if kills {
                    thread.process().send(Signal::SIGKILL, KernelSiginfo::kernel(Signal::SIGKILL));
                }
            }
            drop(watching);
        }
    }

    /// Notes the end of a tracee before it is none any more, so that a wait for it always finds something to wait for.
    fn note_end(&self, ended: Ended) {
        let mut list = self.list.lock();
        if !list.closed && list.ended.len() < MAX_ENDED {
            list.ended.push(ended);
        }
    }

    /// What was noted of process `pid` was not its end, or is nothing for a tracer.
    pub(in crate::process) fn forget_end(&self, pid: u32) {
        let mut list = self.list.lock();
        let at = list.ended.iter().position(|ended| ended.tid == pid && ended.status.is_none());
        let ended = at.map(|at| list.ended.swap_remove(at));
        drop(list);
        drop(ended);
    }

    /// Now that is the end; false if nothing was noted.
    fn set_end(&self, pid: u32, status: WaitStatus) -> bool {
        let mut list = self.list.lock();
        let ended = list.ended.iter_mut().find(|ended| ended.tid == pid && ended.status.is_none());
        ended.map(|ended| ended.status = Some(status)).is_some()
    }
}

/// Tells `tracer` of an end that has been noted.
fn tell(tracer: &Arc<Process>, process: &Process, tid: u32, status: WaitStatus) {
    let (code, number) = wait::code_of_wait(status);
    tracer.send(Signal::SIGCHLD, wait::child_info(process, code, number).about(tid as i32));
    tracer.child_changed.wake_all();
}

impl Tracee {
    /// Nobody traces the thread any more. If it has stopped it goes on, `how` or as if it had not.
    fn leave(&self, how: Option<GoOn>) {
        let mut state = self.state.lock();
        state.tracer = Weak::new();
        state.options = None;
        if let Some(stop) = &mut state.stop {
            stop.go_on = how;
        }
        self.flags.fetch_and(KILLED | TRAP_FLAG, Ordering::SeqCst);
        drop(state);
        self.let_go.wake_all();
    }
}

impl Process {
    /// The tracer knows of its end, or never will: now the parent may.
    pub(in crate::process) fn pass_end_on(self: &Arc<Self>) {
        if self.held_for_tracer.load(Ordering::SeqCst) {
            self.become_parents_zombie();
        }
    }
}

/// What begins tracing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// PTRACE_TRACEME, PTRACE_ATTACH: signals and SIGTRAPs stand for events.
    Attach,
    /// PTRACE_SEIZE: events are events.
    Seize(Options),
}

impl Thread {
    /// Makes `tracer` trace this thread. EPERM if somebody does already.
    fn begin_tracing(self: &Arc<Self>, tracer: &Arc<Process>, begin: Begin, trap: bool) -> Result<(), Errno> {
        let tracee = self.tracee.call_once(|| Box::new(Tracee::new()));
        {
            let mut state = tracee.state.lock();
            if tracee.has(TRACED) {
                return Err(Errno::EPERM);
            }
            let (flags, options) = match begin {
                Begin::Attach => (TRACED, None),
                Begin::Seize(options) => (TRACED | SEIZED, Some(options)),
            };
            *state = State { tracer: Arc::downgrade(tracer), options, stop: state.stop.take(), message: 0 };
            tracee.flags.fetch_or(flags | if trap { TRAP } else { 0 }, Ordering::SeqCst);
        }
        self.process().tracer.store(tracer.pid(), Ordering::Relaxed);
        tracer.tracees.add(self).inspect_err(|_| tracee.leave(None))
    }

    /// PTRACE_TRACEME: the parent traces the thread.
    pub fn trace_by_parent(self: &Arc<Self>) -> Result<(), Errno> {
        let parent = table::find(self.process().parent()).ok_or(Errno::EPERM)?;
        // It asks for it, so it may be one that is not dumpable.
        if !parent.credentials().may_trace(&self.process().credentials(), true) {
            return Err(Errno::EPERM);
        }
        self.begin_tracing(&parent, Begin::Attach, false)
    }

    /// PTRACE_ATTACH, PTRACE_SEIZE by `tracer`.
    pub fn trace(self: &Arc<Self>, tracer: &Arc<Process>, begin: Begin) -> Result<(), Errno> {
        let process = self.process();
        let may = || tracer.credentials().may_trace(&process.credentials(), process.is_dumpable());
        if Arc::ptr_eq(process, tracer) || !may() {
            return Err(Errno::EPERM);
        }
        if self.is_ending() {
            return Err(Errno::ESRCH);
        }
        self.begin_tracing(tracer, begin, false)?;
        // It may have got a program meanwhile that may do more, or be past the place where its end is told.
        fence(Ordering::SeqCst);
        let refused = if self.ended_time.get().is_some() { Some(Errno::ESRCH) } else { None };
        if let Some(error) = refused.or_else(|| (!may()).then_some(Errno::EPERM)) {
            self.end_tracing(tracer, None);
            return Err(error);
        }
        if begin == Begin::Attach {
            self.send(Signal::SIGSTOP, KernelSiginfo::kernel(Signal::SIGSTOP));
        }
        if process.is_stopped() {
            self.look_again();
        }
        Ok(())
    }

    /// Looks once more what there is to do, also if its process is stopped.
    fn look_again(&self) {
        self.process().resumed.wake_all();
        self.notify();
    }

    /// PTRACE_DETACH by `tracer`: the thread goes on with `signal`.
    pub fn end_tracing(self: &Arc<Self>, tracer: &Arc<Process>, signal: Option<Signal>) {
        let Some(tracee) = self.tracee() else { return };
        tracee.leave(Some(GoOn { signal, ..GoOn::default() }));
        if tracer.tracees.remove(self) == 0 {
            self.process().tracer.store(0, Ordering::Relaxed);
        }
        self.look_again();
    }

    /// Who traces the maker traces its new thread or process too, if that is wished. Before that runs.
    pub(in crate::process) fn pass_tracer_on(&self, thread: &Arc<Thread>) {
        let Some(tracee) = self.tracee() else { return };
        let (tracer, options) = {
            let state = tracee.state.lock();
            (state.tracer.upgrade(), state.options)
        };
        let Some(tracer) = tracer else { return };
        let seized = tracee.has(SEIZED);
        let begin = if seized { Begin::Seize(options.unwrap_or(Options::empty())) } else { Begin::Attach };
        if thread.begin_tracing(&tracer, begin, seized).is_err() {
            return; // the tracer has ended
        }
        if !seized {
            thread.set_trace_options(options);
            let stop = KernelSiginfo::kernel(Signal::SIGSTOP);
            thread.pending.add(Signal::SIGSTOP, stop, u64::MAX);
        }
    }

    /// PTRACE_SETOPTIONS.
    pub fn set_trace_options(&self, options: Option<Options>) {
        if let Some(tracee) = self.tracee() {
            tracee.state.lock().options = options;
        }
    }

    /// A program that may do more than the one before is not shown to a tracer that could not trace it from now on.
    pub(in crate::process) fn shake_tracer_off(self: &Arc<Self>) {
        if let Some(tracer) =
            self.tracee().and_then(Tracee::tracer).filter(|tracer| !tracer.credentials().has(CAP_SYS_PTRACE))
        {
            self.end_tracing(&tracer, None);
        }
    }

    /// Whether a program gives the thread no rights that it has not, as its tracer could use them.
    pub fn is_traced_without_rights(&self) -> bool {
        let tracer = self.tracee().and_then(Tracee::tracer);
        tracer.is_some_and(|tracer| !tracer.credentials().has(CAP_SYS_PTRACE))
    }

    /// The thread ends, with `status`, and it shows that it does. Its tracer is told at once, but of the first thread only when
    /// its process is gone. Whoever begins to trace it meanwhile is seen here, or sees that it ends.
    pub(in crate::process) fn trace_end(self: &Arc<Self>, status: WaitStatus) {
        fence(Ordering::SeqCst);
        let Some(tracer) = self.tracee().and_then(Tracee::tracer) else { return };
        let (process, tid) = (self.process(), self.tid());
        let is_first = tid == process.pid();
        let status = (!is_first).then_some(status);
        tracer.tracees.note_end(Ended { tid, process: process.clone(), status });
        self.end_tracing(&tracer, None);
        match status {
            Some(status) => tell(&tracer, process, tid, status),
            None => *process.tracer_of_first.lock() = Arc::downgrade(&tracer),
        }
    }

    /// SIGKILL is on its way.
    pub(in crate::process) fn end_trace_stops(&self) {
        if let Some(tracee) = self.tracee() {
            tracee.flags.fetch_or(KILLED, Ordering::SeqCst);
            tracee.let_go.wake_all();
        }
    }

    /// PTRACE_INTERRUPT: it stops as soon as it can. EIO if it was not seized.
    pub fn interrupt_for_tracer(&self) -> Result<(), Errno> {
        let tracee = self.tracee().filter(|tracee| tracee.has(SEIZED)).ok_or(Errno::EIO)?;
        tracee.flags.fetch_or(TRAP, Ordering::SeqCst);
        tracee.let_go.wake_all();
        self.notify();
        Ok(())
    }
}

/// Who traced the first thread of `process`, if that is not its parent, who is told of its end anyway.
pub(in crate::process) fn other_tracer(process: &Process) -> Option<Arc<Process>> {
    let tracer = core::mem::take(&mut *process.tracer_of_first.lock()).upgrade()?;
    if tracer.pid() == process.parent() {
        tracer.tracees.forget_end(process.pid());
        return None;
    }
    Some(tracer)
}

/// Tells it; false if it has ended itself.
pub(in crate::process) fn tell_of_end(tracer: &Arc<Process>, process: &Arc<Process>, status: WaitStatus) -> bool {
    let noted = tracer.tracees.set_end(process.pid(), status);
    if noted {
        tell(tracer, process, process.pid(), status);
    }
    noted
}
