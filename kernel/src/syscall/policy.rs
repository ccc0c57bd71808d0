//! Scheduling policies: sched_setscheduler(2), sched_setattr(2) and their kin.

use super::argument::{UserIn, UserOut};
use super::schedule::{may_change, named};
use super::{Caller, SyscallResult};
use crate::futex;
use crate::process::Thread;
use crate::sched::policy::{Class, PRIORITY_MAX, Policy};
use crate::sched::{self, NICE_MAX, NICE_MIN};
use abi::capability::CAP_SYS_NICE;
use abi::process::SchedAttr;
use abi::system::RLIMIT_RTPRIO;
use abi::time::Timespec;
use abi::{Errno, Pod};
use alloc::sync::Arc;
use core::time::Duration;
use machine::addr::PAGE_SIZE;
use machine::user::copy;

const SCHED_OTHER: u32 = 0;
const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_IDLE: u32 = 5;
/// In the policy of sched_setscheduler(2), and in the flags of sched_setattr(2).
const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;
const SCHED_FLAG_RESET_ON_FORK: u64 = 1;
const SCHED_FLAG_KEEP_POLICY: u64 = 8;
const SCHED_FLAG_KEEP_PARAMS: u64 = 16;
/// Bytes of the first `struct sched_attr`.
const ATTR_LEN_FIRST: usize = 48;

/// The class that a policy and a priority name.
fn class_of(policy: u32, priority: i64) -> Result<Class, Errno> {
    let real_time = u8::try_from(priority).ok().filter(|priority| (1..=PRIORITY_MAX).contains(priority));
    match (policy, real_time) {
        (SCHED_FIFO, Some(priority)) => Ok(Class::Fifo(priority)),
        (SCHED_RR, Some(priority)) => Ok(Class::RoundRobin(priority)),
        (SCHED_OTHER, None) if priority == 0 => Ok(Class::Normal),
        (SCHED_BATCH, None) if priority == 0 => Ok(Class::Batch),
        (SCHED_IDLE, None) if priority == 0 => Ok(Class::Idle),
        _ => Err(Errno::EINVAL),
    }
}

fn policy_of(thread: &Thread) -> Policy {
    thread.task().map_or(Policy::NORMAL, |task| sched::data(&task).policy())
}

/// Changes the policy of `thread` if the caller may: without privilege a priority is bounded by RLIMIT_RTPRIO and may else
/// only become less, and a policy that is reset on a fork stays so (sched(7), "Privileges and resource limits").
fn change(caller: &Caller<'_>, thread: &Arc<Thread>, new: Policy) -> Result<(), Errno> {
    may_change(caller, thread)?;
    let Some(task) = thread.task() else { return Err(Errno::ESRCH) };
    let old = sched::data(&task).policy();
    if !caller.has(CAP_SYS_NICE) {
        let limit = caller.thread.process().limits().current(RLIMIT_RTPRIO);
        let (before, after) = (old.class.priority(), new.class.priority().unwrap_or(0));
        let raises = after > before.unwrap_or(0);
        let same_kind = core::mem::discriminant(&old.class) == core::mem::discriminant(&new.class);
        let out_of_reach = after > 0 && (limit == 0 && !same_kind || raises && u64::from(after) > limit);
        if out_of_reach || old.reset_on_fork && !new.reset_on_fork {
            return Err(Errno::EPERM);
        }
    }
    sched::set_policy(&task, new);
    futex::priority_changed(&task, super::futex::task_of);
    Ok(())
}

pub fn sched_setscheduler(caller: &mut Caller<'_>, tid: u32, policy: u32, param: UserIn<i32>) -> SyscallResult {
    if param.0 == 0 || policy as i32 & i32::MIN != 0 {
        return Err(Errno::EINVAL);
    }
    let priority = param.read()?;
    let thread = named(caller, tid)?;
    let class = class_of(policy & !SCHED_RESET_ON_FORK, priority.into())?;
    change(caller, &thread, Policy { class, reset_on_fork: policy & SCHED_RESET_ON_FORK != 0 })?;
    Ok(0)
}

pub fn sched_setparam(caller: &mut Caller<'_>, tid: u32, param: UserIn<i32>) -> SyscallResult {
    if param.0 == 0 {
        return Err(Errno::EINVAL);
    }
    let priority = param.read()?;
    let thread = named(caller, tid)?;
    let policy = policy_of(&thread);
    let class = class_of(policy.class.number(), priority.into())?;
    change(caller, &thread, Policy { class, ..policy })?;
    Ok(0)
}

pub fn sched_getparam(caller: &mut Caller<'_>, tid: u32, param: UserOut<i32>) -> SyscallResult {
    if param.0 == 0 {
        return Err(Errno::EINVAL);
    }
    let thread = named(caller, tid)?;
    param.write(&i32::from(policy_of(&thread).class.priority().unwrap_or(0)))?;
    Ok(0)
}

