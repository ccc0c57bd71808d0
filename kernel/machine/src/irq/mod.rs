//! Interrupts by vector: who handles which, counts, and the controllers behind them.
//!
//! Vectors from 32 on are handed out at run time ([`IrqLine`]); the highest few are the machine's own. A handler
//! acknowledges its device, pops and wakes: it does not allocate, log or sleep.

mod ioapic;
pub(crate) mod lapic;
mod line;

use crate::cpu::CpuId;
use crate::mm::tlb;
use crate::percpu;
use crate::sync::guard::{self, PreemptGuard};
use crate::time;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
pub(crate) use ioapic::{Override as ApicOverride, init as init_ioapics};
pub use ioapic::{Polarity, Trigger};
use line::{FIRST, LAST};
pub use line::{Handler, IrqLine, MsiMessage, free_vectors};

const VECTOR_TIMER: u8 = 0xef;
const VECTOR_RESCHEDULE: u8 = 0xf1;
const VECTOR_SHOOTDOWN: u8 = 0xf2;
const VECTOR_ERROR: u8 = 0xfe;
const VECTOR_SPURIOUS: u8 = 0xff;

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

/// One row of the list of interrupts.
#[derive(Clone, Debug)]
pub struct IrqCount {
    /// The vector.
    pub vector: u8,
    /// What it is for.
    pub name: String,
    /// Several devices share it.
    pub shared: bool,
    /// How often it came, by CPU.
    pub counts: Vec<u32>,
}

/// All vectors that are in use or have come.
pub fn counts() -> Vec<IrqCount> {
    let mut rows = Vec::new();
    for vector in FIRST..=VECTOR_SPURIOUS {
        let described = describe(vector);
        let counts: Vec<u32> = crate::cpu::online()
            .map(|cpu| COUNTS.on(cpu).map_or(0, |counts| counts[usize::from(vector)].load(Ordering::Relaxed)))
            .collect();
        if described.is_some() || counts.iter().any(|&count| count != 0) {
            let (name, shared) = described.unwrap_or_else(|| ("spurious".into(), false));
            rows.push(IrqCount { vector, name, shared, counts });
        }
    }
    rows
}

/// What it is for, and whether several devices share it.
fn describe(vector: u8) -> Option<(String, bool)> {
    let own = match vector {
        VECTOR_TIMER => "local timer",
        VECTOR_RESCHEDULE => "reschedule",
        VECTOR_SHOOTDOWN => "TLB shootdown",
        VECTOR_ERROR => "local APIC error",
        VECTOR_SPURIOUS => "spurious",
        FIRST..=LAST => return line::describe(vector),
        _ => return None,
    };
    Some((own.into(), false))
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
        FIRST..=LAST => line::serve(vector),
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
