//! Replaying the journal after a power cut, before anything else of the file system is read.
//!
//! Three passes over the log: how far it goes, what has been revoked, and the replay. Each visits every block of the log
//! once at most, whatever is on the device. A replay that is cut off is done again from its start.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::super::error::{Corruption, Error, Place};
use super::super::features;
use super::super::inode::Inode;
use super::super::superblock::{
    LEN_BYTES, MAGIC, S_FEATURE_COMPAT, S_FEATURE_INCOMPAT, S_JOURNAL_INUM, S_MAGIC, STATE_ERROR,
};
use super::super::volume::Ext2;
use super::super::writer::Journal;
use super::format::{self, kind_of};
use super::{INODE, LEAST_BLOCKS};
use crate::{BlockStore, WriteStore};

/// Replays the journal of the file system on `store` if that was not unmounted. Whether it was so: the file system is
/// then as sound as after an unmount. To be called before [`Ext2::mount`].
pub fn recover<S: WriteStore>(store: &S) -> Result<bool, Error<S::Error>> {
    let mut record = [0; LEN_BYTES];
    if store.len_bytes() < 2 * LEN_BYTES as u64 {
        return Ok(false);
    }
    store.read(LEN_BYTES as u64, &mut record).map_err(Error::Store)?;
    let needed = S_MAGIC.get(&record) == MAGIC
        && S_FEATURE_COMPAT.get(&record) & features::COMPAT_HAS_JOURNAL != 0
        && S_FEATURE_INCOMPAT.get(&record) & features::INCOMPAT_RECOVER != 0;
    let known = features::INCOMPAT_WRITABLE | features::INCOMPAT_RECOVER;
    if !needed || S_FEATURE_INCOMPAT.get(&record) & !known != 0 {
        // Not ours to repair; mounting names what it does not know.
        return Ok(false);
    }
    let volume = Ext2::open(store, known)?;
    check_number(&record)?;
    let mut log = Log::open(&volume, &volume.inode_in_use(INODE)?)?;
    let end = log.scan()?;
    log.replay(end)?;
    store.flush().map_err(Error::Store)?;
    log.close(end)?;
    let (block, offset) = volume.superblock_place();
    let mut record = volume.superblock_record()?;
    let incompat = S_FEATURE_INCOMPAT.get(&record) & !features::INCOMPAT_RECOVER;
    S_FEATURE_INCOMPAT.put(&mut record, incompat);
    let at = (block << volume.geometry().block_shift) + offset as u64;
    store.write(at, &record).map_err(Error::Store)?;
    store.flush().map_err(Error::Store)?;
    Ok(volume.superblock().state & STATE_ERROR == 0)
}

/// Checks which inode the superblock says is the journal.
fn check_number(record: &[u8; LEN_BYTES]) -> Result<(), Corruption> {
    match S_JOURNAL_INUM.get(record) {
        INODE => Ok(()),
        number => Err(S_JOURNAL_INUM.corrupt(Place::Superblock, number, "must be 8; others are not supported")),
    }
}

impl Journal {
    /// The journal of `volume`, whose log is empty.
    pub(super) fn load<S: BlockStore>(volume: &Ext2<S>) -> Result<Journal, Error<S::Error>> {
        check_number(&volume.superblock_record()?)?;
        Self::of(volume, &volume.inode_in_use(INODE)?)
    }

    /// The journal in `inode`, whose log is empty.
    pub(super) fn of<S: BlockStore>(volume: &Ext2<S>, inode: &Inode) -> Result<Journal, Error<S::Error>> {
        let log = Log::open(volume, inode)?;
        let temporary = log.superblock[format::S_UUID..format::S_UUID + 16] == format::TEMPORARY_UUID;
        Ok(Journal { blocks: log.blocks, first: log.first, head: log.first, sequence: log.sequence, temporary })
    }
}

/// The log of a volume that is being recovered.
struct Log<'a, S> {
    volume: &'a Ext2<S>,
    blocks: Vec<u64>,
    superblock: Vec<u8>,
    first: usize,
    /// Index of the first transaction; 0 if there is none.
    start: usize,
    /// Its sequence number.
    sequence: u32,
    /// Sequence number of the last revocation of each block.
    revoked: BTreeMap<u64, u32>,
}

