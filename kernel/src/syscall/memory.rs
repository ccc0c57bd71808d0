//! Memory: mmap(2) and munmap(2), mprotect(2), mremap(2), brk(2), madvise(2), msync(2), mincore(2), the mlock(2) family.
//!
//! Arguments are checked in the order in which Linux does, since programs tell errors apart by what comes first.

use super::argument::Fd;
use super::{Caller, SyscallResult};
use crate::vfs::{File, device_number};
use crate::vm::{
    AddressSpace, Advice, AreaFlags, Backing, LockFuture, MapRequest, Placement, RemapRequest, Share, SharedMemory,
};
use abi::Errno;
use abi::mm::{self, MapFlags, MapType, MremapFlags, MsyncFlags, Prot};
use alloc::sync::Arc;
use machine::addr::{PAGE_SIZE, USER_END, page_up};
use machine::hooks::Access;
use machine::mm::Protection;

const PAGE: u64 = PAGE_SIZE as u64;
const O_ACCMODE: u32 = 3;
const O_RDONLY: u32 = 0;
const O_WRONLY: u32 = 1;
const TYPE_MASK: u32 = 0o170000;
const CHARACTER: u32 = 0o020000;
/// Pages that mincore(2) reports in one go.
const RESIDENCY_PAGES: usize = 256;
/// MADV_HWPOISON and MADV_SOFT_OFFLINE, which are for administrators who test memory errors.
const MADV_POISON: core::ops::RangeInclusive<u32> = 100..=101;
const MADV_DONTNEED_LOCKED: u32 = 24;
const MLOCK_ONFAULT: u32 = 1;
const MCL_CURRENT: u32 = 1;
const MCL_FUTURE: u32 = 2;
const MCL_ONFAULT: u32 = 4;

/// The bits that hold the type of a mapping.
const MAP_TYPE: u32 = 0xf;
/// The sizes of huge pages, MAP_HUGE_2MB and MAP_HUGE_1GB.
const MAP_HUGE_SIZES: u32 = 21 << 26 | 30 << 26;

pub fn mmap(
    caller: &mut Caller<'_>,
    address: u64,
    len: u64,
    protection: u32,
    flags: u32,
    fd: Fd,
    offset: u64,
) -> SyscallResult {
    let flags = MapFlags::from_bits_retain(flags);
    if !offset.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let file = if flags.contains(MapFlags::ANONYMOUS) { None } else { Some(fd.file(caller.thread)?) };
    if flags.contains(MapFlags::HUGETLB) {
        // There is no pool of huge pages, and no file is on one.
        return Err(if file.is_some() { Errno::EINVAL } else { Errno::ENOMEM });
    }
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    let pages = page_up(len).filter(|&len| len <= USER_END).ok_or(Errno::ENOMEM)? / PAGE;
    // What mmap does not know of protections it passes over.
    let allowed = decode(Prot::from_bits_truncate(protection));
    let mut area_flags = AreaFlags::empty();
    area_flags.set(AreaFlags::LOCKED, flags.contains(MapFlags::LOCKED));
    area_flags.set(AreaFlags::NO_RESERVE, flags.contains(MapFlags::NORESERVE));
    let placement = if flags.contains(MapFlags::FIXED_NOREPLACE) {
        Placement::FixedNoReplace(address)
    } else if flags.contains(MapFlags::FIXED) {
        Placement::Fixed(address)
    } else {
        Placement::Anywhere(address)
    };
    let space = caller.thread.process().space();
    space.check_place(placement, pages * PAGE)?;
    if flags.contains(MapFlags::LOCKED) && space.limits().locked == 0 {
        return Err(Errno::EPERM);
    }
    let backing = match file {
        None => without_file(flags, pages)?,
        Some(file) => of_file(file, flags, allowed, offset, pages, &mut area_flags)?,
    };
    let grows_down = flags.contains(MapFlags::GROWSDOWN);
    let start = space.map_as(MapRequest { placement, len, protection: allowed, backing, grows_down }, area_flags)?;
    if flags.intersects(MapFlags::LOCKED) || flags & (MapFlags::POPULATE | MapFlags::NONBLOCK) == MapFlags::POPULATE {
        // As far as it goes: what cannot be had now, a fault reports.
        let _ = space.populate(start, start + pages * PAGE);
    }
    Ok(start)
}

fn without_file(flags: MapFlags, pages: u64) -> Result<Backing, Errno> {
    match flags.map_type() {
        Some(MapType::Private) => Ok(Backing::Anonymous),
        Some(MapType::Shared) if !flags.contains(MapFlags::GROWSDOWN) => Ok(shared_memory(pages)),
        _ => Err(Errno::EINVAL),
    }
}

fn shared_memory(pages: u64) -> Backing {
    Backing::SharedMemory(Share::new(SharedMemory::new(pages)), 0)
}

