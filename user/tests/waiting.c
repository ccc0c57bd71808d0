// Pipes between processes, and signals that come while a call waits. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, 0);
}

static int status_of(pid_t child)
{
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static uint32_t next(uint32_t *seed)
{
    return *seed = *seed * 1664525 + 1013904223;
}

static void streams(void)
{
    enum { CHILDREN = 4, BYTES = 200000 };
    int p[2];
    static unsigned char buf[30000];
    CHECK(pipe(p) == 0);
    for (int child = 0; child < CHILDREN; child++)
        if (fork() == 0) {
            uint32_t seed = (uint32_t)child;
            uint64_t sum = 0;
            for (long left = BYTES; left > 0;) {
                long len = next(&seed) >> 8;
                len = 1 + len % (child % 2 ? 3000 : (long)sizeof buf);
                if (len > left)
                    len = left;
                for (long i = 0; i < len; i++)
                    sum += buf[i] = (unsigned char)(next(&seed) >> 24);
                if (write(p[1], buf, (size_t)len) != len)
                    _exit(255);
                left -= len;
            }
            _exit((int)(sum % 251));
        }
    close(p[1]);
    uint64_t sum = 0, total = 0;
    for (long got; (got = read(p[0], buf, sizeof buf)) > 0; total += (uint64_t)got)
        for (long i = 0; i < got; i++)
            sum += buf[i];
    CHECK(total == CHILDREN * BYTES);
    uint64_t expected = 0;
    for (int child = 0; child < CHILDREN; child++) {
        int status;
        CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) != 255);
        expected += (uint64_t)WEXITSTATUS(status);
    }
    CHECK(sum % 251 == expected % 251);
    close(p[0]);
}

static void broken(void)
{
    int p[2];
    CHECK(pipe(p) == 0);
    close(p[0]);
    pid_t child = fork();
    if (child == 0) {
        write(p[1], "x", 1);
        _exit(0);
    }
    int status = status_of(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
    close(p[1]);
}

static void ping_pong(void)
{
    enum { ROUNDS = 1000 };
    int there[2], back[2];
    char c = 0;
    CHECK(pipe(there) == 0 && pipe(back) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        while (read(there[0], &c, 1) == 1) {
            c++;
            if (write(back[1], &c, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    close(there[0]);
    close(back[1]);
    int right = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char sent = (char)i;
        right += write(there[1], &sent, 1) == 1 && read(back[0], &c, 1) == 1 && c == (char)(i + 1);
    }
    CHECK(right == ROUNDS);
    close(there[1]);
    CHECK(status_of(child) == 0);
    close(back[0]);
}

static volatile sig_atomic_t caught;

static void catch(int signal)
{
    (void)signal;
    caught++;
}

static void on_alarm(int flags)
{
    struct sigaction action = {.sa_handler = catch, .sa_flags = flags};
    CHECK(sigaction(SIGALRM, &action, 0) == 0);
    caught = 0;
}

static void alarm_in_ms(int ms)
{
    struct itimerval timer = {{0, 0}, {ms / 1000, ms % 1000 * 1000}};
    CHECK(setitimer(ITIMER_REAL, &timer, 0) == 0);
}

// Where the signal is not blocked it may come before the call that it is to interrupt, on a slow machine: so it comes again.
static void alarms_from_ms(int ms)
{
    struct itimerval timer = {{0, 250000}, {ms / 1000, ms % 1000 * 1000}};
    CHECK(setitimer(ITIMER_REAL, &timer, 0) == 0);
}

static void interrupted(void)
{
    int p[2];
    char c;
    CHECK(pipe(p) == 0);
    struct pollfd one = {p[0], POLLIN, 0};
    on_alarm(0);
    alarms_from_ms(30);
    CHECK_ERRNO(read(p[0], &c, 1), EINTR);
    // These are never begun again after a handler, whatever its flags.
    on_alarm(SA_RESTART);
    alarms_from_ms(30);
    CHECK_ERRNO(poll(&one, 1, 10000), EINTR);
    alarms_from_ms(30);
    CHECK_ERRNO(poll(&one, 1, -1), EINTR);
    alarms_from_ms(30);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    struct timeval limit = {10, 0};
    CHECK_ERRNO(syscall(SYS_select, p[0] + 1, &in, 0, 0, &limit), EINTR);
    CHECK(limit.tv_sec == 9 && FD_ISSET(p[0], &in));
    int e = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {.u64 = 0}};
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event) == 0);
    alarms_from_ms(30);
    CHECK_ERRNO(epoll_wait(e, &event, 1, -1), EINTR);
    close(e);
    CHECK(caught >= 4);
    // A read is, and so is a write that has nothing in yet.
    pid_t child = fork();
    if (child == 0) {
        sleep_ms(100);
        write(p[1], "y", 1);
        _exit(0);
    }
    alarms_from_ms(30);
    CHECK(read(p[0], &c, 1) == 1 && c == 'y' && caught >= 5);
    alarm_in_ms(0);
    CHECK(status_of(child) == 0);
    // What is in counts more than the signal.
    static char big[100000];
    on_alarm(0);
    alarms_from_ms(50);
    CHECK(write(p[1], big, sizeof big) == 65536 && caught >= 1);
    alarms_from_ms(50);
    CHECK_ERRNO(write(p[1], big, 1), EINTR);
    int full = eventfd(0xffffffff, 0);
    uint64_t value = UINT64_MAX - 1;
    alarms_from_ms(50);
    CHECK_ERRNO(write(full, &value, 8), EINTR);
    alarm_in_ms(0);
    close(full);
    close(p[0]);
    close(p[1]);
}

// A poll that is stopped and continued goes on as if nothing had been, and ends when it would have.
static void stopped(void)
{
    pid_t child = fork();
    if (child == 0) {
        int64_t start = now_ms();
        int got = poll(0, 0, 200);
        int64_t took = now_ms() - start;
        _exit(got == 0 && took >= 199 && took < 5000 ? 0 : 1);
    }
    sleep_ms(50);
    int status;
    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    sleep_ms(50);
    CHECK(kill(child, SIGCONT) == 0);
    CHECK(status_of(child) == 0);
}

static void masks(void)
{
    int p[2];
    sigset_t alarms, none;
    sigemptyset(&none);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    CHECK(pipe(p) == 0 && sigprocmask(SIG_BLOCK, &alarms, 0) == 0);
    struct pollfd one = {p[0], POLLIN, 0};
    on_alarm(0);
    CHECK(raise(SIGALRM) == 0 && caught == 0);
    // The signal waits; with the mask of the call it comes at once, unless something is ready.
    struct timespec limit = {10, 0};
    CHECK(ppoll(&one, 1, &(struct timespec){0, 0}, &alarms) == 0 && caught == 0);
    CHECK_ERRNO(ppoll(&one, 1, &limit, &none), EINTR);
    CHECK(caught == 1);
    sigset_t now;
    CHECK(sigprocmask(SIG_BLOCK, 0, &now) == 0 && sigismember(&now, SIGALRM));
    fd_set in;
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    alarm_in_ms(30);
    CHECK_ERRNO(pselect(p[0] + 1, &in, 0, 0, &limit, &none), EINTR);
    CHECK(caught == 2);
    int e = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {.u64 = 0}};
    alarm_in_ms(30);
    CHECK_ERRNO(epoll_pwait(e, &event, 1, 10000, &none), EINTR);
    CHECK(caught == 3);
    close(e);
    CHECK(write(p[1], "x", 1) == 1 && raise(SIGALRM) == 0);
    CHECK(ppoll(&one, 1, 0, &none) == 1 && caught == 3);
    CHECK(sigprocmask(SIG_UNBLOCK, &alarms, 0) == 0 && caught == 4);
    close(p[0]);
    close(p[1]);
}

