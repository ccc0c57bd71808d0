//! mmap, munmap, mprotect on an address space.

use super::{AddressSpace, Area, Backing, USER_START};
use abi::Errno;
use machine::addr::{PAGE_SIZE, USER_END};
use machine::mm::{Mapping, Protection};

/// Where a mapping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Anywhere, at this address if it is free (0: no wish).
    Anywhere(u64),
    /// There, in place of what is there.
    Fixed(u64),
    /// There, if nothing is there.
    FixedNoReplace(u64),
}

/// What to map.
pub struct MapRequest {
    /// Where.
    pub placement: Placement,
    /// Bytes, rounded up to pages.
    pub len: u64,
    /// What user code may do.
    pub protection: Protection,
    /// Where pages come from.
    pub backing: Backing,
    /// A stack: grows downwards on demand.
    pub grows_down: bool,
}

impl AddressSpace {
    /// Maps; the first address. Nothing is read or allocated yet.
    pub fn map(&self, request: MapRequest) -> Result<u64, Errno> {
        let len = page_aligned_len(request.len)?;
        let mut layout = self.layout.lock();
        let start = match request.placement {
            Placement::Anywhere(wish) => {
                let wish = wish & !(PAGE_SIZE as u64 - 1);
                let wish_fits = wish >= USER_START
                    && wish.checked_add(len).is_some_and(|end| end <= USER_END && layout.areas.is_free(wish, end));
                let found = || layout.areas.find_gap(len, USER_START, layout.mmap_top);
                if wish_fits { wish } else { found().ok_or(Errno::ENOMEM)? }
            }
            // A place beyond the user's half is out of reach as if memory had run out (mmap(2) on Linux).
            Placement::Fixed(start) | Placement::FixedNoReplace(start) if start > USER_END - len => {
                return Err(if start.is_multiple_of(PAGE_SIZE as u64) { Errno::ENOMEM } else { Errno::EINVAL });
            }
            Placement::Fixed(start) | Placement::FixedNoReplace(start) => {
                check_range(start, len)?;
                if start < USER_START {
                    return Err(Errno::EPERM);
                }
                start
            }
        };
        let end = start + len;
        match request.placement {
            Placement::Fixed(_) => {
                layout.areas.remove(start, end);
                self.tables.unmap(start, end, |_, _, _| {});
            }
            Placement::FixedNoReplace(_) if !layout.areas.is_free(start, end) => return Err(Errno::EEXIST),
            _ => {}
        }
        let area = Area {
            start,
            end,
            protection: request.protection,
            grows_down: request.grows_down,
            backing: request.backing,
        };
        layout.areas.insert(area).map_err(|_| Errno::EEXIST)?;
        Ok(start)
    }

    /// Takes everything in the range away. Unmapped parts are fine.
    pub fn unmap(&self, start: u64, len: u64) -> Result<(), Errno> {
        let len = page_aligned_len(len)?;
        check_range(start, len)?;
        let mut layout = self.layout.lock();
        let removed = layout.areas.remove(start, start + len);
        self.tables.unmap(start, start + len, |_, _, _| {});
        drop(layout);
        drop(removed); // may close files
        Ok(())
    }

    /// Drops the pages of the range; the mapping stays (MADV_DONTNEED). ENOMEM if some of it is not mapped.
    pub fn discard(&self, start: u64, len: u64) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        let len = page_aligned_len(len)?;
        check_range(start, len)?;
        let layout = self.layout.lock();
        if !layout.areas.covers(start, start + len) {
            return Err(Errno::ENOMEM);
        }
        self.tables.unmap(start, start + len, |_, _, _| {});
        Ok(())
    }

    /// Changes what is allowed in the range. ENOMEM if some of it is not mapped.
    pub fn protect(&self, start: u64, len: u64, protection: Protection) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        let len = page_aligned_len(len)?;
        check_range(start, len)
            .map_err(|_| if start.is_multiple_of(PAGE_SIZE as u64) { Errno::ENOMEM } else { Errno::EINVAL })?;
        let end = start + len;
        let mut layout = self.layout.lock();
        if !layout.areas.covers(start, end) {
            return Err(Errno::ENOMEM);
        }
        for mut area in layout.areas.remove(start, end) {
            area.protection = protection;
            let _ = layout.areas.insert(area);
        }
        // Pages may be shared with a file or another process: the next store faults and decides.
        self.tables.protect(start, end, Protection { write: false, ..protection });
        Ok(())
    }

    /// What is mapped at `address` right now.
    pub fn mapping(&self, address: u64) -> Option<Mapping> {
        self.tables.get(address & !(PAGE_SIZE as u64 - 1))
    }

    /// Calls `f` for each area, lowest first.
    pub fn for_each_area(&self, mut f: impl FnMut(&Area)) {
        self.layout.lock().areas.iter().for_each(&mut f);
    }
}

/// Rounds up to pages. EINVAL for zero, ENOMEM for more than there are addresses.
fn page_aligned_len(len: u64) -> Result<u64, Errno> {
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    machine::addr::page_up(len).filter(|&len| len <= USER_END).ok_or(Errno::ENOMEM)
}

/// EINVAL unless the range is aligned and the user's.
fn check_range(start: u64, len: u64) -> Result<(), Errno> {
    if !start.is_multiple_of(PAGE_SIZE as u64) || start.checked_add(len).is_none_or(|end| end > USER_END) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}
