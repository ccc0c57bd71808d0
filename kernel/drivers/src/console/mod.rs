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
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use channel::{Channel, Shape, Wrong};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use klib::virtio::console::{self, Answer, BadMessage, CONTROL_QUEUE, Message};
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
    overlong: AtomicBool,
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// There is one.
    Added,
    /// It is a console.
    Console,
    /// Columns and rows of the window at its other side.
    Resized((u16, u16)),
    /// Nobody is at its other side any more, or it is gone.
    Closed,
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
        overlong: AtomicBool::new(false),
        broken: AtomicBool::new(false),
        reset: transport.reset_control(),
    });
    let handler = shared.clone();
    let line = start_virtio(&mut transport, NAME, Box::new(move || handler.interrupt()))?;
    let (vectors, virtio) = (Vec::from([line.vector()]), Some(transport.agreement()));
    let complained = AtomicBool::new(false);
    let device = Arc::new(VirtioConsole { shared, has_window, complained, _line: line, transport });
    Ok(Bound { device, vectors, virtio })
}

impl Port {
    /// Whether there is such a port now.
    pub fn is_there(&self) -> bool {
        self.has(THERE)
    }

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

    /// Changes what it is, and tells those who wait: `kept` stays, `added` comes. By the device's task alone.
    fn change(&self, kept: u8, added: u8) {
        self.state.store(self.state.load(Ordering::SeqCst) & kept | added, Ordering::SeqCst);
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
            self.complain("it broke its protocol, and its ports are gone", 0);
            let (index, port) = self.ports().iter().enumerate().find(|(_, port)| port.has(THERE))?;
            port.change(0, 0);
            return Some((index, Event::Closed));
        }
        if self.shared.overlong.load(Ordering::SeqCst) {
            self.complain("it filled more than there was room for", 0);
        }
        let Some(control) = &self.shared.control else { return self.only_port() };
        loop {
            let mut bytes = [0; CONTROL.buffer_len];
            let len = control.peek(&mut bytes);
            if len == 0 {
                return None;
            }
            control.consume(len);
            match console::decode(&bytes[..len]) {
                Ok((number, message)) => {
                    if let Some(event) = self.understand(number as usize, message) {
                        return Some((number as usize, event));
                    }
                }
                Err(BadMessage::Short(len)) => self.complain("too short a control message", len),
                Err(BadMessage::Event(event)) => self.complain("an unknown control message", event.into()),
            }
        }
    }

    /// Does what a message is about; what is left to do of it.
    fn understand(&self, number: usize, message: Message<'_>) -> Option<Event> {
        let (found, adds) = (self.ports().get(number), message == Message::Add);
        let Some(port) = found.filter(|port| port.has(THERE) != adds) else {
            // QEMU tells that somebody is at the other side of a port also before it tells of the port.
            if found.is_none() || !matches!(message, Message::Open(_)) {
                self.complain("a message about a port that cannot be", number);
            }
            if found.is_none() && adds {
                self.tell(number as u32, Answer::PortReady, false);
            }
            return None;
        };
        match message {
            Message::Add => {
                let opened = port.bytes.open().is_ok();
                self.tell(number as u32, Answer::PortReady, opened);
                port.change(0, if opened { THERE } else { 0 });
                opened.then_some(Event::Added)
            }
            Message::Remove => {
                port.change(0, 0);
                Some(Event::Closed)
            }
            Message::Console => {
                // Somebody is taken to be there until the device says that nobody is (virtio 1.2, 5.3.6.2.2).
                port.change(!0, CONSOLE | OPEN);
                self.set_open(number, true);
                Some(Event::Console)
            }
            Message::Resize { columns, rows } => console::window(columns, rows).map(Event::Resized),
            Message::Open(open) => {
                port.change(!OPEN, if open { OPEN } else { 0 });
                (!open).then_some(Event::Closed)
            }
            Message::Name(name) => {
                log::info!("{NAME}: port {number} is called {}", text(name));
                None
            }
        }
    }

    /// The port of a device that tells nothing, when it is asked for the first time.
    fn only_port(&self) -> Option<(usize, Event)> {
        let port = self.ports().first().filter(|port| !port.has(THERE))?;
        port.bytes.open().ok()?;
        port.change(0, THERE | CONSOLE | OPEN);
        Some((0, Event::Console))
    }

    fn tell(&self, port: u32, answer: Answer, value: bool) {
        if let Some(control) = &self.shared.control
            && control.send(&console::encode(port, answer, value), false) != console::HEADER_LEN
        {
            self.complain("it takes no messages; one was about port", port as usize);
        }
    }

    /// Logs that the device has done something wrong, the first time.
    fn complain(&self, what: &str, number: usize) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            log::warn!("{NAME}: {what} ({number})");
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
        let channels = self.ports.iter().map(|port| &port.bytes).chain(&self.control);
        for wrong in channels.filter_map(Channel::interrupt) {
            self.overlong.store(true, Ordering::SeqCst);
            if wrong == Wrong::Broken {
                self.reset.reset_now();
                self.broken.store(true, Ordering::SeqCst);
            }
        }
        self.ports.iter().for_each(|port| port.changed.wake_all());
        self.rouse();
    }
}
