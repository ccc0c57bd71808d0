//! FAT behind the VFS: the format crate `fs::fat` over the pages of the disk's block node.
//!
//! The format crate keeps what it knows of a volume in memory and is made for one caller at a time: `state` is the lock
//! around it. Metadata and content go through the block node's pages and are written back with them; a file's own pages
//! are copies. Sizes and the count of free clusters are stored by `sync`, which the write-back task calls by age.
//!
//! Locks: `VOLUMES` (rank Table). `state` (sleeping), taken after a directory's and a file's own locks and after the lock
//! of a file's write-back ("fat write-back"); under it pages of the disk are read and written. No user memory is touched
//! with it held. `released` and `mapped` (rank File), for the lists alone.

mod content;
mod node;
mod options;
mod store;

pub use options::FatOptions;

use super::block_node::BlockNode;
use super::device::device_number;
use super::inode::{FileSystem, Inode, Statistics};
use super::location::Volume;
use super::mount_error::MountError;
use super::write_back::{self, Unwritten};
use super::{Result, clock};
use crate::block::Disk;
use abi::Errno;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use fs::fat::{self, Clock, DateTime, Error, ErrorKind, Fat, NodeId};
use machine::sync::{Mutex, Rank, SpinLock};
use node::Node;
use store::DeviceStore;

/// `MSDOS_SUPER_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0x4d44;

/// Mounted volumes by device number: mounted twice, a device shows one volume twice.
static VOLUMES: SpinLock<Vec<(u64, Weak<Volume>)>> = SpinLock::new("fat volumes", Rank::Table, Vec::new());

/// A FAT file system on a device.
struct FatVolume {
    name: String,
    disk: Arc<Disk>,
    options: FatOptions,
    state: Mutex<State>,
    itself: Weak<FatVolume>,
    /// Whether changes are taken.
    writable: AtomicBool,
    /// Nodes that nobody uses any more, whose pins are to be given back.
    released: SpinLock<Vec<NodeId>>,
    /// Nodes that mappings may have stored to.
    mapped: SpinLock<Vec<Arc<Node>>>,
    /// Changes that are not safe yet.
    unwritten: Unwritten,
}

struct State {
    fat: Fat<DeviceStore>,
    /// Nodes in use, so that there is one object for one file.
    nodes: BTreeMap<NodeId, Weak<Node>>,
}

/// Whether the disk seems to hold a FAT and no ext2, so that [`open`] has the better word on what is wrong with it.
#[inline(never)]
pub(super) fn is_there(node: &Arc<BlockNode>) -> bool {
    /// Where an ext2 has its magic number.
    const S_MAGIC: u64 = 1024 + 56;
    let (mut sector, mut magic) = ([0; fat::BOOT_SECTOR_LEN], [0; 2]);
    let read = node.open(false).and_then(|opened| {
        opened.node().read_bytes(0, &mut sector)?;
        opened.node().read_bytes(S_MAGIC, &mut magic)
    });
    read.is_ok() && magic != [0x53, 0xef] && fat::looks_like_fat(&sector)
}

