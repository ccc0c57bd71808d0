//! Directory entries within one block, as pure bytes: a chain of records that fills the block exactly.
//!
//! A record is inode (4 bytes, 0 if unused), `rec_len` (2), `name_len` (1), `file_type` (1; without the filetype feature
//! the upper byte of `name_len`), and the name. The index blocks of a hashed directory look like unused records here.

use core::ops::Range;

use super::field::Field;
use super::superblock::Superblock;
use crate::FileType;

/// Longest name of a directory entry in bytes (`EXT2_NAME_LEN`).
pub const NAME_MAX: usize = 255;

const INODE: Field<u32> = Field::at(0, "inode");
const REC_LEN: Field<u16> = Field::at(4, "rec_len");
const NAME_LEN: Field<u8> = Field::at(6, "name_len");
const FILE_TYPE: Field<u8> = Field::at(7, "file_type");
const HEADER_BYTES: usize = 8;
/// The shortest record: a header and a name of up to four bytes.
const MIN_RECORD_BYTES: usize = 12;

/// What the entries of one file system must keep to.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    has_file_types: bool,
    inodes_count: u32,
}

impl Rules {
    pub(super) fn of(superblock: &Superblock) -> Rules {
        Rules { has_file_types: superblock.has_file_types(), inodes_count: superblock.inodes_count }
    }
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Where it starts in the block.
    pub(super) offset: usize,
    /// Bytes to the next record.
    pub(super) len: usize,
    /// What it names; 0 if the record is unused.
    pub(super) inode: u32,
    pub(super) kind: Option<FileType>,
    pub(super) name: &'a [u8],
}

/// What is wrong with a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Defect {
    /// Where the record starts in the block.
    pub(super) offset: usize,
    pub(super) field: &'static str,
    pub(super) value: u64,
    pub(super) rule: &'static str,
}

/// The records of a block, in order. Ends after the first defect.
pub(super) struct Records<'a> {
    block: &'a [u8],
    next: usize,
    rules: Rules,
}

impl<'a> Records<'a> {
    /// The records of `block`, which is a whole block of a directory.
    pub(super) fn of(block: &'a [u8], rules: Rules) -> Self {
        Records { block, next: 0, rules }
    }

    /// Those from the one at `offset` on.
    pub(super) fn from(block: &'a [u8], offset: usize, rules: Rules) -> Self {
        Records { block, next: offset, rules }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Defect>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.block.len() {
            return None;
        }
        let record = self.rules.parse(self.block, self.next);
        self.next = match &record {
            Ok(record) => record.offset + record.len,
            Err(_) => self.block.len(),
        };
        Some(record)
    }
}

impl Rules {
    /// The record at `offset`, which is inside `block`.
    fn parse<'a>(&self, block: &'a [u8], offset: usize) -> Result<Record<'a>, Defect> {
        let left = &block[offset..];
        let defect = |field, value, rule| Defect { offset, field, value, rule };
        if left.len() < MIN_RECORD_BYTES {
            // The record before ends here, so its length is what is wrong; the block's rest is too short for any.
            return Err(defect("rec_len", left.len() as u64, "the rest of the block is too short for an entry"));
        }
        let raw_len = REC_LEN.get(left);
        let len = record_len(raw_len, block.len());
        let bad_len = |rule| defect("rec_len", u64::from(raw_len), rule);
        if len < MIN_RECORD_BYTES || !len.is_multiple_of(4) {
            return Err(bad_len("must be a multiple of 4 and at least 12"));
        }
        if len > left.len() {
            return Err(bad_len("must not lead out of the block"));
        }
        let inode = INODE.get(left);
        if inode > self.inodes_count {
            return Err(defect("inode", u64::from(inode), "must not be above s_inodes_count"));
        }
        let type_byte = FILE_TYPE.get(left);
        if inode == 0 {
            return Ok(Record { offset, len, inode, kind: None, name: &[] });
        }
        let name_len = usize::from(NAME_LEN.get(left));
        if !self.has_file_types && type_byte != 0 {
            let value = name_len as u64 | u64::from(type_byte) << 8;
            return Err(defect("name_len", value, "must be at most 255"));
        }
        if name_len == 0 || HEADER_BYTES + name_len > len {
            return Err(defect("name_len", name_len as u64, "must be at least 1 and fit into rec_len"));
        }
        let name = &left[HEADER_BYTES..HEADER_BYTES + name_len];
        if let Some(&byte) = name.iter().find(|&&byte| byte == 0 || byte == b'/') {
            return Err(defect("name", u64::from(byte), "must have no zero byte and no slash"));
        }
        Ok(Record { offset, len, inode, kind: if self.has_file_types { kind(type_byte) } else { None }, name })
    }
}

