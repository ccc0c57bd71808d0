//! The terminal line discipline: what typed bytes become for the programs that read them, and what output becomes for
//! the screen (termios(3); Linux calls it N_TTY).
//!
//! Pure: [`LineDiscipline::input`] takes a byte and gives echo and perhaps a signal, [`LineDiscipline::read`] gives what a
//! read(2) may have now. Waiting, process groups and the device are the caller's.
//!
//! In canonical mode input is a queue of finished lines and one line being edited; else it is a queue of bytes.

mod damage;
mod output;

pub use abi::Signal;
use abi::termios::{
    InputFlags, LocalFlags, Termios, VEOF, VEOL, VEOL2, VERASE, VINTR, VKILL, VLNEXT, VMIN, VQUIT, VREPRINT, VSTART,
    VSTOP, VSUSP, VTIME, VWERASE,
};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use output::Column;

/// Bytes of input that are kept (N_TTY_BUF_SIZE); a line is at most one less, and then its end.
pub const BUFFER_LEN: usize = 4096;

/// The state of one terminal's line discipline.
pub struct LineDiscipline {
    settings: Termios,
    /// Finished lines, oldest first; an empty one is an end of file.
    lines: VecDeque<Vec<u8>>,
    /// Bytes in `lines`.
    lines_len: usize,
    /// The line being edited, or in raw mode what has come in.
    pending: Vec<u8>,
    /// The next byte is taken as it is.
    literal_next: bool,
    stopped: bool,
    column: Column,
    /// Column in which the line being edited begins.
    line_start: usize,
}

