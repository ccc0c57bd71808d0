// Signals: sending, keeping back, waiting for them, handlers and their frames, stops, timers, SIGCHLD's rules.
#define _GNU_SOURCE
#include "table.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

enum { SET = 8 };

static volatile sig_atomic_t taken[65], order[256], order_len;
static volatile siginfo_t last_info;

static void note(int signal)
{
    taken[signal]++;
    if (order_len < 256)
        order[order_len++] = signal;
}

static void note_info(int signal, siginfo_t *info, void *context)
{
    (void)context;
    memcpy((void *)&last_info, info, sizeof *info);
    note(signal);
}

static void on(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(signal, &action, 0) == 0);
}

static void on_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    CHECK(sigaction(signal, &action, 0) == 0);
}

static uint64_t mask_of(int signal) { return 1ull << (signal - 1); }

static uint64_t mask(int how, uint64_t set)
{
    uint64_t old = 0;
    CHECK(syscall(SYS_rt_sigprocmask, how, &set, &old, SET) == 0);
    return old;
}

static uint64_t pending(void)
{
    uint64_t set = 0;
    CHECK(syscall(SYS_rt_sigpending, &set, SET) == 0);
    return set;
}

static void bad_pointers(void)
{
    uint64_t set = 0;
    struct timespec zero = {0, 0};
    timer_t timer;
    mask(SIG_BLOCK, mask_of(SIGUSR1));
    CHECK_BAD_IN(syscall(SYS_rt_sigaction, SIGUSR1, p, 0, SET), 32, 1);
    CHECK_BAD_OUT(syscall(SYS_rt_sigaction, SIGUSR1, 0, p, SET), 32, 1);
    CHECK_BAD_IN(syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, 0, SET), 8, 1);
    CHECK_BAD_OUT(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, p, SET), 8, 1);
    CHECK_BAD_OUT(syscall(SYS_rt_sigpending, p, SET), 8, 0);
    CHECK_BAD_IN(syscall(SYS_rt_sigsuspend, p, SET), 8, 0);
    CHECK_BAD_IN(syscall(SYS_rt_sigtimedwait, p, 0, &zero, SET), 8, 0);
    CHECK_BAD_IN(syscall(SYS_rt_sigtimedwait, &set, 0, p, SET), 16, 1);
    CHECK_BAD_IN(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, p), 48, 0);
    CHECK_BAD_IN(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, p), 48, 0);
    CHECK_BAD_IN(syscall(SYS_sigaltstack, p, 0), 24, 1);
    CHECK_BAD_OUT(syscall(SYS_sigaltstack, 0, p), 24, 1);
    CHECK_BAD_OUT(syscall(SYS_getitimer, ITIMER_REAL, p), 32, 0);
    CHECK_BAD_IN(syscall(SYS_setitimer, ITIMER_REAL, p, 0), 32, 1);
    CHECK_BAD_IN(syscall(SYS_timer_create, CLOCK_MONOTONIC, p, &timer), 64, 1);
    CHECK_BAD_OUT(syscall(SYS_timer_create, CLOCK_MONOTONIC, 0, p), 4, 0);
    int id = -1;
    CHECK(syscall(SYS_timer_create, CLOCK_MONOTONIC, 0, &id) == 0);
    CHECK_BAD_OUT(syscall(SYS_timer_gettime, id, p), 32, 0);
    CHECK_BAD_IN(syscall(SYS_nanosleep, p, 0), 16, 0);
    CHECK_BAD_IN(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, p, 0), 16, 0);
    CHECK(syscall(SYS_timer_delete, id) == 0);
    // Errors that come before a look at memory.
    CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, 8, 0, 4), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigaction, 0, 0, 0, SET), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigaction, 65, 0, 0, SET), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, 0, 16), EINVAL);
    CHECK_ERRNO(syscall(SYS_rt_sigprocmask, 3, &set, 0, SET), EINVAL);
    CHECK(syscall(SYS_rt_sigprocmask, 3, 0, &set, SET) == 0);
    CHECK_ERRNO(syscall(SYS_timer_settime, 77, 0, &zero, 0), EINVAL);
    CHECK_ERRNO(syscall(SYS_timer_create, 77, 0, &id), EINVAL);
}

