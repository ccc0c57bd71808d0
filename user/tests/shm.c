// Shared memory of System V: shmget(2), shmat(2), shmdt(2), shmctl(2). Every segment is private or of a key of this process's
// own, and removed by the test that made it.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

enum { SIZE = 5 * TEST_PAGE, USER = 12345, GROUP = 23456, OTHER = 34567 };
#define FAILED ((char *)-1)

static key_t own_key(void) { return 0x52000000 | getpid(); }

static struct shmid_ds status_of(int id)
{
    struct shmid_ds status;
    memset(&status, 0xee, sizeof status);
    CHECK(shmctl(id, IPC_STAT, &status) == 0);
    return status;
}
static long attached(int id) { return (long)status_of(id).shm_nattch; }

static void a_segment_is_found_by_its_key(void)
{
    key_t key = own_key();
    CHECK_ERRNO(shmget(key, SIZE, 0600), ENOENT);
    int id = shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    CHECK(id >= 0);
    CHECK(shmget(key, SIZE, IPC_CREAT | 0600) == id);
    CHECK(shmget(key, 0, 0) == id);
    CHECK(shmget(key, SIZE, IPC_EXCL | 0600) == id);
    CHECK_ERRNO(shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_ERRNO(shmget(key, SIZE + 1, 0600), EINVAL);
    struct shmid_ds status = status_of(id);
    CHECK(status.shm_perm.__key == key && status.shm_perm.mode == 0600 && status.shm_segsz == SIZE);
    CHECK(status.shm_perm.uid == geteuid() && status.shm_perm.cgid == getegid());
    CHECK(status.shm_cpid == getpid() && status.shm_lpid == 0 && status.shm_nattch == 0);
    CHECK(status.shm_atime == 0 && status.shm_dtime == 0 && llabs(status.shm_ctime - time(0)) < 5);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
    CHECK_ERRNO(shmget(key, SIZE, 0600), ENOENT);
    CHECK_ERRNO(shmctl(id, IPC_STAT, &status), EINVAL);
    CHECK_ERRNO(shmat(id, 0, 0), EINVAL);
    CHECK_ERRNO(shmctl(id, IPC_RMID, 0), EINVAL);
}

static void numbers_are_not_used_again_soon(void)
{
    int seen[200], again = 0;
    for (int i = 0; i < 200; i++) {
        seen[i] = shmget(IPC_PRIVATE, 1, 0600);
        CHECK(seen[i] >= 0 && shmctl(seen[i], IPC_RMID, 0) == 0);
        for (int j = 0; j < i; j++)
            again += seen[j] == seen[i];
    }
    CHECK(again == 0);
}

static void bad_arguments(void)
{
    struct shmid_ds status = {0};
    CHECK_ERRNO(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
    CHECK_ERRNO(shmget(IPC_PRIVATE, ~0ul, 0600), EINVAL);
    CHECK_ERRNO(shmget(IPC_PRIVATE, 1ul << 46, 0600), ENOMEM);
    CHECK_ERRNO(shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | 0600), ENOMEM);
    CHECK_ERRNO(shmctl(-1, IPC_STAT, &status), EINVAL);
    CHECK_ERRNO(shmctl(0, 99, &status), EINVAL);
    CHECK_ERRNO(shmctl(0, -1, &status), EINVAL);
    CHECK_ERRNO(shmat(-1, 0, 0), EINVAL);
    CHECK_ERRNO(shmdt(hole()), EINVAL);
    CHECK_ERRNO(shmdt((char *)hole() + 1), EINVAL);
    int id = shmget(IPC_PRIVATE, SIZE, 0600);
    CHECK_ERRNO(shmat(id, (char *)0x10000001, 0), EINVAL);
    CHECK_ERRNO(shmat(id, 0, SHM_REMAP), EINVAL);
    CHECK_ERRNO(shmat(id, hole(), 0), EINVAL);
    CHECK_ERRNO(shmat(id, (void *)0x7ffffffff000, SHM_REMAP), ENOMEM);
    CHECK_ERRNO(shmat(id, (void *)0xfffffffffffff000, SHM_REMAP), ENOMEM);
    CHECK_ERRNO(shmctl(id, IPC_STAT, (void *)8), EFAULT);
    CHECK_ERRNO(shmctl(id, IPC_SET, (void *)8), EFAULT);
    status = status_of(id);
    status.shm_perm.uid = -1;
    CHECK_ERRNO(shmctl(id, IPC_SET, &status), EINVAL);
    CHECK(attached(id) == 0);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
}

static void all_who_attach_see_the_same(void)
{
    int id = shmget(IPC_PRIVATE, SIZE - 5, 0600);
    char *one = shmat(id, 0, 0), *two = shmat(id, 0, 0);
    CHECK(one != FAILED && two != FAILED && one != two);
    CHECK(one[0] == 0 && one[SIZE - 1] == 0);
    one[7] = 42;
    one[SIZE - 1] = 43; // the page goes on behind the segment
    CHECK(two[7] == 42 && two[SIZE - 1] == 43);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(two[7] == 42 && attached(id) == 4);
        two[8] = 44;
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(one[8] == 44);
    struct shmid_ds status = status_of(id);
    CHECK(status.shm_nattch == 2 && status.shm_lpid == pid && status.shm_atime != 0 && status.shm_dtime != 0);
    CHECK(shmdt(one) == 0 && shmdt(two) == 0);
    CHECK(attached(id) == 0);
    CHECK_ERRNO(shmdt(one), EINVAL);
    // What was written stays.
    one = shmat(id, 0, SHM_RDONLY);
    CHECK(one != FAILED && one[7] == 42 && one[8] == 44);
    CHECK(shmdt(one) == 0);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
}

static void a_removed_segment_lives_while_it_is_attached(void)
{
    key_t key = own_key();
    int id = shmget(key, SIZE, IPC_CREAT | 0600);
    char *at = shmat(id, 0, 0);
    at[0] = 1;
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
    CHECK_ERRNO(shmget(key, SIZE, 0600), ENOENT);
    struct shmid_ds status = status_of(id);
    CHECK(status.shm_perm.mode == (0600 | SHM_DEST) && status.shm_perm.__key == IPC_PRIVATE && status.shm_nattch == 1);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
    int other = shmget(key, SIZE, IPC_CREAT | 0600);
    CHECK(other >= 0 && other != id && shmctl(other, IPC_RMID, 0) == 0);
    char *second = shmat(id, 0, 0); // which Linux allows
    CHECK(second != FAILED && second[0] == 1);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(shmdt(second) == 0);
        CHECK(attached(id) == 3);
        at[1] = 2;
        child_exit(); // with one attached
    }
    CHECK_CHILD(pid, 0);
    CHECK(at[1] == 2 && attached(id) == 2);
    CHECK(shmdt(at) == 0 && attached(id) == 1);
    CHECK(munmap(second, SIZE) == 0);
    CHECK_ERRNO(shmctl(id, IPC_STAT, &status), EINVAL);
}

