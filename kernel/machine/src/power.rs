//! Switching off and restarting.
//!
//! Off is ACPI's S5 (ACPI 6.5, 4.8.3.2.1); a status for whoever runs the emulator goes through QEMU's isa-debug-exit.
//! Restart is the FADT's reset register, the keyboard controller, and at last a triple fault.

use crate::cpu;
use crate::io::Port;
use crate::sync::{Once, guard};
use crate::time;
use core::time::Duration;

const DEBUG_EXIT: u16 = 0xf4;
const SLEEP_ENABLE: u16 = 1 << 13;

/// What the ACPI tables say about power.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PowerRegisters {
    /// Ports of the PM1a and PM1b control registers; 0 if there is none.
    pub pm1_control: [u16; 2],
    /// Sleep types for S5, one each.
    pub s5: Option<(u8, u8)>,
    /// Port and value of the reset register.
    pub reset: Option<(u16, u8)>,
    /// Port and value that switch the firmware to ACPI mode, if it is not in it.
    pub enable: Option<(u16, u8)>,
}

static REGISTERS: Once<PowerRegisters> = Once::new();

pub(crate) fn init(registers: PowerRegisters) {
    REGISTERS.call_once(|| registers);
}

/// Switches the machine off. If that does not work, stops.
pub fn off() -> ! {
    guard::interrupts_disable();
    if let Some(registers) = REGISTERS.get() {
        // SAFETY: (1) the ports are those the firmware's FADT names for this, and the machine ends here.
        unsafe { sleep_s5(registers) };
    }
    emulator_off();
    crate::console::emergency(format_args!("the machine does not switch itself off; it is safe to do so now\n"));
    cpu::halt_forever()
}

/// Bochs and old QEMU end when they see this word.
fn emulator_off() {
    for byte in b"Shutdown" {
        // SAFETY: (1) a port of emulators, unused elsewhere; the machine ends here.
        unsafe { Port::<u8>::new(0x8900) }.write(*byte);
    }
}

/// Ends the emulator with status 2 * `status` + 1 where it has isa-debug-exit, without a status where it is Bochs; else
/// stops.
pub fn exit(status: u8) -> ! {
    guard::interrupts_disable();
    // SAFETY: (1) QEMU's own port, unused on other machines; the machine ends here.
    unsafe { Port::<u8>::new(DEBUG_EXIT) }.write(status);
    emulator_off();
    cpu::halt_forever()
}

/// Restarts the machine.
pub fn restart() -> ! {
    guard::interrupts_disable();
    if let Some((port, value)) = REGISTERS.get().and_then(|registers| registers.reset) {
        // SAFETY: (1) the port the firmware names for this; the machine ends here.
        unsafe { Port::<u8>::new(port) }.write(value);
        time::spin_for(Duration::from_millis(50));
    }
    // SAFETY: (1) the keyboard controller's pulse of the reset line; the machine ends here.
    unsafe { Port::<u8>::new(0x64) }.write(0xfe);
    time::spin_for(Duration::from_millis(50));
    #[repr(C, packed)]
    struct EmptyTable(u16, u64);
    // SAFETY: (1) an empty IDT and an exception: a triple fault, which resets the CPU.
    unsafe {
        core::arch::asm!("lidt [{}]", "int3", in(reg) &EmptyTable(0, 0));
    }
    cpu::halt_forever()
}

/// # Safety
/// 1. The ports are the chipset's PM1 control registers.
unsafe fn sleep_s5(registers: &PowerRegisters) {
    let Some((type_a, type_b)) = registers.s5 else { return };
    if let Some((port, value)) = registers.enable {
        // SAFETY: (1) the SMI command port; the caller's promise.
        unsafe { Port::<u8>::new(port) }.write(value);
        time::spin_for(Duration::from_millis(10));
    }
    for (port, sleep_type) in registers.pm1_control.into_iter().zip([type_a, type_b]) {
        if port != 0 {
            // SAFETY: (1) the caller's promise.
            let control = unsafe { Port::<u16>::new(port) };
            let kept = control.read() & !(7 << 10);
            control.write(kept | u16::from(sleep_type) << 10 | SLEEP_ENABLE);
        }
    }
    time::spin_for(Duration::from_millis(100));
}
