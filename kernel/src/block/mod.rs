//! Block devices as the rest of the kernel uses them: disks and partitions, requests of any length, waited for or not.
//!
//! The drivers take requests and call back in an interrupt; here a [`Completion`] gathers those calls for a whole batch,
//! so that the caller starts all its requests first and then sleeps once. Used by the file systems' page caches and by
//! the shell. No lock of its own.

mod completion;
mod disk;
mod requests;
mod transfer;

pub use completion::{Completion, DeviceFailed};
pub use disk::{Counts, Disk, Statistics};
pub use requests::Requests;
pub use transfer::{flush, start, transfer};
