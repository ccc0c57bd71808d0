//! `/proc/sys`: what may be set, and limits that may be asked for.

use crate::ipc::pipe;
use crate::ipc::sysv::{msg, sem, shm};
use crate::process::{clone, credentials, files, table};
use crate::random;
use crate::version;
use crate::vfs::Result;
use crate::vfs::pseudo::{self, Entry, Kind, Subject, Text};
use crate::vm;
use abi::Errno;
use core::fmt::Display;
use machine::sync::{Rank, SpinLock};

/// Bits of the random generator's state, all of which are random (random(4)).
const RANDOM_BITS: u32 = 256;
/// The last capability of Linux 6.1.
const LAST_CAPABILITY: u32 = 40;

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "fs", mode: 0o555, kind: Kind::Directory(FILES) },
    Entry { name: "kernel", mode: 0o555, kind: Kind::Directory(KERNEL) },
    Entry { name: "vm", mode: 0o555, kind: Kind::Directory(MEMORY) },
];

const KERNEL: &[Entry] = &[
    value("cap_last_cap", &LAST_CAPABILITY),
    Entry { name: "hostname", mode: 0o644, kind: Kind::Setting(host_name, set_host_name) },
    value("msgmax", &msg::LONGEST),
    value("msgmnb", &msg::QUEUE_BYTES),
    value("msgmni", &msg::MOST),
    value("ngroups_max", &credentials::MAX_GROUPS),
    value("osrelease", &version::RELEASE),
    value("ostype", &version::SYSTEM),
    value("pid_max", &table::PID_LIMIT),
    Entry { name: "random", mode: 0o555, kind: Kind::Directory(RANDOM) },
    Entry { name: "sem", mode: 0o444, kind: Kind::Text(semaphores) },
    value("shmall", &shm::MAX),
    value("shmmax", &shm::MAX),
    value("shmmni", &shm::MOST),
    value("threads-max", &clone::MAX_THREADS),
    value("version", &version::VERSION),
];

const RANDOM: &[Entry] = &[
    Entry { name: "boot_id", mode: 0o444, kind: Kind::Text(boot_id) },
    value("entropy_avail", &RANDOM_BITS),
    value("poolsize", &RANDOM_BITS),
    Entry { name: "uuid", mode: 0o444, kind: Kind::Text(uuid) },
];

const MEMORY: &[Entry] = &[
    value("max_map_count", &vm::MOST_AREAS),
    value("mmap_min_addr", &vm::USER_START),
    // What no machine like this could have is refused, as by Linux's heuristic.
    value("overcommit_memory", &0),
];

const FILES: &[Entry] = &[
    // Only memory bounds the number of open files.
    value("file-max", &i64::MAX),
    value("nr_open", &files::MAX_FILES),
    value("pipe-max-size", &pipe::MAX_SIZE),
];

/// A file that shows a constant.
const fn value(name: &'static str, value: &'static (dyn Display + Sync)) -> Entry {
    Entry { name, mode: 0o444, kind: Kind::Value(value) }
}

/// A number that a program has written, maybe with blanks around it.
pub(super) fn number(bytes: &[u8]) -> Result<i32> {
    let text = bytes.trim_ascii();
    let (sign, digits) = text.strip_prefix(b"-").map_or((1, text), |digits| (-1, digits));
    let value = pseudo::number(digits).and_then(|value| i32::try_from(value).ok());
    value.map(|value| sign * value).ok_or(Errno::EINVAL)
}

fn host_name(_: Subject, text: &mut Text) -> Result<()> {
    let name = version::host_name();
    text.put(&name[..name.iter().position(|&byte| byte == 0).unwrap_or(name.len())]);
    text.put(b"\n");
    Ok(())
}

fn set_host_name(_: Subject, bytes: &[u8]) -> Result<()> {
    version::set_host_name(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}

/// The limits of semget(2) and semop(2).
fn semaphores(_: Subject, text: &mut Text) -> Result<()> {
    writeln!(text, "{}\t{}\t{}\t{}", sem::MOST_IN_SET, sem::MOST_IN_ALL, sem::MOST_OPERATIONS, sem::MOST);
    Ok(())
}

fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// The same until the next boot.
fn boot_id(_: Subject, text: &mut Text) -> Result<()> {
    static BOOT_ID: SpinLock<Option<u128>> = SpinLock::new("boot id", Rank::Table, None);
    let bits = *BOOT_ID.lock().get_or_insert_with(random_bits);
    put_uuid(bits, text)
}

fn uuid(_: Subject, text: &mut Text) -> Result<()> {
    put_uuid(random_bits(), text)
}

/// A random UUID (RFC 9562, version 4).
fn put_uuid(bits: u128, text: &mut Text) -> Result<()> {
    let (upper, lower) = ((bits >> 64) as u64, bits as u64);
    let (upper, lower) = (upper & !0xf000 | 0x4000, lower & !(3 << 62) | 2 << 62);
    write!(text, "{:08x}-{:04x}-{:04x}-", upper >> 32, upper >> 16 & 0xffff, upper & 0xffff);
    writeln!(text, "{:04x}-{:012x}", lower >> 48, lower & 0xffff_ffff_ffff);
    Ok(())
}
