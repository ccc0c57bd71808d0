// TCP over the loopback: what goes through connections, the states that poll and epoll tell of, options, and many
// connections, processes and threads at once. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "inet.h"

#include <pthread.h>

enum { BULK = 6 << 20, PIECE = 50000, CLIENTS = 100, QUESTIONS = 5, MUCH = 64 << 20 };

static void stream(void)
{
    int s[2];
    char buf[64];
    tcp_pair(s);
    CHECK(write(s[0], "hello ", 6) == 6 && send(s[0], "there", 5, 0) == 5 && write(s[0], buf, 0) == 0);
    CHECK_SOON(ioctl_number(s[1], FIONREAD) == 11);
    CHECK_TEXT(recv(s[1], buf, 4, MSG_PEEK), buf, "hell");
    CHECK_TEXT(read(s[1], buf, 8), buf, "hello th");
    CHECK(read(s[1], buf, 0) == 0 && recv(s[1], buf, 0, MSG_DONTWAIT) == 0 && ioctl_number(s[1], FIONREAD) == 3);
    CHECK_TEXT(recv(s[1], buf, sizeof buf, 0), buf, "ere");
    CHECK_ERRNO(recv(s[1], buf, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(recv(s[1], buf, 1, MSG_DONTWAIT | MSG_PEEK), EAGAIN);
    CHECK(set_blocking(s[1], 0) == 0);
    CHECK_ERRNO(read(s[1], buf, 1), EAGAIN);
    CHECK(set_blocking(s[1], 1) == 0);
    // All that was sent has arrived, and is known to.
    CHECK_SOON(ioctl_number(s[0], TIOCOUTQ) == 0);
    CHECK(ioctl_number(s[1], FIONREAD) == 0);
    CHECK_ERRNO(ioctl(listener(1), FIONREAD, buf), EINVAL);
    struct iovec out[3] = {{"one", 3}, {"", 0}, {" two", 4}}, in[2] = {{buf, 2}, {buf + 2, 10}};
    CHECK(writev(s[0], out, 3) == 7);
    CHECK_SOON(ioctl_number(s[1], FIONREAD) == 7);
    CHECK_TEXT(readv(s[1], in, 2), buf, "one two");
    // A message's address is not wanted and none is given.
    struct sockaddr_in a = at(ELSEWHERE, 77);
    struct msghdr m = {.msg_iov = out, .msg_iovlen = 3};
    CHECK(sendmsg(s[1], &m, 0) == 7);
    CHECK_SOON(ioctl_number(s[0], FIONREAD) == 7);
    m = (struct msghdr){.msg_name = &a, .msg_namelen = sizeof a, .msg_iov = in, .msg_iovlen = 2, .msg_flags = -1};
    CHECK_TEXT(recvmsg(s[0], &m, 0), buf, "one two");
    CHECK(m.msg_namelen == 0 && m.msg_flags == 0 && m.msg_controllen == 0);
    // All that is asked for, or what there is when the other side ends.
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 5; i++) {
            sleep_ms(5);
            CHECK(write(s[0], "ab", 2) == 2);
        }
        child_exit();
    }
    CHECK_TEXT(recv(s[1], buf, 10, MSG_WAITALL), buf, "ababababab");
    CHECK_CHILD(child, 0);
    CHECK(write(s[0], "peek", 4) == 4 && recv(s[1], buf, 4, MSG_PEEK | MSG_WAITALL) == 4 && recv(s[1], buf, 4, 0) == 4);
    CHECK(write(s[0], "end", 3) == 3 && close(s[0]) == 0);
    CHECK(recv(s[1], buf, 10, MSG_WAITALL) == 3 && read(s[1], buf, 10) == 0 && recv(s[1], buf, 10, MSG_DONTWAIT) == 0);
}

static unsigned char byte_at(size_t i) { return i * 31 + (i >> 8) * 7 + (i >> 16); }

