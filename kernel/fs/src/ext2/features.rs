//! Feature bits: which ones a file system may have for us to read it, and which for us to write it.
//!
//! A bit we do not know in `s_feature_incompat` forbids mounting, one in `s_feature_ro_compat` forbids writing, one in
//! `s_feature_compat` forbids nothing.

pub(super) const INCOMPAT: &str = "s_feature_incompat";
pub(super) const RO_COMPAT: &str = "s_feature_ro_compat";
pub(super) const INODE_FLAGS: &str = "i_flags";

/// `EXT2_FEATURE_INCOMPAT_FILETYPE`: directory entries carry the type of what they name.
pub(super) const INCOMPAT_FILETYPE: u32 = 0x2;
/// `EXT3_FEATURE_INCOMPAT_RECOVER`: the journal must be replayed before anything else is read.
pub(super) const INCOMPAT_RECOVER: u32 = 0x4;
/// `EXT3_FEATURE_COMPAT_HAS_JOURNAL`: `s_journal_inum` is the inode of a journal.
pub(super) const COMPAT_HAS_JOURNAL: u32 = 0x4;
/// `EXT2_INDEX_FL` of `i_flags`: the directory has an index.
pub(super) const INODE_FLAG_INDEX: u32 = 0x1000;
/// `EXT4_FEATURE_INCOMPAT_EXTENTS`: files may be mapped by extents.
pub(super) const INCOMPAT_EXTENTS: u32 = 0x40;
/// `EXT4_FEATURE_INCOMPAT_64BIT`: numbers of blocks have upper halves, and group descriptors a size of their own.
pub(super) const INCOMPAT_64BIT: u32 = 0x80;
/// `EXT4_FEATURE_INCOMPAT_FLEX_BG`: a group's tables need not lie in it.
pub(super) const INCOMPAT_FLEX_BG: u32 = 0x200;
/// `EXT4_FEATURE_INCOMPAT_CSUM_SEED`: what checksums begin with is in the superblock. They are not looked at: every value
/// that they guard is checked where it is used, as on an ext2, which has none.
pub(super) const INCOMPAT_CSUM_SEED: u32 = 0x2000;
/// All that reading understands.
pub(super) const INCOMPAT_READABLE: u32 =
    INCOMPAT_FILETYPE | INCOMPAT_EXTENTS | INCOMPAT_64BIT | INCOMPAT_FLEX_BG | INCOMPAT_CSUM_SEED;
/// All that writing and the journal understand.
pub(super) const INCOMPAT_WRITABLE: u32 = INCOMPAT_FILETYPE;

/// `EXT2_FEATURE_COMPAT_EXT_ATTR`: inodes may have blocks of extended attributes.
pub(super) const COMPAT_EXT_ATTR: u32 = 0x8;

/// `EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER`: only groups 0, 1 and powers of 3, 5 and 7 hold copies of the superblock.
pub(super) const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
/// `EXT2_FEATURE_RO_COMPAT_LARGE_FILE`: some file is, or was, 2 GiB or larger.
pub(super) const RO_COMPAT_LARGE_FILE: u32 = 0x2;
/// All that a writer has to keep up.
pub(super) const RO_COMPAT_WRITABLE: u32 = RO_COMPAT_SPARSE_SUPER | RO_COMPAT_LARGE_FILE;

/// `EXT4_EXTENTS_FL` of `i_flags`: `i_block` holds a tree of extents.
pub(super) const INODE_FLAG_EXTENTS: u32 = 0x8_0000;
/// `i_flags` that change what `i_block` holds: content encrypted or inline.
pub(super) const INODE_FLAGS_UNREADABLE: u32 = 0x800 | 0x1000_0000;

/// The bits of `field` that have a name, each with the name that e2fsprogs prints.
pub(super) fn names(field: &str) -> &'static [(u32, &'static str)] {
    match field {
        INCOMPAT => INCOMPAT_NAMES,
        RO_COMPAT => RO_COMPAT_NAMES,
        INODE_FLAGS => INODE_FLAG_NAMES,
        _ => &[],
    }
}

const INCOMPAT_NAMES: &[(u32, &str)] = &[
    (0x1, "compression"),
    (0x2, "filetype"),
    (0x4, "needs_recovery, a journal to replay"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x40, "extent"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];

const RO_COMPAT_NAMES: &[(u32, &str)] = &[
    (0x1, "sparse_super"),
    (0x2, "large_file"),
    (0x4, "btree_dir"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x80, "snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x400, "metadata_csum"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
    (0x1_0000, "orphan_present"),
];

const INODE_FLAG_NAMES: &[(u32, &str)] = &[(0x800, "encrypt"), (0x8_0000, "extents"), (0x1000_0000, "inline_data")];
