//! How many processes each user has (RLIMIT_NPROC), zombies too. A process counts from the moment its maker may make it:
//! so that many makers at once cannot come over the limit, looking and counting are one step.
//!
//! Lock: the table's, rank `AddressSpace`; nothing is taken under it.

use abi::Errno;
use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicU32, Ordering};
use machine::sync::{Rank, SpinLock};

static COUNTS: SpinLock<BTreeMap<u32, u64>> = SpinLock::new("processes by user", Rank::AddressSpace, BTreeMap::new());

/// One process of a user; counts until it is dropped.
pub(super) struct OfUser {
    user: AtomicU32,
}

impl OfUser {
    /// One more of `user`; EAGAIN if there are `limit` already.
    pub(super) fn new(user: u32, limit: u64) -> Result<Self, Errno> {
        let mut counts = COUNTS.lock();
        let count = counts.entry(user).or_default();
        if *count >= limit {
            return Err(Errno::EAGAIN);
        }
        *count += 1;
        Ok(OfUser { user: AtomicU32::new(user) })
    }

    /// It is another user's now, whatever that user's limit (setuid(2)).
    pub(super) fn move_to(&self, user: u32) {
        let mut counts = COUNTS.lock();
        let former = self.user.swap(user, Ordering::Relaxed);
        if former != user {
            leave(&mut counts, former);
            *counts.entry(user).or_default() += 1;
        }
    }
}

impl Drop for OfUser {
    fn drop(&mut self) {
        leave(&mut COUNTS.lock(), *self.user.get_mut());
    }
}

fn leave(counts: &mut BTreeMap<u32, u64>, user: u32) {
    if let Some(count) = counts.get_mut(&user) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&user);
        }
    }
}
