//! Two queues of a console device, one for what comes in and one for what goes out: those of a port, or of the control messages.
//!
//! The device fills buffers of ours, which it gets back when what is in them has been taken, so that it has to wait for whoever
//! reads. What goes out waits here until the device has taken what it has: one piece at a time, so that nothing is lost when it
//! takes nothing. Lock: the state's (rank Queue), for moments, by the interrupt handler too.

use crate::driver::ProbeError;
use crate::virtio::transport::Notifier;
use crate::virtio::{Buffer, QueueFault, Transport, Virtqueue};
use alloc::collections::VecDeque;
use core::iter;
use machine::io::{DmaBuffer, DmaError};
use machine::sync::{IrqLock, Rank};

/// Bytes kept on their way out, and some more for echo and the like.
const OUT_LEN: usize = 4096;
const OUT_SLACK: usize = 1024;

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

struct State {
    input: Virtqueue<u16>,
    output: Virtqueue<()>,
    /// The buffers; there are none before the channel is used.
    memory: Option<DmaBuffer>,
    /// Buffers with something in them, the oldest first: which, and from where to where.
    filled: VecDeque<(u16, usize, usize)>,
    out: VecDeque<u8>,
    /// Bytes that the device has.
    sending: usize,
    held: bool,
    /// The device has taken something since this was asked.
    sent: bool,
    /// It said so of a buffer that has less room.
    overlong: Option<u32>,
}

impl Channel {
    /// The channel of the queues `first` and the one behind it.
    pub(super) fn new(transport: &mut Transport, first: u16, shape: Shape) -> Result<Self, ProbeError> {
        let (input, notify_input) = transport.set_up_queue(first, shape.buffers, 0, 0)?;
        let (output, notify_output) = transport.set_up_queue(first + 1, 1, 0, 0)?;
        let (mut filled, mut out) = (VecDeque::new(), VecDeque::new());
        let no_memory = |_| DmaError::OutOfMemory;
        filled.try_reserve_exact(shape.buffers.into()).map_err(no_memory)?;
        out.try_reserve_exact(OUT_LEN + OUT_SLACK).map_err(no_memory)?;
        let memory = None;
        let state = State { input, output, memory, filled, out, sending: 0, held: false, sent: false, overlong: None };
        let state = IrqLock::new("virtio-console queues", Rank::Queue, state);
        Ok(Channel { shape, state, notify_input, notify_output })
    }

    /// Lets the device fill buffers, if it does not already.
    pub(super) fn open(&self) -> Result<(), DmaError> {
        let Shape { buffers, buffer_len, out_len } = self.shape;
        let memory = DmaBuffer::new(usize::from(buffers) * buffer_len + out_len)?;
        self.change(|state| {
            if state.memory.is_none() {
                state.memory = Some(memory);
                for number in 0..state.input.size() {
                    state.give(number, &self.shape);
                }
            }
        });
        Ok(())
    }

    /// Copies what came in next, up to the end of a buffer: how many bytes. [`Channel::consume`] takes them.
    pub fn peek(&self, out: &mut [u8]) -> usize {
        let state = self.state.lock();
        let (Some(memory), Some(&(number, start, end))) = (&state.memory, state.filled.front()) else { return 0 };
        let len = (end - start).min(out.len());
        memory.read(usize::from(number) * self.shape.buffer_len + start, &mut out[..len]);
        len
    }

    /// Takes the next bytes that came in.
    pub fn consume(&self, len: usize) {
        self.change(|state| {
            let Some((number, start, end)) = state.filled.front_mut() else { return };
            *start = start.saturating_add(len);
            if *start >= *end {
                let number = *number;
                state.filled.pop_front();
                state.give(number, &self.shape);
            }
        });
    }

    /// Takes the next buffer that came in, as far as `out` has room: how many bytes.
    pub(super) fn take_buffer(&self, out: &mut [u8]) -> Option<usize> {
        let len = Some(self.peek(out)).filter(|&len| len > 0)?;
        self.consume(usize::MAX);
        Some(len)
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

    /// Queues bytes for which there is room: how many.
    pub fn offer(&self, bytes: &[u8]) -> usize {
        self.queue(bytes, OUT_LEN)
    }

    /// Queues bytes, with some room to spare for echo and the like: how many.
    pub fn send(&self, bytes: &[u8]) -> usize {
        self.queue(bytes, OUT_LEN + OUT_SLACK)
    }

    fn queue(&self, bytes: &[u8], most: usize) -> usize {
        self.change(|state| {
            let len = bytes.len().min(most.saturating_sub(state.out.len()));
            state.out.extend(&bytes[..len]);
            len
        })
    }

    /// Drops what waits.
    pub fn discard_output(&self) {
        self.change(|state| state.out.clear());
    }

    /// Holds output, or lets it go on.
    pub fn hold(&self, held: bool) {
        self.change(|state| state.held = held);
    }

    /// Whether the device has taken something since the last call.
    pub fn take_sent(&self) -> bool {
        core::mem::take(&mut self.state.lock().sent)
    }

    /// The impossible length that the device told, once.
    pub(super) fn take_overlong(&self) -> Option<u32> {
        self.state.lock().overlong.take()
    }

    /// In interrupt context. What broke the queues, if they are broken.
    pub(super) fn interrupt(&self) -> Result<(), QueueFault> {
        self.change(|state| {
            state.take_used(&self.shape);
            state.input.fault().or(state.output.fault()).map_or(Ok(()), Err)
        })
    }

    /// Changes the state, has the queues go on by it, and tells the device.
    fn change<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let (result, input, output) = {
            let mut state = self.state.lock();
            let result = f(&mut state);
            state.advance(&self.shape);
            (result, state.input.publish(), state.output.publish())
        };
        if input {
            self.notify_input.notify();
        }
        if output {
            self.notify_output.notify();
        }
        result
    }
}

impl State {
    /// Notes what the device has filled and taken.
    fn take_used(&mut self, shape: &Shape) {
        while let Some(used) = self.input.pop() {
            let len = used.written as usize;
            if (1..=shape.buffer_len).contains(&len) {
                self.filled.push_back((used.token, 0, len));
                continue;
            }
            if len > shape.buffer_len {
                self.overlong = Some(used.written);
            }
            self.give(used.token, shape);
        }
        while self.output.pop().is_some() {
            (self.sending, self.sent) = (0, true);
        }
    }

    /// Gives the device a buffer to fill.
    fn give(&mut self, number: u16, shape: &Shape) {
        let Some(memory) = &self.memory else { return };
        let address = memory.address().offset(u64::from(number) * shape.buffer_len as u64);
        let buffer = Buffer { address, len: shape.buffer_len as u32, device_writes: true };
        if let Some(chain) = self.input.prepare(iter::once(buffer)) {
            self.input.commit(chain, number);
        }
    }

    /// Gives the device the next piece of what waits, if it has none.
    fn advance(&mut self, shape: &Shape) {
        let Some(memory) = self.memory.as_ref().filter(|_| !self.held && self.sending == 0) else { return };
        let len = self.out.len().min(shape.out_len);
        let at = usize::from(shape.buffers) * shape.buffer_len;
        let buffer = Buffer { address: memory.address().offset(at as u64), len: len as u32, device_writes: false };
        if len > 0
            && let Some(chain) = self.output.prepare(iter::once(buffer))
        {
            let (first, second) = self.out.as_slices();
            let split = first.len().min(len);
            memory.write(at, &first[..split]);
            memory.write(at + split, &second[..len - split]);
            self.output.commit(chain, ());
            self.out.drain(..len);
            self.sending = len;
        }
    }
}
