//! Connections of TCP, within this machine: both ends are made at once, and know each other.
//!
//! A listener without room has whoever connects wait, as it would leave a SYN without an answer; connect(2) without waiting says
//! EINPROGRESS, also where the connection stands or is refused at once, as that is how programs know it.

use super::super::end::{BOTH, End, FINISHED, Family, Kind, Phase, RESET, UNTOLD, sleep, wake};
use super::super::name::{Endpoint, Name};
use super::super::transit;
use super::ports;
use crate::vfs::Result;
use abi::Errno;
use alloc::sync::Arc;

impl End {
    /// Connects to the listener at `to`. EINPROGRESS, EALREADY, EISCONN, ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, ENOMEM, EINTR.
    pub fn connect_tcp(self: &Arc<End>, to: Endpoint, waits: bool) -> Result<()> {
        if self.phase() == Phase::Idle
            && let Some(error) = self.take_error()
        {
            return Err(error);
        }
        match self.leave_idle(Phase::Connecting) {
            Ok(()) => match self.ask(to.here()) {
                Ok(()) => {}
                Err(Errno::ECONNREFUSED) if !waits => {
                    refuse(self);
                    return Err(Errno::EINPROGRESS);
                }
                Err(error) => {
                    self.let_go();
                    return Err(error);
                }
            },
            Err(Phase::Connecting) if !waits => return Err(Errno::EALREADY),
            Err(Phase::Connecting) => {}
            Err(Phase::Connected) if self.take_shut(UNTOLD) != 0 => return Ok(()),
            Err(_) => return Err(Errno::EISCONN),
        }
        if !waits {
            self.add_shut(UNTOLD);
            return Err(Errno::EINPROGRESS);
        }
        self.wait_for_connection()
    }

    fn wait_for_connection(&self) -> Result<()> {
        let over = || self.phase() != Phase::Connecting;
        if !over() {
            let waited = sleep(&self.writable, self.options.deadline(true), &over);
            waited.map_err(|error| if error == Errno::EAGAIN { Errno::EINPROGRESS } else { error })?;
        }
        self.take_shut(UNTOLD);
        match self.phase() {
            Phase::Connected => Ok(()),
            _ => Err(self.take_error().unwrap_or(Errno::ECONNREFUSED)),
        }
    }

    /// Makes the other end and has the listener take it, or has it wait there.
    fn ask(self: &Arc<End>, to: Endpoint) -> Result<()> {
        if !to.is_local() {
            return Err(Errno::ENETUNREACH);
        }
        ports::bind_any(self)?;
        ports::connect(self, to);
        let own = self.endpoint();
        let listener = ports::find(Kind::Stream, to, own).ok_or(Errno::ECONNREFUSED)?;
        let new = Arc::new(End::new(Family::Inet, Kind::Stream)?);
        new.options.inherit(&listener.options);
        new.set_phase(Phase::Connected);
        {
            let mut state = new.state.lock();
            state.name = Some(Name::Inet(to));
            state.remote = Some(own);
            state.peer = Some(self.clone());
        }
        // Before the other side may answer.
        self.state.lock().peer = Some(new.clone());
        listener.queue_or_wait(&new, self)
    }

    /// It is connected to nobody, and may connect anew.
    fn let_go(&self) {
        ports::disconnect(self);
        let peer = self.state.lock().peer.take();
        self.set_phase(Phase::Idle);
        drop(peer);
    }

    /// Ends a connection of TCP so that the socket may make another (connect(2) to AF_UNSPEC).
    pub fn disconnect_tcp(&self) {
        if let Some(peer) = self.peer() {
            peer.reset();
        }
        self.let_go();
        transit::discard(self);
        self.take_shut(BOTH | FINISHED | RESET | UNTOLD);
        self.take_error();
        self.stir();
    }

    /// What it is called.
    pub fn endpoint(&self) -> Endpoint {
        match self.name() {
            Some(Name::Inet(own)) => own,
            _ => Endpoint::NONE,
        }
    }
}

/// The connection that `client` asks for is not made.
pub fn refuse(client: &End) {
    client.set_error(Errno::ECONNREFUSED);
    client.let_go();
    client.stir();
    wake(&client.writable);
}

/// Bytes that are sent and that the other side has no room for (SIOCOUTQ): what is beyond its SO_RCVBUF.
pub fn unreceived(end: &End) -> usize {
    end.peer().map_or(0, |peer| peer.bytes().saturating_sub(peer.options.receive_buffer() as usize))
}
