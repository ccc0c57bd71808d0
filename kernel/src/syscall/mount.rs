//! File systems as wholes: mount(2), umount2(2), statfs(2), syncfs(2), chroot(2).

use super::argument::{Fd, UserOut, UserPath, read_string};
use super::file::locate;
use super::{Caller, SyscallResult};
use crate::vfs::{self, DiskFormat, FatOptions, Location, MountSource};
use abi::Errno;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYS_CHROOT};
use abi::fs::Statfs;
use alloc::vec::Vec;

const MS_RDONLY: u64 = 1;
const MS_REMOUNT: u64 = 32;
/// Flags that change nothing here: nosuid, nodev, noexec, sync, noatime, nodiratime, silent, relatime, strictatime, lazytime.
const MS_IGNORED: u64 = 2 | 4 | 8 | 16 | 1024 | 2048 | 0x8000 | 1 << 21 | 1 << 24 | 1 << 25;
/// What old programs put into the upper half.
const MS_MAGIC: u64 = 0xc0ed_0000;
const MNT_KNOWN: u32 = 1 | 2 | 4 | 8;
const ST_RDONLY: i64 = 1;
const ST_VALID: i64 = 0x20;
const NAME_MAX: i64 = 255;

/// A string of at most a page, empty for a null pointer.
fn text(address: u64) -> Result<Vec<u8>, Errno> {
    match address {
        0 => Ok(Vec::new()),
        _ => read_string(address, 4096)?.ok_or(Errno::EINVAL),
    }
}

pub fn mount(caller: &mut Caller<'_>, source: u64, at: UserPath, kind: u64, flags: u64, data: u64) -> SyscallResult {
    let (kind, source) = (text(kind)?, text(source)?);
    let path = at.read()?;
    let place = locate(caller, Fd(-100), &path, true)?;
    caller.needs(CAP_SYS_ADMIN)?;
    let flags = if flags & 0xffff_0000 == MS_MAGIC { flags & 0xffff } else { flags };
    if flags & !(MS_RDONLY | MS_REMOUNT | MS_IGNORED) != 0 {
        return Err(Errno::EINVAL);
    }
    let read_only = flags & MS_RDONLY != 0;
    if flags & MS_REMOUNT != 0 {
        vfs::remount(&place, read_only).map_err(|error| error.errno())?;
        return Ok(0);
    }
    let what = match kind.as_slice() {
        b"ext2" | b"ext4" => on_disk(caller, &source, read_only, DiskFormat::Ext2)?,
        b"vfat" | b"msdos" => {
            let (who, umask) = (caller.thread.process().credentials(), caller.thread.process().umask());
            let options = FatOptions::new(who.user.effective, who.group.effective, umask).parse(&text(data)?)?;
            on_disk(caller, &source, read_only, DiskFormat::Fat(options))?
        }
        b"tmpfs" | b"ramfs" => MountSource::Tmpfs,
        b"devtmpfs" => MountSource::Dev,
        b"proc" => crate::procfs::source(),
        b"devpts" => crate::tty::pts_source(&text(data)?)?,
        b"sysfs" => crate::sysfs::source(),
        _ => return Err(Errno::ENODEV),
    };
    if !place.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    let context = caller.thread.process().fs_context();
    vfs::mount(what, &context, &path, read_only).map_err(|error| error.errno())?;
    Ok(0)
}

/// The disk at `source`, to be mounted.
fn on_disk(caller: &Caller<'_>, source: &[u8], read_only: bool, format: DiskFormat) -> Result<MountSource, Errno> {
    let disk = vfs::disk_at(&caller.thread.process().fs_context(), source)?;
    match disk.disk().read_only() && !read_only {
        true => Err(Errno::EACCES),
        false => Ok(MountSource::Block(disk, format)),
    }
}

pub fn umount2(caller: &mut Caller<'_>, at: UserPath, flags: u32) -> SyscallResult {
    if flags & !MNT_KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    caller.needs(CAP_SYS_ADMIN)?;
    let path = at.read()?;
    let context = caller.thread.process().fs_context();
    vfs::unmount(&context, &path).map_err(|error| error.errno())?;
    Ok(0)
}

pub fn statfs(caller: &mut Caller<'_>, path: UserPath, out: UserOut<Statfs>) -> SyscallResult {
    let path = path.read()?;
    let location = locate(caller, Fd(-100), &path, true)?;
    describe(&location, out)
}

pub fn fstatfs(caller: &mut Caller<'_>, fd: Fd, out: UserOut<Statfs>) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    let location = file.location().ok_or(Errno::ENOSYS)?;
    describe(location, out)
}

fn describe(location: &Location, out: UserOut<Statfs>) -> SyscallResult {
    let figures = location.statistics()?;
    let device = location.metadata()?.dev;
    let read_only = location.mount().check_writable().is_err();
    out.write(&Statfs {
        f_type: figures.magic as i64,
        f_bsize: figures.block_size as i64,
        f_blocks: figures.blocks,
        f_bfree: figures.blocks_free,
        f_bavail: figures.blocks_available,
        f_files: figures.files,
        f_ffree: figures.files_free,
        f_fsid: [device as i32, (device >> 32) as i32],
        f_namelen: NAME_MAX,
        f_frsize: figures.block_size as i64,
        f_flags: ST_VALID | if read_only { ST_RDONLY } else { 0 },
        ..Statfs::default()
    })?;
    Ok(0)
}

pub fn syncfs(caller: &mut Caller<'_>, fd: Fd) -> SyscallResult {
    let file = fd.file(caller.thread)?;
    if file.flags() & crate::vfs::flags::O_PATH != 0 {
        return Err(Errno::EBADF);
    }
    if let Some(location) = file.location() {
        location.sync_file_system()?;
    }
    Ok(0)
}

pub fn chroot(caller: &mut Caller<'_>, path: UserPath) -> SyscallResult {
    let path = path.read()?;
    let target = locate(caller, Fd(-100), &path, true)?;
    if !target.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    caller.needs(CAP_SYS_CHROOT)?;
    let old = caller.thread.process().change_directories(|context| context.root = target);
    drop(old);
    Ok(0)
}
