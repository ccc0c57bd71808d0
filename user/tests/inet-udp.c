// UDP over the loopback: where datagrams go, what comes of them and what they say about their senders; which sockets may
// share a port. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "inet.h"

enum { LARGEST = 65507, CLIENTS = 4, ROUNDS = 300, FLOOD = 2000 };

static int udp(void) { return socket(AF_INET, SOCK_DGRAM, 0); }

static void creation(void)
{
    int s[2];
    CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM, 250), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM, -1), EINVAL);
    CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM, 1000), EINVAL);
    CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM | 0x100, 0), EINVAL);
    CHECK_ERRNO(socketpair(AF_INET, SOCK_DGRAM, 0, s), EOPNOTSUPP);
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, i == 0 ? 0 : IPPROTO_UDP);
        CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
        CHECK(option(fd, SO_TYPE) == SOCK_DGRAM && option(fd, SO_DOMAIN) == AF_INET && option(fd, SO_PROTOCOL) == IPPROTO_UDP);
        CHECK(option(fd, SO_ACCEPTCONN) == 0 && option(fd, SO_ERROR) == 0);
        struct stat info;
        CHECK(fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode));
        CHECK(is_at(name_of(fd), ANY, 0) && !has_peer(fd) && events_of(fd) == OUT);
        CHECK_ERRNO(lseek(fd, 0, SEEK_SET), ESPIPE);
        CHECK_ERRNO(listen(fd, 5), EOPNOTSUPP);
        CHECK_ERRNO(accept(fd, 0, 0), EOPNOTSUPP);
        char byte;
        CHECK_ERRNO(read(fd, &byte, 1), EAGAIN);
        CHECK_ERRNO(write(fd, &byte, 1), EDESTADDRREQ);
        CHECK_ERRNO(send(fd, &byte, 1, 0), EDESTADDRREQ);
        close(fd);
    }
}

static void bad_pointers(void)
{
    struct sockaddr_in a = at(LOOPBACK, 9);
    socklen_t size = sizeof a;
    int fd = bound(SOCK_DGRAM, LOOPBACK), fresh = udp();
    unsigned port = port_of(fd);
    char buf[8];
    CHECK_BAD_IN(syscall(SYS_bind, fresh, p, 16), 16, 0);
    CHECK_BAD_IN(syscall(SYS_connect, fresh, p, 16), 16, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockname, fd, p, &size), 2, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockname, fd, &a, p), 4, 0);
    a = at(LOOPBACK, port);
    CHECK_BAD_IN(syscall(SYS_sendto, fresh, p, 4, 0, &a, 16), 4, 0);
    CHECK_BAD_IN(syscall(SYS_sendto, fresh, "x", 1, 0, p, 16), 16, 1);
    CHECK_BAD_IN(syscall(SYS_sendmsg, fresh, p, 0), 56, 0);
    CHECK_BAD_IN(syscall(SYS_setsockopt, fd, SOL_IP, IP_TTL, p, 4), 4, 0);
    // Nothing has been sent by that, and what is looked at without being taken stays.
    CHECK(send_to(fresh, "four", LOOPBACK, port) == 4 && wait_for(fd, POLLIN) == POLLIN);
    CHECK_BAD_OUT(syscall(SYS_recvfrom, fd, p, 4, MSG_PEEK, 0, 0), 4, 0);
    CHECK_BAD_OUT(syscall(SYS_recvfrom, fd, buf, 4, MSG_PEEK, p, &size), 2, 1);
    CHECK_BAD_OUT(syscall(SYS_recvfrom, fd, buf, 4, MSG_PEEK, &a, p), 4, 0);
    CHECK_BAD_OUT(syscall(SYS_ioctl, fd, FIONREAD, p), 4, 0);
    CHECK_TEXT(recv(fd, buf, sizeof buf, 0), buf, "four");
    CHECK_ERRNO(recv(fd, buf, sizeof buf, MSG_DONTWAIT), EAGAIN);
    size = -1;
    CHECK_ERRNO(syscall(SYS_getsockname, fd, &a, &size), EINVAL);
    CHECK_ERRNO(syscall(SYS_bind, fresh, &a, 129), EINVAL);
}

