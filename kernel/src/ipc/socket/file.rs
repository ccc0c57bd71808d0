//! A socket as an open file: reading, writing, polling.

use super::close::close;
use super::descriptor::Socket;
use super::end::{End, Family, Kind, Phase};
use super::inbox::Taken;
use super::stream::Outgoing;
use super::{inet, transit};
use crate::ipc::next_inode_number;
use crate::process;
use crate::vfs::{File, FileOperations, Result, Sink, Source, flags};
use abi::Errno;
use abi::socket::Ucred;
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
    pub fn create(family: Family, kind: Kind, file_flags: u32) -> Result<Arc<File>> {
        Ok(Self::open(Arc::new(End::new(family, kind)?), file_flags))
    }

    /// Two new sockets of AF_UNIX that are connected to each other, made by `maker`.
    pub fn create_pair(kind: Kind, file_flags: u32, maker: Ucred) -> Result<[Arc<File>; 2]> {
        let ends = [Arc::new(End::new(Family::Unix, kind)?), Arc::new(End::new(Family::Unix, kind)?)];
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
            TIOCOUTQ if self.end.is_tcp() => self.end.unreceived(),
            TIOCOUTQ => self.end.peer().map_or(0, |peer| peer.used()),
            _ => return inet::interfaces::ioctl(command, argument),
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