// Sends so many bytes in pieces of many lengths, or receives them; a sum that stands for them all.
static uint64_t pump(int fd, int sends, unsigned seed)
{
    static unsigned char piece[PIECE];
    uint64_t sum = 0;
    for (size_t done = 0; done < BULK;) {
        size_t len = 1 + (seed = seed * 1103515245 + 12345) / 65536 % PIECE;
        if (seed % 5 == 0)
            len = 1 + len % 100;
        if (len > BULK - done)
            len = BULK - done;
        for (size_t i = 0; sends && i < len; i++)
            piece[i] = byte_at(done + i);
        ssize_t part = sends ? write(fd, piece, len) : read(fd, piece, len);
        if (part <= 0)
            return 0;
        for (ssize_t i = 0; i < part; i++)
            sum = sum * 3 + piece[i];
        done += part;
    }
    return sum;
}

// Both ways at once, two processes at each end.
static void bulk(void)
{
    int s[2];
    pid_t children[4];
    volatile uint64_t *sums = shared_page();
    tcp_pair(s);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            close(s[1 - i % 2]);
            sums[i] = pump(s[i % 2], i < 2, i + 1);
            child_exit();
        }
    }
    for (int i = 0; i < 4; i++)
        CHECK_CHILD(children[i], 0);
    CHECK(sums[0] != 0 && sums[0] == sums[1] && sums[0] == sums[2] && sums[0] == sums[3]);
    CHECK(events_of(s[0]) == OUT && events_of(s[1]) == OUT && ioctl_number(s[0], FIONREAD) == 0);
    CHECK_SOON(ioctl_number(s[0], TIOCOUTQ) == 0 && ioctl_number(s[1], TIOCOUTQ) == 0);
}

// Sends the next piece of a stream, of which so much has been sent.
static ssize_t put(int fd, size_t *sent)
{
    static unsigned char piece[PIECE];
    for (int i = 0; i < PIECE; i++)
        piece[i] = byte_at(*sent + i);
    ssize_t part = write(fd, piece, PIECE);
    *sent += part > 0 ? part : 0;
    return part;
}

// Until no more goes in; then all of it comes out, and more can go in.
static void full(void)
{
    int s[2];
    static unsigned char piece[PIECE];
    tcp_pair(s);
    CHECK(set_blocking(s[0], 0) == 0);
    for (int round = 0; round < 3; round++) {
        size_t sent = 0, received = 0;
        ssize_t part;
        // What has arrived makes room, which takes a moment.
        struct pollfd p = {s[0], POLLOUT, 0};
        while (put(s[0], &sent) > 0 || poll(&p, 1, 100) == 1)
            CHECK(sent < MUCH);
        CHECK(errno == EAGAIN && sent > 4096 && ioctl_number(s[1], FIONREAD) > 0 && ioctl_number(s[0], TIOCOUTQ) > 0);
        if (round == 1) {
            double start;
            CHECK(set_blocking(s[0], 1) == 0 && set_limit(s[0], SO_SNDTIMEO, 40) == 0);
            do
                start = now_s();
            while (put(s[0], &sent) > 0);
            CHECK(errno == EAGAIN && now_s() - start >= 0.039 && set_blocking(s[0], 0) == 0);
        }
        while (received < sent) {
            part = recv(s[1], piece, PIECE, 0);
            int right = part > 0;
            for (ssize_t i = 0; i < part; i++)
                right &= piece[i] == byte_at(received + i);
            CHECK(right);
            if (part <= 0)
                break;
            received += part;
        }
        CHECK(received == sent && (wait_for(s[0], POLLOUT) & POLLOUT));
        CHECK_ERRNO(recv(s[1], piece, PIECE, MSG_DONTWAIT), EAGAIN);
        CHECK_SOON(ioctl_number(s[0], TIOCOUTQ) == 0);
    }
    // A writer that has to wait gets all of it through.
    CHECK(set_blocking(s[0], 1) == 0 && set_limit(s[0], SO_SNDTIMEO, 0) == 0);
    unsigned char *much = calloc(1, BULK);
    pid_t child = fork();
    if (child == 0) {
        close(s[1]);
        CHECK(write(s[0], much, BULK) == BULK);
        child_exit();
    }
    close(s[0]);
    CHECK(recv(s[1], much, BULK, MSG_WAITALL) == BULK && read(s[1], much, 1) == 0);
    CHECK_CHILD(child, 0);
}