static void addresses(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), c = udp(), any = bound(SOCK_DGRAM, ANY), bare = udp();
    unsigned port = port_of(s);
    struct sockaddr_in to = at(LOOPBACK, port), from;
    socklen_t size = sizeof from;
    char buf[16];
    CHECK_ERRNO(sendto(c, "x", 1, 0, (void *)&to, 8), EINVAL);
    to.sin_family = AF_INET6;
    CHECK_ERRNO(sendto(c, "x", 1, 0, (void *)&to, sizeof to), EAFNOSUPPORT);
    CHECK_ERRNO(send_to(c, "x", LOOPBACK, 0), EINVAL);
    // Who sends has a port from then on, and keeps it.
    CHECK(send_to(bare, "first", LOOPBACK, port) == 5 && port_of(bare) != 0 && port_of(bare) != port);
    CHECK(name_of(bare).sin_addr.s_addr == htonl(ANY));
    CHECK_TEXT(recvfrom(s, buf, 16, 0, (void *)&from, &size), buf, "first");
    CHECK(size == sizeof from && is_at(from, LOOPBACK, port_of(bare)));
    struct sockaddr_in before = name_of(bare);
    CHECK(send_to(bare, "second", LOOPBACK, port) == 6 && same(name_of(bare), before));
    size = 4;
    from = at(ELSEWHERE, 1);
    CHECK_TEXT(recvfrom(s, buf, 16, 0, (void *)&from, &size), buf, "second");
    CHECK(size == sizeof from && from.sin_port == before.sin_port && from.sin_addr.s_addr == htonl(ELSEWHERE));
    // An answer by the sender's address; nobody's address where none is asked for.
    CHECK(sendto(s, "answer", 6, 0, (void *)&(struct sockaddr_in){AF_INET, before.sin_port, {htonl(LOOPBACK)}, {0}}, 16) == 6);
    CHECK_TEXT(recvfrom(bare, buf, 16, 0, 0, 0), buf, "answer");
    size = 99;
    CHECK(send_to(bare, "x", LOOPBACK, port) == 1 && recvfrom(s, buf, 16, 0, 0, &size) == 1 && size == 99);
    // Every address of the loopback reaches who is bound to any; only its own reaches who is bound to one.
    unsigned any_port = port_of(any);
    static const uint32_t hosts[] = {LOOPBACK, LOOPBACK2, LOOPBACK3, 0x7f123456, ANY};
    for (int i = 0; i < 5; i++) {
        size = sizeof from;
        CHECK(send_to(s, "to any", hosts[i], any_port) == 6);
        CHECK_TEXT(recvfrom(any, buf, 16, 0, (void *)&from, &size), buf, "to any");
        CHECK(is_at(from, LOOPBACK, port));
    }
    int two = bound(SOCK_DGRAM, LOOPBACK2);
    CHECK(send_to(two, "two", LOOPBACK, port) == 3);
    CHECK_TEXT(recvfrom(s, buf, 16, 0, (void *)&from, &size), buf, "two");
    CHECK(is_at(from, LOOPBACK2, port_of(two)) && send_to(s, "back", LOOPBACK2, port_of(two)) == 4 && recv(two, buf, 16, 0) == 4);
    // To all of a network only with leave.
    CHECK_ERRNO(send_to(s, "x", INADDR_BROADCAST, 9), EACCES);
    CHECK_ERRNO(connect_to(s, INADDR_BROADCAST, 9), EACCES);
    CHECK(option(s, SO_BROADCAST) == 0 && set(s, SO_BROADCAST, 1) == 0 && option(s, SO_BROADCAST) == 1);
}

