//! Attributes of files: chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2) and their kin.

use super::argument::{Fd, UserIn, UserPath};
use super::file::locate;
use super::{Caller, SyscallResult};
use crate::clock;
use crate::vfs::{AttributeChange, FileType, Location, Who, access};
use abi::Errno;
use abi::capability::CAP_CHOWN;
use abi::time::{Timespec, Timeval};

const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
const AT_EMPTY_PATH: u32 = 0x1000;
/// Nanoseconds that mean the present time, and no change.
const UTIME_NOW: i64 = 0x3fff_ffff;
const UTIME_OMIT: i64 = 0x3fff_fffe;
/// An owner that stays as it is.
const UNCHANGED: u32 = u32::MAX;
/// The working directory as `dirfd`.
const CWD: Fd = Fd(-100);

/// What a call with flags is about.
fn target(caller: &Caller<'_>, directory: Fd, path: UserPath, flags: u32) -> Result<Location, Errno> {
    let path = path.read()?;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        return match directory {
            CWD => Ok(caller.thread.process().working_directory()),
            fd => of_fd(caller, fd),
        };
    }
    locate(caller, directory, &path, flags & AT_SYMLINK_NOFOLLOW == 0)
}

/// The place of an open file; EINVAL for one that has none.
fn of_fd(caller: &Caller<'_>, fd: Fd) -> Result<Location, Errno> {
    let file = fd.file(caller.thread)?;
    if file.flags() & crate::vfs::flags::O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    file.location().cloned().ok_or(Errno::EINVAL)
}

fn who(caller: &Caller<'_>) -> Who {
    caller.thread.process().credentials().who()
}

fn change_mode(caller: &Caller<'_>, location: &Location, mode: u32) -> SyscallResult {
    location.mount().check_writable()?;
    who(caller).check_owner(&location.metadata()?)?;
    if location.file_type() == FileType::Symlink {
        return Err(Errno::EOPNOTSUPP);
    }
    location.set_attributes(&AttributeChange { mode: Some(mode & 0o7777), ..AttributeChange::default() })?;
    Ok(0)
}

pub fn chmod(caller: &mut Caller<'_>, path: UserPath, mode: u32) -> SyscallResult {
    fchmodat(caller, CWD, path, mode)
}

pub fn fchmod(caller: &mut Caller<'_>, fd: Fd, mode: u32) -> SyscallResult {
    let location = of_fd(caller, fd)?;
    change_mode(caller, &location, mode)
}

pub fn fchmodat(caller: &mut Caller<'_>, directory: Fd, path: UserPath, mode: u32) -> SyscallResult {
    let location = target(caller, directory, path, 0)?;
    change_mode(caller, &location, mode)
}

fn change_owner(caller: &Caller<'_>, location: &Location, user: u32, group: u32) -> SyscallResult {
    location.mount().check_writable()?;
    let metadata = location.metadata()?;
    let credentials = caller.thread.process().credentials();
    let new_user = (user != UNCHANGED).then_some(user);
    let new_group = (group != UNCHANGED).then_some(group);
    let own = metadata.uid == credentials.user.file;
    let to_own_group = new_group.is_none_or(|group| {
        group == metadata.gid || group == credentials.group.file || credentials.groups.contains(&group)
    });
    let to_same_user = new_user.is_none_or(|user| user == metadata.uid);
    let allowed = credentials.has(CAP_CHOWN) || own && to_same_user && to_own_group;
    if !allowed {
        return Err(Errno::EPERM);
    }
    // A program does not keep the rights of an owner that has changed (chown(2)).
    let set_ids = if metadata.mode & 0o010 != 0 { 0o6000 } else { 0o4000 };
    let loses = location.file_type() == FileType::Regular && metadata.mode & set_ids != 0;
    let mode = loses.then_some(metadata.mode & 0o7777 & !set_ids);
    location.set_attributes(&AttributeChange { mode, uid: new_user, gid: new_group, ..AttributeChange::default() })?;
    Ok(0)
}

pub fn chown(caller: &mut Caller<'_>, path: UserPath, user: u32, group: u32) -> SyscallResult {
    fchownat(caller, CWD, path, user, group, 0)
}

pub fn lchown(caller: &mut Caller<'_>, path: UserPath, user: u32, group: u32) -> SyscallResult {
    fchownat(caller, CWD, path, user, group, AT_SYMLINK_NOFOLLOW)
}

pub fn fchown(caller: &mut Caller<'_>, fd: Fd, user: u32, group: u32) -> SyscallResult {
    let location = of_fd(caller, fd)?;
    change_owner(caller, &location, user, group)
}

pub fn fchownat(
    caller: &mut Caller<'_>,
    directory: Fd,
    path: UserPath,
    user: u32,
    group: u32,
    flags: u32,
) -> SyscallResult {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let location = target(caller, directory, path, flags)?;
    change_owner(caller, &location, user, group)
}

