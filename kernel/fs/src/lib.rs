//! On-disk formats of file systems and partition tables over [`BlockStore`]: what lies where, and nothing else.
//!
//! The crate does no I/O, takes no lock and keeps no cache. `kernel/src/vfs` implements [`BlockStore`] over its page
//! cache and calls in; every method takes `&self`, so any number of tasks may read at once. Bytes from the device are
//! never trusted: each value is checked before it is used as a size, an index or an address, and a bad one comes back
//! as an error that names its field.
//!
//! FAT is the exception: [`fat`] adapts a crate that keeps what it knows of a mounted volume in memory, and takes `&mut self`.
//!
//! Tested on the host with images made by `mke2fs` (see `tests/`).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod changes;
mod file_type;
mod store;

pub mod ext2;
pub mod fat;
pub mod partition;

pub use changes::Changes;
pub use file_type::FileType;
pub use store::{BlockStore, WriteStore};
