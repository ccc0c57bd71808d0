//! The time of the last read: set after a read, a listing of a directory or the following of a symbolic link, as the mount
//! has it. Nothing depends on whether it could be set.

use super::clock;
use super::inode::{Inode, Time};
use super::mount_options::{AccessTimes, MountOptions};
use fs::FileType;

/// With `relatime`, how old an access time gets before it is set all the same, in seconds.
const A_DAY: i64 = 24 * 60 * 60;

/// `inode` has been read through a mount with these options that lets it be changed.
pub(super) fn read(options: MountOptions, inode: &dyn Inode) {
    let skipped = options.no_directory_times && inode.file_type() == FileType::Directory;
    if options.access_times == AccessTimes::Never || skipped {
        return;
    }
    let Some([access, content, changed]) = inode.times() else { return };
    let now = clock::now();
    let due = match options.access_times {
        AccessTimes::Relative => access <= content || access <= changed || is_old(access, now),
        _ => access != now,
    };
    if due {
        inode.accessed(now);
    }
}

fn is_old(access: Time, now: Time) -> bool {
    now.0.saturating_sub(access.0) >= A_DAY
}
