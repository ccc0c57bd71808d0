//! How a function interrupts: by MSI-X, else by MSI (PCI 3.0, 6.8), else by its pin. Its driver need not know which.

use super::msix::Msix;
use super::{ConfigSpace, PciError};
use machine::cpu::CpuId;
use machine::irq::{Handler, IrqLine, MsiMessage};

/// Offsets in the MSI capability (PCI 3.0, 6.8.1), those behind the address for the short form of it.
const MSI_CONTROL: u16 = 2;
const MSI_ADDRESS: u16 = 4;
const MSI_DATA: u16 = 8;
const MSI_MASK: u16 = 12;
/// The upper half of the address, which moves what is behind it.
const MSI_ADDRESS_HIGH: u16 = 8;
const MSI_WIDE_SHIFT: u16 = 4;
/// Message control. The field of how many messages are enabled stays 0, which is one.
const MSI_ENABLE: u16 = 1;
const MSI_MANY: u16 = 7 << 4;
const MSI_WIDE: u16 = 1 << 7;
const MSI_MASKABLE: u16 = 1 << 8;

/// A function's interrupts, switched on; none comes before it is [connected](Interrupts::connect).
pub enum Interrupts {
    /// A table with an entry for each.
    Msix(Msix),
    /// One message.
    Msi(Msi),
    /// The pin, with what the Interrupt Line register holds; others may share it.
    Pin(u8),
}

/// A function's MSI capability.
pub struct Msi {
    config: ConfigSpace,
    offset: u16,
}

impl Interrupts {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Interrupts::Msix(msix) => msix.len(),
            Interrupts::Msi(_) | Interrupts::Pin(_) => 1,
        }
    }

    /// Whether the device chooses between several.
    pub fn is_msix(&self) -> bool {
        matches!(self, Interrupts::Msix(_))
    }

    /// Has interrupt `index` served by `handler`, which says whether its device asked, on `cpu`; on a pin that is shared
    /// it is the CPU of the first that came.
    pub fn connect(&self, index: u16, name: &str, cpu: CpuId, handler: Handler) -> Result<IrqLine, PciError> {
        if let Interrupts::Pin(line) = self {
            return IrqLine::share(*line, name, cpu, handler).map_err(PciError::Irq);
        }
        let line = IrqLine::allocate_for(name, handler).map_err(PciError::Irq)?;
        match self {
            Interrupts::Msix(msix) => msix.program(index, line.message(cpu))?,
            Interrupts::Msi(msi) => msi.program(line.message(cpu)),
            Interrupts::Pin(_) => {}
        }
        Ok(line)
    }
}

impl Msi {
    /// The capability at `offset`, switched off.
    pub(super) fn new(config: ConfigSpace, offset: u16) -> Msi {
        let msi = Msi { config, offset };
        msi.config.write_u16(offset + MSI_CONTROL, msi.control());
        msi
    }

    /// Message control with MSI off.
    fn control(&self) -> u16 {
        self.config.read_u16(self.offset + MSI_CONTROL) & !(MSI_ENABLE | MSI_MANY)
    }

    /// Lets the function raise `message`.
    fn program(&self, message: MsiMessage) {
        let (config, control) = (&self.config, self.control());
        config.write_u16(self.offset + MSI_CONTROL, control);
        config.write_u32(self.offset + MSI_ADDRESS, message.address as u32);
        let mut at = self.offset;
        if control & MSI_WIDE != 0 {
            config.write_u32(at + MSI_ADDRESS_HIGH, (message.address >> 32) as u32);
            at += MSI_WIDE_SHIFT;
        }
        // Vectors have eight bits.
        config.write_u16(at + MSI_DATA, message.data as u16);
        if control & MSI_MASKABLE != 0 {
            config.write_u32(at + MSI_MASK, 0);
        }
        config.write_u16(self.offset + MSI_CONTROL, control | MSI_ENABLE);
    }
}
