//! Run queues: one a CPU, real-time tasks by priority, then the others by virtual deadline.
//!
//! Fairness is by virtual time, as in EEVDF: a task that has run gets a later deadline, a queue's clock is the least
//! virtual time of what it has, and a task that comes from elsewhere keeps only its lag (bounded, so that a long sleep is
//! no credit). Virtual time is time on the CPU, divided by the weight of the task's nice value.
//!
//! `LOAD` counts what is runnable on each CPU and is read without the lock to choose a CPU.

use super::budget::{self, Budget};
use super::policy::{Class, PRIORITY_MAX};
use super::{TaskData, data, timer};
use alloc::boxed::Box;
use alloc::collections::BinaryHeap;
use alloc::format;
use alloc::sync::Arc;
use core::cmp::Ordering as Order;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use machine::cpu::{self, CpuId};
use machine::irq;
use machine::mm::OutOfMemory;
use machine::percpu;
use machine::percpu::this_cpu;
use machine::sync::guard::{self, IrqGuard};
use machine::sync::{IrqLock, Rank};
use machine::task::{CurrentTask, Task};
use machine::time::{self, Instant};

/// How long a task runs before others of the same claim do.
pub(super) const SLICE: Duration = Duration::from_nanos(SLICE_NS);
const SLICE_NS: u64 = 4_000_000;
/// Weight of nice value 0; each step up is a fifth less, each step down a quarter more (sched(7)).
const WEIGHT_0: u64 = 1024;
const WEIGHTS: [u64; 40] = weights();

const fn weights() -> [u64; 40] {
    let mut weights = [WEIGHT_0; 40];
    let mut step = 1;
    while step <= 20 {
        weights[20 - step] = weights[21 - step] * 5 / 4;
        if step < 20 {
            weights[20 + step] = weights[19 + step] * 4 / 5;
        }
        step += 1;
    }
    weights
}
/// Most virtual time a task may be behind when it comes to a queue, in ns.
const MAX_LAG_NS: u64 = SLICE_NS;

/// How long a turn of the round-robin class is (sched_rr_get_interval(2)).
pub(super) const TURN: Duration = Duration::from_millis(100);
/// Weight of the idle class.
const WEIGHT_IDLE: u64 = 3;
/// Claims of fair tasks, by deadline, come behind all of real-time tasks, by priority.
const FAIR: u64 = 1 << 63;

struct Entry {
    /// Whose is less comes first.
    claim: u64,
    /// Of equal claims, whose is less comes first.
    sequence: i64,
    task: Arc<Task>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    /// The heap gives the greatest: the least claim, first come first.
    fn cmp(&self, other: &Self) -> Order {
        (other.claim, other.sequence).cmp(&(self.claim, self.sequence))
    }
}

struct RunQueue {
    heap: BinaryHeap<Entry>,
    real_time: BinaryHeap<Entry>,
    /// Of who comes next, and of who was interrupted and goes on before others that wait.
    sequence: i64,
    front_sequence: i64,
    idle: Option<Arc<Task>>,
    /// End of the running task's slice, if it is not the idle task.
    slice_end: Option<Instant>,
    /// When the timer looks whether the slice is over; not later than its end if somebody waits. It is left alone while
    /// tasks come and go, as one look too many costs less than to set the timer each time.
    look_at: Option<Instant>,
}

percpu! {
    static QUEUE: IrqLock<RunQueue> = IrqLock::new("run queue", Rank::RunQueue, RunQueue {
        heap: BinaryHeap::new(), real_time: BinaryHeap::new(), sequence: 0, front_sequence: 0, idle: None,
        slice_end: None, look_at: None,
    });
    /// The queue's virtual clock; written with the queue locked.
    static CLOCK: AtomicU64 = AtomicU64::new(0);
    /// Tasks queued here, and one more if one is running.
    static LOAD: AtomicU32 = AtomicU32::new(0);
    /// Claim of the running task; the idle task has the least.
    static RUNNING_CLAIM: AtomicU64 = AtomicU64::new(u64::MAX);
}

