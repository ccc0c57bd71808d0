//! Owning a function: the only way to its memory and to writing its configuration.

use super::interrupts::{Interrupts, Msi};
use super::msix::{Msix, Place};
use super::{BarKind, Function, ID_MSI, ID_MSIX, PciError};
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
pub(super) const COMMAND_NO_PIN_INTERRUPT: u16 = 1 << 10;

/// Offsets of the interrupt line, which the firmware writes, and of the pin, which is 0 if there is none (PCI 3.0, 6.2.4).
const INTERRUPT_LINE: u16 = 0x3c;
const INTERRUPT_PIN: u16 = 0x3d;
/// A line that is wired to no controller; nor is that of the ISA timer to a pin.
const NO_LINES: [u8; 2] = [0, 0xff];

/// Offset of the message control word in the MSI-X capability, and its bits.
const MSIX_CONTROL: u16 = 2;
const MSIX_TABLE: u16 = 4;
const MSIX_MASK_ALL: u16 = 1 << 14;
const MSIX_ENABLE: u16 = 1 << 15;

/// A function with one owner; derefs to the [`Function`].
pub struct Claim {
    function: Arc<Function>,
}

impl Claim {
    pub(super) fn new(function: Arc<Function>) -> Claim {
        Claim { function }
    }

    /// The function.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// Lets the function answer memory accesses.
    pub fn enable_memory(&mut self) {
        self.command(|command| command | COMMAND_MEMORY);
    }

    /// Lets the function answer accesses to ports.
    pub fn enable_ports(&mut self) {
        self.command(|command| command | COMMAND_IO);
    }

    /// Lets the function read and write RAM, or ends that.
    pub fn set_bus_master(&mut self, on: bool) {
        self.command(|command| if on { command | COMMAND_BUS_MASTER } else { command & !COMMAND_BUS_MASTER });
    }

    /// The `len` bytes at `offset` of base address register `index`; `what` names them in errors. The function must be
    /// let answer ([`Claim::enable_memory`]) before they are used.
    pub fn map(&self, index: u8, offset: u32, len: usize, what: &'static str) -> Result<Mmio, PciError> {
        let bar = self.bars.iter().find(|bar| bar.index == index && bar.kind != BarKind::Io);
        let bar = bar.ok_or(PciError::NoMemoryBar(index))?;
        if bar.address == 0 {
            return Err(PciError::Unassigned(index));
        }
        if u64::from(offset).checked_add(len as u64).is_none_or(|end| end > bar.limit()) {
            return Err(PciError::OutsideBar { what, bar: index });
        }
        let start = bar.address.checked_add(offset.into()).ok_or(PciError::OutsideBar { what, bar: index })?;
        Mmio::claim(PhysAddr::new(start), len, what).map_err(|error| PciError::Map(what, error))
    }

    /// The best interrupts that the function has, switched on: MSI-X with every entry masked, else MSI, else the pin.
    pub fn enable_interrupts(&mut self) -> Result<Interrupts, PciError> {
        if let Some(offset) = self.capability(ID_MSIX) {
            return self.enable_msix(offset).map(Interrupts::Msix);
        }
        let Some(offset) = self.capability(ID_MSI) else { return self.enable_pin() };
        self.command(|command| command | COMMAND_NO_PIN_INTERRUPT);
        Ok(Interrupts::Msi(Msi::new(self.config.clone(), offset)))
    }

    /// The pin switched on, and MSI off; the function must have no MSI-X.
    pub fn enable_pin(&mut self) -> Result<Interrupts, PciError> {
        if let Some(offset) = self.capability(ID_MSI) {
            Msi::new(self.config.clone(), offset);
        }
        let line = self.config.read_u8(INTERRUPT_LINE);
        if self.config.read_u8(INTERRUPT_PIN) == 0 || NO_LINES.contains(&line) {
            return Err(PciError::NoInterrupt);
        }
        self.command(|command| command & !COMMAND_NO_PIN_INTERRUPT);
        Ok(Interrupts::Pin(line))
    }

    fn enable_msix(&mut self, offset: u16) -> Result<Msix, PciError> {
        let control = self.config.read_u16(offset + MSIX_CONTROL);
        let place = Place::decode(control, self.config.read_u32(offset + MSIX_TABLE));
        let table = self.map(place.bar, place.offset, place.len_bytes(), "MSI-X table")?;
        // The table is in memory: it answers from here on, and raises nothing before its entries are masked.
        self.enable_memory();
        self.config.write_u16(offset + MSIX_CONTROL, control | MSIX_ENABLE | MSIX_MASK_ALL);
        let msix = Msix::new(table)?;
        self.command(|command| command | COMMAND_NO_PIN_INTERRUPT);
        self.config.write_u16(offset + MSIX_CONTROL, (control | MSIX_ENABLE) & !MSIX_MASK_ALL);
        Ok(msix)
    }

    fn capability(&self, id: u8) -> Option<u16> {
        self.capabilities.iter().find(|capability| capability.id == id).map(|capability| capability.offset)
    }

    fn command(&mut self, change: impl FnOnce(u16) -> u16) {
        let before = self.config.read_u16(COMMAND);
        let after = change(before);
        if before != after {
            // The upper half is the status register, whose bits are cleared by ones: zeros leave them.
            self.config.write_u32(COMMAND, after.into());
        }
    }
}

impl Deref for Claim {
    type Target = Function;
    fn deref(&self) -> &Function {
        &self.function
    }
}

impl Drop for Claim {
    /// An unowned function has no business in RAM, and nobody would serve its pin.
    fn drop(&mut self) {
        self.command(|command| command & !COMMAND_BUS_MASTER | COMMAND_NO_PIN_INTERRUPT);
        self.function.claimed.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claim of {}", self.address)
    }
}
