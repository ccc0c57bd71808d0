//! The pages of one file or block device that are in memory.
//!
//! Each page is a [`Frame`] that readers, memory mappings and requests under way share. A page enters the cache before
//! it is read, marked with the [`Completion`] of its batch; whoever wants it meanwhile waits for that, so a page is read
//! once however many ask. When a batch fails, its pages leave the cache again, and each reader tries the one page it
//! needs alone: a bad block costs no neighbour. Only that second failure is EIO.
//!
//! Locks: `state` (rank PageCache) is held for look-ups and changes of the map, never across a sleep. `writer` orders
//! writes and truncations of the file; taken before anything here, and held while the pages are filled.
//!
//! What is written marks sectors of a page as dirty (`dirty`); such a page stays until they are written back. `mappers` knows
//! who has pages mapped: a page that leaves the file, or is written back, is taken from them first.
//!
//! A cache without a backing (a file in memory) reads absent pages as zeros, never gives a page up by itself, and keeps
//! to a [`Quota`].

mod cut;
mod dirty;
mod evict;
mod mappers;

pub use dirty::{DirtyPage, dirty_total};
pub use mappers::{Mapper, Revoke};

use super::Result;
use super::reclaim::{self, Reclaimable};
use crate::block::Completion;
use abi::Errno;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::{Entry, RangeMut};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use machine::PAGE_SIZE;
use machine::mm::{Frame, FrameKind};
use machine::sync::{Mutex, Rank, SpinLock};
use mappers::Mappers;

/// Pages read by one batch at most.
pub const BATCH_PAGES: usize = 32;

/// Where the pages of a cache come from.
pub trait Backing: Send + Sync {
    /// Bytes stored now. What a page has beyond them, the cache fills with zeros once it is read.
    fn len_bytes(&self) -> u64;
    /// Starts to fill `frames`, the consecutive pages from number `first` on, with the stored bytes, and holes with
    /// zeros. Each request started is added to `completion`. After an error, requests already started still run.
    fn start_read(&self, first: u64, frames: &[Frame], completion: &Arc<Completion>) -> Result<()>;
    /// Starts to store the dirty sectors of `pages`, which come in order. Each request started is added to `completion`.
    /// After an error, requests already started still run.
    fn start_write(&self, _pages: &[DirtyPage], _completion: &Arc<Completion>) -> Result<()> {
        Err(Errno::EROFS)
    }
}

/// Pages of all caches without a backing.
static IN_MEMORY: AtomicUsize = AtomicUsize::new(0);

/// Pages of all caches without a backing: they stay until their files go.
pub fn in_memory_total() -> usize {
    IN_MEMORY.load(Ordering::Relaxed)
}

/// How many pages the files of one file system in memory may have together.
pub struct Quota {
    used: AtomicUsize,
    most: usize,
}

/// Pages in memory.
pub struct PageCache {
    origin: Origin,
    state: SpinLock<State>,
    /// Held by whoever writes to the file or changes its size.
    pub writer: Mutex<()>,
    /// Held while pages are written back, so that of two writes of a page the later one is what stays. Taken after
    /// `writer`, and after the file system's locks.
    writing_back: Mutex<()>,
    /// Pages with dirty sectors.
    dirty: AtomicUsize,
    /// Writing back has failed since the last one who asked.
    failed: AtomicBool,
    mappers: Mappers,
}

enum Origin {
    Stored(Box<dyn Backing>),
    Memory(Arc<Quota>),
}

struct State {
    pages: BTreeMap<u64, Page>,
    /// Where [`Reclaimable::evict`] goes on.
    hand: u64,
}

struct Page {
    frame: Frame,
    reading: Option<Batch>,
    /// Used since the hand last came by.
    referenced: bool,
    /// Sectors that the device does not have yet, one bit each.
    dirty: u8,
    /// Sectors that shared mappings may have written to since they were last kept from it.
    mapped: u8,
}

#[derive(Clone)]
struct Batch {
    completion: Arc<Completion>,
    /// Pages in it.
    len: usize,
    /// Bytes that were stored when it was started.
    stored: u64,
}