/// Sets times; `None` is the present for both.
fn change_times(caller: &Caller<'_>, location: &Location, times: Option<[Timespec; 2]>) -> SyscallResult {
    let now = clock::time_of_day();
    let chosen = |time: &Timespec| match time.tv_nsec {
        UTIME_NOW => Ok(Some(now)),
        UTIME_OMIT => Ok(None),
        0..1_000_000_000 => Ok(Some((time.tv_sec, time.tv_nsec as u32))),
        _ => Err(Errno::EINVAL),
    };
    let (atime, mtime) = match &times {
        None => (Some(now), Some(now)),
        Some([accessed, modified]) => (chosen(accessed)?, chosen(modified)?),
    };
    if atime.is_none() && mtime.is_none() {
        return Ok(0);
    }
    location.mount().check_writable()?;
    let metadata = location.metadata()?;
    let is_now = times.is_none_or(|times| times.iter().all(|time| time.tv_nsec == UTIME_NOW));
    match who(caller).check_owner(&metadata) {
        // Whoever may write may say that it has been done just now.
        Err(_) if is_now => who(caller).check(&metadata, access::WRITE)?,
        result => result?,
    }
    location.set_attributes(&AttributeChange { atime, mtime, ..AttributeChange::default() })?;
    Ok(0)
}

fn two_times(times: UserIn<Timespec>) -> Result<Option<[Timespec; 2]>, Errno> {
    if times.0 == 0 {
        return Ok(None);
    }
    Ok(Some([times.read()?, UserIn::<Timespec>::at(times.0 + 16).read()?]))
}

pub fn utimensat(
    caller: &mut Caller<'_>,
    directory: Fd,
    path: UserPath,
    times: UserIn<Timespec>,
    flags: u32,
) -> SyscallResult {
    let times = two_times(times)?;
    if times.is_some_and(|times| times.iter().all(|time| time.tv_nsec == UTIME_OMIT)) {
        return Ok(0);
    }
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    // Without a path it is about the descriptor (futimens(3)).
    let location = if path.0 == 0 && directory != CWD {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        of_fd(caller, directory)?
    } else {
        target(caller, directory, path, flags)?
    };
    change_times(caller, &location, times)
}

pub fn utimes(caller: &mut Caller<'_>, path: UserPath, times: UserIn<Timeval>) -> SyscallResult {
    futimesat(caller, CWD, path, times)
}

pub fn futimesat(caller: &mut Caller<'_>, directory: Fd, path: UserPath, times: UserIn<Timeval>) -> SyscallResult {
    let exact = |time: Timeval| match time.tv_usec {
        0..1_000_000 => Ok(Timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_usec * 1000 }),
        _ => Err(Errno::EINVAL),
    };
    let times = match times.0 {
        0 => None,
        at => Some([exact(times.read()?)?, exact(UserIn::<Timeval>::at(at + 16).read()?)?]),
    };
    let location = target(caller, directory, path, 0)?;
    change_times(caller, &location, times)
}

/// `times` are two numbers of seconds.
pub fn utime(caller: &mut Caller<'_>, path: UserPath, times: UserIn<i64>) -> SyscallResult {
    let whole = |seconds| Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = match times.0 {
        0 => None,
        at => Some([whole(times.read()?), whole(UserIn::<i64>::at(at + 8).read()?)]),
    };
    let location = target(caller, CWD, path, 0)?;
    change_times(caller, &location, times)
}

pub fn truncate(caller: &mut Caller<'_>, path: UserPath, len: i64) -> SyscallResult {
    let len = u64::try_from(len).map_err(|_| Errno::EINVAL)?;
    let location = target(caller, CWD, path, 0)?;
    if location.file_type() == FileType::Regular {
        who(caller).check(&location.metadata()?, access::WRITE)?;
    }
    location.truncate(len)?;
    Ok(0)
}

pub fn ftruncate(caller: &mut Caller<'_>, fd: Fd, len: i64) -> SyscallResult {
    let len = u64::try_from(len).map_err(|_| Errno::EINVAL)?;
    fd.file(caller.thread)?.truncate(len)?;
    Ok(0)
}

/// Holes are made, and a file in memory gets its pages. ext2 cannot set blocks aside that hold nothing: callers write zeros
/// instead, as posix_fallocate(3) does.
pub fn fallocate(caller: &mut Caller<'_>, fd: Fd, mode: u32, offset: i64, len: i64) -> SyscallResult {
    const KEEP_SIZE: u32 = 1;
    const PUNCH_HOLE: u32 = 2;
    if offset < 0 || len <= 0 {
        return Err(Errno::EINVAL);
    }
    let file = fd.file(caller.thread)?;
    if file.flags() & 3 == 0 || file.flags() & crate::vfs::flags::O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    let location = file.location().ok_or(Errno::ESPIPE)?;
    match location.file_type() {
        FileType::Regular if mode == PUNCH_HOLE | KEEP_SIZE => {
            location.punch(offset as u64, len as u64)?;
            Ok(0)
        }
        FileType::Regular if mode & !KEEP_SIZE == 0 => {
            location.allocate(offset as u64, len as u64, mode == KEEP_SIZE)?;
            Ok(0)
        }
        FileType::Regular => Err(Errno::EOPNOTSUPP),
        FileType::Fifo => Err(Errno::ESPIPE),
        _ => Err(Errno::ENODEV),
    }
}
