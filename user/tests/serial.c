// A terminal on a serial port, tried alone: looped back, the port gets what it sends, and its outgoing modem lines are the
// incoming ones. Works on Linux with a 16550 whose other side may be anything.
#define _GNU_SOURCE
#include "pty.h"

// As in linux/serial.h, which the C library has not.
struct counts { int cts, dsr, rng, dcd, rx, tx, frame, overrun, parity, brk, buf_overrun, reserved[9]; };

enum { QUEUE = 4096, MUCH = 30000, LINES = TIOCM_DTR | TIOCM_RTS | TIOCM_CTS | TIOCM_DSR | TIOCM_RI | TIOCM_CD };

static const char path[] = "/dev/ttyS1";

static int open_line(int flags)
{
    int fd = open(path, O_RDWR | O_NOCTTY | flags);
    CHECK(fd >= 0);
    return fd;
}

static int lines(int fd)
{
    int bits = 0;
    CHECK(ioctl(fd, TIOCMGET, &bits) == 0);
    return bits;
}

static void change_lines(int fd, unsigned long request, int bits) { CHECK(ioctl(fd, request, &bits) == 0); }

static int unsent(int fd)
{
    int count = -1;
    CHECK(ioctl(fd, TIOCOUTQ, &count) == 0);
    return count;
}

// Raw, looped back, with these control and input modes besides.
static int open_loop(tcflag_t control, tcflag_t input)
{
    int fd = open_line(0);
    struct termios settings;
    CHECK(tcgetattr(fd, &settings) == 0);
    cfmakeraw(&settings);
    settings.c_cflag = B115200 | CS8 | CREAD | CLOCAL | control;
    settings.c_iflag = input;
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0);
    change_lines(fd, TIOCMSET, TIOCM_DTR | TIOCM_RTS | TIOCM_LOOP);
    CHECK(tcflush(fd, TCIOFLUSH) == 0);
    return fd;
}

static void close_loop(int fd)
{
    change_lines(fd, TIOCMSET, TIOCM_DTR | TIOCM_RTS);
    close(fd);
}

// Before any other: settings stay.
static void initial(void)
{
    int fd = open_line(0);
    struct termios settings;
    CHECK(isatty(fd) && tcgetattr(fd, &settings) == 0);
    CHECK(settings.c_cflag == (B9600 | CS8 | CREAD | HUPCL | CLOCAL));
    CHECK(settings.c_iflag == (ICRNL | IXON) && settings.c_oflag == (OPOST | ONLCR));
    CHECK((lines(fd) & (TIOCM_DTR | TIOCM_RTS)) == (TIOCM_DTR | TIOCM_RTS));
    struct stat about;
    CHECK(fstat(fd, &about) == 0 && S_ISCHR(about.st_mode) && about.st_rdev == makedev(4, 65));
    CHECK_ERRNO(lseek(fd, 0, SEEK_SET), ESPIPE);
    close(fd);
}

static void speeds(void)
{
    static const speed_t all[] = {B50, B110, B300, B1200, B2400, B4800, B9600, B19200, B38400, B57600, B115200};
    int fd = open_line(0);
    struct termios settings;
    CHECK(tcgetattr(fd, &settings) == 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(cfsetspeed(&settings, all[i]) == 0 && tcsetattr(fd, TCSADRAIN, &settings) == 0);
        CHECK(tcgetattr(fd, &settings) == 0 && cfgetospeed(&settings) == all[i]);
    }
    // Faster than the port: it stays as it was.
    cfsetspeed(&settings, B230400);
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0);
    CHECK(tcgetattr(fd, &settings) == 0 && cfgetospeed(&settings) == B115200);
    // Settings stay when nobody has it open.
    settings.c_cflag = B19200 | CS7 | CSTOPB | PARENB | PARODD | CREAD | CLOCAL;
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0);
    close(fd);
    fd = open_line(0);
    CHECK(tcgetattr(fd, &settings) == 0 && settings.c_cflag == (B19200 | CS7 | CSTOPB | PARENB | PARODD | CREAD | CLOCAL));
    close(fd);
}

static void modem_lines(void)
{
    int fd = open_loop(0, 0);
    CHECK((lines(fd) & LINES) == (TIOCM_DTR | TIOCM_RTS | TIOCM_CTS | TIOCM_DSR | (lines(fd) & TIOCM_CD)));
    change_lines(fd, TIOCMBIC, TIOCM_RTS);
    CHECK((lines(fd) & (TIOCM_RTS | TIOCM_CTS | TIOCM_DSR)) == TIOCM_DSR);
    change_lines(fd, TIOCMBIC, TIOCM_DTR);
    CHECK((lines(fd) & (TIOCM_DTR | TIOCM_DSR | TIOCM_RI)) == 0);
    change_lines(fd, TIOCMBIS, TIOCM_OUT1 | TIOCM_RTS);
    CHECK((lines(fd) & (TIOCM_RI | TIOCM_CTS | TIOCM_DSR)) == (TIOCM_RI | TIOCM_CTS));
    close_loop(fd);
    fd = open_line(0);
    CHECK_ERRNO(ioctl(fd, TIOCMGET, hole()), EFAULT);
    CHECK_ERRNO(ioctl(fd, TIOCMSET, hole()), EFAULT);
    close(fd);
    struct pair pair = open_pair();
    int bits;
    CHECK_ERRNO(ioctl(pair.slave, TIOCMGET, &bits), ENOTTY);
    CHECK(ioctl(pair.slave, TIOCSBRK) == 0);
    close_pair(&pair);
}

