//! A map of intervals that do not overlap, such as the areas of an address space.
//!
//! Sorted, in chunks of a sorted list, so that a change moves few intervals and a search is two binary ones. Each chunk
//! knows its largest gap, so that the search for a free range passes over full ones. Nothing here fails but for want of
//! memory, and then before anything has changed: intervals may have been cut in two, which changes no address's meaning.
//!
//! Invariants: no chunk is empty; intervals rise and do not overlap, over all chunks; `gap` is exact.

use alloc::vec::Vec;
use core::cell::Cell;

/// Intervals in a chunk at most. Few in tests, so that they see many chunks.
const CHUNK_LEN: usize = if cfg!(test) { 4 } else { 64 };

/// A half-open interval of addresses with a meaning. `start < end`, always.
pub trait Interval: Sized {
    /// First address in it.
    fn start(&self) -> u64;
    /// First address behind it.
    fn end(&self) -> u64;
    /// Cuts it at `at`, which lies inside: keeps what is below, gives the rest.
    fn split_off(&mut self, at: u64) -> Self;
    /// Grows over `next`, which begins where this ends, if both together mean the same as one. Whether it did.
    fn absorb(&mut self, next: &Self) -> bool;
}

/// Why an interval was not entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Some of it is taken.
    Overlap,
    /// There is no memory.
    OutOfMemory,
}

/// There is no memory; the map means what it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfMemory;

impl From<OutOfMemory> for Refused {
    fn from(_: OutOfMemory) -> Self {
        Refused::OutOfMemory
    }
}

/// Intervals by address.
#[derive(Debug)]
pub struct IntervalMap<T> {
    chunks: Vec<Chunk<T>>,
    /// Where `find` found something last: what is looked for next is often in the same interval.
    last_found: Cell<Place>,
}

#[derive(Debug)]
struct Chunk<T> {
    items: Vec<T>,
    /// The largest distance between two neighbours in this chunk.
    gap: u64,
}

/// Place of an interval: chunk, and index in it.
type Place = (usize, usize);

impl<T: Interval> IntervalMap<T> {
    /// An empty map.
    pub const fn new() -> Self {
        IntervalMap { chunks: Vec::new(), last_found: Cell::new((0, 0)) }
    }

