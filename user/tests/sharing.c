// What processes share by clone(2), and how they part: CLONE_FILES, CLONE_FS, CLONE_SIGHAND, execve(2), unshare(2) and
// close_range(2).
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

enum { STACK = 256 << 10 };

// Runs `child` in a process that shares what `flags` say, and its memory; its status. It may not return to the caller's frame.
static int shared_child(int flags, int (*child)(void *), void *argument)
{
    char *stack = mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t pid = clone(child, stack + STACK, CLONE_VM | flags | SIGCHLD, argument);
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        status = -2;
    munmap(stack, STACK);
    return status;
}

static int is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static int is_ignored(int number)
{
    struct sigaction action;
    sigaction(number, 0, &action);
    return action.sa_handler == SIG_IGN;
}

static int opens_three(void *fd)
{
    return dup2(2, *(int *)fd) != *(int *)fd;
}

static int parts_and_opens(void *fd)
{
    if (syscall(SYS_unshare, CLONE_FILES) != 0)
        return 1;
    return opens_three(fd);
}

static int parts_by_close_range(void *fd)
{
    return syscall(SYS_close_range, *(int *)fd, 60, 2) != 0 || is_open(*(int *)fd);
}

static int closes_range(void *fd)
{
    return syscall(SYS_close_range, *(int *)fd, 60, 0) != 0;
}

static void files_are_shared_until_they_part(void)
{
    int fd = 50;
    CHECK(!is_open(fd));
    CHECK(shared_child(CLONE_FILES, opens_three, &fd) == 0);
    CHECK(is_open(fd));
    CHECK(shared_child(CLONE_FILES, parts_by_close_range, &fd) == 0);
    CHECK(is_open(fd));
    CHECK(shared_child(CLONE_FILES, closes_range, &fd) == 0);
    CHECK(!is_open(fd));
    CHECK(shared_child(CLONE_FILES, parts_and_opens, &fd) == 0);
    CHECK(!is_open(fd));
    CHECK(shared_child(0, opens_three, &fd) == 0);
    CHECK(!is_open(fd));
    // Whoever is left alone has what was shared.
    CHECK(dup2(2, fd) == fd);
    CHECK(syscall(SYS_unshare, CLONE_FILES) == 0);
    CHECK(is_open(fd));
    CHECK(close(fd) == 0);
}

static int executes(void *unused)
{
    (void)unused;
    char *args[] = {"sharing", "--shared-exec", 0}, *none[] = {0};
    execve("/proc/self/exe", args, none);
    return 9;
}

// The new program ignores a signal, closes a descriptor and lost those that are closed on exec; the maker notices nothing.
static void execve_parts_files_and_actions(void)
{
    CHECK(dup3(2, 50, O_CLOEXEC) == 50);
    CHECK(dup2(2, 51) == 51);
    signal(SIGUSR1, SIG_DFL);
    CHECK(shared_child(CLONE_FILES | CLONE_SIGHAND | CLONE_FS, executes, 0) == 0);
    CHECK(is_open(50));
    CHECK(is_open(51));
    CHECK(!is_ignored(SIGUSR1));
    close(50);
    close(51);
}

static void on_signal(int number) { (void)number; }

static void handlers_stay_with_who_does_not_execute(void)
{
    struct sigaction action = {.sa_handler = on_signal}, now;
    sigaction(SIGUSR2, &action, 0);
    CHECK(dup2(2, 51) == 51);
    CHECK(shared_child(CLONE_FILES | CLONE_SIGHAND, executes, 0) == 0);
    close(51);
    CHECK(sigaction(SIGUSR2, 0, &now) == 0);
    CHECK(now.sa_handler == on_signal);
}

static int ignores(void *number)
{
    return signal(*(int *)number, SIG_IGN) == SIG_ERR;
}

