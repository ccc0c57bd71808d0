//! The second serial port as the line behind a terminal, which the kernel's log has while no program has it open.
//!
//! What termios says is set on the port here; bytes go through the port's queues (`drivers::serial`). After the last close
//! the port stays until all is sent, at most [`CLOSING_WAIT`]. Lock: `users` (rank Table), taken with nothing held.

use super::line::{Line, SerialPort};
use crate::vfs::Result;
use abi::Errno;
use abi::termios::{self, Termios};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
use drivers::serial::{Condition, Counts, Format, Modem, News, Parity, Uart};
use machine::irq::IrqError;
use machine::sync::{Once, Rank, SpinLock};
use machine::time::{self, Instant};

/// Speed at divisor 1, the highest.
const FASTEST: u32 = 115_200;
/// The lowest speed whose divisor has 16 bits.
const SLOWEST: u32 = 2;
/// What is not sent so long after the last close is dropped.
const CLOSING_WAIT: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const CLOSING_LOOK: Duration = Duration::from_millis(5);

/// The line.
pub struct SerialLine {
    uart: Once<Uart>,
    users: SpinLock<Users>,
    /// Input is not wanted now, and RTS is off for that.
    throttled: AtomicBool,
    /// Bytes that the terminal had no room for.
    lost: AtomicU32,
}

struct Users {
    files: usize,
    /// There are none since.
    closed: Option<Instant>,
}

impl SerialLine {
    /// A line without a port.
    pub const fn new() -> Self {
        let users = SpinLock::new("users of the serial line", Rank::Table, Users { files: 0, closed: None });
        SerialLine { uart: Once::new(), users, throttled: AtomicBool::new(false), lost: AtomicU32::new(0) }
    }

    /// Finds the port; false if there is none.
    pub fn start(&self) -> core::result::Result<bool, IrqError> {
        let Some(uart) = Uart::of_log()? else { return Ok(false) };
        self.uart.call_once(|| uart);
        Ok(true)
    }

    /// For the line's task: sleeps until there is something new; what came in is in `incoming`.
    pub fn wait(&self, incoming: &mut Vec<(u8, Condition)>) -> News {
        let Some(uart) = self.uart.get() else { return News::default() };
        let closed = self.users.lock().closed;
        let news = uart.wait(incoming, closed.map(|_| time::now() + CLOSING_LOOK));
        let mut users = self.users.lock();
        if users.closed.is_some_and(|since| uart.unsent() == (0, true) || time::now() >= since + CLOSING_WAIT) {
            users.closed = None;
            uart.detach();
        }
        news
    }

    fn with(&self, f: impl FnOnce(&Uart)) {
        if let Some(uart) = self.uart.get() {
            f(uart);
        }
    }
}

impl Line for SerialLine {
    /// One more file: the first one takes the port from the log. EIO if there is none.
    fn open(&self, settings: &Termios, speed: u32) -> Result<()> {
        let uart = self.uart.get().ok_or(Errno::EIO)?;
        let mut users = self.users.lock();
        if users.files == 0 {
            // Closed a moment ago, it may still be here.
            users.closed = None;
            if !uart.attach() {
                return Err(Errno::EIO);
            }
            self.throttled.store(false, Ordering::Relaxed);
            uart.set_format(format(settings, speed));
            uart.hold(false);
            uart.change_modem(Modem::SETTABLE, if speed == 0 { Modem::empty() } else { Modem::DTR | Modem::RTS });
        }
        users.files += 1;
        Ok(())
    }

    fn close(&self) {
        let mut users = self.users.lock();
        users.files -= 1;
        if users.files == 0 {
            users.closed = Some(time::now());
            drop(users);
            self.rouse();
        }
    }

    fn possible_speed(&self, asked: u32, before: u32) -> u32 {
        possible_speed(asked, before)
    }

    fn set(&self, settings: &Termios, speed: u32, speed_before: u32) {
        let Some(uart) = self.uart.get() else { return };
        uart.set_format(format(settings, speed));
        let throttled = self.throttled.load(Ordering::Relaxed);
        match (speed_before, speed) {
            (1.., 0) => uart.change_modem(Modem::DTR | Modem::RTS, Modem::empty()),
            (0, 1..) if throttled => uart.change_modem(Modem::empty(), Modem::DTR),
            (0, 1..) => uart.change_modem(Modem::empty(), Modem::DTR | Modem::RTS),
            _ => {}
        }
        if throttled && settings.c_cflag & termios::CRTSCTS == 0 {
            self.throttled.store(false, Ordering::Relaxed);
            uart.change_modem(Modem::empty(), Modem::RTS);
        }
    }

