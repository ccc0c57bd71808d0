//! One process's half of the address space: its page tables.
//!
//! `unmap`, `protect`, `fork` and `move_pages` hold the larger edits, `huge` what is special to 2 MiB pages. Those are
//! seen by who can do with them; for everybody else `leaf_table` cuts them into small ones.
//!
//! A present leaf keeps one reference to its frame, a large one one to each of its 512. Tables count their used entries in their frame's descriptor and
//! go when they are empty. Frames and tables that leave are kept until every CPU that runs on this space has forgotten
//! them. What *may* be mapped is the business of the areas above; here only addresses are checked.
//!
//! Lock: `entries`, rank `PageTable`, held for edits; walks by the hardware need none. `cpus` has a bit for each CPU
//! whose CR3 is this root: set before the load, so that an editor either sees the bit or the CPU sees the edit.

use super::frame::{self, Frame, FrameKind, OutOfMemory};
use super::table::{self, PRESENT, Table};
use super::{space, tlb};
use crate::addr::{PAGE_SIZE, PhysAddr, USER_END};
use crate::cpu::control;
use crate::percpu;
use crate::sync::guard::Pinned;
use crate::sync::{Rank, SpinLock};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    /// Used since it was mapped, or since [`UserSpace::clear_accessed`].
    pub accessed: bool,
    /// The frame is part of a 2 MiB page.
    pub huge: bool,
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

/// What has come of mapping the pages around one that is wanted.
#[derive(Debug)]
pub enum Around {
    /// It is mapped now.
    Mapped,
    /// It was there before.
    Present(Mapping),
    /// It was not among the frames.
    Absent,
}

/// The lowest thing on the way to an address.
pub(super) enum Lowest {
    /// A table of small pages.
    Table(PhysAddr),
    /// The entry of a 2 MiB page.
    Huge(u64),
    /// Nothing, up to this address.
    Missing(u64),
}

/// The page tables of a process.
pub struct UserSpace {
    pub(super) root: PhysAddr,
    pub(super) entries: SpinLock<()>,
    cpus: AtomicU64,
    pub(super) resident: AtomicUsize,
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

