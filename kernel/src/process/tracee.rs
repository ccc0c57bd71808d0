//! The state of a traced thread, which it shares with its tracer (`ptrace`).
//!
//! Lock: its state's, of rank `Process`.

use super::Process;
use super::own::OwnWord;
use abi::Signal;
use abi::ptrace::{Options, UserRegs};
use abi::sigframe::KernelSiginfo;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU32, Ordering};
use machine::cpu::debug::DebugRegisters;
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::task::FpuState;

/// Somebody traces the thread.
pub(super) const TRACED: u32 = 1 << 0;
/// By PTRACE_SEIZE, or from its beginning by who had seized its maker.
pub(super) const SEIZED: u32 = 1 << 1;
/// It stops at the begin and the end of system calls.
pub(super) const CALLS: u32 = 1 << 2;
/// It stops after one instruction.
pub(super) const STEPS: u32 = 1 << 3;
/// It is to stop as soon as it can (PTRACE_INTERRUPT).
pub(super) const TRAP: u32 = 1 << 4;
/// It has told that its process is stopped, and goes on although it is if it has been let go.
pub(super) const STOP_TOLD: u32 = 1 << 5;
/// SIGKILL came: no stop holds it any more.
pub(super) const KILLED: u32 = 1 << 6;
/// The trap flag that it has in user mode is not its own.
pub(super) const TRAP_FLAG: u32 = 1 << 7;

/// How a thread is traced.
pub struct Tracee {
    /// The bits above. Changed with the state locked, but for those that only say that there is something to look at; read without.
    pub(super) flags: AtomicU32,
    /// Number of the system call that the thread is in, or has left just now; a tracer makes it -1 for no call.
    pub(super) call: OwnWord,
    pub(super) state: SpinLock<State>,
    /// Woken when it may go on.
    pub(super) let_go: WaitQueue,
}

/// What is changed with its lock held.
#[derive(Default)]
pub(super) struct State {
    pub(super) tracer: Weak<Process>,
    pub(super) options: Option<Options>,
    /// There while the thread has stopped.
    pub(super) stop: Option<Box<Stop>>,
    /// What the last event came with (PTRACE_GETEVENTMSG).
    pub(super) message: u64,
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
    pub(super) told: bool,
    /// It stays as it is until the process is continued (PTRACE_LISTEN).
    pub(super) listens: bool,
    /// Set by the tracer: it may go on.
    pub(super) go_on: Option<GoOn>,
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
    pub(super) fn new() -> Self {
        Tracee {
            flags: AtomicU32::new(0),
            call: OwnWord::new(),
            state: SpinLock::new("tracee", Rank::Process, State::default()),
            let_go: WaitQueue::new("its tracer"),
        }
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::SeqCst) & flag != 0
    }

    /// Who traces it.
    pub(super) fn tracer(&self) -> Option<Arc<Process>> {
        self.state.lock().tracer.upgrade()
    }
}

/// How a tracee goes on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct GoOn {
    /// The signal that it takes.
    pub signal: Option<Signal>,
    /// It stops at the begin and the end of system calls.
    pub calls: bool,
    /// It stops after one instruction.
    pub steps: bool,
}
