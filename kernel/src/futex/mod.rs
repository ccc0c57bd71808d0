//! Futexes: sleeping until another thread changes a word of user memory (futex(2), get_robust_list(2)).
//!
//! Private futexes are known by address space and address, shared ones in shared memory by page frame and offset, so that
//! they mean the same in every process that maps the page; a waiter keeps the frame. Who waits is in one of a few lists by
//! a hash of that. Lock: a list's (rank `Process`); a requeue takes two, the one that comes first in the table first. A
//! word is compared with the list locked, where no page can be brought in: if it is not there, the lock is let go, the page
//! brought in, and all begins again.
//!
//! A waiter is known by its task, whose `wait_mark` says which list it is in, or that it has been woken and is in none:
//! changed with that list locked.

mod owned;

pub use owned::{Find, hand_over, owner_ended, priority_changed, wait_for_owner};

use crate::sched;
use crate::vm::{AddressSpace, fault};
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use machine::addr::{PAGE_SIZE, USER_END};
use machine::hooks::Access;
use machine::mm::Frame;
use machine::sync::{Rank, SpinLock};
use machine::task::{self, Task};
use machine::time::{self, Instant};
use machine::user::copy;

const LISTS: usize = 64;
/// The lowest bit of a place's address, which no futex has: it is not a private one.
const NOT_PRIVATE: u64 = 1;
/// Of a `wait_mark`: woken. The rest is the number of the list.
const WOKEN: usize = 1;
/// A lock word of a robust or priority-inheriting futex: somebody waits.
pub const WAITERS: u32 = 0x8000_0000;
/// Its owner has ended.
pub const OWNER_DIED: u32 = 0x4000_0000;
/// Number of the owner.
pub const TID_MASK: u32 = 0x3fff_ffff;
/// Wakes whatever a waiter waits for.
pub const ANY: u32 = u32::MAX;
/// Most entries of a robust list that are looked at, as a program may make it a ring.
const MAX_ROBUST: usize = 2048;

/// Scope and place: an address space and an address in it, or a frame and an offset in that; see [`NOT_PRIVATE`].
type Place = (u64, u64);

/// What identifies a futex.
struct Key {
    place: Place,
    /// Keeps the frame of a shared one.
    frame: Option<Frame>,
}

struct Waiter {
    key: Key,
    bitset: u32,
    /// The thread that has the lock it waits for, and its own number, which a lock is given to by; 0 for other futexes.
    owner: u32,
    tid: u32,
    task: Arc<Task>,
}

/// Waiters, who came first before others.
type List = Vec<Waiter>;

static TABLE: [SpinLock<List>; LISTS] = [const { SpinLock::new("futexes", Rank::Process, Vec::new()) }; LISTS];

/// A word of user memory.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    /// Where.
    pub space: &'a AddressSpace,
    /// Its address there.
    pub address: u64,
    /// Whether other processes mean it too.
    pub shared: bool,
}

/// Waits until the word is woken with a bit of `bitset`. EAGAIN if it does not hold `expected`, ETIMEDOUT, or EINTR if
/// `interrupted` says so.
pub fn wait(
    word: Word<'_>,
    expected: u32,
    bitset: u32,
    deadline: Option<Instant>,
    interrupted: fn() -> bool,
) -> Result<(), Errno> {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let waiter = Waiter { key: word.key()?, bitset, owner: 0, tid: 0, task: task::current().arc() };
    enqueue_if(waiter, word.address, expected)?;
    sleep(deadline, || given_up(deadline, interrupted))
}

/// Sleeps until the waiter, which is the current task and in its list, is woken, or `end` gives a reason to wait no longer.
fn sleep(deadline: Option<Instant>, end: impl Fn() -> Option<Result<(), Errno>>) -> Result<(), Errno> {
    let current = task::current();
    while sched::data(&current).wait_mark.load(Ordering::Acquire) != WOKEN {
        match end() {
            // It may be woken at the last moment.
            Some(end) => return if leave(&current) { end } else { Ok(()) },
            None => sched::park("futex", deadline),
        }
    }
    Ok(())
}

