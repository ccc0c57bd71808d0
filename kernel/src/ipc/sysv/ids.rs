//! The table of all objects of a kind, by number and by key.
//!
//! A number is a place in the table and, above it, a sequence number that goes up whenever places are used anew; so the
//! number of a removed object is not that of another one soon. Places are handed out in turn, as on Linux.
//!
//! The table knows of an object whose it is and how large; what it is, each kind says ([`Row::of_kind`]). That keeps the code
//! from being there three times.

use super::now;
use super::perm::{PLACE_BITS, Perm, READ};
use crate::process::credentials::Credentials;
use abi::Errno;
use abi::ipc::{IPC_CREAT, IPC_EXCL, IPC_PRIVATE, IPC_STAT, IpcPerm};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use machine::sync::{Mutex, MutexGuard};

/// Places that are used in turn even if there are few objects.
const LEAST_PLACES: usize = 64;

/// An object of some kind.
pub type Object = Arc<dyn Any + Send + Sync>;

/// All objects of a kind.
pub struct Ids {
    table: Mutex<Table>,
    limit: usize,
}

/// The same while it is locked.
pub struct Table {
    rows: Vec<Option<Row>>,
    in_use: usize,
    turn: Turn,
}

/// An object with what the table knows of it.
#[derive(Clone)]
pub struct Row {
    /// Whose it is.
    pub perm: Perm,
    /// When that changed, in seconds since 1970.
    pub changed: i64,
    /// Its size, in what the kind has to be asked for.
    pub size: u64,
    /// The object.
    pub object: Object,
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

impl Look {
    /// What `command` asks for; `by_place` is the kind's command that looks at places.
    pub fn of(command: i32, by_place: i32) -> Self {
        match command {
            IPC_STAT => Look::Number,
            _ if command == by_place => Look::Place,
            _ => Look::AnyPlace,
        }
    }
}

impl Row {
    /// The object, of the kind that its table has.
    pub fn of_kind<T: Any + Send + Sync>(&self) -> Result<Arc<T>, Errno> {
        of_kind(self.object.clone())
    }
}

/// The object, of the kind that its table has.
pub fn of_kind<T: Any + Send + Sync>(object: Object) -> Result<Arc<T>, Errno> {
    object.downcast().map_err(|_| Errno::EINVAL)
}

impl Ids {
    /// An empty table for at most `limit` objects; `name` is its lock's.
    pub const fn new(name: &'static str, limit: usize) -> Self {
        let turn = Turn { last: None, sequence: 0 };
        Ids { table: Mutex::new(name, Table { rows: Vec::new(), in_use: 0, turn }), limit }
    }

    /// Locks it.
    pub fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// The number of the object with that key, which has to have `size`, or of a new one that `make` makes; it is given the
    /// table and the number. ENOENT and EEXIST by the flags, EINVAL for a smaller one, EACCES, ENOSPC if there are too many,
    /// ENOMEM.
    pub fn get(
        &self,
        request: Request<'_>,
        size: u64,
        make: &dyn Fn(&Table, i32) -> Result<Object, Errno>,
    ) -> Result<u64, Errno> {
        let Request { key, flags, caller } = request;
        let mut table = self.lock();
        let found = if key == IPC_PRIVATE { None } else { table.rows().find(|row| row.perm.key == key) };
        if let Some(row) = found {
            if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
                return Err(Errno::EEXIST);
            }
            if row.size < size {
                return Err(Errno::EINVAL);
            }
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
        table.put(turn, place, Row { perm, changed: now(), size, object })?;
        Ok(id as u64)
    }

    /// An object to tell of, and, if it was looked for by its place, its number, else 0. EINVAL, EACCES.
    #[inline(never)]
    pub fn look(&self, look: Look, id: i32, caller: &Credentials) -> Result<(u64, Row), Errno> {
        let mut table = self.lock();
        let row = if look == Look::Number { table.find(id)? } else { table.at(id).ok_or(Errno::EINVAL)? };
        if look != Look::AnyPlace {
            row.perm.check(caller, READ)?;
        }
        Ok((if look == Look::Number { 0 } else { row.perm.id as u64 }, row.clone()))
    }

