//! Who a process runs as (credentials(7)), and what that allows.

use super::capability::Capabilities;
use crate::vfs::Who;
use abi::Errno;
use abi::capability::{CAP_KILL, CAP_SYS_PTRACE, secure};
use alloc::sync::Arc;

/// Most supplementary groups (NGROUPS_MAX).
pub const MAX_GROUPS: usize = 65536;
/// An argument that leaves an identity as it is.
const UNCHANGED: u32 = u32::MAX;

/// Real, effective and saved identity, that for files, and supplementary groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// User.
    pub user: Identity,
    /// Group.
    pub group: Identity,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
    /// What it may do of what is root's.
    pub capabilities: Capabilities,
}

impl Default for Credentials {
    /// Root's.
    fn default() -> Self {
        let (user, group) = (Identity::default(), Identity::default());
        Credentials { user, group, groups: Arc::default(), capabilities: Capabilities::ROOT }
    }
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
    /// Whether it may do what this capability allows.
    pub fn has(&self, capability: u32) -> bool {
        self.capabilities.effective >> capability & 1 != 0
    }

    /// Whether a process with these credentials may look into one with `target` (ptrace(2), "Ptrace access mode checking",
    /// PTRACE_MODE_FSCREDS), if that is `dumpable`.
    pub fn may_inspect(&self, target: &Credentials, dumpable: bool) -> bool {
        let effective = self.capabilities.effective;
        self.is_as([self.user.file, self.group.file], effective, target, dumpable)
    }

    /// The same with the real numbers (PTRACE_MODE_REALCREDS).
    pub fn may_trace(&self, target: &Credentials, dumpable: bool) -> bool {
        let permitted = self.capabilities.permitted;
        self.is_as([self.user.real, self.group.real], permitted, target, dumpable)
    }

    fn is_as(&self, [user, group]: [u32; 2], capabilities: u64, target: &Credentials, dumpable: bool) -> bool {
        let is_all = |own: u32, other: Identity| [other.real, other.effective, other.saved] == [own; 3];
        let same = is_all(user, target.user) && is_all(group, target.group) && dumpable;
        self.has(CAP_SYS_PTRACE) || same && target.capabilities.permitted & !capabilities == 0
    }

    /// Whose rights it has to files.
    pub fn who(&self) -> Who {
        let capabilities = self.capabilities.effective;
        Who { user: self.user.file, group: self.group.file, groups: self.groups.clone(), capabilities }
    }

    /// The same by the real identities, for access(2).
    pub fn real_who(&self) -> Who {
        // As if its program had been started by the real ones.
        let own = &self.capabilities;
        let capabilities = match own.is_secure(secure::NO_SETUID_FIXUP) {
            true => own.effective,
            false if self.user.real == 0 => own.permitted,
            false => 0,
        };
        Who { user: self.user.real, group: self.group.real, groups: self.groups.clone(), capabilities }
    }

    /// Whether a process with these credentials may send signals to one with `target` (kill(2)).
    pub fn may_signal(&self, target: &Credentials) -> bool {
        let own = [self.user.effective, self.user.real];
        self.has(CAP_KILL) || own.contains(&target.user.real) || own.contains(&target.user.saved)
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
