//! Commands about devices: what is on the buses, and raw access to disks and entropy sources.

use super::command::{Command, CommandError, CommandResult, number};
use super::output::{Align, Output, Table};
use super::{Shell, interrupt};
use crate::{device, random};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::block::{self, BlockDevice, Operation, SECTOR_LEN, Segment};
use drivers::{PciDevice, pci, virtio};
use machine::PAGE_SIZE;
use machine::mm::{Frame, FrameKind};
use machine::time;

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "list-pci",
        arguments: "",
        arity: (0, 0),
        help: "list the PCI functions",
        details: "Address, vendor and device id, class, and driver; below each its base address registers and, if the\n\
                  driver could not use it, why.\n\
                  Example: list-pci",
        run: list_pci,
    },
    Command {
        name: "list-virtio",
        arguments: "",
        arity: (0, 0),
        help: "list the virtio devices",
        details: "Address, type, driver, the feature bits offered and those in use, and interrupt vectors.\n\
                  Example: list-virtio",
        run: list_virtio,
    },
    Command {
        name: "block",
        arguments: "[device] [sector] [count]",
        arity: (0, 3),
        help: "list the block devices, or dump sectors of one",
        details: "With a device alone, its first sector of 512 bytes. Example: block 2 2 2",
        run: block,
    },
    Command {
        name: "rng",
        arguments: "[n] [reads]",
        arity: (0, 2),
        help: "print n random bytes, 16 if no n is given",
        details: "From the first entropy device; from the kernel's own generator if there is none. With a number of\n\
                  reads it reads as often, prints the last bytes and the time it took. Example: rng 32",
        run: rng,
    },
];

/// Most sectors dumped at once.
const MAX_SECTORS: u64 = 2048;
/// Most random bytes at once, and most reads.
const MAX_RANDOM: u64 = 4096;
const MAX_READS: u64 = 1_000_000;
/// Sectors in a frame.
const SECTORS_A_FRAME: u64 = (PAGE_SIZE / SECTOR_LEN) as u64;

fn list_pci(shell: &mut Shell, _: &[&str]) -> CommandResult {
    for PciDevice { function, driver, bound } in device::pci_devices() {
        let (vendor, id, name) = (function.vendor, function.device, pci::class_name(function.class));
        let driver = driver.map_or_else(String::new, |name| format!(", driver {name}"));
        writeln!(shell.out, "{} {vendor:04x}:{id:04x} {name}{driver}", function.address);
        for bar in &function.bars {
            writeln!(shell.out, "    {bar}");
        }
        if let Some(Err(why)) = bound {
            writeln!(shell.out, "    not used: {why}");
        }
    }
    Ok(())
}

fn list_virtio(shell: &mut Shell, _: &[&str]) -> CommandResult {
    let mut table = Table::new(&[
        ("address", Align::Left),
        ("type", Align::Left),
        ("driver", Align::Left),
        ("offered", Align::Right),
        ("in use", Align::Right),
        ("vectors", Align::Left),
    ]);
    for PciDevice { function, driver, bound } in device::pci_devices() {
        let Some(device_type) = virtio::transport::device_type(function) else { continue };
        let mut cells = alloc::vec![
            function.address.to_string(),
            virtio::type_name(device_type).to_string(),
            driver.unwrap_or("none").to_string(),
        ];
        match bound {
            Some(Ok(bound)) => {
                let features = |bits: Option<u64>| bits.map_or_else(String::new, |bits| format!("{bits:#x}"));
                cells.push(features(bound.virtio.map(|agreed| agreed.offered)));
                cells.push(features(bound.virtio.map(|agreed| agreed.negotiated)));
                cells.push(bound.vectors.iter().map(|vector| format!("{vector:#x}")).collect::<Vec<_>>().join(" "));
            }
            Some(Err(why)) => cells.extend([String::new(), String::new(), why.clone()]),
            None => {}
        }
        table.row_of(cells);
    }
    table.print(&mut shell.out);
    Ok(())
}

