//! Connecting; and what a datagram socket sends to.

use super::super::end::{End, Family, Kind, NOBODY, Phase, RECEIVE, sleep, wake};
use super::super::options::PASS_CREDENTIALS;
use super::address::Address;
use super::bound;
use crate::vfs::{FsContext, Result};
use abi::Errno;
use abi::socket::Ucred;
use alloc::sync::Arc;

impl End {
    /// Connects to the socket at `address`, as `caller`. EAGAIN if too many wait there, EALREADY, ECONNREFUSED, EINVAL, EISCONN,
    /// EPROTOTYPE, EINTR, and what walking the path gives; of datagram sockets EPERM.
    pub fn connect_unix(
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
        if !other.listens() {
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
        let new = Arc::new(End::new(Family::Unix, self.kind)?);
        new.set_phase(Phase::Connected);
        let listens = listener.state.lock().peer_credentials;
        new.state.lock().name = listener.name();
        new.options.inherit_credentials(&listener.options);
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
