//! From a page of a file to the places where it is mapped: what a file's page cache asks of those who map it.
//!
//! The cache knows which address spaces may have it mapped; where, their areas say. Both change under the lock of the
//! areas, so a place that a look has not found cannot have a page that was taken away before.

use super::{Area, AreaFlags, Layout, PAGE};
use crate::vfs::{Mapper, PageCache, Revoke};
use abi::Errno;
use alloc::sync::Arc;
use core::ops::Range;
use machine::mm::{FrameKind, UserSpace};
use machine::sync::Mutex;

/// Areas and page tables of an address space, without what its end would give up: a cache may be the last to have it.
pub(super) struct Mapped {
    pub tables: Arc<UserSpace>,
    pub layout: Mutex<Layout>,
}

impl Mapped {
    /// Tells the file that `area` maps, if there is one, whom to ask. Called with the areas' lock.
    pub fn register(self: &Arc<Self>, area: &Area) -> Result<(), Errno> {
        match area.file_page(area.start) {
            Some((file, _)) => {
                let mapper: Arc<dyn Mapper> = self.clone();
                file.register_mapper(&mapper)
            }
            None => Ok(()),
        }
    }

    /// The same for all areas.
    pub fn register_all(self: &Arc<Self>, layout: &Layout) -> Result<(), Errno> {
        layout.areas.map().iter().try_for_each(|area| self.register(area))
    }

    fn revoke_in(&self, area: &Area, start: u64, end: u64, what: Revoke) {
        match what {
            Revoke::Stores if area.is_shared() => self.tables.write_protect(start, end),
            Revoke::Stores => {}
            Revoke::PagesAndCopies => self.tables.unmap(start, end),
            Revoke::Unused if area.flags.contains(AreaFlags::LOCKED) => {}
            Revoke::Unused => self.take_unused(start, end),
            Revoke::Pages if area.is_shared() => self.tables.unmap(start, end),
            Revoke::Pages => {
                for page in (start..end).step_by(PAGE as usize) {
                    let mapping = self.tables.get(page);
                    if mapping.is_some_and(|mapping| mapping.frame.kind() == FrameKind::PageCache) {
                        self.tables.unmap(page, page + PAGE);
                    }
                }
            }
        }
    }
}

impl Mapped {
    /// Takes out what was not used since the last look.
    fn take_unused(&self, start: u64, end: u64) {
        let mut others = false;
        for page in (start..end).step_by(PAGE as usize) {
            match self.tables.get(page) {
                Some(mapping) if mapping.accessed || mapping.frame.kind() != FrameKind::PageCache => others = true,
                Some(_) => self.tables.unmap(page, page + PAGE),
                None => {}
            }
        }
        if others {
            self.tables.clear_accessed(start, end);
        }
    }
}

impl Mapper for Mapped {
    fn revoke(&self, cache: &PageCache, pages: Range<u64>, what: Revoke) -> bool {
        let layout = match what {
            // Who seeks memory may have this lock, and any other.
            Revoke::Unused => match self.layout.try_lock() {
                Some(layout) => layout,
                None => return true,
            },
            _ => self.layout.lock(),
        };
        let mut maps = false;
        for area in layout.areas.map().iter() {
            let Some((_, first)) = area.file_page(area.start).filter(|(file, _)| file.is_paged_by(cache)) else {
                continue;
            };
            maps = true;
            let (from, to) = (pages.start.max(first), pages.end.min(first.saturating_add(area.page_number(area.end))));
            if from < to {
                self.revoke_in(area, area.start + (from - first) * PAGE, area.start + (to - first) * PAGE, what);
            }
        }
        maps
    }

    fn stores(&self, cache: &PageCache) -> bool {
        let layout = self.layout.lock();
        layout.areas.map().iter().any(|area| {
            let may = area.is_shared() && !area.flags.contains(AreaFlags::NEVER_WRITE);
            may && area.file_page(area.start).is_some_and(|(file, _)| file.is_paged_by(cache))
        })
    }
}
