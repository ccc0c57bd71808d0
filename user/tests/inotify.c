// Watching files, in the directory given: which events come in which order, and what is refused.
#define _GNU_SOURCE
#include "table.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int instance;

// The events that wait, in words: "wd:mask:name" with a space behind each, cookies left out.
static const char *events(void)
{
    static char text[20000];
    char bytes[8192] __attribute__((aligned(8)));
    size_t len = 0;
    text[0] = 0;
    for (ssize_t got; (got = read(instance, bytes, sizeof bytes)) > 0;)
        for (char *at = bytes; at < bytes + got;) {
            struct inotify_event *event = (void *)at;
            len += snprintf(text + len, sizeof text - len, "%d:%x:%s ", event->wd, event->mask, event->len ? event->name : "");
            at += sizeof *event + event->len;
        }
    return text;
}

static void check_events(const char *wanted, int line)
{
    const char *found = events();
    if (strcmp(found, wanted) == 0) {
        checks_passed++;
    } else {
        checks_failed++;
        printf("line %d: events are %s, not %s\n", line, found, wanted);
    }
}
#define CHECK_EVENTS(wanted) check_events((wanted), __LINE__)

static void begin(void)
{
    instance = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    CHECK(instance >= 0 && (fcntl(instance, F_GETFL) & O_NONBLOCK) && (fcntl(instance, F_GETFD) & FD_CLOEXEC));
    CHECK_ERRNO(read(instance, &instance, 0), EAGAIN);
}

static void make(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    CHECK(fd >= 0 && write(fd, "text", 4) == 4 && close(fd) == 0);
}

static void in_directory(void)
{
    char byte;
    mkdir("d", 0755);
    begin();
    CHECK(inotify_add_watch(instance, "d", IN_ALL_EVENTS) == 1);
    make("d/file");
    CHECK_EVENTS("1:100:file 1:20:file 1:2:file 1:8:file ");
    int fd = open("d/file", O_RDONLY);
    CHECK(read(fd, &byte, 1) == 1 && read(fd, &byte, 0) == 0 && close(fd) == 0);
    CHECK_EVENTS("1:20:file 1:1:file 1:10:file ");
    CHECK(chmod("d/file", 0600) == 0 && truncate("d/file", 1) == 0);
    CHECK_EVENTS("1:4:file 1:2:file ");
    // Equal ones that follow each other come once.
    CHECK(chmod("d/file", 0600) == 0 && chmod("d/file", 0644) == 0);
    CHECK_EVENTS("1:4:file ");
    fd = open("d/file", O_RDWR | O_TRUNC);
    CHECK(close(fd) == 0);
    // Newer versions of Linux tell of the open first.
    const char *found = events();
    CHECK(strcmp(found, "1:2:file 1:20:file 1:8:file ") == 0 || strcmp(found, "1:20:file 1:2:file 1:8:file ") == 0);
    CHECK(mkdir("d/sub", 0755) == 0 && rmdir("d/sub") == 0);
    CHECK_EVENTS("1:40000100:sub 1:40000200:sub ");
    CHECK(link("d/file", "d/other") == 0 && symlink("x", "d/link") == 0 && unlink("d/link") == 0 && unlink("d/other") == 0);
    CHECK_EVENTS("1:100:other 1:100:link 1:200:link 1:200:other ");
    DIR *directory = opendir("d");
    while (readdir(directory))
        ;
    closedir(directory);
    CHECK_EVENTS("1:40000020: 1:40000001: 1:40000010: ");
    CHECK(unlink("d/file") == 0 && rmdir("d") == 0);
    CHECK_EVENTS("1:200:file 1:400: 1:8000: ");
    CHECK_ERRNO(inotify_rm_watch(instance, 1), EINVAL);
    close(instance);
}

