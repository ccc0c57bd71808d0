// proc(5): what the files about processes and the system say, against what system calls say, and that links lead to the
// things themselves. It is run on Linux too, which is the oracle; it needs no rights there.
#define _GNU_SOURCE
#include "slurp.h"
#include "table.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

extern char **environ;
static char **arguments;
static char words[64][64];

static const char *of(pid_t pid, const char *name)
{
    static char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return path;
}

static const char *of_fd(int fd)
{
    static char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

static const char *link_of(const char *path)
{
    static char target[PATH_MAX];
    ssize_t len = readlink(path, target, sizeof target - 1);
    target[len < 0 ? 0 : len] = 0;
    return target;
}

// Splits a stat file into words, the name without its parentheses; how many.
static int split_stat(pid_t pid)
{
    if (slurp(of(pid, "stat"), text, sizeof text) <= 0)
        return -1;
    char *open_at = strchr(text, '('), *close_at = strrchr(text, ')');
    if (!open_at || !close_at)
        return -1;
    snprintf(words[0], sizeof *words, "%ld", strtol(text, 0, 10));
    snprintf(words[1], sizeof *words, "%.*s", (int)(close_at - open_at - 1), open_at + 1);
    int count = 2;
    for (char *word = strtok(close_at + 1, " \n"); word && count < 64; word = strtok(0, " \n"))
        snprintf(words[count++], sizeof *words, "%s", word);
    return count;
}
static long long stat_field(int number) { return strtoll(words[number - 1], 0, 10); }

static void stat_has_52_fields(void)
{
    // Linux counts pages roughly: there must be some.
    static char memory[4 << 20];
    memset(memory, 1, sizeof memory);
    prctl(PR_SET_NAME, "a b) R (c");
    CHECK(split_stat(getpid()) == 52);
    CHECK(stat_field(1) == getpid() && strcmp(words[1], "a b) R (c") == 0 && strcmp(words[2], "R") == 0);
    CHECK(stat_field(4) == getppid() && stat_field(5) == getpgrp() && stat_field(6) == getsid(0));
    CHECK(stat_field(18) - stat_field(19) == 20 && stat_field(20) == 1);
    long long start = stat_field(22), size = stat_field(23), pages = stat_field(24);
    CHECK(size >= (long long)sizeof memory && pages > 0 && pages * TEST_PAGE <= size && stat_field(25) > 0);
    CHECK(stat_field(26) > 0 && stat_field(27) > stat_field(26) && (uintptr_t)stat_field(28) > (uintptr_t)&start - (1 << 20));
    slurp("/proc/uptime", text, sizeof text);
    CHECK(start / 100 <= strtoll(text, 0, 10));
    CHECK(slurp("/proc/self/statm", text, sizeof text) > 0);
    long long total, resident, shared, code, library, data, dirty;
    CHECK(sscanf(text, "%lld %lld %lld %lld %lld %lld %lld", &total, &resident, &shared, &code, &library, &data, &dirty) == 7);
    CHECK(total >= resident && resident >= shared && shared >= 0 && code > 0 && code < total && data > 0 && data < total);
    volatile double burn = 1;
    for (double end = now_s() + 0.2; now_s() < end;)
        burn *= 1.000001;
    split_stat(getpid());
    CHECK(stat_field(14) + stat_field(15) > 0);
}

static void status_agrees(void)
{
    prctl(PR_SET_NAME, "status test");
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGUSR1, &ignore, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, 0);
    raise(SIGUSR2);
    umask(027);
    CHECK(slurp("/proc/self/status", text, sizeof text) > 0);
    CHECK(strncmp(text, "Name:\tstatus test\n", 18) == 0 && strstr(text, "\nState:\tR (running)\n"));
    CHECK(field("Pid:") == getpid() && field("Tgid:") == getpid() && field("PPid:") == getppid() && field("Threads:") == 1);
    CHECK(strstr(text, "\nUmask:\t0027\n") && field("Uid:") == getuid() && field("Gid:") == getgid());
    CHECK(field("VmSize:") >= field("VmRSS:") && field("VmRSS:") > 0 && field("VmStk:") > 0 && field("VmExe:") > 0);
    CHECK(field("VmRSS:") == field("RssAnon:") + field("RssFile:") + field("RssShmem:"));
    char *ignored = strstr(text, "\nSigIgn:\t"), *blocked = strstr(text, "\nSigBlk:\t"), *pending = strstr(text, "\nShdPnd:\t");
    CHECK(ignored && strtoull(ignored + 9, 0, 16) >> (SIGUSR1 - 1) & 1);
    CHECK(blocked && strtoull(blocked + 9, 0, 16) == 1ull << (SIGUSR2 - 1));
    char *own = strstr(text, "\nSigPnd:\t");
    CHECK(pending && own && ((strtoull(pending + 9, 0, 16) | strtoull(own + 9, 0, 16)) >> (SIGUSR2 - 1) & 1));
}

