// Virtual terminals: which is shown, which are used, what each has on its screen, whose controlling terminal it is.
// Not for a machine on whose screen somebody works: the tests show one terminal after the other.
#define _GNU_SOURCE
#include "pty.h"

// As in linux/kd.h and linux/vt.h, which the C library has not.
enum {
    KDGKBTYPE = 0x4b33, KDSETMODE = 0x4b3a, KDGETMODE = 0x4b3b, KDGKBMODE = 0x4b44, KDSKBMODE = 0x4b45,
    VT_OPENQRY = 0x5600, VT_GETMODE, VT_SETMODE, VT_GETSTATE, VT_RELDISP = 0x5605, VT_ACTIVATE, VT_WAITACTIVE, VT_DISALLOCATE,
    VT_LOCKSWITCH = 0x560b, VT_UNLOCKSWITCH,
    KB_101 = 2, KD_TEXT = 0, KD_GRAPHICS = 1, K_RAW = 0, K_UNICODE = 3, K_OFF = 4, VT_AUTO = 0, VT_PROCESS = 1, VT_ACKACQ = 2,
};
struct vt_mode { char mode, waitv; short relsig, acqsig, frsig; };
struct vt_stat { unsigned short v_active, v_signal, v_state; };

enum { FIRST = 1, COUNT = 4 };

static int open_vt(int number, int flags)
{
    char path[16];
    snprintf(path, sizeof path, "/dev/tty%d", number);
    int fd = open(path, O_RDWR | flags);
    CHECK(fd >= 0);
    return fd;
}

static int shown(int fd)
{
    struct vt_stat state = {0};
    CHECK(ioctl(fd, VT_GETSTATE, &state) == 0);
    return state.v_active;
}

static void show(int fd, int number)
{
    CHECK(ioctl(fd, VT_ACTIVATE, number) == 0);
    CHECK(ioctl(fd, VT_WAITACTIVE, number) == 0);
    CHECK(shown(fd) == number);
}

static void names(void)
{
    for (int number = 1; number <= COUNT; number++) {
        int fd = open_vt(number, O_NOCTTY);
        struct stat about;
        char path[16];
        snprintf(path, sizeof path, "/dev/tty%d", number);
        CHECK(fstat(fd, &about) == 0 && S_ISCHR(about.st_mode) && about.st_rdev == makedev(4, number));
        CHECK(isatty(fd) && ttyname(fd) && strcmp(ttyname(fd), path) == 0);
        CHECK_ERRNO(lseek(fd, 0, SEEK_SET), ESPIPE);
        close(fd);
    }
    struct stat about;
    CHECK(stat("/dev/tty0", &about) == 0 && about.st_rdev == makedev(4, 0));
    CHECK(stat("/dev/ttyS0", &about) == 0 && about.st_rdev == makedev(4, 64));
    CHECK_ERRNO(open("/dev/tty5", O_RDWR), ENOENT);
}

static void states(void)
{
    int fd = open_vt(2, O_NOCTTY), free = 0;
    struct vt_stat state = {0};
    CHECK(ioctl(fd, VT_GETSTATE, &state) == 0 && state.v_active == FIRST && state.v_state == (1 | 1 << 1 | 1 << 2));
    CHECK(ioctl(fd, VT_OPENQRY, &free) == 0 && free == 3);
    int third = open_vt(3, O_NOCTTY), fourth = open_vt(4, O_NOCTTY);
    CHECK(ioctl(fd, VT_OPENQRY, &free) == 0 && free == -1);
    CHECK_ERRNO(ioctl(fd, VT_DISALLOCATE, 3), EBUSY);
    close(third);
    CHECK(ioctl(fd, VT_OPENQRY, &free) == 0 && free == 3);
    CHECK(ioctl(fd, VT_DISALLOCATE, 3) == 0 && ioctl(fd, VT_DISALLOCATE, 0) == 0);
    close(fourth);
    close(fd);
}

