//! Structures of time: clock_gettime(2), gettimeofday(2).

use crate::pod::pod_struct;
use linux_raw_sys::general as raw;

pod_struct! {
    /// `struct timespec`.
    Timespec, 16 as raw::timespec {
        0 sec: i64,
        8 nsec: i64,
    }
}

pod_struct! {
    /// `struct timeval`.
    Timeval, 16 as raw::timeval {
        0 sec: i64,
        8 usec: i64,
    }
}
