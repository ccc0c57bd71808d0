//! The life of a user thread: run the program, do what it needs, run it again.

use crate::process::signal::{self, number::*};
use crate::process::{ExitStatus, Thread};
use crate::sched;
use crate::syscall;
use crate::vm::AddressSpace;
use crate::vm::fault::{self, FaultError};
use alloc::boxed::Box;
use alloc::sync::Arc;
use machine::hooks::Access;
use machine::sync::guard;
use machine::task::{self, FpuState};
use machine::trap::Exception;
use machine::user::{self, Exit, UserContext};

/// The first code of a user thread's task.
pub fn enter(thread: Arc<Thread>, space: Arc<AddressSpace>, mut context: Box<UserContext>) {
    match FpuState::new() {
        Ok(fpu) => task::current().set_fpu(fpu),
        Err(_) => thread.process().exit(ExitStatus::Killed { signal: SIGKILL }),
    }
    task::current().set_space(Some(space.tables().clone()));
    run(&thread, &mut context);
    task::current().set_space(None);
    drop(space);
    thread.finish();
}

fn run(thread: &Arc<Thread>, context: &mut UserContext) {
    loop {
        take_signals(thread);
        if thread.process().is_ending() {
            return;
        }
        match user::run(context) {
            Exit::Syscall => syscall::handle(thread, context),
            Exit::Fault { exception, error, address } => handle_fault(thread, context, exception, error, address),
            Exit::Interrupt => {}
        }
        if guard::need_reschedule() {
            sched::schedule();
        }
    }
}

/// Lets pending signals have their effect.
fn take_signals(thread: &Arc<Thread>) {
    loop {
        let Some(signal) = thread.take_signal() else { return };
        let process = thread.process();
        if !process.signals.is_ignored(signal) {
            process.exit(ExitStatus::Killed { signal });
            return;
        }
    }
}

fn handle_fault(thread: &Arc<Thread>, context: &UserContext, exception: Exception, error: u64, address: u64) {
    let signal = match exception {
        Exception::PageFault => match page_fault(thread, error, address) {
            Ok(()) => return,
            Err(FaultError::NotMapped | FaultError::Forbidden) => SIGSEGV,
            Err(FaultError::BeyondFile | FaultError::Io) => SIGBUS,
            Err(FaultError::OutOfMemory) => {
                log::error!("process {}: out of memory at {address:#x}", thread.process().pid());
                SIGKILL
            }
        },
        Exception::DivideError | Exception::FloatingPoint | Exception::SimdFloatingPoint => SIGFPE,
        Exception::InvalidOpcode => SIGILL,
        Exception::Debug | Exception::Breakpoint => SIGTRAP,
        Exception::AlignmentCheck | Exception::StackFault => SIGBUS,
        _ => SIGSEGV,
    };
    let process = thread.process();
    log::info!(
        "process {} ({}): {} at rip {:#x}: {exception:?}, address {address:#x}, error {error:#x}",
        process.pid(),
        process.executable().escape_ascii(),
        signal::name(signal),
        context.registers().rip,
    );
    process.exit(ExitStatus::Killed { signal });
}

/// Error code bits: SDM volume 3, figure 4-12.
fn page_fault(thread: &Arc<Thread>, error: u64, address: u64) -> Result<(), FaultError> {
    let access = match (error & 1 << 4 != 0, error & 1 << 1 != 0) {
        (true, _) => Access::Execute,
        (_, true) => Access::Write,
        _ => Access::Read,
    };
    fault::resolve(&thread.process().space(), address, access)
}
