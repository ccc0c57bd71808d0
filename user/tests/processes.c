// Processes: making them, what children have of their parents, waiting for them, zombies and orphans.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

// clone(2)'s flags and clone3(2)'s arguments, as the kernel has them.
struct clone_args_ {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static void bad_pointers(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    CHECK_BAD_OUT(syscall(SYS_waitid, P_PID, pid, p, WEXITED | WNOWAIT, 0), 24, 1);
    CHECK_BAD_OUT(syscall(SYS_waitid, P_PID, pid, 0, WEXITED | WNOWAIT, p), 144, 1);
    CHECK_ERRNO(syscall(SYS_wait4, pid, bad_addresses[4], 0, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_wait4, pid, 0, 0, 0), ECHILD); // it was taken all the same
    CHECK_BAD_OUT(syscall(SYS_getrusage, RUSAGE_SELF, p), 144, 0);
    CHECK_BAD_OUT(syscall(SYS_prctl, PR_GET_NAME, p), 16, 0);
    CHECK_BAD_IN(syscall(SYS_prctl, PR_SET_NAME, p), 1, 0);
    CHECK_BAD_OUT(syscall(SYS_prctl, PR_GET_PDEATHSIG, p), 4, 0);
    CHECK_BAD_IN(syscall(SYS_clone3, p, sizeof(struct clone_args_)), 88, 0);
    struct clone_args_ args = {.flags = 0};
    CHECK_ERRNO(syscall(SYS_clone3, &args, 63), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone3, &args, 5000), E2BIG);
    CHECK_ERRNO(syscall(SYS_clone3, 0, 63), EINVAL);
    args.exit_signal = 65;
    CHECK_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args_){.stack = 0x10000};
    CHECK_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args_){.stack_size = 0x10000};
    CHECK_ERRNO(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_wait4, -1, 0, 0x10, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_waitid, P_ALL, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_waitid, 9, 0, 0, WEXITED, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_waitid, P_PID, 0, 0, WEXITED, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_wait4, -1, 0, 0, 0), ECHILD);
    CHECK_ERRNO(syscall(SYS_wait4, 1, 0, WNOHANG, 0), ECHILD);
    CHECK_ERRNO(syscall(SYS_waitid, P_ALL, 0, 0, WEXITED | WNOHANG, 0), ECHILD);
}

// A bad place for the child's number is the program's loss, and no more.
static void bad_places_for_numbers(void)
{
    for (unsigned i = 0; i < BAD_COUNT; i++) {
        uintptr_t bad = bad_addresses[i];
        long pid = syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, bad, 0);
        if (pid == 0)
            syscall(SYS_exit_group, 9);
        CHECK_CHILD(pid, 9 << 8);
    }
    int parent_tid = 0, *child_tid = shared_page();
    long pid = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &parent_tid, child_tid, 0);
    if (pid == 0)
        syscall(SYS_exit_group, *child_tid == syscall(SYS_getpid) ? 0 : 1);
    CHECK(parent_tid == pid);
    CHECK_CHILD(pid, 0);
    struct clone_args_ args = {.flags = CLONE_PARENT_SETTID, .parent_tid = (uintptr_t)&parent_tid, .exit_signal = SIGCHLD};
    pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        syscall(SYS_exit_group, 4);
    CHECK(parent_tid == pid);
    CHECK_CHILD(pid, 4 << 8);
    if (pid > 0)
        CHECK_ERRNO(kill(pid, 0), ESRCH);
}

static void statuses(void)
{
    int codes[] = {0, 1, 42, 255, 256, -1};
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(codes[i]);
        CHECK_CHILD(pid, (codes[i] & 0xff) << 8);
    }
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    int status;
    siginfo_t info = {0};
    CHECK(waitpid(pid, &status, WNOHANG) == 0);
    info.si_pid = 77;
    CHECK(waitid(P_PID, pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0 && info.si_signo == 0);
    kill(pid, SIGSTOP);
    CHECK(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT) == 0);
    CHECK(info.si_signo == SIGCHLD && info.si_code == CLD_STOPPED && info.si_pid == pid && info.si_status == SIGSTOP);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && status == (SIGSTOP << 8 | 0x7f));
    CHECK(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0); // told once
    kill(pid, SIGCONT);
    CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    CHECK(waitpid(pid, &status, WCONTINUED | WNOHANG) == 0);
    kill(pid, SIGTERM);
    CHECK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0 && info.si_code == CLD_KILLED && info.si_status == SIGTERM);
    CHECK(kill(pid, 0) == 0); // a zombie is there
    CHECK(waitid(P_PGID, getpgrp(), &info, WEXITED | WNOWAIT) == 0 && info.si_pid == pid);
    CHECK_CHILD(pid, SIGTERM);
    CHECK_ERRNO(kill(pid, 0), ESRCH);
    CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);
}

