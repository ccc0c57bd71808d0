//! poll(2) and ppoll(2), and what select(2) shares with them: time limits and signal masks.

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::ipc::poll::PollWait;
use crate::process::files::FileTable;
use crate::process::{self, Thread};
use crate::vfs::flags::{POLLERR, POLLHUP, POLLNVAL};
use abi::Errno;
use abi::pod::Pod;
use abi::poll::PollFd;
use abi::signal::SigSet;
use abi::time::Timespec;
use alloc::vec::Vec;
use core::time::Duration;
use machine::time::{self, Instant};
use machine::user::copy;

/// Told without being asked for.
pub(super) const ALWAYS: u32 = POLLERR | POLLHUP;

pub fn poll(caller: &mut Caller<'_>, fds: u64, count: u32, timeout_ms: i32) -> SyscallResult {
    // A negative timeout is none.
    let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    let mut limit = TimeLimit::new(timeout);
    if limit.is_zero() || timeout.is_none() {
        return poll_until(caller, fds, count, limit);
    }
    // If it is begun again after a signal, it ends when it would have.
    limit.deadline = limit.deadline.map(|deadline| caller.thread.deadline(|| deadline));
    let result = poll_until(caller, fds, count, limit);
    if let (Err(Errno::EINTR), Some(deadline)) = (result, limit.deadline) {
        caller.thread.keep_deadline(deadline);
    }
    result
}

pub fn ppoll(
    caller: &mut Caller<'_>,
    fds: u64,
    count: u32,
    timeout: UserOut<Timespec>,
    mask: UserIn<SigSet>,
    size: usize,
) -> SyscallResult {
    let limit = TimeLimit::new(read_timespec(timeout)?);
    let result = with_mask(caller.thread, read_mask(mask, size)?, || poll_until(caller, fds, count, limit));
    limit.tell_left(timeout);
    result
}

fn poll_until(caller: &Caller<'_>, fds: u64, count: u32, limit: TimeLimit) -> SyscallResult {
    if count as usize > caller.thread.process().file_limit() {
        return Err(Errno::EINVAL);
    }
    let mut image: Vec<u8> = Vec::new();
    let len = count as usize * PollFd::SIZE;
    image.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    image.resize(len, 0);
    if len > 0 {
        copy::read(fds, &mut image).map_err(|_| Errno::EFAULT)?;
    }
    let ready = poll_image(caller, &mut image, limit)?;
    copy::write(fds, &image).map_err(|_| Errno::EFAULT)?;
    Ok(ready as u64)
}

/// Fills in `revents` of an array of `struct pollfd`; how many are not 0.
fn poll_image(caller: &Caller<'_>, image: &mut [u8], limit: TimeLimit) -> Result<usize, Errno> {
    let process = caller.thread.process();
    let table_look = |table: &FileTable, image: &mut [u8]| look(image, |fd| table.peek(fd).map(|file| file.poll()));
    let ready = process.files.with(|table| table_look(table, image));
    if ready != 0 || limit.is_zero() {
        return if ready == 0 && process::interrupted() { Err(Errno::EINTR) } else { Ok(ready) };
    }
    let mut wait = PollWait::new(image.len() / PollFd::SIZE)?;
    let closed = process.files.with(|table| {
        for entry in image.chunks_exact(PollFd::SIZE).map(PollFd::read_bytes).filter(|entry| entry.fd >= 0) {
            match table.peek(entry.fd) {
                Some(file) => wait.add(file.clone(), entry.events as u16 as u32)?,
                // Closed since the first look.
                None => return Ok(Some(table_look(table, image))),
            }
        }
        Ok(None)
    })?;
    if let Some(ready) = closed {
        return Ok(ready);
    }
    let found = wait.until(limit.deadline(), || {
        let mut files = wait.files();
        Some(look(image, |_| files.next().map(|file| file.poll()))).filter(|&ready| ready != 0)
    })?;
    Ok(found.unwrap_or(0))
}

/// One look at all of an array: `events_of` tells what is the case for a descriptor, None if it is not open.
fn look(image: &mut [u8], mut events_of: impl FnMut(i32) -> Option<u32>) -> usize {
    let mut ready = 0;
    for bytes in image.chunks_exact_mut(PollFd::SIZE) {
        let entry = PollFd::read_bytes(bytes);
        let revents = match entry.fd {
            ..0 => 0,
            fd => events_of(fd).map_or(POLLNVAL, |events| events & (entry.events as u16 as u32 | ALWAYS)),
        };
        ready += usize::from(revents != 0);
        PollFd { revents: revents as i16, ..entry }.write_bytes(bytes);
    }
    ready
}

/// How long a call may wait.
#[derive(Clone, Copy)]
pub(super) struct TimeLimit {
    is_zero: bool,
    deadline: Option<Instant>,
}

impl TimeLimit {
    /// From now on; None: without limit.
    pub fn new(timeout: Option<Duration>) -> Self {
        let is_zero = timeout.is_some_and(|timeout| timeout.is_zero());
        // A call that does not wait needs no clock.
        let deadline = timeout.map(|timeout| if is_zero { Instant::default() } else { time::now() + timeout });
        TimeLimit { is_zero, deadline }
    }

    /// Whether the call does not wait at all.
    pub fn is_zero(&self) -> bool {
        self.is_zero
    }

    /// When it ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is left of it; None if there is no limit.
    pub fn left(&self) -> Option<Duration> {
        Some(if self.is_zero { Duration::ZERO } else { self.deadline? - time::now() })
    }

    /// Writes what is left where the timeout was read from; one that cannot be written is let be, as Linux does.
    pub fn tell_left(&self, out: UserOut<Timespec>) {
        if let Some(left) = self.left() {
            let _ = out.write_if_given(&Timespec::from(left));
        }
    }
}

/// A timeout that is also written back; None for a null pointer.
pub(super) fn read_timespec(at: UserOut<Timespec>) -> Result<Option<Duration>, Errno> {
    UserIn::<Timespec>::at(at.0).read_if_given()?.map(Timespec::to_duration).transpose()
}

/// A signal mask of `size` bytes; None for a null pointer.
pub(super) fn read_mask(mask: UserIn<SigSet>, size: usize) -> Result<Option<SigSet>, Errno> {
    if mask.0 != 0 && size != SigSet::SIZE {
        return Err(Errno::EINVAL);
    }
    mask.read_if_given()
}

/// Runs `wait` with these signals kept back instead of the thread's own (ppoll(2) and its kin). If a signal ends it, the
/// thread's own mask comes back when that signal has been taken.
pub(super) fn with_mask(thread: &Thread, mask: Option<SigSet>, wait: impl FnOnce() -> SyscallResult) -> SyscallResult {
    let Some(mask) = mask else { return wait() };
    thread.set_blocked_for_call(mask);
    let result = wait();
    if result != Err(Errno::EINTR) {
        thread.end_blocked_for_call();
    }
    result
}
