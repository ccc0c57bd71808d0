//! Pseudo-terminals (`pty(7)`): a terminal whose line is another file, the master.
//!
//! Opening `/dev/ptmx` makes one. What is written to the master is typed at the slave; what programs write to the slave,
//! and the echo, is read from the master. When the master is closed the slave is hung up; when the last slave is closed
//! the master's reads end with EIO, after what is left.

use super::Terminal;
use super::device::{CHUNK_LEN, TerminalFile, write_chunks};
use super::registry::{self, Attributes, Handle, Pty};
use super::request;
use super::state::{Effects, QUEUE_LEN, shrink};
use super::terminal::{Waiting, wait_in};
use crate::process;
use crate::vfs::{self, File, FileOperations, Result, Sink, Source, flags};
use abi::termios;
use abi::{Errno, Signal};
use alloc::sync::Arc;
use machine::sync::WaitQueue;
use machine::user::value::{get, put};

impl Terminal {
    /// Whether the master of a pseudo-terminal is open.
    pub fn has_master(&self) -> bool {
        self.state.lock().pair.as_ref().is_some_and(|pair| pair.master)
    }

    /// What the master reads now, which is at least a byte; None if it has to wait. EIO if the slave is closed.
    fn read_output(&self, out: &mut [u8], first: bool) -> Option<Result<usize>> {
        let mut state = self.state.lock();
        let pair = state.pair.as_mut()?;
        if pair.packet && first {
            let status = core::mem::take(&mut pair.status);
            out[0] = status;
            if status != 0 || out.len() == 1 && !pair.output.is_empty() {
                return Some(Ok(1));
            }
        }
        let start = usize::from(pair.packet && first);
        let len = pair.output.len().min(out.len() - start);
        if len == 0 {
            return pair.slave_closed.then_some(Err(Errno::EIO));
        }
        for (slot, byte) in out[start..].iter_mut().zip(pair.output.drain(..len)) {
            *slot = byte;
        }
        shrink(&mut pair.output);
        Some(Ok(start + len))
    }

    /// Types what the master writes, or the other side of a line: how many bytes; None if it has to wait for room.
    pub(super) fn type_in(&self, bytes: &[u8]) -> Option<Result<usize>> {
        let mut effects = Effects::default();
        let taken = self.state.lock().accept(bytes, &mut effects);
        self.settle(effects);
        match taken {
            Ok(0) => None,
            taken => Some(taken),
        }
    }
}

/// How the master waits: it is never hung up.
fn waiting(file_flags: u32) -> Waiting {
    Waiting { allowed: file_flags & flags::O_NONBLOCK == 0, interrupted: process::interrupted, opened_at: 0 }
}

/// The master of a pseudo-terminal.
pub struct Master {
    pty: Arc<Pty>,
}

impl Master {
    /// The master of a new pseudo-terminal, whose slave's node has these attributes. ENOSPC if there are too many.
    pub fn new(node: Attributes) -> Result<Self> {
        Ok(Master { pty: registry::new_pair(node)? })
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let terminal = &self.pty.terminal;
        if let Some(pair) = &mut terminal.state.lock().pair {
            pair.master = false;
            pair.output.clear();
            shrink(&mut pair.output);
        }
        terminal.hang_up();
        registry::forget_unused(&self.pty);
    }
}

