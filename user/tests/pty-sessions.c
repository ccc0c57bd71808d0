// Pseudo-terminals and their sessions: keys and their signals, jobs, hang-ups of both sides, a relay as script(1) is one.
#define _GNU_SOURCE
#include "pty.h"

static volatile sig_atomic_t caught[65];
static void catch(int number) { caught[number]++; }
static void on(int number)
{
    struct sigaction action = {.sa_handler = catch};
    sigaction(number, &action, 0);
}

// A child that leads a session with the slave as its terminal, and then runs `body`.
static pid_t in_session(struct pair *pair, void (*body)(struct pair *))
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(TEST_SECONDS);
        CHECK(setsid() == getpid());
        CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
        close(pair->master);
        close(pair->slave);
        pair->slave = open(pair->path, O_RDWR); // without O_NOCTTY it becomes the session's
        CHECK(pair->slave >= 0);
        body(pair);
        child_exit();
    }
    return pid;
}

static void session_body(struct pair *pair)
{
    int group = -1, id = -1;
    CHECK(tcgetsid(pair->slave) == getpid() && tcgetpgrp(pair->slave) == getpid());
    int tty = open("/dev/tty", O_RDWR);
    CHECK(tty >= 0 && tcgetpgrp(tty) == getpid());
    CHECK_ERRNO(tcsetpgrp(tty, 0x7ffffff0), ESRCH);
    CHECK_ERRNO(tcsetpgrp(tty, getppid()), EPERM);
    CHECK_ERRNO(tcsetpgrp(tty, -1), EINVAL);
    CHECK(ioctl(tty, TIOCSCTTY, 0) == 0);
    struct pair other = open_pair();
    CHECK_ERRNO(ioctl(other.slave, TIOCSCTTY, 0), EPERM);
    CHECK_ERRNO(ioctl(other.slave, TIOCGPGRP, &group), ENOTTY);
    CHECK_ERRNO(ioctl(other.slave, TIOCNOTTY), ENOTTY);
    CHECK(ioctl(other.master, TIOCGPGRP, &group) == 0 && group == 0);
    CHECK_ERRNO(ioctl(other.master, TIOCGSID, &id), ENOTTY);
    close_pair(&other);
    on(SIGHUP);
    on(SIGCONT);
    CHECK(ioctl(tty, TIOCNOTTY) == 0);
    CHECK(caught[SIGHUP] == 1 && caught[SIGCONT] == 1);
    CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_ERRNO(tcgetpgrp(tty), ENOTTY);
    CHECK(ioctl(tty, TIOCSCTTY, 0) == 0 && tcgetsid(tty) == getpid());
    CHECK_WRITES(tty, "still\n");
}

static void session(void)
{
    struct pair pair = open_pair();
    pid_t pid = in_session(&pair, session_body);
    CHECK_READS(pair.master, "still\r\n");
    CHECK_CHILD(pid, 0);
    close_pair(&pair);
}

static void keys_body(struct pair *pair)
{
    // Signals come in only while it waits.
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    on(SIGINT);
    on(SIGQUIT);
    on(SIGTSTP);
    on(SIGWINCH);
    CHECK_WRITES(pair->slave, "ready\n");
    struct pollfd input = {pair->slave, POLLIN, 0};
    while (ppoll(&input, 1, 0, &old) < 0 && errno == EINTR) {
        char text[16];
        snprintf(text, sizeof text, "%d%d%d%d\n", caught[SIGINT], caught[SIGQUIT], caught[SIGTSTP], caught[SIGWINCH]);
        write(pair->slave, text, strlen(text));
    }
    CHECK_READ(pair->slave, "end\n");
}

static void keys(void)
{
    struct pair pair = open_pair();
    change_local(pair.slave, ECHO, 0);
    pid_t pid = in_session(&pair, keys_body);
    CHECK_READS(pair.master, "ready\r\n");
    CHECK_WRITES(pair.master, "gone\3");
    CHECK_READS(pair.master, "1000\r\n");
    CHECK_WRITES(pair.master, "\x1c");
    CHECK_READS(pair.master, "1100\r\n");
    CHECK_WRITES(pair.master, "\x1a");
    CHECK_READS(pair.master, "1110\r\n");
    struct winsize size = {10, 20, 0, 0};
    CHECK(ioctl(pair.master, TIOCSWINSZ, &size) == 0);
    CHECK_READS(pair.master, "1111\r\n");
    CHECK(ioctl(pair.master, TIOCSWINSZ, &size) == 0); // no change, no signal
    int group = -1;
    CHECK(ioctl(pair.master, TIOCGPGRP, &group) == 0 && group == pid);
    CHECK(ioctl(pair.master, TIOCGSID, &group) == 0 && group == pid);
    CHECK(ioctl(pair.master, TIOCSIG, SIGINT) == 0);
    CHECK_READS(pair.master, "2111\r\n");
    CHECK_ERRNO(ioctl(pair.master, TIOCSIG, SIGKILL), EINVAL);
    CHECK_WRITES(pair.master, "end\n");
    CHECK_CHILD(pid, 0);
    close_pair(&pair);
}

