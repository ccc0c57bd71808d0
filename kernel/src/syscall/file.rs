//! Opening, closing, duplicating and describing files.

use super::argument::{Fd, PathText, UserOut, UserPath, read_extensible};
use super::{Caller, SyscallResult, lock, owner};
use crate::process::files::MAX_FILES;
use crate::vfs::{self, FileType, FsContext, Location, Metadata, flags, resolve};
use abi::Errno;
use abi::fcntl::{F_ADD_SEALS, F_GET_SEALS, F_GETPIPE_SZ, F_SETPIPE_SZ, OpenFlags, OpenHow};
use abi::fs::{Stat, Statx, StatxTimestamp, split_dev};

const O_CLOEXEC: u32 = 0o2000000;
const O_CREAT: u32 = 0o100;
const O_TMPFILE: u32 = 0o20200000;
/// Flags that fcntl(F_SETFL) may change: O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME, O_ASYNC.
const SETTABLE_FLAGS: u32 = 0o2000 | 0o4000 | 0o40000 | 0o1000000 | 0o20000;
const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
const AT_EACCESS: u32 = 0x200;
const AT_NO_AUTOMOUNT: u32 = 0x800;
const AT_EMPTY_PATH: u32 = 0x1000;
const AT_STATX_SYNC_TYPE: u32 = 0x6000;
const STATX_BASIC_STATS: u32 = 0x7ff;

pub fn open(caller: &mut Caller<'_>, path: UserPath, flags: u32, mode: u32) -> SyscallResult {
    openat(caller, Fd(-100), path, flags, mode)
}

pub fn openat(caller: &mut Caller<'_>, directory: Fd, path: UserPath, flags: u32, mode: u32) -> SyscallResult {
    open_as(caller, directory, path, flags, mode, 0)
}

fn open_as(
    caller: &mut Caller<'_>,
    directory: Fd,
    path: UserPath,
    flags: u32,
    mode: u32,
    forbidden: u32,
) -> SyscallResult {
    let mut text = PathText::new();
    path.read_into(&mut text)?;
    let path: &[u8] = &text;
    // Within a directory, the path begins there also if it is absolute.
    let from_base: &[u8] = if forbidden & (resolve::BENEATH | resolve::IN_ROOT) != 0 { b"." } else { path };
    let base = directory.base(caller.thread, from_base)?;
    let process = caller.thread.process();
    let makes = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
    let mode = if makes { mode & 0o7777 & !process.umask() } else { 0 };
    let context = process.fs_context();
    let file = vfs::open_restricted(&context, base.as_ref(), path, flags & !O_CLOEXEC, mode, forbidden)?;
    let fd = process.add_file(file, flags & O_CLOEXEC != 0)?;
    Ok(fd as u64)
}

/// openat2(2): unlike openat it refuses flags it does not know, and such as mean nothing.
pub fn openat2(caller: &mut Caller<'_>, directory: Fd, path: UserPath, how: u64, size: usize) -> SyscallResult {
    const KNOWN_FLAGS: u64 = 0o37_777_703;
    const O_PATH: u64 = 0o10000000;
    const WITH_O_PATH: u64 = O_PATH | 0o200000 | 0o400000 | O_CLOEXEC as u64;
    let OpenHow { flags, mode, resolve } = read_extensible(how, size, size_of::<OpenHow>())?;
    let makes = flags & u64::from(O_CREAT) != 0 || flags & u64::from(O_TMPFILE) == u64::from(O_TMPFILE);
    let tmpfile_bit = u64::from(flags::O_TMPFILE_BIT);
    let wrong = flags & !KNOWN_FLAGS != 0
        || resolve & !0x3f != 0
        || resolve & 0x18 == 0x18
        || mode & !0o7777 != 0
        || mode != 0 && !makes
        || flags & O_PATH != 0 && flags & !WITH_O_PATH != 0
        || flags & tmpfile_bit != 0 && (flags & u64::from(O_TMPFILE) != u64::from(O_TMPFILE) || flags & 3 == 0);
    if wrong {
        return Err(Errno::EINVAL);
    }
    let changes = flags & u64::from(O_CREAT | flags::O_TRUNC) | flags & tmpfile_bit != 0;
    if resolve as u32 & resolve::CACHED != 0 && changes {
        return Err(Errno::EAGAIN);
    }
    open_as(caller, directory, path, flags as u32, mode as u32, resolve as u32)
}

pub fn creat(caller: &mut Caller<'_>, path: UserPath, mode: u32) -> SyscallResult {
    const O_WRONLY: u32 = 1;
    const O_TRUNC: u32 = 0o1000;
    openat(caller, Fd(-100), path, O_CREAT | O_WRONLY | O_TRUNC, mode)
}

