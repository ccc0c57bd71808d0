//! Areas: non-overlapping ranges of user addresses, each with its rights and the origin of its pages.

use crate::vfs::File;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::addr::PAGE_SIZE;
use machine::mm::Protection;

/// Where the pages of an area come from.
#[derive(Clone)]
pub enum Backing {
    /// Zeros.
    Anonymous,
    /// A file, from this page of it on; writes stay in the process.
    PrivateFile(Arc<File>, u64),
    /// A file, from this page of it on; writes go to it.
    SharedFile(Arc<File>, u64),
}

/// One area.
#[derive(Clone)]
pub struct Area {
    /// First address, page-aligned.
    pub start: u64,
    /// First address behind it, page-aligned.
    pub end: u64,
    /// What user code may do.
    pub protection: Protection,
    /// A fault right below it makes it larger.
    pub grows_down: bool,
    /// Where its pages come from.
    pub backing: Backing,
}

/// The address range is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overlap;

impl Area {
    /// Readable memory full of zeros.
    pub fn anonymous(start: u64, end: u64, write: bool, execute: bool) -> Self {
        let protection = Protection { read: true, write, execute };
        Area { start, end, protection, grows_down: false, backing: Backing::Anonymous }
    }

    /// Page of the file that belongs at `address`, for areas that have a file.
    pub fn file_page(&self, address: u64) -> Option<(&Arc<File>, u64)> {
        match &self.backing {
            Backing::Anonymous => None,
            Backing::PrivateFile(file, first) | Backing::SharedFile(file, first) => {
                Some((file, first + (address - self.start) / PAGE_SIZE as u64))
            }
        }
    }

    /// Whether stores are seen by others: by those who map the file, and by children.
    pub fn is_shared(&self) -> bool {
        matches!(self.backing, Backing::SharedFile(..))
    }

    /// Cuts the area at `at`, which lies inside; the upper part.
    fn split_off(&mut self, at: u64) -> Area {
        let mut upper = self.clone();
        let pages = (at - self.start) / PAGE_SIZE as u64;
        if let Backing::PrivateFile(_, first) | Backing::SharedFile(_, first) = &mut upper.backing {
            *first += pages;
        }
        upper.start = at;
        self.end = at;
        upper
    }

    fn like(&self, other: &Area) -> bool {
        self.protection == other.protection
            && self.grows_down == other.grows_down
            && matches!((&self.backing, &other.backing), (Backing::Anonymous, Backing::Anonymous))
    }
}

/// All areas of an address space, by start.
#[derive(Clone)]
pub(super) struct Areas {
    by_start: BTreeMap<u64, Area>,
}

impl Areas {
    pub(super) fn new() -> Self {
        Areas { by_start: BTreeMap::new() }
    }

    /// The area that `address` lies in.
    pub(super) fn find(&self, address: u64) -> Option<&Area> {
        self.by_start.range(..=address).next_back().map(|(_, area)| area).filter(|area| address < area.end)
    }

    /// The first area that begins above `address`.
    pub(super) fn next_above(&self, address: u64) -> Option<&Area> {
        self.by_start.range(address + 1..).next().map(|(_, area)| area)
    }

    pub(super) fn is_free(&self, start: u64, end: u64) -> bool {
        self.find(start).is_none() && self.next_above(start).is_none_or(|area| area.start >= end)
    }

    /// Adds an area, joined with its neighbours where they are alike.
    pub(super) fn insert(&mut self, mut area: Area) -> Result<(), Overlap> {
        if !self.is_free(area.start, area.end) {
            return Err(Overlap);
        }
        if let Some((&start, below)) = self.by_start.range(..area.start).next_back()
            && below.end == area.start
            && below.like(&area)
        {
            area.start = start;
        }
        let above = self.by_start.get(&area.end).filter(|above| above.like(&area)).map(|above| above.end);
        if let Some(end) = above {
            self.by_start.remove(&area.end);
            area.end = end;
        }
        self.by_start.insert(area.start, area);
        Ok(())
    }

    /// Makes the anonymous, writable area that ends at `end` reach to `new_end`.
    pub(super) fn extend(&mut self, end: u64, new_end: u64) -> Result<(), Overlap> {
        match self.by_start.range_mut(..end).next_back() {
            Some((_, area)) if area.end == end && area.like(&Area::anonymous(0, 0, true, false)) => {
                area.end = new_end;
                Ok(())
            }
            _ => Err(Overlap),
        }
    }

    /// Moves the start of the area that begins at `start` down to `new_start`.
    pub(super) fn grow_down(&mut self, start: u64, new_start: u64) {
        if let Some(mut area) = self.by_start.remove(&start) {
            area.start = new_start;
            self.by_start.insert(new_start, area);
        }
    }

    /// Takes everything in `[start, end)` out, cutting areas at the edges; what was there.
    pub(super) fn remove(&mut self, start: u64, end: u64) -> Vec<Area> {
        self.cut(start);
        self.cut(end);
        let starts: Vec<u64> = self.by_start.range(start..end).map(|(&start, _)| start).collect();
        starts.iter().filter_map(|start| self.by_start.remove(start)).collect()
    }

    /// A free range of `len` bytes that ends at or below `top`, the highest there is, not below `bottom`.
    pub(super) fn find_gap(&self, len: u64, bottom: u64, top: u64) -> Option<u64> {
        let mut end = top;
        for (_, area) in self.by_start.range(..top).rev() {
            if area.end < end && end - area.end >= len {
                break;
            }
            end = end.min(area.start);
        }
        end.checked_sub(len).filter(|&start| start >= bottom)
    }

    /// Whether every address of `[start, end)` is in some area.
    pub(super) fn covers(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.find(at) {
                Some(area) => at = area.end,
                None => return false,
            }
        }
        true
    }

    /// All areas, lowest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Area> {
        self.by_start.values()
    }

    fn cut(&mut self, at: u64) {
        let Some((_, area)) = self.by_start.range_mut(..at).next_back() else { return };
        if area.end > at {
            let upper = area.split_off(at);
            self.by_start.insert(at, upper);
        }
    }
}
