//! Packets: sending them by address or over a connection.

use super::super::end::{CLOSED, End, Kind, Phase};
use super::super::options::PASS_CREDENTIALS;
use super::super::stream::Outgoing;
use super::super::transit;
use super::address::parse;
use super::bound;
use crate::vfs::{Result, Source};
use abi::Errno;
use alloc::sync::Arc;

impl End {
    /// Sends a packet, to where that says or to the other side: its bytes. EAGAIN, ECONNREFUSED, EMSGSIZE, ENOBUFS, ENOTCONN, EPIPE,
    /// ETOOMANYREFS, EPERM, EPROTOTYPE, EFAULT, EINTR, and what walking the path gives.
    pub fn send_packet(
        self: &Arc<End>,
        source: &mut dyn Source,
        waits: bool,
        what: &mut Outgoing<'_>,
    ) -> Result<usize> {
        let peer = if self.kind == Kind::Packets {
            if self.phase() != Phase::Connected {
                return Err(Errno::ENOTCONN);
            }
            None
        } else {
            what.to.map(|(name, context)| bound::find(parse(name)?, context, self.kind)).transpose()?
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
}