// Speed 0 hangs up.
static void hang_up(void)
{
    int fd = open_loop(0, 0);
    struct termios settings;
    CHECK(tcgetattr(fd, &settings) == 0);
    cfsetospeed(&settings, B0);
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0 && (lines(fd) & (TIOCM_DTR | TIOCM_RTS)) == 0);
    cfsetospeed(&settings, B9600);
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0 && (lines(fd) & (TIOCM_DTR | TIOCM_RTS)) == (TIOCM_DTR | TIOCM_RTS));
    close_loop(fd);
}

static void data(void)
{
    int fd = open_loop(0, 0);
    struct counts before = {0}, after = {0};
    CHECK(ioctl(fd, TIOCGICOUNT, &before) == 0);
    CHECK_WRITES(fd, "one two");
    CHECK_READS(fd, "one two");
    CHECK(tcdrain(fd) == 0 && unsent(fd) == 0);
    CHECK(ioctl(fd, TIOCGICOUNT, &after) == 0);
    CHECK(after.rx - before.rx == 7 && after.tx - before.tx == 7 && after.overrun == before.overrun);
    // Without CREAD nothing comes in.
    struct termios settings;
    CHECK(tcgetattr(fd, &settings) == 0);
    settings.c_cflag &= ~CREAD;
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0);
    CHECK_WRITES(fd, "lost");
    CHECK(tcdrain(fd) == 0);
    sleep_ms(200);
    CHECK(events_now(fd) == POLLOUT);
    close_loop(fd);
}

static void marks(void)
{
    int fd = open_loop(0, PARMRK);
    CHECK_WRITES(fd, "a\377b");
    CHECK_READS(fd, "a\377\377b");
    close_loop(fd);
}

// Has output wait for CTS, which is RTS, or not. Not every port tells of a change of CTS while it is looped back, so that CTS
// is looked at when waiting begins.
static void wait_for_cts(int fd, int wait)
{
    struct termios settings;
    change_lines(fd, wait ? TIOCMBIC : TIOCMBIS, TIOCM_RTS);
    CHECK(tcgetattr(fd, &settings) == 0);
    settings.c_cflag = wait ? settings.c_cflag | CRTSCTS : settings.c_cflag & ~CRTSCTS;
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0);
}

static void waits_for_cts(void)
{
    int fd = open_loop(0, 0);
    wait_for_cts(fd, 1);
    CHECK_WRITES(fd, "held");
    sleep_ms(200);
    CHECK(events_now(fd) == POLLOUT && unsent(fd) == 4);
    wait_for_cts(fd, 0);
    CHECK_READS(fd, "held");
    CHECK(unsent(fd) == 0);
    wait_for_cts(fd, 1);
    CHECK_WRITES(fd, "dropped");
    CHECK(tcflush(fd, TCOFLUSH) == 0 && unsent(fd) == 0);
    // No more than fits is taken, and a write that may not wait says so.
    static char much[2 * QUEUE];
    memset(much, 'x', sizeof much);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    ssize_t taken = write(fd, much, sizeof much);
    CHECK(taken >= QUEUE / 2 && taken <= QUEUE && unsent(fd) == taken);
    CHECK_ERRNO(write(fd, much, 1), EAGAIN);
    CHECK(events_now(fd) == 0);
    wait_for_cts(fd, 0);
    ssize_t came = 0;
    while (came < taken && wait_for(fd, POLLIN) > 0) {
        ssize_t part = read(fd, much, sizeof much);
        if (part <= 0)
            break;
        came += part;
    }
    CHECK(came == taken && wait_for(fd, POLLOUT) == POLLOUT);
    close_loop(fd);
}

