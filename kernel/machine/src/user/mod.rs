//! User mode as a call that returns a reason.
//!
//! [`run`] goes to user mode with a context and comes back when the program makes a system call, faults, or is
//! interrupted. In between the context is the CPU's stack for interrupts (`asm/user.S`), so its address must not change:
//! `run` borrows it for the time.

pub mod copy;
pub mod value;

use crate::addr::USER_END;
use crate::cpu::{control, debug, gdt, msr};
use crate::percpu;
use crate::sync::guard::{self, IrqGuard};
use crate::task;
use crate::time;
use crate::trap::{Exception, FIRST_INTERRUPT, TrapFrame};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Vector of the debug exception.
const DEBUG_VECTOR: u64 = 1;
/// Vector number that stands for SYSCALL in a context.
const SYSCALL_VECTOR: u64 = 0x100;
const FLAG_CARRY_TO_OVERFLOW: u64 = 0xcd5; // CF PF AF ZF SF DF OF
const FLAG_TRAP: u64 = 1 << 8;
const FLAG_INTERRUPT: u64 = 1 << 9;
const FLAG_RESUME: u64 = 1 << 16;
const FLAG_ALIGNMENT: u64 = 1 << 18;
const FLAG_ID: u64 = 1 << 21;
const FLAG_ALWAYS: u64 = 1 << 1;
/// Flags that belong to the program.
pub const USER_FLAGS: u64 = FLAG_CARRY_TO_OVERFLOW | FLAG_TRAP | FLAG_RESUME | FLAG_ALIGNMENT | FLAG_ID;
/// Flags cleared by SYSCALL: TF, IF, DF, IOPL, NT, AC.
const SYSCALL_FLAG_MASK: u64 = 0x4_7700;

percpu! {
    /// Stack pointer with which `user_enter` returns.
    pub(crate) static USER_RETURN_RSP: AtomicU64 = AtomicU64::new(0);
    /// End of the context in user mode now.
    pub(crate) static USER_CONTEXT: AtomicU64 = AtomicU64::new(0);
    static USER_SCRATCH: AtomicU64 = AtomicU64::new(0);
}

global_asm!(
    include_str!("../../../../asm/user.S"),
    user_return_rsp = sym USER_RETURN_RSP,
    user_context = sym USER_CONTEXT,
    user_scratch = sym USER_SCRATCH,
    tables = sym gdt::TABLES,
    tss_rsp0 = const gdt::TSS_RSP0,
    context_size = const size_of::<TrapFrame>(),
    user_cs = const gdt::USER_CODE,
    user_ss = const gdt::USER_DATA,
    syscall_vector = const SYSCALL_VECTOR,
);

unsafe extern "C" {
    /// Of `context` and whether SYSRET will do. Not by the C calling convention: called by [`run`] alone.
    fn user_enter();
    fn syscall_entry();
}

/// Registers of a user program.
#[repr(C, align(16))]
#[derive(Clone, Debug)]
pub struct UserContext {
    frame: TrapFrame,
}

/// Why user mode was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// A system call; number and arguments are in the registers.
    Syscall,
    /// A CPU exception.
    Fault {
        /// Which one.
        exception: Exception,
        /// The CPU's error code.
        error: u64,
        /// For a page fault, the address; for a debug exception, what DR6 says of it; else that of the instruction.
        address: u64,
    },
    /// An interrupt; it has been served.
    Interrupt,
    /// It was not entered, as there is something else to do first.
    Attention,
    /// One in which the profiler wants a sample of the program.
    Sampled,
}

impl UserContext {
    /// A program that begins at `entry` with stack pointer `stack`, all other registers zero.
    pub fn new(entry: u64, stack: u64) -> Self {
        let mut context = UserContext { frame: TrapFrame::default() };
        context.frame.rip = entry;
        context.frame.rsp = stack;
        context
    }

    /// The registers. Selectors and privileged flags in it are ignored.
    pub fn registers(&self) -> &TrapFrame {
        &self.frame
    }

    /// The registers, to change.
    pub fn registers_mut(&mut self) -> &mut TrapFrame {
        &mut self.frame
    }

    /// Number of the system call.
    pub fn syscall_number(&self) -> u64 {
        self.frame.rax
    }

    /// Its six arguments.
    pub fn syscall_arguments(&self) -> [u64; 6] {
        let frame = &self.frame;
        [frame.rdi, frame.rsi, frame.rdx, frame.r10, frame.r8, frame.r9]
    }

    /// What the system call returned.
    pub fn result(&self) -> u64 {
        self.frame.rax
    }

    /// Sets what the system call returns.
    pub fn set_result(&mut self, value: u64) {
        self.frame.rax = value;
    }
}

