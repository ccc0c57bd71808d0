//! The superblock: 1024 bytes at byte 1024 of the device, whatever the block size.
//!
//! [`Superblock::parse`] reads the fields and decides whether this is an ext2 file system whose features we know.
//! Whether its sizes make sense together and fit the device is for [`Geometry`](super::geometry::Geometry) to check.

use super::error::{Corruption, Error, Place, Unsupported};
use super::features;
use super::field::Field;

/// Where the superblock starts on the device, and how long it is, in bytes.
pub(super) const OFFSET_BYTES: u64 = 1024;
pub(super) const LEN_BYTES: usize = 1024;

pub(super) const MAGIC: u16 = 0xef53;
/// `s_state`: unmounted cleanly, and no errors seen.
pub(super) const STATE_VALID: u16 = 1;
pub(super) const STATE_ERROR: u16 = 2;
/// Revision 0 has no `s_inode_size` and `s_first_ino`; these were its values.
const GOOD_OLD_INODE_SIZE: u16 = 128;
const GOOD_OLD_FIRST_INO: u32 = 11;

pub(super) const S_INODES_COUNT: Field<u32> = Field::at(0, "s_inodes_count");
pub(super) const S_BLOCKS_COUNT: Field<u32> = Field::at(4, "s_blocks_count");
pub(super) const S_R_BLOCKS_COUNT: Field<u32> = Field::at(8, "s_r_blocks_count");
pub(super) const S_FREE_BLOCKS_COUNT: Field<u32> = Field::at(12, "s_free_blocks_count");
pub(super) const S_FREE_INODES_COUNT: Field<u32> = Field::at(16, "s_free_inodes_count");
pub(super) const S_FIRST_DATA_BLOCK: Field<u32> = Field::at(20, "s_first_data_block");
pub(super) const S_LOG_BLOCK_SIZE: Field<u32> = Field::at(24, "s_log_block_size");
pub(super) const S_BLOCKS_PER_GROUP: Field<u32> = Field::at(32, "s_blocks_per_group");
pub(super) const S_INODES_PER_GROUP: Field<u32> = Field::at(40, "s_inodes_per_group");
pub(super) const S_FIRST_INO: Field<u32> = Field::at(84, "s_first_ino");
pub(super) const S_INODE_SIZE: Field<u16> = Field::at(88, "s_inode_size");
pub(super) const S_MAGIC: Field<u16> = Field::at(56, "s_magic");
pub(super) const S_STATE: Field<u16> = Field::at(58, "s_state");
const S_REV_LEVEL: Field<u32> = Field::at(76, "s_rev_level");
pub(super) const S_FEATURE_COMPAT: Field<u32> = Field::at(92, "s_feature_compat");
pub(super) const S_DESC_SIZE: Field<u16> = Field::at(254, "s_desc_size");
pub(super) const S_BLOCKS_COUNT_HI: Field<u32> = Field::at(336, "s_blocks_count_hi");
/// Bytes of a group descriptor without the feature `64bit`.
const DESCRIPTOR_BYTES: u16 = 32;
pub(super) const S_FEATURE_INCOMPAT: Field<u32> = Field::at(96, features::INCOMPAT);
pub(super) const S_FEATURE_RO_COMPAT: Field<u32> = Field::at(100, features::RO_COMPAT);
pub(super) const S_MTIME: Field<u32> = Field::at(44, "s_mtime");
pub(super) const S_WTIME: Field<u32> = Field::at(48, "s_wtime");
pub(super) const S_MNT_COUNT: Field<u16> = Field::at(52, "s_mnt_count");
pub(super) const S_JOURNAL_INUM: Field<u32> = Field::at(224, "s_journal_inum");
pub(super) const S_LAST_ORPHAN: Field<u32> = Field::at(232, "s_last_orphan");
/// Says whether `s_jnl_blocks` holds a copy of the journal inode's `i_block`, `i_size_high` and `i_size`: 1 if so.
pub(super) const S_JNL_BACKUP_TYPE: Field<u8> = Field::at(253, "s_jnl_backup_type");
pub(super) const S_JNL_BLOCKS: usize = 268;
const S_UUID: usize = 104;
const S_VOLUME_NAME: usize = 120;

/// The superblock as it was read, not yet checked against the device.
#[derive(Debug, Clone)]
pub struct Superblock {
    /// `s_inodes_count`.
    pub inodes_count: u32,
    /// `s_blocks_count`.
    pub blocks_count: u32,
    /// `s_r_blocks_count`: blocks that only the superuser may take.
    pub reserved_blocks_count: u32,
    /// `s_free_blocks_count`.
    pub free_blocks_count: u32,
    /// `s_free_inodes_count`.
    pub free_inodes_count: u32,
    /// `s_first_data_block`: the block that holds the superblock.
    pub first_data_block: u32,
    /// `s_log_block_size`: blocks are of 1024 times two to this power bytes.
    pub log_block_size: u32,
    /// `s_blocks_per_group`.
    pub blocks_per_group: u32,
    /// `s_inodes_per_group`.
    pub inodes_per_group: u32,
    /// `s_rev_level`: 0, or 1 with variable inode size and features.
    pub revision: u32,
    /// `s_first_ino`: first inode that is not reserved.
    pub first_inode: u32,
    /// `s_inode_size` in bytes.
    pub inode_size: u16,
    /// `s_state`.
    pub state: u16,
    /// `s_feature_compat`.
    pub feature_compat: u32,
    /// `s_feature_incompat`; only bits that reading knows.
    pub feature_incompat: u32,
    /// `s_feature_ro_compat`.
    pub feature_ro_compat: u32,
    /// `s_desc_size`, or 32 without the feature `64bit`.
    pub descriptor_size: u16,
    /// `s_blocks_count_hi`, or 0 without that feature.
    pub blocks_count_high: u32,
    /// `s_uuid`.
    pub uuid: [u8; 16],
    /// `s_volume_name`, padded with zeros; see [`label`](Self::label).
    pub volume_name: [u8; 16],
}

