//! Base address registers: kind, address and size (PCI 3.0, 6.2.5.1).

use super::config::ConfigSpace;
use core::fmt;

/// Offset of the first base address register.
const FIRST: u16 = 0x10;

/// What a base address register addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory, addressed by 32 bits.
    Memory32 {
        /// Reads have no side effects.
        prefetchable: bool,
    },
    /// Memory, addressed by 64 bits in this register and the next.
    Memory64 {
        /// Reads have no side effects.
        prefetchable: bool,
    },
}

/// One base address register that the function has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bar {
    /// Number of the (first) register, 0 to 5.
    pub index: u8,
    /// What it addresses.
    pub kind: BarKind,
    /// Where the firmware put it: physical address or port. 0 if it did not.
    pub address: u64,
    /// Bytes or ports, a power of two.
    pub size: u64,
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            BarKind::Io => "ports",
            BarKind::Memory32 { prefetchable: false } => "memory",
            BarKind::Memory32 { prefetchable: true } => "prefetchable memory",
            BarKind::Memory64 { prefetchable: false } => "64-bit memory",
            BarKind::Memory64 { prefetchable: true } => "64-bit prefetchable memory",
        };
        write!(f, "BAR {}: {kind} at {:#x}, {:#x} bytes", self.index, self.address, self.size)
    }
}

/// Base address registers read as they are, and read again after writing all ones to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct RawBars {
    pub values: [u32; 6],
    pub masks: [u32; 6],
}

/// Reads the first `count` base address registers of a function and their size masks, and leaves them as they were.
/// Decoding must be off meanwhile: half-written addresses would be answered.
pub(super) fn read_raw(config: &ConfigSpace, count: usize) -> RawBars {
    let mut raw = RawBars::default();
    for (index, (value, mask)) in raw.values.iter_mut().zip(&mut raw.masks).enumerate().take(count) {
        let offset = FIRST + 4 * index as u16;
        *value = config.read_u32(offset);
        config.write_u32(offset, u32::MAX);
        *mask = config.read_u32(offset);
        config.write_u32(offset, *value);
    }
    raw
}

/// The base address registers that the raw values of `count` registers describe. A 64-bit one without a second half,
/// and reserved kinds, are left out.
pub(super) fn decode(raw: &RawBars, count: usize) -> impl Iterator<Item = Bar> + '_ {
    let mut index = 0;
    core::iter::from_fn(move || {
        while index < count {
            let at = index;
            index += 1;
            let (value, mask) = (raw.values[at], raw.masks[at]);
            let bar = if mask == 0 {
                None
            } else if mask & 1 != 0 {
                // The upper 16 bits may be hard-wired to zero.
                let size = (!(mask & !3) & 0xffff) + 1;
                Some((BarKind::Io, u64::from(value & !3), u64::from(size)))
            } else {
                let prefetchable = mask & 8 != 0;
                match mask >> 1 & 3 {
                    0 => {
                        let size = u64::from(!(mask & !15)) + 1;
                        Some((BarKind::Memory32 { prefetchable }, u64::from(value & !15), size))
                    }
                    2 if at + 1 < count => {
                        index += 1;
                        let wide = |low: u32, high: u32| u64::from(low & !15) | u64::from(high) << 32;
                        let mask = wide(mask, raw.masks[at + 1]);
                        let size = (!mask).checked_add(1);
                        let kind = BarKind::Memory64 { prefetchable };
                        size.map(|size| (kind, wide(value, raw.values[at + 1]), size))
                    }
                    _ => None,
                }
            };
            if let Some((kind, address, size)) = bar.filter(|(_, _, size)| size.is_power_of_two()) {
                return Some(Bar { index: at as u8, kind, address, size });
            }
        }
        None
    })
}