static void signals_read(void)
{
    sigset_t set;
    struct signalfd_siginfo info[3];
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    CHECK(sigprocmask(SIG_BLOCK, &set, 0) == 0);
    static const uintptr_t bad[] = {0, 1, 0x1000, 0x0000800000000000, 0xffff800000100000, UINTPTR_MAX};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_ERRNO(syscall(SYS_signalfd4, -1, bad[i], 8, 0), EFAULT);
    uint64_t mask = 0;
    CHECK_ERRNO(syscall(SYS_signalfd4, -1, &mask, 4, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_signalfd4, -1, &mask, 8, 1), EINVAL);
    CHECK_ERRNO(syscall(SYS_signalfd4, 99, &mask, 8, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_signalfd4, 0, &mask, 8, 0), EINVAL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK_ERRNO(read(fd, info, sizeof info), EAGAIN);
    CHECK_ERRNO(read(fd, info, sizeof *info - 1), EINVAL);
    struct pollfd one = {fd, POLLIN, 0};
    CHECK(poll(&one, 1, 0) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0 && poll(&one, 1, 0) == 1 && one.revents == POLLIN);
    CHECK(read(fd, info, sizeof info) == sizeof *info);
    CHECK(info[0].ssi_signo == SIGUSR1 && info[0].ssi_code == SI_USER && info[0].ssi_pid == (uint32_t)getpid());
    CHECK(info[0].ssi_uid == getuid() && poll(&one, 1, 0) == 0);
    union sigval value = {.sival_int = 77};
    CHECK(sigqueue(getpid(), SIGUSR1, value) == 0 && read(fd, info, sizeof info) == sizeof *info);
    CHECK(info[0].ssi_code == SI_QUEUE && info[0].ssi_int == 77);

    // A child's end wakes a poll and an epoll, and is told with its status.
    int e = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {.u64 = 9}};
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_wait(e, &event, 1, 0) == 0);
    pid_t child = fork();
    if (child == 0) {
        sleep_ms(50);
        _exit(5);
    }
    CHECK(poll(&one, 1, 10000) == 1 && epoll_wait(e, &event, 1, 10000) == 1 && event.data.u64 == 9);
    CHECK(read(fd, info, sizeof info) == sizeof *info && info[0].ssi_signo == SIGCHLD);
    CHECK(info[0].ssi_pid == (uint32_t)child && info[0].ssi_status == 5 && info[0].ssi_code == CLD_EXITED);
    CHECK(WEXITSTATUS(status_of(child)) == 5);
    // A child reads its own signals from what it has inherited, also by waiting for them.
    child = fork();
    if (child == 0) {
        int ready = poll(&one, 1, 10000);
        _exit(ready == 1 && read(fd, info, sizeof info) == sizeof *info && info[0].ssi_pid == (uint32_t)getppid() ? 0 : 1);
    }
    sleep_ms(30);
    CHECK(kill(child, SIGUSR1) == 0 && status_of(child) == 0);
    CHECK(read(fd, info, sizeof info) == sizeof *info && info[0].ssi_signo == SIGCHLD);
    // Another mask for the same descriptor.
    sigdelset(&set, SIGUSR1);
    CHECK(signalfd(fd, &set, 0) == fd && kill(getpid(), SIGUSR1) == 0);
    CHECK_ERRNO(read(fd, info, sizeof info), EAGAIN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR1, SIG_DFL);
    close(e);
    close(fd);
    sigprocmask(SIG_UNBLOCK, &set, 0);
}

