// Gives system calls every kind of bad pointer: null, unmapped, into the kernel, non-canonical, wrapping round, and a
// buffer whose second page is missing. Each must be EFAULT (or the part that fits), and the program must live on.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static const uintptr_t bad[] = {
    0,
    1,
    0x1000,
    0x00007ffffffff000, // the page below 2^47, which a program cannot have
    0x0000800000000000, // the first non-canonical address
    0x8000000000000000,
    0xffff800000000000,
    0xffff800000100000,
    0xffffffff80100000,
    0xfffffffffffff000,
    0xffffffffffffffff,
};

static void whole_pointers(const char *file)
{
    int fd = open(file, O_RDONLY);
    CHECK(fd >= 0);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *p = (void *)bad[i];
        CHECK_ERRNO(syscall(SYS_pread64, fd, p, 5, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_uname, p), EFAULT);
        CHECK_ERRNO(syscall(SYS_openat, AT_FDCWD, p, O_RDONLY), EFAULT);
        CHECK_ERRNO(syscall(SYS_fstat, fd, p), EFAULT);
        CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p), EFAULT);
        CHECK_ERRNO(syscall(SYS_nanosleep, p, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_getrandom, p, 8, 0), EFAULT);
        CHECK_ERRNO(syscall(SYS_getcwd, p, 64), EFAULT);
        CHECK_ERRNO(syscall(SYS_chdir, p), EFAULT);
        CHECK_ERRNO(syscall(SYS_writev, 1, p, 1), EFAULT);
        CHECK_ERRNO(syscall(SYS_write, 1, p, 5), EFAULT);
    }
    close(fd);
}

// A buffer that begins well and ends in a page that is not there.
static void crossing(const char *file)
{
    char *two = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(two != MAP_FAILED);
    CHECK(munmap(two + PAGE, PAGE) == 0);

    CHECK_ERRNO(syscall(SYS_uname, two + PAGE - 8), EFAULT);
    CHECK_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, two + PAGE - 8), EFAULT);
    memset(two, 'x', PAGE);
    CHECK_ERRNO(syscall(SYS_openat, AT_FDCWD, two + PAGE - 16, O_RDONLY), EFAULT);
    // A path that ends just before the border is read no further than its end.
    strcpy(two + PAGE - 2, ".");
    int fd = (int)syscall(SYS_openat, AT_FDCWD, two + PAGE - 2, O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    close(fd);
    // A read into it gives what fits, or EFAULT; never more.
    fd = open(file, O_RDONLY);
    long got = syscall(SYS_read, fd, two + PAGE - 4, 8);
    CHECK(got == 4 || (got == -1 && errno == EFAULT));
    close(fd);
}

// The same at every distance from the border that a copy may treat in its own way: whole blocks, words, bytes. What is
// said to be copied must be there, up to the last byte.
static void crossing_anywhere(const char *program)
{
    enum { LEN = 300 };
    char wanted[LEN], back[LEN];
    char *two = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(two != MAP_FAILED && munmap(two + PAGE, PAGE) == 0);
    int fd = open(program, O_RDONLY), ends[2];
    CHECK(fd >= 0 && pipe(ends) == 0);
    CHECK(pread(fd, wanted, LEN, 1) == LEN);
    for (long fits = 1; fits < LEN; fits++) {
        char *at = two + PAGE - fits;
        memset(at, 0, fits);
        CHECK(syscall(SYS_pread64, fd, at, LEN, 1) == fits && memcmp(at, wanted, fits) == 0);
        // Of a write, Linux may take what it can read, or nothing.
        memcpy(at, wanted, fits);
        long taken = syscall(SYS_write, ends[1], at, LEN);
        CHECK(taken == fits || (taken == -1 && errno == EFAULT));
        if (taken > 0)
            CHECK(read(ends[0], back, LEN) == taken && memcmp(back, wanted, taken) == 0);
    }
    close(ends[0]);
    close(ends[1]);
    close(fd);
}

// Read-only memory is as bad a destination as none.
static void read_only(const char *file)
{
    char *page = mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    int fd = open(file, O_RDONLY);
    CHECK_ERRNO(syscall(SYS_read, fd, page, 4), EFAULT);
    CHECK_ERRNO(syscall(SYS_uname, page), EFAULT);
    CHECK_ERRNO(syscall(SYS_uname, (void *)read_only), EFAULT);
    CHECK(page[0] == 0);
    char *none = mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(none != MAP_FAILED);
    CHECK_ERRNO(syscall(SYS_uname, none), EFAULT);
    CHECK_ERRNO(syscall(SYS_write, 1, none, 4), EFAULT);
    close(fd);
}

// A length of 0 touches nothing; a descriptor that is bad is noticed before a pointer that is.
static void order_of_checks(const char *file)
{
    int fd = open(file, O_RDONLY);
    CHECK(syscall(SYS_read, fd, (void *)1, 0) == 0);
    CHECK_ERRNO(syscall(SYS_read, 1000, (void *)1, 4), EBADF);
    CHECK_ERRNO(syscall(SYS_write, -1, (void *)1, 4), EBADF);
    close(fd);
}

int main(int argc, char **argv)
{
    const char *file = argc > 1 ? argv[1] : "/hello.txt";
    whole_pointers(file);
    crossing(file);
    crossing_anywhere(argv[0]);
    read_only(file);
    order_of_checks(file);
    return check_result();
}
