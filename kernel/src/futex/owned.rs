//! Locks with an owner (FUTEX_LOCK_PI): a lock goes to the waiter of the greatest priority, an owner runs with the greatest
//! priority of those that wait for it, and so does whoever that owner waits for itself.
//!
//! What is lent to a task is computed anew whenever it may have changed: with `LENDING` (rank `JobControl`) held, so that of
//! two that do so at once the one with the older figures does not come last; the lists are looked at one by one under it.
//! Where no real-time task waits, nothing is lent, and nothing of this is done.

use super::{ANY, Key, List, TABLE, TID_MASK, WAITERS, Waiter, Word, enqueue_if, given_up, mark_woken, sleep};
use crate::sched;
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::sync::{Rank, SpinLock};
use machine::task::{self, Task};
use machine::time::Instant;
use machine::user::copy;

/// Finds the task of a thread by its number; None once it has ended.
pub type Find = fn(u32) -> Option<Arc<Task>>;

/// How many wait for a lock with an owner, so that threads that end need not look while there are none.
static OWNED: AtomicUsize = AtomicUsize::new(0);
static LENDING: SpinLock<()> = SpinLock::new("lent priorities", Rank::JobControl, ());
/// Owners that wait for others in turn: so far a priority is lent on, and a ring of them found.
const MAX_CHAIN: usize = 1024;

/// Thread `tid` waits for a lock that thread `owner` has and whose word holds `expected`: as [`super::wait`], but the lock may
/// have been given to it at the end, or the owner have ended, which the word tells. EDEADLK if the owner waits for `tid`.
pub fn wait_for_owner(
    word: Word<'_>,
    expected: u32,
    (owner, tid): (u32, u32),
    find: Find,
    (deadline, interrupted): (Option<Instant>, fn() -> bool),
) -> Result<(), Errno> {
    if waits_for(owner, tid, find) {
        return Err(Errno::EDEADLK);
    }
    OWNED.fetch_add(1, Ordering::SeqCst);
    let task = task::current().arc();
    let waiter = Waiter { key: word.key()?, bitset: ANY, owner, tid, task };
    let result = enqueue_if(waiter, word.address, expected).and_then(|()| {
        let lends = || sched::data(&task::current()).priority() > 0;
        if lends() {
            lend_on(owner, find);
        }
        let result = sleep(deadline, || match find(owner) {
            None => Some(Ok(())),
            Some(_) => given_up(deadline, interrupted),
        });
        if lends() && result.is_err() {
            // Whoever has the lock by now does not have it from that owner's waiters any more.
            lend_on(owner, find);
            lend_on(owner_in(word), find);
        }
        result
    });
    OWNED.fetch_sub(1, Ordering::SeqCst);
    result
}

/// The thread `tid` gives its lock to the waiter of the greatest priority, who came first among these; the word tells who that
/// is, or that nobody has it. EPERM if it is not that thread's.
pub fn hand_over(word: Word<'_>, tid: u32, find: Find) -> Result<(), Errno> {
    let key = word.key()?;
    let next = loop {
        if let Some(next) = try_hand_over(&key, word.address, tid)? {
            break next;
        }
        // Brings the page in, as it has to be to be stored to.
        let value = copy::load_u32(word.address).map_err(|_| Errno::EFAULT)?;
        copy::compare_exchange_u32(word.address, value, value).map_err(|_| Errno::EFAULT)?;
    };
    if let Some(next) = next {
        // First, since this thread may come behind others as soon as it has no more than its own priority.
        sched::unpark(&next.task);
        if sched::data(&task::current()).has_lent_priority() || sched::data(&next.task).priority() > 0 {
            lend_on(next.tid, find);
            lend_on(tid, find);
        }
    }
    Ok(())
}

