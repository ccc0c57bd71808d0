//! Epoll instances that watch each other: never in a circle, and not too deep, since a look at one is a look at all below.

use super::{Epoll, instance};
use crate::vfs::Result;
use abi::Errno;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use machine::sync::Mutex;

/// Most instances in a chain, as Linux has it (`EP_MAX_NESTS` and the last).
const MAX_CHAIN: usize = 5;

/// Held while an instance begins to watch another, so that what was checked holds.
static NESTING: Mutex<()> = Mutex::new("epoll nesting", ());

/// Notes that `outer` watches `inner`, if that makes no circle and no chain that is too long; ELOOP.
pub fn link(outer: &Arc<Epoll>, inner: &Arc<Epoll>) -> Result<()> {
    let _nesting = NESTING.lock();
    if Arc::ptr_eq(outer, inner) {
        return Err(Errno::EINVAL);
    }
    let above = longest(outer, inner, MAX_CHAIN, &parents)?;
    let below = longest(inner, outer, MAX_CHAIN, &children)?;
    if above + below > MAX_CHAIN {
        return Err(Errno::ELOOP);
    }
    let mut parents = inner.parents.lock();
    parents.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    parents.push(Arc::downgrade(outer));
    Ok(())
}

/// Undoes one [`link`].
pub fn unlink(outer: &Arc<Epoll>, inner: &Arc<Epoll>) {
    let mut parents = inner.parents.lock();
    if let Some(at) = parents.iter().position(|parent| Weak::as_ptr(parent) == Arc::as_ptr(outer)) {
        parents.swap_remove(at);
    }
}

/// Instances in the longest chain that begins with `from` and goes on by `next`; ELOOP if it meets `forbidden` or has
/// more than `most`.
fn longest(
    from: &Arc<Epoll>,
    forbidden: &Arc<Epoll>,
    most: usize,
    next: &dyn Fn(&Epoll) -> Vec<Arc<Epoll>>,
) -> Result<usize> {
    if most == 0 || Arc::ptr_eq(from, forbidden) {
        return Err(Errno::ELOOP);
    }
    let mut rest = 0;
    for epoll in next(from) {
        rest = rest.max(longest(&epoll, forbidden, most - 1, next)?);
    }
    Ok(rest + 1)
}

fn parents(epoll: &Epoll) -> Vec<Arc<Epoll>> {
    epoll.parents.lock().iter().filter_map(Weak::upgrade).collect()
}

fn children(epoll: &Epoll) -> Vec<Arc<Epoll>> {
    let files: Vec<_> = epoll.items.lock().values().filter_map(|item| item.file()).collect();
    files.iter().filter_map(|file| instance(file).ok().cloned()).collect()
}
