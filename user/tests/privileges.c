// What a process may do and what it gives up: capabilities, prctl(2), no_new_privs, dumpable, RLIMIT_NPROC with threads,
// sub-reapers; and the alternate stack that disarms itself, membarrier's registration, group signals against fork.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { USER = 12345, CAP_DAC_OVERRIDE_ = 1, CAP_KILL_ = 5, CAP_SETPCAP_ = 8, CAP_LAST = 40 };
#define VERSION_3 0x20080522u

struct header {
    uint32_t version;
    int pid;
};
struct data {
    uint32_t effective, permitted, inheritable;
};

static int capget_(struct data *data)
{
    struct header header = {VERSION_3, 0};
    return syscall(SYS_capget, &header, data);
}
static int capset_(const struct data *data)
{
    struct header header = {VERSION_3, 0};
    return syscall(SYS_capset, &header, data);
}
static int is_root(void)
{
    struct data data[2];
    return getuid() == 0 && capget_(data) == 0 && (data[0].effective & 0x1ff) == 0x1ff;
}

// All three user numbers, of this thread.
static void become(unsigned user)
{
    CHECK(syscall(SYS_setresgid, user, user, user) == 0 && syscall(SYS_setresuid, user, user, user) == 0);
}

static void headers(void)
{
    struct header header = {0, 0};
    struct data data[2];
    CHECK(syscall(SYS_capget, &header, 0) == 0 && header.version == VERSION_3);
    header.version = 1;
    CHECK_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
    CHECK(header.version == VERSION_3);
    header.version = 1;
    CHECK_ERRNO(syscall(SYS_capset, &header, data), EINVAL);
    header.pid = -1;
    CHECK_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
    header.pid = 0x3fffff;
    CHECK_ERRNO(syscall(SYS_capget, &header, data), ESRCH);
    header.pid = getppid();
    CHECK(syscall(SYS_capget, &header, data) == 0);
    CHECK_ERRNO(syscall(SYS_capset, &header, data), EPERM);
    header.version = 0x19980330; // one word
    header.pid = getpid();
    memset(data, 0xee, sizeof data);
    CHECK(syscall(SYS_capget, &header, data) == 0 && data[1].effective == 0xeeeeeeee && data[0].effective != 0xeeeeeeee);
}

static void given_up(void)
{
    struct data data[2], more[2];
    if (!is_root())
        return;
    CHECK(capget_(data) == 0);
    data[0].effective &= ~(1u << CAP_DAC_OVERRIDE_);
    CHECK(capset_(data) == 0); // still permitted
    data[0].effective |= 1u << CAP_DAC_OVERRIDE_;
    CHECK(capset_(data) == 0);
    data[0].effective = data[0].permitted = 1u << CAP_KILL_;
    data[1].effective = data[1].permitted = 0;
    CHECK(capset_(data) == 0);
    memcpy(more, data, sizeof data);
    more[0].permitted |= 1u << CAP_DAC_OVERRIDE_;
    CHECK_ERRNO(capset_(more), EPERM);
    more[0].permitted = 0;
    CHECK_ERRNO(capset_(more), EPERM); // what counts must be permitted
    // User 0 without capabilities is as others are.
    CHECK_ERRNO(syscall(SYS_setresuid, USER, USER, USER), EPERM);
    CHECK_ERRNO(sethostname("x", 1) == 0 ? 0 : -1, errno == ENOSYS ? ENOSYS : EPERM);
    int fd = open("/proc/self/status", O_RDONLY);
    char text[4096] = "";
    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    CHECK(strstr(text, "CapPrm:\t0000000000000020\nCapEff:\t0000000000000020\n") != 0);
}

