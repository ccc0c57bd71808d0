//! The directories of processes and threads, and the links in them.

use super::subject::{process, put_path};
use super::{memory, mounts, status};
use crate::process::{self, Process, current_thread, table};
use crate::vfs::flags::{O_ACCMODE, O_RDONLY, O_WRONLY, PERMISSION_BITS, S_IFDIR, S_IFMT};
use crate::vfs::pseudo::{Entry, Kind, Members, Next, PRIVATE, SOME, Subject, Text};
use crate::vfs::{File, FsContext, Location, Metadata, Result};
use abi::Errno;
use abi::capability::CAP_SYS_RESOURCE;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// All processes.
pub(super) static PROCESSES: Members =
    Members { next: next_process, name: None, entry: Entry { name: "", mode: 0o555, kind: Kind::Directory(&ENTRIES) } };

static THREADS: Members =
    Members { next: next_thread, name: None, entry: Entry { name: "", mode: 0o555, kind: Kind::Directory(&ENTRIES) } };

static DESCRIPTORS: Members = Members {
    next: next_descriptor,
    name: None,
    entry: Entry { name: "", mode: PRIVATE | DESCRIPTOR_LINK, kind: Kind::Magic(descriptor_path, descriptor_place) },
};

static DESCRIPTOR_INFO: Members = Members {
    next: next_descriptor,
    name: None,
    entry: Entry { name: "", mode: PRIVATE | 0o400, kind: Kind::Text(descriptor_info) },
};

/// Permission bits of links to descriptors, in place of which their own are shown.
const DESCRIPTOR_LINK: u32 = 0o700;

/// The files of a process and, but for those of a whole one, of a thread.
static ENTRIES: [Entry; 21] = [
    Entry { name: "task", mode: SOME | 0o555, kind: Kind::Members(&[], &THREADS) },
    Entry { name: "fd", mode: PRIVATE | 0o500, kind: Kind::Members(&[], &DESCRIPTORS) },
    Entry { name: "fdinfo", mode: PRIVATE | 0o555, kind: Kind::Members(&[], &DESCRIPTOR_INFO) },
    Entry { name: "auxv", mode: PRIVATE | 0o400, kind: Kind::Text(memory::auxiliary) },
    Entry { name: "cmdline", mode: 0o444, kind: Kind::Text(memory::command_line) },
    Entry { name: "comm", mode: 0o644, kind: Kind::Setting(comm, set_comm) },
    Entry { name: "cwd", mode: PRIVATE | 0o777, kind: Kind::Magic(|s, text| path(cwd(s), text), cwd) },
    Entry { name: "environ", mode: PRIVATE | 0o400, kind: Kind::Text(memory::environment) },
    Entry { name: "exe", mode: PRIVATE | 0o777, kind: Kind::Magic(|s, text| path(program(s), text), program) },
    Entry { name: "limits", mode: 0o444, kind: Kind::Text(status::limits) },
    Entry { name: "maps", mode: PRIVATE | 0o444, kind: Kind::Text(memory::maps) },
    Entry { name: "mem", mode: PRIVATE | 0o600, kind: Kind::Bytes(&memory::BYTES) },
    Entry { name: "mountinfo", mode: 0o444, kind: Kind::Text(mounts::info) },
    Entry { name: "mounts", mode: 0o444, kind: Kind::Text(mounts::table) },
    Entry { name: "oom_score", mode: 0o444, kind: Kind::Text(oom_score) },
    Entry { name: "oom_score_adj", mode: 0o644, kind: Kind::Setting(oom_score_adj, set_oom_score_adj) },
    Entry { name: "root", mode: PRIVATE | 0o777, kind: Kind::Magic(|s, text| path(root(s), text), root) },
    Entry { name: "stat", mode: 0o444, kind: Kind::Text(status::stat) },
    Entry { name: "statm", mode: 0o444, kind: Kind::Text(memory::sizes) },
    Entry { name: "status", mode: 0o444, kind: Kind::Text(status::status) },
    Entry { name: "wchan", mode: 0o444, kind: Kind::Text(wait_channel) },
];

/// Files of a process belong to whom it runs as. A link to a descriptor shows how that was opened.
pub(super) fn describe(subject: Subject, entry: &Entry, metadata: &mut Metadata) {
    let Ok(process) = process(subject) else { return };
    // The directory shows whose it is in any case; what is in it is root's if the process is not to be looked into.
    let is_directory = metadata.mode & S_IFMT == S_IFDIR;
    if is_directory || process.is_dumpable() {
        let credentials = process.credentials();
        (metadata.uid, metadata.gid) = (credentials.user.effective, credentials.group.effective);
    }
    if entry.mode & PERMISSION_BITS == DESCRIPTOR_LINK
        && let Ok(file) = descriptor(subject)
    {
        let access = match file.flags() & O_ACCMODE {
            O_RDONLY => 0o500,
            O_WRONLY => 0o300,
            _ => 0o700,
        };
        metadata.mode = metadata.mode & !PERMISSION_BITS | access;
    }
}

