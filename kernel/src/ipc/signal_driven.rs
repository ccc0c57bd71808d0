//! Signal-driven I/O (`fcntl(2)`: O_ASYNC, F_SETOWN, F_SETSIG): who is sent a signal when something can be read or written.
//!
//! A file of which that has been asked has a [`Driven`], which is in the table until the file ends, and in the file's wait
//! queues while it is switched on. Whoever wakes these notes it, interrupts too; a kernel task, which the first one starts, looks
//! what the file is ready for and sends the signal, with nothing locked. Several wake-ups may come to one signal, as several
//! signals of one number do.
//!
//! Locks: `TABLE` (rank Table); the settings of one (rank `File`), held while it goes into the queues and out of them.

use super::poll;
use crate::process::{Process, Thread, table};
use crate::sched;
use crate::vfs::{EndWatcher, File, Result, flags::*};
use abi::fcntl::OpenFlags;
use abi::sigframe::{KernelSiginfo, POLL_ERR, POLL_HUP, POLL_IN, POLL_OUT};
use abi::{Errno, Signal};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::{Rank, SpinLock, WaitQueue, Watch, Watcher};

/// Who is sent the signal.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Owner {
    /// Nobody.
    #[default]
    None,
    /// A thread.
    Thread(u32),
    /// A process.
    Process(u32),
    /// All processes of a group.
    Group(u32),
}

impl Owner {
    /// Whether there is such a one.
    fn is_there(self) -> bool {
        match self {
            Owner::None => true,
            Owner::Thread(tid) => table::find_thread(tid).is_some(),
            Owner::Process(pid) => table::find(pid).is_some(),
            Owner::Group(group) => !table::group(group).is_empty(),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Default)]
pub struct Settings {
    /// Who is told.
    pub owner: Owner,
    /// By which signal; None for SIGIO without particulars.
    pub signal: Option<Signal>,
    /// Effective and real user of who named the owner: it is told only if they might send it a signal.
    users: [u32; 2],
    /// The descriptor it was switched on by; None while it is off.
    descriptor: Option<i32>,
}

/// A file that signals are asked of.
struct Driven {
    me: Weak<Driven>,
    file: Weak<File>,
    settings: SpinLock<Settings>,
    /// For the queue of who reads, and of who writes.
    sides: [Arc<Side>; 2],
}

/// What is in one of the file's wait queues.
#[derive(Default)]
struct Side {
    woken: AtomicBool,
}

/// Events by which the queues are found.
const EVENTS: [u32; 2] = [POLLIN, POLLOUT];

static TABLE: SpinLock<Vec<Arc<Driven>>> = SpinLock::new("signal-driven files", Rank::Table, Vec::new());
/// Something in the table has been stirred, or moved.
static STIRRED: AtomicBool = AtomicBool::new(false);
static SERVER: WaitQueue = WaitQueue::new("signal-driven files");

/// What has been asked of a file.
pub fn settings(file: &File) -> Settings {
    find(file).map_or(Settings::default(), |driven| *driven.settings.lock())
}

/// Names who is told of a file, for `by`; ESRCH, ENOMEM.
pub fn set_owner(file: &Arc<File>, owner: Owner, by: &Process) -> Result<()> {
    if !owner.is_there() {
        return Err(Errno::ESRCH);
    }
    let credentials = by.credentials();
    let users = [credentials.user.effective, credentials.user.real];
    let driven = find_or_make(file)?;
    let mut settings = driven.settings.lock();
    (settings.owner, settings.users) = (owner, users);
    Ok(())
}

/// Sets the signal; ENOMEM.
pub fn set_signal(file: &Arc<File>, signal: Option<Signal>) -> Result<()> {
    find_or_make(file)?.settings.lock().signal = signal;
    Ok(())
}

/// Begins or ends telling of a file, which a program knows as `descriptor`. ENOTTY for files that are always ready, ENOMEM.
pub fn switch(file: &Arc<File>, descriptor: i32, on: bool) -> Result<()> {
    if file.wait_queues().iter().all(Option::is_none) {
        return Err(Errno::ENOTTY);
    }
    let driven = find_or_make(file)?;
    let mut settings = driven.settings.lock();
    match (settings.descriptor.is_some(), on) {
        (false, true) => driven.watch(file)?,
        (true, false) => driven.unwatch(file),
        _ => {}
    }
    settings.descriptor = on.then_some(descriptor);
    let bit = OpenFlags::ASYNC.bits();
    file.change_flags(bit, if on { bit } else { 0 });
    Ok(())
}

fn find(file: &File) -> Option<Arc<Driven>> {
    TABLE.lock().iter().find(|driven| core::ptr::eq(driven.file.as_ptr(), file)).cloned()
}

fn find_or_make(file: &Arc<File>) -> Result<Arc<Driven>> {
    start()?;
    let new = Arc::new_cyclic(|me| Driven {
        me: me.clone(),
        file: Arc::downgrade(file),
        settings: SpinLock::new("signal-driven file", Rank::File, Settings::default()),
        sides: Default::default(),
    });
    let me: Weak<dyn EndWatcher> = new.me.clone();
    file.watch_end(me.clone())?;
    let found = {
        let mut table = TABLE.lock();
        let found = table.iter().find(|driven| core::ptr::eq(driven.file.as_ptr(), &**file)).cloned();
        match found {
            Some(found) => Ok(found),
            None if table.try_reserve(1).is_err() => Err(Errno::ENOMEM),
            None => {
                table.push(new.clone());
                return Ok(new);
            }
        }
    };
    file.unwatch_end(&me);
    found
}

/// The task that sends the signals is there.
fn start() -> Result<()> {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if !STARTED.swap(true, Ordering::SeqCst) && sched::spawn("signal-driven I/O", serve).is_err() {
        STARTED.store(false, Ordering::SeqCst);
        return Err(Errno::ENOMEM);
    }
    Ok(())
}

fn serve() {
    loop {
        SERVER.wait(|| STIRRED.swap(false, Ordering::SeqCst).then_some(()));
        for at in 0.. {
            let Some(driven) = TABLE.lock().get(at).cloned() else { break };
            let woken = driven.sides.each_ref().map(|side| side.woken.swap(false, Ordering::SeqCst));
            if woken != [false; 2] {
                driven.tell(woken);
            }
        }
    }
}

fn stir() {
    STIRRED.store(true, Ordering::SeqCst);
    SERVER.wake_one();
}

impl Driven {
    fn watch(&self, file: &File) -> Result<()> {
        poll::watch(file, EVENTS[0], &Watch::Other(self.sides[0].clone()))?;
        poll::watch(file, EVENTS[1], &Watch::Other(self.sides[1].clone()))
            .inspect_err(|_| poll::unwatch(file, EVENTS[0], &Watch::Other(self.sides[0].clone())))
    }

