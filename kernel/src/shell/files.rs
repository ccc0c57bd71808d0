//! Commands about files: `ls`, `cat`, `stat`.

use super::command::{ANY, Command, CommandError, CommandResult};
use super::output::{Align, Table};
use super::{Shell, error_text, interrupt};
use crate::vfs::{self, File, FileType, FsContext, Location, Metadata, SliceSink, SliceSource, flags};
use abi::Errno;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use klib::calendar;
use klib::sort::sort_by;

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "ls",
        arguments: "[-l] [path]",
        arity: (0, 2),
        help: "list a directory",
        details: "One name a line, sorted. With -l also kind and permissions, links, owner, group, bytes and the time of\n\
                  the last change (UTC), and where symbolic links lead. Example: ls -l /bin",
        run: ls,
    },
    Command {
        name: "cat",
        arguments: "path…",
        arity: (1, ANY),
        help: "print files",
        details: "Example: cat /hello.txt",
        run: cat,
    },
    Command {
        name: "stat",
        arguments: "path",
        arity: (1, 1),
        help: "print what the file system knows of a file",
        details: "A symbolic link is shown itself, not what it leads to. Example: stat /hello.txt",
        run: stat,
    },
];

/// Bytes that a [`Writer`] writes at once.
const CHUNK: usize = 32 << 10;

/// The error of a file operation on `path`.
pub fn about(path: &str) -> impl Fn(Errno) -> CommandError + '_ {
    move |errno| CommandError::about(path, error_text(errno))
}

/// The root directory, where the shell always is.
fn context() -> FsContext {
    vfs::root_context()
}

fn ls(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let (long, paths) = match arguments.split_first() {
        Some((&"-l", rest)) => (true, rest),
        _ => (false, arguments),
    };
    let path = match paths {
        [] => "/",
        [path] if path.starts_with('-') => return Err(CommandError::about(path, "no such option")),
        [path] => path,
        [_, extra, ..] => return Err(CommandError::about(extra, "one path at a time")),
    };
    let location = vfs::lookup(&context(), None, path.as_bytes(), true).map_err(about(path))?;
    let names = match location.is_dir() {
        true => names_in(&location).map_err(about(path))?,
        false => alloc::vec![path.as_bytes().to_vec()],
    };
    if !long {
        for name in names {
            writeln!(shell.out, "{}", name.escape_ascii());
        }
        return Ok(());
    }
    let base = location.is_dir().then_some(&location);
    long_list(shell, base, &names)
}

/// The names in a directory without `.` and `..`, sorted.
pub fn names_in(directory: &Location) -> Result<Vec<Vec<u8>>, Errno> {
    let file = vfs::open_location(directory, flags::O_RDONLY | flags::O_DIRECTORY)?;
    let mut names = Vec::new();
    let mut out_of_memory = false;
    file.read_dir(&mut |entry| {
        out_of_memory = names.try_reserve(1).is_err();
        if !out_of_memory && entry.name != b"." && entry.name != b".." {
            names.push(entry.name.to_vec());
        }
        !out_of_memory
    })?;
    if out_of_memory {
        return Err(Errno::ENOMEM);
    }
    sort_by(&mut names, |a, b| a < b);
    Ok(names)
}

fn long_list(shell: &mut Shell, base: Option<&Location>, names: &[Vec<u8>]) -> CommandResult {
    let mut table = Table::new(&[
        ("mode", Align::Left),
        ("links", Align::Right),
        ("uid", Align::Right),
        ("gid", Align::Right),
        ("bytes", Align::Right),
        ("changed", Align::Left),
        ("name", Align::Left),
    ]);
    for name in names {
        interrupt::check()?;
        let text = String::from_utf8_lossy(name);
        let entry = vfs::lookup(&context(), base, name, false).map_err(about(&text))?;
        let metadata = entry.metadata().map_err(about(&text))?;
        let arrow = match entry.read_link() {
            Ok(target) => format!(" -> {}", target.escape_ascii()),
            Err(_) => String::new(),
        };
        table.row([
            mode_text(metadata.mode),
            format!("{}", metadata.nlink),
            format!("{}", metadata.uid),
            format!("{}", metadata.gid),
            format!("{}", metadata.size),
            calendar::date_and_time(metadata.mtime.0),
            format!("{}{arrow}", name.escape_ascii()),
        ]);
    }
    table.print(&mut shell.out);
    Ok(())
}

