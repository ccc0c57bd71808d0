//! The list of tasks as people see it.

use super::{State, TASKS, data, run_time_ns};
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use machine::task::Task;

/// A row of the task list.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// Number of the task.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// "running", "ready", "waiting" or "dead".
    pub state: &'static str,
    /// CPU it runs on or ran on last.
    pub cpu: u32,
    /// What a waiting task waits for.
    pub waiting_for: &'static str,
    /// Time on CPUs in ns.
    pub run_time_ns: u64,
    /// How often it was put on a CPU.
    pub switches: u64,
    /// Process it belongs to, 0 for kernel tasks.
    pub pid: u32,
}

/// Calls `f` for each task there is.
pub fn for_each_task(mut f: impl FnMut(&TaskInfo)) {
    let tasks: Vec<Arc<Task>> = TASKS.lock().values().filter_map(Weak::upgrade).collect();
    for task in tasks {
        f(&info(&task));
    }
}

/// What the task list shows of a task.
pub fn info(task: &Arc<Task>) -> TaskInfo {
    let data = data(task);
    let (state, waiting_for) = {
        let status = data.status.lock();
        (status.state, status.waiting_for)
    };
    let running = task.on_cpu();
    TaskInfo {
        id: task.id(),
        name: task.name().into(),
        state: match state {
            State::Runnable if running => "running",
            State::Runnable => "ready",
            State::Parked => "waiting",
            State::Dead => "dead",
        },
        cpu: data.cpu.load(Ordering::Relaxed),
        waiting_for: if state == State::Parked { waiting_for } else { "" },
        run_time_ns: run_time_ns(task),
        switches: data.switches.load(Ordering::Relaxed),
        pid: data.owner.as_ref().map_or(0, |owner| owner.pid),
    }
}
