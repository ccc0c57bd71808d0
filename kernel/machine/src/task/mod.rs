//! Tasks as the machine sees them: a kernel stack, a saved stack pointer, an address space, floating-point state.
//!
//! What a task *is* (a kernel thread, a thread of a process) is the kernel proper's, kept in `data`. Which task runs
//! next is the scheduler's; [`switch_to`] only checks that it is not running anywhere.
//!
//! Invariants: `on_cpu` is true from the moment a CPU takes a task until its registers are saved again; fields in
//! cells belong to the CPU that has it, or to the creator before that. Each CPU's `CURRENT` owns one reference to the
//! running task.

mod fpu;
mod list;
#[cfg(debug_assertions)]
mod watched;

use crate::cpu::CpuId;
use crate::cpu::debug::{self, DebugRegisters};
use crate::hooks;
use crate::mm::space::{self, KernelStack};
use crate::mm::{OutOfMemory, UserSpace};
use crate::percpu;
use crate::sync::guard::{self, IrqGuard};
use crate::trap::TrapFrame;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::{Any, TypeId};
use core::arch::global_asm;
use core::cell::{Cell, UnsafeCell};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
pub use fpu::FpuState;
use klib::objects::{Counted, Kind};
use klib::trace::Label;
use list::Links;
#[cfg(debug_assertions)]
pub(crate) use list::for_each;
pub(crate) use list::{TaskLayout, first_task_address};
#[cfg(debug_assertions)]
use watched::Watched;

global_asm!(include_str!("../../../../asm/switch.S"), task_start = sym task_start);

unsafe extern "C" {
    fn context_switch(save: *mut u64, next_rsp: u64);
    static task_entry: u8;
}

percpu! {
    static CURRENT: AtomicPtr<Task> = AtomicPtr::new(ptr::null_mut());
    /// The task this CPU just left, while the switch is under way.
    static LEAVING: AtomicPtr<Task> = AtomicPtr::new(ptr::null_mut());
}

