//! Message queues (msgget(2), msgop(2), msgctl(2)).
//!
//! Messages are in the order in which they were sent. Who waits for one looks at the queue again whenever one has come, who
//! waits for room whenever one has gone.

use super::caller_pid;
use super::charge::Charge;
use super::ids::{Ids, Look, Request, Row, of_kind};
use super::now;
use super::perm::{READ, WRITE};
use crate::process;
use crate::process::credentials::Credentials;
use abi::Errno;
use abi::capability::CAP_SYS_RESOURCE;
use abi::ipc::{IPC_NOWAIT, IpcPerm, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, MsqidDs};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::sync::{Rank, SpinLock, WaitQueue};

/// Most queues.
pub const MOST: usize = 32000;
/// Most bytes of a message.
pub const LONGEST: usize = 8192;
/// Most bytes in a queue, at first.
pub const QUEUE_BYTES: u64 = 16384;

/// All queues.
static QUEUES: Ids = Ids::new("message queues", MOST);

/// A queue.
pub struct Queue {
    state: SpinLock<State>,
    /// One has come, or there will be none.
    arrived: WaitQueue,
    /// There is more room, or will be none.
    left: WaitQueue,
}

struct State {
    removed: bool,
    #[allow(clippy::vec_box, reason = "whenever one is taken out, those behind it move up under a spin lock")]
    messages: Vec<Box<Message>>,
    bytes: u64,
    /// Most bytes in it, and most messages.
    most: u64,
    sent: i64,
    received: i64,
    sender: u32,
    receiver: u32,
}

/// A message.
pub struct Message {
    /// Its type, from 1 on.
    pub kind: i64,
    /// What it says.
    pub text: Vec<u8>,
    _charge: Charge,
}

impl Message {
    /// A message without text, which has room for `len` bytes. ENOMEM.
    pub fn new(kind: i64, len: usize) -> Result<Box<Self>, Errno> {
        let charge = Charge::new(len + size_of::<Message>())?;
        let mut text = Vec::new();
        text.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
        Ok(Box::new(Message { kind, text, _charge: charge }))
    }

    fn copy(&self) -> Result<Box<Self>, Errno> {
        let mut copy = Message::new(self.kind, self.text.len())?;
        copy.text.extend_from_slice(&self.text);
        Ok(copy)
    }
}

/// Which message is wanted: what msgrcv(2) takes.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Most bytes of text.
    pub len: usize,
    /// A type, the negative of the highest one, 0 for any; with `MSG_COPY` how many come before it.
    pub kind: i64,
    /// `IPC_NOWAIT`, `MSG_EXCEPT`, `MSG_NOERROR`, `MSG_COPY`.
    pub flags: u32,
}

/// msgget(2), as [`Ids::get`].
pub fn get(request: Request<'_>) -> Result<u64, Errno> {
    QUEUES.get(request, 0, &|_, _| {
        let state = State {
            removed: false,
            messages: Vec::new(),
            bytes: 0,
            most: QUEUE_BYTES,
            sent: 0,
            received: 0,
            sender: 0,
            receiver: 0,
        };
        Ok(Arc::new(Queue {
            state: SpinLock::new("message queue", Rank::File, state),
            arrived: WaitQueue::new("message to receive"),
            left: WaitQueue::new("room for a message"),
        }))
    })
}

/// The queue with that number.
fn find(id: i32, caller: &Credentials, wanted: u32) -> Result<Arc<Queue>, Errno> {
    of_kind(QUEUES.open(id, caller, wanted, (0, Errno::EINVAL))?)
}

/// msgsnd(2). EINVAL, EACCES, EAGAIN, EIDRM, EINTR, ENOMEM.
pub fn send(id: i32, caller: &Credentials, message: Box<Message>, flags: u32) -> Result<(), Errno> {
    let queue = find(id, caller, WRITE)?;
    let pid = caller_pid();
    let mut message = Some(message);
    let mut attempt = || queue.state.lock().put(&mut message, pid);
    let waited = match attempt() {
        None if flags & IPC_NOWAIT != 0 => return Err(Errno::EAGAIN),
        None => queue.left.wait_until(None, process::interrupted, attempt).unwrap_or(Err(Errno::EINTR)),
        Some(result) => result,
    };
    if waited.is_ok() {
        queue.arrived.wake_all();
    }
    waited
}

/// msgrcv(2). EINVAL, EACCES, ENOMSG, E2BIG, EIDRM, EINTR; ENOMEM for a copy.
pub fn receive(id: i32, caller: &Credentials, wanted: Wanted) -> Result<Box<Message>, Errno> {
    let queue = find(id, caller, READ)?;
    let pid = caller_pid();
    let attempt = || queue.state.lock().take(wanted, pid);
    let waited = match attempt() {
        None if wanted.flags & IPC_NOWAIT != 0 => return Err(Errno::ENOMSG),
        None => queue.arrived.wait_until(None, process::interrupted, attempt).unwrap_or(Err(Errno::EINTR)),
        Some(result) => result,
    };
    if waited.is_ok() {
        queue.left.wake_all();
    }
    waited
}