static void switching(void)
{
    int fd = open_vt(2, O_NOCTTY);
    show(fd, 2);
    // Number 0 is the one that is shown when it is opened.
    int current = open_vt(0, O_NOCTTY);
    struct winsize size = {.ws_row = 7, .ws_col = 77}, got = {0};
    CHECK(ioctl(current, TIOCSWINSZ, &size) == 0);
    CHECK(ioctl(fd, TIOCGWINSZ, &got) == 0 && got.ws_row == 7 && got.ws_col == 77);
    close(current);
    show(fd, 4);
    CHECK_ERRNO(ioctl(fd, VT_DISALLOCATE, 4), EBUSY);
    show(fd, FIRST);
    CHECK(ioctl(fd, VT_DISALLOCATE, 4) == 0);
    for (int wrong = 0; wrong <= 1; wrong++) {
        CHECK_ERRNO(ioctl(fd, VT_ACTIVATE, wrong * 64), ENXIO);
        CHECK_ERRNO(ioctl(fd, VT_WAITACTIVE, wrong * 64), ENXIO);
    }
    close(fd);
}

static void nothing(int number) { (void)number; }

static void waiting(void)
{
    int fd = open_vt(2, O_NOCTTY);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(ioctl(fd, VT_WAITACTIVE, 3) == 0 && shown(fd) == 3);
        child_exit();
    }
    sleep_ms(200);
    CHECK(waitpid(pid, 0, WNOHANG) == 0);
    show(fd, 3);
    CHECK_CHILD(pid, 0);
    show(fd, FIRST);
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGUSR1, &action, 0);
    pid_t self = getpid();
    pid = fork();
    if (pid == 0) {
        sleep_ms(200);
        kill(self, SIGUSR1);
        child_exit();
    }
    CHECK_ERRNO(ioctl(fd, VT_WAITACTIVE, 3), EINTR);
    CHECK_CHILD(pid, 0);
    close(fd);
}

static void keyboard_and_mode(void)
{
    int fd = open_vt(2, O_NOCTTY), value = -1;
    char kind = 0;
    struct vt_mode mode = {.mode = 9};
    CHECK(ioctl(fd, KDGKBTYPE, &kind) == 0 && kind == KB_101);
    CHECK(ioctl(fd, KDGETMODE, &value) == 0 && value == KD_TEXT);
    CHECK(ioctl(fd, KDGKBMODE, &value) == 0 && value == K_UNICODE);
    CHECK(ioctl(fd, VT_GETMODE, &mode) == 0 && mode.mode == VT_AUTO);
    CHECK(ioctl(fd, VT_SETMODE, &mode) == 0 && ioctl(fd, KDSETMODE, KD_TEXT) == 0 && ioctl(fd, KDSKBMODE, K_UNICODE) == 0);
    CHECK_ERRNO(ioctl(fd, KDSETMODE, 9), EINVAL);
    CHECK_ERRNO(ioctl(fd, KDSKBMODE, 99), EINVAL);
    mode.mode = 9;
    CHECK_ERRNO(ioctl(fd, VT_SETMODE, &mode), EINVAL);
    for (int keys = K_RAW; keys <= K_OFF; keys++)
        CHECK(ioctl(fd, KDSKBMODE, keys) == 0 && ioctl(fd, KDGKBMODE, &value) == 0 && value == keys);
    CHECK(ioctl(fd, KDSETMODE, KD_GRAPHICS) == 0 && ioctl(fd, KDGETMODE, &value) == 0 && value == KD_GRAPHICS);
    // Who has neither the terminal nor the right to it may look, and no more.
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        CHECK(setuid(1000) == 0);
        mode.mode = VT_AUTO;
        CHECK(ioctl(fd, KDGETMODE, &value) == 0 && value == KD_GRAPHICS);
        CHECK_ERRNO(ioctl(fd, KDSETMODE, KD_TEXT), EPERM);
        CHECK_ERRNO(ioctl(fd, KDSKBMODE, K_UNICODE), EPERM);
        CHECK_ERRNO(ioctl(fd, VT_SETMODE, &mode), EPERM);
        CHECK_ERRNO(ioctl(fd, VT_RELDISP, 1), EPERM);
        CHECK_ERRNO(ioctl(fd, VT_LOCKSWITCH, 0), EPERM);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(ioctl(fd, KDSETMODE, KD_TEXT) == 0 && ioctl(fd, KDSKBMODE, K_UNICODE) == 0);
    CHECK_BAD_OUT(ioctl(fd, VT_GETSTATE, p), 6, 0);
    CHECK_BAD_OUT(ioctl(fd, VT_OPENQRY, p), 4, 0);
    CHECK_BAD_OUT(ioctl(fd, VT_GETMODE, p), 8, 0);
    CHECK_BAD_OUT(ioctl(fd, KDGETMODE, p), 4, 0);
    CHECK_BAD_OUT(ioctl(fd, KDGKBTYPE, p), 1, 0);
    CHECK_BAD_IN(ioctl(fd, VT_SETMODE, p), 8, 0);
    struct pair pair = open_pair();
    struct vt_stat state;
    CHECK_ERRNO(ioctl(pair.slave, VT_GETSTATE, &state), ENOTTY);
    CHECK_ERRNO(ioctl(pair.slave, KDGKBTYPE, &kind), ENOTTY);
    close_pair(&pair);
    close(fd);
}

