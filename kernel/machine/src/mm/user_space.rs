//! One process's half of the address space: its page tables.
//!
//! A present leaf keeps one reference to its frame. Tables count their used entries in their frame's descriptor and
//! go when they are empty. Frames and tables that leave are kept until every CPU that runs on this space has forgotten
//! them. What *may* be mapped is the business of the areas above; here only addresses are checked.
//!
//! Lock: `entries`, rank `PageTable`, held for edits; walks by the hardware need none. `cpus` has a bit for each CPU
//! whose CR3 is this root: set before the load, so that an editor either sees the bit or the CPU sees the edit.

use super::frame::{self, Frame, FrameKind, FrameList, OutOfMemory};
use super::table::{self, PRESENT, Table};
use super::{space, tlb};
use crate::addr::{PAGE_SIZE, PhysAddr, USER_END};
use crate::cpu::control;
use crate::percpu;
use crate::sync::guard::Pinned;
use crate::sync::{Rank, SpinLock};
use alloc::sync::Arc;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Frames collected before they are flushed and freed together.
const BATCH: usize = 64;

/// What user code may do with a page. Without `read` the page is kept, but out of reach altogether; with it the other
/// two are what they say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Protection {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

/// A page that is mapped.
#[derive(Debug)]
pub struct Mapping {
    /// A reference of its own.
    pub frame: Frame,
    /// What user code may do.
    pub protection: Protection,
    /// Written to since it was mapped.
    pub dirty: bool,
}

/// Why a page cannot be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// No frame for a table.
    OutOfMemory,
    /// There is a page already.
    AlreadyMapped,
    /// Not a page-aligned user address.
    BadAddress,
}

impl From<OutOfMemory> for MapError {
    fn from(_: OutOfMemory) -> Self {
        MapError::OutOfMemory
    }
}

/// The page tables of a process.
pub struct UserSpace {
    root: PhysAddr,
    pub(super) entries: SpinLock<()>,
    cpus: AtomicU64,
    pub(super) resident: AtomicUsize,
}

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
    tables: FrameList,
}

impl Batch {
    fn new() -> Self {
        Batch { pages: [const { MaybeUninit::uninit() }; BATCH], count: 0, tables: FrameList::new() }
    }

    fn push(&mut self, address: u64, entry: u64) {
        self.pages[self.count].write(Gone { address, entry });
        self.count += 1;
    }

    fn pages(&self) -> &[Gone] {
        // SAFETY: (1) `push` set the first `count` elements, and a MaybeUninit has its content's layout.
        unsafe { core::slice::from_raw_parts(self.pages.as_ptr().cast(), self.count) }
    }

    /// Gives the frames back. No CPU has a translation to them any more.
    fn free(self, gone: &mut impl FnMut(u64, bool, &Frame)) {
        for page in self.pages() {
            // SAFETY: (1) the reference of the entry, which left its table.
            let frame = unsafe { Frame::from_raw(table::address(page.entry)) };
            gone(page.address, page.entry & table::DIRTY != 0, &frame);
        }
    }
}

impl UserSpace {
    /// An empty space.
    pub fn new() -> Result<Arc<Self>, OutOfMemory> {
        let root = Frame::zeroed(FrameKind::PageTable)?.into_raw();
        // SAFETY: (1) the frame just made is this space's root.
        space::copy_into(unsafe { table::at(root) });
        Ok(Arc::new(UserSpace {
            root,
            entries: SpinLock::new("page tables", Rank::PageTable, ()),
            cpus: AtomicU64::new(0),
            resident: AtomicUsize::new(0),
        }))
    }

