//! Making, linking, renaming and removing files: mkdir(2), mknod(2), symlink(2), link(2), rename(2), unlink(2), rmdir(2) and
//! their `at` forms.

use super::argument::{Fd, PathText, UserPath};
use super::file::locate;
use super::{Caller, SyscallResult};
use crate::vfs::{self, FileType, FsContext, Location, NewKind, NewNode};
use abi::Errno;
use abi::capability::CAP_DAC_READ_SEARCH;
use abi::capability::CAP_MKNOD;
use alloc::sync::Arc;

const AT_REMOVEDIR: u32 = 0x200;
const AT_SYMLINK_FOLLOW: u32 = 0x400;
const AT_EMPTY_PATH: u32 = 0x1000;
const S_IFMT: u32 = 0o170000;
/// The working directory as `dirfd`.
const CWD: Fd = Fd(-100);

/// A path with where it begins.
struct Target {
    base: Option<Location>,
    path: PathText,
}

impl Target {
    fn read(caller: &Caller<'_>, directory: Fd, path: UserPath) -> Result<Target, Errno> {
        let path = path.read()?;
        Ok(Target { base: directory.base(caller.thread, &path)?, path })
    }
}

fn context(caller: &Caller<'_>) -> Arc<FsContext> {
    caller.thread.process().fs_context()
}

/// Makes a file for the caller: permissions without the umask's, owner the caller's.
fn make(caller: &Caller<'_>, directory: Fd, path: UserPath, kind: NewKind<'_>, mode: u32) -> SyscallResult {
    let target = Target::read(caller, directory, path)?;
    let process = caller.thread.process();
    let credentials = process.credentials();
    let mode = match kind {
        NewKind::Symlink(_) => 0o777,
        _ => mode & 0o7777 & !process.umask(),
    };
    let new = NewNode { kind, mode, uid: credentials.user.file, gid: credentials.group.file };
    vfs::make(&context(caller), target.base.as_ref(), &target.path, &new)?;
    Ok(0)
}

pub fn mkdir(caller: &mut Caller<'_>, path: UserPath, mode: u32) -> SyscallResult {
    mkdirat(caller, CWD, path, mode)
}

pub fn mkdirat(caller: &mut Caller<'_>, directory: Fd, path: UserPath, mode: u32) -> SyscallResult {
    // Set-id bits are not taken from the call.
    make(caller, directory, path, NewKind::Directory, mode & 0o1777)
}

pub fn mknod(caller: &mut Caller<'_>, path: UserPath, mode: u32, device: u64) -> SyscallResult {
    mknodat(caller, CWD, path, mode, device)
}

pub fn mknodat(caller: &mut Caller<'_>, directory: Fd, path: UserPath, mode: u32, device: u64) -> SyscallResult {
    let kind = match (mode & S_IFMT, FileType::from_mode((mode & S_IFMT) as u16)) {
        (0, _) | (_, Some(FileType::Regular)) => NewKind::Regular,
        (_, Some(FileType::Directory)) => return Err(Errno::EPERM),
        (_, Some(kind @ (FileType::Fifo | FileType::Socket))) => NewKind::Special(kind, 0),
        (_, Some(kind @ (FileType::CharDevice | FileType::BlockDevice))) => {
            caller.needs(CAP_MKNOD)?;
            // The call's number has 32 bits.
            NewKind::Special(kind, device & 0xffff_ffff)
        }
        _ => return Err(Errno::EINVAL),
    };
    make(caller, directory, path, kind, mode)
}

pub fn symlink(caller: &mut Caller<'_>, target: UserPath, path: UserPath) -> SyscallResult {
    symlinkat(caller, target, CWD, path)
}

pub fn symlinkat(caller: &mut Caller<'_>, target: UserPath, directory: Fd, path: UserPath) -> SyscallResult {
    let target = target.read()?;
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    make(caller, directory, path, NewKind::Symlink(&target), 0)
}

pub fn link(caller: &mut Caller<'_>, old: UserPath, new: UserPath) -> SyscallResult {
    linkat(caller, CWD, old, CWD, new, 0)
}

pub fn linkat(
    caller: &mut Caller<'_>,
    old_directory: Fd,
    old: UserPath,
    new_directory: Fd,
    new: UserPath,
    flags: u32,
) -> SyscallResult {
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let old = old.read()?;
    let target = if old.is_empty() && flags & AT_EMPTY_PATH != 0 {
        // A descriptor may be one that somebody was handed: only who may look up everything anyway.
        if !caller.thread.process().credentials().has(CAP_DAC_READ_SEARCH) {
            return Err(Errno::ENOENT);
        }
        old_directory.file(caller.thread)?.location().cloned().ok_or(Errno::ENOENT)?
    } else {
        locate(caller, old_directory, &old, flags & AT_SYMLINK_FOLLOW != 0)?
    };
    let new = Target::read(caller, new_directory, new)?;
    vfs::link(&target, &context(caller), new.base.as_ref(), &new.path)?;
    Ok(0)
}

pub fn unlink(caller: &mut Caller<'_>, path: UserPath) -> SyscallResult {
    unlinkat(caller, CWD, path, 0)
}

pub fn rmdir(caller: &mut Caller<'_>, path: UserPath) -> SyscallResult {
    unlinkat(caller, CWD, path, AT_REMOVEDIR)
}

pub fn unlinkat(caller: &mut Caller<'_>, directory: Fd, path: UserPath, flags: u32) -> SyscallResult {
    if flags & !AT_REMOVEDIR != 0 {
        return Err(Errno::EINVAL);
    }
    let target = Target::read(caller, directory, path)?;
    let remove = if flags & AT_REMOVEDIR != 0 { vfs::remove_directory } else { vfs::remove_file };
    remove(&context(caller), target.base.as_ref(), &target.path)?;
    Ok(0)
}

pub fn rename(caller: &mut Caller<'_>, old: UserPath, new: UserPath) -> SyscallResult {
    renameat2(caller, CWD, old, CWD, new, 0)
}

pub fn renameat(
    caller: &mut Caller<'_>,
    old_directory: Fd,
    old: UserPath,
    new_directory: Fd,
    new: UserPath,
) -> SyscallResult {
    renameat2(caller, old_directory, old, new_directory, new, 0)
}

pub fn renameat2(
    caller: &mut Caller<'_>,
    old_directory: Fd,
    old: UserPath,
    new_directory: Fd,
    new: UserPath,
    flags: u32,
) -> SyscallResult {
    use crate::vfs::flags::{RENAME_EXCHANGE, RENAME_NOREPLACE};
    if !matches!(flags, 0 | RENAME_NOREPLACE | RENAME_EXCHANGE) {
        return Err(Errno::EINVAL);
    }
    let old = Target::read(caller, old_directory, old)?;
    let new = Target::read(caller, new_directory, new)?;
    vfs::rename(&context(caller), (old.base.as_ref(), &old.path), (new.base.as_ref(), &new.path), flags)?;
    Ok(0)
}
