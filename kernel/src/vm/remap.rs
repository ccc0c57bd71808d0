//! mremap(2) on an address space.

use super::{AddressSpace, Area, AreaFlags, Backing, Layout, PAGE, Placement, USER_START, limits};
use abi::Errno;
use alloc::vec::Vec;
use machine::addr::{USER_END, page_up};

/// What to resize or move.
#[derive(Clone, Copy, Debug)]
pub struct RemapRequest {
    /// Where it begins.
    pub start: u64,
    /// Bytes of it.
    pub len: u64,
    /// Bytes wanted.
    pub new_len: u64,
    /// It may go elsewhere.
    pub may_move: bool,
    /// It has to go there, in place of what is there.
    pub fixed: Option<u64>,
    /// What it leaves stays mapped, without pages (MREMAP_DONTUNMAP).
    pub keep_old: bool,
}

impl AddressSpace {
    /// Resizes or moves; where it is then.
    pub fn remap(&self, request: RemapRequest) -> Result<u64, Errno> {
        let RemapRequest { start, may_move, keep_old, .. } = request;
        if request.fixed.is_some() && !may_move || keep_old && (!may_move || request.len != request.new_len) {
            return Err(Errno::EINVAL);
        }
        if !start.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        // Lengths that overflow when rounded up are 0, as on Linux.
        let (len, new_len) = (page_up(request.len).unwrap_or(0), page_up(request.new_len).unwrap_or(0));
        if new_len == 0 {
            return Err(Errno::EINVAL);
        }
        let request = RemapRequest { len, new_len, ..request };
        let mut removed = Vec::new(); // dropped after the lock
        let mut layout = self.layout();
        if layout.areas.map().find(start).is_none() {
            return Err(Errno::EFAULT);
        }
        let at = if request.fixed.is_some() || keep_old {
            self.remap_to(&mut layout, request, &mut removed)?
        } else if len >= new_len {
            check_in_reach(start, len)?;
            removed = self.take_away(&mut layout, start + new_len, start + len)?;
            start
        } else {
            self.grow(&mut layout, request)?
        };
        let locked = layout.areas.map().find(at).is_some_and(|area| area.flags.contains(AreaFlags::LOCKED));
        drop(layout);
        drop(removed);
        if locked && new_len > len {
            self.populate(at + len, at + new_len);
        }
        Ok(at)
    }

    /// With a place given, or the old one kept.
    fn remap_to(&self, layout: &mut Layout, request: RemapRequest, removed: &mut Vec<Area>) -> Result<u64, Errno> {
        let RemapRequest { start, new_len, fixed, .. } = request;
        let mut len = request.len;
        if let Some(to) = fixed {
            let in_reach = new_len <= USER_END && to <= USER_END - new_len;
            let apart = start.checked_add(len).is_some_and(|end| end <= to) || to.saturating_add(new_len) <= start;
            if !to.is_multiple_of(PAGE) || !in_reach || !apart {
                return Err(Errno::EINVAL);
            }
            if to < USER_START {
                return Err(Errno::EPERM);
            }
            *removed = self.take_away(layout, to, to + new_len)?;
        }
        if len > new_len {
            check_in_reach(start, len)?;
            removed.append(&mut self.take_away(layout, start + new_len, start + len)?);
            len = new_len;
        }
        let old = layout.check_resize(start, len, new_len)?;
        if request.keep_old {
            layout.check_may_expand(new_len, old.is_data())?;
        }
        let placement = fixed.map_or(Placement::Anywhere(0), Placement::Fixed);
        let to = layout.place(placement, new_len)?;
        self.move_area(layout, RemapRequest { len, ..request }, &old, to)?;
        Ok(to)
    }

    /// Makes it longer, in place or elsewhere.
    fn grow(&self, layout: &mut Layout, request: RemapRequest) -> Result<u64, Errno> {
        let RemapRequest { start, len, new_len, .. } = request;
        let old = layout.check_resize(start, len, new_len)?;
        if len != 0 && start + len == old.end {
            let (end, new_end) = (old.end, start.saturating_add(new_len));
            if new_end <= USER_END && layout.areas.map().is_free(end, new_end) {
                let backing = old.backing_from(old.page_number(end));
                layout.areas.insert(Area { start: end, end: new_end, backing, ..old })?;
                return Ok(start);
            }
        }
        if !request.may_move {
            return Err(Errno::ENOMEM);
        }
        let to = layout.place(Placement::Anywhere(0), new_len)?;
        self.move_area(layout, request, &old, to)?;
        Ok(to)
    }

    /// Moves the first `len` bytes at `start`, part of `old`, to the free range at `to`.
    fn move_area(&self, layout: &mut Layout, request: RemapRequest, old: &Area, to: u64) -> Result<(), Errno> {
        let RemapRequest { start, len, new_len, keep_old, .. } = request;
        let backing = old.backing_from(old.page_number(start));
        layout.areas.insert(Area { start: to, end: to + new_len, backing, ..*old })?;
        if len == 0 {
            return Ok(()); // a second mapping of shared pages
        }
        if self.tables.move_pages(start, to, len).is_err() {
            let _ = layout.areas.take(to, to + new_len);
            return Err(Errno::ENOMEM);
        }
        if keep_old {
            return layout.areas.update(start, start + len, |area| area.flags.remove(AreaFlags::LOCKED));
        }
        layout.areas.take(start, start + len).map(drop)
    }
}

impl Layout {
    /// The area that is to be resized, if it may be.
    fn check_resize(&self, start: u64, len: u64, new_len: u64) -> Result<Area, Errno> {
        let area = self.areas.map().find(start).ok_or(Errno::EFAULT)?;
        if len == 0 && !area.is_shared() {
            return Err(Errno::EINVAL);
        }
        if len > area.end - start {
            return Err(Errno::EFAULT);
        }
        if new_len > len {
            let first = match &area.backing {
                Backing::Anonymous => 0,
                Backing::PrivateFile(_, first) | Backing::SharedFile(_, first) | Backing::SharedMemory(_, first) => {
                    *first
                }
            };
            if first.checked_add(area.page_number(start) + new_len / PAGE).is_none() {
                return Err(Errno::EINVAL);
            }
            self.check_may_lock(new_len - len, area.flags)?;
            self.check_may_expand(new_len - len, area.is_data())?;
            if area.is_data() && !area.flags.contains(AreaFlags::NO_RESERVE) {
                limits::check_reserve(new_len - len)?;
            }
        }
        Ok(area.clone())
    }
}

fn check_in_reach(start: u64, len: u64) -> Result<(), Errno> {
    if start.checked_add(len).is_none_or(|end| end > USER_END) { Err(Errno::EINVAL) } else { Ok(()) }
}