// The numbers of the user change, and capabilities with them.
static void follow_user(void)
{
    struct data data[2];
    if (!is_root())
        return;
    CHECK(syscall(SYS_setresuid, -1, USER, -1) == 0);
    CHECK(capget_(data) == 0 && data[0].effective == 0 && data[0].permitted != 0);
    CHECK(syscall(SYS_setresuid, -1, 0, -1) == 0);
    CHECK(capget_(data) == 0 && data[0].effective == data[0].permitted && data[0].effective != 0);
    CHECK(syscall(SYS_setfsuid, USER) == 0);
    CHECK(capget_(data) == 0 && (data[0].effective & 1u << CAP_DAC_OVERRIDE_) == 0 && (data[0].effective & 1u << CAP_KILL_));
    CHECK(syscall(SYS_setfsuid, 0) == USER);
    CHECK(capget_(data) == 0 && (data[0].effective & 1u << CAP_DAC_OVERRIDE_));
    pid_t pid = fork();
    if (pid == 0) {
        become(USER);
        CHECK(capget_(data) == 0 && data[0].effective == 0 && data[0].permitted == 0 && data[1].permitted == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 1);
    become(USER);
    CHECK(capget_(data) == 0 && data[0].effective == 0 && data[0].permitted != 0);
    data[0].effective = 1u << CAP_KILL_;
    CHECK(capset_(data) == 0 && kill(getppid(), 0) == 0);
    data[0].effective = data[0].permitted = 0;
    CHECK(capset_(data) == 0);
    CHECK_ERRNO(kill(getppid(), 0), EPERM);
}

static void bounds(void)
{
    CHECK(prctl(PR_CAPBSET_READ, CAP_LAST, 0, 0, 0) >= 0);
    CHECK_ERRNO(prctl(PR_CAPBSET_READ, 64, 0, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0), EINVAL);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL_, 0, 0) == 0);
    CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 64, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_CAP_AMBIENT, 9, CAP_KILL_, 0, 0), EINVAL);
    if (!is_root())
        return;
    struct data data[2];
    CHECK_ERRNO(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL_, 0, 0), EPERM); // not inheritable
    CHECK(capget_(data) == 0);
    data[0].inheritable = 1u << CAP_KILL_;
    CHECK(capset_(data) == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL_, 0, 0) == 0);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL_, 0, 0) == 1);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0);
    CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL_, 0, 0) == 0);
    CHECK(prctl(PR_CAPBSET_READ, CAP_DAC_OVERRIDE_, 0, 0, 0) == 1);
    CHECK(prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE_, 0, 0, 0) == 0);
    CHECK(prctl(PR_CAPBSET_READ, CAP_DAC_OVERRIDE_, 0, 0, 0) == 0);
    CHECK_ERRNO(prctl(PR_CAPBSET_DROP, 64, 0, 0, 0), EINVAL);
    CHECK(prctl(PR_SET_SECUREBITS, 0x3, 0, 0, 0) == 0 && prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) == 3);
    CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 0x2, 0, 0, 0), EPERM); // locked
    CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 0x1003, 0, 0, 0), EPERM);
    data[0].effective &= ~(1u << CAP_SETPCAP_);
    CHECK(capset_(data) == 0);
    CHECK_ERRNO(prctl(PR_CAPBSET_DROP, CAP_KILL_, 0, 0, 0), EPERM);
    CHECK_ERRNO(prctl(PR_SET_SECUREBITS, 0x7, 0, 0, 0), EPERM);
}

static void simple_controls(void)
{
    int value = -1;
    CHECK(prctl(PR_GET_PDEATHSIG, &value) == 0 && value == 0);
    CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0 && prctl(PR_GET_PDEATHSIG, &value) == 0 && value == SIGUSR1);
    CHECK_ERRNO(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
    CHECK(prctl(PR_GET_TIMERSLACK) == 50000 && prctl(PR_SET_TIMERSLACK, 70000) == 0 && prctl(PR_GET_TIMERSLACK) == 70000);
    CHECK(prctl(PR_SET_TIMERSLACK, 0) == 0 && prctl(PR_GET_TIMERSLACK) == 50000);
    CHECK(prctl(PR_GET_TIMING) == PR_TIMING_STATISTICAL && prctl(PR_SET_TIMING, PR_TIMING_STATISTICAL) == 0);
    CHECK_ERRNO(prctl(PR_SET_TIMING, 1), EINVAL);
    CHECK(prctl(PR_GET_SECCOMP) == 0);
    CHECK(prctl(PR_GET_DUMPABLE) == 1);
    CHECK_ERRNO(prctl(PR_SET_DUMPABLE, 2), EINVAL);
    CHECK_ERRNO(prctl(99999, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_NAME, 8), EFAULT);
    CHECK_ERRNO(prctl(PR_GET_NAME, 8), EFAULT);
    CHECK_ERRNO(prctl(PR_GET_PDEATHSIG, 8), EFAULT);
    CHECK_ERRNO(prctl(PR_GET_CHILD_SUBREAPER, 8), EFAULT);
    char name[16] = "";
    CHECK(prctl(PR_SET_NAME, "a name that is too long") == 0 && prctl(PR_GET_NAME, name) == 0);
    CHECK(strcmp(name, "a name that is ") == 0);
}