static void of_a_file(void)
{
    make("f");
    begin();
    CHECK(inotify_add_watch(instance, "f", IN_ALL_EVENTS) == 1);
    make("f");
    CHECK_EVENTS("1:20: 1:2: 1:8: ");
    CHECK(link("f", "g") == 0 && rename("f", "h") == 0 && unlink("g") == 0);
    CHECK_EVENTS("1:4: 1:800: 1:4: ");
    struct timespec times[2] = {{1, 0}, {0, UTIME_OMIT}};
    CHECK(utimensat(AT_FDCWD, "h", times, 0) == 0);
    CHECK_EVENTS("1:1: ");
    times[0].tv_nsec = UTIME_OMIT, times[1].tv_nsec = 7;
    CHECK(utimensat(AT_FDCWD, "h", times, 0) == 0 && setxattr("h", "user.a", "a", 1, 0) == 0);
    CHECK_EVENTS("1:2: 1:4: ");
    int fd = open("h", O_RDONLY);
    CHECK(unlink("h") == 0);
    CHECK_EVENTS("1:20: 1:4: ");
    CHECK(close(fd) == 0);
    CHECK_EVENTS("1:10: 1:400: 1:8000: ");
    close(instance);
}

static void renames(void)
{
    char bytes[1024] __attribute__((aligned(8)));
    mkdir("d", 0755), mkdir("e", 0755);
    make("d/file"), make("e/old");
    begin();
    CHECK(inotify_add_watch(instance, "d", IN_MOVE) == 1 && inotify_add_watch(instance, "e", IN_MOVE) == 2);
    CHECK(inotify_add_watch(instance, "e/old", IN_ALL_EVENTS) == 3);
    CHECK(rename("d/file", "e/file") == 0);
    CHECK(read(instance, bytes, sizeof bytes) == 64);
    struct inotify_event *from = (void *)bytes, *to = (void *)(bytes + 32);
    CHECK(from->wd == 1 && from->mask == IN_MOVED_FROM && from->len == 16 && strcmp(from->name, "file") == 0 && from->cookie != 0);
    CHECK(to->wd == 2 && to->mask == IN_MOVED_TO && to->len == 16 && strcmp(to->name, "file") == 0 && to->cookie == from->cookie);
    unsigned before = from->cookie;
    CHECK(rename("e/file", "e/old") == 0);
    CHECK(read(instance, bytes, 64) == 64 && from->cookie != before && to->cookie == from->cookie);
    CHECK_EVENTS("3:4: 3:400: 3:8000: ");
    make("d/a"), make("e/b");
    CHECK(syscall(SYS_renameat2, AT_FDCWD, "d/a", AT_FDCWD, "e/b", 2) == 0);
    CHECK_EVENTS("1:40:a 2:80:b 2:40:b 1:80:a ");
    mkdir("d/sub", 0755);
    CHECK(inotify_add_watch(instance, "d/sub", IN_MOVE_SELF | IN_DELETE_SELF) == 4 && rename("d/sub", "e/sub") == 0);
    CHECK_EVENTS("1:40000040:sub 2:40000080:sub 4:800: ");
    CHECK(rmdir("e/sub") == 0);
    CHECK_EVENTS("4:400: 4:8000: ");
    CHECK(unlink("d/a") == 0 && unlink("e/b") == 0 && unlink("e/old") == 0 && rmdir("d") == 0 && rmdir("e") == 0);
    close(instance);
}

