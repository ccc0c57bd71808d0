//! Copies between kernel and user memory, and the few atomic accesses to user words.
//!
//! A user address is a plain number that is checked here against [`USER_END`]; the access itself may fault, which
//! first lets the kernel map the page (`Hooks::page_fault`) and else ends the copy at that byte. The address space is the
//! current task's. With a spinlock held nothing can be mapped, so such a copy only reaches pages that are there.

use crate::addr::USER_END;
use crate::cpu::features;
use core::arch::{asm, global_asm};
use core::fmt;

global_asm!(include_str!("../../../../asm/usercopy.S"));

unsafe extern "C" {
    fn user_copy(dst: *mut u8, src: *const u8, len: usize) -> usize;
    fn user_string(dst: *mut u8, src: *const u8, len: usize) -> usize;
    fn user_fill_zero(dst: *mut u8, len: usize) -> usize;
    fn user_load_u32(src: *const u32, out: *mut u32) -> u32;
    fn user_cmpxchg_u32(dst: *mut u32, expected: *mut u32, new: u32) -> u32;
    fn user_save_fpu(at: *mut u8, xsave: bool, marks: *const [u64; 6], end_at: usize, end: u32) -> u32;
    fn user_load_fpu(at: *const u8, xsave: bool) -> u32;
    static ex_table_start: [u64; 2];
    static ex_table_end: [u64; 2];
}

/// A user address could not be accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadAddress {
    /// Bytes that went well before.
    pub done: usize,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad user address after {} bytes", self.done)
    }
}

/// Copies `out.len()` bytes from the user address `from`.
pub fn read(from: u64, out: &mut [u8]) -> Result<(), BadAddress> {
    // SAFETY: (1) the destination is `out`.
    unsafe { read_to(from, out.as_mut_ptr(), out.len()) }
}

/// Copies `len` bytes from the user address `from` to `out`; all of them if it succeeds.
///
/// # Safety
/// (1) `out` has room for them, and nobody else looks there.
pub(super) unsafe fn read_to(from: u64, out: *mut u8, len: usize) -> Result<(), BadAddress> {
    check(from, len)?;
    let _open = UserAccess::open();
    // SAFETY: (1) the source is in the user half, checked; a fault there is caught. (2) The caller vouches for `out`.
    let left = unsafe { user_copy(out, from as *const u8, len) };
    result(len, left)
}

/// Copies `bytes` to the user address `to`.
pub fn write(to: u64, bytes: &[u8]) -> Result<(), BadAddress> {
    check(to, bytes.len())?;
    let _open = UserAccess::open();
    // SAFETY: (1) the destination is in the user half, checked; a fault there is caught. (2) The source is `bytes`.
    let left = unsafe { user_copy(to as *mut u8, bytes.as_ptr(), bytes.len()) };
    result(bytes.len(), left)
}

/// Copies bytes from the user address `from` until one is 0, or `out` is full: how many came before the 0, None if there was
/// none. What of `out` lies behind that is undefined. The string may end where memory does.
pub fn read_string(from: u64, out: &mut [u8]) -> Result<Option<usize>, BadAddress> {
    let len = out.len().min(USER_END.saturating_sub(from) as usize);
    let _open = UserAccess::open();
    // SAFETY: (1) as in `read`: the source ends with the user half at the latest.
    match unsafe { user_string(out.as_mut_ptr(), from as *const u8, len) } {
        usize::MAX => Err(BadAddress { done: 0 }),
        at if at < len => Ok(Some(at)),
        at if at < out.len() => Err(BadAddress { done: at }),
        _ => Ok(None),
    }
}

/// Fills `len` bytes at the user address `to` with zeros.
pub fn fill_zero(to: u64, len: usize) -> Result<(), BadAddress> {
    check(to, len)?;
    let _open = UserAccess::open();
    // SAFETY: (1) the destination is in the user half, checked; a fault there is caught.
    let left = unsafe { user_fill_zero(to as *mut u8, len) };
    result(len, left)
}

/// Copies from a page frame to the user address `to`: the way of a page-cache hit, without a buffer between.
pub fn write_from_frame(to: u64, frame: &crate::mm::Frame, offset: usize, len: usize) -> Result<(), BadAddress> {
    assert!(offset + len <= crate::addr::PAGE_SIZE);
    check(to, len)?;
    let _open = UserAccess::open();
    // SAFETY: (1) as in `write`. (2) The source lies within the frame, which is mapped and kept by the handle; others
    // may write to it meanwhile, which tears bytes and nothing else.
    let left = unsafe {
        let from = crate::mm::phys::pointer::<u8>(frame.address()).add(offset);
        user_copy(to as *mut u8, from, len)
    };
    result(len, left)
}

/// Copies from the user address `from` into a page frame.
pub fn read_into_frame(from: u64, frame: &crate::mm::Frame, offset: usize, len: usize) -> Result<(), BadAddress> {
    assert!(offset + len <= crate::addr::PAGE_SIZE);
    check(from, len)?;
    let _open = UserAccess::open();
    // SAFETY: (1) as in `read`. (2) as in `write_from_frame`.
    let left = unsafe {
        let to = crate::mm::phys::pointer::<u8>(frame.address()).add(offset);
        user_copy(to, from as *const u8, len)
    };
    result(len, left)
}