/// Where a debugger finds the running tasks.
pub(crate) const fn current_address() -> *const u8 {
    CURRENT.link_address().cast()
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What a task begins with.
type Entry = Box<dyn FnOnce() + Send>;

/// A task.
pub struct Task {
    _counted: Counted,
    id: u64,
    name: String,
    /// What it is called now ([`Label::words`]): read by samples.
    label: [AtomicU64; 2],
    /// Pointer and length of the name, where a debugger can read them.
    name_bytes: [usize; 2],
    stack: Option<KernelStack>,
    saved_rsp: UnsafeCell<u64>,
    on_cpu: AtomicBool,
    entry: Cell<Option<Entry>>,
    user: UnsafeCell<UserState>,
    data: Box<dyn Any + Send + Sync>,
    /// Type of what is in `data`, which stays there: asked for at every turn of the scheduler.
    data_type: TypeId,
    links: Links,
    #[cfg(debug_assertions)]
    watched: Watched,
}

/// What a user task has besides its kernel stack. Nothing of it is touched for kernel tasks.
struct UserState {
    space: Option<Arc<UserSpace>>,
    fpu: Option<FpuState>,
    /// There if they look for something.
    debug: Option<Box<DebugRegisters>>,
    fs_base: u64,
    gs_base: u64,
    /// Where its registers were when it was last in user mode; null outside of a program.
    context: *const TrapFrame,
}

// SAFETY: (1) the cells are used by one CPU at a time: the creator until the first switch, then whichever CPU won
// `on_cpu`, whose release and acquire order the accesses.
unsafe impl Sync for Task {}
// SAFETY: (1) nothing in it is tied to a thread: entry and data are Send, the stack is a range of addresses.
unsafe impl Send for Task {}

impl Task {
    /// A task that will run `entry` when it is first switched to. It does not run by itself.
    pub fn new(
        name: String,
        data: Box<dyn Any + Send + Sync>,
        entry: Box<dyn FnOnce() + Send>,
    ) -> Result<Arc<Task>, OutOfMemory> {
        let stack = KernelStack::allocate()?;
        // What context_switch pops: six registers and the return address; then the stack must be as after a call.
        let rsp = stack.top() - 16 - 7 * 8;
        // SAFETY: (1) within the new stack, mapped and unused.
        unsafe {
            ptr::write_bytes(rsp as *mut u8, 0, (stack.top() - rsp) as usize);
            ((rsp + 6 * 8) as *mut u64).write(&raw const task_entry as u64);
        }
        Ok(list::enter(Arc::new(Task::with(name, Some(stack), rsp, Some(entry), data))))
    }

    /// Makes the code that runs on this CPU, on its boot stack, a task: the idle task.
    pub fn adopt_current(name: String, data: Box<dyn Any + Send + Sync>) -> Arc<Task> {
        let task = list::enter(Arc::new(Task::with(name, None, 0, None, data)));
        task.on_cpu.store(true, Ordering::Release);
        let guard = IrqGuard::new();
        let old = CURRENT.get(&guard).swap(Arc::into_raw(task.clone()).cast_mut(), Ordering::AcqRel);
        assert!(old.is_null(), "this CPU runs a task already");
        task
    }

    fn with(
        name: String,
        stack: Option<KernelStack>,
        rsp: u64,
        entry: Option<Entry>,
        data: Box<dyn Any + Send + Sync>,
    ) -> Task {
        Task {
            _counted: Counted::new(Kind::Task),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            label: Label::new(&name).words().map(AtomicU64::new),
            name_bytes: [name.as_ptr() as usize, name.len()],
            name,
            stack,
            saved_rsp: UnsafeCell::new(rsp),
            on_cpu: AtomicBool::new(false),
            entry: Cell::new(entry),
            user: UnsafeCell::new(UserState {
                space: None,
                fpu: None,
                debug: None,
                fs_base: 0,
                gs_base: 0,
                context: ptr::null(),
            }),
            data_type: (*data).type_id(),
            data,
            links: Links::new(),
            #[cfg(debug_assertions)]
            watched: Watched::new(),
        }
    }

    /// Number of the task, never used again.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it was called when it was made.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is called now, cut short.
    pub fn label(&self) -> Label {
        Label::from_words([0, 1].map(|at| self.label[at].load(Ordering::Relaxed)))
    }

    /// Gives it another label.
    pub fn set_label(&self, label: Label) {
        self.label.iter().zip(label.words()).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
    }

    /// What the kernel proper keeps with it, if it is a `T`.
    #[inline]
    pub fn data<T: Any>(&self) -> Option<&T> {
        let data = &raw const *self.data;
        // SAFETY: (1) the box holds a `T`, as its type says, and neither the box nor what is in it is ever replaced.
        (self.data_type == TypeId::of::<T>()).then(|| unsafe { &*data.cast::<T>() })
    }

    /// The address at which it left user mode, if it is in a program.
    ///
    /// # Safety
    /// 1. The task does not run meanwhile, or is the current one.
    pub(crate) unsafe fn left_user_mode_at(&self) -> Option<u64> {
        // SAFETY: (1) as the caller promises, so that the context stays. It is null outside of `user::run`'s loop.
        unsafe { (*self.user.get()).context.as_ref() }.map(|context| context.rip)
    }

    /// Whether a CPU runs it, or is just leaving it.
    pub fn on_cpu(&self) -> bool {
        self.on_cpu.load(Ordering::Acquire)
    }

    /// Writes the stack trace of a task that no CPU runs; false if one does.
    pub fn write_backtrace(&self, out: &mut dyn core::fmt::Write) -> bool {
        let _pin = IrqGuard::new();
        if self.on_cpu.swap(true, Ordering::Acquire) {
            return false;
        }
        // SAFETY: (1) this CPU owns the task now, so its registers are saved.
        let rsp = unsafe { *self.saved_rsp.get() };
        // rbp is the sixth word that context_switch pushed.
        // SAFETY: (1) the saved words of a task that does not run; the stack is mapped.
        let rbp = unsafe { ((rsp + 5 * 8) as *const u64).read() };
        let _ = crate::trap::backtrace::write_from(out, rbp);
        self.on_cpu.store(false, Ordering::Release);
        true
    }
}

/// The task that runs here. Stays valid as long as the code that asked for it runs.
pub struct CurrentTask {
    task: *const Task,
    _not_send: PhantomData<*mut ()>,
}

impl Deref for CurrentTask {
    type Target = Task;
    fn deref(&self) -> &Task {
        // SAFETY: (1) `CURRENT` owns a reference to the running task, and this value cannot leave it.
        unsafe { &*self.task }
    }
}

impl CurrentTask {
    /// A counted reference.
    pub fn arc(&self) -> Arc<Task> {
        // SAFETY: (1) the pointer came from Arc::into_raw, and that reference is alive, as above.
        unsafe {
            Arc::increment_strong_count(self.task);
            Arc::from_raw(self.task)
        }
    }

    /// The address space it runs in.
    pub fn space(&self) -> Option<Arc<UserSpace>> {
        // SAFETY: (1) only the running task changes its own user state, and that is the caller.
        unsafe { (*self.user.get()).space.clone() }
    }

    /// Runs in `space` from now on (`None`: in the kernel's own); the former one.
    pub fn set_space(&self, space: Option<Arc<UserSpace>>) -> Option<Arc<UserSpace>> {
        let guard = IrqGuard::new();
        // SAFETY: (1) as in `space`, and interrupts are off, so no switch looks at it meanwhile.
        let user = unsafe { &mut *self.user.get() };
        let old = core::mem::replace(&mut user.space, space);
        if user.space.is_none() {
            user.context = ptr::null();
        }
        match &user.space {
            Some(new) => new.activate(&guard),
            None => crate::mm::switch_to_kernel(&guard),
        }
        match (&old, &user.space) {
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {}
            (Some(old), _) => old.deactivate(&guard),
            (None, _) => {}
        }
        old
    }

    /// Notes where the registers of user mode are kept from now on, until the task leaves its space: for traces.
    #[inline]
    pub(crate) fn note_context(&self, context: *const TrapFrame) {
        // SAFETY: (1) as in `space`; a trace reads it whole or not at all, since it is one word.
        unsafe { (&raw mut (*self.user.get()).context).write_volatile(context) };
    }

    /// Gives the task floating-point state, or replaces it: `state` is what user code finds in the registers.
    pub fn set_fpu(&self, state: FpuState) {
        let _guard = IrqGuard::new();
        // SAFETY: (1) as in `set_space`.
        let user = unsafe { &mut *self.user.get() };
        user.fpu.insert(state).restore();
    }

    /// A copy of the floating-point state that user code has now. None for a kernel task.
    pub fn fpu(&self) -> Option<FpuState> {
        let _guard = IrqGuard::new();
        // SAFETY: (1) as in `set_space`.
        let user = unsafe { &mut *self.user.get() };
        let state = user.fpu.as_mut()?;
        state.save();
        state.try_clone().ok()
    }

    /// The debug registers that user code runs with.
    pub fn debug_registers(&self) -> DebugRegisters {
        // SAFETY: (1) as in `space`.
        unsafe { (*self.user.get()).debug.as_deref().copied().unwrap_or_default() }
    }

    /// Sets them.
    pub fn set_debug_registers(&self, registers: DebugRegisters) {
        let new = registers.is_used().then(|| Box::new(registers));
        let guard = IrqGuard::new();
        // SAFETY: (1) as in `set_space`.
        let user = unsafe { &mut *self.user.get() };
        match &new {
            Some(new) => new.load(),
            None => debug::unload(),
        }
        let old = core::mem::replace(&mut user.debug, new);
        drop(guard);
        drop(old);
    }

    /// Notes what a debug exception in user mode was about.
    pub(crate) fn note_debug_status(&self, status: u64) {
        // SAFETY: (1) as in `set_space`: interrupts are off there, or no switch changes what this does.
        if let Some(debug) = unsafe { &mut (*self.user.get()).debug } {
            debug.note(status);
        }
    }

    /// Bases of FS and GS in user mode.
    pub fn segment_bases(&self) -> (u64, u64) {
        // SAFETY: (1) as in `space`.
        unsafe { ((*self.user.get()).fs_base, (*self.user.get()).gs_base) }
    }

    /// Sets the bases of FS and GS in user mode. Both must be below `USER_END`; panics otherwise.
    pub fn set_segment_bases(&self, fs_base: u64, gs_base: u64) {
        assert!(fs_base < crate::addr::USER_END && gs_base < crate::addr::USER_END);
        let _guard = IrqGuard::new();
        // SAFETY: (1) as in `set_space`.
        let user = unsafe { &mut *self.user.get() };
        user.fs_base = fs_base;
        user.gs_base = gs_base;
        load_segment_bases(user);
    }
}

/// The task that runs here. Panics on a CPU whose boot code has not become a task yet.
#[inline]
pub fn current() -> CurrentTask {
    match try_current() {
        Some(current) => current,
        None => panic!("this CPU has no current task yet"),
    }
}

/// The task that runs here, if there are tasks.
#[inline]
pub fn try_current() -> Option<CurrentTask> {
    let task: *const Task;
    // SAFETY: (1) one load from this CPU's copy; wherever the task is moved to, it is the current one there.
    unsafe {
        core::arch::asm!("mov {}, gs:[{}]", out(reg) task, sym CURRENT, options(nostack, preserves_flags, readonly));
    }
    (!task.is_null()).then_some(CurrentTask { task, _not_send: PhantomData })
}

/// The task that `cpu` runs.
///
/// # Safety
/// 1. The CPU does not switch tasks as long as the reference is used.
pub(crate) unsafe fn running_on<'a>(cpu: CpuId) -> Option<&'a Task> {
    let task = CURRENT.on(cpu)?.load(Ordering::Acquire);
    // SAFETY: (1) `CURRENT` owns a reference to the running task, and keeps it as the caller promises.
    unsafe { task.as_ref() }
}

/// Leaves the current task and runs `next` on this CPU. Returns when something switches back.
///
/// Interrupts are off and no other guard is held, or it panics. `next` may still be leaving another CPU: this CPU waits
/// for that, so the caller must not hold a lock that a switch needs.
pub fn switch_to(next: Arc<Task>) {
    assert!(!guard::interrupts_on() && guard::preempt_count() == 0, "switch with interrupts on or preemption off");
    let guard = IrqGuard::new();
    let previous = CURRENT.get(&guard).load(Ordering::Relaxed);
    if ptr::eq(previous, Arc::as_ptr(&next)) {
        return;
    }
    while next.on_cpu.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        core::hint::spin_loop();
    }
    // SAFETY: (1) `CURRENT` owns a reference to the running task; it moves to `LEAVING` below.
    let from = unsafe { &*previous };
    // SAFETY: (1) this CPU owns both tasks now: `from` runs here, `next` was just won.
    let (from_user, to_user) = unsafe { (&mut *from.user.get(), &mut *next.user.get()) };
    switch_user_state(from_user, to_user, &guard);
    // SAFETY: (1) as above.
    let next_rsp = unsafe { *next.saved_rsp.get() };
    CURRENT.get(&guard).store(Arc::into_raw(next).cast_mut(), Ordering::Relaxed);
    LEAVING.get(&guard).store(previous, Ordering::Relaxed);
    drop(guard); // the preemption count is per CPU and must be zero on both sides; interrupts stay off
    // SAFETY: (1) `next_rsp` is a stack that context_switch left, or a new task's; interrupts are off. `from.saved_rsp`
    // stays valid, since `LEAVING` keeps the task.
    unsafe { context_switch(from.saved_rsp.get(), next_rsp) };
    finish_switch();
}

