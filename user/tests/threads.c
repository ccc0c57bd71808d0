// Threads: making and joining them, locks under load, futexes, robust lists, ends of all kinds, execve from any thread; and
// with the argument `stress`, many of each.
#define _GNU_SOURCE
#include "table.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

enum { THREADS = 8, ROUNDS = 2000, WAIT = 0, WAKE = 1, REQUEUE = 3, CMP_REQUEUE = 4, WAKE_OP = 5, WAIT_BITSET = 9, WAKE_BITSET = 10 };

static long futex(uint32_t *word, int operation, uint32_t value, uintptr_t timeout, uint32_t *second, uint32_t third)
{
    return syscall(SYS_futex, word, operation, value, timeout, second, third);
}

static char self[256];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter, queue_len, produced, consumed;
static __thread long own;

static void *add(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        own++;
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return own == ROUNDS ? argument : 0;
}

static void join(void)
{
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], 0, add, (void *)(i + 1)) == 0);
    for (long i = 0; i < THREADS; i++) {
        void *result;
        CHECK(pthread_join(threads[i], &result) == 0 && (long)result == i + 1);
    }
    CHECK(counter == THREADS * ROUNDS && own == 0);
}

static void *produce(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        while (queue_len >= 3)
            pthread_cond_wait(&changed, &mutex);
        queue_len++;
        produced++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return argument;
}

static void *consume(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        while (queue_len == 0)
            pthread_cond_wait(&changed, &mutex);
        queue_len--;
        consumed++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return argument;
}

static void conditions(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], 0, i % 2 ? produce : consume, 0) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], 0) == 0);
    CHECK(queue_len == 0 && produced == consumed && produced == THREADS / 2 * ROUNDS);
}

static uint32_t words[2];
static volatile uint32_t asleep, awake;

static void *sleep_on_word(void *argument)
{
    __atomic_add_fetch(&asleep, 1, __ATOMIC_SEQ_CST);
    long result = futex(words, WAIT_BITSET, 0, 0, 0, (uint32_t)(uintptr_t)argument);
    __atomic_add_fetch(&awake, 1, __ATOMIC_SEQ_CST);
    return (void *)result;
}

static void start_sleepers(pthread_t *threads, int count, uintptr_t bits)
{
    asleep = awake = 0;
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], 0, sleep_on_word, (void *)bits) == 0);
    while (asleep < (uint32_t)count)
        sleep_ms(1);
    sleep_ms(50);
}

static void futex_errors(void)
{
    struct timespec soon = {0, 20000000}, bad = {0, 1000000000};
    for (int i = 1; i < BAD_COUNT; i++) {
        uint32_t *p = (uint32_t *)bad_addresses[i];
        CHECK_ERRNO(futex(p, WAIT, 1, 0, 0, 0), EFAULT);
        CHECK_ERRNO(futex(p, WAKE, 1, 0, 0, 0), EFAULT);
        CHECK_ERRNO(futex(words, WAIT, 0, (uintptr_t)p, 0, 0), EFAULT);
    }
    CHECK_ERRNO(futex((uint32_t *)hole(), WAIT, 1, 0, 0, 0), EFAULT);
    CHECK_ERRNO(futex((uint32_t *)((char *)words + 1), WAIT, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(futex(words, WAIT, 1, 0, 0, 0), EAGAIN);
    CHECK_ERRNO(futex(words, WAIT, 0, (uintptr_t)&soon, 0, 0), ETIMEDOUT);
    CHECK_ERRNO(futex(words, WAIT, 0, (uintptr_t)&bad, 0, 0), EINVAL);
    CHECK_ERRNO(futex(words, WAIT_BITSET, 0, 0, 0, 0), EINVAL);
    CHECK_ERRNO(futex(words, WAKE_BITSET, 1, 0, 0, 0), EINVAL);
    CHECK_ERRNO(futex(words, CMP_REQUEUE, 1, 1, words + 1, 5), EAGAIN);
    CHECK_ERRNO(futex(words, 77, 1, 0, 0, 0), ENOSYS);
    CHECK_ERRNO(syscall(SYS_set_robust_list, 0, 23), EINVAL);
    CHECK(futex(words, WAKE, 1, 0, 0, 0) == 0);
}

static void futex_wakes(void)
{
    pthread_t threads[4];
    start_sleepers(threads, 4, 2);
    CHECK(futex(words, WAKE_BITSET, 9, 0, 0, 4) == 0 && awake == 0);
    CHECK(futex(words, WAKE_BITSET, 1, 0, 0, 6) == 1);
    CHECK(futex(words, CMP_REQUEUE, 1, 1, words + 1, 0) == 2);
    CHECK(futex(words + 1, WAKE, 9, 0, 0, 0) == 1);
    CHECK(futex(words, REQUEUE, 0, 9, words + 1, 0) == 1); // Linux counts those moved, whatever futex(2) says
    // words[1] = 0 | 8, and its sleeper is woken as the old value was 0.
    CHECK(futex(words, WAKE_OP, 1, 1, words + 1, 2u << 28 | 8 << 12) == 1 && words[1] == 8);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], 0) == 0);
    CHECK(awake == 4);
}

