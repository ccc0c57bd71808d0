//! Configuration space: how a function's registers are read and written.
//!
//! Memory-mapped (ECAM, PCI Express 5.0, 7.2.2) where the firmware's MCFG table says so, one claimed mebibyte for each bus
//! that exists; by ports elsewhere. Reads are free for all; writes are for the bus driver and for the function's owner
//! ([`super::Claim`]), so registers that share a doubleword are not written by two at once.

use alloc::sync::Arc;
use core::fmt;
use machine::PhysAddr;
use machine::io::Mmio;
use machine::io::mmio::MmioError;
use machine::io::pci_config::{self, ConfigAddress};

/// Bytes of configuration space of one bus in an ECAM region.
const BUS_LEN: usize = 1 << 20;

/// Where a function is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    /// Segment group.
    pub segment: u16,
    /// Bus.
    pub bus: u8,
    /// Device on the bus, below 32.
    pub device: u8,
    /// Function of the device, below 8.
    pub function: u8,
}

impl fmt::Display for Address {
    /// As Linux and lspci write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segment != 0 {
            write!(f, "{:04x}:", self.segment)?;
        }
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

/// How the functions of one bus are reached.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// The bus's mebibyte of an ECAM region.
    Memory(Arc<Mmio>),
    /// Ports 0xcf8 and 0xcfc.
    Ports,
}

impl Access {
    /// Memory-mapped access to `bus`, where `base` is where bus 0 of the segment would be.
    pub(super) fn memory(base: u64, bus: u8) -> Result<Access, MmioError> {
        let start = base.checked_add(u64::from(bus) * BUS_LEN as u64).ok_or(MmioError::NotDeviceMemory)?;
        let mmio = Mmio::claim(PhysAddr::new(start), BUS_LEN, "PCI configuration space")?;
        Ok(Access::Memory(Arc::new(mmio)))
    }
}

/// The configuration space of one function.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    access: Access,
    address: Address,
}

impl ConfigSpace {
    pub(super) fn new(access: Access, address: Address) -> Self {
        ConfigSpace { access, address }
    }

    /// The doubleword at `offset`, a multiple of 4; all ones if there is none.
    pub fn read_u32(&self, offset: u16) -> u32 {
        match &self.access {
            Access::Memory(mmio) => {
                mmio.try_register::<u32>(self.offset_in_bus(offset)).map_or(u32::MAX, |register| register.read())
            }
            Access::Ports => self.port_address(offset).map_or(u32::MAX, pci_config::read),
        }
    }

    /// The word at `offset`, a multiple of 2.
    pub fn read_u16(&self, offset: u16) -> u16 {
        (self.read_u32(offset & !3) >> (u32::from(offset & 2) * 8)) as u16
    }

    /// The byte at `offset`.
    pub fn read_u8(&self, offset: u16) -> u8 {
        (self.read_u32(offset & !3) >> (u32::from(offset & 3) * 8)) as u8
    }

    pub(super) fn write_u32(&self, offset: u16, value: u32) {
        match &self.access {
            Access::Memory(mmio) => {
                if let Some(register) = mmio.try_register::<u32>(self.offset_in_bus(offset)) {
                    register.write(value);
                }
            }
            Access::Ports => {
                if let Some(address) = self.port_address(offset) {
                    pci_config::write(address, value);
                }
            }
        }
    }

    /// Writes one word, the other half of its doubleword as it was read. Not for the command register, whose other half
    /// is status bits that writing back would clear.
    pub(super) fn write_u16(&self, offset: u16, value: u16) {
        let shift = u32::from(offset & 2) * 8;
        let other = self.read_u32(offset & !3) & !(0xffff << shift);
        self.write_u32(offset & !3, other | u32::from(value) << shift);
    }

    fn offset_in_bus(&self, offset: u16) -> usize {
        usize::from(self.address.device) << 15 | usize::from(self.address.function) << 12 | usize::from(offset & 0xfff)
    }

    fn port_address(&self, offset: u16) -> Option<ConfigAddress> {
        ConfigAddress::new(self.address.bus, self.address.device, self.address.function, offset)
    }
}
