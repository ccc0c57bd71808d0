//! Making holes in files: the blocks of a range are freed, the file stays as long as it is.
//!
//! Blocks of pointers stay even if none of their pointers is left; cutting the file frees them.

use super::edit::{Edit, EditResult};
use super::error::Error;
use super::inode::Inode;
use super::map::POINTER_BYTES;
use super::trim::{Progress, STEP_BLOCKS};
use crate::{FileType, WriteStore};

impl<S: WriteStore> Edit<'_, S> {
    /// Makes a hole of the `count` blocks of a regular file from number `first` on, or as much of it as one step may. To be
    /// called again with the same range until it is done.
    pub fn punch(&mut self, inode: &mut Inode, first: u64, count: u64) -> EditResult<Progress, S> {
        if inode.kind != FileType::Regular {
            return Err(Error::NoBlockMap { inode: inode.number, kind: inode.kind });
        }
        self.attempt_on(inode, |edit, inode| {
            edit.touch(inode);
            let progress = edit.free_range(inode, first, count)?;
            edit.write_inode(inode)?;
            Ok(progress)
        })
    }

    fn free_range(&mut self, inode: &mut Inode, first: u64, count: u64) -> EditResult<Progress, S> {
        let limit = self.changed_blocks() + STEP_BLOCKS;
        let end = first.saturating_add(count).min(self.volume.geometry().max_file_blocks());
        let mut at = first;
        while at < end {
            let run = self.volume.map_run(inode, at, end - at)?;
            if let Some(start) = run.start {
                if self.changed_blocks() > limit {
                    return Ok(Progress::More);
                }
                self.clear_pointers(inode, at, run.count as usize)?;
                self.free_blocks(start, run.count, false)?;
                self.count_sectors(inode, -(run.count as i64))?;
            }
            at += run.count;
        }
        Ok(Progress::Done)
    }

    /// Makes holes of `count` blocks from `at` on, which are there, and whose pointers are all in one place.
    fn clear_pointers(&mut self, inode: &mut Inode, at: u64, count: usize) -> EditResult<(), S> {
        let path = self.path(inode, at)?;
        // All the blocks of pointers on the way are there, so none is made.
        let Some(block) = self.pointer_block(inode, &path, 0)? else {
            inode.block[path.root..path.root + count].fill(0);
            return Ok(());
        };
        let mut zeros = self.block_buffer()?;
        zeros.truncate(count * POINTER_BYTES);
        self.modify(block, path.index_in(1) * POINTER_BYTES, &zeros)
    }
}
