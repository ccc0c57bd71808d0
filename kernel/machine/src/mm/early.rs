//! Memory before the frame allocator: which ranges are whose, and allocation from what is left.
//!
//! Used by the boot CPU alone until `frame::init` takes the rest over.

use crate::addr::{PAGE_SIZE, PhysAddr};
use crate::boot::info::{Area, AreaKind, BootInfo};
use crate::sync::{IrqLock, Rank};

const MAX_RANGES: usize = 160;
/// Memory below 1 MiB is left to firmware, DMA leftovers and the start-up code of other CPUs.
const LOW_MEMORY_END: u64 = 1 << 20;

#[derive(Clone, Copy)]
struct Ranges {
    list: [(u64, u64); MAX_RANGES],
    count: usize,
}

impl Ranges {
    const fn new() -> Self {
        Ranges { list: [(0, 0); MAX_RANGES], count: 0 }
    }

    fn as_slice(&self) -> &[(u64, u64)] {
        &self.list[..self.count]
    }

    fn push(&mut self, start: u64, end: u64) {
        if start < end && self.count < MAX_RANGES {
            self.list[self.count] = (start, end);
            self.count += 1;
        }
    }

    /// Takes `[start, end)` out of every range.
    fn subtract(&mut self, start: u64, end: u64) {
        let before = *self;
        self.count = 0;
        for &(from, to) in before.as_slice() {
            self.push(from, to.min(start));
            self.push(from.max(end), to);
        }
    }
}

struct Memory {
    /// Page-aligned ranges nobody uses.
    free: Ranges,
    /// RAM that is never handed out: firmware's, and the kernel's symbols.
    kept: Ranges,
    /// RAM that is or was handed out: all usable memory of the map.
    usable: Ranges,
    /// Bytes of usable RAM in the memory map.
    total: u64,
    /// End of the highest RAM.
    end: u64,
    /// Whether page 8 is usable, for the start of other CPUs.
    trampoline_free: bool,
}

static MEMORY: IrqLock<Memory> = IrqLock::new(
    "early memory",
    Rank::Frames,
    Memory {
        free: Ranges::new(),
        kept: Ranges::new(),
        usable: Ranges::new(),
        total: 0,
        end: 0,
        trampoline_free: false,
    },
);

unsafe extern "C" {
    static image_phys_start: u8;
    static image_phys_end: u8;
}

/// Physical range of the kernel image.
pub(crate) fn image() -> (u64, u64) {
    (&raw const image_phys_start as u64, &raw const image_phys_end as u64)
}

/// Sorts the memory map out.
pub(crate) fn init(info: &BootInfo) {
    let mut memory = MEMORY.lock();
    let page = PAGE_SIZE as u64;
    for area in info.areas() {
        match area.kind {
            AreaKind::Usable => {
                memory.total += area.end - area.start;
                memory.end = memory.end.max(area.end);
                let start = area.start.max(LOW_MEMORY_END).next_multiple_of(page);
                memory.free.push(start, area.end / page * page);
                memory.usable.push(area.start, area.end);
            }
            AreaKind::Firmware => {
                memory.end = memory.end.max(area.end);
                memory.kept.push(area.start, area.end);
            }
            // The BIOS keeps its tables in reserved RAM right below usable RAM or below 1 MiB.
            AreaKind::Reserved if area.end <= LOW_MEMORY_END => memory.kept.push(area.start, area.end),
            AreaKind::Reserved => {}
        }
    }
    // Where the map says two things of one page, the more careful one counts.
    for area in info.areas().iter().filter(|area| area.kind != AreaKind::Usable) {
        memory.free.subtract(area.start / page * page, area.end.saturating_add(page - 1) / page * page);
    }
    let (start, end) = image();
    memory.free.subtract(start, end.next_multiple_of(page));
    for &(start, end) in info.modules() {
        memory.free.subtract(start / page * page, end.next_multiple_of(page));
        memory.kept.push(start, end);
    }
    if let Some(symbols) = info.symbols {
        for (start, len) in [(symbols.symbols, symbols.symbols_len), (symbols.strings, symbols.strings_len)] {
            let end = start.get() + len as u64;
            memory.free.subtract(start.get() / page * page, end.next_multiple_of(page));
            memory.kept.push(start.get(), end);
        }
    }
    let trampoline = crate::smp::TRAMPOLINE;
    memory.trampoline_free = info
        .areas()
        .iter()
        .any(|area: &Area| area.kind == AreaKind::Usable && area.start <= trampoline && area.end >= trampoline + page);
}

/// Bytes of usable RAM, and the end of the highest RAM.
pub(crate) fn totals() -> (u64, u64) {
    let memory = MEMORY.lock();
    (memory.total, memory.end)
}

/// Whether the page that other CPUs start in is free memory.
pub(crate) fn trampoline_free() -> bool {
    MEMORY.lock().trampoline_free
}

/// `pages` contiguous pages, below `limit`, with undefined contents; None if there are none. The lowest fit, so that
/// what the first page tables map is used before anything higher.
pub(crate) fn allocate(pages: usize, limit: u64) -> Option<PhysAddr> {
    let len = pages as u64 * PAGE_SIZE as u64;
    let mut memory = MEMORY.lock();
    let start = memory
        .free
        .as_slice()
        .iter()
        .filter(|&&(start, end)| end - start >= len && start + len <= limit)
        .map(|&(start, _)| start)
        .min()?;
    memory.free.subtract(start, start + len);
    Some(PhysAddr::new(start))
}

/// As [`allocate`], full of zeros.
pub(crate) fn allocate_zeroed(pages: usize, limit: u64) -> Option<PhysAddr> {
    let address = allocate(pages, limit)?;
    // SAFETY: (1) free memory that is mapped (`limit` is the mapped end or lower) and now the caller's.
    unsafe { super::phys::pointer::<u8>(address).write_bytes(0, pages * PAGE_SIZE) };
    Some(address)
}

/// Gives all that is left to the frame allocator.
pub(crate) fn take_rest(mut take: impl FnMut(u64, u64)) {
    let rest = {
        let mut memory = MEMORY.lock();
        core::mem::replace(&mut memory.free, Ranges::new())
    };
    rest.as_slice().iter().for_each(|&(start, end)| take(start, end));
}

/// Calls `f` for each range of RAM (usable or firmware's), for the physical map.
pub(crate) fn for_each_ram(info: &BootInfo, mut f: impl FnMut(u64, u64)) {
    for area in info.areas() {
        let low = area.end <= LOW_MEMORY_END;
        if area.kind != AreaKind::Reserved || low {
            f(area.start, area.end);
        }
    }
}

/// Whether `[start, end)` is RAM that is never handed out.
pub(crate) fn is_kept_ram(start: u64, end: u64) -> bool {
    MEMORY.lock().kept.as_slice().iter().any(|&(from, to)| from <= start && end <= to)
}

/// Whether any of `[start, end)` is RAM the kernel uses.
pub(crate) fn is_usable_ram(start: u64, end: u64) -> bool {
    MEMORY.lock().usable.as_slice().iter().any(|&(from, to)| start < to && from < end)
}
