//! One file or directory of a FAT volume as the VFS sees it.
//!
//! What is written goes through the file's pages to the disk's pages at once, so a file's pages are dirty only where
//! mappings have stored. `size` changes with the file's writer lock held.

use super::super::Result;
use super::super::inode::{
    AttributeChange, DirEntry, FileType, Inode, Metadata, NewKind, NewNode, Time, directory_type,
};
use super::super::page_cache::PageCache;
use super::content::{Content, buffer};
use super::{FatVolume, date_time};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use fs::fat::{self, DateTime, NodeId, SetAttr};
use machine::PAGE_SIZE;

const PAGE: u64 = PAGE_SIZE as u64;
/// Bytes of the largest file.
const LARGEST: u64 = u32::MAX as u64;
/// Directory positions 0 and 1 are `.` and `..`; those of the format crate come behind them.
const FIRST_POSITION: i64 = 2;

/// A file or directory in use.
pub(super) struct Node {
    volume: Arc<FatVolume>,
    id: NodeId,
    kind: FileType,
    size: Arc<AtomicU64>,
    /// Of a regular file.
    pages: Option<Arc<PageCache>>,
    /// Whether it has no name any more.
    removed: AtomicBool,
    itself: Weak<Node>,
}

impl Node {
    /// The node of `id`, one pin of which it has from now on.
    pub fn new(volume: Arc<FatVolume>, id: NodeId, metadata: &fat::Metadata) -> Arc<Node> {
        let is_directory = metadata.file_type().is_dir();
        let size = Arc::new(AtomicU64::new(metadata.len()));
        let content = || Box::new(Content { volume: volume.clone(), node: id, size: size.clone() });
        let pages = (!is_directory).then(|| PageCache::with_lock(content(), "fat write-back"));
        Arc::new_cyclic(|itself| Node {
            volume,
            id,
            kind: if is_directory { FileType::Directory } else { FileType::Regular },
            size,
            pages,
            removed: AtomicBool::new(false),
            itself: itself.clone(),
        })
    }

    /// Its pages, if it is a regular file.
    pub fn page_cache(&self) -> Option<&Arc<PageCache>> {
        self.pages.as_ref()
    }

    fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    fn file_pages(&self) -> Result<&Arc<PageCache>> {
        self.pages.as_ref().ok_or(Errno::EINVAL)
    }

    /// What chmod(2), chown(2) and utimensat(2) may change, as Linux's vfat has it.
    fn change(&self, change: &AttributeChange) -> Result<()> {
        let options = &self.volume.options;
        let is_other = |wanted: Option<u32>, ours| wanted.is_some_and(|wanted| wanted != ours);
        if is_other(change.uid, options.uid) || is_other(change.gid, options.gid) {
            return Err(Errno::EPERM);
        }
        let read_only = match change.mode {
            Some(mode) => options.change_mode(&self.metadata()?, mode, self.is_dir())?,
            None => None,
        };
        let mut times = SetAttr::new();
        if let Some(time) = change.atime {
            times = times.with_accessed(date_time(time));
        }
        if let Some(time) = change.mtime {
            times = times.with_modified(date_time(time));
        }
        let is_root = self.volume.with(|fat| Ok(fat.root()))? == self.id;
        if is_root || read_only.is_none() && change.atime.is_none() && change.mtime.is_none() {
            // The root directory has no entry that could say it.
            return if self.volume.read_only_now() { Err(Errno::EROFS) } else { Ok(()) };
        }
        self.volume.edit(|fat| fat.change(self.id, times, read_only))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.volume.list_released(self.id);
    }
}

impl Inode for Node {
    fn file_type(&self) -> FileType {
        self.kind
    }

    fn metadata(&self) -> Result<Metadata> {
        let removed = self.removed.load(Ordering::Relaxed);
        let (entry, cluster) = self.volume.with(|fat| match fat.metadata(self.id) {
            // A directory that has been removed has no entry at all.
            Err(_) if removed => Ok((None, fat.cluster_size())),
            entry => Ok((Some(entry?), fat.cluster_size())),
        })?;
        let options = &self.volume.options;
        let read_only = entry.is_some_and(|entry| entry.permissions().bits() & 0o222 == 0);
        let time =
            |time: Option<DateTime>| -> Time { time.map_or((0, 0), |time| (time.unix_seconds(), time.nanoseconds())) };
        let modified = time(entry.and_then(|entry| entry.modified()));
        Ok(Metadata {
            dev: 0,
            ino: self.id.get(),
            mode: u32::from(self.kind.mode_bits()) | options.mode(self.is_dir(), read_only),
            // How many directories are in a directory is not known: 1 says so.
            nlink: u64::from(!removed),
            uid: options.uid,
            gid: options.gid,
            rdev: 0,
            size: if self.is_dir() { u64::from(cluster) } else { self.size() },
            blksize: u64::from(cluster),
            blocks: self.size().next_multiple_of(u64::from(cluster)) / 512,
            atime: time(entry.and_then(|entry| entry.accessed())),
            mtime: modified,
            ctime: modified,
        })
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        self.change(change)
    }

    fn folds_case(&self) -> bool {
        true
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if !self.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        let node = self.volume.with(|fat| fat.lookup(self.id, name))?;
        Ok(self.volume.adopt(node)?)
    }