static void boundaries(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), c = connected(SOCK_DGRAM, s);
    static char large[LARGEST + 1], got[LARGEST + 1];
    char buf[16];
    CHECK(write(c, "first", 5) == 5 && send(c, "", 0, 0) == 0 && send(c, "third one", 9, 0) == 9);
    CHECK(wait_for(s, POLLIN) == POLLIN && ioctl_number(s, FIONREAD) == 5);
    // The length as it was sent, if that is asked for.
    CHECK(recv(s, buf, 2, MSG_PEEK | MSG_TRUNC) == 5 && recv(s, buf, 2, MSG_PEEK) == 2);
    struct iovec piece = {buf, 3};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    CHECK(recvmsg(s, &m, 0) == 3 && m.msg_flags == MSG_TRUNC && memcmp(buf, "fir", 3) == 0);
    CHECK(wait_for(s, POLLIN) == POLLIN && ioctl_number(s, FIONREAD) == 0 && recv(s, buf, 16, 0) == 0);
    m.msg_flags = -1;
    piece.iov_len = 4;
    CHECK(recvmsg(s, &m, MSG_TRUNC) == 9 && (m.msg_flags & MSG_TRUNC) && memcmp(buf, "thir", 4) == 0);
    CHECK_ERRNO(recv(s, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK(ioctl_number(s, FIONREAD) == 0);
    CHECK(write(c, "whole", 5) == 5);
    piece.iov_len = 16;
    CHECK(recvmsg(s, &m, 0) == 5 && m.msg_flags == 0);
    // In pieces; all of the first is filled before the second.
    struct iovec out[3] = {{"one", 3}, {"", 0}, {" two", 4}}, in[2] = {{buf, 2}, {buf + 2, 10}};
    CHECK(writev(c, out, 3) == 7);
    CHECK_TEXT(readv(s, in, 2), buf, "one two");
    // A reader of no bytes takes a datagram by recv(2).
    CHECK(write(c, "gone", 4) == 4 && recv(s, buf, 0, 0) == 0 && write(c, "next", 4) == 4);
    CHECK_TEXT(recv(s, buf, 16, MSG_WAITALL), buf, "next");
    // The largest there is, and what is larger.
    for (int i = 0; i < LARGEST; i++)
        large[i] = i * 7 + i / 251;
    CHECK(send(c, large, LARGEST, 0) == LARGEST && recv(s, got, sizeof got, 0) == LARGEST && memcmp(large, got, LARGEST) == 0);
    CHECK_ERRNO(send(c, large, LARGEST + 1, 0), EMSGSIZE);
    CHECK_ERRNO(send(c, large, -1, 0), EMSGSIZE);
    CHECK_ERRNO(send(c, large, 1, MSG_OOB), EOPNOTSUPP);
    // Numbered ones of many lengths keep their order.
    for (int i = 0; i < 60; i++)
        CHECK(send(c, large + i, 1 + i * 13 % 500, 0) == 1 + i * 13 % 500);
    for (int i = 0; i < 60; i++)
        CHECK(recv(s, got, sizeof got, 0) == 1 + i * 13 % 500 && memcmp(got, large + i, 1 + i * 13 % 500) == 0);
}

static void connections(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), t = bound(SOCK_DGRAM, LOOPBACK), c = udp();
    unsigned s_port = port_of(s), t_port = port_of(t);
    char buf[16];
    CHECK_ERRNO(connect(c, (void *)&(struct sockaddr_in){.sin_family = AF_INET}, 8), EINVAL);
    CHECK_ERRNO(connect(c, (void *)&(struct sockaddr_in){.sin_family = AF_INET6}, 16), EAFNOSUPPORT);
    CHECK(connect_to(c, LOOPBACK, s_port) == 0 && is_at(peer_of(c), LOOPBACK, s_port));
    unsigned c_port = port_of(c);
    CHECK(c_port != 0 && is_at(name_of(c), LOOPBACK, c_port));
    CHECK(write(c, "hello", 5) == 5 && recv(s, buf, 16, 0) == 5 && send_to(s, "back", LOOPBACK, c_port) == 4);
    CHECK_TEXT(read(c, buf, 16), buf, "back");
    // It takes from there alone, and can still send elsewhere.
    CHECK(send_to(t, "not this", LOOPBACK, c_port) == 8 && send_to(s, "this", LOOPBACK, c_port) == 4);
    CHECK_TEXT(recv(c, buf, 16, 0), buf, "this");
    CHECK_ERRNO(recv(c, buf, 16, MSG_DONTWAIT), EAGAIN);
    CHECK(send_to(c, "to t", LOOPBACK, t_port) == 4 && recv(t, buf, 16, 0) == 4 && is_at(peer_of(c), LOOPBACK, s_port));
    // To another, which needs no disconnection.
    CHECK(connect_to(c, LOOPBACK, t_port) == 0 && port_of(c) == c_port && write(c, "moved", 5) == 5 && recv(t, buf, 16, 0) == 5);
    CHECK(send_to(s, "not this", LOOPBACK, c_port) == 8 && send_to(t, "t's", LOOPBACK, c_port) == 3);
    CHECK_TEXT(recv(c, buf, 16, 0), buf, "t's");
    // To nobody; a name that was asked for stays.
    CHECK(connect(c, &nowhere, sizeof nowhere) == 0 && !has_peer(c) && name_of(c).sin_addr.s_addr == htonl(ANY));
    CHECK_ERRNO(write(c, "x", 1), EDESTADDRREQ);
    int named = udp();
    CHECK(bind_to(named, LOOPBACK2, s_port) == 0 && connect(named, &nowhere, sizeof nowhere) == 0);
    CHECK(connect_to(named, LOOPBACK, t_port) == 0 && connect(named, &nowhere, sizeof nowhere) == 0 && !has_peer(named));
    CHECK(is_at(name_of(named), LOOPBACK2, s_port));
    CHECK(send_to(c, "for s", LOOPBACK, s_port) == 5 && recv(s, buf, 16, 0) == 5);
    // To any address is to this machine.
    CHECK(connect_to(c, ANY, s_port) == 0 && is_at(peer_of(c), LOOPBACK, s_port) && write(c, "any", 3) == 3 && recv(s, buf, 16, 0) == 3);
    struct iovec piece = {"msg", 3};
    struct sockaddr_in to = at(LOOPBACK, t_port), from;
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &piece, .msg_iovlen = 1};
    CHECK(sendmsg(c, &m, 0) == 3);
    piece = (struct iovec){buf, 16};
    m = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &piece, .msg_iovlen = 1};
    CHECK(recvmsg(t, &m, 0) == 3 && m.msg_namelen == sizeof from && same(from, name_of(c)) && m.msg_controllen == 0);
}

