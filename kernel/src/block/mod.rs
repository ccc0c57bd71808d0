//! Block devices as the rest of the kernel uses them: requests of any length, waited for or not.
//!
//! The drivers take requests and call back in an interrupt; here a [`Completion`] gathers those calls for a whole batch,
//! so that the caller starts all its requests first and then sleeps once. Used by the file systems' page caches and by
//! the shell. No lock of its own.

mod completion;
mod transfer;

#[cfg(debug_assertions)]
mod tests;

pub use completion::{Completion, DeviceFailed};
pub use transfer::{Direction, SECTOR_BYTES, Transfer, device, flush, start};
