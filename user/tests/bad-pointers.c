// Gives system calls every kind of bad pointer: null, unmapped, into the kernel, non-canonical, wrapping round, and a
// buffer whose second page is missing. Each must be EFAULT (or the part that fits), and the program must live on.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static const uintptr_t bad[] = {
    0,
    1,
    0x1000,
    0x00007ffffffff000, // the page below 2^47, which a program cannot have
    0x0000800000000000, // the first non-canonical address
    0x8000000000000000,
    0xffff800000000000,
    0xffff800000100000,
    0xffffffff80100000,
    0xfffffffffffff000,
    0xffffffffffffffff,
};

static void whole_pointers(const char *file)
{
    int fd = open(file, O_RDONLY);
    CHECK(fd >= 0);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *p = (void *)bad[i];
        CHECK_ERRNO(syscall(SYS_pread64, fd, p, 5, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_uname, p), EFAULT);
        CHECK_ERRNO(syscall(SYS_openat, AT_FDCWD, p, O_RDONLY), EFAULT);
        CHECK_ERRNO(syscall(SYS_fstat, fd, p), EFAULT);
        CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p), EFAULT);
        CHECK_ERRNO(syscall(SYS_nanosleep, p, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_getrandom, p, 8, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_getcwd, p, 64), EFAULT);
        CHECK_ERRNO(syscall(SYS_chdir, p), EFAULT);
        CHECK_ERRNO(syscall(SYS_writev, 1, p, 1), EFAULT);
        CHECK_ERRNO(syscall(SYS_write, 1, p, 5), EFAULT);
    }
    close(fd);
}

// A buffer that begins well and ends in a page that is not there.
static void crossing(const char *file)
{
    char *two = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(two != MAP_FAILED);
    CHECK(munmap(two + PAGE, PAGE) == 0);

    CHECK_ERRNO(syscall(SYS_uname, two + PAGE - 8), EFAULT);
    CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, two + PAGE - 8), EFAULT);
    memset(two, 'x', PAGE);
    CHECK_ERRNO(syscall(SYS_openat, AT_FDCWD, two + PAGE - 16, O_RDONLY), EFAULT);
    // A path that ends just before the border is read no further than its end.
    strcpy(two + PAGE - 2, ".");
    int fd = (int)syscall(SYS_openat, AT_FDCWD, two + PAGE - 2, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    close(fd);
    // A read into it gives what fits, or EFAULT; never more.
    fd = open(file, O_RDONLY);
    long got = syscall(SYS_read, fd, two + PAGE - 4, 8);
    CHECK(got == 4 || (got == -1 && errno == EFAULT));
    close(fd);
}

// The same at every distance from the border that a copy may treat in its own way: whole blocks, words, bytes. What is
// said to be copied must be there, up to the last byte.
static void crossing_anywhere(const char *program)
{
    enum { LEN = 300 };
    char wanted[LEN], back[LEN];
    char *two = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(two != MAP_FAILED && munmap(two + PAGE, PAGE) == 0);
    int fd = open(program, O_RDONLY), ends[2];
    CHECK(fd >= 0 && pipe(ends) == 0);
    CHECK(pread(fd, wanted, LEN, 1) == LEN);
    for (long fits = 1; fits < LEN; fits++) {
        char *at = two + PAGE - fits;
        memset(at, 0, fits);
        CHECK(syscall(SYS_pread64, fd, at, LEN, 1) == fits && memcmp(at, wanted, fits) == 0);
        // Of a write, Linux may take what it can read, or nothing.
        memcpy(at, wanted, fits);
        long taken = syscall(SYS_write, ends[1], at, LEN);
        CHECK(taken == fits || (taken == -1 && errno == EFAULT));
        if (taken > 0)
            CHECK(read(ends[0], back, LEN) == taken && memcmp(back, wanted, taken) == 0);
    }
    close(ends[0]);
    close(ends[1]);
    close(fd);
}

