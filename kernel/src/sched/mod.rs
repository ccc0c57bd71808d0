//! The scheduler: per-CPU run queues, real-time tasks first and the others fair by virtual deadline, with parking and timers.
//!
//! A task is runnable (on a run queue or on a CPU), parked, or dead. [`park`] and [`unpark`] are all that sleeping is made
//! of: an unpark that comes before the park makes the park return at once, so nothing is lost. Wait queues, mutexes and
//! sleeps are built on them in `machine::sync`.
//!
//! Locks: a task's `state` (rank `Task`), then a run queue (rank `RunQueue`); timers (rank `Timer`) come in between and
//! are released before either. A task that still is on a CPU (about to leave it) is only ever queued on that CPU, so no
//! CPU waits for another in a switch.

mod budget;
mod hand_over;
mod listing;
pub mod load;
pub mod policy;
mod priority;
mod queue;
mod tests;
pub mod tick;
pub mod timer;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use hand_over::Habit;
use klib::trace::{Event, Label, Left, Life};
use machine::cpu::CpuId;
use machine::hooks::{Access, Hooks};
use machine::mm::OutOfMemory;
use machine::percpu::this_cpu;
use machine::sync::guard::{self, without_interrupts};
use machine::sync::{IrqLock, Once, Rank, SpinLock, Watch};
use machine::task::{self, Task};
use machine::time::{self, Instant};
use machine::trace;
use policy::AtomicPolicy;
pub use priority::{lend_priority, set_policy};

pub use listing::{TaskInfo, for_each_task, info};

/// What a task is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// On a run queue, or on a CPU.
    Runnable,
    /// Waiting for an unpark.
    Parked,
    /// Never to run again.
    Dead,
}

struct Status {
    state: State,
    /// An unpark came while it was running.
    permit: bool,
    waiting_for: &'static str,
}

/// What the scheduler keeps with each task.
pub struct TaskData {
    status: IrqLock<Status>,
    /// Virtual run time in ns, relative to its run queue's while it is queued or runs there, else to nothing (a lag).
    vruntime: AtomicU64,
    /// Run queue it is or was last on.
    cpu: AtomicU32,
    /// When it was last put on a CPU, for accounting.
    started_ns: AtomicU64,
    run_time_ns: AtomicU64,
    /// At how many ticks it ran, in user mode and in the kernel (`tick`).
    ticks: [AtomicU64; 2],
    /// What `run_time_ns` was when it last went to sleep.
    slept_at_ns: AtomicU64,
    switches: AtomicU64,
    /// Nice value, as setpriority(2) has it.
    nice: AtomicI32,
    policy: AtomicPolicy,
    /// It has yielded, or its turn is over: others of its real-time priority come first.
    yields: AtomicBool,
    /// CPUs it may run on, a bit each.
    affinity: AtomicU64,
    habit: Habit,
    /// It has left a CPU that it may not run on any more, and is to be queued on another once it is off its stack there.
    migrating: AtomicBool,
    /// Its owner is told when it is on a CPU again after others.
    tells_of_switches: AtomicBool,
    /// Its owner is told of ticks.
    tells_of_ticks: AtomicBool,
    /// What one that waits keeps with its task for those that wake it: whoever the task waits for says what it means.
    pub wait_mark: AtomicUsize,
    /// Whom it runs for, for tasks of processes.
    owner: Option<Owner>,
}

/// Least and greatest nice value.
pub const NICE_MIN: i32 = -20;
/// See [`NICE_MIN`].
pub const NICE_MAX: i32 = 19;
/// How long a task runs before others of the same claim do.
pub const SLICE: Duration = queue::SLICE;
/// How long a turn of the round-robin class is.
pub const TURN: Duration = queue::TURN;

