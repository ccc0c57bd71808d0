// What the tests of ptrace(2) share: stops as wait statuses, tracees that have stopped, and children that sleep.
#ifndef PTRACE_H
#define PTRACE_H

#include "slurp.h"
#include "table.h"

#include <sched.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

// As the kernel has them; not every libc does. The last three are errors that only tracers see.
enum { EVENT_STOP = 128, XSTATE_ = 0x202, SOME_USER = 1000, RESTARTSYS = 512, RESTARTNOHAND = 514, RESTART_BLOCK = 516 };

#define TRACE(request, pid, address, data) ptrace((request), (pid), (void *)(uintptr_t)(address), (void *)(uintptr_t)(data))
#define STOPPED(signal) ((signal) << 8 | 0x7f) // as a wait status
#define CALL_STOP STOPPED(SIGTRAP | 0x80)
#define EVENT(event) (PTRACE_EVENT_##event << 16 | STOPPED(SIGTRAP))
#define GROUP_STOP(signal) (EVENT_STOP << 16 | STOPPED(signal))
#define ENDED(code) ((code) << 8)
#define REGISTER(name) offsetof(struct user, regs.name)

// Lets it go on, until it stops or ends with this status.
#define RUNS(request, pid, signal, status) (CHECK(TRACE((request), (pid), 0, (signal)) == 0), CHECK_CHILD((pid), (status)))
#define CONT PTRACE_CONT

static volatile uint64_t *shared; // a page that all share
static int let_go[2];             // who reads from this sleeps until it is written
#define LET_GO(pid, status) (CHECK(write(let_go[1], "x", 1) == 1), CHECK_CHILD((pid), (status)))

// A traced child that has stopped itself; it runs `body` when it goes on, and ends with its result.
static inline pid_t tracee(int (*body)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        TRACE(PTRACE_TRACEME, 0, 0, 0);
        kill(getpid(), SIGSTOP);
        _exit(body());
    }
    CHECK_CHILD(pid, STOPPED(SIGSTOP));
    return pid;
}

static inline char state_of(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    return slurp(path, other, sizeof other) > 0 && strrchr(other, ')') ? strrchr(other, ')')[2] : '?';
}

static inline void wait_for_state(pid_t pid, char state)
{
    while (state_of(pid) != state)
        sleep_ms(1);
}

// A child that is not traced and sleeps; its `body` sets `shared[0]` right before.
static inline pid_t sleeper(int (*body)(void))
{
    shared[0] = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(body());
    while (shared[0] == 0)
        sched_yield();
    wait_for_state(pid, 'S');
    return pid;
}

// What a request tells of a tracee.
#define GETTER(name, type, request)                                                                                    \
    static inline type name(pid_t pid)                                                                                 \
    {                                                                                                                  \
        type told = {0};                                                                                               \
        CHECK(TRACE((request), pid, 0, &told) == 0);                                                                   \
        return told;                                                                                                   \
    }
GETTER(registers_of, struct user_regs_struct, PTRACE_GETREGS)
GETTER(siginfo_of, siginfo_t, PTRACE_GETSIGINFO)
GETTER(message_of, uint64_t, PTRACE_GETEVENTMSG)

static inline uint64_t peek(pid_t pid, const void *address)
{
    errno = 0;
    uint64_t word = (uint64_t)TRACE(PTRACE_PEEKDATA, pid, address, 0);
    CHECK(errno == 0);
    return word;
}

static inline int nothing(void) { return 7; }

static inline int reads(void)
{
    shared[0] = 1;
    return read(let_go[0], (char *)&shared[8], 1) == 1 && (char)shared[8] == 'x' ? 5 : 1;
}

#endif
