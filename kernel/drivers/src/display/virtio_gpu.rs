//! Virtio graphics devices (virtio 1.2, 5.7), their 2D part: a picture in our memory, of which the device is told what has
//! changed.
//!
//! One command after the other goes through the control queue, request and answer in a pool at the number of the chain.
//! What is asked of the device at the probe is only which screen it has: a device that is also a VGA card goes on as
//! that until [`VirtioGpu::show`]. A device that answers wrong or not at all is reset and not used any more.
//!
//! Locks: `sending`, a sleeping lock, for one command; inside it the queue's (rank `Queue`). A panic takes the queue's alone,
//! and only if it is free, and polls: if it hit the few instructions that hold that lock, its text is not on the screen.

use super::DisplayError;
use crate::driver::{Bound, ProbeError, start_virtio};
use crate::pci::Claim;
use crate::virtio::transport::{Notifier, ResetControl};
use crate::virtio::{Buffer, QueueFault, Transport, Virtqueue, feature};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use klib::virtio::gpu::{self, BadAnswer, DISPLAY_INFO_LEN, HEADER_LEN, MAX_PIXELS, Screen};
use machine::hooks;
use machine::io::{DmaBuffer, Framebuffer};
use machine::irq::IrqLine;
use machine::panic::panicking;
use machine::sync::{IrqLock, Mutex, Rank, WaitQueue};
use machine::time;

const NAME: &str = "virtio-gpu";
/// Descriptors; a command takes two.
const QUEUE_SIZE: u16 = 8;
const LEAST_QUEUE_SIZE: u16 = 2;
const TIMEOUT: Duration = Duration::from_secs(5);
/// A panic does not wait as long.
const PANIC_TIMEOUT: Duration = Duration::from_millis(200);

/// Commands, and the answers that are good (virtio 1.2, 5.7.6.7).
const GET_DISPLAY_INFO: u32 = 0x0100;
const RESOURCE_CREATE_2D: u32 = 0x0101;
const SET_SCANOUT: u32 = 0x0103;
const RESOURCE_FLUSH: u32 = 0x0104;
const TRANSFER_TO_HOST_2D: u32 = 0x0105;
const RESOURCE_ATTACH_BACKING: u32 = 0x0106;
const OK_NO_DATA: u32 = 0x1100;
const OK_DISPLAY_INFO: u32 = 0x1101;
/// Blue in the lowest byte of four, as [`Framebuffer::in_memory`] has it.
const FORMAT_B8G8R8X8: u32 = 2;
/// The number of the one picture that we have.
const PICTURE: u32 = 1;

/// Layout of a pool entry: the request, the answer.
const ENTRY_LEN: usize = 2048;
const ANSWER_AT: usize = 1536;
const _: () = assert!(ANSWER_AT + DISPLAY_INFO_LEN <= ENTRY_LEN);
/// Pixels have four bytes each, in pieces of a mebibyte; what names the pieces fits into an entry.
const _: () = assert!(HEADER_LEN + 8 + ((MAX_PIXELS as usize * 4) >> 20) * 16 <= ANSWER_AT);

/// What went wrong with a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GpuError {
    /// There was no answer in time to this command.
    Timeout(u32),
    /// The answer to this command is wrong.
    Answer(u32, BadAnswer),
    /// The queue is broken.
    Queue(QueueFault),
    /// The queue is full, or another's while a panic needs it.
    Busy,
    /// It has failed before.
    Broken,
}

impl fmt::Display for GpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GpuError::Timeout(command) => write!(f, "no answer to command {command:#x}"),
            GpuError::Answer(command, answer) => write!(f, "the answer to command {command:#x} {answer}"),
            GpuError::Queue(fault) => write!(f, "{fault}"),
            GpuError::Busy => write!(f, "its queue is in use"),
            GpuError::Broken => write!(f, "it is not used any more"),
        }
    }
}

/// A graphics device.
pub struct VirtioGpu {
    shared: Arc<Shared>,
    /// The first screen that is there.
    screen: Screen,
    /// Held while a command is under way.
    sending: Mutex<()>,
    broken: AtomicBool,
    _line: IrqLine,
    _transport: Transport,
}

/// What the interrupt handler works on.
struct Shared {
    state: IrqLock<State>,
    pool: DmaBuffer,
    answered: WaitQueue,
    notifier: Notifier,
    reset: ResetControl,
}

