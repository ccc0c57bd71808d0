//! What bounds an address space: the process's limits, and the memory there is.

use super::area::AreaFlags;
use super::{Layout, STACK_LIMIT};
use abi::Errno;
use machine::addr::PAGE_SIZE;

/// Limits in bytes, as setrlimit(2) has them; `u64::MAX` is none. A process that may pass over RLIMIT_MEMLOCK
/// (CAP_IPC_LOCK) has none there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// All that is mapped: RLIMIT_AS.
    pub address_space: u64,
    /// Private writable memory: RLIMIT_DATA.
    pub data: u64,
    /// A stack: RLIMIT_STACK.
    pub stack: u64,
    /// Memory kept from leaving: RLIMIT_MEMLOCK.
    pub locked: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { address_space: u64::MAX, data: u64::MAX, stack: STACK_LIMIT, locked: u64::MAX }
    }
}

impl Layout {
    /// ENOMEM if `len` bytes more are over a limit. `data` says whether they count as data.
    pub(super) fn check_may_expand(&self, len: u64, data: bool) -> Result<(), Errno> {
        let (totals, limits) = (self.areas.totals(), self.limits);
        let within = |total: u64, limit: u64| total.checked_add(len).is_some_and(|sum| sum <= limit);
        if !within(totals.mapped, limits.address_space) || (data && !within(totals.data, limits.data)) {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    /// EAGAIN if `flags` say that `len` bytes more are to be locked and that is over the limit.
    pub(super) fn check_may_lock(&self, len: u64, flags: AreaFlags) -> Result<(), Errno> {
        let sum = self.areas.totals().locked.saturating_add(len);
        if flags.contains(AreaFlags::LOCKED) && sum > self.limits.locked {
            return Err(Errno::EAGAIN);
        }
        Ok(())
    }
}

/// ENOMEM for memory of which even the whole machine does not have that much: what Linux's heuristic refuses.
pub(super) fn check_reserve(len: u64) -> Result<(), Errno> {
    if len / PAGE_SIZE as u64 > machine::boot::usable_ram() / PAGE_SIZE as u64 { Err(Errno::ENOMEM) } else { Ok(()) }
}
