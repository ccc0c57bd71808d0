//! `/dev/input/eventN`: the events of a device, for any number of readers, and what the device is. As Linux's evdev; of its
//! requests those are here that ask, and EVIOCGRAB and EVIOCSCLOCKID. Nothing can be written.
//!
//! Lock: the node's (rank File), for moments, by readers and by the device's task.

use crate::clock;
use crate::ipc::eventfd::attempt;
use crate::vfs::{FileOperations, Result, Sink, flags};
use abi::input::{
    self, EV_KEY, EV_SYN, EVIOC_TYPE, EVIOCGID, EVIOCGRAB, EVIOCGVERSION, EVIOCSCLOCKID, InputAbsInfo, InputEvent,
    InputId,
};
use abi::time::{CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME};
use abi::{Errno, Pod};
use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::input::{Axis, Event, InputDevice, PROPERTIES};
use klib::input::{Backlog, DeviceState};
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::user::{copy, value};

/// Direction of requests that only read, in their highest bits (`_IOC_READ`).
const READS: u32 = 2;
/// Bits of a word: a set of bits is as many words as it needs.
const WORD_BITS: usize = 64;
/// Most bytes of a set of bits.
const MAX_BITS_LEN: usize = input::KEY_CNT / 8;
/// Properties there can be.
const PROPERTY_COUNT: usize = 0x20;

/// The node of a device.
pub(super) struct Node {
    pub device: Arc<dyn InputDevice>,
    state: SpinLock<State>,
}

struct State {
    device: DeviceState,
    readers: Vec<ReaderState>,
    /// The reader that has the device for itself.
    grabber: Option<u64>,
    /// What the next reader is known by.
    next: u64,
    /// The device is broken.
    ended: bool,
}

struct ReaderState {
    number: u64,
    backlog: Backlog,
    /// Times are those of the wall clock.
    realtime: bool,
    arrived: Arc<WaitQueue>,
}

/// An opened node.
struct Reader {
    node: Arc<Node>,
    number: u64,
    arrived: Arc<WaitQueue>,
}

impl Node {
    pub fn new(device: Arc<dyn InputDevice>) -> Self {
        let state = State { device: DeviceState::new(), readers: Vec::new(), grabber: None, next: 0, ended: false };
        Node { device, state: SpinLock::new("input node", Rank::File, state) }
    }

    /// Hands an event to all readers, or to the one that has the device for itself: whether there is one.
    pub fn deliver(&self, event: Event) -> bool {
        let mut state = self.state.lock();
        state.device.note(event.kind, event.code, event.value);
        let grabber = state.grabber;
        for reader in state.readers.iter_mut().filter(|reader| grabber.is_none_or(|one| one == reader.number)) {
            let base_ns = if reader.realtime { clock::boot_time_ns() } else { 0 };
            let usec = (base_ns + event.time.as_ns()) / 1000;
            let (sec, usec) = ((usec / 1_000_000) as i64, (usec % 1_000_000) as i64);
            let Event { kind, code, value, .. } = event;
            if reader.backlog.push(InputEvent { sec, usec, kind, code, value }) {
                reader.arrived.wake_all();
            }
        }
        grabber.is_some()
    }

    /// The device is broken: readers are told so.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.readers.iter().for_each(|reader| reader.arrived.wake_all());
    }
}

/// Each opening is a reader of its own.
pub(super) struct Opener(pub Arc<Node>);

impl FileOperations for Opener {
    fn open(&self, _: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let backlog = Backlog::new().map_err(|_| Errno::ENOMEM)?;
        let arrived = Arc::new(WaitQueue::new("an input event to read"));
        let mut state = self.0.state.lock();
        if state.ended {
            return Err(Errno::ENODEV);
        }
        state.readers.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let number = state.next;
        state.next += 1;
        state.readers.push(ReaderState { number, backlog, realtime: true, arrived: arrived.clone() });
        drop(state);
        Ok(Some(Arc::new(Reader { node: self.0.clone(), number, arrived })))
    }
}

impl Reader {
    /// Calls `f` with this reader's part; ENODEV if the device is broken.
    fn with<R>(&self, f: impl FnOnce(&mut ReaderState) -> R) -> Result<R> {
        let mut state = self.node.state.lock();
        let ended = state.ended;
        let own = state.readers.iter_mut().find(|reader| reader.number == self.number && !ended);
        own.map(f).ok_or(Errno::ENODEV)
    }

    fn next(&self) -> Result<Option<InputEvent>> {
        self.with(|own| own.backlog.pop())
    }

    fn grab(&self, on: bool) -> Result<u64> {
        let mut state = self.node.state.lock();
        match (state.grabber, on) {
            (None, true) => state.grabber = Some(self.number),
            (Some(_), true) => return Err(Errno::EBUSY),
            (Some(number), false) if number == self.number => state.grabber = None,
            (_, false) => return Err(Errno::EINVAL),
        }
        Ok(0)
    }

