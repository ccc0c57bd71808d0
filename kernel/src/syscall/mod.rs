//! System calls: the one table, and dispatch.
//!
//! Each call is one typed line; dispatch, names and the count of what there is come from it. A handler decodes, checks
//! everything, makes one subsystem call, and returns a value or an [`Errno`]; an unknown number is ENOSYS and is logged
//! once with its name.

mod argument;
mod directory;
mod epoll;
mod event;
mod file;
mod io;
mod memory;
mod misc;
mod pipe;
mod poll;
mod process;
mod select;
mod signal;
mod time;

use crate::process::Thread;
use abi::Errno;
use abi::signal::{Sigaction, SigaltStack};
use alloc::sync::Arc;
use argument::{Argument, Fd, UserIn, UserOut, UserPath};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::user::UserContext;

/// What a handler works for.
pub struct Caller<'a> {
    /// The thread that called.
    pub thread: &'a Arc<Thread>,
    /// Its registers.
    pub context: &'a mut UserContext,
}

/// Result of a system call.
pub type SyscallResult = Result<u64, Errno>;

/// A line of the table, for lists.
#[derive(Clone, Copy, Debug)]
pub struct Syscall {
    /// Its number.
    pub number: u64,
    /// Its name.
    pub name: &'static str,
}

macro_rules! syscalls {
    ($($number:literal => $module:ident::$name:ident($($argument:ident: $type:ty),*);)*) => {
        /// Every system call there is, by number.
        pub const TABLE: &[Syscall] = &[$(Syscall { number: $number, name: stringify!($name) }),*];

        fn dispatch(caller: &mut Caller<'_>, number: u64, arguments: [u64; 6]) -> SyscallResult {
            let mut arguments = arguments.into_iter();
            // Every call has at most six arguments.
            let mut next = || arguments.next().unwrap_or(0);
            match number {
                $($number => {
                    $(let $argument = <$type as Argument>::decode(next());)*
                    $module::$name(caller, $($argument),*)
                })*
                _ => unknown(caller, number),
            }
        }
    };
}