enum Found {
    Ready(Frame),
    Reading(Batch),
    Absent,
    /// It was being read, and that failed.
    Failed {
        alone: bool,
    },
}

impl PageCache {
    /// An empty cache of what `backing` stores.
    pub fn new(backing: Box<dyn Backing>) -> Arc<PageCache> {
        Self::with_lock(backing, "write-back")
    }

    /// As `new`, of a backing that takes locks to write: those are taken after the lock of writing back, which for that
    /// has the name `lock` here.
    pub fn with_lock(backing: Box<dyn Backing>, lock: &'static str) -> Arc<PageCache> {
        let cache = Arc::new(Self::with(Origin::Stored(backing), lock));
        reclaim::register(Arc::downgrade(&cache) as Weak<dyn Reclaimable>);
        cache
    }

    /// The pages of a file that is in memory only, within `quota`.
    pub fn in_memory(quota: &Arc<Quota>) -> Arc<PageCache> {
        Arc::new(Self::with(Origin::Memory(quota.clone()), "write-back"))
    }

    fn with(origin: Origin, lock: &'static str) -> PageCache {
        let state = State { pages: BTreeMap::new(), hand: 0 };
        PageCache {
            origin,
            state: SpinLock::new("page cache", Rank::PageCache, state),
            writer: Mutex::new("file write", ()),
            writing_back: Mutex::new(lock, ()),
            dirty: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            mappers: Mappers::new(),
        }
    }

    /// The page `index` for reading; None for a hole of a file in memory.
    pub fn read(&self, index: u64) -> Result<Option<Frame>> {
        match self.origin {
            Origin::Stored(_) => self.page(index).map(Some),
            Origin::Memory(_) => Ok(self.present(index)),
        }
    }

    /// The page `index`, read or made if it is absent. The caller keeps `index` inside the file.
    pub fn page(&self, index: u64) -> Result<Frame> {
        let mut tries = reclaim::Tries::default();
        loop {
            let batch = match self.find(index) {
                Found::Ready(frame) => return Ok(frame),
                Found::Reading(batch) => batch,
                Found::Failed { alone: true } => return Err(Errno::EIO),
                Found::Absent | Found::Failed { alone: false } => {
                    let started = match &self.origin {
                        Origin::Stored(backing) => self.start(&**backing, index, 1).map(|_| ()),
                        Origin::Memory(quota) => self.insert_zeroed(index, quota),
                    };
                    match started {
                        Err(Errno::ENOMEM) if tries.again() => {}
                        result => result?,
                    }
                    continue;
                }
            };
            if batch.completion.wait().is_err() {
                self.forget(index, &batch);
                if batch.len == 1 {
                    return Err(Errno::EIO);
                }
            }
        }
    }

    /// Starts to read those of the `count` pages from `first` on that are absent. Does not wait, and reports nothing:
    /// whoever needs a page finds out.
    pub fn read_ahead(&self, first: u64, count: usize) {
        let Origin::Stored(backing) = &self.origin else { return };
        let end = first.saturating_add(count as u64);
        let mut next = self.first_absent(first, end);
        while next < end {
            match self.start(&**backing, next, (end - next) as usize) {
                Ok(reached) => next = reached,
                Err(_) => return,
            }
        }
    }

