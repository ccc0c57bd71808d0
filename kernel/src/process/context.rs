//! As whom and from where a process works: its credentials, its root and working directory, its umask.
//!
//! Locks: that of the credentials (rank `Process`), then the sleeping one of the directories.

use super::Process;
use super::credentials::Credentials;
use crate::vfs::FsContext;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

impl Process {
    /// Who it runs as.
    #[inline(never)]
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.lock().clone()
    }

    /// What it walks paths by.
    pub fn fs_context(&self) -> Arc<FsContext> {
        let who = self.credentials.lock().who();
        let mut directories = self.directories.lock();
        if directories.who != who {
            let new = FsContext { who, ..FsContext::clone(&directories) };
            *directories = Arc::new(new);
        }
        directories.clone()
    }

    /// Changes its root or working directory; what they were before, to be dropped where no lock is held.
    pub fn change_directories(&self, change: impl FnOnce(&mut FsContext)) -> Arc<FsContext> {
        let mut directories = self.directories.lock();
        let mut new = FsContext::clone(&directories);
        change(&mut new);
        core::mem::replace(&mut *directories, Arc::new(new))
    }

    /// Changes who it runs as; nothing changes on an error.
    pub fn change_credentials<E>(&self, change: impl FnOnce(&mut Credentials) -> Result<(), E>) -> Result<(), E> {
        let former = self.credentials();
        let mut new = Credentials::clone(&former);
        change(&mut new)?;
        let numbers = |of: &Credentials| [of.user.effective, of.group.effective, of.user.file, of.group.file];
        let gains = new.capabilities.permitted & !former.capabilities.permitted != 0;
        if numbers(&new) != numbers(&former) || gains {
            // Its memory may hold what is not for the new ones.
            self.set_dumpable(false);
            self.set_parent_death_signal(0);
        }
        self.of_user.move_to(new.user.real);
        let new = Arc::new(new);
        let old = core::mem::replace(&mut *self.credentials.lock(), new);
        drop(old);
        Ok(())
    }

    /// Sets the file-mode creation mask; the one before.
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Ordering::Relaxed)
    }

    /// The file-mode creation mask.
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }
}
