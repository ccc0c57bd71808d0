//! Futexes: sleeping until another thread changes a word of user memory (futex(2), get_robust_list(2)).
//!
//! Private futexes are known by address space and address, shared ones in shared memory by page frame and offset, so that
//! they mean the same in every process that maps the page; a waiter keeps the frame. All futexes of one address space are in one shard,
//! and all shared ones in another, so that no operation needs two. Lock: a shard's (rank `Process`). A word is compared
//! with the shard locked, where no page can be brought in: if it is not there, the lock is let go, the page brought in,
//! and all begins again.

use crate::vm::{AddressSpace, fault};
use abi::Errno;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use machine::addr::{PAGE_SIZE, USER_END};
use machine::hooks::Access;
use machine::mm::Frame;
use machine::sync::{Rank, SpinLock, WaitEnd, WaitQueue};
use machine::time::Instant;
use machine::user::copy;

const SHARDS: usize = 64;
/// The shard of shared futexes.
const SHARED: usize = 0;
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

/// Scope and place: an address space and an address in it, or a frame and an offset in that.
type Place = (u64, u64);

/// What identifies a futex.
struct Key {
    shard: usize,
    place: Place,
    /// Keeps the frame of a shared one.
    frame: Option<Frame>,
}

struct Waiter {
    shard: usize,
    bitset: u32,
    /// The thread that has the lock it waits for; 0 for other futexes.
    owner: u32,
    /// Its place; changed by a requeue, with the shard locked.
    scope: AtomicU64,
    at: AtomicU64,
    woken: AtomicBool,
    queue: WaitQueue,
    /// Keep the frames of the words it waits for, the first and one it was moved to.
    _frame: Option<Frame>,
    moved_to: SpinLock<Option<Frame>>,
}

type Shard = BTreeMap<Place, VecDeque<Arc<Waiter>>>;

static TABLE: [SpinLock<Shard>; SHARDS] = [const { SpinLock::new("futexes", Rank::Process, BTreeMap::new()) }; SHARDS];

/// How many wait for a lock with an owner, so that threads that end need not look while there are none.
static OWNED: AtomicUsize = AtomicUsize::new(0);

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
    wait_as(word, expected, (bitset, 0), (deadline, interrupted), || false)
}

/// Waits for a lock that thread `owner` has: as `wait`, but the end of the owner, after which `exists` says no, ends the
/// wait too.
pub fn wait_for_owner(
    word: Word<'_>,
    expected: u32,
    (owner, exists): (u32, fn(u32) -> bool),
    deadline: Option<Instant>,
    interrupted: fn() -> bool,
) -> Result<(), Errno> {
    OWNED.fetch_add(1, Ordering::SeqCst);
    let gone = || !exists(owner);
    let result = wait_as(word, expected, (ANY, owner), (deadline, interrupted), gone);
    OWNED.fetch_sub(1, Ordering::SeqCst);
    result
}

/// Thread `tid` is no more: wakes all that wait for a lock of it. It is not to be found by its number any more, so that
/// one that comes too late for this sees that it is gone.
pub fn owner_ended(tid: u32) {
    if OWNED.load(Ordering::SeqCst) == 0 {
        return;
    }
    for shard in &TABLE {
        let mut woken = Vec::new();
        shard.lock().retain(|_, waiters| {
            waiters.retain(|waiter| {
                let stays = waiter.owner != tid;
                if !stays {
                    waiter.woken.store(true, Ordering::Release);
                    woken.push(waiter.clone());
                }
                stays
            });
            !waiters.is_empty()
        });
        woken.iter().for_each(|waiter| waiter.queue.wake_all());
    }
}

fn wait_as(
    word: Word<'_>,
    expected: u32,
    (bitset, owner): (u32, u32),
    (deadline, interrupted): (Option<Instant>, fn() -> bool),
    gone: impl Fn() -> bool,
) -> Result<(), Errno> {
    let key = word.key()?;
    let waiter = Arc::new(Waiter {
        shard: key.shard,
        bitset,
        owner,
        scope: AtomicU64::new(key.place.0),
        at: AtomicU64::new(key.place.1),
        woken: AtomicBool::new(false),
        queue: WaitQueue::new("futex"),
        _frame: key.frame,
        moved_to: SpinLock::new("moved futex", Rank::AddressSpace, None),
    });
    enqueue_if(&waiter, word.address, expected)?;
    let woken = || waiter.woken.load(Ordering::Acquire).then_some(true).or_else(|| gone().then_some(false));
    match waiter.queue.wait_until(deadline, interrupted, woken) {
        Ok(true) => Ok(()),
        Ok(false) => {
            waiter.leave();
            Ok(())
        }
        Err(_) if !waiter.leave() => Ok(()), // woken at the last moment
        Err(WaitEnd::TimedOut) => Err(Errno::ETIMEDOUT),
        Err(WaitEnd::Interrupted) => Err(Errno::EINTR),
    }
}

/// Enters the waiter if the word holds `expected`.
fn enqueue_if(waiter: &Arc<Waiter>, address: u64, expected: u32) -> Result<(), Errno> {
    loop {
        {
            let mut shard = TABLE[waiter.shard].lock();
            match copy::load_u32(address) {
                Ok(value) if value != expected => return Err(Errno::EAGAIN),
                Ok(_) => {
                    shard.entry(waiter.place()).or_default().push_back(waiter.clone());
                    return Ok(());
                }
                Err(_) => {}
            }
        }
        copy::load_u32(address).map_err(|_| Errno::EFAULT)?;
    }
}

