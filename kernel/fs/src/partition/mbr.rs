//! The MBR: four entries of 16 bytes at 446, and a chain of tables of the same form for logical partitions.

use super::{Problem, Reader, SECTOR, Scheme};
use crate::BlockStore;
use alloc::vec::Vec;
use klib::bytes::{u8_at, u16_at, u32_at};

const ENTRIES_AT: usize = 446;
const ENTRY_LEN: usize = 16;
const SIGNATURE_AT: usize = 510;
const SIGNATURE: u16 = 0xaa55;
/// Of the entry that keeps tools that know no GPT from the disk.
const PROTECTIVE: u8 = 0xee;
/// Extended partitions, in which logical ones lie.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// Sectors of an extended partition that are shown: room for a boot loader, too few to be overwritten by mistake.
const EXTENDED_SHOWN: u64 = 2;
/// The first number of a logical partition.
const FIRST_LOGICAL: u32 = 5;
/// Tables without a partition in them that are followed.
const MOST_EMPTY: u32 = 100;

type Sector = [u8; SECTOR as usize];

/// What the first sector of a disk is.
pub(super) enum Look {
    /// No partition table.
    Nothing,
    /// The MBR of a disk with a GPT.
    Protective,
    /// An MBR that counts.
    Mbr,
}

/// An entry of a table.
#[derive(Clone, Copy)]
struct Entry {
    boot: u8,
    kind: u8,
    /// First sector, from what the table says.
    start: u64,
    sectors: u64,
}

impl Entry {
    fn is_extended(self) -> bool {
        EXTENDED.contains(&self.kind)
    }
}

fn entries(sector: &Sector) -> [Entry; 4] {
    [0, 1, 2, 3].map(|index| {
        let at = ENTRIES_AT + index * ENTRY_LEN;
        let number = |offset| u64::from(u32_at(sector, at + offset).unwrap_or(0));
        let byte = |offset| u8_at(sector, at + offset).unwrap_or(0);
        Entry { boot: byte(0), kind: byte(4), start: number(8), sectors: number(12) }
    })
}

fn is_signed(sector: &Sector) -> bool {
    u16_at(sector, SIGNATURE_AT) == Some(SIGNATURE)
}

/// Whether it is the boot sector of a FAT file system: a jump over a parameter block that could be one.
fn is_fat(sector: &Sector) -> bool {
    let byte = |offset| u8_at(sector, offset).unwrap_or(0);
    let sector_len = u16_at(sector, 11).unwrap_or(0);
    matches!(byte(0), 0xe9 | 0xeb)
        && sector_len.is_power_of_two()
        && (512..=4096).contains(&sector_len)
        && byte(13).is_power_of_two()
        && u16_at(sector, 14) != Some(0)
        && matches!(byte(16), 1 | 2)
        && (byte(21) == 0xf0 || byte(21) >= 0xf8)
}

/// What `sector`, the first of a disk, is. A boot sector of a file system has the same signature: it is told by boot flags
/// that are none, or as a FAT, since mtools write an entry for the whole disk into those.
pub(super) fn look(sector: &Sector) -> Look {
    let entries = entries(sector);
    if !is_signed(sector) || is_fat(sector) || entries.iter().any(|entry| entry.boot & 0x7f != 0) {
        return Look::Nothing;
    }
    match entries.iter().any(|entry| entry.kind == PROTECTIVE) {
        true => Look::Protective,
        false => Look::Mbr,
    }
}

/// Reads the table in `sector` and the logical partitions.
pub(super) fn read<S: BlockStore>(reader: &mut Reader<'_, S>, sector: &Sector) {
    reader.table.scheme = Scheme::Mbr;
    let entries = entries(sector);
    let used = || (1..).zip(entries).filter(|(_, entry)| entry.sectors != 0);
    for (number, entry) in used() {
        let shown = if entry.is_extended() { entry.sectors.min(EXTENDED_SHOWN) } else { entry.sectors };
        reader.add(number, entry.start, shown);
    }
    let mut next = FIRST_LOGICAL;
    for (_, entry) in used().filter(|(_, entry)| entry.is_extended()) {
        logical(reader, entry, &mut next);
    }
}

/// Follows the chain of tables in the extended partition `outer`. Each has a partition, whose start counts from the table,
/// and leads to the next table, whose start counts from the begin of `outer`.
fn logical<S: BlockStore>(reader: &mut Reader<'_, S>, outer: Entry, next: &mut u32) {
    let (mut at, mut len) = (outer.start, outer.sectors);
    let mut seen: Vec<u64> = Vec::new();
    let mut empty = 0;
    while empty < MOST_EMPTY {
        if seen.contains(&at) || seen.try_reserve(1).is_err() {
            return reader.problem(Problem::Chain(at));
        }
        seen.push(at);
        let Some(sector) = reader.sector(at) else { return reader.problem(Problem::Chain(at)) };
        if !is_signed(&sector) {
            return;
        }
        empty += 1;
        let entries = entries(&sector);
        for (index, entry) in entries.iter().enumerate().filter(|(_, e)| e.sectors != 0 && !e.is_extended()) {
            let start = at + entry.start;
            // Some tools left rubbish in the last two entries.
            let fits = entry.start + entry.sectors <= len
                && start >= outer.start
                && start + entry.sectors <= outer.start + outer.sectors;
            if index >= 2 && !fits {
                continue;
            }
            if !reader.add(*next, start, entry.sectors) {
                return;
            }
            *next += 1;
            empty = 0;
        }
        let Some(link) = entries.iter().find(|entry| entry.sectors != 0 && entry.is_extended()) else { return };
        (at, len) = (outer.start + link.start, link.sectors);
    }
}
