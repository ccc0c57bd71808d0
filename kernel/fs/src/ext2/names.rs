//! Making, linking, removing and renaming files.
//!
//! The caller sees to what needs the whole tree: that a directory does not become its own descendant, that no two
//! operations work on one directory at once, and that each inode has one copy in memory.

use super::dirent::NewEntry;
use super::edit::{Edit, EditResult};
use super::error::Error;
use super::inode::{DeviceNumber, Inode, POINTERS};
use super::symlink::FAST_BYTES;
use crate::{FileType, WriteStore};

/// Most links of an inode (`EXT2_LINK_MAX`).
pub const LINKS_MAX: u16 = 32000;

/// What a new file is to be.
#[derive(Debug, Clone, Copy)]
pub enum NewKind<'a> {
    /// An empty file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(&'a [u8]),
    /// A device node.
    CharDevice(DeviceNumber),
    /// A device node.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
}

/// A file to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// What it is to be.
    pub kind: NewKind<'a>,
    /// Permission bits.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl<S: WriteStore> Edit<'_, S> {
    /// Makes a file called `name`, which must be free, in `directory`.
    pub fn create(&mut self, directory: &mut Inode, name: &[u8], new: &NewFile<'_>) -> EditResult<Inode, S> {
        self.attempt_on(directory, |edit, directory| {
            let mut inode = edit.new_inode(directory.number, new)?;
            edit.fill(&mut inode, directory, new.kind)?;
            edit.write_inode(&inode)?;
            edit.enter(directory, NewEntry { inode: inode.number, kind: inode.kind, name })?;
            Ok(inode)
        })
    }

    /// Makes a regular file that has no name, near `directory`: an orphan until it is linked.
    pub fn create_unnamed(&mut self, directory: &mut Inode, new: &NewFile<'_>) -> EditResult<Inode, S> {
        self.attempt_on(directory, |edit, directory| {
            let mut inode = edit.new_inode(directory.number, new)?;
            inode.links_count = 0;
            edit.write_inode(&inode)?;
            edit.keep_as_orphan(&inode, true)?;
            Ok(inode)
        })
    }

    /// A new inode, with one link, which is not written yet.
    fn new_inode(&mut self, directory: u32, new: &NewFile<'_>) -> EditResult<Inode, S> {
        let kind = new.kind.file_type();
        let (number, generation) = self.take_inode(directory, kind)?;
        Ok(Inode {
            number,
            kind,
            mode: kind.mode_bits() | new.permissions & 0o7777,
            uid: new.uid,
            gid: new.gid,
            size: 0,
            links_count: 1,
            sectors_count: 0,
            flags: 0,
            generation,
            attributes_block: 0,
            accessed: self.now,
            changed: self.now,
            modified: self.now,
            created: (self.volume.geometry().inode_size > 128).then_some(self.now),
            block: [0; POINTERS],
        })
    }

    fn fill(&mut self, inode: &mut Inode, directory: &mut Inode, kind: NewKind<'_>) -> EditResult<(), S> {
        match kind {
            NewKind::Regular | NewKind::Fifo | NewKind::Socket => Ok(()),
            NewKind::CharDevice(number) | NewKind::BlockDevice(number) => {
                (inode.block[0], inode.block[1]) = number.encode();
                Ok(())
            }
            NewKind::Symlink(target) => self.set_target(inode, target),
            NewKind::Directory => {
                add_link(directory)?;
                inode.links_count = 2;
                self.first_block(inode, directory.number)
            }
        }
    }

    fn set_target(&mut self, inode: &mut Inode, target: &[u8]) -> EditResult<(), S> {
        if target.is_empty() || target.contains(&0) || target.len() >= self.volume.geometry().block_size() {
            return Err(Error::BadName);
        }
        inode.size = target.len() as u64;
        if target.len() <= FAST_BYTES {
            for (word, bytes) in inode.block.iter_mut().zip(target.chunks(4)) {
                let mut padded = [0; 4];
                padded[..bytes.len()].copy_from_slice(bytes);
                *word = u32::from_le_bytes(padded);
            }
            return Ok(());
        }
        let goal = self.group_start((inode.number - 1) / self.volume.geometry().inodes_per_group);
        let block = self.take_blocks(inode, goal, 1)?.start;
        let mut content = self.block_buffer()?;
        content[..target.len()].copy_from_slice(target);
        self.replace(block, content.into_boxed_slice());
        inode.block[0] = block as u32;
        self.count_sectors(inode, 1)
    }

    /// Gives `target`, anything but a directory, another name, which must be free.
    pub fn link(&mut self, directory: &mut Inode, name: &[u8], target: &mut Inode) -> EditResult<(), S> {
        if target.kind == FileType::Directory {
            return Err(Error::IsADirectory { inode: target.number });
        }
        let mut directory_copy = directory.clone();
        self.attempt_on(target, |edit, target| {
            add_link(target)?;
            target.changed = edit.now;
            edit.write_inode(target)?;
            edit.keep_as_orphan(target, false)?;
            edit.enter(&mut directory_copy, NewEntry { inode: target.number, kind: target.kind, name })
        })?;
        *directory = directory_copy;
        Ok(())
    }

    /// Removes `name` of `target` from `directory`: a directory must be empty. When it was the last name, the inode is an
    /// orphan, to be freed by [`remove_orphan`](Self::remove_orphan) when nobody uses it.
    pub fn unlink(&mut self, directory: &mut Inode, name: &[u8], target: &mut Inode) -> EditResult<(), S> {
        let mut directory_copy = directory.clone();
        self.attempt_on(target, |edit, target| {
            edit.remove_entry(&mut directory_copy, name)?;
            edit.lose_name(&mut directory_copy, target)?;
            // Its count of links, which only a directory takes with it.
            if target.kind == FileType::Directory { edit.write_inode(&directory_copy) } else { Ok(()) }
        })?;
        *directory = directory_copy;
        Ok(())
    }

    /// `target` has lost its name in `directory`.
    pub(super) fn lose_name(&mut self, directory: &mut Inode, target: &mut Inode) -> EditResult<(), S> {
        if target.kind == FileType::Directory {
            self.check_empty(target)?;
            target.links_count = 0;
            directory.links_count = directory.links_count.saturating_sub(1);
        } else {
            target.links_count = target.links_count.saturating_sub(1);
        }
        target.changed = self.now;
        self.write_inode(target)?;
        self.keep_as_orphan(target, target.links_count == 0)
    }
}

impl NewKind<'_> {
    fn file_type(&self) -> FileType {
        match self {
            NewKind::Regular => FileType::Regular,
            NewKind::Directory => FileType::Directory,
            NewKind::Symlink(_) => FileType::Symlink,
            NewKind::CharDevice(_) => FileType::CharDevice,
            NewKind::BlockDevice(_) => FileType::BlockDevice,
            NewKind::Fifo => FileType::Fifo,
            NewKind::Socket => FileType::Socket,
        }
    }
}

pub(super) fn add_link<E>(inode: &mut Inode) -> Result<(), Error<E>> {
    if inode.links_count >= LINKS_MAX {
        return Err(Error::TooLarge { inode: inode.number, field: "i_links_count" });
    }
    inode.links_count += 1;
    Ok(())
}
