//! The end of threads and processes: everything is given back, children get a new parent, the parent is told.

use super::start::hooks;
use super::table::{self, INIT, Table};
use super::wait::{forget, notify_of_end, tell_of_end, wants_no_zombies};
use super::{ExitStatus, Process, Thread, ptrace, send};
use crate::futex;
use crate::sched::tick::Sample;
use abi::process::WaitStatus;
use abi::sigframe::KernelSiginfo;
use abi::{Errno, Signal};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use klib::sort::sort_by;
use machine::task;
use machine::trace;
use machine::user::copy;

impl Thread {
    /// exit(2): this thread alone ends.
    pub fn exit(&self, status: u8) {
        // The process's status is that of its last thread to come here, as on Linux since 6.0.
        self.process().last_code.store(status, Ordering::Relaxed);
        self.must_end.store(true, Ordering::SeqCst);
        self.attention.store(true, Ordering::SeqCst);
    }

    /// What is done in user memory when the thread ends or executes another program: the thread's word is cleared, locks
    /// that it holds are marked. Called in its context, with its address space.
    pub fn leave_memory(&self) {
        let robust_list = self.robust_list.swap(0, Ordering::Relaxed);
        if robust_list != 0 {
            futex::abandon_list(&self.process().space(), robust_list, self.tid());
        }
        let word = self.clear_on_exit.swap(0, Ordering::Relaxed);
        if word != 0 && copy::write(word, &0u32.to_le_bytes()).is_ok() {
            let space = self.process().space();
            // A thread library may wait for it by either kind of key.
            for shared in [false, true] {
                let _ = futex::wake(futex::Word { space: &space, address: word, shared }, 1, futex::ANY);
            }
        }
    }

    /// The thread has left user mode for good and given its address space back. Called in its context.
    pub fn finish(self: &Arc<Self>) {
        let process = self.process();
        let time = self.end_time(Sample::of(&task::current()));
        self.trace_end(self.end_status());
        table::lock().remove_thread(self.tid());
        futex::owner_ended(self.tid());
        if self.tid() == process.pid() {
            *process.leader_name.lock() = self.name();
        }
        let (last, others) = {
            let mut threads = process.threads.lock();
            // Whoever adds the times up finds the thread's in one of the two.
            threads.retain(|other| !Arc::ptr_eq(other, self));
            process.cpu.add_ended(time);
            (threads.is_empty(), threads.clone())
        };
        // A signal that this thread was to take goes to another.
        if !process.pending.set().is_empty() {
            others.iter().for_each(|other| other.notify());
        }
        drop(others);
        if trace::on() {
            self.show_end(last.then(|| end_status(process)));
        }
        if last {
            end(process);
        } else {
            process.of_user.remove_thread();
        }
        process.thread_ended.wake_all();
    }

    /// How it ends: with its process, or by itself.
    pub(super) fn end_status(&self) -> WaitStatus {
        let process = self.process();
        let own = ExitStatus::Exited(process.last_code.load(Ordering::Relaxed));
        process.status().unwrap_or(own).wait_status()
    }
}

/// What the process, whose last thread is ending, ends with.
fn end_status(process: &Process) -> ExitStatus {
    process.exit(ExitStatus::Exited(process.last_code.load(Ordering::Relaxed))); // unless it has a status
    process.status().unwrap_or(ExitStatus::Exited(0))
}

/// The last thread of `process` is ending.
fn end(process: &Arc<Process>) {
    let status = end_status(process);
    super::alarm::cancel_all(process);
    let space = process.space.lock().take();
    drop(space);
    if process.undoes.load(Ordering::Relaxed) {
        (hooks().undo)(process.pid());
    }
    process.tracees.close();
    process.files.leave();
    process.position.leave(); // a zombie keeps no file system busy
    let timers = core::mem::take(&mut *process.timers.lock());
    drop(timers);
    process.release_maker();
    if process.session() == process.pid() {
        (hooks().session_ended)(process.pid());
    }
    let orphans = adopt_children(process);
    hang_up_stopped_groups(process, &orphans);
    become_zombie(process, status);
}

/// Gives the children to whoever adopts them, or to nobody; who they are.
fn adopt_children(process: &Arc<Process>) -> Vec<Arc<Process>> {
    let (orphans, heir) = {
        let table = table::lock();
        let heir = heir(&table, process);
        let orphans = core::mem::take(&mut *process.children.lock());
        for orphan in &orphans {
            orphan.parent.store(heir.as_ref().map_or(0, |heir| heir.pid()), Ordering::Relaxed);
            orphan.exit_signal.store(Signal::SIGCHLD.number(), Ordering::Relaxed);
        }
        if let Some(heir) = &heir {
            heir.children.lock().extend(orphans.iter().cloned());
        }
        (orphans, heir)
    };
    for orphan in &orphans {
        if let Some(signal) = Signal::new(orphan.parent_death_signal().into()) {
            orphan.send(signal, KernelSiginfo::kernel(signal));
        }
        if orphan.is_gone() {
            match (&heir, orphan.status()) {
                (Some(heir), Some(status)) => notify_of_end(heir, orphan, status),
                _ => forget(orphan),
            }
        }
    }
    orphans
}

