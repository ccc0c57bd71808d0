//! The kernel's half of the address space: the physical map, the image, stacks, device memory.
//!
//! Its top-level entries are all filled at boot and never change, so every process's root copies them once. W^X holds:
//! text r-x, rodata r--, everything else rw- and never executable. Stack slots keep their pages for the next task, and
//! device mappings stay, so no kernel translation ever has to be shot down.

use super::frame::{Frame, FrameKind, OutOfMemory};
use super::table::{self, GLOBAL, HUGE, NO_EXECUTE, PRESENT, Table, WRITABLE};
use super::{early, phys};
use crate::addr::{KERNEL_BASE, MMIO_BASE, PAGE_SIZE, PHYS_BASE, PhysAddr, STACKS_BASE};
use crate::boot::info::BootInfo;
use crate::cpu::{control, features};
use crate::sync::{IrqLock, Rank};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a kernel stack. Mounting a FAT takes most, 21 KiB with an interrupt on top: its driver keeps a block of 4 KiB
/// within what it returns.
pub const STACK_LEN: usize = if cfg!(debug_assertions) { 32 * 1024 } else { 24 * 1024 };
/// Distance of stack slots: what a stack does not fill, at least half, is guard.
const STACK_SLOT: u64 = 64 * 1024;
const _: () = assert!(STACK_LEN as u64 <= STACK_SLOT / 2);

static ROOT: AtomicU64 = AtomicU64::new(0);
static STATE: IrqLock<State> = IrqLock::new(
    "kernel space",
    Rank::KernelSpace,
    State { next_device: MMIO_BASE, next_stack: 0, free_stacks: Vec::new() },
);

struct State {
    next_device: u64,
    next_stack: u64,
    /// Mapped slots without a task.
    free_stacks: Vec<u64>,
}

/// How device memory is cached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caching {
    /// Not at all: registers.
    Uncached,
    /// Writes are collected: framebuffers (PAT entry 5).
    WriteCombining,
}

unsafe extern "C" {
    static text_start: u8;
    static text_end: u8;
    static rodata_start: u8;
    static rodata_end: u8;
    static data_start: u8;
    static data_end: u8;
    static boot_pml4: Table;
}

/// Builds the kernel's tables from early memory and switches the boot CPU to them.
pub(crate) fn init(info: &BootInfo) -> Result<(), OutOfMemory> {
    let root = early_table()?;
    let mut end = 0;
    let mut failed = false;
    early::for_each_ram(info, |start, area_end| {
        end = end.max(area_end);
        failed |= map_ram(root, start, area_end).is_err();
    });
    if failed {
        return Err(OutOfMemory);
    }
    let sections = [
        (&raw const text_start, &raw const text_end, 0),
        (&raw const rodata_start, &raw const rodata_end, NO_EXECUTE),
        (&raw const data_start, &raw const data_end, NO_EXECUTE | WRITABLE),
    ];
    for (start, end, flags) in sections {
        let (start, end) = (start as u64, end as u64);
        for page in (start..end).step_by(PAGE_SIZE) {
            let target = page - KERNEL_BASE;
            map_early(root, page, 1, target | flags | PRESENT | GLOBAL)?;
        }
    }
    // Whole top-level entries for what is filled later.
    for base in [STACKS_BASE, MMIO_BASE] {
        let lower = early_table()?;
        // SAFETY: (1) both are tables just made.
        unsafe { table::slot(root, base, table::TOP) }.store(lower.get() | PRESENT | WRITABLE, Ordering::Relaxed);
    }
    // The first tables stay for the start of other CPUs; they get this upper half too.
    for index in 256..512 {
        // SAFETY: (1) both are roots; the boot tables are in use, and every entry they have is kept in meaning.
        let entry = unsafe { table::at(root) }[index].load(Ordering::Relaxed);
        if entry != 0 {
            // SAFETY: (1) a static of the image, only ever accessed as atomics.
            let boot = unsafe { &boot_pml4 };
            boot[index].store(entry, Ordering::Relaxed);
        }
    }
    ROOT.store(root.get(), Ordering::Relaxed);
    phys::set_mapped_end(end.next_multiple_of(2 << 20));
    // SAFETY: (1) the new root maps the image, the boot stack in it, and all RAM at the same places as before.
    unsafe { control::set_cr3(root) };
    Ok(())
}

