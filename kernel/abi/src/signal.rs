//! Signals: numbers, names, sets and the structures of `rt_sigaction(2)` and `sigaltstack(2)`.

use core::fmt;
use core::num::NonZeroU8;

use bitflags::bitflags;
use linux_raw_sys::general as raw;

use crate::pod::{Pod, pod_struct};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Highest signal number; signals count from 1.
pub const NSIG: u8 = raw::_NSIG as u8;
/// `sa_handler`: the default action.
pub const SIG_DFL: u64 = 0;
/// `sa_handler`: pass over it.
pub const SIG_IGN: u64 = 1;
/// `how` of `rt_sigprocmask(2)`: add to the mask.
pub const SIG_BLOCK: u32 = 0;
/// `how` of `rt_sigprocmask(2)`: take off the mask.
pub const SIG_UNBLOCK: u32 = 1;
/// `how` of `rt_sigprocmask(2)`: replace the mask.
pub const SIG_SETMASK: u32 = 2;

/// A signal number, 1 to [`NSIG`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(NonZeroU8);

/// What happens when a program has no handler (`signal(7)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultAction {
    /// The process ends.
    Terminate,
    /// The process ends with a core dump.
    Core,
    /// Nothing.
    Ignore,
    /// The process stops.
    Stop,
    /// The process goes on.
    Continue,
}

macro_rules! signals {
    ($($name:ident $action:ident $text:literal,)*) => {
        impl Signal {
            $(
                #[doc = $text]
                pub const $name: Signal = Signal::constant(raw::$name as u8);
            )*

            /// The name, such as `SIGSEGV`; real-time signals are all `SIGRT`.
            pub const fn name(self) -> &'static str {
                match self.number() as u32 {
                    $(raw::$name => stringify!($name),)*
                    _ => "SIGRT",
                }
            }

            /// The text of `strsignal(3)`, such as `Segmentation fault`.
            pub const fn message(self) -> &'static str {
                match self.number() as u32 {
                    $(raw::$name => $text,)*
                    _ => "Real-time signal",
                }
            }

            /// What happens when a program has no handler.
            pub const fn default_action(self) -> DefaultAction {
                match self.number() as u32 {
                    $(raw::$name => DefaultAction::$action,)*
                    _ => DefaultAction::Terminate,
                }
            }
        }
    };
}

signals! {
    SIGHUP Terminate "Hangup",
    SIGINT Terminate "Interrupt",
    SIGQUIT Core "Quit",
    SIGILL Core "Illegal instruction",
    SIGTRAP Core "Trace/breakpoint trap",
    SIGABRT Core "Aborted",
    SIGBUS Core "Bus error",
    SIGFPE Core "Floating point exception",
    SIGKILL Terminate "Killed",
    SIGUSR1 Terminate "User defined signal 1",
    SIGSEGV Core "Segmentation fault",
    SIGUSR2 Terminate "User defined signal 2",
    SIGPIPE Terminate "Broken pipe",
    SIGALRM Terminate "Alarm clock",
    SIGTERM Terminate "Terminated",
    SIGSTKFLT Terminate "Stack fault",
    SIGCHLD Ignore "Child exited",
    SIGCONT Continue "Continued",
    SIGSTOP Stop "Stopped (signal)",
    SIGTSTP Stop "Stopped",
    SIGTTIN Stop "Stopped (tty input)",
    SIGTTOU Stop "Stopped (tty output)",
    SIGURG Ignore "Urgent I/O condition",
    SIGXCPU Core "CPU time limit exceeded",
    SIGXFSZ Core "File size limit exceeded",
    SIGVTALRM Terminate "Virtual timer expired",
    SIGPROF Terminate "Profiling timer expired",
    SIGWINCH Ignore "Window changed",
    SIGIO Terminate "I/O possible",
    SIGPWR Terminate "Power failure",
    SIGSYS Core "Bad system call",
}

