//! Taking pages out of a process's page tables.
//!
//! Entries are cleared first, batch by batch; then every CPU that runs on the space forgets them, and only then do the
//! frames, and the tables that got empty, go back.

use super::block::HugeFrame;
use super::frame::{Frame, FrameList};
use super::table;
use super::user_space::{Lowest, UserSpace, count_entries, entries_of, occupied, resident};
use crate::addr::{HUGE_PAGE_SIZE, PAGE_SIZE};
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering;

/// Frames collected before they are flushed and freed together.
const BATCH: usize = 64;

/// A leaf that left the tables and waits for the flush; it still has its frame's reference.
#[derive(Clone, Copy)]
struct Gone {
    address: u64,
    entry: u64,
}

/// What left the tables under one hold of the lock. It allocates nothing, since memory may be what is being sought.
/// Whoever fills it calls [`Batch::free`].
struct Batch {
    /// The first `count` are set.
    pages: [MaybeUninit<Gone>; BATCH],
    count: usize,
    /// Instead of small ones.
    huge: Option<(u64, HugeFrame)>,
    tables: FrameList,
}

impl Batch {
    fn new() -> Self {
        Batch { pages: [const { MaybeUninit::uninit() }; BATCH], count: 0, huge: None, tables: FrameList::new() }
    }

    fn push(&mut self, address: u64, entry: u64) {
        self.pages[self.count].write(Gone { address, entry });
        self.count += 1;
    }

    fn pages(&self) -> &[Gone] {
        // SAFETY: (1) `push` set the first `count` elements, and a MaybeUninit has its content's layout.
        unsafe { core::slice::from_raw_parts(self.pages.as_ptr().cast(), self.count) }
    }

    /// How many of the pages from number `first` on are resident.
    fn resident(&self, first: usize) -> usize {
        self.pages()[first..].iter().map(|page| resident(page.entry)).sum()
    }

    /// Gives the frames back. No CPU has a translation to them any more.
    fn free(self) {
        for page in self.pages() {
            // SAFETY: (1) the reference of the entry, which left its table.
            drop(unsafe { Frame::from_raw(table::address(page.entry)) });
        }
    }
}

impl UserSpace {
    /// Takes the pages of `[start, end)` out, and the tables that get empty. They are given back after no CPU
    /// uses them any more.
    pub fn unmap(&self, start: u64, end: u64) {
        let mut at = start;
        while at < end {
            let mut batch = Batch::new();
            {
                let _entries = self.entries.lock();
                // The root counts what it has: an empty space needs no walk.
                if entries_of(self.root) == 0 {
                    return;
                }
                at = self.take_leaves(at, end, &mut batch);
            }
            let pages = batch.pages();
            if let (Some(first), Some(last)) = (pages.first(), pages.last()) {
                self.flush(first.address, last.address + PAGE_SIZE as u64);
            }
            if let Some((first, _)) = batch.huge {
                self.flush(first, first + HUGE_PAGE_SIZE as u64);
            }
            batch.free();
        }
    }

    /// Moves leaves of `[start, end)` into `batch`: all of one lowest table, or as many as the batch takes,
    /// or one 2 MiB page. Where to go on.
    fn take_leaves(&self, start: u64, end: u64, batch: &mut Batch) -> u64 {
        let mut at = start;
        while at < end {
            let whole = at.is_multiple_of(HUGE_PAGE_SIZE as u64) && end - at >= HUGE_PAGE_SIZE as u64;
            let leaf_table = match self.lowest(at) {
                Lowest::Table(leaf_table) => leaf_table,
                Lowest::Huge(_) if whole => {
                    batch.huge = Some((at, self.take_huge(at, &mut batch.tables)));
                    return at + HUGE_PAGE_SIZE as u64;
                }
                Lowest::Huge(_) => self.split(at),
                Lowest::Missing(next) => {
                    at = next;
                    continue;
                }
            };
            // SAFETY: (1) the lock keeps the table.
            let lowest = unsafe { table::at(leaf_table) };
            let table_end = table::end_of_span(at, 2).min(end);
            let mut left = entries_of(leaf_table);
            let before = batch.count;
            let mut address = at;
            while address < table_end && left > 0 && batch.count < BATCH {
                let slot = &lowest[table::index(address, 1)];
                if occupied(slot.load(Ordering::Relaxed)) {
                    batch.push(address, slot.swap(0, Ordering::AcqRel));
                    left -= 1;
                }
                address += PAGE_SIZE as u64;
            }
            let taken = batch.count - before;
            if taken > 0 {
                self.resident.fetch_sub(batch.resident(before), Ordering::Relaxed);
                self.count_out(at, 1, taken, &mut batch.tables);
            }
            at = if left == 0 { table_end } else { address };
            if taken > 0 {
                break;
            }
        }
        at.min(end)
    }

    /// Notes in the tables above `address` that `count` pages of its table of `lowest` level left; those that get empty
    /// are unlinked into `gone`, lowest first.
    pub(super) fn count_out(&self, address: u64, lowest: u32, count: usize, gone: &mut FrameList) {
        let mut path = [self.root; table::TOP as usize];
        for level in (lowest + 1..=table::TOP).rev() {
            // SAFETY: (1) the lock keeps the table, and it exists, since a leaf of it just left.
            let slot = unsafe { table::slot(path[level as usize - 1], address, level) };
            path[level as usize - 2] = table::address(slot.load(Ordering::Relaxed));
        }
        count_entries(path[lowest as usize - 1], -(count as i64));
        for level in lowest as usize..table::TOP as usize {
            if entries_of(path[level - 1]) != 0 {
                return;
            }
            // SAFETY: (1) the lock keeps the parent.
            unsafe { table::slot(path[level], address, level as u32 + 1) }.store(0, Ordering::Release);
            count_entries(path[level], -1);
            // SAFETY: (1) the table's only reference was the entry that just left.
            gone.push(unsafe { Frame::from_raw(path[level - 1]) });
        }
    }
}
