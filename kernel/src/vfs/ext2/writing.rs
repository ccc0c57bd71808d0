//! Changing a volume: one operation at a time under the lock of its writer, transactions, and writing back.
//!
//! Order, for a power cut at any time: what files hold goes to the device before the transaction that leads to it
//! ([`Ext2Volume::commit`]), and space that a transaction frees is not used before it is committed (the format crate's).
//!
//! Locks: `writer` (sleeping) for an operation or a commit, taken after a directory's and a file's own locks; under it
//! pages are written back. `dirty`, `orphans` and `unused` (rank File), for the lists alone.

use super::super::inode::FileSystem;
use super::super::{Result, write_back};
use super::node::Node;
use super::store::DeviceStore;
use super::{Ext2Volume, accessed, now};
use abi::Errno;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use fs::WriteStore;
use fs::ext2::{Edit, Error, Inode, Progress};

/// Larger blocks than this are read only: a page would be a part of one.
const LARGEST_BLOCK: usize = machine::PAGE_SIZE;

type FormatResult<T> = core::result::Result<T, Error<Errno>>;

impl Ext2Volume {
    /// Runs one operation; again if it finds no space until what has been freed is free to use. EROFS if the volume is not
    /// being written.
    pub(super) fn edit<R>(
        &self,
        mut operation: impl FnMut(&mut Edit<'_, DeviceStore>) -> FormatResult<R>,
    ) -> Result<R> {
        let mut writer = self.writer.lock();
        let writer = writer.as_mut().filter(|_| self.writable.load(Ordering::Acquire)).ok_or(Errno::EROFS)?;
        let mut edit = self.format.edit(writer, now());
        let unused = core::mem::take(&mut *self.unused.lock());
        edit.forget(unused.into_iter());
        if edit.is_full() {
            self.commit(&mut edit)?;
        }
        self.has_changed();
        let mut result = operation(&mut edit);
        if let Err(Error::NoSpace) = result {
            self.make_space(&mut edit)?;
            result = operation(&mut edit);
        }
        result.map_err(|error| self.errno(error))
    }

    /// Frees all that can be freed.
    fn make_space(&self, edit: &mut Edit<'_, DeviceStore>) -> Result<()> {
        self.free_orphans(edit)?;
        if edit.held_blocks() > 0 {
            self.commit(edit)?;
            edit.checkpoint().map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// Commits the running transaction, after what it leads to has been written.
    pub(super) fn commit(&self, edit: &mut Edit<'_, DeviceStore>) -> Result<()> {
        let written = self.write_dirty_nodes();
        self.write_accessed(edit, accessed::AT_ONCE);
        edit.commit().map_err(|error| self.fail(error))?;
        written
    }

    /// A commit has failed: what is on the device is whole, but nothing more can be added to it.
    fn fail(&self, error: Error<Errno>) -> Errno {
        if self.writable.swap(false, Ordering::AcqRel) {
            log::error!("{}: {error}; it cannot be written any more until it is mounted anew", self.name);
        }
        self.errno(error)
    }

    /// Writes back what files hold.
    fn write_dirty_nodes(&self) -> Result<()> {
        let nodes: Vec<Arc<Node>> = self.dirty.lock().values().cloned().collect();
        let mut result = Ok(());
        for node in nodes {
            let Some(pages) = node.page_cache() else { continue };
            // One reference is the list's, one is ours: nobody will ever read it.
            if node.is_removed() && Arc::strong_count(&node) == 2 {
                pages.cut(0);
            }
            result = result.and(pages.write_back());
            let mut dirty = self.dirty.lock();
            if pages.dirty_pages() == 0 {
                let listed = dirty.remove(&node.number());
                drop(dirty);
                drop(listed);
            }
        }
        result
    }

    /// Puts a node with dirty pages on the list.
    pub(super) fn list_dirty(&self, node: &Arc<Node>) {
        self.dirty.lock().entry(node.number()).or_insert_with(|| node.clone());
        self.has_changed();
    }

    pub(super) fn has_changed(&self) {
        self.unwritten.note();
    }

    /// Makes safe what has been changed; with `all`, of all files' content, else of what the transaction leads to.
    pub(super) fn make_safe(&self) -> Result<()> {
        self.unwritten.clear();
        let written = self.write_dirty_nodes();
        let mut writer = self.writer.lock();
        let Some(writer) = writer.as_mut().filter(|_| self.writable.load(Ordering::Acquire)) else {
            return written;
        };
        let mut edit = self.format.edit(writer, now());
        self.write_all_accessed(&mut edit)?;
        match edit.changed_blocks() {
            0 => self.format.store().barrier()?,
            _ => self.commit(&mut edit)?,
        }
        if !self.dirty.lock().is_empty() {
            // Written again meanwhile, or mapped: there will be something to write in time.
            self.has_changed();
        }
        written
    }

    /// A node without names is gone: what it had is to be freed.
    pub(super) fn list_orphan(&self, inode: Inode) {
        self.orphans.lock().push(inode);
        write_back::hurry();
    }

    /// A node is gone that may have had blocks set aside.
    pub(super) fn list_unused(&self, number: u32) {
        self.unused.lock().push(number);
    }

    fn free_orphans(&self, edit: &mut Edit<'_, DeviceStore>) -> Result<()> {
        loop {
            let Some(mut inode) = self.orphans.lock().pop() else { return Ok(()) };
            loop {
                match edit.remove_orphan(&mut inode) {
                    Ok(Progress::Done) => break,
                    Ok(Progress::More) => {}
                    // It stays on the device's list for the next mount.
                    Err(error) => return Err(self.errno(error)),
                }
                if edit.is_full() {
                    self.commit(edit)?;
                }
            }
            if edit.is_full() {
                self.commit(edit)?;
            }
        }
    }

    pub(super) fn start_writing(&self) -> core::result::Result<(), String> {
        let mut writer = self.writer.lock();
        if writer.is_some() {
            return Ok(());
        }
        if self.disk.read_only() {
            return Err("the device is read-only".to_string());
        }
        if self.format.geometry().block_size() > LARGEST_BLOCK {
            return Err(format!("blocks of more than {LARGEST_BLOCK} bytes can only be read"));
        }
        let begun = self.format.begin_writing(self.recovered, now()).map_err(|error| error.to_string())?;
        if !begun.has_journal() {
            log::warn!("{}: no room for a journal: a power cut may need e2fsck to be run by hand", self.name);
        }
        *writer = Some(begun);
        self.writable.store(true, Ordering::Release);
        Ok(())
    }

    pub(super) fn free_removed(&self) {
        if self.orphans.lock().is_empty() {
            return;
        }
        // An error has been logged; the device's list of orphans keeps what is left.
        let _ = self.edit(|edit| {
            let freed = self.free_orphans(edit);
            freed.map_err(Error::Store)
        });
    }

    pub(super) fn stop_writing(&self) -> Result<()> {
        self.free_removed();
        let mut written = self.make_safe();
        // Files without names that only the list of dirty ones still had are gone now, and are to be freed as well.
        while !self.orphans.lock().is_empty() && self.writable.load(Ordering::Acquire) {
            self.free_removed();
            written = written.and(self.make_safe());
        }
        let mut guard = self.writer.lock();
        let Some(mut writer) = guard.take() else { return written };
        if !self.writable.swap(false, Ordering::AcqRel) {
            // It has failed before; the state on the device says that it was not unmounted.
            return Err(Errno::EIO);
        }
        self.format.edit(&mut writer, now()).end_writing().map_err(|error| self.errno(error))?;
        written
    }
}

/// For the list of file systems to write back.
pub(super) fn register(volume: &Arc<Ext2Volume>) {
    let system: Arc<dyn FileSystem> = volume.clone();
    write_back::register(Arc::downgrade(&system));
}
