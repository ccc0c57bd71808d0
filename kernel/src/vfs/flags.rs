//! Numbers of the Linux interface that the file layer acts on: `open(2)`, `lseek(2)`, `inode(7)`, `poll(2)`, `rename(2)`.
#![allow(missing_docs, reason = "the names are those of the manual pages")]

pub const O_ACCMODE: u32 = 0o3;
pub const O_RDONLY: u32 = 0o0;
pub const O_WRONLY: u32 = 0o1;
pub const O_RDWR: u32 = 0o2;
pub const O_CREAT: u32 = 0o100;
pub const O_EXCL: u32 = 0o200;
pub const O_NOCTTY: u32 = 0o400;
pub const O_TRUNC: u32 = 0o1000;
pub const O_APPEND: u32 = 0o2000;
pub const O_NONBLOCK: u32 = 0o4000;
pub const O_DIRECT: u32 = 0o40000;
pub const O_DIRECTORY: u32 = 0o200000;
pub const O_NOFOLLOW: u32 = 0o400000;
pub const O_NOATIME: u32 = 0o1000000;
pub const O_CLOEXEC: u32 = 0o2000000;
pub const O_PATH: u32 = 0o10000000;
/// The bit of `O_TMPFILE` that is not `O_DIRECTORY`.
pub const O_TMPFILE_BIT: u32 = 0o20000000;

/// Type of directories in a mode.
pub const S_IFDIR: u32 = 0o040000;
/// Of a directory: only owners take names out.
pub const S_ISVTX: u32 = 0o1000;
/// Flags that `fcntl(F_SETFL)` can change.
pub const O_CHANGEABLE: u32 = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | 0o20000;

pub const SEEK_SET: u32 = 0;
pub const SEEK_CUR: u32 = 1;
pub const SEEK_END: u32 = 2;
pub const SEEK_DATA: u32 = 3;
pub const SEEK_HOLE: u32 = 4;

pub const S_IFMT: u32 = 0o170000;
pub const S_IFIFO: u32 = 0o010000;
pub const S_IFSOCK: u32 = 0o140000;
pub const S_ISGID: u32 = 0o2000;
/// What `chmod` can change.
pub const PERMISSION_BITS: u32 = 0o7777;

pub const POLLIN: u32 = 0x1;
pub const POLLPRI: u32 = 0x2;
pub const POLLOUT: u32 = 0x4;
pub const POLLERR: u32 = 0x8;
pub const POLLHUP: u32 = 0x10;
pub const POLLNVAL: u32 = 0x20;
pub const POLLRDNORM: u32 = 0x40;
pub const POLLRDBAND: u32 = 0x80;
pub const POLLWRNORM: u32 = 0x100;
pub const POLLWRBAND: u32 = 0x200;
pub const POLLRDHUP: u32 = 0x2000;

pub const RENAME_NOREPLACE: u32 = 1;
pub const RENAME_EXCHANGE: u32 = 2;

/// Longest name in a directory (`NAME_MAX`), in bytes.
pub const NAME_MAX: usize = 255;
/// Longest path (`PATH_MAX`), in bytes, with the final NUL that a system call passes.
pub const PATH_MAX: usize = 4096;
/// Symbolic links followed in one walk, as Linux's `MAXSYMLINKS`.
pub const LINKS_MAX: u32 = 40;
/// Largest file offset (`loff_t`).
pub const OFFSET_MAX: u64 = i64::MAX as u64;