impl<'a, S: BlockStore> Log<'a, S> {
    fn open(volume: &'a Ext2<S>, inode: &Inode) -> Result<Self, Error<S::Error>> {
        let shift = volume.geometry().block_shift;
        let count = inode.size >> shift;
        if count < LEAST_BLOCKS || count > volume.geometry().blocks_count {
            return Err(Error::Journal("has a size that cannot be"));
        }
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(count as usize).map_err(|_| Error::NoMemory)?;
        while (blocks.len() as u64) < count {
            let at = blocks.len() as u64;
            let run = volume.map_run(inode, at, count - at)?;
            let start = run.start.ok_or(Error::Journal("has a hole"))?;
            blocks.extend(start..start + run.count);
        }
        let mut superblock = Vec::new();
        superblock.try_reserve_exact(1 << shift).map_err(|_| Error::NoMemory)?;
        superblock.resize(1 << shift, 0);
        volume.read_content_at(blocks[0], 0, &mut superblock)?;
        let field = |offset| format::get(&superblock, offset);
        let kind = field(4);
        if field(0) != format::MAGIC || !matches!(kind, format::SUPERBLOCK_V1 | format::SUPERBLOCK_V2) {
            return Err(Error::Journal("does not begin with a superblock of its own"));
        }
        let incompat = if kind == format::SUPERBLOCK_V2 { field(format::S_FEATURE_INCOMPAT) } else { 0 };
        if incompat & !format::INCOMPAT_REVOKE != 0 {
            return Err(Error::Journal("uses features that are not supported"));
        }
        let (first, start) = (field(format::S_FIRST) as usize, field(format::S_START) as usize);
        let len = field(format::S_MAXLEN) as usize;
        if field(format::S_BLOCKSIZE) as usize != superblock.len() {
            return Err(Error::Journal("has blocks of another size than the file system"));
        }
        if first == 0 || len > blocks.len() || len <= first || start >= len || (start != 0 && start < first) {
            return Err(Error::Journal("has a log outside of itself"));
        }
        blocks.truncate(len);
        let sequence = field(format::S_SEQUENCE);
        Ok(Log { volume, blocks, first, start, sequence, superblock, revoked: BTreeMap::new() })
    }

    /// The block at `index`, and the index of the one behind it.
    fn read(&self, index: usize, block: &mut [u8]) -> Result<usize, Error<S::Error>> {
        self.volume.read_content_at(self.blocks[index], 0, block)?;
        Ok(self.behind(index, 1))
    }

    fn behind(&self, index: usize, count: usize) -> usize {
        let ring = self.blocks.len() - self.first;
        self.first + (index - self.first + count % ring) % ring
    }

    /// Finds the revocations, and returns the sequence number behind the last whole transaction.
    fn scan(&mut self) -> Result<u32, Error<S::Error>> {
        let mut pending: Vec<u64> = Vec::new();
        let mut block = self.superblock.clone();
        let (mut at, mut sequence) = (self.start, self.sequence);
        let mut left = if at == 0 { 0 } else { self.blocks.len() - self.first };
        while left > 0 {
            let next = self.read(at, &mut block)?;
            let used = match kind_of(&block, sequence) {
                Some(format::DESCRIPTOR) => 1 + format::tags(&block).count(),
                Some(format::REVOKE) => {
                    pending.extend(format::revoked(&block));
                    1
                }
                Some(format::COMMIT) => {
                    self.revoked.extend(pending.drain(..).map(|block| (block, sequence)));
                    sequence = sequence.wrapping_add(1);
                    1
                }
                _ => break,
            };
            at = self.behind(next, used - 1);
            left = left.saturating_sub(used);
        }
        Ok(sequence)
    }

    /// Whether a copy of `block` logged by transaction `sequence` must not be used.
    fn is_revoked(&self, block: u64, sequence: u32) -> bool {
        self.revoked.get(&block).is_some_and(|&by| by.wrapping_sub(sequence).cast_signed() >= 0)
    }
}

impl<S: WriteStore> Log<'_, S> {
    /// Writes what the transactions before `end` logged.
    fn replay(&self, end: u32) -> Result<(), Error<S::Error>> {
        let shift = self.volume.geometry().block_shift;
        let (mut at, mut sequence) = (self.start, self.sequence);
        let mut block = self.superblock.clone();
        let mut content = block.clone();
        while sequence != end {
            at = self.read(at, &mut block)?;
            match kind_of(&block, sequence) {
                Some(format::DESCRIPTOR) => {
                    for tag in format::tags(&block) {
                        at = self.read(at, &mut content)?;
                        if tag.escaped {
                            format::put(&mut content, 0, format::MAGIC);
                        }
                        if tag.block >= self.volume.geometry().blocks_count {
                            return Err(Error::Journal("has logged a block that is not on the device"));
                        }
                        if !self.is_revoked(tag.block, sequence) {
                            self.volume.store().write(tag.block << shift, &content).map_err(Error::Store)?;
                        }
                    }
                }
                Some(format::COMMIT) => sequence = sequence.wrapping_add(1),
                Some(_) => {}
                None => return Err(Error::Journal("has changed while it was read")),
            }
        }
        Ok(())
    }

    /// Marks the log as empty.
    fn close(&mut self, end: u32) -> Result<(), Error<S::Error>> {
        format::put(&mut self.superblock, format::S_SEQUENCE, end.wrapping_add(1));
        format::put(&mut self.superblock, format::S_START, 0);
        let at = self.blocks[0] << self.volume.geometry().block_shift;
        self.volume.store().write_through(at, &self.superblock).map_err(Error::Store)?;
        self.volume.store().barrier().map_err(Error::Store)
    }
}
