//! Directories and links: getcwd(2), chdir(2), getdents64(2), readlink(2).

use super::argument::{Fd, UserOut, UserPath};
use super::file::locate;
use super::{Caller, SyscallResult};
use crate::vfs::{File, Location, access};
use abi::Errno;
use abi::fs::PATH_MAX;
use abi::fs::{Dirent64, DirentType};
use alloc::vec::Vec;
use machine::user::copy;

const SEEK_SET: u32 = 0;
/// Directory entries are gathered in a buffer of at most this many bytes a call.
const MAX_ENTRIES_LEN: usize = 64 * 1024;

pub fn getcwd(caller: &mut Caller<'_>, buffer: UserOut<u8>, len: usize) -> SyscallResult {
    let cwd = caller.thread.process().working_directory();
    let mut path = cwd.path();
    path.push(0);
    if path.len() > PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if path.len() > len {
        return Err(Errno::ERANGE);
    }
    copy::write(buffer.0, &path).map_err(|_| Errno::EFAULT)?;
    Ok(path.len() as u64)
}

pub fn chdir(caller: &mut Caller<'_>, path: UserPath) -> SyscallResult {
    let path = path.read()?;
    let target = locate(caller, Fd(-100), &path, true)?;
    change_to(caller, target)
}

pub fn fchdir(caller: &mut Caller<'_>, fd: Fd) -> SyscallResult {
    let target = fd.file(caller.thread)?.location().cloned().ok_or(Errno::ENOTDIR)?;
    change_to(caller, target)
}

fn change_to(caller: &Caller<'_>, target: Location) -> SyscallResult {
    if !target.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    caller.thread.process().credentials().who().check(&target.metadata()?, access::EXECUTE)?;
    let old = caller.thread.process().change_directories(|context| context.cwd = target);
    drop(old);
    Ok(0)
}

pub fn readlink(caller: &mut Caller<'_>, path: UserPath, buffer: UserOut<u8>, len: usize) -> SyscallResult {
    readlinkat(caller, Fd(-100), path, buffer, len)
}

pub fn readlinkat(caller: &mut Caller<'_>, base: Fd, path: UserPath, buffer: UserOut<u8>, len: usize) -> SyscallResult {
    if len == 0 || len > isize::MAX as usize {
        return Err(Errno::EINVAL);
    }
    let path = path.read()?;
    let target = locate(caller, base, &path, false)?.read_link()?;
    let len = len.min(target.len());
    copy::write(buffer.0, &target[..len]).map_err(|_| Errno::EFAULT)?;
    Ok(len as u64)
}

pub fn getdents64(caller: &mut Caller<'_>, fd: Fd, buffer: UserOut<u8>, len: usize) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    let before = file.position();
    let mut entries: Vec<u8> = Vec::new();
    entries.try_reserve(len.min(MAX_ENTRIES_LEN)).map_err(|_| Errno::ENOMEM)?;
    let limit = len.min(MAX_ENTRIES_LEN);
    let mut too_small = false;
    file.read_dir(&mut |entry| {
        let start = entries.len();
        let entry = Dirent64 {
            ino: entry.ino,
            next_offset: entry.next_offset,
            kind: DirentType::from_mode(u32::from(entry.kind) << 12),
            name: entry.name,
        };
        let len = entry.encoded_len();
        if start + len > limit {
            too_small = start == 0;
            return false;
        }
        entries.resize(start + len, 0);
        entry.encode(&mut entries[start..]).is_ok()
    })?;
    if too_small {
        return Err(Errno::EINVAL);
    }
    hand_over(&file, before, buffer, &entries)
}

/// As [`getdents64`], with the kind of each entry behind its name.
pub fn getdents(caller: &mut Caller<'_>, fd: Fd, buffer: UserOut<u8>, len: u32) -> SyscallResult {
    /// Bytes before the name: inode number, offset, length.
    const NAME_AT: usize = 18;
    let file = fd.file(caller.thread)?;
    let before = file.position();
    let limit = (len as usize).min(MAX_ENTRIES_LEN);
    let mut entries: Vec<u8> = Vec::new();
    entries.try_reserve(limit).map_err(|_| Errno::ENOMEM)?;
    let mut too_small = false;
    file.read_dir(&mut |entry| {
        let len = (NAME_AT + entry.name.len() + 2).next_multiple_of(8);
        let start = entries.len();
        if start + len > limit {
            too_small = start == 0;
            return false;
        }
        entries.extend_from_slice(&entry.ino.to_le_bytes());
        entries.extend_from_slice(&entry.next_offset.to_le_bytes());
        entries.extend_from_slice(&(len as u16).to_le_bytes());
        entries.extend_from_slice(entry.name);
        entries.resize(start + len - 1, 0);
        entries.push(entry.kind);
        true
    })?;
    if too_small {
        return Err(Errno::EINVAL);
    }
    hand_over(&file, before, buffer, &entries)
}

/// Copies entries out. Where that cannot be, they come again at the next call.
fn hand_over(file: &File, before: u64, buffer: UserOut<u8>, entries: &[u8]) -> SyscallResult {
    if copy::write(buffer.0, entries).is_err() {
        file.seek(before as i64, SEEK_SET)?;
        return Err(Errno::EFAULT);
    }
    Ok(entries.len() as u64)
}
