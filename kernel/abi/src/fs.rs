//! What the kernel says about files: `stat(2)`, `statx(2)`, `statfs(2)`, and the records of `getdents64(2)`.

use linux_raw_sys::general as raw;
/// File types and permissions in a mode (`inode(7)`).
pub use raw::{
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, S_IRGRP, S_IROTH, S_IRUSR, S_IRWXG,
    S_IRWXO, S_IRWXU, S_ISGID, S_ISUID, S_ISVTX, S_IWGRP, S_IWOTH, S_IWUSR, S_IXGRP, S_IXOTH, S_IXUSR,
};
/// Which fields of [`Statx`] are asked for and given.
pub use raw::{
    STATX_ALL, STATX_ATIME, STATX_BASIC_STATS, STATX_BLOCKS, STATX_BTIME, STATX_CTIME, STATX_GID, STATX_INO,
    STATX_MNT_ID, STATX_MODE, STATX_MTIME, STATX_NLINK, STATX_SIZE, STATX_TYPE, STATX_UID,
};

use crate::errno::Errno;
use crate::pod::{Pod, pod_struct};

/// Longest path with its NUL, in bytes.
pub const PATH_MAX: usize = 4096;
/// Longest name of a directory entry in bytes, without a NUL.
pub const NAME_MAX: usize = 255;

pod_struct! {
    /// What `stat(2)` gives.
    pub struct Stat = raw::stat {
        /// Device that holds the file, see [`make_dev`].
        pub st_dev: u64,
        /// Inode number.
        pub st_ino: u64,
        /// Number of names.
        pub st_nlink: u64,
        /// Type and permissions.
        pub st_mode: u32,
        /// Owner.
        pub st_uid: u32,
        /// Group.
        pub st_gid: u32,
        #[doc(hidden)]
        pub __pad0: u32,
        /// Device that the file is, if it is one.
        pub st_rdev: u64,
        /// Length in bytes.
        pub st_size: i64,
        /// Good size for reads and writes, in bytes.
        pub st_blksize: i64,
        /// Space taken, in units of 512 bytes.
        pub st_blocks: i64,
        /// Last access, seconds since 1970.
        pub st_atime: u64,
        /// And nanoseconds.
        pub st_atime_nsec: u64,
        /// Last change of the content, seconds.
        pub st_mtime: u64,
        /// And nanoseconds.
        pub st_mtime_nsec: u64,
        /// Last change of the inode, seconds.
        pub st_ctime: u64,
        /// And nanoseconds.
        pub st_ctime_nsec: u64,
        #[doc(hidden)]
        pub __unused: [i64; 3],
    }
}

const _: () = assert!(Stat::SIZE == 144);

pod_struct! {
    /// A point in time in [`Statx`].
    pub struct StatxTimestamp = raw::statx_timestamp {
        /// Seconds since 1970.
        pub tv_sec: i64,
        /// And nanoseconds.
        pub tv_nsec: u32,
        #[doc(hidden)]
        pub __reserved: i32,
    }
}

pod_struct! {
    /// What `statx(2)` gives.
    pub struct Statx = raw::statx {
        /// Which fields are given (`STATX_*`).
        pub stx_mask: u32,
        /// Good size for reads and writes, in bytes.
        pub stx_blksize: u32,
        /// Attributes (`STATX_ATTR_*`).
        pub stx_attributes: u64,
        /// Number of names.
        pub stx_nlink: u32,
        /// Owner.
        pub stx_uid: u32,
        /// Group.
        pub stx_gid: u32,
        /// Type and permissions.
        pub stx_mode: u16,
        #[doc(hidden)]
        pub __spare0: [u16; 1],
        /// Inode number.
        pub stx_ino: u64,
        /// Length in bytes.
        pub stx_size: u64,
        /// Space taken, in units of 512 bytes.
        pub stx_blocks: u64,
        /// Which attributes the file system knows.
        pub stx_attributes_mask: u64,
        /// Last access.
        pub stx_atime: StatxTimestamp,
        /// Creation.
        pub stx_btime: StatxTimestamp,
        /// Last change of the inode.
        pub stx_ctime: StatxTimestamp,
        /// Last change of the content.
        pub stx_mtime: StatxTimestamp,
        /// Device that the file is: major number.
        pub stx_rdev_major: u32,
        /// And minor number.
        pub stx_rdev_minor: u32,
        /// Device that holds the file: major number.
        pub stx_dev_major: u32,
        /// And minor number.
        pub stx_dev_minor: u32,
        /// Identifier of the mount.
        pub stx_mnt_id: u64,
        /// Alignment of memory for direct I/O, in bytes.
        pub stx_dio_mem_align: u32,
        /// Alignment of file offsets for direct I/O, in bytes.
        pub stx_dio_offset_align: u32,
        /// Identifier of the subvolume.
        pub stx_subvol: u64,
        /// Least size of an atomic write, in bytes.
        pub stx_atomic_write_unit_min: u32,
        /// Largest size of an atomic write, in bytes.
        pub stx_atomic_write_unit_max: u32,
        /// Most segments of an atomic write.
        pub stx_atomic_write_segments_max: u32,
        /// Alignment of file offsets for direct reads, in bytes.
        pub stx_dio_read_offset_align: u32,
        /// Best upper limit of an atomic write, in bytes.
        pub stx_atomic_write_unit_max_opt: u32,
        #[doc(hidden)]
        pub __spare2: [u32; 1],
        #[doc(hidden)]
        pub __spare3: [u64; 8],
    }
}