// Read-only memory is as bad a destination as none.
static void read_only(const char *file)
{
    char *page = mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    int fd = open(file, O_RDONLY);
    CHECK_ERRNO(syscall(SYS_read, fd, page, 4), EFAULT);
    CHECK_ERRNO(syscall(SYS_uname, page), EFAULT);
    CHECK_ERRNO(syscall(SYS_uname, (void *)read_only), EFAULT);
    CHECK(page[0] == 0);
    char *none = mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(none != MAP_FAILED);
    CHECK_ERRNO(syscall(SYS_uname, none), EFAULT);
    CHECK_ERRNO(syscall(SYS_write, 1, none, 4), EFAULT);
    close(fd);
}

// A length of 0 touches nothing; a descriptor that is bad is noticed before a pointer that is.
static void order_of_checks(const char *file)
{
    int fd = open(file, O_RDONLY);
    CHECK(syscall(SYS_read, fd, (void *)1, 0) == 0);
    CHECK_ERRNO(syscall(SYS_read, 1000, (void *)1, 4), EBADF);
    CHECK_ERRNO(syscall(SYS_write, -1, (void *)1, 4), EBADF);
    close(fd);
}

// Arguments of a row: a pointer; one that may be null; a path. One of them is bad at a time.
enum { P = 0x5eed0001, N, S };

static char scratch[PAGE] __attribute__((aligned(PAGE)));

// Each bad pointer in each place that takes one gives EFAULT, or what the kernel notices first.
static void bad_row(const char *name, int line, int other, long number, const long *given)
{
    for (int place = 0; place < 6; place++) {
        if (given[place] != P && given[place] != N && given[place] != S)
            continue;
        for (unsigned i = given[place] == N; i < sizeof bad / sizeof *bad; i++) {
            long a[6];
            memset(scratch, 0, sizeof scratch);
            for (int at = 0; at < 6; at++)
                a[at] = at == place ? (long)bad[i]
                      : given[at] == S ? (long)"/proc/self/exe"
                      : given[at] == P || given[at] == N ? (long)scratch
                                                         : given[at];
            errno = 0;
            long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
            if (result == -1 && (errno == EFAULT || (other && errno == other))) {
                checks_passed++;
            } else {
                checks_failed++;
                printf("line %d: %s with %#lx as argument %d gave %ld (%s)\n", line, name, (long)bad[i], place, result, strerror(errno));
            }
        }
    }
}
#define BAD_OR(other, number, ...) bad_row(#number, __LINE__, (other), (number), (const long[6]){__VA_ARGS__})
#define BAD(number, ...) BAD_OR(0, number, __VA_ARGS__)

