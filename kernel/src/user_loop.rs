//! The life of a user thread: run the program, do what it needs, run it again.

use crate::process::deliver::{self, Handling, Interrupted, LastFault};
use crate::process::{self, ExitStatus, Start, Thread};
use crate::sched;
use crate::syscall;
use crate::vm::fault::{self, FaultError};
use abi::Signal;
use abi::sigframe::{
    BUS_ADRALN, BUS_ADRERR, FPE_FLTDIV, FPE_FLTINV, FPE_FLTOVF, FPE_FLTRES, FPE_FLTUND, FPE_INTDIV, ILL_ILLOPN,
    KernelSiginfo, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, TRAP_BRKPT, TRAP_HWBKPT, TRAP_TRACE,
};
use alloc::string::String;
use alloc::sync::Arc;
use klib::rate_limit::RateLimit;
use machine::hooks::Access;
use machine::sync::guard;
use machine::task::{self, FpuState};
use machine::time;
use machine::trace;
use machine::trap::Exception;
use machine::user::{self, Exit, UserContext, copy};

/// Error code of a page fault: a store, an instruction fetch (SDM volume 3, figure 4-12).
const FAULT_WRITE: u64 = 1 << 1;
const FAULT_FETCH: u64 = 1 << 4;
/// In DR6: an address of the debug registers was reached; one instruction was executed (SDM volume 3, 18.2.3).
const DR6_HITS: u64 = 0xf;
const DR6_STEP: u64 = 1 << 14;
/// Offsets in the FXSAVE area: x87 control and status word, MXCSR, whose mask bits lie this much above the flags.
const FXSAVE_CONTROL: usize = 0;
const FXSAVE_STATUS: usize = 2;
const FXSAVE_MXCSR: usize = 24;
const MXCSR_MASKS: u32 = 7;

/// The first code of a user thread's task.
pub fn enter(thread: Arc<Thread>, start: Start) {
    let Start { space, mut context, fpu, segment_bases, store_tid } = start;
    match fpu.map_or_else(FpuState::new, Ok) {
        Ok(fpu) => task::current().set_fpu(fpu),
        Err(_) => thread.process().exit(ExitStatus::Killed(Signal::SIGKILL)),
    }
    task::current().set_space(Some(space.tables().clone()));
    drop(space); // execve(2) may give the process another one
    task::current().set_segment_bases(segment_bases.0, segment_bases.1);
    if store_tid != 0 {
        // As on Linux, a bad address is the program's loss.
        let _ = copy::write(store_tid, &thread.tid().to_le_bytes());
    }
    // This function keeps the thread while ticks are told to it.
    sched::data(&task::current()).tell_of_ticks(true);
    run(&thread, &mut context);
    sched::data(&task::current()).tell_of_ticks(false);
    sched::will_end();
    thread.leave_memory();
    let tables = task::current().set_space(None);
    drop(tables);
    thread.finish();
}

fn run(thread: &Arc<Thread>, context: &mut UserContext) {
    let mut handling = Handling::default();
    let mut call: Option<Interrupted> = None;
    loop {
        let mut asked = false;
        match user::run(context, thread.attention()) {
            Exit::Syscall => {
                if trace::on() && !begin_watched(thread, context) {
                    // There is no call.
                } else {
                    call = syscall::handle(thread, context);
                }
            }
            Exit::Fault { exception, error, address } => {
                let fault = Fault { exception, error, address };
                fault.handle(thread, context, &mut handling.fault);
            }
            Exit::Interrupt => {}
            Exit::Attention => asked = true,
            Exit::Sampled => thread.sample(context),
        }
        if guard::need_reschedule() {
            sched::schedule();
        }
        if call.is_some() || asked {
            if trace::on() {
                syscall::describe::end(thread, context);
                thread.trace_call_end(context, &mut call);
            }
            if !deliver::attend(thread, context, call.take(), &mut handling) {
                thread.trace_exit(context);
                return;
            }
        }
    }
}

/// Before a system call, when some are watched: false if this one is not to be.
#[cold]
#[inline(never)]
fn begin_watched(thread: &Arc<Thread>, context: &mut UserContext) -> bool {
    let goes_on = thread.trace_call_begin(context);
    if goes_on {
        syscall::describe::begin(thread, context);
    }
    goes_on
}

/// Which kind of debug exception DR6 tells of.
fn debug_code(status: u64) -> i32 {
    match status {
        _ if status & DR6_HITS != 0 => TRAP_HWBKPT,
        _ if status & DR6_STEP != 0 => TRAP_TRACE,
        _ => TRAP_BRKPT,
    }
}

/// An exception in user mode.
struct Fault {
    exception: Exception,
    error: u64,
    /// Of a page fault the address, of a debug exception what it is about, else that of the instruction.
    address: u64,
}

