//! The last lines of the log, kept in a ring: for dmesg(1), syslog(2) and panics.
//!
//! Lock: that of the writers, of the highest rank and with interrupts off, as the log is written in any context.

use crate::sync::{IrqLock, Rank};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Longest line.
pub(crate) const LINE_BYTES: usize = 512;

static RING: Ring = Ring::new();
static RING_WRITER: IrqLock<()> = IrqLock::new("log ring", Rank::Console, ());

/// Keeps a line, which ends with a line feed.
pub(crate) fn push(line: &[u8]) {
    let _writer = RING_WRITER.lock();
    RING.push(line);
}

/// Calls `write` with the kept log, oldest line first.
pub fn each(write: &mut dyn FnMut(&[u8])) {
    let mut reader = LogReader::from(0);
    let mut chunk = [0u8; 256];
    loop {
        match reader.read(&mut chunk) {
            0 => return,
            len => write(&chunk[..len]),
        }
    }
}

/// Reads the log from a place on. Positions count from the first byte ever written.
pub struct LogReader(u64);

impl LogReader {
    /// How much of the log is kept.
    pub const KEPT_BYTES: usize = Ring::LEN;

    /// From `position`, or from the oldest whole line that is kept.
    pub fn from(position: u64) -> Self {
        LogReader(RING.start().max(position))
    }

    /// From what will be written next.
    pub fn at_end() -> Self {
        LogReader(RING.end())
    }

    /// Where it is.
    pub fn position(&self) -> u64 {
        self.0
    }

    /// The next bytes; 0 at the end.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let _writer = RING_WRITER.lock();
        RING.read(&mut self.0, out)
    }
}

/// Calls `write` with the last `lines` lines of the log, without a lock: for panics.
pub(crate) fn last_lines(lines: usize, mut write: impl FnMut(&[u8])) {
    let mut at = RING.start_of_last(lines);
    let mut byte = [0u8];
    let (mut line, mut len) = ([0; LINE_BYTES], 0);
    while RING.read(&mut at, &mut byte) != 0 {
        if let Some(slot) = line.get_mut(len) {
            *slot = byte[0];
            len += 1;
        }
        if byte[0] == b'\n' {
            write(&line[..len]);
            len = 0;
        }
    }
}

/// The last bytes of the log; positions count from the first byte ever written. Written under `RING_WRITER`; whoever
/// reads without it may see a line that is just being overwritten.
struct Ring {
    bytes: [AtomicU8; Ring::LEN],
    end: AtomicU64,
}

impl Ring {
    const LEN: usize = 32 * 1024;

    const fn new() -> Self {
        Ring { bytes: [const { AtomicU8::new(0) }; Ring::LEN], end: AtomicU64::new(0) }
    }

    fn end(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    fn at(&self, position: u64) -> &AtomicU8 {
        &self.bytes[(position % Ring::LEN as u64) as usize]
    }

    fn push(&self, bytes: &[u8]) {
        let end = self.end();
        for (position, &byte) in (end..).zip(bytes) {
            self.at(position).store(byte, Ordering::Relaxed);
        }
        self.end.store(end + bytes.len() as u64, Ordering::Relaxed);
    }

    /// Position of the oldest whole line.
    fn start(&self) -> u64 {
        let end = self.end();
        let mut at = end.saturating_sub(Ring::LEN as u64);
        if at > 0 {
            while at < end && self.at(at).load(Ordering::Relaxed) != b'\n' {
                at += 1;
            }
            at = (at + 1).min(end);
        }
        at
    }

    /// Position of the first of the last `lines` lines.
    fn start_of_last(&self, lines: usize) -> u64 {
        let (first, end) = (self.start(), self.end());
        let is_break = |&at: &u64| self.at(at).load(Ordering::Relaxed) == b'\n';
        // The break before the wanted lines is one more than there are lines, since each ends with one.
        (first..end).rev().filter(is_break).nth(lines).map_or(first, |at| at + 1)
    }

    fn read(&self, at: &mut u64, out: &mut [u8]) -> usize {
        *at = (*at).max(self.end().saturating_sub(Ring::LEN as u64));
        let len = (self.end() - *at).min(out.len() as u64) as usize;
        for slot in &mut out[..len] {
            *slot = self.at(*at).load(Ordering::Relaxed);
            *at += 1;
        }
        len
    }
}