static void areas_are_counted(void)
{
    int id = shmget(IPC_PRIVATE, SIZE, 0600);
    char *at = shmat(id, 0, 0);
    CHECK(attached(id) == 1);
    at[3 * TEST_PAGE] = 5;
    CHECK(munmap(at + TEST_PAGE, TEST_PAGE) == 0);
    CHECK(attached(id) == 2);
    CHECK(mprotect(at + 3 * TEST_PAGE, TEST_PAGE, PROT_READ) == 0);
    CHECK(attached(id) == 4);
    CHECK(mprotect(at + 3 * TEST_PAGE, TEST_PAGE, PROT_READ | PROT_WRITE) == 0);
    CHECK(attached(id) == 4);
    CHECK(at[3 * TEST_PAGE] == 5);
    CHECK(munmap(at, TEST_PAGE) == 0);
    CHECK(attached(id) == 3);
    CHECK_ERRNO(shmdt(at + 2 * TEST_PAGE), EINVAL);
    // By where it was attached, though nothing of it is there any more; and something else is.
    CHECK(mmap(at, TEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
    CHECK(shmdt(at) == 0);
    CHECK(attached(id) == 0 && at[0] == 0);
    CHECK_ERRNO(shmdt(at), EINVAL);
    CHECK(munmap(at, TEST_PAGE) == 0);
    // Moved, it is detached by where it would begin.
    at = shmat(id, 0, 0);
    char *to = mmap(0, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mremap(at, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    CHECK(attached(id) == 1 && to[3 * TEST_PAGE] == 5);
    CHECK_ERRNO(shmdt(at), EINVAL);
    CHECK(shmdt(to) == 0 && attached(id) == 0);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
}

static void exec_detaches(void)
{
    int id = shmget(IPC_PRIVATE, SIZE, 0600);
    char number[16];
    snprintf(number, sizeof number, "%d", id);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(shmat(id, 0, 0) != FAILED && attached(id) == 1);
        execl("/proc/self/exe", "shm", "--count", number, (char *)0);
        _exit(99);
    }
    CHECK_CHILD(pid, 0);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
}

static void addresses(void)
{
    int id = shmget(IPC_PRIVATE, SIZE, 0600);
    char *room = mmap(0, 3 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    room[0] = 9;
    CHECK_ERRNO(shmat(id, room + SIZE, 0), EINVAL);
    CHECK_ERRNO(shmat(id, room + 1, SHM_REMAP), EINVAL);
    CHECK(shmat(id, room + SIZE + 77, SHM_REMAP | SHM_RND) == room + SIZE);
    room[SIZE] = 1;
    CHECK(room[0] == 9 && shmdt(room + SIZE) == 0);
    CHECK(shmat(id, room + SIZE, 0) == room + SIZE); // where nothing is now
    CHECK(room[SIZE] == 1);
    CHECK(shmat(id, room + SIZE, SHM_REMAP | SHM_RDONLY) == room + SIZE);
    CHECK(attached(id) == 1 && shmdt(room + SIZE) == 0);
    munmap(room, 3 * SIZE);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
}

static int dies_by_segv(char *at, int stores)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (stores)
            *at = 1;
        else
            ((void (*)(void))at)();
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void rights_of_what_is_attached(void)
{
    int id = shmget(IPC_PRIVATE, SIZE, 0700);
    char *reads = shmat(id, 0, SHM_RDONLY), *writes = shmat(id, 0, 0), *executes = shmat(id, 0, SHM_EXEC);
    CHECK(dies_by_segv(reads, 1) && !dies_by_segv(writes, 1));
    writes[0] = (char)0xc3; // ret
    CHECK(dies_by_segv(writes, 0) && !dies_by_segv(executes, 0));
    CHECK_ERRNO(mprotect(reads, TEST_PAGE, PROT_READ | PROT_WRITE), EACCES);
    CHECK(mprotect(writes, TEST_PAGE, PROT_READ) == 0 && dies_by_segv(writes, 1));
    CHECK(shmdt(reads) == 0 && shmdt(writes) == 0 && shmdt(executes) == 0);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
}

static void permissions(void)
{
    if (geteuid() != 0)
        return;
    key_t key = own_key();
    int id = shmget(key, SIZE, IPC_CREAT | 0640);
    struct shmid_ds status = status_of(id);
    status.shm_perm.uid = USER;
    status.shm_perm.gid = GROUP;
    status.shm_perm.mode = 0102640;
    CHECK(shmctl(id, IPC_SET, &status) == 0);
    status = status_of(id);
    CHECK(status.shm_perm.uid == USER && status.shm_perm.gid == GROUP && status.shm_perm.mode == 0640);
    CHECK(status.shm_perm.cuid == 0);
    pid_t pid = fork();
    if (pid == 0) { // the owner
        CHECK(setgroups(0, 0) == 0 && setresgid(OTHER, OTHER, OTHER) == 0 && setresuid(USER, USER, USER) == 0);
        char *at = shmat(id, 0, 0);
        CHECK(at != FAILED && shmdt(at) == 0);
        CHECK_ERRNO(shmat(id, 0, SHM_EXEC), EACCES);
        status.shm_perm.mode = 0660;
        CHECK(shmctl(id, IPC_SET, &status) == 0);
        status.shm_perm.mode = 0640;
        CHECK(shmctl(id, IPC_SET, &status) == 0);
        CHECK(shmctl(id, SHM_LOCK, 0) == 0 && status_of(id).shm_perm.mode == (0640 | SHM_LOCKED));
        CHECK(shmctl(id, SHM_UNLOCK, 0) == 0 && status_of(id).shm_perm.mode == 0640);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    pid = fork();
    if (pid == 0) { // one of the group
        CHECK(setgroups(0, 0) == 0 && setresgid(GROUP, GROUP, GROUP) == 0 && setresuid(OTHER, OTHER, OTHER) == 0);
        CHECK_ERRNO(shmat(id, 0, 0), EACCES);
        char *at = shmat(id, 0, SHM_RDONLY);
        CHECK(at != FAILED && shmdt(at) == 0);
        CHECK(shmget(key, SIZE, 0440) == id);
        CHECK_ERRNO(shmget(key, SIZE, 0600), EACCES);
        CHECK_ERRNO(shmctl(id, IPC_RMID, 0), EPERM);
        CHECK_ERRNO(shmctl(id, IPC_SET, &status), EPERM);
        CHECK_ERRNO(shmctl(id, SHM_LOCK, 0), EPERM);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    pid = fork();
    if (pid == 0) { // another
        CHECK(setgroups(0, 0) == 0 && setresgid(OTHER, OTHER, OTHER) == 0 && setresuid(OTHER, OTHER, OTHER) == 0);
        CHECK_ERRNO(shmat(id, 0, SHM_RDONLY), EACCES);
        CHECK_ERRNO(shmctl(id, IPC_STAT, &status), EACCES);
        CHECK_ERRNO(shmctl(id & 0x7fff, SHM_STAT, &status), EACCES);
        CHECK(shmctl(id & 0x7fff, SHM_STAT_ANY, &status) == id);
        CHECK_ERRNO(shmget(key, SIZE, 0004), EACCES);
        CHECK(shmget(key, SIZE, 0) == id);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(shmctl(id, IPC_RMID, 0) == 0);
}

static void what_is_told_of_all(void)
{
    struct shminfo limits;
    struct shm_info before, after;
    int id = shmget(IPC_PRIVATE, SIZE, 0600);
    int highest = shmctl(0, IPC_INFO, (void *)&limits);
    CHECK(highest >= (id & 0x7fff));
    CHECK(limits.shmmni == 4096 && limits.shmmin == 1 && limits.shmmax == 18446744073692774399ul);
    CHECK(shmctl(0, SHM_INFO, (void *)&before) == highest && before.used_ids >= 1 && before.shm_tot >= 5);
    char *at = shmat(id, 0, 0);
    at[0] = at[TEST_PAGE] = 1;
    CHECK(shmctl(0, SHM_INFO, (void *)&after) >= 0 && after.shm_rss >= 2);
    struct shmid_ds status;
    CHECK(shmctl(id & 0x7fff, SHM_STAT, &status) == id && status.shm_segsz == SIZE);
    CHECK_ERRNO(shmctl(32767, SHM_STAT, &status), EINVAL);
    CHECK_ERRNO(shmctl(32767, SHM_STAT_ANY, &status), EINVAL);
    CHECK(shmdt(at) == 0 && shmctl(id, IPC_RMID, 0) == 0);
}

// The line of a file that contains `text`.
static int find_line(const char *path, const char *text, char *line, int size)
{
    FILE *file = fopen(path, "r");
    int found = 0;
    while (file && !found && fgets(line, size, file))
        found = strstr(line, text) != 0;
    if (file)
        fclose(file);
    return found;
}

static void files_of_proc(void)
{
    key_t key = own_key();
    char line[400], text[80], name[80];
    int id = shmget(key, SIZE, IPC_CREAT | 0600);
    char *at = shmat(id, 0, 0);
    at[0] = 1;
    snprintf(name, sizeof name, "/SYSV%08x (deleted)\n", key);
    CHECK(find_line("/proc/self/maps", name, line, sizeof line));
    snprintf(text, sizeof text, "%lx-%lx rw-s 00000000 00:01 %d ", (long)at, (long)at + SIZE, id);
    CHECK(strstr(line, text) == line && strcmp(line + 73, name) == 0);
    munmap(at, TEST_PAGE);
    CHECK(find_line("/proc/self/maps", name, line, sizeof line) && strstr(line, " rw-s 00001000 00:01 "));
    snprintf(text, sizeof text, "%10d %10d   600", key, id);
    CHECK(find_line("/proc/sysvipc/shm", text, line, sizeof line));
    snprintf(text, sizeof text, " %21d %5u %5u      1     0     0     0     0 ", SIZE, getpid(), getpid());
    CHECK(geteuid() != 0 || strstr(line, text));
    CHECK(find_line("/proc/sysvipc/shm", "key", line, sizeof line) &&
          strcmp(line, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid   "
                       "   atime      dtime      ctime                   rss                  swap\n") == 0);
    CHECK(shmdt(at) == 0 && shmctl(id, IPC_RMID, 0) == 0);
    CHECK(find_line("/proc/sys/kernel/shmmni", "4096\n", line, sizeof line));
    CHECK(find_line("/proc/sys/kernel/shmmax", "18446744073692774399\n", line, sizeof line));
}

// Processes that attach, write, fork and detach at once; at the end nothing is left.
static void stress(void)
{
    enum { CHILDREN = 6, TURNS = 150 };
    int id = shmget(IPC_PRIVATE, SIZE, 0600);
    unsigned *counts = shmat(id, 0, 0);
    for (int i = 0; i < CHILDREN; i++) {
        if (fork() != 0)
            continue;
        for (int turn = 0; turn < TURNS; turn++) {
            unsigned *own = shmat(id, 0, 0);
            __atomic_fetch_add(own, 1, __ATOMIC_RELAXED);
            if (turn % 3 == 0)
                munmap((char *)own + TEST_PAGE, TEST_PAGE);
            int extra = shmget(IPC_PRIVATE, TEST_PAGE, 0600);
            char *at = shmat(extra, 0, 0);
            at[0] = 1;
            shmctl(extra, IPC_RMID, 0);
            if (turn % 10 == 0 && fork() == 0)
                _exit(0);
            CHECK(shmdt(at) == 0 && shmdt(own) == 0);
        }
        while (wait(0) > 0)
            ;
        child_exit();
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status = -1;
        CHECK(wait(&status) > 0 && status == 0);
    }
    CHECK(counts[0] == CHILDREN * TURNS && attached(id) == 1);
    CHECK(shmdt(counts) == 0 && shmctl(id, IPC_RMID, 0) == 0);
}

static const struct test tests[] = {
    {"keys", a_segment_is_found_by_its_key},
    {"numbers", numbers_are_not_used_again_soon},
    {"bad-arguments", bad_arguments},
    {"attach", all_who_attach_see_the_same},
    {"removed", a_removed_segment_lives_while_it_is_attached},
    {"areas", areas_are_counted},
    {"exec", exec_detaches},
    {"addresses", addresses},
    {"rights", rights_of_what_is_attached},
    {"permissions", permissions},
    {"info", what_is_told_of_all},
    {"proc", files_of_proc},
    {"stress", stress},
};

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--count") == 0)
        return attached(atoi(argv[2])) != 0;
    return RUN_TABLE(tests);
}
