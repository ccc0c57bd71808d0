// Checks mmap, munmap, mprotect, mremap, madvise, msync, mincore and the mlock family, down to the errno, with bad
// pointers and ranges first. It is run on Linux too, which is the oracle: where kernels may differ, nothing is checked.
// memory [FILE] takes a readable file of 14 bytes, "Hello, world!" and a newline.
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

// Addresses no program has: page 0, a kernel's, one that is not canonical, the last page there is.
static char *const NOWHERE[] = {0, (char *)0xffff800000000000, (char *)0x0000800000000000, (char *)-PAGE};
enum { NOWHERES = sizeof NOWHERE / sizeof *NOWHERE };

// The plain system call: the C library checks and changes some arguments before the kernel sees them.
static long raw(long number, long a, long b, long c, long d, long e, long f)
{
    return syscall(number, a, b, c, d, e, f);
}

static char *map(size_t pages)
{
    char *at = mmap(0, pages * PAGE, RW, ANON, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

// A range of pages without the one in its middle.
static char *map_with_hole(void)
{
    char *at = map(3);
    CHECK(munmap(at + PAGE, PAGE) == 0);
    return at;
}

// Whether what is there can be read: asked of the kernel, by a path, so that no signal comes.
static int readable(const char *at)
{
    return access(at, F_OK) == 0 || errno != EFAULT;
}

// Whether it can be written: the kernel tries, with the time.
static int writable(char *at)
{
    return raw(SYS_clock_gettime, 0, (long)at, 0, 0, 0, 0) == 0;
}

static void bad_ranges(void)
{
    for (int i = 0; i < NOWHERES; i++) {
        char *bad = NOWHERE[i];
        CHECK_ERRNO(raw(SYS_mprotect, (long)bad, PAGE, PROT_READ, 0, 0, 0), ENOMEM);
        CHECK_ERRNO(raw(SYS_mremap, (long)bad, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0, 0), EFAULT);
        CHECK_ERRNO(raw(SYS_mincore, (long)bad, PAGE, (long)bad, 0, 0, 0), ENOMEM);
    }
    // The last page ends at address 0, which counts as an empty range or one that wraps around.
    for (int i = 0; i < NOWHERES - 1; i++) {
        char *bad = NOWHERE[i];
        CHECK_ERRNO(raw(SYS_madvise, (long)bad, PAGE, MADV_DONTNEED, 0, 0, 0), ENOMEM);
        CHECK_ERRNO(raw(SYS_msync, (long)bad, PAGE, MS_SYNC, 0, 0, 0), ENOMEM);
        CHECK_ERRNO(raw(SYS_mlock, (long)bad, PAGE, 0, 0, 0, 0), ENOMEM);
        CHECK_ERRNO(raw(SYS_munlock, (long)bad, PAGE, 0, 0, 0, 0), ENOMEM);
    }
    for (int i = 1; i < NOWHERES; i++) {
        char *bad = NOWHERE[i];
        CHECK_ERRNO(raw(SYS_munmap, (long)bad, PAGE, 0, 0, 0, 0), EINVAL);
        CHECK_ERRNO(raw(SYS_mmap, (long)bad, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
    }
    CHECK(raw(SYS_munmap, 0, PAGE, 0, 0, 0, 0) == 0); // nothing is there, which is fine
    char *at = map(1);
    CHECK_ERRNO(raw(SYS_mprotect, (long)at + 1, PAGE, PROT_READ, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_munmap, (long)at + 1, PAGE, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at + 1, PAGE, PAGE, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_madvise, (long)at + 1, PAGE, MADV_NORMAL, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_msync, (long)at + 1, PAGE, MS_SYNC, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mincore, (long)at + 1, PAGE, (long)at, 0, 0, 0), EINVAL);
    CHECK(munmap(at, PAGE) == 0);
}

static void mapping(void)
{
    CHECK_ERRNO(raw(SYS_mmap, 0, 0, RW, ANON, -1, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, RW, ANON, -1, 1), EINVAL);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, 99, 0), EBADF);
    CHECK_ERRNO(raw(SYS_mmap, 0, 0, RW, MAP_PRIVATE, 99, 0), EBADF);
    CHECK_ERRNO(raw(SYS_mmap, 0, -1, RW, ANON, -1, 0), ENOMEM);
    CHECK_ERRNO(raw(SYS_mmap, 0, LONG_MAX, RW, ANON, -1, 0), ENOMEM);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), EINVAL);
    char *at = map(4);
    CHECK_ERRNO(raw(SYS_mmap, (long)at + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
    CHECK_ERRNO(mmap(at + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    for (int page = 0; page < 4; page++)
        at[page * PAGE] = 1 + page;
    CHECK(mmap(at + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == at + PAGE);
    CHECK(at[0] == 1 && at[PAGE] == 0 && at[2 * PAGE] == 3);
    CHECK(munmap(at + 2 * PAGE, PAGE) == 0);
    CHECK(mmap(at + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == at + 2 * PAGE);
    CHECK(at[2 * PAGE] == 0 && at[3 * PAGE] == 4);
    // A wish is a wish: taken where it is free, and not where it is not.
    CHECK(munmap(at + PAGE, PAGE) == 0);
    CHECK(mmap(at + PAGE, PAGE, RW, ANON, -1, 0) == at + PAGE);
    char *other = mmap(at, PAGE, RW, ANON, -1, 0);
    CHECK(other != MAP_FAILED && other != at && at[0] == 1);
    CHECK(munmap(other, PAGE) == 0 && munmap(at, 4 * PAGE) == 0);
    // Bits of the protection that mmap does not know are passed over.
    CHECK((at = mmap(0, PAGE, RW | 0x100, ANON | MAP_NORESERVE | MAP_STACK, -1, 0)) != MAP_FAILED);
    CHECK(munmap(at, PAGE) == 0);
    CHECK_ERRNO(munmap(at, 0), EINVAL);
    // Far more than there is, without a reservation, is only addresses.
    size_t huge = 1ul << 40;
    CHECK((at = mmap(0, huge, RW, ANON | MAP_NORESERVE, -1, 0)) != MAP_FAILED);
    at[huge / 2] = 1;
    CHECK(at[huge / 2 - 1] == 0 && munmap(at, huge) == 0);
}

static void populating(void)
{
    unsigned char there[4] = {0};
    char *at = mmap(0, 4 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);
    CHECK(at != MAP_FAILED);
    CHECK(mincore(at, 4 * PAGE, there) == 0 && (there[0] & there[1] & there[2] & there[3] & 1));
    CHECK(munmap(at, 4 * PAGE) == 0);
    at = map(4);
    at[2 * PAGE] = 1;
    CHECK(mincore(at, 4 * PAGE, there) == 0);
    CHECK(!(there[0] & 1) && !(there[1] & 1) && (there[2] & 1) && !(there[3] & 1));
    CHECK_ERRNO(raw(SYS_mincore, (long)at, PAGE, 8, 0, 0, 0), EFAULT);
    CHECK_ERRNO(raw(SYS_mincore, (long)at, 64 * PAGE, -8, 0, 0, 0), EFAULT);
    CHECK(mprotect(at, PAGE, PROT_READ) == 0);
    CHECK_ERRNO(mincore(at, PAGE, (unsigned char *)at), EFAULT);
    CHECK(munmap(at + PAGE, PAGE) == 0);
    CHECK_ERRNO(mincore(at, 3 * PAGE, there), ENOMEM);
    CHECK(mincore(at, 0, there) == 0);
    CHECK(munmap(at, 4 * PAGE) == 0);
}

static void shared_memory(void)
{
    char *at = mmap(0, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    at[0] = 1;
    at[3 * PAGE] = 4;
    // A resize from length 0 maps the same memory once more.
    char *twin = mremap(at, 0, 4 * PAGE, MREMAP_MAYMOVE);
    CHECK(twin != MAP_FAILED && twin != at);
    CHECK(twin[0] == 1 && twin[3 * PAGE] == 4 && twin[PAGE] == 0);
    twin[PAGE] = 2;
    CHECK(at[PAGE] == 2);
    // What one mapping gives up is still there.
    CHECK(madvise(at, 4 * PAGE, MADV_DONTNEED) == 0 && at[0] == 1 && at[PAGE] == 2);
    CHECK(munmap(at, 4 * PAGE) == 0 && twin[0] == 1);
    CHECK(msync(twin, 4 * PAGE, MS_SYNC) == 0);
    CHECK(munmap(twin, 4 * PAGE) == 0);
    int fd = open("/dev/zero", O_RDWR);
    CHECK(fd >= 0);
    CHECK((at = mmap(0, PAGE, RW, MAP_PRIVATE, fd, 0)) != MAP_FAILED && at[7] == 0);
    at[7] = 1;
    CHECK(munmap(at, PAGE) == 0);
    CHECK((at = mmap(0, PAGE, RW, MAP_SHARED, fd, 0)) != MAP_FAILED && at[7] == 0);
    CHECK((twin = mremap(at, 0, PAGE, MREMAP_MAYMOVE)) != MAP_FAILED);
    at[7] = 1;
    CHECK(twin[7] == 1);
    CHECK(munmap(at, PAGE) == 0 && munmap(twin, PAGE) == 0 && close(fd) == 0);
}

// What a child finds, and what its stores do to the parent.
static void forked(void)
{
    char *shared = mmap(0, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *own = map(3), *wiped = map(2), *absent = map(1), *locked = map(1);
    CHECK(shared != MAP_FAILED && madvise(wiped, 2 * PAGE, MADV_WIPEONFORK) == 0);
    CHECK(madvise(absent, PAGE, MADV_DONTFORK) == 0 && mlock(locked, PAGE) == 0);
    shared[0] = own[0] = own[PAGE] = wiped[0] = absent[0] = 1;
    CHECK(own[2 * PAGE] == 0); // a load alone
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int right = shared[0] == 1 && shared[PAGE] == 0 && own[0] == 1 && own[2 * PAGE] == 0 && wiped[0] == 0;
        right = right && !readable(absent) && madvise(locked, PAGE, MADV_DONTNEED) == 0;
        shared[0] = shared[PAGE] = own[0] = own[2 * PAGE] = wiped[PAGE] = 2;
        right = right && own[PAGE] == 1 && own[0] == 2;
        _exit(right ? 0 : 1);
    }
    own[PAGE] = 3;
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(shared[0] == 2 && shared[PAGE] == 2 && own[0] == 1 && own[PAGE] == 3 && own[2 * PAGE] == 0);
    CHECK(wiped[0] == 1 && wiped[PAGE] == 0 && absent[0] == 1);
    CHECK(munmap(shared, 2 * PAGE) == 0 && munmap(own, 3 * PAGE) == 0 && munmap(wiped, 2 * PAGE) == 0);
    CHECK(munmap(absent, PAGE) == 0 && munmap(locked, PAGE) == 0);
}

// Two processes add to one word, a thousand times each, and the sum is right.
static void shared_by_processes(void)
{
    int *sum = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0), status, ended = 0;
    CHECK(sum != MAP_FAILED);
    for (int child = 0; child < 4; child++) {
        if (fork() == 0) {
            for (int i = 0; i < 1000; i++)
                __atomic_fetch_add(sum, 1, __ATOMIC_SEQ_CST);
            _exit(0);
        }
    }
    while (wait(&status) > 0)
        ended += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    CHECK(ended == 4 && *sum == 4000);
    CHECK(munmap(sum, PAGE) == 0);
}

// Limits refuse what is over them, and no more. In a child, since they stay.
static void limited(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        unsigned failed = checks_failed;
        char *at = map(4);
        struct rlimit limit = {64 << 20, 64 << 20};
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        CHECK_ERRNO(mmap(0, 128 << 20, PROT_READ, ANON | MAP_NORESERVE, -1, 0), ENOMEM);
        CHECK_ERRNO(mremap(at, PAGE, 128 << 20, MREMAP_MAYMOVE), ENOMEM);
        char *most = mmap(0, 32 << 20, PROT_READ, ANON, -1, 0);
        CHECK(most != MAP_FAILED);
        // In place of what is there, it is not more.
        CHECK(mmap(most, 32 << 20, RW, ANON | MAP_FIXED, -1, 0) == most);
        CHECK(munmap(most, 32 << 20) == 0);
        limit.rlim_cur = limit.rlim_max = 8 << 20;
        CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
        CHECK_ERRNO(mmap(0, 16 << 20, RW, ANON, -1, 0), ENOMEM);
        CHECK((most = mmap(0, 16 << 20, PROT_READ, ANON, -1, 0)) != MAP_FAILED);
        CHECK_ERRNO(mprotect(most, 16 << 20, RW), ENOMEM);
        CHECK(mmap(0, 16 << 20, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
        char *now = sbrk(0);
        CHECK(raw(SYS_brk, (long)now + (16 << 20), 0, 0, 0, 0, 0) == (long)now);
        _exit(checks_failed != failed);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void protecting(void)
{
    char *at = map_with_hole();
    CHECK_ERRNO(mprotect(at, 3 * PAGE, PROT_READ), ENOMEM);
    // Up to the hole it is done all the same.
    CHECK(!writable(at) && writable(at + 2 * PAGE) && mprotect(at, PAGE, RW) == 0 && writable(at));
    CHECK_ERRNO(mprotect(at + PAGE, PAGE, PROT_READ), ENOMEM);
    CHECK_ERRNO(raw(SYS_mprotect, (long)at, PAGE, 0x100, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mprotect, (long)at + PAGE, PAGE, 0x100, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mprotect, (long)at, PAGE, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mprotect, (long)at, PAGE, PROT_READ | PROT_GROWSDOWN, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mprotect, (long)at, -1, PROT_READ, 0, 0, 0), ENOMEM);
    CHECK(raw(SYS_mprotect, (long)at, 0, 0x100, 0, 0, 0) == 0);
    CHECK(raw(SYS_mprotect, 0, 0, PROT_READ, 0, 0, 0) == 0);
    at[0] = 'x';
    CHECK(mprotect(at, PAGE, PROT_NONE) == 0 && !readable(at));
    CHECK(mprotect(at, 1, PROT_READ) == 0 && readable(at) && at[0] == 'x');
    CHECK(mprotect(at, PAGE, RW) == 0);
    at[0] = 'y';
    CHECK(at[0] == 'y' && munmap(at, 3 * PAGE) == 0);
    // A change in the middle and back leaves one mapping: it can be resized as one.
    at = map(3);
    CHECK(mprotect(at + PAGE, PAGE, PROT_READ) == 0);
    CHECK_ERRNO(mremap(at, 3 * PAGE, 2 * PAGE + PAGE + 1, MREMAP_MAYMOVE), EFAULT);
    CHECK(mprotect(at + PAGE, PAGE, RW) == 0);
    CHECK((at = mremap(at, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE)) != MAP_FAILED);
    CHECK(munmap(at, 4 * PAGE) == 0);
}

static void resizing(void)
{
    char *at = map(8);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, PAGE, 8, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, PAGE, MREMAP_FIXED, (long)at + 64 * PAGE, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, 0, MREMAP_MAYMOVE, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, 0, PAGE, MREMAP_MAYMOVE, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, -1, MREMAP_MAYMOVE, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, 1l << 46, MREMAP_MAYMOVE, 0, 0), ENOMEM);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, 9 * PAGE, 10 * PAGE, MREMAP_MAYMOVE, 0, 0), EFAULT);
    long both = MREMAP_MAYMOVE | MREMAP_FIXED;
    CHECK_ERRNO(raw(SYS_mremap, (long)at, 2 * PAGE, 2 * PAGE, both, (long)at + PAGE, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at + PAGE, 2 * PAGE, 2 * PAGE, both, (long)at, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, PAGE, both, (long)at + 64 * PAGE + 1, 0), EINVAL);
    for (int i = 1; i < NOWHERES; i++)
        CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, PAGE, both, (long)NOWHERE[i], 0), EINVAL);
    for (int page = 0; page < 8; page++)
        at[page * PAGE] = 1 + page;
    // Shrink, then grow into what that left.
    CHECK(mremap(at, 8 * PAGE, 4 * PAGE, 0) == at && !readable(at + 4 * PAGE));
    CHECK(mremap(at, 4 * PAGE, 6 * PAGE, 0) == at && at[3 * PAGE] == 4 && at[5 * PAGE] == 0);
    // No room in place.
    CHECK(mmap(at + 6 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) != MAP_FAILED);
    CHECK(mprotect(at + 6 * PAGE, PAGE, PROT_READ) == 0);
    CHECK_ERRNO(mremap(at, 6 * PAGE, 8 * PAGE, 0), ENOMEM);
    char *moved = mremap(at, 6 * PAGE, 800 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved != at && !readable(at) && readable(at + 6 * PAGE));
    CHECK(moved[0] == 1 && moved[3 * PAGE] == 4 && moved[4 * PAGE] == 0 && moved[799 * PAGE] == 0);
    // To a place, over what is there, with a part of it.
    char *to = map(4);
    to[0] = 99;
    CHECK(mremap(moved + PAGE, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED || to[0] == 2);
    CHECK(to[0] == 2 && to[PAGE] == 3 && to[2 * PAGE] == 0);
    CHECK(!readable(moved + PAGE) && moved[0] == 1 && moved[3 * PAGE] == 4);
    CHECK(munmap(to, 4 * PAGE) == 0 && munmap(moved, 800 * PAGE) == 0 && munmap(at + 6 * PAGE, PAGE) == 0);
}

static void keeping_the_old(void)
{
    enum { DONTUNMAP = 4 };
    char *at = map(2);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, PAGE, DONTUNMAP, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mremap, (long)at, PAGE, 2 * PAGE, DONTUNMAP | MREMAP_MAYMOVE, 0, 0), EINVAL);
    at[0] = 1;
    char *moved = (char *)raw(SYS_mremap, (long)at, 2 * PAGE, 2 * PAGE, DONTUNMAP | MREMAP_MAYMOVE, 0, 0);
    CHECK(moved != MAP_FAILED && moved != at && moved[0] == 1 && at[0] == 0);
    CHECK(munmap(at, 2 * PAGE) == 0 && munmap(moved, 2 * PAGE) == 0);
}

// Pages of several tables that move by a distance that is no multiple of what a table spans.
static void moving_much(void)
{
    size_t pages = 1500, bytes = pages * PAGE;
    char *at = map(pages), *to = map(2 * pages);
    for (size_t page = 0; page < pages; page += 7)
        *(size_t *)(at + page * PAGE) = page + 1;
    to += 123 * PAGE;
    CHECK(mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    size_t wrong = 0;
    for (size_t page = 0; page < pages; page++)
        wrong += *(size_t *)(to + page * PAGE) != (page % 7 ? 0 : page + 1);
    CHECK(wrong == 0);
    CHECK(munmap(to - 123 * PAGE, 2 * bytes) == 0);
}

static void advising(void)
{
    char *at = map_with_hole();
    CHECK_ERRNO(madvise(at, PAGE, 77), EINVAL);
    CHECK_ERRNO(raw(SYS_madvise, (long)at, -1, MADV_NORMAL, 0, 0, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_madvise, (long)at, -PAGE, MADV_NORMAL, 0, 0, 0), EINVAL);
    CHECK(madvise(at, 0, MADV_DONTNEED) == 0 && madvise((char *)PAGE, 0, MADV_DONTNEED) == 0);
    // What is mapped is done, hole or not.
    at[0] = at[2 * PAGE] = 1;
    CHECK_ERRNO(madvise(at, 3 * PAGE, MADV_DONTNEED), ENOMEM);
    CHECK(at[0] == 0 && at[2 * PAGE] == 0);
    CHECK(munmap(at, 3 * PAGE) == 0);
    at = map(3);
    static const int harmless[] = {MADV_NORMAL,   MADV_RANDOM,     MADV_SEQUENTIAL, MADV_WILLNEED, MADV_FREE,
                                   MADV_DONTFORK, MADV_DOFORK,     MADV_DONTDUMP,   MADV_DODUMP,   MADV_WIPEONFORK,
                                   MADV_KEEPONFORK};
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        CHECK(madvise(at + PAGE, PAGE, harmless[i]) == 0);
    at[PAGE] = 1;
    CHECK(madvise(at + PAGE, 1, MADV_DONTNEED) == 0 && at[PAGE] == 0);
    CHECK(munmap(at, 3 * PAGE) == 0);
    at = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK_ERRNO(madvise(at, PAGE, MADV_FREE), EINVAL);
    CHECK_ERRNO(madvise(at, PAGE, MADV_WIPEONFORK), EINVAL);
    CHECK(munmap(at, PAGE) == 0);
}

static void syncing(void)
{
    char *at = map_with_hole();
    CHECK_ERRNO(msync(at, PAGE, 8), EINVAL);
    CHECK_ERRNO(msync(at, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    CHECK_ERRNO(msync(at, 3 * PAGE, MS_SYNC), ENOMEM);
    CHECK_ERRNO(raw(SYS_msync, (long)at, -PAGE, MS_SYNC, 0, 0, 0), ENOMEM);
    CHECK(msync(at, PAGE, MS_SYNC) == 0 && msync(at, PAGE, MS_ASYNC) == 0 && msync(at, PAGE, 0) == 0);
    CHECK(msync(at + PAGE, 0, MS_SYNC) == 0);
    CHECK(munmap(at, 3 * PAGE) == 0);
}

static void locking(void)
{
    unsigned char there[4];
    char *at = map(4);
    CHECK_ERRNO(syscall(SYS_mlock2, at, PAGE, 2), EINVAL);
    CHECK_ERRNO(mlockall(0), EINVAL);
    CHECK_ERRNO(mlockall(8), EINVAL);
    CHECK_ERRNO(mlockall(4), EINVAL);
    // The pages that the range touches.
    CHECK(mlock(at + 100, PAGE) == 0);
    CHECK(mincore(at, 4 * PAGE, there) == 0 && (there[0] & 1) && (there[1] & 1) && !(there[2] & 1));
    CHECK_ERRNO(madvise(at, PAGE, MADV_DONTNEED), EINVAL);
    CHECK_ERRNO(msync(at, PAGE, MS_INVALIDATE), EBUSY);
    CHECK(munlock(at, PAGE) == 0 && madvise(at, PAGE, MADV_DONTNEED) == 0);
    CHECK(munlock(at, 4 * PAGE) == 0);
    CHECK(syscall(SYS_mlock2, at + 2 * PAGE, PAGE, 1) == 0);
    CHECK(mincore(at, 4 * PAGE, there) == 0 && !(there[2] & 1));
    CHECK(munmap(at, 4 * PAGE) == 0);
    at = map_with_hole();
    CHECK_ERRNO(mlock(at, 3 * PAGE), ENOMEM);
    CHECK_ERRNO(munlock(at, 3 * PAGE), ENOMEM);
    CHECK(munlock(at, PAGE) == 0 && munmap(at, 3 * PAGE) == 0);
    at = mmap(0, PAGE, PROT_NONE, ANON, -1, 0);
    CHECK_ERRNO(mlock(at, PAGE), ENOMEM);
    CHECK(munlock(at, PAGE) == 0 && munmap(at, PAGE) == 0);
    at = mmap(0, PAGE, RW, ANON | MAP_LOCKED, -1, 0);
    CHECK(at != MAP_FAILED && mincore(at, PAGE, there) == 0 && (there[0] & 1));
    CHECK(munlockall() == 0 && madvise(at, PAGE, MADV_DONTNEED) == 0 && munmap(at, PAGE) == 0);
}

static void files(const char *path)
{
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    CHECK_ERRNO(mmap(0, PAGE, RW, MAP_SHARED, fd, 0), EACCES);
    CHECK_ERRNO(mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, PROT_READ, 0, fd, 0), EINVAL);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0), EOPNOTSUPP);
    CHECK_ERRNO(raw(SYS_mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, fd, LONG_MIN), EOVERFLOW);
    char *at = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED && memcmp(at, "Hello, world!\n\0\0", 16) == 0);
    CHECK_ERRNO(mprotect(at, PAGE, RW), EACCES);
    CHECK_ERRNO(madvise(at, PAGE, MADV_FREE), EINVAL);
    CHECK(madvise(at, PAGE, MADV_WILLNEED) == 0 && msync(at, PAGE, MS_SYNC) == 0);
    CHECK(munmap(at, PAGE) == 0);
    // A private copy, which is the file's again when its pages are given up.
    at = mmap(0, PAGE, RW, MAP_PRIVATE, fd, 0);
    CHECK(at != MAP_FAILED && at[0] == 'H');
    at[0] = 'J';
    char *other = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(other != MAP_FAILED && other[0] == 'H' && at[0] == 'J');
    CHECK((at = mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE)) != MAP_FAILED && at[0] == 'J' && at[1] == 'e');
    CHECK(madvise(at, PAGE, MADV_DONTNEED) == 0 && at[0] == 'H');
    // Behind the end of the file nothing can be had: not even by the kernel.
    CHECK(!readable(at + PAGE));
    CHECK(munmap(at, 2 * PAGE) == 0 && munmap(other, PAGE) == 0 && close(fd) == 0);
    fd = open("/", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    CHECK_ERRNO(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV);
    CHECK(close(fd) == 0);
    fd = open("/dev/null", O_WRONLY);
    CHECK_ERRNO(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), EACCES);
    CHECK(close(fd) == 0);
}

