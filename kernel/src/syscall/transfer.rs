//! Vectored transfers at an offset, and transfers between files: preadv(2), pwritev(2), sendfile(2), copy_file_range(2).

use super::argument::{Fd, UserIn, UserOut, UserRange};
use super::io::{MAX_TRANSFER, read_vectors};
use super::{Caller, SyscallResult};
use crate::vfs::{File, FileType, SliceSink, SliceSource};
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Bytes moved at once between two files.
const CHUNK: usize = 64 * 1024;
/// Flags of preadv2(2) that ask for what is done anyway, or are advice: RWF_HIPRI, RWF_DSYNC, RWF_SYNC.
const RWF_HIPRI: u32 = 1;
const RWF_DSYNC: u32 = 2;
const RWF_SYNC: u32 = 4;

pub fn preadv(caller: &mut Caller<'_>, fd: Fd, vectors: u64, count: usize, low: u64, _high: u64) -> SyscallResult {
    let offset = position(low)?;
    let file = fd.file(caller.thread)?;
    file.read_at(offset, &mut UserRange::vectored(read_vectors(vectors, count)?)).map(|count| count as u64)
}

pub fn pwritev(caller: &mut Caller<'_>, fd: Fd, vectors: u64, count: usize, low: u64, _high: u64) -> SyscallResult {
    let offset = position(low)?;
    let file = fd.file(caller.thread)?;
    file.write_at(offset, &mut UserRange::vectored(read_vectors(vectors, count)?)).map(|count| count as u64)
}

pub fn preadv2(
    caller: &mut Caller<'_>,
    fd: Fd,
    vectors: u64,
    count: usize,
    low: u64,
    _high: u64,
    flags: u32,
) -> SyscallResult {
    if flags & !RWF_HIPRI != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if low != u64::MAX {
        return preadv(caller, fd, vectors, count, low, 0);
    }
    let file = fd.file(caller.thread)?;
    file.read(&mut UserRange::vectored(read_vectors(vectors, count)?)).map(|count| count as u64)
}

pub fn pwritev2(
    caller: &mut Caller<'_>,
    fd: Fd,
    vectors: u64,
    count: usize,
    low: u64,
    _high: u64,
    flags: u32,
) -> SyscallResult {
    if flags & !(RWF_HIPRI | RWF_DSYNC | RWF_SYNC) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let file = fd.file(caller.thread)?;
    let written = if low != u64::MAX {
        pwritev(caller, fd, vectors, count, low, 0)?
    } else {
        file.write(&mut UserRange::vectored(read_vectors(vectors, count)?))? as u64
    };
    if flags & (RWF_DSYNC | RWF_SYNC) != 0 {
        file.sync()?;
    }
    Ok(written)
}

/// On 64 bits the whole offset is in its lower half.
fn position(low: u64) -> Result<u64, Errno> {
    if low > i64::MAX as u64 { Err(Errno::EINVAL) } else { Ok(low) }
}

pub fn sendfile(caller: &mut Caller<'_>, to: Fd, from: Fd, offset: u64, count: usize) -> SyscallResult {
    let from = from.file(caller.thread)?;
    let given = UserIn::<i64>::at(offset).read_if_given()?;
    let mut end = Ends { from, to: to.file(caller.thread)?, from_at: at(given)?, to_at: None };
    // Only what has positions can be the source, as on Linux.
    if end.from.location().is_none_or(|location| location.file_type() != FileType::Regular) {
        return Err(Errno::EINVAL);
    }
    let moved = end.copy(count.min(MAX_TRANSFER))?;
    write_back_offset(offset, end.from_at)?;
    Ok(moved as u64)
}

pub fn copy_file_range(
    caller: &mut Caller<'_>,
    from: Fd,
    from_offset: u64,
    to: Fd,
    to_offset: u64,
    count: usize,
    flags: u32,
) -> SyscallResult {
    let (from, to) = (from.file(caller.thread)?, to.file(caller.thread)?);
    let from_at = at(UserIn::<i64>::at(from_offset).read_if_given()?)?;
    let to_at = at(UserIn::<i64>::at(to_offset).read_if_given()?)?;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    for file in [&from, &to] {
        match file.location().map(|location| location.file_type()) {
            Some(FileType::Regular) => {}
            Some(FileType::Directory) => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
    }
    if to.flags() & 0o2000 != 0 {
        return Err(Errno::EBADF); // O_APPEND
    }
    let same = from.metadata()?;
    let other = to.metadata()?;
    let mut ends = Ends { from, to, from_at, to_at };
    if (same.dev, same.ino) == (other.dev, other.ino) {
        let (start, target) = (ends.source_position()?, ends.target_position()?);
        let len = (count as u64).min(same.size.saturating_sub(start));
        if start < target.saturating_add(len) && target < start.saturating_add(len) {
            return Err(Errno::EINVAL);
        }
    }
    let moved = ends.copy(count.min(MAX_TRANSFER))?;
    write_back_offset(from_offset, ends.from_at)?;
    write_back_offset(to_offset, ends.to_at)?;
    Ok(moved as u64)
}

/// A position that is given.
pub(super) fn at(given: Option<i64>) -> Result<Option<u64>, Errno> {
    given.map(|offset| u64::try_from(offset).map_err(|_| Errno::EINVAL)).transpose()
}

/// Tells the caller the position after the transfer, if he gave one.
pub(super) fn write_back_offset(address: u64, offset: Option<u64>) -> Result<(), Errno> {
    match offset {
        Some(offset) => UserOut::<u64>::at(address).write(&offset),
        None => Ok(()),
    }
}

/// Memory for a part of `count` bytes that are under way.
pub(super) fn buffer(count: usize) -> Result<Vec<u8>, Errno> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(CHUNK.min(count)).map_err(|_| Errno::ENOMEM)?;
    buffer.resize(CHUNK.min(count), 0);
    Ok(buffer)
}

/// Two files and where in them, if not at their own positions.
struct Ends {
    from: Arc<File>,
    to: Arc<File>,
    from_at: Option<u64>,
    to_at: Option<u64>,
}

impl Ends {
    fn source_position(&self) -> Result<u64, Errno> {
        self.from_at.map_or_else(|| self.from.seek(0, 1), Ok)
    }

    fn target_position(&self) -> Result<u64, Errno> {
        self.to_at.map_or_else(|| self.to.seek(0, 1), Ok)
    }

    /// Moves at most `count` bytes; what is read and cannot be written is not taken from the source.
    fn copy(&mut self, count: usize) -> Result<usize, Errno> {
        let mut buffer = buffer(count)?;
        let mut done = 0;
        while done < count {
            match self.copy_some(&mut buffer, count - done) {
                Ok(0) => break,
                Ok(moved) => done += moved,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn copy_some(&mut self, buffer: &mut [u8], count: usize) -> Result<usize, Errno> {
        let from = self.source_position()?;
        let len = count.min(buffer.len());
        let read = self.from.read_at(from, &mut SliceSink::new(&mut buffer[..len]))?;
        if read == 0 {
            return Ok(0);
        }
        let mut source = SliceSource::new(&buffer[..read]);
        let moved = match self.to_at {
            Some(at) => self.to.write_at(at, &mut source)?,
            None => self.to.write(&mut source)?,
        };
        match &mut self.from_at {
            Some(at) => *at += moved as u64,
            None => {
                self.from.seek((from + moved as u64) as i64, 0)?;
            }
        }
        if let Some(at) = &mut self.to_at {
            *at += moved as u64;
        }
        Ok(moved)
    }
}
