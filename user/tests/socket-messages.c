// What goes along with bytes through sockets of AF_UNIX, descriptors and credentials; their options; waiting; and many at
// once. The argument is a directory. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "sockets.h"

enum { MOST = 253, WRITERS = 4, PIECES = 400 };

// A message with control data, and room for it on the way back.
struct parcel {
    struct msghdr m;
    struct iovec piece;
    char bytes[16];
    union { char space[2048]; struct cmsghdr head; } control;
};

static struct msghdr *parcel(struct parcel *p, size_t bytes, size_t control)
{
    p->piece = (struct iovec){p->bytes, bytes};
    p->m = (struct msghdr){.msg_iov = &p->piece, .msg_iovlen = 1, .msg_control = p->control.space, .msg_controllen = control};
    return &p->m;
}

static long send_fds(int to, const char *text, const int *fds, int count, int flags)
{
    struct parcel p;
    parcel(&p, strlen(text), CMSG_SPACE(count * sizeof(int)));
    memcpy(p.bytes, text, strlen(text));
    struct cmsghdr *c = CMSG_FIRSTHDR(&p.m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    return syscall(SYS_sendmsg, to, &p.m, flags); // the library's takes fewer descriptors
}

// Receives at most `bytes` bytes and `most` descriptors; how many came, -1 for an error.
static int receive_fds(int from, size_t bytes, int *fds, int most, int flags, struct parcel *p)
{
    long got = syscall(SYS_recvmsg, from, parcel(p, bytes, most ? CMSG_SPACE(most * sizeof(int)) : 0), flags);
    struct cmsghdr *c = got < 0 ? 0 : CMSG_FIRSTHDR(&p->m);
    if (got < 0 || !c)
        return got < 0 ? -1 : 0;
    CHECK(c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS);
    int count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    return count;
}

static void descriptors(void)
{
    for (int i = 0; i < 3; i++) {
        int s[2], p[2], q[2], got[MOST];
        struct parcel parcel;
        char buf[16];
        pair_of(types[i], s);
        CHECK(pipe(p) == 0 && send_fds(s[0], "fds", p, 2, 0) == 3);
        CHECK(receive_fds(s[1], 16, got, 2, 0, &parcel) == 2 && memcmp(parcel.bytes, "fds", 3) == 0 && parcel.m.msg_flags == 0);
        CHECK(parcel.m.msg_controllen == CMSG_SPACE(8) && fcntl(got[0], F_GETFD) == 0);
        CHECK(write(got[1], "through", 7) == 7 && read(p[0], buf, 16) == 7);
        close(got[0]);
        close(got[1]);
        // They live in the message while nobody else has them.
        CHECK(pipe(q) == 0 && write(q[1], "kept", 4) == 4 && send_fds(s[0], "k", q, 1, 0) == 1);
        close(q[0]);
        close(q[1]);
        CHECK(receive_fds(s[1], 16, got, 2, MSG_PEEK, &parcel) == 1 && read(got[0], buf, 2) == 2);
        close(got[0]);
        CHECK(receive_fds(s[1], 16, got, 2, MSG_CMSG_CLOEXEC, &parcel) == 1 && fcntl(got[0], F_GETFD) == FD_CLOEXEC);
        CHECK(parcel.m.msg_flags == MSG_CMSG_CLOEXEC && read(got[0], buf, 16) == 2 && read(got[0], buf, 16) == 0);
        close(got[0]);
        // Without room for all, the rest is closed.
        signal(SIGPIPE, SIG_IGN);
        CHECK(pipe(q) == 0);
        int three[3] = {q[0], q[0], q[0]};
        CHECK(send_fds(s[0], "3", three, 3, 0) == 1 && receive_fds(s[1], 16, got, 2, 0, &parcel) == 2 && parcel.m.msg_flags == MSG_CTRUNC);
        close(got[0]);
        close(got[1]);
        CHECK(send_fds(s[0], "1", q, 1, 0) == 1 && receive_fds(s[1], 16, got, 0, 0, &parcel) == 0 && parcel.m.msg_flags == MSG_CTRUNC);
        CHECK(send_fds(s[0], "1", q, 1, 0) == 1 && read(s[1], buf, 1) == 1);
        close(q[0]);
        CHECK_ERRNO(write(q[1], "x", 1), EPIPE);
        // As many as there may be, and one more.
        int many[MOST + 1];
        for (int j = 0; j <= MOST; j++)
            many[j] = p[0];
        CHECK(send_fds(s[0], "all", many, MOST, 0) == 3 && receive_fds(s[1], 16, got, MOST, 0, &parcel) == MOST);
        for (int j = 0; j < MOST; j++)
            close(got[j]);
        CHECK_ERRNO(send_fds(s[0], "all", many, MOST + 1, 0), EINVAL);
        many[1] = 999;
        CHECK_ERRNO(send_fds(s[0], "bad", many, 2, 0), EBADF);
        CHECK(read(s[0], buf, 0) == 0);
        CHECK_ERRNO(recv(s[1], buf, 1, MSG_DONTWAIT), EAGAIN);
        close(p[0]);
        close(p[1]);
    }
    // In a stream they come with the first byte of what they were sent with, and reading stops behind that.
    int s[2], p[2], got[4];
    struct parcel parcel;
    pair_of(SOCK_STREAM, s);
    CHECK(pipe(p) == 0 && write(s[0], "ab", 2) == 2 && send_fds(s[0], "cd", p, 1, 0) == 2 && write(s[0], "ef", 2) == 2);
    CHECK(send_fds(s[0], "gh", p, 1, 0) == 2);
    CHECK(receive_fds(s[1], 2, got, 4, 0, &parcel) == 0 && receive_fds(s[1], 1, got, 4, 0, &parcel) == 1 && parcel.bytes[0] == 'c');
    CHECK(receive_fds(s[1], 3, got, 4, MSG_WAITALL, &parcel) == 0 && memcmp(parcel.bytes, "def", 3) == 0);
    CHECK(write(s[0], "ij", 2) == 2 && receive_fds(s[1], 16, got, 4, 0, &parcel) == 1 && memcmp(parcel.bytes, "gh", 2) == 0);
    CHECK(recv(s[1], parcel.bytes, 16, 0) == 2);
    // Malformed control messages.
    parcel.bytes[0] = 'x';
    for (int i = 0; i < 6; i++) {
        struct cmsghdr c = {.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        struct parcel q;
        struct msghdr *m = &q.m;
        q.piece = (struct iovec){parcel.bytes, 1};
        *m = (struct msghdr){.msg_iov = &q.piece, .msg_iovlen = 1, .msg_control = q.control.space, .msg_controllen = CMSG_SPACE(4)};
        if (i == 0) c.cmsg_len = 15;
        if (i == 1) c.cmsg_len = CMSG_SPACE(4) + 1;
        if (i == 2) c.cmsg_type = 77;
        if (i == 3) c.cmsg_type = SCM_CREDENTIALS;
        if (i == 4) c.cmsg_len = (socklen_t)-1;
        if (i == 5) c.cmsg_level = 77;
        memcpy(q.control.space, &c, sizeof c);
        memcpy(q.control.space + sizeof c, &p[0], 4);
        if (i < 5)
            CHECK_ERRNO(syscall(SYS_sendmsg, s[0], m, 0), EINVAL);
        else
            CHECK(syscall(SYS_sendmsg, s[0], m, 0) == 1 && recv(s[1], parcel.bytes, 4, 0) == 1);
    }
    struct msghdr m = {.msg_control = (void *)8, .msg_controllen = CMSG_SPACE(4)};
    CHECK_ERRNO(syscall(SYS_sendmsg, s[0], &m, 0), EFAULT);
    m.msg_controllen = 1 << 30;
    CHECK_ERRNO(syscall(SYS_sendmsg, s[0], &m, 0), ENOBUFS);
}

// Waits until the pipe whose other end was in a circle of sockets has been hung up.
static int comes_to_end(int in)
{
    struct pollfd p = {in, POLLIN, 0};
    return poll(&p, 1, 5000) == 1 && (p.revents & POLLHUP);
}

// Sockets that only messages in themselves lead to are closed when another one closes, with all that is in them.
static void circles(void)
{
    for (int kind = 0; kind < 4; kind++) {
        int s[2], t[2], p[2];
        pair_of(kind == 1 ? SOCK_DGRAM : SOCK_STREAM, s);
        pair_of(SOCK_STREAM, t);
        CHECK(pipe(p) == 0 && send_fds(s[1], "pipe", &p[1], 1, 0) == 4);
        close(p[1]);
        if (kind < 2) {
            // Into its own inbox.
            CHECK(send_fds(s[1], "self", &s[0], 1, 0) == 4);
        } else if (kind == 2) {
            // Each into the other's.
            CHECK(send_fds(s[1], "s", &t[0], 1, 0) == 1 && send_fds(t[1], "t", &s[0], 1, 0) == 1);
        } else {
            // Into a connection that nobody has accepted.
            int l = listener(SOCK_STREAM, "circle", 3), c = connected(SOCK_STREAM, "circle");
            CHECK(send_fds(c, "l", &l, 1, 0) == 1 && send_fds(c, "s", &s[0], 1, 0) == 1);
            close(l);
            close(c);
        }
        close(s[0]);
        close(s[1]);
        close(t[0]);
        close(t[1]);
        int last[2];
        pair_of(SOCK_STREAM, last);
        close(last[0]);
        close(last[1]);
        CHECK(comes_to_end(p[0]));
        close(p[0]);
    }
    // A circle that somebody can still reach stays.
    int s[2], got[2];
    struct parcel parcel;
    pair_of(SOCK_STREAM, s);
    CHECK(send_fds(s[1], "self", &s[0], 1, 0) == 4);
    int copy = dup(s[0]), other[2];
    close(s[0]);
    pair_of(SOCK_STREAM, other);
    close(other[0]);
    close(other[1]);
    CHECK(receive_fds(copy, 16, got, 2, 0, &parcel) == 1 && write(s[1], "live", 4) == 4);
    close(copy);
    CHECK(read(got[0], parcel.bytes, 16) == 4);
    // A long chain of sockets, each in the next one's inbox, closes at once: far longer than a stack would be for a call within a call.
    int before = got[0], length = 0;
    for (; length < 1000; length++) {
        int next[2];
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, next) != 0 || send_fds(next[0], "c", &before, 1, 0) != 1)
            break;
        close(before);
        close(next[0]);
        before = next[1];
    }
    close(before);
    CHECK(length >= 500); // or as many as the user may have under way
}

