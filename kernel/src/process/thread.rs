//! One thread of a process: its number, its signals, and what it has to look at before user mode.

use super::Process;
use super::cpu_time::Division;
use super::own::{OwnStack, OwnWord};
use super::rseq::Rseq;
use super::signal::Pending;
use super::tracee::Tracee;
use crate::sched;
use crate::sched::tick::Sample;
use abi::signal::SigSet;
use abi::{Errno, Signal};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use klib::objects::{Counted, Kind};
use klib::trace::Label;
use machine::sync::{Once, Rank, SpinLock};
use machine::task;
use machine::time::Instant;

/// As number of a system call: none.
pub(super) const NO_CALL: u32 = u32::MAX;

/// One thread of a process.
pub struct Thread {
    _counted: Counted,
    /// Changes only when the thread takes over the process in execve(2).
    pub(super) tid: AtomicU32,
    pub(super) process: Arc<Process>,
    pub(super) task: Once<Weak<task::Task>>,
    /// Signals sent to this thread and not yet taken.
    pub pending: Pending,
    /// Signals kept back; changed by the thread itself alone.
    pub(super) blocked: AtomicU64,
    /// The mask to come back to after a call that waits with another one (sigsuspend(2), ppoll(2)).
    saved_mask: OwnWord,
    /// Something may have to be done before user mode: a signal, a stop, the end. Set by others, cleared by the thread.
    pub(super) attention: AtomicBool,
    /// The thread alone is to end: exit(2), or another thread's execve(2).
    pub(super) must_end: AtomicBool,
    /// Up to fifteen bytes, as prctl(PR_SET_NAME) takes them.
    pub(super) name: SpinLock<[u8; 15]>,
    /// Where its handlers run that ask for it (sigaltstack(2)).
    pub alternate_stack: OwnStack,
    /// User word that is cleared, with a futex wake, when the thread ends; 0 for none.
    pub clear_on_exit: AtomicU64,
    /// User address of the list of robust futexes it holds; 0 for none.
    pub robust_list: AtomicU64,
    /// Deadline, in ns since boot, of a call that is being begun again after a stop.
    pub(super) restart_deadline: OwnWord,
    /// What it has registered by rseq(2).
    pub rseq: Rseq,
    /// No program that it executes gives it rights (PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: AtomicBool,
    /// What its timers may be late by, in ns (PR_SET_TIMERSLACK); nothing comes of it.
    pub timer_slack_ns: AtomicU64,
    /// Its CPU time, once it has ended, and what was last told of how that divides.
    pub(super) ended_time: Once<Sample>,
    pub(super) told_time: SpinLock<Division>,
    /// Some timer or limit of CPU time may have been reached ([`super::cpu_limit`]).
    pub(super) cpu_time_due: AtomicBool,
    /// The system call whose begin was traced and whose end is to be; [`NO_CALL`] for none.
    pub(super) traced_call: AtomicU32,
    /// The begin of the line about that call, for [`super::watched::Watcher`].
    pub(super) call_line: SpinLock<String>,
    /// How it is traced by another process, once it has been.
    pub(super) tracee: Once<Box<Tracee>>,
}

impl Thread {
    /// A thread of `process` that has no task yet and is not in its list.
    pub(super) fn new(process: Arc<Process>, tid: u32, name: [u8; 15], blocked: SigSet) -> Arc<Thread> {
        Arc::new(Thread {
            _counted: Counted::new(Kind::Thread),
            tid: AtomicU32::new(tid),
            process,
            task: Once::new(),
            pending: Pending::new(),
            blocked: AtomicU64::new(blocked.0),
            saved_mask: OwnWord::new(),
            attention: AtomicBool::new(true),
            must_end: AtomicBool::new(false),
            name: SpinLock::new("thread name", Rank::Process, name),
            alternate_stack: OwnStack::new(),
            clear_on_exit: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            restart_deadline: OwnWord::new(),
            rseq: Rseq::new(),
            no_new_privileges: AtomicBool::new(false),
            timer_slack_ns: AtomicU64::new(50_000),
            ended_time: Once::new(),
            told_time: SpinLock::new("CPU time of a thread", Rank::Process, Division::default()),
            cpu_time_due: AtomicBool::new(false),
            traced_call: AtomicU32::new(NO_CALL),
            call_line: SpinLock::new("line about a call", Rank::Process, String::new()),
            tracee: Once::new(),
        })
    }

