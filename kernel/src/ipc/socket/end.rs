//! One end of what sockets make: what others know of a socket, which lives on while they do, after its file has ended.
//!
//! An end has an inbox; whoever sends puts it there. Conditions and `poll(2)` look at atomics, which are changed with the
//! inbox or the state locked. Ends keep each other by `peer`; an end that closes, or that is disconnected, lets go of its own, so there
//! is no circle. What else keeps ends: a listener those that wait for it, until they are accepted, give up, or it closes, and
//! the table of ports those that are in it, until they close.
//!
//! Who wants to send sleeps in the receiver's `room`, who wants to receive in its own `readable`; `poll` watches the own
//! `readable` and `writable`, which the other side wakes.
//!
//! Locks: `inbox` (sleeping) is held while bytes are copied from and to user memory, which may fault and sleep; `state`
//! (rank `File`) is taken inside it or alone, never two of them.

use super::inbox::{CAPACITY, Inbox};
use super::name::{Endpoint, Name};
use super::options::Options;
use crate::process;
use crate::vfs::{Location, Result, flags::*};
use abi::Errno;
use abi::socket::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, Ucred};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use machine::PAGE_SIZE;
use machine::mm::frame;
use machine::sync::{Mutex, Rank, SpinLock, WaitEnd, WaitQueue};
use machine::time::Instant;

/// Credentials of the other side where there is none.
pub const NOBODY: Ucred = Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
/// What a record takes of the room besides its bytes, so that empty packets are bounded, too.
const RECORD_COST: usize = 256;
/// Datagrams that wait for a receiver that is not connected to the sender, and one more (`max_dgram_qlen`).
const MOST_DATAGRAMS: usize = 10;

/// Family of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Sockets with a place in the file tree.
    Unix,
    /// TCP and UDP.
    Inet,
}

/// Bytes in all inboxes.
static KEPT: AtomicUsize = AtomicUsize::new(0);
/// One part in so many of the memory may be that, before each has room for little.
const PART_KEPT: usize = 8;
/// What each has room for then: a page.
const LEAST_UNDER_WAY: usize = PAGE_SIZE;

/// Type of a socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Bytes over a connection.
    Stream = SOCK_STREAM as u8,
    /// Packets by address.
    Datagram = SOCK_DGRAM as u8,
    /// Packets over a connection.
    Packets = SOCK_SEQPACKET as u8,
}

/// How far a socket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    /// New, or a datagram socket.
    Idle,
    /// A connect(2) is under way.
    Connecting,
    /// It has, or had, another side.
    Connected,
    /// It takes connections.
    Listening,
}

/// What has become of an end: it receives nothing more, it sends nothing more.
pub const RECEIVE: u8 = 1;
/// See [`RECEIVE`].
pub const SEND: u8 = 2;
/// Both.
pub const BOTH: u8 = RECEIVE | SEND;
/// The file has ended.
pub const CLOSED: u8 = 4;
/// The other side of a TCP connection has ended its part: what comes of a reset after that is no news to who receives.
pub const FINISHED: u8 = 8;
/// The other side of a TCP connection knows nothing of it any more.
pub const RESET: u8 = 16;
/// connect(2) has said EINPROGRESS and not yet that it is done.
pub const UNTOLD: u8 = 32;

/// An end.
pub struct End {
    /// Its family.
    pub family: Family,
    /// Its type.
    pub kind: Kind,
    /// Both at once: TCP.
    tcp: bool,
    /// The user who made it; of a connection, who asked for it.
    pub owner: u32,
    /// What has been sent to it.
    pub inbox: Mutex<Inbox>,
    bytes: AtomicUsize,
    /// Records in the inbox; connections that wait to be accepted.
    messages: AtomicUsize,
    phase: AtomicU8,
    shut: AtomicU8,
    /// Number of the error that the next call tells; 0 for none.
    error: AtomicU32,
    /// Who and where it is.
    pub state: SpinLock<State>,
    /// Woken when there is something to receive.
    pub readable: WaitQueue,
    /// Woken for those who watch it to send.
    pub writable: WaitQueue,
    /// Woken when there is room in the inbox, or among the connections that wait.
    pub room: WaitQueue,
    /// What it is set to.
    pub options: Options,
    /// Its place among the sockets that are under way in messages, or 0; changed with these locked.
    pub under_way: AtomicUsize,
}

