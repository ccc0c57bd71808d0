//! Page frames: one descriptor each, and owned handles.
//!
//! A [`Frame`] is a counted reference to one frame; the frame goes back when the last one drops. It gives access to the
//! contents by copying only, since a frame may be mapped into a process that writes to it at any time. `block` has
//! contiguous ones.
//!
//! Invariants: a descriptor's `references` is 0 exactly while the frame is free, reserved, or inside a block; free frames
//! are linked in the buddy lists and in nothing else. The buddy lists are under one lock (rank `Frames`); each CPU keeps
//! a few single frames to itself so that most allocations do not take it.

use super::buddy::Buddy;
use super::{early, phys};
use crate::addr::{PAGE_SIZE, PhysAddr};
use crate::percpu;
use crate::sync::guard::Pinned;
use crate::sync::{IrqGuard, IrqLock, Once, Rank};
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Largest block: 2^MAX_ORDER frames, 4 MiB.
pub const MAX_ORDER: u8 = 10;
/// Frames a CPU keeps to itself at most.
const CACHE_LEN: usize = 32;
const NO_FRAME: u32 = u32::MAX;

/// There is no free frame (or no free block of that size).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfMemory;

/// What a frame is used for; counted for `mem`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FrameKind {
    Free,
    Reserved,
    PageTable,
    Heap,
    KernelStack,
    Anonymous,
    PageCache,
    Pipe,
    Dma,
    PerCpu,
}

impl FrameKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [FrameKind; 10] = [
        FrameKind::Free,
        FrameKind::Reserved,
        FrameKind::PageTable,
        FrameKind::Heap,
        FrameKind::KernelStack,
        FrameKind::Anonymous,
        FrameKind::PageCache,
        FrameKind::Pipe,
        FrameKind::Dma,
        FrameKind::PerCpu,
    ];

    /// Whether programs bring it about that such frames are taken, as many as they like. They leave some for the kernel's
    /// heap, which has to go on when they have taken the rest.
    fn leaves_reserve(self) -> bool {
        matches!(
            self,
            FrameKind::PageTable
                | FrameKind::KernelStack
                | FrameKind::Anonymous
                | FrameKind::PageCache
                | FrameKind::Pipe
        )
    }

    /// Whether `frames` more may be taken.
    #[inline]
    pub(super) fn check_room(self, frames: usize) -> Result<(), OutOfMemory> {
        let left = RESERVE.load(Ordering::Relaxed) + frames;
        if self.leaves_reserve() && count(FrameKind::Free) < left { Err(OutOfMemory) } else { Ok(()) }
    }
}

/// What the kernel knows of one frame.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(super) references: AtomicU32,
    kind: AtomicU8,
    /// Order of the free block that begins here; `buddy::NOT_A_HEAD` elsewhere.
    pub(super) order: AtomicU8,
    pub(super) next: AtomicU32,
    pub(super) previous: AtomicU32,
    /// For whoever owns the frame: slab bookkeeping of the heap, entry count of a page table.
    pub(super) owner: AtomicU64,
}
const _: () = assert!(size_of::<Descriptor>() == 24);

static DESCRIPTORS: Once<&'static [Descriptor]> = Once::new();
pub(super) static BUDDY: IrqLock<Buddy> = IrqLock::new("frames", Rank::Frames, Buddy::new());
static COUNTS: [AtomicUsize; FrameKind::ALL.len()] = [const { AtomicUsize::new(0) }; FrameKind::ALL.len()];

/// The page of zeros that all who only read from untouched memory share. Never written to, never freed.
static ZERO_PAGE: Once<Frame> = Once::new();
/// References to it at most: far from where the count would overflow.
const MOST_ZERO_PAGES: u32 = 1 << 30;

/// Free frames that are for the heap and for devices: a part of the memory, and what CPUs may keep to themselves.
static RESERVE: AtomicUsize = AtomicUsize::new(0);
/// Of all frames, one in so many is reserved, but at least [`RESERVE_LEAST`].
const RESERVE_PART: usize = 256;
const RESERVE_LEAST: usize = 128;

/// A CPU's own few frames: numbers in `slots[..len]`. Touched by the owning CPU with interrupts off only.
struct Cache {
    len: AtomicUsize,
    slots: [AtomicU32; CACHE_LEN],
}