struct State {
    queue: Virtqueue<()>,
    /// By the number of the chain: how many bytes the answer has, once it is there.
    answers: [Option<u32>; QUEUE_SIZE as usize],
}

/// A rectangle of pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rectangle {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// Makes a graphics device of a claimed function, and asks for its screen.
pub fn probe(claim: Claim) -> Result<Bound<Arc<VirtioGpu>>, ProbeError> {
    let mut transport = Transport::open(claim)?;
    transport.negotiate(feature::EVENT_IDX)?;
    let (queue, notifier) = transport.set_up_queue::<()>(0, QUEUE_SIZE, 0, 0)?;
    if queue.size() < LEAST_QUEUE_SIZE {
        return Err(ProbeError::Unusable("its queue is too short for a command"));
    }
    let shared = Arc::new(Shared {
        pool: DmaBuffer::new(usize::from(queue.size()) * ENTRY_LEN)?,
        state: IrqLock::new("virtio-gpu queue", Rank::Queue, State { queue, answers: [None; QUEUE_SIZE as usize] }),
        answered: WaitQueue::bounded("graphics command"),
        notifier,
        reset: transport.reset_control(),
    });
    let handler = shared.clone();
    let line = start_virtio(&mut transport, NAME, Box::new(move || handler.interrupt()))?;
    let screen = shared.first_screen().map_err(|error| {
        log::warn!("{NAME}: {error}");
        ProbeError::Unusable("it does not tell its screens")
    })?;
    let screen = screen.ok_or(ProbeError::Unusable("no screen is connected"))?;
    if !screen.is_possible() {
        return Err(ProbeError::Unusable("its screen has an impossible size"));
    }
    log::debug!("{NAME}: screen {} has {} x {} pixels", screen.number, screen.width, screen.height);
    let (vectors, virtio) = (Vec::from([line.vector()]), Some(transport.agreement()));
    let (sending, broken) = (Mutex::new("graphics device", ()), AtomicBool::new(false));
    let device = Arc::new(VirtioGpu { shared, screen, sending, broken, _line: line, _transport: transport });
    Ok(Bound { device, vectors, virtio })
}

impl VirtioGpu {
    /// Width and height of its screen.
    pub fn size(&self) -> (u32, u32) {
        (self.screen.width, self.screen.height)
    }

    /// Makes a picture for the whole screen and shows it. Called once; where it fails the device has no memory of ours.
    pub(super) fn show(&self) -> Result<Framebuffer, DisplayError> {
        let (width, height) = self.size();
        let picture = Framebuffer::in_memory(width, height).map_err(DisplayError::Framebuffer)?;
        let pieces = picture.pieces().count() as u32;
        let mut backing = Vec::from([PICTURE, pieces]);
        for (address, len) in picture.pieces() {
            backing.extend([address.get() as u32, (address.get() >> 32) as u32, len as u32, 0]);
        }
        let all = Rectangle { x: 0, y: 0, width, height };
        let scanout = [0, 0, width, height, self.screen.number, PICTURE];
        self.command(RESOURCE_CREATE_2D, &[PICTURE, FORMAT_B8G8R8X8, width, height])
            .and_then(|()| self.command(RESOURCE_ATTACH_BACKING, &backing))
            .and_then(|()| self.command(SET_SCANOUT, &scanout))
            .and_then(|()| self.send(all))
            .map_err(|error| DisplayError::Gpu(self.give_up(error)))?;
        Ok(picture)
    }

    /// Brings a part of the picture to the screen. After a failure the device is not used any more; in a panic it keeps
    /// what it shows.
    pub(super) fn update(&self, part: Rectangle) {
        match self.send(part) {
            Ok(()) | Err(GpuError::Broken) => {}
            Err(_) if panicking() => self.broken.store(true, Ordering::Relaxed),
            Err(error) => log::error!("{NAME}: {}; the screen is dark from now on", self.give_up(error)),
        }
    }

    fn send(&self, part: Rectangle) -> Result<(), GpuError> {
        let Rectangle { x, y, width, height } = part;
        let offset = (u64::from(y) * u64::from(self.screen.width) + u64::from(x)) * 4;
        let (low, high) = (offset as u32, (offset >> 32) as u32);
        self.command(TRANSFER_TO_HOST_2D, &[x, y, width, height, low, high, PICTURE, 0])?;
        self.command(RESOURCE_FLUSH, &[x, y, width, height, PICTURE, 0])
    }