impl Signal {
    /// The first real-time signal, as the kernel counts them.
    pub const SIGRTMIN: Signal = Signal::constant(raw::SIGRTMIN as u8);

    /// The signal of this number; `None` for 0 and what is above [`NSIG`].
    pub fn new(number: i32) -> Option<Signal> {
        let number = NonZeroU8::new(u8::try_from(number).ok()?)?;
        (number.get() <= NSIG).then_some(Signal(number))
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0.get()
    }

    /// Whether it is queued as often as it is sent.
    pub fn is_realtime(self) -> bool {
        self >= Signal::SIGRTMIN
    }

    /// Whether no program can handle, ignore or block it.
    pub fn is_unstoppable(self) -> bool {
        self == Signal::SIGKILL || self == Signal::SIGSTOP
    }

    const fn constant(number: u8) -> Signal {
        match NonZeroU8::new(number) {
            Some(number) => Signal(number),
            None => panic!("signals count from 1"),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number().checked_sub(Signal::SIGRTMIN.number()) {
            Some(0) => write!(f, "SIGRTMIN"),
            Some(above) => write!(f, "SIGRTMIN+{above}"),
            None => write!(f, "{}", self.name()),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A set of signals: bit `n - 1` stands for signal `n`, as in `sigset_t`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: SigSet = SigSet(0);
    /// Every signal.
    pub const ALL: SigSet = SigSet(u64::MAX);
    /// The two that cannot be blocked.
    pub const UNBLOCKABLE: SigSet = SigSet::EMPTY.with(Signal::SIGKILL).with(Signal::SIGSTOP);

    /// This set and `signal`.
    #[must_use]
    pub const fn with(self, signal: Signal) -> SigSet {
        SigSet(self.0 | Self::bit(signal))
    }

    /// This set without `signal`.
    #[must_use]
    pub const fn without(self, signal: Signal) -> SigSet {
        SigSet(self.0 & !Self::bit(signal))
    }

    /// The signals in either set.
    #[must_use]
    pub const fn union(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    /// The signals in this set but not in `other`.
    #[must_use]
    pub const fn difference(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    /// The signals in both sets.
    #[must_use]
    pub const fn intersection(self, other: SigSet) -> SigSet {
        SigSet(self.0 & other.0)
    }

    /// Whether `signal` is in it.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & Self::bit(signal) != 0
    }

    /// Whether it has no signal.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signal of the lowest number.
    pub fn first(self) -> Option<Signal> {
        Signal::new(self.0.trailing_zeros() as i32 + 1)
    }

    /// The signals by rising number.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        let mut rest = self;
        core::iter::from_fn(move || {
            let signal = rest.first()?;
            rest = rest.without(signal);
            Some(signal)
        })
    }

    const fn bit(signal: Signal) -> u64 {
        1 << (signal.number() - 1)
    }
}

bitflags! {
    /// Flags of `rt_sigaction(2)`; unknown bits are kept.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct SaFlags: u64 {
        /// No `SIGCHLD` when a child stops.
        const NOCLDSTOP = raw::SA_NOCLDSTOP as u64;
        /// Children are not waited for.
        const NOCLDWAIT = raw::SA_NOCLDWAIT as u64;
        /// The handler takes a `siginfo_t`.
        const SIGINFO = raw::SA_SIGINFO as u64;
        /// `sa_restorer` is given.
        const RESTORER = raw::SA_RESTORER as u64;
        /// On the alternate stack.
        const ONSTACK = raw::SA_ONSTACK as u64;
        /// Interrupted calls begin again.
        const RESTART = raw::SA_RESTART as u64;
        /// The signal is not blocked in its handler.
        const NODEFER = raw::SA_NODEFER as u64;
        /// The handler works once.
        const RESETHAND = raw::SA_RESETHAND as u64;
        const _ = !0;
    }
}

pod_struct! {
    /// What `rt_sigaction(2)` takes and gives.
    pub struct Sigaction: 32 {
        /// User address of the handler, [`SIG_DFL`] or [`SIG_IGN`].
        pub sa_handler: u64,
        /// Flags ([`SaFlags`]).
        pub sa_flags: u64,
        /// User address of what the handler returns to.
        pub sa_restorer: u64,
        /// Signals blocked in the handler.
        pub sa_mask: SigSet,
    }
}

const _: () = assert!(Sigaction::SIZE == size_of::<raw::kernel_sigaction>());

pod_struct! {
    /// The alternate stack of `sigaltstack(2)`.
    pub struct SigaltStack = raw::sigaltstack {
        /// Lowest address.
        pub ss_sp: u64,
        /// [`SS_ONSTACK`], [`SS_DISABLE`] or 0.
        pub ss_flags: i32,
        pad __pad0: u32,
        /// Bytes.
        pub ss_size: u64,
    }
}

impl SigaltStack {
    /// No alternate stack.
    pub const NONE: Self = SigaltStack { ss_flags: SS_DISABLE, ..SigaltStack::ZERO };
}

pod_struct! {
    /// How a timer tells of itself (`sigevent(7)`), as the kernel takes it.
    pub struct Sigevent: 64 {
        /// Passed on as `si_value`.
        pub sigev_value: u64,
        /// Number of the signal.
        pub sigev_signo: i32,
        /// [`SIGEV_SIGNAL`] and its kin.
        pub sigev_notify: u32,
        /// Thread of [`SIGEV_THREAD_ID`].
        pub sigev_tid: i32,
        #[doc(hidden)]
        pub __pad0: i32,
        #[doc(hidden)]
        pub reserved: [u64; 5],
    }
}

const _: () = assert!(Sigevent::SIZE == size_of::<raw::sigevent_t>());

/// `sigev_notify`: by a signal to the process.
pub const SIGEV_SIGNAL: u32 = 0;
/// `sigev_notify`: not at all.
pub const SIGEV_NONE: u32 = 1;
/// `sigev_notify`: to one thread, together with [`SIGEV_SIGNAL`].
pub const SIGEV_THREAD_ID: u32 = 4;

/// `ss_flags`: the task runs on the alternate stack.
pub const SS_ONSTACK: i32 = 1;
/// `ss_flags`: there is no alternate stack.
pub const SS_DISABLE: i32 = 2;
/// Least size of an alternate stack in bytes.
pub const MINSIGSTKSZ: u64 = 2048;

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn numbers_names_and_actions() {
        assert_eq!((Signal::SIGSEGV.number(), Signal::SIGSEGV.name()), (11, "SIGSEGV"));
        assert_eq!(Signal::SIGSEGV.message(), "Segmentation fault");
        assert_eq!(Signal::new(17), Some(Signal::SIGCHLD));
        assert_eq!(Signal::SIGCHLD.default_action(), DefaultAction::Ignore);
        assert_eq!(format!("{} {}", Signal::SIGRTMIN, Signal::new(64).unwrap()), "SIGRTMIN SIGRTMIN+32");
        for number in [0, -1, 65, 256 + 9, i32::MIN] {
            assert_eq!(Signal::new(number), None, "{number}");
        }
    }

    #[test]
    fn every_classic_signal_has_a_name() {
        assert!((1..32).all(|number| Signal::new(number).unwrap().name() != "SIGRT"));
        assert!(Signal::new(40).unwrap().is_realtime() && !Signal::SIGSYS.is_realtime());
    }

    #[test]
    fn sets() {
        let set = SigSet::EMPTY.with(Signal::SIGINT).with(Signal::new(64).unwrap());
        assert_eq!(set.0, 1 << 63 | 1 << 1);
        assert_eq!(set.iter().map(Signal::number).collect::<Vec<_>>(), [2, 64]);
        assert_eq!(set.without(Signal::SIGINT).first().map(Signal::number), Some(64));
        assert_eq!(SigSet::ALL.difference(SigSet::UNBLOCKABLE).iter().count(), 62);
        assert!(SigSet::EMPTY.first().is_none());
    }
}