// A shell that puts a job into the foreground: the key's signal reaches the job and not the shell.
static void jobs_body(struct pair *pair)
{
    signal(SIGTTOU, SIG_IGN);
    int steps[2];
    CHECK(pipe(steps) == 0);
    pid_t job = fork();
    if (job == 0) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_DFL);
        while (tcgetpgrp(pair->slave) != getpid())
            sleep_ms(1);
        write(pair->slave, "job\n", 4);
        for (;;)
            pause();
    }
    setpgid(job, job);
    CHECK(tcsetpgrp(pair->slave, job) == 0);
    int status;
    CHECK(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
    CHECK(tcsetpgrp(pair->slave, getpgrp()) == 0);
    CHECK_WRITES(pair->slave, "stopped\n");
    CHECK_READ(pair->slave, "fg\n");
    CHECK(tcsetpgrp(pair->slave, job) == 0 && kill(-job, SIGCONT) == 0);
    CHECK_WRITES(pair->slave, "continued\n");
    CHECK(waitpid(job, &status, 0) == job && WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    // A job in the background that reads is stopped, and so is one that writes if the terminal says so.
    CHECK(tcsetpgrp(pair->slave, getpgrp()) == 0);
    for (int writes = 0; writes < 2; writes++) {
        if (writes)
            change_local(pair->slave, 0, TOSTOP);
        job = fork();
        if (job == 0) {
            setpgid(0, 0);
            signal(SIGTTOU, SIG_DFL);
            char byte;
            if (writes)
                write(pair->slave, "x", 1);
            else
                read(pair->slave, &byte, 1);
            _exit(0);
        }
        setpgid(job, job);
        CHECK(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status));
        CHECK(WSTOPSIG(status) == (writes ? SIGTTOU : SIGTTIN));
        kill(-job, SIGKILL);
        CHECK_CHILD(job, SIGKILL);
    }
    change_local(pair->slave, TOSTOP, 0);
    CHECK_WRITES(pair->slave, "done\n");
}

static void jobs(void)
{
    struct pair pair = open_pair();
    change_local(pair.slave, ECHO, 0);
    pid_t pid = in_session(&pair, jobs_body);
    CHECK_READS(pair.master, "job\r\n");
    CHECK_WRITES(pair.master, "\x1a");
    CHECK_READS(pair.master, "stopped\r\n");
    CHECK_WRITES(pair.master, "fg\n");
    CHECK_READS(pair.master, "continued\r\n");
    CHECK_WRITES(pair.master, "\3");
    CHECK_READS(pair.master, "done\r\n");
    CHECK_CHILD(pid, 0);
    close_pair(&pair);
}

// The session's leader is told when the master goes, its files are dead, and its foreground is told when it ends.
static void hangup_body(struct pair *pair)
{
    on(SIGHUP);
    on(SIGCONT);
    sigset_t blocked, old;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGCONT);
    sigprocmask(SIG_BLOCK, &blocked, &old);
    int *child_told = shared_page();
    pid_t job = fork();
    if (job == 0) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(pair->slave, getpid());
        write(pair->slave, "ready\n", 6);
        while (!caught[SIGHUP])
            sigsuspend(&old);
        *child_told = 1;
        _exit(0);
    }
    while (!caught[SIGHUP] || !caught[SIGCONT])
        sigsuspend(&old);
    char byte;
    CHECK(read(pair->slave, &byte, 1) == 0);
    CHECK_ERRNO(write(pair->slave, "x", 1), EIO);
    struct termios settings;
    CHECK_ERRNO(tcgetattr(pair->slave, &settings), EIO);
    CHECK_ERRNO(tcsetpgrp(pair->slave, getpid()), ENOTTY);
    CHECK(events_now(pair->slave) == (POLLIN | POLLOUT | POLLERR | POLLHUP) || events_now(pair->slave) & POLLHUP);
    CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_ERRNO(open(pair->path, O_RDWR), ENOENT);
    // The job learns of it by this end.
    CHECK(*child_told == 0);
}

static void master_closes(void)
{
    struct pair pair = open_pair();
    change_local(pair.slave, ECHO, 0);
    pid_t pid = in_session(&pair, hangup_body);
    CHECK_READS(pair.master, "ready\r\n");
    close_pair(&pair);
    CHECK_CHILD(pid, 0);
    // Whoever waits for the slave finds that it has ended.
    pair = open_pair();
    int start[2];
    CHECK(pipe(start) == 0);
    pid_t reader = fork();
    if (reader == 0) {
        close(pair.master);
        char byte;
        write(start[1], "", 1);
        ssize_t got = read(pair.slave, &byte, 1);
        CHECK(got == 0 || (got == -1 && errno == EIO));
        child_exit();
    }
    char byte;
    CHECK(read(start[0], &byte, 1) == 1);
    sleep_ms(20);
    close(pair.master);
    CHECK_CHILD(reader, 0);
    CHECK(read(pair.slave, &byte, 1) == 0);
    close(pair.slave);
}

