//! ACPI tables as byte slices: the few that a kernel without an AML interpreter needs (ACPI 6.5, chapter 5.2).
//!
//! The caller maps physical memory and hands over slices; addresses found in tables come back as plain `u64`s. Firmware
//! is not trusted: a length that is zero, too small or beyond the slice ends in an [`AcpiError`] or ends the iteration,
//! and no input makes a parser loop or panic. Checksums are checked by [`verify_checksum`] alone, as a table of which
//! the checksum is wrong is often still the best knowledge there is; the caller decides.

mod aml;
mod fadt;
mod madt;
mod rsdp;
mod tables;

use core::fmt;

pub use aml::s5_sleep_type;
pub use fadt::{Fadt, FadtFlags, IapcBootArch};
pub use madt::{InterruptOverride, Madt, MadtEntry, Polarity, Trigger};
pub use rsdp::Rsdp;
pub use tables::{Hpet, Mcfg, McfgEntry};

use crate::bytes::{array_at, u8_at, u32_at, u64_at};

/// The addresses of the tables that a root table lists: `RSDT` with 4-byte entries, `XSDT` with 8-byte ones (ACPI 6.5,
/// 5.2.7 and 5.2.8). Entries of value 0 are left out. Ends at the table's length or the slice's, whichever is first.
pub fn root_entries(table: &[u8]) -> Result<impl Iterator<Item = u64> + '_, AcpiError> {
    let header = SdtHeader::parse(table)?;
    let width = match header.signature {
        Signature::RSDT => 4,
        Signature::XSDT => 8,
        found => return Err(AcpiError::BadSignature { expected: Signature::XSDT, found }),
    };
    let body = header.body(table);
    let entry = move |chunk: &[u8]| if width == 4 { u32_at(chunk, 0).map(u64::from) } else { u64_at(chunk, 0) };
    Ok(body.chunks_exact(width).filter_map(entry).filter(|&address| address != 0))
}

/// Checks that all bytes of the table, as long as its header says, add up to 0 modulo 256.
pub fn verify_checksum(table: &[u8]) -> Result<(), AcpiError> {
    let header = SdtHeader::parse(table)?;
    let bytes = table.get(..header.length as usize).unwrap_or(table);
    if sum(bytes) == 0 { Ok(()) } else { Err(AcpiError::BadChecksum { table: header.signature }) }
}

/// The 36 bytes which begin every table but the RSDP and the FACS (ACPI 6.5, 5.2.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SdtHeader {
    /// What kind of table it is.
    pub signature: Signature,
    /// Bytes in the whole table, this header included: at least [`SdtHeader::SIZE`], at most the slice's length.
    pub length: u32,
    /// Revision of the table's structure.
    pub revision: u8,
    /// Who made it; ASCII padded with spaces, but not to be relied upon.
    pub oem_id: [u8; 6],
    /// The maker's name for this table.
    pub oem_table_id: [u8; 8],
    /// The maker's revision of this table.
    pub oem_revision: u32,
}

impl SdtHeader {
    /// Bytes in the header.
    pub const SIZE: usize = 36;

    /// Reads the header at the beginning of `table`, which must be there as a whole: a caller that maps tables reads
    /// the first 36 bytes with [`SdtHeader::length_of`] to learn how much to map.
    pub fn parse(table: &[u8]) -> Result<SdtHeader, AcpiError> {
        let (signature, length) = SdtHeader::length_of(table)?;
        if length as usize > table.len() {
            return Err(AcpiError::Truncated { table: signature, needed: length as usize, have: table.len() });
        }
        let truncated = AcpiError::Truncated { table: signature, needed: SdtHeader::SIZE, have: table.len() };
        let fields = || {
            Some(SdtHeader {
                signature,
                length,
                revision: u8_at(table, 8)?,
                oem_id: array_at(table, 10)?,
                oem_table_id: array_at(table, 16)?,
                oem_revision: u32_at(table, 24)?,
            })
        };
        fields().ok_or(truncated)
    }

    /// The signature and the length in bytes that a table claims, from its first 36 bytes alone.
    pub fn length_of(first_bytes: &[u8]) -> Result<(Signature, u32), AcpiError> {
        let signature = Signature(array_at(first_bytes, 0).unwrap_or(*b"????"));
        let truncated = AcpiError::Truncated { table: signature, needed: SdtHeader::SIZE, have: first_bytes.len() };
        if first_bytes.len() < SdtHeader::SIZE {
            return Err(truncated);
        }
        let length = u32_at(first_bytes, 4).ok_or(truncated)?;
        if (length as usize) < SdtHeader::SIZE {
            return Err(AcpiError::BadLength { table: signature, length });
        }
        Ok((signature, length))
    }

