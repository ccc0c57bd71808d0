// What a signal handler finds and leaves: registers and floating-point state kept, faults with their codes and addresses,
// system calls that it interrupts.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <immintrin.h>
#include <poll.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { FUTEX_WAIT_PRIVATE = 128 };

static volatile int handled;
static siginfo_t got;
static ucontext_t got_context;
static sigjmp_buf back;

static void count(int signal)
{
    (void)signal;
    handled++;
}

static void jump(int signal, siginfo_t *info, void *context)
{
    got = *info;
    memcpy(&got_context, context, sizeof(mcontext_t) + offsetof(ucontext_t, uc_mcontext));
    handled++;
    siglongjmp(back, signal);
}

static void on(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(signal, &action, 0) == 0);
}

// Runs a statement that must fault with this signal, code and address.
#define FAULTS(statement, signal, code, address)                                                                       \
    do {                                                                                                               \
        memset(&got, 0, sizeof got);                                                                                   \
        int came_ = sigsetjmp(back, 1);                                                                                \
        if (came_ == 0) {                                                                                              \
            statement;                                                                                                 \
        }                                                                                                              \
        int holds_ = came_ == (signal) && got.si_signo == (signal) && got.si_code == (code) &&                         \
                     got.si_addr == (void *)(address);                                                                 \
        if (!holds_)                                                                                                   \
            printf("%s: signal %d, code %d, address %p\n", #statement, came_, got.si_code, got.si_addr);               \
        CHECK(holds_);                                                                                                 \
    } while (0)

static void faults(void)
{
    struct sigaction action = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};
    int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++)
        sigaction(signals[i], &action, 0);
    volatile char *none = (char *)0x10000, *kernel = (char *)0xffff800000001000;
    volatile char *fixed = read_only();
    char *text = mmap(0, TEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAULTS(*none, SIGSEGV, SEGV_MAPERR, none);
    FAULTS(none[5] = 1, SIGSEGV, SEGV_MAPERR, none + 5);
    FAULTS(fixed[7] = 1, SIGSEGV, SEGV_ACCERR, fixed + 7);
    FAULTS(*(volatile char *)hole(), SIGSEGV, SEGV_ACCERR, hole());
    FAULTS(*kernel, SIGSEGV, SEGV_MAPERR, kernel);
    FAULTS(*(volatile char *)0x800000000000, SIGSEGV, SI_KERNEL, 0);
    FAULTS(((void (*)(void))text)(), SIGSEGV, SEGV_ACCERR, text);
    CHECK(got_context.uc_mcontext.gregs[REG_RIP] == (greg_t)text);
    CHECK(got_context.uc_mcontext.gregs[REG_TRAPNO] == 14 && got_context.uc_mcontext.gregs[REG_CR2] == (greg_t)text);
    // A fetch by the user; whether the page was there depends on what the kernel brought in beforehand.
    CHECK((got_context.uc_mcontext.gregs[REG_ERR] | 1) == 0x15);
    volatile int zero = 0, one = 1;
    int came = sigsetjmp(back, 1);
    if (came == 0)
        one = one / zero;
    CHECK(came == SIGFPE && got.si_code == FPE_INTDIV);
    CHECK(got.si_addr == (void *)got_context.uc_mcontext.gregs[REG_RIP] && got_context.uc_mcontext.gregs[REG_TRAPNO] == 0);
    came = sigsetjmp(back, 1);
    if (came == 0)
        __asm__ volatile("ud2");
    CHECK(came == SIGILL && got.si_code == ILL_ILLOPN && got.si_addr == (void *)got_context.uc_mcontext.gregs[REG_RIP]);
    came = sigsetjmp(back, 1);
    if (came == 0)
        __asm__ volatile("int3");
    CHECK(came == SIGTRAP && got.si_code == SI_KERNEL);
    came = sigsetjmp(back, 1);
    if (came == 0)
        __asm__ volatile("hlt");
    CHECK(came == SIGSEGV && got.si_code == SI_KERNEL && got.si_addr == 0);
    CHECK(got_context.uc_mcontext.gregs[REG_TRAPNO] == 13);
}