// What each signal does without a handler.
static void default_actions(void)
{
    for (int signal = 1; signal <= 64; signal++) {
        int ignored = signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
        int stops = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
        pid_t pid = fork();
        if (pid == 0) {
            struct rlimit_ { uint64_t soft, hard; } none = {0, 0};
            syscall(SYS_setrlimit, 4, &none); // RLIMIT_CORE
            syscall(SYS_kill, getpid(), signal);
            _exit(7);
        }
        int status = -1;
        CHECK(waitpid(pid, &status, WUNTRACED) == pid);
        if (stops) {
            CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == signal);
            CHECK(kill(pid, SIGCONT) == 0);
            CHECK_CHILD(pid, 7 << 8);
        } else if (ignored) {
            CHECK(status == 7 << 8);
        } else {
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signal);
        }
    }
}

static void handle_all(void)
{
    for (int signal = 1; signal <= 64; signal++) {
        struct { void *handler; uint64_t flags; void *restorer; uint64_t mask; } action = {(void *)SIG_IGN, 0, 0, 0}, old;
        int fixed = signal == SIGKILL || signal == SIGSTOP;
        CHECK(syscall(SYS_rt_sigaction, signal, 0, &old, SET) == 0 && old.handler == (void *)SIG_DFL);
        if (fixed)
            CHECK_ERRNO(syscall(SYS_rt_sigaction, signal, &action, 0, SET), EINVAL);
        else
            CHECK(syscall(SYS_rt_sigaction, signal, &action, 0, SET) == 0 && kill(getpid(), signal) == 0);
        if (fixed || (signal >= 32 && signal <= 34)) // the library's own
            continue;
        on(signal, note, 0);
        CHECK(syscall(SYS_kill, getpid(), signal) == 0 && taken[signal] == 1);
        on(signal, SIG_DFL, 0);
    }
    uint64_t all = ~0ull;
    mask(SIG_SETMASK, all);
    CHECK(mask(SIG_SETMASK, 0) == (all & ~mask_of(SIGKILL) & ~mask_of(SIGSTOP)));
}

static void masks_and_pending(void)
{
    on(SIGUSR1, note, 0);
    on(SIGUSR2, note, 0);
    mask(SIG_BLOCK, mask_of(SIGUSR1) | mask_of(SIGUSR2));
    raise(SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR1);
    CHECK(pending() == (mask_of(SIGUSR1) | mask_of(SIGUSR2)) && order_len == 0);
    mask(SIG_UNBLOCK, mask_of(SIGUSR1));
    CHECK(taken[SIGUSR1] == 1 && taken[SIGUSR2] == 0);
    // Ignoring drops what is pending.
    on(SIGUSR2, SIG_IGN, 0);
    CHECK(pending() == 0);
    on(SIGUSR2, note, 0);
    mask(SIG_SETMASK, 0);
    CHECK(taken[SIGUSR2] == 0);
    // A blocked signal that is ignored stays pending, as it may be handled later.
    mask(SIG_BLOCK, mask_of(SIGCHLD));
    raise(SIGCHLD);
    CHECK(pending() == mask_of(SIGCHLD));
    on(SIGCHLD, note, 0);
    mask(SIG_SETMASK, 0);
    // A child begins with none pending, and with the mask.
    mask(SIG_BLOCK, mask_of(SIGUSR1));
    raise(SIGUSR1);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(pending() == 0 && mask(SIG_BLOCK, 0) == mask_of(SIGUSR1));
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    // Stop signals and SIGCONT take each other back.
    mask(SIG_SETMASK, mask_of(SIGTSTP) | mask_of(SIGCONT));
    raise(SIGTSTP);
    raise(SIGCONT);
    CHECK((pending() & mask_of(SIGTSTP)) == 0);
    raise(SIGTSTP);
    CHECK((pending() & mask_of(SIGCONT)) == 0);
    raise(SIGCONT);
}

