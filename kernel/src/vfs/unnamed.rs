//! Places of open files that no directory shows, pipes above all: so that a link of `/proc/self/fd` can lead to them.
//!
//! Such a place has a dentry of its own that is in no directory, seen through a mount that is in no table.

use super::Result;
use super::dentry::Dentry;
use super::device::FileOperations;
use super::file::File;
use super::inode::{FileSystem, FileType, Inode, Metadata};
use super::location::{Location, Mount, Volume};
use super::mount_options::MountOptions;
use super::pseudo::Text;
use super::tmpfs::TmpFs;
use abi::Errno;
use alloc::string::String;
use alloc::sync::Arc;
use machine::sync::Once;

/// An open file as the inode of its place.
struct Unnamed {
    file: Arc<File>,
    metadata: Metadata,
}

impl Inode for Unnamed {
    /// What has no kind on Linux is a regular file that cannot be opened.
    fn file_type(&self) -> FileType {
        FileType::from_mode(self.metadata.mode as u16).unwrap_or(FileType::Regular)
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.metadata)
    }

    /// Of a pipe it gives an end for reading or writing, as `flags` say, of a terminal another opening; the rest cannot be
    /// opened again.
    fn open(&self, flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let operations = self.file.operations().ok_or(Errno::ENXIO)?;
        match self.file_type() {
            FileType::Fifo | FileType::CharDevice => {
                Ok(Some(operations.open(flags)?.unwrap_or_else(|| operations.clone())))
            }
            _ => Err(Errno::ENXIO),
        }
    }
}

impl File {
    /// The place of the open file: where it was opened, or one that stands for it alone.
    pub fn place(self: &Arc<File>) -> Result<Location> {
        if let Some(location) = self.location() {
            return Ok(location.clone());
        }
        let metadata = self.metadata()?;
        let mut name = Text::default();
        let kind = self.operations().map_or("", |operations| operations.link_name());
        name.put(kind.as_bytes());
        if kind.ends_with(':') {
            write!(name, "[{}]", metadata.ino);
        }
        let inode = Arc::new(Unnamed { file: self.clone(), metadata });
        let dentry = Dentry::detached(inode, name.finish()?.into());
        Ok(HOME.get().ok_or(Errno::ENOENT)?.beside(dentry))
    }
}

/// The place through whose mount all such places are seen.
static HOME: Once<Location> = Once::new();

/// Makes the mount.
pub(super) fn init() -> Result<()> {
    let file_system = TmpFs::new("anon", 0);
    let root = Dentry::root(file_system.root()?);
    let mount = Mount::new(Volume::of(file_system, root, 0), String::from("none"), MountOptions::default());
    HOME.call_once(|| Location::mount_root(&mount));
    Ok(())
}
