//! Physical memory through its map at [`PHYS_BASE`].
//!
//! RAM of every kind (usable, firmware) is mapped there for good; devices are not, they have `space::map_device`.

use crate::addr::{PHYS_BASE, PhysAddr};
use core::sync::atomic::{AtomicU64, Ordering};

/// End of the mapped physical memory: the first page tables map 4 GiB, `space` maps what there is.
static MAPPED_END: AtomicU64 = AtomicU64::new(4 << 30);

/// Notes up to where physical memory is mapped.
pub(crate) fn set_mapped_end(end: u64) {
    MAPPED_END.store(end, Ordering::Relaxed);
}

/// Pointer to physical memory; using it is the caller's business.
#[inline]
pub(crate) fn pointer<T>(address: PhysAddr) -> *mut T {
    debug_assert!(address.get() < MAPPED_END.load(Ordering::Relaxed));
    (PHYS_BASE + address.get()) as *mut T
}

/// Physical address of a pointer into the physical map.
pub(crate) fn address_of<T>(pointer: *const T) -> PhysAddr {
    PhysAddr::new((pointer as u64).wrapping_sub(PHYS_BASE))
}

/// Bytes of memory that holds something for good: firmware tables, symbol sections. None if it is not mapped RAM.
pub(crate) fn bytes(start: PhysAddr, len: usize) -> Option<&'static [u8]> {
    let end = start.get().checked_add(len as u64)?;
    if end > MAPPED_END.load(Ordering::Relaxed) || !super::early::is_kept_ram(start.get(), end) {
        return None;
    }
    // SAFETY: (1) the range is RAM that is never handed out (`is_kept_ram`), mapped, and written by nobody.
    Some(unsafe { core::slice::from_raw_parts(pointer::<u8>(start), len) })
}
