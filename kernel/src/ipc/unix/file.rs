//! A socket as an open file: reading, writing, polling, and its end, which is told to the other side.

use super::end::{BOTH, CLOSED, End, Kind, Phase, RECEIVE, SEND, wake};
use super::inbox::Taken;
use super::send::Outgoing;
use super::socket::Socket;
use super::{bound, transit};
use crate::ipc::next_inode_number;
use crate::process;
use crate::vfs::{File, FileOperations, Result, Sink, Source, flags};
use abi::Errno;
use abi::socket::{SHUT_RD, SHUT_RDWR, SHUT_WR, Ucred};
use abi::termios::{FIONREAD, TIOCOUTQ};
use alloc::sync::Arc;
use machine::sync::WaitQueue;
use machine::user::value;

impl Socket {
    /// The open file of an end that has none. `file_flags` may hold `O_NONBLOCK`.
    pub fn open(end: Arc<End>, file_flags: u32) -> Arc<File> {
        let owner = process::current_thread().map_or((0, 0), |thread| {
            let credentials = thread.process().credentials();
            (credentials.user.file, credentials.group.file)
        });
        let socket = Socket { end, inode_number: next_inode_number(), owner };
        File::new_device(Arc::new(socket), file_flags & flags::O_NONBLOCK | flags::O_RDWR)
    }

    /// A new socket; ENOMEM.
    pub fn create(kind: Kind, file_flags: u32) -> Result<Arc<File>> {
        Ok(Self::open(Arc::new(End::new(kind)?), file_flags))
    }

    /// Two new sockets that are connected to each other, made by `maker`.
    pub fn create_pair(kind: Kind, file_flags: u32, maker: Ucred) -> Result<[Arc<File>; 2]> {
        let ends = [Arc::new(End::new(kind)?), Arc::new(End::new(kind)?)];
        for at in 0..2 {
            let (end, other) = (&ends[at], &ends[1 - at]);
            end.set_peer(other, maker);
            match kind {
                Kind::Datagram => end.add_sender(other)?,
                _ => end.set_phase(Phase::Connected),
            }
        }
        Ok(ends.map(|end| Self::open(end, file_flags)))
    }
}

impl End {
    /// Ends receiving, sending, or both, here and on the other side of a connection; EINVAL.
    pub fn shut_down(&self, how: u32) -> Result<()> {
        let (ways, others) = match how {
            SHUT_RD => (RECEIVE, SEND),
            SHUT_WR => (SEND, RECEIVE),
            SHUT_RDWR => (BOTH, BOTH),
            _ => return Err(Errno::EINVAL),
        };
        self.add_shut(ways);
        self.stir();
        if let Some(peer) = self.peer().filter(|_| self.kind != Kind::Datagram) {
            peer.add_shut(others);
            peer.stir();
        }
        Ok(())
    }
}

/// The file of this end has ended, or nobody has accepted the connection that it is for.
fn close(end: &End, accepted: bool) {
    bound::forget(end);
    {
        let _nothing_goes_in_any_more = end.inbox.lock();
        end.add_shut(BOTH | CLOSED);
    }
    let unread = transit::discard(end);
    let (peer, place, backlog, senders) = {
        let mut state = end.state.lock();
        let backlog = core::mem::take(&mut state.backlog);
        (state.peer.take(), state.place.take(), backlog, core::mem::take(&mut state.senders))
    };
    match &peer {
        Some(peer) if end.kind == Kind::Datagram => End::forget_sender(peer, end),
        Some(peer) => {
            if unread || !accepted {
                peer.set_error(Errno::ECONNRESET);
            }
            peer.add_shut(BOTH);
            peer.stir();
        }
        None => {}
    }
    backlog.iter().for_each(|waiting| close(waiting, false));
    senders.iter().filter_map(|sender| sender.upgrade()).for_each(|sender| wake(&sender.writable));
    end.stir();
    drop((peer, place));
}

impl Drop for Socket {
    fn drop(&mut self) {
        close(&self.end, true);
        transit::settle();
    }
}

impl FileOperations for Socket {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        self.end.receive(sink, 0, file_flags & flags::O_NONBLOCK == 0, &mut Taken::default())
    }

    fn write(&self, _: u64, file_flags: u32, source: &mut dyn Source) -> Result<usize> {
        self.end.send(source, file_flags & flags::O_NONBLOCK == 0, Outgoing::default())
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        let count = match command {
            FIONREAD if self.end.phase() == Phase::Listening => return Err(Errno::EINVAL),
            FIONREAD if self.end.kind == Kind::Datagram => self.end.inbox.lock().first_len(),
            FIONREAD => self.end.bytes(),
            TIOCOUTQ => self.end.peer().map_or(0, |peer| peer.used()),
            _ => return Err(Errno::ENOTTY),
        };
        value::put(argument, &(count as i32))?;
        Ok(0)
    }

    fn poll(&self) -> u32 {
        self.end.poll()
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.end.readable), Some(&self.end.writable)]
    }

    fn link_name(&self) -> &'static str {
        "socket:"
    }

    fn mode(&self) -> u32 {
        flags::S_IFSOCK | 0o777
    }

    fn owner(&self) -> (u32, u32) {
        self.owner
    }

    fn inode_number(&self) -> u64 {
        self.inode_number
    }
}
