//! Locks on files: flock(2), and the part of fcntl(2) that is about records.

use super::argument::{Fd, UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::process;
use crate::vfs::{File, LockKind, LockOwner, LockRange};
use abi::Errno;
use abi::fcntl::Flock;
use alloc::sync::Arc;
use core::any::Any;

pub const F_GETLK: u32 = 5;
pub const F_SETLK: u32 = 6;
pub const F_SETLKW: u32 = 7;
pub const F_OFD_GETLK: u32 = 36;
pub const F_OFD_SETLK: u32 = 37;
pub const F_OFD_SETLKW: u32 = 38;

const F_RDLCK: i16 = 0;
const F_WRLCK: i16 = 1;
const F_UNLCK: i16 = 2;
const SEEK_SET: i16 = 0;
const SEEK_CUR: i16 = 1;
const SEEK_END: i16 = 2;

pub fn flock(caller: &mut Caller<'_>, fd: Fd, operation: u32) -> SyscallResult {
    const LOCK_SH: u32 = 1;
    const LOCK_EX: u32 = 2;
    const LOCK_NB: u32 = 4;
    const LOCK_UN: u32 = 8;
    let kind = match operation & !LOCK_NB {
        LOCK_SH => LockKind::Shared,
        LOCK_EX => LockKind::Exclusive,
        LOCK_UN => LockKind::Unlocked,
        _ => return Err(Errno::EINVAL),
    };
    let file = fd.file(caller.thread)?;
    file.lock_whole(kind, operation & LOCK_NB == 0, process::interrupted)?;
    Ok(0)
}

/// What stands for the caller's process as an owner of locks: its table of files, as on Linux.
pub fn token(caller: &Caller<'_>) -> Arc<dyn Any + Send + Sync> {
    caller.thread.process().files.with(|files| files.identity())
}

/// fcntl(2) with one of the commands above.
pub fn record_lock(caller: &Caller<'_>, file: &Arc<File>, command: u32, argument: u64) -> SyscallResult {
    let wanted = UserIn::<Flock>::at(argument).read()?;
    let of_file = matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW);
    let owner = match of_file {
        true if wanted.l_pid != 0 => return Err(Errno::EINVAL),
        true => LockOwner::File,
        false => LockOwner::Process(Arc::downgrade(&token(caller)), caller.thread.process().pid()),
    };
    let kind = match wanted.l_type {
        F_RDLCK => LockKind::Shared,
        F_WRLCK => LockKind::Exclusive,
        F_UNLCK if !matches!(command, F_GETLK | F_OFD_GETLK) => LockKind::Unlocked,
        _ => return Err(Errno::EINVAL),
    };
    let range = range(file, &wanted)?;
    if !matches!(command, F_GETLK | F_OFD_GETLK) {
        let wait = matches!(command, F_SETLKW | F_OFD_SETLKW);
        file.lock_range(owner, kind, range, wait, process::interrupted)?;
        return Ok(0);
    }
    let answer = match file.conflicting_lock(owner, kind, range)? {
        None => Flock { l_type: F_UNLCK, ..wanted },
        Some(conflict) => Flock {
            l_type: if conflict.kind == LockKind::Exclusive { F_WRLCK } else { F_RDLCK },
            l_whence: SEEK_SET,
            l_start: conflict.range.start as i64,
            l_len: if conflict.range.end == u64::MAX { 0 } else { (conflict.range.end - conflict.range.start) as i64 },
            l_pid: conflict.pid.map_or(-1, |pid| pid as i32),
            ..Flock::ZERO
        },
    };
    UserOut::<Flock>::at(argument).write(&answer)?;
    Ok(0)
}

/// The bytes that a `struct flock` is about: a negative length goes back from its start.
fn range(file: &File, wanted: &Flock) -> Result<LockRange, Errno> {
    let base = match wanted.l_whence {
        SEEK_SET => 0,
        SEEK_CUR => file.seek(0, 1)? as i64,
        SEEK_END => file.metadata()?.size as i64,
        _ => return Err(Errno::EINVAL),
    };
    let start = base.checked_add(wanted.l_start).ok_or(Errno::EOVERFLOW)?;
    let other = start.checked_add(wanted.l_len).ok_or(Errno::EOVERFLOW)?;
    let position = |at: i64| u64::try_from(at).map_err(|_| Errno::EINVAL);
    match wanted.l_len {
        0 => Ok(LockRange { start: position(start)?, end: u64::MAX }),
        1.. => Ok(LockRange { start: position(start)?, end: position(other)? }),
        _ => Ok(LockRange { start: position(other)?, end: position(start)? }),
    }
}