static void realtime_order(void)
{
    int low = SIGRTMIN + 1, high = SIGRTMIN + 2;
    on_info(low, note_info, 0);
    on_info(high, note_info, 0);
    mask(SIG_BLOCK, ~0ull);
    for (int i = 0; i < 5; i++) {
        CHECK(sigqueue(getpid(), high, (union sigval){.sival_int = 100 + i}) == 0);
        CHECK(sigqueue(getpid(), low, (union sigval){.sival_int = i}) == 0);
    }
    uint64_t set = mask_of(low) | mask_of(high);
    siginfo_t info;
    struct timespec zero = {0, 0};
    for (int i = 0; i < 10; i++) {
        memset(&info, 0, sizeof info);
        CHECK(syscall(SYS_rt_sigtimedwait, &set, &info, &zero, SET) == (i < 5 ? low : high));
        CHECK(info.si_value.sival_int == (i < 5 ? i : 95 + i) && info.si_code == SI_QUEUE && info.si_pid == getpid());
    }
    CHECK_ERRNO(syscall(SYS_rt_sigtimedwait, &set, &info, &zero, SET), EAGAIN);
    // A full queue refuses real-time signals sent with a value. On Linux all of the user's processes fill it.
    struct { uint64_t soft, hard; } limit = {20, 20};
    CHECK(syscall(SYS_setrlimit, 11, &limit) == 0); // RLIMIT_SIGPENDING
    int sent = 0;
    while (sent < 100 && sigqueue(getpid(), low, (union sigval){.sival_int = 0}) == 0)
        sent++;
    CHECK(sent <= 20 && errno == EAGAIN);
    CHECK(kill(getpid(), SIGUSR1) == 0); // but not those of kill(2)
    CHECK(pending() & mask_of(SIGUSR1));
    // What pretends to come from the kernel or kill(2) may go to oneself only.
    siginfo_t fake = {.si_code = SI_USER};
    pid_t parent = getppid();
    CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, parent, SIGUSR1, &fake), EPERM);
    // Codes that say nothing of the fields: there must be none that are not kept.
    siginfo_t more = {.si_code = -8};
    ((char *)&more)[127] = 1;
    CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &more), E2BIG);
    more.si_code = SI_QUEUE;
    CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGCONT, &more) == 0);
    CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &(siginfo_t){.si_code = SI_QUEUE}), EINVAL);
}

// A signal that is blocked until the call: one is enough.
static void send_later(int signal, int ms)
{
    pid_t target = getpid();
    if (fork() == 0) {
        sleep_ms(ms);
        kill(target, signal);
        _exit(0);
    }
}

// One that is not: where the machine is slow the first may come before the call, so it is sent until `stop_sending`.
static pid_t send_often(int signal, int ms)
{
    pid_t target = getpid(), sender = fork();
    if (sender == 0) {
        for (;;) {
            sleep_ms(ms);
            if (getppid() != target || kill(target, signal) != 0)
                _exit(0);
        }
    }
    return sender;
}

static void stop_sending(pid_t sender)
{
    CHECK(kill(sender, SIGKILL) == 0);
    while (waitpid(sender, 0, 0) < 0 && errno == EINTR) {
    }
}

