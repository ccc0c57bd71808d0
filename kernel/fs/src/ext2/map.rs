//! From a block of a file to a block of the device: direct pointers and three trees of indirect ones.
//!
//! Every pointer is checked before it is followed or handed out. The walk goes down at most three levels whatever the
//! pointers say, needs no buffer but a few pointers on the stack, and so cannot loop on a tree that leads into itself.

use super::error::{Corruption, Error, Place};
use super::field::LittleEndian;
use super::geometry::{DIRECT_POINTERS, Geometry};
use super::inode::{Inode, POINTERS};
use super::volume::Ext2;
use crate::BlockStore;

/// Consecutive blocks of a file that are consecutive on the device too, or are all holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First block on the device; `None` for a hole, which reads as zeros.
    pub start: Option<u64>,
    /// Number of blocks.
    pub count: u64,
}

/// Pointers read from an indirect block at a time.
const POINTERS_PER_READ: usize = 64;
/// Pointers of an inode that lead straight to data.
pub(super) const DIRECT: usize = DIRECT_POINTERS;
pub(super) const POINTER_BYTES: usize = 4;

impl<S: BlockStore> Ext2<S> {
    /// The block of the device that holds block `file_block` of the file; `None` if it is a hole.
    pub fn map_block(&self, inode: &Inode, file_block: u64) -> Result<Option<u64>, Error<S::Error>> {
        Ok(self.map_run(inode, file_block, 1)?.start)
    }

    /// The longest run from `file_block` on, of at most `max` blocks, that one block of pointers shows; at least one
    /// block unless `max` is 0. It may go beyond the end of the file, which this does not look at.
    ///
    /// A bad pointer ends the run before it; asking for its own block then gives the error.
    pub fn map_run(&self, inode: &Inode, file_block: u64, max: u64) -> Result<Run, Error<S::Error>> {
        if !inode.has_block_map(self.geometry()) {
            return Err(Error::NoBlockMap { inode: inode.number, kind: inode.kind });
        }
        if inode.has_extents() {
            return self.extent_run(inode, file_block, max);
        }
        let path = Path::to(file_block, self.geometry()).ok_or(Error::BeyondReach { file_block })?;
        let mut holder = Holder::Inode { inode: inode.number, index: path.root };
        if path.levels == 0 {
            let mut run = RunBuilder::new(self.geometry(), holder, max);
            run.extend(inode.block[path.root..DIRECT_POINTERS].iter().copied())?;
            return Ok(run.finish());
        }
        let mut level = path.levels;
        let mut pointer = inode.block[path.root];
        loop {
            if pointer == 0 {
                return Ok(Run { start: None, count: path.left_below(level).min(max) });
            }
            let block = check(self.geometry(), holder, pointer)?;
            if level == 1 {
                return self.indirect_run(block, path.index_in(level), max);
            }
            let mut bytes = [0; POINTER_BYTES];
            self.read_in_block(block, path.index_in(level) * POINTER_BYTES, &mut bytes)?;
            pointer = u32::from_le_bytes(bytes);
            holder = Holder::Block(block);
            level -= 1;
        }
    }

    /// The run that starts at pointer number `index` of the indirect block `block`.
    fn indirect_run(&self, block: u64, index: usize, max: u64) -> Result<Run, Error<S::Error>> {
        let mut run = RunBuilder::new(self.geometry(), Holder::Block(block), max);
        let mut bytes = [0; POINTERS_PER_READ * POINTER_BYTES];
        let mut index = index;
        let end = 1 << self.geometry().pointers_shift();
        while index < end && run.wants_more() {
            let count = POINTERS_PER_READ.min(end - index).min(usize::try_from(run.missing()).unwrap_or(usize::MAX));
            let part = &mut bytes[..count * POINTER_BYTES];
            self.read_in_block(block, index * POINTER_BYTES, part)?;
            run.extend(part.chunks_exact(POINTER_BYTES).map(u32::load))?;
            index += count;
        }
        Ok(run.finish())
    }
}

/// Checks a pointer that is not 0.
pub(super) fn check(geometry: &Geometry, holder: Holder, pointer: u32) -> Result<u64, Corruption> {
    let block = u64::from(pointer);
    if geometry.contains(block, 1) { Ok(block) } else { Err(holder.bad_pointer(block)) }
}

/// The way from an inode's pointers to one block of its file.
pub(super) struct Path {
    /// Index into `i_block`.
    pub(super) root: usize,
    /// Blocks of pointers between `i_block` and the data: 0 to 3.
    pub(super) levels: u32,
    /// Number of the block among those below `root`.
    below_root: u64,
    pointers_shift: u32,
}

impl Path {
    /// `None` if triple indirection does not reach that far.
    pub(super) fn to(file_block: u64, geometry: &Geometry) -> Option<Path> {
        let pointers_shift = geometry.pointers_shift();
        if file_block < DIRECT_POINTERS as u64 {
            return Some(Path { root: file_block as usize, levels: 0, below_root: 0, pointers_shift });
        }
        let mut below_root = file_block - DIRECT_POINTERS as u64;
        for (root, levels) in (DIRECT_POINTERS..POINTERS).zip(1..) {
            let reach = 1u64 << (pointers_shift * levels);
            if below_root < reach {
                return Some(Path { root, levels, below_root, pointers_shift });
            }
            below_root -= reach;
        }
        None
    }

