//! Commands about mounts: `mount`, `umount`.

use super::Shell;
use super::command::{Command, CommandError, CommandResult, number};
use super::output::{Align, Table};
use crate::vfs::{self, AccessTimes, Location, MountError, MountOptions, MountSource, UnmountHow};

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "mount",
        arguments: "[-o options] [source] [path]",
        arity: (0, 4),
        help: "mount a file system, or list the mounts",
        details: "The source is the number of a block device with an ext2 file system, tmpfs, devfs or proc; the path is\n\
                  / if none is given: what is mounted there covers the root, and /dev and /proc stay visible. A last\n\
                  name of the path that does not exist is made. Options, with commas between them: ro, rw, relatime\n\
                  (as without any), noatime, strictatime, nodiratime; remount, with a path alone, gives what is mounted\n\
                  there others; bind, with a path as source, shows what is there a second time. Example: mount 2;\n\
                  mount tmpfs /tmp; mount -o remount,ro /",
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
        ("tmpfs" | "devfs" | "proc", None) => {
            return Err(CommandError::about(
                source,
                "needs a path to be mounted on; usage: mount tmpfs|devfs|proc path",
            ));
        }
        ("tmpfs", Some(path)) => (MountSource::Tmpfs, path),
        ("devfs", Some(path)) => (MountSource::Dev, path),
        ("proc", Some(path)) => (crate::procfs::source(), path),
        (device, path) => {
            let index = number(device, "source", u32::MAX.into()).map_err(|_| {
                CommandError::about(device, "neither the number of a block device nor tmpfs, devfs or proc")
            })?;
            (MountSource::Block(index as usize), path.unwrap_or("/"))
        }
    };
    vfs::mount(what, &vfs::root_context(), at.as_bytes(), wish.options).map_err(|error| failure(source, &error))
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

/// The shell's form of a mount error: what the error says of the place names it already.
fn failure(source: &str, error: &MountError) -> CommandError {
    match error {
        MountError::Place(path, errno) | MountError::Source(path, errno) => {
            CommandError::about(path, super::error_text(*errno))
        }
        MountError::NoDevice(..) | MountError::Format(_) => CommandError::about(source, error),
    }
}
