//! What every driver gives: the device it made of a function, or why it could not.

use crate::pci::PciError;
use crate::virtio::{Agreement, QueueError, Transport, VirtioError};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::cpu::{self, CpuId};
use machine::io::DmaError;
use machine::irq::{IrqError, IrqLine};

/// A device with what the device list shows of it.
#[derive(Clone)]
pub struct Bound<D> {
    /// The device.
    pub device: D,
    /// Interrupt vectors it raises.
    pub vectors: Vec<u8>,
    /// What was agreed with it, if it is a virtio device.
    pub virtio: Option<Agreement>,
}

impl<D> Bound<D> {
    /// The same with the device wrapped by `wrap`.
    pub fn map<E>(self, wrap: impl FnOnce(D) -> E) -> Bound<E> {
        Bound { device: wrap(self.device), vectors: self.vectors, virtio: self.virtio }
    }
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

/// The CPU that the next interrupt line should go to: each in turn, so that no CPU serves all devices.
pub(crate) fn next_cpu() -> CpuId {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let turn = NEXT.fetch_add(1, Ordering::Relaxed) % (cpu::online_count() as usize).max(1);
    cpu::online().nth(turn).unwrap_or(CpuId::new(0))
}

/// Has the only interrupt that a virtio device uses served by `handler`, and lets the device work.
pub(crate) fn start_virtio(
    transport: &mut Transport,
    name: &str,
    handler: Box<dyn Fn() + Send + Sync>,
) -> Result<IrqLine, ProbeError> {
    let line = transport.connect(0, name, next_cpu(), handler)?;
    transport.start();
    Ok(line)
}
