//! The fixed ACPI description table (ACPI 6.5, 5.2.9): power-management registers, reset and what the platform lacks.

use bitflags::bitflags;

use super::{AcpiError, GenericAddress, Signature, expect_table};
use crate::bytes::{u8_at, u16_at, u32_at, u64_at};

bitflags! {
    /// Fixed feature flags (ACPI 6.5, table 5.10), those which a kernel acts upon.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct FadtFlags: u32 {
        /// `WBINVD` works.
        const WBINVD = 1 << 0;
        /// The power-management timer has 32 bits rather than 24.
        const TMR_VAL_EXT = 1 << 8;
        /// The reset register is supported.
        const RESET_REG_SUP = 1 << 10;
        /// The machine has none of the fixed registers.
        const HW_REDUCED_ACPI = 1 << 20;
        const _ = !0;
    }
}

bitflags! {
    /// What of the old PC is there (ACPI 6.5, table 5.11).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct IapcBootArch: u16 {
        /// Devices on the ISA bus that users can see.
        const LEGACY_DEVICES = 1 << 0;
        /// A keyboard controller.
        const I8042 = 1 << 1;
        /// Do not probe VGA.
        const NO_VGA = 1 << 2;
        /// Do not use message-signalled interrupts.
        const NO_MSI = 1 << 3;
        /// Leave link power management alone.
        const NO_ASPM = 1 << 4;
        /// There is no CMOS clock.
        const NO_CMOS_RTC = 1 << 5;
        const _ = !0;
    }
}

/// The table; fields it is too short for are 0 or `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fadt {
    /// Revision of the table: 1 is ACPI 1.0, of which the boot flags mean nothing.
    pub revision: u8,
    /// ISA or global interrupt of ACPI events.
    pub sci_int: u16,
    /// I/O port to which `acpi_enable` is written to leave legacy mode; 0 if there is no such mode.
    pub smi_cmd: u32,
    /// Value that enables ACPI.
    pub acpi_enable: u8,
    /// Event register block A; `None` if absent. The extended (64-bit) field wins over the old one, here and below.
    pub pm1a_evt_blk: Option<GenericAddress>,
    /// Control register A, where sleep types are written.
    pub pm1a_cnt_blk: Option<GenericAddress>,
    /// Control register B, on machines that have two.
    pub pm1b_cnt_blk: Option<GenericAddress>,
    /// The power-management timer of 3.579545 MHz.
    pub pm_tmr_blk: Option<GenericAddress>,
    /// CMOS register that holds the century; 0 if there is none.
    pub century: u8,
    /// What of the old PC is there. Ask [`Fadt::has_8042`], [`Fadt::has_vga`].
    pub iapc_boot_arch: IapcBootArch,
    /// Fixed feature flags.
    pub flags: FadtFlags,
    /// Physical address of the DSDT, with its AML; the extended field wins.
    pub dsdt: u64,
    reset: Option<(GenericAddress, u8)>,
}

impl Fadt {
    /// Bytes of the table of ACPI 1.0.
    const SIZE_V1: usize = 116;

    /// Reads the table `FACP` of any revision.
    pub fn parse(table: &[u8]) -> Result<Fadt, AcpiError> {
        let (header, bytes) = expect_table(table, Signature::FADT, Self::SIZE_V1)?;
        let block = |extended, old, bits| register_block(bytes, extended, old, bits);
        let fields = || {
            Some(Fadt {
                revision: header.revision,
                sci_int: u16_at(bytes, 46)?,
                smi_cmd: u32_at(bytes, 48)?,
                acpi_enable: u8_at(bytes, 52)?,
                pm1a_evt_blk: block(148, 56, 32),
                pm1a_cnt_blk: block(172, 64, 16),
                pm1b_cnt_blk: block(184, 68, 16),
                pm_tmr_blk: block(208, 76, 32),
                century: u8_at(bytes, 108)?,
                iapc_boot_arch: IapcBootArch::from_bits_retain(u16_at(bytes, 109)?),
                flags: FadtFlags::from_bits_retain(u32_at(bytes, 112)?),
                dsdt: u64_at(bytes, 140).filter(|&address| address != 0).unwrap_or(u64::from(u32_at(bytes, 40)?)),
                reset: GenericAddress::at(bytes, 116).zip(u8_at(bytes, 128)),
            })
        };
        fields().ok_or(AcpiError::BadLength { table: Signature::FADT, length: header.length })
    }