// What happens to the rights of set-user-ID programs is seen with `access`; here that the promise is kept.
static void no_new_privileges(void)
{
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
    CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
}

// The memory of a process that is not dumpable is for nobody else, also not for the same user.
static void not_dumpable(void)
{
    int ready[2], done[2];
    char byte;
    CHECK(pipe(ready) == 0 && pipe(done) == 0);
    pid_t target = fork();
    if (target == 0) {
        if (getuid() == 0) {
            become(USER);
            CHECK(prctl(PR_GET_DUMPABLE) == 0); // as the numbers changed
            CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
        }
        CHECK(write(ready[1], "", 1) == 1 && read(done[0], &byte, 1) == 1);
        CHECK(prctl(PR_SET_DUMPABLE, 0) == 0 && prctl(PR_GET_DUMPABLE) == 0);
        CHECK(write(ready[1], "", 1) == 1 && read(done[0], &byte, 1) == 1);
        child_exit();
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    pid_t other = fork();
    if (other == 0) {
        if (getuid() == 0)
            become(USER);
        char path[64];
        struct stat stat_;
        int pidfd = syscall(SYS_pidfd_open, target, 0);
        CHECK(pidfd >= 0);
        int fd = syscall(SYS_pidfd_getfd, pidfd, 0, 0);
        CHECK(fd >= 0 || errno == EPERM); // Linux may be told to allow no more than to parents
        int may = fd >= 0;
        sprintf(path, "/proc/%d/environ", target);
        CHECK(stat(path, &stat_) == 0 && stat_.st_uid == getuid());
        CHECK(!may || (fd = open(path, O_RDONLY)) >= 0);
        CHECK(write(done[1], "", 1) == 1 && read(ready[0], &byte, 1) == 1);
        CHECK_ERRNO(syscall(SYS_pidfd_getfd, pidfd, 0, 0), EPERM);
        CHECK_ERRNO(open(path, O_RDONLY), EACCES);
        CHECK(getuid() != USER || (stat(path, &stat_) == 0 && stat_.st_uid == 0));
        CHECK(write(done[1], "", 1) == 1);
        child_exit();
    }
    CHECK_CHILD(other, 0);
    CHECK_CHILD(target, 0);
}

static void link_of_pidfd(void)
{
    char path[64], to[64] = "";
    int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
    sprintf(path, "/proc/self/fd/%d", pidfd);
    CHECK(pidfd >= 0 && readlink(path, to, sizeof to - 1) > 0);
    // Newer ones have a file system of their own.
    CHECK(strcmp(to, "anon_inode:[pidfd]") == 0 || strncmp(to, "pidfd:", 6) == 0);
}

static void *wait_for(void *word)
{
    while (!*(volatile int *)word)
        sleep_ms(1);
    return 0;
}

static void threads_count(void)
{
    static volatile int end;
    pthread_t threads[8];
    struct rlimit limit = {4, 4};
    pid_t pid = fork();
    if (pid == 0) {
        if (getuid() == 0) {
            become(USER + 1); // of whom there is nobody else
            CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
            int made = 0, error = 0;
            while (made < 8 && (error = pthread_create(&threads[made], 0, wait_for, (void *)&end)) == 0)
                made++;
            CHECK(made == 3 && error == EAGAIN);
            CHECK_ERRNO(fork(), EAGAIN);
            end = 1;
            for (int i = 0; i < made; i++)
                pthread_join(threads[i], 0);
            int again = -1;
            for (int i = 0; i < 10000 && (again = pthread_create(&threads[0], 0, wait_for, (void *)&end)) != 0; i++)
                sleep_ms(1); // until they have gone
            CHECK(again == 0 && pthread_join(threads[0], 0) == 0);
        }
        child_exit();
    }
    CHECK_CHILD(pid, 0);
}

static void sub_reaper(void)
{
    int value = -1, fds[2];
    CHECK(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 0);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 1);
    CHECK(pipe(fds) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 0);
        if (fork() == 0) {
            pid_t own = getpid();
            while (getppid() != getpgrp()) // the test leads the group
                sleep_ms(1);
            CHECK(write(fds[1], &own, sizeof own) == sizeof own);
            _exit(7);
        }
        child_exit();
    }
    CHECK_CHILD(child, 0);
    pid_t grandchild = 0;
    CHECK(read(fds[0], &grandchild, sizeof grandchild) == sizeof grandchild);
    CHECK_CHILD(grandchild, 7 << 8);
}

