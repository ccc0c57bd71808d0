//! Content of files, by byte.
//!
//! The kernel reads regular files through its page cache, which asks `map_run` where the blocks are; this is the way
//! for everything else: symbolic links, the shell before there is a cache, tests.

use super::error::Error;
use super::inode::Inode;
use super::volume::Ext2;
use crate::{BlockStore, FileType};

impl<S: BlockStore> Ext2<S> {
    /// Reads from byte `offset` of a regular file into `out`. Returns the number of bytes read: all of `out` unless the
    /// file ends before. Holes read as zeros.
    pub fn read_at(&self, inode: &Inode, offset: u64, out: &mut [u8]) -> Result<usize, Error<S::Error>> {
        if inode.kind == FileType::Directory {
            return Err(Error::IsADirectory { inode: inode.number });
        }
        let block_shift = self.geometry().block_shift;
        let left_in_file = usize::try_from(inode.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = out.len().min(left_in_file);
        let mut done = 0;
        while done < len {
            let position = offset + done as u64;
            let in_block = position & ((1 << block_shift) - 1);
            let blocks_wanted = (in_block + (len - done) as u64).div_ceil(1 << block_shift);
            let run = self.map_run(inode, position >> block_shift, blocks_wanted)?;
            // Both below 2^64: a run is of at most the blocks wanted for a buffer that exists.
            let part_len = ((run.count << block_shift) - in_block).min((len - done) as u64) as usize;
            let part = &mut out[done..done + part_len];
            match run.start {
                Some(start) => self.read_content_at(start, in_block as usize, part)?,
                None => part.fill(0),
            }
            done += part_len;
        }
        Ok(len)
    }
}