// What was sent to a port where nobody receives comes back as an error of the sender, if it is connected.
static void refused(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), c = connected(SOCK_DGRAM, s), free = udp(), other = bound(SOCK_DGRAM, LOOPBACK);
    unsigned port = port_of(s);
    char buf[8];
    CHECK(write(c, "x", 1) == 1 && recv(s, buf, 8, 0) == 1);
    // One connected to another still has the port, but takes nothing from here; then nobody has it.
    CHECK(connect_to(s, LOOPBACK, port_of(other)) == 0);
    for (int round = 0; round < 2; round++) {
        if (round == 1)
            close(s);
        CHECK(write(c, "x", 1) == 1 && (wait_for(c, POLLIN) & POLLERR));
        CHECK_ERRNO(recv(c, buf, 8, MSG_DONTWAIT), ECONNREFUSED);
        CHECK_ERRNO(recv(c, buf, 8, MSG_DONTWAIT), EAGAIN);
        CHECK(write(c, "x", 1) == 1 && (wait_for(c, POLLIN) & POLLERR));
        CHECK_ERRNO(write(c, "x", 1), ECONNREFUSED);
        CHECK(events_of(c) == OUT && write(c, "x", 1) == 1 && (wait_for(c, 0) & POLLERR));
        CHECK(option(c, SO_ERROR) == ECONNREFUSED && option(c, SO_ERROR) == 0 && events_of(c) == OUT);
    }
    // Who waits is woken.
    CHECK(write(c, "x", 1) == 1);
    CHECK_ERRNO(recv(c, buf, 8, 0), ECONNREFUSED);
    // Others are not told.
    CHECK(send_to(free, "x", LOOPBACK, port) == 1 && send_to(free, "x", LOOPBACK, port) == 1);
    CHECK_ERRNO(recv(free, buf, 8, MSG_DONTWAIT), EAGAIN);
}

