//! Structures of files: stat(2), statx(2), readv(2), poll(2), getdents64(2).

use crate::pod::pod_struct;
use linux_raw_sys::general as raw;

pod_struct! {
    /// `struct stat` of stat(2).
    Stat, 144 as raw::stat {
        0 dev: u64,
        8 ino: u64,
        16 nlink: u64,
        24 mode: u32,
        28 uid: u32,
        32 gid: u32,
        40 rdev: u64,
        48 size: i64,
        56 blksize: i64,
        64 blocks: i64,
        72 atime: i64,
        80 atime_nsec: u64,
        88 mtime: i64,
        96 mtime_nsec: u64,
        104 ctime: i64,
        112 ctime_nsec: u64,
    }
}
const _: () =
    assert!(core::mem::offset_of!(raw::stat, st_rdev) == 40 && core::mem::offset_of!(raw::stat, st_ctime) == 104);

pod_struct! {
    /// `struct statx_timestamp` of statx(2).
    StatxTimestamp, 16 as raw::statx_timestamp {
        0 sec: i64,
        8 nsec: u32,
    }
}

pod_struct! {
    /// `struct statx` of statx(2).
    Statx, 256 as raw::statx {
        0 mask: u32,
        4 blksize: u32,
        8 attributes: u64,
        16 nlink: u32,
        20 uid: u32,
        24 gid: u32,
        28 mode: u16,
        32 ino: u64,
        40 size: u64,
        48 blocks: u64,
        56 attributes_mask: u64,
        64 atime: StatxTimestamp,
        80 btime: StatxTimestamp,
        96 ctime: StatxTimestamp,
        112 mtime: StatxTimestamp,
        128 rdev_major: u32,
        132 rdev_minor: u32,
        136 dev_major: u32,
        140 dev_minor: u32,
    }
}
const _: () = assert!(
    core::mem::offset_of!(raw::statx, stx_mtime) == 112 && core::mem::offset_of!(raw::statx, stx_dev_minor) == 140
);

pod_struct! {
    /// `struct iovec` of readv(2).
    Iovec, 16 as raw::iovec {
        0 base: u64,
        8 len: u64,
    }
}

pod_struct! {
    /// `struct pollfd` of poll(2).
    PollFd, 8 as raw::pollfd {
        0 fd: i32,
        4 events: i16,
        6 revents: i16,
    }
}

/// Bytes of a `struct linux_dirent64` before the name (getdents64(2)).
pub const DIRENT64_HEADER: usize = 19;

/// Bytes that the entry for a name of `name_len` bytes takes: header, name, zero, up to the next multiple of 8.
pub const fn dirent64_len(name_len: usize) -> usize {
    (DIRENT64_HEADER + name_len + 1).next_multiple_of(8)
}

/// Writes a `struct linux_dirent64` to the front of `out`; its length, or None if there is no room.
pub fn write_dirent64(out: &mut [u8], ino: u64, next_offset: i64, kind: u8, name: &[u8]) -> Option<usize> {
    let len = dirent64_len(name.len());
    let entry = out.get_mut(..len)?;
    entry.fill(0);
    entry[0..8].copy_from_slice(&ino.to_le_bytes());
    entry[8..16].copy_from_slice(&next_offset.to_le_bytes());
    entry[16..18].copy_from_slice(&u16::try_from(len).ok()?.to_le_bytes());
    entry[18] = kind;
    entry[DIRENT64_HEADER..DIRENT64_HEADER + name.len()].copy_from_slice(name);
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::Pod;

    #[test]
    fn padding_is_zero_and_fields_come_back() {
        let stat = Stat { ino: 7, mode: 0o100644, size: -1, ctime_nsec: 9, ..Stat::default() };
        let mut bytes = [0xaa; Stat::SIZE];
        stat.write_bytes(&mut bytes);
        assert_eq!(bytes[36..40], [0; 4], "padding between gid and rdev");
        assert_eq!(bytes[120..], [0; 24], "unused words at the end");
        assert_eq!(Stat::read_bytes(&bytes), stat);
    }

    #[test]
    fn a_directory_entry_is_aligned_and_ends_with_zero() {
        let mut out = [0xaa; 40];
        assert_eq!(write_dirent64(&mut out, 2, 24, 4, b"etc"), Some(24));
        assert_eq!(&out[16..24], [24, 0, 4, b'e', b't', b'c', 0, 0]);
        assert_eq!(write_dirent64(&mut out[..23], 2, 24, 4, b"etc"), None);
    }
}
