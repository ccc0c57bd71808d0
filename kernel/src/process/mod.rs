//! Processes and their threads.
//!
//! A [`Process`] owns what its threads share: address space, open files, working directory, signal actions. A [`Thread`]
//! is one task of it. A process lives in the table until its exit status has been taken.
//!
//! Locks: `TABLE` (rank `Table`), then a process's own (rank `Process`); files, directory context and address space are
//! behind sleeping locks of their own, so that a thread may sleep in one without stopping the rest.

pub mod exec;
pub mod files;
pub mod signal;

use crate::sched::{self, Owner};
use crate::vfs::{File, FsContext};
use crate::vm::AddressSpace;
use crate::vm::fault;
use abi::Errno;
use abi::signal::{SS_DISABLE, SigaltStack};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use files::FileTable;
use machine::hooks::Access;
use machine::sync::{Mutex, Once, Rank, SpinLock, WaitQueue};
use machine::task;
use machine::time::{self, Instant};
use machine::user::UserContext;
use signal::{SignalSet, Signals};

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitStatus {
    /// By exit(2), with the low byte of its argument.
    Exited(u8),
    /// By a signal.
    Killed {
        /// Its number.
        signal: u8,
    },
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Exited(status) => write!(f, "exit status {status}"),
            ExitStatus::Killed { signal } => write!(f, "killed by {} ({signal})", signal::name(*signal)),
        }
    }
}

/// A process.
pub struct Process {
    pid: u32,
    parent: u32,
    space: SpinLock<Arc<AddressSpace>>,
    /// Open files.
    pub files: Mutex<FileTable>,
    /// Root and working directory.
    pub directories: Mutex<FsContext>,
    /// Signal actions.
    pub signals: Signals,
    /// Program path, as `/proc/self/exe` shows it.
    executable: SpinLock<Vec<u8>>,
    umask: AtomicU32,
    threads: SpinLock<Vec<Arc<Thread>>>,
    status: Once<ExitStatus>,
    /// Woken when the process has ended and given everything back.
    ended: WaitQueue,
    gone: core::sync::atomic::AtomicBool,
    started: Instant,
    /// CPU time of threads that have ended, in ns.
    past_run_time_ns: AtomicU64,
}

/// One thread of a process.
pub struct Thread {
    tid: u32,
    process: Weak<Process>,
    task: Once<Weak<task::Task>>,
    /// Signals sent to this thread and not yet taken.
    pub pending: SignalSet,
    /// Signals kept back.
    pub blocked: SignalSet,
    /// Up to fifteen bytes, as prctl(PR_SET_NAME) takes them.
    name: SpinLock<[u8; 15]>,
    /// Alternate signal stack.
    alternate_stack: SpinLock<SigaltStack>,
    /// User word that is cleared, with a futex wake, when the thread ends; 0 for none.
    pub clear_on_exit: AtomicU64,
}

static TABLE: SpinLock<BTreeMap<u32, Arc<Process>>> = SpinLock::new("process table", Rank::Table, BTreeMap::new());
/// 1 is for init.
static NEXT_PID: AtomicU32 = AtomicU32::new(2);

const NO_ALTERNATE_STACK: SigaltStack = SigaltStack { ss_sp: 0, ss_flags: SS_DISABLE, ss_size: 0 };

/// A program that the kernel itself has started.
pub struct ProgramHandle {
    process: Arc<Process>,
}

/// What a user thread's task runs: given once by the layer above, which decodes system calls.
pub type UserLoop = fn(Arc<Thread>, Arc<AddressSpace>, Box<UserContext>);

static USER_LOOP: Once<UserLoop> = Once::new();

/// Installs the user loop. Needed before the first program starts.
pub fn init(user_loop: UserLoop) {
    USER_LOOP.call_once(|| user_loop);
}