// What was made at offset 0 stays for the reads that follow, and is made anew at offset 0.
static void a_text_stays_as_it_was_read(void)
{
    prctl(PR_SET_NAME, "before");
    int fd = open("/proc/self/status", O_RDONLY);
    char part[64] = {0};
    CHECK(read(fd, part, 6) == 6 && memcmp(part, "Name:\t", 6) == 0);
    prctl(PR_SET_NAME, "and after");
    CHECK(read(fd, part, 7) == 7 && memcmp(part, "before\n", 7) == 0);
    CHECK(pread(fd, part, 16, 0) == 16 && memcmp(part, "Name:\tand after\n", 16) == 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, part, 15) == 15 && memcmp(part, "Name:\tand after", 15) == 0);
    CHECK(pread(fd, part, sizeof part, 1 << 20) == 0);
    long len = slurp("/proc/self/limits", text, sizeof text);
    CHECK(len > 500 && slurp("/proc/self/limits", other, 7) == len && strcmp(text, other) == 0);
    CHECK_BAD_OUT(pread(fd, p, 16, 0), 1, 0);
    close(fd);
    fd = open("/proc/self/stat", O_RDONLY);
    CHECK(mmap(0, TEST_PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == ENODEV);
    CHECK_ERRNO(ftruncate(fd, 0), EINVAL);
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 && (st.st_mode & 0777) == 0444);
    close(fd);
}

static void arguments_and_environment(void)
{
    long at = 0, len = slurp("/proc/self/cmdline", text, sizeof text);
    for (char **argument = arguments; *argument; at += strlen(*argument++) + 1)
        CHECK(at < len && strcmp(text + at, *argument) == 0);
    CHECK(at == len);
    len = slurp("/proc/self/environ", text, sizeof text);
    at = 0;
    for (char **entry = environ; *entry; at += strlen(*entry++) + 1)
        CHECK(at < len && strcmp(text + at, *entry) == 0);
    CHECK(at == len);
    arguments[0][0] ^= 1;
    CHECK(slurp("/proc/self/cmdline", text, 3) > 0 && text[0] == arguments[0][0]);
    int fd = open("/proc/self/auxv", O_RDONLY);
    Elf64_auxv_t entry = {0};
    long seen = 0;
    while (read(fd, &entry, sizeof entry) == sizeof entry && entry.a_type != AT_NULL) {
        CHECK(getauxval(entry.a_type) == entry.a_un.a_val);
        seen |= entry.a_type < 63 ? 1l << entry.a_type : 0;
    }
    CHECK(entry.a_type == AT_NULL && seen >> AT_PAGESZ & seen >> AT_PHDR & seen >> AT_RANDOM & 1);
    close(fd);
}

// The line of the maps file that has `address`; whether it has these rights, and ends like this.
static int mapped(const void *address, const char *rights, const char *end)
{
    slurp("/proc/self/maps", text, sizeof text);
    unsigned long last = 0, start, stop;
    for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
        char got[8];
        int name = 0;
        if (sscanf(line, "%lx-%lx %7s %*x %*x:%*x %*u %n", &start, &stop, got, &name) != 3 || start < last || stop <= start)
            return 0;
        last = stop;
        if (start <= (uintptr_t)address && (uintptr_t)address < stop) {
            size_t len = strlen(line), wanted = strlen(end);
            return strcmp(got, rights) == 0 && len >= wanted && strcmp(line + len - wanted, end) == 0;
        }
    }
    return 0;
}

