//! Virtio devices: below their PCI functions, and /sys/bus/virtio. Their subject is their function's, marked as inside.

use super::place::{function, inside, is_first_driven, is_virtio, next_function, put_virtio_name, put_virtio_path};
use super::{directory, disk, link, members, text};
use crate::vfs::Result;
use crate::vfs::pseudo::{Entry, Kind, Members, SOME, Subject, Text};
use drivers::PciDevice;
use drivers::virtio::transport::device_type;

/// The vendor id of PCI that virtio devices show as theirs.
const VENDOR: u16 = 0x1af4;
/// Status bits of a device that is driven: acknowledged, with driver, features agreed, running (virtio 1.2, 2.1).
const DRIVEN_STATUS: u8 = 0x0f;

/// The virtio device in a function, if it is one.
pub(super) static CHILD: Members = Members {
    next: |subject, from| {
        let there = from == 0 && is_virtio(function(subject)?);
        Ok(there.then_some((0, inside(subject))))
    },
    name: Some(put_virtio_name),
    entry: Entry { name: "", mode: 0o755, kind: Kind::Directory(DEVICE) },
};

/// All virtio devices, as links.
pub(super) static LINKS: Members = Members {
    next: |_, from| Ok(next_device(from, is_virtio)),
    name: Some(put_virtio_name),
    entry: link("", |subject, text| {
        text.put(b"../../../");
        put_virtio_path(subject, text)
    }),
};

/// Drivers that have a device.
pub(super) static DRIVERS: Members = Members {
    next: |_, from| Ok(next_device(from, |device| is_first_driven(device, driver))),
    name: Some(|subject, text| {
        text.put(driver(function(subject)?).unwrap_or("").as_bytes());
        Ok(())
    }),
    entry: members("", &DRIVEN),
};

/// The devices that have the same driver as the one that stands for it.
static DRIVEN: Members = Members {
    next: |first, from| {
        let name = driver(function(first)?);
        Ok(next_device(from, |device| driver(device) == name))
    },
    name: Some(put_virtio_name),
    entry: link("", |subject, text| {
        text.put(b"../../../../");
        put_virtio_path(subject, text)
    }),
};

const DEVICE: &[Entry] = &[
    Entry { mode: SOME | 0o755, ..members("block", &disk::OF_FUNCTION) },
    text("device", |subject, text| text.line(&format_args!("{:#06x}", kind(subject)?))),
    Entry {
        mode: SOME | 0o777,
        ..link("driver", |subject, text| {
            write!(text, "../../../../bus/virtio/drivers/{}", driver(function(subject)?).unwrap_or(""));
            Ok(())
        })
    },
    text("features", features),
    text("modalias", |subject, text| text.line(&format_args!("virtio:d{:08X}v{VENDOR:08X}", kind(subject)?))),
    text("status", |subject, text| {
        let status = if driver(function(subject)?).is_some() { DRIVEN_STATUS } else { 0 };
        text.line(&format_args!("{status:#010x}"))
    }),
    link("subsystem", |_, text| {
        text.put(b"../../../../bus/virtio");
        Ok(())
    }),
    text("uevent", |subject, text| {
        if let Some(driver) = driver(function(subject)?) {
            writeln!(text, "DRIVER={driver}");
        }
        text.line(&format_args!("MODALIAS=virtio:d{:08X}v{VENDOR:08X}", kind(subject)?))
    }),
    text("vendor", |_, text| text.line(&format_args!("{VENDOR:#06x}"))),
    directory("power", &[]),
];

fn next_device(from: u64, wanted: impl Fn(&PciDevice) -> bool) -> Option<(u64, Subject)> {
    next_function(from, wanted).map(|(number, subject)| (number, inside(subject)))
}

/// The driver that has a virtio device.
fn driver(device: &PciDevice) -> Option<&'static str> {
    device.bound.as_ref()?.as_ref().ok()?;
    device.driver.filter(|_| is_virtio(device))
}

fn kind(subject: Subject) -> Result<u16> {
    super::gone(device_type(&function(subject)?.function))
}

/// The agreed feature bits, the lowest first.
fn features(subject: Subject, text: &mut Text) -> Result<()> {
    let bound = function(subject)?.bound.as_ref().and_then(|bound| bound.as_ref().ok());
    let agreed = bound.and_then(|bound| bound.virtio).map_or(0, |agreed| agreed.negotiated);
    for bit in 0..u64::BITS {
        text.put(if agreed >> bit & 1 != 0 { b"1" } else { b"0" });
    }
    text.put(b"\n");
    Ok(())
}
