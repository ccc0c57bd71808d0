//! The dentry cache: which name in which directory is which inode, as far as it has been asked.
//!
//! A [`Dentry`] is a name that exists; names known not to exist are kept in their directory as [`Child::Absent`]. Children
//! keep their parent, parents their children: a tree stays in memory until [`Dentry::prune`] takes out what nobody else
//! uses, leaves first. What does not last ([`Inode::is_lasting`]) is not kept: each look-up makes its dentry anew.
//!
//! Locks: `directory` is a sleeping lock held while the file system looks at or changes the directory, parent before
//! child; `children` and `place` (rank File) are for the fields alone, one at a time and never across a sleep. The count
//! of an unused dentry can only rise through its parent's `children`, which is why `prune` may trust it under that lock.

use super::Result;
use super::inode::Inode;
use abi::Errno;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use fs::FileType;
use klib::objects::{Counted, Kind};
use machine::mm::frame;
use machine::sync::{Mutex, Rank, SpinLock};

/// Names remembered in all directories together, absent ones included.
static REMEMBERED: AtomicUsize = AtomicUsize::new(0);

/// A name and its file.
pub struct Dentry {
    _counted: Counted,
    inode: Arc<dyn Inode>,
    place: SpinLock<Place>,
    children: SpinLock<BTreeMap<Box<[u8]>, Child>>,
    /// Held while the file system works on this directory.
    pub directory: Mutex<()>,
    /// Mounts that cover it.
    pub mounts: AtomicU32,
    removed: AtomicBool,
    /// Made as a mount point where the file system has no such directory.
    pub synthetic: bool,
}

struct Place {
    name: Box<[u8]>,
    /// None for the root of a volume.
    parent: Option<Arc<Dentry>>,
}

enum Child {
    Present(Arc<Dentry>),
    Absent,
}

impl Dentry {
    /// The root of a volume.
    pub fn root(inode: Arc<dyn Inode>) -> Arc<Dentry> {
        Self::detached(inode, Box::default())
    }

    /// A name that is in no directory.
    pub fn detached(inode: Arc<dyn Inode>, name: Box<[u8]>) -> Arc<Dentry> {
        Arc::new(Self::with(inode, name, None, false))
    }

    fn with(inode: Arc<dyn Inode>, name: Box<[u8]>, parent: Option<Arc<Dentry>>, synthetic: bool) -> Dentry {
        Dentry {
            _counted: Counted::new(Kind::Dentry),
            inode,
            place: SpinLock::new("dentry place", Rank::File, Place { name, parent }),
            children: SpinLock::new("dentry children", Rank::File, BTreeMap::new()),
            directory: Mutex::new("directory", ()),
            mounts: AtomicU32::new(0),
            removed: AtomicBool::new(false),
            synthetic,
        }
    }