static void binding(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), fresh = udp(), fd;
    unsigned port = port_of(s);
    struct sockaddr_in a = at(LOOPBACK, 0);
    CHECK(port != 0 && is_at(name_of(s), LOOPBACK, port));
    CHECK_ERRNO(bind_to(s, LOOPBACK, 0), EINVAL);
    CHECK_ERRNO(bind(fresh, (void *)&a, 8), EINVAL);
    CHECK_ERRNO(bind(fresh, (void *)&a, 0), EINVAL);
    a.sin_family = AF_UNIX;
    CHECK_ERRNO(bind(fresh, (void *)&a, sizeof a), EAFNOSUPPORT);
    CHECK_ERRNO(bind_to(fresh, ELSEWHERE, 0), EADDRNOTAVAIL);
    CHECK_ERRNO(bind_to(fresh, LOOPBACK, port), EADDRINUSE);
    CHECK_ERRNO(bind_to(fresh, ANY, port), EADDRINUSE);
    CHECK_ERRNO(reusing(SOCK_DGRAM, SO_REUSEADDR, LOOPBACK, port), EADDRINUSE);
    CHECK_ERRNO(reusing(SOCK_DGRAM, SO_REUSEPORT, LOOPBACK, port), EADDRINUSE);
    CHECK(bind_to(fresh, LOOPBACK2, port) == 0 && is_at(name_of(fresh), LOOPBACK2, port));
    // TCP has ports of its own.
    int t = socket(AF_INET, SOCK_STREAM, 0), u = bound(SOCK_DGRAM, 0x7f123456);
    CHECK(set(t, SO_REUSEADDR, 1) == 0 && bind_to(t, 0x7f123456, port_of(u)) == 0);
    close(s);
    CHECK((s = reusing(SOCK_DGRAM, 0, LOOPBACK, port)) >= 0);
    close(s);
    close(fresh);
    // All who share must say so.
    static const int options[] = {SO_REUSEADDR, SO_REUSEPORT};
    for (int i = 0; i < 2; i++) {
        s = reusing(SOCK_DGRAM, options[i], LOOPBACK, 0);
        port = port_of(s);
        CHECK_ERRNO(reusing(SOCK_DGRAM, 0, LOOPBACK, port), EADDRINUSE);
        CHECK_ERRNO(reusing(SOCK_DGRAM, options[1 - i], LOOPBACK, port), EADDRINUSE);
        CHECK((fd = reusing(SOCK_DGRAM, options[i], LOOPBACK, port)) >= 0 && is_at(name_of(fd), LOOPBACK, port));
        close(fd);
        CHECK((fd = reusing(SOCK_DGRAM, options[i], ANY, port)) >= 0);
        close(fd);
        close(s);
    }
    // Of all with one port, the one that says most about itself is given the datagram.
    char buf[16];
    int any = reusing(SOCK_DGRAM, SO_REUSEADDR, ANY, 0), c = bound(SOCK_DGRAM, LOOPBACK), other = bound(SOCK_DGRAM, LOOPBACK);
    port = port_of(any);
    int one = reusing(SOCK_DGRAM, SO_REUSEADDR, LOOPBACK, port), mine = reusing(SOCK_DGRAM, SO_REUSEADDR, LOOPBACK, port);
    CHECK(one >= 0 && mine >= 0 && connect_to(mine, LOOPBACK, port_of(c)) == 0);
    CHECK(send_to(other, "one", LOOPBACK, port) == 3 && send_to(c, "mine", LOOPBACK, port) == 4 && send_to(c, "any", LOOPBACK3, port) == 3);
    CHECK_TEXT(recv(any, buf, 16, 0), buf, "any");
    CHECK_TEXT(recv(one, buf, 16, 0), buf, "one");
    CHECK_TEXT(recv(mine, buf, 16, 0), buf, "mine");
    CHECK(events_of(any) == OUT && events_of(one) == OUT && events_of(mine) == OUT);
    close(mine);
    close(one);
    CHECK(send_to(c, "to any", LOOPBACK, port) == 6 && recv(any, buf, 16, 0) == 6);
    // Chosen ports differ.
    static unsigned char taken[65536];
    for (int i = 0; i < 200; i++) {
        port = port_of(i % 2 ? bound(SOCK_DGRAM, LOOPBACK) : connected(SOCK_DGRAM, c));
        CHECK(port >= 1024 && !taken[port]);
        taken[port] = 1;
    }
}

