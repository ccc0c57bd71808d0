// Much of the same, on every CPU at once, with counts from the command line:
//   stress fork [children] [at once]    children that end at once, from `at once` makers
//   stress exec [programs] [at once]    the same with this program again in each
//   stress handoff [threads] [rounds]   a baton goes round all threads, each waiting on a futex of its own
//   stress bomb [limit]                 a fork bomb of another user under RLIMIT_NPROC
//   stress faults [handled] [ended]     instructions that fail, handled by the program, and as many children that one ends
//   stress tracers [count]              tracers that come and go at a program with four threads
//   stress hog                          a child that takes all memory until it is killed
//   stress all                          each of them with small counts
// Prints what it did and how long it took; ends with status 0 if all of it went as it should.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
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

static struct shared { volatile int stop, errors; volatile long done; } *common;

static void on_user_signal(int number) { (void)number; }

// What a program does that others trace meanwhile; nothing of it may fail for that.
static void *busy(void *kind)
{
    int fds[2], sum = 0;
    if (pipe(fds) != 0)
        common->errors++;
    for (unsigned i = 0; !common->stop; i++) {
        pid_t pid;
        int status = 0;
        char byte = (char)i;
        switch (kind ? (int)(uintptr_t)kind : (int)(i % 4)) {
        case 1:
            sum += getppid() != (pid_t)syscall(SYS_getppid);
            break;
        case 2:
            pid = fork();
            if (pid == 0)
                _exit(7);
            sum += pid < 0 || waitpid(pid, &status, 0) != pid || status != 7 << 8;
            break;
        case 3:
            sum += write(fds[1], &byte, 1) != 1 || read(fds[0], &byte, 1) != 1 || byte != (char)i;
            break;
        default:
            sum += (nanosleep(&(struct timespec){0, 300000}, 0) != 0 && errno != EINTR) || raise(SIGUSR1) != 0;
        }
        common->done++;
    }
    close(fds[0]), close(fds[1]);
    common->errors += sum;
    return 0;
}

static void traced_program(void)
{
    struct sigaction action = {.sa_handler = on_user_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGTRAP, &action, 0); // which Linux leaves behind of a call stop whose tracer did not live to see it
    setpgid(0, 0);
    pthread_t others[3];
    for (uintptr_t i = 0; i < 3; i++)
        common->errors += pthread_create(&others[i], 0, busy, (void *)(i + 1)) != 0;
    busy(0);
    for (int i = 0; i < 3; i++)
        pthread_join(others[i], 0);
    _exit(common->errors != 0);
}

// Seizes one thread, or attaches to it, sees some stops of it and of what it makes, and ends without a word, or lets go.
static void trace_one(pid_t tid, unsigned random)
{
    long options = (random >> 8 & 0x7f) | PTRACE_O_TRACESYSGOOD;
    if (random & 1 ? ptrace(PTRACE_SEIZE, tid, 0, options) : ptrace(PTRACE_ATTACH, tid, 0, 0))
        _exit(0);
    if (random & 2)
        ptrace(PTRACE_INTERRUPT, tid, 0, 0);
    for (unsigned looks = 0; looks < 200 + random % 400; looks++) {
        struct user_regs_struct registers;
        int status;
        pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);
        if (pid <= 0 || !WIFSTOPPED(status)) {
            sched_yield();
            continue;
        }
        if (ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0 && registers.rip >> 47 != 0)
            common->errors++;
        int signal = WSTOPSIG(status), requests[] = {PTRACE_CONT, PTRACE_SYSCALL, PTRACE_LISTEN, PTRACE_DETACH};
        int passes = status >> 16 == 0 && signal != SIGSTOP && (signal & 0x7f) != SIGTRAP;
        random = random * 1103515245 + 12345;
        if (ptrace(requests[random >> 16 & (looks > 100 ? 3 : 1)], pid, 0, passes ? signal : 0) != 0)
            ptrace(PTRACE_CONT, pid, 0, 0);
    }
    if (random & 4)
        raise(SIGKILL);
    _exit(0);
}

// Tracers that come and go, four at a time, at a program that forks, sleeps, waits and handles signals in four threads.
static int tracers(int count)
{
    common = mmap(0, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t program = fork();
    if (program == 0)
        traced_program();
    double start = now_s();
    for (int begun = 0, running = 0; begun < count || running > 0;) {
        if (begun < count && running < 4) {
            pid_t tracer = fork();
            if (tracer == 0)
                trace_one(program + (begun % 5 == 4 ? 0 : begun % 5), (unsigned)begun * 2654435761u);
            begun++, running++;
            continue;
        }
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == program)
            return failed("the program has ended");
        running -= pid > 0;
        kill(-program, SIGCONT); // whom a tracer has left stopped
        sched_yield();
    }
    common->stop = 1;
    int status;
    while (waitpid(program, &status, WNOHANG) == 0) {
        kill(-program, SIGCONT);
        sched_yield();
    }
    printf("tracers: %d, %ld done, %d errors, ended as %#x after %.2f s\n", count, common->done, common->errors, status, now_s() - start);
    return status != 0;
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
    if (all || (strcmp(what, "tracers") == 0 && ++known))
        bad |= tracers(number(argv, argc, 2, 40));
    if (strcmp(what, "hog") == 0 && ++known) // not on a machine that others use
        bad |= hog();
    printf("stress %s: %s\n", what, !known ? "no such test" : bad ? "failed" : "passed");
    return bad || !known;
}
