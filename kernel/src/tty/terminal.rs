//! A terminal: input edited and kept for whoever owns it, output translated.
//!
//! While a session of processes has the terminal, a line discipline (`klib::ldisc`) stands between the line and its reads; else the
//! bytes are keys for the kernel's shell. All state is under `state` (rank Terminal); echo, signals and wake-ups happen
//! after it is released. Input comes from the input task, which is a kernel task and may sleep.

use crate::process::{self, Process, send, table};
use crate::screen;
use abi::Errno;
use abi::Signal;
use abi::capability::CAP_SYS_ADMIN;
use abi::termios::{LocalFlags, Termios, VMIN, VTIME, Winsize};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use klib::ldisc::LineDiscipline;
use machine::console;
use machine::sync::{Mutex, Once, Rank, SpinLock, WaitEnd, WaitQueue};
use machine::time;

/// Keys kept for the shell; later ones are dropped.
const MAX_KEYS: usize = 4096;
/// Ctrl-C.
const INTERRUPT_KEY: u8 = 3;
/// Bytes sent under one lock of the console port, which keeps interrupts off meanwhile.
const SEND_LEN: usize = 64;

/// What TCFLSH takes: input, output, both (`tcflush(3)`).
const TCIFLUSH: u64 = 0;
const TCOFLUSH: u64 = 1;
const TCIOFLUSH: u64 = 2;
/// Unit of VTIME.
const TENTH_SECOND: Duration = Duration::from_millis(100);

/// A terminal.
pub struct Terminal {
    state: SpinLock<State>,
    readers: WaitQueue,
    writers: WaitQueue,
    /// Held while one piece of output is sent, so that pieces of several programs do not mix.
    output: Mutex<()>,
    /// Called for a Ctrl-C typed while the shell runs a command.
    interrupt: Once<fn()>,
}

struct State {
    /// Of the processes that have the terminal; None while the shell has it.
    session: Option<Session>,
    /// What was typed for the shell.
    keys: VecDeque<u8>,
    /// The shell is at its prompt: Ctrl-C is a key like others.
    editing: bool,
    window: Winsize,
}

/// What there is while processes have the terminal.
struct Session {
    /// Number of the session whose controlling terminal this is.
    id: u32,
    /// The process group in the foreground: it gets the keys' signals, and may read.
    group: u32,
    discipline: LineDiscipline,
}

