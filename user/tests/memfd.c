// Files in memory: memfd_create(2), what shows them, and file sealing (fcntl(2)).
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8
#define MFD_EXEC 16
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 16
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 32
#endif

enum { PAGE = TEST_PAGE };

static int sealable(off_t size)
{
    int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(ftruncate(fd, size) == 0);
    return fd;
}

static int seals(int fd) { return fcntl(fd, F_GET_SEALS); }
static int seal(int fd, int which) { return fcntl(fd, F_ADD_SEALS, which); }

static void *map(int fd, int protection, int how)
{
    return mmap(0, PAGE, protection, how, fd, 0);
}

static void flags(void)
{
    CHECK_ERRNO(memfd_create("x", 0x20), EINVAL);
    CHECK_ERRNO(memfd_create("x", 0x80000000), EINVAL);
    CHECK_ERRNO(memfd_create("x", MFD_EXEC | MFD_NOEXEC_SEAL), EINVAL);
    CHECK_ERRNO(syscall(SYS_memfd_create, 0, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_memfd_create, 0, 0x20), EINVAL);
    int fd = memfd_create("x", 0);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == 0);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(seals(fd) == F_SEAL_SEAL);
    CHECK_ERRNO(seal(fd, F_SEAL_GROW), EPERM);
    CHECK_ERRNO(seal(fd, 0), EPERM);
    close(fd);
    fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && seals(fd) == 0);
    close(fd);
    fd = memfd_create("x", MFD_EXEC);
    CHECK(fd >= 0 && seals(fd) == F_SEAL_SEAL);
    close(fd);
    fd = memfd_create("x", MFD_NOEXEC_SEAL);
    CHECK(fd >= 0 && seals(fd) == F_SEAL_EXEC);
    close(fd);
}

static void names(void)
{
    char name[260], link[64], shown[PATH_MAX];
    memset(name, 'n', sizeof name);
    name[250] = 0;
    CHECK_ERRNO(memfd_create(name, 0), EINVAL);
    name[249] = 0;
    int fd = memfd_create(name, 0);
    CHECK(fd >= 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, shown, sizeof shown);
    CHECK(len == 7 + 249 + 10 && memcmp(shown, "/memfd:nnn", 10) == 0 && memcmp(shown + len - 10, " (deleted)", 10) == 0);
    close(fd);

    // A name that ends where memory does, and one that does not end in it.
    char *end = crossing(4);
    memcpy(end, "end", 4);
    fd = memfd_create(end, 0);
    CHECK(fd >= 0);
    close(fd);
    memcpy(end, "endl", 4);
    CHECK_ERRNO(memfd_create(end, 0), EFAULT);

    // Any name will do, also twice.
    const char *odd[] = {"", "a/b", "..", "a b\n", "same", "same"};
    int fds[6];
    ino_t inodes[6];
    for (int i = 0; i < 6; i++) {
        struct stat file;
        fds[i] = memfd_create(odd[i], 0);
        CHECK(fds[i] >= 0 && fstat(fds[i], &file) == 0);
        inodes[i] = file.st_ino;
        for (int j = 0; j < i; j++)
            CHECK(inodes[j] != inodes[i]);
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fds[1]);
    len = readlink(link, shown, sizeof shown - 1);
    shown[len < 0 ? 0 : len] = 0;
    CHECK(strcmp(shown, "/memfd:a/b (deleted)") == 0);
    // It has a name in no directory, and gets none.
    CHECK_ERRNO(open("/memfd:same", O_RDONLY), ENOENT);
    CHECK(linkat(AT_FDCWD, link, AT_FDCWD, "/tmp/russet-memfd", AT_SYMLINK_FOLLOW) == -1);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
}

