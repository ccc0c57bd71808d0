//! Cutting files: the blocks behind the new end are freed, with the blocks of pointers that are needed no more.
//!
//! A large file is cut in steps, each small enough for one transaction. Until the last one is done the inode is on the
//! list of orphans, so that whoever mounts the file system after a power cut goes on with it.

use super::edit::{Edit, EditResult};
use super::error::Error;
use super::field::LittleEndian;
use super::geometry::DIRECT_POINTERS;
use super::inode::{Inode, POINTERS};
use super::map::{self, Holder, POINTER_BYTES};
use crate::{FileType, WriteStore};

/// Blocks of metadata that one step may change before it stops, beyond what one leaf of pointers needs.
pub(super) const STEP_BLOCKS: usize = 48;

/// How far cutting has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// All is done.
    Done,
    /// The same call goes on with it, after a commit if the transaction is full.
    More,
}

impl<S: WriteStore> Edit<'_, S> {
    /// Makes a regular file `size` bytes long. What it holds of the last block behind the new end must be written as
    /// zeros by the caller. To be called with the same size until it is done.
    pub fn resize(&mut self, inode: &mut Inode, size: u64) -> EditResult<Progress, S> {
        if inode.kind != FileType::Regular {
            return Err(Error::NoBlockMap { inode: inode.number, kind: inode.kind });
        }
        self.attempt_on(inode, |edit, inode| {
            edit.check_size(inode, size)?;
            // A caller whose pages are cut first has set the size already.
            let cuts = size <= inode.size || edit.is_orphan(inode.number);
            inode.size = size;
            edit.touch(inode);
            let progress = if cuts { edit.cut(inode, size)? } else { Progress::Done };
            edit.write_inode(inode)?;
            edit.keep_as_orphan(inode, progress == Progress::More || inode.links_count == 0)?;
            Ok(progress)
        })
    }

    /// Frees what an inode without a name has, and then the inode. To be called until it is done.
    pub fn remove_orphan(&mut self, inode: &mut Inode) -> EditResult<Progress, S> {
        self.state.forget(inode.number);
        self.attempt_on(inode, |edit, inode| {
            if inode.has_block_map(edit.volume.geometry()) && edit.cut(inode, 0)? == Progress::More {
                edit.write_inode(inode)?;
                return Ok(Progress::More);
            }
            edit.drop_attributes(inode)?;
            edit.keep_as_orphan(inode, false)?;
            edit.free_inode(inode)?;
            Ok(Progress::Done)
        })
    }

    /// Frees all blocks of the file from byte `size` on, or as many as one step may.
    pub(super) fn cut(&mut self, inode: &mut Inode, size: u64) -> EditResult<Progress, S> {
        let geometry = *self.volume.geometry();
        self.state.windows.remove(&inode.number);
        let keep = size.div_ceil(1 << geometry.block_shift);
        let limit = self.changed_blocks() + STEP_BLOCKS;
        let shift = geometry.pointers_shift();
        // The trees from the last one back, then the direct pointers.
        let mut base = geometry.max_file_blocks();
        for levels in (1..=(POINTERS - DIRECT_POINTERS) as u32).rev() {
            let reach = 1u64 << (shift * levels);
            base -= reach;
            let root = DIRECT_POINTERS - 1 + levels as usize;
            let pointer = inode.block[root];
            if pointer == 0 || keep >= base + reach {
                continue;
            }
            let block = map::check(&geometry, Holder::Inode { inode: inode.number, index: root }, pointer)?;
            let branch = Branch { block, levels, keep: keep.saturating_sub(base), limit };
            match self.cut_branch(inode, branch)? {
                Cut::Empty => {
                    self.free_blocks(block, 1, true)?;
                    self.count_sectors(inode, -1)?;
                    inode.block[root] = 0;
                }
                Cut::Kept => {}
                Cut::Stopped => return Ok(Progress::More),
            }
        }
        for index in (keep.min(DIRECT_POINTERS as u64) as usize..DIRECT_POINTERS).rev() {
            let pointer = core::mem::take(&mut inode.block[index]);
            if pointer != 0 {
                let holder = Holder::Inode { inode: inode.number, index };
                let block = map::check(&geometry, holder, pointer)?;
                self.free_blocks(block, 1, inode.kind != FileType::Regular)?;
                self.count_sectors(inode, -1)?;
            }
        }
        Ok(Progress::Done)
    }

    /// Cuts what hangs on one block of pointers, from its end back.
    fn cut_branch(&mut self, inode: &mut Inode, branch: Branch) -> EditResult<Cut, S> {
        let Branch { block, levels, keep, limit } = branch;
        let shift = self.volume.geometry().pointers_shift();
        let below = 1u64 << (shift * (levels - 1));
        let first = (keep / below) as usize;
        if levels == 1 {
            return self.cut_leaf(inode, block, first);
        }
        for index in (first..1 << shift).rev() {
            let pointer = self.pointer(block, index)?;
            if pointer == 0 {
                continue;
            }
            if self.changed_blocks() > limit {
                return Ok(Cut::Stopped);
            }
            let child = map::check(self.volume.geometry(), Holder::Block(block), pointer)?;
            let keep_below = if index == first { keep % below } else { 0 };
            let branch = Branch { block: child, levels: levels - 1, keep: keep_below, limit };
            match self.cut_branch(inode, branch)? {
                Cut::Empty => {
                    self.free_blocks(child, 1, true)?;
                    self.count_sectors(inode, -1)?;
                    self.modify(block, index * POINTER_BYTES, &[0; POINTER_BYTES])?;
                }
                Cut::Kept => {}
                Cut::Stopped => return Ok(Cut::Stopped),
            }
        }
        if keep == 0 { Ok(Cut::Empty) } else { Ok(Cut::Kept) }
    }

    /// Frees the data that the pointers of `block` from number `first` on lead to.
    fn cut_leaf(&mut self, inode: &mut Inode, block: u64, first: usize) -> EditResult<Cut, S> {
        let bytes = self.read_whole(block)?;
        let metadata = inode.kind != FileType::Regular;
        let mut run = 0..0u64;
        let mut freed = 0;
        for pointer in bytes[first * POINTER_BYTES..].chunks_exact(POINTER_BYTES).map(u32::load) {
            if pointer == 0 {
                continue;
            }
            let data = map::check(self.volume.geometry(), Holder::Block(block), pointer)?;
            freed += 1;
            if data == run.end {
                run.end += 1;
                continue;
            }
            self.free_blocks(run.start, run.end - run.start, metadata)?;
            run = data..data + 1;
        }
        self.free_blocks(run.start, run.end - run.start, metadata)?;
        self.count_sectors(inode, -freed)?;
        if first == 0 {
            return Ok(Cut::Empty);
        }
        if freed > 0 {
            let mut zeros = self.block_buffer()?;
            zeros.truncate(bytes.len() - first * POINTER_BYTES);
            self.modify(block, first * POINTER_BYTES, &zeros)?;
        }
        Ok(Cut::Kept)
    }
}

/// A block of pointers to be cut.
struct Branch {
    block: u64,
    /// From here to the data: 1 if its pointers lead there.
    levels: u32,
    /// How many blocks of data it keeps.
    keep: u64,
    /// Changed blocks at which to stop.
    limit: usize,
}

enum Cut {
    /// No pointer is left, so the block can go.
    Empty,
    /// Some are left.
    Kept,
    /// The step is over, and not all is cut.
    Stopped,
}
