//! fork(2), vfork(2), clone(2), clone3(2): new processes and threads.

use super::shareable::Shareable;
use super::start::{Parts, Start};
use super::table::{self, Ties};
use super::users::OfUser;
use super::{Process, Thread, context, pidfd};
use crate::sched;
use crate::vfs::File;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYS_RESOURCE};
use abi::process::CloneFlags;
use abi::system::RLIMIT_NPROC;
use abi::{Errno, Signal};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::addr::USER_END;
use machine::task;
use machine::user::{UserContext, copy};

/// Most threads in all.
pub const MAX_THREADS: usize = 32768;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct CloneRequest {
    /// What is shared, without the exit signal.
    pub flags: CloneFlags,
    /// What the parent gets at the end; 0 for nothing.
    pub exit_signal: u8,
    /// Stack pointer; 0 for the maker's.
    pub stack: u64,
    /// Where the maker's memory gets the number (PARENT_SETTID).
    pub parent_tid: u64,
    /// Where the child's memory gets it (CHILD_SETTID), or is cleared at its end (CHILD_CLEARTID).
    pub child_tid: u64,
    /// Where the maker's memory gets a descriptor of the process (PIDFD).
    pub pidfd: u64,
    /// Base of FS (SETTLS).
    pub tls: u64,
}

/// Makes a process or a thread like the current one, `maker`, whose registers are `context`; its number. EINTR if a signal
/// comes first: the call is to begin again when that has been seen to.
pub fn clone(maker: &Arc<Thread>, context: &mut UserContext, request: &CloneRequest) -> Result<u32, Errno> {
    check(request)?;
    let signals = maker.process().signals_to_many.load(Ordering::SeqCst);
    if maker.has_deliverable() {
        return Err(Errno::EINTR);
    }
    if table::thread_count() >= MAX_THREADS {
        return Err(Errno::EAGAIN);
    }
    let is_thread = request.flags.contains(CloneFlags::THREAD);
    let (process, number) = if is_thread { counted_in(maker.process())? } else { new_process(maker, request)? };
    let thread = Thread::new(process.clone(), number, maker.name(), maker.blocked());
    thread.inherit(maker);
    maker.pass_watcher_on(&thread);
    let event = maker.clone_event(request);
    if request.flags.contains(CloneFlags::CHILD_CLEARTID) {
        thread.clear_on_exit.store(request.child_tid, Ordering::Relaxed);
    }
    if !request.flags.contains(CloneFlags::VM) || request.flags.contains(CloneFlags::VFORK) {
        thread.alternate_stack.set(maker.alternate_stack.get());
    }
    if !request.flags.contains(CloneFlags::VM) {
        thread.rseq.inherit(&maker.rseq);
    }
    if request.flags.contains(CloneFlags::PARENT_SETTID) {
        // As on Linux, a bad address is the maker's loss.
        let _ = copy::write(request.parent_tid, &number.to_le_bytes());
    }
    let pid_file = match request.flags.contains(CloneFlags::PIDFD) {
        true => Some(open_pid_file(maker.process(), &process, request.pidfd)?),
        false => None,
    };
    let task = start_of(context, request, &process).and_then(|start| thread.create_task(start)).inspect_err(|_| {
        if let Some((fd, file)) = &pid_file {
            take_back(maker.process(), *fd, file);
        }
        if is_thread {
            process.of_user.remove_thread();
        }
    })?;
    sched::inherit(&task, &task::current());
    process.threads.lock().push(thread.clone());
    if is_thread {
        table::lock().add_thread(&thread);
        // Whoever ends all threads looks for new ones again.
        process.thread_ended.wake_all();
    } else {
        let with_parent = request.flags.contains(CloneFlags::PARENT);
        let ties = Ties::Child { maker: maker.process(), of_makers_parent: with_parent, signals };
        ties.tie(&process, &thread).inspect_err(|_| {
            if let Some((fd, file)) = &pid_file {
                take_back(maker.process(), *fd, file);
            }
            sched::discard(&task);
            process.threads.lock().clear(); // which keep it
        })?;
    }
    if event.is_some() || request.flags.contains(CloneFlags::PTRACE) {
        maker.pass_tracer_on(&thread);
    }
    sched::start_task(&task);
    drop((thread, task));
    if let Some(event) = event {
        maker.trace_event(context, event, number.into());
    }
    if request.flags.contains(CloneFlags::VFORK) {
        let released = || process.released_maker.load(Ordering::SeqCst).then_some(());
        // A maker that is killed meanwhile does not wait for its child.
        let _ = process.maker.wait_until(None, super::ending, released);
        maker.trace_vfork_done(context, number);
    }
    Ok(number)
}

