// TCP over the loopback: which sockets there are, what they may be bound to, how connections are made and accepted, and
// how they end. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "inet.h"

static void creation(void)
{
    int s[2];
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, 250), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, -1), EINVAL);
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, 1000), EINVAL);
    CHECK_ERRNO(socket(AF_INET, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, 0, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, 11, 0), EINVAL);
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM | 0x100, 0), EINVAL);
    CHECK_ERRNO(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, i == 0 ? 0 : IPPROTO_TCP);
        CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
        CHECK(option(fd, SO_TYPE) == SOCK_STREAM && option(fd, SO_DOMAIN) == AF_INET && option(fd, SO_PROTOCOL) == IPPROTO_TCP);
        CHECK(option(fd, SO_ACCEPTCONN) == 0 && option(fd, SO_ERROR) == 0);
        struct stat info;
        char path[64], link[64] = "", wanted[64];
        CHECK(fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode) && info.st_uid == geteuid());
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        snprintf(wanted, sizeof wanted, "socket:[%lu]", (unsigned long)info.st_ino);
        CHECK(readlink(path, link, sizeof link - 1) > 0 && strcmp(link, wanted) == 0);
        CHECK(is_at(name_of(fd), ANY, 0) && !has_peer(fd));
        CHECK_ERRNO(lseek(fd, 0, SEEK_SET), ESPIPE);
        CHECK_ERRNO(accept(fd, 0, 0), EINVAL);
        close(fd);
    }
    // Without a connection nothing can be read, written or ended.
    char byte = 0;
    int fd = tcp(0), l = listener(5);
    signal(SIGPIPE, count_signal);
    CHECK_ERRNO(read(fd, &byte, 1), ENOTCONN);
    CHECK_ERRNO(read(l, &byte, 1), ENOTCONN);
    CHECK_ERRNO(shutdown(fd, SHUT_RDWR), ENOTCONN);
    CHECK_ERRNO(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    CHECK(signals_caught == 0);
    CHECK_ERRNO(write(fd, &byte, 1), EPIPE);
    CHECK_ERRNO(write(l, &byte, 1), EPIPE);
    CHECK(signals_caught == 2);
}

static void bad_pointers(void)
{
    int fd = tcp(0), l = listener(5), s[2];
    struct sockaddr_in a;
    socklen_t size = sizeof a;
    char buf[8];
    CHECK_BAD_IN(syscall(SYS_bind, fd, p, 16), 16, 0);
    CHECK_BAD_IN(syscall(SYS_connect, fd, p, 16), 16, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockname, l, p, &size), 2, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockname, l, &a, p), 4, 0);
    CHECK_BAD_IN(syscall(SYS_setsockopt, fd, SOL_TCP, TCP_NODELAY, p, 4), 4, 0);
    size = 4;
    CHECK_BAD_OUT(syscall(SYS_getsockopt, fd, SOL_TCP, TCP_NODELAY, p, &size), 4, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockopt, fd, SOL_IP, IP_TTL, p, &size), 4, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockopt, fd, SOL_TCP, TCP_NODELAY, &a, p), 4, 0);
    tcp_pair(s);
    CHECK_BAD_IN(syscall(SYS_sendto, s[0], p, 4, 0, 0, 0), 4, BAD_COUNT - 1);
    CHECK_BAD_IN(syscall(SYS_sendmsg, s[0], p, 0), 56, 0);
    close_both(s);
    tcp_pair(s);
    size = sizeof a;
    CHECK_BAD_OUT(syscall(SYS_getpeername, s[0], p, &size), 2, 0);
    CHECK(write(s[0], "four", 4) == 4 && wait_for(s[1], POLLIN) == POLLIN);
    CHECK_BAD_OUT(syscall(SYS_recvfrom, s[1], p, 1, 0, 0, 0), 1, 0);
    CHECK_BAD_OUT(syscall(SYS_ioctl, s[1], FIONREAD, p), 4, 0);
    // What cannot be stored stays.
    CHECK_TEXT(read(s[1], buf, 8), buf, "four");
}

