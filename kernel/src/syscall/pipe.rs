//! pipe(2), and what else makes two files at once.

use super::argument::UserOut;
use super::{Caller, SyscallResult};
use crate::ipc;
use crate::vfs::File;
use crate::vfs::flags::{O_CLOEXEC, O_NONBLOCK};
use abi::Errno;
use alloc::sync::Arc;

pub fn pipe(caller: &mut Caller<'_>, out: UserOut<[i32; 2]>) -> SyscallResult {
    pipe2(caller, out, 0)
}

/// Packet mode (`O_DIRECT`) is refused, as Linux did before it had it.
pub fn pipe2(caller: &mut Caller<'_>, out: UserOut<[i32; 2]>, flags: u32) -> SyscallResult {
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let (reader, writer) = ipc::pipe::new(flags)?;
    insert_pair(caller, [reader, writer], flags, out)
}

/// Gives two files the lowest free descriptors and writes these to `out`; both or none.
pub(super) fn insert_pair(
    caller: &Caller<'_>,
    [first, second]: [Arc<File>; 2],
    flags: u32,
    out: UserOut<[i32; 2]>,
) -> SyscallResult {
    let close_on_exec = flags & O_CLOEXEC != 0;
    let process = caller.thread.process();
    let range = 0..process.file_limit();
    let fds = process.files.with(|files| {
        let first_fd = files.insert(first, range.clone(), close_on_exec).map_err(|error| (error, None))?;
        match files.insert(second, range, close_on_exec) {
            Ok(second_fd) => Ok([first_fd, second_fd]),
            // What comes out is dropped after the table is released.
            Err(error) => Err((error, files.remove(first_fd).ok())),
        }
    });
    let fds = fds.map_err(|(error, _)| error)?;
    out.write(&fds).inspect_err(|_| fds.iter().for_each(|&fd| drop(process.files.with(|files| files.remove(fd)))))?;
    Ok(0)
}
