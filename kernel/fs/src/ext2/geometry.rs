//! The sizes of a file system, checked once at mount so that all later arithmetic on them is safe.
//!
//! Invariants that [`Geometry::check`] establishes: a block number below `blocks_count`, times the block size, is a byte
//! inside the device; every size is nonzero; the group descriptors lie in group 0; each inode number from 1 to
//! `inodes_count` has one place in one group.

use super::error::{Corruption, Place};
use super::field::{Field, LittleEndian};
use super::superblock::{
    S_BLOCKS_COUNT, S_BLOCKS_COUNT_HI, S_BLOCKS_PER_GROUP, S_DESC_SIZE, S_FIRST_DATA_BLOCK, S_FIRST_INO,
    S_FREE_BLOCKS_COUNT, S_FREE_INODES_COUNT, S_INODE_SIZE, S_INODES_COUNT, S_INODES_PER_GROUP, S_LOG_BLOCK_SIZE,
    S_R_BLOCKS_COUNT, Superblock,
};

/// Number of the root directory's inode (`EXT2_ROOT_INO`).
pub const ROOT_INODE: u32 = 2;
/// Pointers in an inode that lead straight to data (`EXT2_NDIR_BLOCKS`).
pub(super) const DIRECT_POINTERS: usize = 12;
/// Bytes of a group descriptor.
pub(super) const DESCRIPTOR_BYTES: u64 = 32;

const MIN_INODE_SIZE: u16 = 128;
/// 1024 shifted by this is 64 KiB, the largest block size of the format.
const MAX_LOG_BLOCK_SIZE: u32 = 6;

/// Checked sizes. Block numbers and counts are in file-system blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Base-two logarithm of the block size in bytes: 10 to 16.
    pub block_shift: u32,
    /// Blocks of the file system; they all lie on the device.
    pub blocks_count: u64,
    /// The block of the superblock: 1 when blocks are of 1024 bytes, else 0.
    pub first_data_block: u64,
    /// Blocks of each group but the last, which may have fewer.
    pub blocks_per_group: u64,
    /// Number of groups.
    pub group_count: u32,
    /// Bytes from one group descriptor to the next: a power of two from 32 to 1024.
    pub descriptor_bytes: u32,
    /// Whether files may be mapped by extents.
    pub has_extents: bool,
    /// Blocks that the table of group descriptors takes.
    pub descriptor_blocks: u64,
    /// Inodes of the file system.
    pub inodes_count: u32,
    /// Inodes of each group.
    pub inodes_per_group: u32,
    /// First inode number that is not reserved.
    pub first_inode: u32,
    /// Bytes from one inode to the next: a power of two from 128 to the block size.
    pub inode_size: u32,
    /// Blocks that the inode table of one group takes.
    pub inode_table_blocks: u64,
}

impl Geometry {
    /// Checks the sizes in `superblock` against each other and against a device of `device_len_bytes`.
    pub(super) fn check(superblock: &Superblock, device_len_bytes: u64) -> Result<Geometry, Corruption> {
        let block_shift = check_block_size(superblock)?;
        let block_size = 1u64 << block_shift;
        let blocks_count = check_blocks(superblock, device_len_bytes >> block_shift, block_size)?;
        let inode_table_blocks = check_inodes(superblock, block_size)?;

        let first_data_block = u64::from(superblock.first_data_block);
        let blocks_per_group = u64::from(superblock.blocks_per_group);
        // Room for at least a bitmap of blocks, one of inodes, the inode table, and a block to use.
        demand(
            blocks_per_group > inode_table_blocks + 2,
            S_BLOCKS_PER_GROUP,
            superblock.blocks_per_group,
            "must be above the blocks that a group's own tables take",
        )?;
        // Below 2^32, since blocks_count is.
        let group_count = (blocks_count - first_data_block).div_ceil(blocks_per_group);
        demand(
            u64::from(superblock.inodes_count) == group_count * u64::from(superblock.inodes_per_group),
            S_INODES_COUNT,
            superblock.inodes_count,
            "must be s_inodes_per_group times the number of groups",
        )?;
        let descriptor_bytes = check_descriptors(superblock)?;
        let descriptor_blocks = (group_count * u64::from(descriptor_bytes)).div_ceil(block_size);
        demand(
            1 + descriptor_blocks < blocks_per_group.min(blocks_count - first_data_block),
            S_BLOCKS_COUNT,
            superblock.blocks_count,
            "its group descriptors must fit into the first group",
        )?;
        Ok(Geometry {
            block_shift,
            blocks_count,
            first_data_block,
            blocks_per_group,
            group_count: group_count as u32,
            descriptor_bytes,
            has_extents: superblock.has_extents(),
            descriptor_blocks,
            inodes_count: superblock.inodes_count,
            inodes_per_group: superblock.inodes_per_group,
            first_inode: superblock.first_inode,
            inode_size: u32::from(superblock.inode_size),
            inode_table_blocks,
        })
    }

    /// Bytes of a block: 1024 to 65536.
    pub fn block_size(&self) -> usize {
        1 << self.block_shift
    }

