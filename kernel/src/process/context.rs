//! As whom and from where a process works: its credentials, its root and working directory, its umask.
//!
//! Locks: that of the credentials (rank `Process`), then the sleeping one of the directories.

use super::Process;
use super::credentials::Credentials;
use crate::vfs::{File, FsContext, Location};
use abi::Errno;
use alloc::sync::Arc;

/// Names of the locks of a process's open files and of its position.
pub(super) const FILES: &str = "open files";
pub(super) const POSITION: &str = "working directory";

/// Where a process is.
#[derive(Clone)]
pub struct Position {
    /// Root and working directory: whoever walks a path takes them as they are.
    pub context: Arc<FsContext>,
    /// Whose rights those walks have, which are in `context`; none yet at first.
    walker: Option<Arc<Credentials>>,
    umask: u32,
}

impl Position {
    pub(super) fn new(context: FsContext, umask: u32) -> Self {
        Position { context: Arc::new(context), walker: None, umask }
    }
}

impl Default for Position {
    fn default() -> Self {
        Position::new(crate::vfs::root_context(), 0o022)
    }
}

impl Process {
    /// Who it runs as.
    #[inline(never)]
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.lock().clone()
    }

    /// What it walks paths by.
    pub fn fs_context(&self) -> Arc<FsContext> {
        let own = Arc::as_ptr(&self.credentials.lock());
        self.position.with(|position| {
            // No others can have the address of those that are kept.
            if position.walker.as_ref().is_none_or(|walker| Arc::as_ptr(walker) != own) {
                self.walk_as_itself(position);
            }
            position.context.clone()
        })
    }

    /// It has changed who it is, or another process that shares the position has walked.
    #[cold]
    fn walk_as_itself(&self, position: &mut Position) {
        let walker = self.credentials();
        position.context = Arc::new(FsContext { who: walker.who(), ..FsContext::clone(&position.context) });
        position.walker = Some(walker);
    }

    /// Changes its root or working directory; what they were before, to be dropped where no lock is held.
    pub fn change_directories(&self, change: impl FnOnce(&mut FsContext)) -> Arc<FsContext> {
        self.position.with(|Position { context, .. }| {
            let mut new = FsContext::clone(context);
            change(&mut new);
            core::mem::replace(context, Arc::new(new))
        })
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
        self.position.with(|position| core::mem::replace(&mut position.umask, mask & 0o777))
    }

    /// The file-mode creation mask.
    pub fn umask(&self) -> u32 {
        self.position.with(|position| position.umask)
    }

    /// Its working directory.
    pub fn working_directory(&self) -> Location {
        self.position.with(|position| position.context.cwd.clone())
    }

    /// Gives `file` the lowest free descriptor.
    pub fn add_file(&self, file: Arc<File>, close_on_exec: bool) -> Result<i32, Errno> {
        let limit = self.file_limit();
        self.files.with(|files| files.insert(file, 0..limit, close_on_exec))
    }

    /// Makes the open files its own. EINVAL if it has several threads, which all use the same ones here.
    pub fn unshare_files(&self) -> Result<(), Errno> {
        self.check_alone()?;
        self.files.unshare(|files| files.try_clone())
    }

    /// Makes directories and umask its own. EINVAL as before.
    pub fn unshare_position(&self) -> Result<(), Errno> {
        self.check_alone()?;
        self.position.unshare(|position| Ok(position.clone()))
    }

    /// EINVAL if it has several threads.
    pub fn check_alone(&self) -> Result<(), Errno> {
        if self.thread_count() > 1 { Err(Errno::EINVAL) } else { Ok(()) }
    }
}
