// ptrace(2) of programs that live: signals, events, attaching and seizing, group stops, the tracer's end, and what is refused;
// against ptrace(2), wait(2) and sigaction(2). What is done with a stopped child is in ptrace.c.
#define _GNU_SOURCE
#include "ptrace.h"

#include <sys/prctl.h>

static int faults(void) { return *(volatile int *)0x10008; }
static int traced_twice(void) { return TRACE(PTRACE_TRACEME, 0, 0, 0) == -1 && errno == EPERM ? 5 : 1; }

static void note(int number, siginfo_t *info, void *context)
{
    shared[0] += context != 0;
    shared[1] = (uint64_t)number;
    shared[2] = (uint64_t)info->si_code;
    shared[3] = (uint64_t)info->si_pid;
    shared[4] = (uint64_t)info->si_value.sival_int;
}

static void notes(void)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGUSR2, &action, 0);
    shared[0] = 0;
}

static int takes_one(void)
{
    notes();
    kill(getpid(), SIGUSR1);
    return (int)shared[0];
}

// Shown before it is taken; then it is not, or is, or another one, or as the tracer has made it.
static void signals(void)
{
    static const struct { int signal, taken, code; } cases[] = {{0, 0, 0}, {SIGUSR1, 1, SI_USER}, {SIGUSR2, 1, SI_USER}, {SIGUSR2, 1, SI_QUEUE}};
    for (int i = 0; i < 4; i++) {
        pid_t pid = tracee(takes_one), sender[] = {0, pid, getpid(), 4711};
        RUNS(CONT, pid, 0, STOPPED(SIGUSR1));
        siginfo_t info = siginfo_of(pid);
        CHECK(shared[0] == 0 && info.si_signo == SIGUSR1 && info.si_code == SI_USER && info.si_pid == pid && info.si_uid == getuid());
        if (i == 3) {
            info.si_signo = SIGUSR2, info.si_code = SI_QUEUE, info.si_pid = 4711, info.si_value.sival_int = 77;
            CHECK(TRACE(PTRACE_SETSIGINFO, pid, 0, &info) == 0 && siginfo_of(pid).si_pid == 4711);
        }
        RUNS(CONT, pid, cases[i].signal, ENDED(cases[i].taken));
        if (cases[i].taken)
            CHECK(shared[1] == (uint64_t)cases[i].signal && (int)shared[2] == cases[i].code && (pid_t)shared[3] == sender[i]);
        CHECK(i != 3 || shared[4] == 77);
    }
}

static int ignores(void)
{
    signal(SIGUSR1, SIG_IGN);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGWINCH);
    return 4;
}

static void ignored_and_deadly(void)
{
    pid_t pid = tracee(ignores), killed = tracee(nothing);
    RUNS(CONT, pid, 0, STOPPED(SIGUSR1));
    RUNS(CONT, pid, SIGUSR1, STOPPED(SIGWINCH));
    RUNS(PTRACE_KILL, pid, 0, SIGKILL); // which is not shown, whoever it is from
    CHECK(kill(killed, SIGKILL) == 0);
    CHECK_CHILD(killed, SIGKILL);
}

static int asks_for_mask(void)
{
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, &shared[0], 8);
    kill(getpid(), SIGUSR1); // is blocked: not shown
    syscall(SYS_rt_sigpending, &shared[1], 8);
    shared[2] = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &shared[2], 0, 8);
    return 6;
}

static void masks(void)
{
    uint64_t mask = 1, all = UINT64_MAX, usr1 = 1 << (SIGUSR1 - 1), never = 1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1);
    pid_t pid = tracee(asks_for_mask);
    CHECK(TRACE(PTRACE_GETSIGMASK, pid, 8, &mask) == 0 && mask == 0);
    CHECK(TRACE(PTRACE_SETSIGMASK, pid, 8, &all) == 0 && TRACE(PTRACE_GETSIGMASK, pid, 8, &mask) == 0 && mask == ~never);
    CHECK_ERRNO(TRACE(PTRACE_GETSIGMASK, pid, 4, &mask), EINVAL);
    CHECK_ERRNO(TRACE(PTRACE_SETSIGMASK, pid, 16, &mask), EINVAL);
    CHECK(TRACE(PTRACE_SETSIGMASK, pid, 8, &usr1) == 0);
    RUNS(CONT, pid, 0, STOPPED(SIGUSR1));
    CHECK(shared[0] == usr1 && shared[1] == usr1);
    RUNS(CONT, pid, 0, ENDED(6));
}

