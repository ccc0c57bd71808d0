//! `open(2)`: from a path and flags to a [`File`].

use super::access::{EXECUTE, READ, WRITE};
use super::change::{create_locked, create_unnamed};
use super::device;
use super::file::File;
use super::flags::*;
use super::inode::{NewKind, NewNode};
use super::location::Location;
use super::walk::{Last, Walk};
use super::{FsContext, Result, Who};
use abi::Errno;
use alloc::sync::Arc;
use fs::FileType;

/// Opens the file at `path`, seen from `base` (None: the working directory), as `openat(2)`. `flags` are `O_*`; `mode` are
/// the permission bits of a file that `O_CREAT` makes, with the umask already applied. `O_CLOEXEC` is the caller's.
pub fn open(context: &FsContext, base: Option<&Location>, path: &[u8], flags: u32, mode: u32) -> Result<Arc<File>> {
    open_restricted(context, base, path, flags, mode, 0)
}

/// The same by a walk that must not do what `forbidden` says (`resolve`), as `openat2(2)`.
pub fn open_restricted(
    context: &FsContext,
    base: Option<&Location>,
    path: &[u8],
    flags: u32,
    mode: u32,
    forbidden: u32,
) -> Result<Arc<File>> {
    let flags = effective(flags)?;
    let mut walk = Walk::restricted(context, base, path, forbidden)?;
    if flags & O_TMPFILE_BIT != 0 {
        return open_unnamed(walk, flags, mode);
    }
    loop {
        let Some(last) = walk.follow_to_last()? else {
            check_existing(flags)?;
            check_access(&context.who, &walk.at, flags)?;
            return open_location(&walk.at, flags);
        };
        if flags & O_CREAT != 0 && last.slash {
            return Err(Errno::EISDIR);
        }
        let (found, created) = find_or_create(&walk, &last, flags, mode)?;
        if created {
            // Just made: whatever its permission bits say, the maker may use it.
            return open_location(&found, flags & !O_TRUNC);
        }
        check_existing(flags)?;
        if found.file_type() == FileType::Symlink && (flags & O_NOFOLLOW == 0 || last.slash) {
            walk.follow(&found, &last)?;
            continue;
        }
        if last.slash && !found.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        check_access(&context.who, &found, flags)?;
        return open_location(&found, flags);
    }
}

/// A new file without a name, in the file system of the directory that `walk` leads to (`O_TMPFILE`).
fn open_unnamed(walk: Walk<'_>, flags: u32, mode: u32) -> Result<Arc<File>> {
    let who = walk.who;
    let directory = walk.finish(flags & O_NOFOLLOW == 0)?;
    if !directory.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    directory.mount().check_writable()?;
    who.check(&directory.metadata()?, WRITE | EXECUTE)?;
    let new = NewNode { kind: NewKind::Regular, mode, uid: who.user, gid: who.group };
    let place = create_unnamed(&directory, &new, flags & O_EXCL == 0)?;
    open_location(&place, flags & !(O_TMPFILE_BIT | O_DIRECTORY | O_EXCL))
}

/// Whether `who` may open what is at `location` in this way.
fn check_access(who: &Who, location: &Location, flags: u32) -> Result<()> {
    if who.may_all() || flags & O_PATH != 0 || location.file_type() == FileType::Symlink {
        return Ok(());
    }
    let file = location.metadata()?;
    let mode = match flags & O_ACCMODE {
        O_RDONLY => READ,
        O_WRONLY => WRITE,
        _ => READ | WRITE,
    };
    let truncates = if flags & O_TRUNC != 0 { WRITE } else { 0 };
    // That it is a directory, or that nothing may change there, comes first.
    if location.is_dir() && (mode | truncates) & WRITE != 0 {
        return Err(Errno::EISDIR);
    }
    who.check(&file, mode | truncates)?;
    if flags & O_NOATIME != 0 { who.check_owner(&file) } else { Ok(()) }
}

/// Opens what is at `location`, whoever asks.
pub fn open_location(location: &Location, flags: u32) -> Result<Arc<File>> {
    let kind = location.file_type();
    if flags & O_DIRECTORY != 0 && kind != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    if flags & O_PATH != 0 {
        return Ok(File::of_path(location.clone(), flags));
    }
    let writes = flags & O_ACCMODE != O_RDONLY;
    if kind == FileType::Regular && (writes || flags & O_TRUNC != 0) {
        location.mount().check_writable()?;
    }
    if let Some(operations) = location.inode().open(flags)? {
        return Ok(File::of_device(location.clone(), operations, flags));
    }
    match kind {
        FileType::Symlink => Err(Errno::ELOOP),
        FileType::Directory if writes || flags & (O_CREAT | O_TRUNC) != 0 => Err(Errno::EISDIR),
        FileType::Directory => Ok(File::of_node(location.clone(), flags)),
        FileType::Regular => {
            if flags & O_TRUNC != 0 {
                location.truncate(0)?;
            }
            Ok(File::of_node(location.clone(), flags))
        }
        FileType::Fifo => {
            let metadata = location.metadata()?;
            let operations = device::open_fifo((metadata.dev, metadata.ino), flags)?;
            Ok(File::of_device(location.clone(), operations, flags))
        }
        FileType::CharDevice | FileType::BlockDevice | FileType::Socket => {
            let number = location.metadata()?.rdev;
            let operations = device::open_number(kind, number, flags)?;
            Ok(File::of_device(location.clone(), operations, flags))
        }
    }
}

/// The file `last` names in the directory the walk has come to, made if it is absent and `O_CREAT` is set. Whether it
/// was made.
fn find_or_create(walk: &Walk<'_>, last: &Last, flags: u32, mode: u32) -> Result<(Location, bool)> {
    if let Some(found) = walk.child(last)? {
        return Ok((found, false));
    }
    if flags & O_CREAT == 0 {
        return Err(Errno::ENOENT);
    }
    let directory = &walk.at.dentry;
    let _held = directory.directory.lock();
    // Another may have made it since.
    if let Some(dentry) = directory.child_locked(walk.name(last))? {
        return Ok((walk.at.beside(dentry).top(), false));
    }
    let new = NewNode { kind: NewKind::Regular, mode, uid: walk.who.user, gid: walk.who.group };
    create_locked(walk.who, &walk.at, walk.name(last), &new).map(|made| (made, true))
}

/// Flags that count: `O_PATH` leaves few, and some combinations are refused.
fn effective(flags: u32) -> Result<u32> {
    if flags & O_PATH != 0 {
        return Ok(flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    if flags & O_TMPFILE_BIT != 0 {
        let whole = flags & O_DIRECTORY != 0 && flags & O_CREAT == 0 && flags & O_ACCMODE != O_RDONLY;
        return if whole { Ok(flags) } else { Err(Errno::EINVAL) };
    }
    if flags & (O_CREAT | O_DIRECTORY) == O_CREAT | O_DIRECTORY {
        return Err(Errno::EINVAL);
    }
    Ok(flags)
}

/// EEXIST if a file is there that was to be made.
fn check_existing(flags: u32) -> Result<()> {
    match flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
        true => Err(Errno::EEXIST),
        false => Ok(()),
    }
}
