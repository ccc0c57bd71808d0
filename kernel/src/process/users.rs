//! How many processes and threads each user has (RLIMIT_NPROC), zombies too. One counts from the moment its maker may make
//! it: so that many makers at once cannot come over the limit, looking and counting are one step.
//!
//! Lock: the table's, rank `AddressSpace`; nothing is taken under it.

use abi::Errno;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use klib::small_map::SmallMap;
use machine::sync::{Rank, SpinLock};

static COUNTS: SpinLock<SmallMap<u32, u64>> = SpinLock::new("threads by user", Rank::AddressSpace, SmallMap::new());

/// The threads of a process, which are of one user; one at least counts until it is dropped.
pub(super) struct OfUser {
    /// Changed with the counts locked.
    user: AtomicU32,
    threads: AtomicU64,
}

impl OfUser {
    /// One more of `user`; EAGAIN if there are `limit` already.
    pub(super) fn new(user: u32, limit: u64) -> Result<Self, Errno> {
        add(&mut COUNTS.lock(), user, limit)?;
        Ok(OfUser { user: AtomicU32::new(user), threads: AtomicU64::new(1) })
    }

    /// One thread more; EAGAIN if the user has `limit` already.
    pub(super) fn add_thread(&self, limit: u64) -> Result<(), Errno> {
        let mut counts = COUNTS.lock();
        add(&mut counts, self.user.load(Ordering::Relaxed), limit)?;
        self.threads.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// One thread less, but not the last.
    pub(super) fn remove_thread(&self) {
        let mut counts = COUNTS.lock();
        self.threads.fetch_sub(1, Ordering::Relaxed);
        leave(&mut counts, self.user.load(Ordering::Relaxed), 1);
    }

    /// They are another user's now, whatever that user's limit (setuid(2)).
    pub(super) fn move_to(&self, user: u32) {
        let mut counts = COUNTS.lock();
        let former = self.user.swap(user, Ordering::Relaxed);
        if former != user {
            let threads = self.threads.load(Ordering::Relaxed);
            leave(&mut counts, former, threads);
            *counts.get_or_insert_with(user, || 0) += threads;
        }
    }
}

impl Drop for OfUser {
    fn drop(&mut self) {
        leave(&mut COUNTS.lock(), *self.user.get_mut(), *self.threads.get_mut());
    }
}

fn add(counts: &mut SmallMap<u32, u64>, user: u32, limit: u64) -> Result<(), Errno> {
    let count = counts.get_or_insert_with(user, || 0);
    if *count >= limit {
        return Err(Errno::EAGAIN);
    }
    *count += 1;
    Ok(())
}

fn leave(counts: &mut SmallMap<u32, u64>, user: u32, threads: u64) {
    if let Some(count) = counts.get_mut(&user) {
        *count -= threads;
        if *count == 0 {
            counts.remove(&user);
        }
    }
}
