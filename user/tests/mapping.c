// Shared mappings of files that are cut, punched, extended, written and read meanwhile, in the directory given:
//   mapping directory            the tests
//   mapping directory fill       leaves files behind, stored to through mappings in all ways that must last
//   mapping directory compare    whether they hold what was stored: after the disk has been mounted anew
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <sys/statfs.h>

enum { PAGE = 4096, PAGES = 8, WORKERS = 4, FILL_PAGES = 96, ROUNDS = 40 };

static sigjmp_buf no_page;

static void on_bus(int signal)
{
    (void)signal;
    siglongjmp(no_page, 1);
}

// Whether loading the byte at `at` ends in SIGBUS.
static int has_no_page(volatile const char *at)
{
    struct sigaction action = {.sa_handler = on_bus}, old;
    sigaction(SIGBUS, &action, &old);
    int caught = sigsetjmp(no_page, 1);
    if (!caught)
        (void)*at;
    sigaction(SIGBUS, &old, 0);
    return caught;
}

static int is_all(const char *bytes, size_t len, char value)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != value)
            return 0;
    return 1;
}

// A new file of `pages` pages, each full of its number plus 1.
static int numbered(const char *name, int pages)
{
    char page[PAGE];
    int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);
    CHECK(fd >= 0);
    for (int i = 0; i < pages; i++) {
        memset(page, i + 1, PAGE);
        CHECK(write(fd, page, PAGE) == PAGE);
    }
    return fd;
}

