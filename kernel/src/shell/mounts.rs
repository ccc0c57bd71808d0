//! Commands about mounts and what is mounted: `mount`, `umount`, `fat`.

use super::Shell;
use super::command::{Command, CommandError, CommandResult, number};
use super::output::{Align, Table};
use crate::vfs::{self, BlockNode, DiskFormat, MountError, MountSource};
use alloc::sync::Arc;
use fs::fat::{self, ParameterBlock};

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "mount",
        arguments: "[source] [path]",
        arity: (0, 2),
        help: "mount a file system, or list the mounts",
        details: "The source is a block device with an ext2 or FAT file system, by number (see `block`) or as\n\
                  /dev/vda1, tmpfs, devfs, proc or sysfs; the path is / if none is given: what is mounted there covers the root, and\n\
                  /dev, /proc and /sys stay visible. A last name of the path that does not exist is made.\n\
                  Example: mount 2; mount /dev/vdd1 /mnt; mount tmpfs /tmp",
        run: mount,
    },
    Command {
        name: "umount",
        arguments: "path",
        arity: (1, 1),
        help: "unmount what was mounted last at a path",
        details: "Fails while something in it is in use. Example: umount /tmp",
        run: umount,
    },
    Command {
        name: "fat",
        arguments: "bios device",
        arity: (2, 2),
        help: "print the BIOS parameter block of a FAT file system",
        details: "The device is a number (see `block`) or a path as /dev/vda1; it need not be mounted.\n\
                  Example: fat bios 1",
        run: parameter_block,
    },
];

fn mount(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let Some((&source, rest)) = arguments.split_first() else { return list(shell) };
    let path = rest.first().copied();
    let (what, at) = match (source, path) {
        ("tmpfs" | "devfs" | "proc" | "sysfs", None) => {
            return Err(CommandError::about(
                source,
                "needs a path to be mounted on; usage: mount tmpfs|devfs|proc|sysfs path",
            ));
        }
        ("tmpfs", Some(path)) => (MountSource::Tmpfs, path),
        ("devfs", Some(path)) => (MountSource::Dev, path),
        ("proc", Some(path)) => (crate::procfs::source(), path),
        ("sysfs", Some(path)) => (crate::sysfs::source(), path),
        (device, path) => (MountSource::Block(disk(device)?, DiskFormat::Any), path.unwrap_or("/")),
    };
    vfs::mount(what, &vfs::root_context(), at.as_bytes(), false).map_err(|error| failure(source, &error))
}

/// The disk with this number, or whose device node has this path.
fn disk(text: &str) -> Result<Arc<BlockNode>, CommandError> {
    if text.contains('/') {
        let found = vfs::disk_at(&vfs::root_context(), text.as_bytes());
        return found.map_err(|error| CommandError::about(text, super::error_text(error)));
    }
    let index = number(text, "source", u32::MAX.into()).map_err(|_| {
        CommandError::about(text, "neither number nor path of a block device, nor tmpfs, devfs, proc or sysfs")
    })?;
    vfs::whole_disk(index as usize).ok_or_else(|| {
        let count = vfs::block_nodes().iter().filter(|node| node.disk().partition() == 0).count();
        super::devices::no_device(text, count)
    })
}

fn list(shell: &mut Shell) -> CommandResult {
    let mut table =
        Table::new(&[("source", Align::Left), ("path", Align::Left), ("type", Align::Left), ("access", Align::Left)]);
    for mount in vfs::mounts() {
        let access = if mount.read_only { "read-only" } else { "read-write" };
        table.row([mount.source, alloc::format!("{}", mount.at.escape_ascii()), mount.type_name.into(), access.into()]);
    }
    table.print(&mut shell.out);
    Ok(())
}

fn umount(_: &mut Shell, arguments: &[&str]) -> CommandResult {
    let path = arguments[0];
    vfs::unmount(&vfs::root_context(), path.as_bytes()).map_err(|error| failure(path, &error))
}

fn parameter_block(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let &[what, device] = arguments else { return Err(CommandError::plain("usage: fat bios device")) };
    if what != "bios" {
        return Err(CommandError::about(what, "not known; usage: fat bios device"));
    }
    let node = disk(device)?;
    let failed = |error| CommandError::about(device, super::error_text(error));
    let mut sector = [0; fat::BOOT_SECTOR_LEN];
    let opened = node.open(false).map_err(failed)?;
    opened.node().read_bytes(0, &mut sector).map_err(failed)?;
    let block = ParameterBlock::read(&sector).map_err(|problem| CommandError::about(device, problem))?;
    writeln!(shell.out, "{block}");
    Ok(())
}

/// The shell's form of a mount error: what the error says of the place names it already.
fn failure(source: &str, error: &MountError) -> CommandError {
    match error {
        MountError::Place(path, errno) | MountError::Source(path, errno) => {
            CommandError::about(path, super::error_text(*errno))
        }
        MountError::Format(_) => CommandError::about(source, error),
    }
}