/// Starts the program at `path` with arguments and environment; `terminal` becomes its descriptors 0, 1 and 2.
/// `before_start` is called with its number when it is in the table and does not run yet.
pub fn spawn_program(
    path: &str,
    args: &[&str],
    env: &[&str],
    terminal: Arc<File>,
    before_start: impl FnOnce(u32),
) -> Result<ProgramHandle, Errno> {
    let user_loop = *USER_LOOP.get().ok_or(Errno::ENOSYS)?;
    let directories = crate::vfs::root_context();
    let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
    let env: Vec<&[u8]> = env.iter().map(|entry| entry.as_bytes()).collect();
    let program = exec::load(&directories, path.as_bytes(), &args, &env)?;
    let pid = NEXT_PID.fetch_add(1, Ordering::Relaxed);
    let process = Arc::new(Process {
        pid,
        parent: 0,
        space: SpinLock::new("process address space", Rank::Process, program.space.clone()),
        files: Mutex::new("open files", FileTable::with_console(terminal)),
        directories: Mutex::new("working directory", directories),
        signals: Signals::new(),
        executable: SpinLock::new("process executable", Rank::Process, program.path),
        umask: AtomicU32::new(0o022),
        threads: SpinLock::new("threads", Rank::Process, Vec::new()),
        status: Once::new(),
        ended: WaitQueue::new("process end"),
        gone: core::sync::atomic::AtomicBool::new(false),
        started: time::now(),
        past_run_time_ns: AtomicU64::new(0),
    });
    let thread = Arc::new(Thread {
        tid: pid,
        process: Arc::downgrade(&process),
        task: Once::new(),
        pending: SignalSet::new(),
        blocked: SignalSet::new(),
        name: SpinLock::new("thread name", Rank::Process, short_name(path)),
        alternate_stack: SpinLock::new("alternate stack", Rank::Process, NO_ALTERNATE_STACK),
        clear_on_exit: AtomicU64::new(0),
    });
    process.threads.lock().push(thread.clone());
    let name = String::from(path.rsplit('/').next().unwrap_or(path));
    let context = program.context;
    let space = program.space;
    let user_thread = thread.clone();
    let owner = Owner { pid, thread: Arc::downgrade(&thread) as Weak<dyn Any + Send + Sync> };
    let task =
        sched::create(&name, Some(owner), move || user_loop(user_thread, space, context)).map_err(|_| Errno::ENOMEM)?;
    thread.task.call_once(|| Arc::downgrade(&task));
    TABLE.lock().insert(pid, process.clone());
    before_start(pid);
    sched::start_task(&task);
    Ok(ProgramHandle { process })
}

impl ProgramHandle {
    /// Number of the process.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Waits for its end and takes its status.
    pub fn wait(self) -> ExitStatus {
        let status =
            self.process.ended.wait(|| self.process.gone().then(|| self.process.status.get().copied()).flatten());
        let entry = TABLE.lock().remove(&self.process.pid);
        drop(entry);
        status
    }
}

/// The thread that the current task runs; None for kernel tasks.
pub fn current_thread() -> Option<Arc<Thread>> {
    sched::data(&*task::try_current()?).thread()?.downcast().ok()
}

/// A user copy in the kernel faulted: makes the page accessible if the current process may have it.
pub fn page_fault(address: u64, access: Access) -> bool {
    let Some(thread) = current_thread() else { return false };
    fault::resolve(&thread.process().space(), address, access).is_ok()
}

/// Whether a sleep should end because the current thread has a signal to take. Never for kernel tasks.
pub fn interrupted() -> bool {
    current_thread().is_some_and(|thread| thread.has_deliverable())
}

/// Sends `signal` (0: only looks) to process `pid`.
pub fn kill(pid: u32, signal: u8) -> Result<(), Errno> {
    if u64::from(signal) > signal::LAST {
        return Err(Errno::EINVAL);
    }
    let process = find(pid).ok_or(Errno::ESRCH)?;
    if signal != 0 {
        process.send(signal);
    }
    Ok(())
}

/// The process with number `pid`.
pub fn find(pid: u32) -> Option<Arc<Process>> {
    TABLE.lock().get(&pid).cloned()
}

/// Numbers of all processes.
pub fn pids() -> Vec<u32> {
    TABLE.lock().keys().copied().collect()
}

impl Process {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its parent's number; 0 for the kernel.
    pub fn parent(&self) -> u32 {
        self.parent
    }

    /// Its address space.
    pub fn space(&self) -> Arc<AddressSpace> {
        self.space.lock().clone()
    }

    /// Path of its program.
    pub fn executable(&self) -> Vec<u8> {
        self.executable.lock().clone()
    }

