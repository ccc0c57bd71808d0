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

pub use super::tracee::{GoOn, Place, Stop};
pub use attach::Begin;
pub(super) use attach::{other_tracer, tell_of_end};

use super::Thread;
use super::tracee::{STOP_TOLD, TRACED, TRAP, Tracee};

impl Thread {
    /// How it is traced; None if nobody traces it.
    #[cold]
    #[inline(never)]
    pub(super) fn tracee(&self) -> Option<&Tracee> {
        self.tracee.get().map(|tracee| &**tracee).filter(|tracee| tracee.has(TRACED))
    }

    /// Whether somebody traces it, or has done so.
    #[inline]
    pub(super) fn is_or_was_traced(&self) -> bool {
        self.tracee.get().is_some()
    }

    /// Whether somebody traces it.
    pub fn is_traced(&self) -> bool {
        self.is_or_was_traced() && self.tracee().is_some()
    }

    /// The number of its tracer; 0 for none.
    pub fn tracer_pid(&self) -> u32 {
        self.tracee().and_then(Tracee::tracer).map_or(0, |tracer| tracer.pid())
    }

    /// Whether it has stopped for its tracer.
    pub fn is_trace_stopped(&self) -> bool {
        self.tracee().is_some_and(|tracee| tracee.state.lock().stop.as_ref().is_some_and(|stop| stop.go_on.is_none()))
    }

    /// Whether it stands still as its process is stopped, or has a reason to stop for its tracer.
    pub(super) fn has_to_stop(&self) -> bool {
        match if self.is_or_was_traced() { self.tracee() } else { None } {
            None => self.process().is_stopped(),
            Some(tracee) => tracee.has(TRAP) || self.process().is_stopped() && !tracee.has(STOP_TOLD),
        }
    }
}
