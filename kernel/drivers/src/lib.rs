//! Buses and device drivers.
//!
//! [`table`] holds the drivers and tries them on the devices; [`pci`] is the bus; [`virtio`] what virtio devices share.
//! Each device class has a folder with its trait and its drivers: [`block`], [`console`], [`rng`], [`display`], [`input`]; [`edu`] is for tests. Nothing
//! here knows who uses the devices: the kernel proper calls [`table::probe_pci`] once and keeps what comes back.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod block;
pub mod console;
pub mod display;
pub mod driver;
pub mod edu;
pub mod input;
pub mod pci;
pub mod rng;
pub mod serial;
pub mod speaker;
pub mod table;
pub mod virtio;

pub use driver::Bound;
pub use table::{Device, PciDevice, probe_pci};
