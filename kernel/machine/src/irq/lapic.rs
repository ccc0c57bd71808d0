//! The local APIC, by MSRs (x2APIC) where the CPU has them, else memory-mapped (SDM volume 3, 11).

use crate::addr::PhysAddr;
use crate::cpu::{CpuId, MAX_CPUS, features, msr};
use crate::io::{Mmio, mmio::MmioError};
use crate::percpu;
use crate::sync::{IrqGuard, Once};
use core::sync::atomic::{AtomicU32, Ordering};

/// Registers, as offsets of the memory-mapped form; the MSR is 800h + offset / 16.
const ID: u32 = 0x20;
const TASK_PRIORITY: u32 = 0x80;
const END_OF_INTERRUPT: u32 = 0xb0;
const SPURIOUS: u32 = 0xf0;
const ERROR_STATUS: u32 = 0x280;
const COMMAND: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const LVT_ERROR: u32 = 0x370;
const TIMER_INITIAL: u32 = 0x380;
const TIMER_CURRENT: u32 = 0x390;
const TIMER_DIVIDE: u32 = 0x3e0;

const MASKED: u32 = 1 << 16;
const TIMER_TSC_DEADLINE: u32 = 2 << 17;
const DELIVERY_NMI: u32 = 4 << 8;
const DELIVERY_INIT: u32 = 5 << 8;
const DELIVERY_STARTUP: u32 = 6 << 8;
const ASSERT: u32 = 1 << 14;
/// Destination shorthand (SDM volume 3, 11.6.1): the target field does not count.
const TO_SELF: u32 = 1 << 18;
const PENDING: u32 = 1 << 12;
/// Divide the timer's clock by 16.
const DIVIDE_BY_16: u32 = 3;

enum Access {
    X2Apic,
    Memory(Mmio),
}

static ACCESS: Once<Access> = Once::new();
/// Local APIC id of each CPU.
static IDS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];

/// Chooses how the registers are reached. `base` is the MADT's address.
pub(crate) fn init(base: PhysAddr) -> Result<(), MmioError> {
    let access =
        if features::get().x2apic { Access::X2Apic } else { Access::Memory(Mmio::claim(base, 0x1000, "local APIC")?) };
    ACCESS.call_once(|| access);
    Ok(())
}

/// Switches this CPU's APIC on, with its timer off.
pub(super) fn init_this_cpu(spurious: u8, timer: u8, error: u8) {
    // SAFETY: (1) the register exists wherever there is an APIC; global enable, and x2APIC mode where it is used, are
    // what the rest of this file relies on.
    unsafe {
        let mut base = msr::read(msr::APIC_BASE) | 1 << 11;
        if matches!(ACCESS.get(), Some(Access::X2Apic)) {
            base |= 1 << 10;
        }
        msr::write(msr::APIC_BASE, base);
    }
    let mode = if features::get().tsc_deadline { TIMER_TSC_DEADLINE } else { 0 };
    write(SPURIOUS, 1 << 8 | u32::from(spurious));
    write(TASK_PRIORITY, 0);
    write(LVT_TIMER, mode | u32::from(timer));
    write(LVT_LINT0, MASKED);
    write(LVT_LINT1, DELIVERY_NMI);
    write(LVT_ERROR, error.into());
    write(TIMER_DIVIDE, DIVIDE_BY_16);
    write(TIMER_INITIAL, 0);
    end_of_interrupt();
    IDS[percpu::this_cpu().index()].store(own_id(), Ordering::Release);
}

/// This CPU's id.
pub(crate) fn own_id() -> u32 {
    match ACCESS.get() {
        Some(Access::X2Apic) => read(ID),
        _ => read(ID) >> 24,
    }
}

/// The id of a CPU that is up.
pub(crate) fn id_of(cpu: CpuId) -> u32 {
    IDS[cpu.index()].load(Ordering::Acquire)
}

/// Tells the APIC that the interrupt is served.
pub(super) fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Reads and clears the error status; the interrupt count is what remains of it.
pub(super) fn clear_error() {
    write(ERROR_STATUS, 0);
    let _ = read(ERROR_STATUS);
}

/// Sends `vector` to `cpu`.
pub(super) fn send(cpu: CpuId, vector: u8) {
    command(id_of(cpu), ASSERT | u32::from(vector));
}

/// Sends `vector` to the CPU that this runs on.
pub(super) fn send_to_self(vector: u8) {
    command(0, ASSERT | TO_SELF | u32::from(vector));
}

/// Sends a non-maskable interrupt to `cpu`.
pub(crate) fn send_nmi(cpu: CpuId) {
    command(id_of(cpu), ASSERT | DELIVERY_NMI);
}

/// Resets the CPU with local APIC `id`.
pub(crate) fn send_init(id: u32) {
    command(id, ASSERT | DELIVERY_INIT);
}

/// Starts that CPU in real mode at `page` * 4096.
pub(crate) fn send_startup(id: u32, page: u8) {
    command(id, ASSERT | DELIVERY_STARTUP | u32::from(page));
}

/// Lets the timer fire once after `ticks` of its divided clock; 0 stops it.
pub(crate) fn set_timer_ticks(ticks: u32) {
    write(TIMER_INITIAL, ticks);
}

/// What is left of the timer's count.
pub(crate) fn timer_ticks_left() -> u32 {
    read(TIMER_CURRENT)
}

/// Lets the timer fire when the TSC reaches `deadline`; 0 stops it. Only with TSC-deadline mode.
pub(crate) fn set_timer_deadline(deadline: u64) {
    // SAFETY: (1) `init_this_cpu` chose deadline mode because the CPU has it, and only then is this called.
    unsafe { msr::write(msr::TSC_DEADLINE, deadline) };
}

fn command(target: u32, low: u32) {
    let _guard = IrqGuard::new();
    match ACCESS.get() {
        Some(Access::X2Apic) => {
            // The write is not serialising: what was stored before must be visible first (SDM volume 3, 11.12.3).
            core::sync::atomic::fence(Ordering::SeqCst);
            // SAFETY: (1) x2APIC is on; the command reaches another CPU, whose handlers are ours.
            unsafe {
                core::arch::asm!("mfence", "lfence", options(nostack, preserves_flags));
                msr::write(msr::X2APIC + COMMAND / 16, u64::from(target) << 32 | u64::from(low));
            }
        }
        _ => {
            while read(COMMAND) & PENDING != 0 {
                core::hint::spin_loop();
            }
            write(COMMAND_HIGH, target << 24);
            write(COMMAND, low);
        }
    }
}

fn read(register: u32) -> u32 {
    match ACCESS.get() {
        // SAFETY: (1) x2APIC is on, and every register used here has an MSR.
        Some(Access::X2Apic) => unsafe { msr::read(msr::X2APIC + register / 16) as u32 },
        Some(Access::Memory(registers)) => registers.read(register as usize),
        None => 0,
    }
}

fn write(register: u32, value: u32) {
    match ACCESS.get() {
        // SAFETY: (1) as in `read`; the values are those the callers above build.
        Some(Access::X2Apic) => unsafe { msr::write(msr::X2APIC + register / 16, value.into()) },
        Some(Access::Memory(registers)) => registers.write(register as usize, value),
        None => {}
    }
}
