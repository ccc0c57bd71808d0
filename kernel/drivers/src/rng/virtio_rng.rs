//! Virtio entropy sources (virtio 1.2, 5.4): one queue; the device fills what it is given, maybe in part.
//!
//! One reader at a time (the sleeping lock), one buffer. A buffer that the device still has after a timeout stays its own
//! until it gives it back. Locks: `reader`, inside it the queue's (rank `Queue`).

use super::{RandomError, RandomSource};
use crate::driver::{Bound, ProbeError, start_virtio};
use crate::pci::Claim;
use crate::virtio::transport::{Notifier, ResetControl};
use crate::virtio::{Buffer, Transport, Virtqueue, feature};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use core::time::Duration;
use machine::hooks;
use machine::io::DmaBuffer;
use machine::irq::IrqLine;
use machine::sync::{IrqLock, Mutex, Rank, WaitQueue};
use machine::time;

const NAME: &str = "virtio-rng";
/// Bytes asked for at once.
const BUFFER_LEN: usize = 256;
/// Only one request is ever in flight.
const QUEUE_SIZE: u16 = 4;
const TIMEOUT: Duration = Duration::from_secs(5);

/// An entropy source.
pub struct VirtioRandom {
    /// Held by whoever waits for bytes.
    reader: Mutex<()>,
    shared: Arc<Shared>,
    _line: IrqLine,
    _transport: Transport,
}

struct Shared {
    state: IrqLock<State>,
    buffer: DmaBuffer,
    answered: WaitQueue,
    notifier: Notifier,
    reset: ResetControl,
}

struct State {
    queue: Virtqueue<()>,
    /// Bytes in the buffer that the device has given back.
    ready: Option<usize>,
    /// Requests, and answers to them, ever.
    sent: u64,
    answered: u64,
}

/// Makes an entropy source of a claimed function.
pub fn probe(claim: Claim) -> Result<Bound<Arc<dyn RandomSource>>, ProbeError> {
    let mut transport = Transport::open(claim)?;
    transport.negotiate(feature::EVENT_IDX)?;
    let (queue, notifier) = transport.set_up_queue::<()>(0, QUEUE_SIZE, 0, 0)?;
    let shared = Arc::new(Shared {
        state: IrqLock::new("virtio-rng queue", Rank::Queue, State { queue, ready: None, sent: 0, answered: 0 }),
        buffer: DmaBuffer::new(BUFFER_LEN)?,
        answered: WaitQueue::bounded("random bytes"),
        notifier,
        reset: transport.reset_control(),
    });
    let handler = shared.clone();
    let line = start_virtio(&mut transport, NAME, Box::new(move || handler.interrupt()))?;
    let (vectors, agreement) = (Vec::from([line.vector()]), transport.agreement());
    let source = VirtioRandom { reader: Mutex::new("random bytes", ()), shared, _line: line, _transport: transport };
    Ok(Bound { device: Arc::new(source), vectors, virtio: Some(agreement) })
}

impl RandomSource for VirtioRandom {
    fn name(&self) -> &str {
        NAME
    }

    fn read(&self, out: &mut [u8]) -> Result<(), RandomError> {
        let _one = self.reader.lock();
        // Not before: others may be served first for long.
        let deadline = time::now() + TIMEOUT;
        let mut filled = 0;
        while filled < out.len() {
            let rest = &mut out[filled..];
            self.shared.ask();
            let len = self.shared.wait(deadline)?.min(rest.len());
            self.shared.buffer.read(0, &mut rest[..len]);
            filled += len;
        }
        Ok(())
    }

    fn requests(&self) -> (u64, u64) {
        let state = self.shared.state.lock();
        (state.sent, state.answered)
    }
}

impl Shared {
    /// Gives the buffer to the device, unless it has it.
    fn ask(&self) {
        let notify = {
            let mut state = self.state.lock();
            state.ready = None;
            if state.queue.in_flight() != 0 {
                return;
            }
            let buffer =
                Buffer { address: self.buffer.address(), len: self.buffer.len_bytes() as u32, device_writes: true };
            if let Some(chain) = state.queue.prepare(iter::once(buffer)) {
                state.queue.commit(chain, ());
                state.sent += 1;
            }
            state.queue.publish()
        };
        if notify {
            self.notifier.notify();
        }
    }

    /// Sleeps until the device has given the buffer back; how many bytes are in it.
    fn wait(&self, deadline: time::Instant) -> Result<usize, RandomError> {
        let look = || {
            let state = self.state.lock();
            match state.queue.fault() {
                Some(_) => Some(Err(RandomError::DeviceBroken)),
                None => state.ready.map(Ok),
            }
        };
        if hooks::single_tasking() {
            while time::now() < deadline {
                if let Some(result) = look() {
                    return result;
                }
                core::hint::spin_loop();
            }
            return Err(RandomError::Timeout);
        }
        self.answered.wait_until(Some(deadline), || false, look).unwrap_or(Err(RandomError::Timeout))
    }

    /// In interrupt context.
    fn interrupt(&self) {
        {
            let mut state = self.state.lock();
            while let Some(used) = state.queue.pop() {
                // The device says how many; more than there is room for it cannot have written.
                state.answered += 1;
                state.ready = Some((used.written as usize).min(self.buffer.len_bytes()));
            }
            if state.queue.fault().is_some() {
                self.reset.reset_now();
            }
        }
        self.answered.wake_all();
    }
}
