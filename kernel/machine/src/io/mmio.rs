//! Memory-mapped device registers.
//!
//! A range is claimed once, with its owner's name, and must not be RAM; the mapping then stays for good, so registers
//! taken from it are plain values. Accesses are volatile, through raw pointers, checked for bounds and alignment when the
//! register is made.

use crate::addr::PhysAddr;
use crate::mm::early;
use crate::mm::space::{self, Caching};
use crate::sync::{Rank, SpinLock};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

static CLAIMED: SpinLock<Vec<Claim>> = SpinLock::new("device memory claims", Rank::Device, Vec::new());

struct Claim {
    start: u64,
    end: u64,
    owner: &'static str,
}

/// Why a range cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MmioError {
    /// Part of it is RAM, or it is empty or past the end of the address space.
    NotDeviceMemory,
    /// Somebody has claimed part of it.
    Claimed(&'static str),
    /// No memory for page tables.
    OutOfMemory,
}

impl fmt::Display for MmioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MmioError::NotDeviceMemory => write!(f, "not device memory"),
            MmioError::Claimed(owner) => write!(f, "already claimed by {owner}"),
            MmioError::OutOfMemory => write!(f, "out of memory for page tables"),
        }
    }
}

/// Values that one bus access moves.
pub trait RegisterValue: Copy + sealed::Sealed {}
mod sealed {
    pub trait Sealed {}
}
macro_rules! register_values {
    ($($type:ty),*) => { $( impl sealed::Sealed for $type {} impl RegisterValue for $type {} )* };
}
register_values!(u8, u16, u32, u64);

/// A claimed and mapped range of device memory.
#[derive(Debug)]
pub struct Mmio {
    base: u64,
    start: PhysAddr,
    len: usize,
}

impl Mmio {
    /// Claims `[start, start + len)` for `owner`, uncached.
    pub fn claim(start: PhysAddr, len: usize, owner: &'static str) -> Result<Mmio, MmioError> {
        Self::claim_with(start, len, owner, Caching::Uncached)
    }

    /// Claims with a caching of its own: write-combining for a framebuffer.
    pub fn claim_with(start: PhysAddr, len: usize, owner: &'static str, caching: Caching) -> Result<Mmio, MmioError> {
        let (from, to) = (start.get(), start.get().saturating_add(len as u64));
        if len == 0 || to > 1 << 52 || early::is_usable_ram(from, to) {
            return Err(MmioError::NotDeviceMemory);
        }
        let mut claimed = CLAIMED.lock();
        if let Some(other) = claimed.iter().find(|other| from < other.end && other.start < to) {
            return Err(MmioError::Claimed(other.owner));
        }
        claimed.try_reserve(1).map_err(|_| MmioError::OutOfMemory)?;
        let base = space::map_device(start, len, caching).map_err(|_| MmioError::OutOfMemory)?;
        claimed.push(Claim { start: from, end: to, owner });
        Ok(Mmio { base, start, len })
    }

    /// Where it is.
    pub fn address(&self) -> PhysAddr {
        self.start
    }

    /// Bytes in it.
    pub fn len_bytes(&self) -> usize {
        self.len
    }

    /// Reads the register at `offset`. Panics outside the range or if unaligned.
    #[inline]
    pub fn read<T: RegisterValue>(&self, offset: usize) -> T {
        self.register::<T>(offset).read()
    }

    /// Writes the register at `offset`. Panics outside the range or if unaligned.
    #[inline]
    pub fn write<T: RegisterValue>(&self, offset: usize, value: T) {
        self.register::<T>(offset).write(value);
    }

    /// The register at `offset`, if it is inside the range and aligned.
    pub fn try_register<T: RegisterValue>(&self, offset: usize) -> Option<Register<T>> {
        self.window().try_register(offset)
    }

    /// The whole range, for registers made of it.
    pub fn window(&self) -> Window {
        Window { base: self.base, len: self.len }
    }

    /// The register at `offset`. Panics outside the range or if unaligned.
    pub fn register<T: RegisterValue>(&self, offset: usize) -> Register<T> {
        match self.try_register(offset) {
            Some(register) => register,
            None => panic!("register at {offset:#x} outside {self:?}, or unaligned"),
        }
    }

    /// Copies `bytes` to `offset` in 8-byte stores where it can: for framebuffers. Panics outside the range.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.len));
        let mut at = (self.base + offset as u64) as *mut u8;
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some((word, tail)) = rest.split_first_chunk::<8>().filter(|_| (at as usize).is_multiple_of(8)) {
                // SAFETY: (1) inside the mapped range, aligned.
                unsafe { at.cast::<u64>().write_volatile(u64::from_ne_bytes(*word)) };
                // SAFETY: (2) at most one past the end.
                at = unsafe { at.add(8) };
                rest = tail;
            } else {
                // SAFETY: (1) inside the mapped range.
                unsafe { at.write_volatile(rest[0]) };
                // SAFETY: (2) at most one past the end.
                at = unsafe { at.add(1) };
                rest = &rest[1..];
            }
        }
    }
}

impl Drop for Mmio {
    fn drop(&mut self) {
        CLAIMED.lock().retain(|claim| claim.start != self.start.get());
    }
}

/// Part of a mapped range. A plain value: the mapping stays for good.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    base: u64,
    len: usize,
}

impl Window {
    /// Bytes in it.
    pub fn len_bytes(self) -> usize {
        self.len
    }

    /// The `len` bytes at `offset`, if they are inside.
    pub fn part(self, offset: usize, len: usize) -> Option<Window> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then_some(Window { base: self.base + offset as u64, len })
    }

    /// The register at `offset`, if it is inside and aligned.
    pub fn try_register<T: RegisterValue>(self, offset: usize) -> Option<Register<T>> {
        let register = self.part(offset, size_of::<T>())?;
        register
            .base
            .is_multiple_of(size_of::<T>() as u64)
            .then_some(Register { pointer: register.base as *mut T, _value: PhantomData })
    }
}

/// One register of a mapped device.
#[derive(Clone, Copy, Debug)]
pub struct Register<T> {
    pointer: *mut T,
    _value: PhantomData<T>,
}

// SAFETY: (1) the mapping stays for good; what concurrent accesses do is the device's business.
unsafe impl<T> Send for Register<T> {}
// SAFETY: (1) as above.
unsafe impl<T> Sync for Register<T> {}

impl<T: RegisterValue> Register<T> {
    /// Reads it.
    #[inline]
    pub fn read(self) -> T {
        // SAFETY: (1) checked for bounds and alignment when made; mapped for good; not RAM the compiler knows of.
        unsafe { self.pointer.read_volatile() }
    }

    /// Writes it.
    #[inline]
    pub fn write(self, value: T) {
        // SAFETY: (1) as in `read`.
        unsafe { self.pointer.write_volatile(value) }
    }
}

/// The claims, for `stat` and errors: start, end, owner.
pub fn claims() -> Vec<(u64, u64, &'static str)> {
    CLAIMED.lock().iter().map(|claim| (claim.start, claim.end, claim.owner)).collect()
}
