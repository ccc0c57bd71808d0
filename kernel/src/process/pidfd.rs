//! Processes as files (pidfd_open(2), CLONE_PIDFD): to wait for and to act on, without being led to another process that
//! has got the same number since.
//!
//! A descriptor does not keep its process: that ends, is waited for and goes as ever, and whoever asks then finds nothing.
//! All descriptors of a process share one object, made when the first is.
//!
//! Lock: the table's is held while the object is made and while the process becomes a zombie, so that whoever waits
//! through the object either is woken or sees that the process has ended.

use super::{Process, table};
use crate::vfs::{File, FileOperations, flags};
use alloc::sync::{Arc, Weak};
use machine::sync::WaitQueue;

/// What the descriptors of a process refer to.
pub struct PidFile {
    process: Weak<Process>,
    ended: WaitQueue,
}

/// A file that stands for `process`. `file_flags` may hold `O_NONBLOCK`.
pub fn new(process: &Arc<Process>, file_flags: u32) -> Arc<File> {
    let object = {
        let _table = table::lock();
        let make = || Arc::new(PidFile { process: Arc::downgrade(process), ended: WaitQueue::new("end of a process") });
        process.pid_file.call_once(make).clone()
    };
    File::new_device(object, file_flags & flags::O_NONBLOCK | flags::O_RDWR)
}

impl PidFile {
    /// The process, running or a zombie; None once its parent has taken its status.
    pub fn process(&self) -> Option<Arc<Process>> {
        let process = self.process.upgrade()?;
        table::find(process.pid()).filter(|found| Arc::ptr_eq(found, &process))
    }

    /// The process has ended.
    pub(super) fn tell_end(&self) {
        self.ended.wake_all();
    }
}

impl FileOperations for PidFile {
    /// Readable when all threads have ended.
    fn poll(&self) -> u32 {
        let has_ended = self.process.upgrade().is_none_or(|process| process.is_gone());
        if has_ended { flags::POLLIN | flags::POLLRDNORM } else { 0 }
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.ended), None]
    }

    fn link_name(&self) -> &'static str {
        "anon_inode:[pidfd]"
    }

    fn mode(&self) -> u32 {
        0o600
    }
}
