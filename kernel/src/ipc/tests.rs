//! Kernel tests of pipes, counters and of waiting for files, by many tasks on all CPUs.

use super::pipe::{self, PIPE_BUF};
use super::poll::PollWait;
use super::ring::Ring;
use super::{epoll, eventfd, timerfd};
use crate::sched;
use crate::vfs::flags::*;
use crate::vfs::{File, SliceSink, SliceSource};
use abi::Errno;
use abi::poll::{EPOLLET, EPOLLIN, EPOLLONESHOT, EpollEvent};
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
                reader.change_flags(O_NONBLOCK, O_NONBLOCK);
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

/// Pipes with one writing task each, and how many bytes each task writes, one at a time.
fn dribbling_pipes(team: &Arc<Team>, pipes: usize, rounds: usize) -> Result<Vec<Arc<File>>, String> {
    let mut readers = Vec::new();
    for number in 0..pipes {
        let (reader, writer) = pipe::new(O_NONBLOCK).map_err(|error| error.name())?;
        readers.push(reader);
        writer.change_flags(O_NONBLOCK, 0);
        team.start(move || {
            let mut numbers = Numbers::new(number);
            for _ in 0..rounds {
                write_all(&writer, &[number as u8]);
                if numbers.below(8) == 0 {
                    sched::sleep(Duration::from_micros(numbers.below(2000) as u64));
                }
            }
        })?;
    }
    Ok(readers)
}

/// Several tasks wait at one instance, which watches each pipe with `how`, until all bytes have come.
fn epoll_gives_all(how: u32) -> Result<(), String> {
    const PIPES: usize = 16;
    const ROUNDS: usize = 120;
    let team = Team::new();
    let readers = dribbling_pipes(&team, PIPES, ROUNDS)?;
    let file = epoll::new();
    for (number, reader) in readers.iter().enumerate() {
        let event = EpollEvent { events: EPOLLIN | how, data: number as u64 };
        epoll::instance(&file).and_then(|epoll| epoll.add(reader, 3, event)).map_err(|error| error.name())?;
    }
    let found = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let (file, readers, found) = (file.clone(), readers.clone(), found.clone());
        team.start(move || {
            let epoll = epoll::instance(&file).expect("an instance");
            let end = time::now() + PATIENCE;
            while found.load(Ordering::SeqCst) < PIPES * ROUNDS {
                assert!(time::now() < end, "{} of {} bytes came", found.load(Ordering::SeqCst), PIPES * ROUNDS);
                let mut ready = Vec::new();
                let soon = time::now() + Duration::from_millis(500);
                let given = epoll.wait(3, true, Some(soon), |_, event| {
                    ready.push(event.data as usize);
                    Ok(())
                });
                assert_eq!(given, Ok(ready.len()));
                for number in ready {
                    // An edge is told once, so everything is read.
                    let mut buffer = [0; 7];
                    while let Ok(got @ 1..) = readers[number].read(&mut SliceSink::new(&mut buffer)) {
                        found.fetch_add(got, Ordering::SeqCst);
                    }
                    if how & EPOLLONESHOT != 0 {
                        let event = EpollEvent { events: EPOLLIN | how, data: number as u64 };
                        assert_eq!(epoll.modify(&readers[number], 3, event), Ok(()));
                    }
                }
            }
        })?;
    }
    team.join()?;
    assert_eq!(found.load(Ordering::SeqCst), PIPES * ROUNDS);
    Ok(())
}

#[kernel_test]
fn epoll_by_level_misses_nothing() -> Result<(), String> {
    epoll_gives_all(0)
}

#[kernel_test]
fn epoll_by_edge_misses_nothing() -> Result<(), String> {
    epoll_gives_all(EPOLLET)
}

#[kernel_test]
fn epoll_once_misses_nothing() -> Result<(), String> {
    epoll_gives_all(EPOLLONESHOT)
}

