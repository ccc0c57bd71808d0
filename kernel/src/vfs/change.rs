//! Changes of the tree: making, linking, removing and renaming files, as the system calls of these names do.
//!
//! Every change takes the `directory` lock of the directories it works on, looks the names up under it, and only then
//! calls the file system, so that all checks hold when the change is made. A rename between two directories takes the
//! ancestor's lock first, or else the one at the lower address; [`MOVING`] keeps what is an ancestor as it is meanwhile.

use super::access::{EXECUTE, WRITE};
use super::dentry::Dentry;
use super::inode::{NewKind, NewNode};
use super::location::Location;
use super::walk::{Last, Walk};
use super::{FsContext, Result, Who, flags, report};
use abi::Errno;
use abi::inotify::{IN_ATTRIB, IN_CREATE, IN_DELETE};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use fs::FileType;
use machine::sync::Mutex;

/// Held by a rename between two directories.
static MOVING: Mutex<()> = Mutex::new("rename", ());

/// Makes a directory, symbolic link, device node, FIFO, socket or empty file; EEXIST if the name is taken.
pub fn make(context: &FsContext, base: Option<&Location>, path: &[u8], new: &NewNode<'_>) -> Result<Location> {
    if let NewKind::Symlink(target) = new.kind {
        check_target(target)?;
    }
    let (walk, last) = to_name(context, base, path, Errno::EEXIST)?;
    if last.slash && !matches!(new.kind, NewKind::Directory) {
        return Err(if walk.child(&last)?.is_some() { Errno::EEXIST } else { Errno::ENOENT });
    }
    let directory = &walk.at.dentry;
    let _held = directory.directory.lock();
    if directory.child_locked(walk.name(&last))?.is_some() {
        return Err(Errno::EEXIST);
    }
    create_locked(walk.who, &walk.at, walk.name(&last), new)
}

/// Makes the file `name`, which is free, in `directory`, whose lock the caller holds.
pub(super) fn create_locked(who: &Who, directory: &Location, name: &[u8], new: &NewNode<'_>) -> Result<Location> {
    if directory.is_removed() {
        return Err(Errno::ENOENT);
    }
    directory.check_changeable_directory()?;
    who.check(&directory.metadata()?, WRITE | EXECUTE)?;
    let inode = directory.inode().create(name, &inherit(directory, new)?)?;
    let made = directory.dentry.adopt(name, inode, false)?;
    if matches!(new.kind, NewKind::Directory) {
        made.mark_new();
    }
    report::named(&directory.dentry, IN_CREATE, name, made.kind());
    Ok(directory.beside(made))
}

/// Makes a file without a name in the file system of `directory`; whether it may get one by `link(2)`.
pub(super) fn create_unnamed(directory: &Location, new: &NewNode<'_>, linkable: bool) -> Result<Location> {
    let inode = directory.inode().create_unnamed(&inherit(directory, new)?)?;
    let mut name = super::pseudo::Text::default();
    write!(name, "#{}", inode.metadata()?.ino);
    let name = name.finish()?.into();
    Ok(directory.beside(Dentry::unnamed(inode, name, &directory.dentry, linkable)))
}

/// Gives `target` another name, as `link(2)`.
pub fn link(target: &Location, context: &FsContext, base: Option<&Location>, path: &[u8]) -> Result<()> {
    let (walk, last) = to_name(context, base, path, Errno::EEXIST)?;
    let directory = &walk.at.dentry;
    let _held = directory.directory.lock();
    if directory.child_locked(walk.name(&last))?.is_some() {
        return Err(Errno::EEXIST);
    }
    if last.slash {
        return Err(Errno::ENOENT);
    }
    if !Arc::ptr_eq(&target.mount, &walk.at.mount) {
        return Err(Errno::EXDEV);
    }
    walk.at.check_changeable_directory()?;
    walk.who.check(&walk.at.metadata()?, WRITE | EXECUTE)?;
    if target.is_dir() {
        return Err(Errno::EPERM);
    }
    let linkable = &target.dentry.linkable;
    if directory.is_removed() || target.metadata()?.nlink == 0 && !linkable.load(Ordering::Relaxed) {
        return Err(Errno::ENOENT);
    }
    walk.at.inode().link(walk.name(&last), target.inode())?;
    linkable.store(false, Ordering::Relaxed);
    directory.adopt(walk.name(&last), target.inode().clone(), false)?;
    report::changed(target.inode(), IN_ATTRIB);
    report::named(directory, IN_CREATE, walk.name(&last), target.file_type());
    Ok(())
}

