// Semaphores of System V: semget(2), semop(2), semtimedop(2), semctl(2). Every set is private or of a key of this process's own,
// and removed by the test that made it.
#define _GNU_SOURCE
#include "table.h"

#include <grp.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

enum { USER = 12345, OTHER = 34567 };

static key_t own_key(void) { return 0x53000000 | getpid(); }

static int set_of(int count) { return semget(IPC_PRIVATE, count, 0600); }
static int value_of(int id, int number) { return semctl(id, number, GETVAL); }
static void removes(int id) { CHECK(semctl(id, 0, IPC_RMID) == 0); }

static int operate(int id, int number, int by, int flags)
{
    struct sembuf operation = {number, by, flags};
    return semop(id, &operation, 1);
}

static struct semid_ds status_of(int id)
{
    struct semid_ds status;
    memset(&status, 0xee, sizeof status);
    CHECK(semctl(id, 0, IPC_STAT, &status) == 0);
    return status;
}

// Until as many wait for that semaphore to grow, or to be 0.
static void await_waiting(int id, int number, int what, int count)
{
    for (int i = 0; i < 2000 && semctl(id, number, what) != count; i++)
        sleep_ms(1);
    CHECK(semctl(id, number, what) == count);
}

// A child that operates; it ends with 0, or the error.
static pid_t child_operates(int id, struct sembuf *operations, int count)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(semop(id, operations, count) == 0 ? 0 : errno);
    return pid;
}
static pid_t child_does(int id, int number, int by, int flags)
{
    struct sembuf operation = {number, by, flags};
    return child_operates(id, &operation, 1);
}

