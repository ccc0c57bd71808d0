//! The dentry cache: which name in which directory is which inode, as far as it has been asked.
//!
//! A [`Dentry`] is a name that exists; names known not to exist are kept in their directory as well. Children
//! keep their parent, parents their children: a tree stays in memory until [`Dentry::prune`] takes out what nobody else
//! uses, leaves first. What does not last ([`Inode::is_lasting`]) is not kept: each look-up makes its dentry anew.
//!
//! Locks: `directory` is a sleeping lock held while the file system looks at or changes the directory, parent before
//! child; `children` and `place` (rank File) are for the fields alone, one at a time and never across a sleep. The count
//! of an unused dentry can only rise through its parent's `children`, which is why `prune` may trust it under that lock.

use super::inode::Inode;
use super::{Result, notify};
use abi::Errno;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use fs::FileType;
use hashbrown::HashTable;
use klib::objects::{Counted, Kind};
use machine::mm::frame;
use machine::sync::{Mutex, Rank, SpinLock};

/// Names remembered in all directories together, absent ones included.
static REMEMBERED: AtomicUsize = AtomicUsize::new(0);

/// A name and its file.
pub struct Dentry {
    _counted: Counted,
    inode: Arc<dyn Inode>,
    /// Of the inode, for which it never changes.
    kind: FileType,
    place: SpinLock<Place>,
    children: SpinLock<HashTable<Child>>,
    /// Held while the file system works on this directory.
    pub directory: Mutex<()>,
    /// Mounts that cover it.
    pub mounts: AtomicU32,
    removed: AtomicBool,
    /// Its file was made without a name and may get one, once.
    pub linkable: AtomicBool,
    /// Every name in it is among the children, so that what is not there is not in the file system either: of a directory that
    /// was made here, until the first of them is forgotten.
    complete: AtomicBool,
    /// Names in it that differ in case alone are one: children are remembered by their folded names.
    folds_case: bool,
    /// Made as a mount point where the file system has no such directory.
    pub synthetic: bool,
}

struct Place {
    name: Box<[u8]>,
    /// None for the root of a volume.
    parent: Option<Arc<Dentry>>,
}

/// A name in a directory, as [`Dentry::key`] has it.
struct Child {
    name: Box<[u8]>,
    /// None if it is known that there is no such name.
    dentry: Option<Arc<Dentry>>,
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

    /// The place of a file that was made without a name, as if it had been removed from `parent`.
    pub fn unnamed(inode: Arc<dyn Inode>, name: Box<[u8]>, parent: &Arc<Dentry>, linkable: bool) -> Arc<Dentry> {
        let mut dentry = Self::with(inode, name, Some(parent.clone()), false);
        *dentry.removed.get_mut() = true;
        *dentry.linkable.get_mut() = linkable;
        Arc::new(dentry)
    }

    fn with(inode: Arc<dyn Inode>, name: Box<[u8]>, parent: Option<Arc<Dentry>>, synthetic: bool) -> Dentry {
        Dentry {
            _counted: Counted::new(Kind::Dentry),
            kind: inode.file_type(),
            folds_case: inode.folds_case(),
            inode,
            place: SpinLock::new("dentry place", Rank::File, Place { name, parent }),
            children: SpinLock::new("dentry children", Rank::File, HashTable::new()),
            directory: Mutex::new("directory", ()),
            mounts: AtomicU32::new(0),
            removed: AtomicBool::new(false),
            linkable: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            synthetic,
        }
    }

