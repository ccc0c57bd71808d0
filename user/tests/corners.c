// Corners of process work where more than one party acts at once: stops against continuations, a wake against a copied
// page, timers against blocked signals, the death of a lock's owner; and limits that they meet.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_LOCK_PI = 6 };

// SIGCONT right after a stop signal must never leave the target stopped.
static void stop_continue_race(void)
{
    int *turns = shared_page();
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            __atomic_fetch_add(turns, 1, __ATOMIC_SEQ_CST);
    int stuck = 0;
    for (int i = 0; i < 2000 && !stuck; i++) {
        kill(pid, SIGSTOP);
        for (volatile int j = 0; j < i % 400; j++)
            ;
        kill(pid, SIGCONT);
        int before = *(volatile int *)turns;
        double limit = now_s() + 2;
        while (*(volatile int *)turns == before && now_s() < limit)
            sched_yield();
        if (*(volatile int *)turns == before) {
            printf("stopped for good after %d rounds\n", i);
            stuck = 1;
        }
    }
    CHECK(!stuck);
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
}

// A futex in private memory without FUTEX_PRIVATE, whose page is copied on write between wait and wake.
static uint32_t word;
static void *waiter(void *out)
{
    struct timespec t = {2, 0};
    *(long *)out = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t);
    return 0;
}
static void futex_over_copy(void)
{
    pthread_t t;
    long result = -9;
    pthread_create(&t, 0, waiter, &result);
    sleep_ms(100);
    pid_t pid = fork();
    if (pid == 0) {
        sleep_ms(300);
        _exit(0);
    }
    word = 1; // the page becomes another frame
    CHECK(syscall(SYS_futex, &word, FUTEX_WAKE, 1) == 1);
    pthread_join(t, 0);
    CHECK(result == 0);
    waitpid(pid, 0, 0);
}

// A periodic timer whose real-time signal is blocked has one of it pending, and the rest as overruns.
static void timer_overruns(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    timer_t timer;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &(struct itimerspec){{0, 5000000}, {0, 5000000}}, 0) == 0);
    sleep_ms(103);
    CHECK(timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 0}}, 0) == 0);
    struct timespec zero = {0, 0};
    int count = 0;
    while (sigtimedwait(&set, 0, &zero) > 0)
        count++;
    CHECK(count <= 1);
}

static void timer_overrun_count(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    timer_t timer;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &(struct itimerspec){{0, 5000000}, {0, 5000000}}, 0) == 0);
    sleep_ms(103);
    siginfo_t info;
    CHECK(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_code == SI_TIMER);
    int overruns = timer_getoverrun(timer);
    CHECK(overruns >= 15 && overruns <= 60);
}

static void descriptor_limit(void)
{
    struct rlimit limit = {10, 10};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int fd, last = -1;
    while ((fd = dup(1)) >= 0)
        last = fd;
    CHECK(last == 9 && errno == EMFILE);
    CHECK_ERRNO(dup2(1, 10), EBADF);
    CHECK_ERRNO(fcntl(1, F_DUPFD, 10), EINVAL);
}

static volatile sig_atomic_t too_large;

static void note_too_large(int signal)
{
    (void)signal;
    too_large++;
}

// RLIMIT_FSIZE: what begins below the limit is cut, what begins at it or grows beyond it fails and is told by a signal.
static void file_size_limit(void)
{
    struct rlimit limit = {1000, 2000};
    char bytes[1500] = {0}, path[] = "/tmp/corners-XXXXXX";
    int pair[2], fd = mkstemp(path);
    CHECK(fd >= 0 && signal(SIGXFSZ, note_too_large) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(write(fd, bytes, 1500) == 1000 && too_large == 0);
    CHECK_ERRNO(write(fd, bytes, 1), EFBIG);
    CHECK(too_large == 1 && write(fd, bytes, 0) == 0 && too_large == 1);
    CHECK(pwrite(fd, bytes, 100, 950) == 50 && too_large == 1);
    CHECK_ERRNO(pwrite(fd, bytes, 1, 5000), EFBIG);
    CHECK(too_large == 2 && ftruncate(fd, 1000) == 0);
    CHECK_ERRNO(ftruncate(fd, 1001), EFBIG);
    CHECK_ERRNO(truncate(path, 1 << 30), EFBIG);
    CHECK(too_large == 4 && ftruncate(fd, 500) == 0 && lseek(fd, 0, SEEK_END) == 500);
    CHECK(pipe(pair) == 0 && write(pair[1], bytes, 1500) == 1500 && too_large == 4);
    // A file that is larger already may be cut, and is not written beyond the limit.
    limit.rlim_cur = 100;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0 && ftruncate(fd, 400) == 0);
    CHECK_ERRNO(pwrite(fd, bytes, 1, 200), EFBIG);
    CHECK(too_large == 5 && pwrite(fd, bytes, 200, 50) == 50);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGXFSZ, SIG_DFL);
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(ftruncate(fd, 1000) == 0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
    CHECK(unlink(path) == 0);
}

