//! Taking connections: listening, the connections that wait, and accepting them.

use super::end::{CLOSED, End, Kind, Phase, RECEIVE, sleep, wake};
use crate::vfs::Result;
use abi::Errno;
use abi::socket::Ucred;
use alloc::sync::Arc;

/// Most connections that wait for a socket (`somaxconn`).
const MOST_WAITING: u32 = 4096;

impl End {
    /// Takes connections from now on; `backlog` and one more may wait. EINVAL without a name and for a connected one.
    pub fn listen(&self, backlog: u32, listener: Ucred) -> Result<()> {
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

    /// Whether it takes connections.
    pub fn listens(&self) -> bool {
        self.phase() == Phase::Listening && self.shut() & RECEIVE == 0
    }

    /// The next connection: its end, which has no file yet. EAGAIN, EINVAL, EINTR, EOPNOTSUPP.
    pub fn accept(&self, waits: bool) -> Result<Arc<End>> {
        if self.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        let deadline = if waits { self.options.deadline(false) } else { None };
        loop {
            if self.phase() != Phase::Listening {
                return Err(Errno::EINVAL);
            }
            let ended = self.shut() & RECEIVE != 0;
            let next = {
                let mut state = self.state.lock();
                let next = state.backlog.pop_front();
                self.note_backlog(state.backlog.len());
                next
            };
            if let Some(next) = next {
                next.options.inherit_credentials(&self.options);
                if self.is_tcp() {
                    self.admit();
                }
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
            sleep(&self.readable, deadline, &|| self.has_something() || !self.listens())?;
        }
    }

    /// Has `new`, a connection of AF_UNIX, wait to be accepted, if there is room for it.
    pub fn queue(&self, new: &Arc<End>) -> Result<bool> {
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

    /// Has `new`, a connection of TCP that `client` asks for, wait to be accepted: `client` is connected then. If there is no
    /// room for it, `client` goes on connecting until there is ([`End::admit`]); whether there was. ECONNREFUSED, ENOMEM.
    pub fn queue_or_wait(&self, new: &Arc<End>, client: &Arc<End>) -> Result<bool> {
        {
            let mut state = self.state.lock();
            if !self.listens() {
                return Err(Errno::ECONNREFUSED);
            }
            if state.backlog.len() > state.backlog_limit {
                state.waiting.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                state.waiting.push_back((new.clone(), client.clone()));
                return Ok(false);
            }
            state.backlog.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            state.backlog.push_back(new.clone());
            self.note_backlog(state.backlog.len());
        }
        self.make(new, client);
        Ok(true)
    }

    /// Connections of TCP that wait for room are made, as far as there is.
    pub fn admit(&self) {
        loop {
            let (new, client) = {
                let mut state = self.state.lock();
                if state.backlog.len() > state.backlog_limit || state.backlog.try_reserve(1).is_err() {
                    return;
                }
                let Some((new, client)) = state.waiting.pop_front() else { return };
                state.backlog.push_back(new.clone());
                self.note_backlog(state.backlog.len());
                (new, client)
            };
            self.make(&new, &client);
        }
    }

    /// `new` is in the backlog, and so `client` is connected, unless it has given that up meanwhile.
    fn make(&self, new: &Arc<End>, client: &End) {
        if client.be_connected(new) {
            self.readable.wake_one();
        } else {
            self.forget_waiting(new);
        }
    }

    /// `new` waits no more, for room or to be accepted: who asked for it has given up before it was made.
    pub fn forget_waiting(&self, new: &End) {
        let left = {
            let mut state = self.state.lock();
            let is_new = |end: &Arc<End>| core::ptr::eq(&**end, new);
            if let Some(at) = state.waiting.iter().position(|(waiting, _)| is_new(waiting)) {
                state.waiting.remove(at).map(|(waiting, _)| waiting)
            } else if let Some(at) = state.backlog.iter().position(is_new) {
                let left = state.backlog.remove(at);
                self.note_backlog(state.backlog.len());
                left
            } else {
                None
            }
        };
        drop(left);
    }
}