const _: () = assert!(Statx::SIZE == 256);

pod_struct! {
    /// What `statfs(2)` gives.
    pub struct Statfs = raw::statfs64 {
        /// Kind of file system, by its magic number.
        pub f_type: i64,
        /// Bytes in a block.
        pub f_bsize: i64,
        /// Blocks in all.
        pub f_blocks: u64,
        /// Free blocks.
        pub f_bfree: u64,
        /// Free blocks that any user may take.
        pub f_bavail: u64,
        /// Inodes in all.
        pub f_files: u64,
        /// Free inodes.
        pub f_ffree: u64,
        /// Identifier of the file system.
        pub f_fsid: [i32; 2],
        /// Longest name in bytes.
        pub f_namelen: i64,
        /// Bytes in a fragment.
        pub f_frsize: i64,
        /// Mount flags (`ST_*`).
        pub f_flags: i64,
        #[doc(hidden)]
        pub f_spare: [i64; 4],
    }
}

const _: () = assert!(Statfs::SIZE == 120 && Statfs::SIZE == size_of::<raw::statfs>());

pod_struct! {
    /// A piece of memory for `readv(2)` and `writev(2)`.
    pub struct Iovec = raw::iovec {
        /// User address of the first byte.
        pub iov_base: u64,
        /// Number of bytes.
        pub iov_len: u64,
    }
}

/// The device number that user programs see for `major` and `minor`, as in `makedev(3)`.
pub const fn make_dev(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

/// Major and minor number of a device number, as in `major(3)` and `minor(3)`.
pub const fn split_dev(dev: u64) -> (u32, u32) {
    let major = (dev >> 8 & 0xfff) | (dev >> 32 & !0xfff);
    let minor = (dev & 0xff) | (dev >> 12 & !0xff);
    (major as u32, minor as u32)
}

/// Type of a directory entry (`d_type` of `getdents64(2)`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum DirentType {
    /// The file system does not say.
    Unknown = raw::DT_UNKNOWN as u8,
    /// Named pipe.
    Fifo = raw::DT_FIFO as u8,
    /// Character device.
    CharDevice = raw::DT_CHR as u8,
    /// Directory.
    Directory = raw::DT_DIR as u8,
    /// Block device.
    BlockDevice = raw::DT_BLK as u8,
    /// Regular file.
    Regular = raw::DT_REG as u8,
    /// Symbolic link.
    Symlink = raw::DT_LNK as u8,
    /// Socket.
    Socket = raw::DT_SOCK as u8,
}

impl DirentType {
    /// The type of a file with this mode.
    pub fn from_mode(mode: u32) -> DirentType {
        match mode & S_IFMT {
            S_IFIFO => DirentType::Fifo,
            S_IFCHR => DirentType::CharDevice,
            S_IFDIR => DirentType::Directory,
            S_IFBLK => DirentType::BlockDevice,
            S_IFREG => DirentType::Regular,
            S_IFLNK => DirentType::Symlink,
            S_IFSOCK => DirentType::Socket,
            _ => DirentType::Unknown,
        }
    }
}

