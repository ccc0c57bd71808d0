//! The root system description pointer (ACPI 6.5, 5.2.5.3): where the search for tables begins.

use super::{AcpiError, Signature, sum};
use crate::bytes::{array_at, u8_at, u32_at, u64_at};

/// What the pointer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rsdp {
    /// 0 for ACPI 1.0, 2 for later ones.
    pub revision: u8,
    /// Who made the tables.
    pub oem_id: [u8; 6],
    /// Physical address of the RSDT; 0 if there is none.
    pub rsdt_address: u32,
    /// Physical address of the XSDT, from revision 2 on, unless it is 0.
    pub xsdt_address: Option<u64>,
}

impl Rsdp {
    /// Bytes of the first version, and of the part which its checksum covers.
    pub const SIZE_V1: usize = 20;
    /// Bytes of the second version.
    pub const SIZE_V2: usize = 36;

    /// Reads a root pointer of either version and checks its checksums. A pointer of version 2 of which the extended
    /// part is missing, too short or wrong is an error, not a pointer of version 1.
    pub fn parse(bytes: &[u8]) -> Result<Rsdp, AcpiError> {
        let truncated = |needed| AcpiError::Truncated { table: Signature::RSDP, needed, have: bytes.len() };
        let first = bytes.get(..Self::SIZE_V1).ok_or(truncated(Self::SIZE_V1))?;
        if !first.starts_with(b"RSD PTR ") {
            let found = Signature(array_at(first, 0).unwrap_or_default());
            return Err(AcpiError::BadSignature { expected: Signature::RSDP, found });
        }
        if sum(first) != 0 {
            return Err(AcpiError::BadChecksum { table: Signature::RSDP });
        }
        let fields = || {
            Some(Rsdp {
                revision: u8_at(first, 15)?,
                oem_id: array_at(first, 9)?,
                rsdt_address: u32_at(first, 16)?,
                xsdt_address: None,
            })
        };
        let rsdp = fields().ok_or(truncated(Self::SIZE_V1))?;
        if rsdp.revision < 2 { Ok(rsdp) } else { rsdp.extend(bytes) }
    }

    /// The physical address of the root table to use: the XSDT where there is one, else the RSDT.
    pub fn root_address(&self) -> u64 {
        self.xsdt_address.unwrap_or(u64::from(self.rsdt_address))
    }

    /// Adds what version 2 has more.
    fn extend(self, bytes: &[u8]) -> Result<Rsdp, AcpiError> {
        let table = Signature::RSDP;
        let truncated = |needed| AcpiError::Truncated { table, needed, have: bytes.len() };
        let length = u32_at(bytes, 20).ok_or(truncated(Self::SIZE_V2))?;
        if (length as usize) < Self::SIZE_V2 {
            return Err(AcpiError::BadLength { table, length });
        }
        let all = bytes.get(..length as usize).ok_or(truncated(length as usize))?;
        if sum(all) != 0 {
            return Err(AcpiError::BadChecksum { table });
        }
        Ok(Rsdp { xsdt_address: u64_at(all, 24).filter(|&address| address != 0), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU's BIOS leaves it.
    const V1: &[u8; 20] = b"RSD PTR \x8dBOCHS \0\x77\x27\xfe\x07";

    fn v2() -> [u8; 36] {
        let mut bytes = *b"RSD PTR \0BOCHS \x02\x74\x70\xb7\x07\x24\0\0\0\xe8\x70\xb7\x07\x01\0\0\0\0\0\0\0";
        bytes[8] = sum(&bytes[..20]).wrapping_neg();
        bytes[32] = sum(&bytes).wrapping_neg();
        bytes
    }

    fn v1() -> [u8; 20] {
        let mut bytes = *V1;
        bytes[8] = 0;
        bytes[8] = sum(&bytes).wrapping_neg();
        bytes
    }

    #[test]
    fn version_1() {
        let rsdp = Rsdp::parse(&v1()).unwrap();
        assert_eq!((rsdp.revision, &rsdp.oem_id, rsdp.rsdt_address), (0, b"BOCHS ", 0x07fe_2777));
        assert_eq!((rsdp.xsdt_address, rsdp.root_address()), (None, 0x07fe_2777));
    }

    #[test]
    fn version_2() {
        let rsdp = Rsdp::parse(&v2()).unwrap();
        assert_eq!((rsdp.revision, rsdp.xsdt_address), (2, Some(0x1_07b7_70e8)));
        assert_eq!(rsdp.root_address(), 0x1_07b7_70e8);
    }

    #[test]
    fn each_checksum_is_checked() {
        let wrong = Err(AcpiError::BadChecksum { table: Signature::RSDP });
        let mut bytes = v1();
        bytes[17] ^= 0x40;
        assert_eq!(Rsdp::parse(&bytes), wrong);
        let mut bytes = v2();
        bytes[28] ^= 0x40;
        assert_eq!(Rsdp::parse(&bytes), wrong);
    }

    #[test]
    fn short_and_foreign_bytes_are_errors() {
        assert!(matches!(Rsdp::parse(&v1()[..19]), Err(AcpiError::Truncated { needed: 20, have: 19, .. })));
        assert!(matches!(Rsdp::parse(&v2()[..35]), Err(AcpiError::Truncated { needed: 36, .. })));
        assert!(matches!(Rsdp::parse(&[0; 36]), Err(AcpiError::BadSignature { .. })));
        let mut bytes = v2();
        bytes[20] = 20;
        assert!(matches!(Rsdp::parse(&bytes), Err(AcpiError::BadLength { length: 20, .. })));
    }
}
