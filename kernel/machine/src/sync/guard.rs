//! What keeps a task on its CPU: preemption off, or interrupts off. Lock types name which of the two they use.
//!
//! The preemption count is per CPU, not per task: a switch only ever happens with it at zero, so every task leaves
//! and enters at the same value. Guards are `!Send`, since they speak of one CPU.

use crate::hooks;
use crate::percpu;
use core::arch::asm;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

percpu! {
    /// How many guards are held, and [`NOT_ASKED`]: so the last guard to go sees by one decrement to zero that someone
    /// better is waiting for this CPU. Only this CPU touches it, by single instructions.
    static PREEMPT_COUNT: AtomicU32 = AtomicU32::new(NOT_ASKED);
    /// When the watchdog asked for a reschedule that has not been done yet, in ns; 0 if there is none.
    #[cfg(debug_assertions)]
    static RESCHEDULE_ASKED_AT: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);
    /// Depth of interrupt handlers on this CPU.
    static INTERRUPT_DEPTH: AtomicU32 = AtomicU32::new(0);
}

/// No reschedule of this CPU is asked for.
const NOT_ASKED: u32 = 1 << 31;

/// A guard under which the code stays on one CPU.
pub trait Pinned {}

/// What a lock switches off while it is held.
pub trait Guard: Pinned {
    /// Switches it off, until the value drops.
    fn enter() -> Self;
}

/// Preemption is off while this lives.
pub struct PreemptGuard {
    _not_send: PhantomData<*mut ()>,
}

/// Interrupts, and with them preemption, are off while this lives.
pub struct IrqGuard {
    were_on: bool,
    _not_send: PhantomData<*mut ()>,
}

impl Pinned for PreemptGuard {}
impl Pinned for IrqGuard {}

impl PreemptGuard {
    /// Switches preemption off.
    #[inline]
    pub fn new() -> Self {
        preempt_disable();
        PreemptGuard { _not_send: PhantomData }
    }
}

impl Default for PreemptGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Guard for PreemptGuard {
    #[inline]
    fn enter() -> Self {
        Self::new()
    }
}

impl Drop for PreemptGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: (1) one instruction on this CPU's own counter, so neither an interrupt nor a migration can split it; it
        // undoes the one of `preempt_disable`.
        unsafe {
            asm!(
                "dec dword ptr gs:[{}]",
                "jz {}",
                sym PREEMPT_COUNT,
                label { reschedule_unless_off() },
                options(nostack),
            );
        }
    }
}

#[cold]
#[inline(never)] // there are a thousand ends of guards
fn reschedule_unless_off() {
    if interrupts_on() {
        hooks::schedule();
    }
}

#[cold]
#[inline(never)]
fn reschedule() {
    hooks::schedule();
}

impl IrqGuard {
    /// Switches interrupts off.
    #[inline]
    pub fn new() -> Self {
        let were_on = interrupts_on();
        if were_on {
            interrupts_disable();
        }
        preempt_disable();
        IrqGuard { were_on, _not_send: PhantomData }
    }
}

#[cfg(debug_assertions)]
impl IrqGuard {
    /// For lockdep, which runs inside the guards themselves: the drop below still ends it.
    #[inline]
    pub(crate) fn quiet() -> QuietIrqGuard {
        let were_on = interrupts_on();
        interrupts_disable();
        QuietIrqGuard { were_on }
    }
}

/// Interrupts off, with no look at the preemption count and no reschedule at the end.
#[cfg(debug_assertions)]
pub(crate) struct QuietIrqGuard {
    were_on: bool,
}

#[cfg(debug_assertions)]
impl Pinned for QuietIrqGuard {}

#[cfg(debug_assertions)]
impl Drop for QuietIrqGuard {
    fn drop(&mut self) {
        if self.were_on {
            interrupts_enable();
        }
    }
}

impl Default for IrqGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Guard for IrqGuard {
    #[inline]
    fn enter() -> Self {
        Self::new()
    }
}

impl Drop for IrqGuard {
    #[inline]
    fn drop(&mut self) {
        preempt_enable();
        if self.were_on {
            interrupts_enable();
            if preempt_word() == 0 {
                reschedule();
            }
        }
    }
}

/// Whether this code may sleep: no guard held, no interrupt handler below.
pub fn may_sleep() -> bool {
    interrupts_on() && preempt_count() == 0
}

/// Asserts, in debug builds, that the caller may sleep. Every function that can sleep begins with it.
#[inline]
#[track_caller]
pub fn might_sleep() {
    debug_assert!(may_sleep() || hooks::single_tasking(), "sleeping function called in atomic context");
}

