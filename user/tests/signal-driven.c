// Signal-driven I/O: O_ASYNC, FIOASYNC, F_SETOWN, F_SETOWN_EX, F_SETSIG, and the same by ioctl.
#define _GNU_SOURCE
#include "table.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

// As the kernel has them; not every libc does.
enum { SET_SIGNAL = 10, GET_SIGNAL = 11, SET_OWNER_EX = 15, GET_OWNER_EX = 16, OF_THREAD = 0, OF_PROCESS = 1, OF_GROUP = 2 };
enum { SET_OWNER_BY_IOCTL = 0x8901, SET_GROUP_BY_IOCTL = 0x8902, GET_OWNER_BY_IOCTL = 0x8903, GET_GROUP_BY_IOCTL = 0x8904 };
enum { SOME_USER = 4242 };
struct owner_ex {
    int type;
    pid_t pid;
};

static sigset_t wanted;

// SIGIO and the first real-time signal wait until they are asked for.
static void keep_back(void)
{
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGIO);
    sigaddset(&wanted, SIGRTMIN);
    CHECK(sigprocmask(SIG_BLOCK, &wanted, 0) == 0);
}

// The next signal within the time, or 0.
static int next(siginfo_t *info, int ms)
{
    struct timespec limit = {ms / 1000, ms % 1000 * 1000000L};
    int number = sigtimedwait(&wanted, info, &limit);
    return number < 0 ? 0 : number;
}

// No signal waits, nor comes soon.
static int quiet(void)
{
    siginfo_t info;
    return next(&info, 30) == 0;
}

static void swallow(void)
{
    siginfo_t info;
    while (next(&info, 30) != 0)
        ;
}

static int set_async(int fd, int on)
{
    int flags = fcntl(fd, F_GETFL);
    return fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC);
}

// Nobody is told who was not named; who is named is told of what comes, until it is switched off.
static void pipes(void)
{
    int p[2];
    siginfo_t info;
    char buf[16];
    keep_back();
    CHECK(pipe(p) == 0 && fcntl(p[0], F_GETOWN) == 0 && fcntl(p[0], GET_SIGNAL) == 0);
    CHECK(set_async(p[0], 1) == 0 && (fcntl(p[0], F_GETFL) & O_ASYNC));
    CHECK(write(p[1], "a", 1) == 1 && quiet() && read(p[0], buf, 16) == 1);
    CHECK(fcntl(p[0], F_SETOWN, getpid()) == 0 && fcntl(p[0], F_GETOWN) == getpid());
    CHECK(write(p[1], "b", 1) == 1 && next(&info, 5000) == SIGIO && info.si_code == SI_KERNEL);
    CHECK(read(p[0], buf, 16) == 1 && quiet());
    // Also what comes while there is something.
    CHECK(write(p[1], "c", 1) == 1 && next(&info, 5000) == SIGIO);
    CHECK(write(p[1], "d", 1) == 1 && next(&info, 5000) == SIGIO);
    CHECK(set_async(p[0], 0) == 0 && !(fcntl(p[0], F_GETFL) & O_ASYNC));
    CHECK(write(p[1], "e", 1) == 1 && quiet());
    // Room for who writes.
    CHECK(fcntl(p[1], F_SETOWN, getpid()) == 0 && fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
    // Each time that it has been full, whatever it was when that was asked for.
    static char much[65536];
    CHECK(set_async(p[1], 1) == 0);
    for (int round = 0; round < 3; round++) {
        while (write(p[1], much, sizeof much) > 0 || write(p[1], much, 1) > 0)
            ;
        swallow();
        while (poll(&(struct pollfd){p[0], POLLIN, 0}, 1, 0) == 1 && read(p[0], much, sizeof much) > 0)
            ;
        CHECK(next(&info, 5000) == SIGIO);
    }
    swallow();
    CHECK(close(p[0]) == 0 && next(&info, 5000) == SIGIO);
    swallow();
    close(p[1]);
    // The end of the last file ends it.
    CHECK(quiet());
}

// A signal of one's own choice says what has happened to which descriptor.
static void particulars(void)
{
    int s[2];
    siginfo_t info;
    char buf[16];
    keep_back();
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK(fcntl(s[0], F_SETOWN, getpid()) == 0 && fcntl(s[0], SET_SIGNAL, SIGRTMIN) == 0 && fcntl(s[0], GET_SIGNAL) == SIGRTMIN);
    CHECK(set_async(s[0], 1) == 0);
    CHECK(write(s[1], "x", 1) == 1 && next(&info, 5000) == SIGRTMIN);
    CHECK(info.si_code == POLL_IN && info.si_fd == s[0] && (info.si_band & POLLIN) && (info.si_band & POLLRDNORM));
    swallow();
    CHECK(read(s[0], buf, 16) == 1);
    // Back to the one without particulars.
    CHECK(fcntl(s[0], SET_SIGNAL, 0) == 0 && write(s[1], "x", 1) == 1 && next(&info, 5000) == SIGIO && info.si_code == SI_KERNEL);
    swallow();
    CHECK_ERRNO(fcntl(s[0], SET_SIGNAL, 65), EINVAL);
    CHECK_ERRNO(fcntl(s[0], SET_SIGNAL, -1), EINVAL);
    CHECK(close(s[1]) == 0 && next(&info, 5000) == SIGIO);
    close(s[0]);
}

// By requests of ioctl, which sockets have; a listener and its connections.
static void sockets(void)
{
    struct sockaddr_in at = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
    socklen_t size = sizeof at;
    siginfo_t info;
    int on = 1, off = 0, owner = getpid(), got = -1;
    keep_back();
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(l, (void *)&at, size) == 0 && listen(l, 5) == 0 && getsockname(l, (void *)&at, &size) == 0);
    CHECK(ioctl(l, SET_OWNER_BY_IOCTL, &owner) == 0 && ioctl(l, GET_OWNER_BY_IOCTL, &got) == 0 && got == owner);
    CHECK(ioctl(l, FIOASYNC, &on) == 0 && (fcntl(l, F_GETFL) & O_ASYNC));
    CHECK(connect(c, (void *)&at, size) == 0 && next(&info, 5000) == SIGIO);
    int s = accept(l, 0, 0);
    CHECK(s >= 0 && fcntl(s, F_GETOWN) == 0 && !(fcntl(s, F_GETFL) & O_ASYNC));
    CHECK(ioctl(s, SET_GROUP_BY_IOCTL, &owner) == 0 && ioctl(s, GET_GROUP_BY_IOCTL, &got) == 0 && got == owner);
    CHECK(ioctl(s, FIOASYNC, &on) == 0);
    swallow();
    CHECK(write(c, "x", 1) == 1 && next(&info, 5000) == SIGIO);
    swallow();
    CHECK(ioctl(s, FIOASYNC, &off) == 0 && write(c, "y", 1) == 1 && quiet());
    CHECK_ERRNO(ioctl(s, FIOASYNC, bad_addresses[2]), EFAULT);
    CHECK_ERRNO(ioctl(s, SET_OWNER_BY_IOCTL, bad_addresses[2]), EFAULT);
    close(s);
    close(c);
    close(l);
}

