//! Where PCI functions and virtio devices are in the tree: from a subject to its function, to its name and to its path.

use super::{gone, part, subject};
use crate::device::pci_devices;
use crate::vfs::Result;
use crate::vfs::pseudo::{Subject, Text};
use drivers::PciDevice;
use drivers::pci::Address;
use drivers::virtio::transport::device_type;

/// [`Subject::member`] of what is about the virtio device, not about its function.
const INSIDE: u32 = 1;
/// The function that a file is about.
pub(super) fn function(subject: Subject) -> Result<&'static PciDevice> {
    gone(usize::try_from(subject.object).ok().and_then(|number| pci_devices().get(number.checked_sub(1)?)))
}

/// The first function from number `from` on that is wanted.
pub(super) fn next_function(from: u64, wanted: impl Fn(&PciDevice) -> bool) -> Option<(u64, Subject)> {
    let (number, _) = (1u64..).zip(pci_devices()).find(|(number, device)| *number >= from && wanted(device))?;
    Some((number, subject(part::FUNCTION, number)))
}

/// Whether a function is the first that has its driver, which `driver` tells.
pub(super) fn is_first_driven(device: &PciDevice, driver: fn(&PciDevice) -> Option<&'static str>) -> bool {
    let name = driver(device);
    let first = pci_devices().iter().find(|other| driver(other) == name);
    name.is_some() && first.is_some_and(|first| core::ptr::eq(first, device))
}

/// Whether a function is a virtio device.
pub(super) fn is_virtio(device: &PciDevice) -> bool {
    device_type(&device.function).is_some()
}

/// Whether a file is about the virtio device itself.
pub(super) fn is_inside(subject: Subject) -> bool {
    subject.member == INSIDE
}

/// What is about the virtio device in a function.
pub(super) fn inside(subject: Subject) -> Subject {
    Subject { member: INSIDE, ..subject }
}

/// The path of a function from /sys on.
pub(super) fn put_function_path(subject: Subject, text: &mut Text) -> Result<()> {
    text.put(b"devices/");
    put_bus(bus_number(&function(subject)?.function.address), text);
    text.put(b"/");
    put_function_name(subject, text)
}

/// The path of a virtio device from /sys on.
pub(super) fn put_virtio_path(subject: Subject, text: &mut Text) -> Result<()> {
    put_function_path(subject, text)?;
    text.put(b"/");
    put_virtio_name(subject, text)
}

/// A bus as a number, with its segment.
pub(super) fn bus_number(address: &Address) -> u64 {
    u64::from(address.segment) << 8 | u64::from(address.bus)
}

/// What a bus is called.
pub(super) fn put_bus(bus: u64, text: &mut Text) {
    write!(text, "pci{:04x}:{:02x}", bus >> 8, bus & 0xff);
}

/// What a function is called, always with its segment.
pub(super) fn put_function_name(subject: Subject, text: &mut Text) -> Result<()> {
    put_address(&function(subject)?.function.address, text);
    Ok(())
}

/// An address, always with its segment.
pub(super) fn put_address(address: &Address, text: &mut Text) {
    let Address { segment, bus, device, function } = address;
    write!(text, "{segment:04x}:{bus:02x}:{device:02x}.{function}");
}

/// What a virtio device is called: numbered in the order of their functions.
pub(super) fn put_virtio_name(subject: Subject, text: &mut Text) -> Result<()> {
    let this = function(subject)?;
    let before = pci_devices().iter().take_while(|device| !core::ptr::eq(*device, this));
    write!(text, "virtio{}", before.filter(|device| is_virtio(device)).count());
    Ok(())
}
