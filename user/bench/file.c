// Calls on files, the cheapest first: lat_syscall, lat_select, lat_fs and bw_file_rd of lmbench.
#define _GNU_SOURCE
#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SELECT_FDS = 100, FILES = 50, FILE_PIECE = 64 * 1024, FILE_BYTES = 1024 * 1024 };

static int fd;
static char buffer[FILE_PIECE];

static int open_or_miss(const char *path, int flags)
{
    int opened = open(path, flags);
    if (opened < 0) {
        char call[128];
        snprintf(call, sizeof call, "open %s", path);
        missing(call);
    }
    return opened;
}

static uint64_t null_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        getppid();
    return now() - start;
}

static void null_row(void)
{
    errno = 0;
    if (getppid() == -1 && errno != 0)
        missing("getppid");
    report_time(measure(null_round, 100, 1));
}

static uint64_t read_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        if (read(fd, buffer, 1) != 1)
            missing("read");
    return now() - start;
}

static void read_row(void)
{
    fd = open_or_miss("/dev/zero", O_RDONLY);
    double time = measure(read_round, 100, 1);
    close(fd);
    report_time(time);
}

static uint64_t write_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        if (write(fd, buffer, 1) != 1)
            missing("write");
    return now() - start;
}

static void write_row(void)
{
    fd = open_or_miss("/dev/null", O_WRONLY);
    double time = measure(write_round, 100, 1);
    close(fd);
    report_time(time);
}

static uint64_t stat_round(long n)
{
    struct stat status;
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        if (stat(file_path, &status) != 0)
            missing("stat");
    return now() - start;
}

static void stat_row(void)
{
    report_time(measure(stat_round, 100, 1));
}

static uint64_t fstat_round(long n)
{
    struct stat status;
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        if (fstat(fd, &status) != 0)
            missing("fstat");
    return now() - start;
}

static void fstat_row(void)
{
    fd = open_or_miss(file_path, O_RDONLY);
    double time = measure(fstat_round, 100, 1);
    close(fd);
    report_time(time);
}

static uint64_t open_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        close(open_or_miss(file_path, O_RDONLY));
    return now() - start;
}

static void open_row(void)
{
    report_time(measure(open_round, 100, 1));
}

static int select_fds[SELECT_FDS];

// lmbench's lat_select: which of many descriptors can be read, without waiting.
static uint64_t select_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        struct timeval none = {0, 0};
        fd_set set;
        FD_ZERO(&set);
        for (int j = 0; j < SELECT_FDS; j++)
            FD_SET(select_fds[j], &set);
        if (select(select_fds[SELECT_FDS - 1] + 1, &set, NULL, NULL, &none) < 0)
            missing("select");
    }
    return now() - start;
}

static void select_row(void)
{
    select_fds[0] = open_or_miss(file_path, O_RDONLY);
    for (int i = 1; i < SELECT_FDS; i++)
        if ((select_fds[i] = dup(select_fds[0])) < 0)
            missing("dup");
    double time = measure(select_round, 50, 1);
    for (int i = 0; i < SELECT_FDS; i++)
        close(select_fds[i]);
    report_time(time);
}

// lmbench's lat_fs: empty files made, then all deleted. `n` is the number of times that is done.
static uint64_t create_round(long n)
{
    char path[256];
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        for (int file = 0; file < FILES; file++) {
            snprintf(path, sizeof path, "%s/bench.%d", scratch_dir, file);
            int made = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            if (made < 0)
                missing("open with O_CREAT");
            close(made);
        }
        for (int file = 0; file < FILES; file++) {
            snprintf(path, sizeof path, "%s/bench.%d", scratch_dir, file);
            if (unlink(path) != 0)
                missing("unlink");
        }
    }
    return now() - start;
}

static void create_row(void)
{
    report_time(measure(create_round, 1, FILES));
}

// lmbench's bw_file_rd io_only: the first MiB of a file that is in memory already.
static uint64_t file_bandwidth_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        if (lseek(fd, 0, SEEK_SET) != 0)
            missing("lseek");
        for (long done = 0; done < FILE_BYTES; done += FILE_PIECE)
            if (read(fd, buffer, FILE_PIECE) != FILE_PIECE)
                missing("read");
    }
    return now() - start;
}

static void file_bandwidth_row(void)
{
    fd = open_or_miss(file_path, O_RDONLY);
    double time = measure(file_bandwidth_round, 1, FILE_BYTES);
    close(fd);
    report_bandwidth(1 / time);
}

const struct row file_rows[] = {
    {"null", "null system call (getppid)", null_row},
    {"read", "read a byte of /dev/zero", read_row},
    {"write", "write a byte to /dev/null", write_row},
    {"stat", "stat", stat_row},
    {"fstat", "fstat", fstat_row},
    {"open", "open and close", open_row},
    {"select", "select on 100 descriptors", select_row},
    {"create", "file create and delete", create_row},
    {"file-bandwidth", "bandwidth of reading a cached file", file_bandwidth_row},
    {NULL, NULL, NULL},
};
