//! mprotect(2) on an address space.

use super::{AddressSpace, AreaFlags, Layout, PAGE};
use abi::Errno;
use machine::mm::Protection;

impl AddressSpace {
    /// Changes what is allowed in the range. ENOMEM if some of it is not mapped, EACCES where it may not
    /// be; what comes before that is changed.
    pub fn protect(&self, start: u64, len: u64, protection: Protection) -> Result<(), Errno> {
        self.protect_from(start, len, protection, false)
    }

    /// The same; with `grows_down` from the beginning of the area that `start` lies in, which has to be a stack
    /// (PROT_GROWSDOWN).
    pub fn protect_from(&self, start: u64, len: u64, protection: Protection, grows_down: bool) -> Result<(), Errno> {
        if !start.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        let len = machine::addr::page_up(len).ok_or(Errno::ENOMEM)?;
        let end = start.checked_add(len).ok_or(Errno::ENOMEM)?;
        let mut layout = self.layout();
        let map = layout.areas.map();
        let first = map.first_from(start).filter(|area| area.start < end).ok_or(Errno::ENOMEM)?;
        let start = if grows_down {
            if !first.flags.contains(AreaFlags::GROWS_DOWN) {
                return Err(Errno::EINVAL);
            }
            first.start
        } else {
            start
        };
        let (reached, outcome) = layout.may_protect(start, end, protection);
        // What comes before the obstacle changes all the same, as on Linux.
        layout.areas.update(start, reached, |area| area.protection = protection)?;
        // Pages may be shared with a file or another process: the next store faults and decides.
        self.tables.protect(start, reached, Protection { write: false, ..protection });
        outcome
    }
}

impl Layout {
    /// Up to where the areas from `start` on may get `protection`, at most to `end`, and what forbids more.
    fn may_protect(&self, start: u64, end: u64, protection: Protection) -> (u64, Result<(), Errno>) {
        let mut data_left = self.limits.data.saturating_sub(self.areas.totals().data);
        let mut reached = start;
        for area in self.areas.map().overlapping(start, end) {
            if area.start > reached {
                return (reached, Err(Errno::ENOMEM));
            }
            if protection.write && area.flags.contains(AreaFlags::NEVER_WRITE) {
                return (reached, Err(Errno::EACCES));
            }
            if protection.write && !area.is_data() && !area.is_shared() {
                let more = area.end.min(end) - area.start.max(start);
                let Some(left) = data_left.checked_sub(more) else { return (reached, Err(Errno::ENOMEM)) };
                data_left = left;
            }
            reached = area.end.min(end);
        }
        (reached, if reached < end { Err(Errno::ENOMEM) } else { Ok(()) })
    }
}