    /// First block behind the superblock and the group descriptors of group 0. Nothing that an inode or a descriptor
    /// points to lies before it.
    pub fn first_usable_block(&self) -> u64 {
        self.first_data_block + 1 + self.descriptor_blocks
    }

    /// Whether the `count` blocks from `first` all lie on the device and behind the superblock and its descriptors.
    pub fn contains(&self, first: u64, count: u64) -> bool {
        first >= self.first_usable_block() && first <= self.blocks_count && count <= self.blocks_count - first
    }

    /// Whether `inode` names a file: the root directory, or an inode that is not reserved.
    pub fn names_a_file(&self, inode: u32) -> bool {
        (inode == ROOT_INODE || inode >= self.first_inode) && inode <= self.inodes_count
    }

    /// Base-two logarithm of the number of block pointers in a block.
    pub(super) fn pointers_shift(&self) -> u32 {
        self.block_shift - 2
    }

    /// Blocks that the largest file can have: direct pointers and three trees of indirection.
    pub fn max_file_blocks(&self) -> u64 {
        let shift = self.pointers_shift();
        DIRECT_POINTERS as u64 + (1 << shift) + (1 << (2 * shift)) + (1 << (3 * shift))
    }

    /// Bytes of the largest file; below 2^59.
    pub fn max_file_bytes(&self) -> u64 {
        self.max_file_blocks() << self.block_shift
    }
}

fn check_block_size(superblock: &Superblock) -> Result<u32, Corruption> {
    let log = superblock.log_block_size;
    demand(log <= MAX_LOG_BLOCK_SIZE, S_LOG_BLOCK_SIZE, log, "must be at most 6, for blocks of 1024 to 65536 bytes")?;
    Ok(10 + log)
}

/// Returns `s_blocks_count`.
fn check_blocks(superblock: &Superblock, device_blocks: u64, block_size: u64) -> Result<u64, Corruption> {
    let blocks_count = superblock.blocks_count;
    let first = superblock.first_data_block;
    demand(
        first == u32::from(block_size == 1024),
        S_FIRST_DATA_BLOCK,
        first,
        "must be 1 for blocks of 1024 bytes, else 0",
    )?;
    demand(blocks_count > first, S_BLOCKS_COUNT, blocks_count, "must be above s_first_data_block")?;
    demand(
        u64::from(blocks_count) <= device_blocks,
        S_BLOCKS_COUNT,
        blocks_count,
        "must not be more than the blocks of the device",
    )?;
    let per_group = superblock.blocks_per_group;
    demand(
        per_group != 0 && u64::from(per_group) <= 8 * block_size,
        S_BLOCKS_PER_GROUP,
        per_group,
        "must be at least 1 and at most the bits of a bitmap block",
    )?;
    for (field, count) in
        [(S_FREE_BLOCKS_COUNT, superblock.free_blocks_count), (S_R_BLOCKS_COUNT, superblock.reserved_blocks_count)]
    {
        demand(count <= blocks_count, field, count, "must not be above s_blocks_count")?;
    }
    Ok(u64::from(blocks_count))
}

/// Returns the bytes of a group descriptor.
fn check_descriptors(superblock: &Superblock) -> Result<u32, Corruption> {
    let (size, high) = (superblock.descriptor_size, superblock.blocks_count_high);
    demand(
        u64::from(size) >= DESCRIPTOR_BYTES && size <= 1024 && size.is_power_of_two(),
        S_DESC_SIZE,
        size,
        "must be a power of two, at least 32 and at most 1024",
    )?;
    // No device that this could be read from is as large: 4 TiB with the smallest blocks.
    demand(high == 0, S_BLOCKS_COUNT_HI, high, "must be 0: numbers of blocks above 32 bits are not supported")?;
    Ok(u32::from(size))
}

/// Returns the number of blocks in a group's inode table.
fn check_inodes(superblock: &Superblock, block_size: u64) -> Result<u64, Corruption> {
    let size = superblock.inode_size;
    demand(
        size >= MIN_INODE_SIZE && size.is_power_of_two() && u64::from(size) <= block_size,
        S_INODE_SIZE,
        size,
        "must be a power of two, at least 128 and at most the block size",
    )?;
    let per_group = superblock.inodes_per_group;
    demand(
        per_group != 0 && u64::from(per_group) <= 8 * block_size,
        S_INODES_PER_GROUP,
        per_group,
        "must be at least 1 and at most the bits of a bitmap block",
    )?;
    let count = superblock.inodes_count;
    let first = superblock.first_inode;
    demand(
        first > ROOT_INODE && first <= count,
        S_FIRST_INO,
        first,
        "must be above the root's number and at most s_inodes_count",
    )?;
    let free = superblock.free_inodes_count;
    demand(free <= count, S_FREE_INODES_COUNT, free, "must not be above s_inodes_count")?;
    Ok((u64::from(per_group) * u64::from(size)).div_ceil(block_size))
}

fn demand<T: LittleEndian>(holds: bool, field: Field<T>, value: T, rule: &'static str) -> Result<(), Corruption> {
    if holds { Ok(()) } else { Err(field.corrupt(Place::Superblock, value, rule)) }
}
