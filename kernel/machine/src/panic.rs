//! The end: panics and traps that only a bug of ours causes.
//!
//! The first CPU to panic stops the others by NMI, prints what happened with a stack trace, and leaves QEMU with a status
//! (`power::exit`). A panic inside a panic prints one line and does the same. Nothing here takes a lock or allocates.

use crate::console;
use crate::cpu;
use crate::irq::lapic;
use crate::percpu;
use crate::power;
use crate::sync::guard;
use crate::sync::lockdep;
use crate::task;
use crate::trap::{TrapFrame, backtrace};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

/// Status of a kernel that panicked.
const EXIT_PANIC: u8 = 0x65;
const NOBODY: u32 = u32::MAX;

/// Number of the CPU that panics.
static PANICKING: AtomicU32 = AtomicU32::new(NOBODY);

/// Whether some CPU is in a panic.
pub fn panicking() -> bool {
    PANICKING.load(Ordering::Relaxed) != NOBODY
}

/// Writes to console and log without locks.
struct Emergency;

impl Write for Emergency {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        console::emergency(format_args!("{text}"));
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    begin(info.message());
    let mut out = Emergency;
    let _ = write!(out, "\n\x1b[1;31mkernel panic\x1b[0m on CPU {}", percpu::this_cpu());
    if let Some(task) = task::try_current() {
        let _ = write!(out, " in task {} ({:?})", task.id(), task.name());
    }
    if let Some(place) = info.location() {
        let _ = write!(out, " at {place}");
    }
    let _ = writeln!(out, ":\n{}", info.message());
    let _ = backtrace::write_current(&mut out);
    end()
}

/// An exception that kernel code must not raise.
#[cold]
pub(crate) fn fatal_trap(frame: &TrapFrame, cr2: u64) -> ! {
    begin(format_args!("exception {} at {:#x}", frame.vector, frame.rip));
    let mut out = Emergency;
    let _ = write!(out, "\n\x1b[1;31mkernel fault\x1b[0m on CPU {}", percpu::this_cpu());
    if let Some(task) = task::try_current() {
        let _ = write!(out, " in task {} ({:?})", task.id(), task.name());
    }
    let _ = write!(out, ": ");
    let _ = frame.describe(&mut out, cr2);
    if frame.vector == 8 || frame.vector == 14 {
        let address = if frame.vector == 8 { frame.rsp.wrapping_sub(8) } else { cr2 };
        if task::is_stack_overflow(address) || task::is_stack_overflow(cr2) {
            let _ = write!(out, "\nthe kernel stack overflowed");
        }
    }
    let _ = writeln!(out, "\n{frame}");
    let _ = backtrace::write_frame(&mut out, frame);
    end()
}

/// Makes this CPU the panicking one. If it is already, the panic handler itself failed: one line, and out.
fn begin(what: impl fmt::Display) {
    guard::interrupts_disable();
    let here = percpu::this_cpu().number();
    match PANICKING.compare_exchange(NOBODY, here, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => stop_others(),
        Err(other) if other == here => {
            console::emergency(format_args!("\npanic inside a panic: {what}\n"));
            power::exit(EXIT_PANIC);
        }
        Err(_) => cpu::halt_forever(),
    }
}

fn end() -> ! {
    let mut out = Emergency;
    lockdep::for_each_held(|name, rank, place| {
        let _ = writeln!(out, "holding {name:?} ({rank:?}), taken at {place}");
    });
    power::exit(EXIT_PANIC)
}

/// Stops all CPUs for good, with the power on: what `reboot(2)` calls halting.
pub fn halt() -> ! {
    guard::interrupts_disable();
    // The others stop as for a panic, and if one of them panics at this moment this CPU stops for it.
    let here = percpu::this_cpu().number();
    if PANICKING.compare_exchange(NOBODY, here, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        stop_others();
    }
    cpu::halt_forever()
}

fn stop_others() {
    let here = percpu::this_cpu();
    for cpu in cpu::online().filter(|&cpu| cpu != here) {
        lapic::send_nmi(cpu);
    }
}

/// What the NMI of `stop_others` does.
pub(crate) fn stop_this_cpu(_frame: &TrapFrame) -> ! {
    cpu::halt_forever()
}
