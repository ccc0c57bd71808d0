//! Which calls begin again after a signal (signal(7), "Interruption of system calls and library functions by signal
//! handlers").

use crate::process::deliver::Restart;

/// What becomes of call `number` when a signal has interrupted it.
pub fn of(number: u64) -> Restart {
    match number {
        // read write open ioctl pread64 pwrite64 readv writev
        0 | 1 | 2 | 16 | 17 | 18 | 19 | 20
        // sendfile connect accept sendto recvfrom sendmsg recvmsg
        | 40 | 42..=47
        // wait4 fcntl flock fsync fdatasync
        | 61 | 72..=75
        // sync futex waitid openat splice tee vmsplice
        | 162 | 202 | 247 | 257 | 275 | 276 | 278
        // accept4 preadv pwritev recvmmsg sendmmsg getrandom preadv2 pwritev2 openat2
        | 288 | 295 | 296 | 299 | 307 | 318 | 327 | 328 | 437 => Restart::AfterHandler,
        // rt_sigtimedwait epoll_wait epoll_pwait epoll_pwait2
        128 | 232 | 281 | 441 => Restart::Never,
        _ => Restart::WithoutHandler,
    }
}
