//! Why a mount failed, in words for whoever typed it; system calls take [`MountError::errno`].

use abi::Errno;
use alloc::string::{String, ToString};
use core::fmt;

/// Why a mount or unmount failed.
#[derive(Clone, Debug)]
pub enum MountError {
    /// The device does not hold what was to be mounted; the text names the field that is wrong.
    Format(String),
    /// What was to be mounted is not there.
    Source(String, Errno),
    /// The place is wrong.
    Place(String, Errno),
}

impl MountError {
    /// The place `at` is wrong.
    pub(super) fn place(at: &[u8], error: Errno) -> Self {
        MountError::Place(String::from_utf8_lossy(at).to_string(), error)
    }

    /// The error for `mount(2)` and `umount2(2)`.
    pub fn errno(&self) -> Errno {
        match self {
            MountError::Format(_) => Errno::EINVAL,
            MountError::Source(_, error) | MountError::Place(_, error) => *error,
        }
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MountError::Format(text) => f.write_str(text),
            MountError::Source(name, error) => write!(f, "{name}: {error}"),
            MountError::Place(at, error) => write!(f, "{at}: {error}"),
        }
    }
}
