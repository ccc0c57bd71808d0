//! How a process ended.

use abi::Signal;
use abi::process::WaitStatus;
use core::fmt;

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// By exit(2), with the low byte of its argument.
    Exited(u8),
    /// By a signal.
    Killed(Signal),
}

impl ExitStatus {
    /// What a parent's wait4(2) gets.
    pub fn wait_status(self) -> WaitStatus {
        match self {
            ExitStatus::Exited(status) => WaitStatus::Exited(status),
            ExitStatus::Killed(signal) => WaitStatus::Signaled { signal, core_dumped: false },
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Exited(status) => write!(f, "exit status {status}"),
            ExitStatus::Killed(signal) => write!(f, "killed by {signal} ({})", signal.number()),
        }
    }
}
