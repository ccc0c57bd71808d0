//! Mounting and unmounting.
//!
//! Called by the shell, by `mount(2)` and at start. [`binding::MOUNTING`] lets one caller at a time change the table; walks see
//! each change whole, by the table's own lock.

use super::block_node::{BlockNode, block_node};
use super::dentry::Dentry;
use super::inode::{FileSystem, FileType};
use super::location::{Location, MOUNTS, Mount, MountEntry, Volume};
use super::mount_error::MountError;
use super::mount_options::MountOptions;
use super::walk::{self, Walk};
use super::{FatOptions, FsContext, Result, Who, binding, devfs, ext2, fat, tmpfs::TmpFs};
use abi::Errno;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// What to mount.
#[derive(Clone)]
pub enum MountSource {
    /// The file system on a disk or partition.
    Block(Arc<BlockNode>, DiskFormat),
    /// A new file system in memory.
    Tmpfs,
    /// The tree of devices.
    Dev,
    /// A file system that another part of the kernel makes (proc), under the name to be shown as its source.
    Other(&'static str, Arc<dyn FileSystem>),
}

/// What a disk is to hold.
#[derive(Clone, Copy)]
pub enum DiskFormat {
    /// Whatever it holds.
    Any,
    /// An ext2.
    Ext2,
    /// A FAT, mounted with these options.
    Fat(FatOptions),
}

/// The disk or partition whose device node is at `path`: ENOTBLK if that is something else, ENXIO if there is no such
/// device.
pub fn disk_at(context: &FsContext, path: &[u8]) -> Result<Arc<BlockNode>> {
    let place = walk::lookup(context, None, path, true)?;
    match place.file_type() {
        FileType::BlockDevice => block_node(abi::fs::split_dev(place.metadata()?.rdev)).ok_or(Errno::ENXIO),
        _ => Err(Errno::ENOTBLK),
    }
}

/// A line of `/proc/mounts`.
#[derive(Clone)]
pub struct MountInfo {
    /// What is mounted.
    pub source: String,
    /// Where: an absolute path.
    pub at: Vec<u8>,
    /// Type of file system.
    pub type_name: &'static str,
    /// Its options; `read_only` as it comes out, whatever forbids changes.
    pub options: MountOptions,
    /// Where in the file system it begins: an absolute path there.
    pub begins: Vec<u8>,
    /// Number of the mount.
    pub id: u64,
    /// Number of the mount that it lies on; its own for the first of all.
    pub parent_id: u64,
    /// `st_dev` of its files.
    pub device: u64,
    /// Its root directory.
    pub root: Location,
}

/// Mounts `source` over the directory `at`.
///
/// Where a directory lacks only the last name, it is made, or, where the file system cannot be written, stands for itself
/// as long as the mount does. A mount over the root takes the mounts of the old root's directories along, /dev above all,
/// and an unmount brings them back; where the new root has no such directory, one stands for itself. `mount(2)` looks the place up beforehand and so gives ENOENT as on Linux.
pub fn mount(
    source: MountSource,
    context: &FsContext,
    at: &[u8],
    options: MountOptions,
) -> core::result::Result<(), MountError> {
    let _held = binding::MOUNTING.lock();
    let (volume, name) = open_volume(&source)?;
    let options = MountOptions { read_only: options.read_only || !can_be_written(&volume, &name), ..options };
    let point = mount_point(context, at).map_err(|error| MountError::place(at, error))?;
    let mount = Mount::new(volume, name, options);
    let covers_root = point.is_same(&context.root.clone().top());
    binding::attach(&mount, &point);
    if covers_root {
        move_mounts(&point, &Location::mount_root(&mount));
    }
    Ok(())
}

/// How to unmount.
#[derive(Clone, Copy, Default)]
pub struct UnmountHow {
    /// Also while it is in use: it leaves the tree, with all that is mounted in it, and is left when its last use ends.
    pub detach: bool,
    /// Only if nobody has come in since the last call of this kind; else the mount is marked and EAGAIN comes back.
    pub expire: bool,
    /// The place itself, should it be a symbolic link.
    pub no_follow: bool,
}

/// Unmounts what is mounted at `at`: EINVAL if nothing is, EBUSY if something in it is in use.
pub fn unmount(context: &FsContext, at: &[u8], how: UnmountHow) -> core::result::Result<(), MountError> {
    let _held = binding::MOUNTING.lock();
    let place = walk::lookup(context, None, at, !how.no_follow).map_err(|error| MountError::place(at, error))?;
    let result = match how {
        UnmountHow { detach: true, .. } => {
            let detached = binding::detach_tree(&place);
            drop(place);
            binding::settle_locked();
            detached
        }
        UnmountHow { expire: true, .. } => check_expired(&place).and_then(|()| unmount_here(context, place)),
        _ => unmount_here(context, place),
    };
    result.map_err(|error| MountError::place(at, error))
}

/// EAGAIN unless the mount was marked before and only this call's own walk has come in since.
fn check_expired(place: &Location) -> Result<()> {
    if !place.is_mount_root() {
        return Err(Errno::EINVAL);
    }
    // The table, `place`, and nobody else.
    if Arc::strong_count(&place.mount) > 2 {
        return Err(Errno::EBUSY);
    }
    if place.mount.expiring.swap(1, Ordering::Relaxed) == 2 { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// Gives the mount that `place` is the root of other options: EINVAL if it is no root. With `of_mount` they are those of this
/// mount alone; else whether the file system may be changed is meant too. What has been written is safe before a file
/// system becomes read-only; files that are open for writing find EROFS from then on.
pub fn remount(place: &Location, options: MountOptions, of_mount: bool) -> core::result::Result<(), MountError> {
    let _held = binding::MOUNTING.lock();
    let failed = |error| MountError::place(&place.path(), error);
    if !place.is_mount_root() {
        return Err(failed(Errno::EINVAL));
    }
    let mount = place.mount();
    if !of_mount {
        if !options.read_only {
            mount.volume.file_system.begin_writing().map_err(MountError::Format)?;
        }
        mount.volume.read_only.store(options.read_only, Ordering::Release);
    }
    mount.options.set(options);
    if options.read_only { place.sync_file_system().map_err(failed) } else { Ok(()) }
}

/// All mounts, in the order in which they were made.
pub fn mounts() -> Vec<MountInfo> {
    let all: Vec<(Arc<Mount>, Option<Location>)> = {
        let mounts = MOUNTS.lock();
        mounts.iter().map(|entry| (entry.mount.clone(), entry.point.clone())).collect()
    };
    let info = all.iter().map(|(mount, point)| MountInfo {
        source: mount.source.clone(),
        at: point.as_ref().map_or_else(|| b"/".to_vec(), Location::path),
        type_name: mount.volume.file_system.type_name(),
        options: MountOptions { read_only: mount.check_writable().is_err(), ..mount.options.get() },
        begins: mount.root.path_in_volume(),
        id: mount.id,
        parent_id: point.as_ref().map_or(mount.id, |point| point.mount.id),
        device: mount.volume.device,
        root: Location::mount_root(mount),
    });
    info.collect()
}

/// Makes the first root: an empty file system in memory.
pub(super) fn make_root() -> Result<Location> {
    let volume = Volume::new(TmpFs::new("rootfs", 0o755), None)?;
    let mount = Mount::new(volume, String::from("rootfs"), MountOptions::default());
    MOUNTS.lock().push(MountEntry { mount: mount.clone(), point: None });
    Ok(Location::mount_root(&mount))
}

/// Gets the volume ready for writing; says in the log why it will be read-only.
fn can_be_written(volume: &Volume, name: &str) -> bool {
    let begun = volume.file_system.begin_writing();
    if let Err(reason) = &begun {
        log::warn!("{name} is mounted read-only: {reason}");
    }
    begun.is_ok()
}

fn open_volume(source: &MountSource) -> core::result::Result<(Arc<Volume>, String), MountError> {
    let memory = |volume: Result<Arc<Volume>>, name: &str| match volume {
        Ok(volume) => Ok((volume, name.to_string())),
        Err(error) => Err(MountError::Source(name.to_string(), error)),
    };
    match source {
        MountSource::Block(node, format) => match format {
            DiskFormat::Fat(options) => fat::open(node, *options),
            DiskFormat::Any if fat::is_there(node) => fat::open(node, FatOptions::new(0, 0, 0o022)),
            DiskFormat::Any | DiskFormat::Ext2 => ext2::open(node),
        },
        MountSource::Tmpfs => memory(Volume::new(TmpFs::new("tmpfs", 0o1777), None), "tmpfs"),
        MountSource::Dev => memory(devfs::volume(), "devtmpfs"),
        MountSource::Other(name, file_system) => memory(Volume::new(file_system.clone(), None), name),
    }
}

/// The directory at `at`, made if need be.
fn mount_point(context: &FsContext, at: &[u8]) -> Result<Location> {
    match walk::lookup(context, None, at, true) {
        Ok(place) if !place.is_dir() => return Err(Errno::ENOTDIR),
        Ok(place) if !place.dentry.keeps_mounts() => return Err(Errno::ENOENT),
        Ok(place) => return Ok(place),
        Err(Errno::ENOENT) => {}
        Err(error) => return Err(error),
    }
    let mut walk = Walk::new(context, None, at)?;
    let last = walk.follow_to_last()?.ok_or(Errno::ENOENT)?;
    if !walk.is_name(&last) || walk.child(&last)?.is_some() {
        return Err(Errno::ENOENT);
    }
    make_point(&walk.at, walk.name(&last))
}

/// A directory `name`, which is absent, in `directory`: a real one, or one that lasts as long as its mount.
fn make_point(directory: &Location, name: &[u8]) -> Result<Location> {
    use super::change::create_locked;
    use super::inode::{NewKind, NewNode};
    if !directory.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    let held = directory.dentry.directory.lock();
    let new = NewNode { kind: NewKind::Directory, mode: 0o755, uid: 0, gid: 0 };
    match create_locked(&Who::default(), directory, name, &new) {
        Err(Errno::EROFS | Errno::EPERM) => {
            drop(held);
            stand_in(directory, name)
        }
        made => made,
    }
}

/// A directory `name`, which is absent, in `directory`, for as long as something is mounted on it.
fn stand_in(directory: &Location, name: &[u8]) -> Result<Location> {
    if !directory.dentry.keeps_mounts() {
        return Err(Errno::ENOENT);
    }
    let inode = TmpFs::new("none", 0o755).root()?;
    let _held = directory.dentry.directory.lock();
    match directory.dentry.child_locked(name)? {
        Some(made) if !made.is_dir() => Err(Errno::ENOTDIR),
        Some(made) => Ok(directory.beside(made)),
        None => Ok(directory.beside(directory.dentry.adopt(name, inode, true)?)),
    }
}

fn unmount_here(context: &FsContext, place: Location) -> Result<()> {
    let point = match place.is_mount_root() {
        true => place.covered().ok_or(Errno::EBUSY)?,
        false => return Err(Errno::EINVAL),
    };
    let mount = place.mount.clone();
    drop(place);
    let was_root = point.is_same(&context.root) || is_root(&point);
    let root = Location::mount_root(&mount);
    if was_root {
        move_mounts(&root, &point);
    }
    drop(root);
    let result = detach(mount);
    match result {
        Ok(()) => binding::release_point(&point),
        Err(_) if was_root => {
            if let Some(mount) = top_mount(&point) {
                move_mounts(&point, &Location::mount_root(&mount));
            }
        }
        Err(_) => {}
    }
    result
}

/// Takes the mount out of the table if only the table and the caller have it.
fn detach(mount: Arc<Mount>) -> Result<()> {
    let entry = {
        let mut mounts = MOUNTS.lock();
        let at = mounts.iter().position(|entry| Arc::ptr_eq(&entry.mount, &mount)).ok_or(Errno::EINVAL)?;
        if Arc::strong_count(&mount) > 2 {
            return Err(Errno::EBUSY);
        }
        mounts.remove(at)
    };
    let volume = mount.volume.clone();
    drop(entry);
    drop(mount);
    binding::leave(volume)
}

/// File systems there are, for `/proc/filesystems`: name, and whether it wants a block device.
pub const TYPES: &[(&str, bool)] = &[
    ("tmpfs", false),
    ("proc", false),
    ("sysfs", false),
    ("devtmpfs", false),
    ("devpts", false),
    ("ext2", true),
    ("ext4", true),
    ("vfat", true),
];

/// Moves the mounts that lie on directories directly in `from` to those of the same name in `to`.
fn move_mounts(from: &Location, to: &Location) {
    let moving: Vec<(Arc<Mount>, Location)> = {
        let mounts = MOUNTS.lock();
        let there = mounts.iter().filter_map(|entry| Some((entry, entry.point.as_ref()?)));
        let inside = there.filter(|(_, point)| is_directly_in(point, from));
        inside.map(|(entry, point)| (entry.mount.clone(), point.clone())).collect()
    };
    for (mount, old) in moving {
        let name = old.dentry.name();
        let new = match to.dentry.child(&name) {
            Ok(Some(dentry)) if dentry.is_dir() => Ok(to.beside(dentry)),
            Ok(None) => stand_in(to, &name),
            Ok(Some(_)) => Err(Errno::ENOTDIR),
            Err(error) => Err(error),
        };
        match new {
            Ok(new) => binding::repoint(&mount, &old, new),
            Err(error) => log::warn!("mount: {} stays covered: {error}", String::from_utf8_lossy(&old.path())),
        }
    }
}

fn is_directly_in(point: &Location, directory: &Location) -> bool {
    Arc::ptr_eq(&point.mount, &directory.mount)
        && point.dentry.parent().is_some_and(|parent: Arc<Dentry>| Arc::ptr_eq(&parent, &directory.dentry))
}

fn top_mount(point: &Location) -> Option<Arc<Mount>> {
    MOUNTS.lock().iter().find(|entry| entry.covers(point)).map(|entry| entry.mount.clone())
}

/// Whether the place is the root of the first mount.
fn is_root(place: &Location) -> bool {
    place.is_mount_root() && place.covered().is_none()
}
