//! All terminals: the console, the virtual ones, those on lines and the pseudo-terminals by their numbers; which one controls
//! a session.
//!
//! Lock: `PAIRS` (rank Table), under which terminals' states may be locked.

use super::Terminal;
use super::line::Line;
use super::serial_line::SerialLine;
use crate::screen;
use crate::vfs::{Result, device_number};
use abi::Errno;
use abi::termios::Termios;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::sync::{Once, Rank, SpinLock};

/// Most pseudo-terminals (Linux's `kernel.pty.max`).
const MAX_PAIRS: usize = 4096;
/// Major number of pseudo-terminals' slaves.
const SLAVE_MAJOR: u32 = 136;

static CONSOLE: Terminal = Terminal::console(device_number(5, 1));
/// The virtual terminals beside the console, as `/dev/tty2` and so on.
static ON_SCREEN: [Terminal; screen::COUNT - 1] = [
    Terminal::on_screen(1, device_number(4, 2)),
    Terminal::on_screen(2, device_number(4, 3)),
    Terminal::on_screen(3, device_number(4, 4)),
];
/// The second serial port, and the terminal on it.
pub static LINE: SerialLine = SerialLine::new();
static SERIAL: Terminal = Terminal::on_line(&LINE, Termios::SERIAL, SERIAL_NUMBER);
/// Device number of `/dev/ttyS1`.
pub const SERIAL_NUMBER: u64 = device_number(4, 65);
/// Those on ports of virtio consoles, in the order in which they came, and how many have.
static ON_PORTS: [Once<Terminal>; 8] = [const { Once::new() }; 8];
static PORT_COUNT: AtomicUsize = AtomicUsize::new(0);
/// Major number of theirs.
pub const PORT_MAJOR: u32 = 229;
static PAIRS: SpinLock<Vec<Option<Arc<Pty>>>> = SpinLock::new("pseudo-terminals", Rank::Table, Vec::new());

/// A pseudo-terminal.
pub struct Pty {
    /// Its number: the slave is `/dev/pts/` and this.
    pub index: u32,
    /// What the slave is.
    pub terminal: Terminal,
    /// The slave's node.
    pub node: SpinLock<Attributes>,
}

/// Attributes of a slave's node.
#[derive(Clone, Copy)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Last read, change of content, change of the node.
    pub times: [crate::vfs::Time; 3],
}

/// A terminal that is there for good, or as long as somebody uses it.
#[derive(Clone)]
pub enum Handle {
    /// The console, a virtual terminal, or one on a line.
    Lasting(&'static Terminal),
    /// A pseudo-terminal.
    Pair(Arc<Pty>),
}

impl Deref for Handle {
    type Target = Terminal;

    fn deref(&self) -> &Terminal {
        match self {
            Handle::Lasting(terminal) => terminal,
            Handle::Pair(pty) => &pty.terminal,
        }
    }
}

/// The console terminal.
pub fn console() -> &'static Terminal {
    &CONSOLE
}

/// The terminal on screen `number`, of which the first is the console's. Panics if there is none such.
pub fn on_screen(number: usize) -> &'static Terminal {
    match number.checked_sub(1) {
        None => &CONSOLE,
        Some(index) => &ON_SCREEN[index],
    }
}

/// The terminal on the second serial port.
pub fn serial() -> &'static Terminal {
    &SERIAL
}

/// A terminal for a port of a virtio console, and its number among those; None if there are too many.
pub fn add_on_port(line: &'static dyn Line) -> Option<(u32, &'static Terminal)> {
    let index = PORT_COUNT.fetch_add(1, Ordering::Relaxed);
    let make = || Terminal::on_line(line, Termios::INITIAL, device_number(PORT_MAJOR, index as u32));
    Some((index as u32, ON_PORTS.get(index)?.call_once(make)))
}

/// All terminals that are there for good.
fn lasting() -> impl Iterator<Item = &'static Terminal> {
    (0..screen::COUNT).map(on_screen).chain([serial()]).chain(ON_PORTS.iter().filter_map(Once::get))
}

/// The terminal that controls `session`.
pub fn controlling(session: u32) -> Option<Handle> {
    if let Some(terminal) = lasting().find(|terminal| terminal.session() == Some(session)) {
        return Some(Handle::Lasting(terminal));
    }
    let pairs = PAIRS.lock();
    let found = pairs.iter().flatten().find(|pty| pty.terminal.session() == Some(session));
    found.map(|pty| Handle::Pair(pty.clone()))
}

/// The leader of a session has ended: its terminal, if it has one, is nobody's, and the console the shell's again.
pub fn session_ended(session: u32) {
    lasting().for_each(|terminal| terminal.end_session(session));
    let pairs: Vec<Arc<Pty>> = PAIRS.lock().iter().flatten().cloned().collect();
    for pty in pairs {
        pty.terminal.end_session(session);
        forget_unused(&pty);
    }
}

/// A new pseudo-terminal with the lowest free number, whose master is open. ENOSPC if there are too many.
pub fn new_pair(node: Attributes) -> Result<Arc<Pty>> {
    let mut pairs = PAIRS.lock();
    let free = pairs.iter().position(Option::is_none).unwrap_or(pairs.len());
    if free == MAX_PAIRS {
        return Err(Errno::ENOSPC);
    }
    if free == pairs.len() {
        pairs.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        pairs.push(None);
    }
    let index = free as u32;
    let terminal = Terminal::of_pair(device_number(SLAVE_MAJOR + index / 256, index % 256));
    let node = SpinLock::new("pseudo-terminal's node", Rank::File, node);
    let pty = Arc::new(Pty { index, terminal, node });
    pairs[free] = Some(pty.clone());
    Ok(pty)
}

/// The pseudo-terminal with the lowest number from `index` on whose master is open.
pub fn next_pair(index: usize) -> Option<Arc<Pty>> {
    let pairs = PAIRS.lock();
    pairs.get(index..)?.iter().flatten().find(|pty| pty.terminal.has_master()).cloned()
}

/// Gives the number of `pty` free if neither side is open and no session still counts on it.
pub fn forget_unused(pty: &Arc<Pty>) {
    let mut pairs = PAIRS.lock();
    let slot = pairs.get_mut(pty.index as usize);
    let unused = |pty: &mut Arc<Pty>| {
        let state = pty.terminal.state.lock();
        state.session.is_none() && state.files == 0 && state.pair.as_ref().is_some_and(|pair| !pair.master)
    };
    let gone = slot
        .filter(|slot| slot.as_ref().is_some_and(|other| Arc::ptr_eq(other, pty)))
        .and_then(|slot| slot.take_if(unused));
    drop(pairs);
    drop(gone);
}
