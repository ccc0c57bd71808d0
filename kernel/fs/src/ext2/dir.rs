//! Directories: finding a name, and listing all names.
//!
//! Directories are read block by block, linearly; the index of a hashed directory hides in records that look unused.
//! One buffer of one block is allocated per call. A directory can be no larger than the device and has no holes, so
//! the work is bounded whatever is on the disk. The caller keeps others from changing the directory meanwhile.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::dirent::{Defect, NAME_MAX, Records, Rules};
use super::error::{Corruption, Error, Place};
use super::inode::{self, Inode};
use super::map::Run;
use super::volume::Ext2;
use crate::{BlockStore, FileType};

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Inode number, from 1 to `s_inodes_count`.
    pub inode: u32,
    /// Kind of file, where entries carry it. A hint: the inode decides.
    pub kind: Option<FileType>,
}

/// One name of a directory, as [`Ext2::read_dir`] shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The name: 1 to 255 bytes, none of them 0 or a slash. Includes `.` and `..`.
    pub name: &'a [u8],
    /// What it leads to.
    pub link: Link,
    /// The cookie to go on with behind this entry (`d_off`).
    pub next: u64,
}

impl<S: BlockStore> Ext2<S> {
    /// Finds `name` in `directory`. `.` and `..` are found like all others, since they are stored like all others.
    pub fn lookup(&self, directory: &Inode, name: &[u8]) -> Result<Option<Link>, Error<S::Error>> {
        let mut blocks = self.blocks_of(directory, 0)?;
        if name.is_empty() || name.len() > NAME_MAX {
            return Ok(None);
        }
        while let Some(base) = blocks.read_next()? {
            for record in Records::of(&blocks.buffer, Rules::of(self.superblock())) {
                let record = record.map_err(|defect| corrupt(directory, base, defect))?;
                if record.inode != 0 && record.name == name {
                    return Ok(Some(Link { inode: record.inode, kind: record.kind }));
                }
            }
        }
        Ok(None)
    }

    /// Shows `visit` the entries of `directory` from `cookie` on until it breaks. Returns the cookie to go on with: that
    /// of the entry which `visit` broke at, so that it comes again, or that of the end.
    ///
    /// A cookie is a byte offset into the directory, 0 for its start. Any value is safe: one that does not point at the
    /// start of an entry, since the directory has changed or the caller made it up, goes on at the next entry.
    /// When an error comes after some entries were shown, those are good, and the `next` of the last leads to the error.
    pub fn read_dir(
        &self,
        directory: &Inode,
        cookie: u64,
        mut visit: impl FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Error<S::Error>> {
        let mut blocks = self.blocks_of(directory, cookie >> self.geometry().block_shift)?;
        while let Some(base) = blocks.read_next()? {
            for record in Records::of(&blocks.buffer, Rules::of(self.superblock())) {
                let record = record.map_err(|defect| corrupt(directory, base, defect))?;
                let position = base + record.offset as u64;
                if record.inode == 0 || position < cookie {
                    continue;
                }
                let link = Link { inode: record.inode, kind: record.kind };
                let entry = DirEntry { name: record.name, link, next: position + record.len as u64 };
                if visit(entry).is_break() {
                    return Ok(position);
                }
            }
        }
        Ok(directory.size.max(cookie))
    }

    /// The blocks of `directory` from number `first` on.
    pub(super) fn blocks_of<'a>(&'a self, directory: &'a Inode, first: u64) -> Result<Blocks<'a, S>, Error<S::Error>> {
        if directory.kind != FileType::Directory {
            return Err(Error::NotADirectory { inode: directory.number });
        }
        let geometry = self.geometry();
        if directory.size & (geometry.block_size() as u64 - 1) != 0 {
            return Err(inode::wrong_size(directory, "of a directory must be a multiple of the block size").into());
        }
        let count = directory.size >> geometry.block_shift;
        if count > geometry.blocks_count {
            return Err(inode::wrong_size(directory, "of a directory must not exceed the device").into());
        }
        Ok(Blocks {
            volume: self,
            directory,
            next: first,
            count,
            run: Run { start: None, count: 0 },
            block: 0,
            buffer: Vec::new(),
        })
    }
}

/// Reads a directory's blocks one after the other into one buffer.
pub(super) struct Blocks<'a, S> {
    volume: &'a Ext2<S>,
    directory: &'a Inode,
    /// Block to read next, of `count`.
    next: u64,
    count: u64,
    /// Where `next` and those behind it are; empty when that has to be looked up.
    run: Run,
    /// Number of the block on the device that was read last.
    pub(super) block: u64,
    pub(super) buffer: Vec<u8>,
}

impl<S: BlockStore> Blocks<'_, S> {
    /// Reads the next block into `buffer`. Returns its byte offset in the directory, or `None` at the end.
    pub(super) fn read_next(&mut self) -> Result<Option<u64>, Error<S::Error>> {
        if self.next >= self.count {
            return Ok(None);
        }
        let geometry = self.volume.geometry();
        if self.buffer.is_empty() {
            self.buffer.try_reserve_exact(geometry.block_size()).map_err(|_| Error::NoMemory)?;
            self.buffer.resize(geometry.block_size(), 0);
        }
        if self.run.count == 0 {
            self.run = self.volume.map_run(self.directory, self.next, self.count - self.next)?;
        }
        let base = self.next << geometry.block_shift;
        let Some(block) = self.run.start else {
            return Err(hole(self.directory, base).into());
        };
        self.volume.read_in_block(block, 0, &mut self.buffer)?;
        self.block = block;
        self.run = Run { start: Some(block + 1), count: self.run.count - 1 };
        self.next += 1;
        Ok(Some(base))
    }
}

pub(super) fn corrupt(directory: &Inode, base: u64, defect: Defect) -> Corruption {
    let Defect { offset, field, value, rule } = defect;
    let place = Place::DirEntry { inode: directory.number, offset: base + offset as u64 };
    Corruption { place, field, value, rule }
}

fn hole(directory: &Inode, offset: u64) -> Corruption {
    let place = Place::DirEntry { inode: directory.number, offset };
    Corruption { place, field: "block pointer", value: 0, rule: "a directory must have no holes" }
}
