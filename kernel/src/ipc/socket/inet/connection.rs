//! Connections of TCP, within this machine: both ends are made at once, and know each other.
//!
//! A listener without room has whoever connects wait, as it would leave a SYN without an answer; connect(2) without waiting says
//! EINPROGRESS, also where the connection stands or is refused at once, as that is how programs know it.
//!
//! A socket's phase, its other end and the marks of what has become of the connection change together, with its state
//! locked; whoever tells an end something looks there whether it still is the other one. So what comes late, of a connection
//! that the socket has given up, does nothing to its next.

use super::super::end::{BOTH, End, FINISHED, Family, Kind, Phase, RECEIVE, RESET, UNTOLD, sleep};
use super::super::name::{Endpoint, Name};
use super::super::transit;
use super::ports;
use crate::vfs::Result;
use abi::Errno;
use alloc::sync::Arc;
use machine::sync::Mutex;

/// Marks that a connection leaves.
const MARKS: u8 = BOTH | FINISHED | RESET | UNTOLD;

impl End {
    /// Connects to the listener at `to`. EINPROGRESS, EALREADY, EISCONN, ECONNREFUSED, ECONNABORTED, ENETUNREACH, EADDRNOTAVAIL,
    /// ENOMEM, EINTR.
    pub fn connect_tcp(self: &Arc<End>, to: Endpoint, waits: bool) -> Result<()> {
        if self.phase() == Phase::Idle && self.shut() & RESET != 0 {
            // The last call did not wait, and this one tells how that went.
            let refused = self.take_error().unwrap_or(Errno::ECONNABORTED);
            self.clear(Phase::Idle, None);
            return Err(refused);
        }
        let began = self.begin();
        match began {
            Ok(()) => match self.ask(to.here()) {
                Ok(()) if waits => {}
                Ok(()) => return Err(Errno::EINPROGRESS),
                Err(Errno::ECONNREFUSED) if !waits => {
                    self.be_refused(None);
                    return Err(Errno::EINPROGRESS);
                }
                Err(error) => {
                    self.clear(Phase::Connecting, None);
                    self.stir();
                    return Err(error);
                }
            },
            Err(Phase::Connecting) if !waits => return Err(Errno::EALREADY),
            Err(Phase::Connecting) => {}
            Err(Phase::Connected) if self.take_shut(UNTOLD) != 0 => return Ok(()),
            Err(_) => return Err(Errno::EISCONN),
        }
        self.wait_for_connection(began.is_ok())
    }

    /// Begins to connect, or says how far that is.
    fn begin(&self) -> core::result::Result<(), Phase> {
        let _state = self.state.lock();
        self.leave_idle(Phase::Connecting)?;
        self.take_error();
        self.add_shut(UNTOLD);
        Ok(())
    }

    /// Waits for the end of what this call `began`, or another.
    fn wait_for_connection(&self, began: bool) -> Result<()> {
        let over = || self.phase() != Phase::Connecting;
        if !over() {
            let waited = sleep(&self.writable, self.options.deadline(true), &over);
            let late = if began { Errno::EINPROGRESS } else { Errno::EALREADY };
            waited.map_err(|error| if error == Errno::EAGAIN { late } else { error })?;
        }
        self.take_shut(UNTOLD);
        if self.phase() == Phase::Connected {
            return Ok(());
        }
        let refused = self.take_error().unwrap_or(Errno::ECONNABORTED);
        self.clear(Phase::Idle, None);
        Err(refused)
    }

    /// Makes the other end and has the listener take it, or has it wait there.
    fn ask(self: &Arc<End>, to: Endpoint) -> Result<()> {
        if !to.is_local() {
            return Err(Errno::ENETUNREACH);
        }
        ports::bind_any(self)?;
        ports::change(self, |ports, state| ports.settle(state, self));
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
        {
            let mut state = self.state.lock();
            if self.phase() != Phase::Connecting || state.peer.is_some() {
                // Another thread has ended it meanwhile, and perhaps begun anew.
                return Err(Errno::ECONNABORTED);
            }
            state.peer = Some(new.clone());
            state.remote = Some(to);
            state.asked = Some(Arc::downgrade(&listener));
        }
        match listener.queue_or_wait(&new, self) {
            Err(error) => {
                let unused = self.state.lock().peer.take_if(|peer| Arc::ptr_eq(peer, &new));
                drop(unused);
                return Err(error);
            }
            // It may have been given up before it was there to be taken out.
            Ok(false) if !self.is_peer(&new) => listener.forget_waiting(&new),
            Ok(_) => {}
        }
        Ok(())
    }

