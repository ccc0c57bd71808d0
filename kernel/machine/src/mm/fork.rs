//! The page tables of a forked process: its pages are the parent's, until one of the two writes.
//!
//! Both keep the frame, neither may write to it: the next store faults, and the areas above decide that it gets a copy.
//! Only what is mapped is walked, lowest table by lowest table, each under one hold of the parent's lock. The caller keeps
//! the parent's areas still meanwhile; CPUs that run on the parent lose the right to write before the copy is
//! handed out, so the child sees no store that came after the fork.

use super::frame::{Frame, OutOfMemory};
use super::table::{self, PRESENT, WRITABLE};
use super::user_space::{UserSpace, count_entries, entries_of, occupied, resident};
use crate::addr::PAGE_SIZE;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// Pages of the parent that lost the right to write, and have to be flushed.
struct Protected {
    first: u64,
    end: u64,
}

impl UserSpace {
    /// A new space that shares the pages of `ranges` (rising, page-aligned), each write-protected in both. After an
    /// error the parent has all its pages, some of them write-protected.
    pub fn fork(&self, mut ranges: impl Iterator<Item = (u64, u64)>) -> Result<Arc<UserSpace>, OutOfMemory> {
        let child = UserSpace::new()?;
        let mut protected = Protected { first: u64::MAX, end: 0 };
        let copied = ranges.try_for_each(|(start, end)| self.share(&child, start, end, &mut protected));
        if protected.first < protected.end {
            self.flush(protected.first, protected.end);
        }
        copied.map(|()| child)
    }

    /// Shares what is mapped in `[start, end)` with `child`, which nobody else knows yet.
    fn share(&self, child: &UserSpace, start: u64, end: u64, protected: &mut Protected) -> Result<(), OutOfMemory> {
        let mut at = start;
        while at < end {
            let _entries = self.entries.lock();
            at = match self.leaf_table(at) {
                Ok(_) => self.share_table(child, at, table::end_of_span(at, 2).min(end), protected)?,
                Err(next) => next,
            };
        }
        Ok(())
    }

    /// Shares what is mapped in `[start, end)`, all of one lowest table; `end`.
    fn share_table(
        &self,
        child: &UserSpace,
        start: u64,
        end: u64,
        protected: &mut Protected,
    ) -> Result<u64, OutOfMemory> {
        let Ok(from) = self.leaf_table(start) else { return Ok(end) };
        // SAFETY: (1) the caller holds the lock of the parent, which keeps the table.
        let source = unsafe { table::at(from) };
        let mut left = entries_of(from);
        let mut copied = 0;
        let mut target = None;
        let mut address = start;
        while address < end && left > 0 {
            let slot = &source[table::index(address, 1)];
            let mut entry = slot.load(Ordering::Relaxed);
            if occupied(entry) {
                left -= 1;
            }
            // The page of zeros comes again by a fault.
            if occupied(entry) && resident(entry) != 0 {
                let to = match target {
                    Some(to) => to,
                    None => *target.insert(child.make_tables(address)?),
                };
                if entry & WRITABLE != 0 {
                    // The CPU may set the dirty bit meanwhile.
                    entry = slot.fetch_and(!WRITABLE, Ordering::AcqRel) & !WRITABLE;
                    if entry & PRESENT != 0 {
                        protected.first = protected.first.min(address);
                        protected.end = address + PAGE_SIZE as u64;
                    }
                }
                // SAFETY: (1) the parent's entry keeps its reference while the lock is held.
                let frame = unsafe { Frame::borrow_raw(table::address(entry)) };
                let _: crate::addr::PhysAddr = frame.into_raw(); // the child's entry has it now
                // SAFETY: (1) the child's table was just made, and the child is this function's caller's alone.
                unsafe { table::slot(to, address, 1) }.store(entry, Ordering::Relaxed);
                copied += 1;
            }
            address += PAGE_SIZE as u64;
        }
        if let Some(to) = target {
            count_entries(to, copied);
            child.resident.fetch_add(copied as usize, Ordering::Relaxed);
        }
        Ok(end)
    }
}
