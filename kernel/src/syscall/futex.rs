//! futex(2) and robust lists.

use super::argument::{UserIn, UserOut};
use super::{Caller, SyscallResult};
use crate::clock;
use crate::futex::{self, ANY, Word};
use crate::process::{self, table};
use abi::Errno;
use abi::time::Timespec;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use core::time::Duration;
use machine::task::Task;
use machine::time::{self, Instant};
use machine::user::copy;

const WAIT: u32 = 0;
const WAKE: u32 = 1;
const REQUEUE: u32 = 3;
const CMP_REQUEUE: u32 = 4;
const WAKE_OP: u32 = 5;
const LOCK_PI: u32 = 6;
const UNLOCK_PI: u32 = 7;
const TRYLOCK_PI: u32 = 8;
const WAIT_BITSET: u32 = 9;
const WAKE_BITSET: u32 = 10;
const LOCK_PI2: u32 = 13;
const PRIVATE: u32 = 0x80;
const REALTIME: u32 = 0x100;
/// Bytes of `struct robust_list_head`.
const ROBUST_LIST_LEN: u64 = 24;

/// `timeout` is an address or, for the requeues and WAKE_OP, a second count.
pub fn futex(
    caller: &mut Caller<'_>,
    word: u64,
    operation: u32,
    value: u32,
    timeout: u64,
    second: u64,
    third: u32,
) -> SyscallResult {
    let space = caller.thread.process().space();
    let at = |address| Word { space: &space, address, shared: operation & PRIVATE == 0 };
    let command = operation & !(PRIVATE | REALTIME);
    if operation & REALTIME != 0 && !matches!(command, WAIT | WAIT_BITSET | LOCK_PI2) {
        return Err(Errno::ENOSYS);
    }
    match command {
        WAIT | WAIT_BITSET => {
            let bitset = if command == WAIT { ANY } else { third };
            let deadline = deadline(caller, timeout, command == WAIT, operation & REALTIME != 0)?;
            let result = futex::wait(at(word), value, bitset, deadline, process::interrupted);
            if let (Err(Errno::EINTR), Some(deadline)) = (result, deadline) {
                caller.thread.keep_deadline(deadline);
            }
            result.map(|()| 0)
        }
        WAKE => futex::wake(at(word), value, ANY).map(u64::from),
        WAKE_BITSET => futex::wake(at(word), value, third).map(u64::from),
        REQUEUE | CMP_REQUEUE => {
            let expected = (command == CMP_REQUEUE).then_some(third);
            let limits = (i32::try_from(value), i32::try_from(timeout as u32));
            let (Ok(_), Ok(_)) = limits else { return Err(Errno::EINVAL) };
            let (woken, moved) = futex::requeue((at(word), at(second)), value, timeout as u32, expected)?;
            // As Linux does for both, though futex(2) has REQUEUE tell only of those woken.
            Ok(u64::from(woken + moved))
        }
        WAKE_OP => wake_op(&at(word), &at(second), value, timeout as u32, third),
        LOCK_PI | LOCK_PI2 => {
            let realtime = command == LOCK_PI || operation & REALTIME != 0;
            let deadline = deadline(caller, timeout, false, realtime)?;
            lock_pi(at(word), caller.thread.tid(), deadline)
        }
        TRYLOCK_PI => try_lock_pi(word, caller.thread.tid())?.map_or(Ok(0), |_| Err(Errno::EAGAIN)),
        UNLOCK_PI => futex::hand_over(at(word), caller.thread.tid(), task_of).map(|()| 0),
        _ => Err(Errno::ENOSYS),
    }
}

/// WAIT has a span of the monotonic clock, the others a point in time of either.
fn deadline(caller: &Caller<'_>, timeout: u64, is_span: bool, realtime: bool) -> Result<Option<Instant>, Errno> {
    let Some(timeout) = UserIn::<Timespec>::at(timeout).read_if_given()? else { return Ok(None) };
    let span = timeout.to_duration()?;
    let point = || match (is_span, realtime) {
        (true, _) => time::now() + span,
        (false, true) => time::now() + span.saturating_sub(Duration::from_nanos(clock::realtime_ns())),
        (false, false) => Instant::default() + span,
    };
    Ok(Some(caller.thread.deadline(point)))
}

