//! The end of a socket, or of a part of it, which is told to the other side.

use super::end::{BOTH, CLOSED, End, Family, Kind, Phase, RECEIVE, SEND, wake};
use super::options::RESETS;
use super::{inet, transit, unix};
use crate::vfs::Result;
use abi::Errno;
use abi::socket::{SHUT_RD, SHUT_RDWR, SHUT_WR};

impl End {
    /// Ends receiving, sending, or both, here and on the other side of a connection; EINVAL, of AF_INET ENOTCONN.
    pub fn shut_down(&self, how: u32) -> Result<()> {
        let (ways, others) = match how {
            SHUT_RD => (RECEIVE, SEND),
            SHUT_WR => (SEND, RECEIVE),
            SHUT_RDWR => (BOTH, BOTH),
            _ => return Err(Errno::EINVAL),
        };
        if self.family == Family::Inet {
            return self.shut_down_inet(ways);
        }
        self.add_shut(ways);
        self.stir();
        if let Some(peer) = self.peer().filter(|_| self.kind != Kind::Datagram) {
            peer.add_shut(others);
            peer.stir();
        }
        Ok(())
    }

    /// The other side learns of the end of sending alone. A listener that is not to receive is none any more; who is still
    /// connecting is not.
    fn shut_down_inet(&self, ways: u8) -> Result<()> {
        let peer = match self.phase() {
            Phase::Listening => {
                if ways & RECEIVE != 0 && inet::end_listening(self) {
                    give_up_waiting(self);
                }
                self.stir();
                return Ok(());
            }
            // If it is connected by now, it is looked at anew.
            Phase::Connecting if self.disconnect_tcp(Some(Phase::Connecting)) => return Ok(()),
            Phase::Connecting => return self.shut_down_inet(ways),
            _ => {
                let state = self.state.lock();
                let connected = state.remote.is_some() && !self.is_over();
                if self.is_tcp() && !(connected && self.phase() == Phase::Connected) {
                    return Err(Errno::ENOTCONN);
                }
                // Of UDP it is noted all the same, as on Linux.
                self.add_shut(ways);
                connected.then(|| state.peer.clone())
            }
        };
        self.stir();
        let peer = peer.ok_or(Errno::ENOTCONN)?;
        if let Some(peer) = peer.filter(|_| ways & SEND != 0) {
            peer.be_finished(self);
        }
        Ok(())
    }
}

/// The connections that wait for `end` are none.
fn give_up_waiting(end: &End) {
    let (backlog, waiting) = {
        let mut state = end.state.lock();
        end.note_backlog(0);
        (core::mem::take(&mut state.backlog), core::mem::take(&mut state.waiting))
    };
    backlog.iter().for_each(|connection| close(connection, false));
    for (connection, client) in &waiting {
        client.be_refused(Some(connection));
        // Nobody had it yet.
        let none = connection.state.lock().peer.take();
        drop(none);
        close(connection, false);
    }
}

/// The file of this end has ended, or nobody has accepted the connection that it is for.
pub fn close(end: &End, accepted: bool) {
    match end.family {
        Family::Unix => unix::forget(end),
        Family::Inet => inet::forget(end),
    }
    {
        let _nothing_goes_in_any_more = end.inbox.lock();
        end.add_shut(BOTH | CLOSED);
    }
    let unread = transit::discard(end);
    let lost = unread || !accepted;
    let (peer, place, senders, asked) = {
        let mut state = end.state.lock();
        (state.peer.take(), state.place.take(), core::mem::take(&mut state.senders), state.asked.take())
    };
    match &peer {
        Some(peer) if end.kind == Kind::Datagram => End::forget_sender(peer, end),
        Some(peer) if end.is_tcp() => {
            if let Some(listener) = asked.and_then(|listener| listener.upgrade()) {
                listener.forget_waiting(peer);
            }
            match lost || end.options.is_on(RESETS) {
                true => peer.be_reset(end),
                false => peer.be_finished(end),
            }
        }
        Some(peer) => {
            if lost {
                peer.set_error(Errno::ECONNRESET);
            }
            peer.add_shut(BOTH);
            peer.stir();
        }
        None => {}
    }
    give_up_waiting(end);
    senders.iter().filter_map(|sender| sender.upgrade()).for_each(|sender| wake(&sender.writable));
    end.stir();
    drop((peer, place));
}
