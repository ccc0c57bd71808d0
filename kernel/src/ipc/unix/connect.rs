//! Connections: listening, connecting and accepting; and what a datagram socket sends to.

use super::bound;
use super::end::{CLOSED, End, Kind, NOBODY, Phase, RECEIVE, sleep, wake};
use super::name::Address;
use super::options::PASS_CREDENTIALS;
use crate::vfs::{FsContext, Result};
use abi::Errno;
use abi::socket::Ucred;
use alloc::sync::Arc;

/// Most connections that wait for a socket (`somaxconn`).
const MOST_WAITING: u32 = 4096;

impl End {
    /// Takes connections from now on; `backlog` and one more may wait. EINVAL without a name and for a connected one,
    /// EOPNOTSUPP.
    pub fn listen(&self, backlog: u32, listener: Ucred) -> Result<()> {
        if self.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        {
            let mut state = self.state.lock();
            if state.name.is_none() {
                return Err(Errno::EINVAL);
            }
            if self.leave_idle(Phase::Listening).is_err_and(|phase| phase != Phase::Listening) {
                return Err(Errno::EINVAL);
            }
            state.backlog_limit = backlog.min(MOST_WAITING) as usize;
            state.peer_credentials = listener;
        }
        wake(&self.room);
        Ok(())
    }

    /// The next connection: its end, which has no file yet. EAGAIN, EINVAL, EINTR, EOPNOTSUPP.
    pub fn accept(&self, waits: bool) -> Result<Arc<End>> {
        if self.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        if self.phase() != Phase::Listening {
            return Err(Errno::EINVAL);
        }
        let deadline = if waits { self.options.deadline(false) } else { None };
        loop {
            let ended = self.shut() & RECEIVE != 0;
            let next = {
                let mut state = self.state.lock();
                let next = state.backlog.pop_front();
                self.note_backlog(state.backlog.len());
                next
            };
            if let Some(next) = next {
                next.inherit(self);
                wake(&self.room);
                if self.has_something() {
                    self.readable.wake_next();
                }
                return Ok(next);
            }
            if ended {
                return Err(Errno::EINVAL);
            }
            if !waits {
                return Err(Errno::EAGAIN);
            }
            sleep(&self.readable, deadline, &|| self.has_something() || self.shut() & RECEIVE != 0)?;
        }
    }

    /// Connects to the socket at `address`, as `caller`. EAGAIN if too many wait there, EALREADY, ECONNREFUSED, EINVAL, EISCONN,
    /// EPROTOTYPE, EINTR, and what walking the path gives; of datagram sockets EPERM.
    pub fn connect(
        self: &Arc<End>,
        address: Address<'_>,
        context: &FsContext,
        caller: Ucred,
        waits: bool,
    ) -> Result<()> {
        if self.options.is_on(PASS_CREDENTIALS) {
            bound::bind_any(self)?;
        }
        let other = bound::find(address, context, self.kind)?;
        if self.kind == Kind::Datagram {
            return self.send_to(&other);
        }
        if other.phase() != Phase::Listening || other.shut() & RECEIVE != 0 {
            return Err(Errno::ECONNREFUSED);
        }
        self.leave_idle(Phase::Connecting).map_err(|phase| match phase {
            Phase::Connected => Errno::EISCONN,
            Phase::Connecting => Errno::EALREADY,
            _ => Errno::EINVAL,
        })?;
        let connected = self.connect_to(&other, caller, waits);
        if connected.is_err() {
            let none = {
                let mut state = self.state.lock();
                state.peer_credentials = NOBODY;
                state.peer.take()
            };
            drop(none);
        }
        self.set_phase(if connected.is_ok() { Phase::Connected } else { Phase::Idle });
        wake(&self.writable);
        connected
    }

    fn connect_to(self: &Arc<End>, listener: &Arc<End>, caller: Ucred, waits: bool) -> Result<()> {
        let new = Arc::new(End::new(self.kind)?);
        new.set_phase(Phase::Connected);
        let listens = listener.state.lock().peer_credentials;
        new.state.lock().name = listener.name();
        new.inherit(listener);
        new.set_peer(self, caller);
        // Before the other side may answer.
        self.set_peer(&new, listens);
        let deadline = if waits { self.options.deadline(true) } else { None };
        while !listener.queue(&new)? {
            if !waits {
                return Err(Errno::EAGAIN);
            }
            let due = || {
                let state = listener.state.lock();
                state.backlog.len() <= state.backlog_limit || listener.shut() & RECEIVE != 0
            };
            sleep(&listener.room, deadline, &due)?;
        }
        listener.readable.wake_one();
        Ok(())
    }

    /// A connection tells of credentials if the socket that it was made at does.
    fn inherit(&self, listener: &End) {
        if listener.options.is_on(PASS_CREDENTIALS) {
            self.options.switch(PASS_CREDENTIALS, true);
        }
    }

    /// Has `new` wait to be accepted, if there is room for it.
    fn queue(&self, new: &Arc<End>) -> Result<bool> {
        let mut state = self.state.lock();
        if self.shut() & (RECEIVE | CLOSED) != 0 {
            return Err(Errno::ECONNREFUSED);
        }
        if state.backlog.len() > state.backlog_limit {
            return Ok(false);
        }
        state.backlog.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        state.backlog.push_back(new.clone());
        self.note_backlog(state.backlog.len());
        Ok(true)
    }

    /// A datagram socket sends to `other` from now on, and takes from that alone; EPERM if `other` does so with a third.
    fn send_to(self: &Arc<End>, other: &Arc<End>) -> Result<()> {
        if !other.takes_from(self) {
            return Err(Errno::EPERM);
        }
        if self.is_peer(other) {
            return Ok(());
        }
        self.disconnect(None);
        other.add_sender(self)?;
        let old = self.state.lock().peer.replace(other.clone());
        // Two threads at once: the last one counts.
        if let Some(old) = old {
            End::forget_sender(&old, self);
        }
        wake(&self.writable);
        Ok(())
    }
}
