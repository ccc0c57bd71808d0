//! Entropy sources.

pub mod virtio_rng;

use core::fmt;

/// Why there are no random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RandomError {
    /// The device did not answer in time.
    Timeout,
    /// The device broke its protocol and is not used any more.
    DeviceBroken,
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RandomError::Timeout => write!(f, "the entropy source did not answer in time"),
            RandomError::DeviceBroken => write!(f, "the entropy source misbehaved and was switched off"),
        }
    }
}

impl core::error::Error for RandomError {}

/// A source of random bytes that is worth seeding a generator with.
pub trait RandomSource: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// Fills `out`. Sleeps.
    fn read(&self, out: &mut [u8]) -> Result<(), RandomError>;

    /// Requests sent to the device, and answered by it, ever.
    fn requests(&self) -> (u64, u64);
}
