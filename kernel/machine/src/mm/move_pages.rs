//! Moving pages to other addresses of the same space, for mremap(2).
//!
//! The tables at the new place are made before the first page leaves the old one, so that running out of memory leaves
//! everything where it was.

use super::frame::{FrameList, OutOfMemory};
use super::table;
use super::user_space::{UserSpace, count_entries, occupied};
use crate::addr::PAGE_SIZE;
use core::sync::atomic::Ordering;

impl UserSpace {
    /// Moves what is mapped in the `len` bytes from `from` on to `to`, where nothing is mapped. The ranges do not overlap,
    /// and the caller keeps the areas still. On an error nothing has moved.
    pub fn move_pages(&self, from: u64, to: u64, len: u64) -> Result<(), OutOfMemory> {
        let made = self.make_tables_for(from, to, len);
        let mut offset = 0;
        while offset < len && made.is_ok() {
            offset = self.move_within_tables(from, to, offset, len);
        }
        // Those that got nothing: all of them after an error, else those for which no page was there.
        let _entries = self.entries.lock();
        for address in (to..to + len).step_by(table::span(2) as usize) {
            self.drop_unused_tables(address);
        }
        self.drop_unused_tables(to + len - PAGE_SIZE as u64);
        made
    }

    /// Makes the lowest tables at the new place for which there are any at the old one.
    fn make_tables_for(&self, from: u64, to: u64, len: u64) -> Result<(), OutOfMemory> {
        let _entries = self.entries.lock();
        let mut offset = 0;
        while offset < len {
            let end = end_of_pair(from, to, offset, len);
            offset = match self.leaf_table(from + offset) {
                Ok(_) => {
                    self.make_tables(to + offset)?;
                    end
                }
                Err(next) => end.max(next - from),
            };
        }
        Ok(())
    }

    /// Moves the pages from `offset` on that one pair of lowest tables has; where to go on.
    fn move_within_tables(&self, from: u64, to: u64, offset: u64, len: u64) -> u64 {
        let end = end_of_pair(from, to, offset, len);
        let mut emptied = FrameList::new();
        let mut moved = 0;
        {
            let _entries = self.entries.lock();
            let (source, target) = match (self.leaf_table(from + offset), self.leaf_table(to + offset)) {
                (Ok(source), Ok(target)) => (source, target),
                _ => return end,
            };
            // SAFETY: (1) the lock keeps both tables.
            let (old, new) = unsafe { (table::at(source), table::at(target)) };
            for at in (offset..end).step_by(PAGE_SIZE) {
                let slot = &old[table::index(from + at, 1)];
                if occupied(slot.load(Ordering::Relaxed)) {
                    let entry = slot.swap(0, Ordering::AcqRel);
                    new[table::index(to + at, 1)].store(entry, Ordering::Release);
                    moved += 1;
                }
            }
            count_entries(target, moved as i64);
            if moved > 0 {
                self.count_out(from + offset, 1, moved, &mut emptied);
            }
        }
        if moved > 0 {
            self.flush(from + offset, from + end);
        }
        drop(emptied); // no CPU can walk them any more
        end
    }
}

/// The first offset behind `offset` at which the one or the other place comes to its next lowest table.
fn end_of_pair(from: u64, to: u64, offset: u64, len: u64) -> u64 {
    let left = |address: u64| table::end_of_span(address, 2) - address;
    (offset + left(from + offset).min(left(to + offset))).min(len)
}
