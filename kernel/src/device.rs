//! Devices: tries all drivers at boot and keeps what came of it.
//!
//! [`init`] is called once, in a task, after the scheduler runs; before that every list here is empty. Nothing is added
//! or taken away afterwards, so lookups take no lock.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use drivers::block::BlockDevice;
use drivers::console::VirtioConsole;
use drivers::display::virtio_gpu::VirtioGpu;
use drivers::driver::ProbeError;
use drivers::edu::Edu;
use drivers::input::InputDevice;
use drivers::rng::RandomSource;
use drivers::virtio::transport::device_type;
use drivers::{Bound, Device, PciDevice};
use machine::sync::Once;
use machine::time;
use macros::kernel_test;

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

/// The first device that is there to try interrupts with.
pub fn interrupter(by_pin: bool) -> Option<Result<Edu, ProbeError>> {
    let found = pci_devices().iter().find(|device| Edu::matches(&device.function));
    found.map(|device| Edu::open(&device.function, by_pin))
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

/// Each raised interrupt comes once, by MSI and by the pin; there another handler of the line is not served by any, of more than
/// are counted at once, and the line is not stuck for that. Without the device that raises them there is nothing to try.
#[kernel_test]
fn interrupts_come_by_message_and_by_pin() -> Result<(), ProbeError> {
    static CAME: AtomicU32 = AtomicU32::new(0);
    for (by_pin, count) in [(false, 100), (true, 100_100), (false, 100)] {
        let Some(edu) = interrupter(by_pin) else { return Ok(()) };
        let edu = edu?;
        assert_eq!(edu.uses_pin(), by_pin);
        let _other = if by_pin { Some(edu.connect(None)?) } else { None };
        let line = edu.connect(Some(|| _ = CAME.fetch_add(1, Ordering::Relaxed)))?;
        let before = CAME.load(Ordering::Relaxed);
        for raised in 1..=count {
            edu.raise();
            let deadline = time::now() + Duration::from_secs(10);
            while CAME.load(Ordering::Relaxed) - before < raised && time::now() < deadline {
                core::hint::spin_loop();
            }
            assert_eq!(CAME.load(Ordering::Relaxed) - before, raised);
        }
        assert!(!line.is_stuck());
        log::info!("edu: {count} interrupts, by its pin: {by_pin}");
    }
    Ok(())
}
