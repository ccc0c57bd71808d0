// Much of the same, on every CPU at once, with counts from the command line:
//   stress fork [children] [at once]    children that end at once, from `at once` makers
//   stress exec [programs] [at once]    the same with this program again in each
//   stress handoff [threads] [rounds]   a baton goes round all threads, each waiting on a futex of its own
//   stress bomb [limit]                 a fork bomb of another user under RLIMIT_NPROC
//   stress faults [handled] [ended]     instructions that fail, handled by the program, and as many children that one ends
//   stress hog                          a child that takes all memory until it is killed
//   stress all                          each of them with small counts
// Prints what it did and how long it took; ends with status 0 if all of it went as it should.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, HOG_BYTES = 64 << 20, FUTEX_WAIT = 128, FUTEX_WAKE = 129, SOME_USER = 4242 };

static const char *self;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static int failed(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    fflush(stdout);
    return 1;
}

static int one_child(int executes)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (executes) {
            char *args[] = {(char *)self, "end", 0}, *env[] = {0};
            execve(self, args, env);
            _exit(1);
        }
        _exit(7);
    }
    if (pid < 0)
        return failed("fork");
    int status;
    if (waitpid(pid, &status, 0) != pid)
        return failed("waitpid");
    if (status != 7 << 8) {
        printf("a child ended as %#x\n", status);
        return 1;
    }
    return 0;
}

static int children(int executes, int count, int makers)
{
    double start = now_s();
    int bad = 0;
    for (int i = 0; i < makers; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (int j = i; j < count; j += makers)
                if (one_child(executes))
                    _exit(1);
            _exit(0);
        }
        bad |= pid < 0 && failed("fork of a maker");
    }
    int status;
    while (wait(&status) > 0)
        bad |= status != 0;
    printf("%s: %d children of %d makers in %.2f s\n", executes ? "exec" : "fork", count, makers, now_s() - start);
    return bad;
}

static struct baton {
    uint32_t turn;
    char apart[60];
} *batons;
static int threads, rounds;

static void *runner(void *number)
{
    int own = (int)(intptr_t)number, next = (own + 1) % threads;
    for (int round = 0; round < rounds; round++) {
        while (__atomic_load_n(&batons[own].turn, __ATOMIC_SEQ_CST) == 0)
            syscall(SYS_futex, &batons[own].turn, FUTEX_WAIT, 0, 0);
        __atomic_store_n(&batons[own].turn, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&batons[next].turn, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, &batons[next].turn, FUTEX_WAKE, 1);
    }
    return number;
}

static int hand_off(void)
{
    double start = now_s();
    pthread_t *ids = calloc(threads, sizeof *ids);
    batons = calloc(threads, sizeof *batons);
    for (int i = 0; i < threads; i++) {
        errno = pthread_create(&ids[i], 0, runner, (void *)(intptr_t)i);
        if (errno != 0)
            return failed("pthread_create");
    }
    __atomic_store_n(&batons[0].turn, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &batons[0].turn, FUTEX_WAKE, 1);
    int bad = 0;
    for (int i = 0; i < threads; i++) {
        void *result;
        bad |= pthread_join(ids[i], &result) != 0 || result != (void *)(intptr_t)i;
    }
    bad |= batons[0].turn != 1; // the last one gave it back to the first
    printf("handoff: %d threads, %d rounds in %.2f s\n", threads, rounds, now_s() - start);
    free(ids);
    free(batons);
    return bad;
}

