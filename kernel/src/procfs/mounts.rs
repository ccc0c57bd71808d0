//! What is mounted: mounts, mountinfo, filesystems.

use super::subject::process;
use crate::vfs::pseudo::{Subject, Text};
use crate::vfs::{self, MountInfo, Result};
use abi::fs::split_dev;

/// Bytes that stand in octal in these files.
const SPECIAL: &[u8] = b" \t\n\\#";

fn put_options(mount: &MountInfo, text: &mut Text) {
    mount.options.words().iter().for_each(|word| text.put(word.as_bytes()));
}

/// `/proc/[pid]/mounts`, as fstab(5). All processes see the same.
pub(super) fn table(subject: Subject, text: &mut Text) -> Result<()> {
    process(subject)?;
    for mount in vfs::mounts() {
        text.escaped(mount.source.as_bytes(), SPECIAL);
        text.put(b" ");
        text.escaped(&mount.at, SPECIAL);
        write!(text, " {} ", mount.type_name);
        put_options(&mount, text);
        text.put(b" 0 0\n");
    }
    Ok(())
}

/// `/proc/[pid]/mountinfo`.
pub(super) fn info(subject: Subject, text: &mut Text) -> Result<()> {
    process(subject)?;
    for mount in vfs::mounts() {
        let (major, minor) = split_dev(mount.device);
        write!(text, "{} {} {major}:{minor} ", mount.id, mount.parent_id);
        text.escaped(&mount.begins, SPECIAL);
        text.put(b" ");
        text.escaped(&mount.at, SPECIAL);
        text.put(b" ");
        put_options(&mount, text);
        write!(text, " - {} ", mount.type_name);
        text.escaped(mount.source.as_bytes(), SPECIAL);
        writeln!(text, " {}", if mount.options.read_only { "ro" } else { "rw" });
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
