//! The port's registers and what the lock around the port guards.
//!
//! All of this runs under that lock, in interrupts as well: nothing waits or wakes, and only what tasks call allocates.

use super::{Condition, Counts, Format, Modem, News, Parity};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bitflags::bitflags;
use machine::console::LentPort;

/// Bytes kept on their way out (as Linux) and in.
pub(super) const OUT_LEN: usize = 4096;
const IN_LEN: usize = 4096;
/// Echo and the like may go beyond that.
pub(super) const OUT_SLACK: usize = 1024;
/// Who waits for room is told when no more than this is left to send.
const WAKE_LEN: usize = 256;
/// Bytes that the transmitter takes at once.
const FIFO_LEN: usize = 16;
/// Causes that the handler looks at in one interrupt, should the port never be quiet.
const MOST_CAUSES: usize = 256;

/// Registers.
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const INTERRUPT_CAUSE: u16 = 2;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const MODEM_STATUS: u16 = 6;

/// On and emptied, an interrupt from eight bytes on.
const FIFO_ON: u8 = 0b1000_0111;
/// No interrupt is pending.
const NO_CAUSE: u8 = 1;
const SEND_BREAK: u8 = 1 << 6;

bitflags! {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Interrupts: u8 {
        const RECEIVED = 1;
        const SENT = 1 << 1;
        const LINE = 1 << 2;
        const MODEM = 1 << 3;
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct LineStatus: u8 {
        const READY = 1;
        const OVERRUN = 1 << 1;
        const PARITY = 1 << 2;
        const FRAMING = 1 << 3;
        const BREAK = 1 << 4;
        /// The transmitter takes bytes.
        const EMPTY = 1 << 5;
        /// The last bit has been sent.
        const IDLE = 1 << 6;
        /// What belongs to the byte that is read next.
        const MARKS = 0b1_1110;
        const _ = !0;
    }

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct ModemStatus: u8 {
        const CARRIER = 1 << 7;
        const _ = !0;
    }
}

/// What is behind the lock.
pub(super) struct State {
    /// While somebody uses it.
    pub port: Option<LentPort>,
    pub out: VecDeque<u8>,
    pub incoming: VecDeque<(u8, Condition)>,
    /// Goes out before all else, even while output is held: a stop or start character.
    pub urgent: Option<u8>,
    pub held: bool,
    pub format: Format,
    pub line_control: u8,
    /// Marks of damage that were read before their byte.
    kept_status: LineStatus,
    pub modem_control: Modem,
    /// What the other side says.
    pub other_side: Modem,
    /// What those who wait for room have been told since something was sent.
    pub told: Told,
    /// The task is wanted.
    pub roused: bool,
    pub carrier_lost: bool,
    pub counts: Counts,
}

/// What was told of output.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Told {
    Nothing,
    /// There is room.
    Room,
    /// All is on its way.
    Empty,
}

impl State {
    /// Without a port, 9600 baud.
    pub fn new() -> Self {
        State {
            port: None,
            out: VecDeque::with_capacity(OUT_LEN + OUT_SLACK),
            incoming: VecDeque::with_capacity(IN_LEN),
            urgent: None,
            held: false,
            format: Format { divisor: 12, bits: 8, two_stops: false, parity: Parity::None, waits_for_cts: false },
            line_control: 0,
            kept_status: LineStatus::empty(),
            modem_control: Modem::empty(),
            other_side: Modem::empty(),
            told: Told::Empty,
            roused: false,
            carrier_lost: false,
            counts: Counts::default(),
        }
    }

