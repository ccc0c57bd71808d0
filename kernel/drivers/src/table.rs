//! The table of drivers, and trying them on every PCI function.
//!
//! A new driver is one more row here. The first row that matches a function gets it; if its probe fails the function is
//! left alone, with the error logged and kept for the device list, and boot goes on.

use crate::block::{BlockDevice, virtio_blk};
use crate::pci::{self, Claim, Function, PciError};
use crate::rng::{RandomSource, virtio_rng};
use crate::virtio::transport::device_type as virtio_type;
use crate::virtio::{Agreement, QueueError, VirtioError, device_type};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::cpu::{self, CpuId};
use machine::io::DmaError;
use machine::irq::IrqError;

/// A driver for PCI functions.
pub struct PciDriver {
    /// What it is called.
    pub name: &'static str,
    /// Whether it drives this function.
    pub matches: fn(&Function) -> bool,
    /// Makes a device of the function.
    pub probe: fn(Claim) -> Result<Bound, ProbeError>,
}

/// All drivers for PCI functions.
pub static PCI_DRIVERS: &[PciDriver] = &[
    PciDriver {
        name: "virtio-blk",
        matches: |function| virtio_type(function) == Some(device_type::BLOCK),
        probe: virtio_blk::probe,
    },
    PciDriver {
        name: "virtio-rng",
        matches: |function| virtio_type(function) == Some(device_type::ENTROPY),
        probe: virtio_rng::probe,
    },
];

/// What a driver made of a function, by class.
#[derive(Clone)]
pub enum Device {
    /// A block device.
    Block(Arc<dyn BlockDevice>),
    /// An entropy source.
    Random(Arc<dyn RandomSource>),
}

/// A device with what the device list shows of it.
#[derive(Clone)]
pub struct Bound {
    /// The device.
    pub device: Device,
    /// Interrupt vectors it raises.
    pub vectors: Vec<u8>,
    /// What was agreed with it, if it is a virtio device.
    pub virtio: Option<Agreement>,
}

/// A function and what became of it.
pub struct PciDevice {
    /// The function.
    pub function: Arc<Function>,
    /// The driver that matched.
    pub driver: Option<&'static str>,
    /// The device, or why there is none. None if no driver matched.
    pub bound: Option<Result<Bound, String>>,
}

/// Why a driver cannot use a device that it matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeError {
    /// The bus says no.
    Pci(PciError),
    /// The device does not do its part of virtio.
    Virtio(VirtioError),
    /// There is no interrupt for it.
    Irq(IrqError),
    /// There is no memory for it.
    Memory(DmaError),
    /// It lacks something.
    Unusable(&'static str),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Pci(error) => write!(f, "{error}"),
            ProbeError::Virtio(error) => write!(f, "{error}"),
            ProbeError::Irq(error) => write!(f, "{error}"),
            ProbeError::Memory(error) => write!(f, "{error}"),
            ProbeError::Unusable(why) => write!(f, "the device cannot be used: {why}"),
        }
    }
}

macro_rules! probe_error_from {
    ($($error:ty => $variant:ident),*) => { $(
        impl From<$error> for ProbeError {
            fn from(error: $error) -> Self {
                ProbeError::$variant(error)
            }
        }
    )* };
}
probe_error_from!(PciError => Pci, VirtioError => Virtio, IrqError => Irq, DmaError => Memory);

impl From<QueueError> for ProbeError {
    fn from(error: QueueError) -> Self {
        ProbeError::Virtio(error.into())
    }
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

/// The CPU that the next interrupt line should go to: each in turn, so that no CPU serves all devices.
pub(crate) fn next_cpu() -> CpuId {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let turn = NEXT.fetch_add(1, Ordering::Relaxed) % (cpu::online_count() as usize).max(1);
    cpu::online().nth(turn).unwrap_or(CpuId::new(0))
}
