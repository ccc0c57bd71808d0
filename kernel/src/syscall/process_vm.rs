//! process_vm_readv(2) and process_vm_writev(2): between the memory of the caller and that of another process, which may run
//! meanwhile.

use super::argument::UserRange;
use super::io::read_vectors;
use super::{Caller, SyscallResult};
use crate::process::table;
use crate::vfs::{Sink, Source};
use crate::vm::AddressSpace;
use abi::Errno;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Bytes that go through a buffer at once.
const PIECE: usize = 512;

/// Stretches of the own memory and of the other's.
type Vectors = Vec<(u64, usize)>;

/// Moves bytes of the other's memory at an address, through the buffer; how many.
type Move<'a> = dyn FnMut(u64, &mut [u8]) -> Result<usize, Errno> + 'a;

pub fn process_vm_readv(
    caller: &mut Caller<'_>,
    pid: i32,
    local: u64,
    local_count: usize,
    remote: u64,
    remote_count: usize,
    flags: u64,
) -> SyscallResult {
    let Some((local, remote)) = vectors(flags, [(local, local_count), (remote, remote_count)])? else { return Ok(0) };
    let space = space_of(caller, pid)?;
    let mut to = UserRange::vectored(local);
    for_each_piece(remote, &mut |address, buffer| {
        let wanted = buffer.len().min(Sink::remaining(&to));
        let len = space.read_as_program(address, &mut buffer[..wanted]);
        to.put(&buffer[..len])?;
        Ok(len)
    })
}

pub fn process_vm_writev(
    caller: &mut Caller<'_>,
    pid: i32,
    local: u64,
    local_count: usize,
    remote: u64,
    remote_count: usize,
    flags: u64,
) -> SyscallResult {
    let Some((local, remote)) = vectors(flags, [(local, local_count), (remote, remote_count)])? else { return Ok(0) };
    let space = space_of(caller, pid)?;
    let mut from = UserRange::vectored(local);
    for_each_piece(remote, &mut |address, buffer| {
        let len = from.take(buffer)?;
        Ok(space.write_as_program(address, &buffer[..len]))
    })
}

/// The two lists; None if there is nothing to move.
fn vectors(flags: u64, [local, remote]: [(u64, usize); 2]) -> Result<Option<(Vectors, Vectors)>, Errno> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (local, remote) = (read_vectors(local.0, local.1)?, read_vectors(remote.0, remote.1)?);
    let has_some = |vectors: &Vectors| vectors.iter().any(|&(_, len)| len > 0);
    Ok((has_some(&local) && has_some(&remote)).then_some((local, remote)))
}

/// The memory of a process that the caller may trace.
fn space_of(caller: &Caller<'_>, pid: i32) -> Result<Arc<AddressSpace>, Errno> {
    let own = caller.thread.process();
    let process = table::find_process_of(pid as u32).ok_or(Errno::ESRCH)?;
    if !Arc::ptr_eq(own, &process) && !own.credentials().may_trace(&process.credentials(), process.is_dumpable()) {
        return Err(Errno::EPERM);
    }
    process.try_space().ok_or(Errno::ESRCH)
}

/// Calls `f` with pieces of the stretches until one is not moved whole; how many bytes were. EFAULT if there were none.
fn for_each_piece(stretches: Vectors, f: &mut Move<'_>) -> SyscallResult {
    let mut buffer = [0; PIECE];
    let mut done = 0;
    'all: for (address, len) in stretches {
        let mut at = 0;
        while at < len {
            let wanted = (len - at).min(PIECE);
            let moved = match f(address + at as u64, &mut buffer[..wanted]) {
                Err(_) if done > 0 => 0,
                moved => moved?,
            };
            (at, done) = (at + moved, done + moved as u64);
            if moved < wanted {
                break 'all;
            }
        }
    }
    if done == 0 { Err(Errno::EFAULT) } else { Ok(done) }
}
