// eventfd, timerfd and epoll: what they count, what they tell and when. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const uintptr_t bad[] = {0, 1, 0x1000, 0x0000800000000000, 0xffff800000100000, 0xffffffff80100000, UINTPTR_MAX};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static short events_of(int fd)
{
    struct pollfd one = {fd, POLLIN | POLLOUT, -1};
    CHECK(poll(&one, 1, 0) == (one.revents != 0));
    return one.revents;
}

static void bad_pointers(void)
{
    int e = epoll_create1(0), t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), c = eventfd(1, EFD_NONBLOCK);
    struct itimerspec none = {{0, 0}, {0, 0}};
    CHECK(e >= 0 && t >= 0 && c >= 0);
    struct epoll_event ask = {EPOLLIN, {.u64 = 1}};
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, c, &ask) == 0);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *at = (void *)bad[i];
        CHECK_ERRNO(syscall(SYS_epoll_ctl, e, EPOLL_CTL_ADD, t, at), EFAULT);
        CHECK_ERRNO(syscall(SYS_epoll_ctl, e, EPOLL_CTL_MOD, c, at), EFAULT);
        CHECK_ERRNO(syscall(SYS_epoll_ctl, 99, EPOLL_CTL_MOD, c, at), EFAULT);
        CHECK_ERRNO(syscall(SYS_epoll_wait, e, at, 1, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_timerfd_settime, t, 0, at, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_timerfd_settime, 99, 0, at, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_timerfd_gettime, t, at), EFAULT);
        CHECK_ERRNO(syscall(SYS_timerfd_gettime, 99, at), EBADF);
        CHECK_ERRNO(syscall(SYS_write, c, at, 8), EFAULT);
        if (at != 0) {
            CHECK_ERRNO(syscall(SYS_timerfd_settime, t, 0, &none, at), EFAULT);
            CHECK_ERRNO(syscall(SYS_epoll_pwait, e, &ask, 1, 0, at, 8), EFAULT);
            CHECK_ERRNO(syscall(SYS_epoll_pwait2, e, &ask, 1, at, 0, 8), EFAULT);
        }
    }
    // An event that could not be given is not lost.
    CHECK(epoll_wait(e, &ask, 1, 0) == 1 && ask.data.u64 == 1);
    close(e);
    close(t);
    close(c);
}

static void counters(void)
{
    uint64_t value = 0;
    int c = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(c >= 0 && fcntl(c, F_GETFD) == FD_CLOEXEC && fcntl(c, F_GETFL) == (O_RDWR | O_NONBLOCK));
    CHECK(events_of(c) == (POLLIN | POLLOUT));
    CHECK_ERRNO(read(c, &value, 7), EINVAL);
    CHECK_ERRNO(write(c, &value, 7), EINVAL);
    CHECK(read(c, &value, 8) == 8 && value == 3);
    CHECK_ERRNO(read(c, &value, 8), EAGAIN);
    CHECK(events_of(c) == POLLOUT);
    value = UINT64_MAX;
    CHECK_ERRNO(write(c, &value, 8), EINVAL);
    value = UINT64_MAX - 2;
    CHECK(write(c, &value, 8) == 8 && events_of(c) == (POLLIN | POLLOUT));
    value = 1;
    CHECK(write(c, &value, 8) == 8 && events_of(c) == POLLIN);
    CHECK_ERRNO(write(c, &value, 8), EAGAIN);
    value = 0;
    CHECK(write(c, &value, 8) == 8);
    CHECK(read(c, &value, 8) == 8 && value == UINT64_MAX - 1);
    close(c);

    c = (int)syscall(SYS_eventfd2, 2, EFD_SEMAPHORE | EFD_NONBLOCK);
    CHECK(read(c, &value, 8) == 8 && value == 1);
    CHECK(read(c, &value, 8) == 8 && value == 1);
    CHECK_ERRNO(read(c, &value, 8), EAGAIN);
    close(c);
    CHECK_ERRNO(syscall(SYS_eventfd2, 0, 0x10), EINVAL);
    c = (int)syscall(SYS_eventfd, 0xffffffffu);
    CHECK(read(c, &value, 8) == 8 && value == 0xffffffffu && fcntl(c, F_GETFL) == O_RDWR);
    close(c);
}

