//! Tracing of threads by other processes: ptrace(2), of which debuggers and strace(1) are made.
//!
//! A traced thread is a *tracee*, the process that traces it its *tracer*. A tracee [stops](stop) by itself, in its own context, where
//! it has something to tell: it puts its registers into its [`Tracee`], tells the tracer, and sleeps until that lets it go
//! on. Meanwhile the tracer reads and changes that copy ([`Stop`]), and the tracee's memory; what it changed the tracee
//! takes over. `attach` is the beginning and the end of it all.
//!
//! Which of the tracer's threads asks does not matter. Locks: a tracee's state and a tracer's list, each of rank `Process`, never both.

mod attach;
mod control;
mod stop;

pub(super) use attach::tell_of_end;
pub use attach::{Begin, Tracees};
pub use control::GoOn;

use super::{Process, Thread};
use abi::ptrace::{Options, UserRegs};
use abi::sigframe::KernelSiginfo;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::task::{DebugRegisters, FpuState};

/// Somebody traces the thread.
const TRACED: u32 = 1 << 0;
/// By PTRACE_SEIZE, or from its beginning by who had seized its maker.
const SEIZED: u32 = 1 << 1;
/// It stops at the begin and the end of system calls.
const CALLS: u32 = 1 << 2;
/// It stops after one instruction.
const STEPS: u32 = 1 << 3;
/// It is to stop as soon as it can (PTRACE_INTERRUPT).
const TRAP: u32 = 1 << 4;
/// It has told that its process is stopped, and goes on although it is if it has been let go.
const STOP_TOLD: u32 = 1 << 5;
/// SIGKILL came: no stop holds it any more.
const KILLED: u32 = 1 << 6;

/// As number of a system call: none.
const NO_CALL: u64 = u64::MAX;

/// How a thread is traced.
pub struct Tracee {
    /// The bits above. Changed with the state locked, but for those that only say that there is something to look at; read without.
    flags: AtomicU32,
    /// The system call that the thread is in, or has left just now; [`NO_CALL`] for none. The thread's own.
    call: AtomicU64,
    state: SpinLock<State>,
    /// Woken when it may go on.
    let_go: WaitQueue,
}

#[derive(Default)]
struct State {
    tracer: Weak<Process>,
    options: Option<Options>,
    /// There while the thread has stopped.
    stop: Option<Box<Stop>>,
    /// What the last event came with (PTRACE_GETEVENTMSG).
    message: u64,
}

/// What a thread has stopped for, and what the tracer sees and changes of it.
pub struct Stop {
    /// The signal's number, and an event in the bits above.
    pub code: u32,
    /// Where it has stopped.
    pub place: Place,
    /// Its registers.
    pub registers: UserRegs,
    /// Its floating-point state; None if there was no memory for it.
    pub fpu: Option<FpuState>,
    /// Its debug registers.
    pub debug: DebugRegisters,
    /// What is known of the signal; None if the process has stopped.
    pub info: Option<KernelSiginfo>,
    /// The tracer has changed the registers, the floating-point state, the debug registers.
    pub changed: bool,
    /// See `changed`.
    pub fpu_changed: bool,
    /// See `changed`.
    pub debug_changed: bool,
    /// A wait has told of it.
    told: bool,
    /// It stays as it is until the process is continued (PTRACE_LISTEN).
    listens: bool,
    /// Set by the tracer: it may go on.
    go_on: Option<GoOn>,
}

/// Where a thread has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Before it takes a signal.
    Signal,
    /// Before a system call.
    CallBegin,
    /// After one.
    CallEnd,
    /// At an event.
    Event,
    /// Since its process is stopped, or since it was asked to.
    Group,
    /// Before it ends, which nothing but SIGKILL and the tracer can hasten.
    End,
}

impl Tracee {
    fn new() -> Self {
        Tracee {
            flags: AtomicU32::new(0),
            call: AtomicU64::new(NO_CALL),
            state: SpinLock::new("tracee", Rank::Process, State::default()),
            let_go: WaitQueue::new("its tracer"),
        }
    }

    fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::SeqCst) & flag != 0
    }

    /// Who traces it.
    fn tracer(&self) -> Option<Arc<Process>> {
        self.state.lock().tracer.upgrade()
    }
}

impl Thread {
    /// How it is traced; None if nobody traces it.
    #[inline]
    pub(super) fn tracee(&self) -> Option<&Tracee> {
        self.tracee.get().map(|tracee| &**tracee).filter(|tracee| tracee.has(TRACED))
    }

    /// Whether somebody traces it.
    pub fn is_traced(&self) -> bool {
        self.tracee().is_some()
    }

    /// The number of its tracer; 0 for none.
    pub fn tracer_pid(&self) -> u32 {
        self.tracee().and_then(Tracee::tracer).map_or(0, |tracer| tracer.pid())
    }

    /// Whether it has stopped for its tracer.
    pub fn is_trace_stopped(&self) -> bool {
        self.tracee().is_some_and(|tracee| tracee.state.lock().stop.is_some())
    }

    /// Whether it stands still as its process is stopped, or has a reason to stop for its tracer.
    pub(super) fn has_to_stop(&self) -> bool {
        match self.tracee() {
            None => self.process().is_stopped(),
            Some(tracee) => tracee.has(TRAP) || self.process().is_stopped() && !tracee.has(STOP_TOLD),
        }
    }
}
