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

/// Runs one window of `ticks` of a reference and counts TSC and APIC timer over it. The TSC is taken next to each end's
/// read, so that slow device accesses do not count.
fn window<T: Copy + PartialOrd>(
    read: impl Fn() -> T,
    elapsed: impl Fn(T, T) -> T,
    ticks: T,
    to_ns: impl Fn(T) -> u64,
) -> Option<Rates> {
    lapic::set_timer_ticks(u32::MAX);
    let start = read();
    let (start_tsc, start_apic) = (tsc(), lapic::timer_ticks_left());
    for _ in 0..MAX_POLLS {
        let now = read();
        if elapsed(start, now) >= ticks {
            let (tsc_ticks, apic_ticks) = (tsc() - start_tsc, start_apic - lapic::timer_ticks_left());
            let ns = to_ns(elapsed(start, now)).max(1);
            let khz = |count: u64| (u128::from(count) * 1_000_000 / u128::from(ns)) as u64;
            return Some(Rates {
                tsc_khz: khz(tsc_ticks).max(1),
                apic_timer_khz: khz(apic_ticks.into()).max(1),
                reference: "",
            });
        }
    }
    None
}