static void maps_tell_what_is_mapped(void)
{
    char program[PATH_MAX];
    snprintf(program, sizeof program, "%s", link_of("/proc/self/exe"));
    int local;
    CHECK(program[0] == '/' && mapped(maps_tell_what_is_mapped, "r-xp", program));
    CHECK(mapped(&local, "rw-p", "[stack]"));
    CHECK(slurp("/proc/self/maps", text, sizeof text) > 0 && strstr(text, "[vdso]\n"));
    void *heap = (void *)syscall(SYS_brk, 0);
    heap = (void *)syscall(SYS_brk, (char *)heap + 3 * TEST_PAGE);
    CHECK(mapped((char *)heap - 1, "rw-p", "[heap]"));
    char *page = mmap(0, TEST_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mapped(page, "r--p", ""));
    mprotect(page, TEST_PAGE, PROT_NONE);
    CHECK(mapped(page, "---p", ""));
    munmap(page, TEST_PAGE);
    CHECK(!mapped(page, "---p", ""));
    int fd = open(program, O_RDONLY);
    page = mmap(0, TEST_PAGE, PROT_READ, MAP_SHARED, fd, TEST_PAGE);
    CHECK(mapped(page, "r--s", program));
    struct stat st;
    char wanted[128];
    fstat(fd, &st);
    snprintf(wanted, sizeof wanted, " 00001000 %02x:%02x %lu ", (unsigned)(st.st_dev >> 8 & 0xfff), (unsigned)(st.st_dev & 0xff), st.st_ino);
    slurp("/proc/self/maps", text, sizeof text);
    CHECK(st.st_dev > 0xfffff || strstr(text, wanted));
    close(fd);
}

