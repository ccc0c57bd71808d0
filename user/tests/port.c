// port PATH: a port of a virtio console with somebody at its other side, who first does not read, then does, sends as much, and goes.
// Works on Linux.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { PIECE = 1000, MORE = 300000, PATIENCE_MS = 60000 };

static unsigned char at(size_t place) { return (unsigned char)(place * 7 + place / 251); }

static int poll_port(int fd, int events, int timeout_ms)
{
    struct pollfd one = {fd, (short)events, 0};
    return poll(&one, 1, timeout_ms) >= 0 ? one.revents : -1;
}

// Writes until `end` places have been written or nothing more is taken: how far.
static size_t write_on(int fd, size_t place, size_t end)
{
    while (place < end) {
        unsigned char piece[PIECE];
        size_t len = end - place < PIECE ? end - place : PIECE;
        for (size_t i = 0; i < len; i++)
            piece[i] = at(place + i);
        ssize_t written = write(fd, piece, len);
        if (written < 0) {
            CHECK(errno == EAGAIN);
            break;
        }
        CHECK(written > 0);
        place += (size_t)written;
    }
    return place;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    int fd = open(argv[1], O_RDWR | O_NONBLOCK);
    CHECK(fd >= 0);
    CHECK_ERRNO(open(argv[1], O_RDWR), EBUSY);
    struct stat about;
    CHECK(fstat(fd, &about) == 0 && S_ISCHR(about.st_mode));
    unsigned char piece[PIECE];
    CHECK(poll_port(fd, POLLOUT, PATIENCE_MS) == POLLOUT);
    CHECK_ERRNO(read(fd, piece, 1), EAGAIN);
    CHECK_ERRNO(write(fd, (void *)8, 1), EFAULT);
    size_t place = 0, before;
    do { // The other side takes what fits into its own buffers, and that may take it a moment.
        before = place;
        place = write_on(fd, place, (size_t)-1);
    } while (place > before || poll_port(fd, POLLOUT, 1000) == POLLOUT);
    CHECK(poll_port(fd, POLLIN | POLLOUT, 0) == 0);
    printf("full\n");
    fflush(stdout);
    CHECK(poll_port(fd, POLLOUT, PATIENCE_MS) == POLLOUT);
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    CHECK(write_on(fd, place, place + MORE) == place + MORE);
    printf("written %zu\n", place + MORE);
    fflush(stdout);
    size_t got = 0;
    while (got < MORE) {
        ssize_t len = read(fd, piece, sizeof piece);
        CHECK(len > 0);
        if (len <= 0)
            break;
        int same = 1;
        for (ssize_t i = 0; i < len; i++)
            same &= piece[i] == at(got + (size_t)i);
        CHECK(same);
        got += (size_t)len;
    }
    CHECK(got == MORE);
    printf("read all\n");
    fflush(stdout);
    CHECK(poll_port(fd, POLLIN, PATIENCE_MS) == (POLLIN | POLLHUP));
    CHECK(read(fd, piece, sizeof piece) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    CHECK_ERRNO(write(fd, "x", 1), EAGAIN);
    CHECK(close(fd) == 0);
    fd = open(argv[1], O_RDWR);
    CHECK(fd >= 0 && poll_port(fd, POLLIN, 0) == (POLLIN | POLLHUP));
    return check_result();
}
