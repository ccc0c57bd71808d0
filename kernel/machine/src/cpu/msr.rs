//! Model-specific registers (SDM volume 4).

/// Local APIC base and enable bits.
pub const APIC_BASE: u32 = 0x1b;
/// TSC value at which the local APIC timer fires.
pub const TSC_DEADLINE: u32 = 0x6e0;
/// Page attribute table.
pub const PAT: u32 = 0x277;
/// Extended features: syscall, long mode, no-execute.
pub const EFER: u32 = 0xc000_0080;
/// Selectors of SYSCALL and SYSRET.
pub const STAR: u32 = 0xc000_0081;
/// Entry of SYSCALL in long mode.
pub const LSTAR: u32 = 0xc000_0082;
/// Flags that SYSCALL clears.
pub const SFMASK: u32 = 0xc000_0084;
/// Base of FS.
pub const FS_BASE: u32 = 0xc000_0100;
/// Base of GS.
pub const GS_BASE: u32 = 0xc000_0101;
/// What SWAPGS exchanges with the base of GS.
pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// What RDTSCP and RDPID read beside the TSC: the CPU's number.
pub const TSC_AUX: u32 = 0xc000_0103;
/// First x2APIC register.
pub const X2APIC: u32 = 0x800;

/// Reads a register.
///
/// # Safety
/// 1. The CPU has the register, and reading it has no side effect the kernel does not expect.
pub unsafe fn read(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: (1) as the caller promises.
    unsafe {
        core::arch::asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a register.
///
/// # Safety
/// 1. The CPU has the register, takes the value, and the kernel stays sound with it.
pub unsafe fn write(register: u32, value: u64) {
    // SAFETY: (1) as the caller promises.
    unsafe {
        core::arch::asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}
