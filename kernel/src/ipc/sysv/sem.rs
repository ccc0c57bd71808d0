//! Sets of semaphores (semget(2), semop(2), semctl(2)).
//!
//! The operations of one call are done together or not at all. A call that has to wait is queued, and whoever changes a value
//! does for the queue what can be done then ([`State::settle`]): so a value that lets a waiter go does so even if it
//! changes again at once, and those who wait go in order, those that only wait for zeros first.
//!
//! What a process has asked to have undone stands in the set, by the process's number, which nobody else has before the
//! process is gone; threads have it in common, other processes never.

use super::caller_pid;
use super::charge::Charge;
use super::ids::{Ids, Look, Request, Row, of_kind};
use super::now;
use super::perm::{READ, WRITE};
use crate::process::credentials::Credentials;
use crate::process::{self, Process};
use abi::Errno;
use abi::ipc::{IPC_NOWAIT, IpcPerm, SEM_UNDO, Sembuf, SemidDs};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use machine::sync::{Mutex, Once, WaitEnd, WaitQueue};
use machine::time::Instant;

/// Most sets.
pub const MOST: usize = 32000;
/// Most semaphores of a set.
pub const MOST_IN_SET: usize = 32000;
/// Most semaphores.
pub const MOST_IN_ALL: u64 = 1_024_000_000;
/// Most operations of a call.
pub const MOST_OPERATIONS: usize = 500;
/// The highest value, and the most that is undone.
pub const HIGHEST: i32 = 32767;

/// All sets.
static SETS: Ids = Ids::new("semaphore sets", MOST);

/// A set.
pub struct Set {
    len: usize,
    state: Mutex<State>,
    _charge: Charge,
}

struct State {
    removed: bool,
    values: Vec<Semaphore>,
    /// When it was last operated on, in seconds since 1970.
    operated: i64,
    /// Who waits, in order.
    waiting: Vec<Arc<Waiter>>,
    undo: Vec<Undo>,
}

#[derive(Clone, Copy)]
struct Semaphore {
    value: u16,
    /// Who operated on it last.
    pid: u32,
}

/// What the end of a process adds to each value.
struct Undo {
    pid: u32,
    adjustments: Vec<i16>,
    _charge: Charge,
}

/// A call that waits.
struct Waiter {
    operations: Vec<Sembuf>,
    pid: u32,
    /// Which operation it waits for.
    blocked: AtomicUsize,
    outcome: Once<Result<(), Errno>>,
    woken: WaitQueue,
}

/// What has come of some operations.
enum Attempt {
    Done,
    /// This one has to wait.
    Blocked(usize),
    Failed(Errno),
}

/// Zeros; ENOMEM.
fn filled<T: Clone>(value: T, count: usize) -> Result<Vec<T>, Errno> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    values.resize(count, value);
    Ok(values)
}

/// semget(2). EINVAL for a number of semaphores that no set has, or the set not; ENOSPC, ENOMEM, and as [`Ids::get`].
pub fn get(request: Request<'_>, count: i32) -> Result<u64, Errno> {
    let len = usize::try_from(count).ok().filter(|&len| len <= MOST_IN_SET).ok_or(Errno::EINVAL)?;
    SETS.get(request, len as u64, &|table, _| {
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        if table.sizes() + len as u64 > MOST_IN_ALL {
            return Err(Errno::ENOSPC);
        }
        let charge = Charge::new(len * size_of::<Semaphore>())?;
        let values = filled(Semaphore { value: 0, pid: 0 }, len)?;
        let state = State { removed: false, values, operated: 0, waiting: Vec::new(), undo: Vec::new() };
        Ok(Arc::new(Set { len, state: Mutex::new("semaphores", state), _charge: charge }))
    })
}

/// The set with that number.
fn find(id: i32, caller: &Credentials, wanted: u32, least: (u64, Errno)) -> Result<Arc<Set>, Errno> {
    of_kind(SETS.open(id, caller, wanted, least)?)
}

/// Of any size.
const ANY: (u64, Errno) = (0, Errno::EINVAL);

