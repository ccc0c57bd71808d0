//! Open files: what a descriptor refers to (`open(2)`, "open file description").
//!
//! Shared by all descriptors that come from one `open`, in any number of processes. `offset` is a sleeping lock held for a
//! whole read or write, so that two transfers at the common position follow each other (POSIX); files without positions
//! do not take it, since a read of a terminal may last. Lock order: offset, the directory's or the cache's writer lock,
//! page cache.

use super::Result;
use super::device::FileOperations;
use super::flags::*;
use super::inode::{Inode, Metadata, Positions};
use super::location::Location;
use super::page_cache::PageCache;
use super::read_ahead::ReadAhead;
use super::transfer::{Sink, Source, outcome};
use super::write::write_pages;
use super::{report, size_limit, write_back};
use abi::Errno;
use abi::inotify::{IN_ACCESS, IN_MODIFY, IN_OPEN};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use klib::objects::{self, Counted};
use machine::PAGE_SIZE;
use machine::sync::{Mutex, Rank, SpinLock, WaitQueue};

const PAGE: u64 = PAGE_SIZE as u64;

/// An open file.
pub struct File {
    _counted: Counted,
    location: Option<Location>,
    kind: Kind,
    flags: AtomicU32,
    /// Held while the position is used and moved; who only wants to know it does without.
    pub(super) offset: Mutex<()>,
    position: AtomicU64,
    pub(super) read_ahead: SpinLock<ReadAhead>,
    end_watchers: SpinLock<Vec<Weak<dyn EndWatcher>>>,
}

/// Who wants to know when an open file ends, without keeping it open (epoll(7)).
pub trait EndWatcher: Send + Sync {
    /// The last descriptor and the last use of `file` are gone.
    fn ended(&self, file: &File);
}

enum Kind {
    /// Opened with `O_PATH`: names a place, nothing else.
    Path,
    /// A directory or regular file.
    Node,
    /// A block device: its pages, and what else it can do.
    Block(Arc<dyn Inode>, Arc<dyn FileOperations>),
    /// Everything else.
    Device(Arc<dyn FileOperations>),
}

impl File {
    /// A file that no directory shows, or a device by itself.
    pub fn new_device(operations: Arc<dyn FileOperations>, flags: u32) -> Arc<File> {
        Self::new(None, Kind::Device(operations), flags)
    }

    pub(super) fn of_path(location: Location, flags: u32) -> Arc<File> {
        Self::new(Some(location), Kind::Path, flags)
    }

    pub(super) fn of_node(location: Location, flags: u32) -> Arc<File> {
        report::used(&location.dentry, IN_OPEN);
        Self::new(Some(location), Kind::Node, flags)
    }

    pub(super) fn of_device(location: Location, operations: Arc<dyn FileOperations>, flags: u32) -> Arc<File> {
        report::used(&location.dentry, IN_OPEN);
        let kind = match operations.content() {
            Some(content) => Kind::Block(content, operations),
            None => Kind::Device(operations),
        };
        Self::new(Some(location), kind, flags)
    }