    fn unwatch(&self, file: &File) {
        for (events, side) in EVENTS.into_iter().zip(&self.sides) {
            poll::unwatch(file, events, &Watch::Other(side.clone()));
        }
    }

    /// Tells the owner what the file is ready for, of what those were `woken` for who wait to read, or to write.
    fn tell(&self, woken: [bool; 2]) {
        let Some(file) = self.file.upgrade() else { return };
        let ready = file.poll();
        let settings = *self.settings.lock();
        let Some(descriptor) = settings.descriptor else { return };
        for (tells, event, code, band) in [
            (true, POLLERR, POLL_ERR, POLLERR),
            (true, POLLHUP, POLL_HUP, POLLHUP | POLLERR),
            (woken[0], POLLIN, POLL_IN, POLLIN | POLLRDNORM),
            (woken[1], POLLOUT, POLL_OUT, POLLOUT | POLLWRNORM | POLLWRBAND),
        ] {
            if tells && ready & event != 0 {
                settings.send(code, band, descriptor);
            }
        }
    }
}

impl Settings {
    fn send(&self, code: i32, band: u32, descriptor: i32) {
        let queued = self.signal.map(|signal| (signal, KernelSiginfo::io(signal, code, band, descriptor)));
        // A signal that finds no room is told of by SIGIO.
        let plain = (Signal::SIGIO, KernelSiginfo::kernel(Signal::SIGIO));
        let to_process = |process: &Arc<Process>| {
            if self.may_signal(process) && !queued.is_some_and(|(signal, info)| process.send(signal, info)) {
                process.send(plain.0, plain.1);
            }
        };
        let to_thread = |thread: &Thread| {
            let may = self.may_signal(thread.process());
            if may && !queued.is_some_and(|(signal, info)| thread.send(signal, info)) {
                thread.send(plain.0, plain.1);
            }
        };
        match self.owner {
            Owner::None => {}
            Owner::Thread(tid) => {
                if let Some(thread) = table::find_thread(tid) {
                    to_thread(&thread);
                }
            }
            Owner::Process(pid) => {
                if let Some(process) = table::find(pid) {
                    to_process(&process);
                }
            }
            Owner::Group(group) => table::group(group).iter().for_each(to_process),
        }
    }

    /// Whether who named the owner might send `process` a signal.
    fn may_signal(&self, process: &Process) -> bool {
        let target = process.credentials();
        let same = |user| self.users.contains(&user);
        self.users[0] == 0 || same(target.user.real) || same(target.user.saved)
    }
}

impl Watcher for Side {
    fn woken(&self) {
        self.woken.store(true, Ordering::SeqCst);
        stir();
    }
}

impl EndWatcher for Driven {
    fn ended(&self, file: &File) {
        let removed = {
            let mut table = TABLE.lock();
            let at = table.iter().position(|driven| core::ptr::eq(&**driven, self));
            at.map(|at| table.swap_remove(at))
        };
        if let Some(driven) = removed {
            driven.unwatch(file);
            // The server may have passed the place that another one has moved to.
            stir();
        }
    }
}
