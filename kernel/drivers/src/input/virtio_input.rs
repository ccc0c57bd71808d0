//! Virtio input devices (virtio 1.2, 5.8): keyboards, mice, tablets.
//!
//! The device fills the buffers of its event queue, eight bytes each, and gets each back at once; what it said waits in a
//! list for [`InputDevice::next_event`]. The status queue takes what its lights are to be. What the device says of itself
//! is read once. Lock: the queues' (rank `Queue`), for moments.

use super::{Axis, Broken, Event, Identity, InputDevice, PROPERTIES};
use crate::driver::{Bound, ProbeError, start_virtio};
use crate::pci::Claim;
use crate::virtio::transport::{DeviceConfig, Notifier, ResetControl};
use crate::virtio::{Buffer, QueueFault, Transport, VirtioError, Virtqueue, feature};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::iter;
use core::sync::atomic::{AtomicBool, Ordering};
use klib::virtio::input::{self as answer, EVENT_LEN};
use klib::virtio::text;
use machine::io::{DmaBuffer, DmaError};
use machine::irq::IrqLine;
use machine::sync::{IrqLock, Rank, WaitQueue};
use machine::time::{self, Instant};

const NAME: &str = "virtio-input";
/// Buffers of a queue at most, and at least: what a tablet says at once must fit.
const QUEUE_SIZE: u16 = 64;
const LEAST_QUEUE_SIZE: u16 = 4;
/// Events kept until they are taken; when there are more, all are dropped.
const MAX_EVENTS: usize = 256;

/// What can be selected in the configuration, and where what is selected is found (virtio 1.2, 5.8.4).
const SELECT_NAME: u8 = 0x01;
const SELECT_SERIAL: u8 = 0x02;
const SELECT_IDS: u8 = 0x03;
const SELECT_PROPERTIES: u8 = 0x10;
const SELECT_CODES: u8 = 0x11;
const SELECT_AXIS: u8 = 0x12;
const CONFIG_SELECT: usize = 0;
const CONFIG_SUBSELECT: usize = 1;
const CONFIG_SIZE: usize = 2;
const CONFIG_DATA: usize = 8;

/// Types of events (Linux's `input-event-codes.h`) there can be, those of axes, and of lights.
const TYPES: u16 = 0x20;
const TYPE_SYNCHRONISE: u16 = 0;
const TYPE_AXIS: u16 = 3;
const TYPE_LIGHT: u16 = 0x11;
/// The event that says that some were lost.
const CODE_DROPPED: u16 = 3;

/// An input device.
pub struct VirtioInput {
    identity: Identity,
    /// The codes of each type that the device has, and its properties.
    codes: Vec<(u16, Vec<u8>)>,
    axes: Vec<(u16, Axis)>,
    shared: Arc<Shared>,
    fault_logged: AtomicBool,
    _line: IrqLine,
    _transport: Transport,
}

/// What the interrupt handler works on.
struct Shared {
    state: IrqLock<State>,
    /// An event for each chain of the event queue, at its number, then for each of the status queue.
    memory: DmaBuffer,
    arrived: WaitQueue,
    event_notifier: Notifier,
    status_notifier: Notifier,
    reset: ResetControl,
}

struct State {
    events: Virtqueue<()>,
    status: Virtqueue<()>,
    waiting: VecDeque<Event>,
    fault: Option<Fault>,
}

/// What broke the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Queue(QueueFault),
    /// It says to have written so many bytes where an event belongs.
    Length(u32),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Queue(fault) => write!(f, "{fault}"),
            Fault::Length(len) => write!(f, "the device wrote an event of {len} bytes"),
        }
    }
}

