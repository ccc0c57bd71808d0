//! Reports that get out whatever locks are held: panics, faults, and what the watchdog and non-maskable interrupts tell.
//!
//! A [`Report`] writes to both serial ports by polling. The reports of several CPUs do not mix: each waits for the other,
//! but not for ever, and not at all once the kernel panics. It takes no lock and allocates nothing.

use crate::console;
use crate::cpu::CpuId;
use crate::hooks;
use crate::percpu;
use crate::sync::guard::IrqGuard;
use crate::sync::lockdep;
use crate::task::{self, Task};
use crate::time;
use crate::trap::TrapFrame;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

const NOBODY: u32 = u32::MAX;
/// Longest wait for the report of another CPU.
const PATIENCE: Duration = Duration::from_secs(3);

/// Number of the CPU that reports.
static REPORTING: AtomicU32 = AtomicU32::new(NOBODY);

/// The right to write a report; interrupts are off meanwhile.
pub(crate) struct Report {
    /// False inside another report of this CPU, or when the wait was given up.
    owns: bool,
    _guard: IrqGuard,
}

impl Report {
    /// Waits for the reports of other CPUs and begins one.
    pub(crate) fn begin() -> Report {
        let guard = IrqGuard::new();
        let here = percpu::this_cpu().number();
        let deadline = time::now() + PATIENCE;
        loop {
            match REPORTING.compare_exchange(NOBODY, here, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Report { owns: true, _guard: guard },
                Err(other) if other == here => return Report { owns: false, _guard: guard },
                Err(_) if time::now() > deadline => return Report { owns: false, _guard: guard },
                Err(_) => core::hint::spin_loop(),
            }
        }
    }

    /// Begins one without waiting: for a panic, which has stopped the others.
    pub(crate) fn seize() -> Report {
        let guard = IrqGuard::new();
        REPORTING.store(percpu::this_cpu().number(), Ordering::Relaxed);
        Report { owns: true, _guard: guard }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if self.owns {
            REPORTING.store(NOBODY, Ordering::Release);
        }
    }
}

impl Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        console::emergency(format_args!("{text}"));
        Ok(())
    }
}

/// ` on CPU 1 in task 5 ("shell")`.
pub(crate) fn write_place(out: &mut dyn Write, cpu: CpuId, task: Option<&Task>) -> fmt::Result {
    write!(out, " on CPU {cpu}")?;
    match task {
        Some(task) => write!(out, " in task {} ({:?})", task.id(), task.name()),
        None => Ok(()),
    }
}

/// The same for the code that runs here.
pub(crate) fn write_own_place(out: &mut dyn Write) -> fmt::Result {
    write_place(out, percpu::this_cpu(), task::try_current().as_deref())
}

/// Writes where the program that `task` runs is, if it runs one: the file that is mapped there, and how far into it.
/// `frame` is what was interrupted, if that may be the program itself. For panics, since looking at the mappings takes
/// locks, where they are free.
///
/// # Safety
/// 1. The task does not run meanwhile, or is the current one.
pub(crate) unsafe fn write_user_place(out: &mut dyn Write, task: &Task, frame: Option<&TrapFrame>) -> fmt::Result {
    let (address, how) = match frame.filter(|frame| frame.from_user()) {
        Some(frame) => (Some(frame.rip), "in"),
        // SAFETY: (1) as the caller promises.
        None => (unsafe { task.left_user_mode_at() }, "left"),
    };
    let Some(address) = address else { return Ok(()) };
    write!(out, "  {address:016x} {how} user mode: ")?;
    if !hooks::user_place(task, address, out) {
        write!(out, "not in a file")?;
    }
    writeln!(out)
}

/// A line for each spinlock that `cpu` holds, as far as the build knows.
pub(crate) fn write_held_locks(out: &mut dyn Write, cpu: CpuId) -> fmt::Result {
    let mut result = Ok(());
    lockdep::for_each_held_by(cpu, |name, rank, place| {
        result = result.and_then(|()| writeln!(out, "  holding lock {name:?} ({rank:?}), taken at {place}"));
    });
    result
}

/// A lock was held for long; the trace is of the code that has just released it.
#[cold]
#[cfg(debug_assertions)]
pub(crate) fn long_hold(name: &str, held: Duration) {
    let mut out = Report::begin();
    let _ = write!(out, "\nlock {name:?} was held for {} ms", held.as_millis());
    let _ = write_own_place(&mut out);
    let _ = writeln!(out, "; released by:");
    let _ = crate::trap::backtrace::write_current(&mut out);
}