static char *map(int fd, int pages, int kind)
{
    char *at = mmap(0, pages * PAGE, PROT_READ | PROT_WRITE, kind, fd, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static int stored(int fd, off_t offset, size_t len, char value)
{
    char bytes[2 * PAGE];
    return pread(fd, bytes, len, offset) == (ssize_t)len && is_all(bytes, len, value);
}

static void cutting(void)
{
    int fd = numbered("cut", PAGES);
    char *shared = map(fd, PAGES, MAP_SHARED), *private = map(fd, PAGES, MAP_PRIVATE);
    CHECK(is_all(shared + 3 * PAGE, PAGE, 4) && is_all(private + 3 * PAGE, PAGE, 4));
    shared[5 * PAGE] = 'x';
    private[5 * PAGE] = 'y';
    private[2 * PAGE] = 'z';
    CHECK(ftruncate(fd, 2 * PAGE + 100) == 0);
    for (int page = 0; page < PAGES; page++) {
        CHECK(has_no_page(shared + page * PAGE) == (page > 2));
        CHECK(has_no_page(private + page * PAGE) == (page > 2));
    }
    CHECK(is_all(shared + 2 * PAGE, 100, 3) && is_all(shared + 2 * PAGE + 100, PAGE - 100, 0));
    // A copy of its own keeps what it has of the last page.
    CHECK(private[2 * PAGE] == 'z' && is_all(private + 2 * PAGE + 100, PAGE - 100, 3));
    CHECK(ftruncate(fd, PAGES * PAGE) == 0);
    CHECK(is_all(shared + 2 * PAGE + 100, PAGES * PAGE - 2 * PAGE - 100, 0));
    CHECK(is_all(private + 3 * PAGE, 5 * PAGE, 0));
    CHECK(stored(fd, 5 * PAGE, PAGE, 0));
    // Cut to nothing by a new opening.
    int again = open("cut", O_RDWR | O_TRUNC);
    CHECK(again >= 0 && has_no_page(shared) && has_no_page(private + 2 * PAGE));
    CHECK(ftruncate(fd, PAGE) == 0 && is_all(shared, PAGE, 0) && has_no_page(shared + PAGE));
    // Where there is no page, a call that copies fails.
    CHECK_ERRNO(write(again, shared + PAGE, 1), EFAULT);
}

static void cutting_for_others(void)
{
    int fd = numbered("others", PAGES), go[2], done[2];
    char *at = map(fd, PAGES, MAP_SHARED), byte = 0;
    CHECK(pipe(go) == 0 && pipe(done) == 0);
    CHECK(at[4 * PAGE] == 5);
    char *moved = mremap(map(fd, PAGES, MAP_SHARED), PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved[4 * PAGE] == 5 && has_no_page(moved + PAGES * PAGE));
    pid_t pid = fork();
    if (pid == 0) {
        // Mapped by inheritance, and by itself.
        char *own = map(fd, PAGES, MAP_PRIVATE);
        CHECK(own[4 * PAGE] == 5 && at[4 * PAGE] == 5);
        CHECK(write(done[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1);
        CHECK(has_no_page(own + 4 * PAGE) && has_no_page(at + 4 * PAGE) && has_no_page(moved + 4 * PAGE));
        CHECK(at[3 * PAGE] == 4 && own[3 * PAGE] == 4);
        child_exit();
    }
    CHECK(read(done[0], &byte, 1) == 1);
    CHECK(ftruncate(fd, 4 * PAGE) == 0);
    CHECK(has_no_page(at + 4 * PAGE) && has_no_page(moved + 4 * PAGE) && moved[3 * PAGE] == 4);
    CHECK(write(go[1], &byte, 1) == 1);
    CHECK_CHILD(pid, 0);
}

static void coherence(void)
{
    int fd = numbered("coherent", PAGES);
    char *at = map(fd, PAGES, MAP_SHARED), *private = map(fd, PAGES, MAP_PRIVATE);
    CHECK(at[0] == 1 && private[0] == 1);
    for (int i = 1; i <= 100; i++) {
        char text[3 * PAGE];
        memset(text, i, sizeof text);
        CHECK(pwrite(fd, text, sizeof text, PAGE / 2) == (ssize_t)sizeof text);
        CHECK(is_all(at + PAGE / 2, sizeof text, i) && private[PAGE] == i);
        memset(at + PAGE, -i, PAGE);
        CHECK(stored(fd, PAGE, PAGE, -i));
        if (i % 10 == 0)
            CHECK(msync(at, PAGES * PAGE, i % 20 == 0 ? MS_SYNC : MS_ASYNC) == 0);
        if (i % 25 == 0)
            CHECK(fsync(fd) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            at[2 * PAGE] = i + 1;
            _exit(0);
        }
        CHECK_CHILD(pid, 0);
        CHECK(at[2 * PAGE] == i + 1 && stored(fd, 2 * PAGE, 1, i + 1));
    }
    // A copy does not follow any more.
    private[0] = 'c';
    at[0] = 'd';
    CHECK(private[0] == 'c');
}

static void growing(void)
{
    int fd = open("grown", O_CREAT | O_TRUNC | O_RDWR, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 100) == 0);
    char *at = map(fd, PAGES, MAP_SHARED);
    memset(at, 'a', 100);
    CHECK(has_no_page(at + PAGE));
    // What is stored behind the end is not part of the file.
    CHECK(fsync(fd) == 0);
    CHECK(pwrite(fd, "b", 1, 2000) == 1);
    CHECK(is_all(at, 100, 'a') && is_all(at + 100, 1900, 0) && at[2000] == 'b');
    at[1500] = 'c';
    CHECK(fsync(fd) == 0 && ftruncate(fd, 3 * PAGE) == 0);
    at[3000] = 'd';
    at[2 * PAGE] = 'e';
    CHECK(stored(fd, 1500, 1, 'c') && stored(fd, 3000, 1, 'd') && stored(fd, 2 * PAGE, 1, 'e'));
    CHECK(has_no_page(at + 3 * PAGE));
    int end = open("grown", O_WRONLY | O_APPEND);
    CHECK(write(end, "f", 1) == 1 && at[3 * PAGE] == 'f' && at[3 * PAGE + 1] == 0);
}

static void storing_sets_times(void)
{
    int fd = numbered("times", 2);
    struct stat before, after;
    char *at = map(fd, 2, MAP_SHARED);
    CHECK(at[0] == 1 && fsync(fd) == 0 && fstat(fd, &before) == 0);
    sleep_ms(30);
    at[0] = 'n';
    CHECK(msync(at, PAGE, MS_SYNC) == 0 && fstat(fd, &after) == 0);
    // Not all file systems do so at once; none goes back, and no size changes.
    CHECK(after.st_mtim.tv_sec >= before.st_mtim.tv_sec && after.st_size == before.st_size);
}

// Space that is given in advance. Not all file systems can, but those in memory can.
static void allocating(void)
{
    enum { TMPFS_MAGIC = 0x01021994 };
    struct statfs about;
    struct stat before, after;
    int fd = open("given", O_CREAT | O_TRUNC | O_RDWR, 0600);
    CHECK(fd >= 0 && fstatfs(fd, &about) == 0 && pwrite(fd, "x", 1, PAGE + 1) == 1);
    if (fallocate(fd, 0, 0, 3 * PAGE + 7) != 0) {
        CHECK(errno == EOPNOTSUPP && about.f_type != TMPFS_MAGIC);
        CHECK(fstat(fd, &after) == 0 && after.st_size == PAGE + 2 && close(fd) == 0);
        return;
    }
    CHECK(fstat(fd, &before) == 0 && before.st_size == 3 * PAGE + 7 && before.st_blocks >= 4 * PAGE / 512);
    char *at = map(fd, 4, MAP_SHARED);
    CHECK(at[PAGE + 1] == 'x' && is_all(at, PAGE + 1, 0) && is_all(at + PAGE + 2, 3 * PAGE - 2, 0));
    CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 * PAGE, 2 * PAGE) == 0 && fstat(fd, &after) == 0);
    CHECK(after.st_size == before.st_size && after.st_blocks >= before.st_blocks + 2 * PAGE / 512);
    CHECK(fallocate(fd, 0, 0, 1) == 0 && fstat(fd, &after) == 0 && after.st_size == before.st_size);
    CHECK(ftruncate(fd, 6 * PAGE) == 0 && pread(fd, at, 1, 5 * PAGE) == 1 && at[0] == 0);
    CHECK(fallocate(fd, 0, 0, (off_t)1 << 60) == -1 && (errno == ENOSPC || errno == EFBIG));
    CHECK_ERRNO(fallocate(fd, 0, INT64_MAX, 2), EFBIG);
    CHECK_ERRNO(fallocate(fd, 0, 0, -1), EINVAL);
    CHECK(fstat(fd, &after) == 0 && after.st_size == 6 * PAGE && close(fd) == 0);
}

static int punch(int fd, off_t offset, off_t len)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}

