//! The path walk: from a path to a place, as `path_resolution(7)` says.
//!
//! Called by everything that takes a path. Takes no lock itself; each step may sleep in a file system's look-up.

use super::location::Location;
use super::{FsContext, Result, flags};
use abi::Errno;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;
use fs::FileType;

/// The place that `path` leads to from `base` (a directory; None for the working directory). A symbolic link as last
/// component is followed if `follow_last` or if a slash comes behind it.
pub fn lookup(context: &FsContext, base: Option<&Location>, path: &[u8], follow_last: bool) -> Result<Location> {
    let mut walk = Walk::new(context, base, path)?;
    loop {
        let Some(last) = walk.follow_to_last()? else { return Ok(walk.at) };
        let Some(found) = walk.child(&last)? else { return Err(Errno::ENOENT) };
        if found.file_type() == FileType::Symlink && (follow_last || last.slash) {
            walk.follow(&found, &last)?;
            continue;
        }
        if last.slash && !found.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        return Ok(found);
    }
}

/// A walk under way.
pub(super) struct Walk<'a> {
    root: Location,
    /// Where it has come to: the directory of the next component.
    pub at: Location,
    path: Cow<'a, [u8]>,
    /// Bytes of `path` done.
    done: usize,
    links_left: u32,
}

/// The last component of a path.
pub(super) struct Last {
    range: Range<usize>,
    /// Slashes come behind it, so it must be a directory.
    pub slash: bool,
}

impl<'a> Walk<'a> {
    /// A walk at its start.
    pub fn new(context: &FsContext, base: Option<&Location>, path: &'a [u8]) -> Result<Walk<'a>> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= flags::PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        // What was mounted over the root later counts for those who had this root before.
        let root = context.root.top();
        let mut at = match path[0] {
            b'/' => root.clone(),
            _ => base.unwrap_or(&context.cwd).clone(),
        };
        if at.is_same(&context.root) {
            at = root.clone();
        }
        Ok(Walk { root, at, path: Cow::Borrowed(path), done: 0, links_left: flags::LINKS_MAX })
    }

    /// Walks up to the last component, which is left to the caller; None if the path is the root or nothing but slashes.
    pub fn follow_to_last(&mut self) -> Result<Option<Last>> {
        loop {
            let rest = &self.path[self.done..];
            let Some(skip) = rest.iter().position(|&byte| byte != b'/') else { return Ok(None) };
            let len = rest[skip..].iter().position(|&byte| byte == b'/').unwrap_or(rest.len() - skip);
            let start = self.done + skip;
            let range = start..start + len;
            if len > flags::NAME_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            let behind = &self.path[range.end..];
            let step = Last { slash: !behind.is_empty(), range };
            if behind.iter().all(|&byte| byte == b'/') {
                return Ok(Some(step));
            }
            let Some(found) = self.child(&step)? else { return Err(Errno::ENOENT) };
            match found.file_type() {
                FileType::Symlink => self.follow(&found, &step)?,
                _ => {
                    self.done = step.range.end;
                    self.at = found;
                }
            }
        }
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
        match self.name(component) {
            b"." => Ok(Some(self.at.clone())),
            b".." => Ok(Some(self.at.parent(&self.root))),
            name => {
                let found = self.at.dentry.child(name)?;
                self.at.mount.volume.root.prune_if_many();
                Ok(found.map(|dentry| self.at.beside(dentry).top()))
            }
        }
    }

    /// Goes on with what the symbolic link `link`, found as `component`, leads to, and then with what comes behind it.
    pub fn follow(&mut self, link: &Location, component: &Last) -> Result<()> {
        self.links_left = self.links_left.checked_sub(1).ok_or(Errno::ELOOP)?;
        let place = link.inode().jump()?.and_then(|place| place.downcast::<Location>().ok());
        let mut path = if place.is_some() { Vec::new() } else { link.read_link()? };
        if let Some(place) = place {
            if component.slash && !place.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            self.at = *place;
        } else if path.is_empty() {
            return Err(Errno::ENOENT);
        } else if path[0] == b'/' {
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