static void faults_are_shown(void)
{
    pid_t pid = tracee(faults);
    for (int i = 0; i < 3; i++) { // whoever does not mend it sees it again
        RUNS(CONT, pid, 0, STOPPED(SIGSEGV));
        siginfo_t info = siginfo_of(pid);
        CHECK(info.si_signo == SIGSEGV && info.si_code == SEGV_MAPERR && info.si_addr == (void *)0x10008);
        CHECK(registers_of(pid).orig_rax == UINT64_MAX);
    }
    RUNS(CONT, pid, SIGTERM, SIGTERM);
}

static int parent_or_child(pid_t pid)
{
    int status = 0;
    if (pid == 0)
        _exit(3);
    return waitpid(pid, &status, 0) == pid && status == ENDED(3) ? 4 : 1;
}

static int forks(void) { return parent_or_child(fork()); }
static int vforks(void) { return parent_or_child(vfork()); }

static void new_processes(void)
{
    int options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT;
    for (int v = 0; v < 2; v++) {
        pid_t pid = tracee(v ? vforks : forks);
        CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, options) == 0);
        RUNS(CONT, pid, 0, v ? EVENT(VFORK) : EVENT(FORK));
        CHECK(siginfo_of(pid).si_code == (SIGTRAP | (v ? PTRACE_EVENT_VFORK : PTRACE_EVENT_FORK) << 8));
        pid_t child = (pid_t)message_of(pid);
        CHECK_CHILD(child, STOPPED(SIGSTOP));
        CHECK(registers_of(child).rax == 0 && registers_of(child).rip == registers_of(pid).rip);
        RUNS(CONT, child, 0, EVENT(EXIT)); // it has the options, too
        CHECK(message_of(child) == ENDED(3));
        RUNS(CONT, child, 0, ENDED(3));
        if (v) {
            RUNS(CONT, pid, 0, EVENT(VFORK_DONE));
            CHECK((pid_t)message_of(pid) == child);
        }
        RUNS(CONT, pid, 0, STOPPED(SIGCHLD)); // the tracer has waited for the child, now its parent can
        RUNS(CONT, pid, SIGCHLD, EVENT(EXIT));
        CHECK(message_of(pid) == ENDED(4));
        RUNS(CONT, pid, 0, ENDED(4));
        // Not asked for.
        pid = tracee(v ? vforks : forks);
        RUNS(CONT, pid, 0, STOPPED(SIGCHLD));
        RUNS(CONT, pid, 0, ENDED(4));
    }
    CHECK_ERRNO(waitpid(-1, 0, 0), ECHILD);
}

// A thread of which the library knows nothing: it only ends, with 9. The word is cleared then.
static char stack[4096] __attribute__((aligned(16)));
static volatile int word;
static int makes_thread(void)
{
    register volatile int *clears __asm__("r10") = &word;
    long result = SYS_clone, flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
    word = 1;
    __asm__ volatile("syscall; testl %%eax, %%eax; jnz 1f; movl $9, %%edi; movl $60, %%eax; syscall; 1:"
                     : "+a"(result) : "D"(flags), "S"(stack + sizeof stack), "d"(0L), "r"(clears) : "rcx", "r11", "memory");
    while (word != 0)
        syscall(SYS_futex, &word, 0, 1, 0);
    return result > 0 ? 4 : 1;
}

static void new_threads(void)
{
    pid_t pid = tracee(makes_thread);
    int status = 0;
    CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT) == 0);
    RUNS(CONT, pid, 0, EVENT(CLONE));
    pid_t tid = (pid_t)message_of(pid);
    CHECK(waitpid(tid, &status, __WALL) == tid && status == STOPPED(SIGSTOP));
    CHECK(registers_of(tid).rax == 0 && registers_of(tid).rsp == (uintptr_t)(stack + sizeof stack));
    // The one runs, the other does not.
    RUNS(CONT, tid, 0, EVENT(EXIT));
    CHECK(message_of(tid) == ENDED(9) && state_of(pid) == 't' && waitpid(pid, 0, WNOHANG) == 0);
    CHECK(TRACE(CONT, tid, 0, 0) == 0 && waitpid(tid, &status, __WALL) == tid && status == ENDED(9));
    CHECK_ERRNO(waitpid(tid, &status, __WALL), ECHILD);
    RUNS(CONT, pid, 0, EVENT(EXIT));
    RUNS(CONT, pid, 0, ENDED(4));
}

static int executes(void)
{
    char *args[] = {"ptrace-events", "--after-exec", 0};
    execve("/nowhere", args, args + 2);
    execve("/proc/self/exe", args, args + 2);
    return 9;
}

