//! The multiple APIC description table (ACPI 6.5, 5.2.12): processors, I/O APICs and how ISA interrupts are wired.

use super::{AcpiError, SdtHeader, Signature, expect_table};
use crate::bytes::{u8_at, u16_at, u32_at, u64_at};

/// The table. Its entries are decoded as they are iterated over.
#[derive(Clone, Copy, Debug)]
pub struct Madt<'a> {
    /// Physical address of the local APICs, unless an entry `LocalApicAddress` overrides it.
    pub local_apic_address: u32,
    /// Bit 0: the machine also has two 8259 controllers, which must be masked.
    pub flags: u32,
    entries: &'a [u8],
}

impl<'a> Madt<'a> {
    const ENTRIES: usize = SdtHeader::SIZE + 8;

    /// Reads the fixed part of the table `APIC`.
    pub fn parse(table: &'a [u8]) -> Result<Madt<'a>, AcpiError> {
        let (header, bytes) = expect_table(table, Signature::MADT, Self::ENTRIES)?;
        let fields = || {
            Some(Madt {
                local_apic_address: u32_at(bytes, 36)?,
                flags: u32_at(bytes, 40)?,
                entries: bytes.get(Self::ENTRIES..)?,
            })
        };
        fields().ok_or(AcpiError::BadLength { table: Signature::MADT, length: header.length })
    }

    /// Whether 8259 controllers exist beside the APICs (`PCAT_COMPAT`).
    pub fn has_8259(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The physical address of the local APICs, with an override taken into account.
    pub fn local_apic_base(&self) -> u64 {
        let replaced = self.entries().find_map(|entry| match entry {
            MadtEntry::LocalApicAddress { address } => Some(address),
            _ => None,
        });
        replaced.unwrap_or(u64::from(self.local_apic_address))
    }

    /// The entries in the table's order. Ends at the first one that claims fewer than 2 bytes or goes on beyond the
    /// table: what follows it cannot be told apart.
    pub fn entries(&self) -> impl Iterator<Item = MadtEntry> + use<'a> {
        let mut rest = self.entries;
        core::iter::from_fn(move || {
            let length = usize::from(u8_at(rest, 1)?);
            let (entry, after) = rest.split_at_checked(length).filter(|_| length >= 2)?;
            rest = after;
            let kind = u8_at(entry, 0)?;
            Some(MadtEntry::decode(kind, entry).unwrap_or(MadtEntry::Unknown(kind)))
        })
    }
}

/// One entry. `acpi_uid` is the processor's name in AML; 0xff (or all ones) means every processor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the fields are named after those of the ACPI specification")]
pub enum MadtEntry {
    /// A processor (type 0).
    LocalApic { acpi_uid: u8, apic_id: u8, enabled: bool, online_capable: bool },
    /// An I/O APIC (type 1): the physical address of its registers, and the global number of its first pin.
    IoApic { id: u8, address: u32, gsi_base: u32 },
    /// An ISA interrupt that is not wired one to one (type 2).
    InterruptOverride(InterruptOverride),
    /// A pin of an I/O APIC that is an NMI (type 3).
    NmiSource { polarity: Polarity, trigger: Trigger, gsi: u32 },
    /// Which `LINT` pin of a processor is an NMI (type 4).
    LocalApicNmi { acpi_uid: u8, polarity: Polarity, trigger: Trigger, lint: u8 },
    /// The 64-bit physical address of the local APICs (type 5).
    LocalApicAddress { address: u64 },
    /// A processor of which the APIC identifier may exceed 254 (type 9).
    LocalX2Apic { acpi_uid: u32, x2apic_id: u32, enabled: bool, online_capable: bool },
    /// As `LocalApicNmi`, with a wide identifier (type 10).
    X2ApicNmi { acpi_uid: u32, polarity: Polarity, trigger: Trigger, lint: u8 },
    /// An entry of another type, or one too short for its type.
    Unknown(u8),
}

impl MadtEntry {
    /// Decodes an entry of the given type; `None` if the type is unknown or the entry is too short.
    fn decode(kind: u8, entry: &[u8]) -> Option<MadtEntry> {
        let flag = |offset, bit| u32_at(entry, offset).map(|flags| flags & bit != 0);
        let wiring = |offset| u16_at(entry, offset).map(|flags| (Polarity::decode(flags), Trigger::decode(flags)));
        Some(match kind {
            0 => MadtEntry::LocalApic {
                acpi_uid: u8_at(entry, 2)?,
                apic_id: u8_at(entry, 3)?,
                enabled: flag(4, 1)?,
                online_capable: flag(4, 2)?,
            },
            1 => MadtEntry::IoApic { id: u8_at(entry, 2)?, address: u32_at(entry, 4)?, gsi_base: u32_at(entry, 8)? },
            2 => {
                let (polarity, trigger) = wiring(8)?;
                let (bus, source, gsi) = (u8_at(entry, 2)?, u8_at(entry, 3)?, u32_at(entry, 4)?);
                MadtEntry::InterruptOverride(InterruptOverride { bus, source, gsi, polarity, trigger })
            }
            3 => {
                let (polarity, trigger) = wiring(2)?;
                MadtEntry::NmiSource { polarity, trigger, gsi: u32_at(entry, 4)? }
            }
            4 => {
                let (polarity, trigger) = wiring(3)?;
                MadtEntry::LocalApicNmi { acpi_uid: u8_at(entry, 2)?, polarity, trigger, lint: u8_at(entry, 5)? }
            }
            5 => MadtEntry::LocalApicAddress { address: u64_at(entry, 4)? },
            9 => MadtEntry::LocalX2Apic {
                x2apic_id: u32_at(entry, 4)?,
                enabled: flag(8, 1)?,
                online_capable: flag(8, 2)?,
                acpi_uid: u32_at(entry, 12)?,
            },
            10 => {
                let (polarity, trigger) = wiring(2)?;
                MadtEntry::X2ApicNmi { acpi_uid: u32_at(entry, 4)?, polarity, trigger, lint: u8_at(entry, 8)? }
            }
            _ => return None,
        })
    }
}

/// An ISA interrupt that reaches another pin, or with another polarity or trigger mode (ACPI 6.5, 5.2.12.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterruptOverride {
    /// 0, which is ISA.
    pub bus: u8,
    /// The ISA interrupt line, 0 to 15.
    pub source: u8,
    /// The global interrupt number that it has instead.
    pub gsi: u32,
    /// Its polarity.
    pub polarity: Polarity,
    /// Its trigger mode.
    pub trigger: Trigger,
}

