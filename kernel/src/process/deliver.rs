//! Signals on the way to user mode: what taking one leads to, the frame a handler finds, and the way back from it
//! (sigreturn(2)); and whether a system call that a signal interrupted begins again.
//!
//! Everything here happens in the thread's own context.

use super::signal::{Disposition, flags};
use super::table;
use super::{ExitStatus, Thread, cpu_limit};
use abi::pod::Pod;
use abi::sigframe::{
    FpxSwBytes, KernelSiginfo, RtSigframe, Sigcontext, UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS, Ucontext,
};
use abi::signal::{DefaultAction, SS_DISABLE, SS_ONSTACK, SaFlags, Sigaction, SigaltStack};
use abi::{Errno, Signal};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::addr::USER_END;
use machine::cpu::features::{self, Features};
use machine::cpu::gdt::{USER_CODE, USER_DATA};
use machine::task::{self, FpuState};
use machine::trace;
use machine::user::copy::{self, FpuMarks};
use machine::user::{UserContext, value};

/// What lies below the stack pointer and belongs to the function (psABI, "red zone").
const RED_ZONE: u64 = 128;
/// What the XSAVE area says of itself ([`FpxSwBytes`]), and what is behind it.
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;
/// Bytes of the area without XSAVE.
const LEGACY_LEN: usize = 512;
/// `ss_flags`: the stack is out of use while a handler runs, so that the handler may leave it.
pub const SS_AUTODISARM: i32 = i32::MIN;
const FLAG_DIRECTION: u64 = 1 << 10;
const FLAG_TRAP: u64 = 1 << 8;
/// Bytes of the SYSCALL instruction.
const SYSCALL_LEN: u64 = 2;

/// A system call that ended with EINTR.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted {
    /// Its number.
    pub number: u64,
    /// When it begins again.
    pub restart: Restart,
}

/// When an interrupted call begins again (signal(7), "Interruption of system calls").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// Always, after a handler too.
    Always,
    /// If no handler ran, or one with SA_RESTART.
    AfterHandler,
    /// Only if no handler ran.
    WithoutHandler,
    /// Never.
    Never,
}

/// What the thread keeps for the handlers of its signals.
#[derive(Default)]
pub struct Handling {
    /// Its last exception.
    pub fault: LastFault,
    /// The frame of the last signal: what is the same in all of them stays there.
    frame: RtSigframe,
}

/// Of the last exception of the thread, what a handler's context tells.
#[derive(Clone, Copy, Default, Debug)]
pub struct LastFault {
    /// Its vector.
    pub trapno: u64,
    /// Its error code.
    pub err: u64,
    /// The address of a page fault.
    pub cr2: u64,
}

/// Does what there is to do before user mode: signals, stops. `call` is the system call that was interrupted, if one was.
/// False if the thread is to end.
#[inline(never)] // few calls lead here, and all pass by the place where this would stand
pub fn attend(
    thread: &Arc<Thread>,
    context: &mut UserContext,
    call: Option<Interrupted>,
    handling: &mut Handling,
) -> bool {
    let mut handled = false;
    let mut call = call;
    loop {
        thread.attention.store(false, Ordering::SeqCst);
        // Whoever begins to trace it from here on sets its attention again.
        let traced = thread.is_or_was_traced();
        if traced {
            thread.trace_attend(context, call);
        }
        if thread.cpu_time_due.load(Ordering::Relaxed) {
            cpu_limit::check(thread);
        }
        if thread.is_ending() {
            return false;
        }
        if traced && thread.trace_pause(context, &mut call) {
            thread.attention.store(true, Ordering::SeqCst);
            continue;
        }
        if thread.process().is_stopped() && !thread.is_traced() {
            thread.process().wait_while_stopped(thread);
            thread.attention.store(true, Ordering::SeqCst);
            continue;
        }
        let mut continuations = 0;
        let Some((signal, info)) = thread.take_signal(&mut continuations) else { break };
        if trace::on() {
            thread.show_signal(signal, &info);
        }
        let shown = if traced { thread.trace_signal(context, &mut call, (signal, info)) } else { Some((signal, info)) };
        let Some((signal, info)) = shown else { continue };
        match thread.process().actions.take(signal) {
            Disposition::Default(action) => default_action(thread, signal, action, continuations),
            Disposition::Handler(action) => {
                let again = |call: &Interrupted| {
                    let restarts = flags(&action).contains(SaFlags::RESTART);
                    call.restart == Restart::Always || call.restart == Restart::AfterHandler && restarts
                };
                if let Some(call) = call.take_if(|call| again(call)) {
                    begin_again(context, call);
                }
                call = None;
                handled = true;
                let aborted = thread.rseq.abort_section(context);
                let made = aborted.and_then(|()| push_frame(thread, context, signal, &info, &action, handling));
                if made.is_err() {
                    // A handler of SIGSEGV for whose frame there is no room would be tried for ever.
                    if signal == Signal::SIGSEGV {
                        thread.process().actions.action(signal, Some(Sigaction::default()));
                    }
                    thread.force(Signal::SIGSEGV, KernelSiginfo::kernel(Signal::SIGSEGV));
                } else if traced {
                    thread.trace_handler(context);
                }
            }
        }
    }
    finish_call(thread, context, call, handled);
    if thread.rseq.update(context).is_err() {
        thread.force(Signal::SIGSEGV, KernelSiginfo::kernel(Signal::SIGSEGV)); // taken before user mode
    }
    if thread.is_or_was_traced() {
        thread.trace_enter(context);
    }
    true
}

