// poll, ppoll, select and pselect6: what is told of which descriptor, for how long they wait, and what they write back.
// Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const uintptr_t bad[] = {0, 1, 0x1000, 0x0000800000000000, 0xffff800000100000, 0xffffffff80100000, UINTPTR_MAX};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void bad_pointers(void)
{
    struct timespec none = {0, 0};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *at = (void *)bad[i];
        CHECK_ERRNO(syscall(SYS_poll, at, 1, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_ppoll, at, 1, &none, 0, 8), EFAULT);
        // An empty array may be anywhere in the half of programs.
        if ((uintptr_t)at < 0x7fffffffffff)
            CHECK(syscall(SYS_poll, at, 0, 0) == 0);
        else
            CHECK_ERRNO(syscall(SYS_poll, at, 0, 0), EFAULT);
        if (at == 0)
            continue;
        struct pollfd one = {0, 0, 0};
        CHECK_ERRNO(syscall(SYS_ppoll, &one, 0, at, 0, 8), EFAULT);
        CHECK_ERRNO(syscall(SYS_ppoll, &one, 0, &none, at, 8), EFAULT);
        CHECK_ERRNO(syscall(SYS_select, 1, at, 0, 0, &none), EFAULT);
        CHECK_ERRNO(syscall(SYS_select, 1, 0, at, 0, &none), EFAULT);
        CHECK_ERRNO(syscall(SYS_select, 1, 0, 0, at, &none), EFAULT);
        CHECK_ERRNO(syscall(SYS_select, 0, 0, 0, 0, at), EFAULT);
        CHECK_ERRNO(syscall(SYS_pselect6, 0, 0, 0, 0, at, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_pselect6, 0, 0, 0, 0, &none, at), EFAULT);
        CHECK(syscall(SYS_select, 0, at, at, at, &none) == 0);
    }
}

static void invalid(void)
{
    struct pollfd one = {0, 0, 0};
    struct timespec wrong = {0, 1000000000}, negative = {-1, 0};
    struct timeval before = {-1, 0}, none = {0, 0};
    uint64_t mask = 0;
    CHECK_ERRNO(syscall(SYS_poll, &one, 0x10000000, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_ppoll, &one, 0, &wrong, 0, 8), EINVAL);
    CHECK_ERRNO(syscall(SYS_ppoll, &one, 0, &negative, 0, 8), EINVAL);
    CHECK_ERRNO(syscall(SYS_ppoll, &one, 0, 0, &mask, 4), EINVAL);
    CHECK_ERRNO(syscall(SYS_select, -1, 0, 0, 0, &none), EINVAL);
    CHECK_ERRNO(syscall(SYS_select, 0, 0, 0, 0, &before), EINVAL);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(50, &set);
    CHECK_ERRNO(select(51, &set, 0, 0, &none), EBADF);
    CHECK(FD_ISSET(50, &set));
    // Only the first 50 count, and only they are written back, in whole words.
    FD_SET(70, &set);
    CHECK(select(50, &set, 0, 0, &none) == 0);
    CHECK(!FD_ISSET(50, &set) && FD_ISSET(70, &set));
}

static void polls(void)
{
    int p[2];
    char c;
    CHECK(pipe(p) == 0);
    int file = open("/", O_RDONLY | O_DIRECTORY);
    struct pollfd fds[5] = {{p[0], POLLIN, 7}, {p[1], POLLOUT, 7}, {-1, POLLIN, 7}, {500, POLLIN, 7}, {file, POLLIN | POLLOUT, 7}};
    CHECK(poll(fds, 5, -1) == 3);
    CHECK(fds[0].revents == 0 && fds[1].revents == POLLOUT && fds[2].revents == 0 && fds[3].revents == POLLNVAL);
    CHECK(fds[4].revents == (POLLIN | POLLOUT));
    CHECK(fds[1].events == POLLOUT && fds[1].fd == p[1]);
    CHECK(write(p[1], "z", 1) == 1);
    CHECK(poll(fds, 1, -1) == 1 && fds[0].revents == POLLIN);
    // The same descriptor twice counts twice.
    fds[1] = fds[0];
    fds[1].events = POLLRDNORM;
    CHECK(poll(fds, 2, 1000) == 2 && fds[1].revents == POLLRDNORM);
    CHECK(read(p[0], &c, 1) == 1);

    int64_t start = now_ms();
    CHECK(poll(fds, 2, 30) == 0 && fds[0].revents == 0);
    int64_t took = now_ms() - start;
    CHECK(took >= 29 && took < 5000);
    CHECK(poll(0, 0, 10) == 0);
    CHECK(now_ms() - start >= 39);

    struct timespec limit = {0, 20 * 1000 * 1000};
    start = now_ms();
    CHECK(syscall(SYS_ppoll, fds, 1, &limit, 0, 8) == 0);
    CHECK(now_ms() - start >= 19 && limit.tv_sec == 0 && limit.tv_nsec == 0);
    limit.tv_sec = 1000;
    CHECK(write(p[1], "z", 1) == 1);
    CHECK(syscall(SYS_ppoll, fds, 1, &limit, 0, 8) == 1 && limit.tv_sec >= 900 && limit.tv_sec < 1000);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(ppoll(fds, 1, 0, &set) == 1);
    close(p[0]);
    close(p[1]);
    close(file);
}

