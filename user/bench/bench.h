// What the rows of the benchmark share: the clock, the loop that measures, and the way out of a row that cannot run.
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// What is measured: the name to ask for, the words for a table, the function that ends in report() or missing().
struct row {
    const char *name;
    const char *what;
    void (*run)(void);
};

extern const struct row file_rows[], process_rows[], memory_rows[], switch_rows[], socket_rows[], system_rows[], disk_rows[];

// Settings from the command line.
extern bool count_instructions;  // the time-stamp counter in place of CLOCK_MONOTONIC
extern const char *file_path;    // a file of at least 1 MiB that is only read
extern const char *big_path;     // a file of 256 MiB that is only read
extern const char *scratch_dir;  // where files are made and deleted
extern const char *shell_path;   // busybox, or a link to it
extern const char *own_path;     // this program, which `-x` makes exit at once
extern uint64_t start_ticks;     // the time-stamp counter at the start of main

// Nanoseconds; or ticks of the time-stamp counter, which are instructions under QEMU's -icount shift=0.
uint64_t now(void);

// Runs the round `body(n)` often enough and returns the time that one of its `n * per_step` operations takes: the
// minimum of the rounds when instructions are counted (they differ only by what interrupts them), else the median. A
// first round warms up. `body` returns the time of the part that counts. `n` is `steps`, or more where rounds are timed by
// the clock, so that they last long enough.
double measure(uint64_t (*body)(long n), long steps, double per_step);

// Prints the row's figure: a time for one operation (in nanoseconds or instructions), a bandwidth, or another value.
void report_time(double value);
void report_bandwidth(double bytes_per_tick);
void report_value(uint64_t value, const char *unit);

// Ends the row: prints why it has no figure (`call` and errno), ends its children. Does not return.
_Noreturn void missing(const char *call);
_Noreturn void missing_because(const char *reason);

// fork that ends the row on failure; the child is ended with the row at the latest.
pid_t fork_child(void);
// Waits for a child of fork_child and ends the row unless its exit status is 0.
void reap_child(pid_t child);

// Sends a byte and waits for one; ends the row if that fails.
void pass(int out, int in);
// What the other process does: sends back every byte until the other side has gone.
_Noreturn void echo(int in, int out);

// What goes through a pipe or a connection when its bandwidth is measured: as many pieces, from and to the one buffer.
enum { STREAM_PIECE = 64 * 1024, STREAM_PIECES = 16 };
extern char stream_piece[STREAM_PIECE];

#endif
