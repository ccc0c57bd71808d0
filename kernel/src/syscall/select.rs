//! select(2) and pselect6(2).

use super::argument::{UserIn, UserOut};
use super::poll::{TimeLimit, read_mask, read_timespec, with_mask};
use super::{Caller, SyscallResult};
use crate::ipc::poll::PollWait;
use crate::process;
use crate::process::files::{FileTable, MAX_FILES};
use crate::vfs::flags::*;
use abi::Errno;
use abi::time::{Timespec, Timeval};
use core::time::Duration;
use machine::user::copy;

/// What each of the three sets asks for, as Linux has it (`fs/select.c` names them `POLLIN_SET` and so on).
const EVENTS: [u32; 3] =
    [POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR, POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR, POLLPRI];
const WORD_BITS: usize = 64;
const WORDS: usize = MAX_FILES.div_ceil(WORD_BITS);
/// Words of the sets of a program with few files.
const FEW_WORDS: usize = 4;

pub fn select(
    caller: &mut Caller<'_>,
    count: i32,
    read: u64,
    write: u64,
    except: u64,
    timeout: UserOut<Timeval>,
) -> SyscallResult {
    let limit = TimeLimit::new(match UserIn::<Timeval>::at(timeout.0).read_if_given()? {
        Some(time) => Some(normalise(time)?),
        None => None,
    });
    let result = select_until(caller, count, [read, write, except], limit);
    if let Some(left) = limit.left() {
        // One that cannot be written is let be, as Linux does.
        let _ = timeout.write_if_given(&Timeval::from(left));
    }
    result
}

pub fn pselect6(
    caller: &mut Caller<'_>,
    count: i32,
    read: u64,
    write: u64,
    except: u64,
    timeout: UserOut<Timespec>,
    mask: u64,
) -> SyscallResult {
    // The last argument leads to a pointer to the mask and its size, since there are no more than six.
    let [mask, size] = UserIn::<[u64; 2]>::at(mask).read_if_given()?.unwrap_or_default();
    let limit = TimeLimit::new(read_timespec(timeout)?);
    let mask = read_mask(UserIn::at(mask), size as usize)?;
    let result = with_mask(caller.thread, mask, || select_until(caller, count, [read, write, except], limit));
    limit.tell_left(timeout);
    result
}

fn select_until(caller: &Caller<'_>, count: i32, sets: [u64; 3], limit: TimeLimit) -> SyscallResult {
    let room = caller.thread.process().files.with(|files| files.room()).min(MAX_FILES);
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?.min(room);
    // Most programs have few files: then most of the sets need not even be cleared.
    match count.div_ceil(WORD_BITS) {
        ..=FEW_WORDS => select_words::<FEW_WORDS>(caller, count, sets, limit),
        _ => select_words::<WORDS>(caller, count, sets, limit),
    }
}

fn select_words<const W: usize>(caller: &Caller<'_>, count: usize, sets: [u64; 3], limit: TimeLimit) -> SyscallResult {
    let mut wanted = [[0; W]; 3];
    for (bits, &at) in wanted.iter_mut().zip(&sets) {
        read_bits(at, count, bits)?;
    }
    let mut found = [[0; W]; 3];
    let ready = select_bits(caller, count.div_ceil(WORD_BITS), &wanted, &mut found, limit)?;
    for (bits, &at) in found.iter().zip(&sets) {
        write_bits(at, count, bits)?;
    }
    Ok(ready)
}

/// Finds what is the case of what is wanted; how many bits that is. EBADF if a descriptor is not open.
fn select_bits<const W: usize>(
    caller: &Caller<'_>,
    words: usize,
    wanted: &[[u64; W]; 3],
    found: &mut [[u64; W]; 3],
    limit: TimeLimit,
) -> SyscallResult {
    let process = caller.thread.process();
    let ready = process.files.with(|table| look_at_table(table, words, wanted, found))?;
    if ready != 0 || limit.is_zero() {
        return if ready == 0 && process::interrupted() { Err(Errno::EINTR) } else { Ok(ready) };
    }
    let mut wait = PollWait::new(wanted.iter().flatten().map(|word| word.count_ones() as usize).sum())?;
    process.files.with(|table| {
        for_each(words, wanted, |fd, _, events| wait.add(table.peek(fd as i32).cloned().ok_or(Errno::EBADF)?, events))
    })?;
    let ready = wait.until(limit.deadline(), || {
        let mut files = wait.files();
        let mut ready = 0;
        *found = [[0; W]; 3];
        let looked = for_each(words, wanted, |fd, bit, _| {
            let events = files.next().ok_or(Errno::EBADF)?.poll();
            for (set, asked) in EVENTS.iter().enumerate() {
                let hit = if events & asked != 0 { wanted[set][fd / WORD_BITS] & bit } else { 0 };
                found[set][fd / WORD_BITS] |= hit;
                ready += u64::from(hit != 0);
            }
            Ok(())
        });
        Some(looked.map(|()| ready)).filter(|ready| *ready != Ok(0))
    })?;
    ready.unwrap_or(Ok(0))
}

