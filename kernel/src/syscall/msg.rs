//! Message queues of System V: msgget(2), msgsnd(2), msgrcv(2), msgctl(2).

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::ipc::sysv::ids::{Look, Request};
use crate::ipc::sysv::msg::{self, Message, Wanted};
use abi::Errno;
use abi::ipc::{self, IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, Msginfo, MsqidDs};
use machine::user::{copy, value};

/// Bytes of a message's type, which stands before its text.
const KIND_LEN: u64 = 8;
/// What msginfo has besides: bytes and number of segments, of which there are none.
const SEGMENT_BYTES: i32 = 16;
const SEGMENTS: u16 = 0xffff;

pub fn msgget(caller: &mut Caller<'_>, key: i32, flags: u32) -> SyscallResult {
    let own = caller.thread.process().credentials();
    msg::get(Request { key, flags, caller: &own })
}

#[inline(never)]
pub fn msgsnd(caller: &mut Caller<'_>, id: i32, message: UserIn<i64>, size: usize, flags: u32) -> SyscallResult {
    let kind = message.read()?;
    if size > msg::LONGEST || id < 0 || kind < 1 {
        return Err(Errno::EINVAL);
    }
    let text = message.0.checked_add(KIND_LEN).ok_or(Errno::EFAULT)?;
    let mut message = Message::new(kind, size)?;
    message.text.resize(size, 0);
    copy::read(text, &mut message.text).map_err(|_| Errno::EFAULT)?;
    msg::send(id, &caller.thread.process().credentials(), message, flags)?;
    Ok(0)
}

#[inline(never)]
pub fn msgrcv(
    caller: &mut Caller<'_>,
    id: i32,
    message: UserOut<i64>,
    size: usize,
    kind: i64,
    flags: u32,
) -> SyscallResult {
    let copies = flags & MSG_COPY != 0;
    if id < 0 || size > i64::MAX as usize || copies && (flags & MSG_EXCEPT != 0 || flags & IPC_NOWAIT == 0) {
        return Err(Errno::EINVAL);
    }
    let own = caller.thread.process().credentials();
    let received = msg::receive(id, &own, Wanted { len: size, kind, flags })?;
    let text = message.0.checked_add(KIND_LEN).ok_or(Errno::EFAULT)?;
    message.write(&received.kind)?;
    let len = received.text.len().min(size);
    copy::write(text, &received.text[..len]).map_err(|_| Errno::EFAULT)?;
    Ok(len as u64)
}

#[inline(never)]
pub fn msgctl(caller: &mut Caller<'_>, id: i32, command: i32, buffer: u64) -> SyscallResult {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let own = caller.thread.process().credentials();
    match command {
        ipc::IPC_STAT | ipc::MSG_STAT | ipc::MSG_STAT_ANY => {
            let (result, status) = msg::status(Look::of(command, ipc::MSG_STAT), id, &own)?;
            value::put(buffer, &status)?;
            return Ok(result);
        }
        ipc::IPC_INFO | ipc::MSG_INFO => return info(command, buffer),
        ipc::IPC_SET => {
            let new: MsqidDs = UserIn::at(buffer).read()?;
            msg::set(id, &own, &new.perm, new.qbytes)?;
        }
        ipc::IPC_RMID => msg::remove(id, &own)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// IPC_INFO, and MSG_INFO, which tells in three places what there is.
fn info(command: i32, buffer: u64) -> SyscallResult {
    let figures = msg::figures();
    let bytes = msg::QUEUE_BYTES as i32;
    let (msgpool, msgmap, msgtql) = match command {
        ipc::MSG_INFO => (figures.queues as i32, figures.messages as i32, figures.bytes as i32),
        _ => (msg::MOST as i32 * (bytes / 1024), bytes, bytes),
    };
    let info = Msginfo {
        msgpool,
        msgmap,
        msgmax: msg::LONGEST as i32,
        msgmnb: bytes,
        msgmni: msg::MOST as i32,
        msgssz: SEGMENT_BYTES,
        msgtql,
        msgseg: SEGMENTS,
        ..Msginfo::ZERO
    };
    value::put(buffer, &info)?;
    Ok(figures.highest)
}