/// What input leads to once the lock is released.
#[derive(Default)]
struct Effects {
    echo: Vec<u8>,
    signals: Vec<(u32, Signal)>,
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
            writers: WaitQueue::new("stopped terminal output"),
            output: Mutex::new("terminal output", ()),
            interrupt: Once::new(),
        }
    }

    /// Has `interrupt` called for a Ctrl-C that is typed while the shell runs a command. The first call counts.
    pub fn on_interrupt(&self, interrupt: fn()) {
        self.interrupt.call_once(|| interrupt);
    }

    /// Gives the terminal to the session that process `leader` leads, with usual settings; None gives it to the shell.
    /// What was typed and not read goes to the new owner.
    pub fn set_owner(&self, leader: Option<u32>) {
        let mut effects = Effects::default();
        {
            let mut state = self.state.lock();
            let typed = match state.session.take() {
                Some(session) => session.discipline.into_typed(),
                None => Vec::from(core::mem::take(&mut state.keys)),
            };
            state.session = leader.map(|leader| Session {
                id: leader,
                group: leader,
                discipline: LineDiscipline::new(Termios::INITIAL),
            });
            for byte in typed {
                state.take(byte, &mut effects);
            }
        }
        self.settle(effects);
    }

    /// The session is over: if it has the terminal, those in the foreground are hung up, and the shell has it.
    pub fn end_session(&self, session: u32) {
        let foreground = self.state.lock().session.as_ref().filter(|own| own.id == session).map(|own| own.group);
        if let Some(group) = foreground {
            send::kill_group(group, Signal::SIGHUP);
            send::kill_group(group, Signal::SIGCONT);
            self.set_owner(None);
        }
    }

    /// The session whose controlling terminal this is.
    pub fn session(&self) -> Option<u32> {
        self.state.lock().session.as_ref().map(|session| session.id)
    }

    /// TIOCSCTTY: the terminal becomes that of the session that `leader` leads; `steal` takes it from another one.
    pub fn acquire(&self, leader: &Process, steal: bool) -> Result<(), Errno> {
        let current = self.session();
        if current == Some(leader.session()) {
            return Ok(());
        }
        if leader.session() != leader.pid() || current.is_some() && !(steal && leader.credentials().has(CAP_SYS_ADMIN))
        {
            return Err(Errno::EPERM);
        }
        if let Some(session) = &mut self.state.lock().session {
            session.id = leader.session();
            session.group = leader.group();
            return Ok(());
        }
        self.set_owner(Some(leader.session()));
        Ok(())
    }

    /// Whether a process of this session may read, write or change the terminal now. One in the background gets `signal`,
    /// with its whole group, and an error; but if that could not stop it, for SIGTTOU it may, and for SIGTTIN not.
    pub fn check_foreground(&self, signal: Signal) -> Result<(), Errno> {
        let Some(thread) = process::current_thread() else { return Ok(()) };
        let process = thread.process();
        let foreground = match &self.state.lock().session {
            Some(session) if session.id == process.session() => session.group,
            _ => return Ok(()),
        };
        if foreground == process.group() {
            return Ok(());
        }
        let immune = thread.blocks(signal) || process.actions.is_ignored(signal);
        match (immune, signal) {
            (true, Signal::SIGTTOU) => Ok(()),
            (true, _) => Err(Errno::EIO),
            _ if table::is_orphaned_group(process.group()) => Err(Errno::EIO),
            _ => {
                send::kill_group(process.group(), signal);
                Err(Errno::EINTR)
            }
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
        self.settle(effects);
    }

    /// The next key for the shell's prompt. From now on Ctrl-C is a key like others, until [`Terminal::end_editing`].
    pub fn read_key(&self) -> u8 {
        self.state.lock().editing = true;
        self.readers.wait(|| self.state.lock().keys.pop_front())
    }

    /// The shell has its line: Ctrl-C interrupts what it does next.
    pub fn end_editing(&self) {
        self.state.lock().editing = false;
    }

    /// Writes text of the kernel: a line feed begins a new line.
    pub fn write(&self, bytes: &[u8]) {
        let _output = self.output.lock();
        for part in bytes.chunks(SEND_LEN) {
            screen::make_room(part.len());
            console::write_bytes(part);
        }
    }

    /// Writes what a terminal is sent, control sequences and all, as it is.
    pub fn write_terminal(&self, bytes: &[u8]) {
        self.send_raw(bytes);
    }

    /// Writes bytes of a program, as the settings say. Waits while output is stopped (Ctrl-S); EINTR if `interrupted` says so
    /// first, with nothing written.
    pub fn write_program(&self, bytes: &[u8], interrupted: fn() -> bool) -> Result<(), Errno> {
        let attempt = || {
            let mut state = self.state.lock();
            let mut out = Vec::new();
            match &mut state.session {
                Some(session) if session.discipline.is_stopped() => return None,
                Some(session) => session.discipline.output(bytes, &mut out),
                None => return Some((false, out)),
            }
            Some((true, out))
        };
        match self.writers.wait_until(None, interrupted, attempt) {
            Ok((true, translated)) => self.send_raw(&translated),
            Ok((false, _)) => self.write(bytes),
            Err(_) => return Err(Errno::EINTR),
        }
        Ok(())
    }

    /// Reads what is there for the owner's programs: how many bytes, and whether the same read may go on. EAGAIN if there
    /// is nothing and `may_wait` is false, EINTR if `interrupted` says so first, EIO if no process owns the terminal.
    pub fn read(&self, out: &mut [u8], may_wait: bool, interrupted: fn() -> bool) -> Result<(usize, bool), Errno> {
        if !may_wait {
            return self.read_ready(out).unwrap_or(Err(Errno::EAGAIN));
        }
        match self.read_time() {
            Some(between) => self.read_timed(out, between, interrupted),
            None => self.readers.wait_until(None, interrupted, || self.read_ready(out)).unwrap_or(Err(Errno::EINTR)),
        }
    }

    /// Whether a read would not wait.
    pub fn is_readable(&self) -> bool {
        self.state.lock().session.as_ref().is_none_or(|session| session.discipline.is_readable())
    }

    /// What is woken when it may have become readable, and writable.
    pub fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.readers), Some(&self.writers)]
    }

    /// Bytes that can be read.
    pub fn readable_bytes(&self) -> usize {
        self.state.lock().session.as_ref().map_or(0, |session| session.discipline.available())
    }

    /// The settings; the initial ones while the shell owns the terminal.
    pub fn settings(&self) -> Termios {
        self.state.lock().session.as_ref().map_or(Termios::INITIAL, |session| *session.discipline.settings())
    }

    /// Changes the settings of the owner's session; `flush` drops what was typed before.
    pub fn set_settings(&self, settings: Termios, flush: bool) {
        if let Some(session) = &mut self.state.lock().session {
            if flush {
                session.discipline.flush_input();
            }
            session.discipline.set_settings(settings);
        }
        // What was typed may be readable now, and output may no longer be stopped.
        self.readers.wake_all();
        self.writers.wake_all();
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
            state.session.as_ref().filter(|_| changed).map(|session| session.group)
        };
        if let Some(group) = group {
            send::kill_group(group, Signal::SIGWINCH);
        }
    }

    /// The process group in the foreground; 0 while the shell owns the terminal.
    pub fn group(&self) -> u32 {
        self.state.lock().session.as_ref().map_or(0, |session| session.group)
    }

    /// Puts `group` into the foreground. ESRCH if there is none such, EPERM if it is not of the terminal's session, ENOTTY
    /// if the shell has the terminal.
    pub fn set_group(&self, group: u32) -> Result<(), Errno> {
        let id = self.session().ok_or(Errno::ENOTTY)?;
        if !table::group_in_session(group, id) {
            return Err(if table::group(group).is_empty() { Errno::ESRCH } else { Errno::EPERM });
        }
        match &mut self.state.lock().session {
            Some(session) if session.id == id => session.group = group,
            _ => return Err(Errno::ENOTTY),
        }
        Ok(())
    }

    /// `tcflush(3)`. Output is never kept, so that only input has something to drop.
    pub fn flush(&self, what: u64) -> Result<(), Errno> {
        match (what, &mut self.state.lock().session) {
            (TCIFLUSH | TCIOFLUSH, Some(session)) => session.discipline.flush_input(),
            (TCIFLUSH | TCOFLUSH | TCIOFLUSH, _) => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// Does what input has led to, with the lock released.
    fn settle(&self, effects: Effects) {
        self.send_raw(&effects.echo);
        for (group, signal) in effects.signals {
            send::kill_group(group, signal);
        }
        if effects.interrupt_shell {
            self.write(b"^C\n");
            if let Some(interrupt) = self.interrupt.get() {
                interrupt();
            }
        }
        self.readers.wake_all();
        self.writers.wake_all();
    }

    fn send_raw(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let _output = self.output.lock();
            for part in bytes.chunks(SEND_LEN) {
                screen::make_room(part.len());
                console::write_raw(part);
            }
        }
    }

    fn read_ready(&self, out: &mut [u8]) -> Option<Result<(usize, bool), Errno>> {
        match &mut self.state.lock().session {
            None => Some(Err(Errno::EIO)),
            Some(session) => session.discipline.read(out).map(Ok),
        }
    }

    /// What VTIME says, if it counts: in raw mode.
    fn read_time(&self) -> Option<Duration> {
        let settings = self.settings();
        let tenths = u32::from(settings.c_cc[VTIME as usize]);
        (tenths > 0 && !settings.local().contains(LocalFlags::ICANON)).then(|| TENTH_SECOND * tenths)
    }

    /// A raw read with VTIME: with VMIN 0 it waits that long for the first byte, else as long between bytes (termios(3),
    /// the cases "VMIN 0, VTIME above 0" and "both above 0").
    fn read_timed(&self, out: &mut [u8], between: Duration, interrupted: fn() -> bool) -> Result<(usize, bool), Errno> {
        let mut deadline = (self.settings().c_cc[VMIN as usize] == 0).then(|| time::now() + between);
        let mut seen = 0;
        loop {
            let change = || match self.readable_bytes() {
                available if available > seen => Some(available),
                _ => None,
            };
            match self.readers.wait_until(deadline, interrupted, change) {
                Ok(_) if seen == 0 && deadline.is_some() => return self.read_what_is_there(out),
                Ok(available) => seen = available,
                Err(WaitEnd::TimedOut) => return self.read_what_is_there(out),
                Err(WaitEnd::Interrupted) => return Err(Errno::EINTR),
            }
            if let Some(done) = self.read_ready(out) {
                return done;
            }
            deadline = Some(time::now() + between);
        }
    }

    fn read_what_is_there(&self, out: &mut [u8]) -> Result<(usize, bool), Errno> {
        match &mut self.state.lock().session {
            None => Err(Errno::EIO),
            Some(session) => Ok((session.discipline.read_now(out), false)),
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Terminal::new()
    }
}

impl State {
    fn take(&mut self, byte: u8, effects: &mut Effects) {
        match &mut self.session {
            Some(session) => {
                if let Some(signal) = session.discipline.input(byte, &mut effects.echo) {
                    effects.signals.push((session.group, signal));
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
