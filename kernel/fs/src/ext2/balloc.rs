//! Taking and freeing blocks.
//!
//! A file's blocks go behind its last ones, or else near its inode. What a file that grows does not need yet is set
//! aside for it in a window, so that files growing at the same time do not cut each other into pieces; windows double
//! as the file grows, cost nothing on the device, and are given up when space runs out or there are many. Most files are
//! written at once and stay small: only one that comes back for more gets a window.

use super::bitmap::Bitmap;
use super::edit::{Edit, EditResult};
use super::error::{Corruption, Error, Place};
use super::inode::Inode;
use super::writer::{HeldUntil, Window};
use crate::WriteStore;

/// Blocks set aside at first, and at most.
const FIRST_WINDOW: u64 = 16;
const LARGEST_WINDOW: u64 = 512;
/// Files that may have windows at a time, since each is looked at whenever blocks are taken.
const MOST_WINDOWS: usize = 64;

/// Consecutive blocks that have been taken.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    pub(super) start: u64,
    pub(super) count: u64,
}

impl<S: WriteStore> Edit<'_, S> {
    /// Takes from one to `want` blocks for `inode`, at `goal` if they are free, and near it otherwise.
    pub(super) fn take_blocks(&mut self, inode: &Inode, goal: u64, want: u64) -> EditResult<Taken, S> {
        let window = self.state.windows.get(&inode.number).copied();
        if let Some(window) = window
            && window.count > 0
        {
            let taken = Taken { start: window.start, count: want.min(window.count) };
            self.mark_taken(taken)?;
            let rest = Window { start: taken.start + taken.count, count: window.count - taken.count, ..window };
            self.state.windows.insert(inode.number, rest);
            return Ok(taken);
        }
        let wish = match window {
            Some(window) => window.next_count,
            None if inode.sectors_count > 0 => FIRST_WINDOW,
            None => 0,
        };
        let found = match self.find_blocks(goal, want.max(wish))? {
            Some(found) => found,
            None => {
                // Set aside for others, maybe.
                self.state.windows.clear();
                self.find_blocks(goal, want)?.ok_or(Error::NoSpace)?
            }
        };
        let taken = Taken { start: found.start, count: want.min(found.count) };
        self.mark_taken(taken)?;
        if wish > 0 {
            let rest = Window {
                start: taken.start + taken.count,
                count: found.count - taken.count,
                next_count: (wish * 2).min(LARGEST_WINDOW),
            };
            if window.is_none() && self.state.windows.len() >= MOST_WINDOWS {
                self.state.windows.clear();
            }
            self.state.windows.insert(inode.number, rest);
        }
        Ok(taken)
    }

    /// Free blocks near `goal`: in its group, or else in the next one that has any.
    fn find_blocks(&mut self, goal: u64, want: u64) -> EditResult<Option<Taken>, S> {
        let geometry = *self.volume.geometry();
        let goal = if geometry.contains(goal, 1) { goal } else { geometry.first_usable_block() };
        let first = ((goal - geometry.first_data_block) / geometry.blocks_per_group) as u32;
        for step in 0..geometry.group_count {
            let number = ((u64::from(first) + u64::from(step)) % u64::from(geometry.group_count)) as u32;
            let start = self.group_start(number);
            let near = if step == 0 { (goal - start) as usize } else { 0 };
            if let Some(found) = self.find_in_group(number, near, want)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in_group(&mut self, number: u32, near: usize, want: u64) -> EditResult<Option<Taken>, S> {
        let group = self.volume.group(number)?;
        if group.free_blocks_count == 0 {
            return Ok(None);
        }
        let (start, len) = (self.group_start(number), self.group_blocks(number));
        let mut bytes = self.read_whole(group.block_bitmap)?;
        let mut bitmap = Bitmap::new(&mut bytes, len as usize).ok_or(Error::BadGroupNumber { group: number })?;
        let mut exclude = |from: u64, to: u64| {
            let (from, to) = (from.max(start), to.min(start + len));
            if from < to {
                // Held blocks are free on the device, those of a window too.
                bitmap.exclude((from - start) as usize..(to - start) as usize);
            }
        };
        self.state.held.each_in(start..start + len, |held| exclude(held.start, held.end));
        for (_, window) in self.state.windows.entries() {
            exclude(window.start, window.start + window.count);
        }
        let want = usize::try_from(want).unwrap_or(usize::MAX);
        let found = bitmap.find_run(near, want);
        Ok(found.map(|run| Taken { start: start + run.start as u64, count: run.len() as u64 }))
    }

    /// Sets the bits of blocks that lie in one group, and counts them.
    fn mark_taken(&mut self, taken: Taken) -> EditResult<(), S> {
        self.check_may_be_used(taken)?;
        self.mark(taken, true)
    }

    /// Frees consecutive blocks, which may not be used before what `until` says. `metadata` blocks lose their changes.
    pub(super) fn free_blocks(&mut self, start: u64, count: u64, metadata: bool) -> EditResult<(), S> {
        let geometry = *self.volume.geometry();
        let (mut at, end) = (start, start + count);
        while at < end {
            let number = ((at - geometry.first_data_block) / geometry.blocks_per_group) as u32;
            let part = Taken { start: at, count: end.min(self.group_start(number) + self.group_blocks(number)) - at };
            self.check_may_be_used(part)?;
            self.mark(part, false)?;
            let until = if metadata { HeldUntil::Checkpoint } else { HeldUntil::Commit };
            self.state.held.enter(part.start, part.count, until);
            at += part.count;
        }
        if metadata {
            self.volume.store().with_changes(&mut |changes| (start..end).for_each(|block| changes.leave(block)));
        }
        Ok(())
    }

    fn mark(&mut self, blocks: Taken, taken: bool) -> EditResult<(), S> {
        let geometry = *self.volume.geometry();
        let number = ((blocks.start - geometry.first_data_block) / geometry.blocks_per_group) as u32;
        let bitmap_block = self.volume.group(number)?.block_bitmap;
        let first = (blocks.start - self.group_start(number)) as usize;
        self.mark_bits(bitmap_block, first, blocks.count as usize, taken)?;
        let by = if taken { -(blocks.count as i64) } else { blocks.count as i64 };
        self.count_blocks(number, by)
    }

    /// Sets or clears `count` bits of a bitmap, none of which may be so already.
    pub(super) fn mark_bits(&mut self, block: u64, first: usize, count: usize, taken: bool) -> EditResult<(), S> {
        let bytes = first / 8..(first + count).div_ceil(8);
        let mut part = self.buffer(bytes.len())?;
        self.volume.read_in_block(block, bytes.start, &mut part)?;
        let bits = first % 8..first % 8 + count;
        let len = part.len() * 8;
        let mut bitmap = Bitmap::new(&mut part, len).ok_or(Error::NoMemory)?;
        let changed = if taken { bitmap.take(bits) } else { bitmap.free(bits) };
        if let Err(bit) = changed {
            let rule = if taken { "must be free" } else { "must be taken, since it is used" };
            let value = (bytes.start * 8 + bit) as u64;
            return Err(Corruption { place: Place::Bitmap(block), field: "bit", value, rule }.into());
        }
        self.modify(block, bytes.start, &part)
    }

    /// The bitmaps and the inode table of a group are never a file's, whatever a damaged bitmap or pointer says.
    fn check_may_be_used(&self, blocks: Taken) -> EditResult<(), S> {
        let geometry = self.volume.geometry();
        let number = ((blocks.start - geometry.first_data_block) / geometry.blocks_per_group) as u32;
        let group = self.volume.group(number)?;
        let end = blocks.start + blocks.count;
        let hits = |start: u64, count: u64| blocks.start < start + count && start < end;
        if hits(group.block_bitmap, 1)
            || hits(group.inode_bitmap, 1)
            || hits(group.inode_table, geometry.inode_table_blocks)
        {
            let rule = "must not be one of the group's own tables";
            let place = Place::Bitmap(group.block_bitmap);
            return Err(Corruption { place, field: "block", value: blocks.start, rule }.into());
        }
        Ok(())
    }

    /// First block of a group.
    pub(super) fn group_start(&self, number: u32) -> u64 {
        let geometry = self.volume.geometry();
        geometry.first_data_block + u64::from(number) * geometry.blocks_per_group
    }

    /// Blocks of a group; the last may have fewer than the others.
    fn group_blocks(&self, number: u32) -> u64 {
        let geometry = self.volume.geometry();
        geometry.blocks_per_group.min(geometry.blocks_count - self.group_start(number))
    }
}