static void punching(void)
{
    int fd = numbered("holes", PAGES);
    struct stat before, after;
    CHECK(fsync(fd) == 0 && fstat(fd, &before) == 0);
    char *shared = map(fd, PAGES, MAP_SHARED), *private = map(fd, PAGES, MAP_PRIVATE);
    CHECK(shared[2 * PAGE] == 3 && private[2 * PAGE] == 3);
    private[3 * PAGE] = 'p';
    shared[4 * PAGE] = 's';
    if (punch(fd, PAGE + 1000, 4 * PAGE) == -1 && errno == EOPNOTSUPP) {
        printf("no holes here\n");
        return;
    }
    CHECK(fstat(fd, &after) == 0 && after.st_size == PAGES * PAGE && after.st_blocks < before.st_blocks);
    // Blocks may be smaller than pages.
    off_t hole = lseek(fd, PAGE + 1000, SEEK_HOLE), data = lseek(fd, 2 * PAGE, SEEK_DATA);
    CHECK(hole >= PAGE + 1000 && hole <= 2 * PAGE && data == 5 * PAGE);
    CHECK(is_all(shared, PAGE, 1) && is_all(shared + PAGE, 1000, 2));
    CHECK(is_all(shared + PAGE + 1000, 4 * PAGE, 0));
    CHECK(is_all(shared + 5 * PAGE + 1000, PAGE - 1000, 6) && is_all(shared + 6 * PAGE, PAGE, 7));
    // A copy stays, what is no copy goes.
    CHECK(private[3 * PAGE] == 'p' && private[3 * PAGE + 1] == 4 && private[2 * PAGE] == 0);
    CHECK(stored(fd, 2 * PAGE, 2 * PAGE, 0) && stored(fd, 5 * PAGE + 1000, PAGE - 1000, 6));
    shared[3 * PAGE] = 'n';
    CHECK(msync(shared, PAGES * PAGE, MS_SYNC) == 0 && stored(fd, 3 * PAGE, 1, 'n') && stored(fd, 3 * PAGE + 1, PAGE - 1, 0));
    CHECK(punch(fd, 3 * PAGE + 7, 10) == 0 && shared[3 * PAGE] == 'n');
    // Behind the end there is nothing to do; the size stays.
    CHECK(punch(fd, 7 * PAGE, 100 * PAGE) == 0 && punch(fd, 200 * PAGE, PAGE) == 0);
    CHECK(is_all(shared + 7 * PAGE, PAGE, 0) && fstat(fd, &after) == 0 && after.st_size == PAGES * PAGE);
    CHECK(madvise(shared + 6 * PAGE, PAGE, MADV_REMOVE) == 0 && is_all(shared + 6 * PAGE, PAGE, 0));
    CHECK_ERRNO(madvise(private, PAGE, MADV_REMOVE), EACCES);
    CHECK_ERRNO(punch(fd, -1, 1), EINVAL);
    CHECK_ERRNO(punch(fd, 0, 0), EINVAL);
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
    int reader = open("holes", O_RDONLY);
    CHECK_ERRNO(punch(reader, 0, 1), EBADF);
    CHECK_ERRNO(punch(-1, 0, 1), EBADF);
}

