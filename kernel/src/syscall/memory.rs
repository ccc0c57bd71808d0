//! Memory: mmap(2), munmap(2), mprotect(2), brk(2), madvise(2).

use super::argument::Fd;
use super::{Caller, SyscallResult};
use crate::vm::{Backing, MapRequest, Placement};
use abi::Errno;
use machine::addr::PAGE_SIZE;
use machine::mm::Protection;

const PROT_READ: u32 = 1;
const PROT_WRITE: u32 = 2;
const PROT_EXEC: u32 = 4;
const PROT_SEM: u32 = 8;
const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_SHARED_VALIDATE: u32 = 3;
const MAP_TYPE: u32 = 0xf;
const MAP_FIXED: u32 = 0x10;
const MAP_ANONYMOUS: u32 = 0x20;
const MAP_GROWSDOWN: u32 = 0x100;
const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;
const O_ACCMODE: u32 = 3;
const O_RDONLY: u32 = 0;
const O_WRONLY: u32 = 1;

pub fn mmap(
    caller: &mut Caller<'_>,
    address: u64,
    len: u64,
    protection: u32,
    flags: u32,
    fd: Fd,
    offset: u64,
) -> SyscallResult {
    if !offset.is_multiple_of(PAGE_SIZE as u64) {
        return Err(Errno::EINVAL);
    }
    let shared = match flags & MAP_TYPE {
        MAP_PRIVATE => false,
        MAP_SHARED | MAP_SHARED_VALIDATE => true,
        _ => return Err(Errno::EINVAL),
    };
    let backing = if flags & MAP_ANONYMOUS != 0 {
        // Nobody to share with: the pages are this process's alone.
        Backing::Anonymous
    } else {
        let file = fd.file(caller.thread)?;
        if file.flags() & O_ACCMODE == O_WRONLY {
            return Err(Errno::EACCES);
        }
        if shared && protection & PROT_WRITE != 0 && file.flags() & O_ACCMODE == O_RDONLY {
            return Err(Errno::EACCES);
        }
        match file.metadata()?.mode & 0o170000 {
            0o100000 => {}
            _ => return Err(Errno::ENODEV),
        }
        let first = offset / PAGE_SIZE as u64;
        if shared { Backing::SharedFile(file, first) } else { Backing::PrivateFile(file, first) }
    };
    let placement = if flags & MAP_FIXED_NOREPLACE != 0 {
        Placement::FixedNoReplace(address)
    } else if flags & MAP_FIXED != 0 {
        Placement::Fixed(address)
    } else {
        Placement::Anywhere(address)
    };
    let request =
        MapRequest { placement, len, protection: decode(protection)?, backing, grows_down: flags & MAP_GROWSDOWN != 0 };
    caller.thread.process().space().map(request)
}

pub fn mprotect(caller: &mut Caller<'_>, address: u64, len: u64, protection: u32) -> SyscallResult {
    caller.thread.process().space().protect(address, len, decode(protection)?)?;
    Ok(0)
}

pub fn munmap(caller: &mut Caller<'_>, address: u64, len: u64) -> SyscallResult {
    caller.thread.process().space().unmap(address, len)?;
    Ok(0)
}

pub fn brk(caller: &mut Caller<'_>, wanted: u64) -> SyscallResult {
    Ok(caller.thread.process().space().brk(wanted))
}

/// MADV_DONTNEED drops the pages, so that anonymous memory reads as zeros again; what is only a hint is taken as read.
pub fn madvise(caller: &mut Caller<'_>, address: u64, len: u64, advice: u32) -> SyscallResult {
    const MADV_DONTNEED: u32 = 4;
    const HINTS: [u32; 9] = [0, 1, 2, 3, 8, 12, 13, 14, 15];
    match advice {
        MADV_DONTNEED => caller.thread.process().space().discard(address, len)?,
        _ if HINTS.contains(&advice) && address.is_multiple_of(PAGE_SIZE as u64) => {}
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Writing or executing implies reading, as on every x86-64 (mmap(2), notes).
fn decode(protection: u32) -> Result<Protection, Errno> {
    if protection & !(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Protection {
        read: protection & (PROT_READ | PROT_WRITE | PROT_EXEC) != 0,
        write: protection & PROT_WRITE != 0,
        execute: protection & PROT_EXEC != 0,
    })
}
