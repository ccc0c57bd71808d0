//! Virtio consoles (virtio 1.2, 5.3): ports, each with bytes in and out, some of them consoles.
//!
//! A device with MULTIPORT tells by messages which ports there are, what they are called and whether somebody is at their
//! other side; one without has port 0 alone, a console. All its interrupts are one, which looks at all ports. What that
//! finds is for the device's task ([`VirtioConsole::wait`]), which takes the messages ([`VirtioConsole::next_event`]), and for who
//! waits at a port. Messages that make no sense, or are about ports that are not there, are left alone.
//!
//! Locks: those of the channels, one at a time.

pub mod channel;

use crate::driver::{Bound, ProbeError, start_virtio};
use crate::pci::Claim;
use crate::virtio::transport::{DeviceConfig, ResetControl};
use crate::virtio::{Transport, feature};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use channel::{Channel, Shape};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use klib::virtio::console::{self, Answer, CONTROL_QUEUE, Message};
use klib::virtio::text;
use machine::io::DmaError;
use machine::irq::IrqLine;
use machine::sync::WaitQueue;

/// What the driver is called.
pub const NAME: &str = "virtio-console";
/// Ports that are served; what a device has beyond them is refused.
pub const MAX_PORTS: usize = 8;

/// Feature bits: the window is told; there may be several ports (virtio 1.2, 5.3.3).
const FEATURE_SIZE: u64 = 1;
const FEATURE_MULTIPORT: u64 = 1 << 1;
/// The configuration: columns, rows, ports.
const CONFIG_COLUMNS: usize = 0;
const CONFIG_ROWS: usize = 2;
const CONFIG_PORTS: usize = 4;

const PORT: Shape = Shape { buffers: 4, buffer_len: 1024, out_len: 4096 };
/// A buffer is a message. QEMU drops those that find no buffer; a name that is longer is cut.
const CONTROL: Shape = Shape { buffers: 32, buffer_len: 128, out_len: console::HEADER_LEN };

/// What a port is.
const THERE: u8 = 1;
const CONSOLE: u8 = 1 << 1;
/// Somebody is at its other side.
const OPEN: u8 = 1 << 2;

/// A console device.
pub struct VirtioConsole {
    shared: Arc<Shared>,
    /// The configuration tells the window of the only port.
    has_window: bool,
    /// Something that makes no sense has been logged.
    complained: AtomicBool,
    _line: IrqLine,
    transport: Transport,
}

/// What the interrupt handler works on.
struct Shared {
    ports: Vec<Port>,
    /// Messages, if there may be several ports.
    control: Option<Channel>,
    /// The task has something to do.
    roused: AtomicBool,
    news: WaitQueue,
    broken: AtomicBool,
    reset: ResetControl,
}

/// A port.
pub struct Port {
    /// What comes in and goes out.
    pub bytes: Channel,
    state: AtomicU8,
    /// Woken when something has come in or gone out, or somebody has come or gone.
    pub changed: WaitQueue,
}

/// What the device tells of a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// There is one.
    Added,
    /// It is a console.
    Console,
    /// What it is called.
    Named(String),
    /// Columns and rows of the window at its other side.
    Resized(u16, u16),
    /// Somebody is at its other side.
    Opened,
    /// Nobody is.
    Closed,
    /// It is gone.
    Removed,
}

/// Makes a console device of a claimed function.
pub fn probe(claim: Claim) -> Result<Bound<Arc<VirtioConsole>>, ProbeError> {
    let mut transport = Transport::open(claim)?;
    let features = transport.negotiate(feature::EVENT_IDX | FEATURE_SIZE | FEATURE_MULTIPORT)?;
    let several = features & FEATURE_MULTIPORT != 0;
    let told = several.then(|| transport.read_config(|config| config.field::<u32>(CONFIG_PORTS))).transpose()?;
    let count = console::port_count(told, transport.queue_count(), MAX_PORTS)
        .ok_or(ProbeError::Unusable("it has no ports, or no queues for them"))?;
    let mut ports = Vec::new();
    for number in 0..count {
        let bytes = Channel::new(&mut transport, console::queue_of(number), PORT)?;
        ports.push(Port { bytes, state: AtomicU8::new(0), changed: WaitQueue::new("a virtio port") });
    }
    let control = several.then(|| Channel::new(&mut transport, CONTROL_QUEUE, CONTROL)).transpose()?;
    // Messages tell of a change otherwise.
    let has_window = !several && features & FEATURE_SIZE != 0;
    if has_window && !transport.follow_config(0) {
        log::warn!("{NAME}: changes of its window are not seen");
    }
    let shared = Arc::new(Shared {
        ports,
        control,
        roused: AtomicBool::new(false),
        news: WaitQueue::new("a virtio console"),
        broken: AtomicBool::new(false),
        reset: transport.reset_control(),
    });
    let handler = shared.clone();
    let line = start_virtio(&mut transport, NAME, move || handler.interrupt())?;
    let (vectors, virtio) = (Vec::from([line.vector()]), Some(transport.agreement()));
    let complained = AtomicBool::new(false);
    let device = Arc::new(VirtioConsole { shared, has_window, complained, _line: line, transport });
    Ok(Bound { device, vectors, virtio })
}

impl Port {
    /// Whether somebody is at its other side.
    pub fn is_open(&self) -> bool {
        self.has(OPEN)
    }

    /// Whether it is a console.
    pub fn is_console(&self) -> bool {
        self.has(CONSOLE)
    }

    fn has(&self, what: u8) -> bool {
        self.state.load(Ordering::SeqCst) & what != 0
    }

    /// Changes what it is, and tells those who wait.
    fn change(&self, f: impl Fn(u8) -> u8) {
        let _ = self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| Some(f(state)));
        self.changed.wake_all();
    }
}

