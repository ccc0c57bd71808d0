//! What a file system gives the VFS: [`FileSystem`] and [`Inode`]; and what stands behind files that are not bytes in one,
//! devices, pipes and their kin: [`FileOperations`].
//!
//! The VFS calls the directory methods of an inode only with that directory's lock held ([`super::dentry::Dentry`]), so
//! a file system need not order `lookup`, `create`, `remove` and `rename` of one directory among themselves. It calls
//! them with checked arguments: names are not empty, neither `.` nor `..`, at most 255 bytes and without `/`; what is
//! removed exists and has the right kind. All methods may sleep.

use super::page_cache::PageCache;
use super::transfer::{Sink, Source};
use super::{Result, flags};
use abi::Errno;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::AtomicU32;
use machine::sync::WaitQueue;

pub use fs::FileType;

/// Seconds and nanoseconds since 1970-01-01 UTC.
pub type Time = (i64, u32);

/// What `stat(2)` tells of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// Number of the mounted volume; filled in by the VFS.
    pub dev: u64,
    /// Number of the inode in it.
    pub ino: u64,
    /// Kind (`S_IFMT`) and permission bits.
    pub mode: u32,
    /// Names that lead to it.
    pub nlink: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node, as `st_rdev`.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Preferred size of a read in bytes.
    pub blksize: u64,
    /// Space taken, in 512-byte units.
    pub blocks: u64,
    /// Last read.
    pub atime: Time,
    /// Last change of content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
}

/// One entry of a directory, as `getdents64(2)` tells it.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// Inode number.
    pub ino: u64,
    /// Where to go on reading after this entry: the `d_off` of Linux.
    pub next_offset: i64,
    /// `DT_*`.
    pub kind: u8,
    /// Its name.
    pub name: &'a [u8],
}

/// The `DT_*` number of a kind: the top four bits of its mode.
pub fn directory_type(kind: FileType) -> u8 {
    (kind.mode_bits() >> 12) as u8
}

/// What a new name is to stand for.
#[derive(Clone, Copy, Debug)]
pub enum NewKind<'a> {
    /// An empty file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link to this path.
    Symlink(&'a [u8]),
    /// A device node, FIFO or socket with this `st_rdev`.
    Special(FileType, u64),
}

/// A file to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewNode<'a> {
    /// Its kind.
    pub kind: NewKind<'a>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Attributes to change; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttributeChange {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last read.
    pub atime: Option<Time>,
    /// Last change of content.
    pub mtime: Option<Time>,
}

/// What must hold when an extended attribute is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetAttribute {
    /// Nothing.
    Any,
    /// It is not there yet (`XATTR_CREATE`).
    New,
    /// It is there (`XATTR_REPLACE`).
    Old,
}

/// Figures for `statfs(2)`; sizes in blocks of `block_size` bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// `f_type`.
    pub magic: u64,
    /// Bytes.
    pub block_size: u64,
    /// All blocks.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Free blocks that any user may take.
    pub blocks_available: u64,
    /// All inodes.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
}

/// A mounted file system.
pub trait FileSystem: Send + Sync {
    /// Its type, as `/proc/mounts` shows it.
    fn type_name(&self) -> &'static str;
    /// The root directory.
    fn root(&self) -> Result<Arc<dyn Inode>>;
    /// Figures for `statfs(2)`.
    fn statistics(&self) -> Result<Statistics>;
    /// Whether it cannot be written at all, whatever the mount says.
    fn read_only(&self) -> bool {
        false
    }
    /// Gets ready to be written, once, before the first mount that allows it; the error says why it cannot be.
    fn begin_writing(&self) -> core::result::Result<(), String> {
        Ok(())
    }
    /// Sees to it that all that was changed lasts, as `syncfs(2)`.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
    /// Frees what removed files had that nobody uses any more. Called often, without any lock.
    fn settle(&self) {}
    /// As `sync`, and ends writing: the file system is as it should be found by the next one who mounts it. Nobody uses
    /// it any more, or the machine is about to stop.
    fn finish(&self) -> Result<()> {
        self.sync()
    }
    /// For how long something that should last has not been written, in ms; None if there is nothing.
    fn unwritten_ms(&self) -> Option<u64> {
        None
    }
}

