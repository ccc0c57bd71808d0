//! `epoll(7)`: files that are watched once, and asked for what has become of them many times.
//!
//! An [`Item`] for each watched file sits in the file's wait queues; a wake-up puts it on the list of what may be ready,
//! also from an interrupt. A wait takes items off that list, asks their files, and gives what is the case; level-triggered
//! items that were given go back on it. The list is never trusted: what is on it may have become unready.
//!
//! An item does not keep its file open. When the file ends, it is told ([`EndWatcher`](crate::vfs::EndWatcher)) and drops
//! out. Instances may watch each other, without cycles and not too deep ([`nesting`]).
//!
//! Locks: `scan` (sleeping) is held while items are taken off the list and asked, and while they are added, changed and
//! removed, outer instances' before inner ones'; `items` (rank `File`) is the table; `ready` (rank `Ready`) the list, which interrupts take as well.

mod item;
mod nesting;

use crate::process;
use crate::vfs::{File, FileOperations, Result, flags};
use abi::Errno;
use abi::poll::{
    EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLWAKEUP, EpollEvent,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use item::Item;
use machine::sync::{IrqLock, Mutex, Rank, SpinLock, WaitQueue};
use machine::time::Instant;

/// Bits of an interest that say how to tell, not what.
const HOW: u32 = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;
/// Told without being asked for.
const ALWAYS: u32 = EPOLLERR | EPOLLHUP;
/// What may go with EPOLLEXCLUSIVE (epoll_ctl(2)).
const EXCLUSIVE_ALLOWED: u32 = EPOLLIN | EPOLLOUT | ALWAYS | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

/// An instance.
pub struct Epoll {
    /// Held by whoever takes items off `ready` and asks their files.
    scan: Mutex<()>,
    items: SpinLock<BTreeMap<Key, Arc<Item>>>,
    ready: IrqLock<Ready>,
    /// Those who wait for `ready` to have something; other instances and polls watch this.
    waiters: WaitQueue,
    /// Instances that watch this one.
    parents: SpinLock<Vec<Weak<Epoll>>>,
}

/// What is watched: address of the open file, and the descriptor it was given by.
type Key = (usize, i32);

struct Ready {
    list: VecDeque<Arc<Item>>,
    /// The instance's own file has ended: nothing is put on the list any more.
    closed: bool,
}

/// An instance as a file.
pub struct EpollFile {
    epoll: Arc<Epoll>,
}

/// A new instance.
pub fn new() -> Arc<File> {
    let epoll = Arc::new(Epoll {
        scan: Mutex::new("epoll scan", ()),
        items: SpinLock::new("epoll items", Rank::File, BTreeMap::new()),
        ready: IrqLock::new("epoll ready list", Rank::Ready, Ready { list: VecDeque::new(), closed: false }),
        waiters: WaitQueue::new("epoll"),
        parents: SpinLock::new("epoll parents", Rank::File, Vec::new()),
    });
    File::new_device(Arc::new(EpollFile { epoll }), flags::O_RDWR)
}

/// The instance that `file` is; EINVAL if it is none.
pub fn instance(file: &File) -> Result<&Arc<Epoll>> {
    file.device::<EpollFile>().map(|file| &file.epoll).ok_or(Errno::EINVAL)
}

/// EPERM for files that cannot be watched, as they are always ready.
pub fn check_watchable(file: &File) -> Result<()> {
    match file.wait_queues() {
        [None, None] => Err(Errno::EPERM),
        _ => Ok(()),
    }
}

impl Epoll {
    /// Watches `file`, which descriptor `fd` refers to. EEXIST, EINVAL, ELOOP, ENOMEM.
    pub fn add(self: &Arc<Self>, file: &Arc<File>, fd: i32, event: EpollEvent) -> Result<()> {
        let _scan = self.scan.lock();
        let nested = instance(file).ok();
        if event.events & EPOLLEXCLUSIVE != 0 && (event.events & !EXCLUSIVE_ALLOWED != 0 || nested.is_some()) {
            return Err(Errno::EINVAL);
        }
        let key = key(file, fd);
        if self.items.lock().contains_key(&key) {
            return Err(Errno::EEXIST);
        }
        if let Some(inner) = nested {
            nesting::link(self, inner)?;
        }
        let added = self.add_item(file, key, event);
        if let (Err(_), Some(inner)) = (&added, nested) {
            nesting::unlink(self, inner);
        }
        added
    }

    fn add_item(self: &Arc<Self>, file: &Arc<File>, key: Key, event: EpollEvent) -> Result<()> {
        let item = Item::new(self, file, key, event);
        {
            // First the table, so that the list has room for it before it can be woken.
            let mut items = self.items.lock();
            let mut ready = self.ready.lock();
            let more = items.len() + 1 - ready.list.len().min(items.len());
            ready.list.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
            drop(ready);
            items.insert(key, item.clone());
        }
        if let Err(error) = item.attach(file) {
            self.forget(&item);
            item.detach(file);
            return Err(error);
        }
        self.look_at(&item, file);
        Ok(())
    }

    /// Changes what a file is watched for. ENOENT, EINVAL.
    pub fn modify(&self, file: &Arc<File>, fd: i32, event: EpollEvent) -> Result<()> {
        if event.events & EPOLLEXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        let _scan = self.scan.lock();
        let item = self.items.lock().get(&key(file, fd)).cloned().ok_or(Errno::ENOENT)?;
        if item.interest().events & EPOLLEXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        item.set_interest(event, file)?;
        self.look_at(&item, file);
        Ok(())
    }

    /// Watches a file no more. ENOENT.
    pub fn remove(self: &Arc<Self>, file: &Arc<File>, fd: i32) -> Result<()> {
        let _scan = self.scan.lock();
        let item = self.items.lock().get(&key(file, fd)).cloned().ok_or(Errno::ENOENT)?;
        self.forget(&item);
        item.detach(file);
        if let Ok(inner) = instance(file) {
            nesting::unlink(self, inner);
        }
        Ok(())
    }

    /// Gives `emit` up to `most` events, with their numbers; how many. If there are none and `waits`, it waits for some: 0
    /// when `deadline` comes first, EINTR for a signal.
    pub fn wait(
        &self,
        most: usize,
        waits: bool,
        deadline: Option<Instant>,
        mut emit: impl FnMut(usize, EpollEvent) -> Result<()>,
    ) -> Result<usize> {
        loop {
            let given = self.give(most, &mut emit)?;
            if given > 0 || !waits {
                return Ok(given);
            }
            let something = || !self.ready.lock().list.is_empty();
            match self.waiters.wait_here(deadline, process::interrupted, something) {
                Ok(()) => {}
                Err(machine::sync::WaitEnd::TimedOut) => return Ok(0),
                Err(machine::sync::WaitEnd::Interrupted) => return Err(Errno::EINTR),
            }
        }
    }

    /// One pass over the list.
    fn give(&self, most: usize, emit: &mut dyn FnMut(usize, EpollEvent) -> Result<()>) -> Result<usize> {
        let scan = self.scan.lock();
        let (mut given, mut result) = (0, Ok(()));
        let listed = self.ready.lock().list.len();
        for _ in 0..listed {
            let Some(item) = self.take_ready() else { break };
            let Some(file) = item.file() else { continue };
            let interest = item.interest();
            let events = item.events(&interest, &file);
            if events == 0 {
                continue;
            }
            result = emit(given, EpollEvent { events, data: interest.data });
            if result.is_err() {
                self.put_ready(&item);
                break;
            }
            if interest.events & EPOLLONESHOT != 0 {
                item.disarm();
            } else if interest.events & EPOLLET == 0 {
                self.put_ready(&item);
            }
            given += 1;
            if given == most {
                break;
            }
        }
        drop(scan);
        if !self.ready.lock().list.is_empty() {
            self.waiters.wake_next();
        }
        if given > 0 { Ok(given) } else { result.map(|()| 0) }
    }

    /// Whether a wait would give something now. What is not ready any more leaves the list.
    fn has_ready(&self) -> bool {
        let _scan = self.scan.lock();
        let listed = self.ready.lock().list.len();
        for _ in 0..listed {
            let Some(item) = self.take_ready() else { break };
            let ready = item.file().is_some_and(|file| item.events(&item.interest(), &file) != 0);
            if ready {
                self.put_ready(&item);
                return true;
            }
        }
        false
    }

    /// An item has been added or changed: if its file is ready, that counts as a wake-up.
    fn look_at(&self, item: &Arc<Item>, file: &File) {
        if item.events(&item.interest(), file) != 0 {
            self.put_ready(item);
            self.waiters.wake_one();
        }
    }

    fn take_ready(&self) -> Option<Arc<Item>> {
        let mut ready = self.ready.lock();
        let item = ready.list.pop_front()?;
        item.set_listed(false);
        Some(item)
    }

    /// Puts an item on the list unless it is there. The list has room for every item in the table.
    fn put_ready(&self, item: &Arc<Item>) {
        let mut ready = self.ready.lock();
        if !ready.closed && item.is_live() && !item.set_listed(true) {
            ready.list.push_back(item.clone());
        }
    }

    /// Takes an item out of table and list.
    fn forget(&self, item: &Arc<Item>) {
        let removed = self.items.lock().remove(&item.key());
        {
            let mut ready = self.ready.lock();
            item.end();
            ready.list.retain(|listed| !Arc::ptr_eq(listed, item));
        }
        drop(removed);
    }
}

fn key(file: &Arc<File>, fd: i32) -> Key {
    (Arc::as_ptr(file).addr(), fd)
}

impl Drop for EpollFile {
    fn drop(&mut self) {
        let epoll = &self.epoll;
        let items = core::mem::take(&mut *epoll.items.lock());
        let listed = {
            let mut ready = epoll.ready.lock();
            ready.closed = true;
            core::mem::take(&mut ready.list)
        };
        drop(listed);
        for item in items.values() {
            // A file that ends at this moment detaches the item itself.
            if let Some(file) = item.file() {
                item.detach(&file);
                if let Ok(inner) = instance(&file) {
                    nesting::unlink(epoll, inner);
                }
            }
        }
    }
}

impl FileOperations for EpollFile {
    fn poll(&self) -> u32 {
        if self.epoll.has_ready() { flags::POLLIN | flags::POLLRDNORM } else { 0 }
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.epoll.waiters), None]
    }

    fn link_name(&self) -> &'static str {
        "anon_inode:[eventpoll]"
    }

    fn mode(&self) -> u32 {
        0o600
    }
}
