//! The kernel's log for programs: syslog(2), whose calls dmesg(1) and klogd(8) make.
//!
//! A line of the log is shown as Linux has it: its priority, when it was, and what it says. Locks: `READ_ON` and `SHOWN`,
//! sleeping ones, each alone.

use super::argument::UserOut;
use super::{Caller, SyscallResult};
use crate::process;
use abi::Errno;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYSLOG};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use log::LevelFilter;
use machine::console;
use machine::kept_log::LogReader;
use machine::sync::{Mutex, WaitEnd, WaitQueue};
use machine::time;
use machine::user::copy;

/// How often who waits for more looks: the log is written in any context, and in some nobody can be woken.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Before this position nothing is shown (SYSLOG_ACTION_CLEAR).
static CLEARED: AtomicU64 = AtomicU64::new(0);
/// Where reads that take lines away go on: a position, and how much of the line there has been taken.
static READ_ON: Mutex<(u64, usize)> = Mutex::new("reading the log", (0, 0));
/// What the console showed before it was told to show nothing (SYSLOG_ACTION_CONSOLE_OFF).
static SHOWN: Mutex<Option<LevelFilter>> = Mutex::new("what the console shows", None);
static MORE: WaitQueue = WaitQueue::new("a line of the log");

pub fn syslog(caller: &mut Caller<'_>, action: u32, buffer: UserOut<u8>, len: i32) -> SyscallResult {
    const READ_ALL: u32 = 3;
    const SIZE_BUFFER: u32 = 10;
    if !matches!(action, READ_ALL | SIZE_BUFFER) && !caller.has(CAP_SYSLOG) {
        caller.needs(CAP_SYS_ADMIN)?;
    }
    match action {
        0 | 1 => Ok(0), // close, open
        2..=4 => {
            let len = usize::try_from(len).ok().filter(|_| buffer.0 != 0).ok_or(Errno::EINVAL)?;
            match action {
                _ if len == 0 => Ok(0),
                2 => read_on(buffer, len),
                READ_ALL => read_all(buffer, len),
                _ => read_all(buffer, len).inspect(|_| clear()),
            }
        }
        5 => {
            clear();
            Ok(0)
        }
        6 => {
            show_nothing();
            Ok(0)
        }
        7 => {
            show_again();
            Ok(0)
        }
        8 => {
            show(match len {
                1..=3 => LevelFilter::Off,
                4 => LevelFilter::Error,
                5 | 6 => LevelFilter::Warn,
                7 => LevelFilter::Info,
                8 => LevelFilter::Trace,
                _ => return Err(Errno::EINVAL),
            });
            Ok(0)
        }
        9 => {
            let (position, taken) = *READ_ON.lock();
            let unread: usize = lines_from(position)?.iter().map(|line| line.text.len()).sum();
            Ok(unread.saturating_sub(taken) as u64)
        }
        SIZE_BUFFER => Ok(LogReader::KEPT_BYTES as u64),
        _ => Err(Errno::EINVAL),
    }
}

fn show(level: LevelFilter) {
    let mut shown = SHOWN.lock();
    *shown = None;
    console::set_console_level(level);
}

fn show_nothing() {
    let mut shown = SHOWN.lock();
    let before = console::set_console_level(LevelFilter::Off);
    shown.get_or_insert(before);
}

fn show_again() {
    if let Some(before) = SHOWN.lock().take() {
        console::set_console_level(before);
    }
}

fn clear() {
    CLEARED.store(LogReader::at_end().position(), Ordering::Relaxed);
}

/// The last lines that fit.
fn read_all(buffer: UserOut<u8>, len: usize) -> SyscallResult {
    let lines = lines_from(CLEARED.load(Ordering::Relaxed))?;
    let mut left = len;
    let fitting = lines.iter().rev().take_while(|line| {
        let fits = line.text.len() <= left;
        left = left.saturating_sub(line.text.len());
        fits
    });
    let first = lines.len() - fitting.count();
    let mut done = 0;
    for line in &lines[first..] {
        copy::write(buffer.0.wrapping_add(done), &line.text).map_err(|_| Errno::EFAULT)?;
        done += line.text.len() as u64;
    }
    Ok(done)
}