static void limits(void)
{
    int s[2];
    char buf[8];
    tcp_pair(s);
    CHECK(set_limit(s[0], SO_RCVTIMEO, 40) == 0);
    struct timeval limit;
    socklen_t size = sizeof limit;
    CHECK(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, &size) == 0 && limit.tv_sec == 0 && limit.tv_usec == 40000);
    double start = now_s();
    CHECK_ERRNO(read(s[0], buf, 8), EAGAIN);
    CHECK(now_s() - start >= 0.039 && write(s[1], "ab", 2) == 2 && recv(s[0], buf, 8, MSG_WAITALL) == 2);
    // A handler ends a wait, or has it begin again.
    for (int restarts = 0; restarts < 2; restarts++) {
        struct sigaction action = {.sa_handler = count_signal, .sa_flags = restarts ? SA_RESTART : 0};
        sigaction(SIGUSR1, &action, 0);
        CHECK(set_limit(s[0], SO_RCVTIMEO, 0) == 0);
        signals_caught = 0;
        pid_t parent = getpid(), child = fork();
        if (child == 0) {
            sleep_ms(40);
            kill(parent, SIGUSR1);
            sleep_ms(40);
            CHECK(write(s[1], "x", 1) == 1);
            child_exit();
        }
        if (!restarts)
            CHECK_ERRNO(recv(s[0], buf, 8, 0), EINTR);
        CHECK(recv(s[0], buf, 8, 0) == 1 && signals_caught == 1);
        CHECK_CHILD(child, 0);
    }
}

static void options(void)
{
    int s[2], fresh = socket(AF_INET, SOCK_STREAM, 0), l = listener(1), value = 1;
    socklen_t size = sizeof value;
    tcp_pair(s);
    static const int switches[][2] = {{SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_KEEPALIVE}, {SOL_TCP, TCP_NODELAY}};
    for (int i = 0; i < 4; i++) {
        int level = switches[i][0], which = switches[i][1];
        CHECK(option_at(fresh, level, which) == 0 && set_at(fresh, level, which, 1) == 0 && option_at(fresh, level, which) == 1);
        CHECK(set_at(fresh, level, which, 0) == 0 && option_at(fresh, level, which) == 0);
        CHECK_ERRNO(setsockopt(fresh, level, which, &value, 3), EINVAL);
    }
    CHECK(option(s[0], SO_TYPE) == SOCK_STREAM && option(s[0], SO_PROTOCOL) == IPPROTO_TCP && option(s[0], SO_ERROR) == 0);
    CHECK(option(l, SO_ACCEPTCONN) == 1 && option(s[1], SO_ACCEPTCONN) == 0 && option(s[1], SO_RCVLOWAT) == 1);
    CHECK(set(fresh, SO_SNDBUF, 20000) == 0 && option(fresh, SO_SNDBUF) == 40000);
    CHECK(set(fresh, SO_RCVBUF, 20000) == 0 && option(fresh, SO_RCVBUF) == 40000);
    CHECK(option(s[0], SO_SNDBUF) > 4096 && option(s[0], SO_RCVBUF) > 4096);
    CHECK(state_of(s[0]) == TCP_ESTABLISHED && state_of(s[1]) == TCP_ESTABLISHED && state_of(l) == TCP_LISTEN && state_of(fresh) == TCP_CLOSE);
    struct tcp_info info;
    size = sizeof info;
    CHECK(getsockopt(s[0], SOL_TCP, TCP_INFO, &info, &size) == 0 && size >= 104 && info.tcpi_state == TCP_ESTABLISHED);
    CHECK(option_at(s[0], SOL_TCP, TCP_MAXSEG) >= 536 && option_at(fresh, SOL_TCP, TCP_MAXSEG) >= 536);
    static const int numbers[][3] = {{TCP_KEEPIDLE, 7200, 60}, {TCP_KEEPINTVL, 75, 10}, {TCP_KEEPCNT, 9, 4}, {TCP_USER_TIMEOUT, 0, 5000}};
    for (int i = 0; i < 4; i++) {
        int which = numbers[i][0];
        CHECK(option_at(s[0], SOL_TCP, which) >= 0 && set_at(s[0], SOL_TCP, which, numbers[i][2]) == 0 && option_at(s[0], SOL_TCP, which) == numbers[i][2]);
        CHECK_ERRNO(set_at(s[0], SOL_TCP, which, i < 3 ? 0 : -1), EINVAL);
    }
    CHECK(option_at(s[0], SOL_IP, IP_TTL) == 64 && set_at(s[0], SOL_IP, IP_TTL, 9) == 0 && option_at(s[0], SOL_IP, IP_TTL) == 9);
    CHECK_ERRNO(set_at(s[0], SOL_IP, IP_TTL, 256), EINVAL);
    CHECK_ERRNO(set_at(s[0], SOL_IP, IP_TTL, 0), EINVAL);
    CHECK(set_at(s[0], SOL_IP, IP_TTL, -1) == 0 && option_at(s[0], SOL_IP, IP_TTL) == 64);
    CHECK(option_at(s[0], SOL_IP, IP_TOS) == 0 && set_at(s[0], SOL_IP, IP_TOS, 0x10) == 0 && option_at(s[0], SOL_IP, IP_TOS) == 0x10);
    CHECK(write(s[0], "on", 2) == 2 && recv(s[1], &value, 2, MSG_WAITALL) == 2);
    static const int levels[] = {SOL_SOCKET, SOL_IP, SOL_TCP, 77};
    for (int i = 0; i < 4; i++) {
        size = sizeof value;
        CHECK_ERRNO(set_at(fresh, levels[i], 5000, 1), ENOPROTOOPT);
        if (i < 3)
            CHECK_ERRNO(getsockopt(fresh, levels[i], 5000, &value, &size), ENOPROTOOPT);
    }
    CHECK_ERRNO(set(fresh, SO_TYPE, 1), ENOPROTOOPT);
    CHECK_ERRNO(ioctl(fresh, 0x1234, &value), ENOTTY);
    // A value is cut to the room for it, but not made longer than it is.
    for (int i = 1; i <= 8; i += 7) {
        char room[8] = "zzzzzzz";
        size = i;
        CHECK(getsockopt(s[0], SOL_TCP, TCP_KEEPCNT, room, &size) == 0 && size == (i == 1 ? 1 : 4) && room[0] == 4 && room[size] == 'z');
    }
}