static void groups_of_children(void)
{
    pid_t pids[3];
    for (int i = 0; i < 3; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            if (i == 2)
                setpgid(0, 0);
            _exit(i);
        }
    }
    setpgid(pids[2], pids[2]);
    int status;
    CHECK(waitpid(-pids[2], &status, 0) == pids[2] && status == 2 << 8);
    CHECK_ERRNO(waitpid(-pids[2], &status, 0), ECHILD);
    pid_t first = waitpid(0, &status, 0), second = waitpid(0, &status, 0);
    CHECK(first + second == pids[0] + pids[1]);
    CHECK_ERRNO(waitpid(0, &status, 0), ECHILD);
}

// Children whose end sends something else than SIGCHLD are waited for with __WALL or __WCLONE only.
static void clone_children(void)
{
    long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        syscall(SYS_exit_group, 3);
    int status;
    CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);
    CHECK(waitpid(pid, &status, __WCLONE) == pid && status == 3 << 8);
    signal(SIGUSR1, SIG_IGN);
    pid = syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
    if (pid == 0)
        syscall(SYS_exit_group, 3);
    CHECK(waitpid(pid, &status, __WALL) == pid && status == 3 << 8);
}

static volatile int children_ended;
static siginfo_t child_info;
static void on_child(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    child_info = *info;
    children_ended++;
}

static void child_signals(void)
{
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGCHLD, &action, 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(6);
    CHECK_CHILD(pid, 6 << 8);
    CHECK(children_ended == 1 && child_info.si_code == CLD_EXITED && child_info.si_pid == pid && child_info.si_status == 6);
    CHECK(child_info.si_uid == getuid());
    // Stops are told, unless that is not wanted.
    for (int told = 1; told >= 0; told--) {
        action.sa_flags = SA_SIGINFO | SA_RESTART | (told ? 0 : SA_NOCLDSTOP);
        sigaction(SIGCHLD, &action, 0);
        children_ended = 0;
        pid = fork();
        if (pid == 0)
            for (;;)
                pause();
        kill(pid, SIGSTOP);
        int status;
        CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
        CHECK(children_ended == told);
        if (told)
            CHECK(child_info.si_code == CLD_STOPPED && child_info.si_status == SIGSTOP);
        kill(pid, SIGKILL);
        CHECK_CHILD(pid, SIGKILL);
        CHECK(children_ended == told + 1);
    }
    // No zombies: with SA_NOCLDWAIT and with SIG_IGN; wait(2) waits for all to end and finds none.
    for (int ignored = 0; ignored < 2; ignored++) {
        struct sigaction none = {.sa_handler = ignored ? SIG_IGN : SIG_DFL, .sa_flags = ignored ? 0 : SA_NOCLDWAIT};
        sigaction(SIGCHLD, &none, 0);
        double start = now_s();
        for (int i = 0; i < 3; i++)
            if (fork() == 0) {
                sleep_ms(50);
                _exit(1);
            }
        int status;
        CHECK_ERRNO(wait(&status), ECHILD);
        CHECK(now_s() - start >= 0.049);
    }
}

// An orphan's parent is process 1 or whoever reaps; it gets the signal that it asked for.
static void orphans(void)
{
    struct { int old_parent, new_parent, signaled; } *shared = shared_page();
    pid_t middle = fork();
    if (middle == 0) {
        int ready[2];
        CHECK(pipe(ready) == 0);
        if (fork() == 0) {
            CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
            int signal = 0;
            CHECK(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGUSR1);
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGUSR1);
            sigprocmask(SIG_BLOCK, &set, 0);
            shared->old_parent = getppid();
            write(ready[1], "x", 1);
            struct timespec long_time = {5, 0};
            shared->signaled = sigtimedwait(&set, 0, &long_time);
            shared->new_parent = getppid();
            _exit(0);
        }
        char c;
        read(ready[0], &c, 1);
        _exit(0);
    }
    CHECK_CHILD(middle, 0);
    for (int i = 0; i < 200 && shared->signaled == 0; i++)
        sleep_ms(10);
    sleep_ms(50);
    CHECK(shared->old_parent == middle && shared->new_parent != middle && shared->signaled == SIGUSR1);
    CHECK_ERRNO(syscall(SYS_prctl, PR_SET_PDEATHSIG, 65), EINVAL);
}

