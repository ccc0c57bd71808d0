//! The interrupt descriptor table: one for all CPUs, every vector at its stub (SDM volume 3, 6.10).

use crate::cpu::gdt;
use spin::Once;

#[repr(C, align(16))]
struct Idt([[u64; 2]; 256]);

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

static IDT: Once<Idt> = Once::new();

unsafe extern "C" {
    /// 256 stubs of 16 bytes each, in `asm/trap.S`.
    static interrupt_stubs: [[u8; 16]; 256];
}

/// Loads the table on this CPU.
pub(crate) fn load() {
    let idt = IDT.call_once(build);
    let pointer = TablePointer { limit: (size_of::<Idt>() - 1) as u16, base: idt as *const Idt as u64 };
    // SAFETY: (1) the table is static and each entry leads to a stub that handles its vector.
    unsafe { core::arch::asm!("lidt [{}]", in(reg) &pointer, options(nostack, preserves_flags, readonly)) };
}

fn build() -> Idt {
    let mut idt = Idt([[0; 2]; 256]);
    let stubs = &raw const interrupt_stubs as u64;
    for (vector, entry) in idt.0.iter_mut().enumerate() {
        let ist = match vector {
            1 => gdt::IST_DEBUG,
            2 => gdt::IST_NMI,
            8 => gdt::IST_DOUBLE_FAULT,
            18 => gdt::IST_MACHINE_CHECK,
            _ => 0,
        };
        // int3 and into are the instructions that user code may raise an exception with.
        let privilege = if vector == 3 || vector == 4 { 3 } else { 0 };
        *entry = interrupt_gate(stubs + 16 * vector as u64, ist, privilege);
    }
    idt
}

/// A present 64-bit interrupt gate (SDM volume 3, figure 6-8).
fn interrupt_gate(address: u64, ist: u8, privilege: u64) -> [u64; 2] {
    let low = (address & 0xffff)
        | u64::from(gdt::KERNEL_CODE) << 16
        | u64::from(ist) << 32
        | 0xe << 40
        | privilege << 45
        | 1 << 47
        | (address >> 16 & 0xffff) << 48;
    [low, address >> 32]
}
