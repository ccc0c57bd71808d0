//! Scheduling: nice values, affinity, getcpu(2), membarrier(2). Policies are in `policy`.

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::process::{Thread, table};
use crate::sched;
use abi::Errno;
use abi::capability::CAP_SYS_NICE;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use machine::cpu;
use machine::percpu::this_cpu;
use machine::user::value;

pub fn sched_yield(_: &mut Caller<'_>) -> SyscallResult {
    sched::yield_now();
    Ok(0)
}

/// The thread with number `tid`, the caller itself for 0.
pub(super) fn named(caller: &Caller<'_>, tid: u32) -> Result<Arc<Thread>, Errno> {
    match tid as i32 {
        0 => Ok(caller.thread.clone()),
        negative if negative < 0 => Err(Errno::EINVAL),
        _ => table::find_thread(tid).ok_or(Errno::ESRCH),
    }
}

/// Whether the caller may change how `target` is scheduled.
pub(super) fn may_change(caller: &Caller<'_>, target: &Thread) -> Result<(), Errno> {
    let (own, other) = (caller.thread.process().credentials(), target.process().credentials());
    let same = own.user.effective == other.user.effective || own.user.effective == other.user.real;
    if own.has(CAP_SYS_NICE) || same { Ok(()) } else { Err(Errno::EPERM) }
}

/// The threads that getpriority(2) and setpriority(2) mean.
fn meant(caller: &Caller<'_>, which: u32, who: u32) -> Result<Vec<Arc<Thread>>, Errno> {
    const PROCESS: u32 = 0;
    const GROUP: u32 = 1;
    const USER: u32 = 2;
    let own = caller.thread.process();
    let processes = match which {
        PROCESS => return Ok([named(caller, who)?].into()),
        GROUP => table::group(if who == 0 { own.group() } else { who }),
        USER => {
            let user = if who == 0 { own.credentials().user.real } else { who };
            table::all().into_iter().filter(|process| process.credentials().user.real == user).collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    let threads: Vec<_> = processes.iter().flat_map(|process| process.threads()).collect();
    if threads.is_empty() { Err(Errno::ESRCH) } else { Ok(threads) }
}

/// The system call's result is 20 minus the nice value, so that it is never negative.
pub fn getpriority(caller: &mut Caller<'_>, which: u32, who: u32) -> SyscallResult {
    let threads = meant(caller, which, who)?;
    let nice = threads.iter().filter_map(|thread| thread.task()).map(|task| sched::data(&task).nice()).min();
    Ok((20 - nice.ok_or(Errno::ESRCH)?) as u64)
}

pub fn setpriority(caller: &mut Caller<'_>, which: u32, who: u32, nice: i32) -> SyscallResult {
    let nice = nice.clamp(sched::NICE_MIN, sched::NICE_MAX);
    let privileged = caller.has(CAP_SYS_NICE);
    for thread in meant(caller, which, who)? {
        may_change(caller, &thread).map_err(|_| Errno::EPERM)?;
        let Some(task) = thread.task() else { continue };
        if nice < sched::data(&task).nice() && !privileged {
            return Err(Errno::EACCES);
        }
        sched::data(&task).set_nice(nice);
    }
    Ok(0)
}

/// The mask's first word; there are no more CPUs than it has bits.
pub fn sched_setaffinity(caller: &mut Caller<'_>, tid: u32, len: usize, mask: UserIn<u64>) -> SyscallResult {
    let thread = named(caller, tid)?;
    may_change(caller, &thread)?;
    let mut bytes = [0; 8];
    let len = len.min(bytes.len());
    machine::user::copy::read(mask.0, &mut bytes[..len]).map_err(|_| Errno::EFAULT)?;
    let wanted = u64::from_le_bytes(bytes) & cpu::online_mask();
    if wanted == 0 {
        return Err(Errno::EINVAL);
    }
    if let Some(task) = thread.task() {
        sched::set_affinity(&task, wanted);
    }
    Ok(0)
}

pub fn sched_getaffinity(caller: &mut Caller<'_>, tid: u32, len: usize, out: UserOut<u8>) -> SyscallResult {
    let thread = named(caller, tid)?;
    if len < 8 || !len.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    let mask = thread.task().map_or(u64::MAX, |task| sched::data(&task).affinity()) & cpu::online_mask();
    value::put(out.0, &mask)?;
    Ok(8)
}

pub fn getcpu(_: &mut Caller<'_>, cpu: UserOut<u32>, node: UserOut<u32>) -> SyscallResult {
    cpu.write_if_given(&this_cpu().number())?;
    node.write_if_given(&0)?;
    Ok(0)
}

/// Every command but the registrations makes all CPUs that run this process execute a full barrier. One of them also
/// aborts the restartable sequences that its threads are in; on all CPUs, also where one is named.
pub fn membarrier(caller: &mut Caller<'_>, command: u32, flags: u32) -> SyscallResult {
    const QUERY: u32 = 0;
    const GLOBAL: u32 = 1;
    const GLOBAL_EXPEDITED: u32 = 1 << 1;
    const REGISTER_GLOBAL_EXPEDITED: u32 = 1 << 2;
    const PRIVATE_EXPEDITED: u32 = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: u32 = 1 << 4;
    const PRIVATE_EXPEDITED_RSEQ: u32 = 1 << 7;
    const REGISTER_PRIVATE_EXPEDITED_RSEQ: u32 = 1 << 8;
    const ALL: u32 = GLOBAL
        | GLOBAL_EXPEDITED
        | REGISTER_GLOBAL_EXPEDITED
        | PRIVATE_EXPEDITED
        | REGISTER_PRIVATE_EXPEDITED
        | PRIVATE_EXPEDITED_RSEQ
        | REGISTER_PRIVATE_EXPEDITED_RSEQ;
    const FLAG_CPU: u32 = 1;
    if flags != 0 && (flags != FLAG_CPU || command != PRIVATE_EXPEDITED_RSEQ) {
        return Err(Errno::EINVAL);
    }
    let barriers = &caller.thread.process().barriers;
    let check_registered =
        |command| if barriers.load(Ordering::Relaxed) & command != 0 { Ok(()) } else { Err(Errno::EPERM) };
    match command {
        QUERY => Ok(ALL.into()),
        GLOBAL | GLOBAL_EXPEDITED => {
            machine::mm::synchronize_cpus(cpu::online_mask());
            Ok(0)
        }
        PRIVATE_EXPEDITED => {
            check_registered(REGISTER_PRIVATE_EXPEDITED)?;
            caller.thread.process().space().tables().synchronize_cpus();
            Ok(0)
        }
        PRIVATE_EXPEDITED_RSEQ => {
            check_registered(REGISTER_PRIVATE_EXPEDITED_RSEQ)?;
            let process = caller.thread.process();
            // Whoever is in user mode is brought out of it by the barrier.
            process.threads().iter().for_each(|thread| thread.make_rseq_due());
            process.space().tables().synchronize_cpus();
            Ok(0)
        }
        REGISTER_GLOBAL_EXPEDITED | REGISTER_PRIVATE_EXPEDITED | REGISTER_PRIVATE_EXPEDITED_RSEQ => {
            barriers.fetch_or(command, Ordering::Relaxed);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