    fn read_dir(&self, position: i64, parent: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        if !self.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        let kind = directory_type(FileType::Directory);
        let own: [(i64, u64, &[u8]); 2] = [(1, self.id.get(), b"."), (FIRST_POSITION, parent, b"..")];
        for (next_offset, ino, name) in own {
            if position < next_offset && !emit(DirEntry { ino, next_offset, kind, name }) {
                return Ok(());
            }
        }
        let mut at = position.max(FIRST_POSITION) - FIRST_POSITION;
        // One at a time: `emit` may copy to user memory, which the lock must not be held for.
        loop {
            let found = self.volume.with(|fat| fat.read_dir(self.id, at as u64).map(|entry| entry.map(Box::new)))?;
            let Some(found) = found else { return Ok(()) };
            let (entry, next) = &*found;
            at = *next as i64;
            let kind = if entry.file_type().is_dir() { FileType::Directory } else { FileType::Regular };
            let shown = DirEntry {
                ino: entry.node().get(),
                next_offset: at + FIRST_POSITION,
                kind: directory_type(kind),
                name: entry.name().as_bytes(),
            };
            if !emit(shown) {
                return Ok(());
            }
        }
    }

    fn create(&self, name: &[u8], new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        let is_directory = match new.kind {
            NewKind::Regular => false,
            NewKind::Directory => true,
            _ => return Err(Errno::EPERM),
        };
        let node = self.volume.edit(|fat| fat.make(self.id, name, is_directory))?;
        Ok(self.volume.adopt(node)?)
    }

    fn remove(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = same_kind(target)?;
        self.volume.edit(|fat| match target.is_dir() {
            true => fat.remove_directory(self.id, name),
            false => fat.remove_file(self.id, name, target.id),
        })?;
        target.removed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn rename(&self, name: &[u8], new_parent: &Arc<dyn Inode>, new_name: &[u8], exchange: bool) -> Result<()> {
        if exchange {
            return Err(Errno::EINVAL);
        }
        let new_parent = same_kind(new_parent)?;
        let replaced = match new_parent.lookup(new_name) {
            Ok(replaced) => Some(replaced),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        let replaced = replaced.as_ref().map(same_kind).transpose()?;
        let victim = replaced.map(|node| (node.id, node.is_dir()));
        self.volume.edit(|fat| fat.rename((self.id, name), (new_parent.id, new_name), victim))?;
        if let Some(node) = replaced {
            node.removed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        self.pages.as_ref()
    }

    fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn check_write(&self, start: u64, end: u64) -> Result<u64> {
        match start < LARGEST {
            true => Ok(end.min(LARGEST)),
            false => Err(Errno::EFBIG),
        }
    }

    fn wrote(&self, start: u64, end: u64) -> Result<()> {
        let pages = self.file_pages()?;
        let stored = (|| {
            let mut bytes = buffer((end - start) as usize)?;
            let mut at = start;
            while at < end {
                let (within, done) = ((at % PAGE) as usize, (at - start) as usize);
                let len = (PAGE_SIZE - within).min(bytes.len() - done);
                pages.page(at / PAGE)?.read(within, &mut bytes[done..done + len]);
                at += len as u64;
            }
            self.volume.edit(|fat| fat.write(self.id, start, &bytes))
        })();
        match stored {
            Ok(()) => {
                self.size.fetch_max(end, Ordering::AcqRel);
            }
            Err(_) => pages.discard_clean(start, end),
        }
        stored
    }

    fn page_dirtied(&self, index: u64) -> Result<()> {
        match (self.volume.read_only_now(), index * PAGE < self.size()) {
            (true, _) => Err(Errno::EROFS),
            (false, false) => Err(Errno::EFAULT),
            (false, true) => Ok(()),
        }
    }

    fn page_writable(&self, index: u64) {
        let start = index * PAGE;
        let end = self.size().min(start + PAGE);
        if let (Some(pages), Some(node)) = (self.pages.as_ref().filter(|_| start < end), self.itself.upgrade()) {
            pages.mark_mapped(start, end);
            self.volume.list_mapped(node);
        }
    }

    fn truncate(&self, size: u64) -> Result<()> {
        let pages = self.file_pages()?;
        if size > LARGEST {
            return Err(Errno::EFBIG);
        }
        if self.volume.read_only_now() {
            return Err(Errno::EROFS);
        }
        let old = self.size();
        if size < old {
            self.size.store(size, Ordering::Release);
            pages.cut(size);
        }
        self.volume.edit(|fat| fat.resize(self.id, size))?;
        self.size.store(size, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let written = self.pages.as_ref().map_or(Ok(()), |pages| pages.write_back());
        let safe = match self.volume.read_only_now() {
            true => Ok(()),
            false => self.volume.with(|fat| fat.sync_node(self.id)),
        };
        let failed = self.pages.as_ref().is_some_and(|pages| pages.take_failure());
        if failed { Err(Errno::EIO) } else { written.and(safe) }
    }
}

/// The VFS keeps to one mount, so the other inode is of this kind too.
fn same_kind(inode: &Arc<dyn Inode>) -> Result<&Node> {
    let any: &dyn Any = &**inode;
    any.downcast_ref().ok_or(Errno::EXDEV)
}