impl Fault {
    /// Serves it, or sends the thread the signal that it stands for.
    fn handle(&self, thread: &Arc<Thread>, context: &mut UserContext, last: &mut LastFault) {
        let is_step = self.exception == Exception::Debug && self.address == DR6_STEP;
        if is_step && thread.is_forgotten_step(context) {
            return;
        }
        let info = match self.exception {
            Exception::PageFault => match self.page_fault(thread) {
                Ok(()) => return,
                Err(error) => self.page_fault_info(error),
            },
            _ => self.exception_info(context),
        };
        *last = LastFault {
            trapno: context.registers().vector,
            err: self.error,
            cr2: if self.exception == Exception::PageFault { self.address } else { last.cr2 },
        };
        let Some(signal) = Signal::new(info.si_signo) else { return };
        if !thread.catches(signal) && !thread.is_traced() {
            self.report(thread, signal, context.registers().rip);
        }
        thread.force(signal, info);
    }

    /// The log tells which instruction ends a program, as far as there are not too many of them.
    #[cold]
    fn report(&self, thread: &Thread, signal: Signal, rip: u64) {
        static LIMIT: RateLimit = RateLimit::new(20, 5_000_000_000);
        let Some(refused) = LIMIT.pass(time::since_boot_ns()) else { return };
        if refused > 0 {
            log::info!("{refused} more programs were ended by instructions");
        }
        let mut place = String::new();
        if !process::write_user_place(&task::current(), rip, &mut place) {
            place.push_str("not in a file");
        }
        log::info!(
            "process {} ({}): {signal} at rip {rip:#x} ({place}): {:?}, address {:#x}, error {:#x}",
            thread.process().pid(),
            thread.process().executable().escape_ascii(),
            self.exception,
            self.address,
            self.error,
        );
    }

    /// When memory is short, some process has to go first, maybe this one.
    fn page_fault(&self, thread: &Arc<Thread>) -> Result<(), FaultError> {
        let access = match (self.error & FAULT_FETCH != 0, self.error & FAULT_WRITE != 0) {
            (true, _) => Access::Execute,
            (_, true) => Access::Write,
            _ => Access::Read,
        };
        loop {
            match fault::resolve(&thread.process().space(), self.address, access) {
                Err(FaultError::OutOfMemory) if thread.is_ending() => return Ok(()),
                Err(FaultError::OutOfMemory) if process::free_memory() => {}
                result => return result,
            }
        }
    }

    fn page_fault_info(&self, error: FaultError) -> KernelSiginfo {
        match error {
            FaultError::NotMapped => KernelSiginfo::fault(Signal::SIGSEGV, SEGV_MAPERR, self.address),
            FaultError::Forbidden => KernelSiginfo::fault(Signal::SIGSEGV, SEGV_ACCERR, self.address),
            FaultError::BeyondFile | FaultError::Io => KernelSiginfo::fault(Signal::SIGBUS, BUS_ADRERR, self.address),
            FaultError::OutOfMemory => KernelSiginfo::kernel(Signal::SIGKILL),
        }
    }

    /// Which of the floating-point exceptions that the program has not masked it was; 0 if none shows (SDM volume 1, 8.1
    /// and 10.2.3, and the layout of the FXSAVE area).
    fn floating_point_code(&self) -> i32 {
        let Some(fpu) = task::current().fpu() else { return 0 };
        let word =
            |at: usize| fpu.as_bytes().get(at..at + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        let raised = match self.exception {
            Exception::SimdFloatingPoint => word(FXSAVE_MXCSR) & !(word(FXSAVE_MXCSR) >> MXCSR_MASKS),
            _ => word(FXSAVE_STATUS) & !word(FXSAVE_CONTROL),
        };
        // Invalid operation, then denormal or underflow among the rest, in the order in which the CPU looks for them.
        match raised & 0x3f {
            bits if bits & 0x01 != 0 => FPE_FLTINV,
            bits if bits & 0x04 != 0 => FPE_FLTDIV,
            bits if bits & 0x08 != 0 => FPE_FLTOVF,
            bits if bits & 0x12 != 0 => FPE_FLTUND,
            bits if bits & 0x20 != 0 => FPE_FLTRES,
            _ => 0,
        }
    }

    /// Signal and code of the other exceptions, as Linux has them (arch/x86's table in signal(7) terms).
    fn exception_info(&self, context: &UserContext) -> KernelSiginfo {
        let rip = context.registers().rip;
        match self.exception {
            Exception::DivideError => KernelSiginfo::fault(Signal::SIGFPE, FPE_INTDIV, rip),
            Exception::FloatingPoint | Exception::SimdFloatingPoint => {
                KernelSiginfo::fault(Signal::SIGFPE, self.floating_point_code(), rip)
            }
            Exception::InvalidOpcode => KernelSiginfo::fault(Signal::SIGILL, ILL_ILLOPN, rip),
            Exception::Debug => KernelSiginfo::fault(Signal::SIGTRAP, debug_code(self.address), rip),
            Exception::Breakpoint => KernelSiginfo::fault(Signal::SIGTRAP, SI_KERNEL, 0),
            Exception::AlignmentCheck => KernelSiginfo::fault(Signal::SIGBUS, BUS_ADRALN, 0),
            Exception::StackFault => KernelSiginfo::kernel(Signal::SIGBUS),
            // Among them #GP, for which Linux gives no address either.
            _ => KernelSiginfo::kernel(Signal::SIGSEGV),
        }
    }
}