// A terminal tells of a line.
static void terminals(void)
{
    int master, slave;
    siginfo_t info;
    keep_back();
    CHECK(openpty(&master, &slave, 0, 0, 0) == 0);
    CHECK(fcntl(slave, F_SETOWN, getpid()) == 0 && set_async(slave, 1) == 0);
    CHECK(write(master, "line\n", 5) == 5 && next(&info, 5000) == SIGIO);
    close(slave);
    close(master);
}

static void child(int ready, int result)
{
    siginfo_t info;
    char byte = 'r';
    write(ready, &byte, 1);
    byte = next(&info, 3000) == SIGIO ? 'y' : 'n';
    write(result, &byte, 1);
    _exit(0);
}

// A group is told, a thread, and nobody whom the one that named them could not send a signal to.
static void owners(void)
{
    int p[2], ready[2], result[2];
    siginfo_t info;
    char buf[4];
    struct owner_ex ex = {OF_THREAD, (pid_t)syscall(SYS_gettid)}, got = {-1, -1};
    keep_back();
    CHECK(pipe(p) == 0 && pipe(ready) == 0 && pipe(result) == 0);
    CHECK(fcntl(p[0], GET_OWNER_EX, &got) == 0 && got.pid == 0);
    CHECK(fcntl(p[0], SET_OWNER_EX, &ex) == 0 && fcntl(p[0], GET_OWNER_EX, &got) == 0 && got.type == ex.type && got.pid == ex.pid);
    CHECK(set_async(p[0], 1) == 0 && write(p[1], "x", 1) == 1 && next(&info, 5000) == SIGIO);
    ex = (struct owner_ex){OF_PROCESS, getpid()};
    CHECK(fcntl(p[0], SET_OWNER_EX, &ex) == 0 && fcntl(p[0], F_GETOWN) == getpid());
    ex.type = 3;
    CHECK_ERRNO(fcntl(p[0], SET_OWNER_EX, &ex), EINVAL);
    CHECK_ERRNO(fcntl(p[0], SET_OWNER_EX, bad_addresses[2]), EFAULT);
    CHECK_ERRNO(fcntl(p[0], GET_OWNER_EX, bad_addresses[2]), EFAULT);
    CHECK_ERRNO(fcntl(p[0], F_SETOWN, 0x3fffffff), ESRCH);
    CHECK_ERRNO(fcntl(p[0], F_SETOWN, -0x3fffffff), ESRCH);
    CHECK_ERRNO(fcntl(p[0], F_SETOWN, (int)0x80000000), EINVAL);
    CHECK(fcntl(p[0], F_GETOWN) == getpid());
    // The owner is the file's, whoever has it; a group's number is negative.
    pid_t group = 0;
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child(ready[1], result[1]);
        if (group == 0)
            group = pid;
        CHECK(setpgid(pid, group) == 0 && read(ready[0], buf, 1) == 1);
    }
    CHECK(syscall(SYS_fcntl, p[0], F_SETOWN, -group) == 0);
    ex = (struct owner_ex){-1, -1};
    CHECK(fcntl(p[0], GET_OWNER_EX, &ex) == 0 && ex.type == OF_GROUP && ex.pid == group);
    CHECK(write(p[1], "x", 1) == 1);
    for (int i = 0; i < 2; i++)
        CHECK(read(result[0], buf, 1) == 1 && buf[0] == 'y' && wait(0) > 0);
    CHECK(quiet());
    // Not told: a process of root's, by a user that is nobody special.
    if (geteuid() == 0) {
        pid_t pid = fork();
        if (pid == 0)
            child(ready[1], result[1]);
        CHECK(read(ready[0], buf, 1) == 1);
        pid_t other = fork();
        if (other == 0) {
            CHECK(setresuid(SOME_USER, SOME_USER, SOME_USER) == 0);
            CHECK(fcntl(p[0], F_SETOWN, pid) == 0 && write(p[1], "x", 1) == 1);
            _exit(checks_failed != 0);
        }
        int status;
        CHECK(waitpid(other, &status, 0) == other && status == 0);
        CHECK(read(result[0], buf, 1) == 1 && buf[0] == 'n' && wait(0) == pid);
    }
}

