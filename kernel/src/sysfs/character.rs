//! Character devices: /sys/devices/virtual by class, and links to those in /sys/class and /sys/dev/char. They are found by
//! their numbers, so whatever registers one is here.

use super::{directory, link, part, text};
use crate::input;
use crate::ports;
use crate::tty;
use crate::vfs::pseudo::{Entry, Members, Next, Subject, Text};
use crate::vfs::{self, Result};
use abi::Errno;
use abi::fs::split_dev;
use alloc::string::String;

/// Classes, as directories are called.
const MEMORY_CLASS: &str = "mem";
const TERMINAL_CLASS: &str = "tty";
const INPUT_CLASS: &str = "input";
const OTHER_CLASS: &str = "misc";
const PORT_CLASS: &str = "virtio-ports";

/// The devices of a class, in /sys/devices/virtual.
const fn devices(next: fn(Subject, u64) -> Next) -> Members {
    Members { next, name: Some(put_own_name), entry: directory("", DEVICE) }
}

/// The devices of a class, as links in /sys/class.
const fn links(next: fn(Subject, u64) -> Next) -> Members {
    let entry = link("", |subject, text| {
        text.put(b"../../");
        put_path(subject, text)
    });
    Members { next, name: Some(put_own_name), entry }
}

pub(super) static MEMORY: Members = devices(|_, from| Ok(next(from, Some(MEMORY_CLASS))));
pub(super) static MEMORY_LINKS: Members = links(|_, from| Ok(next(from, Some(MEMORY_CLASS))));
pub(super) static TERMINALS: Members = devices(|_, from| Ok(next(from, Some(TERMINAL_CLASS))));
pub(super) static TERMINAL_LINKS: Members = links(|_, from| Ok(next(from, Some(TERMINAL_CLASS))));
pub(super) static INPUTS: Members = devices(|_, from| Ok(next(from, Some(INPUT_CLASS))));
pub(super) static INPUT_LINKS: Members = links(|_, from| Ok(next(from, Some(INPUT_CLASS))));
pub(super) static PORTS: Members = devices(|_, from| Ok(next(from, Some(PORT_CLASS))));
pub(super) static PORT_LINKS: Members = links(|_, from| Ok(next(from, Some(PORT_CLASS))));
pub(super) static OTHERS: Members = devices(|_, from| Ok(next(from, Some(OTHER_CLASS))));
pub(super) static OTHER_LINKS: Members = links(|_, from| Ok(next(from, Some(OTHER_CLASS))));

/// All of them by number, as links.
pub(super) static NUMBERS: Members = Members {
    next: |_, from| Ok(next(from, None)),
    name: Some(|subject, text| {
        put_number(subject, text);
        Ok(())
    }),
    entry: link("", |subject, text| {
        text.put(b"../../");
        put_path(subject, text)
    }),
};

const DEVICE: &[Entry] = &[
    text("dev", |subject, text| {
        put_number(subject, text);
        text.put(b"\n");
        Ok(())
    }),
    link("subsystem", |subject, text| {
        write!(text, "../../../../class/{}", class(subject.object).unwrap_or(OTHER_CLASS));
        Ok(())
    }),
    text("uevent", |subject, text| {
        let (major, minor) = split_dev(subject.object);
        text.line(&format_args!("MAJOR={major}\nMINOR={minor}\nDEVNAME={}", name(subject)?))
    }),
    directory("power", &[]),
];

/// The class of the device `number`, by its major number (Linux's Documentation/admin-guide/devices.txt). None for ends of
/// pseudo-terminals, which come and go and are not in sysfs.
fn class(number: u64) -> Option<&'static str> {
    match split_dev(number).0 {
        1 => Some(MEMORY_CLASS),
        4 | 5 | tty::PORT_MAJOR => Some(TERMINAL_CLASS),
        ports::MAJOR => Some(PORT_CLASS),
        input::MAJOR => Some(INPUT_CLASS),
        136..=143 => None,
        _ => Some(OTHER_CLASS),
    }
}

/// The first device from `number` on that is of this class, or of any.
fn next(number: u64, wanted: Option<&str>) -> Option<(u64, Subject)> {
    let mut from = number;
    loop {
        let (found, _) = vfs::next_character_device(from)?;
        let class = class(found);
        if class.is_some() && (wanted.is_none() || class == wanted) {
            return Some((found, Subject { object: found, stamp: 1, part: part::CHARACTER, member: 0 }));
        }
        from = found + 1;
    }
}

/// What the device that a file is about is called on /dev.
pub(super) fn name(subject: Subject) -> Result<String> {
    let found = vfs::next_character_device(subject.object).filter(|&(number, _)| number == subject.object);
    found.map(|(_, name)| name).ok_or(Errno::ENOENT)
}

/// Input devices are called without the directory of /dev that they lie in, as on Linux.
fn put_own_name(subject: Subject, text: &mut Text) -> Result<()> {
    let name = name(subject)?;
    super::put_name(name.strip_prefix("input/").unwrap_or(&name), text);
    Ok(())
}

fn put_path(subject: Subject, text: &mut Text) -> Result<()> {
    write!(text, "devices/virtual/{}/", class(subject.object).unwrap_or(OTHER_CLASS));
    put_own_name(subject, text)
}

fn put_number(subject: Subject, text: &mut Text) {
    let (major, minor) = split_dev(subject.object);
    write!(text, "{major}:{minor}");
}
