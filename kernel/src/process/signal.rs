//! The state of signals: a process's actions, and sets of pending signals with what is known of each (signal(7)).

use abi::Signal;
use abi::sigframe::{KernelSiginfo, SI_TIMER};
use abi::signal::{DefaultAction, NSIG, SIG_DFL, SIG_IGN, SaFlags, SigSet, Sigaction};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use machine::sync::{Rank, SpinLock};

/// The stop signals; SIGCONT takes them back, and they it.
pub const STOPS: SigSet =
    SigSet::EMPTY.with(Signal::SIGSTOP).with(Signal::SIGTSTP).with(Signal::SIGTTIN).with(Signal::SIGTTOU);
/// Most real-time signals that wait in one set; standard ones wait once each.
const MAX_QUEUED: usize = 1024;

type BySignal = [Sigaction; NSIG as usize];

/// What a process does with each signal. With CLONE_SIGHAND processes share it: the second lock is then taken alone.
pub struct Actions {
    part: SpinLock<Part>,
}

enum Part {
    Own(Box<BySignal>),
    Shared(Arc<SpinLock<BySignal>>),
}

/// What taking a signal leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// What is done without a handler.
    Default(DefaultAction),
    /// The program's handler runs.
    Handler(Sigaction),
}

impl Actions {
    /// Everything at its default.
    pub fn new() -> Self {
        Actions::with(Box::new([Sigaction::default(); NSIG as usize]))
    }

    fn with(actions: Box<BySignal>) -> Self {
        Actions::of(Part::Own(actions))
    }

    fn of(part: Part) -> Self {
        Actions { part: SpinLock::new("signal actions", Rank::Process, part) }
    }

    /// Calls `f` with them, which are locked meanwhile.
    #[inline]
    fn locked<R>(&self, f: impl FnOnce(&mut BySignal) -> R) -> R {
        let shared = match &mut *self.part.lock() {
            Part::Own(own) => return f(own),
            Part::Shared(shared) => shared.clone(),
        };
        f(&mut shared.lock())
    }

    /// A copy, for a new process.
    pub fn copy(&self) -> Self {
        Actions::with(self.locked(|actions| Box::new(*actions)))
    }

    /// The same, for a process that shares them.
    pub fn share(&self) -> Self {
        let mut part = self.part.lock();
        let shared = match &*part {
            Part::Own(own) => Arc::new(SpinLock::new("shared signal actions", Rank::Process, **own)),
            Part::Shared(shared) => shared.clone(),
        };
        *part = Part::Shared(shared.clone());
        drop(part);
        Actions::of(Part::Shared(shared))
    }

    /// Whether another process has a part in them.
    pub fn is_shared(&self) -> bool {
        matches!(&*self.part.lock(), Part::Shared(shared) if Arc::strong_count(shared) > 1)
    }

    /// Makes them the process's own.
    pub fn unshare(&self) {
        let shared = match &*self.part.lock() {
            Part::Own(_) => return,
            Part::Shared(shared) => shared.clone(),
        };
        let own = Box::new(*shared.lock());
        let former = core::mem::replace(&mut *self.part.lock(), Part::Own(own));
        drop((former, shared));
    }

    /// execve(2): handlers are gone with the program, what is ignored stays so.
    pub fn reset_handlers(&self) {
        self.locked(|actions| {
            for action in actions {
                let handler = if action.sa_handler == SIG_IGN { SIG_IGN } else { SIG_DFL };
                *action = Sigaction { sa_handler: handler, ..Sigaction::default() };
            }
        });
    }

    /// The action of `signal`, and a new one if given.
    pub fn action(&self, signal: Signal, new: Option<Sigaction>) -> Sigaction {
        self.locked(|actions| {
            let slot = &mut actions[usize::from(signal.number()) - 1];
            match new {
                Some(new) => core::mem::replace(slot, new),
                None => *slot,
            }
        })
    }

    /// Signals that are ignored, and those that have a handler.
    pub fn sets(&self) -> (SigSet, SigSet) {
        let (mut ignored, mut caught) = (0, 0);
        self.locked(|actions| {
            for (at, action) in actions.iter().enumerate() {
                match action.sa_handler {
                    SIG_DFL => {}
                    SIG_IGN => ignored |= 1 << at,
                    _ => caught |= 1 << at,
                }
            }
        });
        (SigSet(ignored), SigSet(caught))
    }

    /// What to do with `signal`, which is being taken; a handler that works once is taken out.
    pub fn take(&self, signal: Signal) -> Disposition {
        self.locked(|actions| {
            let slot = &mut actions[usize::from(signal.number()) - 1];
            match slot.sa_handler {
                SIG_DFL => Disposition::Default(signal.default_action()),
                SIG_IGN => Disposition::Default(DefaultAction::Ignore),
                _ => {
                    let action = *slot;
                    if flags(&action).contains(SaFlags::RESETHAND) {
                        slot.sa_handler = SIG_DFL;
                    }
                    Disposition::Handler(action)
                }
            }
        })
    }