// A full receiver keeps what it has, and nobody is told of the rest.
static void overflow(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), c = connected(SOCK_DGRAM, s), number, received = 0;
    char packet[1000] = "";
    CHECK(set(s, SO_RCVBUF, 20000) == 0 && option(s, SO_RCVBUF) == 40000 && set(c, SO_SNDBUF, 20000) == 0 && option(c, SO_SNDBUF) == 40000);
    for (int i = 0; i < FLOOD; i++) {
        memcpy(packet, &i, sizeof i);
        CHECK(send(c, packet, sizeof packet, 0) == sizeof packet);
    }
    CHECK(events_of(c) == OUT && wait_for(s, POLLIN) == POLLIN);
    while (recv(s, packet, sizeof packet, MSG_DONTWAIT) == sizeof packet) {
        memcpy(&number, packet, sizeof number);
        CHECK(number == received);
        received++;
    }
    CHECK(errno == EAGAIN && received > 5 && received < FLOOD);
    CHECK(write(c, "again", 5) == 5);
    CHECK_TEXT(recv(s, packet, sizeof packet, 0), packet, "again");
}

static void several(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), c = udp();
    struct sockaddr_in to = at(LOOPBACK, port_of(s)), from[4];
    struct mmsghdr out[4] = {0}, in[4] = {0};
    struct iovec pieces[4] = {{"a", 1}, {"bc", 2}, {"", 0}, {"def", 3}}, rooms[4];
    char buf[4][8];
    for (int i = 0; i < 4; i++) {
        out[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &pieces[i], .msg_iovlen = 1};
        in[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &rooms[i], .msg_iovlen = 1};
        rooms[i] = (struct iovec){buf[i], i == 3 ? 2 : 8};
    }
    CHECK(sendmmsg(c, out, 4, 0) == 4 && out[0].msg_len == 1 && out[1].msg_len == 2 && out[2].msg_len == 0 && out[3].msg_len == 3);
    CHECK(recvmmsg(s, in, 2, 0, 0) == 2 && in[0].msg_len == 1 && in[1].msg_len == 2 && memcmp(buf[1], "bc", 2) == 0);
    CHECK(in[0].msg_hdr.msg_namelen == sizeof to && same(from[0], from[1]) && from[0].sin_port == name_of(c).sin_port);
    CHECK_SOON(recv(s, buf, 8, MSG_PEEK | MSG_DONTWAIT) == 0);
    CHECK(recvmmsg(s, in + 2, 1, MSG_WAITFORONE, 0) == 1 && in[2].msg_len == 0 && wait_for(s, POLLIN));
    CHECK(recvmmsg(s, in + 3, 1, MSG_WAITFORONE, 0) == 1 && in[3].msg_len == 2 && in[3].msg_hdr.msg_flags == MSG_TRUNC);
    CHECK(write(connected(SOCK_DGRAM, s), "last", 4) == 4);
    CHECK(recvmmsg(s, in, 4, MSG_WAITFORONE, 0) == 1 && in[0].msg_len == 4 && memcmp(buf[0], "last", 4) == 0);
    CHECK_ERRNO(recvmmsg(s, in, 4, MSG_DONTWAIT, 0), EAGAIN);
    // As many as could be sent are told, and the error if it was the first.
    struct sockaddr_in wrong = {.sin_family = AF_UNIX};
    out[2].msg_hdr.msg_name = &wrong;
    CHECK(sendmmsg(c, out, 4, 0) == 2 && recv(s, buf, 8, 0) == 1 && recv(s, buf, 8, 0) == 2);
    CHECK_ERRNO(sendmmsg(c, out + 2, 2, 0), EAFNOSUPPORT);
}