static void *keep_lock(void *lock)
{
    pthread_mutex_lock(lock);
    return 0;
}

static void robust(void)
{
    pthread_mutex_t *lock = shared_page();
    pthread_mutexattr_t how;
    pthread_t thread;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    CHECK(pthread_mutex_init(lock, &how) == 0);
    CHECK(pthread_create(&thread, 0, keep_lock, lock) == 0 && pthread_join(thread, 0) == 0);
    CHECK(pthread_mutex_lock(lock) == EOWNERDEAD && pthread_mutex_consistent(lock) == 0);
    CHECK(pthread_mutex_unlock(lock) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(lock);
        sleep_ms(50);
        raise(SIGKILL);
    }
    sleep_ms(20);
    CHECK(pthread_mutex_lock(lock) == EOWNERDEAD && pthread_mutex_consistent(lock) == 0 && pthread_mutex_unlock(lock) == 0);
    CHECK_CHILD(pid, SIGKILL);
}

static void *sleep_for_ever(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void *execute(void *argument)
{
    sleep_ms(20);
    execl(self, self, "=executed", argument, (char *)0);
    return 0;
}

static void *end_later(void *argument)
{
    sleep_ms(50);
    _exit((int)(long)argument);
}

static void *nothing(void *argument) { return argument; }

static void *return_later(void *argument)
{
    sleep_ms(40);
    return argument;
}

static void ends(void)
{
    // exit_group ends all, sleepers too.
    pthread_t thread;
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < THREADS; i++)
            pthread_create(&thread, 0, sleep_for_ever, 0);
        _exit(6);
    }
    CHECK_CHILD(pid, 6 << 8);
    // execve from another thread: the process keeps its number.
    pid = fork();
    if (pid == 0) {
        char number[20];
        snprintf(number, sizeof number, "%d", getpid());
        pthread_create(&thread, 0, sleep_for_ever, 0);
        pthread_create(&thread, 0, execute, number);
        sleep_for_ever(0);
    }
    CHECK_CHILD(pid, 8 << 8);
    // The first thread ends before the others: the process goes on, and has the status of its end.
    pid = fork();
    if (pid == 0) {
        pthread_create(&thread, 0, end_later, (void *)11);
        syscall(SYS_exit, 3);
    }
    CHECK(waitpid(pid, 0, WNOHANG) == 0);
    CHECK_CHILD(pid, 11 << 8);
    pid = fork();
    if (pid == 0) {
        pthread_create(&thread, 0, return_later, 0);
        syscall(SYS_exit, 5);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    // A signal kills all.
    pid = fork();
    if (pid == 0) {
        pthread_create(&thread, 0, sleep_for_ever, 0);
        syscall(SYS_tgkill, getpid(), getpid(), SIGTERM);
        sleep_for_ever(0);
    }
    CHECK_CHILD(pid, SIGTERM);
}

