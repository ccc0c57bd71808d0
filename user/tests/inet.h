// What the tests of AF_INET share: addresses of the loopback, sockets that are bound, listen or are connected there, and
// waits with an end. The kernel chooses every port, so that programs can run side by side.
#ifndef INET_H
#define INET_H

#include "table.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

// As numbers of this machine's byte order. The last one is set aside for documentation: no machine has it.
enum { ANY = 0, LOOPBACK = 0x7f000001, LOOPBACK2 = 0x7f000002, LOOPBACK3 = 0x7f000003, ELSEWHERE = (int)0xcb007101 };
enum { PATIENCE_MS = 20000, IN = POLLIN | POLLRDNORM, OUT = POLLOUT | POLLWRNORM };

static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

static inline struct sockaddr_in at(uint32_t host, unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons(port)};
}

// The calls that take an address, with one given as host and port.
static inline int bind_to(int fd, uint32_t host, unsigned port)
{
    struct sockaddr_in a = at(host, port);
    return bind(fd, (void *)&a, sizeof a);
}

static inline int connect_to(int fd, uint32_t host, unsigned port)
{
    struct sockaddr_in a = at(host, port);
    return connect(fd, (void *)&a, sizeof a);
}

static inline long send_to(int fd, const char *text, uint32_t host, unsigned port)
{
    struct sockaddr_in a = at(host, port);
    return sendto(fd, text, strlen(text), 0, (void *)&a, sizeof a);
}

// The socket's own address, and the one it is connected to; the port alone.
static inline struct sockaddr_in name_of(int fd)
{
    struct sockaddr_in a = {0};
    socklen_t size = sizeof a;
    CHECK(getsockname(fd, (void *)&a, &size) == 0 && size == sizeof a && a.sin_family == AF_INET);
    return a;
}

static inline struct sockaddr_in peer_of(int fd)
{
    struct sockaddr_in a = {0};
    socklen_t size = sizeof a;
    CHECK(getpeername(fd, (void *)&a, &size) == 0 && size == sizeof a && a.sin_family == AF_INET);
    return a;
}

static inline unsigned port_of(int fd) { return ntohs(name_of(fd).sin_port); }

static inline int same(struct sockaddr_in a, struct sockaddr_in b)
{
    return a.sin_family == b.sin_family && a.sin_addr.s_addr == b.sin_addr.s_addr && a.sin_port == b.sin_port;
}

static inline int is_at(struct sockaddr_in a, uint32_t host, unsigned port) { return same(a, at(host, port)); }

static inline int has_peer(int fd)
{
    struct sockaddr_in a;
    socklen_t size = sizeof a;
    int result = getpeername(fd, (void *)&a, &size);
    CHECK(result == 0 || errno == ENOTCONN);
    return result == 0;
}

// One integer option, -77 or -78 if it is none.
static inline int option_at(int fd, int level, int which)
{
    int value = -77;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, which, &value, &size) == 0 && size == sizeof value ? value : -78;
}

static inline int option(int fd, int which) { return option_at(fd, SOL_SOCKET, which); }
static inline int set_at(int fd, int level, int which, int value) { return setsockopt(fd, level, which, &value, sizeof value); }
static inline int set(int fd, int which, int value) { return set_at(fd, SOL_SOCKET, which, value); }

static inline int set_limit(int fd, int which, long ms)
{
    struct timeval limit = {ms / 1000, ms % 1000 * 1000};
    return setsockopt(fd, SOL_SOCKET, which, &limit, sizeof limit);
}

static inline int set_blocking(int fd, int blocks) { return fcntl(fd, F_SETFL, blocks ? 0 : O_NONBLOCK); }

// What holds now, and what comes to hold: what one socket does reaches the other one soon, if not at once.
static inline int events_of(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI | POLLRDNORM | POLLWRNORM, 0};
    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static inline int wait_for(int fd, int events)
{
    struct pollfd p = {fd, events, 0};
    return poll(&p, 1, PATIENCE_MS) == 1 ? p.revents : 0;
}

static inline int ioctl_number(int fd, unsigned long which)
{
    int value = -77;
    return ioctl(fd, which, &value) == 0 ? value : -78;
}

#define CHECK_SOON(condition)                                                                                          \
    do {                                                                                                               \
        double end_ = now_s() + PATIENCE_MS / 1000;                                                                    \
        while (!(condition) && now_s() < end_)                                                                         \
            sleep_ms(1);                                                                                               \
        CHECK(condition);                                                                                              \
    } while (0)

