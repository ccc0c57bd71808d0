// Sockets of AF_UNIX: types, what goes through them, and who is told when they end. The argument is a directory for
// sockets with paths. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "sockets.h"

static void creation(void)
{
    int s[2];
    CHECK_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, 0, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_UNIX, 11, 0), EINVAL);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM | 0x100, 0), EINVAL);
    CHECK_ERRNO(socket(AF_UNIX, SOCK_STREAM, 2), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(45, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socket(1000, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 2, s), EPROTONOSUPPORT);
    CHECK_ERRNO(socketpair(AF_UNIX, SOCK_RDM, 0, s), ESOCKTNOSUPPORT);
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, i == 0 ? 1 : 0);
        CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
        CHECK(option(fd, SO_TYPE) == types[i] && option(fd, SO_DOMAIN) == AF_UNIX && option(fd, SO_ACCEPTCONN) == 0);
        CHECK(option(fd, SO_ERROR) == 0 && option(fd, SO_SNDBUF) == BUFFER && option(fd, SO_RCVBUF) == BUFFER);
        struct stat info;
        CHECK(fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode) && (info.st_mode & 0777) == 0777 && info.st_size == 0);
        CHECK(info.st_uid == geteuid() && info.st_nlink == 1);
        char path[64], link[64] = "", wanted[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        snprintf(wanted, sizeof wanted, "socket:[%lu]", (unsigned long)info.st_ino);
        CHECK(readlink(path, link, sizeof link - 1) > 0 && strcmp(link, wanted) == 0);
        CHECK_ERRNO(open(path, O_RDWR), ENXIO);
        CHECK_ERRNO(lseek(fd, 0, SEEK_SET), ESPIPE);
        CHECK_ERRNO(pread(fd, path, 1, 0), ESPIPE);
        CHECK_ERRNO(fsync(fd), EINVAL);
        CHECK_ERRNO(ftruncate(fd, 0), EINVAL);
        CHECK_ERRNO(ioctl(fd, 0x1234, 0), ENOTTY);
        close(fd);
    }
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0 && s[1] == s[0] + 1);
    CHECK(fcntl(s[0], F_GETFD) == FD_CLOEXEC && fcntl(s[1], F_GETFD) == FD_CLOEXEC && fcntl(s[1], F_GETFL) == O_RDWR);
    int on = 1;
    CHECK(ioctl(s[0], FIONBIO, &on) == 0 && fcntl(s[0], F_GETFL) == (O_RDWR | O_NONBLOCK));
    CHECK_ERRNO(read(s[0], &on, 1), EAGAIN);
    on = 0;
    CHECK(ioctl(s[0], FIONBIO, &on) == 0 && fcntl(s[0], F_GETFL) == O_RDWR);
    CHECK(ioctl(s[0], FIONCLEX) == 0 && fcntl(s[0], F_GETFD) == 0);
    CHECK(ioctl(s[0], FIOCLEX) == 0 && fcntl(s[0], F_GETFD) == FD_CLOEXEC);
}

