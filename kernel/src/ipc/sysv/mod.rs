//! System V IPC (sysvipc(7)): shared memory, sets of semaphores, message queues.
//!
//! Objects have a key, by which programs find them, and a number, by which they use them. All of a kind are in one table
//! ([`ids`]) until they are removed; whose they are is in their row ([`perm`]). [`shm`], [`sem`] and [`msg`] are the kinds.
//!
//! Locks: a kind's table is under a sleeping lock, which the areas of an address space may be locked around, since an area
//! that comes or goes is counted. What a set or a queue holds is under a lock of its own, taken with the table's let go.

mod charge;
pub mod ids;
pub mod msg;
mod perm;
pub mod sem;
pub mod shm;

use crate::clock;
use crate::process;

pub use perm::Perm;

/// Now, in seconds since 1970.
fn now() -> i64 {
    clock::time_of_day().0
}

/// Number of the process that calls; 0 for the kernel.
fn caller_pid() -> u32 {
    process::current_thread().map_or(0, |thread| thread.process().pid())
}