    /// The port is here: sets it up as the format says.
    pub fn begin(&mut self, port: LentPort) {
        port.write(INTERRUPT_ENABLE, 0);
        port.write(FIFO_CONTROL, FIFO_ON);
        // What the port still has to tell is of before.
        for register in [LINE_STATUS, DATA, INTERRUPT_CAUSE] {
            port.read(register);
        }
        self.other_side = other_side(ModemStatus::from_bits_retain(port.read(MODEM_STATUS)));
        self.port = Some(port);
        (self.urgent, self.held, self.told, self.carrier_lost) = (None, false, Told::Empty, false);
        (self.line_control, self.kept_status) = (0, LineStatus::empty());
        self.modem_control = Modem::DTR | Modem::RTS | Modem::OUT2;
        self.write_format();
        self.write_modem();
        self.go_on();
    }

    pub fn write_format(&mut self) {
        self.line_control = self.line_control & SEND_BREAK | self.format.line_control();
        if let Some(port) = &self.port {
            port.set_format(self.format.divisor, self.line_control);
        }
    }

    pub fn write_modem(&mut self) {
        if let Some(port) = &self.port {
            port.write(MODEM_CONTROL, self.modem_control.bits() as u8);
        }
        // Looped back, they are the other side's as well, and not every port raises an interrupt for that.
        self.read_modem();
    }

    pub fn read_modem(&mut self) {
        let Some(port) = &self.port else { return };
        let status = ModemStatus::from_bits_retain(port.read(MODEM_STATUS));
        let carrier = status.contains(ModemStatus::CARRIER);
        self.carrier_lost |= self.other_side.contains(Modem::CD) && !carrier;
        let now = other_side(status);
        // Looped back, not every port tells that a line has changed. Of a ring only the end counts.
        let changed = self.other_side.symmetric_difference(now).difference(now.intersection(Modem::RI));
        let changed = u16::from(status.bits()) | changed.bits() >> 12;
        for (bit, count) in self.counts.lines.iter_mut().enumerate() {
            *count += u32::from(changed >> bit & 1);
        }
        self.other_side = now;
    }

    /// Whether there is room for what comes in.
    fn has_room(&self) -> bool {
        self.incoming.len() < IN_LEN
    }

    fn may_send(&self) -> bool {
        // Looped back, what is sent needs that room.
        let looped = self.modem_control.contains(Modem::LOOP);
        !self.held
            && (!looped || self.has_room())
            && (!self.format.waits_for_cts || self.other_side.contains(Modem::CTS))
    }

    fn has_output(&self) -> bool {
        self.urgent.is_some() || !self.out.is_empty() && self.may_send()
    }

    /// Goes on after a change.
    pub fn go_on(&mut self) {
        self.advance();
        self.raise_again();
    }

    /// An interrupt comes with an edge, which a port that has more causes already would not make again.
    fn raise_again(&self) {
        if let Some(port) = &self.port {
            port.write(INTERRUPT_ENABLE, 0);
            port.write(INTERRUPT_ENABLE, self.wanted().bits());
        }
    }

    /// Sends what can be sent now, and has the port raise interrupts for what is to come.
    fn advance(&mut self) {
        // Looped back, what is sent comes in at once, and the port has no more room for that than for what it sends.
        self.receive();
        let Some(port) = &self.port else { return };
        if self.has_output() && line_status(port, &mut self.kept_status).contains(LineStatus::EMPTY) {
            self.feed();
        }
        if let Some(port) = &self.port {
            port.write(INTERRUPT_ENABLE, self.wanted().bits());
        }
    }

    /// What is waited for.
    fn wanted(&self) -> Interrupts {
        let mut wanted = Interrupts::MODEM;
        wanted.set(Interrupts::SENT, self.has_output());
        // What finds no room waits in the port, where it is the other side's turn to wait, if it can.
        wanted.set(Interrupts::RECEIVED | Interrupts::LINE, self.has_room());
        wanted
    }

    /// Gives the empty transmitter what it takes.
    fn feed(&mut self) {
        let may_send = self.may_send();
        let Some(port) = &self.port else { return };
        for _ in 0..FIFO_LEN {
            let next = self.urgent.take().or_else(|| if may_send { self.out.pop_front() } else { None });
            let Some(byte) = next else { return };
            port.write(DATA, byte);
            self.counts.sent += 1;
        }
    }

