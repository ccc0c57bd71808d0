//! Event tracing: each CPU writes fixed records (`klib::trace`) into a ring of its own.
//!
//! While tracing is off, a place that could note something costs one load and one branch, on [`on`]. The rings are
//! taken from the heap when it is switched on. A CPU writes to its ring with interrupts off and without a lock, from any
//! context but an NMI; the oldest records are overwritten, and counted as lost.
//!
//! Invariants: only the CPU itself writes to its ring, through the pointer in [`RING`], which is null while tracing is off;
//! rings are read and freed only when, after those pointers went, every CPU has taken an interrupt, so that none
//! is in the middle of a record. [`RINGS`] is a sleeping lock around what the kernel proper switches, reads and frees.

use crate::cpu::{self, CpuId};
use crate::mm;
use crate::percpu;
use crate::sync::{IrqGuard, Mutex, MutexGuard};
use crate::task;
use crate::time;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::arch::asm;
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering};
use klib::trace::file::CpuPart;
use klib::trace::{Event, Record, Words};

/// What there is to note for: one bit for the rings, one for [`Watching`].
static ON: AtomicU8 = AtomicU8::new(0);
const RECORDING: u8 = 1;
const WATCHING: u8 = 2;
/// How many want to be told of system calls.
static WATCHERS: Mutex<usize> = Mutex::new("watched system calls", 0);

percpu! {
    static RING: AtomicPtr<Ring> = AtomicPtr::new(ptr::null_mut());
}

static RINGS: Mutex<Rings> = Mutex::new("trace", Rings { of_cpus: Vec::new(), end_ns: 0 });

/// Records of one CPU.
struct Ring {
    cpu: CpuId,
    slots: Vec<[AtomicU64; 4]>,
    /// Records written since tracing was switched on.
    written: AtomicU64,
}

struct Rings {
    of_cpus: Vec<Arc<Ring>>,
    end_ns: u64,
}

/// Why tracing does not do what it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It is on.
    IsOn,
    /// It is off.
    IsOff,
    /// There is no memory for the rings.
    OutOfMemory,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::IsOn => "tracing is on; `trace off` ends it",
            Refused::IsOff => "tracing is off",
            Refused::OutOfMemory => "no memory for the rings",
        })
    }
}

/// Whether events are to be noted, or system calls watched.
#[inline(always)]
pub fn on() -> bool {
    // A comparison in memory: of an atomic load the compiler makes one instruction more.
    // SAFETY: (1) reads one byte that is never written but atomically; no other effect.
    unsafe {
        asm!("cmp byte ptr [{}], 0", "jne {}", sym ON, label { return true }, options(nostack, readonly));
    }
    false
}

fn recording() -> bool {
    ON.load(Ordering::Relaxed) & RECORDING != 0
}

/// As long as it lives [`on`] is true, so that the kernel proper looks at each system call. Nothing is recorded for it.
#[derive(Debug)]
pub struct Watching(());

impl Watching {
    /// Begins. May sleep, as its end.
    pub fn begin() -> Watching {
        let mut watchers = WATCHERS.lock();
        *watchers += 1;
        ON.fetch_or(WATCHING, Ordering::Relaxed);
        Watching(())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watchers = WATCHERS.lock();
        *watchers -= 1;
        if *watchers == 0 {
            ON.fetch_and(!WATCHING, Ordering::Relaxed);
        }
    }
}

/// Notes an event of the task that runs here. In any context but an NMI; nothing happens when tracing is off.
#[cold]
#[inline(never)]
pub fn note(event: Event) {
    note_for(task::try_current().map_or(0, |task| task.id()), event);
}

/// Notes an event that is about another task.
#[cold]
#[inline(never)]
pub fn note_for(task: u64, event: Event) {
    let guard = IrqGuard::new();
    // SAFETY: (1) the pointer comes from an `Arc` in `RINGS`, which lives until, after the pointer went, this CPU has
    // taken an interrupt; and it takes none as long as the guard is there.
    let Some(ring) = (unsafe { RING.get(&guard).load(Ordering::Acquire).as_ref() }) else { return };
    let words = Record { ns: time::since_boot_ns(), task: task as u32, event }.encode();
    let written = ring.written.load(Ordering::Relaxed);
    for (slot, word) in ring.slots[(written % ring.slots.len() as u64) as usize].iter().zip(words) {
        slot.store(word, Ordering::Relaxed);
    }
    ring.written.store(written + 1, Ordering::Relaxed);
}

/// Begins a trace with room for `records` on each CPU; what was traced before is forgotten. May sleep.
pub fn start(records: usize) -> Result<(), Refused> {
    let mut rings = RINGS.lock();
    if recording() {
        return Err(Refused::IsOn);
    }
    rings.of_cpus = Vec::new();
    let mut new = Vec::new();
    for cpu in cpu::online() {
        let mut slots = Vec::new();
        slots.try_reserve_exact(records.max(1)).map_err(|_| Refused::OutOfMemory)?;
        slots.resize_with(records.max(1), Default::default);
        new.push(Arc::new(Ring { cpu, slots, written: AtomicU64::new(0) }));
    }
    for ring in &new {
        if let Some(pointer) = RING.on(ring.cpu) {
            pointer.store(Arc::as_ptr(ring).cast_mut(), Ordering::Release);
        }
    }
    rings.of_cpus = new;
    ON.fetch_or(RECORDING, Ordering::Release);
    Ok(())
}

/// Ends the trace, which can be read then. May sleep.
pub fn stop() -> Result<(), Refused> {
    let mut rings = RINGS.lock();
    if !recording() {
        return Err(Refused::IsOff);
    }
    ON.fetch_and(!RECORDING, Ordering::Relaxed);
    for ring in &rings.of_cpus {
        if let Some(pointer) = RING.on(ring.cpu) {
            pointer.store(ptr::null_mut(), Ordering::Release);
        }
    }
    // Who has read the pointer before has interrupts off until the record is written.
    mm::synchronize_cpus(cpu::online_mask());
    rings.end_ns = time::since_boot_ns();
    Ok(())
}

/// A trace that has ended; nobody starts another as long as this lives.
pub struct Ended(MutexGuard<'static, Rings>);

/// The trace that was ended last. May sleep.
pub fn ended() -> Result<Ended, Refused> {
    let rings = RINGS.lock();
    if recording() { Err(Refused::IsOn) } else { Ok(Ended(rings)) }
}

impl Ended {
    /// What there is of each CPU. Nothing before the first trace.
    pub fn cpus(&self) -> Vec<CpuPart> {
        self.0.of_cpus.iter().map(|ring| ring.part()).collect()
    }

    /// The words of a record: of the n-th CPU in [`Ended::cpus`] the one at `index`, oldest first.
    pub fn record(&self, cpu: usize, index: usize) -> Option<Words> {
        let ring = self.0.of_cpus.get(cpu)?;
        let CpuPart { count, lost, .. } = ring.part();
        let slot = &ring.slots[((lost + index as u64) % ring.slots.len() as u64) as usize];
        ((index as u64) < count).then(|| core::array::from_fn(|word| slot[word].load(Ordering::Relaxed)))
    }

    /// When it ended, in ns since boot.
    pub fn end_ns(&self) -> u64 {
        self.0.end_ns
    }

    /// Gives its memory back.
    pub fn forget(mut self) {
        self.0.of_cpus = Vec::new();
    }
}

impl Ring {
    fn part(&self) -> CpuPart {
        let written = self.written.load(Ordering::Relaxed);
        let count = written.min(self.slots.len() as u64);
        CpuPart { cpu: self.cpu.number(), count, lost: written - count }
    }
}