/// `rec_len` in bytes. Its 16 bits cannot say 65536, the record that fills a block of that size: 65535 or 0 stands for it.
fn record_len(raw: u16, block_len: usize) -> usize {
    if block_len == 1 << 16 && (raw == u16::MAX || raw == 0) { block_len } else { usize::from(raw) }
}

/// The kind that a `file_type` byte (`EXT2_FT_…`) stands for; `None` for unknown.
fn kind(file_type: u8) -> Option<FileType> {
    Some(match file_type {
        1 => FileType::Regular,
        2 => FileType::Directory,
        3 => FileType::CharDevice,
        4 => FileType::BlockDevice,
        5 => FileType::Fifo,
        6 => FileType::Socket,
        7 => FileType::Symlink,
        _ => return None,
    })
}

/// The `file_type` byte (`EXT2_FT_…`) of a kind.
fn type_byte(kind: FileType) -> u8 {
    match kind {
        FileType::Regular => 1,
        FileType::Directory => 2,
        FileType::CharDevice => 3,
        FileType::BlockDevice => 4,
        FileType::Fifo => 5,
        FileType::Socket => 6,
        FileType::Symlink => 7,
    }
}

/// Bytes that a record with a name of `name_len` bytes takes.
pub(super) const fn record_bytes(name_len: usize) -> usize {
    (HEADER_BYTES + name_len).next_multiple_of(4)
}

/// What an entry is to hold.
#[derive(Clone, Copy)]
pub(super) struct NewEntry<'a> {
    pub(super) inode: u32,
    pub(super) kind: FileType,
    pub(super) name: &'a [u8],
}

impl Rules {
    /// Whether `record` has room for an entry of `name_len` bytes behind its own.
    pub(super) fn has_room(record: &Record<'_>, name_len: usize) -> bool {
        record.len - used_bytes(record) >= record_bytes(name_len)
    }

    /// Puts `entry` into the room that `record` of `block` has, which is shorter then if it is in use. The ranges that
    /// have changed.
    pub(super) fn enter(
        &self,
        block: &mut [u8],
        record: (usize, usize, usize),
        entry: NewEntry<'_>,
    ) -> [Range<usize>; 2] {
        let (offset, len, used) = record;
        if used > 0 {
            put_len(&mut block[offset..], used);
        }
        let start = offset + used;
        self.write(block, start, len - used, entry);
        [offset..offset + HEADER_BYTES.min(used), start..start + record_bytes(entry.name.len())]
    }

    /// Writes a record of `len` bytes.
    pub(super) fn write(&self, block: &mut [u8], offset: usize, len: usize, entry: NewEntry<'_>) {
        let record = &mut block[offset..];
        INODE.put(record, entry.inode);
        put_len(record, len);
        NAME_LEN.put(record, entry.name.len() as u8);
        FILE_TYPE.put(record, if self.has_file_types { type_byte(entry.kind) } else { 0 });
        record[HEADER_BYTES..HEADER_BYTES + entry.name.len()].copy_from_slice(entry.name);
        record[HEADER_BYTES + entry.name.len()..record_bytes(entry.name.len())].fill(0);
    }

