//! Writing back what was changed: the list of file systems that have a device, the task that does it by age and amount,
//! and holding up those who write faster than devices can.
//!
//! Changes are written when they are [`AGE_MS`] old, earlier if a sixteenth of the memory is dirty; a writer that finds
//! an eighth dirty does it itself. The task sleeps for as long as there is nothing to write.
//!
//! Lock: `SYSTEMS` (rank Table), never held while a file system is called.

use super::Result;
use super::inode::FileSystem;
use super::page_cache::dirty_total;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use core::time::Duration;
use machine::mm::frame;
use machine::sync::{Once, Rank, SpinLock, WaitQueue};
use machine::time;

/// How old a change may get before it is written.
const AGE_MS: u64 = 5000;
/// How often the task looks while there is something to write.
const LOOK_AGAIN: Duration = Duration::from_millis(1000);

static SYSTEMS: SpinLock<Vec<Weak<dyn FileSystem>>> = SpinLock::new("file systems to write", Rank::Table, Vec::new());
/// Something has been changed since the task last looked.
static CHANGED: AtomicBool = AtomicBool::new(false);
/// Somebody wants the task to look at once.
static HURRY: AtomicBool = AtomicBool::new(false);
static WAKE: WaitQueue = WaitQueue::new("changes to write");
/// Rounds over all file systems that are under way.
static ROUNDS: AtomicUsize = AtomicUsize::new(0);
/// Rounds that are just letting go of file systems, which may be the end of these.
static LETTING_GO: AtomicUsize = AtomicUsize::new(0);
static ROUND_ENDED: WaitQueue = WaitQueue::new("write-back to let go of a file system");

/// Puts a file system on the list. The first one starts the task.
pub(super) fn register(system: Weak<dyn FileSystem>) {
    static STARTED: Once<()> = Once::new();
    {
        let mut systems = SYSTEMS.lock();
        systems.retain(|system| system.strong_count() > 0);
        systems.push(system);
    }
    STARTED.call_once(|| {
        if crate::sched::spawn("write-back", run).is_err() {
            log::error!("no memory for the write-back task: changes are written by sync alone");
        }
    });
}

static ALSO: Once<fn()> = Once::new();

/// Has `also` called whenever the task looks. The first call counts.
pub(super) fn set_also(also: fn()) {
    ALSO.call_once(|| also);
}

/// When the oldest change of a file system was made that may not be safe on its device yet.
pub(super) struct Unwritten {
    /// In ms since boot; 0 if there is none.
    since_ms: AtomicU64,
}

impl Unwritten {
    /// Nothing has been changed.
    pub const fn new() -> Self {
        Unwritten { since_ms: AtomicU64::new(0) }
    }

    /// Something has been changed, and is to be written in time.
    pub fn note(&self) {
        let _ = self.since_ms.compare_exchange(0, now_ms(), Ordering::Relaxed, Ordering::Relaxed);
        changed();
    }

    /// What has been changed so far is about to be written.
    pub fn clear(&self) {
        self.since_ms.store(0, Ordering::Relaxed);
    }

    /// How old the oldest change is, in ms.
    pub fn age_ms(&self) -> Option<u64> {
        let since = self.since_ms.load(Ordering::Relaxed);
        (since != 0).then(|| now_ms().saturating_sub(since))
    }
}

/// Never 0.
fn now_ms() -> u64 {
    (time::since_boot_ns() / 1_000_000).max(1)
}

/// Something has been changed that is to be written in time.
fn changed() {
    if !CHANGED.swap(true, Ordering::Relaxed) {
        WAKE.wake_all();
    }
}

/// There is something to free or to write now.
pub(super) fn hurry() {
    HURRY.store(true, Ordering::Relaxed);
    WAKE.wake_all();
}

/// Called after each write, without locks: lets those who write too fast do the writing back.
pub(super) fn throttle() {
    let total = frame::total();
    let dirty = dirty_total();
    if dirty > total / 8 {
        // An error is for those who sync.
        let _ = sync_all();
    } else if dirty > total / 16 {
        hurry();
    }
}

/// Writes everything back that devices do not have yet, as `sync(2)`. The first error, after all have been tried.
pub fn sync_all() -> Result<()> {
    all(|system| system.sync())
}

/// As [`sync_all`], and leaves all file systems as an unmount would. For the end of the machine; whoever still writes gets
/// EROFS.
pub fn finish_all() -> Result<()> {
    all(|system| system.finish())
}

/// Does `work` with all, whether or not it fails with some; the first error.
fn all(work: impl Fn(&dyn FileSystem) -> Result<()>) -> Result<()> {
    let mut result = Ok(());
    for system in &Round::begin().systems {
        result = result.and(work(&**system));
    }
    result
}

/// Sleeps until no round keeps `system`, which nobody else uses any more: only then its device is free.
pub(super) fn wait_until_let_go(system: &Weak<dyn FileSystem>) {
    ROUND_ENDED.wait(|| (is_gone(system) || ROUNDS.load(Ordering::SeqCst) == 0).then_some(()));
}

/// Whether nobody has it, and nobody is just taking it apart.
fn is_gone(system: &Weak<dyn FileSystem>) -> bool {
    let unused = system.strong_count() == 0;
    // Whoever was the last to have it, in a round, had counted itself before.
    fence(Ordering::SeqCst);
    unused && LETTING_GO.load(Ordering::SeqCst) == 0
}

/// All file systems, which cannot go while this is there.
struct Round {
    systems: Vec<Arc<dyn FileSystem>>,
}

impl Round {
    fn begin() -> Self {
        ROUNDS.fetch_add(1, Ordering::SeqCst);
        Round { systems: SYSTEMS.lock().iter().filter_map(Weak::upgrade).collect() }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        LETTING_GO.fetch_add(1, Ordering::SeqCst);
        self.systems.clear();
        LETTING_GO.fetch_sub(1, Ordering::SeqCst);
        ROUNDS.fetch_sub(1, Ordering::SeqCst);
        ROUND_ENDED.wake_all();
    }
}

fn run() {
    loop {
        WAKE.wait(|| (CHANGED.swap(false, Ordering::Relaxed) || HURRY.load(Ordering::Relaxed)).then_some(()));
        loop {
            let deadline = time::now() + LOOK_AGAIN;
            // The end of the wait is as good a reason as the other.
            let _ = WAKE.wait_until(Some(deadline), || false, || HURRY.swap(false, Ordering::Relaxed).then_some(()));
            if !look() {
                break;
            }
        }
    }
}

/// Writes what is due. Whether there is more to come.
fn look() -> bool {
    if let Some(also) = ALSO.get() {
        also();
    }
    let many = dirty_total() > frame::total() / 16;
    let mut more = false;
    for system in &Round::begin().systems {
        system.settle();
        let Some(age_ms) = system.unwritten_ms() else { continue };
        if many || age_ms >= AGE_MS {
            if let Err(error) = system.sync() {
                log::error!("writing back {}: {error}", system.type_name());
            }
        } else {
            more = true;
        }
    }
    more
}