// Waits for the signal, which is blocked.
static int signalled(int number)
{
    sigset_t set;
    struct timespec patience = {PATIENCE_MS / 1000, 0};
    sigemptyset(&set);
    sigaddset(&set, number);
    return sigtimedwait(&set, 0, &patience) == number;
}

static void set_switching(int fd, int how)
{
    struct vt_mode mode = {.mode = how, .relsig = SIGUSR1, .acqsig = SIGUSR2, .frsig = SIGUSR1};
    CHECK(ioctl(fd, VT_SETMODE, &mode) == 0 && ioctl(fd, VT_GETMODE, &mode) == 0);
    CHECK(mode.mode == how && mode.relsig == SIGUSR1 && mode.acqsig == SIGUSR2 && mode.frsig == 0);
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, 0);
}

static void asks_before_leaving(void)
{
    block_signals();
    int fd = open_vt(2, O_NOCTTY), third = open_vt(3, O_NOCTTY);
    show(fd, 2);
    CHECK_ERRNO(ioctl(fd, VT_RELDISP, 1), EINVAL);
    set_switching(fd, VT_PROCESS);
    CHECK_ERRNO(ioctl(fd, VT_RELDISP, 1), EINVAL);
    CHECK(ioctl(fd, VT_RELDISP, VT_ACKACQ) == 0);
    // No.
    CHECK(ioctl(third, VT_ACTIVATE, 3) == 0 && signalled(SIGUSR1) && shown(fd) == 2);
    CHECK(ioctl(fd, VT_RELDISP, 0) == 0 && shown(fd) == 2);
    CHECK_ERRNO(ioctl(fd, VT_RELDISP, 0), EINVAL);
    // Yes; drawing makes no difference.
    CHECK(ioctl(fd, KDSETMODE, KD_GRAPHICS) == 0);
    CHECK(ioctl(third, VT_ACTIVATE, 3) == 0 && signalled(SIGUSR1) && shown(fd) == 2);
    CHECK(ioctl(fd, VT_RELDISP, 1) == 0 && shown(fd) == 3);
    // Back again.
    CHECK(ioctl(third, VT_ACTIVATE, 2) == 0 && signalled(SIGUSR2) && shown(fd) == 2);
    CHECK(ioctl(fd, VT_RELDISP, VT_ACKACQ) == 0 && ioctl(fd, KDSETMODE, KD_TEXT) == 0);
    set_switching(fd, VT_AUTO);
    show(fd, FIRST);
    close(fd);
    close(third);
}