percpu! {
    static CACHE: Cache = Cache { len: AtomicUsize::new(0), slots: [const { AtomicU32::new(NO_FRAME) }; CACHE_LEN] };
}

/// Builds the descriptors and takes over all free memory.
pub(crate) fn init() -> Result<(), OutOfMemory> {
    let (_, end) = early::totals();
    let count = PhysAddr::new(end + PAGE_SIZE as u64 - 1).frame_number();
    let pages = (count * size_of::<Descriptor>()).div_ceil(PAGE_SIZE);
    let memory = early::allocate(pages, end).ok_or(OutOfMemory)?;
    let first = phys::pointer::<Descriptor>(memory);
    for index in 0..count {
        let descriptor = Descriptor {
            references: AtomicU32::new(0),
            kind: AtomicU8::new(FrameKind::Reserved as u8),
            order: AtomicU8::new(super::buddy::NOT_A_HEAD),
            next: AtomicU32::new(NO_FRAME),
            previous: AtomicU32::new(NO_FRAME),
            owner: AtomicU64::new(0),
        };
        // SAFETY: (1) `allocate` gave memory for `count` descriptors, page-aligned, ours alone.
        unsafe { first.add(index).write(descriptor) };
    }
    // SAFETY: (1) just initialised, never freed, shared from here on through atomics only.
    let descriptors = DESCRIPTORS.call_once(|| unsafe { core::slice::from_raw_parts(first, count) });
    let mut free = 0;
    early::take_rest(|start, end| {
        let (start, end) = (PhysAddr::new(start).frame_number(), PhysAddr::new(end).frame_number());
        for descriptor in &descriptors[start..end] {
            descriptor.kind.store(FrameKind::Free as u8, Ordering::Relaxed);
        }
        free += end - start;
        BUDDY.lock().add_range(descriptors, start, end);
    });
    COUNTS[FrameKind::Free as usize].store(free, Ordering::Relaxed);
    COUNTS[FrameKind::Reserved as usize].store(count - free, Ordering::Relaxed);
    let zeros = Frame::zeroed(FrameKind::Reserved)?;
    ZERO_PAGE.call_once(|| zeros);
    RESERVE.store((free / RESERVE_PART).max(RESERVE_LEAST), Ordering::Relaxed);
    Ok(())
}

/// Notes that one more CPU keeps frames to itself, which nobody else gets.
pub(crate) fn add_cpu() {
    RESERVE.fetch_add(CACHE_LEN, Ordering::Relaxed);
}

/// Free frames that programs do not get.
pub fn reserve() -> usize {
    RESERVE.load(Ordering::Relaxed)
}

/// Whether the frame at `address` is the one page of zeros.
#[inline]
pub(super) fn is_zero_page(address: PhysAddr) -> bool {
    ZERO_PAGE.get().is_some_and(|zeros| zeros.address() == address)
}

/// Number of frames of `kind`.
pub fn count(kind: FrameKind) -> usize {
    COUNTS[kind as usize].load(Ordering::Relaxed)
}

/// Number of frames described, memory holes included (they count as reserved).
pub fn total() -> usize {
    descriptors().len()
}

/// A counted reference to one frame.
pub struct Frame {
    number: u32,
}

impl Frame {
    /// A frame with undefined contents.
    pub fn allocate(kind: FrameKind) -> Result<Frame, OutOfMemory> {
        kind.check_room(1)?;
        let number = take_cached().or_else(refill).ok_or(OutOfMemory)?;
        let descriptor = &descriptors()[number as usize];
        recount(descriptor, kind);
        descriptor.owner.store(0, Ordering::Relaxed);
        descriptor.references.store(1, Ordering::Release);
        Ok(Frame { number })
    }

    /// A frame full of zeros.
    pub fn zeroed(kind: FrameKind) -> Result<Frame, OutOfMemory> {
        let frame = Frame::allocate(kind)?;
        frame.fill_zero();
        Ok(frame)
    }

    /// A page of zeros that is not to be written to. All callers share one, until there are very many.
    pub fn zeros() -> Result<Frame, OutOfMemory> {
        match ZERO_PAGE.get() {
            Some(zeros) if zeros.references() < MOST_ZERO_PAGES => Ok(zeros.clone()),
            _ => Frame::zeroed(FrameKind::Anonymous),
        }
    }

