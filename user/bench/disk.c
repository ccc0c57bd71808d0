// What takes long and needs the disk: a large file read and written, many small ones made and deleted. Each is done once,
// since what comes first is what counts: after a boot nothing of the disk is in memory.
#define _GNU_SOURCE
#include "bench.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 64 * 1024, BIG_BYTES = 256 << 20, SMALL_FILES = 10000, SMALL_BYTES = 1024 };

static char piece[PIECE];

// Bytes per tick at which `big_path` is read from its start to its end.
static double read_big(void)
{
    int fd = open(big_path, O_RDONLY);
    if (fd < 0)
        missing(big_path);
    uint64_t start = now();
    long done = 0;
    for (ssize_t len; (len = read(fd, piece, PIECE)) > 0; done += len)
        ;
    uint64_t took = now() - start;
    close(fd);
    if (done != BIG_BYTES)
        missing_because("the large file is shorter than it should be");
    return (double)done / (double)took;
}

static void cold_row(void)
{
    report_bandwidth(read_big());
}

static void warm_row(void)
{
    read_big();
    report_bandwidth(read_big());
}

static void write_row(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s/bench.large", scratch_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        missing("open with O_CREAT");
    uint64_t start = now();
    for (long done = 0; done < BIG_BYTES; done += PIECE)
        if (write(fd, piece, PIECE) != PIECE)
            missing("write");
    if (fsync(fd) != 0)
        missing("fsync");
    uint64_t took = now() - start;
    close(fd);
    unlink(path);
    report_bandwidth(BIG_BYTES / (double)took);
}

static void name_small(char *path, size_t len, int file)
{
    snprintf(path, len, "%s/bench.small/%d", scratch_dir, file);
}

static void small_row(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s/bench.small", scratch_dir);
    if (mkdir(path, 0700) != 0)
        missing("mkdir");
    uint64_t start = now();
    for (int file = 0; file < SMALL_FILES; file++) {
        name_small(path, sizeof path, file);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || write(fd, piece, SMALL_BYTES) != SMALL_BYTES)
            missing("making a small file");
        close(fd);
    }
    for (int file = 0; file < SMALL_FILES; file++) {
        name_small(path, sizeof path, file);
        if (unlink(path) != 0)
            missing("unlink");
    }
    uint64_t took = now() - start;
    snprintf(path, sizeof path, "%s/bench.small", scratch_dir);
    rmdir(path);
    report_time((double)took / SMALL_FILES);
}

const struct row disk_rows[] = {
    {"disk-cold", "sequential read of 256 MiB, cold", cold_row},
    {"disk-warm", "sequential read of 256 MiB, warm", warm_row},
    {"disk-write", "sequential write of 256 MiB with fsync", write_row},
    {"disk-files", "a file of 1 KiB made and deleted, of 10,000", small_row},
    {NULL, NULL, NULL},
};