// Beyond the end of a mapped file.
static void beyond_file(void)
{
    struct sigaction action = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, 0);
    int fd = open("/proc/self/exe", O_RDONLY);
    if (fd < 0)
        fd = open("/tests/handlers", O_RDONLY);
    CHECK(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    size_t last = (size + TEST_PAGE - 1) & -TEST_PAGE;
    char *file = mmap(0, last + TEST_PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(file != MAP_FAILED && file[last - 1] == 0);
    FAULTS(*(volatile char *)(file + last + 9), SIGBUS, BUS_ADRERR, file + last + 9);
}

// Floating-point exceptions that the program has asked for.
static void floating_point(void)
{
    struct sigaction action = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};
    sigaction(SIGFPE, &action, 0);
    struct { unsigned unmask; double a, b; int code; } cases[] = {
        {_MM_MASK_DIV_ZERO, 1, 0, FPE_FLTDIV},
        {_MM_MASK_INVALID, 0, 0, FPE_FLTINV},
        {_MM_MASK_OVERFLOW, 1e308, 1e-308, FPE_FLTOVF},
        {_MM_MASK_UNDERFLOW, 1e-308, 1e308, FPE_FLTUND},
        {_MM_MASK_INEXACT, 1, 3, FPE_FLTRES},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        volatile double a = cases[i].a, b = cases[i].b, c;
        int came = sigsetjmp(back, 1);
        if (came == 0) {
            _mm_setcsr((_mm_getcsr() & ~0x3f) & ~cases[i].unmask);
            c = a / b;
            (void)c;
        }
        _mm_setcsr(0x1f80);
        // QEMU's emulation raises none of these.
        CHECK(came == 0 || (came == SIGFPE && got.si_code == cases[i].code));
    }
    // But those of the x87 unit.
    volatile unsigned short control = 0x037f & ~4;
    int came = sigsetjmp(back, 1);
    if (came == 0)
        __asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(control));
    __asm__ volatile("fninit");
    CHECK(came == SIGFPE && got.si_code == FPE_FLTDIV);
}

static void dirty_registers(int signal)
{
    (void)signal;
    handled++;
    _mm_setcsr(0x1f80 | 0x8000);
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm15, %%xmm15; fldz; fldz"
                     ::: "xmm0", "xmm7", "xmm15", "st", "st(1)");
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vxorps %%ymm0, %%ymm0, %%ymm0; vxorps %%ymm9, %%ymm9, %%ymm9" ::: "xmm0", "xmm9");
    if (handled < 3)
        raise(SIGUSR1);
}

static void fpu_state(void)
{
    static const char pattern[32] __attribute__((aligned(32))) = "floating-point state, 32 bytes!";
    static char after[4][32] __attribute__((aligned(32)));
    long double kept;
    on(SIGUSR1, dirty_registers, SA_NODEFER);
    long pid = getpid(), number = SYS_kill;
    _mm_setcsr(0x1fa0);
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vmovdqa (%[p]), %%ymm0; vmovdqa (%[p]), %%ymm7; vmovdqa (%[p]), %%ymm9; vmovdqa (%[p]), %%ymm15\n"
                         "syscall\n"
                         "vmovdqa %%ymm0, (%[a]); vmovdqa %%ymm7, 32(%[a]); vmovdqa %%ymm9, 64(%[a]); vmovdqa %%ymm15, 96(%[a])"
                         : "+a"(number) : [p] "r"(pattern), [a] "r"(after), "D"(pid), "S"((long)SIGUSR1)
                         : "rcx", "r11", "memory", "xmm0", "xmm7", "xmm9", "xmm15");
        for (int i = 0; i < 4; i++)
            CHECK(memcmp(after[i], pattern, 32) == 0);
    } else {
        __asm__ volatile("movdqa (%[p]), %%xmm0; movdqa (%[p]), %%xmm7; movdqa (%[p]), %%xmm15\n"
                         "syscall\n"
                         "movdqa %%xmm0, (%[a]); movdqa %%xmm7, 32(%[a]); movdqa %%xmm15, 64(%[a])"
                         : "+a"(number) : [p] "r"(pattern), [a] "r"(after), "D"(pid), "S"((long)SIGUSR1)
                         : "rcx", "r11", "memory", "xmm0", "xmm7", "xmm15");
        for (int i = 0; i < 3; i++)
            CHECK(memcmp(after[i], pattern, 16) == 0);
    }
    CHECK(number == 0 && handled == 3 && _mm_getcsr() == 0x1fa0);
    number = SYS_kill;
    handled = 0;
    __asm__ volatile("fldpi; syscall; fstpt %[k]"
                     : "+a"(number), [k] "=m"(kept) : "D"(pid), "S"((long)SIGUSR1) : "rcx", "r11", "memory", "st");
    CHECK(kept > 3.14159L && kept < 3.1416L && handled == 3);
}

// A handler changes what it returns to.
static void skip_instruction(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    ucontext_t *frame = context;
    frame->uc_mcontext.gregs[REG_RIP] += 2;
    frame->uc_mcontext.gregs[REG_RBX] = 0x1234567890abcdef;
    sigaddset(&frame->uc_sigmask, SIGUSR2);
}