static void masks(void)
{
    mkdir("d", 0755), make("d/file"), symlink("d", "link");
    begin();
    CHECK_ERRNO(inotify_add_watch(instance, "d/file", IN_OPEN | IN_ONLYDIR), ENOTDIR);
    CHECK_ERRNO(inotify_add_watch(instance, "none", IN_OPEN), ENOENT);
    CHECK_ERRNO(inotify_add_watch(instance, "d", 0), EINVAL);
    CHECK_ERRNO(inotify_add_watch(instance, "d", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE), EINVAL);
    CHECK_ERRNO(inotify_add_watch(-1, "d", IN_OPEN), EBADF);
    CHECK_ERRNO(inotify_add_watch(0, "d", IN_OPEN), EINVAL);
    CHECK_ERRNO(inotify_rm_watch(instance, 77), EINVAL);
    CHECK_ERRNO(inotify_rm_watch(-1, 1), EBADF);
    CHECK_ERRNO(inotify_init1(1), EINVAL);
    CHECK(inotify_add_watch(instance, "d", IN_CREATE) == 1 && inotify_add_watch(instance, "link", IN_DELETE | IN_MASK_ADD) == 1);
    CHECK_ERRNO(inotify_add_watch(instance, "d", IN_OPEN | IN_MASK_CREATE), EEXIST);
    make("d/new"), unlink("d/new");
    CHECK_EVENTS("1:100:new 1:200:new ");
    CHECK(inotify_add_watch(instance, "d", IN_DELETE) == 1);
    make("d/new"), unlink("d/new");
    CHECK_EVENTS("1:200:new ");
    CHECK(inotify_rm_watch(instance, 1) == 0);
    CHECK_EVENTS("1:8000: ");
    CHECK(inotify_add_watch(instance, "d", IN_CREATE | IN_ONESHOT) == 2);
    make("d/new"), unlink("d/new"), make("d/new"), unlink("d/new");
    CHECK_EVENTS("2:100:new 2:8000: ");
    CHECK(inotify_add_watch(instance, "link", IN_DONT_FOLLOW | IN_ATTRIB) == 3 && lchown("link", 0, 0) == 0);
    CHECK_EVENTS("3:4: ");
    // What is done with a file that has lost its name is not of interest to who says so.
    CHECK(inotify_add_watch(instance, "d", IN_MODIFY | IN_EXCL_UNLINK) == 4);
    int fd = open("d/file", O_RDWR);
    CHECK(write(fd, "x", 1) == 1 && unlink("d/file") == 0 && write(fd, "y", 1) == 1 && close(fd) == 0);
    CHECK_EVENTS("4:2:file ");
    CHECK(rmdir("d") == 0 && unlink("link") == 0);
    close(instance);
}

static void waiting(void)
{
    mkdir("d", 0755);
    begin();
    CHECK(inotify_add_watch(instance, "d", IN_CREATE) == 1);
    struct pollfd wait = {.fd = instance, .events = POLLIN};
    CHECK(poll(&wait, 1, 0) == 0);
    int epoll = epoll_create1(0), count = -1;
    struct epoll_event event = {.events = EPOLLIN}, got;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, instance, &event) == 0 && epoll_wait(epoll, &got, 1, 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        sleep_ms(50);
        make("d/a-name-of-twenty-bytes");
        child_exit();
    }
    CHECK(poll(&wait, 1, 10000) == 1 && (wait.revents & POLLIN) && epoll_wait(epoll, &got, 1, 10000) == 1);
    CHECK_CHILD(pid, 0);
    char bytes[100];
    CHECK(ioctl(instance, FIONREAD, &count) == 0 && count == 16 + 32);
    CHECK_ERRNO(read(instance, bytes, 16), EINVAL);
    CHECK_BAD_OUT(ioctl(instance, FIONREAD, p), 4, 0);
    CHECK(read(instance, bytes, 48) == 48 && ioctl(instance, FIONREAD, &count) == 0 && count == 0);
    CHECK_ERRNO(write(instance, "x", 1), EBADF);
    // A read that waits.
    CHECK(fcntl(instance, F_SETFL, 0) == 0);
    pid = fork();
    if (pid == 0) {
        sleep_ms(50);
        make("d/b");
        child_exit();
    }
    CHECK(read(instance, bytes, sizeof bytes) == 32);
    CHECK_CHILD(pid, 0);
    CHECK(unlink("d/a-name-of-twenty-bytes") == 0 && unlink("d/b") == 0 && rmdir("d") == 0);
    close(epoll), close(instance);
}