static void states(void)
{
    int l = listener(5), epoll = epoll_create1(0), s[2];
    char buf[8];
    struct epoll_event e = {.events = EPOLLIN, .data.fd = l}, out;
    CHECK(set_blocking(l, 0) == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, l, &e) == 0 && epoll_wait(epoll, &out, 1, 0) == 0 && events_of(l) == 0);
    s[0] = connected(SOCK_STREAM, l);
    CHECK(epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1 && out.events == EPOLLIN && out.data.fd == l && events_of(l) == IN);
    CHECK((s[1] = accept(l, 0, 0)) >= 0 && epoll_wait(epoll, &out, 1, 0) == 0 && events_of(l) == 0);
    // Level: as long as there is something.
    e = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.fd = s[1]};
    CHECK(events_of(s[1]) == OUT && epoll_ctl(epoll, EPOLL_CTL_ADD, s[1], &e) == 0 && epoll_wait(epoll, &out, 1, 0) == 0);
    CHECK(write(s[0], "ab", 2) == 2 && epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1 && out.events == EPOLLIN);
    CHECK_SOON(ioctl_number(s[1], FIONREAD) == 2);
    CHECK(events_of(s[1]) == (IN | OUT) && read(s[1], buf, 1) == 1 && epoll_wait(epoll, &out, 1, 0) == 1);
    CHECK(read(s[1], buf, 1) == 1 && epoll_wait(epoll, &out, 1, 0) == 0);
    // Edge: when something comes.
    e.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_MOD, s[1], &e) == 0 && epoll_wait(epoll, &out, 1, 0) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(write(s[0], "c", 1) == 1 && epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1 && out.events == EPOLLIN && epoll_wait(epoll, &out, 1, 0) == 0);
    CHECK(shutdown(s[0], SHUT_WR) == 0 && epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1 && out.events == (EPOLLIN | EPOLLRDHUP));
    CHECK(epoll_wait(epoll, &out, 1, 0) == 0 && read(s[1], buf, 8) == 3 && read(s[1], buf, 8) == 0);
    CHECK(shutdown(s[1], SHUT_WR) == 0 && epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1 && (out.events & EPOLLHUP));
    close_both(s);
    // Once, until it is asked for again.
    s[0] = connected(SOCK_STREAM, l);
    CHECK(wait_for(l, POLLIN) == POLLIN && (s[1] = accept(l, 0, 0)) >= 0);
    e = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.fd = s[1]};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, s[1], &e) == 0 && write(s[0], "x", 1) == 1 && epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1);
    CHECK(write(s[0], "y", 1) == 1 && epoll_wait(epoll, &out, 1, 20) == 0 && epoll_ctl(epoll, EPOLL_CTL_MOD, s[1], &e) == 0);
    CHECK(epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1 && out.data.fd == s[1]);
    // To write by edges: when a full one has room again.
    static char piece[PIECE];
    CHECK(set_blocking(s[0], 0) == 0);
    struct pollfd p = {s[0], POLLOUT, 0};
    while (poll(&p, 1, 100) == 1 && write(s[0], piece, PIECE) > 0) {
    }
    e = (struct epoll_event){.events = EPOLLOUT | EPOLLET, .data.fd = s[0]};
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, s[0], &e) == 0 && epoll_wait(epoll, &out, 1, 0) == 0);
    CHECK(set_blocking(s[1], 0) == 0);
    for (int end = 0; !end;) {
        while (read(s[1], piece, PIECE) > 0) {
        }
        end = epoll_wait(epoll, &out, 1, 0) == 1 || !wait_for(s[1], POLLIN);
    }
    CHECK(out.data.fd == s[0] && out.events == EPOLLOUT && write(s[0], piece, 1) == 1);
}

