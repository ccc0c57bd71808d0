//! select(2) and pselect6(2).

use super::argument::{UserIn, UserOut};
use super::poll::{TimeLimit, read_mask, read_timespec, with_mask};
use super::{Caller, SyscallResult};
use crate::ipc::poll::PollWait;
use crate::process::{self, files::MAX_FILES};
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
/// Bits of descriptors, as in an `fd_set`.
type Bits = [u64; WORDS];

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
    let room = caller.thread.process().files.lock().room().min(MAX_FILES);
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?.min(room);
    let mut wanted = [[0; WORDS]; 3];
    for (bits, &at) in wanted.iter_mut().zip(&sets) {
        read_bits(at, count, bits)?;
    }
    let mut found = [[0; WORDS]; 3];
    let ready = select_bits(caller, count, &wanted, &mut found, limit)?;
    for (bits, &at) in found.iter().zip(&sets) {
        write_bits(at, count, bits)?;
    }
    Ok(ready)
}

/// Finds what is the case of what is wanted; how many bits that is. EBADF if a descriptor is not open.
fn select_bits(
    caller: &Caller<'_>,
    count: usize,
    wanted: &[Bits; 3],
    found: &mut [Bits; 3],
    limit: TimeLimit,
) -> SyscallResult {
    let process = caller.thread.process();
    let ready = {
        let table = process.files.lock();
        look(count, wanted, found, |fd| table.peek(fd as i32).map(|file| file.poll()).ok_or(Errno::EBADF))?
    };
    if ready != 0 || limit.is_zero() {
        return if ready == 0 && process::interrupted() { Err(Errno::EINTR) } else { Ok(ready) };
    }
    let mut wait = PollWait::new(wanted.iter().flatten().map(|word| word.count_ones() as usize).sum())?;
    {
        let table = process.files.lock();
        each(count, wanted, |fd, events| wait.add(table.peek(fd as i32).cloned().ok_or(Errno::EBADF)?, events))?;
    }
    let ready = wait.until(limit.deadline(), || {
        let mut files = wait.files();
        let ready = look(count, wanted, found, |_| files.next().map(|file| file.poll()).ok_or(Errno::EBADF));
        Some(ready).filter(|ready| *ready != Ok(0))
    })?;
    ready.unwrap_or(Ok(0))
}

/// One look at all descriptors of the sets.
#[inline]
fn look(
    count: usize,
    wanted: &[Bits; 3],
    found: &mut [Bits; 3],
    mut events_of: impl FnMut(usize) -> Result<u32, Errno>,
) -> SyscallResult {
    let mut ready = 0;
    for word in 0..count.div_ceil(WORD_BITS) {
        let [read, write, except] = [wanted[0][word], wanted[1][word], wanted[2][word]];
        let (mut left, mut hits) = (read | write | except, [0; 3]);
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let events = events_of(word * WORD_BITS + bit.trailing_zeros() as usize)?;
            for (hits, asked) in hits.iter_mut().zip(EVENTS) {
                if events & asked != 0 {
                    *hits |= bit;
                }
            }
        }
        for ((hits, asked), found) in hits.iter().zip([read, write, except]).zip(found.iter_mut()) {
            found[word] = hits & asked;
            ready += u64::from(found[word].count_ones());
        }
    }
    Ok(ready)
}

/// Calls `visit` with each descriptor of the sets and what is asked of it.
fn each(count: usize, wanted: &[Bits; 3], mut visit: impl FnMut(usize, u32) -> Result<(), Errno>) -> Result<(), Errno> {
    for word in 0..count.div_ceil(WORD_BITS) {
        let mut left = wanted[0][word] | wanted[1][word] | wanted[2][word];
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let asked = wanted.iter().zip(EVENTS).filter(|(bits, _)| bits[word] & bit != 0);
            let events = asked.fold(0, |all, (_, events)| all | events);
            visit(word * WORD_BITS + bit.trailing_zeros() as usize, events)?;
        }
    }
    Ok(())
}

/// Reads the first `count` bits of the set at `at`, in whole words as Linux does; a null pointer is an empty set.
fn read_bits(at: u64, count: usize, bits: &mut Bits) -> Result<(), Errno> {
    let words = if at == 0 { 0 } else { count.div_ceil(WORD_BITS) };
    let mut image = [0; WORDS * 8];
    let image = &mut image[..words * 8];
    if words > 0 {
        copy::read(at, image).map_err(|_| Errno::EFAULT)?;
    }
    for (word, bytes) in bits.iter_mut().zip(image.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    // Bits from `count` on do not count.
    if words > 0 && !count.is_multiple_of(WORD_BITS) {
        bits[words - 1] &= (1 << (count % WORD_BITS)) - 1;
    }
    Ok(())
}

fn write_bits(at: u64, count: usize, bits: &Bits) -> Result<(), Errno> {
    let words = if at == 0 { 0 } else { count.div_ceil(WORD_BITS) };
    let mut image = [0; WORDS * 8];
    let image = &mut image[..words * 8];
    for (bytes, word) in image.as_chunks_mut().0.iter_mut().zip(bits) {
        *bytes = word.to_le_bytes();
    }
    if words > 0 {
        copy::write(at, image).map_err(|_| Errno::EFAULT)?;
    }
    Ok(())
}

/// More than a million microseconds are seconds here, as on Linux. EINVAL if negative.
fn normalise(time: Timeval) -> Result<Duration, Errno> {
    let seconds = time.tv_sec.checked_add(time.tv_usec / 1_000_000).ok_or(Errno::EINVAL)?;
    Timespec { tv_sec: seconds, tv_nsec: time.tv_usec % 1_000_000 * 1000 }.to_duration()
}