/// Root of the kernel's own tables: what kernel tasks run on.
pub(crate) fn root() -> PhysAddr {
    PhysAddr::new(ROOT.load(Ordering::Relaxed))
}

/// Copies the kernel's half into a new root.
pub(super) fn copy_into(target: &Table) {
    // SAFETY: (1) the kernel root stays for good.
    let source = unsafe { table::at(root()) };
    for index in 256..512 {
        target[index].store(source[index].load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Whether the kernel-half `address` is mapped.
pub(crate) fn is_mapped(address: u64) -> bool {
    let mut at = control::cr3();
    for level in (1..=table::TOP).rev() {
        // SAFETY: (1) tables of the kernel's half are never freed.
        let entry = unsafe { table::slot(at, address, level) }.load(Ordering::Relaxed);
        if entry & PRESENT == 0 {
            return false;
        }
        if level == 1 || entry & HUGE != 0 {
            return true;
        }
        at = table::address(entry);
    }
    true
}

/// One step of a walk, for `page-table`.
#[derive(Clone, Copy, Debug)]
pub struct WalkStep {
    /// 4 is the root.
    pub level: u32,
    /// Index in the table.
    pub index: usize,
    /// The entry.
    pub entry: u64,
}

/// The entries that lead to `address` in the tables of this CPU, from the root down.
pub fn walk(address: u64) -> Vec<WalkStep> {
    let mut steps = Vec::new();
    let mut at = control::cr3();
    for level in (1..=table::TOP).rev() {
        let index = table::index(address, level);
        // SAFETY: (1) the current tables; a user table freed meanwhile by another CPU still is mapped RAM.
        let entry = unsafe { table::at(at) }[index].load(Ordering::Relaxed);
        steps.push(WalkStep { level, index, entry });
        if entry & PRESENT == 0 || entry & HUGE != 0 {
            break;
        }
        at = table::address(entry);
    }
    steps
}

/// Maps device memory `[start, start + len)`; the address of its first byte. The mapping stays.
pub(crate) fn map_device(start: PhysAddr, len: usize, caching: Caching) -> Result<u64, OutOfMemory> {
    let offset = start.page_offset();
    let pages = (offset + len).div_ceil(PAGE_SIZE);
    let flags = match caching {
        Caching::Uncached => table::CACHE_DISABLE | table::WRITE_THROUGH,
        Caching::WriteCombining => table::PAT_SMALL | table::WRITE_THROUGH,
    };
    let mut state = STATE.lock();
    let base = state.next_device;
    for page in 0..pages as u64 {
        let bytes = page * PAGE_SIZE as u64;
        let target = start.get() - offset as u64 + bytes;
        map_page(base + bytes, target | flags | PRESENT | WRITABLE | GLOBAL | NO_EXECUTE)?;
    }
    // One page stays unmapped behind each mapping.
    state.next_device += (pages as u64 + 1) * PAGE_SIZE as u64;
    Ok(base + offset as u64)
}

/// Bytes of firmware memory that the memory map calls reserved. The mapping stays.
pub(crate) fn map_firmware(start: PhysAddr, len: usize) -> Result<&'static [u8], &'static str> {
    let end = start.get().saturating_add(len as u64);
    if len == 0 || end > 1 << 52 || early::is_usable_ram(start.get(), end) {
        return Err("not firmware memory");
    }
    let base = map_device(start, len, Caching::Uncached).map_err(|_| "out of memory")?;
    // SAFETY: (1) just mapped, for good, and read-only in this kernel: it is nobody else's RAM.
    Ok(unsafe { core::slice::from_raw_parts(base as *const u8, len) })
}

/// The stack of one task, with unmapped guard below and above.
pub(crate) struct KernelStack {
    slot: u64,
}

impl KernelStack {
    pub(crate) fn allocate() -> Result<Self, OutOfMemory> {
        let mut state = STATE.lock();
        if let Some(slot) = state.free_stacks.pop() {
            return Ok(KernelStack { slot });
        }
        // Room for every slot there is, so that giving one back needs no memory.
        let slots = state.next_stack as usize + 1;
        let listed = state.free_stacks.len();
        state.free_stacks.try_reserve(slots - listed).map_err(|_| OutOfMemory)?;
        let slot = state.next_stack;
        let stack = KernelStack { slot };
        for page in (stack.bottom()..stack.top()).step_by(PAGE_SIZE) {
            if is_mapped(page) {
                continue; // left by an attempt that ran out of memory half-way
            }
            let frame = Frame::zeroed(FrameKind::KernelStack)?.into_raw();
            map_page(page, frame.get() | PRESENT | WRITABLE | GLOBAL | NO_EXECUTE)?;
        }
        state.next_stack += 1;
        Ok(stack)
    }

    pub(crate) fn top(&self) -> u64 {
        STACKS_BASE + (self.slot + 1) * STACK_SLOT - STACK_SLOT / 4
    }

    pub(crate) fn bottom(&self) -> u64 {
        self.top() - STACK_LEN as u64
    }
}

impl Drop for KernelStack {
    fn drop(&mut self) {
        let mut state = STATE.lock();
        debug_assert!(state.free_stacks.len() < state.free_stacks.capacity());
        state.free_stacks.push(self.slot);
    }
}

/// Whether `address` lies in the guard of a stack slot: a stack overflow if it faults.
pub(crate) fn is_stack_guard(address: u64) -> bool {
    (STACKS_BASE..STACKS_BASE + (1 << 39)).contains(&address) && !is_mapped(address)
}

/// Sets one kernel page; the caller holds the lock of `STATE`.
fn map_page(address: u64, entry: u64) -> Result<(), OutOfMemory> {
    let mut at = root();
    for level in (2..=table::TOP).rev() {
        // SAFETY: (1) tables of the kernel's half are never freed.
        let slot = unsafe { table::slot(at, address, level) };
        let mut upper = slot.load(Ordering::Relaxed);
        if upper & PRESENT == 0 {
            upper = Frame::zeroed(FrameKind::PageTable)?.into_raw().get() | PRESENT | WRITABLE;
            slot.store(upper, Ordering::Release);
        }
        at = table::address(upper);
    }
    // SAFETY: (1) as above.
    unsafe { table::slot(at, address, 1) }.store(entry, Ordering::Release);
    Ok(())
}

/// Maps RAM `[start, end)` at its place in the physical map, in the largest pages there are, rounded outwards.
fn map_ram(root: PhysAddr, start: u64, end: u64) -> Result<(), OutOfMemory> {
    const TWO_MIB: u64 = 2 << 20;
    const ONE_GIB: u64 = 1 << 30;
    let flags = PRESENT | WRITABLE | GLOBAL | HUGE | NO_EXECUTE;
    let (mut at, end) = (start / TWO_MIB * TWO_MIB, end.next_multiple_of(TWO_MIB));
    while at < end {
        let whole_gigabyte = features::get().gigabyte_pages && at.is_multiple_of(ONE_GIB) && at + ONE_GIB <= end;
        if whole_gigabyte && map_early(root, PHYS_BASE + at, 3, at | flags)? {
            at += ONE_GIB;
        } else {
            map_early(root, PHYS_BASE + at, 2, at | flags)?;
            at += TWO_MIB;
        }
    }
    Ok(())
}

/// Sets the entry of `level` for `address`, with tables from early memory. What is mapped stays; false if there is a
/// table of smaller pages instead.
fn map_early(root: PhysAddr, address: u64, level: u32, entry: u64) -> Result<bool, OutOfMemory> {
    let mut at = root;
    for upper in (level + 1..=table::TOP).rev() {
        // SAFETY: (1) tables made here, never freed.
        let slot = unsafe { table::slot(at, address, upper) };
        let mut value = slot.load(Ordering::Relaxed);
        if value & HUGE != 0 && value & PRESENT != 0 {
            return Ok(true);
        }
        if value & PRESENT == 0 {
            value = early_table()?.get() | PRESENT | WRITABLE;
            slot.store(value, Ordering::Relaxed);
        }
        at = table::address(value);
    }
    // SAFETY: (1) as above.
    let slot = unsafe { table::slot(at, address, level) };
    let present = slot.load(Ordering::Relaxed);
    if present & PRESENT == 0 {
        slot.store(entry, Ordering::Relaxed);
    }
    Ok(present & PRESENT == 0 || level == 1 || present & HUGE != 0)
}

/// A zeroed table below 4 GiB, where the first tables map it and a starting CPU can load it.
fn early_table() -> Result<PhysAddr, OutOfMemory> {
    early::allocate_zeroed(1, 4 << 30).ok_or(OutOfMemory)
}
