//! Locks on files: `flock(2)`, and record locks of processes and of open files (`fcntl(2)`, "Advisory record locking",
//! "Open file description locks").
//!
//! All locks are advisory. Those of flock and those on records do not see each other. A lock goes when its owner lets it
//! go, when a descriptor of the file is closed (a process's record locks), or with the open file (the others). A process
//! that is gone has no locks: its own are dropped when somebody comes upon them, which a sleeper does every
//! [`LOOK_AGAIN`]. Who waits for each other in a circle waits until a signal: EDEADLK is never given.
//!
//! Lock: `TABLE` (rank Table), for the table alone.

use super::file::File;
use super::{Result, flags};
use abi::Errno;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::time;

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The locks of a file: its inode's address, and whether they are flock's.
type Key = (usize, bool);

static TABLE: SpinLock<BTreeMap<Key, Vec<Lock>>> = SpinLock::new("file locks", Rank::Table, BTreeMap::new());
/// Files in the table: nearly always none, and then closing has nothing to look for.
static LOCKED_FILES: AtomicUsize = AtomicUsize::new(0);
static RELEASED: WaitQueue = WaitQueue::new("file lock");

/// Who owns a lock.
#[derive(Clone)]
pub enum LockOwner {
    /// A process, by what its threads share for as long as it lives, and its number.
    Process(Weak<dyn Any + Send + Sync>, u32),
    /// The open file itself.
    File,
}

/// Bytes that are locked or to be locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockRange {
    /// First byte.
    pub start: u64,
    /// The byte behind the last one; `u64::MAX` for the end of the file, wherever that will be.
    pub end: u64,
}

/// What is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// Others may have it too.
    Shared,
    /// Nobody else may.
    Exclusive,
    /// No lock.
    Unlocked,
}

/// A lock that is in the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// What it is.
    pub kind: LockKind,
    /// Its bytes.
    pub range: LockRange,
    /// The process that has it; None for an open file.
    pub pid: Option<u32>,
}

struct Lock {
    owner: Owner,
    kind: LockKind,
    range: LockRange,
}

/// An owner as the table knows it.
#[derive(Clone)]
struct Owner {
    /// Address of what stands for it.
    id: usize,
    /// None for an open file, which takes its locks along.
    process: Option<(Weak<dyn Any + Send + Sync>, u32)>,
}

impl Owner {
    fn of(file: &File, owner: LockOwner) -> Owner {
        match owner {
            LockOwner::Process(token, pid) => Owner { id: token.as_ptr().addr(), process: Some((token, pid)) },
            LockOwner::File => Owner { id: core::ptr::from_ref(file).addr(), process: None },
        }
    }

    fn is_gone(&self) -> bool {
        self.process.as_ref().is_some_and(|(token, _)| token.strong_count() == 0)
    }
}

impl LockRange {
    /// All of a file.
    pub const ALL: LockRange = LockRange { start: 0, end: u64::MAX };