    /// Serves the port's interrupt until it has no more causes, since the next edge comes only after that.
    pub fn serve(&mut self) {
        for _ in 0..MOST_CAUSES {
            let Some(port) = &self.port else { return };
            if port.read(INTERRUPT_CAUSE) & NO_CAUSE != 0 {
                return;
            }
            // Which it is does not matter: each is cheap to look for, and looking takes it away.
            self.receive();
            self.read_modem();
            self.advance();
        }
        // Others are to have their turn.
        self.raise_again();
    }

    /// Bytes that wait to be sent, and whether the last bit of all has been.
    pub fn unsent(&mut self) -> (usize, bool) {
        let idle = match &self.port {
            Some(port) => line_status(port, &mut self.kept_status).contains(LineStatus::IDLE),
            None => true,
        };
        (self.out.len() + usize::from(self.urgent.is_some()), idle)
    }

    /// Begins a break, or ends it.
    pub fn set_break(&mut self, on: bool) {
        self.line_control = if on { self.line_control | SEND_BREAK } else { self.line_control & !SEND_BREAK };
        if let Some(port) = &self.port {
            port.write(LINE_CONTROL, self.line_control);
        }
    }

    /// Drops what came in and was not taken.
    pub fn discard_incoming(&mut self) {
        self.receive();
        self.incoming.clear();
    }

    /// Takes the port away.
    pub fn end(&mut self) -> Option<LentPort> {
        self.out.clear();
        self.incoming.clear();
        self.urgent = None;
        self.port.take().inspect(|port| port.write(INTERRUPT_ENABLE, 0))
    }

    /// What is new, if anything is.
    pub fn news(&mut self, incoming: &mut Vec<(u8, Condition)>) -> Option<News> {
        let can_tell = match self.out.len() {
            0 => Told::Empty,
            1..WAKE_LEN => Told::Room,
            _ => Told::Nothing,
        };
        let room = can_tell > self.told;
        if !core::mem::take(&mut self.roused) && !room && self.incoming.is_empty() && !self.carrier_lost {
            return None;
        }
        self.told = self.told.max(can_tell);
        incoming.extend(self.incoming.drain(..));
        // There is room again.
        self.go_on();
        Some(News { room, carrier_lost: core::mem::take(&mut self.carrier_lost) })
    }

    fn receive(&mut self) {
        let Some(port) = &self.port else { return };
        while self.incoming.len() < IN_LEN {
            let status = line_status(port, &mut self.kept_status);
            self.kept_status = LineStatus::empty();
            self.counts.overruns += u32::from(status.contains(LineStatus::OVERRUN));
            if !status.contains(LineStatus::READY) {
                return;
            }
            let byte = port.read(DATA);
            let counts = &mut self.counts;
            counts.received += 1;
            let condition = if status.contains(LineStatus::BREAK) {
                counts.breaks += 1;
                Condition::Break
            } else if status.intersects(LineStatus::PARITY | LineStatus::FRAMING) {
                counts.parity += u32::from(status.contains(LineStatus::PARITY));
                counts.framing += u32::from(status.contains(LineStatus::FRAMING));
                Condition::Damaged
            } else {
                Condition::Good
            };
            self.incoming.push_back((byte, condition));
        }
    }
}

/// The other side's lines.
fn other_side(status: ModemStatus) -> Modem {
    Modem::from_bits_truncate(u16::from(status.bits() & 0xf0) << 8)
}

/// The line status. Reading takes the marks of damage away, so they are kept for the byte that they belong to.
fn line_status(port: &LentPort, kept: &mut LineStatus) -> LineStatus {
    let status = LineStatus::from_bits_retain(port.read(LINE_STATUS)) | *kept;
    *kept = status & LineStatus::MARKS;
    status
}
