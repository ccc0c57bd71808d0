//! What a socket is set to (`socket(7)`): sizes of buffers, time limits, and switches.

use crate::vfs::Result;
use abi::Errno;
use abi::inet::*;
use abi::socket::{SO_PRIORITY, SOL_SOCKET};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use machine::time::{self, Instant};

/// Bytes of a buffer at first, and the most that may be asked for (`wmem_default`, `wmem_max`).
const DEFAULT_BUFFER: u32 = 212_992;
/// Least sizes, as Linux has them.
const LEAST_SEND: u32 = 4608;
const LEAST_RECEIVE: u32 = 2304;
/// No time limit.
const NEVER: u64 = u64::MAX;

/// The receiver is told who sent what (`SO_PASSCRED`).
pub const PASS_CREDENTIALS: u32 = 1;
/// Others may have the same port ([`super::inet`]): SO_REUSEADDR, SO_REUSEPORT. Of AF_UNIX kept, and nothing more.
pub const REUSE_ADDRESS: u32 = 2;
/// See [`REUSE_ADDRESS`].
pub const REUSE_PORT: u32 = 4;
/// It may send to everybody (SO_BROADCAST).
pub const BROADCAST: u32 = 8;
/// Closing loses what the other side has not received (SO_LINGER with no time); TCP.
pub const RESETS: u32 = 16;
/// SO_LINGER with a time. What was sent is on the other side at once, so there is nothing to wait for.
pub const LINGERS: u32 = 32;
/// Switches that are kept and change nothing on the way from this machine to itself: SO_KEEPALIVE, SO_OOBINLINE.
pub const KEEP_ALIVE: u32 = 64;
/// See [`KEEP_ALIVE`].
pub const OUT_OF_BAND_INLINE: u32 = 128;

/// An option that is a number, and that is kept and changes nothing on the way from this machine to itself, as nothing is lost
/// there, put off or routed.
struct Number {
    level: u32,
    option: u32,
    first: u32,
    least: u32,
    most: u32,
}

impl Number {
    const fn new(level: u32, option: u32, first: u32, least: u32, most: u32) -> Number {
        Number { level, option, first, least, most }
    }

    /// One that is on or off.
    const fn switch(level: u32, option: u32, first: u32) -> Number {
        Number::new(level, option, first, 0, 1)
    }

    fn is_switch(&self) -> bool {
        (self.least, self.most) == (0, 1)
    }
}

static NUMBERS: [Number; 16] = [
    Number::new(SOL_SOCKET, SO_PRIORITY, 0, 0, 6),
    Number::switch(IPPROTO_TCP, TCP_NODELAY, 0),
    Number::switch(IPPROTO_TCP, TCP_CORK, 0),
    Number::new(IPPROTO_TCP, TCP_MAXSEG, LOOPBACK_SEGMENT, 88, 32767),
    Number::new(IPPROTO_TCP, TCP_KEEPIDLE, 7200, 1, 32767),
    Number::new(IPPROTO_TCP, TCP_KEEPINTVL, 75, 1, 32767),
    Number::new(IPPROTO_TCP, TCP_KEEPCNT, 9, 1, 127),
    Number::new(IPPROTO_TCP, TCP_SYNCNT, 6, 1, 127),
    Number::new(IPPROTO_TCP, TCP_LINGER2, 60, 0, 120),
    Number::new(IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 0, u32::MAX),
    Number::switch(IPPROTO_TCP, TCP_QUICKACK, 1),
    Number::new(IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 0, i32::MAX as u32),
    Number::new(IPPROTO_IP, IP_TOS, 0, 0, 255),
    Number::new(IPPROTO_IP, IP_TTL, 64, 1, 255),
    Number::new(IPPROTO_IP, IP_MTU_DISCOVER, 1, 0, 5),
    Number::switch(IPPROTO_IP, IP_RECVERR, 0),
];
/// Bytes of a segment of TCP on the way from this machine to itself, as far as anybody asks.
pub const LOOPBACK_SEGMENT: u32 = 65483;

/// The settings of one socket.
pub struct Options {
    send_buffer: AtomicU32,
    receive_buffer: AtomicU32,
    send_limit_ns: AtomicU64,
    receive_limit_ns: AtomicU64,
    switches: AtomicU32,
    linger_s: AtomicU32,
    numbers: [AtomicU32; NUMBERS.len()],
}

impl Default for Options {
    /// Those of a new socket.
    fn default() -> Options {
        Options {
            send_buffer: AtomicU32::new(DEFAULT_BUFFER),
            receive_buffer: AtomicU32::new(DEFAULT_BUFFER),
            send_limit_ns: AtomicU64::new(NEVER),
            receive_limit_ns: AtomicU64::new(NEVER),
            switches: AtomicU32::new(0),
            linger_s: AtomicU32::new(0),
            numbers: core::array::from_fn(|at| AtomicU32::new(NUMBERS[at].first)),
        }
    }
}

