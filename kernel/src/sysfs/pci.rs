//! PCI functions: /sys/devices/pci0000:00, /sys/bus/pci.

use super::place::{
    bus_number, function, is_first_driven, is_inside, is_virtio, next_function, put_address, put_bus,
    put_function_name, put_function_path,
};
use super::{directory, disk, link, members, part, subject, text, virtio};
use crate::device::{self, pci_devices};
use crate::process::current_thread;
use crate::vfs::Result;
use crate::vfs::pseudo::{Entry, Kind, Members, SOME, Subject, Text};
use abi::capability::CAP_SYS_ADMIN;
use drivers::PciDevice;
use drivers::pci::{BarKind, Function};

/// Bytes of configuration space that are shown, and how many to whom is not root.
const CONFIG_LEN: usize = 256;
const CONFIG_OPEN_LEN: usize = 64;
/// Base address registers and the one for the ROM, as `resource` counts them.
const RESOURCES: u8 = 7;
/// Interrupt line register.
const INTERRUPT_LINE: u16 = 0x3c;

/// The buses, by segment and bus number.
pub(super) static BUSES: Members = Members {
    next: |_, from| {
        let buses = pci_devices().iter().map(|device| bus_number(&device.function.address));
        Ok(buses.filter(|&bus| bus >= from).min().map(|bus| (bus, subject(part::NUMBER, bus))))
    },
    name: Some(|subject, text| {
        put_bus(subject.object, text);
        Ok(())
    }),
    entry: members("", &FUNCTIONS),
};

/// The functions of a bus.
static FUNCTIONS: Members = Members {
    next: |bus, from| Ok(next_function(from, |device| bus_number(&device.function.address) == bus.object)),
    name: Some(put_function_name),
    entry: Entry { name: "", mode: 0o755, kind: Kind::Members(FUNCTION, &virtio::CHILD) },
};

/// All functions, as links.
pub(super) static LINKS: Members = Members {
    next: |_, from| Ok(next_function(from, |_| true)),
    name: Some(put_function_name),
    entry: link("", |subject, text| {
        text.put(b"../../../");
        put_function_path(subject, text)
    }),
};

/// Drivers that have a function. That of virtio devices is the transport's.
pub(super) static DRIVERS: Members = Members {
    next: |_, from| Ok(next_function(from, |device| is_first_driven(device, driver))),
    name: Some(|subject, text| {
        text.put(driver(function(subject)?).unwrap_or("").as_bytes());
        Ok(())
    }),
    entry: members("", &DRIVEN),
};

/// The functions that have the same driver as the one that stands for it.
static DRIVEN: Members = Members {
    next: |first, from| {
        let name = driver(function(first)?);
        Ok(next_function(from, |device| driver(device) == name))
    },
    name: Some(put_function_name),
    entry: link("", |subject, text| {
        text.put(b"../../../../");
        put_function_path(subject, text)
    }),
};

const FUNCTION: &[Entry] = &[
    Entry { mode: SOME | 0o755, ..members("block", &disk::OF_FUNCTION) },
    text("class", |subject, text| {
        let [class, subclass, interface] = function(subject)?.function.class;
        text.line(&format_args!("{class:#04x}{subclass:02x}{interface:02x}"))
    }),
    Entry { mode: 0o644, ..text("config", config) },
    text("device", |subject, text| number(text, function(subject)?.function.device)),
    Entry {
        mode: SOME | 0o777,
        ..link("driver", |subject, text| {
            write!(text, "../../../bus/pci/drivers/{}", driver(function(subject)?).unwrap_or(""));
            Ok(())
        })
    },
    text("enable", |subject, text| text.line(&u8::from(function(subject)?.function.is_claimed()))),
    text("irq", |subject, text| text.line(&function(subject)?.function.config().read_u8(INTERRUPT_LINE))),
    text("modalias", |subject, text| {
        put_alias(&function(subject)?.function, text);
        text.put(b"\n");
        Ok(())
    }),
    text("resource", resources),
    text("revision", |subject, text| text.line(&format_args!("{:#04x}", function(subject)?.function.revision))),
    link("subsystem", |_, text| {
        text.put(b"../../../bus/pci");
        Ok(())
    }),
    text("subsystem_device", |subject, text| number(text, function(subject)?.function.subsystem.1)),
    text("subsystem_vendor", |subject, text| number(text, function(subject)?.function.subsystem.0)),
    text("uevent", uevent),
    text("vendor", |subject, text| number(text, function(subject)?.function.vendor)),
    directory("power", &[]),
];

