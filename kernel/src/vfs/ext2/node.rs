//! One inode of an ext2 volume as the VFS sees it.
//!
//! `inode` is the one copy of the on-disk inode: it changes under the volume's writer lock alone, and its own lock (rank
//! File) is for copying it.

use super::super::Result;
use super::super::device::device_number;
use super::super::flags::PERMISSION_BITS;
use super::super::inode::{
    AttributeChange, DirEntry, FileType, Inode, Metadata, NewNode, SetAttribute, Time, directory_type,
};
use super::super::page_cache::PageCache;
use super::content::Content;
use super::{Ext2Volume, now};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, Ordering};
use fs::ext2::{self, Error, Progress, Timestamp};
use machine::PAGE_SIZE;
use machine::sync::{Rank, SpinLock};

const PAGE: u64 = PAGE_SIZE as u64;

/// An inode in use.
pub(super) struct Node {
    pub(super) volume: Arc<Ext2Volume>,
    number: u32,
    kind: FileType,
    inode: Arc<SpinLock<ext2::Inode>>,
    /// Of a regular file.
    pages: Option<Arc<PageCache>>,
    /// Whether blocks may have been set aside for it.
    pub(super) has_grown: AtomicBool,
    /// Whether it has been read later than what is to be written says.
    pub(super) access_pending: AtomicBool,
    itself: Weak<Node>,
}

