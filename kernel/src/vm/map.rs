//! mmap(2), munmap(2) and shmdt(2) on an address space.

use super::fault::{self, FaultError};
use super::{AddressSpace, Area, AreaFlags, Backing, Layout, PAGE, USER_START, limits};
use abi::Errno;
use alloc::vec::Vec;
use machine::addr::USER_END;
use machine::hooks::Access;
use machine::mm::Protection;

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
        self.map_as(request, AreaFlags::empty())
    }

    /// Maps an area with these flags; the first address. Only what mlockall(2) asked to lock is filled.
    pub fn map_as(&self, request: MapRequest, flags: AreaFlags) -> Result<u64, Errno> {
        let len = page_aligned_len(request.len)?;
        let replaced; // dropped after the lock, since it may close files
        let mut layout = self.layout();
        let start = layout.place(request.placement, len)?;
        let end = start + len;
        let mut area = Area {
            start,
            end,
            protection: request.protection,
            flags: flags | layout.lock_future.flags(),
            backing: request.backing,
        };
        area.flags.set(AreaFlags::GROWS_DOWN, request.grows_down);
        layout.check_may_lock(len, area.flags)?;
        let gone: u64 =
            layout.areas.map().overlapping(start, end).map(|old| old.end.min(end) - old.start.max(start)).sum();
        layout.check_may_expand(len - gone, area.is_data())?;
        let counts = area.is_data() || matches!(area.backing, Backing::SharedMemory(..));
        if counts && !flags.contains(AreaFlags::NO_RESERVE) {
            limits::check_reserve(len)?;
        }
        self.mapped.register(&area)?;
        // Not before the file knows of this address space: a seal that comes now asks it, and waits for the lock.
        area.respect_seals()?;
        replaced = self.take_away(&mut layout, start, end)?;
        layout.areas.insert(area)?;
        let populate = layout.lock_future == super::LockFuture::Populated;
        drop(layout);
        drop(replaced);
        if populate {
            self.populate(start, end);
        }
        Ok(start)
    }

    /// Whether a place that is given may be had for `len` bytes, with the errors of mmap(2); nothing is mapped.
    pub fn check_place(&self, placement: Placement, len: u64) -> Result<(), Errno> {
        match placement {
            Placement::Anywhere(_) => Ok(()),
            _ => self.layout().place(placement, len).map(drop),
        }
    }

    /// Whether some area has `address`.
    pub fn is_mapped(&self, address: u64) -> bool {
        self.layout().areas.map().find(address).is_some()
    }

    /// Takes everything in the range away. Unmapped parts are fine.
    pub fn unmap(&self, start: u64, len: u64) -> Result<(), Errno> {
        if !start.is_multiple_of(PAGE) || start > USER_END || len > USER_END - start || len == 0 {
            return Err(Errno::EINVAL);
        }
        let end = (start + len).next_multiple_of(PAGE);
        let mut layout = self.layout();
        let removed = self.take_away(&mut layout, start, end)?;
        drop(layout);
        drop(removed); // may close files
        Ok(())
    }

    /// shmdt(2): takes away what is left of the segment that was attached at `address`. EINVAL if nothing is.
    pub fn detach(&self, address: u64) -> Result<(), Errno> {
        if !address.is_multiple_of(PAGE) || address >= USER_END {
            return Err(Errno::EINVAL);
        }
        let mut removed = Vec::new(); // dropped after the lock
        let mut layout = self.layout();
        let first = layout.areas.map().overlapping(address, USER_END).find_map(|area| area.attached_at(address));
        let segment = first.map(|memory| memory.uncounted()).ok_or(Errno::EINVAL)?;
        let end = address.saturating_add(segment.pages() * PAGE).min(USER_END);
        let part = |layout: &Layout| {
            let mut areas = layout.areas.map().overlapping(address, end);
            let of_it = |area: &&Area| area.attached_at(address).is_some_and(|memory| memory.is_of(&segment));
            areas.find(of_it).map(|area| (area.start, area.end))
        };
        while let Some((start, end)) = part(&layout) {
            removed.append(&mut self.take_away(&mut layout, start, end)?);
        }
        drop(layout);
        Ok(())
    }

    /// Makes what is mapped in `[start, end)` present, as far as that goes: for MAP_POPULATE and locks. The first error,
    /// after which nothing more is tried.
    pub fn populate(&self, start: u64, end: u64) -> Option<FaultError> {
        let mut page = start;
        while page < end {
            let access = {
                let layout = self.layout();
                let Some(area) = layout.areas.map().first_from(page).filter(|area| area.start < end) else { break };
                page = page.max(area.start);
                // A private page that may be written is made the process's own at once.
                if area.protection.write && !area.is_shared() { Access::Write } else { Access::Read }
            };
            if let Err(error) = fault::resolve(self, page, access) {
                return Some(error);
            }
            page += PAGE;
        }
        None
    }
}

impl Layout {
    /// Where `len` bytes go, with the errors of mmap(2).
    pub(super) fn place(&self, placement: Placement, len: u64) -> Result<u64, Errno> {
        let (start, replaces) = match placement {
            Placement::Anywhere(wish) => return self.find_place(wish, len).ok_or(Errno::ENOMEM),
            Placement::Fixed(start) => (start, true),
            Placement::FixedNoReplace(start) => (start, false),
        };
        // A place beyond the user's half is out of reach as if memory had run out.
        if start > USER_END - len {
            return Err(Errno::ENOMEM);
        }
        if !start.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        if start < USER_START {
            return Err(Errno::EPERM);
        }
        if !replaces && !self.areas.map().is_free(start, start + len) {
            return Err(Errno::EEXIST);
        }
        Ok(start)
    }

    /// A free range: at the page of `wish` if that will do, else the highest below the stack.
    fn find_place(&self, wish: u64, len: u64) -> Option<u64> {
        let map = self.areas.map();
        let wish = if wish == 0 { 0 } else { (wish & !(PAGE - 1)).max(USER_START) };
        let fits = wish != 0 && wish.checked_add(len).is_some_and(|end| end <= USER_END && map.is_free(wish, end));
        if fits { Some(wish) } else { map.find_gap(len, USER_START, self.mmap_top) }
    }
}

/// Rounds up to pages. EINVAL for zero, ENOMEM for more than there are addresses.
fn page_aligned_len(len: u64) -> Result<u64, Errno> {
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    machine::addr::page_up(len).filter(|&len| len <= USER_END).ok_or(Errno::ENOMEM)
}
