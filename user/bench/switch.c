// What passes between tasks: lat_pipe, lat_ctx and bw_pipe of lmbench, and futexes between two threads.
#define _GNU_SOURCE
#include "bench.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_TASKS = 16 };
// linux/futex.h, which musl does not bring.
enum { FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129 };

static int to_child[2], from_child[2];

void pass(int out, int in)
{
    char token = 0;
    if (write(out, &token, 1) != 1)
        missing("write");
    if (read(in, &token, 1) != 1)
        missing("read");
}

_Noreturn void echo(int in, int out)
{
    char token;
    while (read(in, &token, 1) == 1 && write(out, &token, 1) == 1) {
    }
    _exit(0);
}

static uint64_t round_trips(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        pass(to_child[1], from_child[0]);
    return now() - start;
}

static void pipe_row(void)
{
    if (pipe(to_child) != 0 || pipe(from_child) != 0)
        missing("pipe");
    pid_t child = fork_child();
    if (child == 0) {
        close(to_child[1]);
        echo(to_child[0], from_child[1]);
    }
    close(to_child[0]);
    close(from_child[1]);
    double time = measure(round_trips, 50, 1);
    close(to_child[1]);
    reap_child(child);
    close(from_child[0]);
    report_time(time);
}

static int tasks, ring[MAX_TASKS][2];

// The token once around `n` times; the other tasks hand it on.
static uint64_t ring_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        pass(ring[0][1], ring[tasks - 1][0]);
    return now() - start;
}

// The same reads and writes by one task, as lmbench subtracts them: what is left are the switches.
static uint64_t alone_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        for (int task = 0; task < tasks; task++)
            pass(ring[task][1], ring[task][0]);
    return now() - start;
}

static void close_ring(void)
{
    for (int i = 0; i < tasks; i++) {
        close(ring[i][0]);
        close(ring[i][1]);
    }
}

// A task of the ring: from its pipe to the next. It holds no other end, so that the ring ends when one task goes.
static _Noreturn void ring_task(int task)
{
    int in = ring[task - 1][0], out = ring[task][1];
    for (int i = 0; i < tasks; i++) {
        if (ring[i][0] != in)
            close(ring[i][0]);
        if (ring[i][1] != out)
            close(ring[i][1]);
    }
    echo(in, out);
}

static void context_switch(int count)
{
    pid_t children[MAX_TASKS];
    tasks = count;
    for (int i = 0; i < tasks; i++)
        if (pipe(ring[i]) != 0)
            missing("pipe");
    double alone = measure(alone_round, 20, tasks);
    for (int i = 1; i < tasks; i++)
        if ((children[i] = fork_child()) == 0)
            ring_task(i);
    double together = measure(ring_round, 20, tasks);
    close_ring();
    for (int i = 1; i < tasks; i++)
        reap_child(children[i]);
    report_time(together - alone);
}

static void two_tasks_row(void)
{
    context_switch(2);
}

static void sixteen_tasks_row(void)
{
    context_switch(16);
}

static _Atomic uint32_t turn;  // whose turn it is: 0 main's, 1 the partner's, 2 the end

static long futex(int operation, uint32_t value)
{
    return syscall(SYS_futex, &turn, operation, value, NULL, NULL, 0);
}

static void hand_over(uint32_t to)
{
    atomic_store(&turn, to);
    futex(FUTEX_WAKE_PRIVATE, 1);
}

static void wait_while(uint32_t value)
{
    while (atomic_load(&turn) == value)
        futex(FUTEX_WAIT_PRIVATE, value);
}

static void *partner(void *argument)
{
    for (;;) {
        wait_while(0);
        if (atomic_load(&turn) == 2)
            return argument;
        hand_over(0);
    }
}

static uint64_t futex_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        hand_over(1);
        wait_while(1);
    }
    return now() - start;
}

static void futex_row(void)
{
    pthread_t thread;
    turn = 0;
    if (futex(FUTEX_WAKE_PRIVATE, 1) < 0)
        missing("futex");
    errno = pthread_create(&thread, NULL, partner, NULL);
    if (errno != 0)
        missing("pthread_create");
    double time = measure(futex_round, 50, 2);
    hand_over(2);
    pthread_join(thread, NULL);
    report_time(time);
}

char stream_piece[STREAM_PIECE];

static uint64_t pipe_bandwidth_round(long n)
{
    long left = n * STREAM_PIECES * STREAM_PIECE;
    if (pipe(to_child) != 0)
        missing("pipe");
    pid_t child = fork_child();
    if (child == 0) {
        close(to_child[0]);
        for (long i = 0; i < n * STREAM_PIECES; i++)
            if (write(to_child[1], stream_piece, STREAM_PIECE) != STREAM_PIECE)
                _exit(1);
        _exit(0);
    }
    close(to_child[1]);
    // The first byte starts the clock: the fork is not what is measured.
    if (read(to_child[0], stream_piece, 1) != 1)
        missing("read");
    left--;
    uint64_t start = now();
    while (left > 0) {
        ssize_t got = read(to_child[0], stream_piece, STREAM_PIECE);
        if (got <= 0)
            missing("read");
        left -= got;
    }
    uint64_t time = now() - start;
    close(to_child[0]);
    reap_child(child);
    return time;
}

static void pipe_bandwidth_row(void)
{
    report_bandwidth(1 / measure(pipe_bandwidth_round, 1, STREAM_PIECES * STREAM_PIECE));
}

const struct row switch_rows[] = {
    {"pipe", "pipe round trip", pipe_row},
    {"switch-2", "context switch, 2 tasks", two_tasks_row},
    {"switch-16", "context switch, 16 tasks", sixteen_tasks_row},
    {"futex", "futex hand-off of two threads", futex_row},
    {"pipe-bandwidth", "bandwidth of a pipe", pipe_bandwidth_row},
    {NULL, NULL, NULL},
};
