//! Per-CPU variables, as Linux has them: one link section, one copy a CPU, reached through GS.
//!
//! The linker gathers the initial values in `.percpu`, which is never written. Each CPU has a copy of the whole
//! section, aligned to a cache line; its GS base is the distance from the section to the copy, so that `gs:[VARIABLE]`
//! is that CPU's variable. The boot CPU's copy lies in `.bss`, since it is needed before there is any allocator.
//!
//! Invariants: GS base is set before the first Rust code runs on a CPU and never changes in the kernel; a copy is
//! never freed. A variable's type is `Sync`, since an interrupt of the same CPU, and other CPUs through [`PerCpu::on`],
//! may look at it at any time; what belongs to one CPU alone goes into an [`crate::sync::IrqLock`].

use crate::addr::{KERNEL_BASE, PHYS_BASE};
use crate::cpu::{CpuId, MAX_CPUS, msr};
use crate::sync::guard::Pinned;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Declares per-CPU variables: `percpu! { static NAME: Type = initial; }`, read by `NAME.get(&guard)`.
#[macro_export]
macro_rules! percpu {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $initial:expr;)*) => { $(
        $(#[$attribute])*
        #[unsafe(link_section = ".percpu")]
        $visibility static $name: $crate::percpu::PerCpu<$type> =
            {
                let initial: $type = $initial;
                // SAFETY: (1) the lines above put the variable into the per-CPU section.
                unsafe { $crate::percpu::PerCpu::new(initial) }
            };
    )* };
}

/// A variable of which each CPU has its own; made by [`percpu!`].
#[repr(transparent)]
pub struct PerCpu<T: Sync + 'static>(T);

/// Distance from `.percpu` to each CPU's copy; 0 for a CPU that has none yet.
static OFFSETS: [AtomicUsize; MAX_CPUS] = [const { AtomicUsize::new(0) }; MAX_CPUS];

percpu! {
    /// This CPU's own entry of [`OFFSETS`], so that one load finds it.
    static THIS_CPU_OFFSET: AtomicUsize = AtomicUsize::new(0);
    static THIS_CPU: AtomicU32 = AtomicU32::new(0);
}

impl<T: Sync + 'static> PerCpu<T> {
    /// # Safety
    /// 1. The value becomes a static in the link section `.percpu`, and nowhere else.
    #[doc(hidden)]
    pub const unsafe fn new(value: T) -> Self {
        PerCpu(value)
    }

    /// This CPU's variable, as long as `pin` keeps the task on the CPU.
    #[inline]
    pub fn get<'a>(&'static self, _pin: &'a impl Pinned) -> &'a T {
        // SAFETY: (1) a PerCpu lies in the section (`new`), so the copy holds an initialised T at the same place;
        // (2) copies are never freed; (3) T is Sync, so that sharing it with interrupts and other CPUs is sound.
        unsafe { &*((&raw const self.0).wrapping_byte_add(this_cpu_offset())) }
    }

    /// The variable of `cpu`; None while that CPU is not up.
    pub fn on(&'static self, cpu: CpuId) -> Option<&'static T> {
        let offset = OFFSETS[cpu.index()].load(Ordering::Acquire);
        // SAFETY: (1)-(3) as in `get`; an offset is stored once its copy is initialised.
        (offset != 0).then(|| unsafe { &*((&raw const self.0).wrapping_byte_add(offset)) })
    }

    /// Address as the link sees it, for assembly operands.
    pub(crate) const fn link_address(&'static self) -> *const T {
        &raw const self.0
    }
}

/// The CPU this code runs on right now; stable only under a guard, exact enough for a log line without.
#[inline]
pub fn this_cpu() -> CpuId {
    let number: u32;
    // SAFETY: (1) GS base is this CPU's copy from its first Rust instruction on; the load has no side effect.
    unsafe {
        core::arch::asm!("mov {:e}, gs:[{}]", out(reg) number, sym THIS_CPU, options(nostack, preserves_flags, readonly));
    }
    CpuId::new(number)
}

