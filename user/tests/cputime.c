// CPU time: user and system time told apart, clocks and timers that go by it, and its limits. On a machine that is itself
// emulated CPU time may jump, as what the emulator does not get counts too: so nothing here must come before some CPU time,
// but may come later. And Linux counts whole ticks for what it does not measure exactly.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>

// The number of the clock of kind `kind` of a process or, with 4 in it, a thread.
static clockid_t clock_of(pid_t number, unsigned kind) { return (clockid_t)((unsigned)~number << 3 | kind); }

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec * 1e-6; }

static double clock_s(clockid_t clock)
{
    struct timespec time = {-1, 0};
    if (clock_gettime(clock, &time) != 0)
        return -1;
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static double cpu_s(void) { return clock_s(CLOCK_PROCESS_CPUTIME_ID); }

// Uses up CPU time in user mode, until the process has had `s` more.
static void spin(double s)
{
    for (double end = cpu_s() + s; cpu_s() < end;)
        for (volatile int i = 0; i < 200000; i++)
            ;
}

// The same, almost all of it in the kernel: pages of zeros are made and given back.
static void spin_in_kernel(double s)
{
    enum { LEN = 4 << 20 };
    int zero = open("/dev/zero", O_RDONLY);
    CHECK(zero >= 0);
    char *buffer = mmap(0, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (double end = cpu_s() + s; cpu_s() < end;) {
        CHECK(read(zero, buffer, LEN) == LEN);
        madvise(buffer, LEN, MADV_DONTNEED);
    }
    munmap(buffer, LEN);
    close(zero);
}

static volatile sig_atomic_t got[65];
static void count(int signal) { got[signal]++; }

static void told_apart(void)
{
    struct rusage first, second, third, thread;
    CHECK(getrusage(RUSAGE_SELF, &first) == 0);
    spin(0.6);
    CHECK(getrusage(RUSAGE_SELF, &second) == 0);
    double user = seconds(second.ru_utime) - seconds(first.ru_utime);
    double system = seconds(second.ru_stime) - seconds(first.ru_stime);
    CHECK(user > 0.7 * (user + system));
    double before = cpu_s();
    CHECK(getrusage(RUSAGE_SELF, &second) == 0);
    double sum = seconds(second.ru_utime) + seconds(second.ru_stime);
    CHECK(sum > before - 0.02 && sum < cpu_s() + 0.02);
    spin_in_kernel(1);
    CHECK(getrusage(RUSAGE_SELF, &third) == 0);
    user = seconds(third.ru_utime) - seconds(second.ru_utime);
    system = seconds(third.ru_stime) - seconds(second.ru_stime);
    CHECK(system > user && user >= 0);
    CHECK(getrusage(RUSAGE_THREAD, &thread) == 0 && seconds(thread.ru_stime) > 0.3 && seconds(thread.ru_utime) > 0.3);
}

static void in_proc(void)
{
    spin(0.4);
    spin_in_kernel(0.4);
    char text[1024] = "", *at;
    struct tms times_;
    int fd = open("/proc/self/stat", O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    unsigned long user = 0, system = 0;
    at = strrchr(text, ')');
    CHECK(at && sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2);
    CHECK(times(&times_) != -1);
    CHECK(user >= 20 && system >= 15 && user + system >= 75);
    CHECK(times_.tms_utime >= (long)user && times_.tms_stime >= (long)system);
    CHECK(times_.tms_utime + times_.tms_stime <= cpu_s() * 100 + 2);
}

// Neither part ever gets less, whatever the next samples say.
static void never_less(void)
{
    struct rusage before = {0}, now;
    int wrong = 0;
    for (double end = cpu_s() + 1; cpu_s() < end;) {
        spin(0.002);
        spin_in_kernel(0.002);
        getrusage(RUSAGE_SELF, &now);
        wrong += seconds(now.ru_utime) < seconds(before.ru_utime) || seconds(now.ru_stime) < seconds(before.ru_stime);
        before = now;
    }
    CHECK(wrong == 0);
}

static void of_children(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            spin(0.2);
            _exit(0);
        }
        waitpid(grandchild, 0, 0);
        spin(0.2);
        spin_in_kernel(0.3);
        _exit(0);
    }
    struct rusage own, all;
    int status;
    CHECK(wait4(pid, &status, 0, &own) == pid && status == 0);
    CHECK(getrusage(RUSAGE_CHILDREN, &all) == 0);
    CHECK(seconds(own.ru_utime) > 0.25 && seconds(own.ru_stime) > 0.1);
    CHECK(seconds(own.ru_utime) + seconds(own.ru_stime) > 0.65);
    CHECK(seconds(own.ru_utime) == seconds(all.ru_utime) && seconds(own.ru_stime) == seconds(all.ru_stime));
    struct tms times_;
    CHECK(times(&times_) != -1 && times_.tms_cutime >= 25 && times_.tms_cstime >= 10);
}

static void *spinner(void *until)
{
    volatile double *end = until;
    while (*end == 0 || cpu_s() < *end)
        for (volatile int i = 0; i < 50000; i++)
            ;
    return 0;
}

static void clocks(void)
{
    struct timespec time;
    clockid_t own, other, thread_clock;
    volatile double end = 0;
    pthread_t thread;
    spin(0.2);
    CHECK(pthread_create(&thread, 0, spinner, (void *)&end) == 0);
    CHECK(pthread_getcpuclockid(thread, &thread_clock) == 0);
    CHECK(clock_getcpuclockid(getpid(), &own) == 0 && clock_getcpuclockid(getppid(), &other) == 0);
    double before = clock_s(CLOCK_THREAD_CPUTIME_ID);
    CHECK(before > 0.1);
    for (int i = 0; i < 1000 && clock_s(thread_clock) < 0.2; i++)
        sleep_ms(10);
    // The other thread has had what this one has not.
    CHECK(clock_s(CLOCK_THREAD_CPUTIME_ID) < cpu_s() - 0.15);
    CHECK(clock_s(thread_clock) >= 0.2 && clock_s(thread_clock) < cpu_s());
    CHECK(clock_s(other) >= 0);
    double a = cpu_s(), b = clock_s(own), c = cpu_s();
    CHECK(a <= b && b <= c);
    end = cpu_s();
    CHECK(pthread_join(thread, 0) == 0);
    // Joined a little before it has gone.
    for (int i = 0; i < 10000 && clock_gettime(thread_clock, &time) == 0; i++)
        sleep_ms(1);
    CHECK_ERRNO(syscall(SYS_clock_gettime, thread_clock, &time), EINVAL);
    // User and all time of the process, of its first thread, of nobody; a kind that there is not.
    CHECK(clock_s(clock_of(getpid(), 1)) > 0 && clock_s(clock_of(getpid(), 0)) > 0 && clock_s(clock_of(gettid(), 6)) > 0);
    CHECK_ERRNO(syscall(SYS_clock_gettime, clock_of(0x3fffff, 2), &time), EINVAL);
    CHECK_ERRNO(syscall(SYS_clock_gettime, clock_of(getppid(), 6), &time), EINVAL);
    CHECK_ERRNO(syscall(SYS_clock_gettime, clock_of(getpid(), 3), &time), EINVAL);
    CHECK(syscall(SYS_clock_getres, CLOCK_PROCESS_CPUTIME_ID, &time) == 0 && time.tv_sec == 0 && time.tv_nsec == 1);
    time.tv_sec = 1;
    CHECK_ERRNO(syscall(SYS_clock_settime, CLOCK_PROCESS_CPUTIME_ID, &time), EINVAL);
    CHECK_ERRNO(syscall(SYS_clock_settime, clock_of(getpid(), 2), &time), EPERM);
}

// Signals come while 0.5 s are used up that way, every 50 ms of the timer's time, and no more than that.
static void interval(int which, int signal, void (*use)(double))
{
    struct itimerval timer = {{0, 50000}, {0, 50000}}, left, none = {0};
    struct rusage before, after;
    got[signal] = 0;
    CHECK(getrusage(RUSAGE_SELF, &before) == 0 && setitimer(which, &timer, 0) == 0);
    use(0.5);
    CHECK(getitimer(which, &left) == 0 && left.it_interval.tv_usec == 50000);
    CHECK(seconds(left.it_value) > 0 && seconds(left.it_value) < 0.06);
    sleep_ms(100); // takes no CPU time
    CHECK(setitimer(which, &none, &left) == 0 && seconds(left.it_value) > 0);
    CHECK(getrusage(RUSAGE_SELF, &after) == 0);
    double used = seconds(after.ru_utime) - seconds(before.ru_utime);
    if (which == ITIMER_PROF)
        used += seconds(after.ru_stime) - seconds(before.ru_stime);
    CHECK(got[signal] <= 1.5 * used / 0.05 + 1 && (used < 0.3 || got[signal] >= 2));
    CHECK(getitimer(which, &left) == 0 && seconds(left.it_value) == 0);
}

static void interval_timers(void)
{
    signal(SIGPROF, count);
    signal(SIGVTALRM, count);
    interval(ITIMER_PROF, SIGPROF, spin);
    interval(ITIMER_PROF, SIGPROF, spin_in_kernel);
    interval(ITIMER_VIRTUAL, SIGVTALRM, spin);
    interval(ITIMER_VIRTUAL, SIGVTALRM, spin_in_kernel);
    struct itimerval timer = {{0, 0}, {0, 1000000}};
    CHECK_ERRNO(setitimer(ITIMER_PROF, &timer, 0), EINVAL);
    CHECK_ERRNO(getitimer(3, &timer), EINVAL);
    // Not for a child.
    timer.it_value.tv_usec = 1000;
    timer.it_interval.tv_usec = 1000;
    CHECK(setitimer(ITIMER_PROF, &timer, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(getitimer(ITIMER_PROF, &timer) == 0 && seconds(timer.it_value) == 0);
        child_exit();
    }
    timer.it_value.tv_usec = 0;
    CHECK(setitimer(ITIMER_PROF, &timer, 0) == 0);
    CHECK_CHILD(pid, 0);
}

static void created_timers(void)
{
    signal(SIGUSR1, count);
    signal(SIGUSR2, count);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t of_process, of_thread;
    CHECK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &of_process) == 0);
    event.sigev_signo = SIGUSR2;
    CHECK(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &of_thread) == 0);
    struct itimerspec time = {{0, 0}, {0, 200000000}}, left;
    double start = cpu_s();
    CHECK(timer_settime(of_process, 0, &time, 0) == 0 && timer_settime(of_thread, 0, &time, 0) == 0);
    sleep_ms(300);
    CHECK(got[SIGUSR1] == 0 && got[SIGUSR2] == 0);
    CHECK(timer_gettime(of_process, &left) == 0 && left.it_value.tv_nsec > 100000000);
    spin(0.1);
    CHECK((got[SIGUSR1] == 0 && got[SIGUSR2] == 0) || cpu_s() >= start + 0.2);
    spin(0.2);
    CHECK(got[SIGUSR1] == 1 && got[SIGUSR2] == 1);
    CHECK(timer_gettime(of_process, &left) == 0 && left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
    // Absolute, and in the past: at once, once more.
    time.it_value.tv_nsec = 1;
    CHECK(timer_settime(of_process, TIMER_ABSTIME, &time, 0) == 0);
    spin(0.05);
    CHECK(got[SIGUSR1] == 2);
    time = (struct itimerspec){{0, 20000000}, {0, 20000000}};
    start = cpu_s();
    CHECK(timer_settime(of_thread, 0, &time, 0) == 0);
    spin(0.3);
    CHECK(got[SIGUSR2] >= 3 && got[SIGUSR2] <= 1 + (cpu_s() - start) / 0.02);
    CHECK(timer_delete(of_process) == 0 && timer_delete(of_thread) == 0);
    CHECK_ERRNO(syscall(SYS_timer_create, clock_of(0x3fffff, 2), &event, &of_thread), EINVAL);
}

