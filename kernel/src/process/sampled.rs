//! Samples of programs: what the profiler notes of a thread in user mode.
//!
//! A process may have ended when the samples are looked at, so an address becomes a file and an offset at once: file
//! number in the upper sixteen bits, the offset below. An address of no file's code stays as it is, below 2^47. Kernel
//! addresses have all of the upper bits set, so there are file numbers from 1 to [`MOST_FILES`].
//!
//! Lock: [`FILES`], a sleeping one, with nothing else held. Names stay in it, as later samples find the same files.

use super::Thread;
use crate::vm::AddressSpace;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use klib::profile::MAX_DEPTH;
use machine::addr;
use machine::profile;
use machine::sync::Mutex;
use machine::user::{self, UserContext};

const FILE_SHIFT: u32 = 48;
const MOST_FILES: usize = 0x7fff;

static FILES: Mutex<Vec<String>> = Mutex::new("sampled files", Vec::new());

impl Thread {
    /// Adds a sample of what it does in user mode. By the thread itself.
    #[cold]
    pub fn sample(&self, context: &UserContext) {
        let space = self.process().space();
        let registers = context.registers();
        let mut stack = [0; MAX_DEPTH];
        stack[0] = place(&space, registers.rip).unwrap_or(registers.rip);
        let mut depth = 1;
        user::return_addresses(registers.rbp, &mut |address| {
            // Not every program keeps frame pointers: what is no code is no return address. The call lies before it.
            let Some(place) = place(&space, address.wrapping_sub(1)) else { return false };
            stack[depth] = place;
            depth += 1;
            depth < MAX_DEPTH
        });
        profile::add(&stack[..depth]);
    }
}

/// File and offset in one word, if a file's code is mapped there.
fn place(space: &AddressSpace, address: u64) -> Option<u64> {
    let (file, offset) = space.code_place(address)?;
    let path = file.location()?.path();
    let name = String::from_utf8_lossy(path.rsplit(|&byte| byte == b'/').next()?);
    let mut files = FILES.lock();
    let number = match files.iter().position(|known| *known == name) {
        Some(number) => number,
        None if files.len() < MOST_FILES && files.try_reserve(1).is_ok() => {
            files.push(name.into_owned());
            files.len() - 1
        }
        None => return None,
    };
    (offset >> FILE_SHIFT == 0).then_some((number as u64 + 1) << FILE_SHIFT | offset)
}

/// Writes the place of a sample's word in a program, as `libc.so.6+0x1234`, or its address if it is in no file. False if
/// the word is an address of the kernel.
pub fn write_place(word: u64, out: &mut dyn Write) -> Result<bool, fmt::Error> {
    if addr::is_kernel(word) {
        return Ok(false);
    }
    let (file, offset) = ((word >> FILE_SHIFT) as usize, word & ((1 << FILE_SHIFT) - 1));
    match file.checked_sub(1).and_then(|number| FILES.lock().get(number).cloned()) {
        Some(name) => write!(out, "{name}+{offset:#x}")?,
        None => write!(out, "{offset:#x}")?,
    }
    Ok(true)
}
