//! Timers that send signals: alarm(2), setitimer(2), timer_create(2).
//!
//! One kernel task serves those that go by real time: it sleeps until the earliest, sends its signal, and arms it again if
//! it is periodic. Those that go by CPU time are looked at by the threads that use it up (`cpu_limit`).
//! Locks: `ARMED` (rank `Table`) or the list of a process's CPU time (rank `JobControl`), then a timer's own state (rank
//! `Process`); signals are sent with neither held.

use super::cpu_time::CpuClock;
use super::{Process, table};
use crate::sched;
use abi::Signal;
use abi::sigframe::{KernelSiginfo, SI_TIMER};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::task::Task;
use machine::time::{self, Instant};

/// What a timer does when it expires.
#[derive(Clone)]
pub enum Action {
    /// Nothing (SIGEV_NONE).
    Nothing,
    /// Wakes the task of a thread that sleeps by it.
    Wake(Arc<Task>),
    /// Sends a signal to the process.
    Signal {
        /// Which.
        signal: Signal,
        /// `si_value`.
        value: u64,
        /// `si_timerid`; None for the timer of setitimer(2), whose signal comes as from the kernel.
        timer_id: Option<i32>,
        /// The thread that gets it; 0 for any.
        tid: u32,
    },
}

/// What a timer goes by.
#[derive(Clone)]
pub enum TimerClock {
    /// Time since boot.
    Boot,
    /// The same, but absolute times are those of the wall clock.
    WallClock,
    /// CPU time.
    Cpu(CpuClock),
}

/// A timer of a process.
pub struct Timer {
    /// Never used again, so that it orders timers of equal deadline.
    serial: u64,
    process: Weak<Process>,
    action: Action,
    clock: TimerClock,
    state: SpinLock<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// When it expires next, by its clock; None while it is not armed.
    deadline: Option<Instant>,
    /// Zero for one that expires once.
    interval: Duration,
    /// Expirations beyond the first while its signal waits to be taken.
    overruns: u64,
    /// What `overruns` was when the last signal was taken.
    reported: u64,
}

impl State {
    /// If its time has come: when it expires next, and how many expirations this was late by. It may have been set anew
    /// since it was seen to be due.
    fn expire(&mut self, now: Instant) -> Option<(Option<Instant>, u64)> {
        let deadline = self.deadline.take_if(|deadline| *deadline <= now)?;
        if self.interval.is_zero() {
            return Some((None, 0));
        }
        let late = (now - deadline).as_nanos() / self.interval.as_nanos();
        self.deadline = Some(deadline + self.interval * u32::try_from(late + 1).unwrap_or(u32::MAX));
        Some((self.deadline, late as u64))
    }
}

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);
static ARMED: SpinLock<BTreeMap<(Instant, u64), Arc<Timer>>> =
    SpinLock::new("armed timers", Rank::Table, BTreeMap::new());
static CHANGED: WaitQueue = WaitQueue::new("the next timer");

/// The task that serves timers. Never ends.
pub fn serve() {
    loop {
        let now = time::now();
        let (due, next) = {
            let mut armed = ARMED.lock();
            let next = armed.first_key_value().map(|(&(deadline, _), _)| deadline);
            let due = next.filter(|&next| next <= now).and_then(|_| armed.pop_first());
            (due, next)
        };
        match due {
            Some((_, timer)) => timer.expire(now),
            None => {
                let earlier = || {
                    let first = ARMED.lock().first_key_value().map(|(&(deadline, _), _)| deadline);
                    (first != next).then_some(())
                };
                // Either there is another first one, or the time has come.
                let _ = CHANGED.wait_until(next, || false, earlier);
            }
        }
    }
}

/// A signal of timer_create(2)'s timer `id` is being taken: what it tells of overruns.
pub(super) fn tell_overruns(process: &Process, info: &mut KernelSiginfo) {
    let id = info.fields[0] as u32;
    let timer = process.timers.lock().get(&(id as i32)).cloned();
    let overruns = timer.map_or(0, |timer| timer.signal_taken());
    info.fields[0] = u64::from(id) | overruns.min(i32::MAX as u64) << 32;
}

/// Takes the timers of timer_create(2) away, as execve(2) does.
pub(super) fn delete_created(process: &Process) {
    let timers = core::mem::take(&mut *process.timers.lock());
    for (_, timer) in timers.entries() {
        timer.set(None, Duration::ZERO);
    }
}

/// Takes all timers of a process away.
pub fn cancel_all(process: &Arc<Process>) {
    let gone: alloc::vec::Vec<_> = {
        let mut armed = ARMED.lock();
        armed.extract_if(.., |_, timer| core::ptr::eq(timer.process.as_ptr(), Arc::as_ptr(process))).collect()
    };
    drop(gone);
    for timer in process.interval_timers.iter().filter_map(|timer| timer.get()) {
        timer.forget_cpu_time();
    }
    delete_created(process);
    // Nobody's timers go by its clocks any more; who sleeps by one goes on.
    let measuring = core::mem::take(&mut *process.cpu_timers.lock());
    measuring.iter().for_each(|timer| timer.forget());
}

impl Timer {
    /// A timer that is not armed.
    pub fn new(process: &Arc<Process>, action: Action, clock: TimerClock) -> Arc<Timer> {
        Arc::new(Timer {
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            process: Arc::downgrade(process),
            action,
            clock,
            state: SpinLock::new("timer", Rank::Process, State::default()),
        })
    }

