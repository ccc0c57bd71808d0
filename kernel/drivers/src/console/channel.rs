//! Two queues of a console device, one for what comes in and one for what goes out: those of a port, or of the control messages.
//!
//! The device fills buffers of ours, which it gets back when what is in them has been taken, so that it has to wait for whoever
//! reads. What goes out waits here until the device has taken what it has: one piece at a time, so that nothing is lost when it
//! takes nothing. Lock: the state's (rank Queue), for moments, by the interrupt handler too.

use crate::driver::ProbeError;
use crate::virtio::transport::Notifier;
use crate::virtio::{Buffer, Transport, Virtqueue};
use alloc::collections::VecDeque;
use core::iter;
use machine::io::{DmaBuffer, DmaError};
use machine::sync::{IrqLock, Rank};

/// Bytes kept on their way out, and some more for echo and the like.
const OUT_LEN: usize = 4096;
const OUT_SLACK: usize = 1024;
/// Chains there can be for what goes out. One is enough but for those that a device keeps for good when a port goes.
const OUTPUT_SIZE: u16 = 16;
/// Most buffers for what comes in.
const MAX_BUFFERS: usize = 32;

/// How a channel's memory is divided: buffers for what comes in, and one for what goes out.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub buffers: u16,
    pub buffer_len: usize,
    pub out_len: usize,
}

/// Two queues.
pub struct Channel {
    shape: Shape,
    state: IrqLock<State>,
    notify_input: Notifier,
    notify_output: Notifier,
}

/// What was wrong in an interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    /// A buffer has less room than the device says to have filled.
    Overlong,
    /// A queue is broken.
    Broken,
}

struct State {
    input: Virtqueue<()>,
    output: Virtqueue<()>,
    /// The buffers; there are none before the channel is used.
    memory: Option<DmaBuffer>,
    /// Which buffer is in which chain.
    chains: [u8; MAX_BUFFERS],
    /// Buffers with something in them, the oldest first, of which so much has been taken, and how much is in each.
    filled: VecDeque<u8>,
    taken: usize,
    lens: [u16; MAX_BUFFERS],
    out: VecDeque<u8>,
    /// Bytes that the device has.
    sending: usize,
    held: bool,
    /// The device has taken something since this was asked.
    sent: bool,
}

impl Channel {
    /// The channel of the queues `first` and the one behind it.
    pub(super) fn new(transport: &mut Transport, first: u16, shape: Shape) -> Result<Self, ProbeError> {
        let (input, notify_input) = transport.set_up_queue(first, shape.buffers, 0, 0)?;
        let (output, notify_output) = transport.set_up_queue(first + 1, OUTPUT_SIZE, 0, 0)?;
        let [mut filled, mut out] = [VecDeque::new(), VecDeque::new()];
        for (queue, len) in [(&mut filled, MAX_BUFFERS), (&mut out, OUT_LEN + OUT_SLACK)] {
            queue.try_reserve_exact(len).map_err(|_| DmaError::OutOfMemory)?;
        }
        let state = State {
            input,
            output,
            memory: None,
            chains: [0; MAX_BUFFERS],
            filled,
            taken: 0,
            lens: [0; MAX_BUFFERS],
            out,
            sending: 0,
            held: false,
            sent: false,
        };
        let state = IrqLock::new("virtio-console queues", Rank::Queue, state);
        Ok(Channel { shape, state, notify_input, notify_output })
    }

    /// Lets the device fill buffers, if it does not already. What it was to send it has forgotten.
    pub(super) fn open(&self) -> Result<(), DmaError> {
        let Shape { buffers, buffer_len, out_len } = self.shape;
        let mut memory = Some(DmaBuffer::new(usize::from(buffers) * buffer_len + out_len)?);
        self.change(&mut |state| {
            state.sending = 0;
            if state.memory.is_none() {
                state.memory = memory.take();
                (0..state.input.size()).for_each(|number| state.give(number as u8, &self.shape));
            }
        });
        Ok(())
    }

    /// Copies what came in next, up to the end of a buffer: how many bytes. [`Channel::consume`] takes them.
    pub fn peek(&self, out: &mut [u8]) -> usize {
        let state = self.state.lock();
        let (Some(memory), Some(&number)) = (&state.memory, state.filled.front()) else { return 0 };
        let number = usize::from(number);
        let len = (usize::from(state.lens[number]) - state.taken).min(out.len());
        memory.read(number * self.shape.buffer_len + state.taken, &mut out[..len]);
        len
    }

