//! Areas: non-overlapping ranges of user addresses, each with its rights and the origin of its pages.

use super::shared::Share;
use crate::vfs::File;
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bitflags::bitflags;
use klib::interval_map::{Interval, IntervalMap, OutOfMemory, Refused};
use machine::addr::PAGE_SIZE;
use machine::mm::Protection;

/// Areas an address space may have (Linux's default `vm.max_map_count`).
pub const MOST_AREAS: usize = 65530;

/// Where the pages of an area come from.
#[derive(Clone)]
pub enum Backing {
    /// Zeros.
    Anonymous,
    /// A file, from this page of it on; writes stay in the process.
    PrivateFile(Arc<File>, u64),
    /// A file, from this page of it on; writes go to it.
    SharedFile(Arc<File>, u64),
    /// Memory without a name that processes share, from this page of it on.
    SharedMemory(Share, u64),
}

bitflags! {
    /// What an area is besides.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct AreaFlags: u32 {
        /// A fault right below it makes it larger.
        const GROWS_DOWN = 1;
        /// It may not be made writable: a shared mapping of a file that is open for reading only, or sealed.
        const NEVER_WRITE = 1 << 1;
        /// A fork leaves it out.
        const NOT_IN_FORK = 1 << 2;
        /// A forked process finds zeros.
        const ZEROS_IN_FORK = 1 << 3;
        /// Its pages stay in memory.
        const LOCKED = 1 << 4;
        /// Large pages are wanted.
        const LARGE_PAGES = 1 << 5;
        /// Large pages are not wanted.
        const NO_LARGE_PAGES = 1 << 6;
        /// It does not count against the memory there is.
        const NO_RESERVE = 1 << 7;
    }
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
    /// What it is besides.
    pub flags: AreaFlags,
    /// Where its pages come from.
    pub backing: Backing,
}

impl Area {
    /// Readable memory full of zeros.
    pub fn anonymous(start: u64, end: u64, write: bool, execute: bool) -> Self {
        let protection = Protection { read: true, write, execute };
        Area { start, end, protection, flags: AreaFlags::empty(), backing: Backing::Anonymous }
    }

    /// Bytes in it.
    pub fn len_bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Page of the file that belongs at `address`, for areas that have a file.
    pub fn file_page(&self, address: u64) -> Option<(&Arc<File>, u64)> {
        match &self.backing {
            Backing::Anonymous | Backing::SharedMemory(..) => None,
            Backing::PrivateFile(file, first) | Backing::SharedFile(file, first) => {
                Some((file, first + self.page_number(address)))
            }
        }
    }

    /// Pages of it below `address`.
    pub fn page_number(&self, address: u64) -> u64 {
        (address - self.start) / PAGE_SIZE as u64
    }

    /// Whether stores are seen by others: by those who map the file, and by children.
    pub fn is_shared(&self) -> bool {
        matches!(self.backing, Backing::SharedFile(..) | Backing::SharedMemory(..))
    }

    /// Whether it counts as data for RLIMIT_DATA: private, writable, no stack.
    pub fn is_data(&self) -> bool {
        self.protection.write && !self.is_shared() && !self.flags.contains(AreaFlags::GROWS_DOWN)
    }

