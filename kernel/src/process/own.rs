//! What only a thread itself reads and changes, and its maker before it runs: words without a lock. They are atomic because
//! other threads could reach them, and relaxed because none does.

use abi::signal::SigaltStack;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64};

/// A number, or none.
pub struct OwnWord {
    given: AtomicBool,
    word: AtomicU64,
}

impl OwnWord {
    /// None.
    pub const fn new() -> Self {
        OwnWord { given: AtomicBool::new(false), word: AtomicU64::new(0) }
    }

    /// The number.
    pub fn get(&self) -> Option<u64> {
        self.given.load(Relaxed).then(|| self.word.load(Relaxed))
    }

    /// Replaces it.
    pub fn set(&self, word: Option<u64>) {
        self.word.store(word.unwrap_or(0), Relaxed);
        self.given.store(word.is_some(), Relaxed);
    }

    /// Takes it away.
    pub fn take(&self) -> Option<u64> {
        let word = self.get();
        if word.is_some() {
            self.given.store(false, Relaxed);
        }
        word
    }
}

/// The alternate signal stack (sigaltstack(2)).
pub struct OwnStack {
    start: AtomicU64,
    size: AtomicU64,
    flags: AtomicI32,
}

impl OwnStack {
    /// None.
    pub const fn new() -> Self {
        let SigaltStack { ss_sp, ss_size, ss_flags, .. } = SigaltStack::NONE;
        OwnStack { start: AtomicU64::new(ss_sp), size: AtomicU64::new(ss_size), flags: AtomicI32::new(ss_flags) }
    }

    /// The stack.
    pub fn get(&self) -> SigaltStack {
        SigaltStack {
            ss_sp: self.start.load(Relaxed),
            ss_size: self.size.load(Relaxed),
            ss_flags: self.flags.load(Relaxed),
            ..SigaltStack::NONE
        }
    }

    /// Replaces it.
    pub fn set(&self, stack: SigaltStack) {
        self.start.store(stack.ss_sp, Relaxed);
        self.size.store(stack.ss_size, Relaxed);
        self.flags.store(stack.ss_flags, Relaxed);
    }
}