static void links_lead_to_open_files(void)
{
    char here[PATH_MAX], name[] = "/tmp/proc-test-XXXXXX", bytes[8] = {0};
    int fd = mkstemp(name);
    CHECK(fd >= 0 && strcmp(link_of(of_fd(fd)), name) == 0);
    struct stat st, linked;
    CHECK(lstat(of_fd(fd), &linked) == 0 && S_ISLNK(linked.st_mode) && (linked.st_mode & 0777) == 0700);
    CHECK(write(fd, "content", 7) == 7 && unlink(name) == 0);
    snprintf(here, sizeof here, "%s (deleted)", name);
    CHECK(strcmp(link_of(of_fd(fd)), here) == 0);
    // The file itself, not its name, which is gone.
    int again = open(of_fd(fd), O_RDONLY);
    CHECK(again >= 0 && read(again, bytes, 8) == 7 && memcmp(bytes, "content", 7) == 0);
    CHECK(lstat(of_fd(again), &linked) == 0 && (linked.st_mode & 0777) == 0500);
    CHECK(fstat(fd, &st) == 0 && stat(of_fd(fd), &linked) == 0 && st.st_ino == linked.st_ino && st.st_dev == linked.st_dev);
    CHECK_ERRNO(open(of_fd(fd), O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK(truncate(of_fd(fd), 3) == 0 && fstat(fd, &st) == 0 && st.st_size == 3);
    snprintf(here, sizeof here, "%s/x", of_fd(fd));
    CHECK_ERRNO(open(here, O_RDONLY), ENOTDIR);
    lseek(fd, 2, SEEK_SET);
    snprintf(here, sizeof here, "/proc/self/fdinfo/%d", fd);
    CHECK(slurp(here, text, sizeof text) > 0 && field("pos:") == 2);
    char *flags = strstr(text, "flags:\t");
    CHECK(flags && (strtol(flags + 7, 0, 8) & (O_ACCMODE | O_APPEND)) == (fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND)));
    close(again);
    close(fd);
    CHECK_ERRNO(readlink(of_fd(fd), here, sizeof here), ENOENT);
    int dir = open("/tmp/..", O_RDONLY | O_DIRECTORY);
    snprintf(here, sizeof here, "%s/proc/self", of_fd(dir));
    CHECK(strcmp(link_of(of_fd(dir)), "/") == 0 && lstat(here, &st) == 0 && S_ISLNK(st.st_mode));
    close(dir);
    CHECK_ERRNO(open("/proc/self/fd/-1", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("/proc/self/fd/00", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("/proc/self/fd/4000", O_RDONLY), ENOENT);
}

static void links_lead_to_pipes(void)
{
    int ends[2], count = 0, event = eventfd(0, 0);
    char wanted[64], bytes[4] = {0};
    struct stat st, linked;
    CHECK(pipe(ends) == 0 && fstat(ends[0], &st) == 0);
    snprintf(wanted, sizeof wanted, "pipe:[%lu]", st.st_ino);
    CHECK(strcmp(link_of(of_fd(ends[0])), wanted) == 0 && strcmp(link_of(of_fd(ends[1])), wanted) == 0);
    CHECK(stat(of_fd(ends[1]), &linked) == 0 && S_ISFIFO(linked.st_mode) && linked.st_ino == st.st_ino);
    // Another way into the same pipe, through the link of the end for reading.
    int into = open(of_fd(ends[0]), O_WRONLY);
    CHECK(into >= 0 && write(into, "abc", 3) == 3 && read(ends[0], bytes, 4) == 3 && memcmp(bytes, "abc", 3) == 0);
    CHECK(strcmp(link_of(of_fd(into)), wanted) == 0);
    close(into);
    close(ends[1]);
    CHECK(read(ends[0], bytes, 4) == 0);
    CHECK(strcmp(link_of(of_fd(event)), "anon_inode:[eventfd]") == 0);
    // It belongs to root.
    CHECK(open(of_fd(event), O_RDWR) == -1 && errno == (getuid() == 0 ? ENXIO : EACCES));
    // The directory shows what is open and nothing else.
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        CHECK(entry->d_type == DT_LNK && fcntl(atoi(entry->d_name), F_GETFD) >= 0);
        CHECK(fstatat(dirfd(dir), entry->d_name, &linked, AT_SYMLINK_NOFOLLOW) == 0 && linked.st_ino == entry->d_ino);
        count++;
    }
    for (int fd = 0; fd < 4096; fd++)
        count -= fcntl(fd, F_GETFD) >= 0;
    CHECK(count == 0);
    closedir(dir);
}

static void links_of_the_process(void)
{
    char here[PATH_MAX], wanted[64];
    snprintf(wanted, sizeof wanted, "%d", getpid());
    CHECK(strcmp(link_of("/proc/self"), wanted) == 0);
    snprintf(wanted, sizeof wanted, "%d/task/%d", getpid(), getpid());
    CHECK(strcmp(link_of("/proc/thread-self"), wanted) == 0);
    CHECK(strcmp(link_of("/proc/mounts"), "self/mounts") == 0);
    CHECK(chdir("/proc/self/fd/../../self/task") == 0 && getcwd(here, sizeof here));
    CHECK(strcmp(link_of("/proc/self/cwd"), here) == 0 && strncmp(here, "/proc/", 6) == 0);
    CHECK(chdir("/tmp") == 0 && getcwd(here, sizeof here) && strcmp(link_of("/proc/self/cwd"), here) == 0);
    struct stat st, linked;
    CHECK(stat(".", &st) == 0 && stat("/proc/self/cwd", &linked) == 0 && st.st_ino == linked.st_ino && st.st_dev == linked.st_dev);
    CHECK(stat("/proc/self/cwd/..", &linked) == 0 && stat("..", &st) == 0 && st.st_ino == linked.st_ino);
    CHECK(strcmp(link_of("/proc/self/root"), "/") == 0 && access("/proc/self/root/proc/self/stat", R_OK) == 0);
    snprintf(here, sizeof here, "%s", link_of("/proc/self/exe"));
    CHECK(stat(here, &st) == 0 && stat("/proc/self/exe", &linked) == 0 && st.st_ino == linked.st_ino);
    CHECK_ERRNO(open("/proc/self/exe/", O_RDONLY), ENOTDIR);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "proc", "only exit with 7", (char *)0);
        _exit(1);
    }
    CHECK_CHILD(child, 7 << 8);
    // Linux looks for a place before it looks at rights.
    CHECK(mkdir("/proc/nothing", 0700) == -1 && (errno == ENOENT || (getuid() != 0 && errno == EACCES)));
    CHECK(open("/proc/self/nothing", O_CREAT | O_WRONLY, 0600) == -1 && (errno == ENOENT || (getuid() != 0 && errno == EACCES)));
    CHECK(symlink("x", "/proc/nothing") == -1 && (errno == ENOENT || (getuid() != 0 && errno == EACCES)));
    CHECK(unlink("/proc/version") == -1 && (errno == EPERM || errno == EACCES));
}

