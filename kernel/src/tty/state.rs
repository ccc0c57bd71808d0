//! What a terminal's lock guards, and what input and output do while it is held.
//!
//! Nothing here sends, signals or wakes: that is noted in [`Effects`], for when the lock is released. Echo is kept here until
//! it is sent, so that it stays in the order of what was typed, whoever sends it. For the master of a pseudo-terminal it goes
//! to its queue at once, which is part of the state: echo and output stay in order.

use abi::Errno;
use abi::Signal;
use abi::termios::{LocalFlags, TIOCPKT_FLUSHREAD, TIOCPKT_FLUSHWRITE, TIOCPKT_START, TIOCPKT_STOP, Termios, Winsize};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use klib::ldisc::LineDiscipline;

/// Bytes of input kept for a discipline that has no room, and of output that a master has not read (as on Linux).
pub const QUEUE_LEN: usize = 64 * 1024;
/// Room for echo beyond that; later echo is lost.
const ECHO_LEN: usize = 4096;
/// Keys kept for the shell; later ones are dropped.
const MAX_KEYS: usize = 4096;
/// Ctrl-C.
const INTERRUPT_KEY: u8 = 3;
/// A queue with more room than this gives it back when it is empty.
const KEPT_LEN: usize = 4096;

/// The state of a terminal.
pub struct State {
    /// Of the processes whose controlling terminal it is.
    pub session: Option<Session>,
    /// Edits what they type, and knows the settings.
    pub discipline: LineDiscipline,
    /// Speeds of input and output that have no code in the settings (BOTHER).
    pub other_speeds: (u32, u32),
    /// A program has sent what may have changed how text looks.
    pub untidy: bool,
    /// The other side was asked to stop sending.
    pub throttled: bool,
    /// What came in while the discipline had no room.
    pub incoming: VecDeque<u8>,
    /// Echo that is still to be sent on the line.
    pub echo: Vec<u8>,
    /// On the console: while there is no session, the kernel's shell has the terminal.
    pub shell: Option<Shell>,
    /// On a pseudo-terminal: the other side.
    pub pair: Option<Pair>,
    /// Rows and columns.
    pub window: Winsize,
    /// Open files; those of the console do not count, as it is there for good.
    pub files: usize,
    /// Only root may open it (TIOCEXCL).
    pub exclusive: bool,
}

/// The processes that have the terminal.
pub struct Session {
    /// Number of the session whose controlling terminal this is.
    pub id: u32,
    /// The process group in the foreground: it gets the keys' signals, and may read.
    pub group: u32,
    /// The terminal has been hung up: nothing is left but to tell the group when the session's leader ends.
    pub lost: bool,
}

/// The kernel's shell at the console.
pub struct Shell {
    /// What was typed for it.
    pub keys: VecDeque<u8>,
    /// It is at its prompt: Ctrl-C is a key like others.
    pub editing: bool,
}

/// The master's side of a pseudo-terminal.
pub struct Pair {
    /// What the master can read.
    pub output: VecDeque<u8>,
    /// The master is open.
    pub master: bool,
    /// The slave was open and is not now: the master's reads end.
    pub slave_closed: bool,
    /// The slave cannot be opened (TIOCSPTLCK).
    pub locked: bool,
    /// Packet mode (TIOCPKT).
    pub packet: bool,
    /// What is to be told in packet mode: `TIOCPKT_*`.
    pub status: u8,
}

/// What a change leads to once the lock is released.
#[derive(Default)]
pub struct Effects {
    /// Process groups and what they get.
    pub signals: Vec<(u32, Signal)>,
    /// Ctrl-C for the shell's command.
    pub interrupt_shell: bool,
    /// Something changed that others may wait for.
    pub changed: bool,
}

