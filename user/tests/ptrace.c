// ptrace(2) of a stopped child: memory, registers, system call stops, single steps, breakpoints, floating point, /proc/PID/mem
// and how a stop is told; against ptrace(2), wait(2) and proc_pid_mem(5). The rest is in ptrace-events.c.
#define _GNU_SOURCE
#include "ptrace.h"

#include <elf.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <ucontext.h>

// As the kernel has them; not every libc does.
enum { NONE = 0, ENTRY = 1, EXIT = 2, NONE_SIZE = 24, ENTRY_SIZE = 80, EXIT_SIZE = 33 };
struct call_info {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t rip, rsp, values[7]; // number and arguments, or the result and a byte that says whether it is an error
};

// One whose `body` stops itself, too.
static pid_t stopped_tracee(int (*body)(void))
{
    pid_t pid = tracee(body);
    RUNS(CONT, pid, 0, STOPPED(SIGSTOP));
    return pid;
}

// What the tracees run where every instruction matters. They stop themselves and end without the library.
#define STOP_SELF "movl $39, %eax; syscall; movl %eax, %edi; movl $19, %esi; movl $62, %eax; syscall\n"
#define LEAVE "movl $231, %eax; syscall\n"
int known_registers(void), stepped(void);
extern const char known_stop[], known_other[], step_nops[], step_syscall[], step_behind[];
__asm__(".text\n"
        "known_registers:\n"
        ".irp n, 8, 9, 10, 12, 13, 14, 15; movabsq $0x5500000000000000 + \\n, %r\\n; .endr\n"
        "movl $7, %ebx; movabsq $0x5500000000000001, %rbp; movabsq $0x5500000000000002, %rdx; stc\n" STOP_SELF
        "known_stop: movl %ebx, %edi\n" LEAVE
        "known_other: leal 1(%rax), %edi\n" LEAVE
        "stepped:\n" STOP_SELF
        "step_nops: nop; nop; nop; nop; nop; movl $110, %eax\n"
        "step_syscall: syscall\n"
        "step_behind: movl %eax, %ebx; pushfq; popq %rdi; shrl $8, %edi; andl $1, %edi\n" LEAVE);

static char *pages, *across;
static int memory_as_poked(void)
{
    return memcmp(across - 1, "a\x10\x32\x54\x76\x98\xba\xdc\xfez", 10) == 0 && pages[3 * TEST_PAGE] == 1 ? 5 : 1;
}

