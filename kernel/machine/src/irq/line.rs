//! Interrupt lines: a vector, and who serves it. Several do where devices share the pin of an I/O APIC.
//!
//! On a shared line each handler is asked, and says whether the interrupt was its device's. If nearly all interrupts are
//! nobody's, the line is stuck: its level stays, and it would come again for ever. It is masked then, and that is logged,
//! the only time that an interrupt logs. Lock: `LINES` (rank `Interrupt`), held to find a handler, never while it runs.

use super::{IrqError, ioapic, lapic};
use crate::cpu::CpuId;
use crate::sync::{IrqLock, Rank};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

pub(super) const FIRST: u8 = 32;
pub(super) const LAST: u8 = 0xdf;
/// So many interrupts of a shared line are counted, and of them no more than so many may be nobody's (as on Linux).
const COUNTED: u32 = 100_000;
const MOST_UNCLAIMED: u32 = 99_900;

/// Serves a line; whether its device asked for it.
pub type Handler = Box<dyn Fn() -> bool + Send + Sync>;

struct Owner {
    name: String,
    /// Interrupts of a shared line that were its own.
    claimed: AtomicU32,
    handler: Handler,
}

struct Line {
    /// None only while it is given back.
    owners: Vec<Arc<Owner>>,
    /// Of a shared line, the global interrupt.
    gsi: Option<u32>,
    counted: u32,
    unclaimed: u32,
    stuck: bool,
}

static LINES: IrqLock<[Option<Box<Line>>; (LAST - FIRST + 1) as usize]> =
    IrqLock::new("interrupt lines", Rank::Interrupt, [const { None }; (LAST - FIRST + 1) as usize]);

/// A handler on a vector; dropping it ends that, and the vector's use with its last handler.
#[derive(Debug)]
pub struct IrqLine {
    vector: u8,
    /// Address of the owner.
    owner: usize,
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
        let handler = move || {
            handler();
            true
        };
        Self::allocate_for(name, Box::new(handler))
    }

    /// The same, with what a handler says left unheard.
    pub fn allocate_for(name: &str, handler: Handler) -> Result<IrqLine, IrqError> {
        Self::insert(name, handler, None).map(|(line, _)| line)
    }

    /// The pin of a PCI function whose Interrupt Line register holds `line`: one vector, which the first to come has on
    /// `cpu`, for all devices that share it. `handler` says whether its device asked.
    pub fn share(line: u8, name: &str, cpu: CpuId, handler: Handler) -> Result<IrqLine, IrqError> {
        let (gsi, polarity) = ioapic::pci_to_gsi(line);
        let (line, is_new) = Self::insert(name, handler, Some(gsi))?;
        if is_new {
            ioapic::route(gsi, line.vector, polarity, ioapic::Trigger::Level, cpu)?;
        }
        Ok(line)
    }

    /// Puts a handler to those of `gsi`, or on a vector of its own; and whether that is new.
    fn insert(name: &str, handler: Handler, gsi: Option<u32>) -> Result<(IrqLine, bool), IrqError> {
        let owner = Arc::new(Owner { name: name.into(), claimed: AtomicU32::new(0), handler });
        let address = Arc::as_ptr(&owner).addr();
        let mut new = Box::new(Line { owners: Vec::new(), gsi, counted: 0, unclaimed: 0, stuck: false });
        let mut lines = LINES.lock();
        let is_shared = |line: &Line| gsi.is_some() && line.gsi == gsi && !line.owners.is_empty();
        let shared = lines.iter().position(|line| line.as_ref().is_some_and(|line| is_shared(line)));
        let free = || lines.iter().position(Option::is_none);
        let slot = shared.or_else(free).ok_or(IrqError::NoVector)?;
        match &mut lines[slot] {
            Some(line) => line.owners.push(owner),
            empty => {
                new.owners.push(owner);
                *empty = Some(new);
            }
        }
        Ok((IrqLine { vector: FIRST + slot as u8, owner: address }, shared.is_none()))
    }

    /// The vector.
    pub fn vector(&self) -> u8 {
        self.vector
    }

    /// Whether it was masked because it was nobody's.
    pub fn is_stuck(&self) -> bool {
        LINES.lock()[usize::from(self.vector - FIRST)].as_ref().is_some_and(|line| line.stuck)
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

    /// Lets ISA interrupt `isa` raise it on `cpu`, wherever the firmware says it is wired to.
    pub fn route_isa(&self, isa: u8, cpu: CpuId) -> Result<(), IrqError> {
        let (gsi, polarity, trigger) = ioapic::isa_to_gsi(isa);
        ioapic::route(gsi, self.vector, polarity, trigger, cpu)
    }
}

