//! Base address registers: kind, address and size (PCI 3.0, 6.2.5.1).
//!
//! The size is what reads back after writing all ones, which moves the memory for a moment: so it is only measured where
//! the firmware left the function switched off. Switching a function off and on to measure it costs milliseconds where
//! the machine is emulated, and no driver needs the size itself, only that its structures lie inside. For that, bounds
//! that need no writing do: an address is a multiple of the size, and two registers' memory does not overlap.

use super::config::ConfigSpace;
use alloc::vec::Vec;
use core::fmt;
use klib::sort::sort_by;

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

/// Bytes or ports behind a base address register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Measured.
    Exactly(u64),
    /// It cannot be more.
    AtMost(u64),
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
    /// How much there is.
    pub extent: Extent,
}

impl Bar {
    /// No structure of the function ends further from the start than this.
    pub fn limit(&self) -> u64 {
        match self.extent {
            Extent::Exactly(size) | Extent::AtMost(size) => size,
        }
    }

    fn is_io(&self) -> bool {
        self.kind == BarKind::Io
    }
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
        write!(f, "BAR {}: {kind} at {:#x}", self.index, self.address)?;
        match self.extent {
            Extent::Exactly(size) => write!(f, ", {size:#x} bytes"),
            Extent::AtMost(size) => write!(f, ", at most {size:#x} bytes"),
        }
    }
}

/// The first `count` base address registers of a function, as the firmware set them. `measure` finds their sizes too; the
/// function must not answer accesses meanwhile.
pub(super) fn read(config: &ConfigSpace, count: usize, measure: bool) -> Vec<Bar> {
    let mut raw = [RawBar::default(); 6];
    for (raw, offset) in raw.iter_mut().zip((FIRST..).step_by(4)).take(count) {
        raw.value = config.read_u32(offset);
        if measure {
            config.write_u32(offset, u32::MAX);
            raw.mask = Some(config.read_u32(offset));
            config.write_u32(offset, raw.value);
        }
    }
    decode(&raw[..count.min(raw.len())])
}

/// Lowers the limits that are not exact: nothing reaches into the next register's memory or ports.
pub(super) fn limit_by_neighbours<'a>(bars: impl Iterator<Item = &'a mut Bar>) {
    let mut bars: Vec<&mut Bar> = bars.filter(|bar| bar.address != 0).collect();
    sort_by(&mut bars, |a, b| (a.is_io(), a.address) < (b.is_io(), b.address));
    for index in 1..bars.len() {
        let (next_is_io, next) = (bars[index].is_io(), bars[index].address);
        let bar = &mut *bars[index - 1];
        if let Extent::AtMost(limit) = &mut bar.extent
            && next_is_io == (bar.kind == BarKind::Io)
        {
            *limit = (*limit).min(next - bar.address);
        }
    }
}

/// A register's value, and what it reads after writing all ones, if that was tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct RawBar {
    pub value: u32,
    pub mask: Option<u32>,
}

/// What the registers describe. Unused ones are left out, as are reserved kinds and 64-bit ones without a second half.
pub(super) fn decode(registers: &[RawBar]) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut index = 0;
    while let Some(&low) = registers.get(index) {
        let high = registers.get(index + 1).copied();
        let bar = decode_one(index as u8, low, high);
        // The second half is no register of its own, whatever it looks like.
        index += if is_64_bit(low) { 2 } else { 1 };
        bars.extend(bar);
    }
    bars
}

fn decode_one(index: u8, low: RawBar, high: Option<RawBar>) -> Option<Bar> {
    // The low bits, which say what it is, read the same either way; an unused register is all zeros.
    let bits = low.mask.unwrap_or(low.value);
    if bits == 0 {
        return None;
    }
    let prefetchable = bits & 8 != 0;
    let (kind, address, mask) = if bits & 1 != 0 {
        // The upper half of the mask may be hard-wired to zeros.
        let mask = low.mask.map(|mask| u64::from(mask & !3) | 0xffff_ffff_ffff_0000);
        (BarKind::Io, u64::from(low.value & !3), mask)
    } else if bits & 6 == 0 {
        let mask = low.mask.map(|mask| u64::from(mask & !15) | 0xffff_ffff_0000_0000);
        (BarKind::Memory32 { prefetchable }, u64::from(low.value & !15), mask)
    } else if is_64_bit(low) {
        let wide = |low: u32, high: u32| u64::from(low & !15) | u64::from(high) << 32;
        let high = high?;
        let mask = low.mask.zip(high.mask).map(|(low, high)| wide(low, high));
        (BarKind::Memory64 { prefetchable }, wide(low.value, high.value), mask)
    } else {
        return None;
    };
    let lowest_bit = |value: u64| value & value.wrapping_neg();
    let extent = match mask {
        // The lowest bit that can be written is the size; a register without one addresses nothing.
        Some(mask) if mask != 0 => Extent::Exactly(lowest_bit(mask)),
        Some(_) => return None,
        None => Extent::AtMost(lowest_bit(address)),
    };
    Some(Bar { index, kind, address, extent })
}

fn is_64_bit(low: RawBar) -> bool {
    low.mask.unwrap_or(low.value) & 7 == 4
}
