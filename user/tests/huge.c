// Large pages: whatever becomes of parts of one, each page holds what a model says. Where the kernel gives none, all
// must hold all the same; `large pages: yes` or `no` tells which.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <sys/prctl.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { HUGE = 2 << 20, PAGES_OF_HUGE = HUGE / TEST_PAGE, AREA = 4 * HUGE, PAGES = AREA / TEST_PAGE };

// An area that begins at a multiple of 2 MiB, and wants large pages.
static char *aligned_area(size_t len)
{
    char *at = mmap(0, len + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return 0;
    char *start = (char *)(((uintptr_t)at + HUGE - 1) & -(uintptr_t)HUGE);
    if (start > at)
        munmap(at, start - at);
    if (start + len < at + len + HUGE)
        munmap(start + len, at + HUGE - start);
    madvise(start, len, MADV_HUGEPAGE);
    return start;
}

// Pages in memory, or 0 where nobody tells.
static long resident(void)
{
    char text[128];
    long all = 0, in_memory = 0;
    int fd = open("/proc/self/statm", O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    return sscanf(text, "%ld %ld", &all, &in_memory) == 2 ? in_memory : 0;
}

// Whether one store brings 512 pages.
static int kernel_gives_them(void)
{
    long before = resident();
    char *at = aligned_area(HUGE);
    at[5 * TEST_PAGE] = 1;
    long more = resident() - before;
    munmap(at, HUGE);
    return more >= PAGES_OF_HUGE / 2;
}

static void all_of_it_is_zeros_and_goes(void)
{
    int large = kernel_gives_them();
    long before = resident();
    char *at = aligned_area(AREA);
    CHECK(at != 0);
    at[HUGE + 7] = 3;
    unsigned long sum = 0;
    for (size_t i = 0; i < AREA; i++)
        sum += (unsigned char)at[i];
    CHECK(sum == 3);
    if (large) {
        unsigned char in_memory[PAGES_OF_HUGE];
        CHECK(mincore(at + HUGE, HUGE, in_memory) == 0);
        CHECK(in_memory[0] & in_memory[300] & in_memory[PAGES_OF_HUGE - 1] & 1);
    }
    CHECK(munmap(at, AREA) == 0);
    if (large)
        CHECK(resident() < before + PAGES_OF_HUGE);
}

static void advice_is_followed(void)
{
    int large = kernel_gives_them();
    char *at = aligned_area(HUGE);
    CHECK(madvise(at, HUGE, MADV_NOHUGEPAGE) == 0);
    long before = resident();
    at[0] = 1;
    if (before)
        CHECK(resident() - before < PAGES_OF_HUGE / 2);
    for (int page = 0; page < PAGES_OF_HUGE; page += 3)
        at[page * TEST_PAGE] = page % 100;
    // One who has forbidden them does not get them by asking.
    CHECK(madvise(at, HUGE, MADV_COLLAPSE) == -1);
    CHECK(madvise(at, HUGE, MADV_HUGEPAGE) == 0);
    int collapsed = madvise(at, HUGE, MADV_COLLAPSE) == 0;
    CHECK(collapsed || !large);
    if (large)
        CHECK(resident() - before >= PAGES_OF_HUGE / 2);
    int wrong = 0;
    for (int page = 0; page < PAGES_OF_HUGE; page++)
        wrong += at[page * TEST_PAGE] != (page % 3 ? 0 : page % 100);
    CHECK(wrong == 0);
    CHECK(munmap(at, HUGE) == 0);
    CHECK(madvise(at, HUGE, MADV_COLLAPSE) == -1);
}

static void process_may_forbid_them(void)
{
    CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0);
    CHECK_ERRNO(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
    CHECK_ERRNO(prctl(PR_SET_THP_DISABLE, 1, 1, 0, 0), EINVAL);
    CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
    CHECK(!kernel_gives_them());
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) != 1)
            _exit(2);
        execl("/proc/self/exe", "huge", "--forbidden", (char *)0);
        _exit(3);
    }
    CHECK_CHILD(pid, 0);
    CHECK(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
    CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0);
}

// The first byte of each page, or what becomes of it: -1 means that the page may not be written, 0 or more what it holds.
struct model {
    char *at;
    unsigned char byte[PAGES];
    unsigned char read_only[PAGES];
    unsigned long random;
};

static unsigned pick(struct model *m, unsigned below)
{
    m->random = m->random * 6364136223846793005 + 1442695040888963407;
    return (m->random >> 33) % below;
}

static int differs(const struct model *m)
{
    int wrong = 0;
    for (int page = 0; page < PAGES; page++)
        wrong += (unsigned char)m->at[page * TEST_PAGE] != m->byte[page] || (unsigned char)m->at[page * TEST_PAGE + 4095] != m->byte[page];
    return wrong;
}

static void store(struct model *m, int page, int byte)
{
    if (m->read_only[page])
        return;
    m->at[page * TEST_PAGE] = m->at[page * TEST_PAGE + 4095] = byte;
    m->byte[page] = byte;
}

static void protect(struct model *m, int first, int count, int read_only)
{
    CHECK(mprotect(m->at + first * TEST_PAGE, (size_t)count * TEST_PAGE, PROT_READ | (read_only ? 0 : PROT_WRITE)) == 0);
    memset(m->read_only + first, read_only, count);
}

