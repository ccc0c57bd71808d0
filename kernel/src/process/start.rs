//! How processes come to be: the parts of a new one, the first code of its threads, and programs that the kernel itself
//! starts.

use super::context::{self, Position};
use super::cpu_time::CpuTime;
use super::credentials::Credentials;
use super::exec;
use super::files::FileTable;
use super::limits::{self, Limits};
use super::shareable::Shareable;
use super::signal::{Actions, Pending};
use super::table::{self, INIT, Ties};
use super::tracees::Tracees;
use super::users::OfUser;
use super::{ExitStatus, Process, Thread, cpu_limit, short_name, thread};
use crate::sched::{self, Owner};
use crate::vfs::{self, File};
use crate::vm::AddressSpace;
use abi::Errno;
use abi::signal::SigSet;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, Ordering};
use klib::objects::{Counted, Kind};
use klib::small_map::SmallMap;
use machine::sync::{Once, Rank, SpinLock, WaitQueue};
use machine::task::FpuState;
use machine::time;
use machine::user::UserContext;

/// What the layers above do for processes.
pub struct Hooks {
    /// The life of a user thread: its task's code.
    pub user_loop: fn(Arc<Thread>, Start),
    /// The leader of this session has ended.
    pub session_ended: fn(u32),
    /// This process ends, and what it did to semaphores is to be undone.
    pub undo: fn(u32),
}

/// What a thread begins with.
pub struct Start {
    /// Address space.
    pub space: Arc<AddressSpace>,
    /// Registers.
    pub context: Box<UserContext>,
    /// Floating-point state; None for that of a new program.
    pub fpu: Option<FpuState>,
    /// Bases of FS and GS.
    pub segment_bases: (u64, u64),
    /// Where it stores its number first; 0 for nowhere.
    pub store_tid: u64,
}

/// A program that the kernel itself has started.
pub struct ProgramHandle {
    process: Arc<Process>,
}

static HOOKS: Once<Hooks> = Once::new();

/// Installs the hooks. Needed before the first program starts.
pub fn init(hooks: Hooks) {
    HOOKS.call_once(|| hooks);
    vfs::set_size_limit(limits::OF_FILES);
}

/// The hooks.
pub(super) fn hooks() -> &'static Hooks {
    match HOOKS.get() {
        Some(hooks) => hooks,
        None => panic!("a process before process::init"),
    }
}

/// Starts the program at `path` with arguments and environment; `terminal` becomes its descriptors 0, 1 and 2. It leads
/// a session. `before_start` is called with its number when it is in the table and does not run yet.
pub fn spawn_program(
    path: &str,
    args: &[&str],
    env: &[&str],
    terminal: Arc<File>,
    before_start: &mut dyn FnMut(u32),
) -> Result<ProgramHandle, Errno> {
    let number = table::lock().new_number()?;
    spawn(number, path, args, env, terminal, before_start)
}

/// Starts the program at `path` as process 1, which becomes the parent of orphans. EBUSY if there is one.
pub fn spawn_init(
    path: &str,
    args: &[&str],
    env: &[&str],
    terminal: Arc<File>,
    before_start: &mut dyn FnMut(u32),
) -> Result<ProgramHandle, Errno> {
    if table::lock().is_used(INIT) {
        return Err(Errno::EBUSY);
    }
    spawn(INIT, path, args, env, terminal, before_start)
}

fn spawn(
    pid: u32,
    path: &str,
    args: &[&str],
    env: &[&str],
    terminal: Arc<File>,
    before_start: &mut dyn FnMut(u32),
) -> Result<ProgramHandle, Errno> {
    let directories = crate::vfs::root_context().on_top();
    let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let credentials = Arc::new(Credentials::default());
    let limits = Limits::initial();
    let memory = limits.of_memory(&credentials);
    let setting = exec::Setting {
        directories: &directories,
        credentials: &credentials,
        no_new_privileges: false,
        finds_script: true,
        limits: memory,
        randomized: true,
    };
    let program = exec::load(&setting, path.as_bytes(), bytes(args), bytes(env))?;
    let files = FileTable::with_console(terminal);
    let parts = Parts {
        pid,
        files: Shareable::new(context::FILES, files),
        position: Shareable::new(context::POSITION, Position::new(directories, 0o022)),
        actions: Actions::new(),
        credentials,
        limits,
        personality: 0,
        barriers: 0,
        dumpable: true,
        oom_score_adj: 0,
        space: program.space.clone(),
        exit_signal: 0,
        of_user: OfUser::new(0, u64::MAX)?,
    };
    let process = parts.into_process();
    process.kernel_waits.store(true, Ordering::Relaxed);
    let thread = Thread::new(process.clone(), pid, short_name(path.as_bytes()), SigSet::EMPTY);
    let start =
        Start { space: program.space, context: program.context, fpu: None, segment_bases: (0, 0), store_tid: 0 };
    let task = thread.create_task(start)?;
    process.threads.lock().push(thread.clone());
    Ties::Leader.tie(&process, &thread)?;
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
        let process = &self.process;
        process.thread_ended.wait(|| process.is_gone().then_some(()));
        super::wait::forget(process);
        process.status().unwrap_or(ExitStatus::Exited(0))
    }
}

