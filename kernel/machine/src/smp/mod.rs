//! The other CPUs: started one after the other, each with its own per-CPU copy and an idle task's stack.

use crate::addr::{KERNEL_BASE, PAGE_SIZE, PhysAddr};
use crate::cpu::{self, CpuId, MAX_CPUS};
use crate::irq::{self, lapic};
use crate::mm::space::{self, KernelStack};
use crate::mm::{FrameBlock, FrameKind, early, phys};
use crate::percpu;
use crate::sync::{IrqGuard, Once};
use crate::{time, trap, user};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

/// Physical page that a CPU starts in.
pub(crate) const TRAMPOLINE: u64 = 0x8000;
/// How long a CPU may take from its start-up interrupt to its first Rust code. Emulated CPUs are slow.
const START_TIMEOUT: Duration = Duration::from_millis(500);
/// Between INIT and the start-up interrupt. The 10 ms of the MP specification are for processors before long mode.
const INIT_DELAY: Duration = Duration::from_micros(200);

global_asm!(
    include_str!("../../../../asm/ap.S"),
    to_physical = const KERNEL_BASE.wrapping_neg(),
    trampoline = const TRAMPOLINE,
    main = sym application_processor_main,
);

unsafe extern "C" {
    static ap_trampoline: u8;
    static ap_trampoline_end: u8;
    static mut ap_stack: u64;
}

/// Number of the CPU that is starting.
static STARTING: AtomicU32 = AtomicU32::new(0);
/// Number of the last CPU that reached Rust code.
static ARRIVED: AtomicU32 = AtomicU32::new(0);
static IDLE: Once<fn() -> !> = Once::new();

/// Starts the CPUs with these local APIC ids, this one left out; each ends in `idle`. How many are up afterwards.
pub(crate) fn start(apic_ids: &[u32], idle: fn() -> !) -> u32 {
    IDLE.call_once(|| idle);
    let own = lapic::own_id();
    let others = apic_ids.iter().copied().filter(|&id| id != own);
    if others.clone().next().is_none() {
        return 1;
    }
    if !early::trampoline_free() {
        log::warn!("smp: page {TRAMPOLINE:#x} is not free memory; staying on one CPU");
        return 1;
    }
    copy_trampoline();
    for id in others.clone() {
        lapic::send_init(id);
    }
    time::spin_for(INIT_DELAY);
    let mut number = 1;
    for id in others {
        if number as usize == MAX_CPUS {
            log::warn!("smp: more than {MAX_CPUS} CPUs; the rest stays off");
            break;
        }
        match start_one(CpuId::new(number), id) {
            Ok(()) => number += 1,
            Err(why) => log::warn!("smp: CPU with APIC id {id} not started: {why}"),
        }
    }
    number
}

fn start_one(cpu: CpuId, apic_id: u32) -> Result<(), &'static str> {
    let pages = percpu::copy_len().div_ceil(PAGE_SIZE).next_power_of_two();
    let copy = FrameBlock::allocate(pages.trailing_zeros() as u8, FrameKind::PerCpu).map_err(|_| "out of memory")?;
    let stack = KernelStack::allocate().map_err(|_| "out of memory")?;
    // SAFETY: (1) page-aligned, large enough, and never freed: `leak` gives the block up.
    unsafe { percpu::install(cpu, phys::pointer::<u8>(copy.leak())) };
    // SAFETY: (1) only the CPU that is started next reads it, and no other is starting.
    unsafe { (&raw mut ap_stack).write_volatile(stack.top()) };
    core::mem::forget(stack); // the idle task's, for good
    STARTING.store(cpu.number(), Ordering::SeqCst);
    for _ in 0..2 {
        lapic::send_startup(apic_id, (TRAMPOLINE >> 12) as u8);
        let deadline = time::now() + START_TIMEOUT;
        while time::now() < deadline {
            if ARRIVED.load(Ordering::SeqCst) == cpu.number() {
                return Ok(());
            }
            core::hint::spin_loop();
        }
    }
    Err("it does not answer")
}

fn copy_trampoline() {
    let (start, end) = (&raw const ap_trampoline, &raw const ap_trampoline_end);
    let len = end as usize - start as usize;
    assert!(len <= PAGE_SIZE);
    // SAFETY: (1) the page is usable memory below 1 MiB, which nobody is ever given; the source is the image's.
    unsafe { core::ptr::copy_nonoverlapping(start, phys::pointer::<u8>(PhysAddr::new(TRAMPOLINE)), len) };
}

/// First Rust code of an application processor, on its own stack, with the boot tables.
extern "C" fn application_processor_main() -> ! {
    let cpu = CpuId::new(STARTING.load(Ordering::SeqCst));
    // SAFETY: (1) this is that CPU, at its first instruction, and `start_one` installed its copy.
    unsafe { percpu::activate(cpu) };
    // SAFETY: (1) the kernel's tables map image, stack and all RAM.
    unsafe { cpu::control::set_cr3(space::root()) };
    init_this_cpu();
    ARRIVED.store(cpu.number(), Ordering::SeqCst);
    match IDLE.get() {
        Some(idle) => idle(),
        None => cpu::halt_forever(),
    }
}

/// What every CPU does: control registers, descriptor tables, system calls, local APIC.
pub(crate) fn init_this_cpu() {
    let guard = IrqGuard::new();
    cpu::features::init_this_cpu();
    cpu::gdt::init_this_cpu(&guard);
    trap::load_idt();
    user::init_this_cpu();
    irq::init_this_cpu();
    cpu::set_online(percpu::this_cpu());
    crate::mm::frame::add_cpu();
}