/// Whom a task runs for: what the layer above keeps with it.
pub struct Owner {
    /// Number of the process, for the task list.
    pub pid: u32,
    /// The user thread.
    pub thread: Weak<dyn Any + Send + Sync>,
    /// What is called with it, if that is wanted ([`TaskData::tell_of_switches`]), when the task is on a CPU again after
    /// others. In the task's context, with interrupts off.
    pub switched: fn(Arc<dyn Any + Send + Sync>),
    /// What is called with it, while that is wanted ([`TaskData::tell_of_ticks`]), at each tick at which the task runs. In
    /// interrupt context, on the task's CPU.
    pub ticked: fn(Arc<dyn Any + Send + Sync>),
}

static TASKS: SpinLock<BTreeMap<u64, Weak<Task>>> = SpinLock::new("task list", Rank::Table, BTreeMap::new());

static HOOKS: Once<Hooks> = Once::new();

/// Makes the boot CPU's code its idle task, brings the other CPUs up, and lets interrupts in. How many CPUs are up.
/// `page_fault` serves faults of user copies; `user_place` says what is mapped at a task's user address.
#[inline(never)] // so that a breakpoint at `kernel_main` stops there
pub fn start(page_fault: fn(u64, Access) -> bool, user_place: fn(&Task, u64, &mut dyn Write) -> bool) -> u32 {
    queue::adopt_idle(this_cpu());
    let hooks = HOOKS.call_once(|| Hooks {
        schedule,
        park,
        unpark,
        exit_task,
        switched,
        timer: timer_interrupt,
        page_fault,
        user_place,
    });
    let count = machine::boot::start(hooks, other_cpu);
    machine::boot::enable_interrupts();
    count
}

/// What the boot CPU does when it has started everything else.
pub fn idle() -> ! {
    loop {
        schedule();
        machine::cpu::idle_unless(|| guard::need_reschedule() || queue::has_work(this_cpu()));
    }
}

/// What the other CPUs begin with.
fn other_cpu() -> ! {
    queue::adopt_idle(this_cpu());
    machine::boot::enable_interrupts();
    idle()
}

/// Starts a kernel task.
pub fn spawn(name: &str, entry: impl FnOnce() + Send + 'static) -> Result<Arc<Task>, OutOfMemory> {
    spawn_boxed(name, Box::new(entry))
}

/// The same, which is there once for all kinds of entries.
fn spawn_boxed(name: &str, entry: Box<dyn FnOnce() + Send>) -> Result<Arc<Task>, OutOfMemory> {
    let task = create(name, None, entry)?;
    start_task(&task);
    Ok(task)
}

/// A task that does not run yet.
pub fn create(name: &str, owner: Option<Owner>, entry: Box<dyn FnOnce() + Send>) -> Result<Arc<Task>, OutOfMemory> {
    let task = Task::new(name.into(), Box::new(TaskData::new(owner)), entry)?;
    let mut tasks = TASKS.lock();
    tasks.insert(task.id(), Arc::downgrade(&task));
    queue::reserve(tasks.len())?;
    Ok(task)
}

/// Forgets a created task that is never to run.
pub fn discard(task: &Task) {
    let entry = TASKS.lock().remove(&task.id());
    drop(entry);
}

/// Lets a created task run.
pub fn start_task(task: &Arc<Task>) {
    if trace::on() {
        trace::note_for(task.id(), Event::Begin(life(task)));
    }
    queue::enqueue_new(task);
}

/// The scheduler's part of a task.
#[inline]
pub fn data(task: &Task) -> &TaskData {
    match task.data::<TaskData>() {
        Some(data) => data,
        None => panic!("task {} was not made by the scheduler", task.name()),
    }
}

/// Runs the best task of this CPU.
pub fn schedule() {
    without_interrupts(|| switch(false, time::now()));
}

/// With interrupts off: switches to the best task. `leaves`: the current one is not runnable any more.
fn switch(leaves: bool, now: Instant) {
    guard::clear_need_reschedule();
    let current = task::current();
    let data = data(&current);
    if let Some(next) = queue::pick_next(&current, data, leaves, now) {
        load::note_switch();
        if trace::on() {
            trace_switch(&next, leaves);
        }
        task::switch_to(next);
        if data.tells_of_switches.load(Ordering::Relaxed) {
            data.tell_of_switch();
        }
    }
}