static void waiting(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), c = connected(SOCK_DGRAM, s), epoll = epoll_create1(0);
    char buf[8];
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u32 = 1}, out;
    CHECK(events_of(s) == OUT);
    CHECK(set_limit(s, SO_RCVTIMEO, 40) == 0);
    double start = now_s();
    CHECK_ERRNO(recv(s, buf, 8, 0), EAGAIN);
    CHECK(now_s() - start >= 0.039 && set_limit(s, SO_RCVTIMEO, 0) == 0);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, s, &e) == 0 && epoll_wait(epoll, &out, 1, 0) == 0);
    CHECK(write(c, "a", 1) == 1 && epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1 && out.events == EPOLLIN && out.data.u32 == 1);
    CHECK(epoll_wait(epoll, &out, 1, 0) == 0 && events_of(s) == (IN | OUT));
    CHECK(write(c, "b", 1) == 1 && epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1 && epoll_wait(epoll, &out, 1, 0) == 0);
    CHECK(recv(s, buf, 8, 0) == 1 && events_of(s) == (IN | OUT) && recv(s, buf, 8, 0) == 1 && events_of(s) == OUT);
    e.events = EPOLLIN;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_MOD, s, &e) == 0 && write(c, "c", 1) == 1 && epoll_wait(epoll, &out, 1, PATIENCE_MS) == 1);
    CHECK(epoll_wait(epoll, &out, 1, 0) == 1 && recv(s, buf, 8, 0) == 1 && epoll_wait(epoll, &out, 1, 0) == 0);
    // A datagram wakes who waits.
    pid_t child = fork();
    if (child == 0) {
        CHECK(recv(s, buf, 8, 0) == 4 && wait_for(s, POLLIN) == POLLIN && recv(s, buf, 8, 0) == 5);
        child_exit();
    }
    sleep_ms(20);
    CHECK(write(c, "wake", 4) == 4);
    sleep_ms(20);
    CHECK(write(c, "again", 5) == 5);
    CHECK_CHILD(child, 0);
}

static void shutdowns(void)
{
    int s = bound(SOCK_DGRAM, LOOPBACK), c = connected(SOCK_DGRAM, s);
    char buf[8];
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO(shutdown(c, 3), EINVAL);
    CHECK_ERRNO(shutdown(c, -1), EINVAL);
    CHECK_ERRNO(shutdown(udp(), SHUT_RDWR), ENOTCONN);
    // Who waits is woken.
    pid_t child = fork();
    if (child == 0) {
        CHECK(recv(c, buf, 8, 0) == 0 && recv(c, buf, 8, 0) == 0);
        child_exit();
    }
    sleep_ms(20);
    CHECK(shutdown(c, SHUT_RD) == 0);
    CHECK_CHILD(child, 0);
    CHECK((events_of(c) & (POLLIN | POLLRDHUP | POLLHUP)) == (POLLIN | POLLRDHUP) && write(c, "out", 3) == 3 && recv(s, buf, 8, 0) == 3);
    CHECK(shutdown(c, SHUT_WR) == 0 && (events_of(c) & POLLHUP));
    CHECK_ERRNO(write(c, "x", 1), EPIPE);
}