    fn set_clock(&self, argument: u64) -> Result<u64> {
        let clock = value::get::<i32>(argument)?;
        let realtime = match clock as u32 {
            CLOCK_REALTIME => true,
            CLOCK_MONOTONIC | CLOCK_BOOTTIME => false,
            _ => return Err(Errno::EINVAL),
        };
        self.with(|own| own.realtime = realtime)?;
        Ok(0)
    }

    /// Requests that say how much memory there is.
    fn sized(&self, number: u32, len: usize, argument: u64) -> Result<u64> {
        let device = &self.node.device;
        let text = |text: &str| put_bytes(argument, len, &[text.as_bytes(), b"\0"].concat());
        match number {
            input::NR_NAME => text(&device.identity().name),
            input::NR_UNIQ => text(&device.identity().serial),
            input::NR_PROP => put_bits(argument, len, device.codes(PROPERTIES), PROPERTY_COUNT),
            input::NR_KEY => {
                let mut state = self.node.state.lock();
                let keys = state.device.keys;
                // Those that are told of by this need not be read.
                let own = state.readers.iter_mut().find(|reader| reader.number == self.number);
                own.into_iter().for_each(|own| own.backlog.forget(EV_KEY));
                drop(state);
                put_bits(argument, len, &keys, input::KEY_CNT)
            }
            input::NR_BIT..input::NR_ABS => {
                let kind = (number - input::NR_BIT) as u16;
                let count = input::code_count(kind).ok_or(Errno::EINVAL)?;
                match kind {
                    EV_SYN => put_bits(argument, len, &types(&**device), count),
                    _ => put_bits(argument, len, device.codes(kind), count),
                }
            }
            input::NR_ABS..input::NR_ABS_END => {
                let code = number - input::NR_ABS;
                let axis = device.axis(code as u16).ok_or(Errno::EINVAL)?;
                let Axis { minimum, maximum, fuzz, flat, resolution } = axis;
                let value = self.node.state.lock().device.axes[code as usize];
                let info = InputAbsInfo { value, minimum, maximum, fuzz, flat, resolution };
                info.with_bytes(|bytes| put_bytes(argument, len, bytes)).map(|_| 0)
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl FileOperations for Reader {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        let before = sink.remaining();
        if before < InputEvent::SIZE {
            return if before == 0 { Ok(0) } else { Err(Errno::EINVAL) };
        }
        let mut next = Some(attempt(&self.arrived, file_flags, || self.next().transpose())??);
        while let Some(event) = next {
            event.with_bytes(|bytes| sink.put(bytes))?;
            next = if sink.remaining() < InputEvent::SIZE { None } else { self.next()? };
        }
        Ok(before - sink.remaining())
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        self.with(|_| ())?;
        match command {
            EVIOCGVERSION => input::EV_VERSION.with_bytes(|bytes| put_bytes(argument, bytes.len(), bytes)).map(|_| 0),
            EVIOCGID => {
                let [bus, vendor, product, version] = self.node.device.identity().ids;
                let id = InputId { bus, vendor, product, version };
                id.with_bytes(|bytes| put_bytes(argument, bytes.len(), bytes)).map(|_| 0)
            }
            EVIOCGRAB => self.grab(argument != 0),
            EVIOCSCLOCKID => self.set_clock(argument),
            _ if command >> 30 == READS && command >> 8 & 0xff == EVIOC_TYPE => {
                self.sized(command & 0xff, (command >> 16 & 0x3fff) as usize, argument)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn poll(&self) -> u32 {
        match self.with(|own| own.backlog.is_readable()) {
            Ok(true) => flags::POLLIN | flags::POLLRDNORM,
            Ok(false) => 0,
            Err(_) => flags::POLLHUP | flags::POLLERR,
        }
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.arrived), None]
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.node.state.lock();
        if state.grabber == Some(self.number) {
            state.grabber = None;
        }
        let at = state.readers.iter().position(|reader| reader.number == self.number);
        let own = at.map(|at| state.readers.swap_remove(at));
        drop(state);
        drop(own);
    }
}

/// The types of events that a device has, a bit for each.
fn types(device: &dyn InputDevice) -> [u8; input::EV_CNT / 8] {
    let mut bits = [0; input::EV_CNT / 8];
    for kind in (0..input::EV_CNT).filter(|&kind| kind == EV_SYN.into() || !device.codes(kind as u16).is_empty()) {
        bits[kind / 8] |= 1 << (kind % 8);
    }
    bits
}

/// Copies out a set of `count` bits, of which `bits` are the first, as the words that hold it; how many bytes.
fn put_bits(address: u64, len: usize, bits: &[u8], count: usize) -> Result<u64> {
    let mut words = [0; MAX_BITS_LEN];
    let known = bits.len().min(count.div_ceil(8));
    words[..known].copy_from_slice(&bits[..known]);
    put_bytes(address, len, &words[..count.div_ceil(WORD_BITS) * (WORD_BITS / 8)])
}

/// Copies out as much as there is memory for; how many bytes.
fn put_bytes(address: u64, len: usize, bytes: &[u8]) -> Result<u64> {
    let bytes = &bytes[..bytes.len().min(len)];
    copy::write(address, bytes).map_err(|_| Errno::EFAULT)?;
    Ok(bytes.len() as u64)
}
