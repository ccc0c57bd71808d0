//! The three areas of a split virtqueue in memory (virtio 1.2, 2.7), and nothing but reading and writing their fields.
//! All are little-endian, as this machine is.

use machine::PhysAddr;
use machine::io::{DmaBuffer, DmaError};

/// Descriptor flags (virtio 1.2, 2.7.5).
pub const DESCRIPTOR_NEXT: u16 = 1;
pub const DESCRIPTOR_WRITE: u16 = 2;
pub const DESCRIPTOR_INDIRECT: u16 = 4;
/// Flag of the used ring: the driver need not notify. Only without event indices.
pub const USED_NO_NOTIFY: u16 = 1;
/// Bytes of a descriptor.
pub const DESCRIPTOR_LEN: usize = 16;

/// One descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    pub address: PhysAddr,
    pub len: u32,
    pub flags: u16,
    pub next: u16,
}

/// A table of descriptors: the queue's own, or one of its indirect ones.
pub fn write_descriptor(table: &DmaBuffer, index: usize, descriptor: Descriptor) {
    let at = index * DESCRIPTOR_LEN;
    table.store::<u64>(at, descriptor.address.get());
    table.store::<u32>(at + 8, descriptor.len);
    table.store::<u16>(at + 12, descriptor.flags);
    table.store::<u16>(at + 14, descriptor.next);
}

/// What the driver makes available (virtio 1.2, 2.7.6): flags, index, a ring of heads, the used event index.
#[derive(Debug)]
pub struct AvailableRing {
    pub memory: DmaBuffer,
    size: u16,
}

impl AvailableRing {
    pub fn new(size: u16) -> Result<Self, DmaError> {
        Ok(AvailableRing { memory: DmaBuffer::new(6 + 2 * usize::from(size))?, size })
    }

    pub fn set_head(&self, position: u16, head: u16) {
        self.memory.store::<u16>(4 + 2 * usize::from(position % self.size), head);
    }

    pub fn set_index(&self, index: u16) {
        self.memory.store::<u16>(2, index);
    }

    /// Asks for an interrupt once the used index goes past `index`.
    pub fn set_used_event(&self, index: u16) {
        self.memory.store::<u16>(4 + 2 * usize::from(self.size), index);
    }
}

/// What the device gives back (virtio 1.2, 2.7.8): flags, index, a ring of heads with lengths, the available event index.
#[derive(Debug)]
pub struct UsedRing {
    pub memory: DmaBuffer,
    size: u16,
}

impl UsedRing {
    pub fn new(size: u16) -> Result<Self, DmaError> {
        Ok(UsedRing { memory: DmaBuffer::new(6 + 8 * usize::from(size))?, size })
    }

    pub fn flags(&self) -> u16 {
        self.memory.load::<u16>(0)
    }

    pub fn index(&self) -> u16 {
        self.memory.load::<u16>(2)
    }

    /// Head and bytes written, as the device put them there.
    pub fn element(&self, position: u16) -> (u32, u32) {
        let at = 4 + 8 * usize::from(position % self.size);
        (self.memory.load::<u32>(at), self.memory.load::<u32>(at + 4))
    }

    pub fn available_event(&self) -> u16 {
        self.memory.load::<u16>(4 + 8 * usize::from(self.size))
    }

    /// Does what a device would do with its next chain, for tests: `index` is the used index before it.
    pub fn play(&self, index: u16, head: u32) {
        self.memory.store(4 + 8 * usize::from(index % self.size), head);
        self.memory.store(2, index.wrapping_add(1));
    }
}
