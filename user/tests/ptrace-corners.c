// What ptrace.c and ptrace-events.c leave out: registers no program may have, bad pointers, tracees that are threads, a
// tracer that is not the parent, and more of the tracer's end; against ptrace(2) and wait(2).
#define _GNU_SOURCE
#include "ptrace.h"

#include <elf.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/uio.h>

static void registers_no_program_may_have(void)
{
    pid_t pid = tracee(nothing);
    struct user_regs_struct regs = registers_of(pid), changed = regs, again;
    changed.eflags ^= 0x3000 | 0x200 | 0x20000; // stay as they are, and nobody is told
    CHECK(TRACE(PTRACE_SETREGS, pid, 0, &changed) == 0 && registers_of(pid).eflags == regs.eflags);
    CHECK_ERRNO(TRACE(PTRACE_POKEUSER, pid, REGISTER(fs_base), 0xffff800000000000), EIO);
    CHECK_ERRNO(TRACE(PTRACE_POKEUSER, pid, REGISTER(gs_base), 0x0000800000000000), EIO);
    CHECK_ERRNO(TRACE(PTRACE_POKEUSER, pid, REGISTER(cs), 0x10), EIO);
    CHECK_ERRNO(TRACE(PTRACE_POKEUSER, pid, REGISTER(ss), 0), EIO);
    again = registers_of(pid);
    CHECK(memcmp(&again, &regs, sizeof again) == 0);
    CHECK(TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, u_tsize), 0) == 0); // nothing is there any more
    CHECK(TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[7]), 0) == 0);
    RUNS(CONT, pid, 0, ENDED(7));
    // Where there is no code and never can be.
    static const uint64_t nowhere[] = {0x10000, 0x00007ffffffff000, 0x0000800000000000, 0xffff800000000000, 0x5555555555555555};
    for (unsigned i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        pid = tracee(nothing);
        regs = registers_of(pid);
        regs.rip = regs.rcx = regs.rsp = nowhere[i];
        CHECK(TRACE(PTRACE_SETREGS, pid, 0, &regs) == 0);
        RUNS(CONT, pid, 0, STOPPED(SIGSEGV));
        CHECK(registers_of(pid).rip == nowhere[i]);
        RUNS(CONT, pid, SIGTERM, SIGTERM);
    }
}

// What the CPU would fault on is refused and changes nothing.
static void floating_point_no_program_may_have(void)
{
    static char area[16384];
    pid_t pid = tracee(nothing);
    struct user_fpregs_struct regs;
    struct iovec set = {area, sizeof area};
    CHECK(TRACE(PTRACE_GETFPREGS, pid, 0, &regs) == 0);
    regs.mxcsr = 0x80000000;
    CHECK_ERRNO(TRACE(PTRACE_SETFPREGS, pid, 0, &regs), EINVAL);
    if (__builtin_cpu_supports("avx")) {
        CHECK(TRACE(PTRACE_GETREGSET, pid, XSTATE_, &set) == 0);
        area[512 + 16] = 1; // in the header
        CHECK_ERRNO(TRACE(PTRACE_SETREGSET, pid, XSTATE_, &set), EINVAL);
    }
    CHECK(TRACE(PTRACE_GETFPREGS, pid, 0, &regs) == 0 && regs.mxcsr == 0x1f80);
    RUNS(CONT, pid, 0, ENDED(7));
}