    /// What follows the header, up to the table's length.
    fn body<'a>(&self, table: &'a [u8]) -> &'a [u8] {
        table.get(SdtHeader::SIZE..self.length as usize).unwrap_or(&[])
    }
}

/// Four characters that tell what a table is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 4]);

impl Signature {
    /// Root table with 32-bit addresses.
    pub const RSDT: Signature = Signature(*b"RSDT");
    /// Root table with 64-bit addresses.
    pub const XSDT: Signature = Signature(*b"XSDT");
    /// Multiple APIC description table.
    pub const MADT: Signature = Signature(*b"APIC");
    /// PCI Express configuration space.
    pub const MCFG: Signature = Signature(*b"MCFG");
    /// High precision event timer.
    pub const HPET: Signature = Signature(*b"HPET");
    /// Fixed ACPI description table.
    pub const FADT: Signature = Signature(*b"FACP");
    /// Differentiated system description table: AML.
    pub const DSDT: Signature = Signature(*b"DSDT");
    /// Secondary system description table: AML.
    pub const SSDT: Signature = Signature(*b"SSDT");
    /// Stands for the root pointer, which is no table and has an 8-byte signature of its own.
    pub const RSDP: Signature = Signature(*b"RSDP");
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

/// Where a register is (generic address structure, ACPI 6.5, 5.2.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct GenericAddress {
    /// Address space: [`GenericAddress::MEMORY`], [`GenericAddress::IO_PORT`], 2 PCI configuration space, ….
    pub space: u8,
    /// Width of the register in bits.
    pub bit_width: u8,
    /// Offset of the register in bits from the address.
    pub bit_offset: u8,
    /// How to access it: 0 undefined, 1 byte, 2 word, 3 dword, 4 qword.
    pub access_size: u8,
    /// The address in that space; 0 means that the register is absent.
    pub address: u64,
}

impl GenericAddress {
    /// `space` of physical memory.
    pub const MEMORY: u8 = 0;
    /// `space` of I/O ports.
    pub const IO_PORT: u8 = 1;
    /// Bytes in the structure.
    pub const SIZE: usize = 12;

    /// Reads the structure at `offset` of `bytes`; `None` if it does not fit.
    fn at(bytes: &[u8], offset: usize) -> Option<GenericAddress> {
        let [space, bit_width, bit_offset, access_size, address @ ..] = array_at::<12>(bytes, offset)?;
        Some(GenericAddress { space, bit_width, bit_offset, access_size, address: u64::from_le_bytes(address) })
    }

    /// An I/O port of `bit_width` bits, as the older 32-bit fields of the FADT give it.
    fn io_port(port: u32, bit_width: u8) -> GenericAddress {
        GenericAddress { space: Self::IO_PORT, bit_width, address: u64::from(port), ..Default::default() }
    }
}

/// What is wrong with a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AcpiError {
    /// The table or structure goes on beyond the bytes that are there.
    Truncated {
        /// Which one.
        table: Signature,
        /// Bytes it needs.
        needed: usize,
        /// Bytes there are.
        have: usize,
    },
    /// It is another table than the one asked for.
    BadSignature {
        /// The one asked for.
        expected: Signature,
        /// The one it is.
        found: Signature,
    },
    /// Its length field is smaller than its fixed part.
    BadLength {
        /// Which table.
        table: Signature,
        /// The length it claims, in bytes.
        length: u32,
    },
    /// Its bytes do not add up to 0.
    BadChecksum {
        /// Which table.
        table: Signature,
    },
}

impl fmt::Display for AcpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { table, needed, have } => {
                write!(f, "ACPI table {table} is truncated: {needed} bytes needed, {have} there")
            }
            Self::BadSignature { expected, found } => write!(f, "ACPI table {found} found where {expected} should be"),
            Self::BadLength { table, length } => write!(f, "ACPI table {table} claims a length of {length} bytes"),
            Self::BadChecksum { table } => write!(f, "ACPI table {table} has a wrong checksum"),
        }
    }
}

impl core::error::Error for AcpiError {}

/// The table's bytes cut to its length, if it is of the expected kind and at least `fixed_size` bytes long.
fn expect_table(table: &[u8], expected: Signature, fixed_size: usize) -> Result<(SdtHeader, &[u8]), AcpiError> {
    let header = SdtHeader::parse(table)?;
    if header.signature != expected {
        return Err(AcpiError::BadSignature { expected, found: header.signature });
    }
    match table.get(..header.length as usize) {
        Some(bytes) if bytes.len() >= fixed_size => Ok((header, bytes)),
        _ => Err(AcpiError::BadLength { table: expected, length: header.length }),
    }
}