impl LineDiscipline {
    /// A terminal with nothing typed.
    pub const fn new(settings: Termios) -> Self {
        LineDiscipline {
            settings,
            lines: VecDeque::new(),
            lines_len: 0,
            pending: Vec::new(),
            literal_next: false,
            stopped: false,
            column: Column::new(),
            line_start: 0,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &Termios {
        &self.settings
    }

    /// Changes the settings. What was typed before can be read under the new ones.
    pub fn set_settings(&mut self, settings: Termios) {
        let (was, is) = (self.is_canonical(), settings.local().contains(LocalFlags::ICANON));
        self.settings = settings;
        if was && !is {
            let mut bytes: Vec<u8> = self.lines.drain(..).flatten().collect();
            bytes.append(&mut self.pending);
            self.pending = bytes;
            self.lines_len = 0;
        } else if !was && is && !self.pending.is_empty() {
            let line = core::mem::take(&mut self.pending);
            self.push_line(line);
        }
        self.literal_next = false;
        if !settings.input().contains(InputFlags::IXON) {
            self.stopped = false;
        }
    }

    /// Whether output is held by the stop character.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Forgets what was typed and not read.
    pub fn flush_input(&mut self) {
        self.lines.clear();
        self.lines_len = 0;
        self.pending.clear();
        self.literal_next = false;
    }

    /// Bytes that a read could have now (FIONREAD).
    pub fn available(&self) -> usize {
        if self.is_canonical() { self.lines_len } else { self.pending.len() }
    }

    /// Whether a read would not wait: also at an end of file.
    pub fn is_readable(&self) -> bool {
        if self.is_canonical() { !self.lines.is_empty() } else { self.pending.len() >= self.minimum().max(1) }
    }

    /// Whether another byte can come in without one being lost. In a line that fills the whole buffer bytes are lost, as no
    /// read could make room.
    pub fn has_room(&self) -> bool {
        let used = self.pending.len() + self.lines_len;
        let full = used >= BUFFER_LEN - 1 || self.lines.len() >= BUFFER_LEN - 1;
        !full || self.is_canonical() && self.lines.is_empty()
    }

    /// Stops output or lets it go on, as the stop and start characters do.
    pub fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// In raw mode, the time a read waits for more, in tenths of a second (VTIME).
    pub fn read_time_ds(&self) -> u8 {
        self.settings.c_cc[VTIME as usize]
    }

    /// Takes what there is for a read of `out.len()` bytes: how many, and whether the same read may go on with more. None
    /// if it has to wait.
    pub fn read(&mut self, out: &mut [u8]) -> Option<(usize, bool)> {
        if !self.is_canonical() {
            return self.read_raw(out);
        }
        let line = self.lines.front_mut()?;
        let len = line.len().min(out.len());
        out[..len].copy_from_slice(&line[..len]);
        self.lines_len -= len;
        line.drain(..len);
        let more = !line.is_empty();
        if !more {
            self.lines.pop_front();
        }
        Some((len, more))
    }

    /// Takes a typed byte. What is to be shown is added to `echo`.
    pub fn input(&mut self, byte: u8, echo: &mut Vec<u8>) -> Option<Signal> {
        let modes = self.settings.input();
        let byte = if modes.contains(InputFlags::ISTRIP) { byte & 0x7f } else { byte };
        if core::mem::take(&mut self.literal_next) {
            self.add(byte, echo);
            return None;
        }
        if modes.contains(InputFlags::IXON) && self.flow_control(byte, modes) {
            return None;
        }
        if let Some(signal) = self.signal_of(byte) {
            if !self.has(LocalFlags::NOFLSH) {
                self.flush_input();
            }
            if modes.contains(InputFlags::IXON) {
                self.stopped = false;
            }
            self.echo_byte(byte, echo);
            return Some(signal);
        }
        let byte = match byte {
            b'\r' if modes.contains(InputFlags::IGNCR) => return None,
            b'\r' if modes.contains(InputFlags::ICRNL) => b'\n',
            b'\n' if modes.contains(InputFlags::INLCR) => b'\r',
            other => other,
        };
        if !self.is_canonical() || !self.edit(byte, echo) {
            self.mark_good(byte, modes);
            self.add(byte, echo);
        }
        None
    }

    /// Bytes that are kept, readable or not.
    pub fn kept(&self) -> usize {
        self.pending.len() + self.lines_len
    }

    /// Adds what a program's output becomes to `out`.
    pub fn output(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let modes = self.settings.output();
        bytes.iter().for_each(|&byte| self.column.put(byte, modes, out));
    }

    fn read_raw(&mut self, out: &mut [u8]) -> Option<(usize, bool)> {
        // VMIN 0 reads what there is, even nothing; with VTIME the caller waits before it takes nothing for an answer.
        if self.pending.len() < self.minimum().min(out.len()) {
            return None;
        }
        Some((self.take_pending(out), false))
    }

    /// Takes what was typed whatever VMIN says, in raw mode; nothing in canonical mode. For a read whose VTIME is over.
    pub fn read_now(&mut self, out: &mut [u8]) -> usize {
        if self.is_canonical() { 0 } else { self.take_pending(out) }
    }

    fn take_pending(&mut self, out: &mut [u8]) -> usize {
        let len = self.pending.len().min(out.len());
        out[..len].copy_from_slice(&self.pending[..len]);
        self.pending.drain(..len);
        len
    }

    /// Everything that was typed and not read: what is left for the next owner of the terminal.
    pub fn into_typed(self) -> Vec<u8> {
        self.lines.into_iter().flatten().chain(self.pending).collect()
    }

    fn minimum(&self) -> usize {
        self.settings.c_cc[VMIN as usize].into()
    }

    fn is_canonical(&self) -> bool {
        self.has(LocalFlags::ICANON)
    }

    /// Whether these local modes are all set.
    pub fn has(&self, flags: LocalFlags) -> bool {
        self.settings.local().contains(flags)
    }

    fn is(&self, byte: u8, control: u32) -> bool {
        self.settings.control(control) == Some(byte)
    }

    fn is_extended(&self, byte: u8, control: u32) -> bool {
        self.has(LocalFlags::IEXTEN) && self.is(byte, control)
    }

    /// Whether the byte was a stop or start character.
    fn flow_control(&mut self, byte: u8, modes: InputFlags) -> bool {
        if self.is(byte, VSTART) {
            self.stopped = false;
            return true;
        }
        if self.is(byte, VSTOP) {
            self.stopped = true;
            return true;
        }
        if modes.contains(InputFlags::IXANY) {
            self.stopped = false;
        }
        false
    }

    fn signal_of(&self, byte: u8) -> Option<Signal> {
        if !self.has(LocalFlags::ISIG) {
            return None;
        }
        [(VINTR, Signal::SIGINT), (VQUIT, Signal::SIGQUIT), (VSUSP, Signal::SIGTSTP)]
            .into_iter()
            .find_map(|(control, signal)| self.is(byte, control).then_some(signal))
    }

    /// Canonical mode: whether the byte edits or ends the line instead of being part of it.
    fn edit(&mut self, byte: u8, echo: &mut Vec<u8>) -> bool {
        if self.is(byte, VERASE) {
            self.erase_character(echo);
        } else if self.is_extended(byte, VWERASE) {
            self.erase_word(echo);
        } else if self.is(byte, VKILL) {
            self.kill(byte, echo);
        } else if self.is_extended(byte, VLNEXT) {
            self.literal_next = true;
            if self.has(LocalFlags::ECHO | LocalFlags::ECHOCTL) {
                self.show(b"^\x08", echo);
            }
        } else if self.is_extended(byte, VREPRINT) && self.has(LocalFlags::ECHO) {
            self.reprint(byte, echo);
        } else if self.is(byte, VEOF) {
            let line = core::mem::take(&mut self.pending);
            self.push_line(line);
        } else if byte == b'\n' || self.is(byte, VEOL) || self.is_extended(byte, VEOL2) {
            self.end_line(byte, echo);
        } else {
            return false;
        }
        true
    }

    fn end_line(&mut self, byte: u8, echo: &mut Vec<u8>) {
        if self.pending.len() + self.lines_len >= BUFFER_LEN {
            return self.refuse(echo);
        }
        if byte == b'\n' {
            if self.has(LocalFlags::ECHO) || self.has(LocalFlags::ECHONL) {
                self.show(b"\n", echo);
            }
        } else {
            self.echo_byte(byte, echo);
        }
        self.pending.push(byte);
        let line = core::mem::take(&mut self.pending);
        self.push_line(line);
    }

    /// The buffer is full.
    fn refuse(&self, echo: &mut Vec<u8>) {
        if self.settings.input().contains(InputFlags::IMAXBEL) {
            echo.push(7);
        }
    }

    fn push_line(&mut self, line: Vec<u8>) {
        // Ends of file have no bytes that would bound their number.
        if self.lines.len() == BUFFER_LEN {
            return;
        }
        self.lines_len += line.len();
        self.lines.push_back(line);
    }

    /// Adds a byte to what is being typed.
    fn add(&mut self, byte: u8, echo: &mut Vec<u8>) {
        if self.pending.len() + self.lines_len >= BUFFER_LEN - 1 {
            return self.refuse(echo);
        }
        if self.pending.is_empty() {
            self.line_start = self.column.get();
        }
        self.pending.push(byte);
        self.echo_byte(byte, echo);
    }

    fn erase_character(&mut self, echo: &mut Vec<u8>) {
        if let Some(start) = self.last_character() {
            self.erase_to(start, echo);
        }
    }

    /// Blanks, then what is no blank (Linux: alphanumerics and underscores count as the word).
    fn erase_word(&mut self, echo: &mut Vec<u8>) {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        let mut start = self.pending.len();
        while start > 0 && !is_word(self.pending[start - 1]) {
            start -= 1;
        }
        while start > 0 && is_word(self.pending[start - 1]) {
            start -= 1;
        }
        self.erase_to(start, echo);
    }

    fn kill(&mut self, byte: u8, echo: &mut Vec<u8>) {
        if self.has(LocalFlags::ECHO | LocalFlags::ECHOK | LocalFlags::ECHOKE | LocalFlags::ECHOE) {
            self.erase_to(0, echo);
            return;
        }
        self.pending.clear();
        if self.has(LocalFlags::ECHO) {
            self.echo_byte(byte, echo);
            if self.has(LocalFlags::ECHOK) {
                self.show(b"\n", echo);
            }
        }
    }

    fn reprint(&mut self, byte: u8, echo: &mut Vec<u8>) {
        self.echo_byte(byte, echo);
        self.show(b"\n", echo);
        self.line_start = 0;
        for byte in self.pending.clone() {
            self.echo_byte(byte, echo);
        }
    }

    /// Takes everything from `start` on off the line and, with ECHOE, off the screen.
    fn erase_to(&mut self, start: usize, echo: &mut Vec<u8>) {
        if start >= self.pending.len() {
            return;
        }
        if self.has(LocalFlags::ECHO) && !self.has(LocalFlags::ECHOE) {
            self.pending.truncate(start);
            if let Some(erase) = self.settings.control(VERASE) {
                self.echo_byte(erase, echo);
            }
            return;
        }
        let before = self.width(self.pending.len());
        let after = self.width(start);
        self.pending.truncate(start);
        if self.has(LocalFlags::ECHO) {
            let columns = before - after;
            // A tab may be several columns wide, none of which hold anything.
            echo.extend(core::iter::repeat_n(8, columns));
            echo.extend(core::iter::repeat_n(b' ', columns));
            echo.extend(core::iter::repeat_n(8, columns));
            self.column.back(columns);
        }
    }

    /// Columns that the first `len` bytes of the line take on the screen.
    fn width(&self, len: usize) -> usize {
        let mut column = self.line_start;
        for &byte in &self.pending[..len] {
            column += match byte {
                b'\t' => 8 - column % 8,
                0..=0x1f | 0x7f if self.has(LocalFlags::ECHOCTL) => 2,
                0..=0x1f | 0x7f => 0,
                0x80..=0xbf if self.settings.input().contains(InputFlags::IUTF8) => 0,
                _ => 1,
            };
        }
        column - self.line_start
    }

    /// Where the last character of the line begins.
    fn last_character(&self) -> Option<usize> {
        let mut start = self.pending.len().checked_sub(1)?;
        if self.settings.input().contains(InputFlags::IUTF8) {
            while start > 0 && self.pending[start] & 0xc0 == 0x80 {
                start -= 1;
            }
        }
        Some(start)
    }

    fn echo_byte(&mut self, byte: u8, echo: &mut Vec<u8>) {
        if !self.has(LocalFlags::ECHO) {
            return;
        }
        let is_control = byte < 0x20 && byte != b'\t' && byte != b'\n' || byte == 0x7f;
        if is_control && self.has(LocalFlags::ECHOCTL) {
            self.show(&[b'^', byte ^ 0x40], echo);
        } else {
            self.show(&[byte], echo);
        }
    }

    /// Echo goes the way of output.
    fn show(&mut self, bytes: &[u8], echo: &mut Vec<u8>) {
        self.output(bytes, echo);
    }
}

#[cfg(test)]
mod tests;