static void bad_pointers(void)
{
    pid_t pid = tracee(nothing);
    uint64_t word = 0;
    struct iovec set = {0, sizeof(struct user_regs_struct)};
    // The kernel's own interface stores the word.
    CHECK(syscall(SYS_ptrace, PTRACE_PEEKDATA, pid, &set.iov_len, &word) == 0);
    CHECK_BAD_OUT(syscall(SYS_ptrace, PTRACE_PEEKDATA, pid, &set, p), 8, 0);
    CHECK_BAD_OUT(syscall(SYS_ptrace, PTRACE_PEEKUSER, pid, 0, p), 8, 0);
    CHECK_BAD_OUT(TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, p), sizeof set, 0);
    CHECK_BAD_OUT((set.iov_base = p, TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &set)), sizeof(struct user_regs_struct), 0);
    CHECK_BAD_OUT(TRACE(PTRACE_GETREGS, pid, 0, p), sizeof(struct user_regs_struct), 0);
    CHECK_BAD_OUT(TRACE(PTRACE_GETFPREGS, pid, 0, p), sizeof(struct user_fpregs_struct), 0);
    CHECK_BAD_IN(TRACE(PTRACE_SETFPREGS, pid, 0, p), sizeof(struct user_fpregs_struct), 0);
    CHECK_BAD_OUT(TRACE(PTRACE_GETSIGINFO, pid, 0, p), sizeof(siginfo_t), 0);
    CHECK_BAD_IN(TRACE(PTRACE_SETSIGINFO, pid, 0, p), 48, 0); // what is behind that is padding
    CHECK_BAD_OUT(TRACE(PTRACE_GETSIGMASK, pid, 8, p), 8, 0);
    CHECK_BAD_IN(TRACE(PTRACE_SETSIGMASK, pid, 8, p), 8, 0);
    CHECK_BAD_OUT(TRACE(PTRACE_GETEVENTMSG, pid, 0, p), 8, 0);
    CHECK_BAD_OUT(TRACE(PTRACE_GET_SYSCALL_INFO, pid, 24, p), 24, 0);
    for (int i = 0; i < BAD_COUNT; i++) {
        CHECK_ERRNO(TRACE(PTRACE_SETREGS, pid, 0, bad_addresses[i]), EFAULT);
        CHECK_ERRNO(TRACE(PTRACE_PEEKDATA, pid, bad_addresses[i], 0), EIO);
        CHECK_ERRNO(TRACE(PTRACE_POKEDATA, pid, bad_addresses[i], 0), EIO);
    }
    RUNS(CONT, pid, 0, ENDED(7));
}

static void told_by_sigchld(void)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, 0);
    pid_t pid = tracee(nothing);
    CHECK(sigwaitinfo(&set, &info) == SIGCHLD && info.si_pid == pid && info.si_code == CLD_TRAPPED && info.si_status == SIGSTOP);
    CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT) == 0 && TRACE(CONT, pid, 0, 0) == 0);
    CHECK(sigwaitinfo(&set, &info) == SIGCHLD && info.si_code == CLD_TRAPPED && info.si_status == SIGTRAP);
    CHECK_CHILD(pid, EVENT(EXIT));
    RUNS(CONT, pid, 0, ENDED(7));
    CHECK(sigwaitinfo(&set, &info) == SIGCHLD && info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == 7);
}

static int terminates(void)
{
    kill(getpid(), SIGTERM);
    return 1;
}

static void end_by_signal(void)
{
    pid_t pid = tracee(terminates);
    shared[9] = 99;
    CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT) == 0);
    RUNS(CONT, pid, 0, STOPPED(SIGTERM));
    RUNS(CONT, pid, SIGTERM, EVENT(EXIT));
    CHECK(message_of(pid) == SIGTERM && TRACE(PTRACE_PEEKDATA, pid, &shared[9], 0) == 99); // its memory is there still
    RUNS(CONT, pid, 0, SIGTERM);
}

static char *new_args[] = {"ptrace-corners", "--after-exec", 0};
static int executes(void) { return execve("/proc/self/exe", new_args, new_args + 2); }
static void *executes_as_thread(void *unused)
{
    executes();
    return unused;
}
static int thread_executes(void)
{
    pthread_t thread;
    return pthread_create(&thread, 0, executes_as_thread, 0) == 0 ? pthread_join(thread, 0) : 1;
}

// It becomes the first thread.
static void thread_that_executes(void)
{
    int status = 0;
    pid_t pid = tracee(thread_executes);
    CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC) == 0);
    RUNS(CONT, pid, 0, EVENT(CLONE));
    pid_t tid = (pid_t)message_of(pid);
    CHECK(waitpid(tid, &status, __WALL) == tid && status == STOPPED(SIGSTOP));
    CHECK(TRACE(CONT, pid, 0, 0) == 0);
    CHECK(TRACE(CONT, tid, 0, 0) == 0);
    CHECK_CHILD(pid, EVENT(EXEC));
    CHECK((pid_t)message_of(pid) == tid);
    CHECK_ERRNO(waitpid(tid, 0, __WALL | WNOHANG), ECHILD);
    RUNS(CONT, pid, 0, ENDED(6));
}

