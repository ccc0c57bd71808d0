//! The GPT (UEFI Specification 2.10, 5.3): a header in sector 1 with an array of entries, and a copy of both at the end of
//! the disk, which counts if the first is damaged.

use super::{Problem, Reader, SECTOR, Scheme};
use crate::BlockStore;
use core::fmt;
use klib::bytes::{array_at, u32_at, u64_at};
use klib::crc32::Crc32;

const SIGNATURE: [u8; 8] = *b"EFI PART";
const SMALLEST_HEADER: usize = 92;
const CRC_AT: usize = 16;
/// Bytes of an entry that are known; entries may be twice as long, four times, ...
const ENTRY_LEN: u32 = 128;
/// The longest array of entries that is read, in bytes: 64 times what is usual.
const MOST_BYTES: u64 = 1 << 20;

/// Why a header does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderProblem {
    /// The sector cannot be read, or the disk has none with this number.
    Unreadable,
    /// It does not begin with "EFI PART".
    Signature,
    /// Its length is less than 92 bytes or more than a sector.
    Length(u32),
    /// Its checksum is not that of its bytes.
    Checksum,
    /// It says that it lies in another sector.
    Place(u64),
    /// The sectors for partitions are none, or not all on the disk.
    Range(u64, u64),
    /// The size of an entry is not 128 times a power of two, or there are none or too many.
    Entries(u32, u32),
    /// The checksum of the entries is not that of their bytes, or they cannot be read.
    EntriesChecksum,
}

impl fmt::Display for HeaderProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderProblem::Unreadable => write!(f, "cannot be read"),
            HeaderProblem::Signature => write!(f, "no signature"),
            HeaderProblem::Length(len) => write!(f, "HeaderSize is {len}"),
            HeaderProblem::Checksum => write!(f, "HeaderCRC32 is wrong"),
            HeaderProblem::Place(lba) => write!(f, "MyLBA is {lba}"),
            HeaderProblem::Range(first, last) => write!(f, "FirstUsableLBA {first} and LastUsableLBA {last}"),
            HeaderProblem::Entries(count, len) => write!(f, "{count} entries of {len} bytes"),
            HeaderProblem::EntriesChecksum => write!(f, "PartitionEntryArrayCRC32 is wrong"),
        }
    }
}

/// A header that has been checked, with its entries.
struct Header {
    entries_at: u64,
    entry_count: u32,
    entry_len: u32,
}

/// Reads the table: by the first header, else by the copy.
pub(super) fn read<S: BlockStore>(reader: &mut Reader<'_, S>) {
    for at in [1, reader.disk_sectors - 1] {
        match header(reader, at) {
            Ok(header) => {
                reader.table.scheme = Scheme::Gpt;
                return partitions(reader, &header);
            }
            Err(problem) => reader.problem(Problem::Header(at, problem)),
        }
    }
}

fn header<S: BlockStore>(reader: &Reader<'_, S>, at: u64) -> Result<Header, HeaderProblem> {
    let sector = reader.sector(at).ok_or(HeaderProblem::Unreadable)?;
    let word = |offset| u32_at(&sector, offset).unwrap_or(0);
    let long = |offset| u64_at(&sector, offset).unwrap_or(0);
    if array_at(&sector, 0) != Some(SIGNATURE) {
        return Err(HeaderProblem::Signature);
    }
    let len = word(12) as usize;
    let bytes = sector.get(..len).filter(|_| len >= SMALLEST_HEADER).ok_or(HeaderProblem::Length(word(12)))?;
    let mut crc = Crc32::new();
    crc.add(&bytes[..CRC_AT]);
    crc.add(&[0; 4]);
    crc.add(&bytes[CRC_AT + 4..]);
    if crc.value() != word(CRC_AT) {
        return Err(HeaderProblem::Checksum);
    }
    if long(24) != at {
        return Err(HeaderProblem::Place(long(24)));
    }
    let (first_usable, last_usable) = (long(40), long(48));
    if first_usable > last_usable || last_usable >= reader.disk_sectors {
        return Err(HeaderProblem::Range(first_usable, last_usable));
    }
    let (entry_count, entry_len) = (word(80), word(84));
    let all = u64::from(entry_count) * u64::from(entry_len);
    let known = entry_len >= ENTRY_LEN && entry_len.is_power_of_two();
    if !known || all == 0 || all > MOST_BYTES {
        return Err(HeaderProblem::Entries(entry_count, entry_len));
    }
    let entries_at = long(72);
    if checksum(reader, entries_at, all) != Some(word(88)) {
        return Err(HeaderProblem::EntriesChecksum);
    }
    Ok(Header { entries_at, entry_count, entry_len })
}

/// The checksum of the `len` bytes from sector `start` on.
fn checksum<S: BlockStore>(reader: &Reader<'_, S>, start: u64, len: u64) -> Option<u32> {
    let mut crc = Crc32::new();
    let mut done = 0;
    while done < len {
        let sector = reader.sector(start.checked_add(done / SECTOR)?)?;
        let part = (len - done).min(SECTOR);
        crc.add(&sector[..part as usize]);
        done += part;
    }
    Some(crc.value())
}

fn partitions<S: BlockStore>(reader: &mut Reader<'_, S>, header: &Header) {
    for index in 0..header.entry_count {
        // At most MOST_BYTES behind sectors that were all read for the checksum.
        let offset = u64::from(index) * u64::from(header.entry_len);
        let Some(sector) = reader.sector(header.entries_at + offset / SECTOR) else { return };
        let at = (offset % SECTOR) as usize;
        let long = |offset| u64_at(&sector, at + offset).unwrap_or(0);
        let (start, last) = (long(32), long(40));
        let used = array_at::<16>(&sector, at).is_some_and(|kind| kind != [0; 16]);
        // As Linux does, without a look at the usable range: images for CDs and disks at once do not keep to it.
        if used && start <= last && last < reader.disk_sectors && !reader.add(index + 1, start, last - start + 1) {
            return;
        }
    }
}
