//! What each reader of an input device has yet to read, and how the device's keys and axes are.

use abi::Errno;
use abi::input::{ABS_CNT, EV_ABS, EV_KEY, EV_SYN, InputEvent, KEY_CNT, SYN_DROPPED, SYN_REPORT};
use alloc::collections::VecDeque;
use drivers::input::Event;

/// Events kept for a reader; when there are more, all are dropped and it is told so.
const MAX_EVENTS: usize = 256;

/// How a device is.
pub(super) struct DeviceState {
    /// A bit for each key that is held.
    pub keys: [u8; KEY_CNT / 8],
    /// Where each axis is.
    pub axes: [i32; ABS_CNT],
}

impl DeviceState {
    pub const fn new() -> Self {
        DeviceState { keys: [0; KEY_CNT / 8], axes: [0; ABS_CNT] }
    }

    /// Notes what an event says.
    pub fn note(&mut self, event: Event) {
        let code = usize::from(event.code);
        match event.kind {
            EV_KEY if code < KEY_CNT => {
                let bit = 1 << (code % 8);
                let byte = &mut self.keys[code / 8];
                *byte = if event.value != 0 { *byte | bit } else { *byte & !bit };
            }
            EV_ABS if code < ABS_CNT => self.axes[code] = event.value,
            _ => {}
        }
    }
}

/// What a reader has yet to read.
pub(super) struct Backlog {
    events: VecDeque<InputEvent>,
    /// How many of them may be read: what belongs together is read together.
    complete: usize,
}

impl Backlog {
    /// An empty one; ENOMEM.
    pub fn new() -> Result<Self, Errno> {
        let mut events = VecDeque::new();
        events.try_reserve_exact(MAX_EVENTS).map_err(|_| Errno::ENOMEM)?;
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
