//! The second extended file system (ext2), as Linux and e2fsprogs define it; field names are those of e2fsprogs.
//!
//! From the bottom up, each file using only those before it:
//! `features` the feature bits · `error` what can be wrong · `field` little-endian fields at fixed offsets ·
//! `superblock` the first record · `geometry` the checked sizes all arithmetic rests on · `group` group descriptors ·
//! `inode` one inode · `volume` the mounted file system · `map` file block to device block · `file` and `symlink`
//! content · `dirent` entries within a block · `dir` directories. Apart from these stands `bitmap`, what allocation rests
//! on.
//!
//! Reading keeps no state but what [`Ext2::mount`] checked: every later access goes through the
//! [`BlockStore`](crate::BlockStore), whose cache is the only copy of the metadata. Writing can therefore change blocks
//! in that cache without anything here going stale, under locks that the kernel holds per inode and per allocator.

mod bitmap;
mod dir;
mod dirent;
mod error;
mod features;
mod field;
mod file;
mod geometry;
mod group;
mod inode;
mod map;
mod superblock;
mod symlink;
mod volume;

pub use bitmap::Bitmap;
pub use dir::{DirEntry, Link};
pub use dirent::NAME_MAX;
pub use error::{Corruption, Error, Place, Unsupported};
pub use geometry::{Geometry, ROOT_INODE};
pub use group::Group;
pub use inode::{DeviceNumber, Inode, Timestamp};
pub use map::Run;
pub use superblock::Superblock;
pub use volume::{Ext2, Statfs};
