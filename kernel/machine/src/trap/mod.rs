//! Interrupts and exceptions: the IDT, the frame, and what happens to each vector.
//!
//! `asm/trap.S` has the 256 stubs. From user mode they end in `user::run`'s return, so what arrives here comes from kernel
//! mode, or is one of the three paranoid vectors. `dispatch` serves both: `user::run`'s caller passes interrupts on.

pub mod backtrace;
pub mod frame;
mod idt;
pub mod symbols;

use crate::addr;
use crate::cpu::{control, debug, msr};
use crate::hooks::{self, Access};
use crate::irq;
use crate::percpu;
use crate::profile;
use crate::report::{self, Report};
use crate::sync::guard;
use crate::time;
use crate::trace;
use crate::user;
use core::arch::global_asm;
use core::fmt::Write;
pub use frame::{Exception, TrapFrame};
pub(crate) use idt::load as load_idt;
use klib::profile::MAX_DEPTH;
use klib::trace::Event;

global_asm!(
    include_str!("../../../../asm/trap.S"),
    kernel_trap = sym kernel_trap,
    paranoid_trap = sym paranoid_trap,
    user_context = sym user::USER_CONTEXT,
    user_return_rsp = sym user::USER_RETURN_RSP,
    gs_base_msr = const msr::GS_BASE,
);

/// First vector that is not a CPU exception.
pub const FIRST_INTERRUPT: u64 = 32;

/// An exception or interrupt that came in kernel mode.
extern "C" fn kernel_trap(frame: &mut TrapFrame) {
    user::copy::close();
    if frame.vector >= FIRST_INTERRUPT {
        interrupt(frame.vector as u8, false);
        if time::take_due_sample() {
            sample(frame);
        }
        if guard::need_reschedule() && guard::preempt_count() == 0 && frame.interrupts_were_on() {
            hooks::schedule();
        }
        return;
    }
    if frame.exception() == Some(Exception::PageFault) && kernel_page_fault(frame, control::cr2()) {
        return;
    }
    if frame.exception() == Some(Exception::GeneralProtection) && fixed_up(frame) {
        return;
    }
    fatal(frame)
}

/// Serves interrupt `vector`, with interrupts off. `from_user`: it came in user mode.
pub fn interrupt(vector: u8, from_user: bool) {
    guard::enter_interrupt();
    if trace::on() {
        trace::note(Event::Interrupt { vector });
    }
    irq::dispatch(vector, from_user);
    if trace::on() {
        trace::note(Event::InterruptEnd { vector });
    }
    guard::leave_interrupt();
}

/// What the kernel was doing, for the profiler.
#[cold]
fn sample(frame: &TrapFrame) {
    let mut stack = [0; MAX_DEPTH];
    stack[0] = frame.rip;
    let mut depth = 1;
    backtrace::walk(frame.rbp, &mut |step| {
        if depth < MAX_DEPTH {
            stack[depth] = step.address;
            depth += 1;
        }
        depth < MAX_DEPTH
    });
    profile::add(&stack[..depth]);
}

/// A page fault in kernel mode: fine only in the user copy routines.
fn kernel_page_fault(frame: &mut TrapFrame, address: u64) -> bool {
    if address >= addr::USER_END || user::copy::fixup(frame.rip).is_none() {
        return fixed_up(frame) && address < addr::USER_END;
    }
    let access = if frame.error & 2 != 0 { Access::Write } else { Access::Read };
    // The copy ran with interrupts on unless its caller holds a spinlock, in which case nothing may be mapped now and
    // the copy reports the fault.
    if frame.interrupts_were_on() && guard::preempt_count() == 0 {
        guard::interrupts_enable();
        let resolved = hooks::page_fault(address, access);
        guard::interrupts_disable();
        if resolved {
            return true;
        }
    }
    fixed_up(frame)
}

/// Sends the interrupted code on at its fix-up address, if it has one.
fn fixed_up(frame: &mut TrapFrame) -> bool {
    match user::copy::fixup(frame.rip) {
        Some(address) => {
            frame.rip = address;
            true
        }
        None => false,
    }
}

/// NMI, double fault, machine check, and debug exceptions in kernel mode: on their own stacks, from anywhere.
extern "C" fn paranoid_trap(frame: &mut TrapFrame) {
    // A program has set a watchpoint on memory that the kernel just copied; or it loaded SS from there right before SYSCALL,
    // which puts the exception off to the first instruction of the kernel.
    if frame.exception() == Some(Exception::Debug) && debug::take_status() & debug::HITS != 0 {
        return;
    }
    if frame.exception() == Some(Exception::NonMaskable) {
        if crate::panic::panicking() {
            crate::panic::stop_this_cpu(frame);
        }
        irq::note_nmi();
        report_nmi(frame);
        return;
    }
    fatal(frame)
}

/// Nothing of the kernel's own asks for an NMI but a panic. From outside it is how a person looks at a machine that
/// seems to hang (a button, `nmi` in QEMU's monitor): says what the CPU was doing, and goes on.
#[cold]
fn report_nmi(frame: &TrapFrame) {
    let mut out = Report::begin();
    let mode = if frame.from_user() { "user" } else { "kernel" };
    let _ = write!(out, "\nNMI in {mode} mode");
    let _ = report::write_own_place(&mut out);
    let _ = writeln!(out, ":");
    let _ = backtrace::write_frame(&mut out, frame);
    let _ = report::write_held_locks(&mut out, percpu::this_cpu());
}

#[cold]
fn fatal(frame: &TrapFrame) -> ! {
    crate::panic::fatal_trap(frame, control::cr2())
}