static void binding(void)
{
    int s = bound(SOCK_STREAM, LOOPBACK), fresh = tcp(0), fd;
    unsigned port = port_of(s);
    struct sockaddr_in a = at(LOOPBACK, 0);
    CHECK(port >= 1024 && is_at(name_of(s), LOOPBACK, port));
    CHECK_ERRNO(bind_to(s, LOOPBACK, 0), EINVAL);
    CHECK_ERRNO(bind(fresh, (void *)&a, 8), EINVAL);
    CHECK_ERRNO(bind(fresh, (void *)&a, 0), EINVAL);
    a.sin_family = AF_INET6;
    CHECK_ERRNO(bind(fresh, (void *)&a, sizeof a), EAFNOSUPPORT);
    CHECK_ERRNO(bind_to(fresh, ELSEWHERE, 0), EADDRNOTAVAIL);
    CHECK_ERRNO(bind_to(fresh, LOOPBACK, port), EADDRINUSE);
    CHECK_ERRNO(bind_to(fresh, ANY, port), EADDRINUSE);
    CHECK(bind_to(fresh, LOOPBACK2, port) == 0 && is_at(name_of(fresh), LOOPBACK2, port));
    CHECK((fd = bound(SOCK_STREAM, ANY)) >= 0 && port_of(fd) != 0 && is_at(name_of(fd), ANY, port_of(fd)));
    CHECK_ERRNO(reusing(SOCK_STREAM, 0, LOOPBACK3, port_of(fd)), EADDRINUSE);
    // More than an address may follow it; less of it may be asked for.
    struct sockaddr_storage large = {0};
    a = at(0x7f010203, 0);
    memcpy(&large, &a, sizeof a);
    fd = tcp(0);
    CHECK(bind(fd, (void *)&large, sizeof large) == 0 && port_of(fd) != 0);
    socklen_t size = 4;
    memset(&large, 0x5a, sizeof large);
    CHECK(getsockname(fd, (void *)&large, &size) == 0 && size == sizeof a && large.ss_family == AF_INET && ((char *)&large)[4] == 0x5a);
    size = sizeof large;
    CHECK(getsockname(fd, (void *)&large, &size) == 0 && size == sizeof a && ((char *)&large)[sizeof a] == 0x5a);
    // Given back at once where nobody has been connected.
    close(s);
    CHECK((s = reusing(SOCK_STREAM, 0, LOOPBACK, port)) >= 0);
    close(s);
    // With SO_REUSEADDR on both, as long as nobody listens.
    s = reusing(SOCK_STREAM, SO_REUSEADDR, LOOPBACK, 0);
    port = port_of(s);
    CHECK_ERRNO(reusing(SOCK_STREAM, 0, LOOPBACK, port), EADDRINUSE);
    CHECK((fd = reusing(SOCK_STREAM, SO_REUSEADDR, LOOPBACK, port)) >= 0 && listen(s, 5) == 0);
    CHECK_ERRNO(listen(fd, 5), EADDRINUSE);
    CHECK_ERRNO(reusing(SOCK_STREAM, SO_REUSEADDR, LOOPBACK, port), EADDRINUSE);
    CHECK_ERRNO(reusing(SOCK_STREAM, SO_REUSEADDR, ANY, port), EADDRINUSE);
    close(s);
    CHECK(listen(fd, 5) == 0);
    // Chosen ports differ.
    static unsigned char taken[65536];
    int l = listener(300);
    for (int i = 0; i < 200; i++) {
        port = port_of(i % 2 ? bound(SOCK_STREAM, LOOPBACK) : connected(SOCK_STREAM, l));
        CHECK(port >= 1024 && !taken[port]);
        taken[port] = 1;
    }
}

// Listeners that share a port share the connections to it: each gets to one of them.
static void sharing(void)
{
    int l[3] = {reusing(SOCK_STREAM, SO_REUSEPORT, LOOPBACK, 0)}, total = 0;
    unsigned port = port_of(l[0]);
    CHECK_ERRNO(reusing(SOCK_STREAM, 0, LOOPBACK, port), EADDRINUSE);
    for (int i = 0; i < 3; i++)
        CHECK((i == 0 || (l[i] = reusing(SOCK_STREAM, SO_REUSEPORT, LOOPBACK, port)) >= 0) && listen(l[i], 50) == 0 && set_blocking(l[i], 0) == 0);
    CHECK_ERRNO(reusing(SOCK_STREAM, 0, LOOPBACK, port), EADDRINUSE);
    for (int i = 0; i < 30; i++)
        connected(SOCK_STREAM, l[0]);
    for (double end = now_s() + 10; total < 30 && now_s() < end;) {
        struct pollfd p[3] = {{l[0], POLLIN, 0}, {l[1], POLLIN, 0}, {l[2], POLLIN, 0}};
        CHECK(poll(p, 3, PATIENCE_MS) > 0);
        for (int i = 0; i < 3; i++)
            total += (p[i].revents & POLLIN) && accept(l[i], 0, 0) >= 0;
    }
    CHECK(total == 30);
    for (int i = 0; i < 3; i++)
        CHECK_ERRNO(accept(l[i], 0, 0), EAGAIN);
}

