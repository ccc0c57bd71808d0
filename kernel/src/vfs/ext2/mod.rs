//! ext2, and ext4 to be read, behind the VFS: the format crate `fs` over the page cache of the block device.
//!
//! Metadata goes through the device's own page cache, file data straight from the device into the file's pages, in as few
//! requests as the block map allows. The format crate names what is wrong on a damaged disk; that goes to the log, and the
//! program gets EIO. `writing` has the order of writes.
//!
//! Locks: `VOLUMES` (rank Table) and each volume's `inodes` (rank File), for the tables alone; those of `writing`.

mod accessed;
mod attributes;
mod content;
mod names;
mod node;
mod store;
mod writing;

use super::block_node::BlockNode;
use super::device::device_number;
use super::inode::{FileSystem, Inode, Statistics};
use super::location::Volume;
use super::mount_error::MountError;
use super::write_back::Unwritten;
use super::{Result, clock};
use crate::block::Disk;
use abi::Errno;
use accessed::Accessed;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use fs::ext2::{self, Error, Ext2, ROOT_INODE, Writer};
use klib::small_map::SmallMap;
use machine::sync::{Mutex, Rank, SpinLock};
use node::Node;
use store::DeviceStore;

/// `EXT2_SUPER_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0xef53;

/// Mounted volumes by device number: mounted twice, a device shows one volume twice.
static VOLUMES: SpinLock<SmallMap<u64, Weak<Volume>>> = SpinLock::new("ext2 volumes", Rank::Table, SmallMap::new());

/// An ext2 file system on a device.
struct Ext2Volume {
    name: String,
    format: Ext2<DeviceStore>,
    disk: Arc<Disk>,
    /// Inodes in use by number, so that all names of a file share its pages.
    inodes: SpinLock<BTreeMap<u32, Weak<Node>>>,
    itself: Weak<Ext2Volume>,
    /// Whether its journal was replayed when it was opened.
    recovered: bool,
    /// There while the volume is being written.
    writer: Mutex<Option<Writer>>,
    /// Whether changes are taken: from the begin of writing to its end, or to a failure that forbids more.
    writable: AtomicBool,
    /// Nodes with dirty pages, by number.
    dirty: SpinLock<BTreeMap<u32, Arc<Node>>>,
    /// Inodes without a name that nobody uses any more.
    orphans: SpinLock<Vec<ext2::Inode>>,
    /// Numbers of inodes that nobody uses any more.
    unused: SpinLock<Vec<u32>>,
    /// Files that have been read, whose times are to be written.
    accessed: SpinLock<Vec<Accessed>>,
    /// Changes that are not safe yet.
    unwritten: Unwritten,
}

/// The volume on a disk or partition, and its name. The caller mounts one at a time.
///
/// Apart from it, as the records that are read here take much of the stack.
#[inline(never)]
pub(super) fn open(node: &Arc<BlockNode>) -> core::result::Result<(Arc<Volume>, String), MountError> {
    let disk = node.disk().clone();
    let name = format!("/dev/{}", disk.name());
    let (major, minor) = disk.number();
    let number = device_number(major, minor);
    let known = VOLUMES.lock().get(&number).and_then(Weak::upgrade);
    if let Some(volume) = known {
        return Ok((volume, name));
    }
    let failed = |error| match error {
        Error::Store(error) => MountError::Source(name.clone(), error),
        error => MountError::Format(format!("{name}: {error}")),
    };
    let refused = |error| MountError::Source(name.clone(), error);
    let opened = node.open(true).map_err(refused)?;
    node.refresh().map_err(refused)?;
    let store = DeviceStore::new(opened);
    let recovered = !disk.read_only() && ext2::recover(&store).map_err(failed)?;
    if recovered {
        log::info!("{name}: was not unmounted; its journal has been replayed");
    }
    let format = Ext2::mount(store).map_err(failed)?;
    let itself = Arc::new_cyclic(|itself| Ext2Volume {
        name: disk.name().to_string(),
        format,
        disk,
        inodes: SpinLock::new("ext2 inodes", Rank::File, BTreeMap::new()),
        itself: itself.clone(),
        recovered,
        writer: Mutex::new("ext2 writer", None),
        writable: AtomicBool::new(false),
        dirty: SpinLock::new("ext2 dirty nodes", Rank::File, BTreeMap::new()),
        orphans: SpinLock::new("ext2 orphans", Rank::File, Vec::new()),
        unused: SpinLock::new("ext2 unused inodes", Rank::File, Vec::new()),
        accessed: SpinLock::new("ext2 files read", Rank::File, Vec::new()),
        unwritten: Unwritten::new(),
    });
    writing::register(&itself);
    let volume = Volume::new(itself, Some(number)).map_err(|error| MountError::Source(name.clone(), error))?;
    let old = VOLUMES.lock().insert(number, Arc::downgrade(&volume));
    drop(old);
    Ok((volume, name))
}