// FIFOs: an opening waits for the other side; afterwards they are pipes.
static void fifos(const char *directory)
{
    char path[PATH_MAX], buf[8];
    struct stat info;
    snprintf(path, sizeof path, "%s/fifo-%d", directory, (int)getpid());
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_ERRNO(mkfifo(path, 0600), EEXIST);
    CHECK(stat(path, &info) == 0 && S_ISFIFO(info.st_mode) && (info.st_mode & 07777) == 0600);
    CHECK_ERRNO(open(path, O_WRONLY | O_NONBLOCK), ENXIO);

    // A reader that does not wait, before any writer: nothing to read, and not hung up.
    int in = open(path, O_RDONLY | O_NONBLOCK);
    struct pollfd one = {in, POLLIN, 0};
    CHECK(in >= 0 && fstat(in, &info) == 0 && S_ISFIFO(info.st_mode));
    CHECK(poll(&one, 1, 0) == 0 && read(in, buf, sizeof buf) == 0);
    int out = open(path, O_WRONLY | O_NONBLOCK);
    CHECK(out >= 0 && write(out, "ab", 2) == 2 && poll(&one, 1, 0) == 1 && one.revents == POLLIN);
    CHECK(read(in, buf, sizeof buf) == 2);
    CHECK_ERRNO(read(in, buf, 1), EAGAIN);
    close(out);
    CHECK(poll(&one, 1, 0) == 1 && one.revents == POLLHUP && read(in, buf, 1) == 0);
    // The next writer ends that.
    out = open(path, O_WRONLY);
    CHECK(poll(&one, 1, 0) == 0);
    close(in);
    close(out);

    // Both sides wait for each other, whoever comes first.
    for (int first = 0; first < 2; first++) {
        pid_t child = fork();
        if (child == 0) {
            if (first)
                sleep_ms(50);
            int fd = open(path, O_WRONLY);
            _exit(fd >= 0 && write(fd, "hello", 5) == 5 ? 0 : 1);
        }
        if (!first)
            sleep_ms(50);
        in = open(path, O_RDONLY);
        CHECK(in >= 0 && read(in, buf, sizeof buf) == 5 && memcmp(buf, "hello", 5) == 0);
        CHECK(status_of(child) == 0 && read(in, buf, 1) == 0);
        close(in);
    }
    on_alarm(0);
    alarms_from_ms(30);
    CHECK_ERRNO(open(path, O_RDONLY), EINTR);
    alarms_from_ms(30);
    CHECK_ERRNO(open(path, O_WRONLY), EINTR);
    alarm_in_ms(0);
    // One end for both.
    int both = open(path, O_RDWR);
    CHECK(both >= 0 && write(both, "x", 1) == 1 && read(both, buf, 8) == 1);
    CHECK_ERRNO(lseek(both, 0, SEEK_SET), ESPIPE);
    close(both);
    CHECK(unlink(path) == 0);
}

int main(void)
{
    fifos(access("/tmp", W_OK) == 0 ? "/tmp" : "/dev");
    streams();
    broken();
    ping_pong();
    interrupted();
    stopped();
    masks();
    signals_read();
    return check_result();
}
