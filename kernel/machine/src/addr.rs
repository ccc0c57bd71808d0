//! Addresses: physical and virtual, and the fixed layout of the address space.
//!
//! A [`PhysAddr`] does not turn into a pointer: only `mm::phys` maps it, and only for memory it knows to be mapped.
//! User addresses stay plain `u64`s until `user::copy` or `mm::space` has checked them against [`USER_END`].

use core::fmt;

/// Bytes in a page frame.
pub const PAGE_SIZE: usize = 4096;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes that a large page maps: one entry of a page directory.
pub const HUGE_PAGE_SIZE: usize = 2 << 20;
/// First address that no user mapping may reach: the end of the lower canonical half, less one page, so that a
/// system call in the last page cannot return to a non-canonical address (SDM volume 2, SYSRET).
pub const USER_END: u64 = 0x7fff_ffff_f000;
/// All physical memory is mapped from here.
pub const PHYS_BASE: u64 = 0xffff_8000_0000_0000;
/// Kernel stacks, one slot each.
pub const STACKS_BASE: u64 = 0xffff_c000_0000_0000;
/// Device memory.
pub const MMIO_BASE: u64 = 0xffff_d000_0000_0000;
/// The kernel image is linked this much above its physical address.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// A physical address, at most 52 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PhysAddr(u64);

impl PhysAddr {
    /// Bits that an address may have (SDM volume 3, 4.1.4: MAXPHYADDR is at most 52).
    const MASK: u64 = (1 << 52) - 1;

    /// The address `value`, cut to 52 bits.
    pub const fn new(value: u64) -> Self {
        PhysAddr(value & Self::MASK)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This address plus `bytes`, cut to 52 bits.
    pub const fn offset(self, bytes: u64) -> Self {
        PhysAddr::new(self.0.wrapping_add(bytes))
    }

    /// Number of the frame the address lies in.
    pub const fn frame_number(self) -> usize {
        (self.0 >> PAGE_SHIFT) as usize
    }

    /// First address of frame `number`.
    pub const fn from_frame_number(number: usize) -> Self {
        PhysAddr::new((number as u64) << PAGE_SHIFT)
    }

    /// Offset within its page, in bytes.
    pub const fn page_offset(self) -> usize {
        (self.0 as usize) & (PAGE_SIZE - 1)
    }
}

impl fmt::Debug for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phys {:#x}", self.0)
    }
}

impl fmt::LowerHex for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// Whether `address` is canonical with 48 implemented bits (SDM volume 1, 3.3.7.1).
pub const fn is_canonical(address: u64) -> bool {
    let top = address as i64 >> 47;
    top == 0 || top == -1
}

/// Whether `address` is in the kernel's half.
pub const fn is_kernel(address: u64) -> bool {
    address >> 63 == 1
}

/// `value` rounded down to a page boundary.
pub const fn page_down(value: u64) -> u64 {
    value & !(PAGE_SIZE as u64 - 1)
}

/// `value` rounded up to a page boundary; None if that is past the end of the address space.
pub const fn page_up(value: u64) -> Option<u64> {
    match value.checked_add(PAGE_SIZE as u64 - 1) {
        Some(sum) => Some(page_down(sum)),
        None => None,
    }
}
