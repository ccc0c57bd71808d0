//! 2 MiB pages of anonymous memory: one entry of a page directory instead of a table.
//!
//! Each has a table put by, which it is cut into when a part of it is to be treated by itself, so that this needs no
//! memory and cannot fail: the directory's entry keeps the frames, the first frame's descriptor the table (`owner`). While an
//! entry changes its size it is not there, and every CPU has forgotten it: none ever has two translations for an address
//! (SDM volume 3, 4.10.2.3). Who accesses it meanwhile faults, and finds it there again.

use super::block::{HUGE_FRAMES, HugeFrame};
use super::frame::{Frame, FrameKind, FrameList, OutOfMemory, descriptor_of};
use super::table::{self, HUGE, PRESENT, Table};
use super::user_space::{Lowest, MapError, Protection, UserSpace, count_entries, leaf, occupied, resident};
use crate::addr::{HUGE_PAGE_SIZE, PAGE_SIZE, PhysAddr, USER_END};
use core::sync::atomic::Ordering;

const LEN: u64 = HUGE_PAGE_SIZE as u64;

/// Why small pages do not become a large one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CollapseError {
    /// No block of frames is free.
    OutOfMemory,
    /// Somebody else uses one of the pages.
    Busy,
}

impl From<OutOfMemory> for CollapseError {
    fn from(_: OutOfMemory) -> Self {
        CollapseError::OutOfMemory
    }
}

impl UserSpace {
    /// Whether nothing is mapped in the 2 MiB around `address`, so that a large page may be.
    pub fn is_empty_around(&self, address: u64) -> bool {
        let _entries = self.entries.lock();
        matches!(self.lowest(address), Lowest::Missing(_))
    }

    /// Maps a 2 MiB page at `start`, where nothing is mapped.
    pub fn map_huge(&self, start: u64, frames: HugeFrame, protection: Protection) -> Result<(), MapError> {
        if start > USER_END - LEN || !start.is_multiple_of(LEN) || !protection.read {
            return Err(MapError::BadAddress);
        }
        let spare = Frame::allocate(FrameKind::PageTable)?;
        let _entries = self.entries.lock();
        if !matches!(self.lowest(start), Lowest::Missing(_)) {
            return Err(MapError::AlreadyMapped);
        }
        let directory = self.make_missing_tables(start, 2)?;
        // SAFETY: (1) the lock keeps the directory.
        let slot = unsafe { table::slot(directory, start, 2) };
        slot.store(huge_leaf(frames, spare.into_raw(), protection), Ordering::Release);
        count_entries(directory, 1);
        self.resident.fetch_add(HUGE_FRAMES, Ordering::Relaxed);
        Ok(())
    }

    /// Puts a 2 MiB page in place of the small ones in the 2 MiB from `start` on, with what they hold, and zeros where there
    /// was none. The caller keeps the areas still. After an error all is as it was.
    pub fn collapse(&self, start: u64, protection: Protection) -> Result<(), CollapseError> {
        let frames = HugeFrame::zeroed()?;
        let entries = self.entries.lock();
        let taken = match self.lowest(start) {
            Lowest::Huge(_) => return Ok(()),
            Lowest::Missing(_) => None,
            Lowest::Table(small) => Some(small),
        };
        let Some((small, (directory, slot))) = taken.zip(self.table_slot(start, 2)) else {
            drop(entries);
            return self.map_huge(start, frames, protection).map_err(|_| CollapseError::OutOfMemory);
        };
        // SAFETY: (1) the lock keeps the table; without it, it is out of reach and nobody else's from below on.
        let pages = unsafe { table::at(small) };
        if pages.iter().any(|entry| !may_collapse(entry.load(Ordering::Relaxed))) {
            return Err(CollapseError::Busy);
        }
        // It stays counted, so the directory stays.
        slot.store(0, Ordering::Release);
        drop(entries);
        self.flush(start, start + LEN);
        let before = move_into(&frames, pages);
        count_entries(small, -before.entries);
        let entry = huge_leaf(frames, small, protection);
        let entries = self.entries.lock();
        let back = slot.compare_exchange(0, entry, Ordering::AcqRel, Ordering::Relaxed);
        if back.is_err() {
            // The areas were not kept still, and something else is mapped now.
            count_entries(directory, -1);
            self.resident.fetch_sub(before.resident, Ordering::Relaxed);
            drop(entries);
            // SAFETY: (1) the entry that did not come in.
            drop(unsafe { take_apart(entry) });
            return Err(CollapseError::Busy);
        }
        self.resident.fetch_add(HUGE_FRAMES - before.resident, Ordering::Relaxed);
        Ok(())
    }

