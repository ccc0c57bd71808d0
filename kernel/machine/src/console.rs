//! The two serial ports and the log: COM1 is the console, COM2 gets every log line, unless it is lent out.
//!
//! Logging works from the first instruction after per-CPU data exists and from any context: both ports are behind
//! locks of the highest rank with interrupts off. [`emergency`] is for panics: it takes over the port.
//!
//! Lines are kept, too ([`crate::kept_log`]). The kernel proper may register a second console (the screen).

use crate::io::Port;
use crate::kept_log::{self, LINE_BYTES};
use crate::percpu;
use crate::sync::{IrqLock, Once, Rank};
use crate::time;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use uart_16550::backend::PioBackend;
use uart_16550::{Config, Uart16550};

const COM1: u16 = 0x3f8;
const COM2: u16 = 0x2f8;
/// Registers; the first two are the divisor while the line control register says so.
const DIVISOR: u16 = 0;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const DIVISOR_ACCESS: u8 = 1 << 7;
const DTR_AND_RTS: u8 = 0b11;
/// Line status: a byte can be sent; all have been, to the last bit.
const READY: u8 = 1 << 5;
const IDLE: u8 = 1 << 6;
/// Tries before a port that never becomes ready is given up for this byte, and how many more there are for each of a
/// byte's up to twelve bits at the highest speed: a try takes at least half a microsecond.
const SEND_TRIES: u32 = 100_000;
const TRIES_OF_BYTE: u32 = 256;

struct SerialPort {
    uart: Option<Uart16550<PioBackend>>,
}

/// The console's divisor and line control, as the port was opened: 9600 baud, 8 bits.
static FORMAT: AtomicU32 = AtomicU32::new(pack(12, 0b11, true));

static CONSOLE: IrqLock<SerialPort> = IrqLock::new("console port", Rank::Console, SerialPort { uart: None });
static LOG_PORT: IrqLock<SerialPort> = IrqLock::new("log port", Rank::Console, SerialPort { uart: None });
static MIRROR: Once<fn(&[u8], LineFeed)> = Once::new();
static EMERGENCY_MIRROR: Once<fn(&str)> = Once::new();
/// The emergency mirror is at work: should it panic, it is not called again.
static MIRRORING: AtomicBool = AtomicBool::new(false);
static COLOURS: AtomicBool = AtomicBool::new(true);
/// Log lines up to this level also go to the console.
static CONSOLE_LEVEL: AtomicU8 = AtomicU8::new(log::Level::Warn as u8);

/// Opens the ports and takes the log.
pub(crate) fn init() {
    CONSOLE.lock().open(COM1);
    LOG_PORT.lock().open(COM2);
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(if cfg!(debug_assertions) { log::LevelFilter::Debug } else { log::LevelFilter::Info });
}

/// Writes bytes to the console, a line feed as carriage return and line feed.
pub fn write_bytes(bytes: &[u8]) {
    CONSOLE.lock().send(bytes);
    if let Some(mirror) = MIRROR.get() {
        mirror(bytes, LineFeed::NewLine);
    }
}

/// Writes bytes to the console as they are: for the terminal, which has translated line feeds already where the program
/// wants that.
pub fn write_raw(bytes: &[u8]) {
    CONSOLE.lock().send_raw(bytes);
    if let Some(mirror) = MIRROR.get() {
        mirror(bytes, LineFeed::Down);
    }
}

/// Writes bytes to the log's port alone, a line feed as carriage return and line feed; false if the log is without it.
pub fn write_log(bytes: &[u8]) -> bool {
    let mut port = LOG_PORT.lock();
    port.send(bytes);
    port.uart.is_some()
}

/// Whether the log has its port.
pub fn has_log_port() -> bool {
    LOG_PORT.lock().uart.is_some()
}

/// Takes the log's port away from it, if it has one. Until it is given back, log lines are only kept in the ring; panics go
/// out there all the same.
pub fn lend_log_port() -> Option<LentPort> {
    LOG_PORT.lock().uart.take().map(|_| LentPort(()))
}

/// The registers of the log's port while it is lent. The log gets it back when this is dropped.
pub struct LentPort(());

