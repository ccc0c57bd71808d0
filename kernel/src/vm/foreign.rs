//! A process's memory as other tasks read and write it: /proc, debuggers.

use super::fault::{self, FaultError};
use super::{AddressSpace, PAGE};
use machine::hooks::Access;
use machine::mm::{Frame, FrameKind};

impl AddressSpace {
    /// Reads what is mapped from `address` on, whether the program may read it or not; how many bytes, up to a place where
    /// there is nothing. Any task may call it; what is not in memory is brought in.
    pub fn read(&self, address: u64, out: &mut [u8]) -> usize {
        let mut done = 0;
        while done < out.len() {
            let at = address + done as u64;
            let offset = (at % PAGE) as usize;
            let len = (out.len() - done).min(PAGE as usize - offset);
            let resolved = fault::resolve_forced(self, at, Access::Read);
            // It may be taken away again meanwhile.
            let Some(mapping) = resolved.ok().and_then(|()| self.mapping(at)) else { break };
            mapping.frame.read(offset, &mut out[done..done + len]);
            done += len;
        }
        done
    }

    /// Writes what the program could, and what it could if its own pages were not protected, such as its code: the process
    /// then has a page of its own there. How many bytes, up to a place that nobody may write. Any task may call it.
    pub fn write(&self, address: u64, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let at = address + done as u64;
            let offset = (at % PAGE) as usize;
            let len = (bytes.len() - done).min(PAGE as usize - offset);
            let Ok(frame) = self.frame_to_write(at) else { break };
            frame.write(offset, &bytes[done..done + len]);
            done += len;
        }
        done
    }

    /// The frame that a store to `address` goes to, which nobody else has unless the memory is shared.
    fn frame_to_write(&self, address: u64) -> Result<Frame, FaultError> {
        let page = address & !(PAGE - 1);
        loop {
            fault::resolve_forced(self, address, Access::Write)?;
            // It may have been taken away, or copied by fork(2), meanwhile.
            let layout = self.layout();
            let shared = layout.areas.map().find(page).ok_or(FaultError::NotMapped)?.is_shared();
            let Some(mapping) = self.tables.get(page) else { continue };
            let frame = mapping.frame;
            // One reference is the page table's, one is ours.
            let own = frame.kind() == FrameKind::Anonymous && !frame.is_zeros() && frame.references() == 2;
            if own || shared && mapping.protection.write {
                return Ok(frame);
            }
        }
    }
}