    /// Lets the record at `offset` name another inode.
    pub(super) fn retarget(&self, block: &mut [u8], offset: usize, inode: u32, kind: FileType) {
        INODE.put(&mut block[offset..], inode);
        FILE_TYPE.put(&mut block[offset..], if self.has_file_types { type_byte(kind) } else { 0 });
    }

    /// Takes the record at `offset`, of `len` bytes, out: the one before it takes its room, or it stays as unused.
    pub(super) fn remove(block: &mut [u8], before: Option<(usize, usize)>, (offset, len): (usize, usize)) {
        match before {
            Some((before, before_len)) => put_len(&mut block[before..], before_len + len),
            None => INODE.put(&mut block[offset..], 0),
        }
    }
}

/// Bytes of a record that its own name needs; none if it is unused.
pub(super) fn used_bytes(record: &Record<'_>) -> usize {
    if record.inode == 0 { 0 } else { record_bytes(record.name.len()) }
}

fn put_len(record: &mut [u8], len: usize) {
    REC_LEN.put(record, u16::try_from(len).unwrap_or(u16::MAX));
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::{Defect, FileType, Record, Records, Rules};

    const TYPED: Rules = Rules { has_file_types: true, inodes_count: 100 };
    const UNTYPED: Rules = Rules { has_file_types: false, inodes_count: 100 };

    /// A block of 48 bytes: `.`, an unused record of 12 bytes, and `abcde` up to the end.
    const BLOCK: [u8; 48] = [
        2, 0, 0, 0, 12, 0, 1, 2, b'.', 0, 0, 0, //
        0, 0, 0, 0, 12, 0, 3, 1, b'o', b'l', b'd', 0, //
        11, 0, 0, 0, 24, 0, 5, 7, b'a', b'b', b'c', b'd', b'e', 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    ];

    fn records(block: &[u8], rules: Rules) -> Vec<Result<Record<'_>, Defect>> {
        Records::of(block, rules).collect()
    }

    #[test]
    fn records_chain_to_the_end_of_the_block() {
        let expected = vec![
            Ok(Record { offset: 0, len: 12, inode: 2, kind: Some(FileType::Directory), name: b"." }),
            Ok(Record { offset: 12, len: 12, inode: 0, kind: None, name: b"" }),
            Ok(Record { offset: 24, len: 24, inode: 11, kind: Some(FileType::Symlink), name: b"abcde" }),
        ];
        assert_eq!(records(&BLOCK, TYPED), expected);
    }

    #[test]
    fn without_file_types_the_type_byte_belongs_to_the_length_of_the_name() {
        let defect = Defect { offset: 0, field: "name_len", value: 0x201, rule: "must be at most 255" };
        assert_eq!(records(&BLOCK, UNTYPED), vec![Err(defect)]);
    }

    #[test]
    fn an_unknown_file_type_is_no_defect() {
        let mut block = BLOCK;
        block[7] = 200;
        assert_eq!(records(&block, TYPED)[0].as_ref().unwrap().kind, None);
    }

    #[test]
    fn one_record_can_fill_a_block_of_64_kib() {
        for len in [[0xff, 0xff], [0, 0]] {
            let mut block = vec![0; 1 << 16];
            block[4..6].copy_from_slice(&len);
            let expected = Record { offset: 0, len: 1 << 16, inode: 0, kind: None, name: b"" };
            assert_eq!(records(&block, TYPED), vec![Ok(expected)]);
        }
    }

    #[test]
    fn a_block_is_read_without_panic_wherever_it_is_cut() {
        for end in 0..BLOCK.len() {
            let all_good = records(&BLOCK[..end], TYPED).iter().all(Result::is_ok);
            assert_eq!(all_good, [0, 12, 24].contains(&end), "cut at {end}");
        }
    }
}
