//! What a process shows of itself to those who look at it from outside.

use super::{Process, Thread};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

impl Process {
    /// Path of its program; empty once it has ended.
    #[inline(never)]
    pub fn executable(&self) -> Vec<u8> {
        let space = self.try_space();
        space.and_then(|space| space.program().map(|program| program.file.path())).unwrap_or_default()
    }

    /// What its first thread is or was called.
    pub fn name(&self) -> [u8; 15] {
        self.leader().map_or_else(|| *self.leader_name.lock(), |leader| leader.name())
    }

    /// Its first thread, until that ends.
    pub fn leader(&self) -> Option<Arc<Thread>> {
        self.thread(self.pid)
    }

    /// Whether it has executed a program since its parent made it.
    pub fn has_executed(&self) -> bool {
        self.has_executed.load(Ordering::Relaxed)
    }

    /// Whether others that run as the same user may look into it.
    pub fn is_dumpable(&self) -> bool {
        self.dumpable.load(Ordering::Relaxed)
    }

    /// Sets whether they may.
    pub fn set_dumpable(&self, dumpable: bool) {
        self.dumpable.store(dumpable, Ordering::Relaxed);
    }

    /// The signal that its parent gets when it ends; 0 for none.
    pub fn exit_signal(&self) -> u8 {
        self.exit_signal.load(Ordering::Relaxed)
    }
}