static void timers(void)
{
    uint64_t count = 0;
    struct itimerspec set = {{0, 0}, {0, 20 * 1000 * 1000}}, old = {{9, 9}, {9, 9}};
    int t = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(t >= 0 && timerfd_gettime(t, &old) == 0 && old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);
    int64_t start = now_ms();
    CHECK(timerfd_settime(t, 0, &set, &old) == 0 && old.it_value.tv_nsec == 0 && old.it_interval.tv_sec == 0);
    CHECK(timerfd_gettime(t, &old) == 0 && old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 20 * 1000 * 1000);
    CHECK(events_of(t) == 0);
    CHECK(read(t, &count, 8) == 8 && count == 1);
    CHECK(now_ms() - start >= 19);
    CHECK(events_of(t) == 0 && timerfd_gettime(t, &old) == 0 && old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);
    CHECK_ERRNO(read(t, &count, 7), EINVAL);
    CHECK_ERRNO(write(t, &count, 8), EINVAL);

    // An interval: what is not read adds up.
    set = (struct itimerspec){{0, 5 * 1000 * 1000}, {0, 1}};
    CHECK(timerfd_settime(t, 0, &set, 0) == 0);
    struct timespec pause = {0, 53 * 1000 * 1000};
    nanosleep(&pause, 0);
    CHECK(events_of(t) == POLLIN);
    CHECK(timerfd_gettime(t, &old) == 0 && old.it_interval.tv_nsec == 5 * 1000 * 1000);
    CHECK(old.it_value.tv_sec == 0 && old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 5 * 1000 * 1000);
    CHECK(read(t, &count, 8) == 8 && count >= 11);
    CHECK(read(t, &count, 8) == 8 && count >= 1);
    start = now_ms();
    for (uint64_t sum = 0; sum < 6; sum += count)
        CHECK(read(t, &count, 8) == 8);
    CHECK(now_ms() - start >= 19);
    set = (struct itimerspec){{0, 0}, {0, 0}};
    CHECK(timerfd_settime(t, 0, &set, &old) == 0 && old.it_interval.tv_nsec == 5 * 1000 * 1000);
    CHECK(fcntl(t, F_SETFL, O_NONBLOCK) == 0);
    CHECK_ERRNO(read(t, &count, 8), EAGAIN);

    // A time of the clock itself; one that has passed counts at once.
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    set.it_value = (struct timespec){now.tv_sec, now.tv_nsec > 0 ? now.tv_nsec - 1 : 0};
    CHECK(timerfd_settime(t, TFD_TIMER_ABSTIME, &set, 0) == 0 && read(t, &count, 8) == 8 && count == 1);
    close(t);
    t = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    set.it_value = (struct timespec){now.tv_sec + 1, now.tv_nsec};
    CHECK(timerfd_settime(t, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &set, 0) == 0);
    CHECK_ERRNO(read(t, &count, 8), EAGAIN);
    CHECK(timerfd_gettime(t, &old) == 0 && old.it_value.tv_sec <= 1 && old.it_interval.tv_nsec == 0);
    struct pollfd one = {t, POLLIN, 0};
    start = now_ms();
    CHECK(poll(&one, 1, 5000) == 1 && one.revents == POLLIN);
    CHECK(now_ms() - start >= 800 && now_ms() - start < 4000);
    close(t);

    CHECK_ERRNO(timerfd_create(99, 0), EINVAL);
    CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
    t = timerfd_create(CLOCK_BOOTTIME, 0);
    CHECK(t >= 0);
    CHECK_ERRNO(timerfd_settime(t, 4, &set, 0), EINVAL);
    set.it_value.tv_nsec = 1000000000;
    CHECK_ERRNO(timerfd_settime(t, 0, &set, 0), EINVAL);
    set.it_value.tv_nsec = -1;
    CHECK_ERRNO(timerfd_settime(t, 0, &set, 0), EINVAL);
    set.it_value.tv_nsec = 0;
    CHECK_ERRNO(timerfd_settime(0, 0, &set, 0), EINVAL);
    close(t);
}

static int add(int e, int fd, uint32_t events)
{
    struct epoll_event ask = {events, {.u64 = 0x1234567800000000u | (unsigned)fd}};
    return epoll_ctl(e, EPOLL_CTL_ADD, fd, &ask);
}

// What a wait without time gives for one descriptor alone; 0 if nothing.
static uint32_t got(int e, int fd)
{
    struct epoll_event out[4];
    int count = epoll_wait(e, out, 4, 0);
    CHECK(count == 0 || count == 1);
    CHECK(count == 0 || out[0].data.u64 == (0x1234567800000000u | (unsigned)fd));
    return count == 1 ? out[0].events : 0;
}

