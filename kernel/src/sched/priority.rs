//! Changes of what a task is scheduled by: its policy, and a priority that others lend it. They count at once, wherever the
//! task is. No lock of its own: policies are words, and a task is queued anew under its queue's lock.

use super::policy::{AtomicPolicy, Policy};
use super::{TaskData, data, queue};
use alloc::sync::Arc;
use machine::task::Task;

/// Changes a task's policy.
pub fn set_policy(task: &Arc<Task>, policy: Policy) {
    change(task, |own| own.store(policy));
}

/// Lends a task a real-time priority for as long as its own is less; 0 takes it back. Whether another one was lent before.
pub fn lend_priority(task: &Arc<Task>, priority: u8) -> bool {
    let mut is_new = false;
    if data(task).policy.lent() != priority {
        change(task, |own| is_new = own.lend(priority));
    }
    is_new
}

fn change(task: &Arc<Task>, change: impl FnOnce(&AtomicPolicy)) {
    let policy = &data(task).policy;
    let before = policy.effective().priority();
    change(policy);
    // As Linux has it, one that comes down goes before others of its new priority.
    queue::requeue(task, policy.effective().priority() < before);
    if task.on_cpu() {
        // Somebody else may have to run there now.
        machine::irq::send_reschedule(data(task).cpu());
    }
}

impl TaskData {
    /// Its policy.
    pub fn policy(&self) -> Policy {
        self.policy.load()
    }

    /// The real-time priority by which it is scheduled; 0 if it is not.
    pub fn priority(&self) -> u8 {
        self.policy.effective().priority().unwrap_or(0)
    }

    /// Whether it runs by a priority that others lend it.
    pub fn has_lent_priority(&self) -> bool {
        self.policy.lent() != 0
    }
}
