//! Moving bytes between a pipe and another file: splice(2), tee(2), vmsplice(2).
//!
//! Bytes are copied, by a buffer of the kernel, at most 64 KiB in one call: callers go on until they have all, as they must
//! on Linux. Nothing gets lost on the way: what stands in a pipe leaves it when it has been written, and what is read has
//! its room in the pipe before (memory for that can still run out). So nobody else reads from, or writes to, that pipe meanwhile, even while the other file waits.

use super::argument::{Fd, UserIn, UserRange};
use super::io::{MAX_TRANSFER, read_vectors};
use super::transfer::{at, buffer, write_back_offset};
use super::{Caller, SyscallResult};
use crate::ipc::pipe::{Giving, Pipe, PipeEnd, Taking};
use crate::vfs::flags::{O_ACCMODE, O_APPEND, O_NONBLOCK, O_PATH, O_RDONLY, O_WRONLY};
use crate::vfs::inode::Positions;
use crate::vfs::{File, SliceSink, SliceSource};
use abi::Errno;
use abi::fcntl::{SPLICE_F_GIFT, SPLICE_F_MORE, SPLICE_F_MOVE, SPLICE_F_NONBLOCK};
use alloc::sync::Arc;

/// All but the one about waiting are advice.
const KNOWN_FLAGS: u32 = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

pub fn splice(
    caller: &mut Caller<'_>,
    from: Fd,
    from_offset: u64,
    to: Fd,
    to_offset: u64,
    len: usize,
    flags: u32,
) -> SyscallResult {
    if len == 0 {
        return Ok(0);
    }
    check_flags(flags)?;
    let (from, to) = (open_file(caller, from)?, open_file(caller, to)?);
    let (source, target) = (pipe_of(&from), pipe_of(&to));
    if source.is_some() && from_offset != 0 || target.is_some() && to_offset != 0 {
        return Err(Errno::ESPIPE);
    }
    let to_given = UserIn::<i64>::at(to_offset).read_if_given()?;
    let from_given = UserIn::<i64>::at(from_offset).read_if_given()?;
    check_modes(&from, &to)?;
    let len = len.min(MAX_TRANSFER);
    let moved = match (source, target) {
        (Some(source), Some(target)) => {
            if core::ptr::eq(source, target) {
                return Err(Errno::EINVAL);
            }
            return between(source, target, len, waits(flags, &[&from, &to]), true);
        }
        (Some(source), None) => {
            if to.flags() & O_APPEND != 0 {
                return Err(Errno::EINVAL);
            }
            let to_at = at(to_given)?;
            let moved = from_pipe(source, &to, to_at, len, waits(flags, &[&from]))?;
            write_back_offset(to_offset, to_at.map(|at| at + moved as u64))?;
            moved
        }
        (None, Some(target)) => {
            let from_at = at(from_given)?;
            let moved = to_pipe(&from, from_at, target, len, flags, waits(flags, &[&to]))?;
            write_back_offset(from_offset, from_at.map(|at| at + moved as u64))?;
            moved
        }
        (None, None) => return Err(Errno::EINVAL),
    };
    Ok(moved as u64)
}

