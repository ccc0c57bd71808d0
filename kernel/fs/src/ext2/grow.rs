//! Giving a file blocks: the holes of a range become blocks, with the blocks of pointers that lead to them.

use alloc::vec::Vec;

use super::edit::{Edit, EditResult};
use super::error::Error;
use super::features;
use super::inode::Inode;
use super::map::{self, Holder, POINTER_BYTES, Path};
use super::superblock::S_FEATURE_RO_COMPAT;
use crate::{FileType, WriteStore};

/// Largest file of a file system without the large_file feature.
const SMALL_FILE_BYTES: u64 = i32::MAX as u64;

impl<S: WriteStore> Edit<'_, S> {
    /// Bytes `offset .. offset + len` of a regular file are about to be stored: gives them blocks where there are holes,
    /// and makes the file reach to their end. Returns the runs of blocks that are new, as first block of the file and
    /// count: what the range leaves of them must be written as zeros.
    ///
    /// At most [`GROW_BLOCKS`] blocks at once, so that a transaction has room for it.
    pub fn grow(&mut self, inode: &mut Inode, offset: u64, len: u64) -> EditResult<Vec<(u64, u64)>, S> {
        if inode.kind != FileType::Regular {
            return Err(Error::NoBlockMap { inode: inode.number, kind: inode.kind });
        }
        let end = offset.checked_add(len).ok_or(Error::TooLarge { inode: inode.number, field: "i_size" })?;
        self.attempt_on(inode, |edit, inode| {
            edit.check_size(inode, end)?;
            let shift = edit.volume.geometry().block_shift;
            let mut new = Vec::new();
            if len > 0 {
                let (first, last) = (offset >> shift, (end - 1) >> shift);
                edit.fill_holes(inode, first, last + 1 - first, &mut new)?;
            }
            inode.size = inode.size.max(end);
            edit.touch(inode);
            edit.write_inode(inode)?;
            Ok(new)
        })
    }

    /// Whether the file system lets `inode` become `size` bytes long; sets the flag that says that a file is large.
    pub(super) fn check_size(&mut self, inode: &Inode, size: u64) -> EditResult<(), S> {
        let geometry = self.volume.geometry();
        // `i_blocks` counts sectors in 32 bits: a file without holes can take no more.
        if size > geometry.max_file_bytes() {
            return Err(Error::TooLarge { inode: inode.number, field: "i_size" });
        }
        if inode.kind != FileType::Regular || size <= SMALL_FILE_BYTES {
            return Ok(());
        }
        let old = S_FEATURE_RO_COMPAT.get(&self.volume.superblock_record()?);
        if self.volume.superblock().revision == 0 {
            return Err(Error::TooLarge { inode: inode.number, field: "i_size" });
        }
        match old & features::RO_COMPAT_LARGE_FILE {
            0 => self.set_superblock(S_FEATURE_RO_COMPAT, old | features::RO_COMPAT_LARGE_FILE),
            _ => Ok(()),
        }
    }

    /// Gives blocks to the holes among the `count` blocks from `first` on, and adds them to `new`.
    pub(super) fn fill_holes(
        &mut self,
        inode: &mut Inode,
        first: u64,
        count: u64,
        new: &mut Vec<(u64, u64)>,
    ) -> EditResult<(), S> {
        let (mut at, end) = (first, first + count);
        while at < end {
            let run = self.volume.map_run(inode, at, end - at)?;
            if run.start.is_some() {
                at += run.count;
                continue;
            }
            // The blocks of one pointer block only: the hole may be longer.
            let path = self.path(inode, at)?;
            let left = match path.levels {
                0 => (map::DIRECT - path.root) as u64,
                _ => (1 << self.volume.geometry().pointers_shift()) - path.index_in(1) as u64,
            };
            let goal = self.goal(inode, at)?;
            let holder = self.pointer_block(inode, &path, goal)?;
            let goal = self.goal(inode, at)?;
            let taken = self.take_blocks(inode, goal, run.count.min(left))?;
            self.set_pointers(inode, &path, holder, taken.start, taken.count)?;
            self.count_sectors(inode, taken.count as i64)?;
            match new.last_mut() {
                Some((start, count)) if *start + *count == at => *count += taken.count,
                _ => {
                    new.try_reserve(1).map_err(|_| Error::NoMemory)?;
                    new.push((at, taken.count));
                }
            }
            at += taken.count;
        }
        Ok(())
    }

    pub(super) fn path(&self, _: &Inode, file_block: u64) -> EditResult<Path, S> {
        Path::to(file_block, self.volume.geometry()).ok_or(Error::BeyondReach { file_block })
    }

    /// Where block `file_block` should lie: behind the one before it, or else where the inode's group begins.
    fn goal(&self, inode: &Inode, file_block: u64) -> EditResult<u64, S> {
        if let Some(before) = file_block.checked_sub(1)
            && let Some(block) = self.volume.map_block(inode, before)?
        {
            return Ok(block + 1);
        }
        let group = (inode.number - 1) / self.volume.geometry().inodes_per_group;
        Ok(self.group_start(group))
    }

    /// The block whose pointers lead to the data at the end of `path`, made if need be; `None` for the inode itself.
    pub(super) fn pointer_block(&mut self, inode: &mut Inode, path: &Path, goal: u64) -> EditResult<Option<u64>, S> {
        let mut above: Option<(u64, usize)> = None;
        let mut level = path.levels;
        while level > 0 {
            let (pointer, holder) = match above {
                None => (inode.block[path.root], Holder::Inode { inode: inode.number, index: path.root }),
                Some((block, index)) => (self.pointer(block, index)?, Holder::Block(block)),
            };
            let block = if pointer != 0 {
                map::check(self.volume.geometry(), holder, pointer)?
            } else {
                let block = self.take_blocks(inode, goal, 1)?.start;
                let zeros = self.block_buffer()?;
                self.replace(block, zeros.into_boxed_slice());
                self.count_sectors(inode, 1)?;
                match above {
                    None => inode.block[path.root] = block as u32,
                    Some((above, index)) => {
                        self.modify(above, index * POINTER_BYTES, &(block as u32).to_le_bytes())?;
                    }
                }
                block
            };
            above = Some((block, path.index_in(level)));
            level -= 1;
        }
        Ok(above.map(|(block, _)| block))
    }

    /// Lets consecutive pointers, from the end of `path` on, lead to the `count` blocks from `start` on.
    fn set_pointers(
        &mut self,
        inode: &mut Inode,
        path: &Path,
        holder: Option<u64>,
        start: u64,
        count: u64,
    ) -> EditResult<(), S> {
        let Some(block) = holder else {
            for (pointer, block) in inode.block[path.root..].iter_mut().zip(start..start + count) {
                *pointer = block as u32;
            }
            return Ok(());
        };
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(count as usize * POINTER_BYTES).map_err(|_| Error::NoMemory)?;
        (start..start + count).for_each(|block| bytes.extend_from_slice(&(block as u32).to_le_bytes()));
        self.modify(block, path.index_in(1) * POINTER_BYTES, &bytes)
    }

    /// Pointer number `index` of a block of pointers.
    pub(super) fn pointer(&self, block: u64, index: usize) -> EditResult<u32, S> {
        let mut bytes = [0; POINTER_BYTES];
        self.volume.read_in_block(block, index * POINTER_BYTES, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}