static void paths(void)
{
    BAD(SYS_open, S, O_RDONLY);
    BAD(SYS_creat, S, 0600);
    BAD(SYS_stat, S, P);
    BAD(SYS_lstat, S, P);
    BAD(SYS_access, S, 0);
    BAD(SYS_truncate, S, 0);
    BAD(SYS_chdir, S);
    BAD(SYS_chroot, S);
    BAD(SYS_rename, S, S);
    BAD(SYS_mkdir, S, 0700);
    BAD(SYS_rmdir, S);
    BAD(SYS_link, S, S);
    BAD(SYS_unlink, S);
    BAD(SYS_symlink, S, S);
    BAD(SYS_readlink, S, P, 10);
    BAD(SYS_chmod, S, 0700);
    BAD(SYS_chown, S, -1, -1);
    BAD(SYS_lchown, S, -1, -1);
    BAD(SYS_mknod, S, S_IFREG | 0600, 0);
    BAD(SYS_statfs, S, P);
    BAD(SYS_utime, S, N);
    BAD(SYS_utimes, S, N);
    BAD(SYS_futimesat, AT_FDCWD, S, N);
    BAD(SYS_utimensat, AT_FDCWD, S, N, 0);
    BAD(SYS_openat, AT_FDCWD, S, O_RDONLY);
    BAD(SYS_openat2, AT_FDCWD, S, P, 24);
    BAD(SYS_mkdirat, AT_FDCWD, S, 0700);
    BAD(SYS_mknodat, AT_FDCWD, S, S_IFREG | 0600, 0);
    BAD(SYS_fchownat, AT_FDCWD, S, -1, -1, 0);
    BAD(SYS_fchmodat, AT_FDCWD, S, 0700);
    BAD(SYS_newfstatat, AT_FDCWD, S, P, 0);
    BAD(SYS_statx, AT_FDCWD, S, 0, 0x7ff, P);
    BAD(SYS_unlinkat, AT_FDCWD, S, 0);
    BAD(SYS_renameat, AT_FDCWD, S, AT_FDCWD, S);
    BAD(SYS_renameat2, AT_FDCWD, S, AT_FDCWD, S, 0);
    BAD(SYS_linkat, AT_FDCWD, S, AT_FDCWD, S, 0);
    BAD(SYS_symlinkat, S, AT_FDCWD, S);
    BAD(SYS_readlinkat, AT_FDCWD, S, P, 10);
    BAD(SYS_faccessat, AT_FDCWD, S, 0);
    BAD(SYS_faccessat2, AT_FDCWD, S, 0, 0);
    BAD(SYS_execve, S, N, N);
    BAD(SYS_execveat, AT_FDCWD, S, N, N, 0);
    BAD(SYS_mount, N, S, N, 0, N);
    BAD(SYS_umount2, S, 0);
    BAD(SYS_getcwd, P, 64);
    long name = (long)"user.x", path = (long)"/proc/self/exe";
    BAD(SYS_setxattr, S, name, P, 1, 0);
    BAD(SYS_lsetxattr, S, name, P, 1, 0);
    BAD(SYS_setxattr, path, P, (long)scratch, 1, 0);
    BAD(SYS_lsetxattr, path, P, (long)scratch, 1, 0);
    BAD(SYS_getxattr, S, name, 0, 0);
    BAD(SYS_lgetxattr, S, name, 0, 0);
    BAD(SYS_getxattr, path, P, 0, 0);
    BAD(SYS_lgetxattr, path, P, 0, 0);
    BAD(SYS_listxattr, S, 0, 0);
    BAD(SYS_llistxattr, S, 0, 0);
    BAD(SYS_removexattr, S, name);
    BAD(SYS_lremovexattr, S, name);
    BAD(SYS_removexattr, path, P);
    BAD(SYS_lremovexattr, path, P);
}

static int unnamed(void)
{
    char path[] = "/tmp/bad-pointers-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    return fd;
}

static void files(void)
{
    int file = unnamed(), other = unnamed(), directory = open("/", O_RDONLY | O_DIRECTORY);
    CHECK(file >= 0 && other >= 0 && directory >= 0 && write(file, scratch, 100) == 100 && lseek(file, 0, SEEK_SET) == 0);
    BAD(SYS_read, file, P, 4);
    BAD(SYS_write, file, P, 4);
    BAD(SYS_pread64, file, P, 4, 0);
    BAD(SYS_pwrite64, file, P, 4, 0);
    BAD(SYS_readv, file, P, 1);
    BAD(SYS_writev, file, P, 1);
    BAD(SYS_preadv, file, P, 1, 0, 0);
    BAD(SYS_pwritev, file, P, 1, 0, 0);
    BAD(SYS_preadv2, file, P, 1, 0, 0, 0);
    BAD(SYS_pwritev2, file, P, 1, 0, 0, 0);
    BAD(SYS_fstat, file, P);
    BAD(SYS_fstatfs, file, P);
    BAD(SYS_sendfile, other, file, N, 4);
    BAD(SYS_copy_file_range, file, N, other, N, 4, 0);
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], scratch, 100) == 100);
    BAD(SYS_splice, ends[0], 0, other, N, 4, 0);
    BAD(SYS_splice, file, N, ends[1], 0, 4, 0);
    BAD(SYS_vmsplice, ends[0], P, 1, 0);
    BAD(SYS_vmsplice, ends[1], P, 1, 0);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
    BAD(SYS_getdents, directory, P, 100);
    BAD(SYS_getdents64, directory, P, 100);
    BAD(SYS_fsetxattr, file, P, (long)scratch, 1, 0);
    BAD(SYS_fgetxattr, file, P, 0, 0);
    BAD(SYS_fremovexattr, file, P);
    BAD(SYS_fcntl, file, F_GETLK, P);
    int watcher = syscall(SYS_inotify_init1, 0);
    CHECK(watcher >= 0);
    BAD(SYS_inotify_add_watch, watcher, S, 2);
    close(watcher);
    CHECK(syscall(SYS_flistxattr, file, 1, 0) >= 0); // a length of 0 asks for the length
    close(file);
    close(other);
    close(directory);
}

