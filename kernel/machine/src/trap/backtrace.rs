//! Stack traces by frame pointers, through interrupts.
//!
//! Every kernel function keeps a frame (`force-frame-pointers`). A return address into the common interrupt path means
//! that the frame above is a [`TrapFrame`]: the trace names the interrupted instruction and goes on from its rbp.
//! Only kernel-half, mapped stack memory is read, so that a broken chain ends the trace and nothing else.

use super::frame::TrapFrame;
use super::symbols;
use crate::addr;
use crate::mm::space;
use core::fmt::{self, Write};

const MAX_DEPTH: usize = 64;

unsafe extern "C" {
    static common_interrupt: u8;
    static common_interrupt_end: u8;
    static paranoid_interrupt: u8;
    static paranoid_interrupt_end: u8;
}

/// Writes the trace of the caller.
pub fn write_current(out: &mut dyn Write) -> fmt::Result {
    let rbp: u64;
    // SAFETY: (1) reading a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
    write_from(out, rbp)
}

/// Writes the trace of interrupted code.
pub fn write_frame(out: &mut dyn Write, frame: &TrapFrame) -> fmt::Result {
    write_line(out, frame.rip)?;
    if frame.from_user() {
        return Ok(());
    }
    write_from(out, frame.rbp)
}

/// One more function of a stack.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// In its code: of a call, or what an interrupt interrupted.
    pub address: u64,
    /// That interrupt's vector.
    pub interrupt: Option<u64>,
}

/// Writes the trace that begins at frame pointer `rbp`.
pub fn write_from(out: &mut dyn Write, rbp: u64) -> fmt::Result {
    let mut result = Ok(());
    let mut depth = 0;
    walk(rbp, &mut |step| {
        depth += 1;
        result = match depth {
            1..=MAX_DEPTH => write_step(out, step),
            _ => writeln!(out, "  ... (deeper than {MAX_DEPTH} frames)"),
        };
        result.is_ok() && depth <= MAX_DEPTH
    });
    result
}

fn write_step(out: &mut dyn Write, step: Step) -> fmt::Result {
    if let Some(vector) = step.interrupt {
        writeln!(out, "  --- interrupt {vector} ---")?;
    }
    write_line(out, step.address)
}

/// Gives `visit` what lies on the stack from frame pointer `rbp` on, innermost first, until that says false.
pub fn walk(mut rbp: u64, visit: &mut dyn FnMut(Step) -> bool) {
    while let (Some(next), Some(return_address)) = (read(rbp), read(rbp.wrapping_add(8))) {
        // Zero, or the page in which a CPU started.
        if !addr::is_kernel(return_address) {
            return;
        }
        let step = if in_interrupt_path(return_address) {
            let Some(frame) = read_frame(rbp.wrapping_add(16)) else { return };
            rbp = if frame.from_user() { 0 } else { frame.rbp };
            Step { address: frame.rip, interrupt: Some(frame.vector) }
        } else {
            rbp = next;
            // The call lies before the address it returns to.
            Step { address: return_address - 1, interrupt: None }
        };
        if !visit(step) {
            return;
        }
    }
}

/// One line for the function that `address` is in, and one for each that this is inlined into.
fn write_line(out: &mut dyn Write, address: u64) -> fmt::Result {
    if !addr::is_kernel(address) {
        return writeln!(out, "  {address:016x} (user mode)");
    }
    let mut head = Some(address);
    for frame in symbols::frames(address) {
        match head.take() {
            Some(address) => write!(out, "  {address:016x} {}", frame.function)?,
            None => write!(out, "      inlined into {}", frame.function)?,
        }
        match (frame.file, frame.line) {
            ("", _) => writeln!(out)?,
            (file, 0) => writeln!(out, " at {file}")?,
            (file, line) => writeln!(out, " at {file}:{line}")?,
        }
    }
    match (head, symbols::lookup(address)) {
        (None, _) => Ok(()),
        (Some(address), Some(location)) => writeln!(out, "  {address:016x} {location}"),
        (Some(address), None) => writeln!(out, "  {address:016x} ?"),
    }
}

fn in_interrupt_path(address: u64) -> bool {
    let within = |start: *const u8, end: *const u8| (start as u64..=end as u64).contains(&address);
    within(&raw const common_interrupt, &raw const common_interrupt_end)
        || within(&raw const paranoid_interrupt, &raw const paranoid_interrupt_end)
}

/// One word of a kernel stack; None where there is none.
fn read(address: u64) -> Option<u64> {
    if !addr::is_kernel(address) || !address.is_multiple_of(8) || !space::is_mapped(address) {
        return None;
    }
    // SAFETY: (1) the page is mapped in the kernel's half and aligned; a stale value is only a wrong line in a trace.
    Some(unsafe { (address as *const u64).read_volatile() })
}

fn read_frame(address: u64) -> Option<TrapFrame> {
    let mut frame = TrapFrame::default();
    let last = address + size_of::<TrapFrame>() as u64 - 8;
    read(address)?;
    read(last)?;
    // SAFETY: (1) first and last word are mapped kernel memory, and the frame spans at most one page boundary.
    unsafe { core::ptr::copy_nonoverlapping(address as *const TrapFrame, &mut frame, 1) };
    Some(frame)
}
