//! What a descriptor of a socket leads to. What it does as a file is in `file`.

use super::end::End;
use crate::vfs::{File, Result};
use abi::Errno;
use alloc::sync::Arc;

/// A socket.
pub struct Socket {
    /// What others know of it.
    pub end: Arc<End>,
    /// `st_ino`.
    pub(super) inode_number: u64,
    /// User and group of whoever made it.
    pub(super) owner: (u32, u32),
}

/// The socket that `file` is; ENOTSOCK.
pub fn socket(file: &File) -> Result<&Socket> {
    file.device().ok_or(Errno::ENOTSOCK)
}
