//! Port I/O. A port is a safe value only if nothing it does can break the kernel: the ports of interrupt controllers,
//! DMA and the like are the machine's own, and [`PortClaim`] gives out ranges of the rest, each once.

use crate::sync::{Rank, SpinLock};
use alloc::vec::Vec;
use core::arch::asm;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;

/// Values that `in` and `out` move.
pub trait PortValue: Copy + sealed::Sealed {
    #[doc(hidden)]
    /// # Safety
    /// 1. The port is the caller's to read.
    unsafe fn port_in(port: u16) -> Self;
    #[doc(hidden)]
    /// # Safety
    /// 1. The port is the caller's to write.
    unsafe fn port_out(port: u16, value: Self);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! port_value {
    ($type:ty, $register:tt, $in:literal, $out:literal) => {
        impl sealed::Sealed for $type {}
        impl PortValue for $type {
            #[inline]
            unsafe fn port_in(port: u16) -> Self {
                let value: $type;
                // SAFETY: (1) the caller owns the port.
                unsafe { asm!($in, out($register) value, in("dx") port, options(nostack, preserves_flags)) };
                value
            }
            #[inline]
            unsafe fn port_out(port: u16, value: Self) {
                // SAFETY: (1) the caller owns the port.
                unsafe { asm!($out, in("dx") port, in($register) value, options(nostack, preserves_flags)) };
            }
        }
    };
}
port_value!(u8, "al", "in al, dx", "out dx, al");
port_value!(u16, "ax", "in ax, dx", "out dx, ax");
port_value!(u32, "eax", "in eax, dx", "out dx, eax");

/// One I/O port, moving values of type `T`.
pub struct Port<T> {
    number: u16,
    _value: PhantomData<fn(T) -> T>,
}

impl<T: PortValue> Port<T> {
    /// # Safety
    /// 1. Reads and writes of the port do not break what the kernel relies on, whoever makes them.
    pub(crate) const unsafe fn new(number: u16) -> Self {
        Port { number, _value: PhantomData }
    }

    /// A register of a serial port.
    pub(crate) fn serial(number: u16) -> Self {
        // SAFETY: (1) a serial port moves bytes and raises its own interrupt, no more.
        unsafe { Port::new(number) }
    }

    /// Reads the port.
    #[inline]
    pub fn read(&self) -> T {
        // SAFETY: (1) `new`'s promise.
        unsafe { T::port_in(self.number) }
    }

    /// Writes the port.
    #[inline]
    pub fn write(&self, value: T) {
        // SAFETY: (1) `new`'s promise.
        unsafe { T::port_out(self.number, value) }
    }
}

/// Ports the machine keeps to itself: DMA controllers, interrupt controllers, serial ports, PCI configuration.
const RESERVED: [Range<u16>; 7] =
    [0x00..0x22, 0x81..0x90, 0xa0..0xa2, 0xc0..0xe0, 0x2f8..0x300, 0x3f8..0x400, 0xcf8..0xd00];

static CLAIMED: SpinLock<Vec<(Range<u16>, &'static str)>> = SpinLock::new("port claims", Rank::Device, Vec::new());

/// A range of ports with one owner.
pub struct PortClaim {
    range: Range<u16>,
}

/// Why a range of ports cannot be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortError {
    /// The machine itself uses part of it.
    Reserved(Range<u16>),
    /// Somebody has claimed part of it.
    Claimed(&'static str),
}

impl PortClaim {
    /// Claims `range` for `owner`.
    pub fn new(range: Range<u16>, owner: &'static str) -> Result<Self, PortError> {
        let overlaps = |other: &Range<u16>| range.start < other.end && other.start < range.end;
        if let Some(reserved) = RESERVED.iter().find(|reserved| overlaps(reserved)) {
            return Err(PortError::Reserved(reserved.clone()));
        }
        let mut claimed = CLAIMED.lock();
        if let Some((_, other)) = claimed.iter().find(|(other, _)| overlaps(other)) {
            return Err(PortError::Claimed(other));
        }
        claimed.push((range.clone(), owner));
        Ok(PortClaim { range })
    }

    /// The port at `offset` from the range's start. Panics outside the range.
    pub fn port<T: PortValue>(&self, offset: u16) -> Port<T> {
        let number = self.range.start + offset;
        assert!(
            usize::from(number) + size_of::<T>() <= usize::from(self.range.end),
            "port {number:#x} outside the claimed {:#x?}",
            self.range
        );
        // SAFETY: (1) the range is none of the machine's own, so its device can only disturb its own driver.
        unsafe { Port::new(number) }
    }
}

impl Drop for PortClaim {
    fn drop(&mut self) {
        CLAIMED.lock().retain(|(range, _)| *range != self.range);
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortError::Reserved(range) => write!(f, "ports {range:#x?} belong to the machine"),
            PortError::Claimed(owner) => write!(f, "already claimed by {owner}"),
        }
    }
}
