//! The requests of `ioctl_tty(2)` that any terminal knows. A pseudo-terminal's master passes on here what is not its own:
//! then they are about the slave.

use super::Terminal;
use super::modem;
use super::virtual_terminal;
use crate::process;
use crate::vfs::Result;
use abi::capability::CAP_SYS_ADMIN;
use abi::termios::{self, Termios, Termios2, VSTART, VSTOP, Winsize};
use abi::{Errno, Signal};
use machine::user::value::{get, put};

/// What TCXONC takes: stop output, let it go on; send the stop character, and the start character (`tcflow(3)`).
const TCOOFF: u64 = 0;
const TCOON: u64 = 1;
const TCIOFF: u64 = 2;
const TCION: u64 = 3;

/// Does what `command` asks of a terminal.
pub fn handle(terminal: &Terminal, command: u32, argument: u64) -> Result<()> {
    if is_change(command) {
        terminal.check_foreground(Signal::SIGTTOU)?;
    }
    match command {
        termios::TCGETS => put(argument, &terminal.settings()),
        termios::TCSETS | termios::TCSETSW | termios::TCSETSF => {
            let new: Termios = get(argument)?;
            change(terminal, new, None, command != termios::TCSETS, command == termios::TCSETSF)
        }
        termios::TCGETS2 => put(argument, &with_speeds(terminal.settings(), terminal.speeds())),
        termios::TCSETS2 | termios::TCSETSW2 | termios::TCSETSF2 => {
            let new: Termios2 = get(argument)?;
            let speeds = Some((new.c_ispeed, new.c_ospeed));
            change(terminal, without_speeds(new), speeds, command != termios::TCSETS2, command == termios::TCSETSF2)
        }
        termios::TIOCGWINSZ => put(argument, &terminal.window()),
        termios::TIOCSWINSZ => get::<Winsize>(argument).map(|new| terminal.set_window(new)),
        termios::FIONREAD => put(argument, &(terminal.readable_bytes() as i32)),
        // What has been written elsewhere is on its way.
        termios::TIOCOUTQ => put(argument, &(terminal.line.map_or(0, |line| line.unsent().0) as i32)),
        termios::TCFLSH => terminal.flush(argument),
        termios::TCXONC => flow(terminal, argument),
        // Of a master alone, and Linux tells it so.
        termios::TIOCGPTPEER => Err(Errno::EIO),
        termios::TIOCGETD => put(argument, &0i32),
        termios::TIOCSETD => match get::<i32>(argument)? {
            0 => Ok(()),
            _ => Err(Errno::EINVAL),
        },
        termios::TIOCEXCL | termios::TIOCNXCL => {
            terminal.state.lock().exclusive = command == termios::TIOCEXCL;
            Ok(())
        }
        termios::TIOCGEXCL => put(argument, &i32::from(terminal.state.lock().exclusive)),
        _ => modem::handle(terminal, command, argument)
            .or_else(|| virtual_terminal::handle(terminal, command, argument))
            .unwrap_or_else(|| job_control(terminal, command, argument)),
    }
}

/// Changes the settings: after what was written is sent, if `drains`; `flushes` drops what was typed before.
fn change(terminal: &Terminal, new: Termios, speeds: Option<(u32, u32)>, drains: bool, flushes: bool) -> Result<()> {
    if drains {
        modem::drain(terminal)?;
    }
    terminal.set_settings(new, speeds, flushes);
    Ok(())
}

/// Whether a process in the background has to be stopped for it.
fn is_change(command: u32) -> bool {
    use termios::*;
    matches!(
        command,
        TCSETS
            | TCSETSW
            | TCSETSF
            | TCSETS2
            | TCSETSW2
            | TCSETSF2
            | TIOCSPGRP
            | TCFLSH
            | TCXONC
            | TCSBRK
            | TCSBRKP
            | TIOCSBRK
            | TIOCCBRK
            | TIOCSETD
    )
}

fn flow(terminal: &Terminal, what: u64) -> Result<()> {
    match what {
        TCOOFF => terminal.set_stopped(true),
        TCOON => terminal.set_stopped(false),
        TCIOFF | TCION => {
            let character = if what == TCIOFF { VSTOP } else { VSTART };
            if let Some(byte) = terminal.settings().control(character) {
                terminal.send_control(byte);
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// The requests about sessions and groups, which only processes of the terminal's session may make.
fn job_control(terminal: &Terminal, command: u32, argument: u64) -> Result<()> {
    let thread = process::current_thread().ok_or(Errno::ENOTTY)?;
    let process = thread.process();
    let controls = terminal.session() == Some(process.session());
    match command {
        termios::TIOCSCTTY => terminal.acquire(process, argument == 1),
        termios::TIOCSTI => {
            if !controls && !process.credentials().has(CAP_SYS_ADMIN) {
                return Err(Errno::EPERM);
            }
            get::<u8>(argument).map(|byte| terminal.receive(&[byte]))
        }
        termios::TIOCNOTTY | termios::TIOCGPGRP | termios::TIOCGSID | termios::TIOCSPGRP if !controls => {
            Err(Errno::ENOTTY)
        }
        termios::TIOCNOTTY => {
            // Others of the session lose the terminal with their leader only.
            if process.session() == process.pid() {
                terminal.end_session(process.session());
            }
            Ok(())
        }
        termios::TIOCGPGRP => put(argument, &(terminal.group() as i32)),
        termios::TIOCGSID => put(argument, &(process.session() as i32)),
        termios::TIOCSPGRP => {
            let group: i32 = get(argument)?;
            terminal.set_group(u32::try_from(group).map_err(|_| Errno::EINVAL)?)
        }
        _ => Err(Errno::ENOTTY),
    }
}

fn with_speeds(settings: Termios, (input, output): (u32, u32)) -> Termios2 {
    Termios2 {
        c_iflag: settings.c_iflag,
        c_oflag: settings.c_oflag,
        c_cflag: settings.c_cflag,
        c_lflag: settings.c_lflag,
        c_line: settings.c_line,
        c_cc: settings.c_cc,
        c_ispeed: input,
        c_ospeed: output,
    }
}

fn without_speeds(settings: Termios2) -> Termios {
    Termios {
        c_iflag: settings.c_iflag,
        c_oflag: settings.c_oflag,
        c_cflag: settings.c_cflag,
        c_lflag: settings.c_lflag,
        c_line: settings.c_line,
        c_cc: settings.c_cc,
    }
}