    /// The first object at `place` or behind it, and the next place.
    #[inline(never)]
    pub fn next(&self, place: usize) -> Option<(usize, Row)> {
        let table = self.lock();
        let found = table.rows.iter().enumerate().skip(place);
        found.filter_map(|(at, row)| Some((at + 1, row.as_ref()?.clone()))).next()
    }

    /// IPC_SET, if there is no `objection` to the rest that is to be set; the object. EINVAL, EPERM.
    #[inline(never)]
    pub fn set(&self, id: i32, caller: &Credentials, new: &IpcPerm, objection: Option<Errno>) -> Result<Object, Errno> {
        let mut table = self.lock();
        let row = table.find(id)?;
        row.perm.check_owner(caller)?;
        objection.map_or(Ok(()), Err)?;
        row.perm.set(new)?;
        row.changed = now();
        Ok(row.object.clone())
    }

    /// What it holds has been set.
    #[inline(never)]
    pub fn changed(&self, id: i32) {
        if let Ok(row) = self.lock().find(id) {
            row.changed = now();
        }
    }

    /// The object, if it has at least the size `least`, else `too_small`, and the caller may do with it what is `wanted`.
    /// EINVAL, EACCES.
    #[inline(never)]
    pub fn open(
        &self,
        id: i32,
        caller: &Credentials,
        wanted: u32,
        (least, too_small): (u64, Errno),
    ) -> Result<Object, Errno> {
        let mut table = self.lock();
        let row = table.find(id)?;
        if row.size < least {
            return Err(too_small);
        }
        row.perm.check(caller, wanted)?;
        Ok(row.object.clone())
    }

    /// Takes an object out of the table, for IPC_RMID. EINVAL, EPERM.
    #[inline(never)]
    pub fn take(&self, id: i32, caller: &Credentials) -> Result<Object, Errno> {
        let mut table = self.lock();
        table.find(id)?.perm.check_owner(caller)?;
        table.remove(id)
    }

    /// The highest place in use, or 0, how many objects there are, and their sizes together.
    pub fn figures(&self) -> (u64, usize, u64) {
        let table = self.lock();
        (table.rows.len().saturating_sub(1) as u64, table.in_use, table.sizes())
    }
}

impl Table {
    /// The object with that number. EINVAL if there is none.
    #[inline(never)]
    pub fn find(&mut self, id: i32) -> Result<&mut Row, Errno> {
        self.at(id).filter(|row| row.perm.id == id).ok_or(Errno::EINVAL)
    }

    fn at(&mut self, id: i32) -> Option<&mut Row> {
        self.rows.get_mut(place_of(id)?)?.as_mut()
    }

    /// Takes an object out. EINVAL if there is none.
    #[inline(never)]
    pub fn remove(&mut self, id: i32) -> Result<Object, Errno> {
        self.find(id)?;
        let row = place_of(id).and_then(|place| self.rows.get_mut(place)?.take()).ok_or(Errno::EINVAL)?;
        self.in_use -= 1;
        while let Some(None) = self.rows.last() {
            self.rows.pop();
        }
        if self.rows.len() < self.rows.capacity() / 4 {
            self.rows.shrink_to(self.rows.len() * 2);
        }
        Ok(row.object)
    }

    /// All objects.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().flatten()
    }

    /// The sizes of all together.
    #[inline(never)]
    pub fn sizes(&self) -> u64 {
        self.rows().map(|row| row.size).fold(0, u64::saturating_add)
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

    fn put(&mut self, turn: Turn, place: usize, row: Row) -> Result<(), Errno> {
        if place >= self.rows.len() {
            self.rows.try_reserve(place + 1 - self.rows.len()).map_err(|_| Errno::ENOMEM)?;
            self.rows.resize(place + 1, None);
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

fn place_of(id: i32) -> Option<usize> {
    usize::try_from(id).ok().map(|id| id & ((1 << PLACE_BITS) - 1))
}
