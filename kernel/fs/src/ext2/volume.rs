//! A mounted ext2 file system: the store, and what mounting checked about it.

use super::error::{Error, Unsupported};
use super::features;
use super::geometry::{Geometry, ROOT_INODE};
use super::group::{self, Group};
use super::inode::{self, Inode};
use super::superblock::{self, Superblock};
use crate::{BlockStore, FileType};

/// An ext2 file system on `store`. Immutable; share it freely.
pub struct Ext2<S> {
    store: S,
    geometry: Geometry,
    superblock: Superblock,
}

/// What `statfs(2)` wants to know, in blocks of `block_size` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statfs {
    /// `f_bsize`.
    pub block_size: u64,
    /// `f_blocks`: blocks for content, without those of the file system's own tables.
    pub blocks: u64,
    /// `f_bfree`.
    pub blocks_free: u64,
    /// `f_bavail`: those free for all, beyond the superuser's reserve.
    pub blocks_available: u64,
    /// `f_files`.
    pub inodes: u64,
    /// `f_ffree`.
    pub inodes_free: u64,
    /// `f_fsid`, from the two halves of `s_uuid`.
    pub id: u64,
}

impl<S: BlockStore> Ext2<S> {
    /// Mounts the file system on `store`: checks the superblock, every group descriptor, and that the root is a
    /// directory. Reads one descriptor per group; keeps no buffer.
    pub fn mount(store: S) -> Result<Self, Error<S::Error>> {
        let volume = Self::open(store, features::INCOMPAT_READABLE)?;
        let root = volume.read_inode(ROOT_INODE)?;
        if root.kind != FileType::Directory {
            return Err(inode::wrong_kind(&root, "the root must be a directory").into());
        }
        Ok(volume)
    }

    /// As [`mount`](Self::mount) for a file system with these incompatible features, without a look at the root.
    pub(super) fn open(store: S, known_incompat: u32) -> Result<Self, Error<S::Error>> {
        let len_bytes = store.len_bytes();
        let mut record = [0; superblock::LEN_BYTES];
        if len_bytes < superblock::OFFSET_BYTES + superblock::LEN_BYTES as u64 {
            return Err(superblock::too_short(len_bytes).into());
        }
        store.read(superblock::OFFSET_BYTES, &mut record).map_err(Error::Store)?;
        let superblock = Superblock::parse(&record, known_incompat)?;
        let geometry = Geometry::check(&superblock, len_bytes)?;
        let volume = Ext2 { store, geometry, superblock };
        for group in 0..geometry.group_count {
            volume.group(group)?;
        }
        Ok(volume)
    }

    /// The superblock as it was at mount.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The checked sizes.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Whether this file system may be written; if not, the features that forbid it.
    pub fn writable(&self) -> Result<(), Unsupported> {
        self.superblock.writable()
    }

    /// The store it was mounted from.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Figures for `statfs(2)`. The free counts are those on the store now.
    pub fn statfs(&self) -> Result<Statfs, Error<S::Error>> {
        let now = Superblock::parse(&self.superblock_record()?, u32::MAX)?;
        let geometry = &self.geometry;
        let copies = group::superblock_copies(geometry.group_count, self.superblock.has_sparse_superblocks());
        let overhead = geometry.first_data_block
            + copies * (1 + geometry.descriptor_blocks)
            + u64::from(geometry.group_count) * (2 + geometry.inode_table_blocks);
        let blocks_free = u64::from(now.free_blocks_count);
        let (upper, lower) = self.superblock.uuid.split_at(8);
        let half = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        Ok(Statfs {
            block_size: geometry.block_size() as u64,
            blocks: geometry.blocks_count.saturating_sub(overhead),
            blocks_free,
            blocks_available: blocks_free.saturating_sub(u64::from(now.reserved_blocks_count)),
            inodes: u64::from(geometry.inodes_count),
            inodes_free: u64::from(now.free_inodes_count),
            id: half(upper) ^ half(lower),
        })
    }

    /// The superblock as it is now.
    pub(super) fn superblock_record(&self) -> Result<[u8; superblock::LEN_BYTES], Error<S::Error>> {
        let mut record = [0; superblock::LEN_BYTES];
        let (block, offset) = self.superblock_place();
        self.read_in_block(block, offset, &mut record)?;
        Ok(record)
    }

