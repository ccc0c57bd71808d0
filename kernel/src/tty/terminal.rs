//! A terminal: input edited and kept for whoever reads it, output translated.
//!
//! A line discipline (`klib::ldisc`) stands between the line and its reads; while the kernel's shell has the console, the
//! bytes are keys for it. All state is under `state` (rank Terminal); echo is sent, and signals and wake-ups happen, after it is
//! released. Reading is in `reading`, sessions in `session`.
//!
//! A terminal that is hung up counts that: files that were opened before are dead from then on.

use super::line::Line;
use super::serial_line;
use super::state::{Effects, Pair, Shell, State};
use super::vt_modes;
use crate::process::send;
use crate::screen;
use abi::termios::{InputFlags, TIOCPKT_DOSTOP, TIOCPKT_NOSTOP, Termios, VSTART, VSTOP, Winsize};
use abi::{Errno, Signal};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use machine::console;
use machine::sync::{Mutex, Once, Rank, SpinLock, WaitQueue};

/// Bytes sent under one lock of the console port, which keeps interrupts off meanwhile; fewer on a slow line.
const SEND_LEN: usize = 64;
/// The usual stop and start characters: Ctrl-S and Ctrl-Q.
const USUAL_STOP: (u8, u8) = (19, 17);

/// What begins a control sequence, and what changes the character set.
const ESCAPE: u8 = 0x1b;
const SHIFT_OUT: u8 = 0x0e;
/// The usual screen, the whole of it to scroll, ASCII, no attributes, a cursor, lines that wrap, nothing inserted, usual codes of
/// the arrow keys. A new scroll region moves the cursor, hence DECSC and DECRC around it.
const TIDY: &[u8] = b"\x1b[?1047l\x1b7\x1b[r\x1b8\x1b(B\x0f\x1b[0m\x1b[?25h\x1b[?7h\x1b[4l\x1b[?1l";

/// What TCFLSH takes: input, output, both (`tcflush(3)`).
pub(super) const TCIFLUSH: u64 = 0;
const TCOFLUSH: u64 = 1;
const TCIOFLUSH: u64 = 2;

/// A terminal.
pub struct Terminal {
    pub(super) state: SpinLock<State>,
    /// Woken when there is something to read.
    pub(super) readers: WaitQueue,
    /// Woken when output may be written.
    pub(super) writers: WaitQueue,
    /// The same for the master of a pseudo-terminal.
    pub(super) master_readers: WaitQueue,
    pub(super) master_writers: WaitQueue,
    /// Held while one piece of output is sent, so that pieces of several programs do not mix.
    pub(super) output: Mutex<()>,
    /// Called for a Ctrl-C typed while the shell runs a command.
    interrupt: Once<fn()>,
    /// How often it was hung up.
    pub(super) hangups: AtomicU32,
    /// `st_rdev`.
    number: u64,
    /// Which of the screens shows it; the first is that of the console, which is on the serial port as well.
    screen: Option<usize>,
    /// The line that it is on, if it is neither on the screen nor a pseudo-terminal.
    pub(super) line: Option<&'static dyn Line>,
}

/// How a file may wait.
#[derive(Clone, Copy)]
pub struct Waiting {
    /// It may.
    pub allowed: bool,
    /// Ends the wait (a signal).
    pub interrupted: fn() -> bool,
    /// [`Terminal::hangups`] when the file was opened.
    pub opened_at: u32,
}

/// What is left to do with a program's output.
enum Written {
    /// To be sent as text of the kernel.
    AsText,
    /// To be sent as it is.
    Translated(Vec<u8>),
    /// Nothing: the master reads it, or the line sends it.
    Queued,
}

impl Terminal {
    /// The console: of 80 by 24, and the shell has it.
    pub const fn console(number: u64) -> Self {
        let shell = Shell { keys: VecDeque::new(), editing: false };
        Self::with(State::new(Some(shell), Termios::CONSOLE), number, Some(0), None)
    }

    /// The virtual terminal on one of the screens behind the console's.
    pub const fn on_screen(screen: usize, number: u64) -> Self {
        Self::with(State::new(None, Termios::INITIAL), number, Some(screen), None)
    }