pub fn sched_getscheduler(caller: &mut Caller<'_>, tid: u32) -> SyscallResult {
    let policy = policy_of(&*named(caller, tid)?);
    let reset = if policy.reset_on_fork { SCHED_RESET_ON_FORK } else { 0 };
    Ok((policy.class.number() | reset).into())
}

pub fn sched_get_priority_max(_: &mut Caller<'_>, policy: u32) -> SyscallResult {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(PRIORITY_MAX.into()),
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

pub fn sched_get_priority_min(_: &mut Caller<'_>, policy: u32) -> SyscallResult {
    match policy {
        SCHED_FIFO | SCHED_RR => Ok(1),
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

pub fn sched_rr_get_interval(caller: &mut Caller<'_>, tid: u32, out: UserOut<Timespec>) -> SyscallResult {
    let interval = match policy_of(&*named(caller, tid)?).class {
        Class::Fifo(_) => Duration::ZERO,
        Class::RoundRobin(_) => sched::TURN,
        Class::Normal | Class::Batch | Class::Idle => sched::SLICE,
    };
    out.write(&Timespec::from(interval))?;
    Ok(0)
}

/// What the kernel does not know of a longer structure must be zero; else E2BIG, and the caller learns how long it may be.
///
/// Apart from its callers, on whose part of the stack the page would be as long as they run.
#[inline(never)]
fn read_attr(at: u64) -> Result<SchedAttr, Errno> {
    let size = UserIn::<u32>::at(at).read()? as usize;
    let size = if size == 0 { ATTR_LEN_FIRST } else { size };
    let mut bytes = [0; PAGE_SIZE];
    let known = if (ATTR_LEN_FIRST..=PAGE_SIZE).contains(&size) {
        copy::read(at, &mut bytes[..size]).map_err(|_| Errno::EFAULT)?;
        bytes[SchedAttr::SIZE..].iter().all(|&byte| byte == 0)
    } else {
        false
    };
    if !known {
        UserOut::<u32>::at(at).write(&(SchedAttr::SIZE as u32))?;
        return Err(Errno::E2BIG);
    }
    Ok(SchedAttr::read_bytes(&bytes))
}

pub fn sched_setattr(caller: &mut Caller<'_>, tid: u32, at: u64, flags: u32) -> SyscallResult {
    if at == 0 || tid as i32 & i32::MIN != 0 || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let attr = read_attr(at)?;
    let thread = named(caller, tid)?;
    let known = SCHED_FLAG_RESET_ON_FORK | SCHED_FLAG_KEEP_POLICY | SCHED_FLAG_KEEP_PARAMS;
    if attr.sched_flags & !known != 0 || attr.sched_policy as i32 & i32::MIN != 0 {
        return Err(Errno::EINVAL);
    }
    let old = policy_of(&thread);
    let keeps = |flag: u64| attr.sched_flags & flag != 0;
    let number = if keeps(SCHED_FLAG_KEEP_POLICY) { old.class.number() } else { attr.sched_policy };
    let priority = match keeps(SCHED_FLAG_KEEP_PARAMS) {
        true => old.class.priority().unwrap_or(0).into(),
        false => attr.sched_priority.into(),
    };
    let class = class_of(number, priority)?;
    let nice = attr.sched_nice.clamp(NICE_MIN, NICE_MAX);
    let sets_nice = !keeps(SCHED_FLAG_KEEP_PARAMS) && class.priority().is_none();
    if let Some(task) = thread.task().filter(|_| sets_nice) {
        let privileged = caller.has(CAP_SYS_NICE);
        may_change(caller, &thread)?;
        if nice < sched::data(&task).nice() && !privileged {
            return Err(Errno::EPERM);
        }
    }
    change(caller, &thread, Policy { class, reset_on_fork: keeps(SCHED_FLAG_RESET_ON_FORK) })?;
    if let Some(task) = thread.task().filter(|_| sets_nice) {
        sched::data(&task).set_nice(nice);
    }
    Ok(0)
}

pub fn sched_getattr(caller: &mut Caller<'_>, tid: u32, at: u64, size: u32, flags: u32) -> SyscallResult {
    if at == 0 || tid as i32 & i32::MIN != 0 || !(ATTR_LEN_FIRST..=PAGE_SIZE).contains(&(size as usize)) || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let thread = named(caller, tid)?;
    let policy = policy_of(&thread);
    let len = SchedAttr::SIZE.min(size as usize);
    let nice = thread.task().map_or(0, |task| sched::data(&task).nice());
    let attr = SchedAttr {
        size: len as u32,
        sched_policy: policy.class.number(),
        sched_flags: if policy.reset_on_fork { SCHED_FLAG_RESET_ON_FORK } else { 0 },
        sched_nice: if policy.class.priority().is_none() { nice } else { 0 },
        sched_priority: policy.class.priority().unwrap_or(0).into(),
        ..SchedAttr::ZERO
    };
    attr.with_bytes(|bytes| copy::write(at, &bytes[..len])).map_err(|_| Errno::EFAULT)?;
    Ok(0)
}