#[cold]
fn trace_switch(next: &Task, leaves: bool) {
    let (state, waiting_for) = {
        let current = task::current();
        let status = data(&current).status.lock();
        (status.state, status.waiting_for)
    };
    // One that parked may have been unparked since.
    let (left, waits_for) = match (leaves, state) {
        (false, _) => (Left::Runnable, ""),
        (true, State::Dead) => (Left::Dead, ""),
        (true, _) => (Left::Waiting, waiting_for),
    };
    trace::note(Event::Switch { to: next.id() as u32, left, waits_for: Label::new(waits_for) });
}

/// What a trace calls a task.
fn life(task: &Task) -> Life {
    Life { pid: data(task).owner.as_ref().map_or(0, |owner| owner.pid), name: Label::new(task.name()) }
}

/// Lets others run first, if there are any.
pub fn yield_now() {
    queue::forfeit_slice(&task::current());
    schedule();
}

/// Sleeps for at least `duration`.
pub fn sleep(duration: Duration) {
    let end = time::now() + duration;
    while time::now() < end {
        park("sleep", Some(end));
    }
}

/// Sleeps until an unpark, or `deadline`; may return earlier.
pub fn park(waiting_for: &'static str, deadline: Option<Instant>) {
    guard::might_sleep();
    let current = task::current();
    let data = data(&current);
    let armed = deadline.map(|deadline| timer::arm(deadline, Watch::Task(current.arc())));
    without_interrupts(|| {
        let now = time::now();
        {
            let mut status = data.status.lock();
            if status.permit {
                status.permit = false;
                return;
            }
            queue::leave(data, now);
            status.state = State::Parked;
            status.waiting_for = waiting_for;
        }
        switch(true, now);
    });
    if let Some(armed) = armed {
        timer::disarm(armed);
    }
}

/// Wakes a parked task, or lets its next park return at once.
pub fn unpark(task: &Arc<Task>) {
    let data = data(task);
    let mut status = data.status.lock();
    match status.state {
        State::Parked => {
            status.state = State::Runnable;
            if trace::on() {
                trace::note(Event::Wake { task: task.id() as u32 });
            }
            queue::enqueue_woken(task, data);
        }
        State::Runnable => status.permit = true,
        State::Dead => {}
    }
}

/// The current task has only its end before it: whom it wakes on the way need not wait for that.
pub fn will_end() {
    data(&task::current()).habit.ends();
}

/// Ends the current task.
pub fn exit_task() -> ! {
    if trace::on() {
        trace::note(Event::End(life(&task::current())));
    }
    let entry = TASKS.lock().remove(&task::current().id());
    drop(entry);
    without_interrupts(|| {
        let now = time::now();
        {
            let current = task::current();
            queue::leave(data(&current), now);
            data(&current).status.lock().state = State::Dead;
        }
        switch(true, now);
    });
    unreachable!("a dead task was scheduled")
}

/// The idle task of `cpu`.
pub fn idle_task(cpu: CpuId) -> Option<Arc<Task>> {
    queue::idle_task(cpu)
}

/// The task with number `id`.
pub fn find_task(id: u64) -> Option<Arc<Task>> {
    TASKS.lock().get(&id).and_then(Weak::upgrade)
}

/// Time that a task has had on CPUs, in ns; what it has had since it was put on the one where it runs is counted too.
pub fn run_time_ns(task: &Task) -> u64 {
    let data = data(task);
    let past = data.run_time_ns.load(Ordering::Relaxed);
    if task.on_cpu() {
        past + time::since_boot_ns().saturating_sub(data.started_ns.load(Ordering::Relaxed))
    } else {
        past
    }
}

/// The CPU's timer fired: wakes who waited for that, counts the time of the running task, and asks for a switch if the
/// slice is over.
fn timer_interrupt(from_user: bool) {
    let fired = timer::fire(!queue::is_idle());
    if fired.ticked {
        tick::count(from_user);
    }
    if fired.slice_over {
        queue::look_at_slice();
    }
}

/// The task before has left this CPU; its reference goes, with its stack if it is dead.
fn switched(previous: Arc<Task>) {
    if data(&previous).migrating.swap(false, Ordering::Relaxed) {
        queue::enqueue_migrating(&previous);
    }
    drop(previous);
}

