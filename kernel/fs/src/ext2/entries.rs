//! Changing the entries of a directory: entering, removing and retargeting names, linearly.
//!
//! A directory with an index (dir_index) loses the mark that it has one: what the index was looks like unused records, so
//! the directory stays whole as a linear one, for e2fsck too.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::dir::corrupt;
use super::dirent::{NAME_MAX, NewEntry, Records, Rules, used_bytes};
use super::edit::{Edit, EditResult};
use super::error::Error;
use super::features;
use super::inode::Inode;
use crate::WriteStore;

impl<S: WriteStore> Edit<'_, S> {
    /// Enters a name, which must be free, behind the last entry that leaves room for it, or in a new block.
    pub(super) fn enter(&mut self, directory: &mut Inode, entry: NewEntry<'_>) -> EditResult<(), S> {
        if entry.name.is_empty()
            || entry.name.len() > NAME_MAX
            || entry.name.iter().any(|byte| matches!(byte, 0 | b'/'))
        {
            return Err(Error::BadName);
        }
        let rules = Rules::of(self.volume.superblock());
        let shift = self.volume.geometry().block_shift;
        let hint = self.state.room_hints.get(&directory.number).copied().unwrap_or(0);
        self.changes_entries(directory);
        let mut blocks = self.volume.blocks_of(directory, hint >> shift)?;
        blocks.buffer = core::mem::take(&mut self.state.scratch);
        let mut found = None;
        while let Some(base) = blocks.read_next()? {
            for record in Records::from(&blocks.buffer, hint.saturating_sub(base) as usize, rules) {
                let record = record.map_err(|defect| corrupt(directory, base, defect))?;
                if Rules::has_room(&record, entry.name.len()) {
                    found = Some((record.offset, record.len, used_bytes(&record)));
                    break;
                }
            }
            if let Some(record) = found {
                let (block, mut content) = (blocks.block, core::mem::take(&mut blocks.buffer));
                for range in rules.enter(&mut content, record, entry).into_iter().filter(|range| !range.is_empty()) {
                    self.modify(block, range.start, &content[range])?;
                }
                self.state.scratch = content;
                // No room before here, at least for a name of this length; short ones lose little.
                self.state.hint_room(directory.number, base + record.0 as u64);
                return self.wrote_entries(directory);
            }
        }
        drop(blocks);
        self.enter_in_new_block(directory, rules, entry)
    }

    fn enter_in_new_block(&mut self, directory: &mut Inode, rules: Rules, entry: NewEntry<'_>) -> EditResult<(), S> {
        let shift = self.volume.geometry().block_shift;
        let number = directory.size >> shift;
        let size = u32::try_from((number + 1) << shift);
        let size = size.map_err(|_| Error::TooLarge { inode: directory.number, field: "i_size" })?;
        self.fill_holes(directory, number, 1, &mut Vec::new())?;
        let block = self.volume.map_block(directory, number)?.ok_or(Error::NoSpace)?;
        let mut content = self.block_buffer()?;
        let len = content.len();
        rules.write(&mut content, 0, len, entry);
        self.replace(block, content.into_boxed_slice());
        directory.size = size.into();
        self.state.hint_room(directory.number, number << shift);
        self.wrote_entries(directory)
    }

    /// Removes `name`.
    pub(super) fn remove_entry(&mut self, directory: &mut Inode, name: &[u8]) -> EditResult<(), S> {
        let shift = self.volume.geometry().block_shift;
        self.changes_entries(directory);
        let hint = self.state.removal_hints.get(&directory.number).copied().unwrap_or(0);
        let found = self.find_entry(directory, name, hint)?;
        self.state.hint_removal(directory.number, found.base >> shift);
        let Found { base, block, mut content, before, record } = found;
        Rules::remove(&mut content, before, record);
        let offset = before.map_or(record.0, |(offset, _)| offset);
        self.modify(block, offset, &content[offset..offset + 8])?;
        self.state.scratch = content;
        if let Some(hint) = self.state.room_hints.get_mut(&directory.number) {
            // The record it leads to may be the one that has gone, in this block.
            *hint = (*hint).min(base);
        }
        self.wrote_entries(directory)
    }

    /// Lets `name`, which is there, lead to another inode.
    pub(super) fn retarget(&mut self, directory: &mut Inode, name: &[u8], target: &Inode) -> EditResult<(), S> {
        self.changes_entries(directory);
        let Found { block, mut content, record: (offset, _), .. } = self.find_entry(directory, name, 0)?;
        Rules::of(self.volume.superblock()).retarget(&mut content, offset, target.number, target.kind);
        self.modify(block, offset, &content[offset..offset + 8])?;
        self.state.scratch = content;
        self.wrote_entries(directory)
    }

    /// Finds `name`, first from block `hint` of the directory on.
    fn find_entry(&mut self, directory: &Inode, name: &[u8], hint: u64) -> EditResult<Found, S> {
        let found = match self.find_entry_from(directory, name, hint)? {
            None if hint > 0 => self.find_entry_from(directory, name, 0)?,
            found => found,
        };
        found.ok_or(Error::NoEntry { directory: directory.number })
    }

    fn find_entry_from(&mut self, directory: &Inode, name: &[u8], first: u64) -> EditResult<Option<Found>, S> {
        let rules = Rules::of(self.volume.superblock());
        let mut blocks = self.volume.blocks_of(directory, first)?;
        blocks.buffer = core::mem::take(&mut self.state.scratch);
        while let Some(base) = blocks.read_next()? {
            let mut before = None;
            let mut found = None;
            for record in Records::of(&blocks.buffer, rules) {
                let record = record.map_err(|defect| corrupt(directory, base, defect))?;
                if record.inode != 0 && record.name == name {
                    found = Some((record.offset, record.len));
                    break;
                }
                before = Some((record.offset, record.len));
            }
            if let Some(record) = found {
                let content = core::mem::take(&mut blocks.buffer);
                return Ok(Some(Found { base, block: blocks.block, content, before, record }));
            }
        }
        Ok(None)
    }

    /// Fails unless the directory has no entries but `.` and `..`.
    pub(super) fn check_empty(&self, directory: &Inode) -> EditResult<(), S> {
        let mut empty = true;
        self.volume.read_dir(directory, 0, |entry| {
            empty = matches!(entry.name, b"." | b"..");
            if empty { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if empty { Ok(()) } else { Err(Error::NotEmpty { inode: directory.number }) }
    }

    /// The first block of a new directory.
    pub(super) fn first_block(&mut self, directory: &mut Inode, parent: u32) -> EditResult<(), S> {
        use crate::FileType::Directory;
        let rules = Rules::of(self.volume.superblock());
        self.fill_holes(directory, 0, 1, &mut Vec::new())?;
        let block = self.volume.map_block(directory, 0)?.ok_or(Error::NoSpace)?;
        let mut content = self.block_buffer()?;
        let len = content.len();
        rules.write(&mut content, 0, 12, NewEntry { inode: directory.number, kind: Directory, name: b"." });
        rules.write(&mut content, 12, len - 12, NewEntry { inode: parent, kind: Directory, name: b".." });
        self.replace(block, content.into_boxed_slice());
        directory.size = len as u64;
        Ok(())
    }

    fn changes_entries(&self, directory: &mut Inode) {
        directory.flags &= !features::INODE_FLAG_INDEX;
    }

    fn wrote_entries(&mut self, directory: &mut Inode) -> EditResult<(), S> {
        self.touch(directory);
        self.write_inode(directory)
    }
}

/// An entry, and what is needed to change it.
struct Found {
    /// Byte offset of its block in the directory.
    base: u64,
    block: u64,
    content: Vec<u8>,
    /// Offset and length of the record before it in the block.
    before: Option<(usize, usize)>,
    /// Its own offset and length.
    record: (usize, usize),
}
