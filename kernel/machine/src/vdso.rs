//! The shared object that programs find in their memory (vdso(7)): its image, and the data in it.
//!
//! The image is in `asm/vdso.S`. Programs read the clock's data without any lock: it changes between two changes of its
//! sequence, which is odd in between.

use crate::cpu::features;
use crate::mm::Frame;
use crate::time;
use core::arch::global_asm;
use core::sync::atomic::{Ordering, fence};

global_asm!(include_str!("../../../asm/vdso.S"));

unsafe extern "C" {
    static vdso_start: u8;
    static vdso_data: u8;
    static vdso_end: u8;
}

/// Bytes from the data to its fields.
const HAS_RDTSCP: usize = 4;
const BOOT_TICKS: usize = 8;
const NS_PER_TICK: usize = 16;
const BOOT_TIME: usize = 24;

/// Puts the image into a frame that holds nothing else, and the rates of the clock into it. `boot_time_ns` is the time of
/// day at boot, in ns since 1970.
pub fn install(frame: &Frame, boot_time_ns: u64) {
    let len = &raw const vdso_end as usize - &raw const vdso_start as usize;
    // SAFETY: (1) the assembler laid these bytes out between the two labels, in read-only data.
    let image = unsafe { core::slice::from_raw_parts(&raw const vdso_start, len) };
    frame.write(0, image);
    let (boot_ticks, ns_per_tick) = time::clock_rates();
    let data = data_offset();
    frame.write(data + HAS_RDTSCP, &u32::from(features::get().rdtscp).to_le_bytes());
    frame.write(data + BOOT_TICKS, &boot_ticks.to_le_bytes());
    frame.write(data + NS_PER_TICK, &ns_per_tick.to_le_bytes());
    frame.write(data + BOOT_TIME, &boot_time_ns.to_le_bytes());
}

/// Changes the time of day at boot, in a frame that has been installed. `sequence` is another number at each call, and no two
/// calls run at once.
pub fn set_boot_time(frame: &Frame, boot_time_ns: u64, sequence: u32) {
    let data = data_offset();
    let sequence = sequence.wrapping_mul(2);
    frame.write(data, &sequence.wrapping_sub(1).to_le_bytes());
    fence(Ordering::SeqCst);
    frame.write(data + BOOT_TIME, &boot_time_ns.to_le_bytes());
    fence(Ordering::SeqCst);
    frame.write(data, &sequence.to_le_bytes());
}

fn data_offset() -> usize {
    &raw const vdso_data as usize - &raw const vdso_start as usize
}
