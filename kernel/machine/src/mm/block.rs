//! Contiguous frames: blocks that one owner has whole, and those that a 2 MiB page maps.
//!
//! A [`FrameBlock`] is owned as one: its frames have no references. A [`HugeFrame`] is 512 frames with a reference each, so
//! that the page may be cut into small ones at any time, and whoever holds one of its frames need not know of the others.

use super::frame::{BUDDY, Frame, FrameKind, OutOfMemory, descriptors, give_back, recount, recount_all};
use super::phys;
use crate::addr::{HUGE_PAGE_SIZE, PAGE_SIZE, PhysAddr};
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

/// Order of the block that a 2 MiB page maps.
const HUGE_ORDER: u8 = 9;
/// Frames of a 2 MiB page.
pub(super) const HUGE_FRAMES: usize = HUGE_PAGE_SIZE / PAGE_SIZE;
const _: () = assert!(HUGE_FRAMES == 1 << HUGE_ORDER);

/// 2 MiB pages that are mapped.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// Number of 2 MiB pages that programs have, for /proc/meminfo.
pub fn huge_pages() -> usize {
    MAPPED.load(Ordering::Relaxed)
}

/// Exclusive owner of 2^order contiguous frames.
#[derive(Debug)]
pub struct FrameBlock {
    number: u32,
    order: u8,
}

impl FrameBlock {
    /// A block with undefined contents.
    pub fn allocate(order: u8, kind: FrameKind) -> Result<FrameBlock, OutOfMemory> {
        let all = descriptors();
        let number = BUDDY.lock().allocate(all, order).ok_or(OutOfMemory)?;
        let own = &all[number as usize..][..1 << order];
        recount_all(own, FrameKind::Free, kind);
        own.iter().for_each(|descriptor| descriptor.owner.store(0, Ordering::Relaxed));
        Ok(FrameBlock { number, order })
    }

    /// Where it begins.
    pub fn address(&self) -> PhysAddr {
        PhysAddr::from_frame_number(self.number as usize)
    }

    /// Bytes in it.
    pub fn len_bytes(&self) -> usize {
        PAGE_SIZE << self.order
    }

    /// Gives the block up for good; where it is.
    pub(crate) fn leak(self) -> PhysAddr {
        self.into_raw()
    }

    pub(super) fn into_raw(self) -> PhysAddr {
        ManuallyDrop::new(self).address()
    }

    /// # Safety
    /// 1. `address` and `order` are those of a block given to `into_raw`, and this is the only call for it.
    pub(super) unsafe fn from_raw(address: PhysAddr, order: u8) -> FrameBlock {
        FrameBlock { number: address.frame_number() as u32, order }
    }
}

impl Drop for FrameBlock {
    fn drop(&mut self) {
        let all = descriptors();
        for descriptor in &all[self.number as usize..][..1 << self.order] {
            recount(descriptor, FrameKind::Free);
        }
        BUDDY.lock().free(all, self.number, self.order);
    }
}

/// The frames of one 2 MiB page of anonymous memory: one reference to each.
#[derive(Debug)]
pub struct HugeFrame {
    number: u32,
}

impl HugeFrame {
    /// 2 MiB of zeros. Fails when no such block is free, or when programs may not have as much any more.
    pub fn zeroed() -> Result<HugeFrame, OutOfMemory> {
        FrameKind::Anonymous.check_room(HUGE_FRAMES)?;
        let block = ManuallyDrop::new(FrameBlock::allocate(HUGE_ORDER, FrameKind::Anonymous)?);
        let huge = HugeFrame { number: block.number };
        for (at, descriptor) in descriptors()[block.number as usize..][..HUGE_FRAMES].iter().enumerate() {
            let frame = PhysAddr::from_frame_number(block.number as usize + at);
            // SAFETY: (1) a frame of the block just allocated, which nobody else knows.
            unsafe { phys::pointer::<u8>(frame).write_bytes(0, PAGE_SIZE) };
            descriptor.references.store(1, Ordering::Release);
        }
        Ok(huge)
    }

    /// Where it begins.
    pub fn address(&self) -> PhysAddr {
        PhysAddr::from_frame_number(self.number as usize)
    }

    /// Another reference to its frame of that number.
    pub fn frame(&self, number: usize) -> Frame {
        assert!(number < HUGE_FRAMES);
        // SAFETY: (1) the reference that `self` has to each of its frames.
        unsafe { Frame::borrow_raw(PhysAddr::from_frame_number(self.number as usize + number)) }
    }

    /// Gives the references to a page-table entry.
    pub(super) fn into_raw(self) -> PhysAddr {
        MAPPED.fetch_add(1, Ordering::Relaxed);
        ManuallyDrop::new(self).address()
    }

    /// # Safety
    /// 1. `address` came from `into_raw`, and its references are given back by this call, once.
    pub(super) unsafe fn from_raw(address: PhysAddr) -> HugeFrame {
        MAPPED.fetch_sub(1, Ordering::Relaxed);
        HugeFrame { number: address.frame_number() as u32 }
    }

    /// Leaves the references to 512 entries for small pages: each is a [`Frame`]'s from now on.
    pub(super) fn into_frames(self) -> PhysAddr {
        ManuallyDrop::new(self).address()
    }
}

impl Drop for HugeFrame {
    fn drop(&mut self) {
        let all = descriptors();
        let own = &all[self.number as usize..][..HUGE_FRAMES];
        // Others may hold some of the frames still: those go when they let go.
        let mut free = [0u64; HUGE_FRAMES / 64];
        for (at, descriptor) in own.iter().enumerate() {
            let last = descriptor.references.fetch_sub(1, Ordering::Release) == 1;
            free[at / 64] |= u64::from(last) << (at % 64);
        }
        fence(Ordering::Acquire);
        if free.iter().all(|&word| word == u64::MAX) {
            recount_all(own, FrameKind::Anonymous, FrameKind::Free);
            return BUDDY.lock().free(all, self.number, HUGE_ORDER);
        }
        for (at, descriptor) in own.iter().enumerate().filter(|(at, _)| free[at / 64] >> (at % 64) & 1 != 0) {
            recount(descriptor, FrameKind::Free);
            give_back(self.number + at as u32);
        }
    }
}
