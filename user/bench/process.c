// Signals and processes: lat_sig and lat_proc of lmbench.
#define _GNU_SOURCE
#include "bench.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile long caught;

static void on_signal(int number)
{
    (void)number;
    caught++;
}

static uint64_t install_round(long n)
{
    struct sigaction action = {.sa_handler = on_signal};
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        if (sigaction(SIGUSR1, &action, NULL) != 0)
            missing("sigaction");
    return now() - start;
}

static void install_row(void)
{
    report_time(measure(install_round, 100, 1));
}

// The process sends itself a signal and returns from its handler, all within kill(2).
static uint64_t deliver_round(long n)
{
    pid_t self = getpid();
    long before = caught;
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        if (kill(self, SIGUSR1) != 0)
            missing("kill");
    uint64_t time = now() - start;
    if (caught - before != n)
        missing_because("not every signal was delivered before kill returned");
    return time;
}

static void deliver_row(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    if (sigaction(SIGUSR1, &action, NULL) != 0)
        missing("sigaction");
    report_time(measure(deliver_round, 50, 1));
}

static uint64_t fork_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        pid_t child = fork_child();
        if (child == 0)
            _exit(0);
        reap_child(child);
    }
    return now() - start;
}

static void fork_row(void)
{
    report_time(measure(fork_round, 4, 1));
}

static uint64_t exec_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        pid_t child = fork_child();
        if (child == 0) {
            execl(own_path, own_path, "-x", (char *)NULL);
            _exit(127);
        }
        reap_child(child);
    }
    return now() - start;
}

static void exec_row(void)
{
    report_time(measure(exec_round, 4, 1));
}

// The shell starts the program; with one command it may do so without a fork of its own.
static uint64_t shell_round(long n)
{
    char command[256];
    snprintf(command, sizeof command, "%s -x", own_path);
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        pid_t child = fork_child();
        if (child == 0) {
            execl(shell_path, "sh", "-c", command, (char *)NULL);
            _exit(127);
        }
        reap_child(child);
    }
    return now() - start;
}

static void shell_row(void)
{
    report_time(measure(shell_round, 2, 1));
}

const struct row process_rows[] = {
    {"signal-install", "signal handler installed", install_row},
    {"signal", "signal delivery and return", deliver_row},
    {"fork", "fork, exit and wait", fork_row},
    {"exec", "fork, exec, exit and wait", exec_row},
    {"shell", "fork, sh -c, exit and wait", shell_row},
    {NULL, NULL, NULL},
};
