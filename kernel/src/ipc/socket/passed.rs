//! Open files on their way in a message (`SCM_RIGHTS`).

use crate::vfs::{File, Result};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The files of one message.
pub struct Passed {
    /// The files.
    pub files: Vec<Arc<File>>,
    /// The user who sent them, on whose account they are.
    pub user: u32,
    /// The next in a list of those that are to be closed.
    pub next: Option<Box<Passed>>,
}

impl Passed {
    /// These files; None if there are none.
    pub fn new(files: Vec<Arc<File>>, user: u32) -> Option<Box<Passed>> {
        (!files.is_empty()).then(|| Box::new(Passed { files, user, next: None }))
    }

    /// The same files once more, for one who peeks.
    pub fn copy(&self) -> Result<Vec<Arc<File>>> {
        let mut files = Vec::new();
        files.try_reserve_exact(self.files.len()).map_err(|_| Errno::ENOBUFS)?;
        files.extend(self.files.iter().cloned());
        Ok(files)
    }
}