// As debuggers do that want something else to run: no call is begun again, and this is its result.
static void call_not_begun_again(void)
{
    pid_t pid = sleeper(reads);
    RUNS(PTRACE_ATTACH, pid, 0, STOPPED(SIGSTOP));
    CHECK((long)registers_of(pid).rax == -RESTARTSYS);
    shared[8] = 'x';
    CHECK(TRACE(PTRACE_POKEUSER, pid, REGISTER(orig_rax), -1) == 0 && TRACE(PTRACE_POKEUSER, pid, REGISTER(rax), 1) == 0);
    RUNS(CONT, pid, 0, ENDED(5));
}

static void attach_to_stopped(void)
{
    int status = 0;
    pid_t pid = sleeper(reads);
    CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid && status == STOPPED(SIGSTOP));
    RUNS(PTRACE_ATTACH, pid, 0, STOPPED(SIGSTOP));
    CHECK(state_of(pid) == 't' && TRACE(PTRACE_DETACH, pid, 0, 0) == 0);
    wait_for_state(pid, 'T'); // as it was found
    CHECK(kill(pid, SIGCONT) == 0);
    LET_GO(pid, ENDED(5));
}

static int waits_for(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, 0) == pid && status == ENDED(3) ? 4 : 1;
}

static int forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    return waits_for(pid);
}

static int forks_when_let_go(void) { return reads() == 5 ? forks() : 1; }
static int executes_when_let_go(void) { return reads() == 5 ? executes() : 1; }

static void events_when_seized(void)
{
    pid_t pid = sleeper(forks_when_let_go);
    CHECK(TRACE(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEFORK) == 0);
    LET_GO(pid, EVENT(FORK));
    pid_t child = (pid_t)message_of(pid);
    CHECK_CHILD(child, GROUP_STOP(SIGTRAP));
    RUNS(CONT, child, 0, ENDED(3));
    RUNS(CONT, pid, 0, STOPPED(SIGCHLD));
    RUNS(CONT, pid, 0, ENDED(4));
    // No signal after execve(2).
    pid = sleeper(executes_when_let_go);
    CHECK(TRACE(PTRACE_SEIZE, pid, 0, 0) == 0);
    LET_GO(pid, ENDED(6));
}

// The tracer is another than the parent, who sees only what it would see anyway.
static void parent_and_tracer(void)
{
    int told[2], next[2];
    char c;
    CHECK(pipe(told) == 0 && pipe(next) == 0);
    pid_t pid = sleeper(reads), tracer = fork();
    if (tracer == 0) {
        RUNS(PTRACE_ATTACH, pid, 0, STOPPED(SIGSTOP));
        CHECK(write(told[1], "x", 1) == 1 && read(next[0], &c, 1) == 1);
        RUNS(CONT, pid, SIGSTOP, STOPPED(SIGSTOP));
        CHECK(write(told[1], "x", 1) == 1 && read(next[0], &c, 1) == 1);
        CHECK_CHILD(pid, SIGKILL);
        child_exit();
    }
    int status = 0;
    CHECK(read(told[0], &c, 1) == 1 && waitpid(pid, 0, WNOHANG | WUNTRACED) == 0);
    CHECK_ERRNO(TRACE(PTRACE_PEEKUSER, pid, 0, 0), ESRCH);
    CHECK_ERRNO(TRACE(PTRACE_ATTACH, pid, 0, 0), EPERM);
    CHECK_ERRNO(TRACE(PTRACE_SEIZE, pid, 0, 0), EPERM);
    CHECK(write(next[1], "x", 1) == 1 && read(told[0], &c, 1) == 1);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && status == STOPPED(SIGSTOP));
    CHECK(waitpid(pid, 0, WNOHANG | WUNTRACED) == 0);
    // Its end, too, is the tracer's to see first.
    CHECK(kill(pid, SIGKILL) == 0);
    wait_for_state(pid, 'Z');
    CHECK(waitpid(pid, 0, WNOHANG) == 0 && write(next[1], "x", 1) == 1);
    CHECK_CHILD(tracer, 0);
    CHECK_CHILD(pid, SIGKILL);
}

enum { KILLED, KILLED_STOPPED, EXITKILL_STOPPED, SEES_ATTACH, MISSES_ATTACH, CASES };
static void traces_and_ends(pid_t pid, int what)
{
    int attach = what == SEES_ATTACH || what == MISSES_ATTACH;
    CHECK(TRACE(attach ? PTRACE_ATTACH : PTRACE_SEIZE, pid, 0, what == EXITKILL_STOPPED ? PTRACE_O_EXITKILL : 0) == 0);
    if (attach)
        wait_for_state(pid, 't');
    if (what == SEES_ATTACH)
        CHECK_CHILD(pid, STOPPED(SIGSTOP));
    if (what == KILLED_STOPPED || what == EXITKILL_STOPPED)
        RUNS(PTRACE_INTERRUPT, pid, 0, GROUP_STOP(SIGTRAP));
    if (what == KILLED || what == KILLED_STOPPED)
        kill(getpid(), SIGKILL);
    child_exit();
}