// Every process forks on until it is refused; all live until the group is killed.
static int bomb(int limit)
{
    double start = now_s();
    volatile uint32_t *counts = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t leader = fork();
    if (leader == 0) {
        setpgid(0, 0);
        struct rlimit most = {limit, limit};
        if (setrlimit(RLIMIT_NPROC, &most) != 0 || setuid(SOME_USER) != 0)
            _exit(failed("setrlimit, setuid"));
        for (;;) {
            pid_t pid = fork();
            if (pid > 0)
                __atomic_fetch_add(&counts[0], 1, __ATOMIC_SEQ_CST);
            else if (pid < 0 && errno == EAGAIN)
                __atomic_fetch_add(&counts[1], 1, __ATOMIC_SEQ_CST);
            else if (pid < 0)
                __atomic_fetch_add(&counts[2], 1, __ATOMIC_SEQ_CST);
        }
    }
    setpgid(leader, leader);
    // A second more than it takes until all are there: none may come over the limit. One that had the CPU for long while the
    // host did not run it waits until as many as there are have had as much.
    enum { LONGEST = 90 };
    double end = start + LONGEST;
    while (now_s() < end) {
        usleep(10000);
        if (end == start + LONGEST && counts[0] >= (uint32_t)limit - 1 && counts[1] > 0)
            end = now_s() + 1;
    }
    uint32_t forks = __atomic_load_n(&counts[0], __ATOMIC_SEQ_CST);
    // One signal gets them all, whatever they are making at that moment.
    kill(-leader, SIGKILL);
    waitpid(leader, 0, 0);
    for (int i = 0; kill(-leader, 0) == 0 && i < 1000; i++)
        usleep(10000);
    int gone = kill(-leader, 0) != 0 && errno == ESRCH;
    printf("bomb: %u forks, %u refused, %u failed otherwise, in %.2f s\n", forks, counts[1], counts[2], now_s() - start);
    return !(gone && forks == (uint32_t)limit - 1 && counts[1] > 0 && counts[2] == 0);
}

static int hog(void)
{
    double start = now_s();
    pid_t pid = fork();
    if (pid == 0)
        for (;;) {
            char *at = mmap(0, HOG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (at == MAP_FAILED)
                _exit(failed("mmap"));
            for (size_t page = 0; page < HOG_BYTES; page += PAGE)
                at[page] = 1;
        }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid)
        return failed("waitpid");
    printf("hog: ended as %#x after %.2f s\n", status, now_s() - start);
    return status != SIGKILL;
}

static int number(char **argv, int argc, int at, int otherwise)
{
    int value = argc > at ? atoi(argv[at]) : otherwise;
    return value > 0 ? value : 1;
}

static volatile sig_atomic_t traps;

static void count_trap(int signal)
{
    (void)signal;
    traps++;
}

static int faults(int handled, int ended)
{
    signal(SIGTRAP, count_trap);
    for (int i = 0; i < handled; i++)
        __asm__ volatile("int3");
    int killed = 0;
    for (int i = 0; i < ended; i++) {
        pid_t pid = fork();
        if (pid == 0)
            __asm__ volatile("ud2");
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            return failed("fork, waitpid");
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGILL;
    }
    printf("faults: %d handled, %d children ended\n", (int)traps, killed);
    return traps != handled || killed != ended;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "all";
    self = argv[0];
    int all = strcmp(what, "all") == 0, bad = 0, known = all;
    if (strcmp(what, "end") == 0)
        return 7;
    if (all || (strcmp(what, "fork") == 0 && ++known))
        bad |= children(0, number(argv, argc, 2, 1000), number(argv, argc, 3, 4));
    if (all || (strcmp(what, "exec") == 0 && ++known))
        bad |= children(1, number(argv, argc, 2, 200), number(argv, argc, 3, 4));
    if (all || (strcmp(what, "handoff") == 0 && ++known)) {
        threads = number(argv, argc, 2, 50), rounds = number(argv, argc, 3, 40);
        bad |= hand_off();
    }
    if (all || (strcmp(what, "bomb") == 0 && ++known))
        bad |= bomb(number(argv, argc, 2, 60));
    if (all || (strcmp(what, "faults") == 0 && ++known))
        bad |= faults(number(argv, argc, 2, 100), number(argv, argc, 3, 10));
    if (strcmp(what, "hog") == 0 && ++known) // not on a machine that others use
        bad |= hog();
    printf("stress %s: %s\n", what, !known ? "no such test" : bad ? "failed" : "passed");
    return bad || !known;
}
