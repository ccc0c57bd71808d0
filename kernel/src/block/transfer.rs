//! Starting requests of any length.

use super::{Completion, DeviceFailed};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use drivers::block::{BlockDevice, Operation, Request, SECTOR_LEN, Segment};
use klib::trace::{Event, Label, Transfer};
use machine::trace;

/// Starts to move `segments` from or to the consecutive sectors from `sector` on, in as few requests as the device
/// takes. Each is added to `completion`. May sleep until the device has room for them.
pub fn start(
    device: &dyn BlockDevice,
    operation: Operation,
    mut sector: u64,
    segments: Vec<Segment>,
    completion: &Arc<Completion>,
) {
    let most = device.max_segments().max(1);
    let mut rest = segments;
    while !rest.is_empty() {
        let later = if rest.len() > most { rest.split_off(most) } else { Vec::new() };
        let len: usize = rest.iter().map(|segment| segment.len).sum();
        submit(device, operation, sector, rest, completion);
        sector = sector.saturating_add((len / SECTOR_LEN) as u64);
        rest = later;
    }
}

/// Moves `segments` from or to the sectors from `sector` on, and sleeps until that is done.
pub fn transfer(
    device: &dyn BlockDevice,
    operation: Operation,
    sector: u64,
    segments: Vec<Segment>,
) -> Result<(), DeviceFailed> {
    let completion = Completion::new();
    start(device, operation, sector, segments, &completion);
    completion.all_started(true);
    completion.wait()
}

/// Makes safe what was written, and sleeps until that is done.
pub fn flush(device: &dyn BlockDevice) -> Result<(), DeviceFailed> {
    let completion = Completion::new();
    submit(device, Operation::Flush, 0, Vec::new(), &completion);
    completion.all_started(true);
    completion.wait()
}

fn submit(
    device: &dyn BlockDevice,
    operation: Operation,
    sector: u64,
    segments: Vec<Segment>,
    completion: &Arc<Completion>,
) {
    completion.add();
    let completion = completion.clone();
    let traced = if trace::on() { trace_submit(device, operation, sector, &segments) } else { 0 };
    let done = Box::new(move |outcome: drivers::block::Outcome| {
        if traced != 0 {
            trace::note(Event::Complete { id: traced, succeeded: outcome.is_ok() });
        }
        completion.end(outcome.is_ok());
    });
    device.submit(Request { operation, sector, segments, done });
}

/// Notes a request; its number in the trace, which is not 0.
#[cold]
fn trace_submit(device: &dyn BlockDevice, operation: Operation, sector: u64, segments: &[Segment]) -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let id = LAST.fetch_add(1, Ordering::Relaxed) % u32::MAX + 1;
    let transfer = match operation {
        Operation::Read => Transfer::Read,
        Operation::Write => Transfer::Write,
        Operation::Flush => Transfer::Flush,
    };
    let len: usize = segments.iter().map(|segment| segment.len).sum();
    let count = u32::try_from(len / SECTOR_LEN).unwrap_or(u32::MAX);
    trace::note(Event::Submit { id, transfer, sector, count, disk: Label::new(device.name()) });
    id
}