// Whoever is let go of goes on: with the signal it stopped for if the tracer has not waited for that stop, else without.
static void tracers_end(void)
{
    for (int what = 0; what < CASES; what++) {
        int status = 0;
        pid_t pid = sleeper(reads), tracer = fork();
        if (tracer == 0)
            traces_and_ends(pid, what);
        CHECK_CHILD(tracer, what == KILLED || what == KILLED_STOPPED ? SIGKILL : 0);
        if (what == MISSES_ATTACH)
            CHECK(waitpid(pid, &status, WUNTRACED) == pid && status == STOPPED(SIGSTOP) && kill(pid, SIGCONT) == 0);
        if (what == EXITKILL_STOPPED)
            CHECK_CHILD(pid, SIGKILL);
        else
            LET_GO(pid, ENDED(5));
    }
}

// The tracee's own: a store of eight bytes, one to its middle, a load, a store next to it, and a call.
static volatile uint64_t watched[3] __attribute__((aligned(16)));
static int called(void) { return 5; }
static int (*volatile calls_it)(void) = called;
static int stores(void)
{
    watched[1] = 1;
    ((volatile uint8_t *)&watched[1])[3] = 2;
    uint64_t seen = watched[1];
    watched[2] = seen;
    return calls_it();
}

static long debug_register(pid_t pid, int number, uint64_t value)
{
    return TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg) + (size_t)number * 8, value);
}

static uint64_t debug_status(pid_t pid)
{
    return (uint64_t)TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[6]), 0) & 0xf;
}

enum { EXECUTION = 0, STORES = 1, ACCESSES = 3, ONE_BYTE = 0, EIGHT_BYTES = 2, HARDWARE = 4 };
#define LOOKS_FOR(at, kind, len) (1ull << (2 * (at)) | (uint64_t)((kind) | (len) << 2) << (16 + 4 * (at)))

// The CPU itself looks for them: stores and accesses have happened then, execution has not.
static void debug_registers(void)
{
    pid_t pid = tracee(stores);
    CHECK_ERRNO(debug_register(pid, 7, LOOKS_FOR(0, 2, ONE_BYTE)), EINVAL); // ports
    CHECK(debug_register(pid, 0, (uintptr_t)&watched[1]) == 0 && debug_register(pid, 2, (uintptr_t)called) == 0);
    CHECK(debug_register(pid, 7, LOOKS_FOR(0, STORES, EIGHT_BYTES) | LOOKS_FOR(2, EXECUTION, ONE_BYTE)) == 0);
    CHECK((uint64_t)TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[0]), 0) == (uintptr_t)&watched[1]);
    for (int i = 0; i < 2; i++) {
        RUNS(CONT, pid, 0, STOPPED(SIGTRAP));
        CHECK(siginfo_of(pid).si_code == HARDWARE && debug_status(pid) == 1 && peek(pid, (void *)&watched[1]) == (i ? 0x2000001 : 1));
    }
    RUNS(CONT, pid, 0, STOPPED(SIGTRAP));
    CHECK(siginfo_of(pid).si_code == HARDWARE && debug_status(pid) == 4 && registers_of(pid).rip == (uintptr_t)called);
    CHECK(peek(pid, (void *)&watched[2]) == 0x2000001);
    RUNS(CONT, pid, 0, ENDED(5));
    CHECK(watched[1] == 0); // nor is it seen here, where nothing is looked for

    pid = tracee(stores);
    CHECK(debug_register(pid, 3, (uintptr_t)&watched[1]) == 0 && debug_register(pid, 7, LOOKS_FOR(3, ACCESSES, EIGHT_BYTES)) == 0);
    for (int i = 0; i < 3; i++) {
        RUNS(CONT, pid, 0, STOPPED(SIGTRAP));
        CHECK(debug_status(pid) == 8);
    }
    CHECK(debug_register(pid, 7, 0) == 0);
    RUNS(CONT, pid, 0, ENDED(5));
}