/// What comes next, which no other such read gets; waits for it.
fn read_on(buffer: UserOut<u8>, len: usize) -> SyscallResult {
    loop {
        let mut at = READ_ON.lock();
        let mut done = 0;
        for line in lines_from(at.0)? {
            // What the log did not keep until now is lost.
            let begun = if line.position == at.0 { at.1.min(line.text.len()) } else { 0 };
            let part = &line.text[begun..];
            let part = &part[..part.len().min(len - done)];
            copy::write(buffer.0.wrapping_add(done as u64), part).map_err(|_| Errno::EFAULT)?;
            done += part.len();
            *at = match begun + part.len() {
                all if all == line.text.len() => (line.end, 0),
                taken => (line.position, taken),
            };
            if done == len {
                break;
            }
        }
        drop(at);
        if done > 0 {
            return Ok(done as u64);
        }
        let looks = Some(time::now() + LOOK_AGAIN);
        if let Err(WaitEnd::Interrupted) = MORE.wait_until(looks, process::interrupted, || None::<()>) {
            return Err(Errno::EINTR);
        }
    }
}

/// A line of the log.
struct Line {
    /// Where in the log it begins and ends.
    position: u64,
    end: u64,
    /// As programs get it.
    text: Vec<u8>,
}

/// The whole lines from `position` on, as far as they are kept.
fn lines_from(position: u64) -> Result<Vec<Line>, Errno> {
    let mut reader = LogReader::from(position);
    let mut at = reader.position();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(LogReader::KEPT_BYTES).map_err(|_| Errno::ENOMEM)?;
    bytes.resize(LogReader::KEPT_BYTES, 0);
    let len = reader.read(&mut bytes);
    let mut lines = Vec::new();
    for raw in bytes[..len].split_inclusive(|&byte| byte == b'\n') {
        let line = Line { position: at, end: at + raw.len() as u64, text: as_linux(raw)? };
        at = line.end;
        lines.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        lines.push(line);
    }
    Ok(lines)
}

/// `[    0.100722] 0 INFO  russet: text` as `<6>[    0.100722] russet: text`; what does not begin so is left as it is.
fn as_linux(raw: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    text.try_reserve_exact(raw.len() + 3).map_err(|_| Errno::ENOMEM)?;
    let mut words = raw.splitn(2, |&byte| byte == b']');
    let (time, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut words = rest.trim_ascii_start().splitn(3, |&byte| byte == b' ');
    let (_cpu, level, said) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let priority = match level {
        b"ERROR" => b"<3>",
        b"WARN" => b"<4>",
        b"INFO" => b"<6>",
        b"DEBUG" | b"TRACE" => b"<7>",
        _ => {
            text.extend_from_slice(raw);
            return Ok(text);
        }
    };
    for part in [priority, time, b"] ", said.trim_ascii_start()] {
        text.extend_from_slice(part);
    }
    Ok(text)
}

#[cfg(debug_assertions)]
mod checks {
    use super::{show, show_again, show_nothing};
    use log::LevelFilter;
    use machine::console;
    use macros::kernel_test;

    #[kernel_test]
    fn the_console_shows_again_what_it_showed() {
        let at_first = console::set_console_level(LevelFilter::Info);
        show_again(); // of nothing
        show_nothing();
        show_nothing();
        show_again();
        assert_eq!(console::set_console_level(LevelFilter::Error), LevelFilter::Info);
        show_nothing();
        show(LevelFilter::Debug);
        show_again();
        assert_eq!(console::set_console_level(at_first), LevelFilter::Debug);
    }
}
