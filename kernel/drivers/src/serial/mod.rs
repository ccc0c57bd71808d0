//! A serial port of the 16550 kind with its interrupt (National Semiconductor PC16550D): bytes out and in through queues, flow
//! control by RTS and CTS, modem lines.
//!
//! The port belongs to the kernel's log; while somebody has it [attached](Uart::attach) the log does without. All state is
//! under `state` (rank Queue), held for moments, by the interrupt handler too, which moves bytes and wakes; [`Uart::wait`] is
//! for the one task that does the rest.

mod state;

use alloc::sync::Arc;
use alloc::vec::Vec;
use bitflags::bitflags;
use machine::console;
use machine::cpu::CpuId;
use machine::irq::{IrqError, IrqLine};
use machine::sync::{IrqLock, Rank, WaitQueue};
use machine::time::Instant;
use state::{OUT_LEN, OUT_SLACK, State, Told};

/// ISA interrupt of the log's port.
const IRQ: u8 = 3;

bitflags! {
    /// Modem lines: those of the computer, as in the port's modem control register, and above them those of the other side,
    /// as in its modem status register.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Modem: u16 {
        /// Data terminal ready.
        const DTR = 1;
        /// Request to send.
        const RTS = 1 << 1;
        /// A line of the computer's own.
        const OUT1 = 1 << 2;
        /// The port's interrupt reaches the computer.
        const OUT2 = 1 << 3;
        /// What is sent comes back, and the other side's lines are the computer's.
        const LOOP = 1 << 4;
        /// All of the computer's.
        const OWN = 0b1_1111;
        /// Those that may be changed: OUT2 keeps the interrupt.
        const SETTABLE = 0b1_0111;
        /// Clear to send.
        const CTS = 1 << 12;
        /// Data set ready.
        const DSR = 1 << 13;
        /// Ring indicator.
        const RI = 1 << 14;
        /// Carrier detect.
        const CD = 1 << 15;
    }
}

/// How bytes are put on the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// 115200 over the speed.
    pub divisor: u16,
    /// Bits of a byte, 5 to 8.
    pub bits: u8,
    /// Two stop bits (one and a half for bytes of five bits).
    pub two_stops: bool,
    /// What the bit behind each byte is.
    pub parity: Parity,
    /// Output waits for CTS.
    pub waits_for_cts: bool,
}

impl Format {
    /// The line control register for it.
    pub fn line_control(&self) -> u8 {
        (self.bits - 5) | u8::from(self.two_stops) << 2 | self.parity as u8
    }
}

/// The bit behind each byte, as the port's line control register has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Parity {
    /// There is none.
    None = 0,
    /// Makes the number of ones odd.
    Odd = 1 << 3,
    /// Makes it even.
    Even = 3 << 3,
    /// Always one.
    Mark = 5 << 3,
    /// Always zero.
    Space = 7 << 3,
}

/// How a byte came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Well.
    Good,
    /// With the wrong parity or without its stop bit.
    Damaged,
    /// It is no byte: the line was in its space state for longer than one takes.
    Break,
}

/// A serial port.
pub struct Uart {
    shared: Arc<Shared>,
    _line: IrqLine,
}

struct Shared {
    state: IrqLock<State>,
    news: WaitQueue,
}

/// What has come and gone since boot.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Changes of CTS, DSR, RI (only its end) and CD.
    pub lines: [u32; 4],
    /// Bytes in.
    pub received: u32,
    /// Bytes out.
    pub sent: u32,
    /// Bytes without their stop bit.
    pub framing: u32,
    /// Bytes that the port had no room for.
    pub overruns: u32,
    /// Bytes with the wrong parity.
    pub parity: u32,
    /// Breaks.
    pub breaks: u32,
}

/// What [`Uart::wait`] tells of.
#[derive(Default)]
pub struct News {
    /// There is room for output, or nothing left to send.
    pub room: bool,
    /// The carrier went away.
    pub carrier_lost: bool,
}

impl Uart {
    /// The port that the kernel's log has, if there is one. It stays the log's.
    pub fn of_log() -> Result<Option<Uart>, IrqError> {
        if !console::has_log_port() {
            return Ok(None);
        }
        let shared = Arc::new(Shared {
            state: IrqLock::new("serial port", Rank::Queue, State::new()),
            news: WaitQueue::new("serial port"),
        });
        let handler = shared.clone();
        let line = IrqLine::allocate("serial port 2", move || handler.interrupt())?;
        line.route_isa(IRQ, CpuId::new(0))?;
        Ok(Some(Uart { shared, _line: line }))
    }

