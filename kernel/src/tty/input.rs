//! Console input: from the serial port's interrupt through a ring of bytes to the terminal.
//!
//! The interrupt handler empties the port into [`RING`] and wakes the input task, which does what takes time: editing,
//! echo, signals. The ring takes no lock: the handler, on one CPU, is the only one that puts in, the task the only one
//! that takes out. Bytes that find the ring full are dropped and counted, as on any serial line.

use super::Terminal;
use crate::sched;
use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use machine::cpu::CpuId;
use machine::irq::{IrqError, IrqLine};
use machine::mm::OutOfMemory;
use machine::sync::WaitQueue;

/// ISA interrupt of COM1.
const COM1_IRQ: u8 = 4;
/// Bytes the ring holds.
const RING_LEN: usize = 4096;

static RING: Ring = Ring::new();
static ARRIVED: WaitQueue = WaitQueue::new("console input");

/// Why there is no input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputError {
    /// The serial port does not answer.
    NoPort,
    /// Its interrupt cannot be had.
    Irq(IrqError),
    /// No memory for the input task.
    OutOfMemory,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::NoPort => write!(f, "no serial port"),
            InputError::Irq(error) => write!(f, "serial port: {error}"),
            InputError::OutOfMemory => write!(f, "out of memory for the input task"),
        }
    }
}

/// Lets what comes in on the serial port reach `terminal`.
pub fn start(terminal: &'static Terminal) -> Result<(), InputError> {
    if !machine::console::present() {
        return Err(InputError::NoPort);
    }
    sched::spawn("terminal input", move || serve(terminal)).map_err(|OutOfMemory| InputError::OutOfMemory)?;
    let line = IrqLine::allocate("serial port", take_bytes).map_err(InputError::Irq)?;
    line.route_isa(COM1_IRQ, CpuId::new(0)).map_err(InputError::Irq)?;
    // The console stays as long as the kernel.
    core::mem::forget(line);
    machine::console::enable_receive_interrupt();
    Ok(())
}

/// The interrupt handler.
fn take_bytes() {
    machine::console::receive(|byte| RING.put(byte));
    ARRIVED.wake_all();
}

/// The input task.
fn serve(terminal: &'static Terminal) -> ! {
    let mut bytes = [0u8; 64];
    loop {
        let len = ARRIVED.wait(|| Some(RING.take(&mut bytes)).filter(|&len| len > 0));
        super::note_source(super::Source::Serial);
        terminal.receive(&bytes[..len]);
    }
}

/// Bytes that were lost since boot because the ring was full.
pub fn lost() -> usize {
    RING.lost.load(Ordering::Relaxed)
}

/// A ring for one that puts and one that takes. `put` and `taken` count all bytes ever.
struct Ring {
    bytes: [AtomicU8; RING_LEN],
    put: AtomicUsize,
    taken: AtomicUsize,
    /// Bytes dropped since boot.
    lost: AtomicUsize,
}

impl Ring {
    const fn new() -> Self {
        Ring {
            bytes: [const { AtomicU8::new(0) }; RING_LEN],
            put: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        }
    }

    fn put(&self, byte: u8) {
        let put = self.put.load(Ordering::Relaxed);
        if put.wrapping_sub(self.taken.load(Ordering::Acquire)) == RING_LEN {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.bytes[put % RING_LEN].store(byte, Ordering::Relaxed);
        self.put.store(put.wrapping_add(1), Ordering::Release);
    }

    fn take(&self, out: &mut [u8]) -> usize {
        let taken = self.taken.load(Ordering::Relaxed);
        let len = self.put.load(Ordering::Acquire).wrapping_sub(taken).min(out.len());
        for (offset, slot) in out[..len].iter_mut().enumerate() {
            *slot = self.bytes[taken.wrapping_add(offset) % RING_LEN].load(Ordering::Relaxed);
        }
        self.taken.store(taken.wrapping_add(len), Ordering::Release);
        len
    }
}