fn next_process(_: Subject, from: u64) -> Next {
    let Ok(from) = u32::try_from(from) else { return Ok(None) };
    Ok(table::next_from(from).map(|process| {
        let number = process.pid().into();
        (number, Subject { object: number, stamp: process.started().as_ns(), ..Subject::default() })
    }))
}

fn next_thread(subject: Subject, from: u64) -> Next {
    let threads = process(subject).map_err(|_| Errno::ENOENT)?.threads();
    let next = threads.iter().map(|thread| thread.tid()).filter(|&tid| u64::from(tid) >= from).min();
    Ok(next.map(|tid| (tid.into(), Subject { part: tid, ..subject })))
}

fn next_descriptor(subject: Subject, from: u64) -> Next {
    let process = process(subject).map_err(|_| Errno::ENOENT)?;
    let next = process.files.with(|files| files.next_from(from as usize));
    Ok(next.map(|fd| (fd as u64, Subject { member: fd as u32, ..subject })))
}

/// The open file that a link is about. ENOENT once it is closed.
fn descriptor(subject: Subject) -> Result<Arc<File>> {
    let file = process(subject)?.files.with(|files| files.get(subject.member as i32));
    file.map_err(|_| Errno::ENOENT)
}

fn descriptor_place(subject: Subject) -> Result<Location> {
    descriptor(subject)?.place()
}

fn descriptor_path(subject: Subject, text: &mut Text) -> Result<()> {
    path(descriptor_place(subject), text)
}

fn descriptor_info(subject: Subject, text: &mut Text) -> Result<()> {
    let file = descriptor(subject)?;
    let (position, place) = (file.position(), file.place()?);
    writeln!(text, "pos:\t{position}\nflags:\t0{:o}\nmnt_id:\t{}", file.flags(), place.mount().id);
    writeln!(text, "ino:\t{}", file.metadata()?.ino);
    Ok(())
}

/// Root and working directory, with what has been mounted over them.
fn directories(subject: Subject) -> Result<FsContext> {
    let process = alive(subject)?;
    let directories = process.position.with(|position| FsContext::clone(&position.context));
    Ok(directories.on_top())
}

fn cwd(subject: Subject) -> Result<Location> {
    Ok(directories(subject)?.cwd)
}

fn root(subject: Subject) -> Result<Location> {
    Ok(directories(subject)?.root)
}

fn program(subject: Subject) -> Result<Location> {
    let space = alive(subject)?.try_space().ok_or(Errno::ENOENT)?;
    space.program().map(|program| program.file.clone()).ok_or(Errno::ENOENT)
}

/// A process of which there is more than its exit status.
fn alive(subject: Subject) -> Result<Arc<Process>> {
    process(subject).ok().filter(|process| !process.is_gone()).ok_or(Errno::ENOENT)
}

fn path(place: Result<Location>, text: &mut Text) -> Result<()> {
    put_path(&place?, b"", text);
    Ok(())
}

fn comm(subject: Subject, text: &mut Text) -> Result<()> {
    status::put_name(&*process(subject)?, subject, text)?;
    text.put(b"\n");
    Ok(())
}

/// The name of a thread, as its process may set it.
fn set_comm(subject: Subject, bytes: &[u8]) -> Result<()> {
    let process = process(subject)?;
    let thread = super::subject::thread(&process, subject)?.ok_or(Errno::ESRCH)?;
    if current_thread().is_none_or(|current| current.process().pid() != process.pid()) {
        return Err(Errno::EINVAL);
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut name = [0; 15];
    let len = bytes.len().min(name.len());
    name[..len].copy_from_slice(&bytes[..len]);
    thread.set_name(name);
    Ok(())
}

/// In thousandths of the memory.
fn oom_score(subject: Subject, text: &mut Text) -> Result<()> {
    let badness = process::badness(&*process(subject)?).unwrap_or(0).max(0);
    text.line(&(badness * 1000 / (machine::mm::frame::total() as i64).max(1)))
}

fn oom_score_adj(subject: Subject, text: &mut Text) -> Result<()> {
    text.line(&process(subject)?.oom_score_adj.load(Ordering::Relaxed))
}

/// Only root lowers it.
fn set_oom_score_adj(subject: Subject, bytes: &[u8]) -> Result<()> {
    let process = process(subject)?;
    let wanted: i32 = super::setting::number(bytes)?;
    if !(process::OOM_SCORE_ADJ_MIN..=-process::OOM_SCORE_ADJ_MIN).contains(&wanted) {
        return Err(Errno::EINVAL);
    }
    let privileged = current_thread().is_none_or(|thread| thread.process().credentials().has(CAP_SYS_RESOURCE));
    if wanted < process.oom_score_adj.load(Ordering::Relaxed) && !privileged {
        return Err(Errno::EACCES);
    }
    process.oom_score_adj.store(wanted, Ordering::Relaxed);
    Ok(())
}

/// What a thread sleeps for, without blanks; 0 if it does not.
fn wait_channel(subject: Subject, text: &mut Text) -> Result<()> {
    let waits_for = status::View::of(subject)?.waits_for;
    for byte in if waits_for.is_empty() { "0" } else { waits_for }.bytes() {
        text.put(&[if byte == b' ' { b'_' } else { byte }]);
    }
    Ok(())
}
