//! Whose an object is, and who may do what with it.

use crate::process::credentials::Credentials;
use abi::Errno;
use abi::capability::{CAP_IPC_OWNER, CAP_SYS_ADMIN};
use abi::ipc::{IPC_PRIVATE, IpcPerm};

/// The bits of a mode that say who may what.
pub const PERMISSIONS: u32 = 0o777;
/// What [`Perm::check`] is asked for: to read, for whoever it is.
pub const READ: u32 = 0o444;
/// See [`READ`].
pub const WRITE: u32 = 0o222;
/// See [`READ`].
pub const EXECUTE: u32 = 0o111;
/// Bits of a number that are the place; those above are the sequence number.
pub const PLACE_BITS: u32 = 15;
/// No user or group.
const NOBODY: u32 = u32::MAX;

/// Name, owner and mode of an object.
#[derive(Clone, Copy, Debug)]
pub struct Perm {
    /// By which it is found; `IPC_PRIVATE` for none.
    pub key: i32,
    /// Its number.
    pub id: i32,
    /// Owner.
    pub user: u32,
    /// The owner's group.
    pub group: u32,
    /// Who made it.
    pub creator: u32,
    /// The maker's group.
    pub creator_group: u32,
    /// Permissions, and what kinds have besides.
    pub mode: u32,
}

impl Perm {
    /// Those of an object that `owner` makes; it gets its number from the table.
    pub fn new(key: i32, flags: u32, owner: &Credentials) -> Self {
        let (user, group) = (owner.user.effective, owner.group.effective);
        Perm { key, id: 0, user, group, creator: user, creator_group: group, mode: flags & PERMISSIONS }
    }

    /// Whether it is the owner or the maker.
    pub fn is_owner(&self, caller: &Credentials) -> bool {
        [self.user, self.creator].contains(&caller.user.effective)
    }

    /// EACCES unless the caller may do what the bits of `wanted` say, in whichever place they stand.
    pub fn check(&self, caller: &Credentials, wanted: u32) -> Result<(), Errno> {
        let wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
        let in_group = |group| caller.group.file == group || caller.groups.contains(&group);
        let granted = if self.is_owner(caller) {
            self.mode >> 6
        } else if in_group(self.creator_group) || in_group(self.group) {
            self.mode >> 3
        } else {
            self.mode
        };
        if wanted & !granted == 0 || caller.has(CAP_IPC_OWNER) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// EPERM for what is the owner's, the maker's and root's alone.
    pub fn check_owner(&self, caller: &Credentials) -> Result<(), Errno> {
        if self.is_owner(caller) || caller.has(CAP_SYS_ADMIN) { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// IPC_SET: another owner and other permissions. EINVAL for an owner that nobody can be.
    pub fn set(&mut self, new: &IpcPerm) -> Result<(), Errno> {
        if new.uid == NOBODY || new.gid == NOBODY {
            return Err(Errno::EINVAL);
        }
        (self.user, self.group) = (new.uid, new.gid);
        self.mode = self.mode & !PERMISSIONS | new.mode & PERMISSIONS;
        Ok(())
    }

    /// It is found by no key any more.
    pub fn hide(&mut self) {
        self.key = IPC_PRIVATE;
    }

    /// As programs see it.
    pub fn shown(&self) -> IpcPerm {
        IpcPerm {
            key: self.key,
            uid: self.user,
            gid: self.group,
            cuid: self.creator,
            cgid: self.creator_group,
            mode: self.mode,
            seq: (self.id >> PLACE_BITS) as u16,
            ..IpcPerm::ZERO
        }
    }
}