/// Removes a name of anything but a directory, as `unlink(2)`.
pub fn remove_file(context: &FsContext, base: Option<&Location>, path: &[u8]) -> Result<()> {
    let (walk, last) = to_name(context, base, path, Errno::EISDIR)?;
    let directory = &walk.at.dentry;
    let held = directory.directory.lock();
    let child = directory.child_locked(walk.name(&last))?.ok_or(Errno::ENOENT)?;
    if child.is_dir() {
        return Err(Errno::EISDIR);
    }
    if last.slash {
        return Err(Errno::ENOTDIR);
    }
    remove_locked(&walk, &last, &child)?;
    report::changed(child.inode(), IN_ATTRIB);
    // What the last reference frees may take long: not under the lock.
    drop(held);
    let kind = child.kind();
    drop(child);
    report::named(directory, IN_DELETE, walk.name(&last), kind);
    walk.at.settle();
    Ok(())
}

/// Removes an empty directory, as `rmdir(2)`.
pub fn remove_directory(context: &FsContext, base: Option<&Location>, path: &[u8]) -> Result<()> {
    let mut walk = Walk::new(context, base, path)?;
    let Some(last) = walk.follow_to_last()? else { return Err(Errno::EBUSY) };
    match walk.name(&last) {
        b"." => return Err(Errno::EINVAL),
        b".." => return Err(Errno::ENOTEMPTY),
        _ => {}
    }
    walk.check_search()?;
    let directory = &walk.at.dentry;
    let held = directory.directory.lock();
    let child = directory.child_locked(walk.name(&last))?.ok_or(Errno::ENOENT)?;
    if !child.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    let emptied = child.directory.lock();
    remove_locked(&walk, &last, &child)?;
    drop(emptied);
    drop(held);
    drop(child);
    report::named(directory, IN_DELETE, walk.name(&last), FileType::Directory);
    walk.at.settle();
    Ok(())
}

fn remove_locked(walk: &Walk<'_>, last: &Last, child: &Arc<Dentry>) -> Result<()> {
    let (directory, name) = (&walk.at, walk.name(last));
    directory.check_changeable_directory()?;
    walk.who.check_removal(&directory.metadata()?, &child.inode().metadata()?)?;
    check_no_mount(child)?;
    directory.inode().remove(name, child.inode())?;
    directory.dentry.forget_removed(name);
    Ok(())
}

/// Renames, as `renameat2(2)`; `how` is 0, `RENAME_NOREPLACE` or `RENAME_EXCHANGE`.
pub fn rename(
    context: &FsContext,
    (base, path): (Option<&Location>, &[u8]),
    (new_base, new_path): (Option<&Location>, &[u8]),
    how: u32,
) -> Result<()> {
    if !matches!(how, 0 | flags::RENAME_NOREPLACE | flags::RENAME_EXCHANGE) {
        return Err(Errno::EINVAL);
    }
    let (from, name) = to_name(context, base, path, Errno::EBUSY)?;
    let (to, new_name) = to_name(context, new_base, new_path, Errno::EBUSY)?;
    if !Arc::ptr_eq(&from.at.mount, &to.at.mount) {
        return Err(Errno::EXDEV);
    }
    from.at.check_changeable_directory()?;
    to.at.check_changeable_directory()?;
    let result = if Arc::ptr_eq(&from.at.dentry, &to.at.dentry) {
        let _held = from.at.dentry.directory.lock();
        rename_locked(&from, &name, &to, &new_name, how)
    } else {
        let _moving = MOVING.lock();
        let (first, second) = lock_order(&from.at.dentry, &to.at.dentry);
        let _first = first.directory.lock();
        let _second = second.directory.lock();
        rename_locked(&from, &name, &to, &new_name, how)
    };
    to.at.settle();
    result
}