// A user who is not privileged has no more descriptors under way than it may have open.
static void too_many(void)
{
    pid_t child = fork();
    if (child == 0) {
        CHECK(geteuid() != 0 || (setgid(1000) == 0 && setuid(1000) == 0));
        struct rlimit few = {64, 64};
        int s[2], fds[32], sent = 0;
        pair_of(SOCK_DGRAM, s);
        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        for (int i = 0; i < 32; i++)
            fds[i] = 0;
        while (sent < 10 && send_fds(s[0], "x", fds, 32, MSG_DONTWAIT) == 1)
            sent++;
        CHECK(errno == ETOOMANYREFS && sent == 3);
        char byte;
        CHECK(recv(s[1], &byte, 1, 0) == 1 && send_fds(s[0], "x", fds, 1, MSG_DONTWAIT) == 1);
        child_exit();
    }
    CHECK_CHILD(child, 0);
}

static int credentials_of(int fd, struct ucred *who)
{
    struct parcel p;
    long got = recvmsg(fd, parcel(&p, 16, CMSG_SPACE(sizeof *who)), 0);
    struct cmsghdr *c = CMSG_FIRSTHDR(&p.m);
    if (got < 0 || !c || c->cmsg_type != SCM_CREDENTIALS || c->cmsg_len != CMSG_LEN(sizeof *who))
        return 0;
    memcpy(who, CMSG_DATA(c), sizeof *who);
    return 1;
}