// A child changes pages that the parent keeps, and sees what the parent had.
static void with_child(struct model *m)
{
    pid_t pid = fork();
    if (pid == 0) {
        int wrong = differs(m);
        for (int i = 0; i < 40; i++)
            store(m, pick(m, PAGES), 77);
        _exit(wrong + differs(m) != 0);
    }
    store(m, pick(m, PAGES), 78);
    CHECK_CHILD(pid, 0);
}

// To a place elsewhere and back.
static void move(struct model *m, int first, int count)
{
    size_t len = (size_t)count * TEST_PAGE;
    char *from = m->at + first * TEST_PAGE;
    char *other = mmap(0, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other)
        CHECK(mremap(other, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, from) == from);
    else
        munmap(other, len); // more than one area: as it was
}

// The kernel reads and writes pages, as a program does.
static void through_kernel(struct model *m, int page)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], m->at + page * TEST_PAGE + 4094, 2) == 2);
    if (page + 1 < PAGES && !m->read_only[page] && !m->read_only[page + 1]) {
        CHECK(read(ends[0], m->at + page * TEST_PAGE + 4095, 2) == 2);
        m->at[page * TEST_PAGE + 4095] = m->byte[page];
        m->at[(page + 1) * TEST_PAGE] = m->byte[page + 1];
    }
    close(ends[0]);
    close(ends[1]);
}

static void step(struct model *m)
{
    int first = pick(m, PAGES), count = 1 + pick(m, pick(m, 3) ? 40 : 2 * PAGES_OF_HUGE);
    if (!pick(m, 3)) // whole large pages often, too
        first &= -PAGES_OF_HUGE, count = (count + PAGES_OF_HUGE - 1) & -PAGES_OF_HUGE;
    if (count > PAGES - first)
        count = PAGES - first;
    char *from = m->at + first * TEST_PAGE;
    size_t len = (size_t)count * TEST_PAGE;
    switch (pick(m, 10)) {
    case 0:
    case 1:
        for (int i = 0; i < count; i++)
            store(m, first + i, 1 + pick(m, 255));
        break;
    case 2:
        CHECK(madvise(from, len, MADV_DONTNEED) == 0);
        memset(m->byte + first, 0, count);
        break;
    case 3:
        CHECK(munmap(from, len) == 0);
        CHECK(mmap(from, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == from);
        CHECK(madvise(m->at, AREA, MADV_HUGEPAGE) == 0);
        memset(m->byte + first, 0, count);
        memset(m->read_only + first, 0, count);
        break;
    case 4:
        protect(m, first, count, 1);
        break;
    case 5:
        protect(m, 0, PAGES, 0);
        break;
    case 6:
        move(m, first, count);
        break;
    case 7:
        with_child(m);
        break;
    case 8:
        madvise(m->at, AREA, MADV_COLLAPSE); // may find that some of it may not be
        break;
    case 9:
        through_kernel(m, first);
        break;
    }
}

static void pages_hold_what_the_model_says(void)
{
    static struct model m;
    m.random = 2026;
    m.at = aligned_area(AREA);
    CHECK(m.at != 0);
    for (int i = 0; i < 400; i++) {
        step(&m);
        if (differs(&m)) {
            printf("step %d: %d pages differ\n", i, differs(&m));
            checks_failed++;
            return;
        }
    }
    CHECK(munmap(m.at, AREA) == 0);
}

// What is forbidden in a part of a large page is a fault there, and only there.
static void parts_can_be_forbidden(void)
{
    char *at = aligned_area(HUGE);
    memset(at, 9, HUGE);
    CHECK(mprotect(at + 100 * TEST_PAGE, TEST_PAGE, PROT_NONE) == 0);
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK_ERRNO(write(ends[1], at + 100 * TEST_PAGE, 1), EFAULT);
    CHECK(write(ends[1], at + 99 * TEST_PAGE, 1) == 1);
    CHECK(write(ends[1], at + 101 * TEST_PAGE, 1) == 1);
    CHECK(mprotect(at, HUGE, PROT_READ) == 0);
    CHECK_ERRNO(read(ends[0], at + 99 * TEST_PAGE, 1), EFAULT);
    CHECK(at[100 * TEST_PAGE] == 9);
    CHECK(mprotect(at, HUGE, PROT_READ | PROT_WRITE) == 0);
    CHECK(read(ends[0], at + 99 * TEST_PAGE, 1) == 1);
    CHECK(munmap(at, HUGE) == 0);
}

// Several processes at once take, cut and give back large pages.
static void many_at_once(void)
{
    pid_t pids[6];
    for (int i = 0; i < 6; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct model *m = mmap(0, sizeof *m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            m->random = i + 1;
            m->at = aligned_area(AREA);
            for (int round = 0; round < 40 && !checks_failed; round++) {
                step(m);
                if (differs(m))
                    checks_failed++;
            }
            child_exit();
        }
    }
    for (int i = 0; i < 6; i++)
        CHECK_CHILD(pids[i], 0);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"all-of-it-is-zeros-and-goes", all_of_it_is_zeros_and_goes},
        {"advice-is-followed", advice_is_followed},
        {"process-may-forbid-them", process_may_forbid_them},
        {"pages-hold-what-the-model-says", pages_hold_what_the_model_says},
        {"parts-can-be-forbidden", parts_can_be_forbidden},
        {"many-at-once", many_at_once},
    };
    if (argc > 1 && strcmp(argv[1], "--forbidden") == 0)
        return prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) != 1 || kernel_gives_them();
    printf("large pages: %s\n", kernel_gives_them() ? "yes" : "no");
    return RUN_TABLE(tests);
}