fn of_file(
    file: Arc<File>,
    flags: MapFlags,
    protection: Protection,
    offset: u64,
    pages: u64,
    area_flags: &mut AreaFlags,
) -> Result<Backing, Errno> {
    // No file is longer than an offset can say.
    if offset.checked_add(pages * PAGE).is_none_or(|end| end > i64::MAX as u64) {
        return Err(Errno::EOVERFLOW);
    }
    let mode = file.flags() & O_ACCMODE;
    let kind = flags.map_type().ok_or(Errno::EINVAL)?;
    let shared = kind != MapType::Private;
    if kind == MapType::SharedValidate && flags.bits() & !KNOWN.bits() != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if shared && protection.write && mode == O_RDONLY {
        return Err(Errno::EACCES);
    }
    if mode == O_WRONLY {
        return Err(Errno::EACCES);
    }
    let metadata = file.metadata()?;
    let first = offset / PAGE;
    if metadata.mode & TYPE_MASK == CHARACTER && metadata.rdev == device_number(1, 5) {
        return Ok(if shared { shared_memory(pages) } else { Backing::Anonymous });
    }
    if !file.has_pages() {
        return Err(Errno::ENODEV);
    }
    if flags.contains(MapFlags::GROWSDOWN) {
        return Err(Errno::EINVAL);
    }
    area_flags.set(AreaFlags::NEVER_WRITE, shared && mode == O_RDONLY);
    file.accessed();
    Ok(if shared { Backing::SharedFile(file, first) } else { Backing::PrivateFile(file, first) })
}

/// Flags that MAP_SHARED_VALIDATE allows: all that Linux had before it, and the type itself.
const KNOWN: MapFlags = MapFlags::from_bits_retain(
    MAP_TYPE
        | MAP_HUGE_SIZES
        | MapFlags::FIXED.bits()
        | MapFlags::ANONYMOUS.bits()
        | MapFlags::BIT32.bits()
        | MapFlags::GROWSDOWN.bits()
        | MapFlags::DENYWRITE.bits()
        | MapFlags::EXECUTABLE.bits()
        | MapFlags::UNINITIALIZED.bits()
        | MapFlags::LOCKED.bits()
        | MapFlags::NORESERVE.bits()
        | MapFlags::POPULATE.bits()
        | MapFlags::NONBLOCK.bits()
        | MapFlags::STACK.bits()
        | MapFlags::HUGETLB.bits(),
);

pub fn mprotect(caller: &mut Caller<'_>, address: u64, len: u64, protection: u32) -> SyscallResult {
    let bits = protection & !(Prot::GROWSDOWN | Prot::GROWSUP).bits();
    let grows = Prot::from_bits_truncate(protection) & (Prot::GROWSDOWN | Prot::GROWSUP);
    if grows == Prot::GROWSDOWN | Prot::GROWSUP || !address.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    if page_up(len).and_then(|len| address.checked_add(len)).is_none() {
        return Err(Errno::ENOMEM);
    }
    let bits = Prot::from_bits(bits).ok_or(Errno::EINVAL)?;
    let space = caller.thread.process().space();
    if grows == Prot::GROWSUP {
        // Nothing grows upwards on this machine; what is not mapped is said first.
        return Err(if space.is_mapped(address) { Errno::EINVAL } else { Errno::ENOMEM });
    }
    space.protect_from(address, len, decode(bits), grows == Prot::GROWSDOWN)?;
    Ok(0)
}

pub fn munmap(caller: &mut Caller<'_>, address: u64, len: u64) -> SyscallResult {
    caller.thread.process().space().unmap(address, len)?;
    Ok(0)
}

pub fn brk(caller: &mut Caller<'_>, wanted: u64) -> SyscallResult {
    Ok(caller.thread.process().space().brk(wanted))
}

pub fn mremap(caller: &mut Caller<'_>, start: u64, len: u64, new_len: u64, flags: u32, to: u64) -> SyscallResult {
    let flags = MremapFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    caller.thread.process().space().remap(RemapRequest {
        start,
        len,
        new_len,
        may_move: flags.contains(MremapFlags::MAYMOVE),
        fixed: flags.contains(MremapFlags::FIXED).then_some(to),
        keep_old: flags.contains(MremapFlags::DONTUNMAP),
    })
}

