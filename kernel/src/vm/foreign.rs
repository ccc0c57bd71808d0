//! A process's memory as other tasks read and write it: /proc, debuggers.

use super::fault::{FaultError, make_accessible};
use super::{AddressSpace, PAGE};
use core::ops::Range;
use machine::hooks::Access;
use machine::mm::FrameKind;

impl AddressSpace {
    /// Reads what is mapped from `address` on, whether the program may read it or not; how many bytes, up to a place where
    /// there is nothing. Any task may call it; what is not in memory is brought in.
    pub fn read(&self, address: u64, out: &mut [u8]) -> usize {
        self.read_as(address, out, true)
    }

    /// The same, up to a place that the program may not read.
    pub fn read_as_program(&self, address: u64, out: &mut [u8]) -> usize {
        self.read_as(address, out, false)
    }

    /// Writes what the program could, and what it could if its own pages were not protected, such as its code: the process
    /// then has a page of its own there. How many bytes, up to a place that nobody may write. Any task may call it.
    pub fn write(&self, address: u64, bytes: &[u8]) -> usize {
        self.write_as(address, bytes, true)
    }

    /// The same, up to a place that the program may not write.
    pub fn write_as_program(&self, address: u64, bytes: &[u8]) -> usize {
        self.write_as(address, bytes, false)
    }

    fn read_as(&self, address: u64, out: &mut [u8], forced: bool) -> usize {
        for_each_page(address, out.len(), &mut |at, part| {
            let resolved = make_accessible(self, at, Access::Read, forced);
            // It may be taken away again meanwhile.
            let mapping = resolved.ok().and_then(|()| self.mapping(at))?;
            mapping.frame.read((at % PAGE) as usize, &mut out[part]);
            Some(())
        })
    }

    fn write_as(&self, address: u64, bytes: &[u8], forced: bool) -> usize {
        for_each_page(address, bytes.len(), &mut |at, part| self.store(at, &bytes[part], forced).ok())
    }

    /// Stores bytes that lie in one page, in a frame that nobody else has unless the memory is shared. The areas stay locked
    /// meanwhile: who writes a file's page back takes stores to it away first (`reverse`), and misses none.
    fn store(&self, address: u64, bytes: &[u8], forced: bool) -> Result<(), FaultError> {
        let page = address & !(PAGE - 1);
        loop {
            make_accessible(self, address, Access::Write, forced)?;
            // It may have been taken away, or copied by fork(2), meanwhile.
            let layout = self.layout();
            let shared = layout.areas.map().find(page).ok_or(FaultError::NotMapped)?.is_shared();
            let Some(mapping) = self.tables.get(page) else { continue };
            let frame = mapping.frame;
            // One reference is the page table's, one is ours.
            let own = frame.kind() == FrameKind::Anonymous && !frame.is_zeros() && frame.references() == 2;
            if own || shared && mapping.protection.write {
                frame.write((address % PAGE) as usize, bytes);
                return Ok(());
            }
        }
    }
}

/// Calls `f` with the address and the part of each page of `len` bytes, until that has none; how many bytes it had.
fn for_each_page(address: u64, len: usize, f: &mut dyn FnMut(u64, Range<usize>) -> Option<()>) -> usize {
    let mut done = 0;
    while done < len {
        let Some(at) = address.checked_add(done as u64) else { break };
        let end = len.min(done + (PAGE - at % PAGE) as usize);
        if f(at, done..end).is_none() {
            break;
        }
        done = end;
    }
    done
}
