//! The mlock(2) family. Nothing is ever swapped out, so to lock memory means to have all of it present.

use super::fault::FaultError;
use super::{AddressSpace, AreaFlags, PAGE};
use abi::Errno;

/// What happens to areas that are mapped from now on (mlockall(2), MCL_FUTURE).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockFuture {
    /// Nothing.
    No,
    /// They are locked as their pages come.
    OnFault,
    /// They are locked and filled at once.
    Populated,
}

impl LockFuture {
    pub(super) fn flags(self) -> AreaFlags {
        if self == LockFuture::No { AreaFlags::empty() } else { AreaFlags::LOCKED }
    }
}

impl AddressSpace {
    /// mlock(2): locks what is mapped in the range, and fills it unless `on_fault`. ENOMEM over the limit, or if some of
    /// it is not mapped or cannot be had.
    pub fn lock(&self, start: u64, len: u64, on_fault: bool) -> Result<(), Errno> {
        if self.limits().locked == 0 {
            return Err(Errno::EPERM);
        }
        let (start, end) = whole_pages(start, len)?;
        {
            let mut layout = self.layout();
            let overlapping = layout.areas.map().overlapping(start, end);
            let already: u64 = overlapping
                .filter(|area| area.flags.contains(AreaFlags::LOCKED))
                .map(|area| area.end.min(end) - area.start.max(start))
                .sum();
            let sum = layout.areas.totals().locked - already;
            if (end - start).checked_add(sum).is_none_or(|sum| sum > layout.limits.locked) {
                return Err(Errno::ENOMEM);
            }
            // What comes before a hole is locked all the same, as on Linux.
            let reached = layout.areas.map().covered_until(start, end);
            layout.areas.update(start, reached, |area| area.flags.insert(AreaFlags::LOCKED))?;
            if reached < end {
                return Err(Errno::ENOMEM);
            }
        }
        if on_fault {
            return Ok(());
        }
        match self.populate(start, end) {
            None => Ok(()),
            Some(FaultError::OutOfMemory) => Err(Errno::EAGAIN),
            Some(_) => Err(Errno::ENOMEM),
        }
    }

    /// munlock(2). ENOMEM if some of the range is not mapped.
    pub fn unlock(&self, start: u64, len: u64) -> Result<(), Errno> {
        let (start, end) = whole_pages(start, len)?;
        let mut layout = self.layout();
        let reached = layout.areas.map().covered_until(start, end);
        layout.areas.update(start, reached, |area| area.flags.remove(AreaFlags::LOCKED))?;
        if reached < end { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// mlockall(2): `current` areas, those to come, or both. ENOMEM over the limit.
    pub fn lock_all(&self, current: Option<LockFuture>, future: LockFuture) -> Result<(), Errno> {
        {
            let mut layout = self.layout();
            if layout.limits.locked == 0 {
                return Err(Errno::EPERM);
            }
            if current.is_some() && layout.areas.totals().mapped > layout.limits.locked {
                return Err(Errno::ENOMEM);
            }
            layout.lock_future = future;
            if current.is_some() {
                layout.areas.update(0, u64::MAX, |area| area.flags.insert(AreaFlags::LOCKED))?;
            }
        }
        if current == Some(LockFuture::Populated) {
            // Area by area, since one that cannot be filled (PROT_NONE) does not keep the next from it.
            let mut areas = alloc::vec::Vec::new();
            self.for_each_area(|area| {
                if area.protection.read && areas.try_reserve(1).is_ok() {
                    areas.push((area.start, area.end));
                }
            });
            for (start, end) in areas {
                let _ = self.populate(start, end);
            }
        }
        Ok(())
    }

    /// munlockall(2).
    pub fn unlock_all(&self) -> Result<(), Errno> {
        let mut layout = self.layout();
        layout.lock_future = LockFuture::No;
        layout.areas.update(0, u64::MAX, |area| area.flags.remove(AreaFlags::LOCKED))
    }
}

/// The pages that the range touches. EINVAL if it wraps around.
fn whole_pages(start: u64, len: u64) -> Result<(u64, u64), Errno> {
    let first = start & !(PAGE - 1);
    let len = len.checked_add(start - first).and_then(machine::addr::page_up).unwrap_or(0);
    let end = first.checked_add(len).ok_or(Errno::EINVAL)?;
    Ok((first, end))
}
