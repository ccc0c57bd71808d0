//! Synchronisation: guards that pin to a CPU, spinlocks, wait queues and the sleeping lock.

pub mod guard;
#[cfg(debug_assertions)]
pub(crate) mod held;
pub mod lockdep;
mod mutex;
#[cfg(debug_assertions)]
mod order;
mod rank;
mod spin;
mod wait;
mod watch;

pub use ::spin::Once;
pub use guard::{IrqGuard, Pinned, PreemptGuard, might_sleep};
pub use mutex::{Mutex, MutexGuard};
pub use rank::Rank;
pub use spin::{IrqLock, SpinGuard, SpinLock};
pub use wait::{WaitEnd, WaitQueue};
pub use watch::{Watch, Watcher};
