// Takes all that System V IPC gives, which no end of a process gives back: there has to be memory left for the rest, and all
// of it has to be free again afterwards. Not for a machine that is used for anything else.
#define _GNU_SOURCE
#include "table.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

enum { MOST = 32768, SEGMENT = 1 << 20, TEXT = 8192 };
static int ids[MOST];

static void sets(void)
{
    int count = 0;
    while (count < MOST && (ids[count] = semget(IPC_PRIVATE, 32000, 0600)) >= 0)
        count++;
    CHECK(errno == ENOMEM || errno == ENOSPC);
    CHECK(count > 10);
    // The same of what is to be undone.
    struct sembuf operation = {0, 1, SEM_UNDO};
    CHECK(semctl(ids[--count], 0, IPC_RMID) == 0);
    int held = 0;
    while (held < count && semop(ids[held], &operation, 1) == 0)
        held++;
    CHECK(held == count || errno == ENOMEM);
    CHECK(held > 0);
    while (count > 0)
        CHECK(semctl(ids[--count], 0, IPC_RMID) == 0);
}

static void small_sets(void)
{
    int count = 0;
    while (count < MOST && (ids[count] = semget(IPC_PRIVATE, 1, 0600)) >= 0)
        count++;
    CHECK(count == 32000 && errno == ENOSPC);
    while (count > 0)
        CHECK(semctl(ids[--count], 0, IPC_RMID) == 0);
}

static void queues(void)
{
    static struct { long kind; char text[TEXT]; } message = {.kind = 1};
    int count = 0, full = 0;
    while (count < MOST && !full && (ids[count] = msgget(IPC_PRIVATE, 0600)) >= 0) {
        while (!full && msgsnd(ids[count], &message, TEXT, IPC_NOWAIT) == 0)
            ;
        full = errno == ENOMEM;
        count++;
    }
    CHECK(count > 100);
    // Messages without text are not for nothing, either.
    for (int i = 0; i < count; i++) {
        while (msgrcv(ids[i], &message, TEXT, 0, IPC_NOWAIT) >= 0)
            ;
        message.kind = 1;
    }
    for (int i = 0; i < count && msgsnd(ids[i], &message, 0, IPC_NOWAIT) == 0; i++)
        while (msgsnd(ids[i], &message, 0, IPC_NOWAIT) == 0)
            ;
    while (count > 0)
        CHECK(msgctl(ids[--count], IPC_RMID, 0) == 0);
}

// Segments that nobody has attached when they are full.
static void segments(void)
{
    int count = 0, full = 0;
    while (count < MOST && !full && (ids[count] = shmget(IPC_PRIVATE, SEGMENT, 0600)) >= 0) {
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGBUS, SIG_DFL);
            char *at = shmat(ids[count], 0, 0);
            for (long page = 0; page < SEGMENT; page += TEST_PAGE)
                at[page] = 1;
            _exit(0);
        }
        int status = 0;
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        full = status != 0;
        CHECK(!full || (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS));
        count++;
    }
    CHECK(full && count > 20);
    while (count > 0)
        CHECK(shmctl(ids[--count], IPC_RMID, 0) == 0);
    while (count < MOST && (ids[count] = shmget(IPC_PRIVATE, SEGMENT, 0600)) >= 0)
        count++;
    CHECK(count == 4096 && errno == ENOSPC);
    while (count > 0)
        CHECK(shmctl(ids[--count], IPC_RMID, 0) == 0);
}

static const struct test tests[] = {
    {"sets", sets}, {"small-sets", small_sets}, {"queues", queues}, {"segments", segments}, {"sets-again", sets},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
