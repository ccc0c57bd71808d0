//! A limit on how often something is said that a program can bring about as often as it likes.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bits of the state that count.
const COUNT_BITS: u32 = 16;

/// Lets so many through in each of the intervals that time is divided into.
pub struct RateLimit {
    most: u16,
    interval_ns: u64,
    /// Number of the interval, and how many have passed in it: one word, so that exactly as many do.
    state: AtomicU64,
    refused: AtomicU32,
}

impl RateLimit {
    /// At most `most` in each `interval_ns`.
    pub const fn new(most: u16, interval_ns: u64) -> Self {
        RateLimit { most, interval_ns, state: AtomicU64::new(0), refused: AtomicU32::new(0) }
    }

    /// Whether one may pass at `now_ns`; if so, how many have been refused since the last did.
    pub fn pass(&self, now_ns: u64) -> Option<u32> {
        let interval = now_ns / self.interval_ns;
        let one_more = |state: u64| {
            let passed = if state >> COUNT_BITS == interval { state as u16 } else { 0 };
            (passed < self.most).then(|| interval << COUNT_BITS | u64::from(passed + 1))
        };
        match self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Some(self.refused.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimit;

    #[test]
    fn so_many_in_an_interval_and_the_next_tells_of_the_others() {
        let limit = RateLimit::new(2, 100);
        let passes = [10, 20, 30, 109, 110, 111, 112, 400].map(|now| limit.pass(now));
        assert_eq!(passes, [Some(0), Some(0), None, Some(1), Some(0), None, None, Some(2)]);
    }

    #[test]
    fn of_those_who_come_at_once_exactly_so_many_pass() {
        let limit = RateLimit::new(5, 1_000_000);
        let passed: usize = std::thread::scope(|scope| {
            let each = || (0..1000).filter(|_| limit.pass(7).is_some()).count();
            let threads = [(); 4].map(|()| scope.spawn(each));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 5);
        // Of the others some may have been told of to those five.
        assert!(limit.pass(2_000_000).is_some_and(|refused| refused <= 3995));
    }
}