/// Linux's rules for flags that need others, and those that are not there.
fn check(request: &CloneRequest) -> Result<(), Errno> {
    let flags = request.flags;
    let namespaces = CloneFlags::NEWNS
        | CloneFlags::NEWCGROUP
        | CloneFlags::NEWUTS
        | CloneFlags::NEWIPC
        | CloneFlags::NEWUSER
        | CloneFlags::NEWPID
        | CloneFlags::NEWNET
        | CloneFlags::INTO_CGROUP;
    let lacks = |with, without| flags.contains(with) && !flags.contains(without);
    if flags.intersects(namespaces)
        || lacks(CloneFlags::THREAD, CloneFlags::SIGHAND)
        || lacks(CloneFlags::SIGHAND, CloneFlags::VM)
        || flags.contains(CloneFlags::SIGHAND | CloneFlags::CLEAR_SIGHAND)
        || flags.contains(CloneFlags::PIDFD) && !may_have_pidfd(request)
        || request.exit_signal != 0 && Signal::new(request.exit_signal.into()).is_none()
    {
        return Err(Errno::EINVAL);
    }
    if flags.contains(CloneFlags::SETTLS) && request.tls >= USER_END {
        return Err(Errno::EPERM);
    }
    Ok(())
}

/// Whether PIDFD goes with the rest: clone(2) has one argument for the descriptor and the number.
fn may_have_pidfd(request: &CloneRequest) -> bool {
    let to_one_place = request.flags.contains(CloneFlags::PARENT_SETTID) && request.pidfd == request.parent_tid;
    !to_one_place && !request.flags.intersects(CloneFlags::THREAD | CloneFlags::DETACHED)
}

/// Gives the maker a descriptor of its child, and stores its number.
fn open_pid_file(maker: &Process, child: &Arc<Process>, address: u64) -> Result<(i32, Arc<File>), Errno> {
    let file = pidfd::new(child, 0);
    let fd = maker.add_file(file.clone(), true)?;
    if copy::write(address, &fd.to_le_bytes()).is_err() {
        take_back(maker, fd, &file);
        return Err(Errno::EFAULT);
    }
    Ok((fd, file))
}

/// Closes the descriptor of a child that is not to be.
fn take_back(maker: &Process, fd: i32, file: &Arc<File>) {
    let file = maker.files.with(|files| files.take_back(fd, file));
    drop(file);
}

/// How many threads its user may have in all, for it to make one more (RLIMIT_NPROC).
fn thread_limit(process: &Process) -> u64 {
    let own = process.credentials();
    let exempt = own.user.real == 0 || own.has(CAP_SYS_RESOURCE) || own.has(CAP_SYS_ADMIN);
    if exempt { u64::MAX } else { process.limits().current(RLIMIT_NPROC) }
}

/// The process, in which one thread more counts, and the number of that.
fn counted_in(process: &Arc<Process>) -> Result<(Arc<Process>, u32), Errno> {
    process.of_user.add_thread(thread_limit(process))?;
    let number = table::lock().new_number().inspect_err(|_| process.of_user.remove_thread())?;
    Ok((process.clone(), number))
}

/// A process like the maker's, and its number.
fn new_process(maker: &Thread, request: &CloneRequest) -> Result<(Arc<Process>, u32), Errno> {
    let process = maker.process();
    let credentials = process.credentials();
    let limit = thread_limit(process);
    let of_user = OfUser::new(credentials.user.real, limit)?;
    let pid = table::lock().new_number()?;
    let shares = |flag| request.flags.contains(flag);
    let space = if shares(CloneFlags::VM) { process.space() } else { process.space().fork()? };
    let files = if shares(CloneFlags::FILES) {
        process.files.share(context::FILES)
    } else {
        Shareable::new(context::FILES, process.files.with(|files| files.try_clone())?)
    };
    let position = if shares(CloneFlags::FS) {
        process.position.share(context::POSITION)
    } else {
        Shareable::new(context::POSITION, process.position.with(|position| position.clone()))
    };
    let actions = if shares(CloneFlags::SIGHAND) { process.actions.share() } else { process.actions.copy() };
    if shares(CloneFlags::CLEAR_SIGHAND) {
        actions.reset_handlers();
    }
    let parts = Parts {
        pid,
        files,
        position,
        actions,
        credentials,
        limits: process.limits(),
        barriers: process.barriers.load(Ordering::Relaxed),
        dumpable: process.is_dumpable(),
        personality: process.personality.load(Ordering::Relaxed),
        oom_score_adj: process.oom_score_adj.load(Ordering::Relaxed),
        space,
        exit_signal: request.exit_signal,
        of_user,
    };
    Ok((parts.into_process(), pid))
}

/// The child begins where the maker's system call returns, with 0 as its result.
fn start_of(context: &UserContext, request: &CloneRequest, process: &Process) -> Result<Start, Errno> {
    let mut context = Box::new(context.clone());
    context.set_result(0);
    if request.stack != 0 {
        context.registers_mut().rsp = request.stack;
    }
    let (fs, gs) = task::current().segment_bases();
    let fs = if request.flags.contains(CloneFlags::SETTLS) { request.tls } else { fs };
    let store_tid = if request.flags.contains(CloneFlags::CHILD_SETTID) { request.child_tid } else { 0 };
    let fpu = task::current().fpu();
    Ok(Start { space: process.space(), context, fpu, segment_bases: (fs, gs), store_tid })
}
