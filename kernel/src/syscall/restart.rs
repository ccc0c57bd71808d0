//! Which calls begin again after a signal (signal(7), "Interruption of system calls and library functions by signal
//! handlers").

use crate::process::deliver::Restart;

const FUTEX: u64 = 202;

/// What becomes of call `number` with `arguments` when a signal has interrupted it.
pub fn of(number: u64, arguments: &[u64; 6]) -> Restart {
    match number {
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
        // rt_sigtimedwait epoll_wait epoll_pwait epoll_pwait2
        128 | 232 | 281 | 441 => Restart::Never,
        _ => Restart::WithoutHandler,
    }
}
