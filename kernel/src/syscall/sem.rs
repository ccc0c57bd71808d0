//! Semaphores of System V: semget(2), semop(2), semtimedop(2), semctl(2).

use super::argument::UserIn;
use super::{Caller, SyscallResult};
use crate::ipc::sysv::ids::{Look, Request};
use crate::ipc::sysv::sem::{self, Question};
use abi::Errno;
use abi::ipc::{self, Sembuf, SemidDs, Seminfo};
use abi::time::Timespec;
use alloc::vec::Vec;
use machine::time::{self, Instant};
use machine::user::{copy, value};

/// What IPC_INFO has as SEMUSZ, though nothing is of that size.
const UNDO_SIZE: i32 = 20;

pub fn semget(caller: &mut Caller<'_>, key: i32, count: i32, flags: u32) -> SyscallResult {
    let own = caller.thread.process().credentials();
    sem::get(Request { key, flags, caller: &own }, count)
}

pub fn semop(caller: &mut Caller<'_>, id: i32, operations: UserIn<Sembuf>, count: u32) -> SyscallResult {
    operate(caller, id, operations, count, None)
}

pub fn semtimedop(
    caller: &mut Caller<'_>,
    id: i32,
    operations: UserIn<Sembuf>,
    count: u32,
    timeout: UserIn<Timespec>,
) -> SyscallResult {
    let timeout = timeout.read_if_given()?;
    operate(caller, id, operations, count, timeout)
}

fn operate(
    caller: &Caller<'_>,
    id: i32,
    operations: UserIn<Sembuf>,
    count: u32,
    timeout: Option<Timespec>,
) -> SyscallResult {
    let count = count as usize;
    if count > sem::MOST_OPERATIONS {
        return Err(Errno::E2BIG);
    }
    if count == 0 {
        return Err(Errno::EINVAL);
    }
    let mut list: Vec<Sembuf> = Vec::new();
    list.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    for index in 0..count {
        let at = operations.0.checked_add((index * size_of::<Sembuf>()) as u64).ok_or(Errno::EFAULT)?;
        list.push(UserIn::at(at).read()?);
    }
    let deadline: Option<Instant> = match timeout {
        Some(timeout) => Some(time::now() + timeout.to_duration()?),
        None => None,
    };
    sem::operate(caller.thread.process(), id, list, deadline)?;
    Ok(0)
}

#[inline(never)]
pub fn semctl(caller: &mut Caller<'_>, id: i32, number: i32, command: i32, argument: u64) -> SyscallResult {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let own = caller.thread.process().credentials();
    let ask = |question| sem::ask(id, &own, number, question);
    match command {
        ipc::GETVAL => return ask(Question::Value),
        ipc::GETPID => return ask(Question::LastPid),
        ipc::GETNCNT => return ask(Question::Growth),
        ipc::GETZCNT => return ask(Question::Zero),
        ipc::IPC_STAT | ipc::SEM_STAT | ipc::SEM_STAT_ANY => {
            let (result, status) = sem::status(Look::of(command, ipc::SEM_STAT), id, &own)?;
            value::put(argument, &status)?;
            return Ok(result);
        }
        ipc::IPC_INFO | ipc::SEM_INFO => return info(command, argument),
        ipc::SETVAL => sem::set_value(id, &own, number, argument as i32)?,
        ipc::GETALL => copy::write(argument, &sem::open(id, &own, false)?.values()?).map_err(|_| Errno::EFAULT)?,
        ipc::SETALL => {
            let set = sem::open(id, &own, true)?;
            let mut bytes = set.values()?; // for their room
            copy::read(argument, &mut bytes).map_err(|_| Errno::EFAULT)?;
            set.set_values(&bytes)?;
            sem::changed(id);
        }
        ipc::IPC_SET => {
            let new: SemidDs = UserIn::at(argument).read()?;
            sem::set(id, &own, &new.perm)?;
        }
        ipc::IPC_RMID => sem::remove(id, &own)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// IPC_INFO, and SEM_INFO, which tells in two places what there is.
fn info(command: i32, buffer: u64) -> SyscallResult {
    let (highest, sets, semaphores) = sem::figures();
    let (semusz, semaem) = match command {
        ipc::SEM_INFO => (sets as i32, semaphores as i32),
        _ => (UNDO_SIZE, sem::HIGHEST),
    };
    let (all, operations) = (sem::MOST_IN_ALL as i32, sem::MOST_OPERATIONS as i32);
    let info = Seminfo {
        semmap: all,
        semmni: sem::MOST as i32,
        semmns: all,
        semmnu: all,
        semmsl: sem::MOST_IN_SET as i32,
        semopm: operations,
        semume: operations,
        semusz,
        semvmx: sem::HIGHEST,
        semaem,
    };
    value::put(buffer, &info)?;
    Ok(highest)
}
