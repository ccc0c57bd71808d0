//! The table of all objects of a kind, by number and by key.
//!
//! A number is a place in the table and, above it, a sequence number that goes up whenever places are used anew; so the
//! number of a removed object is not that of another one soon. Places are handed out in turn, as on Linux.

use super::perm::READ;
use super::{Perm, now};
use crate::process::credentials::Credentials;
use abi::Errno;
use abi::ipc::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, IpcPerm};
use alloc::vec::Vec;
use machine::sync::{Mutex, MutexGuard};

/// Bits of a number that are the place.
const PLACE_BITS: u32 = 15;
/// Places that are used in turn even if there are few objects.
const LEAST_PLACES: usize = 64;

/// All objects of a kind.
pub struct Ids<T> {
    table: Mutex<Table<T>>,
    limit: usize,
}

/// The same while it is locked.
pub struct Table<T> {
    rows: Vec<Option<Row<T>>>,
    in_use: usize,
    turn: Turn,
}

/// An object with its row.
pub struct Row<T> {
    /// Whose it is.
    pub perm: Perm,
    /// When that changed, in seconds since 1970.
    pub changed: i64,
    /// The object.
    pub object: T,
}

/// What is asked for by the calls that find or make an object.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its key, or `IPC_PRIVATE`.
    pub key: i32,
    /// Permissions, `IPC_CREAT`, `IPC_EXCL`.
    pub flags: u32,
    /// Who asks.
    pub caller: &'a Credentials,
}

impl<T> Ids<T> {
    /// An empty table for at most `limit` objects; `name` is its lock's.
    pub const fn new(name: &'static str, limit: usize) -> Self {
        let turn = Turn { last: None, sequence: 0 };
        Ids { table: Mutex::new(name, Table { rows: Vec::new(), in_use: 0, turn }), limit }
    }

    /// Locks it.
    pub fn lock(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock()
    }

    /// The number of the object with that key, or of a new one. `fits` says whether one that is there will do; `make` makes
    /// one, whose number it is given. ENOENT and EEXIST by the flags, EACCES, ENOSPC if there are too many, ENOMEM.
    pub fn get(
        &self,
        request: Request<'_>,
        fits: impl FnOnce(&T) -> Result<(), Errno>,
        make: impl FnOnce(&Table<T>, i32) -> Result<T, Errno>,
    ) -> Result<u64, Errno> {
        let Request { key, flags, caller } = request;
        let mut table = self.lock();
        let found = if key == IPC_PRIVATE { None } else { table.rows().find(|row| row.perm.key == key) };
        if let Some(row) = found {
            if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
                return Err(Errno::EEXIST);
            }
            fits(&row.object)?;
            row.perm.check(caller, flags)?;
            return Ok(row.perm.id as u64);
        }
        if key != IPC_PRIVATE && flags & IPC_CREAT == 0 {
            return Err(Errno::ENOENT);
        }
        let (turn, place) = table.next_place(self.limit)?;
        let id = turn.id(place);
        let object = make(&table, id)?;
        let perm = Perm { id, ..Perm::new(key, flags, caller) };
        table.put(turn, place, Row { perm, changed: now(), object })?;
        Ok(id as u64)
    }
}

/// Which object is to be told of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The one with that number (IPC_STAT).
    Number,
    /// The one at that place (SHM_STAT and its like).
    Place,
    /// The same, whosever it is (SHM_STAT_ANY and its like).
    AnyPlace,
}

impl<T> Ids<T> {
    /// What `show` tells of an object, and, if it was looked for by its place, its number, else 0. EINVAL, EACCES.
    pub fn look<R>(
        &self,
        look: Look,
        id: i32,
        caller: &Credentials,
        show: impl FnOnce(&Row<T>) -> R,
    ) -> Result<(u64, R), Errno> {
        let mut table = self.lock();
        let row = if look == Look::Number { table.find(id)? } else { table.at_place(id)? };
        if look != Look::AnyPlace {
            row.perm.check(caller, READ)?;
        }
        Ok((if look == Look::Number { 0 } else { row.perm.id as u64 }, show(row)))
    }

    /// IPC_SET, if `also` has no objection to the rest that is to be set. EINVAL, EPERM.
    pub fn set(
        &self,
        id: i32,
        caller: &Credentials,
        new: &IpcPerm,
        also: impl FnOnce(&T) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut table = self.lock();
        let row = table.find(id)?;
        row.perm.check_owner(caller)?;
        Perm::check_new(new)?;
        also(&row.object)?;
        row.perm.set(new);
        row.changed = now();
        Ok(())
    }
}

