//! Pipes and FIFOs (`pipe(7)`, `fifo(7)`).
//!
//! The bytes are in a ring under a sleeping lock, which is held while they are copied from and to user memory (a copy may
//! fault and sleep). What conditions and `poll(2)` look at is kept in atomics beside it, changed with the lock held, so
//! that they take no lock. A writer of at most [`PIPE_BUF`] bytes waits until all of them fit, so that they stay together;
//! a longer one writes as room comes.
//!
//! Who moves bytes between a pipe and another file (splice(2)) takes what stands in the pipe, or its room, for himself for
//! as long as that lasts ([`Taking`], [`Giving`]): it seems empty, or full, to all others, and the lock is not held while
//! the other file is read or written, whose locks come before it or after it as they like.

use super::ring::Ring;
use super::{break_pipe, next_inode_number};
use crate::process;
use crate::vfs::{File, FileOperations, Result, Sink, Source, flags};
use abi::Errno;
use abi::fcntl::{F_GETPIPE_SZ, F_SETPIPE_SZ};
use abi::termios::FIONREAD;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use machine::PAGE_SIZE;
use machine::sync::{Mutex, Rank, SpinLock, WaitQueue};
use machine::user::value;

/// Bytes that a write keeps together (`limits.h`).
pub const PIPE_BUF: usize = 4096;
/// Pages of a new pipe: 64 KiB.
const PAGES: usize = 16;
/// Largest size that F_SETPIPE_SZ takes, in bytes.
pub const MAX_SIZE: usize = 1 << 31;

/// A pipe.
pub struct Pipe {
    ring: Mutex<Ring>,
    /// Bytes in the ring; 0 while somebody has taken them for himself.
    filled: AtomicUsize,
    /// Bytes that fit in; 0 while somebody has taken the room for himself.
    room: AtomicUsize,
    /// Whether somebody has. Changed with the ring locked.
    taken: AtomicBool,
    given: AtomicBool,
    readers: AtomicUsize,
    writers: AtomicUsize,
    /// How many readers and writers there ever were: those who open a FIFO wait for one that comes, even if it is gone.
    readers_ever: AtomicUsize,
    writers_ever: AtomicUsize,
    /// Woken when there is something to read, or the last writer has gone.
    readable: WaitQueue,
    /// Woken when there is room, or the last reader has gone.
    writable: WaitQueue,
    inode_number: u64,
    /// User and group of whoever made it.
    owner: (u32, u32),
}

/// One open end of a pipe, or both of a FIFO that was opened for reading and writing.
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    /// Writers that had gone before it was opened: a FIFO that none has come to since has not been hung up.
    writers_before: usize,
}

/// Volume and inode number of a FIFO.
type FifoKey = (u64, u64);

/// The pipes of FIFOs that are open; what has been closed goes at the next opening.
static FIFOS: SpinLock<BTreeMap<FifoKey, Weak<Pipe>>> = SpinLock::new("FIFOs", Rank::Table, BTreeMap::new());

/// A new pipe: the end to read from and the one to write to. `file_flags` may hold `O_NONBLOCK`.
pub fn new(file_flags: u32) -> Result<(Arc<File>, Arc<File>)> {
    let pipe = Pipe::new()?;
    let reader = Arc::new(PipeEnd::new(&pipe, true, false));
    let writer = Arc::new(PipeEnd::new(&pipe, false, true));
    let file_flags = file_flags & flags::O_NONBLOCK;
    Ok((File::new_device(reader, file_flags | flags::O_RDONLY), File::new_device(writer, file_flags | flags::O_WRONLY)))
}