    fn overlaps(self, other: LockRange) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl File {
    /// Locks or unlocks as `flock(2)`; sleeps if `wait`. EWOULDBLOCK if another has it, EINTR if `interrupted`.
    pub fn lock_whole(&self, kind: LockKind, wait: bool, interrupted: impl Fn() -> bool) -> Result<()> {
        self.set_lock(true, LockOwner::File, kind, LockRange::ALL, wait, &interrupted)
    }

    /// Locks or unlocks bytes as `fcntl(2)`; sleeps if `wait`. EAGAIN if another has some of them, EINTR if `interrupted`,
    /// EBADF if the file is not open for what the lock is about.
    pub fn lock_range(
        &self,
        owner: LockOwner,
        kind: LockKind,
        range: LockRange,
        wait: bool,
        interrupted: impl Fn() -> bool,
    ) -> Result<()> {
        let access = self.flags() & flags::O_ACCMODE;
        match kind {
            LockKind::Shared if access == flags::O_WRONLY => return Err(Errno::EBADF),
            LockKind::Exclusive if access == flags::O_RDONLY => return Err(Errno::EBADF),
            _ => {}
        }
        self.set_lock(false, owner, kind, range, wait, &interrupted)
    }

    /// The first lock that would be in the way of this one.
    pub fn conflicting_lock(&self, owner: LockOwner, kind: LockKind, range: LockRange) -> Result<Option<Conflict>> {
        let (key, owner) = (self.lock_key(false)?, Owner::of(self, owner));
        let table = TABLE.lock();
        let found = table.get(&key).and_then(|locks| locks.iter().find(|lock| lock.is_in_the_way(&owner, kind, range)));
        Ok(found.map(|lock| Conflict {
            kind: lock.kind,
            range: lock.range,
            pid: lock.owner.process.as_ref().map(|(_, pid)| *pid),
        }))
    }

    /// A process closes a descriptor of this file: its locks on records go, whichever descriptor they came by.
    pub fn release_process_locks(&self, token: &Arc<dyn Any + Send + Sync>) {
        if LOCKED_FILES.load(Ordering::Relaxed) != 0
            && let Ok(key) = self.lock_key(false)
        {
            release(key, Arc::as_ptr(token).addr());
        }
    }

    /// The open file goes: its own locks go with it.
    pub(super) fn release_own_locks(&self) {
        if LOCKED_FILES.load(Ordering::Relaxed) == 0 {
            return;
        }
        let id = core::ptr::from_ref(self).addr();
        for whole in [false, true] {
            if let Ok(key) = self.lock_key(whole) {
                release(key, id);
            }
        }
    }

    fn set_lock(
        &self,
        whole: bool,
        owner: LockOwner,
        kind: LockKind,
        range: LockRange,
        wait: bool,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<()> {
        let (key, owner) = (self.lock_key(whole)?, Owner::of(self, owner));
        loop {
            if try_lock(key, &owner, kind, range)? {
                return Ok(());
            }
            if !wait {
                return Err(Errno::EAGAIN);
            }
            let deadline = Some(time::now() + LOOK_AGAIN);
            let free = || is_free(key, &owner, kind, range).then_some(());
            if RELEASED.wait_until(deadline, interrupted, free).is_err() && interrupted() {
                return Err(Errno::EINTR);
            }
        }
    }

    /// EBADF for a file that cannot be locked: a place without a file (`O_PATH`), or what no directory shows.
    fn lock_key(&self, whole: bool) -> Result<Key> {
        let location = self.location().filter(|_| self.flags() & flags::O_PATH == 0).ok_or(Errno::EBADF)?;
        Ok((Arc::as_ptr(location.inode()).addr(), whole))
    }
}

impl Lock {
    fn is_in_the_way(&self, owner: &Owner, kind: LockKind, range: LockRange) -> bool {
        let exclusive = self.kind == LockKind::Exclusive || kind == LockKind::Exclusive;
        kind != LockKind::Unlocked
            && exclusive
            && self.owner.id != owner.id
            && self.range.overlaps(range)
            && !self.owner.is_gone()
    }
}

fn is_free(key: Key, owner: &Owner, kind: LockKind, range: LockRange) -> bool {
    TABLE.lock().get(&key).is_none_or(|locks| !locks.iter().any(|lock| lock.is_in_the_way(owner, kind, range)))
}

/// Sets the lock unless another is in the way.
fn try_lock(key: Key, owner: &Owner, kind: LockKind, range: LockRange) -> Result<bool> {
    let mut table = TABLE.lock();
    let locks = table.entry(key).or_default();
    locks.retain(|lock| !lock.owner.is_gone());
    let free = !locks.iter().any(|lock| lock.is_in_the_way(owner, kind, range));
    // A lock in the middle of another leaves two pieces and itself.
    let result = locks.try_reserve(2).map(|()| free).map_err(|_| Errno::ENOLCK);
    if result == Ok(true) {
        replace(locks, owner, kind, range);
    }
    if locks.is_empty() {
        table.remove(&key);
    }
    LOCKED_FILES.store(table.len(), Ordering::Relaxed);
    drop(table);
    if kind != LockKind::Exclusive && result == Ok(true) {
        RELEASED.wake_all();
    }
    result
}

/// The owner's locks in `range` become this one.
fn replace(locks: &mut Vec<Lock>, owner: &Owner, kind: LockKind, range: LockRange) {
    let mut index = 0;
    while index < locks.len() {
        let lock = &mut locks[index];
        if lock.owner.id != owner.id || !lock.range.overlaps(range) {
            index += 1;
            continue;
        }
        let old = lock.range;
        let (before, after) = (old.start < range.start, range.end < old.end);
        if before {
            lock.range.end = range.start;
        } else if after {
            lock.range.start = range.end;
        } else {
            locks.swap_remove(index);
            continue;
        }
        if before && after {
            let rest = LockRange { start: range.end, end: old.end };
            let rest = Lock { owner: owner.clone(), kind: locks[index].kind, range: rest };
            locks.push(rest);
        }
        index += 1;
    }
    if kind != LockKind::Unlocked {
        locks.push(Lock { owner: owner.clone(), kind, range });
    }
}

fn release(key: Key, id: usize) {
    {
        let mut table = TABLE.lock();
        let Some(locks) = table.get_mut(&key) else { return };
        locks.retain(|lock| lock.owner.id != id);
        if locks.is_empty() {
            table.remove(&key);
        }
        LOCKED_FILES.store(table.len(), Ordering::Relaxed);
    }
    RELEASED.wake_all();
}
