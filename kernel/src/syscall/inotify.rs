//! Watching files: inotify_init1(2), inotify_add_watch(2), inotify_rm_watch(2).

use super::argument::{Fd, UserPath};
use super::event::insert;
use super::file::locate;
use super::{Caller, SyscallResult};
use crate::ipc::inotify::{self, Handle};
use crate::vfs::access;
use crate::vfs::flags::{O_CLOEXEC, O_NONBLOCK};
use crate::vfs::notify::Existing;
use abi::Errno;
use abi::inotify::*;

pub fn inotify_init(caller: &mut Caller<'_>) -> SyscallResult {
    inotify_init1(caller, 0)
}

pub fn inotify_init1(caller: &mut Caller<'_>, flags: u32) -> SyscallResult {
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    insert(caller, inotify::new(flags)?, flags)
}

pub fn inotify_add_watch(caller: &mut Caller<'_>, fd: Fd, path: UserPath, mask: u32) -> SyscallResult {
    const KNOWN: u32 = IN_ALL_EVENTS
        | IN_ONLYDIR
        | IN_DONT_FOLLOW
        | IN_EXCL_UNLINK
        | IN_MASK_CREATE
        | IN_MASK_ADD
        | IN_ISDIR
        | IN_ONESHOT
        | IN_UNMOUNT
        | IN_Q_OVERFLOW
        | IN_IGNORED;
    // Something must be asked for; that may be one of those that come unasked.
    if mask & KNOWN == 0 {
        return Err(Errno::EINVAL);
    }
    let file = fd.file(caller.thread)?;
    let existing = match mask & (IN_MASK_ADD | IN_MASK_CREATE) {
        0 => Existing::Replace,
        IN_MASK_ADD => Existing::Add,
        IN_MASK_CREATE => Existing::Refuse,
        _ => return Err(Errno::EINVAL),
    };
    let instance = file.device::<Handle>().ok_or(Errno::EINVAL)?;
    let place = locate(caller, Fd(-100), &path.read()?, mask & IN_DONT_FOLLOW == 0)?;
    if mask & IN_ONLYDIR != 0 && !place.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    caller.thread.process().credentials().who().check(&place.metadata()?, access::READ)?;
    let kept = mask & (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT);
    instance.watch(&place, kept, existing).map(|number| number as u64)
}

pub fn inotify_rm_watch(caller: &mut Caller<'_>, fd: Fd, number: i32) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    file.device::<Handle>().ok_or(Errno::EINVAL)?.unwatch(number)?;
    Ok(0)
}
