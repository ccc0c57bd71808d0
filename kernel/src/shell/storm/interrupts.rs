//! Interrupts that came during a storm, against the requests they were for.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use machine::cpu::{self, CpuId};
use machine::irq::{self, IrqCount};

/// Counts of all vectors.
pub struct Interrupts {
    rows: Vec<IrqCount>,
    non_maskable: u32,
}

impl Interrupts {
    /// As they are now.
    pub fn now() -> Self {
        Interrupts { rows: irq::counts(), non_maskable: irq::nmi_count() }
    }

    /// What has come since.
    pub fn since(&self) -> Interrupts {
        let mut now = Interrupts::now();
        for row in &mut now.rows {
            if let Some(before) = self.rows.iter().find(|before| before.vector == row.vector) {
                for (count, before) in row.counts.iter_mut().zip(&before.counts) {
                    *count = count.wrapping_sub(*before);
                }
            }
        }
        now.non_maskable = now.non_maskable.wrapping_sub(self.non_maskable);
        now
    }

    /// What came on these vectors.
    pub fn of(&self, vectors: &[u8]) -> Came {
        let mut came = Came { counts: Vec::new(), shared: false };
        for row in self.rows.iter().filter(|row| vectors.contains(&row.vector)) {
            let counts = cpu::online().zip(row.counts.iter().copied()).filter(|&(_, count)| count > 0);
            came.counts.extend(counts.map(|(cpu, count)| (row.vector, cpu, count)));
            came.shared |= row.shared;
        }
        came
    }

    /// Interrupts that nothing has asked for.
    pub fn unexpected(&self) -> Vec<String> {
        let mut found = Vec::new();
        for row in self.rows.iter().filter(|row| row.name == "spurious" || row.name == "local APIC error") {
            let count: u32 = row.counts.iter().sum();
            if count > 0 {
                found.push(format!("{count} interrupts on vector {:#04x}: {}", row.vector, row.name));
            }
        }
        if self.non_maskable > 0 {
            found.push(format!("{} non-maskable interrupts", self.non_maskable));
        }
        found
    }
}

/// Interrupts of a device.
pub struct Came {
    /// Of each vector on which CPUs how many.
    counts: Vec<(u8, CpuId, u32)>,
    /// They may be another's.
    shared: bool,
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupts:")?;
        match self.counts.is_empty() {
            true => write!(f, " none"),
            false => self.counts.iter().try_for_each(|(_, cpu, count)| write!(f, " {count} on CPU {cpu}")),
        }
    }
}

/// Requests of a device.
pub struct Source<'a> {
    pub name: &'a str,
    pub sent: u64,
    pub answered: u64,
}

impl Source<'_> {
    /// What does not fit together. One interrupt may tell of several answers, but none comes without any.
    pub fn check(&self, came: &Came, problems: &mut Vec<String>) {
        let Source { name, sent, answered } = self;
        if sent != answered {
            problems.push(format!("{name}: {sent} requests sent, {answered} answered"));
        }
        let total: u64 = came.counts.iter().map(|&(.., count)| u64::from(count)).sum();
        if total > *answered && !came.shared || total == 0 && *answered > 0 {
            problems.push(format!("{name}: {total} interrupts for {answered} answers"));
        }
        // A disk may have a queue for each CPU, but each has a vector of its own.
        if came.counts.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            problems.push(format!("{name}: interrupts of one vector on several CPUs"));
        }
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Source { name, sent, answered } = self;
        write!(f, "{name}: {sent} requests sent, {answered} answered")
    }
}
