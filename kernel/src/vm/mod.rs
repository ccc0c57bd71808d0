//! Address spaces of processes: which addresses mean what (areas), and the pages behind them, made on demand.
//!
//! An area says what user code may do and where its pages come from; page tables (`machine::mm::UserSpace`) hold what
//! has been touched. Every call here first checks all that may refuse it, in the order of Linux, and then changes things.
//!
//! Lock: `layout`, a sleeping lock, held for all changes of areas and for faults, but not while a file is read; taken by
//! who takes pages of files away from their mappings (`reverse`), under the files' locks. Page tables have their own.

mod advise;
mod area;
pub mod fault;
mod foreign;
pub mod huge;
mod limits;
mod lock;
mod map;
mod program;
mod protect;
mod remap;
mod reverse;
mod shared;
mod tests;

pub use advise::Advice;
pub use area::{Area, AreaFlags, Backing, MOST_AREAS, Totals};
pub use limits::Limits;
pub use lock::LockFuture;
pub use map::{MapRequest, Placement};
pub use program::Program;
pub use remap::RemapRequest;
pub use shared::{Label, Segment, Share, SharedMemory};

use crate::vfs::File;
use abi::Errno;
use alloc::sync::Arc;
use area::Areas;
use core::sync::atomic::{AtomicBool, Ordering};
use klib::objects::{Counted, Kind};
use machine::addr::{PAGE_SIZE, USER_END};
use machine::mm::{Mapping, OutOfMemory, UserSpace};
use machine::sync::{Mutex, MutexGuard};
use reverse::Mapped;

/// Lowest address that may be mapped (Linux's default `vm.mmap_min_addr`).
pub const USER_START: u64 = 0x1_0000;
/// Most a stack may grow to, in bytes (Linux's default RLIMIT_STACK).
pub const STACK_LIMIT: u64 = 8 << 20;
/// Unmapped distance kept below a stack, in bytes (Linux's `stack_guard_gap`).
const STACK_GAP: u64 = 1 << 20;
/// Bytes kept for a stack whose limit is small, and for one whose limit is large: mappings go below.
const STACK_RESERVED: core::ops::RangeInclusive<u64> = 128 << 20..=USER_END / 6 * 5;
/// Bits of page-granular randomness in the places of stack and mappings.
const RANDOM_PAGES: u64 = 1 << 16;
const PAGE: u64 = PAGE_SIZE as u64;

/// The address space of a process.
pub struct AddressSpace {
    _counted: Counted,
    tables: Arc<UserSpace>,
    mapped: Arc<Mapped>,
    /// Whether places are chosen at random (`personality(2)`, ADDR_NO_RANDOMIZE).
    randomized: AtomicBool,
    no_huge_pages: AtomicBool,
    program: Option<Arc<Program>>,
}

struct Layout {
    areas: Areas,
    limits: Limits,
    /// What mlockall(2) asked for areas to come.
    lock_future: LockFuture,
    /// Mappings without a wished address go below this, downwards.
    mmap_top: u64,
    /// The heap: where it begins and where it ends now.
    brk_start: u64,
    brk: u64,
}

impl AddressSpace {
    /// An empty address space with Linux's default limits and its places chosen at random.
    pub fn new() -> Result<Arc<Self>, OutOfMemory> {
        Self::with(Limits::default(), true)
    }

    /// An empty address space with these limits; `randomized` is false for programs under ADDR_NO_RANDOMIZE.
    pub fn with(limits: Limits, randomized: bool) -> Result<Arc<Self>, OutOfMemory> {
        let stack = limits.stack.saturating_add(STACK_GAP).clamp(*STACK_RESERVED.start(), *STACK_RESERVED.end());
        let random = if randomized { random_pages(RANDOM_PAGES) * PAGE } else { 0 };
        let mmap_top = USER_END - stack.next_multiple_of(PAGE) - random;
        let areas = Areas::new();
        let layout = Layout { areas, limits, lock_future: LockFuture::No, mmap_top, brk_start: 0, brk: 0 };
        Ok(Self::of(UserSpace::new()?, randomized, layout, None))
    }

