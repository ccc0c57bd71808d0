//! prctl(2): what a process or thread says of itself, and what it gives up.

use super::argument::UserOut;
use super::{Caller, SyscallResult};
use crate::process::Process;
use abi::Errno;
use abi::capability::prctl::*;
use abi::capability::{CAP_LAST_CAP, CAP_SETPCAP, CAP_SYS_RESOURCE, secure};
use core::sync::atomic::Ordering;
use machine::user::{copy, value};

/// What a thread's timers may be late by, in ns, when it has not said (PR_SET_TIMERSLACK).
const DEFAULT_SLACK_NS: u64 = 50_000;

pub fn prctl(
    caller: &mut Caller<'_>,
    option: u32,
    argument: u64,
    third: u64,
    fourth: u64,
    fifth: u64,
) -> SyscallResult {
    let process = caller.thread.process();
    let no_more = third | fourth | fifth == 0;
    match option {
        PR_SET_PDEATHSIG if argument <= u64::from(abi::signal::NSIG) => {
            process.set_parent_death_signal(argument as u8);
            Ok(0)
        }
        PR_GET_PDEATHSIG => write(argument, i32::from(process.parent_death_signal())),
        PR_GET_DUMPABLE => Ok(process.is_dumpable().into()),
        PR_SET_DUMPABLE if argument <= 1 => {
            process.set_dumpable(argument == 1);
            Ok(0)
        }
        PR_SET_NAME => set_name(caller, argument),
        PR_GET_NAME => {
            let mut name = [0; 16];
            name[..15].copy_from_slice(&caller.thread.name());
            copy::write(argument, &name).map_err(|_| Errno::EFAULT)?;
            Ok(0)
        }
        PR_GET_KEEPCAPS | PR_SET_KEEPCAPS | PR_GET_SECUREBITS | PR_SET_SECUREBITS => {
            secure_bits(process, option, argument)
        }
        PR_CAPBSET_READ | PR_CAPBSET_DROP => bounding(process, option, argument),
        PR_CAP_AMBIENT if fourth | fifth == 0 => ambient(process, argument, third),
        PR_SET_NO_NEW_PRIVS if argument == 1 && no_more => {
            caller.thread.no_new_privileges.store(true, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_NO_NEW_PRIVS if argument == 0 && no_more => {
            Ok(caller.thread.no_new_privileges.load(Ordering::Relaxed).into())
        }
        PR_SET_CHILD_SUBREAPER => {
            process.adopts_orphans.store(argument != 0, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_CHILD_SUBREAPER => write(argument, i32::from(process.adopts_orphans.load(Ordering::Relaxed))),
        // Timers here are never late on purpose: the number is kept for those who ask.
        PR_SET_TIMERSLACK => {
            let slack_ns = if argument as i64 <= 0 { DEFAULT_SLACK_NS } else { argument };
            caller.thread.timer_slack_ns.store(slack_ns, Ordering::Relaxed);
            Ok(0)
        }
        PR_GET_TIMERSLACK => Ok(caller.thread.timer_slack_ns.load(Ordering::Relaxed)),
        PR_GET_TIMING => Ok(PR_TIMING_STATISTICAL.into()),
        PR_SET_TIMING if argument == u64::from(PR_TIMING_STATISTICAL) => Ok(0),
        PR_GET_TSC => write(argument, PR_TSC_ENABLE as i32),
        PR_SET_TSC if argument == u64::from(PR_TSC_ENABLE) => Ok(0),
        PR_SET_THP_DISABLE if no_more => {
            process.space().allow_huge_pages(argument == 0);
            Ok(0)
        }
        PR_GET_THP_DISABLE if argument == 0 && no_more => Ok((!process.space().may_have_huge_pages()).into()),
        PR_GET_SECCOMP => Ok(0),
        PR_GET_TID_ADDRESS => {
            value::put(argument, &caller.thread.clear_on_exit.load(Ordering::Relaxed))?;
            Ok(0)
        }
        PR_SET_MM if !process.credentials().has(CAP_SYS_RESOURCE) => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

fn write(address: u64, value: i32) -> SyscallResult {
    UserOut::at(address).write(&value)?;
    Ok(0)
}

/// Up to fifteen bytes; what lies behind the zero need not be readable.
fn set_name(caller: &Caller<'_>, address: u64) -> SyscallResult {
    let mut name = [0; 15];
    for (at, byte) in name.iter_mut().enumerate() {
        let mut one = [0];
        copy::read(address.wrapping_add(at as u64), &mut one).map_err(|_| Errno::EFAULT)?;
        *byte = one[0];
        if one[0] == 0 {
            break;
        }
    }
    caller.thread.set_name(name);
    Ok(0)
}

fn secure_bits(process: &Process, option: u32, argument: u64) -> SyscallResult {
    let old = process.credentials().capabilities.secure;
    let new = match option {
        PR_GET_KEEPCAPS => return Ok((old & secure::KEEP_CAPS != 0).into()),
        PR_GET_SECUREBITS => return Ok(old.into()),
        PR_SET_KEEPCAPS if argument > 1 => return Err(Errno::EINVAL),
        PR_SET_KEEPCAPS if old & secure::KEEP_CAPS << 1 != 0 => return Err(Errno::EPERM),
        PR_SET_KEEPCAPS if argument == 1 => old | secure::KEEP_CAPS,
        PR_SET_KEEPCAPS => old & !secure::KEEP_CAPS,
        _ => {
            let locked = (old & secure::LOCKS) >> 1;
            let wanted = u32::try_from(argument).map_err(|_| Errno::EPERM)?;
            let unlocks = old & secure::LOCKS & !wanted != 0;
            let allowed = wanted & !secure::ALL == 0 && locked & (old ^ wanted) == 0 && !unlocks;
            if !allowed || !process.credentials().has(CAP_SETPCAP) {
                return Err(Errno::EPERM);
            }
            wanted
        }
    };
    change(process, |own| own.secure = new)
}

/// Whether a capability can be had at all; gives it up for good.
fn bounding(process: &Process, option: u32, capability: u64) -> SyscallResult {
    let own = process.credentials();
    if option == PR_CAPBSET_DROP && !own.has(CAP_SETPCAP) {
        return Err(Errno::EPERM);
    }
    let bit = bit_of(capability)?;
    if option == PR_CAPBSET_READ {
        return Ok((own.capabilities.bounding & bit != 0).into());
    }
    change(process, |own| own.bounding &= !bit)
}

fn ambient(process: &Process, what: u64, capability: u64) -> SyscallResult {
    let own = process.credentials().capabilities;
    match u32::try_from(what) {
        Ok(PR_CAP_AMBIENT_CLEAR_ALL) if capability == 0 => change(process, |own| own.ambient = 0),
        Ok(PR_CAP_AMBIENT_IS_SET) => Ok((own.ambient & bit_of(capability)? != 0).into()),
        Ok(PR_CAP_AMBIENT_LOWER) => {
            let bit = bit_of(capability)?;
            change(process, |own| own.ambient &= !bit)
        }
        Ok(PR_CAP_AMBIENT_RAISE) => {
            let bit = bit_of(capability)?;
            if own.permitted & own.inheritable & bit == 0 || own.is_secure(secure::NO_CAP_AMBIENT_RAISE) {
                return Err(Errno::EPERM);
            }
            change(process, |own| own.ambient |= bit)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn bit_of(capability: u64) -> Result<u64, Errno> {
    if capability <= u64::from(CAP_LAST_CAP) { Ok(1 << capability) } else { Err(Errno::EINVAL) }
}

fn change(process: &Process, change: impl FnOnce(&mut crate::process::capability::Capabilities)) -> SyscallResult {
    process.change_credentials(|own| {
        change(&mut own.capabilities);
        Ok::<(), Errno>(())
    })?;
    Ok(0)
}
