// Disks as files. Arguments: a disk of at least 16 MiB whose content may go, with partitions 1 (8192 sectors from 2048 on)
// and 2; then names of tests. On Linux it needs root and such a disk (`losetup -P`).
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

// linux/fs.h and linux/hdreg.h, which are not on every machine.
enum {
    BLKROSET = 0x125d, BLKROGET, BLKRRPART, BLKGETSIZE, BLKFLSBUF, BLKRAGET = 0x1263, BLKSSZGET = 0x1268, BLKDISCARD = 0x1277,
    BLKPBSZGET = 0x127b, HDIO_GETGEO = 0x301,
};
#define BLKBSZGET 0x80081270
#define BLKBSZSET 0x40081271
#define BLKGETSIZE64 0x80081272
struct hd_geometry { unsigned char heads, sectors; unsigned short cylinders; unsigned long start; };

static const char *disk;
static char part[64], second[64];

static int open_disk(int flags)
{
    int fd = open(disk, flags);
    CHECK(fd >= 0);
    return fd;
}

static uint64_t size_of(int fd)
{
    uint64_t bytes = 0;
    CHECK(ioctl(fd, BLKGETSIZE64, &bytes) == 0);
    return bytes;
}

static void fill(unsigned char *bytes, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)((seed + i) * 2654435761u >> 13);
}

static void tells_its_size(void)
{
    int fd = open_disk(O_RDONLY), number = -1;
    unsigned long sectors = 0;
    struct stat found;
    CHECK(fstat(fd, &found) == 0 && S_ISBLK(found.st_mode) && found.st_size == 0);
    CHECK(ioctl(fd, BLKGETSIZE, &sectors) == 0 && sectors * 512 == size_of(fd));
    CHECK((uint64_t)lseek(fd, 0, SEEK_END) == size_of(fd));
    CHECK_ERRNO(lseek(fd, 1 << 20, SEEK_DATA), EINVAL);
    CHECK(ioctl(fd, BLKSSZGET, &number) == 0 && number == 512);
    CHECK(ioctl(fd, BLKPBSZGET, &number) == 0 && number >= 512 && number % 512 == 0);
    CHECK(ioctl(fd, BLKBSZGET, &number) == 0 && number >= 512 && number <= 4096);
    CHECK(ioctl(fd, BLKROGET, &number) == 0 && number == 0);
    CHECK(ioctl(fd, BLKRAGET, &sectors) == 0);
    struct hd_geometry geometry = {0};
    CHECK(ioctl(fd, HDIO_GETGEO, &geometry) == 0 && geometry.start == 0 && geometry.heads > 0 && geometry.sectors > 0);
    int one = open(part, O_RDONLY);
    CHECK(ioctl(one, HDIO_GETGEO, &geometry) == 0 && geometry.start == 2048);
    CHECK(size_of(one) == 8192 * 512);
    CHECK_ERRNO(ioctl(fd, TIOCGWINSZ, &geometry), ENOTTY);
    CHECK_ERRNO(ioctl(fd, HDIO_GETGEO, 0), EINVAL);
    CHECK_ERRNO(ftruncate(fd, 0), EINVAL);
}

static void bad_pointers(void)
{
    int fd = open_disk(O_RDWR);
    CHECK_BAD_OUT(ioctl(fd, BLKGETSIZE64, p), 8, 0);
    CHECK_BAD_OUT(ioctl(fd, BLKGETSIZE, p), 8, 0);
    CHECK_BAD_OUT(ioctl(fd, BLKSSZGET, p), 4, 0);
    CHECK_BAD_OUT(ioctl(fd, BLKROGET, p), 4, 0);
    CHECK_BAD_OUT(ioctl(fd, HDIO_GETGEO, p), sizeof(struct hd_geometry), 1);
    CHECK_BAD_IN(ioctl(fd, BLKROSET, p), 4, 0);
    CHECK_BAD_IN(ioctl(fd, BLKBSZSET, p), 4, 1);
    for (unsigned i = 0; i < BAD_COUNT; i++) {
        CHECK_ERRNO(read(fd, (void *)bad_addresses[i], 512), EFAULT);
        CHECK_ERRNO(pwrite(fd, (void *)bad_addresses[i], 512, 8 << 20), EFAULT);
    }
    // What is there of the memory is moved.
    CHECK(pread(fd, crossing(100), 512, 8 << 20) == 100);
    CHECK(pwrite(fd, crossing(100), 512, 8 << 20) == 100);
    int size = 1000;
    CHECK_ERRNO(ioctl(fd, BLKBSZSET, &size), EINVAL);
    size = 8192;
    CHECK_ERRNO(ioctl(fd, BLKBSZSET, &size), EINVAL);
    CHECK_ERRNO(ioctl(fd, BLKBSZSET, 0), EINVAL);
}

