//! Reading an open directory, `getdents64(2)`.
//!
//! Lock: the file's `offset` and the directory's own, held for the whole of one read.

use super::Result;
use super::file::File;
use super::flags::O_NOATIME;
use super::inode::{DirEntry, directory_type};
use super::location::Location;
use abi::Errno;
use abi::inotify::IN_ACCESS;
use fs::FileType;

/// Directory positions from here on stand for mount points that the file system has no entry for.
const SYNTHETIC: i64 = 1 << 62;

impl File {
    /// Gives the directory's entries from the file's position on, until `emit` says false; the entry refused comes again.
    pub fn read_dir(&self, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.check_not_path()?;
        let location = self.directory()?;
        let _held = self.offset.lock();
        let position = self.position();
        if location.is_removed() {
            return Err(Errno::ENOENT);
        }
        self.report(IN_ACCESS);
        let _directory = location.dentry.directory.lock();
        let mut reached = i64::try_from(position).map_err(|_| Errno::EINVAL)?;
        let mut full = false;
        let mut result = Ok(());
        if reached < SYNTHETIC {
            let parent = location.dentry.parent().unwrap_or_else(|| location.dentry.clone());
            let parent = parent.inode().metadata()?.ino;
            result = location.inode().read_dir(reached, parent, &mut |entry| {
                full = !emit(entry);
                if !full {
                    reached = entry.next_offset;
                }
                !full
            });
        }
        if self.flags() & O_NOATIME == 0 {
            location.accessed();
        }
        if !full && result.is_ok() {
            reached = self.read_synthetic(location, reached.max(SYNTHETIC), emit)?;
        }
        self.set_position(reached as u64);
        if reached as u64 != position { Ok(()) } else { result }
    }

    fn read_synthetic(
        &self,
        location: &Location,
        from: i64,
        emit: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<i64> {
        let (mut reached, mut number, mut full) = (from, SYNTHETIC, false);
        location.dentry.for_each_synthetic(&mut |child| {
            number += 1;
            if full || number <= from {
                return;
            }
            let ino = child.inode().metadata().map_or(1, |metadata| metadata.ino);
            let kind = directory_type(FileType::Directory);
            full = !emit(DirEntry { ino, next_offset: number, kind, name: &child.name() });
            if !full {
                reached = number;
            }
        });
        Ok(reached)
    }
}
