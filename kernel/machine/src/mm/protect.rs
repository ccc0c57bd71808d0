//! What user code may do with pages that are mapped.
//!
//! A 2 MiB page that lies in the range whole stays one, unless its pages are to be out of reach: such entries are small.

use super::table::{self, ACCESSED, DIRTY, HUGE};
use super::user_space::{Lowest, Protection, UserSpace, leaf, occupied, pages};
use crate::addr::HUGE_PAGE_SIZE;
use core::sync::atomic::{AtomicU64, Ordering};

/// What of an entry stays when its rights change.
const KEEPS: u64 = ACCESSED | DIRTY | HUGE;

impl UserSpace {
    /// Changes what user code may do with the mapped pages of `[start, end)`.
    pub fn protect(&self, start: u64, end: u64, protection: Protection) {
        let mut changed = false;
        {
            let _entries = self.entries.lock();
            self.for_each_leaf(start, end, protection.read, |slot| {
                let old = slot.load(Ordering::Relaxed);
                if occupied(old) {
                    // The CPU may set the dirty bit meanwhile.
                    let _ = slot.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |entry| {
                        Some(leaf(table::address(entry), protection) | entry & KEEPS)
                    });
                    changed = true;
                }
            });
        }
        if changed {
            self.flush(start, end);
        }
    }

    /// Takes the right to write from the mapped pages of `[start, end)`: when it returns, no CPU stores to them any more.
    pub fn write_protect(&self, start: u64, end: u64) {
        let mut changed = false;
        {
            let _entries = self.entries.lock();
            self.for_each_leaf(start, end, true, |slot| {
                if slot.load(Ordering::Relaxed) & table::WRITABLE != 0 {
                    slot.fetch_and(!table::WRITABLE, Ordering::AcqRel);
                    changed = true;
                }
            });
        }
        if changed {
            self.flush(start, end);
        }
    }

    /// Forgets that the mapped pages of `[start, end)` were used; CPUs note the next use.
    pub fn clear_accessed(&self, start: u64, end: u64) {
        let mut changed = false;
        {
            let _entries = self.entries.lock();
            self.for_each_leaf(start, end, true, |slot| {
                changed |= slot.fetch_and(!ACCESSED, Ordering::AcqRel) & ACCESSED != 0;
            });
        }
        if changed {
            self.flush(start, end);
        }
    }

    /// Calls `f` for each leaf slot of `[start, end)` whose table exists; with `huge` also for those of 2 MiB pages that
    /// the range has whole. The others are cut.
    fn for_each_leaf(&self, start: u64, end: u64, huge: bool, mut f: impl FnMut(&AtomicU64)) {
        let mut address = start;
        while address < end {
            let whole = address.is_multiple_of(HUGE_PAGE_SIZE as u64) && end - address >= HUGE_PAGE_SIZE as u64;
            let leaf_table = match self.lowest(address) {
                Lowest::Table(leaf_table) => leaf_table,
                Lowest::Huge(_) if huge && whole => {
                    if let Some((_, slot)) = self.table_slot(address, 2) {
                        f(slot);
                    }
                    address += HUGE_PAGE_SIZE as u64;
                    continue;
                }
                Lowest::Huge(_) => self.split(address),
                Lowest::Missing(next) => {
                    address = next;
                    continue;
                }
            };
            let table_end = table::end_of_span(address, 2).min(end);
            // SAFETY: (1) the lock keeps the table.
            let lowest = unsafe { table::at(leaf_table) };
            lowest[table::index(address, 1)..].iter().take(pages(address, table_end)).for_each(&mut f);
            address = table_end;
        }
    }
}
