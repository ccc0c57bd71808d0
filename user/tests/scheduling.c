// Scheduling policies: what can be set by whom, what a child has of it, and what it does to who runs (sched(7)).
#define _GNU_SOURCE
#include "table.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { OTHER = 0, FIFO = 1, RR = 2, BATCH = 3, IDLE = 5, RESET = 0x40000000, RTPRIO = 14 };

struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

// The C library refuses these calls, so they are made directly.
static int set(pid_t tid, int policy, int priority) { return syscall(SYS_sched_setscheduler, tid, policy, &priority); }
static int get(pid_t tid) { return syscall(SYS_sched_getscheduler, tid); }
static int priority_of(pid_t tid)
{
    int priority = -1;
    CHECK(syscall(SYS_sched_getparam, tid, &priority) == 0);
    return priority;
}

static int is_russet;

// A container may forbid what root may do elsewhere.
static int may_be_real_time(void)
{
    int may = set(0, FIFO, 1) == 0;
    if (may)
        CHECK(set(0, OTHER, 0) == 0);
    else
        CHECK(!is_russet);
    return may;
}

static void stay_on_one_cpu(void)
{
    cpu_set_t all, one;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
            return;
        }
    }
}

static double cpu_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void errors(void)
{
    int zero = 0;
    struct attr attr = {sizeof attr, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    CHECK_ERRNO(set(0, 99, 0), EINVAL);
    CHECK_ERRNO(set(0, -1, 0), EINVAL);
    CHECK_ERRNO(set(0, FIFO, 0), EINVAL);
    CHECK_ERRNO(set(0, RR, 100), EINVAL);
    CHECK_ERRNO(set(0, FIFO, -5), EINVAL);
    CHECK_ERRNO(set(0, OTHER, 1), EINVAL);
    CHECK_ERRNO(set(-1, OTHER, 0), EINVAL);
    CHECK_ERRNO(set(999999, OTHER, 0), ESRCH);
    CHECK_ERRNO(get(999999), ESRCH);
    CHECK_ERRNO(get(-1), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_setparam, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getparam, 0, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_setscheduler, 0, OTHER, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_get_priority_max, 99), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_get_priority_min, -1), EINVAL);
    CHECK(syscall(SYS_sched_get_priority_max, FIFO) == 99 && syscall(SYS_sched_get_priority_min, RR) == 1);
    CHECK(syscall(SYS_sched_get_priority_max, OTHER) == 0 && syscall(SYS_sched_get_priority_min, BATCH) == 0);
    CHECK_BAD_IN(syscall(SYS_sched_setparam, 0, p), 4, 1);
    CHECK_BAD_OUT(syscall(SYS_sched_getparam, 0, p), 4, 1);
    CHECK_BAD_IN(syscall(SYS_sched_setscheduler, 0, OTHER, p), 4, 1);
    CHECK_BAD_OUT(syscall(SYS_sched_rr_get_interval, 0, p), 16, 0);
    CHECK_BAD_OUT(syscall(SYS_sched_getattr, 0, p, 56, 0), 48, 1);
    CHECK_BAD_IN(syscall(SYS_sched_setattr, 0, p, 0), 4, 1);
    CHECK_ERRNO(syscall(SYS_sched_getattr, 0, &attr, 47, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getattr, 0, &attr, 8192, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getattr, 0, &attr, 56, 1), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_getattr, 999999, &attr, 56, 0), ESRCH);
    CHECK_ERRNO(syscall(SYS_sched_setattr, 0, &attr, 1), EINVAL);
    CHECK_ERRNO(syscall(SYS_sched_setattr, 0, 0, 0), EINVAL);
    attr.size = 20;
    CHECK_ERRNO(syscall(SYS_sched_setattr, 0, &attr, 0), E2BIG);
    CHECK(attr.size >= 48);
    struct { struct attr known; uint64_t more; } longer = {{sizeof longer, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1};
    CHECK_ERRNO(syscall(SYS_sched_setattr, 0, &longer, 0), E2BIG);
    longer.known.size = sizeof longer;
    longer.more = 0;
    CHECK(syscall(SYS_sched_setattr, 0, &longer, 0) == 0);
    attr = (struct attr){.size = 48, .policy = 99};
    CHECK_ERRNO(syscall(SYS_sched_setattr, 0, &attr, 0), EINVAL);
    attr = (struct attr){.size = 48, .flags = 1ull << 40};
    CHECK_ERRNO(syscall(SYS_sched_setattr, 0, &attr, 0), EINVAL);
    CHECK(syscall(SYS_sched_setparam, 0, &zero) == 0);
}