impl LentPort {
    /// Reads one of the eight registers.
    pub fn read(&self, register: u16) -> u8 {
        Port::serial(COM2 + register % 8).read()
    }

    /// Writes one of the eight registers.
    pub fn write(&self, register: u16, value: u8) {
        Port::serial(COM2 + register % 8).write(value);
    }

    /// Sets the divisor of 115200 baud and the line control register.
    pub fn set_format(&self, divisor: u16, line_control: u8) {
        write_format(COM2, divisor, line_control);
    }
}

impl Drop for LentPort {
    fn drop(&mut self) {
        LOG_PORT.lock().open(COM2);
    }
}

/// What a line feed does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineFeed {
    /// Begins a new line.
    NewLine,
    /// Goes down one line in the same column.
    Down,
}

/// Registers a second console that gets every byte of the first. It is called in any context, with any locks held, and
/// must not wait. Only the first call counts.
pub fn set_mirror(write: fn(&[u8], LineFeed)) {
    MIRROR.call_once(|| write);
}

/// Registers what shows the text of [`emergency`] elsewhere than on the ports. It must take no lock and no memory. Only the
/// first call counts.
pub fn set_emergency_mirror(write: fn(&str)) {
    EMERGENCY_MIRROR.call_once(|| write);
}

/// Log lines up to `level` also go to the console; gives what it was.
pub fn set_console_level(level: log::LevelFilter) -> log::LevelFilter {
    let before = CONSOLE_LEVEL.swap(level as u8, Ordering::Relaxed);
    log::LevelFilter::iter().find(|known| *known as u8 == before).unwrap_or(log::LevelFilter::Off)
}

/// Whether console output may have colours.
pub fn colours() -> bool {
    COLOURS.load(Ordering::Relaxed)
}

/// Switches colours on or off.
pub fn set_colours(on: bool) {
    COLOURS.store(on, Ordering::Relaxed);
}

/// Takes the bytes that have come in on the console port; calls `take` for each.
pub fn receive(mut take: impl FnMut(u8)) {
    loop {
        let byte = CONSOLE.lock().uart.as_mut().and_then(|uart| uart.try_receive_byte().ok());
        match byte {
            Some(byte) => take(byte),
            None => return,
        }
    }
}

/// Whether COM1 answers.
pub fn present() -> bool {
    CONSOLE.lock().uart.is_some()
}

/// Sets COM1's divisor of 115200 baud, its line control register, and DTR and RTS on or off; false while it still sends.
pub fn set_format(divisor: u16, line_control: u8, on: bool) -> bool {
    let port = CONSOLE.lock();
    let format = pack(divisor, line_control, on);
    if port.uart.is_none() || FORMAT.load(Ordering::Relaxed) == format {
        return true;
    }
    if Port::<u8>::serial(COM1 + LINE_STATUS).read() & IDLE == 0 {
        return false;
    }
    write_format(COM1, divisor, line_control);
    let modem = Port::<u8>::serial(COM1 + MODEM_CONTROL);
    modem.write(if on { modem.read() | DTR_AND_RTS } else { modem.read() & !DTR_AND_RTS });
    FORMAT.store(format, Ordering::Relaxed);
    true
}

/// How many bytes to write at once, of `most` at the speed that the console starts with, so that a slow line does not keep
/// interrupts off for longer.
pub fn batch_len(most: usize) -> usize {
    (most * 12 / divisor().max(12) as usize).max(1)
}

const fn pack(divisor: u16, line_control: u8, on: bool) -> u32 {
    divisor as u32 | (line_control as u32) << 16 | (on as u32) << 24
}

fn divisor() -> u32 {
    FORMAT.load(Ordering::Relaxed) & 0xffff
}

fn write_format(port: u16, divisor: u16, line_control: u8) {
    let [low, high] = divisor.to_le_bytes();
    let write = |register, value| Port::<u8>::serial(port + register).write(value);
    write(LINE_CONTROL, line_control | DIVISOR_ACCESS);
    write(DIVISOR, low);
    write(DIVISOR + 1, high);
    write(LINE_CONTROL, line_control);
}

/// How often it is tried to send a byte on the console.
fn send_tries() -> u32 {
    SEND_TRIES + TRIES_OF_BYTE * divisor()
}