    /// Shows `look` those of the `count` pages from `first` on that are in memory and whole, under the lock.
    pub fn with_cached<R>(&self, first: u64, count: u64, look: impl FnOnce(CachedPages<'_>) -> R) -> R {
        let mut state = self.state.lock();
        look(CachedPages { pages: state.pages.range_mut(first..first.saturating_add(count)), first })
    }

    /// Fills `run` with the page `first` and those behind it that are in memory and whole, up to one that is not; how many.
    pub fn run(&self, first: u64, run: &mut [Option<Frame>]) -> usize {
        self.with_cached(first, run.len() as u64, |pages| {
            let mut count = 0;
            for ((at, frame), place) in pages.zip(run) {
                if at != count {
                    break;
                }
                *place = Some(frame.clone());
                count += 1;
            }
            count
        })
    }

    /// The first page from `first` on, but before `end`, that is not in memory; else `end`.
    fn first_absent(&self, first: u64, end: u64) -> u64 {
        let state = self.state.lock();
        let present = state.pages.range(first..end).zip(first..).take_while(|((index, _), at)| *index == at).count();
        first + present as u64
    }

    /// The first page from `index` on that is in memory.
    pub fn next_present(&self, index: u64) -> Option<u64> {
        self.state.lock().pages.range(index..).next().map(|(&index, _)| index)
    }

    /// How many pages are in memory.
    pub fn len(&self) -> usize {
        self.state.lock().pages.len()
    }

    fn find(&self, index: u64) -> Found {
        let mut state = self.state.lock();
        let Some(page) = state.pages.get_mut(&index) else { return Found::Absent };
        page.referenced = true;
        match (page.settle(index), &page.reading) {
            (Some(Ok(())), _) | (_, None) => Found::Ready(page.frame.clone()),
            (None, Some(batch)) => Found::Reading(batch.clone()),
            (Some(Err(_)), Some(batch)) => {
                let alone = batch.len == 1;
                state.pages.remove(&index);
                Found::Failed { alone }
            }
        }
    }

    /// The page if it is there, once it is whole.
    pub fn present(&self, index: u64) -> Option<Frame> {
        loop {
            match self.find(index) {
                Found::Ready(frame) => return Some(frame),
                Found::Reading(batch) => {
                    if batch.completion.wait().is_err() {
                        self.forget(index, &batch);
                    }
                }
                Found::Absent | Found::Failed { .. } => return None,
            }
        }
    }

    /// Takes the page of a failed batch out, unless another attempt is already under way.
    fn forget(&self, index: u64, batch: &Batch) {
        let mut state = self.state.lock();
        let same = state.pages.get(&index).is_some_and(|page| {
            page.reading.as_ref().is_some_and(|reading| Arc::ptr_eq(&reading.completion, &batch.completion))
        });
        if same {
            state.pages.remove(&index);
        }
    }

    /// Starts one batch for the first run of absent pages among the `count` from `first` on. The page after the last
    /// one looked at.
    fn start(&self, backing: &dyn Backing, first: u64, count: usize) -> Result<u64> {
        reclaim::make_room(count.min(BATCH_PAGES));
        let completion = Completion::new();
        let mut frames = Vec::new();
        frames.try_reserve(count.min(BATCH_PAGES)).map_err(|_| Errno::ENOMEM)?;
        let batch = Batch { completion: completion.clone(), len: 0, stored: backing.len_bytes() };
        let (start, next) = self.enter_absent(first, count, batch, &mut frames)?;
        if frames.is_empty() {
            return Ok(next);
        }
        let started = backing.start_read(start, &frames, &completion);
        completion.all_started(started.is_ok());
        started.map(|()| next)
    }

    /// Enters new pages for the first absent run as being read by `batch`. Where the run starts, and where to go on.
    fn enter_absent(&self, first: u64, count: usize, batch: Batch, frames: &mut Vec<Frame>) -> Result<(u64, u64)> {
        let end = first.saturating_add(count as u64);
        let mut state = self.state.lock();
        let start = (first..end).find(|index| !state.pages.contains_key(index)).unwrap_or(end);
        let len = (start..end).take(BATCH_PAGES).take_while(|index| !state.pages.contains_key(index)).count();
        for _ in 0..len {
            match Frame::allocate(FrameKind::PageCache) {
                Ok(frame) => frames.push(frame),
                Err(_) if frames.is_empty() => return Err(Errno::ENOMEM),
                Err(_) => break,
            }
        }
        let batch = Batch { len: frames.len(), ..batch };
        for (index, frame) in (start..).zip(frames.iter()) {
            let page =
                Page { frame: frame.clone(), reading: Some(batch.clone()), referenced: false, dirty: 0, mapped: 0 };
            state.pages.insert(index, page);
        }
        Ok((start, start + frames.len() as u64))
    }

    /// Makes those of `pages` that a file in memory does not have yet. ENOSPC if there is no room for them; others may take
    /// that room meanwhile, and then some of the pages are made.
    pub fn fill_holes(&self, pages: Range<u64>) -> Result<()> {
        let Origin::Memory(quota) = &self.origin else { return Err(Errno::EOPNOTSUPP) };
        let (used, most) = quota.figures();
        if pages.end.saturating_sub(pages.start) > most {
            return Err(Errno::ENOSPC);
        }
        let present = self.state.lock().pages.range(pages.clone()).count() as u64;
        if pages.end.saturating_sub(pages.start) - present > most.saturating_sub(used) {
            return Err(Errno::ENOSPC);
        }
        for index in pages {
            self.page(index)?;
        }
        Ok(())
    }

    fn insert_zeroed(&self, index: u64, quota: &Quota) -> Result<()> {
        reclaim::make_room(1);
        quota.take()?;
        let Ok(frame) = Frame::zeroed(FrameKind::PageCache) else {
            quota.give(1);
            return Err(Errno::ENOMEM);
        };
        let page = Page { frame, reading: None, referenced: true, dirty: 0, mapped: 0 };
        let another_was_first = match self.state.lock().pages.entry(index) {
            Entry::Occupied(_) => true,
            Entry::Vacant(vacant) => {
                vacant.insert(page);
                false
            }
        };
        if another_was_first {
            quota.give(1);
        }
        Ok(())
    }
}

/// Pages in memory, each with its distance from the first one asked for.
pub struct CachedPages<'a> {
    pages: RangeMut<'a, u64, Page>,
    first: u64,
}