    /// Takes the next bytes that came in, up to the end of a buffer.
    pub fn consume(&self, len: usize) {
        self.change(&mut |state| {
            let Some(&number) = state.filled.front() else { return };
            state.taken = state.taken.saturating_add(len);
            if state.taken >= state.lens[usize::from(number)].into() {
                state.filled.pop_front();
                state.taken = 0;
                state.give(number, &self.shape);
            }
        });
    }

    /// Whether something has come in.
    pub fn has_input(&self) -> bool {
        !self.state.lock().filled.is_empty()
    }

    /// Drops what came in.
    pub fn discard_input(&self) {
        while self.has_input() {
            self.consume(usize::MAX);
        }
    }

    /// Bytes of output that there is room for.
    pub fn room(&self) -> usize {
        OUT_LEN.saturating_sub(self.state.lock().out.len())
    }

    /// Bytes that wait, or that the device has.
    pub fn unsent(&self) -> usize {
        let state = self.state.lock();
        state.out.len() + state.sending
    }

    /// Queues bytes for which there is room, with some to spare for echo and the like if it is `urgent`: how many.
    pub fn send(&self, bytes: &[u8], urgent: bool) -> usize {
        let most = if urgent { OUT_LEN + OUT_SLACK } else { OUT_LEN };
        let mut len = bytes.len();
        self.change(&mut |state| {
            len = len.min(most.saturating_sub(state.out.len()));
            state.out.extend(&bytes[..len]);
        });
        len
    }

    /// Drops what waits.
    pub fn discard_output(&self) {
        self.change(&mut |state| state.out.clear());
    }

    /// Holds output, or lets it go on.
    pub fn hold(&self, held: bool) {
        self.change(&mut |state| state.held = held);
    }

    /// Whether the device has taken something since the last call.
    pub fn take_sent(&self) -> bool {
        core::mem::take(&mut self.state.lock().sent)
    }

    /// In interrupt context.
    pub(super) fn interrupt(&self) -> Option<Wrong> {
        let mut wrong = None;
        self.change(&mut |state| wrong = state.take_used(&self.shape));
        wrong
    }

    /// Changes the state, has the queues go on by it, and tells the device.
    fn change(&self, f: &mut dyn FnMut(&mut State)) {
        let mut state = self.state.lock();
        f(&mut state);
        let [input, output] = state.go_on(&self.shape);
        drop(state);
        if input {
            self.notify_input.notify();
        }
        if output {
            self.notify_output.notify();
        }
    }
}

impl State {
    /// Notes what the device has filled and taken.
    fn take_used(&mut self, shape: &Shape) -> Option<Wrong> {
        let mut wrong = None;
        while let Some(used) = self.input.pop() {
            let (number, len) = (self.chains[usize::from(used.head)], used.written as usize);
            if (1..=shape.buffer_len).contains(&len) {
                self.lens[usize::from(number)] = len as u16;
                self.filled.push_back(number);
            } else {
                wrong = (len > 0).then_some(Wrong::Overlong).or(wrong);
                self.give(number, shape);
            }
        }
        while self.output.pop().is_some() {
            (self.sending, self.sent) = (0, true);
        }
        let broken = self.input.fault().or(self.output.fault());
        broken.map(|_| Wrong::Broken).or(wrong)
    }

    /// Gives the device a buffer to fill.
    fn give(&mut self, number: u8, shape: &Shape) {
        let at = usize::from(number) * shape.buffer_len;
        if let Some(head) = self.input.next_head()
            && let Some(memory) = &self.memory
            && add(&mut self.input, memory, at, shape.buffer_len, true)
        {
            self.chains[usize::from(head)] = number;
        }
    }

    /// Gives the device the next piece of what waits, if it has none. Whether it is to be told of what came in, and of what goes out.
    fn go_on(&mut self, shape: &Shape) -> [bool; 2] {
        let len = self.out.len().min(shape.out_len);
        let at = usize::from(shape.buffers) * shape.buffer_len;
        if !self.held
            && self.sending == 0
            && len > 0
            && let Some(memory) = &self.memory
            && add(&mut self.output, memory, at, len, false)
        {
            // Before it is made available.
            for place in at..at + len {
                memory.store(place, self.out.pop_front().unwrap_or(0));
            }
            self.sending = len;
        }
        [self.input.publish(), self.output.publish()]
    }
}

/// Adds a part of the memory to a queue; false if there is no room.
fn add(queue: &mut Virtqueue<()>, memory: &DmaBuffer, at: usize, len: usize, device_writes: bool) -> bool {
    let buffer = Buffer { address: memory.address().offset(at as u64), len: len as u32, device_writes };
    queue.prepare(iter::once(buffer)).map(|chain| queue.commit(chain, ())).is_some()
}