/// The time of day.
fn now() -> ext2::Timestamp {
    let (seconds, nanoseconds) = clock::now();
    ext2::Timestamp { seconds, nanoseconds }
}

impl FileSystem for Ext2Volume {
    fn type_name(&self) -> &'static str {
        if self.format.geometry().has_extents { "ext4" } else { "ext2" }
    }

    fn root(&self) -> Result<Arc<dyn Inode>> {
        Ok(self.node(ROOT_INODE)?)
    }

    fn statistics(&self) -> Result<Statistics> {
        self.free_removed();
        let figures = self.format.statfs().map_err(|error| self.errno(error))?;
        Ok(Statistics {
            magic: MAGIC,
            block_size: figures.block_size,
            blocks: figures.blocks,
            blocks_free: figures.blocks_free,
            blocks_available: figures.blocks_available,
            files: figures.inodes,
            files_free: figures.inodes_free,
        })
    }

    fn read_only(&self) -> bool {
        !self.writable.load(Ordering::Acquire)
    }

    fn begin_writing(&self) -> core::result::Result<(), String> {
        self.start_writing()
    }

    fn sync(&self) -> Result<()> {
        self.free_removed();
        self.make_safe()
    }

    fn settle(&self) {
        self.free_removed();
    }

    fn finish(&self) -> Result<()> {
        self.stop_writing()
    }

    fn unwritten_ms(&self) -> Option<u64> {
        self.unwritten.age_ms()
    }
}

impl Ext2Volume {
    /// The inode `number`, the same object for as long as anybody has it.
    fn node(&self, number: u32) -> Result<Arc<Node>> {
        let known = self.inodes.lock().get(&number).and_then(Weak::upgrade);
        if let Some(node) = known {
            return Ok(node);
        }
        let inode = self.format.read_inode(number).map_err(|error| self.errno(error))?;
        self.adopt(inode)
    }

    /// The node of `inode`, which has just been read or made.
    fn adopt(&self, inode: ext2::Inode) -> Result<Arc<Node>> {
        let number = inode.number;
        let new = Node::new(self.itself.upgrade().ok_or(Errno::EIO)?, inode);
        let mut inodes = self.inodes.lock();
        // Another may have read it meanwhile; then all use that one, and ours goes when the lock is released.
        let node = inodes.get(&number).and_then(Weak::upgrade).unwrap_or_else(|| {
            inodes.insert(number, Arc::downgrade(&new));
            new.clone()
        });
        drop(inodes);
        Ok(node)
    }

    /// Takes a dead inode out of the table.
    fn forget(&self, number: u32) {
        let mut inodes = self.inodes.lock();
        if inodes.get(&number).is_some_and(|node| node.strong_count() == 0) {
            inodes.remove(&number);
        }
    }

    /// What a program gets for an error of the format; what is wrong on the disk goes to the log.
    fn errno(&self, error: Error<Errno>) -> Errno {
        match error {
            Error::Store(error) => error,
            Error::NoMemory => Errno::ENOMEM,
            Error::NotADirectory { .. } => Errno::ENOTDIR,
            Error::IsADirectory { .. } => Errno::EISDIR,
            Error::NotASymlink { .. } => Errno::EINVAL,
            Error::BeyondReach { .. } => Errno::EFBIG,
            Error::NoSpace => Errno::ENOSPC,
            Error::TooLarge { field: "i_links_count", .. } => Errno::EMLINK,
            Error::TooLarge { .. } => Errno::EFBIG,
            Error::NotEmpty { .. } => Errno::ENOTEMPTY,
            Error::NoEntry { .. } => Errno::ENOENT,
            Error::Exists { .. } => Errno::EEXIST,
            Error::AttributeExists { .. } => Errno::EEXIST,
            Error::NoAttribute { .. } => Errno::ENODATA,
            Error::BadName => Errno::ENAMETOOLONG,
            Error::NotWritable(_) => Errno::EROFS,
            Error::Unsupported(_) => {
                log::warn!("{}: {error}", self.name);
                Errno::EOPNOTSUPP
            }
            _ => {
                log::warn!("{}: {error}", self.name);
                Errno::EIO
            }
        }
    }
}
