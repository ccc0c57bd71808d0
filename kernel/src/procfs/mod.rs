//! proc(5): what processes and the system are and do, as files.
//!
//! The tables are in the files of their groups; `vfs::pseudo` makes a file system of them. The subject of a file is a
//! process: its number, when it was started, and, where that matters, a thread and a descriptor. Files about the system
//! have none. Nothing is locked here across what is asked for.

mod cpu;
mod memory;
mod mounts;
mod net;
mod process;
mod setting;
mod status;
mod subject;
mod system;
mod sysv;

pub use system::disk_counts;

use crate::process::current_thread;
use crate::vfs::pseudo::{self, Entry, Kind, PRIVATE, PseudoFs, Subject, Text};
use crate::vfs::{self, Metadata, MountError, MountSource, Result};
use abi::Errno;
use abi::capability::CAP_SYS_ADMIN;

/// `PROC_SUPER_MAGIC` of `statfs(2)`.
const MAGIC: u64 = 0x9fa0;

static FILE_SYSTEM: PseudoFs = PseudoFs {
    type_name: "proc",
    magic: MAGIC,
    root: Entry { name: "", mode: 0o555, kind: Kind::Members(ROOT, &process::PROCESSES) },
    check,
    // Of a process, not of its threads.
    has: |subject, _| subject.part == 0,
    describe,
};

const ROOT: &[Entry] = &[
    Entry { name: "self", mode: 0o777, kind: Kind::Link(own_process) },
    Entry { name: "thread-self", mode: 0o777, kind: Kind::Link(own_thread) },
    Entry { name: "cmdline", mode: 0o444, kind: Kind::Text(system::command_line) },
    Entry { name: "cpuinfo", mode: 0o444, kind: Kind::Text(cpu::info) },
    Entry { name: "devices", mode: 0o444, kind: Kind::Text(system::devices) },
    Entry { name: "diskstats", mode: 0o444, kind: Kind::Text(system::disks) },
    Entry { name: "filesystems", mode: 0o444, kind: Kind::Text(mounts::types) },
    Entry { name: "interrupts", mode: 0o444, kind: Kind::Text(system::interrupts) },
    Entry { name: "kmsg", mode: PRIVATE | 0o400, kind: Kind::Text(system::log) },
    Entry { name: "loadavg", mode: 0o444, kind: Kind::Text(system::load) },
    Entry { name: "meminfo", mode: 0o444, kind: Kind::Text(system::memory) },
    Entry { name: "mounts", mode: 0o777, kind: Kind::Link(own_mounts) },
    Entry { name: "net", mode: 0o555, kind: Kind::Directory(NET) },
    Entry { name: "partitions", mode: 0o444, kind: Kind::Text(system::partitions) },
    Entry { name: "stat", mode: 0o444, kind: Kind::Text(system::statistics) },
    Entry { name: "swaps", mode: 0o444, kind: Kind::Text(system::swaps) },
    Entry { name: "sys", mode: 0o555, kind: Kind::Directory(setting::ENTRIES) },
    Entry { name: "sysvipc", mode: 0o555, kind: Kind::Directory(sysv::ENTRIES) },
    Entry { name: "uptime", mode: 0o444, kind: Kind::Text(system::uptime) },
    Entry { name: "version", mode: 0o444, kind: Kind::Text(system::version) },
    Entry { name: "vmstat", mode: 0o444, kind: Kind::Text(system::pages) },
];

const NET: &[Entry] = &[
    Entry { name: "tcp", mode: 0o444, kind: Kind::Text(net::tcp) },
    Entry { name: "udp", mode: 0o444, kind: Kind::Text(net::udp) },
    Entry { name: "unix", mode: 0o444, kind: Kind::Text(net::unix) },
];

/// What to mount as a proc.
pub fn source() -> MountSource {
    MountSource::Other("proc", pseudo::mountable(&FILE_SYSTEM))
}

/// Mounts it on /proc, which the root file system has or gets.
pub fn init() -> core::result::Result<(), MountError> {
    vfs::mount(source(), &vfs::root_context(), b"/proc", vfs::MountOptions::default())
}

/// Of the files about the system, those that are private are root's.
fn check(subject: Subject, private: bool) -> Result<()> {
    if subject.object != 0 {
        return subject::check(subject, private);
    }
    match current_thread() {
        Some(thread) if private && !thread.process().credentials().has(CAP_SYS_ADMIN) => Err(Errno::EACCES),
        _ => Ok(()),
    }
}

fn describe(subject: Subject, entry: &Entry, metadata: &mut Metadata) {
    if subject.object != 0 {
        process::describe(subject, entry, metadata);
    }
}

/// The link to the process that reads it.
fn own_process(_: Subject, text: &mut Text) -> Result<()> {
    let thread = current_thread().ok_or(Errno::ENOENT)?;
    write!(text, "{}", thread.process().pid());
    Ok(())
}

/// The link to the thread that reads it.
fn own_thread(_: Subject, text: &mut Text) -> Result<()> {
    let thread = current_thread().ok_or(Errno::ENOENT)?;
    write!(text, "{}/task/{}", thread.process().pid(), thread.tid());
    Ok(())
}

/// `/proc/mounts`: each process has its own.
fn own_mounts(_: Subject, text: &mut Text) -> Result<()> {
    text.put(b"self/mounts");
    Ok(())
}