    /// Where it is.
    pub fn address(&self) -> PhysAddr {
        PhysAddr::from_frame_number(self.number as usize)
    }

    /// Whether it is the page of zeros that all share.
    pub fn is_zeros(&self) -> bool {
        is_zero_page(self.address())
    }

    /// What it is used for.
    pub fn kind(&self) -> FrameKind {
        FrameKind::ALL[self.descriptor().kind.load(Ordering::Relaxed) as usize]
    }

    /// How many references there are; exact only if the caller can exclude others.
    pub fn references(&self) -> u32 {
        self.descriptor().references.load(Ordering::Acquire)
    }

    /// Copies bytes out, from `offset`. Panics past the end of the page.
    pub fn read(&self, offset: usize, out: &mut [u8]) {
        assert!(offset + out.len() <= PAGE_SIZE);
        // SAFETY: (1) within the frame, which the handle keeps allocated and which is always mapped. (2) Other CPUs or
        // user programs may write meanwhile: bytes only, through raw pointers, so the copy is torn at worst.
        unsafe {
            let from = phys::pointer::<u8>(self.address()).add(offset);
            core::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len());
        }
    }

    /// Copies bytes in, at `offset`. Panics past the end of the page.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= PAGE_SIZE);
        // SAFETY: (1) and (2) as in `read`; page tables and heap pages are never reachable through a `Frame` outside
        // this module's siblings.
        unsafe {
            let to = phys::pointer::<u8>(self.address()).add(offset);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// Fills the page with zeros.
    pub fn fill_zero(&self) {
        self.fill_zero_from(0);
    }

    /// Fills the page with zeros from `offset` to its end.
    pub fn fill_zero_from(&self, offset: usize) {
        self.fill_zero_in(offset..PAGE_SIZE);
    }

    /// Fills a part of the page with zeros.
    pub fn fill_zero_in(&self, part: Range<usize>) {
        assert!(part.end <= PAGE_SIZE);
        // SAFETY: (1) and (2) as in `write`.
        unsafe { phys::pointer::<u8>(self.address()).add(part.start).write_bytes(0, part.len()) };
    }

    /// Copies the whole page `from`.
    pub fn copy_from(&self, from: &Frame) {
        // SAFETY: (1) and (2) as in `write`; copy() allows both to be the same frame.
        unsafe {
            core::ptr::copy(
                phys::pointer::<u64>(from.address()),
                phys::pointer::<u64>(self.address()),
                PAGE_SIZE / size_of::<u64>(),
            );
        }
    }

    #[inline]
    fn descriptor(&self) -> &'static Descriptor {
        &descriptors()[self.number as usize]
    }

    /// Gives the reference to something that keeps the address instead: a page-table entry.
    pub(super) fn into_raw(self) -> PhysAddr {
        ManuallyDrop::new(self).address()
    }

    /// # Safety
    /// 1. `address` came from `into_raw`, and that reference is given back by this call, once.
    pub(super) unsafe fn from_raw(address: PhysAddr) -> Frame {
        Frame { number: address.frame_number() as u32 }
    }

    /// Another reference to the frame that an entry keeps.
    ///
    /// # Safety
    /// 1. `address` came from `into_raw`, and that reference stays where it is during the call.
    pub(super) unsafe fn borrow_raw(address: PhysAddr) -> Frame {
        let frame = ManuallyDrop::new(Frame { number: address.frame_number() as u32 });
        Frame::clone(&frame)
    }
}

impl Clone for Frame {
    #[inline]
    fn clone(&self) -> Self {
        let before = self.descriptor().references.fetch_add(1, Ordering::Relaxed);
        assert!(before != 0 && before < u32::MAX / 2, "frame {:#x}: reference count {before}", self.address());
        Frame { number: self.number }
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        let descriptor = self.descriptor();
        if descriptor.references.fetch_sub(1, Ordering::Release) == 1 {
            free(descriptor, self.number);
        }
    }
}

/// Frames with one reference each, chained through their descriptors: a list that needs no memory.
pub(super) struct FrameList {
    first: u32,
}