    /// Takes the port from the log, unless that has happened; false if it is not to be had.
    pub fn attach(&self) -> bool {
        let mut state = self.shared.state.lock();
        if state.port.is_some() {
            return true;
        }
        let Some(port) = console::lend_log_port() else { return false };
        state.begin(port);
        true
    }

    /// Gives the port back to the log.
    pub fn detach(&self) {
        let port = self.shared.state.lock().end();
        drop(port);
    }

    /// Sets how bytes are sent and taken from now on.
    pub fn set_format(&self, format: Format) {
        self.shared.change(|state| {
            state.format = format;
            state.write_format();
        });
    }

    /// Bytes that [`Uart::send`] takes.
    pub fn room(&self) -> usize {
        OUT_LEN.saturating_sub(self.shared.state.lock().out.len())
    }

    /// Bytes that wait to be sent, and whether the last bit of all has been.
    pub fn unsent(&self) -> (usize, bool) {
        self.shared.state.lock().unsent()
    }

    /// Queues bytes; what finds no room, with some to spare for echo, is lost.
    pub fn send(&self, bytes: &[u8]) {
        self.shared.change(|state| {
            let len = bytes.len().min((OUT_LEN + OUT_SLACK).saturating_sub(state.out.len()));
            state.out.extend(&bytes[..len]);
            state.told = Told::Nothing;
        });
    }

    /// Sends a byte before all others, at once.
    pub fn send_urgent(&self, byte: u8) {
        self.shared.change(|state| state.urgent = Some(byte));
    }

    /// Drops what waits to be sent.
    pub fn discard(&self) {
        self.shared.change(|state| state.out.clear());
    }

    /// Drops what came in and was not taken.
    pub fn discard_incoming(&self) {
        self.shared.change(State::discard_incoming);
    }

    /// Holds output, or lets it go on.
    pub fn hold(&self, held: bool) {
        self.shared.change(|state| state.held = held);
    }

    /// The modem lines.
    pub fn modem(&self) -> Modem {
        let mut state = self.shared.state.lock();
        state.read_modem();
        state.modem_control | state.other_side
    }

    /// Changes the computer's modem lines: those in `cleared`, then those in `set`.
    pub fn change_modem(&self, cleared: Modem, set: Modem) {
        self.shared.change(|state| {
            state.modem_control = state.modem_control.difference(cleared).union(set).intersection(Modem::OWN);
            state.write_modem();
        });
    }

    /// Begins a break, or ends it.
    pub fn set_break(&self, on: bool) {
        self.shared.state.lock().set_break(on);
    }

    /// What has come and gone.
    pub fn counts(&self) -> Counts {
        self.shared.state.lock().counts
    }

    /// Sleeps until one of the other side's `lines` has changed; false if `interrupted` ends it before.
    pub fn wait_for_change(&self, lines: Modem, interrupted: impl Fn() -> bool) -> bool {
        let before = self.counts().lines;
        let changed = || {
            let now = self.counts().lines;
            let wanted = [Modem::CTS, Modem::DSR, Modem::RI, Modem::CD].map(|line| lines.contains(line));
            (0..wanted.len()).any(|at| wanted[at] && now[at] != before[at]).then_some(())
        };
        self.shared.news.wait_until(None, interrupted, changed).is_ok()
    }

    /// Has [`Uart::wait`] return, though with nothing new.
    pub fn rouse(&self) {
        self.shared.state.lock().roused = true;
        self.shared.news.wake_all();
    }

    /// Sleeps until something has come in, or is otherwise new, or `deadline` comes. What came in is put into `incoming`.
    pub fn wait(&self, incoming: &mut Vec<(u8, Condition)>, deadline: Option<Instant>) -> News {
        let look = || self.shared.state.lock().news(incoming);
        self.shared.news.wait_until(deadline, || false, look).unwrap_or_default()
    }
}

impl Shared {
    /// Changes the state, has the port go on by it, and tells the task, for whom there may be news at once.
    fn change(&self, f: impl FnOnce(&mut State)) {
        {
            let mut state = self.state.lock();
            f(&mut state);
            state.go_on();
        }
        self.news.wake_all();
    }

    /// In interrupt context.
    fn interrupt(&self) {
        self.state.lock().serve();
        self.news.wake_all();
    }
}
