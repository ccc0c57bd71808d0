//! Signals: sets, actions, defaults (signal(7)).
//!
//! So far a signal ends the process, or is ignored, or is kept back while blocked; running a program's own handler comes
//! with the rest of signal(7). What a program sets by rt_sigaction(2) is kept and given back.

use abi::Signal;
use abi::signal::{SIG_IGN, Sigaction};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::{Rank, SpinLock};

/// Highest signal number.
pub const LAST: u64 = 64;

/// Numbers of the signals that the kernel itself sends.
#[allow(missing_docs, reason = "the names are signal(7)'s")]
pub mod number {
    pub const SIGINT: u8 = 2;
    pub const SIGQUIT: u8 = 3;
    pub const SIGILL: u8 = 4;
    pub const SIGTRAP: u8 = 5;
    pub const SIGBUS: u8 = 7;
    pub const SIGFPE: u8 = 8;
    pub const SIGKILL: u8 = 9;
    pub const SIGSEGV: u8 = 11;
    pub const SIGPIPE: u8 = 13;
    pub const SIGSTOP: u8 = 19;
}

/// The actions of a process.
pub struct Signals {
    actions: SpinLock<[Sigaction; LAST as usize]>,
}

impl Default for Signals {
    fn default() -> Self {
        Signals::new()
    }
}

impl Default for SignalSet {
    fn default() -> Self {
        SignalSet::new()
    }
}

impl Signals {
    /// Everything at its default.
    pub fn new() -> Self {
        Signals { actions: SpinLock::new("signal actions", Rank::Process, [Sigaction::default(); LAST as usize]) }
    }

    /// The action of `signal` (1 to 64), and a new one if given.
    pub fn action(&self, signal: u8, new: Option<Sigaction>) -> Sigaction {
        let mut actions = self.actions.lock();
        let slot = &mut actions[usize::from(signal) - 1];
        match new {
            Some(new) => core::mem::replace(slot, new),
            None => *slot,
        }
    }

    /// Whether the process takes no notice of `signal`.
    pub fn is_ignored(&self, signal: u8) -> bool {
        match self.action(signal, None).sa_handler {
            SIG_IGN => !matches!(signal, number::SIGKILL | number::SIGSTOP),
            0 => ignored_by_default(signal),
            _ => false,
        }
    }
}

/// SIGCHLD, SIGCONT, SIGURG, SIGWINCH: see the table in signal(7). Stopping is not there yet, so the stop signals are
/// without effect too.
fn ignored_by_default(signal: u8) -> bool {
    matches!(signal, 17 | 18 | 19 | 20 | 21 | 22 | 23 | 28)
}

/// A set of signals; signal n is bit n - 1.
pub struct SignalSet(AtomicU64);

impl SignalSet {
    /// None.
    pub const fn new() -> Self {
        SignalSet(AtomicU64::new(0))
    }

    /// Adds one.
    pub fn add(&self, signal: u8) {
        self.0.fetch_or(1 << (signal - 1), Ordering::SeqCst);
    }

    /// Takes one out.
    pub fn remove(&self, signal: u8) {
        self.0.fetch_and(!(1 << (signal - 1)), Ordering::SeqCst);
    }

    /// The bits.
    pub fn bits(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Sets the bits; SIGKILL and SIGSTOP cannot be in a mask.
    pub fn set_mask(&self, bits: u64) {
        self.0.store(bits & !(1 << (number::SIGKILL - 1) | 1 << (number::SIGSTOP - 1)), Ordering::SeqCst);
    }

    /// What is in this set and not in `other`.
    pub fn minus(&self, other: &SignalSet) -> u64 {
        self.bits() & !other.bits()
    }
}

/// Name of a signal.
pub fn name(signal: u8) -> &'static str {
    Signal::new(signal.into()).map_or("no signal", Signal::name)
}
