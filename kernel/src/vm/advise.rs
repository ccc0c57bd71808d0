//! madvise(2), msync(2) and mincore(2) on an address space.

use super::fault::{self, FaultError};
use super::{AddressSpace, Area, AreaFlags, Backing, PAGE};
use crate::vfs::File;
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::addr::page_up;
use machine::hooks::Access;

/// Pages of a file that are looked for in its cache at once.
const LOOK: usize = 32;

/// What madvise(2) is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// The pages may go, locked ones not; anonymous memory reads as zeros again.
    DontNeed,
    /// The same, locked ones too.
    DontNeedLocked,
    /// Anonymous pages may go, if the memory is wanted.
    Free,
    /// It will be used soon.
    WillNeed,
    /// It is to be present, as after a load or a store of each page.
    Populate(Access),
    /// Flags to set and to clear.
    Flags(AreaFlags, AreaFlags),
    /// Nothing that changes anything here.
    Hint,
    /// It will not be used soon; nothing can be done for it.
    Cold,
    /// A hole is wanted in the file.
    Remove,
    /// Large pages are wanted now.
    Collapse,
}

impl AddressSpace {
    /// madvise(2). ENOMEM if some of the range is not mapped; what is mapped is done all the same.
    pub fn advise(&self, start: u64, len: u64, advice: Advice) -> Result<(), Errno> {
        let (start, end) = advised_range(start, len)?;
        if start == end {
            return Ok(());
        }
        if let Advice::Populate(access) = advice {
            return self.populate_as(start, end, access);
        }
        if advice == Advice::Collapse {
            return self.collapse(start, end);
        }
        let mut files = Vec::new();
        let whole = {
            let mut layout = self.layout();
            let whole = layout.areas.map().covers(start, end);
            for area in layout.areas.map().overlapping(start, end) {
                let (from, to) = (area.start.max(start), area.end.min(end));
                check_advice(area, advice)?;
                match advice {
                    Advice::DontNeed | Advice::DontNeedLocked | Advice::Free => {
                        self.tables.unmap(from, to);
                    }
                    Advice::WillNeed | Advice::Remove => {
                        if let Some((file, index)) = area.file_page(from) {
                            files.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                            files.push((file.clone(), index, (to - from) / PAGE));
                        }
                    }
                    _ => {}
                }
            }
            if let Advice::Flags(set, clear) = advice {
                layout.areas.update(start, end, |area| area.flags = (area.flags - clear) | set)?;
            }
            whole
        };
        for (file, index, count) in files {
            match (advice, file.location()) {
                (Advice::Remove, Some(place)) => place.punch(index * PAGE, count * PAGE)?,
                _ => file.read_ahead(index, count),
            }
        }
        if whole { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE.
    fn populate_as(&self, start: u64, end: u64, access: Access) -> Result<(), Errno> {
        for page in (start..end).step_by(PAGE as usize) {
            fault::resolve(self, page, access).map_err(|error| match error {
                FaultError::NotMapped | FaultError::OutOfMemory => Errno::ENOMEM,
                FaultError::Forbidden => Errno::EINVAL,
                FaultError::BeyondFile | FaultError::Io => Errno::EFAULT,
            })?;
        }
        Ok(())
    }

    /// msync(2): has the files of shared areas written back if `wait`. `invalidate` is refused for locked areas with
    /// EBUSY. ENOMEM if some of the range is not mapped; what is mapped is done all the same.
    pub fn sync(&self, start: u64, len: u64, wait: bool, invalidate: bool) -> Result<(), Errno> {
        if !start.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL);
        }
        let end = page_up(len).and_then(|len| start.checked_add(len)).ok_or(Errno::ENOMEM)?;
        let mut files: Vec<Arc<File>> = Vec::new();
        let whole = {
            let layout = self.layout();
            for area in layout.areas.map().overlapping(start, end) {
                if invalidate && area.flags.contains(AreaFlags::LOCKED) {
                    return Err(Errno::EBUSY);
                }
                if let Backing::SharedFile(file, _) = &area.backing
                    && wait
                {
                    files.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                    files.push(file.clone());
                }
            }
            layout.areas.map().covers(start, end)
        };
        files.iter().try_for_each(|file| file.sync())?;
        if whole { Ok(()) } else { Err(Errno::ENOMEM) }
    }

    /// mincore(2): for each page from `start` on whether it is in memory, 1 or 0, into `out`. ENOMEM if one is not mapped.
    pub fn residency(&self, start: u64, out: &mut [u8]) -> Result<(), Errno> {
        let end = start + out.len() as u64 * PAGE;
        let layout = self.layout();
        if !layout.areas.map().covers(start, end) {
            return Err(Errno::ENOMEM);
        }
        out.fill(0);
        for area in layout.areas.map().overlapping(start, end) {
            let (from, to) = (area.start.max(start), area.end.min(end));
            in_cache(area, from, &mut out[((from - start) / PAGE) as usize..((to - start) / PAGE) as usize]);
        }
        self.tables.for_each_mapped(start, end, |page| out[((page - start) / PAGE) as usize] = 1);
        Ok(())
    }
}

/// Whether `area` can follow the advice.
fn check_advice(area: &Area, advice: Advice) -> Result<(), Errno> {
    let locked = area.flags.contains(AreaFlags::LOCKED);
    let anonymous = matches!(area.backing, Backing::Anonymous);
    let refused = match advice {
        Advice::DontNeed | Advice::Cold => locked,
        Advice::Free => locked || !anonymous,
        Advice::Flags(set, _) => set.contains(AreaFlags::ZEROS_IN_FORK) && !anonymous,
        Advice::Remove if locked || anonymous => true,
        Advice::Remove if !area.is_shared() || !area.protection.write => return Err(Errno::EACCES),
        // Only files can have holes.
        Advice::Remove if matches!(area.backing, Backing::SharedMemory(..)) => return Err(Errno::EOPNOTSUPP),
        _ => false,
    };
    if refused { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Marks the pages from `start` on that the origin of `area` has in memory.
fn in_cache(area: &Area, start: u64, out: &mut [u8]) {
    match &area.backing {
        Backing::Anonymous => {}
        Backing::SharedMemory(memory, first) => {
            for (index, byte) in (first + area.page_number(start)..).zip(out) {
                *byte = memory.has(index).into();
            }
        }
        Backing::PrivateFile(file, first) | Backing::SharedFile(file, first) => {
            let mut index = first + area.page_number(start);
            for part in out.chunks_mut(LOOK) {
                file.with_cached_pages(index, part.len(), |pages| pages.for_each(|(number, _)| part[number] = 1));
                index += part.len() as u64;
            }
        }
    }
}

/// The range with its end rounded up to pages. EINVAL for one that is not aligned or wraps around.
fn advised_range(start: u64, len: u64) -> Result<(u64, u64), Errno> {
    let end = page_up(len).and_then(|len| start.checked_add(len)).ok_or(Errno::EINVAL)?;
    if start.is_multiple_of(PAGE) { Ok((start, end)) } else { Err(Errno::EINVAL) }
}
