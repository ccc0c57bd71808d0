//! Disks and partitions: below the devices that they are on, /sys/block, /sys/class/block, /sys/dev/block.

use super::place::{function, is_virtio, next_function, put_function_path, put_virtio_path};
use super::{directory, gone, link, part, text, value};
use crate::block::Disk;
use crate::device;
use crate::procfs;
use crate::vfs::pseudo::{Entry, Kind, Members, Subject, Text};
use crate::vfs::{self, BlockNode, Result, device_number};
use abi::fs::split_dev;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use drivers::block::SECTOR_LEN;
use machine::PAGE_SIZE;

/// Read-ahead begins with less and grows to this.
const READ_AHEAD_KIB: u32 = 128;

/// Whole disks, as links in /sys/block.
pub(super) static LINKS_FROM_BLOCK: Members = Members {
    next: |_, from| Ok(next_disk(from, |disk| disk.partition() == 0)),
    name: Some(put_name),
    entry: link("", |subject, text| {
        text.put(b"../");
        put_path(node(subject)?.disk(), text)
    }),
};

/// Disks and partitions, as links in /sys/class/block.
pub(super) static LINKS: Members = Members {
    next: |_, from| Ok(next_disk(from, |_| true)),
    name: Some(put_name),
    entry: link("", |subject, text| {
        text.put(b"../../");
        put_path(node(subject)?.disk(), text)
    }),
};

/// The same by their numbers.
pub(super) static NUMBERS: Members = Members {
    next: |_, from| Ok(next_disk(from, |_| true)),
    name: Some(|subject, text| {
        put_number(subject, text);
        Ok(())
    }),
    entry: link("", |subject, text| {
        text.put(b"../../");
        put_path(node(subject)?.disk(), text)
    }),
};

/// The disks of a PCI function or virtio device.
pub(super) static OF_FUNCTION: Members = Members {
    next: |subject, from| {
        let device = function(subject)?;
        let is_one = |disk: &Disk| device::disks(device).iter().any(|other| Arc::ptr_eq(other, disk.device()));
        Ok(next_disk(from, |disk| disk.partition() == 0 && is_one(disk)))
    },
    name: Some(put_name),
    entry: Entry { name: "", mode: 0o755, kind: Kind::Members(DISK, &PARTITIONS) },
};

/// The partitions of a disk.
static PARTITIONS: Members = Members {
    next: |subject, from| {
        let whole = node(subject)?;
        Ok(next_disk(from, |disk| disk.parent().is_some_and(|parent| Arc::ptr_eq(parent, whole.disk()))))
    },
    name: Some(put_name),
    entry: directory("", PARTITION),
};

const DISK: &[Entry] = &[
    value("alignment_offset", &0),
    value("capability", &0),
    text("dev", number),
    link("device", |_, text| {
        text.put(b"../..");
        Ok(())
    }),
    value("discard_alignment", &0),
    value("ext_range", &256),
    value("hidden", &0),
    directory("holders", &[]),
    text("inflight", under_way),
    directory("queue", QUEUE),
    value("range", &16),
    value("removable", &0),
    text("ro", read_only),
    text("size", size),
    directory("slaves", &[]),
    text("stat", statistics),
    subsystem(),
    text("uevent", uevent),
    directory("power", &[]),
];

const PARTITION: &[Entry] = &[
    value("alignment_offset", &0),
    text("dev", number),
    value("discard_alignment", &0),
    directory("holders", &[]),
    text("inflight", under_way),
    text("partition", |subject, text| text.line(&node(subject)?.disk().partition())),
    text("ro", read_only),
    text("size", size),
    text("start", |subject, text| text.line(&node(subject)?.disk().start())),
    text("stat", statistics),
    subsystem(),
    text("uevent", uevent),
    directory("power", &[]),
];

/// What the queue of a disk takes (Documentation/ABI/stable/sysfs-block).
const QUEUE: &[Entry] = &[
    value("discard_granularity", &0),
    value("discard_max_bytes", &0),
    value("hw_sector_size", &SECTOR_LEN),
    value("logical_block_size", &SECTOR_LEN),
    text("max_hw_sectors_kb", most_kib),
    text("max_sectors_kb", most_kib),
    text("max_segments", |subject, text| text.line(&node(subject)?.disk().device().max_segments())),
    value("max_segment_size", &PAGE_SIZE),
    value("minimum_io_size", &SECTOR_LEN),
    value("nomerges", &2),
    value("optimal_io_size", &0),
    value("physical_block_size", &SECTOR_LEN),
    value("read_ahead_kb", &READ_AHEAD_KIB),
    value("rotational", &0),
    value("scheduler", &"[none]"),
    text("write_cache", |subject, text| {
        let cached = node(subject)?.disk().device().has_write_cache();
        text.line(&if cached { "write back" } else { "write through" })
    }),
    value("zoned", &"none"),
];