// A timer that goes by the time of a child, which ends before it is due.
static void of_another(void)
{
    signal(SIGUSR1, count);
    volatile int *go = shared_page();
    pid_t pid = fork();
    if (pid == 0) {
        while (!*go)
            sleep_ms(1);
        spin(0.3);
        go[1] = 1;
        pause();
    }
    clockid_t clock;
    CHECK(clock_getcpuclockid(pid, &clock) == 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec time = {{0, 0}, {0, 100000000}};
    timer_t timer;
    CHECK(timer_create(clock, &event, &timer) == 0 && timer_settime(timer, 0, &time, 0) == 0);
    sleep_ms(100);
    CHECK(got[SIGUSR1] == 0);
    *go = 1;
    while (!go[1])
        sleep_ms(10);
    CHECK(got[SIGUSR1] == 1);
    time.it_value.tv_sec = 100;
    CHECK(timer_settime(timer, 0, &time, 0) == 0);
    kill(pid, SIGKILL);
    CHECK_CHILD(pid, SIGKILL);
    CHECK(got[SIGUSR1] == 1 && timer_delete(timer) == 0);
}

static void sleeping(void)
{
    struct timespec span = {0, 200000000}, left = {0};
    volatile double end = 0;
    pthread_t thread;
    CHECK(pthread_create(&thread, 0, spinner, (void *)&end) == 0);
    double before = cpu_s();
    CHECK(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &span, 0) == 0);
    CHECK(cpu_s() >= before + 0.2);
    span.tv_sec = cpu_s() + 1;
    before = span.tv_sec + span.tv_nsec * 1e-9;
    CHECK(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &span, 0) == 0);
    CHECK(cpu_s() >= before);
    // In the past: at once.
    CHECK(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &span, 0) == 0);
    end = cpu_s();
    CHECK(pthread_join(thread, 0) == 0);
    // Nobody runs: until a signal.
    signal(SIGALRM, count);
    struct itimerval timer = {{0, 100000}, {0, 100000}};
    CHECK(setitimer(ITIMER_REAL, &timer, 0) == 0);
    span = (struct timespec){1000, 0};
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &span, &left), EINTR);
    CHECK(left.tv_sec >= 999 - 1 && left.tv_sec < 1000);
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &span, 0), EINTR);
    timer = (struct itimerval){0};
    setitimer(ITIMER_REAL, &timer, 0);
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &span, 0), EOPNOTSUPP);
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, clock_of(gettid(), 6), 0, &span, 0), EINVAL);
    span.tv_nsec = 1000000000;
    CHECK_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &span, 0), EINVAL);
}

