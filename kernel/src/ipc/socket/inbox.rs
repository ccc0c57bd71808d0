//! What has been sent to a socket and not been received yet: bytes in a ring, and beside them records of what is more than
//! bytes.
//!
//! Each packet has a record with its length. The bytes of a stream have records only where descriptors or credentials go
//! with them, so that a stream without these is a ring, as a pipe is. The records' stretches follow each other in the ring
//! and never reach beyond its end. Not synchronised: whoever has the socket's inbox locked works on it.

use super::name::Name;
use super::passed::Passed;
use crate::ipc::ring::Ring;
use crate::vfs::{File, Result, Sink, Source};
use abi::Errno;
use abi::socket::Ucred;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Pages of the ring: twice what is the most that SO_SNDBUF lets a socket send.
const PAGES: usize = 128;
/// Bytes that fit in.
pub const CAPACITY: usize = PAGES * machine::PAGE_SIZE;

/// What is received from.
pub struct Inbox {
    ring: Ring,
    records: VecDeque<Record>,
}

/// What goes with bytes that are sent.
#[derive(Default)]
pub struct Mark {
    /// Who sent them, of datagrams.
    pub from: Option<Name>,
    /// As whom.
    pub credentials: Option<Ucred>,
    /// Open files that go along.
    pub passed: Option<Box<Passed>>,
}

/// A packet, or a stretch of a stream with a mark.
struct Record {
    /// Bytes of a stream before the stretch, that belong to no record.
    skip: usize,
    len: usize,
    mark: Mark,
}

/// What was taken out.
#[derive(Default)]
pub struct Taken {
    /// Bytes that were moved.
    pub moved: usize,
    /// Bytes of the packet.
    pub len: usize,
    /// What went with them; the files only if they are taken out.
    pub mark: Mark,
    /// The files if they stay.
    pub peeked: Vec<Arc<File>>,
}

impl Taken {
    /// Whether files went with it.
    pub fn has_files(&self) -> bool {
        self.mark.passed.is_some() || !self.peeked.is_empty()
    }

    /// Takes them.
    pub fn take_files(&mut self) -> Vec<Arc<File>> {
        match self.mark.passed.take() {
            Some(passed) => passed.files,
            None => core::mem::take(&mut self.peeked),
        }
    }
}

impl Inbox {
    /// An empty one; ENOMEM.
    pub fn new() -> Result<Inbox> {
        Ok(Inbox { ring: Ring::new(PAGES)?, records: VecDeque::new() })
    }

    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.ring.len()
    }

    /// Records in it.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Bytes of the first packet.
    pub fn first_len(&self) -> usize {
        self.records.front().map_or(0, |record| record.len)
    }

    /// The files that go with what is next.
    pub fn next_passed(&self) -> Option<&Passed> {
        self.records.front()?.mark.passed.as_deref()
    }

    /// All files that are in it.
    pub fn each_passed(&self, each: &mut dyn FnMut(&Passed)) {
        self.records.iter().filter_map(|record| record.mark.passed.as_deref()).for_each(each);
    }

    /// Takes the next files out that are in it, without what they go with.
    pub fn take_passed(&mut self) -> Option<Box<Passed>> {
        self.records.iter_mut().find_map(|record| record.mark.passed.take())
    }

    /// Takes all bytes and records out. The files have been taken out before.
    pub fn clear(&mut self) {
        self.ring.discard(self.ring.len());
        self.records.clear();
    }

    /// Puts `len` bytes in, for which there is room: a `whole` packet or some of a stream. All of them, or none and an error.
    pub fn put(&mut self, source: &mut dyn Source, len: usize, whole: bool, mark: &mut Mark) -> Result<usize> {
        let marked = whole || mark.credentials.is_some() || mark.passed.is_some();
        if marked {
            self.records.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
        }
        let before = self.ring.len();
        let (moved, result) = self.ring.fill(source, len);
        if let Err(error) = result {
            self.ring.cut(moved);
            return Err(error);
        }
        if whole {
            self.records.push_back(Record { skip: 0, len, mark: core::mem::take(mark) });
        } else if marked {
            self.mark_stream(before, moved, mark);
        }
        Ok(moved)
    }

    /// The last `len` bytes of a stream, before which there were `before`, have this mark. Its files are taken.
    #[cold]
    fn mark_stream(&mut self, before: usize, len: usize, mark: &mut Mark) {
        let skip = before - self.records.iter().map(|record| record.skip + record.len).sum::<usize>();
        let mark = Mark { passed: mark.passed.take(), credentials: mark.credentials, from: None };
        match self.records.back_mut() {
            Some(last) if skip == 0 && mark.passed.is_none() && last.mark.credentials == mark.credentials => {
                last.len += len;
            }
            _ => self.records.push_back(Record { skip, len, mark }),
        }
    }

    /// Moves the next packet out, as far as the sink takes it, if it is to be `whole`; else bytes of a stream, up to the end
    /// of the next stretch with a mark. With `peek` they stay. Of a stream an error only if nothing was moved.
    pub fn take(&mut self, sink: &mut dyn Sink, whole: bool, peek: bool, taken: &mut Taken) -> Result<()> {
        let next = self.records.front_mut();
        let limit = next.as_ref().map_or(self.ring.len(), |record| record.skip + record.len);
        let left = sink.remaining();
        let (moved, result) = self.ring.copy_out(sink, limit.min(left), left);
        if moved == 0 || whole {
            result?;
        }
        (taken.moved, taken.len) = (moved, limit);
        let gone = if whole { limit } else { moved };
        if let Some(record) = next {
            let marked = gone.saturating_sub(record.skip);
            if whole || marked > 0 {
                taken.mark = record.mark.seen(peek);
            }
            if !peek {
                record.skip = record.skip.saturating_sub(gone);
                record.len -= marked;
                if record.len == 0 {
                    self.records.pop_front();
                }
            }
        }
        if !peek {
            self.ring.discard(gone);
        }
        Ok(())
    }
}

impl Mark {
    /// What a receiver learns; if it only peeks, the files stay.
    fn seen(&mut self, peek: bool) -> Mark {
        let passed = if peek { None } else { self.passed.take() };
        Mark { from: self.from.clone(), credentials: self.credentials, passed }
    }
}
