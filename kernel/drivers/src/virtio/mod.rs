//! Virtio devices (Virtual I/O Device 1.2): the parts all of them share.
//!
//! [`transport`] finds a device's registers over PCI and negotiates; [`queue`] is the split virtqueue; [`ring`] the
//! memory it shares with the device. Whatever a device writes is checked before it is used.

pub mod queue;
mod ring;
pub mod transport;

pub use queue::{Buffer, QueueError, QueueFault, Virtqueue};
pub use transport::{Transport, VirtioError};

/// Feature bits that are not a device type's own (virtio 1.2, 6), and may be used by any driver here.
pub mod feature {
    /// Descriptors may point to tables of descriptors.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// Each side says by an index when it wants to be told.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// The device follows version 1 or later of the specification.
    pub const VERSION_1: u64 = 1 << 32;
}

/// Device types (virtio 1.2, 5).
pub mod device_type {
    /// Network card.
    pub const NETWORK: u16 = 1;
    /// Block device.
    pub const BLOCK: u16 = 2;
    /// Console.
    pub const CONSOLE: u16 = 3;
    /// Entropy source.
    pub const ENTROPY: u16 = 4;
    /// Memory balloon.
    pub const BALLOON: u16 = 5;
    /// SCSI host.
    pub const SCSI: u16 = 8;
    /// 9P transport.
    pub const P9: u16 = 9;
    /// Graphics.
    pub const GPU: u16 = 16;
    /// Input device.
    pub const INPUT: u16 = 18;
    /// Socket to the host.
    pub const SOCKET: u16 = 19;
    /// File system.
    pub const FILE_SYSTEM: u16 = 26;
}

/// What was agreed with a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreement {
    /// Device type.
    pub device_type: u16,
    /// Feature bits the device offered.
    pub offered: u64,
    /// Feature bits in use.
    pub negotiated: u64,
}

/// Name of a device type.
pub fn type_name(device_type: u16) -> &'static str {
    match device_type {
        device_type::NETWORK => "network",
        device_type::BLOCK => "block",
        device_type::CONSOLE => "console",
        device_type::ENTROPY => "entropy",
        device_type::BALLOON => "balloon",
        device_type::SCSI => "SCSI",
        device_type::P9 => "9P",
        device_type::GPU => "GPU",
        device_type::INPUT => "input",
        device_type::SOCKET => "socket",
        device_type::FILE_SYSTEM => "file system",
        _ => "unknown",
    }
}
