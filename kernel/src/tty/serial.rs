//! `/dev/ttyS1`: the second serial port as a terminal, and the task that brings it what comes in.

use super::registry;
use crate::sched;
use alloc::vec::Vec;
use core::fmt;
use machine::irq::IrqError;
use machine::mm::OutOfMemory;

/// Room for what comes in at once.
const BATCH: usize = 4096;

/// Why there is no terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SerialError {
    /// Its interrupt cannot be had.
    Irq(IrqError),
    /// No memory for its task.
    OutOfMemory,
}

impl fmt::Display for SerialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SerialError::Irq(error) => write!(f, "{error}"),
            SerialError::OutOfMemory => write!(f, "out of memory"),
        }
    }
}

/// Finds the port and starts its task; false if there is no port.
pub fn start() -> Result<bool, SerialError> {
    if !registry::LINE.start().map_err(SerialError::Irq)? {
        return Ok(false);
    }
    let mut incoming = Vec::new();
    incoming.try_reserve_exact(BATCH).map_err(|_| SerialError::OutOfMemory)?;
    sched::spawn("serial line", move || serve(incoming)).map_err(|OutOfMemory| SerialError::OutOfMemory)?;
    Ok(true)
}

/// The line's task.
fn serve(mut incoming: Vec<(u8, drivers::serial::Condition)>) -> ! {
    let terminal = registry::serial();
    loop {
        incoming.clear();
        let news = registry::LINE.wait(&mut incoming);
        if !incoming.is_empty() {
            terminal.receive_marked(&incoming);
        }
        if news.room {
            terminal.writers.wake_all();
        }
        if news.carrier_lost && terminal.minds_carrier() {
            terminal.hang_up();
        }
    }
}