/// On the new task's stack: lets go of the one before.
fn finish_switch() {
    let previous = {
        let guard = IrqGuard::new();
        LEAVING.get(&guard).swap(ptr::null_mut(), Ordering::Relaxed)
    };
    // SAFETY: (1) the reference that `CURRENT` owned when that task was left.
    let previous = unsafe { Arc::from_raw(previous) };
    previous.on_cpu.store(false, Ordering::Release);
    hooks::switched(previous);
}

/// The first code of a new task, on its own stack, with interrupts off.
extern "C" fn task_start() -> ! {
    finish_switch();
    let entry = current().entry.take();
    guard::interrupts_enable();
    if let Some(entry) = entry {
        entry();
    }
    hooks::exit_task()
}

fn switch_user_state(from: &mut UserState, to: &mut UserState, guard: &IrqGuard) {
    if let Some(fpu) = &mut from.fpu {
        fpu.save();
    }
    if let Some(fpu) = &to.fpu {
        fpu.restore();
    }
    match (&from.debug, &to.debug) {
        (None, None) => {}
        (_, Some(debug)) => debug.load(),
        (Some(_), None) => debug::unload(),
    }
    let same = match (&from.space, &to.space) {
        (Some(from), Some(to)) => Arc::ptr_eq(from, to),
        (None, None) => true,
        _ => false,
    };
    if !same {
        match &to.space {
            Some(space) => space.activate(guard),
            None => crate::mm::switch_to_kernel(guard),
        }
        if let Some(space) = &from.space {
            space.deactivate(guard);
        }
    }
    if to.space.is_some() {
        load_segment_bases(to);
    }
}

fn load_segment_bases(user: &UserState) {
    use crate::cpu::msr;
    // SAFETY: (1) canonical user addresses, checked in `set_segment_bases`. The user's GS base waits in KERNEL_GS_BASE
    // for the swapgs on the way out.
    unsafe {
        msr::write(msr::FS_BASE, user.fs_base);
        msr::write(msr::KERNEL_GS_BASE, user.gs_base);
    }
}

/// Whether `address` is in the guard of a kernel stack: then the fault there was a stack overflow.
pub fn is_stack_overflow(address: u64) -> bool {
    space::is_stack_guard(address)
}

impl Drop for Task {
    fn drop(&mut self) {
        debug_assert!(!*self.on_cpu.get_mut(), "task {} freed while a CPU runs it", self.name);
        list::leave(self);
        let _ = &self.stack;
    }
}
