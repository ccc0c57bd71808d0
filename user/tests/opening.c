// Ways of opening that plain open(2) does not have, in the directory given: openat2(2) with what a walk must not do, and
// files without names (O_TMPFILE).
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { NO_XDEV = 1, NO_MAGICLINKS = 2, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 16, CACHED = 32, OPENAT2 = 437 };

struct how { uint64_t flags, mode, resolve; };

static int open_how(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct how how = {flags, mode, resolve};
    return syscall(OPENAT2, directory, path, &how, sizeof how);
}

// Whether it opens the same file as `wanted` does.
static int opens(int directory, const char *path, uint64_t resolve, const char *wanted)
{
    struct stat one, other;
    int fd = open_how(directory, path, O_PATH, 0, resolve);
    if (fd < 0)
        return 0;
    int same = fstat(fd, &one) == 0 && stat(wanted, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
    close(fd);
    return same;
}

static int make_tree(void)
{
    mkdir("tree", 0755);
    mkdir("tree/sub", 0755);
    close(open("tree/file", O_CREAT | O_WRONLY, 0644));
    close(open("tree/sub/inner", O_CREAT | O_WRONLY, 0644));
    symlink("file", "tree/link");
    symlink("sub/../file", "tree/round");
    symlink("../outside", "tree/out");
    symlink("/file", "tree/absolute");
    symlink("sub", "tree/to-sub");
    close(open("outside", O_CREAT | O_WRONLY, 0644));
    int fd = open("tree", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    return fd;
}

static void plain(void)
{
    int tree = make_tree();
    CHECK(opens(tree, "file", 0, "tree/file") && opens(tree, "link", 0, "tree/file") && opens(tree, "out", 0, "outside"));
    int fd = open_how(tree, "made", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0640, 0);
    struct stat made;
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && fstat(fd, &made) == 0 && (made.st_mode & 0777 & ~022) == 0640);
    CHECK_ERRNO(open_how(tree, "made", O_CREAT | O_EXCL, 0600, 0), EEXIST);
    CHECK(unlinkat(tree, "made", 0) == 0);
    CHECK_ERRNO(open_how(tree, "none", O_RDONLY, 0, 0), ENOENT);
    CHECK_ERRNO(open_how(tree, "", O_RDONLY, 0, 0), ENOENT);
    CHECK_ERRNO(open_how(-1, "file", O_RDONLY, 0, 0), EBADF);
    CHECK_ERRNO(open_how(tree, "file", O_DIRECTORY, 0, 0), ENOTDIR);
}

static void refused(void)
{
    int tree = make_tree();
    // Where open(2) is silent, this is not.
    CHECK_ERRNO(open_how(tree, "file", 1ull << 40, 0, 0), EINVAL);
    CHECK_ERRNO(open_how(tree, "file", 04, 0, 0), EINVAL);
    CHECK_ERRNO(open_how(tree, "file", O_RDONLY, 0600, 0), EINVAL);
    CHECK_ERRNO(open_how(tree, "file", O_CREAT, 010000, 0), EINVAL);
    CHECK_ERRNO(open_how(tree, "file", O_RDONLY, 0, 64), EINVAL);
    CHECK_ERRNO(open_how(tree, "file", O_RDONLY, 0, BENEATH | IN_ROOT), EINVAL);
    CHECK_ERRNO(open_how(tree, "file", O_PATH | O_RDWR, 0, 0), EINVAL);
    CHECK_ERRNO(open_how(tree, ".", O_TMPFILE & ~O_DIRECTORY, 0600, 0), EINVAL);
    CHECK_ERRNO(open_how(tree, ".", O_TMPFILE | O_RDONLY, 0600, 0), EINVAL);
    struct { struct how how; uint64_t more; } longer = {{O_RDONLY, 0, 0}, 0};
    int fd = syscall(OPENAT2, tree, "file", &longer, sizeof longer);
    CHECK(fd >= 0);
    longer.more = 1;
    CHECK_ERRNO(syscall(OPENAT2, tree, "file", &longer, sizeof longer), E2BIG);
    CHECK_ERRNO(syscall(OPENAT2, tree, "file", &longer, 16), EINVAL);
    CHECK_ERRNO(syscall(OPENAT2, tree, "file", &longer, 0), EINVAL);
    CHECK_ERRNO(syscall(OPENAT2, tree, "file", &longer, 8192), E2BIG);
    struct how how = {O_RDONLY, 0, 0};
    CHECK_BAD_IN(syscall(OPENAT2, tree, "file", p, sizeof how), sizeof how, 0);
    CHECK_BAD_IN(syscall(OPENAT2, tree, p, &how, sizeof how), 1, 0);
}

static void symbolic_links(void)
{
    int tree = make_tree();
    CHECK(opens(tree, "sub/inner", NO_SYMLINKS, "tree/sub/inner"));
    CHECK_ERRNO(open_how(tree, "link", O_RDONLY, 0, NO_SYMLINKS), ELOOP);
    CHECK_ERRNO(open_how(tree, "to-sub/inner", O_RDONLY, 0, NO_SYMLINKS), ELOOP);
    // The link itself may be had.
    int fd = open_how(tree, "link", O_PATH | O_NOFOLLOW, 0, NO_SYMLINKS);
    CHECK(fd >= 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", tree);
    CHECK(opens(AT_FDCWD, path, 0, "tree"));
    CHECK_ERRNO(open_how(AT_FDCWD, path, O_RDONLY, 0, NO_MAGICLINKS), ELOOP);
    CHECK_ERRNO(open_how(AT_FDCWD, path, O_RDONLY, 0, NO_SYMLINKS), ELOOP);
    CHECK(opens(tree, "link", NO_MAGICLINKS, "tree/file"));
}

static void beneath(void)
{
    int tree = make_tree();
    CHECK(opens(tree, "file", BENEATH, "tree/file") && opens(tree, "round", BENEATH, "tree/file"));
    CHECK(opens(tree, "sub/..", BENEATH, "tree") && opens(tree, "to-sub/../link", BENEATH, "tree/file") && opens(tree, ".", BENEATH, "tree"));
    CHECK_ERRNO(open_how(tree, "..", O_PATH, 0, BENEATH), EXDEV);
    CHECK_ERRNO(open_how(tree, "sub/../..", O_PATH, 0, BENEATH), EXDEV);
    CHECK_ERRNO(open_how(tree, "../tree/file", O_PATH, 0, BENEATH), EXDEV);
    CHECK_ERRNO(open_how(tree, "out", O_PATH, 0, BENEATH), EXDEV);
    CHECK_ERRNO(open_how(tree, "absolute", O_PATH, 0, BENEATH), EXDEV);
    CHECK_ERRNO(open_how(tree, "/", O_PATH, 0, BENEATH), EXDEV);
    CHECK_ERRNO(open_how(tree, "sub/none", O_PATH, 0, BENEATH), ENOENT);
    int fd = open_how(tree, "sub/new", O_CREAT | O_WRONLY, 0600, BENEATH);
    CHECK(fd >= 0 && unlinkat(tree, "sub/new", 0) == 0);
}

static void as_root(void)
{
    int tree = make_tree();
    CHECK(opens(tree, "/file", IN_ROOT, "tree/file") && opens(tree, "absolute", IN_ROOT, "tree/file"));
    CHECK(opens(tree, "..", IN_ROOT, "tree") && opens(tree, "/../../sub/../..", IN_ROOT, "tree") && opens(tree, "/", IN_ROOT, "tree"));
    CHECK(opens(tree, "../file", IN_ROOT, "tree/file"));
    CHECK_ERRNO(open_how(tree, "out", O_PATH, 0, IN_ROOT), ENOENT);
    int file = open("tree/file", O_RDONLY);
    CHECK_ERRNO(open_how(file, "/file", O_PATH, 0, IN_ROOT), ENOTDIR);
}

static void one_mount(void)
{
    int tree = make_tree(), root = open("/", O_RDONLY | O_DIRECTORY);
    CHECK(opens(tree, "sub/inner", NO_XDEV, "tree/sub/inner") && opens(tree, "round", NO_XDEV, "tree/file"));
    CHECK(opens(root, "proc/self", 0, "/proc/self"));
    CHECK_ERRNO(open_how(root, "proc", O_PATH, 0, NO_XDEV), EXDEV);
    CHECK_ERRNO(open_how(root, "proc/self/status", O_PATH, 0, NO_XDEV), EXDEV);
    int proc = open("/proc", O_RDONLY | O_DIRECTORY);
    CHECK_ERRNO(open_how(proc, "..", O_PATH, 0, NO_XDEV), EXDEV);
    int fd = open_how(proc, "self/status", O_PATH, 0, NO_XDEV);
    CHECK(fd >= 0);
    // An absolute path may begin anywhere.
    CHECK(opens(proc, "/", NO_XDEV, "/"));
}

static void known_only(void)
{
    int tree = make_tree(), fd = open_how(tree, "sub/inner", O_RDONLY, 0, 0);
    CHECK(fd >= 0);
    // Not all file systems can do that; who can has it in memory now.
    fd = open_how(tree, "sub/inner", O_RDONLY, 0, CACHED);
    CHECK(fd >= 0 || errno == EAGAIN);
    CHECK_ERRNO(open_how(tree, "file", O_RDWR | O_TRUNC, 0, CACHED), EAGAIN);
    CHECK_ERRNO(open_how(tree, "file", O_RDWR | O_CREAT, 0600, CACHED), EAGAIN);
}

static int text_of(const char *path, char *text, size_t len)
{
    int fd = open(path, O_RDONLY);
    ssize_t got = read(fd, text, len - 1);
    close(fd);
    text[got > 0 ? got : 0] = 0;
    return got > 0;
}

static void unnamed(void)
{
    char path[64], text[4096];
    struct stat about;
    umask(022);
    CHECK(mkdir("unnamed", 0755) == 0);
    int fd = open("unnamed", O_TMPFILE | O_RDWR, 0666);
    CHECK(fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_nlink == 0 && (about.st_mode & 0777) == 0644);
    CHECK(write(fd, "kept", 4) == 4 && pread(fd, text, 4, 0) == 4 && memcmp(text, "kept", 4) == 0);
    CHECK(rmdir("unnamed") == 0 && mkdir("unnamed", 0755) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(path, text, sizeof text - 1);
    CHECK(len > 0);
    text[len > 0 ? len : 0] = 0;
    CHECK(strchr(text, '#') && strstr(text, " (deleted)"));
    CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "unnamed/first", AT_SYMLINK_FOLLOW) == 0);
    CHECK(text_of("unnamed/first", text, sizeof text) && strcmp(text, "kept") == 0);
    CHECK(fstat(fd, &about) == 0 && about.st_nlink == 1);
    CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "unnamed/first", AT_SYMLINK_FOLLOW), EEXIST);
    CHECK(linkat(AT_FDCWD, path, AT_FDCWD, "unnamed/second", AT_SYMLINK_FOLLOW) == 0 && fstat(fd, &about) == 0 && about.st_nlink == 2);
    // Once it has lost its names it gets none any more.
    CHECK(unlink("unnamed/first") == 0 && unlink("unnamed/second") == 0);
    CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "unnamed/first", AT_SYMLINK_FOLLOW), ENOENT);
    CHECK(close(fd) == 0);
    fd = open("unnamed", O_TMPFILE | O_EXCL | O_WRONLY, 0600);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(fd >= 0);
    CHECK_ERRNO(linkat(AT_FDCWD, path, AT_FDCWD, "unnamed/first", AT_SYMLINK_FOLLOW), ENOENT);
    CHECK(close(fd) == 0 && rmdir("unnamed") == 0);
}