static void listening(void)
{
    int l = tcp(SOCK_NONBLOCK), c, s;
    struct sockaddr_in a;
    socklen_t size = sizeof a;
    // Without a name it is given one.
    CHECK(listen(l, 5) == 0 && option(l, SO_ACCEPTCONN) == 1 && port_of(l) != 0 && is_at(name_of(l), ANY, port_of(l)));
    CHECK(listen(l, 7) == 0 && events_of(l) == 0 && !has_peer(l));
    CHECK_ERRNO(accept(l, 0, 0), EAGAIN);
    CHECK_ERRNO(bind_to(l, LOOPBACK, 0), EINVAL);
    CHECK_ERRNO(connect_to(l, LOOPBACK, port_of(l)), EISCONN);
    CHECK_ERRNO(syscall(SYS_accept4, l, 0, 0, 1), EINVAL);
    // A connection is there before it is accepted. What is accepted has its own flags, and the listener's options.
    CHECK(set(l, SO_KEEPALIVE, 1) == 0 && set_at(l, SOL_TCP, TCP_NODELAY, 1) == 0);
    c = connected(SOCK_STREAM, l);
    CHECK(write(c, "early", 5) == 5 && wait_for(l, POLLIN) == POLLIN);
    s = accept(l, (void *)&a, &size);
    CHECK(s >= 0 && fcntl(s, F_GETFL) == O_RDWR && fcntl(s, F_GETFD) == 0 && size == sizeof a && same(a, name_of(c)));
    CHECK(same(peer_of(s), name_of(c)) && same(peer_of(c), name_of(s)) && port_of(s) == port_of(l) && option(s, SO_ACCEPTCONN) == 0);
    CHECK(option(s, SO_KEEPALIVE) == 1 && option_at(s, SOL_TCP, TCP_NODELAY) == 1 && option(c, SO_KEEPALIVE) == 0);
    size = 2;
    memset(&a, 0x5a, sizeof a);
    CHECK(getpeername(s, (void *)&a, &size) == 0 && size == sizeof a && a.sin_family == AF_INET && a.sin_port == 0x5a5a);
    char buf[16];
    CHECK_TEXT(read(s, buf, 16), buf, "early");
    CHECK_ERRNO(accept(s, 0, 0), EINVAL);
    CHECK_ERRNO(listen(s, 5), EINVAL);
    close(s);
    // Even if it has ended by then.
    c = connected(SOCK_STREAM, l);
    CHECK(write(c, "farewell", 8) == 8 && close(c) == 0 && wait_for(l, POLLIN) == POLLIN);
    size = 4;
    memset(&a, 0x5a, sizeof a);
    s = accept4(l, (void *)&a, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(s >= 0 && fcntl(s, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(s, F_GETFD) == FD_CLOEXEC);
    CHECK(size == sizeof a && a.sin_family == AF_INET && a.sin_addr.s_addr == 0x5a5a5a5a);
    CHECK_SOON((events_of(s) & (POLLIN | POLLRDHUP)) == (POLLIN | POLLRDHUP));
    CHECK_TEXT(read(s, buf, 16), buf, "farewell");
    CHECK(read(s, buf, 16) == 0);
    close(s);
    CHECK(set_blocking(l, 1) == 0 && set_limit(l, SO_RCVTIMEO, 40) == 0);
    double start = now_s();
    CHECK_ERRNO(accept(l, 0, 0), EAGAIN);
    CHECK(now_s() - start >= 0.039 && set_limit(l, SO_RCVTIMEO, 0) == 0);
    // Who waits is woken by a connection, and by the end of listening.
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (i == 0)
                CHECK(accept(l, 0, 0) >= 0);
            else
                CHECK_ERRNO(accept(l, 0, 0), EINVAL);
            child_exit();
        }
        sleep_ms(20);
        if (i == 0)
            close(connected(SOCK_STREAM, l));
        else
            CHECK(shutdown(l, SHUT_RDWR) == 0);
        CHECK_CHILD(child, 0);
    }
    // Those who were not accepted are told when nobody listens any more, and so are those who come later.
    l = listener(5);
    c = connected(SOCK_STREAM, l);
    unsigned port = port_of(l);
    close(l);
    CHECK_ERRNO(read(c, buf, 16), ECONNRESET);
    CHECK_ERRNO(connect_to(tcp(0), LOOPBACK, port), ECONNREFUSED);
}

