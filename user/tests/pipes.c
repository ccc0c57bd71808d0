// Pipes: what fits, who is told, and what is left when an end has gone. Run on Linux too, which is the oracle.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, CAPACITY = 65536 };

static const uintptr_t bad[] = {0, 1, 0x1000, 0x0000800000000000, 0xffff800000100000, 0xffffffff80100000, UINTPTR_MAX};

static void bad_pointers(void)
{
    int p[2];
    CHECK(pipe(p) == 0);
    CHECK(write(p[1], "data", 4) == 4);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *at = (void *)bad[i];
        CHECK_ERRNO(syscall(SYS_pipe, at), EFAULT);
        CHECK_ERRNO(syscall(SYS_pipe2, at, O_CLOEXEC), EFAULT);
        CHECK_ERRNO(syscall(SYS_read, p[0], at, 4), EFAULT);
        CHECK_ERRNO(syscall(SYS_write, p[1], at, 4), EFAULT);
        CHECK_ERRNO(syscall(SYS_ioctl, p[0], FIONREAD, at), EFAULT);
    }
    // Nothing was lost by that, and no descriptor.
    char buf[8];
    CHECK(read(p[0], buf, sizeof buf) == 4 && memcmp(buf, "data", 4) == 0);
    int next = dup(p[0]);
    CHECK(next == p[1] + 1);
    close(next);
    // Of a write that crosses into a missing page what is there may go in, no more.
    char *two = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(two + PAGE, PAGE) == 0);
    long got = write(p[1], two + PAGE - 4, 8);
    CHECK(got == 4 || (got == -1 && errno == EFAULT));
    close(p[0]);
    close(p[1]);
    CHECK_ERRNO(syscall(SYS_pipe2, 1, 0x40), EINVAL);
}

static void bytes_through(void)
{
    int p[2], queued = -1;
    char buf[16];
    struct stat info;
    CHECK(pipe(p) == 0 && p[1] == p[0] + 1);
    CHECK(fcntl(p[0], F_GETFL) == O_RDONLY && fcntl(p[1], F_GETFL) == O_WRONLY);
    CHECK(fcntl(p[0], F_GETFD) == 0);
    CHECK(fstat(p[0], &info) == 0 && S_ISFIFO(info.st_mode) && info.st_size == 0);
    struct stat other;
    CHECK(fstat(p[1], &other) == 0 && other.st_ino == info.st_ino && other.st_dev == info.st_dev);
    CHECK(write(p[1], "hello ", 6) == 6 && write(p[1], "there", 5) == 5);
    CHECK(ioctl(p[0], FIONREAD, &queued) == 0 && queued == 11);
    CHECK(ioctl(p[1], FIONREAD, &queued) == 0 && queued == 11);
    CHECK(read(p[0], buf, 8) == 8 && memcmp(buf, "hello th", 8) == 0);
    CHECK(read(p[0], buf, 0) == 0);
    CHECK(read(p[0], buf, sizeof buf) == 3 && memcmp(buf, "ere", 3) == 0);
    CHECK(write(p[1], buf, 0) == 0);
    CHECK(ioctl(p[0], FIONREAD, &queued) == 0 && queued == 0);

    struct iovec out[3] = {{"one", 3}, {"", 0}, {" two", 4}}, in[2] = {{buf, 2}, {buf + 2, 10}};
    CHECK(writev(p[1], out, 3) == 7 && readv(p[0], in, 2) == 7 && memcmp(buf, "one two", 7) == 0);

    CHECK_ERRNO(read(p[1], buf, 1), EBADF);
    CHECK_ERRNO(write(p[0], buf, 1), EBADF);
    CHECK_ERRNO(lseek(p[0], 0, SEEK_SET), ESPIPE);
    CHECK_ERRNO(pread(p[0], buf, 1, 0), ESPIPE);
    CHECK_ERRNO(pwrite(p[1], buf, 1, 0), ESPIPE);
    CHECK_ERRNO(fsync(p[1]), EINVAL);
    CHECK(posix_fadvise(p[0], 0, 0, POSIX_FADV_NORMAL) == ESPIPE);

    // What was written before the writer went is still read; then comes the end, again and again.
    CHECK(write(p[1], "rest", 4) == 4 && close(p[1]) == 0);
    CHECK(read(p[0], buf, sizeof buf) == 4);
    CHECK(read(p[0], buf, sizeof buf) == 0 && read(p[0], buf, sizeof buf) == 0);
    CHECK(close(p[0]) == 0);
}

