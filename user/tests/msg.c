// Message queues of System V: msgget(2), msgsnd(2), msgrcv(2), msgctl(2). Every queue is private or of a key of this process's
// own, and removed by the test that made it.
#define _GNU_SOURCE
#include "table.h"

#include <grp.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

enum { LONGEST = 8192, USER = 12345, OTHER = 34567 };

struct message {
    long kind;
    char text[LONGEST + 8];
};
static struct message out, in;

static key_t own_key(void) { return 0x4d000000 | getpid(); }
static int queue(void) { return msgget(IPC_PRIVATE, 0600); }
static void removes(int id) { CHECK(msgctl(id, IPC_RMID, 0) == 0); }

static struct msqid_ds status_of(int id)
{
    struct msqid_ds status;
    memset(&status, 0xee, sizeof status);
    CHECK(msgctl(id, IPC_STAT, &status) == 0);
    return status;
}

static int sends(int id, long kind, const char *text)
{
    out.kind = kind;
    strcpy(out.text, text);
    return msgsnd(id, &out, strlen(text), IPC_NOWAIT);
}

// Whether a message of what is wanted comes, and says that.
static int receives(int id, long wanted, int flags, long kind, const char *text)
{
    memset(&in, 0, sizeof in);
    long len = msgrcv(id, &in, LONGEST, wanted, flags | IPC_NOWAIT);
    return len == (long)strlen(text) && in.kind == kind && strcmp(in.text, text) == 0;
}

// Until process `pid` sleeps in its call: there is nothing else to see it by.
static void await_sleep(pid_t pid)
{
    char path[40], line[200] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    for (int i = 0; i < 2000 && !strstr(line, ") S "); i++) {
        sleep_ms(1);
        FILE *file = fopen(path, "r");
        if (!file || !fgets(line, sizeof line, file))
            line[0] = 0;
        if (file)
            fclose(file);
    }
    CHECK(strstr(line, ") S ") != 0);
}

