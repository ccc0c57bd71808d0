//! What Tab completes at the prompt: commands, and their arguments by the command they are for.
//!
//! Paths are looked up as they are typed; a directory that cannot be read has no candidates.

use super::{commands, files};
use crate::device;
use crate::vfs;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use klib::keyboard::LAYOUTS;
use klib::line_edit::{Candidate, Completer};

/// Sources of `mount` that are no device.
const FILE_SYSTEMS: [&str; 4] = ["tmpfs", "devfs", "proc", "sysfs"];

/// Knows the shell's commands and the file system.
pub struct ShellCompleter;

impl Completer for ShellCompleter {
    fn candidates(&mut self, before: &[String], word: &str) -> Vec<Candidate> {
        let Some((command, arguments)) = before.split_first() else {
            return matching(word, commands().map(|command| command.name.to_string()));
        };
        match (command.as_str(), arguments.len()) {
            ("help", 0) => matching(word, commands().map(|command| command.name.to_string())),
            ("keymap", 0) => matching(word, LAYOUTS.iter().map(|layout| layout.name.to_string())),
            ("block", 0) => matching(word, devices()),
            ("mount", 0) => matching(word, devices().chain(FILE_SYSTEMS.map(String::from))),
            _ => paths(word),
        }
    }
}

/// The numbers of the block devices.
fn devices() -> impl Iterator<Item = String> {
    (0..device::block_devices().len()).map(|number| number.to_string())
}

/// Those that begin with `word`.
fn matching(word: &str, all: impl Iterator<Item = String>) -> Vec<Candidate> {
    all.filter(|one| one.starts_with(word))
        .map(|one| Candidate { shown: one.clone(), word: one, whole: true })
        .collect()
}

/// The files whose paths begin with `word`. Names that are not UTF-8 cannot be typed and are left out.
fn paths(word: &str) -> Vec<Candidate> {
    let (directory, name) = match word.rfind('/') {
        Some(slash) => word.split_at(slash + 1),
        None => ("", word),
    };
    let place = if directory.is_empty() { "/" } else { directory };
    let context = vfs::root_context();
    let names = vfs::lookup(&context, None, place.as_bytes(), true).and_then(|location| files::names_in(&location));
    let candidate = |found: String| {
        let path = format!("{directory}{found}");
        let is_dir = vfs::lookup(&context, None, path.as_bytes(), true).is_ok_and(|location| location.is_dir());
        let end = if is_dir { "/" } else { "" };
        Candidate { word: format!("{path}{end}"), shown: format!("{found}{end}"), whole: !is_dir }
    };
    names
        .unwrap_or_default()
        .into_iter()
        .filter_map(|found| String::from_utf8(found).ok())
        // Hidden files only when they are asked for.
        .filter(|found| found.starts_with(name) && (name.starts_with('.') || !found.starts_with('.')))
        .map(candidate)
        .collect()
}
