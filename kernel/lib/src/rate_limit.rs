//! A limit on how often something is said that a program can bring about as often as it likes.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Lets at most `most` through in each interval. Those who come at once may be a few more or less.
pub struct RateLimit {
    most: u32,
    interval_ns: u64,
    /// When the interval began, in ns; 0 before the first.
    began_ns: AtomicU64,
    passed: AtomicU32,
    refused: AtomicU32,
}

impl RateLimit {
    /// At most `most` in `interval_ns`.
    pub const fn new(most: u32, interval_ns: u64) -> Self {
        RateLimit {
            most,
            interval_ns,
            began_ns: AtomicU64::new(0),
            passed: AtomicU32::new(0),
            refused: AtomicU32::new(0),
        }
    }

    /// Whether one may pass at `now_ns`, which does not get less; if so, how many have been refused since the last did.
    pub fn pass(&self, now_ns: u64) -> Option<u32> {
        let began_ns = self.began_ns.load(Ordering::Relaxed);
        let is_over = now_ns.saturating_sub(began_ns) >= self.interval_ns || began_ns == 0;
        let begins = || self.began_ns.compare_exchange(began_ns, now_ns, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_over && begins() {
            self.passed.store(0, Ordering::Relaxed);
        }
        if self.passed.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(self.refused.swap(0, Ordering::Relaxed));
        }
        self.passed.fetch_sub(1, Ordering::Relaxed);
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimit;

    #[test]
    fn so_many_in_an_interval_and_the_next_tells_of_the_others() {
        let limit = RateLimit::new(2, 100);
        let passes = [10, 20, 30, 109, 110, 111, 112, 400].map(|now| limit.pass(now));
        assert_eq!(passes, [Some(0), Some(0), None, None, Some(2), Some(0), None, Some(1)]);
    }

    #[test]
    fn what_comes_at_once_is_counted() {
        let limit = RateLimit::new(5, 1_000_000);
        let passed: usize = std::thread::scope(|scope| {
            let each = || (0..1000).filter(|_| limit.pass(7).is_some()).count();
            let threads = [(); 4].map(|()| scope.spawn(each));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // Whoever looks while one that is refused counts may be refused, too; nobody passes too many.
        assert!((1..=5).contains(&passed), "{passed} passed");
        assert_eq!(limit.pass(2_000_000), Some(4000 - passed as u32));
    }
}
