//! Opening and closing: who uses a terminal (`open(2)`, `TIOCEXCL` of `ioctl_tty(2)`).

use super::Terminal;
use super::line::Line;
use super::state::Effects;
use crate::process;
use crate::vfs::Result;
use abi::Errno;
use abi::capability::CAP_SYS_ADMIN;
use abi::termios::Termios;
use klib::ldisc::LineDiscipline;

impl Terminal {
    /// An opening: how often the terminal was hung up before. EIO for a slave that is locked or has no master, EBUSY for
    /// a terminal that is another's alone.
    pub fn count_opening(&self) -> Result<u32> {
        let Some(line) = self.line else { return self.count_file() };
        line.open(&self.settings(), self.speeds().1)?;
        let counted = self.count_file();
        if counted.is_err() {
            line.close();
        }
        counted
    }

    fn count_file(&self) -> Result<u32> {
        // Asked before the terminal is locked, as credentials come before terminals.
        let privileged = process::current_thread().is_none_or(|it| it.process().credentials().has(CAP_SYS_ADMIN));
        let mut state = self.state.lock();
        if state.exclusive && !privileged {
            return Err(Errno::EBUSY);
        }
        if let Some(pair) = &mut state.pair {
            if !pair.master || pair.locked {
                return Err(Errno::EIO);
            }
            pair.slave_closed = false;
        }
        if state.shell.is_none() {
            state.files += 1;
        }
        Ok(self.hangups())
    }

    /// A file is closed, one that was hung up too. A terminal that nobody has open begins with usual settings and modes again; a
    /// serial port's keeps its settings, as on Linux.
    pub fn count_closing(&self) {
        if let Some(line) = self.line {
            line.close();
        }
        {
            let mut state = self.state.lock();
            if state.shell.is_some() {
                return;
            }
            state.files -= 1;
            if state.files > 0 {
                return;
            }
            state.exclusive = false;
            match &mut state.pair {
                Some(pair) => pair.slave_closed = true,
                None if self.line.and_then(Line::serial).is_some() => {
                    state.flush_input();
                    state.discipline.set_stopped(false);
                }
                None => {
                    state.flush_input();
                    state.discipline = LineDiscipline::new(Termios::INITIAL);
                }
            }
        }
        self.tidy();
        self.settle(Effects { changed: true, ..Effects::default() });
    }

    /// Whether a program has it open, or a session counts on it; the console always is.
    pub fn is_used(&self) -> bool {
        let state = self.state.lock();
        state.shell.is_some() || state.files > 0 || state.session.is_some()
    }
}
