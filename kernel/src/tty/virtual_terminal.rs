//! The requests of virtual terminals (`ioctl_console(2)`) that chvt(1), openvt(1), fgconsole(1) and getty(8) make.
//!
//! `/dev/tty1` is the console, `/dev/tty2` to `/dev/tty4` are terminals of their own on the same screen and keyboard.

use super::Terminal;
use super::registry;
use super::terminal::TCIFLUSH;
use super::vt_modes;
use crate::process;
use crate::screen::{self, ScreenError};
use crate::vfs::Result;
use abi::Errno;
use abi::capability::CAP_SYS_TTY_CONFIG;
use abi::termios::Winsize;
use abi::vt::{self, VtState};
use core::time::Duration;
use machine::user::value::{get, put};

/// Rows and columns of the screen.
pub fn window() -> Option<Winsize> {
    let (columns, rows) = screen::size()?;
    Some(Winsize { ws_row: rows as u16, ws_col: columns as u16, ws_xpixel: 0, ws_ypixel: 0 })
}

/// Does what `command` asks of a virtual terminal; None if it is no such request, or this is none.
pub fn handle(terminal: &Terminal, command: u32, argument: u64) -> Option<Result<()>> {
    screen::size()?;
    let own = terminal.screen()?;
    Some(match command {
        vt::KDGKBTYPE => put(argument, &vt::KB_101),
        vt::KDGETMODE => put(argument, &vt_modes::mode(own)),
        vt::KDGKBMODE => put(argument, &(vt_modes::keys(own) as i32)),
        vt::KDSETMODE => permitted(terminal).and_then(|()| vt_modes::set_mode(own, argument)),
        vt::KDSKBMODE => permitted(terminal).and_then(|()| vt_modes::set_keys(own, argument)).map(|()| {
            // What was typed before means something else.
            let _ = terminal.flush(TCIFLUSH);
        }),
        vt::VT_GETMODE => put(argument, &vt_modes::switching(own)),
        vt::VT_SETMODE => {
            permitted(terminal).and_then(|()| get(argument)).and_then(|mode| vt_modes::set_switching(own, mode))
        }
        vt::VT_RELDISP => permitted(terminal).and_then(|()| vt_modes::answer(own, argument)),
        vt::VT_LOCKSWITCH | vt::VT_UNLOCKSWITCH => privileged().map(|()| vt_modes::lock(command == vt::VT_LOCKSWITCH)),
        vt::VT_GETSTATE => put(argument, &state()),
        vt::VT_OPENQRY => put(argument, &first_free().map_or(-1, |screen| screen as i32 + 1)),
        vt::VT_ACTIVATE => permitted(terminal).and_then(|()| vt_modes::switch(index(argument)?).map_err(errno)),
        vt::VT_WAITACTIVE => {
            index(argument).and_then(|it| screen::wait_active(it, process::interrupted).map_err(|_| Errno::EINTR))
        }
        vt::VT_DISALLOCATE => permitted(terminal).and_then(|()| give_back(argument)),
        vt::KIOCSOUND | vt::KDMKTONE => permitted(terminal).map(|()| sound(command, argument)),
        _ => return None,
    })
}

/// A tone: its divisor in the low 16 bits and, of KDMKTONE, milliseconds above.
fn sound(command: u32, argument: u64) {
    let length = (command == vt::KDMKTONE).then(|| Duration::from_millis(argument >> 16 & 0xffff));
    screen::bell::tone(argument as u16, length);
}

/// What a screen's error is to a program.
pub fn errno(error: ScreenError) -> Errno {
    if error == ScreenError::OutOfMemory { Errno::ENOMEM } else { Errno::ENXIO }
}

/// The screen of the virtual terminal with this number.
fn index(number: u64) -> Result<usize> {
    match usize::try_from(number) {
        Ok(number @ 1..=screen::COUNT) => Ok(number - 1),
        _ => Err(Errno::ENXIO),
    }
}

/// Whether the process may change what is shown: root, and whose terminal it is.
fn permitted(terminal: &Terminal) -> Result<()> {
    let thread = process::current_thread().ok_or(Errno::EPERM)?;
    let process = thread.process();
    let own = terminal.session() == Some(process.session());
    if own || process.credentials().has(CAP_SYS_TTY_CONFIG) { Ok(()) } else { Err(Errno::EPERM) }
}

fn privileged() -> Result<()> {
    let thread = process::current_thread().ok_or(Errno::EPERM)?;
    if thread.process().credentials().has(CAP_SYS_TTY_CONFIG) { Ok(()) } else { Err(Errno::EPERM) }
}

fn is_used(screen: usize) -> bool {
    registry::on_screen(screen).is_used()
}

fn first_free() -> Option<usize> {
    (0..screen::COUNT).find(|&screen| !is_used(screen))
}

fn state() -> VtState {
    // The lowest bit is that of the one that is shown, whichever that is.
    let used = (0..screen::COUNT).filter(|&screen| is_used(screen)).fold(1, |bits, screen| bits | 2 << screen);
    VtState { v_active: screen::active() as u16 + 1, v_signal: 0, v_state: used }
}

/// Gives the memory of a virtual terminal back that nobody uses, or, for 0, of all such.
fn give_back(number: u64) -> Result<()> {
    if number == 0 {
        for screen in (1..screen::COUNT).filter(|&screen| !is_used(screen)) {
            // The one that is shown stays.
            let _ = screen::close(screen);
        }
        return Ok(());
    }
    let screen = index(number)?;
    if is_used(screen) || !screen::close(screen) { Err(Errno::EBUSY) } else { Ok(()) }
}