static void actions_are_shared(void)
{
    int number = SIGUSR1;
    CHECK(shared_child(0, ignores, &number) == 0);
    CHECK(!is_ignored(number));
    CHECK(shared_child(CLONE_SIGHAND, ignores, &number) == 0);
    CHECK(is_ignored(number));
    signal(number, SIG_DFL);
}

static int goes_to_proc(void *parts)
{
    if (*(int *)parts && syscall(SYS_unshare, CLONE_FS) != 0)
        return 1;
    umask(077);
    return chdir("/proc") != 0;
}

static void directories_are_shared_until_they_part(void)
{
    char at[256];
    int no = 0, yes = 1;
    umask(022);
    CHECK(chdir("/") == 0);
    CHECK(shared_child(CLONE_FS, goes_to_proc, &yes) == 0);
    CHECK(getcwd(at, sizeof at) && strcmp(at, "/") == 0);
    CHECK(umask(022) == 022);
    CHECK(shared_child(CLONE_FS, goes_to_proc, &no) == 0);
    CHECK(getcwd(at, sizeof at) && strcmp(at, "/proc") == 0);
    CHECK(umask(022) == 077);
    CHECK(shared_child(0, goes_to_proc, &no) == 0);
    CHECK(umask(022) == 022);
}

// A lock is the process's for as long as it has its table, whoever had a part in it.
static void locks_stay_when_others_leave(void)
{
    char path[] = "/tmp/sharing-XXXXXX";
    int fd = mkstemp(path), number = SIGUSR1;
    CHECK(unlink(path) == 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHECK(fcntl(fd, F_SETLK, &lock) == 0);
    CHECK(shared_child(CLONE_FILES, ignores, &number) == 0);
    CHECK(syscall(SYS_unshare, CLONE_FILES) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock seen = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        CHECK(fcntl(fd, F_GETLK, &seen) == 0);
        CHECK(seen.l_type == F_WRLCK && seen.l_pid == getppid());
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    close(fd);
}

static void unshare_refuses_what_it_cannot(void)
{
    CHECK(syscall(SYS_unshare, 0) == 0);
    CHECK(syscall(SYS_unshare, CLONE_FILES | CLONE_FS | CLONE_SYSVSEM) == 0);
    CHECK(syscall(SYS_unshare, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) == 0);
    CHECK_ERRNO(syscall(SYS_unshare, CLONE_VFORK), EINVAL);
    CHECK_ERRNO(syscall(SYS_unshare, CLONE_SETTLS), EINVAL);
    CHECK_ERRNO(syscall(SYS_unshare, 1ul << 40), EINVAL);
}

static void *parts_as_thread(void *unused)
{
    (void)unused;
    CHECK_ERRNO(syscall(SYS_unshare, CLONE_THREAD), EINVAL);
    CHECK_ERRNO(syscall(SYS_unshare, CLONE_VM), EINVAL);
    CHECK_ERRNO(syscall(SYS_unshare, CLONE_SIGHAND), EINVAL);
    return 0;
}

static void threads_stay_together(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, 0, parts_as_thread, 0) == 0);
    CHECK(pthread_join(thread, 0) == 0);
}

static int after_exec(void)
{
    signal(SIGUSR1, SIG_IGN);
    return is_open(50) || !is_open(51) || close(51) != 0 || is_ignored(SIGUSR2);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"files-are-shared-until-they-part", files_are_shared_until_they_part},
        {"execve-parts-files-and-actions", execve_parts_files_and_actions},
        {"handlers-stay-with-who-does-not-execute", handlers_stay_with_who_does_not_execute},
        {"actions-are-shared", actions_are_shared},
        {"directories-are-shared-until-they-part", directories_are_shared_until_they_part},
        {"locks-stay-when-others-leave", locks_stay_when_others_leave},
        {"unshare-refuses-what-it-cannot", unshare_refuses_what_it_cannot},
        {"threads-stay-together", threads_stay_together},
    };
    if (argc > 1 && strcmp(argv[1], "--shared-exec") == 0)
        return after_exec();
    return RUN_TABLE(tests);
}
