//! Global descriptor table and task-state segment, one of each a CPU (SDM volume 3, 3.5 and 8.7).
//!
//! The selectors lie as SYSCALL and SYSRET want them: kernel code, kernel data, (user 32-bit code), user data, user code;
//! and with one left out before them those of programs have Linux's numbers, which some look at.
//! The TSS gives the stack for interrupts from user mode (`rsp0`, set at each entry to user mode by `asm/user.S`) and
//! the stacks of the interrupts that must not trust the current one (IST).

use crate::percpu;
use crate::sync::guard::Pinned;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::offset_of;

/// Selector of the kernel's code.
pub const KERNEL_CODE: u16 = 0x10;
/// Selector of the kernel's data.
pub const KERNEL_DATA: u16 = 0x18;
/// Selector of user data and stack.
pub const USER_DATA: u16 = 0x28 | 3;
/// Selector of 64-bit user code.
pub const USER_CODE: u16 = 0x30 | 3;
const TSS_SELECTOR: u16 = 0x38;

/// IST entries, 1-based as the IDT counts.
pub const IST_DOUBLE_FAULT: u8 = 1;
/// Stack of non-maskable interrupts.
pub const IST_NMI: u8 = 2;
/// Stack of machine checks.
pub const IST_MACHINE_CHECK: u8 = 3;
/// Stack of debug exceptions in kernel mode, and where those in user mode begin.
pub const IST_DEBUG: u8 = 4;
const IST_STACKS: usize = 4;

/// They lie behind the CPU's variables.
const IST_STACK_LEN: usize = percpu::TAIL_LEN / IST_STACKS;
const _: () = assert!(IST_STACK_LEN == 8192);

#[repr(C, packed(4))]
struct Tss {
    reserved_0: u32,
    rsp: [u64; 3],
    reserved_1: u64,
    ist: [u64; 7],
    reserved_2: u64,
    reserved_3: u16,
    io_map_base: u16,
}
const _: () = assert!(size_of::<Tss>() == 104);

/// Offset of `rsp0` in the TSS, for `asm/user.S`.
pub(crate) const TSS_RSP0: usize = offset_of!(Tss, rsp);

#[repr(C, align(64))]
pub(crate) struct Tables {
    tss: UnsafeCell<Tss>,
    gdt: UnsafeCell<[u64; 9]>,
}
// SAFETY: (1) written once by `init_this_cpu` on the CPU that owns the copy; afterwards only the CPU itself reads it
// and `asm/user.S` writes rsp0 with interrupts off.
unsafe impl Sync for Tables {}

percpu! {
    pub(crate) static TABLES: Tables = Tables {
        tss: UnsafeCell::new(Tss {
            reserved_0: 0, rsp: [0; 3], reserved_1: 0, ist: [0; 7], reserved_2: 0, reserved_3: 0,
            io_map_base: size_of::<Tss>() as u16,
        }),
        gdt: UnsafeCell::new([
            0, 0,
            0x00af_9b00_0000_ffff, // kernel code: 64-bit, ring 0
            0x00cf_9300_0000_ffff, // kernel data
            0,                     // user 32-bit code: there is none
            0x00cf_f300_0000_ffff, // user data
            0x00af_fb00_0000_ffff, // user code: 64-bit, ring 3
            0, 0,                  // TSS, two entries
        ]),
    };
}

#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

/// Loads this CPU's GDT and TSS.
pub(crate) fn init_this_cpu(pin: &impl Pinned) {
    let tables = TABLES.get(pin);
    let tss_address = tables.tss.get() as u64;
    // SAFETY: (1) this is the owning CPU, before anything else uses its copy, so the cells are free to write. (2) The
    // descriptors are as the SDM lays them out, and the copy is never freed. (3) Code and stack stay usable: the new
    // selectors have the same flat meaning. GS base is an MSR in long mode; loading the null selector into gs would
    // clear it, so gs is left alone.
    unsafe {
        let stacks = percpu::tail(pin).cast::<[u8; IST_STACK_LEN]>();
        for index in 0..IST_STACKS {
            (*tables.tss.get()).ist[index] = stacks.add(index + 1) as u64;
        }
        let gdt = &mut *tables.gdt.get();
        gdt[7] = tss_descriptor(tss_address);
        gdt[8] = tss_address >> 32;
        let pointer = TablePointer { limit: (size_of_val(gdt) - 1) as u16, base: gdt.as_ptr() as u64 };
        asm!(
            "lgdt [{pointer}]",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov ss, {data:x}",
            "mov ds, {null:x}",
            "mov es, {null:x}",
            "ltr {tss:x}",
            pointer = in(reg) &pointer,
            code = const KERNEL_CODE as u64,
            scratch = out(reg) _,
            data = in(reg) KERNEL_DATA,
            null = in(reg) 0u16,
            tss = in(reg) TSS_SELECTOR,
        );
    }
}

/// An available 64-bit TSS at `address` (SDM volume 3, figure 8-4).
fn tss_descriptor(address: u64) -> u64 {
    let limit = size_of::<Tss>() as u64 - 1;
    limit | (address & 0xff_ffff) << 16 | 0x89 << 40 | (address >> 24 & 0xff) << 56
}
