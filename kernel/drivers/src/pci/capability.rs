//! The capability list: linked blocks in the upper part of configuration space (PCI 3.0, 6.7).

use super::config::ConfigSpace;
use alloc::vec::Vec;

/// Offset of the status register; its bit 4 says that there is a list.
const STATUS: u16 = 0x06;
/// Offset of the pointer to the first capability.
const POINTER: u16 = 0x34;
/// Capabilities begin after the header, are aligned to 4 bytes and at least that long: there are no more than these.
const FIRST_OFFSET: u8 = 0x40;
const MAX_COUNT: usize = (256 - FIRST_OFFSET as usize) / 4;

/// MSI.
pub const ID_MSI: u8 = 0x05;
/// MSI-X.
pub const ID_MSIX: u8 = 0x11;
/// Vendor-specific; virtio describes its structures in these.
pub const ID_VENDOR: u8 = 0x09;

/// One capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    /// What it is.
    pub id: u8,
    /// Where it begins in configuration space.
    pub offset: u16,
}

/// All capabilities of a function, in list order. A list that loops or leaves its area ends there.
pub(super) fn list(config: &ConfigSpace) -> Vec<Capability> {
    if config.read_u16(STATUS) & 1 << 4 == 0 {
        return Vec::new();
    }
    walk(|offset| config.read_u32(offset))
}

/// `read` gives the doubleword at an offset; one for each capability, as reads are slow where the machine is emulated.
pub(super) fn walk(read: impl Fn(u16) -> u32) -> Vec<Capability> {
    let mut list: Vec<Capability> = Vec::new();
    let mut next = read(POINTER) as u8 & !3;
    while next >= FIRST_OFFSET && list.len() < MAX_COUNT {
        let offset = u16::from(next);
        if list.iter().any(|capability| capability.offset == offset) {
            break;
        }
        let [id, pointer, ..] = read(offset).to_le_bytes();
        list.push(Capability { id, offset });
        next = pointer & !3;
    }
    list
}
