// Names of sockets of AF_UNIX: paths, names in no directory, connections by them, datagrams, and who may what. The argument
// is a directory for sockets with paths. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "sockets.h"

static void names(void)
{
    struct sockaddr_un a, got;
    socklen_t len = at_path(&a, "name"), size;
    for (int i = 0; i < 3; i++) {
        unlink(a.sun_path);
        int fd = socket(AF_UNIX, types[i], 0), other = socket(AF_UNIX, types[i], 0);
        size = sizeof got;
        CHECK(getsockname(fd, (void *)&got, &size) == 0 && size == 2 && got.sun_family == AF_UNIX);
        CHECK_ERRNO(bind(fd, (void *)&a, 1), EINVAL);
        CHECK_ERRNO(bind(fd, (void *)&a, sizeof a + 1), EINVAL);
        a.sun_family = 2;
        CHECK_ERRNO(bind(fd, (void *)&a, len), EINVAL);
        a.sun_family = AF_UNIX;
        umask(027);
        CHECK(bind(fd, (void *)&a, len) == 0);
        umask(022);
        struct stat info;
        CHECK(stat(a.sun_path, &info) == 0 && S_ISSOCK(info.st_mode) && (info.st_mode & 07777) == 0750 && info.st_uid == geteuid());
        CHECK_ERRNO(open(a.sun_path, O_RDWR), ENXIO);
        size = sizeof got;
        CHECK(getsockname(fd, (void *)&got, &size) == 0 && size == len && strcmp(got.sun_path, a.sun_path) == 0);
        memset(&got, 'x', sizeof got);
        size = 4;
        CHECK(getsockname(fd, (void *)&got, &size) == 0 && size == len && memcmp(got.sun_path, a.sun_path, 2) == 0 && got.sun_path[2] == 'x');
        CHECK_ERRNO(bind(other, (void *)&a, len), EADDRINUSE);
        // Without its final zero it is the same.
        CHECK_ERRNO(bind(other, (void *)&a, len - 1), EADDRINUSE);
        struct sockaddr_un second;
        socklen_t second_len = at_path(&second, "second");
        unlink(second.sun_path);
        CHECK_ERRNO(bind(fd, (void *)&second, second_len), EINVAL);
        second_len = at_path(&second, "none/second");
        CHECK_ERRNO(bind(other, (void *)&second, second_len), ENOENT);
        CHECK_ERRNO(connect(other, (void *)&second, second_len), ENOENT);
        close(fd);
        // The node stays, and nobody is there.
        CHECK_ERRNO(connect(other, (void *)&a, len), ECONNREFUSED);
        CHECK_ERRNO(bind(other, (void *)&a, len), EADDRINUSE);
        CHECK(unlink(a.sun_path) == 0);
        CHECK_ERRNO(connect(other, (void *)&a, len), ENOENT);
        close(other);
    }
    // A node that mknod(2) makes, and a file.
    CHECK(mknod(a.sun_path, S_IFSOCK | 0777, 0) == 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(fd, (void *)&a, len), ECONNREFUSED);
    CHECK(unlink(a.sun_path) == 0 && close(open(a.sun_path, O_CREAT | O_RDWR, 0777)) == 0);
    CHECK_ERRNO(connect(fd, (void *)&a, len), ECONNREFUSED);
    CHECK(unlink(a.sun_path) == 0);
    // The longest path.
    char cwd[512];
    CHECK(getcwd(cwd, sizeof cwd) && chdir(directory) == 0);
    memset(&a, 0, sizeof a);
    a.sun_family = AF_UNIX;
    memset(a.sun_path, 'l', sizeof a.sun_path);
    char name[sizeof a.sun_path + 1] = "";
    memcpy(name, a.sun_path, sizeof a.sun_path);
    unlink(name);
    CHECK(bind(fd, (void *)&a, sizeof a) == 0);
    char wide[128];
    size = sizeof wide;
    CHECK(getsockname(fd, (void *)wide, &size) == 0 && size == sizeof a + 1 && strcmp(wide + 2, name) == 0);
    CHECK(unlink(name) == 0);
}