impl Superblock {
    /// Reads the fields; fails on a wrong magic, an unknown revision or an incompatible feature but those given.
    pub(super) fn parse<E>(record: &[u8; LEN_BYTES], known_incompat: u32) -> Result<Superblock, Error<E>> {
        let magic = S_MAGIC.get(record);
        if magic != MAGIC {
            return Err(S_MAGIC.corrupt(Place::Superblock, magic, "must be 0xef53").into());
        }
        let revision = S_REV_LEVEL.get(record);
        if revision > 1 {
            return Err(S_REV_LEVEL.corrupt(Place::Superblock, revision, "must be 0 or 1").into());
        }
        let dynamic = revision == 1;
        let since_dynamic = |field: Field<u32>| if dynamic { field.get(record) } else { 0 };
        let has_64bit = since_dynamic(S_FEATURE_INCOMPAT) & features::INCOMPAT_64BIT != 0;
        let superblock = Superblock {
            inodes_count: S_INODES_COUNT.get(record),
            blocks_count: S_BLOCKS_COUNT.get(record),
            reserved_blocks_count: S_R_BLOCKS_COUNT.get(record),
            free_blocks_count: S_FREE_BLOCKS_COUNT.get(record),
            free_inodes_count: S_FREE_INODES_COUNT.get(record),
            first_data_block: S_FIRST_DATA_BLOCK.get(record),
            log_block_size: S_LOG_BLOCK_SIZE.get(record),
            blocks_per_group: S_BLOCKS_PER_GROUP.get(record),
            inodes_per_group: S_INODES_PER_GROUP.get(record),
            revision,
            first_inode: if dynamic { S_FIRST_INO.get(record) } else { GOOD_OLD_FIRST_INO },
            inode_size: if dynamic { S_INODE_SIZE.get(record) } else { GOOD_OLD_INODE_SIZE },
            state: S_STATE.get(record),
            feature_compat: since_dynamic(S_FEATURE_COMPAT),
            feature_incompat: since_dynamic(S_FEATURE_INCOMPAT),
            feature_ro_compat: since_dynamic(S_FEATURE_RO_COMPAT),
            descriptor_size: if has_64bit { S_DESC_SIZE.get(record) } else { DESCRIPTOR_BYTES },
            blocks_count_high: if has_64bit { S_BLOCKS_COUNT_HI.get(record) } else { 0 },
            uuid: sixteen_bytes(record, S_UUID),
            volume_name: sixteen_bytes(record, S_VOLUME_NAME),
        };
        match superblock.feature_incompat & !known_incompat {
            0 => Ok(superblock),
            bits => Err(Unsupported { field: features::INCOMPAT, bits }.into()),
        }
    }

    /// The volume's name: the bytes of `s_volume_name` before the first zero.
    pub fn label(&self) -> &[u8] {
        let len = self.volume_name.iter().position(|&byte| byte == 0).unwrap_or(self.volume_name.len());
        &self.volume_name[..len]
    }

    /// Whether the last one to write unmounted it, and found no error (`s_state`).
    pub fn is_clean(&self) -> bool {
        self.state & STATE_VALID != 0 && self.state & STATE_ERROR == 0
    }

    /// Whether this file system may be written; if not, the features that forbid it.
    pub fn writable(&self) -> Result<(), Unsupported> {
        match self.feature_incompat & !features::INCOMPAT_WRITABLE {
            0 => {}
            bits => return Err(Unsupported { field: features::INCOMPAT, bits }),
        }
        match self.feature_ro_compat & !features::RO_COMPAT_WRITABLE {
            0 => Ok(()),
            bits => Err(Unsupported { field: features::RO_COMPAT, bits }),
        }
    }

    /// Whether directory entries carry file types.
    pub(super) fn has_file_types(&self) -> bool {
        self.feature_incompat & features::INCOMPAT_FILETYPE != 0
    }

    /// Whether files may be mapped by extents.
    pub(super) fn has_extents(&self) -> bool {
        self.feature_incompat & features::INCOMPAT_EXTENTS != 0
    }

    /// Whether only some groups hold a copy of the superblock.
    pub(super) fn has_sparse_superblocks(&self) -> bool {
        self.feature_ro_compat & features::RO_COMPAT_SPARSE_SUPER != 0
    }
}

/// The statement that a device of `len_bytes` has no room for a superblock.
pub(super) fn too_short(len_bytes: u64) -> Corruption {
    let rule = "must be at least 2048 bytes to hold a superblock";
    Corruption { place: Place::Superblock, field: "device length", value: len_bytes, rule }
}

fn sixteen_bytes(record: &[u8; LEN_BYTES], offset: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&record[offset..offset + 16]);
    bytes
}