/// The volume on a disk or partition, and its name. The caller mounts one at a time; the options of the first mount count.
#[inline(never)]
pub(super) fn open(
    node: &Arc<BlockNode>,
    options: FatOptions,
) -> core::result::Result<(Arc<Volume>, String), MountError> {
    let disk = node.disk().clone();
    let name = format!("/dev/{}", disk.name());
    let (major, minor) = disk.number();
    let number = device_number(major, minor);
    let known = VOLUMES.lock().iter().find(|(known, _)| *known == number).and_then(|(_, volume)| volume.upgrade());
    if let Some(volume) = known {
        return Ok((volume, name));
    }
    let refused = |error| MountError::Source(name.clone(), error);
    let mut sector = [0; fat::BOOT_SECTOR_LEN];
    let opened = node.open(true).map_err(refused)?;
    node.refresh().map_err(refused)?;
    node.read_bytes(0, &mut sector).map_err(refused)?;
    let wrong = |what: &str| MountError::Format(format!("{name}: {what}"));
    if let Err(what) = fat::ParameterBlock::read(&sector) {
        return Err(wrong(what));
    }
    let mounted = Fat::mount(DeviceStore::new(opened), !disk.read_only(), &TimeOfDay);
    let fat = mounted.map_err(|error| match error.device_error() {
        Some(&error) => refused(error),
        None => wrong(error.message()),
    })?;
    if fat.was_dirty() {
        log::warn!("{name}: was not unmounted; fsck.fat should look at it");
    }
    let volume = Arc::new_cyclic(|itself| FatVolume {
        name: disk.name().to_string(),
        disk,
        options,
        state: Mutex::new("fat volume", State { fat, nodes: BTreeMap::new() }),
        itself: itself.clone(),
        writable: AtomicBool::new(false),
        released: SpinLock::new("fat released nodes", Rank::File, Vec::new()),
        mapped: SpinLock::new("fat mapped nodes", Rank::File, Vec::new()),
        unwritten: Unwritten::new(),
    });
    let system: Arc<dyn FileSystem> = volume.clone();
    write_back::register(Arc::downgrade(&system));
    let volume = Volume::new(volume, Some(number)).map_err(refused)?;
    let mut volumes = VOLUMES.lock();
    volumes.retain(|(_, volume)| volume.strong_count() > 0);
    volumes.push((number, Arc::downgrade(&volume)));
    Ok((volume, name))
}

/// The clock of what changes on a FAT.
struct TimeOfDay;

impl Clock for TimeOfDay {
    fn now(&self) -> DateTime {
        date_time(clock::now())
    }
}

/// A time as the format crate has it, within the years that a FAT can say.
fn date_time((seconds, nanoseconds): super::inode::Time) -> DateTime {
    /// 1980-01-01 and the last second of 2107.
    const YEARS: (i64, i64) = (315_532_800, 4_354_819_199);
    DateTime::new(seconds.clamp(YEARS.0, YEARS.1), nanoseconds).unwrap_or(DateTime::UNIX_EPOCH)
}

impl FileSystem for FatVolume {
    fn type_name(&self) -> &'static str {
        "vfat"
    }

    fn root(&self) -> Result<Arc<dyn Inode>> {
        let root = self.with(|fat| Ok(fat.root()))?;
        Ok(self.adopt(root)?)
    }

    fn statistics(&self) -> Result<Statistics> {
        let space = self.with(|fat| fat.statistics())?;
        Ok(Statistics {
            magic: MAGIC,
            block_size: space.block_size().into(),
            blocks: space.total_blocks(),
            blocks_free: space.free_blocks(),
            blocks_available: space.free_blocks(),
            files: 0,
            files_free: 0,
        })
    }

    fn read_only(&self) -> bool {
        self.read_only_now()
    }

    fn begin_writing(&self) -> core::result::Result<(), String> {
        if self.disk.read_only() || self.state.lock().fat.is_read_only() {
            return Err("the device is read-only".to_string());
        }
        self.writable.store(true, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.unwritten.clear();
        let written = self.write_mapped();
        let safe = match self.read_only_now() {
            true => Ok(()),
            false => self.with(|fat| fat.sync()),
        };
        written.and(safe)
    }

    fn settle(&self) {
        if !self.released.lock().is_empty() {
            // What has been released is given back first, whatever is done.
            let _ = self.with(|_| Ok(()));
        }
    }

    fn finish(&self) -> Result<()> {
        let written = self.write_mapped();
        self.unwritten.clear();
        match self.writable.swap(false, Ordering::AcqRel) {
            true => written.and(self.with(|fat| fat.finish())),
            false => written,
        }
    }

    fn unwritten_ms(&self) -> Option<u64> {
        self.unwritten.age_ms()
    }
}

impl FatVolume {
    /// Does `work` with the volume.
    fn with<R>(&self, work: impl FnOnce(&mut Fat<DeviceStore>) -> core::result::Result<R, Error<Errno>>) -> Result<R> {
        let mut state = self.state.lock();
        let result = work(self.without_released(&mut state));
        drop(state);
        result.map_err(|error| self.errno(&error))
    }