static void changed_frame(void)
{
    struct sigaction action = {.sa_sigaction = skip_instruction, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, 0);
    uint64_t value = 0, flags_before, flags_after;
    __asm__ volatile("stc; pushfq; popq %[b]; ud2; movq %%rbx, %[v]; pushfq; popq %[f]"
                     : [v] "=&r"(value), [b] "=&r"(flags_before), [f] "=&r"(flags_after)::"rbx", "cc", "memory");
    CHECK(value == 0x1234567890abcdef && (flags_before & 0x8d5) == (flags_after & 0x8d5));
    sigset_t mask;
    CHECK(sigprocmask(SIG_BLOCK, 0, &mask) == 0 && sigismember(&mask, SIGUSR2));
}

// A frame that was never there, or cannot be read, ends the program and nothing else.
static void forged_frames(void)
{
    for (unsigned i = 0; i < 6; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            uintptr_t stacks[] = {0x10000, 0xffff800000001000, 0x800000000000, (uintptr_t)hole() - 64, (uintptr_t)hole(), 0};
            char *garbage = malloc(16384);
            memset(garbage, 0xff, 16384);
            stacks[5] = (uintptr_t)garbage + 4096;
            __asm__ volatile("movq %0, %%rsp; movl $15, %%eax; syscall; movl $60, %%eax; xorl %%edi, %%edi; syscall" ::"r"(stacks[i]));
        }
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
    }
}

static void send_at(int signal, int ms)
{
    pid_t target = getpid();
    if (fork() == 0) {
        sleep_ms(ms);
        kill(target, signal);
        _exit(0);
    }
}

// Each kind of sleep: number, whether SA_RESTART begins it again, and what ends it in the end.
static int a_pipe[2];
static uint32_t a_word;
static int wait_for_word(void) { return syscall(SYS_futex, &a_word, FUTEX_WAIT_PRIVATE, 0, 0); }
static int sleep_in_read(void) { char c; return read(a_pipe[0], &c, 1); }
static int sleep_in_futex(void) { struct timespec t = {0, 120000000}; return syscall(SYS_futex, &a_word, FUTEX_WAIT_PRIVATE, 0, &t); }
static int sleep_in_poll(void) { struct pollfd p = {a_pipe[0], POLLIN, 0}; return poll(&p, 1, 120); }
static int sleep_in_select(void) { struct timeval t = {0, 120000}; fd_set s; FD_ZERO(&s); FD_SET(a_pipe[0], &s); return select(a_pipe[0] + 1, &s, 0, 0, &t); }
static int sleep_in_epoll(void) { struct epoll_event e; int fd = epoll_create1(0); int r = epoll_wait(fd, &e, 1, 120); int x = errno; close(fd); errno = x; return r; }
static int sleep_in_nanosleep(void) { struct timespec t = {0, 120000000}; return syscall(SYS_nanosleep, &t, 0); }
static int sleep_in_clock(void) { struct timespec t = {0, 120000000}; return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, 0); }

static const struct {
    const char *name;
    int (*sleep)(void);
    int restarts; // after a handler with SA_RESTART
    int end;      // its result if nothing interrupts it; -2 for what has no end of its own
    int error;
} sleeps[] = {
    {"read", sleep_in_read, 1, -2, 0},
    {"futex", sleep_in_futex, 0, -1, ETIMEDOUT},
    {"poll", sleep_in_poll, 0, 0, 0},
    {"select", sleep_in_select, 0, 0, 0},
    {"epoll", sleep_in_epoll, 0, 0, 0},
    {"nanosleep", sleep_in_nanosleep, 0, 0, 0},
    {"clock_nanosleep", sleep_in_clock, 0, 0, 0},
};
enum { SLEEPS = sizeof sleeps / sizeof *sleeps };

static void interrupted_calls(void)
{
    CHECK(pipe(a_pipe) == 0);
    signal(SIGCHLD, SIG_IGN);
    int late = 0;
    for (int restart = 0; restart < 2; restart++) {
        for (int i = 0; i < SLEEPS; i++) {
            on(SIGUSR1, count, restart ? SA_RESTART : 0);
            handled = 0;
            send_at(SIGUSR1, 30);
            if (sleeps[i].end == -2 && fork() == 0) {
                sleep_ms(120);
                write(a_pipe[1], "x", 1);
                _exit(0);
            }
            double start = now_s();
            errno = 0;
            int result = sleeps[i].sleep(), error = errno;
            double took = now_s() - start;
            if (handled == 0 && sleeps[i].end != -2 && late < 10) {
                // On a busy machine the sleep has ended by itself before the signal was sent: that says nothing.
                for (late++; handled == 0;)
                    sleep_ms(1);
                i--;
                continue;
            }
            int holds = handled == 1;
            if (restart && sleeps[i].restarts)
                holds &= took >= 0.11 && (sleeps[i].end == -2 ? result == 1 : result == sleeps[i].end && error == sleeps[i].error);
            else
                holds &= result == -1 && error == EINTR;
            if (!holds)
                printf("%s, restart %d: result %d, errno %d, %d handled, %f s\n", sleeps[i].name, restart, result, error, handled, took);
            CHECK(holds);
            if (sleeps[i].end == -2 && result != 1)
                sleep_in_read();
        }
    }
}