/// Makes an input device of a claimed function.
pub fn probe(claim: Claim) -> Result<Bound<Arc<dyn InputDevice>>, ProbeError> {
    let mut transport = Transport::open(claim)?;
    transport.negotiate(feature::EVENT_IDX)?;
    let (identity, codes) = (read_identity(&transport)?, read_codes(&transport)?);
    let axes = read_axes(&transport, &codes)?;
    let (events, event_notifier) = transport.set_up_queue::<()>(0, QUEUE_SIZE, 0, 0)?;
    let (status, status_notifier) = transport.set_up_queue::<()>(1, QUEUE_SIZE, 0, 0)?;
    if events.size() < LEAST_QUEUE_SIZE {
        return Err(ProbeError::Unusable("its event queue is too short"));
    }
    let mut waiting = VecDeque::new();
    waiting.try_reserve_exact(MAX_EVENTS + 1).map_err(|_| DmaError::OutOfMemory)?;
    let shared = Arc::new(Shared {
        memory: DmaBuffer::new(usize::from(events.size() + status.size()) * EVENT_LEN)?,
        state: IrqLock::new("virtio-input queues", Rank::Queue, State { events, status, waiting, fault: None }),
        arrived: WaitQueue::new("an input event"),
        event_notifier,
        status_notifier,
        reset: transport.reset_control(),
    });
    let handler = shared.clone();
    let line = start_virtio(&mut transport, NAME, Box::new(move || handler.interrupt()))?;
    shared.give_all();
    let (vectors, agreement) = (Vec::from([line.vector()]), transport.agreement());
    let fault_logged = AtomicBool::new(false);
    let device = VirtioInput { identity, codes, axes, shared, fault_logged, _line: line, _transport: transport };
    Ok(Bound { device: Arc::new(device), vectors, virtio: Some(agreement) })
}

/// What the configuration holds of this; empty if nothing. Refused if it says to be longer than it can be.
fn select(transport: &Transport, what: u8, which: u8) -> Result<Vec<u8>, ProbeError> {
    let read = |config: &DeviceConfig| {
        config.set_field(CONFIG_SELECT, what)?;
        config.set_field(CONFIG_SUBSELECT, which)?;
        let Some(len) = answer::selected_len(config.field(CONFIG_SIZE)?) else {
            return Ok(Err(ProbeError::Unusable("its configuration says to be longer than it can be")));
        };
        let bytes =
            (0..len).map(|at| config.field::<u8>(CONFIG_DATA + at)).collect::<Result<Vec<u8>, VirtioError>>()?;
        Ok(Ok(bytes))
    };
    transport.read_config(read)?
}

fn read_identity(transport: &Transport) -> Result<Identity, ProbeError> {
    let select = |what| select(transport, what, 0);
    let (name, serial) = (text(&select(SELECT_NAME)?), text(&select(SELECT_SERIAL)?));
    Ok(Identity { name, serial, ids: answer::ids(&select(SELECT_IDS)?) })
}

fn read_codes(transport: &Transport) -> Result<Vec<(u16, Vec<u8>)>, ProbeError> {
    let mut codes = Vec::from([(PROPERTIES, select(transport, SELECT_PROPERTIES, 0)?)]);
    for kind in 1..TYPES {
        let bits = select(transport, SELECT_CODES, kind as u8)?;
        if !bits.is_empty() {
            codes.push((kind, bits));
        }
    }
    Ok(codes)
}

fn read_axes(transport: &Transport, codes: &[(u16, Vec<u8>)]) -> Result<Vec<(u16, Axis)>, ProbeError> {
    let bits = codes.iter().find(|(kind, _)| *kind == TYPE_AXIS).map_or(&[][..], |(_, bits)| bits);
    let mut axes = Vec::new();
    for code in answer::axes(bits) {
        let [minimum, maximum, fuzz, flat, resolution] = answer::axis(&select(transport, SELECT_AXIS, code as u8)?);
        axes.push((code, Axis { minimum, maximum, fuzz, flat, resolution }));
    }
    Ok(axes)
}

impl InputDevice for VirtioInput {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn codes(&self, kind: u16) -> &[u8] {
        self.codes.iter().find(|(other, _)| *other == kind).map_or(&[], |(_, bits)| bits)
    }

    fn axis(&self, code: u16) -> Option<Axis> {
        self.axes.iter().find(|(other, _)| *other == code).map(|&(_, axis)| axis)
    }

