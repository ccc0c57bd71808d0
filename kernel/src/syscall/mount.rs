//! File systems as wholes: mount(2), umount2(2), statfs(2), syncfs(2), chroot(2).

use super::argument::{Fd, UserOut, UserPath, read_string};
use super::file::locate;
use super::{Caller, SyscallResult};
use crate::vfs::{self, AccessTimes, DiskFormat, FatOptions, Location, MountOptions, MountSource, UnmountHow};
use abi::Errno;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYS_CHROOT};
use abi::fs::Statfs;
use alloc::vec::Vec;
use machine::user::copy;

const MS_RDONLY: u64 = 1;
const MS_REMOUNT: u64 = 32;
const MS_NOATIME: u64 = 1024;
const MS_NODIRATIME: u64 = 2048;
const MS_BIND: u64 = 4096;
const MS_MOVE: u64 = 8192;
const MS_REC: u64 = 16384;
const MS_PRIVATE: u64 = 1 << 18;
const MS_RELATIME: u64 = 1 << 21;
const MS_STRICTATIME: u64 = 1 << 24;
const MS_ACCESS_TIMES: u64 = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;
/// Flags that change nothing here: nosuid, nodev, noexec, sync, silent.
const MS_IGNORED: u64 = 2 | 4 | 8 | 16 | 0x8000;
/// What old programs put into the upper half.
const MS_MAGIC: u64 = 0xc0ed_0000;
const MNT_FORCE: u32 = 1;
const MNT_DETACH: u32 = 2;
const MNT_EXPIRE: u32 = 4;
const UMOUNT_NOFOLLOW: u32 = 8;
const MNT_KNOWN: u32 = MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW;
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
    if data != 0 {
        copy::read(data, &mut [0]).map_err(|_| Errno::EFAULT)?;
    }
    let path = at.read()?;
    let place = locate(caller, Fd(-100), &path, true)?;
    caller.needs(CAP_SYS_ADMIN)?;
    let flags = if flags & 0xffff_0000 == MS_MAGIC { flags & 0xffff } else { flags };
    const KNOWN: u64 = MS_RDONLY | MS_REMOUNT | MS_BIND | MS_MOVE | MS_REC | MS_PRIVATE | MS_ACCESS_TIMES | MS_IGNORED;
    if flags & !KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let options = options(flags);
    let context = caller.thread.process().fs_context();
    if flags & MS_REMOUNT != 0 {
        // Without a word about access times they stay as they are.
        let options = match flags & MS_ACCESS_TIMES {
            0 => MountOptions { read_only: options.read_only, ..place.mount().options() },
            _ => options,
        };
        vfs::remount(&place, options, flags & MS_BIND != 0).map_err(|error| error.errno())?;
        return Ok(0);
    }
    if flags & MS_BIND != 0 {
        return vfs::bind(&context, &source, &place, flags & MS_REC != 0).map(|()| 0);
    }
    if flags & MS_PRIVATE != 0 {
        // What is mounted in one place is never mounted in another by that: all mounts are private.
        return if place.is_mount_root() { Ok(0) } else { Err(Errno::EINVAL) };
    }
    if flags & MS_MOVE != 0 {
        return vfs::move_mount(&context, &source, &place).map(|()| 0);
    }
    let what = match kind.as_slice() {
        b"ext2" | b"ext4" => on_disk(caller, &source, options.read_only, DiskFormat::Ext2)?,
        b"vfat" | b"msdos" => {
            let (who, umask) = (caller.thread.process().credentials(), caller.thread.process().umask());
            let owners = FatOptions::new(who.user.effective, who.group.effective, umask).parse(&text(data)?)?;
            on_disk(caller, &source, options.read_only, DiskFormat::Fat(owners))?
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
    vfs::mount(what, &context, &path, options).map_err(|error| error.errno())?;
    Ok(0)
}

fn options(flags: u64) -> MountOptions {
    let access_times = match flags {
        flags if flags & MS_STRICTATIME != 0 => AccessTimes::Strict,
        flags if flags & MS_NOATIME != 0 => AccessTimes::Never,
        _ => AccessTimes::Relative,
    };
    let read_only = flags & MS_RDONLY != 0;
    MountOptions { read_only, access_times, no_directory_times: flags & MS_NODIRATIME != 0 }
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
    let contradicts = flags & MNT_EXPIRE != 0 && flags & (MNT_FORCE | MNT_DETACH) != 0;
    if flags & !MNT_KNOWN != 0 || contradicts {
        return Err(Errno::EINVAL);
    }
    caller.needs(CAP_SYS_ADMIN)?;
    let path = at.read()?;
    let context = caller.thread.process().fs_context();
    let how = UnmountHow {
        detach: flags & MNT_DETACH != 0,
        expire: flags & MNT_EXPIRE != 0,
        no_follow: flags & UMOUNT_NOFOLLOW != 0,
    };
    vfs::unmount(&context, &path, how).map_err(|error| error.errno())?;
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
        f_flags: ST_VALID | if read_only { ST_RDONLY } else { 0 } | access_time_flags(location.mount().options()),
        ..Statfs::default()
    })?;
    Ok(0)
}

/// `ST_NOATIME`, `ST_NODIRATIME` and `ST_RELATIME` of `statfs(2)`.
fn access_time_flags(options: MountOptions) -> i64 {
    let times = match options.access_times {
        AccessTimes::Relative => 0x1000,
        AccessTimes::Never => 0x400,
        AccessTimes::Strict => 0,
    };
    times | if options.no_directory_times { 0x800 } else { 0 }
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
