//! The keyboard controller of the PC and the keyboard at its first port (IBM PS/2 Technical Reference; 8042).
//!
//! [`Keyboard::open`] sets both up by polling; from then on the interrupt handler takes what the keyboard sends, and
//! the one task that calls [`Keyboard::next_code`] gets it. A command's acknowledgement is told from a scan code by
//! the handler, since only then one is awaited. Lock: `codes`, rank `Queue`, held for moments only.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use bitflags::bitflags;
use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use core::time::Duration;
use klib::keyboard::{CodeSet, Leds};
use machine::cpu::CpuId;
use machine::io::{Port, PortClaim, PortError};
use machine::irq::{IrqError, IrqLine};
use machine::sync::{IrqLock, Rank, WaitQueue};
use machine::time;

/// ISA interrupt of the keyboard.
const KEYBOARD_IRQ: u8 = 1;
/// Scan codes kept until they are taken; later ones are dropped and counted.
const MAX_CODES: usize = 256;
/// What the handler takes at once, should a controller never be empty.
const MAX_TAKEN: usize = 64;

/// How long the controller may take to accept or answer a byte.
const CONTROLLER_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a keyboard may take to answer a command. One that resets itself takes longer, so none is reset.
const KEYBOARD_TIMEOUT: Duration = Duration::from_millis(250);

const READ_CONFIGURATION: u8 = 0x20;
const WRITE_CONFIGURATION: u8 = 0x60;
const DISABLE_SECOND_PORT: u8 = 0xa7;
const SELF_TEST: u8 = 0xaa;
const SELF_TEST_PASSED: u8 = 0x55;
const TEST_FIRST_PORT: u8 = 0xab;
const DISABLE_FIRST_PORT: u8 = 0xad;
const ENABLE_FIRST_PORT: u8 = 0xae;

const SET_LEDS: u8 = 0xed;
const SET_CODE_SET: u8 = 0xf0;
const SET_REPEAT: u8 = 0xf3;
/// 250 ms until a key repeats, then 30 times a second.
const FASTEST_REPEAT: u8 = 0;
const ENABLE_SCANNING: u8 = 0xf4;
const SET_DEFAULTS: u8 = 0xf6;
const ACKNOWLEDGED: u8 = 0xfa;
const RESEND: u8 = 0xfe;

bitflags! {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Status: u8 {
        /// There is a byte to read.
        const OUTPUT_FULL = 1;
        /// The last byte written is not taken yet.
        const INPUT_FULL = 1 << 1;
        /// The byte to read is the second port's.
        const SECOND_PORT = 1 << 5;
        const _ = !0;
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Configuration: u8 {
        const FIRST_INTERRUPT = 1;
        const SECOND_INTERRUPT = 1 << 1;
        const FIRST_DISABLED = 1 << 4;
        /// The first port's scan codes are translated into set 1.
        const TRANSLATE = 1 << 6;
        const _ = !0;
    }
}

/// Why there is no keyboard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum I8042Error {
    /// The ports cannot be had.
    Port(PortError),
    /// Nothing is at the ports.
    NoController,
    /// The controller does not do what it is told: the command.
    Silent(u8),
    /// Its test of itself failed, with this result.
    SelfTest(u8),
    /// Its test of the first port failed, with this result.
    PortTest(u8),
    /// No keyboard answers.
    NoKeyboard,
    /// Its interrupt cannot be had.
    Irq(IrqError),
}