/// Makes the code that runs on `cpu` its idle task.
pub(super) fn adopt_idle(cpu: CpuId) {
    let idle_data = TaskData::new(None);
    idle_data.cpu.store(cpu.number(), Ordering::Relaxed);
    let task = Task::adopt_current(format!("idle/{cpu}"), Box::new(idle_data));
    let guard = IrqGuard::new();
    let mut queue = QUEUE.get(&guard).lock();
    queue.idle = Some(task);
}

/// Room for `tasks` tasks in every queue, so that no wake-up needs memory.
pub(super) fn reserve(tasks: usize) -> Result<(), OutOfMemory> {
    for cpu in cpu::online() {
        if let Some(queue) = QUEUE.on(cpu) {
            let mut queue = queue.lock();
            let RunQueue { heap, real_time, .. } = &mut *queue;
            for heap in [heap, real_time] {
                heap.try_reserve(tasks.saturating_sub(heap.len())).map_err(|_| OutOfMemory)?;
            }
        }
    }
    Ok(())
}

/// Whether something waits for `cpu`.
pub(super) fn has_work(cpu: CpuId) -> bool {
    QUEUE.on(cpu).is_some_and(|queue| !queue.lock().is_empty())
}

/// The idle task of `cpu`.
pub(super) fn idle_task(cpu: CpuId) -> Option<Arc<Task>> {
    QUEUE.on(cpu)?.lock().idle.clone()
}

/// Queues a task that has never run on the CPU with the least to do.
pub(super) fn enqueue_new(task: &Arc<Task>) {
    enqueue(task, data(task), least_loaded(data(task)), false);
}

/// Queues a task that has left a CPU which it may not run on any more.
pub(super) fn enqueue_migrating(task: &Arc<Task>) {
    enqueue(task, data(task), least_loaded(data(task)), false);
}

/// Of the CPUs that a task may run on, the one with the least to do.
fn least_loaded(task: &TaskData) -> CpuId {
    let allowed = cpu::online().filter(|&cpu| task.may_run_on(cpu));
    allowed.min_by_key(|&cpu| load(cpu)).unwrap_or(this_cpu())
}

/// Queues a task that was woken: where it ran last if it has not left that CPU yet; here if the task that wakes it sleeps
/// at once; where it ran last if that CPU is idle, else on an idle CPU, else where it ran last.
pub(super) fn enqueue_woken(task: &Arc<Task>, data: &TaskData) {
    let _on_this_cpu = IrqGuard::new();
    if !task.on_cpu() && is_handed_over(data) {
        return enqueue(task, data, this_cpu(), true);
    }
    let last = data.cpu();
    let idle = |&cpu: &CpuId| load(cpu) == 0 && data.may_run_on(cpu);
    let running = |cpu: CpuId| RUNNING_CLAIM.on(cpu).map_or(0, |claim| claim.load(Ordering::Relaxed));
    let target = if task.on_cpu() || idle(&last) {
        last
    } else if !data.may_run_on(last) {
        least_loaded(data)
    } else if data.policy.is_real_time() {
        // Where the least is interrupted.
        let allowed = cpu::online().filter(|&cpu| data.may_run_on(cpu));
        allowed.max_by_key(|&cpu| (running(cpu), cpu == last)).unwrap_or(last)
    } else {
        cpu::online().find(idle).unwrap_or(last)
    };
    enqueue(task, data, target, false);
}

/// Whether the current task wakes another and sleeps at once, so that this CPU is the best one to run that. No interrupt
/// is handled, and there is another CPU. Interrupts are off.
fn is_handed_over(woken: &TaskData) -> bool {
    if cpu::online_count() == 1 || guard::in_interrupt() {
        return false;
    }
    let Some(current) = machine::task::try_current() else { return false };
    let (here, waker) = (this_cpu(), data(&current));
    waker.habit.wakes(time::now())
        && load(here) == 1
        && woken.may_run_on(here)
        && !woken.policy.is_real_time()
        && !waker.policy.is_real_time()
}

/// Puts off the running task's claim by a slice.
pub(super) fn forfeit_slice(task: &Task) {
    data(task).vruntime.fetch_add(SLICE_NS, Ordering::Relaxed);
    data(task).yields.store(true, Ordering::Relaxed);
}

