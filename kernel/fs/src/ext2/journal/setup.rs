//! Beginning and ending to write.
//!
//! While there is no journal yet, or no longer, changes go to their places directly, each step made safe before the next:
//! after a power cut between them `e2fsck -p` finds a file system that is marked as mounted, and at worst a journal
//! inode that nobody uses.

use alloc::vec::Vec;

use super::super::edit::{Edit, EditResult};
use super::super::error::Error;
use super::super::features;
use super::super::inode::{Inode, POINTERS, Timestamp};
use super::super::superblock::{
    S_FEATURE_COMPAT, S_FEATURE_INCOMPAT, S_JNL_BACKUP_TYPE, S_JNL_BLOCKS, S_JOURNAL_INUM, S_MNT_COUNT, S_MTIME,
    S_STATE, S_WTIME, STATE_VALID,
};
use super::super::trim::Progress;
use super::super::volume::Ext2;
use super::super::writer::{Journal, Writer};
use super::{INODE, LEAST_BLOCKS, MOST_BLOCKS, format};
use crate::{FileType, WriteStore};

impl<S: WriteStore> Ext2<S> {
    /// Begins to write: the file system is marked as mounted, gets a journal if it has none and there is room for one,
    /// and what the last mount left without a name is freed. `recovered` is what [`recover`](super::recover) said.
    pub fn begin_writing(&self, recovered: bool, now: Timestamp) -> Result<Writer, Error<S::Error>> {
        self.writable()?;
        if !recovered && !self.superblock().is_clean() {
            return Err(Error::NotWritable("it was not unmounted cleanly or has errors; e2fsck repairs it"));
        }
        let mut writer = Writer::new(None, true);
        let mut edit = self.edit(&mut writer, now);
        edit.attempt(|edit| edit.mark_mounted())?;
        edit.commit()?;
        let journal = edit.find_or_make_journal()?;
        if journal.is_some() {
            edit.attempt(|edit| edit.mark_journal(true, true))?;
            edit.commit()?;
            edit.state.journal = journal;
            edit.empty_log(false)?;
        }
        edit.adopt_orphans()?;
        edit.commit()?;
        Ok(writer)
    }
}