    /// Which pointer of a block of pointers to take; `level` is 1 for one that points to data.
    pub(super) fn index_in(&self, level: u32) -> usize {
        let pointers = 1u64 << self.pointers_shift;
        (self.below_root >> (self.pointers_shift * (level - 1)) & (pointers - 1)) as usize
    }

    /// Number of blocks of the file, from this one on, that a block of pointers at `level` leads to.
    fn left_below(&self, level: u32) -> u64 {
        let reach = 1u64 << (self.pointers_shift * level);
        reach - (self.below_root & (reach - 1))
    }
}

/// Where a pointer is kept.
#[derive(Clone, Copy)]
pub(super) enum Holder {
    Inode { inode: u32, index: usize },
    Block(u64),
}

impl Holder {
    fn bad_pointer(self, value: u64) -> Corruption {
        let (place, field) = match self {
            Holder::Inode { inode, index } => (Place::Inode(inode), I_BLOCK_NAMES[index]),
            Holder::Block(block) => (Place::PointerBlock(block), "block pointer"),
        };
        Corruption { place, field, value, rule: "must lie on the device, behind the group descriptors" }
    }
}

const I_BLOCK_NAMES: [&str; POINTERS] = [
    "i_block[0]",
    "i_block[1]",
    "i_block[2]",
    "i_block[3]",
    "i_block[4]",
    "i_block[5]",
    "i_block[6]",
    "i_block[7]",
    "i_block[8]",
    "i_block[9]",
    "i_block[10]",
    "i_block[11]",
    "i_block[12] (indirect)",
    "i_block[13] (double indirect)",
    "i_block[14] (triple indirect)",
];

/// A run that grows pointer by pointer.
struct RunBuilder<'a> {
    geometry: &'a Geometry,
    holder: Holder,
    max: u64,
    run: Run,
    ended: bool,
}

impl<'a> RunBuilder<'a> {
    /// An empty run of at most `max` blocks, the first of whose pointers is kept by `holder`.
    fn new(geometry: &'a Geometry, holder: Holder, max: u64) -> Self {
        RunBuilder { geometry, holder, max, run: Run { start: None, count: 0 }, ended: max == 0 }
    }

    fn wants_more(&self) -> bool {
        !self.ended
    }

    /// Blocks until `max`.
    fn missing(&self) -> u64 {
        self.max - self.run.count
    }

    /// Takes pointers until one does not go on with the run. Only the very first can be an error.
    fn extend(&mut self, pointers: impl Iterator<Item = u32>) -> Result<(), Corruption> {
        for pointer in pointers {
            if self.ended {
                return Ok(());
            }
            if self.run.count == 0 {
                self.run.start = if pointer == 0 { None } else { Some(check(self.geometry, self.holder, pointer)?) };
            } else if !self.goes_on_with(u64::from(pointer)) {
                self.ended = true;
                return Ok(());
            }
            self.run.count += 1;
            self.ended = self.run.count == self.max;
        }
        Ok(())
    }

    fn goes_on_with(&self, block: u64) -> bool {
        match self.run.start {
            None => block == 0,
            Some(start) => block == start + self.run.count && self.geometry.contains(block, 1),
        }
    }

    fn finish(self) -> Run {
        self.run
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::{Geometry, Path};

    /// Blocks of 1024 bytes, and so 256 pointers.
    const GEOMETRY: Geometry = Geometry {
        block_shift: 10,
        blocks_count: 8192,
        first_data_block: 1,
        blocks_per_group: 8192,
        group_count: 1,
        descriptor_bytes: 32,
        has_extents: false,
        descriptor_blocks: 1,
        inodes_count: 16,
        inodes_per_group: 16,
        first_inode: 11,
        inode_size: 128,
        inode_table_blocks: 2,
    };

    fn path(file_block: u64) -> (usize, Vec<usize>) {
        let path = Path::to(file_block, &GEOMETRY).unwrap();
        (path.root, (1..=path.levels).rev().map(|level| path.index_in(level)).collect())
    }

    #[test]
    fn each_tree_starts_where_the_one_before_ends() {
        assert_eq!(path(0), (0, vec![]));
        assert_eq!(path(11), (11, vec![]));
        assert_eq!(path(12), (12, vec![0]));
        assert_eq!(path(12 + 255), (12, vec![255]));
        assert_eq!(path(12 + 256), (13, vec![0, 0]));
        assert_eq!(path(12 + 256 + 256 + 3), (13, vec![1, 3]));
        assert_eq!(path(12 + 256 + 65535), (13, vec![255, 255]));
        assert_eq!(path(12 + 256 + 65536), (14, vec![0, 0, 0]));
        assert_eq!(path(12 + 256 + 65536 + (1 << 24) - 1), (14, vec![255, 255, 255]));
    }

    #[test]
    fn triple_indirection_is_the_end() {
        assert!(Path::to(GEOMETRY.max_file_blocks() - 1, &GEOMETRY).is_some());
        assert!(Path::to(GEOMETRY.max_file_blocks(), &GEOMETRY).is_none());
        assert!(Path::to(u64::MAX, &GEOMETRY).is_none());
        let largest = Geometry { block_shift: 16, ..GEOMETRY };
        assert!(Path::to(largest.max_file_blocks() - 1, &largest).is_some());
        assert!(largest.max_file_bytes() < 1 << 59);
    }

    #[test]
    fn what_is_left_below_a_hole() {
        let path = Path::to(12 + 256 + 256 + 3, &GEOMETRY).unwrap();
        assert_eq!(path.left_below(2), 65536 - 259);
        assert_eq!(path.left_below(1), 253);
    }
}