static void suspend_and_timedwait(void)
{
    on(SIGUSR1, note, 0);
    on(SIGCHLD, SIG_IGN, 0);
    mask(SIG_BLOCK, mask_of(SIGUSR1));
    raise(SIGUSR1);
    uint64_t none = 0, usr1 = mask_of(SIGUSR1);
    CHECK_ERRNO(syscall(SYS_rt_sigsuspend, &none, SET), EINTR);
    CHECK(taken[SIGUSR1] == 1 && mask(SIG_BLOCK, 0) == mask_of(SIGUSR1));
    send_later(SIGUSR1, 30);
    CHECK_ERRNO(syscall(SYS_rt_sigsuspend, &none, SET), EINTR);
    CHECK(taken[SIGUSR1] == 2);
    send_later(SIGUSR1, 30);
    siginfo_t info;
    struct timespec long_time = {5, 0}, short_time = {0, 30000000};
    CHECK(syscall(SYS_rt_sigtimedwait, &usr1, &info, &long_time, SET) == SIGUSR1);
    CHECK(info.si_code == SI_USER && taken[SIGUSR1] == 2);
    double start = now_s();
    CHECK_ERRNO(syscall(SYS_rt_sigtimedwait, &usr1, 0, &short_time, SET), EAGAIN);
    CHECK(now_s() - start >= 0.029);
    on(SIGUSR2, note, SA_RESTART);
    pid_t sender = send_often(SIGUSR2, 30);
    CHECK_ERRNO(syscall(SYS_rt_sigtimedwait, &usr1, 0, &long_time, SET), EINTR);
    mask(SIG_SETMASK, 0);
    CHECK_ERRNO(pause(), EINTR);
    stop_sending(sender);
}

static int depth, deepest;
static void recurse(int signal)
{
    note(signal);
    deepest = ++depth > deepest ? depth : deepest;
    if (taken[signal] < 5)
        raise(signal);
    depth--;
}

static uint64_t mask_inside;
static void look_at_mask(int signal)
{
    note(signal);
    mask_inside = mask(SIG_BLOCK, 0);
}

static void flags(void)
{
    on(SIGUSR1, recurse, SA_NODEFER);
    raise(SIGUSR1);
    CHECK(taken[SIGUSR1] == 5 && deepest == 5);
    depth = deepest = 0;
    on(SIGUSR2, recurse, 0);
    raise(SIGUSR2);
    CHECK(taken[SIGUSR2] == 5 && deepest == 1);
    on(SIGHUP, note, SA_RESETHAND);
    raise(SIGHUP);
    struct sigaction now;
    CHECK(sigaction(SIGHUP, 0, &now) == 0 && now.sa_handler == SIG_DFL && taken[SIGHUP] == 1);
    struct sigaction masked = {.sa_handler = look_at_mask};
    sigemptyset(&masked.sa_mask);
    sigaddset(&masked.sa_mask, SIGTERM);
    sigaction(SIGINT, &masked, 0);
    raise(SIGINT);
    CHECK(mask_inside == (mask_of(SIGINT) | mask_of(SIGTERM)) && mask(SIG_BLOCK, 0) == 0);
    on_info(SIGUSR1, note_info, 0);
    kill(getpid(), SIGUSR1);
    CHECK(last_info.si_signo == SIGUSR1 && last_info.si_code == SI_USER && last_info.si_pid == getpid());
    CHECK(last_info.si_uid == getuid());
    syscall(SYS_tkill, getpid(), SIGUSR1);
    CHECK(last_info.si_code == SI_TKILL);
}

static char *alternate;
static size_t alternate_len = 16384;
static volatile int on_alternate, flag_inside;
static void look_at_stack(int signal)
{
    char here;
    stack_t stack;
    note(signal);
    on_alternate = &here >= alternate && &here < alternate + alternate_len;
    sigaltstack(0, &stack);
    flag_inside = stack.ss_flags;
    if (on_alternate)
        CHECK_ERRNO(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, 0), EPERM);
}

static volatile int overflowed;
static void leave_overflow(int signal, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    note(signal);
    overflowed = 1;
    fflush(stdout);
    _exit(3);
}

static int deep(int n)
{
    volatile char block[4096];
    block[0] = n;
    if (n < 0)
        return 0;
    return deep(n + 1) + block[0];
}