static void connecting(void)
{
    int l = listener(20), c = tcp(0), s, closed = bound(SOCK_STREAM, LOOPBACK);
    unsigned port = port_of(l);
    struct sockaddr_in a = at(LOOPBACK, port), from;
    socklen_t size = sizeof from;
    CHECK_ERRNO(connect(c, (void *)&a, 8), EINVAL);
    a.sin_family = AF_INET6;
    CHECK_ERRNO(connect(c, (void *)&a, sizeof a), EAFNOSUPPORT);
    // Refused where nobody listens; the socket can try another place.
    CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(closed)), ECONNREFUSED);
    CHECK_ERRNO(connect_to(c, LOOPBACK2, port), ECONNREFUSED);
    CHECK(!has_peer(c) && option(c, SO_ERROR) == 0 && connect_to(c, LOOPBACK, port) == 0);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port), EISCONN);
    CHECK_ERRNO(bind_to(c, LOOPBACK, 0), EINVAL);
    CHECK_ERRNO(listen(c, 5), EINVAL);
    CHECK(is_at(peer_of(c), LOOPBACK, port) && is_at(name_of(c), LOOPBACK, port_of(c)) && port_of(c) != 0);
    CHECK((s = accept(l, 0, 0)) >= 0 && same(peer_of(s), name_of(c)));
    // To any address is to this machine.
    c = tcp(0);
    CHECK(connect_to(c, ANY, port) == 0 && is_at(peer_of(c), LOOPBACK, port) && accept(l, 0, 0) >= 0);
    // From a name of one's own.
    c = bound(SOCK_STREAM, LOOPBACK3);
    CHECK(connect_to(c, LOOPBACK, port) == 0 && (s = accept(l, (void *)&from, &size)) >= 0 && is_at(from, LOOPBACK3, port_of(c)));
    c = bound(SOCK_STREAM, ANY);
    unsigned c_port = port_of(c);
    CHECK(connect_to(c, LOOPBACK, port) == 0 && is_at(name_of(c), LOOPBACK, c_port) && accept(l, 0, 0) >= 0);
    // A listener on any address is reached by all of them, and says which one it was.
    int any = tcp(0);
    CHECK(listen(any, 5) == 0);
    for (uint32_t host = LOOPBACK; host <= LOOPBACK3; host++) {
        c = tcp(0);
        CHECK(connect_to(c, host, port_of(any)) == 0 && is_at(peer_of(c), host, port_of(any)));
        CHECK((s = accept(any, 0, 0)) >= 0 && is_at(name_of(s), host, port_of(any)) && same(peer_of(s), name_of(c)));
    }
    // Without waiting for it.
    c = tcp(SOCK_NONBLOCK);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port), EINPROGRESS);
    CHECK(wait_for(c, POLLOUT) == POLLOUT && option(c, SO_ERROR) == 0 && is_at(peer_of(c), LOOPBACK, port));
    CHECK(connect_to(c, LOOPBACK, port) == 0 || errno == EISCONN);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port), EISCONN);
    CHECK((s = accept(l, 0, 0)) >= 0 && same(peer_of(s), name_of(c)) && write(c, "x", 1) == 1);
    c = tcp(SOCK_NONBLOCK);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(closed)), EINPROGRESS);
    CHECK((wait_for(c, POLLOUT) & (POLLOUT | POLLERR | POLLHUP)) == (POLLOUT | POLLERR | POLLHUP));
    CHECK(option(c, SO_ERROR) == ECONNREFUSED && option(c, SO_ERROR) == 0);
    c = tcp(SOCK_NONBLOCK);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port_of(closed)), EINPROGRESS);
    CHECK(wait_for(c, POLLOUT) & POLLERR);
    CHECK_ERRNO(connect_to(c, LOOPBACK, port), ECONNREFUSED);
    // To nobody, and then to somebody again.
    CHECK(connect(tcp(0), &nowhere, sizeof nowhere) == 0);
    c = connected(SOCK_STREAM, l);
    CHECK((s = accept(l, 0, 0)) >= 0 && connect(c, &nowhere, sizeof nowhere) == 0 && !has_peer(c));
    char byte = 0;
    CHECK(wait_for(s, POLLIN) != 0 && read(s, &byte, 1) <= 0);
    CHECK(connect_to(c, LOOPBACK, port) == 0 && (s = accept(l, 0, 0)) >= 0 && write(c, "y", 1) == 1 && read(s, &byte, 1) == 1 && byte == 'y');
}

