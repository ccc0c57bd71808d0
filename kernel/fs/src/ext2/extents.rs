//! From a block of a file to a block of the device by a tree of extents, as ext4 has it.
//!
//! Nodes are checked where they are read: magic number, a depth one less than that of the node above, no more entries than
//! there is room for. An entry found by halving counts if its own numbers hold, so entries out of order cost a wrong place
//! within the device, not a loop.
//!
//! Source: Linux's documentation of ext4, "The Contents of inode.i_block".

use super::error::{Corruption, Error, Place};
use super::inode::Inode;
use super::map::Run;
use super::volume::Ext2;
use crate::BlockStore;

/// `eh_magic`.
const MAGIC: u32 = 0xf30a;
/// Bytes of a node's header, and of each entry.
const ENTRY_BYTES: usize = 12;
/// Entries that an inode has room for.
const IN_INODE: u32 = 4;
/// Levels of nodes above the leaves: Linux makes no more.
const DEEPEST: u32 = 5;
/// `ee_len` of an extent that is stored is at most this; what is above is space set aside, which reads as zeros.
const LONGEST: u32 = 0x8000;

/// Where a node is.
#[derive(Clone, Copy)]
enum Node {
    Inode,
    Block(u64),
}

/// An entry: `ee_block` or `ei_block`, and two words more.
type Entry = [u32; 3];

impl<S: BlockStore> Ext2<S> {
    /// As [`map_run`](Self::map_run), of an inode with extents.
    pub(super) fn extent_run(&self, inode: &Inode, file_block: u64, max: u64) -> Result<Run, Error<S::Error>> {
        if max == 0 {
            return Ok(Run { start: None, count: 0 });
        }
        let wanted = u32::try_from(file_block).map_err(|_| Error::BeyondReach { file_block })?;
        // Where the next entry of any node above begins: a hole goes no further.
        let mut end = 1u64 << 32;
        let mut node = Node::Inode;
        let mut above = None;
        loop {
            let (count, depth) = self.node_header(inode, node, above)?;
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = low.midpoint(high);
                match self.node_entry(inode, node, middle)?[0] <= wanted {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
            if low < count {
                end = end.min(u64::from(self.node_entry(inode, node, low)?[0])).max(file_block + 1);
            }
            let hole = Run { start: None, count: (end - file_block).min(max) };
            if low == 0 {
                return Ok(hole);
            }
            let entry = self.node_entry(inode, node, low - 1)?;
            if depth == 0 {
                return self.in_extent(inode, node, entry, file_block, max).map(|run| run.unwrap_or(hole));
            }
            let child = u64::from(entry[1]) | u64::from(entry[2] & 0xffff) << 32;
            if !self.geometry().contains(child, 1) {
                return Err(wrong(inode, node, "ei_leaf", child, OUTSIDE).into());
            }
            node = Node::Block(child);
            above = Some(depth);
        }
    }

    /// What lies in the extent `entry` from `file_block` on; None if that is behind it.
    fn in_extent(
        &self,
        inode: &Inode,
        node: Node,
        [first, len_and_high, low]: Entry,
        file_block: u64,
        max: u64,
    ) -> Result<Option<Run>, Error<S::Error>> {
        let len = len_and_high & 0xffff;
        let (len, is_stored) = if len > LONGEST { (len - LONGEST, false) } else { (len, true) };
        let skipped = file_block.saturating_sub(u64::from(first));
        if u64::from(first) > file_block || skipped >= u64::from(len) {
            return Ok(None);
        }
        let start = u64::from(low) | u64::from(len_and_high >> 16) << 32;
        if !self.geometry().contains(start, u64::from(len)) {
            return Err(wrong(inode, node, "ee_start", start, OUTSIDE).into());
        }
        let count = (u64::from(len) - skipped).min(max);
        Ok(Some(Run { start: is_stored.then_some(start + skipped), count }))
    }

    /// Number of entries and depth of a node, below one of depth `above`.
    fn node_header(&self, inode: &Inode, node: Node, above: Option<u32>) -> Result<(u32, u32), Error<S::Error>> {
        let [magic_and_count, room_and_depth, _] = self.node_words(inode, node, 0)?;
        let (magic, count, depth) = (magic_and_count & 0xffff, magic_and_count >> 16, room_and_depth >> 16);
        let room = match node {
            Node::Inode => IN_INODE,
            Node::Block(_) => (self.geometry().block_size() / ENTRY_BYTES - 1) as u32,
        };
        let depth_is_right = above.map_or(depth <= DEEPEST, |above| depth + 1 == above);
        let (field, value, rule) = if magic != MAGIC {
            ("eh_magic", magic, "must be 0xf30a")
        } else if count > room {
            ("eh_entries", count, "must not be above what there is room for")
        } else if !depth_is_right {
            ("eh_depth", depth, "must be one less than in the node above, and at most 5")
        } else {
            return Ok((count, depth));
        };
        Err(wrong(inode, node, field, value.into(), rule).into())
    }

    fn node_entry(&self, inode: &Inode, node: Node, index: u32) -> Result<Entry, Error<S::Error>> {
        self.node_words(inode, node, 1 + index as usize)
    }

    /// The header (0) or an entry of a node that is known to have it.
    fn node_words(&self, inode: &Inode, node: Node, index: usize) -> Result<Entry, Error<S::Error>> {
        match node {
            Node::Inode => Ok(core::array::from_fn(|word| inode.block[3 * index + word])),
            Node::Block(block) => {
                let mut bytes = [0; ENTRY_BYTES];
                self.read_in_block(block, index * ENTRY_BYTES, &mut bytes)?;
                let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
                Ok([word(0), word(4), word(8)])
            }
        }
    }
}

const OUTSIDE: &str = "must lie on the device, behind the group descriptors";

fn wrong(inode: &Inode, node: Node, field: &'static str, value: u64, rule: &'static str) -> Corruption {
    let place = match node {
        Node::Inode => Place::Inode(inode.number),
        Node::Block(block) => Place::PointerBlock(block),
    };
    Corruption { place, field, value, rule }
}
