//! The vDSO in address spaces: one page that all programs share, for reading and executing.
//!
//! Lock: `CHANGES` (rank `Table`) for setting the clock.

use crate::clock;
use crate::vm::{AddressSpace, AreaFlags, Backing, MapRequest, Placement, Share, SharedMemory};
use abi::Errno;
use alloc::sync::Arc;
use machine::addr::PAGE_SIZE;
use machine::mm::Protection;
use machine::sync::{Once, Rank, SpinLock};
use machine::vdso;

/// The page; None if there was no memory for it when the first program asked.
static PAGE: Once<Option<Arc<SharedMemory>>> = Once::new();
/// How often the clock was set.
static CHANGES: SpinLock<u32> = SpinLock::new("clock changes", Rank::Table, 0);

/// Maps it; its address.
pub fn map(space: &AddressSpace) -> Result<u64, Errno> {
    let page = PAGE.call_once(|| {
        let page = SharedMemory::new(1);
        vdso::install(&page.page(0).ok()?, clock::boot_time_ns());
        Some(page)
    });
    let page = page.as_ref().ok_or(Errno::ENOMEM)?;
    let request = MapRequest {
        placement: Placement::Anywhere(0),
        len: PAGE_SIZE as u64,
        protection: Protection { read: true, write: false, execute: true },
        backing: Backing::SharedMemory(Share::new(page.clone()), 0),
        grows_down: false,
    };
    space.map_as(request, AreaFlags::NEVER_WRITE)
}

/// Sets the time of day, in ns since 1970.
pub fn set_time_of_day(now_ns: u64) {
    let mut changes = CHANGES.lock();
    clock::set(now_ns);
    *changes = changes.wrapping_add(1);
    if let Some(Some(page)) = PAGE.get()
        && let Ok(frame) = page.page(0)
    {
        vdso::set_boot_time(&frame, clock::boot_time_ns(), *changes);
    }
}