fn block(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let Some(&text) = arguments.first() else { return list_blocks(shell) };
    let devices = device::block_devices();
    let index = number(text, "device", u32::MAX.into())? as usize;
    let device = devices.get(index).ok_or_else(|| no_device(text, devices.len()))?;
    let sector = arguments.get(1).map_or(Ok(0), |text| number(text, "sector", u64::MAX))?;
    let count = arguments.get(2).map_or(Ok(1), |text| number(text, "count", MAX_SECTORS))?;
    let end = sector.checked_add(count).filter(|&end| end <= device.sectors()).ok_or_else(|| {
        let which = arguments.get(1).unwrap_or(&"0");
        CommandError::about(which, format_args!("device {index} has {} sectors", device.sectors()))
    })?;
    dump_sectors(&mut shell.out, device, sector, end)
}

/// There is no disk `text`, but `count` others.
pub(super) fn no_device(text: &str, count: usize) -> CommandError {
    match count.checked_sub(1) {
        None => CommandError::about(text, "there are no block devices"),
        Some(last) => CommandError::about(text, format_args!("no such block device; there are 0 to {last}")),
    }
}

fn list_blocks(shell: &mut Shell) -> CommandResult {
    let mut table = Table::new(&[
        ("device", Align::Right),
        ("name", Align::Left),
        ("sectors", Align::Right),
        ("KiB", Align::Right),
        ("access", Align::Left),
        ("identity", Align::Left),
    ]);
    for (index, device) in device::block_devices().iter().enumerate() {
        let access = if device.read_only() { "read-only" } else { "read-write" };
        table.row([
            index.to_string(),
            device.name().into(),
            device.sectors().to_string(),
            (device.sectors() / 2).to_string(),
            access.into(),
            device.identity(),
        ]);
    }
    table.print(&mut shell.out);
    Ok(())
}

/// Dumps the sectors from `sector` to `end`, a frame at a time.
fn dump_sectors(out: &mut Output, device: &Arc<dyn BlockDevice>, mut sector: u64, end: u64) -> CommandResult {
    let frame = Frame::zeroed(FrameKind::Dma).map_err(|_| CommandError::plain("out of memory"))?;
    let mut bytes = [0; SECTOR_LEN];
    while sector < end {
        interrupt::check()?;
        let count = (end - sector).min(SECTORS_A_FRAME);
        let segment = Segment { frame: frame.clone(), offset: 0, len: count as usize * SECTOR_LEN };
        block::transfer(&**device, Operation::Read, sector, alloc::vec![segment])
            .map_err(|error| CommandError::about(sector, error))?;
        for within in 0..count {
            frame.read(within as usize * SECTOR_LEN, &mut bytes);
            dump(out, (sector + within) * SECTOR_LEN as u64, &bytes);
        }
        sector += count;
    }
    Ok(())
}

/// Sixteen bytes a line: offset, hexadecimal, text. Lines like the one before are shown as one `*`.
fn dump(out: &mut Output, start: u64, bytes: &[u8]) {
    let mut before: Option<&[u8]> = None;
    let mut repeated = false;
    for (offset, line) in (start..).step_by(16).zip(bytes.chunks(16)) {
        if before == Some(line) {
            if !repeated {
                writeln!(out, "*");
            }
            repeated = true;
            continue;
        }
        (before, repeated) = (Some(line), false);
        let hex: String = line.iter().map(|byte| format!(" {byte:02x}")).collect();
        let text: String =
            line.iter().map(|&byte| if (b' '..0x7f).contains(&byte) { byte as char } else { '.' }).collect();
        writeln!(out, "{offset:08x} {hex:<48}  {text}");
    }
}

fn rng(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let count = arguments.first().map_or(Ok(16), |text| number(text, "n", MAX_RANDOM))?;
    let reads = arguments.get(1).map_or(Ok(1), |text| number(text, "reads", MAX_READS))?;
    let source = device::random();
    let name = match &source {
        Some(source) => source.name(),
        None => "the kernel's generator, since there is no entropy device",
    };
    let mut bytes = alloc::vec![0; count as usize];
    let start = time::now();
    for _ in 0..reads {
        interrupt::check()?;
        match &source {
            Some(source) => source.read(&mut bytes).map_err(|error| CommandError::about(name, error))?,
            None => random::fill(&mut bytes),
        }
    }
    if reads != 1 {
        writeln!(shell.out, "{reads} reads in {} ms; the last:", (time::now() - start).as_millis());
    }
    writeln!(shell.out, "{count} bytes from {name}:");
    for line in bytes.chunks(32) {
        writeln!(shell.out, "{}", line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    Ok(())
}