// Many mappings that do not join, in no order; all must be found again.
static void many_mappings(void)
{
    enum { COUNT = 3000 };
    char *base = mmap(0, 2 * COUNT * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    CHECK(base != MAP_FAILED);
    unsigned wrong = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        char *at = base + 2 * (i * 1237 % COUNT) * PAGE;
        wrong += mmap(at, PAGE, RW, ANON | MAP_FIXED, -1, 0) != at;
        *(unsigned *)at = i;
    }
    for (unsigned i = 0; i < COUNT; i++)
        wrong += *(unsigned *)(base + 2 * (i * 1237 % COUNT) * PAGE) != i;
    CHECK(wrong == 0);
    CHECK(munmap(base, 2 * COUNT * PAGE) == 0);
}

static void the_break(void)
{
    char *start = (char *)raw(SYS_brk, 0, 0, 0, 0, 0, 0);
    CHECK(start != 0);
    for (int i = 0; i < NOWHERES; i++)
        CHECK((char *)raw(SYS_brk, (long)NOWHERE[i], 0, 0, 0, 0, 0) == start);
    CHECK((char *)raw(SYS_brk, (long)start + 5 * PAGE, 0, 0, 0, 0, 0) == start + 5 * PAGE);
    start[4 * PAGE] = 1;
    CHECK((char *)raw(SYS_brk, (long)start, 0, 0, 0, 0, 0) == start);
    CHECK((char *)raw(SYS_brk, (long)start + 5 * PAGE, 0, 0, 0, 0, 0) == start + 5 * PAGE);
    CHECK(start[4 * PAGE] == 0);
    CHECK((char *)raw(SYS_brk, (long)start, 0, 0, 0, 0, 0) == start);
}

static void (*const PARTS[])(void) = {
    bad_ranges, mapping,        populating,      shared_memory, forked,   shared_by_processes, limited,       protecting,
    resizing,   keeping_the_old, moving_much,     advising,      syncing,  locking,             many_mappings, the_break,
};

int main(int argc, char **argv)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    for (unsigned part = 0; part < sizeof PARTS / sizeof *PARTS; part++)
        PARTS[part]();
    files(argc > 1 ? argv[1] : "/hello.txt");
    return check_result();
}
