//! Inodes that no name leads to, and that somebody still uses or has to free: the list that begins with `s_last_orphan`
//! and goes on through `i_dtime`, as ext3 has it. Whoever mounts the file system next, and e2fsck, frees those without
//! links, and cuts the others to their size.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::edit::{Edit, EditResult};
use super::error::{Corruption, Error, Place};
use super::inode::{I_DTIME, Inode};
use super::superblock::S_LAST_ORPHAN;
use super::trim::Progress;
use crate::WriteStore;

impl<S: WriteStore> Edit<'_, S> {
    /// Whether `number` is on the list.
    pub(super) fn is_orphan(&self, number: u32) -> bool {
        self.state.orphans.contains(number)
    }

    /// Puts `inode` on the list or takes it off.
    pub(super) fn keep_as_orphan(&mut self, inode: &Inode, keep: bool) -> EditResult<(), S> {
        if !keep {
            if let Some((above, below)) = self.state.orphans.remove(inode.number) {
                match above {
                    0 => self.set_superblock(S_LAST_ORPHAN, below)?,
                    _ => self.set_next(above, below)?,
                }
                self.set_next(inode.number, 0)?;
            }
        } else if !self.is_orphan(inode.number) {
            let below = self.state.orphans.push(inode.number);
            self.set_next(inode.number, below)?;
            self.set_superblock(S_LAST_ORPHAN, inode.number)?;
        }
        Ok(())
    }

    /// Reads the list as the last mount left it, and frees or cuts what is on it. `commit` is called when a transaction
    /// is full. How many there were.
    pub(super) fn adopt_orphans(&mut self) -> EditResult<usize, S> {
        let geometry = *self.volume.geometry();
        let (mut list, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next = S_LAST_ORPHAN.get(&self.volume.superblock_record()?);
        while next != 0 {
            if !geometry.names_a_file(next) || !seen.insert(next) {
                let rule = "must be an inode that is not on the list yet";
                let place = Place::Superblock;
                return Err(Corruption { place, field: "s_last_orphan", value: next.into(), rule }.into());
            }
            list.try_reserve(1).map_err(|_| Error::NoMemory)?;
            list.push(next);
            next = I_DTIME.get(&self.volume.inode_record(next)?);
        }
        for &number in list.iter().rev() {
            self.state.orphans.push(number);
        }
        self.state.orphans.keep();
        for &number in &list {
            let mut inode = self.read_orphan(number)?;
            while self.adopt(&mut inode)? == Progress::More {
                self.commit()?;
            }
            if self.changed_blocks() > self.state.transaction_limit() / 2 {
                self.commit()?;
            }
        }
        Ok(list.len())
    }

    fn adopt(&mut self, inode: &mut Inode) -> EditResult<Progress, S> {
        match inode.links_count {
            0 => self.remove_orphan(inode),
            _ => {
                let size = inode.size;
                self.resize(inode, size)
            }
        }
    }

    /// An inode on the list: its `i_dtime` is the next of the list.
    fn read_orphan(&self, number: u32) -> EditResult<Inode, S> {
        let mut record = self.volume.inode_record(number)?;
        I_DTIME.put(&mut record, 0);
        Inode::parse(number, &record, self.volume.geometry())
    }

    fn set_next(&mut self, number: u32, next: u32) -> EditResult<(), S> {
        let (block, offset) = self.volume.inode_place(number)?;
        self.modify(block, offset + I_DTIME.offset(), &next.to_le_bytes())
    }
}