static void new_programs(void)
{
    pid_t pid = tracee(executes);
    CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD) == 0);
    RUNS(CONT, pid, 0, EVENT(EXEC));
    struct user_regs_struct regs = registers_of(pid);
    CHECK((pid_t)message_of(pid) == pid && regs.orig_rax == SYS_execve && regs.rbx == 0 && regs.r15 == 0 && regs.rsp % 16 == 0);
    CHECK(TRACE(PTRACE_PEEKDATA, pid, regs.rsp, 0) == 2); // argc
    RUNS(PTRACE_SYSCALL, pid, 0, CALL_STOP);
    CHECK(registers_of(pid).rax == 0 && registers_of(pid).orig_rax == SYS_execve && registers_of(pid).rip == regs.rip);
    RUNS(CONT, pid, 0, ENDED(6));
    // Not asked for: a signal of its own, behind the end of the second call.
    pid = tracee(executes);
    CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD) == 0);
    for (int stop = 0; stop < 4; stop++)
        RUNS(PTRACE_SYSCALL, pid, 0, CALL_STOP);
    CHECK(registers_of(pid).orig_rax == SYS_execve && registers_of(pid).rax == 0);
    RUNS(CONT, pid, 0, STOPPED(SIGTRAP));
    CHECK(siginfo_of(pid).si_code == SI_USER && siginfo_of(pid).si_pid == pid);
    RUNS(CONT, pid, 0, ENDED(6));
}

static pid_t attached(int (*body)(void), long call, long restart)
{
    pid_t pid = sleeper(body);
    RUNS(PTRACE_ATTACH, pid, 0, STOPPED(SIGSTOP));
    CHECK((long)registers_of(pid).orig_rax == call && (long)registers_of(pid).rax == -restart);
    return pid;
}

static long nap_ms;
static int naps(void)
{
    struct timespec span = {nap_ms / 1000, nap_ms % 1000 * 1000000};
    double begin = now_s();
    shared[0] = 1;
    shared[1] = (uint64_t)syscall(SYS_nanosleep, &span, 0);
    shared[2] = (uint64_t)((now_s() - begin) * 1e6);
    return reads();
}

static void attach_to_nanosleep(void)
{
    int early = 0;
    // On a busy machine its time may be over before it is stopped: that says nothing.
    for (nap_ms = 200; !early && nap_ms < 20000; nap_ms *= 2) {
        pid_t pid = sleeper(naps);
        RUNS(PTRACE_ATTACH, pid, 0, STOPPED(SIGSTOP));
        early = registers_of(pid).orig_rax == SYS_nanosleep && (long)registers_of(pid).rax == -RESTART_BLOCK;
        CHECK(TRACE(CONT, pid, 0, 0) == 0);
        LET_GO(pid, ENDED(5));
        CHECK(shared[1] == 0 && shared[2] >= (uint64_t)nap_ms * 1000);
    }
    CHECK(early);
}

static int pauses(void)
{
    notes();
    shared[0] = 1;
    return syscall(SYS_pause) == -1 && errno == EINTR && shared[1] == SIGUSR1 ? 5 : 1;
}

static void attach_to_pause(void)
{
    pid_t pid = attached(pauses, SYS_pause, RESTARTNOHAND);
    for (int i = 0; i < 2; i++) { // what is not taken does not interrupt it
        CHECK(TRACE(CONT, pid, 0, 0) == 0);
        wait_for_state(pid, 'S');
        CHECK(kill(pid, SIGUSR2) == 0);
        CHECK_CHILD(pid, STOPPED(SIGUSR2));
        CHECK((long)registers_of(pid).rax == -RESTARTNOHAND);
    }
    RUNS(PTRACE_DETACH, pid, SIGUSR1, ENDED(5));
}

static void attach_to_read(void)
{
    pid_t pid;
    for (int detached = 0; detached < 2; detached++) {
        pid = attached(reads, SYS_read, RESTARTSYS);
        CHECK(TRACE(detached ? PTRACE_DETACH : CONT, pid, 0, 0) == 0);
        wait_for_state(pid, 'S');
        LET_GO(pid, ENDED(5));
    }
    pid = attached(reads, SYS_read, RESTARTSYS);
    RUNS(PTRACE_DETACH, pid, SIGTERM, SIGTERM);
}

