//! Starting requests of any length.

use super::{Completion, DeviceFailed, Disk};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use drivers::block::{Operation, Request, SECTOR_LEN, Segment};
use klib::trace::{Event, Label, Transfer};
use machine::{time, trace};

/// Starts to move `segments` from or to the consecutive sectors from `sector` on, in as few requests as the device
/// takes. Each is added to `completion`. May sleep until the device has room for them.
pub fn start(
    disk: &Arc<Disk>,
    operation: Operation,
    mut sector: u64,
    segments: Vec<Segment>,
    completion: &Arc<Completion>,
) {
    let most = disk.device().max_segments().max(1);
    let mut rest = segments;
    while !rest.is_empty() {
        let later = if rest.len() > most { rest.split_off(most) } else { Vec::new() };
        let len: usize = rest.iter().map(|segment| segment.len).sum();
        submit(disk, operation, sector, rest, completion);
        sector = sector.saturating_add((len / SECTOR_LEN) as u64);
        rest = later;
    }
}

/// Moves `segments` from or to the sectors from `sector` on, and sleeps until that is done.
pub fn transfer(
    disk: &Arc<Disk>,
    operation: Operation,
    sector: u64,
    segments: Vec<Segment>,
) -> Result<(), DeviceFailed> {
    let completion = Completion::new();
    start(disk, operation, sector, segments, &completion);
    completion.all_started(true);
    completion.wait()
}

/// Makes safe what was written, and sleeps until that is done.
pub fn flush(disk: &Arc<Disk>) -> Result<(), DeviceFailed> {
    let completion = Completion::new();
    submit(disk, Operation::Flush, 0, Vec::new(), &completion);
    completion.all_started(true);
    completion.wait()
}

/// Starts one request. What lies outside the disk, or may not be written, fails at once.
fn submit(disk: &Arc<Disk>, operation: Operation, sector: u64, segments: Vec<Segment>, completion: &Arc<Completion>) {
    completion.add();
    let len: usize = segments.iter().map(|segment| segment.len).sum();
    let sectors = (len / SECTOR_LEN) as u64;
    let inside = sector.checked_add(sectors).is_some_and(|end| end <= disk.sectors());
    if !inside || operation == Operation::Write && disk.read_only() {
        completion.end(false);
        return;
    }
    let completion = completion.clone();
    let traced = if trace::on() { trace_submit(disk, operation, sector, sectors) } else { 0 };
    let counted = disk.clone();
    let started_ns = time::since_boot_ns();
    disk.begin(started_ns);
    let done = Box::new(move |outcome: drivers::block::Outcome| {
        if traced != 0 {
            trace::note(Event::Complete { id: traced, succeeded: outcome.is_ok() });
        }
        counted.end(operation, sectors, started_ns);
        completion.end(outcome.is_ok());
    });
    disk.device().submit(Request { operation, sector: disk.start() + sector, segments, done });
}

/// Notes a request; its number in the trace, which is not 0.
#[cold]
fn trace_submit(disk: &Disk, operation: Operation, sector: u64, sectors: u64) -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let id = LAST.fetch_add(1, Ordering::Relaxed) % u32::MAX + 1;
    let transfer = match operation {
        Operation::Read => Transfer::Read,
        Operation::Write => Transfer::Write,
        Operation::Flush => Transfer::Flush,
    };
    let count = u32::try_from(sectors).unwrap_or(u32::MAX);
    trace::note(Event::Submit { id, transfer, sector, count, disk: Label::new(disk.name()) });
    id
}
