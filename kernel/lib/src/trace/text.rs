//! Records as lines of text.

use super::{Event, Left, Record};
use abi::syscall;
use core::fmt;

impl fmt::Display for Record {
    /// `  1.234567890     7 write(0x1, 0x4008d0)`: seconds since boot, task, event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ns) = (self.ns / 1_000_000_000, self.ns % 1_000_000_000);
        write!(f, "{seconds:5}.{ns:09} {:5} {}", self.task, self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Switch { to, left: Left::Runnable, .. } => write!(f, "gives way to {to}"),
            Event::Switch { to, left: Left::Dead, .. } => write!(f, "is dead; next {to}"),
            Event::Switch { to, waits_for, .. } => write!(f, "waits for {}; next {to}", waits_for.text()),
            Event::Wake { task } => write!(f, "wakes {task}"),
            Event::Call { number, arguments: [first, second] } => {
                write!(f, "{}({first:#x}, {second:#x})", call_name(*number))
            }
            Event::Return { number, result } => write!(f, "{} = {result:#x}", call_name(*number)),
            Event::Interrupt { vector } => write!(f, "interrupt {vector}"),
            Event::InterruptEnd { vector } => write!(f, "interrupt {vector} done"),
            Event::Fault { address, access } => write!(f, "page fault: {access:?} at {address:#x}"),
            Event::FaultEnd { resolved: true, .. } => f.write_str("page fault resolved"),
            Event::FaultEnd { .. } => f.write_str("page fault not resolved"),
            Event::Submit { id, transfer, sector, count, disk } => {
                write!(f, "request {id} to {}: {transfer:?}, {count} sectors from {sector}", disk.text())
            }
            Event::Complete { id, succeeded: true } => write!(f, "request {id} done"),
            Event::Complete { id, .. } => write!(f, "request {id} failed"),
            Event::Begin(life) => write!(f, "begins: {} of process {}", life.name.text(), life.pid),
            Event::Exec(life) => write!(f, "executes {} in process {}", life.name.text(), life.pid),
            Event::End(life) => write!(f, "ends: {} of process {}", life.name.text(), life.pid),
            Event::InterruptName { vector, name } => write!(f, "interrupt {vector} is {}", name.text()),
        }
    }
}

/// The system call's name.
pub(super) fn call_name(number: u32) -> &'static str {
    syscall::name(number.into()).unwrap_or("unknown call")
}
