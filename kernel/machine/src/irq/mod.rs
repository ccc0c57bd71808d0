//! Interrupts by vector: who handles which, counts, and the controllers behind them.
//!
//! Vectors from 32 on are handed out at run time, each to one [`IrqLine`]; the highest few are the machine's own. A
//! handler acknowledges its device, pops and wakes: it does not allocate, log or sleep. The table's lock (rank
//! `Interrupt`) is only held to fetch the handler, never while it runs.

mod ioapic;
pub(crate) mod lapic;

use crate::cpu::CpuId;
use crate::mm::tlb;
use crate::percpu;
use crate::sync::guard::{self, PreemptGuard};
use crate::sync::{IrqLock, Rank};
use crate::time;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
pub(crate) use ioapic::{Override as ApicOverride, init as init_ioapics};
pub use ioapic::{Polarity, Trigger};

const FIRST: u8 = 32;
const LAST: u8 = 0xdf;
const VECTOR_TIMER: u8 = 0xef;
const VECTOR_RESCHEDULE: u8 = 0xf1;
const VECTOR_SHOOTDOWN: u8 = 0xf2;
const VECTOR_ERROR: u8 = 0xfe;
const VECTOR_SPURIOUS: u8 = 0xff;

type Handler = Arc<dyn Fn() + Send + Sync>;

struct Line {
    name: String,
    handler: Handler,
}

static LINES: IrqLock<[Option<Line>; (LAST - FIRST + 1) as usize]> =
    IrqLock::new("interrupt lines", Rank::Interrupt, [const { None }; (LAST - FIRST + 1) as usize]);

percpu! {
    static COUNTS: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];
}

/// Why an interrupt cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IrqError {
    /// All vectors are in use.
    NoVector,
    /// No controller serves that global interrupt.
    NoSuchGsi(u32),
    /// That global interrupt has an owner.
    Assigned(u32),
}

impl fmt::Display for IrqError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IrqError::NoVector => write!(f, "all interrupt vectors are in use"),
            IrqError::NoSuchGsi(gsi) => write!(f, "no interrupt controller serves global interrupt {gsi}"),
            IrqError::Assigned(gsi) => write!(f, "global interrupt {gsi} is assigned already"),
        }
    }
}

/// A vector with its handler; dropping it ends both.
#[derive(Debug)]
pub struct IrqLine {
    vector: u8,
}

/// What a device writes where to raise a message-signalled interrupt (SDM volume 3, 11.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiMessage {
    /// Address of the write.
    pub address: u64,
    /// Value written.
    pub data: u32,
}

impl IrqLine {
    /// A free vector, served by `handler` from now on; `name` is for the list of interrupts.
    pub fn allocate(name: &str, handler: impl Fn() + Send + Sync + 'static) -> Result<IrqLine, IrqError> {
        Self::enter(name, Arc::new(handler))
    }

    /// The same, which is there once for all kinds of handlers.
    fn enter(name: &str, handler: Arc<dyn Fn() + Send + Sync>) -> Result<IrqLine, IrqError> {
        let line = Line { name: name.into(), handler };
        let mut lines = LINES.lock();
        let slot = lines.iter().position(Option::is_none).ok_or(IrqError::NoVector)?;
        lines[slot] = Some(line);
        Ok(IrqLine { vector: FIRST + slot as u8 })
    }

    /// The vector.
    pub fn vector(&self) -> u8 {
        self.vector
    }

    /// The message that raises it on `cpu`.
    pub fn message(&self, cpu: CpuId) -> MsiMessage {
        let target = u64::from(lapic::id_of(cpu) & 0xff);
        MsiMessage { address: 0xfee0_0000 | target << 12, data: self.vector.into() }
    }

    /// Raises it on `cpu` as if the device had: for tests.
    pub fn raise(&self, cpu: CpuId) {
        lapic::send(cpu, self.vector);
    }

    /// Raises it on this CPU, as soon as that takes interrupts: so code that holds locks, or is an interrupt handler, has
    /// something done that it may not do itself.
    pub fn raise_here(&self) {
        lapic::send_to_self(self.vector);
    }

    /// Lets the global system interrupt `gsi` raise it on `cpu`.
    pub fn route_gsi(&self, gsi: u32, polarity: Polarity, trigger: Trigger, cpu: CpuId) -> Result<(), IrqError> {
        ioapic::route(gsi, self.vector, polarity, trigger, cpu)
    }

    /// Lets ISA interrupt `isa` raise it on `cpu`, wherever the firmware says it is wired to.
    pub fn route_isa(&self, isa: u8, cpu: CpuId) -> Result<(), IrqError> {
        let (gsi, polarity, trigger) = ioapic::isa_to_gsi(isa);
        ioapic::route(gsi, self.vector, polarity, trigger, cpu)
    }
}