/// Wakes up to `count` waiters of the word with a bit of `bitset`; how many.
pub fn wake(word: Word<'_>, count: u32, bitset: u32) -> Result<u32, Errno> {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let key = word.key()?;
    let woken = take(&mut TABLE[key.shard].lock(), key.place, count, bitset);
    woken.iter().for_each(|waiter| waiter.queue.wake_all());
    Ok(woken.len() as u32)
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
    let (woken, moved) = loop {
        {
            let mut shard = TABLE[from.shard].lock();
            match expected.map(|expected| copy::load_u32(words.0.address).map(|value| value == expected)) {
                None | Some(Ok(true)) => {
                    let woken = take(&mut shard, from.place, count, ANY);
                    let moved = take_unwoken(&mut shard, from.place, limit);
                    moved.iter().for_each(|waiter| waiter.move_to(&to));
                    if !moved.is_empty() {
                        shard.entry(to.place).or_default().extend(moved.iter().cloned());
                    }
                    break (woken, moved.len() as u32);
                }
                Some(Ok(false)) => return Err(Errno::EAGAIN),
                Some(Err(_)) => {}
            }
        }
        copy::load_u32(words.0.address).map_err(|_| Errno::EFAULT)?;
    };
    woken.iter().for_each(|waiter| waiter.queue.wake_all());
    Ok((woken.len() as u32, moved))
}

/// Takes up to `count` waiters at `place` out of the locked shard, and marks them as woken.
fn take(shard: &mut Shard, place: Place, count: u32, bitset: u32) -> Vec<Arc<Waiter>> {
    let mut woken = Vec::new();
    let Some(waiters) = shard.get_mut(&place) else { return woken };
    let mut at = 0;
    while at < waiters.len() && (woken.len() as u64) < u64::from(count) {
        if waiters[at].bitset & bitset == 0 {
            at += 1;
        } else if let Some(waiter) = waiters.remove(at) {
            waiter.woken.store(true, Ordering::Release);
            woken.push(waiter);
        }
    }
    if waiters.is_empty() {
        shard.remove(&place);
    }
    woken
}

/// Takes up to `limit` waiters at `place` out of the locked shard.
fn take_unwoken(shard: &mut Shard, place: Place, limit: u32) -> Vec<Arc<Waiter>> {
    let Some(waiters) = shard.get_mut(&place) else { return Vec::new() };
    let count = waiters.len().min(limit as usize);
    let moved = waiters.drain(..count).collect();
    if waiters.is_empty() {
        shard.remove(&place);
    }
    moved
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
        if self.shared { self.shared_key() } else { Ok(self.private_key()) }
    }

    fn private_key(&self) -> Key {
        let scope = core::ptr::from_ref(self.space).addr() as u64;
        let shard = SHARED + 1 + (scope >> 6) as usize % (SHARDS - 1);
        Key { shard, place: (scope, self.address), frame: None }
    }

    fn shared_key(&self) -> Result<Key, Errno> {
        // Memory that others do not see is known by its address, as its frame may become another by copy-on-write.
        if !self.space.is_shared_at(self.address).ok_or(Errno::EFAULT)? {
            return Ok(Key { shard: SHARED, place: self.private_key().place, frame: None });
        }
        let page_offset = self.address % PAGE_SIZE as u64;
        loop {
            if let Some(mapping) = self.space.mapping(self.address).filter(|mapping| mapping.protection.write) {
                let place = (mapping.frame.address().get(), page_offset);
                return Ok(Key { shard: SHARED, place, frame: Some(mapping.frame) });
            }
            // A page that is only read may still become another by a store: the one that stores get is meant.
            if fault::resolve(self.space, self.address, Access::Write).is_err() {
                fault::resolve(self.space, self.address, Access::Read).map_err(|_| Errno::EFAULT)?;
                let mapping = self.space.mapping(self.address).ok_or(Errno::EFAULT)?;
                let place = (mapping.frame.address().get(), page_offset);
                return Ok(Key { shard: SHARED, place, frame: Some(mapping.frame) });
            }
        }
    }
}

impl Waiter {
    fn place(&self) -> Place {
        (self.scope.load(Ordering::Relaxed), self.at.load(Ordering::Relaxed))
    }

    /// Gives it another place; the shard is locked.
    fn move_to(&self, key: &Key) {
        self.scope.store(key.place.0, Ordering::Relaxed);
        self.at.store(key.place.1, Ordering::Relaxed);
        if let Some(frame) = &key.frame {
            *self.moved_to.lock() = Some(frame.clone());
        }
    }

    /// Takes it out; false if it has been woken.
    fn leave(self: &Arc<Self>) -> bool {
        let mut shard = TABLE[self.shard].lock();
        if self.woken.load(Ordering::Acquire) {
            return false;
        }
        let place = self.place();
        if let Some(waiters) = shard.get_mut(&place) {
            waiters.retain(|other| !Arc::ptr_eq(other, self));
            if waiters.is_empty() {
                shard.remove(&place);
            }
        }
        true
    }
}
