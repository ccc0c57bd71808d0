//! Ports: which socket has which (bind(2)), and finding the one that an address means.
//!
//! Connections that were accepted have the listener's port and are not here: nobody looks for them, as both ends know each
//! other. A socket is here from when it gets a port until it closes. Lock: `PORTS` (rank Table), with states of
//! sockets under it.

use super::super::end::{End, Kind, Phase};
use super::super::name::{Endpoint, Name};
use super::super::options::{REUSE_ADDRESS, REUSE_PORT};
use crate::process;
use crate::vfs::Result;
use abi::Errno;
use abi::capability::CAP_NET_BIND_SERVICE;
use abi::inet::{INADDR_ANY, INADDR_LOOPBACK};
use abi::socket::Ucred;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU16, Ordering};
use machine::sync::{Rank, SpinLock};

/// Ports that are given to who asks for none (`ip_local_port_range`).
const ANY_PORTS: core::ops::RangeInclusive<u16> = 32768..=60999;
/// Ports below are for those who have CAP_NET_BIND_SERVICE.
const FIRST_FREE: u16 = 1024;

const BUCKETS: usize = 128;

/// A socket and what it has.
struct Bound {
    own: Endpoint,
    /// The host that bind(2) gave it, which it has again when it is connected to nobody any more.
    bound_host: u32,
    /// Whom a datagram socket takes from alone.
    remote: Option<Endpoint>,
    /// Who made it.
    user: u32,
    end: Arc<End>,
}

/// Sockets whose ports have the same remainder.
type Bucket = Vec<Bound>;

static PORTS: SpinLock<[Bucket; BUCKETS]> = SpinLock::new("ports", Rank::Table, [const { Vec::new() }; BUCKETS]);

impl Bound {
    /// Whether a socket of this kind can have this name only if both say so.
    fn meets(&self, kind: Kind, name: Endpoint) -> bool {
        let same_host = self.own.host == name.host || self.own.host == INADDR_ANY || name.host == INADDR_ANY;
        self.end.kind == kind && self.own.port == name.port && same_host
    }

    /// Whether both say so (`socket(7)`); a port that one listens at only if they share what comes (SO_REUSEPORT).
    fn shares(&self, end: &End, user: u32) -> bool {
        let both = |switch| self.end.options.is_on(switch) && end.options.is_on(switch);
        both(REUSE_PORT) && self.user == user || both(REUSE_ADDRESS) && !self.listens()
    }

    fn listens(&self) -> bool {
        self.end.phase() == Phase::Listening
    }

    /// How well it fits what `from` sends to `to`: not at all, or the more the better.
    fn fits(&self, kind: Kind, to: Endpoint, from: Endpoint) -> Option<u32> {
        let means = self.end.kind == kind && self.own.port == to.port;
        let host = self.own.host == INADDR_ANY || self.own.host == to.host;
        let remote = self.remote.is_none_or(|remote| remote == from);
        let listens = kind == Kind::Datagram || self.end.listens();
        let points = u32::from(self.own.host != INADDR_ANY) + 2 * u32::from(self.remote.is_some());
        (means && host && remote && listens).then_some(points)
    }
}

fn bucket(port: u16) -> usize {
    usize::from(port) % BUCKETS
}