static void memory(void)
{
    char *common = mmap(0, TEST_PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pages = mmap(0, 5 * TEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    across = pages + TEST_PAGE - 3;
    memcpy(across - 1, "a12345678z", 10);
    char *closed = pages + 2 * TEST_PAGE, *fixed = pages + 3 * TEST_PAGE, *gone = pages + 4 * TEST_PAGE;
    CHECK(mprotect(closed, TEST_PAGE, PROT_NONE) == 0 && mprotect(fixed, TEST_PAGE, PROT_READ) == 0 && munmap(gone, TEST_PAGE) == 0);
    pid_t pid = tracee(memory_as_poked);
    CHECK(peek(pid, across) == 0x3837363534333231);
    CHECK(TRACE(PTRACE_POKEDATA, pid, across, 0xfedcba9876543210) == 0 && peek(pid, across) == 0xfedcba9876543210);
    CHECK(memcmp(across - 1, "a12345678z", 10) == 0); // the tracer's own is another
    // What the tracee itself may not; but not where others would see it.
    CHECK(TRACE(PTRACE_POKETEXT, pid, fixed, 1) == 0 && peek(pid, fixed) == 1 && *fixed == 0);
    CHECK(TRACE(PTRACE_POKEDATA, pid, closed, -1) == 0 && peek(pid, closed) == UINT64_MAX);
    CHECK(peek(pid, common) == 0);
    CHECK_ERRNO(TRACE(PTRACE_POKEDATA, pid, common, 1), EIO);
    CHECK_ERRNO(TRACE(PTRACE_PEEKTEXT, pid, gone - 1, 0), EIO);
    CHECK_ERRNO(TRACE(PTRACE_PEEKDATA, pid, gone, 0), EIO);
    CHECK_ERRNO(TRACE(PTRACE_POKEDATA, pid, gone, 0), EIO);
    RUNS(CONT, pid, 0, ENDED(5));
}

static void registers(void)
{
    pid_t pid = stopped_tracee(known_registers);
    struct user_regs_struct regs = registers_of(pid), again;
    const uint64_t base = 0x5500000000000000;
    CHECK(regs.r8 == base + 8 && regs.r9 == base + 9 && regs.r10 == base + 10 && regs.r12 == base + 12 && regs.r13 == base + 13);
    CHECK(regs.r14 == base + 14 && regs.r15 == base + 15 && regs.rbp == base + 1 && regs.rdx == base + 2 && regs.rbx == 7);
    CHECK(regs.rdi == (uint64_t)pid && regs.rsi == SIGSTOP && regs.rax == 0 && regs.orig_rax == SYS_kill && regs.rip == (uintptr_t)known_stop);
    CHECK(regs.cs == 0x33 && regs.ss == 0x2b && (regs.eflags & 0x201) == 0x201);
    uint64_t thread;
    __asm__("movq %%fs:0, %0" : "=r"(thread));
    CHECK(regs.fs_base == thread && regs.gs_base == 0 && regs.ds == 0 && regs.es == 0 && regs.fs == 0 && regs.gs == 0);
    // One by one, as fields of struct user.
    uint64_t fields[sizeof regs / 8];
    for (unsigned i = 0; i < sizeof regs / 8; i++)
        fields[i] = (uint64_t)TRACE(PTRACE_PEEKUSER, pid, 8 * i, 0);
    CHECK(sizeof regs == 216 && memcmp(fields, &regs, sizeof regs) == 0);
    // All of them changed, and read back.
    struct user_regs_struct changed = regs;
    changed.r8 = changed.r9 = changed.r10 = changed.r11 = changed.r12 = changed.r13 = changed.r14 = changed.r15 = 0x1122334455667788;
    changed.rax = changed.rcx = changed.rdx = changed.rsi = changed.rdi = changed.rbp = 0x8877665544332211;
    changed.gs_base = 0x10000, changed.rbx = 42, changed.eflags ^= 0x8d5;
    CHECK(TRACE(PTRACE_SETREGS, pid, 0, &changed) == 0);
    again = registers_of(pid);
    CHECK(memcmp(&again, &changed, sizeof again) == 0);
    RUNS(CONT, pid, 0, ENDED(42));

    // Elsewhere, with another rax.
    pid = stopped_tracee(known_registers);
    CHECK(TRACE(PTRACE_POKEUSER, pid, REGISTER(rip), known_other) == 0 && TRACE(PTRACE_POKEUSER, pid, REGISTER(rax), 43) == 0);
    CHECK(TRACE(PTRACE_PEEKUSER, pid, REGISTER(rip), 0) == (long)(uintptr_t)known_other);
    RUNS(CONT, pid, 0, ENDED(44));
}

static void register_sets(void)
{
    pid_t pid = stopped_tracee(known_registers);
    struct user_regs_struct regs = registers_of(pid), room[2];
    struct iovec set = {room, sizeof room};
    CHECK(TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &set) == 0 && set.iov_len == sizeof regs && memcmp(room, &regs, sizeof regs) == 0);
    memset(room, 0x55, sizeof room);
    set.iov_len = offsetof(struct user_regs_struct, r13); // the first two only
    CHECK(TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &set) == 0 && set.iov_len == 16);
    CHECK(room->r15 == regs.r15 && room->r14 == regs.r14 && room->r13 == 0x5555555555555555);
    // Also set: those up to rbx.
    *room = regs;
    room->rbx = 9;
    room->rbp = room->r11 = 1;
    set.iov_len = offsetof(struct user_regs_struct, r11);
    CHECK(TRACE(PTRACE_SETREGSET, pid, NT_PRSTATUS, &set) == 0 && set.iov_len == offsetof(struct user_regs_struct, r11));
    CHECK(registers_of(pid).rbp == 1 && registers_of(pid).r11 == regs.r11);
    set.iov_len = 12;
    CHECK_ERRNO(TRACE(PTRACE_GETREGSET, pid, NT_PRSTATUS, &set), EINVAL);
    set.iov_len = sizeof regs;
    CHECK_ERRNO(TRACE(PTRACE_GETREGSET, pid, 0x9999, &set), EINVAL);
    CHECK_ERRNO(TRACE(PTRACE_SETREGSET, pid, 0, &set), EINVAL);
    RUNS(CONT, pid, 0, ENDED(9));
}