/// Opens the FIFO with this key: waits for the other side, as `fifo(7)` says. ENXIO for a writer that does not wait and
/// has no reader, EINTR.
pub fn open_fifo(key: FifoKey, file_flags: u32) -> Result<Arc<dyn FileOperations>> {
    let pipe = {
        let new = Pipe::new()?;
        let mut fifos = FIFOS.lock();
        fifos.retain(|_, pipe| pipe.strong_count() > 0);
        match fifos.get(&key).and_then(Weak::upgrade) {
            Some(pipe) => pipe,
            None => {
                fifos.insert(key, Arc::downgrade(&new));
                new
            }
        }
    };
    let waits = file_flags & flags::O_NONBLOCK == 0;
    let came = |ever: &AtomicUsize, now: &AtomicUsize, before: usize| {
        (now.load(Ordering::SeqCst) != 0 || ever.load(Ordering::SeqCst) != before).then_some(())
    };
    match file_flags & flags::O_ACCMODE {
        flags::O_RDONLY => {
            let end = PipeEnd::new(&pipe, true, false);
            if waits {
                let arrived = || came(&pipe.writers_ever, &pipe.writers, end.writers_before);
                pipe.readable.wait_until(None, process::interrupted, arrived).map_err(|_| Errno::EINTR)?;
            }
            Ok(Arc::new(end))
        }
        flags::O_WRONLY => {
            if !waits && !pipe.has_reader() {
                return Err(Errno::ENXIO);
            }
            let before = gone(&pipe.readers_ever, &pipe.readers);
            let end = PipeEnd::new(&pipe, false, true);
            if waits {
                let arrived = || came(&pipe.readers_ever, &pipe.readers, before);
                pipe.writable.wait_until(None, process::interrupted, arrived).map_err(|_| Errno::EINTR)?;
            }
            Ok(Arc::new(end))
        }
        flags::O_RDWR => Ok(Arc::new(PipeEnd::new(&pipe, true, true))),
        _ => Err(Errno::EINVAL),
    }
}

/// How many of those who ever came have gone. Whoever comes just now makes it a number that `ever` never is, and so counts
/// as one who comes later.
fn gone(ever: &AtomicUsize, now: &AtomicUsize) -> usize {
    let ever = ever.load(Ordering::SeqCst);
    ever.wrapping_sub(now.load(Ordering::SeqCst))
}

impl Pipe {
    fn new() -> Result<Arc<Pipe>> {
        Ok(Arc::new(Pipe {
            ring: Mutex::new("pipe", Ring::new(PAGES)?),
            filled: AtomicUsize::new(0),
            room: AtomicUsize::new(PAGES * PAGE_SIZE),
            taken: AtomicBool::new(false),
            given: AtomicBool::new(false),
            readers: AtomicUsize::new(0),
            writers: AtomicUsize::new(0),
            readers_ever: AtomicUsize::new(0),
            writers_ever: AtomicUsize::new(0),
            readable: WaitQueue::new("pipe to read"),
            writable: WaitQueue::new("pipe to write"),
            inode_number: next_inode_number(),
            owner: process::current_thread().map_or((0, 0), |thread| {
                let credentials = thread.process().credentials();
                (credentials.user.file, credentials.group.file)
            }),
        }))
    }

    fn filled(&self) -> usize {
        self.filled.load(Ordering::SeqCst)
    }

    fn has_reader(&self) -> bool {
        self.readers.load(Ordering::SeqCst) != 0
    }

    fn has_writer(&self) -> bool {
        self.writers.load(Ordering::SeqCst) != 0
    }

    /// Keeps the atomics as the ring is, whose lock is held.
    fn note(&self, ring: &Ring) {
        let (taken, given) = (self.taken.load(Ordering::SeqCst), self.given.load(Ordering::SeqCst));
        self.filled.store(if taken { 0 } else { ring.len() }, Ordering::SeqCst);
        self.room.store(if given { 0 } else { ring.room() }, Ordering::SeqCst);
    }

    /// Whether a reader finds something, or that nothing will come.
    fn is_readable(&self) -> bool {
        self.filled() > 0 || !self.has_writer() && !self.taken.load(Ordering::SeqCst)
    }

    /// Moves what is there to `sink`, as `read(2)`: 0 is the end. EAGAIN if there is nothing and it does not wait, EINTR.
    pub fn read(&self, waits: bool, sink: &mut dyn Sink) -> Result<usize> {
        let wanted = sink.remaining();
        if wanted == 0 {
            return Ok(0);
        }
        loop {
            {
                let mut ring = self.ring.lock();
                if self.filled() > 0 {
                    let (moved, result) = ring.drain(sink, wanted);
                    self.note(&ring);
                    let left = ring.len();
                    drop(ring);
                    self.writable.wake_all();
                    if left > 0 {
                        // A write wakes one reader; what that one leaves is for the next.
                        self.readable.wake_next();
                    }
                    return if moved == 0 { result.map(|()| 0) } else { Ok(moved) };
                }
                // With the lock held: whatever a writer that has gone wrote is in the ring.
                if self.is_readable() {
                    return Ok(0);
                }
            }
            if !waits {
                return Err(Errno::EAGAIN);
            }
            self.readable.wait_here(None, process::interrupted, || self.is_readable()).map_err(|_| Errno::EINTR)?;
        }
    }