impl Drop for IrqLine {
    fn drop(&mut self) {
        let slot = usize::from(self.vector - FIRST);
        let (owner, was_last) = {
            let mut lines = LINES.lock();
            let Some(line) = &mut lines[slot] else { return };
            let at = line.owners.iter().position(|owner| Arc::as_ptr(owner).addr() == self.owner);
            (at.map(|at| line.owners.remove(at)), line.owners.is_empty())
        };
        if was_last {
            ioapic::unroute(self.vector);
            let line = LINES.lock()[slot].take();
            drop(line);
        }
        drop(owner);
    }
}

/// How many vectors have no line yet.
pub fn free_vectors() -> usize {
    LINES.lock().iter().filter(|line| line.is_none()).count()
}

/// What a vector is for, of a line that can be shared which that is; and whether several share it.
pub(super) fn describe(vector: u8) -> Option<(String, bool)> {
    let lines = LINES.lock();
    let line = lines[usize::from(vector - FIRST)].as_ref()?;
    let names: Vec<&str> = line.owners.iter().map(|owner| owner.name.as_str()).collect();
    let name = names.join(", ");
    let name = match line.gsi {
        None => name,
        Some(gsi) => format!("{name} (line {gsi}{})", if line.stuck { ", stuck and masked" } else { "" }),
    };
    Some((name, names.len() > 1))
}

/// Serves `vector`, in interrupt context.
pub(super) fn serve(vector: u8) {
    let mut claimed = false;
    for index in 0.. {
        let Some((owner, is_shared)) = owner(vector, index) else { break };
        let own = (owner.handler)();
        if !is_shared {
            return;
        }
        if own {
            owner.claimed.fetch_add(1, Ordering::Relaxed);
            claimed = true;
        }
    }
    if let Some((gsi, unclaimed)) = note(vector, claimed) {
        ioapic::mask(vector);
        log::error!(
            "interrupt line {gsi} (vector {vector:#x}) is stuck and masked from now on: \
             {unclaimed} of {COUNTED} interrupts were nobody's"
        );
        for (owner, _) in (0..).map_while(|index| owner(vector, index)) {
            log::error!("interrupt line {gsi}: {}: {} were its own", owner.name, owner.claimed.load(Ordering::Relaxed));
        }
    }
}

/// A handler of the vector, and whether there may be others.
fn owner(vector: u8, index: usize) -> Option<(Arc<Owner>, bool)> {
    let lines = LINES.lock();
    let line = lines[usize::from(vector - FIRST)].as_ref()?;
    line.owners.get(index).map(|owner| (owner.clone(), line.gsi.is_some()))
}

/// Counts an interrupt of a shared line. If it is found stuck: its global interrupt, and how many were nobody's.
fn note(vector: u8, claimed: bool) -> Option<(u32, u32)> {
    let mut lines = LINES.lock();
    let line = lines[usize::from(vector - FIRST)].as_mut()?;
    let gsi = line.gsi?;
    line.counted += 1;
    line.unclaimed += u32::from(!claimed);
    if line.counted < COUNTED {
        return None;
    }
    let unclaimed = core::mem::take(&mut line.unclaimed);
    line.counted = 0;
    line.stuck = unclaimed > MOST_UNCLAIMED;
    line.stuck.then_some((gsi, unclaimed))
}