// A selector for the stack segment from watched memory puts the stop off until behind the next instruction, here the
// system call: the kernel must not take that for an error of its own.
static int enters_late(void)
{
    static volatile uint16_t selector = 0x2b;
    long pid;
    shared[1] = (uintptr_t)&selector;
    kill(getpid(), SIGSTOP);
    __asm__ volatile("movw %1, %%ss; syscall" : "=a"(pid) : "m"(selector), "a"(39) : "rcx", "r11", "memory");
    return pid == getpid() ? 5 : 1;
}

static void debug_exception_at_a_system_call(void)
{
    pid_t pid = tracee(enters_late);
    RUNS(CONT, pid, 0, STOPPED(SIGSTOP));
    CHECK(debug_register(pid, 0, shared[1]) == 0 && debug_register(pid, 7, LOOKS_FOR(0, ACCESSES, 1)) == 0);
    CHECK(TRACE(CONT, pid, 0, 0) == 0);
    int status = 0; // where the CPU tells of it before the call there is a stop
    while (waitpid(pid, &status, 0) == pid && status == STOPPED(SIGTRAP))
        CHECK(TRACE(CONT, pid, 0, 0) == 0);
    CHECK(status == ENDED(5));
}

// As a debugger does that has a stopped program call a function: where the program is, and in which system call, is taken away
// and given back.
static void call_in_between(void)
{
    static const uint8_t int3[8] = {0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc};
    uint64_t word;
    pid_t pid = sleeper(reads);
    RUNS(PTRACE_ATTACH, pid, 0, STOPPED(SIGSTOP));
    struct user_regs_struct regs = registers_of(pid), elsewhere = regs;
    CHECK((long)regs.orig_rax == SYS_read && (long)regs.rax == -RESTARTSYS);
    memcpy(&word, int3, 8);
    CHECK(TRACE(PTRACE_POKETEXT, pid, called, word) == 0);
    elsewhere.rip = (uintptr_t)called;
    elsewhere.rax = 0;
    elsewhere.orig_rax = UINT64_MAX;
    CHECK(TRACE(PTRACE_SETREGS, pid, 0, &elsewhere) == 0);
    RUNS(CONT, pid, 0, STOPPED(SIGTRAP));
    CHECK(registers_of(pid).rip == (uintptr_t)called + 1 && registers_of(pid).orig_rax == UINT64_MAX);
    CHECK(TRACE(PTRACE_SETREGS, pid, 0, &regs) == 0 && TRACE(CONT, pid, 0, 0) == 0);
    LET_GO(pid, ENDED(5));
}

// A process that is stopped, and goes on for its tracer all the same, can be stopped once more.
static void stopped_anew(void)
{
    pid_t pid = sleeper(reads);
    CHECK(TRACE(PTRACE_SEIZE, pid, 0, 0) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(kill(pid, SIGSTOP) == 0);
        CHECK_CHILD(pid, STOPPED(SIGSTOP));
        RUNS(CONT, pid, SIGSTOP, GROUP_STOP(SIGSTOP));
        CHECK(TRACE(CONT, pid, 0, 0) == 0);
        wait_for_state(pid, 'S');
    }
    LET_GO(pid, ENDED(5));
}

static int become_user(void) { return setresgid(SOME_USER, SOME_USER, SOME_USER) == 0 && setresuid(SOME_USER, SOME_USER, SOME_USER) == 0; }

