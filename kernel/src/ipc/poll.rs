//! Waiting for files to become ready: what `poll(2)` and `select(2)` are made of.
//!
//! A [`PollWait`] watches the wait queues of some files for the current task. Whoever uses it enters all files, then looks
//! at each ([`File::poll`]), and sleeps only if nothing has been woken since before that look. A wake-up sets a flag
//! besides unparking, since a look may itself sleep on a lock and so use up the unpark.

use crate::process;
use crate::sched;
use crate::vfs::{File, flags::*};
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use machine::sync::{Watch, Watcher};
use machine::task::{self, Task};
use machine::time::{self, Instant};

/// Events that the queue of readers tells of; the queue of writers tells of the rest, and both of these two.
const READING: u32 = POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND | POLLRDHUP;
const WRITING: u32 = POLLOUT | POLLWRNORM | POLLWRBAND;

/// Watches files for the current task; what it watches it lets go when it is dropped.
pub struct PollWait {
    watch: Watch,
    alarm: Arc<Alarm>,
    files: Vec<(Arc<File>, u32)>,
}

struct Alarm {
    task: Arc<Task>,
    rung: AtomicBool,
}

impl Watcher for Alarm {
    fn woken(&self) {
        self.rung.store(true, Ordering::SeqCst);
        sched::unpark(&self.task);
    }
}

impl PollWait {
    /// With room for `files` files, watching none.
    pub fn new(files: usize) -> Result<PollWait, Errno> {
        let alarm = Arc::new(Alarm { task: task::current().arc(), rung: AtomicBool::new(false) });
        let mut list = Vec::new();
        list.try_reserve_exact(files).map_err(|_| Errno::ENOMEM)?;
        Ok(PollWait { watch: Watch::Other(alarm.clone()), alarm, files: list })
    }

    /// Watches `file` for `events`, for errors and for hanging up.
    pub fn add(&mut self, file: Arc<File>, events: u32) -> Result<(), Errno> {
        watch(&file, events, &self.watch)?;
        self.files.push((file, events));
        Ok(())
    }

    /// What it watches, in the order of [`PollWait::add`].
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().map(|(file, _)| &**file)
    }

    /// Calls `look` until it gives a value, which it finds again after each wake-up. None when `deadline` comes first;
    /// EINTR for a signal.
    pub fn until<R>(&self, deadline: Option<Instant>, mut look: impl FnMut() -> Option<R>) -> Result<Option<R>, Errno> {
        loop {
            self.alarm.rung.store(false, Ordering::SeqCst);
            if let Some(found) = look() {
                return Ok(Some(found));
            }
            while !self.alarm.rung.load(Ordering::SeqCst) {
                if process::interrupted() {
                    return Err(Errno::EINTR);
                }
                if deadline.is_some_and(|deadline| time::now() >= deadline) {
                    return Ok(None);
                }
                sched::park("poll", deadline);
            }
        }
    }
}

impl Drop for PollWait {
    fn drop(&mut self) {
        self.files.iter().for_each(|(file, events)| unwatch(file, *events, &self.watch));
    }
}

/// Enters `watch` into the queues of `file` that tell of `events`. ENOMEM, with nothing entered.
pub fn watch(file: &File, events: u32, watch: &Watch) -> Result<(), Errno> {
    let queues = queues(file, events);
    for (at, queue) in queues.iter().enumerate() {
        if queue.is_some_and(|queue| queue.watch(watch.clone()).is_err()) {
            queues[..at].iter().flatten().for_each(|queue| queue.unwatch(watch));
            return Err(Errno::ENOMEM);
        }
    }
    Ok(())
}

/// Undoes [`watch`] with the same arguments.
pub fn unwatch(file: &File, events: u32, watch: &Watch) {
    queues(file, events).iter().flatten().for_each(|queue| queue.unwatch(watch));
}

fn queues(file: &File, events: u32) -> [Option<&machine::sync::WaitQueue>; 2] {
    let [reading, writing] = file.wait_queues();
    let neither = events & (READING | WRITING) == 0;
    [
        reading.filter(|_| neither || events & READING != 0 || writing.is_none()),
        writing.filter(|_| neither || events & WRITING != 0 || reading.is_none()),
    ]
}
