//! Names of sockets: which socket has which (bind(2)), and finding one by its address.
//!
//! A path's socket is found by volume and number of the node that bind(2) has made, which the socket keeps; so it may be
//! renamed and linked, and unlinking it leaves the socket alive. Lock: `BOUND` (rank Table), with nothing under it.

use super::super::end::{End, Kind};
use super::super::name::Name;
use super::address::{Address, name_of};
use crate::vfs::access::WRITE;
use crate::vfs::{self, FileType, FsContext, Location, NewKind, NewNode, Result};
use abi::Errno;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use machine::sync::{Mutex, Rank, SpinLock};

/// What a socket is found by: volume and number of a node; of a name in no directory the type, as each has its own, a
/// hash, and the name.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    volume: u64,
    number: u64,
    name: Option<Arc<[u8]>>,
}

/// Sockets whose numbers have the same remainder.
type Bucket = Vec<(Key, Weak<End>)>;

const BUCKETS: usize = 64;

static BOUND: SpinLock<[Bucket; BUCKETS]> =
    SpinLock::new("bound sockets", Rank::Table, [const { Vec::new() }; BUCKETS]);

impl Key {
    fn node(place: &Location) -> Result<Key> {
        let node = place.metadata()?;
        Ok(Key { volume: node.dev, number: node.ino, name: None })
    }

    fn of_abstract(kind: Kind, name: Arc<[u8]>) -> Key {
        let number = name.iter().fold(0u64, |hash, &byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        Key { volume: kind as u64, number, name: Some(name) }
    }

    fn bucket(&self) -> usize {
        self.number as usize % BUCKETS
    }

    /// The socket that has it.
    fn find(&self) -> Option<Arc<End>> {
        BOUND.lock()[self.bucket()].iter().find(|(key, _)| key == self)?.1.upgrade()
    }

    /// Gives it to a socket; EADDRINUSE, ENOMEM.
    fn give(self, end: &Arc<End>) -> Result<()> {
        let mut bound = BOUND.lock();
        let bucket = &mut bound[self.bucket()];
        if bucket.iter().any(|(key, _)| *key == self) {
            return Err(Errno::EADDRINUSE);
        }
        bucket.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        bucket.push((self, Arc::downgrade(end)));
        Ok(())
    }
}

/// Held while a socket gets its name: it gets one at most.
static BINDING: Mutex<()> = Mutex::new("bind", ());

/// Names there are to find for who asks for any.
const ANY_NAMES: u32 = 1 << 20;

/// Gives a socket this name; a node for a path is made by `context`, with these permissions. EADDRINUSE, EINVAL if it has
/// one, and what making the node gives.
pub fn bind(end: &Arc<End>, address: Address<'_>, context: &FsContext, mode: u32) -> Result<()> {
    let name = name_of(address)?;
    let _binding = BINDING.lock();
    if end.name().is_some() {
        return Err(Errno::EINVAL);
    }
    let Address::Path(path) = address else { return bind_abstract(end, name) };
    let (uid, gid) = (context.who.user, context.who.group);
    let new = NewNode { kind: NewKind::Special(FileType::Socket, 0), mode, uid, gid };
    let place = vfs::make(context, None, path, &new).map_err(|error| match error {
        Errno::EEXIST => Errno::EADDRINUSE,
        other => other,
    })?;
    Key::node(&place)?.give(end)?;
    let mut state = end.state.lock();
    state.name = Some(Name::Unix(name));
    state.place = Some(place);
    Ok(())
}

/// Gives a socket that has none a name that nobody else has; ENOSPC.
pub fn bind_any(end: &Arc<End>) -> Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let _binding = BINDING.lock();
    if end.name().is_some() {
        return Ok(());
    }
    for _ in 0..ANY_NAMES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % ANY_NAMES;
        let digit = |at: u32| b"0123456789abcdef"[(number >> (4 * at) & 15) as usize];
        let name = [0, digit(4), digit(3), digit(2), digit(1), digit(0)];
        match bind_abstract(end, name_of(Address::Abstract(&name))?) {
            Err(Errno::EADDRINUSE) => {}
            result => return result,
        }
    }
    Err(Errno::ENOSPC)
}

fn bind_abstract(end: &Arc<End>, name: Arc<[u8]>) -> Result<()> {
    Key::of_abstract(end.kind, name.clone()).give(end)?;
    end.state.lock().name = Some(Name::Unix(name));
    Ok(())
}

/// The name of a socket that closes is free.
pub fn forget(end: &End) {
    let (name, place) = {
        let state = end.state.lock();
        (state.name.clone(), state.place.clone())
    };
    let key = match (name, place) {
        (_, Some(place)) => Key::node(&place).ok(),
        (Some(Name::Unix(name)), None) => Some(Key::of_abstract(end.kind, name)),
        _ => None,
    };
    let Some(key) = key else { return };
    let forgotten = {
        let mut bound = BOUND.lock();
        let bucket = &mut bound[key.bucket()];
        // One that was accepted has the name of the one that listens.
        let own = bucket.iter().position(|(_, other)| core::ptr::eq(other.as_ptr(), end));
        own.map(|at| bucket.swap_remove(at))
    };
    drop(forgotten);
}

/// The socket of type `kind` at `address`, which must be writable for who asks: ECONNREFUSED if there is none, EPROTOTYPE if
/// it is of another type, and what walking the path gives.
pub fn find(address: Address<'_>, context: &FsContext, kind: Kind) -> Result<Arc<End>> {
    let key = match address {
        Address::Abstract(_) => Key::of_abstract(kind, name_of(address)?),
        Address::Path(path) => {
            let place = vfs::lookup(context, None, path, true)?;
            context.who.check(&place.metadata()?, WRITE)?;
            if place.file_type() != FileType::Socket {
                return Err(Errno::ECONNREFUSED);
            }
            Key::node(&place)?
        }
    };
    let end = key.find().ok_or(Errno::ECONNREFUSED)?;
    if end.kind == kind { Ok(end) } else { Err(Errno::EPROTOTYPE) }
}