static void sockets(void)
{
    int pair[2], stream = socket(AF_UNIX, SOCK_STREAM, 0), waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr family = {.sa_family = AF_UNIX};
    int size = 100;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && bind(waiting, &family, 2) == 0 && listen(waiting, 1) == 0);
    BAD(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, P);
    BAD(SYS_bind, stream, P, 100);
    BAD(SYS_connect, stream, P, 100);
    BAD(SYS_getsockname, pair[0], P, (long)&size);
    BAD(SYS_getsockname, pair[0], (long)scratch, P);
    BAD(SYS_getpeername, pair[0], P, (long)&size);
    BAD(SYS_getpeername, pair[0], (long)scratch, P);
    BAD(SYS_sendto, pair[0], P, 4, MSG_DONTWAIT, 0, 0);
    BAD(SYS_sendto, pair[0], (long)scratch, 4, MSG_DONTWAIT, N, 100);
    BAD(SYS_sendmsg, pair[0], P, MSG_DONTWAIT);
    BAD(SYS_sendmmsg, pair[0], P, 1, MSG_DONTWAIT);
    BAD(SYS_setsockopt, pair[0], SOL_SOCKET, SO_SNDBUF, P, 4);
    BAD(SYS_getsockopt, pair[0], SOL_SOCKET, SO_TYPE, P, (long)&size);
    BAD(SYS_getsockopt, pair[0], SOL_SOCKET, SO_TYPE, (long)scratch, P);
    BAD(SYS_recvmsg, pair[1], P, MSG_DONTWAIT);
    BAD(SYS_recvmmsg, pair[1], P, 1, MSG_DONTWAIT, 0);
    BAD(SYS_recvmmsg, pair[1], (long)scratch, 0, MSG_DONTWAIT, N);
    CHECK(write(pair[0], scratch, 100) == 100);
    BAD(SYS_recvfrom, pair[1], P, 4, MSG_DONTWAIT | MSG_PEEK, 0, 0);
    BAD(SYS_recvfrom, pair[1], (long)scratch, 4, MSG_DONTWAIT | MSG_PEEK, (long)scratch, P);
    for (unsigned i = 0; i < 2; i++) {
        // A connection waits each time, and is gone with its address.
        for (unsigned j = 0; j < sizeof bad / sizeof *bad; j++) {
            int client = socket(AF_UNIX, SOCK_STREAM, 0);
            struct sockaddr_storage own;
            socklen_t len = sizeof own;
            CHECK(getsockname(waiting, (void *)&own, &len) == 0 && connect(client, (void *)&own, len) == 0);
            if (i == 0)
                CHECK_ERRNO(syscall(SYS_accept, waiting, scratch, bad[j]), EFAULT);
            else
                CHECK_ERRNO(syscall(SYS_accept4, waiting, scratch, bad[j], 0), EFAULT);
            close(client);
        }
    }
    close(pair[0]);
    close(pair[1]);
    close(stream);
    close(waiting);
}

