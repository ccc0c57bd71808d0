// What the tests of sockets share: addresses, pairs, connections. `directory` is where sockets with paths are made.
#ifndef SOCKETS_H
#define SOCKETS_H

#include "table.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

enum { OFFSET = offsetof(struct sockaddr_un, sun_path), BUFFER = 212992 };

static const char *directory = "/tmp";
static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

// An address with this path in the directory; its length.
static inline socklen_t at_path(struct sockaddr_un *a, const char *name)
{
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    snprintf(a->sun_path, sizeof a->sun_path, "%s/%s", directory, name);
    return OFFSET + strlen(a->sun_path) + 1;
}

// An abstract one.
static inline socklen_t at_name(struct sockaddr_un *a, const char *name)
{
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    int len = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "russet-test-%d-%s", getpgrp(), name);
    return OFFSET + 1 + len;
}

static inline void pair_of(int type, int s[2]) { CHECK(socketpair(AF_UNIX, type, 0, s) == 0); }

static inline int option(int fd, int which)
{
    int value = -77;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, which, &value, &size) == 0 && size == sizeof value ? value : -78;
}

static inline int events_of(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI | POLLRDNORM | POLLWRNORM, 0};
    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static inline int listener(int type, const char *name, int backlog)
{
    struct sockaddr_un a;
    socklen_t len = at_name(&a, name);
    int fd = socket(AF_UNIX, type, 0);
    CHECK(fd >= 0 && bind(fd, (void *)&a, len) == 0 && listen(fd, backlog) == 0);
    return fd;
}

static inline int connected(int type, const char *name)
{
    struct sockaddr_un a;
    socklen_t len = at_name(&a, name);
    int fd = socket(AF_UNIX, type, 0);
    CHECK(fd >= 0 && connect(fd, (void *)&a, len) == 0);
    return fd;
}

static inline void ignore_pipe(void) { signal(SIGPIPE, SIG_IGN); }

// Runs the table; the first argument is the directory.
static inline int run_sockets(const struct test *tests, size_t count, int argc, char **argv)
{
    if (argc > 1)
        directory = argv[1];
    return run_table(tests, count, argc > 1 ? argc - 1 : 1, argc > 1 ? argv + 1 : argv);
}

#endif