/// What changes of an end.
pub struct State {
    /// Its name, once it has one.
    pub name: Option<Name>,
    /// The node that the name is of: kept, so that no other gets its number.
    pub place: Option<Location>,
    /// Where it sends to.
    pub peer: Option<Arc<End>>,
    /// Who that is, or was when the connection was made.
    pub peer_credentials: Ucred,
    /// Connections that nobody has accepted yet, and how many there may be before the last.
    pub backlog: VecDeque<Arc<End>>,
    /// See `backlog`.
    pub backlog_limit: usize,
    /// Connections of TCP that find no room among those, each with the socket that asks for it and is not connected yet.
    pub waiting: VecDeque<(Arc<End>, Arc<End>)>,
    /// The listener that a TCP socket asks for a connection, while it does.
    pub asked: Option<Weak<End>>,
    /// Datagram sockets whose peer it is.
    pub senders: Vec<Weak<End>>,
    /// The other side, as a TCP or UDP socket knows it.
    pub remote: Option<Endpoint>,
}

impl State {
    /// Whether `other` is where it sends to.
    pub fn has_peer(&self, other: &End) -> bool {
        self.peer.as_ref().is_some_and(|peer| core::ptr::eq(&**peer, other))
    }
}

impl End {
    /// A new one; ENOMEM.
    pub fn new(family: Family, kind: Kind) -> Result<End> {
        let owner = process::current_thread().map_or(0, |thread| thread.process().credentials().user.file);
        Ok(End {
            owner,
            tcp: family == Family::Inet && kind == Kind::Stream,
            family,
            kind,
            inbox: Mutex::new("socket", Inbox::new()?),
            bytes: AtomicUsize::new(0),
            messages: AtomicUsize::new(0),
            phase: AtomicU8::new(Phase::Idle as u8),
            shut: AtomicU8::new(0),
            error: AtomicU32::new(0),
            state: SpinLock::new(
                "socket state",
                Rank::File,
                State {
                    name: None,
                    place: None,
                    peer: None,
                    peer_credentials: NOBODY,
                    backlog: VecDeque::new(),
                    backlog_limit: 0,
                    waiting: VecDeque::new(),
                    asked: None,
                    senders: Vec::new(),
                    remote: None,
                },
            ),
            readable: WaitQueue::new("socket to receive"),
            writable: WaitQueue::new("socket to send"),
            room: WaitQueue::new("room of a socket"),
            options: Options::default(),
            under_way: AtomicUsize::new(0),
        })
    }

    /// Where it sends to.
    #[inline(never)] // it is asked for in many places
    pub fn peer(&self) -> Option<Arc<End>> {
        self.state.lock().peer.clone()
    }

    /// It sends to `peer` from now on, who is known by these.
    #[inline(never)]
    pub fn set_peer(&self, peer: &Arc<End>, credentials: Ucred) {
        let mut state = self.state.lock();
        state.peer = Some(peer.clone());
        state.peer_credentials = credentials;
    }

