//! The memory of a process: what is mapped, how much of it there is, and what execve(2) put into it.

use super::subject::{process, put_path};
use crate::process::Process;
use crate::vfs::Result;
use crate::vfs::pseudo::{Bytes, Subject, Text};
use crate::vm::{AddressSpace, Area, Backing, Program};
use abi::Errno;
use abi::fs::split_dev;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use machine::addr::PAGE_SIZE;

/// Where the name of a mapping stands in its line.
const NAME_COLUMN: usize = 73;
/// Where segments of shared memory seem to be files of.
const SEGMENT_DEVICE: u64 = 1;
const PAGE: u64 = PAGE_SIZE as u64;

/// `/proc/[pid]/maps`. Empty once the process has ended.
pub(super) fn maps(subject: Subject, text: &mut Text) -> Result<()> {
    let Some(space) = process(subject)?.try_space() else { return Ok(()) };
    let areas = areas(&space)?;
    let heap = space.heap();
    let (stack, vdso) = space.program().map_or((0, 0), |program| (program.stack, program.vdso));
    for area in &areas {
        let start = text.bytes().len();
        let letter = |holds: bool, letter: char| if holds { letter } else { '-' };
        let has = area.protection;
        let (read, write) = (letter(has.read, 'r'), letter(has.read && has.write, 'w'));
        let execute = letter(has.read && has.execute, 'x');
        let shared = if area.is_shared() { 's' } else { 'p' };
        write!(text, "{:08x}-{:08x} {read}{write}{execute}{shared} ", area.start, area.end);
        let file = area.file_page(area.start);
        let segment = match &area.backing {
            Backing::SharedMemory(memory, first) => memory.label().map(|label| (label, *first)),
            _ => None,
        };
        let (device, ino) = match (file, segment) {
            (Some((file, _)), _) => file.metadata().map_or((0, 0), |metadata| (metadata.dev, metadata.ino)),
            (None, Some((label, _))) => (SEGMENT_DEVICE, label.id as u64),
            (None, None) => (0, 0),
        };
        let (major, minor) = split_dev(device);
        let offset = file.map(|(_, page)| page).or(segment.map(|(_, page)| page)).map_or(0, |page| page * PAGE);
        write!(text, "{offset:08x} {major:02x}:{minor:02x} {ino} ");
        let name: &[u8] = match &area.backing {
            Backing::SharedMemory(..) if area.start == vdso => b"[vdso]",
            Backing::SharedMemory(..) => b"/dev/zero (deleted)",
            Backing::Anonymous if (area.start..area.end).contains(&stack) => b"[stack]",
            Backing::Anonymous if area.start < heap.1 && area.end > heap.0 => b"[heap]",
            _ => b"",
        };
        if file.is_some() || !name.is_empty() {
            let written = text.bytes().len() - start;
            write!(text, "{:width$}", "", width = NAME_COLUMN.saturating_sub(written));
        }
        match (file, segment) {
            (Some((file, _)), _) => put_path(&file.place()?, b"\n", text),
            (None, Some((label, _))) => write!(text, "/SYSV{:08x} (deleted)", label.key),
            (None, None) => text.put(name),
        }
        text.put(b"\n");
    }
    Ok(())
}

/// A copy of all areas, so that nothing is locked while files are asked for their names.
fn areas(space: &AddressSpace) -> Result<Vec<Area>> {
    let mut areas = Vec::new();
    let mut result = Ok(());
    space.for_each_area(|area| match areas.try_reserve(1) {
        Ok(()) => areas.push(area.snapshot()),
        Err(_) => result = Err(Errno::ENOMEM),
    });
    result.map(|()| areas)
}

/// `/proc/[pid]/mem`.
pub(super) static BYTES: Bytes = Bytes {
    read: |subject, position, out| {
        let Some(space) = process(subject)?.try_space() else { return Ok(0) };
        some(space.read(position, out), out.len())
    },
    write: |subject, position, bytes| {
        let Some(space) = process(subject)?.try_space() else { return Ok(0) };
        some(space.write(position, bytes), bytes.len())
    },
};