pub fn madvise(caller: &mut Caller<'_>, address: u64, len: u64, advice: u32) -> SyscallResult {
    let none = AreaFlags::empty();
    let advice = match advice {
        mm::MADV_NORMAL | mm::MADV_RANDOM | mm::MADV_SEQUENTIAL | mm::MADV_DODUMP | mm::MADV_DONTDUMP => Advice::Hint,
        mm::MADV_MERGEABLE | mm::MADV_UNMERGEABLE => Advice::Hint,
        mm::MADV_COLD | mm::MADV_PAGEOUT => Advice::Cold,
        mm::MADV_DONTNEED => Advice::DontNeed,
        MADV_DONTNEED_LOCKED => Advice::DontNeedLocked,
        mm::MADV_FREE => Advice::Free,
        mm::MADV_WILLNEED => Advice::WillNeed,
        mm::MADV_REMOVE => Advice::Remove,
        mm::MADV_POPULATE_READ => Advice::Populate(Access::Read),
        mm::MADV_POPULATE_WRITE => Advice::Populate(Access::Write),
        mm::MADV_HUGEPAGE => Advice::Flags(AreaFlags::LARGE_PAGES, AreaFlags::NO_LARGE_PAGES),
        mm::MADV_NOHUGEPAGE => Advice::Flags(AreaFlags::NO_LARGE_PAGES, AreaFlags::LARGE_PAGES),
        mm::MADV_COLLAPSE => Advice::Collapse,
        mm::MADV_DONTFORK => Advice::Flags(AreaFlags::NOT_IN_FORK, none),
        mm::MADV_DOFORK => Advice::Flags(none, AreaFlags::NOT_IN_FORK),
        mm::MADV_WIPEONFORK => Advice::Flags(AreaFlags::ZEROS_IN_FORK, none),
        mm::MADV_KEEPONFORK => Advice::Flags(none, AreaFlags::ZEROS_IN_FORK),
        _ if MADV_POISON.contains(&advice) => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    caller.thread.process().space().advise(address, len, advice)?;
    Ok(0)
}

pub fn msync(caller: &mut Caller<'_>, address: u64, len: u64, flags: u32) -> SyscallResult {
    let flags = MsyncFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if !address.is_multiple_of(PAGE) || flags.contains(MsyncFlags::ASYNC | MsyncFlags::SYNC) {
        return Err(Errno::EINVAL);
    }
    let (wait, invalidate) = (flags.contains(MsyncFlags::SYNC), flags.contains(MsyncFlags::INVALIDATE));
    caller.thread.process().space().sync(address, len, wait, invalidate)?;
    Ok(0)
}

pub fn mincore(caller: &mut Caller<'_>, start: u64, len: u64, out: u64) -> SyscallResult {
    if !start.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    if start.checked_add(len).is_none_or(|end| end > USER_END) {
        return Err(Errno::ENOMEM);
    }
    let pages = len.div_ceil(PAGE);
    if out.checked_add(pages).is_none_or(|end| end > USER_END) {
        return Err(Errno::EFAULT);
    }
    let space: Arc<AddressSpace> = caller.thread.process().space();
    let mut bytes = [0; RESIDENCY_PAGES];
    let mut done = 0;
    while done < pages {
        let part = &mut bytes[..(pages - done).min(RESIDENCY_PAGES as u64) as usize];
        space.residency(start + done * PAGE, part)?;
        machine::user::copy::write(out + done, part).map_err(|_| Errno::EFAULT)?;
        done += part.len() as u64;
    }
    Ok(0)
}

pub fn mlock(caller: &mut Caller<'_>, start: u64, len: u64) -> SyscallResult {
    caller.thread.process().space().lock(start, len, false)?;
    Ok(0)
}

pub fn mlock2(caller: &mut Caller<'_>, start: u64, len: u64, flags: u32) -> SyscallResult {
    if flags & !MLOCK_ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    caller.thread.process().space().lock(start, len, flags & MLOCK_ONFAULT != 0)?;
    Ok(0)
}

pub fn munlock(caller: &mut Caller<'_>, start: u64, len: u64) -> SyscallResult {
    caller.thread.process().space().unlock(start, len)?;
    Ok(0)
}

pub fn mlockall(caller: &mut Caller<'_>, flags: u32) -> SyscallResult {
    if flags & !(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0 || flags & (MCL_CURRENT | MCL_FUTURE) == 0 {
        return Err(Errno::EINVAL);
    }
    let how = if flags & MCL_ONFAULT != 0 { LockFuture::OnFault } else { LockFuture::Populated };
    let current = (flags & MCL_CURRENT != 0).then_some(how);
    let future = if flags & MCL_FUTURE != 0 { how } else { LockFuture::No };
    caller.thread.process().space().lock_all(current, future)?;
    Ok(0)
}

pub fn munlockall(caller: &mut Caller<'_>) -> SyscallResult {
    caller.thread.process().space().unlock_all()?;
    Ok(0)
}

/// Writing or executing implies reading, as on every x86-64 (mmap(2), notes).
fn decode(protection: Prot) -> Protection {
    Protection {
        read: protection.intersects(Prot::READ | Prot::WRITE | Prot::EXEC),
        write: protection.contains(Prot::WRITE),
        execute: protection.contains(Prot::EXEC),
    }
}
