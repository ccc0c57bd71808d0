// Programs: interpreter scripts, whose rights a program has, sessions and process groups, and resource limits. Runs in a
// directory of its own below the working directory or /tmp.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { USER = 1000, OTHER = 1001 };

static char directory[64] = "/tmp/programs-XXXXXX";
static char show[96], output[4096];

static const char *in(const char *name)
{
    static char paths[8][96];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, 96, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && fchmod(fd, mode) == 0 && close(fd) == 0);
}

// A script with this text, in which % is the program that shows its arguments.
static const char *script(const char *name, const char *text, mode_t mode)
{
    char whole[600];
    size_t len = 0;
    for (; *text && len + sizeof show < sizeof whole; text++) {
        if (*text == '%')
            len += (size_t)sprintf(whole + len, "%s", show);
        else
            whole[len++] = *text;
    }
    const char *path = in(name);
    write_file(path, whole, len, mode);
    return path;
}

static void copy_program(const char *path, mode_t mode)
{
    char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    ssize_t got;
    while ((got = read(from, buffer, sizeof buffer)) > 0)
        CHECK(write(to, buffer, got) == got);
    CHECK(fchmod(to, mode) == 0);
    close(from);
    close(to);
}

// What a program that is executed with these arguments prints; its errno as text if it cannot be.
static const char *shown(const char *path, char *const args[], void (*before)(void))
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        if (before)
            before();
        char *none[] = {0};
        execve(path, args, none);
        dprintf(1, "errno %d", errno);
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while (len < sizeof output - 1 && (got = read(ends[0], output + len, sizeof output - 1 - len)) > 0)
        len += got;
    output[len] = 0;
    close(ends[0]);
    CHECK_CHILD(pid, 0);
    return output;
}

static void check_text(const char *got, const char *wanted, int line)
{
    char whole[2048];
    size_t len = 0;
    for (; *wanted; wanted++) {
        if (*wanted == '%')
            len += (size_t)sprintf(whole + len, "%s", show);
        else if (*wanted == '@')
            len += (size_t)sprintf(whole + len, "%s/", directory);
        else
            whole[len++] = *wanted;
    }
    whole[len] = 0;
    if (strcmp(got, whole) == 0) {
        checks_passed++;
    } else {
        checks_failed++;
        printf("line %d: %s, not %s\n", line, got, whole);
    }
}
// % is the interpreter, @ the directory.
#define SHOWS(path, wanted, ...) check_text(shown((path), (char *[]){__VA_ARGS__ 0}, 0), (wanted), __LINE__)
#define SHOWS_ERRNO(path, number)                                                                                      \
    do {                                                                                                               \
        char text_[24];                                                                                                \
        sprintf(text_, "errno %d", (number));                                                                          \
        SHOWS((path), text_, "name",);                                                                                 \
    } while (0)

static void scripts_have_interpreters(void)
{
    SHOWS(script("plain", "#!%\nrest\n", 0700), "%|@plain|a|b", "name", "a", "b",);
    SHOWS(script("blanks", "#! \t%  one two \t\nrest", 0700), "%|one two|@blanks|a", "name", "a",);
    SHOWS(script("no-newline", "#!% one", 0700), "%|one|@no-newline", "name",);
    SHOWS(script("empty-line", "#!\n%\n", 0700), "errno 8", "name",);
    SHOWS(script("only-blanks", "#!  \t \n", 0700), "errno 8", "name",);
    SHOWS(script("no-interpreter", "#!/nowhere/at-all\n", 0700), "errno 2", "name",);
    SHOWS(script("carriage-return", "#!%\r\n", 0700), "errno 2", "name",);
    SHOWS(script("not-executable", "#!%\n", 0600), "errno 13", "name",);
    SHOWS(script("no-script", "%\n", 0700), "errno 8", "name",);
    write_file(in("forbidden"), "#!", 2, 0600);
    char text[200];
    sprintf(text, "#!%s\n", in("forbidden"));
    SHOWS_ERRNO(script("to-forbidden", text, 0700), EACCES);
    SHOWS_ERRNO(script("to-directory", "#!/tmp\n", 0700), EACCES);
    SHOWS_ERRNO(directory, EACCES);
    write_file(in("empty"), "", 0, 0700);
    SHOWS_ERRNO(in("empty"), ENOEXEC);
    SHOWS_ERRNO(in("plain/more"), ENOTDIR);
}