// Whatever the position and the length, through two openings and over the end.
static void reads_what_was_written(void)
{
    static unsigned char out[70000], in[70000];
    int writer = open_disk(O_RDWR), reader = open_disk(O_RDONLY);
    uint64_t size = size_of(writer);
    const struct { uint64_t at; size_t len; } cases[] = {
        {8 << 20, 1}, {(8 << 20) + 511, 2}, {(8 << 20) + 4095, 4098}, {(9 << 20) + 100, sizeof out}, {size - 513, 513}, {size - 70000, 70000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fill(out, cases[i].len, i + 1);
        CHECK(pwrite(writer, out, cases[i].len, cases[i].at) == (ssize_t)cases[i].len);
        CHECK(pread(reader, in, cases[i].len, cases[i].at) == (ssize_t)cases[i].len);
        CHECK(memcmp(in, out, cases[i].len) == 0);
    }
    CHECK(fsync(writer) == 0 && fdatasync(writer) == 0);
    CHECK(pwrite(writer, out, 1000, size - 100) == 100);
    CHECK_ERRNO(pwrite(writer, out, 1, size), ENOSPC);
    CHECK_ERRNO(pwrite(writer, out, 1, size + 12345), ENOSPC);
    CHECK(pread(reader, in, 10, size) == 0 && pread(reader, in, 10, size + 4096) == 0);
    CHECK(pread(reader, in, 1000, size - 100) == 100 && memcmp(in, out, 100) == 0);
    CHECK_ERRNO(write(reader, out, 1), EBADF);
    CHECK(lseek(writer, -512, SEEK_END) == (off_t)size - 512);
    CHECK(read(writer, in, 4096) == 512 && read(writer, in, 4096) == 0);
    CHECK(ioctl(writer, BLKFLSBUF, 0) == 0);
    CHECK(pread(reader, in, 100, size - 100) == 100 && memcmp(in, out, 100) == 0);
}

static void is_mapped(void)
{
    int fd = open_disk(O_RDWR);
    char *at = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 10 << 20), found[4] = "";
    CHECK(at != MAP_FAILED);
    memcpy(at + 5000, "map", 4);
    CHECK(pread(fd, found, 4, (10 << 20) + 5000) == 4 && memcmp(found, "map", 4) == 0);
    CHECK(msync(at, 65536, MS_SYNC) == 0);
    CHECK(pwrite(fd, "new", 4, (10 << 20) + 9000) == 4 && memcmp(at + 9000, "new", 4) == 0);
    CHECK(munmap(at, 65536) == 0 && close(fd) == 0);
    fd = open_disk(O_RDONLY);
    CHECK(pread(fd, found, 4, (10 << 20) + 5000) == 4 && memcmp(found, "map", 4) == 0);
}

static void one_has_it_for_himself(void)
{
    int first = open(disk, O_RDWR | O_EXCL);
    CHECK(first >= 0);
    CHECK_ERRNO(open(disk, O_RDONLY | O_EXCL), EBUSY);
    CHECK_ERRNO(open(part, O_RDONLY | O_EXCL), EBUSY);
    int other = open(disk, O_RDWR);
    CHECK(other >= 0 && close(other) == 0);
    CHECK(close(first) == 0);
    first = open(part, O_RDWR | O_EXCL);
    CHECK(first >= 0);
    CHECK_ERRNO(open(disk, O_RDONLY | O_EXCL), EBUSY);
    other = open(second, O_RDONLY | O_EXCL);
    CHECK(other >= 0);
    CHECK_ERRNO(ioctl(first, BLKRRPART, 0), EINVAL);
    int whole = open_disk(O_RDWR);
    CHECK_ERRNO(ioctl(whole, BLKRRPART, 0), EBUSY);
    CHECK(close(first) == 0 && close(other) == 0);
    CHECK(ioctl(whole, BLKRRPART, 0) == 0);
    CHECK(access(part, F_OK) == 0 && access(second, F_OK) == 0);
}

static void past_the_cache(void)
{
    int direct = open(disk, O_RDWR | O_DIRECT), cached = open_disk(O_RDWR);
    CHECK(direct >= 0);
    unsigned char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), found[4096];
    fill(page, 8192, 77);
    CHECK(pwrite(cached, "old", 3, 11 << 20) == 3);
    CHECK(pread(direct, page + 4096, 512, 11 << 20) == 512 && memcmp(page + 4096, "old", 3) == 0);
    CHECK(pwrite(direct, page, 4096, 11 << 20) == 4096);
    CHECK(pread(cached, found, 4096, 11 << 20) == 4096 && memcmp(found, page, 4096) == 0);
    CHECK_ERRNO(pread(direct, page, 100, 11 << 20), EINVAL);
    CHECK_ERRNO(pread(direct, page, 512, (11 << 20) + 1), EINVAL);
    CHECK_ERRNO(pwrite(direct, page, 513, 11 << 20), EINVAL);
    CHECK(pread(direct, page, 8192, size_of(direct) - 4096) == 4096);
}

