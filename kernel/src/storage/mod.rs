//! Disks as device nodes: `/dev/vda`, its partitions, and what `ioctl(2)` does to them.
//!
//! [`init`] makes the nodes of all disks; [`rescan`] reads one disk's partition table again. The nodes' content, sharing
//! and claims are `vfs::BlockNode`'s.
//!
//! Lock: `SCANNING` (sleeping), so that a disk's partitions change by one scan at a time.

mod ioctl;

use crate::block::Disk;
use crate::device;
use crate::vfs::flags::{O_ACCMODE, O_EXCL, O_RDONLY};
use crate::vfs::{self, BlockNode, FileOperations, Inode, Opened, Result, device_number};
use abi::Errno;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use fs::{BlockStore, partition};
use machine::sync::Mutex;

/// Major numbers and what they are called (Linux's Documentation/admin-guide/devices.txt): ATA disks; virtio disks, which
/// get one of those without an owner; partitions that found no number behind their disk.
pub const MAJORS: &[(u32, &str)] = &[(SD_MAJOR, "sd"), (VIRTIO_MAJOR, "virtblk"), (EXTENDED_MAJOR, "blkext")];
const SD_MAJOR: u32 = 8;
const VIRTIO_MAJOR: u32 = 254;
const EXTENDED_MAJOR: u32 = 259;
/// Minor numbers of a disk: itself and its first partitions.
const MINORS: u32 = 16;

/// Kind and permission bits of a node, as devtmpfs of Linux makes it.
const MODE: u32 = 0o060600;

static SCANNING: Mutex<()> = Mutex::new("partition scan", ());

/// Makes the nodes of all disks and their partitions. A disk that fails is logged.
pub fn init() {
    let (mut ata, mut virtio) = (0, 0);
    for device in device::block_devices() {
        let (major, next) =
            if device.name().starts_with("sd") { (SD_MAJOR, &mut ata) } else { (VIRTIO_MAJOR, &mut virtio) };
        let number = (major, *next * MINORS);
        *next += 1;
        let made = add(Disk::whole(device, number)).and_then(|node| {
            let _held = SCANNING.lock();
            scan(&node)
        });
        if let Err(error) = made {
            log::warn!("disk {}:{}: {error}", number.0, number.1);
        }
    }
}

/// Reads the partition table of a whole disk again and makes its partitions anew. EBUSY if one is in use, EINVAL for a
/// partition.
pub fn rescan(whole: &Arc<BlockNode>) -> Result<()> {
    if whole.disk().partition() != 0 {
        return Err(Errno::EINVAL);
    }
    let _held = SCANNING.lock();
    for node in vfs::remove_partitions(whole)? {
        let (major, minor) = node.disk().number();
        vfs::remove_device(node.disk().name(), true, device_number(major, minor));
    }
    scan(whole)
}

/// Makes the partitions of a disk that has none yet.
fn scan(whole: &Arc<BlockNode>) -> Result<()> {
    let opened = whole.open(false)?;
    whole.refresh()?;
    let table = partition::read(&Store(opened))?;
    let disk = whole.disk();
    for problem in &table.problems {
        log::warn!("{}: {problem}", disk.name());
    }
    for part in &table.partitions {
        add(Disk::part(disk, part.number, part.start, part.sectors, part_number(disk, part.number)))?;
    }
    Ok(())
}

/// Major and minor number of a partition.
fn part_number(disk: &Disk, partition: u32) -> (u32, u32) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (major, minor) = disk.number();
    match partition < MINORS {
        true => (major, minor + partition),
        false => (EXTENDED_MAJOR, NEXT.fetch_add(1, Ordering::Relaxed)),
    }
}

fn add(disk: Arc<Disk>) -> Result<Arc<BlockNode>> {
    let node = vfs::add_block_node(disk)?;
    let (major, minor) = node.disk().number();
    let device = Arc::new(Device(node.clone()));
    vfs::register_device(node.disk().name(), MODE, device_number(major, minor), device);
    Ok(node)
}

/// A disk as the reader of partition tables sees it.
struct Store(Opened);

impl BlockStore for Store {
    type Error = Errno;

    fn len_bytes(&self) -> u64 {
        self.0.node().len_bytes()
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<()> {
        self.0.node().read_bytes(offset_bytes, out)
    }
}

/// What a device number stands for.
struct Device(Arc<BlockNode>);

impl FileOperations for Device {
    /// `O_EXCL` claims the disk: EBUSY if it is mounted or claimed. A disk that cannot be written can be opened for writing
    /// all the same, as on Linux: the write fails.
    fn open(&self, flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let opened = self.0.open(flags & O_EXCL != 0)?;
        Ok(Some(Arc::new(DiskFile { opened, writes: flags & O_ACCMODE != O_RDONLY })))
    }
}

/// An opened node.
struct DiskFile {
    opened: Opened,
    /// Opened for writing.
    writes: bool,
}

impl FileOperations for DiskFile {
    fn content(&self) -> Option<Arc<dyn Inode>> {
        Some(self.opened.node().clone())
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        ioctl::ioctl(self.opened.node(), self.writes, command, argument)
    }
}
