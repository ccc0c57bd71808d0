//! CPUs: numbers, features, control and model-specific registers, descriptor tables.

pub mod control;
pub mod debug;
pub mod features;
pub mod gdt;
pub(crate) mod machine_check;
pub mod msr;
pub mod random;

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Most CPUs the kernel uses.
pub const MAX_CPUS: usize = 64;

/// Number of a CPU: 0 is the boot CPU, the others in the order they came up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CpuId(u8);

impl CpuId {
    /// CPU `number`. Panics if it is not below [`MAX_CPUS`].
    pub const fn new(number: u32) -> Self {
        assert!(number < MAX_CPUS as u32);
        CpuId(number as u8)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0 as u32
    }

    /// The number as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

static ONLINE: AtomicU64 = AtomicU64::new(0);
static ONLINE_COUNT: AtomicU32 = AtomicU32::new(0);

/// Notes that `cpu` takes interrupts and runs tasks.
pub(crate) fn set_online(cpu: CpuId) {
    ONLINE.fetch_or(1 << cpu.number(), Ordering::SeqCst);
    ONLINE_COUNT.fetch_add(1, Ordering::SeqCst);
}

/// EAX, EBX, ECX and EDX of a leaf of CPUID (SDM volume 2); zeros for one that the CPU does not have.
#[inline(never)]
pub fn cpuid(leaf: u32, sub_leaf: u32) -> [u32; 4] {
    let highest = core::arch::x86_64::__cpuid(leaf & 0x8000_0000).eax;
    if leaf > highest {
        return [0; 4];
    }
    let result = core::arch::x86_64::__cpuid_count(leaf, sub_leaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// How many CPUs are up.
pub fn online_count() -> u32 {
    ONLINE_COUNT.load(Ordering::Relaxed)
}

/// The CPUs that are up, one bit each.
pub fn online_mask() -> u64 {
    ONLINE.load(Ordering::SeqCst)
}

/// The CPUs that are up, by number.
pub fn online() -> impl Iterator<Item = CpuId> {
    let mut left = online_mask();
    core::iter::from_fn(move || {
        let number = (left != 0).then(|| left.trailing_zeros())?;
        left &= left - 1;
        Some(CpuId::new(number))
    })
}

/// Waits for the next interrupt, with interrupts on: the idle loop's rest. If `ready` holds, returns at once; no
/// interrupt that makes it hold can be missed, since `sti` takes effect after the `hlt` that follows it.
pub fn idle_unless(ready: impl FnOnce() -> bool) {
    crate::sync::guard::interrupts_disable();
    if ready() {
        crate::sync::guard::interrupts_enable();
        return;
    }
    // SAFETY: (1) the IDT is loaded whenever a task runs.
    unsafe { core::arch::asm!("sti", "hlt", options(nostack)) };
}

/// Stops this CPU for good.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: (1) nothing runs on this CPU after this but NMIs.
        unsafe { core::arch::asm!("cli", "hlt", options(nostack)) };
    }
}

/// Switches interrupts on for the first time on this CPU.
pub(crate) fn start_interrupts() {
    crate::sync::guard::interrupts_enable();
}
