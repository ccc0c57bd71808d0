//! Commands about mounts and what is mounted: `mount`, `umount`, `fat`.

use super::Shell;
use super::command::{Command, CommandError, CommandResult, number};
use super::output::{Align, Table};
use crate::vfs::{
    self, AccessTimes, BlockNode, DiskFormat, Location, MountError, MountOptions, MountSource, UnmountHow,
};
use alloc::sync::Arc;
use fs::fat::{self, ParameterBlock};

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "mount",
        arguments: "[-o options] [source] [path]",
        arity: (0, 4),
        help: "mount a file system, or list the mounts",
        details: "The source is a block device with an ext2 or FAT file system, by number (see `block`) or as\n\
                  /dev/vda1, tmpfs, devfs, proc or sysfs; the path is / if none is given: what is mounted there covers\n\
                  the root, and /dev, /proc and /sys stay visible. A last name of the path that does not exist is made.\n\
                  Options, with commas between them: ro, rw, relatime (as without any), noatime, strictatime,\n\
                  nodiratime; remount, with a path alone, gives what is mounted there others; bind, with a path as\n\
                  source, shows what is there a second time.\n\
                  Example: mount 2; mount /dev/vdd1 /mnt; mount tmpfs /tmp; mount -o remount,ro /",
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

/// What `-o` says.
#[derive(Default)]
struct Wish {
    options: MountOptions,
    /// Whether it says something about access times.
    access_times: bool,
    remount: bool,
    bind: bool,
}

impl Wish {
    fn parse(words: &str) -> Result<Wish, CommandError> {
        let mut wish = Wish::default();
        for word in words.split(',') {
            let options = &mut wish.options;
            wish.access_times |= word.ends_with("atime");
            match word {
                "ro" => options.read_only = true,
                "rw" => options.read_only = false,
                "relatime" => options.access_times = AccessTimes::Relative,
                "noatime" => options.access_times = AccessTimes::Never,
                "strictatime" => options.access_times = AccessTimes::Strict,
                "nodiratime" => options.no_directory_times = true,
                "remount" => wish.remount = true,
                "bind" => wish.bind = true,
                word => return Err(CommandError::about(word, "no option of a mount; see help mount")),
            }
        }
        Ok(wish)
    }
}

/// The place at a path.
fn place(path: &str) -> Result<Location, CommandError> {
    let found = vfs::lookup(&vfs::root_context(), None, path.as_bytes(), true);
    found.map_err(|error| CommandError::about(path, super::error_text(error)))
}

fn remount(path: &str, wish: &Wish) -> CommandResult {
    let place = place(path)?;
    let options = match wish.access_times {
        true => wish.options,
        false => MountOptions { read_only: wish.options.read_only, ..place.mount().options() },
    };
    vfs::remount(&place, options, wish.bind).map_err(|error| failure(path, &error))
}

fn mount(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let (wish, arguments) = match arguments {
        ["-o", words, rest @ ..] => (Wish::parse(words)?, rest),
        ["-o"] => return Err(CommandError::about("-o", "needs options behind it")),
        rest => (Wish::default(), rest),
    };
    let Some((&source, rest)) = arguments.split_first() else { return list(shell) };
    if let Some(extra) = rest.get(1) {
        return Err(CommandError::about(extra, "one argument too many; usage: mount [-o options] [source] [path]"));
    }
    if wish.remount {
        return remount(rest.first().copied().unwrap_or(source), &wish);
    }
    if wish.bind {
        let Some(path) = rest.first() else { return Err(CommandError::about(source, "needs a path to be shown at")) };
        let bound = vfs::bind(&vfs::root_context(), source.as_bytes(), &place(path)?, false);
        return bound.map_err(|error| CommandError::about(path, super::error_text(error)));
    }
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
    vfs::mount(what, &vfs::root_context(), at.as_bytes(), wish.options).map_err(|error| failure(source, &error))
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
        let [_, times, of_directories] = mount.options.words();
        let access = if mount.options.read_only { "read-only" } else { "read-write" };
        let access = alloc::format!("{access}{times}{of_directories}");
        table.row([mount.source, alloc::format!("{}", mount.at.escape_ascii()), mount.type_name.into(), access]);
    }
    table.print(&mut shell.out);
    Ok(())
}

fn umount(_: &mut Shell, arguments: &[&str]) -> CommandResult {
    let path = arguments[0];
    vfs::unmount(&vfs::root_context(), path.as_bytes(), UnmountHow::default()).map_err(|error| failure(path, &error))
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