impl Node {
    pub fn new(volume: Arc<Ext2Volume>, mut inode: ext2::Inode) -> Arc<Node> {
        let access_pending = volume.recall_accessed(&mut inode);
        let (number, kind) = (inode.number, inode.kind);
        let inode = Arc::new(SpinLock::new("ext2 inode", Rank::File, inode));
        let content = || Box::new(Content { volume: volume.clone(), inode: inode.clone() });
        let pages = (kind == FileType::Regular).then(|| PageCache::new(content()));
        Arc::new_cyclic(|itself| Node {
            volume,
            number,
            kind,
            inode,
            pages,
            has_grown: AtomicBool::new(false),
            access_pending: AtomicBool::new(access_pending),
            itself: itself.clone(),
        })
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its pages, if it is a regular file.
    pub fn page_cache(&self) -> Option<&Arc<PageCache>> {
        self.pages.as_ref()
    }

    /// Whether it has no name any more.
    pub fn is_removed(&self) -> bool {
        self.inode.lock().links_count == 0
    }

    /// The inode as it is now.
    pub fn inode(&self) -> ext2::Inode {
        self.inode.lock().clone()
    }

    /// Replaces the inode, within an operation of the volume's writer. A read meanwhile stays noted.
    pub fn set_inode(&self, mut inode: ext2::Inode) {
        let mut current = self.inode.lock();
        if self.access_pending.load(Ordering::Acquire) {
            inode.accessed = current.accessed;
        }
        *current = inode;
    }

    /// Changes what no writer's operation is about.
    pub(super) fn with_inode(&self, change: impl FnOnce(&mut ext2::Inode)) {
        change(&mut self.inode.lock());
    }

    fn block_len(&self) -> u64 {
        self.volume.format.geometry().block_size() as u64
    }

    fn page_cache_or_invalid(&self) -> Result<&Arc<PageCache>> {
        self.pages.as_ref().ok_or(Errno::EINVAL)
    }

    /// Makes the bytes `start .. end`, which are in the pages, part of what is stored. If they are those of a page that
    /// is mapped, only those that the file has, and only if they are in the pages still.
    fn store(&self, start: u64, end: u64, is_mapped: bool) -> Result<()> {
        let pages = self.page_cache_or_invalid()?;
        let block_len = self.block_len();
        self.has_grown.store(true, Ordering::Relaxed);
        self.volume.edit(|edit| {
            let mut inode = self.inode();
            let end = if is_mapped { end.min(inode.size) } else { end };
            if start >= end {
                return Err(Error::Store(Errno::EFAULT));
            }
            // A page that has been taken away comes from the disk again, where a new block holds anything. This one stays:
            // who takes pages away does so under this lock, or before that has set a size under it.
            let kept = if is_mapped { pages.present(start / PAGE) } else { None };
            if is_mapped && kept.is_none() {
                return Ok(());
            }
            edit.grow(&mut inode, start, end - start)?;
            self.set_inode(inode);
            // Whole blocks: a new one has to be written whole, with zeros around the bytes.
            pages.mark_dirty(start - start % block_len, end.next_multiple_of(block_len));
            Ok(())
        })?;
        self.list_dirty();
        Ok(())
    }

    /// Puts it among those whose pages are to be written.
    fn list_dirty(&self) {
        if let Some(node) = self.itself.upgrade() {
            self.volume.list_dirty(&node);
        }
    }

    /// Whether the block of the byte `at` is there, and not a hole.
    fn is_stored(&self, at: u64) -> Result<bool> {
        let block = self.volume.format.map_block(&self.inode(), at / self.block_len());
        block.map(|block| block.is_some()).map_err(|error| self.volume.errno(error))
    }

    /// Makes zeros of the bytes `start .. end`, all of one block, if it is stored.
    fn clear(&self, start: u64, end: u64) -> Result<()> {
        if start >= end || !self.is_stored(start)? {
            return Ok(());
        }
        let pages = self.page_cache_or_invalid()?;
        let part = (start % PAGE) as usize..(start % PAGE + (end - start)) as usize;
        pages.page(start / PAGE)?.fill_zero_in(part);
        let block_len = self.block_len();
        pages.mark_dirty(start - start % block_len, end.next_multiple_of(block_len));
        self.list_dirty();
        Ok(())
    }

    /// Frees the blocks of the bytes `start .. end`, whole blocks, and what pages have of them.
    fn free_blocks(&self, start: u64, end: u64) -> Result<()> {
        let pages = self.page_cache_or_invalid()?;
        let block_len = self.block_len();
        loop {
            let progress = self.volume.edit(|edit| {
                pages.punch(start, end, || {
                    let mut inode = self.inode();
                    let progress = edit.punch(&mut inode, start / block_len, (end - start) / block_len)?;
                    self.set_inode(inode);
                    Ok(progress)
                })
            })?;
            if progress == Progress::Done {
                return Ok(());
            }
        }
    }

    /// Gives up the pages behind `size`, the new end, and sees to it that the rest of its block becomes zeros.
    fn cut_pages(&self, size: u64) -> Result<()> {
        let pages = self.page_cache_or_invalid()?;
        let block_len = self.block_len();
        let stored = !size.is_multiple_of(block_len) && self.is_stored(size)?;
        if stored {
            pages.page(size / PAGE)?;
        }
        {
            // No operation that has looked at the old size comes in between.
            let _writer = self.volume.writer.lock();
            self.inode.lock().size = size;
        }
        pages.cut(size);
        if stored {
            pages.mark_dirty(size - size % block_len, size.next_multiple_of(block_len));
            self.list_dirty();
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.volume.forget(self.number);
        if !self.is_removed() {
            self.leave_accessed();
        }
        if self.is_removed() {
            self.volume.list_orphan(self.inode());
        } else if self.has_grown.load(Ordering::Relaxed) {
            self.volume.list_unused(self.number);
        }
    }
}

impl Inode for Node {
    fn file_type(&self) -> FileType {
        self.kind
    }

    fn metadata(&self) -> Result<Metadata> {
        let inode = self.inode.lock();
        let time = |stamp: Timestamp| (stamp.seconds, stamp.nanoseconds);
        Ok(Metadata {
            dev: 0,
            ino: inode.number.into(),
            mode: inode.mode.into(),
            nlink: inode.links_count.into(),
            uid: inode.uid,
            gid: inode.gid,
            rdev: inode.device().map_or(0, |device| device_number(device.major, device.minor)),
            size: inode.size,
            blksize: self.block_len(),
            blocks: inode.sectors_count.into(),
            atime: time(inode.accessed),
            mtime: time(inode.modified),
            ctime: time(inode.changed),
        })
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let stamp = |(seconds, nanoseconds)| Timestamp { seconds, nanoseconds };
        self.volume.edit(|edit| {
            let mut inode = self.inode();
            if let Some(mode) = change.mode {
                inode.mode = inode.mode & !(PERMISSION_BITS as u16) | (mode & PERMISSION_BITS) as u16;
            }
            inode.uid = change.uid.unwrap_or(inode.uid);
            inode.gid = change.gid.unwrap_or(inode.gid);
            inode.accessed = change.atime.map_or(inode.accessed, stamp);
            inode.modified = change.mtime.map_or(inode.modified, stamp);
            inode.changed = now();
            edit.update(&inode)?;
            if change.atime.is_some() {
                self.access_pending.store(false, Ordering::Release);
            }
            self.set_inode(inode);
            Ok(())
        })
    }

    fn times(&self) -> Option<[Time; 3]> {
        let inode = self.inode.lock();
        Some([inode.accessed, inode.modified, inode.changed].map(|stamp| (stamp.seconds, stamp.nanoseconds)))
    }

    fn accessed(&self, now: Time) {
        self.set_accessed(now);
    }

    fn attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.get_attribute(name)
    }

    fn each_attribute(&self, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.list_attributes(each)
    }

    fn set_attribute(&self, name: &[u8], value: Option<&[u8]>, how: SetAttribute) -> Result<()> {
        self.change_attribute(name, value, how)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let link = self.volume.format.lookup(&self.inode(), name).map_err(|error| self.volume.errno(error))?;
        Ok(self.volume.node(link.ok_or(Errno::ENOENT)?.inode)?)
    }

    fn read_dir(&self, position: i64, _parent: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let cookie = u64::try_from(position).map_err(|_| Errno::EINVAL)?;
        let visit = |entry: ext2::DirEntry<'_>| {
            let shown = DirEntry {
                ino: entry.link.inode.into(),
                next_offset: entry.next as i64,
                // 0 is DT_UNKNOWN: file systems without the filetype feature do not say.
                kind: entry.link.kind.map_or(0, directory_type),
                name: entry.name,
            };
            if emit(shown) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.volume.format.read_dir(&self.inode(), cookie, visit).map_err(|error| self.volume.errno(error))?;
        Ok(())
    }

    fn create(&self, name: &[u8], new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        self.create_file(name, new)
    }

    fn create_unnamed(&self, new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        self.create_without_name(new)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.link_file(name, target)
    }

    fn remove(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.remove_name(name, target)
    }

    fn rename(&self, name: &[u8], new_parent: &Arc<dyn Inode>, new_name: &[u8], exchange: bool) -> Result<()> {
        self.rename_file(name, new_parent, new_name, exchange)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        let longest = self.block_len();
        let inode = self.inode();
        let mut target = Vec::new();
        let len = inode.size.min(longest) as usize;
        target.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
        target.resize(len, 0);
        let len = self.volume.format.read_link(&inode, &mut target).map_err(|error| self.volume.errno(error))?;
        target.truncate(len);
        Ok(target)
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        self.pages.as_ref()
    }

    fn size(&self) -> u64 {
        self.inode.lock().size
    }

    fn check_write(&self, _start: u64, end: u64) -> Result<u64> {
        match end <= self.volume.format.geometry().max_file_bytes() {
            true => Ok(end),
            false => Err(Errno::EFBIG),
        }
    }

    fn wrote(&self, start: u64, end: u64) -> Result<()> {
        self.store(start, end, false).inspect_err(|_| {
            if let Some(pages) = &self.pages {
                pages.discard_clean(start, end);
            }
        })
    }

    fn page_dirtied(&self, index: u64) -> Result<()> {
        self.store(index * PAGE, (index + 1) * PAGE, true)
    }

    fn page_writable(&self, index: u64) {
        let (start, block_len) = (index * PAGE, self.block_len());
        let end = self.size().min(start + PAGE).next_multiple_of(block_len);
        if let Some(pages) = self.pages.as_ref().filter(|_| start < end) {
            pages.mark_mapped(start, end);
            self.list_dirty();
        }
    }

    fn punch(&self, start: u64, end: u64) -> Result<()> {
        if self.volume.writer.lock().is_none() {
            return Err(Errno::EROFS);
        }
        let (size, block_len) = (self.size(), self.block_len());
        if start >= size {
            return Ok(());
        }
        // What lies behind the end of the file in its last block goes with it.
        let end = if end >= size { size.next_multiple_of(block_len) } else { end };
        let (first, last) = (start.next_multiple_of(block_len), end - end % block_len);
        if first > last {
            return self.clear(start, end);
        }
        self.clear(start, first)?;
        self.clear(last, end)?;
        match first < last {
            true => self.free_blocks(first, last),
            false => Ok(()),
        }
    }

    fn truncate(&self, size: u64) -> Result<()> {
        self.check_write(0, size)?;
        if self.volume.writer.lock().is_none() {
            return Err(Errno::EROFS);
        }
        if size < self.size() {
            self.cut_pages(size)?;
        }
        loop {
            let progress = self.volume.edit(|edit| {
                let mut inode = self.inode();
                let progress = edit.resize(&mut inode, size)?;
                self.set_inode(inode);
                Ok(progress)
            })?;
            if progress == Progress::Done {
                return Ok(());
            }
        }
    }

    fn sync(&self) -> Result<()> {
        let written = self.pages.as_ref().map_or(Ok(()), |pages| pages.write_back());
        let safe = self.volume.make_safe();
        let failed = self.pages.as_ref().is_some_and(|pages| pages.take_failure());
        if failed { Err(Errno::EIO) } else { written.and(safe) }
    }

    fn seek_data(&self, offset: u64, data: bool) -> Result<u64> {
        let block_len = self.block_len();
        let inode = self.inode();
        let end = inode.size.div_ceil(block_len);
        let mut block = offset / block_len;
        while block < end {
            let format = &self.volume.format;
            let run = format.map_run(&inode, block, end - block).map_err(|error| self.volume.errno(error))?;
            if run.start.is_some() == data {
                break;
            }
            block += run.count.max(1);
        }
        Ok((block * block_len).max(offset).min(inode.size))
    }
}