/// Queues the task anew by what its policy is now, if it is queued and does not run; `first` of its priority or last.
pub(super) fn requeue(task: &Arc<Task>, first: bool) {
    let Some(queue) = QUEUE.on(data(task).cpu()) else { return };
    let mut queue = queue.lock();
    let is_other = |entry: &Entry| !Arc::ptr_eq(&entry.task, task);
    let before = queue.len();
    queue.heap.retain(is_other);
    queue.real_time.retain(is_other);
    if queue.len() < before {
        queue.push(task.clone(), data(task), first);
    }
}

/// The current task is about to stop being runnable: it keeps its lag and no longer counts here. From now on whoever
/// wakes it queues it. Interrupts are off until [`pick_next`].
pub(super) fn leave(current: &TaskData, now: Instant) {
    let guard = IrqGuard::new();
    account(current, now, &guard);
    current.slept_at_ns.store(current.run_time_ns(), Ordering::Relaxed);
    current.habit.sleeps(now);
    let clock = CLOCK.get(&guard).load(Ordering::Relaxed);
    let lag = current.vruntime.load(Ordering::Relaxed).wrapping_sub(clock);
    current.vruntime.store(lag, Ordering::Relaxed);
    LOAD.get(&guard).fetch_sub(1, Ordering::Relaxed);
}

/// The task that should run on this CPU now; None if it is the one that does. `leaves` says that the current one has
/// called [`leave`]. Interrupts are off.
pub(super) fn pick_next(
    current: &CurrentTask,
    current_data: &TaskData,
    leaves: bool,
    now: Instant,
) -> Option<Arc<Task>> {
    let guard = IrqGuard::new();
    let here = this_cpu();
    let mut queue = QUEUE.get(&guard).lock();
    let is_idle = queue.idle.as_ref().is_some_and(|idle| idle.id() == current.id());
    if !leaves {
        account(current_data, now, &guard);
        current_data.habit.goes_on();
    }
    if !is_idle && !leaves {
        let goes_on = !current_data.yields.swap(false, Ordering::Relaxed);
        queue.push(current.arc(), current_data, goes_on);
    }
    if queue.is_empty() {
        drop(queue);
        steal(here);
        queue = QUEUE.get(&guard).lock();
    }
    let budget = Budget::at(now, &guard);
    while queue.best(&budget).is_some_and(|entry| !data(&entry.task).may_run_on(here))
        && let Some(entry) = queue.pop(&budget)
    {
        let clock = CLOCK.get(&guard).load(Ordering::Relaxed);
        drop(queue);
        LOAD.get(&guard).fetch_sub(1, Ordering::Relaxed);
        send_away(&entry.task, clock, entry.task.id() == current.id());
        queue = QUEUE.get(&guard).lock();
    }
    let next = match queue.pop(&budget) {
        Some(entry) => {
            let next_data = data(&entry.task);
            let clock = CLOCK.get(&guard);
            clock.store(
                clock.load(Ordering::Relaxed).max(next_data.vruntime.load(Ordering::Relaxed)),
                Ordering::Relaxed,
            );
            queue.slice_end = Some(slice_end(now, next_data, &budget));
            RUNNING_CLAIM.get(&guard).store(entry.claim, Ordering::Relaxed);
            entry.task
        }
        None => {
            queue.slice_end = None;
            RUNNING_CLAIM.get(&guard).store(u64::MAX, Ordering::Relaxed);
            queue.idle.clone()?
        }
    };
    let look_at = queue.look_at_slice();
    let is_idle = queue.slice_end.is_none();
    drop(queue);
    if !is_idle {
        timer::keep_ticking(now, &guard);
    }
    if let Some(look_at) = look_at {
        timer::set_slice_end(look_at);
    }
    let next_data = data(&next);
    next_data.cpu.store(here.number(), Ordering::Relaxed);
    next_data.started_ns.store(now.as_ns(), Ordering::Relaxed);
    if next.id() == current.id() {
        return None;
    }
    next_data.switches.fetch_add(1, Ordering::Relaxed);
    Some(next)
}