static void bad_pointers(void)
{
    int s[2], l = listener(SOCK_STREAM, "bad", 5), c;
    struct sockaddr_un a;
    socklen_t len = at_name(&a, "bad"), size = sizeof a;
    pair_of(SOCK_STREAM, s);
    CHECK_BAD_OUT(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, p), 8, 0);
    CHECK(dup(0) == s[1] + 1 && close(s[1] + 1) == 0);
    c = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_BAD_IN(syscall(SYS_bind, c, p, 20), 20, 0);
    CHECK_BAD_IN(syscall(SYS_connect, c, p, 20), 20, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockname, s[0], p, &size), 2, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockname, s[0], &a, p), 4, 0);
    CHECK_BAD_OUT(syscall(SYS_getpeername, s[0], p, &size), 2, 0);
    CHECK_BAD_OUT(syscall(SYS_getpeername, s[0], &a, p), 4, 0);
    CHECK_BAD_IN(syscall(SYS_setsockopt, s[0], SOL_SOCKET, SO_SNDBUF, p, 4), 4, 0);
    size = 4;
    CHECK_BAD_OUT(syscall(SYS_getsockopt, s[0], SOL_SOCKET, SO_TYPE, p, &size), 4, 0);
    CHECK_BAD_OUT(syscall(SYS_getsockopt, s[0], SOL_SOCKET, SO_TYPE, &a, p), 4, 0);
    CHECK_BAD_IN(syscall(SYS_sendto, s[0], p, 4, 0, 0, 0), 4, 0);
    CHECK_BAD_IN(syscall(SYS_sendto, s[0], &a, 4, 0, p, 20), 20, 1);
    CHECK_BAD_IN(syscall(SYS_sendmsg, s[0], p, 0), 56, 0);
    CHECK_BAD_IN(syscall(SYS_recvmsg, s[0], p, 0), 56, 0);
    CHECK_BAD_IN(syscall(SYS_sendmmsg, s[0], p, 1, 0), 56, 0);
    CHECK_BAD_IN(syscall(SYS_recvmmsg, s[0], p, 1, MSG_DONTWAIT, 0), 56, 0);
    CHECK(ioctl(s[0], FIONREAD, &c) == 0);
    CHECK_BAD_OUT(syscall(SYS_ioctl, s[0], FIONREAD, p), 4, 0);
    CHECK_BAD_IN(syscall(SYS_ioctl, s[0], FIONBIO, p), 4, 0);
    // Nothing has gone in by that, and what cannot be stored stays in a stream.
    CHECK_ERRNO(recv(s[1], &a, 4, MSG_DONTWAIT), EAGAIN);
    CHECK(send(s[0], "four", 4, 0) == 4);
    CHECK_BAD_OUT(syscall(SYS_recvfrom, s[1], p, 1, 0, 0, 0), 1, 0 + BAD_COUNT);
    CHECK(recv(s[1], &a, sizeof a, 0) >= 1);
    // Packets go in whole or not at all.
    int d[2];
    pair_of(SOCK_SEQPACKET, d);
    char *two = crossing(4);
    memcpy(two, "1234", 4);
    CHECK_ERRNO(syscall(SYS_write, d[0], two, 8), EFAULT);
    CHECK(write(d[0], two, 4) == 4 && read(d[1], &a, 8) == 4);
    // A connection whose name nobody can be told is gone; no descriptor is left.
    c = connected(SOCK_STREAM, "bad");
    int next = dup(0);
    close(next);
    CHECK_ERRNO(syscall(SYS_accept, l, &a, 8), EFAULT);
    int now = dup(0);
    CHECK(now == next);
    size = -1;
    CHECK_ERRNO(syscall(SYS_getsockname, s[0], &a, &size), EINVAL);
    CHECK_ERRNO(syscall(SYS_bind, c, &a, -1), EINVAL);
    CHECK_ERRNO(syscall(SYS_bind, c, &a, 129), EINVAL);
    (void)len;
}

static void not_sockets(void)
{
    struct sockaddr_un a;
    socklen_t len = at_name(&a, "none");
    int p[2], value = 0;
    struct msghdr m = {0};
    CHECK(pipe(p) == 0);
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? p[0] : 900, wanted = i == 0 ? ENOTSOCK : EBADF;
        CHECK_ERRNO(bind(fd, (void *)&a, len), wanted);
        CHECK_ERRNO(listen(fd, 1), wanted);
        CHECK_ERRNO(accept(fd, 0, 0), wanted);
        CHECK_ERRNO(connect(fd, (void *)&a, len), wanted);
        CHECK_ERRNO(send(fd, "x", 1, 0), wanted);
        CHECK_ERRNO(recv(fd, &value, 1, 0), wanted);
        CHECK_ERRNO(sendmsg(fd, &m, 0), wanted);
        CHECK_ERRNO(recvmsg(fd, &m, 0), wanted);
        CHECK_ERRNO(shutdown(fd, SHUT_RDWR), wanted);
        CHECK_ERRNO(getsockname(fd, (void *)&a, &len), wanted);
        CHECK_ERRNO(getpeername(fd, (void *)&a, &len), wanted);
        CHECK_ERRNO(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len), wanted);
        CHECK_ERRNO(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value), wanted);
    }
}