static void queues_are_found_by_their_keys(void)
{
    key_t key = own_key();
    CHECK_ERRNO(msgget(key, 0600), ENOENT);
    int id = msgget(key, IPC_CREAT | IPC_EXCL | 0640);
    CHECK(id >= 0 && msgget(key, IPC_CREAT | 0600) == id && msgget(key, 0) == id);
    CHECK_ERRNO(msgget(key, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    struct msqid_ds status = status_of(id);
    CHECK(status.msg_perm.__key == key && status.msg_perm.mode == 0640 && status.msg_qbytes == 16384);
    CHECK(status.msg_qnum == 0 && status.msg_cbytes == 0 && status.msg_stime == 0 && status.msg_lrpid == 0);
    CHECK(llabs(status.msg_ctime - time(0)) < 5);
    CHECK(sends(id, 1, "four") == 0 && sends(id, 2, "") == 0);
    status = status_of(id);
    CHECK(status.msg_qnum == 2 && status.msg_cbytes == 4 && status.msg_lspid == getpid() && status.msg_stime != 0);
    CHECK(receives(id, 0, 0, 1, "four") && status_of(id).msg_qnum == 1);
    CHECK(status_of(id).msg_lrpid == getpid() && status_of(id).msg_rtime != 0);
    removes(id);
    CHECK_ERRNO(msgget(key, 0600), ENOENT);
    CHECK_ERRNO(sends(id, 1, ""), EINVAL);
    CHECK_ERRNO(msgrcv(id, &in, 1, 0, 0), EINVAL);
    CHECK_ERRNO(msgctl(id, IPC_RMID, 0), EINVAL);
}

static void bad_arguments(void)
{
    struct msqid_ds status = {0};
    int id = queue();
    CHECK_ERRNO(sends(id, 0, "a"), EINVAL);
    CHECK_ERRNO(sends(id, -1, "a"), EINVAL);
    CHECK_ERRNO(sends(-1, 1, "a"), EINVAL);
    out.kind = 1;
    CHECK_ERRNO(msgsnd(id, &out, LONGEST + 1, 0), EINVAL);
    CHECK_ERRNO(msgsnd(id, &out, -1, 0), EINVAL);
    CHECK(msgsnd(id, &out, LONGEST, 0) == 0);
    CHECK_ERRNO(msgrcv(id, &in, -1, 0, 0), EINVAL);
    CHECK_ERRNO(msgrcv(-1, &in, 1, 0, 0), EINVAL);
    CHECK_ERRNO(msgrcv(id, &in, LONGEST - 1, 0, 0), E2BIG);
    CHECK(msgrcv(id, &in, ~0ul >> 1, 0, 0) == LONGEST);
    CHECK_ERRNO(msgrcv(id, &in, 1, 0, IPC_NOWAIT), ENOMSG);
    // A message whose receiver has no place for it is lost.
    CHECK(sends(id, 1, "lost") == 0);
    CHECK_ERRNO(msgrcv(id, (void *)8, 10, 0, IPC_NOWAIT), EFAULT);
    CHECK(status_of(id).msg_qnum == 0);
    CHECK_ERRNO(msgctl(id, 99, &status), EINVAL);
    CHECK_ERRNO(msgctl(-1, IPC_STAT, &status), EINVAL);
    removes(id);
}

static void types_choose(void)
{
    int id = queue();
    CHECK(sends(id, 5, "a") == 0 && sends(id, 3, "bb") == 0 && sends(id, 7, "c") == 0 && sends(id, 3, "d") == 0);
    CHECK(sends(id, 1L << 40, "e") == 0 && sends(id, 5, "f") == 0);
    CHECK_ERRNO(msgrcv(id, &in, 9, 4, IPC_NOWAIT), ENOMSG);
    CHECK_ERRNO(msgrcv(id, &in, 9, -2, IPC_NOWAIT), ENOMSG);
    CHECK(receives(id, -6, 0, 3, "bb")); // the lowest type up to 6, of those the first
    CHECK(receives(id, 7, 0, 7, "c"));
    CHECK(receives(id, 5, MSG_EXCEPT, 3, "d"));
    CHECK(receives(id, 5, 0, 5, "a"));
    CHECK(receives(id, 5, MSG_EXCEPT, 1L << 40, "e"));
    CHECK_ERRNO(msgrcv(id, &in, 9, 5, IPC_NOWAIT | MSG_EXCEPT), ENOMSG);
    CHECK(receives(id, 0, MSG_EXCEPT, 5, "f"));
    CHECK(sends(id, 9, "g") == 0 && receives(id, (long)(1ul << 63), 0, 9, "g"));
    // What is too long stays, or is cut.
    CHECK(sends(id, 1, "longer") == 0);
    CHECK_ERRNO(msgrcv(id, &in, 3, 0, IPC_NOWAIT), E2BIG);
    memset(&in, 0, sizeof in);
    CHECK(msgrcv(id, &in, 3, 0, MSG_NOERROR) == 3 && strcmp(in.text, "lon") == 0 && status_of(id).msg_cbytes == 0);
    // Copies, by their place.
    CHECK(sends(id, 4, "one") == 0 && sends(id, 2, "two") == 0);
    errno = 0;
    if (msgrcv(id, &in, 9, 0, MSG_COPY | IPC_NOWAIT) < 0 && errno == ENOSYS) {
        removes(id);
        return;
    }
    CHECK(receives(id, 1, MSG_COPY, 2, "two") && receives(id, 0, MSG_COPY, 4, "one") && status_of(id).msg_qnum == 2);
    CHECK_ERRNO(msgrcv(id, &in, 9, 2, MSG_COPY | IPC_NOWAIT), ENOMSG);
    CHECK_ERRNO(msgrcv(id, &in, 2, 0, MSG_COPY | IPC_NOWAIT), E2BIG);
    CHECK_ERRNO(msgrcv(id, &in, 9, 0, MSG_COPY), EINVAL);
    CHECK_ERRNO(msgrcv(id, &in, 9, 0, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT), EINVAL);
    removes(id);
}

static pid_t child_receives(int id, long kind)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(msgrcv(id, &in, LONGEST, kind, 0) >= 0 ? 0 : errno);
    return pid;
}
static pid_t child_sends(int id, int len)
{
    fflush(stdout);
    out.kind = 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(msgsnd(id, &out, len, 0) == 0 ? 0 : errno);
    return pid;
}

static void queues_are_bounded(void)
{
    int id = queue();
    out.kind = 1;
    CHECK(msgsnd(id, &out, LONGEST, IPC_NOWAIT) == 0 && msgsnd(id, &out, LONGEST, IPC_NOWAIT) == 0);
    CHECK_ERRNO(msgsnd(id, &out, 1, IPC_NOWAIT), EAGAIN);
    CHECK(msgsnd(id, &out, 0, IPC_NOWAIT) == 0);
    pid_t pid = child_sends(id, 100);
    await_sleep(pid);
    CHECK(msgrcv(id, &in, LONGEST, 0, 0) == LONGEST);
    CHECK_CHILD(pid, 0);
    CHECK(status_of(id).msg_cbytes == LONGEST + 100);
    // As many messages as bytes.
    while (msgrcv(id, &in, LONGEST, 0, IPC_NOWAIT) >= 0)
        ;
    struct msqid_ds status = status_of(id);
    status.msg_qbytes = 3;
    CHECK(msgctl(id, IPC_SET, &status) == 0 && status_of(id).msg_qbytes == 3);
    CHECK(sends(id, 1, "") == 0 && sends(id, 1, "") == 0 && sends(id, 1, "") == 0);
    CHECK_ERRNO(sends(id, 1, ""), EAGAIN);
    pid = child_sends(id, 0);
    await_sleep(pid);
    status.msg_qbytes = 16384;
    CHECK(msgctl(id, IPC_SET, &status) == 0); // makes room
    CHECK_CHILD(pid, 0);
    removes(id);
}

static volatile int caught;
static void catches(int number) { caught = number; }

static void waits_end(void)
{
    int id = queue();
    pid_t one = child_receives(id, 4), other = child_receives(id, 6);
    await_sleep(one);
    await_sleep(other);
    CHECK(sends(id, 5, "x") == 0 && sends(id, 6, "x") == 0);
    CHECK_CHILD(other, 0);
    CHECK(sends(id, 4, "x") == 0);
    CHECK_CHILD(one, 0);
    CHECK(receives(id, 0, 0, 5, "x"));
    struct sigaction action = {.sa_handler = catches, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, 0);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        await_sleep(parent);
        kill(parent, SIGUSR1);
        child_exit();
    }
    CHECK_ERRNO(msgrcv(id, &in, 9, 0, 0), EINTR);
    CHECK(caught == SIGUSR1);
    CHECK_CHILD(pid, 0);
    one = child_receives(id, 0);
    await_sleep(one);
    removes(id);
    CHECK_CHILD(one, EIDRM << 8);
    id = queue();
    out.kind = 1;
    CHECK(msgsnd(id, &out, LONGEST, 0) == 0 && msgsnd(id, &out, LONGEST, 0) == 0);
    one = child_sends(id, 1);
    await_sleep(one);
    removes(id);
    CHECK_CHILD(one, EIDRM << 8);
}