fn finish_call(thread: &Thread, context: &mut UserContext, call: Option<Interrupted>, handled: bool) {
    let restarts = call.filter(|call| call.restart != Restart::Never);
    match restarts {
        Some(call) => begin_again(context, call),
        None => thread.restart_deadline.set(None),
    }
    if !handled {
        thread.end_blocked_for_call();
    }
}

/// Goes back to the SYSCALL instruction.
fn begin_again(context: &mut UserContext, call: Interrupted) {
    let registers = context.registers_mut();
    registers.rip -= SYSCALL_LEN;
    registers.rax = call.number;
}

fn default_action(thread: &Arc<Thread>, signal: Signal, action: DefaultAction, continuations: u32) {
    let process = thread.process();
    match action {
        DefaultAction::Ignore | DefaultAction::Continue => {}
        DefaultAction::Terminate | DefaultAction::Core => process.exit(ExitStatus::Killed(signal)),
        // The terminal's stop signals have no effect where nobody could continue the group (POSIX 2.4.3).
        DefaultAction::Stop if signal != Signal::SIGSTOP && table::is_orphaned_group(process.group()) => {}
        DefaultAction::Stop => process.stop(signal, continuations),
    }
}

/// Makes user mode go on in the handler, with a frame on its stack that leads back.
fn push_frame(
    thread: &Thread,
    context: &mut UserContext,
    signal: Signal,
    info: &KernelSiginfo,
    action: &Sigaction,
    handling: &mut Handling,
) -> Result<(), Errno> {
    let how = flags(action);
    if !how.contains(SaFlags::RESTORER) {
        return Err(Errno::EFAULT); // x86-64 programs bring the code that returns
    }
    let stack = thread.alternate_stack.get();
    let rsp = context.registers().rsp;
    let on_stack = is_on(&stack, rsp);
    let switches = how.contains(SaFlags::ONSTACK) && stack.ss_flags & SS_DISABLE == 0 && !on_stack;
    let top = if switches { stack.ss_sp.wrapping_add(stack.ss_size) } else { rsp.wrapping_sub(RED_ZONE) };
    let features = features::get();
    let fpstate = top.wrapping_sub(features.fpu_area_len as u64 + 4) & !63;
    let frame = (fpstate.wrapping_sub(RtSigframe::SIZE as u64) & !15).wrapping_sub(8);
    if (switches || on_stack) && frame < stack.ss_sp || frame >= USER_END {
        return Err(Errno::EFAULT);
    }
    let mask = thread.take_saved_mask().unwrap_or_else(|| thread.blocked());
    write_fpu(fpstate, features)?;
    let stack_flags = if on_stack { SS_ONSTACK } else { stack.ss_flags };
    let Handling { fault, frame: image } = handling;
    image.pretcode = action.sa_restorer;
    image.uc.uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | if features.xsave { UC_FP_XSTATE } else { 0 };
    image.uc.uc_stack = SigaltStack { ss_flags: stack_flags, ..stack };
    image.uc.uc_sigmask = mask;
    save_registers(&mut image.uc.uc_mcontext, context);
    let kept = &mut image.uc.uc_mcontext;
    (kept.oldmask, kept.fpstate) = (mask.0, fpstate);
    (kept.trapno, kept.err, kept.cr2) = (fault.trapno, fault.err, fault.cr2);
    image.info.known = *info;
    value::put(frame, image)?;
    if stack.ss_flags & SS_AUTODISARM != 0 {
        thread.alternate_stack.set(SigaltStack::NONE);
    }
    let mut blocked = thread.blocked().union(action.sa_mask);
    if !how.contains(SaFlags::NODEFER) {
        blocked = blocked.with(signal);
    }
    thread.set_blocked(blocked);
    let registers = context.registers_mut();
    registers.rdi = signal.number().into();
    registers.rsi = frame + core::mem::offset_of!(RtSigframe, info) as u64;
    registers.rdx = frame + core::mem::offset_of!(RtSigframe, uc) as u64;
    registers.rax = 0;
    registers.rsp = frame;
    registers.rip = action.sa_handler;
    registers.rflags &= !(FLAG_DIRECTION | FLAG_TRAP);
    Ok(())
}

