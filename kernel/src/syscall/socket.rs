//! Sockets: socket(2), bind(2), listen(2), accept(2), connect(2), send(2), recv(2) and their kin. Of the families there are
//! AF_UNIX and AF_INET.

use super::argument::{Fd, UserIn, UserOut, UserRange};
use super::control::{self, Room};
use super::event::insert;
use super::io::{MAX_TRANSFER, check, read_vectors};
use super::poll::read_timespec;
use super::{Caller, SyscallResult};
use crate::ipc::socket::options::PASS_CREDENTIALS;
use crate::ipc::socket::{End, Family, Kind, Name, Outgoing, Socket, Taken, socket as socket_of};
use crate::vfs::flags::O_NONBLOCK;
use crate::vfs::{File, FsContext};
use abi::Errno;
use abi::inet::{IPPROTO_TCP, IPPROTO_UDP, SockaddrIn};
use abi::pod::Pod;
use abi::socket::*;
use abi::time::Timespec;
use alloc::sync::Arc;
use machine::time;
use machine::user::copy;

/// Most pieces of one message, and messages of one call (UIO_MAXIOV).
const MAX_VECTORS: usize = 1024;
/// Credentials of who is not known.
const UNKNOWN: Ucred = Ucred { pid: 0, uid: 65534, gid: 65534 };

#[inline(never)]
pub fn socket(caller: &mut Caller<'_>, family: i32, kind: u32, protocol: i32) -> SyscallResult {
    let (family, kind, flags) = type_of(family, kind, protocol)?;
    insert(caller, Socket::create(family, kind, flags)?, flags)
}

#[inline(never)]
pub fn socketpair(
    caller: &mut Caller<'_>,
    family: i32,
    kind: u32,
    protocol: i32,
    out: UserOut<[i32; 2]>,
) -> SyscallResult {
    let (family, kind, flags) = type_of(family, kind, protocol)?;
    if family != Family::Unix {
        return Err(Errno::EOPNOTSUPP);
    }
    let pair = Socket::create_pair(kind, flags, effective(caller))?;
    super::pipe::insert_pair(caller, pair, flags, out)
}