// Without a timeout, a futex is waited for again after a handler with SA_RESTART.
static void interrupted_futex(void)
{
    uint32_t *word = shared_page();
    for (int restart = 0; restart < 2; restart++) {
        on(SIGUSR1, count, restart ? SA_RESTART : 0);
        handled = 0;
        send_at(SIGUSR1, 30);
        pid_t pid = fork();
        if (pid == 0) {
            sleep_ms(100);
            syscall(SYS_futex, word, 1, 1, 0);
            _exit(0);
        }
        errno = 0;
        int result = syscall(SYS_futex, word, 0, 0, 0), error = errno;
        CHECK(handled == 1);
        CHECK(restart ? result == 0 : result == -1 && error == EINTR);
        CHECK_CHILD(pid, 0);
    }
    on(SIGUSR1, count, 0);
    send_at(SIGUSR1, 30);
    CHECK_ERRNO(wait_for_word(), EINTR);
}

// Stopped and continued without a handler, every sleep goes on, and not longer than it should.
static void stopped_calls(void)
{
    CHECK(pipe(a_pipe) == 0);
    for (int i = 0; i < SLEEPS; i++) {
        double start = now_s();
        pid_t pid = fork();
        if (pid == 0) {
            errno = 0;
            start = now_s();
            int result = sleeps[i].sleep(), error = errno;
            double took = now_s() - start;
            int epoll_ends = strcmp(sleeps[i].name, "epoll") == 0 && result == -1 && error == EINTR;
            int good = epoll_ends || (took > 0.11 && took < 2 && (sleeps[i].end == -2 ? result == 1 : result == sleeps[i].end && error == sleeps[i].error));
            if (!good)
                printf("%s, stopped: result %d, errno %d, %f s\n", sleeps[i].name, result, error, took);
            fflush(stdout);
            _exit(!good);
        }
        sleep_ms(30);
        kill(pid, SIGSTOP);
        int status;
        CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        sleep_ms(30);
        kill(pid, SIGCONT);
        CHECK(waitpid(pid, &status, WCONTINUED) == pid);
        // On a slow machine its time may be over before this looks, and epoll_wait(2) does not go on at all.
        if (WIFEXITED(status) && (now_s() - start > 0.11 || strcmp(sleeps[i].name, "epoll") == 0)) {
            CHECK(WEXITSTATUS(status) == 0);
            continue;
        }
        CHECK(WIFCONTINUED(status));
        if (sleeps[i].end == -2) {
            sleep_ms(80);
            write(a_pipe[1], "x", 1);
        }
        CHECK_CHILD(pid, 0);
    }
}

static void interrupted_wait(void)
{
    for (int restart = 0; restart < 2; restart++) {
        on(SIGUSR1, count, restart ? SA_RESTART : 0);
        handled = 0;
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
            sleep_ms(30);
            kill(parent, SIGUSR1);
            sleep_ms(60);
            _exit(5);
        }
        int status = 0;
        if (!restart)
            CHECK_ERRNO(waitpid(pid, &status, 0), EINTR);
        CHECK(waitpid(pid, &status, 0) == pid && status == 5 << 8 && handled == 1);
    }
}

static void remaining_time(void)
{
    on(SIGUSR1, count, 0);
    signal(SIGCHLD, SIG_IGN);
    send_at(SIGUSR1, 50);
    struct timespec span = {1, 0}, left = {0, 0};
    double begin = now_s();
    CHECK_ERRNO(nanosleep(&span, &left), EINTR);
    // However late either of the two was: what was slept and what is left are all of it.
    CHECK(left.tv_sec == 0 && now_s() - begin + left.tv_nsec * 1e-9 >= 1);
    send_at(SIGUSR1, 20);
    CHECK_ERRNO(syscall(SYS_nanosleep, &span, hole()), EFAULT);
}

static void broken_pipe(void)
{
    int p[2];
    CHECK(pipe(p) == 0 && close(p[0]) == 0);
    on(SIGPIPE, count, 0);
    CHECK_ERRNO(write(p[1], "x", 1), EPIPE);
    CHECK(handled == 1);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        write(p[1], "x", 1);
        _exit(0);
    }
    CHECK_CHILD(pid, SIGPIPE);
}

static const struct test tests[] = {
    {"faults", faults},
    {"beyond file", beyond_file},
    {"floating point", floating_point},
    {"fpu state", fpu_state},
    {"changed frame", changed_frame},
    {"forged frames", forged_frames},
    {"interrupted calls", interrupted_calls},
    {"interrupted futex", interrupted_futex},
    {"stopped calls", stopped_calls},
    {"interrupted wait", interrupted_wait},
    {"remaining time", remaining_time},
    {"broken pipe", broken_pipe},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
