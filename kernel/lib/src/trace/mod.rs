//! Records of the event trace: what happened when, on which CPU, to which task. Each is 32 bytes.
//!
//! Four 64-bit words: nanoseconds since boot; kind (8 bits), a small number (24 bits), task (32 bits); and two that
//! the kind gives a meaning. The kernel writes them into rings (`machine::trace`); [`file`] is the form in which they are
//! saved, [`chrome`] makes a timeline of it for a browser. `tools/tracing` uses the same code on the host.
//!
//! The task of a record is the one that ran on the CPU, but for the events that tell of a task's life, which are about
//! that task. Numbers of tasks are cut to 32 bits.

pub mod chrome;
pub mod file;
#[cfg(test)]
mod tests;
mod text;

use core::fmt;

/// A record as it is kept.
pub type Words = [u64; 4];
/// Bytes of a record.
pub const RECORD_LEN: usize = size_of::<Words>();

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// When, in ns since boot.
    pub ns: u64,
    /// The task; see the top of the file.
    pub task: u32,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The CPU goes on with another task.
    Switch {
        /// Which.
        to: u32,
        /// What the task before does now.
        left: Left,
        /// What it waits for, if it does; fourteen bytes of that.
        waits_for: Label,
    },
    /// A task that waited became runnable.
    Wake {
        /// Which.
        task: u32,
    },
    /// A system call begins.
    Call {
        /// Its number.
        number: u32,
        /// Its first two arguments.
        arguments: [u64; 2],
    },
    /// It is done.
    Return {
        /// Its number.
        number: u32,
        /// What the program gets.
        result: u64,
    },
    /// An interrupt is being served.
    Interrupt {
        /// Its vector.
        vector: u8,
    },
    /// It has been.
    InterruptEnd {
        /// Its vector.
        vector: u8,
    },
    /// A page is not there, or not with such rights.
    Fault {
        /// Address of the access.
        address: u64,
        /// What it wanted.
        access: Access,
    },
    /// The fault has been looked at.
    FaultEnd {
        /// Address of the access.
        address: u64,
        /// The access can go on.
        resolved: bool,
    },
    /// A request goes to a disk.
    Submit {
        /// Number of the request.
        id: u32,
        /// What it is for.
        transfer: Transfer,
        /// First sector.
        sector: u64,
        /// Sectors, of which a record keeps up to 2^22 - 1.
        count: u32,
        /// Name of the disk; four bytes of it.
        disk: Label,
    },
    /// The disk is done with it.
    Complete {
        /// Number of the request.
        id: u32,
        /// It has done it.
        succeeded: bool,
    },
    /// A task begins; or, outside of the course of events, this is what it is called.
    Begin(Life),
    /// The process has another program.
    Exec(Life),
    /// A task ends.
    End(Life),
    /// What an interrupt is for; outside of the course of events.
    InterruptName {
        /// Its vector.
        vector: u8,
        /// Its name.
        name: Label,
    },
}

/// A task by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    /// Its process; 0 for a task of the kernel.
    pub pid: u32,
    /// What it is called.
    pub name: Label,
}

/// Why a task left a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// It would go on, but another is first.
    Runnable,
    /// It waits for something.
    Waiting,
    /// It has ended.
    Dead,
}

/// What an access to memory wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Access {
    Read,
    Write,
    Execute,
}

/// What a request to a disk is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Transfer {
    Read,
    Write,
    Flush,
}

/// Up to sixteen bytes of a name, zeros behind them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Label([u8; 16]);

impl Label {
    /// The name, cut at a character that does not fit.
    pub fn new(name: &str) -> Label {
        let mut bytes = [0; 16];
        let len = name.floor_char_boundary(bytes.len());
        bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
        Label(bytes)
    }

    /// The name; as much of it as is text.
    pub fn text(&self) -> &str {
        let len = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        match core::str::from_utf8(&self.0[..len]) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&self.0[..error.valid_up_to()]).unwrap_or_default(),
        }
    }

    /// Sixteen bytes as two words.
    pub fn words(self) -> [u64; 2] {
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|index| self.0[at + index]));
        [word(0), word(8)]
    }

    /// The name in such words.
    pub fn from_words(words: [u64; 2]) -> Label {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&words[0].to_le_bytes());
        bytes[8..].copy_from_slice(&words[1].to_le_bytes());
        Label(bytes)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text(), f)
    }
}

const SWITCH: u8 = 1;
const WAKE: u8 = 2;
const CALL: u8 = 3;
const RETURN: u8 = 4;
const INTERRUPT: u8 = 5;
const INTERRUPT_END: u8 = 6;
const FAULT: u8 = 7;
const FAULT_END: u8 = 8;
const SUBMIT: u8 = 9;
const COMPLETE: u8 = 10;
const BEGIN: u8 = 11;
const EXEC: u8 = 12;
const END: u8 = 13;
const INTERRUPT_NAME: u8 = 14;
/// Most sectors of a request that a record tells of.
const COUNT_MAX: u32 = (1 << 22) - 1;

