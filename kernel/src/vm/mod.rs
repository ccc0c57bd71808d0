//! Address spaces of processes: which addresses mean what (areas), and the pages behind them, made on demand.
//!
//! An area says what user code may do and where its pages come from; page tables (`machine::mm::UserSpace`) hold what
//! has been touched. Lock: `areas`, a sleeping lock, since a fault may read a file. Page tables have their own.

mod area;
pub mod fault;
mod map;
mod tests;

pub use area::{Area, Backing};
pub use map::{MapRequest, Placement};

use abi::Errno;
use alloc::sync::Arc;
use area::Areas;
use machine::addr::{PAGE_SIZE, USER_END};
use machine::mm::{OutOfMemory, UserSpace};
use machine::sync::Mutex;

/// Lowest address that may be mapped (Linux's default `vm.mmap_min_addr`).
pub const USER_START: u64 = 0x1_0000;
/// Most a stack may grow to, in bytes (Linux's default RLIMIT_STACK).
pub const STACK_LIMIT: u64 = 8 << 20;
/// Unmapped distance kept below a stack, in bytes (Linux's `stack_guard_gap`).
const STACK_GAP: u64 = 1 << 20;
/// Bits of page-granular randomness in the places of stack and mappings.
const RANDOM_PAGES: u64 = 1 << 16;

/// The address space of a process.
pub struct AddressSpace {
    tables: Arc<UserSpace>,
    layout: Mutex<Layout>,
}

struct Layout {
    areas: Areas,
    /// Mappings without a wished address go below this, downwards.
    mmap_top: u64,
    /// The heap: where it begins and where it ends now.
    brk_start: u64,
    brk: u64,
}

impl AddressSpace {
    /// An empty address space.
    pub fn new() -> Result<Arc<Self>, OutOfMemory> {
        let gap = STACK_LIMIT + STACK_GAP + random_pages(RANDOM_PAGES) * PAGE_SIZE as u64;
        Ok(Arc::new(AddressSpace {
            tables: UserSpace::new()?,
            layout: Mutex::new(
                "address space",
                Layout { areas: Areas::new(), mmap_top: USER_END - gap, brk_start: 0, brk: 0 },
            ),
        }))
    }

    /// A copy for fork(2): the same areas, break and places for mappings. Private pages are shared until one side writes;
    /// pages of shared areas come from their files again. When it returns, no thread of this space can still write to
    /// a page that the copy has. ENOMEM leaves this space as it was.
    pub fn fork(&self) -> Result<Arc<AddressSpace>, Errno> {
        // Held throughout, so that no fault and no mmap of another thread comes in between.
        let layout = self.layout.lock();
        let copy = Layout { areas: layout.areas.clone(), ..*layout };
        let private = layout.areas.iter().filter(|area| !area.is_shared()).map(|area| (area.start, area.end));
        let tables = self.tables.fork(private).map_err(|_| Errno::ENOMEM)?;
        Ok(Arc::new(AddressSpace { tables, layout: Mutex::new("address space", copy) }))
    }

    /// Its page tables.
    pub fn tables(&self) -> &Arc<UserSpace> {
        &self.tables
    }

    /// Pages in memory.
    pub fn resident_pages(&self) -> usize {
        self.tables.resident_pages()
    }

    /// Sets where the heap begins; page-aligned.
    pub fn set_brk_start(&self, start: u64) {
        let mut layout = self.layout.lock();
        layout.brk_start = start;
        layout.brk = start;
    }

    /// brk(2): moves the end of the heap to `wanted` if that is possible; where it is now.
    pub fn brk(&self, wanted: u64) -> u64 {
        let mut layout = self.layout.lock();
        let page = PAGE_SIZE as u64;
        if wanted < layout.brk_start || wanted >= USER_END {
            return layout.brk;
        }
        let (old_end, new_end) = (layout.brk.next_multiple_of(page), wanted.next_multiple_of(page));
        if new_end < old_end {
            layout.areas.remove(new_end, old_end);
            self.tables.unmap(new_end, old_end, |_, _, _| {});
        } else if new_end > old_end
            && (!layout.areas.is_free(old_end, new_end) || layout.areas.extend(old_end, new_end).is_err())
        {
            let area = Area::anonymous(old_end, new_end, true, false);
            if layout.areas.insert(area).is_err() {
                return layout.brk;
            }
        }
        layout.brk = wanted;
        wanted
    }

    /// Makes a stack of the usual limit that ends near the top of the address space; its end.
    pub fn map_stack(&self, executable: bool) -> Result<u64, Errno> {
        let page = PAGE_SIZE as u64;
        let top = USER_END - random_pages(RANDOM_PAGES / 16) * page;
        let mut area = Area::anonymous(top - 32 * page, top, true, executable);
        area.grows_down = true;
        self.layout.lock().areas.insert(area).map_err(|_| Errno::ENOMEM)?;
        Ok(top)
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // By areas, since they say where pages can be at all.
        for area in self.layout.lock().areas.iter() {
            self.tables.unmap(area.start, area.end, |_, _, _| {});
        }
    }
}

/// A random number of pages below `bound`.
pub fn random_pages(bound: u64) -> u64 {
    crate::random::number() % bound
}
