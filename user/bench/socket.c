// Sockets between two processes: lat_unix, lat_tcp, lat_udp, lat_connect and bw_tcp of lmbench. The internet is the machine's
// loopback, which has to be up.
#define _GNU_SOURCE
#include "bench.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static int own;                     // the socket with which the row measures
static struct sockaddr_in address;  // where the other process is found

// A socket of the loopback with a port that the kernel chose: the one at `address` from now on.
static int serve(int kind)
{
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, kind, 0);
    if (fd < 0)
        missing("socket");
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        missing("bind");
    return fd;
}

static int serve_connections(void)
{
    int fd = serve(SOCK_STREAM);
    if (listen(fd, 1) != 0)
        missing("listen");
    return fd;
}

static int connect_to_server(int kind)
{
    int fd = socket(AF_INET, kind, 0);
    if (fd < 0)
        missing("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        missing("connect");
    return fd;
}

// A connection within this process; its end for the child is returned.
static int connect_tcp(void)
{
    int listener = serve_connections();
    own = connect_to_server(SOCK_STREAM);
    int other = accept(listener, NULL, NULL);
    if (other < 0)
        missing("accept");
    close(listener);
    return other;
}

static uint64_t round_trips(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        pass(own, own);
    return now() - start;
}

// Bytes go to a child at the end `other` and come back.
static void echo_row(int other)
{
    pid_t child = fork_child();
    if (child == 0) {
        close(own);
        echo(other, other);
    }
    close(other);
    double time = measure(round_trips, 50, 1);
    close(own);
    reap_child(child);
    report_time(time);
}

static void unix_row(void)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        missing("socketpair");
    own = ends[0];
    echo_row(ends[1]);
}

static void tcp_row(void)
{
    echo_row(connect_tcp());
}

// Sends back every byte to whoever sent it, until a datagram has none.
static _Noreturn void echo_datagrams(int fd)
{
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    char token;
    while (recvfrom(fd, &token, 1, 0, (struct sockaddr *)&from, &size) == 1 && sendto(fd, &token, 1, 0, (struct sockaddr *)&from, size) == 1)
        size = sizeof from;
    _exit(0);
}

static void udp_row(void)
{
    int server = serve(SOCK_DGRAM);
    pid_t child = fork_child();
    if (child == 0)
        echo_datagrams(server);
    close(server);
    own = connect_to_server(SOCK_DGRAM);
    double time = measure(round_trips, 50, 1);
    if (send(own, NULL, 0, 0) != 0)
        missing("send");
    close(own);
    reap_child(child);
    report_time(time);
}

static _Noreturn void accept_and_close(int listener)
{
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;)
        close(fd);
    _exit(1);
}

// In lmbench the other side waits for the end of each connection. Here this side does: so all that the other one does for a
// connection is within its time.
static uint64_t connect_round(long n)
{
    char token;
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        int fd = connect_to_server(SOCK_STREAM);
        if (read(fd, &token, 1) != 0)
            missing("read");
        close(fd);
    }
    return now() - start;
}

// The child has no end of its own: it goes with the row.
static void connect_row(void)
{
    int listener = serve_connections();
    if (fork_child() == 0)
        accept_and_close(listener);
    close(listener);
    report_time(measure(connect_round, 10, 1));
}

// Sends a stretch for every byte that asks for one, until the other side has gone.
static _Noreturn void send_stretches(int fd)
{
    char token;
    while (read(fd, &token, 1) == 1)
        for (int i = 0; i < STREAM_PIECES; i++)
            if (write(fd, stream_piece, STREAM_PIECE) != STREAM_PIECE)
                _exit(1);
    _exit(0);
}

// A stretch is sent when it is asked for: what the kernel holds of a connection may be more than is measured, so nothing may
// be under way when the clock starts.
static uint64_t tcp_bandwidth_round(long n)
{
    char token = 0;
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        if (write(own, &token, 1) != 1)
            missing("write");
        for (ssize_t left = STREAM_PIECES * STREAM_PIECE, got; left > 0; left -= got)
            if ((got = read(own, stream_piece, STREAM_PIECE)) <= 0)
                missing("read");
    }
    return now() - start;
}

static void tcp_bandwidth_row(void)
{
    int other = connect_tcp();
    pid_t child = fork_child();
    if (child == 0) {
        close(own);
        send_stretches(other);
    }
    close(other);
    double time = measure(tcp_bandwidth_round, 1, STREAM_PIECES * STREAM_PIECE);
    close(own);
    reap_child(child);
    report_bandwidth(1 / time);
}

const struct row socket_rows[] = {
    {"unix", "AF_UNIX round trip", unix_row},
    {"tcp", "TCP round trip", tcp_row},
    {"udp", "UDP round trip", udp_row},
    {"tcp-connect", "TCP connect, accept and close", connect_row},
    {"tcp-bandwidth", "bandwidth of a TCP connection", tcp_bandwidth_row},
    {NULL, NULL, NULL},
};
