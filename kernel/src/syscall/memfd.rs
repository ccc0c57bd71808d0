//! memfd_create(2).

use super::argument::{UserPath, read_string};
use super::{Caller, SyscallResult};
use crate::vfs::create_in_memory;
use abi::Errno;
use abi::fcntl::{F_SEAL_EXEC, F_SEAL_SEAL, MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_NOEXEC_SEAL};

/// What links and maps show before the name.
const PREFIX: &[u8] = b"memfd:";
/// Most bytes of a name: with the prefix it is as long as names of files may be.
const MOST: usize = 255 - PREFIX.len();

/// There are no huge pages to be had by MFD_HUGETLB: EINVAL, as of a kernel that does not know it.
pub fn memfd_create(caller: &mut Caller<'_>, name: UserPath, flags: u32) -> SyscallResult {
    let known = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC;
    if flags & !known != 0 || flags & (MFD_EXEC | MFD_NOEXEC_SEAL) == MFD_EXEC | MFD_NOEXEC_SEAL {
        return Err(Errno::EINVAL);
    }
    let name = read_string(name.0, MOST + 1)?.ok_or(Errno::EINVAL)?;
    let (mode, seals) = match flags & (MFD_NOEXEC_SEAL | MFD_ALLOW_SEALING) {
        0 => (0o777, F_SEAL_SEAL),
        MFD_ALLOW_SEALING => (0o777, 0),
        _ => (0o666, F_SEAL_EXEC),
    };
    let process = caller.thread.process();
    let file = create_in_memory(&[PREFIX, &name].concat(), &process.fs_context().who, mode, seals)?;
    process.add_file(file, flags & MFD_CLOEXEC != 0).map(|fd| fd as u64)
}