/// close_range(2).
pub fn close_range(caller: &mut Caller<'_>, first: u32, last: u32, flags: u32) -> SyscallResult {
    const CLOSE_RANGE_UNSHARE: u32 = 2;
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    if flags & !(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    let process = caller.thread.process();
    if flags & CLOSE_RANGE_UNSHARE != 0 {
        process.unshare_files()?;
    }
    for fd in first..=last.min(MAX_FILES as u32 - 1) {
        let closed = process.files.with(|files| match flags & CLOSE_RANGE_CLOEXEC {
            0 => files.remove(fd as i32).ok(),
            _ => files.set_close_on_exec(fd as i32, true).map(|()| None).unwrap_or(None),
        });
        if let Some(closed) = closed {
            closed.release_process_locks(&lock::token(caller));
        }
    }
    Ok(0)
}

pub fn close(caller: &mut Caller<'_>, fd: Fd) -> SyscallResult {
    let file = caller.thread.process().files.with(|files| files.remove(fd.0))?;
    file.release_process_locks(&lock::token(caller));
    Ok(0)
}

pub fn dup(caller: &mut Caller<'_>, fd: Fd) -> SyscallResult {
    let process = caller.thread.process();
    let limit = process.file_limit();
    let copy = process.files.with(|files| files.insert(files.get(fd.0)?, 0..limit, false))?;
    Ok(copy as u64)
}

pub fn dup2(caller: &mut Caller<'_>, old: Fd, new: Fd) -> SyscallResult {
    if old == new {
        old.file(caller.thread)?;
        return Ok(new.0 as u64);
    }
    replace(caller, old, new, false)
}

pub fn dup3(caller: &mut Caller<'_>, old: Fd, new: Fd, flags: u32) -> SyscallResult {
    if old == new || flags & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    replace(caller, old, new, flags & O_CLOEXEC != 0)
}

fn replace(caller: &mut Caller<'_>, old: Fd, new: Fd, close_on_exec: bool) -> SyscallResult {
    let process = caller.thread.process();
    let at = usize::try_from(new.0).ok().filter(|&fd| fd < process.file_limit()).ok_or(Errno::EBADF)?;
    let replaced = process.files.with(|files| files.replace(at, files.get(old.0)?, close_on_exec))?;
    if let Some(replaced) = replaced {
        replaced.release_process_locks(&lock::token(caller));
    }
    Ok(new.0 as u64)
}

pub fn fcntl(caller: &mut Caller<'_>, fd: Fd, command: u32, argument: u64) -> SyscallResult {
    const F_DUPFD: u32 = 0;
    const F_GETFD: u32 = 1;
    const F_SETFD: u32 = 2;
    const F_GETFL: u32 = 3;
    const F_SETFL: u32 = 4;
    const F_DUPFD_CLOEXEC: u32 = 1030;
    let process = caller.thread.process();
    let file = fd.file(caller.thread)?;
    match command {
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let limit = process.file_limit();
            let least = usize::try_from(argument).ok().filter(|&least| least < limit).ok_or(Errno::EINVAL)?;
            let close_on_exec = command == F_DUPFD_CLOEXEC;
            process.files.with(|files| files.insert(file, least..limit, close_on_exec)).map(|fd| fd as u64)
        }
        F_GETFD => process.files.with(|files| files.close_on_exec(fd.0)).map(u64::from),
        F_SETFD => process.files.with(|files| files.set_close_on_exec(fd.0, argument & 1 != 0)).map(|()| 0),
        F_GETFL => Ok(u64::from(file.flags())),
        // A place that was only named is no file to do anything with.
        _ if file.flags() & flags::O_PATH != 0 => Err(Errno::EBADF),
        F_SETFL => {
            let (old, new) = (file.flags(), argument as u32);
            if (old ^ new) & OpenFlags::ASYNC.bits() != 0 {
                owner::flags_changed(fd, &file, new & OpenFlags::ASYNC.bits() != 0)?;
            }
            file.change_flags(SETTABLE_FLAGS & !OpenFlags::ASYNC.bits(), new);
            Ok(0)
        }
        lock::F_GETLK | lock::F_SETLK | lock::F_SETLKW | lock::F_OFD_GETLK | lock::F_OFD_SETLK | lock::F_OFD_SETLKW => {
            lock::record_lock(caller, &file, command, argument)
        }
        F_GETPIPE_SZ | F_SETPIPE_SZ => file.fcntl(command, argument),
        F_GET_SEALS => file.seals().map(u64::from),
        F_ADD_SEALS => file.add_seals(argument as u32).map(|()| 0),
        _ => owner::fcntl(caller, &file, command, argument),
    }
}

pub fn stat(caller: &mut Caller<'_>, path: UserPath, out: UserOut<Stat>) -> SyscallResult {
    newfstatat(caller, Fd(-100), path, out, 0)
}

pub fn lstat(caller: &mut Caller<'_>, path: UserPath, out: UserOut<Stat>) -> SyscallResult {
    newfstatat(caller, Fd(-100), path, out, AT_SYMLINK_NOFOLLOW)
}

pub fn fstat(caller: &mut Caller<'_>, fd: Fd, out: UserOut<Stat>) -> SyscallResult {
    let metadata = fd.file(caller.thread)?.metadata()?;
    out.write(&to_stat(&metadata))?;
    Ok(0)
}

