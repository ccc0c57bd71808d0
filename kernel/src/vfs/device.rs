//! Which device a number names, and what opens FIFOs.
//!
//! Lock: `DEVICES` (rank Table), never held while a device is called.

use super::Result;
use abi::Errno;
use alloc::string::String;
use alloc::sync::Arc;
use fs::FileType;
use klib::small_map::SmallMap;
use machine::sync::{Once, Rank, SpinLock};

pub use super::inode::FileOperations;

/// `st_rdev` of device `major`:`minor`, as Linux's `makedev(3)`.
pub const fn device_number(major: u32, minor: u32) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

/// A device and its name on /dev.
type Named = (String, Arc<dyn FileOperations>);

/// Devices by kind (block or not) and number.
static DEVICES: SpinLock<SmallMap<(bool, u64), Named>> = SpinLock::new("devices", Rank::Table, SmallMap::new());

/// Makes `operations` the device `number`, in place of what was it before.
pub(super) fn register_number(block: bool, number: u64, name: &str, operations: Arc<dyn FileOperations>) {
    let device = (String::from(name), operations);
    let old = DEVICES.lock().insert((block, number), device);
    drop(old);
}

/// The first character device from `number` on: its number and its name.
pub fn next_character_device(number: u64) -> Option<(u64, String)> {
    let devices = DEVICES.lock();
    match devices.from(&(false, number)) {
        [((false, found), (name, _)), ..] => Some((*found, name.clone())),
        _ => None,
    }
}

/// The device `number` is not there any more.
pub(super) fn forget_number(block: bool, number: u64) {
    let old = DEVICES.lock().remove(&(block, number));
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
    DEVICES.lock().entries().iter().for_each(|&((block, number), _)| f(block, number));
}

/// What opening a node of this kind and number gives; ENXIO if there is no such device.
pub(super) fn open_number(kind: FileType, number: u64, flags: u32) -> Result<Arc<dyn FileOperations>> {
    let found = match kind {
        FileType::CharDevice | FileType::BlockDevice => {
            DEVICES.lock().get(&(kind == FileType::BlockDevice, number)).map(|(_, device)| device.clone())
        }
        _ => None,
    };
    let device = found.ok_or(Errno::ENXIO)?;
    Ok(device.open(flags)?.unwrap_or(device))
}