static void attributes(void)
{
    struct stat file;
    struct statfs system;
    int fd = memfd_create("x", 0);
    umask(077);
    CHECK(fstat(fd, &file) == 0 && file.st_mode == (S_IFREG | 0777) && file.st_nlink == 0 && file.st_size == 0);
    CHECK(file.st_uid == geteuid() && file.st_gid == getegid() && file.st_blocks == 0);
    CHECK(fstatfs(fd, &system) == 0 && system.f_type == 0x01021994);
    CHECK(fchmod(fd, 0640) == 0 && fstat(fd, &file) == 0 && file.st_mode == (S_IFREG | 0640));
    CHECK(write(fd, "hello", 5) == 5 && pwrite(fd, "!", 1, 3 * PAGE) == 1);
    CHECK(fstat(fd, &file) == 0 && file.st_size == 3 * PAGE + 1);
    CHECK(lseek(fd, 0, SEEK_CUR) == 5 && lseek(fd, 0, SEEK_END) == 3 * PAGE + 1);
    CHECK(lseek(fd, 1, SEEK_HOLE) == PAGE && lseek(fd, PAGE, SEEK_DATA) == 3 * PAGE);
    char text[8] = "";
    CHECK(pread(fd, text, 8, 0) == 8 && memcmp(text, "hello\0\0\0", 8) == 0);
    CHECK(ftruncate(fd, 2) == 0 && pread(fd, text, 8, 0) == 2);
    CHECK(fallocate(fd, 0, 0, 2 * PAGE) == 0 && fstat(fd, &file) == 0 && file.st_size == 2 * PAGE);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1) == 0);
    CHECK(pread(fd, text, 2, 0) == 2 && memcmp(text, "\0e", 2) == 0);
    CHECK(fsync(fd) == 0);
    close(fd);
    fd = memfd_create("x", MFD_NOEXEC_SEAL);
    CHECK(fstat(fd, &file) == 0 && file.st_mode == (S_IFREG | 0666));
    close(fd);
}

// The line of /proc/self/maps for what is at `at`.
static int maps_has(void *at, const char *text)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], start[32];
    int found = 0;
    snprintf(start, sizeof start, "%lx-", (unsigned long)at);
    while (maps && fgets(line, sizeof line, maps))
        found |= strncmp(line, start, strlen(start)) == 0 && strstr(line, text) != 0;
    if (maps)
        fclose(maps);
    return found;
}

