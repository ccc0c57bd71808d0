//! What the writer of a volume has to remember: freed space that may not be used yet, space set aside for growing files,
//! inodes without a name, and the journal.
//!
//! Freed space is [`Held`] until no power cut can bring back what was in it: blocks of content until the transaction
//! that frees them is committed, blocks of metadata until the journal no longer has a copy that a replay would write.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use klib::small_map::SmallMap;

use super::orphan_list::OrphanList;

/// Blocks of attributes that a writer remembers.
const MOST_ATTRIBUTE_BLOCKS: usize = 32;
/// Directories of which hints are kept; with one more they begin anew.
const MOST_HINTS: usize = 1024;

/// The state of writing to one volume. There is one for each; whoever has it is alone in changing the volume.
pub struct Writer {
    pub(super) held: Held,
    /// Blocks set aside, by inode: free on the device, taken by nobody else while there is room elsewhere.
    pub(super) windows: SmallMap<u32, Window>,
    /// Inodes without a name.
    pub(super) orphans: OrphanList,
    /// Byte offset of the record of a directory before which there is no room for a long name, by inode. A record that
    /// is there stays where it is until a name of its block is removed.
    pub(super) room_hints: SmallMap<u32, u64>,
    /// Block of a directory in which a name was removed last, by inode: the next is likely to be near.
    pub(super) removal_hints: SmallMap<u32, u64>,
    /// A block of a directory, read before: room for the next one.
    pub(super) scratch: Vec<u8>,
    /// Blocks of attributes written last: their hash and number, for others to share.
    pub(super) attribute_blocks: Vec<(u32, u64)>,
    /// None where there was no room for one.
    pub(super) journal: Option<Journal>,
    /// Whether the file system was clean and is to be marked so at the end.
    pub(super) was_clean: bool,
}

/// A journal that is in use.
pub(super) struct Journal {
    /// Its blocks on the device, in the order of the file.
    pub(super) blocks: Vec<u64>,
    /// Index of the first block of the log.
    pub(super) first: usize,
    /// Index of the next block to write.
    pub(super) head: usize,
    /// Sequence number of the next transaction.
    pub(super) sequence: u32,
    /// Whether it goes at the end of the mount.
    pub(super) temporary: bool,
}

/// Blocks set aside for one file.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) count: u64,
    /// How many to set aside next.
    pub(super) next_count: u64,
}

/// Freed blocks that may not be used yet.
#[derive(Default)]
pub(super) struct Held {
    /// Start to count, and what for; runs that follow each other are one, once the operation is done.
    ranges: BTreeMap<u64, (u64, HeldUntil)>,
    /// Starts that the operation under way has entered.
    entered: Vec<u64>,
    blocks: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum HeldUntil {
    Commit,
    Checkpoint,
}

impl Writer {
    pub(super) fn new(journal: Option<Journal>, was_clean: bool) -> Writer {
        Writer {
            held: Held::default(),
            windows: SmallMap::new(),
            orphans: OrphanList::default(),
            room_hints: SmallMap::new(),
            removal_hints: SmallMap::new(),
            scratch: Vec::new(),
            attribute_blocks: Vec::new(),
            journal,
            was_clean,
        }
    }

    /// Whether a journal keeps power cuts from harming the file system.
    pub fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// The most blocks that a transaction should change before it is committed.
    pub fn transaction_limit(&self) -> usize {
        self.journal.as_ref().map_or(1024, Journal::transaction_limit)
    }

    /// Freed blocks that a commit and a checkpoint would make free to use.
    pub fn held_blocks(&self) -> u64 {
        self.held.blocks
    }

    /// How many inodes have no name and still exist.
    pub fn orphan_count(&self) -> usize {
        self.orphans.len()
    }

    /// A block of attributes has been written. Only the last ones are remembered.
    pub(super) fn remember_attribute_block(&mut self, hash: u32, block: u64) {
        if self.attribute_blocks.len() >= MOST_ATTRIBUTE_BLOCKS {
            self.attribute_blocks.remove(0);
        }
        if self.attribute_blocks.try_reserve(1).is_ok() {
            self.attribute_blocks.push((hash, block));
        }
    }

    /// The block holds other attributes from now on, or none.
    pub(super) fn forget_attribute_block(&mut self, block: u64) {
        self.attribute_blocks.retain(|&(_, known)| known != block);
    }

    /// Notes where there is room in a directory.
    pub(super) fn hint_room(&mut self, directory: u32, offset: u64) {
        hint(&mut self.room_hints, directory, offset);
    }

    /// Notes where a name of a directory has been removed.
    pub(super) fn hint_removal(&mut self, directory: u32, block: u64) {
        hint(&mut self.removal_hints, directory, block);
    }

    /// `inode` is used no more: what was set aside for it is free again.
    pub fn forget(&mut self, inode: u32) {
        self.windows.remove(&inode);
        self.room_hints.remove(&inode);
        self.removal_hints.remove(&inode);
    }
}

fn hint(hints: &mut SmallMap<u32, u64>, directory: u32, place: u64) {
    if hints.len() >= MOST_HINTS && hints.get(&directory).is_none() {
        hints.clear();
    }
    hints.insert(directory, place);
}

impl Journal {
    /// Changed blocks from which on a transaction should be committed: the operation that reaches it, and the
    /// descriptors, must still fit.
    pub(super) fn transaction_limit(&self) -> usize {
        self.blocks.len() / 4
    }
}

impl Held {
    /// The `count` blocks from `start` on have been freed.
    pub(super) fn enter(&mut self, start: u64, count: u64, until: HeldUntil) {
        self.ranges.insert(start, (count, until));
        self.entered.push(start);
        self.blocks += count;
    }

    /// The operation under way has succeeded.
    pub(super) fn keep(&mut self) {
        while let Some(start) = self.entered.pop() {
            self.join(start);
        }
    }

    /// Makes the range at `start` one with those that it follows and that follow it.
    fn join(&mut self, start: u64) {
        let Some(&(mut count, until)) = self.ranges.get(&start) else { return };
        if let Some(&(more, same)) = self.ranges.get(&(start + count))
            && same == until
        {
            self.ranges.remove(&(start + count));
            count += more;
        }
        let before = self.ranges.range(..start).next_back().map(|(&before, &held)| (before, held));
        match before {
            Some((before, (len, same))) if before + len == start && same == until => {
                self.ranges.remove(&start);
                self.ranges.insert(before, (len + count, until));
            }
            _ => {
                self.ranges.insert(start, (count, until));
            }
        }
    }

    /// The operation under way has failed.
    pub(super) fn take_back(&mut self) {
        for start in core::mem::take(&mut self.entered) {
            if let Some((count, _)) = self.ranges.remove(&start) {
                self.blocks -= count;
            }
        }
    }

    /// The transaction is committed, and if `checkpointed` the journal empty.
    pub(super) fn release(&mut self, checkpointed: bool) {
        self.ranges.retain(|_, (_, until)| *until == HeldUntil::Checkpoint && !checkpointed);
        self.blocks = self.ranges.values().map(|(count, _)| count).sum();
    }

    /// Shows `each` the held parts of `range`.
    pub(super) fn each_in(&self, range: Range<u64>, mut each: impl FnMut(Range<u64>)) {
        if let Some((&start, &(count, _))) = self.ranges.range(..range.start).next_back()
            && start + count > range.start
        {
            each(range.start..(start + count).min(range.end));
        }
        for (&start, &(count, _)) in self.ranges.range(range.clone()) {
            each(start..(start + count).min(range.end));
        }
    }
}