// A signal to the process that one thread was to take goes to the other when that one keeps it back before it has.
static volatile int signals_taken, round_number;
static void take_signal(int number)
{
    (void)number;
    __atomic_fetch_add(&signals_taken, 1, __ATOMIC_SEQ_CST);
}
static void *sleep_unblocked(void *argument)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, 0);
    for (;;)
        pause();
    return argument;
}
static void *send_signals(void *argument)
{
    double until = now_s() + 1;
    for (int round = 1; round < 3000 && now_s() < until; round++) {
        round_number = round;
        for (volatile int i = 0; i < round % 64 * 20; i++)
            ;
        kill(getpid(), SIGUSR1);
        while (signals_taken < round)
            sched_yield();
    }
    _exit(0);
    return argument;
}
static void given_up_signals(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t one;
        pthread_t thread;
        sigemptyset(&one);
        sigaddset(&one, SIGUSR1);
        signal(SIGUSR1, take_signal);
        pthread_sigmask(SIG_BLOCK, &one, 0);
        pthread_create(&thread, 0, sleep_unblocked, 0);
        pthread_create(&thread, 0, send_signals, 0);
        for (int round = 0;; round = round_number) {
            pthread_sigmask(SIG_UNBLOCK, &one, 0);
            for (volatile int i = 0; i < round % 16 * 10; i++)
                ;
            pthread_sigmask(SIG_BLOCK, &one, 0);
            while (round_number == round)
                sched_yield();
        }
    }
    CHECK_CHILD(pid, 0);
}

static const struct test tests[] = {
    {"join", join},
    {"conditions", conditions},
    {"futex errors", futex_errors},
    {"futex wakes", futex_wakes},
    {"robust", robust},
    {"ends", ends},
    {"given up signals", given_up_signals},
};

static void many_forks(void)
{
    for (int i = 0; i < 2000; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(i & 0x7f);
        CHECK_CHILD(pid, (i & 0x7f) << 8);
    }
}

static void many_programs(void)
{
    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            execl(self, self, "=executed", "0", (char *)0);
            _exit(1);
        }
        CHECK_CHILD(pid, 9 << 8);
    }
}

enum { RING = 50, HANDOFFS = 200 };
static uint32_t turns[RING];

// Waits for its own word and sets the next one's.
static void *hand_on(void *argument)
{
    long at = (long)argument;
    for (int i = 0; i < HANDOFFS; i++) {
        while (__atomic_exchange_n(&turns[at], 0, __ATOMIC_SEQ_CST) == 0)
            futex(&turns[at], WAIT | 128, 0, 0, 0, 0);
        counter++; // one thread at a time
        uint32_t *next = &turns[(at + 1) % RING];
        __atomic_store_n(next, 1, __ATOMIC_SEQ_CST);
        futex(next, WAKE | 128, 1, 0, 0, 0);
    }
    return argument;
}

static void many_handoffs(void)
{
    pthread_t threads[RING];
    for (long i = 0; i < RING; i++)
        CHECK(pthread_create(&threads[i], 0, hand_on, (void *)i) == 0);
    turns[0] = 1;
    futex(turns, WAKE | 128, 1, 0, 0, 0);
    for (long i = 0; i < RING; i++)
        CHECK(pthread_join(threads[i], 0) == 0);
    CHECK(counter == RING * HANDOFFS);
    for (int i = 0; i < 1000; i++)
        CHECK(pthread_create(&threads[0], 0, nothing, 0) == 0 && pthread_join(threads[0], 0) == 0);
}

static const struct test stress[] = {
    {"many forks", many_forks},
    {"many programs", many_programs},
    {"many hand-offs", many_handoffs},
};

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "=executed") == 0)
        return atoi(argv[2]) == getpid() && syscall(SYS_gettid) == getpid() ? 8 : 9;
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        snprintf(self, sizeof self, "%s", argv[0]);
    if (argc > 1 && strcmp(argv[1], "stress") == 0)
        return run_table(stress, sizeof stress / sizeof *stress, 1, argv);
    return RUN_TABLE(tests);
}