// A handler of SIGSEGV that has no stack to run on ends the program.
static void no_stack_for_handler(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, (void (*)(int))child_exit);
        __asm__ volatile("movq $0x1000, %%rsp; movl (%%rsp), %%eax; hlt" ::: "memory", "rax");
    }
    double limit = now_s() + 2;
    int status = -1;
    while (waitpid(pid, &status, WNOHANG) == 0 && now_s() < limit)
        sleep_ms(10);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    kill(pid, SIGKILL);
}

// The owner of a priority-inheriting futex ends without unlocking it.
static uint32_t pi_word;
static void *owner(void *unused)
{
    (void)unused;
    syscall(SYS_futex, &pi_word, FUTEX_LOCK_PI | 128, 0, 0);
    sleep_ms(200);
    return 0;
}
static void dead_pi_owner(void)
{
    pthread_t t;
    pthread_create(&t, 0, owner, 0);
    sleep_ms(50);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    long result = syscall(SYS_futex, &pi_word, FUTEX_LOCK_PI | 128, 0, &until);
    CHECK(result == 0 || errno == ESRCH);
    pthread_join(t, 0);
}

// Times and addresses at the end of their range.
static void interrupt_me(int signal)
{
    (void)signal;
}
static void ends_of_ranges(void)
{
    struct timespec most = {INT64_MAX, 999999999}, past = {INT64_MIN, 0};
    struct itimerspec timer_most = {most, most}, timer_now;
    struct itimerval real_most = {{INT64_MAX, 999999}, {INT64_MAX, 999999}};
    sigset_t set;
    sigemptyset(&set);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = interrupt_me}, 0);
    timer_t timer;
    CHECK(timer_create(CLOCK_MONOTONIC, 0, &timer) == 0);
    CHECK(timer_settime(timer, 0, &timer_most, 0) == 0 && timer_gettime(timer, &timer_now) == 0);
    CHECK(timer_settime(timer, TIMER_ABSTIME, &timer_most, 0) == 0 && timer_gettime(timer, &timer_now) == 0);
    CHECK(timer_now.it_value.tv_sec > 1000000000);
    CHECK(timer_delete(timer) == 0);
    CHECK_ERRNO(timer_settime(timer, 0, &timer_most, 0), EINVAL);
    CHECK(setitimer(ITIMER_REAL, &real_most, 0) == 0);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, &real_most) == 0);
    CHECK(real_most.it_value.tv_sec > 1000000000);
    CHECK(alarm(UINT32_MAX) == 0);
    CHECK(alarm(0) > 1000000000);
    for (int i = 0; i < 4; i++) {
        CHECK(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 20000}}, 0) == 0);
        if (i == 0)
            CHECK_ERRNO(nanosleep(&most, 0), EINTR);
        else if (i == 1)
            CHECK_ERRNO(syscall(SYS_futex, &word, FUTEX_WAIT | 128, word, &most), EINTR);
        else if (i == 2)
            CHECK_ERRNO(syscall(SYS_rt_sigtimedwait, &set, 0, &most, 8), EINTR);
        else
            CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &most, 0), EINTR);
    }
    CHECK_ERRNO(nanosleep(&past, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_futex, &word, FUTEX_WAIT | 128, word, &past), EINVAL);
    // A stack for handlers whose end is beyond all addresses.
    pid_t pid = fork();
    if (pid == 0) {
        stack_t wrapped = {.ss_sp = (void *)(UINTPTR_MAX - 4095), .ss_size = 65536};
        sigaction(SIGUSR1, &(struct sigaction){.sa_handler = interrupt_me, .sa_flags = SA_ONSTACK}, 0);
        if (sigaltstack(&wrapped, 0) == 0)
            raise(SIGUSR1);
        else
            raise(SIGSEGV);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static const struct test tests[] = {
    {"stop and continue", stop_continue_race},
    {"futex over copy", futex_over_copy},
    {"timer queue", timer_overruns},
    {"timer overruns", timer_overrun_count},
    {"descriptor limit", descriptor_limit},
    {"file size limit", file_size_limit},
    {"no stack", no_stack_for_handler},
    {"dead owner", dead_pi_owner},
    {"ends of ranges", ends_of_ranges},
};
int main(int argc, char **argv) { return RUN_TABLE(tests); }
