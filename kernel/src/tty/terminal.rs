//! A terminal: input edited and kept for whoever owns it, output translated.
//!
//! While a process owns the terminal, a line discipline (`klib::ldisc`) stands between the line and its reads; else the
//! bytes are keys for the kernel's shell. All state is under `state` (rank Terminal); echo, signals and wake-ups happen
//! after it is released. Input comes from the input task, which is a kernel task and may sleep.

use crate::process;
use crate::shell;
use abi::Errno;
use abi::termios::{Termios, Winsize};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use klib::ldisc::{LineDiscipline, Signal};
use machine::console;
use machine::sync::{Rank, SpinLock, WaitQueue};

/// Keys kept for the shell; later ones are dropped.
const MAX_KEYS: usize = 4096;
/// Ctrl-C.
const INTERRUPT_KEY: u8 = 3;
/// Bytes sent under one lock of the console port.
const SEND_LEN: usize = 64;

/// A terminal.
pub struct Terminal {
    state: SpinLock<State>,
    readers: WaitQueue,
}

struct State {
    /// Of the process that owns the terminal; None while the shell does.
    session: Option<Session>,
    /// What was typed for the shell.
    keys: VecDeque<u8>,
    /// The shell is at its prompt: Ctrl-C is a key like others.
    editing: bool,
    window: Winsize,
}

/// What there is while a process owns the terminal.
struct Session {
    owner: u32,
    /// Who gets the signals.
    group: u32,
    discipline: LineDiscipline,
}

/// What input leads to once the lock is released.
#[derive(Default)]
struct Effects {
    echo: Vec<u8>,
    signals: Vec<(u32, u8)>,
    interrupt_shell: bool,
}

impl Terminal {
    /// A terminal of 80 by 24 that the shell owns.
    pub const fn new() -> Self {
        Terminal {
            state: SpinLock::new(
                "terminal",
                Rank::Terminal,
                State {
                    session: None,
                    keys: VecDeque::new(),
                    editing: false,
                    window: Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 },
                },
            ),
            readers: WaitQueue::new("terminal input"),
        }
    }

    /// Takes what came in on the line. Called by the input task.
    pub fn receive(&self, bytes: &[u8]) {
        let mut effects = Effects::default();
        {
            let mut state = self.state.lock();
            for &byte in bytes {
                state.take(byte, &mut effects);
            }
        }
        send_raw(&effects.echo);
        for (group, signal) in effects.signals {
            // Whoever it was for may have ended meanwhile.
            let _ = process::kill(group, signal);
        }
        if effects.interrupt_shell {
            self.write(b"^C\n");
            shell::interrupt();
        }
        self.readers.wake_all();
    }

    /// Writes text of the kernel: a line feed begins a new line.
    pub fn write(&self, bytes: &[u8]) {
        bytes.chunks(SEND_LEN).for_each(console::write_bytes);
    }

    /// Writes bytes of a program, as the settings say.
    pub fn write_program(&self, bytes: &[u8]) {
        let translated = {
            let mut state = self.state.lock();
            state.session.as_mut().map(|session| {
                let mut out = Vec::with_capacity(bytes.len() * 2);
                session.discipline.output(bytes, &mut out);
                out
            })
        };
        match translated {
            Some(bytes) => send_raw(&bytes),
            None => self.write(bytes),
        }
    }

    /// Reads what is there for the owner's programs: how many bytes, and whether the same read may go on. EAGAIN if there
    /// is nothing and `may_wait` is false, EINTR if `interrupted` says so first, EIO if no process owns the terminal.
    pub fn read(&self, out: &mut [u8], may_wait: bool, interrupted: fn() -> bool) -> Result<(usize, bool), Errno> {
        let mut attempt = || -> Option<Result<(usize, bool), Errno>> {
            let mut state = self.state.lock();
            match &mut state.session {
                None => Some(Err(Errno::EIO)),
                Some(session) => session.discipline.read(out).map(Ok),
            }
        };
        if !may_wait {
            return attempt().unwrap_or(Err(Errno::EAGAIN));
        }
        self.readers.wait_until(None, interrupted, attempt).unwrap_or(Err(Errno::EINTR))
    }
}

impl State {
    fn take(&mut self, byte: u8, effects: &mut Effects) {
        match &mut self.session {
            Some(session) => {
                if let Some(signal) = session.discipline.input(byte, &mut effects.echo) {
                    effects.signals.push((session.group, signal_number(signal)));
                }
            }
            None if byte == INTERRUPT_KEY && !self.editing => {
                self.keys.clear();
                effects.interrupt_shell = true;
            }
            None if self.keys.len() < MAX_KEYS => self.keys.push_back(byte),
            None => {}
        }
    }
}

fn send_raw(bytes: &[u8]) {
    bytes.chunks(SEND_LEN).for_each(console::write_raw);
}
