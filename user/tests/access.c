// Who may do what with files: owner, group, others and root; directories, sticky ones too. By root, in the directory that is
// named, as children that give their rights up. Paths are relative, so that nothing above that directory matters.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

enum { USER = 1000, GROUP = 1000, EXTRA = 2000 };

static void make_file(const char *path, int uid, int gid, int mode)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    CHECK(fd >= 0 && write(fd, "text", 4) == 4 && close(fd) == 0);
    CHECK(chown(path, uid, gid) == 0 && chmod(path, mode) == 0);
}

static void make_dir(const char *path, int uid, int gid, int mode)
{
    CHECK(mkdir(path, 0700) == 0 && chown(path, uid, gid) == 0 && chmod(path, mode) == 0);
}

// A new directory to work in, which anybody may write to.
static void begin(const char *name)
{
    CHECK(mkdir(name, 0777) == 0 && chmod(name, 0777) == 0 && chdir(name) == 0);
    umask(0);
}

static void become_user(void)
{
    gid_t extra = EXTRA;
    CHECK(setgroups(1, &extra) == 0 && setresgid(GROUP, GROUP, GROUP) == 0 && setresuid(USER, USER, USER) == 0);
}

// Runs `body` as somebody without privilege.
static void as_user(void (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        become_user();
        body();
        child_exit();
    }
    CHECK_CHILD(pid, 0);
}

// Whether the file can be opened so.
static int opens(const char *path, int flags)
{
    int fd = open(path, flags);
    if (fd >= 0)
        close(fd);
    else
        CHECK(errno == EACCES);
    return fd >= 0;
}

static const struct { const char *name; int uid, gid, mode, reads, writes; } files[] = {
    {"own-rw", USER, 0, 0600, 1, 1},     {"own-r", USER, 0, 0400, 1, 0},        {"own-none", USER, GROUP, 0077, 0, 0},
    {"group-rw", 0, GROUP, 0060, 1, 1},  {"group-w", 0, GROUP, 0020, 0, 1},     {"group-none", 0, GROUP, 0707, 0, 0},
    {"extra-r", 0, EXTRA, 0040, 1, 0},   {"extra-none", 0, EXTRA, 0606, 0, 0},  {"other-rw", 0, 0, 0006, 1, 1},
    {"other-r", 0, 0, 0774, 1, 0},       {"none", 0, 0, 0000, 0, 0},            {"not-other", 0, 0, 0770, 0, 0},
};
enum { FILES = sizeof files / sizeof *files };

static void files_by_user(void)
{
    for (int i = 0; i < FILES; i++) {
        int reads = files[i].reads, writes = files[i].writes;
        const char *name = files[i].name;
        unsigned before = checks_failed;
        CHECK(opens(name, O_RDONLY) == reads);
        CHECK(opens(name, O_WRONLY) == writes);
        CHECK(opens(name, O_RDWR) == (reads && writes));
        CHECK(opens(name, O_RDONLY | O_TRUNC) == (reads && writes));
        CHECK((access(name, R_OK) == 0) == reads && (access(name, W_OK) == 0) == writes && access(name, F_OK) == 0);
        CHECK((faccessat(AT_FDCWD, name, R_OK, AT_EACCESS) == 0) == reads);
        CHECK((truncate(name, 4) == 0) == writes);
        CHECK((utimensat(AT_FDCWD, name, 0, 0) == 0) == (writes || files[i].uid == USER));
        int path_only = open(name, O_PATH);
        CHECK(path_only >= 0 && close(path_only) == 0);
        struct stat stat_;
        CHECK(stat(name, &stat_) == 0);
        if (files[i].uid != USER) {
            struct timespec times[2] = {{1, 0}, {2, 0}};
            CHECK_ERRNO(utimensat(AT_FDCWD, name, times, 0), EPERM);
            CHECK_ERRNO(chmod(name, 0777), EPERM);
            CHECK_ERRNO(chown(name, USER, GROUP), EPERM);
            if (reads)
                CHECK_ERRNO(open(name, O_RDONLY | O_NOATIME), EPERM);
        } else {
            CHECK_ERRNO(chown(name, 0, -1), EPERM);
            CHECK(chown(name, -1, EXTRA) == 0);
        }
        if (checks_failed != before)
            printf("file %s\n", name);
    }
}

