//! Sending: into the inbox of the other side.

use super::bound;
use super::end::{CLOSED, End, Kind, Phase, RECEIVE, SEND, sleep};
use super::inbox::Mark;
use super::name::Address;
use super::options::PASS_CREDENTIALS;
use super::passed::Passed;
use super::transit;
use crate::ipc::break_pipe;
use crate::process;
use crate::vfs::{File, FsContext, Result, Source};
use abi::Errno;
use abi::capability::{CAP_SYS_ADMIN, CAP_SYS_RESOURCE};
use abi::socket::{MSG_NOSIGNAL, MSG_OOB, Ucred};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What is said about bytes that are sent.
#[derive(Default)]
pub struct Outgoing<'a> {
    /// Where to, and who walks there; None: to the other side.
    pub to: Option<(Address<'a>, &'a FsContext)>,
    /// `MSG_*`.
    pub flags: u32,
    /// As whom, if that is said.
    pub credentials: Option<Ucred>,
    /// Files that go along.
    pub files: Vec<Arc<File>>,
}

/// Who sends, when that matters.
struct Sender {
    mark: Mark,
    /// Most files of one user under way.
    most_files: usize,
}

impl End {
    /// Sends what `source` has: how many bytes. What sendmsg(2) and unix(7) list: EAGAIN, ECONNREFUSED, EISCONN, EMSGSIZE,
    /// ENOBUFS, ENOTCONN, EOPNOTSUPP, EPIPE, ETOOMANYREFS, EPERM, EPROTOTYPE, EFAULT, EINTR.
    pub fn send(self: &Arc<End>, source: &mut dyn Source, waits: bool, what: Outgoing<'_>) -> Result<usize> {
        if what.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if self.kind != Kind::Stream {
            return self.send_packet(source, waits, what);
        }
        if what.to.is_some() {
            let connected = self.phase() == Phase::Connected;
            return Err(if connected { Errno::EISCONN } else { Errno::EOPNOTSUPP });
        }
        let peer = self.peer().ok_or(Errno::ENOTCONN)?;
        let signals = what.flags & MSG_NOSIGNAL == 0;
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
        if done > 0 {
            return Ok(done);
        }
        if result == Err(Errno::EPIPE) && signals {
            break_pipe();
        }
        result.map(|()| 0)
    }

    fn send_packet(self: &Arc<End>, source: &mut dyn Source, waits: bool, what: Outgoing<'_>) -> Result<usize> {
        let peer = if self.kind == Kind::Packets {
            if self.phase() != Phase::Connected {
                return Err(Errno::ENOTCONN);
            }
            None
        } else {
            what.to.map(|(address, context)| bound::find(address, context, self.kind)).transpose()?
        };
        let by_address = peer.is_some();
        let peer = peer.or_else(|| self.peer()).ok_or(Errno::ENOTCONN)?;
        if self.kind == Kind::Datagram && self.options.is_on(PASS_CREDENTIALS) {
            bound::bind_any(self)?;
        }
        let len = source.remaining();
        if len > self.options.send_buffer() as usize - 32 {
            return Err(Errno::EMSGSIZE);
        }
        if self.kind == Kind::Datagram && !peer.takes_from(self) {
            return Err(Errno::EPERM);
        }
        if let Some(error) = self.take_error() {
            return Err(error);
        }
        let mut sender = self.sender(&peer, what);
        let result = self.put(&peer, source, len, waits, &mut sender);
        if result == Err(Errno::ECONNREFUSED) && !by_address {
            self.disconnect(Some(&peer));
        }
        result
    }

    /// Whether datagrams of `other` are taken: who is connected takes those of its other side alone.
    pub fn takes_from(&self, other: &End) -> bool {
        let state = self.state.lock();
        state.peer.as_ref().is_none_or(|peer| core::ptr::eq(&**peer, other))
    }

    /// A datagram socket is connected no more; if `only` is given, only if it is connected to that. What it has not
    /// received is lost, and the other side is told if it is connected back.
    pub fn disconnect(&self, only: Option<&Arc<End>>) {
        let old = {
            let mut state = self.state.lock();
            state.peer.take_if(|peer| only.is_none_or(|only| Arc::ptr_eq(only, peer)))
        };
        if let Some(old) = old {
            End::forget_sender(&old, self);
            transit::discard(self);
            transit::settle();
            self.tell_senders();
            if old.shut() & CLOSED == 0 && old.is_peer(self) {
                old.set_error(Errno::ECONNRESET);
                old.stir();
            }
        }
    }

    /// What goes with the bytes.
    fn sender(&self, peer: &End, what: Outgoing<'_>) -> Sender {
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
        sender.mark.passed = Passed::new(what.files, credentials.user.real);
        sender
    }

    /// Puts a packet of `len` bytes, or as much of a stream as there is room for, into the inbox of `peer`.
    fn put(&self, peer: &End, source: &mut dyn Source, len: usize, waits: bool, sender: &mut Sender) -> Result<usize> {
        let limit = self.options.send_buffer() as usize;
        let stream = self.kind == Kind::Stream;
        let mut deadline = None;
        loop {
            if self.shut() & SEND != 0 {
                return Err(Errno::EPIPE);
            }
            if stream && len == 0 {
                return Ok(0);
            }
            let mutual = peer.is_mutual(self);
            let least = if stream { 1 } else { len };
            {
                let mut traffic = sender.mark.passed.is_some().then(transit::lock);
                let mut inbox = peer.inbox.lock();
                match peer.shut() {
                    shut if shut & CLOSED != 0 && self.kind == Kind::Datagram => return Err(Errno::ECONNREFUSED),
                    shut if shut & RECEIVE != 0 => return Err(Errno::EPIPE),
                    _ => {}
                }
                if peer.has_room(least, limit, mutual) {
                    if let (Some(traffic), Some(passed)) = (&mut traffic, &sender.mark.passed) {
                        traffic.check(passed, sender.most_files)?;
                        traffic.enter(passed);
                    }
                    let most = if stream { len.min(limit - peer.used()) } else { len };
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
            let due = || peer.has_room(least, limit, mutual) || peer.shut() & RECEIVE != 0 || self.shut() & SEND != 0;
            sleep(&peer.room, deadline, &due)?;
        }
    }
}