/// Whether a function has this row.
pub(super) fn has(subject: Subject, row: &str) -> bool {
    let Ok(device) = function(subject) else { return false };
    match row {
        // Disks of virtio hang on the virtio device.
        "block" => is_virtio(device) == is_inside(subject) && !device::disks(device).is_empty(),
        _ => driver(device).is_some(),
    }
}

/// The driver that has a function.
fn driver(device: &PciDevice) -> Option<&'static str> {
    device.bound.as_ref()?.as_ref().ok()?;
    if is_virtio(device) { Some("virtio-pci") } else { device.driver }
}

fn number(text: &mut Text, number: u16) -> Result<()> {
    text.line(&format_args!("{number:#06x}"))
}

fn put_alias(function: &Function, text: &mut Text) {
    let ((sub_vendor, sub_device), [class, subclass, interface]) = (function.subsystem, function.class);
    write!(text, "pci:v{:08X}d{:08X}", function.vendor, function.device);
    write!(text, "sv{sub_vendor:08X}sd{sub_device:08X}bc{class:02X}sc{subclass:02X}i{interface:02X}");
}

fn uevent(subject: Subject, text: &mut Text) -> Result<()> {
    let device = function(subject)?;
    let (function, [class, subclass, interface]) = (&device.function, device.function.class);
    if let Some(driver) = driver(device) {
        writeln!(text, "DRIVER={driver}");
    }
    writeln!(text, "PCI_CLASS={class:X}{subclass:02X}{interface:02X}");
    writeln!(text, "PCI_ID={:04X}:{:04X}", function.vendor, function.device);
    writeln!(text, "PCI_SUBSYS_ID={:04X}:{:04X}", function.subsystem.0, function.subsystem.1);
    text.put(b"PCI_SLOT_NAME=");
    put_address(&function.address, text);
    text.put(b"\nMODALIAS=");
    put_alias(function, text);
    text.put(b"\n");
    Ok(())
}

/// Start, end and flags (Linux's `include/linux/ioport.h`) of each base address register and of the ROM, which is left
/// alone. Where a size was not measured the end is the last address that it could be.
fn resources(subject: Subject, text: &mut Text) -> Result<()> {
    const PORTS: u64 = 0x4_0101;
    const MEMORY: u64 = 0x4_0200;
    const PREFETCHABLE: u64 = 0x2008;
    const WIDE: u64 = 0x10_0004;
    let device = function(subject)?;
    for index in 0..RESOURCES {
        let bar = device.function.bars.iter().find(|bar| bar.index == index && bar.address != 0);
        let (start, end, flags) = bar.map_or((0, 0, 0), |bar| {
            let flags = match bar.kind {
                BarKind::Io => PORTS,
                BarKind::Memory32 { prefetchable } => MEMORY | if prefetchable { PREFETCHABLE } else { 0 },
                BarKind::Memory64 { prefetchable } => MEMORY | WIDE | if prefetchable { PREFETCHABLE } else { 0 },
            };
            (bar.address, bar.address.saturating_add(bar.limit().max(1) - 1), flags)
        });
        writeln!(text, "{start:#018x} {end:#018x} {flags:#018x}");
    }
    Ok(())
}

/// The configuration space, for lspci.
fn config(subject: Subject, text: &mut Text) -> Result<()> {
    let device = function(subject)?;
    let privileged = current_thread().is_none_or(|thread| thread.process().credentials().has(CAP_SYS_ADMIN));
    let len = if privileged { CONFIG_LEN } else { CONFIG_OPEN_LEN };
    for offset in (0..len as u16).step_by(4) {
        text.put(&device.function.config().read_u32(offset).to_le_bytes());
    }
    Ok(())
}
