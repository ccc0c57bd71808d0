//! Who is sent a signal when a file becomes ready: fcntl(2) with F_SETOWN, F_SETSIG and their kin, and the requests of
//! ioctl(2) that say the same.

use super::argument::{Fd, UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::ipc::signal_driven::{self, Owner};
use crate::vfs::File;
use abi::fcntl::*;
use abi::termios::{FIOASYNC, FIOGETOWN, FIOSETOWN, SIOCGPGRP, SIOCSPGRP};
use abi::{Errno, Signal};
use alloc::sync::Arc;

/// A command of fcntl(2); EINVAL for those that are none of these, ESRCH, ENOMEM, EFAULT.
pub fn fcntl(caller: &Caller<'_>, file: &Arc<File>, command: u32, argument: u64) -> SyscallResult {
    let process = caller.thread.process();
    match command {
        F_SETOWN => {
            signal_driven::set_owner(file, from_number(argument as i32)?, process)?;
            Ok(0)
        }
        F_GETOWN => Ok(i64::from(number_of(signal_driven::settings(file).owner)) as u64),
        F_SETSIG => {
            let signal = match argument as i32 {
                0 => None,
                number => Some(Signal::new(number).ok_or(Errno::EINVAL)?),
            };
            signal_driven::set_signal(file, signal)?;
            Ok(0)
        }
        F_GETSIG => Ok(signal_driven::settings(file).signal.map_or(0, |signal| signal.number().into())),
        F_SETOWN_EX => {
            let given = UserIn::<OwnerEx>::at(argument).read()?;
            let id = u32::try_from(given.pid).map_err(|_| Errno::ESRCH)?;
            let owner = match given.kind {
                F_OWNER_TID | F_OWNER_PID | F_OWNER_PGRP if id == 0 => Owner::None,
                F_OWNER_TID => Owner::Thread(id),
                F_OWNER_PID => Owner::Process(id),
                F_OWNER_PGRP => Owner::Group(id),
                _ => return Err(Errno::EINVAL),
            };
            signal_driven::set_owner(file, owner, process)?;
            Ok(0)
        }
        F_GETOWN_EX => {
            let (kind, id) = match signal_driven::settings(file).owner {
                Owner::None => (F_OWNER_TID, 0),
                Owner::Thread(id) => (F_OWNER_TID, id),
                Owner::Process(id) => (F_OWNER_PID, id),
                Owner::Group(id) => (F_OWNER_PGRP, id),
            };
            UserOut::<OwnerEx>::at(argument).write(&OwnerEx { kind, pid: id as i32 })?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// A request of ioctl(2), if it is one of these; the ones for owners are for sockets alone. ENOTTY, ESRCH, EINVAL, ENOMEM, EFAULT.
pub fn ioctl(caller: &Caller<'_>, fd: Fd, file: &Arc<File>, command: u32, argument: u64) -> Option<SyscallResult> {
    let is_socket = || crate::ipc::socket::socket(file).is_ok();
    match command {
        FIOASYNC => Some(UserIn::<i32>::at(argument).read().and_then(|on| {
            signal_driven::switch(file, fd.0, on != 0)?;
            Ok(0)
        })),
        FIOSETOWN | SIOCSPGRP if is_socket() => {
            Some(UserIn::<i32>::at(argument).read().and_then(|owner| fcntl(caller, file, F_SETOWN, owner as u64)))
        }
        FIOGETOWN | SIOCGPGRP if is_socket() => {
            let owner = number_of(signal_driven::settings(file).owner);
            Some(UserOut::<i32>::at(argument).write(&owner).map(|()| 0))
        }
        _ => None,
    }
}

/// F_SETFL changes whether signals are sent. Files that are always ready send none, and keep the flag.
pub fn flags_changed(fd: Fd, file: &Arc<File>, on: bool) -> Result<(), Errno> {
    match signal_driven::switch(file, fd.0, on) {
        Err(Errno::ENOTTY) => {
            let bit = OpenFlags::ASYNC.bits();
            file.change_flags(bit, if on { bit } else { 0 });
            Ok(())
        }
        other => other,
    }
}

/// The owner that F_SETOWN means: a process, or the group of the negative number.
fn from_number(number: i32) -> Result<Owner, Errno> {
    Ok(match number {
        0 => Owner::None,
        1.. => Owner::Process(number as u32),
        i32::MIN => return Err(Errno::EINVAL),
        _ => Owner::Group(number.unsigned_abs()),
    })
}

/// The other way round; a thread is none that F_GETOWN knows.
fn number_of(owner: Owner) -> i32 {
    match owner {
        Owner::None => 0,
        Owner::Thread(id) | Owner::Process(id) => id as i32,
        Owner::Group(id) => -(id as i32),
    }
}
