//! getsockopt(2) and setsockopt(2): the options of socket(7), and of tcp(7) and ip(7).

use super::argument::{Fd, UserIn, UserOut};
use super::socket::{end_of, socket_file};
use super::{Caller, SyscallResult};
use crate::ipc::socket::options::{
    BROADCAST, KEEP_ALIVE, OUT_OF_BAND_INLINE, PASS_CREDENTIALS, REUSE_ADDRESS, REUSE_PORT,
};
use crate::ipc::socket::{End, FINISHED, Family, NOBODY, Phase, SEND};
use abi::Errno;
use abi::inet::*;
use abi::pod::Pod;
use abi::socket::*;
use abi::time::Timeval;
use core::time::Duration;
use machine::user::copy;

/// How a sender keeps from sending more than the way takes, as Linux calls its own (TCP_CONGESTION). Nothing has to on the way from this
/// machine to itself.
const CONGESTION_CONTROL: [u8; 16] = *b"cubic\0\0\0\0\0\0\0\0\0\0\0";

#[inline(never)]
pub fn setsockopt(caller: &mut Caller<'_>, fd: Fd, level: u32, option: u32, value: u64, size: i32) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    let end = end_of(&file)?;
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    if level != SOL_SOCKET {
        return set_protocol(end, level, option, value, size);
    }
    if size < size_of::<i32>() {
        return Err(Errno::EINVAL);
    }
    let number = UserIn::<i32>::at(value).read()?;
    match option {
        SO_LINGER => {
            if size < Linger::SIZE {
                return Err(Errno::EINVAL);
            }
            let linger = UserIn::<Linger>::at(value).read()?;
            end.options.set_linger(linger.l_onoff != 0, linger.l_linger as u32);
        }
        SO_SNDBUF | SO_RCVBUF => {
            end.options.set_buffer(option == SO_SNDBUF, number as u32);
            end.tell_of_room();
        }
        SO_SNDTIMEO | SO_RCVTIMEO => {
            if size < Timeval::SIZE {
                return Err(Errno::EINVAL);
            }
            let limit = time_limit(UserIn::<Timeval>::at(value).read()?)?;
            end.options.set_time_limit(option == SO_SNDTIMEO, limit);
        }
        SO_PASSCRED if end.family == Family::Inet => return Err(Errno::EOPNOTSUPP),
        _ => match switch(option) {
            Some(switch) => end.options.switch(switch, number != 0),
            None => end.options.set_number(level, option, number as u32)?,
        },
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
    let room = usize::try_from(UserIn::<i32>::at(size.0).read()?).map_err(|_| Errno::EINVAL)?;
    let give = |bytes: &[u8]| {
        let part = &bytes[..bytes.len().min(room)];
        copy::write(value, part).map_err(|_| Errno::EFAULT)?;
        size.write(&(part.len() as i32))?;
        Ok(0)
    };
    if level != SOL_SOCKET {
        return protocol_option(end, level, option, give);
    }
    match option {
        SO_LINGER => {
            let (on, seconds) = end.options.linger();
            Linger { l_onoff: on.into(), l_linger: seconds as i32 }.with_bytes(give)
        }
        SO_PEERCRED => {
            let known = end.state.lock().peer_credentials;
            let peer = if end.family == Family::Unix { known } else { NOBODY };
            peer.with_bytes(give)
        }
        SO_SNDTIMEO | SO_RCVTIMEO => {
            let limit = end.options.time_limit(option == SO_SNDTIMEO).unwrap_or(Duration::ZERO);
            Timeval::from(limit).with_bytes(give)
        }
        _ => give(&number(end, option)?.to_le_bytes()),
    }
}

/// Sets an option of tcp(7) or ip(7); EOPNOTSUPP, ENOPROTOOPT, EINVAL.
fn set_protocol(end: &End, level: u32, option: u32, value: u64, size: usize) -> SyscallResult {
    check_level(end, level)?;
    if (level, option) == (IPPROTO_TCP, TCP_CONGESTION) {
        let mut name = [0; CONGESTION_CONTROL.len()];
        let given = size.min(name.len() - 1);
        copy::read(value, &mut name[..given]).map_err(|_| Errno::EFAULT)?;
        return if name == CONGESTION_CONTROL { Ok(0) } else { Err(Errno::ENOENT) };
    }
    let number = match size {
        // Of IP a byte is enough.
        1..4 if level == IPPROTO_IP => UserIn::<u8>::at(value).read()?.into(),
        0..4 => return Err(Errno::EINVAL),
        _ => UserIn::<u32>::at(value).read()?,
    };
    end.options.set_number(level, option, number)?;
    Ok(0)
}

/// Gives one.
fn protocol_option(end: &End, level: u32, option: u32, give: impl Fn(&[u8]) -> SyscallResult) -> SyscallResult {
    check_level(end, level)?;
    match (level, option) {
        (IPPROTO_TCP, TCP_CONGESTION) => give(&CONGESTION_CONTROL),
        (IPPROTO_TCP, TCP_INFO) => {
            let mut info = [0; TCP_INFO_SIZE];
            info[0] = tcp_state(end);
            give(&info)
        }
        _ => give(&end.options.number(level, option).ok_or(Errno::ENOPROTOOPT)?.to_le_bytes()),
    }
}

/// Whether a socket has options of this level; EOPNOTSUPP, of AF_INET ENOPROTOOPT.
fn check_level(end: &End, level: u32) -> Result<(), Errno> {
    match level {
        _ if end.family == Family::Unix => Err(Errno::EOPNOTSUPP),
        IPPROTO_TCP if end.is_tcp() => Ok(()),
        IPPROTO_IP => Ok(()),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

/// How far a connection is, as TCP_INFO has it.
fn tcp_state(end: &End) -> u8 {
    match (end.phase(), end.shut()) {
        (Phase::Connected, _) if end.is_over() => TCP_CLOSE,
        (Phase::Connected, shut) if shut & FINISHED != 0 => TCP_CLOSE_WAIT,
        (Phase::Connected, shut) if shut & SEND != 0 => TCP_FIN_WAIT2,
        (Phase::Connected, _) => TCP_ESTABLISHED,
        (Phase::Connecting, _) => TCP_SYN_SENT,
        (Phase::Listening, _) => TCP_LISTEN,
        (Phase::Idle, _) => TCP_CLOSE,
    }
}

/// An option that is a number.
fn number(end: &End, option: u32) -> Result<u32, Errno> {
    Ok(match option {
        SO_TYPE => end.kind as u32,
        SO_DOMAIN if end.family == Family::Inet => AF_INET,
        SO_DOMAIN => AF_UNIX,
        SO_PROTOCOL if end.is_tcp() => IPPROTO_TCP,
        SO_PROTOCOL if end.family == Family::Inet => IPPROTO_UDP,
        SO_PROTOCOL => 0,
        SO_ERROR => end.take_error().map_or(0, |error| error.code() as u32),
        SO_ACCEPTCONN => (end.phase() == Phase::Listening).into(),
        SO_SNDBUF => end.options.send_buffer(),
        SO_RCVBUF => end.options.receive_buffer(),
        SO_RCVLOWAT => 1,
        _ => match switch(option) {
            Some(switch) => end.options.is_on(switch).into(),
            None => end.options.number(SOL_SOCKET, option).ok_or(Errno::ENOPROTOOPT)?,
        },
    })
}

/// The switch that an option is.
fn switch(option: u32) -> Option<u32> {
    Some(match option {
        SO_PASSCRED => PASS_CREDENTIALS,
        SO_REUSEADDR => REUSE_ADDRESS,
        SO_REUSEPORT => REUSE_PORT,
        SO_OOBINLINE => OUT_OF_BAND_INLINE,
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
