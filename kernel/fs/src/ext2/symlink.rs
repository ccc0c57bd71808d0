//! Targets of symbolic links: fast ones, of up to 59 bytes within the inode, and slow ones in a block of their own.

use super::error::Error;
use super::inode::{self, Inode, POINTERS};
use super::volume::Ext2;
use crate::{BlockStore, FileType};

/// Longest target of a fast symbolic link: what fits into `i_block` with a zero byte behind it.
pub(super) const FAST_BYTES: usize = 4 * POINTERS - 1;

impl<S: BlockStore> Ext2<S> {
    /// Reads the target of a symbolic link into `out`; a longer one is cut off, as by `readlink(2)`. Returns the number
    /// of bytes written. The whole target has `inode.size` bytes, at most one block.
    pub fn read_link(&self, inode: &Inode, out: &mut [u8]) -> Result<usize, Error<S::Error>> {
        if inode.kind != FileType::Symlink {
            return Err(Error::NotASymlink { inode: inode.number });
        }
        let len = if inode.is_fast_symlink(self.geometry()) {
            copy_fast(inode, out)?
        } else {
            if inode.size > self.geometry().block_size() as u64 {
                return Err(inode::wrong_size(inode, "a symbolic link's target must fit into a block").into());
            }
            let len = out.len().min(inode.size as usize);
            match self.map_block(inode, 0)? {
                Some(block) => self.read_in_block(block, 0, &mut out[..len])?,
                None => out[..len].fill(0),
            }
            len
        };
        if inode.size == 0 || out[..len].contains(&0) {
            let rule = "must be the length of a target that is not empty and has no zero byte";
            return Err(inode::wrong_size(inode, rule).into());
        }
        Ok(len)
    }
}

fn copy_fast<E>(inode: &Inode, out: &mut [u8]) -> Result<usize, Error<E>> {
    if inode.size > FAST_BYTES as u64 {
        return Err(inode::wrong_size(inode, "must be at most 59 for a symbolic link without a block").into());
    }
    let target = inode.block.iter().flat_map(|word| word.to_le_bytes()).take(inode.size as usize);
    Ok(out.iter_mut().zip(target).map(|(to, byte)| *to = byte).count())
}
