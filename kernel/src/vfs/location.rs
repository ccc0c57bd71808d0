//! Places in the tree of all mounts, and the table of mounts.
//!
//! A [`Volume`] is a file system with its dentry tree; a [`Mount`] shows a volume at a place; a [`Location`] is a dentry
//! seen through a mount. Mounts may lie on each other at one place: the last one is what a walk sees.
//!
//! Lock: `MOUNTS` (rank Table) for the table. Nothing else is locked under it.

use super::dentry::Dentry;
use super::inode::{FileSystem, Inode, Metadata};
use super::mount_options::{MountOptions, SharedOptions};
use super::notify::{self, Existing, Watcher};
use super::{Result, access_time, flags, report, size_limit, write_back};
use abi::Errno;
use abi::inotify::IN_MODIFY;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use fs::FileType;
use machine::sync::{Rank, SpinLock};

/// A file system and its names.
pub struct Volume {
    /// The file system.
    pub file_system: Arc<dyn FileSystem>,
    /// Its root directory.
    pub root: Arc<Dentry>,
    /// `st_dev` of its files.
    pub device: u64,
    /// Whether changes are refused through all mounts of it.
    pub(super) read_only: AtomicBool,
}

/// A volume shown at a place.
pub struct Mount {
    /// Its number, which no other mount has had.
    pub id: u64,
    /// What is shown.
    pub volume: Arc<Volume>,
    /// Where in it the mount begins: its root, or what a bind mount was made of.
    pub(super) root: Arc<Dentry>,
    /// What it comes from, as `/proc/mounts` shows it.
    pub source: String,
    /// What it allows and notes.
    pub(super) options: SharedOptions,
    /// 0, or 1 more than walks have come in since `umount2(2)` has marked the mount as one that may go (`MNT_EXPIRE`).
    pub(super) expiring: AtomicU32,
    /// Whether it has been taken out of the tree while it was in use.
    pub(super) detached: AtomicBool,
}

/// A place in the tree.
#[derive(Clone)]
pub struct Location {
    pub(super) mount: Arc<Mount>,
    pub(super) dentry: Arc<Dentry>,
}

/// A mount and the place it covers; None for the first of all.
pub(super) struct MountEntry {
    pub mount: Arc<Mount>,
    pub point: Option<Location>,
}

/// All mounts; of those that cover one place, the last is on top.
pub(super) static MOUNTS: SpinLock<Vec<MountEntry>> = SpinLock::new("mounts", Rank::Table, Vec::new());

impl Volume {
    /// A volume with a device number of its own. `device` is the number of the block device below, if there is one.
    pub fn new(file_system: Arc<dyn FileSystem>, device: Option<u64>) -> Result<Arc<Volume>> {
        /// Minor numbers of devices that are not there (major 0), as Linux numbers them.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let root = Dentry::root(file_system.root()?);
        let device = device.unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed));
        Ok(Self::of(file_system, root, device))
    }

    pub(super) fn of(file_system: Arc<dyn FileSystem>, root: Arc<Dentry>, device: u64) -> Arc<Volume> {
        Arc::new(Volume { file_system, root, device, read_only: AtomicBool::new(false) })
    }
}

impl Drop for Volume {
    /// Dentries keep their parents and these their children, so the tree has to be taken apart.
    fn drop(&mut self) {
        self.root.prune();
    }
}

impl Mount {
    /// A mount that is not in the table.
    pub fn new(volume: Arc<Volume>, source: String, options: MountOptions) -> Arc<Mount> {
        let root = volume.root.clone();
        Self::of_part(volume, root, source, options)
    }

    /// A mount of what is at `root` and below it.
    pub(super) fn of_part(volume: Arc<Volume>, root: Arc<Dentry>, source: String, options: MountOptions) -> Arc<Mount> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Mount {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            volume,
            root,
            source,
            options: SharedOptions::new(options),
            expiring: AtomicU32::new(0),
            detached: AtomicBool::new(false),
        })
    }

    /// Its options.
    pub fn options(&self) -> MountOptions {
        self.options.get()
    }

    /// EROFS if nothing may be changed through this mount.
    pub fn check_writable(&self) -> Result<()> {
        match self.options.read_only()
            || self.volume.read_only.load(Ordering::Relaxed)
            || self.volume.file_system.read_only()
        {
            true => Err(Errno::EROFS),
            false => Ok(()),
        }
    }
}

