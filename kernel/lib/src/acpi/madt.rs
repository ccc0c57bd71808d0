//! The multiple APIC description table: CPUs and interrupt controllers (ACPI 6.5, 5.2.12).

use super::{AcpiError, HEADER_LEN, u16_at, u32_at, u64_at};

/// How an interrupt line signals (MPS INTI flags, ACPI 6.5, table 5.26).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterruptPolarity {
    /// As the bus does: active high for ISA.
    Bus,
    /// High means interrupt.
    ActiveHigh,
    /// Low means interrupt.
    ActiveLow,
}

/// What of the signal counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterruptTrigger {
    /// As the bus does: edge for ISA.
    Bus,
    /// The change.
    Edge,
    /// The level.
    Level,
}

/// A parsed MADT.
#[derive(Clone, Copy, Debug)]
pub struct Madt<'a> {
    /// Physical address of the local APICs' registers.
    pub local_apic: u32,
    /// Whether there are two 8259 controllers as well.
    pub has_8259: bool,
    entries: &'a [u8],
}

/// One structure of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the fields are named as in ACPI 6.5, 5.2.12.2 and following")]
pub enum Entry {
    LocalApic { processor: u8, apic_id: u8, enabled: bool, online_capable: bool },
    IoApic { id: u8, address: u32, gsi_base: u32 },
    InterruptOverride { isa: u8, gsi: u32, polarity: InterruptPolarity, trigger: InterruptTrigger },
    NmiSource { gsi: u32, polarity: InterruptPolarity, trigger: InterruptTrigger },
    LocalApicNmi { processor: u8, lint: u8, polarity: InterruptPolarity, trigger: InterruptTrigger },
    LocalApicAddress { address: u64 },
    LocalX2Apic { x2apic_id: u32, processor: u32, enabled: bool, online_capable: bool },
    X2ApicNmi { processor: u32, lint: u8, polarity: InterruptPolarity, trigger: InterruptTrigger },
    Unknown { kind: u8 },
}

impl<'a> Madt<'a> {
    /// Parses the table, which `super::checked` has seen.
    pub fn parse(table: &'a [u8]) -> Result<Self, AcpiError> {
        let truncated = AcpiError::Truncated(*b"APIC");
        let local_apic = u32_at(table, HEADER_LEN).ok_or(truncated)?;
        let flags = u32_at(table, HEADER_LEN + 4).ok_or(truncated)?;
        Ok(Madt { local_apic, has_8259: flags & 1 != 0, entries: &table[HEADER_LEN + 8..] })
    }

    /// The structures, up to the first that is damaged.
    pub fn entries(&self) -> Entries<'a> {
        Entries { rest: self.entries }
    }
}

/// Iterator over the structures of a MADT.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let len = usize::from(*self.rest.get(1)?);
        // A length of 0 or 1 would never end.
        let entry = self.rest.get(..len).filter(|_| len >= 2)?;
        self.rest = &self.rest[len..];
        Some(decode(entry).unwrap_or(Entry::Unknown { kind: entry[0] }))
    }
}

/// None if the structure is shorter than its kind.
fn decode(entry: &[u8]) -> Option<Entry> {
    let byte = |at: usize| entry.get(at).copied();
    Some(match entry[0] {
        0 => {
            let flags = u32_at(entry, 4)?;
            let (enabled, online_capable) = (flags & 1 != 0, flags & 2 != 0);
            Entry::LocalApic { processor: byte(2)?, apic_id: byte(3)?, enabled, online_capable }
        }
        1 => Entry::IoApic { id: byte(2)?, address: u32_at(entry, 4)?, gsi_base: u32_at(entry, 8)? },
        2 => {
            let (polarity, trigger) = inti_flags(u16_at(entry, 8)?);
            Entry::InterruptOverride { isa: byte(3)?, gsi: u32_at(entry, 4)?, polarity, trigger }
        }
        3 => {
            let (polarity, trigger) = inti_flags(u16_at(entry, 2)?);
            Entry::NmiSource { gsi: u32_at(entry, 4)?, polarity, trigger }
        }
        4 => {
            let (polarity, trigger) = inti_flags(u16_at(entry, 3)?);
            Entry::LocalApicNmi { processor: byte(2)?, lint: byte(5)?, polarity, trigger }
        }
        5 => Entry::LocalApicAddress { address: u64_at(entry, 4)? },
        9 => {
            let flags = u32_at(entry, 8)?;
            let (enabled, online_capable) = (flags & 1 != 0, flags & 2 != 0);
            Entry::LocalX2Apic { x2apic_id: u32_at(entry, 4)?, processor: u32_at(entry, 12)?, enabled, online_capable }
        }
        10 => {
            let (polarity, trigger) = inti_flags(u16_at(entry, 2)?);
            Entry::X2ApicNmi { processor: u32_at(entry, 4)?, lint: byte(8)?, polarity, trigger }
        }
        kind => Entry::Unknown { kind },
    })
}

fn inti_flags(flags: u16) -> (InterruptPolarity, InterruptTrigger) {
    let polarity = match flags & 3 {
        1 => InterruptPolarity::ActiveHigh,
        3 => InterruptPolarity::ActiveLow,
        _ => InterruptPolarity::Bus,
    };
    let trigger = match flags >> 2 & 3 {
        1 => InterruptTrigger::Edge,
        3 => InterruptTrigger::Level,
        _ => InterruptTrigger::Bus,
    };
    (polarity, trigger)
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn entries_are_decoded_and_a_zero_length_ends_them() {
        let mut body = Vec::from([0, 0, 0xe0, 0xfe, 1, 0, 0, 0]);
        body.extend([0, 8, 1, 2, 1, 0, 0, 0]);
        body.extend([1, 12, 3, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0]);
        body.extend([2, 10, 0, 9, 9, 0, 0, 0, 13, 0]);
        body.extend([9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0]);
        body.extend([0x7f, 3, 0]);
        body.extend([0, 0, 0, 0]);
        let bytes = table(b"APIC", &body);
        let madt = Madt::parse(&bytes).unwrap();
        assert_eq!((madt.local_apic, madt.has_8259), (0xfee0_0000, true));
        let expected = [
            Entry::LocalApic { processor: 1, apic_id: 2, enabled: true, online_capable: false },
            Entry::IoApic { id: 3, address: 0xfec0_0000, gsi_base: 24 },
            Entry::InterruptOverride {
                isa: 9,
                gsi: 9,
                polarity: InterruptPolarity::ActiveHigh,
                trigger: InterruptTrigger::Level,
            },
            Entry::LocalX2Apic { x2apic_id: 0x100, processor: 7, enabled: true, online_capable: false },
            Entry::Unknown { kind: 0x7f },
        ];
        assert_eq!(madt.entries().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_short_structure_of_a_known_kind_is_unknown() {
        let bytes = table(b"APIC", &[0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 3, 0]);
        let madt = Madt::parse(&bytes).unwrap();
        assert_eq!(madt.entries().collect::<Vec<_>>(), [Entry::Unknown { kind: 1 }]);
    }
}