    /// The connection that was asked for by `new` is made, if it still is what is asked for; whether it is.
    pub fn be_connected(&self, new: &End) -> bool {
        {
            let mut state = self.state.lock();
            if self.phase() != Phase::Connecting || !state.has_peer(new) {
                return false;
            }
            state.asked = None;
            self.set_phase(Phase::Connected);
        }
        self.stir();
        true
    }

    /// The connection that is asked for is not made: by `new`, or, if none is given, by nobody.
    pub fn be_refused(&self, new: Option<&End>) {
        let refused = ports::change(self, |ports, state| {
            let same = new.map_or(state.peer.is_none(), |new| state.has_peer(new));
            if self.phase() != Phase::Connecting || !same {
                return None;
            }
            self.set_error(Errno::ECONNREFUSED);
            self.add_shut(BOTH | RESET);
            let gone = (state.peer.take(), state.asked.take(), ports.disconnect(state, self));
            self.set_phase(Phase::Idle);
            Some(gone)
        });
        if refused.is_some() {
            self.stir();
        }
    }

    /// `other` has sent all it will, if it is the other end.
    pub fn be_finished(&self, other: &End) {
        {
            let state = self.state.lock();
            if !state.has_peer(other) {
                return;
            }
            self.add_shut(RECEIVE | FINISHED);
        }
        self.stir();
    }

    /// `other`, if it is the other end, knows nothing of the connection any more.
    pub fn be_reset(&self, other: &End) {
        {
            let state = self.state.lock();
            if !state.has_peer(other) {
                return;
            }
            self.set_error(if self.shut() & FINISHED != 0 { Errno::EPIPE } else { Errno::ECONNRESET });
            self.add_shut(BOTH | RESET);
        }
        self.stir();
    }

    /// If it is in this phase and has no other end, it is idle, without a mark of what it was; whether it has none. It may connect
    /// anew; who waits in it is told `error`.
    fn clear(&self, phase: Phase, error: Option<Errno>) -> bool {
        let cleared = ports::change(self, |ports, state| {
            if state.peer.is_some() {
                return None;
            }
            if self.phase() != phase {
                return Some(None);
            }
            self.take_shut(MARKS);
            // Before the phase, by which those who wait see that it is over.
            if let Some(error) = error {
                self.set_error(error);
            }
            let freed = ports.disconnect(state, self);
            self.set_phase(Phase::Idle);
            Some(freed)
        });
        cleared.is_some()
    }

    /// Ends a connection of TCP, or the wish for one, so that the socket may make another (connect(2) to AF_UNSPEC). Who waits in it
    /// learns of a reset. Nothing, if it is not, or no more, in the phase `only`; whether it was.
    pub fn disconnect_tcp(&self, only: Option<Phase>) -> bool {
        /// Held by who does that: nobody connects the socket anew before it is done.
        static LEAVING: Mutex<()> = Mutex::new("disconnect", ());
        let _leaving = LEAVING.lock();
        loop {
            // Without its other end it stays in this phase, but for who asks for a connection just now.
            let (phase, peer, asked) = {
                let mut state = self.state.lock();
                let phase = self.phase();
                if only.is_some_and(|only| only != phase) {
                    return false;
                }
                (phase, state.peer.take(), state.asked.take())
            };
            let connects = matches!(phase, Phase::Connected | Phase::Connecting);
            if let Some(peer) = peer {
                if let Some(listener) = asked.and_then(|listener| listener.upgrade()) {
                    listener.forget_waiting(&peer);
                }
                peer.be_reset(self);
                let own = peer.state.lock().peer.take_if(|own| core::ptr::eq(&**own, self));
                drop(own);
            }
            // Nobody sends to it any more, and it is not idle yet.
            transit::discard(self);
            if self.clear(phase, connects.then_some(Errno::ECONNRESET)) {
                break;
            }
        }
        self.stir();
        true
    }

    /// What it is called.
    pub fn endpoint(&self) -> Endpoint {
        match self.name() {
            Some(Name::Inet(own)) => own,
            _ => Endpoint::NONE,
        }
    }

    /// Bytes that are sent and that the other side has no room for (SIOCOUTQ): what is beyond its SO_RCVBUF.
    pub fn unreceived(&self) -> usize {
        self.peer().map_or(0, |peer| peer.bytes().saturating_sub(peer.options.receive_buffer() as usize))
    }
}
