//! The table of all processes, and their relations: numbers, groups and sessions.
//!
//! The table's lock (rank `Table`) also guards who is whose parent, group and session: the numbers in [`Process`] change
//! only with it held.

use super::{ExitStatus, Process, Thread};
use abi::{Errno, Signal};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use machine::sync::guard::PreemptGuard;
use machine::sync::{Rank, SpinGuard, SpinLock};

/// Numbers stay below this (Linux's limit on 64-bit machines).
pub const PID_LIMIT: u32 = 4 << 20;
/// Number of the process that `init` starts.
pub const INIT: u32 = 1;

/// What the table's lock guards.
pub(super) struct Table {
    /// By number.
    pub processes: BTreeMap<u32, Arc<Process>>,
    threads: BTreeMap<u32, Weak<Thread>>,
    last: u32,
    /// The greatest number that was ever given out: none above it is in use as anything.
    greatest: u32,
}

static TABLE: SpinLock<Table> = SpinLock::new(
    "process table",
    Rank::Table,
    Table { processes: BTreeMap::new(), threads: BTreeMap::new(), last: INIT, greatest: INIT },
);

/// The locked table.
pub(super) fn lock() -> SpinGuard<'static, Table, PreemptGuard> {
    TABLE.lock()
}

/// The process with number `pid`, zombies too.
pub fn find(pid: u32) -> Option<Arc<Process>> {
    TABLE.lock().processes.get(&pid).cloned()
}

/// The thread with number `tid`.
pub fn find_thread(tid: u32) -> Option<Arc<Thread>> {
    TABLE.lock().threads.get(&tid).and_then(Weak::upgrade)
}

/// The process `pid`, or that of thread `pid`: kill(2) takes either.
pub fn find_process_of(pid: u32) -> Option<Arc<Process>> {
    find(pid).or_else(|| find_thread(pid).map(|thread| thread.process().clone()))
}

/// Numbers of all processes.
pub fn pids() -> Vec<u32> {
    TABLE.lock().processes.keys().copied().collect()
}

/// All processes.
pub fn all() -> Vec<Arc<Process>> {
    TABLE.lock().processes.values().cloned().collect()
}

/// All processes but these.
pub fn all_but(without: &[u32]) -> Vec<Arc<Process>> {
    let table = TABLE.lock();
    table.processes.values().filter(|process| !without.contains(&process.pid())).cloned().collect()
}

/// The processes of a group.
pub fn group(group: u32) -> Vec<Arc<Process>> {
    TABLE.lock().members(group).cloned().collect()
}

/// Whether there is such a group in `session`.
pub fn group_in_session(group: u32, session: u32) -> bool {
    TABLE.lock().members(group).any(|process| process.session() == session)
}

/// The first process with a number from `number` on.
pub fn next_from(number: u32) -> Option<Arc<Process>> {
    TABLE.lock().processes.range(number..).next().map(|(_, process)| process.clone())
}

/// The number given out last.
pub fn last_number() -> u32 {
    TABLE.lock().last
}

/// How many threads there are.
pub fn thread_count() -> usize {
    TABLE.lock().threads.len()
}

/// setpgid(2): `caller` puts process `pid` (0: itself) into `group` (0: one of its own number).
pub fn set_group(caller: &Process, pid: u32, group: u32) -> Result<(), Errno> {
    let table = TABLE.lock();
    let pid = if pid == 0 { caller.pid() } else { pid };
    let group = if group == 0 { pid } else { group };
    let target = table.processes.get(&pid).ok_or(Errno::ESRCH)?;
    if pid != caller.pid() {
        if target.parent() != caller.pid() {
            return Err(Errno::ESRCH);
        }
        if target.session() != caller.session() {
            return Err(Errno::EPERM);
        }
        if target.has_executed.load(Ordering::Relaxed) {
            return Err(Errno::EACCES);
        }
    }
    if target.session() == pid {
        return Err(Errno::EPERM);
    }
    if group != pid && !table.members(group).any(|member| member.session() == caller.session()) {
        return Err(Errno::EPERM);
    }
    target.group.store(group, Ordering::Relaxed);
    Ok(())
}

