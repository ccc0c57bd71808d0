//! Sending: into the inbox of the other side.

use super::end::{CLOSED, End, Kind, Phase, SEND, sleep};
use super::inbox::Mark;
use super::options::PASS_CREDENTIALS;
use super::passed::Passed;
use super::transit;
use crate::ipc::break_pipe;
use crate::process;
use crate::vfs::{File, FsContext, Result, Source};
use abi::Errno;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYS_RESOURCE};
use abi::socket::{MSG_NOSIGNAL, Ucred};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What is said about bytes that are sent.
#[derive(Default)]
pub struct Outgoing<'a> {
    /// Where to, and who walks there; None: to the other side.
    pub to: Option<(&'a [u8], &'a FsContext)>,
    /// `MSG_*`.
    pub flags: u32,
    /// As whom, if that is said.
    pub credentials: Option<Ucred>,
    /// Files that go along.
    pub files: Vec<Arc<File>>,
}

/// Who sends, when that matters.
pub struct Sender {
    /// What goes with the bytes.
    pub mark: Mark,
    /// Most files of one user under way.
    most_files: usize,
}

impl End {
    /// Sends what `source` has over a connection: how many bytes. EAGAIN, EPIPE, ENOTCONN, what the connection has come to, and
    /// EFAULT, EINTR; of AF_UNIX ENOBUFS, ETOOMANYREFS.
    pub fn send_stream(
        self: &Arc<End>,
        source: &mut dyn Source,
        waits: bool,
        what: &mut Outgoing<'_>,
    ) -> Result<usize> {
        let signals = what.flags & MSG_NOSIGNAL == 0;
        let result = self.send_bytes(source, waits, what);
        if result == Err(Errno::EPIPE) && signals {
            break_pipe();
        }
        result
    }

    #[inline(always)] // as it is called once
    fn send_bytes(self: &Arc<End>, source: &mut dyn Source, waits: bool, what: &mut Outgoing<'_>) -> Result<usize> {
        if self.is_tcp() {
            self.is_made(waits)?;
            // Files and credentials go nowhere by it, as on Linux.
            (what.files, what.credentials) = (Vec::new(), None);
        }
        let peer = self.peer().ok_or(if self.is_tcp() { Errno::EPIPE } else { Errno::ENOTCONN })?;
        let mut sender = self.sender(&peer, what);
        let (total, mut done) = (source.remaining(), 0);
        let result = loop {
            match self.put(&peer, source, total - done, waits, &mut sender) {
                Ok(moved) => {
                    done += moved;
                    if done == total {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
        };
        if done > 0 { Ok(done) } else { result.map(|()| 0) }
    }

    /// A connection of TCP must stand, or is waited for; EAGAIN, EPIPE, and what it has come to.
    fn is_made(&self, waits: bool) -> Result<()> {
        if self.phase() == Phase::Connecting {
            if !waits {
                return Err(Errno::EAGAIN);
            }
            sleep(&self.writable, self.options.deadline(true), &|| self.phase() != Phase::Connecting)?;
        }
        match self.take_error() {
            Some(error) => Err(error),
            None if self.phase() == Phase::Connected => Ok(()),
            None => Err(Errno::EPIPE),
        }
    }

    /// What goes with the bytes.
    pub fn sender(&self, peer: &End, what: &mut Outgoing<'_>) -> Sender {
        let wanted = self.options.is_on(PASS_CREDENTIALS) || peer.options.is_on(PASS_CREDENTIALS);
        let mut sender = Sender { mark: Mark::default(), most_files: usize::MAX };
        if self.kind == Kind::Datagram {
            sender.mark.from = self.name();
        }
        sender.mark.credentials = what.credentials;
        if !wanted && what.files.is_empty() {
            return sender;
        }
        let Some(thread) = process::current_thread() else { return sender };
        let (process, credentials) = (thread.process(), thread.process().credentials());
        if wanted && what.credentials.is_none() {
            let (uid, gid) = (credentials.user.real, credentials.group.real);
            sender.mark.credentials = Some(Ucred { pid: process.pid(), uid, gid });
        }
        if !credentials.has(CAP_SYS_RESOURCE) && !credentials.has(CAP_SYS_ADMIN) {
            sender.most_files = process.file_limit();
        }
        sender.mark.passed = Passed::new(core::mem::take(&mut what.files), credentials.user.real);
        sender
    }

    /// Puts a packet of `len` bytes, or as much of a stream as there is room for, into the inbox of `peer`.
    pub fn put(
        &self,
        peer: &End,
        source: &mut dyn Source,
        len: usize,
        waits: bool,
        sender: &mut Sender,
    ) -> Result<usize> {
        let stream = self.kind == Kind::Stream;
        let mut deadline = None;
        loop {
            let limit = self.most_under_way(peer);
            if self.shut() & SEND != 0 {
                let reset = if self.is_tcp() { self.take_error() } else { None };
                return Err(reset.unwrap_or(Errno::EPIPE));
            }
            if stream && len == 0 {
                return Ok(0);
            }
            let mutual = peer.is_mutual(self);
            let least = if stream { 1 } else { len };
            {
                let mut traffic = sender.mark.passed.is_some().then(transit::lock);
                let mut inbox = peer.inbox.lock();
                if peer.takes_nothing() {
                    drop(inbox);
                    return self.meet_end(peer, len);
                }
                // Looked at again: who has been reset puts nothing into what may be the inbox of another connection by now.
                if self.shut() & SEND != 0 {
                    continue;
                }
                if self.is_tcp() && !self.is_peer(peer) {
                    return Err(self.take_error().unwrap_or(Errno::EPIPE));
                }
                if peer.has_room(least, limit, mutual) {
                    if let (Some(traffic), Some(passed)) = (&mut traffic, &sender.mark.passed) {
                        traffic.check(passed, sender.most_files)?;
                        traffic.enter(passed);
                    }
                    let most = if stream { len.min(limit.saturating_sub(peer.used()).max(1)) } else { len };
                    let result = inbox.put(source, most, !stream, &mut sender.mark);
                    if let (Some(traffic), Some(passed)) = (&mut traffic, &sender.mark.passed) {
                        // It has not gone in.
                        traffic.leave(passed);
                    }
                    peer.note(&inbox);
                    drop(inbox);
                    drop(traffic);
                    if result.is_ok() {
                        peer.readable.wake_one();
                    }
                    return result;
                }
            }
            if !waits {
                return Err(Errno::EAGAIN);
            }
            deadline = deadline.or_else(|| self.options.deadline(true));
            let gone = || self.is_tcp() && !self.is_peer(peer);
            let has_room = || peer.has_room(least, self.most_under_way(peer), mutual);
            sleep(&peer.room, deadline, &|| has_room() || peer.takes_nothing() || self.shut() & SEND != 0 || gone())?;
            if gone() {
                return Err(self.take_error().unwrap_or(Errno::EPIPE));
            }
        }
    }

    /// What sending `len` bytes comes to when `peer` takes nothing any more. Of TCP that is learnt by sending.
    fn meet_end(&self, peer: &End, len: usize) -> Result<usize> {
        if self.is_tcp() {
            self.be_reset(peer);
            return Ok(len);
        }
        let closed = self.kind == Kind::Datagram && peer.shut() & CLOSED != 0;
        Err(if closed { Errno::ECONNREFUSED } else { Errno::EPIPE })
    }
}
