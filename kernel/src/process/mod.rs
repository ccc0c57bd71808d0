//! Processes and their threads.
//!
//! A [`Process`] owns what its threads share: address space, open files, working directory, signal actions. A [`Thread`]
//! is one task of it, and keeps its process alive. A process is in the table (`table`) until its parent has taken its
//! exit status; `clone` makes processes and threads, `execve` gives them programs, `end` takes them down, `wait` tells
//! parents. Signals: `signal` has actions and pending sets, `send` puts signals into them, `deliver` takes them out on the
//! way to user mode.
//!
//! Locks: the table's (rank `Table`), then a process's stops (rank `JobControl`), then one of a process's or thread's own (rank `Process`), never two of those at once.
//! Who is whose parent, group and session changes only with the table locked; the numbers can be read without. Files,
//! directory context and address space are behind sleeping locks of their own.

mod about;
pub mod alarm;
pub mod capability;
pub mod clone;
mod context;
pub mod cpu_limit;
pub mod cpu_time;
pub mod credentials;
pub mod deliver;
mod end;
pub mod exec;
pub mod execve;
pub mod files;
pub mod limits;
mod memory_hog;
mod own;
pub mod pidfd;
mod place;
pub mod ptrace;
pub mod rseq;
pub mod sampled;
pub mod send;
mod shareable;
pub mod signal;
mod start;
mod status;
pub mod table;
mod thread;
mod traced;
mod tracee;
mod tracees;
mod users;
pub mod vdso;
pub mod wait;
pub mod watched;

pub use memory_hog::{OOM_SCORE_ADJ_MIN, badness, free_some as free_memory};
pub use place::write_user_place;
pub use start::{Hooks, ProgramHandle, Start, init, spawn_init, spawn_program};
pub use status::ExitStatus;
pub use table::{find, pids};
pub use thread::Thread;

use crate::sched;
use crate::vm::AddressSpace;
use crate::vm::fault;
use abi::system::{RLIMIT_FSIZE, RLIMIT_NOFILE};
use alarm::Timer;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use context::Position;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, Ordering};
use cpu_time::CpuTime;
use credentials::Credentials;
use files::FileTable;
use klib::objects::Counted;
use klib::small_map::SmallMap;
use limits::Limits;
use machine::hooks::Access;
use machine::sync::{Once, SpinLock, WaitQueue};
use machine::task;
use machine::time::Instant;
use pidfd::PidFile;
use shareable::Shareable;
use signal::{Actions, Pending};
use tracees::Tracees;
use users::OfUser;
use watched::Watcher;

/// A process.
pub struct Process {
    _counted: Counted,
    pid: u32,
    /// Numbers of the parent (0: the kernel), the process group and the session; changed with the table locked.
    parent: AtomicU32,
    group: AtomicU32,
    session: AtomicU32,
    /// What the parent gets when the process ends; 0 for nothing.
    exit_signal: AtomicU8,
    /// What the process gets when its parent ends (PR_SET_PDEATHSIG); 0 for nothing.
    parent_death_signal: AtomicU8,
    /// It is given the children of descendants that end (PR_SET_CHILD_SUBREAPER).
    pub adopts_orphans: AtomicBool,
    /// Others that run as the same user may look into it (PR_SET_DUMPABLE).
    dumpable: AtomicBool,
    /// None once the last thread has left it.
    space: SpinLock<Option<Arc<AddressSpace>>>,
    /// Open files.
    pub files: Shareable<FileTable>,
    /// Root and working directory, umask.
    pub position: Shareable<Position>,
    /// Signal actions.
    pub actions: Actions,
    /// Signals sent to the process, for any thread.
    pub pending: Pending,
    /// How many came that were sent to several processes, its group for one: whoever makes a child meanwhile begins anew.
    signals_to_many: AtomicU32,
    /// Woken whenever a signal has been sent to the process or one of its threads.
    pub signal_sent: WaitQueue,
    credentials: SpinLock<Arc<Credentials>>,
    /// Counts it among its user's.
    of_user: OfUser,
    limits: SpinLock<Limits>,
    /// What personality(2) says; of its bits, ADDR_NO_RANDOMIZE has an effect.
    pub personality: AtomicU32,
    /// The commands of membarrier(2) for which it has registered.
    pub barriers: AtomicU32,
    /// Who is told of its system calls.
    watcher: Once<Arc<Watcher>>,
    /// What the first thread was called, once it has ended.
    leader_name: SpinLock<[u8; 15]>,
    /// How much sooner than its size says it is ended when memory runs out: -1000 (never) to 1000.
    pub oom_score_adj: AtomicI32,
    threads: SpinLock<Vec<Arc<Thread>>>,
    children: SpinLock<Vec<Arc<Process>>>,
    /// Woken when a child has changed state.
    child_changed: WaitQueue,
    /// How often it was sent SIGCONT. Locked while a stop signal is taken and while it comes into force, so that a SIGCONT
    /// between the two is not overtaken by the stop. Rank `JobControl`.
    continuations: SpinLock<u32>,
    /// The signal that stopped it; 0 while it runs.
    stopped: AtomicU8,
    /// A stop or continuation that the parent has not waited for yet (`wait::Report`).
    report: AtomicU32,
    resumed: WaitQueue,
    status: Once<ExitStatus>,
    /// Every thread has ended and everything is given back.
    gone: AtomicBool,
    /// Woken when a thread has ended, and when the process is gone.
    thread_ended: WaitQueue,
    /// A maker by vfork(2) waits until this is true: it has a program of its own, or has ended.
    released_maker: AtomicBool,
    maker: WaitQueue,
    /// It has called execve(2) since its parent made it.
    has_executed: AtomicBool,
    /// Kernel code waits for it by a [`ProgramHandle`].
    kernel_waits: AtomicBool,
    /// What its descriptors refer to; made with the table locked.
    pid_file: Once<Arc<PidFile>>,
    started: Instant,
    /// What the last thread to call exit(2) gave.
    last_code: AtomicU8,
    /// The timers of setitimer(2), by its numbers; the first is that of alarm(2), too.
    pub interval_timers: [Once<Arc<Timer>>; 3],
    /// Timers of timer_create(2), by number.
    pub timers: SpinLock<SmallMap<i32, Arc<Timer>>>,
    /// CPU time, and whether something is to happen when it has reached something.
    pub cpu: CpuTime,
    /// Timers by the clocks of the process and its threads, whosever they are. Rank `JobControl`: their states are
    /// locked under it.
    cpu_timers: SpinLock<Vec<Arc<Timer>>>,
    /// Operations on semaphores are to be undone when it ends.
    pub undoes: AtomicBool,
    /// Whom it traces.
    pub tracees: Tracees,
    /// Number of who traces its threads, or some of them; 0 for nobody.
    tracer: AtomicU32,
    /// Who traced its first thread until that ended.
    tracer_of_first: SpinLock<Weak<Process>>,
    /// It is gone, but its parent does not know yet: its tracer is to see that first.
    held_for_tracer: AtomicBool,
}

