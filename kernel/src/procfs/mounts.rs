//! What is mounted: mounts, mountinfo, filesystems.

use super::subject::process;
use crate::vfs::pseudo::{Subject, Text};
use crate::vfs::{self, MountInfo, Result};
use abi::fs::split_dev;

/// Bytes that stand in octal in these files.
const SPECIAL: &[u8] = b" \t\n\\#";

fn access(mount: &MountInfo) -> &'static str {
    if mount.read_only { "ro" } else { "rw" }
}

/// `/proc/[pid]/mounts`, as fstab(5). All processes see the same.
pub(super) fn table(subject: Subject, text: &mut Text) -> Result<()> {
    process(subject)?;
    for mount in vfs::mounts() {
        text.escaped(mount.source.as_bytes(), SPECIAL);
        text.put(b" ");
        text.escaped(&mount.at, SPECIAL);
        writeln!(text, " {} {} 0 0", mount.type_name, access(&mount));
    }
    Ok(())
}

/// `/proc/[pid]/mountinfo`.
pub(super) fn info(subject: Subject, text: &mut Text) -> Result<()> {
    process(subject)?;
    for mount in vfs::mounts() {
        let (major, minor) = split_dev(mount.device);
        write!(text, "{} {} {major}:{minor} / ", mount.id, mount.parent_id);
        text.escaped(&mount.at, SPECIAL);
        write!(text, " {0} - {1} ", access(&mount), mount.type_name);
        text.escaped(mount.source.as_bytes(), SPECIAL);
        writeln!(text, " {}", access(&mount));
    }
    Ok(())
}

/// `/proc/filesystems`.
pub(super) fn types(_: Subject, text: &mut Text) -> Result<()> {
    for (name, on_device) in vfs::TYPES {
        writeln!(text, "{}\t{name}", if *on_device { "" } else { "nodev" });
    }
    Ok(())
}
