//! The table of drivers, and trying them on every PCI function.
//!
//! A new driver is one more row here. The first row that matches a function gets it; if its probe fails the function is
//! left alone, with the error logged and kept for the device list, and boot goes on.

use crate::block::{BlockDevice, ata, virtio_blk};
use crate::console::{self, VirtioConsole};
use crate::display::virtio_gpu::{self, VirtioGpu};
use crate::driver::{Bound, ProbeError};
use crate::input::{InputDevice, virtio_input};
use crate::pci::{self, Claim, Function};
use crate::rng::{RandomSource, virtio_rng};
use crate::virtio::device_type;
use crate::virtio::transport::device_type as virtio_type;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A driver for PCI functions.
pub struct PciDriver {
    /// What it is called.
    pub name: &'static str,
    /// Whether it drives this function.
    pub matches: fn(&Function) -> bool,
    /// Makes a device of the function.
    pub probe: fn(Claim) -> Result<Bound<Device>, ProbeError>,
}

/// All drivers for PCI functions.
pub static PCI_DRIVERS: &[PciDriver] = &[
    PciDriver {
        name: "virtio-blk",
        matches: |function| virtio_type(function) == Some(device_type::BLOCK),
        probe: |claim| virtio_blk::probe(claim).map(|bound| bound.map(Device::Block)),
    },
    PciDriver {
        name: "ata",
        matches: ata::matches,
        probe: |claim| ata::probe(claim).map(|bound| bound.map(Device::Disks)),
    },
    PciDriver {
        name: "virtio-rng",
        matches: |function| virtio_type(function) == Some(device_type::ENTROPY),
        probe: |claim| virtio_rng::probe(claim).map(|bound| bound.map(Device::Random)),
    },
    PciDriver {
        name: "virtio-input",
        matches: |function| virtio_type(function) == Some(device_type::INPUT),
        probe: |claim| virtio_input::probe(claim).map(|bound| bound.map(Device::Input)),
    },
    PciDriver {
        name: "virtio-gpu",
        matches: |function| virtio_type(function) == Some(device_type::GPU),
        probe: |claim| virtio_gpu::probe(claim).map(|bound| bound.map(Device::Graphics)),
    },
    PciDriver {
        name: console::NAME,
        matches: |function| virtio_type(function) == Some(device_type::CONSOLE),
        probe: |claim| console::probe(claim).map(|bound| bound.map(Device::Console)),
    },
];

/// What a driver made of a function, by class.
#[derive(Clone)]
pub enum Device {
    /// A block device.
    Block(Arc<dyn BlockDevice>),
    /// The block devices of a controller.
    Disks(Vec<Arc<dyn BlockDevice>>),
    /// An entropy source.
    Random(Arc<dyn RandomSource>),
    /// An input device.
    Input(Arc<dyn InputDevice>),
    /// A graphics device, which shows nothing until it is asked to.
    Graphics(Arc<VirtioGpu>),
    /// A console, which says nothing until it is asked to.
    Console(Arc<VirtioConsole>),
}

/// A function and what became of it.
pub struct PciDevice {
    /// The function.
    pub function: Arc<Function>,
    /// The driver that matched.
    pub driver: Option<&'static str>,
    /// The device, or why there is none. None if no driver matched.
    pub bound: Option<Result<Bound<Device>, String>>,
}

/// Finds all PCI functions and tries the drivers on them, by address. Called once.
pub fn probe_pci() -> Vec<PciDevice> {
    pci::enumerate().into_iter().map(probe_function).collect()
}

fn probe_function(function: Arc<Function>) -> PciDevice {
    let Some(driver) = PCI_DRIVERS.iter().find(|driver| (driver.matches)(&function)) else {
        return PciDevice { function, driver: None, bound: None };
    };
    let bound = function.claim().map_err(ProbeError::from).and_then(driver.probe).map_err(|error| {
        log::error!("PCI {}: {}: {error}", function.address, driver.name);
        error.to_string()
    });
    PciDevice { function, driver: Some(driver.name), bound: Some(bound) }
}
