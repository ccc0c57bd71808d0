// Processes by descriptor: pidfd_open, CLONE_PIDFD, pidfd_send_signal, pidfd_getfd, waitid(P_PIDFD), poll.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/utsname.h>

// As the kernel has them; not every libc does.
enum { PIDFD_SEND_SIGNAL_ = 424, PIDFD_OPEN_ = 434, PIDFD_GETFD_ = 438, CLONE_PIDFD_ = 0x1000 };
enum { SOME_USER = 4242, ANOTHER_USER = 4243 };
struct clone_args_ {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static int pidfd_open_(pid_t pid, unsigned flags) { return (int)syscall(PIDFD_OPEN_, pid, flags); }
static int pidfd_send_(int fd, int signal, void *info, unsigned flags)
{
    return (int)syscall(PIDFD_SEND_SIGNAL_, fd, signal, info, flags);
}
static int wait_by(int fd, siginfo_t *info, int options) { return waitid((idtype_t)3, fd, info, options); } // P_PIDFD
static int pidfd_getfd_(int pidfd, int fd, unsigned flags) { return (int)syscall(PIDFD_GETFD_, pidfd, fd, flags); }

// The lowest free descriptor: says whether one was left behind.
static int lowest(void)
{
    int fd = dup(1);
    close(fd);
    return fd;
}

// A child that lives until its parent lets go of the pipe whose end is returned.
static pid_t waiting_child(int *let_go)
{
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        close(ends[1]);
        read(ends[0], &c, 1);
        _exit(5);
    }
    close(ends[0]);
    *let_go = ends[1];
    return pid;
}

static int readable(int fd, int timeout_ms)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int ready = poll(&entry, 1, timeout_ms);
    return ready == 1 ? (entry.revents & POLLIN) != 0 : ready;
}

static void bad_pointers(void)
{
    int own = pidfd_open_(getpid(), 0), free_fd = lowest();
    CHECK(own >= 0);
    CHECK_BAD_IN(pidfd_send_(own, SIGUSR1, p, 0), 12, 1);
    // No descriptor, no child: before anything is made for good.
    CHECK_BAD_OUT(syscall(SYS_clone, CLONE_PIDFD_ | SIGCHLD, 0, p, 0, 0), 4, 0);
    struct clone_args_ args = {.flags = CLONE_PIDFD_, .exit_signal = SIGCHLD};
    CHECK_BAD_OUT((args.pidfd = (uintptr_t)p, syscall(SYS_clone3, &args, sizeof args)), 4, 0);
    CHECK(lowest() == free_fd);
    CHECK_ERRNO(waitpid(-1, 0, WNOHANG), ECHILD);
}

static void *second_thread(void *tid)
{
    *(volatile int *)tid = (int)syscall(SYS_gettid);
    for (;;)
        pause();
    return tid;
}

static void errors(void)
{
    int null = open("/dev/null", O_RDWR), unused = lowest();
    CHECK_ERRNO(pidfd_open_(0, 0), EINVAL);
    CHECK_ERRNO(pidfd_open_(-1, 0), EINVAL);
    CHECK_ERRNO(pidfd_open_(getpid(), 1), EINVAL);
    CHECK_ERRNO(pidfd_open_(getpid(), O_CLOEXEC), EINVAL);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    CHECK_CHILD(gone, 0);
    CHECK_ERRNO(pidfd_open_(gone, 0), ESRCH);
    // Of a thread that is not the first there is none; Linux has changed how it says so.
    volatile int tid = 0;
    pthread_t thread;
    pthread_create(&thread, 0, second_thread, (void *)&tid);
    while (tid == 0)
        sched_yield();
    errno = 0;
    CHECK(pidfd_open_(tid, 0) == -1 && (errno == EINVAL || errno == ENOENT));

    int own = pidfd_open_(getpid(), 0);
    CHECK(own == unused);
    unused = lowest();
    siginfo_t info = {.si_signo = SIGUSR2, .si_code = SI_QUEUE};
    CHECK_ERRNO(pidfd_send_(own, 0, 0, 0x100), EINVAL);
    CHECK_ERRNO(pidfd_send_(-1, 0, 0, 0), EBADF);
    CHECK_ERRNO(pidfd_send_(unused, 0, 0, 0), EBADF);
    CHECK_ERRNO(pidfd_send_(null, 0, 0, 0), EBADF);
    CHECK_ERRNO(pidfd_send_(own, 65, 0, 0), EINVAL);
    CHECK_ERRNO(pidfd_send_(own, -1, 0, 0), EINVAL);
    CHECK_ERRNO(pidfd_send_(own, SIGUSR1, &info, 0), EINVAL); // it tells of another signal
    CHECK(pidfd_send_(own, 0, 0, 0) == 0);
    CHECK_ERRNO(pidfd_getfd_(own, 1, 1), EINVAL);
    CHECK_ERRNO(pidfd_getfd_(-1, 1, 0), EBADF);
    CHECK_ERRNO(pidfd_getfd_(null, 1, 0), EBADF);
    CHECK_ERRNO(pidfd_getfd_(own, -1, 0), EBADF);
    CHECK_ERRNO(pidfd_getfd_(own, unused, 0), EBADF);
    CHECK_ERRNO(wait_by(-1, &info, WEXITED), EINVAL);
    CHECK_ERRNO(wait_by(unused, &info, WEXITED), EBADF);
    CHECK_ERRNO(wait_by(null, &info, WEXITED), EBADF);
    CHECK_ERRNO(wait_by(own, &info, WEXITED), ECHILD);
    int number;
    CHECK_ERRNO(syscall(SYS_clone, CLONE_PIDFD_ | CLONE_PARENT_SETTID | SIGCHLD, 0, &number, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_PIDFD_ | CLONE_DETACHED | SIGCHLD, 0, &number, 0, 0), EINVAL);
    struct clone_args_ args = {.flags = CLONE_PIDFD_ | CLONE_PARENT_SETTID, .exit_signal = SIGCHLD};
    args.pidfd = args.parent_tid = (uintptr_t)&number;
    CHECK_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    CHECK(lowest() == unused);
}

