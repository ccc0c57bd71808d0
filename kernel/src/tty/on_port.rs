//! `/dev/hvc0` and so on: terminals on ports of virtio consoles.
//!
//! What comes in waits in the device's buffers while nobody has the terminal open, and while that has no room: then it is the
//! other side's turn to wait. When nobody is at the other side any more, or the port goes, the terminal is hung up.

use super::device::LineTerminal;
use super::line::Line;
use super::{MODE, Terminal, registry};
use crate::vfs::{Result, register_device};
use abi::Errno;
use abi::termios::{Termios, Winsize};
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use drivers::console::{Port, VirtioConsole};

/// Bytes brought to the terminal at a time.
const CHUNK_LEN: usize = 256;

/// A port as a line.
struct PortLine {
    device: &'static VirtioConsole,
    port: &'static Port,
    files: AtomicUsize,
    /// Something has come in for which the terminal had no room.
    stalled: AtomicBool,
}

impl Line for PortLine {
    fn open(&self, _: &Termios, _: u32) -> Result<()> {
        if !self.port.is_open() {
            return Err(Errno::EIO);
        }
        self.files.fetch_add(1, SeqCst);
        // What came in before may be read now.
        self.device.rouse();
        Ok(())
    }

    fn close(&self) {
        self.files.fetch_sub(1, SeqCst);
    }

    fn room(&self) -> usize {
        self.port.bytes.room()
    }

    fn send(&self, bytes: &[u8]) {
        self.port.bytes.send(bytes, true);
    }

    fn unsent(&self) -> (usize, bool) {
        (self.port.bytes.unsent(), true)
    }

    fn discard(&self) {
        self.port.bytes.discard_output();
    }

    fn hold(&self, held: bool) {
        self.port.bytes.hold(held);
    }

    fn note_room(&self) {
        if self.stalled.swap(false, SeqCst) {
            self.device.rouse();
        }
    }
}

/// The terminal of a port, for the device's task.
pub struct PortTerminal {
    line: &'static PortLine,
    terminal: &'static Terminal,
}

impl PortTerminal {
    /// The terminal of a port, with its node, which stays when the port goes, as on Linux; None if there are too many.
    pub fn new(device: &'static VirtioConsole, port: &'static Port) -> Option<Self> {
        let line = PortLine { device, port, files: AtomicUsize::new(0), stalled: AtomicBool::new(false) };
        // Terminals are there for good.
        let line = Box::leak(Box::new(line));
        let (number, terminal) = registry::add_on_port(line)?;
        register_device(&format!("hvc{number}"), MODE, terminal.number(), Arc::new(LineTerminal(terminal)));
        Some(PortTerminal { line, terminal })
    }

    /// Nobody is at the other side: files are dead.
    pub fn hang_up(&self) {
        self.line.port.bytes.discard_output();
        self.line.port.bytes.discard_input();
        self.terminal.hang_up();
    }

    /// The window at the other side.
    pub fn resize(&self, (columns, rows): (u16, u16)) {
        self.terminal.set_window(Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 });
    }

    /// Brings what has come in to the terminal, and wakes who waits for room for output.
    pub fn attend(&self) {
        let bytes = &self.line.port.bytes;
        if bytes.take_sent() {
            self.terminal.writers.wake_all();
        }
        let mut chunk = [0; CHUNK_LEN];
        while self.line.files.load(SeqCst) > 0 {
            let len = bytes.peek(&mut chunk);
            if len == 0 {
                return;
            }
            // Before the look for room, so that room made after it is told.
            self.line.stalled.store(true, SeqCst);
            let Some(Ok(taken)) = self.terminal.type_in(&chunk[..len]) else { return };
            self.line.stalled.store(false, SeqCst);
            bytes.consume(taken);
        }
    }
}
