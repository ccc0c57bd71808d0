//! Timers that are read (`timerfd_create(2)`).
//!
//! What has expired is computed from the clock when it is asked for, so nothing is counted in interrupts; the timer's
//! interrupt only wakes. It is armed whenever the timer is set or read, by a task; as on Linux, what expires while an
//! earlier expiration has not been read wakes nobody.
//! There is one clock here, the time since boot: the wall clock is that plus a constant.

use super::eventfd::attempt;
use crate::clock;
use crate::sched::timer::{self, Armed};
use crate::vfs::{File, FileOperations, Result, Sink, flags};
use abi::Errno;
use alloc::sync::Arc;
use core::time::Duration;
use machine::sync::{Rank, SpinLock, WaitQueue, Watch, Watcher};
use machine::time::{self, Instant};

/// Bytes of a read.
const LEN: usize = 8;

/// A timer as a file.
pub struct TimerFile {
    /// Absolute times are those of the wall clock.
    realtime: bool,
    state: SpinLock<State>,
    bell: Arc<Bell>,
}

/// What the interrupt of a timer rings.
struct Bell {
    expired: WaitQueue,
}

#[derive(Default)]
struct State {
    /// First expiration that has not been read; None while the timer is not set.
    next: Option<Instant>,
    /// Zero for one that expires once.
    interval: Duration,
    armed: Option<Armed>,
}

/// What a timer is set to: time to the next expiration (zero: not set), and the interval.
pub type Setting = (Duration, Duration);

impl Watcher for Bell {
    fn woken(&self) {
        self.expired.wake_all();
    }
}

/// A new timer, which is not set. `file_flags` may hold `O_NONBLOCK`.
pub fn new(realtime: bool, file_flags: u32) -> Arc<File> {
    let timer = TimerFile {
        realtime,
        state: SpinLock::new("timer file", Rank::File, State::default()),
        bell: Arc::new(Bell { expired: WaitQueue::new("timer to expire") }),
    };
    File::new_device(Arc::new(timer), file_flags & flags::O_NONBLOCK | flags::O_RDWR)
}

impl TimerFile {
    /// Sets the timer to expire after `value`, or at the time `value` of its clock if `absolute`, and then every
    /// `interval` unless that is zero; a `value` of zero stops it. What it was set to.
    pub fn set(&self, absolute: bool, value: Duration, interval: Duration) -> Setting {
        let now = time::now();
        let next = match (value.is_zero(), absolute) {
            (true, _) => None,
            (false, false) => Some(now + value),
            (false, true) => Some(Instant::default() + value.saturating_sub(self.clock_offset(now))),
        };
        let old = {
            let mut state = self.state.lock();
            let old = state.setting(now);
            (state.next, state.interval) = (next, interval);
            self.arm(&mut state, now);
            old
        };
        // Whoever waits looks at the new setting.
        self.bell.expired.wake_all();
        old
    }

    /// What it is set to.
    pub fn get(&self) -> Setting {
        self.state.lock().setting(time::now())
    }

    /// What its clock showed at boot.
    fn clock_offset(&self, now: Instant) -> Duration {
        let boot_ns = if self.realtime { clock::realtime_ns().saturating_sub(now.as_ns()) } else { 0 };
        Duration::from_nanos(boot_ns)
    }

    /// Arms the interrupt for the first expiration that has not been read, if that is to come.
    fn arm(&self, state: &mut State, now: Instant) {
        if let Some(armed) = state.armed.take() {
            timer::disarm(armed);
        }
        let due = state.next.filter(|&next| next > now);
        state.armed = due.map(|due| timer::arm(due, Watch::Other(self.bell.clone())));
    }

    /// Takes the number of expirations since the last read, if there are any.
    fn take(&self) -> Option<u64> {
        let now = time::now();
        let mut state = self.state.lock();
        let count = state.expirations(now);
        if count > 0 {
            state.next = state.next_after(now);
            self.arm(&mut state, now);
        }
        (count > 0).then_some(count)
    }
}

impl State {
    /// Expirations up to `now` that have not been read.
    fn expirations(&self, now: Instant) -> u64 {
        match self.next {
            Some(next) if next <= now && self.interval.is_zero() => 1,
            Some(next) if next <= now => 1 + (now.as_ns() - next.as_ns()) / self.interval_ns(),
            _ => 0,
        }
    }

    /// The first expiration after `now`.
    fn next_after(&self, now: Instant) -> Option<Instant> {
        let next = self.next?;
        match self.expirations(now) {
            0 => Some(next),
            _ if self.interval.is_zero() => None,
            // Beyond the end of time it does not expire.
            past => Some(Instant::from_ns(next.as_ns().checked_add(past.checked_mul(self.interval_ns())?)?)),
        }
    }

    fn setting(&self, now: Instant) -> Setting {
        // Zero would say that it is not set.
        let left = |next: Instant| (next - now).max(Duration::from_nanos(1));
        (self.next_after(now).map_or(Duration::ZERO, left), self.interval)
    }

    fn interval_ns(&self) -> u64 {
        u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

impl Drop for TimerFile {
    fn drop(&mut self) {
        if let Some(armed) = self.state.get_mut().armed.take() {
            timer::disarm(armed);
        }
    }
}

impl FileOperations for TimerFile {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        if sink.remaining() < LEN {
            return Err(Errno::EINVAL);
        }
        let count = attempt(&self.bell.expired, file_flags, || self.take())?;
        sink.put(&count.to_le_bytes())?;
        Ok(LEN)
    }

    fn poll(&self) -> u32 {
        if self.state.lock().expirations(time::now()) > 0 { flags::POLLIN } else { 0 }
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.bell.expired), None]
    }

    fn link_name(&self) -> &'static str {
        "anon_inode:[timerfd]"
    }

    fn mode(&self) -> u32 {
        0o600
    }
}