pub fn newfstatat(
    caller: &mut Caller<'_>,
    directory: Fd,
    path: UserPath,
    out: UserOut<Stat>,
    flags: u32,
) -> SyscallResult {
    if flags & !(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let metadata = describe(caller, directory, path, flags)?;
    out.write(&to_stat(&metadata))?;
    Ok(0)
}

pub fn statx(
    caller: &mut Caller<'_>,
    directory: Fd,
    path: UserPath,
    flags: u32,
    mask: u32,
    out: UserOut<Statx>,
) -> SyscallResult {
    let known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
    if flags & !known != 0 || mask & 1 << 31 != 0 {
        return Err(Errno::EINVAL);
    }
    let metadata = describe(caller, directory, path, flags)?;
    out.write(&to_statx(&metadata))?;
    Ok(0)
}

pub fn access(caller: &mut Caller<'_>, path: UserPath, mode: u32) -> SyscallResult {
    faccessat2(caller, Fd(-100), path, mode, 0)
}

pub fn faccessat(caller: &mut Caller<'_>, directory: Fd, path: UserPath, mode: u32) -> SyscallResult {
    faccessat2(caller, directory, path, mode, 0)
}

/// By the real identities unless `AT_EACCESS` is given.
pub fn faccessat2(caller: &mut Caller<'_>, directory: Fd, path: UserPath, mode: u32, flags: u32) -> SyscallResult {
    if mode & !7 != 0 || flags & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let process = caller.thread.process();
    let context = process.fs_context();
    let who = if flags & AT_EACCESS != 0 { context.who.clone() } else { process.credentials().real_who() };
    let mut text = PathText::new();
    path.read_into(&mut text)?;
    let path: &[u8] = &text;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 && directory.0 >= 0 {
        who.check(&directory.file(caller.thread)?.metadata()?, mode)?;
        return Ok(0);
    }
    let base = directory.base(caller.thread, path)?;
    let context = FsContext { who, ..FsContext::clone(&context) };
    let location = vfs::lookup(&context, base.as_ref(), path, flags & AT_SYMLINK_NOFOLLOW == 0)?;
    if mode & vfs::access::WRITE != 0 && matches!(location.file_type(), FileType::Regular | FileType::Directory) {
        location.mount().check_writable()?;
    }
    context.who.check(&location.metadata()?, mode)?;
    Ok(0)
}

fn describe(caller: &Caller<'_>, directory: Fd, path: UserPath, flags: u32) -> Result<Metadata, Errno> {
    let mut text = PathText::new();
    path.read_into(&mut text)?;
    let path: &[u8] = &text;
    if path.is_empty() && flags & AT_EMPTY_PATH != 0 && directory.0 >= 0 {
        return directory.file(caller.thread)?.metadata();
    }
    locate(caller, directory, path, flags & AT_SYMLINK_NOFOLLOW == 0)?.metadata()
}

/// What a path names.
pub(super) fn locate(caller: &Caller<'_>, directory: Fd, path: &[u8], follow: bool) -> Result<Location, Errno> {
    let base = directory.base(caller.thread, path)?;
    vfs::lookup(&caller.thread.process().fs_context(), base.as_ref(), path, follow)
}

fn to_stat(metadata: &Metadata) -> Stat {
    Stat {
        st_dev: metadata.dev,
        st_ino: metadata.ino,
        st_nlink: metadata.nlink,
        st_mode: metadata.mode,
        st_uid: metadata.uid,
        st_gid: metadata.gid,
        st_rdev: metadata.rdev,
        st_size: metadata.size as i64,
        st_blksize: metadata.blksize as i64,
        st_blocks: metadata.blocks as i64,
        st_atime: metadata.atime.0 as u64,
        st_atime_nsec: metadata.atime.1.into(),
        st_mtime: metadata.mtime.0 as u64,
        st_mtime_nsec: metadata.mtime.1.into(),
        st_ctime: metadata.ctime.0 as u64,
        st_ctime_nsec: metadata.ctime.1.into(),
        ..Stat::default()
    }
}

fn to_statx(metadata: &Metadata) -> Statx {
    let time = |(tv_sec, tv_nsec): (i64, u32)| StatxTimestamp { tv_sec, tv_nsec, ..StatxTimestamp::default() };
    let (rdev_major, rdev_minor) = split_dev(metadata.rdev);
    let (dev_major, dev_minor) = split_dev(metadata.dev);
    Statx {
        stx_mask: STATX_BASIC_STATS,
        stx_blksize: metadata.blksize as u32,
        stx_nlink: metadata.nlink as u32,
        stx_uid: metadata.uid,
        stx_gid: metadata.gid,
        stx_mode: metadata.mode as u16,
        stx_ino: metadata.ino,
        stx_size: metadata.size,
        stx_blocks: metadata.blocks,
        stx_atime: time(metadata.atime),
        stx_ctime: time(metadata.ctime),
        stx_mtime: time(metadata.mtime),
        stx_rdev_major: rdev_major,
        stx_rdev_minor: rdev_minor,
        stx_dev_major: dev_major,
        stx_dev_minor: dev_minor,
        ..Statx::default()
    }
}
