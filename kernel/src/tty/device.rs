//! The terminal as a file: read(2), write(2), poll(2) and the requests of `ioctl_tty(2)`.

use super::Terminal;
use crate::process;
use crate::vfs::{FileOperations, Result, Sink, Source, flags};
use abi::pod::Pod;
use abi::termios::{self, LocalFlags, Winsize};
use abi::{Errno, Signal};
use alloc::sync::Arc;
use machine::sync::WaitQueue;
use machine::user::copy;

/// Bytes moved at a time: with the terminal locked no user memory is touched, so they go through a buffer.
const CHUNK_LEN: usize = 256;

/// A terminal as a file.
pub struct TerminalFile {
    terminal: &'static Terminal,
}

impl TerminalFile {
    /// `terminal` as a file.
    pub fn new(terminal: &'static Terminal) -> Self {
        TerminalFile { terminal }
    }
}

impl FileOperations for TerminalFile {
    /// EIO for a program while the shell has the terminal, as Linux tells background processes that cannot be stopped.
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        self.terminal.check_foreground(Signal::SIGTTIN)?;
        let wanted = sink.remaining();
        let mut buffer = [0; CHUNK_LEN];
        let mut done = 0;
        while done < wanted {
            let part = &mut buffer[..CHUNK_LEN.min(wanted - done)];
            // Only the first bytes are waited for; a line that is longer than the buffer goes on without waiting.
            let may_wait = done == 0 && file_flags & flags::O_NONBLOCK == 0;
            let (len, more) = match self.terminal.read(part, may_wait, process::interrupted) {
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

    fn write(&self, _: u64, _: u32, source: &mut dyn Source) -> Result<usize> {
        if self.terminal.settings().local().contains(LocalFlags::TOSTOP) {
            self.terminal.check_foreground(Signal::SIGTTOU)?;
        }
        let mut written = 0;
        let mut buffer = [0; CHUNK_LEN];
        while source.remaining() > 0 {
            let part = fill(source, &mut buffer).and_then(|len| {
                self.terminal.write_program(&buffer[..len], process::interrupted)?;
                Ok(len)
            });
            match part {
                Ok(len) => written += len,
                Err(error) if written == 0 => return Err(error),
                Err(_) => break,
            }
            if process::interrupted() {
                break;
            }
        }
        Ok(written)
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        if matches!(
            command,
            termios::TCSETS | termios::TCSETSW | termios::TCSETSF | termios::TIOCSPGRP | termios::TCFLSH
        ) {
            self.terminal.check_foreground(Signal::SIGTTOU)?;
        }
        match command {
            termios::TCGETS => put(argument, &self.terminal.settings()),
            termios::TCSETS | termios::TCSETSW => get(argument).map(|new| self.terminal.set_settings(new, false)),
            termios::TCSETSF => get(argument).map(|new| self.terminal.set_settings(new, true)),
            termios::TIOCGWINSZ => put(argument, &self.terminal.window()),
            termios::TIOCSWINSZ => get::<Winsize>(argument).map(|new| self.terminal.set_window(new)),
            termios::FIONREAD => put(argument, &(self.terminal.readable_bytes() as i32)),
            termios::TCFLSH => self.terminal.flush(argument),
            // Output is sent at once and there is no modem: nothing to wait for, and no break to send.
            termios::TCSBRK | termios::TCSBRKP => Ok(()),
            _ => self.job_control(command, argument),
        }
        .map(|()| 0)
    }

    fn poll(&self) -> u32 {
        let readable = if self.terminal.is_readable() { flags::POLLIN | flags::POLLRDNORM } else { 0 };
        readable | flags::POLLOUT | flags::POLLWRNORM
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        self.terminal.wait_queues()
    }
}

impl TerminalFile {
    /// The requests about sessions and groups, which only processes of the terminal's session may make.
    fn job_control(&self, command: u32, argument: u64) -> Result<()> {
        let thread = process::current_thread().ok_or(Errno::ENOTTY)?;
        let process = thread.process();
        let controls = self.terminal.session() == Some(process.session());
        match command {
            termios::TIOCSCTTY => self.terminal.acquire(process, argument == 1),
            termios::TIOCNOTTY | termios::TIOCGPGRP | termios::TIOCGSID | termios::TIOCSPGRP if !controls => {
                Err(Errno::ENOTTY)
            }
            termios::TIOCNOTTY => {
                // Others of the session lose the terminal with their leader only.
                if process.session() == process.pid() {
                    self.terminal.end_session(process.session());
                }
                Ok(())
            }
            termios::TIOCGPGRP => put(argument, &(self.terminal.group() as i32)),
            termios::TIOCGSID => put(argument, &(process.session() as i32)),
            termios::TIOCSPGRP => {
                let group: i32 = get(argument)?;
                self.terminal.set_group(u32::try_from(group).map_err(|_| Errno::EINVAL)?)
            }
            _ => Err(Errno::ENOTTY),
        }
    }
}

/// `/dev/tty`: for each process the terminal that controls it.
pub struct ControllingTerminal;

impl FileOperations for ControllingTerminal {
    fn open(&self, _: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let thread = process::current_thread().ok_or(Errno::ENXIO)?;
        let terminal = super::console();
        if terminal.session() != Some(thread.process().session()) {
            return Err(Errno::ENXIO);
        }
        Ok(Some(Arc::new(TerminalFile::new(terminal))))
    }
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

fn put<T: Pod>(address: u64, value: &T) -> Result<()> {
    value.with_bytes(|bytes| copy::write(address, bytes)).map_err(|_| Errno::EFAULT)
}

fn get<T: Pod>(address: u64) -> Result<T> {
    T::try_from_fill(|bytes| copy::read(address, bytes)).map_err(|_| Errno::EFAULT)
}
