//! Resource limits (getrlimit(2)).

use super::credentials::Credentials;
use super::files::MAX_FILES;
use super::send::sent_by;
use crate::vfs::SizeLimit;
use crate::vm;
use abi::capability::CAP_IPC_LOCK;
use abi::sigframe::SI_USER;
use abi::system::{
    RLIM_INFINITY, RLIM_NLIMITS, RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_NOFILE,
    RLIMIT_NPROC, RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK, Rlimit64,
};
use abi::{Errno, Signal};

/// Bytes that a process without privilege may lock (Linux's default).
const LOCKED_BYTES: u64 = 8 << 20;
/// Processes of one user, and signals that wait for them.
const DEFAULT_PROCESSES: u64 = 4096;

/// All limits of a process.
#[derive(Clone, Copy)]
pub struct Limits {
    by_resource: [Rlimit64; RLIM_NLIMITS as usize],
}

impl Limits {
    /// What the first program has.
    pub fn initial() -> Self {
        let mut by_resource = [both(RLIM_INFINITY); RLIM_NLIMITS as usize];
        by_resource[RLIMIT_STACK as usize].rlim_cur = crate::vm::STACK_LIMIT;
        by_resource[RLIMIT_MEMLOCK as usize] = both(LOCKED_BYTES);
        by_resource[RLIMIT_CORE as usize].rlim_cur = 0;
        by_resource[RLIMIT_NPROC as usize] = both(DEFAULT_PROCESSES);
        by_resource[RLIMIT_SIGPENDING as usize] = both(DEFAULT_PROCESSES);
        by_resource[RLIMIT_NOFILE as usize] =
            Rlimit64 { rlim_cur: super::files::DEFAULT_FILES as u64, rlim_max: MAX_FILES as u64 };
        Limits { by_resource }
    }

    /// The limit of `resource`; EINVAL if there is no such resource.
    pub fn get(&self, resource: u32) -> Result<Rlimit64, Errno> {
        self.by_resource.get(resource as usize).copied().ok_or(Errno::EINVAL)
    }

    /// The limit of `resource` that counts now.
    pub fn current(&self, resource: u32) -> u64 {
        self.get(resource).map_or(RLIM_INFINITY, |limit| limit.rlim_cur)
    }

    /// What an address space may grow to under these limits.
    pub fn of_memory(&self, credentials: &Credentials) -> vm::Limits {
        vm::Limits {
            address_space: self.current(RLIMIT_AS),
            data: self.current(RLIMIT_DATA),
            stack: self.current(RLIMIT_STACK),
            locked: if credentials.has(CAP_IPC_LOCK) { RLIM_INFINITY } else { self.current(RLIMIT_MEMLOCK) },
        }
    }

    /// Whether CPU time is limited.
    pub fn watch_cpu_time(&self) -> bool {
        [RLIMIT_CPU, RLIMIT_RTTIME].iter().any(|&resource| self.current(resource) != RLIM_INFINITY)
    }

    /// Raises the limit that counts now to `limit`.
    pub fn raise(&mut self, resource: u32, limit: u64) {
        if let Some(slot) = self.by_resource.get_mut(resource as usize) {
            slot.rlim_cur = slot.rlim_cur.max(limit);
        }
    }

    /// Sets a limit; only a privileged process raises the upper one.
    pub fn set(&mut self, resource: u32, new: Rlimit64, privileged: bool) -> Result<(), Errno> {
        let slot = self.by_resource.get_mut(resource as usize).ok_or(Errno::EINVAL)?;
        if new.rlim_cur > new.rlim_max {
            return Err(Errno::EINVAL);
        }
        let raises = new.rlim_max > slot.rlim_max;
        if raises && !privileged || resource == RLIMIT_NOFILE && new.rlim_max > MAX_FILES as u64 {
            return Err(Errno::EPERM);
        }
        *slot = new;
        Ok(())
    }
}

/// The limit of the current process to the sizes of files.
pub const OF_FILES: SizeLimit = SizeLimit {
    get: || super::current_thread().map_or(RLIM_INFINITY, |thread| thread.process().file_size_limit()),
    exceeded: || {
        if let Some(thread) = super::current_thread() {
            thread.send(Signal::SIGXFSZ, sent_by(thread.process(), Signal::SIGXFSZ, SI_USER));
        }
    },
};

const fn both(limit: u64) -> Rlimit64 {
    Rlimit64 { rlim_cur: limit, rlim_max: limit }
}
