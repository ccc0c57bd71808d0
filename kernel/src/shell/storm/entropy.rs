//! The entropy source's part of a storm.

use super::Weather;
use alloc::string::{String, ToString};
use drivers::rng::RandomSource;

/// Bytes of each read.
const LEN: usize = 64;

/// Reads until the storm ends; how often.
pub fn work(weather: &Weather, source: &dyn RandomSource) -> Result<u64, String> {
    let (mut bytes, mut before) = ([0; LEN], [0; LEN]);
    let mut reads = 0;
    while weather.goes_on() {
        source.read(&mut bytes).map_err(|error| error.to_string())?;
        if bytes == before {
            return Err("the entropy source gave the same bytes twice".into());
        }
        before = bytes;
        reads += 1;
    }
    Ok(reads)
}
