//! The path walk: from a path to a place, as `path_resolution(7)` says.
//!
//! Called by everything that takes a path. Takes no lock itself; each step may sleep in a file system's look-up.

use super::access::EXECUTE;
use super::location::Location;
use super::{FsContext, Result, Who, flags};
use abi::Errno;
use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering;
use fs::FileType;

/// The place that `path` leads to from `base` (a directory; None for the working directory). A symbolic link as last
/// component is followed if `follow_last` or if a slash comes behind it.
pub fn lookup(context: &FsContext, base: Option<&Location>, path: &[u8], follow_last: bool) -> Result<Location> {
    Walk::new(context, base, path)?.finish(follow_last)
}

/// What a walk must not do, by the numbers of `openat2(2)`.
pub mod resolve {
    /// Cross a mount point.
    pub const NO_XDEV: u32 = 1;
    /// Follow links that lead to a place instead of by a path.
    pub const NO_MAGICLINKS: u32 = 2;
    /// Follow symbolic links.
    pub const NO_SYMLINKS: u32 = 4;
    /// Leave the directory it starts in.
    pub const BENEATH: u32 = 8;
    /// See anything but that directory as the root.
    pub const IN_ROOT: u32 = 16;
    /// Ask a file system for what is not known.
    pub const CACHED: u32 = 32;
    /// Those that keep the walk below where it starts.
    pub(super) const SCOPED: u32 = BENEATH | IN_ROOT;
}

/// A walk under way.
pub(super) struct Walk<'a> {
    /// Who walks.
    pub who: &'a Who,
    root: Cow<'a, Location>,
    /// Where it has come to: the directory of the next component.
    pub at: Cow<'a, Location>,
    path: Cow<'a, [u8]>,
    /// Bytes of `path` done.
    done: usize,
    links_left: u32,
    /// What it must not do (`resolve`).
    forbidden: u32,
}

/// The last component of a path.
pub(super) struct Last {
    range: Range<usize>,
    /// Slashes come behind it, so it must be a directory.
    pub slash: bool,
}

impl<'a> Walk<'a> {
    /// A walk at its start.
    #[inline] // it is large, and made in place where it is used
    pub fn new(context: &'a FsContext, base: Option<&'a Location>, path: &'a [u8]) -> Result<Walk<'a>> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= flags::PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        // What was mounted over the root later counts for those who had this root before.
        let root = match context.root.is_covered() {
            true => Cow::Owned(context.root.clone().top()),
            false => Cow::Borrowed(&context.root),
        };
        let start = match path[0] {
            b'/' => &context.root,
            _ => base.unwrap_or(&context.cwd),
        };
        let at = if start.is_same(&context.root) { root.clone() } else { Cow::Borrowed(start) };
        let path = Cow::Borrowed(path);
        Ok(Walk { who: &context.who, root, at, path, done: 0, links_left: flags::LINKS_MAX, forbidden: 0 })
    }

