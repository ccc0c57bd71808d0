//! Page faults: what an access to a user address needs, or why it cannot have it.
//!
//! Page faults from user mode and from user copies in the kernel come to the same [`resolve`].

use super::{AddressSpace, Area, Backing, STACK_GAP, STACK_LIMIT};
use abi::Errno;
use machine::addr::{PAGE_SIZE, USER_END};
use machine::hooks::Access;
use machine::mm::{Frame, FrameKind, MapError, OutOfMemory, Protection};

/// Why an access fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultError {
    /// Nothing is mapped there (SEGV_MAPERR).
    NotMapped,
    /// What is mapped there forbids it (SEGV_ACCERR).
    Forbidden,
    /// The file has no such page (SIGBUS).
    BeyondFile,
    /// The page could not be read (SIGBUS).
    Io,
    /// No frame is left.
    OutOfMemory,
}

impl From<OutOfMemory> for FaultError {
    fn from(_: OutOfMemory) -> Self {
        FaultError::OutOfMemory
    }
}

/// Makes `address` accessible, if the areas allow it.
pub fn resolve(space: &AddressSpace, address: u64, access: Access) -> Result<(), FaultError> {
    if address >= USER_END {
        return Err(FaultError::NotMapped);
    }
    let page = address & !(PAGE_SIZE as u64 - 1);
    let mut layout = space.layout.lock();
    if layout.areas.find(page).is_none() {
        grow_stack(&mut layout, page)?;
    }
    let area = layout.areas.find(page).ok_or(FaultError::NotMapped)?;
    let allowed = match access {
        Access::Read => area.protection.read,
        Access::Write => area.protection.read && area.protection.write,
        Access::Execute => area.protection.read && area.protection.execute,
    };
    if !allowed {
        return Err(FaultError::Forbidden);
    }
    match space.tables.get(page) {
        Some(mapping) => upgrade(space, area, page, mapping.frame, mapping.protection, access),
        None => fill(space, area, page, access),
    }
}

/// Extends the stack area above `page` down to it, if there is one and it may.
fn grow_stack(layout: &mut super::Layout, page: u64) -> Result<(), FaultError> {
    let above = layout.areas.next_above(page).filter(|area| area.grows_down).ok_or(FaultError::NotMapped)?;
    let (start, end) = (above.start, above.end);
    if end - page > STACK_LIMIT {
        return Err(FaultError::NotMapped);
    }
    let gap_start = page.saturating_sub(STACK_GAP);
    if !layout.areas.is_free(gap_start, start) {
        return Err(FaultError::NotMapped);
    }
    layout.areas.grow_down(start, page);
    Ok(())
}

/// No page is there yet.
fn fill(space: &AddressSpace, area: &Area, page: u64, access: Access) -> Result<(), FaultError> {
    let (frame, protection) = match &area.backing {
        Backing::Anonymous => (Frame::zeroed(FrameKind::Anonymous)?, area.protection),
        Backing::PrivateFile(..) | Backing::SharedFile(..) => {
            let (file, index) = area.file_page(page).ok_or(FaultError::NotMapped)?;
            let cached = file.page(index).map_err(|error| match error {
                Errno::EIO => FaultError::Io,
                Errno::ENOMEM => FaultError::OutOfMemory,
                _ => FaultError::BeyondFile,
            })?;
            let shared = matches!(area.backing, Backing::SharedFile(..));
            if shared {
                (cached, area.protection)
            } else if access == Access::Write {
                (copy_of(&cached)?, area.protection)
            } else {
                // Others read the same frame: a store must fault first.
                (cached, Protection { write: false, ..area.protection })
            }
        }
    };
    match space.tables.map(page, frame, protection) {
        // Another thread was faster.
        Ok(()) | Err(MapError::AlreadyMapped) => Ok(()),
        Err(MapError::OutOfMemory) => Err(FaultError::OutOfMemory),
        Err(MapError::BadAddress) => Err(FaultError::NotMapped),
    }
}

/// A page is there, but allows less than the area does.
fn upgrade(
    space: &AddressSpace,
    area: &Area,
    page: u64,
    frame: Frame,
    has: Protection,
    access: Access,
) -> Result<(), FaultError> {
    let enough = match access {
        Access::Read => has.read,
        Access::Write => has.read && has.write,
        Access::Execute => has.read && has.execute,
    };
    if enough {
        return Ok(()); // a stale translation; the fault itself has flushed it
    }
    let end = page + PAGE_SIZE as u64;
    if access != Access::Write {
        space.tables.protect(page, end, Protection { write: has.write, ..area.protection });
        return Ok(());
    }
    let shared = matches!(area.backing, Backing::SharedFile(..));
    // One reference is the page table's, one is ours.
    let alone = frame.kind() == FrameKind::Anonymous && frame.references() == 2;
    if shared || alone {
        space.tables.protect(page, end, area.protection);
        return Ok(());
    }
    let copy = copy_of(&frame)?;
    drop(frame);
    space.tables.replace(page, copy, area.protection).map_err(|_| FaultError::OutOfMemory)
}

fn copy_of(frame: &Frame) -> Result<Frame, OutOfMemory> {
    let copy = Frame::allocate(FrameKind::Anonymous)?;
    copy.copy_from(frame);
    Ok(copy)
}
