//! Receiving: out of the own inbox.

use super::end::{End, FINISHED, Family, Kind, Phase, RECEIVE, sleep};
use super::inbox::Taken;
use super::transit;
use crate::vfs::{Result, Sink};
use abi::Errno;
use abi::socket::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_WAITALL};

impl End {
    /// Receives a packet, or bytes of a stream: how many bytes were moved; what went with them is left in `taken`. `flags`
    /// are `MSG_*`. EAGAIN, ECONNRESET, EINVAL and ENOTCONN for what is not connected, EOPNOTSUPP, EFAULT, EINTR.
    pub fn receive(&self, sink: &mut dyn Sink, flags: u32, waits: bool, taken: &mut Taken) -> Result<usize> {
        let stream = self.kind == Kind::Stream;
        match self.phase() {
            _ if self.kind == Kind::Datagram => {}
            Phase::Connected => {}
            Phase::Connecting if self.is_tcp() => {}
            _ if stream && !self.is_tcp() => return Err(Errno::EINVAL),
            // A connection that was refused.
            _ if self.has_error() || self.shut() & RECEIVE == 0 => {
                return Err(self.take_error().unwrap_or(Errno::ENOTCONN));
            }
            _ => return Ok(0),
        }
        if flags & MSG_ERRQUEUE != 0 && self.family == Family::Inet {
            // What is lost on the way is told by errors, and by these alone.
            return Err(Errno::EAGAIN);
        }
        if flags & MSG_OOB != 0 {
            return Err(if stream { Errno::EINVAL } else { Errno::EOPNOTSUPP });
        }
        let wanted = sink.remaining();
        let all = stream && flags & (MSG_WAITALL | MSG_PEEK) == MSG_WAITALL;
        let (mut done, mut deadline) = (0, None);
        let result = loop {
            if stream && done == wanted {
                break Ok(());
            }
            // Looked at first: what was sent before it ended is in the inbox then.
            let ended = self.shut() & RECEIVE != 0;
            if let Some(error) = if stream { None } else { self.take_error() } {
                break Err(error);
            }
            match self.take(sink, flags & MSG_PEEK != 0, taken) {
                Ok(()) => {
                    done += taken.moved;
                    if !all || taken.has_files() {
                        break Ok(());
                    }
                    continue;
                }
                Err(Errno::EAGAIN) => {}
                Err(error) => break Err(error),
            }
            // Behind the other side's end of a TCP connection there is nothing that could be lost.
            if let Some(error) = if self.shut() & FINISHED != 0 { None } else { self.take_error() } {
                break Err(error);
            }
            if self.is_tcp() && self.phase() == Phase::Idle {
                break Err(Errno::ECONNRESET);
            }
            if ended && (waits || self.kind != Kind::Datagram) {
                break Ok(());
            }
            if !waits {
                break Err(Errno::EAGAIN);
            }
            deadline = deadline.or_else(|| self.options.deadline(false));
            let over = || self.is_tcp() && self.phase() == Phase::Idle;
            let due = || self.has_something() || self.shut() & RECEIVE != 0 || self.has_error() || over();
            if let Err(error) = sleep(&self.readable, deadline, &due) {
                break Err(error);
            }
        };
        if done > 0 { Ok(done) } else { result.map(|()| 0) }
    }

    /// Takes what is next out of the inbox; EAGAIN if there is nothing.
    fn take(&self, sink: &mut dyn Sink, peek: bool, taken: &mut Taken) -> Result<()> {
        let mut traffic = None;
        let mut inbox = self.inbox.lock();
        if inbox.next_passed().is_some() {
            drop(inbox);
            traffic = Some(transit::lock());
            inbox = self.inbox.lock();
        }
        if inbox.bytes() + inbox.records() == 0 {
            return Err(Errno::EAGAIN);
        }
        if let (Some(passed), true) = (inbox.next_passed(), peek) {
            taken.peeked = passed.copy()?;
        }
        let result = inbox.take(sink, self.kind != Kind::Stream, peek, taken);
        if let (Some(traffic), Some(passed)) = (&mut traffic, &taken.mark.passed) {
            traffic.leave(passed);
        }
        let removed = result.is_ok() && !peek;
        if removed {
            self.note(&inbox);
        }
        drop(inbox);
        drop(traffic);
        if removed {
            self.tell_senders();
        }
        if self.has_something() {
            // What was sent woke one receiver; what that one leaves is for the next.
            self.readable.wake_next();
        }
        result
    }
}
