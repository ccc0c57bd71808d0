//! Who may do what with a file: owner, group and others, as `path_resolution(7)` and `inode(7)` have it.
//!
//! The user with number 0 may read and write everything, search every directory, and execute what anybody may.

use super::inode::Metadata;
use super::{Result, flags};
use abi::Errno;
use alloc::sync::Arc;

/// What is asked for, in the bits of `access(2)`.
pub const READ: u32 = 4;
/// See [`READ`].
pub const WRITE: u32 = 2;
/// To execute a file, or to search a directory.
pub const EXECUTE: u32 = 1;

/// Whose rights to files somebody has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Who {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
}

impl Who {
    /// Whether nearly everything is allowed.
    #[inline]
    pub fn is_root(&self) -> bool {
        self.user == 0
    }

    /// EACCES unless all of `wanted` is allowed.
    pub fn check(&self, file: &Metadata, wanted: u32) -> Result<()> {
        let is_directory = file.mode & flags::S_IFMT == flags::S_IFDIR;
        let allowed = if self.is_root() {
            let executable = is_directory || file.mode & 0o111 != 0;
            READ | WRITE | if executable { EXECUTE } else { 0 }
        } else if self.user == file.uid {
            file.mode >> 6
        } else if self.group == file.gid || self.groups.contains(&file.gid) {
            file.mode >> 3
        } else {
            file.mode
        };
        if wanted & !allowed & 7 == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// EPERM for what is the owner's or root's alone.
    pub fn check_owner(&self, file: &Metadata) -> Result<()> {
        if self.is_root() || self.user == file.uid { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// Whether a name of `file` may be taken out of `directory`. In one that is sticky only who owns it or the file may.
    pub fn check_removal(&self, directory: &Metadata, file: &Metadata) -> Result<()> {
        self.check(directory, WRITE | EXECUTE)?;
        if directory.mode & flags::S_ISVTX != 0 && self.user != directory.uid {
            return self.check_owner(file);
        }
        Ok(())
    }
}
