//! The kernel heap: slabs of equal objects over frames, whole frame blocks for what is larger.
//!
//! A slab is a frame block cut into objects of one size class; free objects are linked through their own first word.
//! The slab's class, count and list head are in the `owner` word of its first frame's descriptor, the list of slabs with
//! room in that descriptor's links. One lock a class (rank `Heap`); frames are taken and given outside of it.
//! In debug builds freed memory is filled with a pattern, and allocation inside an interrupt handler panics.

use super::block::FrameBlock;
use super::frame::{self, Descriptor, FrameKind, MAX_ORDER};
use super::phys;
use crate::addr::{PAGE_SIZE, PhysAddr};
use crate::sync::{IrqLock, Rank, guard};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

const CLASSES: [u32; 14] = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1344, 2048];
const LARGEST: usize = 2048;
const NO_SLAB: u32 = u32::MAX;
/// End of a slab's list of free objects.
const NO_OBJECT: u16 = 0xffff;
const POISON: u8 = 0xa5;

#[global_allocator]
static HEAP: Heap = Heap;

struct Heap;

/// The slabs of a class that have room: head of a list through the descriptors.
struct Class {
    partial: u32,
}

static LISTS: [IrqLock<Class>; CLASSES.len()] =
    [const { IrqLock::new("heap class", Rank::Heap, Class { partial: NO_SLAB }) }; CLASSES.len()];
static OBJECT_BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// How much of the heap is in use.
#[derive(Clone, Copy, Debug)]
pub struct HeapStatistics {
    /// Bytes of live small objects, as their classes round them.
    pub object_bytes: usize,
    /// Bytes of live large allocations, as frame blocks round them.
    pub large_bytes: usize,
}

/// Current figures.
pub fn statistics() -> HeapStatistics {
    HeapStatistics {
        object_bytes: OBJECT_BYTES.load(Ordering::Relaxed),
        large_bytes: LARGE_BYTES.load(Ordering::Relaxed),
    }
}

// SAFETY: (1) each allocation is a distinct object of a slab or a distinct frame block, at least as large and aligned as
// the layout asks; it stays until dealloc. Nothing here unwinds.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        debug_assert!(!guard::in_interrupt() || crate::panic::panicking(), "heap allocation in an interrupt handler");
        match class_of(layout) {
            Some(class) => allocate_object(class),
            None => allocate_large(layout),
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match class_of(layout) {
            // SAFETY: (1) the caller gives back what `alloc` gave for the same layout.
            Some(class) => unsafe { free_object(class, pointer) },
            None => {
                let order = order_of(layout);
                LARGE_BYTES.fetch_sub(PAGE_SIZE << order, Ordering::Relaxed);
                // SAFETY: (1) as above: the block that `allocate_large` made with the same order.
                drop(unsafe { FrameBlock::from_raw(phys::address_of(pointer), order) });
            }
        }
    }
}

/// The smallest class whose objects are large and aligned enough.
fn class_of(layout: Layout) -> Option<usize> {
    if layout.size() > LARGEST || layout.align() > LARGEST {
        return None;
    }
    // Objects are aligned to the largest power of two that divides their size.
    CLASSES.iter().position(|&size| {
        size as usize >= layout.size()
            && 1 << size.trailing_zeros() >= layout.align()
            && size as usize >= layout.align()
    })
}

fn order_of(layout: Layout) -> u8 {
    let pages = layout.size().max(layout.align()).div_ceil(PAGE_SIZE);
    pages.next_power_of_two().trailing_zeros() as u8
}

/// Order of a class's slabs: at least eight objects each.
fn slab_order(class: usize) -> u8 {
    if CLASSES[class] > 512 { 2 } else { 0 }
}

fn allocate_large(layout: Layout) -> *mut u8 {
    let order = order_of(layout);
    if order > MAX_ORDER {
        return null_mut();
    }
    match FrameBlock::allocate(order, FrameKind::Heap) {
        Ok(block) => {
            LARGE_BYTES.fetch_add(PAGE_SIZE << order, Ordering::Relaxed);
            phys::pointer(block.into_raw())
        }
        Err(_) => null_mut(),
    }
}

/// A slab's bookkeeping, packed into the descriptor's `owner` word.
#[derive(Clone, Copy)]
struct Slab {
    used: u16,
    /// Offset of the first free object in units of 16 bytes, or [`NO_OBJECT`].
    free: u16,
}

impl Slab {
    fn load(descriptor: &Descriptor) -> Slab {
        let word = descriptor.owner.load(Ordering::Relaxed);
        Slab { used: word as u16, free: (word >> 16) as u16 }
    }