// Goes on to the next stop at a system call, and tells of it in both ways.
static struct user_regs_struct next_call(pid_t pid, struct call_info *info, long size)
{
    RUNS(PTRACE_SYSCALL, pid, 0, CALL_STOP);
    memset(info, 0x55, sizeof *info);
    CHECK(TRACE(PTRACE_GET_SYSCALL_INFO, pid, sizeof *info, info) == size);
    struct user_regs_struct regs = registers_of(pid);
    CHECK(info->arch == 0xc000003e && info->rip == regs.rip && info->rsp == regs.rsp);
    return regs;
}

static int calls(void)
{
    shared[0] = (uint64_t)syscall(SYS_getppid, 1, 2, 3, 4, 5, -6);
    shared[1] = syscall(SYS_close, -1) == -1 ? (uint64_t)errno : 0;
    shared[2] = (uint64_t)syscall(SYS_umask, 022); // the tracer makes it 077
    shared[3] = (uint64_t)syscall(SYS_umask, 011); // not called at all
    shared[4] = (uint64_t)syscall(SYS_umask, 022);
    shared[5] = (uint64_t)syscall(SYS_getppid); // a call of getpid instead
    kill(getpid(), SIGUSR1);
    return 3;
}

static void system_calls(void)
{
    umask(027);
    pid_t pid = tracee(calls);
    struct call_info info;
    CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD) == 0);
    CHECK(TRACE(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) == NONE_SIZE && info.op == NONE);
    struct user_regs_struct entry = next_call(pid, &info, ENTRY_SIZE), regs;
    CHECK(entry.orig_rax == SYS_getppid && (long)entry.rax == -ENOSYS && entry.rdi == 1 && entry.rsi == 2 && entry.rdx == 3);
    CHECK(entry.r10 == 4 && entry.r8 == 5 && entry.r9 == (uint64_t)-6 && siginfo_of(pid).si_code == (SIGTRAP | 0x80));
    CHECK(info.op == ENTRY && info.values[0] == SYS_getppid && info.values[1] == 1 && info.values[4] == 4 && info.values[6] == (uint64_t)-6);
    // Only what there is room for.
    memset(&info, 0x55, sizeof info);
    CHECK(TRACE(PTRACE_GET_SYSCALL_INFO, pid, 32, &info) == ENTRY_SIZE && info.values[0] == SYS_getppid && info.values[1] == 0x5555555555555555);
    CHECK(TRACE(PTRACE_GET_SYSCALL_INFO, pid, 0, 0) == ENTRY_SIZE);
    regs = next_call(pid, &info, EXIT_SIZE);
    CHECK((pid_t)regs.rax == getpid() && regs.orig_rax == SYS_getppid && regs.rip == entry.rip && regs.rdi == 1 && regs.r9 == (uint64_t)-6);
    CHECK(info.op == EXIT && (pid_t)info.values[0] == getpid() && (uint8_t)info.values[1] == 0);
    CHECK(TRACE(PTRACE_POKEUSER, pid, REGISTER(rax), 4711) == 0);
    // One that fails: with another error than it had.
    regs = next_call(pid, &info, ENTRY_SIZE);
    CHECK(regs.orig_rax == SYS_close && (int)regs.rdi == -1);
    regs = next_call(pid, &info, EXIT_SIZE);
    CHECK((long)regs.rax == -EBADF && info.op == EXIT && (int64_t)info.values[0] == -EBADF && (uint8_t)info.values[1] == 1);
    CHECK(TRACE(PTRACE_POKEUSER, pid, REGISTER(rax), -EXDEV) == 0);
    // Another argument.
    regs = next_call(pid, &info, ENTRY_SIZE);
    CHECK(regs.orig_rax == SYS_umask && regs.rdi == 022 && TRACE(PTRACE_POKEUSER, pid, REGISTER(rdi), 077) == 0);
    CHECK(next_call(pid, &info, EXIT_SIZE).rax == 027);
    // No call at all, with a result.
    CHECK(next_call(pid, &info, ENTRY_SIZE).rdi == 011 && TRACE(PTRACE_POKEUSER, pid, REGISTER(orig_rax), -1) == 0);
    regs = next_call(pid, &info, EXIT_SIZE);
    CHECK((long)regs.rax == -ENOSYS && regs.orig_rax == UINT64_MAX && TRACE(PTRACE_POKEUSER, pid, REGISTER(rax), 1234) == 0);
    CHECK(next_call(pid, &info, ENTRY_SIZE).orig_rax == SYS_umask && next_call(pid, &info, EXIT_SIZE).rax == 077);
    // Another call.
    CHECK(next_call(pid, &info, ENTRY_SIZE).orig_rax == SYS_getppid && TRACE(PTRACE_POKEUSER, pid, REGISTER(orig_rax), SYS_getpid) == 0);
    CHECK((pid_t)next_call(pid, &info, EXIT_SIZE).rax == pid);
    // A signal is shown between the calls and is none itself.
    CHECK(next_call(pid, &info, ENTRY_SIZE).orig_rax == SYS_getpid && (pid_t)next_call(pid, &info, EXIT_SIZE).rax == pid);
    CHECK(next_call(pid, &info, ENTRY_SIZE).orig_rax == SYS_kill && next_call(pid, &info, EXIT_SIZE).rax == 0);
    RUNS(PTRACE_SYSCALL, pid, 0, STOPPED(SIGUSR1));
    CHECK(TRACE(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) == NONE_SIZE && info.op == NONE && info.rip == registers_of(pid).rip);
    CHECK(next_call(pid, &info, ENTRY_SIZE).orig_rax == SYS_exit_group && info.values[1] == 3);
    RUNS(PTRACE_SYSCALL, pid, 0, ENDED(3));
    CHECK(shared[0] == 4711 && shared[1] == EXDEV && shared[2] == 027 && shared[3] == 1234 && shared[4] == 077 && shared[5] == (uint64_t)pid);
}

