//! One inode of an ext2 volume as the VFS sees it.

use super::super::Result;
use super::super::device::device_number;
use super::super::inode::{DirEntry, FileType, Inode, Metadata, directory_type};
use super::super::page_cache::PageCache;
use super::Ext2Volume;
use super::content::Content;
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use fs::ext2::{self, Timestamp};

/// An inode in use.
pub(super) struct Node {
    volume: Arc<Ext2Volume>,
    inode: ext2::Inode,
    /// Of a regular file.
    pages: Option<Arc<PageCache>>,
}

impl Node {
    pub fn new(volume: Arc<Ext2Volume>, inode: ext2::Inode) -> Node {
        let content = || Box::new(Content { volume: volume.clone(), inode: inode.clone() });
        let pages = (inode.kind == FileType::Regular).then(|| PageCache::new(content()));
        Node { volume, inode, pages }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.volume.forget(self.inode.number);
    }
}

impl Inode for Node {
    fn file_type(&self) -> FileType {
        self.inode.kind
    }

    fn metadata(&self) -> Result<Metadata> {
        let inode = &self.inode;
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
            blksize: self.volume.format.geometry().block_size() as u64,
            blocks: inode.sectors_count.into(),
            atime: time(inode.accessed),
            mtime: time(inode.modified),
            ctime: time(inode.changed),
        })
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let link = self.volume.format.lookup(&self.inode, name).map_err(|error| self.volume.errno(error))?;
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
        self.volume.format.read_dir(&self.inode, cookie, visit).map_err(|error| self.volume.errno(error))?;
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        let longest = self.volume.format.geometry().block_size() as u64;
        let mut target = Vec::new();
        let len = self.inode.size.min(longest) as usize;
        target.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
        target.resize(len, 0);
        let len = self.volume.format.read_link(&self.inode, &mut target).map_err(|error| self.volume.errno(error))?;
        target.truncate(len);
        Ok(target)
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        self.pages.as_ref()
    }

    fn size(&self) -> u64 {
        self.inode.size
    }

    fn seek_data(&self, offset: u64, data: bool) -> Result<u64> {
        let block_len = self.volume.format.geometry().block_size() as u64;
        let end = self.inode.size.div_ceil(block_len);
        let mut block = offset / block_len;
        while block < end {
            let format = &self.volume.format;
            let run = format.map_run(&self.inode, block, end - block).map_err(|error| self.volume.errno(error))?;
            if run.start.is_some() == data {
                break;
            }
            block += run.count.max(1);
        }
        Ok((block * block_len).max(offset).min(self.inode.size))
    }
}