/// A file of any kind, as its file system keeps it. One object for one file, however many names it has.
pub trait Inode: Any + Send + Sync {
    /// Its kind; never changes.
    fn file_type(&self) -> FileType;
    /// All that `stat(2)` tells, except `dev`.
    fn metadata(&self) -> Result<Metadata>;
    /// The times of the last read, change of content and change of the inode, if it keeps times that change.
    fn times(&self) -> Option<[Time; 3]> {
        None
    }
    /// It was read at this time, the rest stays as it is. That need not last before the next change of the file lasts.
    fn accessed(&self, _now: Time) {}
    /// Changes attributes.
    fn set_attributes(&self, _change: &AttributeChange) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// The extended attribute `name`, which begins with its class; ENODATA if there is none, EOPNOTSUPP if the file system
    /// keeps none of that class, or none at all.
    fn attribute(&self, _name: &[u8]) -> Result<Vec<u8>> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Calls `each` with the name of each extended attribute.
    fn each_attribute(&self, _each: &mut dyn FnMut(&[u8])) -> Result<()> {
        Ok(())
    }
    /// Sets the extended attribute `name`, or removes it; ENODATA if there is none to be removed or replaced, EEXIST if it
    /// was not to be there.
    fn set_attribute(&self, _name: &[u8], _value: Option<&[u8]>, _how: SetAttribute) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Whether names of it may be remembered; of a directory that is a volume's root, which names are not in it.
    fn is_lasting(&self) -> bool {
        true
    }
    /// Directory: whether names that differ in case alone are one name. Asked once.
    fn folds_case(&self) -> bool {
        false
    }
    /// What opening it gives where that is not the pages of a regular file, nor what a device number or a FIFO stands for.
    fn open(&self, _flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        Ok(None)
    }

    /// Directory: the file called `name`; ENOENT if there is none.
    fn lookup(&self, _name: &[u8]) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENOTDIR)
    }
    /// Directory: gives the entries from `position` on, `.` and `..` among them, until `emit` says false. The entry
    /// refused is given again by a call with the position before it. `parent` is the inode number for `..`.
    fn read_dir(&self, _position: i64, _parent: u64, _emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        Err(Errno::ENOTDIR)
    }
    /// Directory: makes a file called `name`, which is free.
    fn create(&self, _name: &[u8], _new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Err(Errno::EPERM)
    }
    /// Directory: makes a regular file that has no name in its file system.
    fn create_unnamed(&self, _new: &NewNode<'_>) -> Result<Arc<dyn Inode>> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Directory: another name, which is free, for `target` of the same file system.
    fn link(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Directory: removes the name of `target`; ENOTEMPTY for a directory that has entries.
    fn remove(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<()> {
        Err(Errno::EPERM)
    }
    /// Directory: moves `name` to `new_name` in `new_parent` of the same file system, replacing what is there (of the
    /// same kind, a directory only if empty), or exchanging the two. Never into the moved directory itself.
    fn rename(&self, _name: &[u8], _new_parent: &Arc<dyn Inode>, _new_name: &[u8], _exchange: bool) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// Symbolic link: where it leads.
    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Errno::EINVAL)
    }
    /// Symbolic link: the place itself that it leads to, a `Location`, if that is not to be found by the path.
    fn jump(&self) -> Result<Option<Box<dyn Any>>> {
        Ok(None)
    }

    /// Regular file: its pages.
    fn pages(&self) -> Option<&Arc<PageCache>> {
        None
    }
    /// Regular file: bytes in it.
    fn size(&self) -> u64 {
        0
    }
    /// Regular file: what must not happen to it any more, in `F_SEAL_*` bits, if it can be sealed. Changed with the cache's
    /// writer lock; the inode's own methods refuse what they forbid with EPERM.
    fn seals(&self) -> Option<&AtomicU32> {
        None
    }
    /// Regular file: up to where the bytes `start .. end` could be stored, as far as the file's size matters; more than
    /// `start`. Called with the cache's writer lock.
    fn check_write(&self, _start: u64, _end: u64) -> Result<u64> {
        Err(Errno::EROFS)
    }
    /// Regular file: the bytes `start .. end` have been put into the pages and are to be stored; the size follows.
    /// After an error they are not part of the file. Called with the cache's writer lock.
    fn wrote(&self, _start: u64, _end: u64) -> Result<()> {
        Err(Errno::EROFS)
    }
    /// Regular file: a mapping is about to write to the page `index`, which lies in the file.
    fn page_dirtied(&self, _index: u64) -> Result<()> {
        Ok(())
    }
    /// Regular file: a mapping may write to the page `index` from now on. Does not sleep for long.
    fn page_writable(&self, _index: u64) {}
    /// Regular file: gives the bytes `start .. end` their space; the size stays. Called with the cache's writer lock.
    fn allocate(&self, _start: u64, _end: u64) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Regular file: makes a hole of the bytes `start .. end`; the size stays. Called with the cache's writer lock.
    fn punch(&self, _start: u64, _end: u64) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    /// Called before a transfer with `O_DIRECT` and after one that wrote: what was written to these bytes goes to the
    /// device, and reads see what is there. EINVAL if they are no whole sectors.
    fn exchange_with_device(&self, _start: u64, _len: u64) -> Result<()> {
        Ok(())
    }
    /// Regular file or directory: sees to it that what was changed lasts, as `fsync(2)`.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
    /// Regular file: cuts or extends it to `size` bytes. Called with the cache's writer lock.
    fn truncate(&self, _size: u64) -> Result<()> {
        Err(Errno::EROFS)
    }
    /// Regular file: the first byte from `offset` on that is stored (`data`) or is in a hole (not `data`), at most
    /// the size; `offset` lies inside. A file system without holes keeps this answer.
    fn seek_data(&self, offset: u64, data: bool) -> Result<u64> {
        Ok(if data { offset } else { self.size() })
    }
}