static void leader_ends(void)
{
    struct pair pair = open_pair();
    change_local(pair.slave, ECHO, 0);
    int end[2], told[2];
    CHECK(pipe(end) == 0 && pipe(told) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(TEST_SECONDS);
        setsid();
        close(told[0]);
        close(pair.slave);
        close(pair.master);
        pair.slave = open(pair.path, O_RDWR);
        signal(SIGTTOU, SIG_IGN);
        pid_t job = fork();
        if (job == 0) {
            setpgid(0, 0);
            tcsetpgrp(pair.slave, getpid());
            write(pair.slave, "ready\n", 6);
            for (;;)
                pause(); // until SIGHUP ends it
        }
        char byte;
        _exit(read(end[0], &byte, 1) != 1);
    }
    CHECK_READS(pair.master, "ready\r\n");
    close(told[1]);
    CHECK(write(end[1], "", 1) == 1);
    CHECK_CHILD(pid, 0);
    // The job was told. The slave goes on, as nobody's terminal.
    int id;
    char byte;
    CHECK(read(told[0], &byte, 1) == 0);
    CHECK_ERRNO(ioctl(pair.master, TIOCGSID, &id), ENOTTY);
    CHECK_WRITES(pair.slave, "again");
    CHECK_READS(pair.master, "again");
    pid = in_session(&pair, session_body);
    CHECK_READS(pair.master, "still\r\n");
    CHECK_CHILD(pid, 0);
    close(pair.slave);
    CHECK(wait_for(pair.master, POLLIN) & POLLHUP);
    close_pair(&pair);
}

static void slave_closes(void)
{
    struct pair pair = open_pair();
    char got[16];
    CHECK_WRITES(pair.slave, "rest");
    close(pair.slave);
    CHECK(wait_for(pair.master, POLLIN) == (POLLIN | POLLHUP));
    CHECK_READS(pair.master, "rest");
    CHECK((events_now(pair.master) & (POLLIN | POLLHUP)) == POLLHUP);
    CHECK_ERRNO(read(pair.master, got, sizeof got), EIO);
    pair.slave = open(pair.path, O_RDWR | O_NOCTTY);
    CHECK(pair.slave >= 0 && !(events_now(pair.master) & POLLHUP));
    int second = open(pair.path, O_RDWR | O_NOCTTY);
    close(pair.slave);
    CHECK(!(events_now(pair.master) & POLLHUP));
    // A read that waits ends with the last slave.
    pid_t closer = fork();
    if (closer == 0) {
        sleep_ms(20);
        child_exit();
    }
    close(second);
    CHECK_ERRNO(read(pair.master, got, sizeof got), EIO);
    CHECK_CHILD(closer, 0);
    close(pair.master);
}

// As script(1): a program on the slave, all that it writes copied, what it reads typed, its end seen.
static void relay_body(struct pair *pair)
{
    for (int fd = 0; fd < 3; fd++)
        dup2(pair->slave, fd);
    char line[64];
    while (fgets(line, sizeof line, stdin) && strcmp(line, "quit\n") != 0) {
        printf("<%.*s>\n", (int)strlen(line) - 1, line);
        fflush(stdout);
    }
    printf("bye\n");
    fflush(stdout);
    _exit(7);
}

static void relay(void)
{
    struct pair pair = open_pair();
    pid_t pid = in_session(&pair, relay_body);
    close(pair.slave);
    static char all[65536];
    size_t len = 0;
    const char *const typed[] = {"one\r", "tw\x7fwo\r", "quit\r"}, *const shown[] = {"<one>\r\n", "<two>\r\n", "bye\r\n"};
    for (int i = 0; i < 3; i++) {
        // The slave may not be open yet: until then the master has no end.
        CHECK_WRITES(pair.master, typed[i]);
        while (len < sizeof all - 1 && !strstr(all, shown[i])) {
            ssize_t part = read(pair.master, all + len, sizeof all - 1 - len);
            if (part < 0 && errno == EIO && i < 2) {
                sleep_ms(1);
                continue;
            }
            if (part <= 0)
                break;
            len += part;
        }
    }
    CHECK(strcmp(all, "one\r\n<one>\r\ntw\b \bwo\r\n<two>\r\nquit\r\nbye\r\n") == 0);
    CHECK_ERRNO(read(pair.master, all, sizeof all), EIO);
    CHECK_CHILD(pid, 7 << 8);
    close(pair.master);
}

int main(int argc, char **argv)
{
    const struct test tests[] = {
        {"session", session},
        {"keys", keys},
        {"jobs", jobs},
        {"master-closes", master_closes},
        {"leader-ends", leader_ends},
        {"slave-closes", slave_closes},
        {"relay", relay},
    };
    return RUN_TABLE(tests);
}