impl fmt::Display for I8042Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            I8042Error::Port(error) => write!(f, "{error}"),
            I8042Error::NoController => write!(f, "there is no controller"),
            I8042Error::Silent(command) => write!(f, "the controller does not answer command {command:#04x}"),
            I8042Error::SelfTest(result) => write!(f, "the controller's self-test gave {result:#04x}"),
            I8042Error::PortTest(result) => write!(f, "the test of the first port gave {result:#04x}"),
            I8042Error::NoKeyboard => write!(f, "no keyboard answers"),
            I8042Error::Irq(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for I8042Error {}

/// A keyboard that sends scan codes.
pub struct Keyboard {
    shared: Arc<Shared>,
    set: CodeSet,
    _line: IrqLine,
    _claims: [PortClaim; 2],
}

struct Shared {
    ports: Ports,
    codes: IrqLock<VecDeque<u8>>,
    arrived: WaitQueue,
    /// [`NOTHING`], [`AWAITED`], or the keyboard's answer to a command.
    answer: AtomicU8,
    lost: AtomicUsize,
}

/// No command is under way.
const NOTHING: u8 = 0;
/// A command was sent.
const AWAITED: u8 = 1;

impl Keyboard {
    /// Sets the controller and the keyboard up. Sleeps meanwhile; takes tens of milliseconds on some machines.
    pub fn open() -> Result<Keyboard, I8042Error> {
        let data = PortClaim::new(0x60..0x61, "keyboard").map_err(I8042Error::Port)?;
        let command = PortClaim::new(0x64..0x65, "keyboard").map_err(I8042Error::Port)?;
        let ports = Ports { data: data.port(0), command: command.port(0) };
        let set = ports.set_up()?;
        let shared = Arc::new(Shared {
            ports,
            codes: IrqLock::new("scan codes", Rank::Queue, VecDeque::with_capacity(MAX_CODES)),
            arrived: WaitQueue::new("the keyboard"),
            answer: AtomicU8::new(NOTHING),
            lost: AtomicUsize::new(0),
        });
        let handler = shared.clone();
        let line = IrqLine::allocate("keyboard", move || handler.interrupt()).map_err(I8042Error::Irq)?;
        line.route_isa(KEYBOARD_IRQ, CpuId::new(0)).map_err(I8042Error::Irq)?;
        // What came before the line was there has raised an edge that nobody saw.
        shared.interrupt();
        Ok(Keyboard { shared, set, _line: line, _claims: [data, command] })
    }

    /// Which codes it sends.
    pub fn code_set(&self) -> CodeSet {
        self.set
    }

    /// Scan codes that were dropped since boot, as nobody took them in time.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Sleeps until there is a scan code.
    pub fn next_code(&self) -> u8 {
        self.shared.arrived.wait(|| self.shared.codes.lock().pop_front())
    }

    /// Switches the lights. A keyboard that does not take the command keeps its lights as they are.
    pub fn set_leds(&self, leds: Leds) {
        let _ = self.shared.command(SET_LEDS) && self.shared.command(leds.bits());
    }
}

impl Shared {
    /// In interrupt context. The lock also keeps two CPUs from reading the ports at once.
    fn interrupt(&self) {
        let mut codes = self.codes.lock();
        for _ in 0..MAX_TAKEN {
            let Some((status, byte)) = self.ports.read() else { break };
            if status.contains(Status::SECOND_PORT) {
                continue;
            }
            let answers = matches!(byte, ACKNOWLEDGED | RESEND)
                && self.answer.compare_exchange(AWAITED, byte, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if answers {
                continue;
            }
            if codes.len() < MAX_CODES {
                codes.push_back(byte);
            } else {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(codes);
        self.arrived.wake_all();
    }

    /// Sends a byte to the keyboard and sleeps until it answers; whether it took the byte.
    fn command(&self, byte: u8) -> bool {
        for _ in 0..3 {
            self.answer.store(AWAITED, Ordering::Release);
            let sent = self.ports.send_data(byte);
            let deadline = time::now() + KEYBOARD_TIMEOUT;
            let answered = || Some(self.answer.load(Ordering::Acquire)).filter(|&answer| answer != AWAITED);
            let answer = match sent {
                true => self.arrived.wait_until(Some(deadline), || false, answered).ok(),
                false => None,
            };
            self.answer.store(NOTHING, Ordering::Release);
            match answer {
                Some(RESEND) => {}
                answer => return answer == Some(ACKNOWLEDGED),
            }
        }
        false
    }
}

/// The controller's two ports.
struct Ports {
    data: Port<u8>,
    /// Read, it is the status.
    command: Port<u8>,
}

impl Ports {
    /// Before the interrupt is on. Which scan codes will come.
    fn set_up(&self) -> Result<CodeSet, I8042Error> {
        // A port where nothing is reads as all ones.
        if self.command.read() == 0xff {
            return Err(I8042Error::NoController);
        }
        for command in [DISABLE_FIRST_PORT, DISABLE_SECOND_PORT] {
            self.send_command(command)?;
        }
        self.drain();
        match self.ask(SELF_TEST)? {
            SELF_TEST_PASSED => {}
            result => return Err(I8042Error::SelfTest(result)),
        }
        match self.ask(TEST_FIRST_PORT)? {
            0 => {}
            result => return Err(I8042Error::PortTest(result)),
        }
        let mut configuration = Configuration::from_bits_retain(self.ask(READ_CONFIGURATION)?);
        configuration.remove(Configuration::SECOND_INTERRUPT | Configuration::FIRST_INTERRUPT);
        configuration.insert(Configuration::TRANSLATE);
        configuration.remove(Configuration::FIRST_DISABLED);
        self.configure(configuration)?;
        self.send_command(ENABLE_FIRST_PORT)?;
        self.set_up_keyboard()?;
        configuration.insert(Configuration::FIRST_INTERRUPT);
        self.configure(configuration)?;
        // Some controllers do not translate.
        let kept = Configuration::from_bits_retain(self.ask(READ_CONFIGURATION)?);
        Ok(if kept.contains(Configuration::TRANSLATE) { CodeSet::Set1 } else { CodeSet::Set2 })
    }

    fn configure(&self, configuration: Configuration) -> Result<(), I8042Error> {
        self.send_command(WRITE_CONFIGURATION)?;
        match self.send_data(configuration.bits()) {
            true => Ok(()),
            false => Err(I8042Error::Silent(WRITE_CONFIGURATION)),
        }
    }

    /// Set 2, repeating fast, and on.
    fn set_up_keyboard(&self) -> Result<(), I8042Error> {
        if !self.tell_keyboard(SET_DEFAULTS) {
            return Err(I8042Error::NoKeyboard);
        }
        // Keyboards that do not know these have set 2 and repeat as they like.
        let _ = self.tell_keyboard(SET_CODE_SET) && self.tell_keyboard(2);
        let _ = self.tell_keyboard(SET_REPEAT) && self.tell_keyboard(FASTEST_REPEAT);
        match self.tell_keyboard(ENABLE_SCANNING) {
            true => Ok(()),
            false => Err(I8042Error::NoKeyboard),
        }
    }

    /// Sends the keyboard a byte and waits for its acknowledgement, by polling.
    fn tell_keyboard(&self, byte: u8) -> bool {
        for _ in 0..3 {
            if !self.send_data(byte) {
                return false;
            }
            // What was typed before may come first.
            let answer = wait_for(KEYBOARD_TIMEOUT, || {
                self.read().map(|(_, byte)| byte).filter(|byte| matches!(*byte, ACKNOWLEDGED | RESEND))
            });
            match answer {
                Some(RESEND) => {}
                answer => return answer.is_some(),
            }
        }
        false
    }

    /// A command to the controller, with an answer.
    fn ask(&self, command: u8) -> Result<u8, I8042Error> {
        self.send_command(command)?;
        wait_for(CONTROLLER_TIMEOUT, || self.read().map(|(_, byte)| byte)).ok_or(I8042Error::Silent(command))
    }

    fn send_command(&self, command: u8) -> Result<(), I8042Error> {
        self.wait_until_free().then(|| self.command.write(command)).ok_or(I8042Error::Silent(command))
    }

    fn send_data(&self, byte: u8) -> bool {
        self.wait_until_free().then(|| self.data.write(byte)).is_some()
    }

    fn wait_until_free(&self) -> bool {
        wait_for(CONTROLLER_TIMEOUT, || (!self.status().contains(Status::INPUT_FULL)).then_some(())).is_some()
    }

    fn status(&self) -> Status {
        Status::from_bits_retain(self.command.read())
    }

    /// The next byte, if there is one, with the status before it was read.
    fn read(&self) -> Option<(Status, u8)> {
        let status = self.status();
        status.contains(Status::OUTPUT_FULL).then(|| (status, self.data.read()))
    }

    fn drain(&self) {
        for _ in 0..MAX_TAKEN {
            if self.read().is_none() {
                return;
            }
        }
    }
}

/// Looks again and again until `look` gives something or `timeout` is over. Sleeps between looks once the first few
/// were in vain.
fn wait_for<T>(timeout: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    static PAUSE: WaitQueue = WaitQueue::new("the keyboard controller");
    let end = time::now() + timeout;
    let mut looks = 0;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if time::now() >= end {
            return None;
        }
        looks += 1;
        if looks > 20 {
            // Nobody wakes it: this is a sleep.
            let _ = PAUSE.wait_until(Some(time::now() + Duration::from_millis(1)), || false, || None::<()>);
        } else {
            time::spin_for(Duration::from_micros(5));
        }
    }
}
