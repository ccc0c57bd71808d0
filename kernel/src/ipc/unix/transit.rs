//! Descriptors under way in messages: how many, on whose account, and those that nobody can ever receive.
//!
//! A socket may be sent into its own inbox, or into one that it can be reached from only by way of itself. When all
//! descriptors of such a circle are closed nobody can receive any more, and yet each keeps the next. As Linux does, they are
//! found by counting: a socket all of whose references are in inboxes ([`Sending::count`]) is reachable only through a
//! socket that has one of them; those that no socket with a descriptor leads to are emptied. That is looked for whenever a
//! socket closes while sockets are under way. (To refuse what may become a circle would refuse to pass sockets on
//! that are in use.) Of other kinds of files none keeps files.
//!
//! Files go in and out of inboxes with [`TRAFFIC`] held, so that the count is of one moment; an inbox is locked inside it. A
//! file that is under way is never dropped by whoever takes it out, as one may hold a socket whose inbox holds the next and
//! so on: those to be closed are put on a list ([`doom`]), which one task at a time closes ([`settle`]).

use super::end::End;
use super::file::Socket;
use super::passed::Passed;
use crate::vfs::{File, Result};
use abi::Errno;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::sync::{Mutex, MutexGuard, Rank, SpinLock};

static TRAFFIC: Mutex<Traffic> = Mutex::new("descriptors in messages", Traffic::new());

/// Sockets in inboxes, and lists of files to be closed; who closes a socket need not look for circles if there are none.
static PENDING: AtomicUsize = AtomicUsize::new(0);

static DOOMED: SpinLock<Doomed> =
    SpinLock::new("descriptors to close", Rank::File, Doomed { list: None, closed: false, busy: false });

/// What is under way.
pub struct Traffic {
    /// Sockets in inboxes, by the address of their end.
    sockets: BTreeMap<usize, Sending>,
    /// Files in inboxes, by user.
    users: BTreeMap<u32, usize>,
}

/// A socket that is in inboxes.
struct Sending {
    end: Arc<End>,
    file: Weak<File>,
    /// How often it is in one.
    count: usize,
    /// Of these, how often in one that is itself reachable only through inboxes.
    inside: usize,
    /// It has no reference that is not in an inbox.
    unheld: bool,
    /// Something leads to it.
    reached: bool,
}

struct Doomed {
    list: Option<Box<Passed>>,
    /// A socket has closed since circles were looked for.
    closed: bool,
    /// Somebody closes what is on the list.
    busy: bool,
}

/// Keeps what is under way as it is.
pub fn lock() -> MutexGuard<'static, Traffic> {
    TRAFFIC.lock()
}

impl Traffic {
    const fn new() -> Traffic {
        Traffic { sockets: BTreeMap::new(), users: BTreeMap::new() }
    }

    /// ETOOMANYREFS if `user` has more than `limit` files under way.
    pub fn check(&self, user: u32, limit: usize) -> Result<()> {
        match self.users.get(&user) {
            Some(&count) if count > limit => Err(Errno::ETOOMANYREFS),
            _ => Ok(()),
        }
    }

    /// These files are going into an inbox.
    pub fn enter(&mut self, passed: &Passed) {
        *self.users.entry(passed.user).or_default() += passed.files.len();
        for file in &passed.files {
            let Some(socket) = file.device::<Socket>() else { continue };
            let sending = self.sockets.entry(key(&socket.end)).or_insert_with(|| {
                PENDING.fetch_add(1, Ordering::SeqCst);
                let (end, file) = (socket.end.clone(), Arc::downgrade(file));
                Sending { end, file, count: 0, inside: 0, unheld: false, reached: false }
            });
            sending.count += 1;
        }
    }

