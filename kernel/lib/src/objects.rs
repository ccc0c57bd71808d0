//! Counts of live objects by type, to find what is leaked: an object that is to be counted has a [`Counted`] among its
//! fields. Each costs an atomic addition when it is made and when it goes.

use core::sync::atomic::{AtomicUsize, Ordering};

/// The types that are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is the type of its name")]
pub enum Kind {
    Task,
    Process,
    Thread,
    AddressSpace,
    File,
    Dentry,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 6] = [Kind::Task, Kind::Process, Kind::Thread, Kind::AddressSpace, Kind::File, Kind::Dentry];
}

/// How many of a type there are, and were ever made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// Alive now.
    pub live: usize,
    /// Made since boot.
    pub made: usize,
}

struct Counter {
    live: AtomicUsize,
    made: AtomicUsize,
}

static COUNTERS: [Counter; Kind::ALL.len()] =
    [const { Counter { live: AtomicUsize::new(0), made: AtomicUsize::new(0) } }; Kind::ALL.len()];

/// The count of a type, at this moment.
pub fn count(kind: Kind) -> Count {
    let counter = &COUNTERS[kind as usize];
    Count { live: counter.live.load(Ordering::Relaxed), made: counter.made.load(Ordering::Relaxed) }
}

/// Counts the object that it is a field of, as long as that lives.
#[derive(Debug)]
pub struct Counted(Kind);

impl Counted {
    /// One more of `kind`.
    pub fn new(kind: Kind) -> Self {
        let counter = &COUNTERS[kind as usize];
        counter.live.fetch_add(1, Ordering::Relaxed);
        counter.made.fetch_add(1, Ordering::Relaxed);
        Counted(kind)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        COUNTERS[self.0 as usize].live.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_count_while_they_live() {
        let before = count(Kind::File);
        let first = Counted::new(Kind::File);
        let second = Counted::new(Kind::File);
        assert_eq!(count(Kind::File), Count { live: before.live + 2, made: before.made + 2 });
        drop(first);
        assert_eq!(count(Kind::File), Count { live: before.live + 1, made: before.made + 2 });
        drop(second);
        assert_eq!(count(Kind::File).live, before.live);
    }
}