    fn write(&self, waits: bool, source: &mut dyn Source) -> Result<usize> {
        let total = source.remaining();
        let (mut done, mut result) = (0, Ok(()));
        while done < total && result.is_ok() {
            let least = if total <= PIPE_BUF { total - done } else { 1 };
            {
                let mut ring = self.ring.lock();
                if !self.has_reader() {
                    drop(ring);
                    break_pipe();
                    result = Err(Errno::EPIPE);
                    break;
                }
                if self.room.load(Ordering::SeqCst) >= least {
                    let moved;
                    (moved, result) = ring.fill(source, total - done);
                    done += moved;
                    self.note(&ring);
                    drop(ring);
                    self.readable.wake_one();
                    continue;
                }
            }
            if !waits {
                result = Err(Errno::EAGAIN);
                break;
            }
            let due = || self.room.load(Ordering::SeqCst) >= least || !self.has_reader();
            result = self.writable.wait_here(None, process::interrupted, due).map_err(|_| Errno::EINTR);
        }
        if done == 0 { result.map(|()| 0) } else { Ok(done) }
    }

    /// F_SETPIPE_SZ: at least `size` bytes; the new size.
    fn resize(&self, size: u64) -> Result<u64> {
        let size = usize::try_from(size as u32).ok().filter(|&size| size <= MAX_SIZE).ok_or(Errno::EINVAL)?;
        let pages = size.div_ceil(PAGE_SIZE).max(1).next_power_of_two();
        let mut ring = self.ring.lock();
        if self.given.load(Ordering::SeqCst) {
            return Err(Errno::EBUSY); // its room is promised
        }
        ring.resize(pages)?;
        self.note(&ring);
        let capacity = ring.capacity() as u64;
        drop(ring);
        self.writable.wake_all();
        Ok(capacity)
    }
}

impl Pipe {
    /// Waits until there is something to take, if it `waits`: false at the end. EAGAIN if nothing is there, EINTR.
    pub fn wait_to_take(&self, waits: bool) -> Result<bool> {
        loop {
            {
                let _held = self.ring.lock();
                if self.is_readable() {
                    return Ok(self.filled() > 0);
                }
            }
            if !waits {
                return Err(Errno::EAGAIN);
            }
            self.readable.wait_here(None, process::interrupted, || self.is_readable()).map_err(|_| Errno::EINTR)?;
        }
    }

    /// Takes what stands in the pipe, if there is something.
    pub fn take(&self) -> Option<Taking<'_>> {
        let ring = self.ring.lock();
        if self.filled() == 0 {
            return None;
        }
        self.taken.store(true, Ordering::SeqCst);
        self.note(&ring);
        Some(Taking { pipe: self })
    }

    /// Waits until there is room, if it `waits`. EPIPE and a signal if nobody reads, EAGAIN if there is none, EINTR.
    pub fn wait_to_give(&self, waits: bool) -> Result<()> {
        let is_due = || self.room.load(Ordering::SeqCst) > 0 || !self.has_reader();
        if !is_due() && !waits {
            return Err(Errno::EAGAIN);
        }
        self.writable.wait_here(None, process::interrupted, is_due).map_err(|_| Errno::EINTR)?;
        if !self.has_reader() {
            break_pipe();
            return Err(Errno::EPIPE);
        }
        Ok(())
    }

    /// Takes the room in the pipe, if there is some.
    pub fn give(&self) -> Option<Giving<'_>> {
        let ring = self.ring.lock();
        if self.room.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.given.store(true, Ordering::SeqCst);
        self.note(&ring);
        Some(Giving { pipe: self })
    }

    /// Somebody is done with what he had `claimed`.
    fn release(&self, claimed: &AtomicBool) {
        let ring = self.ring.lock();
        claimed.store(false, Ordering::SeqCst);
        self.note(&ring);
        drop(ring);
        self.readable.wake_all();
        self.writable.wake_all();
    }
}

/// What stands in a pipe, for one reader alone.
pub struct Taking<'a> {
    pipe: &'a Pipe,
}

