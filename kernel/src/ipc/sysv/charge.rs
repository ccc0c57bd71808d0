//! The kernel's memory that semaphores and messages take, which lives on without a process: a part of all there is.

use abi::Errno;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::PAGE_SIZE;
use machine::mm::frame;

/// One part in so many of the memory may go into semaphores and messages.
const PART: usize = 8;

/// Bytes taken.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Bytes that count until it is dropped.
pub struct Charge(usize);

impl Charge {
    /// Counts `bytes`. ENOMEM if that is too much.
    pub fn new(bytes: usize) -> Result<Self, Errno> {
        let most = frame::total() / PART * PAGE_SIZE;
        let sum = |taken: usize| taken.checked_add(bytes).filter(|&sum| sum <= most);
        TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).map_err(|_| Errno::ENOMEM)?;
        Ok(Charge(bytes))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}