/// What ends a wait that is not woken.
fn given_up(deadline: Option<Instant>, interrupted: fn() -> bool) -> Option<Result<(), Errno>> {
    if interrupted() {
        Some(Err(Errno::EINTR))
    } else if deadline.is_some_and(|deadline| time::now() >= deadline) {
        Some(Err(Errno::ETIMEDOUT))
    } else {
        None
    }
}

/// Enters the waiter, which is the current task, if the word holds `expected`.
fn enqueue_if(waiter: Waiter, address: u64, expected: u32) -> Result<(), Errno> {
    let number = waiter.key.list();
    loop {
        {
            let mut list = TABLE[number].lock();
            match copy::load_u32(address) {
                Ok(value) if value != expected => return Err(Errno::EAGAIN),
                Ok(_) => {
                    list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                    sched::data(&waiter.task).wait_mark.store(number << 1, Ordering::Relaxed);
                    list.push(waiter);
                    return Ok(());
                }
                Err(_) => {}
            }
        }
        copy::load_u32(address).map_err(|_| Errno::EFAULT)?;
    }
}

/// Takes the current task out of its list; false if it has been woken.
fn leave(current: &Task) -> bool {
    let mark = &sched::data(current).wait_mark;
    loop {
        let seen = mark.load(Ordering::Acquire);
        if seen == WOKEN {
            return false;
        }
        let mut list = TABLE[seen >> 1].lock();
        // Meanwhile it may have been woken, or moved to another list.
        if mark.load(Ordering::Acquire) == seen {
            let at = list.iter().position(|waiter| core::ptr::eq(&*waiter.task, current));
            let waiter = at.map(|at| list.remove(at));
            drop(list);
            drop(waiter);
            return true;
        }
    }
}

/// The waiter has been taken out of its list, which is locked, for good.
fn mark_woken(waiter: &Waiter) {
    sched::data(&waiter.task).wait_mark.store(WOKEN, Ordering::Release);
}

/// Wakes up to `count` waiters of the word with a bit of `bitset`; how many.
pub fn wake(word: Word<'_>, count: u32, bitset: u32) -> Result<u32, Errno> {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let key = word.key()?;
    let list = &TABLE[key.list()];
    let is_meant = |waiter: &Waiter| waiter.key.place == key.place && waiter.bitset & bitset != 0;
    // No more than there are now: one that is woken may come back while others are being woken.
    let most =
        if count > 1 { count.min(list.lock().iter().filter(|&waiter| is_meant(waiter)).count() as u32) } else { count };
    for done in 0..most {
        let waiter = {
            let mut list = list.lock();
            let Some(at) = list.iter().position(is_meant) else { return Ok(done) };
            let waiter = list.remove(at);
            mark_woken(&waiter);
            waiter
        };
        sched::unpark(&waiter.task);
    }
    Ok(most)
}

/// Wakes up to `count` waiters of the first word and moves up to `limit` others to the second; how many woken and moved.
/// With `expected`, EAGAIN unless the first word holds it.
pub fn requeue(
    words: (Word<'_>, Word<'_>),
    count: u32,
    limit: u32,
    expected: Option<u32>,
) -> Result<(u32, u32), Errno> {
    let (from, to) = (words.0.key()?, words.1.key()?);
    let (source, target) = (from.list(), to.list());
    let (woken, moved) = loop {
        {
            let mut first = TABLE[source.min(target)].lock();
            let mut second = (source != target).then(|| TABLE[source.max(target)].lock_nested());
            match expected.map(|expected| copy::load_u32(words.0.address).map(|value| value == expected)) {
                None | Some(Ok(true)) => {
                    let list = if source <= target { Some(&mut *first) } else { second.as_deref_mut() };
                    let Some(list) = list else { unreachable!("two lists, one lock") };
                    let woken = take(list, from.place, count);
                    woken.iter().for_each(mark_woken);
                    let mut moved = take(list, from.place, limit);
                    for waiter in &mut moved {
                        waiter.key = Key { place: to.place, frame: to.frame.clone() };
                        sched::data(&waiter.task).wait_mark.store(target << 1, Ordering::Release);
                    }
                    let count = moved.len() as u32;
                    let list = if target <= source { Some(&mut *first) } else { second.as_deref_mut() };
                    list.into_iter().for_each(|list| list.append(&mut moved));
                    break (woken, count);
                }
                Some(Ok(false)) => return Err(Errno::EAGAIN),
                Some(Err(_)) => {}
            }
        }
        copy::load_u32(words.0.address).map_err(|_| Errno::EFAULT)?;
    };
    woken.iter().for_each(|waiter| sched::unpark(&waiter.task));
    Ok((woken.len() as u32, moved))
}

