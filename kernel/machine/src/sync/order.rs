//! The order in which locks were ever taken, for [`super::lockdep`]; debug builds only.
//!
//! Locks of one name are a class. Taking B while holding A makes the edge A → B; before an edge is added, a way from B
//! back to A is looked for: together they are a cycle, which can deadlock although it has not yet. Each edge remembers
//! where both locks were taken when it was first seen, so that the report shows both chains.
//!
//! Classes and edges are only ever added. Adding is behind [`ADDING`], a bare flag with interrupts off, since the
//! locks of `sync` are what is being watched; reading takes none.

use super::guard::IrqGuard;
use super::held::Held;
use core::fmt;
use core::panic::Location;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU16, AtomicU64, AtomicUsize, Ordering};

const MAX_CLASSES: usize = 256;
const MAX_EDGES: usize = 2048;
/// Class of the locks that came when all were given away: they are not watched.
const NO_CLASS: usize = MAX_CLASSES;

type Place = &'static Location<'static>;

/// A lock's class, found at its first use: the number plus one, 0 before.
pub(crate) struct ClassOf(AtomicU16);

struct Class {
    name: AtomicPtr<u8>,
    name_len: AtomicUsize,
    /// Where it was first taken in an interrupt, and where with interrupts on.
    in_interrupt: AtomicPtr<Location<'static>>,
    interrupts_on: AtomicPtr<Location<'static>>,
}

struct Edge {
    ends: AtomicU64,
    from_place: AtomicPtr<Location<'static>>,
    to_place: AtomicPtr<Location<'static>>,
}

static ADDING: AtomicBool = AtomicBool::new(false);
static CLASS_COUNT: AtomicUsize = AtomicUsize::new(0);
static CLASSES: [Class; MAX_CLASSES] = [const {
    Class {
        name: AtomicPtr::new(null_mut()),
        name_len: AtomicUsize::new(0),
        in_interrupt: AtomicPtr::new(null_mut()),
        interrupts_on: AtomicPtr::new(null_mut()),
    }
}; MAX_CLASSES];
/// Bit `to` of row `from`: there is that edge.
static FOLLOWS: [[AtomicU64; MAX_CLASSES / 64]; MAX_CLASSES] =
    [const { [const { AtomicU64::new(0) }; MAX_CLASSES / 64] }; MAX_CLASSES];
/// Scratch of [`reach`], here since kernel stacks are small: by class, the one before it on the way; and the classes
/// reached so far.
static CAME_FROM: [AtomicU16; MAX_CLASSES] = [const { AtomicU16::new(0) }; MAX_CLASSES];
static REACHED: [AtomicU16; MAX_CLASSES] = [const { AtomicU16::new(0) }; MAX_CLASSES];
static EDGE_COUNT: AtomicUsize = AtomicUsize::new(0);
static EDGES: [Edge; MAX_EDGES] = [const {
    Edge { ends: AtomicU64::new(0), from_place: AtomicPtr::new(null_mut()), to_place: AtomicPtr::new(null_mut()) }
}; MAX_EDGES];

impl ClassOf {
    pub(super) const fn new() -> Self {
        ClassOf(AtomicU16::new(0))
    }

    /// The class of the lock called `name`.
    pub(super) fn get(&self, name: &'static str) -> usize {
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let class = class_called(name);
                self.0.store(class as u16 + 1, Ordering::Relaxed);
                class
            }
            number => usize::from(number) - 1,
        }
    }
}

/// Notes that the class is taken in an interrupt. Where it was taken with interrupts on, if it ever was.
pub(super) fn note_in_interrupt(class: usize, place: Place) -> Option<Place> {
    let class = CLASSES.get(class)?;
    note(&class.in_interrupt, place);
    read(&class.interrupts_on)
}

/// Notes that the class is taken with interrupts on. Where it was taken in an interrupt, if it ever was.
pub(super) fn note_interrupts_on(class: usize, place: Place) -> Option<Place> {
    let class = CLASSES.get(class)?;
    note(&class.interrupts_on, place);
    read(&class.in_interrupt)
}

/// Adds the edge from a held lock to `taken`; the cycle that this would close, if any.
pub(super) fn add(held: &Held, taken: &Held) -> Option<Cycle> {
    if held.class == taken.class || held.class == NO_CLASS || taken.class == NO_CLASS || has(held.class, taken.class) {
        return None;
    }
    adding(|| {
        if reach(taken.class, held.class) {
            return Some(Cycle { held: *held, taken: *taken });
        }
        let index = EDGE_COUNT.load(Ordering::Relaxed);
        if let Some(edge) = EDGES.get(index) {
            edge.ends.store((held.class << 32 | taken.class) as u64, Ordering::Relaxed);
            edge.from_place.store((&raw const *held.place).cast_mut(), Ordering::Relaxed);
            edge.to_place.store((&raw const *taken.place).cast_mut(), Ordering::Relaxed);
            EDGE_COUNT.store(index + 1, Ordering::Release);
        }
        FOLLOWS[held.class][taken.class / 64].fetch_or(1 << (taken.class % 64), Ordering::Relaxed);
        None
    })
}

