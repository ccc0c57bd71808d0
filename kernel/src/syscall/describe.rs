//! System calls in words, for `trace exec`: each as one line, in the form of strace(1).
//!
//! Arguments are shown by their types in the table; numbers that stand for names by [`Words`] of the common calls. The
//! program's memory is read with no lock held, and what cannot be read is shown as an address.

use super::argument::Kind;
use super::shape;
use crate::process::Thread;
use crate::vfs::flags::O_CREAT;
use abi::Errno;
use abi::syscall::{self, nr};
use alloc::string::String;
use core::fmt::{self, Write};
use machine::user::{UserContext, copy};

/// Bytes that are shown of data, and of a path.
const MOST_DATA: usize = 32;
const MOST_PATH: usize = 256;
/// Arguments of a program that are shown.
const MOST_STRINGS: usize = 16;

/// Numbers and what they are called: flags, each with its bits.
type Words = &'static [(u64, &'static str)];

const OPEN: Words = &[
    (0o1, "O_WRONLY"),
    (0o2, "O_RDWR"),
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o200000, "O_DIRECTORY"),
    (0o400000, "O_NOFOLLOW"),
    (0o2000000, "O_CLOEXEC"),
    (0o10000000, "O_PATH"),
];
const PROTECTION: Words = &[(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC")];
const MAP: Words = &[
    (0x1, "MAP_SHARED"),
    (0x2, "MAP_PRIVATE"),
    (0x10, "MAP_FIXED"),
    (0x20, "MAP_ANONYMOUS"),
    (0x4000, "MAP_NORESERVE"),
    (0x8000, "MAP_POPULATE"),
    (0x20000, "MAP_STACK"),
    (0x100000, "MAP_FIXED_NOREPLACE"),
];
const CLONE: Words = &[
    (0x100, "CLONE_VM"),
    (0x200, "CLONE_FS"),
    (0x400, "CLONE_FILES"),
    (0x800, "CLONE_SIGHAND"),
    (0x4000, "CLONE_VFORK"),
    (0x10000, "CLONE_THREAD"),
    (0x40000, "CLONE_SYSVSEM"),
    (0x80000, "CLONE_SETTLS"),
    (0x100000, "CLONE_PARENT_SETTID"),
    (0x200000, "CLONE_CHILD_CLEARTID"),
    (0x1000000, "CLONE_CHILD_SETTID"),
    (17, "SIGCHLD"),
];

/// How an argument is shown that the table has as a plain number.
enum Style {
    /// By the names of its bits; what it is with none of them.
    Flags(Words, &'static str),
    /// In octal: permissions.
    Mode,
    /// As the signal it is.
    Signal,
    /// As an array of strings that ends with a null.
    Strings,
}

fn style(number: u64, index: usize) -> Option<Style> {
    Some(match (number, index) {
        (nr::OPEN, 1) | (nr::OPENAT, 2) => Style::Flags(OPEN, "O_RDONLY"),
        (nr::PIPE2, 1) | (nr::DUP3, 2) => Style::Flags(OPEN, "0"),
        (nr::MMAP, 2) | (nr::MPROTECT, 2) => Style::Flags(PROTECTION, "PROT_NONE"),
        (nr::MMAP, 3) => Style::Flags(MAP, "0"),
        (nr::CLONE, 0) => Style::Flags(CLONE, "0"),
        (nr::OPEN | nr::MKDIRAT | nr::FCHMODAT, 2) | (nr::OPENAT, 3) => Style::Mode,
        (nr::CREAT | nr::MKDIR | nr::CHMOD | nr::FCHMOD, 1) | (nr::UMASK, 0) => Style::Mode,
        (nr::RT_SIGACTION, 0) | (nr::KILL | nr::TKILL, 1) | (nr::TGKILL, 2) => Style::Signal,
        (nr::EXECVE, 1) => Style::Strings,
        _ => return None,
    })
}

/// Begins the line of a call that the thread makes now: all that can be said before it is done. Such as never come back
/// are written at once.
#[cold]
#[inline(never)]
pub fn begin(thread: &Thread, context: &UserContext) {
    thread.trace_call(context);
    let Some(watcher) = thread.process().watcher() else { return };
    let number = context.syscall_number();
    let mut line = String::new();
    // What the kernel writes is there at the end.
    if !shape(number).is_some_and(|arguments| arguments.contains(&Kind::BytesOut)) {
        let _ = write_call(&mut line, number, &context.syscall_arguments(), 0);
    }
    if never_returns(number) {
        watcher.line(thread, format_args!("{line} = ?"));
        line.clear();
    }
    thread.keep_call_line(line);
}

fn never_returns(number: u64) -> bool {
    matches!(number, nr::EXIT | nr::EXIT_GROUP)
}

/// Writes the line of the call that is done, if one was begun.
#[cold]
#[inline(never)]
pub fn end(thread: &Thread, context: &UserContext) {
    let Some(number) = thread.trace_return(context) else { return };
    let Some(watcher) = thread.process().watcher() else { return };
    let (number, result) = (u64::from(number), context.result());
    if never_returns(number) {
        return;
    }
    let mut line = thread.take_call_line();
    if line.is_empty() {
        let _ = write_call(&mut line, number, &context.syscall_arguments(), result);
    }
    let addresses = matches!(number, nr::MMAP | nr::BRK | nr::MREMAP);
    match Errno::from_ret(result) {
        Some(errno) => watcher.line(thread, format_args!("{line} = -1 {} ({})", errno.name(), errno.message())),
        None if addresses => watcher.line(thread, format_args!("{line} = {result:#x}")),
        None => watcher.line(thread, format_args!("{line} = {}", result as i64)),
    }
}

/// `name(argument, …)`. Of bytes that the kernel wrote there are as many as `result` says.
fn write_call(out: &mut String, number: u64, arguments: &[u64; 6], result: u64) -> fmt::Result {
    match syscall::name(number) {
        Some(name) => write!(out, "{name}(")?,
        None => write!(out, "syscall_{number:#x}(")?,
    }
    let kinds = shape(number).unwrap_or(&[Kind::Wide; 6]);
    // Permissions are those of a file that is made.
    let made = |flags: u64| flags & u64::from(O_CREAT) != 0;
    let count = match number {
        nr::OPEN if !made(arguments[1]) => 2,
        nr::OPENAT if !made(arguments[2]) => 3,
        _ => 6,
    };
    for (index, kind) in kinds.iter().take(count).take_while(|&&kind| kind != Kind::None).enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        let (value, next) = (arguments[index], arguments.get(index + 1).copied().unwrap_or(0));
        match style(number, index) {
            Some(Style::Flags(words, none)) => write_flags(out, value, words, none)?,
            Some(Style::Mode) => write!(out, "0{:o}", value as u32)?,
            Some(Style::Signal) => match abi::Signal::new(value as i32) {
                Some(signal) => write!(out, "{signal}")?,
                None => write!(out, "{}", value as i32)?,
            },
            Some(Style::Strings) => write_strings(out, value)?,
            None => write_plain(out, *kind, value, next, number, result)?,
        }
    }
    out.write_char(')')
}

fn write_plain(out: &mut String, kind: Kind, value: u64, next: u64, number: u64, result: u64) -> fmt::Result {
    match kind {
        Kind::Fd if value as i32 == -100 => out.write_str("AT_FDCWD"),
        Kind::Fd | Kind::Signed => write!(out, "{}", value as i32),
        Kind::Count => write!(out, "{}", value as i64),
        Kind::Bits if value < 10 => write!(out, "{value}"),
        Kind::Bits => write!(out, "{:#x}", value as u32),
        Kind::Wide if value == 0 => out.write_str("0"),
        Kind::Path => write_string(out, value),
        Kind::BytesIn => write_data(out, value, next as usize),
        // Directory entries are no text.
        Kind::BytesOut if Errno::from_ret(result).is_none() && !matches!(number, nr::GETDENTS | nr::GETDENTS64) => {
            write_data(out, value, result as usize)
        }
        Kind::BytesOut | Kind::Wide | Kind::Address | Kind::None => write_address(out, value),
    }
}

fn write_address(out: &mut String, value: u64) -> fmt::Result {
    if value == 0 { out.write_str("NULL") } else { write!(out, "{value:#x}") }
}

fn write_flags(out: &mut String, value: u64, words: Words, none: &str) -> fmt::Result {
    let mut left = value;
    let mut before = "";
    // Each open(2) says how it accesses the file.
    if none.starts_with("O_") && value & 3 == 0 {
        out.write_str(none)?;
        before = "|";
    }
    for &(bits, word) in words {
        if left & bits == bits {
            write!(out, "{before}{word}")?;
            before = "|";
            left &= !bits;
        }
    }
    match (left, before) {
        (0, "") => out.write_str(none),
        (0, _) => Ok(()),
        _ => write!(out, "{before}{left:#x}"),
    }
}

/// A string of the program's, quoted; its address if that is not readable.
fn write_string(out: &mut String, at: u64) -> fmt::Result {
    let mut text = [0; MOST_PATH];
    match copy::read_string(at, &mut text) {
        _ if at == 0 => out.write_str("NULL"),
        Ok(Some(len)) => write!(out, "\"{}\"", text[..len].escape_ascii()),
        Ok(None) => write!(out, "\"{}\"...", text.escape_ascii()),
        Err(_) => write_address(out, at),
    }
}

/// The begin of `len` bytes of the program's.
fn write_data(out: &mut String, at: u64, len: usize) -> fmt::Result {
    let mut data = [0; MOST_DATA];
    let data = &mut data[..len.min(MOST_DATA)];
    if at == 0 || copy::read(at, data).is_err() {
        return write_address(out, at);
    }
    write!(out, "\"{}\"{}", data.escape_ascii(), if len > MOST_DATA { "..." } else { "" })
}

fn write_strings(out: &mut String, at: u64) -> fmt::Result {
    let mut text = String::from("[");
    for index in 0..=MOST_STRINGS {
        let mut word = [0; 8];
        if copy::read(at.wrapping_add(8 * index as u64), &mut word).is_err() {
            return write_address(out, at);
        }
        let string = u64::from_le_bytes(word);
        if string == 0 {
            break;
        }
        text.push_str(if index == 0 { "" } else { ", " });
        if index == MOST_STRINGS {
            text.push_str("...");
        } else {
            write_string(&mut text, string)?;
        }
    }
    write!(out, "{text}]")
}