/// Sum of all bytes modulo 256.
fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |total, &byte| total.wrapping_add(byte))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A table with a right length and checksum around `body`.
    pub(crate) fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(*signature);
        bytes.extend_from_slice(&(36 + body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[revision, 0]);
        bytes.extend_from_slice(b"BOCHS BXPC    \x01\0\0\0BXPC\x01\0\0\0");
        bytes.extend_from_slice(body);
        assert_eq!(bytes.len(), 36 + body.len());
        bytes[9] = sum(&bytes).wrapping_neg();
        bytes
    }

    #[test]
    fn header_and_checksum() {
        let mut bytes = table(b"HPET", 1, &[7; 20]);
        let header = SdtHeader::parse(&bytes).unwrap();
        assert_eq!((header.signature, header.length, header.revision), (Signature::HPET, 56, 1));
        assert_eq!((&header.oem_id, &header.oem_table_id, header.oem_revision), (b"BOCHS ", b"BXPC    ", 1));
        assert_eq!(verify_checksum(&bytes), Ok(()));
        bytes[40] ^= 1;
        assert_eq!(verify_checksum(&bytes), Err(AcpiError::BadChecksum { table: Signature::HPET }));
        bytes.push(0xff);
        bytes[40] ^= 1;
        assert_eq!(verify_checksum(&bytes), Ok(()), "what follows the table is not part of it");
    }

    #[test]
    fn hostile_lengths_are_errors() {
        let mut bytes = table(b"XSDT", 1, &[0; 8]);
        for length in [0u32, 35] {
            bytes[4..8].copy_from_slice(&length.to_le_bytes());
            assert_eq!(SdtHeader::parse(&bytes), Err(AcpiError::BadLength { table: Signature::XSDT, length }));
        }
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let truncated = AcpiError::Truncated { table: Signature::XSDT, needed: u32::MAX as usize, have: 44 };
        assert_eq!(verify_checksum(&bytes), Err(truncated));
        assert!(matches!(SdtHeader::parse(b"RS"), Err(AcpiError::Truncated { have: 2, .. })));
    }

    #[test]
    fn root_tables_of_both_widths() {
        let rsdt = table(b"RSDT", 1, &[0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff, 9]);
        assert_eq!(root_entries(&rsdt).unwrap().collect::<Vec<_>>(), [0x4433_2211, 0xffff_fff0]);
        let xsdt = table(b"XSDT", 1, &[0, 0, 0, 0, 1, 0, 0, 0, 9, 9]);
        assert_eq!(root_entries(&xsdt).unwrap().collect::<Vec<_>>(), [0x1_0000_0000]);
        let found = Signature::HPET;
        let error = root_entries(&table(b"HPET", 1, &[])).err();
        assert_eq!(error, Some(AcpiError::BadSignature { expected: Signature::XSDT, found }));
    }

    #[test]
    fn errors_name_the_table() {
        let error = AcpiError::Truncated { table: Signature::MADT, needed: 44, have: 40 };
        assert_eq!(std::format!("{error}"), "ACPI table APIC is truncated: 44 bytes needed, 40 there");
        let odd = AcpiError::BadChecksum { table: Signature([0, b'A', 0xff, b'\n']) };
        assert_eq!(std::format!("{odd}"), "ACPI table \\x00A\\xff\\n has a wrong checksum");
    }

    /// A table of one of the known kinds, its length right, with arbitrary content and an arbitrary cut.
    fn hostile_table() -> impl Strategy<Value = Vec<u8>> {
        let kinds = prop::sample::select(&[b"APIC", b"MCFG", b"HPET", b"FACP", b"DSDT", b"RSDT", b"XSDT"]);
        (kinds, 0u8..7, prop::collection::vec(any::<u8>(), 0..300), any::<Option<u32>>()).prop_map(
            |(kind, revision, body, length)| {
                let mut bytes = table(kind, revision, &body);
                if let Some(length) = length {
                    bytes[4..8].copy_from_slice(&(length % 400).to_le_bytes());
                }
                bytes
            },
        )
    }

    fn parse_as_everything(bytes: &[u8]) {
        let _ = Rsdp::parse(bytes);
        let _ = verify_checksum(bytes);
        let _ = root_entries(bytes).map(Iterator::count);
        let _ = Madt::parse(bytes).map(|madt| madt.entries().count());
        let _ = Mcfg::parse(bytes).map(|mcfg| mcfg.entries().count());
        let _ = Hpet::parse(bytes);
        let _ = Fadt::parse(bytes).map(|fadt| fadt.reset_register());
        let _ = s5_sleep_type(bytes);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            parse_as_everything(&bytes);
        }

        #[test]
        fn random_tables_never_panic(bytes in hostile_table()) {
            parse_as_everything(&bytes);
        }
    }
}