/// The rest of a rename, with the directories locked.
fn rename_locked(from: &Walk<'_>, name: &Last, to: &Walk<'_>, new_name: &Last, how: u32) -> Result<()> {
    let (directory, new_directory) = (&from.at.dentry, &to.at.dentry);
    let moved = directory.child_locked(from.name(name))?.ok_or(Errno::ENOENT)?;
    let replaced = new_directory.child_locked(to.name(new_name))?;
    if new_directory.is_removed() {
        return Err(Errno::ENOENT);
    }
    if replaced.is_some() && how == flags::RENAME_NOREPLACE {
        return Err(Errno::EEXIST);
    }
    let exchange = how == flags::RENAME_EXCHANGE;
    if exchange && replaced.is_none() {
        return Err(Errno::ENOENT);
    }
    if (name.slash || (new_name.slash && !exchange)) && !moved.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    // A directory never goes below itself, nor is one replaced by what lies below it.
    if new_directory.is_below(&moved) {
        return Err(Errno::EINVAL);
    }
    let mut victim = None;
    if let Some(replaced) = &replaced {
        if Arc::ptr_eq(replaced.inode(), moved.inode()) {
            return Ok(());
        }
        if directory.is_below(replaced) {
            return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
        }
        if !exchange {
            check_replaceable(&moved, replaced)?;
            victim = replaced.is_dir().then(|| replaced.directory.lock());
        }
        check_no_mount(replaced)?;
    }
    check_no_mount(&moved)?;
    check_rename(from, to, &moved, replaced.as_deref())?;
    from.at.inode().rename(from.name(name), to.at.inode(), to.name(new_name), exchange)?;
    directory.renamed(from.name(name), new_directory, to.name(new_name), exchange);
    // Until its dentry is marked as removed nothing may be made in it.
    drop(victim);
    let (old, new) = ((&**directory, from.name(name)), (&**new_directory, to.name(new_name)));
    let gone = replaced.as_ref().map(|replaced| replaced.inode());
    report::moved(moved.inode(), old, new, gone.filter(|_| !exchange));
    if let Some(other) = gone.filter(|_| exchange) {
        report::moved(other, new, old, None);
    }
    Ok(())
}

/// Whether both names may be changed; a directory gets another `..`, so it must be writable itself for that.
fn check_rename(from: &Walk<'_>, to: &Walk<'_>, moved: &Dentry, replaced: Option<&Dentry>) -> Result<()> {
    let who = from.who;
    if who.may_all() {
        return Ok(());
    }
    let new_directory = to.at.metadata()?;
    who.check_removal(&from.at.metadata()?, &moved.inode().metadata()?)?;
    match replaced {
        Some(replaced) => who.check_removal(&new_directory, &replaced.inode().metadata()?)?,
        None => who.check(&new_directory, WRITE | EXECUTE)?,
    }
    if moved.is_dir() && !Arc::ptr_eq(&from.at.dentry, &to.at.dentry) {
        who.check(&moved.inode().metadata()?, WRITE)?;
    }
    Ok(())
}

/// The walk up to the last component of `path`, which must be a name; else the error `special`.
fn to_name<'a>(
    context: &'a FsContext,
    base: Option<&'a Location>,
    path: &'a [u8],
    special: Errno,
) -> Result<(Walk<'a>, Last)> {
    let mut walk = Walk::new(context, base, path)?;
    let last = walk.follow_to_last()?.ok_or(special)?;
    if !walk.at.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    walk.check_search()?;
    match walk.is_name(&last) {
        true => Ok((walk, last)),
        false => Err(special),
    }
}

fn lock_order<'a>(a: &'a Arc<Dentry>, b: &'a Arc<Dentry>) -> (&'a Arc<Dentry>, &'a Arc<Dentry>) {
    let a_first = match (a.is_below(b), b.is_below(a)) {
        (true, _) => false,
        (_, true) => true,
        _ => Arc::as_ptr(a) < Arc::as_ptr(b),
    };
    if a_first { (a, b) } else { (b, a) }
}

fn check_replaceable(moved: &Dentry, replaced: &Dentry) -> Result<()> {
    match (moved.is_dir(), replaced.is_dir()) {
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        _ => Ok(()),
    }
}

fn check_no_mount(dentry: &Dentry) -> Result<()> {
    match dentry.mounts.load(Ordering::Acquire) {
        0 if !dentry.synthetic => Ok(()),
        _ => Err(Errno::EBUSY),
    }
}

fn check_target(target: &[u8]) -> Result<()> {
    match target.len() {
        0 => Err(Errno::ENOENT),
        len if len >= flags::PATH_MAX => Err(Errno::ENAMETOOLONG),
        _ => Ok(()),
    }
}

/// In a set-group-id directory new files get its group, and new directories the bit too (`inode(7)`).
fn inherit<'a>(directory: &Location, new: &NewNode<'a>) -> Result<NewNode<'a>> {
    let above = directory.inode().metadata()?;
    let mut new = NewNode { mode: new.mode & flags::PERMISSION_BITS, ..*new };
    if above.mode & flags::S_ISGID != 0 {
        new.gid = above.gid;
        if matches!(new.kind, NewKind::Directory) {
            new.mode |= flags::S_ISGID;
        }
    }
    Ok(new)
}