static long send_as(int fd, struct ucred who)
{
    struct parcel p;
    parcel(&p, 1, CMSG_SPACE(sizeof who));
    struct cmsghdr *c = CMSG_FIRSTHDR(&p.m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof who), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
    memcpy(CMSG_DATA(c), &who, sizeof who);
    return sendmsg(fd, &p.m, 0);
}

static void credentials(void)
{
    struct ucred who, own = {getpid(), getuid(), getgid()};
    socklen_t size;
    for (int i = 0; i < 3; i++) {
        int s[2], on = 1;
        pair_of(types[i], s);
        size = sizeof who;
        CHECK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && size == sizeof who && memcmp(&who, &own, size) == 0);
        CHECK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 && option(s[1], SO_PASSCRED) == 1);
        CHECK(write(s[0], "x", 1) == 1 && credentials_of(s[1], &who) && memcmp(&who, &own, sizeof who) == 0);
        pid_t child = fork();
        if (child == 0) {
            own.pid = getpid();
            CHECK(write(s[0], "y", 1) == 1 && send_as(s[0], own) == 1);
            if (geteuid() == 0)
                CHECK(setgid(1000) == 0 && setuid(1000) == 0);
            CHECK_ERRNO(send_as(s[0], (struct ucred){1, getuid(), getgid()}), EPERM);
            CHECK_ERRNO(send_as(s[0], (struct ucred){getpid(), 77, getgid()}), EPERM);
            CHECK_ERRNO(send_as(s[0], (struct ucred){getpid(), getuid(), 77}), EPERM);
            child_exit();
        }
        CHECK_CHILD(child, 0);
        CHECK(credentials_of(s[1], &who) && who.pid == child && who.uid == own.uid);
        if (types[i] != SOCK_STREAM)
            CHECK(credentials_of(s[1], &who) && who.pid == child);
        else
            recv(s[1], &on, 4, MSG_DONTWAIT);
        // Of two senders a stream gives one at a time.
        child = fork();
        if (child == 0) {
            CHECK(write(s[0], "child", 5) == 5);
            child_exit();
        }
        CHECK_CHILD(child, 0);
        CHECK(write(s[0], "own", 3) == 3 && credentials_of(s[1], &who) && who.pid == child);
        CHECK(credentials_of(s[1], &who) && who.pid == own.pid);
    }
    int l = listener(SOCK_STREAM, "who", 5), c = socket(AF_UNIX, SOCK_STREAM, 0);
    size = sizeof who;
    CHECK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid == 0 && who.uid == (uid_t)-1 && who.gid == (gid_t)-1);
    pid_t child = fork();
    if (child == 0) {
        c = connected(SOCK_STREAM, "who");
        CHECK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid == getppid());
        sleep_ms(30);
        child_exit();
    }
    int s = accept(l, 0, 0), on = 1;
    CHECK(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid == child && option(s, SO_PASSCRED) == 0);
    // Where credentials are told, they are told of every connection.
    CHECK(setsockopt(l, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 && write(connected(SOCK_STREAM, "who"), "x", 1) == 1);
    s = accept(l, 0, 0);
    CHECK(option(s, SO_PASSCRED) == 1 && credentials_of(s, &who) && who.pid == getpid() && who.uid == getuid());
    CHECK_CHILD(child, 0);
}

