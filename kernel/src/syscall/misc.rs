//! About the system: uname(2), sysinfo(2), getrandom(2); and of a thread what only the CPU or its end cares for:
//! arch_prctl(2), set_tid_address(2), rseq(2).

use super::argument::UserOut;
use super::{Caller, SyscallResult};
use crate::sched::load;
use crate::{process, random, version};
use abi::Errno;
use abi::rseq::RSEQ_FLAG_UNREGISTER;
use abi::system::{Sysinfo, Utsname};
use core::sync::atomic::Ordering;
use machine::addr::USER_END;
use machine::mm::FrameKind;
use machine::mm::frame;
use machine::user::{copy, value};
use machine::{task, time};

pub fn uname(_: &mut Caller<'_>, out: UserOut<Utsname>) -> SyscallResult {
    out.write(&Utsname {
        sysname: Utsname::field(version::SYSTEM.as_bytes()),
        nodename: version::host_name(),
        release: Utsname::field(version::RELEASE.as_bytes()),
        version: Utsname::field(version::VERSION.as_bytes()),
        machine: Utsname::field(b"x86_64"),
        domainname: Utsname::field(b"(none)"),
    })?;
    Ok(0)
}

pub fn sysinfo(_: &mut Caller<'_>, out: UserOut<Sysinfo>) -> SyscallResult {
    let bytes = |kind: FrameKind| (frame::count(kind) * machine::PAGE_SIZE) as u64;
    out.write(&Sysinfo {
        uptime: (time::since_boot_ns() / 1_000_000_000) as i64,
        loads: load::averages(),
        totalram: machine::boot::usable_ram(),
        freeram: bytes(FrameKind::Free),
        bufferram: bytes(FrameKind::PageCache),
        procs: process::pids().len() as u16,
        mem_unit: 1,
        ..Sysinfo::default()
    })?;
    Ok(0)
}

pub fn getrandom(_: &mut Caller<'_>, buffer: UserOut<u8>, len: usize, flags: u32) -> SyscallResult {
    const KNOWN: u32 = 7;
    if flags & !KNOWN != 0 || flags & 6 == 6 {
        return Err(Errno::EINVAL);
    }
    let len = len.min(isize::MAX as usize);
    let mut done = 0;
    while done < len {
        let mut chunk = [0; 256];
        let part = &mut chunk[..(len - done).min(256)];
        random::fill(part);
        let at = buffer.0.checked_add(done as u64).ok_or(Errno::EFAULT)?;
        copy::write(at, part).map_err(|_| Errno::EFAULT)?;
        done += part.len();
        if process::interrupted() && done >= 256 {
            break;
        }
    }
    Ok(done as u64)
}

pub fn arch_prctl(_: &mut Caller<'_>, code: u32, address: u64) -> SyscallResult {
    const ARCH_SET_GS: u32 = 0x1001;
    const ARCH_SET_FS: u32 = 0x1002;
    const ARCH_GET_FS: u32 = 0x1003;
    const ARCH_GET_GS: u32 = 0x1004;
    let current = task::current();
    let (fs, gs) = current.segment_bases();
    match code {
        ARCH_SET_FS | ARCH_SET_GS if address >= USER_END => return Err(Errno::EPERM),
        ARCH_SET_FS => current.set_segment_bases(address, gs),
        ARCH_SET_GS => current.set_segment_bases(fs, address),
        ARCH_GET_FS => value::put(address, &fs)?,
        ARCH_GET_GS => value::put(address, &gs)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

pub fn set_tid_address(caller: &mut Caller<'_>, address: u64) -> SyscallResult {
    caller.thread.clear_on_exit.store(address, Ordering::Relaxed);
    Ok(caller.thread.tid().into())
}

pub fn rseq(caller: &mut Caller<'_>, area: u64, len: u32, flags: u32, signature: u32) -> SyscallResult {
    match flags {
        0 => caller.thread.register_rseq(area, len, signature)?,
        RSEQ_FLAG_UNREGISTER => caller.thread.unregister_rseq(area, len, signature)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// `personality(2)`: no random places in address spaces of programs that are executed from now on.
pub(super) const ADDR_NO_RANDOMIZE: u32 = 0x004_0000;

pub fn personality(caller: &mut Caller<'_>, persona: u32) -> SyscallResult {
    const ONLY_LOOK: u32 = u32::MAX;
    let own = &caller.thread.process().personality;
    let before = if persona == ONLY_LOOK { own.load(Ordering::Relaxed) } else { own.swap(persona, Ordering::Relaxed) };
    Ok(before.into())
}
