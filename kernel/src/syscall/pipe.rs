//! pipe(2).

use super::argument::UserOut;
use super::{Caller, SyscallResult};
use crate::ipc;
use crate::vfs::flags::{O_CLOEXEC, O_NONBLOCK};
use abi::Errno;

pub fn pipe(caller: &mut Caller<'_>, out: UserOut<[i32; 2]>) -> SyscallResult {
    pipe2(caller, out, 0)
}

/// Packet mode (`O_DIRECT`) is refused, as Linux did before it had it.
pub fn pipe2(caller: &mut Caller<'_>, out: UserOut<[i32; 2]>, flags: u32) -> SyscallResult {
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let (reader, writer) = ipc::pipe::new(flags)?;
    let close_on_exec = flags & O_CLOEXEC != 0;
    let process = caller.thread.process();
    let range = 0..process.file_limit();
    let fds = process.files.with(|files| {
        let read_fd = files.insert(reader, range.clone(), close_on_exec).map_err(|error| (error, None))?;
        match files.insert(writer, range, close_on_exec) {
            Ok(write_fd) => Ok([read_fd, write_fd]),
            // What comes out is dropped after the table is released.
            Err(error) => Err((error, files.remove(read_fd).ok())),
        }
    });
    let fds = fds.map_err(|(error, _)| error)?;
    out.write(&fds).inspect_err(|_| fds.iter().for_each(|&fd| drop(process.files.with(|files| files.remove(fd)))))?;
    Ok(0)
}
