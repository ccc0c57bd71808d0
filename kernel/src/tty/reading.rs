//! How programs read a terminal: `read(2)` in canonical and raw mode, with VMIN and VTIME (termios(3)).

use super::Terminal;
use super::state::Effects;
use super::terminal::{Waiting, wait_in};
use abi::Errno;
use abi::termios::{LocalFlags, VMIN, VTIME};
use core::time::Duration;
use machine::sync::WaitEnd;
use machine::time;

/// Unit of VTIME.
const TENTH_SECOND: Duration = Duration::from_millis(100);

impl Terminal {
    /// Reads what is there for the programs: how many bytes, and whether the same read may go on. EAGAIN if there is nothing
    /// and it may not wait, EINTR, EIO if the shell has the terminal or it was hung up.
    pub fn read(&self, out: &mut [u8], waiting: Waiting) -> Result<(usize, bool), Errno> {
        match self.read_time() {
            Some(between) if waiting.allowed => self.read_timed(out, between, waiting),
            _ => wait_in(&self.readers, waiting, || self.read_ready(out, waiting)),
        }
    }

    /// Whether a read would not wait.
    pub fn is_readable(&self) -> bool {
        let state = self.state.lock();
        state.is_shells() || state.discipline.is_readable()
    }

    /// Bytes that can be read.
    pub fn readable_bytes(&self) -> usize {
        let state = self.state.lock();
        if state.is_shells() { 0 } else { state.discipline.available() }
    }

    fn read_ready(&self, out: &mut [u8], waiting: Waiting) -> Option<Result<(usize, bool), Errno>> {
        if let Err(error) = self.check_read(waiting) {
            return Some(Err(error));
        }
        let mut effects = Effects::default();
        let read = {
            let mut state = self.state.lock();
            let read = state.discipline.read(out)?;
            state.pump(&mut effects);
            read
        };
        self.settle(effects);
        Some(Ok(read))
    }

    fn check_read(&self, waiting: Waiting) -> Result<(), Errno> {
        match self.hangups() != waiting.opened_at || self.state.lock().is_shells() {
            true => Err(Errno::EIO),
            false => Ok(()),
        }
    }

    /// What VTIME says, if it counts: in raw mode.
    fn read_time(&self) -> Option<Duration> {
        let settings = self.settings();
        let tenths = u32::from(settings.c_cc[VTIME as usize]);
        (tenths > 0 && !settings.local().contains(LocalFlags::ICANON)).then(|| TENTH_SECOND * tenths)
    }

    /// A raw read with VTIME: with VMIN 0 it waits that long for the first byte, else as long between bytes (termios(3),
    /// the cases "VMIN 0, VTIME above 0" and "both above 0").
    fn read_timed(&self, out: &mut [u8], between: Duration, waiting: Waiting) -> Result<(usize, bool), Errno> {
        let mut deadline = (self.settings().c_cc[VMIN as usize] == 0).then(|| time::now() + between);
        let mut seen = 0;
        loop {
            let change = || match (self.check_read(waiting), self.readable_bytes()) {
                (Err(error), _) => Some(Err(error)),
                (_, available) if available > seen => Some(Ok(available)),
                _ => None,
            };
            match self.readers.wait_until(deadline, waiting.interrupted, change) {
                Ok(Err(error)) => return Err(error),
                Ok(Ok(_)) if seen == 0 && deadline.is_some() => return self.read_what_is_there(out, waiting),
                Ok(Ok(available)) => seen = available,
                Err(WaitEnd::TimedOut) => return self.read_what_is_there(out, waiting),
                Err(WaitEnd::Interrupted) => return Err(Errno::EINTR),
            }
            if let Some(done) = self.read_ready(out, waiting) {
                return done;
            }
            deadline = Some(time::now() + between);
        }
    }

    fn read_what_is_there(&self, out: &mut [u8], waiting: Waiting) -> Result<(usize, bool), Errno> {
        self.check_read(waiting)?;
        let mut effects = Effects::default();
        let len = {
            let mut state = self.state.lock();
            let len = state.discipline.read_now(out);
            state.pump(&mut effects);
            len
        };
        self.settle(effects);
        Ok((len, false))
    }
}