static void plain_call_stops(void)
{
    pid_t pid = tracee(calls);
    RUNS(PTRACE_SYSCALL, pid, 0, STOPPED(SIGTRAP));
    CHECK(registers_of(pid).orig_rax == SYS_getppid && (long)registers_of(pid).rax == -ENOSYS && siginfo_of(pid).si_code == SIGTRAP);
    RUNS(PTRACE_SYSCALL, pid, 0, STOPPED(SIGTRAP));
    CHECK((pid_t)registers_of(pid).rax == getpid());
    // A signal given here comes to the tracee like any other.
    RUNS(CONT, pid, SIGUSR2, STOPPED(SIGUSR2));
    // Without the request there are no such stops.
    RUNS(CONT, pid, 0, STOPPED(SIGUSR1));
    RUNS(CONT, pid, SIGUSR1, SIGUSR1);
}

static uint64_t step(pid_t pid, int signal)
{
    RUNS(PTRACE_SINGLESTEP, pid, signal, STOPPED(SIGTRAP));
    return registers_of(pid).rip;
}

static void steps(void)
{
    pid_t pid = stopped_tracee(stepped);
    CHECK(registers_of(pid).rip == (uintptr_t)step_nops);
    for (int i = 1; i <= 5; i++) {
        CHECK(step(pid, 0) == (uintptr_t)step_nops + i);
        siginfo_t info = siginfo_of(pid);
        CHECK(info.si_signo == SIGTRAP && info.si_code == TRAP_TRACE && info.si_addr == step_nops + i);
    }
    CHECK(step(pid, 0) == (uintptr_t)step_syscall);
    CHECK(step(pid, 0) == (uintptr_t)step_behind && (pid_t)registers_of(pid).rax == getpid());
    CHECK(step(pid, 0) == (uintptr_t)step_behind + 2 && (pid_t)registers_of(pid).rbx == getpid());
    // The flag is the tracer's: not shown, not kept when all registers are set as they were, not there afterwards.
    struct user_regs_struct regs = registers_of(pid);
    CHECK((regs.eflags & 0x100) == 0 && TRACE(PTRACE_SETREGS, pid, 0, &regs) == 0);
    RUNS(CONT, pid, 0, ENDED(0));
}