// Who was to be asked has ended: its terminal is as at the beginning.
static void nobody_to_ask(void)
{
    int fd = open_vt(2, O_NOCTTY), value = -1;
    show(fd, 2);
    pid_t pid = fork();
    if (pid == 0) {
        set_switching(fd, VT_PROCESS);
        CHECK(ioctl(fd, KDSETMODE, KD_GRAPHICS) == 0 && ioctl(fd, KDSKBMODE, K_OFF) == 0);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    struct vt_mode mode;
    CHECK(ioctl(fd, VT_GETMODE, &mode) == 0 && mode.mode == VT_PROCESS);
    show(fd, 3);
    CHECK(ioctl(fd, VT_GETMODE, &mode) == 0 && mode.mode == VT_AUTO);
    CHECK(ioctl(fd, KDGETMODE, &value) == 0 && value == KD_TEXT && ioctl(fd, KDGKBMODE, &value) == 0 && value == K_UNICODE);
    show(fd, FIRST);
    close(fd);
}

// Who draws without being asked is not left; nobody is while switching is locked.
static void stays(void)
{
    int fd = open_vt(2, O_NOCTTY);
    show(fd, 2);
    CHECK(ioctl(fd, KDSETMODE, KD_GRAPHICS) == 0);
    CHECK(ioctl(fd, VT_ACTIVATE, 3) == 0);
    sleep_ms(200);
    CHECK(shown(fd) == 2 && ioctl(fd, KDSETMODE, KD_TEXT) == 0);
    CHECK(ioctl(fd, VT_LOCKSWITCH, 0) == 0 && ioctl(fd, VT_ACTIVATE, 3) == 0);
    sleep_ms(200);
    CHECK(shown(fd) == 2 && ioctl(fd, VT_UNLOCKSWITCH, 0) == 0);
    show(fd, FIRST);
    close(fd);
}

// Here more ends with the last file than on Linux: whoever comes next can type and see.
static void modes_end_with_the_last_file(void)
{
    int fd = open_vt(2, O_NOCTTY), value = -1;
    make_raw(fd);
    CHECK_WRITES(fd, "\033c\033[3;7r\033[?1h\033[1;44m\033[?1047h");
    set_switching(fd, VT_PROCESS);
    CHECK(ioctl(fd, KDSETMODE, KD_GRAPHICS) == 0 && ioctl(fd, KDSKBMODE, K_RAW) == 0);
    close(fd);
    fd = open_vt(2, O_NOCTTY);
    struct vt_mode mode;
    CHECK(ioctl(fd, KDGETMODE, &value) == 0 && value == KD_TEXT && ioctl(fd, KDGKBMODE, &value) == 0 && value == K_UNICODE);
    CHECK(ioctl(fd, VT_GETMODE, &mode) == 0 && mode.mode == VT_AUTO && mode.relsig == 0);
    // The scroll region is the whole screen again: the cursor goes to the last row.
    make_raw(fd);
    struct winsize size = {0};
    char wanted[32];
    CHECK(ioctl(fd, TIOCGWINSZ, &size) == 0);
    for (int row = 0; row < size.ws_row; row++)
        CHECK_WRITES(fd, "\n");
    CHECK_WRITES(fd, "\r\033[6n");
    snprintf(wanted, sizeof wanted, "\033[%d;1R", size.ws_row);
    CHECK_READ(fd, wanted);
    close(fd);
}

// Each has a cursor of its own, shown or not.
static void screens(void)
{
    int second = open_vt(2, O_NOCTTY), third = open_vt(3, O_NOCTTY);
    make_raw(second);
    make_raw(third);
    CHECK_WRITES(second, "\033c\033[3;5H");
    CHECK_WRITES(third, "\033c12345\033[6n");
    CHECK_READ(third, "\033[1;6R");
    CHECK_WRITES(second, "\033[6n");
    CHECK_READ(second, "\033[3;5R");
    show(second, 2);
    CHECK_WRITES(second, "\033[6n");
    CHECK_READ(second, "\033[3;5R");
    show(second, FIRST);
    // The window is the screen's: the cursor goes no further.
    struct winsize size = {0};
    char wanted[32];
    CHECK(ioctl(third, TIOCGWINSZ, &size) == 0 && size.ws_row >= 25 && size.ws_col >= 80);
    CHECK_WRITES(third, "\033[999;999H\033[6n");
    snprintf(wanted, sizeof wanted, "\033[%d;%dR", size.ws_row, size.ws_col);
    CHECK_READ(third, wanted);
    close(second);
    close(third);
}

static void settings_end_with_the_last_file(void)
{
    int fd = open_vt(2, O_NOCTTY), again = open_vt(2, O_NOCTTY);
    struct termios settings;
    make_raw(fd);
    close(fd);
    CHECK(tcgetattr(again, &settings) == 0 && !(settings.c_lflag & ICANON));
    CHECK(ioctl(again, TIOCSTI, "x") == 0);
    close(again);
    fd = open_vt(2, O_NOCTTY);
    CHECK(tcgetattr(fd, &settings) == 0 && (settings.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG));
    int waiting = -1;
    CHECK(ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0 && events_now(fd) == POLLOUT);
    for (const char *at = "line\n"; *at; at++)
        CHECK(ioctl(fd, TIOCSTI, at) == 0);
    CHECK_READ(fd, "line\n");
    close(fd);
}

static void sessions(void)
{
    int fd = open_vt(3, O_NOCTTY);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        int own = open_vt(3, 0), controlling = open("/dev/tty", O_RDWR);
        CHECK(controlling >= 0 && tcgetsid(controlling) == getpid() && tcgetpgrp(own) == getpid());
        // The second session cannot have it.
        pid_t other = fork();
        if (other == 0) {
            setsid();
            CHECK(open_vt(3, 0) >= 0);
            CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
            CHECK_ERRNO(ioctl(own, TIOCSCTTY, 0), EPERM);
            child_exit();
        }
        CHECK_CHILD(other, 0);
        if (checks_failed)
            _exit(1);
        fflush(stdout);
        CHECK(ioctl(own, TIOCSTI, "\003") == 0);
        sleep_ms(10000);
        _exit(2);
    }
    CHECK_CHILD(pid, SIGINT);
    // It was hung up, so that the file is dead; another one finds that it is nobody's.
    CHECK_ERRNO(tcgetpgrp(fd) < 0 ? -1 : 0, EIO);
    close(fd);
    fd = open_vt(3, O_NOCTTY);
    CHECK_ERRNO(tcgetpgrp(fd) < 0 ? -1 : 0, ENOTTY);
    pid = fork();
    if (pid == 0) {
        setsid();
        CHECK(ioctl(fd, TIOCSCTTY, 0) == 0 && tcgetsid(fd) == getpid());
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    close(fd);
}

// Writers, switches and closings at the same time.
static void everything_at_once(void)
{
    pid_t pids[6];
    for (int i = 0; i < 6; i++) {
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        for (int round = 0; round < 150; round++) {
            int fd = open_vt(2 + (i + round) % 3, O_NOCTTY), number;
            CHECK(dprintf(fd, "\033[3%dm%d of %d\r\n\033[5n", i, round, i) > 0);
            CHECK(ioctl(fd, VT_ACTIVATE, 1 + (i + round) % COUNT) == 0 && ioctl(fd, VT_OPENQRY, &number) == 0);
            close(fd);
            int result = i == 0 ? ioctl(fd = open_vt(1, O_NOCTTY), VT_DISALLOCATE, 0) : 0;
            CHECK(result == 0);
            if (i == 0)
                close(fd);
        }
        child_exit();
    }
    for (int i = 0; i < 6; i++)
        CHECK_CHILD(pids[i], 0);
    int fd = open_vt(2, O_NOCTTY);
    show(fd, FIRST);
    close(fd);
}

static const struct test tests[] = {
    {"names", names},
    {"states", states},
    {"switching", switching},
    {"waiting", waiting},
    {"keyboard_and_mode", keyboard_and_mode},
    {"asks_before_leaving", asks_before_leaving},
    {"nobody_to_ask", nobody_to_ask},
    {"stays", stays},
    {"screens", screens},
    {"settings_end_with_the_last_file", settings_end_with_the_last_file},
    {"modes_end_with_the_last_file", modes_end_with_the_last_file},
    {"sessions", sessions},
    {"everything_at_once", everything_at_once},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
