// Extended attributes in the directory given, as root: what is set is there, what must not be is refused. With a second
// argument `leave` some are left for others to look at, with `find` those are looked for.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static char big[70000], out[70000];

static int make(const char *path, mode_t mode)
{
    int fd = open(path, O_CREAT | O_RDWR, mode);
    fchmod(fd, mode);
    return fd;
}

// Whether `name` is among the zero-terminated ones of `list`.
static int listed(const char *list, ssize_t len, const char *name)
{
    for (const char *at = list; at < list + len; at += strlen(at) + 1)
        if (strcmp(at, name) == 0)
            return 1;
    return 0;
}

static void set_and_get(void)
{
    int fd = make("file", 0644);
    CHECK(setxattr("file", "user.one", "value", 5, 0) == 0);
    CHECK(getxattr("file", "user.one", out, sizeof out) == 5 && memcmp(out, "value", 5) == 0);
    CHECK(getxattr("file", "user.one", 0, 0) == 5 && fgetxattr(fd, "user.one", out, 5) == 5);
    CHECK_ERRNO(getxattr("file", "user.one", out, 4), ERANGE);
    CHECK_ERRNO(getxattr("file", "user.two", out, 4), ENODATA);
    CHECK(fsetxattr(fd, "user.two", "", 0, XATTR_CREATE) == 0 && getxattr("file", "user.two", out, sizeof out) == 0);
    CHECK_ERRNO(setxattr("file", "user.two", "x", 1, XATTR_CREATE), EEXIST);
    CHECK(setxattr("file", "user.two", "longer than before", 18, XATTR_REPLACE) == 0 && fgetxattr(fd, "user.two", out, 99) == 18);
    CHECK_ERRNO(setxattr("file", "user.three", "x", 1, XATTR_REPLACE), ENODATA);
    CHECK_ERRNO(setxattr("file", "user.three", "x", 1, XATTR_REPLACE | XATTR_CREATE), ENODATA);
    CHECK_ERRNO(setxattr("file", "user.two", "x", 1, XATTR_REPLACE | XATTR_CREATE), EEXIST);
    CHECK_ERRNO(setxattr("file", "user.two", "x", 1, 4), EINVAL);
    ssize_t len = listxattr("file", out, sizeof out);
    CHECK(len >= 18 && listed(out, len, "user.one") && listed(out, len, "user.two") && listxattr("file", 0, 0) == len);
    CHECK_ERRNO(flistxattr(fd, out, len - 1), ERANGE);
    struct stat before, after;
    CHECK(fstat(fd, &before) == 0);
    sleep_ms(30);
    CHECK(removexattr("file", "user.one") == 0 && fstat(fd, &after) == 0);
    CHECK(after.st_ctim.tv_sec > before.st_ctim.tv_sec || after.st_ctim.tv_nsec > before.st_ctim.tv_nsec);
    CHECK(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
    CHECK_ERRNO(removexattr("file", "user.one"), ENODATA);
    CHECK_ERRNO(getxattr("file", "user.one", out, 9), ENODATA);
    CHECK(fremovexattr(fd, "user.two") == 0 && !listed(out, flistxattr(fd, out, sizeof out), "user.two"));
    // Through another name, and without any.
    CHECK(setxattr("file", "user.kept", "k", 1, 0) == 0 && link("file", "other") == 0 && unlink("file") == 0);
    CHECK(getxattr("other", "user.kept", out, 9) == 1 && unlink("other") == 0 && fgetxattr(fd, "user.kept", out, 9) == 1);
    close(fd);
}

static void names_and_sizes(void)
{
    char name[300] = "user.";
    close(make("file", 0644));
    memset(name + 5, 'n', 250);
    CHECK(setxattr("file", name, "x", 1, 0) == 0 && getxattr("file", name, out, 9) == 1 && removexattr("file", name) == 0);
    name[255] = 'n';
    CHECK_ERRNO(setxattr("file", name, "x", 1, 0), ERANGE);
    CHECK_ERRNO(getxattr("file", name, out, 1), ERANGE);
    CHECK_ERRNO(setxattr("file", "", "x", 1, 0), ERANGE);
    CHECK_ERRNO(setxattr("file", "user.", "x", 1, 0), EINVAL);
    CHECK_ERRNO(setxattr("file", "none.such", "x", 1, 0), EOPNOTSUPP);
    CHECK_ERRNO(getxattr("file", "none.such", out, 1), EOPNOTSUPP);
    CHECK_ERRNO(removexattr("file", "nothing"), EOPNOTSUPP);
    CHECK_ERRNO(setxattr("file", "user.big", big, 65537, 0), E2BIG);
    CHECK_ERRNO(setxattr("none", "user.a", "x", 1, 0), ENOENT);
    CHECK(setxattr("file", "user.\xc3\xa4\xff", "\0\xff", 2, 0) == 0 && getxattr("file", "user.\xc3\xa4\xff", out, 9) == 2 && out[1] == '\xff');
    // Until there is no room; what was there stays, and there is room again afterwards.
    int i, failed = 0;
    for (i = 0; i < 2000 && !failed; i++) {
        snprintf(name, sizeof name, "user.fill%d", i);
        failed = setxattr("file", name, big, 700, 0);
    }
    CHECK(failed && (errno == ENOSPC || errno == E2BIG) && i > 1);
    CHECK(getxattr("file", "user.fill0", out, sizeof out) == 700);
    CHECK(removexattr("file", "user.fill0") == 0 && setxattr("file", "user.fill0", big, 600, 0) == 0);
    CHECK(unlink("file") == 0);
}

static void kinds(void)
{
    close(make("file", 0644));
    mkdir("directory", 0755);
    symlink("file", "link");
    mkfifo("fifo", 0644);
    CHECK(setxattr("directory", "user.d", "d", 1, 0) == 0 && getxattr("directory", "user.d", out, 9) == 1);
    CHECK(setxattr("link", "user.by-link", "l", 1, 0) == 0 && getxattr("file", "user.by-link", out, 9) == 1);
    CHECK_ERRNO(lsetxattr("link", "user.own", "l", 1, 0), EPERM);
    CHECK_ERRNO(lgetxattr("link", "user.own", out, 1), ENODATA);
    CHECK_ERRNO(setxattr("fifo", "user.own", "l", 1, 0), EPERM);
    CHECK(lsetxattr("link", "trusted.own", "link", 4, 0) == 0 && lgetxattr("link", "trusted.own", out, 9) == 4);
    CHECK_ERRNO(getxattr("link", "trusted.own", out, 9), ENODATA);
    CHECK(listed(out, llistxattr("link", out, sizeof out), "trusted.own") && readlink("link", out, 99) == 4);
    CHECK(setxattr("fifo", "trusted.own", "fifo", 4, 0) == 0 && getxattr("fifo", "trusted.own", out, 9) == 4);
    CHECK(setxattr("file", "security.test", "s", 1, 0) == 0 && getxattr("file", "security.test", out, 9) == 1);
    CHECK(lremovexattr("link", "trusted.own") == 0);
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK_ERRNO(fsetxattr(ends[0], "user.a", "x", 1, 0), EPERM);
    CHECK_ERRNO(fgetxattr(-1, "user.a", out, 1), EBADF);
    int path = open("file", O_PATH);
    CHECK_ERRNO(fgetxattr(path, "user.by-link", out, 9), EBADF);
    unlink("file"), unlink("link"), unlink("fifo"), rmdir("directory");
}

static void permissions(void)
{
    close(make("mine", 0644));
    close(make("private", 0600));
    mkdir("sticky", 0777);
    chmod("sticky", 01777);
    CHECK(setxattr("mine", "user.a", "a", 1, 0) == 0 && setxattr("private", "user.a", "a", 1, 0) == 0);
    CHECK(setxattr("mine", "trusted.a", "a", 1, 0) == 0 && setxattr("private", "security.a", "a", 1, 0) == 0);
    chmod(".", 0777);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setgid(1000) == 0 && setuid(1000) == 0);
        CHECK(getxattr("mine", "user.a", out, 9) == 1);
        CHECK_ERRNO(setxattr("mine", "user.a", "b", 1, 0), EACCES);
        CHECK_ERRNO(removexattr("mine", "user.a"), EACCES);
        CHECK_ERRNO(getxattr("private", "user.a", out, 9), EACCES);
        CHECK(getxattr("private", "security.a", out, 9) == 1);
        CHECK_ERRNO(getxattr("mine", "trusted.a", out, 9), ENODATA);
        CHECK_ERRNO(setxattr("mine", "trusted.a", "b", 1, 0), EPERM);
        CHECK_ERRNO(setxattr("mine", "security.a", "b", 1, 0), EPERM);
        ssize_t len = listxattr("mine", out, sizeof out);
        CHECK(listed(out, len, "user.a") && !listed(out, len, "trusted.a"));
        CHECK_ERRNO(setxattr("sticky", "user.a", "b", 1, 0), EPERM);
        close(make("own", 0644));
        CHECK(setxattr("own", "user.a", "b", 1, 0) == 0 && unlink("own") == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    unlink("mine"), unlink("private"), rmdir("sticky");
}

static void bad_pointers(void)
{
    close(make("file", 0644));
    CHECK(setxattr("file", "user.a", "abcdefgh", 8, 0) == 0);
    CHECK_BAD_IN(setxattr(p, "user.b", "x", 1, 0), 1, 0);
    CHECK_BAD_IN(setxattr("file", p, "x", 1, 0), 1, 0);
    CHECK_BAD_IN(setxattr("file", "user.b", p, 8, 0), 8, 0);
    CHECK_BAD_IN(getxattr("file", p, out, 9), 1, 0);
    CHECK_BAD_OUT(getxattr("file", "user.a", p, 8), 8, 0);
    CHECK_BAD_OUT(listxattr("file", p, 7), 7, 0);
    CHECK_BAD_IN(removexattr("file", p), 1, 0);
    CHECK(getxattr("file", "user.a", out, 9) == 8 && memcmp(out, "abcdefgh", 8) == 0);
    unlink("file");
}

static void parallel(void)
{
    // Several change attributes of the same files; each name is one's own.
    close(make("a", 0644)), close(make("b", 0644));
    pid_t pids[4];
    for (int child = 0; child < 4; child++)
        if ((pids[child] = fork()) == 0) {
            char name[32];
            snprintf(name, sizeof name, "user.child%d", child);
            for (int i = 0; i < 100; i++) {
                const char *path = i & 1 ? "a" : "b";
                CHECK(setxattr(path, name, big, i % 60, 0) == 0 && getxattr(path, name, out, sizeof out) == i % 60);
                if (i % 7 == 0)
                    CHECK(removexattr(path, name) == 0);
            }
            child_exit();
        }
    for (int child = 0; child < 4; child++)
        CHECK_CHILD(pids[child], 0);
    unlink("a"), unlink("b");
}

static const struct test tests[] = {
    {"set_and_get", set_and_get}, {"names_and_sizes", names_and_sizes}, {"kinds", kinds}, {"permissions", permissions},
    {"bad_pointers", bad_pointers}, {"parallel", parallel},
};

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) != 0) {
        printf("usage: xattr directory [leave | find | tests...]\n");
        return 2;
    }
    memset(big, 'b', sizeof big);
    if (argc == 3 && strcmp(argv[2], "leave") == 0) {
        close(make("left", 0644));
        CHECK(setxattr("left", "user.short", "value", 5, 0) == 0 && setxattr("left", "user.long", big, 300, 0) == 0);
        CHECK(mkdir("left-directory", 0755) == 0 && setxattr("left-directory", "trusted.d", "d", 1, 0) == 0);
        return check_result();
    }
    if (argc == 3 && strcmp(argv[2], "find") == 0) {
        CHECK(getxattr("left", "user.short", out, 9) == 5 && memcmp(out, "value", 5) == 0);
        CHECK(getxattr("left", "user.long", out, 999) == 300 && memcmp(out, big, 300) == 0);
        CHECK(getxattr("left", "user.theirs", out, 9) == 3 && memcmp(out, "abc", 3) == 0);
        CHECK(getxattr("left-directory", "trusted.d", out, 9) == 1);
        return check_result();
    }
    char name[32];
    snprintf(name, sizeof name, "xattr-%06d", getpid() % 1000000);
    if (mkdir(name, 0755) != 0 || chdir(name) != 0) {
        perror(name);
        return 2;
    }
    int failed = run_table(tests, sizeof tests / sizeof *tests, argc - 1, argv + 1);
    return chdir("..") != 0 || rmdir(name) != 0 || failed;
}