/// Asks this CPU to reschedule as soon as it may.
pub fn set_need_reschedule() {
    // SAFETY: (1) one instruction on this CPU's own word, as in `preempt_disable`.
    unsafe { asm!("and dword ptr gs:[{}], {}", sym PREEMPT_COUNT, const !NOT_ASKED as i32, options(nostack)) };
}

/// Takes note that a reschedule has been done.
pub fn clear_need_reschedule() {
    // SAFETY: (1) as in `set_need_reschedule`.
    unsafe { asm!("or dword ptr gs:[{}], {}", sym PREEMPT_COUNT, const NOT_ASKED as i32, options(nostack)) };
    #[cfg(debug_assertions)]
    reschedule_asked_at().store(0, Ordering::Relaxed);
}

/// When the watchdog asked this CPU for a reschedule that has not been done yet, in ns; 0 if there is none.
#[cfg(debug_assertions)]
pub(crate) fn reschedule_asked_at() -> &'static core::sync::atomic::AtomicU64 {
    RESCHEDULE_ASKED_AT.get(&PinnedByCaller)
}

/// Whether a reschedule is asked for. Without a guard the answer may be another CPU's; then that CPU acts on it.
#[inline]
pub fn need_reschedule() -> bool {
    preempt_word() & NOT_ASKED == 0
}

/// Runs `f` with interrupts off and preemption as it was: for the scheduler alone, whose switch wants no guard held.
pub fn without_interrupts<R>(f: impl FnOnce() -> R) -> R {
    let were_on = interrupts_on();
    interrupts_disable();
    let result = f();
    if were_on {
        interrupts_enable();
    }
    result
}

/// Whether an interrupt handler is running below the caller on this CPU.
pub fn in_interrupt() -> bool {
    let depth: u32;
    // SAFETY: (1) one load from this CPU's copy, as in `preempt_count`.
    unsafe {
        asm!("mov {:e}, gs:[{}]", out(reg) depth, sym INTERRUPT_DEPTH, options(nostack, preserves_flags, readonly));
    }
    depth != 0
}

pub(crate) fn enter_interrupt() {
    let depth = INTERRUPT_DEPTH.get(&PinnedByCaller);
    depth.store(depth.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

pub(crate) fn leave_interrupt() {
    let depth = INTERRUPT_DEPTH.get(&PinnedByCaller);
    depth.store(depth.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
}

/// Whether this CPU takes interrupts.
#[inline]
pub fn interrupts_on() -> bool {
    let flags: u64;
    // SAFETY: (1) reads the flags through the stack; no other effect.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags & (1 << 9) != 0
}

#[inline]
pub(crate) fn interrupts_enable() {
    // SAFETY: (1) the IDT is loaded before anything calls this; handlers keep to their own stacks.
    unsafe { asm!("sti", options(nostack)) };
}

#[inline]
pub(crate) fn interrupts_disable() {
    // SAFETY: (1) only delays interrupts.
    unsafe { asm!("cli", options(nostack)) };
}

/// Preemption count of this CPU.
#[inline]
pub fn preempt_count() -> u32 {
    preempt_word() & !NOT_ASKED
}

#[inline]
fn preempt_word() -> u32 {
    let word: u32;
    // One instruction, as the task may be moved between finding the CPU's copy and reading it: then it would read the count
    // of a CPU on which another task runs.
    // SAFETY: (1) one load from this CPU's copy, as in `percpu::this_cpu`.
    unsafe {
        asm!("mov {:e}, gs:[{}]", out(reg) word, sym PREEMPT_COUNT, options(nostack, preserves_flags, readonly));
    }
    word
}

#[inline]
fn preempt_disable() {
    // SAFETY: (1) one instruction on this CPU's own counter, so neither an interrupt nor a migration can split it.
    unsafe { asm!("inc dword ptr gs:[{}]", sym PREEMPT_COUNT, options(nostack)) };
}

/// Without a look whether to reschedule.
#[inline]
fn preempt_enable() {
    // SAFETY: (1) as in `preempt_disable`; each call undoes one of those.
    unsafe { asm!("dec dword ptr gs:[{}]", sym PREEMPT_COUNT, options(nostack)) };
}

/// Ends a forgotten [`PreemptGuard`] without looking whether to reschedule: in interrupt handlers, whose way out does.
pub(crate) fn leave_without_reschedule() {
    preempt_enable();
}

/// For single loads and stores where being moved to another CPU in between is harmless, as each use says.
struct PinnedByCaller;
impl Pinned for PinnedByCaller {}
