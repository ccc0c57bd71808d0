//! 2 MiB pages for private anonymous memory: who gets them.
//!
//! By default who asks (madvise(2)); `/sys/kernel/mm/transparent_hugepage/enabled` lets everybody or nobody have them. Who
//! uses all of a large area gains by them, who does not loses more: of 256 MiB each page stored to took 55 ms with them and
//! 240 without; one store to each 2 MiB took 47 ms and all of the memory, instead of 0.7 ms and half a MiB.
//!
//! They come at the first store to 2 MiB that an area has whole and of which nothing is mapped, if a block of frames is free,
//! or by MADV_COLLAPSE.

use super::{AddressSpace, Area, AreaFlags, Backing};
use abi::Errno;
use core::sync::atomic::{AtomicU8, Ordering};
use machine::addr::HUGE_PAGE_SIZE;
use machine::hooks::Access;
use machine::mm::{CollapseError, HugeFrame};

const LEN: u64 = HUGE_PAGE_SIZE as u64;

/// The words for the policies, by their numbers.
const POLICIES: [&str; 3] = ["always", "madvise", "never"];
const ALWAYS: u8 = 0;
const ON_ADVICE: u8 = 1;

static POLICY: AtomicU8 = AtomicU8::new(ON_ADVICE);

/// The policies there are, and the number of that which holds.
pub fn policy() -> (&'static [&'static str], usize) {
    (&POLICIES, POLICY.load(Ordering::Relaxed).into())
}

/// Sets the policy of that name for what comes. EINVAL if there is none.
pub fn set_policy(name: &[u8]) -> Result<(), Errno> {
    let number = POLICIES.iter().position(|policy| policy.as_bytes() == name).ok_or(Errno::EINVAL)?;
    POLICY.store(number as u8, Ordering::Relaxed);
    Ok(())
}

impl AddressSpace {
    /// Whether large pages may be had at all (PR_SET_THP_DISABLE).
    pub fn may_have_huge_pages(&self) -> bool {
        !self.no_huge_pages.load(Ordering::Relaxed)
    }

    /// Allows or forbids large pages, for what comes.
    pub fn allow_huge_pages(&self, allowed: bool) {
        self.no_huge_pages.store(!allowed, Ordering::Relaxed);
    }

    /// Maps a large page around `page` of `area`, if it is to have one and there is one. With the lock of the areas.
    #[inline]
    pub(super) fn map_huge(&self, area: &Area, page: u64, access: Access) -> bool {
        area.end - area.start >= LEN && access == Access::Write && self.try_map_huge(area, page & !(LEN - 1))
    }

    fn try_map_huge(&self, area: &Area, start: u64) -> bool {
        let wanted = match POLICY.load(Ordering::Relaxed) {
            ALWAYS => true,
            ON_ADVICE => area.flags.contains(AreaFlags::LARGE_PAGES),
            _ => false,
        };
        wanted
            && self.is_eligible(area, start)
            && self.tables.is_empty_around(start)
            && HugeFrame::zeroed().is_ok_and(|frames| self.tables.map_huge(start, frames, area.protection).is_ok())
    }

    /// Whether the 2 MiB from `start` on may be one page.
    fn is_eligible(&self, area: &Area, start: u64) -> bool {
        has_whole(area, start)
            && area.protection.read
            && matches!(area.backing, Backing::Anonymous)
            && !area.flags.intersects(AreaFlags::NO_LARGE_PAGES | AreaFlags::GROWS_DOWN)
            && self.may_have_huge_pages()
    }

    /// MADV_COLLAPSE: makes each 2 MiB that the range has whole one page. EINVAL if some of it may not be, ENOMEM if
    /// some of it is not mapped or no block of frames is free, EAGAIN if a page is in use by others.
    pub(super) fn collapse(&self, start: u64, end: u64) -> Result<(), Errno> {
        let first = start.checked_next_multiple_of(LEN).ok_or(Errno::EINVAL)?;
        for at in (first..end & !(LEN - 1)).step_by(HUGE_PAGE_SIZE) {
            // Let go for each, since each takes its time.
            let layout = self.layout();
            let area = layout.areas.map().find(at).ok_or(Errno::ENOMEM)?;
            if !self.is_eligible(area, at) {
                return Err(Errno::EINVAL);
            }
            // A page that a fork shares may be in it: the copy is this space's own.
            self.tables.collapse(at, area.protection).map_err(|error| match error {
                CollapseError::OutOfMemory => Errno::ENOMEM,
                CollapseError::Busy => Errno::EAGAIN,
            })?;
        }
        Ok(())
    }
}

/// Whether `area` has the 2 MiB from `start` on.
pub(super) fn has_whole(area: &Area, start: u64) -> bool {
    area.start <= start && area.end >= LEN && start <= area.end - LEN
}