// Between the memory of two processes, of which neither need be traced.
static void memory_of_another(void)
{
    enum { LEN = 3 * TEST_PAGE };
    static char near[LEN + 1];
    char *far = mmap(0, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < LEN; i++)
        far[i] = (char)(i * 7 + i / 256);
    CHECK(mprotect(far + 2 * TEST_PAGE, TEST_PAGE, PROT_READ) == 0);
    pid_t pid = sleeper(reads);
    // Pieces that do not fit each other, in order.
    struct iovec here[] = {{near, 1000}, {near + 1000, 0}, {near + 1000, 5000}}, there[] = {{far + 10, 4500}, {far, 10}, {far + TEST_PAGE, 2000}};
    CHECK(process_vm_readv(pid, here, 3, there, 3, 0) == 6000);
    CHECK(memcmp(near, far + 10, 4500) == 0 && memcmp(near + 4500, far, 10) == 0 && memcmp(near + 4510, far + TEST_PAGE, 1490) == 0);
    // The program's own rights count, and the rest is left out.
    here[0] = (struct iovec){near, LEN}, there[0] = (struct iovec){far, LEN};
    memset(near, 'n', LEN);
    CHECK(process_vm_writev(pid, here, 1, there, 1, 0) == 2 * TEST_PAGE);
    CHECK(far[0] == 0 && process_vm_readv(pid, here, 1, there, 1, 0) == LEN && near[0] == 'n' && near[2 * TEST_PAGE] == far[2 * TEST_PAGE]);
    there[0] = (struct iovec){far + 2 * TEST_PAGE, 1};
    CHECK_ERRNO(process_vm_writev(pid, here, 1, there, 1, 0), EFAULT);
    CHECK(munmap(far + TEST_PAGE, TEST_PAGE) == 0);
    there[0] = (struct iovec){far, LEN};
    here[0].iov_base = far;
    CHECK_ERRNO(process_vm_readv(pid, here, 0, there, 1, 1), EINVAL);
    CHECK(process_vm_readv(pid, here, 0, there, 1, 0) == 0 && process_vm_readv(pid, here, 1, there, 0, 0) == 0);
    CHECK(process_vm_readv(getpid(), &(struct iovec){near, LEN}, 1, there, 1, 0) == TEST_PAGE); // up to what is not there
    LET_GO(pid, ENDED(5));
    CHECK_ERRNO(process_vm_readv(pid, here, 1, there, 1, 0), ESRCH);
    if (geteuid() != 0)
        return;
    pid = sleeper(reads);
    pid_t user = fork();
    if (user == 0) {
        CHECK(become_user());
        CHECK_ERRNO(process_vm_readv(pid, &(struct iovec){near, 1}, 1, there, 1, 0), EPERM);
        child_exit();
    }
    CHECK_CHILD(user, 0);
    LET_GO(pid, ENDED(5));
}

static void zombie(void)
{
    pid_t pid = sleeper(reads);
    struct user_regs_struct regs;
    CHECK(TRACE(PTRACE_SEIZE, pid, 0, 0) == 0 && kill(pid, SIGKILL) == 0);
    wait_for_state(pid, 'Z');
    CHECK_ERRNO(TRACE(PTRACE_GETREGS, pid, 0, &regs), ESRCH);
    CHECK_ERRNO(TRACE(PTRACE_ATTACH, pid, 0, 0), EPERM);
    CHECK_CHILD(pid, SIGKILL);
}

static int hidden(void) { return become_user() && prctl(PR_SET_DUMPABLE, 0) == 0 ? reads() : 1; }

// One that is not dumpable is no other's to trace, not even of the same user.
static void not_dumpable(void)
{
    if (geteuid() != 0)
        return;
    pid_t pid = sleeper(hidden), user = fork();
    if (user == 0) {
        CHECK(become_user());
        CHECK_ERRNO(TRACE(PTRACE_ATTACH, pid, 0, 0), EPERM);
        CHECK_ERRNO(TRACE(PTRACE_SEIZE, pid, 0, 0), EPERM);
        child_exit();
    }
    CHECK_CHILD(user, 0);
    RUNS(PTRACE_ATTACH, pid, 0, STOPPED(SIGSTOP)); // root may
    CHECK(TRACE(PTRACE_DETACH, pid, 0, 0) == 0);
    LET_GO(pid, ENDED(5));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"registers-no-program-may-have", registers_no_program_may_have},
        {"floating-point-no-program-may-have", floating_point_no_program_may_have},
        {"bad-pointers", bad_pointers}, {"told-by-sigchld", told_by_sigchld}, {"end-by-signal", end_by_signal},
        {"thread-that-executes", thread_that_executes}, {"call-not-begun-again", call_not_begun_again},
        {"attach-to-stopped", attach_to_stopped}, {"events-when-seized", events_when_seized},
        {"parent-and-tracer", parent_and_tracer}, {"tracers-end", tracers_end}, {"memory-of-another", memory_of_another},
        {"call-in-between", call_in_between}, {"stopped-anew", stopped_anew}, {"debug-registers", debug_registers},
        {"debug-exception-at-a-system-call", debug_exception_at_a_system_call}, {"zombie", zombie}, {"not-dumpable", not_dumpable},
    };
    if (argc > 1 && strcmp(argv[1], "--after-exec") == 0)
        return 6;
    shared = shared_page();
    return pipe(let_go) == 0 ? RUN_TABLE(tests) : 1;
}