static void unnamed_by_descriptor(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1);
    // For who may read everything.
    if (geteuid() == 0) {
        CHECK(linkat(fd, "", AT_FDCWD, "by-descriptor", AT_EMPTY_PATH) == 0);
        CHECK(access("by-descriptor", F_OK) == 0 && unlink("by-descriptor") == 0);
    }
    fd = open(".", O_TMPFILE | O_RDWR, 0600);
    CHECK_ERRNO(linkat(fd, "", AT_FDCWD, "by-descriptor", 0), ENOENT);
    CHECK_ERRNO(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
    CHECK_ERRNO(open(".", O_TMPFILE | O_CREAT | O_RDWR, 0600), EINVAL);
    CHECK_ERRNO(open("none", O_TMPFILE | O_RDWR, 0600), ENOENT);
    CHECK_ERRNO(open("/proc/self/status", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
    CHECK_ERRNO(open((char *)8, O_TMPFILE | O_RDWR, 0600), EFAULT);
    // Many, none of which stays.
    for (int i = 0; i < 200; i++) {
        fd = open(".", O_TMPFILE | O_WRONLY, 0600);
        CHECK(fd >= 0 && write(fd, "gone", 4) == 4 && close(fd) == 0);
    }
}

static const struct test tests[] = {
    {"plain", plain}, {"refused", refused}, {"symbolic_links", symbolic_links}, {"beneath", beneath}, {"as_root", as_root},
    {"one_mount", one_mount}, {"known_only", known_only}, {"unnamed", unnamed}, {"unnamed_by_descriptor", unnamed_by_descriptor},
};

int main(int argc, char **argv)
{
    char name[32];
    if (argc < 2 || chdir(argv[1]) != 0) {
        printf("usage: opening directory [tests...]\n");
        return 2;
    }
    snprintf(name, sizeof name, "opening-%06d", getpid() % 1000000);
    if (mkdir(name, 0755) != 0 || chdir(name) != 0) {
        perror(name);
        return 2;
    }
    int failed = run_table(tests, sizeof tests / sizeof *tests, argc - 1, argv + 1);
    const char *files[] = {"tree/file", "tree/sub/inner", "tree/link", "tree/round", "tree/out", "tree/absolute", "tree/to-sub",
                           "outside"};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    return rmdir("tree/sub") != 0 || rmdir("tree") != 0 || chdir("..") != 0 || rmdir(name) != 0 || failed;
}
