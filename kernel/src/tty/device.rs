//! A terminal as a file: read(2), write(2), poll(2).

use super::Terminal;
use super::registry::{self, Handle, console, controlling};
use super::request;
use super::terminal::Waiting;
use super::virtual_terminal::{self, errno};
use crate::vfs::{FileOperations, Result, Sink, Source, flags};
use crate::{process, screen};
use abi::termios::{LocalFlags, TIOCSPGRP};
use abi::{Errno, Signal};
use alloc::sync::Arc;
use machine::sync::WaitQueue;

/// Bytes moved at a time: with the terminal locked no user memory is touched, so they go through a buffer.
pub(super) const CHUNK_LEN: usize = 256;

/// What poll(2) says of a terminal that was hung up.
const HUNG_UP: u32 =
    flags::POLLIN | flags::POLLOUT | flags::POLLERR | flags::POLLHUP | flags::POLLRDNORM | flags::POLLWRNORM;

/// An open terminal.
pub struct TerminalFile {
    terminal: Handle,
    opened_at: u32,
    /// Opening it makes it the controlling terminal of a session that has none.
    acquires: bool,
}

impl TerminalFile {
    /// The console as `/dev/console`, or under another name, as which it may become a controlling terminal.
    pub fn console(acquires: bool) -> Self {
        TerminalFile { terminal: Handle::Lasting(console()), opened_at: console().hangups(), acquires }
    }

    /// Opens a terminal. EIO for a slave that is locked or has no master, EBUSY for one that is another's alone.
    pub fn open(terminal: Handle, file_flags: u32) -> Result<Self> {
        let opened_at = terminal.count_opening()?;
        let file = TerminalFile { terminal, opened_at, acquires: true };
        file.acquire(file_flags);
        Ok(file)
    }

    fn acquire(&self, file_flags: u32) {
        if self.acquires && file_flags & flags::O_NOCTTY == 0 && file_flags & flags::O_ACCMODE != flags::O_WRONLY {
            self.terminal.acquire_by_opening();
        }
    }

    fn hung_up(&self) -> bool {
        self.terminal.hangups() != self.opened_at
    }

    fn waiting(&self, file_flags: u32) -> Waiting {
        Waiting {
            allowed: file_flags & flags::O_NONBLOCK == 0,
            interrupted: process::interrupted,
            opened_at: self.opened_at,
        }
    }
}

impl Drop for TerminalFile {
    fn drop(&mut self) {
        self.terminal.count_closing();
        if let Handle::Pair(pty) = &self.terminal {
            registry::forget_unused(pty);
        }
    }
}

impl FileOperations for TerminalFile {
    fn open(&self, file_flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        self.acquire(file_flags);
        Ok(None)
    }

    /// EIO for a program while the shell has the terminal, as Linux tells background processes that cannot be stopped.
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        if self.hung_up() {
            return Ok(0);
        }
        self.terminal.check_foreground(Signal::SIGTTIN)?;
        let wanted = sink.remaining();
        let mut buffer = [0; CHUNK_LEN];
        let mut done = 0;
        while done < wanted {
            let part = &mut buffer[..CHUNK_LEN.min(wanted - done)];
            // Only the first bytes are waited for; a line that is longer than the buffer goes on without waiting.
            let mut waiting = self.waiting(file_flags);
            waiting.allowed &= done == 0;
            let (len, more) = match self.terminal.read(part, waiting) {
                Ok(read) => read,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            };
            sink.put(&part[..len])?;
            done += len;
            if !more {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, _: u64, file_flags: u32, source: &mut dyn Source) -> Result<usize> {
        if self.hung_up() {
            return Err(Errno::EIO);
        }
        if self.terminal.settings().local().contains(LocalFlags::TOSTOP) {
            self.terminal.check_foreground(Signal::SIGTTOU)?;
        }
        let waiting = self.waiting(file_flags);
        write_chunks(source, &|bytes| self.terminal.write_program(bytes, waiting))
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        if self.hung_up() {
            return Err(if command == TIOCSPGRP { Errno::ENOTTY } else { Errno::EIO });
        }
        request::handle(&self.terminal, command, argument).map(|()| 0)
    }

    fn poll(&self) -> u32 {
        if self.hung_up() {
            return HUNG_UP;
        }
        let readable = if self.terminal.is_readable() { flags::POLLIN | flags::POLLRDNORM } else { 0 };
        let writable = if self.terminal.is_writable() { flags::POLLOUT | flags::POLLWRNORM } else { 0 };
        readable | writable
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        self.terminal.wait_queues()
    }
}

/// `/dev/tty`: for each process the terminal that controls it.
pub struct ControllingTerminal;

impl FileOperations for ControllingTerminal {
    fn open(&self, file_flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let thread = process::current_thread().ok_or(Errno::ENXIO)?;
        let terminal = controlling(thread.process().session()).ok_or(Errno::ENXIO)?;
        Ok(Some(Arc::new(TerminalFile::open(terminal, file_flags)?)))
    }
}

/// `/dev/tty1` and so on by their numbers, and as number 0 `/dev/tty0`, the one that is shown. ENXIO without a screen, but
/// for the console.
pub struct VirtualTerminal(pub usize);

impl FileOperations for VirtualTerminal {
    fn open(&self, file_flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let number = self.0.checked_sub(1).unwrap_or_else(screen::active);
        let terminal = registry::on_screen(number);
        if number > 0 {
            screen::open(number).map_err(errno)?;
            if let Some(window) = virtual_terminal::window().filter(|_| !terminal.is_used()) {
                terminal.set_window(window);
            }
        }
        Ok(Some(Arc::new(TerminalFile::open(Handle::Lasting(terminal), file_flags)?)))
    }
}

/// A terminal on a line, as `/dev/ttyS1`: there the opening waits for the carrier without CLOCAL, unless it may not wait.
pub struct LineTerminal(pub &'static Terminal);

impl FileOperations for LineTerminal {
    fn open(&self, file_flags: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let terminal = self.0;
        let file = TerminalFile::open(Handle::Lasting(terminal), file_flags)?;
        if file_flags & flags::O_NONBLOCK == 0 {
            terminal.wait_for_carrier(file.waiting(file_flags))?;
        }
        Ok(Some(Arc::new(file)))
    }
}

/// Gives `write` what `source` has, a chunk at a time; it takes at least one byte, or says why not. Bytes taken.
pub fn write_chunks(source: &mut dyn Source, write: &dyn Fn(&[u8]) -> Result<usize>) -> Result<usize> {
    let mut written = 0;
    let mut buffer = [0; CHUNK_LEN];
    let mut result = Ok(());
    while source.remaining() > 0 && result.is_ok() {
        let mut rest = match fill(source, &mut buffer) {
            Ok(len) => &buffer[..len],
            Err(error) => {
                result = Err(error);
                break;
            }
        };
        while !rest.is_empty() && result.is_ok() {
            match write(rest) {
                Ok(len) => {
                    written += len;
                    rest = &rest[len..];
                }
                Err(error) => result = Err(error),
            }
        }
        if process::interrupted() {
            break;
        }
    }
    if written == 0 { result.map(|()| 0) } else { Ok(written) }
}

/// Takes from `source` until the buffer is full, over the borders of an iovec: a line goes out in one piece.
fn fill(source: &mut dyn Source, buffer: &mut [u8]) -> Result<usize> {
    let mut len = 0;
    while len < buffer.len() && source.remaining() > 0 {
        match source.take(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(taken) => len += taken,
            Err(error) if len == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(len)
}