static void *in_thread(void *stage)
{
    char path[64], name[16];
    prctl(PR_SET_NAME, "second");
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", syscall(SYS_gettid));
    CHECK(slurp(path, other, sizeof other) == 7 && strcmp(other, "second\n") == 0);
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && write(fd, "renamed", 7) == 7 && prctl(PR_GET_NAME, name) == 0 && strcmp(name, "renamed") == 0);
    close(fd);
    pthread_barrier_wait(stage);
    pthread_barrier_wait(stage);
    return 0;
}

static void threads_have_directories(void)
{
    pthread_t thread;
    pthread_barrier_t stage;
    int count = 0, own = 0;
    prctl(PR_SET_NAME, "first");
    pthread_barrier_init(&stage, 0, 2);
    pthread_create(&thread, 0, in_thread, &stage);
    pthread_barrier_wait(&stage);
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.') {
            count++;
            own += atoi(entry->d_name) == getpid();
        }
    closedir(dir);
    CHECK(count == 2 && own == 1);
    CHECK(split_stat(getpid()) == 52 && stat_field(20) == 2);
    CHECK(slurp("/proc/self/comm", text, sizeof text) == 6 && strcmp(text, "first\n") == 0);
    CHECK_ERRNO(open("/proc/self/task/1/stat", O_RDONLY), ENOENT);
    struct stat st;
    CHECK(lstat("/proc/thread-self/task", &st) == -1 && stat("/proc/thread-self/fd", &st) == 0);
    pthread_barrier_wait(&stage);
    pthread_join(thread, 0);
    for (int turn = 0; turn < 500 && (split_stat(getpid()), stat_field(20)) != 1; turn++)
        sleep_ms(10); // the thread goes a little after it is joined
    CHECK(stat_field(20) == 1);
}

static void what_has_ended_is_gone(void)
{
    int ends[2];
    char byte, path[64];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        read(ends[0], &byte, 1);
        _exit(3);
    }
    for (int turn = 0; turn < 500 && (split_stat(child), words[2][0]) != 'S'; turn++)
        sleep_ms(10);
    CHECK(words[2][0] == 'S' && stat_field(4) == getpid());
    kill(child, SIGSTOP);
    waitpid(child, 0, WUNTRACED);
    CHECK(split_stat(child) == 52 && words[2][0] == 'T');
    kill(child, SIGCONT);
    int stat_fd = open(of(child, "stat"), O_RDONLY), maps = open(of(child, "maps"), O_RDONLY), dir = open(of(child, ""), O_RDONLY);
    CHECK(stat_fd >= 0 && maps >= 0 && dir >= 0 && read(stat_fd, text, 64) == 64);
    write(ends[1], "x", 1);
    siginfo_t info;
    CHECK(waitid(P_PID, child, &info, WEXITED | WNOWAIT) == 0);
    // Its status is left.
    CHECK(split_stat(child) == 52 && words[2][0] == 'Z' && stat_field(52) == 3 << 8 && stat_field(23) == 0);
    CHECK(strcmp(words[1], "proc") == 0 && slurp(of(child, "cmdline"), text, sizeof text) == 0 && slurp(of(child, "maps"), text, sizeof text) == 0);
    CHECK_ERRNO(readlink(of(child, "exe"), path, sizeof path), ENOENT);
    CHECK(slurp(of(child, "status"), text, sizeof text) > 0 && strstr(text, "\nState:\tZ (zombie)\n") && field("VmSize:") == -1);
    CHECK_CHILD(child, 3 << 8);
    CHECK_ERRNO(open(of(child, "stat"), O_RDONLY), ENOENT);
    CHECK_ERRNO(pread(stat_fd, text, 64, 0), ESRCH);
    CHECK(openat(dir, "stat", O_RDONLY) == -1 && (errno == ENOENT || errno == ESRCH));
    CHECK(syscall(SYS_getdents64, dir, text, sizeof text) == -1 && errno == ENOENT);
    CHECK(pread(maps, text, 64, 0) <= 0);
    close(stat_fd), close(maps), close(dir);
}

