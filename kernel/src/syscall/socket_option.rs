//! getsockopt(2) and setsockopt(2): the options of socket(7) that sockets of AF_UNIX have.

use super::argument::{Fd, UserIn, UserOut};
use super::socket::{end_of, socket_file};
use super::{Caller, SyscallResult};
use crate::ipc::unix::options::{BROADCAST, KEEP_ALIVE, PASS_CREDENTIALS, REUSE_ADDRESS};
use crate::ipc::unix::{End, Phase};
use abi::Errno;
use abi::pod::Pod;
use abi::socket::*;
use abi::time::Timeval;
use core::time::Duration;
use machine::user::copy;

#[inline(never)]
pub fn setsockopt(caller: &mut Caller<'_>, fd: Fd, level: u32, option: u32, value: u64, size: i32) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    let end = end_of(&file)?;
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    if level != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    if size < size_of::<i32>() {
        return Err(Errno::EINVAL);
    }
    let number = UserIn::<i32>::at(value).read()?;
    match option {
        SO_SNDBUF | SO_RCVBUF => end.options.set_buffer(option == SO_SNDBUF, number as u32),
        SO_SNDTIMEO | SO_RCVTIMEO => {
            if size < Timeval::SIZE {
                return Err(Errno::EINVAL);
            }
            let limit = time_limit(UserIn::<Timeval>::at(value).read()?)?;
            end.options.set_time_limit(option == SO_SNDTIMEO, limit);
        }
        _ => end.options.switch(switch(option).ok_or(Errno::ENOPROTOOPT)?, number != 0),
    }
    Ok(0)
}

#[inline(never)]
pub fn getsockopt(
    caller: &mut Caller<'_>,
    fd: Fd,
    level: u32,
    option: u32,
    value: u64,
    size: UserOut<i32>,
) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    let end = end_of(&file)?;
    if level != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    let room = usize::try_from(UserIn::<i32>::at(size.0).read()?).map_err(|_| Errno::EINVAL)?;
    let give = |bytes: &[u8]| {
        let part = &bytes[..bytes.len().min(room)];
        copy::write(value, part).map_err(|_| Errno::EFAULT)?;
        size.write(&(part.len() as i32))?;
        Ok(0)
    };
    match option {
        SO_PEERCRED => {
            let peer = end.state.lock().peer_credentials;
            peer.with_bytes(give)
        }
        SO_SNDTIMEO | SO_RCVTIMEO => {
            let limit = end.options.time_limit(option == SO_SNDTIMEO).unwrap_or(Duration::ZERO);
            Timeval::from(limit).with_bytes(give)
        }
        _ => give(&number(end, option)?.to_le_bytes()),
    }
}

/// An option that is a number.
fn number(end: &End, option: u32) -> Result<u32, Errno> {
    Ok(match option {
        SO_TYPE => end.kind as u32,
        SO_DOMAIN => AF_UNIX,
        SO_PROTOCOL => 0,
        SO_ERROR => end.take_error().map_or(0, |error| error.code() as u32),
        SO_ACCEPTCONN => (end.phase() == Phase::Listening).into(),
        SO_SNDBUF => end.options.send_buffer(),
        SO_RCVBUF => end.options.receive_buffer(),
        SO_RCVLOWAT => 1,
        _ => end.options.is_on(switch(option).ok_or(Errno::ENOPROTOOPT)?).into(),
    })
}

/// The switch that an option is.
fn switch(option: u32) -> Option<u32> {
    Some(match option {
        SO_PASSCRED => PASS_CREDENTIALS,
        SO_REUSEADDR => REUSE_ADDRESS,
        SO_KEEPALIVE => KEEP_ALIVE,
        SO_BROADCAST => BROADCAST,
        _ => return None,
    })
}

/// How long a call may wait: no time at all for less than none, None for ever; EDOM.
fn time_limit(given: Timeval) -> Result<Option<Duration>, Errno> {
    if !(0..1_000_000).contains(&given.tv_usec) {
        return Err(Errno::EDOM);
    }
    Ok(match given.to_duration() {
        Ok(Duration::ZERO) => None,
        Ok(limit) => Some(limit),
        Err(_) => Some(Duration::ZERO),
    })
}
