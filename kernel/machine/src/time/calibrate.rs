//! How fast the TSC and the local APIC timer run, measured against the HPET, else the PIT.

use super::{Rates, tsc};
use crate::addr::PhysAddr;
use crate::cpu::features;
use crate::io::{Mmio, Port};
use crate::irq::lapic;

/// Length of a measurement.
const WINDOW_US: u64 = 2_000;
const PIT_HZ: u64 = 1_193_182;
/// Polls after which a reference that does not advance is given up.
const MAX_POLLS: u32 = 10_000_000;
/// Readings of which the quickest is taken.
const READINGS: u32 = 8;

/// HPET registers (IA-PC HPET specification 1.0a, 2.3).
const HPET_CAPABILITIES: usize = 0x00;
const HPET_CONFIGURATION: usize = 0x10;
const HPET_COUNTER: usize = 0xf0;

/// Measures both clocks.
pub(super) fn measure(hpet: Option<PhysAddr>) -> Rates {
    lapic::set_timer_ticks(0);
    let by_hpet = hpet.and_then(measure_by_hpet);
    let measured = by_hpet.or_else(measure_by_pit);
    lapic::set_timer_ticks(0);
    let mut rates = measured.unwrap_or_else(|| {
        log::warn!("time: neither HPET nor PIT advances; taking the TSC for 1 GHz");
        Rates { tsc_khz: 1_000_000, apic_timer_khz: 62_500, reference: "nothing" }
    });
    if let Some(khz) = features::get().tsc_khz {
        rates.tsc_khz = khz;
    }
    rates
}

fn measure_by_hpet(address: PhysAddr) -> Option<Rates> {
    let registers = match Mmio::claim(address, 0x400, "HPET") {
        Ok(registers) => registers,
        Err(error) => {
            log::warn!("HPET at {address:#x}: {error}");
            return None;
        }
    };
    // Femtoseconds per tick; at most 100 ns by the specification.
    let period = registers.read::<u64>(HPET_CAPABILITIES) >> 32;
    if period == 0 || period > 100_000_000 {
        log::warn!("HPET: period of {period} fs is not valid");
        return None;
    }
    let configuration = registers.read::<u64>(HPET_CONFIGURATION);
    registers.write(HPET_CONFIGURATION, configuration & !2 | 1);
    let counter = registers.register::<u32>(HPET_COUNTER);
    let ticks = (WINDOW_US * 1_000_000_000 / period) as u32;
    let rates = window(
        || counter.read(),
        |start, now| now.wrapping_sub(start),
        ticks,
        |elapsed| u64::from(elapsed) * period / 1_000_000,
    )?;
    core::mem::forget(registers); // stays claimed
    Some(Rates { reference: "HPET", ..rates })
}

/// Channel 2 of the 8254, whose gate and output are in port 61h.
fn measure_by_pit() -> Option<Rates> {
    // SAFETY: (1) the PIT's channel 2 and its gate drive nothing but the speaker, which stays off.
    let (gate, command, data) = unsafe { (Port::<u8>::new(0x61), Port::<u8>::new(0x43), Port::<u8>::new(0x42)) };
    let read = || {
        command.write(0x80); // latch channel 2
        let low = data.read();
        u16::from_le_bytes([low, data.read()])
    };
    gate.write(gate.read() & !2 | 1);
    command.write(0xb4); // channel 2, both bytes, mode 2
    data.write(0xff);
    data.write(0xff);
    let ticks = (PIT_HZ * WINDOW_US / 1_000_000) as u16;
    let rates = window(
        read,
        |start, now| start.wrapping_sub(now),
        ticks,
        |elapsed| u64::from(elapsed) * 1_000_000_000 / PIT_HZ,
    )?;
    gate.write(gate.read() & !3);
    Some(Rates { reference: "PIT", ..rates })
}

/// The clocks at one moment.
#[derive(Clone, Copy)]
struct Moment<T> {
    reference: T,
    apic_ticks_left: u32,
    tsc: u64,
    /// TSC ticks that the reading took.
    took: u64,
}

/// Reads all clocks, some times over, and takes the reading that took least. One in which a hypervisor ran something else, or
/// firmware did, says nothing of what they were at one moment.
fn look<T: Copy>(read: &impl Fn() -> T) -> Moment<T> {
    let reading = || {
        let tsc_before = tsc();
        let (reference, apic_ticks_left) = (read(), lapic::timer_ticks_left());
        let took = tsc().wrapping_sub(tsc_before);
        Moment { reference, apic_ticks_left, tsc: tsc_before.wrapping_add(took / 2), took }
    };
    let first = reading();
    (1..READINGS).map(|_| reading()).fold(first, |best, next| if next.took < best.took { next } else { best })
}

/// Counts TSC and APIC timer over a window of at least `ticks` of a reference.
fn window<T: Copy + PartialOrd>(
    read: impl Fn() -> T,
    elapsed: impl Fn(T, T) -> T,
    ticks: T,
    to_ns: impl Fn(T) -> u64,
) -> Option<Rates> {
    lapic::set_timer_ticks(u32::MAX);
    let start = look(&read);
    (0..MAX_POLLS).find(|_| elapsed(start.reference, read()) >= ticks)?;
    let end = look(&read);
    let ns = to_ns(elapsed(start.reference, end.reference)).max(1);
    let khz = |count: u64| (u128::from(count) * 1_000_000 / u128::from(ns)) as u64;
    Some(Rates {
        tsc_khz: khz(end.tsc.wrapping_sub(start.tsc)).max(1),
        apic_timer_khz: khz(start.apic_ticks_left.wrapping_sub(end.apic_ticks_left).into()).max(1),
        reference: "",
    })
}