impl FrameList {
    /// An empty list.
    pub(super) fn new() -> Self {
        FrameList { first: NO_FRAME }
    }

    /// Puts `frame`, of which this has to be the only reference, in front.
    pub(super) fn push(&mut self, frame: Frame) {
        debug_assert!(frame.references() == 1);
        frame.descriptor().next.store(self.first, Ordering::Relaxed);
        self.first = ManuallyDrop::new(frame).number;
    }
}

impl Drop for FrameList {
    fn drop(&mut self) {
        while self.first != NO_FRAME {
            let frame = Frame { number: self.first };
            self.first = frame.descriptor().next.load(Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {:#x}", self.address())
    }
}

/// The descriptor of the frame that `address` lies in.
pub(super) fn descriptor_of(address: PhysAddr) -> &'static Descriptor {
    &descriptors()[address.frame_number()]
}

#[inline]
pub(super) fn descriptors() -> &'static [Descriptor] {
    match DESCRIPTORS.get() {
        Some(descriptors) => descriptors,
        None => panic!("frames used before they are described"),
    }
}

/// Enters many frames of one kind as frames of another, which all of them are.
pub(super) fn recount_all(all: &[Descriptor], from: FrameKind, to: FrameKind) {
    for descriptor in all {
        let old = descriptor.kind.swap(to as u8, Ordering::Relaxed);
        debug_assert!(old == from as u8);
    }
    COUNTS[from as usize].fetch_sub(all.len(), Ordering::Relaxed);
    COUNTS[to as usize].fetch_add(all.len(), Ordering::Relaxed);
}

pub(super) fn recount(descriptor: &Descriptor, kind: FrameKind) {
    let old = descriptor.kind.swap(kind as u8, Ordering::Relaxed);
    COUNTS[old as usize].fetch_sub(1, Ordering::Relaxed);
    COUNTS[kind as usize].fetch_add(1, Ordering::Relaxed);
}

/// The last reference is gone.
fn free(descriptor: &Descriptor, number: u32) {
    core::sync::atomic::fence(Ordering::Acquire);
    recount(descriptor, FrameKind::Free);
    give_back(number);
}

fn take_cached() -> Option<u32> {
    let guard = IrqGuard::new();
    let cache = CACHE.get(&guard);
    let len = cache.len.load(Ordering::Relaxed);
    (len > 0).then(|| {
        cache.len.store(len - 1, Ordering::Relaxed);
        cache.slots[len - 1].load(Ordering::Relaxed)
    })
}

/// Takes half a cache's worth from the buddy lists, in one block if there is one; one of them to return.
fn refill() -> Option<u32> {
    const ORDER: u8 = (CACHE_LEN / 2).trailing_zeros() as u8;
    let all = descriptors();
    let mut buddy = BUDDY.lock();
    let Some(first) = buddy.allocate(all, ORDER) else { return buddy.allocate(all, 0) };
    // From the end, so that frames are given out by rising number.
    for number in (first + 1..first + (1 << ORDER)).rev() {
        // The cache was empty a moment ago, but this may be another CPU by now.
        if !put_cached(buddy.pin(), number) {
            buddy.free(all, number, 0);
        }
    }
    Some(first)
}

/// Puts a free frame into this CPU's cache, with interrupts off; false if that is full.
fn put_cached(pin: &impl Pinned, number: u32) -> bool {
    let cache = CACHE.get(pin);
    let len = cache.len.load(Ordering::Relaxed);
    if len < CACHE_LEN {
        cache.slots[len].store(number, Ordering::Relaxed);
        cache.len.store(len + 1, Ordering::Relaxed);
    }
    len < CACHE_LEN
}

pub(super) fn give_back(number: u32) {
    let guard = IrqGuard::new();
    if put_cached(&guard, number) {
        return;
    }
    let cache = CACHE.get(&guard);
    let all = descriptors();
    let mut buddy = BUDDY.lock();
    buddy.free(all, number, 0);
    // Half of the cache goes with it, so that a run of frees takes the lock rarely.
    for slot in &cache.slots[CACHE_LEN / 2..] {
        buddy.free(all, slot.load(Ordering::Relaxed), 0);
    }
    cache.len.store(CACHE_LEN / 2, Ordering::Relaxed);
}
