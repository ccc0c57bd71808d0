//! `/dev/vportNpM`: port M of virtio device N as a stream of bytes, for one opener at a time. As on Linux a read ends when nobody
//! is at the other side, a write waits for somebody, and a port that is a console is not opened here.
//!
//! Lock: `reading`, a sleeping lock, while bytes are copied to a reader, which may fault.

use crate::ipc::eventfd::attempt;
use crate::tty::write_chunks;
use crate::vfs::{self, FileOperations, Result, Sink, Source, device_number, flags, register_device, remove_device};
use abi::Errno;
use alloc::format;
use alloc::string::String;
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
pub(super) struct Node {
    device: &'static VirtioConsole,
    number: usize,
    name: String,
    rdev: u64,
    /// Somebody has it open.
    opened: AtomicBool,
    /// The port is gone.
    removed: AtomicBool,
    reading: Mutex<()>,
}

impl Node {
    /// Makes the node of a port: the device's number, and the port's.
    pub fn make(device: &'static VirtioConsole, (index, number): (usize, usize)) -> Arc<Self> {
        let (opened, removed) = (AtomicBool::new(false), AtomicBool::new(false));
        let rdev = device_number(MAJOR, (index * MAX_PORTS + number) as u32);
        let name = format!("vport{index}p{number}");
        let node = Node { device, number, name, rdev, opened, removed, reading: Mutex::new("a virtio port", ()) };
        let node = Arc::new(node);
        register_device(&node.name, MODE, rdev, Arc::new(Opener(node.clone())));
        node
    }

    /// The port is gone.
    pub fn remove(&self) {
        self.removed.store(true, SeqCst);
        self.port().changed.wake_all();
        remove_device(&self.name, false, self.rdev);
    }

    fn port(&self) -> &'static Port {
        &self.device.ports()[self.number]
    }

    fn is_removed(&self) -> bool {
        self.removed.load(SeqCst)
    }

    /// Whether somebody is at the other side.
    fn is_connected(&self) -> bool {
        !self.is_removed() && self.port().is_open()
    }

    /// Whether a read would not wait.
    fn is_readable(&self) -> bool {
        !self.is_connected() || self.port().bytes.has_input()
    }
}

/// What opens it.
struct Opener(Arc<Node>);

impl FileOperations for Opener {
    fn open(&self, _: u32) -> Result<Option<Arc<dyn FileOperations>>> {
        let node = &self.0;
        if node.port().is_console() || node.is_removed() {
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
        let (port, before) = (node.port(), sink.remaining());
        loop {
            attempt(&port.changed, file_flags, || node.is_readable().then_some(()))?;
            let _one = node.reading.lock();
            let mut chunk = [0; CHUNK_LEN];
            let mut result = Ok(());
            while result.is_ok() && sink.remaining() > 0 && !node.is_removed() {
                let len = sink.remaining().min(CHUNK_LEN);
                let len = port.bytes.peek(&mut chunk[..len]);
                if len == 0 {
                    break;
                }
                result = sink.put(&chunk[..len]);
                if result.is_ok() {
                    port.bytes.consume(len);
                }
            }
            let done = before - sink.remaining();
            // Another reader may have been first.
            if result.is_err() || done > 0 || before == 0 || !node.is_connected() {
                return vfs::outcome(before, sink.remaining(), result);
            }
        }
    }

    fn write(&self, _: u64, file_flags: u32, source: &mut dyn Source) -> Result<usize> {
        let Stream(node) = self;
        let port = node.port();
        write_chunks(source, &|bytes| {
            let offer = || match (node.is_removed(), node.is_connected()) {
                (true, _) => Some(Err(Errno::ENODEV)),
                (_, true) => Some(Ok(port.bytes.send(bytes, false))).filter(|taken| *taken != Ok(0)),
                _ => None,
            };
            attempt(&port.changed, file_flags, offer)?
        })
    }

    fn poll(&self) -> u32 {
        let Stream(node) = self;
        let mut events = 0;
        if node.is_readable() {
            events |= flags::POLLIN | flags::POLLRDNORM;
        }
        if !node.is_connected() {
            events |= flags::POLLHUP;
        } else if node.port().bytes.room() > 0 {
            events |= flags::POLLOUT | flags::POLLWRNORM;
        }
        events
    }

    fn wait_queues(&self) -> [Option<&WaitQueue>; 2] {
        let changed = Some(&self.0.port().changed);
        [changed, changed]
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let node = &self.0;
        if !node.is_removed() {
            node.device.set_open(node.number, false);
            node.port().bytes.discard_input();
        }
        node.opened.store(false, SeqCst);
    }
}
