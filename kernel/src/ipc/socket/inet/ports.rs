//! Ports: which socket has which (bind(2)), and finding the one that an address means.
//!
//! Connections that were accepted have the listener's port and are not here: nobody looks for them, as both ends know each
//! other. A socket is here from when it gets a port until it closes. Lock: `PORTS` (rank Table), with states of
//! sockets under it.

use super::super::end::{End, Kind, Phase, State};
use super::super::name::{Endpoint, Name};
use super::super::options::{REUSE_ADDRESS, REUSE_PORT};
use crate::process::{self, Thread};
use crate::vfs::Result;
use abi::Errno;
use abi::capability::CAP_NET_BIND_SERVICE;
use abi::inet::INADDR_ANY;
use abi::socket::Ucred;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use machine::sync::{Rank, SpinLock};

/// Ports that are given to who asks for none (`ip_local_port_range`).
const ANY_PORTS: core::ops::RangeInclusive<u16> = 32768..=60999;
/// Ports below are for those who have CAP_NET_BIND_SERVICE.
const FIRST_FREE: u16 = 1024;

const BUCKETS: usize = 256;

/// A socket and what it has.
struct Bound {
    own: Endpoint,
    kind: Kind,
    /// The host that bind(2) gave it, which it has again when it is connected to nobody any more; None if it had no name by then.
    bound_host: Option<u32>,
    /// Whom a datagram socket takes from alone.
    remote: Option<Endpoint>,
    end: Arc<End>,
}

/// Sockets whose ports have the same remainder, in the order in which they have come.
type Bucket = Vec<Bound>;

static PORTS: SpinLock<[Bucket; BUCKETS]> = SpinLock::new("ports", Rank::Table, [const { Vec::new() }; BUCKETS]);

impl Bound {
    /// Whether a socket of this kind can have this name only if both say so.
    fn meets(&self, kind: Kind, name: Endpoint) -> bool {
        let same_host = self.own.host == name.host || self.own.host == INADDR_ANY || name.host == INADDR_ANY;
        self.own.port == name.port && self.kind == kind && same_host
    }

    /// Whether both say so (`socket(7)`); a port that one listens at only if they share what comes (SO_REUSEPORT), which only sockets
    /// of one user do.
    fn shares(&self, end: &End) -> bool {
        let both = |switch| self.end.options.is_on(switch) && end.options.is_on(switch);
        both(REUSE_PORT) && self.end.owner == end.owner || both(REUSE_ADDRESS) && !self.listens()
    }

    fn listens(&self) -> bool {
        self.end.phase() == Phase::Listening
    }

    /// How well it fits what `from` sends to `to`: not at all, or the more the better.
    fn fits(&self, kind: Kind, to: Endpoint, from: Endpoint) -> Option<u32> {
        let means = self.own.port == to.port && self.kind == kind;
        let host = self.own.host == INADDR_ANY || self.own.host == to.host;
        let remote = self.remote.is_none_or(|remote| remote == from);
        let points = u32::from(self.own.host != INADDR_ANY) + 2 * u32::from(self.remote.is_some());
        (means && host && remote && (kind == Kind::Datagram || self.end.listens())).then_some(points)
    }
}

fn bucket(port: u16) -> usize {
    usize::from(port) % BUCKETS
}

/// Gives a socket this name. EADDRINUSE, EADDRNOTAVAIL, EINVAL if it has one, EACCES, ENOMEM.
pub fn bind(end: &Arc<End>, name: Endpoint) -> Result<()> {
    if name.host != INADDR_ANY && !name.is_local() {
        return Err(Errno::EADDRNOTAVAIL);
    }
    let may = |thread: Arc<Thread>| thread.process().credentials().has(CAP_NET_BIND_SERVICE);
    if (1..FIRST_FREE).contains(&name.port) && !process::current_thread().is_none_or(may) {
        return Err(Errno::EACCES);
    }
    if end.phase() != Phase::Idle {
        return Err(Errno::EINVAL);
    }
    let given = match name.port {
        0 => find_port(end, name.host)?.ok_or(Errno::EADDRINUSE)?,
        _ => give(&mut PORTS.lock(), end, name, Some(name.host))?,
    };
    if given { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Gives a socket that has none a port that nobody else has, at any host; EADDRNOTAVAIL, ENOMEM.
pub fn bind_any(end: &Arc<End>) -> Result<()> {
    if end.name().is_none() {
        find_port(end, INADDR_ANY)?.ok_or(Errno::EADDRNOTAVAIL)?;
    }
    Ok(())
}

/// Gives it a port of `host` that nobody has, unless it has a name: whether it had none. None if all are taken; ENOMEM.
fn find_port(end: &Arc<End>, host: u32) -> Result<Option<bool>> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = ANY_PORTS.len() as u32;
    let start = NEXT.fetch_add(1, Ordering::Relaxed) % count;
    for tried in 0..count {
        let name = Endpoint { host, port: ANY_PORTS.start() + ((start + tried) % count) as u16 };
        let mut ports = PORTS.lock();
        if !ports[bucket(name.port)].iter().any(|bound| bound.meets(end.kind, name)) {
            NEXT.fetch_add(tried, Ordering::Relaxed);
            return give(&mut ports, end, name, None).map(Some);
        }
    }
    Ok(None)
}

/// Gives a socket a name, unless it has one: whether it had none.
fn give(ports: &mut [Bucket; BUCKETS], end: &Arc<End>, own: Endpoint, bound_host: Option<u32>) -> Result<bool> {
    let bucket = &mut ports[bucket(own.port)];
    let mut state = end.state.lock();
    if state.name.is_some() {
        return Ok(false);
    }
    if bucket.iter().any(|bound| bound.meets(end.kind, own) && !bound.shares(end)) {
        return Err(Errno::EADDRINUSE);
    }
    bucket.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    bucket.push(Bound { own, kind: end.kind, bound_host, remote: None, end: end.clone() });
    state.name = Some(Name::Inet(own));
    Ok(true)
}

/// A socket takes connections from now on; EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOMEM.
pub fn listen(end: &Arc<End>, backlog: u32, listener: Ucred) -> Result<()> {
    if !matches!(end.phase(), Phase::Idle | Phase::Listening) {
        return Err(Errno::EINVAL);
    }
    bind_any(end)?;
    {
        let ports = PORTS.lock();
        let own = end.endpoint();
        let meets = |bound: &&Bound| !Arc::ptr_eq(&bound.end, end) && bound.meets(end.kind, own);
        let mut others = ports[bucket(own.port)].iter().filter(meets);
        if others.any(|bound| bound.listens() && !bound.shares(end)) {
            return Err(Errno::EADDRINUSE);
        }
        end.listen(backlog, listener)?;
    }
    // There may be more room now than there was.
    end.admit();
    Ok(())
}

/// A socket takes no connections any more; whether it did.
pub fn end_listening(end: &End) -> bool {
    let freed = change(end, |ports, state| {
        (end.phase() == Phase::Listening).then(|| {
            end.set_phase(Phase::Idle);
            ports.disconnect(state, end)
        })
    });
    freed.is_some()
}

/// The table while it is locked.
pub struct Ports<'a>(&'a mut [Bucket; BUCKETS]);

