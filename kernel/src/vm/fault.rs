//! Page faults: what an access to a user address needs, or why it cannot have it.
//!
//! Page faults from user mode and from user copies in the kernel come to the same [`resolve`]. A file is read without the
//! lock of the areas; then everything is looked at again.

use super::huge::has_whole;
use super::{AddressSpace, Area, AreaFlags, Backing, Layout, PAGE, STACK_GAP};
use crate::vfs::{File, Tries};
use abi::Errno;
use alloc::sync::Arc;
use klib::trace::{self as event, Event};
use machine::addr::{HUGE_PAGE_SIZE, USER_END};
use machine::hooks::Access;
use machine::mm::{Around, Frame, FrameKind, MapError, Mapping, OutOfMemory, Protection};
use machine::trace;

/// Pages of a file that are mapped together if they are in memory: those around the one that is wanted.
const AROUND: usize = 16;
/// Pages that are read together when one of them is not in memory.
const READ_AROUND: u64 = 32;

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

impl From<MapError> for FaultError {
    fn from(error: MapError) -> Self {
        match error {
            MapError::OutOfMemory => FaultError::OutOfMemory,
            MapError::BadAddress | MapError::AlreadyMapped => FaultError::NotMapped,
        }
    }
}

/// What has come of one look.
enum Step {
    Done,
    /// This page of the file has to be read first.
    Read(Arc<File>, u64),
    /// This page of the file is about to be written through a shared mapping, which the file has to know first.
    Dirty(Arc<File>, u64),
}

/// Makes `address` accessible, if the areas allow it.
pub fn resolve(space: &AddressSpace, address: u64, access: Access) -> Result<(), FaultError> {
    if trace::on() {
        let access = match access {
            Access::Read => event::Access::Read,
            Access::Write => event::Access::Write,
            Access::Execute => event::Access::Execute,
        };
        trace::note(Event::Fault { address, access });
    }
    let result = make_accessible(space, address, access, false);
    if trace::on() {
        trace::note(Event::FaultEnd { address, resolved: result.is_ok() });
    }
    result
}

/// The same, also for others than the program. `forced`: they may read all that is mapped, and write what nobody but the
/// program sees; what the program itself may do does not change.
pub(super) fn make_accessible(
    space: &AddressSpace,
    address: u64,
    access: Access,
    forced: bool,
) -> Result<(), FaultError> {
    if address >= USER_END {
        return Err(FaultError::NotMapped);
    }
    let page = address & !(PAGE - 1);
    // Keeps what was read from being given up before it is mapped.
    let mut _kept = None;
    let mut tries = Tries::default();
    let mut announced = None;
    loop {
        let step = attempt(space, page, access, announced, forced).and_then(|step| match step {
            Step::Done => Ok(true),
            Step::Dirty(file, index) => {
                let revocations = file.revocations();
                file.page_dirtied(index).map_err(of_file)?;
                announced = Some(revocations);
                Ok(false)
            }
            Step::Read(file, index) => {
                _kept = Some(file.page_around(index, READ_AROUND).map_err(of_file)?);
                Ok(false)
            }
        });
        match step {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(FaultError::OutOfMemory) if tries.again() => {}
            Err(error) => return Err(error),
        }
    }
}

/// One look, under the lock. `announced` says that the file knows of the store, and how many times it had taken pages away
/// by then.
fn attempt(
    space: &AddressSpace,
    page: u64,
    access: Access,
    announced: Option<u64>,
    forced: bool,
) -> Result<Step, FaultError> {
    let mut layout = space.layout();
    let layout = &mut *layout;
    if let Some(area) = layout.areas.map().find(page) {
        check(area, access, forced)?;
        return attempt_in(space, area, page, access, announced);
    }
    layout.grow_stack(page)?;
    let area = layout.areas.map().find(page).ok_or(FaultError::NotMapped)?;
    check(area, access, forced)?;
    attempt_in(space, area, page, access, announced)
}

/// Whether the area allows that, or others may do it all the same.
fn check(area: &Area, access: Access, forced: bool) -> Result<(), FaultError> {
    let has = area.protection;
    let allowed = match access {
        Access::Read => has.read || forced,
        Access::Write => has.read && has.write || forced && !area.is_shared(),
        Access::Execute => has.read && has.execute,
    };
    if allowed { Ok(()) } else { Err(FaultError::Forbidden) }
}

fn attempt_in(
    space: &AddressSpace,
    area: &Area,
    page: u64,
    access: Access,
    announced: Option<u64>,
) -> Result<Step, FaultError> {
    let present = match &area.backing {
        Backing::Anonymous if space.map_huge(area, page, access) => return Ok(Step::Done),
        Backing::Anonymous => space.tables.map_with(page, || anonymous(area, access))?,
        Backing::SharedMemory(memory, first) => match space.tables.get(page) {
            None => {
                let frame = memory.page(first + area.page_number(page)).map_err(of_file)?;
                space.tables.map_with(page, || Ok((frame, area.protection)))?
            }
            present => present,
        },
        Backing::PrivateFile(..) if access == Access::Write => return copy_from_file(space, area, page),
        Backing::PrivateFile(..) | Backing::SharedFile(..) => return from_file(space, area, page, access, announced),
    };
    match present {
        Some(mapping) => upgrade(space, area, page, mapping, access),
        None => Ok(Step::Done),
    }
}

