//! Reading and writing open files: read(2), write(2) and their kin, lseek(2), ioctl(2), poll(2), fsync(2).

use super::argument::{Fd, UserIn, UserOut, UserRange};
use super::{Caller, SyscallResult};
use crate::process;
use crate::vfs::File;
use abi::Errno;
use abi::fs::Iovec;
use abi::pod::Pod;
use abi::poll::PollFd;
use abi::time::Timespec;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use machine::time;
use machine::user::copy;

/// Most bytes of one transfer (Linux's MAX_RW_COUNT).
const MAX_TRANSFER: usize = 0x7fff_f000;
/// Most vectors of one call (UIO_MAXIOV).
const MAX_VECTORS: usize = 1024;
const POLLNVAL: i16 = 0x20;
/// POLLERR and POLLHUP are told without being asked for.
const POLL_ALWAYS: i16 = 0x18;
/// How often a sleeping poll looks again, until files wake it themselves.
const POLL_STEP: Duration = Duration::from_millis(4);

pub fn read(caller: &mut Caller<'_>, fd: Fd, buffer: UserOut<u8>, len: usize) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    let mut sink = UserRange::new(buffer.0, check(buffer.0, len)?);
    file.read(&mut sink).map(|count| count as u64)
}

pub fn write(caller: &mut Caller<'_>, fd: Fd, buffer: UserIn<u8>, len: usize) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    let mut source = UserRange::new(buffer.0, check(buffer.0, len)?);
    file.write(&mut source).map(|count| count as u64)
}

pub fn pread64(caller: &mut Caller<'_>, fd: Fd, buffer: UserOut<u8>, len: usize, offset: i64) -> SyscallResult {
    let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let file = fd.file(caller.thread)?;
    let mut sink = UserRange::new(buffer.0, check(buffer.0, len)?);
    file.read_at(offset, &mut sink).map(|count| count as u64)
}

pub fn pwrite64(caller: &mut Caller<'_>, fd: Fd, buffer: UserIn<u8>, len: usize, offset: i64) -> SyscallResult {
    let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let file = fd.file(caller.thread)?;
    let mut source = UserRange::new(buffer.0, check(buffer.0, len)?);
    file.write_at(offset, &mut source).map(|count| count as u64)
}

pub fn readv(caller: &mut Caller<'_>, fd: Fd, vectors: u64, count: usize) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    file.read(&mut UserRange::vectored(read_vectors(vectors, count)?)).map(|count| count as u64)
}

pub fn writev(caller: &mut Caller<'_>, fd: Fd, vectors: u64, count: usize) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    file.write(&mut UserRange::vectored(read_vectors(vectors, count)?)).map(|count| count as u64)
}

pub fn lseek(caller: &mut Caller<'_>, fd: Fd, offset: i64, whence: u32) -> SyscallResult {
    fd.file(caller.thread)?.seek(offset, whence)
}

pub fn ioctl(caller: &mut Caller<'_>, fd: Fd, command: u32, argument: u64) -> SyscallResult {
    fd.file(caller.thread)?.ioctl(command, argument)
}

pub fn fsync(caller: &mut Caller<'_>, fd: Fd) -> SyscallResult {
    fd.file(caller.thread)?.sync()?;
    Ok(0)
}

pub fn fdatasync(caller: &mut Caller<'_>, fd: Fd) -> SyscallResult {
    fsync(caller, fd)
}

pub fn sync(_: &mut Caller<'_>) -> SyscallResult {
    // sync(2) has no errors; they are for fsync(2) and syncfs(2).
    let _ = crate::vfs::sync_all();
    Ok(0)
}

/// Advice is free to be ignored; the descriptor is checked (ESPIPE is for pipes, which are not there).
pub fn fadvise64(caller: &mut Caller<'_>, fd: Fd, _offset: u64, _len: u64, advice: u32) -> SyscallResult {
    fd.file(caller.thread)?;
    if advice > 5 { Err(Errno::EINVAL) } else { Ok(0) }
}

pub fn poll(caller: &mut Caller<'_>, fds: u64, count: u32, timeout_ms: i32) -> SyscallResult {
    // A negative timeout is none.
    let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    poll_until(caller, fds, count, timeout)
}

pub fn ppoll(caller: &mut Caller<'_>, fds: u64, count: u32, timeout: UserIn<Timespec>) -> SyscallResult {
    let timeout = timeout.read_if_given()?.map(Timespec::to_duration).transpose()?;
    poll_until(caller, fds, count, timeout)
}

fn poll_until(caller: &mut Caller<'_>, fds: u64, count: u32, timeout: Option<Duration>) -> SyscallResult {
    if count as usize > process::files::MAX_FILES {
        return Err(Errno::EINVAL);
    }
    let mut entries = Vec::new();
    for index in 0..u64::from(count) {
        let at = fds.checked_add(index * PollFd::SIZE as u64).ok_or(Errno::EFAULT)?;
        entries.push((at, UserIn::<PollFd>::at(at).read()?));
    }
    let files: Vec<Option<Arc<File>>> = {
        let process = caller.thread.process();
        let table = process.files.lock();
        entries.iter().map(|(_, entry)| table.get(entry.fd).ok()).collect()
    };
    let deadline = timeout.map(|timeout| time::now() + timeout);
    loop {
        let mut ready = 0;
        for ((_, entry), file) in entries.iter_mut().zip(&files) {
            entry.revents = match file {
                _ if entry.fd < 0 => 0,
                Some(file) => file.poll() as i16 & (entry.events | POLL_ALWAYS),
                None => POLLNVAL,
            };
            ready += u64::from(entry.revents != 0);
        }
        let now = time::now();
        if ready != 0 || deadline.is_some_and(|deadline| now >= deadline) {
            for (at, entry) in &entries {
                UserOut::<PollFd>::at(*at).write(entry)?;
            }
            return Ok(ready);
        }
        if process::interrupted() {
            return Err(Errno::EINTR);
        }
        let step = now + POLL_STEP;
        crate::sched::park("poll", Some(deadline.map_or(step, |deadline| deadline.min(step))));
    }
}

/// The addresses and lengths of an iovec array, cut to the most that one call moves.
fn read_vectors(vectors: u64, count: usize) -> Result<Vec<(u64, usize)>, Errno> {
    if count > MAX_VECTORS {
        return Err(Errno::EINVAL);
    }
    let mut list = Vec::with_capacity(count);
    let mut total = 0usize;
    for index in 0..count as u64 {
        let at = vectors.checked_add(index * Iovec::SIZE as u64).ok_or(Errno::EFAULT)?;
        let vector = UserIn::<Iovec>::at(at).read()?;
        let len =
            usize::try_from(vector.iov_len).ok().filter(|&len| len <= isize::MAX as usize).ok_or(Errno::EINVAL)?;
        let len = check(vector.iov_base, len)?.min(MAX_TRANSFER - total);
        total += len;
        list.push((vector.iov_base, len));
    }
    Ok(list)
}

/// EFAULT if the range leaves the user half; its length, cut to the most that one call moves.
fn check(address: u64, len: usize) -> Result<usize, Errno> {
    match address.checked_add(len as u64) {
        Some(end) if end <= machine::addr::USER_END => Ok(len.min(MAX_TRANSFER)),
        _ => Err(Errno::EFAULT),
    }
}

/// One word to user memory.
pub(super) fn write_u64(address: u64, value: u64) -> Result<(), Errno> {
    copy::write(address, &value.to_le_bytes()).map_err(|_| Errno::EFAULT)
}
