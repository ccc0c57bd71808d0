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

use super::descriptor::Socket;
use super::end::End;
use super::passed::Passed;
use crate::vfs::{File, Result};
use abi::Errno;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use klib::small_map::SmallMap;
use machine::sync::{Mutex, MutexGuard, Rank, SpinLock};

static TRAFFIC: Mutex<Traffic> = Mutex::new("descriptors in messages", Traffic::new());

/// Sockets in inboxes, and lists of files to be closed; who closes a socket need not look for circles if there are none.
static PENDING: AtomicUsize = AtomicUsize::new(0);

static DOOMED: SpinLock<Doomed> =
    SpinLock::new("descriptors to close", Rank::File, Doomed { list: None, closed: false, busy: false });

/// What is under way.
pub struct Traffic {
    /// Sockets in inboxes. Each end has its number here, and one more, as its `under_way`.
    sockets: Vec<Sending>,
    /// Files in inboxes, by user.
    users: SmallMap<u32, u64>,
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
        Traffic { sockets: Vec::new(), users: SmallMap::new() }
    }

    /// Makes room for these files; ETOOMANYREFS if their user has more than `limit` under way, ENOBUFS.
    pub fn check(&mut self, passed: &Passed, limit: usize) -> Result<()> {
        if self.users.get(&passed.user).is_some_and(|&count| count > limit as u64) {
            return Err(Errno::ETOOMANYREFS);
        }
        self.sockets.try_reserve(passed.files.len()).map_err(|_| Errno::ENOBUFS)
    }

    /// These files are going into an inbox, for which [`Traffic::check`] has made room.
    pub fn enter(&mut self, passed: &Passed) {
        *self.users.get_or_insert_with(passed.user, || 0) += passed.files.len() as u64;
        for file in &passed.files {
            let Some(socket) = file.device::<Socket>() else { continue };
            if self.sending(&socket.end).is_none() {
                PENDING.fetch_add(1, Ordering::SeqCst);
                let (end, file) = (socket.end.clone(), Arc::downgrade(file));
                self.sockets.push(Sending { end, file, count: 0, inside: 0, unheld: false, reached: false });
                socket.end.under_way.store(self.sockets.len(), Ordering::Relaxed);
            }
            if let Some(sending) = self.sending(&socket.end) {
                sending.count += 1;
            }
        }
    }

    /// These files have come out of one.
    pub fn leave(&mut self, passed: &Passed) {
        if let Some(count) = self.users.get_mut(&passed.user) {
            *count -= passed.files.len() as u64;
            if *count == 0 {
                self.users.remove(&passed.user);
            }
        }
        for file in &passed.files {
            let Some(socket) = file.device::<Socket>() else { continue };
            let Some(sending) = self.sending(&socket.end) else { continue };
            sending.count -= 1;
            if sending.count == 0 {
                let number = socket.end.under_way.swap(0, Ordering::Relaxed);
                self.sockets.swap_remove(number - 1);
                if let Some(moved) = self.sockets.get(number - 1) {
                    moved.end.under_way.store(number, Ordering::Relaxed);
                }
                PENDING.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// How a socket is under way, if it is.
    fn sending(&mut self, end: &End) -> Option<&mut Sending> {
        let number = end.under_way.load(Ordering::Relaxed);
        self.sockets.get_mut(number.wrapping_sub(1))
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
        // Ends to look at; each is entered once at most, and lost ones are found when no more are entered.
        let mut ends = Vec::new();
        if ends.try_reserve_exact(self.sockets.len()).is_err() {
            return;
        }
        for sending in &mut self.sockets {
            sending.unheld = sending.file.strong_count() == sending.count;
            (sending.inside, sending.reached) = (0, false);
        }
        for number in 0..self.sockets.len() {
            if self.sockets[number].unheld {
                let end = self.sockets[number].end.clone();
                self.each_inside(&end, &mut |sending| sending.inside += 1);
            }
        }
        // Those that lie somewhere else, too, and what they lead to.
        for sending in self.sockets.iter_mut().filter(|sending| sending.unheld && sending.inside < sending.count) {
            sending.reached = true;
            ends.push(sending.end.clone());
        }
        while let Some(end) = ends.pop() {
            self.each_inside(&end, &mut |sending| {
                if sending.unheld && !core::mem::replace(&mut sending.reached, true) {
                    ends.push(sending.end.clone());
                }
            });
        }
        let lost = self.sockets.iter().filter(|sending| sending.unheld && !sending.reached);
        ends.extend(lost.map(|sending| sending.end.clone()));
        ends.iter().for_each(|end| self.empty(end));
    }

    /// Calls `each` with every socket that is in an inbox of `holder`.
    fn each_inside(&mut self, holder: &End, each: &mut dyn FnMut(&mut Sending)) {
        each_inbox(holder, &mut |end| {
            end.inbox.lock().each_passed(&mut |passed| {
                for socket in passed.files.iter().filter_map(|file| file.device::<Socket>()) {
                    if let Some(sending) = self.sending(&socket.end) {
                        each(sending);
                    }
                }
            });
        });
    }
}

/// Calls `each` with an end and with the connections that wait there.
fn each_inbox(end: &End, each: &mut dyn FnMut(&End)) {
    each(end);
    for at in 0.. {
        let Some(waiting) = end.state.lock().backlog.get(at).cloned() else { break };
        each(&waiting);
    }
}

/// Loses what is in the inbox of an end; whether there was something. Files are closed by [`settle`].
pub fn discard(end: &End) -> bool {
    let mut traffic;
    let mut inbox = end.inbox.lock();
    let something = inbox.bytes() + inbox.records() > 0;
    let mut passes = false;
    inbox.each_passed(&mut |_| passes = true);
    if passes {
        drop(inbox);
        // Held to the end: no more files come in.
        traffic = lock();
        traffic.empty(end);
        inbox = end.inbox.lock();
    }
    inbox.clear();
    end.note(&inbox);
    something
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
