//! All tasks there are, linked through themselves: for the watchdog and for debuggers, which walk the links from
//! [`ALL`]. The lock (rank `TaskList`) is held for a few stores, or as long as the list is walked.

use super::Task;
use crate::sync::{IrqLock, Rank};
use alloc::sync::Arc;
use core::cell::Cell;
use core::marker::PhantomPinned;
use core::mem::offset_of;
use core::ptr;

/// A task's neighbours in the list; guarded by the lock of [`ALL`].
///
/// Neighbours write here while the task is being dropped, that is while a `&mut Task` exists that the compiler may take
/// for the only access there is: it would read the links before the lock is taken. It does not for types that are not
/// `Unpin`, the rule that pinned futures and intrusive lists rest on.
pub(super) struct Links {
    next: Cell<*const Task>,
    previous: Cell<*const Task>,
    _accessed_by_neighbours: PhantomPinned,
}

/// Offsets in a task, for debuggers.
#[repr(C)]
pub(crate) struct TaskLayout {
    next: u64,
    id: u64,
    /// Pointer and length.
    name: u64,
    saved_rsp: u64,
    on_cpu: u64,
    /// The list of held sleeping locks (`sync::held::List`); 0 in release builds.
    held: u64,
}

impl TaskLayout {
    pub(crate) const OF_TASK: TaskLayout = TaskLayout {
        next: (offset_of!(Task, links) + offset_of!(Links, next)) as u64,
        id: offset_of!(Task, id) as u64,
        name: offset_of!(Task, name_bytes) as u64,
        saved_rsp: offset_of!(Task, saved_rsp) as u64,
        on_cpu: offset_of!(Task, on_cpu) as u64,
        #[cfg(debug_assertions)]
        held: (offset_of!(Task, watched) + super::watched::HELD_OFFSET) as u64,
        #[cfg(not(debug_assertions))]
        held: 0,
    };
}

/// Where a debugger finds the first task.
pub(crate) const fn first_task_address() -> *const u8 {
    ALL.value_address().cast()
}

/// The first task of the list.
#[repr(transparent)]
struct First(*const Task);

// SAFETY: (1) the pointer is only followed under the lock; a task takes itself out before it is freed.
unsafe impl Send for First {}

static ALL: IrqLock<First> = IrqLock::new("all tasks", Rank::TaskList, First(ptr::null()));

impl Links {
    pub(super) const fn new() -> Self {
        Links { next: Cell::new(ptr::null()), previous: Cell::new(ptr::null()), _accessed_by_neighbours: PhantomPinned }
    }
}

/// Enters a new task.
pub(super) fn enter(task: Arc<Task>) -> Arc<Task> {
    let mut first = ALL.lock();
    task.links.next.set(first.0);
    // SAFETY: (1) tasks in the list are not freed yet, and the lock is held.
    if let Some(next) = unsafe { first.0.as_ref() } {
        next.links.previous.set(&raw const *task);
    }
    first.0 = &raw const *task;
    drop(first);
    task
}

/// Takes a task out that is about to be freed.
pub(super) fn leave(task: &Task) {
    let mut first = ALL.lock();
    let (next, previous) = (task.links.next.get(), task.links.previous.get());
    // SAFETY: (1) as in `enter`.
    match unsafe { previous.as_ref() } {
        Some(previous) => previous.links.next.set(next),
        None => first.0 = next,
    }
    // SAFETY: (1) as in `enter`.
    if let Some(next) = unsafe { next.as_ref() } {
        next.links.previous.set(previous);
    }
}

/// Calls `f` for each task, with the list locked: `f` may not make or free one.
#[cfg(debug_assertions)]
pub(crate) fn for_each(mut f: impl FnMut(&Task)) {
    let first = ALL.lock();
    let mut at = first.0;
    // SAFETY: (1) as in `enter`.
    while let Some(task) = unsafe { at.as_ref() } {
        f(task);
        at = task.links.next.get();
    }
}