// A file of its own kind: nothing to read or write, closed by execve, and the one number for the other.
static void as_a_file(void)
{
    int let_go, status;
    pid_t pid = waiting_child(&let_go);
    int fd = pidfd_open_(pid, 0), again = pidfd_open_(pid, 0);
    char c;
    CHECK(fd >= 0 && again >= 0 && fd != again);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_RDWR);
    CHECK_ERRNO(read(fd, &c, 1), EINVAL);
    CHECK_ERRNO(write(fd, &c, 1), EINVAL);
    CHECK(close(again) == 0);
    int copy = dup(fd);
    CHECK(copy >= 0 && fcntl(copy, F_GETFD) == 0);
    CHECK(pidfd_send_(copy, 0, 0, 0) == 0 && readable(copy, 0) == 0);
    // Closing it does nothing to the process.
    CHECK(close(fd) == 0 && close(copy) == 0 && waitpid(pid, &status, WNOHANG) == 0);
    close(let_go);
    CHECK_CHILD(pid, 5 << 8);
}

// Running, a zombie, gone: what each call says of it.
static void life(void)
{
    int let_go;
    pid_t pid = waiting_child(&let_go);
    int fd = pidfd_open_(pid, 0);
    siginfo_t info;
    memset(&info, 0x55, sizeof info);
    CHECK(readable(fd, 0) == 0 && readable(fd, 20) == 0);
    CHECK(wait_by(fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0 && info.si_signo == 0);
    kill(pid, SIGSTOP);
    CHECK(wait_by(fd, &info, WSTOPPED) == 0 && info.si_pid == pid && info.si_code == CLD_STOPPED);
    CHECK(readable(fd, 0) == 0);
    kill(pid, SIGCONT);
    CHECK(wait_by(fd, &info, WCONTINUED) == 0 && info.si_code == CLD_CONTINUED);

    close(let_go);
    CHECK(readable(fd, -1) == 1);
    CHECK(wait_by(fd, &info, WEXITED | WNOWAIT) == 0 && info.si_pid == pid && info.si_status == 5);
    CHECK(pidfd_send_(fd, 0, 0, 0) == 0 && pidfd_send_(fd, SIGTERM, 0, 0) == 0);
    int zombie = pidfd_open_(pid, 0);
    CHECK(zombie >= 0 && readable(zombie, 0) == 1);
    errno = 0;
    CHECK(pidfd_getfd_(fd, 1, 0) == -1 && (errno == EBADF || errno == ESRCH)); // it has no files any more
    CHECK(wait_by(zombie, &info, WEXITED) == 0 && info.si_pid == pid && info.si_code == CLD_EXITED);

    CHECK_ERRNO(wait_by(fd, &info, WEXITED), ECHILD);
    CHECK_ERRNO(pidfd_send_(fd, 0, 0, 0), ESRCH);
    CHECK_ERRNO(pidfd_send_(fd, 65, 0, 0), ESRCH);
    CHECK_ERRNO(pidfd_getfd_(fd, 1, 0), ESRCH);
    CHECK_ERRNO(pidfd_open_(pid, 0), ESRCH);
    CHECK(readable(fd, 0) == 1);
    close(fd);
    close(zombie);
}

static void does_not_wait(void)
{
    int let_go;
    pid_t pid = waiting_child(&let_go);
    int fd = pidfd_open_(pid, O_NONBLOCK);
    siginfo_t info;
    CHECK(fd >= 0 && fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK_ERRNO(wait_by(fd, &info, WEXITED), EAGAIN);
    CHECK(wait_by(fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    close(let_go);
    CHECK(wait_by(fd, &info, WEXITED) == 0 && info.si_pid == pid);
    close(fd);
}

static void made_with_one(void)
{
    volatile int *shared = shared_page();
    for (int version = 0; version < 2; version++)
        for (int files = 0; files < 2; files++) {
            int fd = -1, free_fd = lowest();
            uint64_t flags = CLONE_PIDFD_ | (files ? CLONE_FILES : 0);
            struct clone_args_ args = {.flags = flags, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
            *shared = -1;
            long pid = version == 0 ? syscall(SYS_clone, flags | SIGCHLD, 0, &fd, 0, 0)
                                    : syscall(SYS_clone3, &args, sizeof args);
            if (pid == 0) {
                // Its memory was copied before; its table, if it has one, too.
                *shared = (fd == -1) | (fcntl(free_fd, F_GETFD) >= 0) << 1;
                syscall(SYS_exit_group, 7);
            }
            CHECK(fd == free_fd && fcntl(fd, F_GETFD) == FD_CLOEXEC);
            siginfo_t info;
            CHECK(readable(fd, -1) == 1);
            CHECK(wait_by(fd, &info, WEXITED) == 0 && info.si_pid == pid && info.si_status == 7);
            CHECK(*shared == (1 | files << 1));
            close(fd);
        }
    // Without room for a descriptor there is no child either.
    struct rlimit before, none;
    int fd;
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){lowest(), before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_PIDFD_ | SIGCHLD, 0, &fd, 0, 0), EMFILE);
    CHECK_ERRNO(pidfd_open_(getpid(), 0), EMFILE);
    CHECK_ERRNO(waitpid(-1, 0, 0), ECHILD);
    setrlimit(RLIMIT_NOFILE, &before);
}

static void signals_through_it(void)
{
    int own = pidfd_open_(getpid(), 0), let_go;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, 0);
    siginfo_t info, sent = {.si_signo = SIGRTMIN, .si_code = SI_QUEUE};
    CHECK(pidfd_send_(own, SIGUSR1, 0, 0) == 0);
    CHECK(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_code == SI_USER && info.si_pid == getpid() && info.si_uid == getuid());
    sent.si_value.sival_int = 77;
    CHECK(pidfd_send_(own, SIGRTMIN, &sent, 0) == 0);
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_code == SI_QUEUE && info.si_value.sival_int == 77);
    // To itself a process may say anything, to others not what only the kernel says.
    sent.si_code = SI_USER;
    CHECK(pidfd_send_(own, SIGRTMIN, &sent, 0) == 0 && sigwaitinfo(&set, &info) == SIGRTMIN);
    pid_t pid = waiting_child(&let_go);
    int fd = pidfd_open_(pid, 0);
    CHECK_ERRNO(pidfd_send_(fd, SIGRTMIN, &sent, 0), EPERM);
    sent.si_code = SI_TKILL;
    CHECK_ERRNO(pidfd_send_(fd, SIGRTMIN, &sent, 0), EPERM);
    CHECK(pidfd_send_(fd, SIGTERM, 0, 0) == 0);
    CHECK_CHILD(pid, SIGTERM);
    close(let_go);
}

// The first thread's end is not the process's.
static pthread_t first_thread;
static volatile int word;
static int told[2], go_on[2];
static void *outlives(void *arg)
{
    char c;
    while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) != 0)
        sched_yield();
    write(told[1], "x", 1);
    read(go_on[0], &c, 1);
    syscall(SYS_exit, 4);
    return arg;
}

