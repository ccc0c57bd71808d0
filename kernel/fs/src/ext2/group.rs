//! Group descriptors: where each block group keeps its bitmaps and its inode table, and what it has free.

use super::error::{Corruption, Place};
use super::field::Field;
use super::geometry::{DESCRIPTOR_BYTES, Geometry};

/// Bytes of a descriptor.
pub(super) const LEN_BYTES: usize = DESCRIPTOR_BYTES as usize;

const BG_BLOCK_BITMAP: Field<u32> = Field::at(0, "bg_block_bitmap");
const BG_INODE_BITMAP: Field<u32> = Field::at(4, "bg_inode_bitmap");
const BG_INODE_TABLE: Field<u32> = Field::at(8, "bg_inode_table");
pub(super) const BG_FREE_BLOCKS_COUNT: Field<u16> = Field::at(12, "bg_free_blocks_count");
pub(super) const BG_FREE_INODES_COUNT: Field<u16> = Field::at(14, "bg_free_inodes_count");
pub(super) const BG_USED_DIRS_COUNT: Field<u16> = Field::at(16, "bg_used_dirs_count");

/// A group descriptor whose blocks are known to lie on the device, behind the superblock and the descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Block of the block bitmap.
    pub block_bitmap: u64,
    /// Block of the inode bitmap.
    pub inode_bitmap: u64,
    /// First block of the inode table.
    pub inode_table: u64,
    /// Blocks free, as the descriptor says.
    pub free_blocks_count: u16,
    /// Inodes free, as the descriptor says.
    pub free_inodes_count: u16,
    /// Inodes that are directories, as the descriptor says.
    pub used_dirs_count: u16,
}

/// First block of the inode table of group number `group`, which lies on the device.
pub(super) fn inode_table(group: u32, record: &[u8; LEN_BYTES], geometry: &Geometry) -> Result<u64, Corruption> {
    let table = BG_INODE_TABLE.get(record);
    if !geometry.contains(u64::from(table), geometry.inode_table_blocks) {
        return Err(BG_INODE_TABLE.corrupt(Place::Group(group), table, OUTSIDE));
    }
    Ok(u64::from(table))
}

impl Group {
    /// Reads the descriptor of group number `group` and checks where it points.
    pub(super) fn parse(group: u32, record: &[u8; LEN_BYTES], geometry: &Geometry) -> Result<Group, Corruption> {
        let place = Place::Group(group);
        let inode_table = inode_table(group, record, geometry)?;
        let table = inode_table..inode_table + geometry.inode_table_blocks;
        let in_table = |block: u32| table.contains(&u64::from(block));
        let bitmaps = [BG_BLOCK_BITMAP, BG_INODE_BITMAP].map(|field| (field, field.get(record)));
        for (field, block) in bitmaps {
            if !geometry.contains(u64::from(block), 1) {
                return Err(field.corrupt(place, block, OUTSIDE));
            }
            if in_table(block) {
                return Err(field.corrupt(place, block, "must not lie in the group's inode table"));
            }
        }
        let [(_, block_bitmap), (_, inode_bitmap)] = bitmaps;
        if block_bitmap == inode_bitmap {
            return Err(BG_INODE_BITMAP.corrupt(place, inode_bitmap, "must not be bg_block_bitmap as well"));
        }
        Ok(Group {
            block_bitmap: u64::from(block_bitmap),
            inode_bitmap: u64::from(inode_bitmap),
            inode_table,
            free_blocks_count: BG_FREE_BLOCKS_COUNT.get(record),
            free_inodes_count: BG_FREE_INODES_COUNT.get(record),
            used_dirs_count: BG_USED_DIRS_COUNT.get(record),
        })
    }
}

/// Number of groups among `group_count` that start with a copy of the superblock and of the group descriptors.
pub(super) fn superblock_copies(group_count: u32, sparse: bool) -> u64 {
    if !sparse {
        return u64::from(group_count);
    }
    let powers = |base: u64| {
        core::iter::successors(Some(base), move |power| Some(power * base))
            .take_while(|&power| power < u64::from(group_count))
            .count() as u64
    };
    u64::from(group_count.min(2)) + powers(3) + powers(5) + powers(7)
}

const OUTSIDE: &str = "must lie on the device, behind the group descriptors";

#[cfg(test)]
mod tests {
    use super::superblock_copies;

    #[test]
    fn sparse_copies_sit_in_groups_0_1_and_powers_of_3_5_and_7() {
        // 0 1 3 5 7 9 25 27 49
        let counts = [(1, 1), (2, 2), (3, 2), (4, 3), (8, 5), (10, 6), (26, 7), (28, 8), (50, 9)];
        for (groups, copies) in counts {
            assert_eq!(superblock_copies(groups, true), copies, "{groups} groups");
        }
        assert_eq!(superblock_copies(50, false), 50);
        assert!(superblock_copies(u32::MAX, true) < 60);
    }
}