    /// Its file.
    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.inode.file_type() == FileType::Directory
    }

    /// The directory it is in; None for the root of a volume.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.lock().parent.clone()
    }

    /// Whether a mount on it would stay in sight: not if it is made anew at each look-up.
    pub fn keeps_mounts(&self) -> bool {
        self.inode.is_lasting() || self.parent().is_none()
    }

    /// Writes its name; false if another CPU is just changing it. Does not wait.
    pub fn write_name(&self, out: &mut dyn core::fmt::Write) -> bool {
        self.place.try_lock().is_some_and(|place| write!(out, "{}", place.name.escape_ascii()).is_ok())
    }

    /// Its name; empty for the root of a volume.
    pub fn name(&self) -> Box<[u8]> {
        self.place.lock().name.clone()
    }

    /// Whether the name is gone, and the file only lives on with those who use it.
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Whether this is `other` or lies below it.
    pub fn is_below(self: &Arc<Self>, other: &Arc<Dentry>) -> bool {
        let mut at = self.clone();
        loop {
            if Arc::ptr_eq(&at, other) {
                return true;
            }
            let Some(parent) = at.parent() else { return false };
            at = parent;
        }
    }

    /// The child called `name`, from the cache or the file system; None if there is none.
    pub fn child(self: &Arc<Self>, name: &[u8]) -> Result<Option<Arc<Dentry>>> {
        if let Some(known) = self.cached(name) {
            return Ok(known);
        }
        let _held = self.directory.lock();
        self.child_locked(name)
    }

    /// As [`Dentry::child`], for a caller that holds `directory`.
    pub fn child_locked(self: &Arc<Self>, name: &[u8]) -> Result<Option<Arc<Dentry>>> {
        if let Some(known) = self.cached(name) {
            return Ok(known);
        }
        if self.is_removed() {
            return Ok(None);
        }
        match self.inode.lookup(name) {
            Ok(inode) if !inode.is_lasting() => {
                Ok(Some(Arc::new(Self::with(inode, name.into(), Some(self.clone()), false))))
            }
            Ok(inode) => self.adopt(name, inode, false).map(Some),
            Err(Errno::ENOENT) => {
                if self.inode.is_lasting() {
                    self.remember(name, Child::Absent);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Enters `inode` as the child `name`. The caller holds `directory`.
    pub fn adopt(self: &Arc<Self>, name: &[u8], inode: Arc<dyn Inode>, synthetic: bool) -> Result<Arc<Dentry>> {
        let child = Arc::new(Self::with(inode, name.into(), Some(self.clone()), synthetic));
        self.remember(name, Child::Present(child.clone()));
        Ok(child)
    }

    /// The child `name` has been removed. The caller holds `directory`.
    pub fn forget_removed(&self, name: &[u8]) {
        if let Some(Child::Present(child)) = self.remember(name, Child::Absent) {
            child.removed.store(true, Ordering::Release);
        }
    }

    /// Takes a synthetic child out, of which the file system knows nothing.
    pub fn forget_synthetic(&self, name: &[u8]) {
        let old = self.children.lock().remove(name);
        if old.is_some() {
            REMEMBERED.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The child `name` has become `new_name` in `new_parent`, replacing what was there. The caller holds both
    /// `directory` locks.
    pub fn renamed(self: &Arc<Self>, name: &[u8], new_parent: &Arc<Dentry>, new_name: &[u8], exchange: bool) {
        let moved = self.take_child(name);
        let replaced = new_parent.take_child(new_name);
        if let Some(moved) = moved {
            moved.settle(new_parent, new_name);
        }
        match replaced {
            Some(replaced) if exchange => replaced.settle(self, name),
            other => {
                if let Some(replaced) = other {
                    replaced.removed.store(true, Ordering::Release);
                }
                self.remember(name, Child::Absent);
            }
        }
    }

    /// Gives the synthetic children to `each`.
    pub fn for_each_synthetic(&self, each: &mut dyn FnMut(&Arc<Dentry>)) {
        let synthetic: Vec<Arc<Dentry>> = {
            let children = self.children.lock();
            let all = children.values().filter_map(|child| match child {
                Child::Present(child) if child.synthetic => Some(child.clone()),
                _ => None,
            });
            all.collect()
        };
        synthetic.iter().for_each(each);
    }

    /// Takes everything below `self` out of the cache that nobody uses.
    pub fn prune(self: &Arc<Self>) {
        let mut found = alloc::vec![self.clone()];
        let mut next = 0;
        while let Some(dentry) = found.get(next) {
            let below: Vec<Arc<Dentry>> = dentry.present_children();
            found.extend(below);
            next += 1;
        }
        // Each directory comes after its parent, so backwards the leaves go first and their parents become unused.
        while let Some(dentry) = found.pop() {
            dentry.drop_unused_children();
        }
    }

    /// Prunes below `self`, a root, if very many names are remembered.
    pub fn prune_if_many(self: &Arc<Self>) {
        /// Names from which on the next pruning is worth its time.
        static LIMIT: AtomicUsize = AtomicUsize::new(0);
        let least = (frame::total() / 4).clamp(2048, 65536);
        if REMEMBERED.load(Ordering::Relaxed) > LIMIT.load(Ordering::Relaxed).max(least) {
            self.prune();
            LIMIT.store(REMEMBERED.load(Ordering::Relaxed).saturating_mul(2), Ordering::Relaxed);
        }
    }

    fn cached(&self, name: &[u8]) -> Option<Option<Arc<Dentry>>> {
        match self.children.lock().get(name)? {
            Child::Present(child) => Some(Some(child.clone())),
            Child::Absent => Some(None),
        }
    }

    /// What was remembered before.
    fn remember(&self, name: &[u8], child: Child) -> Option<Child> {
        let old = self.children.lock().insert(name.into(), child);
        if old.is_none() {
            REMEMBERED.fetch_add(1, Ordering::Relaxed);
        }
        old
    }

    fn take_child(&self, name: &[u8]) -> Option<Arc<Dentry>> {
        let old = self.children.lock().remove(name);
        if old.is_some() {
            REMEMBERED.fetch_sub(1, Ordering::Relaxed);
        }
        match old {
            Some(Child::Present(child)) => Some(child),
            _ => None,
        }
    }

    /// Takes its place as `name` in `parent`.
    fn settle(self: &Arc<Self>, parent: &Arc<Dentry>, name: &[u8]) {
        let new = Place { name: name.into(), parent: Some(parent.clone()) };
        let old = core::mem::replace(&mut *self.place.lock(), new);
        parent.remember(name, Child::Present(self.clone()));
        drop(old);
    }

    fn present_children(&self) -> Vec<Arc<Dentry>> {
        let children = self.children.lock();
        let present = children.values().filter_map(|child| match child {
            Child::Present(child) => Some(child.clone()),
            Child::Absent => None,
        });
        present.collect()
    }

    fn drop_unused_children(&self) {
        let mut unused = Vec::new();
        self.children.lock().retain(|_, child| match child {
            Child::Present(child) if Arc::strong_count(child) > 1 => true,
            child => {
                unused.push(core::mem::replace(child, Child::Absent));
                false
            }
        });
        REMEMBERED.fetch_sub(unused.len(), Ordering::Relaxed);
    }
}

impl Drop for Dentry {
    /// Lets a chain of removed directories go one by one: dropped within each other they could exhaust the stack.
    fn drop(&mut self) {
        REMEMBERED.fetch_sub(self.children.get_mut().len(), Ordering::Relaxed);
        let mut parent = self.place.get_mut().parent.take();
        while let Some(last) = parent.and_then(Arc::into_inner) {
            let mut last = last;
            parent = last.place.get_mut().parent.take();
        }
    }
}