/// semop(2), semtimedop(2). EINVAL, EFBIG, EACCES, EIDRM, ERANGE, ENOMEM; EAGAIN when there is to be no waiting, or no more;
/// EINTR.
pub fn operate(process: &Process, id: i32, operations: Vec<Sembuf>, deadline: Option<Instant>) -> Result<(), Errno> {
    let wanted = if alters(&operations) { WRITE } else { READ };
    let highest = operations.iter().map(|operation| operation.number).max().unwrap_or(0);
    let least = (u64::from(highest) + 1, Errno::EFBIG);
    let set = find(id, &process.credentials(), wanted, least)?;
    let pid = process.pid();
    let waiter = {
        let mut state = set.lock()?;
        if operations.iter().any(|operation| operation.flags & SEM_UNDO != 0) {
            state.prepare_undo(pid)?;
            process.undoes.store(true, Ordering::Relaxed);
        }
        match state.attempt(&operations, pid) {
            Attempt::Failed(error) => return Err(error),
            Attempt::Done if alters(&operations) => {
                state.settle();
                return Ok(());
            }
            Attempt::Done => return Ok(()),
            Attempt::Blocked(at) => {
                let (blocked, woken) = (AtomicUsize::new(at), WaitQueue::new("semaphores"));
                let waiter = Arc::new(Waiter { operations, pid, blocked, outcome: Once::new(), woken });
                state.waiting.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                state.waiting.push(waiter.clone());
                waiter
            }
        }
    };
    let end = match waiter.woken.wait_until(deadline, process::interrupted, || waiter.outcome.get().copied()) {
        Ok(outcome) => return outcome,
        Err(WaitEnd::TimedOut) => Errno::EAGAIN,
        Err(WaitEnd::Interrupted) => Errno::EINTR,
    };
    let mut state = set.state.lock();
    state.waiting.retain(|other| !Arc::ptr_eq(other, &waiter));
    // Somebody may have let it go at the last moment.
    waiter.outcome.get().copied().unwrap_or(Err(end))
}

/// Whether they may change a value.
fn alters(operations: &[Sembuf]) -> bool {
    operations.iter().any(|operation| operation.operation != 0)
}

impl Set {
    /// EIDRM if it has been removed meanwhile.
    fn lock(&self) -> Result<machine::sync::MutexGuard<'_, State>, Errno> {
        let state = self.state.lock();
        if state.removed { Err(Errno::EIDRM) } else { Ok(state) }
    }
}

impl State {
    /// Makes room for what `pid` will have undone.
    fn prepare_undo(&mut self, pid: u32) -> Result<(), Errno> {
        if self.undo.iter().any(|undo| undo.pid == pid) {
            return Ok(());
        }
        let charge = Charge::new(self.values.len() * size_of::<i16>())?;
        let adjustments = filled(0, self.values.len())?;
        self.undo.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.undo.push(Undo { pid, adjustments, _charge: charge });
        Ok(())
    }

    /// Does all operations or none.
    fn attempt(&mut self, operations: &[Sembuf], pid: u32) -> Attempt {
        for (at, operation) in operations.iter().enumerate() {
            let Err(error) = self.apply(operation, i32::from(operation.operation), pid) else { continue };
            for done in operations[..at].iter().rev() {
                // Back to values that were there before.
                let _ = self.apply(done, -i32::from(done.operation), pid);
            }
            let waits = error == Errno::EAGAIN && u32::from(operation.flags) & IPC_NOWAIT == 0;
            return if waits { Attempt::Blocked(at) } else { Attempt::Failed(error) };
        }
        for operation in operations {
            self.values[usize::from(operation.number)].pid = pid;
        }
        self.operated = now();
        Attempt::Done
    }