/// A directory entry to be encoded for `getdents64(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dirent64<'a> {
    /// Inode number.
    pub ino: u64,
    /// Position at which reading goes on after this entry.
    pub next_offset: i64,
    /// Type.
    pub kind: DirentType,
    /// Name without `/` and NUL, 1 to [`NAME_MAX`] bytes.
    pub name: &'a [u8],
}

impl Dirent64<'_> {
    /// Bytes before the name: inode, offset, record length and type.
    const NAME_AT: usize = 19;
    /// Bytes of the largest record.
    pub const MAX_LEN: usize = (Self::NAME_AT + NAME_MAX + 1).next_multiple_of(8);

    /// Bytes of the record: name and NUL included, a multiple of 8.
    pub fn encoded_len(&self) -> usize {
        (Self::NAME_AT + self.name.len() + 1).next_multiple_of(8)
    }

    /// Writes the record to the beginning of `out` and tells its length in bytes. `EINVAL` if it does not fit, as
    /// `getdents64(2)` gives for a buffer too small; `ENAMETOOLONG` for a name of more than [`NAME_MAX`] bytes.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Errno> {
        if self.name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let len = self.encoded_len();
        let record = out.get_mut(..len).ok_or(Errno::EINVAL)?;
        record.fill(0);
        self.ino.write_bytes(&mut record[0..]);
        self.next_offset.write_bytes(&mut record[8..]);
        (len as u16).write_bytes(&mut record[16..]);
        record[18] = self.kind as u8;
        record[Self::NAME_AT..Self::NAME_AT + self.name.len()].copy_from_slice(self.name);
        Ok(len)
    }
}

const _: () = {
    assert!(core::mem::offset_of!(raw::linux_dirent64, d_name) == Dirent64::NAME_AT);
    assert!(core::mem::offset_of!(raw::linux_dirent64, d_type) == 18);
    assert!(core::mem::offset_of!(raw::linux_dirent64, d_reclen) == 16);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_go_both_ways() {
        assert_eq!(make_dev(4, 64), 0x440);
        assert_eq!(make_dev(0x12345, 0x6789a), 0x0001_2000_6783_459a);
        for (major, minor) in [(0, 0), (8, 1), (0xfff, 0xff), (0x1000, 0x100), (u32::MAX, u32::MAX)] {
            assert_eq!(split_dev(make_dev(major, minor)), (major, minor));
        }
    }

    #[test]
    fn directory_records() {
        let entry = Dirent64 { ino: 0x1122, next_offset: 3, kind: DirentType::Directory, name: b"abcde" };
        let mut out = [0xee; 64];
        assert_eq!(entry.encode(&mut out), Ok(32));
        assert_eq!(out[..8], [0x22, 0x11, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[8..16], [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[16..24], [32, 0, 4, b'a', b'b', b'c', b'd', b'e']);
        assert_eq!(out[24..33], [0, 0, 0, 0, 0, 0, 0, 0, 0xee]);
        assert_eq!(Dirent64 { name: b"abcd", ..entry }.encode(&mut out), Ok(24), "the NUL just fits");
    }

    #[test]
    fn directory_records_that_do_not_fit() {
        let entry = Dirent64 { ino: 1, next_offset: 1, kind: DirentType::Regular, name: b"abcde" };
        assert_eq!(entry.encode(&mut [0; 31]), Err(Errno::EINVAL));
        let long = [b'x'; 256];
        let mut out = [0; Dirent64::MAX_LEN];
        assert_eq!(Dirent64 { name: &long, ..entry }.encode(&mut out), Err(Errno::ENAMETOOLONG));
        assert_eq!(Dirent64 { name: &long[..255], ..entry }.encode(&mut out), Ok(Dirent64::MAX_LEN));
    }

    #[test]
    fn stat_image() {
        let stat = Stat { st_mode: S_IFREG | 0o644, st_size: 13, ..Default::default() };
        let mut image = [0xee; Stat::SIZE];
        stat.write_bytes(&mut image);
        assert_eq!(image[24..28], (0o100_644u32).to_le_bytes());
        assert_eq!(image[48..56], 13u64.to_le_bytes());
        assert_eq!(Stat::read_bytes(&image), stat);
        assert_eq!(DirentType::from_mode(stat.st_mode), DirentType::Regular);
    }
}