/// Saves the floating-point state with the marks by which a program, and sigreturn, know its length.
fn write_fpu(at: u64, features: &Features) -> Result<(), Errno> {
    let len = features.fpu_area_len as u32;
    let marks = FpxSwBytes {
        magic1: MAGIC1,
        extended_size: len + 4,
        xstate_bv: features.xcr0,
        xstate_size: len,
        ..FpxSwBytes::default()
    };
    copy::save_fpu(at, &FpuMarks { inside: marks.into(), behind: MAGIC2 }).map_err(|_| Errno::EFAULT)
}

/// rt_sigreturn(2): registers, mask, alternate stack and floating-point state come back from the frame.
#[inline(never)] // its frame has nothing to do with that of every system call
pub fn sigreturn(thread: &Thread, context: &mut UserContext) -> Result<u64, Errno> {
    // The handler's return has taken the first word off, behind which the context is.
    value::with(context.registers().rsp, |frame| restore(thread, context, frame))?
}

fn restore(thread: &Thread, context: &mut UserContext, frame: &Ucontext) -> Result<u64, Errno> {
    let saved = &frame.uc_mcontext;
    if saved.rip >= USER_END {
        return Err(Errno::EFAULT);
    }
    load_fpu(saved.fpstate)?;
    restore_registers(context, saved);
    thread.set_blocked(frame.uc_sigmask);
    let stack = frame.uc_stack;
    if !is_on(&thread.alternate_stack.get(), saved.rsp) {
        thread.alternate_stack.set(SigaltStack { ss_flags: stack.ss_flags & (SS_DISABLE | SS_AUTODISARM), ..stack });
    }
    Ok(saved.rax)
}

/// Loads the floating-point state from the program's memory. What the image does not have is at its initial value.
fn load_fpu(at: u64) -> Result<(), Errno> {
    let task = task::current();
    if at == 0 {
        task.set_fpu(FpuState::new().map_err(|_| Errno::ENOMEM)?);
        return Ok(());
    }
    let features = features::get();
    let marks: FpxSwBytes = value::get(at.wrapping_add(FpuMarks::AT))?;
    let mut has_all = !features.xsave;
    // A handler may have cut the image down to what every CPU has, or brought that of another CPU.
    if features.xsave && marks.magic1 == MAGIC1 && marks.xstate_size as usize == features.fpu_area_len {
        let mark: u32 = value::get(at.wrapping_add(features.fpu_area_len as u64))?;
        has_all = mark == MAGIC2 && marks.xstate_bv & features.xcr0 == features.xcr0;
    }
    if has_all {
        return copy::load_fpu(at).map_err(|_| Errno::EFAULT);
    }
    let mut legacy = [0; LEGACY_LEN];
    copy::read(at, &mut legacy).map_err(|_| Errno::EFAULT)?;
    task.set_fpu(FpuState::from_legacy(&legacy).map_err(|_| Errno::ENOMEM)?);
    Ok(())
}

/// Whether `rsp` lies in the alternate stack; what is disarmed by a handler does not count.
pub fn is_on(stack: &SigaltStack, rsp: u64) -> bool {
    stack.ss_flags & (SS_DISABLE | SS_AUTODISARM) == 0 && rsp > stack.ss_sp && rsp - stack.ss_sp <= stack.ss_size
}

/// Copies the registers that a frame and a thread's context have both, under the same names.
macro_rules! copy_registers {
    ($from:ident to $to:ident: $($register:ident)*) => { $($to.$register = $from.$register;)* };
    ($from:ident to $to:ident) => {
        copy_registers!($from to $to: r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip rflags)
    };
}

#[inline(never)] // each register goes from memory to memory instead of all waiting for room
fn save_registers(to: &mut Sigcontext, context: &UserContext) {
    let from = context.registers();
    copy_registers!(from to to);
    to.cs = USER_CODE;
    to.ss = USER_DATA;
}

/// Flags and selectors that are not the program's are set right when user mode is entered.
#[inline(never)] // as `save_registers`
fn restore_registers(context: &mut UserContext, from: &Sigcontext) {
    let to = context.registers_mut();
    copy_registers!(from to to);
}