impl Drop for IrqLine {
    fn drop(&mut self) {
        ioapic::unroute(self.vector);
        let line = LINES.lock()[usize::from(self.vector - FIRST)].take();
        drop(line);
    }
}

/// How many vectors have no line yet.
pub fn free_vectors() -> usize {
    LINES.lock().iter().filter(|line| line.is_none()).count()
}

/// One row of the list of interrupts.
#[derive(Clone, Debug)]
pub struct IrqCount {
    /// The vector.
    pub vector: u8,
    /// What it is for.
    pub name: String,
    /// How often it came, by CPU.
    pub counts: Vec<u32>,
}

/// All vectors that are in use or have come.
pub fn counts() -> Vec<IrqCount> {
    let mut rows = Vec::new();
    for vector in FIRST..=VECTOR_SPURIOUS {
        let name = name_of(vector);
        let counts: Vec<u32> = crate::cpu::online()
            .map(|cpu| COUNTS.on(cpu).map_or(0, |counts| counts[usize::from(vector)].load(Ordering::Relaxed)))
            .collect();
        if name.is_some() || counts.iter().any(|&count| count != 0) {
            rows.push(IrqCount { vector, name: name.unwrap_or_else(|| "spurious".into()), counts });
        }
    }
    rows
}

fn name_of(vector: u8) -> Option<String> {
    let own = match vector {
        VECTOR_TIMER => "local timer",
        VECTOR_RESCHEDULE => "reschedule",
        VECTOR_SHOOTDOWN => "TLB shootdown",
        VECTOR_ERROR => "local APIC error",
        VECTOR_SPURIOUS => "spurious",
        FIRST..=LAST => return LINES.lock()[usize::from(vector - FIRST)].as_ref().map(|line| line.name.clone()),
        _ => return None,
    };
    Some(own.into())
}

/// Serves `vector`, in interrupt context. `from_user`: it came in user mode.
pub(crate) fn dispatch(vector: u8, from_user: bool) {
    let guard = PreemptGuard::new();
    let count = &COUNTS.get(&guard)[usize::from(vector)];
    count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    match vector {
        VECTOR_SPURIOUS => return, // wants no end of interrupt (SDM volume 3, 11.9)
        VECTOR_TIMER => time::timer_fired(from_user),
        VECTOR_RESCHEDULE => guard::set_need_reschedule(),
        VECTOR_SHOOTDOWN => tlb::serve(),
        VECTOR_ERROR => lapic::clear_error(),
        FIRST..=LAST => {
            let handler = LINES.lock()[usize::from(vector - FIRST)].as_ref().map(|line| line.handler.clone());
            if let Some(handler) = handler {
                handler();
            }
        }
        _ => {}
    }
    lapic::end_of_interrupt();
    // A reschedule asked for by a handler is looked at by whoever the interrupt came to.
    core::mem::forget(guard);
    guard::leave_without_reschedule();
}

/// Counts a non-maskable interrupt that nothing asked for.
pub(crate) fn note_nmi() {
    let guard = PreemptGuard::new();
    let count = &COUNTS.get(&guard)[2];
    count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    core::mem::forget(guard);
    guard::leave_without_reschedule();
}

/// How many NMIs came, on all CPUs.
pub fn nmi_count() -> u32 {
    crate::cpu::online().filter_map(|cpu| COUNTS.on(cpu)).map(|counts| counts[2].load(Ordering::Relaxed)).sum()
}

/// Makes `cpu` look at its need to reschedule.
pub fn send_reschedule(cpu: CpuId) {
    lapic::send(cpu, VECTOR_RESCHEDULE);
}

pub(crate) fn send_shootdown(cpu: CpuId) {
    lapic::send(cpu, VECTOR_SHOOTDOWN);
}

/// Sets up this CPU's controller.
pub(crate) fn init_this_cpu() {
    lapic::init_this_cpu(VECTOR_SPURIOUS, VECTOR_TIMER, VECTOR_ERROR);
}

/// Silences the two 8259 controllers, which are there even where the IOAPIC serves: moved out of the exceptions'
/// vectors, since they can raise a spurious interrupt when masked.
pub(crate) fn silence_8259() {
    use crate::io::Port;
    // SAFETY: (1) the controllers' own ports, with all lines masked at the end.
    let (command_1, data_1, command_2, data_2) =
        unsafe { (Port::<u8>::new(0x20), Port::<u8>::new(0x21), Port::<u8>::new(0xa0), Port::<u8>::new(0xa1)) };
    command_1.write(0x11);
    command_2.write(0x11);
    data_1.write(0xe0);
    data_2.write(0xe8);
    data_1.write(4);
    data_2.write(2);
    data_1.write(1);
    data_2.write(1);
    data_1.write(0xff);
    data_2.write(0xff);
}