    fn of(tables: Arc<UserSpace>, randomized: bool, layout: Layout, program: Option<Arc<Program>>) -> Arc<Self> {
        let mapped = Arc::new(Mapped { tables: tables.clone(), layout: Mutex::new("address space", layout) });
        Arc::new(AddressSpace {
            _counted: Counted::new(Kind::AddressSpace),
            tables,
            mapped,
            randomized: AtomicBool::new(randomized),
            no_huge_pages: AtomicBool::new(false),
            program,
        })
    }

    fn layout(&self) -> MutexGuard<'_, Layout> {
        self.mapped.layout.lock()
    }

    /// A copy for fork(2): the same areas, break and places for mappings. Private pages are shared until one side writes;
    /// pages of shared areas come from their origin again. When it returns, no thread of this space can still write to
    /// a page that the copy has. ENOMEM leaves this space as it was.
    pub fn fork(&self) -> Result<Arc<AddressSpace>, Errno> {
        // Held throughout, so that no fault and no mmap of another thread comes in between.
        let layout = self.layout();
        let areas = layout.areas.for_fork()?;
        let copied = |area: &&Area| {
            !area.is_shared() && !area.flags.intersects(AreaFlags::NOT_IN_FORK | AreaFlags::ZEROS_IN_FORK)
        };
        let private = layout.areas.map().iter().filter(copied).map(|area| (area.start, area.end));
        let tables = self.tables.fork(private).map_err(|_| Errno::ENOMEM)?;
        let copy = Layout { areas, lock_future: LockFuture::No, ..*layout };
        let copy = Self::of(tables, self.is_randomized(), copy, self.program().cloned());
        copy.allow_huge_pages(self.may_have_huge_pages());
        // Who takes pages away and has been here waits for the lock, and comes to the copy next.
        copy.mapped.register_all(&copy.layout())?;
        Ok(copy)
    }

    /// Its page tables.
    pub fn tables(&self) -> &Arc<UserSpace> {
        &self.tables
    }

    /// Pages in memory.
    pub fn resident_pages(&self) -> usize {
        self.tables.resident_pages()
    }

    /// Bytes mapped, of each kind.
    pub fn totals(&self) -> Totals {
        self.layout().areas.totals()
    }

    /// The limits that hold.
    pub fn limits(&self) -> Limits {
        self.layout().limits
    }

    /// Sets the limits for what comes (`setrlimit(2)`); what there is stays.
    pub fn set_limits(&self, limits: Limits) {
        self.layout().limits = limits;
    }

    /// Whether places are chosen at random.
    pub fn is_randomized(&self) -> bool {
        self.randomized.load(Ordering::Relaxed)
    }

    /// A random number of pages below `bound`, or 0 where nothing is to be random.
    pub fn random_pages(&self, bound: u64) -> u64 {
        if self.is_randomized() { random_pages(bound) } else { 0 }
    }

    /// What is mapped at `address` right now.
    pub fn mapping(&self, address: u64) -> Option<Mapping> {
        self.tables.get(address & !(PAGE - 1))
    }

    /// Whether stores at `address` are seen by others; None where no area is that may be read.
    pub fn is_shared_at(&self, address: u64) -> Option<bool> {
        let layout = self.layout();
        let area = layout.areas.map().find(address).filter(|area| area.protection.read)?;
        Some(area.is_shared())
    }

    /// Calls `f` for each area, lowest first.
    pub fn for_each_area(&self, f: impl FnMut(&Area)) {
        self.layout().areas.map().iter().for_each(f);
    }

    /// Writes name and offset of the file that is mapped at `address`; false if there is none, or if that cannot be told
    /// without waiting.
    pub fn write_place(&self, address: u64, out: &mut dyn core::fmt::Write) -> bool {
        let Some(layout) = self.mapped.layout.try_lock() else { return false };
        let mapped = layout.areas.map().find(address).and_then(|area| area.file_page(address));
        let written = mapped.is_some_and(|(file, page)| {
            let offset = page * PAGE + address % PAGE;
            file.location().is_some_and(|location| location.write_name(out)) && write!(out, "+{offset:#x}").is_ok()
        });
        if machine::panic::panicking() {
            // Giving it back would wake those who wait for it.
            core::mem::forget(layout);
        }
        written
    }

    /// The file whose code is mapped at `address`, and how far into it; None if that is no code of a file. May sleep.
    pub fn code_place(&self, address: u64) -> Option<(Arc<File>, u64)> {
        let layout = self.layout();
        let area = layout.areas.map().find(address).filter(|area| area.protection.execute)?;
        let (file, page) = area.file_page(address)?;
        Some((file.clone(), page * PAGE + address % PAGE))
    }

    /// Sets where the heap begins; page-aligned.
    pub fn set_brk_start(&self, start: u64) {
        let mut layout = self.layout();
        layout.brk_start = start;
        layout.brk = start;
    }

    /// brk(2): moves the end of the heap to `wanted` if that is possible; where it is now.
    pub fn brk(&self, wanted: u64) -> u64 {
        let mut layout = self.layout();
        let now = layout.brk;
        let outside = wanted < layout.brk_start || wanted >= USER_END;
        if outside || wanted - layout.brk_start > layout.limits.data {
            return now;
        }
        let (old_end, new_end) = (now.next_multiple_of(PAGE), wanted.next_multiple_of(PAGE));
        let moved = if new_end < old_end {
            self.take_away(&mut layout, new_end, old_end).map(drop)
        } else if new_end > old_end {
            self.extend_heap(&mut layout, old_end, new_end)
        } else {
            Ok(())
        };
        if moved.is_err() {
            return now;
        }
        layout.brk = wanted;
        let populate = new_end > old_end && layout.lock_future == LockFuture::Populated;
        drop(layout);
        if populate {
            self.populate(old_end, new_end);
        }
        wanted
    }

    fn extend_heap(&self, layout: &mut Layout, old_end: u64, new_end: u64) -> Result<(), Errno> {
        // Linux keeps a page free above the heap.
        if !layout.areas.map().is_free(old_end, new_end + PAGE) {
            return Err(Errno::ENOMEM);
        }
        let mut area = Area::anonymous(old_end, new_end, true, false);
        area.flags |= layout.lock_future.flags();
        layout.check_may_expand(area.len_bytes(), area.is_data())?;
        layout.check_may_lock(area.len_bytes(), area.flags)?;
        limits::check_reserve(area.len_bytes())?;
        layout.areas.insert(area)
    }

    /// Makes a stack of the usual limit that ends near the top of the address space; its end.
    pub fn map_stack(&self, executable: bool) -> Result<u64, Errno> {
        let top = USER_END - self.random_pages(RANDOM_PAGES / 16) * PAGE;
        let mut area = Area::anonymous(top - 32 * PAGE, top, true, executable);
        area.flags = AreaFlags::GROWS_DOWN;
        self.layout().areas.insert(area).map_err(|_| Errno::ENOMEM)?;
        Ok(top)
    }

    /// Takes areas and pages of `[start, end)` away. What comes back may close files: drop it without the lock.
    fn take_away(&self, layout: &mut Layout, start: u64, end: u64) -> Result<alloc::vec::Vec<Area>, Errno> {
        let taken = layout.areas.take(start, end)?;
        for area in &taken {
            self.tables.unmap(area.start, area.end);
        }
        Ok(taken)
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        let areas = core::mem::replace(&mut self.layout().areas, Areas::new());
        // By areas, since they say where pages can be at all.
        for area in areas.map().iter() {
            self.tables.unmap(area.start, area.end);
        }
    }
}

/// A random number of pages below `bound`.
pub fn random_pages(bound: u64) -> u64 {
    crate::random::number() % bound
}
