//! The virtual file system: one tree of names over all mounted file systems, and open files in it.
//!
//! From the bottom up: `flags`, `clock`, `mount_options` · [`transfer`] where bytes go · [`page_cache`] and `reclaim`, `write_back` · [`inode`] what a
//! file system gives · [`dentry`] known names, [`notify`] and `report` who watches files · `access_time`, [`location`] places and the mount table, `attributes` · [`walk`] paths · [`change`]
//! making and removing · `block_node` disks · [`device`] and [`file`] open files, `mapped` their pages · `open` · the file systems [`tmpfs`], [`devfs`], `ext2` and `fat`,
//! [`pseudo`] for those made of tables, `unnamed`, `memfd` · `binding` and [`mounting`]. System calls, the program loader and the shell call in by the names re-exported here; nothing here knows
//! them. Everything may sleep.

pub mod access;
mod access_time;
mod attributes;
mod binding;
mod block_node;
pub mod change;
mod clock;
mod dentry;
pub mod devfs;
pub mod device;
mod ext2;
mod fat;
mod file;
pub mod flags;
pub mod inode;
mod location;
mod locks;
mod mapped;
mod memfd;
mod mount_error;
mod mount_options;
mod mounting;
pub mod notify;
mod open;
mod page_cache;
pub mod pseudo;
mod read;
mod read_ahead;
mod read_dir;
mod reclaim;
mod report;
mod size_limit;
mod tests;
mod tmpfs;
mod transfer;
mod unnamed;
mod walk;
mod write;
mod write_back;

pub use access::Who;
pub use binding::{bind, move_mount};
pub use block_node::{
    BlockNode, Opened, add_block_node, block_node, block_nodes, buffer_total, remove_partitions, whole_disk,
};
pub use change::{link, make, remove_directory, remove_file, rename};
pub use devfs::{RandomFill, register_device, remove_device};
pub use device::{FileOperations, device_number, for_each_number, next_character_device, set_fifo_opener};
pub use fat::FatOptions;
pub use file::{EndWatcher, File};
pub use inode::{
    AttributeChange, DirEntry, FileSystem, FileType, Inode, Metadata, NewKind, NewNode, SetAttribute, Statistics, Time,
};
pub use location::Location;
pub use locks::{Conflict, LockKind, LockOwner, LockRange};
pub use memfd::create_in_memory;
pub use mount_error::MountError;
pub use mount_options::{AccessTimes, MountOptions};
pub use mounting::{DiskFormat, MountInfo, MountSource, TYPES, UnmountHow, disk_at, mount, mounts, remount, unmount};
pub use open::{open, open_location, open_restricted};
pub(crate) use page_cache::{Mapper, PageCache, Quota, Revoke, dirty_total, in_memory_total};
pub use reclaim::{Tries, reclaim};
pub use size_limit::{SizeLimit, set_size_limit};
pub use transfer::{Sink, SliceSink, SliceSource, Source, VecSink, outcome};
pub use walk::{lookup, resolve};
pub use write_back::{finish_all, sync_all};

use abi::Errno;
use machine::sync::Once;

/// Result of the file layer: its errors are those of system calls.
pub type Result<T> = core::result::Result<T, Errno>;

/// Where a process sees the tree from.
#[derive(Clone)]
pub struct FsContext {
    /// What `/` is.
    pub root: Location,
    /// What relative paths start from.
    pub cwd: Location,
    /// Who asks.
    pub who: Who,
}

impl FsContext {
    /// The same places as they are seen now, with what has been mounted over them.
    pub fn on_top(self) -> FsContext {
        FsContext { root: self.root.top(), cwd: self.cwd.top(), who: self.who }
    }
}

static ROOT: Once<Location> = Once::new();

/// Makes the first root with the device tree on /dev and a tmpfs on /dev/shm, so that the kernel works without a disk. `random` fills bytes with
/// random numbers, `now` is the time of day.
pub fn init(random: RandomFill, now: fn() -> Time) -> core::result::Result<(), MountError> {
    clock::set(now);
    write_back::set_also(binding::settle);
    let failed = |error| MountError::Source("rootfs".into(), error);
    let root = mounting::make_root().map_err(failed)?;
    devfs::init(random).map_err(failed)?;
    unnamed::init().map_err(failed)?;
    memfd::init().map_err(failed)?;
    ROOT.call_once(|| root.clone());
    mount(MountSource::Dev, &root_context(), b"/dev", MountOptions::default())?;
    // Where shm_open(3) and sem_open(3) have their files.
    mount(MountSource::Tmpfs, &root_context(), b"/dev/shm", MountOptions::default())
}

/// The context of the first process: root and working directory are the root, and it may do everything.
pub fn root_context() -> FsContext {
    match ROOT.get() {
        Some(root) => FsContext { root: root.clone(), cwd: root.clone(), who: Who::default() },
        None => panic!("the file system tree is used before vfs::init"),
    }
}
