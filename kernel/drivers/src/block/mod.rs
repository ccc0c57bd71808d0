//! Block devices: what a driver implements and the kernel's caches and file systems use.
//!
//! A device takes [`Request`]s and calls back for each exactly once, in interrupt context or before `submit` returns.
//! Sectors are 512 bytes, whatever the device's own blocks are.

pub mod ata;
pub mod virtio_blk;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use machine::PAGE_SIZE;
use machine::hooks;
use machine::mm::Frame;
use machine::sync::{IrqLock, Rank, WaitQueue};

/// Bytes of a sector.
pub const SECTOR_LEN: usize = 512;

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// From the device to the segments.
    Read,
    /// From the segments to the device.
    Write,
    /// What was written before is made safe from loss of power. Has no segments.
    Flush,
}

/// Part of one frame, from `offset` on; both numbers are in bytes and multiples of [`SECTOR_LEN`].
#[derive(Clone, Debug)]
pub struct Segment {
    /// The frame, which the request keeps from being freed.
    pub frame: Frame,
    /// Bytes before it.
    pub offset: usize,
    /// Bytes in it.
    pub len: usize,
}

/// What `done` gets.
pub type Outcome = Result<(), BlockError>;

/// Work for a block device.
pub struct Request {
    /// What to do.
    pub operation: Operation,
    /// First sector.
    pub sector: u64,
    /// Memory, in the order of the sectors.
    pub segments: Vec<Segment>,
    /// Called once with the outcome, maybe in an interrupt handler: it stores and wakes, and does nothing else.
    pub done: Box<dyn FnOnce(Outcome) + Send>,
}

/// Why a request failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockError {
    /// Sectors at or past the end of the device.
    OutOfRange {
        /// First sector asked for.
        sector: u64,
        /// Sectors asked for.
        count: u64,
        /// Sectors the device has.
        sectors: u64,
    },
    /// Segments that are too many, none, empty, outside their frame, or no whole sectors.
    BadSegments,
    /// The device cannot be written.
    ReadOnly,
    /// The device cannot do it.
    Unsupported,
    /// The device tried and failed.
    Io,
    /// The device broke its protocol and is not used any more.
    DeviceBroken,
    /// No memory for the request.
    OutOfMemory,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockError::OutOfRange { sector, count, sectors } => {
                write!(f, "sectors {sector} to {} of a device of {sectors}", sector.saturating_add(*count))
            }
            BlockError::BadSegments => write!(f, "the request's memory is not made of whole sectors"),
            BlockError::ReadOnly => write!(f, "the device is read-only"),
            BlockError::Unsupported => write!(f, "the device does not support this"),
            BlockError::Io => write!(f, "I/O error"),
            BlockError::DeviceBroken => write!(f, "the device misbehaved and was switched off"),
            BlockError::OutOfMemory => write!(f, "out of memory for a disk request"),
        }
    }
}

impl core::error::Error for BlockError {}

/// A device of sectors.
pub trait BlockDevice: Send + Sync {
    /// What it is called: `vda`.
    fn name(&self) -> &str;

    /// How many sectors it has.
    fn sectors(&self) -> u64;

    /// Whether writing is refused.
    fn read_only(&self) -> bool;

    /// Whether what was written may be lost with power until a flush.
    fn has_write_cache(&self) -> bool;

    /// The most segments that a request may have.
    fn max_segments(&self) -> usize;

    /// Starts a request. Any task may call it; may sleep. A request that cannot be is done with its error at once.
    fn submit(&self, request: Request);

    /// What the device says about itself, for people. May sleep.
    fn identity(&self) -> String;
}

/// Does one operation and sleeps until it is done.
pub fn transfer(device: &dyn BlockDevice, operation: Operation, sector: u64, segments: Vec<Segment>) -> Outcome {
    let completion = Completion::new();
    device.submit(Request { operation, sector, segments, done: completion.signal() });
    completion.wait()
}

/// The outcome of one request, to be waited for.
pub struct Completion {
    state: Arc<CompletionState>,
}

struct CompletionState {
    outcome: IrqLock<Option<Outcome>>,
    waiters: WaitQueue,
}

impl Completion {
    /// One that has not come.
    pub fn new() -> Self {
        Completion {
            state: Arc::new(CompletionState {
                outcome: IrqLock::new("block completion", Rank::Queue, None),
                waiters: WaitQueue::bounded("disk"),
            }),
        }
    }

    /// What to give to the request as `done`.
    pub fn signal(&self) -> Box<dyn FnOnce(Outcome) + Send> {
        let state = self.state.clone();
        Box::new(move |outcome| {
            *state.outcome.lock() = Some(outcome);
            state.waiters.wake_all();
        })
    }

    /// Sleeps until it comes.
    pub fn wait(&self) -> Outcome {
        let look = || *self.state.outcome.lock();
        if hooks::single_tasking() {
            loop {
                if let Some(outcome) = look() {
                    return outcome;
                }
                core::hint::spin_loop();
            }
        }
        self.state.waiters.wait(look)
    }
}

impl Default for Completion {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks what every driver would: segments, range and permission. Sectors of the request.
pub(crate) fn check(request: &Request, device: &dyn BlockDevice) -> Result<u64, BlockError> {
    if request.operation == Operation::Flush {
        return if request.segments.is_empty() { Ok(0) } else { Err(BlockError::BadSegments) };
    }
    let good = |segment: &Segment| {
        segment.len > 0
            && segment.len.is_multiple_of(SECTOR_LEN)
            && segment.offset.is_multiple_of(SECTOR_LEN)
            && segment.offset.checked_add(segment.len).is_some_and(|end| end <= PAGE_SIZE)
    };
    let count = request.segments.len();
    if count == 0 || count > device.max_segments() || !request.segments.iter().all(good) {
        return Err(BlockError::BadSegments);
    }
    // At most `max_segments` pages, so the sum cannot overflow.
    let count = request.segments.iter().map(|segment| (segment.len / SECTOR_LEN) as u64).sum();
    let (sector, sectors) = (request.sector, device.sectors());
    if sector.checked_add(count).is_none_or(|end| end > sectors) {
        return Err(BlockError::OutOfRange { sector, count, sectors });
    }
    if request.operation == Operation::Write && device.read_only() {
        return Err(BlockError::ReadOnly);
    }
    Ok(count)
}
