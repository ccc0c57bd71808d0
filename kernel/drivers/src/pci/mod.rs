//! The PCI bus: which functions there are, and each one's single owner.
//!
//! [`enumerate`] is called once at boot. Registers of a function are changed through its [`Claim`] alone, which exists
//! at most once; its drop lets go of the function again. Addresses stay where the firmware put them.

mod bar;
mod capability;
mod claim;
mod class;
mod config;
mod interrupts;
mod scan;

pub mod msix;

pub use bar::{Bar, BarKind, Extent};
pub use capability::{Capability, ID_MSI, ID_MSIX, ID_VENDOR};
pub use claim::Claim;
pub use class::name as class_name;
pub use config::{Address, ConfigSpace};
pub use interrupts::Interrupts;
pub use scan::enumerate;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::io::mmio::MmioError;
use machine::io::registers::OutOfWindow;
use machine::irq::IrqError;

/// Why something cannot be done with a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PciError {
    /// A driver has it already.
    Claimed,
    /// It has no such base address register, or that is for I/O ports.
    NoMemoryBar(u8),
    /// The firmware gave that base address register no address.
    Unassigned(u8),
    /// A structure cannot be mapped.
    Map(&'static str, MmioError),
    /// A structure lies outside the base address register that it should be in.
    OutsideBar {
        /// The structure.
        what: &'static str,
        /// The base address register.
        bar: u8,
    },
    /// A structure's registers do not fit into it.
    Structure(&'static str, OutOfWindow),
    /// It raises no message-signalled interrupts, and its pin is not wired, as far as the firmware says.
    NoInterrupt,
    /// There is no line for its interrupt.
    Irq(IrqError),
    /// Its MSI-X table has fewer entries.
    NoMsixEntry {
        /// The entry asked for.
        index: u16,
        /// Entries in the table.
        entries: usize,
    },
}

impl fmt::Display for PciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PciError::Claimed => write!(f, "a driver has the device already"),
            PciError::NoMemoryBar(index) => write!(f, "BAR {index} is not for memory"),
            PciError::Unassigned(index) => write!(f, "BAR {index} was given no address by the firmware"),
            PciError::Map(what, error) => write!(f, "{what}: {error}"),
            PciError::OutsideBar { what, bar } => write!(f, "{what} is not inside BAR {bar}"),
            PciError::Structure(what, error) => write!(f, "{what}: {error}"),
            PciError::NoInterrupt => write!(f, "the device has neither MSI-X nor MSI, nor a pin that is wired"),
            PciError::Irq(error) => write!(f, "{error}"),
            PciError::NoMsixEntry { index, entries } => write!(f, "MSI-X entry {index} of {entries} does not exist"),
        }
    }
}

/// One function of a device.
#[derive(Debug)]
pub struct Function {
    /// Where it is.
    pub address: Address,
    /// Vendor id.
    pub vendor: u16,
    /// Device id, the vendor's.
    pub device: u16,
    /// Subsystem vendor and device id; 0 for bridges.
    pub subsystem: (u16, u16),
    /// Class, subclass and programming interface.
    pub class: [u8; 3],
    /// Revision, the vendor's.
    pub revision: u8,
    /// Header type without the multi-function bit: 0 device, 1 PCI bridge, 2 CardBus bridge.
    pub header_type: u8,
    /// Base address registers.
    pub bars: Vec<Bar>,
    /// Capabilities, in list order.
    pub capabilities: Vec<Capability>,
    config: ConfigSpace,
    claimed: AtomicBool,
}

impl Function {
    /// Its configuration space, to read.
    pub fn config(&self) -> &ConfigSpace {
        &self.config
    }

    /// Makes the caller its owner.
    pub fn claim(self: &Arc<Self>) -> Result<Claim, PciError> {
        if self.claimed.swap(true, Ordering::Acquire) {
            return Err(PciError::Claimed);
        }
        Ok(Claim::new(self.clone()))
    }

    /// Whether it has an owner.
    pub fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Relaxed)
    }
}
