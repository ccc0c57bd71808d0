//! What a tracer does with a tracee that has stopped.

use crate::process::Thread;
use crate::process::tracee::{CALLS, GoOn, Place, SEIZED, STEPS, Stop};
use abi::Errno;
use core::sync::atomic::Ordering;

impl Thread {
    /// Calls `f` with the stop that the thread is in; ESRCH if it runs, or listens.
    pub fn with_stop<R>(&self, f: impl FnOnce(&mut Stop) -> Result<R, Errno>) -> Result<R, Errno> {
        let tracee = self.tracee().ok_or(Errno::ESRCH)?;
        let mut state = tracee.state.lock();
        let stop =
            state.stop.as_deref_mut().filter(|stop| stop.go_on.is_none() && !stop.listens).ok_or(Errno::ESRCH)?;
        f(stop)
    }

    /// What the last event came with; ESRCH if the thread runs.
    pub fn trace_message(&self) -> Result<u64, Errno> {
        self.with_stop(|_| Ok(()))?;
        Ok(self.tracee().map_or(0, |tracee| tracee.state.lock().message))
    }

    /// PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SINGLESTEP; ESRCH if it runs.
    pub fn let_go(&self, how: GoOn) -> Result<(), Errno> {
        let tracee = self.tracee().ok_or(Errno::ESRCH)?;
        self.with_stop(|stop| {
            let flags = if how.calls { CALLS } else { 0 } | if how.steps { STEPS } else { 0 };
            tracee.flags.fetch_and(!(CALLS | STEPS), Ordering::SeqCst);
            tracee.flags.fetch_or(flags, Ordering::SeqCst);
            stop.go_on = Some(how);
            Ok(())
        })?;
        tracee.let_go.wake_all();
        Ok(())
    }

    /// PTRACE_LISTEN: it stays stopped with its process, but tells of what comes. EIO elsewhere.
    pub fn listen_for_tracer(&self) -> Result<(), Errno> {
        let tracee = self.tracee().filter(|tracee| tracee.has(SEIZED)).ok_or(Errno::EIO)?;
        self.with_stop(|stop| {
            if stop.place != Place::Group {
                return Err(Errno::EIO);
            }
            (stop.listens, stop.told) = (true, true);
            Ok(())
        })?;
        tracee.let_go.wake_all(); // it may have been continued meanwhile
        Ok(())
    }
}