/// What a new process is made of.
pub(super) struct Parts {
    pub pid: u32,
    pub files: Shareable<FileTable>,
    pub position: Shareable<Position>,
    pub actions: Actions,
    pub credentials: Arc<Credentials>,
    pub limits: Limits,
    pub personality: u32,
    pub barriers: u32,
    pub dumpable: bool,
    pub oom_score_adj: i32,
    pub space: Arc<AddressSpace>,
    pub exit_signal: u8,
    pub of_user: OfUser,
}

impl Parts {
    /// The process, without threads and not in the table.
    pub(super) fn into_process(self) -> Arc<Process> {
        Arc::new(Process {
            _counted: Counted::new(Kind::Process),
            pid: self.pid,
            parent: AtomicU32::new(0),
            group: AtomicU32::new(0),
            session: AtomicU32::new(0),
            exit_signal: AtomicU8::new(self.exit_signal),
            parent_death_signal: AtomicU8::new(0),
            adopts_orphans: AtomicBool::new(false),
            dumpable: AtomicBool::new(self.dumpable),
            space: SpinLock::new("process address space", Rank::Process, Some(self.space)),
            files: self.files,
            position: self.position,
            actions: self.actions,
            pending: Pending::new(),
            signals_to_many: AtomicU32::new(0),
            signal_sent: WaitQueue::new("signal"),
            credentials: SpinLock::new("credentials", Rank::Process, self.credentials),
            of_user: self.of_user,
            limits: SpinLock::new("resource limits", Rank::Process, self.limits),
            personality: AtomicU32::new(self.personality),
            barriers: AtomicU32::new(self.barriers),
            watcher: Once::new(),
            leader_name: SpinLock::new("name of the first thread", Rank::Process, [0; 15]),
            oom_score_adj: AtomicI32::new(self.oom_score_adj),
            threads: SpinLock::new("threads", Rank::Process, Vec::new()),
            children: SpinLock::new("children", Rank::Process, Vec::new()),
            child_changed: WaitQueue::new("child"),
            continuations: SpinLock::new("job control", Rank::JobControl, 0),
            stopped: AtomicU8::new(0),
            report: AtomicU32::new(0),
            resumed: WaitQueue::new("continuation"),
            status: Once::new(),
            gone: AtomicBool::new(false),
            thread_ended: WaitQueue::new("end of a thread"),
            released_maker: AtomicBool::new(false),
            maker: WaitQueue::new("vfork"),
            has_executed: AtomicBool::new(false),
            kernel_waits: AtomicBool::new(false),
            pid_file: Once::new(),
            started: time::now(),
            last_code: AtomicU8::new(0),
            interval_timers: [const { Once::new() }; 3],
            timers: SpinLock::new("process timers", Rank::Process, SmallMap::new()),
            cpu: CpuTime::new(self.limits.watch_cpu_time()),
            cpu_timers: SpinLock::new("timers of CPU time", Rank::JobControl, Vec::new()),
            undoes: AtomicBool::new(false),
            tracees: Tracees::new(),
            tracer: AtomicU32::new(0),
            tracer_of_first: SpinLock::new("tracer of the first thread", Rank::Process, Weak::new()),
            held_for_tracer: AtomicBool::new(false),
        })
    }
}

impl Thread {
    /// The task that will run it.
    pub(super) fn create_task(self: &Arc<Self>, start: Start) -> Result<Arc<machine::task::Task>, Errno> {
        let name = self.name();
        let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        let name = String::from_utf8_lossy(&name[..len]);
        let owner = Owner {
            pid: self.process().pid(),
            thread: Arc::downgrade(self) as Weak<dyn Any + Send + Sync>,
            switched: thread::switched,
            ticked: cpu_limit::ticked,
        };
        let thread = self.clone();
        let user_loop = hooks().user_loop;
        let task =
            sched::create(&name, Some(owner), Box::new(move || user_loop(thread, start))).map_err(|_| Errno::ENOMEM)?;
        sched::data(&task).tell_of_switches(self.rseq.is_registered());
        self.task.call_once(|| Arc::downgrade(&task));
        Ok(task)
    }
}