/// A task may not run here any more. One that still does is queued elsewhere when it has left this CPU.
fn send_away(task: &Arc<Task>, clock: u64, is_current: bool) {
    let task_data = data(task);
    let lag = task_data.vruntime.load(Ordering::Relaxed).wrapping_sub(clock);
    task_data.vruntime.store(lag, Ordering::Relaxed);
    if is_current {
        task_data.migrating.store(true, Ordering::Relaxed);
    } else {
        enqueue(task, task_data, least_loaded(task_data), false);
    }
}

/// The timer looks at the running task's slice: if it is over and somebody waits, asks for a reschedule.
pub(super) fn look_at_slice() {
    let guard = IrqGuard::new();
    let mut queue = QUEUE.get(&guard).lock();
    queue.look_at = None;
    if queue.is_empty() {
        return;
    }
    if queue.slice_end.is_none_or(|end| end <= time::now()) {
        if let Some(current) = machine::task::try_current()
            && matches!(data(&current).policy.effective(), Class::RoundRobin(_))
        {
            data(&current).yields.store(true, Ordering::Relaxed);
        }
        guard::set_need_reschedule();
    } else if let Some(look_at) = queue.look_at_slice() {
        drop(queue);
        timer::set_slice_end(look_at);
    }
}

/// Whether this CPU's idle task runs. With interrupts off.
pub(super) fn is_idle() -> bool {
    RUNNING_CLAIM.get(&IrqGuard::new()).load(Ordering::Relaxed) == u64::MAX
}

/// Time for which `cpu` has had nothing to do, in ns.
pub(super) fn idle_time_ns(cpu: CpuId) -> u64 {
    let idle = QUEUE.on(cpu).and_then(|queue| queue.lock().idle.clone());
    idle.map_or(0, |idle| super::run_time_ns(&idle))
}

/// How many tasks run or could on `cpu`.
pub(super) fn load(cpu: CpuId) -> u32 {
    LOAD.on(cpu).map_or(u32::MAX, |load| load.load(Ordering::Relaxed))
}

fn account(task: &TaskData, now: Instant, pin: &IrqGuard) {
    let ran = now.as_ns().saturating_sub(task.started_ns.swap(now.as_ns(), Ordering::Relaxed));
    task.run_time_ns.fetch_add(ran, Ordering::Relaxed);
    if task.policy.is_real_time() {
        budget::use_up(ran, pin);
    } else {
        task.vruntime.fetch_add(virtual_time(ran, task), Ordering::Relaxed);
    }
}

/// When the one that is put on the CPU at `now` has had its slice, turn or budget.
fn slice_end(now: Instant, task: &TaskData, budget: &Budget) -> Instant {
    match task.policy.effective() {
        Class::Normal | Class::Batch | Class::Idle if budget.is_used_up() => (now + SLICE).min(budget.end),
        Class::Normal | Class::Batch | Class::Idle => now + SLICE,
        Class::Fifo(_) => budget.end,
        Class::RoundRobin(_) => (now + TURN).min(budget.end),
    }
}

/// What `ns` on the CPU are to a task of its weight.
fn virtual_time(ns: u64, task: &TaskData) -> u64 {
    match task.nice() {
        _ if task.policy.effective() == Class::Idle => ns * WEIGHT_0 / WEIGHT_IDLE,
        0 => ns,
        nice => ns * WEIGHT_0 / WEIGHTS[(nice + 20).clamp(0, 39) as usize],
    }
}

/// Queues the task on `target`; `waits` there for the running one to sleep or for the end of its slice, whatever its claim.
fn enqueue(task: &Arc<Task>, task_data: &TaskData, target: CpuId, waits: bool) {
    let (Some(queue), Some(load)) = (QUEUE.on(target), LOAD.on(target)) else { return };
    let _on_this_cpu = IrqGuard::new();
    let (claim, look_at) = {
        let mut queue = queue.lock();
        // The lag it comes with may be negative (wrapped) or positive; either way it is bounded.
        let lag = (task_data.vruntime.load(Ordering::Relaxed) as i64).clamp(-(MAX_LAG_NS as i64), MAX_LAG_NS as i64);
        let clock = CLOCK.on(target).map_or(0, |clock| clock.load(Ordering::Relaxed));
        task_data.vruntime.store(clock.wrapping_add_signed(lag), Ordering::Relaxed);
        task_data.cpu.store(target.number(), Ordering::Relaxed);
        load.fetch_add(1, Ordering::Relaxed);
        let claim = queue.push(task.clone(), task_data, false);
        // Another CPU sets its timer itself when it is told.
        (claim, if target == this_cpu() { queue.look_at_slice() } else { None })
    };
    let running = RUNNING_CLAIM.on(target).map_or(u64::MAX, |claim| claim.load(Ordering::Relaxed));
    if target != this_cpu() {
        // A CPU that runs something must at least learn that its slice ends.
        irq::send_reschedule(target);
    } else if claim < running && !waits {
        guard::set_need_reschedule();
    }
    if let Some(look_at) = look_at {
        timer::set_slice_end(look_at);
    }
}

