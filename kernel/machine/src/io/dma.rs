//! Memory that a device reads and writes: contiguous, owned, at a known physical address.
//!
//! Accesses are volatile copies, since the device may write at any time. Whoever gives the address to a device keeps the
//! buffer until the device has let go of it.

use super::mmio::RegisterValue;
use crate::addr::{PAGE_SIZE, PhysAddr};
use crate::mm::frame::MAX_ORDER;
use crate::mm::{FrameBlock, FrameKind, phys};
use core::fmt;

/// Why there is no buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DmaError {
    /// Larger than the largest contiguous block, in bytes.
    TooLarge(usize),
    /// No block of that size is free.
    OutOfMemory,
}

impl fmt::Display for DmaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DmaError::TooLarge(len) => write!(f, "DMA buffer of {len} bytes is too large"),
            DmaError::OutOfMemory => write!(f, "out of memory for a DMA buffer"),
        }
    }
}

/// A page-aligned, physically contiguous buffer.
#[derive(Debug)]
pub struct DmaBuffer {
    block: FrameBlock,
    len: usize,
}

impl DmaBuffer {
    /// A buffer of `len` bytes, all zero.
    pub fn new(len: usize) -> Result<Self, DmaError> {
        let buffer = Self::with_old_contents(len)?;
        // SAFETY: (1) the block just allocated, mapped, ours alone.
        unsafe { buffer.pointer().write_bytes(0, buffer.block.len_bytes()) };
        Ok(buffer)
    }

    /// A buffer of `len` bytes with whatever was in that memory: for what is written before the device looks at it.
    pub fn with_old_contents(len: usize) -> Result<Self, DmaError> {
        let order = len.max(1).div_ceil(PAGE_SIZE).next_power_of_two().trailing_zeros() as u8;
        if order > MAX_ORDER {
            return Err(DmaError::TooLarge(len));
        }
        let block = FrameBlock::allocate(order, FrameKind::Dma).map_err(|_| DmaError::OutOfMemory)?;
        Ok(DmaBuffer { block, len })
    }

    /// Where the device finds it.
    pub fn address(&self) -> PhysAddr {
        self.block.address()
    }

    /// Bytes in it.
    pub fn len_bytes(&self) -> usize {
        self.len
    }

    /// Loads the value at `offset`. Panics outside the buffer or if unaligned.
    #[inline]
    pub fn load<T: RegisterValue>(&self, offset: usize) -> T {
        // SAFETY: (1) `at` checked bounds and alignment; any bits are a T.
        unsafe { self.at::<T>(offset).read_volatile() }
    }

    /// Stores a value at `offset`. Panics outside the buffer or if unaligned.
    #[inline]
    pub fn store<T: RegisterValue>(&self, offset: usize, value: T) {
        // SAFETY: (1) as in `load`; device and other CPUs are told apart by the protocol above.
        unsafe { self.at::<T>(offset).write_volatile(value) }
    }

    /// Copies bytes out. Panics outside the buffer.
    pub fn read(&self, offset: usize, out: &mut [u8]) {
        self.check(offset, out.len());
        // SAFETY: (1) checked; the device may write meanwhile, which tears bytes and nothing else.
        unsafe { core::ptr::copy_nonoverlapping(self.pointer().add(offset), out.as_mut_ptr(), out.len()) };
    }

    /// Copies bytes in. Panics outside the buffer.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        self.check(offset, bytes.len());
        // SAFETY: (1) as in `read`.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.pointer().add(offset), bytes.len()) };
    }

    fn pointer(&self) -> *mut u8 {
        phys::pointer(self.block.address())
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        self.check(offset, size_of::<T>());
        assert!(offset.is_multiple_of(size_of::<T>()), "unaligned DMA access at {offset:#x}");
        // SAFETY: (1) inside the buffer, as just checked.
        unsafe { self.pointer().add(offset).cast() }
    }

    fn check(&self, offset: usize, len: usize) {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "DMA access outside the buffer");
    }
}

/// Orders stores to DMA memory before a following store (write) or after a preceding load (read) on this CPU's side of
/// the bus. x86 keeps both orders itself (SDM volume 3, 8.2.2); this keeps the compiler to it.
pub fn barrier() {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}
