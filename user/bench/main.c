// A benchmark of the kernel below it, by the definitions of lmbench (McVoy and Staelin, USENIX 1996): one line a row,
// `name value unit`, or `name - reason` where the kernel lacks what the row needs.
//
//     bench [-i] [-l] [-L] [-f FILE] [-b FILE] [-d DIR] [-s SHELL] [name…]
//
// -i counts ticks of the time-stamp counter, for QEMU's -icount; -l lists the rows, -L those of the disk, which
// take long and are run by name alone; without names all others run. It is a
// Linux program like any other, and is run on Linux for comparison.
#define _GNU_SOURCE
#include "bench.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CHILDREN = 32, COUNTED_ROUNDS = 15, TIMED_ROUNDS = 11, MAX_ROUNDS = 15, MIN_ROUND_NS = 2000000, MAX_STEPS = 1 << 22 };

bool count_instructions;
const char *file_path = "/bin/busybox", *big_path = "/big", *scratch_dir = "/tmp", *shell_path = "/bin/busybox", *own_path;
uint64_t start_ticks;

static const struct row *const groups[] = {system_rows, file_rows, switch_rows, socket_rows, process_rows, memory_rows, disk_rows};
static const struct row *current;
static jmp_buf out_of_row;
static pid_t children[MAX_CHILDREN];

static uint64_t ticks(void)
{
    return __builtin_ia32_rdtsc();
}

uint64_t now(void)
{
    struct timespec time;
    if (count_instructions)
        return ticks();
    if (clock_gettime(CLOCK_MONOTONIC, &time) != 0)
        missing("clock_gettime");
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double measure(uint64_t (*body)(long n), long steps, double per_step)
{
    uint64_t rounds[MAX_ROUNDS], first = body(steps);
    int count = count_instructions ? COUNTED_ROUNDS : TIMED_ROUNDS;
    while (!count_instructions && first < MIN_ROUND_NS && steps < MAX_STEPS) {
        steps *= 2;
        first = body(steps);
    }
    for (int i = 0; i < count; i++)
        rounds[i] = body(steps);
    qsort(rounds, (size_t)count, sizeof rounds[0], compare);
    return (double)rounds[count_instructions ? 0 : count / 2] / ((double)steps * per_step);
}

void report_time(double value)
{
    printf("%s %.1f %s\n", current->name, value, count_instructions ? "instructions" : "ns");
}

void report_bandwidth(double bytes_per_tick)
{
    // A tick is a nanosecond: bytes per nanosecond are thousands of megabytes per second.
    printf("%s %.1f MB/s\n", current->name, bytes_per_tick * 1000);
}

void report_value(uint64_t value, const char *unit)
{
    printf("%s %llu %s\n", current->name, (unsigned long long)value, unit);
}

void missing_because(const char *reason)
{
    printf("%s - %s\n", current->name, reason);
    longjmp(out_of_row, 1);
}

void missing(const char *call)
{
    char reason[160];
    snprintf(reason, sizeof reason, "%s: %s", call, strerror(errno));
    missing_because(reason);
}

pid_t fork_child(void)
{
    int slot = 0;
    while (children[slot] != 0)
        if (++slot == MAX_CHILDREN)
            missing_because("more children than the benchmark keeps");
    // What is buffered would otherwise come twice.
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        missing("fork");
    if (child > 0)
        children[slot] = child;
    return child;
}

void reap_child(pid_t child)
{
    int status;
    for (int i = 0; i < MAX_CHILDREN; i++)
        if (children[i] == child)
            children[i] = 0;
    if (waitpid(child, &status, 0) != child)
        missing("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char reason[64];
        snprintf(reason, sizeof reason, "a child ended with wait status %#x", (unsigned)status);
        missing_because(reason);
    }
}

static void end_children(void)
{
    for (int i = 0; i < MAX_CHILDREN; i++) {
        if (children[i] != 0) {
            kill(children[i], SIGKILL);
            waitpid(children[i], NULL, 0);
            children[i] = 0;
        }
    }
}

static void run_row(const struct row *row)
{
    current = row;
    if (setjmp(out_of_row) == 0)
        row->run();
    end_children();
    fflush(stdout);
}

// Runs (or lists) the rows of that name, or when it is null all of the disk, or all others; returns how many there were.
static int for_rows(const char *name, bool list, bool disk)
{
    int found = 0;
    for (size_t group = 0; group < sizeof groups / sizeof groups[0]; group++) {
        for (const struct row *row = groups[group]; row->name != NULL; row++) {
            if (name != NULL ? strcmp(name, row->name) != 0 : (groups[group] == disk_rows) != disk)
                continue;
            found++;
            if (list)
                printf("%s %s\n", row->name, row->what);
            else
                run_row(row);
        }
    }
    return found;
}

// Begins anew without random addresses, so that no figure depends on how many page tables they need. Where the kernel cannot
// do that, returns, and the figures differ a little from run to run. The environment keeps when the first program began.
static void without_random_addresses(char **argv)
{
    static char began[40];
    char *environment[] = {began, NULL};
    const char *before = getenv("BENCH_START");
    if (before != NULL) {
        start_ticks = strtoull(before, NULL, 10);
        return;
    }
    int persona = personality(0xffffffff);
    if (persona == -1 || personality((unsigned long)persona | ADDR_NO_RANDOMIZE) == -1)
        return;
    snprintf(began, sizeof began, "BENCH_START=%llu", (unsigned long long)start_ticks);
    execve(argv[0], argv, environment);
}

int main(int argc, char **argv)
{
    bool list = false, disk = false;
    int option, status = 0;
    start_ticks = ticks();
    if (argc > 1 && strcmp(argv[1], "-x") == 0)
        return 0;
    without_random_addresses(argv);
    own_path = argv[0];
    while ((option = getopt(argc, argv, "ilLf:b:d:s:")) != -1) {
        switch (option) {
        case 'i': count_instructions = true; break;
        case 'l': list = true; break;
        case 'L': list = disk = true; break;
        case 'f': file_path = optarg; break;
        case 'b': big_path = optarg; break;
        case 'd': scratch_dir = optarg; break;
        case 's': shell_path = optarg; break;
        default: fprintf(stderr, "usage: %s [-i] [-l] [-L] [-f FILE] [-b FILE] [-d DIR] [-s SHELL] [name…]\n", argv[0]); return 2;
        }
    }
    // Whether a kernel gives huge pages by itself is a policy; the rows are about 4 KiB pages. A kernel without them may
    // refuse.
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    // A partner that has gone shows as an error, not as a death.
    signal(SIGPIPE, SIG_IGN);
    if (optind == argc)
        for_rows(NULL, list, disk);
    for (; optind < argc; optind++) {
        if (for_rows(argv[optind], list, disk) == 0) {
            fprintf(stderr, "%s: there is no row %s\n", argv[0], argv[optind]);
            status = 2;
        }
    }
    return status;
}
