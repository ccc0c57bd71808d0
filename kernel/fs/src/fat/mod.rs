//! FAT12, FAT16 and FAT32 with long names, read and written by the crate `hadris-fat` over a [`WriteStore`].
//!
//! [`Fat`] adds what a kernel needs beyond it. A file that is removed while it is in use keeps its content: its entry is
//! moved to the root directory under a name that nobody sees here, and goes when the file is released. A name that is a
//! short alias of a long one is not found, so that a file has one name. What a damaged disk says is checked by the crate
//! and, for addresses, by `device`. The order in which changes reach the disk is that of `ordered`.
//!
//! Nodes are numbers. [`Fat::lookup`], [`Fat::make`] pin them; each pin is given back by [`Fat::release`].

mod bios;
mod device;
mod ordered;

pub use bios::{LEN_BYTES as BOOT_SECTOR_LEN, ParameterBlock, looks_like_fat};
pub use hadris_fs::{Clock, DateTime, DirEntry, Error, ErrorKind, Metadata, NoClock};
pub use hadris_fs::{NodeId, SetAttr};

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use device::Device;
use hadris_fat::FatKind;
use hadris_fat::sync::FatFs;
use hadris_fs::{DirCursor, FsStats, MountOptions, Name, Permissions, RenameMode};

use crate::{BlockStore, WriteStore};

/// Names tried for a removed file.
const HIDDEN_NAMES: u32 = 10_000;

/// Result of an operation on a store of this type.
pub type Result<T, S> = core::result::Result<T, Error<<S as BlockStore>::Error>>;

/// A mounted volume.
pub struct Fat<S: WriteStore>
where
    S::Error: core::error::Error + Send + Sync + 'static,
{
    inner: Box<FatFs<Device<S>>>,
    /// Files that have been removed but not released, and their names in the root directory.
    hidden: Vec<(NodeId, String)>,
    next_hidden: u32,
}