static void of_files(void)
{
    begin("of-files");
    for (int i = 0; i < FILES; i++)
        make_file(files[i].name, files[i].uid, files[i].gid, files[i].mode);
    for (int i = 0; i < FILES; i++) // root reads and writes whatever the mode
        CHECK(opens(files[i].name, O_RDWR) == 1 && access(files[i].name, R_OK | W_OK) == 0);
    CHECK(access("none", X_OK) == -1 && errno == EACCES && access("not-other", X_OK) == 0);
    as_user(files_by_user);
}

static void directories_by_user(void)
{
    struct stat stat_;
    CHECK_ERRNO(stat("closed/file", &stat_), EACCES);
    CHECK_ERRNO(stat("closed/absent", &stat_), EACCES);
    CHECK_ERRNO(open("closed", O_RDONLY), EACCES);
    CHECK_ERRNO(chdir("closed"), EACCES);
    CHECK_ERRNO(mkdir("closed/new", 0700), EACCES);
    // To be searched and not read.
    CHECK(stat("search/file", &stat_) == 0 && chdir("search") == 0 && chdir("..") == 0);
    CHECK_ERRNO(stat("search/absent", &stat_), ENOENT);
    CHECK_ERRNO(open("search", O_RDONLY), EACCES);
    CHECK_ERRNO(unlink("search/file"), EACCES);
    CHECK_ERRNO(open("search/new", O_CREAT | O_WRONLY, 0600), EACCES);
    CHECK_ERRNO(open("search/file", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
    // To be read and not searched.
    CHECK(opens("read", O_RDONLY) == 1);
    CHECK_ERRNO(stat("read/file", &stat_), EACCES);
    CHECK_ERRNO(chdir("read"), EACCES);
    // Without the right to write nothing is made or taken away.
    CHECK_ERRNO(mkdir("look/new", 0700), EACCES);
    CHECK_ERRNO(mkdir("look/file", 0700), EEXIST);
    CHECK_ERRNO(symlink("x", "look/new"), EACCES);
    CHECK_ERRNO(mknod("look/new", S_IFIFO | 0600, 0), EACCES);
    CHECK(link("look/file", "look/new") == -1 && (errno == EACCES || errno == EPERM)); // fs.protected_hardlinks
    CHECK_ERRNO(rmdir("look/empty"), EACCES);
    CHECK_ERRNO(rename("look/file", "open/file2"), EACCES);
    CHECK_ERRNO(rename("open/file", "look/new"), EACCES);
    // With it whatever lies there may go, whosever it is.
    CHECK(unlink("open/file") == 0 && rename("open/file2", "open/file3") == 0 && rmdir("open/empty") == 0);
    CHECK(mkdir("open/new", 0755) == 0 && stat("open/new", &stat_) == 0 && stat_.st_uid == USER && stat_.st_gid == GROUP);
    int fd = open("open/made", O_CREAT | O_EXCL | O_RDWR, 0400);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && fstat(fd, &stat_) == 0 && stat_.st_uid == USER && stat_.st_gid == GROUP);
    CHECK_ERRNO(open("open/made", O_WRONLY), EACCES);
    // In a set-group-id directory the group is the directory's.
    CHECK(open("group/made", O_CREAT | O_EXCL | O_RDWR, 0600) >= 0 && stat("group/made", &stat_) == 0 && stat_.st_gid == EXTRA);
    CHECK(mkdir("group/dir", 0700) == 0 && stat("group/dir", &stat_) == 0 && stat_.st_gid == EXTRA && (stat_.st_mode & S_ISGID));
    // A directory that moves gets another `..`.
    CHECK_ERRNO(rename("open/foreign", "group/foreign"), EACCES);
    CHECK(rename("open/foreign", "open/foreign2") == 0);
    // Where it is sticky, only what is one's own.
    CHECK_ERRNO(unlink("sticky/root"), EPERM);
    CHECK_ERRNO(rename("sticky/root", "sticky/mine"), EPERM);
    CHECK_ERRNO(rename("open/file3", "sticky/root"), EPERM);
    CHECK_ERRNO(rmdir("sticky/dir"), EPERM);
    CHECK(unlink("sticky/mine") == 0 && rename("open/file3", "sticky/new") == 0);
    CHECK_ERRNO(unlink("sticky/new"), EPERM); // it is still root's
    CHECK(unlink("own-sticky/root") == 0);    // the directory is one's own
}

static void of_directories(void)
{
    begin("of-directories");
    static const struct { const char *name; int uid, gid, mode; } dirs[] = {
        {"closed", 0, 0, 0700}, {"search", 0, 0, 0711},   {"read", 0, 0, 0744},     {"look", 0, 0, 0755},
        {"open", 0, 0, 0777},   {"group", 0, EXTRA, 02777}, {"sticky", 0, 0, 01777}, {"own-sticky", USER, 0, 01700},
    };
    for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
        make_dir(dirs[i].name, dirs[i].uid, dirs[i].gid, dirs[i].mode);
    static const char *const of_root[] = {"closed/file", "search/file", "read/file",   "look/file",
                                          "open/file",   "open/file2",  "sticky/root", "own-sticky/root"};
    for (unsigned i = 0; i < sizeof of_root / sizeof *of_root; i++)
        make_file(of_root[i], 0, 0, 0644);
    make_file("sticky/mine", USER, GROUP, 0644);
    static const char *const empty[] = {"look/empty", "open/empty", "open/foreign", "sticky/dir"};
    for (unsigned i = 0; i < sizeof empty / sizeof *empty; i++)
        make_dir(empty[i], 0, 0, 0755);
    as_user(directories_by_user);
}

static int runs(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        char *args[] = {(char *)path, "exit", 0};
        execv(path, args);
        _exit(errno == EACCES ? 126 : 127);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 5 || WEXITSTATUS(status) == 126);
    return WEXITSTATUS(status) == 5;
}