static void stream(void)
{
    int s[2], n = -1;
    char buf[64];
    pair_of(SOCK_STREAM, s);
    CHECK(write(s[0], "hello ", 6) == 6 && send(s[0], "there", 5, 0) == 5);
    CHECK(ioctl(s[1], FIONREAD, &n) == 0 && n == 11);
    CHECK(recv(s[1], buf, 4, MSG_PEEK) == 4 && memcmp(buf, "hell", 4) == 0);
    CHECK(read(s[1], buf, 8) == 8 && memcmp(buf, "hello th", 8) == 0);
    CHECK(read(s[1], buf, 0) == 0 && recv(s[1], buf, sizeof buf, 0) == 3 && memcmp(buf, "ere", 3) == 0);
    CHECK_ERRNO(recv(s[1], buf, 1, MSG_DONTWAIT), EAGAIN);
    CHECK(write(s[1], "back", 4) == 4 && read(s[0], buf, sizeof buf) == 4 && write(s[0], buf, 0) == 0);
    struct iovec out[3] = {{"one", 3}, {"", 0}, {" two", 4}}, in[2] = {{buf, 2}, {buf + 2, 10}};
    CHECK(writev(s[0], out, 3) == 7 && readv(s[1], in, 2) == 7 && memcmp(buf, "one two", 7) == 0);
    // All that is asked for, or what there is when the other side ends.
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 5; i++) {
            sleep_ms(5);
            CHECK(write(s[0], "ab", 2) == 2);
        }
        child_exit();
    }
    CHECK(recv(s[1], buf, 10, MSG_WAITALL) == 10 && memcmp(buf, "ababababab", 10) == 0);
    CHECK_CHILD(child, 0);
    CHECK(write(s[0], "end", 3) == 3 && close(s[0]) == 0);
    CHECK(recv(s[1], buf, 10, MSG_WAITALL) == 3 && read(s[1], buf, 10) == 0 && recv(s[1], buf, 10, MSG_DONTWAIT) == 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(read(fd, buf, 1), EINVAL);
    CHECK_ERRNO(write(fd, buf, 1), ENOTCONN);
    struct sockaddr_un a;
    socklen_t len = at_name(&a, "none");
    CHECK_ERRNO(sendto(fd, buf, 1, 0, (void *)&a, len), EOPNOTSUPP);
    CHECK_ERRNO(getpeername(fd, (void *)&a, &len), ENOTCONN);
    pair_of(SOCK_STREAM, s);
    CHECK_ERRNO(sendto(s[0], buf, 1, 0, (void *)&a, len), EISCONN);
    CHECK_ERRNO(sendto(s[0], buf, 1, 0, (void *)&a, 1), EISCONN);
    CHECK_ERRNO(recv(s[0], buf, 1, MSG_OOB), EINVAL);
}

