//! `ioctl(2)` of disks: what `blockdev` and `fdisk` ask for. Errors are Linux's (`block/ioctl.c` tells their order by what
//! it answers): who may not is told before a bad address.

use super::rescan;
use crate::process;
use crate::vfs::{self, BlockNode, Result};
use abi::Errno;
use abi::block::{self, HdGeometry};
use abi::capability::CAP_SYS_ADMIN;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use drivers::block::SECTOR_LEN;
use machine::PAGE_SIZE;
use machine::user::value::{get, put};

/// Read-ahead in sectors, of which there is one for all files.
const READ_AHEAD: u64 = 256;
/// Heads and sectors on a track that Linux makes up for virtio disks.
const GEOMETRY: (u8, u8) = (64, 32);

/// Does `command`; `writes`: the file is open for writing.
pub(super) fn ioctl(node: &Arc<BlockNode>, writes: bool, command: u32, argument: u64) -> Result<u64> {
    let disk = node.disk();
    match command {
        block::BLKGETSIZE => put(argument, &disk.sectors()),
        block::BLKGETSIZE64 => put(argument, &node.len_bytes()),
        block::BLKSSZGET | block::BLKPBSZGET | block::BLKIOMIN => put(argument, &(SECTOR_LEN as u32)),
        block::BLKIOOPT | block::BLKALIGNOFF | block::BLKDISCARDZEROES => put(argument, &0u32),
        block::BLKBSZGET => put(argument, &(node.block_size.load(Ordering::Relaxed) as u32)),
        block::BLKBSZSET => set_block_size(node, argument),
        block::BLKROGET => put(argument, &u32::from(disk.read_only())),
        block::BLKROSET => {
            check_privileged()?;
            get::<i32>(argument).map(|protected| disk.protect(protected != 0))
        }
        block::BLKRAGET => put(argument, &READ_AHEAD),
        block::BLKRASET => check_privileged(),
        block::BLKSECTGET => {
            let sectors = disk.device().max_segments().saturating_mul(PAGE_SIZE / SECTOR_LEN);
            put(argument, &u16::try_from(sectors).unwrap_or(u16::MAX))
        }
        block::BLKROTATIONAL => put(argument, &0u16),
        block::BLKFLSBUF => {
            check_privileged()?;
            // A mounted file system's changes first.
            vfs::sync_all()?;
            node.refresh()
        }
        block::BLKRRPART => {
            check_privileged()?;
            rescan(node)
        }
        block::BLKDISCARD | block::BLKSECDISCARD | block::BLKZEROOUT if !writes => Err(Errno::EBADF),
        block::BLKDISCARD | block::BLKSECDISCARD | block::BLKZEROOUT => Err(Errno::EOPNOTSUPP),
        block::HDIO_GETGEO if argument == 0 => Err(Errno::EINVAL),
        block::HDIO_GETGEO => {
            let (heads, sectors) = GEOMETRY;
            let whole = disk.parent().unwrap_or(disk).sectors();
            // As many bits as there are: programs know that large disks overflow them.
            let cylinders = (whole / (u64::from(heads) * u64::from(sectors))) as u16;
            put(argument, &HdGeometry { heads, sectors, cylinders, start: disk.start(), ..HdGeometry::ZERO })
        }
        _ => Err(Errno::ENOTTY),
    }
    .map(|()| 0)
}

fn set_block_size(node: &BlockNode, argument: u64) -> Result<()> {
    check_privileged()?;
    if argument == 0 {
        return Err(Errno::EINVAL);
    }
    let size = get::<i32>(argument)? as usize;
    if !size.is_power_of_two() || !(SECTOR_LEN..=PAGE_SIZE).contains(&size) {
        return Err(Errno::EINVAL);
    }
    node.block_size.store(size, Ordering::Relaxed);
    Ok(())
}

/// EACCES for a program that is not root's.
fn check_privileged() -> Result<()> {
    match process::current_thread() {
        Some(thread) if !thread.process().credentials().has(CAP_SYS_ADMIN) => Err(Errno::EACCES),
        _ => Ok(()),
    }
}
