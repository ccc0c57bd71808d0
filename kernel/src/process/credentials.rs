//! Who a process runs as (credentials(7)), and what that allows.

use crate::vfs::Who;
use abi::Errno;
use alloc::sync::Arc;

/// Most supplementary groups (NGROUPS_MAX).
pub const MAX_GROUPS: usize = 65536;
/// An argument that leaves an identity as it is.
const UNCHANGED: u32 = u32::MAX;

/// Real, effective and saved identity, that for files, and supplementary groups.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credentials {
    /// User.
    pub user: Identity,
    /// Group.
    pub group: Identity,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
}

/// One kind of identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Who started the process.
    pub real: u32,
    /// Whose rights it has.
    pub effective: u32,
    /// To whose rights it may come back.
    pub saved: u32,
    /// Whose rights it has to files.
    pub file: u32,
}

impl Credentials {
    /// Whether it may do what is root's alone. There are no finer capabilities.
    pub fn is_privileged(&self) -> bool {
        self.user.effective == 0
    }

    /// Whether a process with these credentials may look into one with `target` (ptrace(2), "Ptrace access mode checking").
    pub fn may_inspect(&self, target: &Credentials) -> bool {
        let same = |own: Identity, other: Identity| [other.real, other.effective, other.saved] == [own.file; 3];
        self.is_privileged() || same(self.user, target.user) && same(self.group, target.group)
    }

    /// Whose rights it has to files.
    pub fn who(&self) -> Who {
        Who { user: self.user.file, group: self.group.file, groups: self.groups.clone() }
    }

    /// The same by the real identities, for access(2).
    pub fn real_who(&self) -> Who {
        Who { user: self.user.real, group: self.group.real, groups: self.groups.clone() }
    }

    /// Whether a process with these credentials may send signals to one with `target` (kill(2)).
    pub fn may_signal(&self, target: &Credentials) -> bool {
        let own = [self.user.effective, self.user.real];
        self.is_privileged() || own.contains(&target.user.real) || own.contains(&target.user.saved)
    }

    /// Whether a process with these credentials may look into one with `target` (ptrace(2), "Ptrace access mode
    /// checking", PTRACE_MODE_REALCREDS).
    pub fn may_trace(&self, target: &Credentials) -> bool {
        let is_all = |own: Identity, other: Identity| [other.real, other.effective, other.saved] == [own.real; 3];
        self.is_privileged() || is_all(self.user, target.user) && is_all(self.group, target.group)
    }
}

impl Identity {
    /// setuid(2), setgid(2): a privileged process changes all, another its effective one, to one it has.
    pub fn set(&mut self, id: u32, privileged: bool) -> Result<(), Errno> {
        if id == UNCHANGED {
            return Err(Errno::EINVAL);
        }
        if privileged {
            *self = Identity { real: id, effective: id, saved: id, file: id };
        } else if id == self.real || id == self.saved {
            self.effective = id;
            self.file = id;
        } else {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// setreuid(2), setregid(2).
    pub fn set_real_effective(&mut self, real: u32, effective: u32, privileged: bool) -> Result<(), Errno> {
        let allowed = |id, ids: &[u32]| id == UNCHANGED || privileged || ids.contains(&id);
        if !allowed(real, &[self.real, self.effective]) || !allowed(effective, &[self.real, self.effective, self.saved])
        {
            return Err(Errno::EPERM);
        }
        let old_real = self.real;
        if real != UNCHANGED {
            self.real = real;
        }
        if effective != UNCHANGED {
            self.effective = effective;
        }
        if real != UNCHANGED || (effective != UNCHANGED && effective != old_real) {
            self.saved = self.effective;
        }
        self.file = self.effective;
        Ok(())
    }

    /// setresuid(2), setresgid(2).
    pub fn set_all(&mut self, real: u32, effective: u32, saved: u32, privileged: bool) -> Result<(), Errno> {
        let have = [self.real, self.effective, self.saved];
        if !privileged && [real, effective, saved].iter().any(|id| *id != UNCHANGED && !have.contains(id)) {
            return Err(Errno::EPERM);
        }
        for (field, id) in [(&mut self.real, real), (&mut self.effective, effective), (&mut self.saved, saved)] {
            if id != UNCHANGED {
                *field = id;
            }
        }
        self.file = self.effective;
        Ok(())
    }

    /// setfsuid(2), setfsgid(2): the identity for files before; one that is not allowed changes nothing.
    pub fn set_file(&mut self, id: u32, privileged: bool) -> u32 {
        let old = self.file;
        let have = [self.real, self.effective, self.saved, self.file];
        if id != UNCHANGED && (privileged || have.contains(&id)) {
            self.file = id;
        }
        old
    }
}