impl InterruptOverride {
    /// Whether the line is active low; ISA's own habit is active high.
    pub fn is_active_low(&self) -> bool {
        self.polarity == Polarity::ActiveLow
    }

    /// Whether the line is level triggered; ISA's own habit is edge triggered.
    pub fn is_level_triggered(&self) -> bool {
        self.trigger == Trigger::Level
    }
}

/// Polarity of an interrupt line: bits 0 and 1 of the MPS INTI flags (ACPI 6.5, table 5.26).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Polarity {
    /// As is usual on its bus: active high for ISA. The reserved value 2 is read as this too.
    BusDefault,
    /// Asserted by a high level.
    ActiveHigh,
    /// Asserted by a low level.
    ActiveLow,
}

impl Polarity {
    fn decode(flags: u16) -> Polarity {
        match flags & 3 {
            1 => Polarity::ActiveHigh,
            3 => Polarity::ActiveLow,
            _ => Polarity::BusDefault,
        }
    }
}

/// Trigger mode of an interrupt line: bits 2 and 3 of the MPS INTI flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// As is usual on its bus: edge for ISA. The reserved value 2 is read as this too.
    BusDefault,
    /// By a change of level.
    Edge,
    /// By the level itself.
    Level,
}

impl Trigger {
    fn decode(flags: u16) -> Trigger {
        match flags >> 2 & 3 {
            1 => Trigger::Edge,
            3 => Trigger::Level,
            _ => Trigger::BusDefault,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::acpi::tests::table;

    const FIXED: [u8; 8] = [0, 0, 0xe0, 0xfe, 1, 0, 0, 0];

    fn entries(bytes: &[u8]) -> Vec<MadtEntry> {
        Madt::parse(&table(b"APIC", 3, &[&FIXED, bytes].concat())).unwrap().entries().collect()
    }

    #[test]
    fn fixed_part() {
        let bytes = table(b"APIC", 3, &FIXED);
        let madt = Madt::parse(&bytes).unwrap();
        assert_eq!((madt.local_apic_address, madt.has_8259()), (0xfee0_0000, true));
        assert_eq!((madt.local_apic_base(), madt.entries().count()), (0xfee0_0000, 0));
        let short = Madt::parse(&bytes[..40]);
        assert!(matches!(short, Err(AcpiError::Truncated { needed: 44, have: 40, .. })));
    }

    #[test]
    fn every_kind_of_entry() {
        #[rustfmt::skip]
        let bytes = [
            0, 8, 5, 7, 1, 0, 0, 0,
            1, 12, 2, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0,
            2, 10, 0, 9, 9, 0, 0, 0, 0xf, 0,
            3, 8, 5, 0, 3, 0, 0, 0,
            4, 6, 0xff, 0, 0, 1,
            5, 12, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
            9, 16, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0,
            10, 12, 0xd, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0,
            0x10, 3, 0,
        ];
        let (high, low) = (Polarity::ActiveHigh, Polarity::ActiveLow);
        let wire = InterruptOverride { bus: 0, source: 9, gsi: 9, polarity: low, trigger: Trigger::Level };
        let expected = [
            MadtEntry::LocalApic { acpi_uid: 5, apic_id: 7, enabled: true, online_capable: false },
            MadtEntry::IoApic { id: 2, address: 0xfec0_0000, gsi_base: 24 },
            MadtEntry::InterruptOverride(wire),
            MadtEntry::NmiSource { polarity: high, trigger: Trigger::Edge, gsi: 3 },
            MadtEntry::LocalApicNmi {
                acpi_uid: 255,
                polarity: Polarity::BusDefault,
                trigger: Trigger::BusDefault,
                lint: 1,
            },
            MadtEntry::LocalApicAddress { address: 0x1_0000_0000 },
            MadtEntry::LocalX2Apic { acpi_uid: 4, x2apic_id: 256, enabled: false, online_capable: true },
            MadtEntry::X2ApicNmi { acpi_uid: u32::MAX, polarity: high, trigger: Trigger::Level, lint: 1 },
            MadtEntry::Unknown(0x10),
        ];
        assert_eq!(entries(&bytes), expected);
        assert!(wire.is_active_low() && wire.is_level_triggered());
    }

    #[test]
    fn address_override_wins() {
        let bytes = table(b"APIC", 3, &[&FIXED[..], &[5, 12, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]].concat());
        assert_eq!(Madt::parse(&bytes).unwrap().local_apic_base(), 0x1_0000_0000);
    }

    #[test]
    fn hostile_entries_end_the_iteration() {
        let good = [0, 8, 1, 1, 1, 0, 0, 0];
        for bad in [&[0u8, 0, 0, 0][..], &[0, 1], &[0, 9, 0, 0, 0, 0, 0, 0], &[0]] {
            assert_eq!(entries(&[&good, bad].concat()).len(), 1, "{bad:?}");
        }
        assert_eq!(entries(&[&[0u8, 7, 1, 1, 1, 0, 0][..], &good].concat())[0], MadtEntry::Unknown(0), "too short");
    }
}
