//! Who has pages of a cache mapped, and taking pages, or the right to store to them, from all of them.
//!
//! An entry is made when something is mapped, and stays until a look at it finds nothing mapped any more. So the list may
//! have too many, never too few.
//!
//! Lock: `list` (rank PageCache), never held while a mapper is called.

use super::super::Result;
use super::PageCache;
use abi::Errno;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::{Rank, SpinLock};

/// Somebody who maps pages of caches: an address space.
pub trait Mapper: Send + Sync {
    /// Takes what `what` says from its mappings of the pages `pages` of `cache`; whether it maps the cache at all. Of what
    /// is taken when memory is short, it need not do anything, and waits for no lock.
    fn revoke(&self, cache: &PageCache, pages: Range<u64>, what: Revoke) -> bool;
    /// Whether programs may store to the pages of `cache` through its shared mappings, now or after an mprotect(2).
    fn stores(&self, cache: &PageCache) -> bool;
}

/// What mappings lose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revoke {
    /// The right to store to shared pages, until the next fault.
    Stores,
    /// The pages of the cache.
    Pages,
    /// The same, and private copies of them.
    PagesAndCopies,
    /// Those pages of the cache that were not used lately and need not stay; of the others it is forgotten that they were
    /// used. Any pages, or none.
    Unused,
}

/// The mappers of one cache.
pub(super) struct Mappers {
    list: SpinLock<List>,
    /// How many times pages have been taken away because the file has changed.
    revocations: AtomicU64,
}

struct List {
    entries: Vec<Entry>,
    /// Entries taken out so far.
    removed: u64,
}

struct Entry {
    mapper: Weak<dyn Mapper>,
    /// How many times it was entered.
    times: u64,
}

impl Mappers {
    pub fn new() -> Self {
        let list = List { entries: Vec::new(), removed: 0 };
        Mappers { list: SpinLock::new("mappers", Rank::PageCache, list), revocations: AtomicU64::new(0) }
    }

    pub fn any(&self) -> bool {
        !self.list.lock().entries.is_empty()
    }

    /// To be called before pages are taken away, so that who is just about to use one finds out.
    pub fn count_revocation(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
    }
}

impl List {
    fn remove_dead(&mut self) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.mapper.strong_count() > 0);
        self.removed += (before - self.entries.len()) as u64;
    }
}

impl PageCache {
    /// `mapper` is about to map pages; called with the lock under which it does.
    pub fn register_mapper(&self, mapper: &Arc<dyn Mapper>) -> Result<()> {
        let mut list = self.mappers.list.lock();
        let known = |entry: &&mut Entry| core::ptr::addr_eq(entry.mapper.as_ptr(), Arc::as_ptr(mapper));
        if let Some(entry) = list.entries.iter_mut().find(known) {
            entry.times += 1;
            return Ok(());
        }
        if list.entries.len() == list.entries.capacity() {
            list.remove_dead();
        }
        list.entries.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        list.entries.push(Entry { mapper: Arc::downgrade(mapper), times: 0 });
        Ok(())
    }

    /// How many times pages have been taken away from mappings because the file has changed.
    pub fn revocations(&self) -> u64 {
        self.mappers.revocations.load(Ordering::SeqCst)
    }

    /// Takes from all mappers. May sleep, but not for what is unused.
    pub(super) fn revoke(&self, pages: Range<u64>, what: Revoke) {
        self.visit(&mut |mapper| mapper.revoke(self, pages.clone(), what));
    }

    /// Whether one of the mappers may store to pages. May sleep.
    pub fn has_storing_mapper(&self) -> bool {
        let mut stores = false;
        self.visit(&mut |mapper| {
            stores = stores || mapper.stores(self);
            true
        });
        stores
    }

    /// Calls `keeps` with each mapper; those that it does not keep, and dead ones, are taken out.
    fn visit(&self, keeps: &mut dyn FnMut(&dyn Mapper) -> bool) {
        let (mut at, mut removed) = (0, self.mappers.list.lock().removed);
        loop {
            let (weak, times) = {
                let list = self.mappers.list.lock();
                if list.removed != removed {
                    // Others have moved up: begin again.
                    (at, removed) = (0, list.removed);
                }
                match list.entries.get(at) {
                    Some(entry) => (entry.mapper.clone(), entry.times),
                    None => return,
                }
            };
            if weak.upgrade().is_some_and(|mapper| keeps(&*mapper)) {
                at += 1;
                continue;
            }
            let mut list = self.mappers.list.lock();
            let same = |entry: &Entry| core::ptr::addr_eq(entry.mapper.as_ptr(), weak.as_ptr()) && entry.times == times;
            if list.removed == removed && list.entries.get(at).is_some_and(same) {
                let entry = list.entries.remove(at);
                list.removed += 1;
                removed += 1;
                drop(list);
                drop(entry);
            } else {
                at += 1;
            }
        }
    }
}