/// The link to the class, whose length depends on where the disk is.
const fn subsystem() -> Entry {
    link("subsystem", |subject, text| {
        let mut path = Text::default();
        put_path(node(subject)?.disk(), &mut path)?;
        for _ in path.bytes().iter().filter(|&&byte| byte == b'/') {
            text.put(b"../");
        }
        text.put(b"../class/block");
        Ok(())
    })
}

/// The disk or partition that a file is about.
pub(super) fn node(subject: Subject) -> Result<Arc<BlockNode>> {
    vfs::block_node(split_dev(subject.object)).ok_or(abi::Errno::ENOENT)
}

/// The first disk or partition from number `from` on that is wanted. Names of what may go are not remembered.
fn next_disk(from: u64, wanted: impl Fn(&Disk) -> bool) -> Option<(u64, Subject)> {
    let nodes = vfs::block_nodes();
    let numbers = nodes.iter().filter(|node| wanted(node.disk())).map(|node| {
        let (major, minor) = node.disk().number();
        device_number(major, minor)
    });
    let number = numbers.filter(|&number| number >= from).min()?;
    Some((number, Subject { object: number, stamp: 1, part: part::DISK, member: 0 }))
}

/// The path of a disk or partition from /sys on.
fn put_path(disk: &Disk, text: &mut Text) -> Result<()> {
    let has_it = |device: &drivers::PciDevice| device::disks(device).iter().any(|one| Arc::ptr_eq(one, disk.device()));
    let (_, on) = gone(next_function(0, has_it))?;
    match is_virtio(function(on)?) {
        true => put_virtio_path(on, text)?,
        false => put_function_path(on, text)?,
    }
    text.put(b"/block/");
    if let Some(whole) = disk.parent() {
        write!(text, "{}/", whole.name());
    }
    text.put(disk.name().as_bytes());
    Ok(())
}

fn put_name(subject: Subject, text: &mut Text) -> Result<()> {
    text.put(node(subject)?.disk().name().as_bytes());
    Ok(())
}

fn put_number(subject: Subject, text: &mut Text) {
    let (major, minor) = split_dev(subject.object);
    write!(text, "{major}:{minor}");
}

fn number(subject: Subject, text: &mut Text) -> Result<()> {
    put_number(subject, text);
    text.put(b"\n");
    Ok(())
}

fn size(subject: Subject, text: &mut Text) -> Result<()> {
    text.line(&node(subject)?.disk().sectors())
}

fn read_only(subject: Subject, text: &mut Text) -> Result<()> {
    text.line(&u8::from(node(subject)?.disk().read_only()))
}

fn statistics(subject: Subject, text: &mut Text) -> Result<()> {
    procfs::disk_counts(node(subject)?.disk(), text);
    Ok(())
}

/// Requests under way; which of them write is not counted.
fn under_way(subject: Subject, text: &mut Text) -> Result<()> {
    let count = node(subject)?.disk().statistics().under_way.load(Ordering::Relaxed);
    text.line(&format_args!("{count:>8} {:>8}", 0))
}

fn most_kib(subject: Subject, text: &mut Text) -> Result<()> {
    let segments = node(subject)?.disk().device().max_segments();
    text.line(&segments.saturating_mul(PAGE_SIZE / 1024))
}

fn uevent(subject: Subject, text: &mut Text) -> Result<()> {
    let node = node(subject)?;
    let (disk, (major, minor)) = (node.disk(), split_dev(subject.object));
    let kind = if disk.partition() == 0 { "disk" } else { "partition" };
    writeln!(text, "MAJOR={major}\nMINOR={minor}\nDEVNAME={}\nDEVTYPE={kind}", disk.name());
    if disk.partition() != 0 {
        writeln!(text, "PARTN={}", disk.partition());
    }
    Ok(())
}