    /// What it is called.
    #[inline(never)]
    pub fn name(&self) -> Option<Name> {
        self.state.lock().name.clone()
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            1 => Phase::Connecting,
            2 => Phase::Connected,
            3 => Phase::Listening,
            _ => Phase::Idle,
        }
    }

    /// It is that far now.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// It is that far now if it was idle; else how far it is.
    pub fn leave_idle(&self, to: Phase) -> core::result::Result<(), Phase> {
        let changed =
            self.phase.compare_exchange(Phase::Idle as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if changed { Ok(()) } else { Err(self.phase()) }
    }

    /// What is shut down, and whether it is closed.
    #[inline]
    pub fn shut(&self) -> u8 {
        self.shut.load(Ordering::SeqCst)
    }

    /// Shuts these down, too.
    pub fn add_shut(&self, ways: u8) {
        self.shut.fetch_or(ways, Ordering::SeqCst);
    }

    /// Takes these back; which of them there were.
    pub fn take_shut(&self, ways: u8) -> u8 {
        self.shut.fetch_and(!ways, Ordering::SeqCst) & ways
    }

    /// Whether it is one of TCP.
    #[inline]
    pub fn is_tcp(&self) -> bool {
        self.tcp
    }

    /// Whether a connection of TCP has ended in both directions, or has been reset.
    pub fn is_over(&self) -> bool {
        let shut = self.shut();
        shut & RESET != 0 || shut & (SEND | FINISHED) == SEND | FINISHED
    }

    /// Whether who sends to it meets an end: TCP's sockets take in, until they are closed, what nobody may want any more.
    #[inline]
    pub fn takes_nothing(&self) -> bool {
        self.shut() & (if self.is_tcp() { CLOSED } else { RECEIVE }) != 0
    }

    /// The next call that asks for it tells of `error`.
    pub fn set_error(&self, error: Errno) {
        self.error.store(error.code() as u32, Ordering::SeqCst);
    }

    /// The error that is to be told, once.
    pub fn take_error(&self) -> Option<Errno> {
        if !self.has_error() {
            return None;
        }
        Errno::from_code(self.error.swap(0, Ordering::SeqCst) as i32)
    }

    /// Whether there is one to be told.
    pub fn has_error(&self) -> bool {
        self.error.load(Ordering::SeqCst) != 0
    }

    /// Keeps the atomics as the inbox is, which is locked.
    #[inline]
    pub fn note(&self, inbox: &Inbox) {
        let bytes = inbox.bytes();
        let before = self.bytes.swap(bytes, Ordering::SeqCst);
        KEPT.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
        self.messages.store(inbox.records(), Ordering::SeqCst);
    }

    /// Notes how many connections wait; with the state locked.
    pub fn note_backlog(&self, waiting: usize) {
        self.messages.store(waiting, Ordering::SeqCst);
    }

    /// Bytes in the inbox.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Bytes that wait to be received; of a listener, connections that wait to be accepted.
    pub fn waiting_to_receive(&self) -> usize {
        if self.phase() == Phase::Listening { self.messages.load(Ordering::SeqCst) } else { self.bytes() }
    }

    /// What has been sent to it and not received, as far as its sender's limit counts.
    pub fn used(&self) -> usize {
        self.bytes() + self.messages.load(Ordering::SeqCst) * RECORD_COST
    }

    /// Whether there is something to receive, or to accept.
    #[inline(never)]
    pub fn has_something(&self) -> bool {
        match self.kind {
            Kind::Stream if self.phase() != Phase::Listening => self.bytes() > 0,
            _ => self.messages.load(Ordering::SeqCst) > 0,
        }
    }

    /// Whether one who may have `limit` bytes under way may send `len` more; `mutual` says that the two are connected.
    #[inline]
    pub fn has_room(&self, len: usize, limit: usize, mutual: bool) -> bool {
        self.used() < limit
            && CAPACITY - self.bytes() >= len
            && (mutual || self.messages.load(Ordering::SeqCst) <= MOST_DATAGRAMS)
    }

    /// Bytes that may be sent to `peer` and not received: of TCP those that this side keeps and those that the other one does. Few if
    /// all inboxes together hold too much: they are nobody's memory that could be ended for it.
    pub fn most_under_way(&self, peer: &End) -> usize {
        if KEPT.load(Ordering::Relaxed) > frame::total() / PART_KEPT * PAGE_SIZE {
            return LEAST_UNDER_WAY;
        }
        let kept = if self.is_tcp() { peer.options.receive_buffer() } else { 0 };
        self.options.send_buffer() as usize + kept as usize
    }

    /// Whether this end and `other`, which sends to it, are connected to each other, so that no others send here.
    pub fn is_mutual(&self, other: &End) -> bool {
        self.kind != Kind::Datagram || self.is_peer(other)
    }

    /// Whether it sends to `other`.
    pub fn is_peer(&self, other: &End) -> bool {
        self.state.lock().has_peer(other)
    }

    /// Wakes all who wait for anything of it.
    #[inline(never)]
    pub fn stir(&self) {
        wake(&self.readable);
        wake(&self.writable);
        wake(&self.room);
    }

    /// More may be under way, either way: tells those who wait for that.
    pub fn tell_of_room(&self) {
        self.tell_senders();
        wake(&self.writable);
        if let Some(peer) = self.peer() {
            wake(&peer.room);
        }
    }

    /// There is more room in the inbox: tells those who wait for that to send.
    pub fn tell_senders(&self) {
        wake(&self.room);
        if self.kind != Kind::Datagram {
            if let Some(peer) = self.peer() {
                wake(&peer.writable);
            }
            return;
        }
        for at in 0.. {
            // One by one: what is dropped here is dropped with nothing locked.
            let Some(sender) = self.state.lock().senders.get(at).cloned() else { break };
            if let Some(sender) = sender.upgrade() {
                wake(&sender.writable);
            }
        }
    }

    /// The datagram socket `sender` has it for its peer; ECONNREFUSED if it is closed, ENOMEM.
    pub fn add_sender(&self, sender: &Arc<End>) -> Result<()> {
        let mut state = self.state.lock();
        if self.shut() & CLOSED != 0 {
            return Err(Errno::ECONNREFUSED);
        }
        state.senders.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        state.senders.push(Arc::downgrade(sender));
        Ok(())
    }

    /// It sends to `peer` no more.
    pub fn forget_sender(peer: &End, sender: &End) {
        let forgotten = {
            let mut state = peer.state.lock();
            let at = state.senders.iter().position(|other| core::ptr::eq(other.as_ptr(), sender));
            at.map(|at| state.senders.swap_remove(at))
        };
        drop(forgotten);
    }

    /// What would not block now, in `POLL*` bits.
    pub fn poll(&self) -> u32 {
        let (shut, phase) = (self.shut(), self.phase());
        let mut events = 0;
        if self.has_error() {
            events |= POLLERR;
        }
        match phase {
            Phase::Connecting if self.is_tcp() => return events,
            // Connections alone count, whatever has become of an earlier one.
            Phase::Listening if self.is_tcp() => {
                return if self.has_something() { POLLIN | POLLRDNORM } else { 0 };
            }
            _ => {}
        }
        if shut & BOTH == BOTH || self.kind != Kind::Datagram && matches!(phase, Phase::Idle | Phase::Connecting) {
            events |= POLLHUP;
        }
        if shut & RECEIVE != 0 {
            events |= POLLRDHUP | POLLIN | POLLRDNORM;
        }
        if self.has_something() {
            events |= POLLIN | POLLRDNORM;
        }
        if phase != Phase::Listening && self.may_send() {
            events |= POLLOUT | POLLWRNORM | if self.is_tcp() { 0 } else { POLLWRBAND };
        }
        events
    }

    /// Whether less than a quarter of what may be under way is.
    fn may_send(&self) -> bool {
        self.is_tcp() && self.shut() & SEND != 0
            || self.peer().is_none_or(|peer| {
                let limit = self.most_under_way(&peer);
                peer.shut() & CLOSED != 0 || peer.used() * 4 <= limit && peer.has_room(0, limit, peer.is_mutual(self))
            })
    }
}

impl Drop for End {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// Wakes all who wait in `queue`.
#[inline(never)] // as what follows, for its size: it is used in many places
pub fn wake(queue: &WaitQueue) {
    queue.wake_all();
}

/// Sleeps in `queue` until `due`: EAGAIN when `deadline` comes first, EINTR for a signal.
#[inline(never)]
pub fn sleep(queue: &WaitQueue, deadline: Option<Instant>, due: &dyn Fn() -> bool) -> Result<()> {
    queue.wait_here(deadline, process::interrupted, due).map_err(|end| match end {
        WaitEnd::TimedOut => Errno::EAGAIN,
        WaitEnd::Interrupted => Errno::EINTR,
    })
}