// An interpreter may be a script: five of them, one after the other.
static void scripts_of_scripts(void)
{
    script("s1", "#!%\n", 0700);
    for (int i = 2; i <= 6; i++) {
        char name[8], text[128];
        sprintf(name, "s%d", i);
        sprintf(text, "#!%s/s%d x%d\n", directory, i - 1, i);
        write_file(in(name), text, strlen(text), 0700);
    }
    SHOWS(in("s1"), "%|@s1|a", "name", "a",);
    SHOWS(in("s2"), "%|@s1|x2|@s2|a", "name", "a",);
    SHOWS(in("s5"), "%|@s1|x2|@s2|x3|@s3|x4|@s4|x5|@s5|a", "name", "a",);
    SHOWS_ERRNO(in("s6"), ELOOP);
    // One that is its own.
    char text[128];
    sprintf(text, "#!%s/own\n", directory);
    write_file(in("own"), text, strlen(text), 0700);
    SHOWS_ERRNO(in("own"), ELOOP);
}

// Of a long line the first 256 bytes count: the argument is cut, an interpreter that may be cut is none.
static void long_lines(void)
{
    char text[600];
    int len = sprintf(text, "#!%s ", show);
    memset(text + len, 'x', sizeof text - len);
    write_file(in("long"), text, sizeof text, 0700);
    const char *got = shown(in("long"), (char *[]){"name", 0}, 0);
    size_t before = strlen(show) + 1;
    CHECK(strncmp(got, show, before - 1) == 0 && strspn(got + before, "x") == 255 - (size_t)len);
    memset(text + 2, 'y', sizeof text - 2);
    write_file(in("too-long"), text, sizeof text, 0700);
    SHOWS_ERRNO(in("too-long"), ENOEXEC);
    memset(text + 2, ' ', sizeof text - 2);
    write_file(in("all-blank"), text, sizeof text, 0700);
    SHOWS_ERRNO(in("all-blank"), ENOEXEC);
}

// By descriptor a script is called after it, and cannot be found if the descriptor is closed for it.
static void scripts_by_descriptor(void)
{
    script("by-fd", "#!%\n", 0700);
    char *args[] = {"name", "a", 0}, *none[] = {0};
    for (int closed = 0; closed <= 1; closed++) {
        int fd = open(in("by-fd"), O_RDONLY), ends[2];
        CHECK(dup3(fd, 40, closed ? O_CLOEXEC : 0) == 40 && pipe(ends) == 0);
        close(fd);
        pid_t pid = fork();
        if (pid == 0) {
            dup2(ends[1], 1);
            syscall(SYS_execveat, 40, "", args, none, AT_EMPTY_PATH);
            dprintf(1, "errno %d", errno);
            _exit(0);
        }
        close(ends[1]);
        ssize_t got = read(ends[0], output, sizeof output - 1);
        output[got > 0 ? got : 0] = 0;
        check_text(output, closed ? "errno 2" : "%|/dev/fd/40|a", __LINE__);
        CHECK_CHILD(pid, 0);
        close(ends[0]);
        close(40);
    }
}

static void become_user(void)
{
    if (setresgid(USER, USER, USER) != 0 || setresuid(USER, USER, USER) != 0)
        _exit(9);
}

