// Pseudo-terminals and their bytes: names, settings, lines and raw input, packet mode, waiting, full buffers.
#define _GNU_SOURCE
#include "pty.h"

static void names(void)
{
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), number = -1, locked = -1;
    CHECK(ioctl(master, TIOCGPTN, &number) == 0);
    CHECK(ioctl(master, TIOCGPTLCK, &locked) == 0 && locked == 1);
    char path[32], link[64], own[64] = "";
    snprintf(path, sizeof path, "/dev/pts/%d", number);
    CHECK_ERRNO(open(path, O_RDWR | O_NOCTTY), EIO);
    locked = 0;
    CHECK(ioctl(master, TIOCSPTLCK, &locked) == 0);
    int slave = open(path, O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
    struct stat at, about;
    CHECK(stat(path, &at) == 0 && fstat(slave, &about) == 0);
    CHECK(S_ISCHR(at.st_mode) && at.st_rdev == makedev(136 + number / 256, number % 256));
    CHECK(at.st_rdev == about.st_rdev && at.st_ino == about.st_ino && at.st_dev == about.st_dev);
    CHECK(at.st_uid == geteuid() && (at.st_mode & 0600) == 0600);
    CHECK(fstat(master, &about) == 0 && about.st_rdev == makedev(5, 2));
    struct statfs system;
    CHECK(fstatfs(slave, &system) == 0 && system.f_type == PTS_MAGIC);
    snprintf(link, sizeof link, "/proc/self/fd/%d", slave);
    CHECK(readlink(link, own, sizeof own - 1) == (ssize_t)strlen(path) && strcmp(own, path) == 0);
    CHECK(isatty(slave) && isatty(master) && ttyname(slave) && strcmp(ttyname(slave), path) == 0);
    CHECK(chmod(path, 0640) == 0 && stat(path, &at) == 0 && (at.st_mode & 07777) == 0640);
    CHECK_ERRNO(lseek(slave, 0, SEEK_SET), ESPIPE);
    CHECK_ERRNO(open("/dev/pts/new", O_RDWR | O_CREAT, 0600), EACCES);
    close(master);
    CHECK_ERRNO(open(path, O_RDWR | O_NOCTTY), ENOENT);
    close(slave);
    // Two that are open have two numbers. (That a number is taken again cannot be seen while others open some, too.)
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    int next = -1, other = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    CHECK(ioctl(master, TIOCGPTN, &next) == 0);
    CHECK(ioctl(other, TIOCGPTN, &number) == 0 && number != next);
    close(other);
    close(master);
}