static void controlling(void)
{
    int p[2], e = epoll_create(1), e2 = epoll_create1(EPOLL_CLOEXEC), dir = open("/", O_RDONLY | O_DIRECTORY);
    struct epoll_event ask = {EPOLLIN, {.u64 = 0}};
    CHECK(pipe(p) == 0 && e >= 0 && fcntl(e2, F_GETFD) == FD_CLOEXEC);
    CHECK_ERRNO(syscall(SYS_epoll_create, 0), EINVAL);
    CHECK_ERRNO(epoll_create1(1), EINVAL);
    CHECK_ERRNO(epoll_ctl(99, EPOLL_CTL_ADD, p[0], &ask), EBADF);
    CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, 99, &ask), EBADF);
    CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, dir, &ask), EPERM);
    CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, e, &ask), EINVAL);
    CHECK_ERRNO(epoll_ctl(p[1], EPOLL_CTL_ADD, p[0], &ask), EINVAL);
    CHECK_ERRNO(epoll_ctl(e, 77, p[0], &ask), EINVAL);
    CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ask), ENOENT);
    CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_DEL, p[0], 0), ENOENT);
    CHECK(add(e, p[0], EPOLLIN) == 0);
    CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ask), EEXIST);
    CHECK(epoll_ctl(e, EPOLL_CTL_DEL, p[0], 0) == 0);
    CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_DEL, p[0], 0), ENOENT);
    CHECK_ERRNO(epoll_wait(e, &ask, 0, 0), EINVAL);
    CHECK_ERRNO(epoll_wait(e, &ask, -1, 0), EINVAL);
    CHECK_ERRNO(epoll_wait(p[0], &ask, 1, 0), EINVAL);
    CHECK_ERRNO(epoll_wait(99, &ask, 1, 0), EBADF);
    char c;
    CHECK_ERRNO(read(e, &c, 1), EINVAL);

    // EPOLLEXCLUSIVE goes with few others, is given at the start, and stays.
    CHECK_ERRNO(add(e, p[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), EINVAL);
    CHECK_ERRNO(add(e, e2, EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
    CHECK(add(e, p[0], EPOLLIN | EPOLLEXCLUSIVE) == 0);
    CHECK_ERRNO(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ask), EINVAL);
    CHECK(write(p[1], "x", 1) == 1 && got(e, p[0]) == EPOLLIN);
    close(p[0]);
    close(p[1]);
    close(e);
    close(e2);
    close(dir);
}

static void level_and_edge(void)
{
    int p[2], e = epoll_create1(0);
    char buf[8];
    CHECK(pipe(p) == 0);
    // Level: told as long as it is the case.
    CHECK(add(e, p[0], EPOLLIN) == 0 && got(e, p[0]) == 0);
    CHECK(write(p[1], "ab", 2) == 2);
    CHECK(got(e, p[0]) == EPOLLIN && got(e, p[0]) == EPOLLIN);
    CHECK(read(p[0], buf, 1) == 1 && got(e, p[0]) == EPOLLIN);
    CHECK(read(p[0], buf, 1) == 1 && got(e, p[0]) == 0);
    // Edge: told once for each wake-up.
    struct epoll_event ask = {EPOLLIN | EPOLLET, {.u64 = 0x1234567800000000u | (unsigned)p[0]}};
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ask) == 0 && got(e, p[0]) == 0);
    CHECK(write(p[1], "ab", 2) == 2);
    CHECK(got(e, p[0]) == EPOLLIN && got(e, p[0]) == 0);
    CHECK(write(p[1], "c", 1) == 1);
    CHECK(got(e, p[0]) == EPOLLIN && got(e, p[0]) == 0);
    // Setting it anew looks again.
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ask) == 0 && got(e, p[0]) == EPOLLIN && got(e, p[0]) == 0);
    // Once, until it is set anew.
    ask.events = EPOLLIN | EPOLLONESHOT;
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ask) == 0 && got(e, p[0]) == EPOLLIN && got(e, p[0]) == 0);
    CHECK(write(p[1], "d", 1) == 1 && got(e, p[0]) == 0);
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ask) == 0 && got(e, p[0]) == EPOLLIN && got(e, p[0]) == 0);
    // Hanging up is told without being asked for.
    ask.events = 0;
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ask) == 0 && got(e, p[0]) == 0);
    ask.events = EPOLLIN;
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &ask) == 0);
    close(p[1]);
    CHECK(got(e, p[0]) == (EPOLLIN | EPOLLHUP));
    CHECK(read(p[0], buf, 8) == 4 && got(e, p[0]) == EPOLLHUP);
    // A file that is closed drops out, but not while another descriptor has it.
    int second = dup(p[0]);
    close(p[0]);
    CHECK(got(e, p[0]) == EPOLLHUP);
    close(second);
    CHECK(got(e, p[0]) == 0);

    // The counter of an eventfd: edges of reading and writing are not mixed up.
    int c = eventfd(0, EFD_NONBLOCK);
    uint64_t value = 1;
    CHECK(add(e, c, EPOLLIN | EPOLLET) == 0 && got(e, c) == 0);
    CHECK(write(c, &value, 8) == 8 && got(e, c) == EPOLLIN && got(e, c) == 0);
    CHECK(write(c, &value, 8) == 8 && got(e, c) == EPOLLIN);
    CHECK(read(c, &value, 8) == 8 && value == 2 && got(e, c) == 0);
    close(c);
    close(e);
}

