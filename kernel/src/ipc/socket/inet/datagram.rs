//! UDP within this machine. A datagram goes into the receiver's inbox, or is lost, as datagrams are: where nobody has the port,
//! and where SO_RCVBUF is full.

use super::super::end::{CLOSED, End, Kind, SEND};
use super::super::inbox::Mark;
use super::super::name::{Endpoint, Name};
use super::super::options::BROADCAST;
use super::ports;
use crate::vfs::{Result, Source};
use abi::Errno;
use abi::inet::INADDR_BROADCAST;
use alloc::sync::Arc;

/// Most bytes of a datagram: those of a packet without its two headers.
const MOST_BYTES: usize = 65535 - 20 - 8;

impl End {
    /// Sends a datagram to `to`, or to whom it is connected: its bytes. EACCES, EDESTADDRREQ, EINVAL, EMSGSIZE, ENETUNREACH, EPIPE,
    /// EADDRNOTAVAIL, ENOBUFS, EFAULT, and what the last one has come to: ECONNREFUSED.
    pub fn send_datagram(self: &Arc<End>, source: &mut dyn Source, to: Option<Endpoint>) -> Result<usize> {
        let remote = self.state.lock().remote;
        let to = to.or(remote).ok_or(Errno::EDESTADDRREQ)?.here();
        let len = source.remaining();
        if len > MOST_BYTES {
            return Err(Errno::EMSGSIZE);
        }
        if to.port == 0 {
            return Err(Errno::EINVAL);
        }
        self.reaches(to)?;
        if let Some(error) = self.take_error() {
            return Err(error);
        }
        if self.shut() & SEND != 0 {
            return Err(Errno::EPIPE);
        }
        ports::bind_any(self)?;
        let from = self.endpoint().here();
        let taken = match ports::find(Kind::Datagram, to, from) {
            Some(receiver) => receiver.take_datagram(source, len, from)?,
            None => false,
        };
        if !taken && remote == Some(to) {
            self.set_error(Errno::ECONNREFUSED);
            self.stir();
        }
        Ok(len)
    }

    /// Whether there is a way to `to`; EACCES, ENETUNREACH.
    fn reaches(&self, to: Endpoint) -> Result<()> {
        match to {
            to if to.is_local() => Ok(()),
            Endpoint { host: INADDR_BROADCAST, .. } if !self.options.is_on(BROADCAST) => Err(Errno::EACCES),
            _ => Err(Errno::ENETUNREACH),
        }
    }

    /// Takes a datagram of `len` bytes in, or loses it for want of room; whether the socket still is.
    fn take_datagram(&self, source: &mut dyn Source, len: usize, from: Endpoint) -> Result<bool> {
        let mut inbox = self.inbox.lock();
        if self.shut() & CLOSED != 0 {
            return Ok(false);
        }
        // The last one may be larger than the room.
        if self.has_room(len, self.options.receive_buffer() as usize, true) {
            let mut mark = Mark { from: Some(Name::Inet(from)), ..Mark::default() };
            inbox.put(source, len, true, &mut mark)?;
            self.note(&inbox);
            drop(inbox);
            self.readable.wake_one();
        }
        Ok(true)
    }

    /// A datagram socket sends to `to` from now on, and takes from that alone; EACCES, ENETUNREACH, EADDRNOTAVAIL, ENOMEM.
    pub fn connect_udp(self: &Arc<End>, to: Endpoint) -> Result<()> {
        let to = to.here();
        self.reaches(to)?;
        ports::bind_any(self)?;
        ports::connect(self, to);
        Ok(())
    }

    /// It sends to nobody, and takes from all.
    pub fn disconnect_udp(&self) {
        ports::disconnect(self);
    }
}
