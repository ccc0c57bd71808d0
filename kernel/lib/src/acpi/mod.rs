//! ACPI tables: a parser over byte slices that does no I/O (ACPI 6.5, chapter 5).
//!
//! The caller maps a table and hands its bytes over; lengths in it are not trusted. Only what a kernel needs to find
//! its CPUs, interrupt controllers, timers and power registers is here; AML is not interpreted, save for finding `_S5_`.

mod fadt;
mod madt;

pub use fadt::{Fadt, GenericAddress, s5_sleep_type};
pub use madt::{Entries as MadtEntries, Entry as MadtEntry, InterruptPolarity, InterruptTrigger, Madt};

use core::fmt;

/// Bytes of the header that every table but the RSDP begins with.
pub const HEADER_LEN: usize = 36;
/// Largest table believed in.
pub const MAX_TABLE_LEN: usize = 16 << 20;

/// What is wrong with a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcpiError {
    /// Shorter than its kind must be.
    Truncated([u8; 4]),
    /// The length field is out of bounds.
    BadLength([u8; 4], u32),
    /// The bytes do not add up to zero.
    BadChecksum([u8; 4]),
    /// Another table than the one asked for.
    WrongSignature([u8; 4]),
}

impl fmt::Display for AcpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcpiError::Truncated(name) => write!(f, "table {} is truncated", name.escape_ascii()),
            AcpiError::BadLength(name, len) => {
                write!(f, "table {} has an impossible length of {len}", name.escape_ascii())
            }
            AcpiError::BadChecksum(name) => write!(f, "table {} has a wrong checksum", name.escape_ascii()),
            AcpiError::WrongSignature(name) => write!(f, "unexpected table {}", name.escape_ascii()),
        }
    }
}

/// The header of a table (ACPI 6.5, table 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SdtHeader {
    /// Kind of table.
    pub signature: [u8; 4],
    /// Bytes of the whole table.
    pub length: u32,
    /// Revision of the kind.
    pub revision: u8,
    /// Who made the firmware.
    pub oem_id: [u8; 6],
    /// Their name for the table.
    pub oem_table_id: [u8; 8],
}

impl SdtHeader {
    /// Reads the header; the length is within [`HEADER_LEN`] and [`MAX_TABLE_LEN`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AcpiError> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else { return Err(AcpiError::Truncated(*b"SDT?")) };
        let signature = [header[0], header[1], header[2], header[3]];
        let length = u32_at(header, 4).unwrap_or(0);
        if !(HEADER_LEN..=MAX_TABLE_LEN).contains(&(length as usize)) {
            return Err(AcpiError::BadLength(signature, length));
        }
        let mut oem_id = [0; 6];
        oem_id.copy_from_slice(&header[10..16]);
        let mut oem_table_id = [0; 8];
        oem_table_id.copy_from_slice(&header[16..24]);
        Ok(SdtHeader { signature, length, revision: header[8], oem_id, oem_table_id })
    }
}

/// The whole table in `bytes`, cut to its length, if it is a `signature` and its checksum is right.
pub fn checked<'a>(bytes: &'a [u8], signature: &[u8; 4]) -> Result<&'a [u8], AcpiError> {
    let header = SdtHeader::parse(bytes)?;
    if header.signature != *signature {
        return Err(AcpiError::WrongSignature(header.signature));
    }
    let table = bytes.get(..header.length as usize).ok_or(AcpiError::Truncated(*signature))?;
    if !checksum_is_valid(table) {
        return Err(AcpiError::BadChecksum(*signature));
    }
    Ok(table)
}

/// Whether the bytes add up to zero.
pub fn checksum_is_valid(table: &[u8]) -> bool {
    table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

/// Addresses of the tables that an RSDT (4-byte entries) or XSDT (8-byte entries) lists, without zeros.
pub fn root_entries(table: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let width = if table.starts_with(b"XSDT") { 8 } else { 4 };
    table.get(HEADER_LEN..).unwrap_or(&[]).chunks_exact(width).map(little_endian).filter(|&address| address != 0)
}

/// The configuration space of a range of PCI buses (PCI firmware specification 3.0, table 4-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct McfgEntry {
    /// Where bus 0 of the segment would begin.
    pub base: u64,
    /// PCI segment group.
    pub segment: u16,
    /// First bus.
    pub bus_start: u8,
    /// Last bus.
    pub bus_end: u8,
}

