//! Segments of shared memory (shmget(2), shmop(2), shmctl(2)).
//!
//! Memory is [`SharedMemory`]; the table has it until the segment is removed, and each area that maps it has it, too. A
//! segment that is removed while areas map it stays in the table, without a key, until the last of them goes.

use super::ids::{Ids, Look, Object, Request, Row, Table};
use super::perm::{EXECUTE, READ, WRITE};
use super::{caller_pid, now};
use crate::process::credentials::Credentials;
use crate::vfs::Quota;
use crate::vm::{AddressSpace, AreaFlags, Backing, Label, MapRequest, Placement, Segment, Share, SharedMemory};
use abi::Errno;
use abi::ipc::{
    IpcPerm, SHM_DEST, SHM_EXEC, SHM_HUGETLB, SHM_LOCKED, SHM_NORESERVE, SHM_RDONLY, SHM_REMAP, SHM_RND, ShmInfo,
    ShmidDs,
};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};
use machine::addr::PAGE_SIZE;
use machine::mm::{Protection, frame};
use machine::sync::Once;

const PAGE: u64 = PAGE_SIZE as u64;
/// Most bytes of a segment, most pages of all together: no limits.
pub const MAX: u64 = u64::MAX - (1 << 24);
/// Most segments.
pub const MOST: usize = 4096;

/// All segments.
static SEGMENTS: Ids = Ids::new("shared memory segments", MOST);

/// A segment. The numbers change with the table locked.
pub struct Memory {
    pages: Arc<SharedMemory>,
    attached: AtomicU64,
    attach_time: AtomicI64,
    detach_time: AtomicI64,
    creator: u32,
    last: AtomicU32,
}

/// A segment as its memory knows it.
struct Counted(Label);

impl Segment for Counted {
    fn attached(&self) {
        let mut table = SEGMENTS.lock();
        if let Ok(memory) = table.find(self.0.id).and_then(|row| row.of_kind::<Memory>()) {
            memory.attach();
        }
    }

    fn detached(&self) {
        let mut table = SEGMENTS.lock();
        let Ok(row) = table.find(self.0.id) else { return };
        let Ok(memory) = row.of_kind::<Memory>() else { return };
        let others = memory.attached.fetch_sub(1, Relaxed) - 1;
        memory.detach_time.store(now(), Relaxed);
        memory.last.store(caller_pid(), Relaxed);
        let goes = others == 0 && row.perm.mode & SHM_DEST != 0;
        let removed = if goes { table.remove(self.0.id).ok() } else { None };
        drop(table);
        drop(removed);
    }

    fn label(&self) -> Label {
        self.0
    }
}

impl Memory {
    fn attach(&self) {
        self.attached.fetch_add(1, Relaxed);
        self.attach_time.store(now(), Relaxed);
        self.last.store(caller_pid(), Relaxed);
    }
}

/// shmget(2). EINVAL for sizes of no segment, ENOSPC, ENOMEM for more than the machine has and for huge pages, and as
/// [`Ids::get`].
pub fn get(request: Request<'_>, size: u64) -> Result<u64, Errno> {
    SEGMENTS.get(request, size, &|table, id| make(table, Label { key: request.key, id }, size, request.flags))
}

fn make(table: &Table, label: Label, size: u64, flags: u32) -> Result<Object, Errno> {
    static QUOTA: Once<Arc<Quota>> = Once::new();
    if size == 0 || size > MAX {
        return Err(Errno::EINVAL);
    }
    if table.sizes().saturating_add(size) > MAX {
        return Err(Errno::ENOSPC);
    }
    let (pages, all) = (size.div_ceil(PAGE), frame::total() as u64);
    // There is no pool of huge pages.
    let huge = flags & SHM_HUGETLB != 0;
    if huge || pages > all && flags & SHM_NORESERVE == 0 {
        return Err(Errno::ENOMEM);
    }
    // Memory that ending no process gives back: it leaves something to those.
    let quota = QUOTA.call_once(|| Quota::new((all / 4 * 3) as usize));
    Ok(Arc::new(Memory {
        pages: SharedMemory::of_segment(pages, quota, Box::new(Counted(label))),
        attached: AtomicU64::new(0),
        attach_time: AtomicI64::new(0),
        detach_time: AtomicI64::new(0),
        creator: caller_pid(),
        last: AtomicU32::new(0),
    }))
}

