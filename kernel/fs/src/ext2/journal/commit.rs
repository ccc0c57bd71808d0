//! Logging a transaction, and writing what is logged to its place.

use alloc::vec::Vec;

use super::super::edit::{Edit, EditResult};
use super::super::error::Error;
use super::format::{self, Tag};
use crate::WriteStore;

/// Blocks of the log that are gathered for one write.
const BATCH_BLOCKS: usize = 32;

impl<S: WriteStore> Edit<'_, S> {
    /// Makes all changes so far safe, as one. What files hold must have been written before, as far as the changes
    /// lead to it.
    pub fn commit(&mut self) -> EditResult<(), S> {
        let mut numbers = Vec::new();
        self.volume.store().with_changes(&mut |changes| numbers = changes.numbers());
        if numbers.is_empty() {
            return Ok(());
        }
        let checkpointed = match self.state.journal {
            Some(_) => self.log(&numbers)?,
            None => false,
        };
        self.write_in_place(&numbers)?;
        if self.state.journal.is_none() {
            self.volume.store().flush().map_err(Error::Store)?;
        }
        self.volume.store().with_changes(&mut |changes| changes.clear());
        self.state.held.release(checkpointed || self.state.journal.is_none());
        Ok(())
    }

    /// As [`commit`](Self::commit), and lets all that is logged reach its place, so that the log is empty and all freed
    /// space can be used.
    pub fn checkpoint(&mut self) -> EditResult<(), S> {
        self.commit()?;
        self.empty_log(false)?;
        self.state.held.release(true);
        Ok(())
    }

    /// Writes the transaction to the log. Whether a checkpoint was needed for it.
    fn log(&mut self, numbers: &[u64]) -> EditResult<bool, S> {
        let block_len = self.volume.geometry().block_size();
        let per_descriptor = format::tags_per_block(block_len);
        let needed = numbers.len() + numbers.len().div_ceil(per_descriptor) + 1;
        let mut checkpointed = false;
        let journal = self.state.journal.as_ref().ok_or(Error::Journal("is not there"))?;
        if needed > journal.blocks.len() - journal.first {
            return Err(Error::Journal("is too small for the transaction"));
        }
        if needed > journal.blocks.len() - journal.head {
            self.empty_log(false)?;
            checkpointed = true;
        }
        let journal = self.state.journal.as_ref().ok_or(Error::Journal("is not there"))?;
        let sequence = journal.sequence;
        let mut log = LogWriter { edit: self, index: journal.head, batch: Vec::new(), batch_index: journal.head };
        for part in numbers.chunks(per_descriptor) {
            log.describe(sequence, part)?;
        }
        log.send()?;
        let end = log.index;
        let store = self.volume.store();
        store.barrier().map_err(Error::Store)?;
        let mut commit = self.block_buffer()?;
        format::put_header(&mut commit, format::COMMIT, sequence);
        self.write_journal_block(end, &commit)?;
        store.barrier().map_err(Error::Store)?;
        if let Some(journal) = &mut self.state.journal {
            journal.head = end + 1;
            journal.sequence = sequence.wrapping_add(1);
        }
        Ok(checkpointed)
    }

    fn write_in_place(&mut self, numbers: &[u64]) -> EditResult<(), S> {
        let shift = self.volume.geometry().block_shift;
        let mut content = self.block_buffer()?;
        let store = self.volume.store();
        for &number in numbers {
            store.with_changes(&mut |changes| {
                changes.read(number, 0, &mut content);
            });
            store.write(number << shift, &content).map_err(Error::Store)?;
        }
        Ok(())
    }

    /// Writes all that is logged to its place; the log then begins anew, or, at the end of writing, is `closed`.
    pub(super) fn empty_log(&mut self, closed: bool) -> EditResult<(), S> {
        let Some(journal) = &mut self.state.journal else { return Ok(()) };
        journal.head = journal.first;
        let (first, sequence) = (journal.first as u32, journal.sequence);
        self.volume.store().flush().map_err(Error::Store)?;
        let mut superblock = self.block_buffer()?;
        let place = self.journal_block(0)?;
        self.volume.read_content_at(place, 0, &mut superblock)?;
        format::put(&mut superblock, format::S_SEQUENCE, sequence);
        format::put(&mut superblock, format::S_START, if closed { 0 } else { first });
        self.write_journal_block(0, &superblock)?;
        self.volume.store().barrier().map_err(Error::Store)
    }

    fn journal_block(&self, index: usize) -> EditResult<u64, S> {
        let journal = self.state.journal.as_ref().ok_or(Error::Journal("is not there"))?;
        journal.blocks.get(index).copied().ok_or(Error::Journal("ends too early"))
    }

    pub(super) fn write_journal_block(&self, index: usize, content: &[u8]) -> EditResult<(), S> {
        let offset = self.journal_block(index)? << self.volume.geometry().block_shift;
        self.volume.store().write_through(offset, content).map_err(Error::Store)
    }
}

/// Gathers blocks of the log that lie together on the device.
struct LogWriter<'e, 'a, S> {
    edit: &'e Edit<'a, S>,
    /// Index of the next block in the journal.
    index: usize,
    batch: Vec<u8>,
    /// Index of the first block of the batch.
    batch_index: usize,
}

impl<S: WriteStore> LogWriter<'_, '_, S> {
    /// Logs the changed blocks `numbers` behind a descriptor.
    fn describe(&mut self, sequence: u32, numbers: &[u64]) -> EditResult<(), S> {
        let mut content = self.edit.block_buffer()?;
        let mut tags = Vec::new();
        tags.try_reserve_exact(numbers.len()).map_err(|_| Error::NoMemory)?;
        for &block in numbers {
            self.read_change(block, &mut content);
            tags.push(Tag { block, escaped: format::get(&content, 0) == format::MAGIC });
        }
        content.fill(0);
        format::put_tags(&mut content, sequence, &tags);
        self.add(&content)?;
        for Tag { block, escaped } in tags {
            self.read_change(block, &mut content);
            if escaped {
                format::put(&mut content, 0, 0);
            }
            self.add(&content)?;
        }
        Ok(())
    }

    fn read_change(&self, block: u64, content: &mut [u8]) {
        self.edit.volume.store().with_changes(&mut |changes| {
            changes.read(block, 0, content);
        });
    }

    fn add(&mut self, content: &[u8]) -> EditResult<(), S> {
        let count = self.index - self.batch_index;
        let follows = count == 0
            || count < BATCH_BLOCKS
                && self.edit.journal_block(self.index)? == self.edit.journal_block(self.batch_index)? + count as u64;
        if !follows {
            self.send()?;
        }
        if self.batch.try_reserve(content.len()).is_err() {
            // Where memory is in small pieces, so are the batches.
            self.send()?;
            self.batch.try_reserve(content.len()).map_err(|_| Error::NoMemory)?;
        }
        self.batch.extend_from_slice(content);
        self.index += 1;
        Ok(())
    }

    fn send(&mut self) -> EditResult<(), S> {
        if !self.batch.is_empty() {
            self.edit.write_journal_block(self.batch_index, &self.batch)?;
        }
        self.batch.clear();
        self.batch_index = self.index;
        Ok(())
    }
}