/// Entries of an MCFG table.
pub fn mcfg_entries(table: &[u8]) -> impl Iterator<Item = McfgEntry> + '_ {
    table.get(44..).unwrap_or(&[]).chunks_exact(16).map(|entry| McfgEntry {
        base: little_endian(&entry[..8]),
        segment: little_endian(&entry[8..10]) as u16,
        bus_start: entry[10],
        bus_end: entry[11],
    })
}

/// Physical address of the HPET's registers, if it is memory-mapped (IA-PC HPET specification 1.0a, 3.2.4).
pub fn hpet_address(table: &[u8]) -> Option<u64> {
    let space = *table.get(40)?;
    let address = u64_at(table, 44)?;
    (space == 0 && address != 0).then_some(address)
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A table with the right length and checksum.
    pub(crate) fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(*signature);
        bytes.extend(((HEADER_LEN + body.len()) as u32).to_le_bytes());
        bytes.extend([1, 0]);
        bytes.extend(b"RUSSETTESTTAB ");
        bytes.resize(HEADER_LEN, 0);
        bytes.extend(body);
        let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        bytes[9] = 0u8.wrapping_sub(sum);
        bytes
    }

    #[test]
    fn a_whole_table_is_accepted_and_a_damaged_one_is_named() {
        let good = table(b"HPET", &[0; 20]);
        assert_eq!(checked(&good, b"HPET"), Ok(&good[..]));
        assert_eq!(checked(&good, b"APIC"), Err(AcpiError::WrongSignature(*b"HPET")));
        assert_eq!(checked(&good[..40], b"HPET"), Err(AcpiError::Truncated(*b"HPET")));
        let mut bad = good.clone();
        bad[50] ^= 1;
        assert_eq!(checked(&bad, b"HPET"), Err(AcpiError::BadChecksum(*b"HPET")));
        bad[4..8].copy_from_slice(&8u32.to_le_bytes());
        assert_eq!(checked(&bad, b"HPET"), Err(AcpiError::BadLength(*b"HPET", 8)));
    }

    #[test]
    fn roots_list_addresses_of_their_width() {
        let rsdt = table(b"RSDT", &[0x00, 0x10, 0, 0, 0, 0, 0, 0, 0x00, 0x20, 0, 0x80, 0xff]);
        assert_eq!(root_entries(&rsdt).collect::<Vec<_>>(), [0x1000, 0x8000_2000]);
        let xsdt = table(b"XSDT", &[0, 0x10, 0, 0, 1, 0, 0, 0]);
        assert_eq!(root_entries(&xsdt).collect::<Vec<_>>(), [0x1_0000_1000]);
        assert_eq!(root_entries(&[]).count(), 0);
    }

    #[test]
    fn mcfg_and_hpet() {
        let mut body = [0; 24];
        body[8..16].copy_from_slice(&0xb000_0000u64.to_le_bytes());
        body[19] = 0xff;
        let mcfg = table(b"MCFG", &body);
        let entry = McfgEntry { base: 0xb000_0000, segment: 0, bus_start: 0, bus_end: 0xff };
        assert_eq!(mcfg_entries(&mcfg).collect::<Vec<_>>(), [entry]);
        let mut body = [0; 20];
        body[8..16].copy_from_slice(&0xfed0_0000u64.to_le_bytes());
        assert_eq!(hpet_address(&table(b"HPET", &body)), Some(0xfed0_0000));
        assert_eq!(hpet_address(&table(b"HPET", &body[..10])), None);
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = SdtHeader::parse(&bytes);
            let _ = checked(&bytes, b"APIC");
            root_entries(&bytes).count();
            mcfg_entries(&bytes).count();
            let _ = hpet_address(&bytes);
            if let Ok(madt) = Madt::parse(&bytes) { madt.entries().count(); }
            let _ = Fadt::parse(&bytes);
            let _ = s5_sleep_type(&bytes);
        }
    }
}
