//! The time of day, for time stamps. Whoever keeps it gives it at start ([`super::init`]); before that it is 1970.

use super::inode::Time;
use machine::sync::Once;

static NOW: Once<fn() -> Time> = Once::new();

/// Takes the clock. Only the first call counts.
pub(super) fn set(now: fn() -> Time) {
    NOW.call_once(|| now);
}

/// Seconds and nanoseconds since 1970.
pub(super) fn now() -> Time {
    NOW.get().map_or((0, 0), |now| now())
}
