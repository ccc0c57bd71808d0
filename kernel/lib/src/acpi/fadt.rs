//! The fixed ACPI description table: power and reset registers (ACPI 6.5, 5.2.9), and the `_S5_` object of the DSDT.

use super::{AcpiError, u16_at, u32_at, u64_at};

/// A register in some address space (ACPI 6.5, 5.2.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GenericAddress {
    /// 0 is memory, 1 is I/O ports, 2 is PCI configuration space.
    pub space: u8,
    /// Width in bits.
    pub bit_width: u8,
    /// Address in that space.
    pub address: u64,
}

/// What the kernel uses of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fadt {
    /// Physical address of the DSDT.
    pub dsdt: u64,
    /// Interrupt of system control events.
    pub sci_interrupt: u16,
    /// Port of the SMI command register; 0 if there is none.
    pub smi_command: u32,
    /// Value that makes the firmware give ACPI to the kernel.
    pub acpi_enable: u8,
    /// Ports of the PM1a and PM1b control registers; 0 if there is none.
    pub pm1_control: [u32; 2],
    /// What to write where to reset, if the flag says it works.
    pub reset: Option<(GenericAddress, u8)>,
    /// Port of the power-management timer; 0 if there is none.
    pub pm_timer: u32,
    /// Whether there is an 8042 keyboard controller, if the table is new enough to say.
    pub has_8042: Option<bool>,
    /// The fixed feature flags.
    pub flags: u32,
}

const FLAG_RESET_SUPPORTED: u32 = 1 << 10;

impl Fadt {
    /// Parses the table, which `super::checked` has seen. Fields beyond an old table's end count as absent.
    pub fn parse(table: &[u8]) -> Result<Self, AcpiError> {
        let truncated = AcpiError::Truncated(*b"FACP");
        let flags = u32_at(table, 112).ok_or(truncated)?;
        let field = |at: usize| u32_at(table, at).unwrap_or(0);
        let dsdt = u64_at(table, 140).filter(|&address| address != 0).unwrap_or(field(40).into());
        let reset = (flags & FLAG_RESET_SUPPORTED != 0)
            .then(|| Some((generic_address(table, 116)?, *table.get(128)?)))
            .flatten();
        Ok(Fadt {
            dsdt,
            sci_interrupt: u16_at(table, 46).ok_or(truncated)?,
            smi_command: field(48),
            acpi_enable: *table.get(52).ok_or(truncated)?,
            pm1_control: [pm1_control(table, 64, 172), pm1_control(table, 68, 184)],
            reset,
            pm_timer: field(76),
            has_8042: u16_at(table, 109).filter(|_| table.get(8).is_some_and(|&r| r >= 2)).map(|arch| arch & 2 != 0),
            flags,
        })
    }
}

/// The extended address if it is there and a port, else the old one.
fn pm1_control(table: &[u8], old: usize, extended: usize) -> u32 {
    match generic_address(table, extended) {
        Some(register) if register.space == 1 && register.address != 0 => register.address as u32,
        _ => u32_at(table, old).unwrap_or(0),
    }
}

fn generic_address(table: &[u8], at: usize) -> Option<GenericAddress> {
    let bytes = table.get(at..at + 12)?;
    Some(GenericAddress { space: bytes[0], bit_width: bytes[1], address: u64_at(bytes, 4)? })
}

/// The sleep types of S5 for PM1a and PM1b: the first two integers of the package named `_S5_` (ACPI 6.5, 7.4.2). `aml`
/// is a DSDT or SSDT, header and all.
pub fn s5_sleep_type(aml: &[u8]) -> Option<(u8, u8)> {
    const NAME_OP: u8 = 0x08;
    const PACKAGE_OP: u8 = 0x12;
    let at = aml.windows(5).position(|bytes| bytes[0] == NAME_OP && &bytes[1..] == b"_S5_").map(|at| at + 5).or_else(
        || aml.windows(6).position(|bytes| bytes[0] == NAME_OP && &bytes[1..] == b"\\_S5_").map(|at| at + 6),
    )?;
    let rest = aml.get(at..)?;
    if *rest.first()? != PACKAGE_OP {
        return None;
    }
    // PkgLength: the top two bits of the first byte count the bytes that follow (ACPI 6.5, 20.2.4); then the number of
    // elements.
    let length_bytes = 1 + usize::from(rest.get(1)? >> 6);
    let mut elements = rest.get(1 + length_bytes + 1..)?;
    let first = small_integer(&mut elements)?;
    let second = small_integer(&mut elements).unwrap_or(first);
    Some((first & 7, second & 7))
}

fn small_integer(aml: &mut &[u8]) -> Option<u8> {
    let (value, len) = match **aml {
        [value @ (0 | 1), ..] => (value, 1),
        [0x0a, value, ..] => (value, 2),
        [0x0b, value, _, ..] => (value, 3),
        [0x0c, value, _, _, _, ..] => (value, 5),
        _ => return None,
    };
    *aml = &aml[len..];
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;
    use super::*;

    #[test]
    fn s5_is_found_with_every_integer_encoding() {
        assert_eq!(s5_sleep_type(b"xx\x08_S5_\x12\x06\x04\x00\x00\x00\x00"), Some((0, 0)));
        assert_eq!(s5_sleep_type(b"\x08_S5_\x12\x0a\x04\x0a\x05\x0a\x07\x00\x00"), Some((5, 7)));
        assert_eq!(s5_sleep_type(b"\x08\\_S5_\x12\x42\x01\x02\x01\x0b\x03\x00"), Some((1, 3)));
        assert_eq!(s5_sleep_type(b"\x08_S5_\x12"), None);
        assert_eq!(s5_sleep_type(b"\x08_S4_\x12\x06\x04\x00\x00"), None);
    }

    #[test]
    fn old_and_new_tables() {
        let mut body = [0u8; 80];
        body[4..8].copy_from_slice(&0x7fe0_0000u32.to_le_bytes());
        body[10] = 9;
        body[28..32].copy_from_slice(&0x604u32.to_le_bytes());
        let old = Fadt::parse(&table(b"FACP", &body)).unwrap();
        assert_eq!((old.dsdt, old.sci_interrupt, old.pm1_control, old.reset), (0x7fe0_0000, 9, [0x604, 0], None));
        let mut body = [0u8; 208];
        body[76..80].copy_from_slice(&FLAG_RESET_SUPPORTED.to_le_bytes());
        body[80..92].copy_from_slice(&[1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0]);
        body[92] = 6;
        body[136..148].copy_from_slice(&[1, 16, 0, 2, 4, 0xb0, 0, 0, 0, 0, 0, 0]);
        let new = Fadt::parse(&table(b"FACP", &body)).unwrap();
        assert_eq!(new.reset, Some((GenericAddress { space: 1, bit_width: 8, address: 0xcf9 }, 6)));
        assert_eq!(new.pm1_control[0], 0xb004);
        assert_eq!(Fadt::parse(&table(b"FACP", &[0; 20])), Err(AcpiError::Truncated(*b"FACP")));
    }
}