static void alternate_stack(void)
{
    stack_t stack;
    CHECK(sigaltstack(0, &stack) == 0 && stack.ss_flags == SS_DISABLE);
    // Nothing lies below it, so that a handler that leaves it is seen.
    alternate = (char *)mmap(0, alternate_len + TEST_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + TEST_PAGE;
    CHECK(mprotect(alternate, alternate_len, PROT_READ | PROT_WRITE) == 0);
    CHECK_ERRNO(syscall(SYS_sigaltstack, &(stack_t){.ss_sp = alternate, .ss_size = 1024}, 0), ENOMEM);
    CHECK_ERRNO(syscall(SYS_sigaltstack, &(stack_t){.ss_sp = alternate, .ss_size = 8192, .ss_flags = 8}, 0), EINVAL);
    CHECK(sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = alternate_len}, 0) == 0);
    CHECK(sigaltstack(0, &stack) == 0 && stack.ss_sp == alternate && stack.ss_size == alternate_len && !stack.ss_flags);
    on(SIGUSR1, look_at_stack, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK(on_alternate && flag_inside == SS_ONSTACK);
    CHECK(sigaltstack(0, &stack) == 0 && stack.ss_sp == alternate && !stack.ss_flags);
    // A thread's stack that ran over: the handler runs on the other one.
    pid_t pid = fork();
    if (pid == 0) {
        struct { uint64_t soft, hard; } limit = {256 << 10, 256 << 10};
        syscall(SYS_setrlimit, 3, &limit); // RLIMIT_STACK
        on_info(SIGSEGV, leave_overflow, SA_ONSTACK);
        _exit(deep(0));
    }
    CHECK_CHILD(pid, 3 << 8);
    // Without one, nothing is left but to end it.
    pid = fork();
    if (pid == 0) {
        struct { uint64_t soft, hard; } limit = {256 << 10, 256 << 10};
        syscall(SYS_setrlimit, 3, &limit);
        on_info(SIGSEGV, leave_overflow, 0);
        _exit(deep(0));
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    // The alternate stack itself runs over: each handler takes another frame until there is no room.
    pid = fork();
    if (pid == 0) {
        struct sigaction again = {.sa_handler = recurse, .sa_flags = SA_ONSTACK | SA_NODEFER};
        sigaction(SIGUSR1, &again, 0);
        taken[SIGUSR1] = -1000;
        raise(SIGUSR1);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    // A child has it too, a new program not.
    pid = fork();
    if (pid == 0) {
        CHECK(sigaltstack(0, &stack) == 0 && stack.ss_sp == alternate);
        child_exit();
    }
    CHECK_CHILD(pid, 0);
    CHECK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, 0) == 0);
    raise(SIGUSR1);
    CHECK(!on_alternate);
}

// A program that only computes takes each signal without being asked for anything, also one that comes while it is on its
// way back from the last one's handler.
static volatile int *counted;
static void count_up(int signal)
{
    (void)signal;
    (*counted)++;
}
static void one_after_the_other(void)
{
    counted = shared_page();
    pid_t pid = fork();
    if (pid == 0) {
        on(SIGUSR1, count_up, 0);
        kill(getpid(), SIGUSR1);
        for (;;)
            ;
    }
    double until = now_s() + 1;
    for (int sent = 1; sent < 4000 && now_s() < until; sent++) {
        while (*counted < sent)
            sched_yield();
        kill(pid, SIGUSR1);
    }
    kill(pid, SIGKILL);
    CHECK_CHILD(pid, SIGKILL);
}

// A handler that lies where no program's code can be ends the program.
static void handlers_nowhere(void)
{
    for (unsigned i = 1; i < BAD_COUNT; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            on(SIGUSR1, (void (*)(int))bad_addresses[i], 0);
            kill(getpid(), SIGUSR1);
            _exit(1);
        }
        CHECK_CHILD(pid, SIGSEGV);
    }
}

static const struct test tests[] = {
    {"bad pointers", bad_pointers},
    {"default actions", default_actions},
    {"handle all", handle_all},
    {"masks and pending", masks_and_pending},
    {"real-time order", realtime_order},
    {"suspend and timedwait", suspend_and_timedwait},
    {"flags", flags},
    {"alternate stack", alternate_stack},
    {"one after the other", one_after_the_other},
    {"handlers nowhere", handlers_nowhere},
};

int main(int argc, char **argv) { return RUN_TABLE(tests); }