/// FUTEX_WAKE_OP: changes the second word, wakes at the first, and at the second if its old value compares true.
fn wake_op(first: &Word<'_>, second: &Word<'_>, count: u32, second_count: u32, encoded: u32) -> SyscallResult {
    let signed12 = |bits: u32| ((bits << 20) as i32) >> 20;
    let (operation, comparison) = (encoded >> 28 & 7, encoded >> 24 & 15);
    let (mut argument, compared) = (signed12(encoded >> 12 & 0xfff), signed12(encoded & 0xfff));
    if encoded >> 31 != 0 {
        argument = 1i32.wrapping_shl(argument as u32);
    }
    let old = loop {
        let old = copy::load_u32(second.address).map_err(|_| Errno::EFAULT)?;
        let new = match operation {
            0 => argument as u32,
            1 => old.wrapping_add(argument as u32),
            2 => old | argument as u32,
            3 => old & !(argument as u32),
            4 => old ^ argument as u32,
            _ => return Err(Errno::ENOSYS),
        };
        if copy::compare_exchange_u32(second.address, old, new).map_err(|_| Errno::EFAULT)? == old {
            break old as i32;
        }
    };
    let holds = match comparison {
        0 => old == compared,
        1 => old != compared,
        2 => old < compared,
        3 => old <= compared,
        4 => old > compared,
        5 => old >= compared,
        _ => return Err(Errno::ENOSYS),
    };
    let mut woken = futex::wake(*first, count, ANY)?;
    if holds {
        woken += futex::wake(*second, second_count, ANY)?;
    }
    Ok(woken.into())
}

/// Takes the lock word for `tid` if nobody has it; else its value. EDEADLK if `tid` has it itself.
fn try_lock_pi(address: u64, tid: u32) -> Result<Option<u32>, Errno> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    loop {
        let value = copy::load_u32(address).map_err(|_| Errno::EFAULT)?;
        if value & futex::TID_MASK == tid {
            return Err(Errno::EDEADLK);
        }
        if value & futex::TID_MASK != 0 {
            return Ok(Some(value));
        }
        let new = tid | value & (futex::WAITERS | futex::OWNER_DIED);
        if copy::compare_exchange_u32(address, value, new).map_err(|_| Errno::EFAULT)? == value {
            return Ok(None);
        }
    }
}

/// The task of the thread `tid`.
pub(super) fn task_of(tid: u32) -> Option<Arc<Task>> {
    table::find_thread(tid)?.task()
}

/// FUTEX_LOCK_PI. An owner that ends while somebody waits leaves the lock to a waiter, who finds that in the word; one that
/// was never there is ESRCH.
fn lock_pi(word: Word<'_>, tid: u32, deadline: Option<Instant>) -> SyscallResult {
    let mut has_waited = false;
    loop {
        let value = match try_lock_pi(word.address, tid) {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(0),
            // It was given the lock.
            Err(Errno::EDEADLK) if has_waited => return Ok(0),
            Err(error) => return Err(error),
        };
        let owner = value & futex::TID_MASK;
        if task_of(owner).is_none() {
            if !has_waited {
                return Err(Errno::ESRCH);
            }
            let inherited = tid | futex::WAITERS | futex::OWNER_DIED;
            if copy::compare_exchange_u32(word.address, value, inherited).map_err(|_| Errno::EFAULT)? == value {
                return Ok(0);
            }
            continue;
        }
        let marked = value | futex::WAITERS;
        if copy::compare_exchange_u32(word.address, value, marked).map_err(|_| Errno::EFAULT)? != value {
            continue;
        }
        match futex::wait_for_owner(word, marked, (owner, tid), task_of, (deadline, process::interrupted)) {
            Ok(()) => has_waited = true,
            Err(Errno::EAGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

pub fn set_robust_list(caller: &mut Caller<'_>, head: u64, len: usize) -> SyscallResult {
    if len as u64 != ROBUST_LIST_LEN {
        return Err(Errno::EINVAL);
    }
    caller.thread.robust_list.store(head, Ordering::Relaxed);
    Ok(0)
}

pub fn get_robust_list(caller: &mut Caller<'_>, tid: u32, head: UserOut<u64>, len: UserOut<u64>) -> SyscallResult {
    let thread = match tid {
        0 => caller.thread.clone(),
        tid => table::find_thread(tid).ok_or(Errno::ESRCH)?,
    };
    let (own, target) = (caller.thread.process(), thread.process());
    if !Arc::ptr_eq(own, target) && !own.credentials().may_trace(&target.credentials(), target.is_dumpable()) {
        return Err(Errno::EPERM);
    }
    len.write(&ROBUST_LIST_LEN)?;
    head.write(&thread.robust_list.load(Ordering::Relaxed))?;
    Ok(0)
}
