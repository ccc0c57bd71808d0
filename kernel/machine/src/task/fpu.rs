//! Floating-point and vector state of user tasks: XSAVE where the CPU has it, else FXSAVE (SDM volume 1, 13).
//!
//! The kernel itself is built without vector instructions, so the registers hold the running user task's state all
//! through the kernel and are saved on a switch only.

use crate::cpu::features;
use crate::mm::OutOfMemory;
use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::arch::asm;
use core::ops::Range;
use core::ptr::NonNull;

const ALIGN: usize = 64;
/// MXCSR after reset: all exceptions masked.
const MXCSR_DEFAULT: u32 = 0x1f80;
/// FCW after FNINIT.
const FCW_DEFAULT: u16 = 0x037f;

/// What FXSAVE saves, in bytes; the header of XSAVE follows, whose first word tells the components that are there (SDM
/// volume 1, 13.4).
const LEGACY_LEN: usize = 512;
/// Where the header lies.
const HEADER: Range<usize> = LEGACY_LEN..LEGACY_LEN + 64;
/// Its upper half is reserved.
const MXCSR_OFFSET: usize = 24;
/// x87 and SSE.
const LEGACY_COMPONENTS: u64 = 0b11;

/// A saved state.
pub struct FpuState {
    area: NonNull<u8>,
}

// SAFETY: (1) the area is owned memory.
unsafe impl Send for FpuState {}

impl FpuState {
    /// The state of a new program: everything at its initial value.
    pub fn new() -> Result<Self, OutOfMemory> {
        // SAFETY: (1) the layout is not empty.
        let area = NonNull::new(unsafe { alloc_zeroed(layout()) }).ok_or(OutOfMemory)?;
        // SAFETY: (1) FCW at 0 and MXCSR at 24 lie within the area (SDM volume 1, table 10-2).
        unsafe {
            area.cast::<u16>().write(FCW_DEFAULT);
            area.byte_add(24).cast::<u32>().write(MXCSR_DEFAULT);
        }
        Ok(FpuState { area })
    }

    /// A copy.
    pub fn try_clone(&self) -> Result<Self, OutOfMemory> {
        let copy = FpuState::new()?;
        // SAFETY: (1) both areas have the same length and are distinct.
        unsafe { core::ptr::copy_nonoverlapping(self.area.as_ptr(), copy.area.as_ptr(), layout().size()) };
        Ok(copy)
    }

    /// The saved state in the format of XSAVE, or FXSAVE where the CPU has no XSAVE.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: (1) the area is owned, initialised and this long; nothing writes to it while it is borrowed.
        unsafe { core::slice::from_raw_parts(self.area.as_ptr(), layout().size()) }
    }

    /// A state of which only what FXSAVE saves is there, from anywhere, such as a program's memory: bits of MXCSR that the
    /// register cannot hold are taken out, and the rest is at its initial value.
    pub fn from_legacy(bytes: &[u8; LEGACY_LEN]) -> Result<Self, OutOfMemory> {
        let mut state = FpuState::new()?;
        state.put_legacy(bytes);
        if let Some(header) = state.bytes_mut().get_mut(LEGACY_LEN..LEGACY_LEN + 8) {
            header.copy_from_slice(&LEGACY_COMPONENTS.to_le_bytes());
        }
        Ok(state)
    }

    /// The same with another part of what FXSAVE saves, which is sifted as in [`FpuState::from_legacy`].
    pub fn with_legacy(mut self, bytes: &[u8; LEGACY_LEN]) -> Self {
        self.put_legacy(bytes);
        if let Some(header) = self.bytes_mut().get_mut(LEGACY_LEN..LEGACY_LEN + 8) {
            header[0] |= LEGACY_COMPONENTS as u8;
        }
        self
    }

    /// A state in the format of XSAVE from anywhere; what XRSTOR would refuse is taken out. What `bytes` lacks is at its initial
    /// value.
    pub fn from_xsave(bytes: &[u8]) -> Result<Self, OutOfMemory> {
        let mut state = FpuState::new()?;
        let Some(legacy) = bytes.first_chunk() else { return Ok(state) };
        state.put_legacy(legacy);
        let area = state.bytes_mut();
        let len = area.len().min(bytes.len());
        if let (Some(header), Some(given)) = (area.get_mut(HEADER), bytes.get(HEADER)) {
            // Of the header there is but the first word: which components there are.
            for (at, byte) in features::get().xcr0.to_le_bytes().iter().enumerate() {
                header[at] = given[at] & byte;
            }
            area[HEADER.end..len].copy_from_slice(&bytes[HEADER.end..len]);
        }
        Ok(state)
    }

    fn put_legacy(&mut self, bytes: &[u8; LEGACY_LEN]) {
        let area = self.bytes_mut();
        area[..LEGACY_LEN].copy_from_slice(bytes);
        area[MXCSR_OFFSET + 2..MXCSR_OFFSET + 4].fill(0);
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: (1) the area is owned, initialised and this long, and borrowed for the time.
        unsafe { core::slice::from_raw_parts_mut(self.area.as_ptr(), layout().size()) }
    }

    /// Saves the registers here.
    pub(super) fn save(&mut self) {
        let area = self.area.as_ptr();
        let features = features::get();
        // SAFETY: (1) the area is large and aligned enough for the components in XCR0, as CPUID said.
        unsafe {
            if features.xsaveopt {
                asm!("xsaveopt64 [{}]", in(reg) area, in("eax") -1i32, in("edx") -1i32, options(nostack));
            } else if features.xsave {
                asm!("xsave64 [{}]", in(reg) area, in("eax") -1i32, in("edx") -1i32, options(nostack));
            } else {
                asm!("fxsave64 [{}]", in(reg) area, options(nostack));
            }
        }
    }

    /// Loads the registers from here.
    pub(super) fn restore(&self) {
        let area = self.area.as_ptr();
        // SAFETY: (1) the area holds what `save` or `new` wrote: valid MXCSR and header.
        unsafe {
            if features::get().xsave {
                asm!("xrstor64 [{}]", in(reg) area, in("eax") -1i32, in("edx") -1i32, options(nostack));
            } else {
                asm!("fxrstor64 [{}]", in(reg) area, options(nostack));
            }
        }
    }
}

impl Drop for FpuState {
    fn drop(&mut self) {
        // SAFETY: (1) allocated in `new` with this layout.
        unsafe { dealloc(self.area.as_ptr(), layout()) };
    }
}

fn layout() -> Layout {
    match Layout::from_size_align(features::get().fpu_area_len, ALIGN) {
        Ok(layout) => layout,
        Err(_) => panic!("CPUID gave an impossible XSAVE area length"),
    }
}