/// Sets SYSCALL up on this CPU.
pub(crate) fn init_this_cpu() {
    let star = u64::from(gdt::KERNEL_CODE) << 32 | u64::from(gdt::USER_DATA - 8) << 48;
    // SAFETY: (1) the entry saves everything and the selectors are those of the GDT: SYSCALL takes STAR[47:32] and the
    // next, SYSRET STAR[63:48] + 16 for code and + 8 for the stack.
    unsafe {
        msr::write(msr::STAR, star);
        msr::write(msr::LSTAR, syscall_entry as *const () as u64);
        msr::write(msr::SFMASK, SYSCALL_FLAG_MASK);
    }
}

/// Runs the program until it needs the kernel, unless `attention` is set. Called by its own task, with interrupts on and no
/// guard held. Whoever sets `attention` while this runs, and then makes the CPU come out of user mode by an interrupt, is
/// not missed: it is looked at last, with interrupts off.
pub fn run(context: &mut UserContext, attention: &AtomicBool) -> Exit {
    guard::might_sleep();
    guard::interrupts_disable();
    if attention.load(Ordering::SeqCst) {
        guard::interrupts_enable();
        return Exit::Attention;
    }
    let frame = &mut context.frame;
    if frame.rip >= USER_END {
        guard::interrupts_enable();
        return Exit::Fault { exception: Exception::GeneralProtection, error: 0, address: frame.rip };
    }
    // SYSRET takes rip and flags from rcx and r11, as SYSCALL left them; nothing else of what IRETQ takes is looked at.
    let flags = frame.rflags & USER_FLAGS | FLAG_INTERRUPT | FLAG_ALWAYS;
    let by_sysret = frame.vector == SYSCALL_VECTOR && frame.rcx == frame.rip && frame.r11 == flags;
    if !by_sysret {
        frame.cs = gdt::USER_CODE.into();
        frame.ss = gdt::USER_DATA.into();
        frame.rflags = flags;
    }
    task::current().note_context(frame);
    // SAFETY: (1) rip is a canonical user address, the flags hold nothing privileged, selectors are the user's: neither
    // iretq nor sysretq can fault. (2) The address space is the task's own, with the kernel's half. (3) The context is
    // 16-aligned and stays in place, borrowed by this function, until user_enter has returned. (4) user_enter keeps rbx, rbp
    // and rsp, and no other register.
    unsafe {
        asm!(
            "call {user_enter}",
            user_enter = sym user_enter,
            in("rdi") frame,
            in("esi") u32::from(by_sysret),
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
        );
    }
    leave(frame)
}

/// Back in the kernel, with interrupts off.
fn leave(frame: &mut TrapFrame) -> Exit {
    if frame.vector == SYSCALL_VECTOR {
        // SYSCALL itself has cleared AC, which would open user memory to the kernel.
        guard::interrupts_enable();
        return Exit::Syscall;
    }
    copy::close();
    let address = control::cr2();
    if frame.vector >= FIRST_INTERRUPT {
        crate::trap::interrupt(frame.vector as u8, true);
        let sampled = time::take_due_sample();
        guard::interrupts_enable();
        return if sampled { Exit::Sampled } else { Exit::Interrupt };
    }
    let is_debug = frame.vector == DEBUG_VECTOR;
    let status = if is_debug { note_debug_exception(frame) } else { 0 };
    guard::interrupts_enable();
    if is_debug {
        return Exit::Fault { exception: Exception::Debug, error: frame.error, address: status };
    }
    let exception = frame.exception().unwrap_or(Exception::Reserved(frame.vector as u8));
    let address = if exception == Exception::PageFault { address } else { frame.rip };
    Exit::Fault { exception, error: frame.error, address }
}

/// What a debug exception is about. An instruction that it stopped at is executed when the program goes on.
#[cold]
fn note_debug_exception(frame: &mut TrapFrame) -> u64 {
    let status = debug::take_status();
    let task = task::current();
    task.note_debug_status(status);
    if task.debug_registers().stops_at_execution(status) {
        frame.rflags |= FLAG_RESUME;
    }
    status
}

/// The return addresses on the stack of the current program, by its frame pointers from `rbp` on: each is given to `visit`
/// until that says false. Only memory that is there is read.
pub fn return_addresses(mut rbp: u64, visit: &mut dyn FnMut(u64) -> bool) {
    loop {
        let mut frame = [0; 16];
        let read = {
            // A copy may not wait here, and gives up where something would have to be mapped.
            let _guard = IrqGuard::new();
            rbp.is_multiple_of(8) && copy::read(rbp, &mut frame).is_ok()
        };
        let [next, address] = [0, 8].map(|at| u64::from_le_bytes(core::array::from_fn(|byte| frame[at + byte])));
        // A caller's frame lies higher.
        if !read || address == 0 || !visit(address) || next <= rbp {
            return;
        }
        rbp = next;
    }
}