/// A way back that a new edge would close: it is in [`CAME_FROM`], as long as no other edge is added, for which the
/// report's first step, stopping the other CPUs, cares. Shown as the two chains.
pub(super) struct Cycle {
    held: Held,
    taken: Held,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, taken) = (&self.held, &self.taken);
        writeln!(f, "lock order: a cycle of {:?} and {:?}, which can deadlock", held.name, taken.name)?;
        writeln!(f, "  now: {:?} taken at {}", held.name, held.place)?;
        writeln!(f, "       then {:?} at {}", taken.name, taken.place)?;
        write!(f, "  before:")?;
        // From the end of the way to its beginning, so the last edge comes first.
        let mut to = held.class;
        while to != taken.class {
            let from = usize::from(CAME_FROM[to].load(Ordering::Relaxed));
            if from == NO_CLASS {
                break;
            }
            write!(f, " {:?}", name_of(from))?;
            match edge(from, to) {
                Some((from_place, to_place)) => {
                    write!(f, " taken at {from_place}\n       then {:?} at {to_place}", name_of(to))?;
                }
                None => write!(f, " then {:?}", name_of(to))?,
            }
            to = from;
            if to != taken.class {
                write!(f, "\n  and:   ")?;
            }
        }
        Ok(())
    }
}

/// Marks in [`CAME_FROM`] the way from one class to another; false if there is none. Under [`ADDING`].
fn reach(from: usize, to: usize) -> bool {
    CAME_FROM.iter().for_each(|before| before.store(NO_CLASS as u16, Ordering::Relaxed));
    REACHED[0].store(from as u16, Ordering::Relaxed);
    let (mut done, mut reached) = (0, 1);
    while done < reached {
        let here = usize::from(REACHED[done].load(Ordering::Relaxed));
        done += 1;
        if here == to {
            return true;
        }
        for next in (0..CLASS_COUNT.load(Ordering::Relaxed)).filter(|&next| next != from && has(here, next)) {
            if usize::from(CAME_FROM[next].load(Ordering::Relaxed)) == NO_CLASS {
                CAME_FROM[next].store(here as u16, Ordering::Relaxed);
                REACHED[reached].store(next as u16, Ordering::Relaxed);
                reached += 1;
            }
        }
    }
    false
}

fn has(from: usize, to: usize) -> bool {
    FOLLOWS[from][to / 64].load(Ordering::Relaxed) >> (to % 64) & 1 != 0
}

/// Where the two locks of an edge were taken when it was first seen.
fn edge(from: usize, to: usize) -> Option<(Place, Place)> {
    let count = EDGE_COUNT.load(Ordering::Acquire);
    let found = EDGES[..count].iter().find(|edge| edge.ends.load(Ordering::Relaxed) == (from << 32 | to) as u64)?;
    read(&found.from_place).zip(read(&found.to_place))
}

fn class_called(name: &'static str) -> usize {
    adding(|| {
        let count = CLASS_COUNT.load(Ordering::Relaxed);
        if let Some(class) = (0..count).find(|&class| name_of(class) == name) {
            return class;
        }
        let Some(class) = CLASSES.get(count) else { return NO_CLASS };
        class.name_len.store(name.len(), Ordering::Relaxed);
        class.name.store(name.as_ptr().cast_mut(), Ordering::Release);
        CLASS_COUNT.store(count + 1, Ordering::Release);
        count
    })
}

fn name_of(class: usize) -> &'static str {
    let Some(class) = CLASSES.get(class) else { return "?" };
    let name = class.name.load(Ordering::Acquire);
    if name.is_null() {
        return "?";
    }
    // SAFETY: (1) pointer and length came from one `&'static str`, the length stored first.
    unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(name, class.name_len.load(Ordering::Relaxed))) }
}

fn adding<R>(f: impl FnOnce() -> R) -> R {
    let _guard = IrqGuard::quiet();
    while ADDING.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        core::hint::spin_loop();
    }
    let result = f();
    ADDING.store(false, Ordering::Release);
    result
}

fn note(slot: &AtomicPtr<Location<'static>>, place: Place) {
    if slot.load(Ordering::Relaxed).is_null() {
        slot.store((&raw const *place).cast_mut(), Ordering::Relaxed);
    }
}

fn read(slot: &AtomicPtr<Location<'static>>) -> Option<Place> {
    // SAFETY: (1) null, or from a `&'static Location`.
    unsafe { slot.load(Ordering::Relaxed).cast_const().as_ref() }
}
