//! What a program has where in its address space: for proc(5).

use super::{AddressSpace, AreaFlags, Backing};
use crate::vfs::Location;
use alloc::sync::Arc;
use core::ops::Range;

/// What execve(2) put where. A forked process has the same.
#[derive(Clone)]
pub struct Program {
    /// The program's file.
    pub file: Location,
    /// From its first executable byte to its last, of those that the file has.
    pub code: Range<u64>,
    /// From the first byte of its last segment to its last byte that the file has.
    pub data: Range<u64>,
    /// The stack pointer at its first instruction.
    pub stack: u64,
    /// Its arguments.
    pub args: Range<u64>,
    /// Its environment.
    pub env: Range<u64>,
    /// Its auxiliary vector.
    pub auxiliary: Range<u64>,
    /// The vDSO.
    pub vdso: u64,
}

/// Pages in memory, by where they come from.
#[derive(Clone, Copy, Default, Debug)]
pub struct Resident {
    /// Of areas without a file.
    pub anonymous: u64,
    /// Of areas with a file.
    pub file: u64,
    /// Of shared areas without a file.
    pub shared_memory: u64,
}

impl AddressSpace {
    /// Notes what is where, before the program begins.
    pub fn set_program(&mut self, program: Program) {
        self.program = Some(Arc::new(program));
    }

    /// What is where; None if no program was ever put here.
    pub fn program(&self) -> Option<&Arc<Program>> {
        self.program.as_ref()
    }

    /// Where the heap begins and where it ends.
    pub fn heap(&self) -> (u64, u64) {
        let layout = self.layout();
        (layout.brk_start, layout.brk)
    }

    /// Bytes of all stacks.
    pub fn stack_bytes(&self) -> u64 {
        let mut sum = 0;
        self.for_each_area(|area| {
            if area.flags.contains(AreaFlags::GROWS_DOWN) {
                sum += area.len_bytes();
            }
        });
        sum
    }

    /// Pages in memory by origin. Looks at the page tables of all areas that are not private memory.
    pub fn resident(&self) -> Resident {
        let mut resident = Resident::default();
        self.for_each_area(|area| {
            let count = match area.backing {
                Backing::Anonymous => return,
                Backing::SharedMemory(..) => &mut resident.shared_memory,
                Backing::PrivateFile(..) | Backing::SharedFile(..) => &mut resident.file,
            };
            self.tables.for_each_mapped(area.start, area.end, |_| *count += 1);
        });
        let others = resident.file + resident.shared_memory;
        resident.anonymous = (self.resident_pages() as u64).saturating_sub(others);
        resident
    }
}