    /// Its file.
    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Its kind.
    pub fn kind(&self) -> FileType {
        self.kind
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

    /// Appends its name from the last byte to the first; the directory it is in.
    pub fn push_name_backwards(&self, path: &mut Vec<u8>) -> Option<Arc<Dentry>> {
        let place = self.place.lock();
        path.extend(place.name.iter().rev());
        place.parent.clone()
    }

    /// Its path from the root of its volume.
    pub fn path_in_volume(self: &Arc<Self>) -> Vec<u8> {
        let (mut path, mut at) = (Vec::new(), self.clone());
        while let Some(parent) = at.push_name_backwards(&mut path) {
            path.push(b'/');
            at = parent;
        }
        if path.is_empty() {
            path.push(b'/');
        }
        path.reverse();
        path
    }

    /// Its name; empty for the root of a volume.
    pub fn name(&self) -> Box<[u8]> {
        self.place.lock().name.clone()
    }

    /// It is a directory that has just been made, empty.
    pub fn mark_new(&self) {
        self.complete.store(true, Ordering::Release);
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
        // A child that has been forgotten since the look above has ended this under the same lock.
        if self.is_removed() || self.complete.load(Ordering::Acquire) {
            return Ok(None);
        }
        match self.inode.lookup(name) {
            Ok(inode) if !inode.is_lasting() => {
                Ok(Some(Arc::new(Self::with(inode, name.into(), Some(self.clone()), false))))
            }
            Ok(inode) => self.adopt(name, inode, false).map(Some),
            Err(Errno::ENOENT) => {
                if self.inode.is_lasting() {
                    self.remember(name, None);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Enters `inode` as the child `name`. The caller holds `directory`.
    pub fn adopt(self: &Arc<Self>, name: &[u8], inode: Arc<dyn Inode>, synthetic: bool) -> Result<Arc<Dentry>> {
        let child = Arc::new(Self::with(inode, name.into(), Some(self.clone()), synthetic));
        self.remember(name, Some(child.clone()));
        Ok(child)
    }

    /// The child `name` has been removed. The caller holds `directory`.
    pub fn forget_removed(&self, name: &[u8]) {
        if let Some(child) = self.remember(name, None) {
            child.removed.store(true, Ordering::Release);
        }
    }

    /// Takes a synthetic child out, of which the file system knows nothing.
    pub fn forget_synthetic(&self, name: &[u8]) {
        drop(self.take_child(name));
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
                self.remember(name, None);
            }
        }
    }

    /// Gives the synthetic children to `each`.
    pub fn for_each_synthetic(&self, each: &mut dyn FnMut(&Arc<Dentry>)) {
        let synthetic: Vec<Arc<Dentry>> = {
            let children = self.children.lock();
            let all = children.iter().filter_map(|child| child.dentry.as_ref());
            all.filter(|child| child.synthetic).cloned().collect()
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

    /// The child called `name` if it is known, or that there is none.
    pub fn cached(&self, name: &[u8]) -> Option<Option<Arc<Dentry>>> {
        if self.folds_case { self.cached_as(&self.key(name)) } else { self.cached_as(name) }
    }

    #[inline]
    fn cached_as(&self, key: &[u8]) -> Option<Option<Arc<Dentry>>> {
        let hash = self.hash(key);
        let children = self.children.lock();
        children.find(hash, |child| *child.name == *key).map(|child| child.dentry.clone())
    }

    /// The dentry that was remembered before.
    fn remember(&self, name: &[u8], dentry: Option<Arc<Dentry>>) -> Option<Arc<Dentry>> {
        let key = self.key(name);
        let mut children = self.children.lock();
        if let Some(known) = children.find_mut(self.hash(&key), |child| *child.name == *key) {
            return core::mem::replace(&mut known.dentry, dentry);
        }
        let name = Box::from(&*key);
        children.insert_unique(self.hash(&key), Child { name, dentry }, |child| self.hash(&child.name));
        REMEMBERED.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// What `name` is remembered by.
    fn key<'a>(&self, name: &'a [u8]) -> Cow<'a, [u8]> {
        if self.folds_case { Cow::Owned(fs::fat::fold(name)) } else { Cow::Borrowed(name) }
    }

    /// FNV-1a, from a beginning of the directory's own, so that nobody can choose names that collide; with its bits mixed at
    /// the end, as the table looks at the highest.
    fn hash(&self, name: &[u8]) -> u64 {
        let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let begin = 0xcbf2_9ce4_8422_2325 ^ core::ptr::from_ref(self).addr() as u64;
        let hash: u64 = name.iter().fold(begin, step);
        (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn take_child(&self, name: &[u8]) -> Option<Arc<Dentry>> {
        let key = self.key(name);
        let found = self.children.lock().find_entry(self.hash(&key), |child| *child.name == *key).ok()?.remove().0;
        REMEMBERED.fetch_sub(1, Ordering::Relaxed);
        found.dentry
    }

    /// Takes its place as `name` in `parent`.
    fn settle(self: &Arc<Self>, parent: &Arc<Dentry>, name: &[u8]) {
        let new = Place { name: name.into(), parent: Some(parent.clone()) };
        let old = core::mem::replace(&mut *self.place.lock(), new);
        parent.remember(name, Some(self.clone()));
        drop(old);
    }

    fn present_children(&self) -> Vec<Arc<Dentry>> {
        let children = self.children.lock();
        children.iter().filter_map(|child| child.dentry.clone()).collect()
    }

    fn drop_unused_children(&self) {
        let mut unused = Vec::new();
        let is_unused = |child: &mut Child| child.dentry.as_ref().is_none_or(|dentry| Arc::strong_count(dentry) == 1);
        let mut children = self.children.lock();
        children.extract_if(is_unused).for_each(|child| unused.push(child));
        if unused.iter().any(|child| child.dentry.is_some()) {
            self.complete.store(false, Ordering::Release);
        }
        drop(children);
        REMEMBERED.fetch_sub(unused.len(), Ordering::Relaxed);
    }
}

impl Drop for Dentry {
    /// Lets a chain of removed directories go one by one: dropped within each other they could exhaust the stack.
    fn drop(&mut self) {
        REMEMBERED.fetch_sub(self.children.get_mut().len(), Ordering::Relaxed);
        notify::let_go(&self.inode);
        let mut parent = self.place.get_mut().parent.take();
        while let Some(last) = parent.and_then(Arc::into_inner) {
            let mut last = last;
            parent = last.place.get_mut().parent.take();
        }
    }
}