    /// What a new thread takes over from the one that makes it, whatever it shares with that.
    pub(super) fn inherit(&self, maker: &Thread) {
        self.no_new_privileges.store(maker.no_new_privileges.load(Ordering::Relaxed), Ordering::Relaxed);
        self.timer_slack_ns.store(maker.timer_slack_ns.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Its number.
    pub fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Its process.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Its name, padded with zeros.
    pub fn name(&self) -> [u8; 15] {
        *self.name.lock()
    }

    /// Renames it.
    pub fn set_name(&self, name: [u8; 15]) {
        *self.name.lock() = name;
        if let Some(task) = self.task() {
            task.set_label(Label::new(core::str::from_utf8(&name).unwrap_or("?")));
        }
    }

    /// Its task, while it has one.
    pub fn task(&self) -> Option<Arc<task::Task>> {
        self.task.get().and_then(Weak::upgrade)
    }

    /// Signals kept back.
    pub fn blocked(&self) -> SigSet {
        SigSet(self.blocked.load(Ordering::SeqCst))
    }

    /// Keeps these signals back and no others, but for the two that cannot be kept back. By the thread itself.
    pub fn set_blocked(&self, set: SigSet) {
        let set = set.difference(SigSet::UNBLOCKABLE);
        let before = SigSet(self.blocked.swap(set.0, Ordering::SeqCst));
        // Whoever sends a signal now either finds it kept back or has put it where it is seen here.
        if !self.deliverable().is_empty() {
            self.attention.store(true, Ordering::SeqCst);
        }
        let given_up = self.process.pending.set().intersection(set.difference(before));
        if !given_up.is_empty() {
            self.process.pass_on(given_up);
        }
    }

    /// Keeps `set` back instead until the thread goes to user mode, or a handler that it runs first has returned
    /// (sigsuspend(2), ppoll(2) and their kin).
    pub fn set_blocked_for_call(&self, set: SigSet) {
        let before = self.blocked();
        self.set_blocked(set);
        if self.saved_mask.get().is_none() {
            self.saved_mask.set(Some(before.0));
        }
        // To come back to it before user mode.
        self.attention.store(true, Ordering::SeqCst);
    }

    /// The call that set another mask has ended without a signal.
    pub fn end_blocked_for_call(&self) {
        if let Some(mask) = self.take_saved_mask() {
            self.set_blocked(mask);
        }
    }

    /// The mask to come back to, if a call has set another one.
    pub(super) fn take_saved_mask(&self) -> Option<SigSet> {
        self.saved_mask.take().map(SigSet)
    }

    /// Signals that it would take now.
    pub(super) fn deliverable(&self) -> SigSet {
        self.pending.set().union(self.process.pending.set()).difference(self.blocked())
    }

    /// Whether there is something to do before user mode that ends sleeps.
    pub fn has_deliverable(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
            && (!self.deliverable().is_empty() || self.is_ending() || self.has_to_stop())
    }

    /// Whether `deliver::attend` has something to look at before user mode.
    pub fn attention(&self) -> &AtomicBool {
        &self.attention
    }

    /// Whether it is to end.
    pub fn is_ending(&self) -> bool {
        self.must_end.load(Ordering::SeqCst) || self.process.is_ending()
    }

    /// The deadline of a call that is begun again, or a new one.
    pub fn deadline(&self, new: impl FnOnce() -> Instant) -> Instant {
        self.restart_deadline.take().map_or_else(new, Instant::from_ns)
    }

    /// Notes the deadline of an interrupted call, for the case that it is begun again.
    pub fn keep_deadline(&self, deadline: Instant) {
        self.restart_deadline.set(Some(deadline.as_ns()));
    }

    /// Registers an area (rseq(2)): it says the truth whenever the thread is in user mode. By the thread itself.
    pub fn register_rseq(&self, address: u64, len: u32, signature: u32) -> Result<(), Errno> {
        self.rseq.register(address, len, signature)?;
        sched::data(&task::current()).tell_of_switches(true);
        // It may have been switched before that.
        self.make_rseq_due();
        Ok(())
    }

    /// Ends a registration. By the thread itself.
    pub fn unregister_rseq(&self, address: u64, len: u32, signature: u32) -> Result<(), Errno> {
        self.rseq.unregister(address, len, signature)?;
        sched::data(&task::current()).tell_of_switches(false);
        Ok(())
    }

    /// The registration is gone with the program (execve(2)). By the thread itself.
    pub(super) fn forget_rseq(&self) {
        self.rseq.forget();
        sched::data(&task::current()).tell_of_switches(false);
    }

    /// Has a restartable sequence that the thread is in aborted before it goes on.
    pub fn make_rseq_due(&self) {
        self.rseq.make_due();
        self.attention.store(true, Ordering::SeqCst);
    }

    /// Makes it look at what there is to do, wherever it is: gets it out of a sleep and out of user mode.
    pub(super) fn notify(&self) {
        self.attention.store(true, Ordering::SeqCst);
        // Who runs looks at that before it sleeps, and before user mode.
        if self.task.get().is_some_and(|task| task.as_ptr() == &raw const *task::current()) {
            return;
        }
        if let Some(task) = self.task() {
            sched::unpark(&task);
            sched::kick(&task);
        }
    }

    /// Whether a signal may end its sleeps: what shows as `S` or `D`.
    pub fn blocks(&self, signal: Signal) -> bool {
        self.blocked().contains(signal)
    }
}

/// The thread's task is on a CPU again after others. Called in its context, with interrupts off.
pub(super) fn switched(thread: Arc<dyn Any + Send + Sync>) {
    if let Ok(thread) = thread.downcast::<Thread>() {
        thread.make_rseq_due();
    }
}
