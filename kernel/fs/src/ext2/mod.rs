//! The second extended file system (ext2), as Linux and e2fsprogs define it, and what reading an ext4 takes more; field names are those of e2fsprogs.
//!
//! From the bottom up, each file using only those before it:
//! `features` the feature bits · `error` what can be wrong · `field` little-endian fields at fixed offsets ·
//! `superblock` the first record · `geometry` the checked sizes all arithmetic rests on · `group` group descriptors ·
//! `inode` one inode · `volume` the mounted file system · `map` and `extents` file block to device block · `file` and `symlink`
//! content · `dirent` entries within a block · `dir` directories. For writing: `bitmap` · `writer` what a writer remembers · `edit` the basis of all changes · `balloc` and `ialloc`
//! space · `grow` and `trim` what files take · `orphans` · `attributes` · `entries`, `names` and `rename` directories · `journal`.
//!
//! Reading keeps no state but what [`Ext2::mount`] checked: every later access goes through the
//! [`BlockStore`](crate::BlockStore), which keeps the metadata that is being changed beside its cache. So readers need no
//! lock against a writer but the one that keeps the directory or file they look at as it is.
//!
//! Writing: [`recover`], [`Ext2::mount`], [`Ext2::begin_writing`]; then [`Ext2::edit`] for each operation, with commits
//! ([`Edit::commit`]) in between; at last [`Edit::end_writing`].

mod attributes;
mod balloc;
mod bitmap;
mod dir;
mod dirent;
mod edit;
mod entries;
mod error;
mod extents;
mod features;
mod field;
mod file;
mod geometry;
mod group;
mod grow;
mod ialloc;
mod inode;
mod journal;
mod map;
mod names;
mod orphan_list;
mod orphans;
mod punch;
mod rename;
mod superblock;
mod symlink;
mod trim;
mod volume;
mod writer;

pub use attributes::{Attribute, Before};
pub use bitmap::Bitmap;
pub use dir::{DirEntry, Link};
pub use dirent::NAME_MAX;
pub use edit::Edit;
pub use error::{Corruption, Error, Place, Unsupported};
pub use geometry::{Geometry, ROOT_INODE};
pub use group::Group;
pub use inode::{DeviceNumber, Inode, Timestamp};
pub use journal::recover;
pub use map::Run;
pub use names::{LINKS_MAX, NewFile, NewKind};
pub use rename::Rename;
pub use superblock::Superblock;
pub use trim::Progress;
pub use volume::{Ext2, Statfs};
pub use writer::Writer;