static stack_t seen;
static volatile int on_it;
static char alternate[65536];
static void look(int signal)
{
    char here;
    (void)signal;
    on_it = &here > alternate && &here < alternate + sizeof alternate;
    sigaltstack(0, &seen);
}

static void disarmed(void)
{
    const int autodisarm = (int)(1u << 31);
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate, .ss_flags = autodisarm}, old;
    struct sigaction action = {.sa_handler = look, .sa_flags = SA_ONSTACK};
    CHECK(syscall(SYS_sigaltstack, &stack, 0) == 0);
    CHECK(sigaction(SIGUSR1, &action, 0) == 0 && raise(SIGUSR1) == 0);
    CHECK(on_it == 1 && seen.ss_flags == SS_DISABLE);
    CHECK(syscall(SYS_sigaltstack, 0, &old) == 0);
    CHECK(old.ss_flags == autodisarm && old.ss_sp == alternate && old.ss_size == sizeof alternate);
    stack.ss_flags = 0;
    CHECK(syscall(SYS_sigaltstack, &stack, 0) == 0 && raise(SIGUSR1) == 0);
    CHECK(on_it == 1 && seen.ss_flags == SS_ONSTACK);
    stack.ss_flags = 4;
    CHECK_ERRNO(syscall(SYS_sigaltstack, &stack, 0), EINVAL);
}

static void barriers(void)
{
    enum { PRIVATE_EXPEDITED = 1 << 3, REGISTER = 1 << 4 };
    long can = syscall(SYS_membarrier, 0, 0, 0);
    if (can < 0 || !(can & PRIVATE_EXPEDITED))
        return;
    CHECK_ERRNO(syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0), EPERM);
    CHECK(syscall(SYS_membarrier, REGISTER, 0, 0) == 0 && syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(syscall(SYS_membarrier, PRIVATE_EXPEDITED, 0, 0) == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
}

// A signal to a group reaches a child that is being made: it comes to the maker before the child is made, or to the child.
static volatile sig_atomic_t came;
static void note(int signal)
{
    (void)signal;
    came = 1;
}

static void group_and_fork(void)
{
    enum { ROUNDS = 40 };
    int *shared = shared_page();
    for (int round = 0; round < ROUNDS; round++) {
        shared[0] = 0;
        pid_t maker = fork();
        if (maker == 0) {
            setpgid(0, 0);
            signal(SIGUSR1, note);
            __atomic_store_n(&shared[0], 1, __ATOMIC_SEQ_CST);
            int made = 0;
            while (!came && made < 20) {
                pid_t child = syscall(SYS_fork); // the library's keeps signals back
                if (child == 0) {
                    alarm(30);
                    while (!came)
                        sleep_ms(1);
                    _exit(0);
                }
                made += child > 0;
            }
            int wrong = 0, status;
            while (!came)
                sleep_ms(1);
            while (made-- > 0)
                wrong += wait(&status) < 0 || status != 0;
            _exit(wrong != 0);
        }
        while (!__atomic_load_n(&shared[0], __ATOMIC_SEQ_CST))
            sched_yield();
        for (volatile int i = 0; i < round * 1000; i++)
            ;
        CHECK(kill(-maker, SIGUSR1) == 0);
        CHECK_CHILD(maker, 0);
    }
}

static const struct test tests[] = {
    {"headers", headers}, {"given up", given_up}, {"follow user", follow_user}, {"bounds", bounds},
    {"simple controls", simple_controls}, {"no new privileges", no_new_privileges}, {"not dumpable", not_dumpable},
    {"link of a pidfd", link_of_pidfd}, {"threads count", threads_count}, {"sub-reaper", sub_reaper},
    {"disarmed stack", disarmed}, {"barriers", barriers}, {"group and fork", group_and_fork},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
