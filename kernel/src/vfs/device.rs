//! Files that are not bytes in a file system: devices, pipes and their kin; and which device a number names.
//!
//! Lock: `DEVICES` (rank Table), never held while a device is called.

use super::transfer::{Sink, Source};
use super::{Result, flags};
use abi::Errno;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::any::Any;
use fs::FileType;
use machine::sync::{Once, Rank, SpinLock, WaitQueue};

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
    /// Whether the file has positions, and how long it is; None: `lseek(2)` is ESPIPE and transfers are not serialised.
    fn seekable(&self) -> Option<u64> {
        None
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

/// `st_rdev` of device `major`:`minor`, as Linux's `makedev(3)`.
pub const fn device_number(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

/// Devices by kind (block or not) and number.
static DEVICES: SpinLock<BTreeMap<(bool, u64), Arc<dyn FileOperations>>> =
    SpinLock::new("devices", Rank::Table, BTreeMap::new());

/// Makes `operations` the device `number`, in place of what was it before.
pub(super) fn register_number(block: bool, number: u64, operations: Arc<dyn FileOperations>) {
    let old = DEVICES.lock().insert((block, number), operations);
    drop(old);
}

/// Opens the FIFO with this volume and inode number.
pub type FifoOpener = fn((u64, u64), u32) -> Result<Arc<dyn FileOperations>>;

static FIFO_OPENER: Once<FifoOpener> = Once::new();

/// Has `opener` called when a FIFO is opened. The first call counts.
pub fn set_fifo_opener(opener: FifoOpener) {
    FIFO_OPENER.call_once(|| opener);
}

/// What opening a FIFO gives.
pub(super) fn open_fifo(key: (u64, u64), flags: u32) -> Result<Arc<dyn FileOperations>> {
    FIFO_OPENER.get().ok_or(Errno::ENXIO)?(key, flags)
}

/// Calls `f` with each device: whether it is one of blocks, and its number.
pub fn for_each_number(mut f: impl FnMut(bool, u64)) {
    DEVICES.lock().keys().for_each(|&(block, number)| f(block, number));
}

/// What opening a node of this kind and number gives; ENXIO if there is no such device.
pub(super) fn open_number(kind: FileType, number: u64, flags: u32) -> Result<Arc<dyn FileOperations>> {
    let found = match kind {
        FileType::CharDevice | FileType::BlockDevice => {
            DEVICES.lock().get(&(kind == FileType::BlockDevice, number)).cloned()
        }
        _ => None,
    };
    let device = found.ok_or(Errno::ENXIO)?;
    Ok(device.open(flags)?.unwrap_or(device))
}
