// Address spaces and memory: lat_pagefault, lat_mmap and bw_mem of lmbench; and what the system said of itself at the start.
#define _GNU_SOURCE
#include "bench.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, FAULT_PAGES = 256, MMAP_BYTES = 4 * 1024 * 1024, COPY_BYTES = 2 * 1024 * 1024 };
// A prime that does not divide FAULT_PAGES: times it, modulo FAULT_PAGES, is a permutation of the pages.
enum { SCATTER = 167 };

static volatile char sink;

// A mapping, where it may be at an address that does not differ from run to run: how many page tables it needs depends on that.
static char *map(size_t bytes, int flags, int fd)
{
    int protection = fd < 0 ? PROT_READ | PROT_WRITE : PROT_READ;
    char *memory = mmap((void *)0x200000000000, bytes, protection, flags, fd, 0);
    if (memory == MAP_FAILED)
        missing("mmap");
    return memory;
}

static void unmap(char *memory, size_t bytes)
{
    if (munmap(memory, bytes) != 0)
        missing("munmap");
}

static uint64_t anonymous_round(long n)
{
    uint64_t time = 0;
    for (long i = 0; i < n; i++) {
        char *memory = map(FAULT_PAGES * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        uint64_t start = now();
        for (long page = 0; page < FAULT_PAGES; page++)
            memory[page * PAGE] = 1;
        time += now() - start;
        unmap(memory, FAULT_PAGES * PAGE);
    }
    return time;
}

static void anonymous_row(void)
{
    report_time(measure(anonymous_round, 1, FAULT_PAGES));
}

static int mapped;

// Every page once, in scattered order; a kernel that maps the pages around a fault with it has fewer faults.
static uint64_t file_round(long n)
{
    uint64_t time = 0;
    for (long i = 0; i < n; i++) {
        char *memory = map(FAULT_PAGES * PAGE, MAP_SHARED, mapped);
        uint64_t start = now();
        for (long page = 0; page < FAULT_PAGES; page++)
            sink = memory[page * SCATTER % FAULT_PAGES * PAGE];
        time += now() - start;
        unmap(memory, FAULT_PAGES * PAGE);
    }
    return time;
}

static void file_row(void)
{
    struct stat status;
    mapped = open(file_path, O_RDONLY);
    if (mapped < 0)
        missing("open");
    if (fstat(mapped, &status) != 0 || status.st_size < FAULT_PAGES * PAGE)
        missing_because("the file has less than 1 MiB");
    double time = measure(file_round, 1, FAULT_PAGES);
    close(mapped);
    report_time(time);
}

// As lat_mmap: the first tenth is used. Anonymous memory, so that no file of that size is needed.
static uint64_t mmap_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++) {
        char *memory = map(MMAP_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        for (long at = 0; at < MMAP_BYTES / 10; at += PAGE)
            memory[at] = 1;
        unmap(memory, MMAP_BYTES);
    }
    return now() - start;
}

static void mmap_row(void)
{
    report_time(measure(mmap_round, 1, 1));
}

static char *from, *to;

static uint64_t copy_round(long n)
{
    uint64_t start = now();
    for (long i = 0; i < n; i++)
        memcpy(to, from, COPY_BYTES);
    return now() - start;
}

static void copy_row(void)
{
    from = map(COPY_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    to = map(COPY_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memset(from, 1, COPY_BYTES);
    double time = measure(copy_round, 1, COPY_BYTES);
    unmap(from, COPY_BYTES);
    unmap(to, COPY_BYTES);
    report_bandwidth(1 / time);
}

static void start_row(void)
{
    report_value(start_ticks, "ticks");
}

// Ticks in a second, by CLOCK_MONOTONIC over a hundredth of one.
static void rate_row(void)
{
    struct timespec start, end;
    if (clock_gettime(CLOCK_MONOTONIC, &start) != 0)
        missing("clock_gettime");
    uint64_t ticks = __builtin_ia32_rdtsc();
    int64_t ns;
    do {
        clock_gettime(CLOCK_MONOTONIC, &end);
        ns = (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec;
    } while (ns < 10000000);
    report_value((uint64_t)((double)(__builtin_ia32_rdtsc() - ticks) * 1e9 / (double)ns), "Hz");
}

static void free_row(void)
{
    struct sysinfo info;
    if (sysinfo(&info) != 0)
        missing("sysinfo");
    report_value((uint64_t)info.freeram * info.mem_unit, "bytes");
}

const struct row memory_rows[] = {
    {"fault-anonymous", "page fault, anonymous", anonymous_row},
    {"fault-file", "page fault, file", file_row},
    {"mmap", "mmap and munmap of 4 MiB", mmap_row},
    {"memory-bandwidth", "bandwidth of copying memory", copy_row},
    {NULL, NULL, NULL},
};

const struct row system_rows[] = {
    {"start", "time-stamp counter at the program's start", start_row},
    {"tick-rate", "ticks of the time-stamp counter in a second", rate_row},
    {"free", "free memory", free_row},
    {NULL, NULL, NULL},
};
