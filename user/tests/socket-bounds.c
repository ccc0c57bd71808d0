// Connections that nobody accepts, each full of bytes, and whose clients have gone: what they hold belongs to no process that could be
// ended for it, so all together they hold a part of the memory only, and each a little more. Then it is given back. Linux
// bounds it otherwise (tcp_mem).
#define _GNU_SOURCE
#include "inet.h"

#include <sys/sysinfo.h>

enum { CONNECTIONS = 400, PART = 8, LITTLE = 4096 };

// How many bytes a socket sends before it would have to wait.
static long fill(int fd)
{
    static char bytes[65536];
    long sent = 0, moved;
    CHECK(set_blocking(fd, 0) == 0);
    while ((moved = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL)) > 0)
        sent += moved;
    CHECK(moved < 0 && errno == EAGAIN);
    return sent;
}

static long memory(void)
{
    struct sysinfo info;
    CHECK(sysinfo(&info) == 0);
    return (long)info.totalram * info.mem_unit;
}

// One of these connections may take as much as the first one does; all of them a part of the memory, and each a little more.
static void check_bounded(long first, long total)
{
    CHECK(first > LITTLE && total > memory() / PART / 2);
    CHECK(total < memory() / PART + 2 * first + CONNECTIONS * 2L * LITTLE);
}

static void tcp_backlog(void)
{
    int l = listener(4096);
    long first = 0, total = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        int c = connected(SOCK_STREAM, l);
        long sent = fill(c);
        first = i == 0 ? sent : first;
        total += sent;
        CHECK(close(c) == 0);
    }
    check_bounded(first, total);
    // Whoever is reached still reads what was sent, and others talk meanwhile.
    int s = ACCEPT(l), pair[2];
    long got = 0, moved;
    static char bytes[65536];
    while ((moved = read(s, bytes, sizeof bytes)) > 0)
        got += moved;
    CHECK(moved == 0 && got == first && close(s) == 0);
    tcp_pair(pair);
    CHECK_TALK(pair[0], pair[1]);
    close_both(pair);
    CHECK(close(l) == 0);
    // All is free again.
    tcp_pair(pair);
    CHECK(fill(pair[0]) >= first);
    close_both(pair);
}

static void pairs(void)
{
    static int pair[CONNECTIONS][2];
    long first = 0, total = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]) == 0);
        long sent = fill(pair[i][0]);
        first = i == 0 ? sent : first;
        total += sent;
    }
    check_bounded(first, total);
    for (int i = 0; i < CONNECTIONS; i++)
        close_both(pair[i]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[0]) == 0 && fill(pair[0][0]) == first);
    close_both(pair[0]);
}

static const struct test tests[] = {{"tcp backlog", tcp_backlog}, {"pairs", pairs}};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
