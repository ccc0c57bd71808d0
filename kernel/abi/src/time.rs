//! Times and clocks as user programs give and get them (`clock_gettime(2)`, `setitimer(2)`, `timerfd_settime(2)`).

use core::time::Duration;

use linux_raw_sys::general as raw;
/// The clocks.
pub use raw::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, CLOCK_REALTIME_COARSE, CLOCK_TAI,
    CLOCK_THREAD_CPUTIME_ID, ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL, TIMER_ABSTIME, UTIME_NOW, UTIME_OMIT,
};

use crate::errno::Errno;
use crate::pod::pod_struct;

/// Nanoseconds in a second.
const NANOS_PER_SEC: i64 = 1_000_000_000;
/// Microseconds in a second.
const MICROS_PER_SEC: i64 = 1_000_000;

pod_struct! {
    /// Seconds and nanoseconds.
    pub struct Timespec = raw::__kernel_timespec {
        /// Seconds.
        pub tv_sec: i64,
        /// Nanoseconds, 0 to 999,999,999 in a valid one.
        pub tv_nsec: i64,
    }
}

pod_struct! {
    /// Seconds and microseconds.
    pub struct Timeval = raw::__kernel_old_timeval {
        /// Seconds.
        pub tv_sec: i64,
        /// Microseconds, 0 to 999,999 in a valid one.
        pub tv_usec: i64,
    }
}

pod_struct! {
    /// A periodic timer for `timer_settime(2)` and `timerfd_settime(2)`.
    pub struct Itimerspec = raw::itimerspec {
        /// Period; zero for a timer that fires once.
        pub it_interval: Timespec,
        /// Time to the next expiration; zero disarms.
        pub it_value: Timespec,
    }
}

pod_struct! {
    /// A periodic timer for `setitimer(2)`.
    pub struct Itimerval = raw::itimerval {
        /// Period; zero for a timer that fires once.
        pub it_interval: Timeval,
        /// Time to the next expiration; zero disarms.
        pub it_value: Timeval,
    }
}

pod_struct! {
    /// The obsolete time zone of `gettimeofday(2)`.
    pub struct Timezone = raw::timezone {
        /// Minutes west of Greenwich.
        pub tz_minuteswest: i32,
        /// Kind of summer time.
        pub tz_dsttime: i32,
    }
}

impl Timespec {
    /// The time span that a user program asks to wait. `EINVAL` if negative or with too many nanoseconds, as
    /// `nanosleep(2)` says.
    pub fn to_duration(self) -> Result<Duration, Errno> {
        if !(0..NANOS_PER_SEC).contains(&self.tv_nsec) {
            return Err(Errno::EINVAL);
        }
        let seconds = u64::try_from(self.tv_sec).map_err(|_| Errno::EINVAL)?;
        Ok(Duration::new(seconds, self.tv_nsec as u32))
    }
}

impl From<Duration> for Timespec {
    /// Spans that do not fit become the longest one that does.
    fn from(span: Duration) -> Timespec {
        let tv_sec = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Timespec { tv_sec, tv_nsec: i64::from(span.subsec_nanos()) }
    }
}

impl Timeval {
    /// As [`Timespec::to_duration`].
    pub fn to_duration(self) -> Result<Duration, Errno> {
        if !(0..MICROS_PER_SEC).contains(&self.tv_usec) {
            return Err(Errno::EINVAL);
        }
        Timespec { tv_sec: self.tv_sec, tv_nsec: self.tv_usec * 1000 }.to_duration()
    }
}

impl From<Duration> for Timeval {
    /// Rounds down to microseconds; spans that do not fit become the longest one that does.
    fn from(span: Duration) -> Timeval {
        let Timespec { tv_sec, tv_nsec } = span.into();
        Timeval { tv_sec, tv_usec: tv_nsec / 1000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_both_ways() {
        let span = Duration::new(5, 7_000_123);
        assert_eq!(Timespec::from(span).to_duration(), Ok(span));
        assert_eq!(Timeval::from(span), Timeval { tv_sec: 5, tv_usec: 7000 });
        assert_eq!(Timespec::from(Duration::MAX).tv_sec, i64::MAX);
    }

    #[test]
    fn impossible_spans_are_invalid() {
        for (tv_sec, tv_nsec) in [(-1, 0), (0, -1), (0, NANOS_PER_SEC), (i64::MIN, 0)] {
            assert_eq!(Timespec { tv_sec, tv_nsec }.to_duration(), Err(Errno::EINVAL));
        }
        for (tv_sec, tv_usec) in [(-1, 0), (0, -1), (0, MICROS_PER_SEC), (0, i64::MAX)] {
            assert_eq!(Timeval { tv_sec, tv_usec }.to_duration(), Err(Errno::EINVAL));
        }
    }
}