impl Drop for Mount {
    /// The last use of a mount that is in no table has ended: its file system may be left now.
    fn drop(&mut self) {
        if *self.detached.get_mut() {
            write_back::hurry();
        }
    }
}

impl Location {
    /// The root of a mount.
    pub(super) fn mount_root(mount: &Arc<Mount>) -> Location {
        Location { mount: mount.clone(), dentry: mount.root.clone() }
    }

    /// Another name in the same mount.
    pub(super) fn beside(&self, dentry: Arc<Dentry>) -> Location {
        Location { mount: self.mount.clone(), dentry }
    }

    /// What `stat(2)` tells of it.
    pub fn metadata(&self) -> Result<Metadata> {
        let metadata = self.inode().metadata()?;
        Ok(Metadata { dev: self.mount.volume.device, ..metadata })
    }

    /// Writes the last name of the path; false if another CPU is just changing it. Does not wait.
    pub fn write_name(&self, out: &mut dyn core::fmt::Write) -> bool {
        self.dentry.write_name(out)
    }

    /// Its absolute path. A name that has been removed keeps its last path; what no directory shows has a name instead.
    pub fn path(&self) -> Vec<u8> {
        // From the last byte to the first, so that it takes one buffer.
        let mut path = Vec::with_capacity(64);
        let mut at = self.clone();
        loop {
            let parent = if at.is_mount_root() { None } else { at.dentry.push_name_backwards(&mut path) };
            match parent {
                Some(parent) => {
                    path.push(b'/');
                    at.dentry = parent;
                }
                None => match at.covered() {
                    Some(point) => at = point,
                    None => break,
                },
            }
        }
        if path.is_empty() {
            path.push(b'/');
        }
        path.reverse();
        path
    }

    /// Where a symbolic link leads; EINVAL for everything else.
    pub fn read_link(&self) -> Result<Vec<u8>> {
        let target = self.inode().read_link()?;
        self.accessed();
        Ok(target)
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.dentry.is_dir()
    }

    /// Its kind.
    pub fn file_type(&self) -> FileType {
        self.dentry.kind()
    }

    /// Whether its name has been removed.
    pub fn is_removed(&self) -> bool {
        self.dentry.is_removed()
    }