fn some(done: usize, wanted: usize) -> Result<usize> {
    if done == 0 && wanted > 0 { Err(Errno::EIO) } else { Ok(done) }
}

/// How much a process has of what, in bytes or, where it says so, pages.
#[derive(Default)]
struct Sizes {
    mapped: u64,
    locked: u64,
    data: u64,
    stack: u64,
    code: u64,
    /// Pages.
    anonymous: u64,
    file: u64,
    shared_memory: u64,
}

fn measure(space: &AddressSpace) -> Sizes {
    let (totals, resident) = (space.totals(), space.resident());
    Sizes {
        mapped: totals.mapped,
        locked: totals.locked,
        data: totals.data,
        stack: space.stack_bytes(),
        code: space.program().map_or(0, |program| program.code.end - program.code.start),
        anonymous: resident.anonymous,
        file: resident.file,
        shared_memory: resident.shared_memory,
    }
}

/// `/proc/[pid]/statm`, in pages.
pub(super) fn sizes(subject: Subject, text: &mut Text) -> Result<()> {
    let sizes = process(subject)?.try_space().map_or(Sizes::default(), |space| measure(&space));
    let shared = sizes.file + sizes.shared_memory;
    write!(text, "{} {} {shared} ", sizes.mapped / PAGE, sizes.anonymous + shared);
    writeln!(text, "{} 0 {} 0", sizes.code.div_ceil(PAGE), (sizes.data + sizes.stack) / PAGE);
    Ok(())
}

/// The lines of `/proc/[pid]/status` about memory; none once the process has ended.
pub(super) fn status(process: &Process, text: &mut Text) {
    let Some(space) = process.try_space() else { return };
    let sizes = measure(&space);
    let rows = [
        ("VmSize", sizes.mapped),
        ("VmLck", sizes.locked),
        ("VmRSS", (sizes.anonymous + sizes.file + sizes.shared_memory) * PAGE),
        ("RssAnon", sizes.anonymous * PAGE),
        ("RssFile", sizes.file * PAGE),
        ("RssShmem", sizes.shared_memory * PAGE),
        ("VmData", sizes.data),
        ("VmStk", sizes.stack),
        ("VmExe", sizes.code),
    ];
    for (name, bytes) in rows {
        writeln!(text, "{name}:\t{:8} kB", bytes.div_ceil(1024));
    }
}

/// `/proc/[pid]/cmdline`: the arguments as they stand in the process's memory, each with its zero. A program that has
/// overwritten the last of these zeros is taken to show something else, up to the first one.
pub(super) fn command_line(subject: Subject, text: &mut Text) -> Result<()> {
    let Some((space, program)) = program(subject)? else { return Ok(()) };
    copy(&space, &program.args, text);
    if text.bytes().last().is_some_and(|&byte| byte != 0) {
        copy(&space, &program.env, text);
        let bytes = text.bytes();
        let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        bytes.truncate(len);
    }
    Ok(())
}

/// `/proc/[pid]/environ`: the environment that the program began with, as it is in memory now.
pub(super) fn environment(subject: Subject, text: &mut Text) -> Result<()> {
    let Some((space, program)) = program(subject)? else { return Ok(()) };
    copy(&space, &program.env, text);
    Ok(())
}

/// `/proc/[pid]/auxv`.
pub(super) fn auxiliary(subject: Subject, text: &mut Text) -> Result<()> {
    let Some((space, program)) = program(subject)? else { return Ok(()) };
    copy(&space, &program.auxiliary, text);
    Ok(())
}

fn program(subject: Subject) -> Result<Option<(Arc<AddressSpace>, Arc<Program>)>> {
    let space = process(subject)?.try_space();
    Ok(space.and_then(|space| space.program().cloned().map(|program| (space, program))))
}

fn copy(space: &AddressSpace, range: &Range<u64>, text: &mut Text) {
    text.fill((range.end - range.start) as usize, |out| space.read(range.start, out));
}
