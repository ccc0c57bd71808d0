//! When which stage of the boot was reached, for `boot-info`: TSC values, turned into microseconds when read, since the
//! first ones come before the TSC is calibrated.

use crate::time;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const MAX_STAGES: usize = 32;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static TICKS: [AtomicU64; MAX_STAGES] = [const { AtomicU64::new(0) }; MAX_STAGES];
static NAMES: [spin::Once<&'static str>; MAX_STAGES] = [const { spin::Once::new() }; MAX_STAGES];

/// Notes that `stage` is done.
pub fn mark(stage: &'static str) {
    let index = COUNT.fetch_add(1, Ordering::Relaxed);
    if index < MAX_STAGES {
        TICKS[index].store(time::ticks_since_boot(), Ordering::Relaxed);
        NAMES[index].call_once(|| stage);
    }
}

/// The stages with the microseconds from multiboot entry to their ends.
pub fn stages() -> impl Iterator<Item = (&'static str, u64)> {
    NAMES.iter().zip(&TICKS).map_while(|(name, ticks)| {
        name.get().map(|name| (*name, time::ticks_to_ns(ticks.load(Ordering::Relaxed)) / 1000))
    })
}