    /// The mount it is seen through.
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// Whether both are the same place.
    pub fn is_same(&self, other: &Location) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && Arc::ptr_eq(&self.dentry, &other.dentry)
    }

    /// It has been read: the time of that is set as the mount has it.
    pub(super) fn accessed(&self) {
        if self.mount.check_writable().is_ok() {
            access_time::read(self.mount.options.get(), &**self.inode());
        }
    }

    /// Whether its mount begins here.
    pub fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, &self.mount.root)
    }

    pub(super) fn inode(&self) -> &Arc<dyn Inode> {
        self.dentry.inode()
    }

    /// Whether a mount may cover it.
    pub(super) fn is_covered(&self) -> bool {
        self.dentry.mounts.load(Ordering::Acquire) != 0
    }

    /// The root of the topmost mount here, or this place itself if it is not covered.
    pub(super) fn top(self) -> Location {
        let mut at = self;
        while at.is_covered() {
            let above = {
                let mounts = MOUNTS.lock();
                mounts.iter().find(|entry| entry.covers(&at)).map(|entry| entry.mount.clone())
            };
            match above {
                Some(mount) => {
                    if mount.expiring.load(Ordering::Relaxed) != 0 {
                        mount.expiring.fetch_add(1, Ordering::Relaxed);
                    }
                    at = Location::mount_root(&mount);
                }
                None => break,
            }
        }
        at
    }

    /// The place that the mount covers whose root this is.
    pub(super) fn covered(&self) -> Option<Location> {
        let mounts = MOUNTS.lock();
        mounts.iter().find(|entry| Arc::ptr_eq(&entry.mount, &self.mount))?.point.clone()
    }

    /// What `..` leads to from here, for a process with this root.
    pub(super) fn parent(&self, root: &Location) -> Location {
        let mut at = self.clone();
        loop {
            if at.is_same(root) || at.is_same(&root.clone().top()) {
                return root.clone().top();
            }
            if let Some(parent) = at.dentry.parent().filter(|_| !at.is_mount_root()) {
                return at.beside(parent).top();
            }
            match at.covered() {
                Some(point) => at = point,
                None => return at,
            }
        }
    }

    /// ENOTDIR unless it is a directory, EROFS unless names in it may change.
    pub(super) fn check_changeable_directory(&self) -> Result<()> {
        if !self.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        self.mount.check_writable()
    }

    /// Frees what removed files had that nobody uses any more. Called without locks.
    pub(super) fn settle(&self) {
        self.mount.volume.file_system.settle();
    }

    /// Has `watcher`, known by a number, told of what happens here by `mask`; the number of the watch (`notify::watch`).
    pub fn watch(
        &self,
        watcher: (&Arc<dyn Watcher>, u64),
        mask: u32,
        existing: Existing,
        new_number: &mut dyn FnMut() -> Result<i32>,
    ) -> Result<i32> {
        notify::watch((self.inode(), self.mount.volume.device), watcher, mask, existing, new_number)
    }

    /// Sees to it that all changes of its file system last, as `syncfs(2)`.
    pub fn sync_file_system(&self) -> Result<()> {
        self.mount.volume.file_system.sync()
    }

    /// Figures of its file system, as `statfs(2)`.
    pub fn statistics(&self) -> Result<super::inode::Statistics> {
        self.mount.volume.file_system.statistics()
    }

    /// Changes attributes, as `chmod`, `chown` and `utimensat` do.
    pub fn set_attributes(&self, change: &super::inode::AttributeChange) -> Result<()> {
        self.mount.check_writable()?;
        let mode = change.mode.map(|mode| mode & flags::PERMISSION_BITS);
        self.inode().set_attributes(&super::inode::AttributeChange { mode, ..*change })?;
        report::used(&self.dentry, report::changing(change));
        Ok(())
    }

    /// Cuts or extends a regular file, as `truncate(2)` does.
    pub fn truncate(&self, size: u64) -> Result<()> {
        match self.file_type() {
            FileType::Regular => {}
            FileType::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        self.mount.check_writable()?;
        let Some(pages) = self.inode().pages() else { return Err(Errno::EINVAL) };
        if size > flags::OFFSET_MAX {
            return Err(Errno::EINVAL);
        }
        let _writer = pages.writer.lock();
        let old = self.inode().size();
        if size > old {
            size_limit::check_growth(size)?;
            pages.extend(old);
        }
        self.inode().truncate(size)?;
        report::used(&self.dentry, IN_MODIFY);
        Ok(())
    }

    /// Gives a range of a regular file its space, and the file the size unless it is to keep its own, as `fallocate(2)`
    /// does.
    pub fn allocate(&self, start: u64, len: u64, keep_size: bool) -> Result<()> {
        self.mount.check_writable()?;
        let Some(pages) = self.inode().pages() else { return Err(Errno::ENODEV) };
        let end = start.checked_add(len).filter(|&end| end <= flags::OFFSET_MAX).ok_or(Errno::EFBIG)?;
        let _writer = pages.writer.lock();
        let old = self.inode().size();
        if end > old {
            size_limit::check_growth(end)?;
        }
        self.inode().allocate(start, end)?;
        if !keep_size && end > old {
            pages.extend(old);
            self.inode().truncate(end)?;
        }
        report::used(&self.dentry, IN_MODIFY);
        Ok(())
    }

    /// Makes a hole in a regular file, as `fallocate(2)` does with FALLOC_FL_PUNCH_HOLE.
    pub fn punch(&self, start: u64, len: u64) -> Result<()> {
        self.mount.check_writable()?;
        let Some(pages) = self.inode().pages() else { return Err(Errno::ENODEV) };
        let end = start.checked_add(len).filter(|&end| end <= flags::OFFSET_MAX).ok_or(Errno::EFBIG)?;
        let _writer = pages.writer.lock();
        self.inode().punch(start, end)?;
        report::used(&self.dentry, IN_MODIFY);
        Ok(())
    }
}

impl MountEntry {
    /// Whether it lies directly on `place`.
    pub fn covers(&self, place: &Location) -> bool {
        self.point.as_ref().is_some_and(|point| point.is_same(place))
    }
}