    /// Adds `change` to the value that `operation` names, or sees that it is 0. EAGAIN if it would have to wait, ERANGE.
    fn apply(&mut self, operation: &Sembuf, change: i32, pid: u32) -> Result<(), Errno> {
        let number = usize::from(operation.number);
        let semaphore = &mut self.values[number];
        let value = i32::from(semaphore.value) + change;
        if value < 0 || operation.operation == 0 && value != 0 {
            return Err(Errno::EAGAIN);
        }
        if value > HIGHEST {
            return Err(Errno::ERANGE);
        }
        if operation.flags & SEM_UNDO != 0
            && let Some(undo) = self.undo.iter_mut().find(|undo| undo.pid == pid)
        {
            let adjustment = i32::from(undo.adjustments[number]) - change;
            undo.adjustments[number] = i16::try_from(adjustment).map_err(|_| Errno::ERANGE)?;
        }
        semaphore.value = value as u16;
        Ok(())
    }

    /// Values have changed: does for those who wait what can be done now.
    fn settle(&mut self) {
        loop {
            self.let_go(false);
            if !self.let_go(true) {
                return;
            }
        }
    }

    /// Lets those go that may, of the ones that alter values only the first, or of those that do not all; whether a value
    /// was altered.
    fn let_go(&mut self, altering: bool) -> bool {
        let mut at = 0;
        while let Some(waiter) = self.waiting.get(at).cloned() {
            let attempt = match alters(&waiter.operations) == altering {
                true => self.attempt(&waiter.operations, waiter.pid),
                false => Attempt::Blocked(waiter.blocked.load(Ordering::Relaxed)),
            };
            match attempt {
                Attempt::Blocked(operation) => {
                    waiter.blocked.store(operation, Ordering::Relaxed);
                    at += 1;
                }
                Attempt::Failed(error) => self.waiting.remove(at).end(Err(error)),
                Attempt::Done => {
                    self.waiting.remove(at).end(Ok(()));
                    if altering {
                        return true;
                    }
                }
            }
        }
        false
    }
}

impl Waiter {
    fn end(&self, outcome: Result<(), Errno>) {
        self.outcome.call_once(|| outcome);
        self.woken.wake_all();
    }

    /// Whether it waits for that semaphore, to become 0 or to grow.
    fn awaits(&self, number: usize, zero: bool) -> bool {
        let operation = &self.operations[self.blocked.load(Ordering::Relaxed)];
        usize::from(operation.number) == number && (operation.operation == 0) == zero
    }
}

/// What may be asked of one semaphore.
#[derive(Clone, Copy)]
pub enum Question {
    /// Its value.
    Value,
    /// Who operated on it last.
    LastPid,
    /// How many wait for it to grow.
    Growth,
    /// How many wait for it to be 0.
    Zero,
}

/// GETVAL and its like. EINVAL, EACCES, EIDRM.
pub fn ask(id: i32, caller: &Credentials, number: i32, question: Question) -> Result<u64, Errno> {
    let set = find(id, caller, READ, ANY)?;
    let number = set.number(number)?;
    let state = set.lock()?;
    let waiting = |zero| state.waiting.iter().filter(|waiter| waiter.awaits(number, zero)).count() as u64;
    Ok(match question {
        Question::Value => state.values[number].value.into(),
        Question::LastPid => state.values[number].pid.into(),
        Question::Growth => waiting(false),
        Question::Zero => waiting(true),
    })
}

impl Set {
    fn number(&self, number: i32) -> Result<usize, Errno> {
        usize::try_from(number).ok().filter(|&number| number < self.len).ok_or(Errno::EINVAL)
    }

    /// GETALL: all values, as bytes. EIDRM, ENOMEM.
    pub fn values(&self) -> Result<Vec<u8>, Errno> {
        let mut bytes = filled(0, self.len * size_of::<u16>())?;
        let state = self.lock()?;
        for (out, semaphore) in bytes.chunks_exact_mut(size_of::<u16>()).zip(&state.values) {
            out.copy_from_slice(&semaphore.value.to_le_bytes());
        }
        Ok(bytes)
    }

    /// SETALL: all values, as bytes. ERANGE, EIDRM.
    pub fn set_values(&self, bytes: &[u8]) -> Result<(), Errno> {
        let values = || bytes.chunks_exact(size_of::<u16>()).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        if values().any(|value| i32::from(value) > HIGHEST) {
            return Err(Errno::ERANGE);
        }
        self.change(&mut values().enumerate())
    }