impl FileOperations for Master {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        let terminal = &self.pty.terminal;
        let mut buffer = [0; CHUNK_LEN];
        let mut done = 0;
        while sink.remaining() > 0 {
            let part = &mut buffer[..CHUNK_LEN.min(sink.remaining())];
            let mut waiting = waiting(file_flags);
            waiting.allowed &= done == 0;
            let read = wait_in(&terminal.master_readers, waiting, || terminal.read_output(part, done == 0));
            let len = match read {
                Ok(len) => len,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            };
            terminal.writers.wake_all();
            sink.put(&part[..len])?;
            done += len;
            if self.is_status(part, done) {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, _: u64, file_flags: u32, source: &mut dyn Source) -> Result<usize> {
        let terminal = &self.pty.terminal;
        write_chunks(source, &|bytes| {
            wait_in(&terminal.master_writers, waiting(file_flags), || terminal.type_in(bytes))
        })
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        match command {
            termios::TIOCGPTN => put(argument, &self.pty.index),
            termios::TIOCSPTLCK => get::<i32>(argument).map(|lock| self.with_pair(|pair| pair.locked = lock != 0)),
            termios::TIOCGPTLCK => put(argument, &self.with_pair(|pair| i32::from(pair.locked))),
            termios::TIOCPKT => get::<i32>(argument).map(|on| {
                self.with_pair(|pair| {
                    if !pair.packet {
                        pair.status = 0;
                    }
                    pair.packet = on != 0;
                });
            }),
            termios::TIOCGPKT => put(argument, &self.with_pair(|pair| i32::from(pair.packet))),
            termios::TIOCGPTPEER => return self.open_peer(argument as u32),
            termios::TIOCSIG => self.signal(argument),
            termios::FIONREAD => put(argument, &self.with_pair(|pair| pair.output.len() as i32)),
            // The master is nobody's controlling terminal.
            termios::TIOCNOTTY => Err(Errno::ENOTTY),
            termios::TIOCGPGRP => put(argument, &(self.pty.terminal.group() as i32)),
            termios::TIOCGSID => match self.pty.terminal.session() {
                Some(session) => put(argument, &(session as i32)),
                None => Err(Errno::ENOTTY),
            },
            _ => request::handle(&self.pty.terminal, command, argument),
        }
        .map(|()| 0)
    }

    fn poll(&self) -> u32 {
        let state = self.pty.terminal.state.lock();
        let Some(pair) = &state.pair else { return flags::POLLERR };
        let mut events = 0;
        if !pair.output.is_empty() {
            events |= flags::POLLIN | flags::POLLRDNORM;
        }
        if pair.packet && pair.status != 0 {
            events |= flags::POLLPRI | flags::POLLIN | flags::POLLRDNORM;
        }
        if pair.slave_closed {
            events |= flags::POLLHUP;
        }
        if state.incoming.len() < QUEUE_LEN {
            events |= flags::POLLOUT | flags::POLLWRNORM;
        }
        events
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.pty.terminal.master_readers), Some(&self.pty.terminal.master_writers)]
    }
}

impl Master {
    fn with_pair<R: Default>(&self, f: impl FnOnce(&mut super::state::Pair) -> R) -> R {
        self.pty.terminal.state.lock().pair.as_mut().map(f).unwrap_or_default()
    }

    /// Whether what was read first, of `len` bytes, is a status of packet mode: it comes alone.
    fn is_status(&self, read: &[u8], len: usize) -> bool {
        len == 1 && read[0] != 0 && self.with_pair(|pair| pair.packet)
    }

    /// TIOCSIG: the signals of keys alone.
    fn signal(&self, number: u64) -> Result<()> {
        let signal = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP]
            .into_iter()
            .find(|signal| u64::from(signal.number()) == number)
            .ok_or(Errno::EINVAL)?;
        process::send::kill_group(self.pty.terminal.group(), signal);
        Ok(())
    }

    /// TIOCGPTPEER: a descriptor of the slave, whatever path leads to it.
    fn open_peer(&self, file_flags: u32) -> Result<u64> {
        let thread = process::current_thread().ok_or(Errno::ENOTTY)?;
        let path = alloc::format!("/dev/pts/{}", self.pty.index);
        let shown = vfs::open(&vfs::root_context(), None, path.as_bytes(), file_flags, 0);
        let file = match shown {
            Err(Errno::ENOENT) => {
                let slave = TerminalFile::open(Handle::Pair(self.pty.clone()), file_flags)?;
                File::new_device(Arc::new(slave), file_flags)
            }
            shown => shown?,
        };
        let process = thread.process();
        let close_on_exec = file_flags & flags::O_CLOEXEC != 0;
        process.add_file(file, close_on_exec).map(|fd| fd as u64)
    }
}