static void overflow(void)
{
    make("one");
    begin();
    CHECK(inotify_add_watch(instance, "one", IN_OPEN | IN_CLOSE | IN_ATTRIB | IN_DELETE_SELF) == 1);
    for (int i = 0; i < 9000; i++)
        close(open("one", O_RDONLY));
    char bytes[16 * 512] __attribute__((aligned(8)));
    unsigned count = 0, lost = 0;
    for (ssize_t got; (got = read(instance, bytes, sizeof bytes)) > 0;)
        for (struct inotify_event *event = (void *)bytes; (char *)event < bytes + got; event++) {
            count++;
            lost += event->mask == IN_Q_OVERFLOW && event->wd == -1;
        }
    CHECK(lost == 1 && count > 1000 && count <= 16385);
    unlink("one");
    CHECK_EVENTS("1:4: 1:400: 1:8000: ");
    close(instance);
}

static void many(void)
{
    int last, count = 0, instances[200];
    for (; count < 200 && (instances[count] = inotify_init1(0)) >= 0; count++)
        ;
    last = errno;
    CHECK(count > 8 && count < 200 && last == EMFILE);
    while (count > 0)
        close(instances[--count]);
    CHECK((instances[0] = inotify_init1(0)) >= 0 && close(instances[0]) == 0);
    // Watches end with their instance, whoever else has some.
    mkdir("d", 0755);
    int other = inotify_init1(IN_NONBLOCK);
    begin();
    CHECK(inotify_add_watch(other, "d", IN_CREATE) == 1 && inotify_add_watch(instance, "d", IN_CREATE) == 1);
    close(other);
    make("d/x");
    CHECK_EVENTS("1:100:x ");
    CHECK(unlink("d/x") == 0 && rmdir("d") == 0);
    close(instance);
}

static void bad_pointers(void)
{
    char bytes[64];
    mkdir("d", 0755);
    begin();
    CHECK_BAD_IN(inotify_add_watch(instance, p, IN_OPEN), 1, 0);
    CHECK(inotify_add_watch(instance, "d", IN_CREATE | IN_DELETE) == 1);
    for (unsigned i = 0; i < BAD_COUNT; i++) {
        make("d/x");
        CHECK_ERRNO(read(instance, (void *)bad_addresses[i], 64), EFAULT);
        unlink("d/x");
        (void)!read(instance, bytes, sizeof bytes);
        events();
    }
    CHECK(rmdir("d") == 0);
    close(instance);
}

static void parallel(void)
{
    // Watches come and go while files do.
    mkdir("d", 0755);
    pid_t pids[4];
    for (int child = 0; child < 4; child++)
        if ((pids[child] = fork()) == 0) {
            char name[32];
            snprintf(name, sizeof name, "d/%d", child);
            for (int i = 0; i < 60; i++) {
                begin();
                int number = inotify_add_watch(instance, i & 1 ? "d" : ".", IN_ALL_EVENTS);
                make(name);
                int own = inotify_add_watch(instance, name, IN_ALL_EVENTS);
                CHECK(number == 1 && own == 2 && unlink(name) == 0);
                CHECK(strstr(events(), "2:4: ") != 0);
                close(instance);
            }
            child_exit();
        }
    for (int child = 0; child < 4; child++)
        CHECK_CHILD(pids[child], 0);
    CHECK(rmdir("d") == 0);
}

static const struct test tests[] = {
    {"in_directory", in_directory}, {"of_a_file", of_a_file}, {"renames", renames}, {"masks", masks}, {"waiting", waiting},
    {"overflow", overflow}, {"many", many}, {"bad_pointers", bad_pointers}, {"parallel", parallel},
};

int main(int argc, char **argv)
{
    char name[32];
    if (argc < 2 || chdir(argv[1]) != 0) {
        printf("usage: inotify directory [tests...]\n");
        return 2;
    }
    snprintf(name, sizeof name, "inotify-%06d", getpid() % 1000000);
    if (mkdir(name, 0755) != 0 || chdir(name) != 0) {
        perror(name);
        return 2;
    }
    int failed = run_table(tests, sizeof tests / sizeof *tests, argc - 1, argv + 1);
    return chdir("..") != 0 || rmdir(name) != 0 || failed;
}
