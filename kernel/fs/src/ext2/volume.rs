//! A mounted ext2 file system: the store, and what mounting checked about it.

use super::error::{Error, Unsupported};
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
        let len_bytes = store.len_bytes();
        let mut record = [0; superblock::LEN_BYTES];
        if len_bytes < superblock::OFFSET_BYTES + superblock::LEN_BYTES as u64 {
            return Err(superblock::too_short(len_bytes).into());
        }
        store.read(superblock::OFFSET_BYTES, &mut record).map_err(Error::Store)?;
        let superblock = Superblock::parse(&record)?;
        let geometry = Geometry::check(&superblock, len_bytes)?;
        let volume = Ext2 { store, geometry, superblock };
        for group in 0..geometry.group_count {
            volume.group(group)?;
        }
        let root = volume.read_inode(ROOT_INODE)?;
        if root.kind != FileType::Directory {
            return Err(inode::wrong_kind(&root, "the root must be a directory").into());
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
        let mut record = [0; superblock::LEN_BYTES];
        self.store.read(superblock::OFFSET_BYTES, &mut record).map_err(Error::Store)?;
        let now = Superblock::parse(&record)?;
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

    /// The descriptor of `group`, counted from 0.
    pub fn group(&self, group: u32) -> Result<Group, Error<S::Error>> {
        if group >= self.geometry.group_count {
            return Err(Error::BadGroupNumber { group });
        }
        let offset = u64::from(group) * group::LEN_BYTES as u64;
        let block = self.geometry.first_data_block + 1 + (offset >> self.geometry.block_shift);
        let mut record = [0; group::LEN_BYTES];
        self.read_in_block(block, offset as usize & (self.geometry.block_size() - 1), &mut record)?;
        Ok(Group::parse(group, &record, &self.geometry)?)
    }

    /// Reads inode `number`, which must be in use.
    pub fn read_inode(&self, number: u32) -> Result<Inode, Error<S::Error>> {
        let geometry = &self.geometry;
        if !geometry.names_a_file(number) {
            return Err(Error::BadInodeNumber { inode: number });
        }
        let (group, index) = ((number - 1) / geometry.inodes_per_group, (number - 1) % geometry.inodes_per_group);
        let offset = u64::from(index) * u64::from(geometry.inode_size);
        let block = self.group(group)?.inode_table + (offset >> geometry.block_shift);
        let mut record = [0; inode::RECORD_BYTES];
        let len = inode::RECORD_BYTES.min(geometry.inode_size as usize);
        self.read_in_block(block, offset as usize & (geometry.block_size() - 1), &mut record[..len])?;
        Inode::parse(number, &record, geometry)
    }

    /// Fills `out` from byte `offset` of `block` on, as far as into the blocks behind it. The range must lie on the
    /// device.
    pub(super) fn read_in_block(&self, block: u64, offset: usize, out: &mut [u8]) -> Result<(), Error<S::Error>> {
        self.store.read((block << self.geometry.block_shift) + offset as u64, out).map_err(Error::Store)
    }
}