/// One look at all descriptors of the sets: the whole of most calls.
fn look_at_table<const W: usize>(
    table: &FileTable,
    words: usize,
    wanted: &[[u64; W]; 3],
    found: &mut [[u64; W]; 3],
) -> SyscallResult {
    let mut ready = 0;
    for word in 0..words {
        let files = table.from(word * WORD_BITS, WORD_BITS);
        for (set, asked) in EVENTS.iter().enumerate() {
            let (mut left, mut hits) = (wanted[set][word], wanted[set][word]);
            while left != 0 {
                let at = left.trailing_zeros();
                left &= left - 1;
                let file = files.get(at).ok_or(Errno::EBADF)?;
                if file.poll() & asked == 0 {
                    hits = without(hits, at);
                }
            }
            found[set][word] = hits;
            ready += u64::from(hits.count_ones());
        }
    }
    Ok(ready)
}

/// Out of line, so that a descriptor with something to tell, as most have that are looked at, costs a test and no more.
#[cold]
#[inline(never)]
fn without(hits: u64, at: u32) -> u64 {
    hits & !(1 << at)
}

/// Calls `visit` with each descriptor of the sets, its bit in its word, and what is asked of it.
fn for_each<const W: usize>(
    words: usize,
    wanted: &[[u64; W]; 3],
    mut visit: impl FnMut(usize, u64, u32) -> Result<(), Errno>,
) -> Result<(), Errno> {
    for word in 0..words {
        let mut left = wanted[0][word] | wanted[1][word] | wanted[2][word];
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let asked = wanted.iter().zip(EVENTS).filter(|(bits, _)| bits[word] & bit != 0);
            let events = asked.fold(0, |all, (_, events)| all | events);
            visit(word * WORD_BITS + bit.trailing_zeros() as usize, bit, events)?;
        }
    }
    Ok(())
}

/// Reads the first `count` bits of the set at `at`, in whole words as Linux does; a null pointer is an empty set.
fn read_bits<const W: usize>(at: u64, count: usize, bits: &mut [u64; W]) -> Result<(), Errno> {
    let words = if at == 0 { 0 } else { count.div_ceil(WORD_BITS) };
    if words == 0 {
        return Ok(());
    }
    let mut image = [[0; 8]; W];
    copy::read(at, image[..words].as_flattened_mut()).map_err(|_| Errno::EFAULT)?;
    for (word, bytes) in bits.iter_mut().zip(&image[..words]) {
        *word = u64::from_le_bytes(*bytes);
    }
    // Bits from `count` on do not count.
    if !count.is_multiple_of(WORD_BITS) {
        bits[words - 1] &= (1 << (count % WORD_BITS)) - 1;
    }
    Ok(())
}

fn write_bits<const W: usize>(at: u64, count: usize, bits: &[u64; W]) -> Result<(), Errno> {
    let words = if at == 0 { 0 } else { count.div_ceil(WORD_BITS) };
    if words == 0 {
        return Ok(());
    }
    let image = bits.map(u64::to_le_bytes);
    copy::write(at, image[..words].as_flattened()).map_err(|_| Errno::EFAULT)
}

/// More than a million microseconds are seconds here, as on Linux. EINVAL if negative.
fn normalise(time: Timeval) -> Result<Duration, Errno> {
    let seconds = time.tv_sec.checked_add(time.tv_usec / 1_000_000).ok_or(Errno::EINVAL)?;
    Timespec { tv_sec: seconds, tv_nsec: time.tv_usec % 1_000_000 * 1000 }.to_duration()
}
