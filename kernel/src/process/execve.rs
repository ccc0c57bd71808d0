//! execve(2): a process gets another program.

use super::exec::Program;
use super::{Thread, alarm, short_name, table};
use abi::Errno;
use abi::signal::SigaltStack;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::Ordering;
use klib::trace::{Event, Label, Life};
use machine::cpu::debug::DebugRegisters;
use machine::task::{self, FpuState};
use machine::trace;
use machine::user::UserContext;

/// Puts `program` into the place of the current one: other threads end, the calling one, `thread`, goes on in it. After
/// the first step nothing fails but by a signal that ends the process anyway.
pub fn replace(thread: &Arc<Thread>, context: &mut UserContext, program: Program, name: &[u8]) -> Result<(), Errno> {
    let fpu = FpuState::new().map_err(|_| Errno::ENOMEM)?;
    let process = thread.process();
    process.files.unshare(|files| files.try_clone())?;
    process.end_other_threads(thread)?;
    thread.leave_memory();
    thread.forget_rseq();
    let former_tid = thread.tid();
    take_over(thread);
    let former = process.space.lock().replace(program.space.clone());
    program.space.allow_huge_pages(former.as_ref().is_none_or(|former| former.may_have_huge_pages()));
    task::current().set_space(Some(program.space.tables().clone()));
    drop(former);
    process.release_maker();
    process.barriers.store(0, Ordering::Relaxed);
    task::current().set_fpu(fpu);
    task::current().set_segment_bases(0, 0);
    task::current().set_debug_registers(DebugRegisters::default());
    *context = *program.context;
    let (closed, identity) = process.files.with(|files| (files.take_close_on_exec(), files.identity()));
    let identity: Arc<dyn Any + Send + Sync> = identity;
    closed.iter().for_each(|file| file.release_process_locks(&identity));
    drop(closed);
    process.actions.unshare();
    process.actions.reset_handlers();
    alarm::delete_created(process);
    thread.alternate_stack.set(SigaltStack::NONE);
    thread.set_name(short_name(name));
    if trace::on() {
        let name = thread.name();
        let name = Label::new(core::str::from_utf8(&name).unwrap_or("?"));
        trace::note(Event::Exec(Life { pid: process.pid(), name }));
    }
    let changes = program.credentials.user.effective != program.credentials.user.real
        || program.credentials.group.effective != program.credentials.group.real;
    if changes {
        process.set_parent_death_signal(0);
    }
    process.set_dumpable(!changes && program.readable);
    let credentials = Arc::new(program.credentials);
    let old = core::mem::replace(&mut *process.credentials.lock(), credentials);
    drop(old);
    process.has_executed.store(true, Ordering::Relaxed);
    if changes {
        thread.shake_tracer_off();
    }
    thread.trace_exec(context, former_tid);
    Ok(())
}

/// The only thread left takes the process's number, if it has another one.
fn take_over(thread: &Arc<Thread>) {
    let pid = thread.process().pid();
    let former = thread.tid.swap(pid, Ordering::Relaxed);
    if former != pid {
        let mut table = table::lock();
        table.remove_thread(former);
        table.add_thread(thread);
        drop(table);
        // The first thread has ended, but not its process.
        let tracer = core::mem::take(&mut *thread.process().tracer_of_first.lock()).upgrade();
        if let Some(tracer) = tracer {
            tracer.tracees.forget_end(pid);
        }
    }
}
