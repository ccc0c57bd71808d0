//! Page tables as such: entries and walks (SDM volume 3, 4.5).
//!
//! A table is 512 atomics, since CPUs read it, and set its accessed and dirty bits, at any time. Upper levels carry fixed
//! permissive flags, so that the leaf alone decides. Whoever edits holds the lock of the space.

use super::phys;
use crate::addr::PhysAddr;
use core::sync::atomic::AtomicU64;

/// One level.
pub(super) type Table = [AtomicU64; 512];

pub(super) const PRESENT: u64 = 1;
pub(super) const WRITABLE: u64 = 1 << 1;
pub(super) const USER: u64 = 1 << 2;
pub(super) const WRITE_THROUGH: u64 = 1 << 3;
pub(super) const CACHE_DISABLE: u64 = 1 << 4;
pub(super) const ACCESSED: u64 = 1 << 5;
pub(super) const DIRTY: u64 = 1 << 6;
pub(super) const HUGE: u64 = 1 << 7;
/// Selects PAT entries 4-7 in a 4 KiB leaf.
pub(super) const PAT_SMALL: u64 = 1 << 7;
pub(super) const GLOBAL: u64 = 1 << 8;
/// In an entry that is not present, a bit that the CPU ignores: it keeps its frame all the same.
pub(super) const KEPT: u64 = 1 << 9;
pub(super) const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Level of the root.
pub(super) const TOP: u32 = 4;

/// The frame an entry points to.
pub(super) fn address(entry: u64) -> PhysAddr {
    PhysAddr::new(entry & ADDRESS)
}

/// Index of `address` in a table of `level` (1 is the lowest).
pub(super) fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1))) as usize & 511
}

/// Bytes that one entry of `level` spans.
pub(super) fn span(level: u32) -> u64 {
    1 << (12 + 9 * (level - 1))
}

/// First address behind the span of the entry of `level` that `address` lies in.
pub(super) fn end_of_span(address: u64, level: u32) -> u64 {
    (address | (span(level) - 1)).saturating_add(1)
}

/// The lowest-level entry of the page at `address` that is a part of the large page of `entry`.
pub(super) fn small(entry: u64, address: u64) -> u64 {
    (entry & !HUGE) + (address & (span(2) - span(1)))
}

/// The table in the frame at `address`.
///
/// # Safety
/// 1. The frame is a page table and stays one while the reference is used.
pub(super) unsafe fn at(address: PhysAddr) -> &'static Table {
    // SAFETY: (1) the caller's; a frame is 512 aligned words, mapped, and any bits are an AtomicU64.
    unsafe { &*phys::pointer::<Table>(address) }
}

/// The entry for `address` in the table of `level` at `table`.
///
/// # Safety
/// 1. As for [`at`].
pub(super) unsafe fn slot(table: PhysAddr, address: u64, level: u32) -> &'static AtomicU64 {
    // SAFETY: (1) the caller's.
    let table = unsafe { at(table) };
    &table[index(address, level)]
}