static void peer(void)
{
    struct pair pair = open_pair();
    int slave = ioctl(pair.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(slave >= 0 && (fcntl(slave, F_GETFD) & FD_CLOEXEC) && (fcntl(slave, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(slave >= 0 && ttyname(slave) && strcmp(ttyname(slave), pair.path) == 0);
    CHECK_WRITES(slave, "x");
    CHECK_READS(pair.master, "x");
    CHECK_ERRNO(ioctl(pair.slave, TIOCGPTPEER, O_RDWR), EIO);
    CHECK_ERRNO(ioctl(pair.slave, TIOCGPTN, &slave), ENOTTY);
    close(slave);
    close_pair(&pair);
}

static void settings_are_shared(void)
{
    struct pair pair = open_pair();
    struct termios master, slave;
    CHECK(tcgetattr(pair.slave, &slave) == 0 && tcgetattr(pair.master, &master) == 0);
    CHECK(slave.c_iflag == (ICRNL | IXON) && slave.c_oflag == (OPOST | ONLCR) && (slave.c_cflag & CSIZE) == CS8);
    CHECK(slave.c_lflag == (ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN));
    CHECK(master.c_lflag == slave.c_lflag && slave.c_cc[VINTR] == 3 && slave.c_cc[VEOF] == 4);
    master.c_lflag &= ~ECHO;
    CHECK(tcsetattr(pair.master, TCSANOW, &master) == 0);
    CHECK(tcgetattr(pair.slave, &slave) == 0 && !(slave.c_lflag & ECHO));
    struct winsize size = {1, 1, 1, 1}, set = {50, 132, 3, 4};
    CHECK(ioctl(pair.slave, TIOCGWINSZ, &size) == 0 && size.ws_row == 0 && size.ws_col == 0);
    CHECK(ioctl(pair.master, TIOCSWINSZ, &set) == 0);
    CHECK(ioctl(pair.slave, TIOCGWINSZ, &size) == 0 && memcmp(&size, &set, sizeof size) == 0);
    close_pair(&pair);
}

static void lines(void)
{
    struct pair pair = open_pair();
    CHECK_WRITES(pair.master, "ab\x7f" "c\rnext");
    CHECK_READS(pair.master, "ab\b \bc\r\nnext");
    int bytes = -1;
    CHECK(wait_for(pair.slave, POLLIN) == POLLIN && ioctl(pair.slave, FIONREAD, &bytes) == 0 && bytes == 3);
    CHECK_READ(pair.slave, "ac\n");
    CHECK(!(events_now(pair.slave) & POLLIN));
    CHECK_WRITES(pair.master, "\n\4");
    CHECK_READS(pair.master, "\r\n");
    CHECK_READ(pair.slave, "next\n");
    char byte;
    CHECK(wait_for(pair.slave, POLLIN) == POLLIN && read(pair.slave, &byte, 1) == 0);
    CHECK_WRITES(pair.slave, "one\ntwo\n");
    CHECK_READS(pair.master, "one\r\ntwo\r\n");
    // Without a reader, what is typed waits for one, also while the slave is closed.
    change_local(pair.slave, ECHO, 0);
    close(pair.slave);
    CHECK_WRITES(pair.master, "early\n");
    pair.slave = open(pair.path, O_RDWR | O_NOCTTY);
    CHECK_READ(pair.slave, "early\n");
    close_pair(&pair);
}

static void raw_bytes(void)
{
    struct pair pair = open_pair();
    make_raw(pair.slave);
    char all[256], got[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    CHECK(write(pair.master, all, 256) == 256);
    size_t len = 0;
    while (len < 256 && wait_for(pair.slave, POLLIN) > 0)
        len += read(pair.slave, got + len, 256 - len);
    CHECK(memcmp(all, got, 256) == 0);
    CHECK(write(pair.slave, all, 256) == 256);
    for (len = 0; len < 256 && wait_for(pair.master, POLLIN) > 0;)
        len += read(pair.master, got + len, 256 - len);
    CHECK(memcmp(all, got, 256) == 0);
    // VMIN counts.
    struct termios settings;
    CHECK(tcgetattr(pair.slave, &settings) == 0);
    settings.c_cc[VMIN] = 3;
    CHECK(tcsetattr(pair.slave, TCSANOW, &settings) == 0);
    CHECK_WRITES(pair.master, "ab");
    int bytes = 0;
    while (ioctl(pair.slave, FIONREAD, &bytes) == 0 && bytes < 2)
        sleep_ms(1);
    CHECK(!(events_now(pair.slave) & POLLIN));
    CHECK_WRITES(pair.master, "c");
    CHECK_READ(pair.slave, "abc");
    close_pair(&pair);
}

static void waits(void)
{
    struct pair pair = open_pair();
    char byte;
    CHECK(fcntl(pair.master, F_SETFL, O_RDWR | O_NONBLOCK) == 0 && fcntl(pair.slave, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    CHECK_ERRNO(read(pair.master, &byte, 1), EAGAIN);
    CHECK_ERRNO(read(pair.slave, &byte, 1), EAGAIN);
    CHECK(events_now(pair.master) == POLLOUT && events_now(pair.slave) == POLLOUT);
    CHECK(read(pair.master, &byte, 0) == 0 && write(pair.master, "", 0) == 0);
    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = pair.master}, got;
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, pair.master, &event) == 0 && epoll_wait(set, &got, 1, 0) == 0);
    pid_t writer = fork();
    if (writer == 0) {
        sleep_ms(20);
        CHECK_WRITES(pair.slave, "from the slave\n");
        child_exit();
    }
    CHECK(epoll_wait(set, &got, 1, PATIENCE_MS) == 1 && got.data.fd == pair.master && got.events == EPOLLIN);
    CHECK_CHILD(writer, 0);
    CHECK_READS(pair.master, "from the slave\r\n");
    writer = fork();
    if (writer == 0) {
        sleep_ms(20);
        CHECK_WRITES(pair.master, "from the master\n");
        child_exit();
    }
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(pair.slave, &readable);
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    CHECK(select(pair.slave + 1, &readable, 0, 0, &patience) == 1 && FD_ISSET(pair.slave, &readable));
    CHECK_READ(pair.slave, "from the master\n");
    CHECK_CHILD(writer, 0);
    // A read that waits.
    CHECK(fcntl(pair.slave, F_SETFL, O_RDWR) == 0);
    writer = fork();
    if (writer == 0) {
        sleep_ms(20);
        CHECK_WRITES(pair.master, "w\n");
        child_exit();
    }
    char text[8];
    CHECK(read(pair.slave, text, sizeof text) == 2);
    CHECK_CHILD(writer, 0);
    close(set);
    close_pair(&pair);
}

static void packets(void)
{
    struct pair pair = open_pair();
    int on = 1, is = -1;
    CHECK(ioctl(pair.master, TIOCPKT, &on) == 0 && ioctl(pair.master, TIOCGPKT, &is) == 0 && is == 1);
    change_local(pair.slave, ECHO, 0);
    char got[16];
    CHECK_WRITES(pair.slave, "data");
    CHECK(wait_for(pair.master, POLLIN) == POLLIN && read(pair.master, got, sizeof got) == 5);
    CHECK(got[0] == TIOCPKT_DATA && memcmp(got + 1, "data", 4) == 0);
    CHECK(tcflush(pair.slave, TCIFLUSH) == 0);
    CHECK(wait_for(pair.master, POLLIN | POLLPRI) == (POLLIN | POLLPRI));
    CHECK(read(pair.master, got, sizeof got) == 1 && got[0] == TIOCPKT_FLUSHREAD);
    CHECK(tcflow(pair.slave, TCOOFF) == 0 && read(pair.master, got, sizeof got) == 1 && got[0] == TIOCPKT_STOP);
    CHECK(tcflow(pair.slave, TCOON) == 0 && read(pair.master, got, sizeof got) == 1 && got[0] == TIOCPKT_START);
    struct termios settings;
    CHECK(tcgetattr(pair.slave, &settings) == 0);
    settings.c_iflag &= ~IXON;
    CHECK(tcsetattr(pair.slave, TCSANOW, &settings) == 0);
    CHECK(read(pair.master, got, sizeof got) == 1 && got[0] == TIOCPKT_NOSTOP);
    settings.c_iflag |= IXON;
    CHECK(tcsetattr(pair.slave, TCSANOW, &settings) == 0);
    CHECK(read(pair.master, got, sizeof got) == 1 && got[0] == TIOCPKT_DOSTOP);
    on = 0;
    CHECK(ioctl(pair.master, TIOCPKT, &on) == 0);
    CHECK_WRITES(pair.slave, "plain");
    CHECK_READS(pair.master, "plain");
    close_pair(&pair);
}

static void flow(void)
{
    struct pair pair = open_pair();
    change_local(pair.slave, ECHO, 0);
    CHECK(fcntl(pair.slave, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    CHECK_WRITES(pair.master, "\x13"); // Ctrl-S
    while (events_now(pair.slave) & POLLOUT)
        sleep_ms(1);
    CHECK_ERRNO(write(pair.slave, "x", 1), EAGAIN);
    CHECK_WRITES(pair.master, "\x11"); // Ctrl-Q
    CHECK(wait_for(pair.slave, POLLOUT) == POLLOUT);
    CHECK_WRITES(pair.slave, "go");
    CHECK_READS(pair.master, "go");
    CHECK(tcflow(pair.slave, TCIOFF) == 0 && tcflow(pair.slave, TCION) == 0);
    CHECK_READS(pair.master, "\x13\x11");
    CHECK_ERRNO(tcflow(pair.slave, 9), EINVAL);
    CHECK_ERRNO(tcflush(pair.slave, 9), EINVAL);
    CHECK_WRITES(pair.master, "dropped\nkept");
    CHECK(wait_for(pair.slave, POLLIN) == POLLIN && tcflush(pair.slave, TCIFLUSH) == 0);
    CHECK_WRITES(pair.master, "new\n");
    CHECK_READ(pair.slave, "new\n");
    close_pair(&pair);
}

enum { MUCH = 300 * 1000 };

static unsigned char pattern(size_t at) { return (unsigned char)(at * 31 + at / 251); }

// Writes MUCH bytes to one side in pieces of uneven sizes, and reads them slowly from the other.
static void pour(int from, int to)
{
    pid_t writer = fork();
    if (writer == 0) {
        unsigned char buffer[8192];
        for (size_t at = 0; at < MUCH;) {
            size_t len = 1 + at % sizeof buffer;
            len = len < MUCH - at ? len : MUCH - at;
            for (size_t i = 0; i < len; i++)
                buffer[i] = pattern(at + i);
            ssize_t written = write(from, buffer, len);
            if (written <= 0)
                break;
            at += written;
        }
        child_exit();
    }
    sleep_ms(50);
    size_t at = 0, wrong = 0;
    for (int reads = 0; at < MUCH && wait_for(to, POLLIN) > 0; reads++) {
        unsigned char buffer[1000];
        ssize_t len = read(to, buffer, sizeof buffer);
        if (len <= 0)
            break;
        for (ssize_t i = 0; i < len; i++)
            wrong += buffer[i] != pattern(at + i);
        at += len;
        if (reads % 64 == 0)
            sleep_ms(1);
    }
    CHECK(at == MUCH && wrong == 0);
    CHECK_CHILD(writer, 0);
    CHECK(!(events_now(to) & POLLIN));
}

static void full_buffers(void)
{
    struct pair pair = open_pair();
    make_raw(pair.slave);
    pour(pair.master, pair.slave);
    pour(pair.slave, pair.master);
    // Without waiting each side takes what it has room for, and says no more.
    CHECK(fcntl(pair.master, F_SETFL, O_RDWR | O_NONBLOCK) == 0 && fcntl(pair.slave, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    char buffer[1000];
    memset(buffer, 'x', sizeof buffer);
    for (int side = 0; side < 2; side++) {
        int from = side ? pair.master : pair.slave, to = side ? pair.slave : pair.master;
        size_t in = 0, out = 0;
        ssize_t len;
        while ((len = write(from, buffer, sizeof buffer)) > 0)
            in += len;
        CHECK(len == -1 && errno == EAGAIN && in >= 4096 && in < 10 * 1000 * 1000);
        CHECK(!(events_now(from) & POLLOUT));
        while (out < in && wait_for(to, POLLIN) > 0 && (len = read(to, buffer, sizeof buffer)) > 0)
            out += len;
        CHECK(in == out && wait_for(from, POLLOUT) == POLLOUT);
    }
    close_pair(&pair);
}

static void many(void)
{
    struct pair pairs[40];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 40; i++)
            pairs[i] = open_pair();
        for (int i = 0; i < 40; i++) {
            for (int j = 0; j < i; j++)
                CHECK(strcmp(pairs[i].path, pairs[j].path) != 0);
            CHECK_WRITES(pairs[i].slave, pairs[i].path);
        }
        for (int i = 0; i < 40; i++) {
            CHECK_READS(pairs[i].master, pairs[i].path);
            close_pair(&pairs[i]);
        }
    }
}

// TIOCEXCL: nobody opens it any more, but for those who may do anything.
static void exclusive(void)
{
    struct pair pair = open_pair();
    CHECK(ioctl(pair.slave, TIOCEXCL) == 0);
    CHECK(chmod(pair.path, 0666) == 0);
    int fd = open(pair.path, O_RDWR | O_NOCTTY);
    CHECK(fd >= 0 || errno == EBUSY);
    close(fd);
    pid_t child = fork();
    if (child == 0) {
        if (getuid() == 0 && (setgid(4242) != 0 || setuid(4242) != 0))
            _exit(2);
        _exit(open(pair.path, O_RDWR | O_NOCTTY) != -1 || errno != EBUSY);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(ioctl(pair.slave, TIOCNXCL) == 0);
    CHECK((fd = open(pair.path, O_RDWR | O_NOCTTY)) >= 0);
    close(fd);
    close_pair(&pair);
}

static void bad_pointers(void)
{
    struct pair pair = open_pair();
    struct {
        int fd;
        unsigned long command;
        size_t size;
    } out[] = {
        {pair.master, TIOCGPTN, 4},   {pair.master, TIOCGPTLCK, 4}, {pair.master, TIOCGPKT, 4}, {pair.slave, TCGETS, 36},
        {pair.master, TCGETS, 36},    {pair.slave, TIOCGWINSZ, 8},  {pair.slave, FIONREAD, 4},  {pair.slave, TIOCOUTQ, 4},
        {pair.master, TIOCGPGRP, 4},  {pair.slave, TIOCGETD, 4},    {pair.slave, TIOCGEXCL, 4}, {pair.master, FIONREAD, 4},
        {pair.slave, 0x802c542a, 44},
    }, in[] = {
        {pair.master, TIOCSPTLCK, 4}, {pair.master, TIOCPKT, 4},    {pair.slave, TCSETS, 36},   {pair.master, TCSETS, 36},
        {pair.slave, TIOCSWINSZ, 8},  {pair.slave, TIOCSETD, 4},    {pair.slave, TCSETSF, 36},  {pair.slave, 0x402c542b, 44},
    };
    for (unsigned i = 0; i < sizeof out / sizeof *out; i++)
        CHECK_BAD_OUT(syscall(SYS_ioctl, out[i].fd, out[i].command, p), out[i].size, 0);
    for (unsigned i = 0; i < sizeof in / sizeof *in; i++)
        CHECK_BAD_IN(syscall(SYS_ioctl, in[i].fd, in[i].command, p), in[i].size, 0);
    make_raw(pair.slave);
    CHECK_BAD_IN(syscall(SYS_write, pair.slave, p, 1), 1, 0);
    CHECK_BAD_IN(syscall(SYS_write, pair.master, p, 1), 1, 0);
    CHECK_ERRNO(ioctl(pair.slave, 0x54ff, 0), ENOTTY);
    CHECK_ERRNO(ioctl(pair.master, 0x54ff, 0), ENOTTY);
    int discipline = 99;
    CHECK_ERRNO(ioctl(pair.slave, TIOCSETD, &discipline), EINVAL);
    CHECK_WRITES(pair.slave, "alive");
    CHECK_READS(pair.master, "alive");
    close_pair(&pair);
}

int main(int argc, char **argv)
{
    const struct test tests[] = {
        {"names", names},
        {"peer", peer},
        {"settings", settings_are_shared},
        {"lines", lines},
        {"raw", raw_bytes},
        {"waits", waits},
        {"packets", packets},
        {"flow", flow},
        {"full-buffers", full_buffers},
        {"many", many},
        {"exclusive", exclusive},
        {"bad-pointers", bad_pointers},
    };
    return RUN_TABLE(tests);
}