static void options(void)
{
    int s[2], value = 1000, zero = 0;
    pair_of(SOCK_STREAM, s);
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value) == 0 && option(s[0], SO_SNDBUF) == 4608);
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_RCVBUF, &value, sizeof value) == 0 && option(s[0], SO_RCVBUF) == 2304);
    value = 10000;
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value) == 0 && option(s[0], SO_SNDBUF) == 20000);
    value = 1;
    CHECK(option(s[0], SO_REUSEADDR) == 0 && setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, &value, sizeof value) == 0 && option(s[0], SO_REUSEADDR) == 1);
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_REUSEADDR, &zero, sizeof zero) == 0 && option(s[0], SO_REUSEADDR) == 0);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, sizeof value), ENOPROTOOPT);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, 5000, &value, sizeof value), ENOPROTOOPT);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, 3), EINVAL);
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, -1), EINVAL);
    CHECK_ERRNO(setsockopt(s[0], 6, 1, &value, sizeof value), EOPNOTSUPP);
    socklen_t size = sizeof value;
    CHECK_ERRNO(getsockopt(s[0], SOL_SOCKET, 5000, &value, &size), ENOPROTOOPT);
    CHECK_ERRNO(getsockopt(s[0], 6, 1, &value, &size), EOPNOTSUPP);
    size = -1;
    CHECK_ERRNO(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &size), EINVAL);
    size = 1;
    value = -1;
    CHECK(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &size) == 0 && size == 1 && (value & 0xff) == SOCK_STREAM && value >> 8 == -1);
    CHECK(option(s[0], SO_RCVLOWAT) == 1 && option(s[0], SO_PROTOCOL) == 0 && option(s[0], SO_KEEPALIVE) == 0);
    // Time limits.
    struct timeval limit = {0, 1000000};
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), EDOM);
    limit.tv_usec = 40000;
    CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, 8), EINVAL);
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    size = sizeof limit;
    CHECK(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, &size) == 0 && size == sizeof limit && limit.tv_sec == 0 && limit.tv_usec == 40000);
    double start = now_s();
    CHECK_ERRNO(read(s[0], &value, 1), EAGAIN);
    CHECK(now_s() - start >= 0.039);
    CHECK(write(s[1], "ab", 2) == 2 && recv(s[0], &value, 4, MSG_WAITALL) == 2);
    CHECK(setsockopt(s[1], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
    static char much[1 << 20];
    start = now_s();
    CHECK(write(s[1], much, sizeof much) > 50000 && now_s() - start >= 0.039);
    CHECK_ERRNO(write(s[1], much, sizeof much), EAGAIN);
    CHECK(events_of(s[1]) == 0 && ioctl(s[1], TIOCOUTQ, &value) == 0 && value > 50000);
    for (long left = 1; left > 0;)
        left = recv(s[0], much, sizeof much, MSG_DONTWAIT);
    CHECK(events_of(s[1]) == (POLLOUT | POLLWRNORM) && ioctl(s[1], TIOCOUTQ, &value) == 0 && value == 0);
}

static volatile int caught;
static void note(int number)
{
    (void)number;
    caught++;
}

static void waiting(void)
{
    int s[2];
    char buf[8];
    pair_of(SOCK_STREAM, s);
    // A handler ends a call, or has it begin again, which a time limit of the socket prevents.
    struct timeval limit = {20, 0}, none = {0, 0};
    for (int round = 0; round < 3; round++) {
        int restarts = round == 1;
        struct sigaction action = {.sa_handler = note, .sa_flags = round ? SA_RESTART : 0};
        sigaction(SIGUSR1, &action, 0);
        CHECK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, round == 2 ? &limit : &none, sizeof limit) == 0);
        caught = 0;
        pid_t parent = getpid(), child = fork();
        if (child == 0) {
            sleep_ms(40);
            kill(parent, SIGUSR1);
            sleep_ms(40);
            CHECK(write(s[1], "x", 1) == 1);
            child_exit();
        }
        if (restarts) {
            CHECK(recv(s[0], buf, 8, 0) == 1);
        } else {
            CHECK_ERRNO(recv(s[0], buf, 8, 0), EINTR);
            CHECK(recv(s[0], buf, 8, 0) == 1);
        }
        CHECK(caught == 1);
        CHECK_CHILD(child, 0);
    }
    // By epoll, level and edge.
    int epoll = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = 1}, out;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, s[0], &e) == 0 && epoll_wait(epoll, &out, 1, 0) == 0);
    CHECK(write(s[1], "ab", 2) == 2 && epoll_wait(epoll, &out, 1, 1000) == 1 && out.events == EPOLLIN);
    CHECK(read(s[0], buf, 1) == 1 && epoll_wait(epoll, &out, 1, 0) == 1 && read(s[0], buf, 1) == 1 && epoll_wait(epoll, &out, 1, 0) == 0);
    e.events = EPOLLIN | EPOLLET;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_MOD, s[0], &e) == 0 && write(s[1], "c", 1) == 1 && epoll_wait(epoll, &out, 1, 1000) == 1);
    CHECK(epoll_wait(epoll, &out, 1, 0) == 0 && write(s[1], "d", 1) == 1 && epoll_wait(epoll, &out, 1, 1000) == 1);
    close(s[1]);
    CHECK(epoll_wait(epoll, &out, 1, 1000) == 1 && out.events == (EPOLLIN | EPOLLHUP));
    int l = listener(SOCK_STREAM, "poll", 5);
    e.events = EPOLLIN;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, l, &e) == 0);
    close(s[0]);
    pid_t child = fork();
    if (child == 0) {
        sleep_ms(20);
        close(connected(SOCK_STREAM, "poll"));
        child_exit();
    }
    CHECK(epoll_wait(epoll, &out, 1, 5000) == 1 && out.events == EPOLLIN);
    CHECK_CHILD(child, 0);
}

