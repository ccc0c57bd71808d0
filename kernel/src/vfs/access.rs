//! Who may do what with a file: owner, group and others, as `path_resolution(7)` and `inode(7)` have it.
//!
//! Who may override that (CAP_DAC_OVERRIDE) reads and writes everything, searches every directory, and executes what anybody
//! may; as the kernel itself does.

use super::inode::Metadata;
use super::{Result, flags};
use abi::Errno;
use abi::capability::{CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER};
use alloc::sync::Arc;

/// What is asked for, in the bits of `access(2)`.
pub const READ: u32 = 4;
/// See [`READ`].
pub const WRITE: u32 = 2;
/// To execute a file, or to search a directory.
pub const EXECUTE: u32 = 1;

/// Whose rights to files somebody has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
    /// Capabilities that count.
    pub capabilities: u64,
}

impl Default for Who {
    /// The kernel itself.
    fn default() -> Self {
        Who { user: 0, group: 0, groups: Arc::default(), capabilities: u64::MAX }
    }
}

impl Who {
    /// Whether nearly everything is allowed.
    #[inline]
    pub fn may_all(&self) -> bool {
        const NEEDED: u64 = 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER;
        self.capabilities & NEEDED == NEEDED
    }

    /// Whether it has this capability.
    pub fn has(&self, capability: u32) -> bool {
        self.capabilities >> capability & 1 != 0
    }

    /// EACCES unless all of `wanted` is allowed.
    pub fn check(&self, file: &Metadata, wanted: u32) -> Result<()> {
        let is_directory = file.mode & flags::S_IFMT == flags::S_IFDIR;
        let allowed = if self.has(CAP_DAC_OVERRIDE) {
            let executable = is_directory || file.mode & 0o111 != 0;
            READ | WRITE | if executable { EXECUTE } else { 0 }
        } else if self.user == file.uid {
            file.mode >> 6
        } else if self.group == file.gid || self.groups.contains(&file.gid) {
            file.mode >> 3
        } else {
            file.mode
        };
        let searched = if is_directory { READ | EXECUTE } else { READ };
        let allowed = allowed | if self.has(CAP_DAC_READ_SEARCH) { searched } else { 0 };
        if wanted & !allowed & 7 == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// EPERM for what is the owner's or root's alone.
    pub fn check_owner(&self, file: &Metadata) -> Result<()> {
        if self.has(CAP_FOWNER) || self.user == file.uid { Ok(()) } else { Err(Errno::EPERM) }
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