#[inline]
fn this_cpu_offset() -> usize {
    let offset: usize;
    // SAFETY: (1) as in `this_cpu`.
    unsafe {
        core::arch::asm!("mov {}, gs:[{}]", out(reg) offset, sym THIS_CPU_OFFSET,
            options(nostack, preserves_flags, readonly));
    }
    offset
}

unsafe extern "C" {
    static percpu_start: u8;
    static percpu_end: u8;
    static percpu_boot_cpu: u8;
    static percpu_boot_cpu_end: u8;
}

/// Where a debugger finds [`OFFSETS`].
pub(crate) const fn offsets_address() -> *const u8 {
    &raw const OFFSETS as *const u8
}

/// Bytes behind each copy that have no initial value, for stacks. The linker script knows it too.
pub(crate) const TAIL_LEN: usize = 0x8000;

fn section_len() -> usize {
    &raw const percpu_end as usize - &raw const percpu_start as usize
}

/// Size of one copy with its tail, in bytes.
pub(crate) fn copy_len() -> usize {
    section_len() + TAIL_LEN
}

/// Where this CPU's tail begins.
pub(crate) fn tail(_pin: &impl Pinned) -> *mut u8 {
    (&raw const percpu_end).wrapping_byte_add(this_cpu_offset()).cast_mut()
}

/// Makes the boot CPU's copy and points GS at it: the very first thing the kernel does.
///
/// # Safety
/// 1. Called once, on the boot CPU, before any other code that uses a per-CPU variable.
pub(crate) unsafe fn init_boot_cpu() {
    // Through the map of physical memory, which lies below the image: so its distance from the section is negative, like
    // those of the other CPUs' copies, and `asm/trap.S` can tell the kernel's GS base from a user's by the sign.
    let physical = &raw const percpu_boot_cpu as u64 - KERNEL_BASE;
    let copy = (PHYS_BASE + physical) as *mut u8;
    assert!(&raw const percpu_boot_cpu_end as usize - &raw const percpu_boot_cpu as usize >= copy_len());
    // SAFETY: (1) the linker reserved the size there, the first page tables map it, and nothing uses it yet; (2) this is
    // CPU 0.
    unsafe {
        install(CpuId::new(0), copy);
        activate(CpuId::new(0));
    }
}

/// Fills `copy` with the initial values and registers it as `cpu`'s.
///
/// # Safety
/// 1. `copy` is 64-aligned, `copy_len()` bytes, unused and never freed.
pub(crate) unsafe fn install(cpu: CpuId, copy: *mut u8) {
    let start = &raw const percpu_start;
    let offset = (copy as usize).wrapping_sub(start as usize);
    // SAFETY: (1) the caller gives the destination; the source is the section; they do not overlap. The two stores go
    // to variables inside the copy, which nobody else knows yet.
    unsafe {
        core::ptr::copy_nonoverlapping(start, copy, section_len());
        let own_offset = THIS_CPU_OFFSET.link_address().wrapping_byte_add(offset);
        (*own_offset).store(offset, Ordering::Relaxed);
        let own_number = THIS_CPU.link_address().wrapping_byte_add(offset);
        (*own_number).store(cpu.number(), Ordering::Relaxed);
    }
    assert!((offset as isize) < 0, "asm/trap.S takes this GS base for a user's");
    OFFSETS[cpu.index()].store(offset, Ordering::Release);
}

/// Points this CPU's GS at `cpu`'s copy.
///
/// # Safety
/// 1. Runs on `cpu` itself, before it uses a per-CPU variable; `install` was done for it.
pub(crate) unsafe fn activate(cpu: CpuId) {
    let offset = OFFSETS[cpu.index()].load(Ordering::Acquire);
    // SAFETY: (1) selects this CPU's copy, as the caller promises; both MSRs hold canonical addresses.
    unsafe {
        msr::write(msr::GS_BASE, offset as u64);
        msr::write(msr::KERNEL_GS_BASE, 0);
    }
}