    fn store(self, descriptor: &Descriptor) {
        descriptor.owner.store(u64::from(self.used) | u64::from(self.free) << 16, Ordering::Relaxed);
    }
}

fn allocate_object(class: usize) -> *mut u8 {
    let size = CLASSES[class] as usize;
    let mut list = LISTS[class].lock();
    if list.partial == NO_SLAB {
        drop(list);
        let Ok(block) = FrameBlock::allocate(slab_order(class), FrameKind::Heap) else { return null_mut() };
        let address = block.into_raw();
        cut(address, class);
        list = LISTS[class].lock();
        link(&mut list, address);
    }
    let address = PhysAddr::from_frame_number(list.partial as usize);
    let descriptor = frame::descriptor_of(address);
    let mut slab = Slab::load(descriptor);
    let object = phys::pointer::<u8>(address.offset(u64::from(slab.free) * 16));
    // SAFETY: (1) a free object of this slab; its first word is the link that `cut` or `free_object` wrote.
    slab.free = unsafe { object.cast::<u16>().read() };
    slab.used += 1;
    slab.store(descriptor);
    if slab.free == NO_OBJECT {
        unlink(&mut list, address);
    }
    OBJECT_BYTES.fetch_add(size, Ordering::Relaxed);
    object
}

/// # Safety
/// 1. `object` came from `allocate_object(class)` and is given back once.
unsafe fn free_object(class: usize, object: *mut u8) {
    let size = CLASSES[class] as usize;
    let slab_len = (PAGE_SIZE << slab_order(class)) as u64;
    let position = phys::address_of(object).get();
    let address = PhysAddr::new(position & !(slab_len - 1));
    let descriptor = frame::descriptor_of(address);
    if cfg!(debug_assertions) {
        // SAFETY: (1) the object is ours again.
        unsafe { object.write_bytes(POISON, size) };
    }
    OBJECT_BYTES.fetch_sub(size, Ordering::Relaxed);
    let mut list = LISTS[class].lock();
    let mut slab = Slab::load(descriptor);
    assert!(slab.used != 0, "object {object:p} freed twice");
    let was_full = slab.free == NO_OBJECT;
    // SAFETY: (1) the object is ours again, at least 16 bytes, 16-aligned.
    unsafe { object.cast::<u16>().write(slab.free) };
    slab.free = ((position - address.get()) / 16) as u16;
    slab.used -= 1;
    slab.store(descriptor);
    if was_full {
        link(&mut list, address);
    }
    // An empty slab goes back, unless it is the only one with room.
    let alone = list.partial as usize == address.frame_number() && descriptor.next.load(Ordering::Relaxed) == NO_SLAB;
    if slab.used == 0 && !alone {
        unlink(&mut list, address);
        drop(list);
        // SAFETY: (1) made by `allocate_object` with this order, unlinked, and no object of it lives.
        drop(unsafe { FrameBlock::from_raw(address, slab_order(class)) });
    }
}

/// Links all objects of a new slab.
fn cut(address: PhysAddr, class: usize) {
    let size = CLASSES[class] as usize;
    let count = (PAGE_SIZE << slab_order(class)) / size;
    for index in 0..count {
        let next = if index + 1 < count { ((index + 1) * size / 16) as u16 } else { NO_OBJECT };
        // SAFETY: (1) within the new block, which nobody else knows.
        unsafe { phys::pointer::<u8>(address).add(index * size).cast::<u16>().write(next) };
    }
    Slab { used: 0, free: 0 }.store(frame::descriptor_of(address));
}

fn link(list: &mut Class, address: PhysAddr) {
    let descriptor = frame::descriptor_of(address);
    let number = address.frame_number() as u32;
    descriptor.next.store(list.partial, Ordering::Relaxed);
    descriptor.previous.store(NO_SLAB, Ordering::Relaxed);
    if list.partial != NO_SLAB {
        descriptor_of_number(list.partial).previous.store(number, Ordering::Relaxed);
    }
    list.partial = number;
}

fn unlink(list: &mut Class, address: PhysAddr) {
    let descriptor = frame::descriptor_of(address);
    let (previous, next) = (descriptor.previous.load(Ordering::Relaxed), descriptor.next.load(Ordering::Relaxed));
    match previous {
        NO_SLAB => list.partial = next,
        previous => descriptor_of_number(previous).next.store(next, Ordering::Relaxed),
    }
    if next != NO_SLAB {
        descriptor_of_number(next).previous.store(previous, Ordering::Relaxed);
    }
}

fn descriptor_of_number(number: u32) -> &'static Descriptor {
    frame::descriptor_of(PhysAddr::from_frame_number(number as usize))
}
