//! System calls: the one table, and dispatch.
//!
//! Each call is one typed line; dispatch, and how `trace exec` shows the arguments, come from it. A handler decodes, checks
//! everything, makes one subsystem call, and returns a value or an [`Errno`]; an unknown number is ENOSYS and is logged
//! once with its name.

mod argument;
mod attributes;
mod capability;
mod control;
pub mod describe;
mod directory;
mod epoll;
mod event;
mod file;
mod futex;
mod identity;
mod inotify;
mod io;
mod kernel_log;
mod lock;
mod memfd;
mod memory;
mod misc;
mod mount;
mod msg;
mod names;
mod owner;
mod pidfd;
mod pipe;
mod policy;
mod poll;
mod power;
mod prctl;
mod process;
mod process_vm;
mod ptrace;
mod restart;
mod schedule;
mod select;
mod sem;
mod shm;
mod signal;
mod socket;
mod socket_option;
mod splice;
mod time;
mod timer;
mod transfer;
mod xattr;

use crate::process::Thread;
use crate::process::deliver::Interrupted;
use abi::Errno;
use abi::signal::{Sigaction, SigaltStack};
use abi::socket::Msghdr;
use alloc::sync::Arc;
use argument::{Argument, Fd, Kind, UserIn, UserOut, UserPath};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::user::UserContext;

/// What a handler works for.
pub struct Caller<'a> {
    /// The thread that called.
    pub thread: &'a Arc<Thread>,
    /// Its registers.
    pub context: &'a mut UserContext,
}

impl Caller<'_> {
    /// Whether it may do what this capability allows.
    fn has(&self, capability: u32) -> bool {
        self.thread.process().credentials().has(capability)
    }

    /// EPERM if it may not.
    fn needs(&self, capability: u32) -> Result<(), Errno> {
        if self.has(capability) { Ok(()) } else { Err(Errno::EPERM) }
    }
}

/// Result of a system call.
pub type SyscallResult = Result<u64, Errno>;

/// What the arguments of a call are.
type Shape = [Kind; 6];

const fn shape_of(given: &[Kind]) -> Shape {
    let mut shape = [Kind::None; 6];
    let (same, _) = shape.split_at_mut(given.len());
    same.copy_from_slice(given);
    shape
}

