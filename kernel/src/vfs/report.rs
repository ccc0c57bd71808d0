//! What is reported to those who watch files ([`super::notify`]), by the names in use.

use super::dentry::Dentry;
use super::flags;
use super::inode::{AttributeChange, Inode};
use super::notify::{anybody, tell, with_kind};
use abi::inotify::*;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use fs::FileType;

/// `event` has happened to the file of `dentry`, by that name.
#[inline]
pub(super) fn used(dentry: &Dentry, event: u32) {
    if anybody() {
        tell_used(dentry, event);
    }
}

#[cold]
fn tell_used(dentry: &Dentry, event: u32) {
    let event = with_kind(event, dentry.kind());
    if let Some(parent) = dentry.parent() {
        tell(parent.inode(), event, 0, &dentry.name(), dentry.is_removed());
    }
    tell(dentry.inode(), event, 0, b"", false);
}

/// `event` has happened to `inode`, whatever it is called.
#[inline]
pub(super) fn changed(inode: &Arc<dyn Inode>, event: u32) {
    if anybody() {
        tell(inode, with_kind(event, inode.file_type()), 0, b"", false);
    }
}

/// `event` has happened to the name `name` of a file of `kind` in `directory`.
#[inline]
pub(super) fn named(directory: &Dentry, event: u32, name: &[u8], kind: FileType) {
    if anybody() {
        tell(directory.inode(), with_kind(event, kind), 0, name, false);
    }
}

/// A file has been renamed, in the place of `replaced`.
pub(super) fn moved(
    moved: &Arc<dyn Inode>,
    (from, name): (&Dentry, &[u8]),
    (to, new_name): (&Dentry, &[u8]),
    replaced: Option<&Arc<dyn Inode>>,
) {
    static COOKIE: AtomicU32 = AtomicU32::new(1);
    if !anybody() {
        return;
    }
    let cookie = COOKIE.fetch_add(1, Ordering::Relaxed);
    let kind = moved.file_type();
    tell(from.inode(), with_kind(IN_MOVED_FROM, kind), cookie, name, false);
    tell(to.inode(), with_kind(IN_MOVED_TO, kind), cookie, new_name, false);
    if let Some(replaced) = replaced {
        changed(replaced, IN_ATTRIB);
    }
    tell(moved, with_kind(IN_MOVE_SELF, kind), 0, b"", false);
}

/// What closing a file with these flags is.
pub(super) fn closing(file_flags: u32) -> u32 {
    if file_flags & flags::O_ACCMODE == flags::O_RDONLY { IN_CLOSE_NOWRITE } else { IN_CLOSE_WRITE }
}

/// What a change of attributes is.
pub(super) fn changing(change: &AttributeChange) -> u32 {
    let AttributeChange { mode, uid, gid, atime, mtime } = change;
    match (atime, mtime) {
        _ if mode.is_some() || uid.is_some() || gid.is_some() => IN_ATTRIB,
        (Some(_), Some(_)) => IN_ATTRIB,
        (Some(_), None) => IN_ACCESS,
        (None, Some(_)) => IN_MODIFY,
        (None, None) => 0,
    }
}