static void waiting(void)
{
    struct epoll_event out[8];
    int e = epoll_create1(0), t = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(add(e, t, EPOLLIN) == 0);
    int64_t start = now_ms();
    CHECK(epoll_wait(e, out, 8, 30) == 0 && now_ms() - start >= 29);
    struct itimerspec set = {{0, 0}, {0, 30 * 1000 * 1000}};
    start = now_ms();
    CHECK(timerfd_settime(t, 0, &set, 0) == 0);
    CHECK(epoll_wait(e, out, 8, 10000) == 1 && out[0].events == EPOLLIN);
    CHECK(now_ms() - start >= 29 && now_ms() - start < 8000);
    // Edges of an interval come again once it has been read.
    set = (struct itimerspec){{0, 10 * 1000 * 1000}, {0, 10 * 1000 * 1000}};
    struct epoll_event ask = {EPOLLIN | EPOLLET, {.u64 = 5}};
    start = now_ms();
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, t, &ask) == 0 && timerfd_settime(t, 0, &set, 0) == 0);
    for (uint64_t count, sum = 0; sum < 4; sum += count) {
        CHECK(epoll_wait(e, out, 8, -1) == 1 && out[0].data.u64 == 5);
        CHECK(read(t, &count, 8) == 8 && count >= 1);
    }
    CHECK(now_ms() - start >= 39);
    struct timespec span = {0, 1};
    close(t);
    CHECK(syscall(SYS_epoll_pwait2, e, out, 8, &span, 0, 8) == 0);
    uint64_t mask = 0;
    CHECK(syscall(SYS_epoll_pwait, e, out, 8, 0, &mask, 8) == 0);
    CHECK_ERRNO(syscall(SYS_epoll_pwait, e, out, 8, 0, &mask, 4), EINVAL);

    // More is ready than is asked for: everything has its turn.
    int p[5][2], seen = 0;
    for (int i = 0; i < 5; i++) {
        CHECK(pipe(p[i]) == 0 && write(p[i][1], "x", 1) == 1);
        ask = (struct epoll_event){EPOLLIN, {.u32 = (uint32_t)i}};
        CHECK(epoll_ctl(e, EPOLL_CTL_ADD, p[i][0], &ask) == 0);
    }
    for (int round = 0; round < 3; round++) {
        int count = epoll_wait(e, out, 2, -1);
        CHECK(count == 2);
        for (int i = 0; i < count; i++)
            seen |= 1 << out[i].data.u32;
    }
    CHECK(seen == 31);
    CHECK(epoll_wait(e, out, 8, -1) == 5);
    for (int i = 0; i < 5; i++) {
        close(p[i][0]);
        close(p[i][1]);
    }
    close(e);
}

static void nested(void)
{
    int p[2], inner = epoll_create1(0), outer = epoll_create1(0), chain[8];
    CHECK(pipe(p) == 0 && add(inner, p[0], EPOLLIN) == 0 && add(outer, inner, EPOLLIN) == 0);
    CHECK(got(outer, inner) == 0 && events_of(inner) == 0);
    CHECK(write(p[1], "x", 1) == 1);
    CHECK(got(outer, inner) == EPOLLIN && got(inner, p[0]) == EPOLLIN && events_of(outer) == POLLIN);
    CHECK_ERRNO(add(inner, outer, EPOLLIN), ELOOP);
    char c;
    CHECK(read(p[0], &c, 1) == 1 && got(outer, inner) == 0 && events_of(outer) == 0);
    close(inner);
    CHECK(got(outer, inner) == 0);
    close(outer);
    for (int i = 0; i < 8; i++)
        chain[i] = epoll_create1(0);
    for (int i = 0; i < 4; i++)
        CHECK(add(chain[i + 1], chain[i], EPOLLIN) == 0);
    CHECK_ERRNO(add(chain[0], chain[4], EPOLLIN), ELOOP);
    CHECK(add(chain[0], p[0], EPOLLIN) == 0 && write(p[1], "x", 1) == 1 && got(chain[4], chain[3]) == EPOLLIN);
    // A chain of five is allowed, one of eight by no Linux.
    CHECK(add(chain[5], chain[4], EPOLLIN) != 0 || add(chain[6], chain[5], EPOLLIN) != 0 ||
          add(chain[7], chain[6], EPOLLIN) != 0);
    CHECK(errno == ELOOP);
    for (int i = 0; i < 8; i++)
        close(chain[i]);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    bad_pointers();
    counters();
    timers();
    controlling();
    level_and_edge();
    waiting();
    nested();
    return check_result();
}
