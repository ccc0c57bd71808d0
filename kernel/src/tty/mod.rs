//! Terminals: the console, which programs see as /dev/console, /dev/ttyS0 and /dev/tty1 and where the kernel's shell reads its
//! keys, virtual terminals on the same screen and keyboard, pseudo-terminals, /dev/ttyS1 on the second serial port, and
//! /dev/hvc0 and so on at ports of virtio consoles.
//!
//! From the bottom up: `serial_line` is the second serial port, one kind of a `line`, `vt_modes` what virtual terminals are set to · `state`, [`Terminal`], `reading`, `on_line` edit, echo and keep what comes in and translate what goes out;
//! `registry` knows all terminals, `session` whose each is, `opening` who uses it · `virtual_terminal`, `modem`, `request` and `device`
//! are what programs do with an open terminal · `pty` and `devpts` are the masters and the names of pseudo-terminals · `input` brings bytes from the serial
//! port and `keyboard` from the keyboard to the console, `serial` those of the second port, `on_port` those of virtio consoles.

mod checks;
mod device;
mod devpts;
mod input;
pub mod keyboard;
mod line;
mod modem;
mod on_line;
mod on_port;
mod opening;
mod pty;
mod reading;
mod registry;
mod request;
mod serial;
mod serial_line;
mod session;
mod state;
mod terminal;
mod virtual_terminal;
mod vt_modes;

use crate::screen;
use crate::vfs::{self, File, device_number, flags, register_device};
use abi::termios::Winsize;
use alloc::format;
use alloc::sync::Arc;
pub use device::write_chunks;
use device::{ControllingTerminal, LineTerminal, TerminalFile, VirtualTerminal};
pub use devpts::source as pts_source;
pub use input::lost as lost_input;
use machine::sync::{Rank, SpinLock};
pub use on_port::PortTerminal;
pub use registry::{PORT_MAJOR, console, controlling, session_ended};
pub use terminal::Terminal;

/// Character device, readable and writable by all.
const MODE: u32 = 0o020666;

/// Makes the terminal's device nodes and lets input in. Needs the device tree and the scheduler.
pub fn init() {
    // Numbers as in Linux's Documentation/admin-guide/devices.txt.
    register_device("tty", MODE, device_number(5, 0), Arc::new(ControllingTerminal));
    register_device("console", MODE, device_number(5, 1), Arc::new(TerminalFile::console(false)));
    register_device("ptmx", MODE, device_number(5, 2), Arc::new(devpts::Multiplexer));
    register_device("ttyS0", MODE, device_number(4, 64), Arc::new(TerminalFile::console(true)));
    for number in 0..=screen::COUNT {
        let name = format!("tty{number}");
        register_device(&name, MODE, device_number(4, number as u32), Arc::new(VirtualTerminal(number)));
    }
    match serial::start() {
        Ok(true) => register_device("ttyS1", MODE, registry::SERIAL_NUMBER, Arc::new(LineTerminal(registry::serial()))),
        Ok(false) => {}
        Err(error) => log::warn!("no /dev/ttyS1: {error}"),
    }
    if let Err(error) = devpts::mount() {
        log::warn!("no /dev/pts: {error}");
    }
    if let Err(error) = input::start(console()) {
        log::warn!("console: no input: {error}");
    }
    screen::start(answer);
    if keyboard::start().is_err() {
        log::warn!("console: no memory for the keyboard's task");
    }
}

/// Where input comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    /// The serial port.
    Serial,
    /// The keyboard, and the screen that belongs to it.
    Keyboard,
}

/// The source of the last input, and the window of the other one. The two share one terminal, whose window is that of
/// whoever typed last.
static FOCUS: SpinLock<(Source, Option<Winsize>)> = SpinLock::new("console focus", Rank::Table, (Source::Serial, None));

/// Notes that input comes from `source`.
fn note_source(source: Source) {
    let mut focus = FOCUS.lock();
    if focus.0 == source {
        return;
    }
    let window = focus.1.or_else(virtual_terminal::window);
    let left = console().window();
    *focus = (source, Some(left));
    drop(focus);
    console().set_window(window.unwrap_or(left));
}

/// Whether the last key for the console came from the keyboard, and not from the serial port.
pub fn typed_on_keyboard() -> bool {
    FOCUS.lock().0 == Source::Keyboard
}

/// What the screen answers to programs. If the keyboard is not where somebody types, a terminal at the serial port gets
/// the same questions, and one answer is enough.
fn answer(bytes: &[u8]) {
    if FOCUS.lock().0 == Source::Keyboard {
        console().receive(bytes);
    }
}

/// A new open file of the console terminal, for a program's descriptors 0, 1 and 2: `/dev/console`, if that is there.
pub fn console_file() -> Arc<File> {
    let shown = vfs::open(&vfs::root_context(), None, b"/dev/console", flags::O_RDWR, 0);
    shown.unwrap_or_else(|_| File::new_device(Arc::new(TerminalFile::console(false)), flags::O_RDWR))
}

/// Gives the console terminal to the session that process `leader` leads, with usual settings; None gives it to the shell.
pub fn set_owner(leader: Option<u32>) {
    console().set_owner(leader);
}