    /// Cuts the 2 MiB page around `address` into small ones, with the lock held; their table.
    #[cold]
    pub(super) fn split(&self, address: u64) -> PhysAddr {
        let start = address & !(LEN - 1);
        let Some((_, slot)) = self.table_slot(start, 2) else { unreachable!("a page without a directory") };
        let entry = slot.swap(0, Ordering::AcqRel);
        self.flush(start, start + LEN);
        // SAFETY: (1) the entry just left.
        let (frames, spare) = unsafe { take_apart(entry) };
        let leaf_table = spare.into_raw();
        // SAFETY: (1) a frame put by to be a table, which nobody walks yet: all its entries are set before that.
        let leaves = unsafe { table::at(leaf_table) };
        for (page, leaf) in (start..start + LEN).step_by(PAGE_SIZE).zip(leaves) {
            leaf.store(table::small(entry, page), Ordering::Relaxed);
        }
        frames.into_frames(); // each entry has one now
        count_entries(leaf_table, HUGE_FRAMES as i64);
        slot.store(leaf_table.get() | PRESENT | table::WRITABLE | table::USER, Ordering::Release);
        leaf_table
    }

    /// Takes the 2 MiB page at `start` out, with the lock held. Its table and those that get empty go to `tables`.
    pub(super) fn take_huge(&self, start: u64, tables: &mut FrameList) -> HugeFrame {
        let Some((_, slot)) = self.table_slot(start, 2) else { unreachable!("a page without a directory") };
        // SAFETY: (1) the entry leaves by this.
        let (frames, spare) = unsafe { take_apart(slot.swap(0, Ordering::AcqRel)) };
        tables.push(spare);
        self.resident.fetch_sub(HUGE_FRAMES, Ordering::Relaxed);
        self.count_out(start, 2, 1, tables);
        frames
    }
}

/// The entry that keeps `frames`, and `spare` to be cut into.
fn huge_leaf(frames: HugeFrame, spare: PhysAddr, protection: Protection) -> u64 {
    descriptor_of(frames.address()).owner.store(spare.get(), Ordering::Relaxed);
    leaf(frames.into_raw(), protection) | HUGE
}

/// What an entry kept.
///
/// # Safety
/// 1. `entry` came from `huge_leaf` and has left its directory, and this is the only call for it.
unsafe fn take_apart(entry: u64) -> (HugeFrame, Frame) {
    let spare = descriptor_of(table::address(entry)).owner.swap(0, Ordering::Relaxed);
    // SAFETY: (1) the caller's, and `huge_leaf` gave both to `into_raw`.
    unsafe { (HugeFrame::from_raw(table::address(entry)), Frame::from_raw(PhysAddr::new(spare))) }
}

/// Whether what a small entry keeps may be copied and given back: nobody else can store to it, or hopes to see stores.
fn may_collapse(entry: u64) -> bool {
    if !occupied(entry) || resident(entry) == 0 {
        return true;
    }
    // SAFETY: (1) the entry keeps its reference while the lock is held.
    let frame = unsafe { Frame::borrow_raw(table::address(entry)) };
    // One reference is the entry's, one is ours. A page that a fork shares is read-only.
    let alone = frame.references() == 2 || entry & table::WRITABLE == 0;
    entry & PRESENT != 0 && frame.kind() == FrameKind::Anonymous && alone
}

/// What a table had.
struct Had {
    entries: i64,
    resident: usize,
}

/// Moves what a table's pages hold to `frames`, which hold zeros, and gives the pages back. The table is in no directory, and
/// no CPU knows it.
fn move_into(frames: &HugeFrame, pages: &Table) -> Had {
    let mut had = Had { entries: 0, resident: 0 };
    for (number, slot) in pages.iter().enumerate() {
        let entry = slot.swap(0, Ordering::Relaxed);
        if !occupied(entry) {
            continue;
        }
        // SAFETY: (1) the reference of the entry that just left.
        let frame = unsafe { Frame::from_raw(table::address(entry)) };
        if resident(entry) != 0 {
            frames.frame(number).copy_from(&frame);
        }
        had.entries += 1;
        had.resident += resident(entry);
    }
    had
}