    /// These files have come out of one.
    pub fn leave(&mut self, passed: &Passed) {
        if let Some(count) = self.users.get_mut(&passed.user) {
            *count -= passed.files.len();
            if *count == 0 {
                self.users.remove(&passed.user);
            }
        }
        for file in &passed.files {
            let Some(socket) = file.device::<Socket>() else { continue };
            let Some(sending) = self.sockets.get_mut(&key(&socket.end)) else { continue };
            sending.count -= 1;
            if sending.count == 0 {
                self.sockets.remove(&key(&socket.end));
                PENDING.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Puts the files in an inbox, and in those of connections that wait there, on the list of those to be closed.
    pub fn empty(&mut self, end: &End) {
        each_inbox(end, &mut |end| {
            while let Some(passed) = {
                let mut inbox = end.inbox.lock();
                inbox.take_passed()
            } {
                self.leave(&passed);
                doom(passed);
            }
        });
    }

    /// Empties the inboxes that nobody can reach.
    fn collect(&mut self) {
        let mut unheld = Vec::new();
        if unheld.try_reserve_exact(self.sockets.len()).is_err() {
            return;
        }
        for (&key, sending) in &mut self.sockets {
            sending.unheld = sending.file.strong_count() == sending.count;
            (sending.inside, sending.reached) = (0, false);
            if sending.unheld {
                unheld.push(key);
            }
        }
        for key in &unheld {
            self.each_inside(*key, &mut |sending| sending.inside += 1);
        }
        // Those that lie somewhere else, too, and what they lead to. None is entered twice.
        let mut reached = Vec::new();
        if reached.try_reserve_exact(unheld.len()).is_err() {
            return;
        }
        for key in &unheld {
            if let Some(sending) = self.sockets.get_mut(key).filter(|sending| sending.inside < sending.count) {
                sending.reached = true;
                reached.push(*key);
            }
        }
        while let Some(next) = reached.pop() {
            self.each_inside(next, &mut |sending| {
                if sending.unheld && !sending.reached {
                    sending.reached = true;
                    reached.push(key(&sending.end));
                }
            });
        }
        for key in &unheld {
            let lost = self.sockets.get(key).filter(|sending| !sending.reached).map(|sending| sending.end.clone());
            if let Some(end) = lost {
                self.empty(&end);
            }
        }
    }

    /// Calls `each` with every socket that is in an inbox of the one at `holder`.
    fn each_inside(&mut self, holder: usize, each: &mut dyn FnMut(&mut Sending)) {
        let Some(end) = self.sockets.get(&holder).map(|sending| sending.end.clone()) else { return };
        each_inbox(&end, &mut |end| {
            end.inbox.lock().each_passed(&mut |passed| {
                for socket in passed.files.iter().filter_map(|file| file.device::<Socket>()) {
                    if let Some(sending) = self.sockets.get_mut(&key(&socket.end)) {
                        each(sending);
                    }
                }
            });
        });
    }
}

fn key(end: &Arc<End>) -> usize {
    Arc::as_ptr(end).addr()
}

/// Calls `each` with an end and with the connections that wait there.
fn each_inbox(end: &End, each: &mut dyn FnMut(&End)) {
    each(end);
    for at in 0.. {
        let Some(waiting) = end.state.lock().backlog.get(at).cloned() else { break };
        each(&waiting);
    }
}

/// Puts files that have come out of an inbox on the list of those to be closed; [`settle`] closes them.
fn doom(mut passed: Box<Passed>) {
    PENDING.fetch_add(1, Ordering::SeqCst);
    let mut doomed = DOOMED.lock();
    passed.next = doomed.list.take();
    doomed.list = Some(passed);
}

/// A socket has closed: closes what nobody can receive any more. Called with nothing locked, also from within itself, where
/// it leaves the work to the first call.
pub fn settle() {
    if PENDING.load(Ordering::SeqCst) == 0 {
        return;
    }
    {
        let mut doomed = DOOMED.lock();
        doomed.closed = true;
        if doomed.busy {
            return;
        }
        doomed.busy = true;
    }
    loop {
        let next = {
            let mut doomed = DOOMED.lock();
            let next = doomed.list.take();
            match next {
                Some(mut next) => {
                    doomed.list = next.next.take();
                    Some(next)
                }
                None if !core::mem::take(&mut doomed.closed) => {
                    doomed.busy = false;
                    return;
                }
                None => None,
            }
        };
        match next {
            Some(next) => {
                drop(next);
                PENDING.fetch_sub(1, Ordering::SeqCst);
            }
            None => TRAFFIC.lock().collect(),
        }
    }
}