// SIGXCPU at one second and at each that follows, SIGKILL at three.
static void limited(void)
{
    volatile int *seen = shared_page();
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit limit = {1, 3};
        signal(SIGXCPU, count);
        CHECK(setrlimit(RLIMIT_CPU, &limit) == 0);
        for (int i = 1; i <= 2; i++) {
            while (got[SIGXCPU] < i)
                spin(0.01);
            CHECK(cpu_s() >= i * 0.5 && getrlimit(RLIMIT_CPU, &limit) == 0 && limit.rlim_cur >= 1u + i);
        }
        *seen = checks_failed == 0 ? 2 : -1;
        fflush(stdout);
        spin(10);
        _exit(1);
    }
    CHECK_CHILD(pid, SIGKILL);
    CHECK(*seen == 2);
    struct rusage usage;
    CHECK(getrusage(RUSAGE_CHILDREN, &usage) == 0);
    double used = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    // Linux goes by ticks, which on a loaded host are far from what was used.
    CHECK(used > 1.5);
    // Without a handler; a limit that the maker had.
    pid = fork();
    if (pid == 0) {
        struct rlimit limit = {1, 5};
        CHECK(setrlimit(RLIMIT_CPU, &limit) == 0);
        pid = fork();
        if (pid == 0) {
            spin(10);
            _exit(1);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
}

// What a real-time task may use up without a sleep. Needs privilege.
static void limited_real_time(void)
{
    volatile int *seen = shared_page();
    pid_t pid = fork();
    if (pid == 0) {
        struct sched_param param = {.sched_priority = 1};
        if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param) != 0) {
            *seen = -1; // not permitted
            _exit(0);
        }
        struct rlimit limit = {300000, 2000000};
        signal(SIGXCPU, count);
        CHECK(setrlimit(RLIMIT_RTTIME, &limit) == 0);
        double most = 0;
        for (int i = 0; i < 5; i++) { // never as much at once
            double start = cpu_s();
            spin(0.1);
            sleep_ms(1);
            if (cpu_s() - start > most)
                most = cpu_s() - start;
        }
        CHECK(got[SIGXCPU] == 0 || most >= 0.3);
        spin(0.5);
        CHECK(got[SIGXCPU] >= 1);
        *seen = checks_failed == 0;
        fflush(stdout);
        spin(10);
        _exit(1);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(*seen == -1 || (*seen == 1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
}

static const struct test tests[] = {
    {"user and system time", told_apart}, {"proc", in_proc}, {"never less", never_less}, {"children", of_children},
    {"clocks", clocks}, {"interval timers", interval_timers}, {"timers", created_timers}, {"other process", of_another},
    {"sleeping", sleeping}, {"limit", limited}, {"real-time limit", limited_real_time},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