    fn new(location: Option<Location>, kind: Kind, flags: u32) -> Arc<File> {
        let kept = flags & !(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
        Arc::new(File {
            _counted: Counted::new(objects::Kind::File),
            location,
            kind,
            flags: AtomicU32::new(kept),
            offset: Mutex::new("file offset", ()),
            position: AtomicU64::new(0),
            read_ahead: SpinLock::new("read-ahead", Rank::File, ReadAhead::default()),
            end_watchers: SpinLock::new("file end", Rank::File, Vec::new()),
        })
    }

    /// Reads at the file's position and moves it on. 0 is the end.
    pub fn read(&self, sink: &mut dyn Sink) -> Result<usize> {
        if !self.has_positions() {
            return self.read_at_unchecked(0, sink);
        }
        let _held = self.offset.lock();
        let offset = self.position();
        let moved = self.read_at_unchecked(offset, sink)?;
        self.set_position(offset + moved as u64);
        Ok(moved)
    }

    /// Reads at `offset`, as `pread(2)`.
    pub fn read_at(&self, offset: u64, sink: &mut dyn Sink) -> Result<usize> {
        self.check_positioned(offset)?;
        self.read_at_unchecked(offset, sink)
    }

    /// Writes at the file's position, or the end with `O_APPEND`, and moves it on.
    pub fn write(&self, source: &mut dyn Source) -> Result<usize> {
        if !self.has_positions() {
            return self.write_at_unchecked(0, source).map(|(moved, _)| moved);
        }
        let held = self.offset.lock();
        let (moved, end) = self.write_at_unchecked(self.position(), source)?;
        self.set_position(end);
        drop(held);
        write_back::throttle();
        Ok(moved)
    }

    /// Writes at `offset`, as `pwrite(2)`; at the end with `O_APPEND`, as Linux does.
    pub fn write_at(&self, offset: u64, source: &mut dyn Source) -> Result<usize> {
        self.check_positioned(offset)?;
        let moved = self.write_at_unchecked(offset, source).map(|(moved, _)| moved);
        write_back::throttle();
        moved
    }

    /// Moves the position; the new one.
    pub fn seek(&self, offset: i64, whence: u32) -> Result<u64> {
        self.check_not_path()?;
        match self.positions() {
            Positions::None => return Err(Errno::ESPIPE),
            Positions::All => return Ok(0),
            Positions::Bytes(_) => {}
        }
        let _held = self.offset.lock();
        let base = match whence {
            SEEK_SET => Some(0),
            SEEK_CUR => Some(self.position()),
            SEEK_END => Some(self.size()?),
            SEEK_DATA | SEEK_HOLE => None,
            _ => return Err(Errno::EINVAL),
        };
        let new = match base {
            Some(base) => base.checked_add_signed(offset).filter(|&new| new <= OFFSET_MAX).ok_or(Errno::EINVAL)?,
            None => self.seek_data(offset, whence == SEEK_DATA)?,
        };
        self.set_position(new);
        Ok(new)
    }

    /// The position, as it was a moment ago.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    pub(super) fn set_position(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// What `fstat(2)` tells.
    pub fn metadata(&self) -> Result<Metadata> {
        match (&self.location, &self.kind) {
            (Some(location), _) => location.metadata(),
            (None, Kind::Device(device)) => {
                let (mode, ino, (uid, gid)) = (device.mode(), device.inode_number(), device.owner());
                Ok(Metadata { mode, ino, uid, gid, nlink: 1, blksize: PAGE, ..Metadata::default() })
            }
            (None, _) => Err(Errno::EBADF),
        }
    }

    /// Flags of `open(2)` as `fcntl(F_GETFL)` shows them, without those that count at opening only.
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Sets those of the flags that can change and that `mask` has as they are in `flags`, as `fcntl(F_SETFL)`.
    pub fn change_flags(&self, mask: u32, flags: u32) {
        let mask = mask & O_CHANGEABLE;
        let _ = self.flags.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(old & !mask | flags & mask));
    }

    /// It has been read, or mapped: the time of that is set, unless it was opened so that it is not.
    pub fn accessed(&self) {
        if let Some(location) = self.location.as_ref().filter(|_| self.flags() & O_NOATIME == 0) {
            location.accessed();
        }
    }