// A regular file is always ready, and tells nothing.
static void files(void)
{
    int on = 1, fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0)
        fd = open("/tmp/signal-driven", O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0);
    keep_back();
    CHECK_ERRNO(ioctl(fd, FIOASYNC, &on), ENOTTY);
    CHECK(fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_GETOWN) == getpid());
    CHECK(set_async(fd, 1) == 0 && write(fd, "x", 1) == 1 && quiet());
    int place = open("/", O_PATH);
    CHECK_ERRNO(fcntl(place, F_SETOWN, getpid()), EBADF);
    CHECK_ERRNO(fcntl(place, F_GETOWN), EBADF);
    CHECK_ERRNO(ioctl(place, FIOASYNC, &on), EBADF);
    close(place);
    close(fd);
}

// Many files, much coming and going on several CPUs: each is told of at last.
static void many(void)
{
    enum { PIPES = 64 };
    static int p[PIPES][2];
    static unsigned char seen[1024];
    siginfo_t info;
    keep_back();
    for (int i = 0; i < PIPES; i++) {
        CHECK(pipe(p[i]) == 0 && fcntl(p[i][0], F_SETOWN, getpid()) == 0);
        CHECK(fcntl(p[i][0], SET_SIGNAL, SIGRTMIN) == 0 && set_async(p[i][0], 1) == 0);
    }
    pid_t closer = fork();
    if (closer == 0) {
        for (int i = 0; i < 500; i++) {
            int q[2];
            if (pipe(q) == 0) {
                fcntl(q[0], F_SETOWN, getpid());
                set_async(q[0], 1);
                close(q[0]);
                close(q[1]);
            }
        }
        _exit(0);
    }
    pid_t writer = fork();
    if (writer == 0) {
        for (int i = 0; i < PIPES; i++)
            write(p[i][1], "x", 1);
        _exit(0);
    }
    for (int left = PIPES; left > 0;) {
        int number = next(&info, 5000);
        if (number == 0)
            break;
        if (number == SIGRTMIN && info.si_fd > 0 && info.si_fd < 1024 && !seen[info.si_fd]) {
            seen[info.si_fd] = 1;
            left--;
        }
    }
    for (int i = 0; i < PIPES; i++)
        CHECK(seen[p[i][0]]);
    while (wait(0) > 0)
        ;
}

static const struct test tests[] = {
    {"pipes", pipes},
    {"particulars", particulars},
    {"sockets", sockets},
    {"terminals", terminals},
    {"owners", owners},
    {"files", files},
    {"many", many},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