#[kernel_test]
fn files_and_instances_end_while_they_are_woken() -> Result<(), String> {
    const ROUNDS: usize = 30;
    let team = Team::new();
    for number in 0..6 {
        team.start(move || {
            for round in 0..ROUNDS {
                let (inner, outer) = (epoll::new(), epoll::new());
                let (reader, writer) = pipe::new(0).expect("a pipe");
                let counter = eventfd::new(0, false, 0);
                let event = EpollEvent { events: EPOLLIN, data: 0 };
                let watch =
                    |file: &Arc<File>, of: &Arc<File>| epoll::instance(of).and_then(|of| of.add(file, 0, event));
                assert_eq!(watch(&reader, &inner), Ok(()));
                assert_eq!(watch(&counter, &inner), Ok(()));
                assert_eq!(watch(&inner, &outer), Ok(()));
                assert_eq!(watch(&outer, &inner), Err(Errno::ELOOP));
                let others = Team::new();
                let woken = move || {
                    // The reader may be gone.
                    assert!(matches!(writer.write(&mut SliceSource::new(b"x")), Ok(1) | Err(Errno::EPIPE)));
                    write_all(&counter, &1u64.to_le_bytes());
                };
                others.start(woken).expect("memory");
                let instances =
                    [&inner, &outer].map(|file| Arc::downgrade(epoll::instance(file).expect("an instance")));
                let mut files = vec![inner, reader, outer];
                drop(files.swap_remove((number + round) % 3));
                others.join().expect("the waker ends");
                drop(files);
                let left = instances.map(|instance| instance.strong_count());
                assert_eq!(left, [0, 0], "instances that nobody has any more");
            }
        })?;
    }
    team.join()
}

#[kernel_test]
fn a_semaphore_counts_every_unit_once() -> Result<(), String> {
    const UNITS: usize = 400;
    let semaphore = eventfd::new(0, true, 0);
    let taken = Arc::new(AtomicUsize::new(0));
    let team = Team::new();
    for _ in 0..4 {
        let (semaphore, taken) = (semaphore.clone(), taken.clone());
        team.start(move || {
            for _ in 0..UNITS {
                let mut value = [0; 8];
                assert_eq!(semaphore.read(&mut SliceSink::new(&mut value)), Ok(8));
                taken.fetch_add(u64::from_le_bytes(value) as usize, Ordering::SeqCst);
            }
        })?;
    }
    for _ in 0..2 {
        let semaphore = semaphore.clone();
        team.start(move || {
            for _ in 0..UNITS {
                write_all(&semaphore, &2u64.to_le_bytes());
            }
        })?;
    }
    team.join()?;
    assert_eq!((taken.load(Ordering::SeqCst), semaphore.poll() & POLLIN), (4 * UNITS, 0));
    Ok(())
}

#[kernel_test]
fn timers_wake_those_who_wait_for_them() -> Result<(), String> {
    let team = Team::new();
    for number in 0..8u64 {
        team.start(move || {
            let file = timerfd::new(number % 2 == 0, 0);
            let timer: &timerfd::TimerFile = file.device().expect("a timer");
            let (first, interval) = (Duration::from_millis(2 + number), Duration::from_micros(700 + 100 * number));
            let start = time::now();
            timer.set(false, first, interval);
            let mut count = 0;
            while count < 20 {
                let mut value = [0; 8];
                assert_eq!(file.read(&mut SliceSink::new(&mut value)), Ok(8));
                count += u64::from_le_bytes(value);
            }
            assert!(time::now() - start >= first + interval * 19, "expirations that were none");
        })?;
    }
    team.join()
}

#[kernel_test]
fn a_ring_gives_what_went_in_and_was_not_cut() -> Result<(), String> {
    let mut ring = Ring::new(4).map_err(|error| error.name())?;
    let mut model: Vec<u8> = Vec::new();
    let mut numbers = Numbers::new(7);
    for _ in 0..4000 {
        let len = numbers.below(6000);
        match numbers.below(4) {
            0 => {
                let cut = len.min(model.len());
                ring.cut(cut);
                model.truncate(model.len() - cut);
            }
            1 | 2 => {
                let bytes: Vec<u8> = (0..len.min(ring.room())).map(|_| numbers.below(256) as u8).collect();
                let filled = ring.fill(&mut SliceSource::new(&bytes), bytes.len());
                assert_eq!(filled, (bytes.len(), Ok(())));
                model.extend(bytes);
            }
            _ => {
                let mut buffer = vec![0; len];
                let (seen, _) = ring.copy_out(&mut SliceSink::new(&mut buffer), len, len);
                assert!(seen == len.min(model.len()) && buffer[..seen] == model[..seen], "what was looked at");
                ring.discard(seen);
                model.drain(..seen);
            }
        }
        assert_eq!(ring.len(), model.len());
    }
    Ok(())
}