    fn command(&self, command: u32, words: &[u32]) -> Result<(), GpuError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(GpuError::Broken);
        }
        // In a panic nobody else runs, and whoever holds the lock will not let go of it.
        let _one = (!panicking()).then(|| self.sending.lock());
        self.shared.command(command, words, OK_NO_DATA, &mut [0; HEADER_LEN])
    }

    /// Stops the device.
    fn give_up(&self, error: GpuError) -> GpuError {
        self.broken.store(true, Ordering::Relaxed);
        self.shared.reset.reset_now();
        error
    }
}

impl Shared {
    /// The first screen that is there.
    fn first_screen(&self) -> Result<Option<Screen>, GpuError> {
        let mut answer = [0; DISPLAY_INFO_LEN];
        self.command(GET_DISPLAY_INFO, &[], OK_DISPLAY_INFO, &mut answer)?;
        Ok(gpu::first_screen(&answer))
    }

    /// Has the device do a command with these words behind the header, and give an answer of type `good` that fills `answer`.
    fn command(&self, command: u32, words: &[u32], good: u32, answer: &mut [u8]) -> Result<(), GpuError> {
        let head = self.submit(command, words, answer.len() as u32)?;
        let len = self.wait(command, head)?;
        self.pool.read(usize::from(head) * ENTRY_LEN + ANSWER_AT, answer);
        gpu::check(answer, len, good).map_err(|error| GpuError::Answer(command, error))
    }

    /// Gives the device a command: the number of the chain.
    fn submit(&self, command: u32, words: &[u32], answer_len: u32) -> Result<u16, GpuError> {
        let (head, notify) = {
            let mut state = if panicking() { self.state.try_lock().ok_or(GpuError::Busy)? } else { self.state.lock() };
            let head = state.queue.next_head().ok_or(GpuError::Busy)?;
            let at = usize::from(head) * ENTRY_LEN;
            let header = [command, 0, 0, 0, 0, 0];
            for (index, &word) in header.iter().chain(words).enumerate() {
                self.pool.store(at + index * 4, word);
            }
            let piece = |at: usize, len, device_writes| {
                let address = self.pool.address().offset(at as u64);
                Buffer { address, len, device_writes }
            };
            let len = (HEADER_LEN + 4 * words.len()) as u32;
            let buffers = [piece(at, len, false), piece(at + ANSWER_AT, answer_len, true)];
            let chain = state.queue.prepare(buffers.into_iter()).ok_or(GpuError::Busy)?;
            state.answers[usize::from(head)] = None;
            state.queue.commit(chain, ());
            (head, state.queue.publish())
        };
        if notify {
            self.notifier.notify();
        }
        Ok(head)
    }

    /// Waits for the answer to the chain `head`: how many bytes it has.
    fn wait(&self, command: u32, head: u16) -> Result<u32, GpuError> {
        let look = || {
            let mut state = if panicking() { self.state.try_lock()? } else { self.state.lock() };
            state.take_answers();
            let answer = state.answers[usize::from(head)].take();
            answer.map(Ok).or(state.queue.fault().map(|fault| Err(GpuError::Queue(fault))))
        };
        if !panicking() && !hooks::single_tasking() {
            let end = self.answered.wait_until(Some(time::now() + TIMEOUT), || false, look);
            return end.unwrap_or(Err(GpuError::Timeout(command)));
        }
        let deadline = time::now() + if panicking() { PANIC_TIMEOUT } else { TIMEOUT };
        while time::now() < deadline {
            if let Some(result) = look() {
                return result;
            }
            core::hint::spin_loop();
        }
        Err(GpuError::Timeout(command))
    }

    /// In interrupt context.
    fn interrupt(&self) {
        {
            let mut state = self.state.lock();
            state.take_answers();
            if state.queue.fault().is_some() {
                self.reset.reset_now();
            }
        }
        self.answered.wake_all();
    }
}

impl State {
    fn take_answers(&mut self) {
        while let Some(used) = self.queue.pop() {
            self.answers[usize::from(used.head)] = Some(used.written);
        }
    }
}