    /// Register and value that reset the machine, if it says that it has them.
    pub fn reset_register(&self) -> Option<(GenericAddress, u8)> {
        let supported = self.flags.contains(FadtFlags::RESET_REG_SUP);
        self.reset.filter(|(register, _)| supported && register.address != 0)
    }

    /// Whether a keyboard controller is there. ACPI 1.0 could not say, and its machines had one.
    pub fn has_8042(&self) -> bool {
        self.revision < 2 || self.iapc_boot_arch.contains(IapcBootArch::I8042)
    }

    /// Whether VGA may be probed.
    pub fn has_vga(&self) -> bool {
        self.revision < 2 || !self.iapc_boot_arch.contains(IapcBootArch::NO_VGA)
    }
}

/// The register block of which the generic address is at `extended` and the older port number at `old`.
fn register_block(bytes: &[u8], extended: usize, old: usize, bit_width: u8) -> Option<GenericAddress> {
    let present = |register: &GenericAddress| register.address != 0;
    let from_old = || u32_at(bytes, old).map(|port| GenericAddress::io_port(port, bit_width));
    GenericAddress::at(bytes, extended).filter(present).or_else(from_old).filter(present)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::acpi::tests::table;

    /// A table body of `length` bytes (header not included) with values at offsets counted from the table's begin.
    fn body(length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = std::vec![0; length];
        for (offset, value) in fields {
            bytes[offset - 36..offset - 36 + value.len()].copy_from_slice(value);
        }
        bytes
    }

    const COMMON: [(usize, &[u8]); 6] = [
        (40, &[0, 0x10, 0xfe, 0x07]),
        (46, &[9, 0]),
        (48, &[0xb2, 0, 0, 0, 0xf1]),
        (56, &[0, 6, 0, 0]),
        (64, &[4, 6, 0, 0]),
        (108, &[0x32]),
    ];

    #[test]
    fn revision_1() {
        let fadt = Fadt::parse(&table(b"FACP", 1, &body(80, &COMMON))).unwrap();
        assert_eq!((fadt.sci_int, fadt.smi_cmd, fadt.acpi_enable), (9, 0xb2, 0xf1));
        assert_eq!((fadt.dsdt, fadt.century), (0x07fe_1000, 0x32));
        assert_eq!(fadt.pm1a_cnt_blk, Some(GenericAddress::io_port(0x604, 16)));
        assert_eq!(fadt.pm1b_cnt_blk, None);
        assert_eq!(fadt.reset_register(), None);
        assert!(fadt.has_8042() && fadt.has_vga());
    }

    #[test]
    fn later_revisions_have_extended_fields() {
        let mut fields = Vec::from(COMMON);
        fields.push((109, &[2, 0]));
        fields.push((112, &[0, 4, 0, 0]));
        fields.push((116, &[1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 0x0f]));
        fields.push((140, &[0, 0, 0, 0, 1, 0, 0, 0]));
        fields.push((172, &[1, 16, 0, 2, 4, 0xb0, 0, 0, 0, 0, 0, 0]));
        let fadt = Fadt::parse(&table(b"FACP", 3, &body(208, &fields))).unwrap();
        assert_eq!(fadt.dsdt, 0x1_0000_0000);
        let control = fadt.pm1a_cnt_blk.unwrap();
        assert_eq!((control.space, control.bit_width, control.address), (1, 16, 0xb004));
        assert_eq!(fadt.pm1a_evt_blk, Some(GenericAddress::io_port(0x600, 32)), "an extended address of 0 is none");
        let (register, value) = fadt.reset_register().unwrap();
        assert_eq!((register.space, register.address, value), (GenericAddress::IO_PORT, 0xcf9, 0x0f));
        assert!(fadt.has_8042() && fadt.has_vga());
    }

    #[test]
    fn a_machine_without_the_old_devices() {
        let fadt = Fadt::parse(&table(b"FACP", 5, &body(232, &[(109, &[4, 0])]))).unwrap();
        assert!(!fadt.has_8042() && !fadt.has_vga());
    }

    #[test]
    fn unsupported_reset_register_is_not_given_out() {
        let fields: [(usize, &[u8]); 1] = [(116, &[1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 0x0f])];
        assert_eq!(Fadt::parse(&table(b"FACP", 3, &body(208, &fields))).unwrap().reset_register(), None);
    }

    #[test]
    fn too_short_a_table() {
        let error = Fadt::parse(&table(b"FACP", 1, &body(79, &[])));
        assert_eq!(error, Err(AcpiError::BadLength { table: Signature::FADT, length: 115 }));
    }
}