    /// Pages of memory mapped. The page of zeros that all share does not count.
    pub fn resident_pages(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Maps `frame` at `address`.
    pub fn map(&self, address: u64, frame: Frame, protection: Protection) -> Result<(), MapError> {
        match self.map_with(address, || Ok((frame, protection)))? {
            None => Ok(()),
            Some(_) => Err(MapError::AlreadyMapped),
        }
    }

    /// Maps what `make` gives at `address`, unless something is mapped there: then that, and `make` is not called.
    pub fn map_with(
        &self,
        address: u64,
        make: impl FnOnce() -> Result<(Frame, Protection), OutOfMemory>,
    ) -> Result<Option<Mapping>, MapError> {
        check(address)?;
        let _entries = self.entries.lock();
        let leaf_table = match self.lowest(address) {
            Lowest::Table(leaf_table) => leaf_table,
            Lowest::Huge(entry) => return Ok(Some(mapping_within(entry, address))),
            Lowest::Missing(_) => self.make_missing_tables(address, 1)?,
        };
        // SAFETY: (1) the lock keeps the table.
        let slot = unsafe { table::slot(leaf_table, address, 1) };
        let old = slot.load(Ordering::Relaxed);
        if occupied(old) {
            return Ok(Some(mapping(old)));
        }
        let Ok((frame, protection)) = make() else {
            self.drop_unused_tables(address);
            return Err(MapError::OutOfMemory);
        };
        let entry = leaf(frame.into_raw(), protection);
        slot.store(entry, Ordering::Release);
        count_entries(leaf_table, 1);
        self.resident.fetch_add(resident(entry), Ordering::Relaxed);
        Ok(None)
    }

    /// Maps frames at the pages `first` + their numbers, where nothing is mapped yet; with another reference to each.
    /// All of them, and `wanted`, have to be within what one lowest table spans: BadAddress otherwise. If there is
    /// something at `wanted`, nothing is mapped at all.
    pub fn map_around<'f>(
        &self,
        first: u64,
        wanted: usize,
        frames: impl Iterator<Item = (usize, &'f Frame)>,
        protection: Protection,
    ) -> Result<Around, MapError> {
        check(first)?;
        let _entries = self.entries.lock();
        let leaf_table = self.make_tables(first)?;
        // SAFETY: (1) the lock keeps the table.
        let slots = &unsafe { table::at(leaf_table) }[table::index(first, 1)..];
        let there = slots.get(wanted).ok_or(MapError::BadAddress)?.load(Ordering::Relaxed);
        if occupied(there) {
            return Ok(Around::Present(mapping(there)));
        }
        let (mut mapped, mut found) = (0, Around::Absent);
        for (number, frame) in frames {
            let Some(slot) = slots.get(number) else { break };
            if !occupied(slot.load(Ordering::Relaxed)) {
                slot.store(leaf(frame.clone().into_raw(), protection), Ordering::Release);
                mapped += 1;
                if number == wanted {
                    found = Around::Mapped;
                }
            }
        }
        if mapped == 0 {
            self.drop_unused_tables(first);
        } else {
            count_entries(leaf_table, mapped as i64);
            self.resident.fetch_add(mapped, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// Maps `frame` at `address` in place of what is there.
    pub fn replace(&self, address: u64, frame: Frame, protection: Protection) -> Result<(), MapError> {
        check(address)?;
        let old = {
            let _entries = self.entries.lock();
            let leaf_table = self.make_tables(address)?;
            // SAFETY: (1) the lock keeps the table.
            let slot = unsafe { table::slot(leaf_table, address, 1) };
            let entry = leaf(frame.into_raw(), protection);
            let old = slot.swap(entry, Ordering::AcqRel);
            self.resident.fetch_add(resident(entry), Ordering::Relaxed);
            if !occupied(old) {
                count_entries(leaf_table, 1);
                return Ok(());
            }
            self.resident.fetch_sub(resident(old), Ordering::Relaxed);
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
        if address >= USER_END {
            return None;
        }
        match self.lowest(address) {
            Lowest::Table(leaf_table) => {
                // SAFETY: (1) the lock keeps the table.
                let entry = unsafe { table::slot(leaf_table, address, 1) }.load(Ordering::Acquire);
                occupied(entry).then(|| mapping(entry))
            }
            Lowest::Huge(entry) => Some(mapping_within(entry, address)),
            Lowest::Missing(_) => None,
        }
    }

    /// Calls `f` with the address of each mapped page of `[start, end)`, lowest first.
    pub fn for_each_mapped(&self, start: u64, end: u64, mut f: impl FnMut(u64)) {
        let mut at = start;
        while at < end {
            let _entries = self.entries.lock();
            let table_end = table::end_of_span(at, 2).min(end);
            at = match self.lowest(at) {
                Lowest::Table(leaf_table) => {
                    // SAFETY: (1) the lock keeps the table.
                    let lowest = unsafe { table::at(leaf_table) };
                    for address in (at..table_end).step_by(PAGE_SIZE) {
                        if occupied(lowest[table::index(address, 1)].load(Ordering::Relaxed)) {
                            f(address);
                        }
                    }
                    table_end
                }
                Lowest::Huge(_) => {
                    (at..table_end).step_by(PAGE_SIZE).for_each(&mut f);
                    table_end
                }
                Lowest::Missing(next) => next,
            };
        }
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
        match self.leaf_table(address) {
            Ok(leaf_table) => Ok(leaf_table),
            Err(_) => self.make_missing_tables(address, 1),
        }
    }

    /// The table of level `lowest` for `address`, with all above it that are not there.
    #[cold]
    pub(super) fn make_missing_tables(&self, address: u64, lowest: u32) -> Result<PhysAddr, OutOfMemory> {
        let mut at = self.root;
        for level in (lowest + 1..=table::TOP).rev() {
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

    /// The lowest table for `address`, or the first address behind it that may have one. A 2 MiB page is cut.
    #[inline]
    pub(super) fn leaf_table(&self, address: u64) -> Result<PhysAddr, u64> {
        match self.lowest(address) {
            Lowest::Table(leaf_table) => Ok(leaf_table),
            Lowest::Huge(_) => Ok(self.split(address)),
            Lowest::Missing(next) => Err(next),
        }
    }

    /// Where the walk to `address` ends.
    #[inline]
    pub(super) fn lowest(&self, address: u64) -> Lowest {
        let mut at = self.root;
        for level in (2..=table::TOP).rev() {
            // SAFETY: (1) the lock keeps the table.
            let entry = unsafe { table::slot(at, address, level) }.load(Ordering::Relaxed);
            if entry & (PRESENT | table::HUGE) != PRESENT {
                let missing = entry & PRESENT == 0;
                return if missing { Lowest::Missing(table::end_of_span(address, level)) } else { Lowest::Huge(entry) };
            }
            at = table::address(entry);
        }
        Lowest::Table(at)
    }

    /// Frees tables on the way to `address` that were made for a page that then could not be mapped.
    pub(super) fn drop_unused_tables(&self, address: u64) {
        for level in 2..=table::TOP {
            let Some((parent, slot)) = self.table_slot(address, level) else { continue };
            let entry = slot.load(Ordering::Relaxed);
            if entry & PRESENT == 0 {
                continue;
            }
            if entry & table::HUGE != 0 || entries_of(table::address(entry)) != 0 {
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
    pub(super) fn table_slot(&self, address: u64, level: u32) -> Option<(PhysAddr, &AtomicU64)> {
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
        self.unmap(0, USER_END);
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

/// What an entry says, which the caller keeps in its table meanwhile.
fn mapping(entry: u64) -> Mapping {
    Mapping {
        // SAFETY: (1) the entry keeps its reference while the lock of its space is held.
        frame: unsafe { Frame::borrow_raw(table::address(entry)) },
        protection: Protection {
            read: entry & PRESENT != 0,
            write: entry & table::WRITABLE != 0,
            execute: entry & table::NO_EXECUTE == 0,
        },
        dirty: entry & table::DIRTY != 0,
        accessed: entry & table::ACCESSED != 0,
        huge: false,
    }
}

/// What the entry of a 2 MiB page says of the small page at `address`.
fn mapping_within(entry: u64, address: u64) -> Mapping {
    Mapping { huge: true, ..mapping(table::small(entry, address)) }
}

pub(super) fn leaf(frame: PhysAddr, protection: Protection) -> u64 {
    let mut entry = frame.get() | table::USER | if protection.read { PRESENT } else { table::KEPT };
    if protection.write {
        entry |= table::WRITABLE;
    }
    if !protection.execute {
        entry |= table::NO_EXECUTE;
    }
    entry
}

/// What an entry that keeps a frame adds to the count of resident pages.
pub(super) fn resident(entry: u64) -> usize {
    usize::from(!frame::is_zero_page(table::address(entry)))
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
