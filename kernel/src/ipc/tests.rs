//! Kernel tests of pipes and of waiting for files, by many tasks on all CPUs.

use super::pipe::{self, PIPE_BUF};
use super::poll::PollWait;
use crate::sched;
use crate::vfs::flags::*;
use crate::vfs::{File, SliceSink, SliceSource};
use abi::Errno;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use machine::mm::FrameKind;
use machine::mm::frame;
use machine::sync::WaitQueue;
use machine::time;
use macros::kernel_test;

/// Longest that a test waits for what must happen, as emulated CPUs are slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// Tasks that a test has started.
pub(super) struct Team {
    left: AtomicUsize,
    changed: WaitQueue,
}

impl Team {
    pub(super) fn new() -> Arc<Team> {
        Arc::new(Team { left: AtomicUsize::new(0), changed: WaitQueue::new("test tasks") })
    }

    pub(super) fn start(self: &Arc<Self>, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
        self.left.fetch_add(1, Ordering::SeqCst);
        let team = self.clone();
        let entry = move || {
            body();
            team.left.fetch_sub(1, Ordering::SeqCst);
            team.changed.wake_all();
        };
        sched::spawn("test", entry).map(|_| ()).map_err(|_| "no memory for a task".into())
    }

    pub(super) fn join(&self) -> Result<(), String> {
        let done = || (self.left.load(Ordering::SeqCst) == 0).then_some(());
        self.changed.wait_until(Some(time::now() + PATIENCE), || false, done).map_err(|_| "tasks did not end".into())
    }
}