// Everything at once: one process cuts and extends or makes holes, the others store and load. A page that was taken
// away must not come back with what it held.
static void racing(int holes)
{
    int fd = numbered(holes ? "race-holes" : "race", PAGES);
    volatile unsigned *round = shared_page();
    unsigned *words = (unsigned *)map(fd, PAGES, MAP_SHARED);
    pid_t workers[WORKERS];
    for (int worker = 0; worker < WORKERS; worker++) {
        workers[worker] = fork();
        if (workers[worker] == 0) {
            struct sigaction action = {.sa_handler = on_bus};
            sigaction(SIGBUS, &action, 0);
            unsigned turn = worker;
            while (*round != ~0u) {
                if (sigsetjmp(no_page, 1))
                    sched_yield();
                turn = turn * 1103515245 + 12345;
                words[turn / 65536 % (PAGES * PAGE / 4)] = *round;
                if (turn % 256 == 0)
                    msync(words, PAGES * PAGE, MS_SYNC);
                if (turn % 256 == 1 && pwrite(fd, (void *)round, 4, turn / 65536 % (PAGES * PAGE / 4) / 2 * 4) != 4)
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (unsigned now = 1; now <= 100; now++) {
        *round = now;
        if (holes) {
            if (punch(fd, 0, PAGES * PAGE) != 0 && errno == EOPNOTSUPP)
                break;
        } else {
            CHECK(ftruncate(fd, now % 3 * 1000) == 0);
            CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, PAGES * PAGE) == 0);
        }
        unsigned wrong = 0;
        for (unsigned i = 0; i < PAGES * PAGE / 4; i++)
            wrong += words[i] != 0 && words[i] != now;
        // Each worker may just be storing what it has read before.
        CHECK(wrong <= WORKERS);
        for (unsigned i = 0; i < PAGES * PAGE / 4; i++)
            words[i] = now;
    }
    *round = ~0u;
    for (int worker = 0; worker < WORKERS; worker++)
        CHECK_CHILD(workers[worker], 0);
}

static void racing_cuts(void) { racing(0); }
static void racing_holes(void) { racing(1); }

static const struct test tests[] = {
    {"cutting", cutting}, {"cutting_for_others", cutting_for_others}, {"coherence", coherence}, {"growing", growing},
    {"storing_sets_times", storing_sets_times}, {"allocating", allocating}, {"punching", punching}, {"racing_cuts", racing_cuts},
    {"racing_holes", racing_holes},
};

// What byte a worker leaves in its part of a page, in the end.
static char left_by(int worker, int page) { return 1 + (worker * 61 + page * 7 + ROUNDS) % 250; }

// Workers store to parts of the same pages, over and over; now and then the pages are made clean in one of the ways
// there are. What they store last is stored in the last way: none at all, for who is killed.
static void fill(void)
{
    int fd = open("filled", O_CREAT | O_TRUNC | O_RDWR, 0600);
    // The last page is not whole; the beginning is a hole.
    CHECK(fd >= 0 && ftruncate(fd, FILL_PAGES * PAGE - 1000) == 0);
    pid_t workers[WORKERS];
    volatile int *finished = shared_page();
    for (int worker = 0; worker < WORKERS; worker++) {
        workers[worker] = fork();
        if (workers[worker] != 0)
            continue;
        char *at = map(fd, FILL_PAGES, MAP_SHARED);
        for (int round = 0; round <= ROUNDS; round++) {
            for (int page = 0; page < FILL_PAGES; page++) {
                char value = round == ROUNDS ? left_by(worker, page) : round;
                memset(at + page * PAGE + worker * (PAGE / WORKERS), value, PAGE / WORKERS);
                if ((round + page + worker) % 61 == 0)
                    CHECK(page % 2 == 0 ? msync(at, FILL_PAGES * PAGE, MS_SYNC) == 0 : fsync(fd) == 0);
            }
            if (round % 16 == worker)
                sync();
        }
        if (worker == 0)
            CHECK(munmap(at, FILL_PAGES * PAGE) == 0);
        if (worker == 1)
            CHECK(msync(at, FILL_PAGES * PAGE, MS_SYNC) == 0);
        finished[worker] = 1;
        while (worker == 2)
            pause();
        child_exit();
    }
    while (!finished[2])
        sleep_ms(5);
    kill(workers[2], SIGKILL);
    for (int worker = 0; worker < WORKERS; worker++)
        CHECK_CHILD(workers[worker], worker == 2 ? SIGKILL : 0);
}

static void compare(void)
{
    int fd = open("filled", O_RDONLY);
    struct stat found;
    CHECK(fd >= 0 && fstat(fd, &found) == 0 && found.st_size == FILL_PAGES * PAGE - 1000);
    for (int page = 0; page < FILL_PAGES; page++)
        for (int worker = 0; worker < WORKERS; worker++) {
            size_t len = page == FILL_PAGES - 1 && worker == WORKERS - 1 ? PAGE / WORKERS - 1000 : PAGE / WORKERS;
            CHECK(stored(fd, page * PAGE + worker * (PAGE / WORKERS), len, left_by(worker, page)));
        }
}

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) != 0) {
        printf("usage: mapping directory [fill|compare|tests...]\n");
        return 2;
    }
    if (argc == 3 && strcmp(argv[2], "fill") == 0) {
        fill();
        return check_result();
    }
    if (argc == 3 && strcmp(argv[2], "compare") == 0) {
        compare();
        return check_result();
    }
    // Several may work in one directory at once.
    char name[32];
    snprintf(name, sizeof name, "mapping-%06d", getpid() % 1000000);
    if (mkdir(name, 0755) != 0 || chdir(name) != 0) {
        perror(name);
        return 2;
    }
    int failed = run_table(tests, sizeof tests / sizeof *tests, argc - 1, argv + 1);
    const char *files[] = {"cut", "others", "coherent", "grown", "times", "holes", "given", "race", "race-holes"};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    return chdir("..") != 0 || rmdir(name) != 0 || failed;
}
