//! One change of the file system at a time: what all changes are made of.
//!
//! An [`Edit`] is the right to change metadata: the caller holds the one [`Writer`] of the volume and so keeps all other
//! changes out. Each public operation on it happens as a whole or, with an error, not at all. What it changes goes
//! into the store's [`Changes`](crate::Changes), where every reader sees it at once, and to the device with the commit
//! of the transaction ([`Edit::commit`]). Where an operation takes an inode by `&mut`, that is the caller's one copy; it
//! stays as it was when the operation fails.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::error::{Error, Place};
use super::field::{Field, LittleEndian};
use super::group;
use super::inode::{self, Inode, RECORD_BYTES, Timestamp};
use super::superblock::{S_FREE_BLOCKS_COUNT, S_FREE_INODES_COUNT};
use super::volume::Ext2;
use super::writer::Writer;
use crate::WriteStore;

/// The right to change `volume`.
pub struct Edit<'a, S> {
    pub(super) volume: &'a Ext2<S>,
    pub(super) state: &'a mut Writer,
    pub(super) now: Timestamp,
}

pub(super) type EditResult<T, S> = Result<T, Error<<S as crate::BlockStore>::Error>>;

impl<S: WriteStore> Ext2<S> {
    /// Begins to change the file system; `now` becomes the time of what is changed.
    pub fn edit<'a>(&'a self, state: &'a mut Writer, now: Timestamp) -> Edit<'a, S> {
        Edit { volume: self, state, now }
    }
}