static void programs_by_user(void)
{
    CHECK(runs("execute-only") && runs("group-only") && !runs("not-others") && !runs("no-x") && !runs("closed/execute-only"));
    CHECK(access("execute-only", X_OK) == 0 && access("no-x", X_OK) == -1);
}

static char self[4096];

static void copy_self(const char *path, int gid, int mode)
{
    static char buffer[65536];
    int from = open(self, O_RDONLY), to = open(path, O_CREAT | O_EXCL | O_WRONLY, 0700);
    CHECK(from >= 0 && to >= 0);
    for (ssize_t len; (len = read(from, buffer, sizeof buffer)) > 0;)
        CHECK(write(to, buffer, len) == len);
    close(from);
    close(to);
    CHECK(chown(path, 0, gid) == 0 && chmod(path, mode) == 0);
}

static void of_programs(void)
{
    begin("of-programs");
    make_dir("closed", 0, 0, 0700);
    copy_self("execute-only", 0, 0111);
    copy_self("group-only", EXTRA, 0710);
    copy_self("not-others", 0, 0770);
    copy_self("no-x", 0, 0666);
    copy_self("closed/execute-only", 0, 0755);
    CHECK(runs("execute-only") && runs("not-others") && runs("closed/execute-only") && !runs("no-x"));
    as_user(programs_by_user);
}

// access(2) asks by the real identity, everything else by the effective one.
static void of_identities(void)
{
    begin("of-identities");
    make_file("secret", 0, 0, 0600);
    make_dir("closed", 0, 0, 0700);
    make_file("closed/file", 0, 0, 0666);
    CHECK(seteuid(USER) == 0);
    CHECK(opens("secret", O_RDONLY) == 0 && opens("closed/file", O_RDONLY) == 0);
    CHECK(access("secret", R_OK | W_OK) == 0 && access("closed/file", R_OK) == 0);
    CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "secret", R_OK, AT_EACCESS), EACCES);
    CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "closed/file", R_OK, AT_EACCESS), EACCES);
    CHECK(seteuid(0) == 0 && opens("secret", O_RDONLY) == 1);
    CHECK(setfsuid(USER) == 0 && opens("secret", O_RDONLY) == 0 && setfsuid(0) == USER && opens("secret", O_RDONLY) == 1);
    CHECK(setreuid(USER, 0) == 0 && opens("secret", O_RDONLY) == 1 && access("secret", R_OK) == -1 && errno == EACCES);
}

static const struct test tests[] = {
    {"files", of_files}, {"directories", of_directories}, {"programs", of_programs}, {"identities", of_identities},
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "exit") == 0)
        return 5;
    if (argc != 2) {
        fprintf(stderr, "usage: %s EMPTY-DIRECTORY\n", argv[0]);
        return 2;
    }
    CHECK(argv[0][0] == '/' && snprintf(self, sizeof self, "%s", argv[0]) > 0);
    if (geteuid() != 0) {
        printf("not by root: nothing to see\n0 passed, 0 failed\n");
        return 0;
    }
    CHECK(chdir(argv[1]) == 0);
    return checks_failed ? check_result() : run_table(tests, sizeof tests / sizeof *tests, 1, argv);
}
