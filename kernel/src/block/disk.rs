//! A disk or a partition of one: a range of a driver's device under a name and a number, with counts of what it did.
//!
//! No lock: what changes are atomics. Counts are taken in interrupts, too.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use drivers::block::{BlockDevice, Operation};
use machine::time;

/// A disk or a partition.
pub struct Disk {
    name: String,
    number: (u32, u32),
    device: Arc<dyn BlockDevice>,
    /// What it is a part of.
    whole: Option<Arc<Disk>>,
    /// 0 for a whole disk.
    partition: u32,
    start: u64,
    sectors: u64,
    /// Writing is refused although the device could.
    protected: AtomicBool,
    statistics: Statistics,
}

impl Disk {
    /// All of `device`, under the number `number` (major, minor).
    pub fn whole(device: Arc<dyn BlockDevice>, number: (u32, u32)) -> Arc<Disk> {
        Arc::new(Disk {
            name: device.name().to_string(),
            number,
            whole: None,
            partition: 0,
            start: 0,
            sectors: device.sectors(),
            protected: AtomicBool::new(false),
            statistics: Statistics::default(),
            device,
        })
    }

    /// Partition `partition` of `whole`: `sectors` from sector `start` on, which are inside.
    pub fn part(whole: &Arc<Disk>, partition: u32, start: u64, sectors: u64, number: (u32, u32)) -> Arc<Disk> {
        // As Linux: a `p` between two numbers.
        let separator = if whole.name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
        Arc::new(Disk {
            name: format!("{}{separator}{partition}", whole.name),
            number,
            device: whole.device.clone(),
            whole: Some(whole.clone()),
            partition,
            start,
            sectors,
            protected: AtomicBool::new(false),
            statistics: Statistics::default(),
        })
    }

    /// What it is called: `vda1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Major and minor number.
    pub fn number(&self) -> (u32, u32) {
        self.number
    }

    /// The driver's device.
    pub fn device(&self) -> &Arc<dyn BlockDevice> {
        &self.device
    }

    /// The disk that it is a partition of.
    pub fn parent(&self) -> Option<&Arc<Disk>> {
        self.whole.as_ref()
    }

    /// Which partition; 0 for a whole disk.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// Its first sector on the device.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Its length in sectors.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Whether writing is refused: by the device, or by [`Disk::protect`] of it or of the whole disk.
    pub fn read_only(&self) -> bool {
        self.device.read_only()
            || self.protected.load(Ordering::Relaxed)
            || self.whole.as_ref().is_some_and(|whole| whole.read_only())
    }

    /// Refuses writing from now on, or not any more.
    pub fn protect(&self, protected: bool) {
        self.protected.store(protected, Ordering::Relaxed);
    }

    /// What it did.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Counts the start of a request, now, here and for the whole disk.
    pub(super) fn begin(&self, now_ns: u64) {
        self.each(|statistics| statistics.begin(now_ns));
    }

    /// Counts the end of a request that began at `started_ns`.
    pub(super) fn end(&self, operation: Operation, sectors: u64, started_ns: u64) {
        let now = time::since_boot_ns();
        self.each(|statistics| statistics.end(operation, sectors, started_ns, now));
    }

    fn each(&self, count: impl Fn(&Statistics)) {
        count(&self.statistics);
        if let Some(whole) = &self.whole {
            count(&whole.statistics);
        }
    }
}

/// Counts of one kind of requests that have ended.
#[derive(Default)]
pub struct Counts {
    /// Requests.
    pub requests: AtomicU64,
    /// Sectors that they moved.
    pub sectors: AtomicU64,
    /// How long they took together.
    pub time_ns: AtomicU64,
}

/// What a disk did since boot.
#[derive(Default)]
pub struct Statistics {
    /// Reads.
    pub reads: Counts,
    /// Writes.
    pub writes: Counts,
    /// Flushes.
    pub flushes: Counts,
    /// Requests under way.
    pub under_way: AtomicU32,
    /// How long there were any.
    pub busy_ns: AtomicU64,
    /// When `busy_ns` was last brought up to date.
    seen_ns: AtomicU64,
}

impl Statistics {
    fn begin(&self, now: u64) {
        let before = self.seen_ns.swap(now, Ordering::Relaxed);
        if self.under_way.fetch_add(1, Ordering::Relaxed) > 0 {
            self.busy_ns.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
        }
    }

    fn end(&self, operation: Operation, sectors: u64, started: u64, now: u64) {
        let before = self.seen_ns.swap(now, Ordering::Relaxed);
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        self.busy_ns.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
        let counts = match operation {
            Operation::Read => &self.reads,
            Operation::Write => &self.writes,
            Operation::Flush => &self.flushes,
        };
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.sectors.fetch_add(sectors, Ordering::Relaxed);
        counts.time_ns.fetch_add(now.saturating_sub(started), Ordering::Relaxed);
    }
}
