//! Stops of long output: for a person who types commands, once a page.
//!
//! Boot commands have no reader, and a serial terminal usually keeps what has scrolled off: so at first it is only the
//! screen's output that stops, while the keyboard is what was typed on.

use super::interrupt;
use crate::tty;
use core::sync::atomic::{AtomicU8, Ordering};

/// When output stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// If the line was typed on the keyboard.
    Screen,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 3] = [Mode::Screen, Mode::On, Mode::Off];

    /// As the command is told.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Screen => "screen",
            Mode::On => "on",
            Mode::Off => "off",
        }
    }
}

static MODE: AtomicU8 = AtomicU8::new(Mode::Screen as u8);

/// When output stops.
pub fn mode() -> Mode {
    let mode = MODE.load(Ordering::Relaxed);
    Mode::ALL.into_iter().find(|&one| one as u8 == mode).unwrap_or(Mode::Screen)
}

/// Sets when output stops, from the next line that is typed on.
pub fn set_mode(mode: Mode) {
    MODE.store(mode as u8, Ordering::Relaxed);
}

/// What the terminal shows at a stop, and how that goes away.
const STOP: &[u8] = b"\x1b[7m-- space: next page, Enter: next line, q: end --\x1b[0m";
const STOP_PLAIN: &[u8] = b"-- space: next page, Enter: next line, q: end --";
const GONE: &[u8] = b"\r\x1b[K";

/// Where on its page the output of one typed line is.
pub struct Pager {
    columns: usize,
    rows: usize,
    /// Rows that may come before the next stop.
    left: usize,
    column: usize,
    /// Inside an escape sequence.
    escaped: bool,
    /// The last row before the stop is full, and the cursor still on it.
    full: bool,
    /// The reader has seen enough.
    ended: bool,
}

impl Pager {
    /// For a line just typed, if its output is to stop at all.
    pub fn for_typed_line() -> Option<Self> {
        let wanted = match mode() {
            Mode::Screen => tty::typed_on_keyboard(),
            Mode::On => true,
            Mode::Off => false,
        };
        let window = tty::console().window();
        (wanted && window.ws_row > 2 && window.ws_col > 0)
            .then(|| Pager::new(window.ws_col.into(), window.ws_row.into()))
    }

    /// For a window of this size, of at least three rows.
    pub fn new(columns: usize, rows: usize) -> Self {
        // The line that was typed is on the page as well.
        Pager { columns, rows, left: rows - 2, column: 0, escaped: false, full: false, ended: false }
    }

    /// Writes to the console, with stops.
    pub fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.ended {
            if self.left == 0 {
                self.stop();
                continue;
            }
            let (now, later) = rest.split_at(self.fitting(rest));
            tty::console().write(now);
            rest = later;
        }
    }

    /// How many of `bytes` come before the next stop.
    pub fn fitting(&mut self, bytes: &[u8]) -> usize {
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = !byte.is_ascii_alphabetic(),
                0x1b => self.escaped = true,
                b'\n' => self.end_row(),
                b'\r' => self.column = 0,
                b'\t' => self.column = (self.column / 8 * 8 + 8).min(self.columns - 1),
                // What continues a character has no column of its own.
                0..0x20 | 0x80..0xc0 => {}
                _ => {
                    if self.column == self.columns {
                        self.end_row();
                        if self.left == 0 {
                            self.full = true;
                            return index;
                        }
                    }
                    self.column += 1;
                }
            }
            if self.left == 0 {
                return index + 1;
            }
        }
        bytes.len()
    }

    fn end_row(&mut self) {
        self.column = 0;
        self.left = self.left.saturating_sub(1);
    }

    fn stop(&mut self) {
        let terminal = tty::console();
        if core::mem::take(&mut self.full) {
            terminal.write_terminal(b"\r\n");
        }
        terminal.write_terminal(if machine::console::colours() { STOP } else { STOP_PLAIN });
        let lines = loop {
            match terminal.read_key() {
                b' ' => break Some(self.rows - 1),
                b'\r' | b'\n' => break Some(1),
                b'q' | 3 => break None,
                _ => {}
            }
        };
        terminal.end_editing();
        terminal.write_terminal(GONE);
        match lines {
            Some(lines) => self.left = lines,
            None => {
                self.ended = true;
                interrupt::raise();
            }
        }
    }
}