static void note(int number, siginfo_t *info, void *context)
{
    shared[0]++;
    shared[1] = (uint64_t)number + (uint64_t)info->si_signo;
    shared[2] = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
}

static int stepped_with_handler(void)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    shared[0] = 0;
    return sigaction(SIGUSR1, &action, 0) == 0 ? stepped() : 1;
}

static void steps_into_handlers(void)
{
    for (int all = 0; all < 2; all++) {
        pid_t pid = stopped_tracee(stepped_with_handler);
        CHECK(step(pid, 0) == (uintptr_t)step_nops + 1);
        CHECK(step(pid, SIGUSR1) == (uintptr_t)note && shared[0] == 0);
        CHECK(registers_of(pid).rdi == SIGUSR1 && (registers_of(pid).eflags & 0x100) == 0);
        uint64_t rip = 0;
        if (all) {
            // Through the handler and what is behind it, to where it was.
            for (int i = 0; i < 1000 && (rip < (uintptr_t)step_nops || rip > (uintptr_t)step_behind); i++)
                rip = step(pid, 0);
            CHECK(rip == (uintptr_t)step_nops + 1);
            CHECK(step(pid, 0) == (uintptr_t)step_nops + 2);
        }
        RUNS(CONT, pid, 0, ENDED(0));
        CHECK(shared[0] == 1 && shared[1] == 2 * SIGUSR1 && (shared[2] & 0x100) == 0);
    }
}

__attribute__((noinline)) static long tripled(long x)
{
    __asm__ volatile("nop" : "+r"(x));
    return 3 * x;
}
static long (*volatile triple)(long) = tripled;
static int calls_tripled(void) { return triple(7) == 21 && triple(5) == 15 ? 5 : 1; }

static void breakpoints(void)
{
    pid_t undisturbed = tracee(calls_tripled), pid = tracee(calls_tripled);
    uint64_t code = peek(pid, tripled), with_int3 = (code & ~0xfful) | 0xcc;
    CHECK(memcmp(&code, tripled, sizeof code) == 0 && (code & 0xff) != 0xcc);
    CHECK(TRACE(PTRACE_POKETEXT, pid, tripled, with_int3) == 0 && peek(pid, tripled) == with_int3);
    for (int hit = 0; hit < 2; hit++) {
        RUNS(CONT, pid, 0, STOPPED(SIGTRAP));
        struct user_regs_struct regs = registers_of(pid);
        siginfo_t info = siginfo_of(pid);
        CHECK(regs.rip == (uintptr_t)tripled + 1 && regs.rdi == (hit == 0 ? 7 : 5) && info.si_signo == SIGTRAP && info.si_code == SI_KERNEL);
        CHECK(TRACE(PTRACE_POKETEXT, pid, tripled, code) == 0);
        regs.rip--;
        CHECK(TRACE(PTRACE_SETREGS, pid, 0, &regs) == 0);
        if (hit == 0) {
            uint64_t rip = step(pid, 0);
            CHECK(rip > (uintptr_t)tripled && rip < (uintptr_t)tripled + 16);
            CHECK(TRACE(PTRACE_POKETEXT, pid, tripled, with_int3) == 0);
        }
    }
    // Neither another process of the program nor this one has seen it.
    CHECK(peek(undisturbed, tripled) == code && memcmp(&code, tripled, sizeof code) == 0 && triple(2) == 6);
    RUNS(CONT, undisturbed, 0, ENDED(5));
    RUNS(CONT, pid, 0, ENDED(5));
}