static void refuses_writing(void)
{
    int fd = open_disk(O_RDWR), yes = 1, no = 0, found = 0;
    CHECK(ioctl(fd, BLKROSET, &yes) == 0);
    CHECK(ioctl(fd, BLKROGET, &found) == 0 && found == 1);
    CHECK_ERRNO(pwrite(fd, "x", 1, 8 << 20), EPERM);
    int again = open(disk, O_RDWR);
    CHECK(again >= 0);
    CHECK(ioctl(fd, BLKROSET, &no) == 0);
    CHECK(pwrite(fd, "x", 1, 8 << 20) == 1);
    uint64_t range[2] = {0, 4096};
    CHECK_ERRNO(ioctl(fd, BLKDISCARD, range), EOPNOTSUPP);
    int reader = open_disk(O_RDONLY);
    CHECK_ERRNO(ioctl(reader, BLKDISCARD, range), EBADF);
}

static void root_alone(void)
{
    int fd = open_disk(O_RDWR), yes = 1;
    CHECK(setuid(1000) == 0);
    CHECK_ERRNO(open(disk, O_RDONLY), EACCES);
    CHECK_ERRNO(ioctl(fd, BLKROSET, &yes), EACCES);
    CHECK_ERRNO(ioctl(fd, BLKROSET, 8), EACCES);
    CHECK_ERRNO(ioctl(fd, BLKFLSBUF, 0), EACCES);
    CHECK_ERRNO(ioctl(fd, BLKRRPART, 0), EACCES);
    CHECK_ERRNO(ioctl(fd, BLKBSZSET, &yes), EACCES);
    CHECK(ioctl(fd, BLKROGET, &yes) == 0 && yes == 0);
}

static void by_number(void)
{
    struct stat found;
    char path[64];
    snprintf(path, sizeof path, "/dev/own-%d", getpid());
    CHECK(stat(disk, &found) == 0);
    CHECK(mknod(path, S_IFBLK | 0600, found.st_rdev) == 0);
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && size_of(fd) > 0);
    CHECK(unlink(path) == 0 && size_of(fd) > 0);
    CHECK(mknod(path, S_IFBLK | 0600, makedev(241, 77)) == 0);
    CHECK_ERRNO(open(path, O_RDONLY), ENXIO);
    CHECK(unlink(path) == 0);
    CHECK_ERRNO(open(disk, O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open(disk, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
}

// A partition is a window: what is written there shows in the whole disk once both have forgotten what they had.
static void a_window(void)
{
    static unsigned char out[3 * 4096 + 100], in[sizeof out];
    int one = open(part, O_RDWR), whole = open_disk(O_RDWR);
    fill(out, sizeof out, 5);
    CHECK(pwrite(one, out, sizeof out, 1000) == sizeof out && fsync(one) == 0);
    CHECK(ioctl(whole, BLKFLSBUF, 0) == 0);
    CHECK(pread(whole, in, sizeof in, 2048 * 512 + 1000) == sizeof in && memcmp(in, out, sizeof in) == 0);
    CHECK(pwrite(one, out, 600, 8192 * 512 - 512) == 512);
    CHECK_ERRNO(pwrite(one, out, 1, 8192 * 512), ENOSPC);
}

// Each process writes its own sectors of pages that all share.
static void many_writers(void)
{
    enum { WRITERS = 4, SECTORS = 512 };
    pid_t pids[WRITERS];
    unsigned char sector[512];
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            int fd = open_disk(O_RDWR);
            for (int n = i; n < SECTORS; n += WRITERS) {
                fill(sector, sizeof sector, n);
                CHECK(pwrite(fd, sector, sizeof sector, (12 << 20) + n * 512) == sizeof sector);
                if (n % 64 == i)
                    CHECK(fsync(fd) == 0);
            }
            child_exit();
        }
    }
    for (int i = 0; i < WRITERS; i++)
        CHECK_CHILD(pids[i], 0);
    int fd = open_disk(O_RDWR), wrong = 0;
    CHECK(ioctl(fd, BLKFLSBUF, 0) == 0);
    for (int n = 0; n < SECTORS; n++) {
        unsigned char found[512];
        fill(sector, sizeof sector, n);
        wrong += pread(fd, found, sizeof found, (12 << 20) + n * 512) != sizeof found || memcmp(found, sector, 512) != 0;
    }
    CHECK(wrong == 0);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"tells-its-size", tells_its_size},
        {"bad-pointers", bad_pointers},
        {"reads-what-was-written", reads_what_was_written},
        {"is-mapped", is_mapped},
        {"one-has-it-for-himself", one_has_it_for_himself},
        {"past-the-cache", past_the_cache},
        {"refuses-writing", refuses_writing},
        {"root-alone", root_alone},
        {"by-number", by_number},
        {"a-window", a_window},
        {"many-writers", many_writers},
    };
    if (argc < 2) {
        fprintf(stderr, "usage: disks DISK [test…]\n");
        return 2;
    }
    disk = argv[1];
    const char *between = strchr("0123456789", disk[strlen(disk) - 1]) ? "p" : "";
    snprintf(part, sizeof part, "%s%s1", disk, between);
    snprintf(second, sizeof second, "%s%s2", disk, between);
    argc--, argv++;
    return RUN_TABLE(tests);
}
