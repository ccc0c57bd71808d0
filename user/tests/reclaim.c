// Mappings of a file that is larger than the memory: what is read through them is what the file holds, what was stored to
// private pages stays, and nobody is ended for want of memory.
//   reclaim file MIB    makes the file, of that many MiB, and removes it
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>

enum { PAGE = 4096, STORED_EVERY = 512, RANDOM_LOADS = 300, HOT_EVERY = 64, LONG_SECONDS = 600 };

static const char *path;
static size_t pages;

// The first word of page `number`; the last one is its complement.
static uint64_t mark(uint64_t number) { return (number + 1) * 0x9e3779b97f4a7c15; }

static void make(void)
{
    static uint64_t page[PAGE / 8];
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    CHECK(fd >= 0);
    size_t written = 0;
    for (size_t i = 0; i < pages; i++) {
        page[0] = mark(i);
        page[PAGE / 8 - 1] = ~mark(i);
        written += write(fd, page, PAGE) == PAGE;
    }
    CHECK(written == pages);
    CHECK(fsync(fd) == 0 && close(fd) == 0);
}

static volatile uint64_t *map(int protection, int flags)
{
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    void *at = mmap(0, pages * PAGE, protection, flags, fd, 0);
    CHECK(at != MAP_FAILED && close(fd) == 0);
    return at;
}

static int holds(volatile uint64_t *at, size_t number)
{
    volatile uint64_t *page = at + number * (PAGE / 8);
    return page[0] == mark(number) && page[PAGE / 8 - 1] == ~mark(number);
}

static size_t wrong_pages(volatile uint64_t *at)
{
    size_t wrong = 0;
    for (size_t i = 0; i < pages; i++) {
        wrong += !holds(at, i);
        // One page that is used all the time.
        if (i % HOT_EVERY == 0)
            wrong += !holds(at, 0);
    }
    return wrong;
}

static void read_through(void)
{
    alarm(LONG_SECONDS);
    volatile uint64_t *at = map(PROT_READ, MAP_SHARED);
    CHECK(wrong_pages(at) == 0);
    CHECK(wrong_pages(at) == 0);
    unsigned state = 1, wrong = 0;
    for (int i = 0; i < RANDOM_LOADS; i++) {
        state = state * 1664525 + 1013904223;
        wrong += !holds(at, (state >> 8) % pages);
    }
    CHECK(wrong == 0);
    CHECK(munmap((void *)at, pages * PAGE) == 0);
}

// Two processes read at once, one of them by a private mapping of which it stores to some pages.
static void private_stores_stay(void)
{
    alarm(LONG_SECONDS);
    volatile uint64_t *private = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    for (size_t i = 0; i < pages; i += STORED_EVERY)
        private[i * (PAGE / 8) + 7] = ~i;
    pid_t other = fork();
    if (other == 0) {
        volatile uint64_t *shared = map(PROT_READ, MAP_SHARED);
        size_t wrong = wrong_pages(shared);
        if (wrong != 0)
            printf("%zu pages are wrong for the other process\n", wrong);
        fflush(stdout);
        _exit(wrong != 0);
    }
    CHECK(wrong_pages(private) == 0);
    int status = -1;
    CHECK(waitpid(other, &status, 0) == other);
    if (status != 0)
        printf("the other process ended with %#x\n", status);
    CHECK(status == 0);
    size_t lost = 0;
    for (size_t i = 0; i < pages; i++)
        lost += private[i * (PAGE / 8) + 7] != (i % STORED_EVERY == 0 ? ~i : 0);
    CHECK(lost == 0);
}

// Pages that were stored to through a shared mapping are written before they may go.
static void shared_stores_last(void)
{
    alarm(LONG_SECONDS);
    volatile uint64_t *at = map(PROT_READ | PROT_WRITE, MAP_SHARED);
    for (size_t i = 0; i < pages; i += STORED_EVERY)
        at[i * (PAGE / 8) + 9] = mark(i);
    CHECK(wrong_pages(at) == 0);
    size_t lost = 0;
    for (size_t i = 0; i < pages; i += STORED_EVERY)
        lost += at[i * (PAGE / 8) + 9] != mark(i);
    CHECK(lost == 0);
}

// Pages that are to stay in memory do, while others come and go.
static void locked_pages_stay(void)
{
    alarm(LONG_SECONDS);
    enum { LOCKED = 16 };
    volatile uint64_t *at = map(PROT_READ, MAP_SHARED);
    CHECK(mlock((void *)at, LOCKED * PAGE) == 0);
    CHECK(wrong_pages(at) == 0);
    unsigned char there[LOCKED];
    CHECK(mincore((void *)at, LOCKED * PAGE, there) == 0);
    int in_memory = 0;
    for (int i = 0; i < LOCKED; i++)
        in_memory += there[i] & 1;
    CHECK(in_memory == LOCKED);
}

static const struct test tests[] = {
    {"read-through", read_through},
    {"private-stores-stay", private_stores_stay},
    {"shared-stores-last", shared_stores_last},
    {"locked-pages-stay", locked_pages_stay},
};

int main(int argc, char **argv)
{
    if (argc < 3) {
        printf("usage: %s file MIB\n", argv[0]);
        return 2;
    }
    path = argv[1];
    pages = strtoul(argv[2], 0, 10) * (1 << 20) / PAGE;
    make();
    int status = run_table(tests, sizeof tests / sizeof *tests, 0, 0);
    unlink(path);
    return status;
}