static void seize(void)
{
    pid_t pid = sleeper(reads);
    CHECK(TRACE(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) == 0);
    CHECK(waitpid(pid, 0, WNOHANG) == 0 && state_of(pid) == 'S');
    RUNS(PTRACE_INTERRUPT, pid, 0, GROUP_STOP(SIGTRAP));
    CHECK(siginfo_of(pid).si_code == (SIGTRAP | EVENT_STOP << 8) && (long)registers_of(pid).rax == -RESTARTSYS);
    // The call begins again, and is seen to, with the option given at first.
    RUNS(PTRACE_SYSCALL, pid, 0, CALL_STOP);
    CHECK(registers_of(pid).orig_rax == SYS_read && (long)registers_of(pid).rax == -ENOSYS);
    CHECK(TRACE(CONT, pid, 0, 0) == 0 && kill(pid, SIGSTOP) == 0);
    CHECK_CHILD(pid, STOPPED(SIGSTOP));
    CHECK_ERRNO(TRACE(PTRACE_LISTEN, pid, 0, 0), EIO); // it has not stopped as a group yet
    RUNS(CONT, pid, SIGSTOP, GROUP_STOP(SIGSTOP));
    CHECK(siginfo_of(pid).si_code == (SIGSTOP | EVENT_STOP << 8) && TRACE(PTRACE_LISTEN, pid, 0, 0) == 0);
    CHECK(waitpid(pid, 0, WNOHANG | WUNTRACED) == 0);
    CHECK_ERRNO(TRACE(PTRACE_PEEKUSER, pid, 0, 0), ESRCH);
    RUNS(PTRACE_INTERRUPT, pid, 0, GROUP_STOP(SIGSTOP)); // it still is
    CHECK(TRACE(PTRACE_LISTEN, pid, 0, 0) == 0 && kill(pid, SIGCONT) == 0);
    CHECK_CHILD(pid, GROUP_STOP(SIGTRAP));
    RUNS(CONT, pid, 0, STOPPED(SIGCONT));
    CHECK(TRACE(CONT, pid, 0, SIGCONT) == 0);
    LET_GO(pid, ENDED(5));
}

static void old_group_stop(void)
{
    siginfo_t info;
    pid_t pid = tracee(nothing);
    RUNS(CONT, pid, SIGSTOP, STOPPED(SIGSTOP));
    CHECK_ERRNO(TRACE(PTRACE_GETSIGINFO, pid, 0, &info), EINVAL); // which tells the two apart
    CHECK(waitpid(pid, 0, WNOHANG | WUNTRACED) == 0);             // once to the tracer, not once more to the parent
    CHECK_ERRNO(TRACE(PTRACE_LISTEN, pid, 0, 0), EIO);
    CHECK_ERRNO(TRACE(PTRACE_INTERRUPT, pid, 0, 0), EIO);
    RUNS(CONT, pid, 0, ENDED(7));
}

enum { RUNNING, INTERRUPTED, AT_CALL, SEES_SIGNAL, MISSES_SIGNAL, EXITKILL, CASES };
static void traces_and_ends(pid_t pid, int what)
{
    CHECK(TRACE(PTRACE_SEIZE, pid, 0, what == EXITKILL ? PTRACE_O_EXITKILL : PTRACE_O_TRACESYSGOOD) == 0);
    if (what == INTERRUPTED || what == AT_CALL)
        RUNS(PTRACE_INTERRUPT, pid, 0, GROUP_STOP(SIGTRAP));
    if (what == AT_CALL)
        RUNS(PTRACE_SYSCALL, pid, 0, CALL_STOP);
    if (what == SEES_SIGNAL || what == MISSES_SIGNAL) {
        CHECK(kill(pid, SIGTERM) == 0);
        wait_for_state(pid, 't');
    }
    if (what == SEES_SIGNAL)
        CHECK_CHILD(pid, STOPPED(SIGTERM));
    child_exit();
}

// Whoever is let go of goes on: with the signal it stopped for if the tracer has not waited for that stop, else without.
static void tracers_end(void)
{
    for (int what = 0; what < CASES; what++) {
        pid_t pid = sleeper(reads), tracer = fork();
        if (tracer == 0)
            traces_and_ends(pid, what);
        CHECK_CHILD(tracer, 0);
        if (what == EXITKILL || what == MISSES_SIGNAL)
            CHECK_CHILD(pid, what == EXITKILL ? SIGKILL : SIGTERM);
        else
            LET_GO(pid, ENDED(5));
    }
}

