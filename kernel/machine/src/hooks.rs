//! The one way up: what `machine` calls in the kernel proper. Given once at start, before interrupts come on.

use crate::task::Task;
use crate::time::Instant;
use alloc::sync::Arc;
use core::fmt::Write;
use spin::Once;

/// What a memory access wanted when it faulted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

/// The kernel's side of the machine.
pub struct Hooks {
    /// Runs the best task of this CPU, maybe the current one. Called with preemption possible and a reschedule asked for.
    pub schedule: fn(),
    /// Sleeps until [`Hooks::unpark`] or `deadline`; returns at once if an unpark came since the last park.
    /// `waiting_for` is what the task list shows.
    pub park: fn(waiting_for: &'static str, deadline: Option<Instant>),
    /// Wakes a parked task, or lets its next park return at once. May be called in interrupts.
    pub unpark: fn(&Arc<Task>),
    /// The last thing a task's entry function leads to; does not come back.
    pub exit_task: fn() -> !,
    /// `previous` has left this CPU. Called with interrupts off on the stack of the task switched to.
    pub switched: fn(previous: Arc<Task>),
    /// The CPU's timer reached the deadline set by [`crate::time::set_timer`], while a program ran in user mode or not. In
    /// interrupt context.
    pub timer: fn(from_user: bool),
    /// A user copy touched `address` and faulted: make it accessible if the current process may, true if done.
    pub page_fault: fn(address: u64, access: Access) -> bool,
    /// Writes which file is mapped at a user address of the task, and how far into it; false if none is. May run in a
    /// panic: it does not wait for anything.
    pub user_place: fn(task: &Task, address: u64, out: &mut dyn Write) -> bool,
}

static HOOKS: Once<&'static Hooks> = Once::new();

/// Installs the hooks. Only the first call counts.
pub fn install(hooks: &'static Hooks) {
    HOOKS.call_once(|| hooks);
}

/// Whether there is no scheduler yet: the boot CPU does one thing after the other and may not sleep, only poll.
pub fn single_tasking() -> bool {
    HOOKS.get().is_none()
}

pub(crate) fn schedule() {
    if let Some(hooks) = HOOKS.get() {
        (hooks.schedule)();
    }
}

pub(crate) fn park(waiting_for: &'static str, deadline: Option<Instant>) {
    match HOOKS.get() {
        Some(hooks) => (hooks.park)(waiting_for, deadline),
        None => core::hint::spin_loop(),
    }
}

pub(crate) fn unpark(task: &Arc<Task>) {
    if let Some(hooks) = HOOKS.get() {
        (hooks.unpark)(task);
    }
}

pub(crate) fn exit_task() -> ! {
    match HOOKS.get() {
        Some(hooks) => (hooks.exit_task)(),
        None => panic!("a task ended before there was a scheduler"),
    }
}

pub(crate) fn switched(previous: Arc<Task>) {
    if let Some(hooks) = HOOKS.get() {
        (hooks.switched)(previous);
    }
}

pub(crate) fn timer(from_user: bool) {
    if let Some(hooks) = HOOKS.get() {
        (hooks.timer)(from_user);
    }
}

pub(crate) fn user_place(task: &Task, address: u64, out: &mut dyn Write) -> bool {
    HOOKS.get().is_some_and(|hooks| (hooks.user_place)(task, address, out))
}

pub(crate) fn page_fault(address: u64, access: Access) -> bool {
    HOOKS.get().is_some_and(|hooks| (hooks.page_fault)(address, access))
}
