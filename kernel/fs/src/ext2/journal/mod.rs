//! The journal: what makes a transaction whole. A power cut leaves all of its changes or none, however many blocks they
//! are in; no order of writing alone could do that for a directory that moves or a name that is replaced.
//!
//! The format is that of ext3, so that `e2fsck -p` replays it as well as [`recover`] does. A file system that comes with
//! a journal keeps it; an ext2 without one gets a temporary one while it is mounted for writing (made in inode 8, as
//! `tune2fs -j` makes it) and loses it when it is unmounted, so that it stays an ext2.
//!
//! The log is not a ring: transactions follow each other from its first block on, and when the next one has no room, all
//! that is logged is written to its place (a checkpoint), and the log begins anew. A later sequence number tells the new
//! blocks from what is left of the old. Metadata blocks are never used for anything else before a checkpoint
//! ([`Held`](super::writer::Held)), so nothing has to be revoked; revocations of others are obeyed in recovery.
//!
//! `format` the records · `commit` logging · `recover` replaying · `setup` beginning and ending to write.

mod commit;
mod format;
mod recover;
mod setup;

pub use recover::recover;

/// Inode of the journal (`EXT2_JOURNAL_INO`).
const INODE: u32 = 8;
/// Fewest blocks of a journal (`JBD2_MIN_JOURNAL_BLOCKS`).
const LEAST_BLOCKS: u64 = 1024;
const MOST_BLOCKS: u64 = 8192;
