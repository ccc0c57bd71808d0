//! A request queue of a virtio disk (virtio 1.2, 5.2.6).
//!
//! Up to [`QUEUE_SIZE`] requests are in flight. Data goes straight between the device and the request's frames; header and
//! status byte of each request are in a pool, at the number of its chain. Requests beyond the queue's room wait in a list
//! that the interrupt handler moves on. Lock: the queue's (rank `Queue`), never held while a request's `done` runs, nor
//! with another queue's.

use super::super::{BlockError, Outcome, Segment};
use crate::driver::ProbeError;
use crate::virtio::transport::Notifier;
use crate::virtio::{Buffer, QueueFault, Transport, Virtqueue};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use machine::io::{DmaBuffer, DmaError};
use machine::sync::{IrqLock, Rank};

/// Requests in flight at most.
const QUEUE_SIZE: u16 = 64;
/// Buffers of a request at most: header, data, status. A page of descriptors holds four such tables.
const MAX_BUFFERS: u16 = 64;

/// Request types.
pub(super) const TYPE_IN: u32 = 0;
pub(super) const TYPE_OUT: u32 = 1;
pub(super) const TYPE_FLUSH: u32 = 4;
pub(super) const TYPE_GET_ID: u32 = 8;
/// Status bytes.
const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;
/// What the status byte is before the device writes it.
const STATUS_NOT_WRITTEN: u8 = 0xff;
/// Bytes of the answer to `TYPE_GET_ID`.
pub(super) const ID_LEN: usize = 20;

/// Layout of a pool entry: header, status byte.
const POOL_ENTRY_LEN: usize = 32;
const HEADER_LEN: u32 = 16;
const STATUS_AT: usize = 16;

/// A queue with what waits for room in it.
pub(super) struct RequestQueue {
    state: IrqLock<State>,
    /// Headers and status bytes, one entry for each chain number.
    pool: DmaBuffer,
    notifier: Notifier,
    /// Pieces of data that a request may have.
    pub max_segments: usize,
}

struct State {
    queue: Virtqueue<Job>,
    /// In order of submission; what did not fit into the queue.
    pending: VecDeque<Job>,
}

/// A request on its way, with all memory that the device uses for it.
pub(super) struct Job {
    pub kind: u32,
    pub sector: u64,
    pub data: Data,
    pub done: Box<dyn FnOnce(Outcome) + Send>,
}

pub(super) enum Data {
    Segments(Vec<Segment>),
    /// The answer to `TYPE_GET_ID`.
    Identity(Arc<DmaBuffer>),
}

impl RequestQueue {
    /// Sets queue `index` up, which is to raise the interrupt of that number.
    pub fn set_up(transport: &mut Transport, index: u16) -> Result<RequestQueue, ProbeError> {
        let (queue, notifier) = transport.set_up_queue::<Job>(index, QUEUE_SIZE, MAX_BUFFERS, index)?;
        if queue.max_chain() < 3 {
            return Err(ProbeError::Unusable("its queue is too short for a request"));
        }
        let mut pending = VecDeque::new();
        pending.try_reserve(usize::from(QUEUE_SIZE)).map_err(|_| DmaError::OutOfMemory)?;
        Ok(RequestQueue {
            pool: DmaBuffer::new(usize::from(queue.size()) * POOL_ENTRY_LEN)?,
            // Header and status take two buffers.
            max_segments: usize::from(queue.max_chain().min(MAX_BUFFERS)) - 2,
            state: IrqLock::new("virtio-blk queue", Rank::Queue, State { queue, pending }),
            notifier,
        })
    }

    /// Puts a job into the queue, or behind those that wait for room; gives it back if neither can be.
    pub fn start(&self, job: Job) -> Option<(Job, BlockError)> {
        let notify = {
            let mut state = self.state.lock();
            if state.queue.fault().is_some() {
                return Some((job, BlockError::DeviceBroken));
            }
            // Room in the list is made here, since the interrupt handler may not allocate.
            if state.pending.try_reserve(1).is_err() {
                return Some((job, BlockError::OutOfMemory));
            }
            state.pending.push_back(job);
            self.move_on(&mut state)
        };
        if notify {
            self.notifier.notify();
        }
        None
    }

    /// What broke the queue, if it is broken.
    pub fn fault(&self) -> Option<QueueFault> {
        self.state.lock().queue.fault()
    }

    /// Finishes what the device has done and gives it what waits; false if the queue is broken. In interrupt context.
    pub fn interrupt(&self) -> bool {
        loop {
            let (job, outcome) = {
                let mut state = self.state.lock();
                match state.queue.pop() {
                    Some(used) => (used.token, self.outcome(used.head)),
                    None if state.queue.fault().is_some() => return false,
                    None => {
                        let notify = self.move_on(&mut state);
                        drop(state);
                        if notify {
                            self.notifier.notify();
                        }
                        return true;
                    }
                }
            };
            (job.done)(outcome);
        }
    }

    /// The device broke the protocol and has been reset, which it has followed if `stopped`: fails everything it has.
    pub fn give_up(&self, stopped: bool) {
        loop {
            let job = {
                let mut state = self.state.lock();
                state.queue.drain().or_else(|| state.pending.pop_front())
            };
            let Some(Job { data, done, .. }) = job else { return };
            if !stopped {
                // It may still write there: the memory is lost rather than somebody else's.
                core::mem::forget(data);
            }
            done(Err(BlockError::DeviceBroken));
        }
    }

    /// Moves waiting jobs into the queue as far as there is room. Whether to tell the device.
    fn move_on(&self, state: &mut State) -> bool {
        while let Some(head) = state.queue.next_head()
            && let Some(job) = state.pending.front()
            && let Some(chain) = state.queue.prepare(self.buffers(head, job))
            && let Some(job) = state.pending.pop_front()
        {
            let entry = usize::from(head) * POOL_ENTRY_LEN;
            self.pool.store::<u32>(entry, job.kind);
            self.pool.store::<u32>(entry + 4, 0);
            self.pool.store::<u64>(entry + 8, job.sector);
            self.pool.store::<u8>(entry + STATUS_AT, STATUS_NOT_WRITTEN);
            state.queue.commit(chain, job);
        }
        state.queue.publish()
    }

    /// Header, data, status.
    fn buffers<'a>(&self, head: u16, job: &'a Job) -> impl Iterator<Item = Buffer> + Clone + 'a {
        let entry = self.pool.address().offset(u64::from(head) * POOL_ENTRY_LEN as u64);
        let header = Buffer { address: entry, len: HEADER_LEN, device_writes: false };
        let status = Buffer { address: entry.offset(STATUS_AT as u64), len: 1, device_writes: true };
        let device_writes = job.kind == TYPE_IN;
        let (segments, identity) = match &job.data {
            Data::Segments(segments) => (segments.as_slice(), None),
            Data::Identity(answer) => (&[][..], Some(answer)),
        };
        let segments = segments.iter().map(move |segment| Buffer {
            address: segment.frame.address().offset(segment.offset as u64),
            len: segment.len as u32,
            device_writes,
        });
        let identity = identity.into_iter().map(|answer| Buffer {
            address: answer.address(),
            len: ID_LEN as u32,
            device_writes: true,
        });
        iter::once(header).chain(segments).chain(identity).chain(iter::once(status))
    }

    fn outcome(&self, head: u16) -> Outcome {
        match self.pool.load::<u8>(usize::from(head) * POOL_ENTRY_LEN + STATUS_AT) {
            STATUS_OK => Ok(()),
            STATUS_UNSUPPORTED => Err(BlockError::Unsupported),
            _ => Err(BlockError::Io),
        }
    }
}