// A connection lives as long as somebody has it, in whatever process and by whatever number.
static void shared(void)
{
    int s[2], copy;
    char buf[16];
    tcp_pair(s);
    CHECK((copy = dup(s[0])) >= 0 && close(s[0]) == 0 && write(copy, "copy", 4) == 4);
    CHECK_TEXT(read(s[1], buf, 16), buf, "copy");
    pid_t child = fork();
    if (child == 0) {
        CHECK(write(copy, "child", 5) == 5);
        child_exit();
    }
    CHECK_CHILD(child, 0);
    CHECK_TEXT(read(s[1], buf, 16), buf, "child");
    CHECK(events_of(s[1]) == OUT && write(s[1], "to both", 7) == 7);
    child = fork();
    if (child == 0) {
        CHECK(close(s[1]) == 0 && recv(copy, buf, 3, MSG_WAITALL) == 3 && set_blocking(copy, 0) == 0);
        child_exit();
    }
    CHECK_CHILD(child, 0);
    CHECK(fcntl(copy, F_GETFL) == (O_RDWR | O_NONBLOCK));
    CHECK_TEXT(read(copy, buf, 16), buf, "both");
    // An end by one of them is an end for all.
    child = fork();
    if (child == 0) {
        CHECK(shutdown(copy, SHUT_WR) == 0);
        child_exit();
    }
    CHECK_CHILD(child, 0);
    CHECK(read(s[1], buf, 16) == 0);
    CHECK_ERRNO(send(copy, "x", 1, MSG_NOSIGNAL), EPIPE);
    close(copy);
    // One listener, several who accept: each connection is accepted once.
    int l = listener(20);
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        for (;;) {
            char kind = 0;
            int c = accept(l, 0, 0);
            CHECK(c >= 0 && read(c, &kind, 1) == 1 && write(c, &kind, 1) == 1);
            close(c);
            if (kind != 'm')
                child_exit();
        }
    }
    for (int i = 0; i < 30; i++) {
        int c = connected(SOCK_STREAM, l);
        CHECK(write(c, i < 27 ? "m" : "q", 1) == 1 && read(c, buf, 16) == 1 && read(c, buf, 16) == 0);
        close(c);
    }
    for (int i = 0; i < 3; i++)
        CHECK_CHILD(children[i], 0);
}