/// The next ancestor that adopts orphans (PR_SET_CHILD_SUBREAPER) and does not end, else init, if there is one.
fn heir(table: &Table, process: &Process) -> Option<Arc<Process>> {
    let mut above = process.parent();
    while let Some(ancestor) = table.processes.get(&above) {
        if ancestor.adopts_orphans.load(Ordering::Relaxed) && !ancestor.is_gone() && !ancestor.is_ending() {
            return Some(ancestor.clone());
        }
        above = ancestor.parent();
    }
    table.processes.get(&INIT).filter(|init| init.pid() != process.pid() && !init.is_gone()).cloned()
}

/// Groups that the end of `process` leaves without anybody to continue them are told, if they are stopped: those of children,
/// for which it was the parent in another group, and its own, if it was the one whose parent is in another group.
fn hang_up_stopped_groups(process: &Process, orphans: &[Arc<Process>]) {
    let ties =
        |parent: &Process, child: &Process| parent.session() == child.session() && parent.group() != child.group();
    let parent = table::find(process.parent());
    let own = parent.filter(|parent| ties(parent, process)).map(|_| process.group());
    let of_children = orphans.iter().filter(|orphan| ties(process, orphan)).map(|orphan| orphan.group());
    let mut groups: Vec<u32> = of_children.chain(own).collect();
    sort_by(&mut groups, |a, b| a < b);
    groups.dedup();
    for group in groups {
        let stopped = {
            let table = table::lock();
            table.is_orphaned(group, process.pid())
                && table.members(group).any(|member| member.pid() != process.pid() && member.is_stopped())
        };
        if stopped {
            send::kill_group(group, Signal::SIGHUP);
            send::kill_group(group, Signal::SIGCONT);
        }
    }
}

/// Nothing but the status is left, and the parent is told. A process whose status nobody wants goes at once.
fn become_zombie(process: &Arc<Process>, status: ExitStatus) {
    if let Some(tracer) = ptrace::other_tracer(process) {
        process.held_for_tracer.store(true, Ordering::SeqCst);
        process.gone.store(true, Ordering::Release);
        tell_pid_file(process);
        if ptrace::tell_of_end(&tracer, process, status.wait_status()) {
            return;
        }
    }
    process.become_parents_zombie();
}

fn tell_pid_file(process: &Process) {
    if let Some(file) = process.pid_file.get() {
        file.tell_end();
    }
}

fn remove(table: &mut Table, process: &Arc<Process>, parent: Option<&Process>) {
    if let Some(parent) = parent {
        parent.children.lock().retain(|child| !Arc::ptr_eq(child, process));
    }
    table.processes.remove(&process.pid());
}

impl Process {
    /// Now the parent is told.
    pub(super) fn become_parents_zombie(self: &Arc<Self>) {
        let process = self;
        let Some(status) = process.status() else { return };
        let mut table = table::lock();
        let parent = table.processes.get(&process.parent()).cloned();
        let wanted = match &parent {
            Some(parent) => {
                process.exit_signal.load(Ordering::Relaxed) != Signal::SIGCHLD.number() || !wants_no_zombies(parent)
            }
            None => process.kernel_waits.load(Ordering::Relaxed),
        };
        if !wanted {
            remove(&mut table, process, parent.as_deref());
        }
        process.gone.store(true, Ordering::Release);
        process.held_for_tracer.store(false, Ordering::SeqCst);
        // With the table locked, so that a wait(2) that finds the zombie does not return before the signal is there.
        let told = parent.as_ref().is_some_and(|parent| tell_of_end(parent, process, status));
        drop(table);
        tell_pid_file(process);
        match parent {
            Some(parent) if told => parent.child_changed.wake_all(),
            Some(parent) => notify_of_end(&parent, process, status),
            None => log::debug!("process {}: {status}", process.pid()),
        }
    }

    /// Whoever made it by vfork(2) goes on.
    pub(super) fn release_maker(&self) {
        self.released_maker.store(true, Ordering::SeqCst);
        self.maker.wake_all();
    }

    /// Ends all threads but `survivor`, for execve(2). EAGAIN if the survivor itself is to end first.
    pub(super) fn end_other_threads(&self, survivor: &Arc<Thread>) -> Result<(), Errno> {
        // Looked for anew each time: a thread may make another one before it sees that it is to end.
        let alone = || {
            let others = self.threads().into_iter().filter(|thread| !Arc::ptr_eq(thread, survivor));
            let count = others
                .map(|other| {
                    if !other.must_end.swap(true, Ordering::SeqCst) {
                        other.notify();
                    }
                })
                .count();
            (count == 0).then_some(())
        };
        self.thread_ended.wait_until(None, || survivor.is_ending(), alone).map_err(|_| Errno::EAGAIN)
    }
}