// Fills x87, SSE and AVX registers, stops itself, and tells what is in them then: ymm1 or xmm1, st(0), and mxcsr.
static int keeps_floats(void)
{
    char *in = (char *)&shared[16], *out = (char *)&shared[32];
    unsigned mxcsr = 0x1fa0;
    long number = SYS_kill, pid = getpid();
#define KEEP(move, vector)                                                                                             \
    __asm__ volatile("fninit; fldpi; ldmxcsr %[m]; " move " (%[i]), %%" vector "\nsyscall\n"                           \
                     move " %%" vector ", (%[o]); fstpt 32(%[o]); stmxcsr %[m]"                                        \
                     : "+a"(number), [m] "+m"(mxcsr) : [i] "r"(in), [o] "r"(out), "D"(pid), "S"((long)SIGSTOP)         \
                     : "rcx", "r11", "memory", "xmm1", "st")
    if (__builtin_cpu_supports("avx"))
        KEEP("vmovdqu", "ymm1");
    else
        KEEP("movdqu", "xmm1");
    shared[48] = mxcsr;
    return 0;
}

#define AT(word) ((void *)&shared[word])
static pid_t floating_tracee(void)
{
    memcpy(AT(16), "floating-point state, 32 bytes!", 32);
    return stopped_tracee(keeps_floats);
}

static void floating_point(void)
{
    static const uint8_t pi[10] = {0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40}, one[10] = {[7] = 0x80, 0xff, 0x3f};
    pid_t pid = floating_tracee();
    struct user_fpregs_struct regs, again;
    CHECK(TRACE(PTRACE_GETFPREGS, pid, 0, &regs) == 0 && sizeof regs == 512);
    CHECK(regs.cwd == 0x37f && (regs.swd >> 11 & 7) == 7 && regs.ftw == 0x80 && memcmp(regs.st_space, pi, 10) == 0);
    CHECK(regs.mxcsr == 0x1fa0 && memcmp(&regs.xmm_space[4], AT(16), 16) == 0);
    struct iovec set = {&again, sizeof again};
    CHECK(TRACE(PTRACE_GETREGSET, pid, NT_PRFPREG, &set) == 0 && set.iov_len == 512 && memcmp(&again, &regs, 416) == 0);
    memcpy(regs.st_space, one, 10);
    memcpy(&regs.xmm_space[4], "another of these", 16);
    regs.mxcsr = 0x9f80;
    CHECK(TRACE(PTRACE_SETFPREGS, pid, 0, &regs) == 0);
    CHECK(TRACE(PTRACE_GETFPREGS, pid, 0, &again) == 0 && memcmp(&again, &regs, 416) == 0);
    RUNS(CONT, pid, 0, ENDED(0));
    CHECK(shared[48] == 0x9f80 && memcmp(AT(32), "another of these", 16) == 0 && memcmp(AT(36), one, 10) == 0);
    // The upper half of the register is none of these.
    CHECK(!__builtin_cpu_supports("avx") || memcmp(AT(34), AT(18), 16) == 0);
}

