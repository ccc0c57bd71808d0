// A named table of tests. Each runs in a process of its own, which leads a group and has an alarm, so that one that
// crashes, hangs or changes its identity spoils no other. Arguments name the tests to run; without any, all run.
#ifndef TABLE_H
#define TABLE_H

#include "check.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct test {
    const char *name;
    void (*run)(void);
};

enum { TEST_PAGE = 4096, TEST_SECONDS = 60 };

// Pointers that no program may use: null, near null, beyond user space, non-canonical, in the kernel, at the end of all.
static const uintptr_t bad_addresses[] = {
    0, 8, 0x00007ffffffff000, 0x0000800000000000, 0xffff800000000000, 0xffffffff80100000, 0xfffffffffffffff8,
};
enum { BAD_COUNT = sizeof bad_addresses / sizeof *bad_addresses };

// A page that cannot be read, whose predecessor can: `crossing(n)` is `n` bytes before it.
static inline char *hole(void)
{
    static char *at;
    if (!at) {
        at = mmap(0, 3 * TEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(at + TEST_PAGE, 2 * TEST_PAGE, PROT_NONE);
    }
    return at + TEST_PAGE;
}
static inline void *crossing(size_t bytes) { return hole() - bytes; }

// A page that cannot be written.
static inline void *read_only(void)
{
    static void *at;
    if (!at)
        at = mmap(0, TEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at;
}

// A call that stores through its pointer `p` fails with EFAULT for each bad one, a read-only one and one whose end is not
// there; `size` is how many bytes it stores. Null may mean "nothing wanted": `from` is the first bad address to try.
#define CHECK_BAD_OUT(call, size, from)                                                                                \
    do {                                                                                                               \
        for (unsigned i_ = (from); i_ < BAD_COUNT + 3; i_++) {                                                         \
            void *p = i_ < BAD_COUNT        ? (void *)bad_addresses[i_]                                                \
                      : i_ == BAD_COUNT     ? read_only()                                                              \
                      : i_ == BAD_COUNT + 1 ? (void *)hole()                                                           \
                                            : crossing((size) - 1);                                                    \
            CHECK_ERRNO(call, EFAULT);                                                                                 \
        }                                                                                                              \
    } while (0)

// The same of a call that only reads.
#define CHECK_BAD_IN(call, size, from)                                                                                 \
    do {                                                                                                               \
        for (unsigned i_ = (from); i_ < BAD_COUNT + 2; i_++) {                                                         \
            void *p = i_ < BAD_COUNT    ? (void *)bad_addresses[i_]                                                    \
                      : i_ == BAD_COUNT ? (void *)hole()                                                               \
                                        : crossing((size) - 1);                                                        \
            CHECK_ERRNO(call, EFAULT);                                                                                 \
        }                                                                                                              \
    } while (0)

static inline void sleep_ms(long ms)
{
    struct timespec span = {ms / 1000, ms % 1000 * 1000000}, left;
    while (nanosleep(&span, &left) != 0 && errno == EINTR)
        span = left;
}

static inline double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

// Memory that parent and children share.
static inline void *shared_page(void)
{
    return mmap(0, TEST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

// Ends a test's own child: with 0 if all its checks held.
static inline void child_exit(void)
{
    fflush(stdout);
    _exit(checks_failed != 0);
}

// Waits for a child that must end with this status.
#define CHECK_CHILD(pid, expected) check_child((pid), (expected), __LINE__)
static inline void check_child(pid_t pid, int expected, int line)
{
    int status = -1;
    pid_t got = waitpid(pid, &status, 0);
    if (got == pid && status == expected) {
        checks_passed++;
    } else {
        checks_failed++;
        printf("line %d: child %d ended as %#x (waitpid gave %d), not %#x\n", line, pid, status, got, expected);
    }
}

// Who started the program may ignore or block signals, as a shell ignores SIGINT and SIGQUIT in the background. Of the
// kernel, as the library keeps a few numbers for itself.
static inline void default_signals(void)
{
    struct { void *handler; uint64_t flags; void *restorer; uint64_t mask; } action = {(void *)SIG_DFL, 0, 0, 0};
    uint64_t none = 0;
    for (int number = 1; number <= 64; number++)
        syscall(SYS_rt_sigaction, number, &action, 0, sizeof none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof none);
}

static inline int run_table(const struct test *tests, size_t count, int argc, char **argv)
{
    default_signals();
    unsigned *counts = shared_page();
    unsigned passed = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        int wanted = argc < 2;
        for (int j = 1; j < argc; j++)
            wanted |= strcmp(argv[j], tests[i].name) == 0;
        if (!wanted)
            continue;
        fflush(stdout);
        counts[0] = counts[1] = 0;
        pid_t pid = fork();
        if (pid == 0) {
            setpgid(0, 0);
            alarm(TEST_SECONDS);
            tests[i].run();
            alarm(0);
            fflush(stdout);
            counts[0] = checks_passed;
            counts[1] = checks_failed;
            _exit(0);
        }
        int status = -1;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            printf("%s: ended with %#x\n", tests[i].name, status);
            counts[1]++;
        }
        kill(-pid, SIGKILL);
        if (counts[1] != 0)
            printf("%s: FAILED\n", tests[i].name);
        passed += counts[0];
        failed += counts[1];
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}

#define RUN_TABLE(tests) run_table((tests), sizeof(tests) / sizeof *(tests), argc, argv)

#endif