impl<S: WriteStore> Edit<'_, S> {
    /// Runs one operation: all of it is kept, or all of it taken back.
    pub(super) fn attempt<R>(&mut self, operation: impl FnOnce(&mut Self) -> EditResult<R, S>) -> EditResult<R, S> {
        let result = operation(self);
        match &result {
            Ok(_) => {
                self.volume.store().with_changes(&mut |changes| changes.keep());
                self.state.held.keep();
                self.state.orphans.keep();
            }
            Err(_) => {
                self.volume.store().with_changes(&mut |changes| changes.take_back());
                self.state.held.take_back();
                self.state.windows.clear();
                self.state.orphans.take_back();
                self.state.attribute_blocks.clear();
            }
        }
        result
    }

    /// As [`attempt`](Self::attempt), on a copy of `inode` that replaces it when all went well.
    pub(super) fn attempt_on<R>(
        &mut self,
        inode: &mut Inode,
        operation: impl FnOnce(&mut Self, &mut Inode) -> EditResult<R, S>,
    ) -> EditResult<R, S> {
        let mut copy = inode.clone();
        let result = self.attempt(|edit| operation(edit, &mut copy))?;
        *inode = copy;
        Ok(result)
    }

    /// Replaces bytes of a block of metadata.
    pub(super) fn modify(&mut self, block: u64, offset: usize, bytes: &[u8]) -> EditResult<(), S> {
        let store = self.volume.store();
        let mut there = false;
        store.with_changes(&mut |changes| there = changes.patch(block, offset, bytes));
        if there {
            return Ok(());
        }
        let mut content = Some(self.read_whole(block)?);
        store.with_changes(&mut |changes| {
            if let Some(content) = content.take() {
                changes.enter(block, content);
            }
            changes.patch(block, offset, bytes);
        });
        Ok(())
    }

    /// Gives a block of metadata a whole new content, without reading it.
    pub(super) fn replace(&mut self, block: u64, content: Box<[u8]>) {
        let mut content = Some(content);
        self.volume.store().with_changes(&mut |changes| {
            if let Some(content) = content.take() {
                changes.enter(block, content);
            }
        });
    }

    /// A block of metadata, as it is now.
    pub(super) fn read_whole(&self, block: u64) -> EditResult<Box<[u8]>, S> {
        let mut content = self.block_buffer()?;
        self.volume.read_in_block(block, 0, &mut content)?;
        Ok(content.into_boxed_slice())
    }

    /// A block of zeros.
    pub(super) fn block_buffer(&self) -> EditResult<Vec<u8>, S> {
        self.buffer(self.volume.geometry().block_size())
    }

    /// So many zeros.
    pub(super) fn buffer(&self, len: usize) -> EditResult<Vec<u8>, S> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(len).map_err(|_| Error::NoMemory)?;
        buffer.resize(len, 0);
        Ok(buffer)
    }

    /// Writes `inode` to its table.
    pub(super) fn write_inode(&mut self, inode: &Inode) -> EditResult<(), S> {
        let (block, offset) = self.volume.inode_place(inode.number)?;
        let len = self.volume.inode_record_len();
        let mut record = [0; RECORD_BYTES];
        self.volume.read_in_block(block, offset, &mut record[..len])?;
        inode.encode(&mut record, len);
        self.modify(block, offset, &record[..len])
    }

    /// Writes attributes, owner, times and size as they are in `inode`.
    pub fn update(&mut self, inode: &Inode) -> EditResult<(), S> {
        self.attempt(|edit| edit.write_inode(inode))
    }

    /// Sets a field of the superblock.
    pub(super) fn set_superblock<T: LittleEndian>(&mut self, field: Field<T>, value: T) -> EditResult<(), S> {
        let mut bytes = [0; 8];
        value.store(&mut bytes);
        let (block, offset) = self.volume.superblock_place();
        self.modify(block, offset + field.offset(), &bytes[..size_of::<T>()])
    }

    /// Adds to the number of free blocks, in the superblock and the group.
    pub(super) fn count_blocks(&mut self, group: u32, by: i64) -> EditResult<(), S> {
        self.count_in_superblock(S_FREE_BLOCKS_COUNT, by)?;
        self.count_in_group(group, group::BG_FREE_BLOCKS_COUNT, by)
    }

    /// Adds to the number of free inodes, and, if they are directories, takes that from the number of those.
    pub(super) fn count_inodes(&mut self, group: u32, by: i64, directories: bool) -> EditResult<(), S> {
        self.count_in_superblock(S_FREE_INODES_COUNT, by)?;
        self.count_in_group(group, group::BG_FREE_INODES_COUNT, by)?;
        if directories { self.count_in_group(group, group::BG_USED_DIRS_COUNT, -by) } else { Ok(()) }
    }

    fn count_in_superblock(&mut self, field: Field<u32>, by: i64) -> EditResult<(), S> {
        let (block, offset) = self.volume.superblock_place();
        let mut bytes = [0; 4];
        self.volume.read_in_block(block, offset + field.offset(), &mut bytes)?;
        let old = u32::from_le_bytes(bytes);
        let new = u32::try_from(i64::from(old) + by)
            .map_err(|_| field.corrupt(Place::Superblock, old, "must count what the bitmaps show as free"))?;
        self.set_superblock(field, new)
    }

    fn count_in_group(&mut self, group: u32, field: Field<u16>, by: i64) -> EditResult<(), S> {
        let (block, offset) = self.volume.group_place(group)?;
        let mut record = [0; group::LEN_BYTES];
        self.volume.read_in_block(block, offset, &mut record)?;
        let old = field.get(&record);
        let new = u16::try_from(i64::from(old) + by)
            .map_err(|_| field.corrupt(Place::Group(group), old, "must count what the bitmap shows"))?;
        self.modify(block, offset + field.offset(), &new.to_le_bytes())
    }

    /// The dates of a change of content.
    pub(super) fn touch(&self, inode: &mut Inode) {
        inode.modified = self.now;
        inode.changed = self.now;
    }

    /// Blocks that have changed in the running transaction.
    pub fn changed_blocks(&self) -> usize {
        let mut count = 0;
        self.volume.store().with_changes(&mut |changes| count = changes.len());
        count
    }

    /// Whether the running transaction should be committed before the next operation.
    pub fn is_full(&self) -> bool {
        self.changed_blocks() > self.state.transaction_limit()
    }

    /// The inodes are used no more: what was set aside for them is free again.
    pub fn forget(&mut self, inodes: impl Iterator<Item = u32>) {
        inodes.for_each(|inode| self.state.forget(inode));
    }

    /// Freed blocks that a checkpoint would make free to use.
    pub fn held_blocks(&self) -> u64 {
        self.state.held_blocks()
    }

    /// `by` blocks more or less in `i_blocks`.
    pub(super) fn count_sectors(&self, inode: &mut Inode, by: i64) -> EditResult<(), S> {
        let sectors = by << (self.volume.geometry().block_shift - 9);
        let count = u32::try_from(i64::from(inode.sectors_count) + sectors);
        inode.sectors_count = match count {
            Ok(count) => count,
            Err(_) if by > 0 => return Err(Error::TooLarge { inode: inode.number, field: "i_blocks" }),
            Err(_) => return Err(inode::wrong_sectors(inode).into()),
        };
        Ok(())
    }
}