static void system_v(void)
{
    int segment = shmget(IPC_PRIVATE, 1, 0600), set = semget(IPC_PRIVATE, 2, 0600);
    BAD(SYS_shmctl, segment, IPC_STAT, P);
    BAD(SYS_shmctl, segment, IPC_SET, P);
    BAD(SYS_shmctl, 0, IPC_INFO, P);
    int queue = msgget(IPC_PRIVATE, 0600);
    BAD(SYS_msgsnd, queue, P, 1, IPC_NOWAIT);
    BAD_OR(ENOMSG, SYS_msgrcv, queue, P, 1, 0, IPC_NOWAIT);
    BAD(SYS_msgctl, queue, IPC_STAT, P);
    BAD(SYS_msgctl, queue, IPC_SET, P);
    BAD(SYS_msgctl, 0, IPC_INFO, P);
    CHECK(msgctl(queue, IPC_RMID, 0) == 0);
    BAD(SYS_semop, set, P, 1);
    BAD(SYS_semtimedop, set, P, 1, 0);
    BAD(SYS_semtimedop, set, (long)scratch, 1, N);
    BAD(SYS_semctl, set, 0, IPC_STAT, P);
    BAD(SYS_semctl, set, 0, IPC_SET, P);
    BAD(SYS_semctl, set, 0, GETALL, P);
    BAD(SYS_semctl, set, 0, SETALL, P);
    BAD(SYS_semctl, 0, 0, IPC_INFO, P);
    CHECK(shmctl(segment, IPC_RMID, 0) == 0 && semctl(set, 0, IPC_RMID) == 0);
}

static void waiting(void)
{
    int ready = eventfd(1, 0), epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(ready >= 0 && timer >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, ready, &event) == 0);
    BAD(SYS_pipe, P);
    BAD(SYS_pipe2, P, 0);
    BAD(SYS_memfd_create, P, 0);
    BAD(SYS_poll, P, 1, 0);
    BAD(SYS_ppoll, P, 1, N, N, 8);
    BAD(SYS_select, 1, N, N, N, N);
    BAD(SYS_pselect6, 1, N, N, N, N, N);
    BAD(SYS_epoll_ctl, epoll, EPOLL_CTL_MOD, ready, P);
    BAD(SYS_epoll_wait, epoll, P, 1, 0);
    BAD(SYS_epoll_pwait, epoll, P, 1, 0, N, 8);
    BAD(SYS_epoll_pwait2, epoll, P, 1, N, N, 8);
    BAD(SYS_signalfd, -1, P, 8);
    BAD(SYS_signalfd4, -1, P, 8, 0);
    BAD(SYS_timerfd_settime, timer, 0, P, N);
    BAD(SYS_timerfd_gettime, timer, P);
    BAD_OR(EINVAL, SYS_futex, P, 0, 0, 0); // not aligned
    BAD(SYS_futex, (long)scratch, 0, 1, N);
    BAD_OR(ECHILD, SYS_wait4, -1, N, 0, N);
    BAD(SYS_waitid, 0, 0, N, 4, 0);
    close(ready);
    close(epoll);
    close(timer);
}

static void times(void)
{
    int timer;
    CHECK(syscall(SYS_timer_create, CLOCK_MONOTONIC, 0, &timer) == 0);
    BAD(SYS_timer_create, CLOCK_MONOTONIC, N, (long)scratch);
    BAD(SYS_timer_create, CLOCK_MONOTONIC, 0, P);
    BAD(SYS_timer_settime, timer, 0, N, N);
    BAD(SYS_timer_gettime, timer, P);
    BAD(SYS_getitimer, 0, P);
    BAD(SYS_setitimer, 0, N, N);
    BAD(SYS_nanosleep, P, 0);
    BAD(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, P, 0);
    BAD(SYS_clock_gettime, CLOCK_MONOTONIC, P);
    BAD(SYS_clock_getres, CLOCK_MONOTONIC, N);
    BAD(SYS_clock_settime, CLOCK_REALTIME, P);
    BAD(SYS_gettimeofday, N, N);
    BAD(SYS_settimeofday, N, N);
    BAD(SYS_time, N);
    BAD(SYS_times, N);
    CHECK(syscall(SYS_timer_delete, timer) == 0);
}

