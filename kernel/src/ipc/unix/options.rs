//! What a socket is set to (`socket(7)`): sizes of buffers, time limits, and switches.

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
/// Switches that are kept and do nothing for these sockets, as on Linux: SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST.
pub const REUSE_ADDRESS: u32 = 2;
/// See [`REUSE_ADDRESS`].
pub const KEEP_ALIVE: u32 = 4;
/// See [`REUSE_ADDRESS`].
pub const BROADCAST: u32 = 8;

/// The settings of one socket.
pub struct Options {
    send_buffer: AtomicU32,
    receive_buffer: AtomicU32,
    send_limit_ns: AtomicU64,
    receive_limit_ns: AtomicU64,
    switches: AtomicU32,
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
        }
    }
}

impl Options {
    /// Bytes that may be under way from the socket to another (`SO_SNDBUF`).
    pub fn send_buffer(&self) -> u32 {
        self.send_buffer.load(Ordering::Relaxed)
    }

    /// `SO_RCVBUF`, which limits nothing here, as on Linux.
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