/// Kind and permissions as `ls -l` shows them: `drwxr-xr-x`.
fn mode_text(mode: u32) -> String {
    let kind = match mode & flags::S_IFMT {
        0o040000 => 'd',
        0o120000 => 'l',
        0o020000 => 'c',
        0o060000 => 'b',
        0o010000 => 'p',
        0o140000 => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    // Set-user-id, set-group-id and the sticky bit show in the x of owner, group and others.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn cat(shell: &mut Shell, paths: &[&str]) -> CommandResult {
    for path in paths {
        let file = vfs::open(&context(), None, path.as_bytes(), flags::O_RDONLY, 0).map_err(about(path))?;
        copy_to_output(shell, &file, path)?;
    }
    Ok(())
}

fn copy_to_output(shell: &mut Shell, file: &Arc<File>, path: &str) -> CommandResult {
    let mut chunk = alloc::vec![0u8; 4096];
    loop {
        interrupt::check()?;
        match file.read(&mut SliceSink::new(&mut chunk)).map_err(about(path))? {
            0 => return Ok(()),
            len => shell.out.bytes(&chunk[..len]),
        }
    }
}

fn stat(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let path = arguments[0];
    let location = vfs::lookup(&context(), None, path.as_bytes(), false).map_err(about(path))?;
    let metadata = location.metadata().map_err(about(path))?;
    let out = &mut shell.out;
    writeln!(out, "path:     {}", location.path().escape_ascii());
    writeln!(out, "kind:     {}", kind_text(location.file_type()));
    if let Ok(target) = location.read_link() {
        writeln!(out, "leads to: {}", target.escape_ascii());
    }
    print_metadata(shell, &metadata);
    Ok(())
}

fn print_metadata(shell: &mut Shell, metadata: &Metadata) {
    let out = &mut shell.out;
    writeln!(out, "mode:     {:06o} {}", metadata.mode, mode_text(metadata.mode));
    writeln!(out, "size:     {} bytes, {} blocks of 512 bytes", metadata.size, metadata.blocks);
    writeln!(out, "inode:    {} of device {:#x}, {} links", metadata.ino, metadata.dev, metadata.nlink);
    writeln!(out, "owner:    {}, group {}", metadata.uid, metadata.gid);
    if metadata.rdev != 0 {
        writeln!(out, "device:   {:#x}", metadata.rdev);
    }
    for (name, time) in [("read:    ", metadata.atime), ("written: ", metadata.mtime), ("changed: ", metadata.ctime)] {
        writeln!(out, "{name} {}", calendar::date_and_time(time.0));
    }
}

fn kind_text(kind: FileType) -> &'static str {
    match kind {
        FileType::Regular => "regular file",
        FileType::Directory => "directory",
        FileType::Symlink => "symbolic link",
        FileType::CharDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
    }
}

/// A file that is written in pieces.
pub struct Writer<'a> {
    path: &'a str,
    file: Arc<File>,
    buffer: Vec<u8>,
}

impl Writer<'_> {
    /// Begins the file at `path` anew.
    pub fn create(path: &str) -> Result<Writer<'_>, CommandError> {
        let how = flags::O_CREAT | flags::O_WRONLY | flags::O_TRUNC;
        let file = vfs::open(&context(), None, path.as_bytes(), how, 0o644).map_err(about(path))?;
        Ok(Writer { path, file, buffer: Vec::new() })
    }

    /// Adds bytes, which are written now or later; Ctrl-C ends it.
    pub fn push(&mut self, bytes: &[u8]) -> CommandResult {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < CHUNK { Ok(()) } else { self.flush() }
    }

    /// Writes what has not been written.
    pub fn flush(&mut self) -> CommandResult {
        interrupt::check()?;
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            match self.file.write(&mut SliceSource::new(rest)).map_err(about(self.path))? {
                0 => return Err(CommandError::about(self.path, "only a part could be written")),
                written => rest = &rest[written..],
            }
        }
        self.buffer.clear();
        Ok(())
    }
}
