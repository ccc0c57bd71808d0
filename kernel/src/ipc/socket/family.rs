//! What system calls do by the family of a socket.

use super::end::{End, FINISHED, Family, Kind, Phase, SEND};
use super::inbox::Taken;
use super::name::{Endpoint, Name, asks_for_none};
use super::stream::Outgoing;
use super::{inet, unix};
use crate::vfs::{FsContext, Result, Source};
use abi::Errno;
use abi::inet::*;
use abi::socket::{MSG_MORE, MSG_OOB, SHUT_RD, Ucred};
use alloc::sync::Arc;

impl End {
    /// Gives it the name that `address` (`struct sockaddr`) is, or says to find; a node is made with the permissions `mode`. What
    /// bind(2) lists.
    pub fn bind(self: &Arc<End>, address: &[u8], context: &FsContext, mode: u32) -> Result<()> {
        match self.family {
            Family::Inet => inet::bind(self, inet::parse(address, |host| host == INADDR_ANY)?),
            Family::Unix if unix::asks_for_name(address) => unix::bind_any(self),
            Family::Unix => unix::bind(self, unix::parse(address)?, context, mode),
        }
    }

    /// Takes connections from now on. EOPNOTSUPP, EINVAL, EADDRINUSE.
    pub fn take_connections(self: &Arc<End>, backlog: u32, listener: Ucred) -> Result<()> {
        match (self.family, self.kind) {
            (_, Kind::Datagram) => Err(Errno::EOPNOTSUPP),
            (Family::Inet, _) => inet::listen(self, backlog, listener),
            (Family::Unix, _) => self.listen(backlog, listener),
        }
    }

    /// Connects it, or ends that. What connect(2) lists.
    pub fn connect(self: &Arc<End>, address: &[u8], context: &FsContext, caller: Ucred, waits: bool) -> Result<()> {
        let none = asks_for_none(address);
        match (self.family, self.kind) {
            (Family::Unix, Kind::Datagram) if none => self.disconnect(None),
            (Family::Unix, _) => self.connect_unix(unix::parse(address)?, context, caller, waits)?,
            (Family::Inet, Kind::Datagram) if none => self.disconnect_udp(),
            (Family::Inet, _) if none => {
                if self.phase() == Phase::Listening {
                    self.shut_down(SHUT_RD)?;
                }
                self.disconnect_tcp(None);
            }
            (Family::Inet, Kind::Datagram) => self.connect_udp(inet::parse(address, |_| false)?)?,
            (Family::Inet, _) => self.connect_tcp(inet::parse(address, |_| false)?, waits)?,
        }
        Ok(())
    }

    /// Sends what `source` has: how many bytes. What sendmsg(2) lists. An address of no bytes is none; to TCP it says nothing new.
    #[inline]
    pub fn send(self: &Arc<End>, source: &mut dyn Source, waits: bool, mut what: Outgoing<'_>) -> Result<usize> {
        if what.flags & MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        match (self.family, self.kind) {
            (Family::Unix, Kind::Stream) if what.to.is_some() => {
                Err(if self.phase() == Phase::Connected { Errno::EISCONN } else { Errno::EOPNOTSUPP })
            }
            (_, Kind::Stream) => self.send_stream(source, waits, &mut what),
            (Family::Unix, _) => self.send_packet(source, waits, &mut what),
            (Family::Inet, _) if what.flags & MSG_MORE != 0 => Err(Errno::EOPNOTSUPP),
            (Family::Inet, _) => {
                let to = what.to.map(|(address, _)| inet::parse(address, |_| true)).transpose()?;
                self.send_datagram(source, to)
            }
        }
    }

    /// What it is called; None for one of AF_UNIX that has no name.
    pub fn own_name(&self) -> Option<Name> {
        self.name().or((self.family == Family::Inet).then_some(Name::Inet(Endpoint::NONE)))
    }

    /// What the other side is called, if that has a name.
    pub fn name_of_peer(&self) -> Option<Name> {
        match self.family {
            Family::Inet => self.state.lock().remote.map(Name::Inet),
            Family::Unix => self.peer()?.name(),
        }
    }

    /// How far a connection is, as TCP_INFO and `/proc/net/tcp` have it.
    pub fn tcp_state(&self) -> u8 {
        match (self.phase(), self.shut()) {
            (Phase::Connected, _) if self.is_over() => TCP_CLOSE,
            (Phase::Connected, shut) if shut & FINISHED != 0 => TCP_CLOSE_WAIT,
            (Phase::Connected, shut) if shut & SEND != 0 => TCP_FIN_WAIT2,
            (Phase::Connected, _) => TCP_ESTABLISHED,
            (Phase::Connecting, _) => TCP_SYN_SENT,
            (Phase::Listening, _) => TCP_LISTEN,
            (Phase::Idle, _) => TCP_CLOSE,
        }
    }

    /// Whether there is another side.
    pub fn has_peer(&self) -> bool {
        let connecting = self.phase() == Phase::Connecting;
        match self.family {
            Family::Inet => !self.is_over() && !connecting && self.state.lock().remote.is_some(),
            Family::Unix => !connecting && self.peer().is_some(),
        }
    }

    /// What is called who sent what was received, if it has a name.
    pub fn sender_of(&self, taken: &Taken) -> Option<Name> {
        match self.kind {
            Kind::Datagram => taken.mark.from.clone(),
            // Who reads a stream knows where it comes from.
            Kind::Stream if self.family == Family::Inet => None,
            _ => self.name_of_peer(),
        }
    }
}
