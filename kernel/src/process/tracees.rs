//! The threads that a process traces (`ptrace`).
//!
//! Lock: the list's, of rank `Process`.

use super::{Process, Thread};
use abi::process::WaitStatus;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;
use machine::sync::{Rank, SpinLock};
use machine::trace::Watching;

/// Whom a process traces.
pub struct Tracees {
    pub(super) list: SpinLock<List>,
    /// There may be something in it; read without the lock.
    pub(super) used: AtomicBool,
}

/// What its lock protects.
pub(super) struct List {
    /// The system calls of all tasks are looked at while there is a tracee.
    pub(super) traced: Vec<(Arc<Thread>, Watching)>,
    /// Tracees that have ended, or are about to, and have not been waited for.
    pub(super) ended: Vec<Ended>,
    /// The tracer has ended.
    pub(super) closed: bool,
}

/// A tracee that has ended. A process's first thread is there before the others have ended, too, and its status is not yet.
pub(super) struct Ended {
    pub(super) tid: u32,
    pub(super) process: Arc<Process>,
    pub(super) status: Option<WaitStatus>,
}

impl Tracees {
    /// Nobody.
    pub const fn new() -> Self {
        let list = List { traced: Vec::new(), ended: Vec::new(), closed: false };
        Tracees { list: SpinLock::new("tracees", Rank::Process, list), used: AtomicBool::new(false) }
    }
}

impl Default for Tracees {
    fn default() -> Self {
        Tracees::new()
    }
}