    /// The terminal on a line, with these settings at first.
    pub const fn on_line(line: &'static dyn Line, settings: Termios, number: u64) -> Self {
        Self::with(State::new(None, settings), number, None, Some(line))
    }

    /// The slave of a pseudo-terminal whose master is open.
    pub fn of_pair(number: u64) -> Self {
        let mut state = State::new(None, Termios::INITIAL);
        state.window = Winsize::default();
        state.pair = Some(Pair {
            output: VecDeque::new(),
            master: true,
            slave_closed: false,
            locked: true,
            packet: false,
            status: 0,
        });
        Self::with(state, number, None, None)
    }

    #[inline(never)]
    const fn with(state: State, number: u64, screen: Option<usize>, line: Option<&'static dyn Line>) -> Self {
        Terminal {
            state: SpinLock::new("terminal", Rank::Terminal, state),
            readers: WaitQueue::new("terminal input"),
            writers: WaitQueue::new("room for terminal output"),
            master_readers: WaitQueue::new("pseudo-terminal's output"),
            master_writers: WaitQueue::new("room for pseudo-terminal's input"),
            output: Mutex::new("terminal output", ()),
            interrupt: Once::new(),
            hangups: AtomicU32::new(0),
            number,
            screen,
            line,
        }
    }

    /// Its device number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The screen that shows it.
    pub fn screen(&self) -> Option<usize> {
        self.screen
    }

    /// Whether it is the console, on the first serial port and the first screen.
    pub(super) fn is_console(&self) -> bool {
        self.screen == Some(0)
    }

    /// How often it was hung up.
    pub fn hangups(&self) -> u32 {
        self.hangups.load(Ordering::SeqCst)
    }

    /// Has `interrupt` called for a Ctrl-C that is typed while the shell runs a command. The first call counts.
    pub fn on_interrupt(&self, interrupt: fn()) {
        self.interrupt.call_once(|| interrupt);
    }

    /// Takes what came in on the line; what finds no room is lost. Called by the input tasks.
    pub fn receive(&self, bytes: &[u8]) {
        let mut effects = Effects::default();
        let _ = self.state.lock().accept(bytes, &mut effects);
        self.settle(effects);
    }

    /// The next key for the shell's prompt. From now on Ctrl-C is a key like others, until [`Terminal::end_editing`].
    pub fn read_key(&self) -> u8 {
        self.set_editing(true);
        self.readers.wait(|| self.state.lock().shell.as_mut()?.keys.pop_front())
    }

    /// The shell has its line: Ctrl-C interrupts what it does next.
    pub fn end_editing(&self) {
        self.set_editing(false);
    }

    fn set_editing(&self, editing: bool) {
        if let Some(shell) = &mut self.state.lock().shell {
            shell.editing = editing;
        }
    }

    /// Writes text of the kernel: a line feed begins a new line.
    pub fn write(&self, bytes: &[u8]) {
        let _output = self.output.lock();
        for part in bytes.chunks(console::batch_len(SEND_LEN)) {
            screen::make_room(part.len());
            console::write_bytes(part);
        }
    }

    /// Writes what a terminal is sent, control sequences and all, as it is.
    pub fn write_terminal(&self, bytes: &[u8]) {
        let _ = self.send_raw(bytes);
    }

    /// The programs have gone: what they have left behind, such as colours, a hidden cursor or a scroll region, keys that give
    /// scan codes, or a screen that is not drawn, is undone.
    pub fn tidy(&self) {
        let Some(number) = self.screen else { return };
        vt_modes::reset(number);
        if core::mem::take(&mut self.state.lock().untidy) {
            self.write_terminal(TIDY);
        }
    }