// Others may not look into a process. Only root can become somebody else to show it.
static void others_may_not_look_in(void)
{
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65533) != 0 || setuid(65534) != 0)
            child_exit();
        char path[64];
        CHECK_ERRNO(open(of(getppid(), "environ"), O_RDONLY), EACCES);
        CHECK_ERRNO(open(of(getppid(), "maps"), O_RDONLY), EACCES);
        CHECK_ERRNO(open(of(getppid(), "fd"), O_RDONLY), EACCES);
        CHECK_ERRNO(readlink(of(getppid(), "exe"), path, sizeof path), EACCES);
        CHECK_ERRNO(chdir(of(getppid(), "cwd")), EACCES);
        CHECK_ERRNO(open(of(getppid(), "oom_score_adj"), O_WRONLY), EACCES);
        CHECK_ERRNO(open("/proc/sys/kernel/hostname", O_WRONLY), EACCES);
        CHECK(split_stat(getppid()) == 52 && stat_field(26) <= 1 && slurp(of(getppid(), "cmdline"), text, sizeof text) > 0);
        CHECK(slurp("/proc/self/maps", text, sizeof text) > 0);
        child_exit();
    }
    CHECK_CHILD(child, 0);
    // Its own files are a user's as well.
    child = fork();
    if (child == 0) {
        if (setgid(65533) != 0 || setuid(65534) != 0)
            child_exit();
        execl("/proc/self/exe", "proc", "pipes", "text", "cmdline", "maps", "links", (char *)0);
        _exit(1);
    }
    CHECK_CHILD(child, 0);
}

static void the_score_for_the_memory_hog(void)
{
    int fd = open("/proc/self/oom_score_adj", O_RDWR);
    CHECK(fd >= 0 && write(fd, "500\n", 4) == 4 && pread(fd, text, 8, 0) == 4 && memcmp(text, "500\n", 4) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(slurp("/proc/self/oom_score_adj", text, 8) == 4 && memcmp(text, "500\n", 4) == 0);
        CHECK(slurp("/proc/self/oom_score", text, 8) > 0 && isdigit(text[0]));
        child_exit();
    }
    CHECK_CHILD(child, 0);
    CHECK_ERRNO(write(fd, "1001", 4), EINVAL);
    CHECK_ERRNO(write(fd, "x", 1), EINVAL);
    close(fd);
    struct rlimit limit = {64, 64};
    setrlimit(RLIMIT_NOFILE, &limit);
    CHECK(slurp("/proc/self/limits", text, sizeof text) > 0);
    char *line = strstr(text, "\nMax open files ");
    long soft = 0, hard = 0;
    CHECK(line && sscanf(line, "\nMax open files %ld %ld files", &soft, &hard) == 2 && soft == 64 && hard == 64);
}

static const struct test tests[] = {
    {"stat", stat_has_52_fields},         {"status", status_agrees},        {"text", a_text_stays_as_it_was_read},
    {"cmdline", arguments_and_environment}, {"maps", maps_tell_what_is_mapped}, {"files", links_lead_to_open_files},
    {"pipes", links_lead_to_pipes},       {"links", links_of_the_process},  {"threads", threads_have_directories},
    {"ended", what_has_ended_is_gone},    {"others", others_may_not_look_in}, {"hog", the_score_for_the_memory_hog},
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "only exit with 7") == 0)
        return 7;
    arguments = argv;
    return RUN_TABLE(tests);
}