static void become_user_for_good(void)
{
    become_user();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void keep_capabilities(void)
{
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    become_user();
}

static void effective_user_only(void)
{
    if (setresuid(0, USER, USER) != 0)
        _exit(9);
}

static int can_test_rights(void)
{
    struct statvfs about;
    return geteuid() == 0 && statvfs(directory, &about) == 0 && !(about.f_flag & ST_NOSUID);
}

static void check_rights(const char *name, void (*before)(void), const char *wanted, int line)
{
    check_text(shown(in(name), (char *[]){"rights", 0}, before), wanted, line);
}
#define RIGHTS(name, before, wanted) check_rights((name), (before), (wanted), __LINE__)

// Real, effective and saved numbers; whether there are capabilities: effective, permitted; whether the program is told that
// it must be careful, and may be looked into.
static void rights_follow_the_file(void)
{
    if (!can_test_rights())
        return;
    chmod(directory, 0755);
    copy_program(in("rights"), 0755);
    RIGHTS("rights", 0, "users 0 0 0 groups 0 0 0 capabilities 1 1 secure 0 dumpable 1 keep 0");
    RIGHTS("rights", become_user, "users 1000 1000 1000 groups 1000 1000 1000 capabilities 0 0 secure 0 dumpable 1 keep 0");
    RIGHTS("rights", keep_capabilities, "users 1000 1000 1000 groups 1000 1000 1000 capabilities 0 0 secure 0 dumpable 1 keep 0");
    copy_program(in("as-root"), 04755);
    RIGHTS("as-root", become_user, "users 1000 0 0 groups 1000 1000 1000 capabilities 1 1 secure 1 dumpable 0 keep 0");
    RIGHTS("as-root", become_user_for_good, "users 1000 1000 1000 groups 1000 1000 1000 capabilities 0 0 secure 0 dumpable 1 keep 0");
    copy_program(in("as-other"), 0755);
    CHECK(chown(in("as-other"), OTHER, OTHER) == 0);
    CHECK(chmod(in("as-other"), 06755) == 0);
    RIGHTS("as-other", become_user, "users 1000 1001 1001 groups 1000 1001 1001 capabilities 0 0 secure 1 dumpable 0 keep 0");
    RIGHTS("as-other", become_user_for_good, "users 1000 1000 1000 groups 1000 1000 1000 capabilities 0 0 secure 0 dumpable 1 keep 0");
    RIGHTS("as-other", 0, "users 0 1001 1001 groups 0 1001 1001 capabilities 0 1 secure 1 dumpable 0 keep 0");
    // Without the right of the group to execute it, the bit means something else.
    CHECK(chmod(in("as-other"), 02705) == 0);
    RIGHTS("as-other", become_user, "users 1000 1000 1000 groups 1000 1000 1000 capabilities 0 0 secure 0 dumpable 1 keep 0");
    RIGHTS("rights", effective_user_only, "users 0 1000 1000 groups 0 0 0 capabilities 0 1 secure 1 dumpable 0 keep 0");
    // Writing to it takes the bits away, and those of a script mean nothing.
    CHECK(chmod(in("as-other"), 06755) == 0);
    CHECK(chown(in("as-other"), USER, USER) == 0);
    struct stat now;
    CHECK(stat(in("as-other"), &now) == 0 && (now.st_mode & 07777) == 0755);
    char text[128];
    sprintf(text, "#!%s\n", in("rights"));
    write_file(in("script-as-root"), text, strlen(text), 04755);
    RIGHTS("script-as-root", become_user, "users 1000 1000 1000 groups 1000 1000 1000 capabilities 0 0 secure 0 dumpable 1 keep 0");
}

static int print_rights(void)
{
    unsigned user[3], group[3];
    struct { uint32_t version; int pid; } header = {0x20080522, 0};
    struct { uint32_t effective, permitted, inheritable; } data[2] = {{0}};
    getresuid(&user[0], &user[1], &user[2]);
    getresgid(&group[0], &group[1], &group[2]);
    syscall(SYS_capget, &header, data);
    printf("users %u %u %u groups %u %u %u capabilities %d %d secure %lu dumpable %d keep %d", user[0], user[1], user[2],
           group[0], group[1], group[2], data[0].effective != 0, data[0].permitted != 0, getauxval(AT_SECURE),
           prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
    return 0;
}

static int print_arguments(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("%s%s", i ? "|" : "", argv[i]);
    return 0;
}

// A child that says when it has come that far, and waits to be killed.
static pid_t waiting_child(void (*begin)(void), int executes)
{
    int ends[2];
    CHECK(pipe2(ends, executes ? O_CLOEXEC : 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (begin)
            begin();
        if (executes) {
            char *args[] = {"programs", "--wait", 0}, *none[] = {0};
            execve("/proc/self/exe", args, none);
            _exit(9);
        }
        if (write(ends[1], "", 1) == 1)
            pause();
        _exit(0);
    }
    char byte;
    close(ends[1]);
    CHECK(read(ends[0], &byte, 1) == (executes ? 0 : 1)); // execve(2) closes it
    close(ends[0]);
    return pid;
}

static void finish(pid_t pid)
{
    kill(pid, SIGKILL);
    CHECK_CHILD(pid, SIGKILL);
}

static void lead_session(void)
{
    if (setsid() != getpid() || getsid(0) != getpid() || getpgid(0) != getpid())
        _exit(9);
}

static void groups_have_rules(void)
{
    pid_t own = getpid(), none = 0x3ffff0;
    CHECK(getpgrp() == own && getsid(0) != own);
    CHECK(setpgid(0, 0) == 0);
    CHECK(setpgid(own, own) == 0);
    CHECK_ERRNO(setsid(), EPERM);
    CHECK_ERRNO(setpgid(0, -1), EINVAL);
    CHECK_ERRNO(setpgid(-1, 0), EINVAL);
    CHECK_ERRNO(setpgid(-1, 1), ESRCH);
    CHECK_ERRNO(setpgid(none, 0), ESRCH);
    CHECK_ERRNO(setpgid(getppid(), 0), ESRCH);
    CHECK_ERRNO(setpgid(0, none), EPERM);
    CHECK_ERRNO(getpgid(none), ESRCH);
    CHECK_ERRNO(getsid(none), ESRCH);
    CHECK_ERRNO(getpgid(-1), ESRCH);
    pid_t child = waiting_child(0, 0), second = waiting_child(0, 0);
    CHECK(getpgid(child) == own && getsid(child) == getsid(0));
    CHECK_ERRNO(setpgid(second, child), EPERM); // no such group yet
    CHECK(setpgid(child, 0) == 0 && getpgid(child) == child);
    CHECK(setpgid(second, child) == 0 && getpgid(second) == child);
    CHECK(setpgid(second, own) == 0 && getpgid(second) == own);
    CHECK(setpgid(0, child) == 0 && getpgrp() == child);
    CHECK(setpgid(0, own) == 0); // a group that had only its leader's number left
    finish(child);
    finish(second);
}

static void groups_end_at_execve_and_sessions(void)
{
    pid_t executed = waiting_child(0, 1), leader = waiting_child(lead_session, 0), plain = waiting_child(0, 0);
    CHECK_ERRNO(setpgid(executed, 0), EACCES);
    CHECK_ERRNO(setpgid(leader, 0), EPERM);
    CHECK_ERRNO(setpgid(leader, getpid()), EPERM);
    CHECK_ERRNO(setpgid(plain, leader), EPERM); // another session's
    CHECK_ERRNO(setpgid(0, leader), EPERM);
    CHECK(getsid(leader) == leader && getpgid(leader) == leader);
    finish(executed);
    finish(leader);
    finish(plain);
}

static void limits_have_rules(void)
{
    struct rlimit limit, old = {10, 20};
    CHECK_ERRNO(syscall(SYS_getrlimit, 16, &limit), EINVAL);
    CHECK_ERRNO(syscall(SYS_prlimit64, 0, 16, 0, &limit), EINVAL);
    CHECK_ERRNO(syscall(SYS_prlimit64, 0x3ffff0, RLIMIT_NOFILE, 0, &limit), ESRCH);
    limit = (struct rlimit){3, 2};
    CHECK_ERRNO(setrlimit(RLIMIT_CORE, &limit), EINVAL);
    limit = (struct rlimit){100, 200};
    CHECK(setrlimit(RLIMIT_CORE, &limit) == 0);
    CHECK(syscall(SYS_prlimit64, 0, RLIMIT_CORE, 0, &old) == 0 && old.rlim_cur == 100 && old.rlim_max == 200);
    // They are the program's that comes next, too.
    const char *got = shown("/proc/self/exe", (char *[]){"programs", "--limit", 0}, 0);
    CHECK(strcmp(got, "100 200") == 0);
    if (geteuid() != 0)
        return;
    limit = (struct rlimit){300, 300};
    if (setrlimit(RLIMIT_CORE, &limit) != 0) // root of a container
        return;
    pid_t child = waiting_child(0, 0);
    CHECK(syscall(SYS_prlimit64, child, RLIMIT_CORE, &(struct rlimit){7, 8}, &old) == 0 && old.rlim_max == 300);
    CHECK(syscall(SYS_prlimit64, child, RLIMIT_CORE, 0, &old) == 0 && old.rlim_cur == 7 && old.rlim_max == 8);
    pid_t pid = fork();
    if (pid == 0) {
        become_user();
        limit = (struct rlimit){300, 301};
        CHECK_ERRNO(setrlimit(RLIMIT_CORE, &limit), EPERM);
        limit = (struct rlimit){20, 250};
        CHECK(setrlimit(RLIMIT_CORE, &limit) == 0);
        CHECK_ERRNO(syscall(SYS_prlimit64, child, RLIMIT_CORE, 0, &old), EPERM);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    finish(child);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"scripts-have-interpreters", scripts_have_interpreters},
        {"scripts-of-scripts", scripts_of_scripts},
        {"long-lines", long_lines},
        {"scripts-by-descriptor", scripts_by_descriptor},
        {"rights-follow-the-file", rights_follow_the_file},
        {"groups-have-rules", groups_have_rules},
        {"groups-end-at-execve-and-sessions", groups_end_at_execve_and_sessions},
        {"limits-have-rules", limits_have_rules},
    };
    size_t len = strlen(argv[0]);
    if (len > 5 && strcmp(argv[0] + len - 5, "/show") == 0)
        return print_arguments(argc, argv);
    if (strcmp(argv[0], "rights") == 0 || (len > 7 && strcmp(argv[0] + len - 7, "/rights") == 0))
        return print_rights();
    if (argc > 1 && strcmp(argv[1], "--wait") == 0)
        return pause();
    if (argc > 1 && strcmp(argv[1], "--limit") == 0) {
        struct rlimit limit = {0, 0};
        getrlimit(RLIMIT_CORE, &limit);
        printf("%ld %ld", (long)limit.rlim_cur, (long)limit.rlim_max);
        return 0;
    }
    if (!mkdtemp(directory)) {
        perror(directory);
        return 1;
    }
    snprintf(show, sizeof show, "%s/show", directory);
    copy_program(show, 0755);
    unsigned failed = checks_failed;
    int result = RUN_TABLE(tests);
    static const char made[] =
        "show plain blanks no-newline empty-line only-blanks no-interpreter carriage-return not-executable "
        "no-script forbidden to-forbidden to-directory empty s1 s2 s3 s4 s5 s6 own long too-long all-blank by-fd "
        "rights as-root as-other script-as-root ";
    for (const char *names = made; *names;) {
        char name[32];
        size_t name_len = strcspn(names, " ");
        memcpy(name, names, name_len);
        name[name_len] = 0;
        names += name_len + 1;
        unlink(in(name));
    }
    rmdir(directory);
    return result | (failed != 0);
}