    /// Whether the program handles `signal` itself.
    pub fn has_handler(&self, signal: Signal) -> bool {
        !matches!(self.action(signal, None).sa_handler, SIG_DFL | SIG_IGN)
    }

    /// Whether the process takes no notice of `signal`.
    pub fn is_ignored(&self, signal: Signal) -> bool {
        self.locked(|actions| ignores(&actions[usize::from(signal.number()) - 1], signal))
    }
}

/// Whether `signal` is ignored by this action of it.
pub fn ignores(action: &Sigaction, signal: Signal) -> bool {
    match action.sa_handler {
        SIG_IGN => !signal.is_unstoppable(),
        SIG_DFL => signal.default_action() == DefaultAction::Ignore,
        _ => false,
    }
}

/// The flags of an action.
pub fn flags(action: &Sigaction) -> SaFlags {
    SaFlags::from_bits_retain(action.sa_flags)
}

/// Signals that were sent and not taken yet.
pub struct Pending {
    /// The signals in `queue`; read without its lock, as is its length.
    set: AtomicU64,
    len: AtomicUsize,
    queue: SpinLock<VecDeque<KernelSiginfo>>,
}

impl Pending {
    /// None.
    pub const fn new() -> Self {
        Pending {
            set: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            queue: SpinLock::new("pending signals", Rank::Process, VecDeque::new()),
        }
    }

    /// Which signals there are.
    pub fn set(&self) -> SigSet {
        SigSet(self.set.load(Ordering::SeqCst))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Adds a signal, which may be one of `room` more. A standard one that is there already stays as it is. Without room
    /// only what is known of the signal is lost, but for a real-time signal that a program sent along with something:
    /// false, and it is not there (sigqueue(3)).
    pub fn add(&self, signal: Signal, info: KernelSiginfo, room: u64) -> bool {
        let mut queue = self.queue.lock();
        let there = self.set().contains(signal);
        if there && !signal.is_realtime() {
            return true;
        }
        if room == 0 || queue.len() >= MAX_QUEUED || queue.try_reserve(1).is_err() {
            if signal.is_realtime() && info.si_code < 0 && info.si_code != SI_TIMER {
                return false;
            }
            // What no memory is needed for is not lost: that the signal came.
            self.set.fetch_or(SigSet::EMPTY.with(signal).0, Ordering::SeqCst);
            return true;
        }
        queue.push_back(info);
        self.len.store(queue.len(), Ordering::Relaxed);
        self.set.fetch_or(SigSet::EMPTY.with(signal).0, Ordering::SeqCst);
        true
    }

    /// Whether a signal of timer_create(2)'s timer `id` is there.
    pub fn has_of_timer(&self, signal: Signal, id: i32) -> bool {
        let number = i32::from(signal.number());
        let is_it = |info: &KernelSiginfo| {
            info.si_signo == number && info.si_code == SI_TIMER && info.fields[0] as u32 == id as u32
        };
        self.set().contains(signal) && self.queue.lock().iter().any(is_it)
    }

    /// Takes the first signal of lowest number that is in `wanted`, faults before others.
    #[inline]
    pub fn take(&self, wanted: SigSet) -> Option<(Signal, KernelSiginfo)> {
        if self.set().intersection(wanted).is_empty() { None } else { self.take_one(wanted) }
    }

    #[inline(never)]
    fn take_one(&self, wanted: SigSet) -> Option<(Signal, KernelSiginfo)> {
        let mut queue = self.queue.lock();
        let there = self.set().intersection(wanted);
        let signal = there.intersection(SYNCHRONOUS).first().or_else(|| there.first())?;
        let number = i32::from(signal.number());
        let info = match queue.front() {
            Some(first) if first.si_signo == number => queue.pop_front(),
            _ => queue.iter().position(|info| info.si_signo == number).and_then(|at| queue.remove(at)),
        };
        self.len.store(queue.len(), Ordering::Relaxed);
        if queue.is_empty() || !signal.is_realtime() || !queue.iter().any(|info| info.si_signo == number) {
            self.set.fetch_and(!SigSet::EMPTY.with(signal).0, Ordering::SeqCst);
        }
        Some((signal, info.unwrap_or_else(|| KernelSiginfo::kernel(signal))))
    }

    /// Forgets the signals of `set`.
    pub fn discard(&self, set: SigSet) {
        if self.set().intersection(set).is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        queue.retain(|info| Signal::new(info.si_signo).is_none_or(|signal| !set.contains(signal)));
        self.len.store(queue.len(), Ordering::Relaxed);
        self.set.fetch_and(!set.0, Ordering::SeqCst);
    }
}

/// Signals that an instruction caused; taken before others, so that a handler sees the instruction.
const SYNCHRONOUS: SigSet = SigSet::EMPTY
    .with(Signal::SIGSEGV)
    .with(Signal::SIGBUS)
    .with(Signal::SIGILL)
    .with(Signal::SIGTRAP)
    .with(Signal::SIGFPE)
    .with(Signal::SIGSYS);

impl Default for Actions {
    fn default() -> Self {
        Actions::new()
    }
}

impl Default for Pending {
    fn default() -> Self {
        Pending::new()
    }
}