/// Gives a socket this name. EADDRINUSE, EADDRNOTAVAIL, EINVAL if it has one, EACCES, ENOMEM.
pub fn bind(end: &Arc<End>, name: Endpoint) -> Result<()> {
    let (user, may) = process::current_thread().map_or((0, true), |thread| {
        let credentials = thread.process().credentials();
        (credentials.user.effective, credentials.has(CAP_NET_BIND_SERVICE))
    });
    if name.host != INADDR_ANY && !name.is_local() {
        return Err(Errno::EADDRNOTAVAIL);
    }
    if (1..FIRST_FREE).contains(&name.port) && !may {
        return Err(Errno::EACCES);
    }
    if end.phase() != Phase::Idle {
        return Err(Errno::EINVAL);
    }
    if name.port == 0 {
        return find_port(end, name.host, user, true).and_then(|new| if new { Ok(()) } else { Err(Errno::EINVAL) });
    }
    let given = give(&mut PORTS.lock(), end, name, user)?;
    if given { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Gives a socket that has none a port that nobody else has, at any host; EADDRNOTAVAIL, ENOMEM.
pub fn bind_any(end: &Arc<End>) -> Result<()> {
    if end.name().is_some() {
        return Ok(());
    }
    find_port(end, INADDR_ANY, 0, false).map(|_| ())
}

/// Gives it a port of `host` that nobody has, unless it has a name: whether it had none.
fn find_port(end: &Arc<End>, host: u32, user: u32, binds: bool) -> Result<bool> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in ANY_PORTS {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % ANY_PORTS.len() as u16;
        let name = Endpoint { host, port: ANY_PORTS.start() + number };
        let mut ports = PORTS.lock();
        if !ports[bucket(name.port)].iter().any(|bound| bound.meets(end.kind, name)) {
            return give(&mut ports, end, name, user);
        }
    }
    Err(if binds { Errno::EADDRINUSE } else { Errno::EADDRNOTAVAIL })
}

/// Gives a socket a name, unless it has one: whether it had none.
fn give(ports: &mut [Bucket; BUCKETS], end: &Arc<End>, own: Endpoint, user: u32) -> Result<bool> {
    let bucket = &mut ports[bucket(own.port)];
    let mut state = end.state.lock();
    if state.name.is_some() {
        return Ok(false);
    }
    if bucket.iter().any(|bound| bound.meets(end.kind, own) && !bound.shares(end, user)) {
        return Err(Errno::EADDRINUSE);
    }
    bucket.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    bucket.push(Bound { own, bound_host: own.host, remote: None, user, end: end.clone() });
    state.name = Some(Name::Inet(own));
    Ok(true)
}

/// A socket takes connections from now on; EADDRINUSE, EINVAL.
pub fn listen(end: &Arc<End>, backlog: u32, listener: Ucred) -> Result<()> {
    if !matches!(end.phase(), Phase::Idle | Phase::Listening) {
        return Err(Errno::EINVAL);
    }
    bind_any(end)?;
    let ports = PORTS.lock();
    let own = end.endpoint();
    let meets = |bound: &&Bound| !Arc::ptr_eq(&bound.end, end) && bound.meets(end.kind, own);
    let mut others = ports[bucket(own.port)].iter().filter(meets);
    if others.any(|bound| bound.listens() && !bound.shares(end, listener.uid)) {
        return Err(Errno::EADDRINUSE);
    }
    end.listen(backlog, listener)
}

/// A socket sends to `remote`, and is at a host of its own for that. A datagram socket takes from it alone.
pub fn connect(end: &Arc<End>, remote: Endpoint) {
    let mut ports = PORTS.lock();
    let mut state = end.state.lock();
    let Some(Name::Inet(own)) = &mut state.name else { return };
    if own.host == INADDR_ANY {
        own.host = INADDR_LOOPBACK;
    }
    let own = *own;
    state.remote = Some(remote);
    if let Some(bound) = ports[bucket(own.port)].iter_mut().find(|bound| Arc::ptr_eq(&bound.end, end)) {
        bound.own = own;
        bound.remote = (end.kind == Kind::Datagram).then_some(remote);
    }
}

/// A socket sends to nobody any more.
pub fn disconnect(end: &End) {
    let mut ports = PORTS.lock();
    let mut state = end.state.lock();
    state.remote = None;
    let Some(Name::Inet(own)) = &mut state.name else { return };
    if let Some(bound) = ports[bucket(own.port)].iter_mut().find(|bound| core::ptr::eq(&*bound.end, end)) {
        bound.remote = None;
        bound.own.host = bound.bound_host;
        *own = bound.own;
    }
}

/// The port of a socket that closes is free.
pub fn forget(end: &End) {
    let Some(Name::Inet(own)) = end.name() else { return };
    let forgotten = {
        let mut ports = PORTS.lock();
        let bucket = &mut ports[bucket(own.port)];
        let place = bucket.iter().position(|bound| core::ptr::eq(&*bound.end, end));
        place.map(|at| bucket.swap_remove(at))
    };
    drop(forgotten);
}

/// The socket that takes what `from` sends to `to`. Of several that share a port, one by who sends.
pub fn find(kind: Kind, to: Endpoint, from: Endpoint) -> Option<Arc<End>> {
    let ports = PORTS.lock();
    let fit = |bound: &Bound| bound.fits(kind, to, from);
    let bucket = &ports[bucket(to.port)];
    let best = bucket.iter().filter_map(fit).max()?;
    let mut candidates = bucket.iter().filter(|bound| fit(bound) == Some(best));
    let count = candidates.clone().count();
    let chosen = match candidates.clone().all(|bound| bound.end.options.is_on(REUSE_PORT)) {
        true => usize::from(from.port) % count,
        // The last one that has come.
        false => count - 1,
    };
    candidates.nth(chosen).map(|bound| bound.end.clone())
}
