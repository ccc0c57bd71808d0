//! Two small tables: `MCFG`, where PCI Express configuration space is in memory, and `HPET`.

use super::{AcpiError, GenericAddress, SdtHeader, Signature, expect_table};
use crate::bytes::{u8_at, u16_at, u32_at, u64_at};

/// Memory-mapped configuration space of PCI Express (PCI Firmware Specification 3.0, 4.1.2).
#[derive(Clone, Copy, Debug)]
pub struct Mcfg<'a> {
    entries: &'a [u8],
}

/// Configuration space of a range of buses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct McfgEntry {
    /// Physical address of the configuration space of bus 0 of the segment, even if `start_bus` is not 0.
    pub base: u64,
    /// PCI segment group.
    pub segment: u16,
    /// First bus.
    pub start_bus: u8,
    /// Last bus, inclusive; never less than `start_bus`.
    pub end_bus: u8,
}

impl<'a> Mcfg<'a> {
    const ENTRIES: usize = SdtHeader::SIZE + 8;

    /// Reads the table `MCFG`.
    pub fn parse(table: &'a [u8]) -> Result<Mcfg<'a>, AcpiError> {
        let (_, bytes) = expect_table(table, Signature::MCFG, Self::ENTRIES)?;
        Ok(Mcfg { entries: bytes.get(Self::ENTRIES..).unwrap_or(&[]) })
    }

    /// The bus ranges. Those that end before they start, or reach beyond the address space, are left out.
    pub fn entries(&self) -> impl Iterator<Item = McfgEntry> + use<'a> {
        let decode = |entry: &[u8]| {
            Some(McfgEntry {
                base: u64_at(entry, 0)?,
                segment: u16_at(entry, 8)?,
                start_bus: u8_at(entry, 10)?,
                end_bus: u8_at(entry, 11)?,
            })
        };
        self.entries.chunks_exact(16).filter_map(decode).filter(McfgEntry::is_sane)
    }
}

impl McfgEntry {
    /// Bytes of configuration space a bus: 32 devices of 8 functions of 4 KiB.
    pub const BYTES_PER_BUS: u64 = 1 << 20;

    /// Bytes from `base` to the end of the last bus.
    pub fn size_bytes(&self) -> u64 {
        (u64::from(self.end_bus) + 1) * Self::BYTES_PER_BUS
    }

    fn is_sane(&self) -> bool {
        self.start_bus <= self.end_bus && self.base.checked_add(self.size_bytes()).is_some()
    }
}

/// The high precision event timer (IA-PC HPET Specification 1.0a, 3.2.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hpet {
    /// Where its registers are; in memory, on every known machine.
    pub base: GenericAddress,
    /// Number of comparators, 1 to 32.
    pub comparators: u8,
    /// Whether the main counter has 64 bits rather than 32.
    pub counter_is_64_bit: bool,
    /// Whether it can replace the legacy timer interrupts.
    pub legacy_replacement: bool,
    /// PCI vendor who made it.
    pub vendor: u16,
    /// Which of several timer blocks this is.
    pub number: u8,
    /// Least number of ticks that a periodic comparator can do without losing an interrupt.
    pub min_tick: u16,
}

impl Hpet {
    const SIZE: usize = SdtHeader::SIZE + 20;

    /// Reads the table `HPET`.
    pub fn parse(table: &[u8]) -> Result<Hpet, AcpiError> {
        let (header, bytes) = expect_table(table, Signature::HPET, Self::SIZE)?;
        let fields = || {
            let block = u32_at(bytes, 36)?;
            Some(Hpet {
                base: GenericAddress::at(bytes, 40)?,
                comparators: (block >> 8 & 0x1f) as u8 + 1,
                counter_is_64_bit: block & 1 << 13 != 0,
                legacy_replacement: block & 1 << 15 != 0,
                vendor: (block >> 16) as u16,
                number: u8_at(bytes, 52)?,
                min_tick: u16_at(bytes, 53)?,
            })
        };
        fields().ok_or(AcpiError::BadLength { table: Signature::HPET, length: header.length })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::acpi::tests::table;

    #[test]
    fn mcfg_entries() {
        #[rustfmt::skip]
        let body = [
            0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0,
            0, 0, 0, 0xe0, 0, 0, 0, 0, 1, 0, 9, 3, 0, 0, 0, 0, // ends before it starts
            0, 0, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 3, 0, 0, 0, 0, // wraps around
            0, 0, 0, 0xe0, 0, 0, 0, 0, 1, 0, 3, 9, 0, 0, 0, 0,
            1, 2, 3,
        ];
        let bytes = table(b"MCFG", 1, &body);
        let entries: Vec<_> = Mcfg::parse(&bytes).unwrap().entries().collect();
        let first = McfgEntry { base: 0xb000_0000, segment: 0, start_bus: 0, end_bus: 255 };
        let second = McfgEntry { base: 0xe000_0000, segment: 1, start_bus: 3, end_bus: 9 };
        assert_eq!(entries, [first, second]);
        assert_eq!(first.size_bytes(), 256 << 20);
        assert!(matches!(Mcfg::parse(&table(b"MCFG", 1, &[0; 7])), Err(AcpiError::BadLength { length: 43, .. })));
    }

    #[test]
    fn hpet_of_qemu() {
        let mut body = [0x01, 0xa2, 0x86, 0x80, 0, 0, 0, 0, 0, 0, 0xd0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0];
        let hpet = Hpet::parse(&table(b"HPET", 1, &body)).unwrap();
        assert_eq!((hpet.base.space, hpet.base.address), (GenericAddress::MEMORY, 0xfed0_0000));
        assert_eq!((hpet.comparators, hpet.counter_is_64_bit, hpet.legacy_replacement), (3, true, true));
        assert_eq!((hpet.vendor, hpet.number, hpet.min_tick), (0x8086, 0, 0));
        body[16..19].copy_from_slice(&[1, 0x80, 0x37]);
        let hpet = Hpet::parse(&table(b"HPET", 1, &body)).unwrap();
        assert_eq!((hpet.number, hpet.min_tick), (1, 0x3780));
        assert!(matches!(Hpet::parse(&table(b"HPET", 1, &body[1..])), Err(AcpiError::BadLength { .. })));
    }
}
