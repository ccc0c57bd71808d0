//! The records of a journal, as ext3 defined them: big-endian numbers in whole blocks.
//!
//! The journal is a file whose first block is its superblock. A transaction is one or more descriptor blocks, each
//! followed by the blocks that it describes, and a commit block; all of them carry the transaction's sequence number.

use core::ops::Range;

/// `h_magic`: what every block of the journal but the logged ones begins with.
pub(super) const MAGIC: u32 = 0xc03b_3998;
/// `h_blocktype` of each kind of block.
pub(super) const DESCRIPTOR: u32 = 1;
pub(super) const COMMIT: u32 = 2;
pub(super) const SUPERBLOCK_V1: u32 = 3;
pub(super) const SUPERBLOCK_V2: u32 = 4;
pub(super) const REVOKE: u32 = 5;

pub(super) const HEADER_BYTES: usize = 12;
pub(super) const TAG_BYTES: usize = 8;
const UUID_BYTES: usize = 16;

/// Flags of a tag: the logged block began with the magic, which is stored as zeros; no UUID follows; the last one.
pub(super) const FLAG_ESCAPE: u32 = 1;
pub(super) const FLAG_SAME_UUID: u32 = 2;
pub(super) const FLAG_LAST: u32 = 8;

/// `s_feature_incompat` of the journal: revoke blocks may be there.
pub(super) const INCOMPAT_REVOKE: u32 = 1;

/// Offsets in the journal's superblock.
pub(super) const S_BLOCKSIZE: usize = 12;
pub(super) const S_MAXLEN: usize = 16;
pub(super) const S_FIRST: usize = 20;
pub(super) const S_SEQUENCE: usize = 24;
pub(super) const S_START: usize = 28;
pub(super) const S_FEATURE_INCOMPAT: usize = 40;
pub(super) const S_UUID: usize = 48;
pub(super) const S_NR_USERS: usize = 64;

/// The UUID of a journal that was made for the time of a mount and goes with it.
pub(super) const TEMPORARY_UUID: [u8; UUID_BYTES] = *b"Russet temporary";

/// The big-endian number at `offset`.
pub(super) fn get(block: &[u8], offset: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&block[offset..offset + 4]);
    u32::from_be_bytes(bytes)
}

/// Puts `value` at `offset`.
pub(super) fn put(block: &mut [u8], offset: usize, value: u32) {
    block[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
}

/// Puts the common header into `block`.
pub(super) fn put_header(block: &mut [u8], kind: u32, sequence: u32) {
    put(block, 0, MAGIC);
    put(block, 4, kind);
    put(block, 8, sequence);
}

/// The kind of `block`, if it belongs to transaction `sequence`.
pub(super) fn kind_of(block: &[u8], sequence: u32) -> Option<u32> {
    (get(block, 0) == MAGIC && get(block, 8) == sequence).then(|| get(block, 4))
}

/// Tags that one descriptor block of `block_len` bytes has room for.
pub(super) fn tags_per_block(block_len: usize) -> usize {
    (block_len - HEADER_BYTES - UUID_BYTES) / TAG_BYTES
}

/// One tag of a descriptor block: where the logged block belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) block: u64,
    pub(super) escaped: bool,
}

/// The tags of a descriptor block.
pub(super) fn tags(block: &[u8]) -> impl Iterator<Item = Tag> + '_ {
    let mut next = Some(HEADER_BYTES);
    core::iter::from_fn(move || {
        let at = next.filter(|at| at + TAG_BYTES <= block.len())?;
        // The upper half is a checksum where there are checksums.
        let flags = get(block, at + 4) & 0xffff;
        let uuid = if flags & FLAG_SAME_UUID == 0 { UUID_BYTES } else { 0 };
        next = (flags & FLAG_LAST == 0).then_some(at + TAG_BYTES + uuid);
        Some(Tag { block: get(block, at).into(), escaped: flags & FLAG_ESCAPE != 0 })
    })
}

/// Writes a descriptor block for `tags`, of which there is at least one and no more than fit.
pub(super) fn put_tags(block: &mut [u8], sequence: u32, tags: &[Tag]) {
    put_header(block, DESCRIPTOR, sequence);
    let mut at = HEADER_BYTES;
    for (index, tag) in tags.iter().enumerate() {
        let first = index == 0;
        let mut flags = if tag.escaped { FLAG_ESCAPE } else { 0 };
        flags |= if first { 0 } else { FLAG_SAME_UUID };
        flags |= if index + 1 == tags.len() { FLAG_LAST } else { 0 };
        put(block, at, tag.block as u32);
        put(block, at + 4, flags);
        at += TAG_BYTES + if first { UUID_BYTES } else { 0 };
    }
}

/// The block numbers of a revoke block.
pub(super) fn revoked(block: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let end = (get(block, HEADER_BYTES) as usize).min(block.len());
    let numbers: Range<usize> = HEADER_BYTES + 4..end.max(HEADER_BYTES + 4);
    block[numbers].chunks_exact(4).map(|bytes| get(bytes, 0).into())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::{Tag, put, put_header, put_tags, revoked, tags, tags_per_block};

    #[test]
    fn tags_come_back_as_they_were_put() {
        let wanted = || (0..tags_per_block(1024)).map(|index| Tag { block: 7 + index as u64, escaped: index % 3 == 0 });
        let mut block = vec![0xff; 1024];
        put_tags(&mut block, 5, &wanted().collect::<Vec<_>>());
        assert!(tags(&block).eq(wanted()));
        assert_eq!(super::kind_of(&block, 5), Some(super::DESCRIPTOR));
        assert_eq!(super::kind_of(&block, 6), None);
    }

    #[test]
    fn any_bytes_end_somewhere() {
        assert_eq!(tags(&[0; 1024]).count(), 42);
        assert_eq!(tags(&[0xff; 1024]).count(), 1);
        for length in [0, 11, 16, 20, 24, 1024, u32::MAX] {
            let mut block = vec![3; 1024];
            put_header(&mut block, super::REVOKE, 1);
            put(&mut block, 12, length);
            let count = (length.min(1024) as usize).saturating_sub(16) / 4;
            assert_eq!(revoked(&block).count(), count, "{length}");
        }
    }
}