// Each writer sends numbered pieces with its own number to one socket; the readers share it, and note what they got.
static void many(void)
{
    for (int i = 0; i < 3; i++) {
        int s[2];
        struct note { unsigned char seen[WRITERS][PIECES]; } *notes = mmap(0, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct piece { int writer, number, sum, fill[29]; } piece;
        pid_t children[2 * WRITERS];
        pair_of(types[i], s);
        for (int j = 0; j < 2 * WRITERS; j++) {
            children[j] = fork();
            if (children[j] != 0)
                continue;
            if (j < WRITERS) {
                close(s[1]);
                for (int n = 0; n < PIECES; n++) {
                    piece = (struct piece){.writer = j, .number = n, .sum = j ^ n ^ 0x5a5a};
                    memset(piece.fill, n, sizeof piece.fill);
                    CHECK(write(s[0], &piece, sizeof piece) == sizeof piece);
                }
            } else {
                close(s[0]);
                // A stream gives pieces of any size: one reader at a time takes a whole one.
                while (recv(s[1], &piece, sizeof piece, MSG_WAITALL) == sizeof piece && piece.writer >= 0) {
                    int whole = piece.sum == (piece.writer ^ piece.number ^ 0x5a5a) && piece.writer < WRITERS && piece.number < PIECES;
                    CHECK(whole && ((char *)piece.fill)[115] == (char)piece.number);
                    if (whole)
                        __atomic_add_fetch(&notes->seen[piece.writer][piece.number], 1, __ATOMIC_SEQ_CST);
                    if (types[i] == SOCK_STREAM)
                        break;
                }
            }
            child_exit();
        }
        // The stream is read here, as a piece may come in parts.
        if (types[i] == SOCK_STREAM) {
            for (int n = 0; n < WRITERS * PIECES - WRITERS; n++) {
                CHECK(recv(s[1], &piece, sizeof piece, MSG_WAITALL) == sizeof piece);
                notes->seen[piece.writer % WRITERS][piece.number % PIECES]++;
            }
        }
        for (int j = 0; j < WRITERS; j++)
            CHECK_CHILD(children[j], 0);
        piece.writer = -1;
        for (int j = 0; j < WRITERS && types[i] != SOCK_STREAM; j++)
            CHECK(write(s[0], &piece, sizeof piece) == sizeof piece);
        for (int j = 0; j < WRITERS; j++)
            CHECK_CHILD(children[WRITERS + j], 0);
        unsigned wrong = 0;
        for (int j = 0; j < WRITERS; j++)
            for (int n = 0; n < PIECES; n++)
                wrong += notes->seen[j][n] != 1;
        CHECK(wrong == 0);
        close(s[0]);
        close(s[1]);
    }
}

static const struct test tests[] = {
    {"descriptors", descriptors}, {"circles", circles}, {"too many", too_many}, {"credentials", credentials},
    {"options", options},         {"waiting", waiting}, {"many", many},
};

int main(int argc, char **argv) { return run_sockets(tests, sizeof tests / sizeof *tests, argc, argv); }