/// The thread that the current task runs; None for kernel tasks.
pub fn current_thread() -> Option<Arc<Thread>> {
    sched::data(&*task::try_current()?).thread()?.downcast().ok()
}

/// A user copy in the kernel faulted: makes the page accessible if the current process may have it.
pub fn page_fault(address: u64, access: Access) -> bool {
    let Some(space) = current_thread().and_then(|thread| thread.process.try_space()) else { return false };
    fault::resolve(&space, address, access).is_ok()
}

/// Whether a sleep should end because the current thread has something to do. Never for kernel tasks.
pub fn interrupted() -> bool {
    current_thread().is_some_and(|thread| thread.has_deliverable())
}

/// Whether a sleep that only the end of the process interrupts should end.
pub fn ending() -> bool {
    current_thread().is_some_and(|thread| thread.is_ending())
}

impl Process {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its parent's number; 0 for the kernel.
    pub fn parent(&self) -> u32 {
        self.parent.load(Ordering::Relaxed)
    }

    /// Its process group.
    pub fn group(&self) -> u32 {
        self.group.load(Ordering::Relaxed)
    }

    /// Its session.
    pub fn session(&self) -> u32 {
        self.session.load(Ordering::Relaxed)
    }

    /// Its address space. Called by its own threads, which keep it there.
    pub fn space(&self) -> Arc<AddressSpace> {
        match self.try_space() {
            Some(space) => space,
            None => panic!("process {} uses its address space after its end", self.pid),
        }
    }

    /// Its address space; None once it has ended.
    #[inline(never)]
    pub fn try_space(&self) -> Option<Arc<AddressSpace>> {
        self.space.lock().clone()
    }

    /// Its resource limits.
    #[inline(never)]
    pub fn limits(&self) -> Limits {
        *self.limits.lock()
    }

    /// How many descriptors it may have (RLIMIT_NOFILE): they are below this.
    pub fn file_limit(&self) -> usize {
        (self.limits.lock().current(RLIMIT_NOFILE) as usize).min(files::MAX_FILES)
    }

    /// How large it may make files (RLIMIT_FSIZE).
    pub(super) fn file_size_limit(&self) -> u64 {
        self.limits.lock().current(RLIMIT_FSIZE)
    }

    /// Calls `change` with the limits, which stay locked meanwhile.
    pub fn with_limits<R>(&self, change: impl FnOnce(&mut Limits) -> R) -> R {
        change(&mut self.limits.lock())
    }

    /// Sets what it gets when its parent ends; the one before.
    pub fn set_parent_death_signal(&self, signal: u8) -> u8 {
        self.parent_death_signal.swap(signal, Ordering::Relaxed)
    }

    /// What it gets when its parent ends; 0 for nothing.
    pub fn parent_death_signal(&self) -> u8 {
        self.parent_death_signal.load(Ordering::Relaxed)
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its threads that have not ended.
    #[inline(never)]
    pub fn threads(&self) -> Vec<Arc<Thread>> {
        self.threads.lock().clone()
    }

    /// How many threads have not ended.
    #[inline(never)]
    pub fn thread_count(&self) -> usize {
        self.threads.lock().len()
    }

    /// Its thread `tid`.
    #[inline(never)]
    pub fn thread(&self, tid: u32) -> Option<Arc<Thread>> {
        self.threads.lock().iter().find(|thread| thread.tid() == tid).cloned()
    }

    /// Whether it is to end.
    pub fn is_ending(&self) -> bool {
        self.status.get().is_some()
    }

    /// Whether every thread has ended: only its exit status is left.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire) != 0
    }

    /// How it ended or is about to.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status.get().copied()
    }
}

/// The last component of a path, cut to what a thread's name holds.
fn short_name(path: &[u8]) -> [u8; 15] {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let mut name = [0; 15];
    let len = last.len().min(name.len());
    name[..len].copy_from_slice(&last[..len]);
    name
}