    /// Block and offset in it of the superblock.
    pub(super) fn superblock_place(&self) -> (u64, usize) {
        let offset = superblock::OFFSET_BYTES;
        (offset >> self.geometry.block_shift, offset as usize & (self.geometry.block_size() - 1))
    }

    /// The descriptor of `group`, counted from 0.
    pub fn group(&self, group: u32) -> Result<Group, Error<S::Error>> {
        Ok(Group::parse(group, &self.group_record(group)?, &self.geometry)?)
    }

    fn group_record(&self, group: u32) -> Result<[u8; group::LEN_BYTES], Error<S::Error>> {
        let (block, offset) = self.group_place(group)?;
        let mut record = [0; group::LEN_BYTES];
        self.read_in_block(block, offset, &mut record)?;
        Ok(record)
    }

    /// Block and offset in it of the descriptor of `group`.
    pub(super) fn group_place(&self, group: u32) -> Result<(u64, usize), Error<S::Error>> {
        if group >= self.geometry.group_count {
            return Err(Error::BadGroupNumber { group });
        }
        let offset = u64::from(group) * u64::from(self.geometry.descriptor_bytes);
        let block = self.geometry.first_data_block + 1 + (offset >> self.geometry.block_shift);
        Ok((block, offset as usize & (self.geometry.block_size() - 1)))
    }

    /// Reads inode `number`, which must be in use.
    pub fn read_inode(&self, number: u32) -> Result<Inode, Error<S::Error>> {
        if !self.geometry.names_a_file(number) {
            return Err(Error::BadInodeNumber { inode: number });
        }
        Inode::parse(number, &self.inode_record(number)?, &self.geometry)
    }

    /// As [`read_inode`](Self::read_inode), for reserved inodes too.
    pub(super) fn inode_in_use(&self, number: u32) -> Result<Inode, Error<S::Error>> {
        Inode::parse(number, &self.inode_record(number)?, &self.geometry)
    }

    /// The part of inode `number` that is read; what lies beyond the inode's size on the device is zero.
    pub(super) fn inode_record(&self, number: u32) -> Result<[u8; inode::RECORD_BYTES], Error<S::Error>> {
        let (block, offset) = self.inode_place(number)?;
        let mut record = [0; inode::RECORD_BYTES];
        self.read_in_block(block, offset, &mut record[..self.inode_record_len()])?;
        Ok(record)
    }

    /// Bytes of an inode that are read and written.
    pub(super) fn inode_record_len(&self) -> usize {
        inode::RECORD_BYTES.min(self.geometry.inode_size as usize)
    }

    /// Block and offset in it of inode `number`, which is from 1 to `s_inodes_count`.
    pub(super) fn inode_place(&self, number: u32) -> Result<(u64, usize), Error<S::Error>> {
        let geometry = &self.geometry;
        let index = number.checked_sub(1).filter(|&index| index < geometry.inodes_count);
        let index = index.ok_or(Error::BadInodeNumber { inode: number })?;
        let offset = u64::from(index % geometry.inodes_per_group) * u64::from(geometry.inode_size);
        let group = index / geometry.inodes_per_group;
        let table = group::inode_table(group, &self.group_record(group)?, geometry)?;
        Ok((table + (offset >> geometry.block_shift), offset as usize & (geometry.block_size() - 1)))
    }

    /// Fills `out` with metadata: the bytes from `offset` of `block` on, which lie within it, as they are now.
    pub(super) fn read_in_block(&self, block: u64, offset: usize, out: &mut [u8]) -> Result<(), Error<S::Error>> {
        let mut changed = false;
        self.store.with_changes(&mut |changes| changed = changes.read(block, offset, out));
        if changed { Ok(()) } else { self.read_content_at(block, offset, out) }
    }

    /// Fills `out` from byte `offset` of `block` on, as far as into the blocks behind it. The range must lie on the
    /// device.
    pub(super) fn read_content_at(&self, block: u64, offset: usize, out: &mut [u8]) -> Result<(), Error<S::Error>> {
        self.store.read((block << self.geometry.block_shift) + offset as u64, out).map_err(Error::Store)
    }
}
