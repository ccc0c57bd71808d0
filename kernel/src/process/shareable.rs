//! What processes may share: their open files (CLONE_FILES), their directories and umask (CLONE_FS).
//!
//! Most share nothing: what is a process's own is behind one lock, which is all that a system call takes. What is shared is
//! behind a second lock, taken with the first one held.

use abi::Errno;
use alloc::sync::Arc;
use core::mem;
use machine::sync::Mutex;

/// A process's part in something that others may have a part in, too.
pub struct Shareable<T> {
    part: Mutex<Part<T>>,
}

enum Part<T> {
    Own(T),
    Shared(Arc<Mutex<T>>),
}

impl<T: Default> Shareable<T> {
    /// Its own; `name` is the lock's.
    pub fn new(name: &'static str, own: T) -> Self {
        Shareable { part: Mutex::new(name, Part::Own(own)) }
    }

    /// Calls `f` with it, which is locked meanwhile.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        match &mut *self.part.lock() {
            Part::Own(own) => f(own),
            Part::Shared(shared) => f(&mut shared.lock()),
        }
    }

    /// A part for another process, behind a lock of that name.
    pub fn share(&self, name: &'static str) -> Self {
        let mut part = self.part.lock();
        let shared = match &mut *part {
            Part::Own(own) => Arc::new(Mutex::new("what processes share", mem::take(own))),
            Part::Shared(shared) => shared.clone(),
        };
        *part = Part::Shared(shared.clone());
        Shareable { part: Mutex::new(name, Part::Shared(shared)) }
    }

    /// Makes it the process's own, by a copy if others share it.
    pub fn unshare(&self, copy: impl FnOnce(&T) -> Result<T, Errno>) -> Result<(), Errno> {
        let mut part = self.part.lock();
        if matches!(*part, Part::Own(_)) {
            return Ok(());
        }
        let Part::Shared(shared) = mem::replace(&mut *part, Part::Own(T::default())) else { return Ok(()) };
        let left = match Arc::try_unwrap(shared) {
            Ok(last) => {
                *part = Part::Own(last.into_inner());
                return Ok(());
            }
            Err(shared) => shared,
        };
        let copied = copy(&left.lock());
        match copied {
            Ok(own) => *part = Part::Own(own),
            Err(error) => {
                *part = Part::Shared(left);
                return Err(error);
            }
        }
        drop(part);
        drop(left); // the others may have left meanwhile
        Ok(())
    }

    /// Lets go of it: it is dropped if no other process has a part in it.
    pub fn leave(&self) {
        let left = mem::replace(&mut *self.part.lock(), Part::Own(T::default()));
        drop(left);
    }
}