impl<T: Clone> Ids<T> {
    /// The object, if the caller may do with it what is `wanted` and `fits` has no objection. EINVAL, EACCES.
    pub fn open(
        &self,
        id: i32,
        caller: &Credentials,
        wanted: u32,
        fits: impl FnOnce(&T) -> Result<(), Errno>,
    ) -> Result<T, Errno> {
        let mut table = self.lock();
        let row = table.find(id)?;
        fits(&row.object)?;
        row.perm.check(caller, wanted)?;
        Ok(row.object.clone())
    }

    /// Takes an object out of the table, for IPC_RMID. EINVAL, EPERM.
    pub fn take(&self, id: i32, caller: &Credentials) -> Result<T, Errno> {
        let mut table = self.lock();
        table.find(id)?.perm.check_owner(caller)?;
        table.remove(id).map(|row| row.object)
    }
}

impl<T> Table<T> {
    /// The object with that number. EINVAL if there is none.
    pub fn find(&mut self, id: i32) -> Result<&mut Row<T>, Errno> {
        self.at(id).filter(|row| row.perm.id == id).ok_or(Errno::EINVAL)
    }

    /// The object at the place that is part of `id`. EINVAL if there is none.
    pub fn at_place(&mut self, id: i32) -> Result<&mut Row<T>, Errno> {
        self.at(id).ok_or(Errno::EINVAL)
    }

    fn at(&mut self, id: i32) -> Option<&mut Row<T>> {
        let id = usize::try_from(id).ok()?;
        self.rows.get_mut(place_of(id))?.as_mut()
    }

    /// Takes an object out.
    pub fn remove(&mut self, id: i32) -> Result<Row<T>, Errno> {
        self.find(id)?;
        self.in_use -= 1;
        self.rows.get_mut(place_of(id as usize)).and_then(Option::take).ok_or(Errno::EINVAL)
    }

    /// All objects.
    pub fn rows(&self) -> impl Iterator<Item = &Row<T>> {
        self.rows.iter().flatten()
    }

    /// The first object at `place` or behind it, and its place.
    pub fn from(&self, place: usize) -> Option<(usize, &Row<T>)> {
        self.rows.iter().enumerate().skip(place).find_map(|(at, row)| row.as_ref().map(|row| (at, row)))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.in_use
    }

    /// The highest place in use; 0 if none is.
    pub fn highest(&self) -> u64 {
        self.rows.iter().rposition(Option::is_some).unwrap_or(0) as u64
    }

    /// Where the next object goes. ENOSPC if there are `limit`.
    fn next_place(&self, limit: usize) -> Result<(Turn, usize), Errno> {
        if self.in_use >= limit {
            return Err(Errno::ENOSPC);
        }
        let places = limit.min(LEAST_PLACES.max(self.in_use * 3 / 2)).max(self.in_use + 1);
        let first = self.turn.last.map_or(0, |last| last + 1);
        let is_free = |place: &usize| self.rows.get(*place).is_none_or(Option::is_none);
        let place = (first..places).find(is_free).or_else(|| (0..places).find(is_free)).ok_or(Errno::ENOSPC)?;
        Ok((self.turn.with(place), place))
    }

    fn put(&mut self, turn: Turn, place: usize, row: Row<T>) -> Result<(), Errno> {
        if place >= self.rows.len() {
            self.rows.try_reserve(place + 1 - self.rows.len()).map_err(|_| Errno::ENOMEM)?;
            self.rows.resize_with(place + 1, || None);
        }
        self.rows[place] = Some(row);
        self.in_use += 1;
        self.turn = turn;
        Ok(())
    }
}

/// Where the last object went, and the sequence number it got.
#[derive(Clone, Copy)]
struct Turn {
    last: Option<usize>,
    sequence: u16,
}

impl Turn {
    /// After an object has gone to `place`: the sequence goes up when places come round.
    fn with(self, place: usize) -> Self {
        let round = self.last.is_some_and(|last| place <= last);
        Turn { last: Some(place), sequence: if round { self.sequence.wrapping_add(1) } else { self.sequence } }
    }

    fn id(self, place: usize) -> i32 {
        i32::from(self.sequence) << PLACE_BITS | place as i32
    }
}

fn place_of(id: usize) -> usize {
    id & ((1 << PLACE_BITS) - 1)
}

/// The sequence number that is part of `id`.
pub fn sequence_of(id: i32) -> u16 {
    (id >> PLACE_BITS) as u16
}
