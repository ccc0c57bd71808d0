//! The table of mounts as it is changed: entering, moving and taking out mounts, and mounts of a part of a tree that is shown
//! elsewhere already (`MS_BIND`).
//!
//! [`MOUNTING`] is held by whoever changes the table; walks see each change whole, by the table's own lock. A mount that is
//! detached while it is in use lives on with its users; its volume waits in [`LEFT`] for the last of them to go.

use super::location::{Location, MOUNTS, Mount, MountEntry, Volume};
use super::{FsContext, Result, notify, walk, write_back};
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use machine::sync::{Mutex, Rank, SpinLock};

pub(super) static MOUNTING: Mutex<()> = Mutex::new("mount", ());

/// Volumes that no mount of the table shows, and somebody still uses.
static LEFT: SpinLock<Vec<Arc<Volume>>> = SpinLock::new("volumes left", Rank::Table, Vec::new());

/// Shows what is at `source` at `target`, too; with `all` also what is mounted below it.
pub fn bind(context: &FsContext, source: &[u8], target: &Location, all: bool) -> Result<()> {
    let _held = MOUNTING.lock();
    let source = walk::lookup(context, None, source, true)?;
    check_kinds(&source, target)?;
    let mount = copy(&source.mount, &source);
    // What is below is looked up before, so that the new mount is not among it.
    let inner = if all { mounts_below(&source) } else { Vec::new() };
    attach(&mount, target);
    let mut copies = alloc::vec![(source.mount.clone(), mount)];
    for (inner, point) in inner {
        // The mount it lies on has been copied before, as it is older.
        let Some((_, below)) = copies.iter().find(|(old, _)| Arc::ptr_eq(old, &point.mount)) else { continue };
        let new = copy(&inner, &Location::mount_root(&inner));
        attach(&new, &Location { mount: below.clone(), dentry: point.dentry.clone() });
        copies.push((inner, new));
    }
    Ok(())
}

/// Moves the mount that is at `source` to `target` (`MS_MOVE`): EINVAL if there is none, ELOOP if that is in it.
pub fn move_mount(context: &FsContext, source: &[u8], target: &Location) -> Result<()> {
    let _held = MOUNTING.lock();
    let source = walk::lookup(context, None, source, true)?;
    if !source.is_mount_root() {
        return Err(Errno::EINVAL);
    }
    let old = source.covered().ok_or(Errno::EINVAL)?;
    check_kinds(&source, target)?;
    let mut at = Some(target.clone());
    while let Some(place) = at {
        if Arc::ptr_eq(&place.mount, &source.mount) {
            return Err(Errno::ELOOP);
        }
        at = place.covered();
    }
    repoint(&source.mount, &old, target.clone());
    Ok(())
}

/// Takes the mount that is at `place`, and all that is mounted in it, out of the tree, whoever uses it.
pub(super) fn detach_tree(place: &Location) -> Result<()> {
    if !place.is_mount_root() {
        return Err(Errno::EINVAL);
    }
    place.covered().ok_or(Errno::EBUSY)?;
    let mut all: Vec<Arc<Mount>> = mounts_below(place).into_iter().map(|(mount, _)| mount).collect();
    all.insert(0, place.mount.clone());
    while let Some(mount) = all.pop() {
        let entry = {
            let mut mounts = MOUNTS.lock();
            let at = mounts.iter().position(|entry| Arc::ptr_eq(&entry.mount, &mount));
            at.map(|at| mounts.remove(at))
        };
        mount.detached.store(true, Ordering::Relaxed);
        if let Some(point) = entry.and_then(|entry| entry.point) {
            release_point(&point);
        }
        LEFT.lock().push(mount.volume.clone());
    }
    Ok(())
}

/// Leaves the volumes of detached mounts that nobody uses any more. Called now and then, without locks.
pub(super) fn settle() {
    if LEFT.lock().is_empty() {
        return;
    }
    let _held = MOUNTING.lock();
    settle_locked();
}

/// The same for who holds [`MOUNTING`].
pub(super) fn settle_locked() {
    let left = core::mem::take(&mut *LEFT.lock());
    for volume in left {
        // Two mounts of it may have been detached.
        if Arc::strong_count(&volume) > 1 {
            LEFT.lock().push(volume);
        } else if let Err(error) = leave(volume) {
            log::error!("leaving a detached file system: {error}");
        }
    }
}

/// No mount shows the volume any more, unless others do.
pub(super) fn leave(volume: Arc<Volume>) -> Result<()> {
    if Arc::strong_count(&volume) > 1 {
        return Ok(());
    }
    notify::unmounted(volume.device);
    volume.root.prune();
    let result = volume.file_system.finish();
    let system = Arc::downgrade(&volume.file_system);
    drop(volume);
    write_back::wait_until_let_go(&system);
    result
}

/// ENOTDIR unless both or neither are directories; ENOENT where names are not kept.
fn check_kinds(source: &Location, target: &Location) -> Result<()> {
    if source.is_dir() != target.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    match source.is_removed() || target.is_removed() || !target.dentry.keeps_mounts() {
        true => Err(Errno::ENOENT),
        false => Ok(()),
    }
}

/// A mount of what is at `root`, with the options of `mount`.
fn copy(mount: &Arc<Mount>, root: &Location) -> Arc<Mount> {
    Mount::of_part(mount.volume.clone(), root.dentry.clone(), mount.source.clone(), mount.options.get())
}

/// All mounts that lie on places at or below `place`, and in these, oldest first.
fn mounts_below(place: &Location) -> Vec<(Arc<Mount>, Location)> {
    let all: Vec<(Arc<Mount>, Location)> = {
        let mounts = MOUNTS.lock();
        mounts.iter().filter_map(|entry| Some((entry.mount.clone(), entry.point.clone()?))).collect()
    };
    let mut found: Vec<(Arc<Mount>, Location)> = Vec::new();
    for (mount, point) in all {
        let here = Arc::ptr_eq(&point.mount, &place.mount) && point.dentry.is_below(&place.dentry);
        if here || found.iter().any(|(below, _)| Arc::ptr_eq(below, &point.mount)) {
            found.push((mount, point));
        }
    }
    found
}

pub(super) fn attach(mount: &Arc<Mount>, point: &Location) {
    MOUNTS.lock().push(MountEntry { mount: mount.clone(), point: Some(point.clone()) });
    point.dentry.mounts.fetch_add(1, Ordering::Release);
}

pub(super) fn release_point(point: &Location) {
    let left = point.dentry.mounts.fetch_sub(1, Ordering::AcqRel) - 1;
    if point.dentry.synthetic
        && left == 0
        && let Some(parent) = point.dentry.parent()
    {
        parent.forget_synthetic(&point.dentry.name());
    }
}

pub(super) fn repoint(mount: &Arc<Mount>, old: &Location, new: Location) {
    new.dentry.mounts.fetch_add(1, Ordering::Release);
    let replaced = {
        let mut mounts = MOUNTS.lock();
        let entry = mounts.iter_mut().find(|entry| Arc::ptr_eq(&entry.mount, mount));
        entry.and_then(|entry| entry.point.replace(new))
    };
    drop(replaced);
    release_point(old);
}
