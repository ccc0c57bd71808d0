//! Which calls begin again after a signal (signal(7), "Interruption of system calls and library functions by signal
//! handlers").

use super::Caller;
use super::argument::Fd;
use super::socket::{end_of, socket_file};
use crate::process::deliver::Restart;

const FUTEX: u64 = 202;

/// What becomes of the caller's call `number` with `arguments` when a signal has interrupted it.
pub fn of(caller: &Caller<'_>, number: u64, arguments: &[u64; 6]) -> Restart {
    match number {
        _ if has_time_limit(caller, number, arguments[0]) => Restart::Never,
        // With a timeout, which counts from its first begin, a handler ends it whatever its flags say.
        FUTEX if arguments[3] != 0 => Restart::WithoutHandler,
        // read write open ioctl pread64 pwrite64 readv writev
        0 | 1 | 2 | 16 | 17 | 18 | 19 | 20
        // sendfile connect accept sendto recvfrom sendmsg recvmsg
        | 40 | 42..=47
        // wait4 fcntl flock fsync fdatasync
        | 61 | 72..=75
        // sync futex waitid openat splice tee vmsplice
        | 162 | FUTEX | 247 | 257 | 275 | 276 | 278
        // accept4 preadv pwritev recvmmsg sendmmsg getrandom preadv2 pwritev2 openat2
        | 288 | 295 | 296 | 299 | 307 | 318 | 327 | 328 | 437 => Restart::AfterHandler,
        // clone fork vfork clone3
        56 | 57 | 58 | 435 => Restart::Always,
        // semop rt_sigtimedwait semtimedop epoll_wait epoll_pwait epoll_pwait2
        65 | 128 | 220 | 232 | 281 | 441 => Restart::Never,
        _ => Restart::WithoutHandler,
    }
}

/// Whether that was a wait that a time limit of its socket bounds (SO_RCVTIMEO, SO_SNDTIMEO).
fn has_time_limit(caller: &Caller<'_>, number: u64, fd: u64) -> bool {
    let sends = match number {
        // read readv accept recvfrom recvmsg accept4 recvmmsg
        0 | 19 | 43 | 45 | 47 | 288 | 299 => false,
        // write writev connect sendto sendmsg sendmmsg
        1 | 20 | 42 | 44 | 46 | 307 => true,
        _ => return false,
    };
    let Ok(file) = socket_file(caller, Fd(fd as i32)) else { return false };
    end_of(&file).is_ok_and(|end| end.options.time_limit(sends).is_some())
}