pub fn tee(caller: &mut Caller<'_>, from: Fd, to: Fd, len: usize, flags: u32) -> SyscallResult {
    check_flags(flags)?;
    if len == 0 {
        return Ok(0);
    }
    let (from, to) = (open_file(caller, from)?, open_file(caller, to)?);
    check_modes(&from, &to)?;
    match (pipe_of(&from), pipe_of(&to)) {
        (Some(source), Some(target)) if !core::ptr::eq(source, target) => {
            between(source, target, len, waits(flags, &[&from, &to]), false)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Into a pipe that is open for writing, else out of it. Whether it waits, the flags alone say.
pub fn vmsplice(caller: &mut Caller<'_>, fd: Fd, vectors: u64, count: usize, flags: u32) -> SyscallResult {
    check_flags(flags)?;
    let file = open_file(caller, fd)?;
    let memory = read_vectors(vectors, count)?;
    if memory.iter().all(|&(_, len)| len == 0) {
        return Ok(0);
    }
    let pipe = pipe_of(&file).ok_or(Errno::EBADF)?;
    let waits = waits(flags, &[]);
    let mut memory = UserRange::vectored(memory);
    let moved = match file.flags() & O_ACCMODE {
        O_RDONLY => pipe.read(waits, &mut memory)?,
        _ => giving(pipe, waits)?.put(&mut memory)?,
    };
    Ok(moved as u64)
}

fn check_flags(flags: u32) -> Result<(), Errno> {
    if flags & !KNOWN_FLAGS == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// The file of a descriptor that is for more than naming a place: EBADF.
fn open_file(caller: &Caller<'_>, fd: Fd) -> Result<Arc<File>, Errno> {
    fd.file(caller.thread).and_then(|file| if file.flags() & O_PATH == 0 { Ok(file) } else { Err(Errno::EBADF) })
}

fn pipe_of(file: &File) -> Option<&Pipe> {
    file.device::<PipeEnd>().map(PipeEnd::pipe)
}

/// EBADF unless the one can be read and the other written.
fn check_modes(from: &File, to: &File) -> Result<(), Errno> {
    let fits = from.flags() & O_ACCMODE != O_WRONLY && to.flags() & O_ACCMODE != O_RDONLY;
    if fits { Ok(()) } else { Err(Errno::EBADF) }
}

/// Whether to wait for pipes.
fn waits(flags: u32, ends: &[&File]) -> bool {
    flags & SPLICE_F_NONBLOCK == 0 && ends.iter().all(|end| end.flags() & O_NONBLOCK == 0)
}

/// What stands in the pipe, once there is something; None at its end. EAGAIN, EINTR.
fn taking(pipe: &Pipe, waits: bool) -> Result<Option<Taking<'_>>, Errno> {
    while pipe.wait_to_take(waits)? {
        // Another may have been faster.
        if let Some(taking) = pipe.take() {
            return Ok(Some(taking));
        }
    }
    Ok(None)
}

/// The room in the pipe, once there is some. EPIPE, EAGAIN, EINTR.
fn giving(pipe: &Pipe, waits: bool) -> Result<Giving<'_>, Errno> {
    loop {
        pipe.wait_to_give(waits)?;
        if let Some(giving) = pipe.give() {
            return Ok(giving);
        }
    }
}

/// From pipe to pipe; the bytes stay in the first one, too, unless they are to be `moved`. Waits for both without having
/// taken anything, so that others can go on.
fn between(source: &Pipe, target: &Pipe, len: usize, waits: bool, moved: bool) -> SyscallResult {
    loop {
        if !source.wait_to_take(waits)? {
            return Ok(0);
        }
        target.wait_to_give(waits)?;
        let Some(taking) = source.take() else { continue };
        let Some(giving) = target.give() else { continue };
        let mut buffer = buffer(len.min(giving.room()))?;
        let count = taking.peek(&mut SliceSink::new(&mut buffer))?;
        let done = giving.put(&mut SliceSource::new(&buffer[..count]))?;
        if moved {
            taking.discard(done);
        }
        return Ok(done as u64);
    }
}

fn from_pipe(pipe: &Pipe, to: &File, to_at: Option<u64>, len: usize, waits: bool) -> Result<usize, Errno> {
    let Some(taking) = taking(pipe, waits)? else { return Ok(0) };
    let mut buffer = buffer(len)?;
    let count = taking.peek(&mut SliceSink::new(&mut buffer))?;
    let mut bytes = SliceSource::new(&buffer[..count]);
    let written = match to_at {
        Some(at) => to.write_at(at, &mut bytes).map_err(no_positions)?,
        None => to.write(&mut bytes)?,
    };
    taking.discard(written);
    Ok(written)
}

fn to_pipe(
    from: &File,
    from_at: Option<u64>,
    pipe: &Pipe,
    len: usize,
    flags: u32,
    waits: bool,
) -> Result<usize, Errno> {
    let giving = giving(pipe, waits)?;
    let mut buffer = buffer(len.min(giving.room()))?;
    let mut sink = SliceSink::new(&mut buffer);
    let read = match (from_at, from.operations()) {
        (Some(at), _) => from.read_at(at, &mut sink).map_err(no_positions)?,
        // What has no position, such as a socket, is told not to wait if the call is not to.
        (None, Some(operations)) if flags & SPLICE_F_NONBLOCK != 0 && operations.positions() == Positions::None => {
            operations.read(0, from.flags() | O_NONBLOCK, &mut sink)?
        }
        (None, _) => from.read(&mut sink).map_err(no_positions)?,
    };
    giving.put(&mut SliceSource::new(&buffer[..read]))
}

/// A position is for files that have some, and directories are no files to read.
fn no_positions(error: Errno) -> Errno {
    if matches!(error, Errno::ESPIPE | Errno::EISDIR) { Errno::EINVAL } else { error }
}
