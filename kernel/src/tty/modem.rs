//! The requests that only a terminal on a serial line knows: modem lines, breaks, counts (`ioctl_tty(2)`).

use super::Terminal;
use super::line::{Line, SerialPort};
use super::terminal::Waiting;
use crate::process;
use crate::vfs::Result;
use abi::Errno;
use abi::termios::{self, SerialCounts};
use core::time::Duration;
use machine::sync::{WaitEnd, WaitQueue};
use machine::time;
use machine::user::value::{get, put};

/// How long a break is, if nothing is said: tcsendbreak(3) has it between a quarter and half a second.
const BREAK: Duration = Duration::from_millis(250);
/// Unit of TCSBRKP.
const TENTH_SECOND: Duration = Duration::from_millis(100);

static BREAKING: WaitQueue = WaitQueue::new("the end of a break");

/// Does what `command` asks of a terminal on a line; None if it is no such request, or there is no line.
pub fn handle(terminal: &Terminal, command: u32, argument: u64) -> Option<Result<()>> {
    let Some(line) = terminal.line.and_then(Line::serial) else {
        // Where there are no breaks, asking for one only waits until all is sent.
        return match command {
            termios::TIOCSBRK | termios::TIOCCBRK => Some(Ok(())),
            termios::TCSBRK | termios::TCSBRKP => Some(drain(terminal)),
            _ => None,
        };
    };
    let change = |cleared: fn(u32) -> u32, set: fn(u32) -> u32| {
        get::<u32>(argument).map(|lines| line.change_modem(cleared(lines), set(lines)))
    };
    Some(match command {
        termios::TIOCMGET => put(argument, &line.modem()),
        termios::TIOCMSET => change(|lines| !lines, |lines| lines),
        termios::TIOCMBIS => change(|_| 0, |lines| lines),
        termios::TIOCMBIC => change(|lines| lines, |_| 0),
        termios::TIOCSBRK => drain(terminal).map(|()| line.set_break(true)),
        termios::TIOCCBRK => {
            line.set_break(false);
            Ok(())
        }
        termios::TCSBRK if argument != 0 => drain(terminal),
        termios::TCSBRK => drain(terminal).and_then(|()| send_break(line, BREAK)),
        termios::TCSBRKP => {
            let length = if argument == 0 { BREAK } else { TENTH_SECOND * u32::try_from(argument).unwrap_or(u32::MAX) };
            drain(terminal).and_then(|()| send_break(line, length))
        }
        termios::TIOCGSOFTCAR => put(argument, &i32::from(terminal.settings().c_cflag & termios::CLOCAL != 0)),
        termios::TIOCSSOFTCAR => get::<i32>(argument).map(|on| {
            let mut settings = terminal.settings();
            settings.c_cflag = settings.c_cflag & !termios::CLOCAL | if on != 0 { termios::CLOCAL } else { 0 };
            terminal.set_settings(settings, None, false);
        }),
        termios::TIOCMIWAIT => {
            let opened_at = terminal.hangups();
            let ended = || process::interrupted() || terminal.hangups() != opened_at;
            match (line.wait_for_change(argument as u32, &ended), terminal.hangups() == opened_at) {
                (true, _) => Ok(()),
                (false, true) => Err(Errno::EINTR),
                (false, false) => Err(Errno::EIO),
            }
        }
        termios::TIOCGICOUNT => put(argument, &counts(line)),
        _ => return None,
    })
}

/// Waits until all output has been sent: EINTR, EIO.
pub fn drain(terminal: &Terminal) -> Result<()> {
    terminal.drain(Waiting { allowed: true, interrupted: process::interrupted, opened_at: terminal.hangups() })
}

fn send_break(line: &dyn SerialPort, length: Duration) -> Result<()> {
    line.set_break(true);
    let end = BREAKING.wait_until(Some(time::now() + length), process::interrupted, || None::<()>);
    line.set_break(false);
    if end == Err(WaitEnd::Interrupted) { Err(Errno::EINTR) } else { Ok(()) }
}

fn counts(line: &dyn SerialPort) -> SerialCounts {
    let counts = line.counts();
    let [cts, dsr, rng, dcd] = counts.lines;
    SerialCounts {
        cts,
        dsr,
        rng,
        dcd,
        rx: counts.received,
        tx: counts.sent,
        frame: counts.framing,
        overrun: counts.overruns,
        parity: counts.parity,
        brk: counts.breaks,
        buf_overrun: line.lost(),
        reserved: [0; 9],
    }
}