impl Taking<'_> {
    /// Copies the first bytes to `sink`: how many. They stay.
    pub fn peek(&self, sink: &mut dyn Sink) -> Result<usize> {
        let left = sink.remaining();
        let (moved, result) = self.pipe.ring.lock().copy_out(sink, left, left);
        result.map(|()| moved)
    }

    /// The first `count` of the bytes that were seen go.
    pub fn discard(&self, count: usize) {
        self.pipe.ring.lock().discard(count);
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.pipe.release(&self.pipe.taken);
    }
}

/// The room in a pipe, for one writer alone.
pub struct Giving<'a> {
    pipe: &'a Pipe,
}

impl Giving<'_> {
    /// Bytes that fit in, at least.
    pub fn room(&self) -> usize {
        self.pipe.ring.lock().room()
    }

    /// Moves bytes of `source` in, as far as there is room; how many.
    pub fn put(&self, source: &mut dyn Source) -> Result<usize> {
        let before = source.remaining();
        let (moved, result) = self.pipe.ring.lock().fill(source, before);
        if moved == 0 { result.map(|()| 0) } else { Ok(moved) }
    }
}

impl Drop for Giving<'_> {
    fn drop(&mut self) {
        self.pipe.release(&self.pipe.given);
    }
}

impl PipeEnd {
    /// The pipe.
    pub fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    fn new(pipe: &Arc<Pipe>, reads: bool, writes: bool) -> PipeEnd {
        let writers_before = gone(&pipe.writers_ever, &pipe.writers);
        if reads {
            pipe.readers_ever.fetch_add(1, Ordering::SeqCst);
            pipe.readers.fetch_add(1, Ordering::SeqCst);
            pipe.writable.wake_all();
        }
        if writes {
            pipe.writers_ever.fetch_add(1, Ordering::SeqCst);
            pipe.writers.fetch_add(1, Ordering::SeqCst);
            pipe.readable.wake_all();
        }
        PipeEnd { pipe: pipe.clone(), reads, writes, writers_before }
    }

    fn hung_up(&self) -> bool {
        !self.pipe.has_writer() && self.pipe.writers_ever.load(Ordering::SeqCst) != self.writers_before
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        if self.reads && pipe.readers.fetch_sub(1, Ordering::SeqCst) == 1 {
            pipe.writable.wake_all();
        }
        if self.writes && pipe.writers.fetch_sub(1, Ordering::SeqCst) == 1 {
            pipe.readable.wake_all();
        }
    }
}

impl FileOperations for PipeEnd {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        self.pipe.read(file_flags & flags::O_NONBLOCK == 0, sink)
    }

    fn write(&self, _: u64, file_flags: u32, source: &mut dyn Source) -> Result<usize> {
        self.pipe.write(file_flags & flags::O_NONBLOCK == 0, source)
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        match command {
            FIONREAD => {
                let readable = self.pipe.filled() as i32;
                value::put(argument, &readable)?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn fcntl(&self, command: u32, argument: u64) -> Result<u64> {
        match command {
            F_GETPIPE_SZ => Ok(self.pipe.ring.lock().capacity() as u64),
            F_SETPIPE_SZ => self.pipe.resize(argument),
            _ => Err(Errno::EINVAL),
        }
    }

    fn poll(&self) -> u32 {
        let pipe = &*self.pipe;
        let mut events = 0;
        if self.reads {
            if pipe.filled() > 0 {
                events |= flags::POLLIN | flags::POLLRDNORM;
            }
            if self.hung_up() {
                events |= flags::POLLHUP;
            }
        }
        if self.writes {
            if pipe.room.load(Ordering::SeqCst) >= PIPE_BUF {
                events |= flags::POLLOUT | flags::POLLWRNORM;
            }
            if !pipe.has_reader() {
                events |= flags::POLLERR;
            }
        }
        events
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [self.reads.then_some(&self.pipe.readable), self.writes.then_some(&self.pipe.writable)]
    }

    /// Another end of the same pipe, which waits for nobody.
    fn open(&self, file_flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let (reads, writes) = match file_flags & flags::O_ACCMODE {
            flags::O_RDONLY => (true, false),
            flags::O_WRONLY => (false, true),
            _ => (true, true),
        };
        Ok(Some(Arc::new(PipeEnd::new(&self.pipe, reads, writes))))
    }

    fn link_name(&self) -> &'static str {
        "pipe:"
    }

    fn mode(&self) -> u32 {
        0o010600
    }

    fn owner(&self) -> (u32, u32) {
        self.pipe.owner
    }

    fn inode_number(&self) -> u64 {
        self.pipe.inode_number
    }
}