/// Lets COM1 interrupt when a byte has come in; `false` if there is no such port.
pub fn enable_receive_interrupt() -> bool {
    match CONSOLE.lock().uart.as_mut() {
        Some(uart) => {
            uart.enable_interrupts(uart_16550::spec::registers::IER::DATA_READY);
            true
        }
        None => false,
    }
}

/// Writes to console and log whatever locks are held: for panics and reports from inside the locks.
pub fn emergency(arguments: fmt::Arguments<'_>) {
    struct Raw;
    impl Write for Raw {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                for port in [COM1, COM2] {
                    if byte == b'\n' {
                        raw_send(port, b'\r');
                    }
                    raw_send(port, byte);
                }
            }
            if let Some(mirror) = EMERGENCY_MIRROR.get()
                && !MIRRORING.swap(true, Ordering::Relaxed)
            {
                mirror(text);
                MIRRORING.store(false, Ordering::Relaxed);
            }
            Ok(())
        }
    }
    for port in [COM1, COM2] {
        // Whoever was stopped may have been setting the speed.
        let line_control = Port::<u8>::serial(port + LINE_CONTROL);
        line_control.write(line_control.read() & !DIVISOR_ACCESS);
    }
    let _ = Raw.write_fmt(arguments);
}

/// One byte by polling, without any state.
fn raw_send(port: u16, byte: u8) {
    let status = Port::<u8>::serial(port + LINE_STATUS);
    for _ in 0..send_tries() {
        if status.read() & READY != 0 {
            break;
        }
    }
    Port::<u8>::serial(port).write(byte);
}

impl SerialPort {
    fn open(&mut self, port: u16) {
        // SAFETY: (1) the kernel alone uses the two standard ports, through these two locks (and `emergency`).
        let Ok(mut uart) = (unsafe { Uart16550::new_port(port) }) else { return };
        if uart.init(Config::default()).is_ok() {
            self.uart = Some(uart);
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.send_byte(b'\r');
            }
            self.send_byte(byte);
        }
    }

    fn send_raw(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.send_byte(byte));
    }

    fn send_byte(&mut self, byte: u8) {
        let Some(uart) = &mut self.uart else { return };
        for _ in 0..send_tries() {
            if uart.try_send_byte(byte).is_ok() {
                return;
            }
            core::hint::spin_loop();
        }
    }
}

/// The log's front end.
struct Logger;
static LOGGER: Logger = Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut line = Line::new();
        let microseconds = time::since_boot_ns() / 1000;
        let cpu = percpu::this_cpu();
        let _ = write!(
            line,
            "[{:5}.{:06}] {cpu} {:5} ",
            microseconds / 1_000_000,
            microseconds % 1_000_000,
            record.level()
        );
        let _ = write!(line, "{}: {}", record.target(), record.args());
        line.end();
        kept_log::push(line.bytes());
        LOG_PORT.lock().send(line.bytes());
        if record.level() as u8 <= CONSOLE_LEVEL.load(Ordering::Relaxed) {
            let colour = match record.level() {
                log::Level::Error => "\x1b[1;31m",
                log::Level::Warn => "\x1b[33m",
                log::Level::Info => "\x1b[36m",
                _ => "\x1b[2m",
            };
            let (before, after) = if colours() { (colour, "\x1b[0m") } else { ("", "") };
            let mut coloured = Line::new();
            let text = core::str::from_utf8(line.bytes()).unwrap_or("(log line cut inside a character)");
            let _ = write!(coloured, "{before}{}{after}", text.trim_end());
            coloured.end();
            write_bytes(coloured.bytes());
        }
    }

    fn flush(&self) {}
}

/// A line being put together, cut at its capacity.
struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Line { bytes: [0; LINE_BYTES], len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn end(&mut self) {
        self.len = self.len.min(self.bytes.len() - 1);
        self.bytes[self.len] = b'\n';
        self.len += 1;
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut take = text.len().min(self.bytes.len() - self.len);
        while !text.is_char_boundary(take) {
            take -= 1;
        }
        self.bytes[self.len..self.len + take].copy_from_slice(&text.as_bytes()[..take]);
        self.len += take;
        Ok(())
    }
}
