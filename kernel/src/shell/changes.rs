//! Commands that change files: `mkdir`, `rm`, `mv`, `write-to-file`; and about what is stored: `df`, `sync`.

use super::command::{ANY, Command, CommandError, CommandResult};
use super::files::{about, names_in};
use super::output::{Align, Table};
use super::{Shell, error_text, interrupt};
use crate::vfs::{self, FileType, FsContext, NewKind, NewNode, SliceSource, flags};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "mkdir",
        arguments: "path…",
        arity: (1, ANY),
        help: "make directories",
        details: "The directory above must be there. Example: mkdir /tmp/new",
        run: mkdir,
    },
    Command {
        name: "rm",
        arguments: "[-r] path…",
        arity: (1, ANY),
        help: "remove files",
        details: "With -r also directories and all that is in them; without it a directory is an error. A symbolic link\n\
                  goes itself, not what it leads to. Example: rm -r /tmp/new",
        run: rm,
    },
    Command {
        name: "mv",
        arguments: "old new",
        arity: (2, 2),
        help: "rename a file or directory",
        details: "Into a directory if the new path is one; else what has the new name is replaced. Both must be in one\n\
                  file system. Example: mv /tmp/a /tmp/b",
        run: mv,
    },
    Command {
        name: "write-to-file",
        arguments: "path word…",
        arity: (2, ANY),
        help: "write words to a file",
        details: "Makes the file, or replaces what it held, by the words with single spaces and a newline behind them.\n\
                  Example: write-to-file /tmp/greeting hello world",
        run: write_to_file,
    },
    Command {
        name: "df",
        arguments: "",
        arity: (0, 0),
        help: "print how full the mounted file systems are",
        details: "Sizes in KiB. Example: df",
        run: df,
    },
    Command {
        name: "sync",
        arguments: "",
        arity: (0, 0),
        help: "write everything to the disks that is not there yet",
        details: "Comes back when all is safe from a loss of power. Example: sync",
        run: sync,
    },
];

fn context() -> FsContext {
    vfs::root_context()
}

fn mkdir(_: &mut Shell, paths: &[&str]) -> CommandResult {
    for path in paths {
        let new = NewNode { kind: NewKind::Directory, mode: 0o755, uid: 0, gid: 0 };
        vfs::make(&context(), None, path.as_bytes(), &new).map_err(about(path))?;
    }
    Ok(())
}

fn rm(_: &mut Shell, arguments: &[&str]) -> CommandResult {
    let (recursive, paths) = match arguments.split_first() {
        Some((&"-r", rest)) => (true, rest),
        _ => (false, arguments),
    };
    if paths.is_empty() {
        return Err(CommandError::about("path", "argument is missing; usage: rm [-r] path…"));
    }
    for path in paths {
        if path.starts_with('-') {
            return Err(CommandError::about(path, "no such option"));
        }
        match recursive {
            true => remove_tree(path)?,
            false => vfs::remove_file(&context(), None, path.as_bytes()).map_err(about(path))?,
        }
    }
    Ok(())
}

/// Removes what is at `path` and below, deepest first, without recursion: a tree may be deeper than the stack.
fn remove_tree(path: &str) -> CommandResult {
    let mut paths: Vec<Vec<u8>> = alloc::vec![path.as_bytes().to_vec()];
    while let Some(last) = paths.last().cloned() {
        interrupt::check()?;
        let text = String::from_utf8_lossy(&last).into_owned();
        let location = vfs::lookup(&context(), None, &last, false).map_err(about(&text))?;
        if location.file_type() != FileType::Directory {
            drop(location);
            vfs::remove_file(&context(), None, &last).map_err(about(&text))?;
            paths.pop();
            continue;
        }
        let names = names_in(&location).map_err(about(&text))?;
        drop(location);
        if names.is_empty() {
            vfs::remove_directory(&context(), None, &last).map_err(about(&text))?;
            paths.pop();
            continue;
        }
        paths.extend(names.iter().map(|name| [&last, b"/".as_slice(), name].concat()));
    }
    Ok(())
}

fn mv(_: &mut Shell, arguments: &[&str]) -> CommandResult {
    let (old, new) = (arguments[0], arguments[1]);
    let into_directory = vfs::lookup(&context(), None, new.as_bytes(), true).is_ok_and(|location| location.is_dir());
    let new = match old.trim_end_matches('/').rsplit('/').next() {
        Some(name) if into_directory => format!("{new}/{name}"),
        _ => String::from(new),
    };
    // The error may be about either; both are named.
    let about_both = |error| CommandError::about(format_args!("{old} to {new}"), error_text(error));
    vfs::rename(&context(), (None, old.as_bytes()), (None, new.as_bytes()), 0).map_err(about_both)
}

fn write_to_file(_: &mut Shell, arguments: &[&str]) -> CommandResult {
    let (path, words) = (arguments[0], &arguments[1..]);
    let text = format!("{}\n", words.join(" "));
    let how = flags::O_CREAT | flags::O_WRONLY | flags::O_TRUNC;
    let file = vfs::open(&context(), None, path.as_bytes(), how, 0o644).map_err(about(path))?;
    match file.write(&mut SliceSource::new(text.as_bytes())).map_err(about(path))? {
        all if all == text.len() => Ok(()),
        some => Err(CommandError::about(path, format_args!("only {some} of {} bytes written", text.len()))),
    }
}

fn df(shell: &mut Shell, _: &[&str]) -> CommandResult {
    let mut table = Table::new(&[
        ("source", Align::Left),
        ("KiB", Align::Right),
        ("used", Align::Right),
        ("free", Align::Right),
        ("files", Align::Right),
        ("path", Align::Left),
    ]);
    for mount in vfs::mounts() {
        let path = String::from_utf8_lossy(&mount.at).into_owned();
        let figures = mount.root.statistics().map_err(about(&path))?;
        if figures.blocks == 0 {
            continue; // a view of the kernel, that takes no room
        }
        let kib = |blocks: u64| format!("{}", blocks.saturating_mul(figures.block_size) / 1024);
        table.row([
            mount.source,
            kib(figures.blocks),
            kib(figures.blocks.saturating_sub(figures.blocks_free)),
            kib(figures.blocks_available),
            format!("{}", figures.files.saturating_sub(figures.files_free)),
            path,
        ]);
    }
    table.print(&mut shell.out);
    Ok(())
}

fn sync(_: &mut Shell, _: &[&str]) -> CommandResult {
    vfs::sync_all().map_err(|error| CommandError::plain(error_text(error)))
}