/// Loads an aligned 32-bit word.
pub fn load_u32(from: u64) -> Result<u32, BadAddress> {
    check_word(from)?;
    let mut value = 0;
    let _open = UserAccess::open();
    // SAFETY: (1) as in `read`; one aligned load is atomic.
    match unsafe { user_load_u32(from as *const u32, &mut value) } {
        0 => Ok(value),
        _ => Err(BadAddress { done: 0 }),
    }
}

/// Stores `new` into an aligned 32-bit word if it holds `expected`; the value it held.
pub fn compare_exchange_u32(at: u64, mut expected: u32, new: u32) -> Result<u32, BadAddress> {
    check_word(at)?;
    let _open = UserAccess::open();
    // SAFETY: (1) as in `write`.
    match unsafe { user_cmpxchg_u32(at as *mut u32, &mut expected, new) } {
        0 => Ok(expected),
        _ => Err(BadAddress { done: 0 }),
    }
}

/// What goes into the memory with the registers, for software: where the CPU leaves 48 bytes free, and behind the area.
#[derive(Clone, Copy, Debug)]
pub struct FpuMarks {
    /// At byte [`FpuMarks::AT`].
    pub inside: [u64; 6],
    /// At byte `features::get().fpu_area_len`.
    pub behind: u32,
}

impl FpuMarks {
    /// Where they are (SDM volume 1, 10.5.1 and 13.4.1: bytes that neither FXSAVE nor XSAVE writes).
    pub const AT: u64 = 464;
}

/// Saves the floating-point registers, which are the current user task's, at the user address `to`, in the format of XSAVE
/// and with `marks`, or of FXSAVE and without where the CPU has no XSAVE. `to` is a multiple of 64.
pub fn save_fpu(to: u64, marks: &FpuMarks) -> Result<(), BadAddress> {
    let features = features::get();
    check(to, features.fpu_area_len + size_of::<u32>())?;
    let _open = UserAccess::open();
    // SAFETY: (1) the whole area and the mark behind it are in the user half, checked; a fault there is caught. (2) Saving
    // changes no register that the kernel uses.
    let failed =
        unsafe { user_save_fpu(to as *mut u8, features.xsave, &marks.inside, features.fpu_area_len, marks.behind) };
    match failed {
        0 => Ok(()),
        _ => Err(BadAddress { done: 0 }),
    }
}

/// Loads them from there. An image that the CPU does not take, and an address that is no multiple of 64, are bad too; then
/// what the registers hold is any mixture of what they held and what is there.
pub fn load_fpu(from: u64) -> Result<(), BadAddress> {
    let features = features::get();
    check(from, features.fpu_area_len)?;
    let _open = UserAccess::open();
    // SAFETY: (1) the area is in the user half, checked; a fault there or of the image is caught. (2) The kernel is built
    // without these registers, and only components of XCR0 can be loaded, all of which are the program's own.
    match unsafe { user_load_fpu(from as *const u8, features.xsave) } {
        0 => Ok(()),
        _ => Err(BadAddress { done: 0 }),
    }
}

/// Where to go on after a fault of the instruction at `rip`, if it is one of the copy routines'.
pub(crate) fn fixup(rip: u64) -> Option<u64> {
    let (start, end) = (&raw const ex_table_start, &raw const ex_table_end);
    let count = (end as usize - start as usize) / size_of::<[u64; 2]>();
    // SAFETY: (1) the linker gathered `count` pairs there.
    let table = unsafe { core::slice::from_raw_parts(start, count) };
    table.iter().find(|entry| entry[0] == rip).map(|entry| entry[1])
}

fn check(address: u64, len: usize) -> Result<(), BadAddress> {
    match address.checked_add(len as u64) {
        Some(end) if end <= USER_END => Ok(()),
        _ => Err(BadAddress { done: 0 }),
    }
}

fn check_word(address: u64) -> Result<(), BadAddress> {
    if !address.is_multiple_of(4) {
        return Err(BadAddress { done: 0 });
    }
    check(address, 4)
}

fn result(len: usize, left: usize) -> Result<(), BadAddress> {
    if left == 0 { Ok(()) } else { Err(BadAddress { done: len - left }) }
}

/// Closes SMAP: on every way into the kernel that keeps the interrupted code's AC flag.
#[inline]
pub(crate) fn close() {
    if features::get().smap {
        // SAFETY: (1) the CPU has SMAP; closing only makes more accesses fault.
        unsafe { asm!("clac", options(nostack)) };
    }
}

/// SMAP is open while this lives (SDM volume 3, 4.6.1). An interrupt in between saves the flag with RFLAGS and closes it
/// for its own time, so no other task ever runs with it open.
struct UserAccess;

impl UserAccess {
    fn open() -> Self {
        if features::get().smap {
            // SAFETY: (1) the CPU has SMAP; only the copy routines run before it closes.
            unsafe { asm!("stac", options(nostack)) };
        }
        UserAccess
    }
}

impl Drop for UserAccess {
    fn drop(&mut self) {
        close();
    }
}
