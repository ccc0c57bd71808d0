//! Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their kin, by path and by descriptor.
//!
//! No file system here keeps any. The calls answer as Linux does for such a file system, which programs rely on: `ls -l`,
//! `cp -a` and Python's `shutil` take EOPNOTSUPP (and an empty list) as an answer, but ENOSYS as a failure.

use super::argument::{Fd, UserPath, read_string};
use super::file::locate;
use super::{Caller, SyscallResult};
use crate::vfs::Location;
use abi::Errno;
use machine::user::copy;

/// `XATTR_NAME_MAX`: bytes of a name without its zero.
const NAME_MAX: usize = 255;
/// `XATTR_SIZE_MAX`: bytes of a value.
const VALUE_MAX: usize = 65536;
/// `XATTR_CREATE | XATTR_REPLACE`.
const SET_FLAGS: u32 = 1 | 2;

pub fn setxattr(
    caller: &mut Caller<'_>,
    path: UserPath,
    name: u64,
    value: u64,
    size: usize,
    flags: u32,
) -> SyscallResult {
    set(&at_path(caller, path, true)?, name, value, size, flags)
}

pub fn lsetxattr(
    caller: &mut Caller<'_>,
    path: UserPath,
    name: u64,
    value: u64,
    size: usize,
    flags: u32,
) -> SyscallResult {
    set(&at_path(caller, path, false)?, name, value, size, flags)
}

pub fn fsetxattr(caller: &mut Caller<'_>, fd: Fd, name: u64, value: u64, size: usize, flags: u32) -> SyscallResult {
    match fd.file(caller.thread)?.location() {
        Some(location) => set(location, name, value, size, flags),
        None => unsupported(name),
    }
}

pub fn getxattr(caller: &mut Caller<'_>, path: UserPath, name: u64, _: u64, _: usize) -> SyscallResult {
    at_path(caller, path, true)?;
    unsupported(name)
}

pub fn lgetxattr(caller: &mut Caller<'_>, path: UserPath, name: u64, _: u64, _: usize) -> SyscallResult {
    at_path(caller, path, false)?;
    unsupported(name)
}

pub fn fgetxattr(caller: &mut Caller<'_>, fd: Fd, name: u64, _: u64, _: usize) -> SyscallResult {
    fd.file(caller.thread)?;
    unsupported(name)
}

pub fn listxattr(caller: &mut Caller<'_>, path: UserPath, _: u64, _: usize) -> SyscallResult {
    at_path(caller, path, true).map(|_| 0)
}

pub fn llistxattr(caller: &mut Caller<'_>, path: UserPath, _: u64, _: usize) -> SyscallResult {
    at_path(caller, path, false).map(|_| 0)
}

pub fn flistxattr(caller: &mut Caller<'_>, fd: Fd, _: u64, _: usize) -> SyscallResult {
    fd.file(caller.thread).map(|_| 0)
}

pub fn removexattr(caller: &mut Caller<'_>, path: UserPath, name: u64) -> SyscallResult {
    remove(&at_path(caller, path, true)?, name)
}

pub fn lremovexattr(caller: &mut Caller<'_>, path: UserPath, name: u64) -> SyscallResult {
    remove(&at_path(caller, path, false)?, name)
}

pub fn fremovexattr(caller: &mut Caller<'_>, fd: Fd, name: u64) -> SyscallResult {
    match fd.file(caller.thread)?.location() {
        Some(location) => remove(location, name),
        None => unsupported(name),
    }
}

fn at_path(caller: &Caller<'_>, path: UserPath, follow: bool) -> Result<Location, Errno> {
    locate(caller, Fd(-100), &path.read()?, follow)
}

fn set(location: &Location, name: u64, value: u64, size: usize, flags: u32) -> SyscallResult {
    location.mount().check_writable()?;
    if flags & !SET_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    check_name(name)?;
    if size > VALUE_MAX {
        return Err(Errno::E2BIG);
    }
    // As if the value were read: its first and its last byte.
    if size > 0 {
        for at in [value, value.saturating_add(size as u64 - 1)] {
            copy::read(at, &mut [0]).map_err(|_| Errno::EFAULT)?;
        }
    }
    Err(Errno::EOPNOTSUPP)
}

fn remove(location: &Location, name: u64) -> SyscallResult {
    location.mount().check_writable()?;
    unsupported(name)
}

fn unsupported(name: u64) -> SyscallResult {
    check_name(name)?;
    Err(Errno::EOPNOTSUPP)
}

/// A name is at `name`: EFAULT, or ERANGE for an empty or a too long one.
fn check_name(name: u64) -> Result<(), Errno> {
    match read_string(name, NAME_MAX + 1)? {
        Some(name) if !name.is_empty() => Ok(()),
        _ => Err(Errno::ERANGE),
    }
}