syscalls! {
    0 => io::read(fd: Fd, buffer: UserOut<u8>, len: usize);
    1 => io::write(fd: Fd, buffer: UserIn<u8>, len: usize);
    2 => file::open(path: UserPath, flags: u32, mode: u32);
    3 => file::close(fd: Fd);
    4 => file::stat(path: UserPath, out: UserOut<abi::fs::Stat>);
    5 => file::fstat(fd: Fd, out: UserOut<abi::fs::Stat>);
    6 => file::lstat(path: UserPath, out: UserOut<abi::fs::Stat>);
    7 => poll::poll(fds: u64, count: u32, timeout_ms: i32);
    8 => io::lseek(fd: Fd, offset: i64, whence: u32);
    9 => memory::mmap(address: u64, len: u64, protection: u32, flags: u32, fd: Fd, offset: u64);
    10 => memory::mprotect(address: u64, len: u64, protection: u32);
    11 => memory::munmap(address: u64, len: u64);
    12 => memory::brk(wanted: u64);
    13 => signal::rt_sigaction(signal: u64, new: UserIn<Sigaction>, old: UserOut<Sigaction>, size: usize);
    14 => signal::rt_sigprocmask(how: u32, new: UserIn<u64>, old: UserOut<u64>, size: usize);
    16 => io::ioctl(fd: Fd, command: u32, argument: u64);
    17 => io::pread64(fd: Fd, buffer: UserOut<u8>, len: usize, offset: i64);
    18 => io::pwrite64(fd: Fd, buffer: UserIn<u8>, len: usize, offset: i64);
    19 => io::readv(fd: Fd, vectors: u64, count: usize);
    20 => io::writev(fd: Fd, vectors: u64, count: usize);
    21 => file::access(path: UserPath, mode: u32);
    22 => pipe::pipe(out: UserOut<[i32; 2]>);
    23 => select::select(count: i32, read: u64, write: u64, except: u64, timeout: UserOut<abi::time::Timeval>);
    24 => process::sched_yield();
    28 => memory::madvise(address: u64, len: u64, advice: u32);
    32 => file::dup(fd: Fd);
    33 => file::dup2(old: Fd, new: Fd);
    35 => time::nanosleep(wanted: UserIn<abi::time::Timespec>, left: UserOut<abi::time::Timespec>);
    39 => process::getpid();
    60 => process::exit(status: u32);
    61 => process::wait4(pid: i32, status: UserOut<u32>, options: u32, usage: u64);
    62 => signal::kill(pid: i32, signal: u64);
    63 => misc::uname(out: UserOut<abi::system::Utsname>);
    72 => file::fcntl(fd: Fd, command: u32, argument: u64);
    74 => io::fsync(fd: Fd);
    75 => io::fdatasync(fd: Fd);
    79 => directory::getcwd(buffer: UserOut<u8>, len: usize);
    80 => directory::chdir(path: UserPath);
    81 => directory::fchdir(fd: Fd);
    89 => directory::readlink(path: UserPath, buffer: UserOut<u8>, len: usize);
    95 => process::umask(mask: u32);
    96 => time::gettimeofday(out: UserOut<abi::time::Timeval>, zone: u64);
    97 => process::getrlimit(resource: u32, out: UserOut<abi::system::Rlimit64>);
    98 => process::getrusage(who: i32, out: UserOut<abi::system::Rusage>);
    99 => misc::sysinfo(out: UserOut<abi::system::Sysinfo>);
    100 => time::times(out: UserOut<abi::system::Tms>);
    102 => process::getuid();
    104 => process::getgid();
    107 => process::geteuid();
    108 => process::getegid();
    110 => process::getppid();
    111 => process::getpgrp();
    121 => process::getpgid(pid: u32);
    124 => process::getsid(pid: u32);
    131 => signal::sigaltstack(new: UserIn<SigaltStack>, old: UserOut<SigaltStack>);
    157 => process::prctl(option: u32, argument: u64);
    158 => process::arch_prctl(code: u32, address: u64);
    162 => io::sync();
    186 => process::gettid();
    200 => signal::tkill(tid: i32, signal: u64);
    201 => time::time(out: UserOut<i64>);
    202 => process::futex(word: u64, operation: u32, value: u32, timeout: UserIn<abi::time::Timespec>);
    204 => process::sched_getaffinity(pid: u32, len: usize, out: UserOut<u8>);
    213 => epoll::epoll_create(size: i32);
    217 => directory::getdents64(fd: Fd, buffer: UserOut<u8>, len: usize);
    218 => process::set_tid_address(address: u64);
    221 => io::fadvise64(fd: Fd, offset: u64, len: u64, advice: u32);
    228 => time::clock_gettime(clock: u32, out: UserOut<abi::time::Timespec>);
    229 => time::clock_getres(clock: u32, out: UserOut<abi::time::Timespec>);
    230 => time::clock_nanosleep(clock: u32, flags: u32, wanted: UserIn<abi::time::Timespec>, left: UserOut<abi::time::Timespec>);
    231 => process::exit_group(status: u32);
    232 => epoll::epoll_wait(instance: Fd, events: u64, most: i32, timeout_ms: i32);
    233 => epoll::epoll_ctl(instance: Fd, operation: u32, fd: Fd, event: UserIn<abi::poll::EpollEvent>);
    234 => signal::tgkill(pid: i32, tid: i32, signal: u64);
    257 => file::openat(directory: Fd, path: UserPath, flags: u32, mode: u32);
    262 => file::newfstatat(directory: Fd, path: UserPath, out: UserOut<abi::fs::Stat>, flags: u32);
    267 => directory::readlinkat(base: Fd, path: UserPath, buffer: UserOut<u8>, len: usize);
    269 => file::faccessat(directory: Fd, path: UserPath, mode: u32);
    270 => select::pselect6(count: i32, read: u64, write: u64, except: u64, timeout: UserOut<abi::time::Timespec>, mask: u64);
    271 => poll::ppoll(fds: u64, count: u32, timeout: UserOut<abi::time::Timespec>, mask: UserIn<u64>, size: usize);
    273 => process::set_robust_list(head: u64, len: usize);
    281 => epoll::epoll_pwait(instance: Fd, events: u64, most: i32, timeout_ms: i32, mask: UserIn<u64>, size: usize);
    283 => event::timerfd_create(clock: u32, flags: u32);
    284 => event::eventfd(count: u32);
    286 => event::timerfd_settime(fd: Fd, flags: u32, new: UserIn<abi::time::Itimerspec>, old: UserOut<abi::time::Itimerspec>);
    287 => event::timerfd_gettime(fd: Fd, out: UserOut<abi::time::Itimerspec>);
    290 => event::eventfd2(count: u32, flags: u32);
    291 => epoll::epoll_create1(flags: u32);
    292 => file::dup3(old: Fd, new: Fd, flags: u32);
    293 => pipe::pipe2(out: UserOut<[i32; 2]>, flags: u32);
    302 => process::prlimit64(pid: u32, resource: u32, new: UserIn<abi::system::Rlimit64>, old: UserOut<abi::system::Rlimit64>);
    309 => process::getcpu(cpu: UserOut<u32>, node: UserOut<u32>);
    318 => misc::getrandom(buffer: UserOut<u8>, len: usize, flags: u32);
    332 => file::statx(directory: Fd, path: UserPath, flags: u32, mask: u32, out: UserOut<abi::fs::Statx>);
    439 => file::faccessat2(directory: Fd, path: UserPath, mode: u32, flags: u32);
    441 => epoll::epoll_pwait2(instance: Fd, events: u64, most: i32, timeout: UserIn<abi::time::Timespec>, mask: UserIn<u64>, size: usize);
}

/// Serves the call that the context holds, and leaves its result there.
pub fn handle(thread: &Arc<Thread>, context: &mut UserContext) {
    let (number, arguments) = (context.syscall_number(), context.syscall_arguments());
    let mut caller = Caller { thread, context };
    let result = dispatch(&mut caller, number, arguments);
    context.set_result(match result {
        Ok(value) => value,
        Err(error) => error.to_ret(),
    });
}

/// Numbers that have been logged, one bit each.
static LOGGED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

fn unknown(caller: &Caller<'_>, number: u64) -> SyscallResult {
    let slot = LOGGED.get((number / 64) as usize);
    let bit = 1 << (number % 64);
    if slot.is_some_and(|slot| slot.fetch_or(bit, Ordering::Relaxed) & bit == 0) {
        let name = abi::syscall::name(number).unwrap_or("no system call of Linux");
        log::info!("system call {number} ({name}) of process {} is not there: ENOSYS", caller.thread.process().pid());
    }
    Err(Errno::ENOSYS)
}
