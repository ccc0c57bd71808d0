//! MSI-X: a table in device memory with an address and a value to write for each interrupt (PCI 3.0, 6.8.2).
//!
//! Made by [`super::Claim::enable_interrupts`]; each entry then stays masked until it is programmed.

use super::PciError;
use machine::io::Mmio;
use machine::io::registers::{Array, ReadWrite, Registers};
use machine::irq::MsiMessage;
use macros::Registers;

/// Vector control: the entry raises nothing.
const MASKED: u32 = 1;

/// One entry of the table (PCI 3.0, figure 6-11).
#[derive(Registers)]
struct Entry {
    #[at(0x0)]
    address_low: ReadWrite<u32>,
    #[at(0x4)]
    address_high: ReadWrite<u32>,
    #[at(0x8)]
    data: ReadWrite<u32>,
    #[at(0xc)]
    control: ReadWrite<u32>,
}

#[derive(Registers)]
struct Table {
    #[at(0x0)]
    entries: Array<Entry>,
}

/// A function's MSI-X table.
pub struct Msix {
    table: Table,
    _memory: Mmio,
}

/// Where the capability says that the table is (PCI 3.0, 6.8.2.3 and 6.8.2.4).
pub(super) struct Place {
    /// Base address register.
    pub bar: u8,
    /// Bytes from its start.
    pub offset: u32,
    /// Entries, at least 1.
    pub entries: u16,
}

impl Place {
    /// Out of the message control word and the table doubleword.
    pub(super) fn decode(control: u16, table: u32) -> Place {
        Place { bar: (table & 7) as u8, offset: table & !7, entries: (control & 0x7ff) + 1 }
    }

    /// Bytes in the table.
    pub(super) fn len_bytes(&self) -> usize {
        usize::from(self.entries) * Entry::SIZE
    }
}

impl Msix {
    /// The table in `memory`, with all entries masked.
    pub(super) fn new(memory: Mmio) -> Result<Msix, PciError> {
        let table = Table::map(memory.window()).map_err(|error| PciError::Structure("MSI-X table", error))?;
        table.entries.iter().for_each(|entry| entry.control.modify(|control| control | MASKED));
        Ok(Msix { table, _memory: memory })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.table.entries.len()
    }

    /// Never: a table has at least one entry.
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// Lets entry `index` raise `message`.
    pub fn program(&self, index: u16, message: MsiMessage) -> Result<(), PciError> {
        let entry = self.entry(index)?;
        // A masked entry may be changed without the device sending a mixture of old and new.
        entry.control.modify(|control| control | MASKED);
        entry.address_low.write(message.address as u32);
        entry.address_high.write((message.address >> 32) as u32);
        entry.data.write(message.data);
        entry.control.modify(|control| control & !MASKED);
        Ok(())
    }

    /// Keeps entry `index` from raising anything; what comes meanwhile stays pending.
    pub fn mask(&self, index: u16) -> Result<(), PciError> {
        self.entry(index)?.control.modify(|control| control | MASKED);
        Ok(())
    }

    /// Undoes [`Msix::mask`].
    pub fn unmask(&self, index: u16) -> Result<(), PciError> {
        self.entry(index)?.control.modify(|control| control & !MASKED);
        Ok(())
    }

    fn entry(&self, index: u16) -> Result<Entry, PciError> {
        self.table.entries.get(index.into()).ok_or(PciError::NoMsixEntry { index, entries: self.len() })
    }
}