    fn next_event(&self, deadline: Option<Instant>) -> Result<Option<Event>, Broken> {
        let look = || {
            let mut state = self.shared.state.lock();
            // As on Linux the device is not heard where it says what it has not said to have.
            let declared = |event: &Event| answer::is_declared(event.kind, event.code, |kind| self.codes(kind));
            let event = core::iter::from_fn(|| state.waiting.pop_front()).find(declared);
            event.map(Ok).or(state.fault.map(Err))
        };
        match self.shared.arrived.wait_until(deadline, || false, look) {
            Ok(Ok(event)) => Ok(Some(event)),
            Ok(Err(fault)) => {
                if !self.fault_logged.swap(true, Ordering::Relaxed) {
                    log::error!("{NAME}: {}: {fault}; it is not used any more", self.identity.name);
                }
                Err(Broken)
            }
            Err(_) => Ok(None),
        }
    }

    /// A light that finds the queue full stays as it is.
    fn set_light(&self, code: u16, on: bool) {
        if self.has(TYPE_LIGHT, code) {
            self.shared.send(TYPE_LIGHT, code, on.into());
        }
    }
}

impl Shared {
    /// Gives the device all buffers of the event queue.
    fn give_all(&self) {
        let notify = {
            let mut state = self.state.lock();
            while state.give(&self.memory) {}
            state.events.publish()
        };
        if notify {
            self.event_notifier.notify();
        }
    }

    fn send(&self, kind: u16, code: u16, value: i32) {
        let notify = {
            let mut state = self.state.lock();
            let State { events, status, .. } = &mut *state;
            while status.pop().is_some() {}
            let Some(head) = status.next_head() else { return };
            let at = usize::from(events.size() + head) * EVENT_LEN;
            self.memory.store(at, kind);
            self.memory.store(at + 2, code);
            self.memory.store(at + 4, value as u32);
            let buffer = event_buffer(&self.memory, at, false);
            if let Some(chain) = status.prepare(iter::once(buffer)) {
                status.commit(chain, ());
            }
            status.publish()
        };
        if notify {
            self.status_notifier.notify();
        }
    }

    /// In interrupt context.
    fn interrupt(&self) {
        let notify = {
            let mut state = self.state.lock();
            state.take_events(&self.memory);
            while state.status.pop().is_some() {}
            let broken = state.events.fault().or(state.status.fault());
            state.fault = state.fault.or(broken.map(Fault::Queue));
            match state.fault {
                Some(_) => {
                    self.reset.reset_now();
                    false
                }
                None => state.events.publish(),
            }
        };
        if notify {
            self.event_notifier.notify();
        }
        self.arrived.wake_all();
    }
}

impl State {
    /// Keeps what the device has said, and gives it the buffers again.
    fn take_events(&mut self, memory: &DmaBuffer) {
        let time = time::now();
        while self.fault.is_none()
            && let Some(used) = self.events.pop()
        {
            let mut bytes = [0; EVENT_LEN];
            memory.read(usize::from(used.head) * EVENT_LEN, &mut bytes);
            let Some((kind, code, value)) = answer::event(&bytes, used.written) else {
                self.fault = Some(Fault::Length(used.written));
                return;
            };
            if self.waiting.len() >= MAX_EVENTS {
                self.waiting.clear();
                self.waiting.push_back(Event { time, kind: TYPE_SYNCHRONISE, code: CODE_DROPPED, value: 0 });
            }
            self.waiting.push_back(Event { time, kind, code, value });
            self.give(memory);
        }
    }

    /// Gives the device a buffer that it does not have; false if there is none.
    fn give(&mut self, memory: &DmaBuffer) -> bool {
        let Some(head) = self.events.next_head() else { return false };
        let buffer = event_buffer(memory, usize::from(head) * EVENT_LEN, true);
        self.events.prepare(iter::once(buffer)).map(|chain| self.events.commit(chain, ())).is_some()
    }
}

fn event_buffer(memory: &DmaBuffer, at: usize, device_writes: bool) -> Buffer {
    Buffer { address: memory.address().offset(at as u64), len: EVENT_LEN as u32, device_writes }
}
