//! One file of a tmpfs.

use super::super::Result;
use super::super::clock;
use super::super::flags::{OFFSET_MAX, PERMISSION_BITS};
use super::super::inode::{
    AttributeChange, DirEntry, FileType, Inode, Metadata, NewKind, NewNode, SetAttribute, Time, directory_type,
};
use super::super::page_cache::PageCache;
use super::Shared;
use super::attributes::{Attributes, attribute};
use abi::Errno;
use abi::fcntl::{F_SEAL_EXEC, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::cmp::Ordering::{Equal, Greater, Less};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use machine::PAGE_SIZE;
use machine::sync::{Rank, SpinLock};

const PAGE: u64 = PAGE_SIZE as u64;
/// Directory positions 0 and 1 are `.` and `..`; an entry's position is its cookie, from here on.
const FIRST_COOKIE: i64 = 2;

/// A file in memory.
pub(super) struct Node {
    shared: Weak<Shared>,
    number: u64,
    kind: FileType,
    content: Content,
    size: AtomicU64,
    /// `F_SEAL_*`. A file that is not made to be sealed has the one against more of them.
    seals: AtomicU32,
    inner: SpinLock<Inner>,
}

enum Content {
    Directory(SpinLock<Directory>),
    Pages(Arc<PageCache>),
    Link(Box<[u8]>),
    Device(u64),
}

/// Entries twice: by name for look-ups, by cookie so that reading the directory keeps its place while it changes.
#[derive(Default)]
struct Directory {
    names: BTreeMap<Box<[u8]>, (i64, u64, FileType)>,
    cookies: BTreeMap<i64, Box<[u8]>>,
    last_cookie: i64,
}

struct Inner {
    mode: u32,
    uid: u32,
    gid: u32,
    links: u64,
    times: Times,
    attributes: Attributes,
}

struct Times {
    access: Time,
    content: Time,
    inode: Time,
}

impl Node {
    pub fn new(shared: &Arc<Shared>, number: u64, new: &NewNode<'_>) -> Node {
        let (kind, content, size) = match new.kind {
            NewKind::Regular => (FileType::Regular, Content::Pages(PageCache::in_memory(&shared.quota)), 0),
            NewKind::Directory => {
                let empty = SpinLock::new("tmpfs directory", Rank::File, Directory::default());
                (FileType::Directory, Content::Directory(empty), 0)
            }
            NewKind::Symlink(target) => (FileType::Symlink, Content::Link(target.into()), target.len() as u64),
            NewKind::Special(kind, number) => (kind, Content::Device(number), 0),
        };
        let now = clock::now();
        let mode = if kind == FileType::Symlink { 0o777 } else { new.mode & PERMISSION_BITS };
        let times = Times { access: now, content: now, inode: now };
        let inner = Inner { mode, uid: new.uid, gid: new.gid, links: 0, times, attributes: Attributes::default() };
        Node {
            shared: Arc::downgrade(shared),
            number,
            kind,
            content,
            size: AtomicU64::new(size),
            seals: AtomicU32::new(F_SEAL_SEAL),
            inner: SpinLock::new("tmpfs node", Rank::File, inner),
        }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// One name more or less leads here; a directory's own `.` and its children's `..` count too. At none the node
    /// leaves the table.
    pub fn change_links(&self, by: i64) {
        let left = {
            let mut inner = self.inner.lock();
            inner.links = inner.links.saturating_add_signed(by);
            inner.times.inode = clock::now();
            inner.links
        };
        if left == 0
            && let Some(shared) = self.shared.upgrade()
        {
            shared.forget(self.number);
        }
    }

    fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    fn shared(&self) -> Result<Arc<Shared>> {
        self.shared.upgrade().ok_or(Errno::EIO)
    }

    fn directory(&self) -> Result<&SpinLock<Directory>> {
        match &self.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// EPERM if one of these seals is set.
    fn check_seals(&self, seals: u32) -> Result<()> {
        if self.seals.load(Ordering::Acquire) & seals == 0 { Ok(()) } else { Err(Errno::EPERM) }
    }

    fn content_changed(&self) {
        let now = clock::now();
        let mut inner = self.inner.lock();
        inner.times.content = now;
        inner.times.inode = now;
    }

    /// Enters `node` as `name`, which is free.
    fn enter(&self, name: &[u8], node: &Node) -> Result<()> {
        self.directory()?.lock().insert(name, node.number, node.kind);
        node.change_links(if node.is_dir() { 2 } else { 1 });
        if node.is_dir() {
            self.change_links(1);
        }
        self.content_changed();
        Ok(())
    }

    /// Takes the name of `node` out.
    fn leave(&self, name: &[u8], node: &Node) -> Result<()> {
        self.directory()?.lock().remove(name);
        node.change_links(if node.is_dir() { -2 } else { -1 });
        if node.is_dir() {
            self.change_links(-1);
        }
        self.content_changed();
        Ok(())
    }

    fn child(&self, name: &[u8]) -> Result<Arc<Node>> {
        let number = self.directory()?.lock().names.get(name).map(|entry| entry.1).ok_or(Errno::ENOENT)?;
        self.shared()?.node(number)
    }

    fn check_empty(&self) -> Result<()> {
        match &self.content {
            Content::Directory(directory) if !directory.lock().names.is_empty() => Err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }

    /// The other name's place gets the node of this one and the other way round.
    fn exchange(&self, name: &[u8], other: &Node, other_name: &[u8]) -> Result<()> {
        let (mine, theirs) = (self.child(name)?, other.child(other_name)?);
        self.directory()?.lock().replace(name, theirs.number, theirs.kind);
        other.directory()?.lock().replace(other_name, mine.number, mine.kind);
        // The `..` of a directory counts for its parent.
        let moved = i64::from(theirs.is_dir()) - i64::from(mine.is_dir());
        self.change_links(moved);
        other.change_links(-moved);
        self.content_changed();
        other.content_changed();
        Ok(())
    }
}

impl Inode for Node {
    fn file_type(&self) -> FileType {
        self.kind
    }

    fn metadata(&self) -> Result<Metadata> {
        let (size, pages) = match &self.content {
            Content::Directory(directory) => (directory.lock().names.len() as u64 * 32, 0),
            Content::Pages(pages) => (self.size(), pages.len() as u64),
            _ => (self.size(), 0),
        };
        let rdev = if let Content::Device(number) = self.content { number } else { 0 };
        let inner = self.inner.lock();
        Ok(Metadata {
            dev: 0,
            ino: self.number,
            mode: inner.mode | u32::from(self.kind.mode_bits()),
            nlink: inner.links,
            uid: inner.uid,
            gid: inner.gid,
            rdev,
            size,
            blksize: PAGE,
            blocks: pages * (PAGE / 512),
            atime: inner.times.access,
            mtime: inner.times.content,
            ctime: inner.times.inode,
        })
    }

    fn times(&self) -> Option<[Time; 3]> {
        let times = &self.inner.lock().times;
        Some([times.access, times.content, times.inode])
    }

    fn accessed(&self, now: Time) {
        self.inner.lock().times.access = now;
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let now = clock::now();
        let mut inner = self.inner.lock();
        if change.mode.is_some_and(|mode| (mode ^ inner.mode) & 0o111 != 0) {
            self.check_seals(F_SEAL_EXEC)?;
        }
        inner.mode = change.mode.unwrap_or(inner.mode);
        inner.uid = change.uid.unwrap_or(inner.uid);
        inner.gid = change.gid.unwrap_or(inner.gid);
        inner.times.access = change.atime.unwrap_or(inner.times.access);
        inner.times.content = change.mtime.unwrap_or(inner.times.content);
        inner.times.inode = now;
        Ok(())
    }

    fn attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.inner.lock().attributes.get(name)
    }

    fn each_attribute(&self, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.inner.lock().attributes.each(each);
        Ok(())
    }

    fn set_attribute(&self, name: &[u8], value: Option<&[u8]>, how: SetAttribute) -> Result<()> {
        let new = value.map(|value| attribute(name, value)).transpose()?;
        let mut inner = self.inner.lock();
        let old = inner.attributes.change(name, new, how)?;
        inner.times.inode = clock::now();
        drop(inner);
        drop(old);
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.child(name)?)
    }

    fn read_dir(&self, position: i64, parent: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let kind = directory_type(FileType::Directory);
        let own: [(i64, u64, &[u8]); 2] = [(1, self.number, b"."), (FIRST_COOKIE, parent, b"..")];
        for (next_offset, ino, name) in own {
            if position < next_offset && !emit(DirEntry { ino, next_offset, kind, name }) {
                return Ok(());
            }
        }
        let mut at = position.max(FIRST_COOKIE);
        // One at a time: `emit` may copy to user memory, which the lock must not be held for.
        loop {
            let next = self.directory()?.lock().from(at);
            let Some((cookie, name, ino, kind)) = next else { return Ok(()) };
            at = cookie.saturating_add(1);
            if !emit(DirEntry { ino, next_offset: at, kind: directory_type(kind), name: &name }) {
                return Ok(());
            }
        }
    }

    fn create(&self, name: &[u8], new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        let node = Shared::make(&self.shared()?, new);
        self.enter(name, &node)?;
        Ok(node)
    }

    fn create_unnamed(&self, new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        let shared = self.shared()?;
        let node = Shared::make(&shared, new);
        // With its first name it comes back into the table.
        shared.forget(node.number);
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let any: Arc<dyn Any + Send + Sync> = target.clone();
        let node = any.downcast::<Node>().map_err(|_| Errno::EXDEV)?;
        self.shared()?.keep(&node);
        self.enter(name, &node)
    }

    fn remove(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let target = same_kind(target)?;
        target.check_empty()?;
        self.leave(name, target)
    }

    fn rename(&self, name: &[u8], new_parent: &Arc<dyn Inode>, new_name: &[u8], exchange: bool) -> Result<()> {
        let new_parent = same_kind(new_parent)?;
        if exchange {
            return self.exchange(name, new_parent, new_name);
        }
        let moved = self.child(name)?;
        match new_parent.child(new_name) {
            Ok(replaced) => {
                replaced.check_empty()?;
                new_parent.leave(new_name, &replaced)?;
            }
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(error),
        }
        // Entered before it leaves, so that it is never without a name.
        new_parent.enter(new_name, &moved)?;
        self.leave(name, &moved)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.content {
            Content::Link(target) => Ok(target.to_vec()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn pages(&self) -> Option<&Arc<PageCache>> {
        match &self.content {
            Content::Pages(pages) => Some(pages),
            _ => None,
        }
    }

    fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    fn seals(&self) -> Option<&AtomicU32> {
        self.pages().map(|_| &self.seals)
    }

    fn check_write(&self, start: u64, end: u64) -> Result<u64> {
        let Content::Pages(_) = &self.content else { return Err(Errno::EINVAL) };
        self.check_seals(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)?;
        let size = self.size();
        if end <= size || self.check_seals(F_SEAL_GROW).is_ok() {
            return Ok(end);
        }
        // Page by page, as on Linux: of the page that the file would grow in nothing is written.
        Some(size - size % PAGE).filter(|&whole| whole > start).ok_or(Errno::EPERM)
    }

    fn wrote(&self, _start: u64, end: u64) -> Result<()> {
        self.size.fetch_max(end, Ordering::AcqRel);
        self.content_changed();
        Ok(())
    }

    fn truncate(&self, size: u64) -> Result<()> {
        let Content::Pages(pages) = &self.content else { return Err(Errno::EINVAL) };
        if size > OFFSET_MAX {
            return Err(Errno::EFBIG);
        }
        match size.cmp(&self.size()) {
            Less => self.check_seals(F_SEAL_SHRINK)?,
            Equal => {}
            Greater => self.check_seals(F_SEAL_GROW)?,
        }
        self.size.store(size, Ordering::Release);
        pages.cut(size);
        self.content_changed();
        Ok(())
    }

    fn allocate(&self, start: u64, end: u64) -> Result<()> {
        let Content::Pages(pages) = &self.content else { return Err(Errno::EINVAL) };
        if end > self.size() {
            self.check_seals(F_SEAL_GROW)?;
        }
        pages.fill_holes(start / PAGE..end.div_ceil(PAGE))
    }

    fn punch(&self, start: u64, end: u64) -> Result<()> {
        let Content::Pages(pages) = &self.content else { return Err(Errno::EINVAL) };
        self.check_seals(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)?;
        pages.punch(start, end, || Ok(()))?;
        self.content_changed();
        Ok(())
    }

    fn seek_data(&self, offset: u64, data: bool) -> Result<u64> {
        let Content::Pages(pages) = &self.content else { return Err(Errno::EINVAL) };
        let size = self.size();
        let mut index = offset / PAGE;
        if data {
            return Ok(pages.next_present(index).map_or(size, |found| (found * PAGE).max(offset)).min(size));
        }
        while pages.next_present(index) == Some(index) {
            index += 1;
        }
        Ok((index * PAGE).max(offset).min(size))
    }
}

impl Directory {
    fn insert(&mut self, name: &[u8], number: u64, kind: FileType) {
        self.last_cookie = self.last_cookie.max(FIRST_COOKIE - 1) + 1;
        self.names.insert(name.into(), (self.last_cookie, number, kind));
        self.cookies.insert(self.last_cookie, name.into());
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some((cookie, ..)) = self.names.remove(name) {
            self.cookies.remove(&cookie);
        }
    }

    fn replace(&mut self, name: &[u8], number: u64, kind: FileType) {
        if let Some(entry) = self.names.get_mut(name) {
            (entry.1, entry.2) = (number, kind);
        }
    }

    /// The first entry whose cookie is at least `position`.
    fn from(&self, position: i64) -> Option<(i64, Box<[u8]>, u64, FileType)> {
        let (&cookie, name) = self.cookies.range(position..).next()?;
        let &(_, number, kind) = self.names.get(name)?;
        Some((cookie, name.clone(), number, kind))
    }
}

/// The VFS keeps to one mount, so the other inode is of this kind too.
fn same_kind(inode: &Arc<dyn Inode>) -> Result<&Node> {
    let any: &dyn Any = &**inode;
    any.downcast_ref().ok_or(Errno::EXDEV)
}