/// Numbers that look random and come again in each run (xorshift).
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: usize) -> Self {
        Numbers((seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

fn write_all(file: &File, bytes: &[u8]) {
    assert_eq!(file.write(&mut SliceSource::new(bytes)), Ok(bytes.len()));
}

#[kernel_test]
fn what_many_write_many_read() -> Result<(), String> {
    const WRITERS: usize = 6;
    const READERS: usize = 3;
    const BYTES_EACH: usize = 300_000;
    let (reader, writer) = pipe::new(0).map_err(|error| error.name())?;
    let [written, read] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let bytes_read = Arc::new(AtomicUsize::new(0));
    let team = Team::new();
    for number in 0..WRITERS {
        let (writer, written) = (writer.clone(), written.clone());
        team.start(move || {
            let mut numbers = Numbers::new(number);
            let mut left = BYTES_EACH;
            while left > 0 {
                let most = if numbers.below(4) == 0 { 100_000 } else { 3000 };
                let len = 1 + numbers.below(most);
                let bytes: Vec<u8> = (0..len.min(left)).map(|_| numbers.below(256) as u8).collect();
                written.fetch_add(sum(&bytes), Ordering::SeqCst);
                write_all(&writer, &bytes);
                left -= bytes.len();
            }
        })?;
    }
    drop(writer);
    for number in 0..READERS {
        let (reader, read, bytes_read) = (reader.clone(), read.clone(), bytes_read.clone());
        team.start(move || {
            let mut numbers = Numbers::new(1000 + number);
            let mut buffer = vec![0; 20_000];
            loop {
                let wanted = 1 + numbers.below(buffer.len());
                let got = reader.read(&mut SliceSink::new(&mut buffer[..wanted])).expect("a pipe can be read");
                if got == 0 {
                    break;
                }
                read.fetch_add(sum(&buffer[..got]), Ordering::SeqCst);
                bytes_read.fetch_add(got, Ordering::SeqCst);
            }
        })?;
    }
    team.join()?;
    assert_eq!(bytes_read.load(Ordering::SeqCst), WRITERS * BYTES_EACH);
    assert_eq!(read.load(Ordering::SeqCst), written.load(Ordering::SeqCst), "sums of what was read and written");
    Ok(())
}

#[kernel_test]
fn short_writes_stay_together() -> Result<(), String> {
    const WRITERS: usize = 5;
    const ROUNDS: usize = 60;
    let (reader, writer) = pipe::new(0).map_err(|error| error.name())?;
    let team = Team::new();
    for number in 0..WRITERS {
        let writer = writer.clone();
        team.start(move || {
            let mut numbers = Numbers::new(number);
            for _ in 0..ROUNDS {
                // Length, low byte first, then as many bytes of the writer's own.
                let len = 3 + numbers.below(PIPE_BUF - 2);
                let mut message = vec![number as u8; len];
                message[..2].copy_from_slice(&(len as u16).to_le_bytes());
                write_all(&writer, &message);
            }
        })?;
    }
    drop(writer);
    let mut stream = Vec::new();
    let mut buffer = vec![0; 777];
    loop {
        match reader.read(&mut SliceSink::new(&mut buffer)) {
            Ok(0) => break,
            Ok(got) => stream.extend_from_slice(&buffer[..got]),
            Err(error) => return Err(error.name().into()),
        }
    }
    team.join()?;
    let (mut rest, mut messages) = (&stream[..], 0);
    while let [low, high, owner, ..] = *rest {
        let len = usize::from(u16::from_le_bytes([low, high]));
        assert!(rest[2..len].iter().all(|&byte| byte == owner), "a write of {len} bytes was split");
        rest = &rest[len..];
        messages += 1;
    }
    assert_eq!((messages, rest.len()), (WRITERS * ROUNDS, 0));
    Ok(())
}

#[kernel_test]
fn a_pipe_gives_its_pages_back() -> Result<(), String> {
    let (reader, writer) = pipe::new(O_NONBLOCK).map_err(|error| error.name())?;
    let big = vec![7; 100_000];
    assert_eq!(writer.write(&mut SliceSource::new(&big)), Ok(65536));
    assert_eq!(writer.write(&mut SliceSource::new(&big)), Err(Errno::EAGAIN));
    assert!(frame::count(FrameKind::Pipe) >= 16);
    let mut out = vec![0; 70_000];
    // A wrap inside one page: its beginning and its end hold bytes, in the wrong order.
    assert_eq!(reader.read(&mut SliceSink::new(&mut out[..5000])), Ok(5000));
    assert_eq!(writer.write(&mut SliceSource::new(&[9; 5000])), Ok(5000));
    assert_eq!(reader.fcntl(abi::fcntl::F_SETPIPE_SZ, 4096), Err(Errno::EBUSY));
    assert_eq!(reader.fcntl(abi::fcntl::F_SETPIPE_SZ, 100_000), Ok(131_072));
    assert_eq!(reader.read(&mut SliceSink::new(&mut out)), Ok(65536));
    assert_eq!((sum(&out[..60536]), sum(&out[60536..65536])), (60536 * 7, 5000 * 9));
    assert_eq!(reader.read(&mut SliceSink::new(&mut out)), Err(Errno::EAGAIN));
    drop(writer);
    assert_eq!(reader.read(&mut SliceSink::new(&mut out)), Ok(0));
    Ok(())
}

#[kernel_test]
fn a_writer_without_reader_does_not_wait() -> Result<(), String> {
    let (reader, writer) = pipe::new(0).map_err(|error| error.name())?;
    let team = Team::new();
    let blocked = writer.clone();
    team.start(move || {
        // Fills the pipe and sleeps; when the reader goes, what is in counts.
        assert_eq!(blocked.write(&mut SliceSource::new(&[1; 70_000])), Ok(65536));
    })?;
    while writer.poll() & POLLOUT != 0 {
        sched::sleep(Duration::from_millis(1));
    }
    drop(reader);
    team.join()?;
    assert_eq!(writer.poll() & POLLERR, POLLERR);
    assert_eq!(writer.write(&mut SliceSource::new(b"x")), Err(Errno::EPIPE));
    Ok(())
}

#[kernel_test]
fn a_wait_for_many_misses_no_file() -> Result<(), String> {
    const PIPES: usize = 20;
    const ROUNDS: usize = 150;
    let mut readers = Vec::new();
    let team = Team::new();
    for number in 0..PIPES {
        let (reader, writer) = pipe::new(0).map_err(|error| error.name())?;
        readers.push(reader);
        team.start(move || {
            let mut numbers = Numbers::new(number);
            for _ in 0..ROUNDS {
                write_all(&writer, &[number as u8]);
                if numbers.below(8) == 0 {
                    sched::sleep(Duration::from_micros(numbers.below(3000) as u64));
                }
            }
        })?;
    }
    // Two tasks wait for the same files, each takes what it finds.
    let found = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let (readers, found) = (readers.clone(), found.clone());
        team.start(move || {
            let mut open: Vec<Arc<File>> = readers;
            for reader in &open {
                reader.set_flags(O_NONBLOCK);
            }
            while !open.is_empty() {
                let mut wait = PollWait::new(open.len()).expect("memory");
                open.iter().for_each(|file| wait.add(file.clone(), POLLIN).expect("memory"));
                let ready = || open.iter().position(|file| file.poll() != 0);
                let at = wait.until(Some(time::now() + PATIENCE), ready).expect("no signal");
                let at = at.expect("a wake-up was lost");
                drop(wait);
                match open[at].read(&mut SliceSink::new(&mut [0])) {
                    Ok(0) => drop(open.swap_remove(at)),
                    Ok(got) => drop(found.fetch_add(got, Ordering::SeqCst)),
                    Err(error) => assert_eq!(error, Errno::EAGAIN),
                }
            }
        })?;
    }
    team.join()?;
    assert_eq!(found.load(Ordering::SeqCst), PIPES * ROUNDS);
    Ok(())
}