/// Takes one task from the fullest other queue.
fn steal(here: CpuId) {
    let victim = cpu::online().filter(|&cpu| cpu != here && load(cpu) > 1).max_by_key(|&cpu| load(cpu));
    let Some((victim, queue)) = victim.and_then(|cpu| Some((cpu, QUEUE.on(cpu)?))) else { return };
    let stolen = {
        let Some(mut queue) = queue.try_lock() else { return };
        let RunQueue { heap, real_time, .. } = &mut *queue;
        let from = if real_time.is_empty() { heap } else { real_time };
        match from.pop() {
            // One that has not left its CPU yet stays there, as does one that may not come here.
            Some(entry) if entry.task.on_cpu() || !data(&entry.task).may_run_on(here) => {
                from.push(entry);
                None
            }
            Some(entry) => {
                let task_data = data(&entry.task);
                let clock = CLOCK.on(victim).map_or(0, |clock| clock.load(Ordering::Relaxed));
                let lag = task_data.vruntime.load(Ordering::Relaxed).wrapping_sub(clock);
                task_data.vruntime.store(lag, Ordering::Relaxed);
                Some(entry.task)
            }
            None => None,
        }
    };
    if let Some(task) = stolen {
        if let Some(load) = LOAD.on(victim) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
        enqueue(&task, data(&task), here, false);
    }
}

impl RunQueue {
    /// When the timer is to be set to, if somebody waits and it is not to look in time anyway.
    fn look_at_slice(&mut self) -> Option<Instant> {
        let end = self.slice_end.filter(|_| !self.is_empty())?;
        if self.look_at.is_some_and(|look_at| look_at <= end) {
            return None;
        }
        self.look_at = Some(end);
        Some(end)
    }

    fn len(&self) -> usize {
        self.heap.len() + self.real_time.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The heap of those that come first.
    fn first(&mut self, budget: &Budget) -> &mut BinaryHeap<Entry> {
        let fair = self.real_time.is_empty() || budget.is_used_up() && !self.heap.is_empty();
        if fair { &mut self.heap } else { &mut self.real_time }
    }

    fn best(&mut self, budget: &Budget) -> Option<&Entry> {
        self.first(budget).peek()
    }

    fn pop(&mut self, budget: &Budget) -> Option<Entry> {
        self.first(budget).pop()
    }

    /// Queues the task, a real-time one by its priority, others by their virtual time; its claim. `goes_on`: a real-time
    /// task comes before others of its priority.
    fn push(&mut self, task: Arc<Task>, task_data: &TaskData, goes_on: bool) -> u64 {
        let (heap, claim) = match task_data.policy.effective().priority() {
            Some(priority) => (&mut self.real_time, u64::from(PRIORITY_MAX - priority.min(PRIORITY_MAX))),
            None => {
                let slice = virtual_time(SLICE_NS, task_data);
                let deadline = task_data.vruntime.load(Ordering::Relaxed).saturating_add(slice);
                (&mut self.heap, FAIR | deadline)
            }
        };
        let sequence = if goes_on && claim & FAIR == 0 {
            self.front_sequence -= 1;
            self.front_sequence
        } else {
            self.sequence += 1;
            self.sequence
        };
        debug_assert!(heap.len() < heap.capacity(), "run queue without room");
        heap.push(Entry { claim, sequence, task });
        claim
    }
}