static void processes(void)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct { unsigned version; int pid; } header = {0x20080522, 0};
    CHECK(self >= 0);
    BAD(SYS_rt_sigaction, SIGUSR1, N, N, 8);
    BAD(SYS_rt_sigprocmask, SIG_BLOCK, N, N, 8);
    BAD(SYS_rt_sigpending, P, 8);
    BAD(SYS_rt_sigsuspend, P, 8);
    BAD(SYS_rt_sigtimedwait, P, 0, N, 8);
    BAD(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, P);
    BAD(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, P);
    BAD(SYS_pidfd_send_signal, self, SIGUSR1, N, 0);
    BAD(SYS_sigaltstack, N, 0);
    BAD(SYS_sigaltstack, 0, N);
    BAD(SYS_clone3, P, 64);
    BAD(SYS_getrlimit, 4, P);
    BAD(SYS_setrlimit, 4, P);
    BAD(SYS_prlimit64, 0, 4, N, N);
    BAD(SYS_getrusage, 0, P);
    BAD(SYS_sysinfo, P);
    BAD(SYS_uname, P);
    BAD(SYS_getresuid, P, P, P);
    BAD(SYS_getresgid, P, P, P);
    BAD_OR(EPERM, SYS_setgroups, 1, P);
    // Where the log is another one's, or empty, no pointer is looked at.
    if (syscall(SYS_syslog, 3, scratch, PAGE) > 0)
        BAD(SYS_syslog, 3, N, PAGE);
    long groups = syscall(SYS_getgroups, 0, 0);
    CHECK(groups == 0 || (syscall(SYS_getgroups, groups, 8) == -1 && errno == EFAULT));
    BAD(SYS_capget, P, (long)scratch);
    BAD(SYS_capget, (long)&header, N);
    BAD(SYS_capset, P, (long)scratch);
    BAD(SYS_capset, (long)&header, P);
    BAD(SYS_sched_setparam, 0, N);
    BAD(SYS_sched_getparam, 0, N);
    BAD(SYS_sched_setscheduler, 0, 0, N);
    BAD(SYS_sched_rr_get_interval, 0, P);
    BAD(SYS_sched_setaffinity, 0, 8, P);
    BAD(SYS_sched_getaffinity, 0, 128, P);
    BAD(SYS_sched_setattr, 0, N, 0);
    BAD(SYS_sched_getattr, 0, N, 48, 0);
    BAD(SYS_get_robust_list, 0, P, P);
    BAD(SYS_getcpu, N, N);
    BAD(SYS_getrandom, P, 8, 0);
    BAD(SYS_mincore, (long)scratch, PAGE, P);
    BAD(SYS_prctl, PR_SET_NAME, P);
    BAD(SYS_arch_prctl, 0x1003, P); // ARCH_GET_FS
    close(self);
    pid_t tracee = fork();
    if (tracee == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        _exit(0);
    }
    CHECK(waitpid(tracee, 0, 0) == tracee);
    BAD(SYS_process_vm_readv, tracee, P, 1, (long)scratch, 1, 0);
    BAD(SYS_process_vm_writev, tracee, P, 1, (long)scratch, 1, 0);
    BAD(SYS_ptrace, PTRACE_GETREGS, tracee, 0, P);
    BAD(SYS_ptrace, PTRACE_SETREGS, tracee, 0, P);
    BAD(SYS_ptrace, PTRACE_GETSIGINFO, tracee, 0, P);
    BAD(SYS_ptrace, PTRACE_PEEKDATA, tracee, (long)scratch, P);
    BAD_OR(EIO, SYS_ptrace, PTRACE_PEEKDATA, tracee, P, (long)scratch);
    CHECK(ptrace(PTRACE_CONT, tracee, 0, 0) == 0 && waitpid(tracee, 0, 0) == tracee);
}

int main(int argc, char **argv)
{
    const char *file = argc > 1 ? argv[1] : "/hello.txt";
    whole_pointers(file);
    crossing(file);
    crossing_anywhere(argv[0]);
    read_only(file);
    order_of_checks(file);
    paths();
    files();
    sockets();
    system_v();
    waiting();
    times();
    processes();
    return check_result();
}