/// For who changes a socket's name, and what else there is to it, in one piece: calls `how` with the table and the state locked.
/// What comes of it is dropped when they are not: it may hold the last reference to a socket.
pub fn change<R>(end: &End, how: impl FnOnce(&mut Ports<'_>, &mut State) -> R) -> R {
    let mut ports = PORTS.lock();
    let mut state = end.state.lock();
    how(&mut Ports(&mut ports), &mut state)
}

impl Ports<'_> {
    /// What is known of a socket here, by its name.
    fn find(&mut self, state: &State, end: &End) -> Option<(&mut Bucket, usize)> {
        let Some(Name::Inet(own)) = &state.name else { return None };
        let bucket = &mut self.0[bucket(own.port)];
        let at = bucket.iter().position(|bound| core::ptr::eq(&*bound.end, end))?;
        Some((bucket, at))
    }

    /// A socket that is at no host of its own yet is at the one that leads to all there are.
    pub fn settle(&mut self, state: &mut State, end: &End) {
        let Some((bucket, at)) = self.find(state, end) else { return };
        let own = &mut bucket[at].own;
        *own = own.here();
        state.name = Some(Name::Inet(*own));
    }

    /// A socket sends to nobody any more, and has the name that bind(2) gave it. A port that it was not bound to by number is free:
    /// what had it is returned.
    #[must_use]
    pub fn disconnect(&mut self, state: &mut State, end: &End) -> Option<impl Sized + use<>> {
        state.remote = None;
        let (bucket, at) = self.find(state, end)?;
        bucket[at].remote = None;
        let Some(host) = bucket[at].bound_host else {
            state.name = None;
            return Some(bucket.remove(at));
        };
        bucket[at].own.host = host;
        state.name = Some(Name::Inet(bucket[at].own));
        None
    }
}

/// A datagram socket sends to `remote`, and takes from it alone.
pub fn connect(end: &End, remote: Endpoint) {
    change(end, |ports, state| {
        ports.settle(state, end);
        if let Some((bucket, at)) = ports.find(state, end) {
            bucket[at].remote = Some(remote);
            state.remote = Some(remote);
        }
    });
}

/// It sends to nobody, and takes from all.
pub fn disconnect(end: &End) {
    drop(change(end, |ports, state| ports.disconnect(state, end)));
}

/// The port of a socket that closes is free.
pub fn forget(end: &End) {
    drop(change(end, |ports, state| ports.find(state, end).map(|(bucket, at)| bucket.remove(at))));
}

/// The socket that takes what `from` sends to `to`: of those that fit best one by who sends, if all of them share the port, else the
/// last one that has come. None if there is none.
pub fn find(kind: Kind, to: Endpoint, from: Endpoint) -> Option<Arc<End>> {
    let ports = PORTS.lock();
    let bucket = &ports[bucket(to.port)];
    let (mut best, mut count, mut share) = (None, 0, true);
    let mut last = None;
    // A socket may cease to fit meanwhile: each is asked once.
    for (at, bound) in bucket.iter().enumerate() {
        let Some(points) = bound.fits(kind, to, from).filter(|&points| best.is_none_or(|best| points >= best)) else {
            continue;
        };
        if best != Some(points) {
            (best, count, share) = (Some(points), 0, true);
        }
        count += 1;
        share &= bound.end.options.is_on(REUSE_PORT);
        // Of several each is as likely as the others, and the same one for the same sender.
        if !share || u32::from(from.port).wrapping_mul(0x9e37_79b9).wrapping_add(at as u32) % count == 0 {
            last = Some(bound);
        }
    }
    last.map(|bound| bound.end.clone())
}