impl VirtioConsole {
    /// Its ports by their numbers, whether they are there or not.
    pub fn ports(&self) -> &[Port] {
        &self.shared.ports
    }

    /// Has the device tell its ports. Called once, by its task, before all else.
    pub fn begin(&self) -> Result<(), DmaError> {
        let Some(control) = &self.shared.control else { return Ok(()) };
        control.open()?;
        self.tell(0, Answer::DeviceReady, true);
        Ok(())
    }

    /// Sleeps until there may be something new.
    pub fn wait(&self) {
        self.shared.news.wait(|| self.shared.roused.swap(false, Ordering::SeqCst).then_some(()));
    }

    /// Has [`VirtioConsole::wait`] return.
    pub fn rouse(&self) {
        self.shared.rouse();
    }

    /// Columns and rows, where the configuration tells them.
    pub fn window(&self) -> Option<(u16, u16)> {
        let read = |config: &DeviceConfig| Ok((config.field(CONFIG_COLUMNS)?, config.field(CONFIG_ROWS)?));
        let (columns, rows) = self.has_window.then(|| self.transport.read_config(read).ok())??;
        console::window(columns, rows)
    }

    /// Tells the device whether a port is open at our side.
    pub fn set_open(&self, port: usize, open: bool) {
        self.tell(port as u32, Answer::PortOpen, open);
    }

    /// What the device tells next: of which port, and what.
    pub fn next_event(&self) -> Option<(usize, Event)> {
        if self.shared.broken.load(Ordering::SeqCst) {
            return self.next_removed();
        }
        self.report_overlong();
        let Some(control) = &self.shared.control else { return self.only_port() };
        loop {
            let mut bytes = [0; CONTROL.buffer_len];
            let len = control.take_buffer(&mut bytes)?;
            let event = match console::decode(&bytes[..len]) {
                Ok((port, message)) => self.understand(port, message),
                Err(error) => {
                    self.complain(format_args!("{error}"));
                    None
                }
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// Does what a message is about; what is left to do of it.
    fn understand(&self, number: u32, message: Message<'_>) -> Option<(usize, Event)> {
        let found = usize::try_from(number).ok().and_then(|index| Some((index, self.ports().get(index)?)));
        let fits = found.filter(|(_, port)| port.has(THERE) != (message == Message::Add));
        let Some((index, port)) = fits else {
            self.complain(format_args!("{message:?} of port {number}, of {} that are served", self.ports().len()));
            if found.is_none() && message == Message::Add {
                self.tell(number, Answer::PortReady, false);
            }
            return None;
        };
        let event = match message {
            Message::Add => {
                let opened = port.bytes.open();
                self.tell(number, Answer::PortReady, opened.is_ok());
                if let Err(error) = opened {
                    log::warn!("{NAME}: port {number}: {error}");
                    return None;
                }
                port.change(|_| THERE);
                Event::Added
            }
            Message::Remove => {
                port.change(|_| 0);
                Event::Removed
            }
            Message::Console => {
                // Somebody is taken to be there until the device says that nobody is (virtio 1.2, 5.3.6.2.2).
                port.change(|state| state | CONSOLE | OPEN);
                self.set_open(index, true);
                Event::Console
            }
            Message::Resize { columns, rows } => {
                let (columns, rows) = console::window(columns, rows)?;
                Event::Resized(columns, rows)
            }
            Message::Open(true) => {
                port.change(|state| state | OPEN);
                Event::Opened
            }
            Message::Open(false) => {
                port.change(|state| state & !OPEN);
                Event::Closed
            }
            Message::Name(name) => Event::Named(text(name)),
        };
        Some((index, event))
    }

    /// The port of a device that tells nothing, when it is asked for the first time.
    fn only_port(&self) -> Option<(usize, Event)> {
        let port = self.ports().first().filter(|port| !port.has(THERE))?;
        port.change(|_| THERE | CONSOLE | OPEN);
        match port.bytes.open() {
            Ok(()) => Some((0, Event::Console)),
            Err(error) => {
                log::warn!("{NAME}: {error}");
                None
            }
        }
    }

    /// A port that has gone with the device.
    fn next_removed(&self) -> Option<(usize, Event)> {
        let (index, port) = self.ports().iter().enumerate().find(|(_, port)| port.has(THERE))?;
        port.change(|_| 0);
        log::error!("{NAME}: port {index} is gone: the device broke its protocol");
        Some((index, Event::Removed))
    }

    fn report_overlong(&self) {
        let channels = self.ports().iter().map(|port| &port.bytes).chain(&self.shared.control);
        if let Some(len) = channels.filter_map(Channel::take_overlong).next() {
            self.complain(format_args!("{len} bytes in a buffer that has less room; they are left out"));
        }
    }

    fn tell(&self, port: u32, answer: Answer, value: bool) {
        if let Some(control) = &self.shared.control
            && control.send(&console::encode(port, answer, value)) != console::HEADER_LEN
        {
            self.complain(format_args!("the device takes no messages"));
        }
    }

    /// Logs that the device has done something wrong, the first time.
    fn complain(&self, what: fmt::Arguments<'_>) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            log::warn!("{NAME}: {what}");
        }
    }
}

impl Shared {
    fn rouse(&self) {
        self.roused.store(true, Ordering::SeqCst);
        self.news.wake_all();
    }

    /// In interrupt context.
    fn interrupt(&self) {
        let fault = |channel: &Channel| channel.interrupt().is_err();
        let mut broken = self.control.as_ref().is_some_and(fault);
        for port in &self.ports {
            broken |= fault(&port.bytes);
            port.changed.wake_all();
        }
        if broken {
            self.reset.reset_now();
            self.broken.store(true, Ordering::SeqCst);
        }
        self.rouse();
    }
}