static void unlinked(void)
{
    struct sockaddr_un a, b;
    socklen_t len = at_path(&a, "moved"), b_len = at_path(&b, "renamed");
    char buf[8];
    unlink(a.sun_path);
    unlink(b.sun_path);
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), second = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(l, (void *)&a, len) == 0 && listen(l, 5) == 0 && rename(a.sun_path, b.sun_path) == 0);
    CHECK_ERRNO(connect(c, (void *)&a, len), ENOENT);
    CHECK(connect(c, (void *)&b, b_len) == 0);
    int at = accept(l, 0, 0);
    CHECK(at >= 0 && unlink(b.sun_path) == 0 && write(c, "on", 2) == 2 && read(at, buf, 8) == 2);
    // Another gets the name; the first is still there, for those who had it.
    CHECK(bind(second, (void *)&b, b_len) == 0);
    int d = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(d, (void *)&b, b_len), ECONNREFUSED);
    CHECK(listen(second, 1) == 0 && connect(d, (void *)&b, b_len) == 0 && unlink(b.sun_path) == 0);
    CHECK(symlink("nowhere", b.sun_path) == 0);
    CHECK_ERRNO(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&b, b_len), ENOENT);
    unlink(b.sun_path);
}

static void abstract_names(void)
{
    struct sockaddr_un a, got;
    socklen_t len = at_name(&a, "one\0two"), size = sizeof got;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0), third = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (void *)&a, len) == 0);
    CHECK_ERRNO(bind(other, (void *)&a, len), EADDRINUSE);
    CHECK_ERRNO(bind(fd, (void *)&a, len), EINVAL);
    CHECK(getsockname(fd, (void *)&got, &size) == 0 && size == len && memcmp(&got, &a, len) == 0);
    // A longer name is another one.
    CHECK(bind(other, (void *)&a, len + 1) == 0);
    CHECK_ERRNO(connect(third, (void *)&a, len), ECONNREFUSED);
    close(fd);
    CHECK(bind(third, (void *)&a, len) == 0);
    // Any name.
    sa_family_t family = AF_UNIX;
    for (int i = 0; i < 3; i++) {
        int any = socket(AF_UNIX, types[i], 0);
        size = sizeof got;
        CHECK(bind(any, (void *)&family, sizeof family) == 0 && getsockname(any, (void *)&got, &size) == 0 && size == OFFSET + 6 && got.sun_path[0] == 0);
        CHECK(strspn(got.sun_path + 1, "0123456789abcdef") >= 5);
        CHECK(bind(any, (void *)&family, sizeof family) == 0);
        struct sockaddr_un again;
        size = sizeof again;
        CHECK(getsockname(any, (void *)&again, &size) == 0 && memcmp(&again, &got, OFFSET + 6) == 0);
    }
}