    /// Where it was opened; None for what no directory shows.
    pub fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }

    /// Sets the size, as `ftruncate(2)`.
    pub fn truncate(&self, size: u64) -> Result<()> {
        self.check_not_path()?;
        if self.flags() & O_ACCMODE == O_RDONLY {
            return Err(Errno::EINVAL);
        }
        self.location.as_ref().ok_or(Errno::EINVAL)?.truncate(size)
    }

    /// Sees to it that what was written lasts, as `fsync(2)`.
    pub fn sync(&self) -> Result<()> {
        self.check_not_path()?;
        match (&self.kind, &self.location) {
            (Kind::Node, Some(location)) => location.inode().sync(),
            (Kind::Block(content, _), _) => content.sync(),
            _ => Err(Errno::EINVAL),
        }
    }

    /// `ioctl(2)`.
    pub fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        self.check_not_path()?;
        match &self.kind {
            Kind::Device(device) | Kind::Block(_, device) => device.ioctl(command, argument),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// What would not block now, in `POLL*` bits.
    #[inline]
    pub fn poll(&self) -> u32 {
        match &self.kind {
            Kind::Device(device) => device.poll(),
            _ => POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM,
        }
    }

    /// What is woken when the answer of [`File::poll`] may have changed, for reading and for writing.
    pub fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        match &self.kind {
            Kind::Device(device) => device.wait_queues(),
            _ => [None, None],
        }
    }

    /// Has `watcher` told of the file's end.
    pub fn watch_end(&self, watcher: Weak<dyn EndWatcher>) -> Result<()> {
        let mut watchers = self.end_watchers.lock();
        watchers.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        watchers.push(watcher);
        Ok(())
    }

    /// Undoes [`File::watch_end`].
    pub fn unwatch_end(&self, watcher: &Weak<dyn EndWatcher>) {
        let removed = {
            let mut watchers = self.end_watchers.lock();
            let at = watchers.iter().position(|other| core::ptr::addr_eq(other.as_ptr(), watcher.as_ptr()));
            at.map(|at| watchers.swap_remove(at))
        };
        drop(removed);
    }

    /// The object behind a file that is neither a directory nor bytes of a file system.
    pub fn operations(&self) -> Option<&Arc<dyn FileOperations>> {
        match &self.kind {
            Kind::Device(device) | Kind::Block(_, device) => Some(device),
            _ => None,
        }
    }

    /// The object behind the file, if it is a `T`.
    pub fn device<T: FileOperations>(&self) -> Option<&T> {
        match &self.kind {
            Kind::Device(device) | Kind::Block(_, device) => (&**device as &dyn Any).downcast_ref(),
            _ => None,
        }
    }

    /// `fcntl(2)` requests of files of one kind. EBADF for the rest.
    pub fn fcntl(&self, command: u32, argument: u64) -> Result<u64> {
        match &self.kind {
            Kind::Device(device) | Kind::Block(_, device) => device.fcntl(command, argument),
            _ => Err(Errno::EBADF),
        }
    }

    /// Tells those who watch it of `event`.
    pub(super) fn report(&self, event: u32) {
        if let Some(location) = &self.location {
            report::used(&location.dentry, event);
        }
    }

    fn read_at_unchecked(&self, offset: u64, sink: &mut dyn Sink) -> Result<usize> {
        let read = self.read_unreported(offset, sink);
        if read.is_ok_and(|moved| moved > 0) {
            self.report(IN_ACCESS);
        }
        read
    }

    #[inline]
    fn read_unreported(&self, offset: u64, sink: &mut dyn Sink) -> Result<usize> {
        if self.flags() & O_PATH != 0 || self.flags() & O_ACCMODE == O_WRONLY {
            return Err(Errno::EBADF);
        }
        match &self.kind {
            Kind::Device(device) => device.read(offset, self.flags(), sink),
            Kind::Node | Kind::Block(..) => match self.paged() {
                Some((inode, pages)) => {
                    if self.flags() & O_DIRECT != 0 {
                        inode.exchange_with_device(offset, sink.remaining() as u64)?;
                    }
                    let before = sink.remaining();
                    let result = self.read_pages(&**inode, pages, offset, sink);
                    self.accessed();
                    outcome(before, sink.remaining(), result)
                }
                None => Err(Errno::EISDIR),
            },
            Kind::Path => Err(Errno::EBADF),
        }
    }

    /// The bytes written and the position after them.
    fn write_at_unchecked(&self, offset: u64, source: &mut dyn Source) -> Result<(usize, u64)> {
        let written = self.write_unreported(offset, source);
        if written.is_ok_and(|(moved, _)| moved > 0) {
            self.report(IN_MODIFY);
        }
        written
    }

    #[inline]
    fn write_unreported(&self, offset: u64, source: &mut dyn Source) -> Result<(usize, u64)> {
        if self.flags() & O_PATH != 0 || self.flags() & O_ACCMODE == O_RDONLY {
            return Err(Errno::EBADF);
        }
        match &self.kind {
            Kind::Device(device) => {
                let moved = device.write(offset, self.flags(), source)?;
                Ok((moved, offset + moved as u64))
            }
            Kind::Node | Kind::Block(..) => {
                let (inode, pages) = self.paged().ok_or(Errno::EISDIR)?;
                if let Kind::Node = self.kind {
                    self.location.as_ref().ok_or(Errno::EBADF)?.mount.check_writable()?;
                }
                let _writer = pages.writer.lock();
                let offset = if self.flags() & O_APPEND != 0 { inode.size() } else { offset };
                let (direct, len) = (self.flags() & O_DIRECT != 0, source.remaining() as u64);
                if direct {
                    inode.exchange_with_device(offset, len)?;
                }
                let limit = match self.kind {
                    Kind::Node if len > 0 => size_limit::check_write(offset)?,
                    _ => u64::MAX,
                };
                let (moved, result) = write_pages(&**inode, pages, offset, limit, source);
                if direct && moved > 0 {
                    inode.exchange_with_device(offset, len)?;
                }
                match result {
                    Err(error) if moved == 0 => Err(error),
                    _ => Ok((moved, offset + moved as u64)),
                }
            }
            Kind::Path => Err(Errno::EBADF),
        }
    }

    fn seek_data(&self, offset: i64, data: bool) -> Result<u64> {
        if let Kind::Block(..) = self.kind {
            return Err(Errno::EINVAL);
        }
        let size = self.size()?;
        let offset = u64::try_from(offset).ok().filter(|&offset| offset < size).ok_or(Errno::ENXIO)?;
        let Some((inode, _)) = self.paged() else { return Ok(if data { offset } else { size }) };
        match inode.seek_data(offset, data)? {
            found if data && found >= size => Err(Errno::ENXIO),
            found => Ok(found),
        }
    }

    fn size(&self) -> Result<u64> {
        match (&self.kind, &self.location) {
            (Kind::Device(device), _) => match device.positions() {
                Positions::Bytes(len) => Ok(len),
                _ => Err(Errno::ESPIPE),
            },
            (Kind::Block(content, _), _) => Ok(content.size()),
            (_, Some(location)) => location.metadata().map(|metadata| metadata.size),
            (_, None) => Err(Errno::ESPIPE),
        }
    }

    pub(super) fn directory(&self) -> Result<&Location> {
        match (&self.kind, &self.location) {
            (Kind::Node, Some(location)) if location.is_dir() => Ok(location),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Whether it has pages to be mapped.
    pub fn has_pages(&self) -> bool {
        self.paged().is_some()
    }

    pub(super) fn paged(&self) -> Option<(&Arc<dyn Inode>, &Arc<PageCache>)> {
        match (&self.kind, &self.location) {
            (Kind::Node, Some(location)) => location.inode().pages().map(|pages| (location.inode(), pages)),
            (Kind::Block(content, _), _) => content.pages().map(|pages| (content, pages)),
            _ => None,
        }
    }

    fn positions(&self) -> Positions {
        match &self.kind {
            Kind::Device(device) => device.positions(),
            _ => Positions::Bytes(0), // and it asks when it wants to know
        }
    }

    /// Whether a transfer moves the position.
    fn has_positions(&self) -> bool {
        matches!(self.positions(), Positions::Bytes(_))
    }

    fn check_positioned(&self, offset: u64) -> Result<()> {
        self.check_not_path()?;
        if self.positions() == Positions::None {
            return Err(Errno::ESPIPE);
        }
        if offset > OFFSET_MAX { Err(Errno::EINVAL) } else { Ok(()) }
    }

    pub(super) fn check_not_path(&self) -> Result<()> {
        match self.kind {
            Kind::Path => Err(Errno::EBADF),
            _ => Ok(()),
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if !matches!(self.kind, Kind::Path) {
            self.report(report::closing(self.flags()));
        }
        self.release_own_locks();
        for watcher in core::mem::take(self.end_watchers.get_mut()) {
            if let Some(watcher) = watcher.upgrade() {
                watcher.ended(self);
            }
        }
    }
}
