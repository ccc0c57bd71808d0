//! A store in memory that remembers every write and flush, so that the image after a power cut can be made.

use std::convert::Infallible;
use std::sync::Mutex;

use ::fs::{BlockStore, Changes, WriteStore};

/// A disk loses power between sectors, not within.
const SECTOR: usize = 512;

pub struct Recorder {
    state: Mutex<State>,
    /// The image before the first write.
    start: Vec<u8>,
}

struct State {
    bytes: Vec<u8>,
    changes: Changes,
    events: Vec<Event>,
}

enum Event {
    Write { offset: usize, bytes: Vec<u8>, through: bool },
    Barrier,
    Flush,
}

impl Recorder {
    pub fn of(bytes: Vec<u8>) -> Recorder {
        let state = State { bytes: bytes.clone(), changes: Changes::new(), events: Vec::new() };
        Recorder { state: Mutex::new(state), start: bytes }
    }

    /// The image as it is with all that was written.
    pub fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    /// Number of writes and flushes so far: a moment to cut the power at.
    pub fn moment(&self) -> usize {
        self.state.lock().unwrap().events.len()
    }

    /// The image after a power cut at `moment`: of what was not safe then those sectors have got there for which `survives`
    /// says so.
    pub fn cut(&self, moment: usize, mut survives: impl FnMut() -> bool) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let events = &state.events[..moment];
        let last = |wanted: fn(&Event) -> bool| events.iter().rposition(wanted).unwrap_or(0);
        let barrier = last(|event| matches!(event, Event::Barrier | Event::Flush));
        let flush = last(|event| matches!(event, Event::Flush));
        let mut image = self.start.clone();
        for (index, event) in events.iter().enumerate() {
            let Event::Write { offset, bytes, through } = event else { continue };
            let safe = index < if *through { barrier } else { flush };
            for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                if safe || survives() {
                    image[offset + number * SECTOR..][..sector.len()].copy_from_slice(sector);
                }
            }
        }
        image
    }

    fn put(&self, offset: u64, bytes: &[u8], through: bool) {
        let mut state = self.state.lock().unwrap();
        let offset = offset as usize;
        assert!(offset + bytes.len() <= state.bytes.len(), "write of {} bytes at {offset}", bytes.len());
        state.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        state.events.push(Event::Write { offset, bytes: bytes.to_vec(), through });
    }
}

impl BlockStore for Recorder {
    type Error = Infallible;

    fn len_bytes(&self) -> u64 {
        self.start.len() as u64
    }

    fn read(&self, offset_bytes: u64, out: &mut [u8]) -> Result<(), Infallible> {
        let state = self.state.lock().unwrap();
        out.copy_from_slice(&state.bytes[offset_bytes as usize..][..out.len()]);
        Ok(())
    }

    fn with_changes(&self, work: &mut dyn FnMut(&mut Changes)) {
        work(&mut self.state.lock().unwrap().changes);
    }
}

impl WriteStore for Recorder {
    fn write(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Infallible> {
        self.put(offset_bytes, bytes, false);
        Ok(())
    }

    fn write_through(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), Infallible> {
        self.put(offset_bytes, bytes, true);
        Ok(())
    }

    fn barrier(&self) -> Result<(), Infallible> {
        self.state.lock().unwrap().events.push(Event::Barrier);
        Ok(())
    }

    fn flush(&self) -> Result<(), Infallible> {
        self.state.lock().unwrap().events.push(Event::Flush);
        Ok(())
    }
}
