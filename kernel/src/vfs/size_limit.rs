//! How large the process that works may make a file (RLIMIT_FSIZE, setrlimit(2)). Whoever keeps processes tells that, and is
//! told when one wanted more ([`set_size_limit`]); before that there is no limit.

use super::Result;
use abi::Errno;
use machine::sync::Once;

/// The limit of whoever asks.
pub struct SizeLimit {
    /// Bytes a regular file may have after a write or a change of its size.
    pub get: fn() -> u64,
    /// Called when that is not enough.
    pub exceeded: fn(),
}

static LIMIT: Once<SizeLimit> = Once::new();

/// Takes the limit. Only the first call counts.
pub fn set_size_limit(limit: SizeLimit) {
    LIMIT.call_once(|| limit);
}

/// Where a write that begins at `start`, of at least a byte, has to end; EFBIG if it may not even begin.
pub(super) fn check_write(start: u64) -> Result<u64> {
    let Some(limit) = LIMIT.get() else { return Ok(u64::MAX) };
    let end = (limit.get)();
    if start >= end {
        (limit.exceeded)();
        return Err(Errno::EFBIG);
    }
    Ok(end)
}

/// EFBIG if a file may not grow to `size`.
pub(super) fn check_growth(size: u64) -> Result<()> {
    if size == 0 { Ok(()) } else { check_write(size - 1).map(|_| ()) }
}