macro_rules! syscalls {
    ($($number:literal => $module:ident::$name:ident($($argument:ident: $type:ty),*);)*) => {
        static SHAPES: &[(u16, Shape)] = &[$(($number, shape_of(&[$(<$type as Argument>::KIND),*]))),*];

        #[inline(always)] // for the same reason as `handle`
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
    13 => signal::rt_sigaction(signal: i32, new: UserIn<Sigaction>, old: UserOut<Sigaction>, size: usize);
    14 => signal::rt_sigprocmask(how: u32, new: UserIn<abi::signal::SigSet>, old: UserOut<abi::signal::SigSet>, size: usize);
    15 => signal::rt_sigreturn();
    16 => io::ioctl(fd: Fd, command: u32, argument: u64);
    17 => io::pread64(fd: Fd, buffer: UserOut<u8>, len: usize, offset: i64);
    18 => io::pwrite64(fd: Fd, buffer: UserIn<u8>, len: usize, offset: i64);
    19 => io::readv(fd: Fd, vectors: u64, count: usize);
    20 => io::writev(fd: Fd, vectors: u64, count: usize);
    21 => file::access(path: UserPath, mode: u32);
    22 => pipe::pipe(out: UserOut<[i32; 2]>);
    23 => select::select(count: i32, read: u64, write: u64, except: u64, timeout: UserOut<abi::time::Timeval>);
    24 => schedule::sched_yield();
    25 => memory::mremap(start: u64, len: u64, new_len: u64, flags: u32, to: u64);
    26 => memory::msync(address: u64, len: u64, flags: u32);
    27 => memory::mincore(start: u64, len: u64, out: u64);
    28 => memory::madvise(address: u64, len: u64, advice: u32);
    29 => shm::shmget(key: i32, size: usize, flags: u32);
    30 => shm::shmat(id: i32, address: u64, flags: u32);
    31 => shm::shmctl(id: i32, command: i32, buffer: u64);
    32 => file::dup(fd: Fd);
    33 => file::dup2(old: Fd, new: Fd);
    34 => signal::pause();
    35 => time::nanosleep(wanted: UserIn<abi::time::Timespec>, left: UserOut<abi::time::Timespec>);
    36 => timer::getitimer(which: u32, out: UserOut<abi::time::Itimerval>);
    37 => timer::alarm(seconds: u32);
    38 => timer::setitimer(which: u32, new: UserIn<abi::time::Itimerval>, old: UserOut<abi::time::Itimerval>);
    39 => identity::getpid();
    40 => transfer::sendfile(to: Fd, from: Fd, offset: u64, count: usize);
    41 => socket::socket(family: i32, kind: u32, protocol: i32);
    42 => socket::connect(fd: Fd, name: u64, size: i32);
    43 => socket::accept(fd: Fd, name: u64, size: UserOut<i32>);
    44 => socket::sendto(fd: Fd, buffer: UserIn<u8>, len: usize, flags: u32, name: u64, size: i32);
    45 => socket::recvfrom(fd: Fd, buffer: UserOut<u8>, len: usize, flags: u32, name: u64, size: UserOut<i32>);
    46 => socket::sendmsg(fd: Fd, message: UserIn<Msghdr>, flags: u32);
    47 => socket::recvmsg(fd: Fd, message: UserOut<Msghdr>, flags: u32);
    48 => socket::shutdown(fd: Fd, how: u32);
    49 => socket::bind(fd: Fd, name: u64, size: i32);
    50 => socket::listen(fd: Fd, backlog: i32);
    51 => socket::getsockname(fd: Fd, name: u64, size: UserOut<i32>);
    52 => socket::getpeername(fd: Fd, name: u64, size: UserOut<i32>);
    53 => socket::socketpair(family: i32, kind: u32, protocol: i32, out: UserOut<[i32; 2]>);
    54 => socket_option::setsockopt(fd: Fd, level: u32, option: u32, value: u64, size: i32);
    55 => socket_option::getsockopt(fd: Fd, level: u32, option: u32, value: u64, size: UserOut<i32>);
    56 => process::clone(flags: u64, stack: u64, parent_tid: u64, child_tid: u64, tls: u64);
    57 => process::fork();
    58 => process::vfork();
    59 => process::execve(path: UserPath, args: u64, env: u64);
    60 => process::exit(status: u32);
    61 => process::wait4(pid: i32, status: UserOut<i32>, options: u32, usage: UserOut<abi::system::Rusage>);
    62 => signal::kill(pid: i32, signal: i32);
    63 => misc::uname(out: UserOut<abi::system::Utsname>);
    64 => sem::semget(key: i32, count: i32, flags: u32);
    65 => sem::semop(id: i32, operations: UserIn<abi::ipc::Sembuf>, count: u32);
    66 => sem::semctl(id: i32, number: i32, command: i32, argument: u64);
    67 => shm::shmdt(address: u64);
    68 => msg::msgget(key: i32, flags: u32);
    69 => msg::msgsnd(id: i32, message: UserIn<i64>, size: usize, flags: u32);
    70 => msg::msgrcv(id: i32, message: UserOut<i64>, size: usize, kind: i64, flags: u32);
    71 => msg::msgctl(id: i32, command: i32, buffer: u64);
    72 => file::fcntl(fd: Fd, command: u32, argument: u64);
    73 => lock::flock(fd: Fd, operation: u32);
    74 => io::fsync(fd: Fd);
    75 => io::fdatasync(fd: Fd);
    76 => attributes::truncate(path: UserPath, len: i64);
    77 => attributes::ftruncate(fd: Fd, len: i64);
    78 => directory::getdents(fd: Fd, buffer: UserOut<u8>, len: u32);
    79 => directory::getcwd(buffer: UserOut<u8>, len: usize);
    80 => directory::chdir(path: UserPath);
    81 => directory::fchdir(fd: Fd);
    82 => names::rename(old: UserPath, new: UserPath);
    83 => names::mkdir(path: UserPath, mode: u32);
    84 => names::rmdir(path: UserPath);
    85 => file::creat(path: UserPath, mode: u32);
    86 => names::link(old: UserPath, new: UserPath);
    87 => names::unlink(path: UserPath);
    88 => names::symlink(target: UserPath, path: UserPath);
    89 => directory::readlink(path: UserPath, buffer: UserOut<u8>, len: usize);
    90 => attributes::chmod(path: UserPath, mode: u32);
    91 => attributes::fchmod(fd: Fd, mode: u32);
    92 => attributes::chown(path: UserPath, user: u32, group: u32);
    93 => attributes::fchown(fd: Fd, user: u32, group: u32);
    94 => attributes::lchown(path: UserPath, user: u32, group: u32);
    95 => identity::umask(mask: u32);
    96 => time::gettimeofday(out: UserOut<abi::time::Timeval>, zone: u64);
    97 => identity::getrlimit(resource: u32, out: UserOut<abi::system::Rlimit64>);
    98 => identity::getrusage(who: i32, out: UserOut<abi::system::Rusage>);
    99 => misc::sysinfo(out: UserOut<abi::system::Sysinfo>);
    100 => time::times(out: UserOut<abi::system::Tms>);
    101 => ptrace::ptrace(request: u32, tid: i32, address: u64, data: u64);
    102 => identity::getuid();
    103 => kernel_log::syslog(action: u32, buffer: UserOut<u8>, len: i32);
    104 => identity::getgid();
    105 => identity::setuid(id: u32);
    106 => identity::setgid(id: u32);
    107 => identity::geteuid();
    108 => identity::getegid();
    109 => identity::setpgid(pid: u32, group: u32);
    110 => identity::getppid();
    111 => identity::getpgrp();
    112 => identity::setsid();
    113 => identity::setreuid(real: u32, effective: u32);
    114 => identity::setregid(real: u32, effective: u32);
    115 => identity::getgroups(count: i32, out: u64);
    116 => identity::setgroups(count: i32, groups: u64);
    117 => identity::setresuid(real: u32, effective: u32, saved: u32);
    118 => identity::getresuid(real: UserOut<u32>, effective: UserOut<u32>, saved: UserOut<u32>);
    119 => identity::setresgid(real: u32, effective: u32, saved: u32);
    120 => identity::getresgid(real: UserOut<u32>, effective: UserOut<u32>, saved: UserOut<u32>);
    121 => identity::getpgid(pid: u32);
    122 => identity::setfsuid(id: u32);
    123 => identity::setfsgid(id: u32);
    124 => identity::getsid(pid: u32);
    125 => capability::capget(header: UserIn<abi::capability::CapHeader>, data: UserOut<abi::capability::CapData>);
    126 => capability::capset(header: UserIn<abi::capability::CapHeader>, data: UserIn<abi::capability::CapData>);
    127 => signal::rt_sigpending(out: UserOut<abi::signal::SigSet>, size: usize);
    128 => signal::rt_sigtimedwait(set: UserIn<abi::signal::SigSet>, info: UserOut<abi::sigframe::Siginfo>, timeout: UserIn<abi::time::Timespec>, size: usize);
    129 => signal::rt_sigqueueinfo(pid: i32, signal: i32, info: UserIn<abi::sigframe::Siginfo>);
    130 => signal::rt_sigsuspend(set: UserIn<abi::signal::SigSet>, size: usize);
    131 => signal::sigaltstack(new: UserIn<SigaltStack>, old: UserOut<SigaltStack>);
    132 => attributes::utime(path: UserPath, times: UserIn<i64>);
    133 => names::mknod(path: UserPath, mode: u32, device: u64);
    135 => misc::personality(persona: u32);
    137 => mount::statfs(path: UserPath, out: UserOut<abi::fs::Statfs>);
    138 => mount::fstatfs(fd: Fd, out: UserOut<abi::fs::Statfs>);
    140 => schedule::getpriority(which: u32, who: u32);
    141 => schedule::setpriority(which: u32, who: u32, nice: i32);
    142 => policy::sched_setparam(pid: u32, param: UserIn<i32>);
    143 => policy::sched_getparam(pid: u32, param: UserOut<i32>);
    144 => policy::sched_setscheduler(pid: u32, policy: u32, param: UserIn<i32>);
    145 => policy::sched_getscheduler(pid: u32);
    146 => policy::sched_get_priority_max(policy: u32);
    147 => policy::sched_get_priority_min(policy: u32);
    148 => policy::sched_rr_get_interval(pid: u32, out: UserOut<abi::time::Timespec>);
    149 => memory::mlock(start: u64, len: u64);
    150 => memory::munlock(start: u64, len: u64);
    151 => memory::mlockall(flags: u32);
    152 => memory::munlockall();
    157 => prctl::prctl(option: u32, argument: u64, third: u64, fourth: u64, fifth: u64);
    158 => misc::arch_prctl(code: u32, address: u64);
    160 => identity::setrlimit(resource: u32, new: UserIn<abi::system::Rlimit64>);
    161 => mount::chroot(path: UserPath);
    162 => io::sync();
    164 => time::settimeofday(new: UserIn<abi::time::Timeval>, zone: u64);
    165 => mount::mount(source: u64, at: UserPath, kind: u64, flags: u64, data: u64);
    166 => mount::umount2(at: UserPath, flags: u32);
    169 => power::reboot(magic: u32, magic_2: u32, what: u32, argument: u64);
    186 => identity::gettid();
    188 => xattr::setxattr(path: UserPath, name: u64, value: u64, size: usize, flags: u32);
    189 => xattr::lsetxattr(path: UserPath, name: u64, value: u64, size: usize, flags: u32);
    190 => xattr::fsetxattr(fd: Fd, name: u64, value: u64, size: usize, flags: u32);
    191 => xattr::getxattr(path: UserPath, name: u64, value: u64, size: usize);
    192 => xattr::lgetxattr(path: UserPath, name: u64, value: u64, size: usize);
    193 => xattr::fgetxattr(fd: Fd, name: u64, value: u64, size: usize);
    194 => xattr::listxattr(path: UserPath, list: u64, size: usize);
    195 => xattr::llistxattr(path: UserPath, list: u64, size: usize);
    196 => xattr::flistxattr(fd: Fd, list: u64, size: usize);
    197 => xattr::removexattr(path: UserPath, name: u64);
    198 => xattr::lremovexattr(path: UserPath, name: u64);
    199 => xattr::fremovexattr(fd: Fd, name: u64);
    200 => signal::tkill(tid: i32, signal: i32);
    201 => time::time(out: UserOut<i64>);
    202 => futex::futex(word: u64, operation: u32, value: u32, timeout: u64, second: u64, third: u32);
    203 => schedule::sched_setaffinity(pid: u32, len: usize, mask: UserIn<u64>);
    204 => schedule::sched_getaffinity(pid: u32, len: usize, out: UserOut<u8>);
    213 => epoll::epoll_create(size: i32);
    217 => directory::getdents64(fd: Fd, buffer: UserOut<u8>, len: usize);
    218 => misc::set_tid_address(address: u64);
    220 => sem::semtimedop(id: i32, operations: UserIn<abi::ipc::Sembuf>, count: u32, timeout: UserIn<abi::time::Timespec>);
    221 => io::fadvise64(fd: Fd, offset: u64, len: u64, advice: u32);
    222 => timer::timer_create(clock: u32, event: UserIn<abi::signal::Sigevent>, out: UserOut<i32>);
    223 => timer::timer_settime(id: i32, flags: u32, new: UserIn<abi::time::Itimerspec>, old: UserOut<abi::time::Itimerspec>);
    224 => timer::timer_gettime(id: i32, out: UserOut<abi::time::Itimerspec>);
    225 => timer::timer_getoverrun(id: i32);
    226 => timer::timer_delete(id: i32);
    227 => time::clock_settime(clock: u32, new: UserIn<abi::time::Timespec>);
    228 => time::clock_gettime(clock: u32, out: UserOut<abi::time::Timespec>);
    229 => time::clock_getres(clock: u32, out: UserOut<abi::time::Timespec>);
    230 => time::clock_nanosleep(clock: u32, flags: u32, wanted: UserIn<abi::time::Timespec>, left: UserOut<abi::time::Timespec>);
    231 => process::exit_group(status: u32);
    232 => epoll::epoll_wait(instance: Fd, events: u64, most: i32, timeout_ms: i32);
    233 => epoll::epoll_ctl(instance: Fd, operation: u32, fd: Fd, event: UserIn<abi::poll::EpollEvent>);
    234 => signal::tgkill(pid: i32, tid: i32, signal: i32);
    235 => attributes::utimes(path: UserPath, times: UserIn<abi::time::Timeval>);
    247 => process::waitid(which: u32, id: i32, info: UserOut<abi::sigframe::Siginfo>, options: u32, usage: UserOut<abi::system::Rusage>);
    253 => inotify::inotify_init();
    254 => inotify::inotify_add_watch(fd: Fd, path: UserPath, mask: u32);
    255 => inotify::inotify_rm_watch(fd: Fd, number: i32);
    257 => file::openat(directory: Fd, path: UserPath, flags: u32, mode: u32);
    258 => names::mkdirat(directory: Fd, path: UserPath, mode: u32);
    259 => names::mknodat(directory: Fd, path: UserPath, mode: u32, device: u64);
    260 => attributes::fchownat(directory: Fd, path: UserPath, user: u32, group: u32, flags: u32);
    261 => attributes::futimesat(directory: Fd, path: UserPath, times: UserIn<abi::time::Timeval>);
    262 => file::newfstatat(directory: Fd, path: UserPath, out: UserOut<abi::fs::Stat>, flags: u32);
    263 => names::unlinkat(directory: Fd, path: UserPath, flags: u32);
    264 => names::renameat(old_directory: Fd, old: UserPath, new_directory: Fd, new: UserPath);
    265 => names::linkat(old_directory: Fd, old: UserPath, new_directory: Fd, new: UserPath, flags: u32);
    266 => names::symlinkat(target: UserPath, directory: Fd, path: UserPath);
    267 => directory::readlinkat(base: Fd, path: UserPath, buffer: UserOut<u8>, len: usize);
    268 => attributes::fchmodat(directory: Fd, path: UserPath, mode: u32);
    269 => file::faccessat(directory: Fd, path: UserPath, mode: u32);
    270 => select::pselect6(count: i32, read: u64, write: u64, except: u64, timeout: UserOut<abi::time::Timespec>, mask: u64);
    271 => poll::ppoll(fds: u64, count: u32, timeout: UserOut<abi::time::Timespec>, mask: UserIn<abi::signal::SigSet>, size: usize);
    272 => process::unshare(flags: u64);
    273 => futex::set_robust_list(head: u64, len: usize);
    274 => futex::get_robust_list(tid: u32, head: UserOut<u64>, len: UserOut<u64>);
    275 => splice::splice(from: Fd, from_offset: u64, to: Fd, to_offset: u64, len: usize, flags: u32);
    276 => splice::tee(from: Fd, to: Fd, len: usize, flags: u32);
    278 => splice::vmsplice(fd: Fd, vectors: u64, count: usize, flags: u32);
    280 => attributes::utimensat(directory: Fd, path: UserPath, times: UserIn<abi::time::Timespec>, flags: u32);
    281 => epoll::epoll_pwait(instance: Fd, events: u64, most: i32, timeout_ms: i32, mask: UserIn<abi::signal::SigSet>, size: usize);
    282 => event::signalfd(fd: Fd, mask: UserIn<abi::signal::SigSet>, size: usize);
    283 => event::timerfd_create(clock: u32, flags: u32);
    284 => event::eventfd(count: u32);
    285 => attributes::fallocate(fd: Fd, mode: u32, offset: i64, len: i64);
    286 => event::timerfd_settime(fd: Fd, flags: u32, new: UserIn<abi::time::Itimerspec>, old: UserOut<abi::time::Itimerspec>);
    287 => event::timerfd_gettime(fd: Fd, out: UserOut<abi::time::Itimerspec>);
    288 => socket::accept4(fd: Fd, name: u64, size: UserOut<i32>, flags: u32);
    289 => event::signalfd4(fd: Fd, mask: UserIn<abi::signal::SigSet>, size: usize, flags: u32);
    290 => event::eventfd2(count: u32, flags: u32);
    291 => epoll::epoll_create1(flags: u32);
    292 => file::dup3(old: Fd, new: Fd, flags: u32);
    293 => pipe::pipe2(out: UserOut<[i32; 2]>, flags: u32);
    294 => inotify::inotify_init1(flags: u32);
    295 => transfer::preadv(fd: Fd, vectors: u64, count: usize, low: u64, high: u64);
    296 => transfer::pwritev(fd: Fd, vectors: u64, count: usize, low: u64, high: u64);
    297 => signal::rt_tgsigqueueinfo(pid: i32, tid: i32, signal: i32, info: UserIn<abi::sigframe::Siginfo>);
    299 => socket::recvmmsg(fd: Fd, messages: u64, count: u32, flags: u32, timeout: UserOut<abi::time::Timespec>);
    302 => identity::prlimit64(pid: u32, resource: u32, new: UserIn<abi::system::Rlimit64>, old: UserOut<abi::system::Rlimit64>);
    306 => mount::syncfs(fd: Fd);
    307 => socket::sendmmsg(fd: Fd, messages: u64, count: u32, flags: u32);
    309 => schedule::getcpu(cpu: UserOut<u32>, node: UserOut<u32>);
    310 => process_vm::process_vm_readv(pid: i32, local: u64, local_count: usize, remote: u64, remote_count: usize, flags: u64);
    311 => process_vm::process_vm_writev(pid: i32, local: u64, local_count: usize, remote: u64, remote_count: usize, flags: u64);
    314 => policy::sched_setattr(tid: u32, attr: u64, flags: u32);
    315 => policy::sched_getattr(tid: u32, attr: u64, size: u32, flags: u32);
    316 => names::renameat2(old_directory: Fd, old: UserPath, new_directory: Fd, new: UserPath, flags: u32);
    318 => misc::getrandom(buffer: UserOut<u8>, len: usize, flags: u32);
    319 => memfd::memfd_create(name: UserPath, flags: u32);
    322 => process::execveat(directory: Fd, path: UserPath, args: u64, env: u64, flags: u32);
    324 => schedule::membarrier(command: u32, flags: u32);
    325 => memory::mlock2(start: u64, len: u64, flags: u32);
    326 => transfer::copy_file_range(from: Fd, from_offset: u64, to: Fd, to_offset: u64, count: usize, flags: u32);
    327 => transfer::preadv2(fd: Fd, vectors: u64, count: usize, low: u64, high: u64, flags: u32);
    328 => transfer::pwritev2(fd: Fd, vectors: u64, count: usize, low: u64, high: u64, flags: u32);
    332 => file::statx(directory: Fd, path: UserPath, flags: u32, mask: u32, out: UserOut<abi::fs::Statx>);
    334 => misc::rseq(area: u64, len: u32, flags: u32, signature: u32);
    424 => pidfd::pidfd_send_signal(pidfd: Fd, signal: i32, info: UserIn<abi::sigframe::Siginfo>, flags: u32);
    434 => pidfd::pidfd_open(pid: i32, flags: u32);
    435 => process::clone3(args: u64, size: usize);
    436 => file::close_range(first: u32, last: u32, flags: u32);
    437 => file::openat2(directory: Fd, path: UserPath, how: u64, size: usize);
    438 => pidfd::pidfd_getfd(pidfd: Fd, fd: Fd, flags: u32);
    439 => file::faccessat2(directory: Fd, path: UserPath, mode: u32, flags: u32);
    441 => epoll::epoll_pwait2(instance: Fd, events: u64, most: i32, timeout: UserIn<abi::time::Timespec>, mask: UserIn<abi::signal::SigSet>, size: usize);
}

/// What the arguments of call `number` are; None if there is no such call here.
fn shape(number: u64) -> Option<&'static Shape> {
    SHAPES.iter().find(|(known, _)| u64::from(*known) == number).map(|(_, shape)| shape)
}

/// Serves the call that the context holds, and leaves its result there; tells if a signal interrupted it.
#[inline(always)] // into the loop that every call comes through: there are no registers to save
pub fn handle(thread: &Arc<Thread>, context: &mut UserContext) -> Option<Interrupted> {
    let (number, arguments) = (context.syscall_number(), context.syscall_arguments());
    let mut caller = Caller { thread, context };
    let result = dispatch(&mut caller, number, arguments);
    context.set_result(match result {
        Ok(value) => value,
        Err(error) => error.to_ret(),
    });
    let interrupted = result == Err(Errno::EINTR);
    interrupted.then(|| Interrupted { number, restart: restart::of(&Caller { thread, context }, number, &arguments) })
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