    /// Sets the file-mode creation mask; the one before.
    pub fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Ordering::Relaxed)
    }

    /// The file-mode creation mask.
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// CPU time of all its threads, in ns.
    pub fn run_time_ns(&self) -> u64 {
        let threads: Vec<Arc<Thread>> = self.threads.lock().clone();
        let live: u64 = threads
            .iter()
            .filter_map(|thread| thread.task.get().and_then(Weak::upgrade))
            .map(|task| sched::data(&task).run_time_ns())
            .sum();
        live + self.past_run_time_ns.load(Ordering::Relaxed)
    }

    /// Makes the process end with `status`: the first call counts, and every thread sees it on its way to user mode.
    pub fn exit(&self, status: ExitStatus) {
        self.status.call_once(|| status);
        let threads: Vec<Arc<Thread>> = self.threads.lock().clone();
        threads.iter().for_each(|thread| thread.wake());
    }

    /// Sends a signal to the process: some thread takes it.
    pub fn send(&self, signal: u8) {
        if self.signals.is_ignored(signal) {
            return;
        }
        let thread = self.threads.lock().first().cloned();
        if let Some(thread) = thread {
            thread.send(signal);
        }
    }

    /// Whether it is to end.
    pub fn is_ending(&self) -> bool {
        self.status.get().is_some()
    }

    fn gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The last thread has left user mode for good: everything is given back, in that thread's context.
    fn finish(&self, thread: &Arc<Thread>) {
        let last = {
            let mut threads = self.threads.lock();
            threads.retain(|other| !Arc::ptr_eq(other, thread));
            threads.is_empty()
        };
        let run_time = sched::data(&task::current()).run_time_ns();
        self.past_run_time_ns.fetch_add(run_time, Ordering::Relaxed);
        if !last {
            return;
        }
        let files = core::mem::take(&mut *self.files.lock());
        drop(files);
        self.gone.store(true, Ordering::Release);
        self.ended.wake_all();
    }
}

impl Thread {
    /// Its number.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Its process. A thread that runs keeps its process in the table.
    pub fn process(&self) -> Arc<Process> {
        match self.process.upgrade() {
            Some(process) => process,
            None => panic!("thread {} outlived its process", self.tid),
        }
    }

    /// Its name, padded with zeros.
    pub fn name(&self) -> [u8; 15] {
        *self.name.lock()
    }

    /// Renames it.
    pub fn set_name(&self, name: [u8; 15]) {
        *self.name.lock() = name;
    }

    /// The alternate signal stack, and a new one if given.
    pub fn alternate_stack(&self, new: Option<SigaltStack>) -> SigaltStack {
        let mut stack = self.alternate_stack.lock();
        match new {
            Some(new) => core::mem::replace(&mut *stack, new),
            None => *stack,
        }
    }

    /// Takes the pending signal with the lowest number that is not kept back.
    pub fn take_signal(&self) -> Option<u8> {
        let signal = match self.pending.minus(&self.blocked) {
            0 => return None,
            deliverable => deliverable.trailing_zeros() as u8 + 1,
        };
        self.pending.remove(signal);
        Some(signal)
    }

    /// The thread has left user mode for good. Called in its context, with its address space given back.
    pub fn finish(self: &Arc<Self>) {
        self.process().finish(self);
    }

    /// Sends a signal to the thread.
    pub fn send(&self, signal: u8) {
        self.pending.add(signal);
        self.wake();
    }

    /// Whether there is a signal to take, or the process ends.
    pub fn has_deliverable(&self) -> bool {
        self.pending.minus(&self.blocked) != 0 || self.process.upgrade().is_some_and(|process| process.is_ending())
    }

    /// Gets it out of a sleep that can be interrupted, and out of user mode.
    fn wake(&self) {
        if let Some(task) = self.task.get().and_then(Weak::upgrade) {
            sched::unpark(&task);
            sched::kick(&task);
        }
    }
}

/// The last component of a path, cut to what a thread's name holds.
fn short_name(path: &str) -> [u8; 15] {
    let last = path.rsplit('/').next().unwrap_or(path).as_bytes();
    let mut name = [0; 15];
    let len = last.len().min(name.len());
    name[..len].copy_from_slice(&last[..len]);
    name
}