static void fair_policies(void)
{
    static const int policies[] = {BATCH, IDLE, OTHER};
    for (int i = 0; i < 3; i++) {
        CHECK(set(0, policies[i], 0) == 0 && get(0) == policies[i] && priority_of(0) == 0);
        CHECK(set(getpid(), policies[i] | RESET, 0) == 0 && get(getpid()) == (policies[i] | RESET));
        CHECK(set(0, policies[i], 0) == 0 || errno == EPERM); // the right to take it back
    }
    struct attr attr = {.size = sizeof attr, .policy = BATCH, .nice = 5};
    CHECK(syscall(SYS_sched_setattr, 0, &attr, 0) == 0 && get(0) == BATCH && getpriority(PRIO_PROCESS, 0) == 5);
    memset(&attr, 0xff, sizeof attr);
    CHECK(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) == 0);
    CHECK(attr.size >= 48 && attr.policy == BATCH && attr.nice == 5 && attr.priority == 0 && attr.flags == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(get(0) == BATCH && getpriority(PRIO_PROCESS, 0) == 5);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
}

static void real_time_policies(void)
{
    if (!may_be_real_time())
        return;
    struct timespec interval;
    CHECK(set(0, FIFO, 7) == 0 && get(0) == FIFO && priority_of(0) == 7);
    CHECK(syscall(SYS_sched_rr_get_interval, 0, &interval) == 0 && interval.tv_sec == 0 && interval.tv_nsec == 0);
    CHECK(set(0, RR, 99) == 0 && get(0) == RR && priority_of(0) == 99);
    CHECK(syscall(SYS_sched_rr_get_interval, 0, &interval) == 0 && interval.tv_nsec == 100000000);
    int three = 3;
    CHECK(syscall(SYS_sched_setparam, 0, &three) == 0 && get(0) == RR && priority_of(0) == 3);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(get(0) == RR && priority_of(0) == 3);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(set(0, FIFO | RESET, 4) == 0);
    pid = fork();
    if (pid == 0) {
        CHECK(get(0) == OTHER && priority_of(0) == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    struct attr attr = {.size = sizeof attr, .policy = FIFO, .priority = 9, .flags = 1};
    CHECK(syscall(SYS_sched_setattr, 0, &attr, 0) == 0 && get(0) == (FIFO | RESET) && priority_of(0) == 9);
    CHECK(syscall(SYS_sched_getattr, 0, &attr, 48, 0) == 0 && attr.size == 48 && attr.policy == FIFO && attr.priority == 9 && attr.flags == 1);
    CHECK(set(0, OTHER, 0) == 0);
}

static void privileges(void)
{
    if (geteuid() != 0)
        return;
    struct rlimit limit = {5, 5};
    if (setrlimit(RTPRIO, &limit) != 0) { // root of a container
        CHECK(!is_russet);
        return;
    }
    CHECK(setgid(1000) == 0 && setuid(1000) == 0);
    CHECK(set(0, FIFO, 5) == 0 && priority_of(0) == 5);
    CHECK_ERRNO(set(0, FIFO, 6), EPERM);
    CHECK_ERRNO(set(0, RR, 99), EPERM);
    CHECK(set(0, FIFO, 2) == 0 && set(0, RR, 5) == 0 && set(0, OTHER | RESET, 0) == 0);
    CHECK_ERRNO(set(0, OTHER, 0), EPERM);
    CHECK_ERRNO(set(getppid(), OTHER, 0), EPERM);
    limit.rlim_cur = 0;
    CHECK(setrlimit(RTPRIO, &limit) == 0);
    CHECK_ERRNO(set(0, FIFO | RESET, 1), EPERM);
}

struct record { volatile int next, order[8]; volatile double began[4], ended[4]; volatile long count; };

// Of those that are ready on one CPU the greatest priority runs first, and before anybody who is not of real time.
static void priorities(void)
{
    if (!may_be_real_time())
        return;
    struct record *record = shared_page();
    stay_on_one_cpu();
    CHECK(set(0, FIFO, 50) == 0);
    static const int wanted[] = {10, 30, 0, 20};
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            // Still of the parent's priority, but behind it; the parent sets the right one before it sleeps.
            record->order[__atomic_fetch_add(&record->next, 1, __ATOMIC_SEQ_CST)] = priority_of(0);
            child_exit();
        }
        CHECK(set(pids[i], wanted[i] ? FIFO : OTHER, wanted[i]) == 0);
    }
    CHECK(record->next == 0);
    for (int i = 0; i < 4; i++)
        CHECK_CHILD(pids[i], 0);
    CHECK(record->order[0] == 30 && record->order[1] == 20 && record->order[2] == 10 && record->order[3] == 0);
}