/// Takes up to `count` waiters at `place` out of a locked list.
fn take(list: &mut List, place: Place, count: u32) -> Vec<Waiter> {
    list.extract_if(.., |waiter| waiter.key.place == place).take(count as usize).collect()
}

/// Marks what the thread `tid` holds of its robust list at `head` as abandoned, and wakes a waiter of each
/// (set_robust_list(2)). A list that is damaged ends there.
pub fn abandon_list(space: &AddressSpace, head: u64, tid: u32) {
    let word = |address: u64| {
        let mut bytes = [0; 8];
        copy::read(address, &mut bytes).ok().map(|()| u64::from_le_bytes(bytes))
    };
    let (Some(first), Some(offset), Some(pending)) = (word(head), word(head + 8), word(head + 16)) else { return };
    let mut entry = first;
    for _ in 0..MAX_ROBUST {
        if entry & !1 == head {
            break;
        }
        let next = word(entry & !1);
        if entry != pending {
            abandon(space, (entry & !1).wrapping_add(offset), tid);
        }
        match next {
            Some(next) => entry = next,
            None => return,
        }
    }
    if pending != 0 {
        abandon(space, (pending & !1).wrapping_add(offset), tid);
    }
}

fn abandon(space: &AddressSpace, address: u64, tid: u32) {
    while let Ok(value) = copy::load_u32(address) {
        if value & TID_MASK != tid {
            return;
        }
        let new = value & WAITERS | OWNER_DIED;
        if copy::compare_exchange_u32(address, value, new) == Ok(value) {
            if value & WAITERS != 0 {
                // Both kinds of key, as the list does not tell which the waiters used.
                let _ = wake(Word { space, address, shared: true }, 1, ANY);
                let _ = wake(Word { space, address, shared: false }, 1, ANY);
            }
            return;
        }
    }
}

impl Word<'_> {
    fn key(&self) -> Result<Key, Errno> {
        if !self.address.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if self.address >= USER_END {
            return Err(Errno::EFAULT);
        }
        if self.shared { self.shared_key() } else { Ok(Key { place: (self.scope(), self.address), frame: None }) }
    }

    fn scope(&self) -> u64 {
        core::ptr::from_ref(self.space).addr() as u64
    }

    fn shared_key(&self) -> Result<Key, Errno> {
        // Memory that others do not see is known by its address, as its frame may become another by copy-on-write.
        if !self.space.is_shared_at(self.address).ok_or(Errno::EFAULT)? {
            return Ok(Key { place: (self.scope(), self.address | NOT_PRIVATE), frame: None });
        }
        let page_offset = self.address % PAGE_SIZE as u64 + NOT_PRIVATE;
        loop {
            if let Some(mapping) = self.space.mapping(self.address).filter(|mapping| mapping.protection.write) {
                let place = (mapping.frame.address().get(), page_offset);
                return Ok(Key { place, frame: Some(mapping.frame) });
            }
            // A page that is only read may still become another by a store: the one that stores get is meant.
            if fault::resolve(self.space, self.address, Access::Write).is_err() {
                fault::resolve(self.space, self.address, Access::Read).map_err(|_| Errno::EFAULT)?;
                let mapping = self.space.mapping(self.address).ok_or(Errno::EFAULT)?;
                let place = (mapping.frame.address().get(), page_offset);
                return Ok(Key { place, frame: Some(mapping.frame) });
            }
        }
    }
}

impl Key {
    /// The number of its list.
    fn list(&self) -> usize {
        let mixed = (self.place.0 >> 6 ^ self.place.1 >> 2).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize % LISTS
    }
}
