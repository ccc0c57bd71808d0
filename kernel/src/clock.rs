//! Wall-clock time: the CMOS clock read once at boot, and the time since.
//!
//! The clock is taken to run in UTC, as QEMU's does by default (MC146818 datasheet for the registers).

use core::sync::atomic::{AtomicU64, Ordering};
use machine::io::{Port, PortClaim};
use machine::time;

const REGISTER_SECONDS: u8 = 0x00;
const REGISTER_MINUTES: u8 = 0x02;
const REGISTER_HOURS: u8 = 0x04;
const REGISTER_DAY: u8 = 0x07;
const REGISTER_MONTH: u8 = 0x08;
const REGISTER_YEAR: u8 = 0x09;
const REGISTER_A: u8 = 0x0a;
const REGISTER_B: u8 = 0x0b;
const UPDATING: u8 = 0x80;
const BINARY: u8 = 0x04;
const HOURS_24: u8 = 0x02;
const AFTERNOON: u8 = 0x80;
/// Looks at a clock that never gets out of its update before it is given up.
const MAX_LOOKS: u32 = 100_000;

/// Wall-clock time at boot, in ns since 1970.
static BOOT_TIME_NS: AtomicU64 = AtomicU64::new(0);

/// Reads the clock.
pub fn init() {
    let claim = match PortClaim::new(0x70..0x72, "CMOS clock") {
        Ok(claim) => claim,
        Err(error) => {
            log::warn!("CMOS clock: {error}; time begins in 1970");
            return;
        }
    };
    let (select, data) = (claim.port::<u8>(0), claim.port::<u8>(1));
    match read(&select, &data) {
        Some(seconds) => {
            BOOT_TIME_NS.store((seconds * 1_000_000_000).saturating_sub(time::since_boot_ns()), Ordering::Relaxed);
        }
        None => log::warn!("CMOS clock: no valid time; time begins in 1970"),
    }
}

/// Wall-clock time at boot, in ns since 1970.
pub fn boot_time_ns() -> u64 {
    BOOT_TIME_NS.load(Ordering::Relaxed)
}

/// Sets it to `now_ns`, in ns since 1970; not before what would make boot lie before 1970. By `process::vdso`, which tells
/// programs.
pub fn set(now_ns: u64) {
    BOOT_TIME_NS.store(now_ns.saturating_sub(time::since_boot_ns()), Ordering::Relaxed);
}

/// Now, in ns since 1970.
pub fn realtime_ns() -> u64 {
    BOOT_TIME_NS.load(Ordering::Relaxed) + time::since_boot_ns()
}

/// Now, as seconds and nanoseconds since 1970.
pub fn time_of_day() -> (i64, u32) {
    let now = realtime_ns();
    ((now / 1_000_000_000) as i64, (now % 1_000_000_000) as u32)
}

/// Seconds since 1970, read twice alike outside of an update.
fn read(select: &Port<u8>, data: &Port<u8>) -> Option<u64> {
    let register = |number: u8| {
        select.write(number);
        data.read()
    };
    let fields = || {
        [REGISTER_SECONDS, REGISTER_MINUTES, REGISTER_HOURS, REGISTER_DAY, REGISTER_MONTH, REGISTER_YEAR].map(register)
    };
    let mut before = None;
    for _ in 0..MAX_LOOKS {
        if register(REGISTER_A) & UPDATING != 0 {
            before = None;
            continue;
        }
        let now = fields();
        if before == Some(now) {
            return decode(now, register(REGISTER_B));
        }
        before = Some(now);
    }
    None
}

fn decode(raw: [u8; 6], mode: u8) -> Option<u64> {
    let number = |value: u8| u64::from(if mode & BINARY != 0 { value } else { (value >> 4) * 10 + (value & 15) });
    let [second, minute, hour, day, month, year] = raw;
    let mut hours = number(hour & !AFTERNOON);
    if mode & HOURS_24 == 0 {
        hours = hours % 12 + if hour & AFTERNOON != 0 { 12 } else { 0 };
    }
    let (second, minute, day, month) = (number(second), number(minute), number(day), number(month));
    if second > 59 || minute > 59 || hours > 23 || !(1..=31).contains(&day) || !(1..=12).contains(&month) {
        return None;
    }
    let days = days_since_1970(2000 + number(year), month, day);
    Some(((days * 24 + hours) * 60 + minute) * 60 + second)
}

/// Days from 1 January 1970 to a day of the Gregorian calendar from then on.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    (year - 1970) * 365 + leap_days + BEFORE_MONTH[month as usize - 1] + u64::from(leap && month > 2) + day - 1
}
