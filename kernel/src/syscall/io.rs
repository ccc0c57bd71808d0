//! Reading and writing open files: read(2), write(2) and their kin, lseek(2), ioctl(2), fsync(2).

use super::argument::{Fd, UserIn, UserOut, UserRange};
use super::{Caller, SyscallResult, owner};
use crate::vfs::flags::{O_NONBLOCK, O_PATH, S_IFIFO, S_IFMT};
use abi::Errno;
use abi::fs::Iovec;
use abi::pod::Pod;
use abi::termios::{FIOCLEX, FIONBIO, FIONCLEX};
use alloc::vec::Vec;

/// Most bytes of one transfer (Linux's MAX_RW_COUNT).
pub(super) const MAX_TRANSFER: usize = 0x7fff_f000;
/// Most vectors of one call (UIO_MAXIOV).
const MAX_VECTORS: usize = 1024;

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
    let file = fd.file(caller.thread)?;
    if file.flags() & O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    match command {
        // What fcntl(2) does as well, for every file.
        FIONBIO => {
            let on = UserIn::<i32>::at(argument).read()? != 0;
            file.change_flags(O_NONBLOCK, if on { O_NONBLOCK } else { 0 });
        }
        FIOCLEX | FIONCLEX => {
            caller.thread.process().files.with(|files| files.set_close_on_exec(fd.0, command == FIOCLEX))?;
        }
        _ => {
            return owner::ioctl(caller, fd, &file, command, argument).unwrap_or_else(|| file.ioctl(command, argument));
        }
    }
    Ok(0)
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

/// Advice is free to be ignored; the descriptor is checked.
pub fn fadvise64(caller: &mut Caller<'_>, fd: Fd, _offset: u64, _len: u64, advice: u32) -> SyscallResult {
    if fd.file(caller.thread)?.metadata()?.mode & S_IFMT == S_IFIFO {
        return Err(Errno::ESPIPE);
    }
    if advice > 5 { Err(Errno::EINVAL) } else { Ok(0) }
}

/// The addresses and lengths of an iovec array, cut to the most that one call moves.
pub(super) fn read_vectors(vectors: u64, count: usize) -> Result<Vec<(u64, usize)>, Errno> {
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
pub(super) fn check(address: u64, len: usize) -> Result<usize, Errno> {
    match address.checked_add(len as u64) {
        Some(end) if end <= machine::addr::USER_END => Ok(len.min(MAX_TRANSFER)),
        _ => Err(Errno::EFAULT),
    }
}