impl<S: WriteStore> Fat<S>
where
    S::Error: core::error::Error + Send + Sync + 'static,
{
    /// The volume in `store`; nothing is written before the first change. `clock` is for the times of what changes.
    pub fn mount(store: S, writable: bool, clock: &'static dyn Clock) -> Result<Self, S> {
        Ok(Fat { inner: boxed(store, writable, clock)?, hidden: Vec::new(), next_hidden: 0 })
    }

    /// 12, 16 or 32.
    pub fn bits(&self) -> u32 {
        match self.inner.info().kind() {
            FatKind::Fat12 => 12,
            FatKind::Fat16 => 16,
            _ => 32,
        }
    }

    /// Whether it was not unmounted by the last one who wrote to it, as far as it says.
    pub fn was_dirty(&self) -> bool {
        self.inner.was_dirty()
    }

    /// Whether the device has refused a write, or was read-only from the begin.
    pub fn is_read_only(&self) -> bool {
        self.inner.is_read_only()
    }

    /// The root directory, which needs no pin.
    pub fn root(&self) -> NodeId {
        self.inner.root()
    }

    /// Bytes of a cluster.
    pub fn cluster_size(&self) -> u32 {
        self.inner.info().cluster_size()
    }

    /// Space, in clusters.
    pub fn statistics(&mut self) -> Result<FsStats, S> {
        self.inner.statfs()
    }

    /// Finds `name` in `directory`, in any case.
    pub fn lookup(&mut self, directory: NodeId, name: &[u8]) -> Result<NodeId, S> {
        let node = self.inner.lookup(directory, Name::from_bytes(name))?;
        let seen = !self.is_hidden(node) && self.is_its_name(directory, name, node)?;
        if seen {
            return Ok(node);
        }
        self.inner.forget(node, 1);
        Err(ErrorKind::NotFound.into())
    }

    /// Whether `name`, by which `node` has been found, is more than its short alias.
    fn is_its_name(&mut self, directory: NodeId, name: &[u8], node: NodeId) -> Result<bool, S> {
        // Only generated names have a tilde, as good as always; others are not worth reading the directory.
        if !name.contains(&b'~') {
            return Ok(true);
        }
        let mut at = DirCursor::START;
        while let Some(entry) = self.inner.readdir(directory, at)? {
            if entry.node() == node {
                return Ok(fold(entry.name().as_bytes()) == fold(name));
            }
            at = entry.next_cursor();
        }
        Ok(false)
    }

    /// The entry of `directory` at `position` or behind it, and the position behind that one.
    pub fn read_dir(&mut self, directory: NodeId, position: u64) -> Result<Option<(DirEntry, u64)>, S> {
        let mut at = DirCursor::from_raw(position);
        while let Some(entry) = self.inner.readdir(directory, at)? {
            at = entry.next_cursor();
            if !self.is_hidden(entry.node()) {
                return Ok(Some((entry, at.into_raw())));
            }
        }
        Ok(None)
    }

    /// What the entry of `node` says.
    pub fn metadata(&mut self, node: NodeId) -> Result<Metadata, S> {
        self.inner.stat(node)
    }

    /// Changes times, and whether it is read-only.
    pub fn change(&mut self, node: NodeId, times: SetAttr, read_only: Option<bool>) -> Result<(), S> {
        let mode = |read_only| Permissions::new(if read_only { 0o444 } else { 0o644 });
        let change = match read_only {
            Some(read_only) => times.with_permissions(mode(read_only)),
            None => times,
        };
        self.inner.setattr(node, &change)
    }

    /// Makes an empty file or directory.
    pub fn make(&mut self, directory: NodeId, name: &[u8], is_directory: bool) -> Result<NodeId, S> {
        let name = Name::from_bytes(name);
        match is_directory {
            true => self.inner.mkdir(directory, name, &SetAttr::new()),
            false => self.inner.create(directory, name, &SetAttr::new()),
        }
    }

    /// Takes the name of the file `node` out of `directory`; what it has goes with the release of its last pin.
    ///
    /// If the root directory has no room for one name more, it goes at once.
    pub fn remove_file(&mut self, directory: NodeId, name: &[u8], node: NodeId) -> Result<(), S> {
        match self.hide(directory, name, node) {
            Err(error) if error.kind() == ErrorKind::NoSpace => self.inner.unlink(directory, Name::from_bytes(name)),
            hidden => hidden,
        }
    }

    /// Removes an empty directory.
    pub fn remove_directory(&mut self, directory: NodeId, name: &[u8]) -> Result<(), S> {
        self.inner.rmdir(directory, Name::from_bytes(name))
    }

    /// Moves `name` to `new_name`. What has that name already is `replaced`, with whether it is a directory.
    pub fn rename(
        &mut self,
        (directory, name): (NodeId, &[u8]),
        (new_directory, new_name): (NodeId, &[u8]),
        replaced: Option<(NodeId, bool)>,
    ) -> Result<(), S> {
        match replaced {
            Some((_, true)) => self.remove_directory(new_directory, new_name)?,
            Some((node, false)) => self.remove_file(new_directory, new_name, node)?,
            None => {}
        }
        let (from, to) = (Name::from_bytes(name), Name::from_bytes(new_name));
        let moved = self.inner.rename(directory, from, new_directory, to, RenameMode::NoReplace);
        if moved.is_err()
            && let Some((node, false)) = replaced
        {
            self.show(node, new_directory, to);
        }
        moved
    }

    /// Reads from a file; how many bytes, 0 at its end.
    pub fn read(&mut self, node: NodeId, offset: u64, out: &mut [u8]) -> Result<usize, S> {
        self.inner.read(node, offset, out)
    }

    /// Writes to a file, which grows as needed, with zeros in a gap. All of `bytes`, or an error.
    pub fn write(&mut self, node: NodeId, offset: u64, bytes: &[u8]) -> Result<(), S> {
        match self.inner.write(node, offset, bytes)? {
            len if len == bytes.len() => Ok(()),
            _ => Err(ErrorKind::FileTooLarge.into()),
        }
    }

    /// Cuts a file, or extends it by zeros.
    pub fn resize(&mut self, node: NodeId, len: u64) -> Result<(), S> {
        self.inner.truncate(node, len)
    }

    /// Gives up one pin of `node` that is not its last.
    pub fn unpin(&mut self, node: NodeId) {
        self.inner.forget(node, 1);
    }

    /// Gives up one pin of `node`. If it has been removed, what it has becomes free; an error of that is the caller's to tell.
    pub fn release(&mut self, node: NodeId) -> Result<(), S> {
        if node == self.inner.root() {
            return Ok(());
        }
        let at = self.hidden.iter().position(|(hidden, _)| *hidden == node);
        let freed = match at.map(|at| self.hidden.swap_remove(at)) {
            Some((_, name)) => self.inner.unlink(self.inner.root(), Name::new(&name)),
            None => Ok(()),
        };
        // A size that was not stored would keep it for good.
        let stored = match self.inner.close(node) {
            Err(error) if at.is_some() || error.kind() == ErrorKind::NotFound => Ok(()),
            stored => stored,
        };
        self.inner.forget(node, 1);
        freed.and(stored)
    }

    /// Makes safe what `node` has.
    pub fn sync_node(&mut self, node: NodeId) -> Result<(), S> {
        self.inner.fsync(node)
    }

    /// Makes everything safe.
    pub fn sync(&mut self) -> Result<(), S> {
        self.inner.sync()
    }

    /// Frees the removed files, used or not, and makes everything safe: the volume is as the next one should find it.
    pub fn finish(&mut self) -> Result<(), S> {
        let mut result = Ok(());
        for (_, name) in core::mem::take(&mut self.hidden) {
            result = result.and(self.inner.unlink(self.inner.root(), Name::new(&name)));
        }
        result.and(self.inner.sync())
    }

    fn is_hidden(&self, node: NodeId) -> bool {
        self.hidden.iter().any(|(hidden, _)| *hidden == node)
    }

    /// Moves the entry of a file to a name that is hidden.
    fn hide(&mut self, directory: NodeId, name: &[u8], node: NodeId) -> Result<(), S> {
        if self.hidden.try_reserve(1).is_err() {
            return Err(ErrorKind::NoSpace.into());
        }
        let root = self.inner.root();
        for _ in 0..HIDDEN_NAMES {
            self.next_hidden = (self.next_hidden + 1) % HIDDEN_NAMES;
            let new = format!("DEL{:05}.TMP", self.next_hidden);
            let (from, to) = (Name::from_bytes(name), Name::new(&new));
            match self.inner.rename(directory, from, root, to, RenameMode::NoReplace) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    self.hidden.push((node, new));
                    return Ok(());
                }
            }
        }
        Err(ErrorKind::NoSpace.into())
    }

    /// Gives a hidden file its name again. If that fails it stays hidden.
    fn show(&mut self, node: NodeId, directory: NodeId, name: &Name) {
        let Some(at) = self.hidden.iter().position(|(hidden, _)| *hidden == node) else { return };
        let (root, old) = (self.inner.root(), Name::new(&self.hidden[at].1));
        if self.inner.rename(root, old, directory, name, RenameMode::NoReplace).is_ok() {
            self.hidden.swap_remove(at);
        }
    }
}

/// The crate's volume, in a box at once: it is larger than a kernel stack should have to bear twice.
#[inline(never)]
fn boxed<S: WriteStore>(store: S, writable: bool, clock: &'static dyn Clock) -> Result<Box<FatFs<Device<S>>>, S>
where
    S::Error: core::error::Error + Send + Sync + 'static,
{
    let mounted = FatFs::mount(Device::new(store, writable), MountOptions::new().with_clock(clock));
    mounted.map(Box::new).map_err(|error| error.into_error())
}

/// `name` in the form in which names are compared: in capitals, letter by letter.
pub fn fold(name: &[u8]) -> Vec<u8> {
    let Ok(text) = core::str::from_utf8(name) else { return name.into() };
    let mut folded = String::with_capacity(name.len());
    for letter in text.chars() {
        let mut upper = letter.to_uppercase();
        match (upper.next(), upper.next()) {
            // As the crate compares units of UTF-16: what takes two units is compared as it is.
            (Some(upper), None) if letter.len_utf16() == 1 && upper.len_utf16() == 1 => folded.push(upper),
            _ => folded.push(letter),
        }
    }
    folded.into_bytes()
}
