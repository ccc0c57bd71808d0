// Files and directories that change, in the directory given: on Linux the oracle, and on Russet's ext2 and tmpfs.
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#define RENAME_NOREPLACE_ 1
#define RENAME_EXCHANGE_ 2

static int renameat2_(int from, const char *old, int to, const char *new, unsigned flags)
{
    return syscall(SYS_renameat2, from, old, to, new, flags);
}

static struct stat look(const char *path)
{
    struct stat found;
    memset(&found, 0, sizeof found);
    CHECK(lstat(path, &found) == 0);
    return found;
}

static int absent(const char *path)
{
    struct stat found;
    return lstat(path, &found) == -1 && errno == ENOENT;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    CHECK(fd >= 0);
    CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(close(fd) == 0);
}

static int holds(const char *path, const char *text)
{
    char found[256] = {0};
    int fd = open(path, O_RDONLY);
    ssize_t len = read(fd, found, sizeof found - 1);
    close(fd);
    return len == (ssize_t)strlen(text) && memcmp(found, text, len) == 0;
}

static void creating(void)
{
    umask(022);
    int fd = creat("made", 0666);
    CHECK(fd >= 0 && close(fd) == 0);
    struct stat made = look("made");
    CHECK(S_ISREG(made.st_mode) && (made.st_mode & 07777) == 0644 && made.st_size == 0 && made.st_nlink == 1);
    CHECK(made.st_blocks == 0);
    CHECK_ERRNO(open("made", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
    CHECK_ERRNO(open("made/below", O_CREAT | O_RDWR, 0600), ENOTDIR);
    CHECK_ERRNO(open("none/below", O_CREAT | O_RDWR, 0600), ENOENT);
    CHECK_ERRNO(open("new/", O_CREAT | O_RDWR, 0600), EISDIR);
    CHECK_ERRNO(open(".", O_RDWR), EISDIR);
    CHECK_ERRNO(creat("", 0600), ENOENT);
    CHECK_ERRNO(creat((char *)8, 0600), EFAULT);
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    CHECK((fd = creat(name, 0600)) >= 0 && close(fd) == 0 && unlink(name) == 0);
    name[255] = 'n';
    name[256] = 0;
    CHECK_ERRNO(creat(name, 0600), ENAMETOOLONG);
    CHECK(unlink("made") == 0 && absent("made"));
}

static void writing(void)
{
    static char block[70000], back[70000];
    for (size_t at = 0; at < sizeof block; at++)
        block[at] = (char)(at * 31 + at / 4096);
    int fd = open("data", O_CREAT | O_RDWR | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK(write(fd, block, sizeof block) == sizeof block);
    CHECK(pread(fd, back, sizeof back, 0) == sizeof back && memcmp(block, back, sizeof back) == 0);
    CHECK(pwrite(fd, "XYZ", 3, 4094) == 3);
    memcpy(block + 4094, "XYZ", 3);
    CHECK(pread(fd, back, sizeof back, 0) == sizeof back && memcmp(block, back, sizeof back) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == sizeof block);
    CHECK(lseek(fd, 1 << 20, SEEK_SET) == 1 << 20 && write(fd, "end", 3) == 3);
    CHECK(look("data").st_size == (1 << 20) + 3 && look("data").st_blocks * 512 < (1 << 20));
    CHECK(pread(fd, back, 10, 500000) == 10 && memcmp(back, "\0\0\0\0\0\0\0\0\0", 10) == 0);
    off_t data = lseek(fd, 200000, SEEK_DATA), hole = lseek(fd, 0, SEEK_HOLE);
    CHECK(data > 200000 && data <= 1 << 20 && hole >= (off_t)sizeof block && hole < 200000);
    CHECK(ftruncate(fd, 5000) == 0 && ftruncate(fd, 9000) == 0);
    CHECK(pread(fd, back, sizeof back, 0) == 9000 && memcmp(block, back, 5000) == 0);
    int zero = 1;
    for (size_t at = 5000; at < 9000; at++)
        zero &= back[at] == 0;
    CHECK(zero);
    CHECK(truncate("data", 10) == 0 && look("data").st_size == 10);
    CHECK_ERRNO(truncate("data", -1), EINVAL);
    CHECK_ERRNO(ftruncate(fd, -1), EINVAL);
    CHECK_ERRNO(truncate(".", 0), EISDIR);
    CHECK_ERRNO(truncate("none", 0), ENOENT);
    CHECK(fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0);
    CHECK_ERRNO(fsync(999), EBADF);
    CHECK_ERRNO(pwrite(fd, block, 1, -1), EINVAL);
    CHECK_ERRNO(pwrite(fd, (void *)8, 1, 0), EFAULT);
    CHECK(close(fd) == 0);
    CHECK((fd = open("data", O_WRONLY | O_APPEND)) >= 0);
    CHECK(write(fd, "tail", 4) == 4 && look("data").st_size == 14);
    CHECK_ERRNO(read(fd, back, 1), EBADF);
    CHECK_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
    CHECK(close(fd) == 0);
    CHECK((fd = open("data", O_RDONLY)) >= 0);
    CHECK_ERRNO(write(fd, block, 1), EBADF);
    CHECK_ERRNO(ftruncate(fd, 0), EINVAL);
    CHECK(close(fd) == 0 && unlink("data") == 0);
}

static void vectors(void)
{
    int fd = open("vectors", O_CREAT | O_RDWR, 0600);
    struct iovec parts[2] = {{"one ", 4}, {"two", 3}};
    CHECK(pwritev(fd, parts, 2, 3) == 7 && look("vectors").st_size == 10);
    char first[4], second[6];
    struct iovec back[2] = {{first, 4}, {second, 6}};
    CHECK(preadv(fd, back, 2, 0) == 10 && memcmp(first, "\0\0\0o", 4) == 0 && memcmp(second, "ne two", 6) == 0);
    CHECK_ERRNO(preadv(fd, back, 2, -1), EINVAL);
    CHECK_ERRNO(pwritev(fd, parts, 1025, 0), EINVAL);
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    int to = open("copy", O_CREAT | O_RDWR, 0600);
    off_t offset = 3;
    CHECK(sendfile(to, fd, &offset, 100) == 7 && offset == 10 && lseek(fd, 0, SEEK_CUR) == 0);
    CHECK(lseek(to, 0, SEEK_CUR) == 7 && holds("copy", "one two"));
    CHECK(lseek(fd, 7, SEEK_SET) == 7 && sendfile(to, fd, NULL, 2) == 2 && lseek(fd, 0, SEEK_CUR) == 9);
    CHECK(holds("copy", "one twotw"));
    loff_t from_at = 3, to_at = 20;
    CHECK(syscall(SYS_copy_file_range, fd, &from_at, to, &to_at, 3ul, 0u) == 3 && from_at == 6 && to_at == 23);
    CHECK(look("copy").st_size == 23);
    CHECK_ERRNO(syscall(SYS_copy_file_range, fd, NULL, to, NULL, 3ul, 1u), EINVAL);
    CHECK(close(fd) == 0 && close(to) == 0 && unlink("vectors") == 0 && unlink("copy") == 0);
}

static void directories(void)
{
    CHECK(mkdir("dir", 0777) == 0 && (look("dir").st_mode & 07777) == 0755 && look("dir").st_nlink == 2);
    CHECK_ERRNO(mkdir("dir", 0777), EEXIST);
    CHECK_ERRNO(mkdir(".", 0777), EEXIST);
    CHECK_ERRNO(mkdir("none/dir", 0777), ENOENT);
    CHECK(mkdir("dir/sub/", 0700) == 0 && look("dir").st_nlink == 3);
    CHECK_ERRNO(rmdir("dir"), ENOTEMPTY);
    CHECK_ERRNO(rmdir("dir/sub/."), EINVAL);
    CHECK_ERRNO(rmdir("dir/sub/.."), ENOTEMPTY);
    CHECK_ERRNO(rmdir("none"), ENOENT);
    CHECK_ERRNO(unlink("dir"), EISDIR);
    put("dir/file", "text");
    CHECK_ERRNO(rmdir("dir/file"), ENOTDIR);
    CHECK_ERRNO(unlink("dir/file/"), ENOTDIR);
    int at = open("dir", O_RDONLY | O_DIRECTORY);
    CHECK(at >= 0);
    CHECK(mkdirat(at, "other", 0755) == 0 && unlinkat(at, "other", AT_REMOVEDIR) == 0);
    CHECK_ERRNO(unlinkat(at, "file", 0x80), EINVAL);
    CHECK_ERRNO(mkdirat(999, "x", 0755), EBADF);
    CHECK(unlinkat(at, "file", 0) == 0 && rmdir("dir/sub") == 0 && look("dir").st_nlink == 2);
    for (int number = 0; number < 300; number++) {
        char name[200];
        snprintf(name, sizeof name, "a-name-of-some-length-so-that-blocks-fill-%0*d", 1 + number % 90, number);
        CHECK(mknodat(at, name, S_IFREG | 0600, 0) == 0);
    }
    int seen = 0, dots = 0;
    DIR *list = fdopendir(at);
    for (struct dirent *entry; (entry = readdir(list));) {
        dots += entry->d_name[0] == '.';
        seen += entry->d_name[0] == 'a' && (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN);
    }
    CHECK(seen == 300 && dots == 2);
    rewinddir(list);
    for (struct dirent *entry; (entry = readdir(list));)
        if (entry->d_name[0] == 'a')
            CHECK(unlinkat(at, entry->d_name, 0) == 0);
    CHECK(rmdir("dir") == 0 && absent("dir"));
    CHECK(fstat(at, &(struct stat){0}) == 0);
    CHECK_ERRNO(openat(at, "late", O_CREAT | O_RDWR, 0600), ENOENT);
    CHECK_ERRNO(mkdirat(at, "late", 0700), ENOENT);
    CHECK(closedir(list) == 0);
}

static void links(void)
{
    put("file", "linked");
    CHECK(link("file", "second") == 0 && look("file").st_nlink == 2 && look("file").st_ino == look("second").st_ino);
    CHECK_ERRNO(link("file", "second"), EEXIST);
    CHECK_ERRNO(link("none", "third"), ENOENT);
    CHECK_ERRNO(link(".", "third"), EPERM);
    CHECK_ERRNO(linkat(AT_FDCWD, "file", AT_FDCWD, "third", 0x80), EINVAL);
    CHECK(unlink("file") == 0 && holds("second", "linked") && look("second").st_nlink == 1);
    char target[2000], back[2100];
    memset(target, 't', sizeof target);
    for (size_t len = 1; len < sizeof target; len = len * 3 + 19) {
        target[len] = 0;
        CHECK(symlink(target, "symbolic") == 0 && look("symbolic").st_size == (off_t)len);
        CHECK(readlink("symbolic", back, sizeof back) == (ssize_t)len && memcmp(target, back, len) == 0);
        CHECK(readlink("symbolic", back, 1) == 1);
        CHECK(unlink("symbolic") == 0);
        target[len] = 't';
    }
    CHECK_ERRNO(symlink("", "symbolic"), ENOENT);
    CHECK(symlink("second", "symbolic") == 0);
    CHECK_ERRNO(symlink("other", "symbolic"), EEXIST);
    CHECK(holds("symbolic", "linked"));
    CHECK_ERRNO(open("symbolic", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK(linkat(AT_FDCWD, "symbolic", AT_FDCWD, "third", 0) == 0 && S_ISLNK(look("third").st_mode));
    CHECK(linkat(AT_FDCWD, "symbolic", AT_FDCWD, "fourth", AT_SYMLINK_FOLLOW) == 0 && S_ISREG(look("fourth").st_mode));
    CHECK(unlink("second") == 0 && unlink("third") == 0 && unlink("fourth") == 0 && unlink("symbolic") == 0);
}

static void renaming(void)
{
    put("a", "first");
    put("b", "second");
    CHECK(rename("a", "c") == 0 && absent("a") && holds("c", "first"));
    CHECK(rename("c", "b") == 0 && absent("c") && holds("b", "first"));
    CHECK_ERRNO(rename("none", "x"), ENOENT);
    CHECK(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0 && mkdir("f", 0755) == 0);
    CHECK_ERRNO(rename("d", "d/e/below"), EINVAL);
    CHECK_ERRNO(rename("b", "d"), EISDIR);
    CHECK_ERRNO(rename("d", "b"), ENOTDIR);
    CHECK_ERRNO(rename("f", "d"), ENOTEMPTY);
    CHECK_ERRNO(rename("b", "x/"), ENOTDIR);
    CHECK(rename("b", "d/e/moved") == 0 && holds("d/e/moved", "first"));
    CHECK(rename("d/e", "f/e") == 0 && holds("f/e/moved", "first"));
    CHECK(look("d").st_nlink == 2 && look("f").st_nlink == 3);
    CHECK(look("f/e/..").st_ino == look("f").st_ino);
    CHECK(rename("d", "f/e/empty") == 0 && mkdir("g", 0755) == 0 && rename("f/e/empty", "g") == 0);
    put("x", "ex");
    put("y", "why");
    CHECK_ERRNO(renameat2_(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_NOREPLACE_), EEXIST);
    CHECK_ERRNO(renameat2_(AT_FDCWD, "x", AT_FDCWD, "none", RENAME_EXCHANGE_), ENOENT);
    CHECK_ERRNO(renameat2_(AT_FDCWD, "x", AT_FDCWD, "y", 3), EINVAL);
    CHECK(renameat2_(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_EXCHANGE_) == 0 && holds("x", "why") && holds("y", "ex"));
    CHECK(renameat2_(AT_FDCWD, "x", AT_FDCWD, "f/e", RENAME_EXCHANGE_) == 0);
    CHECK(S_ISDIR(look("x").st_mode) && holds("f/e", "why") && holds("x/moved", "first"));
    CHECK(look("f").st_nlink == 2 && look("x/..").st_ino == look(".").st_ino);
    CHECK(link("y", "z") == 0 && rename("y", "z") == 0 && holds("y", "ex") && holds("z", "ex"));
    CHECK(unlink("x/moved") == 0 && rmdir("x") == 0 && unlink("f/e") == 0 && rmdir("f") == 0 && rmdir("g") == 0);
    CHECK(unlink("y") == 0 && unlink("z") == 0);
}

static void attributes(void)
{
    put("attr", "x");
    CHECK(chmod("attr", 04751) == 0 && (look("attr").st_mode & 07777) == 04751);
    int fd = open("attr", O_RDWR);
    CHECK(fchmod(fd, 0640) == 0 && (look("attr").st_mode & 07777) == 0640);
    CHECK_ERRNO(chmod("none", 0600), ENOENT);
    CHECK_ERRNO(fchmod(999, 0600), EBADF);
    CHECK(chown("attr", -1, -1) == 0 && fchown(fd, getuid(), getgid()) == 0 && lchown("attr", getuid(), -1) == 0);
    CHECK_ERRNO(fchownat(AT_FDCWD, "attr", 0, 0, 0x80), EINVAL);
    struct timespec times[2] = {{1000, 5}, {2000000000, 999999999}};
    CHECK(utimensat(AT_FDCWD, "attr", times, 0) == 0);
    struct stat found = look("attr");
    CHECK(found.st_atim.tv_sec == 1000 && found.st_mtim.tv_sec == 2000000000 && found.st_ctim.tv_sec != 1000);
    CHECK(found.st_atim.tv_nsec == 5 && found.st_mtim.tv_nsec == 999999999);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    CHECK(futimens(fd, times) == 0 && look("attr").st_atim.tv_sec == 1000 && look("attr").st_mtim.tv_sec != 2000000000);
    times[1].tv_nsec = 1000000000;
    CHECK_ERRNO(futimens(fd, times), EINVAL);
    struct timeval rough[2] = {{7, 8}, {9, 10}};
    CHECK(utimes("attr", rough) == 0 && look("attr").st_mtim.tv_nsec == 10000 && look("attr").st_atim.tv_sec == 7);
    struct utimbuf whole = {11, 12};
    CHECK(utime("attr", &whole) == 0 && look("attr").st_atim.tv_sec == 11 && look("attr").st_mtim.tv_sec == 12);
    CHECK(write(fd, "yz", 2) == 2 && look("attr").st_mtim.tv_sec > 1000000000);
    struct statfs figures;
    CHECK(statfs("attr", &figures) == 0 && figures.f_bsize >= 512 && figures.f_blocks >= figures.f_bfree);
    CHECK(fstatfs(fd, &figures) == 0 && figures.f_namelen == 255);
    CHECK_ERRNO(statfs("none", &figures), ENOENT);
    CHECK_ERRNO(fstatfs(999, &figures), EBADF);
    CHECK(close(fd) == 0 && unlink("attr") == 0);
    CHECK(mknod("pipe", S_IFIFO | 0600, 0) == 0 && S_ISFIFO(look("pipe").st_mode));
    CHECK_ERRNO(mknod("pipe", S_IFIFO | 0600, 0), EEXIST);
    CHECK_ERRNO(mknod("dir", S_IFDIR | 0600, 0), EPERM);
    CHECK_ERRNO(mknod("odd", 0130000, 0), EINVAL);
    CHECK(unlink("pipe") == 0);
}

// Others write to the same file system: how much of it is free says nothing.
static int disk_is_shared;

// A file without a name lives as long as somebody has it open, and its space comes back then.
static void unlinked(void)
{
    static char block[1 << 20];
    memset(block, 'u', sizeof block);
    struct statfs before, during, after;
    sync();
    CHECK(statfs(".", &before) == 0);
    int fd = open("gone", O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0 && write(fd, block, sizeof block) == sizeof block && unlink("gone") == 0 && absent("gone"));
    CHECK(pread(fd, block, 10, sizeof block - 10) == 10 && block[0] == 'u');
    CHECK(pwrite(fd, "still", 5, sizeof block) == 5);
    struct stat found;
    CHECK(fstat(fd, &found) == 0 && found.st_nlink == 0 && found.st_size == sizeof block + 5);
    sync();
    CHECK(statfs(".", &during) == 0);
    CHECK(disk_is_shared || during.f_bfree * during.f_bsize + sizeof block <= before.f_bfree * before.f_bsize + 65536);
    CHECK(close(fd) == 0);
    sync();
    CHECK(statfs(".", &after) == 0);
    CHECK(disk_is_shared || after.f_bfree * after.f_bsize + 65536 >= before.f_bfree * before.f_bsize);
}

static void mappings(void)
{
    int fd = open("mapped", O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 10000) == 0);
    char *at = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    char back[8] = {0};
    memcpy(at + 5000, "mapped", 6);
    CHECK(pread(fd, back, 6, 5000) == 6 && memcmp(back, "mapped", 6) == 0);
    CHECK(pwrite(fd, "written", 7, 9000) == 7 && memcmp(at + 9000, "written", 7) == 0);
    CHECK(msync(at, 10000, MS_SYNC) == 0);
    // After it has been written back a store counts just as well.
    memcpy(at + 100, "again", 5);
    CHECK(fsync(fd) == 0 && munmap(at, 10000) == 0 && close(fd) == 0);
    CHECK((fd = open("mapped", O_RDONLY)) >= 0 && pread(fd, back, 5, 100) == 5 && memcmp(back, "again", 5) == 0);
    CHECK(close(fd) == 0);
}

static void closing(void)
{
    int first = open("/dev/null", O_RDWR), second = dup(first), third = dup(first);
    CHECK(first >= 0 && second == first + 1 && third == first + 2);
    CHECK(syscall(SYS_close_range, second, third, 4) == 0 && fcntl(second, F_GETFD) == FD_CLOEXEC);
    CHECK(syscall(SYS_close_range, first, third, 0) == 0);
    CHECK_ERRNO(fcntl(second, F_GETFD), EBADF);
    CHECK_ERRNO(syscall(SYS_close_range, 5, 4, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_close_range, 4, 5, 1), EINVAL);
}

static int range_lock(int fd, int command, short type, off_t start, off_t len)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(fd, command, &lock);
}

// What a child finds: whether it may lock, and who is said to be in the way.
static int child_may_lock(short type, off_t start, off_t len, pid_t in_the_way)
{
    pid_t child = fork();
    if (child == 0) {
        int fd = open("locks", O_RDWR);
        struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
        int said = fcntl(fd, F_GETLK, &lock) == 0 && (lock.l_type == F_UNLCK || lock.l_pid == in_the_way);
        int got = range_lock(fd, F_SETLK, type, start, len) == 0;
        _exit(said && got == (lock.l_type == F_UNLCK) ? got : 2);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status);
}

static void locking(void)
{
    int fd = open("locks", O_CREAT | O_RDWR, 0600), other = open("locks", O_RDWR);
    CHECK(fd >= 0 && other >= 0);
    CHECK(flock(fd, LOCK_EX) == 0 && flock(fd, LOCK_SH) == 0 && flock(other, LOCK_SH | LOCK_NB) == 0);
    CHECK_ERRNO(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    CHECK(flock(other, LOCK_UN) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
    CHECK_ERRNO(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    CHECK(close(fd) == 0 && flock(other, LOCK_EX | LOCK_NB) == 0);
    CHECK_ERRNO(flock(other, 3), EINVAL);
    CHECK_ERRNO(flock(999, LOCK_SH), EBADF);
    // Locks on records: of a process, cut and joined as it likes, gone with any descriptor of the file.
    CHECK((fd = open("locks", O_RDWR)) >= 0);
    CHECK(range_lock(fd, F_SETLK, F_WRLCK, 100, 100) == 0 && range_lock(other, F_SETLK, F_UNLCK, 140, 10) == 0);
    CHECK(range_lock(other, F_SETLKW, F_RDLCK, 190, 0) == 0);
    pid_t own = getpid();
    CHECK(child_may_lock(F_WRLCK, 0, 100, own) && !child_may_lock(F_RDLCK, 99, 2, own));
    CHECK(child_may_lock(F_WRLCK, 140, 10, own) && !child_may_lock(F_WRLCK, 140, 11, own));
    CHECK(child_may_lock(F_RDLCK, 190, 1000, own) && !child_may_lock(F_WRLCK, 5000, 1, own));
    CHECK(child_may_lock(F_RDLCK, 150, -10, own) && !child_may_lock(F_RDLCK, 151, -1, own));
    CHECK_ERRNO(range_lock(fd, F_SETLK, F_WRLCK, -1, 1), EINVAL);
    CHECK_ERRNO(range_lock(fd, F_SETLK, 7, 0, 1), EINVAL);
    CHECK_ERRNO(fcntl(fd, F_SETLK, (struct flock *)8), EFAULT);
    CHECK_ERRNO(range_lock(999, F_SETLK, F_WRLCK, 0, 1), EBADF);
    CHECK(close(dup(fd)) == 0 && child_may_lock(F_WRLCK, 0, 0, own));
    int reader = open("locks", O_RDONLY);
    CHECK_ERRNO(range_lock(reader, F_SETLK, F_WRLCK, 0, 1), EBADF);
    CHECK(close(reader) == 0);
    // Of an open file: they are in the way of the same process.
    CHECK(range_lock(fd, 37, F_WRLCK, 0, 10) == 0);
    CHECK_ERRNO(range_lock(other, 37, F_RDLCK, 9, 1), EAGAIN);
    CHECK_ERRNO(range_lock(other, F_SETLK, F_RDLCK, 9, 1), EAGAIN);
    CHECK(range_lock(other, 37, F_RDLCK, 10, 1) == 0);
    // One who waits gets the lock when it is free, be it that its owner ends.
    int ends[2];
    char byte;
    CHECK(pipe(ends) == 0 && range_lock(fd, 37, F_UNLCK, 0, 0) == 0 && range_lock(other, 37, F_UNLCK, 0, 0) == 0);
    pid_t child = fork();
    if (child == 0) {
        int held = range_lock(fd, F_SETLK, F_WRLCK, 0, 0);
        write(ends[1], "x", 1);
        usleep(100000);
        _exit(held != 0);
    }
    CHECK(read(ends[0], &byte, 1) == 1);
    CHECK_ERRNO(range_lock(fd, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
    CHECK(range_lock(fd, F_SETLKW, F_WRLCK, 0, 0) == 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0 && close(fd) == 0 && close(other) == 0 && unlink("locks") == 0);
}

// Attributes of a kind that no file system has; which of the real kinds there are differs.
static void extended_attributes(void)
{
    static const char odd[] = "oddity.name";
    char long_name[300];
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = 0;
    put("plain", "x");
    CHECK(symlink("nowhere", "dangling") == 0);
    int fd = open("plain", O_RDONLY);
    CHECK_ERRNO(getxattr("plain", odd, NULL, 0), EOPNOTSUPP);
    CHECK_ERRNO(fgetxattr(fd, odd, NULL, 0), EOPNOTSUPP);
    CHECK_ERRNO(lgetxattr("dangling", odd, NULL, 0), EOPNOTSUPP);
    CHECK_ERRNO(getxattr("dangling", odd, NULL, 0), ENOENT);
    CHECK_ERRNO(fgetxattr(1000, odd, NULL, 0), EBADF);
    CHECK_ERRNO(getxattr("plain", "", NULL, 0), ERANGE);
    CHECK_ERRNO(getxattr("plain", long_name, NULL, 0), ERANGE);
    CHECK_ERRNO(syscall(SYS_getxattr, "plain", 8, NULL, 0), EFAULT);
    CHECK_ERRNO(setxattr("plain", odd, "v", 1, 0), EOPNOTSUPP);
    CHECK_ERRNO(fsetxattr(fd, odd, "v", 1, 0), EOPNOTSUPP);
    CHECK_ERRNO(lsetxattr("dangling", odd, "v", 1, 0), EOPNOTSUPP);
    CHECK_ERRNO(setxattr("plain", odd, "v", 1, 64), EINVAL);
    CHECK_ERRNO(setxattr("plain", odd, "v", 1 << 20, 0), E2BIG);
    CHECK_ERRNO(removexattr("plain", odd), EOPNOTSUPP);
    CHECK_ERRNO(lremovexattr("dangling", odd), EOPNOTSUPP);
    CHECK_ERRNO(fremovexattr(fd, odd), EOPNOTSUPP);
    CHECK(listxattr("plain", NULL, 0) >= 0 && flistxattr(fd, NULL, 0) >= 0 && llistxattr("dangling", NULL, 0) >= 0);
    CHECK_ERRNO(listxattr("dangling", NULL, 0), ENOENT);
    CHECK_ERRNO(flistxattr(1000, NULL, 0), EBADF);
    CHECK(close(fd) == 0 && unlink("plain") == 0 && unlink("dangling") == 0);
}

int main(int argc, char **argv)
{
    disk_is_shared = argc == 3 && strcmp(argv[2], "shared") == 0;
    if (argc != 2 + disk_is_shared || chdir(argv[1]) != 0) {
        printf("usage: files directory [shared]\n");
        return 2;
    }
    char name[32];
    // Several may work in one directory at once.
    snprintf(name, sizeof name, "files-%06d", getpid() % 1000000);
    CHECK(mkdir(name, 0755) == 0 && chdir(name) == 0);
    creating();
    writing();
    vectors();
    directories();
    links();
    renaming();
    attributes();
    extended_attributes();
    unlinked();
    mappings();
    closing();
    locking();
    CHECK(unlink("mapped") == 0 && chdir("..") == 0 && rmdir(name) == 0);
    return check_result();
}
