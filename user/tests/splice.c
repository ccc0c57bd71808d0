// Moving bytes between pipes and files: splice(2), tee(2), vmsplice(2).
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { KB = 1024, PIPE_BYTES = 64 * KB };

static int file_with(const char *text)
{
    int fd = memfd_create("file", 0);
    CHECK(fd >= 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
    return fd;
}

static void make_pipe(int ends[2]) { CHECK(pipe(ends) == 0); }

// What the pipe gives by one read is this.
static int gives(int fd, const char *text)
{
    char got[256];
    ssize_t len = read(fd, got, sizeof got);
    return len == (ssize_t)strlen(text) && memcmp(got, text, len) == 0;
}

static void put(int fd, const char *text) { CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text)); }

static void close_pipe(int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static int is_empty(int fd)
{
    struct pollfd look = {fd, POLLIN, 0};
    return poll(&look, 1, 0) == 0;
}

static void fill(int fd)
{
    static char bytes[PIPE_BYTES];
    CHECK(write(fd, bytes, sizeof bytes) == sizeof bytes);
}

static void arguments(void)
{
    int a[2], b[2], file = file_with("hello"), other = file_with("");
    off_t zero = 0, negative = -1;
    make_pipe(a);
    make_pipe(b);
    put(a[1], "abc");
    // Nothing is looked at before the length, and the flags come before the descriptors.
    CHECK(splice(-1, 0, -1, 0, 0, 0) == 0 && tee(-1, -1, 0, 0) == 0);
    CHECK_ERRNO(splice(-1, 0, -1, 0, 1, 16), EINVAL);
    CHECK_ERRNO(tee(-1, -1, 0, 16), EINVAL);
    CHECK_ERRNO(vmsplice(-1, 0, 0, 16), EINVAL);
    CHECK_ERRNO(splice(-1, 0, b[1], 0, 1, 0), EBADF);
    CHECK_ERRNO(splice(a[0], 0, -1, 0, 1, 0), EBADF);
    CHECK_ERRNO(tee(-1, b[1], 1, 0), EBADF);
    CHECK_ERRNO(vmsplice(-1, 0, 0, 0), EBADF);
    // The wrong ends.
    CHECK_ERRNO(splice(a[1], 0, b[1], 0, 1, 0), EBADF);
    CHECK_ERRNO(splice(a[0], 0, b[0], 0, 1, 0), EBADF);
    CHECK_ERRNO(tee(a[0], b[0], 1, 0), EBADF);
    int path = open("/proc/self/exe", O_PATH), reader = open("/proc/self/exe", O_RDONLY);
    CHECK_ERRNO(splice(path, 0, b[1], 0, 1, 0), EBADF);
    CHECK_ERRNO(splice(a[0], 0, reader, 0, 1, 0), EBADF);
    // No pipe at all, a pipe into itself, offsets in pipes, offsets that cannot be.
    CHECK_ERRNO(splice(file, 0, other, 0, 1, 0), EINVAL);
    CHECK_ERRNO(splice(a[0], 0, a[1], 0, 1, 0), EINVAL);
    CHECK_ERRNO(tee(a[0], a[1], 1, 0), EINVAL);
    CHECK_ERRNO(tee(file, b[1], 1, 0), EINVAL);
    CHECK_ERRNO(tee(a[0], file, 1, 0), EINVAL);
    CHECK_ERRNO(splice(a[0], &zero, b[1], 0, 1, 0), ESPIPE);
    CHECK_ERRNO(splice(a[0], 0, b[1], &zero, 1, 0), ESPIPE);
    CHECK_ERRNO(splice(a[0], &zero, file, 0, 1, 0), ESPIPE);
    CHECK_ERRNO(splice(file, 0, b[1], &zero, 1, 0), ESPIPE);
    CHECK_ERRNO(splice(file, &negative, b[1], 0, 1, 0), EINVAL);
    CHECK_ERRNO(splice(a[0], 0, file, &negative, 1, 0), EINVAL);
    int directory = open("/", O_RDONLY | O_DIRECTORY);
    CHECK_ERRNO(splice(directory, 0, b[1], 0, 1, 0), EINVAL);
    struct iovec part = {"x", 1};
    CHECK_ERRNO(vmsplice(file, &part, 1, 0), EBADF);
    CHECK_ERRNO(vmsplice(b[1], &part, 1025, 0), EINVAL);
    CHECK(vmsplice(b[1], &part, 0, 0) == 0);
    CHECK(fcntl(file, F_SETFL, O_APPEND) == 0);
    CHECK_ERRNO(splice(a[0], 0, file, 0, 1, 0), EINVAL);
    CHECK(gives(a[0], "abc") && is_empty(b[0]));
}

static void files(void)
{
    int a[2], file = file_with("0123456789"), other = file_with("..........");
    off_t at = 2;
    make_pipe(a);
    // With an offset the position stays, without one it moves.
    CHECK(splice(file, &at, a[1], 0, 3, 0) == 3 && at == 5 && lseek(file, 0, SEEK_CUR) == 0);
    CHECK(gives(a[0], "234"));
    CHECK(splice(file, 0, a[1], 0, 4, SPLICE_F_MOVE | SPLICE_F_MORE | SPLICE_F_GIFT) == 4 && lseek(file, 0, SEEK_CUR) == 4);
    CHECK(splice(file, 0, a[1], 0, 100, 0) == 6 && splice(file, 0, a[1], 0, 100, 0) == 0);
    at = 1000;
    CHECK(splice(file, &at, a[1], 0, 1, 0) == 0 && at == 1000);
    at = 3;
    CHECK(splice(a[0], 0, other, &at, 2, 0) == 2 && at == 5 && lseek(other, 0, SEEK_CUR) == 0);
    CHECK(splice(a[0], 0, other, 0, 3, 0) == 3 && lseek(other, 0, SEEK_CUR) == 3);
    char text[16] = "";
    CHECK(pread(other, text, 15, 0) == 10 && strcmp(text, "23401.....") == 0);
    // What a file does not take stays in the pipe.
    CHECK(fcntl(other, F_ADD_SEALS, F_SEAL_WRITE) == -1);
    int sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
    CHECK(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    CHECK_ERRNO(splice(a[0], 0, sealed, 0, 5, 0), EPERM);
    CHECK(gives(a[0], "56789"));
    int null = open("/dev/null", O_WRONLY);
    put(a[1], "gone");
    CHECK(splice(a[0], 0, null, 0, 100, 0) == 4 && is_empty(a[0]));
}

static void pipes(void)
{
    int a[2], b[2];
    make_pipe(a);
    make_pipe(b);
    put(a[1], "abcdef");
    CHECK(splice(a[0], 0, b[1], 0, 4, 0) == 4 && gives(b[0], "abcd"));
    CHECK(splice(a[0], 0, b[1], 0, 100, 0) == 2 && gives(b[0], "ef"));
    put(a[1], "xyz");
    CHECK(tee(a[0], b[1], 2, 0) == 2 && gives(b[0], "xy"));
    CHECK(tee(a[0], b[1], 100, 0) == 3 && gives(b[0], "xyz") && gives(a[0], "xyz"));
    // Nothing there, no room.
    CHECK_ERRNO(splice(a[0], 0, b[1], 0, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_ERRNO(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK(fcntl(a[0], F_SETFL, O_NONBLOCK) == 0);
    CHECK_ERRNO(splice(a[0], 0, b[1], 0, 1, 0), EAGAIN);
    put(a[1], "1");
    fill(b[1]);
    CHECK_ERRNO(splice(a[0], 0, b[1], 0, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK_ERRNO(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
    int file = file_with("file");
    CHECK_ERRNO(splice(file, 0, b[1], 0, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK(fcntl(b[1], F_SETFL, O_NONBLOCK) == 0);
    CHECK_ERRNO(splice(file, 0, b[1], 0, 1, 0), EAGAIN);
    CHECK(lseek(file, 0, SEEK_CUR) == 0 && gives(a[0], "1"));
    // The end.
    close(a[1]);
    make_pipe(b);
    CHECK(splice(a[0], 0, b[1], 0, 1, SPLICE_F_NONBLOCK) == 0 && splice(a[0], 0, file, 0, 1, 0) == 0);
    CHECK(tee(a[0], b[1], 1, 0) == 0);
}

static void broken(void)
{
    int a[2], b[2], file = file_with("file");
    struct iovec part = {"x", 1};
    make_pipe(a);
    make_pipe(b);
    put(a[1], "abc");
    close(b[0]);
    fflush(stdout);
    for (int which = 0; which < 4; which++) {
        for (int deadly = 0; deadly < 2; deadly++) {
            pid_t pid = fork();
            if (pid == 0) {
                signal(SIGPIPE, deadly ? SIG_DFL : SIG_IGN);
                long result = which == 0   ? splice(a[0], 0, b[1], 0, 1, 0)
                              : which == 1 ? splice(file, 0, b[1], 0, 1, 0)
                              : which == 2 ? tee(a[0], b[1], 1, 0)
                                           : vmsplice(b[1], &part, 1, 0);
                CHECK(result == -1 && errno == EPIPE);
                child_exit();
            }
            CHECK_CHILD(pid, deadly ? SIGPIPE : 0);
        }
    }
    CHECK(gives(a[0], "abc") && lseek(file, 0, SEEK_CUR) == 0);
}

static void memory(void)
{
    int a[2];
    char one[4] = "", two[8] = "";
    struct iovec out[2] = {{"abc", 3}, {"defg", 4}}, in[2] = {{one, 3}, {two, 7}};
    make_pipe(a);
    CHECK(vmsplice(a[1], out, 2, 0) == 7 && gives(a[0], "abcdefg"));
    CHECK(vmsplice(a[1], out, 2, SPLICE_F_GIFT) == 7 && vmsplice(a[0], in, 2, 0) == 7);
    CHECK(strcmp(one, "abc") == 0 && strcmp(two, "defg") == 0);
    CHECK_ERRNO(vmsplice(a[0], in, 2, SPLICE_F_NONBLOCK), EAGAIN);
    static char bytes[2 * PIPE_BYTES] __attribute__((aligned(TEST_PAGE)));
    struct iovec big = {bytes, sizeof bytes};
    // As much as there is room for; then there is none.
    CHECK(vmsplice(a[1], &big, 1, 0) == PIPE_BYTES);
    CHECK_ERRNO(vmsplice(a[1], &big, 1, SPLICE_F_NONBLOCK), EAGAIN);
    CHECK(vmsplice(a[0], &big, 1, 0) == PIPE_BYTES);
    struct iovec bad = {(void *)8, 4};
    CHECK_ERRNO(vmsplice(a[1], &bad, 1, 0), EFAULT);
    close(a[1]);
    CHECK(vmsplice(a[0], &big, 1, 0) == 0);
}

static void connect_tcp(int pair[2])
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (void *)&name, size) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (void *)&name, &size) == 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(pair[0], (void *)&name, size) == 0);
    pair[1] = accept(listener, 0, 0);
    CHECK(pair[1] >= 0);
    close(listener);
}

static void sockets(void)
{
    for (int family = 0; family < 2; family++) {
        int a[2], pair[2];
        off_t zero = 0;
        make_pipe(a);
        if (family == 0)
            CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        else
            connect_tcp(pair);
        put(a[1], "to a socket");
        CHECK(splice(a[0], 0, pair[0], 0, 100, SPLICE_F_MORE) == 11);
        CHECK(splice(pair[1], 0, a[1], 0, 100, 0) == 11 && gives(a[0], "to a socket"));
        CHECK(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
        CHECK_ERRNO(splice(pair[1], 0, a[1], 0, 100, SPLICE_F_NONBLOCK), EAGAIN);
        put(a[1], "x");
        CHECK_ERRNO(splice(a[0], 0, pair[0], &zero, 1, 0), EINVAL);
        CHECK_ERRNO(splice(pair[1], &zero, a[1], 0, 1, 0), EINVAL);
        // What nobody reads any more.
        close(pair[0]);
        CHECK(splice(pair[1], 0, a[1], 0, 100, 0) == 0);
        CHECK(gives(a[0], "x"));
        close(pair[1]);
        close_pipe(a);
    }
    int a[2], pair[2];
    make_pipe(a);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && close(pair[1]) == 0);
    put(a[1], "kept");
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERRNO(splice(a[0], 0, pair[0], 0, 4, 0), EPIPE);
    CHECK_ERRNO(splice(a[0], 0, pair[0], 0, 4, 0), EPIPE);
}

static void nothing(int signal) { (void)signal; }

// A call that waits goes on when the other side comes, and a signal ends the waiting.
static void waiting(void)
{
    int a[2], b[2], file = file_with("file");
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGUSR1, &action, 0);
    for (int which = 0; which < 6; which++) {
        for (int how = 0; how < 2; how++) {
            char byte = 0;
            struct iovec in = {&byte, 1}, out = {"x", 1};
            make_pipe(a);
            make_pipe(b);
            if (which > 2)
                fill(b[1]);
            fflush(stdout);
            pid_t parent = getpid(), pid = fork();
            if (pid == 0) {
                sleep_ms(50);
                static char room[PIPE_BYTES];
                if (how == 1)
                    kill(parent, SIGUSR1);
                else if (which <= 2)
                    put(a[1], "x");
                else
                    CHECK(read(b[0], room, sizeof room) > 0);
                child_exit();
            }
            if (which == 3)
                put(a[1], "x");
            errno = 0;
            long result = which == 0   ? splice(a[0], 0, file, 0, 1, 0)
                          : which == 1 ? tee(a[0], b[1], 1, 0)
                          : which == 2 ? vmsplice(a[0], &in, 1, 0)
                          : which == 3 ? splice(a[0], 0, b[1], 0, 1, 0)
                          : which == 4 ? splice(file, 0, b[1], 0, 1, 0)
                                       : vmsplice(b[1], &out, 1, 0);
            if (how == 0)
                CHECK(result == 1);
            else
                CHECK(result == -1 && errno == EINTR);
            CHECK_CHILD(pid, 0);
            lseek(file, 0, SEEK_SET);
            close_pipe(a);
            close_pipe(b);
        }
    }
}

enum { STREAM = 1 << 20 };
static int first[2], second[2], third[2];

static unsigned char pattern(unsigned at) { return at * 7 + (at >> 8) * 13; }

static void *write_stream(void *unused)
{
    unsigned char piece[3000];
    for (unsigned at = 0; at < STREAM;) {
        unsigned len = STREAM - at < sizeof piece ? STREAM - at : sizeof piece;
        for (unsigned i = 0; i < len; i++)
            piece[i] = pattern(at + i);
        ssize_t done = write(first[1], piece, len);
        if (done <= 0)
            break;
        at += done;
    }
    close(first[1]);
    return unused;
}

static void *splice_on(void *unused)
{
    while (splice(first[0], 0, second[0], 0, 10000, 0) > 0)
        ;
    shutdown(second[0], SHUT_WR);
    return unused;
}

static void *splice_back(void *unused)
{
    while (splice(second[1], 0, third[1], 0, 1 << 20, 0) > 0)
        ;
    close(third[1]);
    return unused;
}

// From a writer by a pipe, a socket and a pipe to a reader: all arrives, once and in order.
static void stream(void)
{
    static unsigned char piece[5000];
    pthread_t threads[3];
    make_pipe(first);
    make_pipe(third);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, second) == 0);
    CHECK(pthread_create(&threads[0], 0, write_stream, 0) == 0 && pthread_create(&threads[1], 0, splice_on, 0) == 0);
    CHECK(pthread_create(&threads[2], 0, splice_back, 0) == 0);
    unsigned at = 0, wrong = 0;
    for (ssize_t len; (len = read(third[0], piece, sizeof piece)) > 0;)
        for (ssize_t i = 0; i < len; i++, at++)
            wrong += piece[i] != pattern(at);
    CHECK(at == STREAM && wrong == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], 0);
}

static unsigned counts[256];

static void *count_some(void *spliced)
{
    int mine[2];
    unsigned char piece[64];
    make_pipe(mine);
    for (ssize_t len;;) {
        if (spliced && splice(first[0], 0, mine[1], 0, sizeof piece, 0) <= 0)
            break;
        if ((len = read(spliced ? mine[0] : first[0], piece, sizeof piece)) <= 0)
            break;
        for (ssize_t i = 0; i < len; i++)
            __atomic_fetch_add(&counts[piece[i]], 1, __ATOMIC_RELAXED);
    }
    close_pipe(mine);
    return 0;
}

// Several who read and splice from one pipe get each byte once.
static void shared(void)
{
    enum { ROUNDS = 400 };
    unsigned char all[256];
    pthread_t threads[4];
    make_pipe(first);
    for (int i = 0; i < 256; i++)
        all[i] = i;
    for (long i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], 0, count_some, (void *)(i & 1)) == 0);
    for (int round = 0; round < ROUNDS; round++)
        CHECK(write(first[1], all, sizeof all) == sizeof all);
    close(first[1]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], 0);
    unsigned wrong = 0;
    for (int i = 0; i < 256; i++)
        wrong += counts[i] != ROUNDS;
    CHECK(wrong == 0);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"arguments", arguments},
        {"files", files},
        {"pipes", pipes},
        {"broken", broken},
        {"memory", memory},
        {"sockets", sockets},
        {"waiting", waiting},
        {"stream", stream},
        {"shared", shared},
    };
    return RUN_TABLE(tests);
}