static void ends_with_the_last_thread(void)
{
    CHECK(pipe(told) == 0 && pipe(go_on) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        word = 1;
        pthread_create(&first_thread, 0, outlives, 0);
        syscall(SYS_set_tid_address, &word);
        syscall(SYS_exit, 3);
    }
    char c;
    int fd = pidfd_open_(pid, 0);
    CHECK(read(told[0], &c, 1) == 1);
    CHECK(readable(fd, 30) == 0);
    write(go_on[1], "x", 1);
    CHECK(readable(fd, -1) == 1);
    // Its status is the last thread's, as on Linux since 6.0.
    struct utsname name;
    uname(&name);
    CHECK_CHILD(pid, atoi(name.release) >= 6 ? 4 << 8 : 3 << 8);
}

static void watched_by_epoll(void)
{
    int let_go, many = epoll_create1(0);
    pid_t pid = waiting_child(&let_go);
    int fd = pidfd_open_(pid, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 42};
    CHECK(epoll_ctl(many, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK(epoll_wait(many, &event, 1, 0) == 0);
    close(let_go);
    CHECK(epoll_wait(many, &event, 1, -1) == 1 && event.data.u64 == 42 && event.events & EPOLLIN);
    CHECK_CHILD(pid, 5 << 8);
    CHECK(epoll_wait(many, &event, 1, 0) == 1 && event.events & EPOLLIN);
    close(fd);
    CHECK(epoll_wait(many, &event, 1, 0) == 0);
}

// A descriptor of another process, for the same open file.
static void takes_descriptors(void)
{
    int *shared = shared_page(), let_go[2];
    CHECK(pipe(let_go) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int ends[2];
        char c;
        pipe2(ends, O_NONBLOCK);
        write(ends[1], "abc", 3);
        shared[1] = ends[0];
        __atomic_store_n(&shared[0], 1, __ATOMIC_SEQ_CST);
        close(let_go[1]);
        read(let_go[0], &c, 1);
        // What was read there is gone here: one file, one pipe.
        _exit(read(ends[0], &c, 1) == 1 && c == 'c' && read(ends[0], &c, 1) == -1 && errno == EAGAIN ? 0 : 1);
    }
    int pidfd = pidfd_open_(pid, 0);
    while (__atomic_load_n(&shared[0], __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    int taken = pidfd_getfd_(pidfd, shared[1], 0);
    char two[2];
    CHECK(taken >= 0 && fcntl(taken, F_GETFD) == FD_CLOEXEC && fcntl(taken, F_GETFL) & O_NONBLOCK);
    CHECK(read(taken, two, 2) == 2 && memcmp(two, "ab", 2) == 0);
    close(let_go[1]);
    CHECK_CHILD(pid, 0);
    CHECK(read(taken, two, 1) == 0); // both its writers are gone
    int own = pidfd_open_(getpid(), 0), same = pidfd_getfd_(own, let_go[0], 0);
    CHECK(same >= 0 && same != let_go[0]);
}

// Only of the same user, or for root.
static void permission(void)
{
    if (geteuid() != 0)
        return;
    int root = pidfd_open_(getpid(), 0), let_go;
    pid_t victim = waiting_child(&let_go);
    int fd = pidfd_open_(victim, 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setresgid(SOME_USER, SOME_USER, SOME_USER) == 0 && setresuid(SOME_USER, SOME_USER, SOME_USER) == 0);
        CHECK_ERRNO(pidfd_getfd_(root, 1, 0), EPERM);
        CHECK_ERRNO(pidfd_getfd_(fd, 1, 0), EPERM);
        CHECK_ERRNO(pidfd_send_(fd, SIGTERM, 0, 0), EPERM);
        CHECK_ERRNO(pidfd_send_(fd, 0, 0, 0), EPERM);
        int own = pidfd_open_(getpid(), 0);
        CHECK(pidfd_getfd_(own, 1, 0) >= 0); // nobody is kept out of himself
        CHECK(pidfd_open_(victim, 0) >= 0);  // having one is no right yet
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    close(let_go);
    CHECK_CHILD(victim, 5 << 8);
}

// Many at once: whoever polls sees each end, and waits for it by its descriptor.
static void many(void)
{
    enum { ROUNDS = 8, COUNT = 24 };
    for (int round = 0; round < ROUNDS; round++) {
        struct pollfd entries[COUNT];
        int left = COUNT, wrong = 0;
        for (int i = 0; i < COUNT; i++) {
            int fd = -1;
            long pid = syscall(SYS_clone, CLONE_PIDFD_ | SIGCHLD, 0, &fd, 0, 0);
            if (pid == 0)
                syscall(SYS_exit_group, i);
            entries[i] = (struct pollfd){.fd = fd, .events = POLLIN};
            wrong += pid < 0 || fd < 0;
        }
        while (left > 0 && wrong == 0) {
            wrong += poll(entries, COUNT, -1) <= 0;
            for (int i = 0; i < COUNT; i++)
                if (entries[i].fd >= 0 && entries[i].revents & POLLIN) {
                    siginfo_t info;
                    wrong += wait_by(entries[i].fd, &info, WEXITED | WNOHANG) != 0 || info.si_status != i;
                    close(entries[i].fd);
                    entries[i].fd = -1;
                    left--;
                }
        }
        CHECK(left == 0 && wrong == 0);
    }
    CHECK_ERRNO(waitpid(-1, 0, 0), ECHILD);
}

static const struct test tests[] = {
    {"bad pointers", bad_pointers},
    {"errors", errors},
    {"as a file", as_a_file},
    {"life", life},
    {"does not wait", does_not_wait},
    {"made with one", made_with_one},
    {"signals through it", signals_through_it},
    {"ends with the last thread", ends_with_the_last_thread},
    {"watched by epoll", watched_by_epoll},
    {"takes descriptors", takes_descriptors},
    {"permission", permission},
    {"many", many},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