// A call that gives exactly this text.
#define CHECK_TEXT(call, buffer, text) CHECK((call) == (long)strlen(text) && memcmp((buffer), (text), strlen(text)) == 0)

// What TCP_INFO says is the connection's state.
static inline int state_of(int fd)
{
    unsigned char state = 0xff;
    socklen_t size = sizeof state;
    return getsockopt(fd, SOL_TCP, TCP_INFO, &state, &size) == 0 && size == 1 ? state : -1;
}

// Sockets: new, bound to a port that was free, listening, connected.
static inline int tcp(int flags) { return socket(AF_INET, SOCK_STREAM | flags, 0); }

static inline int bound(int type, uint32_t host)
{
    int fd = socket(AF_INET, type, 0);
    CHECK(fd >= 0 && bind_to(fd, host, 0) == 0);
    return fd;
}

// A socket with this name that has set an option, SO_REUSEADDR or its like, before; -1 if it cannot have the name.
static inline int reusing(int type, int which, uint32_t host, unsigned port)
{
    int fd = socket(AF_INET, type, 0);
    CHECK(fd >= 0 && (which == 0 || set(fd, which, 1) == 0));
    int result = bind_to(fd, host, port);
    if (result != 0) {
        int error = errno;
        close(fd);
        errno = error;
    }
    return result == 0 ? fd : -1;
}

static inline int listener(int backlog)
{
    int fd = bound(SOCK_STREAM, LOOPBACK);
    CHECK(listen(fd, backlog) == 0);
    return fd;
}

static inline int connected(int type, int to)
{
    int fd = socket(AF_INET, type, 0);
    CHECK(fd >= 0 && connect_to(fd, LOOPBACK, port_of(to)) == 0);
    return fd;
}

// A connection: `s[0]` has asked for it, `s[1]` has been accepted.
static inline void tcp_pair(int s[2])
{
    int l = listener(1);
    s[0] = connected(SOCK_STREAM, l);
    s[1] = accept(l, 0, 0);
    CHECK(s[1] >= 0);
    close(l);
}

// A listener that has no room: one connection waits to be accepted. It does not block.
static inline int full_listener(void)
{
    int l = listener(0);
    connected(SOCK_STREAM, l);
    CHECK(wait_for(l, POLLIN) == POLLIN && set_blocking(l, 0) == 0);
    return l;
}

// From now on `close` aborts the connection (socket(7), SO_LINGER): what is over holds no port.
static inline int set_abort(int fd)
{
    struct linger abort = {1, 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

// Forgets whom the socket is connected to (connect(2)).
static inline int disconnect(int fd) { return connect(fd, &nowhere, sizeof nowhere); }

// Accepts a connection that comes soon, if not at once.
#define ACCEPT(l) accept_soon((l), __LINE__)
static inline int accept_soon(int l, int line)
{
    int events = wait_for(l, POLLIN), fd = accept(l, 0, 0);
    check_true(events == POLLIN && fd >= 0, "that somebody comes to be accepted", line);
    return fd;
}

// Each end of a connection takes what the other one sends, and nothing else has come.
#define CHECK_TALK(a, b) check_talk((a), (b), __LINE__)
static inline void check_talk(int a, int b, int line)
{
    char buf[8];
    check_true(recv(a, buf, 8, MSG_DONTWAIT) == -1 && errno == EAGAIN, "that the one end has nothing to read", line);
    check_true(recv(b, buf, 8, MSG_DONTWAIT) == -1 && errno == EAGAIN, "that the other end has nothing to read", line);
    for (int i = 0; i < 2; i++) {
        int from = i == 0 ? a : b, to = i == 0 ? b : a;
        int came = send(from, "talk", 4, MSG_NOSIGNAL) == 4 && wait_for(to, POLLIN) == POLLIN;
        came = came && recv(to, buf, 8, MSG_DONTWAIT) == 4 && memcmp(buf, "talk", 4) == 0;
        check_true(came, i == 0 ? "that the other end gets what is sent" : "that the one end gets what is sent", line);
    }
}

static inline void close_both(int s[2])
{
    close(s[0]);
    close(s[1]);
}

static volatile int signals_caught;
static inline void count_signal(int number)
{
    (void)number;
    signals_caught++;
}

#endif
