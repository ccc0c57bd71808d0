//! sysfs(5): what devices there are, how they hang together, and what the kernel says of itself, as files.
//!
//! The tables are in the files of their groups; `vfs::pseudo` makes a file system of them, laid out as Linux lays it out:
//! each device has a directory below /sys/devices, named after what it hangs on; the rest is links to those. A file's
//! subject is a device: which kind is its [`Subject::part`], which one its object. Nothing is locked here.

mod character;
mod disk;
mod pci;
mod place;
mod system;
mod virtio;

use crate::vfs::pseudo::{self, Entry, Kind, Members, PseudoFs, Subject, Text};
use crate::vfs::{self, FileType, Metadata, MountError, MountSource, Result};
use abi::Errno;
use alloc::string::String;
use machine::PAGE_SIZE;

/// `SYSFS_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0x6265_6572;

static FILE_SYSTEM: PseudoFs =
    PseudoFs { type_name: "sysfs", magic: MAGIC, root: directory("", ROOT), check, has, describe };

const ROOT: &[Entry] = &[
    members("block", &disk::LINKS_FROM_BLOCK),
    directory("bus", BUSES),
    directory("class", CLASSES),
    directory("dev", NUMBERS),
    Entry { name: "devices", mode: 0o755, kind: Kind::Members(DEVICES, &pci::BUSES) },
    directory("firmware", FIRMWARE),
    directory("fs", &[]),
    directory("kernel", system::KERNEL),
    directory("module", &[]),
];
const BUSES: &[Entry] = &[directory("pci", PCI), directory("virtio", VIRTIO)];
const PCI: &[Entry] = &[members("devices", &pci::LINKS), members("drivers", &pci::DRIVERS)];
const VIRTIO: &[Entry] = &[members("devices", &virtio::LINKS), members("drivers", &virtio::DRIVERS)];
const CLASSES: &[Entry] = &[
    members("block", &disk::LINKS),
    members("input", &character::INPUT_LINKS),
    members("mem", &character::MEMORY_LINKS),
    members("misc", &character::OTHER_LINKS),
    members("tty", &character::TERMINAL_LINKS),
    members("virtio-ports", &character::PORT_LINKS),
];
const NUMBERS: &[Entry] = &[members("block", &disk::NUMBERS), members("char", &character::NUMBERS)];
const FIRMWARE: &[Entry] = &[members("memmap", &system::MEMORY_MAP)];
const DEVICES: &[Entry] = &[directory("system", SYSTEM), directory("virtual", VIRTUAL)];
const SYSTEM: &[Entry] = &[Entry { name: "cpu", mode: 0o755, kind: Kind::Members(system::CPU, &system::CPUS) }];
const VIRTUAL: &[Entry] = &[
    members("input", &character::INPUTS),
    members("mem", &character::MEMORY),
    members("misc", &character::OTHERS),
    members("tty", &character::TERMINALS),
    members("virtio-ports", &character::PORTS),
];

/// Kinds of subjects.
mod part {
    /// A PCI function, and the virtio device in it: its place in the list and 1.
    pub const FUNCTION: u32 = 1;
    /// A disk or partition: its number, as `st_rdev`.
    pub const DISK: u32 = 2;
    /// A character device: its number.
    pub const CHARACTER: u32 = 3;
    /// Something with a number of its own.
    pub const NUMBER: u32 = 4;
}

/// A subject that lasts.
const fn subject(part: u32, object: u64) -> Subject {
    Subject { object, stamp: 0, part, member: 0 }
}

const fn directory(name: &'static str, rows: &'static [Entry]) -> Entry {
    Entry { name, mode: 0o755, kind: Kind::Directory(rows) }
}

const fn members(name: &'static str, members: &'static Members) -> Entry {
    Entry { name, mode: 0o755, kind: Kind::Members(&[], members) }
}

/// A file that shows a text.
const fn text(name: &'static str, make: pseudo::Make) -> Entry {
    Entry { name, mode: 0o444, kind: Kind::Text(make) }
}

/// A link.
const fn link(name: &'static str, make: pseudo::Make) -> Entry {
    Entry { name, mode: 0o777, kind: Kind::Link(make) }
}

/// A file that shows a constant.
const fn value(name: &'static str, value: &'static (dyn core::fmt::Display + Sync)) -> Entry {
    Entry { name, mode: 0o444, kind: Kind::Value(value) }
}

/// What to mount as a sysfs.
pub fn source() -> MountSource {
    MountSource::Other("sysfs", pseudo::mountable(&FILE_SYSTEM))
}

/// Mounts it on /sys, which the root file system has or gets.
pub fn init() -> core::result::Result<(), MountError> {
    vfs::mount(source(), &vfs::root_context(), b"/sys", vfs::MountOptions::default())
}

/// Partitions and their files go.
fn check(subject: Subject, _: bool) -> Result<()> {
    match subject.part {
        part::DISK => disk::node(subject).map(|_| ()),
        part::CHARACTER => character::name(subject).map(|_| ()),
        _ => Ok(()),
    }
}

/// Rows that only some devices have.
fn has(subject: Subject, row: &Entry) -> bool {
    match subject.part {
        part::FUNCTION => pci::has(subject, row.name),
        _ => true,
    }
}

/// As on Linux a text counts as a page, whatever is in it.
fn describe(_: Subject, _: &Entry, metadata: &mut Metadata) {
    if FileType::from_mode(metadata.mode as u16) == Some(FileType::Regular) {
        metadata.size = PAGE_SIZE as u64;
    }
}

/// A name as it stands in a directory: devices in directories of /dev have a slash in theirs.
fn put_name(name: &str, text: &mut Text) {
    let name: String = name.chars().map(|c| if c == '/' { '!' } else { c }).collect();
    text.put(name.as_bytes());
}

/// ENODEV: the device has gone.
fn gone<T>(found: Option<T>) -> Result<T> {
    found.ok_or(Errno::ENODEV)
}
