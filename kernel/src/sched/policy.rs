//! Scheduling policies, as sched(7) has them: the fair ones, and the two real-time ones with their priorities.

use core::sync::atomic::{AtomicU32, Ordering};

/// Greatest priority of a real-time policy; the least is 1.
pub const PRIORITY_MAX: u8 = 99;

/// How tasks of a policy share the CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Fairly, by virtual time and nice value.
    Normal,
    /// As [`Class::Normal`]; it would rather not interrupt others.
    Batch,
    /// Fairly, with the least weight of all.
    Idle,
    /// Until it sleeps or yields, or one of higher priority comes.
    Fifo(u8),
    /// As [`Class::Fifo`], but by turns with others of its priority.
    RoundRobin(u8),
}

/// A class, and what happens to it in a new task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// How it is scheduled.
    pub class: Class,
    /// A task that it makes is [`Class::Normal`] (SCHED_RESET_ON_FORK).
    pub reset_on_fork: bool,
}

impl Class {
    /// Priority of a real-time class.
    pub fn priority(self) -> Option<u8> {
        match self {
            Class::Fifo(priority) | Class::RoundRobin(priority) => Some(priority),
            Class::Normal | Class::Batch | Class::Idle => None,
        }
    }

    /// Its number as a policy of Linux (sched_setscheduler(2)).
    pub fn number(self) -> u32 {
        match self {
            Class::Normal => 0,
            Class::Fifo(_) => 1,
            Class::RoundRobin(_) => 2,
            Class::Batch => 3,
            Class::Idle => 5,
        }
    }
}

impl Policy {
    /// What tasks begin with.
    pub const NORMAL: Policy = Policy { class: Class::Normal, reset_on_fork: false };
}

/// A policy that others read while it is changed, and a priority that is lent: class, priority, whether it is reset on a
/// fork, and what is lent (0 for nothing), in bytes of a word.
pub(super) struct AtomicPolicy(AtomicU32);

const LENT: u32 = 0xff00_0000;

impl AtomicPolicy {
    pub const fn new() -> Self {
        AtomicPolicy(AtomicU32::new(0))
    }

    pub fn store(&self, policy: Policy) {
        let class: u32 = match policy.class {
            Class::Normal => 0,
            Class::Batch => 1,
            Class::Idle => 2,
            Class::Fifo(priority) => 3 | u32::from(priority) << 8,
            Class::RoundRobin(priority) => 4 | u32::from(priority) << 8,
        };
        self.update(LENT, class | u32::from(policy.reset_on_fork) << 16);
    }

    /// Lends a real-time priority, by which the task is scheduled if its own is less; 0 takes it back. Whether that is new.
    pub fn lend(&self, priority: u8) -> bool {
        let lent = u32::from(priority) << LENT.trailing_zeros();
        self.update(!LENT, lent) & LENT != lent
    }

    /// What is lent.
    pub fn lent(&self) -> u8 {
        (self.0.load(Ordering::Relaxed) >> LENT.trailing_zeros()) as u8
    }

    /// The class by which it is scheduled.
    pub fn effective(&self) -> Class {
        let own = self.load().class;
        match self.lent() {
            lent if lent > own.priority().unwrap_or(0) => Class::Fifo(lent),
            _ => own,
        }
    }

    /// Keeps the bits of `kept` and sets `new`; what it was.
    fn update(&self, kept: u32, new: u32) -> u32 {
        let (Ok(old) | Err(old)) =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(old & kept | new));
        old
    }

    pub fn load(&self) -> Policy {
        let [class, priority, reset, _] = self.0.load(Ordering::Relaxed).to_le_bytes();
        let class = match class {
            0 => Class::Normal,
            1 => Class::Batch,
            2 => Class::Idle,
            3 => Class::Fifo(priority),
            _ => Class::RoundRobin(priority),
        };
        Policy { class, reset_on_fork: reset != 0 }
    }

    /// Whether it is scheduled as a real-time one.
    pub fn is_real_time(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        word & 0xff >= 3 || word & LENT != 0
    }
}