impl State {
    /// Without a session, nothing typed, 80 by 24.
    pub const fn new(shell: Option<Shell>, settings: Termios) -> Self {
        State {
            session: None,
            discipline: LineDiscipline::new(settings),
            other_speeds: (0, 0),
            untidy: false,
            throttled: false,
            incoming: VecDeque::new(),
            echo: Vec::new(),
            shell,
            pair: None,
            window: Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 },
            files: 0,
            exclusive: false,
        }
    }

    /// Whether the kernel's shell has the terminal.
    pub fn is_shells(&self) -> bool {
        self.shell.is_some() && self.session.is_none()
    }

    /// The session that it controls.
    pub fn controlled(&self) -> Option<&Session> {
        self.session.as_ref().filter(|session| !session.lost)
    }

    /// Takes what came in on the line, as far as there is room: how many bytes. ENOMEM if there is no memory for any.
    pub fn accept(&mut self, bytes: &[u8], effects: &mut Effects) -> Result<usize, Errno> {
        if self.is_shells() {
            effects.changed = true;
            bytes.iter().for_each(|&byte| self.take_key(byte, effects));
            return Ok(bytes.len());
        }
        let len = bytes.len().min(QUEUE_LEN.saturating_sub(self.incoming.len()));
        if len == 0 {
            return Ok(0);
        }
        self.incoming.try_reserve(len).map_err(|_| Errno::ENOMEM)?;
        self.incoming.extend(&bytes[..len]);
        self.pump(effects);
        Ok(len)
    }

    /// Gives the discipline what it has room for.
    pub fn pump(&mut self, effects: &mut Effects) {
        effects.changed |= !self.incoming.is_empty();
        while self.discipline.has_room()
            && let Some(byte) = self.incoming.pop_front()
        {
            self.take(byte, effects);
        }
        shrink(&mut self.incoming);
    }

    fn take(&mut self, byte: u8, effects: &mut Effects) {
        self.take_by(effects, |discipline, echo| discipline.input(byte, echo));
    }

    /// Takes a break, or else a byte that came damaged.
    pub fn take_marked(&mut self, byte: u8, is_break: bool, effects: &mut Effects) {
        self.take_by(effects, |discipline, echo| match is_break {
            true => discipline.input_break(),
            false => discipline.input_damaged(byte, echo),
        });
    }

    fn take_by(
        &mut self,
        effects: &mut Effects,
        input: impl FnOnce(&mut LineDiscipline, &mut Vec<u8>) -> Option<Signal>,
    ) {
        let (before, was_stopped) = (self.echo.len(), self.discipline.is_stopped());
        let signal = input(&mut self.discipline, &mut self.echo);
        self.note_stop(was_stopped);
        if let Some(signal) = signal {
            if !self.discipline.has(LocalFlags::NOFLSH) {
                self.echo.drain(..before);
                self.flush_output();
            }
            if let Some(session) = self.controlled() {
                effects.signals.push((session.group, signal));
            }
        }
        if self.pair.is_some() {
            let echo = core::mem::take(&mut self.echo);
            self.send(&echo);
        }
    }

    fn take_key(&mut self, byte: u8, effects: &mut Effects) {
        let Some(shell) = &mut self.shell else { return };
        if byte == INTERRUPT_KEY && !shell.editing {
            shell.keys.clear();
            effects.interrupt_shell = true;
        } else if shell.keys.len() < MAX_KEYS {
            shell.keys.push_back(byte);
        }
    }

    /// Puts echo where the master reads it; what finds no room is lost.
    pub fn send(&mut self, bytes: &[u8]) {
        let Some(pair) = &mut self.pair else { return };
        let len = bytes.len().min((QUEUE_LEN + ECHO_LEN).saturating_sub(pair.output.len()));
        if pair.output.try_reserve(len).is_ok() {
            pair.output.extend(&bytes[..len]);
        }
    }

    /// Translates a program's output until there is no room for more: how many bytes of it, and what they become, which may
    /// be a little more than there is room for.
    pub fn translate(&mut self, bytes: &[u8], room: usize) -> (usize, Vec<u8>) {
        let mut translated = Vec::new();
        let mut taken = 0;
        while taken < bytes.len() && translated.len() < room {
            self.discipline.output(&bytes[taken..taken + 1], &mut translated);
            taken += 1;
        }
        (taken, translated)
    }

    /// Takes a program's output for the master as far as there is room: how many bytes.
    pub fn send_output(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let room = self.pair.as_ref().map_or(0, |pair| QUEUE_LEN.saturating_sub(pair.output.len()));
        let (taken, translated) = self.translate(bytes, room);
        let Some(pair) = &mut self.pair else { return Err(Errno::EIO) };
        pair.output.try_reserve(translated.len()).map_err(|_| Errno::ENOMEM)?;
        pair.output.extend(translated);
        Ok(taken)
    }

    /// Whether a program's output could be taken now.
    pub fn has_output_room(&self) -> bool {
        !self.discipline.is_stopped() && self.pair.as_ref().is_none_or(|pair| pair.output.len() < QUEUE_LEN)
    }

    /// Drops what was typed and not read.
    pub fn flush_input(&mut self) {
        self.incoming.clear();
        shrink(&mut self.incoming);
        self.discipline.flush_input();
        self.note(TIOCPKT_FLUSHREAD);
    }

    /// Drops what the master has not read.
    pub fn flush_output(&mut self) {
        if let Some(pair) = &mut self.pair {
            pair.output.clear();
            shrink(&mut pair.output);
        }
        self.note(TIOCPKT_FLUSHWRITE);
    }

    /// Notes that output was stopped or went on, if that has changed.
    pub fn note_stop(&mut self, was_stopped: bool) {
        match (was_stopped, self.discipline.is_stopped()) {
            (false, true) => self.note_instead(TIOCPKT_STOP, TIOCPKT_START),
            (true, false) => self.note_instead(TIOCPKT_START, TIOCPKT_STOP),
            _ => {}
        }
    }

    /// As [`State::note`], in place of what was noted before.
    pub fn note_instead(&mut self, status: u32, instead: u32) {
        if let Some(pair) = &mut self.pair {
            pair.status &= !(instead as u8);
        }
        self.note(status);
    }

    /// Has a master in packet mode told of `status`.
    fn note(&mut self, status: u32) {
        if let Some(pair) = self.pair.as_mut().filter(|pair| pair.packet) {
            pair.status |= status as u8;
        }
    }
}

/// Gives an empty queue's memory back, if it is much.
pub fn shrink(queue: &mut VecDeque<u8>) {
    if queue.is_empty() && queue.capacity() > KEPT_LEN {
        *queue = VecDeque::new();
    }
}