/// setsid(2): the process leads a session and a group of its own, without a terminal.
pub fn new_session(process: &Process) -> Result<u32, Errno> {
    let table = TABLE.lock();
    if table.members(process.pid()).next().is_some() {
        return Err(Errno::EPERM);
    }
    process.group.store(process.pid(), Ordering::Relaxed);
    process.session.store(process.pid(), Ordering::Relaxed);
    Ok(process.pid())
}

impl Table {
    /// A number that nothing uses: no process, thread, group or session.
    pub fn new_number(&mut self) -> Result<u32, Errno> {
        for _ in 0..PID_LIMIT {
            self.last = if self.last + 1 >= PID_LIMIT { INIT + 1 } else { self.last + 1 };
            // A look at all groups and sessions: only once the numbers have begun anew.
            if self.last > self.greatest || !self.is_used(self.last) {
                self.greatest = self.greatest.max(self.last);
                return Ok(self.last);
            }
        }
        Err(Errno::EAGAIN)
    }

    /// Whether something has this number.
    pub fn is_used(&self, number: u32) -> bool {
        self.processes.contains_key(&number)
            || self.threads.contains_key(&number)
            || self.processes.values().any(|process| process.group() == number || process.session() == number)
    }

    /// Notes that `thread` has its number.
    pub fn add_thread(&mut self, thread: &Arc<Thread>) {
        self.threads.insert(thread.tid(), Arc::downgrade(thread));
    }

    /// The thread with this number is no more.
    pub fn remove_thread(&mut self, tid: u32) {
        self.threads.remove(&tid);
    }

    /// The processes of a group.
    pub fn members(&self, group: u32) -> impl Iterator<Item = &Arc<Process>> {
        self.processes.values().filter(move |process| process.group() == group)
    }

    /// Whether no process of the group has a parent in another group of the same session, so that nobody could continue
    /// it (POSIX, "orphaned process group"). `without` does not count as a parent: it is ending.
    pub fn is_orphaned(&self, group: u32, without: u32) -> bool {
        !self.members(group).any(|member| {
            !member.is_gone()
                && member.parent() != without
                && self
                    .processes
                    .get(&member.parent())
                    .is_some_and(|parent| parent.group() != group && parent.session() == member.session())
        })
    }
}

/// Whether nobody could continue the group if it stopped.
pub fn is_orphaned_group(group: u32) -> bool {
    TABLE.lock().is_orphaned(group, 0)
}

/// To whom a new process belongs.
pub(super) enum Ties<'a> {
    /// To the kernel; it leads a session and a group.
    Leader,
    /// To its maker's session and group, and to the maker or the maker's parent.
    /// `signals`: how many had come for it and others when the making began.
    Child { maker: &'a Arc<Process>, of_makers_parent: bool, signals: u32 },
}

impl Ties<'_> {
    /// Puts the process and its first thread into the table. EINTR, and it is not there, if a signal came meanwhile for the
    /// maker and others among which the child would be.
    pub(super) fn tie(self, process: &Arc<Process>, thread: &Arc<Thread>) -> Result<(), Errno> {
        let mut table = lock();
        if let Ties::Child { maker, signals, .. } = self
            && maker.signals_to_many.load(Ordering::SeqCst) != signals
        {
            return Err(Errno::EINTR);
        }
        // A maker that has been killed leaves no child behind that whoever killed its group did not see.
        if let Ties::Child { maker, .. } = self
            && maker.is_ending()
        {
            process.exit(ExitStatus::Killed(Signal::SIGKILL));
        }
        let (session, group, parent) = match self {
            Ties::Leader => (process.pid(), process.pid(), None),
            Ties::Child { maker, of_makers_parent: false, .. } => (maker.session(), maker.group(), Some(maker.clone())),
            Ties::Child { maker, of_makers_parent: true, .. } => {
                (maker.session(), maker.group(), table.processes.get(&maker.parent()).cloned())
            }
        };
        process.session.store(session, Ordering::Relaxed);
        process.group.store(group, Ordering::Relaxed);
        if let Some(parent) = parent {
            process.parent.store(parent.pid(), Ordering::Relaxed);
            parent.children.lock().push(process.clone());
        }
        table.processes.insert(process.pid(), process.clone());
        table.add_thread(thread);
        Ok(())
    }
}
