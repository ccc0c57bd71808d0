// What the tests of pseudo-terminals share: pairs opened by hand, and reads that are compared.
#ifndef PTY_H
#define PTY_H

#include "table.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

enum { PATIENCE_MS = 30000, PTS_MAGIC = 0x1cd1 };

struct pair {
    int master, slave;
    char path[32];
};

// Opens a pair by hand; the slave becomes nobody's terminal.
static inline struct pair open_pair(void)
{
    struct pair pair = {.master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)};
    int number = -1, unlock = 0;
    CHECK(pair.master >= 0);
    CHECK(ioctl(pair.master, TIOCGPTN, &number) == 0 && number >= 0);
    CHECK(ioctl(pair.master, TIOCSPTLCK, &unlock) == 0);
    snprintf(pair.path, sizeof pair.path, "/dev/pts/%d", number);
    pair.slave = open(pair.path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(pair.slave >= 0);
    return pair;
}

static inline void close_pair(struct pair *pair)
{
    close(pair->slave);
    close(pair->master);
}

static inline void make_raw(int fd)
{
    struct termios settings;
    CHECK(tcgetattr(fd, &settings) == 0);
    cfmakeraw(&settings);
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0);
}

static inline void change_local(int fd, tcflag_t clear, tcflag_t set)
{
    struct termios settings;
    CHECK(tcgetattr(fd, &settings) == 0);
    settings.c_lflag = (settings.c_lflag & ~clear) | set;
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0);
}

static inline int wait_for(int fd, short events)
{
    struct pollfd one = {fd, events, 0};
    return poll(&one, 1, PATIENCE_MS) == 1 ? one.revents : -1;
}

static inline int events_now(int fd)
{
    struct pollfd one = {fd, POLLIN | POLLOUT | POLLPRI, 0};
    return poll(&one, 1, 0) >= 0 ? one.revents : -1;
}

// Reads exactly this text, in as many pieces as it takes.
#define CHECK_READS(fd, text) check_reads((fd), (text), __LINE__)
static inline void check_reads(int fd, const char *text, int line)
{
    char got[512] = "";
    size_t len = 0, wanted = strlen(text);
    while (len < wanted && wait_for(fd, POLLIN) > 0) {
        ssize_t part = read(fd, got + len, wanted - len);
        if (part <= 0)
            break;
        len += part;
    }
    if (len == wanted && memcmp(got, text, wanted) == 0) {
        checks_passed++;
    } else {
        checks_failed++;
        printf("line %d: read %zu bytes \"%s\", not \"%s\"\n", line, len, got, text);
    }
}

// One read gives exactly this text.
#define CHECK_READ(fd, text)                                                                                           \
    do {                                                                                                               \
        char got_[512];                                                                                                \
        ssize_t len_ = wait_for(fd, POLLIN) > 0 ? read(fd, got_, sizeof got_) : -2;                                    \
        CHECK(len_ == (ssize_t)strlen(text) && memcmp(got_, text, len_) == 0);                                         \
    } while (0)

#define CHECK_WRITES(fd, text) CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text))

#endif