    /// How many intervals there are.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.items.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// All intervals, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.items.iter())
    }

    /// The interval that `address` lies in.
    pub fn find(&self, address: u64) -> Option<&T> {
        let has = |interval: &&T| interval.start() <= address && address < interval.end();
        if let Some(interval) = self.get(self.last_found.get()).filter(has) {
            return Some(interval);
        }
        let place = self.seek(address);
        let interval = self.get(place).filter(has)?;
        self.last_found.set(place);
        Some(interval)
    }

    /// The lowest interval that ends above `address`: the one it lies in, or the next.
    pub fn first_from(&self, address: u64) -> Option<&T> {
        self.get(self.seek(address))
    }

    /// The interval below the one that [`IntervalMap::first_from`] finds.
    pub fn last_below(&self, address: u64) -> Option<&T> {
        self.get(self.before(self.seek(address))?)
    }

    /// The intervals that have addresses in `[start, end)`, whole, lowest first.
    pub fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = &T> {
        let (chunk, index) = self.seek(start);
        let first = self.chunks.get(chunk).map_or(&[][..], |chunk| &chunk.items[index..]);
        let rest = self.chunks.get(chunk + 1..).unwrap_or(&[]);
        first.iter().chain(rest.iter().flat_map(|chunk| chunk.items.iter())).take_while(move |item| item.start() < end)
    }

    /// Whether no interval has an address in `[start, end)`.
    pub fn is_free(&self, start: u64, end: u64) -> bool {
        self.first_from(start).is_none_or(|interval| interval.start() >= end)
    }

    /// Whether every address of `[start, end)` is in some interval.
    pub fn covers(&self, start: u64, end: u64) -> bool {
        self.covered_until(start, end) >= end
    }

    /// The first address from `start` on that is in no interval; at most `end`, if `start` is not above it.
    pub fn covered_until(&self, start: u64, end: u64) -> u64 {
        let mut reached = start;
        for interval in self.overlapping(start, end) {
            if interval.start() > reached {
                return reached;
            }
            reached = interval.end();
        }
        reached.min(end.max(start))
    }

    /// Where the highest free range of `len` addresses begins that ends at or below `top` and is not below `bottom`.
    pub fn find_gap(&self, len: u64, bottom: u64, top: u64) -> Option<u64> {
        let mut end = top;
        'chunks: for chunk in self.chunks.iter().rev() {
            let (Some(first), Some(last)) = (chunk.items.first(), chunk.items.last()) else { continue };
            let above = last.end() <= end && end - last.end() >= len;
            if last.start() < top && !above && chunk.gap < len {
                end = end.min(first.start());
                continue;
            }
            for interval in chunk.items.iter().rev().skip_while(|interval| interval.start() >= top) {
                if interval.end() <= end && end - interval.end() >= len {
                    break 'chunks;
                }
                end = end.min(interval.start());
            }
        }
        end.checked_sub(len).filter(|&start| start >= bottom)
    }

    /// Enters an interval, joined with its neighbours where they absorb each other.
    pub fn insert(&mut self, mut interval: T) -> Result<(), Refused> {
        let place = self.seek(interval.start());
        if self.get(place).is_some_and(|above| above.start() < interval.end()) {
            return Err(Refused::Overlap);
        }
        if let Some(below) = self.before(place) {
            let (chunk, index) = below;
            let item = &mut self.chunks[chunk].items[index];
            if item.end() == interval.start() && item.absorb(&interval) {
                self.refresh(chunk);
                self.join_with_below(place);
                return Ok(());
            }
        }
        let (chunk, index) = place;
        if let Some(above) = self.chunks.get_mut(chunk).map(|chunk| &mut chunk.items[index])
            && above.start() == interval.end()
            && interval.absorb(above)
        {
            *above = interval;
            self.refresh(chunk);
            return Ok(());
        }
        let (chunk, index) = self.make_room(place)?;
        self.chunks[chunk].items.insert(index, interval);
        self.refresh(chunk);
        Ok(())
    }

    /// Takes everything in `[start, end)` out, cutting intervals at the edges; what was there, lowest first.
    pub fn take(&mut self, start: u64, end: u64) -> Result<Vec<T>, OutOfMemory> {
        self.cut(start)?;
        self.cut(end)?;
        let mut taken = Vec::new();
        taken.try_reserve_exact(self.overlapping(start, end).count()).map_err(|_| OutOfMemory)?;
        let ((first_chunk, first), (last_chunk, last)) = (self.seek(start), self.seek(end));
        for chunk in first_chunk..self.chunks.len().min(last_chunk + 1) {
            let items = &mut self.chunks[chunk].items;
            let from = if chunk == first_chunk { first } else { 0 };
            let to = if chunk == last_chunk { last } else { items.len() };
            taken.extend(items.drain(from..to));
            self.refresh(chunk);
        }
        let emptied = first_chunk..self.chunks.len().min(last_chunk + 1);
        let mut number = 0;
        self.chunks.retain(|chunk| {
            number += 1;
            !emptied.contains(&(number - 1)) || !chunk.items.is_empty()
        });
        Ok(taken)
    }

    /// Changes what `[start, end)` means: `change` gets each interval in it, those at the edges cut, and leaves their
    /// bounds alone. Neighbours that are alike afterwards become one.
    pub fn update(&mut self, start: u64, end: u64, mut change: impl FnMut(&mut T)) -> Result<(), OutOfMemory> {
        self.cut(start)?;
        self.cut(end)?;
        let mut place = self.seek(start);
        while let Some(item) = self.get_mut(place).filter(|item| item.start() < end) {
            let bounds = (item.start(), item.end());
            change(item);
            debug_assert!(bounds == (item.start(), item.end()));
            place = self.after(place);
        }
        let mut place = self.seek(start);
        while self.get(place).is_some_and(|item| item.start() <= end) {
            // What was joined has moved the next one to this place, or to the start of the next chunk.
            place = if self.join_with_below(place) { self.normal(place) } else { self.after(place) };
        }
        Ok(())
    }

    /// A copy of those intervals for which `keep` holds.
    pub fn try_clone(&self, keep: impl Fn(&T) -> bool) -> Result<Self, OutOfMemory>
    where
        T: Clone,
    {
        let mut chunks = Vec::new();
        chunks.try_reserve_exact(self.chunks.len()).map_err(|_| OutOfMemory)?;
        for chunk in &self.chunks {
            let mut items = Vec::new();
            items.try_reserve_exact(chunk.items.len()).map_err(|_| OutOfMemory)?;
            items.extend(chunk.items.iter().filter(|item| keep(item)).cloned());
            if !items.is_empty() {
                let gap = largest_gap(&items);
                chunks.push(Chunk { items, gap });
            }
        }
        Ok(IntervalMap { chunks, last_found: Cell::new((0, 0)) })
    }

    /// Place of the lowest interval that ends above `address`; one behind the last chunk if there is none.
    fn seek(&self, address: u64) -> Place {
        let ends_above = |chunk: &Chunk<T>| chunk.items.last().is_some_and(|last| last.end() > address);
        let chunk = first_that(&self.chunks, ends_above);
        let index = self.chunks.get(chunk).map_or(0, |chunk| first_that(&chunk.items, |item| item.end() > address));
        (chunk, index)
    }

    fn get(&self, (chunk, index): Place) -> Option<&T> {
        self.chunks.get(chunk)?.items.get(index)
    }

    fn get_mut(&mut self, (chunk, index): Place) -> Option<&mut T> {
        self.chunks.get_mut(chunk)?.items.get_mut(index)
    }

    fn before(&self, (chunk, index): Place) -> Option<Place> {
        match (chunk, index) {
            (0, 0) => None,
            (chunk, 0) => Some((chunk - 1, self.chunks[chunk - 1].items.len() - 1)),
            (chunk, index) => Some((chunk, index - 1)),
        }
    }

    fn after(&self, (chunk, index): Place) -> Place {
        self.normal((chunk, index + 1))
    }

    /// The same place, named by the next chunk if it is one behind the last of its own.
    fn normal(&self, (chunk, index): Place) -> Place {
        match self.chunks.get(chunk) {
            Some(here) if index >= here.items.len() => (chunk + 1, 0),
            _ => (chunk, index),
        }
    }

    /// Makes sure that an interval boundary is at `at`, if an interval is there at all.
    fn cut(&mut self, at: u64) -> Result<(), OutOfMemory> {
        let place = self.seek(at);
        if self.get(place).is_some_and(|interval| interval.start() < at) {
            let (chunk, index) = self.make_room(place)?;
            let items = &mut self.chunks[chunk].items;
            let upper = items[index].split_off(at);
            items.insert(index + 1, upper);
            self.refresh(chunk);
        }
        Ok(())
    }

    /// Lets the interval below absorb the one at `place`, if they meet and are alike. Whether it did.
    fn join_with_below(&mut self, place: Place) -> bool {
        let (chunk, index) = place;
        if self.get(place).is_none() {
            return false;
        }
        let Some((chunk_below, index_below)) = self.before(place) else { return false };
        let item = self.chunks[chunk].items.remove(index);
        let below = &mut self.chunks[chunk_below].items[index_below];
        if below.end() != item.start() || !below.absorb(&item) {
            self.chunks[chunk].items.insert(index, item); // where it just was: there is room
            return false;
        }
        self.refresh(chunk_below);
        self.refresh(chunk);
        if self.chunks[chunk].items.is_empty() {
            self.chunks.remove(chunk);
        }
        true
    }

    /// Makes room for one more interval in the chunk of `place`, which may have to be split; where `place` is then.
    fn make_room(&mut self, (mut chunk, mut index): Place) -> Result<Place, OutOfMemory> {
        if chunk == self.chunks.len() {
            let Some(last) = self.chunks.last() else {
                let mut items = Vec::new();
                items.try_reserve(1).map_err(|_| OutOfMemory)?;
                self.chunks.try_reserve(1).map_err(|_| OutOfMemory)?;
                self.chunks.push(Chunk { items, gap: 0 });
                return Ok((0, 0));
            };
            (chunk, index) = (chunk - 1, last.items.len());
        }
        let items = &mut self.chunks[chunk].items;
        if items.len() < CHUNK_LEN {
            items.try_reserve(1).map_err(|_| OutOfMemory)?;
            return Ok((chunk, index));
        }
        let mut upper = Vec::new();
        upper.try_reserve(CHUNK_LEN).map_err(|_| OutOfMemory)?;
        self.chunks.try_reserve(1).map_err(|_| OutOfMemory)?;
        let half = CHUNK_LEN / 2;
        upper.extend(self.chunks[chunk].items.drain(half..));
        self.chunks.insert(chunk + 1, Chunk { items: upper, gap: 0 });
        self.refresh(chunk);
        self.refresh(chunk + 1);
        Ok(if index >= half { (chunk + 1, index - half) } else { (chunk, index) })
    }

    fn refresh(&mut self, chunk: usize) {
        let chunk = &mut self.chunks[chunk];
        chunk.gap = largest_gap(&chunk.items);
    }
}

impl<T: Interval> Default for IntervalMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Index of the first of `items` for which `holds`, as it does for all behind it. A page fault waits for this.
#[inline]
fn first_that<I>(items: &[I], holds: impl Fn(&I) -> bool) -> usize {
    let (mut low, mut high) = (0, items.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(&items[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn largest_gap<T: Interval>(items: &[T]) -> u64 {
    items.windows(2).map(|pair| pair[1].start() - pair[0].end()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
