//! Shared memory of System V: shmget(2), shmat(2), shmdt(2), shmctl(2).

use super::argument::UserIn;
use super::{Caller, SyscallResult};
use crate::ipc::sysv::ids::{Look, Request};
use crate::ipc::sysv::{Perm, shm};
use abi::Errno;
use abi::capability::CAP_IPC_LOCK;
use abi::ipc::{self, ShmidDs, Shminfo};
use abi::system::RLIMIT_MEMLOCK;
use machine::user::value;

pub fn shmget(caller: &mut Caller<'_>, key: i32, size: usize, flags: u32) -> SyscallResult {
    let own = caller.thread.process().credentials();
    shm::get(Request { key, flags, caller: &own }, size as u64)
}

pub fn shmat(caller: &mut Caller<'_>, id: i32, address: u64, flags: u32) -> SyscallResult {
    let process = caller.thread.process();
    shm::attach(&process.space(), &process.credentials(), id, address, flags)
}

pub fn shmdt(caller: &mut Caller<'_>, address: u64) -> SyscallResult {
    caller.thread.process().space().detach(address)?;
    Ok(0)
}

#[inline(never)]
pub fn shmctl(caller: &mut Caller<'_>, id: i32, command: i32, buffer: u64) -> SyscallResult {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let own = caller.thread.process().credentials();
    match command {
        ipc::IPC_INFO => {
            let (shmmax, shmall, shmmni) = (shm::MAX, shm::MAX, shm::MOST as u64);
            value::put(buffer, &Shminfo { shmmax, shmmin: 1, shmmni, shmseg: shmmni, shmall, ..Shminfo::ZERO })?;
            Ok(shm::figures().0)
        }
        ipc::SHM_INFO => {
            let (highest, info) = shm::figures();
            value::put(buffer, &info)?;
            Ok(highest)
        }
        ipc::IPC_STAT | ipc::SHM_STAT | ipc::SHM_STAT_ANY => {
            let (result, status) = shm::status(Look::of(command, ipc::SHM_STAT), id, &own)?;
            value::put(buffer, &status)?;
            Ok(result)
        }
        ipc::IPC_SET => {
            let new: ShmidDs = UserIn::at(buffer).read()?;
            shm::set(id, &own, &new.perm)?;
            Ok(0)
        }
        ipc::IPC_RMID => {
            shm::remove(id, &own)?;
            Ok(0)
        }
        ipc::SHM_LOCK | ipc::SHM_UNLOCK => {
            let locks = command == ipc::SHM_LOCK;
            let limit = caller.thread.process().limits().current(RLIMIT_MEMLOCK);
            let own_one = |perm: &Perm| perm.is_owner(&own) && (!locks || limit > 0);
            shm::set_locked(id, locks, |perm| own.has(CAP_IPC_LOCK) || own_one(perm))?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
