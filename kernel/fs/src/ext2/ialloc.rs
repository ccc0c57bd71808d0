//! Taking and freeing inodes.
//!
//! A file's inode goes into the group of its directory; a directory's own into a group that is emptier than the average,
//! so that there is room for what will be in it (after Linux's allocator from before Orlov's).

use super::bitmap::Bitmap;
use super::edit::{Edit, EditResult};
use super::error::Error;
use super::group::Group;
use super::inode::{I_DTIME, I_GENERATION, Inode, RECORD_BYTES};
use crate::{FileType, WriteStore};

impl<S: WriteStore> Edit<'_, S> {
    /// Takes an inode for a file of `kind` in the directory `parent`. Its record becomes zeros, but for the generation,
    /// which is one more than that of the last inode of this number: the number and that are returned.
    pub(super) fn take_inode(&mut self, parent: u32, kind: FileType) -> EditResult<(u32, u32), S> {
        let geometry = *self.volume.geometry();
        let is_directory = kind == FileType::Directory;
        let near = (parent - 1) / geometry.inodes_per_group;
        let first = if is_directory { self.emptiest_group(near)? } else { near };
        for step in 0..geometry.group_count {
            let number = ((u64::from(first) + u64::from(step)) % u64::from(geometry.group_count)) as u32;
            if let Some(inode) = self.take_inode_in(number, is_directory)? {
                let old = self.volume.inode_record(inode)?;
                let generation = I_GENERATION.get(&old).wrapping_add(1);
                let (block, offset) = self.volume.inode_place(inode)?;
                let mut record = self.buffer(geometry.inode_size as usize)?;
                Inode::lay_out(&mut record);
                I_GENERATION.put(&mut record, generation);
                self.modify(block, offset, &record)?;
                return Ok((inode, generation));
            }
        }
        Err(Error::NoSpace)
    }

    fn take_inode_in(&mut self, number: u32, is_directory: bool) -> EditResult<Option<u32>, S> {
        let geometry = *self.volume.geometry();
        let group = self.volume.group(number)?;
        if group.free_inodes_count == 0 {
            return Ok(None);
        }
        let len = geometry.inodes_per_group as usize;
        let mut bytes = self.buffer(len.div_ceil(8))?;
        self.volume.read_in_block(group.inode_bitmap, 0, &mut bytes)?;
        let bitmap = Bitmap::new(&mut bytes, len).ok_or(Error::BadGroupNumber { group: number })?;
        let base = number * geometry.inodes_per_group;
        // Reserved inodes are marked as taken on a sound file system; on another they stay untouched all the same.
        let reserved = (geometry.first_inode - 1).saturating_sub(base) as usize;
        let Some(bit) = bitmap.first_free(reserved) else { return Ok(None) };
        self.mark_bits(group.inode_bitmap, bit, 1, true)?;
        self.count_inodes(number, -1, is_directory)?;
        Ok(Some(base + bit as u32 + 1))
    }

    /// Frees an inode that has no blocks any more.
    pub(super) fn free_inode(&mut self, inode: &Inode) -> EditResult<(), S> {
        let geometry = *self.volume.geometry();
        let (block, offset) = self.volume.inode_place(inode.number)?;
        let mut record: [u8; RECORD_BYTES] = self.volume.inode_record(inode.number)?;
        let len = self.volume.inode_record_len();
        inode.encode(&mut record, len);
        // An inode is free by a time of deletion that is not 0, and no orphan by one that is no inode's number.
        let deleted = u32::try_from(self.now.seconds).unwrap_or(u32::MAX).max(geometry.inodes_count.saturating_add(1));
        I_DTIME.put(&mut record, deleted);
        self.modify(block, offset, &record[..len])?;
        let (group, bit) =
            ((inode.number - 1) / geometry.inodes_per_group, (inode.number - 1) % geometry.inodes_per_group);
        let bitmap = self.volume.group(group)?.inode_bitmap;
        self.mark_bits(bitmap, bit as usize, 1, false)?;
        self.count_inodes(group, 1, inode.kind == FileType::Directory)
    }

    /// The group for a new directory: among those with at least as many free inodes as the average, the one with the
    /// most free blocks, `near` if it is as good as any.
    fn emptiest_group(&self, near: u32) -> EditResult<u32, S> {
        let count = self.volume.geometry().group_count;
        let groups = || (0..count).map(|step| (near + step) % count);
        let mut free_inodes = 0u64;
        for number in groups() {
            free_inodes += u64::from(self.volume.group(number)?.free_inodes_count);
        }
        let average = free_inodes / u64::from(count);
        let mut best: Option<(u32, Group)> = None;
        for number in groups() {
            let group = self.volume.group(number)?;
            let better = best.is_none_or(|(_, best)| group.free_blocks_count > best.free_blocks_count);
            if u64::from(group.free_inodes_count) >= average && better {
                best = Some((number, group));
            }
        }
        Ok(best.map_or(near, |(number, _)| number))
    }
}