impl State {
    /// Takes the message in; None if there is no room for it now.
    fn put(&mut self, message: &mut Option<Box<Message>>, pid: u32) -> Option<Result<(), Errno>> {
        if self.removed {
            return Some(Err(Errno::EIDRM));
        }
        let len = message.as_ref()?.text.len() as u64;
        // Messages without text are bounded, too.
        if self.bytes + len > self.most || self.messages.len() as u64 + 1 > self.most {
            return None;
        }
        if self.messages.try_reserve(1).is_err() {
            return Some(Err(Errno::ENOMEM));
        }
        self.messages.push(message.take()?);
        self.bytes += len;
        (self.sent, self.sender) = (now(), pid);
        Some(Ok(()))
    }

    /// Gives out the first message that is wanted; None if there is none.
    fn take(&mut self, wanted: Wanted, pid: u32) -> Option<Result<Box<Message>, Errno>> {
        if self.removed {
            return Some(Err(Errno::EIDRM));
        }
        let Wanted { len, kind, flags } = wanted;
        let copies = flags & MSG_COPY != 0;
        let at = if copies { usize::try_from(kind).ok() } else { self.position(kind, flags & MSG_EXCEPT != 0) }?;
        let message = self.messages.get(at)?;
        if message.text.len() > len {
            match (copies, flags & MSG_NOERROR != 0) {
                (_, false) => return Some(Err(Errno::E2BIG)),
                (true, true) => return Some(Err(Errno::EINVAL)), // as on Linux
                (false, true) => {}
            }
        }
        if copies {
            return Some(message.copy());
        }
        let message = self.messages.remove(at);
        self.bytes -= message.text.len() as u64;
        (self.received, self.receiver) = (now(), pid);
        Some(Ok(message))
    }

    /// Where the message is that has the wanted type, or, with `except`, another one.
    fn position(&self, kind: i64, except: bool) -> Option<usize> {
        let mut kinds = self.messages.iter().map(|message| message.kind);
        if kind >= 0 {
            return kinds.position(|own| kind == 0 || (own == kind) != except);
        }
        let lowest = kinds.clone().min().filter(|&lowest| lowest <= kind.saturating_neg())?;
        kinds.position(|own| own == lowest)
    }
}

/// What there is to tell of a queue, as [`Ids::look`].
pub fn status(look: Look, id: i32, caller: &Credentials) -> Result<(u64, MsqidDs), Errno> {
    let (result, row) = QUEUES.look(look, id, caller)?;
    Ok((result, shown(&row)?))
}

fn shown(row: &Row) -> Result<MsqidDs, Errno> {
    let queue = row.of_kind::<Queue>()?;
    let state = queue.state.lock();
    Ok(MsqidDs {
        perm: row.perm.shown(),
        stime: state.sent,
        rtime: state.received,
        ctime: row.changed,
        cbytes: state.bytes,
        qnum: state.messages.len() as u64,
        qbytes: state.most,
        lspid: state.sender,
        lrpid: state.receiver,
        ..MsqidDs::ZERO
    })
}

/// Calls `show` with the number of each queue and what there is to tell.
pub fn for_each(show: &mut dyn FnMut(i32, &MsqidDs)) {
    let mut place = 0;
    while let Some((next, row)) = QUEUES.next(place) {
        place = next;
        if let Ok(status) = shown(&row) {
            show(row.perm.id, &status);
        }
    }
}

/// IPC_SET: owner, permissions, and `most` bytes in it. EINVAL; EPERM, also for more bytes than queues have at first.
pub fn set(id: i32, caller: &Credentials, new: &IpcPerm, most: u64) -> Result<(), Errno> {
    let too_many = most > QUEUE_BYTES && !caller.has(CAP_SYS_RESOURCE);
    let queue: Arc<Queue> = of_kind(QUEUES.set(id, caller, new, too_many.then_some(Errno::EPERM))?)?;
    queue.state.lock().most = most;
    queue.left.wake_all();
    Ok(())
}

/// IPC_RMID: whoever waits gets EIDRM. EINVAL, EPERM.
pub fn remove(id: i32, caller: &Credentials) -> Result<(), Errno> {
    let queue: Arc<Queue> = of_kind(QUEUES.take(id, caller)?)?;
    let messages = {
        let mut state = queue.state.lock();
        state.removed = true;
        core::mem::take(&mut state.messages)
    };
    queue.arrived.wake_all();
    queue.left.wake_all();
    drop(messages);
    Ok(())
}

/// What there is of all queues together.
pub struct Figures {
    /// The highest place in use.
    pub highest: u64,
    /// Queues.
    pub queues: usize,
    /// Messages in them.
    pub messages: u64,
    /// Bytes in those.
    pub bytes: u64,
}

/// What there is of all queues together.
pub fn figures() -> Figures {
    let (highest, queues, _) = QUEUES.figures();
    let mut figures = Figures { highest, queues, messages: 0, bytes: 0 };
    for_each(&mut |_, status| {
        figures.messages += status.qnum;
        figures.bytes += status.cbytes;
    });
    figures
}