impl Options {
    /// Bytes that may be under way from the socket to another (`SO_SNDBUF`).
    pub fn send_buffer(&self) -> u32 {
        self.send_buffer.load(Ordering::Relaxed)
    }

    /// `SO_RCVBUF`: bytes that a UDP socket keeps, and that the other side of a TCP connection may send beyond its `SO_SNDBUF`. Of
    /// AF_UNIX it limits nothing, as on Linux.
    pub fn receive_buffer(&self) -> u32 {
        self.receive_buffer.load(Ordering::Relaxed)
    }

    /// Sets the size of a buffer: twice what is asked for, as socket(7) says.
    pub fn set_buffer(&self, sends: bool, asked: u32) {
        let size = asked.min(DEFAULT_BUFFER) * 2;
        match sends {
            true => self.send_buffer.store(size.max(LEAST_SEND), Ordering::Relaxed),
            false => self.receive_buffer.store(size.max(LEAST_RECEIVE), Ordering::Relaxed),
        }
    }

    /// How long sending, or receiving, may last; None: for ever.
    pub fn time_limit(&self, sends: bool) -> Option<Duration> {
        let limit_ns = self.limit_ns(sends).load(Ordering::Relaxed);
        (limit_ns != NEVER).then(|| Duration::from_nanos(limit_ns))
    }

    /// Sets that.
    pub fn set_time_limit(&self, sends: bool, limit: Option<Duration>) {
        let limit_ns = limit.map_or(NEVER, |limit| u64::try_from(limit.as_nanos()).unwrap_or(NEVER));
        self.limit_ns(sends).store(limit_ns, Ordering::Relaxed);
    }

    /// When a call that begins now ends at the latest.
    #[inline(never)]
    pub fn deadline(&self, sends: bool) -> Option<Instant> {
        self.time_limit(sends).map(|limit| time::now() + limit)
    }

    /// What a connection has of the socket that it was made at (AF_UNIX): whether it tells of credentials.
    pub fn inherit_credentials(&self, listener: &Options) {
        if listener.is_on(PASS_CREDENTIALS) {
            self.switch(PASS_CREDENTIALS, true);
        }
    }

    /// What a connection has of the socket that it was made at (TCP).
    pub fn inherit(&self, listener: &Options) {
        let copy = |to: &AtomicU32, from: &AtomicU32| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        copy(&self.send_buffer, &listener.send_buffer);
        copy(&self.receive_buffer, &listener.receive_buffer);
        let copy_limit = |to: &AtomicU64, from: &AtomicU64| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        copy_limit(&self.send_limit_ns, &listener.send_limit_ns);
        copy_limit(&self.receive_limit_ns, &listener.receive_limit_ns);
        copy(&self.switches, &listener.switches);
        copy(&self.linger_s, &listener.linger_s);
        self.numbers.iter().zip(&listener.numbers).for_each(|(to, from)| copy(to, from));
    }

    /// SO_LINGER: the seconds, if it is on.
    pub fn linger(&self) -> (bool, u32) {
        (self.is_on(RESETS | LINGERS), self.linger_s.load(Ordering::Relaxed))
    }

    /// Sets that.
    pub fn set_linger(&self, on: bool, seconds: u32) {
        self.linger_s.store(seconds, Ordering::Relaxed);
        self.switch(RESETS, on && seconds == 0);
        self.switch(LINGERS, on && seconds != 0);
    }

    /// An option of TCP or IP that is a number.
    pub fn number(&self, level: u32, option: u32) -> Option<u32> {
        Some(self.numbers[place(level, option)?].load(Ordering::Relaxed))
    }

    /// Sets it; ENOPROTOOPT if there is none, EINVAL.
    pub fn set_number(&self, level: u32, option: u32, value: u32) -> Result<()> {
        let at = place(level, option).ok_or(Errno::ENOPROTOOPT)?;
        let number = &NUMBERS[at];
        let value = match (level, option) {
            // On with any number but 0.
            _ if number.is_switch() => (value != 0).into(),
            (IPPROTO_IP, IP_TTL) if value == u32::MAX => number.first,
            _ => value,
        };
        if !(number.least..=number.most).contains(&value) {
            return Err(Errno::EINVAL);
        }
        self.numbers[at].store(value, Ordering::Relaxed);
        Ok(())
    }

    fn limit_ns(&self, sends: bool) -> &AtomicU64 {
        if sends { &self.send_limit_ns } else { &self.receive_limit_ns }
    }

    /// Whether this switch is on.
    #[inline]
    pub fn is_on(&self, switch: u32) -> bool {
        self.switches.load(Ordering::Relaxed) & switch != 0
    }

    /// Turns it on or off.
    pub fn switch(&self, switch: u32, on: bool) {
        match on {
            true => self.switches.fetch_or(switch, Ordering::Relaxed),
            false => self.switches.fetch_and(!switch, Ordering::Relaxed),
        };
    }
}

fn place(level: u32, option: u32) -> Option<usize> {
    NUMBERS.iter().position(|number| (number.level, number.option) == (level, option))
}