    /// Sets values, which nobody undoes any more.
    fn change(&self, values: &mut dyn Iterator<Item = (usize, u16)>) -> Result<(), Errno> {
        let pid = caller_pid();
        let mut state = self.lock()?;
        for (number, value) in values {
            state.values[number] = Semaphore { value, pid };
            state.undo.iter_mut().for_each(|undo| undo.adjustments[number] = 0);
        }
        state.settle();
        Ok(())
    }
}

/// The set for GETALL or, if it `writes`, SETALL. EINVAL, EACCES.
pub fn open(id: i32, caller: &Credentials, writes: bool) -> Result<Arc<Set>, Errno> {
    find(id, caller, if writes { WRITE } else { READ }, ANY)
}

/// SETVAL. ERANGE, EINVAL, EACCES, EIDRM.
pub fn set_value(id: i32, caller: &Credentials, number: i32, value: i32) -> Result<(), Errno> {
    let value = u16::try_from(value).ok().filter(|&value| i32::from(value) <= HIGHEST).ok_or(Errno::ERANGE)?;
    let number = usize::try_from(number).map_err(|_| Errno::EINVAL)?;
    let set = find(id, caller, WRITE, (number as u64 + 1, Errno::EINVAL))?;
    set.change(&mut core::iter::once((number, value)))?;
    changed(id);
    Ok(())
}

/// Values have been set.
pub fn changed(id: i32) {
    SETS.changed(id);
}

/// IPC_RMID: whoever waits gets EIDRM. EINVAL, EPERM.
pub fn remove(id: i32, caller: &Credentials) -> Result<(), Errno> {
    let set: Arc<Set> = of_kind(SETS.take(id, caller)?)?;
    let mut state = set.state.lock();
    state.removed = true;
    core::mem::take(&mut state.waiting).iter().for_each(|waiter| waiter.end(Err(Errno::EIDRM)));
    Ok(())
}

/// Process `pid` ends: undoes what it has asked to have undone.
pub fn undo(pid: u32) {
    let mut place = 0;
    while let Some((next, row)) = SETS.next(place) {
        place = next;
        let Ok(set) = row.of_kind::<Set>() else { continue };
        let Ok(mut state) = set.lock() else { continue };
        let Some(at) = state.undo.iter().position(|undo| undo.pid == pid) else { continue };
        let undone = state.undo.swap_remove(at);
        for (semaphore, &adjustment) in state.values.iter_mut().zip(&undone.adjustments).filter(|(_, by)| **by != 0) {
            let value = i32::from(semaphore.value) + i32::from(adjustment);
            *semaphore = Semaphore { value: value.clamp(0, HIGHEST) as u16, pid };
        }
        state.settle();
    }
}

/// What there is to tell of a set, as [`Ids::look`].
pub fn status(look: Look, id: i32, caller: &Credentials) -> Result<(u64, SemidDs), Errno> {
    let (result, row) = SETS.look(look, id, caller)?;
    Ok((result, shown(&row)?))
}

fn shown(row: &Row) -> Result<SemidDs, Errno> {
    let operated = row.of_kind::<Set>()?.state.lock().operated;
    let (perm, ctime) = (row.perm.shown(), row.changed);
    Ok(SemidDs { perm, otime: operated, ctime, nsems: row.size, ..SemidDs::ZERO })
}

/// Calls `show` with the number of each set and what there is to tell.
pub fn for_each(show: &mut dyn FnMut(i32, &SemidDs)) {
    let mut place = 0;
    while let Some((next, row)) = SETS.next(place) {
        place = next;
        if let Ok(status) = shown(&row) {
            show(row.perm.id, &status);
        }
    }
}

/// IPC_SET. EINVAL, EPERM.
pub fn set(id: i32, caller: &Credentials, new: &IpcPerm) -> Result<(), Errno> {
    SETS.set(id, caller, new, None).map(drop)
}

/// The highest place in use, how many sets there are and how many semaphores.
pub fn figures() -> (u64, usize, u64) {
    SETS.figures()
}