static void permissions(void)
{
    if (geteuid() != 0)
        return;
    int id = msgget(IPC_PRIVATE, 0604);
    struct msqid_ds status = status_of(id);
    status.msg_perm.uid = USER;
    CHECK(msgctl(id, IPC_SET, &status) == 0 && status_of(id).msg_perm.uid == USER);
    CHECK(sends(id, 1, "x") == 0 && sends(id, 1, "y") == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setgroups(0, 0) == 0 && setresgid(OTHER, OTHER, OTHER) == 0 && setresuid(OTHER, OTHER, OTHER) == 0);
        CHECK(receives(id, 0, 0, 1, "x"));
        CHECK_ERRNO(sends(id, 1, "z"), EACCES);
        CHECK_ERRNO(msgctl(id, IPC_SET, &status), EPERM);
        CHECK_ERRNO(msgctl(id, IPC_RMID, 0), EPERM);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    status.msg_perm.mode = 0200;
    CHECK(msgctl(id, IPC_SET, &status) == 0);
    pid = fork();
    if (pid == 0) {
        CHECK(setgroups(0, 0) == 0 && setresgid(OTHER, OTHER, OTHER) == 0 && setresuid(USER, USER, USER) == 0);
        CHECK(sends(id, 1, "z") == 0);
        CHECK_ERRNO(msgrcv(id, &in, 9, 0, 0), EACCES);
        CHECK_ERRNO(msgctl(id, IPC_STAT, &status), EACCES);
        CHECK_ERRNO(msgctl(id & 0x7fff, MSG_STAT, &status), EACCES);
        CHECK(msgctl(id & 0x7fff, MSG_STAT_ANY, &status) == id && status.msg_qnum == 2);
        status.msg_qbytes = 16385;
        CHECK_ERRNO(msgctl(id, IPC_SET, &status), EPERM);
        CHECK(msgctl(id, IPC_RMID, 0) == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
}

static void what_is_told_of_all(void)
{
    struct msginfo limits, now;
    int id = msgget(own_key(), IPC_CREAT | 0600);
    CHECK(sends(id, 1, "sixsix") == 0);
    int highest = msgctl(0, IPC_INFO, (void *)&limits);
    CHECK(highest >= (id & 0x7fff));
    CHECK(limits.msgmni == 32000 && limits.msgmax == 8192 && limits.msgmnb == 16384 && limits.msgpool == 512000);
    CHECK(limits.msgmap == 16384 && limits.msgtql == 16384 && limits.msgssz == 16 && limits.msgseg == 0xffff);
    CHECK(msgctl(0, MSG_INFO, (void *)&now) == highest && now.msgpool >= 1 && now.msgmap >= 1 && now.msgtql >= 6);
    struct msqid_ds status;
    CHECK(msgctl(id & 0x7fff, MSG_STAT, &status) == id && status.msg_qnum == 1);
    CHECK_ERRNO(msgctl(32767, MSG_STAT, &status), EINVAL);
    char line[300], wanted[100];
    snprintf(wanted, sizeof wanted, "%10d %10d   600           6          1 %5d     0 ", own_key(), id, getpid());
    int found = 0;
    FILE *file = fopen("/proc/sysvipc/msg", "r");
    CHECK(file && fgets(line, sizeof line, file) &&
          strcmp(line, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      "
                       "stime      rtime      ctime\n") == 0);
    while (file && fgets(line, sizeof line, file))
        found += strncmp(line, wanted, strlen(wanted)) == 0;
    CHECK(found == 1);
    CHECK(file && fclose(file) == 0);
    removes(id);
}

// Many senders and receivers: each message comes once, and of each sender in order.
static void stress(void)
{
    enum { PAIRS = 3, MESSAGES = 600 };
    int id = queue();
    pid_t pids[2 * PAIRS];
    for (int i = 0; i < 2 * PAIRS; i++) {
        int from = i / 2 + 1;
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        for (int number = 0; number < MESSAGES; number++) {
            int len = sizeof number + number % 7 * 500;
            if (i % 2 == 0) {
                out.kind = from;
                memcpy(out.text, &number, sizeof number);
                memset(out.text + sizeof number, from, len - sizeof number);
                CHECK(msgsnd(id, &out, len, 0) == 0);
            } else {
                CHECK(msgrcv(id, &in, LONGEST, from, 0) == len && in.kind == from);
                CHECK(memcmp(in.text, &number, sizeof number) == 0);
                CHECK(len == sizeof number || in.text[len - 1] == from);
            }
        }
        child_exit();
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        CHECK_CHILD(pids[i], 0);
    CHECK(status_of(id).msg_qnum == 0 && status_of(id).msg_cbytes == 0);
    removes(id);
}

static const struct test tests[] = {
    {"keys", queues_are_found_by_their_keys},
    {"bad-arguments", bad_arguments},
    {"types", types_choose},
    {"bounds", queues_are_bounded},
    {"ends", waits_end},
    {"permissions", permissions},
    {"info", what_is_told_of_all},
    {"stress", stress},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