    /// What it goes by.
    pub fn clock(&self) -> &TimerClock {
        &self.clock
    }

    /// What its clock shows. Of CPU time of which there is no more, nothing is left to come.
    pub fn now(&self) -> Instant {
        match &self.clock {
            TimerClock::Cpu(clock) => Instant::from_ns(clock.now_ns().unwrap_or(0)),
            _ => time::now(),
        }
    }

    /// What its clock shows, if that is one of CPU time that goes on.
    pub(super) fn cpu_time(&self) -> Option<Instant> {
        match &self.clock {
            TimerClock::Cpu(clock) => clock.now_ns().map(Instant::from_ns),
            _ => None,
        }
    }

    /// Arms it for `deadline` (None: disarms it), then every `interval` unless that is zero; time left and interval before.
    pub fn set(self: &Arc<Self>, deadline: Option<Instant>, interval: Duration) -> (Option<Duration>, Duration) {
        let now = self.now();
        let new = State { deadline, interval, ..State::default() };
        let before = match &self.clock {
            TimerClock::Cpu(clock) => self.set_by_cpu_time(clock.process(), new),
            _ => self.set_by_time(new),
        };
        (before.deadline.map(|deadline| deadline - now), before.interval)
    }

    fn set_by_time(self: &Arc<Self>, new: State) -> State {
        let before = {
            let mut armed = ARMED.lock();
            let before = core::mem::replace(&mut *self.state.lock(), new);
            if let Some(old) = before.deadline {
                armed.remove(&(old, self.serial));
            }
            if let Some(new) = new.deadline {
                armed.insert((new, self.serial), self.clone());
            }
            before
        };
        CHANGED.wake_all();
        before
    }

    /// `whose`: the process whose time it goes by; nothing is to come if that is no more.
    fn set_by_cpu_time(self: &Arc<Self>, whose: Option<Arc<Process>>, new: State) -> State {
        let Some(whose) = whose.filter(|whose| !whose.is_gone()) else {
            return core::mem::take(&mut *self.state.lock());
        };
        let mut armed = whose.cpu_timers.lock();
        let before = core::mem::replace(&mut *self.state.lock(), new);
        armed.retain(|other| !Arc::ptr_eq(other, self));
        if new.deadline.is_some() {
            armed.push(self.clone());
        }
        drop(armed);
        whose.cpu.watch();
        before
    }

    /// The CPU time that it goes by comes to an end.
    fn forget(&self) {
        self.state.lock().deadline = None;
        if let Action::Wake(task) = &self.action {
            sched::unpark(task);
        }
    }

    /// Disarms one that goes by CPU time.
    fn forget_cpu_time(self: &Arc<Self>) {
        if matches!(self.clock, TimerClock::Cpu(_)) {
            self.set(None, Duration::ZERO);
        }
    }

    /// Time to the next expiration, if it is armed, and the interval.
    pub fn get(&self) -> (Option<Duration>, Duration) {
        let state = *self.state.lock();
        (state.deadline.map(|deadline| deadline - self.now()), state.interval)
    }

    /// Expirations that came between the last signal and its being taken (timer_getoverrun(2)).
    pub fn reported_overruns(&self) -> u64 {
        self.state.lock().reported
    }

    /// Its signal is being taken: the overruns that it tells of.
    pub(super) fn signal_taken(&self) -> u64 {
        let mut state = self.state.lock();
        state.reported = core::mem::take(&mut state.overruns);
        state.reported
    }

    /// Its time may have come, as its clock shows `now`; it is out of `ARMED`.
    pub(super) fn expire(self: &Arc<Self>, now: Instant) {
        let late = match &self.clock {
            TimerClock::Cpu(clock) => {
                let Some(whose) = clock.process() else { return };
                let mut armed = whose.cpu_timers.lock();
                let Some((next, late)) = self.state.lock().expire(now) else { return };
                if next.is_none() {
                    armed.retain(|other| !Arc::ptr_eq(other, self));
                }
                late
            }
            _ => {
                let mut armed = ARMED.lock();
                let Some((next, late)) = self.state.lock().expire(now) else { return };
                if let Some(next) = next {
                    armed.insert((next, self.serial), self.clone());
                }
                late
            }
        };
        // Signals of one timer do not queue up (timer_create(2)).
        let sent = self.send();
        let mut state = self.state.lock();
        state.overruns = state.overruns.saturating_add(late + u64::from(!sent));
    }

    /// Sends its signal, unless the last one has not been taken yet: then false.
    fn send(&self) -> bool {
        if let Action::Wake(task) = &self.action {
            sched::unpark(task);
        }
        let (&Action::Signal { signal, value, timer_id, tid }, Some(process)) = (&self.action, self.process.upgrade())
        else {
            return true;
        };
        let thread = table::find_thread(tid).filter(|thread| tid != 0 && Arc::ptr_eq(thread.process(), &process));
        let pending = thread.as_ref().map_or(&process.pending, |thread| &thread.pending);
        let mut info = KernelSiginfo::kernel(signal);
        if let Some(id) = timer_id {
            info.si_code = SI_TIMER;
            info.fields[0] = u64::from(id as u32);
            info.fields[1] = value;
            if pending.has_of_timer(signal, id) {
                return false;
            }
        }
        // A timer's signal always has room: it only says that the time has come.
        let _ = match thread {
            Some(thread) => thread.send(signal, info),
            None => process.send(signal, info),
        };
        true
    }
}