    /// A walk at its start that must not do what `forbidden` says.
    pub fn restricted(
        context: &'a FsContext,
        base: Option<&'a Location>,
        path: &'a [u8],
        forbidden: u32,
    ) -> Result<Walk<'a>> {
        let mut walk = Walk::new(context, base, path)?;
        walk.forbidden = forbidden;
        if forbidden & resolve::SCOPED != 0 {
            if forbidden & resolve::BENEATH != 0 && path[0] == b'/' {
                return Err(Errno::EXDEV);
            }
            let start = base.unwrap_or(&context.cwd);
            walk.root = Cow::Borrowed(start);
            walk.at = Cow::Borrowed(start);
        }
        Ok(walk)
    }

    /// Walks to the end.
    pub fn finish(mut self, follow_last: bool) -> Result<Location> {
        loop {
            let Some(last) = self.follow_to_last()? else { return Ok(self.at.into_owned()) };
            let Some(found) = self.child(&last)? else { return Err(Errno::ENOENT) };
            if found.file_type() == FileType::Symlink && (follow_last || last.slash) {
                self.follow(&found, &last)?;
                continue;
            }
            if last.slash && !found.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            return Ok(found);
        }
    }

    fn is_forbidden(&self, what: u32) -> bool {
        self.forbidden & what != 0
    }

    /// EXDEV if `place` is elsewhere than the walk is, and may not be.
    fn check_mount(&self, place: &Location) -> Result<()> {
        let crosses = self.is_forbidden(resolve::NO_XDEV) && !Arc::ptr_eq(&place.mount, &self.at.mount);
        if crosses { Err(Errno::EXDEV) } else { Ok(()) }
    }

    /// Walks up to the last component, which is left to the caller; None if the path is the root or nothing but slashes.
    pub fn follow_to_last(&mut self) -> Result<Option<Last>> {
        loop {
            let start = behind_slashes(&self.path, self.done);
            if start == self.path.len() {
                return Ok(None);
            }
            let len = self.path[start..].iter().position(|&byte| byte == b'/').unwrap_or(self.path.len() - start);
            let range = start..start + len;
            if len > flags::NAME_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            let step = Last { slash: range.end != self.path.len(), range };
            if behind_slashes(&self.path, step.range.end) == self.path.len() {
                return Ok(Some(step));
            }
            self.enter(&step)?;
        }
    }

    /// Goes on to what a component that is not the last names.
    fn enter(&mut self, component: &Last) -> Result<()> {
        self.check_search()?;
        let name = self.name(component);
        // Most often it is a directory of the same mount that is known already.
        let known = if self.at.is_dir() { self.at.dentry.cached(name).flatten() } else { None };
        match known {
            Some(dentry) if dentry.is_dir() && dentry.mounts.load(Ordering::Acquire) == 0 => match &mut self.at {
                Cow::Owned(at) => at.dentry = dentry,
                Cow::Borrowed(at) => self.at = Cow::Owned(at.beside(dentry)),
            },
            _ => {
                let Some(found) = self.child(component)? else { return Err(Errno::ENOENT) };
                if found.file_type() == FileType::Symlink {
                    return self.follow(&found, component);
                }
                self.at = Cow::Owned(found);
            }
        }
        self.done = component.range.end;
        Ok(())
    }

    /// EACCES unless names may be looked up where the walk has come to.
    pub fn check_search(&self) -> Result<()> {
        if self.who.may_all() || !self.at.is_dir() { Ok(()) } else { self.who.check(&self.at.metadata()?, EXECUTE) }
    }

    /// The bytes of a component.
    pub fn name(&self, component: &Last) -> &[u8] {
        &self.path[component.range.clone()]
    }

    /// Whether the component is a name, neither `.` nor `..`.
    pub fn is_name(&self, component: &Last) -> bool {
        !matches!(self.name(component), b"." | b"..")
    }

    /// What the component is in the directory the walk has come to; None if there is no such name.
    pub fn child(&self, component: &Last) -> Result<Option<Location>> {
        if !self.at.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        self.check_search()?;
        match self.name(component) {
            b"." => Ok(Some(Location::clone(&self.at))),
            b".." => {
                if self.is_forbidden(resolve::BENEATH) && self.at.is_same(&self.root) {
                    return Err(Errno::EXDEV);
                }
                let parent = self.at.parent(&self.root);
                self.check_mount(&parent)?;
                Ok(Some(parent))
            }
            name => {
                let found = match self.at.dentry.cached(name) {
                    Some(known) => known,
                    None if self.is_forbidden(resolve::CACHED) => return Err(Errno::EAGAIN),
                    None => {
                        let found = self.at.dentry.child(name)?;
                        self.at.mount.volume.root.prune_if_many();
                        found
                    }
                };
                let found = found.map(|dentry| self.at.beside(dentry).top());
                if let Some(found) = &found {
                    self.check_mount(found)?;
                }
                Ok(found)
            }
        }
    }

    /// Goes on with what the symbolic link `link`, found as `component`, leads to, and then with what comes behind it.
    pub fn follow(&mut self, link: &Location, component: &Last) -> Result<()> {
        self.links_left = self.links_left.checked_sub(1).ok_or(Errno::ELOOP)?;
        if self.is_forbidden(resolve::NO_SYMLINKS) {
            return Err(Errno::ELOOP);
        }
        let place = link.inode().jump()?.and_then(|place| place.downcast::<Location>().ok());
        if let Some(place) = &place {
            if self.is_forbidden(resolve::NO_MAGICLINKS) {
                return Err(Errno::ELOOP);
            }
            self.check_mount(place)?;
            if self.is_forbidden(resolve::SCOPED) {
                return Err(Errno::EXDEV);
            }
        }
        let mut path = if place.is_some() { Vec::new() } else { link.read_link()? };
        if let Some(place) = place {
            if component.slash && !place.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            self.at = Cow::Owned(*place);
        } else if path.is_empty() {
            return Err(Errno::ENOENT);
        } else if path[0] == b'/' {
            if self.is_forbidden(resolve::BENEATH) {
                return Err(Errno::EXDEV);
            }
            self.check_mount(&self.root)?;
            self.at = self.root.clone();
        }
        let rest = &self.path[component.range.end..];
        path.try_reserve(rest.len()).map_err(|_| Errno::ENOMEM)?;
        path.extend_from_slice(rest);
        self.path = Cow::Owned(path);
        self.done = 0;
        Ok(())
    }
}

/// Where the next component begins, or the end of the path.
fn behind_slashes(path: &[u8], mut at: usize) -> usize {
    while path.get(at) == Some(&b'/') {
        at += 1;
    }
    at
}
