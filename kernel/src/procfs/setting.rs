//! `/proc/sys`: what may be set, and limits that may be asked for.

use crate::ipc::pipe;
use crate::process::{clone, credentials, files, table};
use crate::random;
use crate::version;
use crate::vfs::Result;
use crate::vfs::pseudo::{Entry, Kind, Subject, Text};
use crate::vm;
use abi::Errno;
use machine::sync::Once;

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
    row("cap_last_cap", |_, text| writeln!(text, "{LAST_CAPABILITY}")),
    Entry { name: "hostname", mode: 0o644, kind: Kind::Setting(host_name, set_host_name) },
    row("ngroups_max", |_, text| writeln!(text, "{}", credentials::MAX_GROUPS)),
    row("osrelease", |_, text| writeln!(text, "{}", version::RELEASE)),
    row("ostype", |_, text| writeln!(text, "{}", version::SYSTEM)),
    row("pid_max", |_, text| writeln!(text, "{}", table::PID_LIMIT)),
    Entry { name: "random", mode: 0o555, kind: Kind::Directory(RANDOM) },
    row("threads-max", |_, text| writeln!(text, "{}", clone::MAX_THREADS)),
    row("version", |_, text| writeln!(text, "{}", version::VERSION)),
];

const RANDOM: &[Entry] = &[
    row("boot_id", |_, text| {
        static BOOT_ID: Once<u128> = Once::new();
        put_uuid(*BOOT_ID.call_once(random_bits), text)
    }),
    row("entropy_avail", |_, text| writeln!(text, "{RANDOM_BITS}")),
    row("poolsize", |_, text| writeln!(text, "{RANDOM_BITS}")),
    row("uuid", |_, text| put_uuid(random_bits(), text)),
];

const MEMORY: &[Entry] = &[
    row("max_map_count", |_, text| writeln!(text, "{}", vm::MOST_AREAS)),
    row("mmap_min_addr", |_, text| writeln!(text, "{}", vm::USER_START)),
    // What no machine like this could have is refused, as by Linux's heuristic.
    row("overcommit_memory", |_, text| writeln!(text, "0")),
];

const FILES: &[Entry] = &[
    // Only memory bounds the number of open files.
    row("file-max", |_, text| writeln!(text, "{}", i64::MAX)),
    row("nr_open", |_, text| writeln!(text, "{}", files::MAX_FILES)),
    row("pipe-max-size", |_, text| writeln!(text, "{}", pipe::MAX_SIZE)),
];

/// What may be read alone.
const fn row(name: &'static str, make: fn(Subject, &mut Text) -> Result<()>) -> Entry {
    Entry { name, mode: 0o444, kind: Kind::Text(make) }
}

/// A number that a program has written, maybe with blanks around it.
pub(super) fn number(bytes: &[u8]) -> Result<i32> {
    let text = core::str::from_utf8(bytes.trim_ascii()).map_err(|_| Errno::EINVAL)?;
    text.parse().map_err(|_| Errno::EINVAL)
}

fn host_name(_: Subject, text: &mut Text) -> Result<()> {
    let name = version::host_name();
    text.put(&name[..name.iter().position(|&byte| byte == 0).unwrap_or(name.len())])?;
    text.put(b"\n")
}

fn set_host_name(_: Subject, bytes: &[u8]) -> Result<()> {
    version::set_host_name(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}

fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// A random UUID (RFC 9562, version 4).
fn put_uuid(bits: u128, text: &mut Text) -> Result<()> {
    let (upper, lower) = ((bits >> 64) as u64, bits as u64);
    let (upper, lower) = (upper & !0xf000 | 0x4000, lower & !(3 << 62) | 2 << 62);
    write!(text, "{:08x}-{:04x}-{:04x}-", upper >> 32, upper >> 16 & 0xffff, upper & 0xffff)?;
    writeln!(text, "{:04x}-{:012x}", lower >> 48, lower & 0xffff_ffff_ffff)
}