static void errors(void)
{
    static const int requests[] = {PTRACE_PEEKTEXT, PTRACE_PEEKUSER, PTRACE_POKEDATA, PTRACE_CONT, PTRACE_SINGLESTEP, PTRACE_SYSCALL,
                                   PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_GETSIGINFO, PTRACE_SETOPTIONS, PTRACE_DETACH, 0x4999};
    pid_t pid = tracee(traced_twice), gone = tracee(nothing), running = sleeper(reads);
    RUNS(CONT, gone, 0, ENDED(7));
    CHECK_ERRNO(TRACE(PTRACE_INTERRUPT, running, 0, 0), ESRCH);
    CHECK_ERRNO(TRACE(PTRACE_SEIZE, running, 8, 0), EIO);
    CHECK_ERRNO(TRACE(PTRACE_SEIZE, running, 0, 1 << 30), EIO);
    CHECK_ERRNO(TRACE(PTRACE_ATTACH, gone, 0, 0), ESRCH);
    CHECK_ERRNO(TRACE(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
    CHECK_ERRNO(TRACE(PTRACE_ATTACH, pid, 0, 0), EPERM);
    for (int seized = 0; seized < 2; seized++) {
        for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++) {
            CHECK_ERRNO(TRACE(requests[i], running, 0, 0), ESRCH);
            CHECK_ERRNO(TRACE(requests[i], seized ? gone : getpid(), 0, 0), ESRCH);
        }
        CHECK(seized || TRACE(PTRACE_SEIZE, running, 0, 0) == 0); // now it is a tracee, but runs
    }
    CHECK_ERRNO(TRACE(PTRACE_SEIZE, running, 0, 0), EPERM);
    LET_GO(running, ENDED(5));
    static const long offsets[] = {1, 4, sizeof(struct user_regs_struct) + 3, 4096, -8, 1l << 40};
    for (unsigned i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        CHECK_ERRNO(TRACE(PTRACE_PEEKUSER, pid, offsets[i], 0), EIO);
        CHECK_ERRNO(TRACE(PTRACE_POKEUSER, pid, offsets[i], 0), EIO);
    }
    static const int goings_on[] = {PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SINGLESTEP, PTRACE_DETACH};
    for (int i = 0; i < 4; i++) {
        CHECK_ERRNO(TRACE(goings_on[i], pid, 0, 65), EIO);
        CHECK_ERRNO(TRACE(goings_on[i], pid, 0, -1), EIO);
    }
    CHECK_ERRNO(TRACE(0x4999, pid, 0, 0), EIO);
    CHECK_ERRNO(TRACE(PTRACE_SETOPTIONS, pid, 0, 1 << 30), EINVAL);
    RUNS(CONT, pid, 0, ENDED(5));
}

static int become_user(void) { return setresgid(SOME_USER, SOME_USER, SOME_USER) == 0 && setresuid(SOME_USER, SOME_USER, SOME_USER) == 0; }
static int same_user(void) { return become_user() && prctl(PR_SET_DUMPABLE, 1) == 0 ? reads() : 1; }

static void permission(void)
{
    if (geteuid() != 0)
        return;
    pid_t root = sleeper(reads), same = sleeper(same_user), user = fork();
    if (user == 0) {
        CHECK(become_user());
        CHECK_ERRNO(TRACE(PTRACE_ATTACH, root, 0, 0), EPERM);
        CHECK_ERRNO(TRACE(PTRACE_SEIZE, root, 0, 0), EPERM);
        RUNS(PTRACE_ATTACH, same, 0, STOPPED(SIGSTOP));
        CHECK(TRACE(PTRACE_DETACH, same, 0, 0) == 0);
        child_exit();
    }
    CHECK_CHILD(user, 0);
    CHECK(write(let_go[1], "xx", 2) == 2);
    CHECK_CHILD(root, ENDED(5));
    CHECK_CHILD(same, ENDED(5));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"signals", signals}, {"ignored-and-deadly", ignored_and_deadly}, {"masks", masks}, {"faults-are-shown", faults_are_shown},
        {"new-processes", new_processes}, {"new-threads", new_threads}, {"new-programs", new_programs},
        {"attach-to-nanosleep", attach_to_nanosleep}, {"attach-to-pause", attach_to_pause}, {"attach-to-read", attach_to_read},
        {"seize", seize}, {"old-group-stop", old_group_stop}, {"tracers-end", tracers_end}, {"errors", errors}, {"permission", permission},
    };
    if (argc > 1 && strcmp(argv[1], "--after-exec") == 0)
        return 6;
    shared = shared_page();
    return pipe(let_go) == 0 ? RUN_TABLE(tests) : 1;
}
