//! CPU time of threads and processes, divided into the program's and the kernel's, and the clocks that show it.
//!
//! The sum is measured, the division is estimated by ticks (`sched::tick`); what was told of either part never gets less.

use super::{Process, Thread, table};
use crate::sched::tick::Sample;
use abi::Errno;
use abi::time::{CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::sync::{Rank, SpinLock};

/// CPU time in parts.
#[derive(Clone, Copy, Default, Debug)]
pub struct Division {
    /// In user mode, in ns.
    pub user_ns: u64,
    /// In the kernel, in ns.
    pub system_ns: u64,
}

impl Division {
    /// Both together, in ns.
    pub fn total_ns(self) -> u64 {
        self.user_ns + self.system_ns
    }

    /// The sum of two.
    pub fn plus(self, other: Division) -> Division {
        Division { user_ns: self.user_ns + other.user_ns, system_ns: self.system_ns + other.system_ns }
    }

    /// Divides the time of `sample` by its ticks, all of it the program's if there are none. Neither part is less than it
    /// was in `self`, which was told before.
    fn after(self, sample: Sample) -> Division {
        let total_ns = sample.run_ns.max(self.total_ns());
        let ticks = sample.user_ticks + sample.system_ticks;
        let user_ns = match ticks {
            0 => total_ns,
            ticks => (u128::from(total_ns) * u128::from(sample.user_ticks) / u128::from(ticks)) as u64,
        };
        let user_ns = user_ns.clamp(self.user_ns, total_ns - self.system_ns);
        Division { user_ns, system_ns: total_ns - user_ns }
    }
}

/// What a process keeps of its CPU time.
pub struct CpuTime {
    /// Of threads that have ended: time in ns, ticks in user mode and in the kernel. Changed with the list of threads
    /// locked.
    ended: [AtomicU64; 3],
    /// What was last told.
    told: SpinLock<Division>,
    /// Of children that were waited for, and of theirs.
    children: SpinLock<Division>,
    /// Something is to happen at some CPU time: each tick has the thread look (`cpu_limit`).
    pub(super) watched: AtomicBool,
}

impl CpuTime {
    /// That of a new process.
    pub(super) fn new(watched: bool) -> Self {
        let division = |name| SpinLock::new(name, Rank::Process, Division::default());
        CpuTime {
            ended: [const { AtomicU64::new(0) }; 3],
            told: division("CPU time"),
            children: division("CPU time of children"),
            watched: AtomicBool::new(watched),
        }
    }

    /// From now on ticks have threads look at timers and limits.
    pub fn watch(&self) {
        self.watched.store(true, Ordering::SeqCst);
    }

    /// A thread that is taken out of the list has had this.
    pub(super) fn add_ended(&self, time: Sample) {
        for (sum, part) in self.ended.iter().zip([time.run_ns, time.user_ticks, time.system_ticks]) {
            sum.fetch_add(part, Ordering::Relaxed);
        }
    }

    /// A child that was waited for has had this.
    pub(super) fn add_children(&self, time: Division) {
        let mut children = self.children.lock();
        *children = children.plus(time);
    }

    /// CPU time of the children it has waited for.
    pub fn children(&self) -> Division {
        *self.children.lock()
    }
}

impl Process {
    /// CPU time of all its threads, those that have ended too.
    pub fn cpu_time(&self) -> Division {
        let sample = self.sample_time();
        let mut told = self.cpu.told.lock();
        *told = told.after(sample);
        *told
    }

    #[inline(never)]
    fn sample_time(&self) -> Sample {
        let (threads, [run_ns, user_ticks, system_ticks]) = {
            let threads = self.threads.lock();
            (threads.clone(), self.cpu.ended.each_ref().map(|part| part.load(Ordering::Relaxed)))
        };
        let mut sum = Sample { run_ns, user_ticks, system_ticks };
        threads.iter().for_each(|thread| sum.add(thread.sample_time()));
        sum
    }
}

impl Thread {
    /// Its CPU time.
    pub fn cpu_time(&self) -> Division {
        let sample = self.sample_time();
        let mut told = self.told_time.lock();
        *told = told.after(sample);
        *told
    }

    fn sample_time(&self) -> Sample {
        let of_task = || self.task().map_or_else(Sample::default, |task| Sample::of(&task));
        self.ended_time.get().copied().unwrap_or_else(of_task)
    }

    /// Notes what it has had in all, at its end.
    pub(super) fn end_time(&self, time: Sample) -> Sample {
        *self.ended_time.call_once(|| time)
    }
}

/// What a clock of CPU time counts; numbered as in clock numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counts {
    /// All of it, as user and system time in sum.
    All,
    /// Time in user mode.
    User,
    /// All of it, to the nanosecond.
    Exact,
}