    /// Writes bytes of a program, as the settings say: how many, which is at least one. Waits while output is stopped
    /// (Ctrl-S) or there is no room; EAGAIN or EINTR if it may not, with nothing written. EIO after a hang-up.
    pub fn write_program(&self, bytes: &[u8], waiting: Waiting) -> Result<usize, Errno> {
        let attempt = || {
            if self.hangups() != waiting.opened_at {
                return Some(Err(Errno::EIO));
            }
            let mut state = self.state.lock();
            if self.screen.is_some() {
                state.untidy |= bytes.iter().any(|&byte| byte == ESCAPE || byte == SHIFT_OUT);
            }
            if state.is_shells() {
                return Some(Ok((bytes.len(), Written::AsText)));
            }
            if !self.has_output_room(&state) {
                return None;
            }
            if state.pair.is_some() {
                return Some(state.send_output(bytes).map(|taken| (taken, Written::Queued)));
            }
            if let Some(line) = self.line {
                let (taken, translated) = state.translate(bytes, line.room());
                line.send(&translated);
                return Some(Ok((taken, Written::Queued)));
            }
            let mut out = Vec::new();
            state.discipline.output(bytes, &mut out);
            Some(Ok((bytes.len(), Written::Translated(out))))
        };
        let (taken, written) = wait_in(&self.writers, waiting, attempt)?;
        match written {
            Written::AsText => self.write(bytes),
            Written::Translated(bytes) => {
                let answer = self.send_raw(&bytes);
                if !answer.is_empty() {
                    self.receive(&answer);
                }
            }
            Written::Queued => self.master_readers.wake_all(),
        }
        Ok(taken)
    }

    /// Sends a character that asks the other side to stop or go on.
    pub fn send_control(&self, byte: u8) {
        if let Some(line) = self.line {
            return line.send_urgent(byte);
        }
        {
            let mut state = self.state.lock();
            match state.pair.is_some() {
                true => state.send(&[byte]),
                false => state.echo.push(byte),
            }
        }
        self.settle(Effects { changed: true, ..Effects::default() });
    }

    /// Whether a write would not wait.
    pub fn is_writable(&self) -> bool {
        self.has_output_room(&self.state.lock())
    }

    fn has_output_room(&self, state: &State) -> bool {
        state.has_output_room() && self.line.is_none_or(|line| line.room() > 0)
    }