static void selects(void)
{
    int p[2], q[2];
    fd_set in, out, except;
    CHECK(pipe(p) == 0 && pipe(q) == 0);
    CHECK(write(p[1], "z", 1) == 1);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&except);
    FD_SET(p[0], &in), FD_SET(q[0], &in), FD_SET(p[1], &in);
    FD_SET(p[1], &out), FD_SET(p[0], &out);
    FD_SET(p[0], &except);
    CHECK(select(q[1] + 1, &in, &out, &except, 0) == 2);
    CHECK(FD_ISSET(p[0], &in) && !FD_ISSET(q[0], &in) && !FD_ISSET(p[1], &in));
    CHECK(FD_ISSET(p[1], &out) && !FD_ISSET(p[0], &out) && !FD_ISSET(p[0], &except));

    // A pipe whose writer has gone is ready to be read, one whose reader has gone ready for everything.
    close(q[1]);
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(q[0], &in);
    CHECK(select(q[0] + 1, &in, 0, 0, 0) == 1 && FD_ISSET(q[0], &in));
    close(p[0]);
    FD_SET(p[1], &in), FD_SET(p[1], &out);
    CHECK(select(p[1] + 1, &in, &out, 0, 0) == 2);
    close(p[1]);
    close(q[0]);

    struct timeval limit = {0, 20000};
    int64_t start = now_ms();
    CHECK(syscall(SYS_select, 0, 0, 0, 0, &limit) == 0);
    CHECK(now_ms() - start >= 19 && limit.tv_sec == 0 && limit.tv_usec == 0);
    // More than a second of microseconds is allowed in this one call.
    limit = (struct timeval){100, 5000000};
    CHECK(pipe(p) == 0);
    FD_ZERO(&out);
    FD_SET(p[1], &out);
    CHECK(syscall(SYS_select, p[1] + 1, 0, &out, 0, &limit) == 1 && limit.tv_sec >= 100 && limit.tv_sec <= 105);
    struct timespec span = {0, 20 * 1000 * 1000};
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    CHECK(syscall(SYS_pselect6, p[0] + 1, &in, 0, 0, &span, 0) == 0 && !FD_ISSET(p[0], &in));
    CHECK(span.tv_sec == 0 && span.tv_nsec == 0);
    uint64_t mask = 0;
    struct {
        void *mask;
        size_t size;
    } argument = {&mask, 8}, wrong = {&mask, 16}, nothing = {0, 77};
    span.tv_nsec = 1;
    CHECK(syscall(SYS_pselect6, 0, 0, 0, 0, &span, &argument) == 0);
    CHECK_ERRNO(syscall(SYS_pselect6, 0, 0, 0, 0, &span, &wrong), EINVAL);
    CHECK(syscall(SYS_pselect6, 0, 0, 0, 0, &span, &nothing) == 0);
    close(p[0]);
    close(p[1]);
}

// Many descriptors at once, over word borders of the sets.
static void many(void)
{
    enum { PIPES = 100 };
    int p[PIPES][2], last = 0;
    fd_set in;
    struct timeval none = {0, 0};
    FD_ZERO(&in);
    for (int i = 0; i < PIPES; i++) {
        CHECK(pipe(p[i]) == 0);
        FD_SET(p[i][0], &in);
        last = p[i][0];
        if (i % 3 == 0)
            CHECK(write(p[i][1], "x", 1) == 1);
    }
    CHECK(select(last + 1, &in, 0, 0, &none) == 34);
    struct pollfd fds[PIPES];
    int right = 0;
    for (int i = 0; i < PIPES; i++) {
        right += !FD_ISSET(p[i][0], &in) == (i % 3 != 0);
        fds[i] = (struct pollfd){p[i][0], POLLIN, 0};
    }
    CHECK(right == PIPES);
    CHECK(poll(fds, PIPES, 0) == 34);
    for (int i = 0; i < PIPES; i++) {
        close(p[i][0]);
        close(p[i][1]);
    }
}

int main(void)
{
    bad_pointers();
    invalid();
    polls();
    selects();
    many();
    return check_result();
}
