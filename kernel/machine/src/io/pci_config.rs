//! PCI configuration space through ports 0xcf8 and 0xcfc: configuration mechanism 1 (PCI 3.0, 3.2.2.3.2), for machines
//! without an MCFG table. Reaches the first 256 bytes of each function of segment 0.
//!
//! The two ports work as a pair, so one lock covers both accesses. What a write does to the device is up to the caller,
//! the PCI bus driver, as it is with memory-mapped configuration space.

use super::port::Port;
use crate::sync::{Rank, SpinLock};

/// Where to write the address, and where the addressed doubleword then is.
struct Pair {
    address: Port<u32>,
    data: Port<u32>,
}

static PORTS: SpinLock<Pair> = SpinLock::new(
    "PCI configuration ports",
    Rank::Device,
    // SAFETY: (1) the ports are reserved to this module; configuration cycles reach PCI functions only.
    unsafe { Pair { address: Port::new(0xcf8), data: Port::new(0xcfc) } },
);

/// An aligned doubleword of a function's configuration space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigAddress(u32);

impl ConfigAddress {
    /// The doubleword at `offset` of a function. None unless `device` is below 32, `function` below 8 and `offset`
    /// below 256 and a multiple of 4.
    pub fn new(bus: u8, device: u8, function: u8, offset: u16) -> Option<Self> {
        let valid = device < 32 && function < 8 && offset < 256 && offset.is_multiple_of(4);
        let number = u32::from(bus) << 16 | u32::from(device) << 11 | u32::from(function) << 8 | u32::from(offset);
        valid.then_some(ConfigAddress(1 << 31 | number))
    }
}

/// Reads a doubleword; all ones where there is no function.
pub fn read(at: ConfigAddress) -> u32 {
    let ports = PORTS.lock();
    ports.address.write(at.0);
    ports.data.read()
}

/// Writes a doubleword.
pub fn write(at: ConfigAddress, value: u32) {
    let ports = PORTS.lock();
    ports.address.write(at.0);
    ports.data.write(value);
}