/// A clock that shows CPU time.
#[derive(Clone)]
pub struct CpuClock {
    process: Weak<Process>,
    /// That of a thread; None for that of the process.
    thread: Option<Weak<Thread>>,
    counts: Counts,
}

impl CpuClock {
    /// That of a whole process.
    pub fn of(process: &Arc<Process>, counts: Counts) -> Self {
        CpuClock { process: Arc::downgrade(process), thread: None, counts }
    }

    /// The clock that number `clock` is to `caller` (clock_getcpuclockid(3), `pthread_getcpuclockid(3)`): of a process, or of
    /// a thread of the caller's. None if it is no number of such a clock. EINVAL for those of nobody.
    pub fn named(caller: &Arc<Thread>, clock: u32) -> Result<Option<CpuClock>, Errno> {
        let (number, kind) = match clock {
            CLOCK_PROCESS_CPUTIME_ID => (0, 2),
            CLOCK_THREAD_CPUTIME_ID => (0, 6),
            // Processes are at negative numbers, below three bits for the kind.
            clock if (clock as i32) < 0 => (!((clock as i32) >> 3) as u32, clock & 7),
            _ => return Ok(None),
        };
        let counts = match kind & 3 {
            0 => Counts::All,
            1 => Counts::User,
            2 => Counts::Exact,
            _ => return Err(Errno::EINVAL),
        };
        let own = caller.process();
        if kind & 4 == 0 {
            let process = if number == 0 { Some(own.clone()) } else { table::find(number) };
            return Ok(Some(CpuClock::of(&process.ok_or(Errno::EINVAL)?, counts)));
        }
        let thread = if number == 0 { Some(caller.clone()) } else { own.thread(number) };
        let thread = Some(Arc::downgrade(&thread.ok_or(Errno::EINVAL)?));
        Ok(Some(CpuClock { process: Arc::downgrade(own), thread, counts }))
    }

    /// The process whose time it shows, while there is one.
    pub fn process(&self) -> Option<Arc<Process>> {
        self.process.upgrade()
    }

    /// Whether it is the clock of this thread alone.
    pub fn is_of_thread(&self, thread: &Arc<Thread>) -> bool {
        self.thread.as_ref().is_some_and(|own| own.as_ptr() == Arc::as_ptr(thread))
    }

    /// Whether it counts to the nanosecond.
    pub fn is_exact(&self) -> bool {
        self.counts == Counts::Exact
    }

    /// What it shows, in ns; None if there is nobody left whose time it is.
    pub fn now_ns(&self) -> Option<u64> {
        if self.counts == Counts::Exact {
            // Without what is estimated.
            return Some(match &self.thread {
                Some(thread) => thread.upgrade()?.sample_time().run_ns,
                None => self.process()?.sample_time().run_ns,
            });
        }
        let time = match &self.thread {
            Some(thread) => thread.upgrade()?.cpu_time(),
            None => self.process()?.cpu_time(),
        };
        Some(if self.counts == Counts::User { time.user_ns } else { time.total_ns() })
    }
}

#[cfg(debug_assertions)]
mod tests {
    use super::{Division, Sample};
    use macros::kernel_test;

    /// Divided by ticks, and whatever they say, neither part gets less.
    #[kernel_test]
    fn cpu_time_is_divided_by_ticks() {
        let sample = |run_ns, user_ticks, system_ticks| Sample { run_ns, user_ticks, system_ticks };
        let mut told = Division::default().after(sample(1000, 0, 0));
        assert_eq!((told.user_ns, told.system_ns), (1000, 0));
        for (next, user_ns, system_ns) in [
            (sample(2000, 0, 1), 1000, 1000),
            (sample(3000, 1, 1), 1500, 1500),
            (sample(4000, 1, 3), 1500, 2500),
            (sample(3900, 3, 3), 1500, 2500), // a sum that two have read at once
            (sample(8000, 9, 3), 5500, 2500),
        ] {
            told = told.after(next);
            assert_eq!((told.user_ns, told.system_ns), (user_ns, system_ns));
        }
    }
}
