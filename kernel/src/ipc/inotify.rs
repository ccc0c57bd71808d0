//! What happens to files, to be read (`inotify(7)`): an instance is a queue of events, which its watches in the file layer fill.
//!
//! Lock: `queue` (rank PageTable, as it is taken under the file layer's table of watches).

use super::eventfd::attempt;
use crate::vfs::notify::{self, Existing, Watcher};
use crate::vfs::{File, FileOperations, Location, Result, Sink, flags};
use abi::Errno;
use abi::inotify::{IN_IGNORED, IN_Q_OVERFLOW};
use abi::termios::FIONREAD;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::user::value;

/// Events that wait at most, instances and watches at most, as Linux has it unless told otherwise. Instances are
/// counted for all users together, watches for each instance.
const MOST_EVENTS: usize = 16384;
const MOST_INSTANCES: usize = 128;
const MOST_WATCHES: usize = 8192;
/// Bytes of an event before its name.
const HEADER: usize = 16;

static INSTANCES: AtomicUsize = AtomicUsize::new(0);

struct Event {
    number: i32,
    mask: u32,
    cookie: u32,
    name: Box<[u8]>,
}

impl Event {
    /// Bytes of the name with the zeros behind it.
    fn name_len(&self) -> usize {
        if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(HEADER) }
    }
}

/// An instance.
pub struct Inotify {
    /// Tells it from others in the table of watches.
    group: u64,
    itself: Weak<Inotify>,
    queue: SpinLock<VecDeque<Event>>,
    /// The last number of a watch.
    last: AtomicI32,
    watches: AtomicUsize,
    readable: WaitQueue,
}

/// A new instance. EMFILE if there are too many. `file_flags` may hold `O_NONBLOCK`.
pub fn new(file_flags: u32) -> Result<Arc<File>> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if INSTANCES.fetch_add(1, Ordering::Relaxed) >= MOST_INSTANCES {
        INSTANCES.fetch_sub(1, Ordering::Relaxed);
        return Err(Errno::EMFILE);
    }
    let instance = Arc::new_cyclic(|itself| Inotify {
        group: NEXT.fetch_add(1, Ordering::Relaxed),
        itself: itself.clone(),
        queue: SpinLock::new("inotify events", Rank::PageTable, VecDeque::new()),
        last: AtomicI32::new(0),
        watches: AtomicUsize::new(0),
        readable: WaitQueue::new("file event"),
    });
    Ok(File::new_device(Arc::new(Handle(instance)), file_flags & flags::O_NONBLOCK | flags::O_RDONLY))
}

impl Inotify {
    /// Watches what is at `place`; the number of the watch. ENOSPC if there are too many.
    fn watch(&self, place: &Location, mask: u32, existing: Existing) -> Result<i32> {
        let watcher: Arc<dyn Watcher> = self.itself.upgrade().ok_or(Errno::EBADF)?;
        place.watch((&watcher, self.group), mask, existing, &mut || {
            if self.watches.fetch_add(1, Ordering::Relaxed) >= MOST_WATCHES {
                self.watches.fetch_sub(1, Ordering::Relaxed);
                return Err(Errno::ENOSPC);
            }
            Ok(self.last.fetch_add(1, Ordering::Relaxed) + 1)
        })
    }

    /// Puts the next event into `sink`; None if there is none. EINVAL if it does not fit.
    fn give(&self, sink: &mut dyn Sink) -> Option<Result<usize>> {
        let event = {
            let mut queue = self.queue.lock();
            let len = HEADER + queue.front()?.name_len();
            if len > sink.remaining() {
                return Some(Err(Errno::EINVAL));
            }
            queue.pop_front()?
        };
        let mut bytes = [0; HEADER + 272];
        let name_len = event.name_len();
        let fields = [event.number as u32, event.mask, event.cookie, name_len as u32];
        for (target, field) in bytes.chunks_exact_mut(4).zip(fields) {
            target.copy_from_slice(&field.to_le_bytes());
        }
        bytes[HEADER..HEADER + event.name.len()].copy_from_slice(&event.name);
        Some(sink.put(&bytes[..HEADER + name_len]).map(|()| HEADER + name_len))
    }
}

impl Watcher for Inotify {
    fn event(&self, number: i32, mask: u32, cookie: u32, name: &[u8]) {
        if mask & IN_IGNORED != 0 {
            self.watches.fetch_sub(1, Ordering::Relaxed);
        }
        let mut queue = self.queue.lock();
        if let Some(last) = queue.back() {
            let same = last.number == number && last.mask == mask && *last.name == *name && mask & IN_IGNORED == 0;
            if same || last.mask & IN_Q_OVERFLOW != 0 {
                return;
            }
        }
        let event = match queue.len() < MOST_EVENTS && queue.try_reserve(1).is_ok() {
            true => Event { number, mask, cookie, name: name.into() },
            false => Event { number: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: Box::default() },
        };
        queue.push_back(event);
        drop(queue);
        self.readable.wake_all();
    }
}

/// The open file of an instance. The watches keep the instance; when the file ends, so do they.
pub struct Handle(Arc<Inotify>);

impl Handle {
    /// Watches what is at `place`.
    pub fn watch(&self, place: &Location, mask: u32, existing: Existing) -> Result<i32> {
        self.0.watch(place, mask, existing)
    }

    /// Ends the watch `number`; EINVAL if there is none.
    pub fn unwatch(&self, number: i32) -> Result<()> {
        notify::unwatch(self.0.group, number)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        notify::unwatch_all(self.0.group);
        INSTANCES.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FileOperations for Handle {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        let mut done = attempt(&self.0.readable, file_flags, || self.0.give(sink))??;
        loop {
            match self.0.give(sink) {
                Some(Ok(len)) => done += len,
                // What does not fit any more comes with the next read.
                Some(Err(_)) | None => return Ok(done),
            }
        }
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        match command {
            FIONREAD => {
                let len: usize = self.0.queue.lock().iter().map(|event| HEADER + event.name_len()).sum();
                value::put(argument, &(len as i32))?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn poll(&self) -> u32 {
        if self.0.queue.lock().is_empty() { 0 } else { flags::POLLIN | flags::POLLRDNORM }
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.0.readable), None]
    }

    fn link_name(&self) -> &'static str {
        "anon_inode:inotify"
    }

    fn mode(&self) -> u32 {
        0o600
    }
}
