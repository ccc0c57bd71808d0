//! Times of reads, which are kept in memory until the next commit: a read never waits for the device or for a writer.
//!
//! A node whose time is newer than what its transaction or the device has says so (`access_pending`) and is on the volume's
//! list once; one that goes before its time has been written leaves that on the list, for a node of the same file to find.

use super::super::inode::Time;
use super::super::write_back;
use super::Ext2Volume;
use super::node::Node;
use super::store::DeviceStore;
use alloc::sync::Weak;
use core::sync::atomic::Ordering;
use fs::ext2::{Edit, Inode, Timestamp};

/// Most that are on the list: who reads more files than that before anything is written loses the rest of the times.
const MOST: usize = 2048;
/// How many are written in one transaction that is committed for another reason.
pub(super) const AT_ONCE: usize = 32;

/// A file that has been read.
pub(super) struct Accessed {
    number: u32,
    /// Of one that is not in memory any more: its generation and when it was read.
    left: Option<(u32, Timestamp)>,
}

impl Node {
    pub(super) fn set_accessed(&self, (seconds, nanoseconds): Time) {
        let is_first = !self.access_pending.swap(true, Ordering::AcqRel);
        if is_first && !self.volume.list_accessed(Accessed { number: self.number(), left: None }) {
            self.access_pending.store(false, Ordering::Release);
            return;
        }
        self.with_inode(|inode| inode.accessed = Timestamp { seconds, nanoseconds });
    }

    /// It is gone: what has not been written of it stays on the list.
    pub(super) fn leave_accessed(&self) {
        if self.access_pending.load(Ordering::Acquire) {
            let inode = self.inode();
            let left = Some((inode.generation, inode.accessed));
            self.volume.list_accessed(Accessed { number: inode.number, left });
        }
    }
}

impl Ext2Volume {
    /// Whether there was room on the list.
    fn list_accessed(&self, entry: Accessed) -> bool {
        let mut list = self.accessed.lock();
        if list.len() >= MOST || list.try_reserve(1).is_err() {
            drop(list);
            write_back::hurry();
            return false;
        }
        list.push(entry);
        drop(list);
        self.has_changed();
        true
    }

    /// Gives an inode that has just been read from the device the time that is not written there yet. Whether there was one.
    pub(super) fn recall_accessed(&self, inode: &mut Inode) -> bool {
        let list = self.accessed.lock();
        let found = list.iter().rev().filter(|entry| entry.number == inode.number).find_map(|entry| entry.left);
        match found.filter(|&(generation, _)| generation == inode.generation) {
            Some((_, time)) => {
                inode.accessed = time;
                true
            }
            None => false,
        }
    }

    /// Whether there is a time to be written.
    pub(super) fn has_accessed(&self) -> bool {
        !self.accessed.lock().is_empty()
    }

    /// Makes at most `most` of the times part of the running transaction. Nothing depends on them, so a failure is logged and
    /// that is all.
    pub(super) fn write_accessed(&self, edit: &mut Edit<'_, DeviceStore>, most: usize) {
        for _ in 0..most {
            let Some(entry) = self.accessed.lock().pop() else { return };
            let live = self.inodes.lock().get(&entry.number).and_then(Weak::upgrade);
            let inode = match (live, entry.left) {
                (Some(node), _) => {
                    let due = node.access_pending.swap(false, Ordering::AcqRel) && !node.is_removed();
                    due.then(|| node.inode())
                }
                (None, Some((generation, time))) => {
                    let found = self.format.read_inode(entry.number).ok();
                    let same = found.filter(|inode| inode.generation == generation && inode.links_count > 0);
                    same.map(|mut inode| {
                        inode.accessed = time;
                        inode
                    })
                }
                (None, None) => None,
            };
            if let Some(inode) = inode
                && let Err(error) = edit.update(&inode)
            {
                self.errno(error);
            }
        }
    }

    /// Writes all the times, in as many transactions as that takes.
    pub(super) fn write_all_accessed(&self, edit: &mut Edit<'_, DeviceStore>) -> super::super::Result<()> {
        while self.has_accessed() {
            self.write_accessed(edit, AT_ONCE);
            if edit.is_full() {
                self.commit(edit)?;
            }
        }
        Ok(())
    }
}
