//! Input devices: what each reader of one has yet to read, and how the device's keys and axes are (Linux's evdev).

use abi::input::{ABS_CNT, EV_ABS, EV_KEY, EV_SYN, InputEvent, KEY_CNT, SYN_DROPPED, SYN_REPORT};
use alloc::collections::{TryReserveError, VecDeque};

/// Events kept for a reader; when there are more, all are dropped and it is told so.
const MAX_EVENTS: usize = 256;

/// How a device is.
pub struct DeviceState {
    /// A bit for each key that is held.
    pub keys: [u8; KEY_CNT / 8],
    /// Where each axis is.
    pub axes: [i32; ABS_CNT],
}

impl Default for DeviceState {
    fn default() -> Self {
        Self::new()
    }
}

impl DeviceState {
    /// No key is held, all axes are at 0.
    pub const fn new() -> Self {
        DeviceState { keys: [0; KEY_CNT / 8], axes: [0; ABS_CNT] }
    }

    /// Notes what an event says.
    pub fn note(&mut self, kind: u16, code: u16, value: i32) {
        let code = usize::from(code);
        match kind {
            EV_KEY if code < KEY_CNT => {
                let bit = 1 << (code % 8);
                let byte = &mut self.keys[code / 8];
                *byte = if value != 0 { *byte | bit } else { *byte & !bit };
            }
            EV_ABS if code < ABS_CNT => self.axes[code] = value,
            _ => {}
        }
    }
}

/// What a reader has yet to read.
pub struct Backlog {
    events: VecDeque<InputEvent>,
    /// How many of them may be read: what belongs together is read together.
    complete: usize,
}

impl Backlog {
    /// An empty one, with all the memory that it will need.
    pub fn new() -> Result<Self, TryReserveError> {
        let mut events = VecDeque::new();
        events.try_reserve_exact(MAX_EVENTS)?;
        Ok(Backlog { events, complete: 0 })
    }

    /// Adds an event; true if there is more to be read now.
    pub fn push(&mut self, event: InputEvent) -> bool {
        if self.events.len() == MAX_EVENTS {
            self.events.clear();
            self.complete = 0;
            self.events.push_back(InputEvent { kind: EV_SYN, code: SYN_DROPPED, value: 0, ..event });
        }
        self.events.push_back(event);
        let ends = event.kind == EV_SYN && event.code == SYN_REPORT;
        if ends {
            self.complete = self.events.len();
        }
        ends
    }

    /// Takes the next event that may be read.
    pub fn pop(&mut self) -> Option<InputEvent> {
        self.complete = self.complete.checked_sub(1)?;
        self.events.pop_front()
    }

    /// Whether there is something to be read.
    pub fn is_readable(&self) -> bool {
        self.complete > 0
    }

    /// Forgets the events of a type, as their sum has been asked for.
    pub fn forget(&mut self, kind: u16) {
        let (mut at, complete) = (0, self.complete);
        self.events.retain(|event| {
            at += 1;
            let keep = event.kind != kind;
            self.complete -= usize::from(!keep && at <= complete);
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const REPORT: (u16, u16, i32) = (EV_SYN, SYN_REPORT, 0);

    fn push(backlog: &mut Backlog, kind: u16, code: u16, value: i32) -> bool {
        backlog.push(InputEvent { sec: 1, usec: 2, kind, code, value })
    }

    fn read_all(backlog: &mut Backlog) -> Vec<(u16, u16, i32)> {
        core::iter::from_fn(|| backlog.pop()).map(|event| (event.kind, event.code, event.value)).collect()
    }

    #[test]
    fn what_belongs_together_is_read_together() {
        let mut backlog = Backlog::new().expect("memory");
        assert!(!push(&mut backlog, EV_KEY, 30, 1) && !backlog.is_readable() && backlog.pop().is_none());
        assert!(push(&mut backlog, EV_SYN, SYN_REPORT, 0) && backlog.is_readable());
        push(&mut backlog, EV_KEY, 30, 0);
        assert_eq!(read_all(&mut backlog), [(EV_KEY, 30, 1), REPORT]);
        push(&mut backlog, EV_SYN, SYN_REPORT, 0);
        assert_eq!(read_all(&mut backlog), [(EV_KEY, 30, 0), REPORT]);
    }

    #[test]
    fn a_reader_that_is_late_is_told_so() {
        let mut backlog = Backlog::new().expect("memory");
        for number in 0..MAX_EVENTS as i32 {
            push(&mut backlog, EV_ABS, 0, number);
        }
        assert!(!backlog.is_readable());
        push(&mut backlog, EV_ABS, 1, 7);
        push(&mut backlog, EV_SYN, SYN_REPORT, 0);
        assert_eq!(read_all(&mut backlog), [(EV_SYN, SYN_DROPPED, 0), (EV_ABS, 1, 7), REPORT]);
    }

    #[test]
    fn events_of_a_type_are_forgotten() {
        let mut backlog = Backlog::new().expect("memory");
        for (kind, code) in [(EV_KEY, 30), (EV_ABS, 0), (EV_SYN, SYN_REPORT), (EV_KEY, 31), (EV_ABS, 1)] {
            push(&mut backlog, kind, code, 0);
        }
        backlog.forget(EV_KEY);
        assert_eq!(read_all(&mut backlog), [(EV_ABS, 0, 0), REPORT]);
        push(&mut backlog, EV_SYN, SYN_REPORT, 0);
        assert_eq!(read_all(&mut backlog), [(EV_ABS, 1, 0), REPORT]);
    }

    #[test]
    fn keys_and_axes_are_known() {
        let mut state = DeviceState::new();
        for (code, value) in [(30, 1), (31, 1), (30, 2), (31, 0), (0x2ff, 1), (0x300, 1), (u16::MAX, 1)] {
            state.note(EV_KEY, code, value);
        }
        state.note(EV_ABS, 63, -5);
        state.note(EV_ABS, 64, 5);
        assert_eq!((state.keys[3], state.keys[95], state.axes[63]), (1 << 6, 1 << 7, -5));
        assert_eq!(state.keys.iter().map(|byte| byte.count_ones()).sum::<u32>(), 2);
    }
}