/// shmat(2): where it is then. EINVAL, EACCES, ENOMEM, EPERM.
pub fn attach(space: &AddressSpace, caller: &Credentials, id: i32, address: u64, flags: u32) -> Result<u64, Errno> {
    let placement = placement(address, flags)?;
    let (writes, executes) = (flags & SHM_RDONLY == 0, flags & SHM_EXEC != 0);
    let wanted = READ | if writes { WRITE } else { 0 } | if executes { EXECUTE } else { 0 };
    let (share, len) = {
        let mut table = SEGMENTS.lock();
        let row = table.find(id)?;
        row.perm.check(caller, wanted)?;
        let memory = row.of_kind::<Memory>()?;
        memory.attach();
        (Share::new(memory.pages.clone()), row.size)
    };
    let request = MapRequest {
        placement,
        len,
        protection: Protection { read: true, write: writes, execute: executes },
        backing: Backing::SharedMemory(share, 0),
        grows_down: false,
    };
    let kind = if writes { AreaFlags::empty() } else { AreaFlags::NEVER_WRITE };
    let in_the_way = |error| if error == Errno::EEXIST { Errno::EINVAL } else { error };
    space.map_as(request, kind | AreaFlags::NO_RESERVE).map_err(in_the_way)
}

/// Where `address` and `flags` want it.
fn placement(address: u64, flags: u32) -> Result<Placement, Errno> {
    let replaces = flags & SHM_REMAP != 0;
    let at = if flags & SHM_RND != 0 { address & !(PAGE - 1) } else { address };
    match (at, replaces) {
        (0, true) => Err(Errno::EINVAL),
        (0, false) if address == 0 => Ok(Placement::Anywhere(0)),
        _ if !at.is_multiple_of(PAGE) => Err(Errno::EINVAL),
        (_, true) => Ok(Placement::Fixed(at)),
        (_, false) => Ok(Placement::FixedNoReplace(at)),
    }
}

/// What there is to tell of a segment, as [`Ids::look`].
pub fn status(look: Look, id: i32, caller: &Credentials) -> Result<(u64, ShmidDs), Errno> {
    let (result, row) = SEGMENTS.look(look, id, caller)?;
    Ok((result, shown(&row)?.0))
}

/// What there is to tell, and how many of its pages there are.
fn shown(row: &Row) -> Result<(ShmidDs, u64), Errno> {
    let memory = row.of_kind::<Memory>()?;
    let status = ShmidDs {
        perm: row.perm.shown(),
        size: row.size,
        atime: memory.attach_time.load(Relaxed),
        dtime: memory.detach_time.load(Relaxed),
        ctime: row.changed,
        cpid: memory.creator,
        lpid: memory.last.load(Relaxed),
        nattch: memory.attached.load(Relaxed),
        ..ShmidDs::ZERO
    };
    Ok((status, memory.pages.present()))
}

/// Calls `show` with each segment: its number, what there is to tell, and how many of its pages there are.
pub fn for_each(show: &mut dyn FnMut(i32, &ShmidDs, u64)) {
    let mut place = 0;
    while let Some((next, row)) = SEGMENTS.next(place) {
        place = next;
        if let Ok((status, present)) = shown(&row) {
            show(row.perm.id, &status, present);
        }
    }
}

/// IPC_SET. EINVAL, EPERM.
pub fn set(id: i32, caller: &Credentials, new: &IpcPerm) -> Result<(), Errno> {
    SEGMENTS.set(id, caller, new, None).map(drop)
}

/// SHM_LOCK and SHM_UNLOCK, which change nothing but what is shown: nothing leaves memory here. `may` says whether
/// the caller may. EINVAL, EPERM.
pub fn set_locked(id: i32, locked: bool, may: impl FnOnce(&super::Perm) -> bool) -> Result<(), Errno> {
    let mut table = SEGMENTS.lock();
    let row = table.find(id)?;
    if !may(&row.perm) {
        return Err(Errno::EPERM);
    }
    row.perm.mode = row.perm.mode & !SHM_LOCKED | if locked { SHM_LOCKED } else { 0 };
    Ok(())
}

/// IPC_RMID: it goes when nobody has it attached, and has no key from now on. EINVAL, EPERM.
pub fn remove(id: i32, caller: &Credentials) -> Result<(), Errno> {
    let mut table = SEGMENTS.lock();
    let row = table.find(id)?;
    row.perm.check_owner(caller)?;
    if row.of_kind::<Memory>()?.attached.load(Relaxed) > 0 {
        row.perm.mode |= SHM_DEST;
        row.perm.hide();
        return Ok(());
    }
    let removed = table.remove(id);
    drop(table);
    drop(removed);
    Ok(())
}

/// SHM_INFO, and the highest place in use.
pub fn figures() -> (u64, ShmInfo) {
    let (highest, count, _) = SEGMENTS.figures();
    let mut info = ShmInfo { used_ids: count as i32, ..ShmInfo::ZERO };
    for_each(&mut |_, status, present| {
        info.total += status.size.div_ceil(PAGE);
        info.resident += present;
    });
    (highest, info)
}
