// Priority inheritance: the owner of a lock runs by the priority of those that wait for it, and a lock goes to the one of
// the greatest priority (futex(2), FUTEX_LOCK_PI). On one CPU, with real-time threads.
#define _GNU_SOURCE
#include "table.h"

#include <pthread.h>
#include <sched.h>

enum { LOCK_PI = 6, UNLOCK_PI = 7, TRYLOCK_PI = 8, WAITERS = (int)0x80000000 };
enum { FIFO = 1 };

static int is_russet;
static int locks[4];
static volatile int step, done, spun_out;
static volatile int order[8], count;

static int lock(int which) { return syscall(SYS_futex, &locks[which], LOCK_PI, 0, 0, 0, 0); }
static int unlock(int which) { return syscall(SYS_futex, &locks[which], UNLOCK_PI, 0, 0, 0, 0); }
static int set(pid_t tid, int policy, int priority) { return syscall(SYS_sched_setscheduler, tid, policy, &priority); }
static pid_t self(void) { return syscall(SYS_gettid); }

// A container may forbid what root may do elsewhere.
static int prepare(void)
{
    cpu_set_t all, one;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    step = done = spun_out = count = 0;
    memset(locks, 0, sizeof locks);
    int may = set(0, FIFO, 50) == 0;
    if (!may)
        CHECK(!is_russet);
    return may;
}

static pthread_t start(void *(*run)(void *), intptr_t argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, 0, run, (void *)argument) == 0);
    return thread;
}

static void pause_ms(int ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, 0); }

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

// Keeps the CPU from all below its priority until it is told to end.
static void *spin(void *priority)
{
    CHECK(set(0, FIFO, (intptr_t)priority) == 0);
    for (double end = now() + 20; !done && now() < end;)
        ;
    spun_out = !done;
    return 0;
}

// Takes a lock, and gives it back once there are waiters and it has the CPU.
static void *hold(void *which)
{
    CHECK(set(0, FIFO, 1) == 0 && lock((intptr_t)which) == 0);
    step = 1;
    while (step < 2)
        ;
    CHECK(unlock((intptr_t)which) == 0);
    return 0;
}

// The classical inversion: who waits for a lock is not kept waiting by a thread that has nothing to do with it.
static void owner_is_lifted(void)
{
    if (!prepare())
        return;
    pthread_t low = start(hold, 0);
    while (step < 1)
        pause_ms(1);
    pthread_t middle = start(spin, 10);
    pause_ms(20);
    step = 2; // while the spinner has the CPU
    CHECK(lock(0) == 0);
    CHECK(!spun_out);
    done = 1;
    CHECK(unlock(0) == 0 && locks[0] == 0);
    pthread_join(low, 0);
    pthread_join(middle, 0);
}

// Has the second lock and waits for the first.
static void *hold_and_wait(void *unused)
{
    CHECK(set(0, FIFO, 1) == 0 && lock(1) == 0);
    step++;
    CHECK(lock(0) == 0 && unlock(0) == 0 && unlock(1) == 0);
    return unused;
}

static void priority_goes_on_along_a_chain(void)
{
    if (!prepare())
        return;
    pthread_t first = start(hold, 0);
    while (step < 1)
        pause_ms(1);
    step = 0;
    pthread_t second = start(hold_and_wait, 0);
    while (step < 1 || !(locks[0] & WAITERS))
        pause_ms(1);
    pthread_t middle = start(spin, 10);
    pause_ms(20);
    step = 2;
    CHECK(lock(1) == 0 && !spun_out);
    done = 1;
    CHECK(unlock(1) == 0);
    pthread_join(first, 0);
    pthread_join(second, 0);
    pthread_join(middle, 0);
}

static void *wait_in_turn(void *priority)
{
    CHECK(set(0, FIFO, (intptr_t)priority) == 0);
    CHECK(lock(0) == 0);
    order[count++] = (intptr_t)priority;
    CHECK(unlock(0) == 0);
    return 0;
}

static void greatest_priority_comes_first(void)
{
    static const int priorities[] = {3, 7, 5, 7, 1};
    pthread_t threads[5];
    if (!prepare())
        return;
    CHECK(lock(0) == 0 && locks[0] == self());
    for (int i = 0; i < 5; i++) {
        threads[i] = start(wait_in_turn, priorities[i]);
        pause_ms(10);
    }
    CHECK(locks[0] == (self() | WAITERS) && unlock(0) == 0);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], 0);
    CHECK(count == 5 && order[0] == 7 && order[1] == 7 && order[2] == 5 && order[3] == 3 && order[4] == 1);
    CHECK(locks[0] == 0);
}

// One that gives up waiting takes back what it has lent: then the spinner comes first.
static void *give_up(void *unused)
{
    struct timespec end;
    CHECK(set(0, FIFO, 40) == 0);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += 50000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    CHECK_ERRNO(syscall(SYS_futex, &locks[0], LOCK_PI, 0, &end, 0, 0), ETIMEDOUT);
    step = 2;
    return unused;
}

static void *hold_until_told(void *unused)
{
    CHECK(set(0, FIFO, 1) == 0 && lock(0) == 0);
    step = 1;
    while (!done) {
        count++;
        sched_yield(); // while it is lifted, whoever gives up waiting is its equal
    }
    CHECK(unlock(0) == 0);
    return unused;
}

static void lent_priority_is_taken_back(void)
{
    if (!prepare())
        return;
    pthread_t low = start(hold_until_told, 0);
    while (step < 1)
        pause_ms(1);
    pthread_t waiter = start(give_up, 0);
    pthread_t middle = start(spin, 10);
    while (step < 2)
        pause_ms(10);
    pause_ms(20);
    int before = count;
    pause_ms(100);
    CHECK(count == before && !spun_out);
    done = 1;
    pthread_join(low, 0);
    pthread_join(waiter, 0);
    pthread_join(middle, 0);
}

static void *close_the_ring(void *unused)
{
    CHECK(lock(1) == 0);
    step = 1;
    CHECK(lock(0) == 0 && unlock(0) == 0 && unlock(1) == 0);
    return unused;
}

static void ring_is_a_deadlock(void)
{
    step = 0;
    memset(locks, 0, sizeof locks);
    CHECK(lock(0) == 0);
    CHECK_ERRNO(lock(0), EDEADLK);
    pthread_t other = start(close_the_ring, 0);
    while (step < 1 || !(locks[0] & WAITERS))
        pause_ms(1);
    pause_ms(20);
    CHECK_ERRNO(lock(1), EDEADLK);
    CHECK(unlock(0) == 0);
    pthread_join(other, 0);
    CHECK(locks[0] == 0 && locks[1] == 0);
    CHECK_ERRNO(unlock(0), EPERM);
}

static const struct test tests[] = {
    {"owner_is_lifted", owner_is_lifted},
    {"priority_goes_on_along_a_chain", priority_goes_on_along_a_chain},
    {"greatest_priority_comes_first", greatest_priority_comes_first},
    {"lent_priority_is_taken_back", lent_priority_is_taken_back},
    {"ring_is_a_deadlock", ring_is_a_deadlock},
};

int main(int argc, char **argv)
{
    is_russet = strncmp(argv[0], "/tests/", 7) == 0;
    return RUN_TABLE(tests);
}