static void connections(void)
{
    for (int i = 0; i < 2; i++) {
        struct sockaddr_un a, got;
        socklen_t len = at_name(&a, "server"), size;
        char buf[8];
        int l = socket(AF_UNIX, types[i], 0);
        CHECK_ERRNO(listen(l, 5), EINVAL);
        CHECK(bind(l, (void *)&a, len) == 0);
        CHECK_ERRNO(accept(l, 0, 0), EINVAL);
        int c = socket(AF_UNIX, types[i], 0);
        CHECK_ERRNO(connect(c, (void *)&a, len), ECONNREFUSED);
        CHECK(listen(l, 5) == 0 && listen(l, 7) == 0 && option(l, SO_ACCEPTCONN) == 1);
        CHECK(fcntl(l, F_SETFL, O_NONBLOCK) == 0 && events_of(l) == 0);
        CHECK_ERRNO(accept(l, 0, 0), EAGAIN);
        CHECK_ERRNO(syscall(SYS_accept4, l, 0, 0, 1), EINVAL);
        CHECK(connect(c, (void *)&a, len) == 0 && (events_of(l) & POLLIN));
        CHECK_ERRNO(connect(c, (void *)&a, len), EISCONN);
        CHECK_ERRNO(connect(l, (void *)&a, len), EINVAL);
        CHECK_ERRNO(listen(c, 5), EINVAL);
        // Bytes may be sent before anybody has accepted.
        CHECK(write(c, "early", 5) == 5);
        size = sizeof got;
        memset(&got, 'x', sizeof got);
        int s = accept4(l, (void *)&got, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        CHECK(s >= 0 && size == 2 && got.sun_family == AF_UNIX && fcntl(s, F_GETFD) == FD_CLOEXEC && fcntl(s, F_GETFL) == (O_RDWR | O_NONBLOCK));
        CHECK(read(s, buf, 8) == 5);
        CHECK_ERRNO(read(s, buf, 8), EAGAIN);
        size = sizeof got;
        CHECK(getsockname(s, (void *)&got, &size) == 0 && size == len && memcmp(&got, &a, len) == 0);
        size = sizeof got;
        CHECK(getpeername(c, (void *)&got, &size) == 0 && size == len && memcmp(&got, &a, len) == 0);
        size = sizeof got;
        CHECK(getpeername(s, (void *)&got, &size) == 0 && size == 2);
        close(s);
        CHECK(read(c, buf, 8) == 0 && getpeername(c, (void *)&got, &size) == 0);
        CHECK_ERRNO(connect(c, (void *)&a, len), EISCONN);
        // A client with a name is known by it.
        struct sockaddr_un own;
        socklen_t own_len = at_name(&own, "client");
        c = socket(AF_UNIX, types[i], 0);
        CHECK(bind(c, (void *)&own, own_len) == 0 && connect(c, (void *)&a, len) == 0);
        size = sizeof got;
        s = accept(l, (void *)&got, &size);
        CHECK(s >= 0 && size == own_len && memcmp(&got, &own, own_len) == 0 && fcntl(s, F_GETFL) == O_RDWR);
        size = sizeof got;
        CHECK(write(c, "x", 1) == 1 && recvfrom(s, buf, 8, 0, (void *)&got, &size) == 1 && size == own_len);
        size = sizeof got;
        CHECK(write(s, "x", 1) == 1 && recvfrom(c, buf, 8, 0, (void *)&got, &size) == 1 && size == len);
        // Who was not accepted is told when nobody listens any more.
        int waiting = socket(AF_UNIX, types[i], 0);
        CHECK(connect(waiting, (void *)&a, len) == 0 && close(l) == 0);
        CHECK((events_of(waiting) & (POLLHUP | POLLERR)) == (POLLHUP | POLLERR));
        CHECK_ERRNO(read(waiting, buf, 8), ECONNRESET);
        CHECK(write(c, "x", 1) == 1 && read(s, buf, 8) == 1);
        // The wrong type.
        l = listener(types[i], "typed", 5);
        len = at_name(&a, "typed");
        int wrong = socket(AF_UNIX, types[1 - i], 0);
        CHECK_ERRNO(connect(wrong, (void *)&a, len), ECONNREFUSED);
        len = at_path(&a, "typed");
        unlink(a.sun_path);
        close(l);
        l = socket(AF_UNIX, types[i], 0);
        CHECK(bind(l, (void *)&a, len) == 0 && listen(l, 1) == 0);
        CHECK_ERRNO(connect(wrong, (void *)&a, len), EPROTOTYPE);
        unlink(a.sun_path);
    }
    int d = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_ERRNO(listen(d, 5), EOPNOTSUPP);
    CHECK_ERRNO(accept(d, 0, 0), EOPNOTSUPP);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK_ERRNO(connect(socket(AF_UNIX, SOCK_STREAM, 0), &none, sizeof none), EINVAL);
}

static void backlog(void)
{
    struct sockaddr_un a;
    socklen_t len = at_name(&a, "full");
    int l = listener(SOCK_STREAM, "full", 1);
    connected(SOCK_STREAM, "full");
    connected(SOCK_STREAM, "full");
    int c = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_ERRNO(connect(c, (void *)&a, len), EAGAIN);
    CHECK(fcntl(c, F_SETFL, 0) == 0);
    struct timeval limit = {0, 30000};
    CHECK(setsockopt(c, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0);
    double start = now_s();
    CHECK_ERRNO(connect(c, (void *)&a, len), EAGAIN);
    CHECK(now_s() - start >= 0.029);
    pid_t child = fork();
    if (child == 0) {
        int late = connected(SOCK_STREAM, "full");
        CHECK(write(late, "late", 4) == 4);
        child_exit();
    }
    sleep_ms(20);
    char buf[8];
    for (int i = 0; i < 3; i++) {
        int s = accept(l, 0, 0);
        CHECK(s >= 0);
        if (i == 2)
            CHECK(read(s, buf, 8) == 4);
        close(s);
    }
    CHECK_CHILD(child, 0);
    // Those who wait are refused when nobody listens any more.
    connected(SOCK_STREAM, "full");
    connected(SOCK_STREAM, "full");
    child = fork();
    if (child == 0) {
        close(l);
        int refused = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK_ERRNO(connect(refused, (void *)&a, len), ECONNREFUSED);
        child_exit();
    }
    sleep_ms(50);
    close(l);
    CHECK_CHILD(child, 0);
    // Without a free descriptor the connection goes on waiting.
    l = listener(SOCK_STREAM, "few", 5);
    c = connected(SOCK_STREAM, "few");
    struct rlimit old, few = {l + 1, 1024};
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    few.rlim_cur = c + 1;
    few.rlim_max = old.rlim_max;
    for (int fd = dup(0); fd < c && fd >= 0; fd = dup(0)) {
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    close(c + 1);
    CHECK_ERRNO(accept(l, 0, 0), EMFILE);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM, 0), EMFILE);
    int s[2];
    CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, s), EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0 && accept(l, 0, 0) >= 0);
}