static void mapped(void)
{
    int fd = sealable(PAGE);
    volatile char *shared = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
    volatile char *own = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    CHECK(shared != MAP_FAILED && own != MAP_FAILED);
    CHECK(maps_has((void *)shared, "rw-s") && maps_has((void *)shared, "/memfd:test (deleted)"));
    CHECK(maps_has((void *)own, "rw-p") && maps_has((void *)own, "/memfd:test (deleted)"));
    shared[0] = 'a';
    CHECK(own[0] == 'a');
    own[0] = 'b';
    char byte = 0;
    CHECK(pread(fd, &byte, 1, 0) == 1 && byte == 'a' && shared[0] == 'a');
    CHECK(pwrite(fd, "c", 1, 1) == 1 && shared[1] == 'c');
    pid_t pid = fork();
    if (pid == 0) {
        shared[2] = 'd';
        CHECK(pwrite(fd, "e", 1, 3) == 1);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(shared[2] == 'd' && shared[3] == 'e');
    // Without a descriptor it lives as long as it is mapped.
    close(fd);
    CHECK(shared[0] == 'a' && own[0] == 'b');
}

static void opened_again(void)
{
    char link[64];
    int fd = sealable(PAGE);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reader = open(link, O_RDONLY), writer = open(link, O_RDWR);
    CHECK(reader >= 0 && writer >= 0);
    char byte = 0;
    CHECK(write(writer, "x", 1) == 1 && read(reader, &byte, 1) == 1 && byte == 'x' && lseek(fd, 0, SEEK_CUR) == 0);
    CHECK_ERRNO(seal(reader, F_SEAL_GROW), EPERM);
    CHECK(seal(writer, F_SEAL_GROW) == 0 && seals(reader) == F_SEAL_GROW && seals(fd) == F_SEAL_GROW);
    // What is mapped from a file that is open for reading only does not stand in the way.
    volatile char *at = map(reader, PROT_READ, MAP_SHARED);
    CHECK(at != MAP_FAILED && at[0] == 'x');
    CHECK(seal(fd, F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
    CHECK_ERRNO(open(link, O_RDWR | O_TRUNC), EPERM);
    close(open(link, O_RDWR));
    CHECK(pread(fd, &byte, 1, 0) == 1 && byte == 'x');
}

static void adding(void)
{
    int fd = sealable(0), ends[2];
    CHECK_ERRNO(seal(fd, 0x40), EINVAL);
    CHECK_ERRNO(seal(fd, -1), EINVAL);
    CHECK(seals(fd) == 0 && seal(fd, 0) == 0);
    CHECK(seal(fd, F_SEAL_SHRINK) == 0 && seal(fd, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    CHECK(seals(fd) == (F_SEAL_SHRINK | F_SEAL_GROW));
    CHECK(seal(fd, F_SEAL_SEAL) == 0);
    CHECK_ERRNO(seal(fd, F_SEAL_WRITE), EPERM);
    CHECK_ERRNO(seal(fd, F_SEAL_SEAL), EPERM);
    CHECK(seals(fd) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
    close(fd);
    CHECK_ERRNO(seals(fd), EBADF);
    // Only files in memory have any.
    CHECK(pipe(ends) == 0);
    CHECK_ERRNO(seals(ends[1]), EINVAL);
    CHECK_ERRNO(seal(ends[1], F_SEAL_GROW), EINVAL);
    CHECK_ERRNO(seal(ends[0], F_SEAL_GROW), EPERM);
    fd = open("/proc/self/exe", O_PATH);
    CHECK_ERRNO(seals(fd), EBADF);
    close(fd);
    // Other files in memory begin sealed against seals.
    fd = open("/dev/shm/russet-memfd", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && unlink("/dev/shm/russet-memfd") == 0);
    CHECK(seals(fd) == F_SEAL_SEAL);
    CHECK_ERRNO(seal(fd, F_SEAL_GROW), EPERM);
    CHECK(write(fd, "x", 1) == 1 && ftruncate(fd, 0) == 0);
}

static void size_seals(void)
{
    static char bytes[3 * PAGE];
    int fd = sealable(2 * PAGE);
    CHECK(seal(fd, F_SEAL_SHRINK) == 0);
    CHECK_ERRNO(ftruncate(fd, PAGE), EPERM);
    CHECK(ftruncate(fd, 2 * PAGE) == 0 && ftruncate(fd, 2 * PAGE + 8) == 0);
    // A hole is no shorter file.
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) == 0);
    close(fd);

    fd = sealable(2 * PAGE);
    CHECK(seal(fd, F_SEAL_GROW) == 0);
    CHECK_ERRNO(ftruncate(fd, 2 * PAGE + 1), EPERM);
    CHECK_ERRNO(fallocate(fd, 0, PAGE, 2 * PAGE), EPERM);
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE), EPERM);
    CHECK(fallocate(fd, 0, 0, 2 * PAGE) == 0);
    CHECK(pwrite(fd, bytes, 2 * PAGE, 0) == 2 * PAGE);
    CHECK_ERRNO(pwrite(fd, bytes, 1, 2 * PAGE), EPERM);
    CHECK(pwrite(fd, bytes, 0, 2 * PAGE) == 0);
    // What reaches beyond the end is written as far as whole pages of the file go.
    CHECK(pwrite(fd, bytes, 3 * PAGE, 0) == 2 * PAGE);
    CHECK(ftruncate(fd, PAGE + 100) == 0);
    CHECK_ERRNO(pwrite(fd, bytes, 101, PAGE), EPERM);
    CHECK(pwrite(fd, bytes, 100, PAGE) == 100 && pwrite(fd, bytes, 2 * PAGE, 0) == PAGE);
    CHECK(fcntl(fd, F_SETFL, O_APPEND) == 0);
    CHECK_ERRNO(write(fd, "x", 1), EPERM);
    struct stat file;
    CHECK(fstat(fd, &file) == 0 && file.st_size == PAGE + 100);
    CHECK(ftruncate(fd, 0) == 0);
    close(fd);
}

static void write_seal(void)
{
    int fd = sealable(PAGE);
    struct iovec part = {"x", 1};
    char byte = 1;
    CHECK(pwrite(fd, "a", 1, 0) == 1);
    char *own = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    CHECK(seal(fd, F_SEAL_WRITE) == 0);
    CHECK_ERRNO(write(fd, "x", 1), EPERM);
    CHECK_ERRNO(pwrite(fd, "x", 1, 0), EPERM);
    CHECK_ERRNO(writev(fd, &part, 1), EPERM);
    CHECK_ERRNO(pwritev(fd, &part, 1, 0), EPERM);
    CHECK(write(fd, "x", 0) == 0);
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
    CHECK(fallocate(fd, 0, 0, PAGE) == 0);
    CHECK_ERRNO(map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), EPERM);
    CHECK_ERRNO(map(fd, PROT_WRITE, MAP_SHARED), EPERM);
    CHECK_ERRNO(map(fd, PROT_WRITE, MAP_SHARED_VALIDATE), EPERM);
    // The size is another matter.
    CHECK(ftruncate(fd, 2 * PAGE) == 0 && ftruncate(fd, PAGE) == 0);
    CHECK(pread(fd, &byte, 1, 0) == 1 && byte == 'a');
    own[0] = 'p';
    char *later = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    CHECK(later != MAP_FAILED && later[0] == 'a');
    later[0] = 'q';
    CHECK(pread(fd, &byte, 1, 0) == 1 && byte == 'a' && own[0] == 'p');
    // Before Linux 6.7 even this was refused; where it is not, it stays read-only.
    char *shown = map(fd, PROT_READ, MAP_SHARED);
    if (shown != MAP_FAILED) {
        CHECK(shown[0] == 'a');
        CHECK_ERRNO(mprotect(shown, PAGE, PROT_READ | PROT_WRITE), EACCES);
        CHECK_ERRNO(madvise(shown, PAGE, MADV_REMOVE), EACCES);
    }
    close(fd);
}

static void busy(void)
{
    int fd = sealable(2 * PAGE);
    char *at = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
    CHECK_ERRNO(seal(fd, F_SEAL_WRITE), EBUSY);
    CHECK_ERRNO(seal(fd, F_SEAL_WRITE | F_SEAL_GROW), EBUSY);
    CHECK(seals(fd) == 0 && pwrite(fd, "x", 1, 0) == 1);
    at[1] = 'y';
    // One that could be made writable counts, too, and so does a half.
    CHECK(mprotect(at, PAGE, PROT_READ) == 0);
    CHECK_ERRNO(seal(fd, F_SEAL_WRITE), EBUSY);
    CHECK(mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
    CHECK(munmap(at, PAGE) == 0 && seal(fd, F_SEAL_WRITE) == 0);
    close(fd);

    // Another process's mapping counts as long as it lives.
    int go[2], done[2];
    char byte;
    fd = sealable(2 * PAGE);
    at = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(pipe(go) == 0 && pipe(done) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        CHECK(munmap(at, PAGE) == 0 && write(done[1], "x", 1) == 1);
        CHECK(read(go[0], &byte, 1) == 0);
        child_exit();
    }
    CHECK(munmap(at, 2 * PAGE) == 0 && read(done[0], &byte, 1) == 1);
    CHECK_ERRNO(seal(fd, F_SEAL_WRITE), EBUSY);
    close(go[1]);
    CHECK_CHILD(pid, 0);
    CHECK(seal(fd, F_SEAL_WRITE) == 0);
    close(fd);

    // Moved, it is the same.
    fd = sealable(PAGE);
    at = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
    char *place = mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
    CHECK_ERRNO(seal(fd, F_SEAL_WRITE), EBUSY);
    CHECK(munmap(place, PAGE) == 0 && seal(fd, F_SEAL_WRITE) == 0);
}

static void future_write_seal(void)
{
    int fd = sealable(2 * PAGE);
    char byte = 0;
    char *at = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
    CHECK(seal(fd, F_SEAL_FUTURE_WRITE) == 0);
    at[0] = 'a'; // what there was goes on
    CHECK(pread(fd, &byte, 1, 0) == 1 && byte == 'a');
    CHECK(mprotect(at, PAGE, PROT_READ) == 0 && mprotect(at, PAGE, PROT_READ | PROT_WRITE) == 0);
    at[1] = 'b';
    CHECK_ERRNO(pwrite(fd, "x", 1, 0), EPERM);
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
    CHECK_ERRNO(madvise(at, PAGE, MADV_REMOVE), EPERM);
    CHECK_ERRNO(map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), EPERM);
    char *shown = map(fd, PROT_READ, MAP_SHARED);
    CHECK(shown != MAP_FAILED && shown[1] == 'b');
    CHECK_ERRNO(mprotect(shown, PAGE, PROT_READ | PROT_WRITE), EACCES);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_ERRNO(mprotect(shown, PAGE, PROT_READ | PROT_WRITE), EACCES);
        at[2] = 'c';
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(shown[2] == 'c');
    char *own = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    CHECK(own != MAP_FAILED);
    own[0] = 'x';
    CHECK(shown[0] == 'a');
    CHECK_ERRNO(seal(fd, F_SEAL_WRITE), EBUSY);
    CHECK(munmap(at, PAGE) == 0 && munmap(shown, PAGE) == 0 && seal(fd, F_SEAL_WRITE) == 0);
    close(fd);
}

static void exec_seal(void)
{
    struct stat file;
    int fd = memfd_create("x", MFD_NOEXEC_SEAL);
    CHECK_ERRNO(fchmod(fd, 0777), EPERM);
    CHECK_ERRNO(fchmod(fd, 0001), EPERM);
    CHECK(fchmod(fd, 0600) == 0 && fstat(fd, &file) == 0 && file.st_mode == (S_IFREG | 0600));
    CHECK(write(fd, "x", 1) == 1 && seals(fd) == F_SEAL_EXEC && seal(fd, F_SEAL_GROW) == 0);
    close(fd);
    // An executable that is to stay one does not change.
    fd = sealable(PAGE);
    CHECK(seal(fd, F_SEAL_EXEC) == 0);
    CHECK(seals(fd) == (F_SEAL_EXEC | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
    CHECK_ERRNO(fchmod(fd, 0666), EPERM);
    CHECK(fchmod(fd, 0711) == 0);
    CHECK_ERRNO(pwrite(fd, "x", 1, 0), EPERM);
    close(fd);
}

static int copy_of_self(unsigned flags)
{
    static char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("self", flags);
    CHECK(from >= 0 && to >= 0);
    for (ssize_t len; (len = read(from, buffer, sizeof buffer)) > 0;)
        CHECK(write(to, buffer, len) == len);
    close(from);
    return to;
}

static void executed(void)
{
    char *arguments[] = {"memfd", "flags", 0}, *none[] = {0};
    int fd = copy_of_self(MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(seal(fd, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    fflush(stdout);
    for (int how = 0; how < 2; how++) {
        pid_t pid = fork();
        if (pid == 0) {
            close(1);
            open("/dev/null", O_WRONLY);
            if (how == 0)
                fexecve(fd, arguments, none);
            else
                syscall(SYS_execveat, fd, "", arguments, none, AT_EMPTY_PATH);
            _exit(99);
        }
        CHECK_CHILD(pid, 0);
    }
    close(fd);
    fd = copy_of_self(MFD_NOEXEC_SEAL);
    CHECK_ERRNO(syscall(SYS_execveat, fd, "", arguments, none, AT_EMPTY_PATH), EACCES);
    close(fd);
}

static int race_fd;
static volatile int race_over;

static void *map_and_store(void *unused)
{
    while (!race_over) {
        volatile char *at = map(race_fd, PROT_READ | PROT_WRITE, MAP_SHARED);
        if (at != MAP_FAILED) {
            ++*at;
            munmap((void *)at, PAGE);
        }
    }
    return unused;
}

// Whatever the moment: once the seal is on, nothing changes any more.
static void race(void)
{
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        unsigned char before = 0, after = 0;
        race_fd = sealable(PAGE);
        race_over = 0;
        CHECK(pthread_create(&thread, 0, map_and_store, 0) == 0);
        int busy = 1;
        while (busy && seal(race_fd, F_SEAL_WRITE) != 0)
            busy = errno == EBUSY;
        CHECK(busy);
        CHECK(pread(race_fd, &before, 1, 0) == 1);
        sleep_ms(2);
        CHECK(pread(race_fd, &after, 1, 0) == 1 && before == after);
        race_over = 1;
        pthread_join(thread, 0);
        close(race_fd);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"flags", flags},
        {"names", names},
        {"attributes", attributes},
        {"mapped", mapped},
        {"opened-again", opened_again},
        {"adding", adding},
        {"size-seals", size_seals},
        {"write-seal", write_seal},
        {"busy", busy},
        {"future-write-seal", future_write_seal},
        {"exec-seal", exec_seal},
        {"executed", executed},
        {"race", race},
    };
    return RUN_TABLE(tests);
}