// One process serves a hundred at a time; it goes by what epoll tells it.
static void serve(int l)
{
    int epoll = epoll_create1(0), ended = 0;
    struct epoll_event e = {.events = EPOLLIN, .data.fd = l}, out[16];
    CHECK(epoll >= 0 && set_blocking(l, 0) == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, l, &e) == 0);
    while (ended < CLIENTS) {
        int count = epoll_wait(epoll, out, 16, PATIENCE_MS);
        CHECK(count > 0);
        if (count <= 0)
            break;
        for (int i = 0; i < count; i++) {
            char buf[4096];
            int c = out[i].data.fd;
            if (c == l) {
                while ((c = accept4(l, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    e = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.fd = c};
                    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, c, &e) == 0);
                }
                CHECK(errno == EAGAIN);
                continue;
            }
            ssize_t got = read(c, buf, sizeof buf);
            CHECK(got >= 0);
            if (got > 0) {
                CHECK(write(c, buf, got) == got);
            } else {
                close(c);
                ended++;
            }
        }
    }
}

static void many(void)
{
    int l = listener(CLIENTS), c[CLIENTS];
    pid_t child = fork();
    if (child == 0) {
        serve(l);
        child_exit();
    }
    for (int i = 0; i < CLIENTS; i++)
        c[i] = connected(SOCK_STREAM, l);
    for (int n = 0; n < QUESTIONS; n++) {
        char text[64], got[64];
        for (int i = 0; i < CLIENTS; i++) {
            int len = snprintf(text, sizeof text, "question %d of client %d", n, i);
            CHECK(write(c[i], text, len) == len);
        }
        for (int i = CLIENTS - 1; i >= 0; i--) {
            int len = snprintf(text, sizeof text, "question %d of client %d", n, i);
            CHECK_TEXT(recv(c[i], got, len, MSG_WAITALL), got, text);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        CHECK(i % 2 ? close(c[i]) == 0 : shutdown(c[i], SHUT_WR) == 0);
    CHECK_CHILD(child, 0);
    char byte;
    for (int i = 0; i < CLIENTS; i += 2)
        CHECK(read(c[i], &byte, 1) == 0);
}

static int of_threads[2];
static void *writer(void *which)
{
    return (void *)(uintptr_t)pump(of_threads[(long)which], 1, (long)which + 10);
}

static void *reader(void *which)
{
    // A buffer of its own, as all run in one process.
    unsigned char *piece = malloc(PIECE);
    uint64_t sum = 0;
    size_t done = 0;
    for (ssize_t part; done < BULK && (part = read(of_threads[(long)which], piece, PIECE)) > 0; done += part)
        for (ssize_t i = 0; i < part; i++)
            sum = sum * 3 + (piece[i] == byte_at(done + i) ? piece[i] : 0x100);
    free(piece);
    return (void *)(uintptr_t)(done == BULK ? sum : 0);
}

// One thread writes to a connection while another one reads from it, at one end, and so do two processes at the other.
static void threads(void)
{
    pthread_t thread[2];
    void *sums[2] = {0, 0};
    tcp_pair(of_threads);
    pid_t child = fork();
    long end = child == 0;
    close(of_threads[1 - end]);
    CHECK(pthread_create(&thread[0], 0, writer, (void *)end) == 0 && pthread_create(&thread[1], 0, reader, (void *)end) == 0);
    CHECK(pthread_join(thread[0], &sums[0]) == 0 && pthread_join(thread[1], &sums[1]) == 0 && sums[0] && sums[0] == sums[1]);
    if (child == 0)
        child_exit();
    CHECK_CHILD(child, 0);
}

static const struct test tests[] = {
    {"stream", stream}, {"bulk", bulk},     {"full", full}, {"limits", limits},   {"options", options},
    {"states", states}, {"shared", shared}, {"many", many}, {"threads", threads},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
