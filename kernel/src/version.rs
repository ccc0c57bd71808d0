//! What the system calls itself: for uname(2) and proc(5).
//!
//! Lock: the host name's, rank `Table`; nothing is taken under it.

use abi::Errno;
use machine::sync::{Rank, SpinLock};

/// Name of the system whose interface this is.
pub const SYSTEM: &str = "Linux";
/// The Linux release whose system-call interface programs may count on, with our own name behind it.
pub const RELEASE: &str = concat!("6.1.0-russet-", env!("CARGO_PKG_VERSION"));
/// Which build it is.
pub const VERSION: &str = "#1 SMP PREEMPT Russet";
/// Longest host name (HOST_NAME_MAX), in bytes.
const NAME_MAX: usize = 64;

/// A host name, with zeros behind it.
pub type HostName = [u8; NAME_MAX + 1];

static HOST_NAME: SpinLock<HostName> = SpinLock::new("host name", Rank::Table, with_zeros(b"russet"));

/// The host name.
pub fn host_name() -> HostName {
    *HOST_NAME.lock()
}

/// Sets the host name. EINVAL if it is too long.
pub fn set_host_name(name: &[u8]) -> Result<(), Errno> {
    if name.len() > NAME_MAX {
        return Err(Errno::EINVAL);
    }
    *HOST_NAME.lock() = with_zeros(name);
    Ok(())
}

const fn with_zeros(text: &[u8]) -> HostName {
    let mut name = [0; NAME_MAX + 1];
    name.split_at_mut(text.len()).0.copy_from_slice(text);
    name
}