// Who comes to a full queue waits until there is room.
static void backlog(void)
{
    enum { MOST = 8 };
    int l = listener(1), c[MOST], count = 0;
    unsigned port = port_of(l);
    struct pollfd p = {.events = POLLOUT};
    do {
        p.fd = c[count++] = tcp(SOCK_NONBLOCK);
        CHECK_ERRNO(connect_to(p.fd, LOOPBACK, port), EINPROGRESS);
    } while (poll(&p, 1, 500) == 1 && count < MOST);
    int last = c[count - 1];
    CHECK(count > 1 && events_of(last) == 0 && !has_peer(last) && events_of(c[0]) == OUT);
    CHECK_ERRNO(connect_to(last, LOOPBACK, port), EALREADY);
    CHECK_ERRNO(send(last, "x", 1, 0), EAGAIN);
    int late = tcp(0);
    CHECK(set_limit(late, SO_SNDTIMEO, 40) == 0);
    double start = now_s();
    CHECK_ERRNO(connect_to(late, LOOPBACK, port), EINPROGRESS);
    CHECK(now_s() - start >= 0.039);
    close(late);
    for (int i = 0; i < count; i++) {
        char buf[8];
        int s = accept(l, 0, 0);
        CHECK(s >= 0 && same(peer_of(s), name_of(c[i])) && write(s, "served", 6) == 6 && wait_for(c[i], POLLIN) == POLLIN);
        CHECK_TEXT(read(c[i], buf, 8), buf, "served");
    }
}

