//! Event counters (`eventfd(2)`).
//!
//! The counter is an atomic, so that reads, writes and looks take no lock; whoever changes it wakes the other side.

use crate::process;
use crate::vfs::{File, FileOperations, Result, Sink, Source, flags};
use abi::Errno;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::WaitQueue;

/// Largest value that the counter takes.
const MAX: u64 = u64::MAX - 1;
/// Bytes of a read or write.
const LEN: usize = 8;

/// An event counter.
pub struct EventCounter {
    count: AtomicU64,
    /// A read takes one, not all.
    semaphore: bool,
    readable: WaitQueue,
    writable: WaitQueue,
}

/// A new counter. `file_flags` may hold `O_NONBLOCK`.
pub fn new(count: u32, semaphore: bool, file_flags: u32) -> Arc<File> {
    let counter = EventCounter {
        count: AtomicU64::new(count.into()),
        semaphore,
        readable: WaitQueue::new("event to read"),
        writable: WaitQueue::new("event to write"),
    };
    File::new_device(Arc::new(counter), file_flags & flags::O_NONBLOCK | flags::O_RDWR)
}

impl EventCounter {
    /// Takes what a read gives, if there is something.
    fn take(&self) -> Option<u64> {
        let left = |count: u64| (count > 0).then(|| if self.semaphore { count - 1 } else { 0 });
        let before = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).ok()?;
        Some(if self.semaphore { 1 } else { before })
    }

    /// Adds `value`, if it fits.
    fn add(&self, value: u64) -> Option<()> {
        let sum = |count: u64| count.checked_add(value).filter(|&sum| sum <= MAX);
        self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, sum).ok().map(|_| ())
    }
}

/// Waits on `queue` until `attempt` gives a value; EAGAIN at once if it does not and `file_flags` say so, EINTR.
pub fn attempt<R>(queue: &WaitQueue, file_flags: u32, mut attempt: impl FnMut() -> Option<R>) -> Result<R> {
    if file_flags & flags::O_NONBLOCK != 0 {
        return attempt().ok_or(Errno::EAGAIN);
    }
    queue.wait_until(None, process::interrupted, attempt).map_err(|_| Errno::EINTR)
}

impl FileOperations for EventCounter {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        if sink.remaining() < LEN {
            return Err(Errno::EINVAL);
        }
        let value = attempt(&self.readable, file_flags, || self.take())?;
        self.writable.wake_all();
        if self.semaphore && self.count.load(Ordering::SeqCst) > 0 {
            self.readable.wake_next();
        }
        sink.put(&value.to_le_bytes())?;
        Ok(LEN)
    }

    fn write(&self, _: u64, file_flags: u32, source: &mut dyn Source) -> Result<usize> {
        if source.remaining() < LEN {
            return Err(Errno::EINVAL);
        }
        let mut value = [0; LEN];
        source.take(&mut value)?;
        let value = u64::from_le_bytes(value);
        if value == u64::MAX {
            return Err(Errno::EINVAL);
        }
        attempt(&self.writable, file_flags, || self.add(value))?;
        self.readable.wake_one();
        Ok(LEN)
    }

    fn poll(&self) -> u32 {
        let count = self.count.load(Ordering::SeqCst);
        let readable = if count > 0 { flags::POLLIN } else { 0 };
        readable | if count < MAX { flags::POLLOUT } else { 0 }
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.readable), Some(&self.writable)]
    }

    fn link_name(&self) -> &'static str {
        "anon_inode:[eventfd]"
    }

    fn mode(&self) -> u32 {
        0o600
    }
}