// Parent and child write to the same pages in turn and never see each other's values.
// A group that nobody could continue anyway is not hung up when one of its members ends, though another is stopped.
static void orphaned_group(void)
{
    pid_t leader = fork();
    if (leader == 0) {
        CHECK(setsid() == getpid());
        pid_t stopped = fork();
        if (stopped == 0) {
            raise(SIGSTOP);
            _exit(3);
        }
        int status;
        CHECK(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
        for (int i = 0; i < 3; i++) {
            pid_t ends = fork();
            if (ends == 0)
                _exit(0);
            CHECK_CHILD(ends, 0);
        }
        CHECK(waitpid(stopped, &status, WNOHANG) == 0);
        CHECK(kill(stopped, SIGCONT) == 0);
        CHECK_CHILD(stopped, 3 << 8);
        child_exit();
    }
    CHECK_CHILD(leader, 0);
}

static void copies_on_write(void)
{
    enum { PAGES = 64 };
    volatile int *own = mmap(0, PAGES * TEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile int *both = shared_page();
    enum { STEP = TEST_PAGE / sizeof(int) };
    for (int i = 0; i < PAGES; i++)
        own[i * STEP] = i;
    int wrong = 0;
    for (int level = 0; level < 4; level++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (int i = 0; i < PAGES; i++)
                wrong += own[i * STEP] != i + 1000 * level;
            for (int i = level % 2; i < PAGES; i += 2)
                own[i * STEP] = -1;
            pid_t grandchild = fork();
            if (grandchild == 0) {
                for (int i = 0; i < PAGES; i++) {
                    wrong += own[i * STEP] != (i % 2 == level % 2 ? -1 : i + 1000 * level);
                    own[i * STEP] = -2;
                }
                _exit(wrong != 0);
            }
            int status = -1;
            waitpid(grandchild, &status, 0);
            wrong += status != 0;
            for (int i = 0; i < PAGES; i++)
                wrong += own[i * STEP] == -2;
            __atomic_fetch_add((int *)both, 1, __ATOMIC_SEQ_CST);
            _exit(wrong != 0);
        }
        for (int i = PAGES - 1; i >= 0; i--)
            own[i * STEP] += 1000;
        CHECK_CHILD(pid, 0);
        for (int i = 0; i < PAGES; i++)
            wrong += own[i * STEP] != i + 1000 * (level + 1);
    }
    CHECK(wrong == 0 && *both == 4);
}

static void inherited(void)
{
    int p[2];
    CHECK(pipe(p) == 0);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    umask(027);
    CHECK(fd >= 0 && chdir("/") == 0 && nice(3) != -1);
    prctl(PR_SET_NAME, "a name of fifteen and more");
    pid_t pid = fork();
    if (pid == 0) {
        char name[16], cwd[64];
        CHECK(write(p[1], "ab", 2) == 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
        CHECK(umask(0) == 027 && getcwd(cwd, sizeof cwd) && strcmp(cwd, "/") == 0);
        CHECK(getpriority(PRIO_PROCESS, 0) == 3);
        CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "a name of fifte") == 0);
        CHECK(close(fd) == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    char two[2];
    CHECK(read(p[0], two, 2) == 2 && umask(022) == 027 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    // The table itself is shared with CLONE_FILES, umask and directory with CLONE_FS.
    long shared = syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0);
    if (shared == 0) {
        close(fd);
        umask(077);
        syscall(SYS_exit_group, 0);
    }
    CHECK_CHILD(shared, 0);
    CHECK_ERRNO(fcntl(fd, F_GETFD), EBADF);
    CHECK(umask(022) == 077);
}

static volatile int vfork_value;
static void vforked(void)
{
    volatile int local = 1;
    pid_t pid = vfork();
    if (pid == 0) {
        vfork_value = 5;
        local = 2;
        sleep_ms(30);
        _exit(3);
    }
    CHECK(vfork_value == 5 && local == 2); // it shares memory, and the maker has waited
    CHECK_CHILD(pid, 3 << 8);
}

static void usage(void)
{
    struct rusage own, children, child;
    pid_t pid = fork();
    if (pid == 0) {
        double until = now_s() + 0.08;
        while (now_s() < until)
            ;
        _exit(0);
    }
    int status;
    CHECK(wait4(pid, &status, 0, &child) == pid);
    long child_us = (child.ru_utime.tv_sec + child.ru_stime.tv_sec) * 1000000 + child.ru_utime.tv_usec + child.ru_stime.tv_usec;
    CHECK(child_us > 5000 && child_us < 2000000);
    CHECK(getrusage(RUSAGE_CHILDREN, &children) == 0 && getrusage(RUSAGE_SELF, &own) == 0);
    long children_us = (children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000 + children.ru_utime.tv_usec + children.ru_stime.tv_usec;
    CHECK(children_us >= child_us - 1000);
    CHECK(own.ru_maxrss >= 0);
    CHECK_ERRNO(syscall(SYS_getrusage, 5, &own), EINVAL);
}

// Many at once, ending in any order, all waited for.
static void many(void)
{
    enum { COUNT = 100 };
    int seen[COUNT] = {0}, sum = 0;
    for (int i = 0; i < COUNT; i++)
        if (fork() == 0) {
            if (i % 3 == 0)
                sched_yield();
            _exit(i);
        }
    int status;
    while (wait(&status) > 0)
        seen[WEXITSTATUS(status) % COUNT]++;
    for (int i = 0; i < COUNT; i++)
        sum += seen[i] == 1;
    CHECK(sum == COUNT && errno == ECHILD);
}

static const struct test tests[] = {
    {"bad pointers", bad_pointers},
    {"bad places for numbers", bad_places_for_numbers},
    {"statuses", statuses},
    {"groups of children", groups_of_children},
    {"clone children", clone_children},
    {"child signals", child_signals},
    {"orphans", orphans},
    {"orphaned group", orphaned_group},
    {"copies on write", copies_on_write},
    {"inherited", inherited},
    {"vfork", vforked},
    {"usage", usage},
    {"many", many},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
