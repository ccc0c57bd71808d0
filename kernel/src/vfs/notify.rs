//! Telling those who watch files what happens to them (`inotify(7)`): the table of watches, which `report` and the names of files fill with events.
//!
//! A watch is on an inode, which it keeps. What happens to a file is told to those who watch it, and with its name to those
//! who watch the directory of the name by which it was used. While nobody watches anything, a report costs a load and a branch.
//!
//! Lock: `WATCHES` (rank PageCache: reports come from everywhere in the file layer, also where a name is let go of); under it
//! only the lock of a watcher's queue. What a watch kept is let go of without it.

use super::Result;
use super::inode::Inode;
use abi::Errno;
use abi::inotify::*;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use fs::FileType;
use machine::sync::{Rank, SpinLock};

/// Who is told.
pub trait Watcher: Send + Sync {
    /// What its watch `number` has seen: a mask of `IN_*`, a number that the two halves of a rename share, and a name for what
    /// is in a watched directory. Must neither sleep nor take a lock of the file layer.
    fn event(&self, number: i32, mask: u32, cookie: u32, name: &[u8]);
}

struct Watch {
    /// Kept, so that nothing else gets its address.
    _inode: Arc<dyn Inode>,
    /// `st_dev` of its volume.
    device: u64,
    watcher: Arc<dyn Watcher>,
    number: i32,
    mask: u32,
}

/// Watches by the address of their inode and the watcher's number.
static WATCHES: SpinLock<BTreeMap<(usize, u64), Watch>> = SpinLock::new("watches", Rank::PageCache, BTreeMap::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether anybody watches anything.
#[inline]
pub(super) fn anybody() -> bool {
    COUNT.load(Ordering::Relaxed) != 0
}

/// What a watch that is there already becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The new mask takes the place of the old.
    Replace,
    /// It gets the new bits besides.
    Add,
    /// EEXIST.
    Refuse,
}

fn key(inode: &Arc<dyn Inode>) -> usize {
    Arc::as_ptr(inode).addr()
}

/// Has `watcher`, which is known by `group`, told of what happens to `inode`; the watch gets a number by `new_number` if it is
/// new. Its number.
pub(super) fn watch(
    (inode, device): (&Arc<dyn Inode>, u64),
    (watcher, group): (&Arc<dyn Watcher>, u64),
    mask: u32,
    existing: Existing,
    new_number: &mut dyn FnMut() -> Result<i32>,
) -> Result<i32> {
    let mut watches = WATCHES.lock();
    if let Some(watch) = watches.get_mut(&(key(inode), group)) {
        match existing {
            Existing::Refuse => return Err(Errno::EEXIST),
            Existing::Add => watch.mask |= mask,
            Existing::Replace => watch.mask = mask,
        }
        return Ok(watch.number);
    }
    let number = new_number()?;
    let new = Watch { _inode: inode.clone(), device, watcher: watcher.clone(), number, mask };
    watches.insert((key(inode), group), new);
    COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(number)
}

/// Ends the watch `number` of `group`; EINVAL if there is none.
pub fn unwatch(group: u64, number: i32) -> Result<()> {
    let removed = remove_where(|key, watch| key.1 == group && watch.number == number, IN_IGNORED);
    if removed == 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Ends all watches of `group`, which nobody reads any more.
pub fn unwatch_all(group: u64) {
    remove_where(|key, _| key.1 == group, 0);
}

/// The volume `device` is not mounted any more.
pub(super) fn unmounted(device: u64) {
    if anybody() {
        remove_where(|_, watch| watch.device == device, IN_UNMOUNT);
    }
}

/// Ends the watches that `wanted` says, and tells them `last` and IN_IGNORED. How many there were.
fn remove_where(wanted: impl Fn(&(usize, u64), &Watch) -> bool, last: u32) -> usize {
    let mut count = 0;
    loop {
        let removed = {
            let mut watches = WATCHES.lock();
            let found = watches.iter().find(|(key, watch)| wanted(key, watch)).map(|(key, _)| *key);
            found.and_then(|key| watches.remove(&key))
        };
        let Some(watch) = removed else { return count };
        COUNT.fetch_sub(1, Ordering::Relaxed);
        count += 1;
        if last & IN_UNMOUNT != 0 {
            watch.watcher.event(watch.number, IN_UNMOUNT, 0, b"");
        }
        if last != 0 {
            watch.watcher.event(watch.number, IN_IGNORED, 0, b"");
        }
    }
}

/// Tells those who watch `inode` of `event`. `name` is empty unless it is about a name in it; `unlinked` says that it is about
/// a file that has lost that.
pub(super) fn tell(inode: &Arc<dyn Inode>, event: u32, cookie: u32, name: &[u8], unlinked: bool) {
    let mut after = None;
    loop {
        // Those that end by this event are taken out, and let go of without the lock.
        let ended = {
            let mut watches = WATCHES.lock();
            let first = after.map_or(0, |group: u64| group + 1);
            let mut ended = None;
            for (key, watch) in watches.range((key(inode), first)..=(key(inode), u64::MAX)) {
                after = Some(key.1);
                let seen = event & watch.mask & IN_ALL_EVENTS;
                if seen == 0 && event & IN_DELETE_SELF == 0 || unlinked && watch.mask & IN_EXCL_UNLINK != 0 {
                    continue;
                }
                if seen != 0 {
                    let of_itself = event & (IN_DELETE_SELF | IN_MOVE_SELF) != 0;
                    let kind = if of_itself { 0 } else { event & IN_ISDIR };
                    watch.watcher.event(watch.number, seen | kind, cookie, name);
                }
                if watch.mask & IN_ONESHOT != 0 || event & IN_DELETE_SELF != 0 {
                    ended = Some(*key);
                    break;
                }
            }
            ended.and_then(|key| watches.remove(&key))
        };
        let Some(watch) = ended else { return };
        COUNT.fetch_sub(1, Ordering::Relaxed);
        watch.watcher.event(watch.number, IN_IGNORED, 0, b"");
    }
}

/// `event`, marked if it is about a directory.
pub(super) fn with_kind(event: u32, kind: FileType) -> u32 {
    if kind == FileType::Directory { event | IN_ISDIR } else { event }
}

/// A name of `inode` has been let go of: if it was the last one, and nobody uses it by that, the file is gone.
#[inline]
pub(super) fn let_go(inode: &Arc<dyn Inode>) {
    if anybody() {
        tell_gone(inode);
    }
}

#[cold]
fn tell_gone(inode: &Arc<dyn Inode>) {
    let watched = WATCHES.lock().range((key(inode), 0)..=(key(inode), u64::MAX)).next().is_some();
    if watched && inode.metadata().is_ok_and(|file| file.nlink == 0) {
        tell(inode, with_kind(IN_DELETE_SELF, inode.file_type()), 0, b"", false);
    }
}
