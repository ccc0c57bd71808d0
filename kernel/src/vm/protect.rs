//! mprotect(2) on an address space.

use super::{AddressSpace, AreaFlags, PAGE};
use abi::Errno;
use machine::mm::Protection;

impl AddressSpace {
    /// Changes what is allowed in the range. ENOMEM if some of it is not mapped, EACCES where it may not be.
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
        let mut layout = self.layout.lock();
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
        let mut reached = start;
        let mut more_data = 0;
        for area in map.overlapping(start, end) {
            if area.start > reached {
                return Err(Errno::ENOMEM);
            }
            if protection.write && area.flags.contains(AreaFlags::NEVER_WRITE) {
                return Err(Errno::EACCES);
            }
            reached = area.end;
            if protection.write && !area.is_data() && !area.is_shared() {
                more_data += area.end.min(end) - area.start.max(start);
            }
        }
        if reached < end {
            return Err(Errno::ENOMEM);
        }
        if more_data > layout.limits.data.saturating_sub(layout.areas.totals().data) {
            return Err(Errno::ENOMEM);
        }
        layout.areas.update(start, end, |area| area.protection = protection)?;
        // Pages may be shared with a file or another process: the next store faults and decides.
        self.tables.protect(start, end, Protection { write: false, ..protection });
        Ok(())
    }
}
