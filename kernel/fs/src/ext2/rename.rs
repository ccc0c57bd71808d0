//! Renaming: one operation, so that a file has its old name or its new one after whatever happens, and a name that is
//! replaced leads to the old file or the new one.

use super::dirent::NewEntry;
use super::edit::{Edit, EditResult};
use super::error::Error;
use super::inode::Inode;
use super::names::add_link;
use crate::{FileType, WriteStore};

/// What a rename is about. `new_directory` is `None` when the name stays in `directory`.
pub struct Rename<'a> {
    /// Where the file is.
    pub directory: &'a mut Inode,
    /// Its name there.
    pub name: &'a [u8],
    /// The file.
    pub moved: &'a mut Inode,
    /// Where it goes, if not within `directory`.
    pub new_directory: Option<&'a mut Inode>,
    /// Its new name.
    pub new_name: &'a [u8],
    /// What has the new name now: of the same kind if one of them is a directory, and another inode than `moved`.
    pub replaced: Option<&'a mut Inode>,
}

impl<S: WriteStore> Edit<'_, S> {
    /// Gives `moved` its new name; what had it loses it, as with [`unlink`](Self::unlink).
    pub fn rename(&mut self, rename: Rename<'_>) -> EditResult<(), S> {
        self.on_copies(rename, |edit, names, copies| {
            let Copies { directory, new_directory, moved, replaced } = copies;
            let (name, new_name) = names;
            match replaced {
                Some(replaced) => {
                    let target = new_directory.as_mut().unwrap_or(directory);
                    edit.retarget(target, new_name, moved)?;
                    edit.lose_name(target, replaced)?;
                }
                None => {
                    let entry = NewEntry { inode: moved.number, kind: moved.kind, name: new_name };
                    edit.enter(new_directory.as_mut().unwrap_or(directory), entry)?;
                }
            }
            edit.remove_entry(directory, name)?;
            if let Some(new_directory) = new_directory {
                edit.change_parent(directory, new_directory, moved)?;
            }
            moved.changed = edit.now;
            edit.write_inode(moved)
        })
    }

    /// Lets `moved` and `replaced`, which must be there, change names.
    pub fn exchange(&mut self, rename: Rename<'_>) -> EditResult<(), S> {
        if rename.replaced.is_none() {
            return Err(Error::NoEntry { directory: rename.directory.number });
        }
        self.on_copies(rename, |edit, (name, new_name), copies| {
            let Copies { directory, new_directory, moved, replaced } = copies;
            let Some(other) = replaced else { return Err(Error::NoEntry { directory: directory.number }) };
            edit.retarget(new_directory.as_mut().unwrap_or(directory), new_name, moved)?;
            edit.retarget(directory, name, other)?;
            if let Some(new_directory) = new_directory {
                edit.change_parent(directory, new_directory, moved)?;
                edit.change_parent(new_directory, directory, other)?;
            }
            for inode in [moved, other] {
                inode.changed = edit.now;
                edit.write_inode(inode)?;
            }
            Ok(())
        })
    }

    /// The directory `moved` goes from `old` to `new`: its `..` and their links follow. Nothing for other kinds.
    fn change_parent(&mut self, old: &mut Inode, new: &mut Inode, moved: &mut Inode) -> EditResult<(), S> {
        if moved.kind != FileType::Directory {
            return Ok(());
        }
        add_link(new)?;
        old.links_count = old.links_count.saturating_sub(1);
        let times = (moved.modified, moved.changed);
        self.retarget(moved, b"..", new)?;
        // Its own content is the same to everyone who looks.
        (moved.modified, moved.changed) = times;
        self.write_inode(old)?;
        self.write_inode(new)
    }

    /// Runs `operation` as a whole, on copies of all inodes.
    fn on_copies(
        &mut self,
        rename: Rename<'_>,
        operation: impl FnOnce(&mut Self, (&[u8], &[u8]), &mut Copies) -> EditResult<(), S>,
    ) -> EditResult<(), S> {
        let mut copies = Copies {
            directory: rename.directory.clone(),
            new_directory: rename.new_directory.as_deref().cloned(),
            moved: rename.moved.clone(),
            replaced: rename.replaced.as_deref().cloned(),
        };
        self.attempt(|edit| operation(edit, (rename.name, rename.new_name), &mut copies))?;
        *rename.directory = copies.directory;
        *rename.moved = copies.moved;
        for (target, copy) in [(rename.new_directory, copies.new_directory), (rename.replaced, copies.replaced)] {
            if let (Some(target), Some(copy)) = (target, copy) {
                *target = copy;
            }
        }
        Ok(())
    }
}

struct Copies {
    directory: Inode,
    new_directory: Option<Inode>,
    moved: Inode,
    replaced: Option<Inode>,
}