    /// What is woken when it may have become readable, and writable.
    pub fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.readers), Some(&self.writers)]
    }

    /// The settings; the initial ones while the shell has the terminal.
    pub fn settings(&self) -> Termios {
        let state = self.state.lock();
        if state.is_shells() { Termios::CONSOLE } else { *state.discipline.settings() }
    }

    /// Speeds of input and output in baud.
    pub fn speeds(&self) -> (u32, u32) {
        let settings = self.settings();
        let (input, output) = self.state.lock().other_speeds;
        let output = settings.output_speed(output);
        (settings.input_speed(input, output), output)
    }

    /// Changes the settings, unless the shell has the terminal; `flush` drops what was typed before. `speeds`, of input and
    /// output, are for settings that do not name them.
    pub fn set_settings(&self, mut settings: Termios, speeds: Option<(u32, u32)>, flush: bool) {
        let before = self.speeds();
        let mut effects = Effects { changed: true, ..Effects::default() };
        {
            let mut state = self.state.lock();
            if !state.is_shells() {
                if flush {
                    state.flush_input();
                }
                state.other_speeds = speeds.unwrap_or(before);
                if self.line.is_some() || self.is_console() {
                    let asked = settings.output_speed(state.other_speeds.1);
                    let speed = match self.line {
                        Some(line) => line.possible_speed(asked, before.1),
                        None => serial_line::possible_speed(asked, before.1),
                    };
                    if speed != asked {
                        settings.set_speed(speed);
                        state.other_speeds = (speed, speed);
                    }
                    if let Some(line) = self.line {
                        line.set(&settings, speed, before.1);
                    }
                }
                let was = (state.discipline.is_stopped(), has_usual_stop(state.discipline.settings()));
                state.discipline.set_settings(settings);
                state.note_stop(was.0);
                match (was.1, has_usual_stop(&settings)) {
                    (false, true) => state.note_instead(TIOCPKT_DOSTOP, TIOCPKT_NOSTOP),
                    (true, false) => state.note_instead(TIOCPKT_NOSTOP, TIOCPKT_DOSTOP),
                    _ => {}
                }
                state.pump(&mut effects);
            }
        }
        self.set_port();
        // What was typed may be readable now, and output may no longer be stopped.
        self.settle(effects);
    }

    /// Rows and columns.
    pub fn window(&self) -> Winsize {
        self.state.lock().window
    }

    /// Sets rows and columns, and tells the foreground of a change.
    pub fn set_window(&self, window: Winsize) {
        let group = {
            let mut state = self.state.lock();
            let changed = core::mem::replace(&mut state.window, window) != window;
            state.controlled().filter(|_| changed).map(|session| session.group)
        };
        if let Some(group) = group {
            send::kill_group(group, Signal::SIGWINCH);
        }
    }

    /// `tcflush(3)`. Output to the console or a screen is never kept.
    pub fn flush(&self, what: u64) -> Result<(), Errno> {
        {
            let mut state = self.state.lock();
            if !matches!(what, TCIFLUSH | TCOFLUSH | TCIOFLUSH) {
                return Err(Errno::EINVAL);
            }
            if what != TCOFLUSH && !state.is_shells() {
                state.flush_input();
                if let Some(line) = self.line {
                    line.discard_incoming();
                }
            }
            if what != TCIFLUSH {
                state.flush_output();
                if let Some(line) = self.line {
                    line.discard();
                }
            }
        }
        self.settle(Effects { changed: true, ..Effects::default() });
        Ok(())
    }

    /// Stops output or lets it go on (`tcflow(3)`).
    pub fn set_stopped(&self, stopped: bool) {
        {
            let mut state = self.state.lock();
            let was = state.discipline.is_stopped();
            state.discipline.set_stopped(stopped);
            state.note_stop(was);
        }
        self.settle(Effects { changed: true, ..Effects::default() });
    }

    /// Does what a change has led to, with the lock released.
    pub(super) fn settle(&self, effects: Effects) {
        self.send_echo();
        for (group, signal) in effects.signals {
            send::kill_group(group, signal);
        }
        if effects.interrupt_shell {
            self.write(b"^C\n");
            if let Some(interrupt) = self.interrupt.get() {
                interrupt();
            }
        }
        self.attend_line();
        if effects.changed {
            for queue in [&self.readers, &self.writers, &self.master_readers, &self.master_writers] {
                queue.wake_all();
            }
        }
    }

    /// Sends the echo that there is, of others too. Taken out with the output locked, it is sent in its order.
    fn send_echo(&self) {
        {
            let mut state = self.state.lock();
            if state.echo.is_empty() {
                return;
            }
            if let Some(line) = self.line {
                return line.send(&core::mem::take(&mut state.echo));
            }
        }
        let _output = self.output.lock();
        let echo = core::mem::take(&mut self.state.lock().echo);
        // It asks a virtual terminal nothing.
        let _ = self.send_locked(&echo);
    }

    /// Sends bytes as they are: what a virtual terminal answers to them, if they ask it something. What the console's screen
    /// answers comes in by itself.
    pub(super) fn send_raw(&self, bytes: &[u8]) -> Vec<u8> {
        if bytes.is_empty() {
            return Vec::new();
        }
        let _output = self.output.lock();
        self.send_locked(bytes)
    }

    /// The same with `output` locked.
    fn send_locked(&self, bytes: &[u8]) -> Vec<u8> {
        if let Some(number) = self.screen.filter(|&number| number > 0) {
            return screen::write(number, bytes);
        }
        for part in bytes.chunks(console::batch_len(SEND_LEN)) {
            screen::make_room(part.len());
            console::write_raw(part);
        }
        Vec::new()
    }
}

/// What `attempt` gives as soon as it gives something: EAGAIN if it gives nothing now and may not wait, EINTR.
pub(super) fn wait_in<R>(
    queue: &WaitQueue,
    waiting: Waiting,
    mut attempt: impl FnMut() -> Option<Result<R, Errno>>,
) -> Result<R, Errno> {
    match waiting.allowed {
        true => queue.wait_until(None, waiting.interrupted, attempt).unwrap_or(Err(Errno::EINTR)),
        false => attempt().unwrap_or(Err(Errno::EAGAIN)),
    }
}

/// Whether Ctrl-S and Ctrl-Q stop output and let it go on.
fn has_usual_stop(settings: &Termios) -> bool {
    let characters = (settings.c_cc[VSTOP as usize], settings.c_cc[VSTART as usize]);
    settings.input().contains(InputFlags::IXON) && characters == USUAL_STOP
}