/// A page of zeros: its own for a store, the one that all share for a load.
fn anonymous(area: &Area, access: Access) -> Result<(Frame, Protection), OutOfMemory> {
    match access {
        Access::Write => Ok((Frame::zeroed(FrameKind::Anonymous)?, area.protection)),
        _ => Ok((Frame::zeros()?, Protection { write: false, ..area.protection })),
    }
}

impl Layout {
    /// Extends the stack area above `page` down to it, if there is one and it may.
    fn grow_stack(&mut self, page: u64) -> Result<(), FaultError> {
        let map = self.areas.map();
        let above = map
            .first_from(page)
            .filter(|area| area.flags.contains(AreaFlags::GROWS_DOWN))
            .ok_or(FaultError::NotMapped)?;
        let grown = Area { start: page, end: above.start, backing: above.backing_from(0), ..*above };
        let near = |below: &Area| below.end + STACK_GAP > page;
        let in_the_way =
            |below: &&Area| near(below) && below.protection.read && !below.flags.contains(AreaFlags::GROWS_DOWN);
        let too_long = above.end - page > self.limits.stack;
        if too_long || map.last_below(page).filter(in_the_way).is_some() {
            return Err(FaultError::NotMapped);
        }
        let len = grown.len_bytes();
        self.check_may_expand(len, false)
            .and_then(|()| self.check_may_lock(len, grown.flags))
            .map_err(|_| FaultError::NotMapped)?;
        // It joins the area above, of which it is a continuation.
        self.areas.insert(grown).map_err(|_| FaultError::NotMapped)
    }
}

/// A page of a file, and with it its neighbours that are in memory.
fn from_file(
    space: &AddressSpace,
    area: &Area,
    page: u64,
    access: Access,
    announced: Option<u64>,
) -> Result<Step, FaultError> {
    let (file, index) = area.file_page(page).ok_or(FaultError::NotMapped)?;
    let window = AROUND as u64 * PAGE;
    let first = (page & !(window - 1)).max(area.start);
    let count = ((page | (window - 1)).saturating_add(1).min(area.end) - first) / PAGE;
    let wanted = (page - first) / PAGE;
    let stores = access == Access::Write && area.is_shared();
    // A store must fault first: others read the same frames, and the file must know of a store to a shared one.
    let protection = Protection { write: false, ..area.protection };
    let around = file.with_cached_pages(index - wanted, count as usize, |pages| {
        space.tables.map_around(first, wanted as usize, pages, protection)
    });
    match around.unwrap_or(Ok(Around::Absent))? {
        Around::Mapped if stores => Ok(Step::Dirty(file.clone(), index)),
        Around::Mapped => Ok(Step::Done),
        // What the file was told holds for as long as it has taken nothing away; if it does so from now on, it comes here
        // for this mapping too.
        Around::Present(mapping)
            if stores
                && !mapping.protection.write
                && !announced.is_some_and(|seen| file.expect_stores(index, seen)) =>
        {
            Ok(Step::Dirty(file.clone(), index))
        }
        Around::Present(mapping) => upgrade(space, area, page, mapping, access),
        Around::Absent => Ok(Step::Read(file.clone(), index)),
    }
}

/// A store to a page of a file that stays in the process: to a copy.
fn copy_from_file(space: &AddressSpace, area: &Area, page: u64) -> Result<Step, FaultError> {
    if let Some(mapping) = space.tables.get(page) {
        return upgrade(space, area, page, mapping, Access::Write);
    }
    let (file, index) = area.file_page(page).ok_or(FaultError::NotMapped)?;
    let Some(cached) = file.cached_page(index) else { return Ok(Step::Read(file.clone(), index)) };
    space.tables.map(page, copy_of(&cached)?, area.protection)?;
    Ok(Step::Done)
}

/// A page is there, but allows less than the area does.
fn upgrade(space: &AddressSpace, area: &Area, page: u64, mapping: Mapping, access: Access) -> Result<Step, FaultError> {
    let Mapping { frame, protection: has, huge, .. } = mapping;
    let enough = match access {
        Access::Read => has.read,
        Access::Write => has.read && has.write,
        Access::Execute => has.read && has.execute,
    };
    if enough {
        return Ok(Step::Done); // a stale translation; the fault itself has flushed it
    }
    // A large page is never shared: what holds for a part holds for all of it.
    let start = page & !(HUGE_PAGE_SIZE as u64 - 1);
    let huge = huge && has_whole(area, start);
    let (page, end) = if huge { (start, start + HUGE_PAGE_SIZE as u64) } else { (page, page + PAGE) };
    if access != Access::Write {
        space.tables.protect(page, end, Protection { write: has.write, ..area.protection });
        return Ok(Step::Done);
    }
    // One reference is the page table's, one is ours.
    let alone = frame.kind() == FrameKind::Anonymous && frame.references() == 2;
    if area.is_shared() || huge || alone {
        space.tables.protect(page, end, area.protection);
        return Ok(Step::Done);
    }
    let copy = copy_of(&frame)?;
    drop(frame);
    space.tables.replace(page, copy, area.protection)?;
    Ok(Step::Done)
}

fn copy_of(frame: &Frame) -> Result<Frame, OutOfMemory> {
    if frame.is_zeros() {
        return Frame::zeroed(FrameKind::Anonymous);
    }
    let copy = Frame::allocate(FrameKind::Anonymous)?;
    copy.copy_from(frame);
    Ok(copy)
}

/// What a file's refusal to give a page means to a program.
fn of_file(error: Errno) -> FaultError {
    match error {
        Errno::EIO => FaultError::Io,
        Errno::ENOMEM => FaultError::OutOfMemory,
        _ => FaultError::BeyondFile,
    }
}