impl Record {
    /// The words that hold it.
    pub fn encode(&self) -> Words {
        let life = |kind, life: Life| (kind, life.pid, life.name.words());
        let (kind, small, [a, b]) = match self.event {
            Event::Switch { to, left, waits_for } => {
                let [first, second] = waits_for.words();
                // Eight bytes in the last word, four beside the task, two beside the state.
                let small = left as u32 | (second >> 32 << 8) as u32;
                (SWITCH, small, [u64::from(to) | second << 32, first])
            }
            Event::Wake { task } => (WAKE, 0, [task.into(), 0]),
            Event::Call { number, arguments } => (CALL, number, arguments),
            Event::Return { number, result } => (RETURN, number, [result, 0]),
            Event::Interrupt { vector } => (INTERRUPT, vector.into(), [0; 2]),
            Event::InterruptEnd { vector } => (INTERRUPT_END, vector.into(), [0; 2]),
            Event::Fault { address, access } => (FAULT, access as u32, [address, 0]),
            Event::FaultEnd { address, resolved } => (FAULT_END, resolved.into(), [address, 0]),
            Event::Submit { id, transfer, sector, count, disk } => {
                let small = transfer as u32 | count.min(COUNT_MAX) << 2;
                (SUBMIT, small, [sector, u64::from(id) | disk.words()[0] << 32])
            }
            Event::Complete { id, succeeded } => (COMPLETE, succeeded.into(), [id.into(), 0]),
            Event::Begin(task) => life(BEGIN, task),
            Event::Exec(task) => life(EXEC, task),
            Event::End(task) => life(END, task),
            Event::InterruptName { vector, name } => (INTERRUPT_NAME, vector.into(), name.words()),
        };
        [self.ns, u64::from(kind) | u64::from(small & 0xff_ffff) << 8 | u64::from(self.task) << 32, a, b]
    }

    /// The record in the words; None if they are none.
    pub fn decode([ns, what, a, b]: Words) -> Option<Record> {
        let small = (what >> 8) as u32 & 0xff_ffff;
        let vector = || u8::try_from(small).ok();
        let life = Life { pid: small, name: Label::from_words([a, b]) };
        let event = match what as u8 {
            SWITCH => Event::Switch {
                to: a as u32,
                left: *[Left::Runnable, Left::Waiting, Left::Dead].get(small as usize & 0xff)?,
                waits_for: Label::from_words([b, a >> 32 | u64::from(small >> 8) << 32]),
            },
            WAKE => Event::Wake { task: a as u32 },
            CALL => Event::Call { number: small, arguments: [a, b] },
            RETURN => Event::Return { number: small, result: a },
            INTERRUPT => Event::Interrupt { vector: vector()? },
            INTERRUPT_END => Event::InterruptEnd { vector: vector()? },
            FAULT => Event::Fault {
                address: a,
                access: *[Access::Read, Access::Write, Access::Execute].get(small as usize)?,
            },
            FAULT_END => Event::FaultEnd { address: a, resolved: small != 0 },
            SUBMIT => Event::Submit {
                id: b as u32,
                transfer: *[Transfer::Read, Transfer::Write, Transfer::Flush].get(small as usize & 3)?,
                sector: a,
                count: small >> 2,
                disk: Label::from_words([b >> 32, 0]),
            },
            COMPLETE => Event::Complete { id: a as u32, succeeded: small != 0 },
            BEGIN => Event::Begin(life),
            EXEC => Event::Exec(life),
            END => Event::End(life),
            INTERRUPT_NAME => Event::InterruptName { vector: vector()?, name: Label::from_words([a, b]) },
            _ => return None,
        };
        Some(Record { ns, task: (what >> 32) as u32, event })
    }
}

/// Calls `visit` with the CPU and each record of several CPUs in the order of time: `counts[n]` records of CPU n, of
/// which `get(n, index)` gives one. Stops when `visit` says so by false.
pub fn merge(
    counts: &[usize],
    get: &dyn Fn(usize, usize) -> Option<Record>,
    visit: &mut dyn FnMut(usize, &Record) -> bool,
) {
    let mut next: alloc::vec::Vec<(usize, Option<Record>)> =
        (0..counts.len()).map(|cpu| (0, if counts[cpu] > 0 { get(cpu, 0) } else { None })).collect();
    loop {
        let mut first: Option<(usize, Record)> = None;
        for (cpu, &(_, record)) in next.iter().enumerate() {
            if let Some(record) = record
                && first.is_none_or(|(_, other)| record.ns < other.ns)
            {
                first = Some((cpu, record));
            }
        }
        let Some((cpu, record)) = first else { return };
        if !visit(cpu, &record) {
            return;
        }
        let index = next[cpu].0 + 1;
        next[cpu] = (index, if index < counts[cpu] { get(cpu, index) } else { None });
    }
}