static void sets_are_found_by_their_keys(void)
{
    key_t key = own_key();
    CHECK_ERRNO(semget(key, 3, 0600), ENOENT);
    int id = semget(key, 3, IPC_CREAT | IPC_EXCL | 0640);
    CHECK(id >= 0 && semget(key, 3, IPC_CREAT | 0600) == id && semget(key, 0, 0) == id);
    CHECK_ERRNO(semget(key, 3, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_ERRNO(semget(key, 4, 0600), EINVAL);
    struct semid_ds status = status_of(id);
    CHECK(status.sem_perm.__key == key && status.sem_perm.mode == 0640 && status.sem_nsems == 3);
    CHECK(status.sem_otime == 0 && llabs(status.sem_ctime - time(0)) < 5);
    CHECK(operate(id, 0, 1, 0) == 0 && llabs(status_of(id).sem_otime - time(0)) < 5);
    removes(id);
    CHECK_ERRNO(semget(key, 3, 0600), ENOENT);
    CHECK_ERRNO(semctl(id, 0, GETVAL), EINVAL);
    CHECK_ERRNO(operate(id, 0, 1, 0), EINVAL);
}

static void bad_arguments(void)
{
    struct sembuf many[501] = {{0}};
    struct timespec negative = {-1, 0}, wrong = {0, 1000000000};
    CHECK_ERRNO(semget(IPC_PRIVATE, 0, 0600), EINVAL);
    CHECK_ERRNO(semget(IPC_PRIVATE, -1, 0600), EINVAL);
    CHECK_ERRNO(semget(IPC_PRIVATE, 32001, 0600), EINVAL);
    int id = semget(IPC_PRIVATE, 32000, 0600);
    CHECK(id >= 0 && operate(id, 31999, 1, 0) == 0);
    CHECK_ERRNO(operate(id, 32000, 1, 0), EFBIG);
    CHECK_ERRNO(semop(id, many, 501), E2BIG);
    CHECK(semop(id, many, 500) == 0);
    CHECK_ERRNO(semop(id, many, 0), EINVAL);
    CHECK_ERRNO(semop(-1, many, 1), EINVAL);
    CHECK_ERRNO(semtimedop(id, many, 1, &negative), EINVAL);
    CHECK_ERRNO(semtimedop(id, many, 1, &wrong), EINVAL);
    CHECK_ERRNO(semctl(id, 32000, GETVAL), EINVAL);
    CHECK_ERRNO(semctl(id, -1, GETVAL), EINVAL);
    CHECK_ERRNO(semctl(id, 32000, SETVAL, 1), EINVAL);
    CHECK_ERRNO(semctl(id, 0, SETVAL, 32768), ERANGE);
    CHECK_ERRNO(semctl(id, 0, SETVAL, -1), ERANGE);
    CHECK_ERRNO(semctl(id, 0, 99), EINVAL);
    CHECK_ERRNO(semctl(-1, 0, GETVAL), EINVAL);
    CHECK(semctl(id, 0, SETVAL, 32767) == 0);
    CHECK_ERRNO(operate(id, 0, 1, 0), ERANGE);
    removes(id);
}

static void values_are_set_and_told(void)
{
    int id = set_of(3);
    unsigned short values[] = {4, 5, 6}, back[3] = {0};
    CHECK(semctl(id, 0, GETPID) == 0);
    CHECK(semctl(id, 0, SETALL, values) == 0 && semctl(id, 0, GETALL, back) == 0);
    CHECK(memcmp(values, back, sizeof values) == 0 && semctl(id, 2, GETPID) == getpid());
    CHECK(semctl(id, 1, SETVAL, 77) == 0 && value_of(id, 1) == 77 && value_of(id, 2) == 6);
    values[2] = 40000;
    CHECK_ERRNO(semctl(id, 0, SETALL, values), ERANGE);
    CHECK(value_of(id, 0) == 4 && value_of(id, 2) == 6);
    pid_t pid = child_does(id, 2, -6, 0);
    CHECK_CHILD(pid, 0);
    CHECK(value_of(id, 2) == 0 && semctl(id, 2, GETPID) == pid && semctl(id, 1, GETPID) == getpid());
    removes(id);
}

static void all_operations_or_none(void)
{
    int id = set_of(3);
    struct sembuf both[] = {{0, 2, 0}, {1, -1, IPC_NOWAIT}};
    CHECK_ERRNO(semop(id, both, 2), EAGAIN);
    CHECK(value_of(id, 0) == 0 && value_of(id, 1) == 0);
    struct sembuf same[] = {{0, 2, 0}, {0, -1, 0}, {0, -1, 0}, {0, 0, 0}, {0, 3, 0}};
    CHECK(semop(id, same, 5) == 0 && value_of(id, 0) == 3);
    // One that waits has done nothing yet, whichever operation it is that it waits for.
    struct sembuf waits[] = {{0, -1, 0}, {1, -1, 0}, {2, 0, 0}};
    pid_t pid = child_operates(id, waits, 3);
    await_waiting(id, 1, GETNCNT, 1);
    CHECK(value_of(id, 0) == 3 && semctl(id, 0, GETNCNT) == 0 && semctl(id, 2, GETZCNT) == 0);
    CHECK(operate(id, 2, 1, 0) == 0 && operate(id, 1, 1, 0) == 0);
    await_waiting(id, 2, GETZCNT, 1);
    CHECK(value_of(id, 0) == 3 && value_of(id, 1) == 1 && semctl(id, 1, GETNCNT) == 0);
    CHECK(operate(id, 2, -1, 0) == 0);
    CHECK(value_of(id, 0) == 2 && value_of(id, 1) == 0); // done by the one that let it go
    CHECK_CHILD(pid, 0);
    removes(id);
}

static void waiters_go_in_order(void)
{
    int id = set_of(2);
    pid_t big = child_does(id, 0, -3, 0);
    await_waiting(id, 0, GETNCNT, 1);
    pid_t small = child_does(id, 0, -1, 0);
    await_waiting(id, 0, GETNCNT, 2);
    CHECK(operate(id, 0, 1, 0) == 0); // not enough for the first
    CHECK_CHILD(small, 0);
    CHECK(operate(id, 0, 4, 0) == 0);
    CHECK_CHILD(big, 0);
    CHECK(value_of(id, 0) == 1);
    // A value that is 0 for a moment lets those go that wait for it.
    pid_t zero = child_does(id, 0, 0, 0);
    await_waiting(id, 0, GETZCNT, 1);
    struct sembuf locks[] = {{0, 0, 0}, {0, 1, 0}};
    pid_t lock = child_operates(id, locks, 2);
    await_waiting(id, 0, GETZCNT, 2);
    pid_t later = child_does(id, 0, 0, 0);
    await_waiting(id, 0, GETZCNT, 3);
    CHECK(operate(id, 0, -1, 0) == 0);
    CHECK(value_of(id, 0) == 1); // the lock is held again
    CHECK_CHILD(zero, 0);
    CHECK_CHILD(lock, 0);
    CHECK_CHILD(later, 0);
    // SETVAL and SETALL let go, too.
    pid_t first = child_does(id, 1, -5, 0);
    await_waiting(id, 1, GETNCNT, 1);
    CHECK(semctl(id, 1, SETVAL, 6) == 0);
    CHECK_CHILD(first, 0);
    CHECK(value_of(id, 1) == 1);
    removes(id);
}

static volatile int caught;
static void catches(int number) { caught = number; }

static void waits_end(void)
{
    int id = set_of(2);
    struct sembuf takes = {0, -1, 0};
    struct timespec short_time = {0, 50000000}, none = {0, 0};
    double start = now_s();
    CHECK_ERRNO(semtimedop(id, &takes, 1, &short_time), EAGAIN);
    CHECK(now_s() - start > 0.045 && now_s() - start < 5);
    CHECK_ERRNO(semtimedop(id, &takes, 1, &none), EAGAIN);
    CHECK(semctl(id, 0, GETNCNT) == 0);
    // A signal, even with SA_RESTART.
    struct sigaction action = {.sa_handler = catches, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, 0);
    pid_t pid = fork();
    if (pid == 0) {
        await_waiting(id, 0, GETNCNT, 1);
        kill(getppid(), SIGUSR1);
        child_exit();
    }
    CHECK_ERRNO(semop(id, &takes, 1), EINTR);
    CHECK(caught == SIGUSR1 && semctl(id, 0, GETNCNT) == 0);
    CHECK_CHILD(pid, 0);
    // One that is killed waits no more.
    pid = child_does(id, 0, -1, 0);
    await_waiting(id, 0, GETNCNT, 1);
    kill(pid, SIGKILL);
    CHECK_CHILD(pid, SIGKILL);
    CHECK(semctl(id, 0, GETNCNT) == 0);
    // Removal.
    pid_t one = child_does(id, 0, -1, 0), two = child_does(id, 1, -1, SEM_UNDO);
    await_waiting(id, 0, GETNCNT, 1);
    await_waiting(id, 1, GETNCNT, 1);
    removes(id);
    CHECK_CHILD(one, EIDRM << 8);
    CHECK_CHILD(two, EIDRM << 8);
}

static void *takes_in_a_thread(void *id)
{
    return (void *)(long)operate(*(int *)id, 0, -1, SEM_UNDO);
}

static void the_end_of_a_process_undoes(void)
{
    int id = set_of(3);
    CHECK(semctl(id, 0, SETVAL, 5) == 0);
    pid_t waits = child_does(id, 1, -2, 0);
    await_waiting(id, 1, GETNCNT, 1);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        void *result = (void *)1;
        CHECK(operate(id, 0, -3, SEM_UNDO) == 0 && operate(id, 0, 1, SEM_UNDO) == 0 && operate(id, 0, -1, 0) == 0);
        CHECK(operate(id, 1, 1, 0) == 0 && operate(id, 1, -1, SEM_UNDO) == 0);
        CHECK(operate(id, 2, 4, SEM_UNDO) == 0);
        // A thread's end undoes nothing, nor does that of a child.
        CHECK(pthread_create(&thread, 0, takes_in_a_thread, &id) == 0 && pthread_join(thread, &result) == 0);
        CHECK(result == 0 && value_of(id, 0) == 1);
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        CHECK_CHILD(child, 0);
        CHECK(value_of(id, 0) == 1 && value_of(id, 1) == 0 && value_of(id, 2) == 4);
        // What is undone stays so in another program.
        fflush(stdout);
        if (checks_failed == 0)
            execl("/proc/self/exe", "sem", "--add", (snprintf((char *)hole() - 16, 16, "%d", id), (char *)hole() - 16), (char *)0);
        _exit(99);
    }
    CHECK_CHILD(pid, 0);
    CHECK(value_of(id, 0) == 4); // 5, and the one that was taken without
    CHECK(value_of(id, 2) == 0);
    CHECK_CHILD(waits, 0); // its two: one of the undoing, one of the other program's
    CHECK(value_of(id, 1) == 0 && semctl(id, 0, GETPID) == pid);
    // Setting a value makes forget; values end at 0 and at 32767.
    pid = fork();
    if (pid == 0) {
        CHECK(operate(id, 0, -1, SEM_UNDO) == 0 && semctl(id, 0, SETVAL, 10) == 0);
        CHECK(operate(id, 2, 6, SEM_UNDO) == 0 && operate(id, 2, -5, 0) == 0);
        CHECK(operate(id, 1, 32767, 0) == 0 && operate(id, 1, -9, SEM_UNDO) == 0 && operate(id, 1, 9, 0) == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(value_of(id, 0) == 10 && value_of(id, 2) == 0 && value_of(id, 1) == 32767);
    // More than can be undone.
    CHECK(semctl(id, 2, SETVAL, 0) == 0 && operate(id, 2, 32767, SEM_UNDO) == 0 && operate(id, 2, -1, 0) == 0);
    CHECK(operate(id, 2, 1, SEM_UNDO) == 0 && operate(id, 2, -1, 0) == 0);
    CHECK_ERRNO(operate(id, 2, 1, SEM_UNDO), ERANGE);
    CHECK(value_of(id, 2) == 32766);
    removes(id);
}

static void permissions(void)
{
    if (geteuid() != 0)
        return;
    int id = semget(IPC_PRIVATE, 2, 0644);
    struct semid_ds status = status_of(id);
    status.sem_perm.uid = USER;
    CHECK(semctl(id, 0, IPC_SET, &status) == 0 && status_of(id).sem_perm.uid == USER);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned short values[2] = {0};
        CHECK(setgroups(0, 0) == 0 && setresgid(OTHER, OTHER, OTHER) == 0 && setresuid(OTHER, OTHER, OTHER) == 0);
        CHECK(operate(id, 0, 0, 0) == 0 && value_of(id, 0) == 0 && semctl(id, 0, GETALL, values) == 0);
        CHECK_ERRNO(operate(id, 0, 1, 0), EACCES);
        CHECK_ERRNO(semctl(id, 0, SETVAL, 1), EACCES);
        CHECK_ERRNO(semctl(id, 0, SETALL, values), EACCES);
        CHECK_ERRNO(semctl(id, 0, IPC_SET, &status), EPERM);
        CHECK_ERRNO(semctl(id, 0, IPC_RMID), EPERM);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    status.sem_perm.mode = 0200;
    CHECK(semctl(id, 0, IPC_SET, &status) == 0);
    pid = fork();
    if (pid == 0) {
        CHECK(setgroups(0, 0) == 0 && setresgid(OTHER, OTHER, OTHER) == 0 && setresuid(USER, USER, USER) == 0);
        CHECK(operate(id, 0, 1, 0) == 0);
        CHECK_ERRNO(operate(id, 0, 0, 0), EACCES);
        CHECK_ERRNO(value_of(id, 0), EACCES);
        CHECK_ERRNO(semctl(id & 0x7fff, 0, SEM_STAT, &status), EACCES);
        CHECK(semctl(id & 0x7fff, 0, SEM_STAT_ANY, &status) == id);
        CHECK(semctl(id, 0, IPC_RMID) == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
}

static void what_is_told_of_all(void)
{
    struct seminfo limits, now;
    int id = semget(own_key(), 7, IPC_CREAT | 0600);
    int highest = semctl(0, 0, IPC_INFO, &limits);
    CHECK(highest >= (id & 0x7fff));
    CHECK(limits.semmni == 32000 && limits.semmsl == 32000 && limits.semopm == 500 && limits.semvmx == 32767);
    CHECK(limits.semmns == 1024000000 && limits.semmnu == limits.semmns && limits.semusz == 20);
    CHECK(semctl(0, 0, SEM_INFO, &now) == highest && now.semusz >= 1 && now.semaem >= 7);
    struct semid_ds status;
    CHECK(semctl(id & 0x7fff, 0, SEM_STAT, &status) == id && status.sem_nsems == 7);
    CHECK_ERRNO(semctl(32767, 0, SEM_STAT, &status), EINVAL);
    char line[200], wanted[100];
    snprintf(wanted, sizeof wanted, "%10d %10d   600          7 ", own_key(), id);
    int found = 0;
    FILE *file = fopen("/proc/sysvipc/sem", "r");
    CHECK(file && fgets(line, sizeof line, file) &&
          strcmp(line, "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n") == 0);
    while (file && fgets(line, sizeof line, file))
        found += strncmp(line, wanted, strlen(wanted)) == 0;
    CHECK(found == 1);
    CHECK(file && fclose(file) == 0);
    file = fopen("/proc/sys/kernel/sem", "r");
    CHECK(file && fgets(line, sizeof line, file) && strcmp(line, "32000\t1024000000\t500\t32000\n") == 0 && fclose(file) == 0);
    removes(id);
}

// Processes that exclude each other, and let each other go by turns; some are killed while they hold the lock.
static void stress(void)
{
    enum { CHILDREN = 6, TURNS = 400 };
    int id = set_of(3);
    volatile unsigned *counts = shared_page();
    CHECK(semctl(id, 0, SETVAL, 1) == 0);
    pid_t pids[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        for (int turn = 0; turn < TURNS; turn++) {
            while (operate(id, 0, -1, SEM_UNDO) != 0)
                ;
            counts[0]++;
            if (turn % 50 == 0)
                sleep_ms(1);
            CHECK(operate(id, 0, 1, SEM_UNDO) == 0);
            if (turn % 20 == 0) {
                pid_t victim = fork();
                if (victim == 0) {
                    operate(id, 0, -1, SEM_UNDO);
                    raise(SIGKILL);
                }
                waitpid(victim, 0, 0);
            }
            // A barrier: all take part, then wait until nobody is missing.
            if (turn % 40 == 0) {
                CHECK(operate(id, 1, 1, 0) == 0);
                struct sembuf last = {1, -CHILDREN, IPC_NOWAIT}, go = {2, CHILDREN - 1, 0}, waits = {2, -1, 0};
                if (semop(id, &last, 1) == 0)
                    CHECK(semop(id, &go, 1) == 0);
                else
                    CHECK(semop(id, &waits, 1) == 0);
            }
        }
        child_exit();
    }
    for (int i = 0; i < CHILDREN; i++)
        CHECK_CHILD(pids[i], 0);
    CHECK(counts[0] == CHILDREN * TURNS && value_of(id, 0) == 1 && value_of(id, 1) == 0 && value_of(id, 2) == 0);
    removes(id);
}

static const struct test tests[] = {
    {"keys", sets_are_found_by_their_keys},
    {"bad-arguments", bad_arguments},
    {"values", values_are_set_and_told},
    {"together", all_operations_or_none},
    {"order", waiters_go_in_order},
    {"ends", waits_end},
    {"undo", the_end_of_a_process_undoes},
    {"permissions", permissions},
    {"info", what_is_told_of_all},
    {"stress", stress},
};

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--add") == 0)
        return operate(atoi(argv[2]), 1, 1, 0) != 0;
    return RUN_TABLE(tests);
}
