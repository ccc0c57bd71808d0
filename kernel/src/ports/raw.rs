//! `/dev/vportNpM`: port M of virtio device N as a stream of bytes, for one opener at a time. As on Linux a read ends when nobody
//! is at the other side, a write waits for somebody, and a port that is a console is not opened here.
//!
//! Lock: `reading`, a sleeping lock, while bytes are copied to a reader, which may fault.

use crate::ipc::eventfd::attempt;
use crate::tty::write_chunks;
use crate::vfs::{self, FileOperations, Result, Sink, Source, device_number, flags, register_device};
use abi::Errno;
use alloc::format;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use drivers::console::{MAX_PORTS, Port, VirtioConsole};
use machine::sync::{Mutex, WaitQueue};

/// Major number; Linux takes a free one, as this is there.
pub const MAJOR: u32 = 243;
/// Character device of root's alone.
const MODE: u32 = 0o020600;
/// Bytes copied at a time.
const CHUNK_LEN: usize = 256;

/// The node of a port.
struct Node {
    device: &'static VirtioConsole,
    number: usize,
    /// Somebody has it open.
    opened: AtomicBool,
    reading: Mutex<()>,
}

/// Makes the node of a port: the device's number, and the port's. It stays when the port goes.
pub(super) fn make_node(device: &'static VirtioConsole, (index, number): (usize, usize)) {
    let node = Node { device, number, opened: AtomicBool::new(false), reading: Mutex::new("a virtio port", ()) };
    let rdev = device_number(MAJOR, (index * MAX_PORTS + number) as u32);
    register_device(&format!("vport{index}p{number}"), MODE, rdev, Arc::new(Opener(Arc::new(node))));
}

impl Node {
    fn port(&self) -> &'static Port {
        &self.device.ports()[self.number]
    }

    /// Whether a read would not wait.
    fn is_readable(&self) -> bool {
        !self.port().is_open() || self.port().bytes.has_input()
    }

    /// Whether a write would not wait.
    fn is_writable(&self) -> bool {
        !self.port().is_there() || self.port().is_open() && self.port().bytes.room() > 0
    }

    /// Waits for one of these: EAGAIN, EINTR.
    fn wait(&self, file_flags: u32, ready: fn(&Node) -> bool) -> Result<()> {
        attempt(&self.port().changed, file_flags, || ready(self).then_some(()))
    }
}

/// What opens it.
struct Opener(Arc<Node>);

impl FileOperations for Opener {
    fn open(&self, _: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let node = &self.0;
        if node.port().is_console() || !node.port().is_there() {
            return Err(Errno::ENXIO);
        }
        if node.opened.swap(true, SeqCst) {
            return Err(Errno::EBUSY);
        }
        node.device.set_open(node.number, true);
        Ok(Some(Arc::new(Stream(node.clone()))))
    }
}

/// An opened port.
struct Stream(Arc<Node>);

impl FileOperations for Stream {
    fn read(&self, _: u64, file_flags: u32, sink: &mut dyn Sink) -> Result<usize> {
        let Stream(node) = self;
        let (bytes, before) = (&node.port().bytes, sink.remaining());
        let mut chunk = [0; CHUNK_LEN];
        loop {
            node.wait(file_flags, Node::is_readable)?;
            let _one = node.reading.lock();
            let mut result = Ok(());
            while result.is_ok() {
                let len = bytes.peek(&mut chunk[..CHUNK_LEN.min(sink.remaining())]);
                if len == 0 {
                    break;
                }
                result = sink.put(&chunk[..len]);
                if result.is_ok() {
                    bytes.consume(len);
                }
            }
            // Unless another reader was first.
            if result.is_err() || sink.remaining() < before || before == 0 || !node.port().is_open() {
                return vfs::outcome(before, sink.remaining(), result);
            }
        }
    }

    fn write(&self, _: u64, file_flags: u32, source: &mut dyn Source) -> Result<usize> {
        let Stream(node) = self;
        write_chunks(source, &|bytes| {
            loop {
                node.wait(file_flags, Node::is_writable)?;
                if !node.port().is_there() {
                    return Err(Errno::ENODEV);
                }
                match node.port().bytes.send(bytes, false) {
                    0 => {} // another writer was first
                    taken => return Ok(taken),
                }
            }
        })
    }

    fn poll(&self) -> u32 {
        let Stream(node) = self;
        // Looked at once: a port that closes meanwhile is hung up as a whole, or not at all.
        if !node.port().is_open() {
            return flags::POLLIN | flags::POLLRDNORM | flags::POLLHUP;
        }
        let mut events = 0;
        if node.port().bytes.has_input() {
            events |= flags::POLLIN | flags::POLLRDNORM;
        }
        if node.port().bytes.room() > 0 {
            events |= flags::POLLOUT | flags::POLLWRNORM;
        }
        events
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        [Some(&self.0.port().changed); 2]
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Stream(node) = self;
        if node.port().is_there() {
            node.device.set_open(node.number, false);
        }
        node.port().bytes.discard_input();
        node.opened.store(false, SeqCst);
    }
}