impl<'a> Iterator for CachedPages<'a> {
    type Item = (usize, &'a Frame);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&index, page) = self.pages.next()?;
            if page.reading.is_none() || page.settle(index) == Some(Ok(())) {
                page.referenced = true;
                return Some(((index - self.first) as usize, &page.frame));
            }
        }
    }
}

impl Drop for PageCache {
    fn drop(&mut self) {
        let dirty = self.dirty.load(Ordering::Relaxed) as isize;
        self.count_dirty(-dirty);
        if let Origin::Memory(quota) = &self.origin {
            quota.give(self.state.get_mut().pages.len());
        }
    }
}

impl Quota {
    /// At most `most` pages.
    pub fn new(most: usize) -> Arc<Quota> {
        Arc::new(Quota { used: AtomicUsize::new(0), most })
    }

    /// Pages used, and the most there may be.
    pub fn figures(&self) -> (u64, u64) {
        (self.used.load(Ordering::Relaxed) as u64, self.most as u64)
    }

    fn take(&self) -> Result<()> {
        if self.used.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.used.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::ENOSPC);
        }
        IN_MEMORY.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn give(&self, pages: usize) {
        self.used.fetch_sub(pages, Ordering::Relaxed);
        IN_MEMORY.fetch_sub(pages, Ordering::Relaxed);
    }
}

impl Page {
    /// How the reading of this page, number `index`, went; None while it is under way. A page that has been read is made
    /// whole: what is not stored of it is zeros.
    fn settle(&mut self, index: u64) -> Option<Result<()>> {
        let Some(batch) = &self.reading else { return Some(Ok(())) };
        let result = batch.completion.result()?;
        if result.is_ok() {
            let stored = batch.stored.saturating_sub(index.saturating_mul(PAGE_SIZE as u64));
            self.frame.fill_zero_from(stored.min(PAGE_SIZE as u64) as usize);
            self.reading = None;
        }
        Some(result.map_err(|_| Errno::EIO))
    }

    /// Whether it has something to write back, or may have.
    fn is_pending(&self) -> bool {
        self.dirty | self.mapped != 0
    }

    /// Whether no request for it is under way.
    fn idle(&self) -> bool {
        self.reading.as_ref().is_none_or(|batch| batch.completion.result().is_some())
    }
}