// Who sends more than is read is stopped by RTS: nothing is lost.
static void stops_by_rts(void)
{
    int fd = open_loop(CRTSCTS, 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (int sent = 0; sent < MUCH; sent += 10) {
            char text[16];
            snprintf(text, sizeof text, "%09d\n", sent);
            CHECK(write(fd, text, 10) == 10);
        }
        child_exit();
    }
    for (int i = 0; i < 100 && lines(fd) & TIOCM_RTS; i++)
        sleep_ms(100);
    int waiting = 0;
    CHECK((lines(fd) & (TIOCM_RTS | TIOCM_CTS)) == 0);
    CHECK(ioctl(fd, FIONREAD, &waiting) == 0 && waiting > QUEUE / 2 && waiting < QUEUE);
    CHECK(waitpid(pid, 0, WNOHANG) == 0);
    int wrong = 0;
    for (int seen = 0; seen < MUCH && !wrong; seen += 10) {
        char text[16], got[16] = "";
        snprintf(text, sizeof text, "%09d\n", seen);
        for (int len = 0; len < 10;) {
            ssize_t part = wait_for(fd, POLLIN) > 0 ? read(fd, got + len, 10 - len) : -1;
            if (part <= 0) {
                wrong = 1;
                break;
            }
            len += part;
        }
        wrong |= memcmp(text, got, 10) != 0;
        if (wrong)
            printf("at %d: read \"%.10s\"\n", seen, got);
    }
    CHECK(!wrong);
    CHECK_CHILD(pid, 0);
    CHECK(lines(fd) & TIOCM_RTS);
    close_loop(fd);
}

static void breaks(void)
{
    int fd = open_line(0);
    double start = now_s();
    CHECK(tcsendbreak(fd, 0) == 0 && now_s() - start >= 0.24);
    start = now_s();
    CHECK(ioctl(fd, TCSBRKP, 1) == 0 && now_s() - start >= 0.09);
    CHECK(ioctl(fd, TIOCSBRK) == 0 && ioctl(fd, TIOCCBRK) == 0);
    close(fd);
}

static void nothing(int signal) { (void)signal; }

// Another process changes RTS, and with it CTS, all the time: that ends a wait for CTS, and none for other lines.
static void waits_for_lines(void)
{
    int fd = open_loop(0, 0);
    struct counts before = {0}, after = {0};
    CHECK(ioctl(fd, TIOCGICOUNT, &before) == 0);
    pid_t pid = fork();
    if (pid == 0)
        for (;;) {
            change_lines(fd, TIOCMBIC, TIOCM_RTS);
            sleep_ms(10);
            change_lines(fd, TIOCMBIS, TIOCM_RTS);
            sleep_ms(10);
        }
    CHECK(ioctl(fd, TIOCMIWAIT, TIOCM_CTS) == 0);
    CHECK(ioctl(fd, TIOCMIWAIT, TIOCM_RI | TIOCM_CTS) == 0);
    CHECK(ioctl(fd, TIOCGICOUNT, &after) == 0);
    CHECK(after.cts - before.cts >= 2 && after.dsr == before.dsr && after.rng == before.rng && after.dcd == before.dcd);
    struct sigaction action = {.sa_handler = nothing};
    CHECK(sigaction(SIGUSR1, &action, 0) == 0);
    pid_t waker = fork();
    if (waker == 0) {
        for (int i = 0; i < 100; i++) {
            sleep_ms(50);
            kill(getppid(), SIGUSR1);
        }
        child_exit();
    }
    CHECK_ERRNO(ioctl(fd, TIOCMIWAIT, TIOCM_DSR | TIOCM_RI | TIOCM_CD), EINTR);
    kill(waker, SIGKILL);
    kill(pid, SIGKILL);
    CHECK_CHILD(waker, SIGKILL);
    CHECK_CHILD(pid, SIGKILL);
    close_loop(fd);
    struct pair pair = open_pair();
    CHECK_ERRNO(ioctl(pair.slave, TIOCMIWAIT, TIOCM_CTS), ENOTTY);
    close_pair(&pair);
}

static void interrupt_key(void)
{
    int fd = open_loop(0, 0);
    struct termios settings;
    CHECK(tcgetattr(fd, &settings) == 0);
    settings.c_lflag |= ISIG;
    CHECK(tcsetattr(fd, TCSANOW, &settings) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        CHECK(ioctl(fd, TIOCSCTTY, 0) == 0 && tcgetpgrp(fd) == getpid());
        int own = open("/dev/tty", O_RDWR);
        struct stat about;
        CHECK(own >= 0 && fstat(own, &about) == 0);
        CHECK_WRITES(fd, "\003");
        sleep_ms(PATIENCE_MS);
        child_exit();
    }
    CHECK_CHILD(pid, SIGINT);
    // With its session's leader the line is hung up: the file is dead.
    int bits;
    CHECK_ERRNO(ioctl(fd, TIOCMGET, &bits), EIO);
    CHECK_ERRNO(write(fd, "x", 1), EIO);
    CHECK(read(fd, &bits, 1) == 0);
    close(fd);
    close_loop(open_line(0));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"initial", initial}, {"speeds", speeds}, {"modem-lines", modem_lines}, {"hang-up", hang_up},
        {"data", data}, {"marks", marks}, {"waits-for-cts", waits_for_cts}, {"stops-by-rts", stops_by_rts},
        {"breaks", breaks}, {"waits-for-lines", waits_for_lines}, {"interrupt-key", interrupt_key},
    };
    return RUN_TABLE(tests);
}
