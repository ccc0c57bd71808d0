//! Control messages of sendmsg(2) and recvmsg(2): descriptors and credentials (unix(7), cmsg(3)).

use super::Caller;
use super::argument::{Fd, UserIn, UserOut};
use crate::process::{find, table};
use crate::vfs::File;
use abi::Errno;
use abi::capability::{CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN};
use abi::pod::Pod;
use abi::socket::{
    Cmsghdr, MSG_CTRUNC, Msghdr, SCM_CREDENTIALS, SCM_MAX_FD, SCM_RIGHTS, SOL_SOCKET, Ucred, control_space,
};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Most bytes of control messages that are taken (`optmem_max`).
const MOST_BYTES: u64 = 20480;

/// What the control messages of one message say.
#[derive(Default)]
pub struct Control {
    /// Files to be passed.
    pub files: Vec<Arc<File>>,
    /// As whom.
    pub credentials: Option<Ucred>,
}

/// Reads those of a message that is sent. EBADF, EINVAL, ENOBUFS, EPERM, ESRCH, EFAULT.
pub fn read(caller: &Caller<'_>, message: &Msghdr) -> Result<Control, Errno> {
    let mut control = Control::default();
    let (start, len) = (message.msg_control, message.msg_controllen);
    if len > MOST_BYTES {
        return Err(Errno::ENOBUFS);
    }
    let mut done = 0;
    while start != 0 && done + Cmsghdr::SIZE as u64 <= len {
        let head = UserIn::<Cmsghdr>::at(start.wrapping_add(done)).read()?;
        if head.cmsg_len < Cmsghdr::SIZE as u64 || head.cmsg_len > len - done {
            return Err(Errno::EINVAL);
        }
        let (data, size) = (start.wrapping_add(done + Cmsghdr::SIZE as u64), head.cmsg_len as usize - Cmsghdr::SIZE);
        match (head.cmsg_level as u32, head.cmsg_type as u32) {
            (SOL_SOCKET, SCM_RIGHTS) => read_files(caller, data, size / size_of::<i32>(), &mut control.files)?,
            (SOL_SOCKET, SCM_CREDENTIALS) if size == Ucred::SIZE => {
                let given = UserIn::<Ucred>::at(data).read()?;
                check(caller, &given)?;
                control.credentials = Some(given);
            }
            (SOL_SOCKET, _) => return Err(Errno::EINVAL),
            _ => {}
        }
        done += control_space(head.cmsg_len as usize) as u64;
    }
    Ok(control)
}

fn read_files(caller: &Caller<'_>, at: u64, count: usize, files: &mut Vec<Arc<File>>) -> Result<(), Errno> {
    if count > SCM_MAX_FD - files.len() {
        return Err(Errno::EINVAL);
    }
    files.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    for index in 0..count as u64 {
        let fd = UserIn::<i32>::at(at.wrapping_add(4 * index)).read()?;
        files.push(Fd(fd).file(caller.thread)?);
    }
    Ok(())
}

/// Whether the caller may say that it is this one: EPERM, ESRCH.
fn check(caller: &Caller<'_>, given: &Ucred) -> Result<(), Errno> {
    let process = caller.thread.process();
    let credentials = process.credentials();
    let (user, group) = (credentials.user, credentials.group);
    let is_user = [user.real, user.effective, user.saved].contains(&given.uid) || credentials.has(CAP_SETUID);
    let is_group = [group.real, group.effective, group.saved].contains(&given.gid) || credentials.has(CAP_SETGID);
    let is_process = given.pid == process.pid() || credentials.has(CAP_SYS_ADMIN);
    if !(is_user && is_group && is_process) {
        return Err(Errno::EPERM);
    }
    match find(given.pid).is_some() || table::find_thread(given.pid).is_some() {
        true => Ok(()),
        false => Err(Errno::ESRCH),
    }
}

/// Where control messages of a message that is received go.
pub struct Room {
    at: u64,
    left: usize,
    /// Bytes that have been written.
    pub used: usize,
    /// `MSG_CTRUNC` if there was more.
    pub flags: u32,
}

impl Room {
    /// `len` bytes at `at`.
    pub fn new(at: u64, len: u64) -> Room {
        let left = if at == 0 { 0 } else { usize::try_from(len).unwrap_or(0) };
        Room { at, left, used: 0, flags: 0 }
    }

    /// Tells who sent.
    pub fn put_credentials(&mut self, credentials: &Ucred) -> Result<(), Errno> {
        let room = self.left.saturating_sub(Cmsghdr::SIZE).min(Ucred::SIZE);
        if room < Ucred::SIZE {
            self.flags |= MSG_CTRUNC;
        }
        if self.left < Cmsghdr::SIZE {
            return Ok(());
        }
        let data = self.at.wrapping_add(Cmsghdr::SIZE as u64);
        credentials.with_bytes(|bytes| machine::user::copy::write(data, &bytes[..room]).map_err(|_| Errno::EFAULT))?;
        self.finish(SCM_CREDENTIALS, room)
    }

    /// Gives the files descriptors and tells these, as far as there is room. What finds none is closed.
    pub fn put_files(&mut self, caller: &Caller<'_>, files: Vec<Arc<File>>, close_on_exec: bool) -> Result<(), Errno> {
        let room = self.left.saturating_sub(Cmsghdr::SIZE) / size_of::<i32>();
        let (count, mut given) = (files.len(), 0);
        let process = caller.thread.process();
        for file in files.into_iter().take(room) {
            let Ok(fd) = process.add_file(file, close_on_exec) else { break };
            let place = self.at.wrapping_add((Cmsghdr::SIZE + given * size_of::<i32>()) as u64);
            if UserOut::<i32>::at(place).write(&fd).is_err() {
                let back = process.files.with(|files| files.remove(fd));
                drop(back);
                break;
            }
            given += 1;
        }
        if given < count {
            self.flags |= MSG_CTRUNC;
        }
        if given == 0 { Ok(()) } else { self.finish(SCM_RIGHTS, given * size_of::<i32>()) }
    }

    /// Writes the head of a message with `len` bytes of data.
    fn finish(&mut self, kind: u32, len: usize) -> Result<(), Errno> {
        let len = Cmsghdr::SIZE + len;
        let head = Cmsghdr { cmsg_len: len as u64, cmsg_level: SOL_SOCKET as i32, cmsg_type: kind as i32 };
        UserOut::<Cmsghdr>::at(self.at).write(&head)?;
        let taken = control_space(len).min(self.left);
        self.at = self.at.wrapping_add(taken as u64);
        self.left -= taken;
        self.used += taken;
        Ok(())
    }
}
