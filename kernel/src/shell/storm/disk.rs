//! The disk's part of a storm: requests of a page each, straight to the device, several at once from each CPU.
//!
//! Half of the area is read by all and written by none. The other half is cut into a slice for each CPU, which alone writes
//! there and so knows what must be read. Every sector tells its own number and how often it was written.

use super::Weather;
use crate::block::{Completion, Disk, start};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use drivers::block::{Operation, SECTOR_LEN, Segment};
use machine::PAGE_SIZE;
use machine::mm::{Frame, FrameKind};

/// Most pages of the disk that are used: 16 MiB.
const MOST_PAGES: u64 = 4096;
const SECTORS_A_PAGE: u64 = (PAGE_SIZE / SECTOR_LEN) as u64;
/// Requests under way from each CPU.
const DEPTH: u64 = 4;
const WORDS: usize = SECTOR_LEN / 8;

/// Which pages of the disk are used, and by whom.
#[derive(Clone, Copy)]
pub struct Area {
    /// Pages from the first one on that all read.
    shared: u64,
    /// Pages behind them for each CPU: a multiple of [`DEPTH`], so that requests under way never touch the same page.
    own: u64,
    /// CPUs.
    workers: u64,
}

impl Area {
    /// That of `disk` for so many CPUs.
    pub fn of(disk: &Disk, workers: u64) -> Result<Area, String> {
        if disk.read_only() {
            return Err("the disk is read-only".into());
        }
        let pages = (disk.sectors() / SECTORS_A_PAGE).min(MOST_PAGES);
        let own = pages / 2 / workers / DEPTH * DEPTH;
        if own == 0 {
            return Err(format!("the disk is too small for {workers} CPUs"));
        }
        Ok(Area { shared: pages - own * workers, own, workers })
    }

    /// Writes all pages for the first time; how many requests that took.
    pub fn fill(&self, disk: &Arc<Disk>) -> Result<u64, String> {
        let pages = self.shared + self.own * self.workers;
        let mut slots = slots()?;
        for first in (0..pages).step_by(DEPTH as usize) {
            let count = (pages - first).min(DEPTH) as usize;
            for (page, slot) in (first..).zip(&mut slots[..count]) {
                slot.write(page, 0);
            }
            transfer(disk, &slots[..count])?;
        }
        Ok(pages)
    }
}

/// Requests that have ended.
pub fn ended(disk: &Disk) -> u64 {
    let statistics = disk.statistics();
    [&statistics.reads, &statistics.writes].map(|counts| counts.requests.load(Ordering::Relaxed)).iter().sum()
}

/// What the CPU with this number among the others does until the storm ends; how many requests it has sent.
pub fn work(weather: &Weather, disk: &Arc<Disk>, area: Area, number: u64) -> Result<u64, String> {
    let own_start = area.shared + number * area.own;
    let mut generations = alloc::vec![0u64; area.own as usize];
    let mut slots = slots()?;
    let mut sent = 0;
    let mut random = number + 1;
    while weather.goes_on() {
        for (slot, residue) in slots.iter_mut().zip(0..) {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let (kind, place) = (random >> 62, random >> 20 & 0xffff_ffff);
            let own = (place % (area.own / DEPTH) * DEPTH + residue) as usize;
            match kind {
                0 => {
                    generations[own] += 1;
                    slot.write(own_start + own as u64, generations[own]);
                }
                1 => slot.read(own_start + own as u64, generations[own]),
                _ => slot.read(place % area.shared, 0),
            }
        }
        transfer(disk, &slots)?;
        sent += DEPTH;
    }
    for first in (0..area.own).step_by(DEPTH as usize) {
        for (slot, own) in slots.iter_mut().zip(first..) {
            slot.read(own_start + own, generations[own as usize]);
        }
        transfer(disk, &slots)?;
        sent += DEPTH;
    }
    Ok(sent)
}

/// Room for one request, and what it is.
struct Slot {
    frame: Frame,
    operation: Operation,
    page: u64,
    generation: u64,
}

fn slots() -> Result<Vec<Slot>, String> {
    let slot = |_| {
        let frame = Frame::zeroed(FrameKind::Dma).map_err(|_| "out of memory")?;
        Ok(Slot { frame, operation: Operation::Read, page: 0, generation: 0 })
    };
    (0..DEPTH).map(slot).collect()
}

/// Sends the requests, waits for all and looks at what was read.
fn transfer(disk: &Arc<Disk>, slots: &[Slot]) -> Result<(), String> {
    let completion = Completion::new();
    for slot in slots {
        let segment = Segment { frame: slot.frame.clone(), offset: 0, len: PAGE_SIZE };
        start(disk, slot.operation, slot.page * SECTORS_A_PAGE, alloc::vec![segment], &completion);
    }
    completion.all_started(true);
    completion.wait().map_err(|error| error.to_string())?;
    slots.iter().filter(|slot| slot.operation == Operation::Read).try_for_each(Slot::check)
}

impl Slot {
    fn read(&mut self, page: u64, generation: u64) {
        (self.operation, self.page, self.generation) = (Operation::Read, page, generation);
        // What an earlier request has left must not pass for the answer.
        self.frame.fill_zero();
    }

    fn write(&mut self, page: u64, generation: u64) {
        (self.operation, self.page, self.generation) = (Operation::Write, page, generation);
        let mut bytes = [0; SECTOR_LEN];
        for within in 0..SECTORS_A_PAGE {
            fill(&mut bytes, page * SECTORS_A_PAGE + within, generation);
            self.frame.write(within as usize * SECTOR_LEN, &bytes);
        }
    }

    fn check(&self) -> Result<(), String> {
        let (mut bytes, mut wanted) = ([0; SECTOR_LEN], [0; SECTOR_LEN]);
        for within in 0..SECTORS_A_PAGE {
            let sector = self.page * SECTORS_A_PAGE + within;
            fill(&mut wanted, sector, self.generation);
            self.frame.read(within as usize * SECTOR_LEN, &mut bytes);
            if bytes != wanted {
                let word = |index: usize| bytes[index * 8..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
                return Err(format!(
                    "sector {sector} holds sector {:#x} as written at turn {:#x}, not at {:#x}, or not whole",
                    word(0),
                    word(1),
                    self.generation
                ));
            }
        }
        Ok(())
    }
}

/// What `sector` holds when it was written for the `generation`th time: both numbers, then words that depend on them.
fn fill(bytes: &mut [u8; SECTOR_LEN], sector: u64, generation: u64) {
    let seed = (sector << 32 ^ generation).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let rest = (2..WORDS as u64).map(|index| seed.rotate_left(index as u32) ^ index);
    for (chunk, word) in bytes.chunks_exact_mut(8).zip([sector, generation].into_iter().chain(rest)) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
}