static void two_spinners(struct record *record, int policy, double seconds)
{
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            record->began[i] = now_s();
            while (cpu_time() < seconds) {
            }
            record->ended[i] = now_s();
            child_exit();
        }
        CHECK(set(pids[i], policy, 10) == 0);
    }
    for (int i = 0; i < 2; i++)
        CHECK_CHILD(pids[i], 0);
}

// Equals: one after the other, or by turns.
static void equals(void)
{
    if (!may_be_real_time())
        return;
    struct record *record = shared_page();
    stay_on_one_cpu();
    CHECK(set(0, FIFO, 50) == 0);
    two_spinners(record, FIFO, 0.25);
    CHECK(record->began[1] >= record->ended[0] || record->began[0] >= record->ended[1]);
    two_spinners(record, RR, 0.25);
    CHECK(record->began[1] < record->ended[0] && record->began[0] < record->ended[1]);
}

// A real-time task that never sleeps leaves the others something.
static void throttling(void)
{
    if (!may_be_real_time())
        return;
    struct record *record = shared_page();
    stay_on_one_cpu();
    pid_t pid = fork();
    if (pid == 0) {
        for (;;)
            record->count++;
    }
    sleep_ms(20);
    CHECK(set(0, FIFO, 10) == 0);
    long before = record->count;
    for (double end = now_s() + 2.5; now_s() < end;) {
    }
    long after = record->count;
    CHECK(set(0, OTHER, 0) == 0);
    CHECK(after > before);
    kill(pid, SIGKILL);
    CHECK_CHILD(pid, SIGKILL);
}

// The idle policy has what others leave.
static void idle_policy(void)
{
    struct record *record = shared_page();
    stay_on_one_cpu();
    pid_t pid = fork();
    if (pid == 0) {
        set(0, IDLE, 0);
        for (;;)
            record->count++;
    }
    sleep_ms(50);
    long before = record->count, own = 0;
    for (double end = now_s() + 0.5; now_s() < end;)
        own++;
    long other = record->count - before;
    kill(pid, SIGKILL);
    CHECK_CHILD(pid, SIGKILL);
    // Its loop is far shorter, so time is what counts: it must have been kept off most of it.
    before = 0;
    for (double end = cpu_time() + 0.05; cpu_time() < end;)
        for (int i = 0; i < 1000; i++)
            record->count++, before++;
    double rate = before / 0.05;
    CHECK(own > 0 && other < rate * 0.5 * 0.25);
}

static const struct test tests[] = {
    {"errors", errors}, {"fair policies", fair_policies}, {"real-time policies", real_time_policies}, {"privileges", privileges},
    {"priorities", priorities}, {"equals", equals}, {"throttling", throttling}, {"idle policy", idle_policy},
};

int main(int argc, char **argv)
{
    is_russet = strncmp(argv[0], "/tests/", 7) == 0;
    return RUN_TABLE(tests);
}