// A server that sends back what it gets, and clients with numbered questions, of which none is under way twice.
static void echoes(void)
{
    int s = bound(SOCK_DGRAM, ANY), copy = dup(s), number;
    unsigned port = port_of(s);
    pid_t servers[2], clients[CLIENTS];
    close(s);
    for (int i = 0; i < 2; i++) {
        servers[i] = fork();
        if (servers[i] != 0)
            continue;
        for (;;) {
            char buf[1500];
            struct sockaddr_in from;
            socklen_t size = sizeof from;
            long got = recvfrom(copy, buf, sizeof buf, 0, (void *)&from, &size);
            if (got <= 0 || sendto(copy, buf, got, 0, (void *)&from, size) != got)
                break;
        }
        child_exit();
    }
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = fork();
        if (clients[i] != 0)
            continue;
        int c = udp();
        CHECK(connect_to(c, LOOPBACK, port) == 0);
        for (int n = 0; n < ROUNDS; n++) {
            char out[1400], in[1500];
            int len = 8 + (n * 37 + i) % 1300;
            memset(out, n, len);
            number = n * CLIENTS + i;
            memcpy(out, &number, sizeof number);
            CHECK(send(c, out, len, 0) == len && recv(c, in, sizeof in, 0) == len && memcmp(in, out, len) == 0);
        }
        child_exit();
    }
    for (int i = 0; i < CLIENTS; i++)
        CHECK_CHILD(clients[i], 0);
    int c = udp();
    for (int i = 0; i < 2; i++)
        CHECK(send_to(c, "", LOOPBACK, port) == 0);
    for (int i = 0; i < 2; i++)
        CHECK_CHILD(servers[i], 0);
}

static void options(void)
{
    int s = udp();
    CHECK(option_at(s, SOL_IP, IP_TTL) == 64 && set_at(s, SOL_IP, IP_TTL, 9) == 0 && option_at(s, SOL_IP, IP_TTL) == 9);
    CHECK_ERRNO(set_at(s, SOL_IP, IP_TTL, 256), EINVAL);
    CHECK(option_at(s, SOL_IP, IP_TOS) == 0 && set_at(s, SOL_IP, IP_TOS, 0x10) == 0 && option_at(s, SOL_IP, IP_TOS) == 0x10);
    CHECK(option(s, SO_REUSEADDR) == 0 && set(s, SO_REUSEADDR, 1) == 0 && option(s, SO_REUSEADDR) == 1);
    CHECK(option(s, SO_REUSEPORT) == 0 && set(s, SO_REUSEPORT, 1) == 0 && option(s, SO_REUSEPORT) == 1);
    CHECK_ERRNO(set_at(s, SOL_TCP, TCP_NODELAY, 1), ENOPROTOOPT);
    CHECK_ERRNO(set(s, 5000, 1), ENOPROTOOPT);
    CHECK_ERRNO(set_at(s, IPPROTO_UDP, 5000, 1), ENOPROTOOPT);
    int value;
    socklen_t size = sizeof value;
    CHECK_ERRNO(getsockopt(s, IPPROTO_UDP, 5000, &value, &size), ENOPROTOOPT);
    CHECK_ERRNO(getsockopt(s, SOL_IP, 5000, &value, &size), ENOPROTOOPT);
}

static const struct test tests[] = {
    {"creation", creation}, {"bad pointers", bad_pointers}, {"addresses", addresses}, {"boundaries", boundaries},
    {"connections", connections}, {"refused", refused}, {"binding", binding}, {"overflow", overflow},
    {"several", several}, {"waiting", waiting}, {"shutdowns", shutdowns}, {"echoes", echoes}, {"options", options},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
