// Checks what the system calls for plain file and memory work return, down to the errno. It is run on Linux too, which
// is the oracle. syscalls [ROOT] takes the directory that holds what disk/ext2 holds; it writes nothing to it.
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static const char greeting[] = "Hello, world!\n";
enum { GREETING_LEN = sizeof greeting - 1 };

static void reading(void)
{
    char buf[64];
    int fd = open("hello.txt", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 3);
    CHECK(read(fd, buf, 5) == 5 && memcmp(buf, greeting, 5) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == 5);
    CHECK(pread(fd, buf, sizeof buf, 7) == GREETING_LEN - 7 && memcmp(buf, greeting + 7, GREETING_LEN - 7) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == 5);
    CHECK(read(fd, buf, sizeof buf) == GREETING_LEN - 5);
    CHECK(read(fd, buf, sizeof buf) == 0);
    CHECK(pread(fd, buf, sizeof buf, 1000) == 0);
    CHECK_ERRNO(pread(fd, buf, sizeof buf, -1), EINVAL);
    CHECK_ERRNO(write(fd, buf, 1), EBADF);

    CHECK(lseek(fd, -1, SEEK_END) == GREETING_LEN - 1);
    CHECK(lseek(fd, 1000, SEEK_SET) == 1000 && read(fd, buf, 1) == 0);
    CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_ERRNO(lseek(fd, 0, 99), EINVAL);

    struct iovec parts[3] = {{buf, 2}, {buf + 2, 0}, {buf + 2, 60}};
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(readv(fd, parts, 3) == GREETING_LEN && memcmp(buf, greeting, GREETING_LEN) == 0);
    CHECK_ERRNO(readv(fd, parts, -1), EINVAL);
    CHECK(close(fd) == 0);
    CHECK_ERRNO(close(fd), EBADF);
    CHECK_ERRNO(read(fd, buf, 1), EBADF);
}

