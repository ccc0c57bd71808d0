//! What processes talk and wait through that no directory need show: pipes, counters, timers, and waiting for many files
//! at once.
//!
//! From the bottom up: `ring` bytes in pages · [`pipe`] · [`eventfd`] · [`timerfd`] · [`signalfd`] · [`inotify`] · [`poll`] waiting for files · [`epoll`] · [`signal_driven`] files that send signals · [`socket`] sockets.
//! Each kind of file is a
//! [`FileOperations`](crate::vfs::FileOperations); readers and writers sleep in its wait queues, and whoever waits for
//! several files watches these ([`machine::sync::Watcher`]). System V IPC ([`sysv`]) has no files and needs none of these.

pub mod epoll;
pub mod eventfd;
pub mod inotify;
pub mod pipe;
pub mod poll;
mod ring;
pub mod signal_driven;
pub mod signalfd;
pub mod socket;
pub mod sysv;
mod tests;
pub mod timerfd;

use crate::process::{self, send::sent_by};
use abi::Signal;
use abi::sigframe::SI_USER;
use core::sync::atomic::{AtomicU64, Ordering};

/// Starts what needs the file tree.
pub fn init() {
    crate::vfs::set_fifo_opener(pipe::open_fifo);
}

/// An inode number for a file that no directory shows.
fn next_inode_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Nobody reads what the current thread writes: SIGPIPE.
fn break_pipe() {
    if let Some(thread) = process::current_thread() {
        thread.send(Signal::SIGPIPE, sent_by(thread.process(), Signal::SIGPIPE, SI_USER));
    }
}
