//! Random numbers: ChaCha20, seeded by the CPU's generator and by timing, with fast key erasure.
//!
//! Every request draws a new key from the stream before it gives anything out, so that a later leak of the state tells
//! nothing of earlier output. Lock: `GENERATOR`, rank `Table`, held for a block at a time.

use machine::cpu::random as hardware;
use machine::sync::{Rank, SpinLock};
use machine::time;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

static GENERATOR: SpinLock<Option<ChaCha20Rng>> = SpinLock::new("random generator", Rank::Random, None);

/// Fills `out` with random bytes.
pub fn fill(out: &mut [u8]) {
    for chunk in out.chunks_mut(512) {
        let mut generator = GENERATOR.lock();
        let current = generator.get_or_insert_with(|| ChaCha20Rng::from_seed(first_seed()));
        let mut next_key = [0; 32];
        current.fill_bytes(&mut next_key);
        current.fill_bytes(chunk);
        *generator = Some(ChaCha20Rng::from_seed(next_key));
    }
}

/// A random number.
pub fn number() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Mixes `entropy` into the generator.
pub fn add_entropy(entropy: &[u8]) {
    let mut generator = GENERATOR.lock();
    let mut key = [0; 32];
    generator.get_or_insert_with(|| ChaCha20Rng::from_seed(first_seed())).fill_bytes(&mut key);
    for (index, byte) in entropy.iter().enumerate() {
        key[index % 32] ^= byte;
        if index % 32 == 31 {
            ChaCha20Rng::from_seed(key).fill_bytes(&mut key);
        }
    }
    *generator = Some(ChaCha20Rng::from_seed(key));
}

/// RDSEED or RDRAND where the CPU has them; the low bits of the time-stamp counter over work of varying length always.
fn first_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    for word in seed.chunks_exact_mut(8) {
        let mut value = hardware::number().unwrap_or(0);
        for round in 0..64 {
            value = value.rotate_left(7) ^ time::tsc().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for _ in 0..value >> 60 | round & 3 {
                core::hint::spin_loop();
            }
        }
        word.copy_from_slice(&value.to_le_bytes());
    }
    seed
}