impl TaskData {
    fn new(owner: Option<Owner>) -> Self {
        TaskData {
            status: IrqLock::new(
                "task status",
                Rank::Task,
                Status { state: State::Runnable, permit: false, waiting_for: "" },
            ),
            vruntime: AtomicU64::new(0),
            cpu: AtomicU32::new(0),
            started_ns: AtomicU64::new(0),
            run_time_ns: AtomicU64::new(0),
            ticks: [const { AtomicU64::new(0) }; 2],
            slept_at_ns: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            nice: AtomicI32::new(0),
            policy: AtomicPolicy::new(),
            yields: AtomicBool::new(false),
            affinity: AtomicU64::new(u64::MAX),
            habit: Habit::new(),
            migrating: AtomicBool::new(false),
            tells_of_switches: AtomicBool::new(false),
            tells_of_ticks: AtomicBool::new(false),
            wait_mark: AtomicUsize::new(0),
            owner,
        }
    }

    /// The user thread that the task runs.
    pub fn thread(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.owner.as_ref().and_then(|owner| owner.thread.upgrade())
    }

    /// Sets whether its owner is told when it is on a CPU again after others.
    pub fn tell_of_switches(&self, wanted: bool) {
        self.tells_of_switches.store(wanted, Ordering::Relaxed);
    }

    #[cold]
    fn tell_of_switch(&self) {
        if let (Some(owner), Some(thread)) = (&self.owner, self.thread()) {
            (owner.switched)(thread);
        }
    }

    /// Time on CPUs, up to the last switch, in ns.
    pub fn run_time_ns(&self) -> u64 {
        self.run_time_ns.load(Ordering::Relaxed)
    }

    /// Its nice value.
    pub fn nice(&self) -> i32 {
        self.nice.load(Ordering::Relaxed)
    }

    /// Sets its nice value, from the next time it is accounted for.
    pub fn set_nice(&self, nice: i32) {
        self.nice.store(nice.clamp(NICE_MIN, NICE_MAX), Ordering::Relaxed);
    }

    /// The CPUs it may run on, a bit each.
    pub fn affinity(&self) -> u64 {
        self.affinity.load(Ordering::Relaxed)
    }

    fn may_run_on(&self, cpu: CpuId) -> bool {
        self.affinity() & 1 << cpu.number() != 0
    }

    fn cpu(&self) -> CpuId {
        CpuId::new(self.cpu.load(Ordering::Relaxed))
    }
}

/// Lets a task run on the CPUs of `mask` alone, of which one at least is online. If it runs on another one now, it has left
/// that when this returns.
pub fn set_affinity(task: &Arc<Task>, mask: u64) {
    let task_data = data(task);
    task_data.affinity.store(mask, Ordering::SeqCst);
    if task.id() == task::current().id() {
        if !task_data.may_run_on(this_cpu()) {
            schedule();
        }
        return;
    }
    let cpu = task_data.cpu();
    if !task_data.may_run_on(cpu) && cpu != this_cpu() {
        // Also if it does not run yet: that CPU may just have chosen it.
        machine::irq::send_reschedule(cpu);
    }
    while task.on_cpu() && !task_data.may_run_on(task_data.cpu()) {
        core::hint::spin_loop();
    }
}

/// What a new task takes over from the one that makes it.
pub fn inherit(to: &Task, from: &Task) {
    let (nice, policy) = (data(from).nice(), data(from).policy());
    if policy.reset_on_fork {
        data(to).set_nice(nice.max(0));
    } else {
        data(to).set_nice(nice);
        data(to).policy.store(policy);
    }
    data(to).affinity.store(data(from).affinity(), Ordering::Relaxed);
}

/// Makes a task that is in user mode on another CPU come into the kernel, so that it sees what was sent to it.
pub fn kick(task: &Task) {
    let cpu = data(task).cpu();
    if task.on_cpu() && cpu != this_cpu() {
        machine::irq::send_reschedule(cpu);
    }
}