    /// Pages mapped.
    pub fn resident_pages(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Maps `frame` at `address`.
    pub fn map(&self, address: u64, frame: Frame, protection: Protection) -> Result<(), MapError> {
        check(address)?;
        let _entries = self.entries.lock();
        let leaf_table = self.make_tables(address)?;
        // SAFETY: (1) the lock keeps the table.
        let slot = unsafe { table::slot(leaf_table, address, 1) };
        if occupied(slot.load(Ordering::Relaxed)) {
            return Err(MapError::AlreadyMapped);
        }
        slot.store(leaf(frame.into_raw(), protection), Ordering::Release);
        count_entries(leaf_table, 1);
        self.resident.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Maps `frame` at `address` in place of what is there.
    pub fn replace(&self, address: u64, frame: Frame, protection: Protection) -> Result<(), MapError> {
        check(address)?;
        let old = {
            let _entries = self.entries.lock();
            let leaf_table = self.make_tables(address)?;
            // SAFETY: (1) the lock keeps the table.
            let slot = unsafe { table::slot(leaf_table, address, 1) };
            let old = slot.swap(leaf(frame.into_raw(), protection), Ordering::AcqRel);
            if !occupied(old) {
                count_entries(leaf_table, 1);
                self.resident.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            // SAFETY: (1) the reference of the entry that just left.
            unsafe { Frame::from_raw(table::address(old)) }
        };
        self.flush(address, address + PAGE_SIZE as u64);
        drop(old);
        Ok(())
    }

    /// What is mapped at `address`.
    pub fn get(&self, address: u64) -> Option<Mapping> {
        let _entries = self.entries.lock();
        let slot = self.find(address)?;
        let entry = slot.load(Ordering::Acquire);
        occupied(entry).then(|| Mapping {
            // SAFETY: (1) the entry keeps its reference while the lock is held.
            frame: unsafe { Frame::borrow_raw(table::address(entry)) },
            protection: Protection {
                read: entry & PRESENT != 0,
                write: entry & table::WRITABLE != 0,
                execute: entry & table::NO_EXECUTE == 0,
            },
            dirty: entry & table::DIRTY != 0,
        })
    }

    /// Changes what user code may do with the mapped pages of `[start, end)`.
    pub fn protect(&self, start: u64, end: u64, protection: Protection) {
        let mut changed = false;
        {
            let _entries = self.entries.lock();
            self.for_each_leaf(start, end, |slot| {
                let old = slot.load(Ordering::Relaxed);
                if occupied(old) {
                    // The CPU may set the dirty bit meanwhile.
                    let _ = slot.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |entry| {
                        Some(leaf(table::address(entry), protection) | entry & (table::ACCESSED | table::DIRTY))
                    });
                    changed = true;
                }
            });
        }
        if changed {
            self.flush(start, end);
        }
    }

    /// Takes the pages of `[start, end)` out, and the tables that get empty. Calls `gone` for each page with its
    /// address, whether it was written to, and its frame, after no CPU uses it any more.
    pub fn unmap(&self, start: u64, end: u64, mut gone: impl FnMut(u64, bool, &Frame)) {
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
            batch.free(&mut gone);
        }
    }

    /// Moves leaves of `[start, end)` into `batch`: all of one lowest table, or as many as the batch takes. Where to go on.
    fn take_leaves(&self, start: u64, end: u64, batch: &mut Batch) -> u64 {
        let mut at = start;
        while at < end {
            let leaf_table = match self.leaf_table(at) {
                Ok(leaf_table) => leaf_table,
                Err(next) => {
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
                self.resident.fetch_sub(taken, Ordering::Relaxed);
                self.count_out(at, taken, &mut batch.tables);
            }
            at = if left == 0 { table_end } else { address };
            if taken > 0 {
                break;
            }
        }
        at.min(end)
    }

    /// Every CPU that runs on this space has executed a full memory barrier when this returns (membarrier(2)).
    pub fn synchronize_cpus(&self) {
        tlb::synchronize(self.cpus.load(Ordering::SeqCst));
    }

    /// Runs this CPU on the space.
    pub(crate) fn activate(&self, _pin: &impl Pinned) {
        self.cpus.fetch_or(1 << percpu::this_cpu().number(), Ordering::SeqCst);
        // SAFETY: (1) the root has the kernel's half; the task that runs on it holds the Arc.
        unsafe { control::set_cr3(self.root) };
    }

    /// Notes that this CPU runs on another root now.
    pub(crate) fn deactivate(&self, _pin: &impl Pinned) {
        self.cpus.fetch_and(!(1 << percpu::this_cpu().number()), Ordering::SeqCst);
    }

    /// Makes all CPUs that run on this space forget `[start, end)`.
    pub(super) fn flush(&self, start: u64, end: u64) {
        let cpus = self.cpus.load(Ordering::SeqCst);
        if cpus != 0 {
            tlb::shoot_down(cpus, start, end);
        }
    }

    /// The lowest table for `address`, made if it is not there. A table is counted in its parent.
    pub(super) fn make_tables(&self, address: u64) -> Result<PhysAddr, OutOfMemory> {
        let mut at = self.root;
        for level in (2..=table::TOP).rev() {
            // SAFETY: (1) the lock keeps the table.
            let slot = unsafe { table::slot(at, address, level) };
            let mut entry = slot.load(Ordering::Relaxed);
            if entry & PRESENT == 0 {
                let Ok(made) = Frame::zeroed(FrameKind::PageTable) else {
                    self.drop_unused_tables(address);
                    return Err(OutOfMemory);
                };
                let made = made.into_raw();
                entry = made.get() | PRESENT | table::WRITABLE | table::USER;
                slot.store(entry, Ordering::Release);
                count_entries(at, 1);
            }
            at = table::address(entry);
        }
        Ok(at)
    }

    /// The lowest-level slot of `address`, if its tables are there.
    fn find(&self, address: u64) -> Option<&AtomicU64> {
        let mut at = self.root;
        for level in (2..=table::TOP).rev() {
            // SAFETY: (1) the lock keeps the table.
            let entry = unsafe { table::slot(at, address, level) }.load(Ordering::Relaxed);
            if entry & PRESENT == 0 || address >= USER_END {
                return None;
            }
            at = table::address(entry);
        }
        // SAFETY: (1) as above.
        Some(unsafe { table::slot(at, address, 1) })
    }

    /// The lowest table for `address`, or the first address behind it that may have one.
    pub(super) fn leaf_table(&self, address: u64) -> Result<PhysAddr, u64> {
        let mut at = self.root;
        for level in (2..=table::TOP).rev() {
            // SAFETY: (1) the lock keeps the table.
            let entry = unsafe { table::slot(at, address, level) }.load(Ordering::Relaxed);
            if entry & PRESENT == 0 {
                return Err(table::end_of_span(address, level));
            }
            at = table::address(entry);
        }
        Ok(at)
    }

    /// Calls `f` for each leaf slot of `[start, end)` whose table exists.
    fn for_each_leaf(&self, start: u64, end: u64, mut f: impl FnMut(&AtomicU64)) {
        let mut address = start;
        while address < end {
            let table_end = match self.leaf_table(address) {
                Ok(leaf_table) => {
                    let table_end = table::end_of_span(address, 2).min(end);
                    // SAFETY: (1) the lock keeps the table.
                    let lowest = unsafe { table::at(leaf_table) };
                    lowest[table::index(address, 1)..].iter().take(pages(address, table_end)).for_each(&mut f);
                    table_end
                }
                Err(next) => next,
            };
            address = table_end;
        }
    }

    /// Notes in the tables above `address` that `count` pages of its lowest table left; those that get empty are
    /// unlinked into `gone`, lowest first.
    fn count_out(&self, address: u64, count: usize, gone: &mut FrameList) {
        let mut path = [self.root; table::TOP as usize];
        for level in (2..=table::TOP).rev() {
            // SAFETY: (1) the lock keeps the table, and it exists, since a leaf of it just left.
            let slot = unsafe { table::slot(path[level as usize - 1], address, level) };
            path[level as usize - 2] = table::address(slot.load(Ordering::Relaxed));
        }
        count_entries(path[0], -(count as i64));
        for level in 1..table::TOP as usize {
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

    /// Frees tables on the way to `address` that were made for a page that then could not be mapped.
    fn drop_unused_tables(&self, address: u64) {
        for level in 2..=table::TOP {
            let Some((parent, slot)) = self.table_slot(address, level) else { continue };
            let entry = slot.load(Ordering::Relaxed);
            if entry & PRESENT == 0 {
                continue;
            }
            if entries_of(table::address(entry)) != 0 {
                return;
            }
            slot.store(0, Ordering::Release);
            count_entries(parent, -1);
            // A CPU may have cached the way to the table on its own account.
            self.flush(address, address + PAGE_SIZE as u64);
            // SAFETY: (1) the table's only reference was the entry that just left.
            drop(unsafe { Frame::from_raw(table::address(entry)) });
        }
    }

    /// The slot of `level` for `address` and the table it is in, if there is one.
    fn table_slot(&self, address: u64, level: u32) -> Option<(PhysAddr, &AtomicU64)> {
        let mut at = self.root;
        for upper in (level + 1..=table::TOP).rev() {
            // SAFETY: (1) the lock keeps the table.
            let entry = unsafe { table::slot(at, address, upper) }.load(Ordering::Relaxed);
            if entry & PRESENT == 0 {
                return None;
            }
            at = table::address(entry);
        }
        // SAFETY: (1) as above.
        Some((at, unsafe { table::slot(at, address, level) }))
    }
}

impl Drop for UserSpace {
    fn drop(&mut self) {
        self.unmap(0, USER_END, |_, _, _| {});
        debug_assert!(self.cpus.load(Ordering::SeqCst) == 0, "address space freed while a CPU runs on it");
        debug_assert!(entries_of(self.root) == 0, "page tables left in a freed address space");
        // SAFETY: (1) the root's only reference, given to `into_raw` in `new`; no CPU has it loaded.
        drop(unsafe { Frame::from_raw(self.root) });
    }
}

/// Runs this CPU on the kernel's own tables.
pub fn switch_to_kernel(_pin: &impl Pinned) {
    // SAFETY: (1) the kernel's root.
    unsafe { control::set_cr3(space::root()) };
}

fn leaf(frame: PhysAddr, protection: Protection) -> u64 {
    let mut entry = frame.get() | table::USER | if protection.read { PRESENT } else { table::KEPT };
    if protection.write {
        entry |= table::WRITABLE;
    }
    if !protection.execute {
        entry |= table::NO_EXECUTE;
    }
    entry
}

/// Whether a lowest-level entry keeps a frame.
pub(super) fn occupied(entry: u64) -> bool {
    entry & (PRESENT | table::KEPT) != 0
}

fn check(address: u64) -> Result<(), MapError> {
    if address >= USER_END || !address.is_multiple_of(PAGE_SIZE as u64) {
        return Err(MapError::BadAddress);
    }
    Ok(())
}

/// Entries in use in the user part of a table.
pub(super) fn entries_of(address: PhysAddr) -> u64 {
    frame::descriptor_of(address).owner.load(Ordering::Relaxed)
}

pub(super) fn count_entries(address: PhysAddr, change: i64) {
    frame::descriptor_of(address).owner.fetch_add(change as u64, Ordering::Relaxed);
}

/// Pages in `[start, end)`.
pub(super) fn pages(start: u64, end: u64) -> usize {
    ((end - start) / PAGE_SIZE as u64) as usize
}

/// Only the type's name is needed here: a table is a frame's worth of entries.
const _: () = assert!(size_of::<Table>() == PAGE_SIZE);
