//! Faults on purpose, for the tests of what reports them. Each function does what a bug of `unsafe` code would do; it
//! does not come back, since either the kernel ends in the report or, if the fault did not come, in a panic that says so.

use core::arch::asm;

/// In `.rodata`.
static READ_ONLY: u64 = 1;
/// In `.data`: a `ret` instruction, were it executable.
static WRITABLE: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0xc3);

unsafe extern "C" {
    static text_start: u8;
}

/// Reads through a null pointer.
pub fn read_null() -> ! {
    // SAFETY: (1) page 0 is never mapped, so that the load faults and the kernel ends.
    unsafe { asm!("mov {0}, [{0}]", inout(reg) 0u64 => _, options(nostack, readonly)) };
    panic!("reading address 0 did not fault")
}

/// Writes to the kernel's code.
pub fn write_text() -> ! {
    write(&raw const text_start as u64)
}

/// Writes to the kernel's constants.
pub fn write_rodata() -> ! {
    write(&raw const READ_ONLY as u64)
}

fn write(address: u64) -> ! {
    // SAFETY: (1) callers give an address that is mapped read-only, so that the store faults and the kernel ends.
    unsafe { asm!("mov qword ptr [{}], 0", in(reg) address, options(nostack)) };
    panic!("writing to {address:#x} did not fault")
}

/// Jumps to data.
pub fn execute_data() -> ! {
    // SAFETY: (1) data is not executable, so that the fetch faults and the kernel ends.
    unsafe { asm!("call {}", in(reg) WRITABLE.as_ptr(), clobber_abi("C")) };
    panic!("executing data did not fault")
}
