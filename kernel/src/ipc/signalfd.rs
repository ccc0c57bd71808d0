//! Signals that are read (`signalfd(2)`).
//!
//! Whoever reads or looks gets the signals of its own: the file has nothing but a mask, and a process that has inherited
//! it does not see its parent's.

use super::eventfd::attempt;
use crate::process::{self, send::ANY_SIGNAL};
use crate::vfs::{File, FileOperations, Result, Sink, flags};
use abi::Errno;
use abi::pod::Pod;
use abi::sigframe::SignalfdSiginfo;
use abi::signal::SigSet;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::WaitQueue;

/// Signals as a file.
pub struct SignalFile {
    mask: AtomicU64,
}

/// A new file for the signals of `mask`. `file_flags` may hold `O_NONBLOCK`.
pub fn new(mask: SigSet, file_flags: u32) -> Arc<File> {
    let file = SignalFile { mask: AtomicU64::new(0) };
    file.set_mask(mask);
    File::new_device(Arc::new(file), file_flags & flags::O_NONBLOCK | flags::O_RDWR)
}

impl SignalFile {
    /// Gives the signals of `mask` from now on; SIGKILL and SIGSTOP are not among them.
    pub fn set_mask(&self, mask: SigSet) {
        self.mask.store(mask.difference(SigSet::UNBLOCKABLE).0, Ordering::SeqCst);
        ANY_SIGNAL.wake_all();
    }

    fn mask(&self) -> SigSet {
        SigSet(self.mask.load(Ordering::SeqCst))
    }
}

impl FileOperations for SignalFile {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        if sink.remaining() < SignalfdSiginfo::SIZE {
            return Err(Errno::EINVAL);
        }
        let thread = process::current_thread().ok_or(Errno::EAGAIN)?;
        let take = || thread.take_signal_of(self.mask());
        let mut next = Some(attempt(&ANY_SIGNAL, file_flags, take)?);
        let mut done = 0;
        while let Some((_, info)) = next {
            let put = SignalfdSiginfo::from(&info).with_bytes(|bytes| sink.put(bytes));
            match put {
                Ok(()) => done += SignalfdSiginfo::SIZE,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
            next = if sink.remaining() >= SignalfdSiginfo::SIZE { take() } else { None };
        }
        Ok(done)
    }

    fn poll(&self) -> u32 {
        let readable = process::current_thread().is_some_and(|thread| thread.has_pending(self.mask()));
        if readable { flags::POLLIN } else { 0 }
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&ANY_SIGNAL), None]
    }

    fn link_name(&self) -> &'static str {
        "anon_inode:[signalfd]"
    }

    fn mode(&self) -> u32 {
        0o600
    }
}