    /// As `with`, for a change: EROFS unless the volume may be written.
    fn edit<R>(&self, work: impl FnOnce(&mut Fat<DeviceStore>) -> core::result::Result<R, Error<Errno>>) -> Result<R> {
        if self.read_only_now() {
            return Err(Errno::EROFS);
        }
        self.has_changed();
        self.with(work)
    }

    /// Gives back the pins of nodes that nobody uses any more. The list is locked only for taking one of them.
    fn without_released<'a>(&self, state: &'a mut State) -> &'a mut Fat<DeviceStore> {
        loop {
            let Some(node) = self.released.lock().pop() else { return &mut state.fat };
            if state.nodes.get(&node).is_some_and(|known| known.strong_count() == 0) {
                state.nodes.remove(&node);
            }
            if let Err(error) = state.fat.release(node) {
                self.errno(&error);
            }
        }
    }

    /// The object of `id`, which has just been pinned, and is that many times: this gives back what is too much.
    fn adopt(&self, id: NodeId) -> Result<Arc<Node>> {
        let mut state = self.state.lock();
        let fat = self.without_released(&mut state);
        let metadata = match fat.metadata(id) {
            Ok(metadata) => metadata,
            Err(error) => {
                fat.unpin(id);
                return Err(self.errno(&error));
            }
        };
        let known = state.nodes.get(&id).and_then(Weak::upgrade);
        if let Some(node) = known {
            state.fat.unpin(id);
            return Ok(node);
        }
        let volume = self.itself.upgrade().ok_or(Errno::EIO)?;
        let node = Node::new(volume, id, &metadata);
        state.nodes.insert(id, Arc::downgrade(&node));
        Ok(node)
    }

    /// A node is gone.
    fn list_released(&self, node: NodeId) {
        self.released.lock().push(node);
        write_back::hurry();
    }

    /// Mappings may store to the pages of `node`.
    fn list_mapped(&self, node: Arc<Node>) {
        let mut mapped = self.mapped.lock();
        if !mapped.iter().any(|known| Arc::ptr_eq(known, &node)) {
            mapped.push(node);
        }
        drop(mapped);
        self.has_changed();
    }

    /// Writes what mappings have stored to where the rest of the files is.
    fn write_mapped(&self) -> Result<()> {
        let nodes = core::mem::take(&mut *self.mapped.lock());
        let mut result = Ok(());
        for node in nodes {
            let Some(pages) = node.page_cache() else { continue };
            result = result.and(pages.write_back());
            if pages.dirty_pages() > 0 {
                self.list_mapped(node);
            }
        }
        result
    }

    /// Whether changes are refused.
    fn read_only_now(&self) -> bool {
        !self.writable.load(Ordering::Acquire)
    }

    fn has_changed(&self) {
        self.unwritten.note();
    }

    /// What a program gets for an error of the format; what is wrong on the disk goes to the log.
    fn errno(&self, error: &Error<Errno>) -> Errno {
        if let Some(&error) = error.device_error() {
            return error;
        }
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidHandle => Errno::ENOENT,
            ErrorKind::AlreadyExists => Errno::EEXIST,
            ErrorKind::NotADirectory => Errno::ENOTDIR,
            ErrorKind::IsADirectory => Errno::EISDIR,
            ErrorKind::DirectoryNotEmpty => Errno::ENOTEMPTY,
            ErrorKind::NoSpace => Errno::ENOSPC,
            ErrorKind::ReadOnly => Errno::EROFS,
            ErrorKind::NameTooLong => Errno::ENAMETOOLONG,
            ErrorKind::FileTooLarge => Errno::EFBIG,
            ErrorKind::InvalidInput => Errno::EINVAL,
            ErrorKind::Unsupported => Errno::EPERM,
            ErrorKind::Busy => Errno::EBUSY,
            _ => {
                log::warn!("{}: {}", self.name, error.message());
                Errno::EIO
            }
        }
    }
}