/// Who was given the lock, if anyone waits; None if the word could not be read and stored to.
fn try_hand_over(key: &Key, address: u64, tid: u32) -> Result<Option<Option<Waiter>>, Errno> {
    let mut list = TABLE[key.list()].lock();
    loop {
        let Ok(value) = copy::load_u32(address) else { return Ok(None) };
        if value & TID_MASK != tid {
            return Err(Errno::EPERM);
        }
        let (at, others) = first(&list, key);
        let new = at.map_or(0, |at| list[at].tid | if others { WAITERS } else { 0 });
        match copy::compare_exchange_u32(address, value, new) {
            Ok(seen) if seen == value => {
                let next = at.map(|at| list.remove(at)).inspect(mark_woken);
                for other in list.iter_mut().filter(|other| other.owner != 0 && other.key.place == key.place) {
                    other.owner = new & TID_MASK;
                }
                return Ok(Some(next));
            }
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
    }
}

/// The waiter for a lock that comes next, and whether there are others.
fn first(list: &List, key: &Key) -> (Option<usize>, bool) {
    let mut best: Option<(u8, usize)> = None;
    let mut count = 0;
    for (at, waiter) in list.iter().enumerate().filter(|(_, waiter)| waiter.owner != 0 && waiter.key.place == key.place)
    {
        count += 1;
        let priority = sched::data(&waiter.task).priority();
        if best.is_none_or(|(greatest, _)| priority > greatest) {
            best = Some((priority, at));
        }
    }
    (best.map(|(_, at)| at), count > 1)
}

/// Thread `tid` is no more: wakes all that wait for a lock of it. It is not to be found by its number any more, so that
/// one that comes too late for this sees that it is gone.
pub fn owner_ended(tid: u32) {
    if OWNED.load(Ordering::SeqCst) == 0 {
        return;
    }
    for list in &TABLE {
        let woken: Vec<Waiter> = list.lock().extract_if(.., |waiter| waiter.owner == tid).inspect(mark_woken).collect();
        woken.iter().for_each(|waiter| sched::unpark(&waiter.task));
    }
}

/// The priority of `task` has changed: what it lends has, too, if it waits for a lock.
pub fn priority_changed(task: &Task, find: Find) {
    if OWNED.load(Ordering::SeqCst) != 0
        && let Some(owner) = awaited_by(task)
    {
        lend_on(owner, find);
    }
}

/// Lends thread `owner` the greatest priority of those that wait for it; if that was another before, the same for whom that
/// thread waits for, and so on.
fn lend_on(owner: u32, find: Find) {
    let mut tid = owner;
    for _ in 0..MAX_CHAIN {
        let Some(task) = find(tid) else { return };
        let changed = {
            let _held = LENDING.lock();
            let priority = TABLE.iter().map(|list| greatest_lent(&list.lock(), tid)).max().unwrap_or(0);
            sched::lend_priority(&task, priority)
        };
        match awaited_by(&task) {
            Some(next) if changed => tid = next,
            _ => return,
        }
    }
}

fn greatest_lent(list: &List, owner: u32) -> u8 {
    let waiters = list.iter().filter(|waiter| waiter.owner == owner);
    waiters.map(|waiter| sched::data(&waiter.task).priority()).max().unwrap_or(0)
}

/// The owner of the lock that `task` waits for.
fn awaited_by(task: &Task) -> Option<u32> {
    // Whatever the mark says by now: if the task is not in that list, it has been woken or moved just now.
    let list = TABLE.get(sched::data(task).wait_mark.load(Ordering::Acquire) >> 1)?.lock();
    let waiter = list.iter().find(|waiter| core::ptr::eq(&*waiter.task, task))?;
    (waiter.owner != 0).then_some(waiter.owner)
}

/// Whether thread `owner` waits for `tid`, at once or by others.
fn waits_for(owner: u32, tid: u32, find: Find) -> bool {
    let mut at = Some(owner);
    for _ in 0..MAX_CHAIN {
        match at {
            Some(owner) if owner == tid => return true,
            Some(owner) => at = find(owner).and_then(|task| awaited_by(&task)),
            None => return false,
        }
    }
    true
}

fn owner_in(word: Word<'_>) -> u32 {
    copy::load_u32(word.address).map_or(0, |value| value & TID_MASK)
}