static void shutdowns(void)
{
    int s[2];
    char buf[16];
    signal(SIGPIPE, count_signal);
    tcp_pair(s);
    CHECK_ERRNO(shutdown(s[0], 3), EINVAL);
    CHECK_ERRNO(shutdown(s[0], -1), EINVAL);
    CHECK(events_of(s[0]) == OUT && events_of(s[1]) == OUT);
    // What was written arrives before the end, and the other way stays open.
    CHECK(write(s[0], "rest", 4) == 4 && shutdown(s[0], SHUT_WR) == 0);
    CHECK_ERRNO(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK(signals_caught == 0);
    CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
    CHECK(signals_caught == 1);
    CHECK_SOON(events_of(s[1]) == (IN | OUT | POLLRDHUP));
    CHECK(read(s[1], buf, 16) == 4 && read(s[1], buf, 16) == 0 && read(s[1], buf, 16) == 0 && events_of(s[1]) == (IN | OUT | POLLRDHUP));
    CHECK(write(s[1], "answer", 6) == 6);
    CHECK_TEXT(read(s[0], buf, 16), buf, "answer");
    CHECK(shutdown(s[1], SHUT_WR) == 0);
    CHECK_SOON(events_of(s[0]) == (IN | OUT | POLLRDHUP | POLLHUP) && events_of(s[1]) == (IN | OUT | POLLRDHUP | POLLHUP));
    CHECK(read(s[0], buf, 16) == 0 && option(s[0], SO_ERROR) == 0);
    close_both(s);
    // No more is read; who waits for it is woken.
    tcp_pair(s);
    pid_t child = fork();
    if (child == 0) {
        CHECK(read(s[0], buf, 16) == 0);
        child_exit();
    }
    sleep_ms(20);
    CHECK(shutdown(s[0], SHUT_RD) == 0);
    CHECK_CHILD(child, 0);
    CHECK(read(s[0], buf, 16) == 0 && events_of(s[0]) == (IN | OUT | POLLRDHUP) && write(s[0], "still", 5) == 5);
    CHECK_TEXT(read(s[1], buf, 16), buf, "still");
    close_both(s);
    // Both at once.
    tcp_pair(s);
    CHECK(shutdown(s[0], SHUT_RDWR) == 0 && read(s[0], buf, 16) == 0 && read(s[1], buf, 16) == 0);
    CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
    CHECK(signals_caught == 2);
}

static void resets(void)
{
    int s[2];
    char buf[16];
    signal(SIGPIPE, count_signal);
    for (int kind = 0; kind < 4; kind++) {
        struct linger abort = {1, 0}, wait = {1, 5};
        socklen_t size = sizeof wait;
        tcp_pair(s);
        if (kind == 0) { // closed with something that was not read
            CHECK(write(s[0], "lost", 4) == 4 && wait_for(s[1], POLLIN) == POLLIN && close(s[1]) == 0);
        } else if (kind == 1) { // aborted
            CHECK(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &abort, sizeof abort) == 0 && close(s[1]) == 0);
        } else if (kind == 2) { // closed in order, whereupon what is sent there is no use
            CHECK(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &wait, sizeof wait) == 0 && getsockopt(s[1], SOL_SOCKET, SO_LINGER, &abort, &size) == 0);
            CHECK(abort.l_onoff == 1 && abort.l_linger == 5 && write(s[1], "bye", 3) == 3 && close(s[1]) == 0);
            CHECK_TEXT(recv(s[0], buf, 16, MSG_WAITALL), buf, "bye");
            CHECK(read(s[0], buf, 16) == 0 && events_of(s[0]) == (IN | OUT | POLLRDHUP) && write(s[0], "x", 1) == 1);
        } else { // by the end of the process that had it
            pid_t child = fork();
            if (child == 0)
                kill(getpid(), SIGKILL);
            close(s[1]);
            CHECK_CHILD(child, SIGKILL);
            CHECK(read(s[0], buf, 16) == 0 && write(s[0], "x", 1) == 1);
        }
        CHECK_SOON((events_of(s[0]) & (POLLHUP | POLLERR)) == (POLLHUP | POLLERR));
        CHECK(events_of(s[0]) & POLLIN);
        signals_caught = 0;
        if (kind < 2) {
            CHECK_ERRNO(recv(s[0], buf, 16, 0), ECONNRESET);
            CHECK(recv(s[0], buf, 16, 0) == 0);
            CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
        } else {
            CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
        }
        CHECK(signals_caught == 1 && option(s[0], SO_ERROR) == 0 && !has_peer(s[0]));
        close(s[0]);
    }
    // The error can be asked for, and who waits is woken by it.
    struct linger abort = {1, 0};
    tcp_pair(s);
    CHECK(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &abort, sizeof abort) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(s[1]);
        CHECK_ERRNO(read(s[0], buf, 16), ECONNRESET);
        child_exit();
    }
    sleep_ms(20);
    close(s[1]);
    CHECK_CHILD(child, 0);
    tcp_pair(s);
    CHECK(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &abort, sizeof abort) == 0 && close(s[1]) == 0 && (wait_for(s[0], POLLIN) & POLLERR));
    CHECK(option(s[0], SO_ERROR) == ECONNRESET && option(s[0], SO_ERROR) == 0 && read(s[0], buf, 16) == 0);
}

// A server that comes again has its port at once, whoever ended the connections.
static void again(void)
{
    unsigned port = 0;
    for (int round = 0; round < 6; round++) {
        int l = reusing(SOCK_STREAM, SO_REUSEADDR, LOOPBACK, port), c[3];
        CHECK(l >= 0 && listen(l, 5) == 0);
        port = port_of(l);
        for (int i = 0; i < 3; i++) {
            char buf[8];
            c[i] = connected(SOCK_STREAM, l);
            int s = accept(l, 0, 0);
            CHECK(write(c[i], "question", 8) == 8 && recv(s, buf, 8, MSG_WAITALL) == 8 && write(s, "answer", 6) == 6);
            if (round % 2)
                close(s);
            CHECK(recv(c[i], buf, 6, MSG_WAITALL) == 6);
            if (i < 2)
                CHECK(close(c[i]) == 0 && (round % 2 || (read(s, buf, 8) == 0 && close(s) == 0)));
        }
        close(l);
    }
}

static const struct test tests[] = {
    {"creation", creation}, {"bad pointers", bad_pointers}, {"binding", binding}, {"sharing", sharing}, {"listening", listening},
    {"connecting", connecting}, {"backlog", backlog}, {"shutdowns", shutdowns}, {"resets", resets}, {"again", again},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