// All that XSAVE keeps: the FXSAVE area, a header, and at 576 the upper halves of the AVX registers.
static void extended_state(void)
{
    if (!__builtin_cpu_supports("avx"))
        return;
    enum { ROOM = 16384, HEADER = 512, UPPER = 576 + 16 };
    char *area = mmap(0, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *again = area + ROOM;
    pid_t pid = floating_tracee();
    struct iovec set = {area, ROOM};
    CHECK(TRACE(PTRACE_GETREGSET, pid, XSTATE_, &set) == 0 && set.iov_len >= 832 && set.iov_len < ROOM);
    size_t size = set.iov_len;
    CHECK((area[HEADER] & 7) == 7 && memcmp(area + 160 + 16, AT(16), 16) == 0 && memcmp(area + UPPER, AT(18), 16) == 0);
    CHECK(TRACE(PTRACE_SETREGSET, pid, XSTATE_, &set) == 0 && set.iov_len == size);
    set.iov_base = again;
    CHECK(TRACE(PTRACE_GETREGSET, pid, XSTATE_, &set) == 0 && set.iov_len == size && memcmp(area, again, size) == 0);
    memcpy(again + UPPER, "the upper halves", 16);
    CHECK(TRACE(PTRACE_SETREGSET, pid, XSTATE_, &set) == 0);
    RUNS(CONT, pid, 0, ENDED(0));
    CHECK(memcmp(AT(32), AT(16), 16) == 0 && memcmp(AT(34), "the upper halves", 16) == 0);
}

static void memory_as_a_file(void)
{
    char path[64], buffer[16] = {0};
    char *at = mmap(0, 2 * TEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *gone = at + TEST_PAGE;
    CHECK(munmap(gone, TEST_PAGE) == 0);
    strcpy(gone - 8, "seven..");
    pid_t pid = tracee(calls_tripled);
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pread(fd, buffer, 8, (off_t)(uintptr_t)(gone - 8)) == 8 && strcmp(buffer, "seven..") == 0);
    CHECK(pwrite(fd, "SEVEN", 5, (off_t)(uintptr_t)(gone - 8)) == 5);
    CHECK(pread(fd, buffer, 16, (off_t)(uintptr_t)(gone - 8)) == 8 && strcmp(buffer, "SEVEN..") == 0 && strcmp(gone - 8, "seven..") == 0);
    CHECK_ERRNO(pread(fd, buffer, 1, (off_t)(uintptr_t)gone), EIO);
    CHECK_ERRNO(pwrite(fd, buffer, 1, (off_t)(uintptr_t)gone), EIO);
    CHECK_ERRNO(pread(fd, buffer, 1, 0), EIO);
    // Code, too: an int3, and what was there.
    CHECK(pread(fd, buffer, 1, (off_t)(uintptr_t)tripled) == 1 && buffer[0] == *(const char *)tripled);
    CHECK(pwrite(fd, "\xcc", 1, (off_t)(uintptr_t)tripled) == 1 && (peek(pid, tripled) & 0xff) == 0xcc);
    RUNS(CONT, pid, 0, STOPPED(SIGTRAP));
    CHECK(registers_of(pid).rip == (uintptr_t)tripled + 1 && lseek(fd, (off_t)(uintptr_t)tripled, SEEK_SET) == (off_t)(uintptr_t)tripled);
    CHECK(write(fd, buffer, 1) == 1 && TRACE(PTRACE_POKEUSER, pid, REGISTER(rip), tripled) == 0);
    RUNS(CONT, pid, 0, ENDED(5));
    close(fd);
}

static int spins(void)
{
    while (!*(volatile uint64_t *)shared)
        ;
    kill(getpid(), SIGUSR1);
    return 2;
}

// What others are told of a stop: in /proc, and by waitpid(2) and waitid(2).
static void how_it_is_told(void)
{
    pid_t pid = tracee(spins);
    siginfo_t info;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    CHECK(slurp(path, text, sizeof text) > 0 && strstr(text, "\nState:\tt (tracing stop)\n") && field("TracerPid:") == getpid());
    shared[0] = 0;
    CHECK(TRACE(PTRACE_CONT, pid, 0, 0) == 0);
    CHECK(waitpid(pid, 0, WNOHANG) == 0 && waitpid(pid, 0, WNOHANG | WUNTRACED) == 0);
    CHECK(slurp(path, other, sizeof other) > 0 && !strstr(other, "(tracing stop)"));
    *(volatile uint64_t *)shared = 1;
    for (int last = 0; last < 2; last++) {
        memset(&info, 0, sizeof info);
        CHECK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | (last ? 0 : WNOWAIT)) == 0);
        CHECK(info.si_signo == SIGCHLD && info.si_pid == pid && info.si_code == CLD_TRAPPED && info.si_status == SIGUSR1);
    }
    // Waited for once; and it stays as it is.
    CHECK(waitpid(pid, 0, WNOHANG) == 0 && siginfo_of(pid).si_signo == SIGUSR1);
    CHECK(TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD) == 0 && TRACE(PTRACE_SYSCALL, pid, 0, 0) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0 && info.si_code == CLD_TRAPPED && info.si_status == (SIGTRAP | 0x80));
    RUNS(PTRACE_DETACH, pid, 0, ENDED(2));
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        {"memory", memory},
        {"registers", registers}, {"register-sets", register_sets},
        {"system-calls", system_calls}, {"plain-call-stops", plain_call_stops},
        {"steps", steps}, {"steps-into-handlers", steps_into_handlers}, {"breakpoints", breakpoints},
        {"floating-point", floating_point}, {"extended-state", extended_state},
        {"memory-as-a-file", memory_as_a_file}, {"how-it-is-told", how_it_is_told},
    };
    shared = shared_page();
    return RUN_TABLE(tests);
}