static void packets(void)
{
    for (int i = 1; i < 3; i++) {
        int s[2], n = -1;
        char buf[64];
        pair_of(types[i], s);
        CHECK(write(s[0], "first", 5) == 5 && write(s[0], "", 0) == 0 && send(s[0], "", 0, 0) == 0);
        CHECK(send(s[0], "third one", 9, MSG_EOR) == 9);
        CHECK(ioctl(s[1], FIONREAD, &n) == 0 && n == (types[i] == SOCK_DGRAM ? 5 : 14));
        CHECK(recv(s[1], buf, 2, MSG_PEEK | MSG_TRUNC) == 5 && recv(s[1], buf, 2, MSG_PEEK) == 2);
        struct iovec piece = {buf, 3};
        struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
        CHECK(recvmsg(s[1], &m, 0) == 3 && (m.msg_flags & MSG_TRUNC) && memcmp(buf, "fir", 3) == 0);
        CHECK(recv(s[1], buf, 8, 0) == 0 && recv(s[1], buf, 8, 0) == 0);
        CHECK(recv(s[1], buf, 4, MSG_TRUNC) == 9);
        CHECK_ERRNO(recv(s[1], buf, 4, MSG_DONTWAIT), EAGAIN);
        // A packet is sent whole, and it is not too long.
        static char large[2 * BUFFER];
        CHECK(send(s[0], large, 200000, MSG_DONTWAIT) == 200000);
        CHECK(recv(s[1], large, sizeof large, 0) == 200000);
        CHECK_ERRNO(send(s[0], large, BUFFER + 1, MSG_DONTWAIT), EMSGSIZE);
        CHECK_ERRNO(send(s[0], large, BUFFER, 0), EMSGSIZE);
        CHECK_ERRNO(recv(s[0], buf, 1, MSG_OOB), EOPNOTSUPP);
        CHECK_ERRNO(send(s[0], buf, 1, MSG_OOB), EOPNOTSUPP);
        // A reader of 0 bytes takes a packet by recv(2), none by read(2).
        CHECK(send(s[0], "gone", 4, 0) == 4 && read(s[1], buf, 0) == 0 && recv(s[1], buf, 0, 0) == 0);
        CHECK_ERRNO(recv(s[1], buf, 4, MSG_DONTWAIT), EAGAIN);
        struct mmsghdr many[3] = {0};
        struct iovec pieces[3] = {{"a", 1}, {"bc", 2}, {"def", 3}};
        for (int j = 0; j < 3; j++) {
            many[j].msg_hdr.msg_iov = &pieces[j];
            many[j].msg_hdr.msg_iovlen = 1;
        }
        CHECK(sendmmsg(s[0], many, 3, 0) == 3 && many[0].msg_len == 1 && many[2].msg_len == 3);
        char in[3][8];
        for (int j = 0; j < 3; j++)
            pieces[j] = (struct iovec){in[j], 8};
        struct mmsghdr more[3];
        memcpy(more, many, sizeof many);
        CHECK(recvmmsg(s[1], more, 2, 0, 0) == 2 && more[0].msg_len == 1 && more[1].msg_len == 2 && memcmp(in[1], "bc", 2) == 0);
        CHECK(recvmmsg(s[1], more, 3, MSG_WAITFORONE, 0) == 1 && more[0].msg_len == 3);
        CHECK_ERRNO(recvmmsg(s[1], more, 3, MSG_DONTWAIT, 0), EAGAIN);
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    char byte;
    CHECK_ERRNO(recv(fd, &byte, 1, 0), ENOTCONN);
    CHECK_ERRNO(send(fd, &byte, 1, 0), ENOTCONN);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_ERRNO(send(fd, &byte, 1, 0), ENOTCONN);
    CHECK_ERRNO(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

static int pipes_broken;
static void count_pipe(int number)
{
    (void)number;
    pipes_broken++;
}

static void ends(void)
{
    char buf[8];
    int s[2];
    signal(SIGPIPE, count_pipe);
    for (int i = 0; i < 2; i++) {
        pair_of(types[i], s);
        CHECK(events_of(s[0]) == (POLLOUT | POLLWRNORM));
        CHECK(write(s[1], "x", 1) == 1 && events_of(s[0]) == (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM));
        close(s[1]);
        CHECK(events_of(s[0]) == (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLRDHUP));
        CHECK(read(s[0], buf, 8) == 1 && read(s[0], buf, 8) == 0);
        pipes_broken = 0;
        CHECK_ERRNO(send(s[0], "y", 1, MSG_NOSIGNAL), EPIPE);
        CHECK(pipes_broken == 0);
        CHECK_ERRNO(write(s[0], "y", 1), EPIPE);
        CHECK(pipes_broken == (types[i] == SOCK_STREAM));
        close(s[0]);
        // What the other side has not read is lost, and it is told.
        pair_of(types[i], s);
        CHECK(write(s[0], "lost", 4) == 4 && close(s[1]) == 0 && (events_of(s[0]) & POLLERR));
        CHECK_ERRNO(recv(s[0], buf, 8, 0), ECONNRESET);
        CHECK(recv(s[0], buf, 8, 0) == 0);
        close(s[0]);
        pair_of(types[i], s);
        CHECK(write(s[0], "lost", 4) == 4 && close(s[1]) == 0 && option(s[0], SO_ERROR) == ECONNRESET && option(s[0], SO_ERROR) == 0);
        close(s[0]);
    }
    pair_of(SOCK_DGRAM, s);
    CHECK(write(s[1], "x", 1) == 1 && close(s[1]) == 0 && events_of(s[0]) == (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM));
    CHECK(read(s[0], buf, 8) == 1);
    CHECK_ERRNO(recv(s[0], buf, 8, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(write(s[0], "y", 1), ECONNREFUSED);
    CHECK_ERRNO(write(s[0], "y", 1), ENOTCONN);
    CHECK(pipes_broken == 0 || pipes_broken == 1);
}

static void shutdowns(void)
{
    char buf[8];
    int s[2];
    ignore_pipe();
    for (int i = 0; i < 2; i++) {
        pair_of(types[i], s);
        CHECK_ERRNO(shutdown(s[0], 3), EINVAL);
        CHECK_ERRNO(shutdown(s[0], -1), EINVAL);
        CHECK(write(s[0], "rest", 4) == 4 && shutdown(s[0], SHUT_WR) == 0);
        CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
        CHECK(events_of(s[1]) == (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP));
        CHECK(read(s[1], buf, 8) == 4 && read(s[1], buf, 8) == 0 && events_of(s[1]) == (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP));
        CHECK(write(s[1], "back", 4) == 4 && read(s[0], buf, 8) == 4);
        CHECK(shutdown(s[1], SHUT_WR) == 0 && (events_of(s[0]) & (POLLHUP | POLLRDHUP)) == (POLLHUP | POLLRDHUP) && read(s[0], buf, 8) == 0);
        close(s[0]);
        close(s[1]);
        pair_of(types[i], s);
        CHECK(write(s[1], "here", 4) == 4 && shutdown(s[0], SHUT_RD) == 0 && read(s[0], buf, 8) == 4 && read(s[0], buf, 8) == 0);
        CHECK_ERRNO(write(s[1], "x", 1), EPIPE);
        CHECK(write(s[0], "x", 1) == 1 && read(s[1], buf, 8) == 1);
        close(s[0]);
        close(s[1]);
    }
    pair_of(SOCK_DGRAM, s);
    CHECK(shutdown(s[0], SHUT_RD) == 0);
    CHECK_ERRNO(write(s[1], "x", 1), EPIPE);
    CHECK_ERRNO(recv(s[0], buf, 8, MSG_DONTWAIT), EAGAIN);
    CHECK(recv(s[0], buf, 8, 0) == 0 && write(s[0], "x", 1) == 1 && shutdown(s[0], SHUT_WR) == 0);
    CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
    // Who waits is woken.
    for (int i = 0; i < 3; i++) {
        pair_of(types[i], s);
        pid_t child = fork();
        if (child == 0) {
            CHECK(read(s[0], buf, 8) == 0);
            child_exit();
        }
        sleep_ms(20);
        CHECK(shutdown(s[0], SHUT_RD) == 0);
        CHECK_CHILD(child, 0);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(events_of(fd) == (POLLOUT | POLLWRNORM | POLLHUP) && shutdown(fd, SHUT_RD) == 0);
    fd = listener(SOCK_STREAM, "shut", 3);
    CHECK(events_of(fd) == 0 && shutdown(fd, SHUT_RD) == 0);
    CHECK_ERRNO(accept(fd, 0, 0), EINVAL);
    struct sockaddr_un a;
    socklen_t len = at_name(&a, "shut");
    int c = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(c, (void *)&a, len), ECONNREFUSED);
}

static const struct test tests[] = {
    {"creation", creation}, {"bad pointers", bad_pointers}, {"not sockets", not_sockets}, {"stream", stream},
    {"packets", packets},   {"ends", ends},                 {"shutdowns", shutdowns},
};

int main(int argc, char **argv) { return run_sockets(tests, sizeof tests / sizeof *tests, argc, argv); }
