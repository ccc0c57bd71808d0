//! Devices: tries all drivers at boot and keeps what came of it.
//!
//! [`init`] is called once, in a task, after the scheduler runs; before that every list here is empty. Nothing is added
//! or taken away afterwards, so lookups take no lock.

use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::block::BlockDevice;
use drivers::console::VirtioConsole;
use drivers::display::virtio_gpu::VirtioGpu;
use drivers::input::InputDevice;
use drivers::rng::RandomSource;
use drivers::virtio::transport::device_type;
use drivers::{Bound, Device, PciDevice};
use machine::sync::Once;

static PCI_DEVICES: Once<Vec<PciDevice>> = Once::new();

/// Finds and starts all devices. A device that fails is logged and left alone.
pub fn init() {
    PCI_DEVICES.call_once(drivers::probe_pci);
}

/// All PCI functions by address, with drivers and devices: for `list-pci` and `list-virtio`.
pub fn pci_devices() -> &'static [PciDevice] {
    PCI_DEVICES.get().map_or(&[], Vec::as_slice)
}

/// The block devices in PCI order: the shell's device numbers.
pub fn block_devices() -> Vec<Arc<dyn BlockDevice>> {
    pci_devices().iter().flat_map(disks).cloned().collect()
}

/// The block devices that a function is or has.
pub fn disks(device: &PciDevice) -> &[Arc<dyn BlockDevice>] {
    match device.bound.as_ref().and_then(|bound| bound.as_ref().ok()).map(|bound| &bound.device) {
        Some(Device::Block(disk)) => core::slice::from_ref(disk),
        Some(Device::Disks(disks)) => disks,
        Some(_) | None => &[],
    }
}

/// The first entropy source.
pub fn random() -> Option<Arc<dyn RandomSource>> {
    bound().find_map(|bound| match &bound.device {
        Device::Random(source) => Some(source.clone()),
        _ => None,
    })
}

/// Interrupt vectors of the first entropy source.
pub fn vectors_of_random() -> &'static [u8] {
    bound().find(|bound| matches!(bound.device, Device::Random(_))).map_or(&[], |bound| &bound.vectors)
}

/// Interrupt vectors of the function that a block device is or belongs to.
pub fn vectors_of_disk(disk: &Arc<dyn BlockDevice>) -> &'static [u8] {
    let owner = pci_devices().iter().find(|device| disks(device).iter().any(|one| Arc::ptr_eq(one, disk)));
    owner.and_then(|device| device.bound.as_ref()?.as_ref().ok()).map_or(&[], |bound| &bound.vectors)
}

/// The input devices in PCI order.
pub fn inputs() -> impl Iterator<Item = Arc<dyn InputDevice>> {
    bound().filter_map(|bound| match &bound.device {
        Device::Input(device) => Some(device.clone()),
        _ => None,
    })
}

/// The graphics devices in PCI order.
pub fn graphics() -> impl Iterator<Item = Arc<VirtioGpu>> {
    bound().filter_map(|bound| match &bound.device {
        Device::Graphics(device) => Some(device.clone()),
        _ => None,
    })
}

/// The consoles in PCI order, each with its number among the virtio devices.
pub fn consoles() -> impl Iterator<Item = (usize, &'static VirtioConsole)> {
    let virtio = pci_devices().iter().filter(|device| device_type(&device.function).is_some());
    virtio.enumerate().filter_map(|(index, device)| match &device.bound.as_ref()?.as_ref().ok()?.device {
        Device::Console(device) => Some((index, &**device)),
        _ => None,
    })
}

fn bound() -> impl Iterator<Item = &'static Bound<Device>> {
    pci_devices().iter().filter_map(|device| device.bound.as_ref()?.as_ref().ok())
}