static void without_waiting(void)
{
    int p[2];
    char *big = calloc(1, 2 * CAPACITY), buf[PAGE];
    CHECK(pipe2(p, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK(fcntl(p[0], F_GETFD) == FD_CLOEXEC && fcntl(p[1], F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(p[0], F_GETFL) == (O_RDONLY | O_NONBLOCK) && fcntl(p[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
    CHECK_ERRNO(read(p[0], buf, 1), EAGAIN);
    CHECK(write(p[1], big, 2 * CAPACITY) == CAPACITY);
    CHECK_ERRNO(write(p[1], big, 1), EAGAIN);
    CHECK_ERRNO(write(p[1], big, 2 * PAGE), EAGAIN);
    CHECK(read(p[0], buf, PAGE) == PAGE);
    // PIPE_BUF bytes fit whole or not at all; more may go in parts.
    CHECK(write(p[1], big, PIPE_BUF) == PIPE_BUF);
    CHECK_ERRNO(write(p[1], big, PIPE_BUF), EAGAIN);
    CHECK(read(p[0], buf, PAGE) == PAGE);
    CHECK(write(p[1], big, PIPE_BUF + 1) == PIPE_BUF);
    size_t total = 0;
    for (long got; (got = read(p[0], big, 2 * CAPACITY)) > 0;)
        total += got;
    CHECK(total == CAPACITY);
    close(p[0]);
    close(p[1]);
    free(big);
}

static void sizes(void)
{
    int p[2];
    char *big = calloc(1, 4 * CAPACITY);
    CHECK(pipe2(p, O_NONBLOCK) == 0);
    CHECK(fcntl(p[0], F_GETPIPE_SZ) == CAPACITY && fcntl(p[1], F_GETPIPE_SZ) == CAPACITY);
    CHECK(fcntl(p[1], F_SETPIPE_SZ, 100000) == 131072 && fcntl(p[0], F_GETPIPE_SZ) == 131072);
    for (int i = 0; i < 131072; i++)
        big[i] = (char)(i / 7);
    CHECK(write(p[1], big, 4 * CAPACITY) == 131072);
    CHECK_ERRNO(fcntl(p[1], F_SETPIPE_SZ, CAPACITY), EBUSY);
    char *back = calloc(1, 4 * CAPACITY);
    CHECK(read(p[0], back, 131072 - 5000) == 131072 - 5000);
    CHECK(fcntl(p[1], F_SETPIPE_SZ, 8192) == 8192);
    CHECK(read(p[0], back + 131072 - 5000, CAPACITY) == 5000 && memcmp(big, back, 131072) == 0);
    CHECK(fcntl(p[1], F_SETPIPE_SZ, 0) == PAGE);
    CHECK_ERRNO(fcntl(p[1], F_SETPIPE_SZ, 0x80000001u), EINVAL);
    int zero = open("/dev/zero", O_RDONLY);
    CHECK_ERRNO(fcntl(zero, F_GETPIPE_SZ), EBADF);
    close(zero);
    free(big);
    free(back);
    close(p[0]);
    close(p[1]);
}

static short events_of(int fd, short asked)
{
    struct pollfd one = {fd, asked, -1};
    CHECK(poll(&one, 1, 0) == (one.revents != 0));
    return one.revents;
}

static void readiness(void)
{
    int p[2];
    static char big[CAPACITY];
    const short all = POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM;
    CHECK(pipe2(p, O_NONBLOCK) == 0);
    CHECK(events_of(p[0], all) == 0);
    CHECK(events_of(p[1], all) == (POLLOUT | POLLWRNORM));
    CHECK(write(p[1], big, CAPACITY) == CAPACITY);
    CHECK(events_of(p[0], all) == (POLLIN | POLLRDNORM) && events_of(p[1], all) == 0);
    CHECK(read(p[0], big, PAGE - 1) == PAGE - 1);
    CHECK(events_of(p[1], all) == 0);
    CHECK(read(p[0], big, 1) == 1);
    CHECK(events_of(p[1], all) == (POLLOUT | POLLWRNORM));
    close(p[1]);
    CHECK(events_of(p[0], all) == (POLLIN | POLLRDNORM | POLLHUP));
    while (read(p[0], big, sizeof big) > 0)
        ;
    CHECK(events_of(p[0], 0) == POLLHUP);
    close(p[0]);
    CHECK(pipe(p) == 0);
    close(p[0]);
    CHECK(events_of(p[1], all) == (POLLOUT | POLLWRNORM | POLLERR));
    close(p[1]);
}

// The signal is passed over here; that it kills otherwise is for tests with processes.
static void broken(void)
{
    int p[2];
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK(pipe(p) == 0 && close(p[0]) == 0);
    CHECK_ERRNO(write(p[1], "x", 1), EPIPE);
    CHECK(write(p[1], "x", 0) == 0);
    close(p[1]);
}

// Descriptors of one end are one end: it has gone when the last is closed.
static void duplicates(void)
{
    int p[2];
    char c;
    CHECK(pipe2(p, O_NONBLOCK) == 0);
    int second = dup(p[1]);
    close(p[1]);
    CHECK_ERRNO(read(p[0], &c, 1), EAGAIN);
    CHECK(write(second, "y", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'y');
    close(second);
    CHECK(read(p[0], &c, 1) == 0);
    close(p[0]);
    int fds[64], count = 0;
    for (; count < 64 && pipe(p) == 0; count += 2)
        memcpy(fds + count, p, sizeof p);
    CHECK(count == 64);
    while (count > 0)
        close(fds[--count]);
}

// Both sides of a FIFO find each other in each round, also where one is gone as soon as it has been found.
static void partners(const char *directory)
{
    enum { ROUNDS = 400 };
    char path[PATH_MAX], c, buf[8];
    int go[2], done[2];
    snprintf(path, sizeof path, "%s/fifo-%d", directory, (int)getpid());
    CHECK(mkfifo(path, 0600) == 0);
    for (int writes = 0; writes < 2; writes++) {
        CHECK(pipe(go) == 0 && pipe(done) == 0);
        pid_t child = fork();
        if (child == 0) {
            close(go[1]);
            while (read(go[0], &c, 1) == 1) {
                int fd = open(path, writes ? O_RDONLY : O_WRONLY);
                if (!writes && write(fd, "x", 1) != 1)
                    _exit(1);
                close(fd);
                write(done[1], "d", 1);
            }
            _exit(0);
        }
        int right = 0;
        for (int round = 0; round < ROUNDS; round++) {
            write(go[1], "g", 1);
            for (volatile int i = 0; i < round % 32 * 30; i++)
                ;
            int fd = open(path, writes ? O_WRONLY : O_RDONLY);
            struct pollfd one = {fd, POLLIN, 0};
            if (writes)
                right += fd >= 0;
            else
                right += read(fd, buf, sizeof buf) == 1 && read(fd, buf, 1) == 0 && poll(&one, 1, 0) == 1 && one.revents == POLLHUP;
            close(fd);
            right -= read(done[0], &c, 1) != 1;
        }
        CHECK(right == ROUNDS);
        close(go[0]);
        close(go[1]);
        close(done[0]);
        close(done[1]);
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    CHECK(unlink(path) == 0);
}

int main(void)
{
    partners(access("/tmp", W_OK) == 0 ? "/tmp" : "/dev");
    bad_pointers();
    bytes_through();
    without_waiting();
    sizes();
    readiness();
    broken();
    duplicates();
    return check_result();
}
