//! Owning a function: the only way to its memory and to writing its configuration.

use super::msix::{Msix, Place};
use super::{BarKind, Function, ID_MSIX, PciError};
use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;
use core::sync::atomic::Ordering;
use machine::PhysAddr;
use machine::io::Mmio;

/// Offset of the command register (PCI 3.0, 6.2.2).
pub(super) const COMMAND: u16 = 0x04;
/// Command: answer accesses to I/O ports.
pub(super) const COMMAND_IO: u16 = 1 << 0;
/// Command: answer accesses to memory.
pub(super) const COMMAND_MEMORY: u16 = 1 << 1;
/// Command: may read and write RAM, which includes raising message-signalled interrupts.
const COMMAND_BUS_MASTER: u16 = 1 << 2;
/// Command: do not use the interrupt pin.
const COMMAND_NO_PIN_INTERRUPT: u16 = 1 << 10;

/// Offset of the message control word in the MSI-X capability, and its bits.
const MSIX_CONTROL: u16 = 2;
const MSIX_TABLE: u16 = 4;
const MSIX_MASK_ALL: u16 = 1 << 14;
const MSIX_ENABLE: u16 = 1 << 15;

/// A function with one owner; derefs to the [`Function`].
pub struct Claim {
    function: Arc<Function>,
    /// Base address registers mapped so far.
    mapped: [Option<Arc<Mmio>>; 6],
}

impl Claim {
    pub(super) fn new(function: Arc<Function>) -> Claim {
        Claim { function, mapped: [const { None }; 6] }
    }

    /// The function.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// Lets the function answer memory accesses.
    pub fn enable_memory(&mut self) {
        self.command(|command| command | COMMAND_MEMORY);
    }

    /// Lets the function read and write RAM, or ends that.
    pub fn set_bus_master(&mut self, on: bool) {
        self.command(|command| if on { command | COMMAND_BUS_MASTER } else { command & !COMMAND_BUS_MASTER });
    }

    /// The memory of base address register `index`, all of it; the same mapping each time.
    pub fn map_bar(&mut self, index: u8) -> Result<Arc<Mmio>, PciError> {
        let bar = self.function.bars.iter().find(|bar| bar.index == index && bar.kind != BarKind::Io);
        let bar = bar.ok_or(PciError::NoMemoryBar(index))?;
        let slot = self.mapped.get_mut(usize::from(index)).ok_or(PciError::NoMemoryBar(index))?;
        if let Some(mmio) = slot {
            return Ok(mmio.clone());
        }
        if bar.address == 0 {
            return Err(PciError::Unassigned(index));
        }
        let mmio = Mmio::claim(PhysAddr::new(bar.address), bar.size as usize, "PCI device")
            .map_err(|error| PciError::Map(index, error))?;
        Ok(slot.insert(Arc::new(mmio)).clone())
    }

    /// Switches MSI-X on, with every entry masked, and the interrupt pin off.
    pub fn enable_msix(&mut self) -> Result<Msix, PciError> {
        let capability = self.capabilities.iter().find(|capability| capability.id == ID_MSIX);
        let offset = capability.ok_or(PciError::NoMsix)?.offset;
        let control = self.config.read_u16(offset + MSIX_CONTROL);
        let place = Place::decode(control, self.config.read_u32(offset + MSIX_TABLE));
        let bar = self.map_bar(place.bar)?;
        // The table is in memory: it answers from here on, and raises nothing before its entries are masked.
        self.enable_memory();
        self.config.write_u16(offset + MSIX_CONTROL, control | MSIX_ENABLE | MSIX_MASK_ALL);
        let msix = Msix::new(bar.window(), &place)?;
        self.command(|command| command | COMMAND_NO_PIN_INTERRUPT);
        self.config.write_u16(offset + MSIX_CONTROL, (control | MSIX_ENABLE) & !MSIX_MASK_ALL);
        Ok(msix)
    }

    fn command(&mut self, change: impl FnOnce(u16) -> u16) {
        let command = self.config.read_u16(COMMAND);
        // The upper half is the status register, whose bits are cleared by ones: zeros leave them.
        self.config.write_u32(COMMAND, change(command).into());
    }
}

impl Deref for Claim {
    type Target = Function;
    fn deref(&self) -> &Function {
        &self.function
    }
}

impl Drop for Claim {
    /// An unowned function has no business in RAM.
    fn drop(&mut self) {
        self.set_bus_master(false);
        self.function.claimed.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claim of {}", self.address)
    }
}