impl<S: WriteStore> Edit<'_, S> {
    /// Ends writing: all is written to its place, a temporary journal goes, and the file system is marked as clean.
    /// Orphans, if there are any, are left for the next mount.
    pub fn end_writing(&mut self) -> EditResult<(), S> {
        self.commit()?;
        self.empty_log(true)?;
        if let Some(journal) = self.state.journal.take() {
            self.state.held.release(true);
            self.attempt(|edit| edit.mark_journal(!journal.temporary, false))?;
            self.commit()?;
            if journal.temporary {
                self.remove_journal()?;
            }
        }
        let clean = if self.state.was_clean { STATE_VALID } else { 0 };
        let state = S_STATE.get(&self.volume.superblock_record()?) | clean;
        self.attempt(|edit| edit.set_superblock(S_STATE, state))?;
        self.commit()
    }

    fn mark_mounted(&mut self) -> EditResult<(), S> {
        let record = self.volume.superblock_record()?;
        let now = u32::try_from(self.now.seconds).unwrap_or(u32::MAX);
        self.set_superblock(S_STATE, S_STATE.get(&record) & !STATE_VALID)?;
        self.set_superblock(S_MNT_COUNT, S_MNT_COUNT.get(&record).saturating_add(1))?;
        self.set_superblock(S_MTIME, now)?;
        self.set_superblock(S_WTIME, now)
    }

    /// Says in the superblock whether there is a journal, and whether it must be replayed.
    fn mark_journal(&mut self, there: bool, in_use: bool) -> EditResult<(), S> {
        let record = self.volume.superblock_record()?;
        let with = |bits: u32, bit: u32, on: bool| if on { bits | bit } else { bits & !bit };
        let compat = with(S_FEATURE_COMPAT.get(&record), features::COMPAT_HAS_JOURNAL, there);
        let incompat = with(S_FEATURE_INCOMPAT.get(&record), features::INCOMPAT_RECOVER, in_use);
        self.set_superblock(S_FEATURE_COMPAT, compat)?;
        self.set_superblock(S_FEATURE_INCOMPAT, incompat)?;
        self.set_superblock(S_JOURNAL_INUM, if there { INODE } else { 0 })?;
        // A copy of where the journal is, for the case that the inode is damaged.
        let mut copy = [0; 4 * (POINTERS + 2)];
        if there {
            let inode = self.volume.inode_in_use(INODE)?;
            let words = inode.block.iter().copied().chain([(inode.size >> 32) as u32, inode.size as u32]);
            for (bytes, word) in copy.chunks_exact_mut(4).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        self.set_superblock(S_JNL_BACKUP_TYPE, u8::from(there))?;
        let (block, offset) = self.volume.superblock_place();
        self.modify(block, offset + S_JNL_BLOCKS, &copy)
    }

    /// The journal that is there, or a new one; none if there is too little room.
    fn find_or_make_journal(&mut self) -> EditResult<Option<Journal>, S> {
        let record = self.volume.superblock_record()?;
        if S_FEATURE_COMPAT.get(&record) & features::COMPAT_HAS_JOURNAL != 0 {
            return Journal::load(self.volume).map(Some);
        }
        let geometry = *self.volume.geometry();
        let count = (geometry.blocks_count / 32).clamp(LEAST_BLOCKS, MOST_BLOCKS);
        // A journal that fills most of what is free would be in the way of the files it is to protect.
        let free = self.volume.statfs()?.blocks_free;
        if free < count + count / 2 || self.volume.superblock().revision == 0 || geometry.first_inode <= INODE {
            return Ok(None);
        }
        let mut inode = self.journal_inode();
        inode.size = count << geometry.block_shift;
        let made = self.attempt(|edit| {
            edit.fill_holes(&mut inode, 0, count, &mut Vec::new())?;
            let (block, offset) = edit.volume.inode_place(INODE)?;
            let mut record = edit.block_buffer()?;
            record.truncate(geometry.inode_size as usize);
            Inode::lay_out(&mut record);
            edit.modify(block, offset, &record)?;
            edit.write_inode(&inode)
        });
        match made {
            Ok(()) => {}
            Err(Error::NoSpace) => return Ok(None),
            Err(error) => return Err(error),
        }
        self.state.forget(INODE);
        self.clear_journal(&inode, count)?;
        self.commit()?;
        Journal::of(self.volume, &inode).map(Some)
    }

    fn journal_inode(&self) -> Inode {
        Inode {
            number: INODE,
            kind: FileType::Regular,
            mode: FileType::Regular.mode_bits() | 0o600,
            uid: 0,
            gid: 0,
            size: 0,
            links_count: 1,
            sectors_count: 0,
            flags: 0,
            generation: 0,
            attributes_block: 0,
            accessed: self.now,
            changed: self.now,
            modified: self.now,
            created: None,
            block: [0; POINTERS],
        }
    }

    /// Writes the journal's superblock, and zeros over the log: what lies there may be an older journal.
    fn clear_journal(&mut self, inode: &Inode, count: u64) -> EditResult<(), S> {
        const ZEROS: usize = 64 * 1024;
        let geometry = *self.volume.geometry();
        let mut zeros = Vec::new();
        zeros.try_reserve_exact(ZEROS).map_err(|_| Error::NoMemory)?;
        zeros.resize(ZEROS, 0);
        let at_once = (ZEROS >> geometry.block_shift) as u64;
        let mut at = 0;
        while at < count {
            let run = self.volume.map_run(inode, at, (count - at).min(at_once))?;
            let start = run.start.ok_or(Error::Journal("has a hole"))?;
            let len = (run.count << geometry.block_shift) as usize;
            self.volume.store().write_through(start << geometry.block_shift, &zeros[..len]).map_err(Error::Store)?;
            at += run.count;
        }
        let mut superblock = self.block_buffer()?;
        format::put_header(&mut superblock, format::SUPERBLOCK_V2, 0);
        format::put(&mut superblock, format::S_BLOCKSIZE, geometry.block_size() as u32);
        format::put(&mut superblock, format::S_MAXLEN, count as u32);
        format::put(&mut superblock, format::S_FIRST, 1);
        format::put(&mut superblock, format::S_SEQUENCE, 1);
        superblock[format::S_UUID..format::S_UUID + 16].copy_from_slice(&format::TEMPORARY_UUID);
        format::put(&mut superblock, format::S_NR_USERS, 1);
        let first = self.volume.map_block(inode, 0)?.ok_or(Error::Journal("has a hole"))?;
        self.volume.store().write_through(first << geometry.block_shift, &superblock).map_err(Error::Store)?;
        self.volume.store().barrier().map_err(Error::Store)
    }

    /// Frees a temporary journal, which the superblock does not name any more.
    fn remove_journal(&mut self) -> EditResult<(), S> {
        let mut inode = self.volume.inode_in_use(INODE)?;
        loop {
            let progress = self.attempt_on(&mut inode, |edit, inode| {
                let progress = edit.cut(inode, 0)?;
                edit.write_inode(inode)?;
                Ok(progress)
            })?;
            if progress == Progress::Done {
                break;
            }
        }
        self.attempt(|edit| {
            let (block, offset) = edit.volume.inode_place(INODE)?;
            let mut zeros = edit.block_buffer()?;
            zeros.truncate(edit.volume.geometry().inode_size as usize);
            edit.modify(block, offset, &zeros)
        })?;
        self.commit()
    }
}