/// The family and type that socket(2) asks for, and its flags.
fn type_of(family: i32, kind: u32, protocol: i32) -> Result<(Family, Kind, u32), Errno> {
    let flags = kind & !SOCK_TYPE_MASK;
    if flags & !(SOCK_CLOEXEC | SOCK_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    if !(0..AF_MAX as i32).contains(&family) {
        return Err(Errno::EAFNOSUPPORT);
    }
    let kind = kind & SOCK_TYPE_MASK;
    if kind >= SOCK_MAX {
        return Err(Errno::EINVAL);
    }
    let (family, kind) = match (family as u32, kind) {
        (AF_UNIX, _) if protocol != 0 && protocol != AF_UNIX as i32 => return Err(Errno::EPROTONOSUPPORT),
        (AF_UNIX, SOCK_STREAM) => (Family::Unix, Kind::Stream),
        (AF_UNIX, SOCK_DGRAM | SOCK_RAW) => (Family::Unix, Kind::Datagram),
        (AF_UNIX, SOCK_SEQPACKET) => (Family::Unix, Kind::Packets),
        (AF_INET, SOCK_STREAM | SOCK_DGRAM) => {
            let (kind, own) = match kind {
                SOCK_STREAM => (Kind::Stream, IPPROTO_TCP),
                _ => (Kind::Datagram, IPPROTO_UDP),
            };
            match protocol {
                _ if protocol == 0 || protocol == own as i32 => {}
                0..256 => return Err(Errno::EPROTONOSUPPORT),
                _ => return Err(Errno::EINVAL),
            }
            (Family::Inet, kind)
        }
        (AF_INET, SOCK_RAW) => return Err(Errno::EPROTONOSUPPORT),
        (AF_UNIX | AF_INET, _) => return Err(Errno::ESOCKTNOSUPPORT),
        _ => return Err(Errno::EAFNOSUPPORT),
    };
    Ok((family, kind, flags))
}

#[inline(never)]
pub fn bind(caller: &mut Caller<'_>, fd: Fd, name: u64, size: i32) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    let end = end_of(&file)?;
    let mode = 0o777 & !caller.thread.process().umask();
    end.bind(&read_name(name, size)?, &context(caller), mode)?;
    Ok(0)
}

#[inline(never)]
pub fn listen(caller: &mut Caller<'_>, fd: Fd, backlog: i32) -> SyscallResult {
    end_of(&*socket_file(caller, fd)?)?.take_connections(backlog as u32, effective(caller))?;
    Ok(0)
}

#[inline(never)]
pub fn accept(caller: &mut Caller<'_>, fd: Fd, name: u64, size: UserOut<i32>) -> SyscallResult {
    accept4(caller, fd, name, size, 0)
}

#[inline(never)]
pub fn accept4(caller: &mut Caller<'_>, fd: Fd, name: u64, size: UserOut<i32>, flags: u32) -> SyscallResult {
    if flags & !(SOCK_CLOEXEC | SOCK_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = socket_file(caller, fd)?;
    let process = caller.thread.process();
    // A connection that finds no descriptor goes on waiting.
    if !process.files.with(|files| files.has_free(process.file_limit())) {
        return Err(Errno::EMFILE);
    }
    let accepted = Socket::open(end_of(&file)?.accept(waits(&file, 0))?, flags);
    if name != 0 {
        let end = end_of(&accepted)?;
        write_name(&address(end.family, end.name_of_peer()), name, size)?;
    }
    insert(caller, accepted, flags)
}

#[inline(never)]
pub fn connect(caller: &mut Caller<'_>, fd: Fd, name: u64, size: i32) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    let end = end_of(&file)?;
    end.connect(&read_name(name, size)?, &context(caller), effective(caller), waits(&file, 0))?;
    Ok(0)
}

#[inline(never)]
pub fn shutdown(caller: &mut Caller<'_>, fd: Fd, how: u32) -> SyscallResult {
    end_of(&*socket_file(caller, fd)?)?.shut_down(how)?;
    Ok(0)
}

#[inline(never)]
pub fn getsockname(caller: &mut Caller<'_>, fd: Fd, name: u64, size: UserOut<i32>) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    let end = end_of(&file)?;
    write_name(&address(end.family, end.own_name()), name, size)?;
    Ok(0)
}

#[inline(never)]
pub fn getpeername(caller: &mut Caller<'_>, fd: Fd, name: u64, size: UserOut<i32>) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    let end = end_of(&file)?;
    if !end.has_peer() {
        return Err(Errno::ENOTCONN);
    }
    write_name(&address(end.family, end.name_of_peer()), name, size)?;
    Ok(0)
}

#[inline(never)]
pub fn sendto(
    caller: &mut Caller<'_>,
    fd: Fd,
    buffer: UserIn<u8>,
    len: usize,
    flags: u32,
    name: u64,
    size: i32,
) -> SyscallResult {
    let len = check(buffer.0, len.min(MAX_TRANSFER))?;
    let file = socket_file(caller, fd)?;
    let name = read_name(name, if name == 0 { 0 } else { size })?;
    send(caller, &file, UserRange::new(buffer.0, len), &name, Outgoing { flags, ..Outgoing::default() })
}

#[inline(never)]
pub fn sendmsg(caller: &mut Caller<'_>, fd: Fd, message: UserIn<Msghdr>, flags: u32) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    send_one(caller, &file, message, flags)
}

#[inline(never)]
pub fn sendmmsg(caller: &mut Caller<'_>, fd: Fd, messages: u64, count: u32, flags: u32) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    each_message(messages, count, |at, _| send_one(caller, &file, UserIn::at(at), flags))
}

fn send_one(caller: &Caller<'_>, file: &File, message: UserIn<Msghdr>, flags: u32) -> SyscallResult {
    let message = message.read()?;
    let name = read_name(message.msg_name, name_size(&message)?)?;
    let range = pieces(&message)?;
    let control = control::read(caller, &message)?;
    send(
        caller,
        file,
        range,
        &name,
        Outgoing { to: None, flags, credentials: control.credentials, files: control.files },
    )
}

fn send(caller: &Caller<'_>, file: &File, mut range: UserRange, name: &[u8], what: Outgoing<'_>) -> SyscallResult {
    let end = end_of(file)?;
    let waits = waits(file, what.flags);
    // An address of no bytes is none; packets over a connection need none.
    if name.is_empty() || end.kind == Kind::Packets {
        return end.send(&mut range, waits, what).map(|count| count as u64);
    }
    let context = context(caller);
    let what = Outgoing { to: Some((name, &context)), ..what };
    end.send(&mut range, waits, what).map(|count| count as u64)
}

#[inline(never)]
pub fn recvfrom(
    caller: &mut Caller<'_>,
    fd: Fd,
    buffer: UserOut<u8>,
    len: usize,
    flags: u32,
    name: u64,
    size: UserOut<i32>,
) -> SyscallResult {
    let mut range = UserRange::new(buffer.0, check(buffer.0, len.min(MAX_TRANSFER))?);
    let file = socket_file(caller, fd)?;
    let end = end_of(&file)?;
    let mut taken = Taken::default();
    let count = end.receive(&mut range, flags, waits(&file, flags), &mut taken)?;
    // Descriptors that nobody asked for are closed.
    drop(taken.take_files());
    if name != 0 {
        write_name(&sender(end, &taken), name, size)?;
    }
    Ok(result(end, count, &taken, flags) as u64)
}

#[inline(never)]
pub fn recvmsg(caller: &mut Caller<'_>, fd: Fd, message: UserOut<Msghdr>, flags: u32) -> SyscallResult {
    let file = socket_file(caller, fd)?;
    receive_one(caller, &file, message, flags)
}

/// The time limit is looked at after each message, as Linux does.
#[inline(never)]
pub fn recvmmsg(
    caller: &mut Caller<'_>,
    fd: Fd,
    messages: u64,
    count: u32,
    flags: u32,
    timeout: UserOut<Timespec>,
) -> SyscallResult {
    let deadline = read_timespec(timeout)?.map(|limit| time::now() + limit);
    let file = socket_file(caller, fd)?;
    let received = each_message(messages, count, |at, done| {
        if done > 0 && deadline.is_some_and(|deadline| time::now() >= deadline) {
            return Err(Errno::EAGAIN);
        }
        let flags = if done > 0 && flags & MSG_WAITFORONE != 0 { flags | MSG_DONTWAIT } else { flags };
        receive_one(caller, &file, UserOut::at(at), flags & !MSG_WAITFORONE)
    });
    if let Some(deadline) = deadline {
        let _ = timeout.write(&Timespec::from(deadline - time::now()));
    }
    received
}

fn receive_one(caller: &Caller<'_>, file: &Arc<File>, at: UserOut<Msghdr>, flags: u32) -> SyscallResult {
    let end = end_of(file)?;
    let message = UserIn::<Msghdr>::at(at.0).read()?;
    name_size(&message)?;
    let mut range = pieces(&message)?;
    let mut taken = Taken::default();
    let count = end.receive(&mut range, flags, waits(file, flags), &mut taken)?;
    let mut room = Room::new(message.msg_control, message.msg_controllen);
    if end.options.is_on(PASS_CREDENTIALS) {
        room.put_credentials(&taken.mark.credentials.unwrap_or(UNKNOWN))?;
    }
    let files = taken.take_files();
    if !files.is_empty() {
        room.put_files(caller, files, flags & MSG_CMSG_CLOEXEC != 0)?;
    }
    let mut out = Msghdr { msg_controllen: room.used as u64, ..message };
    if message.msg_name != 0 {
        let name = sender(end, &taken);
        let len = name.len().min(message.msg_namelen as usize);
        copy::write(message.msg_name, &name[..len]).map_err(|_| Errno::EFAULT)?;
        out.msg_namelen = name.len() as i32;
    }
    let truncated = if end.kind != Kind::Stream && taken.len > count { MSG_TRUNC } else { 0 };
    out.msg_flags = room.flags | truncated | flags & MSG_CMSG_CLOEXEC;
    at.write(&out)?;
    Ok(result(end, count, &taken, flags) as u64)
}

/// What a receiving call gives: with MSG_TRUNC the whole length of a packet.
fn result(end: &End, count: usize, taken: &Taken, flags: u32) -> usize {
    if flags & MSG_TRUNC != 0 && end.kind != Kind::Stream { taken.len } else { count }
}

/// Calls `one` with the address of each of `count` messages and its number, and writes the bytes that were moved. An error
/// only for the first.
fn each_message(messages: u64, count: u32, mut one: impl FnMut(u64, usize) -> SyscallResult) -> SyscallResult {
    let mut done = 0;
    while done < (count as usize).min(MAX_VECTORS) {
        let at = messages.wrapping_add((done * Mmsghdr::SIZE) as u64);
        let moved = one(at, done).and_then(|moved| {
            let place = at.wrapping_add(core::mem::offset_of!(Mmsghdr, msg_len) as u64);
            UserOut::<u32>::at(place).write(&(moved as u32))
        });
        match moved {
            Ok(()) => done += 1,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done as u64)
}

/// The open file of a descriptor, which must be a socket.
#[inline(never)] // as are what follows and is used in many calls: they are not worth their copies
pub(super) fn socket_file(caller: &Caller<'_>, fd: Fd) -> Result<Arc<File>, Errno> {
    let file = fd.file(caller.thread)?;
    end_of(&file)?;
    Ok(file)
}

/// The socket that a file is.
#[inline(never)]
pub(super) fn end_of(file: &File) -> Result<&Arc<End>, Errno> {
    Ok(&socket_of(file)?.end)
}

/// Whether a call on `file` with these `MSG_*` flags waits.
fn waits(file: &File, flags: u32) -> bool {
    file.flags() & O_NONBLOCK == 0 && flags & MSG_DONTWAIT == 0
}

/// Whose rights the caller has.
#[inline(never)]
fn effective(caller: &Caller<'_>) -> Ucred {
    let process = caller.thread.process();
    let credentials = process.credentials();
    Ucred { pid: process.pid(), uid: credentials.user.effective, gid: credentials.group.effective }
}

/// The pieces of memory of a message.
#[inline(never)]
fn pieces(message: &Msghdr) -> Result<UserRange, Errno> {
    let count = usize::try_from(message.msg_iovlen).ok().filter(|&count| count <= MAX_VECTORS);
    Ok(UserRange::vectored(read_vectors(message.msg_iov, count.ok_or(Errno::EMSGSIZE)?)?))
}

/// Bytes of a message's address: as many as there may be, if more are given.
fn name_size(message: &Msghdr) -> Result<i32, Errno> {
    match message.msg_namelen {
        _ if message.msg_name == 0 => Ok(0),
        ..0 => Err(Errno::EINVAL),
        size => Ok(size.min(ADDRESS_MAX as i32)),
    }
}

/// The `size` bytes of an address; EINVAL if there are too many.
#[inline(never)]
fn read_name(at: u64, size: i32) -> Result<Written, Errno> {
    let mut name = Written { bytes: [0; ADDRESS_MAX], len: usize::try_from(size).map_err(|_| Errno::EINVAL)? };
    let bytes = name.bytes.get_mut(..name.len).ok_or(Errno::EINVAL)?;
    copy::read(at, bytes).map_err(|_| Errno::EFAULT)?;
    Ok(name)
}

/// From where and as whom the caller walks paths.
#[inline(never)]
fn context(caller: &Caller<'_>) -> Arc<FsContext> {
    caller.thread.process().fs_context()
}

/// An address as programs have it: the family, and a name if there is one.
struct Written {
    bytes: [u8; ADDRESS_MAX],
    len: usize,
}

impl core::ops::Deref for Written {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[inline(never)]
fn address(family: Family, name: Option<Name>) -> Written {
    let mut written = Written { bytes: [0; ADDRESS_MAX], len: PATH_OFFSET };
    let number = if family == Family::Inet { AF_INET } else { AF_UNIX };
    written.bytes[..PATH_OFFSET].copy_from_slice(&(number as u16).to_le_bytes());
    match name {
        Some(Name::Inet(at)) => {
            SockaddrIn::new(at.host, at.port).write_bytes(&mut written.bytes);
            written.len = SockaddrIn::SIZE;
        }
        Some(Name::Unix(path)) => {
            // A name has at most 109 bytes, with the zero at its end.
            written.len += path.len();
            written.bytes[PATH_OFFSET..written.len].copy_from_slice(&path);
        }
        None => {}
    }
    written
}

/// The address of who sent what was received; nothing if that has none.
fn sender(end: &End, taken: &Taken) -> Written {
    match end.sender_of(taken) {
        Some(name) => address(end.family, Some(name)),
        None => Written { bytes: [0; ADDRESS_MAX], len: 0 },
    }
}

/// Writes as much of an address as there is room for, and how long it is.
#[inline(never)]
fn write_name(name: &[u8], at: u64, size: UserOut<i32>) -> Result<(), Errno> {
    let room = usize::try_from(UserIn::<i32>::at(size.0).read()?).map_err(|_| Errno::EINVAL)?;
    let part = &name[..name.len().min(room)];
    if !part.is_empty() {
        copy::write(at, part).map_err(|_| Errno::EFAULT)?;
    }
    size.write(&(name.len() as i32))
}