static void opening(void)
{
    char buf[8];
    CHECK_ERRNO(open("missing", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("missing/deeper", O_RDONLY), ENOENT);
    CHECK_ERRNO(open("hello.txt/deeper", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open("hello.txt", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open("nested-dir", O_WRONLY), EISDIR);
    CHECK_ERRNO(open("", O_RDONLY), ENOENT);
    CHECK_ERRNO(openat(99, "hello.txt", O_RDONLY), EBADF);

    char name[NAME_MAX + 2];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
    char *path = malloc(PATH_MAX + 2);
    memset(path, '/', PATH_MAX + 1);
    path[PATH_MAX + 1] = 0;
    CHECK_ERRNO(open(path, O_RDONLY), ENAMETOOLONG);
    free(path);

    int dir = open("nested-dir", O_RDONLY | O_DIRECTORY);
    CHECK(dir >= 0);
    CHECK_ERRNO(read(dir, buf, sizeof buf), EISDIR);
    int fd = openat(dir, "nested.txt", O_RDONLY);
    CHECK(fd >= 0 && read(fd, buf, 6) == 6 && memcmp(buf, "Nested", 6) == 0);
    CHECK_ERRNO(openat(fd, "anything", O_RDONLY), ENOTDIR);
    close(fd);
    fd = openat(dir, ".././nested-dir//../hello.txt", O_RDONLY);
    CHECK(fd >= 0);
    close(fd);
    close(dir);
}

static void statting(void)
{
    struct stat st, by_fd, dir;
    CHECK(stat("hello.txt", &st) == 0);
    CHECK(S_ISREG(st.st_mode) && st.st_size == GREETING_LEN && st.st_nlink == 1 && st.st_ino != 0);
    CHECK(st.st_blocks * 512 >= st.st_size && st.st_blksize >= 512);
    int fd = open("hello.txt", O_RDONLY);
    CHECK(fstat(fd, &by_fd) == 0);
    CHECK(by_fd.st_ino == st.st_ino && by_fd.st_dev == st.st_dev && by_fd.st_mtime == st.st_mtime);
    CHECK(fstatat(fd, "", &by_fd, AT_EMPTY_PATH) == 0 && by_fd.st_ino == st.st_ino);
    close(fd);
    CHECK(lstat("nested-dir", &dir) == 0 && S_ISDIR(dir.st_mode) && dir.st_nlink == 2);
    CHECK(dir.st_dev == st.st_dev && dir.st_ino != st.st_ino);
    CHECK_ERRNO(stat("missing", &st), ENOENT);
    CHECK_ERRNO(fstat(99, &st), EBADF);
    CHECK_ERRNO(fstatat(AT_FDCWD, "hello.txt", &st, 0x40000000), EINVAL);
    CHECK(access("hello.txt", R_OK) == 0);
    CHECK_ERRNO(access("missing", F_OK), ENOENT);
    CHECK_ERRNO(readlink("hello.txt", (char *)&st, sizeof st), EINVAL);
    CHECK_ERRNO(readlink("missing", (char *)&st, sizeof st), ENOENT);
}

// A record as getdents64(2) gives it.
struct record {
    uint64_t ino;
    int64_t off;
    unsigned short reclen;
    unsigned char type;
    char name[];
};

static void directories(void)
{
    _Alignas(8) char buf[256];
    int dots = 0, nested = 0, others = 0;
    int dir = open("nested-dir", O_RDONLY | O_DIRECTORY);
    long got;
    while ((got = syscall(SYS_getdents64, dir, buf, sizeof buf)) > 0) {
        for (long at = 0; at < got; at += ((struct record *)(buf + at))->reclen) {
            struct record *r = (struct record *)(buf + at);
            if (strcmp(r->name, ".") == 0 || strcmp(r->name, "..") == 0)
                dots += r->type == DT_DIR || r->type == DT_UNKNOWN;
            else if (strcmp(r->name, "nested.txt") == 0)
                nested += r->ino != 0 && r->reclen % 8 == 0;
            else
                others++;
        }
    }
    CHECK(got == 0);
    CHECK(dots == 2 && nested == 1 && others == 0);
    CHECK(syscall(SYS_getdents64, dir, buf, sizeof buf) == 0);
    CHECK(lseek(dir, 0, SEEK_SET) == 0);
    CHECK(syscall(SYS_getdents64, dir, buf, sizeof buf) > 0);
    CHECK(lseek(dir, 0, SEEK_SET) == 0);
    CHECK_ERRNO(syscall(SYS_getdents64, dir, buf, 8), EINVAL);
    close(dir);
    int fd = open("hello.txt", O_RDONLY);
    CHECK_ERRNO(syscall(SYS_getdents64, fd, buf, sizeof buf), ENOTDIR);
    close(fd);
}

static void working_directory(void)
{
    char before[PATH_MAX], inside[PATH_MAX];
    CHECK(getcwd(before, sizeof before) == before && before[0] == '/');
    CHECK(chdir("nested-dir") == 0);
    CHECK(access("nested.txt", F_OK) == 0);
    CHECK(getcwd(inside, sizeof inside) == inside);
    size_t skip = strcmp(before, "/") == 0 ? 0 : strlen(before);
    CHECK(strncmp(before, inside, skip) == 0 && strcmp(inside + skip, "/nested-dir") == 0);
    CHECK_ERRNO(syscall(SYS_getcwd, inside, 3), ERANGE);
    CHECK_ERRNO(chdir("nested.txt"), ENOTDIR);
    CHECK_ERRNO(chdir("missing"), ENOENT);
    CHECK(chdir(before) == 0);
    int dir = open("nested-dir", O_RDONLY | O_DIRECTORY);
    CHECK(fchdir(dir) == 0 && access("nested.txt", F_OK) == 0);
    CHECK(chdir("..") == 0 && access("hello.txt", F_OK) == 0);
    close(dir);
    CHECK_ERRNO(fchdir(dir), EBADF);
}

static void descriptors(void)
{
    char a, b;
    int fd = open("hello.txt", O_RDONLY | O_CLOEXEC);
    int copy = dup(fd);
    CHECK(copy > fd);
    // Copies share the position, but not the close-on-exec flag.
    CHECK(read(fd, &a, 1) == 1 && read(copy, &b, 1) == 1 && a == 'H' && b == 'e');
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0);
    CHECK(fcntl(copy, F_SETFD, FD_CLOEXEC) == 0 && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
    CHECK(fcntl(fd, F_DUPFD, 50) == 50 && close(50) == 0);
    CHECK(dup2(fd, 40) == 40 && dup2(40, 40) == 40 && close(40) == 0);
    CHECK(dup3(fd, 41, O_CLOEXEC) == 41 && fcntl(41, F_GETFD) == FD_CLOEXEC && close(41) == 0);
    CHECK_ERRNO(dup3(fd, fd, 0), EINVAL);
    CHECK_ERRNO(dup(99), EBADF);
    CHECK_ERRNO(fcntl(99, F_GETFD), EBADF);
    CHECK_ERRNO(fcntl(fd, 9999), EINVAL);
    // The lowest free number is the one that is given.
    close(fd);
    CHECK(open("hello.txt", O_RDONLY) == fd);
    close(fd);
    close(copy);
}

static void memory(void)
{
    char *four = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(four != MAP_FAILED && (uintptr_t)four % PAGE == 0);
    int zero = 1;
    for (int i = 0; i < 4 * PAGE; i++)
        zero &= four[i] == 0;
    CHECK(zero);
    memset(four, 7, 4 * PAGE);
    CHECK(mprotect(four + PAGE, PAGE, PROT_READ) == 0 && four[PAGE] == 7);
    CHECK(mprotect(four + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    four[PAGE] = 8;
    CHECK(munmap(four + PAGE, PAGE) == 0 && four[0] == 7 && four[2 * PAGE] == 7);
    CHECK_ERRNO(mprotect(four, 2 * PAGE, PROT_READ), ENOMEM);
    CHECK(mmap(four + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == four + PAGE);
    CHECK(four[PAGE] == 0);
    CHECK(munmap(four, 4 * PAGE) == 0 && munmap(four, 4 * PAGE) == 0);

    CHECK_ERRNO(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO(mmap(0, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO(mmap((void *)(1UL << 47), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), ENOMEM);
    CHECK_ERRNO(mmap((void *)1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
    CHECK_ERRNO(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, 99, 0), EBADF);
    CHECK_ERRNO(syscall(SYS_munmap, 1, PAGE), EINVAL);
    CHECK_ERRNO(syscall(SYS_munmap, PAGE, 0), EINVAL);

    int fd = open("hello.txt", O_RDONLY);
    char *text = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(text != MAP_FAILED);
    CHECK_ERRNO(syscall(SYS_mmap, 0, PAGE, PROT_READ, MAP_PRIVATE, fd, 1), EINVAL);
    close(fd);
    CHECK(memcmp(text, greeting, GREETING_LEN) == 0 && text[GREETING_LEN] == 0 && text[PAGE - 1] == 0);
    text[0] = 'J'; // private: the file keeps its own
    fd = open("hello.txt", O_RDONLY);
    char first;
    CHECK(read(fd, &first, 1) == 1 && first == 'H' && text[0] == 'J');
    close(fd);
    CHECK(munmap(text, PAGE) == 0);
}

static void heap_end(void)
{
    uintptr_t end = (uintptr_t)syscall(SYS_brk, 0);
    CHECK(end != 0);
    CHECK((uintptr_t)syscall(SYS_brk, end + 3 * PAGE) == end + 3 * PAGE);
    ((volatile char *)end)[3 * PAGE - 1] = 1;
    CHECK((uintptr_t)syscall(SYS_brk, end) == end);
    // What cannot be had leaves the end where it was.
    CHECK((uintptr_t)syscall(SYS_brk, 1UL << 60) == end);
    CHECK((uintptr_t)syscall(SYS_brk, 1) == end);
}

static void clocks(void)
{
    struct timespec a, b, pause = {0, 20 * 1000 * 1000}, bad = {0, 1000000000};
    CHECK(clock_gettime(CLOCK_MONOTONIC, &a) == 0);
    CHECK(nanosleep(&pause, 0) == 0);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &b) == 0);
    int64_t slept_ns = (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec;
    CHECK(slept_ns >= pause.tv_nsec);
    CHECK_ERRNO(nanosleep(&bad, 0), EINVAL);
    CHECK(syscall(SYS_clock_gettime, CLOCK_REALTIME, &a) == 0 && a.tv_sec > 1600000000);
    CHECK_ERRNO(syscall(SYS_clock_gettime, 99, &a), EINVAL);
}

static void the_rest(void)
{
    char one[16] = {0}, two[16] = {0};
    CHECK(getrandom(one, sizeof one, 0) == sizeof one && getrandom(two, sizeof two, 0) == sizeof two);
    CHECK(memcmp(one, two, sizeof one) != 0);
    CHECK_ERRNO(getrandom(one, sizeof one, 0xff00), EINVAL);

    // Only what does nothing: Linux refuses the first for want of the right, if it is not the number that is wrong.
    errno = 0;
    CHECK(syscall(SYS_reboot, 0, 0, 0, 0) == -1 && (errno == EINVAL || errno == EPERM));
    errno = 0;
    CHECK(syscall(SYS_reboot, 0xfee1dead, 672274793, 0x12345678, 0) == -1 && (errno == EINVAL || errno == EPERM));

    struct utsname name;
    CHECK(uname(&name) == 0 && strcmp(name.machine, "x86_64") == 0 && name.release[0] >= '1');

    char yes[] = "two parts, ", no[] = "one line\n";
    struct iovec parts[2] = {{yes, sizeof yes - 1}, {no, sizeof no - 1}};
    CHECK(writev(1, parts, 2) == (ssize_t)(sizeof yes + sizeof no - 2));
    parts[1].iov_len = SIZE_MAX;
    CHECK_ERRNO(writev(1, parts, 2), EINVAL);

    CHECK(getpid() > 0 && syscall(SYS_gettid) == getpid());
    CHECK_ERRNO(syscall(1000), ENOSYS);
}

int main(int argc, char **argv)
{
    if (chdir(argc > 1 ? argv[1] : "/") != 0) {
        perror(argv[1]);
        return 2;
    }
    reading();
    opening();
    statting();
    directories();
    working_directory();
    descriptors();
    memory();
    heap_end();
    clocks();
    the_rest();
    fflush(stdout);
    return check_result();
}