    /// Gives up what the seals of a shared file forbid. EPERM if it is to be writable.
    pub(super) fn respect_seals(&mut self) -> Result<(), Errno> {
        match &self.backing {
            Backing::SharedFile(file, _) if !file.may_be_stored_to() => {
                self.flags.insert(AreaFlags::NEVER_WRITE);
                if self.protection.write { Err(Errno::EPERM) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// The same origin of pages, `pages` further on.
    pub fn backing_from(&self, pages: u64) -> Backing {
        let mut backing = self.backing.clone();
        match &mut backing {
            Backing::Anonymous => {}
            Backing::PrivateFile(_, first) | Backing::SharedFile(_, first) | Backing::SharedMemory(_, first) => {
                *first += pages;
            }
        }
        backing
    }

    /// A copy for those who only look: no segment counts it as attached.
    pub fn snapshot(&self) -> Area {
        let backing = match &self.backing {
            Backing::SharedMemory(memory, first) => Backing::SharedMemory(memory.uncounted(), *first),
            other => other.clone(),
        };
        Area { backing, ..*self }
    }

    /// The memory of which it maps the page that belongs there, if it had been attached at `base` as a whole.
    pub(super) fn attached_at(&self, base: u64) -> Option<&Share> {
        match &self.backing {
            Backing::SharedMemory(memory, first) if memory.label().is_some() => {
                (self.start.checked_sub(base)? / PAGE_SIZE as u64 == *first).then_some(memory)
            }
            _ => None,
        }
    }

    /// Whether the pages of `next`, which begins where this ends, follow on this one's.
    fn continues_in(&self, next: &Area) -> bool {
        let follows = |first: u64, next_first: u64| first + self.page_number(self.end) == next_first;
        match (&self.backing, &next.backing) {
            (Backing::Anonymous, Backing::Anonymous) => true,
            (Backing::PrivateFile(file, first), Backing::PrivateFile(next, next_first))
            | (Backing::SharedFile(file, first), Backing::SharedFile(next, next_first)) => {
                Arc::ptr_eq(file, next) && follows(*first, *next_first)
            }
            (Backing::SharedMemory(memory, first), Backing::SharedMemory(next, next_first)) => {
                // As on Linux, areas of a segment stay apart: each of them counts.
                memory.label().is_none() && memory.is_of(next) && follows(*first, *next_first)
            }
            _ => false,
        }
    }
}

impl Interval for Area {
    fn start(&self) -> u64 {
        self.start
    }

    fn end(&self) -> u64 {
        self.end
    }

    fn split_off(&mut self, at: u64) -> Area {
        let upper = Area { start: at, backing: self.backing_from(self.page_number(at)), ..*self };
        self.end = at;
        upper
    }

    fn absorb(&mut self, next: &Area) -> bool {
        let alike = self.protection == next.protection && self.flags == next.flags && self.continues_in(next);
        if alike {
            self.end = next.end;
        }
        alike
    }
}

/// All areas of an address space, and what they come to.
pub(super) struct Areas {
    map: IntervalMap<Area>,
    totals: Totals,
}

/// Bytes in areas of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// All of them (RLIMIT_AS).
    pub mapped: u64,
    /// Private and writable (RLIMIT_DATA).
    pub data: u64,
    /// Kept in memory (RLIMIT_MEMLOCK).
    pub locked: u64,
}

impl Totals {
    fn count(&mut self, area: &Area, enters: bool) {
        let change = |total: &mut u64, counts: bool| match (counts, enters) {
            (true, true) => *total += area.len_bytes(),
            (true, false) => *total -= area.len_bytes(),
            (false, _) => {}
        };
        change(&mut self.mapped, true);
        change(&mut self.data, area.is_data());
        change(&mut self.locked, area.flags.contains(AreaFlags::LOCKED));
    }
}

impl Areas {
    pub(super) fn new() -> Self {
        Areas { map: IntervalMap::new(), totals: Totals::default() }
    }

    /// The areas themselves, for looking things up.
    pub(super) fn map(&self) -> &IntervalMap<Area> {
        &self.map
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Adds an area, joined with its neighbours where they are alike. EEXIST where something is, ENOMEM.
    pub(super) fn insert(&mut self, area: Area) -> Result<(), Errno> {
        if self.map.len() >= MOST_AREAS {
            return Err(Errno::ENOMEM);
        }
        let mut totals = self.totals;
        totals.count(&area, true);
        self.map.insert(area).map_err(|refused| match refused {
            Refused::Overlap => Errno::EEXIST,
            Refused::OutOfMemory => Errno::ENOMEM,
        })?;
        self.totals = totals;
        Ok(())
    }

    /// Takes everything in `[start, end)` out, cutting areas at the edges; what was there. ENOMEM if the cuts would make
    /// too many areas.
    pub(super) fn take(&mut self, start: u64, end: u64) -> Result<Vec<Area>, Errno> {
        if self.splits(start, end) && self.map.len() >= MOST_AREAS {
            return Err(Errno::ENOMEM);
        }
        let taken = self.map.take(start, end).map_err(no_memory)?;
        taken.iter().for_each(|area| self.totals.count(area, false));
        Ok(taken)
    }

    /// Changes the areas of `[start, end)`, cut at the edges; alike neighbours become one.
    pub(super) fn update(&mut self, start: u64, end: u64, mut change: impl FnMut(&mut Area)) -> Result<(), Errno> {
        if self.splits(start, end) && self.map.len() + 1 >= MOST_AREAS {
            return Err(Errno::ENOMEM);
        }
        let totals = &mut self.totals;
        let change = |area: &mut Area| {
            totals.count(area, false);
            change(area);
            totals.count(area, true);
        };
        self.map.update(start, end, change).map_err(no_memory)
    }

    /// What a forked process has of them.
    pub(super) fn for_fork(&self) -> Result<Areas, Errno> {
        let in_fork = |area: &Area| !area.flags.contains(AreaFlags::NOT_IN_FORK);
        let mut map = self.map.try_clone(in_fork).map_err(no_memory)?;
        if self.totals.locked > 0 {
            // Locks are not inherited (mlock(2)).
            map.update(0, u64::MAX, |area| area.flags.remove(AreaFlags::LOCKED)).map_err(no_memory)?;
        }
        let mut totals = Totals::default();
        map.iter().for_each(|area| totals.count(area, true));
        Ok(Areas { map, totals })
    }

    /// Whether an edge of the range lies inside an area.
    fn splits(&self, start: u64, end: u64) -> bool {
        let inside = |at: u64| self.map.find(at).is_some_and(|area| area.start < at);
        inside(start) || inside(end)
    }
}

fn no_memory(_: OutOfMemory) -> Errno {
    Errno::ENOMEM
}
