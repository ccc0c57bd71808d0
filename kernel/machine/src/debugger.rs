//! Where a debugger finds what it shows: tasks, CPUs, held locks. `tools/russet_gdb.py` reads [`debugger_layout`] by its
//! symbol, so that it needs no types from the debug information, which holds lines only.

use crate::cpu::MAX_CPUS;
use crate::percpu;
use crate::task::{self, TaskLayout};

/// Changes with the meaning of the fields.
const VERSION: u64 = 1;

/// Addresses and offsets, in the order the script reads them.
#[repr(C)]
pub struct Layout {
    version: u64,
    /// A pointer to the first task.
    first_task: *const u8,
    /// Offsets in a task.
    task: TaskLayout,
    /// By CPU number, the distance of its copy of the per-CPU variables; 0 for none.
    cpu_offsets: *const u8,
    cpus: u64,
    /// Per-CPU: the running task.
    current: *const u8,
    /// Per-CPU: the list of held spinlocks (`sync::held::List`); null in release builds.
    held: *const u8,
    /// Where all physical memory is mapped.
    physical_base: u64,
}

// SAFETY: (1) the pointers are addresses for a debugger; nobody in the kernel follows them.
unsafe impl Sync for Layout {}

#[used]
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "a symbol as debuggers write it")]
static debugger_layout: Layout = Layout {
    version: VERSION,
    first_task: task::first_task_address(),
    task: TaskLayout::OF_TASK,
    cpu_offsets: percpu::offsets_address(),
    cpus: MAX_CPUS as u64,
    current: task::current_address(),
    #[cfg(debug_assertions)]
    held: crate::sync::held::HELD.link_address().cast(),
    #[cfg(not(debug_assertions))]
    held: core::ptr::null(),
    physical_base: crate::addr::PHYS_BASE,
};