    fn throttle(&self, on: bool, by_rts: bool, character: Option<u8>) {
        let Some(uart) = self.uart.get() else { return };
        if by_rts {
            self.throttled.store(on, Ordering::Relaxed);
            match on {
                true => uart.change_modem(Modem::RTS, Modem::empty()),
                false => uart.change_modem(Modem::empty(), Modem::RTS),
            }
        }
        if let Some(byte) = character {
            uart.send_urgent(byte);
        }
    }

    fn room(&self) -> usize {
        self.uart.get().map_or(0, Uart::room)
    }

    fn send(&self, bytes: &[u8]) {
        self.with(|uart| uart.send(bytes));
    }

    fn send_urgent(&self, byte: u8) {
        self.with(|uart| uart.send_urgent(byte));
    }

    fn unsent(&self) -> (usize, bool) {
        self.uart.get().map_or((0, true), Uart::unsent)
    }

    fn discard(&self) {
        self.with(Uart::discard);
    }

    fn discard_incoming(&self) {
        self.with(Uart::discard_incoming);
    }

    fn hold(&self, held: bool) {
        self.with(|uart| uart.hold(held));
    }

    fn serial(&self) -> Option<&dyn SerialPort> {
        Some(self)
    }
}

impl SerialPort for SerialLine {
    fn set_break(&self, on: bool) {
        self.with(|uart| uart.set_break(on));
    }

    fn modem(&self) -> u32 {
        let lines = self.uart.get().map_or(Modem::empty(), Uart::modem);
        MODEM.iter().filter(|(line, _)| lines.contains(*line)).map(|(_, bit)| bit).sum()
    }

    fn change_modem(&self, cleared: u32, set: u32) {
        let own = |bits| lines(bits).intersection(Modem::SETTABLE);
        self.with(|uart| uart.change_modem(own(cleared), own(set)));
    }

    fn wait_for_change(&self, bits: u32, interrupted: &dyn Fn() -> bool) -> bool {
        self.uart.get().is_some_and(|uart| uart.wait_for_change(lines(bits), interrupted))
    }

    fn rouse(&self) {
        self.with(Uart::rouse);
    }

    fn note_lost(&self, count: u32) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    fn lost(&self) -> u32 {
        self.lost.load(Ordering::Relaxed)
    }

    fn counts(&self) -> Counts {
        self.uart.get().map_or_else(Counts::default, Uart::counts)
    }
}

const MODEM: [(Modem, u32); 9] = [
    (Modem::DTR, termios::TIOCM_DTR),
    (Modem::RTS, termios::TIOCM_RTS),
    (Modem::OUT1, termios::TIOCM_OUT1),
    (Modem::OUT2, termios::TIOCM_OUT2),
    (Modem::LOOP, termios::TIOCM_LOOP),
    (Modem::CTS, termios::TIOCM_CTS),
    (Modem::DSR, termios::TIOCM_DSR),
    (Modem::RI, termios::TIOCM_RI),
    (Modem::CD, termios::TIOCM_CD),
];

/// The modem lines of these bits.
fn lines(bits: u32) -> Modem {
    MODEM.iter().filter(|(_, bit)| bits & bit != 0).fold(Modem::empty(), |all, (line, _)| all | *line)
}

/// The speed that a serial port takes for what was asked: that itself, or else what it had before (as Linux), or 9600.
pub fn possible_speed(asked: u32, before: u32) -> u32 {
    let can = |speed: &u32| matches!(*speed, 0 | SLOWEST..=FASTEST);
    [asked, before].into_iter().find(can).unwrap_or(9600)
}

/// How bytes are put on the line with these settings.
pub fn format(settings: &Termios, speed: u32) -> Format {
    let flags = settings.c_cflag;
    let has = |flag: u32| flags & flag != 0;
    let parity = match (has(termios::PARENB), has(termios::CMSPAR), has(termios::PARODD)) {
        (false, ..) => Parity::None,
        (true, false, true) => Parity::Odd,
        (true, false, false) => Parity::Even,
        (true, true, true) => Parity::Mark,
        (true, true, false) => Parity::Space,
    };
    let bits = match flags & termios::CSIZE {
        termios::CS5 => 5,
        termios::CS6 => 6,
        termios::CS7 => 7,
        _ => 8,
    };
    // Hung up, the line keeps some speed.
    let speed = if speed == 0 { 9600 } else { speed };
    Format {
        divisor: u16::try_from((FASTEST + speed / 2) / speed).unwrap_or(u16::MAX).max(1),
        bits,
        two_stops: has(termios::CSTOPB),
        parity,
        waits_for_cts: has(termios::CRTSCTS),
    }
}