static void datagrams(void)
{
    struct sockaddr_un a, b, got;
    socklen_t a_len = at_name(&a, "a"), b_len = at_path(&b, "b"), size = sizeof got;
    char buf[16];
    unlink(b.sun_path);
    int s = socket(AF_UNIX, SOCK_DGRAM, 0), t = socket(AF_UNIX, SOCK_DGRAM, 0), u = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_ERRNO(sendto(s, "x", 1, 0, (void *)&a, a_len), ECONNREFUSED);
    CHECK_ERRNO(sendto(s, "x", 1, 0, (void *)&b, b_len), ENOENT);
    CHECK_ERRNO(sendto(s, "x", 1, 0, (void *)&a, 1), EINVAL);
    CHECK(bind(t, (void *)&a, a_len) == 0 && bind(u, (void *)&b, b_len) == 0);
    CHECK(sendto(s, "one", 3, 0, (void *)&a, a_len) == 3 && sendto(u, "two", 3, 0, (void *)&a, a_len) == 3);
    CHECK(recvfrom(t, buf, 16, 0, (void *)&got, &size) == 3 && size == 0);
    size = sizeof got;
    CHECK(recvfrom(t, buf, 16, 0, (void *)&got, &size) == 3 && size == b_len && strcmp(got.sun_path, b.sun_path) == 0);
    CHECK(sendto(t, "back", 4, 0, (void *)&got, size) == 4 && read(u, buf, 16) == 4);
    // Connected: it sends there, and takes from there alone.
    CHECK(connect(s, (void *)&a, a_len) == 0 && write(s, "to a", 4) == 4 && read(t, buf, 16) == 4);
    size = sizeof got;
    CHECK(getpeername(s, (void *)&got, &size) == 0 && size == a_len && memcmp(&got, &a, a_len) == 0);
    CHECK(connect(t, (void *)&b, b_len) == 0);
    CHECK_ERRNO(write(s, "x", 1), EPERM);
    CHECK_ERRNO(connect(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&a, a_len), EPERM);
    CHECK(sendto(s, "to b", 4, 0, (void *)&b, b_len) == 4 && read(u, buf, 16) == 4);
    CHECK(write(t, "to b", 4) == 4 && read(u, buf, 16) == 4);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK(connect(t, &none, sizeof none) == 0 && write(s, "x", 1) == 1 && read(t, buf, 16) == 1);
    CHECK_ERRNO(write(t, "x", 1), ENOTCONN);
    size = sizeof got;
    CHECK_ERRNO(getpeername(t, (void *)&got, &size), ENOTCONN);
    CHECK(connect(s, (void *)&b, b_len) == 0 && write(s, "x", 1) == 1 && read(u, buf, 16) == 1);
    // A receiver keeps some for all, then they wait.
    for (int i = 0; i < 11; i++)
        CHECK(send(s, buf, 1, MSG_DONTWAIT) == 1);
    CHECK_ERRNO(send(s, buf, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(sendto(t, buf, 1, MSG_DONTWAIT, (void *)&b, b_len), EAGAIN);
    CHECK(events_of(s) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct pollfd p = {s, POLLOUT, 0};
        CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLOUT && write(s, "late", 4) == 4);
        child_exit();
    }
    sleep_ms(20);
    for (int i = 0; i < 11; i++)
        CHECK(read(u, buf, 16) == 1);
    CHECK(read(u, buf, 16) == 4);
    CHECK_CHILD(child, 0);
    close(u);
    CHECK_ERRNO(write(s, "x", 1), ECONNREFUSED);
    CHECK_ERRNO(write(s, "x", 1), ENOTCONN);
    CHECK_ERRNO(sendto(s, "x", 1, 0, (void *)&b, b_len), ECONNREFUSED);
    CHECK(unlink(b.sun_path) == 0);
    // A message's address, and one of no bytes.
    struct iovec piece = {"msg", 3};
    struct msghdr m = {.msg_name = &a, .msg_namelen = a_len, .msg_iov = &piece, .msg_iovlen = 1};
    CHECK(bind(s, (void *)&b, b_len) == 0 && sendmsg(s, &m, 0) == 3);
    m.msg_namelen = 0;
    CHECK_ERRNO(sendmsg(s, &m, 0), ENOTCONN);
    m.msg_namelen = -1;
    CHECK_ERRNO(syscall(SYS_sendmsg, s, &m, 0), EINVAL);
    piece = (struct iovec){buf, 16};
    m = (struct msghdr){.msg_name = &got, .msg_namelen = sizeof got, .msg_iov = &piece, .msg_iovlen = 1};
    CHECK(recvmsg(t, &m, 0) == 3 && m.msg_namelen == b_len && strcmp(got.sun_path, b.sun_path) == 0);
    m.msg_iovlen = 1025;
    CHECK_ERRNO(syscall(SYS_sendmsg, s, &m, 0), EMSGSIZE);
    CHECK_ERRNO(syscall(SYS_recvmsg, s, &m, 0), EMSGSIZE);
    unlink(b.sun_path);
}

// Who connects to another loses what it has not received, and the old other side is told if it was connected back.
static void reconnected(void)
{
    struct sockaddr_un a, b, c;
    socklen_t a_len = at_name(&a, "re-a"), b_len = at_name(&b, "re-b"), c_len = at_name(&c, "re-c");
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    char buf[8];
    for (int i = 0; i < 3; i++) {
        int s = socket(AF_UNIX, SOCK_DGRAM, 0), t = socket(AF_UNIX, SOCK_DGRAM, 0), u = socket(AF_UNIX, SOCK_DGRAM, 0);
        CHECK(bind(s, (void *)&a, a_len) == 0 && bind(t, (void *)&b, b_len) == 0 && bind(u, (void *)&c, c_len) == 0);
        CHECK(connect(s, (void *)&b, b_len) == 0 && connect(t, (void *)&a, a_len) == 0 && write(t, "lost", 4) == 4);
        // The same once more changes nothing.
        CHECK(connect(s, (void *)&b, b_len) == 0 && recv(s, buf, 8, MSG_PEEK) == 4);
        if (i == 0) {
            CHECK(connect(s, (void *)&c, c_len) == 0);
        } else if (i == 1) {
            CHECK(connect(s, &none, sizeof none) == 0);
        } else {
            close(t);
            CHECK_ERRNO(write(s, "x", 1), ECONNREFUSED);
        }
        CHECK_ERRNO(recv(s, buf, 8, MSG_DONTWAIT), EAGAIN);
        if (i < 2)
            CHECK_ERRNO(recv(t, buf, 8, MSG_DONTWAIT), ECONNRESET);
        close(s);
        close(t);
        close(u);
    }
}

// Who may not write to the node may not connect to it, nor send there; nor make one where nothing may be made.
static void permissions(void)
{
    struct sockaddr_un a, b, inner;
    socklen_t len = at_path(&a, "private"), b_len = at_path(&b, "closed"), inner_len = at_path(&inner, "closed/inner");
    unlink(a.sun_path);
    rmdir(b.sun_path);
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(l, (void *)&a, len) == 0 && listen(l, 5) == 0 && chmod(a.sun_path, 0555) == 0 && mkdir(b.sun_path, 0700) == 0);
    if (geteuid() == 0) {
        CHECK(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, len) == 0);
        pid_t child = fork();
        if (child == 0) {
            CHECK(setgid(1000) == 0 && setuid(1000) == 0);
            int c = socket(AF_UNIX, SOCK_STREAM, 0);
            CHECK_ERRNO(connect(c, (void *)&a, len), EACCES);
            CHECK_ERRNO(connect(c, (void *)&inner, inner_len), EACCES);
            CHECK_ERRNO(bind(c, (void *)&inner, inner_len), EACCES);
            CHECK_ERRNO(sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (void *)&a, len), EACCES);
            child_exit();
        }
        CHECK_CHILD(child, 0);
        CHECK(chmod(a.sun_path, 0222) == 0);
        child = fork();
        if (child == 0) {
            CHECK(setgid(1000) == 0 && setuid(1000) == 0);
            CHECK(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, len) == 0);
            child_exit();
        }
        CHECK_CHILD(child, 0);
    }
    (void)b_len;
    CHECK(unlink(a.sun_path) == 0 && rmdir(b.sun_path) == 0);
}

static const struct test tests[] = {
    {"names", names},     {"unlinked", unlinked},   {"abstract", abstract_names}, {"connections", connections},
    {"backlog", backlog}, {"datagrams", datagrams}, {"permissions", permissions},
    {"reconnected", reconnected},
};

int main(int argc, char **argv) { return run_sockets(tests, sizeof tests / sizeof *tests, argc, argv); }
