//! Flags of opening files and of calls that take a directory descriptor (`open(2)`, `fcntl(2)`, `access(2)`).

use bitflags::bitflags;
use linux_raw_sys::general as raw;
/// Numbers that are used as they are.
pub use raw::{
    AT_FDCWD, F_ADD_SEALS, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS, F_GETFD, F_GETFL, F_GETLK, F_GETOWN, F_GETOWN_EX,
    F_GETPIPE_SZ, F_GETSIG, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SEAL_EXEC, F_SEAL_FUTURE_WRITE,
    F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, F_SETFD, F_SETFL, F_SETLK, F_SETLKW, F_SETOWN, F_SETOWN_EX,
    F_SETPIPE_SZ, F_SETSIG, F_UNLCK, F_WRLCK, FD_CLOEXEC, MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_NOEXEC_SEAL,
    SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET, SPLICE_F_GIFT, SPLICE_F_MORE, SPLICE_F_MOVE, SPLICE_F_NONBLOCK,
};

use crate::pod::pod_struct;

/// What an owner is (`F_SETOWN_EX`): a thread, a process, a group of processes.
pub const F_OWNER_TID: i32 = raw::F_OWNER_TID as i32;
/// See [`F_OWNER_TID`].
pub const F_OWNER_PID: i32 = raw::F_OWNER_PID as i32;
/// See [`F_OWNER_TID`].
pub const F_OWNER_PGRP: i32 = raw::F_OWNER_PGRP as i32;

pod_struct! {
    /// Who is told that a file is ready (`struct f_owner_ex`).
    pub struct OwnerEx: 8 {
        /// `F_OWNER_*`.
        pub kind: i32,
        /// Its number.
        pub pid: i32,
    }
}

bitflags! {
    /// Flags of `open(2)`. The two lowest bits are the access mode, see [`OpenFlags::access_mode`]; unknown bits are kept.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct OpenFlags: u32 {
        /// Access mode 1: writing only.
        const WRONLY = raw::O_WRONLY;
        /// Access mode 2: reading and writing.
        const RDWR = raw::O_RDWR;
        /// Make the file if it is not there.
        const CREAT = raw::O_CREAT;
        /// Fail if it is.
        const EXCL = raw::O_EXCL;
        /// Do not become the controlling terminal.
        const NOCTTY = raw::O_NOCTTY;
        /// Cut the file to length 0.
        const TRUNC = raw::O_TRUNC;
        /// Every write goes to the end.
        const APPEND = raw::O_APPEND;
        /// Do not wait.
        const NONBLOCK = raw::O_NONBLOCK;
        /// Writes wait for the data to be on disk.
        const DSYNC = raw::O_DSYNC;
        /// Signals on readiness.
        const ASYNC = 0o20000;
        /// Past the page cache.
        const DIRECT = raw::O_DIRECT;
        /// Without meaning on 64-bit machines.
        const LARGEFILE = raw::O_LARGEFILE;
        /// Fail unless it is a directory.
        const DIRECTORY = raw::O_DIRECTORY;
        /// Fail if the last component is a symbolic link.
        const NOFOLLOW = raw::O_NOFOLLOW;
        /// Leave the access time alone.
        const NOATIME = raw::O_NOATIME;
        /// Close on `execve(2)`.
        const CLOEXEC = raw::O_CLOEXEC;
        /// Writes wait for data and metadata to be on disk; contains `DSYNC`.
        const SYNC = raw::O_SYNC;
        /// A place in the tree only.
        const PATH = raw::O_PATH;
        /// An unnamed file in the directory; contains `DIRECTORY`.
        const TMPFILE = raw::O_TMPFILE;
        const _ = !0;
    }
}

/// What a descriptor may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessMode {
    /// `O_RDONLY`.
    Read,
    /// `O_WRONLY`.
    Write,
    /// `O_RDWR`.
    ReadWrite,
}

impl OpenFlags {
    /// The access mode; `None` for the value 3, which Linux gives to a descriptor for `ioctl(2)` alone.
    pub fn access_mode(self) -> Option<AccessMode> {
        match self.bits() & raw::O_ACCMODE {
            raw::O_RDONLY => Some(AccessMode::Read),
            raw::O_WRONLY => Some(AccessMode::Write),
            raw::O_RDWR => Some(AccessMode::ReadWrite),
            _ => None,
        }
    }
}

bitflags! {
    /// Flags of the `…at` calls. Bits mean different things to different calls: 0x200 is `EACCESS` to `faccessat2(2)`
    /// and `REMOVEDIR` to `unlinkat(2)`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct AtFlags: u32 {
        /// Do not follow a symbolic link in the last component.
        const SYMLINK_NOFOLLOW = raw::AT_SYMLINK_NOFOLLOW;
        /// Remove a directory.
        const REMOVEDIR = raw::AT_REMOVEDIR;
        /// Check with the effective identity.
        const EACCESS = raw::AT_EACCESS;
        /// Follow a symbolic link in the last component.
        const SYMLINK_FOLLOW = raw::AT_SYMLINK_FOLLOW;
        /// Do not mount automatically.
        const NO_AUTOMOUNT = raw::AT_NO_AUTOMOUNT;
        /// An empty path means the descriptor itself.
        const EMPTY_PATH = raw::AT_EMPTY_PATH;
        /// `statx(2)`: ask the server.
        const STATX_FORCE_SYNC = raw::AT_STATX_FORCE_SYNC;
        /// `statx(2)`: do not ask the server.
        const STATX_DONT_SYNC = raw::AT_STATX_DONT_SYNC;
        const _ = !0;
    }
}

bitflags! {
    /// What `access(2)` asks for; no bit is `F_OK`: does it exist?
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct AccessCheck: u32 {
        /// May it be read?
        const READ = raw::R_OK;
        /// May it be written?
        const WRITE = raw::W_OK;
        /// May it be executed, or searched?
        const EXECUTE = raw::X_OK;
    }
}

pod_struct! {
    /// How to open (`openat2(2)`).
    pub struct OpenHow = raw::open_how {
        /// `O_*`.
        pub flags: u64,
        /// Permission bits of a file that is made.
        pub mode: u64,
        /// `RESOLVE_*`.
        pub resolve: u64,
    }
}

pod_struct! {
    /// A record lock (`fcntl(2)`, `F_GETLK` and its kin).
    pub struct Flock = raw::flock {
        /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
        pub l_type: i16,
        /// What `l_start` counts from: `SEEK_SET`, `SEEK_CUR` or `SEEK_END`.
        pub l_whence: i16,
        pad __pad0: u32,
        /// First byte.
        pub l_start: i64,
        /// Number of bytes; 0 means to the end of the file and beyond.
        pub l_len: i64,
        /// Process that holds the conflicting lock.
        pub l_pid: i32,
        pad __pad1: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_modes() {
        assert_eq!(OpenFlags::from_bits_retain(0o2).access_mode(), Some(AccessMode::ReadWrite));
        assert_eq!((OpenFlags::CREAT | OpenFlags::WRONLY).access_mode(), Some(AccessMode::Write));
        assert_eq!(OpenFlags::empty().access_mode(), Some(AccessMode::Read));
        assert_eq!(OpenFlags::from_bits_retain(3).access_mode(), None);
    }

    #[test]
    fn compound_flags_contain_their_parts() {
        assert!(OpenFlags::SYNC.contains(OpenFlags::DSYNC));
        assert!(OpenFlags::TMPFILE.contains(OpenFlags::DIRECTORY));
        assert_eq!(OpenFlags::from_bits_retain(1 << 31).bits(), 1 << 31, "unknown bits are kept");
    }
}
