//! Control registers (SDM volume 3, 2.5).

use crate::addr::PhysAddr;
use core::arch::asm;

/// CR4: user-mode instruction prevention.
pub const CR4_UMIP: u64 = 1 << 11;
/// CR4: OS supports FXSAVE.
pub const CR4_OSFXSR: u64 = 1 << 9;
/// CR4: OS handles SIMD exceptions.
pub const CR4_OSXMMEXCPT: u64 = 1 << 10;
/// CR4: global pages.
pub const CR4_PGE: u64 = 1 << 7;
/// CR4: machine checks.
pub const CR4_MCE: u64 = 1 << 6;
/// CR4: XSAVE and XCR0.
pub const CR4_OSXSAVE: u64 = 1 << 18;
/// CR4: supervisor-mode execution prevention.
pub const CR4_SMEP: u64 = 1 << 20;
/// CR4: supervisor-mode access prevention.
pub const CR4_SMAP: u64 = 1 << 21;
/// CR0: monitor coprocessor.
pub const CR0_MP: u64 = 1 << 1;
/// CR0: no x87.
pub const CR0_EM: u64 = 1 << 2;
/// CR0: task switched.
pub const CR0_TS: u64 = 1 << 3;
/// CR0: x87 errors by exception.
pub const CR0_NE: u64 = 1 << 5;

/// Reads CR0.
pub fn cr0() -> u64 {
    let value;
    // SAFETY: (1) reading has no effect.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// # Safety
/// 1. Paging, protection and write protection stay on.
pub unsafe fn set_cr0(value: u64) {
    // SAFETY: (1) as the caller promises.
    unsafe { asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Reads CR2, the address of the last page fault.
pub fn cr2() -> u64 {
    let value;
    // SAFETY: (1) reading has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Root of the page tables in use.
pub fn cr3() -> PhysAddr {
    let value: u64;
    // SAFETY: (1) reading has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    PhysAddr::new(value & !0xfff)
}

/// # Safety
/// 1. `root` is a page-table root that maps the kernel as the running one does.
pub unsafe fn set_cr3(root: PhysAddr) {
    // SAFETY: (1) as the caller promises.
    unsafe { asm!("mov cr3, {}", in(reg) root.get(), options(nostack, preserves_flags)) };
}

/// Reads CR4.
pub fn cr4() -> u64 {
    let value;
    // SAFETY: (1) reading has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// # Safety
/// 1. The CPU has what is switched on, and PAE stays on.
pub unsafe fn set_cr4(value: u64) {
    // SAFETY: (1) as the caller promises.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// # Safety
/// 1. CR4.OSXSAVE is set and the CPU supports the components in `value`.
pub unsafe fn set_xcr0(value: u64) {
    // SAFETY: (1) as the caller promises.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nomem, nostack, preserves_flags));
    }
}

/// Forgets the translation of the page of `address` on this CPU, global or not.
pub fn invalidate_page(address: u64) {
    // SAFETY: (1) forgetting a translation is always sound.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Forgets all translations of this CPU but the global ones.
pub fn flush_user_tlb() {
    // SAFETY: (1) writes back the root that is in use.
    unsafe { set_cr3(cr3()) };
}
