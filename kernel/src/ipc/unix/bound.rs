//! Names of sockets: which socket has which (bind(2)), and finding one by its address.
//!
//! A path's socket is found by volume and number of the node that bind(2) has made, which the socket keeps; so it may be
//! renamed and linked, and unlinking it leaves the socket alive. Lock: `BOUND` (rank Table), with nothing under it.

use super::end::{End, Kind};
use super::name::{Address, Name, name_of};
use crate::vfs::access::WRITE;
use crate::vfs::{self, FileType, FsContext, NewKind, NewNode, Result};
use abi::Errno;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU32, Ordering};
use machine::sync::{Mutex, Rank, SpinLock};

/// What a socket is found by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Volume and number of a node.
    Node(u64, u64),
    /// A name in no directory; each type has its own.
    Abstract(Kind, Name),
}

static BOUND: SpinLock<BTreeMap<Key, Weak<End>>> = SpinLock::new("bound sockets", Rank::Table, BTreeMap::new());

/// Held while a socket gets its name: it gets one at most.
static BINDING: Mutex<()> = Mutex::new("bind", ());

/// Names there are to find for who asks for any.
const ANY_NAMES: u32 = 1 << 20;

/// Gives a socket this name; a node for a path is made by `context`, with these permissions. EADDRINUSE, EINVAL if it has
/// one, and what making the node gives.
pub fn bind(end: &Arc<End>, address: Address<'_>, context: &FsContext, mode: u32) -> Result<()> {
    let name = name_of(address)?;
    let _binding = BINDING.lock();
    if end.state.lock().name.is_some() {
        return Err(Errno::EINVAL);
    }
    let Address::Path(path) = address else { return bind_abstract(end, name) };
    let (uid, gid) = (context.who.user, context.who.group);
    let new = NewNode { kind: NewKind::Special(FileType::Socket, 0), mode, uid, gid };
    let place = vfs::make(context, None, path, &new).map_err(|error| match error {
        Errno::EEXIST => Errno::EADDRINUSE,
        other => other,
    })?;
    let node = place.metadata()?;
    let old = BOUND.lock().insert(Key::Node(node.dev, node.ino), Arc::downgrade(end));
    drop(old);
    let mut state = end.state.lock();
    state.name = Some(name);
    state.place = Some(place);
    Ok(())
}

/// Gives a socket that has none a name that nobody else has; ENOSPC.
pub fn bind_any(end: &Arc<End>) -> Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let _binding = BINDING.lock();
    if end.state.lock().name.is_some() {
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

fn bind_abstract(end: &Arc<End>, name: Name) -> Result<()> {
    {
        let mut bound = BOUND.lock();
        let entry = bound.entry(Key::Abstract(end.kind, name.clone()));
        let alloc::collections::btree_map::Entry::Vacant(free) = entry else { return Err(Errno::EADDRINUSE) };
        free.insert(Arc::downgrade(end));
    }
    end.state.lock().name = Some(name);
    Ok(())
}

/// The name of a socket that closes is free.
pub fn forget(end: &End) {
    let (name, place) = {
        let state = end.state.lock();
        (state.name.clone(), state.place.clone())
    };
    let key = match (name, place) {
        (_, Some(place)) => match place.metadata() {
            Ok(node) => Key::Node(node.dev, node.ino),
            Err(_) => return,
        },
        (Some(name), None) => Key::Abstract(end.kind, name),
        (None, None) => return,
    };
    let forgotten = {
        let mut bound = BOUND.lock();
        // One that was accepted has the name of the one that listens.
        match bound.get(&key).is_some_and(|other| core::ptr::eq(other.as_ptr(), end)) {
            true => bound.remove(&key),
            false => None,
        }
    };
    drop(forgotten);
}

/// The socket of type `kind` at `address`, which must be writable for who asks: ECONNREFUSED if there is none, EPROTOTYPE if
/// it is of another type, and what walking the path gives.
pub fn find(address: Address<'_>, context: &FsContext, kind: Kind) -> Result<Arc<End>> {
    let key = match address {
        Address::Abstract(_) => Key::Abstract(kind, name_of(address)?),
        Address::Path(path) => {
            let place = vfs::lookup(context, None, path, true)?;
            let node = place.metadata()?;
            context.who.check(&node, WRITE)?;
            if place.file_type() != FileType::Socket {
                return Err(Errno::ECONNREFUSED);
            }
            Key::Node(node.dev, node.ino)
        }
    };
    let found = BOUND.lock().get(&key).cloned();
    let end = found.and_then(|end| end.upgrade()).ok_or(Errno::ECONNREFUSED)?;
    if end.kind == kind { Ok(end) } else { Err(Errno::EPROTOTYPE) }
}
