//! Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their kin, by path and by descriptor.
//!
//! Where a file system keeps none, the calls answer as Linux does: `ls -l`, `cp -a` and Python's `shutil` take EOPNOTSUPP (and
//! an empty list) as an answer, but ENOSYS as a failure.

use super::argument::{Fd, UserPath, read_string};
use super::file::locate;
use super::{Caller, SyscallResult};
use crate::vfs::flags::O_PATH;
use crate::vfs::{Location, SetAttribute, Who};
use abi::Errno;
use alloc::vec::Vec;
use machine::user::copy;

/// `XATTR_NAME_MAX`: bytes of a name without its zero.
const NAME_MAX: usize = 255;
/// `XATTR_SIZE_MAX`: bytes of a value; and `XATTR_LIST_MAX`, of all names.
const VALUE_MAX: usize = 65536;
const XATTR_CREATE: u32 = 1;
const XATTR_REPLACE: u32 = 2;

pub fn setxattr(
    caller: &mut Caller<'_>,
    path: UserPath,
    name: u64,
    value: u64,
    size: usize,
    flags: u32,
) -> SyscallResult {
    set(caller, &at_path(caller, path, true)?, name, (value, size), flags)
}

pub fn lsetxattr(
    caller: &mut Caller<'_>,
    path: UserPath,
    name: u64,
    value: u64,
    size: usize,
    flags: u32,
) -> SyscallResult {
    set(caller, &at_path(caller, path, false)?, name, (value, size), flags)
}

pub fn fsetxattr(caller: &mut Caller<'_>, fd: Fd, name: u64, value: u64, size: usize, flags: u32) -> SyscallResult {
    match of_fd(caller, fd)? {
        Some(location) => set(caller, &location, name, (value, size), flags),
        None => unsupported(name, Errno::EPERM),
    }
}

pub fn getxattr(caller: &mut Caller<'_>, path: UserPath, name: u64, value: u64, size: usize) -> SyscallResult {
    get(caller, &at_path(caller, path, true)?, name, (value, size))
}

pub fn lgetxattr(caller: &mut Caller<'_>, path: UserPath, name: u64, value: u64, size: usize) -> SyscallResult {
    get(caller, &at_path(caller, path, false)?, name, (value, size))
}

pub fn fgetxattr(caller: &mut Caller<'_>, fd: Fd, name: u64, value: u64, size: usize) -> SyscallResult {
    match of_fd(caller, fd)? {
        Some(location) => get(caller, &location, name, (value, size)),
        None => unsupported(name, Errno::ENODATA),
    }
}

pub fn listxattr(caller: &mut Caller<'_>, path: UserPath, list: u64, size: usize) -> SyscallResult {
    list_of(caller, &at_path(caller, path, true)?, (list, size))
}

pub fn llistxattr(caller: &mut Caller<'_>, path: UserPath, list: u64, size: usize) -> SyscallResult {
    list_of(caller, &at_path(caller, path, false)?, (list, size))
}

pub fn flistxattr(caller: &mut Caller<'_>, fd: Fd, list: u64, size: usize) -> SyscallResult {
    match of_fd(caller, fd)? {
        Some(location) => list_of(caller, &location, (list, size)),
        None => Ok(0),
    }
}

pub fn removexattr(caller: &mut Caller<'_>, path: UserPath, name: u64) -> SyscallResult {
    remove(caller, &at_path(caller, path, true)?, name)
}

pub fn lremovexattr(caller: &mut Caller<'_>, path: UserPath, name: u64) -> SyscallResult {
    remove(caller, &at_path(caller, path, false)?, name)
}

pub fn fremovexattr(caller: &mut Caller<'_>, fd: Fd, name: u64) -> SyscallResult {
    match of_fd(caller, fd)? {
        Some(location) => remove(caller, &location, name),
        None => unsupported(name, Errno::EPERM),
    }
}

fn at_path(caller: &Caller<'_>, path: UserPath, follow: bool) -> Result<Location, Errno> {
    locate(caller, Fd(-100), &path.read()?, follow)
}

/// The place of an open file, if it has one.
fn of_fd(caller: &Caller<'_>, fd: Fd) -> Result<Option<Location>, Errno> {
    let file = fd.file(caller.thread)?;
    if file.flags() & O_PATH != 0 { Err(Errno::EBADF) } else { Ok(file.location().cloned()) }
}

fn who(caller: &Caller<'_>) -> Who {
    caller.thread.process().credentials().who()
}

fn set(
    caller: &Caller<'_>,
    location: &Location,
    name: u64,
    (address, size): (u64, usize),
    flags: u32,
) -> SyscallResult {
    let how = match flags {
        0 => SetAttribute::Any,
        XATTR_CREATE => SetAttribute::New,
        XATTR_REPLACE => SetAttribute::Old,
        // Both together: what is there is not new, what is not there is not replaced.
        flags if flags == XATTR_CREATE | XATTR_REPLACE => SetAttribute::New,
        _ => return Err(Errno::EINVAL),
    };
    let name = read_name(name)?;
    if size > VALUE_MAX {
        return Err(Errno::E2BIG);
    }
    let mut value = Vec::new();
    value.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
    value.resize(size, 0);
    copy::read(address, &mut value).map_err(|_| Errno::EFAULT)?;
    if flags == XATTR_CREATE | XATTR_REPLACE {
        location.attribute(&who(caller), &name)?;
    }
    location.set_attribute(&who(caller), &name, Some(&value), how)?;
    Ok(0)
}

fn get(caller: &Caller<'_>, location: &Location, name: u64, out: (u64, usize)) -> SyscallResult {
    let name = read_name(name)?;
    give(&location.attribute(&who(caller), &name)?, out)
}

fn list_of(caller: &Caller<'_>, location: &Location, out: (u64, usize)) -> SyscallResult {
    let names = location.attributes(&who(caller))?;
    if out.1 != 0 && names.len() > VALUE_MAX {
        return Err(Errno::E2BIG);
    }
    give(&names, out)
}

fn remove(caller: &Caller<'_>, location: &Location, name: u64) -> SyscallResult {
    let name = read_name(name)?;
    location.set_attribute(&who(caller), &name, None, SetAttribute::Any)?;
    Ok(0)
}

/// Copies out what fits whole, or only says how long it is, if the size is 0.
fn give(bytes: &[u8], (address, size): (u64, usize)) -> SyscallResult {
    if size != 0 {
        if size < bytes.len() {
            return Err(Errno::ERANGE);
        }
        copy::write(address, bytes).map_err(|_| Errno::EFAULT)?;
    }
    Ok(bytes.len() as u64)
}

/// A pipe, or another file in no file system: `user` is the answer for attributes of users, which its kind forbids.
fn unsupported(name: u64, user: Errno) -> SyscallResult {
    let name = read_name(name)?;
    Err(if name.starts_with(b"user.") { user } else { Errno::EOPNOTSUPP })
}

/// The name: EFAULT, or ERANGE for an empty or a too long one.
fn read_name(name: u64) -> Result<Vec<u8>, Errno> {
    match read_string(name, NAME_MAX + 1)? {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(Errno::ERANGE),
    }
}