/// What positions in a file that a driver serves mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Positions {
    /// There are none: `lseek(2)` and `pread(2)` are ESPIPE, and transfers are not serialised.
    None,
    /// Any will do, and makes no difference: `lseek(2)` stays at 0.
    All,
    /// They are those of its bytes; how many these are.
    Bytes(u64),
}

/// What reading, writing and so on does to a file that is not kept by a file system.
pub trait FileOperations: Any + Send + Sync {
    /// Called when a device node is opened, or a link to an open pipe: the object for this opening, None to share this one.
    fn open(&self, _flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        Ok(None)
    }
    /// Moves bytes to `sink`; 0 is the end. `offset` is the file's position, `flags` those of `open(2)` (O_NONBLOCK).
    fn read(&self, _offset: u64, _flags: u32, _sink: &mut dyn Sink) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    /// Takes bytes from `source`; how many.
    fn write(&self, _offset: u64, _flags: u32, _source: &mut dyn Source) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    /// Of a block device the inode that has its content: reads, writes and mappings are of its pages.
    fn content(&self) -> Option<Arc<dyn Inode>> {
        None
    }
    /// `ioctl(2)`; the result on success.
    fn ioctl(&self, _command: u32, _argument: u64) -> Result<u64> {
        Err(Errno::ENOTTY)
    }
    /// What would not block now, in `POLL*` bits.
    fn poll(&self) -> u32 {
        flags::POLLIN | flags::POLLOUT | flags::POLLRDNORM | flags::POLLWRNORM
    }
    /// What is woken whenever the answer of [`FileOperations::poll`] may have changed: first the queue for what readers
    /// wait for, then the one for what writers wait for; `POLLHUP` and `POLLERR` are told by both. None for what never
    /// changes.
    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [None, None]
    }
    /// What a position in the file means.
    fn positions(&self) -> Positions {
        Positions::None
    }
    /// `st_mode` of a file that no directory shows.
    fn mode(&self) -> u32 {
        0o020600
    }
    /// `st_uid` and `st_gid` of a file that no directory shows.
    fn owner(&self) -> (u32, u32) {
        (0, 0)
    }
    /// `st_ino` of a file that no directory shows.
    fn inode_number(&self) -> u64 {
        0
    }
    /// What a link to it shows if no directory does; a name that ends with a colon has the inode number behind it.
    fn link_name(&self) -> &'static str {
        "anon_inode:[file]"
    }
    /// `fcntl(2)` requests that only this kind of file knows (`F_SETPIPE_SZ`); the result on success.
    fn fcntl(&self, _command: u32, _argument: u64) -> Result<u64> {
        Err(Errno::EBADF)
    }
}
