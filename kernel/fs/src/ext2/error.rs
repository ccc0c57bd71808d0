//! What can go wrong, precise enough that the message names the record, the field, its value and the rule it breaks.

use core::fmt;

use super::features;
use crate::FileType;

/// Why an operation on an ext2 file system failed. `E` is the error of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<E> {
    /// The store could not read or write.
    Store(E),
    /// A value on the device breaks a rule of the format.
    Corrupt(Corruption),
    /// The file system or the inode uses something that this code does not know.
    Unsupported(Unsupported),
    /// Not a number that names a file: 0, reserved, or above `s_inodes_count`.
    BadInodeNumber {
        /// The number asked for.
        inode: u32,
    },
    /// A block group that the file system does not have.
    BadGroupNumber {
        /// The number asked for.
        group: u32,
    },
    /// The inode is free, so whatever led there is stale.
    InodeNotInUse {
        /// The number asked for.
        inode: u32,
    },
    /// A directory was needed.
    NotADirectory {
        /// The inode given.
        inode: u32,
    },
    /// Anything but a directory was needed.
    IsADirectory {
        /// The inode given.
        inode: u32,
    },
    /// A symbolic link was needed.
    NotASymlink {
        /// The inode given.
        inode: u32,
    },
    /// The file's content is not in blocks.
    NoBlockMap {
        /// The inode given.
        inode: u32,
        /// Its kind; a symbolic link here is a fast one, which is kept in the inode.
        kind: FileType,
    },
    /// The position is beyond what triple indirection reaches.
    BeyondReach {
        /// Number of the block within the file.
        file_block: u64,
    },
    /// No memory for a buffer of one block.
    NoMemory,
    /// No free block, or no free inode.
    NoSpace,
    /// The file, the link count or the directory would get larger than the format can say.
    TooLarge {
        /// The inode that has grown.
        inode: u32,
        /// What of it cannot grow more: `i_size`, `i_blocks` or `i_links_count`.
        field: &'static str,
    },
    /// A directory that was to be removed has entries.
    NotEmpty {
        /// The inode given.
        inode: u32,
    },
    /// There is no such name in the directory.
    NoEntry {
        /// The directory's inode.
        directory: u32,
    },
    /// The name is taken.
    Exists {
        /// The directory's inode.
        directory: u32,
    },
    /// An attribute was to be new, and is there.
    AttributeExists {
        /// The inode given.
        inode: u32,
    },
    /// There is no such attribute.
    NoAttribute {
        /// The inode given.
        inode: u32,
    },
    /// Not a name: empty, longer than 255 bytes, or a target of a symbolic link longer than a block.
    BadName,
    /// The file system cannot be written, for this reason.
    NotWritable(&'static str),
    /// The journal cannot be used, for this reason.
    Journal(&'static str),
}

/// A value on the device that breaks a rule of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corruption {
    /// The record that holds the value.
    pub place: Place,
    /// The field, as e2fsprogs names it.
    pub field: &'static str,
    /// What the field holds.
    pub value: u64,
    /// What it should have held.
    pub rule: &'static str,
}

/// A record on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The superblock at byte 1024.
    Superblock,
    /// The descriptor of this block group.
    Group(u32),
    /// The inode with this number.
    Inode(u32),
    /// A block of pointers, by its number on the device.
    PointerBlock(u64),
    /// A bitmap of blocks or inodes, by its number on the device.
    Bitmap(u64),
    /// A block of extended attributes, by its number on the device.
    Attributes(u64),
    /// An entry of a directory.
    DirEntry {
        /// The directory's inode number.
        inode: u32,
        /// Where in the directory the entry starts, in bytes.
        offset: u64,
    },
}

/// Bits that stand for something this code does not know, or knows and does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported {
    /// `s_feature_incompat`, `s_feature_ro_compat` or `i_flags`.
    pub field: &'static str,
    /// The offending bits alone.
    pub bits: u32,
}

impl<E> From<Corruption> for Error<E> {
    fn from(corruption: Corruption) -> Self {
        Error::Corrupt(corruption)
    }
}

impl<E> From<Unsupported> for Error<E> {
    fn from(unsupported: Unsupported) -> Self {
        Error::Unsupported(unsupported)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Store(error) => write!(f, "ext2: using the device: {error}"),
            Error::Corrupt(corruption) => write!(f, "ext2: {corruption}"),
            Error::Unsupported(unsupported) => write!(f, "ext2: {unsupported}"),
            Error::BadInodeNumber { inode } => write!(f, "ext2: {inode} is not the number of a file's inode"),
            Error::BadGroupNumber { group } => write!(f, "ext2: there is no block group {group}"),
            Error::InodeNotInUse { inode } => write!(f, "ext2: inode {inode} is not in use"),
            Error::NotADirectory { inode } => write!(f, "ext2: inode {inode} is not a directory"),
            Error::IsADirectory { inode } => write!(f, "ext2: inode {inode} is a directory"),
            Error::NotASymlink { inode } => write!(f, "ext2: inode {inode} is not a symbolic link"),
            Error::NoBlockMap { inode, kind } => write!(f, "ext2: inode {inode}, a {kind}, has no blocks"),
            Error::BeyondReach { file_block } => {
                write!(f, "ext2: block {file_block} of a file is beyond triple indirection")
            }
            Error::NoMemory => f.write_str("ext2: no memory for a block buffer"),
            Error::NoSpace => f.write_str("ext2: no space left"),
            Error::TooLarge { inode, field } => write!(f, "ext2: {field} of inode {inode} is at its largest"),
            Error::NotEmpty { inode } => write!(f, "ext2: directory {inode} is not empty"),
            Error::NoEntry { directory } => write!(f, "ext2: no such name in directory {directory}"),
            Error::Exists { directory } => write!(f, "ext2: the name is taken in directory {directory}"),
            Error::AttributeExists { inode } => write!(f, "ext2: inode {inode} has that attribute"),
            Error::NoAttribute { inode } => write!(f, "ext2: inode {inode} has no such attribute"),
            Error::BadName => f.write_str("ext2: a name or target of no or too many bytes"),
            Error::NotWritable(reason) => write!(f, "ext2: cannot be written: {reason}"),
            Error::Journal(reason) => write!(f, "ext2: journal: {reason}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Corruption { place, field, value, rule } = self;
        write!(f, "{place}: {field} is {value} ({value:#x}), {rule}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Superblock => f.write_str("superblock"),
            Place::Group(group) => write!(f, "descriptor of group {group}"),
            Place::Inode(inode) => write!(f, "inode {inode}"),
            Place::Bitmap(block) => write!(f, "bitmap in block {block}"),
            Place::Attributes(block) => write!(f, "extended attributes in block {block}"),
            Place::PointerBlock(block) => write!(f, "pointer block {block}"),
            Place::DirEntry { inode, offset } => write!(f, "directory {inode}, entry at byte {offset}"),
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.field)?;
        let mut unknown = self.bits;
        for (bit, name) in features::names(self.field) {
            if self.bits & bit != 0 {
                write!(f, " {name} ({bit:#x})")?;
                unknown &= !bit;
            }
        }
        if unknown != 0 {
            write!(f, " unknown bits {unknown:#x}")?;
        }
        f.write_str(" not supported")
    }
}
