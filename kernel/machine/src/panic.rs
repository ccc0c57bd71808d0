//! The end: panics and traps that only a bug of ours causes.
//!
//! The first CPU to panic stops the others by NMI, prints what happened, its stack trace and locks, those of the other
//! CPUs, and the end of the log, and leaves QEMU with a status (`power::exit`). A panic inside a panic prints one line
//! and does the same. Nothing here takes a lock or allocates.

use crate::console;
use crate::cpu::{self, CpuId};
use crate::irq::lapic;
use crate::kept_log;
use crate::percpu;
use crate::power;
use crate::report::{self, Report};
use crate::sync::guard::{self, PreemptGuard};
use crate::task;
use crate::time;
use crate::trap::{TrapFrame, backtrace};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use core::time::Duration;

/// Status of a kernel that panicked.
const EXIT_PANIC: u8 = 0x65;
const NOBODY: u32 = u32::MAX;
/// How long the other CPUs may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Lines of the log that a report ends with.
const LOG_LINES: usize = 50;

/// Number of the CPU that panics.
static PANICKING: AtomicU32 = AtomicU32::new(NOBODY);
/// Panics on that CPU, this one included.
static DEPTH: AtomicU32 = AtomicU32::new(0);

percpu! {
    /// Where this CPU was when a panic stopped it: on its NMI stack, which it does not leave.
    static STOPPED_AT: AtomicPtr<TrapFrame> = AtomicPtr::new(core::ptr::null_mut());
}

/// Whether some CPU is in a panic.
pub fn panicking() -> bool {
    PANICKING.load(Ordering::Relaxed) != NOBODY
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    begin(info.message());
    let mut out = Report::seize();
    let _ = write!(out, "\n\x1b[1;31mkernel panic\x1b[0m");
    let _ = report::write_own_place(&mut out);
    if let Some(place) = info.location() {
        let _ = write!(out, " at {place}");
    }
    let _ = writeln!(out, ":\n{}", info.message());
    let _ = backtrace::write_current(&mut out);
    end(out, None)
}

/// An exception that kernel code must not raise.
#[cold]
pub(crate) fn fatal_trap(frame: &TrapFrame, cr2: u64) -> ! {
    begin(format_args!("exception {} at {:#x}", frame.vector, frame.rip));
    let mut out = Report::seize();
    let _ = write!(out, "\n\x1b[1;31mkernel fault\x1b[0m");
    let _ = report::write_own_place(&mut out);
    let _ = write!(out, ": ");
    let _ = frame.describe(&mut out, cr2);
    if frame.vector == 8 {
        let _ = write!(out, ", on its own stack");
    }
    let overflow = frame.vector == 8 && task::is_stack_overflow(frame.rsp.wrapping_sub(8));
    if overflow || (matches!(frame.vector, 8 | 14) && task::is_stack_overflow(cr2)) {
        let _ = write!(out, "\nthe kernel stack overflowed into its guard at {cr2:#x}");
    }
    if frame.vector == 18 {
        let _ = cpu::machine_check::describe(&mut out);
    }
    let _ = writeln!(out, "\n{frame}");
    let _ = backtrace::write_frame(&mut out, frame);
    end(out, Some(frame))
}

/// Makes this CPU the panicking one. If it is already, the panic handler itself failed: one line, and out.
fn begin(what: impl fmt::Display) {
    guard::interrupts_disable();
    let here = percpu::this_cpu().number();
    match PANICKING.compare_exchange(NOBODY, here, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => stop_others(),
        Err(other) if other == here => {
            // Showing `what` may be what fails.
            match DEPTH.fetch_add(1, Ordering::Relaxed) {
                0 => console::emergency(format_args!("\npanic inside a panic: {what}\n")),
                1 => console::emergency(format_args!("\npanic inside a panic, which cannot be shown\n")),
                _ => {}
            }
            power::exit(EXIT_PANIC);
        }
        Err(_) => cpu::halt_forever(),
    }
}

/// What every report ends with; `frame` is what was interrupted, if anything was.
fn end(mut out: Report, frame: Option<&TrapFrame>) -> ! {
    let here = percpu::this_cpu();
    if let Some(task) = task::try_current() {
        // SAFETY: (1) the current task.
        let _ = unsafe { report::write_user_place(&mut out, &task, frame) };
    }
    let _ = report::write_held_locks(&mut out, here);
    for cpu in cpu::online().filter(|&cpu| cpu != here) {
        let _ = write_stopped(&mut out, cpu);
    }
    let _ = writeln!(out, "the last lines of the log:");
    kept_log::last_lines(LOG_LINES, |bytes| {
        let _ = out.write_str(core::str::from_utf8(bytes).unwrap_or("?"));
    });
    power::exit(EXIT_PANIC)
}

/// Place, trace and locks of another CPU.
fn write_stopped(out: &mut dyn Write, cpu: CpuId) -> fmt::Result {
    let frame = STOPPED_AT.on(cpu).map_or(core::ptr::null_mut(), |frame| frame.load(Ordering::Acquire));
    if frame.is_null() {
        return writeln!(out, "CPU {cpu} did not stop");
    }
    write!(out, "stopped")?;
    // SAFETY: (1) the CPU has stopped for good, so its current task stays.
    let task = unsafe { task::running_on(cpu) };
    report::write_place(out, cpu, task)?;
    writeln!(out, ":")?;
    // SAFETY: (1) the frame is on the NMI stack of a CPU that does not leave `stop_this_cpu`, which stored it whole.
    let frame = unsafe { &*frame };
    backtrace::write_frame(out, frame)?;
    if let Some(task) = task {
        // SAFETY: (1) its CPU has stopped.
        unsafe { report::write_user_place(out, task, Some(frame))? };
    }
    report::write_held_locks(out, cpu)
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
    let others = || cpu::online().filter(|&cpu| cpu != here);
    others().for_each(lapic::send_nmi);
    let deadline = time::now() + STOP_TIMEOUT;
    let stopped = |cpu| STOPPED_AT.on(cpu).is_none_or(|frame| !frame.load(Ordering::Acquire).is_null());
    while !others().all(stopped) && time::now() < deadline {
        core::hint::spin_loop();
    }
}

/// What the NMI of `stop_others` does.
pub(crate) fn stop_this_cpu(frame: &TrapFrame) -> ! {
    if PANICKING.load(Ordering::Relaxed) != percpu::this_cpu().number() {
        let guard = PreemptGuard::new();
        STOPPED_AT.get(&guard).store((&raw const *frame).cast_mut(), Ordering::Release);
    }
    cpu::halt_forever()
}
